/*
 * One batch of quorum reads or writes.
 *
 * A key is asked of its owners in an order of its own: preference order, avoided members last. Asks for one member and of one
 * kind are gathered into a part, which becomes one frame. Happy path of a read: one full part and r-1 digest parts for each key,
 * all equal. Failure modes: a part's member is lost, refuses or is silent: each of its keys goes on to its next owner; digests
 * differ: the key is asked of one owner as a coordinated read; no owner is left: the key ends with the last reason.
 */
#include "shared/request.h"

#include <stdlib.h>
#include <string.h>

typedef enum PartKind
{
    PART_FULL,
    PART_DIGEST,
    PART_COORDINATED,
    PART_WRITE,
    PART_RETRY, /* a write that may have been written already */
    PART_KINDS
} PartKind;

typedef enum PartState
{
    PART_QUEUED, /* waits for a place in its member's window */
    PART_SENT,   /* owes an answer */
    PART_SILENT, /* owes an answer, and its keys have been asked elsewhere too */
    PART_ENDED
} PartState;

enum
{
    PART_KEYS_MAX = 512,
    PART_BYTES_MAX = 256 * 1024,
    MEMBER_WINDOW = 16 /* parts under way at one member */
};

typedef struct Part Part;

struct Part
{
    Part *next;
    PartKind kind;
    PartState state;
    uint32_t tag;
    uint32_t member;
    uint64_t sent_ms;
    bool overdue; /* its silence has been acted upon */
    uint32_t *keys;
    uint32_t key_count;
    uint32_t key_capacity;
    size_t bytes;
};

typedef struct KeyState
{
    uint64_t position;
    uint16_t owners[TOPOLOGY_N_MAX]; /* members in preference order */
    uint8_t order[TOPOLOGY_N_MAX];   /* places in owners, in the order to ask */
    uint8_t owner_count;
    uint8_t asked;   /* of order */
    uint8_t pending; /* asks that may still be answered */
    uint8_t answers;
    uint32_t coordinated; /* owners asked for a coordinated read, by place in owners */
    bool done;
    bool has_full;
    bool full_pending;
    bool mismatch;
    bool maybe_written;
    Digest digest;
    StatusCode reason; /* the last refusal */
} KeyState;

typedef struct MemberState
{
    uint64_t heard_ms; /* the last answer */
    uint32_t under_way;
    bool silent;
    Part *draft[PART_KINDS]; /* parts still being filled */
} MemberState;

struct Request
{
    Arena *arena;
    RequestTags *tags;
    const Topology *topology;
    const Bucket *bucket;
    RequestOptions options;
    bool is_write;
    uint64_t now_ms;
    uint64_t deadline_ms;
    const Slice *keys;
    const WriteItem *items;
    uint32_t key_count;
    uint32_t keys_open;
    KeyState *states;
    MemberState *members;
    Part *parts;
    Part **parts_tail;
    Part *first_queued; /* no part before it is queued */
    RequestReadResult *reads;
    RequestWriteResult *writes;
    RequestCounters counters;
    Buffer frame;
};

static Slice
key_of(const Request *request, uint32_t key)
{
    return request->is_write ? request->items[key].key : request->keys[key];
}

static size_t
ask_bytes(const Request *request, uint32_t key)
{
    size_t bytes = key_of(request, key).length;

    for (uint32_t i = 0; request->is_write && i < request->items[key].value_count; i++)
        bytes += request->items[key].values[i].value.length;
    return bytes;
}

static Part *
new_part(Request *request, PartKind kind, uint32_t member)
{
    Part *part = ARENA_NEW(request->arena, Part);

    part->kind = kind;
    part->member = member;
    part->tag = ++request->tags->last;
    *request->parts_tail = part;
    request->parts_tail = &part->next;
    if (request->first_queued == NULL)
        request->first_queued = part;
    return part;
}

static void
append_key(Request *request, Part *part, uint32_t key)
{
    if (part->key_count == part->key_capacity)
    {
        uint32_t capacity = part->key_capacity ? part->key_capacity * 2 : 4;
        uint32_t *keys = ARENA_ARRAY(request->arena, uint32_t, capacity);

        if (part->key_count > 0)
            memcpy(keys, part->keys, sizeof(uint32_t) * part->key_count);
        part->keys = keys;
        part->key_capacity = capacity;
    }
    part->keys[part->key_count++] = key;
    part->bytes += ask_bytes(request, key);
}

