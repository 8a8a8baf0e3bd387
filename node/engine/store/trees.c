/*
 * The table of trees and their leaves in memory: changes, sums over slices, and when a tree must be
 * built anew. trees_rows.c has the rows on the disk, trees_build.c the building, trees_close.c the
 * end of a write batch.
 */
#include "node/engine/store/trees_private.h"

#include "shared/ring/ring.h"

#include <assert.h>
#include <string.h>

enum
{
    SLOTS_MIN = 64 /* a power of two */
};

/* ---- the trees ---- */

int
tree_id_compare(TreeId a, TreeId b)
{
    if (a.bucket_id != b.bucket_id)
        return a.bucket_id < b.bucket_id ? -1 : 1;
    return (a.partition > b.partition) - (a.partition < b.partition);
}

Trees *
trees_new(void)
{
    Trees *trees = memory_resize(&MEMORY_HEAP, NULL, sizeof(Trees));

    memset(trees, 0, sizeof(*trees));
    trees->shape =
        (TreeShape){TREE_LEAF_ROWS_MAX, TREE_LEAF_ROWS_MIN, TREE_JOB_LEAVES, TREE_JOURNAL_STEP};
    return trees;
}

void
trees_set_shape(Trees *trees, TreeShape shape)
{
    trees->shape = shape;
}

static void
forget_all(Trees *trees)
{
    for (uint32_t i = 0; i < trees->slot_count; i++)
    {
        Tree *tree = trees->slots[i];

        if (tree == NULL)
            continue;
        tree_leaves_free(trees, &tree->now);
        tree_leaves_free(trees, &tree->next);
        memory_resize(&MEMORY_HEAP, tree, 0);
    }
    memory_resize(&MEMORY_HEAP, trees->slots, 0);
    trees->slots = NULL;
    trees->slot_count = 0;
    trees->first_queued = trees->last_queued = NULL;
    trees->counters = (TreeCounters){.rebuilt = trees->counters.rebuilt};
}

void
trees_free(Trees *trees)
{
    if (trees == NULL)
        return;
    forget_all(trees);
    memory_resize(&MEMORY_HEAP, trees, 0);
}

void
trees_forget(Trees *trees)
{
    assert(trees->touched == 0 && !trees->job_under_way);
    forget_all(trees);
    trees->rows_void = trees->store_unsaved = true;
    trees->journal = (TreeJournal){.first = 0};
}

bool
trees_set_partitions(Trees *trees, uint32_t partitions)
{
    bool others = trees->partitions != 0 && trees->partitions != partitions;

    if (trees->partitions == partitions)
        return true;
    assert(ring_partitions_are_valid(partitions));
    if (others)
        trees_forget(trees);
    trees->partitions = partitions;
    trees->partition_bits = (uint8_t)__builtin_ctz(partitions);
    trees->store_unsaved = true;
    return !others;
}

uint32_t
trees_partitions(const Trees *trees)
{
    return trees->partitions;
}

/* The slot that has the tree, or the empty one where it would go. */
static uint32_t
slot_of(const Trees *trees, TreeId id)
{
    uint64_t mixed = ((uint64_t)id.bucket_id << 32 | id.partition) * 0x9e3779b97f4a7c15u;
    uint32_t slot = (uint32_t)(mixed >> 32) & (trees->slot_count - 1);

    while (trees->slots[slot] != NULL && (trees->slots[slot]->id.bucket_id != id.bucket_id ||
                                          trees->slots[slot]->id.partition != id.partition))
        slot = (slot + 1) & (trees->slot_count - 1);
    return slot;
}

Tree *
tree_find(const Trees *trees, TreeId id)
{
    return trees->slot_count > 0 ? trees->slots[slot_of(trees, id)] : NULL;
}

/* At most half of the slots are in use. */
static void
make_room(Trees *trees)
{
    uint32_t old_count = trees->slot_count;
    Tree **old = trees->slots;

    if (trees->counters.trees < old_count / 2)
        return;
    trees->slot_count = old_count > 0 ? old_count * 2 : SLOTS_MIN;
    trees->slots = memory_resize(&MEMORY_HEAP, NULL, trees->slot_count * sizeof(Tree *));
    memset(trees->slots, 0, trees->slot_count * sizeof(Tree *));
    for (uint32_t i = 0; i < old_count; i++)
        if (old[i] != NULL)
            trees->slots[slot_of(trees, old[i]->id)] = old[i];
    memory_resize(&MEMORY_HEAP, old, 0);
    tree_journal_restart(trees);
}

