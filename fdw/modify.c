#include "fdw/modify.h"

#include "executor/executor.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "fdw/compat.h"
#include "fdw/explain.h"
#include "fdw/pending.h"
#include "fdw/pool.h"
#include "fdw/row.h"

typedef struct DynamoModify
{
    RelationInfo *info;
    RowCodec *codec;
    ClientCluster *cluster;
    const Bucket *bucket; /* NULL before the first row */
    uint32 w;
    MemoryContext row; /* reset before each row */
} DynamoModify;

int
dynamoIsForeignRelUpdatable(Relation relation)
{
    return 1 << CMD_INSERT;
}

static void
modify_refuse_on_conflict(const ModifyTable *plan)
{
    if (plan != NULL && plan->onConflictAction != ONCONFLICT_NONE)
        ereport(ERROR,
                (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                 errmsg("INSERT with an ON CONFLICT clause is not supported on foreign tables of "
                        "dynamo_fdw"),
                 errhint("An INSERT never fails for a key that exists: it becomes a sibling of "
                         "what is there.")));
}

List *
dynamoPlanForeignModify(PlannerInfo *root, ModifyTable *plan, Index result_relation,
                        int subplan_index)
{
    modify_refuse_on_conflict(plan);
    return NIL;
}

static void
modify_set_up(EState *estate, ResultRelInfo *result, Index range_table_index)
{
    Relation relation = result->ri_RelationDesc;
    MemoryContext before = MemoryContextSwitchTo(estate->es_query_cxt);
    DynamoModify *modify = palloc0(sizeof(DynamoModify));

    modify->info = relation_info(relation);
    modify->codec = row_codec_new(modify->info, RelationGetDescr(relation));
    modify->cluster =
        pool_cluster(modify->info->serverid, compat_check_user(estate, range_table_index));
    modify->row = AllocSetContextCreate(estate->es_query_cxt, "dynamo_fdw row to write",
                                        ALLOCSET_DEFAULT_SIZES);
    result->ri_FdwState = modify;
    MemoryContextSwitchTo(before);
}

void
dynamoBeginForeignModify(ModifyTableState *state, ResultRelInfo *result, List *private,
                         int subplan_index, int eflags)
{
    if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
        return;
    modify_set_up(state->ps.state, result, result->ri_RangeTableIndex);
}

void
dynamoBeginForeignInsert(ModifyTableState *state, ResultRelInfo *result)
{
    /* A partition that no one named is not in the range table; the rights are those of the table it
     * is a part of. */
    ResultRelInfo *named = result->ri_RangeTableIndex != 0 ? result : result->ri_RootResultRelInfo;

    modify_refuse_on_conflict(castNode(ModifyTable, state->ps.plan));
    modify_set_up(state->ps.state, result, named->ri_RangeTableIndex);
}

/* The bucket as the cluster has it, created from the table's definition if need be. */
static void
modify_find_bucket(DynamoModify *modify)
{
    modify->w = relation_w(modify->info);
    modify->bucket = client_ensure_bucket(modify->cluster, relation_as_bucket(modify->info));
}

static void
modify_put(DynamoModify *modify, TupleTableSlot *slot)
{
    WriteItem item = {.key = row_encode_key(modify->codec, slot),
                      .context = row_context(modify->codec, slot)};
    uint32 count;
    Slice *values = row_encode_values(modify->codec, slot, &count);

    if (modify->bucket == NULL)
        modify_find_bucket(modify);
    item.values = palloc0(sizeof(PutValue) * count);
    item.value_count = count;
    for (uint32 i = 0; i < count; i++)
        item.values[i].value = values[i];
    pending_put(modify->cluster, modify->bucket, modify->w, &item);
}

TupleTableSlot *
dynamoExecForeignInsert(EState *estate, ResultRelInfo *result, TupleTableSlot *slot,
                        TupleTableSlot *plan_slot)
{
    DynamoModify *modify = result->ri_FdwState;
    MemoryContext before;

    MemoryContextReset(modify->row);
    before = MemoryContextSwitchTo(modify->row);
    modify_put(modify, slot);
    MemoryContextSwitchTo(before);
    return slot;
}

void
dynamoExplainForeignModify(ModifyTableState *state, ResultRelInfo *result, List *private,
                           int subplan_index, ExplainState *es)
{
    if (es->verbose)
        explain_bucket(relation_info(result->ri_RelationDesc), es);
}
