/*
 * A request from its first frame to its last answer: beginning it, what comes in, what time does,
 * what goes out.
 *
 * It keeps a list of parts, in the order in which they were made. The list only grows, by a few
 * parts for each failure, and ends with the request, so that it is searched from its beginning.
 */
#include "shared/ask/request_private.h"

#include <stdlib.h>

/* A member that answers any request of this asker is not silent, however long this request's frames
 * wait in its queue. */
void
request_heard(Request *request, uint32_t member, uint64_t now_ms)
{
    request->asker->members[member].heard_ms = now_ms;
    request->members[member].silent = false;
}

/* The wait is noted before the member counts as heard, or it would be zero. An answer to a part
 * that has ended is taken off the link and says nothing more. */
bool
request_answer(Request *request, uint32_t member, const Frame *frame, uint64_t now_ms)
{
    RequestPart *part = request->parts;

    while (part != NULL && (part->tag != frame->tag || part->member != member))
        part = part->next;
    if (part == NULL)
        return false;
    request->now_ms = now_ms;
    if (request_part_is_under_way(part))
        request_part_add_wait(request, part);
    request_heard(request, member, now_ms);
    if (request_part_is_under_way(part))
        request_part_answer(request, part, frame);
    return true;
}

/* What was not sent yet goes over the next link. */
void
request_lost(Request *request, uint32_t member, uint64_t now_ms)
{
    request->now_ms = now_ms;
    for (RequestPart *part = request->parts; part != NULL; part = part->next)
    {
        if (part->member == member && request_part_is_under_way(part))
            request_part_lost(request, part);
        else if (part->member == member && part->state == PART_PAUSED)
            request_part_fail(request, part, false, STATUS_OK);
    }
}

/* No byte has left, so nothing can have been written: the keys go on, and can still be refused. */
void
request_unreached(Request *request, uint32_t member, uint64_t now_ms)
{
    request->now_ms = now_ms;
    for (RequestPart *part = request->parts; part != NULL; part = part->next)
    {
        if (part->member == member && part->state != PART_ENDED)
            request_part_fail(request, part, false, STATUS_OK);
    }
}

/* The deadline is over. A write that was sent may be carried out yet, so its fate is unknown; one
 * that still waits to be sent is refused, and is refused as overload when nothing else is known
 * against it. */
static void
end_open_keys(Request *request)
{
    for (const RequestPart *part = request->parts; part != NULL && request->is_write;
         part = part->next)
    {
        for (uint32_t i = 0; i < part->key_count && request_part_is_under_way(part); i++)
            request->states[part->keys[i]].write.maybe_written = true;
    }
    for (uint32_t key = 0; key < request->key_count; key++)
    {
        RequestKey *state = &request->states[key];

        if (state->done)
            continue;
        if (request->is_write && state->reason == STATUS_OK && state->pending > 0)
            state->reason = STATUS_OVERLOADED;
        request_key_give_up(request, key);
    }
}

/* Parts come first: one whose patience ends at the deadline still says that its member was silent.
 */
void
request_tick(Request *request, uint64_t now_ms)
{
    request->now_ms = now_ms;
    for (RequestPart *part = request->parts; part != NULL; part = part->next)
    {
        if (now_ms < request_part_due_ms(request, part))
            continue;
        if (part->state == PART_PAUSED)
            request_part_resume(request, part);
        else
            request_part_hedge(request, part);
    }
    if (now_ms >= request->deadline_ms)
        end_open_keys(request);
}

uint64_t
request_wake_ms(const Request *request)
{
    uint64_t wake = request->deadline_ms;

    for (const RequestPart *part = request->parts; part != NULL; part = part->next)
    {
        uint64_t due = request_part_due_ms(request, part);

        wake = due < wake ? due : wake;
    }
    return wake;
}

/* The part is noted as sent before it is encoded, since its patience travels in the frame of a
 * write. */
bool
request_next_send(Request *request, uint32_t *member, Slice *frame)
{
    RequestPart *part = request_part_next(request);

    if (part == NULL)
        return false;
    request_part_sent(request, part);
    request_part_encode(request, part);
    *member = part->member;
    *frame = buffer_slice(&request->frame);
    return true;
}

/* Parts may still be under way by then, of members that were too slow to count: nobody waits for
 * them. */
bool
request_done(const Request *request)
{
    return request->keys_open == 0;
}

bool
request_was_silent(const Request *request, uint32_t member)
{
    return request->members[member].silent;
}

const RequestReadResult *
request_read_results(const Request *request)
{
    return request->reads;
}

const RequestWriteResult *
request_write_results(const Request *request)
{
    return request->writes;
}

RequestCounters
request_counters(const Request *request)
{
    return request->counters;
}

void
request_end(Request *request)
{
    buffer_free(&request->frame);
}

/* All of it lies in the arena but the frame, whose size nobody knows before: that one is the buffer
 * that request_end() gives back. */