Tree *
tree_make(Trees *trees, TreeId id)
{
    Tree *tree = tree_find(trees, id);

    if (tree != NULL)
        return tree;
    make_room(trees);
    tree = memory_resize(&MEMORY_HEAP, NULL, sizeof(Tree));
    *tree = (Tree){.id = id};
    trees->slots[slot_of(trees, id)] = tree;
    trees->counters.trees++;
    return tree;
}

TreeId
tree_id_at(const Trees *trees, uint32_t bucket_id, uint64_t position)
{
    return (TreeId){bucket_id, ring_partition(position, trees->partitions)};
}

uint32_t
tree_leaf_at(const Trees *trees, const TreeLeaves *leaves, uint64_t position)
{
    uint64_t inside = position << trees->partition_bits;

    return leaves->bits > 0 ? (uint32_t)(inside >> (64 - leaves->bits)) : 0;
}

void
tree_leaves_new(Trees *trees, TreeLeaves *leaves, uint32_t generation, uint8_t bits)
{
    size_t bytes = sizeof(TreeLeaf) << bits;

    *leaves = (TreeLeaves){.generation = generation, .bits = bits};
    leaves->leaf = memory_resize(&MEMORY_HEAP, NULL, bytes);
    memset(leaves->leaf, 0, bytes);
    trees->counters.leaves += tree_leaf_count(leaves);
}

void
tree_leaves_free(Trees *trees, TreeLeaves *leaves)
{
    trees->counters.leaves -= tree_leaf_count(leaves);
    memory_resize(&MEMORY_HEAP, leaves->leaf, 0);
    *leaves = (TreeLeaves){.leaf = NULL};
}

TreeLeaves *
tree_generation(Tree *tree, uint32_t generation)
{
    if (tree->now.generation == generation)
        return &tree->now;
    return tree->next.leaf != NULL && tree->next.generation == generation ? &tree->next : NULL;
}

static void
sum_leaves(const TreeLeaves *leaves, uint32_t first, uint32_t count, TreeSum *sum,
           uint64_t *unsettled)
{
    for (uint32_t i = first; i < first + count; i++)
    {
        const TreeLeaf *leaf = &leaves->leaf[i];

        digest_mix(&sum->digest, &leaf->digest);
        sum->rows += leaf->rows;
        *unsettled += leaf->unsettled;
    }
}

void
tree_set_rows(Trees *trees, Tree *tree, uint64_t rows)
{
    trees->counters.rows += rows - tree->rows;
    tree->rows = rows;
}

void
tree_add_up(Trees *trees, Tree *tree)
{
    TreeSum sum = {.digest = DIGEST_ABSENT};

    tree->unsettled = 0;
    sum_leaves(&tree->now, 0, tree_leaf_count(&tree->now), &sum, &tree->unsettled);
    tree->digest = sum.digest;
    tree_set_rows(trees, tree, sum.rows);
}

/* ---- batches ---- */

void
tree_touch(Trees *trees, TreeBatch *batch, Tree *tree, uint32_t generation, uint32_t leaf)
{
    if (batch->count == batch->capacity)
    {
        batch->capacity = batch->capacity > 0 ? batch->capacity * 2 : 16;
        batch->touches =
            memory_resize(&MEMORY_HEAP, batch->touches, batch->capacity * sizeof(TreeTouch));
    }
    batch->touches[batch->count++] = (TreeTouch){tree, generation, leaf};
    trees->touched++;
}

void
tree_touch_leaf(Trees *trees, TreeBatch *batch, Tree *tree, TreeLeaves *leaves, uint32_t leaf)
{
    leaves->leaf[leaf].unsettled++;
    tree->unsettled += leaves == &tree->now;
    tree_touch(trees, batch, tree, leaves->generation, leaf);
    if (tree->head_stale)
    {
        tree->head_stale = false;
        tree_touch(trees, batch, tree, 0, TOUCH_HEAD);
    }
}

void
tree_unsettle(Tree *tree, const TreeTouch *touch)
{
    TreeLeaves *leaves = tree_generation(tree, touch->generation);

    if (leaves == NULL)
        return;
    leaves->leaf[touch->leaf].unsettled--;
    tree->unsettled -= leaves == &tree->now;
}

