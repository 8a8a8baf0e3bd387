#include "shared/ring/ring.h"

#include <stdlib.h>
#include <string.h>

enum
{
    REPAIR_TRIALS = 1 << 22, /* swaps looked at, at most: bounds the time of the largest rings */
    NODE_COST = 1000,        /* of one node twice within the window, beside 1 for one zone */
    SEEN_WORDS = RING_NODES_MAX / 64
};

bool
ring_partitions_are_valid(uint32_t partitions)
{
    return partitions >= RING_PARTITIONS_MIN && partitions <= RING_PARTITIONS_MAX &&
           (partitions & (partitions - 1)) == 0;
}

static unsigned
partition_bits(uint32_t partitions)
{
    return (unsigned)__builtin_ctz(partitions);
}

uint32_t
ring_partition(uint64_t position, uint32_t partitions)
{
    return (uint32_t)(position >> (64 - partition_bits(partitions)));
}

uint64_t
ring_partition_start(uint32_t partition, uint32_t partitions)
{
    return (uint64_t)partition << (64 - partition_bits(partitions));
}

/* One place of a node on the way round the ring; order is by time = numerator / denominator. */
typedef struct Token
{
    uint64_t numerator;
    uint64_t denominator;
    uint32_t rank;
    uint16_t node;
} Token;

static int
compare_tokens(const void *left, const void *right)
{
    const Token *a = left;
    const Token *b = right;
    uint64_t x = a->numerator * b->denominator;
    uint64_t y = b->numerator * a->denominator;

    if (x != y)
        return x < y ? -1 : 1;
    return (a->rank > b->rank) - (a->rank < b->rank);
}

/* Partitions of each node: its weight's share rounded down, the rest to the largest remainders. */
static uint32_t *
share_partitions(const RingNode *nodes, uint32_t node_count, uint32_t partitions, Arena *arena)
{
    uint32_t *quotas = ARENA_ARRAY(arena, uint32_t, node_count);
    Token *remainders = ARENA_ARRAY(arena, Token, node_count);
    uint64_t weight_sum = 0;
    uint32_t given = 0;

    for (uint32_t i = 0; i < node_count; i++)
        weight_sum += nodes[i].weight;
    for (uint32_t i = 0; i < node_count; i++)
    {
        uint64_t share = (uint64_t)nodes[i].weight * partitions;

        quotas[i] = (uint32_t)(share / weight_sum);
        given += quotas[i];
        remainders[i] = (Token){.numerator = weight_sum - share % weight_sum,
                                .denominator = 1,
                                .rank = i,
                                .node = (uint16_t)i};
    }
    qsort(remainders, node_count, sizeof(Token), compare_tokens);
    for (uint32_t i = 0; given < partitions; i++, given++)
        quotas[remainders[i].node]++;
    return quotas;
}

/* The turn of each node in one round: zones take turns, in proportion to their sizes. */
static uint32_t *
order_nodes(const RingNode *nodes, uint32_t node_count, Arena *arena)
{
    uint32_t *ranks = ARENA_ARRAY(arena, uint32_t, node_count);
    Token *turns = ARENA_ARRAY(arena, Token, node_count);

    for (uint32_t i = 0; i < node_count; i++)
    {
        uint32_t before = 0;
        uint32_t size = 0;

        for (uint32_t j = 0; j < node_count; j++)
        {
            bool together = nodes[i].zone == nodes[j].zone;

            before += together && j < i;
            size += together;
        }
        turns[i] = (Token){.numerator = 2 * (uint64_t)before + 1,
                           .denominator = 2 * (uint64_t)size,
                           .rank = nodes[i].zone,
                           .node = (uint16_t)i};
    }
    qsort(turns, node_count, sizeof(Token), compare_tokens);
    for (uint32_t i = 0; i < node_count; i++)
        ranks[turns[i].node] = i;
    return ranks;
}

/*
 * Each node's places are spread evenly round the ring, each node starting a turn after the one
 * before it. So where one node has a place less than another, the turn in which it is left out is
 * another one for every such node, and the distance between two places of a node stays near the
 * number of nodes, over the wrap too.
 */
static void
spread(const uint32_t *quotas, const uint32_t *ranks, uint32_t node_count, uint32_t partitions,
       Arena *arena, uint16_t *claim)
{
    Token *tokens = ARENA_ARRAY(arena, Token, partitions);
    uint32_t count = 0;

    for (uint32_t i = 0; i < node_count; i++)
    {
        for (uint32_t k = 0; k < quotas[i]; k++)
            tokens[count++] = (Token){.numerator = (uint64_t)k * node_count + ranks[i],
                                      .denominator = (uint64_t)quotas[i] * node_count,
                                      .rank = ranks[i],
                                      .node = (uint16_t)i};
    }
    qsort(tokens, partitions, sizeof(Token), compare_tokens);
    for (uint32_t i = 0; i < partitions; i++)
        claim[i] = tokens[i].node;
}

