/* claim: how many partitions each member is to have, and the way from one claim to the next. */
#include "shared/ring/claim_private.h"

#include <stdlib.h>
#include <string.h>

static uint32_t
least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static int
compare_slots(const void *a, const void *b)
{
    uint16_t x = ((const ClaimMember *)a)->slot;
    uint16_t y = ((const ClaimMember *)b)->slot;

    return (x > y) - (x < y);
}

static void
number_members(Draft *draft, const ClaimMember *members, uint32_t member_count, Arena *arena)
{
    ClaimMember *sorted = ARENA_ARRAY(arena, ClaimMember, member_count);

    for (uint32_t i = 0; i < member_count; i++)
    {
        if (!members[i].leaves)
            sorted[draft->member_count++] = members[i];
    }
    qsort(sorted, draft->member_count, sizeof(ClaimMember), compare_slots);
    draft->members = sorted;
}

uint16_t *
claim_numbers(const ClaimMember *members, uint32_t member_count, Arena *arena)
{
    size_t size = sizeof(uint16_t) * (CLAIM_NOBODY + 1);
    uint16_t *numbers = arena_alloc(arena, size);

    memset(numbers, 0xFF, size);
    for (uint32_t i = 0; i < member_count; i++)
        numbers[members[i].slot] = (uint16_t)i;
    return numbers;
}

static void
number_claim(Draft *draft, Arena *arena)
{
    uint16_t *numbers = claim_numbers(draft->members, draft->member_count, arena);
    uint16_t *was = ARENA_ARRAY(arena, uint16_t, draft->partitions);

    draft->held = arena_alloc_zero(arena, sizeof(uint32_t) * draft->member_count);
    for (uint32_t i = 0; i < draft->partitions; i++)
    {
        was[i] = numbers[draft->claim[i]];
        if (was[i] != CLAIM_NOBODY)
            draft->held[was[i]]++;
    }
    draft->was = was;
    draft->now = arena_copy(arena, was, sizeof(uint16_t) * draft->partitions);
}

/* What is left to share out among members that have no quota yet, and the sum of their weights. */
typedef struct Rest
{
    uint64_t weights;
    uint32_t partitions;
} Rest;

static void
set_quota(Draft *draft, Rest *rest, uint32_t member, uint32_t quota)
{
    draft->quotas[member] = quota;
    rest->weights -= draft->members[member].weight;
    rest->partitions -= quota;
}

/*
 * Members with more than one in CLAIM_REPLICAS have just that: more would bring them into no more
 * lists, and only push others from where they stand well. Members with less than one have one, so
 * that lists can be as long as there are members. Each such change is one to the others' shares:
 * hence again, until nobody is beyond the bounds.
 */
static void
share_bounded(Draft *draft, Rest *rest)
{
    uint32_t most = draft->partitions / CLAIM_REPLICAS;
    bool is_many = draft->member_count > CLAIM_REPLICAS;
    bool is_enough = draft->member_count <= draft->partitions;
    bool found = true;

    while (found)
    {
        found = false;
        for (uint32_t i = 0; i < draft->member_count; i++)
        {
            uint64_t share = (uint64_t)draft->members[i].weight * rest->partitions;

            if (draft->quotas[i] > 0)
                continue;
            if (is_many && share > most * rest->weights)
                set_quota(draft, rest, i, most);
            else if (is_enough && share < rest->weights)
                set_quota(draft, rest, i, 1);
            found = found || draft->quotas[i] > 0;
        }
    }
}

/* The part of a partition by which a member's quota is less than its share. */
typedef struct Remainder
{
    uint64_t size;
    uint32_t member;
    bool keeps; /* a quota rounded up saves a move */
} Remainder;

static int
compare_remainders(const void *left, const void *right)
{
    const Remainder *a = left;
    const Remainder *b = right;

    if (a->keeps != b->keeps)
        return a->keeps ? -1 : 1;
    if (a->size != b->size)
        return a->size > b->size ? -1 : 1;
    return (a->member > b->member) - (a->member < b->member);
}