static void
ask(Request *request, uint32_t key, PartKind kind, uint32_t member)
{
    Part **draft = &request->members[member].draft[kind];
    Part *part = *draft;

    if (part == NULL || part->state != PART_QUEUED || part->key_count >= PART_KEYS_MAX ||
        part->bytes >= PART_BYTES_MAX)
        part = *draft = new_part(request, kind, member);
    append_key(request, part, key);
    request->states[key].pending++;
    if (kind == PART_FULL)
        request->states[key].full_pending = true;
}

static void
end_key(Request *request, uint32_t key, StatusCode status)
{
    KeyState *state = &request->states[key];

    if (state->done)
        return;
    state->done = true;
    request->keys_open--;
    if (request->is_write)
        request->writes[key].status = status;
    else
        request->reads[key].status = status;
}

/* No owner is left to ask and none owes an answer. */
static void
give_up(Request *request, uint32_t key)
{
    KeyState *state = &request->states[key];
    StatusCode reason = state->reason == STATUS_OK ? STATUS_UNAVAILABLE : state->reason;

    end_key(request, key, request->is_write && state->maybe_written ? STATUS_UNKNOWN : reason);
}

/* Asks the key's next owner; false when all have been asked. */
static bool
ask_next(Request *request, uint32_t key)
{
    KeyState *state = &request->states[key];
    PartKind kind;

    if (state->asked == state->owner_count)
        return false;
    if (request->is_write)
        kind = state->maybe_written ? PART_RETRY : PART_WRITE;
    else
        kind = state->has_full || state->full_pending ? PART_DIGEST : PART_FULL;
    ask(request, key, kind, state->owners[state->order[state->asked++]]);
    return true;
}

/* How well an owner is suited to coordinate: best one that has answered, worst one that was silent. */
static int
coordinator_rank(const Request *request, uint32_t key, uint8_t place)
{
    const KeyState *state = &request->states[key];

    if (request->members[state->owners[place]].silent)
        return 0;
    return (request->reads[key].answered >> place & 1) != 0 ? 2 : 1;
}

static bool
ask_coordinated(Request *request, uint32_t key)
{
    KeyState *state = &request->states[key];
    int best = -1;
    uint8_t chosen = 0;

    for (uint8_t i = 0; i < state->owner_count; i++)
    {
        uint8_t place = state->order[i];

        if ((state->coordinated >> place & 1) == 0 && coordinator_rank(request, key, place) > best)
        {
            best = coordinator_rank(request, key, place);
            chosen = place;
        }
    }
    if (best < 0)
        return false;
    state->coordinated |= UINT32_C(1) << chosen;
    ask(request, key, PART_COORDINATED, state->owners[chosen]);
    return true;
}

/* A read key with a quorum of answers ends, or goes on to what is still missing. */
static void
settle_read(Request *request, uint32_t key)
{
    KeyState *state = &request->states[key];

    if (state->done || state->answers < request->options.quorum)
        return;
    if (state->mismatch)
    {
        if (state->coordinated == 0)
        {
            request->counters.mismatches++;
            (void) ask_coordinated(request, key);
        }
    }
    else if (state->has_full)
        end_key(request, key, STATUS_OK);
    else if (!state->full_pending && state->coordinated == 0)
        (void) ask_coordinated(request, key);
}

/* An ask of this key ended without an answer that counts. */
static void
move_on(Request *request, uint32_t key, PartKind kind)
{
    KeyState *state = &request->states[key];

    if (state->done)
        return;
    if (kind == PART_FULL)
        state->full_pending = false;

    bool asked =
        kind == PART_COORDINATED ? ask_coordinated(request, key) : ask_next(request, key);

    if (asked)
        request->counters.failovers++;
    else if (!request->is_write && kind != PART_COORDINATED &&
             state->answers >= request->options.quorum)
        settle_read(request, key);
    else if (state->pending == 0)
        give_up(request, key);
}

static bool
status_is_final(StatusCode status)
{
    return status == STATUS_BAD_FRAME || status == STATUS_BAD_KEY ||
           status == STATUS_BAD_CONTEXT || status == STATUS_TOO_LARGE ||
           status == STATUS_FORBIDDEN;
}

