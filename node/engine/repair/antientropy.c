/* The way that events take to the lane they are for. */
#include "node/engine/repair/antientropy_private.h"

enum
{
    ANSWER_MS = 30000 /* large objects take their time; a peer that is down is told of sooner */
};

Antientropy *
antientropy_new(Pacer *pacer, uint64_t interval_ms)
{
    Antientropy *antientropy = memory_resize(&MEMORY_HEAP, NULL, sizeof(Antientropy));

    *antientropy = (Antientropy){
        .pacer = pacer, .interval_ms = interval_ms, .answers = antientropy_answers_new()};
    for (uint32_t i = 0; i < ANTIENTROPY_LANES; i++)
    {
        Lane *lane = &antientropy->lanes[i];

        lane->roots = memory_resize(&MEMORY_HEAP, NULL, ANTIENTROPY_ROOTS_MAX * sizeof(TreeId));
        lane->batch =
            memory_resize(&MEMORY_HEAP, NULL, ANTIENTROPY_VERSIONS_MAX * sizeof(uint32_t));
        buffer_init(&lane->after, &MEMORY_HEAP);
        buffer_init(&lane->own_after, &MEMORY_HEAP);
        arena_init(&lane->list_arena, &MEMORY_HEAP);
        arena_init(&lane->key_arena, &MEMORY_HEAP);
        arena_init(&lane->batch_arena, &MEMORY_HEAP);
        outbox_init(&lane->outbox);
    }
    return antientropy;
}

void
antientropy_free(Antientropy *antientropy)
{
    for (uint32_t i = 0; i < ANTIENTROPY_LANES; i++)
    {
        Lane *lane = &antientropy->lanes[i];

        memory_resize(&MEMORY_HEAP, lane->roots, 0);
        memory_resize(&MEMORY_HEAP, lane->batch, 0);
        memory_resize(&MEMORY_HEAP, lane->parts, 0);
        memory_resize(&MEMORY_HEAP, lane->keys, 0);
        buffer_free(&lane->after);
        buffer_free(&lane->own_after);
        arena_free(&lane->list_arena);
        arena_free(&lane->key_arena);
        arena_free(&lane->batch_arena);
        outbox_free(&lane->outbox);
    }
    antientropy_answers_free(antientropy->answers);
    tickets_free(&antientropy->answer_tickets);
    tickets_free(&antientropy->tickets);
    antientropy_free_pairs(antientropy);
    memory_resize(&MEMORY_HEAP, antientropy, 0);
}

void
antientropy_set_interval(Antientropy *antientropy, uint64_t interval_ms)
{
    if (antientropy->interval_ms == interval_ms)
        return;
    antientropy->interval_ms = interval_ms;
    for (uint32_t i = 0; i < antientropy->peer_count; i++)
        antientropy->peers[i].due_ms = 0;
}

/* ---- ranges ---- */

bool
position_range_is_none(PositionRange range)
{
    return range.first > range.last;
}

PositionRange
position_range_union(PositionRange a, PositionRange b)
{
    return (PositionRange){a.first < b.first ? a.first : b.first,
                           a.last > b.last ? a.last : b.last};
}

AntientropyCounters
antientropy_counters(const Antientropy *antientropy)
{
    return antientropy->counters;
}

/* ---- questions and their answers ---- */

uint64_t
antientropy_ref(const Lane *lane, uint32_t item)
{
    return ticket_ref(REF_ANTIENTROPY, lane->ticket, item);
}

uint32_t
antientropy_tag(const Lane *lane)
{
    return ticket_tag(REF_ANTIENTROPY, lane->ticket);
}

void
antientropy_ask(Antientropy *antientropy, Lane *lane)
{
    tickets_end(&antientropy->tickets, lane->ticket);
    lane->ticket = tickets_draw(&antientropy->tickets, (uint32_t)(lane - antientropy->lanes));
}

void
antientropy_free_lane(Antientropy *antientropy, Lane *lane)
{
    tickets_end(&antientropy->tickets, lane->ticket);
    lane->state = LANE_FREE;
}

void
antientropy_await(Lane *lane, const View *view, LaneState state)
{
    lane->state = state;
    lane->deadline_ms = view->now_ms + ANSWER_MS;
}

void
antientropy_pay(Antientropy *antientropy, size_t bytes)
{
    pacer_take(antientropy->pacer, bytes);
}

static void
count_of_pair(Pair *pair, uint64_t sent, uint64_t received)
{
    if (pair == NULL)
        return;
    pair->status.bytes_sent += sent;
    pair->status.bytes_received += received;
}

/* The bytes of a frame of many roots are shared out evenly. */
static void
count_bytes(Antientropy *antientropy, const Lane *lane, uint64_t sent, uint64_t received)
{
    uint32_t count = lane->root_count;

    if (lane->pair != NULL)
        count_of_pair(lane->pair, sent, received);
    for (uint32_t i = 0; lane->pair == NULL && i < count; i++)
        count_of_pair(antientropy_find_pair(antientropy, lane->peer, lane->roots[i]), sent / count,
                      received / count);
    antientropy->counters.bytes_sent += sent;
    antientropy->counters.bytes_received += received;
    antientropy_pay(antientropy, sent + received);
}

