#include "node/engine/store/recall.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum
{
    BUCKETS = 4
};

typedef struct Fixture
{
    Arena arena;
    Recall *recall;
} Fixture;

static int
set_up(void **state)
{
    static Fixture fixture;

    arena_init(&fixture.arena, &MEMORY_HEAP);
    fixture.recall = recall_new(BUCKETS);
    *state = &fixture;
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;

    recall_free(fixture->recall);
    arena_free(&fixture->arena);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static RequestId
request(uint32_t number)
{
    RequestId id = {{0}};

    for (uint32_t i = 0; i < 4; i++)
        id.bytes[i] = (uint8_t)(number >> 8 * i);
    return id;
}

static void
note(Fixture *fixture, const char *key, uint32_t number, uint64_t weight)
{
    RequestId id = request(number);

    recall_note(fixture->recall, slice_from_string(key), &(RequestIds){.ids = &id, .count = 1},
                weight);
}

static bool
has(Fixture *fixture, uint32_t number)
{
    RequestId id = request(number);

    return recall_has(fixture->recall, &id);
}

static uint32_t
told(Fixture *fixture, const char *key, uint64_t weight)
{
    return recall_find(fixture->recall, slice_from_string(key), weight, &fixture->arena).count;
}

static void
what_a_key_replaced_is_found_by_id_and_by_key(void **state)
{
    Fixture *fixture = *state;

    for (uint32_t i = 0; i < 100; i++)
        note(fixture, i % 2 == 0 ? "one" : "two", i, 1);
    assert_true(has(fixture, 7));
    assert_false(has(fixture, 100));
    assert_int_equal(told(fixture, "one", 1), 50);
    assert_int_equal(told(fixture, "none", 1), 0);
}

static void
what_is_noted_twice_is_remembered_once(void **state)
{
    Fixture *fixture = *state;

    note(fixture, "one", 7, 1);
    note(fixture, "one", 7, 2);
    assert_int_equal(recall_count(fixture->recall), 1);
}

static void
what_was_replaced_is_told_with_what_replaced_it_or_not_at_all(void **state)
{
    Fixture *fixture = *state;

    note(fixture, "one", 7, 5);
    note(fixture, "one", 8, 6);
    assert_int_equal(told(fixture, "one", 4), 0);
    assert_int_equal(told(fixture, "one", 5), 1);
    assert_int_equal(told(fixture, "one", 6), 2);
}

static void
a_reaped_key_tells_it_of_nothing_and_one_that_was_handed_off_never(void **state)
{
    Fixture *fixture = *state;

    note(fixture, "one", 7, 5);
    recall_revalue(fixture->recall, slice_from_string("one"), 0);
    assert_int_equal(told(fixture, "one", 0), 1);
    recall_revalue(fixture->recall, slice_from_string("one"), UINT64_MAX);
    assert_int_equal(told(fixture, "one", 1000), 0);
    assert_false(has(fixture, 7));
}

static void
what_is_too_old_is_forgotten(void **state)
{
    Fixture *fixture = *state;

    recall_time(fixture->recall, 1000);
    note(fixture, "one", 7, 1);
    recall_time(fixture->recall, 2000);
    note(fixture, "one", 8, 1);
    recall_time(fixture->recall, 1000 + RECALL_MS);
    assert_true(has(fixture, 7));
    recall_time(fixture->recall, 1001 + RECALL_MS);
    assert_false(has(fixture, 7));
    assert_true(has(fixture, 8));
    assert_int_equal(told(fixture, "one", 1), 1);
    recall_clear(fixture->recall);
    assert_false(has(fixture, 8));
}

static void
a_hot_key_is_told_the_latest_only(void **state)
{
    Fixture *fixture = *state;
    RequestId oldest = request(0);
    RequestIds ids;

    for (uint32_t i = 0; i < RECALL_KEY_MAX + 1; i++)
        note(fixture, "hot", i, 1);
    ids = recall_find(fixture->recall, slice_from_string("hot"), 1, &fixture->arena);
    assert_int_equal(ids.count, RECALL_KEY_MAX);
    for (uint32_t i = 0; i < ids.count; i++)
        assert_memory_not_equal(&ids.ids[i], &oldest, sizeof(oldest));
    assert_true(has(fixture, 0));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_a_key_replaced_is_found_by_id_and_by_key),
        TEST(what_is_noted_twice_is_remembered_once),
        TEST(what_was_replaced_is_told_with_what_replaced_it_or_not_at_all),
        TEST(a_reaped_key_tells_it_of_nothing_and_one_that_was_handed_off_never),
        TEST(what_is_too_old_is_forgotten),
        TEST(a_hot_key_is_told_the_latest_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
