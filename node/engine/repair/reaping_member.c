/*
 * What every member does in a round, its coordinator too: says whether it is clean, raises, reaps.
 * What is answered is durable by then.
 */
#include "node/engine/repair/reaping_private.h"

#include <string.h>

static uint64_t
task_ref(const Task *task, uint32_t row)
{
    return ticket_ref(REF_REAPING, task->ticket, row);
}

static Task *
task_of(Reaping *reaping, uint64_t ref)
{
    uint32_t slot = tickets_find(&reaping->tickets, ticket_ref_number(ref));

    return slot >= REAPING_LANES && slot != TICKET_NO_SLOT ? &reaping->tasks[slot - REAPING_LANES]
                                                           : NULL;
}

/* NULL: too many are under way. */
static Task *
begin_task(Reaping *reaping, TaskKind kind, uint32_t asked_by, Origin origin)
{
    for (uint32_t i = 0; i < REAPING_TASKS; i++)
    {
        Task *task = &reaping->tasks[i];

        if (task->live)
            continue;
        task->live = true;
        task->kind = kind;
        task->ticket = tickets_draw(&reaping->tickets, REAPING_LANES + i);
        task->asked_by = asked_by;
        task->origin = origin;
        task->failed = false;
        task->open = 0;
        return task;
    }
    return NULL;
}

static void
end_task(Reaping *reaping, Task *task)
{
    tickets_end(&reaping->tickets, task->ticket);
    task->live = false;
    arena_reset(&task->arena);
}

/* ---- prepare ---- */

static uint64_t
start_of(const View *view, TreeId id)
{
    return ring_partition_start(id.partition, view->topology->partitions);
}

/* The round is of before: others than its members may own the partition by now. */
static bool
has_moved(const View *view, TreeId id, uint64_t epoch)
{
    return id.partition >= view->topology->partitions ||
           topology_has_moved(view->topology, start_of(view, id), epoch);
}

static ReapVerdict
judge(const Reaping *reaping, const View *view, TreeId id, Digest *root)
{
    TreeSum sum;

    if (topology_step(view->topology, start_of(view, id)) != TOPOLOGY_STILL)
        return REAP_MOVES;
    if (view->refilling)
        return REAP_REFILLING;
    if (view->cannot_write)
        return REAP_STORAGE;
    if (hints_count(view->hints) > 0)
        return REAP_HINTS;
    if (view->trees == NULL || !trees_sum(view->trees, id, (TreePart){0}, &sum) || !sum.settled)
        return REAP_UNSETTLED;
    if (sum.rows > 0 && !reaping_owns(view, id, view->self))
        return REAP_KEEPS_ROWS;
    if (reaping->is_busy(reaping->busy_context, view, id))
        return REAP_BUSY;
    *root = sum.digest;
    return REAP_CLEAN;
}

static void
answer_prepare(Reaping *reaping, const View *view, uint32_t asked_by, Origin origin, TreeId id,
               ReapVerdict verdict, const Digest *root)
{
    ReapPrepareReply reply = {.verdict = verdict,
                              .cleared = rounds_of(view->rounds, id).cleared,
                              .root = *root,
                              .actor = view->run != NULL ? view->run->actor : (Actor){{0}}};

    if (asked_by != 0)
    {
        Lane *lane = reaping_lane_of(reaping, asked_by);

        if (lane != NULL)
            reaping_lane_prepared(reaping, lane, view, view->self, &reply);
        return;
    }
    reap_prepare_reply_encode(actions_frame(view->actions), origin.tag, &reply);
    actions_reply(view->actions, origin.session);
}

static void
set_round(const View *view, Task *task, uint64_t cleared)
{
    Round round = rounds_note(view->rounds, task->id, cleared);

    actions_set_round(view->actions, &round, task_ref(task, 0));
}

