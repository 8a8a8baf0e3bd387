/*
 * The coordinator of a round: look, prepare, raise, reap. A lane goes from phase to phase; in each
 * some members are awaited. Whoever refuses, goes down, or is silent for too long ends the attempt.
 */
#include "node/engine/repair/reaping_private.h"

#include <string.h>

static uint32_t
tag_of(const Lane *lane)
{
    return ticket_tag(REF_REAPING, lane->ticket);
}

/* A new question: what answers the one before is passed over from now on. */
static void
ask(Reaping *reaping, Lane *lane)
{
    tickets_end(&reaping->tickets, lane->ticket);
    lane->ticket = tickets_draw(&reaping->tickets, (uint32_t)(lane - reaping->lanes));
}

Lane *
reaping_lane_of(Reaping *reaping, uint32_t ticket)
{
    uint32_t slot = tickets_find(&reaping->tickets, ticket);

    return slot < REAPING_LANES ? &reaping->lanes[slot] : NULL;
}

static void
leave(Reaping *reaping, Lane *lane)
{
    tickets_end(&reaping->tickets, lane->ticket);
    lane->phase = LANE_FREE;
    lane->row_count = 0;
    arena_reset(&lane->arena);
}

static void
fail(Reaping *reaping, Lane *lane, const View *view, ReapVerdict why, uint32_t member)
{
    leave(reaping, lane);
    reaping_failed(reaping, view, lane->id, why, member);
}

/* ---- look ---- */

static void
begin_look(Reaping *reaping, Lane *lane)
{
    lane->phase = LANE_PACING;
    lane->row_count = 0;
    lane->row_bytes = 0;
    arena_reset(&lane->arena);
    reaping_entry(reaping, lane->id)->status.state = REAP_LOOKING;
}

/* A member that is not there fails the attempt at once; TOPOLOGY_NO_MEMBER: there is none. */
static uint32_t
who_is_down(const View *view)
{
    for (uint32_t member = 0; member < view->topology->member_count; member++)
    {
        if (member != view->self && !view->up[member] &&
            topology_is_present(view->topology, member))
            return member;
    }
    return TOPOLOGY_NO_MEMBER;
}

void
reaping_lane_begin(Reaping *reaping, Lane *lane, const View *view, TreeId id)
{
    Entry *entry = reaping_entry(reaping, id);
    uint32_t down = who_is_down(view);
    TreeSum sum = {.rows = 0};

    lane->id = id;
    if (entry->status.state == REAP_WAITING && down != TOPOLOGY_NO_MEMBER)
    {
        reaping_failed(reaping, view, id, REAP_DOWN, down);
        return;
    }
    (void)trees_sum(view->trees, id, (TreePart){0}, &sum);
    entry->taken = true;
    entry->status.candidates = 0;
    lane->look_root = sum.digest;
    lane->look_settled = sum.settled;
    lane->last = false;
    buffer_reset(&lane->after);
    begin_look(reaping, lane);
}

static void
read_page(Reaping *reaping, Lane *lane, const View *view)
{
    uint32_t partitions = view->topology->partitions;
    StorageRange range = {.bucket_id = lane->id.bucket_id,
                          .first_position = ring_partition_start(lane->id.partition, partitions),
                          .after = buffer_slice(&lane->after),
                          .max_bytes = REAPING_PAGE_BYTES};

    range.last_position = range.first_position + UINT64_MAX / partitions;
    lane->phase = LANE_READING;
    ask(reaping, lane);
    actions_scan(view->actions, &range, ticket_ref(REF_REAPING, lane->ticket, 0));
}

/* The runs that are known to go on; of a member that was never asked any entry may be a finished
 * run's. */
static Reap
known_runs(const Reaping *reaping, Arena *arena)
{
    Actor *live = ARENA_ARRAY(arena, Actor, reaping->run_count);

    for (uint32_t i = 0; i < reaping->run_count; i++)
        live[i] = reaping->runs[i].actor;
    return (Reap){.live = live, .live_count = reaping->run_count};
}

static void
add_candidate(Lane *lane, const Reap *runs, const StorageRow *row, Arena *scratch)
{
    Object object;
    Candidate candidate = {.key = row->key, .digest = object_digest(row->object)};

    if (!object_decode(row->object, scratch, &object))
        return;
    if (!reap_is_dead(&object))
    {
        candidate.entries = reap_entries(&object, runs, scratch);
        if (candidate.entries == 0)
            return;
    }
    candidate.key = slice_copy(&lane->arena, row->key);
    if (lane->rows == NULL || lane->row_count == 0)
        lane->rows = ARENA_ARRAY(&lane->arena, Candidate, REAPING_ROWS_MAX);
    lane->rows[lane->row_count++] = candidate;
    lane->row_bytes += row->key.length + sizeof(Digest);
}

