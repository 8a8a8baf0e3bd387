/*
 * The executor's side of the batched join: gathers outer rows, looks their keys up in one multiget
 * while the batch before is joined, and gives rows in the order of the outer plan.
 */
#include "fdw/run/batchrun.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "fdw/base/compat.h"
#include "fdw/base/settings.h"
#include "fdw/plan/batchjoin.h"
#include "fdw/row/key.h"
#include "fdw/row/keyset.h"
#include "fdw/run/explain.h"
#include "fdw/run/readahead.h"
#include "fdw/run/source.h"

enum
{
    BATCHRUN_FIRST_ROWS = 64, /* of the first batch */
    BATCHRUN_GROWTH = 4       /* how much larger each next one is, up to the setting */
};

/* An outer row. */
typedef struct BatchRow
{
    MinimalTuple tuple;
    bool has_key; /* false: nothing can match */
    uint32 place; /* of its key in the batch's set */
} BatchRow;

typedef struct Batch
{
    MemoryContext context; /* of all of it; reset by the next use */
    BatchRow *rows;
    uint32 row_count;
    uint32 next_row; /* the next to be joined */
    Keyset keys;
    Readahead *ahead;                 /* NULL: nothing was asked, or the results are here */
    const RequestReadResult *results; /* by place in keys; NULL: nothing matches */
} Batch;

typedef struct BatchRun
{
    CustomScanState node; /* first: PostgreSQL knows only this */
    JoinType join_type;
    int outer_count;
    List *value_types;
    List *attributes;  /* of the table, in the order of the scan tuple behind the outer columns */
    int handle_column; /* of the ctid in the scan tuple; -1: the table is not written */
    Index index;       /* of the table in the range table */
    Relation relation;
    Source *source;

    List *value_states;
    ExprState *join_quals;
    ExprState *inner_quals;
    ExprState *key_quals; /* only where rows are joined again */
    TupleTableSlot *outer_slot;
    TupleTableSlot *inner_slot; /* likewise */
    Datum *inner_values;        /* a row of the table, by attribute */
    bool *inner_nulls;

    Batch batches[2];
    int current; /* which of the two is being joined */
    bool other_is_loaded;
    uint32 batch_rows; /* how many rows the next batch may have */
    bool outer_ended;
} BatchRun;

/* ---- begin, rescan, end ---- */

static void
batchrun_empty(Batch *batch)
{
    MemoryContext context = batch->context;

    MemoryContextReset(context);
    *batch = (Batch){.context = context};
}

static void
batchrun_restart(BatchRun *run)
{
    batchrun_empty(&run->batches[0]);
    batchrun_empty(&run->batches[1]);
    run->other_is_loaded = false;
    run->batch_rows = BATCHRUN_FIRST_ROWS;
    run->outer_ended = false;
}

/* The table's attributes as row_codec_want takes them. */
static Bitmapset *
batchrun_attribute_set(List *attributes)
{
    Bitmapset *set = NULL;
    ListCell *cell;

    foreach (cell, attributes)
        set = bms_add_member(set, lfirst_int(cell) - FirstLowInvalidHeapAttributeNumber);
    return set;
}

static int
batchrun_handle_column(const BatchRun *run)
{
    int place = run->outer_count;
    ListCell *cell;

    foreach (cell, run->attributes)
    {
        if (lfirst_int(cell) == SelfItemPointerAttributeNumber)
            return place;
        place++;
    }
    return -1;
}

static void
batchrun_open_table(BatchRun *run, CustomScan *scan, EState *estate, bool explain_only)
{
    TargetEntry *entry = list_nth_node(TargetEntry, scan->custom_scan_tlist, run->outer_count);

    run->index = (Index)castNode(Var, entry->expr)->varno;
    run->relation = compat_range_table_relation(estate, run->index);
    run->source = source_new(run->relation, estate, run->index,
                             batchrun_attribute_set(run->attributes), explain_only);
    if (!explain_only && intVal(list_nth(scan->custom_private, BATCHJOIN_IS_BLIND)) != 0)
        row_codec_take_siblings(run->source->codec);
}

/* As for a join: a column that is handed on is not compared in type with its source, since a whole
 * row stands for one of the table's type and for a record. */
