/*
 * What every member does in a round, its coordinator too: says whether it is clean, raises, reaps.
 * What is answered is durable by then.
 */
#include "node/reaping_private.h"

#include <string.h>

uint64_t
reaping_ref(uint32_t half, uint32_t slot, uint16_t generation, uint32_t row)
{
    return (uint64_t)REF_REAPING << 56 | (uint64_t)half << 48 | (uint64_t)slot << 40 |
           (uint64_t)generation << 24 | row;
}

static uint64_t
task_ref(const Reaping *reaping, const Task *task, uint32_t row)
{
    return reaping_ref(REAPING_REF_TASK, (uint32_t)(task - reaping->tasks), task->generation, row);
}

static Task *
task_of(Reaping *reaping, uint64_t ref)
{
    uint32_t slot = (ref >> 40) & 0xff;
    Task *task = slot < REAPING_TASKS ? &reaping->tasks[slot] : NULL;

    return (ref >> 48 & 0xff) == REAPING_REF_TASK && task != NULL && task->live &&
                   task->generation == (uint16_t)(ref >> 24)
               ? task
               : NULL;
}

/* NULL: too many are under way. */
static Task *
begin_task(Reaping *reaping, TaskKind kind, Lane *lane, Origin origin)
{
    for (uint32_t i = 0; i < REAPING_TASKS; i++)
    {
        Task *task = &reaping->tasks[i];

        if (task->live)
            continue;
        task->live = true;
        task->kind = kind;
        task->generation++;
        task->lane = lane;
        task->origin = origin;
        task->failed = false;
        task->open = 0;
        return task;
    }
    return NULL;
}

static void
end_task(Task *task)
{
    task->live = false;
    arena_reset(&task->arena);
}

/* ---- prepare ---- */

static ReapVerdict
judge(const Reaping *reaping, const View *view, TreeId id, Digest *root)
{
    TreeSum sum;

    if (view->refilling)
        return REAP_REFILLING;
    if (view->storage_failed)
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
answer_prepare(Reaping *reaping, const View *view, Lane *lane, Origin origin, TreeId id,
               ReapVerdict verdict, const Digest *root, Actions *actions)
{
    ReapPrepareReply reply = {.verdict = verdict,
                              .cleared = rounds_of(view->rounds, id).cleared,
                              .root = *root,
                              .actor = view->run != NULL ? view->run->actor : (Actor){{0}}};

    if (lane != NULL)
    {
        reaping_lane_prepared(reaping, lane, view, view->self, &reply, actions);
        return;
    }
    reap_prepare_reply_encode(actions_frame(actions), origin.tag, &reply);
    actions_reply(actions, origin.session);
}

static void
set_round(const Reaping *reaping, const View *view, Task *task, uint64_t cleared, Actions *actions)
{
    Round round = rounds_note(view->rounds, task->id, cleared);

    actions_set_round(actions, &round, task_ref(reaping, task, 0));
}

void
reaping_task_prepare(Reaping *reaping, const View *view, Lane *lane, Origin origin,
                     const ReapPrepareFrame *frame, Actions *actions)
{
    TreeId id = {.bucket_id = frame->bucket_id, .partition = frame->partition};
    Task *task = NULL;
    Digest root = {0};
    ReapVerdict verdict = judge(reaping, view, id, &root);

    if (frame->round <= rounds_of(view->rounds, id).cleared)
        verdict = REAP_OLD_NUMBER;
    else if (verdict == REAP_CLEAN)
        task = begin_task(reaping, TASK_PREPARE, lane, origin);
    if (task == NULL)
    {
        verdict = verdict == REAP_CLEAN ? REAP_BUSY : verdict;
        if (!view->refilling)
            rounds_raise(view->rounds, id, 0, frame->round);
        answer_prepare(reaping, view, lane, origin, id, verdict, &root, actions);
        return;
    }
    task->id = id;
    task->round = frame->round;
    set_round(reaping, view, task, frame->round, actions);
}

/* The number is on the disk. From this moment on this node sends under it; so now is when it must
 * be clean. */
static void
prepared(Reaping *reaping, const View *view, Task *task, bool stored, Actions *actions)
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
    end_task(task);
    answer_prepare(reaping, view, done.lane, done.origin, done.id, verdict, &root, actions);
}

/* ---- raise and reap ---- */

static void
answer_done(Reaping *reaping, const View *view, Lane *lane, Origin origin, const ReapDone *done,
            const bool *changed, Actions *actions)
{
    if (lane != NULL)
    {
        reaping_lane_done(reaping, lane, view, view->self, done, changed, actions);
        return;
    }
    reap_done_encode(actions_frame(actions), origin.tag, done);
    actions_reply(actions, origin.session);
}

