/* Tries bytes in every wrong form: cut anywhere, each byte changed, one byte more. */
#include "test/unit/stages/hostile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Attempt
{
    RoundTrip round_trip;
    Arena arena;
    Buffer again;
} Attempt;

/* False: refused. Fails the test when what comes back is something else. */
static bool
try_bytes(Attempt *attempt, const uint8_t *data, size_t length)
{
    uint8_t *exact = malloc(length > 0 ? length : 1);
    Slice bytes = slice_make(exact, length);

    memcpy(exact, data, length);
    arena_reset(&attempt->arena);
    buffer_reset(&attempt->again);

    bool taken = attempt->round_trip(bytes, &attempt->arena, &attempt->again);

    if (taken && !round_trip_is_faithful(bytes, buffer_slice(&attempt->again)))
        fail_msg("bytes came back as other bytes");
    free(exact);
    return taken;
}

static void
try_changes(Attempt *attempt, uint8_t *data, size_t length)
{
    static const uint8_t changes[] = {1, 2, 4, 8, 16, 32, 64, 128, 255};

    for (size_t at = 0; at < length; at++)
    {
        uint8_t kept = data[at];

        for (size_t i = 0; i < sizeof(changes); i++)
        {
            data[at] = kept ^ changes[i];
            try_bytes(attempt, data, length);
        }
        data[at] = 0;
        try_bytes(attempt, data, length);
        data[at] = kept;
    }
}

void
assert_hostile_bytes_are_refused(Slice bytes, RoundTrip round_trip)
{
    Attempt attempt = {.round_trip = round_trip};
    uint8_t *data = calloc(1, bytes.length + 1);

    arena_init(&attempt.arena, &MEMORY_HEAP);
    buffer_init(&attempt.again, &MEMORY_HEAP);
    if (bytes.length > 0)
        memcpy(data, bytes.data, bytes.length);
    assert_true(try_bytes(&attempt, data, bytes.length));
    for (size_t length = 0; length < bytes.length; length++)
        try_bytes(&attempt, data, length);
    try_bytes(&attempt, data, bytes.length + 1);
    try_changes(&attempt, data, bytes.length);
    arena_free(&attempt.arena);
    buffer_free(&attempt.again);
    free(data);
}
