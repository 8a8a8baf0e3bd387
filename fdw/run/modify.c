/*
 * The callbacks of INSERT, COPY, UPDATE and DELETE: checks a row as PostgreSQL would for a table of
 * its own, encodes it, and adds one put to the transaction's log.
 */
#include "fdw/run/modify.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/appendinfo.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "fdw/base/compat.h"
#include "fdw/cluster/cluster.h"
#include "fdw/row/key.h"
#include "fdw/row/row.h"
#include "fdw/run/batchrun.h"
#include "fdw/run/explain.h"
#include "fdw/run/scan.h"
#include "fdw/run/written.h"
#include "fdw/transaction/pending.h"
#include "fdw/transaction/transaction.h"

enum
{
    /* Of one row, so that with what stands beside it in a frame it still is one. */
    MODIFY_ITEM_BYTES_MAX = MESSAGE_FRAME_MAX - 2 * 1024 * 1024
};

typedef struct DynamoModify
{
    RelationInfo *info;
    RowCodec *codec;
    ClientCluster *cluster;
    const Bucket *bucket; /* NULL before the first row */
    ClientQuorum quorum;
    CommandId command;
    MemoryContext row; /* reset before each row */

    /* Of UPDATE and DELETE. */
    const Target *target;        /* NULL: the plan scans no row of the table */
    Written *written;            /* the keys that are not to be written again */
    AttrNumber handle_attribute; /* of the ctid in the plan's rows */
    AttrNumber row_attribute;    /* of the whole old row; invalid where nobody asks for it */
} DynamoModify;

/* The names of what the plan's rows carry for us; PostgreSQL's own, so that the tables of a
 * partitioned one agree. */
#define MODIFY_HANDLE_NAME "ctid"
#define MODIFY_ROW_NAME "wholerow"

int
dynamoIsForeignRelUpdatable(Relation relation)
{
    return 1 << CMD_INSERT | 1 << CMD_UPDATE | 1 << CMD_DELETE;
}

/* ---- planning ---- */

void
dynamoAddForeignUpdateTargets(PlannerInfo *root, Index index, RangeTblEntry *entry,
                              Relation relation)
{
    Var *handle = makeVar((int)index, SelfItemPointerAttributeNumber, TIDOID, -1, InvalidOid, 0);

    add_row_identity_var(root, handle, index, MODIFY_HANDLE_NAME);
    /* For UPDATE PostgreSQL does the same. */
    if (root->parse->commandType == CMD_DELETE && root->parse->returningList != NIL)
        add_row_identity_var(root,
                             makeVar((int)index, InvalidAttrNumber, RECORDOID, -1, InvalidOid, 0),
                             index, MODIFY_ROW_NAME);
}

static void
modify_refuse_on_conflict(const ModifyTable *plan)
{
    if (plan != NULL && plan->onConflictAction != ONCONFLICT_NONE)
        ereport(ERROR,
                (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                 errmsg("INSERT with an ON CONFLICT clause is not supported on foreign tables of "
                        "dynamo_fdw"),
                 errhint("A plain INSERT of an existing key never fails. The new row "
                         "becomes a sibling of the present one.")));
}

List *
dynamoPlanForeignModify(PlannerInfo *root, ModifyTable *plan, Index result_relation,
                        int subplan_index)
{
    modify_refuse_on_conflict(plan);
    return NIL;
}

/* ---- beginning ---- */

/* COPY runs no plan. */
static CommandId
modify_command(const EState *estate)
{
    return estate->es_plannedstmt != NULL ? estate->es_output_cid : GetCurrentCommandId(true);
}

static DynamoModify *
modify_set_up(EState *estate, ResultRelInfo *result, Index range_table_index)
{
    Relation relation = result->ri_RelationDesc;
    MemoryContext before = MemoryContextSwitchTo(estate->es_query_cxt);
    DynamoModify *modify = palloc0(sizeof(DynamoModify));

    modify->info = relation_info(relation);
    modify->codec = row_codec_new(modify->info, RelationGetDescr(relation));
    modify->cluster =
        transaction_cluster(modify->info->serverid, compat_check_user(estate, range_table_index));
    modify->command = modify_command(estate);
    modify->row = AllocSetContextCreate(estate->es_query_cxt, "dynamo_fdw row to write",
                                        ALLOCSET_DEFAULT_SIZES);
    result->ri_FdwState = modify;
    MemoryContextSwitchTo(before);
    return modify;
}

