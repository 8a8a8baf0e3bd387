/*
 * batchjoin: plans joins that look up the keys of many outer rows at once, as a custom scan.
 *
 * A nested loop asks the cluster once for every outer row; this asks once for every
 * dynamo_fdw.join_batch_size of them. It takes a foreign table as the inner side of an inner, left,
 * semi or anti join whose conditions, with the table's own, name one key for each outer row. Outer
 * order is kept. Whatever it does not take is left to the parameterized path of fdw/plan/plan.h:
 * system columns, keys from arrays, lateral references, conditions of security barriers.
 *
 * The scan tuple is the outer plan's columns and then the table's columns that are used; every
 * expression reads from it.
 */
#ifndef FDW_PLAN_BATCHJOIN_H
#define FDW_PLAN_BATCHJOIN_H

#include "fdw/base/pg.h"

#include "nodes/plannodes.h"

#include "fdw/row/relation.h"

/* The name under which what runs the join registers itself, for the plan to find it by. */
#define BATCHJOIN_SCAN "DynamoBatchJoin"

/* Members of CustomScan.custom_exprs, each a List. */
enum BatchJoinExprs
{
    BATCHJOIN_VALUES,     /* what the key columns equal, in their order; read outer columns only */
    BATCHJOIN_JOIN_QUALS, /* further conditions of a match */
    BATCHJOIN_INNER_QUALS,
    BATCHJOIN_KEY_CLAUSES /* the conditions that gave the values */
};

/* Members of CustomScan.custom_private. */
enum BatchJoinPrivate
{
    BATCHJOIN_JOIN_TYPE,   /* Integer: JOIN_INNER, JOIN_LEFT, JOIN_SEMI or JOIN_ANTI */
    BATCHJOIN_OUTER_COUNT, /* Integer: columns of the outer plan; custom_scan_tlist has the table's
                              Vars behind them */
    BATCHJOIN_VALUE_TYPES, /* OidList, by key column */
    BATCHJOIN_ATTRIBUTES,  /* IntList: attribute numbers of the table's Vars; 0 is the whole row */
    BATCHJOIN_IS_BLIND     /* Integer: plan_is_blind */
};

/* Installs the planner's hook; once, from _PG_init. */
void batchjoin_install(void);

#endif
