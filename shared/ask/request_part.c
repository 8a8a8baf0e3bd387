/* One frame to one member: when it goes, how long its silence is borne, and what its answer means
 * for each of its keys. A part is made and filled in request_key.c. */
#include "shared/ask/request_private.h"

enum
{
    BYTES_A_MS = 16 * 1024 /* that a slow cluster gets done */
};

/* The part owes nothing any more. */
static void
request_part_release(Request *request, RequestPart *part)
{
    if (request_part_is_under_way(part))
        request->members[part->member].under_way--;
    for (uint32_t i = 0; i < part->key_count; i++)
        request->states[part->keys[i]].pending--;
    part->state = PART_ENDED;
}

/* A frame that was sent may have been carried out; what its keys are told depends on that, so the
 * caller says it. */
void
request_part_fail(Request *request, RequestPart *part, bool written, StatusCode reason)
{
    bool was_silent = part->state == PART_SILENT;

    request_part_release(request, part);
    for (uint32_t i = 0; i < part->key_count; i++)
    {
        RequestKey *state = &request->states[part->keys[i]];

        if (state->done)
            continue;
        if (request->is_write && written)
            state->write.maybe_written = true;
        if (reason != STATUS_OK)
            state->reason = reason;
        request_key_failed(request, part, part->keys[i], was_silent);
    }
}

/* The keys may come back to this member, over a new link: it may only have been restarted. */
void
request_part_lost(Request *request, RequestPart *part)
{
    for (uint32_t i = 0; i < part->key_count; i++)
        request_key_allow_again(request, part->keys[i], part);
    request_part_fail(request, part, true, STATUS_OK);
}

/* The member's clock comes with every answer, so that writes can say how old they are on it. */
static void
keep_clock(Request *request, const RequestPart *part, uint64_t clock_ms)
{
    request_asker_set_clock(request->asker, part->member, clock_ms,
                            request_asker_now_ms(request->asker, request->now_ms));
}

/* The decoder's arrays are scratch; what is kept is copied key by key. An answer that does not fit
 * the question is a failure of the member, as a lost link is. */
static void
take_read_reply(Request *request, RequestPart *part, const Frame *frame)
{
    bool was_silent = part->state == PART_SILENT;
    ReadReply reply;
    Arena scratch;

    arena_init(&scratch, request->arena->memory);
    if (frame->type != FRAME_READ_REPLY || !read_reply_decode(frame, &scratch, &reply) ||
        reply.item_count != part->key_count ||
        (reply.mode == READ_DIGEST) != (part->kind == PART_DIGEST))
        request_part_fail(request, part, false, STATUS_BAD_FRAME);
    else
    {
        keep_clock(request, part, reply.clock_ms);
        request_part_release(request, part);
        for (uint32_t i = 0; i < part->key_count; i++)
            request_key_read(request, part, part->keys[i], was_silent, &reply.items[i]);
    }
    arena_free(&scratch);
}

/* As with reads, but what cannot be read may say that all was written. */
static void
take_write_reply(Request *request, RequestPart *part, const Frame *frame)
{
    bool was_silent = part->state == PART_SILENT;
    WriteReply reply;
    Arena scratch;

    arena_init(&scratch, request->arena->memory);
    if (frame->type != FRAME_WRITE_REPLY || !write_reply_decode(frame, &scratch, &reply) ||
        reply.item_count != part->key_count)
        request_part_fail(request, part, true, STATUS_BAD_FRAME);
    else
    {
        keep_clock(request, part, reply.clock_ms);
        request_part_release(request, part);
        for (uint32_t i = 0; i < part->key_count; i++)
            request_key_written(request, part, part->keys[i], was_silent, &reply.items[i]);
    }
    arena_free(&scratch);
}

/* The answer would have been larger than a frame. The keys are asked for again, by half as many at
 * once, until it fits or is that of one key. */
static void
ask_in_halves(Request *request, const RequestPart *part)
{
    request->members[part->member].keys_max = part->key_count / 2;
    for (uint32_t i = 0; i < part->key_count; i++)
    {
        if (!request->states[part->keys[i]].done)
            request_key_ask_again(request, part->keys[i], part);
    }
}

/* The member has more to do than it can: from now on it gets half as many keys in a frame, but not
 * fewer than it can do in no time. */
static void
ask_for_less(Request *request, const RequestPart *part)
{
    RequestMemberState *member = &request->members[part->member];
    uint32_t half = part->key_count / 2 > PART_KEYS_FEW ? part->key_count / 2 : PART_KEYS_FEW;

    member->keys_max = half < member->keys_max ? half : member->keys_max;
}

