/*
 * Applies updates on the loop: finds the newest record of the key, runs the update on it, puts the
 * result into the batch of this turn.
 *
 * Happy path: the record is pending, in the record cache or in RocksDB's memory; the update runs at
 * once, merged is called during the call, and durable when the writer hands the batch back. A cold
 * record is fetched by the pool first, and further applies of its key queue behind the fetch (R2),
 * so that updates of one key run in the order in which they came.
 *
 * Failure modes: a record that cannot be read refuses updates of this node (STATUS_CORRUPT), and
 * gives way to an object that another owner has. Once the disk fails everything is STATUS_STORAGE,
 * what waits included.
 */
#include "node/rocks/rocks_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum
{
    SCRATCH_KEPT_BYTES = 4 * 1024 * 1024, /* of memory, from one apply to the next */
    SPARES_MAX = 64                       /* batches kept for the next turns */
};

/* An apply that came while its key was being fetched. */
typedef struct RocksWaiting
{
    struct RocksWaiting *next;
    Update *update;
    uint64_t ref;
} RocksWaiting;

/* A cold record on its way, and the applies that wait for it in their order. */
typedef struct RocksFetch
{
    RocksNode node;
    RocksJob job;
    Rocks *rocks;
    Arena arena; /* the key and the copies of the updates */
    RocksWaiting *first;
    RocksWaiting *last;
    RocksValue value;
} RocksFetch;

/* One apply that has its record. */
typedef struct RocksCall
{
    uint64_t hash;
    Slice key;
    const Update *update;
    uint64_t ref;
    bool damaged; /* what is stored of the key cannot be read, and the update takes its place */
} RocksCall;

static RocksItem *
find_pending(const Rocks *rocks, uint64_t hash, Slice key)
{
    RocksNode *node = rocks_table_find(&rocks->pending, hash, key);

    return node != NULL ? (RocksItem *)((char *)node - offsetof(RocksItem, node)) : NULL;
}

bool
rocks_is_pending(const Rocks *rocks, uint64_t hash, Slice key)
{
    return find_pending(rocks, hash, key) != NULL;
}

/* A key with a pending record stays hidden (R4), and a store that takes no writes is believed no
 * more. */
void
rocks_keep(Rocks *rocks, uint64_t hash, Slice key, const RocksRecord *record, bool asked_for)
{
    if (rocks->storage.disk == DISK_WELL && !rocks_is_pending(rocks, hash, key))
        rocks_cache_enter(&rocks->cache, hash, key, record, asked_for);
}

/* ---- batches ---- */

/* Batches are used again: their arenas and trees keep the memory that a turn of this load needs. */
RocksBatch *
rocks_filling_batch(Rocks *rocks)
{
    RocksBatch *batch = rocks->filling;

    if (batch != NULL)
        return batch;
    batch = rocks->spare;
    if (batch != NULL)
    {
        rocks->spare = batch->next;
        rocks->spare_count--;
    }
    else
    {
        batch = memory_resize(&MEMORY_HEAP, NULL, sizeof(RocksBatch));
        *batch = (RocksBatch){0};
        arena_init(&batch->arena, &MEMORY_HEAP);
    }
    batch->next = NULL;
    rocks->filling = batch;
    return batch;
}

static void
release_batch(Rocks *rocks, RocksBatch *batch)
{
    if (rocks->spare_count == SPARES_MAX)
    {
        rocks_batch_free(batch);
        return;
    }
    arena_reset(&batch->arena);
    batch->first = batch->last = NULL;
    batch->first_row = batch->last_row = NULL;
    batch->bytes = batch->ref_count = 0;
    batch->synced = batch->leads = false;
    batch->next = rocks->spare;
    rocks->spare = batch;
    rocks->spare_count++;
}

void
rocks_batch_free(RocksBatch *batch)
{
    arena_free(&batch->arena);
    trees_batch_free(&batch->trees);
    memory_resize(&MEMORY_HEAP, batch->refs, 0);
    memory_resize(&MEMORY_HEAP, batch, 0);
}

