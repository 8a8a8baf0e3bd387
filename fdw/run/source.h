/*
 * source: the bucket that a plan node reads: table, codec, cluster, quorum, counters.
 *
 * Made when the node begins, opened when the first row is wanted: nothing is asked of the cluster
 * before. It lives in the context that was current when it was made.
 */
#ifndef FDW_RUN_SOURCE_H
#define FDW_RUN_SOURCE_H

#include "fdw/base/pg.h"

#include "nodes/bitmapset.h"

#include "fdw/cluster/client.h"
#include "fdw/row/relation.h"
#include "fdw/row/row.h"
#include "fdw/run/target.h"

typedef struct Source
{
    RelationInfo *info;
    RowCodec *codec;
    ClientCluster *cluster; /* NULL under plain EXPLAIN */
    const Bucket *bucket;   /* NULL: not opened, or absent from the cluster, so without rows */
    ClientReadOptions options;
    Counters counters;
    Target *target; /* NULL: its rows are not what an UPDATE or DELETE writes */
    bool is_open;

    /* Of the transaction's own writes that it reads. */
    CommandId before_command; /* commands before that one */
    Memory memory;
    Arena arena; /* of one row */
    Buffer object;
    Buffer context;
} Source;

/*
 * For a node over the range table's entry index that reads attributes (offset as pull_varattnos
 * does). With explain_only it reads the catalogs and no more.
 */
Source *source_new(Relation relation, EState *estate, Index index, const Bitmapset *attributes,
                   bool explain_only);

/* Finds the bucket and compares it with the table, once. False: it is absent. */
bool source_open(Source *source);

/*
 * Lays the unsent puts of the transaction's earlier commands over a row of the store, so that the
 * row is the one that the transaction reads. The row of the store may be absent. If there are such
 * puts, the result borrows memory of the source until the next call.
 */
void source_lay_over(Source *source, PagerRow *row);

/* Keeps a row of the target for its UPDATE or DELETE, which finds it by the handle, its ctid. */
void source_keep_row(Source *source, Slice key, Slice object, Slice context, ItemPointer handle);

#endif
