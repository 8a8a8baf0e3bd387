/* claim_level: even loads where members cannot all stand apart (C3). */
#include "shared/ring/claim_private.h"

#include <string.h>
#include <stdio.h>
#include <stdlib.h>

enum
{
    LIST_REACH = 24,  /* partitions that a list is looked for in, at most */
    EXCESS_COST = 50, /* of the square of a member's excess, beside CLAIM_ZONE_COST */
    BESIDE_COST = 30, /* of a member that stands beside itself, which is no fault any more */
    TOLERANCE = 100,  /* a member may have so manyth of its fair load more than that */
    STEPS = 1 << 17,  /* exchanges that are tried, at most: bounds the time */
    LOSS_MOST = 400,  /* that an exchange may bring, at the beginning */
    PROBES = 8        /* partitions that a fault is looked for at */
};

typedef struct Level
{
    Draft *draft;
    uint16_t *before; /* by partition, CLAIM_REPLICAS each: slots of its list in force */
    int64_t *loads;   /* by member: lists that it is in */
    int64_t *limits;  /* by member: lists that it may be in */
    int64_t excess; /* the sum, over members, of the squares of what they have over their limits */
    int64_t moves;  /* replicas that move */
    int64_t moves_most;
    uint32_t starts[2 * LIST_REACH]; /* of the lists that an exchange concerns */
    uint32_t start_count;
} Level;

/* The list from a partition on, as far as LIST_REACH; returns over how many partitions it goes. */
static uint32_t
walk(const uint16_t *claim, uint32_t partitions, uint32_t start, uint16_t list[CLAIM_REPLICAS])
{
    uint32_t count = 0;
    uint32_t length = 0;

    for (uint32_t i = 0; i < CLAIM_REPLICAS; i++)
        list[i] = CLAIM_NOBODY;
    while (length < LIST_REACH && count < CLAIM_REPLICAS)
    {
        uint16_t member = claim[(start + length++) & (partitions - 1)];
        bool met = false;

        for (uint32_t i = 0; i < count; i++)
            met = met || list[i] == member;
        if (!met)
            list[count++] = member;
    }
    return length;
}

static bool
is_in(uint16_t slot, const uint16_t list[CLAIM_REPLICAS])
{
    for (uint32_t i = 0; i < CLAIM_REPLICAS; i++)
    {
        if (list[i] == slot)
            return true;
    }
    return false;
}

static int64_t
square_over(int64_t load, int64_t limit)
{
    return load > limit ? (load - limit) * (load - limit) : 0;
}

/* Adds the list from a partition on to the sums, or takes it out. */
static void
count_list(Level *level, uint32_t start, int64_t sign)
{
    uint16_t list[CLAIM_REPLICAS];

    walk(level->draft->now, level->draft->partitions, start, list);
    for (uint32_t i = 0; i < CLAIM_REPLICAS && list[i] != CLAIM_NOBODY; i++)
    {
        int64_t *load = &level->loads[list[i]];
        int64_t limit = level->limits[list[i]];

        level->excess += square_over(*load + sign, limit) - square_over(*load, limit);
        *load += sign;
        if (!is_in(level->draft->members[list[i]].slot,
                   level->before + (size_t)CLAIM_REPLICAS * start))
            level->moves += sign;
    }
}

/* The lists that go over a partition. */
static void
collect_starts(Level *level, uint32_t partition)
{
    for (uint32_t back = 0; back < LIST_REACH; back++)
    {
        uint16_t list[CLAIM_REPLICAS];
        uint32_t start = (partition - back) & (level->draft->partitions - 1);
        bool is_known = false;

        if (walk(level->draft->now, level->draft->partitions, start, list) <= back)
            return;
        for (uint32_t i = 0; i < level->start_count; i++)
            is_known = is_known || level->starts[i] == start;
        if (!is_known)
            level->starts[level->start_count++] = start;
    }
}

static void
exchange(Level *level, uint32_t a, uint32_t b)
{
    level->start_count = 0;
    collect_starts(level, a);
    collect_starts(level, b);
    for (uint32_t i = 0; i < level->start_count; i++)
        count_list(level, level->starts[i], -1);
    claim_stand_swap(level->draft, a, b);
    for (uint32_t i = 0; i < level->start_count; i++)
        count_list(level, level->starts[i], 1);
}

static int64_t
place_cost(const Level *level, uint32_t partition)
{
    uint32_t place = claim_stand_cost_of(level->draft, partition);

    return place % CLAIM_NEAR_COST + place / CLAIM_NEAR_COST * BESIDE_COST;
}

static int64_t
cost(const Level *level, uint32_t a, uint32_t b)
{
    return level->excess * EXCESS_COST + place_cost(level, a) + place_cost(level, b);
}

