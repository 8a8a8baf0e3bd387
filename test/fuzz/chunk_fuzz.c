/*
 * Any chunks in any order into a join, and what it makes whole through a queue and a join of its
 * own: it must come out as it was.
 *
 * Input: chunks, each as a slice.
 */
#include "shared/wire/chunk.h"
#include "test/fuzz/fuzz.h"

static void
send_through(Slice frame)
{
    ChunkQueue queue;
    ChunkJoin join;
    Buffer chunk;
    Slice again = SLICE_EMPTY;
    ChunkResult result = CHUNK_MORE;

    chunk_queue_init(&queue, &MEMORY_HEAP);
    chunk_join_init(&join, &MEMORY_HEAP, CHUNK_FRAME_MAX);
    buffer_init(&chunk, &MEMORY_HEAP);
    chunk_queue_add(&queue, frame);
    while (result == CHUNK_MORE)
    {
        buffer_reset(&chunk);
        fuzz_require(chunk_queue_next(&queue, &chunk));
        result = chunk_join_add(&join, buffer_slice(&chunk), &again);
    }
    fuzz_require(result == CHUNK_WHOLE && slice_equal(frame, again));
    fuzz_require(queue.bytes == 0 && join.begun_bytes == 0);
    chunk_queue_free(&queue);
    chunk_join_free(&join);
    buffer_free(&chunk);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Reader reader = reader_begin(slice_make(data, size));
    ChunkJoin join;

    chunk_join_init(&join, &MEMORY_HEAP, CHUNK_FRAME_MAX);
    while (reader_left(&reader) > 0)
    {
        Slice frame;
        Slice chunk = reader_slice(&reader);

        ChunkResult result = chunk_join_add(&join, chunk, &frame);

        fuzz_is_taken = fuzz_is_taken || result != CHUNK_BAD;
        if (result == CHUNK_WHOLE)
            send_through(frame);
        fuzz_require(join.begun_count <= CHUNK_FRAMES_MAX && join.begun_bytes <= size);
    }
    chunk_join_free(&join);
    return 0;
}
