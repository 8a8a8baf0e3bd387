/*
 * Large frames in chunks: the queue at the sender, the join at the receiver.
 *
 * Happy path: chunk_queue_add(), then a chunk each time the connection takes one; at the other end
 * chunk_join_add() until it says that a frame is whole. Failure modes: the connection ends, and
 * both sides forget what was under way; a chunk that breaks the bounds, or is none, ends it too.
 */
#include "shared/wire/chunk.h"

/* NULL when there is no memory for it. It asks for the memory: a large frame is what a process runs
 * out of memory with, and its link alone is to break then. */
static ChunkedFrame *
new_frame(const Memory *memory, uint32_t number)
{
    ChunkedFrame *frame = memory_try_resize(memory, NULL, sizeof(ChunkedFrame));

    if (frame == NULL)
        return NULL;
    *frame = (ChunkedFrame){.number = number};
    buffer_init(&frame->bytes, memory);
    return frame;
}

static void
free_frame(const Memory *memory, ChunkedFrame *frame)
{
    buffer_free(&frame->bytes);
    memory_resize(memory, frame, 0);
}

/* The lists are short. */
static void
push_last(ChunkedFrame **list, ChunkedFrame *frame)
{
    while (*list != NULL)
        list = &(*list)->next;
    frame->next = NULL;
    *list = frame;
}

static ChunkedFrame *
unlink_first(ChunkedFrame **list)
{
    ChunkedFrame *frame = *list;

    if (frame != NULL)
        *list = frame->next;
    return frame;
}

static void
free_frames(const Memory *memory, ChunkedFrame *list)
{
    while (list != NULL)
        free_frame(memory, unlink_first(&list));
}

/* ---- sending ---- */

void
chunk_queue_init(ChunkQueue *queue, const Memory *memory)
{
    *queue = (ChunkQueue){.memory = memory};
}

void
chunk_queue_free(ChunkQueue *queue)
{
    free_frames(queue->memory, queue->begun);
    free_frames(queue->memory, queue->waiting);
    chunk_queue_init(queue, queue->memory);
}

bool
chunk_is_needed(Slice frame)
{
    return frame.length > CHUNK_BYTES;
}

bool
chunk_queue_add(ChunkQueue *queue, Slice frame)
{
    ChunkedFrame *added = new_frame(queue->memory, ++queue->last_number);

    if (frame.length == 0 || frame.length > CHUNK_FRAME_MAX)
        memory_fail(queue->memory, "a frame of no bytes, or of too many, is to leave in parts");
    if (added == NULL)
        return false;
    if (!buffer_try_put(&added->bytes, frame.data, frame.length))
    {
        free_frame(queue->memory, added);
        return false;
    }
    push_last(&queue->waiting, added);
    queue->bytes += frame.length;
    return true;
}

/* As many frames begin as the receiver takes. The first that does not fit keeps those behind it
 * waiting, or a large frame would wait for ever. */
static void
begin_waiting(ChunkQueue *queue)
{
    while (queue->waiting != NULL && queue->begun_count < CHUNK_FRAMES_MAX &&
           queue->waiting->bytes.length <= CHUNK_FRAME_MAX - queue->begun_bytes)
    {
        ChunkedFrame *frame = unlink_first(&queue->waiting);

        queue->begun_count++;
        queue->begun_bytes += frame->bytes.length;
        push_last(&queue->begun, frame);
    }
}

/* The frame whose turn it was goes to the end of the row: small ones among the large ones are soon
 * through. */
bool
chunk_queue_next(ChunkQueue *queue, Buffer *chunk)
{
    begin_waiting(queue);

    ChunkedFrame *frame = unlink_first(&queue->begun);

    if (frame == NULL)
        return false;

    size_t left = frame->bytes.length - frame->sent;
    size_t count = left > CHUNK_BYTES ? CHUNK_BYTES : left;
    ChunkFrame next = {.last = count == left,
                       .piece = slice_make(frame->bytes.data + frame->sent, count)};

    chunk_encode(chunk, frame->number, &next);
    frame->sent += count;
    queue->bytes -= count;
    if (!next.last)
    {
        push_last(&queue->begun, frame);
        return true;
    }
    queue->begun_count--;
    queue->begun_bytes -= frame->bytes.length;
    free_frame(queue->memory, frame);
    return true;
}

/* ---- receiving ---- */

void
chunk_join_init(ChunkJoin *join, const Memory *memory, size_t bytes_max)
{
    *join = (ChunkJoin){.memory = memory, .bytes_max = bytes_max};
    buffer_init(&join->whole, memory);
}

void
chunk_join_free(ChunkJoin *join)
{
    free_frames(join->memory, join->begun);
    buffer_free(&join->whole);
    chunk_join_init(join, join->memory, join->bytes_max);
}

void
chunk_join_release(ChunkJoin *join)
{
    buffer_free(&join->whole);
}

bool
chunk_is_one(Slice frame)
{
    return frame.length > 0 && frame.data[0] == FRAME_CHUNK;
}

/* The link of the list that leads to the frame with that number, or the list's last link. */
static ChunkedFrame **
find_frame(ChunkJoin *join, uint32_t number)
{
    ChunkedFrame **at = &join->begun;

    while (*at != NULL && (*at)->number != number)
        at = &(*at)->next;
    return at;
}

/* Keeps the piece with those of its frame, which it may begin. False: there is no memory for it. */
static bool
keep_piece(ChunkJoin *join, ChunkedFrame **at, uint32_t number, Slice piece)
{
    if (*at == NULL)
    {
        *at = new_frame(join->memory, number);
        if (*at == NULL)
            return false;
        join->begun_count++;
    }
    join->begun_bytes += piece.length;
    return buffer_try_put(&(*at)->bytes, piece.data, piece.length);
}

/* The bytes go to the join as they are, without a copy. */
static void
complete_frame(ChunkJoin *join, ChunkedFrame **at)
{
    ChunkedFrame *frame = unlink_first(at);

    join->begun_count--;
    join->begun_bytes -= frame->bytes.length;
    join->whole = frame->bytes;
    buffer_init(&frame->bytes, join->memory);
    free_frame(join->memory, frame);
}

/* A chunk inside of chunks is refused: nobody sends one, and it would go round the bounds. */
ChunkResult
chunk_join_add(ChunkJoin *join, Slice bytes, Slice *frame)
{
    ChunkedFrame **at;
    Frame outer;
    ChunkFrame chunk;

    chunk_join_release(join);
    if (!frame_decode(bytes, &outer) || outer.type != FRAME_CHUNK ||
        !chunk_decode(&outer, &chunk) || chunk.piece.length > join->bytes_max - join->begun_bytes)
        return CHUNK_BAD;
    at = find_frame(join, outer.tag);
    if (*at == NULL && join->begun_count == CHUNK_FRAMES_MAX)
        return CHUNK_BAD;
    if (!keep_piece(join, at, outer.tag, chunk.piece))
        return CHUNK_NO_MEMORY;
    if (!chunk.last)
        return CHUNK_MORE;
    complete_frame(join, at);
    *frame = buffer_slice(&join->whole);
    return chunk_is_one(*frame) ? CHUNK_BAD : CHUNK_WHOLE;
}
