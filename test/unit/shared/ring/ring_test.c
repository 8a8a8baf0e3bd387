/* The claim of partitions: shares by weight, owners far apart, zones spread, and the walk along the
 * ring. */
#include "shared/ring/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void
a_walk_gives_distinct_slots_from_every_partition(void **state)
{
    static const uint16_t claim[] = {7, 1, 65000, 4, 7, 1, 65000, 4};

    for (uint32_t partition = 0; partition < 8; partition++)
    {
        uint16_t list[4];

        assert_int_equal(ring_walk(claim, 8, partition, list, 4), 4);
        for (uint32_t i = 0; i < 4; i++)
            assert_int_equal(list[i], claim[(partition + i) % 8]);
    }
}

static void
a_walk_over_a_skewed_claim_skips_slots_it_has(void **state)
{
    static const uint16_t skewed[] = {0, 0, 1, 0, 1, 2, 0, 0};
    uint16_t list[3];

    assert_int_equal(ring_walk(skewed, 8, 6, list, 3), 3);
    assert_int_equal(list[0], 0);
    assert_int_equal(list[1], 1);
    assert_int_equal(list[2], 2);
    assert_int_equal(ring_walk(skewed, 8, 5, list, 2), 2);
    assert_int_equal(list[0], 2);
    assert_int_equal(list[1], 0);
}

static void
a_walk_ends_when_there_are_no_more_slots(void **state)
{
    static const uint16_t claim[] = {3, 5, 3, 5, 3, 5, 3, 5};
    uint16_t list[8];

    assert_int_equal(ring_walk(claim, 8, 1, list, 8), 2);
    assert_int_equal(list[0], 5);
    assert_int_equal(list[1], 3);
}

static void
positions_fall_into_partitions_in_order(void **state)
{
    assert_int_equal(ring_partition(0, 8), 0);
    assert_int_equal(ring_partition(UINT64_MAX, 8), 7);
    assert_int_equal(ring_partition(UINT64_MAX, RING_PARTITIONS_MAX), RING_PARTITIONS_MAX - 1);
    for (uint32_t partition = 1; partition < 256; partition++)
    {
        uint64_t start = ring_partition_start(partition, 256);

        assert_int_equal(ring_partition(start, 256), partition);
        assert_int_equal(ring_partition(start - 1, 256), partition - 1);
    }
}

static void
partitions_are_a_power_of_two_within_bounds(void **state)
{
    assert_true(ring_partitions_are_valid(8));
    assert_true(ring_partitions_are_valid(8192));
    assert_false(ring_partitions_are_valid(0));
    assert_false(ring_partitions_are_valid(4));
    assert_false(ring_partitions_are_valid(100));
    assert_false(ring_partitions_are_valid(16384));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_walk_gives_distinct_slots_from_every_partition),
        cmocka_unit_test(a_walk_over_a_skewed_claim_skips_slots_it_has),
        cmocka_unit_test(a_walk_ends_when_there_are_no_more_slots),
        cmocka_unit_test(positions_fall_into_partitions_in_order),
        cmocka_unit_test(partitions_are_a_power_of_two_within_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
