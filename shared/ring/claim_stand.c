/* claim_stand: which partitions are whose, so that members and zones stand apart (C3, C4). */
#include "shared/ring/claim_private.h"

#include <string.h>

enum
{
    FAR_COST = 4,      /* a member twice among more neighbours, or a place for one member alone */
    FAR_ZONE_COST = 1, /* a zone twice among them */
    NEAR = CLAIM_REPLICAS - 1,
    REACH = CLAIM_SPACING - 1, /* on either side: all that the cost of a partition depends on */
    SPAN = 2 * REACH + 1,
    PASSES = 16,
    CANDIDATES = 2048, /* partitions that are looked at in exchange for one, at most */
    TRIALS = 1 << 22,  /* exchanges that one mending looks at, at most: bounds its time */
    DUE_UNIT = 16
};

void
claim_stand_vacate(Draft *draft, Arena *arena)
{
    uint64_t *seen = ARENA_ARRAY(arena, uint64_t, draft->member_count);

    for (uint32_t i = 0; i < draft->member_count; i++)
        seen[i] = i;
    for (uint32_t i = 0; i < draft->partitions; i++)
    {
        uint16_t member = draft->was[i];

        if (member == CLAIM_NOBODY || draft->held[member] <= draft->quotas[member])
            continue;

        uint64_t given = draft->held[member] - draft->quotas[member];
        uint64_t before = seen[member]++ * given / draft->held[member];

        if (seen[member] * given / draft->held[member] > before)
            draft->now[i] = CLAIM_NOBODY;
    }
}

/* ---- what it costs that a member stands at a partition -------------------------------------- */

/* Zones that a list could have and has not. A place that is not given yet may bring any. */
static uint32_t
missing_zones(const Draft *draft, const uint16_t list[CLAIM_REPLICAS])
{
    uint32_t distinct = 0;

    for (uint32_t i = 0; i < CLAIM_REPLICAS; i++)
    {
        bool is_new = true;

        if (list[i] == CLAIM_NOBODY)
            return 0;
        for (uint32_t j = 0; j < i; j++)
            is_new = is_new && draft->zones[list[j]] != draft->zones[list[i]];
        distinct += is_new;
    }
    return distinct < draft->zones_in_list ? draft->zones_in_list - distinct : 0;
}

static uint32_t
zone_cost(const Draft *draft, const uint16_t around[SPAN])
{
    uint32_t zone = draft->zones[around[REACH]];
    uint32_t cost = 0;

    for (uint32_t first = REACH - NEAR; first <= REACH; first++)
        cost += missing_zones(draft, around + first) * CLAIM_ZONE_COST;
    for (uint32_t distance = CLAIM_REPLICAS; distance < draft->zone_windows[around[REACH]];
         distance++)
    {
        uint16_t left = around[REACH - distance];
        uint16_t right = around[REACH + distance];

        cost += left != CLAIM_NOBODY && draft->zones[left] == zone ? FAR_ZONE_COST : 0;
        cost += right != CLAIM_NOBODY && draft->zones[right] == zone ? FAR_ZONE_COST : 0;
    }
    return cost;
}

/*
 * With five members, a place whose four neighbours are four members is of use to the fifth alone:
 * when that one goes, whoever takes it stands next to itself.
 */
static uint32_t
single_use_cost(const uint16_t around[SPAN])
{
    uint32_t cost = 0;

    for (uint32_t place = REACH - NEAR; place <= REACH + NEAR; place++)
    {
        uint16_t a = around[place - 2];
        uint16_t b = around[place - 1];
        uint16_t c = around[place + 1];
        uint16_t d = around[place + 2];

        if (place != REACH && a != b && a != c && a != d && b != c && b != d && c != d)
            cost += FAR_COST;
    }
    return cost;
}

static void
look_around(const Draft *draft, uint32_t partition, uint16_t member, uint16_t around[SPAN])
{
    for (uint32_t i = 0; i < SPAN; i++)
        around[i] = draft->now[(partition + i - REACH) & (draft->partitions - 1)];
    around[REACH] = member;
}

