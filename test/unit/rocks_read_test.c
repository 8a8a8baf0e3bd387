#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/rocks_fixture.h"

#include <stdio.h>

/* The keys of a page, each followed by a blank. */
static const char *
scan_keys(Store *store, const StorageRange *range, bool *done)
{
    const Answer *answer = store_scan(store, range);
    Buffer text;
    const char *copy;

    assert_int_equal(answer->status, STATUS_OK);
    buffer_init(&text, &MEMORY_HEAP);
    for (uint32_t i = 0; i < answer->page.row_count; i++)
    {
        buffer_put(&text, answer->page.rows[i].key.data, answer->page.rows[i].key.length);
        buffer_put(&text, " ", 1);
    }
    copy = arena_copy_string(&store->arena, (const char *)text.data, text.length);
    buffer_free(&text);
    *done = answer->page.done;
    return copy;
}

static void
fill_ranges(Store *store)
{
    store_put(store, store_key_in(store, 2, 5, "other"), "v", NULL);
    store_put(store, store_key_in(store, 1, 30, "c"), "v", NULL);
    store_put(store, store_key_in(store, 1, 10, "b"), "v", NULL);
    store_put(store, store_key_in(store, 1, 10, "a"), "v", NULL);
    store_put(store, store_key_in(store, 1, 20, ""), "v", NULL);
    store_put(store, store_key_in(store, 0, 7, "before"), "v", NULL);
    store_put_durably(store, store_key_in(store, 1, UINT64_MAX, "z"), "v");
}

static void
a_scan_gives_one_bucket_in_ring_order(void **state)
{
    Store *store = *state;
    StorageRange range = store_whole_bucket(1);
    bool done;

    fill_ranges(store);
    assert_string_equal(scan_keys(store, &range, &done), "a b  c z ");
    assert_true(done);
    range = store_whole_bucket(3);
    assert_string_equal(scan_keys(store, &range, &done), "");
    assert_true(done);
}

static void
a_scan_keeps_to_its_positions(void **state)
{
    Store *store = *state;
    StorageRange range = store_whole_bucket(1);
    bool done;

    fill_ranges(store);
    range.first_position = 11;
    range.last_position = 30;
    assert_string_equal(scan_keys(store, &range, &done), " c ");
    range.first_position = range.last_position = 10;
    assert_string_equal(scan_keys(store, &range, &done), "a b ");
    range.first_position = 40;
    assert_string_equal(scan_keys(store, &range, &done), "");
    assert_true(done);
}

static void
a_scan_goes_on_after_a_place_and_ends_through_one(void **state)
{
    Store *store = *state;
    StorageRange range = store_whole_bucket(1);
    bool done;

    fill_ranges(store);
    range.after = store_place(store, 10, "a");
    assert_string_equal(scan_keys(store, &range, &done), "b  c z ");
    range.through = store_place(store, 30, "c");
    assert_string_equal(scan_keys(store, &range, &done), "b  c ");
    assert_true(done);
    range.through = store_place(store, 10, "a");
    assert_string_equal(scan_keys(store, &range, &done), "");
    range.after = slice_make("short", 5);
    assert_int_equal(store_scan(store, &range)->status, STATUS_BAD_FRAME);
}

static void
pages_together_give_every_row_once(void **state)
{
    Store *store = *state;
    StorageRange range = store_whole_bucket(1);
    uint64_t ref = 0;
    unsigned rows = 0;
    unsigned pages = 0;
    bool done = false;
    char key[16];

    for (unsigned i = 0; i < 500; i++)
    {
        snprintf(key, sizeof(key), "%03u", i);
        ref = store_put(store, store_key_in(store, 1, i / 10, key), key, NULL);
    }
    store_await_durable(store, ref);
    range.max_bytes = 2000;
    for (; !done; pages++)
    {
        const Answer *answer = store_scan(store, &range);

        assert_int_equal(answer->status, STATUS_OK);
        assert_true(answer->page.row_count > 0);
        for (uint32_t i = 0; i < answer->page.row_count; i++, rows++)
        {
            const StorageRow *row = &answer->page.rows[i];
            Object object = store_decode(store, row->object);

            snprintf(key, sizeof(key), "%03u", rows);
            assert_true(slice_equal(row->key, slice_from_string(key)));
            assert_int_equal(row->position, rows / 10);
            store_assert_value(&object, 0, key);
        }
        snprintf(key, sizeof(key), "%03u", rows - 1);
        range.after = store_place(store, (rows - 1) / 10, key);
        done = answer->page.done;
    }
    assert_int_equal(rows, 500);
    assert_true(pages > 10);
}

static void
a_page_holds_at_least_one_row_and_knows_its_end(void **state)
{
    Store *store = *state;
    StorageRange range = store_whole_bucket(1);
    bool done;

    fill_ranges(store);
    range.max_bytes = 0;
    assert_string_equal(scan_keys(store, &range, &done), "a ");
    assert_false(done);
    range.after = store_place(store, 30, "c");
    assert_string_equal(scan_keys(store, &range, &done), "z ");
    assert_true(done);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_scan_gives_one_bucket_in_ring_order),
        STORE_TEST(a_scan_keeps_to_its_positions),
        STORE_TEST(a_scan_goes_on_after_a_place_and_ends_through_one),
        STORE_TEST(pages_together_give_every_row_once),
        STORE_TEST(a_page_holds_at_least_one_row_and_knows_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
