#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/node/rocks/rocks_fixture.h"

#include <string.h>

static const MemberId FIRST = {{1}};
static const MemberId SECOND = {{2}};
static const MemberId LAST = {
    {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff}
};

static HintChange
adding(const MemberId *target, uint64_t now_ms)
{
    return (HintChange){.target = *target, .now_ms = now_ms};
}

static HintChange
dropping(const MemberId *target, Slice acknowledged)
{
    return (HintChange){.target = *target, .drop = true, .acknowledged = digest_of(acknowledged)};
}

/* Applies and waits until it is durable. */
static Slice
change(Store *store, Slice key, const Update *update)
{
    uint64_t ref = store_ref(store);

    store->storage->apply(store->storage, key, update, ref);
    store_await_durable(store, ref);
    return store->answers[ref].object;
}

static Slice
change_hint(Store *store, Slice key, HintChange hint, bool unowned)
{
    Update update = {.hints = &hint, .hint_count = 1, .unowned = unowned};

    return change(store, key, &update);
}

/* A put, and in the same write a hint. */
static Slice
put_with_hint(Store *store, Slice key, const char *text, HintChange hint)
{
    static uint8_t requests;
    PutValue value = {.request = {{++requests, 77}}, .value = slice_from_string(text)};
    Put put = {.values = &value, .value_count = 1, .now_ms = 5};
    Update update = {.put = &put, .hints = &hint, .hint_count = 1};

    return change(store, key, &update);
}

static const StoragePage *
owed(Store *store, const MemberId *target, Slice after, uint32_t max_bytes)
{
    uint64_t ref = store_ref(store);
    StorageOwed asked = {.target = *target, .after = after, .max_bytes = max_bytes};

    store->storage->owed(store->storage, &asked, ref);
    store_await(store, &store->answers[ref].scanned);
    assert_int_equal(store->answers[ref].status, STATUS_OK);
    return &store->answers[ref].page;
}

static uint64_t
count_of(const Store *store, const MemberId *target)
{
    const HintTotal *total = hints_of(&store->storage->hints, target);

    return total != NULL ? total->count : 0;
}

static void
a_hint_is_found_by_its_target_with_the_object_owed(void **state)
{
    Store *store = *state;
    Slice object = put_with_hint(store, store_key(store, "a"), "apple", adding(&FIRST, 40));
    const StoragePage *page = owed(store, &FIRST, SLICE_EMPTY, 1000);

    assert_int_equal(page->row_count, 1);
    assert_true(page->done);
    assert_int_equal(page->rows[0].bucket_id, 1);
    assert_int_equal(page->rows[0].position, 100);
    assert_true(slice_equal(page->rows[0].key, slice_from_string("a")));
    assert_true(slice_equal(page->rows[0].object, object));
    assert_int_equal(owed(store, &SECOND, SLICE_EMPTY, 1000)->row_count, 0);
}

static void
a_hint_outlives_a_restart(void **state)
{
    Store *store = *state;

    put_with_hint(store, store_key(store, "a"), "apple", adding(&LAST, 40));
    put_with_hint(store, store_key(store, "b"), "banana", adding(&LAST, 30));
    store_reopen(store, STORE_CACHE_BYTES);
    assert_int_equal(count_of(store, &LAST), 2);
    assert_int_equal(hints_of(&store->storage->hints, &LAST)->oldest_ms, 30);
    assert_int_equal(owed(store, &LAST, SLICE_EMPTY, 1000)->row_count, 2);
}

static void
a_second_hint_for_one_target_changes_nothing(void **state)
{
    Store *store = *state;
    Slice key = store_key(store, "a");

    put_with_hint(store, key, "apple", adding(&FIRST, 40));
    change_hint(store, key, adding(&FIRST, 50), false);
    assert_int_equal(count_of(store, &FIRST), 1);
    assert_int_equal(hints_of(&store->storage->hints, &FIRST)->oldest_ms, 40);
}