static void
take_refusal(Request *request, uint32_t key, PartKind kind, StatusCode status)
{
    KeyState *state = &request->states[key];

    state->reason = status;
    if (status_is_final(status) && !state->maybe_written)
        end_key(request, key, status);
    else
        move_on(request, key, kind);
}

static uint32_t
place_of(const KeyState *state, uint32_t member)
{
    uint32_t place = 0;

    while (state->owners[place] != member)
        place++;
    return place;
}

static void
keep_object(Request *request, uint32_t key, const ReadItem *item)
{
    request->reads[key].object = slice_copy(request->arena, item->object);
    request->reads[key].context = slice_copy(request->arena, item->context);
    request->states[key].has_full = true;
}

static void
take_read_item(Request *request, const Part *part, uint32_t key, const ReadItem *item)
{
    KeyState *state = &request->states[key];

    if (state->done)
        return;
    if (item->status != STATUS_OK)
    {
        take_refusal(request, key, part->kind, item->status);
        return;
    }
    request->reads[key].answered |= 1u << place_of(state, part->member);
    if (part->kind == PART_COORDINATED)
    {
        keep_object(request, key, item);
        end_key(request, key, STATUS_OK);
        return;
    }
    if (part->kind == PART_FULL)
    {
        state->full_pending = false;
        keep_object(request, key, item);
    }
    if (state->answers++ == 0)
        state->digest = item->digest;
    else if (!digest_equal(&state->digest, &item->digest))
        state->mismatch = true;
    settle_read(request, key);
    if (state->done || state->pending > 0)
        return;
    if (state->answers < request->options.quorum)
        move_on(request, key, part->kind);
    else
        give_up(request, key);
}

static void
take_write_item(Request *request, const Part *part, uint32_t key, const WriteResult *item)
{
    if (request->states[key].done)
        return;
    request->writes[key].acked |= item->acked;
    if (item->status == STATUS_OK || item->status == STATUS_UNKNOWN)
        end_key(request, key, item->status);
    else
        take_refusal(request, key, part->kind, item->status);
}

static void
release_part(Request *request, Part *part)
{
    if (part->state == PART_SENT || part->state == PART_SILENT)
        request->members[part->member].under_way--;
    for (uint32_t i = 0; i < part->key_count; i++)
        request->states[part->keys[i]].pending--;
    part->state = PART_ENDED;
}

/* The part's keys go on elsewhere; written: it may have been carried out. */
static void
fail_part(Request *request, Part *part, bool written, StatusCode reason)
{
    bool was_silent = part->state == PART_SILENT;

    release_part(request, part);
    for (uint32_t i = 0; i < part->key_count; i++)
    {
        KeyState *state = &request->states[part->keys[i]];

        if (state->done)
            continue;
        state->maybe_written = state->maybe_written || (request->is_write && written);
        if (reason != STATUS_OK)
            state->reason = reason;
        if (!was_silent)
            move_on(request, part->keys[i], part->kind);
        else if (state->pending == 0)
            give_up(request, part->keys[i]);
    }
}

static void
take_read_reply(Request *request, Part *part, const Frame *frame)
{
    ReadReply reply;
    Arena scratch;

    arena_init(&scratch, request->arena->memory);
    if (frame->type != FRAME_READ_REPLY || !read_reply_decode(frame, &scratch, &reply) ||
        reply.item_count != part->key_count ||
        (reply.mode == READ_DIGEST) != (part->kind == PART_DIGEST))
        fail_part(request, part, false, STATUS_BAD_FRAME);
    else
    {
        release_part(request, part);
        for (uint32_t i = 0; i < part->key_count; i++)
            take_read_item(request, part, part->keys[i], &reply.items[i]);
    }
    arena_free(&scratch);
}

static void
take_write_reply(Request *request, Part *part, const Frame *frame)
{
    WriteReply reply;
    Arena scratch;

    arena_init(&scratch, request->arena->memory);
    if (frame->type != FRAME_WRITE_REPLY || !write_reply_decode(frame, &scratch, &reply) ||
        reply.item_count != part->key_count)
        fail_part(request, part, true, STATUS_BAD_FRAME);
    else
    {
        release_part(request, part);
        for (uint32_t i = 0; i < part->key_count; i++)
            take_write_item(request, part, part->keys[i], &reply.items[i]);
    }
    arena_free(&scratch);
}

