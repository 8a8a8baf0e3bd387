/*
 * Trees beside a naive model: a list of keys with a number each for what is merged and what is on
 * the disk, a disk that is a sorted list of rows, batches that are written in order, crashes that
 * lose those that were not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/engine/store/trees_private.h"
#include "shared/ring/ring.h"
#include "test/lib/tree_rows.h"
#include "test/unit/causality/history.h"

#include <stdlib.h>
#include <string.h>

enum
{
    PARTITIONS = 8,
    BUCKETS = 2,
    KEYS = 6000,
    BATCHES = 6,
    KEY_BYTES = 32
};

/* ---- the disk ---- */

typedef enum RowChange
{
    ROW_PUT,
    ROW_REMOVED,
    ROWS_REMOVED /* from this key to that of the next change */
} RowChange;

typedef struct DiskRow
{
    RowChange change;
    uint8_t key[KEY_BYTES];
    uint32_t key_length;
    uint8_t *value;
    uint32_t value_length;
} DiskRow;

typedef struct Disk
{
    DiskRow *rows; /* sorted */
    uint32_t count;
    uint32_t capacity;
} Disk;

static DiskRow
row_make(RowChange change, Slice key, Slice value)
{
    DiskRow row = {.change = change,
                   .key_length = (uint32_t)key.length,
                   .value = malloc(value.length + 1),
                   .value_length = (uint32_t)value.length};

    assert_true(key.length <= KEY_BYTES);
    memcpy(row.key, key.data, key.length);
    if (value.length > 0)
        memcpy(row.value, value.data, value.length);
    return row;
}

static Slice
row_key(const DiskRow *row)
{
    return slice_make(row->key, row->key_length);
}

static Slice
row_value(const DiskRow *row)
{
    return slice_make(row->value, row->value_length);
}

