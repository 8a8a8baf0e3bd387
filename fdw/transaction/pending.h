/*
 * pending: the writes of a transaction that have not left yet.
 *
 * An append-only log of puts for each cluster, in memory, each tagged with subtransaction and
 * command, and found by bucket and key: those of one key are a chain (shared/data/overlay.h).
 * ROLLBACK TO cuts off the end of the log, and ROLLBACK drops the log. PRE_COMMIT reduces each
 * chain to one put and sends it (fdw/transaction/commit_puts.h). dynamo_fdw.max_pending bounds the
 * log of a cluster.
 *
 * Several servers, and several users' mappings, may lead to one cluster: they share its log, and
 * each put leaves by the ClientCluster that it was put through.
 */
#ifndef FDW_TRANSACTION_PENDING_H
#define FDW_TRANSACTION_PENDING_H

#include "fdw/base/pg.h"

#include "fdw/base/slicetable.h"
#include "fdw/cluster/client.h"
#include "shared/data/overlay.h"

typedef struct PendingLogs PendingLogs;
typedef struct PendingBucket PendingBucket;
typedef struct PendingKey PendingKey;

typedef struct PendingPut
{
    OverlayPut put;              /* first: chains link these */
    struct PendingPut *previous; /* in the log; NULL: its first */
    PendingKey *key;
    SubTransactionId subtransaction;
    ClientQuorum quorum;
} PendingPut;

/* A key that has puts. */
struct PendingKey
{
    Slice key; /* first: the table finds it by this */
    PendingPut *newest;
    PendingKey *previous; /* of the bucket, the one that was first put before; NULL: its first */
    PendingBucket *bucket;
};

struct PendingBucket
{
    PendingBucket *next;
    const Bucket *bucket;
    slicetable_hash *keys; /* of PendingKeys */
    PendingKey *last;      /* the key that was first put last; NULL: none */
    uint32 key_count;
    CommandId first_command; /* no put is of an earlier one */
};

/*
 * Adds one put of a key by a command, that is to reach the quorum; everything is copied, and the
 * request ids are drawn here (those in the item are ignored). The context may be one that was read
 * in this transaction from its own writes; 22023 when it is of the writes of another. Raises 54000
 * over the bound, 0A000 in a parallel worker.
 */
void pending_put(ClientCluster *cluster, const Bucket *bucket, const ClientQuorum *quorum,
                 CommandId command, const WriteItem *item);

/* The logs of a transaction, none at first; for clusters that point to them. In a child of context.
 */
PendingLogs *pending_logs_new(MemoryContext context);

/* The first of the buckets that were written to; some may have no key left. */
const PendingBucket *pending_buckets(const ClientCluster *cluster);

/* The bucket, or NULL when none of its keys has puts of commands before that one (a snapshot's
 * curcid). */
const PendingBucket *pending_seen(const ClientCluster *cluster, const Bucket *bucket,
                                  CommandId before_command);

/* The newest put of the key, or NULL. Valid until something is cut off. */
const OverlayPut *pending_find(const PendingBucket *bucket, Slice key);

/* The newest put of the key whatever its command, or NULL. */
const OverlayPut *pending_newest(const ClientCluster *cluster, const Bucket *bucket, Slice key);

/* What reads and contexts of the key are told by; not before the first put. */
OverlayKey pending_key(const ClientCluster *cluster, const Bucket *bucket, Slice key);

/* The last number that was given. None is given twice in a transaction. */
uint64 pending_through(const ClientCluster *cluster);
bool pending_is_empty(const PendingLogs *logs);

/* For the pool: ROLLBACK TO, and the transaction's end. */
void pending_truncate(PendingLogs *logs, SubTransactionId subtransaction);
void pending_drop(PendingLogs *logs);

#endif
