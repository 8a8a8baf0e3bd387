/*
 * Reads, pages and replicates as tasks that wait for the own storage. Nothing here knows of
 * quorums: what is asked is answered from this disk, or refused with the reason.
 */
#include "node/engine/request/replica.h"

#include "node/engine/repair/unreadable.h"
#include "node/engine/repair/orphans.h"
#include "node/engine/repair/scan_range.h"

#include <assert.h>

enum
{
    TASKS_MAX = 65536,
    TASK_ITEMS_MAX = TICKET_ITEMS
};

typedef enum TaskKind
{
    TASK_READ,
    TASK_SCAN,
    TASK_REPLICATE
} TaskKind;

/* One frame being answered. */
typedef struct Task
{
    TaskKind kind;
    uint32_t slot;
    uint32_t ticket;
    bool live;
    Arena arena;
    Origin origin;
    uint32_t bucket_id;
    uint32_t items_open;
    uint32_t item_count;
    size_t answer_bytes; /* of a read: objects so far */
    size_t bytes;        /* of the frame, and of what the answer has so far */
    ReadFrame read;
    ReadReply reply;
    ScanFrame scan;
    uint64_t round;       /* of a scan: its rows' label */
    StorageExtent extent; /* of a scan: where its rows may be */
    ReplicateItem *replicates;
    bool lost; /* with the data that were merged into */
} Task;

/* Acknowledgements gathered for one session. */
typedef struct Acknowledgements
{
    uint64_t session;
    Buffer items;
    uint32_t count;
} Acknowledgements;

struct Replica
{
    Tickets tickets;
    Task **tasks;
    uint32_t task_count;
    uint32_t *free_tasks;
    uint32_t free_count;
    uint64_t live_bytes; /* of the tasks under way */
    Acknowledgements *acknowledgements;
    uint32_t acknowledgement_count;
    ReplicaCounters counters;
};

Replica *
replica_new(void)
{
    Replica *replica = memory_resize(&MEMORY_HEAP, NULL, sizeof(Replica));

    *replica = (Replica){0};
    return replica;
}

void
replica_free(Replica *replica)
{
    for (uint32_t i = 0; i < replica->task_count; i++)
    {
        arena_free(&replica->tasks[i]->arena);
        memory_resize(&MEMORY_HEAP, replica->tasks[i], 0);
    }
    for (uint32_t i = 0; i < replica->acknowledgement_count; i++)
        buffer_free(&replica->acknowledgements[i].items);
    tickets_free(&replica->tickets);
    memory_resize(&MEMORY_HEAP, replica->tasks, 0);
    memory_resize(&MEMORY_HEAP, replica->free_tasks, 0);
    memory_resize(&MEMORY_HEAP, replica->acknowledgements, 0);
    memory_resize(&MEMORY_HEAP, replica, 0);
}

static Task *
add_task(Replica *replica)
{
    uint32_t slot = replica->task_count;

    if (slot == TASKS_MAX)
        return NULL;
    if ((slot & (slot - 1)) == 0)
    {
        size_t capacity = slot ? (size_t)slot * 2 : 1;

        replica->tasks = memory_resize(&MEMORY_HEAP, replica->tasks, capacity * sizeof(Task *));
        replica->free_tasks =
            memory_resize(&MEMORY_HEAP, replica->free_tasks, capacity * sizeof(uint32_t));
    }

    Task *task = memory_resize(&MEMORY_HEAP, NULL, sizeof(Task));

    *task = (Task){.slot = slot};
    arena_init(&task->arena, &MEMORY_HEAP);
    replica->tasks[replica->task_count++] = task;
    return task;
}

static void
grow_task(Replica *replica, Task *task, size_t bytes)
{
    task->bytes += bytes;
    replica->live_bytes += bytes;
}

static Task *
begin_task(Replica *replica, TaskKind kind, Origin origin, const Frame *frame, Actions *actions)
{
    Task *task;

    if (replica->free_count > 0)
        task = replica->tasks[replica->free_tasks[--replica->free_count]];
    else
        task = add_task(replica);
    if (task == NULL)
    {
        actions_error(actions, origin, STATUS_OVERLOADED, "too many requests are under way");
        return NULL;
    }
    task->kind = kind;
    task->live = true;
    task->ticket = tickets_draw(&replica->tickets, task->slot);
    task->origin = origin;
    task->bytes = 0;
    task->lost = false;
    grow_task(replica, task, frame->body.length);
    return task;
}