static void
batch_await(RocksBatch *batch, uint64_t ref)
{
    if (batch->ref_count == batch->ref_capacity)
    {
        batch->ref_capacity = batch->ref_capacity > 0 ? batch->ref_capacity * 2 : 16;
        batch->refs =
            memory_resize(&MEMORY_HEAP, batch->refs, batch->ref_capacity * sizeof(uint64_t));
    }
    batch->refs[batch->ref_count++] = ref;
}

static void
batch_append(RocksBatch *batch, RocksItem *item)
{
    if (batch->last != NULL)
        batch->last->after = item;
    else
        batch->first = item;
    batch->last = item;
    batch->bytes += item->node.key.length;
}

RocksRow *
rocks_batch_put_row(RocksBatch *batch, Slice key, Slice value)
{
    RocksRow *row = ARENA_NEW(&batch->arena, RocksRow);

    *row = (RocksRow){.key = slice_copy(&batch->arena, key),
                      .value = slice_copy(&batch->arena, value)};
    if (batch->last_row != NULL)
        batch->last_row->after = row;
    else
        batch->first_row = row;
    batch->last_row = row;
    batch->bytes += key.length + value.length;
    return row;
}

/* Makes record the newest of its key. A key that is updated twice in a turn is written once.
 * Returns the copy that lives as long as the batch. */
static Slice
batch_put(Rocks *rocks, const RocksCall *call, RocksItem *pending, Slice record)
{
    RocksBatch *batch = rocks_filling_batch(rocks);
    Slice copy = slice_copy(&batch->arena, record);
    RocksItem *item;

    ++*rocks_changes(rocks, call->hash);
    batch->bytes += record.length;
    if (pending != NULL && pending->batch == batch)
    {
        pending->record = copy;
        return copy;
    }
    item = ARENA_NEW(&batch->arena, RocksItem);
    *item = (RocksItem){
        .node = {.hash = call->hash, .key = slice_copy(&batch->arena, call->key)},
        .batch = batch,
        .record = copy,
    };
    batch_append(batch, item);
    if (pending != NULL)
        rocks_table_replace(&rocks->pending, &pending->node, &item->node);
    else
    {
        rocks_table_insert(&rocks->pending, &item->node);
        rocks_cache_hide(&rocks->cache, call->hash, call->key);
    }
    return copy;
}

typedef struct RocksIndexChange
{
    RocksBatch *batch;
    Slice key; /* whose record changes */
} RocksIndexChange;

/* The row of the hints' index, in the batch of the record that has the hint. */
static void
batch_put_index(void *context, const Hint *hint, bool dropped)
{
    const RocksIndexChange *change = context;
    Buffer key;
    Buffer value;

    buffer_init(&key, &MEMORY_HEAP);
    buffer_init(&value, &MEMORY_HEAP);
    hints_index_key(&key, &hint->target, change->key);
    if (!dropped)
        hints_index_value(&value, hint);
    rocks_batch_put_row(change->batch, buffer_slice(&key), buffer_slice(&value));
    buffer_free(&key);
    buffer_free(&value);
}

void
rocks_set_round(Storage *storage, const Round *round, uint64_t ref)
{
    Rocks *rocks = rocks_of(storage);
    RocksBatch *batch;
    Buffer key;
    Buffer value;

    if (storage->disk != DISK_WELL || rocks->closing)
    {
        rocks->events.durable(rocks->events.context, ref, STATUS_STORAGE);
        return;
    }
    buffer_init(&key, &MEMORY_HEAP);
    buffer_init(&value, &MEMORY_HEAP);
    rounds_row(round, &key, &value);
    batch = rocks_filling_batch(rocks);
    rocks_batch_put_row(batch, buffer_slice(&key), buffer_slice(&value));
    rocks->owed++;
    batch_await(batch, ref);
    buffer_free(&key);
    buffer_free(&value);
}

/* Trees close before the batch is handed over, since their rows belong to the batch of the records
 * that they count (T1, node/engine/store/trees.h). */