typedef struct Repair
{
    const RingNode *nodes;
    uint16_t *claim;
    uint32_t partitions;
    uint32_t node_window; /* a node should not come twice within so many places */
    uint32_t zone_window;
    uint32_t trials; /* left */
} Repair;

/* What a node at a place costs, by what stands around it. */
static uint32_t
place_cost(const Repair *repair, uint32_t place, uint16_t node)
{
    uint32_t window =
        repair->node_window > repair->zone_window ? repair->node_window : repair->zone_window;
    uint16_t zone = repair->nodes[node].zone;
    uint32_t cost = 0;

    for (uint32_t distance = 1; distance < window; distance++)
    {
        uint32_t sides[2] = {(place + distance) & (repair->partitions - 1),
                             (place - distance) & (repair->partitions - 1)};

        for (unsigned side = 0; side < 2; side++)
        {
            uint16_t other = repair->claim[sides[side]];

            if (other == node && distance < repair->node_window)
                cost += NODE_COST;
            if (zone != 0 && repair->nodes[other].zone == zone && distance < repair->zone_window)
                cost++;
        }
    }
    return cost;
}

static void
swap_places(Repair *repair, uint32_t a, uint32_t b)
{
    uint16_t node = repair->claim[a];

    repair->claim[a] = repair->claim[b];
    repair->claim[b] = node;
}

static uint32_t
pair_cost(const Repair *repair, uint32_t a, uint32_t b)
{
    return place_cost(repair, a, repair->claim[a]) + place_cost(repair, b, repair->claim[b]);
}

/* Swaps place with the one that lowers the cost most, if any does. */
static bool
repair_place(Repair *repair, uint32_t place)
{
    uint32_t best = place;
    uint32_t best_gain = 0;

    for (uint32_t other = 0; other < repair->partitions && repair->trials > 0; other++)
    {
        if (repair->claim[other] == repair->claim[place])
            continue;

        uint32_t before = pair_cost(repair, place, other);

        swap_places(repair, place, other);

        uint32_t after = pair_cost(repair, place, other);

        swap_places(repair, place, other);
        repair->trials--;
        if (before > after && before - after > best_gain)
        {
            best = other;
            best_gain = before - after;
        }
    }
    if (best_gain > 0)
        swap_places(repair, place, best);
    return best_gain > 0;
}

static void
repair_claim(Repair *repair)
{
    bool improved = true;

    while (improved && repair->trials > 0)
    {
        improved = false;
        for (uint32_t place = 0; place < repair->partitions; place++)
        {
            if (place_cost(repair, place, repair->claim[place]) > 0)
                improved |= repair_place(repair, place);
        }
    }
}

static uint32_t
least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* How far apart the places of one zone can be, given what its nodes together have. */
static uint32_t
zone_window(const RingNode *nodes, const uint32_t *quotas, uint32_t node_count, uint32_t partitions,
            uint32_t spacing)
{
    uint32_t largest = 0;

    for (uint32_t i = 0; i < node_count; i++)
    {
        uint32_t sum = 0;

        for (uint32_t j = 0; j < node_count; j++)
            sum += nodes[i].zone != 0 && nodes[i].zone == nodes[j].zone ? quotas[j] : 0;
        if (sum > largest)
            largest = sum;
    }
    /* Rounded up: with three zones, three in a row can differ but at a few places. */
    return largest == 0 ? 0 : least(spacing, (partitions + largest / 2) / largest);
}

void
ring_claim(const RingNode *nodes, uint32_t node_count, uint32_t partitions, uint32_t spacing,
           Arena *arena, uint16_t *claim)
{
    uint32_t *quotas = share_partitions(nodes, node_count, partitions, arena);
    uint32_t *ranks = order_nodes(nodes, node_count, arena);
    uint32_t largest = 1;

    for (uint32_t i = 0; i < node_count; i++)
        largest = quotas[i] > largest ? quotas[i] : largest;
    spread(quotas, ranks, node_count, partitions, arena, claim);

    Repair repair = {.nodes = nodes,
                     .claim = claim,
                     .partitions = partitions,
                     .node_window = least(least(spacing, node_count), partitions / largest),
                     .zone_window = zone_window(nodes, quotas, node_count, partitions, spacing),
                     .trials = REPAIR_TRIALS};

    repair_claim(&repair);
}

uint32_t
ring_walk(const uint16_t *claim, uint32_t partitions, uint32_t partition, uint32_t node_count,
          uint16_t *nodes, uint32_t max)
{
    uint64_t seen[SEEN_WORDS] = {0};
    uint32_t wanted = least(max, node_count);
    uint32_t count = 0;

    for (uint32_t i = 0; i < partitions && count < wanted; i++)
    {
        uint16_t node = claim[(partition + i) & (partitions - 1)];
        uint64_t bit = (uint64_t)1 << (node % 64);

        if ((seen[node / 64] & bit) == 0)
        {
            seen[node / 64] |= bit;
            nodes[count++] = node;
        }
    }
    return count;
}
