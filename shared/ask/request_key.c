/*
 * How far one key has got.
 *
 * Happy path: a key that is read gets one full answer and r-1 digests, all equal; one that is
 * written gets the result of its first owner.
 *
 * Failure modes:
 *  - a member is lost, refuses or is silent, or a fallback lacks the key: the next member is asked,
 *    and one whose link broke is asked once more when nobody else is left;
 *  - digests differ: one member is asked for a coordinated read;
 *  - a member is overloaded: it, or another owner, is asked after a pause;
 *  - nobody is left to ask: the key ends with the reason of the last refusal.
 */
#include "shared/ask/request_private.h"

#include <string.h>

enum
{
    PUT_VALUE_OVERHEAD = sizeof(RequestId) + 11, /* tombstone and length */
    LATE_MAX = 2 /* times that a member which called a write too late is asked again */
};

Slice
request_key_bytes(const Request *request, uint32_t key)
{
    return request->is_write ? request->items[key].key : request->keys[key];
}

size_t
request_key_ask_bytes(const Request *request, uint32_t key, RequestPartKind kind)
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

/* Parts are sent in the order in which they were made; first_queued spares request_part_next() the
 * walk over those that were. */
static RequestPart *
new_part(Request *request, RequestPartKind kind, uint32_t member)
{
    RequestPart *part = ARENA_NEW(request->arena, RequestPart);

    part->kind = kind;
    part->state = PART_QUEUED;
    part->member = member;
    part->tag = ++request->asker->last_tag;
    *request->parts_tail = part;
    request->parts_tail = &part->next;
    if (request->first_queued == NULL)
        request->first_queued = part;
    return part;
}

/* The array doubles in the arena, which keeps the smaller ones: a part has 512 keys at most. */
static void
append_key(Request *request, RequestPart *part, uint32_t key)
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

/* The part that the key may join, if there is one: not full, and if paused as long as it. */
static bool
may_join(const Request *request, const RequestPart *part, uint32_t key, bool paused)
{
    if (part == NULL || part->key_count >= request->members[part->member].keys_max ||
        part->bytes >= PART_BYTES_MAX)
        return false;
    if (paused)
        return part->state == PART_PAUSED && part->pauses == request->states[key].pauses;
    return part->state == PART_QUEUED;
}

/* All keys of the part have been sent away as often: the pause of each is as long. */
static void
pause_part(Request *request, RequestPart *part, uint32_t pauses)
{
    part->state = PART_PAUSED;
    part->pauses = pauses;
    part->due_ms = request->now_ms + request_asker_pause_ms(request->asker, pauses - 1);
    request->counters.backoffs++;
}

/* Adds the key to a part for the member at place: the part that is being filled, or a new one. The
 * place counts as asked in the result from now on, whether the part is sent or not. */
static void
ask_member(Request *request, uint32_t key, RequestPartKind kind, uint8_t place, bool paused)
{
    RequestKey *state = &request->states[key];
    uint32_t member = state->members[place];
    RequestMemberState *known = &request->members[member];
    RequestPart **draft = paused ? &known->paused[kind] : &known->draft[kind];

    if (!may_join(request, *draft, key, paused))
    {
        *draft = new_part(request, kind, member);
        if (paused)
            pause_part(request, *draft, state->pauses);
    }
    append_key(request, *draft, key);
    state->pending++;
    if (place >= state->owner_count)
        request->counters.fallbacks++;
    if (request->is_write)
        request->writes[key].asked |= request_place_bit(place);
    else
        request->reads[key].asked |= request_place_bit(place);
}

/* After an answer that was too large, say: the place was asked before, and is not asked for a
 * second answer but for the same one. */
void
request_key_ask_again(Request *request, uint32_t key, const RequestPart *part)
{
    ask_member(request, key, part->kind, request_place_of(&request->states[key], part->member),
               false);
}

void
request_key_allow_again(Request *request, uint32_t key, const RequestPart *part)
{
    RequestKey *state = &request->states[key];
    uint16_t bit = request_place_bit(request_place_of(state, part->member));

    if ((state->again & bit) != 0)
        return;
    state->again |= bit;
    if (part->kind == PART_COORDINATED)
        state->read.coordinated &= (uint16_t)~bit;
    else
        state->asked &= (uint16_t)~bit;
}

/* Asks a member for an answer of its own, and of the right kind: a write that may be written
 * already is a retry, which a coordinator looks for first; a read wants one object and else
 * digests. */
static void
ask_itself(Request *request, uint32_t key, uint8_t place, bool paused)
{
    RequestKey *state = &request->states[key];
    RequestPartKind kind;

    if (request->is_write)
        kind = state->write.maybe_written || state->pending > 0 ? PART_RETRY : PART_WRITE;
    else
        kind = state->read.has_full || state->read.full_place != NO_PLACE ? PART_DIGEST : PART_FULL;
    if (kind == PART_FULL)
        state->read.full_place = place;
    state->asked |= request_place_bit(place);
    state->live |= request_place_bit(place);
    ask_member(request, key, kind, place, paused);
}