/* A frame refused as a whole: nothing of it was carried out. */
static void
take_error(Request *request, Part *part, const Frame *frame)
{
    ErrorFrame error;
    bool was_silent = part->state == PART_SILENT;

    if (!error_decode(frame, &error))
    {
        fail_part(request, part, true, STATUS_BAD_FRAME);
        return;
    }
    release_part(request, part);
    for (uint32_t i = 0; i < part->key_count; i++)
    {
        if (request->states[part->keys[i]].done)
            continue;
        if (!was_silent)
            take_refusal(request, part->keys[i], part->kind, error.status);
        else if (request->states[part->keys[i]].pending == 0)
            give_up(request, part->keys[i]);
    }
}

bool
request_answer(Request *request, uint32_t member, const Frame *frame, uint64_t now_ms)
{
    Part *part = request->parts;

    while (part != NULL && (part->tag != frame->tag || part->member != member))
        part = part->next;
    if (part == NULL)
        return false;
    request->now_ms = now_ms;
    request->members[member].heard_ms = now_ms;
    request->members[member].silent = false;
    if (part->state != PART_SENT && part->state != PART_SILENT)
        return true;
    if (frame->type == FRAME_ERROR)
        take_error(request, part, frame);
    else if (request->is_write)
        take_write_reply(request, part, frame);
    else
        take_read_reply(request, part, frame);
    return true;
}

static void
fail_member(Request *request, uint32_t member, bool reached, uint64_t now_ms)
{
    request->now_ms = now_ms;
    for (Part *part = request->parts; part != NULL; part = part->next)
    {
        if (part->member == member && part->state != PART_ENDED)
            fail_part(request, part, reached && part->state != PART_QUEUED, STATUS_OK);
    }
}

void
request_lost(Request *request, uint32_t member, uint64_t now_ms)
{
    fail_member(request, member, true, now_ms);
}

void
request_unreached(Request *request, uint32_t member, uint64_t now_ms)
{
    fail_member(request, member, false, now_ms);
}

/* How long a part may be silent: a write is given twice the time, since repeating one costs more. */
static uint64_t
silence_ms(const Request *request)
{
    return (uint64_t) request->options.hedge_after_ms * (request->is_write ? 2 : 1);
}

static uint64_t
silent_from_ms(const Request *request, const Part *part)
{
    uint64_t heard = request->members[part->member].heard_ms;

    return (heard > part->sent_ms ? heard : part->sent_ms) + silence_ms(request);
}

/* The member is silent: each key of the part is asked of its next owner too; the first answer wins. */
static void
hedge_part(Request *request, Part *part)
{
    bool has_other = false;

    for (uint32_t i = 0; i < part->key_count && !has_other; i++)
    {
        const KeyState *state = &request->states[part->keys[i]];

        has_other = !state->done && state->asked < state->owner_count;
    }
    part->overdue = true;
    request->members[part->member].silent = true;
    if (!has_other && (request->is_write || part->kind == PART_DIGEST))
        return;
    request->counters.hedges++;
    part->state = PART_SILENT;
    for (uint32_t i = 0; i < part->key_count; i++)
    {
        KeyState *state = &request->states[part->keys[i]];

        if (state->done)
            continue;
        state->maybe_written = state->maybe_written || request->is_write;
        if (part->kind == PART_FULL)
            state->full_pending = false;
        if (!(part->kind == PART_COORDINATED ? ask_coordinated(request, part->keys[i])
                                             : ask_next(request, part->keys[i])) &&
            part->kind == PART_FULL)
            settle_read(request, part->keys[i]);
    }
}

static void
expire(Request *request)
{
    for (uint32_t key = 0; key < request->key_count; key++)
    {
        KeyState *state = &request->states[key];

        if (state->done)
            continue;
        state->maybe_written = state->maybe_written || (request->is_write && state->pending > 0);
        give_up(request, key);
    }
}

void
request_tick(Request *request, uint64_t now_ms)
{
    request->now_ms = now_ms;
    for (Part *part = request->parts; part != NULL; part = part->next)
    {
        if (part->state == PART_SENT && !part->overdue &&
            now_ms >= silent_from_ms(request, part))
            hedge_part(request, part);
    }
    if (now_ms >= request->deadline_ms)
        expire(request);
}