static void
batchrun_project(CustomScanState *node)
{
    PlanState *state = &node->ss.ps;

    if (state->ps_ProjInfo != NULL)
        state->ps_ProjInfo = ExecBuildProjectionInfo(state->plan->targetlist, state->ps_ExprContext,
                                                     state->ps_ResultTupleSlot, state, NULL);
}

static void
batchrun_begin(CustomScanState *node, EState *estate, int eflags)
{
    BatchRun *run = (BatchRun *)node;
    CustomScan *scan = castNode(CustomScan, node->ss.ps.plan);
    PlanState *outer = ExecInitNode(linitial(scan->custom_plans), estate, eflags);
    bool explain_only = (eflags & EXEC_FLAG_EXPLAIN_ONLY) != 0;
    int attribute_count;

    batchrun_project(node);
    node->custom_ps = list_make1(outer);
    run->join_type = (JoinType)intVal(list_nth(scan->custom_private, BATCHJOIN_JOIN_TYPE));
    run->outer_count = intVal(list_nth(scan->custom_private, BATCHJOIN_OUTER_COUNT));
    run->value_types = list_nth(scan->custom_private, BATCHJOIN_VALUE_TYPES);
    run->attributes = list_nth(scan->custom_private, BATCHJOIN_ATTRIBUTES);
    run->handle_column = batchrun_handle_column(run);
    batchrun_open_table(run, scan, estate, explain_only);
    if (explain_only)
        return;
    run->value_states =
        ExecInitExprList(list_nth(scan->custom_exprs, BATCHJOIN_VALUES), &node->ss.ps);
    run->join_quals =
        ExecInitQual(list_nth(scan->custom_exprs, BATCHJOIN_JOIN_QUALS), &node->ss.ps);
    run->inner_quals =
        ExecInitQual(list_nth(scan->custom_exprs, BATCHJOIN_INNER_QUALS), &node->ss.ps);
    run->outer_slot = ExecInitExtraTupleSlot(estate, ExecGetResultType(outer), &TTSOpsMinimalTuple);
    if (estate->es_epq_active != NULL)
    {
        run->key_quals =
            ExecInitQual(list_nth(scan->custom_exprs, BATCHJOIN_KEY_CLAUSES), &node->ss.ps);
        run->inner_slot =
            ExecInitExtraTupleSlot(estate, RelationGetDescr(run->relation), &TTSOpsVirtual);
    }
    attribute_count = RelationGetDescr(run->relation)->natts;
    run->inner_values = palloc0(attribute_count * sizeof(Datum));
    run->inner_nulls = palloc0(attribute_count * sizeof(bool));
    for (int i = 0; i < lengthof(run->batches); i++)
        run->batches[i].context =
            AllocSetContextCreate(estate->es_query_cxt, "dynamo_fdw join", ALLOCSET_DEFAULT_SIZES);
    batchrun_restart(run);
}

static void
batchrun_rescan(CustomScanState *node)
{
    PlanState *outer = linitial(node->custom_ps);

    if (node->ss.ps.chgParam != NULL)
        UpdateChangedParamSet(outer, node->ss.ps.chgParam);
    if (outer->chgParam == NULL)
        ExecReScan(outer);
    ExecScanReScan(&node->ss);
    batchrun_restart((BatchRun *)node);
}

static void
batchrun_end(CustomScanState *node)
{
    ExecEndNode(linitial(node->custom_ps));
}

/* ---- loading a batch ---- */

/* Puts an outer row into the scan tuple, beside NULLs. */
static void
batchrun_set_outer(BatchRun *run, TupleTableSlot *outer)
{
    TupleTableSlot *slot = run->node.ss.ss_ScanTupleSlot;
    int count = slot->tts_tupleDescriptor->natts;

    slot_getallattrs(outer);
    ExecClearTuple(slot);
    memcpy(slot->tts_values, outer->tts_values, run->outer_count * sizeof(Datum));
    memcpy(slot->tts_isnull, outer->tts_isnull, run->outer_count * sizeof(bool));
    for (int i = run->outer_count; i < count; i++)
        slot->tts_isnull[i] = true;
    ExecStoreVirtualTuple(slot);
}