/* ---- asking ---- */

static void
await(Lane *lane, uint32_t member)
{
    lane->awaited[member] = true;
    lane->open++;
}

static void
begin_phase(Reaping *reaping, Lane *lane, const View *view, LanePhase phase)
{
    Entry *entry = reaping_entry(reaping, lane->id);

    lane->phase = phase;
    ask(reaping, lane);
    lane->open = 0;
    lane->deadline_ms = view->now_ms + REAPING_PHASE_MS;
    memset(lane->awaited, 0, view->topology->member_count);
    if (phase < LANE_RAISE)
        entry->status.state = REAP_PREPARING;
    else
        entry->status.state = phase == LANE_RAISE ? REAP_RAISING : REAP_REAPING;
}

static ReapPrepareFrame
prepare_frame(const Lane *lane)
{
    return (ReapPrepareFrame){.epoch = lane->epoch,
                              .bucket_id = lane->id.bucket_id,
                              .partition = lane->id.partition,
                              .round = lane->round};
}

static void
prepare_self(Reaping *reaping, Lane *lane, const View *view)
{
    uint32_t members = view->topology->member_count;
    uint32_t down = who_is_down(view);
    ReapPrepareFrame frame;

    if (down != TOPOLOGY_NO_MEMBER)
    {
        fail(reaping, lane, view, REAP_DOWN, down);
        return;
    }
    lane->epoch = view->topology->epoch;
    lane->round = rounds_of(view->rounds, lane->id).cleared + 1;
    lane->live = memory_resize(&MEMORY_HEAP, lane->live, members * sizeof(Actor));
    lane->awaited = memory_resize(&MEMORY_HEAP, lane->awaited, members * sizeof(bool));
    begin_phase(reaping, lane, view, LANE_PREPARE_SELF);
    await(lane, view->self);
    frame = prepare_frame(lane);
    reaping_task_prepare(reaping, view, lane->ticket, (Origin){0}, &frame);
}

static void
ask_prepare(Reaping *reaping, Lane *lane, const View *view, bool owners)
{
    ReapPrepareFrame frame = prepare_frame(lane);

    begin_phase(reaping, lane, view, owners ? LANE_PREPARE_OWNERS : LANE_PREPARE_OTHERS);
    for (uint32_t member = 0; member < view->topology->member_count; member++)
    {
        if (member == view->self || reaping_owns(view, lane->id, member) != owners ||
            !topology_is_present(view->topology, member))
            continue;
        await(lane, member);
        reap_prepare_encode(actions_frame(view->actions), tag_of(lane), &frame);
        actions_send(view->actions, member);
    }
}

static void
ask_raise(Reaping *reaping, Lane *lane, const View *view)
{
    ReapRaiseFrame frame = {.epoch = lane->epoch,
                            .bucket_id = lane->id.bucket_id,
                            .partition = lane->id.partition,
                            .round = lane->round};

    begin_phase(reaping, lane, view, LANE_RAISE);
    for (uint32_t member = 0; member < view->topology->member_count; member++)
    {
        if (!reaping_owns(view, lane->id, member))
            continue;
        await(lane, member);
        if (member == view->self)
            continue;
        reap_raise_encode(actions_frame(view->actions), tag_of(lane), &frame);
        actions_send(view->actions, member);
    }
    reaping_task_raise(reaping, view, lane->ticket, (Origin){0}, &frame);
}

static ReapRowsFrame
rows_frame(Lane *lane, const View *view, uint32_t count)
{
    const Topology *topology = view->topology;
    ReapRowsFrame frame = {.epoch = lane->epoch,
                           .bucket_id = lane->id.bucket_id,
                           .partition = lane->id.partition,
                           .round = lane->round,
                           .live = ARENA_ARRAY(&lane->arena, Actor, topology->member_count),
                           .rows = ARENA_ARRAY(&lane->arena, ReapRow, count),
                           .row_count = count};

    for (uint32_t member = 0; member < topology->member_count; member++)
    {
        if (topology_is_present(topology, member))
            frame.live[frame.live_count++] = lane->live[member];
    }
    for (uint32_t i = 0; i < count; i++)
        frame.rows[i] = (ReapRow){.key = lane->rows[i].key,
                                  .digest = lane->rows[i].digest,
                                  .dead = lane->rows[i].entries == 0};
    return frame;
}