typedef struct ModifySearch
{
    Index index;
    const Source *source;
} ModifySearch;

static bool
modify_search(PlanState *plan, void *argument)
{
    ModifySearch *search = argument;

    if (IsA(plan, CustomScanState))
        search->source = batchrun_source((const CustomScanState *)plan, search->index);
    else if (IsA(plan, ForeignScanState) &&
             ((const ForeignScan *)plan->plan)->scan.scanrelid == search->index)
        search->source = scan_source((const ForeignScanState *)plan);
    return search->source != NULL || planstate_tree_walker(plan, modify_search, search);
}

/* The rows that the plan gives of the table; NULL when it scans none. */
static const Target *
modify_find_target(PlanState *plan, Index index)
{
    ModifySearch search = {.index = index};

    return modify_search(plan, &search) ? search.source->target : NULL;
}

/* The keys that the statement has written to the bucket: parts of one statement that write to one
 * bucket share them. */
static Written *
modify_written(EState *estate, const DynamoModify *modify)
{
    ListCell *cell;

    foreach (cell, estate->es_opened_result_relations)
    {
        const ResultRelInfo *result = lfirst(cell);
        const DynamoModify *other = result->ri_FdwState;

        if (other != NULL &&
            result->ri_FdwRoutine->BeginForeignModify == dynamoBeginForeignModify &&
            other->written != NULL && other->cluster == modify->cluster &&
            strcmp(other->info->bucket, modify->info->bucket) == 0)
            return other->written;
    }
    return written_new(estate->es_query_cxt);
}

void
dynamoBeginForeignModify(ModifyTableState *state, ResultRelInfo *result, List *private,
                         int subplan_index, int eflags)
{
    PlanState *subplan = outerPlanState(state);
    DynamoModify *modify;

    if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
        return;
    modify = modify_set_up(state->ps.state, result, result->ri_RangeTableIndex);
    if (state->operation == CMD_INSERT)
        return;
    modify->target = modify_find_target(subplan, result->ri_RangeTableIndex);
    modify->written = modify_written(state->ps.state, modify);
    modify->handle_attribute =
        ExecFindJunkAttributeInTlist(subplan->plan->targetlist, MODIFY_HANDLE_NAME);
    modify->row_attribute =
        ExecFindJunkAttributeInTlist(subplan->plan->targetlist, MODIFY_ROW_NAME);
}

void
dynamoBeginForeignInsert(ModifyTableState *state, ResultRelInfo *result)
{
    /* A partition that no one named is not in the range table; the rights are those of the table it
     * is a part of. */
    ResultRelInfo *named = result->ri_RangeTableIndex != 0 ? result : result->ri_RootResultRelInfo;

    modify_refuse_on_conflict(castNode(ModifyTable, state->ps.plan));
    /* A partition whose own rows are updated as well is set up already. */
    if (result->ri_FdwState == NULL)
        modify_set_up(state->ps.state, result, named->ri_RangeTableIndex);
}

/* ---- putting ---- */

/* The bucket as the cluster has it, created from the table's definition if need be. */
static void
modify_find_bucket(DynamoModify *modify)
{
    modify->quorum = relation_write_quorum(modify->info);
    modify->bucket = client_ensure_bucket(modify->cluster, relation_as_bucket(modify->info));
}

static void
modify_refuse_size(const DynamoModify *modify, Slice key, const char *what, size_t size,
                   const char *option, uint32 most)
{
    ereport(ERROR,
            (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
             errmsg("%s of a row of foreign table \"%s\" is larger than the nodes "
                    "accept",
                    what, modify->info->table_name),
             errdetail("The %s of key %s takes %zu bytes as it is stored, and %s is %u.", what,
                       key_describe(modify->info, key), size, option, most),
             errhint("Raise %s in the configuration of all nodes, or store less under one key.",
                     option)));
}

