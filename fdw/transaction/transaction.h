/*
 * transaction: what a backend's transaction does to the clusters that it uses.
 *
 * The writes that wait leave at PRE_COMMIT (fdw/transaction/flush.h), ROLLBACK TO cuts their log,
 * and at the end every cluster is told. It has the one static variable of a backend: all that a
 * backend keeps hangs from there.
 */
#ifndef FDW_TRANSACTION_TRANSACTION_H
#define FDW_TRANSACTION_TRANSACTION_H

#include "fdw/base/pg.h"

#include "fdw/cluster/pool.h"

/* As pool_cluster(), of this backend's pool: the cluster takes part in the transaction, and what is
 * put through it stands in the transaction's log. */
ClientCluster *transaction_cluster(Oid server_id, Oid user_id);

/* This backend's pool. */
Pool *transaction_pool(void);

#endif