void
trees_settle(Trees *trees, TreeBatch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++)
        tree_unsettle(batch->touches[i].tree, &batch->touches[i]);
    trees->touched -= batch->count;
    batch->count = 0;
}

void
trees_batch_free(TreeBatch *batch)
{
    memory_resize(&MEMORY_HEAP, batch->touches, 0);
    *batch = (TreeBatch){.touches = NULL};
}

/* ---- changes ---- */

/* What a change does to each leaf that the row is in. */
typedef struct LeafChange
{
    Digest digest;
    int rows;
} LeafChange;

static LeafChange
change_of(const TreeChange *change)
{
    LeafChange result = {.digest = DIGEST_ABSENT};

    if (change->before.length > 0)
    {
        result.digest = message_row_digest(change->key, change->before);
        result.rows--;
    }
    if (change->after.length > 0)
    {
        Digest after = message_row_digest(change->key, change->after);

        digest_mix(&result.digest, &after);
        result.rows++;
    }
    return result;
}

/* False when it cannot have been true before, or is not now. */
static bool
change_leaf(TreeLeaf *leaf, const LeafChange *change)
{
    digest_mix(&leaf->digest, &change->digest);
    if (change->rows < 0 && leaf->rows == 0)
        return false;
    leaf->rows += (uint32_t)change->rows;
    return leaf->rows > 0 || digest_equal(&leaf->digest, &DIGEST_ABSENT);
}

static Tree *
tree_for_change(Trees *trees, TreeBatch *batch, TreeId id)
{
    Tree *tree = tree_make(trees, id);

    if (tree->now.leaf == NULL)
    {
        tree->last_generation = 1;
        tree_leaves_new(trees, &tree->now, tree->last_generation, 0);
        tree_touch(trees, batch, tree, 0, TOUCH_HEAD);
        tree_touch(trees, batch, tree, tree->now.generation, TOUCH_CHUNK);
    }
    return tree;
}

static void
doubt_tree(Trees *trees, TreeBatch *batch, Tree *tree)
{
    if (!tree->doubt)
        tree_touch(trees, batch, tree, 0, TOUCH_HEAD);
    tree->doubt = true;
    tree_consider(trees, tree);
}

static void
change_now(Trees *trees, TreeBatch *batch, Tree *tree, uint64_t position, const LeafChange *change)
{
    uint32_t leaf = tree_leaf_at(trees, &tree->now, position);
    uint32_t rows = tree->now.leaf[leaf].rows;

    if (!change_leaf(&tree->now.leaf[leaf], change))
        doubt_tree(trees, batch, tree);
    tree_set_rows(trees, tree, tree->rows + tree->now.leaf[leaf].rows - rows);
    digest_mix(&tree->digest, &change->digest);
    tree_touch_leaf(trees, batch, tree, &tree->now, leaf);
}

/* Leaves that no job has come to are left alone: their job will find the row as it is then. Those
 * of the job under way have no rows on the disk yet, and may count fewer rows than none meanwhile.
 */
static void
change_next(Trees *trees, TreeBatch *batch, Tree *tree, uint64_t position, const LeafChange *change)
{
    uint32_t leaf = tree_leaf_at(trees, &tree->next, position);

    if (tree->next.leaf == NULL || leaf >= tree->taken)
        return;
    if (leaf >= tree->built)
    {
        digest_mix(&tree->next.leaf[leaf].digest, &change->digest);
        tree->next.leaf[leaf].rows += (uint32_t)change->rows;
    }
    else if (change_leaf(&tree->next.leaf[leaf], change))
        tree_touch_leaf(trees, batch, tree, &tree->next, leaf);
    else
        tree_abandon(trees, batch, tree);
}

void
trees_change(Trees *trees, TreeBatch *batch, const TreeChange *change)
{
    assert(trees->partitions > 0);
    if (slice_equal(change->before, change->after))
        return;

    TreeId id = tree_id_at(trees, change->bucket_id, change->position);
    Tree *tree = tree_for_change(trees, batch, id);
    LeafChange leaf = change_of(change);

    change_now(trees, batch, tree, change->position, &leaf);
    change_next(trees, batch, tree, change->position, &leaf);
    tree_consider(trees, tree);
}