/* So that nothing of the transaction has left before a node refuses it. */
static void
modify_check_size(const DynamoModify *modify, const WriteItem *item)
{
    LinksLimits limits = links_limits(modify->cluster->links);

    if (limits.key != 0 && item->key.length > limits.key)
        modify_refuse_size(modify, item->key, "key", item->key.length, "max_key_bytes", limits.key);
    for (uint32 i = 0; limits.value != 0 && i < item->value_count; i++)
        if (item->values[i].value.length > limits.value)
            modify_refuse_size(modify, item->key, "value", item->values[i].value.length,
                               "max_value_bytes", limits.value);
    if (write_item_bytes(item) > MODIFY_ITEM_BYTES_MAX)
        ereport(ERROR,
                (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                 errmsg("a row of foreign table \"%s\" is too large", modify->info->table_name),
                 errdetail("All values of key %s take %zu bytes together, and no more than %d "
                           "travel at once.",
                           key_describe(modify->info, item->key), write_item_bytes(item),
                           (int)MODIFY_ITEM_BYTES_MAX),
                 errhint("Write the row with fewer siblings.")));
}

static void
modify_put(DynamoModify *modify, const WriteItem *item)
{
    if (modify->bucket == NULL)
        modify_find_bucket(modify);
    modify_check_size(modify, item);
    pending_put(modify->cluster, modify->bucket, &modify->quorum, modify->command, item);
}

/* ---- what the table demands ---- */

/* Constraints and a partition's bounds hold because this looks: the planner takes them for true,
 * and the nodes know nothing of them. */
static void
modify_check_row(EState *estate, ResultRelInfo *result, TupleTableSlot *slot, bool is_routed)
{
    Relation relation = result->ri_RelationDesc;

    slot->tts_tableOid = RelationGetRelid(relation);
    if (RelationGetDescr(relation)->constr != NULL)
        ExecConstraints(result, slot, estate);
    if (relation->rd_rel->relispartition && !is_routed)
        ExecPartitionCheck(result, slot, estate, true);
}

/* True when the bounds have decided that the row belongs here; a trigger may have changed it. */
static bool
modify_is_routed(const ResultRelInfo *result)
{
    return result->ri_RootResultRelInfo != NULL &&
           (result->ri_TrigDesc == NULL || !result->ri_TrigDesc->trig_insert_before_row);
}

static bool
modify_has_live_value(const OverlayPut *put)
{
    for (uint32 i = 0; i < put->value_count; i++)
        if (!put->values[i].tombstone)
            return true;
    return false;
}

/*
 * A trigger or function that this command ran has written the row: either write would hide the
 * other, or both be siblings. Where it deleted what was there an INSERT may follow.
 */
static void
modify_check_untouched(DynamoModify *modify, Slice key, CmdType operation)
{
    static const char *const verbs[] = {
        [CMD_INSERT] = "inserted", [CMD_UPDATE] = "updated", [CMD_DELETE] = "deleted"};
    const OverlayPut *newest;

    if (modify->bucket == NULL)
        modify_find_bucket(modify);
    newest = pending_newest(modify->cluster, modify->bucket, key);
    if (newest == NULL || newest->command <= modify->command ||
        (operation == CMD_INSERT && !modify_has_live_value(newest)))
        return;
    ereport(ERROR, (errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
                    errmsg("row to be %s was already modified by an operation triggered by the "
                           "current command",
                           verbs[operation]),
                    errdetail("Key %s of foreign table \"%s\".", key_describe(modify->info, key),
                              modify->info->table_name),
                    errhint("Consider using an AFTER trigger instead of a BEFORE trigger to "
                            "propagate changes to other rows.")));
}

/* Makes the row's values the item's. */
static void
modify_set_values(DynamoModify *modify, TupleTableSlot *slot, Slice undeclared, WriteItem *item)
{
    uint32 count;
    Slice *values = row_encode_values(modify->codec, slot, undeclared, &count);

    item->values = palloc0(sizeof(PutValue) * count);
    item->value_count = count;
    for (uint32 i = 0; i < count; i++)
        item->values[i].value = values[i];
}

static void
modify_insert(DynamoModify *modify, TupleTableSlot *slot)
{
    WriteItem item = {.key = row_encode_key(modify->codec, slot),
                      .context = row_context(modify->codec, slot)};

    modify_check_untouched(modify, item.key, CMD_INSERT);
    modify_set_values(modify, slot, SLICE_EMPTY, &item);
    modify_put(modify, &item);
}

TupleTableSlot *
dynamoExecForeignInsert(EState *estate, ResultRelInfo *result, TupleTableSlot *slot,
                        TupleTableSlot *plan_slot)
{
    DynamoModify *modify = result->ri_FdwState;
    MemoryContext before;

    modify_check_row(estate, result, slot, modify_is_routed(result));
    MemoryContextReset(modify->row);
    before = MemoryContextSwitchTo(modify->row);
    modify_insert(modify, slot);
    MemoryContextSwitchTo(before);
    return slot;
}

