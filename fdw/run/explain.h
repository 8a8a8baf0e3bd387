/*
 * explain: what a scan shows in EXPLAIN: the condition that names its keys, and what
 * is made of siblings; with VERBOSE the bucket and what requests must reach; with ANALYZE that too,
 * and what was asked of the cluster and of each node. It contacts no node.
 */
#ifndef FDW_RUN_EXPLAIN_H
#define FDW_RUN_EXPLAIN_H

#include "fdw/base/pg.h"

#include "fdw/base/compat.h"
#include "fdw/cluster/client.h"
#include "fdw/row/relation.h"

/* Shared with the batched join. */
void explain_conflict(const RelationInfo *info, ExplainState *es);
void explain_bucket(const RelationInfo *info, ExplainState *es);
void explain_counters(const Counters *counters, ExplainState *es);
/* Clauses of plan, ANDed, as EXPLAIN shows an index's condition; ancestors are the plans above,
 * nearest first. */
void explain_condition(const char *label, List *clauses, Plan *plan, List *ancestors,
                       ExplainState *es);

/* Callback. */
void dynamoExplainForeignScan(ForeignScanState *node, ExplainState *es);

#endif