/* The member is not waited for any more. */
static void
leave_place(const Request *request, RequestKey *state, uint8_t place)
{
    state->live &= (uint16_t)~request_place_bit(place);
    if (!request->is_write && state->read.full_place == place)
        state->read.full_place = NO_PLACE;
}

uint32_t
request_key_ask(Request *request, uint32_t key)
{
    const RequestKey *state = &request->states[key];
    uint32_t asked = 0;

    while (request_place_missing(request, state) > 0)
    {
        uint8_t place = request_place_next(request, state);

        if (place == NO_PLACE)
            break;
        ask_itself(request, key, place, false);
        asked++;
    }
    return asked;
}

/* Asks the best member that was not asked yet for a coordinated read; false when there is none. */
static bool
request_key_ask_coordinated(Request *request, uint32_t key)
{
    uint8_t place = request_place_coordinator(request, key);

    if (place == NO_PLACE)
        return false;
    request->states[key].read.coordinated |= request_place_bit(place);
    ask_member(request, key, PART_COORDINATED, place, false);
    return true;
}

void
request_key_end(Request *request, uint32_t key, StatusCode status)
{
    RequestKey *state = &request->states[key];

    if (state->done)
        return;
    state->done = true;
    request->keys_open--;
    if (request->is_write)
        request->writes[key].status = status;
    else
        request->reads[key].status = status;
}

/* A write that somebody may have is of unknown fate, whatever the last refusal was. */
void
request_key_give_up(Request *request, uint32_t key)
{
    RequestKey *state = &request->states[key];
    StatusCode reason = state->reason == STATUS_OK ? STATUS_UNAVAILABLE : state->reason;

    request_key_end(request, key,
                    request->is_write && state->write.maybe_written ? STATUS_UNKNOWN : reason);
}

/* A read key with a quorum of answers ends when they are equal and one of them is the object.
 * Otherwise it is read once more, coordinated, unless that is under way. */
static void
end_read_key(Request *request, uint32_t key)
{
    RequestKey *state = &request->states[key];

    if (state->read.mismatch)
    {
        if (state->read.coordinated == 0)
        {
            request->counters.mismatches++;
            (void)request_key_ask_coordinated(request, key);
        }
    }
    else if (state->read.has_full)
        request_key_end(request, key, STATUS_OK);
    else if (state->read.full_place == NO_PLACE && state->read.coordinated == 0)
        (void)request_key_ask_coordinated(request, key);
}

/* After an answer, or when one will not come: ends the key, or asks for what is missing. */
static void
request_key_go_on(Request *request, uint32_t key)
{
    RequestKey *state = &request->states[key];

    if (state->done)
        return;
    if (!request->is_write && request_place_is_quorum(request, state))
        end_read_key(request, key);
    else
        request->counters.failovers += request_key_ask(request, key);
    if (state->pending == 0)
        request_key_give_up(request, key);
}

/* A coordinated read is its own chain of members. One that was silent has been asked elsewhere
 * already when it was hedged. */
void
request_key_failed(Request *request, const RequestPart *part, uint32_t key, bool was_silent)
{
    RequestKey *state = &request->states[key];

    if (state->done)
        return;
    if (part->kind != PART_COORDINATED)
    {
        leave_place(request, state, request_place_of(state, part->member));
        request_key_go_on(request, key);
    }
    else if (!was_silent && request_key_ask_coordinated(request, key))
        request->counters.failovers++;
    else if (state->pending == 0)
        request_key_give_up(request, key);
}

/* A key that has its quorum may have waited for this member's object alone: then it is read once
 * more, coordinated. */
void
request_key_hedge(Request *request, const RequestPart *part, uint32_t key)
{
    RequestKey *state = &request->states[key];

    if (state->done)
        return;
    if (part->kind == PART_COORDINATED)
    {
        (void)request_key_ask_coordinated(request, key);
        return;
    }
    leave_place(request, state, request_place_of(state, part->member));
    if (request_key_ask(request, key) == 0 && !request->is_write &&
        request_place_is_quorum(request, state))
        end_read_key(request, key);
}

/* The member has too much to do: the key waits, and is then asked of whom that spares. */
static void
back_off(Request *request, const RequestPart *part, uint32_t key)
{
    RequestKey *state = &request->states[key];
    uint8_t place = request_place_of(state, part->member);

    if (state->pauses < UINT8_MAX)
        state->pauses++;
    if (part->kind == PART_COORDINATED)
    {
        uint8_t other = request_place_coordinator(request, key);

        place = other == NO_PLACE ? place : other;
        state->read.coordinated |= request_place_bit(place);
        ask_member(request, key, PART_COORDINATED, place, true);
        return;
    }
    leave_place(request, state, place);
    state->asked &= (uint16_t)~request_place_bit(place);
    ask_itself(request, key, request_place_after_pause(state, place), true);
}