/* Adds the key of the outer row in the scan tuple. */
static void
batchrun_add_key(BatchRun *run, Batch *batch, BatchRow *row)
{
    const RelationInfo *info = run->source->info;
    ExprContext *econtext = run->node.ss.ps.ps_ExprContext;
    MemoryContext before = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
    KeyValue parts[KEY_COLUMNS_MAX];

    econtext->ecxt_scantuple = run->node.ss.ss_ScanTupleSlot;
    row->has_key = true;
    for (int i = 0; row->has_key && i < info->key_count; i++)
    {
        bool is_null;
        Datum value =
            ExecEvalExpr(list_nth_node(ExprState, run->value_states, i), econtext, &is_null);

        row->has_key = !is_null && key_part(&info->keys[i], value,
                                            list_nth_oid(run->value_types, i), &parts[i]);
    }
    MemoryContextSwitchTo(before);
    if (row->has_key)
        row->place = keyset_add(&batch->keys, info, parts);
}

static void
batchrun_take_row(BatchRun *run, Batch *batch, TupleTableSlot *outer)
{
    BatchRow *row = &batch->rows[batch->row_count++];
    MemoryContext before = MemoryContextSwitchTo(batch->context);

    row->tuple = ExecCopySlotMinimalTuple(outer);
    MemoryContextSwitchTo(before);
    batchrun_set_outer(run, outer);
    batchrun_add_key(run, batch, row);
    ResetExprContext(run->node.ss.ps.ps_ExprContext);
}

/* As many outer rows as the batch may have, or as work_mem holds. */
static void
batchrun_take_rows(BatchRun *run, Batch *batch)
{
    PlanState *outer = linitial(run->node.custom_ps);
    Size held = 0;

    while (batch->row_count < run->batch_rows && held < (Size)work_mem * 1024)
    {
        TupleTableSlot *slot = ExecProcNode(outer);

        if (TupIsNull(slot))
        {
            run->outer_ended = true;
            return;
        }
        batchrun_take_row(run, batch, slot);
        held += batch->rows[batch->row_count - 1].tuple->t_len;
    }
}

/* Has the batch's keys looked up; the answers are waited for when its rows are to be joined. */
static void
batchrun_ask(BatchRun *run, Batch *batch)
{
    Source *source = run->source;
    MemoryContext before;

    if (batch->keys.count == 0 || !source_open(source))
        return;
    before = MemoryContextSwitchTo(batch->context);
    batch->ahead = readahead_begin(source->cluster, source->bucket, batch->keys.keys,
                                   batch->keys.count, &source->options, &source->counters);
    MemoryContextSwitchTo(before);
}

/* False: there is no outer row left. */
static bool
batchrun_load(BatchRun *run, Batch *batch)
{
    if (run->outer_ended)
        return false;
    batchrun_empty(batch);
    run->batch_rows = Min(run->batch_rows, (uint32)settings.join_batch_size);
    batch->rows = MemoryContextAllocHuge(batch->context, run->batch_rows * sizeof(BatchRow));
    keyset_init(&batch->keys, batch->context);
    batchrun_take_rows(run, batch);
    batchrun_ask(run, batch);
    return batch->row_count > 0;
}

/* Makes the next batch the current one. False: there is none. */
static bool
batchrun_next_batch(BatchRun *run)
{
    Batch *batch = &run->batches[1 - run->current];

    if (!run->other_is_loaded && !batchrun_load(run, batch))
        return false;
    if (batch->ahead != NULL)
        batch->results = readahead_end(batch->ahead);
    batch->ahead = NULL;
    run->current = 1 - run->current;
    /* The nodes look up the batch behind while this one is joined: not as long as batches are
     * small, when it may be that few rows are wanted. */
    run->other_is_loaded = run->batch_rows == (uint32)settings.join_batch_size &&
                           batchrun_load(run, &run->batches[1 - run->current]);
    run->batch_rows = Min(run->batch_rows * BATCHRUN_GROWTH, (uint32)settings.join_batch_size);
    return true;
}

/* ---- joining ---- */

static Datum
batchrun_whole_row(BatchRun *run)
{
    HeapTuple tuple =
        heap_form_tuple(RelationGetDescr(run->relation), run->inner_values, run->inner_nulls);

    return HeapTupleGetDatum(tuple);
}

/* Puts the table's row into the scan tuple, behind the outer columns. */
static void
batchrun_set_inner(BatchRun *run)
{
    TupleTableSlot *slot = run->node.ss.ss_ScanTupleSlot;
    int place = run->outer_count;
    ListCell *cell;

    foreach (cell, run->attributes)
    {
        AttrNumber attnum = (AttrNumber)lfirst_int(cell);
        bool is_row = attnum == InvalidAttrNumber;

        if (place != run->handle_column)
        {
            slot->tts_isnull[place] = !is_row && run->inner_nulls[attnum - 1];
            slot->tts_values[place] =
                is_row ? batchrun_whole_row(run) : run->inner_values[attnum - 1];
        }
        place++;
    }
}

