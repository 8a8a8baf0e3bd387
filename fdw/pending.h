/*
 * pending: the writes of a transaction that have not left yet.
 *
 * An append-only log of puts for each cluster, in memory, each tagged with subtransaction and
 * command.
 * ROLLBACK TO cuts the log's end off, ROLLBACK drops it; at PRE_COMMIT everything leaves
 * (fdw/flush.h). A cluster's log is bounded by dynamo_fdw.max_pending.
 */
#ifndef FDW_PENDING_H
#define FDW_PENDING_H

#include "fdw/pg.h"

#include "fdw/client.h"

/*
 * Adds one put of a key by a command, to be acknowledged by w owners; everything is copied, and the
 * request ids are drawn here (those in the item are ignored). Raises 54000 over the bound, 0A000 in
 * a parallel worker.
 */
void pending_put(ClientCluster *cluster, const Bucket *bucket, uint32 w, CommandId command,
                 const WriteItem *item);

/*
 * Raises 0A000 when this transaction has unsent writes to the bucket by commands before that one
 * (a snapshot's curcid): they would be missing from what is read. What the command itself writes is
 * none of what it reads.
 */
void pending_check_none(const ClientCluster *cluster, const char *bucket_name, CommandId command);

/* The entries of one bucket and w, in the order they were put. */
typedef struct PendingGroup
{
    struct PendingGroup *next;
    const Bucket *bucket;
    uint32 w;
    uint32 count;
    uint32 capacity;
    WriteItem *items;
    struct PendingTag *tags;
} PendingGroup;

const PendingGroup *pending_groups(const ClientCluster *cluster);
bool pending_is_empty(const ClientCluster *cluster);

/* For the pool: ROLLBACK TO, and the transaction's end. */
void pending_truncate(ClientCluster *cluster, SubTransactionId subtransaction);
void pending_drop(ClientCluster *cluster);

#endif
