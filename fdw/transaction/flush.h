/*
 * flush: sends the pending writes of a transaction, at PRE_COMMIT.
 *
 * They go out in batches, the next one while one is on its way. Each batch has
 * dynamo_fdw.request_timeout; statement_timeout, which PostgreSQL has disarmed by then, bounds the
 * whole. What nodes refuse because they have too much to do is sent again, in smaller frames, until
 * that time is over, or until nothing at all was applied for as long as a request may take. Any
 * other failure stops what has not been sent. A commit whose writes did not all reach their quorum
 * becomes an abort, whose error counts what was applied, refused, unknown and not sent. A cancel
 * does the same; one that comes when all is written comes too late, and is dropped.
 *
 * A transaction that is rolled back for another reason after its writes have left, a terminated
 * session's among them, leaves these counts in a WARNING, or in the server's log.
 */
#ifndef FDW_TRANSACTION_FLUSH_H
#define FDW_TRANSACTION_FLUSH_H

#include "fdw/base/pg.h"

#include "fdw/cluster/client.h"

/* Returns when every write is acknowledged by its quorum; at once when there is none. The caller
 * holds off cancels: one is raised with the counts, if it is. */
void flush_run(ClientCluster *cluster);

/* The transaction is over. */
void flush_end(ClientCluster *cluster, bool committed);

#endif
