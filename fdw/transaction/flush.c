/*
 * Sends what commit_puts has made, frame after frame, and keeps the account of each write: applied,
 * refused, unknown, not sent. The account outlives an ERROR, so that whatever ends the transaction
 * can tell it.
 */
#include "fdw/transaction/flush.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "fdw/base/memory.h"
#include "fdw/cluster/report.h"
#include "fdw/cluster/request_operation.h"
#include "fdw/transaction/commit_puts.h"
#include "fdw/transaction/pending.h"

enum
{
    BATCH_ITEMS = 4096,
    BATCH_BYTES = 4 * 1024 * 1024,
    FRAME_KEYS = 512, /* of a frame, halved whenever a batch is refused as overload */
    FRAME_KEYS_FEW = 16,
    BEHIND_TRIES = 5 /* while nodes have not heard of a topology */
};

typedef struct FlushBatch
{
    MemoryContext context; /* NULL: a free slot */
    Memory memory;
    Arena arena;
    const WriteItem *items;
    uint32 count;
    uint32 frame_keys;
} FlushBatch;

typedef struct Flush
{
    ClientCluster *cluster;
    ReportWrite report;
    ReportSiblingWarning warning;
    bool failed;
    bool told;          /* the counts, in an error */
    uint64 deadline_ms; /* 0: none */
    uint64 applied_ms;  /* when something was applied last, or could be for the first time */
    const CommitPutGroup *group;
    const WriteItem *items; /* of the group, in the order they are sent */
    uint32 next;            /* the first that is not sent */
    RequestOperation operation;
    FlushBatch batches[REQUEST_OPERATION_MAX]; /* of operation.requests */
} Flush;

/* ---- accounting ---- */

static ReportFate
fate_of(StatusCode status)
{
    switch (status)
    {
    case STATUS_OK:
        return REPORT_APPLIED;
    case STATUS_UNKNOWN:
        return REPORT_UNKNOWN;
    default:
        return REPORT_REFUSED;
    }
}

static void
flush_count(Flush *flush, ReportFate fate, const WriteItem *item)
{
    uint64 before = flush->report.counts[fate]++;

    if (before < REPORT_FIRST_KEYS)
        flush->report.first_keys[fate][before] = report_key(flush->group->bucket, item->key);
}

/* The first failure is told in full, but one that leaves a write in doubt comes before one that
 * does not. */
static void
flush_note_failure(Flush *flush, const WriteItem *item, const RequestWriteResult *result)
{
    ReportWrite *report = &flush->report;
    ReportMembers members = {
        .answered = result->acked, .asked = result->asked, .refusals = result->refusals};

    if (flush->failed && !(result->status == STATUS_UNKNOWN && report->status != STATUS_UNKNOWN))
        return;
    flush->failed = true;
    report->status = result->status;
    report->bucket_name = flush->group->bucket->name;
    report->quorum = flush->group->quorum;
    report->n = flush->group->bucket->n;
    report->acked = (uint32)__builtin_popcount(result->acked);
    report->owners_acked =
        (uint32)__builtin_popcount(result->acked & ((UINT32_C(1) << report->n) - 1));
    report->key = report_key(flush->group->bucket, item->key);
    report->about = result->status == STATUS_TOO_LARGE
                        ? report_size(item)
                        : report_context(&flush->operation.topology->topology, flush->group->bucket,
                                         item->context, result->status);
    report->nodes =
        status_is_about_request(result->status)
            ? NULL
            : report_members(flush->operation.topology, flush->group->bucket, item->key, &members);
}

static void
flush_note_siblings(Flush *flush, const WriteItem *item, uint32 siblings)
{
    if (siblings <= flush->warning.siblings)
        return;
    flush->warning.siblings = siblings;
    flush->warning.bucket_name = flush->group->bucket->name;
    flush->warning.key = report_key(flush->group->bucket, item->key);
}

static void
flush_count_result(Flush *flush, const WriteItem *item, const RequestWriteResult *result)
{
    flush_count(flush, fate_of(result->status), item);
    flush_note_siblings(flush, item, result->siblings);
    if (result->status == STATUS_OK)
        flush->applied_ms = links_now_ms();
    if (result->status != STATUS_OK)
        flush_note_failure(flush, item, result);
}

