/*
 * unscanned_keys: the keys that a transaction has written and that a full scan has not met yet.
 * What is left when the pages end is in no store: only the transaction has it.
 */
#ifndef FDW_RUN_UNSCANNED_KEYS_H
#define FDW_RUN_UNSCANNED_KEYS_H

#include "fdw/base/pg.h"

#include "fdw/cluster/client.h"

typedef struct UnscannedKeys UnscannedKeys;

/* The bucket's keys with puts of commands before that one; NULL when there are none. In the current
 * memory context. */
UnscannedKeys *unscanned_keys_new(const ClientCluster *cluster, const Bucket *bucket,
                                  CommandId before_command);

void unscanned_keys_strike(UnscannedKeys *keys, Slice key);

/* The next key that was not met, with nothing stored for it; false when there is none. */
bool unscanned_keys_next(UnscannedKeys *keys, PagerRow *row);

#endif
