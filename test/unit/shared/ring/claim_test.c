/* Histories of clusters that grow and shrink, and what every claim on the way must be. */
#include "shared/ring/claim.h"
#include "shared/ring/ring.h"
#include "test/lib/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum
{
    PARTITIONS_MAX = 16384,
    MEMBERS_MAX = 2048,
    HISTORIES = 5,
    CHANGES = 20
};

static const double BALANCE_LEAST = 0.97;
static const double MOVES_MOST = 1.1;

typedef struct Fixture
{
    Arena arena;
    Random random;
    ClaimMember members[MEMBERS_MAX];
    uint32_t member_count;
    uint32_t last_slot;
    uint32_t partitions;
    uint16_t claim[PARTITIONS_MAX];
    uint16_t target[PARTITIONS_MAX];
} Fixture;

static int
set_up(void **state)
{
    static Fixture fixture;

    fixture = (Fixture){.last_slot = 0};
    arena_init(&fixture.arena, &MEMORY_HEAP);
    random_seed(&fixture.random, 1);
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
join(Fixture *fixture, uint32_t weight, uint16_t zone)
{
    fixture->members[fixture->member_count++] =
        (ClaimMember){.slot = (uint16_t)fixture->last_slot++, .weight = weight, .zone = zone};
}

static void
leave(Fixture *fixture, uint32_t count)
{
    uint32_t staying = fixture->member_count;

    while (count > 0 && staying > 1)
    {
        ClaimMember *member =
            &fixture->members[random_below(&fixture->random, fixture->member_count)];

        if (!member->leaves)
        {
            member->leaves = true;
            count--;
            staying--;
        }
    }
}

static ClaimMeasure
measure(Fixture *fixture, const uint16_t *claim, uint32_t n)
{
    return claim_measure(claim, fixture->partitions, fixture->members, fixture->member_count, n,
                         &fixture->arena);
}

static void
plan(Fixture *fixture, uint32_t zone_moves)
{
    assert_true(claim_plan(fixture->claim, fixture->partitions, fixture->members,
                           fixture->member_count, zone_moves, &fixture->arena, fixture->target));
}

/* The target is in force, and who left is forgotten. */
static void
settle(Fixture *fixture)
{
    uint32_t staying = 0;

    memcpy(fixture->claim, fixture->target, sizeof(uint16_t) * fixture->partitions);
    for (uint32_t i = 0; i < fixture->member_count; i++)
    {
        if (!fixture->members[i].leaves)
            fixture->members[staying++] = fixture->members[i];
    }
    fixture->member_count = staying;
    arena_reset(&fixture->arena);
}

static void
form(Fixture *fixture, uint32_t partitions, uint32_t members, uint32_t zones)
{
    fixture->partitions = partitions;
    fixture->member_count = 0;
    for (uint32_t i = 0; i < members; i++)
        join(fixture, 1, (uint16_t)(zones > 0 ? 1 + i % zones : 0));
    for (uint32_t i = 0; i < partitions; i++)
        fixture->claim[i] = CLAIM_NOBODY;
    plan(fixture, 0);
    settle(fixture);
}

/* The replicas that must move for the loads that the target has. */
static uint32_t
least_moves(Fixture *fixture)
{
    ClaimMeasure before = measure(fixture, fixture->claim, CLAIM_REPLICAS);
    ClaimMeasure after = measure(fixture, fixture->target, CLAIM_REPLICAS);
    uint32_t count = 0;

    for (uint32_t i = 0; i < fixture->member_count; i++)
    {
        if (after.replicas[i] > before.replicas[i])
            count += after.replicas[i] - before.replicas[i];
    }
    return count;
}

static uint32_t
moves(const Fixture *fixture)
{
    return claim_moves(fixture->claim, fixture->target, fixture->partitions, CLAIM_REPLICAS, NULL);
}

static void
check_owners(const Fixture *fixture)
{
    uint32_t staying = 0;
    uint16_t list[CLAIM_REPLICAS];

    for (uint32_t i = 0; i < fixture->member_count; i++)
        staying += !fixture->members[i].leaves;
    for (uint32_t i = 0; i < fixture->partitions; i++)
    {
        bool stays = false;

        for (uint32_t j = 0; j < fixture->member_count; j++)
            stays = stays ||
                    (fixture->members[j].slot == fixture->target[i] && !fixture->members[j].leaves);
        assert_true(stays);
        assert_int_equal(ring_walk(fixture->target, fixture->partitions, i, list, CLAIM_REPLICAS),
                         staying < CLAIM_REPLICAS ? staying : CLAIM_REPLICAS);
    }
}

static void
check_moves(Fixture *fixture)
{
    uint32_t least = least_moves(fixture);
    uint32_t moved = moves(fixture);

    if (moved > least * MOVES_MOST)
        fail_msg("%u moved, %u had to", moved, least);
}

/* C1: the share, rounded either way. */
static void
check_equal_shares(Fixture *fixture)
{
    ClaimMeasure single = measure(fixture, fixture->target, 1);
    uint32_t staying = 0;

    for (uint32_t i = 0; i < fixture->member_count; i++)
        staying += !fixture->members[i].leaves;
    for (uint32_t i = 0; i < fixture->member_count; i++)
    {
        if (!fixture->members[i].leaves)
            assert_in_range(single.replicas[i], fixture->partitions / staying,
                            (fixture->partitions + staying - 1) / staying);
    }
}

static void
check_balance(Fixture *fixture)
{
    double balance = measure(fixture, fixture->target, CLAIM_REPLICAS).balance;

    if (balance < BALANCE_LEAST)
        fail_msg("mean/max of replicas is %.3f", balance);
}

typedef struct History
{
    uint32_t partitions;
    uint32_t fewest;
    uint32_t most;
    uint32_t at_once; /* members that come or go in one change, at most */
    uint32_t zones;
} History;

static void
change_at_random(Fixture *fixture, const History *history)
{
    uint32_t count = 1 + random_below(&fixture->random, history->at_once);
    bool grows = random_below(&fixture->random, 2) == 0;

    if (fixture->member_count < history->fewest + count)
        grows = true;
    if (fixture->member_count + count > history->most)
        grows = false;
    if (!grows)
        leave(fixture, fixture->member_count < history->fewest + count
                           ? fixture->member_count - history->fewest
                           : count);
    for (uint32_t i = 0; grows && i < count; i++)
        join(fixture, 1,
             (uint16_t)(history->zones > 0 ? 1 + random_below(&fixture->random, history->zones)
                                           : 0));
}

static void
check_history(Fixture *fixture, const History *history)
{
    for (uint32_t run = 0; run < HISTORIES; run++)
    {
        uint32_t range = history->most - history->fewest + 1;

        form(fixture, history->partitions, history->fewest + random_below(&fixture->random, range),
             history->zones);
        for (uint32_t i = 0; i < CHANGES; i++)
        {
            change_at_random(fixture, history);
            plan(fixture, 0);
            check_owners(fixture);
            check_equal_shares(fixture);
            check_balance(fixture);
            check_moves(fixture);
            settle(fixture);
        }
    }
}

static void
loads_stay_even_and_little_moves_up_to_ten_members(void **state)
{
    check_history(*state, &(History){256, 3, 10, 1, 0});
    check_history(*state, &(History){256, 3, 10, 5, 0});
}

static void
loads_stay_even_and_little_moves_with_zones(void **state)
{
    check_history(*state, &(History){256, 3, 10, 2, 2});
    check_history(*state, &(History){256, 3, 10, 4, 3});
    check_history(*state, &(History){256, 5, 10, 3, 5});
}

static void
loads_stay_even_and_little_moves_up_to_thirty_members(void **state)
{
    check_history(*state, &(History){1024, 3, 30, 12, 0});
    check_history(*state, &(History){1024, 10, 30, 6, 3});
}

static void
a_cluster_grows_from_three_to_thirty_at_once_and_back(void **state)
{
    Fixture *fixture = *state;

    form(fixture, 1024, 3, 0);
    for (uint32_t i = 0; i < 27; i++)
        join(fixture, 1, 0);
    plan(fixture, 0);
    check_balance(fixture);
    check_moves(fixture);
    settle(fixture);
    leave(fixture, 27);
    plan(fixture, 0);
    check_owners(fixture);
    check_balance(fixture);
    check_moves(fixture);
}

static void
the_first_claim_is_even_for_every_n(void **state)
{
    Fixture *fixture = *state;
    static const uint32_t ns[] = {1, 2, 3, 5};

    for (uint32_t members = 1; members <= 30; members++)
    {
        form(fixture, members <= 10 ? 256 : 1024, members, 0);
        for (size_t i = 0; i < sizeof(ns) / sizeof(ns[0]); i++)
            assert_true(
                measure(fixture, fixture->claim, ns[i]).balance >=
                (ns[i] > CLAIM_REPLICAS && members <= CLAIM_SPACING + 2 ? 0.95 : BALANCE_LEAST));
    }
}

static void
no_member_comes_twice_in_three_nor_at_the_wrap(void **state)
{
    Fixture *fixture = *state;

    for (uint32_t members = 4; members <= 30; members++)
    {
        form(fixture, members <= 10 ? 256 : 1024, members, 0);
        for (uint32_t i = 0; i < fixture->partitions; i++)
        {
            for (uint32_t distance = 1; distance < CLAIM_REPLICAS; distance++)
                assert_int_not_equal(fixture->claim[i],
                                     fixture->claim[(i + distance) % fixture->partitions]);
        }
    }
}

/* What a dead node's partitions fall to: with one order all round the ring, to one other alone. */
static void
who_follows_a_member_is_not_always_the_same(void **state)
{
    Fixture *fixture = *state;
    uint32_t followers = 0;

    form(fixture, 256, 10, 0);
    for (uint32_t i = 0; i < 256; i++)
    {
        if (fixture->claim[i] == 0)
            followers |= 1u << fixture->claim[(i + CLAIM_REPLICAS) % 256];
    }
    assert_true(__builtin_popcount(followers) >= 6);
}

static void
partitions_follow_weights(void **state)
{
    Fixture *fixture = *state;

    form(fixture, 1024, 8, 0);
    for (uint32_t i = 0; i < 8; i++)
        fixture->members[i].weight = 1 + i % 4;
    plan(fixture, 0);
    check_balance(fixture);
    check_moves(fixture);
    for (uint32_t i = 0; i < 8; i++)
        assert_in_range(measure(fixture, fixture->target, 1).replicas[i], 1024 * (1 + i % 4) / 20,
                        1024 * (1 + i % 4) / 20 + 1);
}

static void
nobody_has_more_than_a_third_nor_less_than_one(void **state)
{
    Fixture *fixture = *state;

    form(fixture, 256, 6, 0);
    fixture->members[2].weight = UINT32_MAX;
    plan(fixture, 0);

    ClaimMeasure single = measure(fixture, fixture->target, 1);
    ClaimMeasure lists = measure(fixture, fixture->target, CLAIM_REPLICAS);

    assert_int_equal(single.replicas[2], 85);
    assert_in_range(lists.replicas[2], 230, 256);
    for (uint32_t i = 0; i < 6; i++)
        assert_true(single.replicas[i] >= 1);
}

static void
the_largest_weights_do_not_overflow(void **state)
{
    Fixture *fixture = *state;

    form(fixture, PARTITIONS_MAX, 1024, 0);
    for (uint32_t i = 0; i < 1024; i++)
        fixture->members[i].weight = UINT32_MAX;
    plan(fixture, 0);
    assert_memory_equal(fixture->claim, fixture->target, sizeof(fixture->claim));
}

static void
lists_stand_in_three_zones_where_zones_are_of_equal_size(void **state)
{
    Fixture *fixture = *state;

    for (uint32_t members = 3; members <= 12; members += 3)
    {
        form(fixture, 256, members, 3);
        assert_true(measure(fixture, fixture->claim, CLAIM_REPLICAS).zone_faults <= 8);
    }
}

/* A third member in each zone: the lists keep their zones, and nothing moves for it. */
static void
zones_are_kept_apart_when_all_of_them_grow(void **state)
{
    Fixture *fixture = *state;

    form(fixture, 256, 6, 3);
    for (uint16_t zone = 1; zone <= 3; zone++)
        join(fixture, 1, zone);
    plan(fixture, 0);
    check_moves(fixture);
    assert_true(measure(fixture, fixture->target, CLAIM_REPLICAS).zone_faults <= 8);
}

static void
a_plan_for_zones_may_move_more(void **state)
{
    Fixture *fixture = *state;
    uint32_t faults_before;

    form(fixture, 256, 9, 0);
    for (uint32_t i = 0; i < 9; i++)
        fixture->members[i].zone = (uint16_t)(1 + i % 3);
    faults_before = measure(fixture, fixture->claim, CLAIM_REPLICAS).zone_faults;
    plan(fixture, 0);
    assert_memory_equal(fixture->claim, fixture->target, sizeof(uint16_t) * 256);
    plan(fixture, 256);
    assert_true(faults_before > 150);
    assert_true(measure(fixture, fixture->target, CLAIM_REPLICAS).zone_faults < 40);
    check_balance(fixture);
}

static void
nothing_to_change_moves_nothing(void **state)
{
    Fixture *fixture = *state;

    form(fixture, 256, 7, 3);
    join(fixture, 1, 1);
    plan(fixture, 0);
    settle(fixture);
    plan(fixture, 0);
    assert_memory_equal(fixture->claim, fixture->target, sizeof(uint16_t) * 256);
}

static void
the_order_of_members_does_not_matter(void **state)
{
    Fixture *fixture = *state;
    uint16_t first[256];

    form(fixture, 256, 6, 0);
    join(fixture, 1, 0);
    fixture->members[2].leaves = true;
    plan(fixture, 0);
    memcpy(first, fixture->target, sizeof(first));
    for (uint32_t i = 0; i < 3; i++)
    {
        ClaimMember member = fixture->members[i];

        fixture->members[i] = fixture->members[6 - i];
        fixture->members[6 - i] = member;
    }
    plan(fixture, 0);
    assert_memory_equal(first, fixture->target, sizeof(first));
}

static void
a_replacement_moves_what_the_old_one_had(void **state)
{
    Fixture *fixture = *state;
    uint32_t had;

    form(fixture, 256, 5, 0);
    had = measure(fixture, fixture->claim, CLAIM_REPLICAS).replicas[3];
    memcpy(fixture->target, fixture->claim, sizeof(fixture->target));
    claim_replace(fixture->target, 256, 3, 900);
    assert_int_equal(moves(fixture), had);
    fixture->members[3].slot = 900;
    assert_int_equal(measure(fixture, fixture->target, CLAIM_REPLICAS).replicas[3], had);
}

static void
nobody_left_is_no_claim(void **state)
{
    Fixture *fixture = *state;

    form(fixture, 64, 2, 0);
    fixture->members[0].leaves = fixture->members[1].leaves = true;
    assert_false(
        claim_plan(fixture->claim, 64, fixture->members, 2, 0, &fixture->arena, fixture->target));
}

static void
more_members_than_partitions_are_claimed_by_some(void **state)
{
    Fixture *fixture = *state;
    uint16_t list[8];

    form(fixture, 8, 100, 0);
    assert_int_equal(ring_walk(fixture->claim, 8, 3, list, 8), 8);
}

/* Counts by hand, so that a fault in the measures does not hide itself. */
static void
measures_are_of_what_the_lists_have(void **state)
{
    Fixture *fixture = *state;
    static const uint16_t skewed[] = {0, 0, 0, 0, 0, 0, 1, 2};
    static const uint16_t even[] = {0, 1, 2, 0, 1, 2, 0, 1};
    uint32_t gained[CLAIM_NOBODY] = {0};

    fixture->partitions = 8;
    for (uint32_t i = 0; i < 3; i++)
        join(fixture, 1, i == 0 ? 1 : 2);
    assert_true(measure(fixture, skewed, 1).balance > 2.66 / 6);
    assert_true(measure(fixture, skewed, 1).balance < 2.67 / 6);
    /* Lists of two: six of 0 and 1, one of 1 and 2, one of 2 and 0. */
    assert_int_equal(measure(fixture, skewed, 2).replicas[0], 7);
    assert_int_equal(measure(fixture, skewed, 2).replicas[1], 7);
    assert_int_equal(measure(fixture, skewed, 2).replicas[2], 2);
    assert_int_equal(measure(fixture, skewed, 2).zone_faults, 1);
    assert_true(measure(fixture, skewed, 3).balance == 1);
    /* With n = 1: 1, 2, 1 and 2 get a partition that they had not, 0 one. */
    assert_int_equal(claim_moves(skewed, even, 8, 1, gained), 6);
    assert_int_equal(gained[0], 1);
    assert_int_equal(gained[1], 3);
    assert_int_equal(gained[2], 2);
    assert_int_equal(claim_moves(skewed, even, 8, 3, NULL), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(loads_stay_even_and_little_moves_up_to_ten_members),
        TEST(loads_stay_even_and_little_moves_with_zones),
        TEST(loads_stay_even_and_little_moves_up_to_thirty_members),
        TEST(a_cluster_grows_from_three_to_thirty_at_once_and_back),
        TEST(the_first_claim_is_even_for_every_n),
        TEST(no_member_comes_twice_in_three_nor_at_the_wrap),
        TEST(who_follows_a_member_is_not_always_the_same),
        TEST(partitions_follow_weights),
        TEST(nobody_has_more_than_a_third_nor_less_than_one),
        TEST(the_largest_weights_do_not_overflow),
        TEST(lists_stand_in_three_zones_where_zones_are_of_equal_size),
        TEST(zones_are_kept_apart_when_all_of_them_grow),
        TEST(a_plan_for_zones_may_move_more),
        TEST(nothing_to_change_moves_nothing),
        TEST(the_order_of_members_does_not_matter),
        TEST(a_replacement_moves_what_the_old_one_had),
        TEST(nobody_left_is_no_claim),
        TEST(more_members_than_partitions_are_claimed_by_some),
        TEST(measures_are_of_what_the_lists_have),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