/* Keeps a row that is to be updated or deleted, and gives it its handle. */
static void
batchrun_keep_row(BatchRun *run, const PagerRow *found)
{
    TupleTableSlot *slot = run->node.ss.ss_ScanTupleSlot;
    MemoryContext before =
        MemoryContextSwitchTo(run->node.ss.ps.ps_ExprContext->ecxt_per_tuple_memory);
    ItemPointer handle = palloc(sizeof(ItemPointerData));

    source_keep_row(run->source, found->key, found->object, found->context, handle);
    slot->tts_values[run->handle_column] = PointerGetDatum(handle);
    slot->tts_isnull[run->handle_column] = false;
    MemoryContextSwitchTo(before);
}

/* Joins the outer row in the scan tuple with the table's row of that key; false, and NULLs, when
 * there is none. */
static bool
batchrun_match(BatchRun *run, const BatchRow *row)
{
    ExprContext *econtext = run->node.ss.ps.ps_ExprContext;
    const Batch *batch = &run->batches[run->current];
    PagerRow found;
    MemoryContext before;
    bool matches;

    if (!row->has_key || batch->results == NULL)
        return false;
    found = (PagerRow){.key = batch->keys.keys[row->place],
                       .object = batch->results[row->place].object,
                       .context = batch->results[row->place].context};
    source_lay_over(run->source, &found);
    before = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
    matches = row_decode(run->source->codec, found.key, found.object, found.context,
                         run->inner_values, run->inner_nulls);
    if (matches)
        batchrun_set_inner(run);
    MemoryContextSwitchTo(before);
    econtext->ecxt_scantuple = run->node.ss.ss_ScanTupleSlot;
    matches =
        matches && ExecQual(run->inner_quals, econtext) && ExecQual(run->join_quals, econtext);
    if (matches && run->handle_column >= 0)
        batchrun_keep_row(run, &found);
    return matches;
}

/* True when the join has a row for an outer row that has, or has not, a match. */
static bool
batchrun_is_wanted(const BatchRun *run, bool matched)
{
    if (matched)
        return run->join_type != JOIN_ANTI;
    return run->join_type == JOIN_LEFT || run->join_type == JOIN_ANTI;
}

/* The outer row that is joined next, in the scan tuple; false at the end. */
static bool
batchrun_next_outer(BatchRun *run, const BatchRow **row)
{
    Batch *batch = &run->batches[run->current];

    while (batch->next_row == batch->row_count)
    {
        if (!batchrun_next_batch(run))
            return false;
        batch = &run->batches[run->current];
    }
    *row = &batch->rows[batch->next_row++];
    ExecStoreMinimalTuple((*row)->tuple, run->outer_slot, false);
    batchrun_set_outer(run, run->outer_slot);
    return true;
}

static TupleTableSlot *
batchrun_next(ScanState *scan)
{
    BatchRun *run = (BatchRun *)scan;
    const BatchRow *row;

    while (batchrun_next_outer(run, &row))
    {
        bool matched = batchrun_match(run, row);

        CHECK_FOR_INTERRUPTS();
        if (batchrun_is_wanted(run, matched))
        {
            if (!matched)
                batchrun_set_outer(run, run->outer_slot);
            return scan->ss_ScanTupleSlot;
        }
        ResetExprContext(scan->ps.ps_ExprContext);
    }
    return ExecClearTuple(scan->ss_ScanTupleSlot);
}

/* ---- joining again ---- */

/*
 * An outer row that was locked after another transaction had changed it is joined again with the
 * table's row as it was (EvalPlanQual): the conditions decide anew whether the two belong together.
 */
static bool
batchrun_match_again(BatchRun *run, EPQState *epq)
{
    ExprContext *econtext = run->node.ss.ps.ps_ExprContext;
    TupleTableSlot *inner = run->inner_slot;

    if (!EvalPlanQualFetchRowMark(epq, run->index, inner) || TupIsNull(inner))
        return false;
    slot_getallattrs(inner);
    memcpy(run->inner_values, inner->tts_values, inner->tts_nvalid * sizeof(Datum));
    memcpy(run->inner_nulls, inner->tts_isnull, inner->tts_nvalid * sizeof(bool));
    batchrun_set_inner(run);
    econtext->ecxt_scantuple = run->node.ss.ss_ScanTupleSlot;
    return ExecQual(run->key_quals, econtext) && ExecQual(run->inner_quals, econtext) &&
           ExecQual(run->join_quals, econtext);
}