void
rocks_turn_end(Rocks *rocks)
{
    RocksBatch *batch;

    rocks_trees_end_job(rocks);
    batch = rocks->filling;
    if (batch == NULL)
        return;
    rocks_trees_close(rocks, batch);
    rocks->filling = NULL;
    batch->handed_ms = uv_now(rocks->loop);
    STAILQ_INSERT_TAIL(&rocks->handed, batch, newer);
    rocks_writer_submit(rocks, batch);
}

/* The item leaves the pending table unless a newer one has replaced it, and its record, durable
 * now, may be cached. */
static void
unpend_item(Rocks *rocks, RocksItem *item, bool synced)
{
    RocksRecord record = {.record = item->record};

    if (!rocks_table_remove(&rocks->pending, &item->node))
        return; /* a newer one waits for its own batch */
    if (synced && record.record.length > 0 && update_record_object(record.record, &record.object))
        rocks_keep(rocks, item->node.hash, item->node.key, &record, false);
}

/* State first, events last: whoever hears of a durable apply finds the store as it is then. */
void
rocks_batch_done(Rocks *rocks, RocksBatch *batch)
{
    StatusCode status = batch->synced ? STATUS_OK : STATUS_STORAGE;

    assert(STAILQ_FIRST(&rocks->handed) == batch);
    STAILQ_REMOVE_HEAD(&rocks->handed, newer);
    rocks->counters.syncs += batch->synced && batch->leads;
    if (batch->synced)
        rocks->storage.commits = batch->commits;
    else
        recall_clear(rocks->storage.recall);
    for (RocksItem *item = batch->first; item != NULL; item = item->after)
        unpend_item(rocks, item, batch->synced);
    trees_settle(rocks->storage.trees, &batch->trees);
    for (size_t i = 0; i < batch->ref_count; i++)
    {
        rocks->owed--;
        rocks->events.durable(rocks->events.context, batch->refs[i], status);
    }
    release_batch(rocks, batch);
}

/* ---- applying ---- */

static void
refuse_apply(Rocks *rocks, uint64_t ref, StatusCode status)
{
    rocks->counters.corrupt += status == STATUS_CORRUPT;
    rocks->events.merged(rocks->events.context, ref, status, SLICE_EMPTY);
}

/* An object of another owner replaces a record that cannot be read, and a proof that the record was
 * reaped removes it. Where the disk only failed to read, it may yet give the record, so nothing
 * takes its place. */
static bool
may_replace_unreadable(const RocksCall *call, const RocksValue *value)
{
    const Update *update = call->update;

    return (update->merge != NULL || (update->reap != NULL && update->reap->dead)) &&
           (value->error == NULL || rocks_error_is_damage(value->error));
}

/* The hints that stood in an unreadable record are lost. The index tells which there were, and must
 * not name them any more. */
static void
forget_hints(Rocks *rocks, const RocksCall *call)
{
    HintTotals *totals = &rocks->storage.hints;
    RocksIndexChange change = {.batch = rocks_filling_batch(rocks), .key = call->key};
    Slice storage_key;
    Buffer row;
    Hint hint;

    buffer_init(&row, &MEMORY_HEAP);
    for (uint32_t i = totals->target_count; i-- > 0;)
    {
        RocksValue value;

        buffer_reset(&row);
        hints_index_key(&row, &totals->targets[i].target, call->key);
        value = rocks_get(rocks, rocks->full_reads, buffer_slice(&row));
        if (value.found == ROCKS_FOUND &&
            hints_index_split(buffer_slice(&row), value.record, &hint, &storage_key))
        {
            hints_drop(totals, &hint);
            batch_put_index(&change, &hint, true);
        }
        rocks_value_release(&value);
    }
    buffer_free(&row);
}

/* The object that replaced an unreadable record may be older than the record was. So reads of that
 * position are withheld until the other owners were compared with, unless the record was removed.
 */
static void
tell_replaced(const Rocks *rocks, const RocksCall *call)
{
    Reader reader = reader_begin(call->key);
    uint32_t bucket_id = reader_u32(&reader);
    uint64_t position = reader_u64(&reader);

    if (call->update->merge != NULL && rocks->events.replaced != NULL && !reader.failed &&
        storage_bucket_is_for_records(bucket_id))
        rocks->events.replaced(rocks->events.context, bucket_id, position);
}

