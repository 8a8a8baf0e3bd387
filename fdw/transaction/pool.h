/*
 * pool: the clusters that this backend talks to, kept from one statement to the next.
 *
 * One ClientCluster for each server and checked user; it holds the links and the topology. ALTER
 * SERVER, ALTER USER MAPPING and their like make it stale: it is thrown away at the end of the
 * transaction, or at its next use when the transaction has not used it yet. The pool also carries
 * the transaction's events to the clusters: their unsent writes leave at PRE_COMMIT. It is the one
 * static variable of a backend.
 */
#ifndef FDW_TRANSACTION_POOL_H
#define FDW_TRANSACTION_POOL_H

#include "fdw/cluster/client.h"

/*
 * The cluster behind a foreign server, for the user whose rights are checked (not always the
 * current one). Connects to nothing. Valid until the end of the transaction. Raises when the user
 * has no mapping, or one that may not be used: a mapping of an ordinary user needs a password
 * unless a superuser said password_required 'false'.
 */
ClientCluster *pool_cluster(Oid server_id, Oid user_id);

typedef struct PoolView
{
    Oid server_id;
    Oid user_id;
    bool stale;
    bool used; /* by this transaction */
    const ClientCluster *cluster;
} PoolView;

/* Shows every cluster to visit. */
void pool_each(void (*visit)(const PoolView *view, void *argument), void *argument);

/*
 * Closes the links to a server, those of all users; true when one was open. InvalidOid: to all
 * servers. What this transaction uses is left, with a warning.
 */
bool pool_disconnect(Oid server_id);

#endif