static Request *
new_request(Arena *arena, RequestAsker *asker, const Topology *topology, const Bucket *bucket,
            const RequestOptions *options, uint32_t key_count, uint64_t now_ms)
{
    Request *request = ARENA_NEW(arena, Request);

    request->arena = arena;
    request->asker = asker;
    request->topology = topology;
    request->bucket = bucket;
    request->options = *options;
    request->now_ms = now_ms;
    request->deadline_ms = now_ms + options->timeout_ms;
    request->key_count = key_count;
    request->keys_open = key_count;
    request->states = arena_alloc_zero(arena, sizeof(RequestKey) * key_count);
    request->members = arena_alloc_zero(arena, sizeof(RequestMemberState) * topology->member_count);
    for (uint32_t i = 0; i < topology->member_count; i++)
        request->members[i].keys_max =
            options->frame_keys != 0 ? options->frame_keys : PART_KEYS_MAX;
    request->parts_tail = &request->parts;
    buffer_init(&request->frame, arena->memory);
    return request;
}

typedef struct RequestPlacedKey
{
    uint64_t position;
    uint32_t key;
} RequestPlacedKey;

static int
compare_placed(const void *a, const void *b)
{
    const RequestPlacedKey *left = a;
    const RequestPlacedKey *right = b;

    if (left->position != right->position)
        return left->position < right->position ? -1 : 1;
    return (left->key > right->key) - (left->key < right->key);
}

/* Places every key. Those that can be placed come in ring order: neighbours travel, and are stored,
 * together. */
static RequestPlacedKey *
place_keys(Request *request, uint32_t *count_out)
{
    RequestPlacedKey *placed = ARENA_ARRAY(request->arena, RequestPlacedKey, request->key_count);
    uint32_t count = 0;

    for (uint32_t key = 0; key < request->key_count; key++)
    {
        if (request_place_key(request, key))
            placed[count++] =
                (RequestPlacedKey){.position = request->states[key].position, .key = key};
        else
            request_key_end(request, key, STATUS_BAD_KEY);
    }
    if (count > 1)
        qsort(placed, count, sizeof(RequestPlacedKey), compare_placed);
    *count_out = count;
    return placed;
}

/* Fallbacks stand in for owners: they do not make more of them. */
static void
begin_read_key(Request *request, uint32_t key)
{
    const RequestKey *state = &request->states[key];
    const RequestOptions *options = &request->options;

    if (options->quorum > state->owner_count || options->owners > state->owner_count)
        request_key_end(request, key, STATUS_UNAVAILABLE);
    else
        (void)request_key_ask(request, key);
}

Request *
request_read(Arena *arena, RequestAsker *asker, const Topology *topology, const Bucket *bucket,
             const RequestOptions *options, const Slice *keys, uint32_t key_count, uint64_t now_ms)
{
    Request *request = new_request(arena, asker, topology, bucket, options, key_count, now_ms);

    request->keys = keys;
    request->reads = arena_alloc_zero(arena, sizeof(RequestReadResult) * key_count);

    uint32_t placed_count;
    const RequestPlacedKey *placed = place_keys(request, &placed_count);

    for (uint32_t at = 0; at < placed_count; at++)
        begin_read_key(request, placed[at].key);
    return request;
}

Request *
request_write(Arena *arena, RequestAsker *asker, const Topology *topology, const Bucket *bucket,
              const RequestOptions *options, const WriteItem *items, uint32_t item_count,
              uint64_t now_ms)
{
    Request *request = new_request(arena, asker, topology, bucket, options, item_count, now_ms);

    request->is_write = true;
    request->items = items;
    request->writes = arena_alloc_zero(arena, sizeof(RequestWriteResult) * item_count);

    uint32_t placed_count;
    const RequestPlacedKey *placed = place_keys(request, &placed_count);

    for (uint32_t at = 0; at < placed_count; at++)
    {
        uint32_t key = placed[at].key;

        if (request_key_ask_bytes(request, key, PART_WRITE) > ITEM_BYTES_MAX)
            request_key_end(request, key, STATUS_TOO_LARGE);
        else
            (void)request_key_ask(request, key);
    }
    return request;
}

WriteItem *
request_ring_order(Arena *arena, const Bucket *bucket, const WriteItem *items, uint32_t item_count)
{
    RequestPlacedKey *placed = ARENA_ARRAY(arena, RequestPlacedKey, item_count);
    WriteItem *ordered = ARENA_ARRAY(arena, WriteItem, item_count);

    for (uint32_t i = 0; i < item_count; i++)
    {
        placed[i] = (RequestPlacedKey){.key = i};

        /* A key that is not the bucket's goes first, to be refused like any other. */
        (void)topology_position(bucket, items[i].key, &placed[i].position);
    }
    if (item_count > 1)
        qsort(placed, item_count, sizeof(RequestPlacedKey), compare_placed);
    for (uint32_t i = 0; i < item_count; i++)
        ordered[i] = items[placed[i].key];
    return ordered;
}
