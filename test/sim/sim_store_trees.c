/*
 * The trees of a simulated store, kept as node/engine/store/trees.h wants it: every change goes
 * into the batch of its record, whose rows become durable with it; a start reads the rows; what
 * must be built is built by jobs that take a while. And a look at whether the trees are true.
 */
#include <stdlib.h>
#include <string.h>

#include "test/lib/tree_rows.h"
#include "test/sim/sim_store_private.h"
#include "test/sim/trace.h"
#include "test/sim/world.h"

enum
{
    OPEN_PERCENT = 30, /* of applies whose batch takes in the next one too */
    AGAIN_US = 200000, /* before a range that could not be read is built again */
    ROW_PUT = 0,
    ROW_REMOVE = 1,
    ROW_REMOVE_RANGE = 2
};

/* ---- rows on the disk ---- */

/* The index of the first row not before wanted. */
static uint32_t
find_row(const StoreTrees *trees, Slice wanted)
{
    uint32_t low = 0;
    uint32_t high = trees->row_count;

    while (low < high)
    {
        uint32_t middle = low + (high - low) / 2;

        if (slice_compare(buffer_slice(&trees->rows[middle].key), wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void
remove_rows(StoreTrees *trees, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++)
    {
        buffer_free(&trees->rows[i].key);
        buffer_free(&trees->rows[i].value);
    }
    if (end > first)
        memmove(trees->rows + first, trees->rows + end, (trees->row_count - end) * sizeof(TreeRow));
    trees->row_count -= end - first;
}

static bool
is_row(const StoreTrees *trees, uint32_t index, Slice key)
{
    return index < trees->row_count && slice_equal(buffer_slice(&trees->rows[index].key), key);
}

static void
put_row(StoreTrees *trees, Slice key, Slice value)
{
    uint32_t index = find_row(trees, key);

    if (!is_row(trees, index, key))
    {
        trees->rows =
            memory_resize(&MEMORY_HEAP, trees->rows, (trees->row_count + 1) * sizeof(TreeRow));
        memmove(trees->rows + index + 1, trees->rows + index,
                (trees->row_count - index) * sizeof(TreeRow));
        trees->row_count++;
        buffer_init(&trees->rows[index].key, &MEMORY_HEAP);
        buffer_init(&trees->rows[index].value, &MEMORY_HEAP);
        buffer_put(&trees->rows[index].key, key.data, key.length);
    }
    buffer_reset(&trees->rows[index].value);
    buffer_put(&trees->rows[index].value, value.data, value.length);
}

/* What trees_close() gave out for a batch reaches the disk. */
static void
write_rows(StoreTrees *trees, Slice changes)
{
    Reader reader = reader_begin(changes);

    while (reader_left(&reader) > 0)
    {
        uint8_t kind = reader_u8(&reader);
        Slice key = reader_slice(&reader);
        Slice value = reader_slice(&reader);
        uint32_t index = find_row(trees, key);

        if (kind == ROW_PUT)
            put_row(trees, key, value);
        else if (kind == ROW_REMOVE_RANGE)
            remove_rows(trees, index, find_row(trees, value));
        else if (is_row(trees, index, key))
            remove_rows(trees, index, index + 1);
    }
}

static void
note_change(void *context, uint8_t kind, Slice key, Slice value)
{
    buffer_put_u8(context, kind);
    buffer_put_slice(context, key);
    buffer_put_slice(context, value);
}

static void
note_put(void *context, Slice key, Slice value)
{
    note_change(context, ROW_PUT, key, value);
}

static void
note_remove(void *context, Slice key)
{
    note_change(context, ROW_REMOVE, key, SLICE_EMPTY);
}

static void
note_remove_range(void *context, Slice first, Slice end)
{
    note_change(context, ROW_REMOVE_RANGE, first, end);
}

static void
close_batch(Trees *trees, TreeBatch *batch, Buffer *rows)
{
    TreeRows out = {
        .put = note_put, .remove = note_remove, .remove_range = note_remove_range, .context = rows};

    trees_close(trees, batch, &out);
}

void
sim_store_trees_forget(SimStore *store)
{
    remove_rows(&store->trees, 0, store->trees.row_count);
    store->trees.damaged = false;
}

void
sim_store_trees_copy(SimStore *store, const SimStore *source)
{
    sim_store_trees_forget(store);
    store->trees.damaged = source->trees.damaged;
    for (uint32_t i = 0; i < source->trees.row_count; i++)
        put_row(&store->trees, buffer_slice(&source->trees.rows[i].key),
                buffer_slice(&source->trees.rows[i].value));
}

/* ---- what batches do ---- */

typedef struct KeyParts
{
    uint32_t bucket_id;
    uint64_t position;
    Slice key;
} KeyParts;

static KeyParts
split_key(const StoreKey *key)
{
    Reader reader = reader_begin(key->key);
    KeyParts parts = {.bucket_id = reader_u32(&reader), .position = reader_u64(&reader)};

    parts.key = reader_take(&reader, reader_left(&reader));
    return parts;
}

void
sim_store_trees_change(SimStore *store, const StoreKey *key, Slice record)
{
    Slice before;

    if (update_record_object(buffer_slice(&key->current), &before))
        storage_change_trees(&store->storage, &store->trees.open, key->key,
                             buffer_slice(&key->current), record);
    else
        sim_store_trees_doubt(store, key);
}

void
sim_store_trees_doubt(SimStore *store, const StoreKey *key)
{
    KeyParts parts = split_key(key);

    trees_doubt(store->trees.now, &store->trees.open, parts.bucket_id, parts.position);
}

void
sim_store_trees_close(SimStore *store)
{
    LogEntry *last = &store->log[store->log_count - 1];

    if (store->log_count == 0 || last->ends_batch)
        return;
    close_batch(store->trees.now, &store->trees.open, &last->tree_rows);
    last->touched = store->trees.open;
    store->trees.open = (TreeBatch){0};
    last->ends_batch = true;
}

void
sim_store_trees_maybe_close(SimStore *store)
{
    if (!random_percent(&store->world->random, OPEN_PERCENT))
        sim_store_trees_close(store);
}

void
sim_store_trees_end_batch(SimStore *store, LogEntry *entry, bool durable)
{
    if (durable)
        write_rows(&store->trees, buffer_slice(&entry->tree_rows));
    if (store->trees.now != NULL)
        trees_settle(store->trees.now, &entry->touched);
    trees_batch_free(&entry->touched);
    buffer_free(&entry->tree_rows);
}

/* ---- building ---- */

/* The snapshot is read at once; what comes later is told to the trees by the changes. */
static bool
fold_rows(SimStore *store, TreeJob *job)
{
    bool readable = true;

    for (uint32_t i = 0; i < store->key_count; i++)
    {
        StoreKey *key = store->keys[i];
        KeyParts parts = split_key(key);
        Slice object;

        if (parts.bucket_id != job->id.bucket_id || parts.position < job->first ||
            parts.position > job->last)
            continue;
        if (!update_record_object(buffer_slice(key->unsynced > 0 ? &key->current : &key->durable),
                                  &object))
        {
            readable = false;
            sim_store_met_unreadable(store, key);
        }
        else
            tree_job_fold(job, parts.position, parts.key, object);
    }
    return readable;
}

void
sim_store_trees_build(SimStore *store)
{
    StoreTrees *trees = &store->trees;

    if (trees->building || trees->waits || store->storage.disk != DISK_WELL ||
        !trees_begin_job(trees->now, &trees->job))
        return;
    trees->building = true;
    trees->readable = fold_rows(store, &trees->job);
    trace(store->world, "n%u builds the tree of bucket %u, partition %u%s", store->host,
          trees->job.id.bucket_id, trees->job.id.partition,
          trees->readable ? "" : ", of which it cannot read all");
    sim_store_schedule(store, sim_store_new_work(STORE_WORK_TREE, 0, 0));
}

static void
end_job(SimStore *store)
{
    StoreTrees *trees = &store->trees;

    trees_end_job(trees->now, &trees->job, trees->readable, &trees->open);
    trees->building = false;
}

/* The job has ended; or the wait after one that could not read everything. */
void
sim_store_trees_work(SimStore *store)
{
    StoreTrees *trees = &store->trees;

    if (store->storage.disk == DISK_FAILED)
        return;
    if (trees->building)
    {
        end_job(store);
        sim_store_log_append(store, NULL, true, 0);
        trees->waits = !trees->readable;
    }
    else
        trees->waits = false;
    if (trees->waits)
        world_schedule(store->world, AGAIN_US,
                       (Event){.kind = EVENT_STORE_WORK,
                               .target = store->host,
                               .token = store->world->hosts[store->host].incarnation,
                               .payload = sim_store_new_work(STORE_WORK_TREE, 0, 0)});
    sim_store_trees_build(store);
}

/* ---- life ---- */

static Trees *
load(const SimStore *store)
{
    const StoreTrees *rows = &store->trees;
    Trees *trees = trees_new();

    trees_set_shape(trees, store->world->mix.tree_shape);
    for (uint32_t i = 0; i < rows->row_count; i++)
        trees_load(trees, buffer_slice(&rows->rows[i].key), buffer_slice(&rows->rows[i].value));
    trees_loaded(trees);
    return trees;
}

/* Records that vanished are found out: of what nobody knows of no tree can tell. */
static void
doubt_vanished(SimStore *store)
{
    TreeBatch batch = {0};
    Buffer rows;

    if (trees_partitions(store->trees.now) == 0)
        return;
    for (uint32_t i = 0; i < store->key_count; i++)
    {
        KeyParts parts = split_key(store->keys[i]);

        if (store->keys[i]->vanished)
            trees_doubt(store->trees.now, &batch, parts.bucket_id, parts.position);
        store->keys[i]->vanished = false;
    }
    buffer_init(&rows, &MEMORY_HEAP);
    close_batch(store->trees.now, &batch, &rows);
    write_rows(&store->trees, buffer_slice(&rows));
    buffer_free(&rows);
    trees_settle(store->trees.now, &batch);
    trees_batch_free(&batch);
}

void
sim_store_trees_boot(SimStore *store)
{
    store->trees.now = load(store);
    store->storage.trees = store->trees.now;
    doubt_vanished(store);
    sim_store_trees_check_memory(store);
    sim_store_trees_build(store);
}

void
sim_store_trees_set_partitions(Storage *storage, uint32_t partitions)
{
    if (trees_partitions(storage->trees) == partitions)
        return;
    if (!trees_set_partitions(storage->trees, partitions))
        abort();
    doubt_vanished((SimStore *)storage);
    sim_store_trees_build((SimStore *)storage);
}

void
sim_store_trees_stop(SimStore *store)
{
    StoreTrees *trees = &store->trees;

    if (trees->now == NULL)
        return;
    if (trees->building)
        end_job(store);
    trees_free(trees->now);
    trees->now = NULL;
    store->storage.trees = NULL;
    trees_batch_free(&trees->open);
    trees->waits = false;
}

/* ---- are they true? ---- */

/* What a part of a tree should say, by the records. False: one of them cannot be read. */
static bool
sum_records(const SimStore *store, bool durable, uint32_t bucket_id, uint64_t first, uint64_t last,
            TreeSum *sum)
{
    *sum = (TreeSum){.rows = 0};
    for (uint32_t i = 0; i < store->key_count; i++)
    {
        const StoreKey *key = store->keys[i];
        KeyParts parts = split_key(key);
        Digest digest;
        Slice object;

        if (parts.bucket_id != bucket_id || parts.position < first || parts.position > last)
            continue;
        if (!update_record_object(buffer_slice(durable ? &key->durable : &key->current), &object))
            return false;
        if (object.length == 0)
            continue;
        digest = message_row_digest(parts.key, object);
        digest_mix(&sum->digest, &digest);
        sum->rows++;
    }
    return true;
}

/* sure: whatever is not in doubt or not settled, nothing of the tree is in doubt. */
static void
check_part(const SimStore *store, const Trees *trees, TreeId id, TreePart part, bool durable,
           bool sure)
{
    uint64_t first;
    uint64_t last;
    TreeSum told;
    TreeSum found;

    trees_part_range(trees, id.partition, part, &first, &last);
    if (!trees_sum(trees, id, part, &told) || (!told.settled && !sure) ||
        !sum_records(store, durable, id.bucket_id, first, last, &found))
        return;
    if (told.rows != found.rows || !digest_equal(&told.digest, &found.digest))
        checker_violation(store->world->checker, "S16",
                          "n%u's %s of bucket %u, partition %u, differs from its %s in leaf %u of "
                          "%u: %llu rows, not %llu",
                          store->host, durable ? "rows of the tree" : "tree", id.bucket_id,
                          id.partition, durable ? "disk" : "records", part.prefix, 1u << part.depth,
                          (unsigned long long)told.rows, (unsigned long long)found.rows);
}

static void
check_bucket(const SimStore *store, const Trees *trees, uint32_t bucket_id, bool durable)
{
    bool sure = trees_counters(trees).doubted == 0;

    for (uint32_t partition = 0; partition < store->world->mix.partitions; partition++)
    {
        TreeId id = {bucket_id, partition};
        TreePart part = {.depth = trees_depth(trees, id)};

        for (; part.prefix < 1u << part.depth; part.prefix++)
            check_part(store, trees, id, part, durable, sure);
    }
}

static void
check(const SimStore *store, const Trees *trees, bool durable)
{
    uint32_t checked = TREES_BUCKET;

    if (trees_partitions(trees) == 0)
        return;
    for (uint32_t i = 0; i < store->key_count; i++)
    {
        uint32_t bucket_id = split_key(store->keys[i]).bucket_id;

        if (bucket_id == ROUNDS_BUCKET)
            break;
        if (bucket_id != checked)
            check_bucket(store, trees, bucket_id, durable);
        checked = bucket_id;
    }
}

/* The rows that trees have, and nothing else, unless rows were lost. */
static void
check_leftovers(const SimStore *store, const Trees *trees)
{
    uint64_t rows = tree_rows_on_disk(trees);

    if (!store->trees.damaged && trees_counters(trees).doubted == 0 &&
        store->trees.row_count != rows)
        checker_violation(store->world->checker, "S16", "n%u's disk has %u rows of trees, not %llu",
                          store->host, store->trees.row_count, (unsigned long long)rows);
}

void
sim_store_trees_check_memory(const SimStore *store)
{
    if (store->trees.now != NULL && store->storage.disk == DISK_WELL)
        check(store, store->trees.now, false);
}

void
sim_store_trees_check(const SimStore *store)
{
    Trees *loaded = load(store);

    sim_store_trees_check_memory(store);
    check(store, loaded, true);
    check_leftovers(store, loaded);
    trees_free(loaded);
}

bool
sim_store_trees_are_built(const SimStore *store)
{
    return store->trees.now != NULL && trees_counters(store->trees.now).doubted == 0;
}

bool
sim_store_damage_tree(SimStore *store)
{
    StoreTrees *trees = &store->trees;

    if (trees->row_count < 2)
        return false;
    /* The first one is the store's, which the topology makes up for. */
    trees->rows[1 + random_below(&store->world->random, trees->row_count - 1)].value.length = 0;
    trees->damaged = true;
    return true;
}
