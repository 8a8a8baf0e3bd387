/*
 * Trees: a Merkle tree over each partition of each bucket that a store holds (Dynamo 4.7), in
 * memory and as rows of the store, pure.
 *
 * A tree is the array of its leaves: leaf i of 2^bits stands for the i-th of equal slices of the
 * partition's positions, and holds the XOR of the digests of its rows (message_row_digest: key and
 * canonical object, which is version vector, dots and values). Whatever stands above the leaves is
 * the XOR of what stands below, so trees of different depth compare at the depth that both have.
 * How many leaves there are follows how many rows there are: TREE_LEAF_ROWS_MAX a leaf and more
 * make it grow by TREE_GROW_BITS.
 *
 * Kept true: each change of a record goes through trees_change() with the TreeBatch of the write
 * batch that it is in; trees_close() gives the rows that this very batch is to write: one of a
 * journal for all the leaves it changed, and now and then one of many leaves that lets the journal
 * be short (node/engine/store/trees_rows.c). So what is on the disk is exact after any crash, as
 * long as the store writes its batches whole and in order. What was changed and is not durable yet
 * is counted in its leaf: a sum says whether it is settled.
 *
 * Rebuilt beside: a tree that must grow or shrink, or is in doubt (a record of it was unreadable,
 * one of its rows was lost), is built anew as another generation, leaves by leaves from scans that
 * the store makes (TreeJob), while the old one goes on; what is built is written as it comes,
 * together with how far it has come, so that a restart goes on there. Then one batch makes the new
 * generation the tree and removes the old rows. A leaf that cannot be true (rows taken out of an
 * empty one) puts its tree in doubt too.
 *
 * Invariants:
 *  T1  a leaf's digest is the XOR of message_row_digest over the newest records (merged, durable or
 *      not) whose object is not empty, unless the tree is in doubt;
 *  T2  the rows on the disk, of a tree not in doubt, equal the same over the durable records;
 *  T3  a tree in doubt is never settled, and stays in doubt through a restart until it is rebuilt;
 *  T4  trees of a generation that was replaced leave no rows behind.
 */
#ifndef NODE_ENGINE_STORE_TREES_H
#define NODE_ENGINE_STORE_TREES_H

#include "shared/wire/message.h"

enum
{
    TREE_BITS_MAX = 20,
    TREE_GROW_BITS = 4,
    TREE_LEAF_ROWS_MAX = 96, /* on average; below TREE_LEAF_ROWS_MIN it shrinks */
    TREE_LEAF_ROWS_MIN = 3,
    TREE_JOB_LEAVES = 64,  /* of some ten rows each: a job is short */
    TREE_JOURNAL_STEP = 64 /* entries of the journal for which one chunk of leaves is written */
};

/* The bucket number under which a store keeps trees' rows, which no bucket has. */
#define TREES_BUCKET UINT32_MAX

typedef struct Trees Trees;

typedef struct TreeId
{
    uint32_t bucket_id;
    uint32_t partition;
} TreeId;

/* By bucket, then by partition: below 0, 0 or above. */
int tree_id_compare(TreeId a, TreeId b);

/* A part of a tree: the rows whose place in the partition begins with the depth bits of prefix.
 * depth 0: all of it. */
typedef struct TreePart
{
    uint8_t depth;
    uint32_t prefix;
} TreePart;

typedef struct TreeSum
{
    Digest digest;
    uint64_t rows;
    bool settled; /* all of it is durable, and not in doubt */
} TreeSum;

typedef struct TreeTouch
{
    struct Tree *tree;
    uint32_t generation;
    uint32_t leaf;
} TreeTouch;

/* What one write batch does to trees. Zero-initialized is empty; trees_settle() empties
 * it for the next use. */
typedef struct TreeBatch
{
    TreeTouch *touches;
    uint32_t count;
    uint32_t capacity;
} TreeBatch;

/* Changes of the store's own rows, to be written in the order of the calls; key and value are valid
 * during the call. */
typedef struct TreeRows
{
    void (*put)(void *context, Slice key, Slice value);
    void (*remove)(void *context, Slice key);
    void (*remove_range)(void *context, Slice first, Slice end); /* end exclusive; for many rows */
    void *context;
} TreeRows;

typedef struct TreeCounters
{
    uint64_t trees;
    uint64_t leaves;  /* of trees in use and being built */
    uint64_t rows;    /* records under trees */
    uint64_t bytes;   /* of memory */
    uint64_t rebuilt; /* trees, since the start */
    uint64_t doubted; /* trees that are in doubt or being built */
} TreeCounters;

Trees *trees_new(void);
void trees_free(Trees *trees);

