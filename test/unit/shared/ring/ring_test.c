/* The claim of partitions: shares by weight, owners far apart, zones spread, and the walk along the
 * ring. */
#include "shared/ring/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum
{
    SPACING = 5
};

/* The greatest loss by rounding alone is what a claim may have: 0.97 of the mean. */
/* mean / max of the number of partitions that nodes own at n replicas: 1 is perfect. */
static double
balance_of(const uint16_t *claim, uint32_t partitions, uint32_t node_count, uint32_t n,
           Arena *arena)
{
    uint32_t *loads = arena_alloc_zero(arena, sizeof(uint32_t) * node_count);
    uint16_t *owners = ARENA_ARRAY(arena, uint16_t, n);
    uint32_t largest = 0;
    uint64_t sum = 0;

    for (uint32_t partition = 0; partition < partitions; partition++)
    {
        uint32_t count = ring_walk(claim, partitions, partition, node_count, owners, n);

        for (uint32_t i = 0; i < count; i++)
            loads[owners[i]]++;
        sum += count;
    }
    for (uint32_t i = 0; i < node_count; i++)
        largest = loads[i] > largest ? loads[i] : largest;
    return largest == 0 ? 0 : (double)sum / node_count / largest;
}

static const double BALANCE_MARK = 0.97;

typedef struct Fixture
{
    Arena arena;
    RingNode nodes[RING_NODES_MAX];
    uint16_t claim[RING_PARTITIONS_MAX];
} Fixture;

static int
set_up(void **state)
{
    static Fixture fixture;

    arena_init(&fixture.arena, &MEMORY_HEAP);
    for (uint32_t i = 0; i < RING_NODES_MAX; i++)
        fixture.nodes[i] = (RingNode){.weight = 1};
    *state = &fixture;
    return 0;
}

