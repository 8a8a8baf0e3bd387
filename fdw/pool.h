/*
 * pool: the clusters that this backend talks to, kept from one statement to the next.
 *
 * One ClientCluster for each user mapping and checked user; it holds the links and the topology. ALTER SERVER, ALTER USER
 * MAPPING and their DROP make it stale: it is thrown away at the end of the transaction, or at once when the transaction
 * has not used it. The pool also carries the transaction's end to the clusters: their unsent writes leave at PRE_COMMIT.
 * It is the one static variable of a backend.
 */
#ifndef FDW_POOL_H
#define FDW_POOL_H

#include "fdw/client.h"

/*
 * The cluster behind a foreign server, for the user whose rights are checked (not always the current one). Connects to
 * nothing. Valid until the end of the transaction. Raises when the user has no mapping, or one that may not be used: a
 * mapping of an ordinary user needs a password unless a superuser said password_required 'false'.
 */
ClientCluster *pool_cluster(Oid server_id, Oid user_id);

/* Calls visit for every cluster that has a link. */
void pool_each(void (*visit)(ClientCluster *cluster, void *argument), void *argument);

/* Closes the links to a server, those of all its mappings; how many clusters had one. */
int pool_disconnect(Oid server_id);

/* Makes cluster known to the end of the transaction: it was used in this one. */
void pool_mark_used(ClientCluster *cluster);

#endif