void
antientropy_count_sent(Antientropy *antientropy, const Lane *lane, size_t bytes)
{
    count_bytes(antientropy, lane, bytes, 0);
}

void
antientropy_send(Antientropy *antientropy, Lane *lane, const View *view, LaneState state)
{
    antientropy_count_sent(antientropy, lane,
                           view->actions->frames.length - view->actions->frame_start);
    actions_send(view->actions, lane->peer);
    antientropy_await(lane, view, state);
}

/* The lane whose present question is answered, or NULL. */
static Lane *
lane_of(Antientropy *antientropy, RefOwner owner, uint32_t ticket)
{
    uint32_t number =
        owner == REF_ANTIENTROPY ? tickets_find(&antientropy->tickets, ticket) : TICKET_NO_SLOT;

    return number != TICKET_NO_SLOT ? &antientropy->lanes[number] : NULL;
}

static Lane *
lane_of_ref(Antientropy *antientropy, uint64_t ref)
{
    return lane_of(antientropy, ticket_ref_owner(ref), ticket_ref_number(ref));
}

static void
take_frame(Antientropy *antientropy, Lane *lane, const View *view, const Frame *frame)
{
    ErrorFrame error;

    count_bytes(antientropy, lane, 0, MESSAGE_HEADER_BYTES + frame->body.length);
    if (frame->type == FRAME_TREE_ROOTS_REPLY && lane->state == LANE_ROOTS)
        antientropy_take_roots(antientropy, lane, view, frame);
    else if (frame->type == FRAME_TREE_LEVEL_REPLY && lane->state == LANE_LEVEL)
        antientropy_take_level(antientropy, lane, view, frame);
    else if (frame->type == FRAME_TREE_KEYS_REPLY && lane->state == LANE_LIST)
        antientropy_take_list(antientropy, lane, view, frame);
    else if (frame->type == FRAME_VERSIONS_REPLY && lane->state == LANE_VERSIONS)
        antientropy_take_versions(antientropy, lane, view, frame);
    else if (frame->type == FRAME_ERROR && error_decode(frame, &error))
        antientropy_fail(antientropy, lane, view, error.status);
    else
        antientropy_fail(antientropy, lane, view, STATUS_BAD_FRAME);
}

static bool
awaits_peer(const Lane *lane)
{
    return lane->state == LANE_ROOTS || lane->state == LANE_LEVEL || lane->state == LANE_LIST ||
           lane->state == LANE_VERSIONS;
}

void
antientropy_acknowledged(Antientropy *antientropy, const View *view, uint32_t member,
                         const Frame *frame)
{
    ReplicateReply reply;

    if (!replicate_reply_decode(frame, &view->actions->arena, &reply))
        return;
    for (uint32_t i = 0; i < reply.item_count; i++)
    {
        Lane *lane = lane_of_ref(antientropy, reply.items[i].ref);

        if (lane != NULL && lane->state == LANE_GIVING && lane->peer == member)
            antientropy_take_given(antientropy, lane, view, &reply.items[i]);
    }
}

void
antientropy_member_frame(Antientropy *antientropy, const View *view, uint32_t member,
                         const Frame *frame)
{
    Lane *lane;

    antientropy_follow(antientropy, view);
    lane = lane_of(antientropy, ticket_tag_owner(frame->tag), ticket_tag_number(frame->tag));
    if (lane != NULL && awaits_peer(lane) && lane->peer == member)
        take_frame(antientropy, lane, view, frame);
}

void
antientropy_scanned(Antientropy *antientropy, const View *view, uint64_t ref, StatusCode status,
                    const StoragePage *page)
{
    Lane *lane = lane_of_ref(antientropy, ref);

    if (ref >> 56 == REF_TREE_ANSWERS)
        antientropy_answer_scanned(antientropy, ref, status, page, view->actions);
    else if (lane != NULL && lane->state == LANE_SCANNING)
        antientropy_take_rows(antientropy, lane, view, status, page);
}

void
antientropy_fetched(Antientropy *antientropy, const View *view, uint64_t ref, StatusCode status,
                    Slice object)
{
    Lane *lane = lane_of_ref(antientropy, ref);

    if (ref >> 56 == REF_TREE_ANSWERS)
        antientropy_answer_fetched(antientropy, view, ref, status, object);
    else if (lane != NULL && (lane->state == LANE_READING || lane->state == LANE_FETCHING))
        antientropy_take_own(antientropy, lane, view, ticket_ref_item(ref), status, object);
}

void
antientropy_merged(Antientropy *antientropy, uint64_t ref, StatusCode status)
{
    if (status != STATUS_OK)
        antientropy_durable(antientropy, ref, status);
}

void
antientropy_durable(Antientropy *antientropy, uint64_t ref, StatusCode status)
{
    Lane *lane = lane_of_ref(antientropy, ref);

    if (lane != NULL && lane->state == LANE_STORING)
        antientropy_take_stored(antientropy, lane, status);
}
