#include "test/sim/sim_store.h"

#include <stdlib.h>
#include <string.h>

#include "test/sim/sim_store_private.h"
#include "test/sim/trace.h"
#include "test/sim/world.h"

enum
{
    REPORT_AGAIN_US = 10000000, /* that a record cannot be read */
    RECALL_BUCKETS = 64
};

static int
compare_keys(const StoreKey *key, Slice wanted)
{
    return slice_compare(key->key, wanted);
}

/* The index of the first key not before wanted. */
static uint32_t
find_index(const SimStore *store, Slice wanted)
{
    uint32_t low = 0;
    uint32_t high = store->key_count;

    while (low < high)
    {
        uint32_t middle = low + (high - low) / 2;

        if (compare_keys(store->keys[middle], wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static StoreKey *
find_key(const SimStore *store, Slice wanted)
{
    uint32_t index = find_index(store, wanted);

    return index < store->key_count && compare_keys(store->keys[index], wanted) == 0
               ? store->keys[index]
               : NULL;
}

StoreKey *
sim_store_make_key(SimStore *store, Slice wanted)
{
    uint32_t index = find_index(store, wanted);

    if (index < store->key_count && compare_keys(store->keys[index], wanted) == 0)
        return store->keys[index];

    StoreKey *key = memory_resize(&MEMORY_HEAP, NULL, sizeof(StoreKey) + wanted.length);

    *key = (StoreKey){.key = slice_make(key + 1, wanted.length)};
    memcpy(key + 1, wanted.data, wanted.length);
    buffer_init(&key->current, &MEMORY_HEAP);
    buffer_init(&key->durable, &MEMORY_HEAP);
    store->keys =
        memory_resize(&MEMORY_HEAP, store->keys, (store->key_count + 1) * sizeof(StoreKey *));
    memmove(store->keys + index + 1, store->keys + index,
            (store->key_count - index) * sizeof(StoreKey *));
    store->keys[index] = key;
    store->key_count++;
    return key;
}

/* ---- apply ---- */

static void
report_merged(SimStore *store, uint64_t ref, StatusCode status, Slice object)
{
    store->events.merged(store->events.context, ref, status, object);
}

static void
report_durable(SimStore *store, uint64_t ref, StatusCode status)
{
    store->events.durable(store->events.context, ref, status);
}

void
sim_store_met_unreadable(SimStore *store, StoreKey *key)
{
    World *world = store->world;
    StoreWork *work;

    if (world->now_us < key->reported_until_us)
        return;
    key->reported_until_us = world->now_us + REPORT_AGAIN_US;
    work = sim_store_new_work(STORE_WORK_UNREADABLE, 0, key->key.length);
    memcpy(work + 1, key->key.data, key->key.length);
    work->key = slice_make(work + 1, key->key.length);
    sim_store_schedule(store, work);
}

static void
report_unreadable(SimStore *store, Slice storage_key)
{
    Reader reader = reader_begin(storage_key);
    uint32_t bucket_id = reader_u32(&reader);
    uint64_t position = reader_u64(&reader);

    trace(store->world, "n%u's store reports what it cannot read at %016llx", store->host,
          (unsigned long long)position);
    if (store->events.unreadable != NULL)
        store->events.unreadable(store->events.context, bucket_id, position, position);
}

static void
report_replaced(SimStore *store, Slice storage_key)
{
    Reader reader = reader_begin(storage_key);
    uint32_t bucket_id = reader_u32(&reader);

    if (sim_store_checked_key(store, sim_store_make_key(store, storage_key)) != CHECKER_NONE)
        store->events.replaced(store->events.context, bucket_id, reader_u64(&reader));
}

/* Nothing is on its way to the disk: what the apply found there is durable, said now or later. */
static void
settle_unchanged(SimStore *store, StoreKey *key, uint64_t ref)
{
    World *world = store->world;

    if (key->unsynced > 0)
        sim_store_log_append(store, key, false, ref);
    else if (random_percent(&world->random, 50))
        report_durable(store, ref, STATUS_OK);
    else
        host_inbox(world, store->host,
                   (InboxItem){.kind = INBOX_STORE,
                               .payload = sim_store_new_work(STORE_WORK_DURABLE, ref, 0)});
}

static void
note_reaped(SimStore *store, const StoreKey *key, const Update *update)
{
    uint32_t number = sim_store_checked_key(store, key);
    Slice before;

    if (update->reap == NULL || update->reap->whole || store->record.length > 0 ||
        number == CHECKER_NONE || !update_record_object(buffer_slice(&key->current), &before))
        return;
    trace(store->world, "n%u reaps k%u: %s", store->host, number,
          trace_object(store->world, before));
    checker_reaped(store->world->checker, number, before);
}

static void
apply_now(SimStore *store, Slice storage_key, const Update *update, uint64_t ref)
{
    StoreKey *key = sim_store_make_key(store, storage_key);
    Slice object;

    store->counted.applies++;
    if (store->storage.disk != DISK_WELL)
    {
        report_merged(store, ref, STATUS_STORAGE, SLICE_EMPTY);
        return;
    }
    arena_reset(&store->scratch);
    buffer_reset(&store->record);

    UpdateResult result = storage_update(&store->storage, key->key, buffer_slice(&key->current),
                                         update, &store->scratch, &store->record, &object);

    if (result == UPDATE_REPLACED || result == UPDATE_CORRUPT)
        sim_store_met_unreadable(store, key);
    if (result == UPDATE_REPLACED && update->merge != NULL)
        report_replaced(store, storage_key);
    if (storage_refusal(result) != STATUS_OK)
    {
        report_merged(store, ref, storage_refusal(result), SLICE_EMPTY);
        return;
    }
    if (result != UPDATE_UNCHANGED)
    {
        uint32_t number = sim_store_checked_key(store, key);

        note_reaped(store, key, update);
        hints_changed(&store->storage.hints, buffer_slice(&key->current),
                      buffer_slice(&store->record), NULL, NULL);
        sim_store_trees_change(store, key, buffer_slice(&store->record));
        sim_store_copy_record(&key->current, &store->record);
        if (result == UPDATE_REPLACED)
            sim_store_count_hints(store);
        trace(store->world, "n%u %s k%u: %s", store->host,
              update->put != NULL ? "stamps" : "merges", number,
              trace_object(store->world, object));
        sim_store_log_append(store, key, true, ref);
        if (update->put != NULL && number != CHECKER_NONE && !store->world->black_box)
            checker_stamped(store->world->checker, store->host, number, object,
                            store->world->now_us);
    }
    report_merged(store, ref, STATUS_OK, object);
    if (result == UPDATE_UNCHANGED)
        settle_unchanged(store, key, ref);
    sim_store_trees_build(store);
}

void
sim_store_schedule(SimStore *store, StoreWork *work)
{
    World *world = store->world;

    world_schedule(world, random_below(&world->random, world->mix.work_max_us + 1),
                   (Event){.kind = EVENT_STORE_WORK,
                           .target = store->host,
                           .token = world->hosts[store->host].incarnation,
                           .payload = work});
}

static void
store_apply(Storage *storage, Slice storage_key, const Update *update, uint64_t ref)
{
    SimStore *store = (SimStore *)storage;
    World *world = store->world;

    if (store->waiting == NULL && !random_percent(&world->random, world->mix.merged_later_percent))
    {
        apply_now(store, storage_key, update, ref);
        return;
    }

    WaitingApply *apply = memory_resize(&MEMORY_HEAP, NULL, sizeof(WaitingApply));

    *apply = (WaitingApply){.ref = ref};
    arena_init(&apply->arena, &MEMORY_HEAP);
    apply->key = slice_copy(&apply->arena, storage_key);
    apply->update = update_copy(&apply->arena, update);
    *store->waiting_tail = apply;
    store->waiting_tail = &apply->next;
    sim_store_schedule(store, sim_store_new_work(STORE_WORK_APPLY, ref, 0));
}

static void
free_waiting(WaitingApply *apply)
{
    arena_free(&apply->arena);
    free(apply);
}

static void
apply_first_waiting(SimStore *store)
{
    WaitingApply *apply = store->waiting;

    store->waiting = apply->next;
    if (store->waiting == NULL)
        store->waiting_tail = &store->waiting;
    apply_now(store, apply->key, apply->update, apply->ref);
    free_waiting(apply);
}

/* ---- read and scan ---- */

static void
read_now(SimStore *store, Slice storage_key, uint64_t ref)
{
    StoreKey *key = find_key(store, storage_key);
    Slice object = SLICE_EMPTY;
    StatusCode status = STATUS_OK;

    store->counted.reads++;
    if (key != NULL && !update_record_object(buffer_slice(&key->durable), &object))
    {
        status = STATUS_CORRUPT;
        sim_store_met_unreadable(store, key);
    }
    store->events.read_done(store->events.context, ref, status, object);
}

static void
store_read(Storage *storage, Slice storage_key, uint64_t ref)
{
    SimStore *store = (SimStore *)storage;
    World *world = store->world;

    if (!random_percent(&world->random, world->mix.read_later_percent))
    {
        read_now(store, storage_key, ref);
        return;
    }

    StoreWork *work = sim_store_new_work(STORE_WORK_READ, ref, storage_key.length);

    memcpy(work + 1, storage_key.data, storage_key.length);
    work->key = slice_make(work + 1, storage_key.length);
    sim_store_schedule(store, work);
}

static StorageCounters
store_counters(Storage *storage)
{
    return ((SimStore *)storage)->counted;
}

static StorageWaits
store_waits(Storage *storage)
{
    const SimStore *store = (const SimStore *)storage;
    uint64_t logged_us = store->log_count > 0 ? store->log[0].logged_us : store->world->now_us;

    return (StorageWaits){.writes_ms = (store->world->now_us - logged_us) / 1000};
}

void
sim_store_work(SimStore *store, const StoreWork *work)
{
    switch (work->kind)
    {
    case STORE_WORK_APPLY:
        apply_first_waiting(store);
        break;
    case STORE_WORK_READ:
        read_now(store, work->key, work->ref);
        break;
    case STORE_WORK_SCAN:
        sim_store_scan_now(store, &work->range, work->ref);
        break;
    case STORE_WORK_OWED:
        sim_store_owed_now(store, &work->owed, work->ref);
        break;
    case STORE_WORK_UNREADABLE:
        report_unreadable(store, work->key);
        break;
    case STORE_WORK_TREE:
        sim_store_trees_work(store);
        break;
    case STORE_WORK_DISK:
        store->events.disk_changed(store->events.context);
        break;
    case STORE_WORK_DURABLE:
        report_durable(store, work->ref, STATUS_OK);
        break;
    case STORE_WORK_SYNCED:
        for (uint32_t i = 0; i < work->ref_count; i++)
            report_durable(store, work->refs[i], work->status);
        break;
    }
}

/* ---- life ---- */

static void
store_set_round(Storage *storage, const Round *round, uint64_t ref)
{
    SimStore *store = (SimStore *)storage;
    StoreKey *row;
    Buffer key;
    Buffer value;

    if (storage->disk != DISK_WELL)
    {
        report_durable(store, ref, STATUS_STORAGE);
        return;
    }
    buffer_init(&key, &MEMORY_HEAP);
    buffer_init(&value, &MEMORY_HEAP);
    rounds_row(round, &key, &value);
    row = sim_store_make_key(store, buffer_slice(&key));
    sim_store_copy_record(&row->current, &value);
    buffer_free(&key);
    buffer_free(&value);
    sim_store_log_append(store, row, true, ref);
}

static bool
store_settle(Storage *storage, const RunId *lost, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        lineage_settle(&((SimStore *)storage)->lineage, &lost[i]);
    return true;
}

SimStore *
sim_store_new(World *world, uint32_t host)
{
    SimStore *store = memory_resize(&MEMORY_HEAP, NULL, sizeof(SimStore));

    *store = (SimStore){.world = world, .host = host};
    store->storage = (Storage){.apply = store_apply,
                               .read = store_read,
                               .scan = sim_store_scan,
                               .owed = sim_store_owed,
                               .counters = store_counters,
                               .set_partitions = sim_store_trees_set_partitions,
                               .set_round = store_set_round,
                               .settle = store_settle,
                               .run = &store->run,
                               .recall = recall_new(RECALL_BUCKETS),
                               .lineage = &store->lineage,
                               .waits = store_waits};
    store->waiting_tail = &store->waiting;
    arena_init(&store->scratch, &MEMORY_HEAP);
    buffer_init(&store->record, &MEMORY_HEAP);
    return store;
}

void
sim_store_count_hints(SimStore *store)
{
    hints_free(&store->storage.hints);
    for (uint32_t i = 0; i < store->key_count; i++)
        hints_changed(&store->storage.hints, SLICE_EMPTY, buffer_slice(&store->keys[i]->current),
                      NULL, NULL);
}

void
sim_store_crash(SimStore *store)
{
    uint64_t reached = store->stuck ? 0 : random_below(&store->world->random, store->log_count + 1);

    sim_store_trees_check_memory(store);
    sim_store_log_drop(store, sim_store_log_whole(store, (uint32_t)reached), true);
    sim_store_trees_stop(store);
    sim_store_log_drop(store, store->log_count, false);
    while (store->waiting != NULL)
    {
        WaitingApply *next = store->waiting->next;

        free_waiting(store->waiting);
        store->waiting = next;
    }
    store->waiting_tail = &store->waiting;
    store->syncing = 0;
    store->fail_next = false;
    for (uint32_t i = 0; i < store->key_count; i++)
    {
        sim_store_copy_record(&store->keys[i]->current, &store->keys[i]->durable);
        store->keys[i]->reported_until_us = 0;
    }
    sim_store_count_hints(store);
}

Storage *
sim_store_boot(SimStore *store, const StorageEvents *events)
{
    RunId run;

    random_fill(&store->world->random, run.bytes, sizeof(run.bytes));
    lineage_begin(&store->lineage, &run, store->storage.commits);
    store->events = *events;
    rounds_free(&store->storage.rounds);
    for (uint32_t i = 0; i < store->key_count; i++)
        rounds_load(&store->storage.rounds, store->keys[i]->key,
                    buffer_slice(&store->keys[i]->durable));
    store->storage.disk = store->full ? DISK_FULL : DISK_WELL;
    store->run.epoch = 0;
    recall_free(store->storage.recall);
    store->storage.recall = recall_new(RECALL_BUCKETS);
    random_fill(&store->world->random, store->run.actor.id, sizeof(store->run.actor.id));
    sim_store_trees_boot(store);
    return &store->storage;
}

void
sim_store_free(SimStore *store)
{
    sim_store_crash(store);
    for (uint32_t i = 0; i < store->key_count; i++)
    {
        buffer_free(&store->keys[i]->current);
        buffer_free(&store->keys[i]->durable);
        free(store->keys[i]);
    }
    recall_free(store->storage.recall);
    sim_store_trees_forget(store);
    free(store->trees.rows);
    free(store->keys);
    free(store->log);
    hints_free(&store->storage.hints);
    rounds_free(&store->storage.rounds);
    buffer_free(&store->record);
    arena_free(&store->scratch);
    free(store);
}

void
sim_store_set_slow(SimStore *store, bool slow)
{
    store->slow = slow;
}

void
sim_store_set_stuck(SimStore *store)
{
    store->stuck = true;
}

bool
sim_store_is_settled(const SimStore *store)
{
    return store->log_count == 0 && store->waiting == NULL;
}

void
sim_store_fail_next_sync(SimStore *store)
{
    store->fail_next = true;
}

void
sim_store_set_full(SimStore *store, bool full)
{
    if (store->full == full)
        return;
    store->full = full;
    if (store->storage.disk == DISK_FAILED)
        return;
    store->storage.disk = full ? DISK_FULL : DISK_WELL;
    trace(store->world, "n%u's disk %s", store->host, full ? "is full" : "has room again");
    host_inbox(
        store->world, store->host,
        (InboxItem){.kind = INBOX_STORE, .payload = sim_store_new_work(STORE_WORK_DISK, 0, 0)});
    if (!full && store->storage.trees != NULL)
        sim_store_trees_build(store);
}

void
sim_store_calm(SimStore *store)
{
    sim_store_set_full(store, false);
    store->slow = false;
    store->stuck = false;
    store->fail_next = false;
}
