/*
 * The rows that a batch writes.
 *
 * What it changed goes into one row of the journal. For every TREE_JOURNAL_STEP entries there a
 * hand that goes around all trees writes one chunk anew, so that writing chunks costs about as many
 * bytes as the journal does. Once it has been around, rows of the journal from before it set out
 * say nothing that chunks do not, and are removed by and by.
 */
#include "node/engine/store/trees_private.h"

#include <stdlib.h>

enum
{
    REMOVES_MAX = 1024 /* chunks that are removed one by one; more of them as a range */
};

/* Where the rows go, and room for one of them and for the journal's. */
typedef struct RowsOut
{
    const TreeRows *rows;
    Buffer key;
    Buffer value;
    Buffer journal;
} RowsOut;

static void
put_row(RowsOut *out, const RowKey *key)
{
    out->rows->put(out->rows->context, tree_row_key(&out->key, key), buffer_slice(&out->value));
}

static void
put_head(RowsOut *out, const Tree *tree)
{
    tree_head_encode(&out->value, tree);
    put_row(out, &(RowKey){.kind = ROW_HEAD, .id = tree->id});
}

static void
put_chunk(RowsOut *out, Tree *tree, const TreeLeaves *leaves, uint32_t chunk)
{
    tree_chunk_encode(&out->value, leaves, chunk);
    put_row(out, &(RowKey){.kind = ROW_CHUNK,
                           .id = tree->id,
                           .generation = leaves->generation,
                           .chunk = chunk});
    if (tree->head_stale)
        put_head(out, tree);
    tree->head_stale = false;
}

static void
remove_range(RowsOut *out, const RowKey *first, const RowKey *end)
{
    Slice from = tree_row_key(&out->key, first);
    Slice to = tree_row_key(&out->value, end);

    out->rows->remove_range(out->rows->context, from, to);
}

/* The chunks of a generation that is over, and, with one that was replaced, all that is older. */
static void
remove_chunks(RowsOut *out, Tree *tree, const TreeTouch *removed)
{
    bool replaced = removed->generation < tree->now.generation;
    uint32_t count = removed->leaf - TOUCH_REMOVED;
    RowKey key = {.kind = ROW_CHUNK, .id = tree->id, .generation = removed->generation};
    RowKey end = key;

    if (count > REMOVES_MAX || (replaced && tree->strays))
    {
        key.generation = replaced ? 0 : key.generation;
        end.generation = replaced ? tree->now.generation : key.generation + 1;
        tree->strays = tree->strays && !replaced;
        remove_range(out, &key, &end);
        return;
    }
    for (; key.chunk < count; key.chunk++)
        out->rows->remove(out->rows->context, tree_row_key(&out->key, &key));
}

/* ---- the journal ---- */

void
tree_journal_restart(Trees *trees)
{
    TreeJournal *journal = &trees->journal;

    journal->set_out = journal->next;
    journal->slot = journal->chunk = 0;
}

void
tree_journal_revisit(Trees *trees, const Tree *tree)
{
    TreeJournal *journal = &trees->journal;

    if (journal->slot < trees->slot_count && trees->slots[journal->slot] == tree)
        journal->chunk = 0;
}

/* False when the hand is behind the tree's last chunk. */
static bool
put_tree_chunk(RowsOut *out, Tree *tree, uint32_t chunk)
{
    uint32_t now = tree_chunks_of(tree_leaf_count(&tree->now));
    uint32_t next = tree_chunks_of(tree->built);

    if (chunk < now)
        put_chunk(out, tree, &tree->now, chunk);
    else if (chunk < now + next)
        put_chunk(out, tree, &tree->next, chunk - now);
    return chunk < now + next;
}

static void
move_hand(RowsOut *out, Trees *trees)
{
    TreeJournal *journal = &trees->journal;

    for (; journal->slot < trees->slot_count; journal->slot++, journal->chunk = 0)
    {
        Tree *tree = trees->slots[journal->slot];

        if (tree != NULL && put_tree_chunk(out, tree, journal->chunk))
        {
            journal->chunk++;
            return;
        }
    }
    journal->needless = journal->set_out;
    tree_journal_restart(trees);
}