static void
flush_count_not_sent(Flush *flush)
{
    while (flush->group != NULL)
    {
        for (uint32 i = flush->next; i < flush->group->count; i++)
            flush_count(flush, REPORT_NOT_SENT, &flush->items[i]);
        flush->group = flush->group->next;
        flush->items = flush->group != NULL ? flush->group->items : NULL;
        flush->next = 0;
    }
}

/* ---- batches ---- */

/* The next items that make a batch. */
static uint32
flush_batch_count(const Flush *flush)
{
    const WriteItem *items = flush->items + flush->next;
    uint32 left = flush->group->count - flush->next;
    size_t bytes = 0;
    uint32 count = 0;

    while (count < left && count < BATCH_ITEMS && bytes < BATCH_BYTES)
        bytes += write_item_bytes(&items[count++]);
    return count;
}

static Request *
flush_request(Flush *flush, FlushBatch *batch)
{
    const ClusterTopology *topology = flush->operation.topology;
    RequestOptions options =
        request_operation_write_options(topology, &flush->group->quorum, cluster_timeout_ms());

    options.frame_keys = batch->frame_keys;
    return request_write(&batch->arena, &flush->cluster->asker, &topology->topology,
                         flush->group->bucket, &options, batch->items, batch->count,
                         operation_paused_clock_ms(&flush->operation.operation));
}

static MemoryContext
flush_batch_context(void)
{
    return AllocSetContextCreate(CurrentMemoryContext, "dynamo_fdw batch of writes",
                                 ALLOCSET_DEFAULT_SIZES);
}

/* The batch has everything but its request. */
static void
flush_send_batch(Flush *flush, int slot)
{
    FlushBatch *batch = &flush->batches[slot];

    batch->memory = memory_in_context(batch->context);
    arena_init(&batch->arena, &batch->memory);
    flush->operation.requests[slot] = flush_request(flush, batch);
}

static void
flush_begin_batch(Flush *flush, int slot)
{
    flush->batches[slot] = (FlushBatch){.context = flush_batch_context(),
                                        .items = flush->items + flush->next,
                                        .count = flush_batch_count(flush),
                                        .frame_keys = FRAME_KEYS};
    flush->next += flush->batches[slot].count;
    flush_send_batch(flush, slot);
}

static void
flush_end_batch(Flush *flush, int slot)
{
    FlushBatch *batch = &flush->batches[slot];

    flush->operation.requests[slot] = NULL;
    MemoryContextDelete(batch->context);
    batch->context = NULL;
}

/* The batch's items that nodes had too much to do for, in its slot, in smaller frames. Nothing of
 * them is written, so the request ids are as good as new. */
static void
flush_send_again(Flush *flush, int slot, const RequestWriteResult *results, uint32 count)
{
    FlushBatch before = flush->batches[slot];
    FlushBatch again = {.context = flush_batch_context(),
                        .frame_keys = Max(before.frame_keys / 2, FRAME_KEYS_FEW)};
    WriteItem *items = MemoryContextAlloc(again.context, sizeof(WriteItem) * count);

    for (uint32 i = 0; i < before.count; i++)
        if (results[i].status == STATUS_OVERLOADED)
            items[again.count++] = before.items[i];
    again.items = items;
    flush_end_batch(flush, slot);
    flush->batches[slot] = again;
    flush_send_batch(flush, slot);
}

/* True when some of the batch was refused only because nodes have not heard of the topology. */
static bool
batch_is_behind(const FlushBatch *batch, const RequestWriteResult *results)
{
    for (uint32 i = 0; i < batch->count; i++)
        if (client_is_behind(results[i].status))
            return true;
    return false;
}

/* Sends again what was refused for that reason; nothing of it is written, so the request ids are as
 * good as new. */
