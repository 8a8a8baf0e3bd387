/*
 * What the trees*.c files share: the trees themselves.
 *
 *   trees.c        changes, the batches that they are in, and what is asked
 *   trees_rows.c   the rows on the disk, and how they are read at the start
 *   trees_close.c  the rows that a batch writes
 *   trees_build.c  a tree built anew beside the one in use
 */
#ifndef NODE_ENGINE_STORE_TREES_PRIVATE_H
#define NODE_ENGINE_STORE_TREES_PRIVATE_H

#include "node/engine/store/trees.h"

typedef struct TreeLeaf
{
    Digest digest;
    uint32_t rows;
    uint32_t unsettled; /* batches under way that changed it */
} TreeLeaf;

/* One generation of a tree. */
typedef struct TreeLeaves
{
    TreeLeaf *leaf; /* 2^bits of them; NULL: there is no such generation */
    uint32_t generation;
    uint32_t loaded; /* leaves that were found on the disk */
    uint8_t bits;
} TreeLeaves;

typedef struct Tree
{
    TreeId id;
    TreeLeaves now;
    TreeLeaves next;          /* being built */
    uint32_t built;           /* leaves of next that are complete, from the first on */
    uint32_t taken;           /* these, and the ones of the job under way */
    uint32_t last_generation; /* that was ever seen */
    Digest digest;            /* of all leaves of now, as are rows and unsettled */
    uint64_t rows;
    uint64_t unsettled;
    bool doubt;
    bool rebuild;    /* asked for */
    bool strays;     /* the disk has chunks of generations that nobody knows */
    bool head_stale; /* the head on the disk must not be believed after the next write */
    bool queued;
    struct Tree *behind; /* in the queue of those to be built */
} Tree;

/*
 * Which journal rows there are, and the hand that goes around all chunks: when it has been once
 * around, chunks say all that the journal said before it set out.
 */
typedef struct TreeJournal
{
    uint64_t first; /* row */
    uint64_t next;
    uint64_t needless; /* rows before it may go */
    uint64_t set_out;  /* next, when the hand did */
    uint32_t slot;     /* where the hand is: the tree's, */
    uint32_t chunk;    /* and which of its chunks, of both generations, is next */
    uint32_t owed;     /* entries that the hand has not moved for yet */
    bool broken;       /* a row was lost: any tree may miss a change */
} TreeJournal;

struct Trees
{
    TreeShape shape;
    uint32_t partitions; /* 0: not known yet */
    uint8_t partition_bits;
    bool store_unsaved; /* the store's row says something else */
    bool rows_void;     /* no row on the disk is to be believed */
    bool job_under_way;
    uint32_t touched; /* by batches that are not settled */
    Tree **slots;     /* a hash table by TreeId, open addressing */
    uint32_t slot_count;
    Tree *first_queued;
    Tree *last_queued;
    TreeJournal journal;
    TreeCounters counters;
};

/* Stand in TreeTouch.leaf, those from CHUNK on and REMOVED with a number added: a chunk, as many
 * chunks of a generation that is over, the tree's head. */
enum
{
    TOUCH_CHUNK = 0x20000000,
    TOUCH_REMOVED = 0x40000000,
    TOUCH_HEAD = 0x7fffffff
};

enum
{
    CHUNK_LEAVES = 64 /* that stand in one row */
};

/* ---- rows ---- */

typedef enum RowKind
{
    ROW_STORE,
    ROW_HEAD,
    ROW_CHUNK,
    ROW_JOURNAL,
    ROW_END
} RowKind;

enum
{
    ROWS_FORMAT = 2
};

/* What a key says; fields that its kind does not have are 0. */
typedef struct RowKey
{
    RowKind kind;
    TreeId id;
    uint32_t generation;
    uint32_t chunk;
    uint64_t number;
} RowKey;

/* Makes the key in buffer. */
Slice tree_row_key(Buffer *buffer, const RowKey *key);

/* Each makes the value in buffer, but the last, which adds to it. */
void tree_store_encode(Buffer *buffer, const Trees *trees);
void tree_head_encode(Buffer *buffer, const Tree *tree);
void tree_chunk_encode(Buffer *buffer, const TreeLeaves *leaves, uint32_t chunk);
void tree_entry_encode(Buffer *buffer, const Tree *tree, const TreeLeaves *leaves, uint32_t leaf);

static inline uint32_t
tree_leaf_count(const TreeLeaves *leaves)
{
    return leaves->leaf != NULL ? 1u << leaves->bits : 0;
}

static inline uint32_t
tree_chunks_of(uint32_t leaves)
{
    return (leaves + CHUNK_LEAVES - 1) / CHUNK_LEAVES;
}

/* trees.c. find: NULL when there is none. */
Tree *tree_find(const Trees *trees, TreeId id);
Tree *tree_make(Trees *trees, TreeId id);
TreeId tree_id_at(const Trees *trees, uint32_t bucket_id, uint64_t position);
uint32_t tree_leaf_at(const Trees *trees, const TreeLeaves *leaves, uint64_t position);

/* Leaves that are all empty; the leaves given back. */
void tree_leaves_new(Trees *trees, TreeLeaves *leaves, uint32_t generation, uint8_t bits);
void tree_leaves_free(Trees *trees, TreeLeaves *leaves);

/* The tree's generation of that number; NULL when it is over. */
TreeLeaves *tree_generation(Tree *tree, uint32_t generation);

/* The batch writes that row. A leaf goes into the journal, and is unsettled until then. */
void tree_touch_leaf(Trees *trees, TreeBatch *batch, Tree *tree, TreeLeaves *leaves, uint32_t leaf);
void tree_touch(Trees *trees, TreeBatch *batch, Tree *tree, uint32_t generation, uint32_t leaf);
void tree_unsettle(Tree *tree, const TreeTouch *touch);

/* The sums of the whole tree, from its leaves. */
void tree_add_up(Trees *trees, Tree *tree);
void tree_set_rows(Trees *trees, Tree *tree, uint64_t rows);

/* trees_close.c. The hand starts over; if it is at that tree, then with this one, whose chunks are
 * others now. */
void tree_journal_restart(Trees *trees);
void tree_journal_revisit(Trees *trees, const Tree *tree);

/* trees_build.c. Queues the tree if it is to be built. */
void tree_consider(Trees *trees, Tree *tree);

/* Stops what is being built of it; batch: that removes its rows, NULL when it cannot have any. */
void tree_abandon(Trees *trees, TreeBatch *batch, Tree *tree);

#endif
