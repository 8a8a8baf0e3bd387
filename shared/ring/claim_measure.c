/* claim_measure: how even a claim is, and what moves from one to another. */
#include "shared/ring/claim_private.h"

#include "shared/ring/ring.h"

enum
{
    LIST_MAX = 16
};

static uint32_t
least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

uint64_t *
claim_fair_loads(const ClaimMember *members, uint32_t member_count, uint32_t partitions, uint32_t n,
                 Arena *arena)
{
    uint64_t *loads = arena_alloc_zero(arena, sizeof(uint64_t) * member_count);
    uint64_t whole = (uint64_t)partitions * CLAIM_LOAD_UNIT;
    uint64_t weights = 0;
    uint64_t lists = 0;
    bool found = true;

    for (uint32_t i = 0; i < member_count; i++)
    {
        weights += members[i].leaves ? 0 : members[i].weight;
        lists += !members[i].leaves;
    }
    if (lists > n)
        lists = n;
    while (found)
    {
        found = false;
        for (uint32_t i = 0; i < member_count; i++)
        {
            if (members[i].leaves || loads[i] > 0 || members[i].weight * lists < weights)
                continue;
            loads[i] = whole;
            weights -= members[i].weight;
            lists--;
            found = true;
        }
    }
    for (uint32_t i = 0; i < member_count; i++)
    {
        if (!members[i].leaves && loads[i] == 0)
            loads[i] = members[i].weight * lists * whole / weights;
    }
    return loads;
}

static uint32_t
zone_of(const ClaimMember *members, uint32_t member)
{
    return members[member].zone != 0 ? members[member].zone : UINT16_MAX + 1 + member;
}

static uint32_t
count_distinct(const uint32_t *zones, uint32_t count)
{
    uint32_t distinct = 0;

    for (uint32_t i = 0; i < count; i++)
    {
        bool is_new = true;

        for (uint32_t j = 0; j < i && is_new; j++)
            is_new = zones[j] != zones[i];
        distinct += is_new;
    }
    return distinct;
}

static uint32_t
count_zones(const ClaimMember *members, uint32_t member_count, Arena *arena)
{
    uint32_t *zones = ARENA_ARRAY(arena, uint32_t, member_count);
    uint32_t count = 0;

    for (uint32_t i = 0; i < member_count; i++)
    {
        if (!members[i].leaves)
            zones[count++] = zone_of(members, i);
    }
    return count_distinct(zones, count);
}

/* Slots that have partitions: a walk that looks for more goes round the whole ring. */
static uint32_t
count_owners(const uint16_t *claim, uint32_t partitions, uint32_t most)
{
    uint16_t owners[LIST_MAX];

    return ring_walk(claim, partitions, 0, owners, most);
}

ClaimMeasure
claim_measure(const uint16_t *claim, uint32_t partitions, const ClaimMember *members,
              uint32_t member_count, uint32_t n, Arena *arena)
{
    ClaimMeasure measure = {.balance = 1};
    uint64_t *fair = claim_fair_loads(members, member_count, partitions, n, arena);
    uint16_t *numbers = claim_numbers(members, member_count, arena);
    uint32_t zones_most = least(n, count_zones(members, member_count, arena));
    uint32_t length = count_owners(claim, partitions, n);

    measure.replicas = arena_alloc_zero(arena, sizeof(uint32_t) * member_count);
    for (uint32_t partition = 0; partition < partitions; partition++)
    {
        uint16_t owners[LIST_MAX];
        uint32_t zones[LIST_MAX];

        ring_walk(claim, partitions, partition, owners, length);
        for (uint32_t i = 0; i < length; i++)
        {
            measure.replicas[numbers[owners[i]]]++;
            zones[i] = zone_of(members, numbers[owners[i]]);
        }
        measure.zone_faults += count_distinct(zones, length) < zones_most;
    }
    for (uint32_t i = 0; i < member_count; i++)
    {
        double load = (double)measure.replicas[i] * CLAIM_LOAD_UNIT;

        if (load > 0 && (double)fair[i] / load < measure.balance)
            measure.balance = (double)fair[i] / load;
    }
    return measure;
}

uint32_t
claim_moves(const uint16_t *from, const uint16_t *to, uint32_t partitions, uint32_t n,
            uint32_t *gained)
{
    uint32_t length_before = count_owners(from, partitions, n);
    uint32_t length = count_owners(to, partitions, n);
    uint32_t moves = 0;

    for (uint32_t partition = 0; partition < partitions; partition++)
    {
        uint16_t before[LIST_MAX];
        uint16_t after[LIST_MAX];

        ring_walk(from, partitions, partition, before, length_before);
        ring_walk(to, partitions, partition, after, length);
        for (uint32_t i = 0; i < length; i++)
        {
            bool had = false;

            for (uint32_t j = 0; j < length_before && !had; j++)
                had = before[j] == after[i];
            moves += !had;
            if (!had && gained != NULL)
                gained[after[i]]++;
        }
    }
    return moves;
}
