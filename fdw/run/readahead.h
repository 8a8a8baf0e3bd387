/*
 * readahead: a multiget that is under way while its caller does other work.
 *
 * The nodes look keys up while the backend joins what it has: several readaheads may be under way
 * at once, beside scans and multigets.
 */
#ifndef FDW_RUN_READAHEAD_H
#define FDW_RUN_READAHEAD_H

#include "fdw/cluster/client.h"

typedef struct Readahead Readahead;

/*
 * Sends the request for a batch of keys (each once, at least one), and returns at once. Keys,
 * options and counters are borrowed until the end. It lives in the current context, and ends by
 * itself when that is reset or deleted.
 */
Readahead *readahead_begin(ClientCluster *cluster, const Bucket *bucket, const Slice *keys,
                           uint32_t key_count, const ClientReadOptions *options,
                           Counters *counters);

/* Waits for the answers: what client_multiget gives, in the context of the beginning. Call it
 * once. */
const RequestReadResult *readahead_end(Readahead *ahead);

#endif
