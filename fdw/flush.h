/*
 * flush: sends the pending writes of a transaction, at PRE_COMMIT.
 *
 * They go out in batches, the next one while one is on its way. Each batch has
 * dynamo_fdw.request_timeout; statement_timeout, which PostgreSQL has disarmed by then, bounds the
 * whole. The first failure stops what has not been sent. A commit whose writes did not all reach
 * their quorum becomes an abort, whose error counts what was applied, refused, unknown and not
 * sent. A cancel does the same.
 */
#ifndef FDW_FLUSH_H
#define FDW_FLUSH_H

#include "fdw/pg.h"

#include "fdw/client.h"

/* Returns when every write is acknowledged by its quorum; at once when there is none. */
void flush_run(ClientCluster *cluster);

#endif
