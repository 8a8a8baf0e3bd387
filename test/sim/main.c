/*
 * The simulator: runs seeds, one virtual cluster each, and says which of them broke a promise.
 *
 *     dynamo_sim --seeds N [--first SEED] [--keep-going] [--black-box]
 *     dynamo_sim --seed SEED [--trace]
 *     dynamo_sim --scenarios | --scenario NAME [--seed SEED [--trace]]
 *     dynamo_sim --selftest
 *
 * Ends with 0 when all is well, 1 when a promise was broken, 2 when it was called wrongly.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "test/sim/scenarios.h"
#include "test/sim/selftest.h"
#include "test/sim/world.h"

enum
{
    SCENARIO_SEEDS = 60,
    REPEAT_EVERY = 50 /* seeds that are run twice, to be sure that a seed gives one run */
};

typedef struct Options
{
    uint64_t first;
    uint64_t count;
    bool trace;
    bool keep_going;
    bool selftest;
    bool black_box;
    bool scenarios;
    const Scenario *scenario; /* NULL: all */
} Options;

typedef struct Totals
{
    uint64_t seeds;
    uint64_t failed;
    uint64_t events;
    uint64_t frames;
    uint64_t operations;
    uint64_t acked;
    uint64_t unknown;
    uint64_t refused;
    uint64_t reads;
    uint64_t scans;
    uint64_t faults;
    uint64_t restarts;
    uint64_t restores;
    uint64_t damaged;
    uint64_t mended;
    uint64_t retries;
    uint64_t reaped;
    uint64_t forgotten_extras;
    uint64_t stale_reads;
    uint64_t virtual_us;
    uint32_t siblings_most;
} Totals;

static void
add_result(Totals *totals, const WorldResult *result)
{
    totals->seeds++;
    totals->failed += result->failed;
    totals->events += result->counters.events;
    totals->frames += result->counters.frames;
    totals->operations += result->counters.operations;
    totals->faults += result->counters.faults;
    totals->restarts += result->counters.restarts;
    totals->restores += result->counters.restores;
    totals->damaged += result->counters.damaged;
    totals->mended += result->counters.mended;
    totals->retries += result->counters.retries;
    totals->acked += result->checks.writes_ok;
    totals->unknown += result->checks.writes_unknown;
    totals->refused += result->checks.writes_refused;
    totals->scans += result->counters.scans;
    totals->reads += result->checks.reads;
    totals->stale_reads += result->checks.stale_reads;
    totals->reaped += result->checks.reaped;
    totals->forgotten_extras += result->checks.forgotten_extras;
    totals->virtual_us += result->virtual_us;
    if (result->checks.siblings_most > totals->siblings_most)
        totals->siblings_most = result->checks.siblings_most;
}

static double
seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void
print_totals(const Totals *totals, double seconds)
{
    printf("%" PRIu64 " seeds in %.1f s (%.0f a second), %.0f hours of virtual time, %" PRIu64
           " events, %" PRIu64 " frames\n",
           totals->seeds, seconds, (double)totals->seeds / seconds,
           (double)totals->virtual_us / 3.6e9, totals->events, totals->frames);
    printf("%" PRIu64 " operations; keys written: %" PRIu64 " acknowledged, %" PRIu64
           " unknown, %" PRIu64 " refused; %" PRIu64 " keys read, %" PRIu64
           " scans; up to %u siblings\n",
           totals->operations, totals->acked, totals->unknown, totals->refused, totals->reads,
           totals->scans, totals->siblings_most);
    printf("%" PRIu64 " faults, %" PRIu64 " restarts, %" PRIu64 " restored disks, %" PRIu64
           " damaged records; %" PRIu64 " objects mended by compares; %" PRIu64
           " stale reads of too few owners; %" PRIu64 " objects reaped\n",
           totals->faults, totals->restarts, totals->restores, totals->damaged, totals->mended,
           totals->stale_reads, totals->reaped);
    printf("%" PRIu64 " frames of retried writes left %" PRIu64
           " extra siblings, all where it was forgotten what was replaced\n",
           totals->retries, totals->forgotten_extras);
    if (totals->failed == 0)
        printf("sim: %" PRIu64 " passed\n", totals->seeds);
    else
        printf("sim: %" PRIu64 " passed, %" PRIu64 " FAILED\n", totals->seeds - totals->failed,
               totals->failed);
}

static void
say_differs(WorldResult *result, const WorldResult *again, const char *property, const char *what)
{
    result->failed = true;
    snprintf(result->verdict, sizeof(result->verdict),
             "%s: %s (after %" PRIu64 " and %" PRIu64 " events)", property, what,
             result->counters.events, again->counters.events);
}

/*
 * The same seed again must give the same run, told or not; and with right clocks the same course of
 * events. (A scan's pages end by size, and larger times are longer.)
 */