/* A frame refused as a whole: nothing of it was carried out. */
static void
take_error(Request *request, RequestPart *part, const Frame *frame)
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
        ask_in_halves(request, part);
        return;
    }
    if (error.status == STATUS_OVERLOADED)
        ask_for_less(request, part);
    for (uint32_t i = 0; i < part->key_count; i++)
        request_key_refused(request, part, part->keys[i], was_silent, error.status);
}

/* Since it was sent, or since the member was last heard of, by whatever request of this asker. */
static uint64_t
part_silent_since_ms(const Request *request, const RequestPart *part)
{
    uint64_t heard_ms = request->asker->members[part->member].heard_ms;

    return heard_ms > part->sent_ms ? heard_ms : part->sent_ms;
}

/* The waits of coordinated reads and of retries depend on what other members are asked first, and
 * tell nothing of this one. */
static bool
is_own_answer(const RequestPart *part)
{
    return part->kind == PART_FULL || part->kind == PART_DIGEST || part->kind == PART_WRITE;
}

static RequestAskerFrame
as_frame(const RequestPart *part)
{
    return (RequestAskerFrame){
        .member = part->member, .keys = part->key_count, .is_write = part->kind == PART_WRITE};
}

/* A part that was hedged has counted as a long wait then, and does not count twice. */
void
request_part_add_wait(Request *request, const RequestPart *part)
{
    uint64_t since_ms = part_silent_since_ms(request, part);
    uint64_t waited_ms = request->now_ms > since_ms ? request->now_ms - since_ms : 0;

    RequestAskerFrame frame = as_frame(part);

    if (is_own_answer(part) && !part->overdue)
        request_asker_add_wait(request->asker, &frame, waited_ms);
}

void
request_part_answer(Request *request, RequestPart *part, const Frame *frame)
{
    if (frame->type == FRAME_ERROR)
        take_error(request, part, frame);
    else if (request->is_write)
        take_write_reply(request, part, frame);
    else
        take_read_reply(request, part, frame);
}

/* Is there an owner that is well, and that was not asked yet, for any open key of the part? */
static bool
has_owner_left(const Request *request, const RequestPart *part)
{
    for (uint32_t i = 0; i < part->key_count; i++)
    {
        const RequestKey *state = &request->states[part->keys[i]];

        if (!state->done && request_place_has_owner_left(state))
            return true;
    }
    return false;
}

/*
 * How long a part may be silent, what is large apart, which takes its time to travel, to be merged
 * and to be synced. A write is given twice the time, since repeating one costs more. A read is
 * hedged early where that costs one more answer of an owner; fallbacks stand in for members that
 * are down, not slow.
 */
static uint64_t
part_patience_ms(const Request *request, const RequestPart *part)
{
    const RequestOptions *options = &request->options;

    RequestAskerFrame frame = as_frame(part);

    if (request->is_write)
    {
        uint64_t most_ms = (uint64_t)options->hedge_after_ms * 2;

        return is_own_answer(part) && has_owner_left(request, part)
                   ? request_asker_hedge_ms(request->asker, &frame, most_ms)
                   : most_ms;
    }
    if (!is_own_answer(part) || !has_owner_left(request, part))
        return options->hedge_after_ms > options->read_hedge_ms ? options->hedge_after_ms
                                                                : options->read_hedge_ms;
    if (options->read_hedge_ms != 0)
        return options->read_hedge_ms;
    return request_asker_hedge_ms(request->asker, &frame, options->hedge_after_ms);
}

void
request_part_sent(Request *request, RequestPart *part)
{
    part->state = PART_SENT;
    part->sent_ms = request->now_ms;
    part->patience_ms = part_patience_ms(request, part) + part->bytes / BYTES_A_MS;
    request->members[part->member].under_way++;
    request->counters.frames++;
}

uint64_t
request_part_due_ms(const Request *request, const RequestPart *part)
{
    if (part->state == PART_PAUSED)
        return part->due_ms;
    if (part->state == PART_SENT && !part->overdue)
        return part_silent_since_ms(request, part) + part->patience_ms;
    return UINT64_MAX;
}

void
request_part_resume(Request *request, RequestPart *part)
{
    part->state = PART_QUEUED;
    request->first_queued = request->parts;
}

/* Its keys are asked elsewhere too, where that may help: a write needs a member that has not been
 * asked, and so does a digest. The first answer wins, and this part stays open for it. */
