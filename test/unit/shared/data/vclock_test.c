/* Version vectors: order, merge, and the one form that each has. */
#include "shared/data/vclock.h"
#include "test/unit/causality/history.h"
#include "test/unit/stages/hostile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static Arena arena;

static int
set_up(void **state)
{
    arena_init(&arena, &MEMORY_HEAP);
    return 0;
}

static int
tear_down(void **state)
{
    arena_free(&arena);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static Dot
dot(uint8_t actor, uint64_t epoch, uint64_t counter)
{
    return (Dot){.actor = {{actor}}, .epoch = epoch, .counter = counter};
}

static VClock
clock_with(VClock clock, Dot more)
{
    return vclock_add(&arena, &clock, &more);
}

static Slice
encoded(const VClock *clock)
{
    Buffer buffer;

    buffer_init(&buffer, &MEMORY_HEAP);
    vclock_encode(&buffer, clock);

    Slice bytes = slice_copy(&arena, buffer_slice(&buffer));

    buffer_free(&buffer);
    return bytes;
}

static VClock
random_clock(uint64_t *random)
{
    VClock clock = {0};

    for (uint64_t i = history_random_below(random, 6); i > 0; i--)
        clock = clock_with(clock, dot((uint8_t)history_random_below(random, 3),
                                      1 + history_random_below(random, 2),
                                      1 + history_random_below(random, 4)));
    return clock;
}

static void
a_clock_covers_every_counter_up_to_its_own(void **state)
{
    VClock clock = clock_with((VClock){0}, dot(1, 1, 3));
    Dot covered = dot(1, 1, 2);
    Dot later = dot(1, 1, 4);
    Dot other_epoch = dot(1, 2, 1);
    Dot other_actor = dot(2, 1, 1);

    assert_true(vclock_covers(&clock, &covered));
    assert_false(vclock_covers(&clock, &later));
    assert_false(vclock_covers(&clock, &other_epoch));
    assert_false(vclock_covers(&clock, &other_actor));
}

static void
adding_a_lower_counter_changes_nothing(void **state)
{
    VClock clock = clock_with(clock_with((VClock){0}, dot(1, 1, 3)), dot(1, 1, 2));

    assert_int_equal(clock.count, 1);
    assert_int_equal(clock.entries[0].counter, 3);
}

static void
clocks_compare_by_what_they_cover(void **state)
{
    VClock a = clock_with((VClock){0}, dot(1, 1, 1));
    VClock b = clock_with(a, dot(2, 1, 1));
    VClock c = clock_with(a, dot(3, 1, 1));
    VClock empty = {0};

    assert_int_equal(vclock_compare(&a, &a), VCLOCK_EQUAL);
    assert_int_equal(vclock_compare(&a, &b), VCLOCK_BEFORE);
    assert_int_equal(vclock_compare(&b, &a), VCLOCK_AFTER);
    assert_int_equal(vclock_compare(&b, &c), VCLOCK_CONCURRENT);
    assert_int_equal(vclock_compare(&empty, &empty), VCLOCK_EQUAL);
    assert_int_equal(vclock_compare(&empty, &a), VCLOCK_BEFORE);
}

static void
merge_is_the_least_clock_that_covers_both(void **state)
{
    uint64_t random = 1;

    for (int i = 0; i < 5000; i++)
    {
        VClock a = random_clock(&random);
        VClock b = random_clock(&random);
        VClock merged = vclock_merge(&arena, &a, &b);
        VClock reverse = vclock_merge(&arena, &b, &a);

        assert_true(slice_equal(encoded(&merged), encoded(&reverse)));
        for (uint8_t actor = 0; actor < 3; actor++)
        {
            for (uint64_t epoch = 1; epoch <= 2; epoch++)
            {
                Actor who = {{actor}};
                uint64_t in_a = vclock_counter(&a, &who, epoch);
                uint64_t in_b = vclock_counter(&b, &who, epoch);

                assert_int_equal(vclock_counter(&merged, &who, epoch), in_a > in_b ? in_a : in_b);
            }
        }
    }
}

static void
equal_clocks_have_equal_bytes_however_they_came_about(void **state)
{
    VClock a = clock_with(clock_with((VClock){0}, dot(1, 1, 1)), dot(2, 1, 5));
    VClock b = clock_with(clock_with((VClock){0}, dot(2, 1, 5)), dot(1, 1, 1));

    assert_true(slice_equal(encoded(&a), encoded(&b)));
}

static void
dots_order_by_actor_then_epoch_then_counter(void **state)
{
    Dot ascending[] = {dot(1, 1, 9), dot(1, 2, 1), dot(1, 2, 2), dot(2, 1, 1), dot(200, 1, 1)};

    for (int i = 0; i < 5; i++)
    {
        for (int j = 0; j < 5; j++)
        {
            int order = dot_compare(&ascending[i], &ascending[j]);

            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
}

static void
hostile_bytes_are_refused(void **state)
{
    uint64_t random = 2;

    for (int i = 0; i < 50; i++)
    {
        VClock clock = random_clock(&random);

        assert_hostile_bytes_are_refused(encoded(&clock), round_trip_vclock);
    }
}

static void
entries_out_of_order_or_doubled_or_zero_are_refused(void **state)
{
    Dot entries[][2] = {
        {dot(2, 1, 1), dot(1, 1, 1)},
        {dot(1, 1, 1), dot(1, 1, 2)},
        {dot(1, 0, 1), dot(2, 1, 1)},
        {dot(1, 1, 0), dot(2, 1, 1)},
    };

    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
    {
        VClock clock = {.entries = entries[i], .count = 2};
        Reader reader = reader_begin(encoded(&clock));

        assert_int_equal(vclock_decode(&reader, &arena).count, 0);
        assert_false(reader_finish(&reader));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_clock_covers_every_counter_up_to_its_own),
        TEST(adding_a_lower_counter_changes_nothing),
        TEST(clocks_compare_by_what_they_cover),
        TEST(merge_is_the_least_clock_that_covers_both),
        TEST(equal_clocks_have_equal_bytes_however_they_came_about),
        TEST(dots_order_by_actor_then_epoch_then_counter),
        TEST(hostile_bytes_are_refused),
        TEST(entries_out_of_order_or_doubled_or_zero_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
