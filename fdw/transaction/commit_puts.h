/*
 * commit_puts: what the puts of a transaction amount to, for fdw/transaction/flush.h: one put for
 * each key, of the values that are alive at the end.
 *
 * It has to reach what each of the key's puts was to reach.
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