uint64_t
request_wake_ms(const Request *request)
{
    uint64_t wake = request->deadline_ms;

    for (const Part *part = request->parts; part != NULL; part = part->next)
    {
        if (part->state == PART_SENT && !part->overdue && silent_from_ms(request, part) < wake)
            wake = silent_from_ms(request, part);
    }
    return wake;
}

static bool
part_has_open_key(const Request *request, const Part *part)
{
    for (uint32_t i = 0; i < part->key_count; i++)
    {
        if (!request->states[part->keys[i]].done)
            return true;
    }
    return false;
}

static uint32_t
time_left_ms(const Request *request)
{
    return request->deadline_ms > request->now_ms
               ? (uint32_t) (request->deadline_ms - request->now_ms)
               : 1;
}

static void
encode_read_part(Request *request, const Part *part)
{
    static const ReadMode MODES[] = {READ_FULL, READ_DIGEST, READ_COORDINATED};
    Arena scratch;

    arena_init(&scratch, request->arena->memory);

    ReadFrame frame = {.epoch = request->topology->epoch,
                       .bucket_id = request->bucket->id,
                       .mode = MODES[part->kind],
                       .r = request->options.quorum,
                       .timeout_ms = time_left_ms(request),
                       .seal = request->options.seal && part->kind != PART_DIGEST,
                       .keys = ARENA_ARRAY(&scratch, Slice, part->key_count),
                       .key_count = part->key_count};

    for (uint32_t i = 0; i < part->key_count; i++)
        frame.keys[i] = request->keys[part->keys[i]];
    read_encode(&request->frame, part->tag, &frame);
    arena_free(&scratch);
}

static void
encode_write_part(Request *request, const Part *part)
{
    Arena scratch;

    arena_init(&scratch, request->arena->memory);

    WriteFrame frame = {.epoch = request->topology->epoch,
                        .bucket_id = request->bucket->id,
                        .w = request->options.quorum,
                        .timeout_ms = time_left_ms(request),
                        .retry = part->kind == PART_RETRY,
                        .items = ARENA_ARRAY(&scratch, WriteItem, part->key_count),
                        .item_count = part->key_count};

    for (uint32_t i = 0; i < part->key_count; i++)
        frame.items[i] = request->items[part->keys[i]];
    write_encode(&request->frame, part->tag, &frame);
    arena_free(&scratch);
}

static Part *
next_sendable(Request *request)
{
    bool passed_queued = false;

    for (Part *part = request->first_queued; part != NULL; part = part->next)
    {
        if (part->state != PART_QUEUED)
            continue;
        if (!passed_queued)
            request->first_queued = part;
        passed_queued = true;
        if (!part_has_open_key(request, part))
            release_part(request, part);
        else if (request->members[part->member].under_way < MEMBER_WINDOW)
            return part;
    }
    if (!passed_queued)
        request->first_queued = NULL;
    return NULL;
}

bool
request_next_send(Request *request, uint32_t *member, Slice *frame)
{
    Part *part = next_sendable(request);

    if (part == NULL)
        return false;
    part->state = PART_SENT;
    part->sent_ms = request->now_ms;
    request->members[part->member].under_way++;
    request->counters.frames++;
    buffer_reset(&request->frame);
    if (request->is_write)
        encode_write_part(request, part);
    else
        encode_read_part(request, part);
    *member = part->member;
    *frame = buffer_slice(&request->frame);
    return true;
}

bool
request_done(const Request *request)
{
    return request->keys_open == 0;
}

