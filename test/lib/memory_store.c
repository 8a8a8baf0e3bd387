/* A storage in a sorted array: simple enough to be right, and able to hold back, to fail and to be
 * damaged. */
#include "test/lib/memory_store.h"

#include <string.h>

enum
{
    UNREADABLE = 0xff, /* a record that begins with it is of no format */
    RECALL_BUCKETS = 64
};

typedef struct MemoryStoreEntry
{
    Buffer key; /* storage key */
    Buffer current;
    Buffer durable;
} MemoryStoreEntry;

struct MemoryStore
{
    Storage storage; /* first: the interface is cast back to the store */
    StorageEvents events;
    Run run;
    Arena scratch;
    MemoryStoreEntry *entries; /* sorted by key */
    uint32_t entry_count;
    uint64_t *waiting; /* refs of applies that are not durable yet */
    uint32_t waiting_count;
    bool held;
    StorageCounters counted;
    Lineage lineage;
    uint8_t opened; /* times; the runs' identifiers */
    StorageWaits waits;
    TreeBatch touched; /* by the applies that are not durable yet */
};

static void
assign(Buffer *buffer, Slice bytes)
{
    buffer_reset(buffer);
    buffer_put(buffer, bytes.data, bytes.length);
}

/* The index of the first entry whose key is not before key. */
static uint32_t
find_index(const MemoryStore *store, Slice key)
{
    uint32_t low = 0;
    uint32_t high = store->entry_count;

    while (low < high)
    {
        uint32_t middle = low + (high - low) / 2;

        if (slice_compare(buffer_slice(&store->entries[middle].key), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static MemoryStoreEntry *
find_entry(const MemoryStore *store, Slice key)
{
    uint32_t index = find_index(store, key);

    return index < store->entry_count && slice_equal(buffer_slice(&store->entries[index].key), key)
               ? &store->entries[index]
               : NULL;
}

static MemoryStoreEntry *
make_entry(MemoryStore *store, Slice key)
{
    MemoryStoreEntry *found = find_entry(store, key);
    uint32_t index = find_index(store, key);

    if (found != NULL)
        return found;
    store->entries = memory_resize(&MEMORY_HEAP, store->entries,
                                   (store->entry_count + 1) * sizeof(MemoryStoreEntry));
    memmove(&store->entries[index + 1], &store->entries[index],
            (store->entry_count - index) * sizeof(MemoryStoreEntry));
    store->entry_count++;
    found = &store->entries[index];
    buffer_init(&found->key, &MEMORY_HEAP);
    buffer_init(&found->current, &MEMORY_HEAP);
    buffer_init(&found->durable, &MEMORY_HEAP);
    assign(&found->key, key);
    return found;
}

/* The ref is told when all there is by now is durable. */
static void
await(MemoryStore *store, uint64_t ref)
{
    store->waiting =
        memory_resize(&MEMORY_HEAP, store->waiting, (store->waiting_count + 1) * sizeof(uint64_t));
    store->waiting[store->waiting_count++] = ref;
}

static bool
is_unreadable(const MemoryStoreEntry *entry)
{
    return entry->durable.length > 0 && entry->durable.data[0] == UNREADABLE;
}

static void
report_unreadable(const MemoryStore *store, const MemoryStoreEntry *entry)
{
    const StorageEvents *events = &store->events;
    Reader reader = reader_begin(buffer_slice(&entry->key));
    uint32_t bucket_id = reader_u32(&reader);
    uint64_t position = reader_u64(&reader);

    if (events->unreadable != NULL)
        events->unreadable(events->context, bucket_id, position, position);
}

static void
store_apply(Storage *storage, Slice storage_key, const Update *update, uint64_t ref)
{
    MemoryStore *store = (MemoryStore *)storage;
    const StorageEvents *events = &store->events;
    MemoryStoreEntry *entry = make_entry(store, storage_key);
    Buffer record;
    Slice object;

    store->counted.applies++;
    if (storage->disk != DISK_WELL)
    {
        events->merged(events->context, ref, STATUS_STORAGE, SLICE_EMPTY);
        return;
    }
    arena_reset(&store->scratch);
    buffer_init(&record, &MEMORY_HEAP);

    UpdateResult result = storage_update(storage, storage_key, buffer_slice(&entry->current),
                                         update, &store->scratch, &record, &object);

    if (storage_refusal(result) != STATUS_OK)
    {
        events->merged(events->context, ref, storage_refusal(result), SLICE_EMPTY);
        if (result == UPDATE_CORRUPT)
            report_unreadable(store, entry);
    }
    else
    {
        hints_changed(&storage->hints, buffer_slice(&entry->current), buffer_slice(&record), NULL,
                      NULL);
        if (result == UPDATE_REPLACED)
            storage_doubt_trees(storage, &store->touched, storage_key, buffer_slice(&record));
        else
            storage_change_trees(storage, &store->touched, storage_key,
                                 buffer_slice(&entry->current), buffer_slice(&record));
        assign(&entry->current, buffer_slice(&record));
        await(store, ref);
        events->merged(events->context, ref, STATUS_OK, object);
        if (!store->held)
            memory_store_sync(store);
    }
    buffer_free(&record);
}

static void
store_read(Storage *storage, Slice storage_key, uint64_t ref)
{
    MemoryStore *store = (MemoryStore *)storage;
    const MemoryStoreEntry *entry = find_entry(store, storage_key);
    Slice object = SLICE_EMPTY;
    StatusCode status = STATUS_OK;

    store->counted.reads++;
    if (entry != NULL && !update_record_object(buffer_slice(&entry->durable), &object))
        status = STATUS_CORRUPT;
    store->events.read_done(store->events.context, ref, status, object);
    if (status == STATUS_CORRUPT)
        report_unreadable(store, entry);
}

/* True when what was asked for has the entry; *row is filled then. */
typedef bool (*EntryMatch)(const MemoryStoreEntry *entry, const void *asked, StorageRow *row);

static bool
row_of_entry(const MemoryStoreEntry *entry, Slice *cursor, StorageRow *row)
{
    Reader reader = reader_begin(buffer_slice(&entry->key));

    row->bucket_id = reader_u32(&reader);
    *cursor = reader_take(&reader, reader_left(&reader));
    return entry->durable.length > 0 && storage_cursor_split(*cursor, &row->position, &row->key) &&
           update_record_object(buffer_slice(&entry->durable), &row->object);
}

static bool
row_in_range(const MemoryStoreEntry *entry, const void *asked, StorageRow *row)
{
    const StorageRange *range = asked;
    bool readable;
    Slice cursor;

    row->object = SLICE_EMPTY;
    readable = row_of_entry(entry, &cursor, row);
    if (range->unreadable)
        row->object = buffer_slice(&entry->durable);
    /* One that cannot be read is found, and ends the scan. */
    return (range->unreadable ? is_unreadable(entry) : readable || is_unreadable(entry)) &&
           row->bucket_id == range->bucket_id && row->position >= range->first_position &&
           row->position <= range->last_position &&
           (range->after.length == 0 || slice_compare(cursor, range->after) > 0) &&
           (range->through.length == 0 || slice_compare(cursor, range->through) <= 0);
}

static bool
row_is_owed(const MemoryStoreEntry *entry, const void *asked, StorageRow *row)
{
    const StorageOwed *owed = asked;
    Slice cursor;

    return row_of_entry(entry, &cursor, row) &&
           hints_record_owes(buffer_slice(&entry->durable), &owed->target) &&
           (owed->after.length == 0 || slice_compare(buffer_slice(&entry->key), owed->after) > 0);
}

/* The page, in scratch; *next is the row that follows when it is not done. */
static StoragePage
fill_page(MemoryStore *store, EntryMatch match, const void *asked, uint32_t max_bytes,
          StorageRow *next, const MemoryStoreEntry **unreadable)
{
    StoragePage page = {.done = true};
    size_t bytes = 0;

    *unreadable = NULL;
    arena_reset(&store->scratch);
    page.rows = ARENA_ARRAY(&store->scratch, StorageRow, store->entry_count);
    for (uint32_t i = 0; i < store->entry_count; i++)
    {
        if (!match(&store->entries[i], asked, next))
            continue;
        page.done = page.row_count == 0 || bytes < max_bytes;
        if (!page.done)
            break;
        if (next->object.length == 0)
        {
            *unreadable = &store->entries[i];
            break;
        }
        bytes += next->key.length + next->object.length;
        page.rows[page.row_count++] = *next;
    }
    return page;
}

static void
store_scan(Storage *storage, const StorageRange *range, uint64_t ref)
{
    MemoryStore *store = (MemoryStore *)storage;
    StorageRow next;
    const MemoryStoreEntry *unreadable;
    StoragePage page = fill_page(store, row_in_range, range, range->max_bytes, &next, &unreadable);

    store->counted.scans++;
    if (unreadable != NULL)
    {
        StoragePage none = {.rows = NULL};

        store->events.scan_done(store->events.context, ref, STATUS_CORRUPT, &none);
        report_unreadable(store, unreadable);
        return;
    }
    if (!page.done && !range->unreadable)
        storage_page_end(&page, next.position, range->leaf_width, &store->scratch);
    store->events.scan_done(store->events.context, ref, STATUS_OK, &page);
}

static void
store_owed(Storage *storage, const StorageOwed *owed, uint64_t ref)
{
    MemoryStore *store = (MemoryStore *)storage;
    StorageRow next;
    const MemoryStoreEntry *unreadable; /* stays owed */
    StoragePage page = fill_page(store, row_is_owed, owed, owed->max_bytes, &next, &unreadable);

    store->events.scan_done(store->events.context, ref, STATUS_OK, &page);
}

static void
store_set_round(Storage *storage, const Round *round, uint64_t ref)
{
    MemoryStore *store = (MemoryStore *)storage;
    Buffer key;
    Buffer value;

    buffer_init(&key, &MEMORY_HEAP);
    buffer_init(&value, &MEMORY_HEAP);
    rounds_row(round, &key, &value);
    assign(&make_entry(store, buffer_slice(&key))->current, buffer_slice(&value));
    buffer_free(&key);
    buffer_free(&value);
    await(store, ref);
    if (!store->held)
        memory_store_sync(store);
}

static StorageCounters
store_counters(Storage *storage)
{
    MemoryStore *store = (MemoryStore *)storage;

    store->counted.trees = trees_counters(storage->trees);
    return store->counted;
}

/* ---- trees ---- */

/* Its trees live as long as its records do: rows of them are kept nowhere. */
static void
keep_no_row(void *context, Slice key, Slice value)
{
}

static void
drop_no_row(void *context, Slice key)
{
}

static void
drop_no_rows(void *context, Slice first, Slice end)
{
}

static void
settle_trees(MemoryStore *store)
{
    const TreeRows rows = {keep_no_row, drop_no_row, drop_no_rows, NULL};

    trees_close(store->storage.trees, &store->touched, &rows);
    trees_settle(store->storage.trees, &store->touched);
}

/* Every record is durable. */
static void
build_trees(MemoryStore *store)
{
    Trees *trees = store->storage.trees;
    TreeJob job;
    StorageRow row;
    bool readable = true;

    while (readable && trees_begin_job(trees, &job))
    {
        StorageRange range = {
            .bucket_id = job.id.bucket_id, .first_position = job.first, .last_position = job.last};

        for (uint32_t i = 0; i < store->entry_count; i++)
        {
            if (!row_in_range(&store->entries[i], &range, &row))
                continue;
            if (is_unreadable(&store->entries[i]))
                readable = false;
            else
                tree_job_fold(&job, row.position, row.key, row.object);
        }
        trees_end_job(trees, &job, readable, &store->touched);
        settle_trees(store);
    }
}

static void
store_set_partitions(Storage *storage, uint32_t partitions)
{
    (void)trees_set_partitions(storage->trees, partitions);
}

static bool
store_settle(Storage *storage, const RunId *lost, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        lineage_settle(&((MemoryStore *)storage)->lineage, &lost[i]);
    return true;
}

static StorageWaits
store_waits(Storage *storage)
{
    return ((MemoryStore *)storage)->waits;
}

void
memory_store_set_waits(MemoryStore *store, StorageWaits waits)
{
    store->waits = waits;
}

MemoryStore *
memory_store_new(void)
{
    MemoryStore *store = memory_resize(&MEMORY_HEAP, NULL, sizeof(MemoryStore));

    memset(store, 0, sizeof(*store));
    store->run.actor.id[0] = 1;
    store->storage = (Storage){.apply = store_apply,
                               .read = store_read,
                               .scan = store_scan,
                               .owed = store_owed,
                               .counters = store_counters,
                               .set_round = store_set_round,
                               .settle = store_settle,
                               .run = &store->run,
                               .recall = recall_new(RECALL_BUCKETS),
                               .set_partitions = store_set_partitions,
                               .trees = trees_new(),
                               .lineage = &store->lineage,
                               .waits = store_waits};
    arena_init(&store->scratch, &MEMORY_HEAP);
    return store;
}

void
memory_store_free(MemoryStore *store)
{
    for (uint32_t i = 0; i < store->entry_count; i++)
    {
        buffer_free(&store->entries[i].key);
        buffer_free(&store->entries[i].current);
        buffer_free(&store->entries[i].durable);
    }
    memory_resize(&MEMORY_HEAP, store->entries, 0);
    memory_resize(&MEMORY_HEAP, store->waiting, 0);
    recall_free(store->storage.recall);
    hints_free(&store->storage.hints);
    rounds_free(&store->storage.rounds);
    trees_batch_free(&store->touched);
    trees_free(store->storage.trees);
    arena_free(&store->scratch);
    memory_resize(&MEMORY_HEAP, store, 0);
}

Storage *
memory_store_open(MemoryStore *store, const StorageEvents *events)
{
    RunId run = {{++store->opened}};

    store->events = *events;
    rounds_free(&store->storage.rounds);
    for (uint32_t i = 0; i < store->entry_count; i++)
        rounds_load(&store->storage.rounds, buffer_slice(&store->entries[i].key),
                    buffer_slice(&store->entries[i].durable));
    lineage_begin(&store->lineage, &run, store->storage.commits);
    return &store->storage;
}

void
memory_store_hold(MemoryStore *store)
{
    store->held = true;
}

void
memory_store_release(MemoryStore *store)
{
    store->held = false;
    memory_store_sync(store);
}

void
memory_store_damage(MemoryStore *store, Slice storage_key)
{
    static const uint8_t unreadable[] = {UNREADABLE};
    MemoryStoreEntry *entry = make_entry(store, storage_key);

    assign(&entry->current, slice_make(unreadable, sizeof(unreadable)));
    assign(&entry->durable, slice_make(unreadable, sizeof(unreadable)));
}

void
memory_store_fail(MemoryStore *store)
{
    store->storage.disk = DISK_FAILED;
}

void
memory_store_sync(MemoryStore *store)
{
    uint32_t count = store->waiting_count;
    uint64_t *refs = store->waiting;
    StatusCode status = store->storage.disk != DISK_WELL ? STATUS_STORAGE : STATUS_OK;

    store->counted.syncs++;
    store->waiting = NULL;
    store->waiting_count = 0;
    store->storage.commits += status == STATUS_OK ? count : 0;
    for (uint32_t i = 0; i < store->entry_count && status == STATUS_OK; i++)
        assign(&store->entries[i].durable, buffer_slice(&store->entries[i].current));
    settle_trees(store);
    if (status == STATUS_OK)
        build_trees(store);
    for (uint32_t i = 0; i < count; i++)
        store->events.durable(store->events.context, refs[i], status);
    memory_resize(&MEMORY_HEAP, refs, 0);
}
