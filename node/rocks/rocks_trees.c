/*
 * The trees on RocksDB: their rows go into the batch of the records that they speak of; a tree that
 * is to be built is built by jobs on the pool, one at a time, from a snapshot.
 *
 * A job is short (a few thousand rows at most) and is followed by a rest a few times as long, so
 * that building takes its small share of a processor and of the disk however much there is of it.
 * What it has built is written with the records of the next turn that has any, or after the rest.
 */
#include "node/rocks/rocks_private.h"

#include "shared/ring/ring.h"

#include <string.h>

enum
{
    REST_SHARE = 4, /* a rest is so many times as long as the job was */
    REST_MIN_MS = 10,
    REST_UNREADABLE_MS = 1000, /* after what could not be read */
    NS_A_MS = 1000000
};

/* ---- rows ---- */

static void
put_tree_row(void *context, Slice key, Slice value)
{
    rocks_batch_put_row(context, key, value);
}

static void
remove_tree_row(void *context, Slice key)
{
    rocks_batch_put_row(context, key, SLICE_EMPTY);
}

static void
remove_rows(void *context, Slice first, Slice end)
{
    RocksBatch *batch = context;
    RocksRow *row = rocks_batch_put_row(batch, first, SLICE_EMPTY);

    row->end = slice_copy(&batch->arena, end);
}

void
rocks_trees_close(Rocks *rocks, RocksBatch *batch)
{
    const TreeRows rows = {put_tree_row, remove_tree_row, remove_rows, batch};

    trees_close(rocks->storage.trees, &batch->trees, &rows);
}

/* ---- doubt of all ---- */

/* Goes to the first record at or behind the cursor. False when that cannot be read. */
static bool
seek_record(rocksdb_iterator_t *iterator, Slice cursor)
{
    char *error = NULL;

    rocksdb_iter_seek(iterator, (const char *)cursor.data, cursor.length);
    rocksdb_iter_get_error(iterator, &error);
    rocksdb_free(error);
    return error == NULL;
}

static bool
stands_at_record(const rocksdb_iterator_t *iterator, uint32_t *bucket_id, uint64_t *position)
{
    Slice key;

    return rocksdb_iter_valid(iterator) &&
           rocks_key_split(rocks_iterator_key(iterator), bucket_id, position, &key) &&
           storage_bucket_is_for_records(*bucket_id);
}

/* Each partition that has records, or that cannot be looked into, needs a tree. */
static void
doubt_each(Rocks *rocks, rocksdb_iterator_t *iterator, TreeBatch *batch)
{
    uint32_t partitions = trees_partitions(rocks->storage.trees);
    uint32_t bucket_id = 1;
    uint64_t position = 0;
    uint32_t unreadable = 0; /* in a row */

    while (unreadable < partitions)
    {
        uint32_t next;

        arena_reset(&rocks->arena);
        if (!seek_record(iterator,
                         rocks_bound(&rocks->arena, bucket_id, position, SLICE_EMPTY, false)))
            unreadable++;
        else if (stands_at_record(iterator, &bucket_id, &position))
            unreadable = 0;
        else
            return;
        trees_doubt(rocks->storage.trees, batch, bucket_id, position);
        next = ring_partition(position, partitions) + 1;
        bucket_id += next == partitions;
        position = next < partitions ? ring_partition_start(next, partitions) : 0;
    }
    rocks_fail(rocks, "neither trees nor records can be read");
}

static void
doubt_all(Rocks *rocks)
{
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    rocksdb_iterator_t *iterator = rocksdb_create_iterator(rocks->db, options);

    doubt_each(rocks, iterator, &rocks_filling_batch(rocks)->trees);
    rocksdb_iter_destroy(iterator);
    rocksdb_readoptions_destroy(options);
}

void
rocks_set_partitions(Storage *storage, uint32_t partitions)
{
    Rocks *rocks = rocks_of(storage);
    bool known = trees_set_partitions(storage->trees, partitions);

    if (!known || rocks->trees_lost)
        doubt_all(rocks);
    rocks->trees_lost = false;
}

void
rocks_trees_open(Rocks *rocks)
{
    rocks->storage.trees = trees_new();
    /* None at all: a store that is new, or was salvaged. */
    rocks->trees_lost = !rocks_load_trees(rocks) || trees_partitions(rocks->storage.trees) == 0;
    uv_timer_init(rocks->loop, &rocks->tree_rest);
    rocks->tree_rest.data = rocks;
}

/* ---- jobs ---- */

typedef struct RocksTreeJob
{
    RocksJob job;
    Rocks *rocks;
    TreeJob tree;
    Arena arena; /* the bounds, and the keys of records */
    RocksRange range;
    RocksTable pending; /* records that are folded already: not durable when the job began */
    Arena decoding;
    RocksStop stop;
    bool readable;
    uint64_t took_ns;
} RocksTreeJob;

