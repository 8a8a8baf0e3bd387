/*
 * The rows of trees on the disk, and how they are read at the start.
 *
 *   store    the number of partitions, and where the journal begins
 *   head     of a tree: its generation, and how far the next one is built
 *   chunk    CHUNK_LEAVES leaves of a generation, as they were when it was written
 *   journal  what a batch has made of the leaves it changed; numbered, without gaps
 *
 * A store writes one row of the journal for all the leaves that a batch changes, at the end of what
 * is there, since a row for each of them would cost it as much as the records do. A leaf is what
 * the journal says last of it, else what its chunk says. Chunks are written anew in turn
 * (trees_close.c), so that the journal stays about as long as there are leaves.
 *
 * Keys begin with TREES_BUCKET and the kind, so that they are read in that order.
 */
#include "node/engine/store/trees_private.h"

#include "shared/ring/ring.h"

Slice
tree_row_key(Buffer *buffer, const RowKey *key)
{
    buffer_reset(buffer);
    buffer_put_u32(buffer, TREES_BUCKET);
    buffer_put_u8(buffer, (uint8_t)key->kind);
    if (key->kind == ROW_HEAD || key->kind == ROW_CHUNK)
    {
        buffer_put_u32(buffer, key->id.bucket_id);
        buffer_put_u32(buffer, key->id.partition);
    }
    if (key->kind == ROW_CHUNK)
    {
        buffer_put_u32(buffer, key->generation);
        buffer_put_u32(buffer, key->chunk);
    }
    if (key->kind == ROW_JOURNAL)
        buffer_put_u64(buffer, key->number);
    return buffer_slice(buffer);
}

static bool
row_key_split(Slice bytes, RowKey *key)
{
    Reader reader = reader_begin(bytes);
    uint32_t bucket = reader_u32(&reader);

    *key = (RowKey){.kind = (RowKind)reader_u8(&reader)};
    if (key->kind == ROW_HEAD || key->kind == ROW_CHUNK)
    {
        key->id.bucket_id = reader_u32(&reader);
        key->id.partition = reader_u32(&reader);
    }
    if (key->kind == ROW_CHUNK)
    {
        key->generation = reader_u32(&reader);
        key->chunk = reader_u32(&reader);
    }
    if (key->kind == ROW_JOURNAL)
        key->number = reader_u64(&reader);
    return bucket == TREES_BUCKET && key->kind < ROW_END && reader_finish(&reader);
}

/* ---- the store ---- */

void
tree_store_encode(Buffer *buffer, const Trees *trees)
{
    buffer_reset(buffer);
    buffer_put_u8(buffer, ROWS_FORMAT);
    buffer_put_u32(buffer, trees->partitions);
    buffer_put_u64(buffer, trees->journal.first);
}

static void
load_store(Trees *trees, Slice value)
{
    Reader reader = reader_begin(value);
    uint8_t format = reader_u8(&reader);
    uint32_t partitions = reader_u32(&reader);
    uint64_t first = reader_u64(&reader);

    if (!reader_finish(&reader) || format != ROWS_FORMAT || !ring_partitions_are_valid(partitions))
        return;
    (void)trees_set_partitions(trees, partitions);
    trees->store_unsaved = false;
    trees->journal.first = trees->journal.next = first;
}

/* ---- heads ---- */

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

void
tree_head_encode(Buffer *buffer, const Tree *tree)
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
    tree->doubt = head.doubt;
    tree->last_generation = head.generation;
    tree_leaves_new(trees, &tree->now, head.generation, head.bits);
    if (head.next_generation <= head.generation)
        return;
    tree->last_generation = head.next_generation;
    tree->built = tree->taken = head.built;
    tree_leaves_new(trees, &tree->next, head.next_generation, head.next_bits);
}

/* ---- leaves ---- */

static void
leaf_encode(Buffer *buffer, const TreeLeaf *leaf)
{
    buffer_put(buffer, leaf->digest.bytes, sizeof(leaf->digest.bytes));
    buffer_put_varint(buffer, leaf->rows);
}

static TreeLeaf
leaf_decode(Reader *reader)
{
    TreeLeaf leaf = {.unsettled = 0};

    reader_copy(reader, leaf.digest.bytes, sizeof(leaf.digest.bytes));
    leaf.rows = reader_varint32(reader);
    return leaf;
}