static void
flush_retry_behind(Flush *flush, const FlushBatch *batch, RequestWriteResult *results)
{
    WriteItem *items = palloc(sizeof(WriteItem) * batch->count);
    uint32 *indexes = palloc(sizeof(uint32) * batch->count);
    FlushBatch again = {.memory = memory_in_context(CurrentMemoryContext), .items = items};
    RequestOperation operation;
    RequestOptions options;

    for (uint32 i = 0; i < batch->count; i++)
    {
        if (!client_is_behind(results[i].status))
            continue;
        indexes[again.count] = i;
        items[again.count++] = batch->items[i];
    }
    client_catch_up(flush->cluster);
    arena_init(&again.arena, &again.memory);
    request_operation_init(&operation, cluster_topology(flush->cluster));
    options = request_operation_write_options(operation.topology, &flush->group->quorum,
                                              cluster_timeout_ms());
    operation.requests[0] =
        request_write(&again.arena, &flush->cluster->asker, &operation.topology->topology,
                      flush->group->bucket, &options, items, again.count, links_now_ms());
    request_operation_run(flush->cluster, &operation);
    for (uint32 i = 0; i < again.count; i++)
        results[indexes[i]] = request_write_results(operation.requests[0])[i];
}

static bool
flush_time_is_over(const Flush *flush)
{
    return flush->deadline_ms != 0 && links_now_ms() >= flush->deadline_ms;
}

/* What was refused for a while is worth sending again: the time is not over, and the cluster has
 * taken something lately. */
static bool
flush_may_go_on(const Flush *flush)
{
    return !flush->failed && !QueryCancelPending && !flush_time_is_over(flush) &&
           links_now_ms() < flush->applied_ms + cluster_timeout_ms();
}

static void
flush_harvest(Flush *flush, int slot)
{
    FlushBatch *batch = &flush->batches[slot];
    RequestWriteResult *results = palloc(sizeof(RequestWriteResult) * batch->count);
    uint32 overloaded = 0;

    memcpy(results, request_write_results(flush->operation.requests[slot]),
           sizeof(RequestWriteResult) * batch->count);
    for (int tries = 0; tries < BEHIND_TRIES && batch_is_behind(batch, results); tries++)
        flush_retry_behind(flush, batch, results);
    if (batch->count > 0)
        client_note_dropped(flush->cluster, results[0].status);
    for (uint32 i = 0; i < batch->count; i++)
    {
        if (results[i].status == STATUS_OVERLOADED)
            overloaded++;
        else
            flush_count_result(flush, &batch->items[i], &results[i]);
    }
    if (overloaded > 0 && flush_may_go_on(flush))
        flush_send_again(flush, slot, results, overloaded);
    else
    {
        for (uint32 i = 0; i < batch->count && overloaded > 0; i++)
            if (results[i].status == STATUS_OVERLOADED)
                flush_count_result(flush, &batch->items[i], &results[i]);
        flush_end_batch(flush, slot);
    }
    pfree(results);
}

/* ---- the loop ---- */

static void
flush_tell(Flush *flush)
{
    flush->told = true;
    report_write(flush->cluster, &flush->report);
}

/* What is on its way and not answered ends now, as unknown where it may have been written. */
static void
flush_give_up(Flush *flush)
{
    /* A timeout asks for a cancel too. */
    flush->report.canceled = QueryCancelPending && !get_timeout_indicator(STATEMENT_TIMEOUT, false);
    flush->failed = true;
    for (int slot = 0; slot < REQUEST_OPERATION_MAX; slot++)
    {
        Request *request = flush->operation.requests[slot];

        if (request == NULL)
            continue;
        request_tick(request, PG_UINT64_MAX);
        for (uint32 i = 0; i < flush->batches[slot].count; i++)
        {
            StatusCode status = request_write_results(request)[i].status;

            flush_count(flush, fate_of(status), &flush->batches[slot].items[i]);
        }
        flush->operation.requests[slot] = NULL;
    }
    flush_count_not_sent(flush);
    QueryCancelPending = false;
    flush_tell(flush);
}

/* Fills the free slots; true when something is under way. */
static bool
flush_fill(Flush *flush)
{
    bool busy = false;

    for (int slot = 0; slot < REQUEST_OPERATION_MAX; slot++)
    {
        if (flush->operation.requests[slot] == NULL && !flush->failed &&
            flush->next < flush->group->count)
            flush_begin_batch(flush, slot);
        busy = busy || flush->operation.requests[slot] != NULL;
    }
    return busy;
}