/* Keeps the reason that tells most: an owner's. That a fallback does not own the key is no news,
 * and nothing that it says counts for more than what an owner did. */
static void
keep_reason(RequestKey *state, uint32_t member, StatusCode status)
{
    bool by_owner = request_place_of(state, member) < state->owner_count;

    if (by_owner || (status != STATUS_NOT_OWNER && state->reason == STATUS_OK))
        state->reason = status;
}

/* By place, for the DETAIL of an error: it names each member and its refusal. */
static void
keep_refusal(Request *request, uint32_t key, uint8_t place, StatusCode status)
{
    uint8_t *refusals =
        request->is_write ? request->writes[key].refusals : request->reads[key].refusals;

    refusals[place] = (uint8_t)status;
}

/* A member called the write too late, since the frame said nothing of its clock, or too little. Its
 * refusal has brought that clock, so the same member is asked again, some times. */
static bool
ask_once_more(Request *request, const RequestPart *part, uint32_t key)
{
    RequestKey *state = &request->states[key];
    uint8_t place = request_place_of(state, part->member);

    if (state->write.late == LATE_MAX)
        return false;
    state->write.late++;
    leave_place(request, state, place);
    ask_itself(request, key, place, false);
    return true;
}

void
request_key_refused(Request *request, const RequestPart *part, uint32_t key, bool was_silent,
                    StatusCode status)
{
    RequestKey *state = &request->states[key];

    if (state->done)
        return;
    keep_reason(state, part->member, status);
    keep_refusal(request, key, request_place_of(state, part->member), status);
    if (status == STATUS_TOO_LATE && ask_once_more(request, part, key))
        return;
    if (status == STATUS_OVERLOADED && (!was_silent || state->pending == 0))
        back_off(request, part, key);
    else if (!status_is_about_request(status) || (request->is_write && state->write.maybe_written))
        request_key_failed(request, part, key, was_silent);
    else if (!request->is_write || state->pending == 0)
        request_key_end(request, key, status);
    /* Otherwise a silent member may yet have written it: its answer, or its loss, decides. */
}

/* Copied: the frame that it lies in ends with the call. */
static void
keep_object(Request *request, uint32_t key, const ReadItem *item)
{
    request->reads[key].object = slice_copy(request->arena, item->object);
    request->reads[key].context = slice_copy(request->arena, item->context);
    request->states[key].read.has_full = true;
}

/* Counts an answer of a member's own. The first digest is what all later ones are compared with;
 * the digest of a full answer was made by the decoder. */
static void
count_answer(Request *request, const RequestPart *part, uint32_t key, uint8_t place,
             const ReadItem *item)
{
    RequestKey *state = &request->states[key];

    if (part->kind == PART_FULL)
        keep_object(request, key, item);
    if (state->counted == 0)
        state->read.digest = item->digest;
    else if (!digest_equal(&state->read.digest, &item->digest))
        state->read.mismatch = true;
    state->counted |= request_place_bit(place);
}

void
request_key_read(Request *request, const RequestPart *part, uint32_t key, bool was_silent,
                 const ReadItem *item)
{
    RequestKey *state = &request->states[key];
    RequestReadResult *result = &request->reads[key];
    uint8_t place = request_place_of(state, part->member);
    bool is_absent = digest_equal(&item->digest, &DIGEST_ABSENT);

    if (state->done)
        return;
    if (item->status != STATUS_OK)
    {
        request_key_refused(request, part, key, was_silent, item->status);
        return;
    }
    if (part->kind == PART_COORDINATED)
    {
        result->answered = item->held;
        keep_object(request, key, item);
        request_key_end(request, key, STATUS_OK);
        return;
    }
    leave_place(request, state, place);
    if (is_absent && place >= state->owner_count)
        result->lacking |= request_place_bit(place);
    else
    {
        result->answered |= request_place_bit(place);
        count_answer(request, part, key, place, item);
    }
    request_key_go_on(request, key);
}

void
request_key_written(Request *request, const RequestPart *part, uint32_t key, bool was_silent,
                    const WriteResult *item)
{
    if (request->states[key].done)
        return;
    request->writes[key].acked |= item->acked;
    request->writes[key].siblings = item->siblings;
    if (item->status == STATUS_OK || item->status == STATUS_UNKNOWN)
        request_key_end(request, key, item->status);
    else
        request_key_refused(request, part, key, was_silent, item->status);
}
