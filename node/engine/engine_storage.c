/*
 * What is asked of the storage, and its answers: each goes to the step module that its ref names.
 */
#include "node/engine/engine_private.h"

static void
on_merged(void *context, uint64_t ref, StatusCode status, Slice object)
{
    Engine *engine = context;
    View view = engine_view(engine);

    if (ticket_ref_owner(ref) == REF_REPLICA)
        replica_merged(engine->replica, ref, status);
    else if (!engine_background_merged(engine, &view, ref, status, object))
        coordinator_merged(engine->coordinator, &view, ref, status, object);
    engine_run_actions(engine);
}

static void
on_durable(void *context, uint64_t ref, StatusCode status)
{
    Engine *engine = context;
    View view = engine_view(engine);

    if (ticket_ref_owner(ref) == REF_REPLICA)
        replica_durable(engine->replica, ref, status);
    else if (!engine_background_durable(engine, &view, ref, status))
        coordinator_durable(engine->coordinator, &view, ref, status);
    engine_run_actions(engine);
}

static void
on_read_done(void *context, uint64_t ref, StatusCode status, Slice object)
{
    Engine *engine = context;
    View view = engine_view(engine);

    if (ticket_ref_owner(ref) == REF_REPLICA)
        replica_fetched(engine->replica, &view, ref, status, object);
    else if (!engine_background_fetched(engine, &view, ref, status, object))
        coordinator_fetched(engine->coordinator, &view, ref, status, object);
    engine_run_actions(engine);
}

static void
on_scan_done(void *context, uint64_t ref, StatusCode status, const StoragePage *page)
{
    Engine *engine = context;
    View view = engine_view(engine);

    if (!engine_background_scanned(engine, &view, ref, status, page))
        replica_scanned(engine->replica, &view, ref, status, page);
    engine_run_actions(engine);
}

static void
on_checked(void *context, uint64_t ref, StatusCode status, const StorageCheck *check)
{
    Engine *engine = context;
    View view = engine_view(engine);

    scrub_checked(engine->scrub, &view, ref, status, check);
}

/* What a member is told of it, it must hear at once: it would send writes and reads. */
static void
on_disk_changed(void *context)
{
    Engine *engine = context;
    const Storage *storage = engine->storage;

    if (storage == NULL)
        return;
    if (storage->disk == DISK_WELL)
        actions_warn(&engine->actions, "this node takes writes again");
    else
        actions_warn(&engine->actions, "this node takes no writes: %s", storage_disk_why(storage));
    membership_greet(engine->membership, engine->now_ms, &engine->actions);
    engine_run_actions(engine);
}

StorageEvents
engine_storage_events(Engine *engine)
{
    return (StorageEvents){.merged = on_merged,
                           .durable = on_durable,
                           .read_done = on_read_done,
                           .scan_done = on_scan_done,
                           .checked = on_checked,
                           .unreadable = engine_unreadable,
                           .replaced = engine_replaced,
                           .disk_changed = on_disk_changed,
                           .context = engine};
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
    Reader reader = reader_begin(action->storage_key);

    if (topology->last_bucket_id != topology->bucket_count && !may_change_dropped(action->ref) &&
        topology_was_dropped(topology, reader_u32(&reader)))
        on_merged(engine, action->ref, STATUS_NO_BUCKET, SLICE_EMPTY);
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
    if (!forget_is_idle(engine->forget) && is_for_clients(action->ref) &&
        withholds_key(engine, action->storage_key))
        on_read_done(engine, action->ref, STATUS_CORRUPT, SLICE_EMPTY);
    else
        engine->storage->read(engine->storage, action->storage_key, action->ref);
}

void
engine_scan_storage(Engine *engine, const Action *action)
{
    const StorageRange *range = &action->range;
    StoragePage none = {.rows = NULL};

    if (is_for_clients(action->ref) && forget_withholds_range(engine->forget, range))
        on_scan_done(engine, action->ref, STATUS_CORRUPT, &none);
    else
        engine->storage->scan(engine->storage, range, action->ref);
}