/* Merged is told before durable. */
static void
apply_to(Rocks *rocks, const RocksCall *call, RocksItem *pending, Slice record)
{
    const StorageEvents *events = &rocks->events;
    Slice object;
    UpdateResult result;

    arena_reset(&rocks->arena);
    buffer_trim(&rocks->scratch, SCRATCH_KEPT_BYTES);
    recall_time(rocks->storage.recall, uv_hrtime() / 1000000);
    result = storage_update(&rocks->storage, call->key, record, call->update, &rocks->arena,
                            &rocks->scratch, &object);
    switch (result)
    {
    case UPDATE_REPLACED:
    case UPDATE_CHANGED:
    {
        bool damaged = call->damaged || result == UPDATE_REPLACED;
        size_t offset = object.length > 0 ? (size_t)(object.data - rocks->scratch.data) : 0;
        Slice copy = batch_put(rocks, call, pending, buffer_slice(&rocks->scratch));
        RocksIndexChange change = {.batch = rocks->filling, .key = call->key};

        if (damaged)
        {
            forget_hints(rocks, call);
            tell_replaced(rocks, call);
            record = SLICE_EMPTY;
        }
        hints_changed(&rocks->storage.hints, record, copy, batch_put_index, &change);
        if (damaged)
            storage_doubt_trees(&rocks->storage, &change.batch->trees, call->key, copy);
        else
            storage_change_trees(&rocks->storage, &change.batch->trees, call->key, record, copy);
        rocks->owed++;
        batch_await(rocks->filling, call->ref);
        events->merged(events->context, call->ref, STATUS_OK,
                       slice_make(copy.data + offset, object.length));
        return;
    }
    case UPDATE_UNCHANGED:
        if (pending != NULL)
        {
            rocks->owed++;
            batch_await(pending->batch, call->ref);
        }
        update_record_object(record, &object);
        events->merged(events->context, call->ref, STATUS_OK, object);
        if (pending == NULL)
            events->durable(events->context, call->ref, STATUS_OK);
        return;
    case UPDATE_CORRUPT:
    case UPDATE_LATE:
    case UPDATE_CROWDED:
        break;
    }
    if (result == UPDATE_CORRUPT)
        rocks_damage_met(rocks, call->key, NULL);
    refuse_apply(rocks, call->ref, storage_refusal(result));
}

static void
apply_to_value(Rocks *rocks, RocksCall *call, const RocksValue *value)
{
    static const uint8_t unreadable =
        0; /* a record that nobody can decode, and none that is absent */

    call->damaged = value->found == ROCKS_UNREADABLE;
    if (call->damaged)
        rocks_damage_met(rocks, call->key, value->error);
    if (call->damaged && !may_replace_unreadable(call, value))
        refuse_apply(rocks, call->ref, STATUS_CORRUPT);
    else if (call->damaged && call->update->reap != NULL && value->record.length == 0)
        apply_to(rocks, call, NULL, slice_make(&unreadable, sizeof(unreadable)));
    else
        apply_to(rocks, call, NULL, value->record);
}

static RocksFetch *
find_fetch(const Rocks *rocks, uint64_t hash, Slice key)
{
    RocksNode *node = rocks_table_find(&rocks->fetches, hash, key);

    return node != NULL ? (RocksFetch *)((char *)node - offsetof(RocksFetch, node)) : NULL;
}

/* ---- cold records ---- */

static void
fetch_await(RocksFetch *fetch, const RocksCall *call)
{
    RocksWaiting *waiting = ARENA_NEW(&fetch->arena, RocksWaiting);

    fetch->rocks->owed++;
    waiting->update = update_copy(&fetch->arena, call->update);
    waiting->ref = call->ref;
    if (fetch->first != NULL)
        fetch->last->next = waiting;
    else
        fetch->first = waiting;
    fetch->last = waiting;
}

static void
fetch_on_pool(uv_work_t *work)
{
    RocksFetch *fetch = work->data;

    fetch->value = rocks_get(fetch->rocks, fetch->rocks->full_reads, fetch->node.key);
}