static uint32_t
cost_of(const Draft *draft, uint32_t partition, uint16_t member)
{
    uint16_t around[SPAN];
    uint32_t cost = 0;

    look_around(draft, partition, member, around);
    for (uint32_t distance = 1; distance < draft->windows[member]; distance++)
    {
        uint32_t twice =
            (around[REACH + distance] == member) + (around[REACH - distance] == member);

        cost += twice * (distance < CLAIM_REPLICAS ? CLAIM_NEAR_COST : FAR_COST);
    }
    if (draft->member_count == 2 * NEAR + 1)
        cost += single_use_cost(around);
    if (draft->zones_in_list > 1)
        cost += zone_cost(draft, around);
    return cost;
}

uint32_t
claim_stand_cost_of(const Draft *draft, uint32_t partition)
{
    return cost_of(draft, partition, draft->now[partition]);
}

void
claim_stand_cost(Draft *draft)
{
    for (uint32_t i = 0; i < draft->partitions; i++)
        draft->costs[i] = cost_of(draft, i, draft->now[i]);
}

/* ---- giving what nobody has ------------------------------------------------------------------ */

/* splitmix64 */
uint64_t
claim_stand_chance(uint64_t a, uint64_t b)
{
    uint64_t mixed = (a << 32) + b + UINT64_C(0x9E3779B97F4A7C15);

    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94D049BB133111EB);
    return mixed ^ (mixed >> 31);
}

typedef struct Filling
{
    Draft *draft;
    uint32_t *missing; /* by member: what it is short of before the first is given */
    uint32_t *given;   /* by member: what it has been given of that */
    uint64_t *due;     /* by member: when its next is due, in DUE_UNIT parts of a vacant place */
    uint64_t vacant;
} Filling;

/*
 * The places of a member are due at equal distances, each somewhere within its distance. If it were
 * always at the same point, the members would follow each other in one order round the whole ring:
 * then the same few would take over whatever a member leaves, and stand beside themselves by it.
 * With no more members than a list has there is only one order.
 */
static void
set_due(Filling *filling, uint32_t member)
{
    uint64_t count = filling->draft->member_count;
    uint64_t given = filling->given[member];
    uint64_t missing = filling->missing[member];
    uint64_t slot = filling->draft->members[member].slot;
    uint64_t within = count > CLAIM_REPLICAS ? claim_stand_chance(slot, given) % count : member;

    filling->due[member] =
        given < missing ? (given * count + within) * filling->vacant * DUE_UNIT / (missing * count)
                        : UINT64_MAX;
}

/* Who is due first; a member that would stand badly waits as long as two rounds for each zone. */
static uint32_t
choose_member(const Filling *filling, uint32_t partition)
{
    const Draft *draft = filling->draft;
    uint64_t wait = (uint64_t)draft->member_count * DUE_UNIT * 2;
    uint64_t best_due = UINT64_MAX;
    uint32_t best = 0;

    for (uint32_t i = 0; i < draft->member_count; i++)
    {
        if (filling->due[i] < best_due)
        {
            uint64_t cost = cost_of(draft, partition, (uint16_t)i);
            uint64_t due = filling->due[i] + cost * wait / CLAIM_ZONE_COST;

            if (due < best_due)
            {
                best_due = due;
                best = i;
            }
        }
    }
    return best;
}

void
claim_stand_fill(Draft *draft, Arena *arena)
{
    uint32_t count = draft->member_count;
    Filling filling = {.draft = draft,
                       .missing = arena_copy(arena, draft->quotas, sizeof(uint32_t) * count),
                       .given = arena_alloc_zero(arena, sizeof(uint32_t) * count),
                       .due = ARENA_ARRAY(arena, uint64_t, count)};

    for (uint32_t i = 0; i < draft->partitions; i++)
    {
        if (draft->now[i] == CLAIM_NOBODY)
            filling.vacant++;
        else
            filling.missing[draft->now[i]]--;
    }
    for (uint32_t i = 0; i < count; i++)
        set_due(&filling, i);
    for (uint32_t i = 0; i < draft->partitions; i++)
    {
        if (draft->now[i] != CLAIM_NOBODY)
            continue;

        uint32_t member = choose_member(&filling, i);

        draft->now[i] = (uint16_t)member;
        filling.given[member]++;
        set_due(&filling, member);
    }
}

