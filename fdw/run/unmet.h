/*
 * unmet: the keys that a transaction has written and that a full scan has not met yet. What is left
 * when the pages end is in no store: only the transaction has it.
 */
#ifndef FDW_RUN_UNMET_H
#define FDW_RUN_UNMET_H

#include "fdw/base/pg.h"

#include "fdw/cluster/client.h"

typedef struct Unmet Unmet;

/* The bucket's keys with puts of commands before that one; NULL when there are none. In the current
 * memory context. */
Unmet *unmet_new(const ClientCluster *cluster, const Bucket *bucket, CommandId before_command);

void unmet_meet(Unmet *unmet, Slice key);

/* The next key that was not met, with nothing stored for it; false when there is none. */
bool unmet_next(Unmet *unmet, PagerRow *row);

#endif
