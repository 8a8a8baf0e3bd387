/*
 * admin: what the SQL functions that look after a cluster have in common: its server, a question to
 * every node, the forms in which they show what came back.
 */
#ifndef FDW_FUNCTIONS_ADMIN_H
#define FDW_FUNCTIONS_ADMIN_H

#include "fdw/base/pg.h"

#include "foreign/foreign.h"

#include "fdw/cluster/ask.h"
#include "fdw/cluster/cluster.h"

/* The server of that name; 42704, 42809 when it is not of dynamo_fdw, 42501. */
ForeignServer *admin_server(const text *name);

/*
 * A question to count of a cluster's nodes that waits for all their answers, but not for long. The
 * caller encodes its frame with ask->tag, and fills take and argument.
 */
void admin_ask_begin(ClientCluster *cluster, LinksNode **nodes, int count, Ask *ask);

Datum admin_interval(uint64 ms);

/* Hexadecimal. */
Datum admin_member_id(const MemberId *id);

/* NULL makes NULL. */
void admin_put_text(Datum *values, bool *nulls, int column, const char *value);

#endif
