/*
 * Turns what the extension asks for into requests and pagers of shared/ask, runs them on the
 * cluster's links, and hands what fails to report.c. A bucket that is not there yet is proposed by
 * the first write that needs it.
 */
#include "fdw/cluster/client.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "fdw/base/memory.h"
#include "fdw/cluster/ask.h"
#include "fdw/cluster/report.h"
#include "fdw/cluster/request_operation.h"

enum
{
    PAGE_BYTES = 128 * 1024,
    PAGE_WINDOW = 16,
    BEHIND_PAUSE_MS = 20,    /* between tries while nodes, or this process, lack a topology */
    CREATE_PATIENT_MS = 1000 /* for one node to create a bucket, before the next one is asked */
};

/* ---- buckets ---- */

const Bucket *
client_bucket(ClientCluster *cluster, const char *name)
{
    const Bucket *bucket = topology_bucket_by_name(&cluster_topology(cluster)->topology, name);

    if (bucket != NULL || cluster->looked_anew_at == GetCurrentStatementStartTimestamp())
        return bucket;
    cluster_refresh(cluster, true);
    cluster->looked_anew_at = GetCurrentStatementStartTimestamp();
    return topology_bucket_by_name(&cluster->topology->topology, name);
}

void
client_check_bucket(const Bucket *found, const Bucket *wanted)
{
    if (!topology_bucket_agrees(found, wanted))
        report_bucket_conflict(found, wanted);
}

static bool
client_take_created(Ask *ask, int index, const Frame *frame)
{
    return frame->type == FRAME_TOPOLOGY;
}

/* Asks one node to have the bucket created, and then for the topology that has it. */
static bool
client_propose(ClientCluster *cluster, LinksNode **node, const Bucket *wanted, uint64 timeout_ms,
               AskReply *reply)
{
    Ask ask = {.nodes = node,
               .count = 1,
               .tag = ++cluster->asker.last_tag,
               .take = client_take_created,
               .argument = cluster,
               .want = 1,
               .enough = 1,
               .patient_ms = timeout_ms,
               .timeout_ms = timeout_ms};

    buffer_init(&ask.frame, memory_of_context(CurrentMemoryContext));
    bucket_create_encode(&ask.frame, ask.tag, wanted);
    ask_run(cluster->links, &ask);
    *reply = ask.replies[0];
    return reply->state == ASK_GOOD && cluster_fetch_from(cluster, node);
}

/* Reasons that another node would give as well. */
static bool
client_is_final(const AskReply *reply)
{
    return reply->state == ASK_REFUSED &&
           (reply->status == STATUS_BUCKET_CONFLICT || reply->status == STATUS_BAD_BUCKET ||
            reply->status == STATUS_BUCKET_LIMIT || reply->status == STATUS_FORBIDDEN ||
            reply->status == STATUS_BAD_FRAME);
}

/* Members that are well first. Returns when the bucket is there, be it of another shape. */
static void
client_create_bucket(ClientCluster *cluster, const Bucket *wanted)
{
    ClusterTopology *topology = cluster_topology(cluster);
    int members = topology->present_count;
    uint64 deadline_ms = links_now_ms() + cluster_timeout_ms();
    AskReply reply = {.state = ASK_OPEN, .status = STATUS_OK, .message = ""};
    LinksNode *last = topology->present[0];

    for (int i = 0; i < 2 * members; i++)
    {
        uint64 now_ms = links_now_ms();

        if (topology->avoid[topology->slots[i % members]] != (i >= members) ||
            now_ms >= deadline_ms)
            continue;
        last = topology->present[i % members];
        if (client_propose(cluster, &topology->present[i % members], wanted,
                           Min(deadline_ms - now_ms, CREATE_PATIENT_MS), &reply))
            return;
        if (client_is_final(&reply))
            break;
    }
    if (reply.state == ASK_REFUSED && reply.status == STATUS_BUCKET_CONFLICT)
        cluster_refresh(cluster, false);
    if (topology_bucket_by_name(&cluster->topology->topology, wanted->name) == NULL)
        report_bucket_not_created(cluster, wanted, last, &reply);
}

const Bucket *
client_ensure_bucket(ClientCluster *cluster, const Bucket *wanted)
{
    const Bucket *bucket =
        topology_bucket_by_name(&cluster_topology(cluster)->topology, wanted->name);

    if (bucket == NULL)
    {
        client_create_bucket(cluster, wanted);
        bucket = topology_bucket_by_name(&cluster->topology->topology, wanted->name);
    }
    if (bucket == NULL)
        ereport(ERROR,
                (errcode(ERRCODE_FDW_ERROR),
                 errmsg("bucket \"%s\" was created, but the topology of server \"%s\" does not "
                        "name it",
                        wanted->name, cluster->server_name)));
    client_check_bucket(bucket, wanted);
    return bucket;
}