static TupleTableSlot *
batchrun_join_again(BatchRun *run, EPQState *epq)
{
    TupleTableSlot *slot = run->node.ss.ss_ScanTupleSlot;
    TupleTableSlot *outer = ExecProcNode(linitial(run->node.custom_ps));
    bool matched;

    if (TupIsNull(outer))
        return ExecClearTuple(slot);
    batchrun_set_outer(run, outer);
    matched = batchrun_match_again(run, epq);
    if (batchrun_is_wanted(run, matched))
    {
        if (!matched)
            batchrun_set_outer(run, outer);
        return slot;
    }
    return ExecClearTuple(slot);
}

/* PostgreSQL calls this in place of batchrun_next while it checks a row again. */
static bool
batchrun_recheck(ScanState *scan, TupleTableSlot *slot)
{
    BatchRun *run = (BatchRun *)scan;
    EPQState *epq = scan->ps.state->es_epq_active;

    /* Within a sub-select there is no row to check: it runs as ever. */
    if (epq->relsubs_rowmark[run->index - 1] == NULL)
        slot = batchrun_next(scan);
    else
        slot = batchrun_join_again(run, epq);
    return !TupIsNull(slot);
}

static TupleTableSlot *
batchrun_exec(CustomScanState *node)
{
    return ExecScan(&node->ss, batchrun_next, batchrun_recheck);
}

/* ---- explain ---- */

static const char *
batchrun_join_name(JoinType type)
{
    switch (type)
    {
    case JOIN_LEFT:
        return "Left";
    case JOIN_SEMI:
        return "Semi";
    case JOIN_ANTI:
        return "Anti";
    default:
        return "Inner";
    }
}

static void
batchrun_explain(CustomScanState *node, List *ancestors, ExplainState *es)
{
    const BatchRun *run = (const BatchRun *)node;
    CustomScan *scan = castNode(CustomScan, node->ss.ps.plan);
    static const struct
    {
        const char *label;
        int place;
    } conditions[] = {
        {"Key Cond",      BATCHJOIN_KEY_CLAUSES},
        {"Join Filter",   BATCHJOIN_JOIN_QUALS },
        {"Lookup Filter", BATCHJOIN_INNER_QUALS}
    };

    ExplainPropertyText("Join Type", batchrun_join_name(run->join_type), es);
    ExplainPropertyText("Lookup On", run->source->info->table_name, es);
    for (int i = 0; i < lengthof(conditions); i++)
        if (list_nth(scan->custom_exprs, conditions[i].place) != NIL)
            explain_condition(conditions[i].label,
                              list_nth(scan->custom_exprs, conditions[i].place), &scan->scan.plan,
                              ancestors, es);
    explain_conflict(run->source->info, es);
    if (es->verbose || es->analyze)
        explain_bucket(run->source->info, es);
    if (es->analyze)
        explain_counters(&run->source->counters, es);
}

static const CustomExecMethods exec_methods = {
    .CustomName = "DynamoBatchJoin",
    .BeginCustomScan = batchrun_begin,
    .ExecCustomScan = batchrun_exec,
    .EndCustomScan = batchrun_end,
    .ReScanCustomScan = batchrun_rescan,
    .ExplainCustomScan = batchrun_explain,
};

static Node *
batchrun_create(CustomScan *scan)
{
    BatchRun *run = palloc0(sizeof(BatchRun));

    NodeSetTag(run, T_CustomScanState);
    run->node.methods = &exec_methods;
    return (Node *)run;
}

static const CustomScanMethods scan_methods = {
    .CustomName = BATCHJOIN_SCAN,
    .CreateCustomScanState = batchrun_create,
};

void
batchrun_register(void)
{
    RegisterCustomScanMethods(&scan_methods);
}

const Source *
batchrun_source(const CustomScanState *node, Index index)
{
    const BatchRun *run = (const BatchRun *)node;

    return node->methods == &exec_methods && run->index == index ? run->source : NULL;
}