void
request_part_hedge(Request *request, RequestPart *part)
{
    bool has_other = false;

    for (uint32_t i = 0; i < part->key_count && !has_other; i++)
    {
        const RequestKey *state = &request->states[part->keys[i]];

        has_other = !state->done && state->asked != (1u << state->member_count) - 1;
    }
    request_part_add_wait(request, part);
    part->overdue = true;
    request->members[part->member].silent = true;
    if (!has_other && (request->is_write || part->kind == PART_DIGEST))
        return;
    request->counters.hedges++;
    part->state = PART_SILENT;
    for (uint32_t i = 0; i < part->key_count; i++)
        request_key_hedge(request, part, part->keys[i]);
}

static bool
part_has_open_key(const Request *request, const RequestPart *part)
{
    for (uint32_t i = 0; i < part->key_count; i++)
    {
        if (!request->states[part->keys[i]].done)
            return true;
    }
    return false;
}

/* At least 1, since 0 stands for the node's own limit. */
static uint32_t
time_left_ms(const Request *request)
{
    return request->deadline_ms > request->now_ms
               ? (uint32_t)(request->deadline_ms - request->now_ms)
               : 1;
}

/* All keys of a part are of one kind, so that they are one frame with one mode. */
static void
encode_read_part(Request *request, const RequestPart *part)
{
    static const ReadMode MODES[] = {READ_FULL, READ_DIGEST, READ_COORDINATED};
    Arena scratch;

    arena_init(&scratch, request->arena->memory);

    ReadFrame frame = {.epoch = request->topology->epoch,
                       .bucket_id = request->bucket->id,
                       .mode = MODES[part->kind],
                       .r = request->options.quorum,
                       .pr = request->options.owners,
                       .timeout_ms = time_left_ms(request),
                       .seal = request->options.seal && part->kind != PART_DIGEST,
                       .repair_later = request->options.repair_later,
                       .keys = ARENA_ARRAY(&scratch, Slice, part->key_count),
                       .key_count = part->key_count};

    for (uint32_t i = 0; i < part->key_count; i++)
        frame.keys[i] = request->keys[part->keys[i]];
    read_encode(&request->frame, part->tag, &frame);
    arena_free(&scratch);
}

/* Since when the first of the part's keys has been on its way; those that were not are from now on.
 */
static uint64_t
first_sent_ms(Request *request, const RequestPart *part, uint64_t now_ms)
{
    uint64_t first_ms = now_ms;

    for (uint32_t i = 0; i < part->key_count; i++)
    {
        RequestKey *state = &request->states[part->keys[i]];

        if (state->write.sent_ms == 0)
            state->write.sent_ms = now_ms;
        first_ms = state->write.sent_ms < first_ms ? state->write.sent_ms : first_ms;
    }
    return first_ms;
}

/* How old the write is and how long nobody else is asked decide whether its receiver may stamp it
 * at once; see stamped_until_ms() in the coordinator. */
static void
encode_write_part(Request *request, const RequestPart *part)
{
    Arena scratch;

    uint64_t now_ms = request_asker_now_ms(request->asker, request->now_ms);
    uint64_t age_ms = now_ms - first_sent_ms(request, part, now_ms);

    arena_init(&scratch, request->arena->memory);

    WriteFrame frame = {.epoch = request->topology->epoch,
                        .bucket_id = request->bucket->id,
                        .w = request->options.quorum,
                        .pw = request->options.owners,
                        .confirms = request->options.confirms,
                        .timeout_ms = time_left_ms(request),
                        .retry = part->kind == PART_RETRY,
                        .clock_ms = request_asker_clock_ms(request->asker, part->member, now_ms),
                        .alone_ms = (uint32_t)part->patience_ms,
                        .age_ms = age_ms < UINT32_MAX ? (uint32_t)age_ms : UINT32_MAX,
                        .items = ARENA_ARRAY(&scratch, WriteItem, part->key_count),
                        .item_count = part->key_count};

    for (uint32_t i = 0; i < part->key_count; i++)
        frame.items[i] = request->items[part->keys[i]];
    write_encode(&request->frame, part->tag, &frame);
    arena_free(&scratch);
}

/* A part none of whose keys is open any more is passed over: others have answered them while it
 * waited. */
RequestPart *
request_part_next(Request *request)
{
    bool passed_queued = false;

    for (RequestPart *part = request->first_queued; part != NULL; part = part->next)
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
request_part_encode(Request *request, const RequestPart *part)
{
    buffer_reset(&request->frame);
    if (request->is_write)
        encode_write_part(request, part);
    else
        encode_read_part(request, part);
}