static void
end_task(Replica *replica, Task *task)
{
    assert(task->live);
    task->live = false;
    tickets_end(&replica->tickets, task->ticket);
    replica->live_bytes -= task->bytes;
    arena_reset(&task->arena);
    replica->free_tasks[replica->free_count++] = task->slot;
}

static uint64_t
task_ref(const Task *task, uint32_t item)
{
    return ticket_ref(REF_REPLICA, task->ticket, item);
}

static Task *
task_of(Replica *replica, uint64_t ref, uint32_t *item)
{
    uint32_t slot = ticket_ref_owner(ref) == REF_REPLICA
                        ? tickets_find(&replica->tickets, ticket_ref_number(ref))
                        : TICKET_NO_SLOT;

    *item = ticket_ref_item(ref);
    return slot != TICKET_NO_SLOT ? replica->tasks[slot] : NULL;
}

static void
refuse(Replica *replica, Task *task, StatusCode status, Actions *actions)
{
    actions_error(actions, task->origin, status, "");
    end_task(replica, task);
}

static void
seal(const View *view, uint32_t bucket_id, Slice key, Slice object, Arena *arena, Slice *context)
{
    Object decoded;
    Buffer sealed;

    if (object.length == 0 || !object_decode(object, arena, &decoded))
        return;
    Object past = object_past(arena, &decoded);

    buffer_init(&sealed, &MEMORY_HEAP);
    context_seal(&sealed, view->context_keys, bucket_id, key, &past);
    *context = slice_copy(arena, buffer_slice(&sealed));
    buffer_free(&sealed);
}

static void
send_read_reply(Replica *replica, Task *task, Actions *actions)
{
    read_reply_encode(actions_frame(actions), task->origin.tag, &task->reply);
    actions_reply(actions, task->origin.session);
    end_task(replica, task);
}

static void
read_keys(Replica *replica, const View *view, Task *task, const Bucket *bucket)
{
    const ReadFrame *read = &task->read;

    task->reply =
        (ReadReply){.mode = read->mode, .clock_ms = view->now_ms, .item_count = read->key_count};
    task->reply.items = arena_alloc_zero(&task->arena, sizeof(ReadItem) * read->key_count);
    task->items_open = 0;
    task->answer_bytes = 0;
    for (uint32_t i = 0; i < read->key_count; i++)
    {
        uint64_t position;

        if (!topology_position(bucket, read->keys[i], &position))
        {
            task->reply.items[i].status = STATUS_BAD_KEY;
            continue;
        }
        if (topology_has_moved(view->topology, position, read->epoch))
        {
            task->reply.items[i].status = STATUS_MOVED;
            continue;
        }
        if (step_leaves_reads(view, bucket->n, position))
        {
            task->reply.items[i].status = STATUS_STORAGE;
            continue;
        }
        task->items_open++;
        task->reply.items[i].round =
            rounds_label(view->rounds, view->topology, bucket->id, position);
        actions_read(view->actions, bucket->id, position, read->keys[i], task_ref(task, i));
    }
    replica->counters.reads += read->key_count;
    if (task->items_open == 0)
        send_read_reply(replica, task, view->actions);
}

void
replica_read(Replica *replica, const View *view, Origin origin, const Frame *frame)
{
    Task *task = begin_task(replica, TASK_READ, origin, frame, view->actions);

    if (task == NULL)
        return;

    Frame kept = frame_copy(&task->arena, frame);

    if (!read_decode(&kept, &task->arena, &task->read) || task->read.key_count >= TASK_ITEMS_MAX)
    {
        refuse(replica, task, STATUS_BAD_FRAME, view->actions);
        return;
    }

    const Bucket *bucket = topology_bucket_by_id(view->topology, task->read.bucket_id);

    if (bucket == NULL)
        refuse(replica, task, step_no_bucket(view, task->read.bucket_id), view->actions);
    else
        read_keys(replica, view, task, bucket);
}

/* By now, which is no sooner than the object was read. */
static uint64_t
floor_of(const View *view, uint32_t bucket_id, Slice key)
{
    const Bucket *bucket = topology_bucket_by_id(view->topology, bucket_id);
    uint64_t position;

    if (bucket == NULL || !topology_position(bucket, key, &position))
        return 0;
    return rounds_floor(view->rounds, view->topology, view->self, bucket_id, position);
}

