/*
 * pool: the clusters that this backend talks to, kept from one statement to the next.
 *
 * One ClientCluster for each server and checked user; it holds the links and the topology. ALTER
 * SERVER, ALTER USER MAPPING and their like make it stale: it is thrown away at the end of the
 * transaction, or at its next use when the transaction has not used it yet.
 */
#ifndef FDW_CLUSTER_POOL_H
#define FDW_CLUSTER_POOL_H

#include "fdw/base/pg.h"

#include "fdw/cluster/client.h"

typedef struct Pool Pool;

/* Lives as long as the backend, in a child of TopMemoryContext. */
Pool *pool_new(void);

/*
 * The cluster behind a foreign server, for the user whose rights are checked (not always the
 * current one). Connects to nothing. Valid until pool_end_transaction(). Raises when the user has
 * no mapping, or one that may not be used: a mapping of an ordinary user needs a password unless a
 * superuser said password_required 'false'.
 */
ClientCluster *pool_cluster(Pool *pool, Oid server_id, Oid user_id);

typedef struct PoolView
{
    Oid server_id;
    Oid user_id;
    bool stale;
    bool used; /* by this transaction */
    ClientCluster *cluster;
} PoolView;

/* Shows every cluster to visit. */
void pool_each(const Pool *pool, void (*visit)(const PoolView *view, void *argument),
               void *argument);

/* True when the end of the transaction concerns some cluster: it was used, or has become stale. */
bool pool_awaits_end(const Pool *pool);

/* Nothing is used any more; what is stale is thrown away, with its links. */
void pool_end_transaction(Pool *pool);

/*
 * Closes the links to a server, those of all users; true when one was open. InvalidOid: to all
 * servers. What this transaction uses is left, with a warning.
 */
bool pool_disconnect(Pool *pool, Oid server_id);

#endif
