/*
 * chunk: frames too large to travel at once, in chunks (FRAME_CHUNK), so that small ones pass
 * between.
 *
 * A frame of more than CHUNK_BYTES leaves its sender chunk by chunk, the frames under way taking
 * turns; each is numbered by the tag of its chunks. So a large frame may be overtaken, by a later
 * large one too: nobody counts on the order of two frames. Only nodes send chunks (to nodes, and to
 * clients as answers); a client's frame is small enough to go whole.
 *
 * Both sides keep to the same bounds: CHUNK_FRAMES_MAX frames that were begun and not ended on one
 * connection, and of these CHUNK_FRAME_MAX bytes between nodes, CHUNK_CLIENT_MAX to a client, who
 * has less to spare. What would go beyond waits at the sender, so a receiver may refuse it. Where
 * there is no memory for a chunk the connection ends.
 */
#ifndef SHARED_WIRE_CHUNK_H
#define SHARED_WIRE_CHUNK_H

#include "shared/wire/message.h"

enum
{
    CHUNK_BYTES = 1024 * 1024,            /* of a frame in one chunk */
    CHUNK_FRAME_MAX = 1024 * 1024 * 1024, /* no frame is larger */
    CHUNK_CLIENT_MAX = 256 * 1024 * 1024, /* none to a client is */
    CHUNK_FRAMES_MAX = 16
};

typedef struct ChunkedFrame
{
    struct ChunkedFrame *next;
    uint32_t number;
    Buffer bytes;
    size_t sent; /* of bytes */
} ChunkedFrame;

/* ---- sending ---- */

typedef struct ChunkQueue
{
    const Memory *memory;
    ChunkedFrame *begun;   /* in the order of their turns */
    ChunkedFrame *waiting; /* the bounds do not let them begin */
    uint32_t begun_count;
    size_t begun_bytes; /* of the frames begun, whole */
    size_t bytes;       /* that have not been given out, of all */
    uint32_t last_number;
} ChunkQueue;

void chunk_queue_init(ChunkQueue *queue, const Memory *memory);
void chunk_queue_free(ChunkQueue *queue);

/* True for a frame that has to go through a queue. */
bool chunk_is_needed(Slice frame);

/* Takes a copy of a frame of at most CHUNK_FRAME_MAX bytes. False: there is no memory for it. */
bool chunk_queue_add(ChunkQueue *queue, Slice frame);

/* Appends the next chunk, a frame of its own; false when there is none. */
bool chunk_queue_next(ChunkQueue *queue, Buffer *chunk);

/* ---- receiving ---- */

/* The frames of one connection of which chunks are still to come. */
typedef struct ChunkJoin
{
    const Memory *memory;
    size_t bytes_max; /* of begun_bytes */
    ChunkedFrame *begun;
    uint32_t begun_count;
    size_t begun_bytes; /* that have come of them */
    Buffer whole;       /* the last that was completed */
} ChunkJoin;

typedef enum ChunkResult
{
    CHUNK_MORE,     /* chunks are still to come */
    CHUNK_WHOLE,    /* that was the last: *frame is whole */
    CHUNK_BAD,      /* no chunk that a node sends: the connection is of no use any more */
    CHUNK_NO_MEMORY /* nor is it after this */
} ChunkResult;

/* bytes_max: CHUNK_FRAME_MAX or CHUNK_CLIENT_MAX. */
void chunk_join_init(ChunkJoin *join, const Memory *memory, size_t bytes_max);
void chunk_join_free(ChunkJoin *join);

/* True for bytes that are to be given to chunk_join_add. */
bool chunk_is_one(Slice frame);

/* Takes the bytes of a chunk. The whole frame lies in the join until chunk_join_release or the next
 * chunk. */
ChunkResult chunk_join_add(ChunkJoin *join, Slice bytes, Slice *frame);
void chunk_join_release(ChunkJoin *join);

#endif