/* What a node is told of a key, which it may lack by now. */
static Slice
told(const View *view, Task *task, uint32_t index, Slice object)
{
    const Bucket *bucket = topology_bucket_by_id(view->topology, task->read.bucket_id);
    Slice key = task->read.keys[index];
    uint64_t position;

    if (bucket == NULL || !topology_position(bucket, key, &position))
        return object;
    return step_tell(view, bucket->id, position, key, object, &task->arena);
}

void
replica_fetched(Replica *replica, const View *view, uint64_t ref, StatusCode status, Slice object)
{
    uint32_t index;
    Task *task = task_of(replica, ref, &index);

    if (task == NULL || task->kind != TASK_READ)
        return;

    ReadItem *item = &task->reply.items[index];

    if (unreadable_withholds_key(view->unreadable, view, task->read.bucket_id,
                                 task->read.keys[index]))
    {
        status = STATUS_CORRUPT;
        object = SLICE_EMPTY;
    }
    item->status = status;
    item->floor = floor_of(view, task->read.bucket_id, task->read.keys[index]);
    if (task->read.mode != READ_DIGEST)
        task->answer_bytes += object.length;
    if (status == STATUS_OK && task->read.mode == READ_DIGEST)
        item->digest = object_digest(object);
    else if (status == STATUS_OK && task->answer_bytes <= view->answer_bytes_max)
    {
        item->object = slice_copy(&task->arena, task->read.whole ? told(view, task, index, object)
                                                                 : object_identity(object));
        grow_task(replica, task, item->object.length);
        if (task->read.seal)
            seal(view, task->read.bucket_id, task->read.keys[index], object, &task->arena,
                 &item->context);
    }
    if (--task->items_open > 0)
        return;
    if (task->answer_bytes > view->answer_bytes_max)
        refuse(replica, task, STATUS_ANSWER_TOO_LARGE, view->actions);
    else
        send_read_reply(replica, task, view->actions);
}

static uint64_t
scan_round(const View *view, const StorageRange *range)
{
    return rounds_label(view->rounds, view->topology, range->bucket_id, range->first_position);
}

/* True when the digest was sent. */
static bool
send_tree_digest(Replica *replica, const View *view, Origin origin, const StorageRange *range)
{
    ScanReply reply = {.done = true, .round = scan_round(view, range)};

    if (!scan_range_sum(view, range, &reply.digest, &reply.row_count))
    {
        replica->counters.digests_by_rows++;
        return false;
    }
    replica->counters.digests_by_trees++;
    scan_reply_encode(actions_frame(view->actions), origin.tag, &reply);
    actions_reply(view->actions, origin.session);
    return true;
}

void
replica_scan(Replica *replica, const View *view, Origin origin, const Frame *frame)
{
    StorageRange range;
    ScanFrame scan;
    Task *task;

    if (!scan_decode(frame, &scan) || scan.partition >= view->topology->partitions)
    {
        actions_error(view->actions, origin, STATUS_BAD_FRAME, "");
        return;
    }
    if (topology_bucket_by_id(view->topology, scan.bucket_id) == NULL)
    {
        actions_error(view->actions, origin, step_no_bucket(view, scan.bucket_id), "");
        return;
    }
    range = scan_range(view, &scan);
    if (topology_has_moved(view->topology, range.first_position, scan.epoch))
    {
        actions_error(view->actions, origin, STATUS_MOVED, "");
        return;
    }
    replica->counters.scans++;
    if (scan.digest_only && send_tree_digest(replica, view, origin, &range))
        return;
    task = begin_task(replica, TASK_SCAN, origin, frame, view->actions);
    if (task == NULL)
        return;
    task->scan = (ScanFrame){.bucket_id = scan.bucket_id,
                             .digest_only = scan.digest_only,
                             .seal = scan.seal,
                             .whole = scan.whole};
    task->round = scan_round(view, &range);
    task->extent = unreadable_extent(&range);
    actions_scan(view->actions, &range, task_ref(task, 0));
}