/* A partition whose member has too much or stood beside itself, if one is found soon. */
static uint32_t
find_fault(const Level *level, uint64_t step)
{
    uint32_t partition = 0;

    for (uint32_t i = 0; i < PROBES; i++)
    {
        uint16_t member;

        partition = (uint32_t)claim_stand_chance(step, i) & (level->draft->partitions - 1);
        member = level->draft->now[partition];
        if (level->loads[member] > level->limits[member] ||
            level->draft->costs[partition] >= CLAIM_NEAR_COST)
            break;
    }
    return partition;
}

/*
 * An exchange that gains is kept, and early on one that loses a little too, since a way to even
 * loads often leads through a worse claim (threshold accepting, Dueck and Scheuer 1990).
 */
static void
try_exchange(Level *level, uint64_t step)
{
    Draft *draft = level->draft;
    uint32_t a = find_fault(level, step);
    uint32_t b = (uint32_t)claim_stand_chance(step, PROBES) & (draft->partitions - 1);
    int64_t loss_most = LOSS_MOST * (STEPS - (int64_t)step) / STEPS;
    int64_t moves = level->moves;
    int64_t loss;

    if (draft->now[a] == draft->now[b])
        return;
    loss = -cost(level, a, b);
    exchange(level, a, b);
    loss += cost(level, a, b);
    if (loss > loss_most || (level->moves > level->moves_most && level->moves > moves))
        exchange(level, a, b);
}

/* The lists in force, and the replicas that members are short of under them. */
static int64_t
count_before(Level *level, Arena *arena)
{
    Draft *draft = level->draft;
    uint16_t *numbers = claim_numbers(draft->members, draft->member_count, arena);
    int64_t *loads = arena_alloc_zero(arena, sizeof(int64_t) * draft->member_count);
    int64_t needed = 0;

    level->before = ARENA_ARRAY(arena, uint16_t, (size_t)CLAIM_REPLICAS * draft->partitions);
    for (uint32_t i = 0; i < draft->partitions; i++)
    {
        uint16_t *list = level->before + (size_t)CLAIM_REPLICAS * i;

        walk(draft->claim, draft->partitions, i, list);
        for (uint32_t j = 0; j < CLAIM_REPLICAS; j++)
        {
            if (numbers[list[j]] != CLAIM_NOBODY)
                loads[numbers[list[j]]]++;
        }
    }
    for (uint32_t i = 0; i < draft->member_count; i++)
    {
        int64_t wanted = (int64_t)draft->quotas[i] * CLAIM_REPLICAS;

        if (wanted > draft->partitions)
            wanted = draft->partitions;
        needed += wanted > loads[i] ? wanted - loads[i] : 0;
    }
    return needed;
}

static void
count_now(Level *level, Arena *arena)
{
    Draft *draft = level->draft;
    uint64_t *fair = claim_fair_loads(draft->members, draft->member_count, draft->partitions,
                                      CLAIM_REPLICAS, arena);

    level->loads = arena_alloc_zero(arena, sizeof(int64_t) * draft->member_count);
    level->limits = ARENA_ARRAY(arena, int64_t, draft->member_count);
    for (uint32_t i = 0; i < draft->member_count; i++)
    {
        int64_t limit = (int64_t)((fair[i] + fair[i] / TOLERANCE) / CLAIM_LOAD_UNIT);
        int64_t wanted = (int64_t)draft->quotas[i] * CLAIM_REPLICAS;

        level->limits[i] = wanted > limit ? wanted : limit;
    }
    for (uint32_t i = 0; i < draft->partitions; i++)
        count_list(level, i, 1);
}

void
claim_level(Draft *draft, uint32_t must_move, Arena *arena)
{
    Level level = {.draft = draft};
    size_t size = sizeof(uint16_t) * draft->partitions;
    uint16_t *best;
    int64_t best_excess;
    int64_t needed;

    /* With no more members than a list has, every list has them all. */
    if (draft->member_count <= CLAIM_REPLICAS)
        return;
    needed = count_before(&level, arena);
    if (needed > (int64_t)must_move * CLAIM_REPLICAS)
        needed = (int64_t)must_move * CLAIM_REPLICAS;
    level.moves_most = needed + needed / 11;
    count_now(&level, arena);
    best = arena_copy(arena, draft->now, size);
    best_excess = level.excess;
    for (uint64_t step = 0; step < STEPS && level.excess > 0; step++)
    {
        try_exchange(&level, step);
        if (level.excess < best_excess)
        {
            best_excess = level.excess;
            memcpy(best, draft->now, size);
        }
    }
    memcpy(draft->now, best, size);
}
