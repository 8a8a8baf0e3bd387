/* fuzz: what every target does with its input. */
#ifndef TEST_FUZZ_FUZZ_H
#define TEST_FUZZ_FUZZ_H

#include "test/lib/round_trip.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Some decoder has taken the input. The replay of a corpus (replay_main.c) fails on an input that
 * today's decoders refuse, unless it is named refused_NAME. */
bool fuzz_is_taken __attribute__((weak));

static inline void
fuzz_require(bool truth)
{
    if (!truth)
        abort();
}

/* Bytes that are taken must come back as they were. */
static inline bool
fuzz_round_trip(Slice bytes, RoundTrip round_trip)
{
    Arena arena;
    Buffer again;

    arena_init(&arena, &MEMORY_HEAP);
    buffer_init(&again, &MEMORY_HEAP);

    bool taken = round_trip(bytes, &arena, &again);

    fuzz_require(!taken || round_trip_is_faithful(bytes, buffer_slice(&again)));
    fuzz_is_taken = fuzz_is_taken || taken;
    arena_free(&arena);
    buffer_free(&again);
    return taken;
}

#endif