static void
reap_self(Reaping *reaping, Lane *lane, const View *view)
{
    ReapRowsFrame frame = rows_frame(lane, view, lane->row_count);

    begin_phase(reaping, lane, view, LANE_REAP_SELF);
    await(lane, view->self);
    reaping_task_rows(reaping, view, lane->ticket, (Origin){0}, &frame);
}

static void
ask_reap(Reaping *reaping, Lane *lane, const View *view)
{
    ReapRowsFrame frame = rows_frame(lane, view, lane->changed);

    begin_phase(reaping, lane, view, LANE_REAP_OWNERS);
    for (uint32_t member = 0; member < view->topology->member_count && lane->changed > 0; member++)
    {
        if (member == view->self || !reaping_owns(view, lane->id, member))
            continue;
        await(lane, member);
        reap_rows_encode(actions_frame(view->actions), tag_of(lane), &frame);
        actions_send(view->actions, member);
    }
}

/* ---- from phase to phase ---- */

static void
finish(Reaping *reaping, Lane *lane)
{
    Entry *entry = reaping_entry(reaping, lane->id);

    entry->taken = false;
    entry->rest_ms = reaping_rest_ms(reaping);
    entry->status.state = REAP_RESTING;
    leave(reaping, lane);
}

/* The round has passed; where the look had not come to the end it goes on, for another round. */
static void
pass(Reaping *reaping, Lane *lane, const View *view)
{
    Entry *entry = reaping_entry(reaping, lane->id);

    entry->status.why = REAP_CLEAN;
    entry->status.passed_ms = view->wall_ms;
    for (uint32_t i = 0; i < lane->changed; i++)
    {
        entry->status.reaped += lane->rows[i].entries == 0;
        entry->status.retired += lane->rows[i].entries;
    }
    entry->status.candidates -= lane->changed;
    if (lane->last)
        finish(reaping, lane);
    else
        begin_look(reaping, lane);
}

/* Nobody is awaited any more. */
static void
advance(Reaping *reaping, Lane *lane, const View *view)
{
    LanePhase phase = lane->phase;

    while (lane->phase == phase && lane->open == 0)
    {
        switch (phase)
        {
        case LANE_PREPARE_SELF:
            ask_prepare(reaping, lane, view, true);
            break;
        case LANE_PREPARE_OWNERS:
            ask_prepare(reaping, lane, view, false);
            break;
        case LANE_PREPARE_OTHERS:
            ask_raise(reaping, lane, view);
            break;
        case LANE_RAISE:
            reap_self(reaping, lane, view);
            break;
        case LANE_REAP_SELF:
            ask_reap(reaping, lane, view);
            break;
        case LANE_REAP_OWNERS:
            pass(reaping, lane, view);
            return;
        case LANE_FREE:
        case LANE_PACING:
        case LANE_READING:
            return;
        }
        phase = lane->phase;
    }
}

/* True when the member was awaited in this phase. A round ends with its epoch: the own storage may
 * answer before the next step sees that. */
static bool
take_answer(Lane *lane, const View *view, uint32_t member)
{
    if (lane->phase <= LANE_READING || lane->epoch != view->topology->epoch ||
        !lane->awaited[member])
        return false;
    lane->awaited[member] = false;
    lane->open--;
    return true;
}

void
reaping_lane_prepared(Reaping *reaping, Lane *lane, const View *view, uint32_t member,
                      const ReapPrepareReply *reply)
{
    bool owns = reaping_owns(view, lane->id, member);

    if (!take_answer(lane, view, member))
        return;
    reaping_note_run(reaping, &view->topology->members[member].id, &reply->actor);
    if (reply->verdict == REAP_OLD_NUMBER && !view->refilling)
        rounds_raise(view->rounds, lane->id, 0, reply->cleared);
    if (reply->verdict != REAP_CLEAN)
    {
        fail(reaping, lane, view, reply->verdict, member);
        return;
    }
    lane->live[member] = reply->actor;
    if (lane->phase == LANE_PREPARE_SELF)
        lane->root = reply->root;
    else if (owns && !digest_equal(&lane->root, &reply->root))
    {
        fail(reaping, lane, view, REAP_DIFFERS, member);
        return;
    }
    advance(reaping, lane, view);
}

/* What has become another object here since the look stays everywhere: not because it would not be
 * safe, but because a tombstone beside a newer value goes with that value. */