static void
check_repeats(uint64_t seed, const Options *options, WorldResult *result)
{
    FILE *nowhere = fopen("/dev/null", "w");
    WorldOptions told = {.tracing = nowhere, .black_box = options->black_box};
    WorldOptions timed = {.black_box = options->black_box, .true_clocks = true};
    WorldResult again = world_run(seed, &told);

    if (nowhere != NULL)
        fclose(nowhere);
    if (again.hash != result->hash)
        say_differs(result, &again, "D1", "two runs of this seed differ");
    again = world_run(seed, &timed);
    if (result->mix.scan_percent == 0 && again.course != result->course)
        say_differs(result, &again, "S11", "with right wall clocks this seed takes another course");
}

static int
run_seeds(const Options *options)
{
    Totals totals = {0};
    double start = seconds_now();
    WorldOptions world_options = {.tracing = options->trace ? stdout : NULL,
                                  .black_box = options->black_box};

    for (uint64_t i = 0; i < options->count; i++)
    {
        uint64_t seed = options->first + i;
        WorldResult result = world_run(seed, &world_options);

        if (!result.failed && i % REPEAT_EVERY == 0 && !options->trace)
            check_repeats(seed, options, &result);
        add_result(&totals, &result);
        if (!result.failed)
            continue;
        printf("seed %" PRIu64 " fails after %" PRIu64 " seeds: %s\n", seed, i + 1, result.verdict);
        fflush(stdout);
        if (!options->keep_going)
        {
            printf("to see it happen: make sim SEED=%" PRIu64 " TRACE=1\n", seed);
            break;
        }
    }
    print_totals(&totals, seconds_now() - start);
    return totals.failed > 0 ? 1 : 0;
}

/* One scenario on some seeds: they differ in how long everything takes. */
static bool
play(const Scenario *scenario, const Options *options)
{
    WorldOptions world_options = {.tracing = options->trace ? stdout : NULL, .scenario = scenario};
    uint64_t count = options->count > 0 ? options->count : SCENARIO_SEEDS;

    for (uint64_t i = 0; i < count; i++)
    {
        uint64_t seed = options->first + i;
        WorldResult result = world_run(seed, &world_options);

        if (!result.failed)
            continue;
        printf("FAIL %s: seed %" PRIu64 " fails after %" PRIu64 " seeds: %s\n", scenario->name,
               seed, i + 1, result.verdict);
        return false;
    }
    printf("ok   %s, %" PRIu64 " seeds\n", scenario->name, count);
    return true;
}

static int
run_scenarios(const Options *options)
{
    const Scenario *scenario;
    uint32_t count = 0;
    uint32_t held = 0;

    if (options->scenario != NULL)
        return play(options->scenario, options) ? 0 : 1;
    for (; (scenario = scenario_at(count)) != NULL; count++)
        held += play(scenario, options);
    printf("scenarios: %u passed, %u failed\n", held, count - held);
    return held == count ? 0 : 1;
}

static int
usage(void)
{
    fprintf(stderr, "usage: dynamo_sim --seeds N [--first SEED] [--keep-going] [--black-box]\n"
                    "       dynamo_sim --seed SEED [--trace]\n"
                    "       dynamo_sim --scenarios | --scenario NAME [--seed SEED [--trace]]\n"
                    "       dynamo_sim --selftest\n");
    return 2;
}

static bool
parse_number(const char *text, uint64_t *number)
{
    char *end;

    if (text == NULL || *text < '0' || *text > '9')
        return false;
    *number = strtoull(text, &end, 10);
    return *end == '\0';
}

static bool
parse(int argc, char **argv, Options *options)
{
    for (int i = 1; i < argc; i++)
    {
        if (strcmp(argv[i], "--trace") == 0)
            options->trace = true;
        else if (strcmp(argv[i], "--keep-going") == 0)
            options->keep_going = true;
        else if (strcmp(argv[i], "--black-box") == 0)
            options->black_box = true;
        else if (strcmp(argv[i], "--selftest") == 0)
            options->selftest = true;
        else if (strcmp(argv[i], "--scenarios") == 0)
            options->scenarios = true;
        else if (strcmp(argv[i], "--scenario") == 0 && argv[i + 1] != NULL &&
                 (options->scenario = scenario_find(argv[i + 1])) != NULL)
        {
            options->scenarios = true;
            i++;
        }
        else if (strcmp(argv[i], "--seeds") == 0 && parse_number(argv[i + 1], &options->count))
            i++;
        else if (strcmp(argv[i], "--first") == 0 && parse_number(argv[i + 1], &options->first))
            i++;
        else if (strcmp(argv[i], "--seed") == 0 && parse_number(argv[i + 1], &options->first))
        {
            options->count = 1;
            i++;
        }
        else
            return false;
    }
    return options->count > 0 || options->selftest || options->scenarios;
}

int
main(int argc, char **argv)
{
    Options options = {.first = 1};

    if (!parse(argc, argv, &options))
        return usage();
    if (options.selftest)
        return selftest_run();
    return options.scenarios ? run_scenarios(&options) : run_seeds(&options);
}