/* ---- UPDATE and DELETE ---- */

static const TargetRow *
modify_target_row(const DynamoModify *modify, TupleTableSlot *plan_slot)
{
    bool is_null;
    Datum handle = ExecGetJunkAttribute(plan_slot, modify->handle_attribute, &is_null);

    if (is_null || modify->target == NULL)
        elog(ERROR, "a row of foreign table \"%s\" has no ctid", modify->info->table_name);
    return target_row(modify->target, (ItemPointer)DatumGetPointer(handle));
}

static void
modify_check_key(DynamoModify *modify, const TargetRow *row, TupleTableSlot *slot)
{
    Slice key = row_encode_key(modify->codec, slot);

    if (slice_equal(key, row->key))
        return;
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("cannot update the key of a row of foreign table \"%s\"",
                           modify->info->table_name),
                    errdetail("Key %s would become %s.", key_describe(modify->info, row->key),
                              key_describe(modify->info, key)),
                    errhint("INSERT the row under its new key, and DELETE the old one.")));
}

static void
modify_update(DynamoModify *modify, const TargetRow *row, TupleTableSlot *slot)
{
    bool has_context = AttributeNumberIsValid(modify->info->context_attnum);
    WriteItem item = {.key = row->key,
                      .context = has_context ? row_context(modify->codec, slot) : row->context};

    modify_check_key(modify, row, slot);
    modify_check_untouched(modify, row->key, CMD_UPDATE);
    modify_set_values(modify, slot, row->undeclared, &item);
    modify_put(modify, &item);
}

TupleTableSlot *
dynamoExecForeignUpdate(EState *estate, ResultRelInfo *result, TupleTableSlot *slot,
                        TupleTableSlot *plan_slot)
{
    DynamoModify *modify = result->ri_FdwState;
    const TargetRow *row = modify_target_row(modify, plan_slot);
    MemoryContext before;

    if (!written_add(modify->written, row->key))
        return NULL;
    modify_check_row(estate, result, slot, false);
    MemoryContextReset(modify->row);
    before = MemoryContextSwitchTo(modify->row);
    modify_update(modify, row, slot);
    MemoryContextSwitchTo(before);
    return slot;
}

/* The old row, for RETURNING. The slot borrows from the plan's row. */
static void
modify_return_old(const DynamoModify *modify, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
    bool is_null;
    Datum value = ExecGetJunkAttribute(plan_slot, modify->row_attribute, &is_null);
    HeapTupleData tuple = {0};

    tuple.t_data = (HeapTupleHeader)PG_DETOAST_DATUM(value);
    tuple.t_len = HeapTupleHeaderGetDatumLength(tuple.t_data);
    ItemPointerSetInvalid(&tuple.t_self);
    ExecClearTuple(slot);
    heap_deform_tuple(&tuple, slot->tts_tupleDescriptor, slot->tts_values, slot->tts_isnull);
    ExecStoreVirtualTuple(slot);
}

TupleTableSlot *
dynamoExecForeignDelete(EState *estate, ResultRelInfo *result, TupleTableSlot *slot,
                        TupleTableSlot *plan_slot)
{
    DynamoModify *modify = result->ri_FdwState;
    const TargetRow *row = modify_target_row(modify, plan_slot);
    PutValue tombstone = {.tombstone = true};
    WriteItem item = {
        .key = row->key, .context = row->context, .values = &tombstone, .value_count = 1};

    if (!written_add(modify->written, row->key))
        return NULL;
    modify_check_untouched(modify, row->key, CMD_DELETE);
    modify_put(modify, &item);
    if (AttributeNumberIsValid(modify->row_attribute))
        modify_return_old(modify, slot, plan_slot);
    return slot;
}

/* ---- explaining ---- */

void
dynamoExplainForeignModify(ModifyTableState *state, ResultRelInfo *result, List *private,
                           int subplan_index, ExplainState *es)
{
    static const char *const sends[] = {
        [CMD_INSERT] = "put, under the context of the row if it has one",
        [CMD_UPDATE] = "put, under the context read",
        [CMD_DELETE] = "tombstone, under the context read",
    };

    if (!es->verbose)
        return;
    explain_bucket(relation_info(result->ri_RelationDesc), es);
    ExplainPropertyText("Sends", sends[state->operation], es);
}