/* Some at a time, since the store's row is written with them. */
static void
remove_needless(RowsOut *out, Trees *trees)
{
    TreeJournal *journal = &trees->journal;
    RowKey key = {.kind = ROW_JOURNAL};

    if (journal->needless < journal->first + trees->shape.journal_step)
        return;
    for (uint32_t i = 0; i < trees->shape.journal_step; i++)
    {
        key.number = journal->first++;
        out->rows->remove(out->rows->context, tree_row_key(&out->key, &key));
    }
    trees->store_unsaved = true;
}

static void
put_journal(RowsOut *out, Trees *trees, uint32_t entries)
{
    TreeJournal *journal = &trees->journal;

    if (entries == 0)
        return;
    out->rows->put(
        out->rows->context,
        tree_row_key(&out->key, &(RowKey){.kind = ROW_JOURNAL, .number = journal->next++}),
        buffer_slice(&out->journal));
    journal->owed += entries;
    for (; journal->owed >= trees->shape.journal_step; journal->owed -= trees->shape.journal_step)
        move_hand(out, trees);
    remove_needless(out, trees);
}

/* ---- a batch ---- */

static int
compare_numbers(uint32_t a, uint32_t b)
{
    return a < b ? -1 : a > b;
}

static int
compare_touches(const void *a, const void *b)
{
    const TreeTouch *first = a;
    const TreeTouch *second = b;
    int order = compare_numbers(first->tree->id.bucket_id, second->tree->id.bucket_id);

    if (order == 0)
        order = compare_numbers(first->tree->id.partition, second->tree->id.partition);
    if (order == 0)
        order = compare_numbers(first->generation, second->generation);
    return order != 0 ? order : compare_numbers(first->leaf, second->leaf);
}

/* True when the touch is of a leaf, and still to be settled. */
static bool
put_touch(RowsOut *out, const TreeTouch *touch)
{
    Tree *tree = touch->tree;
    TreeLeaves *leaves = tree_generation(tree, touch->generation);

    if (touch->leaf == TOUCH_HEAD)
        put_head(out, tree);
    else if (touch->leaf >= TOUCH_REMOVED)
        remove_chunks(out, tree, touch);
    else if (leaves != NULL && touch->leaf >= TOUCH_CHUNK)
        put_chunk(out, tree, leaves, touch->leaf - TOUCH_CHUNK);
    else if (leaves != NULL)
    {
        tree_entry_encode(&out->journal, tree, leaves, touch->leaf);
        return true;
    }
    return false;
}

/* Sorted, each row once, and what remains to be settled. */
static void
put_touches(RowsOut *out, Trees *trees, TreeBatch *batch)
{
    TreeTouch last = {.tree = NULL};
    uint32_t kept = 0;

    if (batch->count > 1)
        qsort(batch->touches, batch->count, sizeof(TreeTouch), compare_touches);
    for (uint32_t i = 0; i < batch->count; i++)
    {
        TreeTouch touch = batch->touches[i];

        if (last.tree != NULL && compare_touches(&last, &touch) == 0)
        {
            if (touch.leaf < TOUCH_CHUNK)
                tree_unsettle(touch.tree, &touch);
            continue;
        }
        last = touch;
        if (put_touch(out, &touch))
            batch->touches[kept++] = touch;
    }
    trees->touched -= batch->count - kept;
    batch->count = kept;
}

void
trees_close(Trees *trees, TreeBatch *batch, const TreeRows *rows)
{
    RowsOut out = {.rows = rows};

    if (batch->count == 0 && !trees->rows_void)
        return;
    buffer_init(&out.key, &MEMORY_HEAP);
    buffer_init(&out.value, &MEMORY_HEAP);
    buffer_init(&out.journal, &MEMORY_HEAP);
    buffer_put_u8(&out.journal, ROWS_FORMAT);
    if (trees->rows_void)
        remove_range(&out, &(RowKey){.kind = ROW_STORE}, &(RowKey){.kind = ROW_END});
    put_touches(&out, trees, batch);
    put_journal(&out, trees, batch->count);
    if (trees->store_unsaved && trees->partitions > 0)
    {
        tree_store_encode(&out.value, trees);
        put_row(&out, &(RowKey){.kind = ROW_STORE});
        trees->store_unsaved = false;
    }
    trees->rows_void = false;
    buffer_free(&out.key);
    buffer_free(&out.value);
    buffer_free(&out.journal);
}
