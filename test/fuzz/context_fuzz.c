/* Any bytes as a context that this key's nodes open, as pieces that nobody verifies, and as the
 * version vector inside of one. */
#include "test/fuzz/fuzz.h"

/* Any holder of a context may look at its pieces without the key: each is part of the bytes. */
static void
walk_pieces(Slice bytes)
{
    Reader reader = reader_begin(bytes);
    size_t walked = 0;
    Arena arena;

    arena_init(&arena, &MEMORY_HEAP);
    while (reader_left(&reader) > 0)
    {
        ContextPiece piece = context_next(&reader, &arena);

        if (!reader.failed)
            fuzz_require(piece.bytes.data == bytes.data + walked);
        walked += piece.bytes.length;
    }
    if (reader_finish(&reader) && bytes.length > 0)
    {
        fuzz_require(walked == bytes.length);
        fuzz_is_taken = true;
    }
    arena_free(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    walk_pieces(slice_make(data, size));
    fuzz_round_trip(slice_make(data, size), round_trip_context);
    fuzz_round_trip(slice_make(data, size), round_trip_vclock);
    return 0;
}
