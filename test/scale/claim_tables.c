/*
 * claim_tables: what a change of members moves and how even it leaves the loads, for the claim and
 * for strategies 1 and 2 of the Dynamo paper (section 6.2), as tables in markdown.
 *
 *     claim_tables [--seed N]
 */
#include "shared/ring/claim.h"
#include "shared/ring/ring.h"
#include "test/lib/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum
{
    REPLICAS = CLAIM_REPLICAS,
    MEMBERS_MAX = 1024,
    PARTITIONS_MAX = 16384,
    FINE = 1 << 20, /* partitions of a ring on which shares are exact enough */
    TOKENS = 100,   /* of each node in strategies 1 and 2 */
    DRAWS = 20      /* of tokens, of which the mean is shown */
};

/* A change: the members before, those after, zones (0: none), and weights 1 to this many. */
typedef struct Change
{
    uint32_t before;
    uint32_t after;
    uint32_t partitions;
    uint32_t zones;
    uint32_t weights;
} Change;

static const Change changes[] = {
    {3,   4,   256,  0, 1},
    {5,   6,   256,  0, 1},
    {10,  11,  256,  0, 1},
    {30,  31,  1024, 0, 1},
    {100, 101, 4096, 0, 1},
    {5,   4,   256,  0, 1},
    {10,  9,   256,  0, 1},
    {30,  29,  1024, 0, 1},
    {100, 99,  4096, 0, 1},
    {3,   10,  256,  0, 1},
    {3,   30,  1024, 0, 1},
    {10,  100, 4096, 0, 1},
    {10,  3,   256,  0, 1},
    {30,  3,   1024, 0, 1},
    {100, 10,  4096, 0, 1},
    {6,   7,   256,  3, 1},
    {6,   9,   256,  3, 1},
    {9,   6,   256,  3, 1},
    {30,  33,  1024, 3, 1},
    {10,  11,  256,  0, 3},
    {30,  31,  1024, 0, 3},
    {30,  20,  1024, 3, 3},
};

typedef struct Result
{
    double moved;   /* replicas that move over the least */
    double balance; /* of replicas, after the change */
    double primary; /* of the first in each list */
    double zones;   /* share of lists with fewer zones than they could have, after the change */
} Result;

typedef struct Bench
{
    Arena arena;
    Random random;
    Change change;
    ClaimMember members[MEMBERS_MAX];
    uint32_t count; /* members before or after, the more of the two */
} Bench;

static void
set_members(Bench *bench)
{
    const Change *change = &bench->change;

    bench->count = change->before > change->after ? change->before : change->after;
    for (uint32_t i = 0; i < bench->count; i++)
        bench->members[i] =
            (ClaimMember){.slot = (uint16_t)i,
                          .zone = (uint16_t)(change->zones > 0 ? 1 + i % change->zones : 0),
                          .weight = 1 + i / 3 % change->weights};
}

/* ---- strategy 3 --------------------------------------------------------------------------------
 */

/*
 * The copies of the ring that change hands at least, from fair loads before to fair loads after:
 * one figure for all strategies, whether they begin with fair loads or not.
 */
static double
least_moves(Bench *bench)
{
    static ClaimMember members[MEMBERS_MAX];
    uint64_t *fair[2];
    double least = 0;

    for (unsigned side = 0; side < 2; side++)
    {
        uint32_t staying = side == 0 ? bench->change.before : bench->change.after;

        memcpy(members, bench->members, sizeof(members));
        for (uint32_t i = 0; i < bench->count; i++)
            members[i].leaves = i >= staying;
        fair[side] = claim_fair_loads(members, bench->count, FINE, REPLICAS, &bench->arena);
    }
    for (uint32_t i = 0; i < bench->count; i++)
        least += fair[1][i] > fair[0][i] ? (double)(fair[1][i] - fair[0][i]) : 0;
    return least / CLAIM_LOAD_UNIT / FINE;
}