static void
fold_record(RocksTreeJob *job, Slice key, Slice object)
{
    uint32_t bucket_id;
    uint64_t position;
    Slice user_key;

    (void)rocks_key_split(key, &bucket_id, &position, &user_key);
    tree_job_fold(&job->tree, position, user_key, object);
}

static void
fold_pending(RocksTreeJob *job, const RocksItem *item)
{
    RocksNode *node;
    Slice object = SLICE_EMPTY;

    if (slice_compare(item->node.key, job->range.lower) < 0 ||
        (job->range.upper.length > 0 && slice_compare(item->node.key, job->range.upper) >= 0))
        return;
    node = ARENA_NEW(&job->arena, RocksNode);
    node->hash = item->node.hash;
    node->key = slice_copy(&job->arena, item->node.key);
    rocks_table_insert(&job->pending, node);
    if (item->record.length > 0)
        (void)update_record_object(item->record, &object);
    fold_record(job, node->key, object);
}

/* A record that was pending when the job began was folded in its newer form, so the row of the
 * snapshot is passed over. */
static bool
fold_row(void *context, Slice key, Slice value)
{
    RocksTreeJob *job = context;
    RocksRecord checked;

    if (job->pending.count > 0 && rocks_table_find(&job->pending, hash_table(key), key) != NULL)
        return true;
    arena_reset(&job->decoding);
    if (!rocks_record_check(&job->decoding, value, &checked))
        return false;
    fold_record(job, key, checked.object);
    return true;
}

static void
build_on_pool(uv_work_t *work)
{
    RocksTreeJob *job = work->data;
    uint64_t begun = uv_hrtime();

    arena_init(&job->decoding, &MEMORY_HEAP);
    job->readable = rocks_visit(job->rocks, &job->range, fold_row, job, &job->stop);
    arena_free(&job->decoding);
    job->took_ns = uv_hrtime() - begun;
}

static void
on_rested(uv_timer_t *timer)
{
    ((Rocks *)timer->data)->tree_rests = false;
}

/* The rest follows the time that the job took, so a slow disk is given more of it. */
static uint64_t
rest_after(const RocksTreeJob *job)
{
    uint64_t ms = job->took_ns * REST_SHARE / NS_A_MS;

    if (!job->readable)
        return REST_UNREADABLE_MS;
    return ms > REST_MIN_MS ? ms : REST_MIN_MS;
}

static void
build_done(uv_work_t *work, int status)
{
    RocksTreeJob *job = work->data;
    Rocks *rocks = job->rocks;

    rocksdb_release_snapshot(rocks->db, job->range.snapshot);
    if (!job->readable)
    {
        rocks->counters.corrupt++;
        rocks_damage_met(rocks, buffer_slice(&job->stop.key), job->stop.error);
    }
    rocks->tree_job = job;
    rocks->tree_rests = !rocks->closing;
    if (rocks->tree_rests)
        uv_timer_start(&rocks->tree_rest, on_rested, rest_after(job), 0);
}

/* Waits for a turn that writes anyway, or for the end of the rest, so that rows of trees do not
 * cause syncs of their own. */
void
rocks_trees_end_job(Rocks *rocks)
{
    RocksTreeJob *job = rocks->tree_job;

    if (job == NULL || (rocks->filling == NULL && rocks->tree_rests && !rocks->closing))
        return;
    trees_end_job(rocks->storage.trees, &job->tree, job->readable,
                  &rocks_filling_batch(rocks)->trees);
    rocks_stop_free(&job->stop);
    rocks_table_free(&job->pending);
    arena_free(&job->arena);
    memory_resize(&MEMORY_HEAP, job, 0);
    rocks->tree_job = NULL;
}

/* Begins a job. The snapshot and the records that are pending now make the state of this turn: what
 * comes later is in the tree already as a change. */
void
rocks_trees_build(Rocks *rocks)
{
    RocksTreeJob *job;
    TreeJob tree;

    if (rocks->tree_rests || rocks->closing || rocks->storage.disk != DISK_WELL ||
        !trees_begin_job(rocks->storage.trees, &tree))
        return;
    job = memory_resize(&MEMORY_HEAP, NULL, sizeof(RocksTreeJob));
    *job = (RocksTreeJob){.rocks = rocks, .tree = tree};
    job->job.work.data = job;
    job->job.run = build_on_pool;
    job->job.done = build_done;
    arena_init(&job->arena, &MEMORY_HEAP);
    job->range.lower = rocks_bound(&job->arena, tree.id.bucket_id, tree.first, SLICE_EMPTY, false);
    job->range.upper = rocks_bound_behind(&job->arena, tree.id.bucket_id, tree.last);
    job->range.snapshot = rocksdb_create_snapshot(rocks->db);
    rocks_table_init(&job->pending);
    for (size_t i = 0; i < rocks->pending.slot_count; i++)
        for (RocksNode *node = rocks->pending.slots[i]; node != NULL; node = node->next)
            fold_pending(job, (RocksItem *)((char *)node - offsetof(RocksItem, node)));
    rocks_pool_begin(rocks, &job->job, ROCKS_LANE_TREES);
}