void
reaping_task_prepare(Reaping *reaping, const View *view, uint32_t asked_by, Origin origin,
                     const ReapPrepareFrame *frame)
{
    TreeId id = {.bucket_id = frame->bucket_id, .partition = frame->partition};
    Task *task = NULL;
    Digest root = {0};
    ReapVerdict verdict = judge(reaping, view, id, &root);

    if (frame->round <= rounds_of(view->rounds, id).cleared)
        verdict = REAP_OLD_NUMBER;
    else if (verdict == REAP_CLEAN)
        task = begin_task(reaping, TASK_PREPARE, asked_by, origin);
    if (task == NULL)
    {
        verdict = verdict == REAP_CLEAN ? REAP_BUSY : verdict;
        if (!view->refilling)
            rounds_raise(view->rounds, id, 0, frame->round);
        answer_prepare(reaping, view, asked_by, origin, id, verdict, &root);
        return;
    }
    task->id = id;
    task->round = frame->round;
    set_round(view, task, frame->round);
}

/* The number is on the disk. From this moment on this node sends under it; so now is when it must
 * be clean. */
static void
prepared(Reaping *reaping, const View *view, Task *task, bool stored)
{
    Task done = *task;
    Digest root = {0};
    ReapVerdict verdict = stored ? judge(reaping, view, done.id, &root) : REAP_STORAGE;

    if (done.round <= rounds_of(view->rounds, done.id).cleared)
        verdict = REAP_OLD_NUMBER;
    else if (verdict == REAP_CLEAN)
        rounds_prepare(view->rounds, done.id, done.round);
    else if (!view->refilling)
        rounds_raise(view->rounds, done.id, 0, done.round);
    end_task(reaping, task);
    answer_prepare(reaping, view, done.asked_by, done.origin, done.id, verdict, &root);
}

/* ---- raise and reap ---- */

static void
answer_done(Reaping *reaping, const View *view, uint32_t asked_by, Origin origin,
            const ReapDone *done, const bool *changed)
{
    if (asked_by != 0)
    {
        Lane *lane = reaping_lane_of(reaping, asked_by);

        if (lane != NULL)
            reaping_lane_done(reaping, lane, view, view->self, done, changed);
        return;
    }
    reap_done_encode(actions_frame(view->actions), origin.tag, done);
    actions_reply(view->actions, origin.session);
}

void
reaping_task_raise(Reaping *reaping, const View *view, uint32_t asked_by, Origin origin,
                   const ReapRaiseFrame *frame)
{
    TreeId id = {.bucket_id = frame->bucket_id, .partition = frame->partition};
    bool ready = rounds_of(view->rounds, id).prepared == frame->round && frame->round > 0 &&
                 !view->refilling && !view->cannot_write && !has_moved(view, id, frame->epoch);
    Task *task = ready ? begin_task(reaping, TASK_RAISE, asked_by, origin) : NULL;

    if (task == NULL)
    {
        answer_done(reaping, view, asked_by, origin, &(ReapDone){.ok = false}, NULL);
        return;
    }
    task->id = id;
    rounds_raise(view->rounds, id, frame->round, 0);
    set_round(view, task, 0);
}

/* Answers when the last row is durable; the lane is told before the task is gone. */
static void
end_row(Reaping *reaping, const View *view, Task *task)
{
    ReapDone done = {.ok = !task->failed};

    if (--task->open > 0)
        return;
    for (uint32_t i = 0; i < task->rows.row_count; i++)
        done.changed += task->changed[i];
    answer_done(reaping, view, task->asked_by, task->origin, &done, task->changed);
    end_task(reaping, task);
}

static void
apply_row(const Reaping *reaping, const View *view, Task *task, uint32_t index)
{
    const ReapRow *row = &task->rows.rows[index];
    const Bucket *bucket = topology_bucket_by_id(view->topology, task->id.bucket_id);
    Reap *reap = ARENA_NEW(&task->arena, Reap);
    Update *update = ARENA_NEW(&task->arena, Update);
    uint64_t position;

    if (bucket == NULL || !topology_position(bucket, row->key, &position) ||
        ring_partition(position, view->topology->partitions) != task->id.partition)
    {
        task->failed = true;
        return;
    }
    *reap = (Reap){.digest = row->digest,
                   .dead = row->dead,
                   .live = task->rows.live,
                   .live_count = task->rows.live_count};
    *update = (Update){.reap = reap};
    task->open++;
    actions_apply(view->actions, bucket->id, position, row->key, update, task_ref(task, index));
}