static int
tear_down(void **state)
{
    arena_free(&((Fixture *)*state)->arena);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void
claim(Fixture *fixture, uint32_t node_count, uint32_t partitions)
{
    ring_claim(fixture->nodes, node_count, partitions, SPACING, &fixture->arena, fixture->claim);
}

static void
check_balance(Fixture *fixture, uint32_t node_count, uint32_t partitions)
{
    static const uint32_t ns[] = {1, 2, 3, 5};

    claim(fixture, node_count, partitions);
    for (size_t i = 0; i < sizeof(ns) / sizeof(ns[0]); i++)
        assert_true(balance_of(fixture->claim, partitions, node_count, ns[i], &fixture->arena) >=
                    BALANCE_MARK);
}

static void
load_is_balanced_up_to_ten_nodes_at_256_partitions(void **state)
{
    for (uint32_t nodes = 1; nodes <= 10; nodes++)
        check_balance(*state, nodes, 256);
}

static void
load_is_balanced_up_to_thirty_nodes_at_1024_partitions(void **state)
{
    for (uint32_t nodes = 1; nodes <= 30; nodes++)
        check_balance(*state, nodes, 1024);
}

/* Counts by hand, so that a fault in ring_walk or balance_of does not hide itself. */
static void
balance_is_mean_over_max_of_owned_partitions(void **state)
{
    Fixture *fixture = *state;
    static const uint16_t skewed[] = {0, 0, 0, 0, 0, 0, 1, 2};

    /* n = 1: the nodes own 6, 1, 1. n = 2: 7, 7, 2, since partition 6 goes to 1 and 2, 7 to 2 and
     * 0. */
    assert_true(balance_of(skewed, 8, 3, 1, &fixture->arena) == 8.0 / 3 / 6);
    assert_true(balance_of(skewed, 8, 3, 2, &fixture->arena) == 16.0 / 3 / 7);
    assert_true(balance_of(skewed, 8, 3, 3, &fixture->arena) == 1);
}

static void
no_node_comes_twice_within_the_spacing_nor_at_the_wrap(void **state)
{
    Fixture *fixture = *state;

    for (uint32_t nodes = SPACING + 1; nodes <= 30; nodes++)
    {
        uint32_t partitions = nodes <= 10 ? 256 : 1024;

        claim(fixture, nodes, partitions);
        for (uint32_t i = 0; i < partitions; i++)
        {
            for (uint32_t distance = 1; distance < SPACING; distance++)
                assert_int_not_equal(fixture->claim[i],
                                     fixture->claim[(i + distance) % partitions]);
        }
    }
}

static void
a_walk_gives_distinct_nodes_from_every_partition(void **state)
{
    Fixture *fixture = *state;

    for (uint32_t nodes = 1; nodes <= 20; nodes++)
    {
        claim(fixture, nodes, 64);
        for (uint32_t partition = 0; partition < 64; partition++)
        {
            uint16_t list[20];
            uint32_t seen = 0;

            assert_int_equal(ring_walk(fixture->claim, 64, partition, nodes, list, 20), nodes);
            assert_int_equal(list[0], fixture->claim[partition]);
            for (uint32_t i = 0; i < nodes; i++)
                seen |= 1u << list[i];
            assert_int_equal(seen, (1u << nodes) - 1);
        }
    }
}

static void
a_walk_over_a_skewed_claim_skips_nodes_it_has(void **state)
{
    static const uint16_t skewed[] = {0, 0, 1, 0, 1, 2, 0, 0};
    uint16_t list[3];

    assert_int_equal(ring_walk(skewed, 8, 6, 3, list, 3), 3);
    assert_int_equal(list[0], 0);
    assert_int_equal(list[1], 1);
    assert_int_equal(list[2], 2);
    assert_int_equal(ring_walk(skewed, 8, 5, 3, list, 2), 2);
    assert_int_equal(list[0], 2);
    assert_int_equal(list[1], 0);
}

static void
partitions_follow_weights(void **state)
{
    Fixture *fixture = *state;
    uint32_t counts[4] = {0};

    for (uint32_t i = 0; i < 4; i++)
        fixture->nodes[i].weight = i + 1;
    claim(fixture, 4, 1024);
    for (uint32_t i = 0; i < 1024; i++)
        counts[fixture->claim[i]]++;
    for (uint32_t i = 0; i < 4; i++)
        assert_in_range(counts[i], 1024 * (i + 1) / 10, 1024 * (i + 1) / 10 + 1);
}

static void
the_largest_weights_do_not_overflow(void **state)
{
    Fixture *fixture = *state;
    uint32_t count = 0;

    for (uint32_t i = 0; i < RING_NODES_MAX; i++)
        fixture->nodes[i].weight = UINT32_MAX;
    claim(fixture, RING_NODES_MAX, RING_PARTITIONS_MAX);
    for (uint32_t i = 0; i < RING_PARTITIONS_MAX; i++)
        count += fixture->claim[i] == 7;
    assert_int_equal(count, RING_PARTITIONS_MAX / RING_NODES_MAX);
}

static double
share_of_partitions_over_three_zones(const Fixture *fixture, uint32_t node_count,
                                     uint32_t partitions)
{
    uint32_t good = 0;

    for (uint32_t partition = 0; partition < partitions; partition++)
    {
        uint16_t owners[3];
        unsigned zones = 0;

        ring_walk(fixture->claim, partitions, partition, node_count, owners, 3);
        for (int i = 0; i < 3; i++)
            zones |= 1u << fixture->nodes[owners[i]].zone;
        good += __builtin_popcount(zones) == 3;
    }
    return (double)good / partitions;
}

static void
owners_stand_in_different_zones_where_zones_are_of_equal_size(void **state)
{
    Fixture *fixture = *state;

    for (uint32_t nodes = 3; nodes <= 12; nodes += 3)
    {
        /* The worst order for a claim that would look at indexes alone. */
        for (uint32_t i = 0; i < nodes; i++)
            fixture->nodes[i].zone = (uint16_t)(1 + i / (nodes / 3));
        check_balance(fixture, nodes == 12 ? 8 : nodes, 256);
        claim(fixture, nodes, 256);
        assert_true(share_of_partitions_over_three_zones(fixture, nodes, 256) >= 0.9);
    }
}

static void
equal_input_gives_an_equal_claim(void **state)
{
    Fixture *fixture = *state;
    uint16_t first[256];

    claim(fixture, 7, 256);
    memcpy(first, fixture->claim, sizeof(first));
    claim(fixture, 7, 256);
    assert_memory_equal(first, fixture->claim, sizeof(first));
}

static void
a_ring_with_more_nodes_than_partitions_is_claimed_by_some(void **state)
{
    Fixture *fixture = *state;
    uint16_t list[8];

    claim(fixture, 100, 8);
    assert_int_equal(ring_walk(fixture->claim, 8, 3, 100, list, 8), 8);
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
        TEST(load_is_balanced_up_to_ten_nodes_at_256_partitions),
        TEST(load_is_balanced_up_to_thirty_nodes_at_1024_partitions),
        TEST(balance_is_mean_over_max_of_owned_partitions),
        TEST(no_node_comes_twice_within_the_spacing_nor_at_the_wrap),
        TEST(a_walk_gives_distinct_nodes_from_every_partition),
        TEST(a_walk_over_a_skewed_claim_skips_nodes_it_has),
        TEST(partitions_follow_weights),
        TEST(the_largest_weights_do_not_overflow),
        TEST(owners_stand_in_different_zones_where_zones_are_of_equal_size),
        TEST(equal_input_gives_an_equal_claim),
        TEST(a_ring_with_more_nodes_than_partitions_is_claimed_by_some),
        TEST(positions_fall_into_partitions_in_order),
        TEST(partitions_are_a_power_of_two_within_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
