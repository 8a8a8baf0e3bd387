/*
 * pending: the writes of a transaction that have not left yet.
 *
 * An append-only log of puts for each cluster, in memory, each tagged with its subtransaction. ROLLBACK TO cuts the log's
 * end off, ROLLBACK drops it; at PRE_COMMIT everything leaves in pipelined batches, and a commit whose quorum fails becomes
 * an abort whose error counts what was applied, refused, unknown and not sent. The sum of all logs is bounded by
 * dynamo_fdw.max_pending.
 */
#ifndef FDW_PENDING_H
#define FDW_PENDING_H

#include "fdw/client.h"

typedef struct PendingOptions
{
    uint32_t w;
    uint32_t timeout_ms; /* of each batch on its way */
} PendingOptions;

/*
 * Adds one put of a key; everything is copied, and the request ids are drawn here (those in values are ignored). Raises
 * 54000 over the bound, 0A000 in a parallel worker.
 */
void pending_put(ClientCluster *cluster, const Bucket *bucket, const PendingOptions *options,
                 const WriteItem *item);

/* Raises 0A000 when this transaction has unsent writes to the bucket: they would be missing from what is read. */
void pending_check_none(ClientCluster *cluster, const char *bucket_name);

/* For the pool: the transaction's events. */
bool pending_is_empty(const ClientCluster *cluster);
void pending_flush(ClientCluster *cluster);
void pending_truncate(ClientCluster *cluster, SubTransactionId subtransaction);
void pending_drop(ClientCluster *cluster);

#endif
