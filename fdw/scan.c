#include "fdw/scan.h"

#include "access/htup_details.h"
#include "executor/executor.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "fdw/compat.h"
#include "fdw/keyset.h"
#include "fdw/memory.h"
#include "fdw/pending.h"
#include "fdw/plan.h"
#include "fdw/pool.h"
#include "fdw/row.h"
#include "fdw/settings.h"

typedef struct DynamoScan
{
    RelationInfo *info;
    RowCodec *codec;
    ClientCluster *cluster;
    const Bucket *bucket; /* NULL: absent, no rows */
    ClientReadOptions options;
    ClientCounters counters;
    bool started;
    MemoryContext context; /* of one run: keys, scan; reset by a rescan */
    MemoryContext batch;   /* child of context: one multiget's results */

    ScanPlan plan;
    List *value_states;      /* ExprStates of the lookup's values, by key column */
    Keyset keys;             /* of a lookup */
    uint32 next_key;         /* the first that was not asked for */
    uint32 batch_start;      /* the first key of the batch at hand */
    const RequestReadResult *results;

    ClientScan *scan; /* of a full scan */
    const PagerRow *page;

    uint32 row; /* the next of the batch or page at hand */
    uint32 row_count;
} DynamoScan;

static void
scan_set_up(ForeignScanState *node)
{
    Relation relation = node->ss.ss_currentRelation;
    DynamoScan *state = palloc0(sizeof(DynamoScan));

    node->fdw_state = state;
    state->info = relation_info(relation);
    state->plan = plan_decode(castNode(ForeignScan, node->ss.ps.plan));
    state->options.seal =
        AttributeNumberIsValid(state->info->context_attnum) &&
        row_attribute_is_read(state->plan.attributes, state->info->context_attnum);
}

void
dynamoBeginForeignScan(ForeignScanState *node, int eflags)
{
    ForeignScan *scan = castNode(ForeignScan, node->ss.ps.plan);
    DynamoScan *state;
    Oid user;

    scan_set_up(node);
    if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
        return;
    state = node->fdw_state;
    user = compat_scan_user(exec_rt_fetch(scan->scan.scanrelid, node->ss.ps.state), scan);
    state->cluster = pool_cluster(state->info->serverid, user);
    /* Here, not at the first row: a statement does not see its own writes, but must not miss earlier ones. */
    pending_check_none(state->cluster, state->info->bucket);
    state->codec = row_codec_new(state->info, RelationGetDescr(node->ss.ss_currentRelation));
    row_codec_want(state->codec, state->plan.attributes);
    state->value_states = ExecInitExprList(scan->fdw_exprs, &node->ss.ps);
    state->context = AllocSetContextCreate(node->ss.ps.state->es_query_cxt, "dynamo_fdw scan",
                                           ALLOCSET_DEFAULT_SIZES);
    state->batch =
        AllocSetContextCreate(state->context, "dynamo_fdw batch", ALLOCSET_DEFAULT_SIZES);
}

/* ---- lookup ---- */

static void
scan_collect_keys(ForeignScanState *node, DynamoScan *state)
{
    ExprContext *econtext = node->ss.ps.ps_ExprContext;
    KeysetColumn columns[KEY_COLUMNS_MAX];

    for (int i = 0; i < state->info->key_count; i++)
    {
        columns[i].value_type = state->plan.value_types[i];
        columns[i].is_array = state->plan.is_array[i];
        columns[i].value = ExecEvalExpr(list_nth_node(ExprState, state->value_states, i), econtext,
                                        &columns[i].is_null);
    }
    keyset_init(&state->keys, state->context);
    keyset_add_product(&state->keys, state->info, columns);
    keyset_sort(&state->keys);
    state->next_key = 0;
}

static bool
scan_next_batch(DynamoScan *state)
{
    uint32 left = state->keys.count - state->next_key;
    MemoryContext before;

    if (left == 0)
        return false;
    MemoryContextReset(state->batch);
    before = MemoryContextSwitchTo(state->batch);
    state->batch_start = state->next_key;
    state->row_count = Min(left, SCAN_BATCH_KEYS);
    state->results = client_multiget(state->cluster, state->bucket,
                                     state->keys.keys + state->batch_start, state->row_count,
                                     &state->options, &state->counters);
    state->next_key += state->row_count;
    state->row = 0;
    MemoryContextSwitchTo(before);
    return true;
}

/* ---- full scan ---- */

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

static void
scan_start(ForeignScanState *node, DynamoScan *state)
{
    MemoryContext before;

    state->started = true;
    state->options.r = relation_r(state->info);
    state->options.timeout_ms = (uint32) settings.request_timeout_ms;
    state->bucket = client_bucket(state->cluster, state->info->bucket);
    if (state->bucket == NULL)
        return;
    client_check_bucket(state->bucket, relation_as_bucket(state->info));
    if (state->plan.is_lookup)
    {
        scan_collect_keys(node, state);
        return;
    }
    before = MemoryContextSwitchTo(state->context);
    state->scan =
        client_scan_begin(state->cluster, state->bucket, &state->options, &state->counters);
    MemoryContextSwitchTo(before);
}

/* The next key with an object, a row or not. */
static bool
scan_advance(DynamoScan *state, PagerRow *found)
{
    while (state->row == state->row_count)
        if (!(state->plan.is_lookup ? scan_next_batch(state) : scan_next_page(state)))
            return false;
    if (state->plan.is_lookup)
        *found = (PagerRow){.key = state->keys.keys[state->batch_start + state->row],
                            .object = state->results[state->row].object,
                            .context = state->results[state->row].context};
    else
        *found = state->page[state->row];
    state->row++;
    return true;
}

TupleTableSlot *
dynamoIterateForeignScan(ForeignScanState *node)
{
    DynamoScan *state = node->fdw_state;
    TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
    PagerRow found;

    if (!state->started)
        scan_start(node, state);
    while (state->bucket != NULL && scan_advance(state, &found))
        if (row_decode_slot(state->codec, found.key, found.object, found.context, slot))
            return slot;
    return ExecClearTuple(slot);
}

void
dynamoReScanForeignScan(ForeignScanState *node)
{
    DynamoScan *state = node->fdw_state;

    if (!state->started)
        return;
    if (state->plan.is_lookup && node->ss.ps.chgParam == NULL &&
        state->next_key == state->row_count)
    {
        /* The same keys, and all their rows are at hand. */
        state->row = 0;
        return;
    }
    if (state->scan != NULL)
        client_scan_end(state->scan);
    MemoryContextReset(state->context);
    state->batch =
        AllocSetContextCreate(state->context, "dynamo_fdw batch", ALLOCSET_DEFAULT_SIZES);
    state->started = false;
    state->scan = NULL;
    state->row = state->row_count = 0;
    state->next_key = 0;
}

void
dynamoEndForeignScan(ForeignScanState *node)
{
    DynamoScan *state = node->fdw_state;

    if (state != NULL && state->scan != NULL)
        client_scan_end(state->scan);
}

const RelationInfo *
scan_relation(const ForeignScanState *node)
{
    return ((const DynamoScan *) node->fdw_state)->info;
}

const ClientCounters *
scan_counters(const ForeignScanState *node)
{
    return &((const DynamoScan *) node->fdw_state)->counters;
}