void
trees_doubt(Trees *trees, TreeBatch *batch, uint32_t bucket_id, uint64_t position)
{
    assert(trees->partitions > 0);

    Tree *tree = tree_for_change(trees, batch, tree_id_at(trees, bucket_id, position));

    if (tree->next.leaf != NULL && tree_leaf_at(trees, &tree->next, position) < tree->taken)
        tree_abandon(trees, batch, tree);
    doubt_tree(trees, batch, tree);
}

/* ---- asking ---- */

uint8_t
trees_depth(const Trees *trees, TreeId id)
{
    const Tree *tree = tree_find(trees, id);

    return tree != NULL ? tree->now.bits : 0;
}

static void
sum_of(const Tree *tree, uint32_t first, uint32_t count, TreeSum *sum)
{
    uint64_t unsettled = 0;

    sum_leaves(&tree->now, first, count, sum, &unsettled);
    sum->settled = unsettled == 0 && !tree->doubt;
}

bool
trees_sum(const Trees *trees, TreeId id, TreePart part, TreeSum *sum)
{
    const Tree *tree = tree_find(trees, id);

    *sum = (TreeSum){.digest = DIGEST_ABSENT, .settled = true};
    if (tree == NULL)
        return true;
    if (part.depth > tree->now.bits || part.prefix >> part.depth > 0)
        return false;
    if (part.depth == 0)
        *sum = (TreeSum){tree->digest, tree->rows, tree->unsettled == 0 && !tree->doubt};
    else
    {
        uint8_t below = tree->now.bits - part.depth;

        sum_of(tree, part.prefix << below, 1u << below, sum);
    }
    return true;
}

void
trees_part_range(const Trees *trees, uint32_t partition, TreePart part, uint64_t *first,
                 uint64_t *last)
{
    uint8_t width = 64 - trees->partition_bits - part.depth;

    assert(trees->partitions > 0);
    *first = ring_partition_start(partition, trees->partitions) + ((uint64_t)part.prefix << width);
    *last = *first + (((uint64_t)1 << width) - 1);
}

/* The positions of the leaf of a tree, or of a partition that has none. */
static uint32_t
leaf_range(const Trees *trees, const Tree *tree, uint64_t position, uint64_t *first, uint64_t *last)
{
    uint32_t leaf = tree != NULL ? tree_leaf_at(trees, &tree->now, position) : 0;
    TreePart part = {.depth = tree != NULL ? tree->now.bits : 0, .prefix = leaf};

    trees_part_range(trees, ring_partition(position, trees->partitions), part, first, last);
    return leaf;
}

bool
trees_range_sum(const Trees *trees, uint32_t bucket_id, uint64_t first, uint64_t last, TreeSum *sum)
{
    uint64_t leaf_first, leaf_last, unused;

    *sum = (TreeSum){.digest = DIGEST_ABSENT, .settled = true};
    if (trees->partitions == 0 || first > last ||
        ring_partition(first, trees->partitions) != ring_partition(last, trees->partitions))
        return false;

    const Tree *tree = tree_find(trees, tree_id_at(trees, bucket_id, first));

    if (tree == NULL)
        return true;

    uint32_t from = leaf_range(trees, tree, first, &leaf_first, &unused);
    uint32_t to = leaf_range(trees, tree, last, &unused, &leaf_last);

    if (first != leaf_first || last != leaf_last)
        return false;
    sum_of(tree, from, to - from + 1, sum);
    return true;
}

uint64_t
trees_leaf_end(const Trees *trees, uint32_t bucket_id, uint64_t position)
{
    uint64_t first, last;

    assert(trees->partitions > 0);
    leaf_range(trees, tree_find(trees, tree_id_at(trees, bucket_id, position)), position, &first,
               &last);
    return last;
}

bool
trees_next(const Trees *trees, uint32_t *slot, TreeId *id)
{
    while (*slot < trees->slot_count)
    {
        const Tree *tree = trees->slots[(*slot)++];

        if (tree == NULL)
            continue;
        *id = tree->id;
        return true;
    }
    return false;
}

TreeCounters
trees_counters(const Trees *trees)
{
    TreeCounters counters = trees->counters;

    counters.bytes = sizeof(Trees) + trees->slot_count * sizeof(Tree *) +
                     counters.trees * sizeof(Tree) + counters.leaves * sizeof(TreeLeaf);
    return counters;
}
