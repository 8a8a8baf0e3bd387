#include "shared/request_private.h"

enum
{
    BYTES_A_MS = 16 * 1024 /* that a slow cluster gets done */
};

void
request_part_release(Request *request, Part *part)
{
    if (part->state == PART_SENT || part->state == PART_SILENT)
        request->members[part->member].under_way--;
    for (uint32_t i = 0; i < part->key_count; i++)
        request->states[part->keys[i]].pending--;
    part->state = PART_ENDED;
}

/* The part's keys go on elsewhere; written: it may have been carried out. */
void
request_part_fail(Request *request, Part *part, bool written, StatusCode reason)
{
    bool was_silent = part->state == PART_SILENT;

    request_part_release(request, part);
    for (uint32_t i = 0; i < part->key_count; i++)
    {
        KeyState *state = &request->states[part->keys[i]];

        if (state->done)
            continue;
        state->maybe_written = state->maybe_written || (request->is_write && written);
        if (reason != STATUS_OK)
            state->reason = reason;
        if (!was_silent)
            request_key_move_on(request, part->keys[i], part->kind);
        else if (state->pending == 0)
            request_key_give_up(request, part->keys[i]);
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
        request_part_fail(request, part, false, STATUS_BAD_FRAME);
    else
    {
        request_part_release(request, part);
        for (uint32_t i = 0; i < part->key_count; i++)
            request_key_read(request, part, part->keys[i], &reply.items[i]);
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
        request_part_fail(request, part, true, STATUS_BAD_FRAME);
    else
    {
        request_part_release(request, part);
        for (uint32_t i = 0; i < part->key_count; i++)
            request_key_written(request, part, part->keys[i], &reply.items[i]);
    }
    arena_free(&scratch);
}

/* Its keys are asked for again, by half as many at once. */
static void
halve(Request *request, const Part *part)
{
    request->members[part->member].keys_max = part->key_count / 2;
    for (uint32_t i = 0; i < part->key_count; i++)
    {
        if (!request->states[part->keys[i]].done)
            request_key_ask_again(request, part->keys[i], part);
    }
}

/* A frame refused as a whole: nothing of it was carried out. */
static void
take_error(Request *request, Part *part, const Frame *frame)
{
    ErrorFrame error;
    bool was_silent = part->state == PART_SILENT;

    if (!error_decode(frame, &error))
    {
        request_part_fail(request, part, true, STATUS_BAD_FRAME);
        return;
    }
    request_part_release(request, part);
    if (error.status == STATUS_ANSWER_TOO_LARGE && part->key_count > 1)
    {
        halve(request, part);
        return;
    }
    for (uint32_t i = 0; i < part->key_count; i++)
    {
        if (request->states[part->keys[i]].done)
            continue;
        if (!was_silent)
            request_key_refused(request, part->keys[i], part->kind, error.status);
        else if (request->states[part->keys[i]].pending == 0)
            request_key_give_up(request, part->keys[i]);
    }
}

void
request_part_answer(Request *request, Part *part, const Frame *frame)
{
    if (frame->type == FRAME_ERROR)
        take_error(request, part, frame);
    else if (request->is_write)
        take_write_reply(request, part, frame);
    else
        take_read_reply(request, part, frame);
}

/* How long a part may be silent: a write is given twice the time, since repeating one costs more;
 * and what is large takes its time to travel, to be merged and to be synced. */
static uint64_t
silence_ms(const Request *request, const Part *part)
{
    return (uint64_t)request->options.hedge_after_ms * (request->is_write ? 2 : 1) +
           part->bytes / BYTES_A_MS;
}

uint64_t
request_part_silent_from_ms(const Request *request, const Part *part)
{
    uint64_t heard = request->tags->heard_ms[part->member];

    return (heard > part->sent_ms ? heard : part->sent_ms) + silence_ms(request, part);
}

/* The member is silent: each key of the part is asked of its next owner too; the first answer wins.
 */
void
request_part_hedge(Request *request, Part *part)
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
        if (part->kind == PART_FULL)
            state->full_pending = false;
        if (!(part->kind == PART_COORDINATED ? request_key_ask_coordinated(request, part->keys[i])
                                             : request_key_ask(request, part->keys[i])) &&
            part->kind == PART_FULL)
            request_key_settle(request, part->keys[i]);
    }
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
               ? (uint32_t)(request->deadline_ms - request->now_ms)
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
#ifndef BUG_RETRY_UNMARKED
                        .retry = part->kind == PART_RETRY,
#endif
                        .items = ARENA_ARRAY(&scratch, WriteItem, part->key_count),
                        .item_count = part->key_count};

    for (uint32_t i = 0; i < part->key_count; i++)
        frame.items[i] = request->items[part->keys[i]];
    write_encode(&request->frame, part->tag, &frame);
    arena_free(&scratch);
}

Part *
request_part_next(Request *request)
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
            request_part_release(request, part);
        else if (request->members[part->member].under_way < MEMBER_WINDOW)
            return part;
    }
    if (!passed_queued)
        request->first_queued = NULL;
    return NULL;
}

void
request_part_encode(Request *request, const Part *part)
{
    buffer_reset(&request->frame);
    if (request->is_write)
        encode_write_part(request, part);
    else
        encode_read_part(request, part);
}
