/*
 * The callbacks of a ForeignScan. A full scan also gives the rows that only this transaction has,
 * once the cluster's pages are through.
 */
#include "fdw/run/scan.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "fdw/plan/plan.h"
#include "fdw/row/keyset.h"
#include "fdw/run/readahead.h"
#include "fdw/run/source.h"
#include "fdw/run/unscanned_keys.h"

/* Some of a lookup's keys, asked for at once. */
typedef struct ScanBatch
{
    MemoryContext context; /* of the results */
    uint32 start;          /* its first key */
    uint32 count;
    Readahead *ahead; /* NULL: not asked for, or the results are here */
    const RequestReadResult *results;
} ScanBatch;

typedef struct DynamoScan
{
    Source *source;
    ScanPlan plan;
    ExprState *target_qual; /* the node's own, of a target's scan */
    bool started;
    MemoryContext context; /* of one run: keys, scan; reset by a rescan */

    List *value_states; /* ExprStates of a lookup's values, by key column */
    Keyset keys;        /* of a lookup */
    uint32 next_key;    /* the first that was not asked for */
    ScanBatch batches[2];
    int current; /* which of the two is at hand; the other may be under way */

    ClientScan *scan; /* of a full scan */
    const PagerRow *page;
    UnscannedKeys *unscanned; /* NULL: the pages are all */

    uint32 row; /* the next of the batch or page at hand */
    uint32 row_count;
} DynamoScan;

static void
scan_reset(DynamoScan *state)
{
    MemoryContextReset(state->context);
    for (int i = 0; i < lengthof(state->batches); i++)
        state->batches[i] =
            (ScanBatch){.context = AllocSetContextCreate(state->context, "dynamo_fdw batch",
                                                         ALLOCSET_SMALL_SIZES)};
    state->started = false;
    state->scan = NULL;
    state->unscanned = NULL;
    state->row = state->row_count = 0;
    state->next_key = 0;
}

void
dynamoBeginForeignScan(ForeignScanState *node, int eflags)
{
    ForeignScan *scan = castNode(ForeignScan, node->ss.ps.plan);
    EState *estate = node->ss.ps.state;
    bool explain_only = (eflags & EXEC_FLAG_EXPLAIN_ONLY) != 0;
    DynamoScan *state = palloc0(sizeof(DynamoScan));

    node->fdw_state = state;
    state->plan = plan_decode(scan);
    state->source = source_new(node->ss.ss_currentRelation, estate, scan->scan.scanrelid,
                               state->plan.attributes, explain_only);
    if (explain_only)
        return;
    if (state->plan.is_blind)
        row_codec_take_siblings(state->source->codec);
    if (state->source->target != NULL)
    {
        /* Only rows that pass are kept, so the condition is checked here in PostgreSQL's place. */
        state->target_qual = node->ss.ps.qual;
        node->ss.ps.qual = NULL;
    }
    state->value_states = ExecInitExprList(scan->fdw_exprs, &node->ss.ps);
    state->context =
        AllocSetContextCreate(estate->es_query_cxt, "dynamo_fdw scan", ALLOCSET_DEFAULT_SIZES);
    scan_reset(state);
}

/* ---- lookup ---- */

static void
scan_collect_keys(ForeignScanState *node, DynamoScan *state)
{
    ExprContext *econtext = node->ss.ps.ps_ExprContext;
    const RelationInfo *info = state->source->info;
    KeysetColumn columns[KEY_COLUMNS_MAX];

    for (int i = 0; i < info->key_count; i++)
    {
        columns[i].value_type = state->plan.value_types[i];
        columns[i].is_array = state->plan.is_array[i];
        columns[i].value = ExecEvalExpr(list_nth_node(ExprState, state->value_states, i), econtext,
                                        &columns[i].is_null);
    }
    keyset_init(&state->keys, state->context);
    keyset_add_product(&state->keys, info, columns);
}

/* Asks for the next keys, where there are more. */
static void
scan_ask(DynamoScan *state, ScanBatch *batch)
{
    Source *source = state->source;
    uint32 left = state->keys.count - state->next_key;
    MemoryContext before;

    if (left == 0)
        return;
    MemoryContextReset(batch->context);
    before = MemoryContextSwitchTo(batch->context);
    batch->start = state->next_key;
    batch->count = Min(left, PLAN_BATCH_KEYS);
    batch->ahead = readahead_begin(source->cluster, source->bucket, state->keys.keys + batch->start,
                                   batch->count, &source->options, &source->counters);
    state->next_key += batch->count;
    MemoryContextSwitchTo(before);
}

/* Makes the next batch the one at hand, and has the nodes look up the one behind it. */
static bool
scan_next_batch(DynamoScan *state)
{
    ScanBatch *batch = &state->batches[1 - state->current];

    if (batch->ahead == NULL)
        scan_ask(state, batch);
    if (batch->ahead == NULL)
        return false;
    batch->results = readahead_end(batch->ahead);
    batch->ahead = NULL;
    scan_ask(state, &state->batches[state->current]);
    state->current = 1 - state->current;
    state->row = 0;
    state->row_count = batch->count;
    return true;
}

