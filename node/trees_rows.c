/*
 * The rows of trees on the disk.
 *
 *   store   the number of partitions
 *   head    of a tree: its generation, and how far the next one is built
 *   leaf    of a generation: digest and number of rows
 *
 * Keys begin with TREES_BUCKET and the kind, so that heads come before leaves, and the leaves of a
 * generation lie together. A leaf that is empty has its row too: one that is missing was lost.
 */
#include "node/trees_private.h"

#include "shared/ring.h"

#include <stdlib.h>

enum
{
    ROWS_FORMAT = 1,
    KIND_STORE = 0,
    KIND_HEAD = 1,
    KIND_LEAF = 2,
    KIND_END = 3,
    REMOVES_MAX = 1024 /* rows that are removed one by one; more of them as a range */
};

/* What a key says; the later fields are 0 in kinds that do not have them. */
typedef struct RowKey
{
    uint8_t kind;
    TreeId id;
    uint32_t generation;
    uint32_t leaf;
} RowKey;

static Slice
row_key(Buffer *buffer, const RowKey *key)
{
    buffer_reset(buffer);
    buffer_put_u32(buffer, TREES_BUCKET);
    buffer_put_u8(buffer, key->kind);
    if (key->kind == KIND_HEAD || key->kind == KIND_LEAF)
    {
        buffer_put_u32(buffer, key->id.bucket_id);
        buffer_put_u32(buffer, key->id.partition);
    }
    if (key->kind == KIND_LEAF)
    {
        buffer_put_u32(buffer, key->generation);
        buffer_put_u32(buffer, key->leaf);
    }
    return buffer_slice(buffer);
}

static bool
row_key_split(Slice bytes, RowKey *key)
{
    Reader reader = reader_begin(bytes);
    uint32_t bucket = reader_u32(&reader);

    *key = (RowKey){.kind = reader_u8(&reader)};
    if (key->kind == KIND_HEAD || key->kind == KIND_LEAF)
    {
        key->id.bucket_id = reader_u32(&reader);
        key->id.partition = reader_u32(&reader);
    }
    if (key->kind == KIND_LEAF)
    {
        key->generation = reader_u32(&reader);
        key->leaf = reader_u32(&reader);
    }
    return bucket == TREES_BUCKET && key->kind < KIND_END && reader_finish(&reader);
}

/* ---- loading ---- */

static void
load_store(Trees *trees, Slice value)
{
    Reader reader = reader_begin(value);
    uint8_t format = reader_u8(&reader);
    uint32_t partitions = reader_u32(&reader);

    if (reader_finish(&reader) && format == ROWS_FORMAT && ring_partitions_are_valid(partitions))
    {
        (void)trees_set_partitions(trees, partitions);
        trees->partitions_unsaved = false;
    }
}

typedef struct Head
{
    uint32_t generation;
    uint8_t bits;
    bool doubt;
    uint32_t next_generation; /* 0: none is being built */
    uint8_t next_bits;
    uint32_t built;
} Head;

static bool
head_decode(Slice value, Head *head)
{
    Reader reader = reader_begin(value);
    uint8_t format = reader_u8(&reader);

    head->generation = reader_u32(&reader);
    head->bits = reader_u8(&reader);
    head->doubt = reader_bool(&reader);
    head->next_generation = reader_u32(&reader);
    head->next_bits = reader_u8(&reader);
    head->built = reader_u32(&reader);
    return reader_finish(&reader) && format == ROWS_FORMAT && head->generation > 0 &&
           head->bits <= TREE_BITS_MAX && head->next_bits <= TREE_BITS_MAX &&
           head->built <= 1u << head->next_bits;
}

static void
head_encode(Buffer *buffer, const Tree *tree)
{
    bool building = tree->next.leaf != NULL && tree->built > 0;

    buffer_reset(buffer);
    buffer_put_u8(buffer, ROWS_FORMAT);
    buffer_put_u32(buffer, tree->now.generation);
    buffer_put_u8(buffer, tree->now.bits);
    buffer_put_u8(buffer, tree->doubt);
    buffer_put_u32(buffer, building ? tree->next.generation : 0);
    buffer_put_u8(buffer, building ? tree->next.bits : 0);
    buffer_put_u32(buffer, building ? tree->built : 0);
}

