/*
 * rocks.c: what one node's storage does alone, without sockets. Run by hand, on an idle machine:
 *
 *   bench_rocks DIR [CALLS]
 *
 * Puts of 200 bytes with 1, 16 and 256 outstanding (each durable put starts the next one, as a
 * client would), the cost of apply() up to merged, and reads of what was put, twice over. Costs are
 * processor time, of the loop for an apply and a read, of the whole process for a put; what is
 * shared with others disturbs them less than it disturbs the clock on the wall.
 */
#include "node/rocks/rocks.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum
{
    VALUE_BYTES = 200,
    PARTITIONS = 256,
    READS_A_CALL = 20,
    ORDER_OF_READS = 1000003 /* a prime */
};

typedef struct Bench
{
    uv_loop_t loop;
    Storage *storage;
    Run run;
    uint64_t calls;
    uint64_t keys; /* that were put */
    uint64_t started;
    uint64_t finished;
    uint64_t applying_ns; /* of the loop's processor time */
    uint64_t *begun_ns;   /* by ref */
    double *latencies_us;
} Bench;

static uint64_t
clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t
now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t
switches(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_nvcsw;
}

/* Keys that follow each other in time are no neighbours in the store. */
static void
make_key(uint8_t key[16], uint64_t index)
{
    uint64_t position = index * 0x9e3779b97f4a7c15;

    memset(key, 0, 16);
    key[3] = 1;
    memcpy(key + 4, &position, sizeof(position));
}

static void
start_put(Bench *bench)
{
    static const uint8_t value[VALUE_BYTES] = "value";
    uint8_t key[16];
    uint64_t ref = bench->started++;
    PutValue values = {.value = slice_make(value, sizeof(value))};
    Put put = {.values = &values, .value_count = 1};
    Update update = {.put = &put};
    VClock everything = {.count = 0};

    make_key(key, bench->keys++);
    randombytes_buf(&values.request, sizeof(values.request));
    put.past.context = everything;
    bench->begun_ns[ref] = now_ns();

    uint64_t begun = clock_ns(CLOCK_THREAD_CPUTIME_ID);

    bench->storage->apply(bench->storage, slice_make(key, sizeof(key)), &update, ref);
    bench->applying_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - begun;
}

static void
on_merged(void *context, uint64_t ref, StatusCode status, Slice object)
{
}

static void
on_durable(void *context, uint64_t ref, StatusCode status)
{
    Bench *bench = context;

    if (status != STATUS_OK)
        abort();
    bench->latencies_us[bench->finished++] = (double)(now_ns() - bench->begun_ns[ref]) / 1000;
}

static void
on_read(void *context, uint64_t ref, StatusCode status, Slice object)
{
    ((Bench *)context)->finished++;
}

static void
on_scan(void *context, uint64_t ref, StatusCode status, const StoragePage *page)
{
}

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static void
measure_puts(Bench *bench, unsigned outstanding)
{
    uint64_t syncs = bench->storage->counters(bench->storage).syncs;
    uint64_t begun = now_ns();
    uint64_t used = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t switched = switches();
    double seconds;

    bench->started = bench->finished = bench->applying_ns = 0;
    while (bench->finished < bench->calls)
    {
        while (bench->started < bench->finished + outstanding && bench->started < bench->calls)
            start_put(bench);
        uv_run(&bench->loop, UV_RUN_ONCE);
    }
    seconds = (double)(now_ns() - begun) / 1e9;
    used = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - used;
    switched = switches() - switched;
    syncs = bench->storage->counters(bench->storage).syncs - syncs;
    qsort(bench->latencies_us, bench->calls, sizeof(double), compare);
    printf("put %3u outstanding: %8.0f /s  durable p50 %5.0f us p99 %5.0f us  %5.1f puts a sync  "
           "apply %.2f us  cpu %.1f us  switches %.2f\n",
           outstanding, (double)bench->calls / seconds, bench->latencies_us[bench->calls / 2],
           bench->latencies_us[bench->calls * 99 / 100], (double)bench->calls / (double)syncs,
           (double)bench->applying_ns / 1000 / (double)bench->calls,
           (double)used / 1000 / (double)bench->calls, (double)switched / (double)bench->calls);
}

/* In another order than they were put. */
static void
measure_reads(Bench *bench)
{
    uint64_t count = bench->calls * READS_A_CALL;
    uint64_t begun = clock_ns(CLOCK_THREAD_CPUTIME_ID);

    bench->finished = 0;
    for (uint64_t i = 0; i < count; i++)
    {
        uint8_t key[16];

        make_key(key, i * ORDER_OF_READS % bench->keys);
        bench->storage->read(bench->storage, slice_make(key, sizeof(key)), i);
    }
    while (bench->finished < count)
        uv_run(&bench->loop, UV_RUN_ONCE);
    printf("read: %.2f us\n",
           (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - begun) / 1000 / (double)count);
}

int
main(int argc, char **argv)
{
    Bench bench = {.calls = argc > 2 ? strtoull(argv[2], NULL, 10) : 20000};
    RocksOptions options = {.directory = argv[1],
                            .block_cache_bytes = 64 << 20,
                            .write_buffer_bytes = 32 << 20,
                            .record_cache_bytes = 64 << 20};
    StorageEvents events = {.merged = on_merged,
                            .durable = on_durable,
                            .read_done = on_read,
                            .scan_done = on_scan,
                            .context = &bench};
    Outcome outcome;

    if (argc < 2 || sodium_init() < 0)
        return 2;
    bench.begun_ns = calloc(bench.calls, sizeof(uint64_t));
    bench.latencies_us = calloc(bench.calls, sizeof(double));
    randombytes_buf(&bench.run.actor, sizeof(bench.run.actor));
    uv_loop_init(&bench.loop);
    outcome = rocks_open(&bench.loop, &options, &bench.run, &events, &bench.storage);
    if (outcome.failed)
    {
        fprintf(stderr, "bench_rocks: %s\n", outcome.message);
        return 1;
    }
    bench.storage->set_partitions(bench.storage, PARTITIONS);
    measure_puts(&bench, 1);
    measure_puts(&bench, 16);
    measure_puts(&bench, 256);
    measure_reads(&bench);
    measure_reads(&bench);
    rocks_close(bench.storage, NULL, NULL);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    free(bench.begun_ns);
    free(bench.latencies_us);
    return 0;
}