void
reaping_task_raise(Reaping *reaping, const View *view, Lane *lane, Origin origin,
                   const ReapRaiseFrame *frame, Actions *actions)
{
    TreeId id = {.bucket_id = frame->bucket_id, .partition = frame->partition};
    bool ready = rounds_of(view->rounds, id).prepared == frame->round && frame->round > 0 &&
                 !view->refilling && !view->storage_failed;
    Task *task = ready ? begin_task(reaping, TASK_RAISE, lane, origin) : NULL;

    if (task == NULL)
    {
        answer_done(reaping, view, lane, origin, &(ReapDone){.ok = false}, NULL, actions);
        return;
    }
    task->id = id;
    rounds_raise(view->rounds, id, frame->round, 0);
    set_round(reaping, view, task, 0, actions);
}

/* Answers when the last row is durable; the lane is told before the task is gone. */
static void
end_row(Reaping *reaping, const View *view, Task *task, Actions *actions)
{
    ReapDone done = {.ok = !task->failed};

    if (--task->open > 0)
        return;
    for (uint32_t i = 0; i < task->rows.row_count; i++)
        done.changed += task->changed[i];
    answer_done(reaping, view, task->lane, task->origin, &done, task->changed, actions);
    end_task(task);
}

static void
apply_row(const Reaping *reaping, const View *view, Task *task, uint32_t index, Actions *actions)
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
    actions_apply(actions, bucket->id, position, row->key, update, task_ref(reaping, task, index));
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
reaping_task_rows(Reaping *reaping, const View *view, Lane *lane, Origin origin,
                  const ReapRowsFrame *frame, Actions *actions)
{
    TreeId id = {.bucket_id = frame->bucket_id, .partition = frame->partition};
    bool ready = rounds_of(view->rounds, id).round == frame->round && frame->round > 0 &&
                 !view->refilling && reaping_owns(view, id, view->self);
    Task *task = ready ? begin_task(reaping, TASK_ROWS, lane, origin) : NULL;

    if (task == NULL)
    {
        answer_done(reaping, view, lane, origin, &(ReapDone){.ok = false}, NULL, actions);
        return;
    }
    task->id = id;
    task->round = frame->round;
    keep_rows(task, frame);

    /* One more than there are, so that it ends once, at the end. */
    task->open = 1;
    for (uint32_t i = 0; i < frame->row_count; i++)
        apply_row(reaping, view, task, i, actions);
    end_row(reaping, view, task, actions);
}

void
reaping_session_frame(Reaping *reaping, const View *view, Origin origin, const Frame *frame,
                      Actions *actions)
{
    ReapPrepareFrame prepare;
    ReapRaiseFrame raise;
    ReapRowsFrame rows;

    if (view->rounds == NULL)
        actions_error(actions, origin, STATUS_STORAGE, "");
    else if (frame->type == FRAME_REAP_PREPARE && reap_prepare_decode(frame, &prepare))
    {
        TreeId id = {.bucket_id = prepare.bucket_id, .partition = prepare.partition};

        if (prepare.epoch != view->topology->epoch ||
            prepare.partition >= view->topology->partitions ||
            topology_bucket_by_id(view->topology, prepare.bucket_id) == NULL)
            answer_prepare(reaping, view, NULL, origin, id, REAP_OTHER_EPOCH, &(Digest){0},
                           actions);
        else
            reaping_task_prepare(reaping, view, NULL, origin, &prepare, actions);
    }
    else if (frame->type == FRAME_REAP_RAISE && reap_raise_decode(frame, &raise))
        reaping_task_raise(reaping, view, NULL, origin, &raise, actions);
    else if (frame->type == FRAME_REAP_ROWS && reap_rows_decode(frame, &actions->arena, &rows))
        reaping_task_rows(reaping, view, NULL, origin, &rows, actions);
    else
        actions_error(actions, origin, STATUS_BAD_FRAME, "");
}

/* ---- what storage answers ---- */

void
reaping_merged(Reaping *reaping, const View *view, uint64_t ref, StatusCode status, Slice object,
               Actions *actions)
{
    Task *task = task_of(reaping, ref);
    uint32_t row = ref & 0xffffff;
    Digest digest;

    if (task == NULL || task->kind != TASK_ROWS)
        return;
    if (status != STATUS_OK)
    {
        task->failed = true;
        end_row(reaping, view, task, actions);
        return;
    }
    digest = digest_of(object);
    task->changed[row] = task->rows.rows[row].dead
                             ? object.length == 0
                             : !digest_equal(&digest, &task->rows.rows[row].digest);
}

void
reaping_durable(Reaping *reaping, const View *view, uint64_t ref, StatusCode status,
                Actions *actions)
{
    Task *task = task_of(reaping, ref);
    Task done;

    if (task == NULL)
        return;
    task->failed = task->failed || status != STATUS_OK;
    switch (task->kind)
    {
    case TASK_PREPARE:
        prepared(reaping, view, task, !task->failed, actions);
        break;
    case TASK_RAISE:
        done = *task;
        end_task(task);
        answer_done(reaping, view, done.lane, done.origin, &(ReapDone){.ok = !done.failed}, NULL,
                    actions);
        break;
    case TASK_ROWS:
        end_row(reaping, view, task, actions);
        break;
    }
}
