/*
 * What the trees*.c files share: the trees themselves.
 *
 *   trees.c        changes, the batches that they are in, and what is asked
 *   trees_rows.c   the rows on the disk: read at the start, given out with each batch
 *   trees_build.c  a tree built anew beside the one in use
 */
#ifndef NODE_TREES_PRIVATE_H
#define NODE_TREES_PRIVATE_H

#include "node/trees.h"

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
    bool strays;     /* the disk has leaves of generations that nobody knows */
    bool head_stale; /* the head on the disk must not be believed after the next write */
    bool queued;
    struct Tree *behind; /* in the queue of those to be built */
} Tree;

struct Trees
{
    TreeShape shape;
    uint32_t partitions; /* 0: not known yet */
    uint8_t partition_bits;
    bool partitions_unsaved;
    bool rows_void; /* what is on the disk is of another number of partitions */
    bool job_under_way;
    uint32_t touched; /* by batches that are not settled */
    Tree **slots;     /* a hash table by TreeId, open addressing */
    uint32_t slot_count;
    Tree *first_queued;
    Tree *last_queued;
    TreeCounters counters;
};

/* Stand in TreeTouch.leaf for the tree's head, and, with their number below it, for all leaves of a
 * generation that is over. */
enum
{
    TOUCH_REMOVED = 0x40000000,
    TOUCH_HEAD = 0x7fffffff
};

static inline uint32_t
tree_leaf_count(const TreeLeaves *leaves)
{
    return leaves->leaf != NULL ? 1u << leaves->bits : 0;
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

/* The batch writes that row. A leaf is unsettled until then. */
void tree_touch_leaf(Trees *trees, TreeBatch *batch, Tree *tree, TreeLeaves *leaves, uint32_t leaf);
void tree_touch(Trees *trees, TreeBatch *batch, Tree *tree, uint32_t generation, uint32_t leaf);
void tree_unsettle(Tree *tree, const TreeTouch *touch);

/* The sums of the whole tree, from its leaves. */
void tree_add_up(Trees *trees, Tree *tree);
void tree_set_rows(Trees *trees, Tree *tree, uint64_t rows);

/* trees_build.c. Queues the tree if it is to be built. */
void tree_consider(Trees *trees, Tree *tree);

/* Stops what is being built of it; batch: that removes its rows, NULL when it cannot have any. */
void tree_abandon(Trees *trees, TreeBatch *batch, Tree *tree);

#endif
