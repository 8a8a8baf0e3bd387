/*
 * Happy path of a read key: one full answer and r-1 digests, all equal; of a written key: its first
 * owner's result. Failure modes: an owner is lost, refuses or is silent: the next one is asked;
 * digests differ: one owner is asked for a coordinated read; no owner is left: the key ends with
 * the last reason.
 */
#include "shared/request_private.h"

#include <string.h>

enum
{
    PUT_VALUE_OVERHEAD = sizeof(RequestId) + 11 /* tombstone and length */
};

Slice
request_key_bytes(const Request *request, uint32_t key)
{
    return request->is_write ? request->items[key].key : request->keys[key];
}

size_t
request_key_ask_bytes(const Request *request, uint32_t key, PartKind kind)
{
    size_t bytes = request_key_bytes(request, key).length;

    if (kind == PART_COORDINATED)
        bytes += request->reads[key].object.length;
    if (!request->is_write)
        return bytes;
    bytes += request->items[key].context.length;
    for (uint32_t i = 0; i < request->items[key].value_count; i++)
        bytes += request->items[key].values[i].value.length + PUT_VALUE_OVERHEAD;
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
    part->bytes += request_key_ask_bytes(request, key, part->kind);
}

static void
ask(Request *request, uint32_t key, PartKind kind, uint32_t member)
{
    Part **draft = &request->members[member].draft[kind];
    Part *part = *draft;

    if (part == NULL || part->state != PART_QUEUED ||
        part->key_count >= request->members[member].keys_max || part->bytes >= PART_BYTES_MAX)
        part = *draft = new_part(request, kind, member);
    append_key(request, part, key);
    request->states[key].pending++;
    if (kind == PART_FULL)
        request->states[key].full_pending = true;
}

void
request_key_ask_again(Request *request, uint32_t key, const Part *part)
{
    ask(request, key, part->kind, part->member);
}

void
request_key_end(Request *request, uint32_t key, StatusCode status)
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
void
request_key_give_up(Request *request, uint32_t key)
{
    KeyState *state = &request->states[key];
    StatusCode reason = state->reason == STATUS_OK ? STATUS_UNAVAILABLE : state->reason;

    request_key_end(request, key,
                    request->is_write && state->maybe_written ? STATUS_UNKNOWN : reason);
}

/* Asks the key's next owner; false when all have been asked. */
bool
request_key_ask(Request *request, uint32_t key)
{
    KeyState *state = &request->states[key];
    PartKind kind;

    if (state->asked == state->owner_count)
        return false;
    if (request->is_write)
        kind = state->maybe_written || state->pending > 0 ? PART_RETRY : PART_WRITE;
    else
        kind = state->has_full || state->full_pending ? PART_DIGEST : PART_FULL;
    ask(request, key, kind, state->owners[state->order[state->asked++]]);
    return true;
}

/* How well an owner is suited to coordinate: best one that has answered, worst one that was silent.
 */
static int
coordinator_rank(const Request *request, uint32_t key, uint8_t place)
{
    const KeyState *state = &request->states[key];

    if (request->members[state->owners[place]].silent)
        return 0;
    return (request->reads[key].answered >> place & 1) != 0 ? 2 : 1;
}

bool
request_key_ask_coordinated(Request *request, uint32_t key)
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
void
request_key_settle(Request *request, uint32_t key)
{
    KeyState *state = &request->states[key];

    if (state->done || state->answers < request->options.quorum)
        return;
#ifdef BUG_FIRST_ANSWER_TAKEN
    state->mismatch = false;
#endif
    if (state->mismatch)
    {
        if (state->coordinated == 0)
        {
            request->counters.mismatches++;
            (void)request_key_ask_coordinated(request, key);
        }
    }
    else if (state->has_full)
        request_key_end(request, key, STATUS_OK);
    else if (!state->full_pending && state->coordinated == 0)
        (void)request_key_ask_coordinated(request, key);
}

/* An ask of this key ended without an answer that counts. */
void
request_key_move_on(Request *request, uint32_t key, PartKind kind)
{
    KeyState *state = &request->states[key];

    if (state->done)
        return;
    if (kind == PART_FULL)
        state->full_pending = false;

    bool asked = kind == PART_COORDINATED ? request_key_ask_coordinated(request, key)
                                          : request_key_ask(request, key);

    if (asked)
        request->counters.failovers++;
    else if (!request->is_write && kind != PART_COORDINATED &&
             state->answers >= request->options.quorum)
        request_key_settle(request, key);
    else if (state->pending == 0)
        request_key_give_up(request, key);
}

void
request_key_refused(Request *request, uint32_t key, PartKind kind, StatusCode status)
{
    KeyState *state = &request->states[key];

    state->reason = status;
    if (!status_is_about_request(status) || state->maybe_written)
        request_key_move_on(request, key, kind);
    else if (!request->is_write || state->pending == 0)
        request_key_end(request, key, status);
    /* Otherwise a silent owner may yet have written it: its answer, or its loss, decides. */
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

void
request_key_read(Request *request, const Part *part, uint32_t key, const ReadItem *item)
{
    KeyState *state = &request->states[key];

    if (state->done)
        return;
    if (item->status != STATUS_OK)
    {
        request_key_refused(request, key, part->kind, item->status);
        return;
    }
    if (part->kind == PART_COORDINATED)
    {
        request->reads[key].answered = item->held;
        keep_object(request, key, item);
        request_key_end(request, key, STATUS_OK);
        return;
    }
    request->reads[key].answered |= 1u << place_of(state, part->member);
    if (part->kind == PART_FULL)
    {
        state->full_pending = false;
        keep_object(request, key, item);
    }
    if (state->answers++ == 0)
        state->digest = item->digest;
    else if (!digest_equal(&state->digest, &item->digest))
        state->mismatch = true;
    request_key_settle(request, key);
    if (state->done || state->pending > 0)
        return;
    if (state->answers < request->options.quorum)
        request_key_move_on(request, key, part->kind);
    else
        request_key_give_up(request, key);
}

void
request_key_written(Request *request, const Part *part, uint32_t key, const WriteResult *item)
{
    if (request->states[key].done)
        return;
    request->writes[key].acked |= item->acked;
    request->writes[key].siblings = item->siblings;
    if (item->status == STATUS_OK || item->status == STATUS_UNKNOWN)
        request_key_end(request, key, item->status);
    else
        request_key_refused(request, key, part->kind, item->status);
}