static void
keep_changed(Lane *lane, const bool *changed)
{
    lane->changed = 0;
    for (uint32_t i = 0; i < lane->row_count; i++)
    {
        if (changed[i])
            lane->rows[lane->changed++] = lane->rows[i];
    }
}

void
reaping_lane_done(Reaping *reaping, Lane *lane, const View *view, uint32_t member,
                  const ReapDone *done, const bool *changed)
{
    if (!take_answer(lane, view, member))
        return;
    if (!done->ok)
    {
        fail(reaping, lane, view, REAP_REFUSED, member);
        return;
    }
    if (lane->phase == LANE_REAP_SELF)
        keep_changed(lane, changed);
    advance(reaping, lane, view);
}

void
reaping_member_frame(Reaping *reaping, const View *view, uint32_t member, const Frame *frame)
{
    Lane *lane = ticket_tag_owner(frame->tag) == REF_REAPING
                     ? reaping_lane_of(reaping, ticket_tag_number(frame->tag))
                     : NULL;
    ReapPrepareReply reply;
    ReapDone done;

    if (lane == NULL || lane->epoch != view->topology->epoch)
        return;
    if (frame->type == FRAME_REAP_PREPARE_REPLY && lane->phase < LANE_RAISE &&
        reap_prepare_reply_decode(frame, &reply))
        reaping_lane_prepared(reaping, lane, view, member, &reply);
    else if (frame->type == FRAME_REAP_DONE && lane->phase >= LANE_RAISE &&
             reap_done_decode(frame, &done))
        reaping_lane_done(reaping, lane, view, member, &done, NULL);
}

void
reaping_scanned(Reaping *reaping, const View *view, uint64_t ref, StatusCode status,
                const StoragePage *page)
{
    Lane *lane = reaping_lane_of(reaping, ticket_ref_number(ref));
    Entry *entry;
    Reap runs;

    if (lane == NULL || lane->phase != LANE_READING)
        return;
    if (status != STATUS_OK)
    {
        fail(reaping, lane, view, REAP_STORAGE, view->self);
        return;
    }
    runs = known_runs(reaping, &view->actions->arena);
    for (uint32_t i = 0; i < page->row_count; i++)
    {
        const StorageRow *row = &page->rows[i];

        pacer_take(reaping->pacer, row->key.length + row->object.length);
        if (lane->row_count == REAPING_ROWS_MAX || lane->row_bytes >= REAPING_ROWS_BYTES)
            break;
        add_candidate(lane, &runs, row, &view->actions->arena);
        buffer_reset(&lane->after);
        storage_cursor(&lane->after, row->position, row->key);
        lane->last = page->done && i + 1 == page->row_count;
    }
    if (page->row_count == 0)
        lane->last = page->done;
    else if (!lane->last && page->through.length > 0 && lane->row_count < REAPING_ROWS_MAX &&
             lane->row_bytes < REAPING_ROWS_BYTES)
    {
        buffer_reset(&lane->after);
        buffer_put(&lane->after, page->through.data, page->through.length);
    }
    entry = reaping_entry(reaping, lane->id);
    if (!lane->last && lane->row_count < REAPING_ROWS_MAX && lane->row_bytes < REAPING_ROWS_BYTES)
        lane->phase = LANE_PACING;
    else if (lane->row_count > 0)
    {
        entry->status.candidates = lane->row_count;
        prepare_self(reaping, lane, view);
    }
    else
    {
        entry->barren = entry->status.candidates == 0 && lane->look_settled;
        entry->barren_root = lane->look_root;
        entry->barren_runs = reaping->run_changes;
        finish(reaping, lane);
    }
}

static uint32_t
who_is_awaited(const Lane *lane, const View *view)
{
    uint32_t member = 0;

    while (member < view->topology->member_count && !lane->awaited[member])
        member++;
    return member < view->topology->member_count ? member : view->self;
}

void
reaping_lane_step(Reaping *reaping, Lane *lane, const View *view)
{
    uint32_t down;

    if (lane->phase == LANE_PACING && pacer_may_begin(reaping->pacer, view->now_ms))
        read_page(reaping, lane, view);
    if (lane->phase <= LANE_READING)
        return;
    down = who_is_down(view);
    if (lane->epoch != view->topology->epoch)
        fail(reaping, lane, view, REAP_OTHER_EPOCH, view->self);
    else if (down != TOPOLOGY_NO_MEMBER)
        fail(reaping, lane, view, REAP_DOWN, down);
    else if (view->now_ms >= lane->deadline_ms)
        fail(reaping, lane, view, REAP_SILENT, who_is_awaited(lane, view));
}
