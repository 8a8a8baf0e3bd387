/* Versions tell which of two objects is newer exactly as the merge of the objects does. */
#include "shared/data/version.h"
#include "test/unit/causality/history.h"
#include "test/unit/stages/hostile.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum
{
    HISTORIES = 200,
    STEPS = 60
};

static History history;
static Arena scratch;

static int
set_up(void **state)
{
    history_init(&history);
    arena_init(&scratch, &MEMORY_HEAP);
    return 0;
}

static int
tear_down(void **state)
{
    arena_free(&scratch);
    history_free(&history);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static Slice
encoded(const Object *object)
{
    Buffer buffer;
    Slice bytes;

    buffer_init(&buffer, &MEMORY_HEAP);
    object_encode(&buffer, object);
    bytes = slice_copy(&scratch, buffer_slice(&buffer));
    buffer_free(&buffer);
    return bytes;
}

static bool
merge_changes_nothing(const Object *a, const Object *b)
{
    Object merged = object_merge(&scratch, a, b);

    return slice_equal(encoded(&merged), encoded(b));
}

/* A version tells nothing of that. */
static Object
without_replaced(const Object *object)
{
    Object bare = *object;

    bare.replaced_count = 0;
    return bare;
}

static void
check_pair(const Object *a, const Object *b)
{
    Version ours = version_of(&scratch, a);
    Version theirs = version_of(&scratch, b);
    Object mine = without_replaced(a);
    Object other = without_replaced(b);

    assert_int_equal(version_is_within(&ours, &theirs), merge_changes_nothing(&mine, &other));
    assert_int_equal(version_is_within(&theirs, &ours), merge_changes_nothing(&other, &mine));
}

static void
a_version_is_within_another_when_merging_its_object_changes_nothing(void **state)
{
    for (uint64_t seed = 1; seed <= HISTORIES; seed++)
    {
        history_begin(&history, seed);
        for (uint32_t step = 0; step < STEPS; step++)
        {
            history_step(&history);
            arena_reset(&scratch);

            Object a = history_object(&history, history_any_snapshot(&history));
            Object b = history_object(&history, history_any_snapshot(&history));

            check_pair(&a, &b);
            check_pair(&a, &a);
        }
    }
}

static void
the_version_of_nothing_is_within_every_other(void **state)
{
    Version nothing = {0};
    Version some;
    Object object;

    history_begin(&history, 1);
    do
    {
        history_step(&history);
        object = history_object(&history, history_any_snapshot(&history));
    } while (object.context.count == 0);
    some = version_of(&scratch, &object);
    assert_true(version_is_within(&nothing, &nothing));
    assert_true(version_is_within(&nothing, &some));
    assert_false(version_is_within(&some, &nothing));
}

static void
versions_come_back_and_hostile_bytes_are_refused(void **state)
{
    Buffer buffer;

    buffer_init(&buffer, &MEMORY_HEAP);
    for (uint64_t seed = 1; seed <= 20; seed++)
    {
        Object object;
        Version version;

        history_begin(&history, seed);
        for (uint32_t step = 0; step < 20; step++)
            history_step(&history);
        object = history_object(&history, history_any_snapshot(&history));
        version = version_of(&scratch, &object);
        buffer_reset(&buffer);
        version_encode(&buffer, &version);
        assert_hostile_bytes_are_refused(buffer_slice(&buffer), round_trip_version);
    }
    buffer_free(&buffer);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_version_is_within_another_when_merging_its_object_changes_nothing),
        TEST(the_version_of_nothing_is_within_every_other),
        TEST(versions_come_back_and_hostile_bytes_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
