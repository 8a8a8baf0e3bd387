/*
 * modify: INSERT and COPY into a foreign table.
 *
 * A row becomes one put in the transaction's pending writes; nothing is sent before the transaction
 * commits. So there is nothing to gain from the executor's batches of rows, and no callback for
 * them. The bucket is created when the first row needs it.
 *
 * Not here yet: UPDATE and DELETE. PostgreSQL refuses them, with 0A000, for want of their
 * callbacks.
 */
#ifndef FDW_MODIFY_H
#define FDW_MODIFY_H

#include "fdw/pg.h"

#include "commands/explain.h"
#include "foreign/fdwapi.h"

int dynamoIsForeignRelUpdatable(Relation relation);
List *dynamoPlanForeignModify(PlannerInfo *root, ModifyTable *plan, Index result_relation,
                              int subplan_index);
void dynamoBeginForeignModify(ModifyTableState *state, ResultRelInfo *result, List *private,
                              int subplan_index, int eflags);
TupleTableSlot *dynamoExecForeignInsert(EState *estate, ResultRelInfo *result, TupleTableSlot *slot,
                                        TupleTableSlot *plan_slot);

/* COPY, and rows that a partitioned table routes here. */
void dynamoBeginForeignInsert(ModifyTableState *state, ResultRelInfo *result);

void dynamoExplainForeignModify(ModifyTableState *state, ResultRelInfo *result, List *private,
                                int subplan_index, ExplainState *es);

#endif