bool
request_waits_for(const Request *request, uint32_t member)
{
    return request->members[member].under_way > 0;
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

static Request *
new_request(Arena *arena, RequestTags *tags, const Topology *topology, const Bucket *bucket,
            const RequestOptions *options, uint32_t key_count, uint64_t now_ms)
{
    Request *request = ARENA_NEW(arena, Request);

    request->arena = arena;
    request->tags = tags;
    request->topology = topology;
    request->bucket = bucket;
    request->options = *options;
    request->now_ms = now_ms;
    request->deadline_ms = now_ms + options->timeout_ms;
    request->key_count = key_count;
    request->keys_open = key_count;
    request->states = arena_alloc_zero(arena, sizeof(KeyState) * key_count);
    request->members = arena_alloc_zero(arena, sizeof(MemberState) * topology->member_count);
    request->parts_tail = &request->parts;
    buffer_init(&request->frame, arena->memory);
    return request;
}

/* Owners in preference order, then the order to ask them in: those to avoid last. */
static bool
place_key(Request *request, uint32_t key)
{
    KeyState *state = &request->states[key];
    const bool *avoid = request->options.avoid;
    uint8_t count = 0;

    if (!topology_position(request->bucket, key_of(request, key), &state->position))
    {
        end_key(request, key, STATUS_BAD_KEY);
        return false;
    }
    state->owner_count = (uint8_t) topology_preference(
        request->topology, state->position, state->owners, request->bucket->n);
    for (uint8_t i = 0; i < state->owner_count; i++)
    {
        if (avoid == NULL || !avoid[state->owners[i]])
            state->order[count++] = i;
    }
    for (uint8_t i = 0; i < state->owner_count; i++)
    {
        if (avoid != NULL && avoid[state->owners[i]])
            state->order[count++] = i;
    }
    return true;
}

typedef struct PlacedKey
{
    uint64_t position;
    uint32_t key;
} PlacedKey;

static int
compare_placed(const void *a, const void *b)
{
    const PlacedKey *left = a;
    const PlacedKey *right = b;

    if (left->position != right->position)
        return left->position < right->position ? -1 : 1;
    return (left->key > right->key) - (left->key < right->key);
}

/* Places every key. Those that can be placed come in ring order: neighbours travel, and are stored, together. */
static PlacedKey *
place_keys(Request *request, uint32_t *count_out)
{
    PlacedKey *placed = ARENA_ARRAY(request->arena, PlacedKey, request->key_count);
    uint32_t count = 0;

    for (uint32_t key = 0; key < request->key_count; key++)
    {
        if (place_key(request, key))
            placed[count++] =
                (PlacedKey){.position = request->states[key].position, .key = key};
    }
    if (count > 1)
        qsort(placed, count, sizeof(PlacedKey), compare_placed);
    *count_out = count;
    return placed;
}

Request *
request_read(Arena *arena, RequestTags *tags, const Topology *topology, const Bucket *bucket,
             const RequestOptions *options, const Slice *keys, uint32_t key_count, uint64_t now_ms)
{
    Request *request =
        new_request(arena, tags, topology, bucket, options, key_count, now_ms);

    request->keys = keys;
    request->reads = arena_alloc_zero(arena, sizeof(RequestReadResult) * key_count);

    uint32_t placed_count;
    const PlacedKey *placed = place_keys(request, &placed_count);

    for (uint32_t at = 0; at < placed_count; at++)
    {
        uint32_t key = placed[at].key;

        for (uint32_t i = 0; i < options->quorum; i++)
        {
            if (!ask_next(request, key))
                break;
        }
        if (request->states[key].pending < options->quorum)
            end_key(request, key, STATUS_UNAVAILABLE);
    }
    return request;
}

Request *
request_write(Arena *arena, RequestTags *tags, const Topology *topology, const Bucket *bucket,
              const RequestOptions *options, const WriteItem *items, uint32_t item_count,
              uint64_t now_ms)
{
    Request *request =
        new_request(arena, tags, topology, bucket, options, item_count, now_ms);

    request->is_write = true;
    request->items = items;
    request->writes = arena_alloc_zero(arena, sizeof(RequestWriteResult) * item_count);

    uint32_t placed_count;
    const PlacedKey *placed = place_keys(request, &placed_count);

    for (uint32_t at = 0; at < placed_count; at++)
        (void) ask_next(request, placed[at].key);
    return request;
}

WriteItem *
request_ring_order(Arena *arena, const Bucket *bucket, const WriteItem *items, uint32_t item_count)
{
    PlacedKey *placed = ARENA_ARRAY(arena, PlacedKey, item_count);
    WriteItem *ordered = ARENA_ARRAY(arena, WriteItem, item_count);

    for (uint32_t i = 0; i < item_count; i++)
    {
        placed[i] = (PlacedKey){.key = i};

        /* A key that is not the bucket's goes first, to be refused like any other. */
        (void)topology_position(bucket, items[i].key, &placed[i].position);
    }
    if (item_count > 1)
        qsort(placed, item_count, sizeof(PlacedKey), compare_placed);
    for (uint32_t i = 0; i < item_count; i++)
        ordered[i] = items[placed[i].key];
    return ordered;
}