static void
fill_scan_reply(const View *view, Task *task, const StoragePage *page, ScanReply *reply)
{
    reply->round = task->round;
    reply->done = page->done;
    reply->last = page->through;
    reply->row_count = page->row_count;
    if (!task->scan.digest_only)
        reply->rows = arena_alloc_zero(&task->arena, sizeof(ScanRow) * page->row_count);
    for (uint32_t i = 0; i < page->row_count; i++)
    {
        const StorageRow *row = &page->rows[i];
        Digest digest = message_row_digest(row->key, row->object);

        digest_mix(&reply->digest, &digest);
        if (reply->rows == NULL)
            continue;
        reply->rows[i] =
            (ScanRow){.key = row->key,
                      .object = task->scan.whole ? step_tell(view, row->bucket_id, row->position,
                                                             row->key, row->object, &task->arena)
                                                 : object_identity(row->object)};
        if (task->scan.seal)
            seal(view, task->scan.bucket_id, row->key, row->object, &task->arena,
                 &reply->rows[i].context);
    }
}

void
replica_scanned(Replica *replica, const View *view, uint64_t ref, StatusCode status,
                const StoragePage *page)
{
    uint32_t index;
    Task *task = task_of(replica, ref, &index);
    ScanReply reply = {.status = status};

    if (task == NULL || task->kind != TASK_SCAN)
        return;
    if (view->unreadable != NULL && unreadable_withholds(view->unreadable, task->extent.bucket_id,
                                                         task->extent.first, task->extent.last))
        reply.status = STATUS_CORRUPT;
    if (reply.status == STATUS_OK)
        fill_scan_reply(view, task, page, &reply);
    scan_reply_encode(actions_frame(view->actions), task->origin.tag, &reply);
    actions_reply(view->actions, task->origin.session);
    end_task(replica, task);
}

static Acknowledgements *
acknowledgements_of(Replica *replica, uint64_t session)
{
    Acknowledgements *unused = NULL;

    for (uint32_t i = 0; i < replica->acknowledgement_count; i++)
    {
        Acknowledgements *gathered = &replica->acknowledgements[i];

        if (gathered->count > 0 && gathered->session == session)
            return gathered;
        if (gathered->count == 0)
            unused = gathered;
    }
    if (unused == NULL)
    {
        replica->acknowledgements =
            memory_resize(&MEMORY_HEAP, replica->acknowledgements,
                          (replica->acknowledgement_count + 1) * sizeof(Acknowledgements));
        unused = &replica->acknowledgements[replica->acknowledgement_count++];
        *unused = (Acknowledgements){0};
        buffer_init(&unused->items, &MEMORY_HEAP);
    }
    unused->session = session;
    return unused;
}

static void
end_replicate(Replica *replica, Task *task, uint32_t index, StatusCode status)
{
    Acknowledgements *gathered = acknowledgements_of(replica, task->origin.session);
    const ReplicateItem *item = &task->replicates[index];
    ReplicateResult result = {.ref = item->ref, .status = status, .round = item->round};

    replicate_result_encode(&gathered->items, &result);
    gathered->count++;
    if (--task->items_open == 0)
        end_task(replica, task);
}

/* The hint that is to be written with an object kept for another member. */
static StatusCode
add_hint(Replica *replica, const View *view, Task *task, const ReplicateItem *item, Update *update)
{
    HintChange *hint = ARENA_NEW(&task->arena, HintChange);

    if (view->hints->bytes >= view->hints_max_bytes)
    {
        replica->counters.hints_refused++;
        return STATUS_HINTS_FULL;
    }
    replica->counters.stand_ins++;
    *hint = (HintChange){.target = item->hint_for, .now_ms = view->wall_ms};
    update->hints = hint;
    update->hint_count = 1;
    return STATUS_OK;
}

/* Of what may be moved aside nothing is acknowledged: see node/engine/repair/orphans.h. */
static bool
takes(const View *view, uint32_t bucket_id, uint64_t position)
{
    return !view->refilling || view->orphans == NULL ||
           orphans_take(view->orphans, rounds_id(view->topology, bucket_id, position));
}

