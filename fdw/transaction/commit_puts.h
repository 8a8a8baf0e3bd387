/*
 * commit_puts: the puts that COMMIT sends, made for fdw/transaction/flush.h out of the log of a
 * transaction. Each key gets one put, with the values that are alive at the end.
 *
 * The put of a key must satisfy the quorums of all the puts that it stands for, so each of its
 * quorums is the greatest among theirs.
 */
#ifndef FDW_TRANSACTION_COMMIT_PUTS_H
#define FDW_TRANSACTION_COMMIT_PUTS_H

#include "fdw/base/pg.h"

#include "fdw/cluster/client.h"

/* Puts of one bucket and quorum, in the order in which their keys were first put. */
typedef struct CommitPutGroup
{
    struct CommitPutGroup *next;
    const Bucket *bucket;
    ClientQuorum quorum;
    uint32 count; /* at least 1 */
    uint32 capacity;
    WriteItem *items;
} CommitPutGroup;

/* All that leaves by cluster; NULL: nothing. In the current memory context, borrowing from the
 * pending puts. */
CommitPutGroup *commit_puts_groups(const ClientCluster *cluster);

#endif
