/*
 * A tree built anew beside the one in use.
 *
 * Of the next generation the first `built` leaves are complete and on the disk, and changes go into
 * them as into those in use. Those up to `taken` are the job's: it folds what a snapshot has of
 * them, while changes from then on gather in the leaves; both together are true when it ends.
 * Changes behind that need no note: a later snapshot will have them.
 */
#include "node/engine/store/trees_private.h"

#include "shared/ring/ring.h"

#include <assert.h>
#include <string.h>

/* ---- what is to be built ---- */

static uint8_t
target_bits(const Trees *trees, const Tree *tree)
{
    int bits = tree->now.bits;

    while (bits < TREE_BITS_MAX && tree->rows > (uint64_t)trees->shape.leaf_rows_max << bits)
        bits += TREE_GROW_BITS;
    while (bits > 0 && tree->rows < (uint64_t)trees->shape.leaf_rows_min << bits)
        bits -= TREE_GROW_BITS;
    return (uint8_t)bits;
}

static bool
is_wanted(const Trees *trees, const Tree *tree)
{
    return tree->next.leaf != NULL || tree->doubt || tree->rebuild ||
           target_bits(trees, tree) != tree->now.bits;
}

static void
queue_tree(Trees *trees, Tree *tree)
{
    tree->queued = true;
    tree->behind = NULL;
    if (trees->first_queued != NULL)
        trees->last_queued->behind = tree;
    else
        trees->first_queued = tree;
    trees->last_queued = tree;
    trees->counters.doubted++;
}

static void
drop_first_queued(Trees *trees)
{
    Tree *tree = trees->first_queued;

    trees->first_queued = tree->behind;
    tree->queued = false;
    trees->counters.doubted--;
}

void
tree_consider(Trees *trees, Tree *tree)
{
    if (!tree->queued && is_wanted(trees, tree))
        queue_tree(trees, tree);
}

bool
trees_rebuild(Trees *trees, TreeId id)
{
    Tree *tree = tree_find(trees, id);

    if (tree == NULL || tree->rebuild || tree->next.leaf != NULL)
        return false;
    tree->rebuild = true;
    tree_consider(trees, tree);
    return true;
}

void
tree_abandon(Trees *trees, TreeBatch *batch, Tree *tree)
{
    if (batch != NULL && tree->built > 0)
    {
        tree_touch(trees, batch, tree, tree->next.generation,
                   TOUCH_REMOVED + tree_chunks_of(tree->built));
        tree_touch(trees, batch, tree, 0, TOUCH_HEAD);
    }
    tree_leaves_free(trees, &tree->next);
    tree->built = tree->taken = 0;
}

/* ---- jobs ---- */

static Tree *
first_wanted(Trees *trees)
{
    while (trees->first_queued != NULL && !is_wanted(trees, trees->first_queued))
        drop_first_queued(trees);
    return trees->first_queued;
}

bool
trees_begin_job(Trees *trees, TreeJob *job)
{
    Tree *tree;
    TreePart whole = {.depth = 0};
    uint32_t left;
    uint64_t unused;

    if (trees->partitions == 0 || trees->job_under_way || (tree = first_wanted(trees)) == NULL)
        return false;
    if (tree->next.leaf == NULL)
        tree_leaves_new(trees, &tree->next, ++tree->last_generation, target_bits(trees, tree));
    left = tree_leaf_count(&tree->next) - tree->built;
    *job = (TreeJob){.id = tree->id,
                     .leaf_count = left < trees->shape.job_leaves ? left : trees->shape.job_leaves,
                     .shift = (uint8_t)(64 - trees->partition_bits - tree->next.bits)};
    trees_part_range(trees, tree->id.partition, whole, &job->first, &unused);
    job->first += (uint64_t)tree->built << job->shift;
    job->last = job->first + (((uint64_t)job->leaf_count << job->shift) - 1);
    job->folds = memory_resize(&MEMORY_HEAP, NULL, job->leaf_count * sizeof(TreeLeaf));
    memset(job->folds, 0, job->leaf_count * sizeof(TreeLeaf));
    tree->taken = tree->built + job->leaf_count;
    trees->job_under_way = true;
    return true;
}

void
tree_job_fold(TreeJob *job, uint64_t position, Slice key, Slice object)
{
    TreeLeaf *fold = &job->folds[(position - job->first) >> job->shift];
    Digest digest;

    assert(position >= job->first && position <= job->last);
    if (object.length == 0)
        return;
    digest = message_row_digest(key, object);
    digest_mix(&fold->digest, &digest);
    fold->rows++;
}

static void
take_folds(Trees *trees, Tree *tree, const TreeJob *job, TreeBatch *batch)
{
    for (uint32_t i = 0; i < job->leaf_count; i++)
    {
        TreeLeaf *leaf = &tree->next.leaf[tree->built + i];

        digest_mix(&leaf->digest, &job->folds[i].digest);
        leaf->rows += job->folds[i].rows;
        tree_touch_leaf(trees, batch, tree, &tree->next, tree->built + i);
    }
    for (uint32_t i = tree->built / CHUNK_LEAVES; i < tree_chunks_of(tree->taken); i++)
        tree_touch(trees, batch, tree, tree->next.generation, TOUCH_CHUNK + i);
    tree->built = tree->taken;
    tree_touch(trees, batch, tree, 0, TOUCH_HEAD);
}

static void
give_back(Tree *tree)
{
    memset(&tree->next.leaf[tree->built], 0, (tree->taken - tree->built) * sizeof(TreeLeaf));
    tree->taken = tree->built;
}

/* The next generation becomes the tree. */
static void
replace(Trees *trees, Tree *tree, TreeBatch *batch)
{
    uint32_t chunks = tree_chunks_of(tree_leaf_count(&tree->now));

    tree_touch(trees, batch, tree, tree->now.generation, TOUCH_REMOVED + chunks);
    tree_leaves_free(trees, &tree->now);
    tree->now = tree->next;
    tree->next = (TreeLeaves){.leaf = NULL};
    tree->built = tree->taken = 0;
    tree->doubt = tree->rebuild = tree->head_stale = false;
    tree_add_up(trees, tree);
    tree_journal_revisit(trees, tree);
    trees->counters.rebuilt++;
}

void
trees_end_job(Trees *trees, TreeJob *job, bool readable, TreeBatch *batch)
{
    Tree *tree = trees->first_queued;
    bool abandoned = tree->next.leaf == NULL;

    assert(trees->job_under_way && tree->id.bucket_id == job->id.bucket_id &&
           tree->id.partition == job->id.partition);
    trees->job_under_way = false;
    if (!abandoned && readable)
        take_folds(trees, tree, job, batch);
    else if (!abandoned)
        give_back(tree);
    if (!readable)
    {
        drop_first_queued(trees);
        queue_tree(trees, tree);
    }
    else if (!abandoned && tree->built == tree_leaf_count(&tree->next))
    {
        replace(trees, tree, batch);
        drop_first_queued(trees);
        tree_consider(trees, tree);
    }
    memory_resize(&MEMORY_HEAP, job->folds, 0);
    job->folds = NULL;
}