/* A head that cannot be read leaves a tree without a generation; see check_loaded(). */
static void
load_head(Trees *trees, const RowKey *key, Slice value)
{
    Tree *tree = tree_make(trees, key->id);
    Head head;

    if (!head_decode(value, &head))
        return;
#ifndef BUG_DOUBT_FORGOTTEN
    tree->doubt = head.doubt;
#endif
    tree->last_generation = head.generation;
    tree_leaves_new(trees, &tree->now, head.generation, head.bits);
    if (head.next_generation <= head.generation)
        return;
    tree->last_generation = head.next_generation;
    tree->built = tree->taken = head.built;
    tree_leaves_new(trees, &tree->next, head.next_generation, head.next_bits);
}

static void
load_leaf(Trees *trees, const RowKey *key, Slice value)
{
    Tree *tree = tree_make(trees, key->id);
    TreeLeaves *leaves = tree->now.leaf != NULL ? tree_generation(tree, key->generation) : NULL;
    Reader reader = reader_begin(value);
    TreeLeaf leaf = {.unsettled = 0};

    reader_copy(&reader, leaf.digest.bytes, sizeof(leaf.digest.bytes));
    leaf.rows = reader_u32(&reader);
    if (!reader_finish(&reader))
        return;
    if (leaves == NULL ||
        key->leaf >= (leaves == &tree->next ? tree->built : tree_leaf_count(leaves)))
    {
        tree->strays = true;
        if (tree->now.leaf == NULL)
            tree_set_rows(trees, tree, tree->rows + leaf.rows); /* about so many there are */
        if (key->generation > tree->last_generation && key->generation < UINT32_MAX)
            tree->last_generation = key->generation;
        return;
    }
    leaves->leaf[key->leaf] = leaf;
    leaves->loaded++;
}

void
trees_load(Trees *trees, Slice key, Slice value)
{
    RowKey row;

    if (!row_key_split(key, &row) ||
        (trees->partitions > 0 && row.id.partition >= trees->partitions))
        return;
    if (row.kind == KIND_STORE)
        load_store(trees, value);
    else if (row.kind == KIND_HEAD)
        load_head(trees, &row, value);
    else
        load_leaf(trees, &row, value);
}

/* As soon as a row of a tree in doubt is written, the doubt is: with that row the disk might look
 * as if nothing had been lost. */
static void
check_loaded(Trees *trees, Tree *tree)
{
    uint64_t rows = tree->rows;
    bool headless = tree->now.leaf == NULL;

    if (headless)
        tree_leaves_new(trees, &tree->now, ++tree->last_generation, 0);
#ifdef BUG_LOST_LEAF_NOT_MISSED
    if (headless)
#else
    if (headless || tree->now.loaded != tree_leaf_count(&tree->now))
#endif
        tree->doubt = tree->head_stale = true;
    if (tree->next.leaf != NULL && tree->next.loaded != tree->built)
    {
        tree->strays = true;
        tree_abandon(trees, NULL, tree);
    }
    tree_add_up(trees, tree);
    if (headless)
        tree_set_rows(trees, tree, rows);
    tree_consider(trees, tree);
}

void
trees_loaded(Trees *trees)
{
    for (uint32_t i = 0; i < trees->slot_count; i++)
        if (trees->slots[i] != NULL)
            check_loaded(trees, trees->slots[i]);
}

/* ---- giving out ---- */

static int
compare_touches(const void *a, const void *b)
{
    const TreeTouch *first = a;
    const TreeTouch *second = b;

    if (first->tree->id.bucket_id != second->tree->id.bucket_id)
        return first->tree->id.bucket_id < second->tree->id.bucket_id ? -1 : 1;
    if (first->tree->id.partition != second->tree->id.partition)
        return first->tree->id.partition < second->tree->id.partition ? -1 : 1;
    if (first->generation != second->generation)
        return first->generation < second->generation ? -1 : 1;
    return first->leaf < second->leaf ? -1 : first->leaf > second->leaf;
}

/* Where the rows go, and room for one of them. */
typedef struct RowsOut
{
    const TreeRows *rows;
    Buffer key;
    Buffer value;
} RowsOut;