static void
fetch_apply(RocksFetch *fetch, const RocksWaiting *waiting)
{
    Rocks *rocks = fetch->rocks;
    RocksCall call = {fetch->node.hash, fetch->node.key, waiting->update, waiting->ref, false};
    RocksItem *pending = find_pending(rocks, call.hash, call.key);

    rocks->owed--;
    if (rocks->storage.disk != DISK_WELL)
        refuse_apply(rocks, call.ref, STATUS_STORAGE);
    else if (pending != NULL)
        apply_to(rocks, &call, pending, pending->record);
    else
        apply_to_value(rocks, &call, &fetch->value);
}

static void
fetch_done(uv_work_t *work, int status)
{
    RocksFetch *fetch = work->data;
    Rocks *rocks = fetch->rocks;

    rocks_table_remove(&rocks->fetches, &fetch->node);
    for (const RocksWaiting *waiting = fetch->first; waiting != NULL; waiting = waiting->next)
        fetch_apply(fetch, waiting);
    rocks_value_release(&fetch->value);
    arena_free(&fetch->arena);
    memory_resize(&MEMORY_HEAP, fetch, 0);
}

static void
fetch_begin(Rocks *rocks, const RocksCall *call)
{
    RocksFetch *fetch = memory_resize(&MEMORY_HEAP, NULL, sizeof(RocksFetch));

    *fetch = (RocksFetch){.rocks = rocks};
    arena_init(&fetch->arena, &MEMORY_HEAP);
    fetch->node.hash = call->hash;
    fetch->node.key = slice_copy(&fetch->arena, call->key);
    fetch->job.work.data = fetch;
    fetch->job.run = fetch_on_pool;
    fetch->job.done = fetch_done;
    fetch_await(fetch, call);
    rocks_table_insert(&rocks->fetches, &fetch->node);
    rocks->counters.cold_reads++;
    rocks_pool_begin(rocks, &fetch->job, ROCKS_LANE_READS);
}

/* Caches the record that an update has found and not changed. After an update that changed it the
 * key is pending and must not be cached. */
static void
keep_unchanged(Rocks *rocks, const RocksCall *call, Slice record)
{
    RocksRecord checked;

    arena_reset(&rocks->arena);
    if (record.length > 0 && !rocks_is_pending(rocks, call->hash, call->key) &&
        rocks_record_check(&rocks->arena, record, &checked))
        rocks_keep(rocks, call->hash, call->key, &checked, false);
}

static bool
apply_to_cached(Rocks *rocks, const RocksCall *call)
{
    RocksRecord cached;

    if (!rocks_cache_find(&rocks->cache, call->hash, call->key, &cached))
        return false;
    rocks->counters.cache_hits++;
    apply_to(rocks, call, NULL, cached.record);
    return true;
}

static void
apply_to_stored(Rocks *rocks, RocksCall *call)
{
    RocksValue value = rocks_get(rocks, rocks->cached_reads, call->key);

    if (value.found == ROCKS_COLD)
        fetch_begin(rocks, call);
    else
    {
        apply_to_value(rocks, call, &value);
        keep_unchanged(rocks, call, value.record);
    }
    rocks_value_release(&value);
}

/* The order is that of R1 and R2: a fetch under way holds the queue of its key, a pending record is
 * newer than any cached one, and the cache is newer than what RocksDB may still be asked for. */
void
rocks_apply(Storage *storage, Slice key, const Update *update, uint64_t ref)
{
    Rocks *rocks = rocks_of(storage);
    RocksCall call = {hash_table(key), key, update, ref, false};
    StatusCode status = storage->disk != DISK_WELL ? STATUS_STORAGE : rocks_admits(rocks);

    rocks->counters.applies++;
    if (status != STATUS_OK)
    {
        refuse_apply(rocks, ref, status);
        return;
    }

    RocksItem *pending = find_pending(rocks, call.hash, key);
    RocksFetch *fetch = find_fetch(rocks, call.hash, key);

    if (fetch != NULL)
        fetch_await(fetch, &call);
    else if (pending != NULL)
        apply_to(rocks, &call, pending, pending->record);
    else if (!apply_to_cached(rocks, &call))
        apply_to_stored(rocks, &call);
}