/* All keys in one request, as most lookups are. */
static bool
scan_only_batch(DynamoScan *state)
{
    Source *source = state->source;
    ScanBatch *batch = &state->batches[state->current];
    MemoryContext before;

    if (state->next_key == state->keys.count)
        return false;
    before = MemoryContextSwitchTo(batch->context);
    batch->results = client_multiget(source->cluster, source->bucket, state->keys.keys,
                                     state->keys.count, &source->options, &source->counters);
    MemoryContextSwitchTo(before);
    state->next_key = state->row_count = state->keys.count;
    return true;
}

static bool
scan_next_keys(DynamoScan *state)
{
    return state->keys.count <= PLAN_BATCH_KEYS ? scan_only_batch(state) : scan_next_batch(state);
}

/* ---- full scan ---- */

static void
scan_begin_pages(DynamoScan *state)
{
    Source *source = state->source;
    MemoryContext before = MemoryContextSwitchTo(state->context);

    state->scan =
        client_scan_begin(source->cluster, source->bucket, &source->options, &source->counters);
    state->unscanned = unscanned_keys_new(source->cluster, source->bucket, source->before_command);
    MemoryContextSwitchTo(before);
}

static bool
scan_next_page(DynamoScan *state)
{
    uint32_t row_count = 0;

    state->page = client_scan_page(state->scan, &row_count);
    state->row = 0;
    state->row_count = row_count;
    return state->page != NULL;
}

/* ---- both ---- */

/* False: there is nothing to read. */
static bool
scan_start(ForeignScanState *node, DynamoScan *state)
{
    if (!source_open(state->source))
        return false;
    if (state->started)
        return true;
    state->started = true;
    if (state->plan.is_lookup)
        scan_collect_keys(node, state);
    else
        scan_begin_pages(state);
    return true;
}

/* The next key with what is stored for it. */
static bool
scan_advance_stored(DynamoScan *state, PagerRow *found)
{
    while (state->row == state->row_count)
        if (!(state->plan.is_lookup ? scan_next_keys(state) : scan_next_page(state)))
            return false;
    if (state->plan.is_lookup)
    {
        const ScanBatch *batch = &state->batches[state->current];

        *found = (PagerRow){.key = state->keys.keys[batch->start + state->row],
                            .object = batch->results[state->row].object,
                            .context = batch->results[state->row].context};
    }
    else
        *found = state->page[state->row];
    state->row++;
    return true;
}

/* The next key with what the transaction reads of it, which may be no row. Keys that it alone has
 * come after those of the pages. */
static bool
scan_advance(DynamoScan *state, PagerRow *found)
{
    if (scan_advance_stored(state, found))
    {
        if (state->unscanned != NULL)
            unscanned_keys_strike(state->unscanned, found->key);
    }
    else if (state->unscanned == NULL || !unscanned_keys_next(state->unscanned, found))
        return false;
    source_lay_over(state->source, found);
    return true;
}

/* Of a row that is to be updated or deleted: false when the condition says no. */
static bool
scan_keep_row(ForeignScanState *node, DynamoScan *state, const PagerRow *found,
              TupleTableSlot *slot)
{
    ExprContext *econtext = node->ss.ps.ps_ExprContext;

    slot->tts_tableOid = RelationGetRelid(node->ss.ss_currentRelation);
    econtext->ecxt_scantuple = slot;
    if (!ExecQual(state->target_qual, econtext))
    {
        InstrCountFiltered1(node, 1);
        ResetExprContext(econtext);
        CHECK_FOR_INTERRUPTS();
        return false;
    }
    source_keep_row(state->source, found->key, found->object, found->context, &slot->tts_tid);
    return true;
}

TupleTableSlot *
dynamoIterateForeignScan(ForeignScanState *node)
{
    DynamoScan *state = node->fdw_state;
    TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
    PagerRow found;

    if (!scan_start(node, state))
        return ExecClearTuple(slot);
    while (scan_advance(state, &found))
        if (row_decode_slot(state->source->codec, found.key, found.object, found.context, slot) &&
            (state->source->target == NULL || scan_keep_row(node, state, &found, slot)))
            return slot;
    return ExecClearTuple(slot);
}

void
dynamoReScanForeignScan(ForeignScanState *node)
{
    DynamoScan *state = node->fdw_state;
    bool same_keys = state->plan.is_lookup && node->ss.ps.chgParam == NULL;

    if (!state->started)
        return;
    if (same_keys && state->row_count > 0 && state->row_count == state->keys.count)
    {
        /* One batch holds them all: its rows are given again. */
        state->row = 0;
        return;
    }
    if (state->scan != NULL)
        client_scan_end(state->scan);
    scan_reset(state);
}

void
dynamoEndForeignScan(ForeignScanState *node)
{
    DynamoScan *state = node->fdw_state;

    if (state != NULL && state->scan != NULL)
        client_scan_end(state->scan);
}

const Source *
scan_source(const ForeignScanState *node)
{
    return ((const DynamoScan *)node->fdw_state)->source;
}