static uint32_t
disk_index(const Disk *disk, Slice key)
{
    uint32_t low = 0;
    uint32_t high = disk->count;

    while (low < high)
    {
        uint32_t middle = low + (high - low) / 2;

        if (slice_compare(row_key(&disk->rows[middle]), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void
disk_remove(Disk *disk, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++)
        free(disk->rows[i].value);
    memmove(&disk->rows[first], &disk->rows[end], (disk->count - end) * sizeof(DiskRow));
    disk->count -= end - first;
}

/* Removes the row, if it is there. */
static uint32_t
disk_clear(Disk *disk, Slice key)
{
    uint32_t index = disk_index(disk, key);

    if (index < disk->count && slice_equal(row_key(&disk->rows[index]), key))
        disk_remove(disk, index, index + 1);
    return index;
}

static void
disk_put(Disk *disk, const DiskRow *row)
{
    uint32_t index = disk_clear(disk, row_key(row));

    if (disk->count == disk->capacity)
    {
        disk->capacity = disk->capacity > 0 ? disk->capacity * 2 : 64;
        disk->rows = realloc(disk->rows, disk->capacity * sizeof(DiskRow));
    }
    memmove(&disk->rows[index + 1], &disk->rows[index], (disk->count - index) * sizeof(DiskRow));
    disk->rows[index] = row_make(ROW_PUT, row_key(row), row_value(row));
    disk->count++;
}

static void
disk_change(Disk *disk, const DiskRow *changes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
    {
        const DiskRow *change = &changes[i];

        if (change->change == ROW_PUT)
            disk_put(disk, change);
        else if (change->change == ROW_REMOVED)
            (void)disk_clear(disk, row_key(change));
        else
        {
            disk_remove(disk, disk_index(disk, row_key(change)),
                        disk_index(disk, row_key(&changes[i + 1])));
            i++;
        }
    }
}

static Trees *
disk_load(const Disk *disk)
{
    Trees *trees = trees_new();

    for (uint32_t i = 0; i < disk->count; i++)
        trees_load(trees, row_key(&disk->rows[i]), row_value(&disk->rows[i]));
    trees_loaded(trees);
    return trees;
}

/* ---- the model ---- */

static bool
chance(uint64_t *random, uint32_t percent)
{
    return history_random_below(random, 100) < percent;
}

/* A write of the store: rows of trees, and keys with their new versions. */
typedef struct Batch
{
    TreeBatch trees;
    DiskRow *rows; /* changes of the disk */
    uint32_t row_count;
    uint32_t *keys;
    uint32_t *versions;
    uint32_t key_count;
    bool written;
} Batch;

typedef struct Model
{
    uint64_t random;
    Trees *trees;
    Disk disk;
    uint64_t position[KEYS];
    uint32_t current[KEYS]; /* version; 0: absent */
    uint32_t durable[KEYS];
    uint32_t versions;
    Batch batches[BATCHES]; /* the last one is being filled; the others wait, oldest first */
    uint32_t batch_count;
    TreeJob job;
    bool job_under_way;
    uint32_t snapshot[KEYS];
    bool folded[KEYS]; /* at the begin of the job */
    bool rough;
    uint32_t doubts;
    uint32_t reloads;
} Model;

typedef struct Bytes
{
    uint8_t bytes[8];
} Bytes;

static Slice
key_bytes(Bytes *bytes, uint32_t key)
{
    memcpy(bytes->bytes, &key, sizeof(key));
    return slice_make(bytes->bytes, sizeof(key));
}

static Slice
object_bytes(Bytes *bytes, uint32_t key, uint32_t version)
{
    memcpy(bytes->bytes, &key, sizeof(key));
    memcpy(bytes->bytes + 4, &version, sizeof(version));
    return slice_make(bytes->bytes, version > 0 ? sizeof(bytes->bytes) : 0);
}

static uint32_t
bucket_of(uint32_t key)
{
    return key % 8 == 7 ? 2 : 1;
}

static Batch *
filling(Model *model)
{
    return &model->batches[model->batch_count - 1];
}

static void
sink(Model *model, RowChange change, Slice key, Slice value)
{
    Batch *batch = filling(model);

    batch->rows = realloc(batch->rows, (batch->row_count + 1) * sizeof(DiskRow));
    batch->rows[batch->row_count++] = row_make(change, key, value);
}

static void
sink_put(void *context, Slice key, Slice value)
{
    sink(context, ROW_PUT, key, value);
}

static void
sink_remove(void *context, Slice key)
{
    sink(context, ROW_REMOVED, key, SLICE_EMPTY);
}

static void
sink_remove_range(void *context, Slice first, Slice end)
{
    sink(context, ROWS_REMOVED, first, SLICE_EMPTY);
    sink(context, ROWS_REMOVED, end, SLICE_EMPTY);
}

static void
begin_batch(Model *model)
{
    model->batches[model->batch_count++] = (Batch){.written = false};
}

static void
close_batch(Model *model)
{
    TreeRows rows = {sink_put, sink_remove, sink_remove_range, model};

    if (model->batch_count == BATCHES)
        return;
    trees_close(model->trees, &filling(model)->trees, &rows);
    begin_batch(model);
}

static void
write_batch(Model *model, Batch *batch)
{
    for (uint32_t i = 0; i < batch->key_count; i++)
        model->durable[batch->keys[i]] = batch->versions[i];
    disk_change(&model->disk, batch->rows, batch->row_count);
    batch->written = true;
}

static void
free_batch(Batch *batch)
{
    for (uint32_t i = 0; i < batch->row_count; i++)
        free(batch->rows[i].value);
    free(batch->rows);
    free(batch->keys);
    free(batch->versions);
    trees_batch_free(&batch->trees);
}

/* The disk gets the oldest batch that it has not. */
static void
write_next(Model *model)
{
    for (uint32_t i = 0; i + 1 < model->batch_count; i++)
    {
        if (model->batches[i].written)
            continue;
        write_batch(model, &model->batches[i]);
        return;
    }
}

static void
settle_next(Model *model)
{
    if (model->batch_count < 2 || !model->batches[0].written)
        return;
    trees_settle(model->trees, &model->batches[0].trees);
    free_batch(&model->batches[0]);
    model->batch_count--;
    memmove(&model->batches[0], &model->batches[1], model->batch_count * sizeof(Batch));
}

static void
settle_closed(Model *model)
{
    while (model->batch_count > 1)
    {
        write_next(model);
        settle_next(model);
    }
}

static void
settle_all(Model *model)
{
    settle_closed(model);
    close_batch(model);
    settle_closed(model);
}

static bool
is_pending(const Model *model, uint32_t key)
{
    for (uint32_t i = 0; i < model->batch_count; i++)
        for (uint32_t j = 0; j < model->batches[i].key_count; j++)
            if (model->batches[i].keys[j] == key)
                return true;
    return false;
}

static void
note_change(Model *model, uint32_t key, uint32_t version)
{
    Batch *batch = filling(model);
    size_t bytes = (batch->key_count + 1) * sizeof(uint32_t);

    batch->keys = realloc(batch->keys, bytes);
    batch->versions = realloc(batch->versions, bytes);
    batch->keys[batch->key_count] = key;
    batch->versions[batch->key_count++] = version;
    model->current[key] = version;
}

static void
change_key(Model *model, uint32_t key, uint32_t version)
{
    Bytes name, before, after;
    TreeChange change = {.bucket_id = bucket_of(key),
                         .position = model->position[key],
                         .key = key_bytes(&name, key),
                         .before = object_bytes(&before, key, model->current[key]),
                         .after = object_bytes(&after, key, version)};

    trees_change(model->trees, &filling(model)->trees, &change);
    note_change(model, key, version);
}

/* A key whose record could not be read is written over. */
static void
overwrite_unreadable(Model *model, uint32_t key)
{
    trees_doubt(model->trees, &filling(model)->trees, bucket_of(key), model->position[key]);
    note_change(model, key, ++model->versions);
    model->doubts++;
}

/* ---- jobs ---- */

static bool
in_job(const Model *model, uint32_t key)
{
    return bucket_of(key) == model->job.id.bucket_id && model->position[key] >= model->job.first &&
           model->position[key] <= model->job.last;
}

static void
fold_key(Model *model, uint32_t key, uint32_t version)
{
    Bytes name, object;

    tree_job_fold(&model->job, model->position[key], key_bytes(&name, key),
                  object_bytes(&object, key, version));
}

static void
begin_job(Model *model)
{
    if (model->job_under_way || !trees_begin_job(model->trees, &model->job))
        return;
    model->job_under_way = true;
    memcpy(model->snapshot, model->durable, sizeof(model->snapshot));
    for (uint32_t key = 0; key < KEYS; key++)
    {
        model->folded[key] = in_job(model, key) && is_pending(model, key);
        if (model->folded[key])
            fold_key(model, key, model->current[key]);
    }
}

static void
end_job(Model *model, bool readable)
{
    if (!model->job_under_way)
        return;
    for (uint32_t key = 0; key < (readable ? KEYS : KEYS / 2); key++)
        if (in_job(model, key) && !model->folded[key])
            fold_key(model, key, model->snapshot[key]);
    trees_end_job(model->trees, &model->job, readable, &filling(model)->trees);
    model->job_under_way = false;
}

/* ---- checks ---- */

static void
assert_part(const Model *model, TreeId id, TreePart part, const TreeSum *expected, bool settled)
{
    uint64_t first, last;
    TreeSum sum;

    assert_true(trees_sum(model->trees, id, part, &sum));
    assert_memory_equal(&sum.digest, &expected->digest, sizeof(Digest));
    assert_int_equal(sum.rows, expected->rows);
    if (sum.settled)
        assert_true(expected->settled);
    if (settled)
        assert_true(sum.settled);
    trees_part_range(model->trees, id.partition, part, &first, &last);
    assert_true(trees_range_sum(model->trees, id.bucket_id, first, last, &sum));
    assert_memory_equal(&sum.digest, &expected->digest, sizeof(Digest));
    assert_int_equal(ring_partition(first, PARTITIONS), id.partition);
    assert_int_equal(ring_partition(last, PARTITIONS), id.partition);
}

/* Every sum of the tree at one depth. settled: all that was merged is durable. */
static void
assert_depth(const Model *model, TreeId id, uint8_t depth, bool settled)
{
    TreeSum *expected = calloc((size_t)1 << depth, sizeof(TreeSum));
    Bytes name, object;

    for (uint32_t i = 0; i < 1u << depth; i++)
        expected[i].settled = true;
    for (uint32_t key = 0; key < KEYS; key++)
    {
        uint64_t inside = model->position[key] << 3;
        TreeSum *sum = &expected[depth > 0 ? inside >> (64 - depth) : 0];
        Digest digest;

        if (bucket_of(key) != id.bucket_id ||
            ring_partition(model->position[key], PARTITIONS) != id.partition)
            continue;
        sum->settled &= model->durable[key] == model->current[key];
        if (model->current[key] == 0)
            continue;
        digest = message_row_digest(key_bytes(&name, key),
                                    object_bytes(&object, key, model->current[key]));
        digest_mix(&sum->digest, &digest);
        sum->rows++;
    }
    for (uint32_t i = 0; i < 1u << depth; i++)
        assert_part(model, id, (TreePart){depth, i}, &expected[i], settled);
    free(expected);
}

static void
assert_tree(const Model *model, TreeId id, bool settled)
{
    const Tree *tree = tree_find(model->trees, id);
    TreeSum sum;

    if (tree != NULL && tree->doubt)
    {
        assert_true(model->rough);
        for (uint8_t depth = 0; depth <= trees_depth(model->trees, id); depth++)
        {
            assert_true(trees_sum(model->trees, id, (TreePart){.depth = depth}, &sum));
            assert_false(sum.settled);
        }
        return;
    }
    for (uint8_t depth = trees_depth(model->trees, id) % 3; depth <= trees_depth(model->trees, id);
         depth += 3)
        assert_depth(model, id, depth, settled);
    assert_depth(model, id, 0, settled);
    if (tree != NULL)
        assert_false(
            trees_sum(model->trees, id, (TreePart){trees_depth(model->trees, id) + 1, 0}, &sum));
}

static void
assert_true_to_model(const Model *model, bool settled)
{
    for (uint32_t bucket = 1; bucket <= BUCKETS; bucket++)
        for (uint32_t partition = 0; partition < PARTITIONS; partition += 5)
            assert_tree(model, (TreeId){bucket, partition}, settled);
}

static void
build_all(Model *model)
{
    end_job(model, true);
    for (begin_job(model); model->job_under_way; begin_job(model))
        end_job(model, true);
}

/* Nothing is left to be built or written: sums are true and settled, and the disk has the rows of
 * the trees in use and no other. */
static void
assert_at_rest(Model *model)
{
    build_all(model);
    settle_all(model);
    assert_true_to_model(model, true);
    for (uint32_t i = 0; i < model->trees->slot_count; i++)
        if (model->trees->slots[i] != NULL)
        {
            const Tree *tree = model->trees->slots[i];

            assert_false(tree->doubt);
            if (tree->rows > TREE_LEAF_ROWS_MAX)
                assert_in_range(tree->rows, (uint64_t)TREE_LEAF_ROWS_MIN << tree->now.bits,
                                (uint64_t)TREE_LEAF_ROWS_MAX << tree->now.bits);
        }
    if (!model->trees->journal.broken)
        assert_int_equal(model->disk.count, tree_rows_on_disk(model->trees));
    assert_int_equal(trees_counters(model->trees).doubted, 0);
}

/* ---- the start, and crashes ---- */

static void
load(Model *model)
{
    model->trees = disk_load(&model->disk);
    assert_true(trees_set_partitions(model->trees, PARTITIONS));
    begin_batch(model);
    model->reloads++;
}

static void
drop_memory(Model *model)
{
    for (uint32_t i = 0; i < model->batch_count; i++)
        free_batch(&model->batches[i]);
    model->batch_count = 0;
    trees_free(model->trees);
    if (model->job_under_way)
        memory_resize(&MEMORY_HEAP, model->job.folds, 0);
    model->job_under_way = false;
}

static void
crash(Model *model)
{
    drop_memory(model);
    memcpy(model->current, model->durable, sizeof(model->current));
    load(model);
}

/* A row is lost or changed; not the store's own, and of the journal not the last one, which nobody
 * misses. */
static void
damage_row(Model *model)
{
    uint32_t index;

    if (model->disk.count < 3)
        return;
    index = 1 + (uint32_t)history_random_below(&model->random, model->disk.count - 2);
    if (chance(&model->random, 50))
        disk_remove(&model->disk, index, index + 1);
    else
        model->disk.rows[index].value_length--;
}

/* Some partitions get a few positions that many keys share, so that leaves are uneven. */
static Model *
model_new(uint64_t seed, bool rough)
{
    Model *model = calloc(1, sizeof(Model));

    model->random = seed;
    model->rough = rough;
    for (uint32_t key = 0; key < KEYS; key++)
    {
        uint64_t partition = chance(&model->random, 20) ? 5 : 0;
        uint64_t inside = history_random_below(&model->random, UINT64_MAX) >> 3;

        if (chance(&model->random, 10))
            inside = history_random_below(&model->random, 4) == 0 ? UINT64_MAX >> 3 : 0;
        model->position[key] = partition << 61 | inside;
    }
    load(model);
    return model;
}

static void
model_free(Model *model)
{
    drop_memory(model);
    disk_remove(&model->disk, 0, model->disk.count);
    free(model->disk.rows);
    free(model);
}

/* ---- random histories ---- */

/* Of a hundred changes so many remove; the trees grow and shrink with it. */
static void
change_some(Model *model, uint32_t removals)
{
    for (uint64_t left = 1 + history_random_below(&model->random, 200); left > 0; left--)
    {
        uint32_t key = (uint32_t)history_random_below(&model->random, KEYS);

        change_key(model, key, chance(&model->random, removals) ? 0 : ++model->versions);
    }
}

static void
step(Model *model, uint32_t removals)
{
    uint64_t *random = &model->random;

    switch (history_random_below(random, 12))
    {
    case 0:
    case 1:
    case 2:
        change_some(model, removals);
        break;
    case 3:
    case 4:
        close_batch(model);
        break;
    case 5:
    case 6:
        write_next(model);
        break;
    case 7:
        settle_next(model);
        break;
    case 8:
    case 9:
        begin_job(model);
        break;
    case 10:
        end_job(model, !chance(random, 10));
        break;
    case 11:
        if (chance(random, 30))
            (void)trees_rebuild(model->trees, (TreeId){1, 0});
        else if (model->rough && chance(random, 20))
            overwrite_unreadable(model, (uint32_t)history_random_below(random, KEYS));
        else if (chance(random, 20))
        {
            if (model->rough && chance(random, 50))
                damage_row(model);
            crash(model);
        }
        break;
    }
}

static void
run_history(uint64_t seed, bool rough)
{
    Model *model = model_new(seed, rough);

    for (uint32_t phase = 0; phase < 6; phase++)
    {
        uint32_t removals = phase % 2 == 0 ? 5 : 80;

        for (uint32_t i = 0; i < 500; i++)
        {
            step(model, removals);
            if (i % 10 == 0)
                assert_true_to_model(model, false);
        }
        if (phase % 3 == 2)
            assert_at_rest(model);
    }
    assert_true(model->reloads > 5);
    crash(model);
    assert_at_rest(model);
    model_free(model);
}

static void
random_histories_leave_the_sums_true(void **state)
{
    for (uint64_t seed = 1; seed <= 6; seed++)
        run_history(seed, false);
}

static void
what_was_unreadable_or_lost_is_in_doubt_until_it_is_rebuilt(void **state)
{
    for (uint64_t seed = 106; seed <= 117; seed++)
        run_history(seed, true);
}

/* ---- single behaviours ---- */

static void
put_keys(Model *model, uint32_t first, uint32_t end)
{
    for (uint32_t key = first; key < end; key++)
        change_key(model, key, ++model->versions);
}

static void
a_sum_is_settled_only_when_its_batch_is(void **state)
{
    Model *model = model_new(7, false);
    TreeId id = tree_id_at(model->trees, 1, model->position[0]);
    TreeSum sum;

    change_key(model, 0, 1);
    close_batch(model);
    assert_true(trees_sum(model->trees, id, (TreePart){.depth = 0}, &sum) && !sum.settled);
    write_next(model);
    assert_true(trees_sum(model->trees, id, (TreePart){.depth = 0}, &sum) && !sum.settled);
    settle_next(model);
    assert_true(trees_sum(model->trees, id, (TreePart){.depth = 0}, &sum) && sum.settled);
    assert_int_equal(sum.rows, 1);
    model_free(model);
}

static void
equal_objects_change_nothing(void **state)
{
    Model *model = model_new(7, false);

    change_key(model, 0, 1);
    settle_all(model);
    change_key(model, 0, 1);
    assert_int_equal(filling(model)->trees.count, 0);
    model_free(model);
}

/* All keys are there, and a tree of more leaves than a job has is being built. */
static Tree *
build_half(Model *model)
{
    Tree *tree;

    put_keys(model, 0, KEYS);
    do
    {
        begin_job(model);
        end_job(model, true);
        tree = model->trees->first_queued;
        assert_non_null(tree);
    } while (tree->built < 128);
    return tree;
}

static void
lose_row(Model *model, RowKind kind, TreeId id, uint32_t generation, uint32_t chunk)
{
    RowKey row = {.kind = kind, .id = id, .generation = generation, .chunk = chunk};
    uint32_t before = model->disk.count;
    Buffer key;

    buffer_init(&key, &MEMORY_HEAP);
    (void)disk_clear(&model->disk, tree_row_key(&key, &row));
    assert_int_equal(model->disk.count, before - 1);
    buffer_free(&key);
}

static void
a_restart_goes_on_where_the_rebuild_was(void **state)
{
    Model *model = model_new(9, false);
    TreeId id = build_half(model)->id;
    uint32_t built = tree_find(model->trees, id)->built;

    settle_all(model);
    crash(model);
    assert_int_equal(tree_find(model->trees, id)->built, built);
    assert_at_rest(model);
    model_free(model);
}

static void
a_rebuild_that_lost_a_row_starts_over(void **state)
{
    Model *model = model_new(9, true);
    const Tree *tree = build_half(model);
    TreeId id = tree->id;

    settle_all(model);
    lose_row(model, ROW_CHUNK, id, tree->next.generation, 1);
    crash(model);
    assert_int_equal(tree_find(model->trees, id)->built, 0);
    assert_false(tree_find(model->trees, id)->doubt);
    assert_at_rest(model);
    model_free(model);
}

static uint32_t
key_in_leaf(const Model *model, const Tree *tree, uint32_t leaf)
{
    uint32_t key = 0;

    while (bucket_of(key) != tree->id.bucket_id ||
           ring_partition(model->position[key], PARTITIONS) != tree->id.partition ||
           tree_leaf_at(model->trees, &tree->next, model->position[key]) != leaf)
        key++;
    assert_true(key < KEYS);
    return key;
}

static void
doubt_of_what_is_built_starts_the_rebuild_over(void **state)
{
    for (uint32_t i = 0; i < 2; i++)
    {
        Model *model = model_new(9, true);
        Tree *tree = build_half(model);
        uint32_t leaf = i == 0 ? tree->built - 1 : tree->built;

        settle_all(model);
        begin_job(model);
        overwrite_unreadable(model, key_in_leaf(model, tree, leaf));
        assert_int_equal(tree->built, 0);
        end_job(model, true);
        assert_int_equal(tree->built, 0);
        assert_at_rest(model);
        model_free(model);
    }
}

static void
doubt_of_what_is_to_be_built_lets_the_rebuild_go_on(void **state)
{
    Model *model = model_new(9, true);
    Tree *tree = build_half(model);
    uint32_t built = tree->built;

    overwrite_unreadable(model, key_in_leaf(model, tree, built));
    assert_true(tree->doubt);
    assert_int_equal(tree->built, built);
    assert_at_rest(model);
    model_free(model);
}

static void
the_leaves_of_a_lost_head_are_removed(void **state)
{
    Model *model = model_new(9, true);

    put_keys(model, 0, KEYS);
    for (uint32_t i = 0; i < 3; i++)
    {
        build_all(model);
        (void)trees_rebuild(model->trees, (TreeId){1, 0});
    }
    assert_at_rest(model);
    lose_row(model, ROW_HEAD, (TreeId){1, 0}, 0, 0);
    crash(model);
    assert_true(tree_find(model->trees, (TreeId){1, 0})->doubt);
    assert_at_rest(model);
    model_free(model);
}

static void
a_lost_leaf_is_not_hidden_by_the_next_write_of_it(void **state)
{
    Model *model = model_new(11, true);
    TreeId id = tree_id_at(model->trees, 1, model->position[0]);

    change_key(model, 0, 1);
    settle_all(model);
    lose_row(model, ROW_CHUNK, id, tree_find(model->trees, id)->now.generation, 0);
    crash(model);
    assert_true(tree_find(model->trees, id)->doubt);
    change_key(model, 0, 2);
    settle_all(model);
    crash(model);
    assert_true(tree_find(model->trees, id)->doubt);
    assert_at_rest(model);
    model_free(model);
}

static void
rows_taken_out_of_an_empty_leaf_put_the_tree_in_doubt(void **state)
{
    Model *model = model_new(13, true);
    TreeId id = tree_id_at(model->trees, 1, model->position[0]);

    model->current[0] = 1; /* the tree has not heard of it */
    change_key(model, 0, 0);
    assert_true(tree_find(model->trees, id)->doubt);
    assert_at_rest(model);
    model_free(model);
}

static void
another_number_of_partitions_voids_all_rows(void **state)
{
    Model *model = model_new(15, true);
    TreeSum sum;

    put_keys(model, 0, 500);
    assert_at_rest(model);
    assert_false(trees_set_partitions(model->trees, 16));
    assert_int_equal(trees_counters(model->trees).trees, 0);
    trees_doubt(model->trees, &filling(model)->trees, 1, model->position[0]);
    settle_all(model);
    assert_int_equal(model->disk.count, tree_rows_on_disk(model->trees));
    assert_int_equal(model->disk.count, 3);
    assert_true(trees_sum(model->trees, tree_id_at(model->trees, 1, model->position[0]),
                          (TreePart){.depth = 0}, &sum));
    assert_false(sum.settled);
    model_free(model);
}

static void
a_lost_row_of_the_journal_puts_all_trees_in_doubt(void **state)
{
    Model *model = model_new(19, true);

    for (uint32_t key = 0; key < 10; key++)
    {
        change_key(model, key, 1);
        settle_all(model);
    }
    disk_remove(&model->disk, model->disk.count - 2, model->disk.count - 1);
    crash(model);
    assert_int_equal(trees_counters(model->trees).doubted, trees_counters(model->trees).trees);
    assert_at_rest(model);
    crash(model);
    assert_at_rest(model);
    model_free(model);
}

static void
the_journal_stays_as_short_as_there_are_leaves(void **state)
{
    Model *model = model_new(21, false);

    for (uint32_t i = 1; i <= 5000; i++)
    {
        change_key(model, 0, i);
        settle_all(model);
    }
    assert_in_range(model->disk.count, 3, 8 * CHUNK_LEAVES);
    assert_int_equal(model->disk.count, tree_rows_on_disk(model->trees));
    crash(model);
    assert_at_rest(model);
    model_free(model);
}

/* What a start would find is what there is. */
static void
assert_disk_is_true(const Model *model, uint32_t buckets)
{
    Trees *loaded = disk_load(&model->disk);

    for (uint32_t bucket = 1; bucket <= buckets; bucket++)
        for (uint32_t i = 0; i < PARTITIONS; i++)
        {
            TreeId id = {bucket, i};
            TreeSum sum, found;

            assert_true(trees_sum(model->trees, id, (TreePart){.depth = 0}, &sum));
            assert_true(trees_sum(loaded, id, (TreePart){.depth = 0}, &found));
            assert_int_equal(found.rows, sum.rows);
            assert_memory_equal(&found.digest, &sum.digest, sizeof(Digest));
        }
    trees_free(loaded);
}

static void
change_at(Model *model, uint32_t bucket_id, uint64_t position, uint32_t key)
{
    Bytes name, object;
    TreeChange change = {.bucket_id = bucket_id,
                         .position = position,
                         .key = key_bytes(&name, key),
                         .before = SLICE_EMPTY,
                         .after = object_bytes(&object, key, 1)};

    trees_change(model->trees, &filling(model)->trees, &change);
    settle_all(model);
}

/* While the hand goes around, trees come to stand in other slots. Most changes are of other trees
 * than those, whose last ones are soon old. */
static void
trees_that_are_added_take_nothing_from_the_journal_that_is_needed(void **state)
{
    Model *model = model_new(23, false);
    uint32_t buckets = 1;

    for (uint32_t i = 1; i <= 40000; i++)
    {
        uint64_t position = history_random_below(&model->random, UINT64_MAX);
        bool quiet = i % 40 < 2;

        buckets += i % 40 == 0;
        change_at(model, quiet ? buckets : 1, quiet ? buckets : position, i);
        if (i % 500 == 0)
            assert_disk_is_true(model, buckets);
    }
    model_free(model);
}

/* One key a batch, so that much is last changed in a row of the journal that is old; trees that
 * stay half built for a long time. */
static void
what_the_journal_forgets_is_in_the_chunks(void **state)
{
    Model *model = model_new(25, false);

    put_keys(model, 0, KEYS);
    for (uint32_t i = 1; i <= 40000; i++)
    {
        change_key(model, (uint32_t)history_random_below(&model->random, KEYS), ++model->versions);
        settle_all(model);
        if (i % 2200 > 1700 && i % 29 == 0)
            (void)trees_rebuild(model->trees, (TreeId){1, 0});
        if (i % 2200 > 1100 && i % 7 == 0)
        {
            end_job(model, true);
            begin_job(model);
        }
        if (i % 50 == 0)
            assert_disk_is_true(model, BUCKETS);
        if (i % 11000 == 0)
            crash(model);
    }
    assert_at_rest(model);
    model_free(model);
}

static void
a_range_that_is_no_leaves_has_no_sum(void **state)
{
    Model *model = model_new(17, false);
    uint64_t end = ((uint64_t)1 << 61) - 1;
    TreeSum sum;

    put_keys(model, 0, KEYS);
    assert_at_rest(model);
    assert_true(trees_depth(model->trees, (TreeId){1, 0}) > 4);
    assert_true(trees_range_sum(model->trees, 1, 0, end, &sum));
    assert_false(trees_range_sum(model->trees, 1, 1, end, &sum));
    assert_false(trees_range_sum(model->trees, 1, 0, end - 1, &sum));
    assert_false(trees_range_sum(model->trees, 1, 0, end + 1, &sum));
    assert_true(
        trees_range_sum(model->trees, 1, 0, trees_leaf_end(model->trees, 1, end / 3), &sum));
    assert_true(trees_range_sum(model->trees, 99, 5, 17, &sum) && sum.settled && sum.rows == 0);
    assert_false(trees_sum(model->trees, (TreeId){1, 0}, (TreePart){1, 2}, &sum));
    model_free(model);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sum_is_settled_only_when_its_batch_is),
        cmocka_unit_test(equal_objects_change_nothing),
        cmocka_unit_test(a_restart_goes_on_where_the_rebuild_was),
        cmocka_unit_test(a_rebuild_that_lost_a_row_starts_over),
        cmocka_unit_test(doubt_of_what_is_built_starts_the_rebuild_over),
        cmocka_unit_test(doubt_of_what_is_to_be_built_lets_the_rebuild_go_on),
        cmocka_unit_test(the_leaves_of_a_lost_head_are_removed),
        cmocka_unit_test(a_lost_leaf_is_not_hidden_by_the_next_write_of_it),
        cmocka_unit_test(rows_taken_out_of_an_empty_leaf_put_the_tree_in_doubt),
        cmocka_unit_test(another_number_of_partitions_voids_all_rows),
        cmocka_unit_test(a_lost_row_of_the_journal_puts_all_trees_in_doubt),
        cmocka_unit_test(the_journal_stays_as_short_as_there_are_leaves),
        cmocka_unit_test(trees_that_are_added_take_nothing_from_the_journal_that_is_needed),
        cmocka_unit_test(what_the_journal_forgets_is_in_the_chunks),
        cmocka_unit_test(a_range_that_is_no_leaves_has_no_sum),
        cmocka_unit_test(random_histories_leave_the_sums_true),
        cmocka_unit_test(what_was_unreadable_or_lost_is_in_doubt_until_it_is_rebuilt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