static void
keep_rows(Task *task, const ReapRowsFrame *rows)
{
    task->rows = *rows;
    task->rows.live = arena_copy(&task->arena, rows->live, sizeof(Actor) * rows->live_count);
    task->rows.rows = arena_copy(&task->arena, rows->rows, sizeof(ReapRow) * rows->row_count);
    for (uint32_t i = 0; i < rows->row_count; i++)
        task->rows.rows[i].key = slice_copy(&task->arena, rows->rows[i].key);
    task->changed = arena_alloc_zero(&task->arena, sizeof(bool) * rows->row_count);
}

void
reaping_task_rows(Reaping *reaping, const View *view, uint32_t asked_by, Origin origin,
                  const ReapRowsFrame *frame)
{
    TreeId id = {.bucket_id = frame->bucket_id, .partition = frame->partition};
    bool ready = rounds_of(view->rounds, id).round == frame->round && frame->round > 0 &&
                 !view->refilling && reaping_owns(view, id, view->self) &&
                 !has_moved(view, id, frame->epoch);
    Task *task = ready ? begin_task(reaping, TASK_ROWS, asked_by, origin) : NULL;

    if (task == NULL)
    {
        answer_done(reaping, view, asked_by, origin, &(ReapDone){.ok = false}, NULL);
        return;
    }
    task->id = id;
    task->round = frame->round;
    keep_rows(task, frame);

    /* One more than there are, so that it ends once, at the end. */
    task->open = 1;
    for (uint32_t i = 0; i < frame->row_count; i++)
        apply_row(reaping, view, task, i);
    end_row(reaping, view, task);
}

void
reaping_session_frame(Reaping *reaping, const View *view, Origin origin, const Frame *frame)
{
    ReapPrepareFrame prepare;
    ReapRaiseFrame raise;
    ReapRowsFrame rows;

    if (view->rounds == NULL)
        actions_error(view->actions, origin, STATUS_STORAGE, "");
    else if (frame->type == FRAME_REAP_PREPARE && reap_prepare_decode(frame, &prepare))
    {
        TreeId id = {.bucket_id = prepare.bucket_id, .partition = prepare.partition};

        if (prepare.epoch != view->topology->epoch ||
            prepare.partition >= view->topology->partitions ||
            topology_bucket_by_id(view->topology, prepare.bucket_id) == NULL)
            answer_prepare(reaping, view, 0, origin, id, REAP_OTHER_EPOCH, &(Digest){0});
        else
            reaping_task_prepare(reaping, view, 0, origin, &prepare);
    }
    else if (frame->type == FRAME_REAP_RAISE && reap_raise_decode(frame, &raise))
        reaping_task_raise(reaping, view, 0, origin, &raise);
    else if (frame->type == FRAME_REAP_ROWS &&
             reap_rows_decode(frame, &view->actions->arena, &rows))
        reaping_task_rows(reaping, view, 0, origin, &rows);
    else
        actions_error(view->actions, origin, STATUS_BAD_FRAME, "");
}

/* ---- what storage answers ---- */

void
reaping_merged(Reaping *reaping, const View *view, uint64_t ref, StatusCode status, Slice object)
{
    Task *task = task_of(reaping, ref);
    uint32_t row = ticket_ref_item(ref);
    Digest digest;

    if (task == NULL || task->kind != TASK_ROWS)
        return;
    if (status != STATUS_OK)
    {
        task->failed = true;
        end_row(reaping, view, task);
        return;
    }
    digest = object_digest(object);
    task->changed[row] = task->rows.rows[row].dead
                             ? object.length == 0
                             : !digest_equal(&digest, &task->rows.rows[row].digest);
}

void
reaping_durable(Reaping *reaping, const View *view, uint64_t ref, StatusCode status)
{
    Task *task = task_of(reaping, ref);
    Task done;

    if (task == NULL)
        return;
    task->failed = task->failed || status != STATUS_OK;
    switch (task->kind)
    {
    case TASK_PREPARE:
        prepared(reaping, view, task, !task->failed);
        break;
    case TASK_RAISE:
        done = *task;
        end_task(reaping, task);
        answer_done(reaping, view, done.asked_by, done.origin, &(ReapDone){.ok = !done.failed},
                    NULL);
        break;
    case TASK_ROWS:
        end_row(reaping, view, task);
        break;
    }
}
