/*
 * merge.c: what it costs to merge a replica's write, without storage. Run by hand:
 *
 *   bench_merge [SECONDS]
 *
 * For objects of two siblings with 200-byte values: the arriving object is decoded, as a replica
 * does, and update_apply() decodes what is stored, merges and encodes. Processor time for each,
 * the least of several rounds, and whether all of it stays under the mark.
 */
#include "shared/data/update.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum
{
    VALUE_BYTES = 200,
    ROUNDS = 20,
    MARK_NS = 1000,
    RECORD_BYTES_MAX = 4096
};

/* One arrival: an object, and the record that it meets. */
typedef struct Meeting
{
    const char *name;
    Slice record;
    Slice arriving;
    UpdateResult expected;
} Meeting;

typedef struct Bench
{
    Arena lasting;
    Arena scratch;
    Buffer out;
    Run run;
    uint8_t value[VALUE_BYTES];
    uint8_t requests;
} Bench;

static uint64_t
now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The record after a put by the run, under what the context record's object has seen. */
static Slice
put(Bench *bench, Slice record, const VClock *context)
{
    PutValue value = {.request = {{++bench->requests}},
                      .value = slice_make(bench->value, sizeof(bench->value))};
    Put wanted = {
        .past.context = *context, .values = &value, .value_count = 1, .now_ms = 1700000000000};
    Slice object;

    buffer_reset(&bench->out);
    if (update_apply(&bench->run, record, &(Update){.put = &wanted}, NULL, &bench->lasting,
                     &bench->out, &object) != UPDATE_CHANGED)
        abort();
    return slice_copy(&bench->lasting, buffer_slice(&bench->out));
}

static Slice
object_in(Slice record)
{
    Slice object;

    if (!update_record_object(record, &object))
        abort();
    return object;
}

/* Two owners have coordinated writes of the key: its context has two entries. */
static Slice
make_pair(Bench *bench)
{
    Slice first = put(bench, SLICE_EMPTY, &(VClock){0});
    Object object;

    bench->run = (Run){.actor = {{2}}};
    if (!object_decode(object_in(first), &bench->lasting, &object))
        abort();
    buffer_reset(&bench->out);

    Slice ignored;

    if (update_apply(&bench->run, SLICE_EMPTY, &(Update){.merge = &object}, NULL, &bench->lasting,
                     &bench->out, &ignored) != UPDATE_CHANGED)
        abort();
    return put(bench, slice_copy(&bench->lasting, buffer_slice(&bench->out)), &(VClock){0});
}

static VClock
context_of(Bench *bench, Slice record)
{
    Object object;

    if (!object_decode(object_in(record), &bench->lasting, &object))
        abort();
    return object.context;
}

/* Nanoseconds a call; *decode_ns is the share of decoding what arrives. */
static double
measure(Bench *bench, const Meeting *meeting, uint64_t calls, double *decode_ns)
{
    uint64_t decoding;
    uint64_t started = now_ns();
    uint64_t ended;

    for (uint64_t i = 0; i < calls; i++)
    {
        Object object;

        arena_reset(&bench->scratch);
        if (!object_decode(meeting->arriving, &bench->scratch, &object))
            abort();
    }
    decoding = now_ns() - started;
    started = now_ns();
    for (uint64_t i = 0; i < calls; i++)
    {
        Object object;
        Slice merged;

        arena_reset(&bench->scratch);
        buffer_reset(&bench->out);
        if (!object_decode(meeting->arriving, &bench->scratch, &object) ||
            update_apply(&bench->run, meeting->record, &(Update){.merge = &object}, NULL,
                         &bench->scratch, &bench->out, &merged) != meeting->expected)
            abort();
    }
    ended = now_ns();
    *decode_ns = (double)decoding / (double)calls;
    return (double)(ended - started) / (double)calls;
}

static bool
report(Bench *bench, const Meeting *meeting, double seconds)
{
    double decode_ns;
    double least = measure(bench, meeting, 10000, &decode_ns);
    uint64_t calls = (uint64_t)(seconds / ROUNDS / 2 * 1e9 / least) + 1;

    for (int i = 0; i < ROUNDS; i++)
    {
        double round_decode_ns;
        double ns = measure(bench, meeting, calls, &round_decode_ns);

        least = ns < least ? ns : least;
        decode_ns = round_decode_ns < decode_ns ? round_decode_ns : decode_ns;
    }
    printf("%-44s %5.0f ns, %4.0f of them to decode what arrives  %s\n", meeting->name, least,
           decode_ns, least < MARK_NS ? "ok" : "OVER THE MARK");
    return least < MARK_NS;
}

int
main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
    Bench bench = {.run = {.actor = {{1}}}};
    bool met = true;

    memset(bench.value, 'v', sizeof(bench.value));
    arena_init(&bench.lasting, &MEMORY_HEAP);
    arena_init(&bench.scratch, &MEMORY_HEAP);
    buffer_init(&bench.out, &MEMORY_HEAP);

    Slice pair = make_pair(&bench);
    VClock seen = context_of(&bench, pair);
    Slice resolved = put(&bench, pair, &seen);
    Slice next_pair = put(&bench, resolved, &seen);
    const Meeting meetings[] = {
        {"a pair, where nothing is",     SLICE_EMPTY, object_in(pair),      UPDATE_CHANGED  },
        {"a pair, where one of it is",   resolved,    object_in(next_pair), UPDATE_CHANGED  },
        {"a pair that replaces a pair",  pair,        object_in(next_pair), UPDATE_CHANGED  },
        {"a pair that is there already", next_pair,   object_in(next_pair), UPDATE_UNCHANGED},
        {"an older pair than there is",  next_pair,   object_in(pair),      UPDATE_UNCHANGED},
    };

    for (size_t i = 0; i < sizeof(meetings) / sizeof(meetings[0]); i++)
        met = report(&bench, &meetings[i], seconds) && met;
    arena_free(&bench.lasting);
    arena_free(&bench.scratch);
    buffer_free(&bench.out);
    return met ? EXIT_SUCCESS : EXIT_FAILURE;
}