/* Leaves that are not built yet are in the chunk, and count for nothing. */
void
tree_chunk_encode(Buffer *buffer, const TreeLeaves *leaves, uint32_t chunk)
{
    uint32_t end = (chunk + 1) * CHUNK_LEAVES;

    buffer_reset(buffer);
    for (uint32_t i = chunk * CHUNK_LEAVES; i < end && i < tree_leaf_count(leaves); i++)
        leaf_encode(buffer, &leaves->leaf[i]);
}

void
tree_entry_encode(Buffer *buffer, const Tree *tree, const TreeLeaves *leaves, uint32_t leaf)
{
    buffer_put_varint(buffer, tree->id.bucket_id);
    buffer_put_varint(buffer, tree->id.partition);
    buffer_put_varint(buffer, leaves->generation);
    buffer_put_varint(buffer, leaf);
    leaf_encode(buffer, &leaves->leaf[leaf]);
}

/* How many leaves of that generation can be on the disk, from the first on; 0 when it is none. */
static uint32_t
known_leaves(Tree *tree, uint32_t generation, TreeLeaves **leaves)
{
    *leaves = tree->now.leaf != NULL ? tree_generation(tree, generation) : NULL;
    if (*leaves == NULL)
        return 0;
    return *leaves == &tree->next ? tree->built : tree_leaf_count(*leaves);
}

/* From them it is known about how many rows a tree without a head has. */
static void
note_strays(Trees *trees, Tree *tree, const RowKey *key, Reader *reader)
{
    tree->strays = true;
    if (key->generation > tree->last_generation && key->generation < UINT32_MAX)
        tree->last_generation = key->generation;
    while (tree->now.leaf == NULL && !reader->failed && reader_left(reader) > 0)
        tree_set_rows(trees, tree, tree->rows + leaf_decode(reader).rows);
}

static void
load_chunk(Trees *trees, const RowKey *key, Slice value)
{
    Tree *tree = tree_make(trees, key->id);
    Reader reader = reader_begin(value);
    TreeLeaves *leaves;
    uint32_t count = known_leaves(tree, key->generation, &leaves);
    uint32_t loaded = 0;

    if (key->chunk >= tree_chunks_of(count))
    {
        note_strays(trees, tree, key, &reader);
        return;
    }
    for (uint32_t i = key->chunk * CHUNK_LEAVES; reader_left(&reader) > 0 && !reader.failed; i++)
    {
        TreeLeaf leaf = leaf_decode(&reader);

        if (i >= count)
            continue;
        leaves->leaf[i] = leaf;
        loaded++;
    }
    if (!reader.failed)
        leaves->loaded += loaded;
}

/* ---- the journal ---- */

static void
load_entry(Trees *trees, Reader *reader)
{
    TreeId id = {.bucket_id = reader_varint32(reader)};
    uint32_t generation;
    uint32_t number;
    TreeLeaf leaf;
    TreeLeaves *leaves;

    id.partition = reader_varint32(reader);
    generation = reader_varint32(reader);
    number = reader_varint32(reader);
    leaf = leaf_decode(reader);
    if (reader->failed)
        return;
    if (number < known_leaves(tree_make(trees, id), generation, &leaves))
        leaves->leaf[number] = leaf;
}

static void
load_journal(Trees *trees, uint64_t number, Slice value)
{
    TreeJournal *journal = &trees->journal;
    Reader reader = reader_begin(value);

    if (trees->partitions == 0 && !journal->broken)
        journal->first = number;
    if (number != journal->next || reader_u8(&reader) != ROWS_FORMAT)
        journal->broken = true;
    journal->next = number + 1;
    while (!reader.failed && reader_left(&reader) > 0)
        load_entry(trees, &reader);
    journal->broken = journal->broken || reader.failed;
}

/* ---- all ---- */

void
trees_load(Trees *trees, Slice key, Slice value)
{
    RowKey row;

    if (!row_key_split(key, &row) ||
        (trees->partitions > 0 && row.id.partition >= trees->partitions))
        return;
    switch (row.kind)
    {
    case ROW_STORE:
        load_store(trees, value);
        break;
    case ROW_HEAD:
        load_head(trees, &row, value);
        break;
    case ROW_CHUNK:
        load_chunk(trees, &row, value);
        break;
    case ROW_JOURNAL:
        load_journal(trees, row.number, value);
        break;
    case ROW_END:
        break;
    }
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
    if (headless || trees->journal.broken || tree->now.loaded != tree_leaf_count(&tree->now))
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
    trees->journal.needless = trees->journal.first;
    tree_journal_restart(trees);
}
