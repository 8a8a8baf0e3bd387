/*
 * Replica: answers for what this node itself holds, reads, scans and replicates, as a step module.
 *
 * A read or scan answers durable state only. A replicate is acknowledged when its merge is durable;
 * the acknowledgements of one turn are gathered by session and leave in replica_flush().
 */
#ifndef NODE_ENGINE_REQUEST_REPLICA_H
#define NODE_ENGINE_REQUEST_REPLICA_H

#include "node/engine/step/step.h"

typedef struct Replica Replica;

typedef struct ReplicaCounters
{
    uint64_t reads;
    uint64_t scans;
    uint64_t digests_by_trees; /* of them, digests that a tree knew */
    uint64_t digests_by_rows;  /* and those for which rows had to be read */
    uint64_t replicates;
    uint64_t stand_ins;     /* of them, for an owner that was down */
    uint64_t hints_refused; /* of them, refused since too much is owed already */
} ReplicaCounters;

Replica *replica_new(void);
void replica_free(Replica *replica);

/* A FRAME_READ in full or digest mode, a FRAME_SCAN, a FRAME_REPLICATE. */
void replica_read(Replica *replica, const View *view, Origin origin, const Frame *frame);
void replica_scan(Replica *replica, const View *view, Origin origin, const Frame *frame);
void replica_replicate(Replica *replica, const View *view, Origin origin, const Frame *frame);

/* Answers of storage to refs of REF_REPLICA. */
void replica_fetched(Replica *replica, const View *view, uint64_t ref, StatusCode status,
                     Slice object);
void replica_scanned(Replica *replica, const View *view, uint64_t ref, StatusCode status,
                     const StoragePage *page);
void replica_merged(Replica *replica, uint64_t ref, StatusCode status);
void replica_durable(Replica *replica, uint64_t ref, StatusCode status);

/* The data turn out to be older than they were: what is merged and not durable yet may be set aside
 * with them, and is not acknowledged. */
void replica_data_lost(Replica *replica);
void replica_flush(Replica *replica, Actions *actions);

/* Is something of the partition being merged that is not durable yet? */
bool replica_is_busy(const Replica *replica, const View *view, TreeId id);

/* Frames being answered; and the bytes that they, and their answers so far, hold. */
uint32_t replica_load(const Replica *replica);
uint64_t replica_bytes(const Replica *replica);
ReplicaCounters replica_counters(const Replica *replica);

#endif