static void
put_row(RowsOut *out, const RowKey *key)
{
    out->rows->put(out->rows->context, row_key(&out->key, key), buffer_slice(&out->value));
}

static void
put_head(RowsOut *out, const Tree *tree)
{
    head_encode(&out->value, tree);
    put_row(out, &(RowKey){.kind = KIND_HEAD, .id = tree->id});
}

static void
put_leaf(RowsOut *out, const Tree *tree, const TreeLeaves *leaves, uint32_t leaf)
{
    buffer_reset(&out->value);
    buffer_put(&out->value, leaves->leaf[leaf].digest.bytes, sizeof(Digest));
    buffer_put_u32(&out->value, leaves->leaf[leaf].rows);
    put_row(out, &(RowKey){KIND_LEAF, tree->id, leaves->generation, leaf});
}

static void
remove_range(RowsOut *out, const RowKey *first, const RowKey *end)
{
    Slice from = row_key(&out->key, first);
    Slice to = row_key(&out->value, end);

    out->rows->remove_range(out->rows->context, from, to);
}

/* The leaves of a generation that is over, and, with one that was replaced, all that is older. */
static void
remove_leaves(RowsOut *out, Tree *tree, const TreeTouch *removed)
{
    bool replaced = removed->generation < tree->now.generation;
    uint32_t count = removed->leaf - TOUCH_REMOVED;
    RowKey key = {KIND_LEAF, tree->id, removed->generation, 0};
    RowKey end = {KIND_LEAF, tree->id, removed->generation + 1, 0};

    if (count > REMOVES_MAX || (replaced && tree->strays))
    {
        if (replaced)
        {
            key.generation = 0;
            end.generation = tree->now.generation;
            tree->strays = false;
        }
        remove_range(out, &key, &end);
        return;
    }
    for (; key.leaf < count; key.leaf++)
        out->rows->remove(out->rows->context, row_key(&out->key, &key));
}

static void
put_store(RowsOut *out, Trees *trees)
{
    if (trees->rows_void)
        remove_range(out, &(RowKey){.kind = KIND_STORE}, &(RowKey){.kind = KIND_END});
    if (trees->partitions_unsaved && trees->partitions > 0)
    {
        buffer_reset(&out->value);
        buffer_put_u8(&out->value, ROWS_FORMAT);
        buffer_put_u32(&out->value, trees->partitions);
        put_row(out, &(RowKey){.kind = KIND_STORE});
    }
    trees->rows_void = trees->partitions_unsaved = false;
}

/* True when the touch is of a leaf, and still to be settled. */
static bool
put_touch(RowsOut *out, const TreeTouch *touch)
{
    const TreeLeaves *leaves;

    if (touch->leaf == TOUCH_HEAD)
        put_head(out, touch->tree);
    else if (touch->leaf >= TOUCH_REMOVED)
        remove_leaves(out, touch->tree, touch);
    else
    {
        leaves = tree_generation(touch->tree, touch->generation);
        if (leaves != NULL)
            put_leaf(out, touch->tree, leaves, touch->leaf);
        return leaves != NULL;
    }
    return false;
}

void
trees_close(Trees *trees, TreeBatch *batch, const TreeRows *rows)
{
    RowsOut out = {.rows = rows};
    uint32_t kept = 0;
    TreeTouch last = {.tree = NULL};

    if (batch->count == 0 && !trees->rows_void)
        return;
    buffer_init(&out.key, &MEMORY_HEAP);
    buffer_init(&out.value, &MEMORY_HEAP);
    put_store(&out, trees);
    qsort(batch->touches, batch->count, sizeof(TreeTouch), compare_touches);
    for (uint32_t i = 0; i < batch->count; i++)
    {
        TreeTouch touch = batch->touches[i];

        if (last.tree != NULL && compare_touches(&last, &touch) == 0)
        {
            if (touch.leaf < TOUCH_REMOVED)
                tree_unsettle(touch.tree, &touch);
            continue;
        }
        last = touch;
        if (put_touch(&out, &touch))
            batch->touches[kept++] = touch;
    }
    trees->touched -= batch->count - kept;
    batch->count = kept;
    buffer_free(&out.key);
    buffer_free(&out.value);
}
