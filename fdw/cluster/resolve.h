/*
 * resolve: host names to numeric addresses, without a wait that cannot be cancelled.
 *
 * libpq resolves names with a blocking call, so it is only ever given addresses.
 */
#ifndef FDW_CLUSTER_RESOLVE_H
#define FDW_CLUSTER_RESOLVE_H

#include "fdw/base/pg.h"

#include "nodes/pg_list.h"

/*
 * The addresses of host as a list of strings, in the resolver's order. NIL: not found, or not
 * within timeout_ms; *error then says so, one line. A numeric address is its own only one, at once.
 * Errors: the interrupts'.
 */
List *resolve_host(const char *host, uint64 timeout_ms, const char **error);

#endif