/* ---- multiget ---- */

/* The first key that was not read, or key_count. */
static uint32
client_first_failure(const RequestReadResult *results, uint32 key_count)
{
    uint32 key = 0;

    while (key < key_count && results[key].status == STATUS_OK)
        key++;
    return key;
}

bool
client_is_behind(StatusCode status)
{
    return status == STATUS_BEHIND || status == STATUS_NOT_OWNER || status == STATUS_MOVED;
}

void
client_note_dropped(ClientCluster *cluster, StatusCode status)
{
    if (status == STATUS_NO_BUCKET)
        cluster_refresh(cluster, false);
}

void
client_catch_up(ClientCluster *cluster)
{
    links_pause(cluster->links, BEHIND_PAUSE_MS);
    cluster_refresh(cluster, false);
}

const RequestReadResult *
client_multiget(ClientCluster *cluster, const Bucket *bucket, const Slice *keys, uint32_t key_count,
                const ClientReadOptions *options, Counters *counters)
{
    Memory memory = memory_in_context(CurrentMemoryContext);
    uint64 deadline_ms = links_now_ms() + options->timeout_ms;
    Arena arena;

    arena_init(&arena, &memory);
    for (;;)
    {
        ClusterTopology *topology = cluster_topology(cluster);
        RequestOptions request_options = request_operation_read_options(topology, options);
        const RequestReadResult *results;
        RequestOperation operation;
        uint32 failed;

        request_operation_init(&operation, topology);
        operation.counters = counters;
        operation.requests[0] = request_read(&arena, &cluster->asker, &topology->topology, bucket,
                                             &request_options, keys, key_count, links_now_ms());
        request_operation_run(cluster, &operation);
        counters_add_request(counters, operation.requests[0], key_count);
        results = request_read_results(operation.requests[0]);
        failed = client_first_failure(results, key_count);
        if (failed == key_count)
            return results;
        client_note_dropped(cluster, results[failed].status);
        if (!client_is_behind(results[failed].status) || links_now_ms() >= deadline_ms)
            report_read(cluster,
                        &(ReportRead){topology, bucket, options, keys, results, key_count, failed});
        client_catch_up(cluster);
    }
}

/* ---- scan ---- */

struct ClientScan
{
    Operation operation;
    ClientCluster *cluster;
    const ClusterTopology *topology;
    const Bucket *bucket;
    ClientReadOptions options;
    Counters *counters;
    PagerCounters counted; /* what counters hold of the pager's already */
    Pager *pager;
    MemoryContext context;
    MemoryContextCallback on_reset;
};

static ClientScan *
scan_of(Operation *operation)
{
    return (ClientScan *)((char *)operation - offsetof(ClientScan, operation));
}

static bool
scan_next_send(Operation *operation, LinksNode **node, Slice *frame)
{
    ClientScan *scan = scan_of(operation);
    uint32_t member;

    if (!pager_next_send(scan->pager, &member, frame))
        return false;
    *node = scan->topology->nodes[member];
    counters_add_frame(scan->counters, *node);
    return true;
}

static bool
scan_answer(Operation *operation, LinksNode *node, const Frame *frame, uint64 now_ms)
{
    ClientScan *scan = scan_of(operation);
    uint32 member = cluster_member(scan->topology, node);

    return member != TOPOLOGY_NO_MEMBER && pager_answer(scan->pager, member, frame, now_ms);
}

static void
scan_heard(Operation *operation, LinksNode *node, uint64 now_ms)
{
    ClientScan *scan = scan_of(operation);
    uint32 member = cluster_member(scan->topology, node);

    if (member != TOPOLOGY_NO_MEMBER)
        pager_heard(scan->pager, member, now_ms);
}

static void
scan_lost(Operation *operation, LinksNode *node, bool reached, uint64 now_ms)
{
    ClientScan *scan = scan_of(operation);
    uint32 member = cluster_member(scan->topology, node);

    if (member != TOPOLOGY_NO_MEMBER)
        (reached ? pager_lost : pager_unreached)(scan->pager, member, now_ms);
}

static void
scan_tick(Operation *operation, uint64 now_ms)
{
    pager_tick(scan_of(operation)->pager, now_ms);
}

