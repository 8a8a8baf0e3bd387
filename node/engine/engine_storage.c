/*
 * What is asked of the storage, and its answers: each goes to the step module that its ref names.
 */
#include "node/engine/engine_private.h"

static void
take_merged(Engine *engine, const View *view, const Completion *answer)
{
    if (ticket_ref_owner(answer->ref) == REF_REPLICA)
        replica_merged(engine->replica, answer->ref, answer->status);
    else if (!engine_background_merged(engine, view, answer->ref, answer->status, answer->object))
        coordinator_merged(engine->coordinator, view, answer->ref, answer->status, answer->object);
}

static void
take_durable(Engine *engine, const View *view, const Completion *answer)
{
    if (ticket_ref_owner(answer->ref) == REF_REPLICA)
        replica_durable(engine->replica, answer->ref, answer->status);
    else if (!engine_background_durable(engine, view, answer->ref, answer->status))
        coordinator_durable(engine->coordinator, view, answer->ref, answer->status);
}

static void
take_read(Engine *engine, const View *view, const Completion *answer)
{
    if (ticket_ref_owner(answer->ref) == REF_REPLICA)
        replica_fetched(engine->replica, view, answer->ref, answer->status, answer->object);
    else if (!engine_background_fetched(engine, view, answer->ref, answer->status, answer->object))
        coordinator_fetched(engine->coordinator, view, answer->ref, answer->status, answer->object);
}

static void
take_scanned(Engine *engine, const View *view, const Completion *answer)
{
    if (!engine_background_scanned(engine, view, answer->ref, answer->status, &answer->page))
        replica_scanned(engine->replica, view, answer->ref, answer->status, &answer->page);
}

/* What a member is told of it, it must hear at once: it would send writes and reads. */
static void
take_disk_changed(Engine *engine)
{
    const Storage *storage = engine->storage;

    if (storage->disk == DISK_WELL)
        actions_warn(&engine->actions, "this node takes writes again");
    else
        actions_warn(&engine->actions, "this node takes no writes: %s", storage_disk_why(storage));
    membership_greet(engine->membership, engine->now_ms, &engine->actions);
}

void
engine_take_answer(Engine *engine, const Completion *answer)
{
    View view = engine_view(engine);
    const StorageExtent *extent = &answer->extent;

    switch (answer->kind)
    {
    case COMPLETION_MERGED:
        take_merged(engine, &view, answer);
        break;
    case COMPLETION_DURABLE:
        take_durable(engine, &view, answer);
        break;
    case COMPLETION_READ:
        take_read(engine, &view, answer);
        break;
    case COMPLETION_SCANNED:
        take_scanned(engine, &view, answer);
        break;
    case COMPLETION_CHECKED:
        scrub_checked(engine->scrub, &view, answer->ref, answer->status, &answer->check);
        break;
    case COMPLETION_UNREADABLE:
        engine_unreadable(engine, &view, extent);
        break;
    case COMPLETION_REPLACED:
        forget_replaced(engine->forget, &view, extent->bucket_id, extent->first, extent->last);
        break;
    case COMPLETION_DISK_CHANGED:
        take_disk_changed(engine);
        break;
    }
}

/* What answers a client, or another coordinator, must not come from a place that may lack what was
 * acknowledged: not now, nor when the answer comes (replica.c, coordinator.c). Comparing may look
 * there: it is what ends that. */
static bool
is_for_clients(uint64_t ref)
{
    RefOwner owner = ticket_ref_owner(ref);

    return owner == REF_REPLICA || owner == REF_COORDINATOR_READ || owner == REF_COORDINATOR_WRITE;
}

/* These remove rows, wherever they are. */
static bool
may_change_dropped(uint64_t ref)
{
    return ticket_ref_owner(ref) == REF_PURGE || ticket_ref_owner(ref) == REF_ORPHANS;
}

/* Of a bucket that was dropped nothing is kept any more, whoever still wants it. */
void
engine_apply_storage(Engine *engine, const Action *action)
{
    const Topology *topology = engine_topology(engine);
    const StorageEvents *answers = &engine->answers;
    Reader reader = reader_begin(action->storage_key);

    if (topology->last_bucket_id != topology->bucket_count && !may_change_dropped(action->ref) &&
        topology_was_dropped(topology, reader_u32(&reader)))
        answers->merged(answers->context, action->ref, STATUS_NO_BUCKET, SLICE_EMPTY);
    else
        engine->storage->apply(engine->storage, action->storage_key, action->update, action->ref);
}

static bool
withholds_key(const Engine *engine, Slice storage_key)
{
    Reader reader = reader_begin(storage_key);
    uint32_t bucket_id = reader_u32(&reader);
    uint64_t position = reader_u64(&reader);

    return forget_withholds(engine->forget, bucket_id, position, position);
}

void
engine_read_storage(Engine *engine, const Action *action)
{
    const StorageEvents *answers = &engine->answers;

    if (!forget_is_idle(engine->forget) && is_for_clients(action->ref) &&
        withholds_key(engine, action->storage_key))
        answers->read_done(answers->context, action->ref, STATUS_CORRUPT, SLICE_EMPTY);
    else
        engine->storage->read(engine->storage, action->storage_key, action->ref);
}

void
engine_scan_storage(Engine *engine, const Action *action)
{
    const StorageEvents *answers = &engine->answers;
    const StorageRange *range = &action->range;
    StoragePage none = {.rows = NULL};

    if (is_for_clients(action->ref) && forget_withholds_range(engine->forget, range))
        answers->scan_done(answers->context, action->ref, STATUS_CORRUPT, &none);
    else
        engine->storage->scan(engine->storage, range, action->ref);
}