static StatusCode
merge_item(Replica *replica, const View *view, Task *task, uint32_t index)
{
    ReplicateItem *item = &task->replicates[index];
    const Bucket *bucket = topology_bucket_by_id(view->topology, item->bucket_id);
    Object *object = ARENA_NEW(&task->arena, Object);
    Update *update = ARENA_NEW(&task->arena, Update);
    StatusCode status = STATUS_OK;
    uint64_t position;
    uint64_t floor;

    if (bucket == NULL)
        return step_no_bucket(view, item->bucket_id);
    if (!topology_position(bucket, item->key, &position))
        return STATUS_BAD_KEY;
    if (topology_has_moved(view->topology, position, item->placed))
        return STATUS_MOVED;
    if (!object_decode(item->object, &task->arena, object))
        return STATUS_BAD_FRAME;
    if (!takes(view, bucket->id, position))
        return STATUS_REFILLING;
    floor = rounds_floor(view->rounds, view->topology, view->self, bucket->id, position);
    if (item->round < floor)
    {
        item->round = floor; /* which the refusal tells */
        return STATUS_STALE_ROUND;
    }
    update->merge = object;
    if (item->is_hinted)
        status = add_hint(replica, view, task, item, update);
    if (status == STATUS_OK)
        actions_apply(view->actions, bucket->id, position, item->key, update,
                      task_ref(task, index));
    return status;
}

void
replica_replicate(Replica *replica, const View *view, Origin origin, const Frame *frame)
{
    ReplicateFrame replicate;
    Task *task = begin_task(replica, TASK_REPLICATE, origin, frame, view->actions);

    if (task == NULL)
        return;

    Frame kept = frame_copy(&task->arena, frame);

    if (!replicate_decode(&kept, &task->arena, &replicate) || replicate.item_count == 0 ||
        replicate.item_count >= TASK_ITEMS_MAX)
    {
        refuse(replica, task, STATUS_BAD_FRAME, view->actions);
        return;
    }
    task->replicates = replicate.items;
    task->item_count = replicate.item_count;

    /* One more than there are, so that refusals on the way do not end the task. */
    task->items_open = replicate.item_count + 1;
    replica->counters.replicates += replicate.item_count;
    for (uint32_t i = 0; i < replicate.item_count; i++)
    {
        StatusCode status = merge_item(replica, view, task, i);

        if (status != STATUS_OK)
            end_replicate(replica, task, i, status);
    }
    if (--task->items_open == 0)
        end_task(replica, task);
}

void
replica_merged(Replica *replica, uint64_t ref, StatusCode status)
{
    uint32_t index;
    Task *task = task_of(replica, ref, &index);

    if (task != NULL && task->kind == TASK_REPLICATE && status != STATUS_OK)
        end_replicate(replica, task, index, status);
}

void
replica_durable(Replica *replica, uint64_t ref, StatusCode status)
{
    uint32_t index;
    Task *task = task_of(replica, ref, &index);

    if (task != NULL && task->kind == TASK_REPLICATE)
        end_replicate(replica, task, index,
                      task->lost && status == STATUS_OK ? STATUS_REFILLING : status);
}

void
replica_data_lost(Replica *replica)
{
    for (uint32_t slot = 0; slot < replica->task_count; slot++)
        replica->tasks[slot]->lost = replica->tasks[slot]->live;
}

void
replica_flush(Replica *replica, Actions *actions)
{
    for (uint32_t i = 0; i < replica->acknowledgement_count; i++)
    {
        Acknowledgements *gathered = &replica->acknowledgements[i];

        if (gathered->count == 0)
            continue;
        replicate_reply_encode_items(actions_frame(actions), 0, gathered->count,
                                     buffer_slice(&gathered->items));
        actions_reply(actions, gathered->session);
        buffer_reset(&gathered->items);
        gathered->count = 0;
    }
}

static bool
task_touches(const Task *task, const View *view, const Bucket *bucket, uint32_t partition)
{
    uint64_t position;

    for (uint32_t i = 0; i < task->item_count; i++)
    {
        if (task->replicates[i].bucket_id == bucket->id &&
            topology_position(bucket, task->replicates[i].key, &position) &&
            ring_partition(position, view->topology->partitions) == partition)
            return true;
    }
    return false;
}

bool
replica_is_busy(const Replica *replica, const View *view, TreeId id)
{
    const Bucket *bucket = topology_bucket_by_id(view->topology, id.bucket_id);

    for (uint32_t slot = 0; slot < replica->task_count && bucket != NULL; slot++)
    {
        const Task *task = replica->tasks[slot];

        if (task->live && task->kind == TASK_REPLICATE &&
            task_touches(task, view, bucket, id.partition))
            return true;
    }
    return false;
}

uint32_t
replica_load(const Replica *replica)
{
    return replica->task_count - replica->free_count;
}

uint64_t
replica_bytes(const Replica *replica)
{
    return replica->live_bytes;
}

ReplicaCounters
replica_counters(const Replica *replica)
{
    return replica->counters;
}