static uint64
scan_wake_ms(Operation *operation)
{
    return pager_wake_ms(scan_of(operation)->pager);
}

static bool
scan_was_silent(Operation *operation, LinksNode *node)
{
    ClientScan *scan = scan_of(operation);
    uint32 member = cluster_member(scan->topology, node);

    return member != TOPOLOGY_NO_MEMBER && pager_was_silent(scan->pager, member);
}

static bool
scan_done(Operation *operation)
{
    return pager_state(scan_of(operation)->pager) != PAGER_WAITING;
}

static const OperationMethods scan_methods = {
    .next_send = scan_next_send,
    .answer = scan_answer,
    .heard = scan_heard,
    .lost = scan_lost,
    .tick = scan_tick,
    .wake_ms = scan_wake_ms,
    .was_silent = scan_was_silent,
    .done = scan_done,
};

/* The scan's memory is about to go. After the end of the transaction the cluster may be gone
 * already. */
static void
scan_detach(void *argument)
{
    ClientScan *scan = argument;

    if (operation_is_attached(&scan->operation))
        links_detach(scan->cluster->links, &scan->operation);
}

ClientScan *
client_scan_begin(ClientCluster *cluster, const Bucket *bucket, const ClientReadOptions *options,
                  Counters *counters)
{
    MemoryContext own =
        AllocSetContextCreate(CurrentMemoryContext, "dynamo_fdw pager", ALLOCSET_DEFAULT_SIZES);
    ClientScan *scan = MemoryContextAllocZero(own, sizeof(ClientScan));
    ClusterTopology *topology = cluster_topology(cluster);
    RequestOptions request_options = request_operation_read_options(topology, options);

    scan->operation.methods = &scan_methods;
    scan->cluster = cluster;
    scan->topology = topology;
    scan->bucket = bucket;
    scan->options = *options;
    scan->counters = counters;
    scan->context = own;
    scan->pager = pager_new(memory_of_context(own), &cluster->asker, &topology->topology, bucket,
                            &request_options, PAGE_BYTES, PAGE_WINDOW, links_now_ms());
    scan->on_reset = (MemoryContextCallback){.func = scan_detach, .arg = scan};
    MemoryContextRegisterResetCallback(own, &scan->on_reset);
    links_attach(cluster->links, &scan->operation);
    if (counters != NULL)
        counters->requests++;
    return scan;
}

static void
scan_count(ClientScan *scan)
{
    PagerCounters now = pager_counters(scan->pager);

    counters_add_scan(scan->counters, &scan->counted, &now);
    scan->counted = now;
}

static PagerState
scan_await_page(ClientScan *scan)
{
    PagerState state = pager_state(scan->pager);

    if (state == PAGER_WAITING)
    {
        links_run(scan->cluster->links, &scan->operation);
        state = pager_state(scan->pager);
    }
    scan_count(scan);
    return state;
}

/* The scan's partitions have other owners by now: it goes on with them. False: it cannot, since no
 * node has told of the change, or the bucket is gone. */
static bool
scan_catch_up(ClientScan *scan)
{
    ClusterTopology *topology;
    RequestOptions options;
    const Bucket *bucket;

    client_catch_up(scan->cluster);
    topology = cluster_topology(scan->cluster);
    bucket = topology_bucket_by_id(&topology->topology, scan->bucket->id);
    if (bucket == NULL)
        return false;
    options = request_operation_read_options(topology, &scan->options);
    scan->topology = topology;
    scan->bucket = bucket;
    pager_follow(scan->pager, &topology->topology, bucket, options.avoid, links_now_ms());
    return true;
}

const PagerRow *
client_scan_page(ClientScan *scan, uint32_t *row_count)
{
    uint64 deadline_ms = links_now_ms() + scan->options.timeout_ms;
    PagerState state = scan_await_page(scan);
    uint32_t partition;

    while (state == PAGER_FAILED && pager_failure(scan->pager, &partition) == STATUS_MOVED &&
           links_now_ms() < deadline_ms && scan_catch_up(scan))
        state = scan_await_page(scan);
    if (state == PAGER_ROWS)
        return pager_next_page(scan->pager, row_count);
    if (state == PAGER_END)
        return NULL;
    client_note_dropped(scan->cluster, pager_failure(scan->pager, &partition));
    report_scan(&(ReportScan){.topology = scan->topology,
                              .bucket = scan->bucket,
                              .options = &scan->options,
                              .pager = scan->pager});
}

void
client_scan_end(ClientScan *scan)
{
    MemoryContextDelete(scan->context);
}