/* ---- exchanging ------------------------------------------------------------------------------ */

/* What an exchange of the members of two partitions adds to the partitions that move. */
static int
count_moves(const Draft *draft, uint32_t a, uint32_t b)
{
    const uint16_t *was = draft->was;
    const uint16_t *now = draft->now;

    return (was[a] != now[b]) + (was[b] != now[a]) - (was[a] != now[a]) - (was[b] != now[b]);
}

void
claim_stand_swap(Draft *draft, uint32_t a, uint32_t b)
{
    uint16_t member = draft->now[a];

    draft->now[a] = draft->now[b];
    draft->now[b] = member;
}

static void
cost_around(Draft *draft, uint32_t partition)
{
    for (uint32_t i = 0; i < SPAN; i++)
    {
        uint32_t place = (partition + i - REACH) & (draft->partitions - 1);

        draft->costs[place] = cost_of(draft, place, draft->now[place]);
    }
}

/*
 * By how much an exchange lowers the costs. Partitions that are not within reach of each other are
 * judged without making it, and not further than needed. Those that are share no fault that an
 * exchange between them could change, so that in both cases the sum of two costs has the
 * difference.
 */
static uint32_t
gain_of(Draft *draft, uint32_t a, uint32_t b)
{
    uint32_t before = draft->costs[a] + draft->costs[b];
    uint32_t distance = (a - b) & (draft->partitions - 1);
    uint32_t after;

    if (distance > REACH && distance < draft->partitions - REACH)
    {
        after = cost_of(draft, a, draft->now[b]);
        if (after < before)
            after += cost_of(draft, b, draft->now[a]);
    }
    else
    {
        claim_stand_swap(draft, a, b);
        after = cost_of(draft, a, draft->now[a]) + cost_of(draft, b, draft->now[b]);
        claim_stand_swap(draft, a, b);
    }
    return after < before ? before - after : 0;
}

typedef struct Exchange
{
    uint32_t other;
    uint32_t gain;
    int moves;
} Exchange;

/* Moves must be worth a zone at least: C4 has none to spend. */
static Exchange
best_exchange(Draft *draft, uint32_t partition, bool pays, uint32_t *trials)
{
    Exchange best = {.gain = 0};
    int moves_most = pays ? (int)draft->extra_moves : 0;

    for (uint32_t i = 1; i < draft->partitions && i <= CANDIDATES && *trials > 0; i++)
    {
        uint32_t other = (partition + i) & (draft->partitions - 1);
        int moves = count_moves(draft, partition, other);

        if (draft->now[other] == draft->now[partition] || (moves > 0 && moves > moves_most))
            continue;
        (*trials)--;

        uint32_t gain = gain_of(draft, partition, other);
        bool is_worth = gain > 0 && (moves <= 0 || gain >= CLAIM_ZONE_COST);

        if (is_worth && (gain > best.gain || (gain == best.gain && moves < best.moves)))
            best = (Exchange){.other = other, .gain = gain, .moves = moves};
    }
    return best;
}

void
claim_stand_mend(Draft *draft, uint32_t least_cost, bool pays)
{
    uint32_t trials = TRIALS;
    bool gained = true;

    for (uint32_t pass = 0; pass < PASSES && gained; pass++)
    {
        gained = false;
        for (uint32_t i = 0; i < draft->partitions; i++)
        {
            if (draft->costs[i] < least_cost)
                continue;

            Exchange best = best_exchange(draft, i, pays, &trials);

            if (best.gain == 0)
                continue;
            claim_stand_swap(draft, i, best.other);
            draft->extra_moves = (uint32_t)((int)draft->extra_moves - best.moves);
            cost_around(draft, i);
            cost_around(draft, best.other);
            gained = true;
        }
    }
}