static void
what_was_acknowledged_drops_the_hint_and_the_owned_object_stays(void **state)
{
    Store *store = *state;
    Slice key = store_key(store, "a");
    Slice object = put_with_hint(store, key, "apple", adding(&FIRST, 40));

    change_hint(store, key, dropping(&FIRST, object), false);
    assert_int_equal(count_of(store, &FIRST), 0);
    assert_int_equal(owed(store, &FIRST, SLICE_EMPTY, 1000)->row_count, 0);
    store_assert_holds(store, key, "apple");
}

static void
an_object_that_changed_since_stays_owed(void **state)
{
    Store *store = *state;
    Slice key = store_key(store, "a");
    Slice object = put_with_hint(store, key, "apple", adding(&FIRST, 40));

    store_put_durably(store, key, "avocado");
    change_hint(store, key, dropping(&FIRST, object), true);
    assert_int_equal(count_of(store, &FIRST), 1);
    assert_int_equal(store_read_object(store, key).sibling_count, 2);
}

static void
an_object_that_is_not_owned_goes_with_its_last_hint(void **state)
{
    Store *store = *state;
    Slice key = store_key(store, "a");
    Slice object = put_with_hint(store, key, "apple", adding(&FIRST, 40));

    change_hint(store, key, adding(&SECOND, 50), false);
    change_hint(store, key, dropping(&FIRST, object), true);
    store_assert_holds(store, key, "apple");
    change_hint(store, key, dropping(&SECOND, object), true);
    assert_int_equal(store_read(store, key)->object.length, 0);
    store_reopen(store, STORE_CACHE_BYTES);
    assert_int_equal(store_read(store, key)->object.length, 0);
    assert_int_equal(store->storage->hints.target_count, 0);
}

static void
a_key_that_went_can_be_written_again(void **state)
{
    Store *store = *state;
    Slice key = store_key(store, "a");
    Slice object = put_with_hint(store, key, "apple", adding(&FIRST, 40));
    Dot first = store_decode(store, object).siblings[0].dots[0];

    change_hint(store, key, dropping(&FIRST, object), true);
    store_put_durably(store, key, "avocado");
    store_assert_holds(store, key, "avocado");
    assert_int_not_equal(dot_compare(&store_read_object(store, key).siblings[0].dots[0], &first),
                         0);
}

static void
what_is_owed_comes_by_pages(void **state)
{
    Store *store = *state;
    Slice after = SLICE_EMPTY;
    uint32_t rows = 0;
    char name[2] = "a";

    for (; name[0] <= 'g'; name[0]++)
        put_with_hint(store, store_key(store, name), name, adding(&FIRST, 40));
    for (uint32_t pages = 0; pages < 7; pages++)
    {
        const StoragePage *page = owed(store, &FIRST, after, 1);

        assert_int_equal(page->row_count, 1);
        assert_int_equal(page->rows[0].key.data[0], 'a' + pages);
        rows += page->row_count;
        after = store_key(
            store, arena_copy_string(&store->arena, (const char *)page->rows[0].key.data, 1));
    }
    assert_int_equal(rows, 7);
    assert_int_equal(owed(store, &FIRST, after, 1)->row_count, 0);
}

static void
totals_count_what_is_owed(void **state)
{
    Store *store = *state;
    Slice key = store_key(store, "a");
    Slice object = put_with_hint(store, key, "apple", adding(&FIRST, 40));

    change_hint(store, key, adding(&SECOND, 50), false);
    assert_int_equal(store->storage->hints.bytes, 2 * object.length);
    assert_int_equal(hints_of(&store->storage->hints, &SECOND)->bytes, object.length);
    change_hint(store, key, dropping(&FIRST, object), false);
    assert_int_equal(store->storage->hints.bytes, object.length);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_hint_is_found_by_its_target_with_the_object_owed),
        STORE_TEST(a_hint_outlives_a_restart),
        STORE_TEST(a_second_hint_for_one_target_changes_nothing),
        STORE_TEST(what_was_acknowledged_drops_the_hint_and_the_owned_object_stays),
        STORE_TEST(an_object_that_changed_since_stays_owed),
        STORE_TEST(an_object_that_is_not_owned_goes_with_its_last_hint),
        STORE_TEST(a_key_that_went_can_be_written_again),
        STORE_TEST(what_is_owed_comes_by_pages),
        STORE_TEST(totals_count_what_is_owed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