/* False when a cancel comes too late to change anything. */
static bool
flush_has_more(const Flush *flush)
{
    bool busy = false;

    for (int slot = 0; slot < REQUEST_OPERATION_MAX; slot++)
        busy = busy || flush->operation.requests[slot] != NULL;
    return busy || flush->next < flush->group->count || flush->group->next != NULL;
}

/* What fits one batch is put in order by its request. */
static const WriteItem *
flush_order(const CommitPutGroup *group, Arena *arena)
{
    if (group->count <= BATCH_ITEMS)
        return group->items;
    return request_ring_order(arena, group->bucket, group->items, group->count);
}

static void
flush_group(Flush *flush)
{
    Memory memory = memory_in_context(CurrentMemoryContext);
    Arena arena;

    arena_init(&arena, &memory);
    flush->items = flush_order(flush->group, &arena);
    request_operation_init(&flush->operation, cluster_topology(flush->cluster));
    /* So that its frames and answers are not lost while something else is waited for. */
    links_attach(flush->cluster->links, &flush->operation.operation);
    flush->operation.deadline_ms = flush->deadline_ms;
    flush->operation.watch_cancel = true;
    while (flush_fill(flush))
    {
        request_operation_run(flush->cluster, &flush->operation);
        for (int slot = 0; slot < REQUEST_OPERATION_MAX; slot++)
            if (flush->operation.requests[slot] != NULL &&
                request_done(flush->operation.requests[slot]))
                flush_harvest(flush, slot);
        if (flush_has_more(flush) && (QueryCancelPending || flush_time_is_over(flush)))
            flush_give_up(flush);
    }
    links_detach(flush->cluster->links, &flush->operation.operation);
    if (!flush->failed)
        arena_free(&arena);
}

static uint64
flush_deadline_ms(void)
{
    TimestampTz end;
    long left_ms;

    if (StatementTimeout <= 0)
        return 0;
    end = TimestampTzPlusMilliseconds(GetCurrentStatementStartTimestamp(), StatementTimeout);
    left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end);
    return links_now_ms() + (uint64)Max(left_ms, 1);
}

static void
flush_groups(Flush *flush)
{
    flush->deadline_ms = flush_deadline_ms();
    flush->applied_ms = links_now_ms();
    flush->group = commit_puts_groups(flush->cluster);
    while (flush->group != NULL && !flush->failed)
    {
        flush->next = 0;
        flush_group(flush);
        if (!flush->failed)
            flush->group = flush->group->next;
    }
    if (flush->failed)
        flush_count_not_sent(flush);
}

void
flush_run(ClientCluster *cluster)
{
    Flush *flush;
    MemoryContext own;
    MemoryContext before;

    if (pending_buckets(cluster) == NULL)
        return;
    flush = MemoryContextAllocZero(TopTransactionContext, sizeof(Flush));
    flush->cluster = cluster;
    cluster->flush = flush;
    own = AllocSetContextCreate(TopTransactionContext, "dynamo_fdw flush", ALLOCSET_DEFAULT_SIZES);
    before = MemoryContextSwitchTo(own);
    flush_groups(flush);
    MemoryContextSwitchTo(before);
    if (flush->failed)
        flush_tell(flush);
    if (flush->warning.siblings > 0)
        report_sibling_warning(&flush->warning);
    MemoryContextDelete(own);
}

/* What was under way when the transaction ended: nobody waits for its answers any more. */
static void
flush_count_under_way(Flush *flush)
{
    for (int slot = 0; slot < REQUEST_OPERATION_MAX; slot++)
        for (uint32 i = 0; i < flush->batches[slot].count; i++)
            if (flush->batches[slot].context != NULL)
                flush_count(flush, REPORT_UNKNOWN, &flush->batches[slot].items[i]);
}

void
flush_end(ClientCluster *cluster, bool committed)
{
    Flush *flush = cluster->flush;

    cluster->flush = NULL;
    if (flush == NULL || committed || flush->told)
        return;
    flush_count_under_way(flush);
    flush_count_not_sent(flush);
    if (flush->report.counts[REPORT_APPLIED] + flush->report.counts[REPORT_UNKNOWN] > 0)
        report_rolled_back(cluster, &flush->report);
}
