/* The disk: what was applied waits in the log until a sync makes it durable, or a crash ends it. */
#include <stdlib.h>
#include <string.h>

#include "test/sim/sim_store_private.h"
#include "test/sim/trace.h"
#include "test/sim/world.h"

void
sim_store_copy_record(Buffer *target, const Buffer *source)
{
    buffer_reset(target);
    buffer_put(target, source->data, source->length);
}

/* The number that the checker gave to a storage key, or CHECKER_NONE. */
uint32_t
sim_store_checked_key(const SimStore *store, const StoreKey *key)
{
    Reader reader = reader_begin(key->key);
    uint32_t bucket_id = reader_u32(&reader);

    (void)reader_u64(&reader);
    return checker_find_key(store->world->checker, bucket_id,
                            reader_take(&reader, reader_left(&reader)));
}

static void
begin_sync(SimStore *store)
{
    World *world = store->world;
    const Mix *mix = &world->mix;
    uint64_t length = random_between(&world->random, mix->sync_min_us, mix->sync_max_us);

    if (store->syncing > 0 || store->log_count == 0 || store->stuck)
        return;
    sim_store_trees_close(store);
    store->syncing = store->log_count;
    if (store->slow)
        length = length * 40 + 20000;
    world_schedule(world, length,
                   (Event){.kind = EVENT_STORE_SYNC,
                           .target = store->host,
                           .token = world->hosts[store->host].incarnation});
}

void
sim_store_log_append(SimStore *store, StoreKey *key, bool changed, uint64_t ref)
{
    if (store->log_count == store->log_capacity)
    {
        store->log_capacity = store->log_capacity ? store->log_capacity * 2 : 32;
        store->log =
            memory_resize(&MEMORY_HEAP, store->log, store->log_capacity * sizeof(LogEntry));
    }

    LogEntry *entry = &store->log[store->log_count++];

    *entry = (LogEntry){.key = key, .ref = ref, .logged_us = store->world->now_us};
    buffer_init(&entry->record, &MEMORY_HEAP);
    entry->changed = changed;
    buffer_init(&entry->tree_rows, &MEMORY_HEAP);
    if (key != NULL)
    {
        if (changed)
            sim_store_copy_record(&entry->record, &key->current);
        key->unsynced++;
    }
    sim_store_trees_maybe_close(store);
    begin_sync(store);
}

static void
make_durable(SimStore *store, LogEntry *entry)
{
    uint32_t number;
    Slice object;

    if (!entry->changed || entry->key == NULL)
        return;
    number = sim_store_checked_key(store, entry->key);
    store->storage.commits++;
    sim_store_copy_record(&entry->key->durable, &entry->record);
    if (number != CHECKER_NONE && !store->world->black_box &&
        update_record_object(buffer_slice(&entry->record), &object) && object.length > 0)
        checker_durable(store->world->checker, store->host, number, object, store->world->now_us);
}

/* Takes the first count entries off the log; durable: they are on the disk. */
void
sim_store_log_drop(SimStore *store, uint32_t count, bool durable)
{
    if (!durable && count > 0)
        recall_clear(store->storage.recall);
    for (uint32_t i = 0; i < count; i++)
    {
        LogEntry *entry = &store->log[i];

        if (durable)
            make_durable(store, entry);
        if (entry->key != NULL)
            entry->key->unsynced--;
        buffer_free(&entry->record);
        sim_store_trees_end_batch(store, entry, durable);
    }
    store->log_count -= count;
    if (store->log_count > 0 && count > 0)
        memmove(store->log, store->log + count, store->log_count * sizeof(LogEntry));
}

uint32_t
sim_store_log_whole(const SimStore *store, uint32_t count)
{
    while (count > 0 && !store->log[count - 1].ends_batch)
        count--;
    return count;
}

StoreWork *
sim_store_new_work(StoreWorkKind kind, uint64_t ref, size_t extra)
{
    StoreWork *work = memory_resize(&MEMORY_HEAP, NULL, sizeof(StoreWork) + extra);

    *work = (StoreWork){.kind = kind, .ref = ref};
    return work;
}

void
sim_store_sync_ends(SimStore *store)
{
    uint32_t count = store->syncing;
    bool failed = store->fail_next;

    if (failed)
    {
        sim_store_trees_close(store);
        count = store->log_count;
    }

    StoreWork *work = sim_store_new_work(STORE_WORK_SYNCED, 0, count * sizeof(uint64_t));

    store->counted.syncs++;
    work->status = failed ? STATUS_STORAGE : STATUS_OK;
    for (uint32_t i = 0; i < count; i++)
    {
        if (store->log[i].key != NULL)
            work->refs[work->ref_count++] = store->log[i].ref;
    }
    store->syncing = 0;
    store->fail_next = false;
    if (failed)
    {
        /* Some of it may be on the disk all the same. */
        store->storage.disk = DISK_FAILED;
        uint32_t reached = (uint32_t)random_below(&store->world->random, count + 1);

        sim_store_log_drop(store, sim_store_log_whole(store, reached), true);
        sim_store_log_drop(store, store->log_count, false);
        trace(store->world, "n%u's disk fails a sync: %u writes are not durable", store->host,
              count);
    }
    else
    {
        trace(store->world, "n%u's disk has %u more", store->host, count);
        sim_store_log_drop(store, count, true);
    }
    host_inbox(store->world, store->host, (InboxItem){.kind = INBOX_STORE, .payload = work});
    begin_sync(store);
}
