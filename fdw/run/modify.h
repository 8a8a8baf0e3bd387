/*
 * modify: INSERT, COPY, UPDATE and DELETE of a foreign table.
 *
 * A row becomes one put in the transaction's pending writes; nothing is sent before the transaction
 * commits. So there is nothing to gain from the executor's batches of rows, and no callback for
 * them. The bucket is created when the first row needs it.
 *
 * UPDATE puts the new row, DELETE a tombstone, under the context that their scan read: what was
 * written since then stays beside it as a sibling. A row is found by its ctid (fdw/run/target.h).
 * The context column of the new row counts where the table has one, so whoever assigns it hands
 * back another, as in INSERT.
 */
#ifndef FDW_RUN_MODIFY_H
#define FDW_RUN_MODIFY_H

#include "fdw/base/pg.h"

#include "foreign/fdwapi.h"

#include "fdw/base/compat.h"

int dynamoIsForeignRelUpdatable(Relation relation);
void dynamoAddForeignUpdateTargets(PlannerInfo *root, Index index, RangeTblEntry *entry,
                                   Relation relation);
List *dynamoPlanForeignModify(PlannerInfo *root, ModifyTable *plan, Index result_relation,
                              int subplan_index);
void dynamoBeginForeignModify(ModifyTableState *state, ResultRelInfo *result, List *private,
                              int subplan_index, int eflags);
TupleTableSlot *dynamoExecForeignInsert(EState *estate, ResultRelInfo *result, TupleTableSlot *slot,
                                        TupleTableSlot *plan_slot);

/* NULL: the statement has written the key before, so nothing is done, as with a table's row. */
TupleTableSlot *dynamoExecForeignUpdate(EState *estate, ResultRelInfo *result, TupleTableSlot *slot,
                                        TupleTableSlot *plan_slot);
TupleTableSlot *dynamoExecForeignDelete(EState *estate, ResultRelInfo *result, TupleTableSlot *slot,
                                        TupleTableSlot *plan_slot);

/* COPY, and rows that a partitioned table routes here. */
void dynamoBeginForeignInsert(ModifyTableState *state, ResultRelInfo *result);

void dynamoExplainForeignModify(ModifyTableState *state, ResultRelInfo *result, List *private,
                                int subplan_index, ExplainState *es);

#endif