static Result
measure_claim(Bench *bench)
{
    static uint16_t claim[PARTITIONS_MAX];
    static uint16_t target[PARTITIONS_MAX];
    uint32_t partitions = bench->change.partitions;
    ClaimMeasure after;
    ClaimMeasure primary;

    for (uint32_t i = 0; i < partitions; i++)
        claim[i] = CLAIM_NOBODY;
    (void)claim_plan(claim, partitions, bench->members, bench->change.before, 0, &bench->arena,
                     target);
    memcpy(claim, target, sizeof(claim));
    for (uint32_t i = bench->change.after; i < bench->count; i++)
        bench->members[i].leaves = true;
    (void)claim_plan(claim, partitions, bench->members, bench->count, 0, &bench->arena, target);
    after =
        claim_measure(target, partitions, bench->members, bench->count, REPLICAS, &bench->arena);
    primary = claim_measure(target, partitions, bench->members, bench->count, 1, &bench->arena);
    return (Result){.moved = (double)claim_moves(claim, target, partitions, REPLICAS, NULL) /
                             partitions / least_moves(bench),
                    .balance = after.balance,
                    .primary = primary.balance,
                    .zones = (double)after.zone_faults / partitions};
}

/* ---- strategies 1 and 2 ------------------------------------------------------------------------
 */

typedef struct Token
{
    uint64_t position;
    uint32_t member;
} Token;

static int
compare_tokens(const void *left, const void *right)
{
    const Token *a = left;
    const Token *b = right;

    return (a->position > b->position) - (a->position < b->position);
}

/* The distinct members from the first token at or after a position; returns how many. */
static uint32_t
walk_tokens(const Token *tokens, uint32_t count, uint64_t position, uint32_t first, uint32_t end,
            uint32_t *list)
{
    uint32_t low = 0;
    uint32_t high = count;
    uint32_t found = 0;

    while (low < high)
    {
        uint32_t middle = low + (high - low) / 2;

        if (tokens[middle].position < position)
            low = middle + 1;
        else
            high = middle;
    }
    for (uint32_t i = 0; i < count && found < REPLICAS; i++)
    {
        uint32_t member = tokens[(low + i) % count].member;
        bool met = member < first || member >= end;

        for (uint32_t j = 0; j < found; j++)
            met = met || list[j] == member;
        if (!met)
            list[found++] = member;
    }
    return found;
}

typedef struct Loads
{
    double after[MEMBERS_MAX];
    double primary[MEMBERS_MAX];
    double moved; /* shares of the ring */
} Loads;

/* A stretch of the ring in which the lists of both sides are the same throughout. */
static void
count_stretch(const Bench *bench, const Token *tokens, uint32_t count, uint64_t position,
              double share, Loads *loads)
{
    uint32_t before[REPLICAS];
    uint32_t after[REPLICAS];
    uint32_t before_count = walk_tokens(tokens, count, position, 0, bench->change.before, before);
    uint32_t after_count = walk_tokens(tokens, count, position, 0, bench->change.after, after);

    for (uint32_t i = 0; i < after_count; i++)
    {
        bool had = false;

        for (uint32_t j = 0; j < before_count; j++)
            had = had || before[j] == after[i];
        loads->after[after[i]] += share;
        loads->primary[after[i]] += i == 0 ? share : 0;
        loads->moved += had ? 0 : share;
    }
}

/* The least of fair load / load; n copies of the ring are shared. */
static double
balance_of(Bench *bench, const double *loads, uint32_t n)
{
    uint64_t *fair = claim_fair_loads(bench->members, bench->count, FINE, n, &bench->arena);
    double balance = 1;

    for (uint32_t i = 0; i < bench->count; i++)
    {
        double wanted = (double)fair[i] / CLAIM_LOAD_UNIT / FINE;

        if (loads[i] > 0 && wanted / loads[i] < balance)
            balance = wanted / loads[i];
    }
    return balance;
}

/* partitions 0: strategy 1, where the tokens cut the ring; else strategy 2, equal partitions. */
static Result
draw_tokens(Bench *bench, uint32_t partitions)
{
    static Token tokens[MEMBERS_MAX * TOKENS * 3];
    Loads loads = {.moved = 0};
    uint32_t count = 0;
    for (uint32_t i = 0; i < bench->count; i++)
    {
        for (uint32_t k = 0; k < TOKENS * bench->members[i].weight; k++)
            tokens[count++] = (Token){random_next(&bench->random), i};
    }
    qsort(tokens, count, sizeof(Token), compare_tokens);
    for (uint32_t i = 0; i < (partitions > 0 ? partitions : count); i++)
    {
        if (partitions > 0)
            count_stretch(bench, tokens, count, ring_partition_start(i, partitions),
                          1.0 / partitions, &loads);
        else
            count_stretch(bench, tokens, count, tokens[i].position,
                          (double)(tokens[i].position - tokens[(i + count - 1) % count].position) /
                              18446744073709551616.0,
                          &loads);
    }
    return (Result){.moved = loads.moved / least_moves(bench),
                    .balance = balance_of(bench, loads.after, REPLICAS),
                    .primary = balance_of(bench, loads.primary, 1)};
}