static void
share_partitions(Draft *draft, Arena *arena)
{
    Remainder *remainders = ARENA_ARRAY(arena, Remainder, draft->member_count);
    Rest rest = {.partitions = draft->partitions};
    uint32_t left;
    uint32_t count = 0;

    draft->quotas = arena_alloc_zero(arena, sizeof(uint32_t) * draft->member_count);
    for (uint32_t i = 0; i < draft->member_count; i++)
        rest.weights += draft->members[i].weight;
    share_bounded(draft, &rest);
    left = rest.partitions;
    for (uint32_t i = 0; i < draft->member_count; i++)
    {
        uint64_t share = (uint64_t)draft->members[i].weight * rest.partitions;

        if (draft->quotas[i] > 0)
            continue;
        draft->quotas[i] = (uint32_t)(share / rest.weights);
        left -= draft->quotas[i];
        if (share % rest.weights > 0)
            remainders[count++] = (Remainder){.size = share % rest.weights,
                                              .member = i,
                                              .keeps = draft->held[i] > draft->quotas[i]};
    }
    qsort(remainders, count, sizeof(Remainder), compare_remainders);
    for (uint32_t i = 0; i < left; i++)
        draft->quotas[remainders[i].member]++;
}

/* Within how many neighbours a member can be kept single where owners have partitions (C3, C4). */
static uint32_t
window_among(uint32_t owners)
{
    if (owners <= CLAIM_REPLICAS)
        return owners;
    /* Two more than the window, so that a place suits more than one member. */
    return owners - 2 < CLAIM_REPLICAS ? CLAIM_REPLICAS : least(owners - 2, CLAIM_SPACING);
}

static void
measure_windows(Draft *draft, Arena *arena)
{
    uint32_t owners = 0;
    uint32_t zone_count = 0;

    draft->windows = ARENA_ARRAY(arena, uint8_t, draft->member_count);
    draft->zones = ARENA_ARRAY(arena, uint32_t, draft->member_count);
    draft->zone_windows = ARENA_ARRAY(arena, uint8_t, draft->member_count);
    for (uint32_t i = 0; i < draft->member_count; i++)
    {
        uint16_t zone = draft->members[i].zone;

        draft->zones[i] = zone != 0 ? zone : UINT16_MAX + 1 + i;
        owners += draft->quotas[i] > 0;
    }
    for (uint32_t i = 0; i < draft->member_count; i++)
    {
        uint32_t quota = draft->quotas[i];
        uint32_t zone_quota = 0;
        bool is_first = true;

        for (uint32_t j = 0; j < draft->member_count; j++)
        {
            bool together = draft->zones[j] == draft->zones[i];

            zone_quota += together ? draft->quotas[j] : 0;
            is_first = is_first && (!together || j >= i);
        }
        zone_count += is_first && zone_quota > 0;
        draft->windows[i] =
            (uint8_t)least(window_among(owners), draft->partitions / (quota > 0 ? quota : 1));
        draft->zone_windows[i] =
            (uint8_t)least(CLAIM_SPACING, draft->partitions / (zone_quota > 0 ? zone_quota : 1));
    }
    draft->zones_in_list = least(zone_count, CLAIM_REPLICAS);
}

/* Partitions that must move, since members are short of them. */
static uint32_t
count_short(const Draft *draft)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < draft->member_count; i++)
    {
        if (draft->quotas[i] > draft->held[i])
            count += draft->quotas[i] - draft->held[i];
    }
    return count;
}

/* Faults that cost most are mended first, and without moves before with moves. */
static void
mend(Draft *draft, uint32_t zone_moves, Arena *arena)
{
    claim_stand_cost(draft);
    draft->extra_moves = count_short(draft) / 12;
    claim_stand_mend(draft, CLAIM_NEAR_COST, false);
    claim_stand_mend(draft, CLAIM_ZONE_COST, false);
    claim_stand_mend(draft, CLAIM_NEAR_COST, true);
    draft->extra_moves += zone_moves;
    claim_stand_mend(draft, CLAIM_ZONE_COST, true);
    claim_stand_mend(draft, 1, false);
    claim_level(draft, count_short(draft) + zone_moves, arena);
}

bool
claim_plan(const uint16_t *claim, uint32_t partitions, const ClaimMember *members,
           uint32_t member_count, uint32_t zone_moves, Arena *arena, uint16_t *target)
{
    Draft draft = {.partitions = partitions,
                   .claim = claim,
                   .costs = ARENA_ARRAY(arena, uint32_t, partitions)};

    number_members(&draft, members, member_count, arena);
    if (draft.member_count == 0)
        return false;
    number_claim(&draft, arena);
    share_partitions(&draft, arena);
    measure_windows(&draft, arena);
    claim_stand_vacate(&draft, arena);
    claim_stand_fill(&draft, arena);
    mend(&draft, zone_moves, arena);
    for (uint32_t i = 0; i < partitions; i++)
        target[i] = draft.members[draft.now[i]].slot;
    return true;
}

void
claim_replace(uint16_t *claim, uint32_t partitions, uint16_t old_slot, uint16_t new_slot)
{
    for (uint32_t i = 0; i < partitions; i++)
    {
        if (claim[i] == old_slot)
            claim[i] = new_slot;
    }
}