/* Instead of those above, before the first row is loaded: lets few rows make many leaves and many
 * jobs, and few changes a journal that is cut. */
typedef struct TreeShape
{
    uint32_t leaf_rows_max;
    uint32_t leaf_rows_min; /* at most a fourth of that */
    uint32_t job_leaves;
    uint32_t journal_step;
} TreeShape;

void trees_set_shape(Trees *trees, TreeShape shape);

/*
 * How many partitions the ring has: fixed for the life of a cluster, needed before the first
 * change. Kept with the rows. False: the rows that were loaded are of another number, all of them
 * are forgotten, and the store is to call trees_doubt() for each partition that it has records of.
 */
bool trees_set_partitions(Trees *trees, uint32_t partitions);

/* The same, for rows that cannot be read or must not be believed: before the first change. */
void trees_forget(Trees *trees);

/* 0: not known yet. */
uint32_t trees_partitions(const Trees *trees);

/*
 * Takes in the rows of TREES_BUCKET that were found on the disk, in the order of their keys; then
 * trees_loaded(). A row that no trees_close() made, or one that is missing, puts its tree in
 * doubt. A tree of which no row is left looks like one that there never was.
 */
void trees_load(Trees *trees, Slice key, Slice value);
void trees_loaded(Trees *trees);

/* before and after are the row's objects, empty for absent. Equal ones change nothing. */
typedef struct TreeChange
{
    uint32_t bucket_id;
    uint64_t position;
    Slice key;
    Slice before;
    Slice after;
} TreeChange;

void trees_change(Trees *trees, TreeBatch *batch, const TreeChange *change);

/* What the row was before is not known: the tree that it is in must be built anew. */
void trees_doubt(Trees *trees, TreeBatch *batch, uint32_t bucket_id, uint64_t position);

/* The batch is complete: gives the rows that are to be written with it, each once. */
void trees_close(Trees *trees, TreeBatch *batch, const TreeRows *rows);

/* The batch is durable, or never will be (then the store is dead): empties it. */
void trees_settle(Trees *trees, TreeBatch *batch);

/* Of a batch that is empty, or whose trees are gone. */
void trees_batch_free(TreeBatch *batch);

/* ---- asking ---- */

/* False when the part is deeper than the tree's leaves, or none of a tree. A tree that there is
 * none of is empty and of any depth. */
bool trees_sum(const Trees *trees, TreeId id, TreePart part, TreeSum *sum);

/* How deep the tree's leaves are; 0 when there is none. */
uint8_t trees_depth(const Trees *trees, TreeId id);

/* The first and the last position of a part. */
void trees_part_range(const Trees *trees, uint32_t partition, TreePart part, uint64_t *first,
                      uint64_t *last);

/* The sum of all rows from first to last; false when these are no ends of leaves of one tree. */
bool trees_range_sum(const Trees *trees, uint32_t bucket_id, uint64_t first, uint64_t last,
                     TreeSum *sum);

/* The last position of the leaf that position is in. */
uint64_t trees_leaf_end(const Trees *trees, uint32_t bucket_id, uint64_t position);

/* The next tree behind place, which begins at 0; false: there is none. Trees that are made
 * meanwhile may be passed over, or others come twice. */
bool trees_next(const Trees *trees, uint32_t *place, TreeId *id);

TreeCounters trees_counters(const Trees *trees);

/* ---- building ---- */

/*
 * Rows from first to last are to be scanned and folded. Protocol of the store: trees_begin_job();
 * on the same turn it takes a snapshot of what is durable, and calls tree_job_fold() with the
 * newest object of each record of the range that is not durable at that moment; the scan of the
 * snapshot, on any thread, calls it for each row but those; then trees_end_job() on the loop.
 * Changes meanwhile go through trees_change() as ever.
 */
typedef struct TreeJob
{
    TreeId id;
    uint64_t first;
    uint64_t last;
    uint32_t leaf_count; /* from here on private */
    uint8_t shift;
    struct TreeLeaf *folds;
} TreeJob;

/* False: nothing is to be built, or a job is under way. What is begun must be ended. */
bool trees_begin_job(Trees *trees, TreeJob *job);

/* An empty object counts for nothing. Touches the job alone. */
void tree_job_fold(TreeJob *job, uint64_t position, Slice key, Slice object);

/* readable: all of the range was; else it is tried again after what others are to be built, which
 * may be at once: the store waits then. The batch is the one that the store is filling. */
void trees_end_job(Trees *trees, TreeJob *job, bool readable, TreeBatch *batch);

/* Builds a tree anew, by jobs, whatever is thought of it; false when there is none, or it is being
 * built. */
bool trees_rebuild(Trees *trees, TreeId id);

#endif