static Result
measure_tokens(Bench *bench, uint32_t partitions)
{
    Result mean = {.moved = 0};

    for (uint32_t i = 0; i < DRAWS; i++)
    {
        Result drawn = draw_tokens(bench, partitions);

        mean.moved += drawn.moved / DRAWS;
        mean.balance += drawn.balance / DRAWS;
        mean.primary += drawn.primary / DRAWS;
    }
    return mean;
}

/* ---- the tables --------------------------------------------------------------------------------
 */

static void
print_changes(Bench *bench)
{
    puts(
        "| members | Q | zones | weights | moved / least | balance | of first owners | lists short "
        "of a zone | strategy 1: moved, balance | strategy 2: moved, balance |");
    puts("|---|---|---|---|---|---|---|---|---|---|");
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
    {
        Result claim;
        Result one;
        Result two;

        bench->change = changes[i];
        set_members(bench);
        claim = measure_claim(bench);
        one = measure_tokens(bench, 0);
        two = measure_tokens(bench, changes[i].partitions);
        printf("| %u to %u | %u | ", changes[i].before, changes[i].after, changes[i].partitions);
        printf(changes[i].zones > 0 ? "%u | " : "none | ", changes[i].zones);
        printf(changes[i].weights > 1 ? "1 to %u | " : "%u | ", changes[i].weights);
        printf("%.3f | %.3f | %.3f | ", claim.moved, claim.balance, claim.primary);
        printf(changes[i].zones > 0 ? "%.0f%% | " : "| ", 100 * claim.zones);
        printf("%.2f, %.2f | %.2f, %.2f |\n", one.moved, one.balance, two.moved, two.balance);
        arena_reset(&bench->arena);
    }
}

static double
milliseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1000 + (double)now.tv_nsec / 1000000;
}

static double
time_plan(Bench *bench, const uint16_t *claim, uint16_t *target)
{
    double start = milliseconds();

    (void)claim_plan(claim, bench->change.partitions, bench->members, bench->count, 0,
                     &bench->arena, target);
    return milliseconds() - start;
}

static void
print_times(Bench *bench)
{
    static const Change timed[] = {
        {1000, 1001, PARTITIONS_MAX, 0, 1},
        {1000, 999,  PARTITIONS_MAX, 0, 1},
        {500,  1000, PARTITIONS_MAX, 0, 1},
        {1000, 3,    PARTITIONS_MAX, 0, 1},
        {1000, 500,  PARTITIONS_MAX, 5, 3},
        {1000, 5,    PARTITIONS_MAX, 3, 1},
    };
    static uint16_t claim[PARTITIONS_MAX];
    static uint16_t target[PARTITIONS_MAX];

    puts("| members | zones | largest weight | the first claim, ms | the change, ms |");
    puts("|---|---|---|---|---|");
    for (size_t i = 0; i < sizeof(timed) / sizeof(timed[0]); i++)
    {
        double first;

        bench->change = timed[i];
        set_members(bench);
        for (uint32_t j = 0; j < PARTITIONS_MAX; j++)
            claim[j] = CLAIM_NOBODY;
        bench->count = timed[i].before;
        first = time_plan(bench, claim, target);
        memcpy(claim, target, sizeof(claim));
        bench->count = timed[i].before > timed[i].after ? timed[i].before : timed[i].after;
        for (uint32_t j = timed[i].after; j < bench->count; j++)
            bench->members[j].leaves = true;
        printf("| %u to %u | %u | %u | %.0f | %.0f |\n", timed[i].before, timed[i].after,
               timed[i].zones, timed[i].weights, first, time_plan(bench, claim, target));
        arena_reset(&bench->arena);
    }
}

int
main(int argc, char **argv)
{
    static Bench bench;
    uint64_t seed = 1;

    if (argc == 3 && strcmp(argv[1], "--seed") == 0)
        seed = strtoull(argv[2], NULL, 10);
    else if (argc != 1)
    {
        fprintf(stderr, "usage: claim_tables [--seed N]\n");
        return 2;
    }
    arena_init(&bench.arena, &MEMORY_HEAP);
    random_seed(&bench.random, seed);
    print_changes(&bench);
    puts("");
    print_times(&bench);
    arena_free(&bench.arena);
    return 0;
}
