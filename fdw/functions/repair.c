/*
 * The SQL functions about replicas that are compared and mended: dynamo_repair() has it done now,
 * dynamo_repair_status() tells how it stands. Both ask every node of the cluster; a node that does
 * not answer is a row that says why.
 */
#include "fdw/functions/admin.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "fdw/base/compat.h"
#include "fdw/base/memory.h"
#include "fdw/cluster/client.h"
#include "fdw/cluster/foreign_text.h"
#include "fdw/cluster/report.h"
#include "fdw/transaction/transaction.h"

static ClientCluster *
repair_cluster(FunctionCallInfo fcinfo)
{
    ForeignServer *server = admin_server(PG_GETARG_TEXT_PP(0));

    return transaction_cluster(server->serverid, GetUserId());
}

/* ---- dynamo_repair ---- */

enum
{
    QUEUE_NODE,
    QUEUE_QUEUED,
    QUEUE_ERROR,
    QUEUE_COLUMNS
};

static const Bucket *
repair_bucket(ClientCluster *cluster, const char *name)
{
    const Bucket *bucket = client_bucket(cluster, name);

    if (bucket == NULL)
        ereport(ERROR,
                (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("bucket \"%s\" does not exist", name),
                 errdetail("The cluster of server \"%s\" has no bucket of that name.",
                           cluster->server_name),
                 errhint("The first write to a bucket creates it. Option \"bucket\" of "
                         "a foreign table names the bucket of that table.")));
    return bucket;
}

static char *
repair_node_names(const ClusterTopology *topology)
{
    StringInfoData names;

    initStringInfo(&names);
    for (int i = 0; i < topology->present_count; i++)
        appendStringInfo(&names, "%s%s", i > 0 ? ", " : "",
                         topology->topology.members[topology->slots[i]].name);
    foreign_text_clean(names.data);
    return names.data;
}

static const Member *
repair_member(const ClientCluster *cluster, const ClusterTopology *topology, const char *name)
{
    uint32 member = topology_member_by_name(&topology->topology, name);

    if (member != TOPOLOGY_NO_MEMBER)
        return &topology->topology.members[member];
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("node \"%s\" does not exist", name),
                    errdetail("The cluster of server \"%s\" has these nodes: %s.",
                              cluster->server_name, repair_node_names(topology)),
                    errhint("List the nodes with dynamo_nodes().")));
}

/* The names are looked up first: that may bring a newer topology. */
static RepairFrame
repair_of(ClientCluster *cluster, FunctionCallInfo fcinfo)
{
    RepairFrame repair = {0};
    const ClusterTopology *topology;

    if (!PG_ARGISNULL(1))
        repair.bucket_id = repair_bucket(cluster, text_to_cstring(PG_GETARG_TEXT_PP(1)))->id;
    topology = cluster_topology(cluster);
    if (!PG_ARGISNULL(2))
    {
        const char *name = text_to_cstring(PG_GETARG_TEXT_PP(2));

        repair.is_of_member = true;
        repair.member = repair_member(cluster, topology, name)->id;
    }
    repair.epoch = topology->topology.epoch;
    return repair;
}

static bool
repair_take_reply(Ask *ask, int index, const Frame *frame)
{
    RepairReply *replies = ask->argument;

    return frame->type == FRAME_REPAIR_REPLY && repair_reply_decode(frame, &replies[index]);
}

static void
repair_check_role(const ClientCluster *cluster, const Ask *ask)
{
    for (int i = 0; i < ask->count; i++)
    {
        if (ask->replies[i].state != ASK_REFUSED || ask->replies[i].status != STATUS_FORBIDDEN)
            continue;
        ereport(ERROR,
                (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                 errmsg("permission denied to repair the cluster of server \"%s\"",
                        cluster->server_name),
                 errdetail("Node %s refused: %s.", links_node_label(ask->nodes[i]),
                           report_reason(ask->nodes[i], &ask->replies[i])),
                 errhint("The user mapping must name a user of role admin, as \"dynamo_node user "
                         "add NAME --role admin\" makes one on every node.")));
    }
}

static void
repair_put_reply(ReturnSetInfo *result, const LinksNode *node, const AskReply *reply,
                 const RepairReply *answer)
{
    bool good = reply->state == ASK_GOOD;
    Datum values[QUEUE_COLUMNS];
    bool nulls[QUEUE_COLUMNS] = {false};

    admin_put_text(values, nulls, QUEUE_NODE, node->name);
    values[QUEUE_QUEUED] = Int64GetDatum(answer->queued);
    nulls[QUEUE_QUEUED] = !good;
    admin_put_text(values, nulls, QUEUE_ERROR, good ? NULL : report_reason(node, reply));
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(dynamo_repair);
PGDLLEXPORT Datum
dynamo_repair(PG_FUNCTION_ARGS)
{
    ClientCluster *cluster;
    ClusterTopology *topology;
    RepairFrame repair;
    RepairReply *replies;
    Ask ask;

    InitMaterializedSRF(fcinfo, 0);
    if (PG_ARGISNULL(0))
        return (Datum)0;
    cluster = repair_cluster(fcinfo);
    repair = repair_of(cluster, fcinfo);
    topology = cluster_topology(cluster);
    replies = palloc0(sizeof(RepairReply) * topology->present_count);
    admin_ask_begin(cluster, topology->present, topology->present_count, &ask);
    ask.take = repair_take_reply;
    ask.argument = replies;
    repair_encode(&ask.frame, ask.tag, &repair);
    ask_run(cluster->links, &ask);
    repair_check_role(cluster, &ask);
    for (int i = 0; i < ask.count; i++)
        repair_put_reply((ReturnSetInfo *)fcinfo->resultinfo, ask.nodes[i], &ask.replies[i],
                         &replies[i]);
    return (Datum)0;
}

/* ---- dynamo_repair_status ---- */

enum
{
    ROW_NODE,
    ROW_PEER,
    ROW_BUCKET,
    ROW_PARTITION,
    ROW_STATE,
    ROW_COMPARED_AT,
    ROW_EQUAL_AT,
    ROW_DIFFERENCES,
    ROW_MENDED_HERE,
    ROW_MENDED_THERE,
    ROW_BYTES_SENT,
    ROW_BYTES_RECEIVED,
    ROW_PROGRESS_PERCENT,
    ROW_TIME_LEFT,
    ROW_ERROR,
    ROW_COLUMNS
};

/* The same page of the lists of some nodes. */
typedef struct RepairPages
{
    Arena arena;
    uint32 first; /* row of the lists */
    RepairStatusReply *pages;
} RepairPages;

static bool
repair_take_page(Ask *ask, int index, const Frame *frame)
{
    RepairPages *pages = ask->argument;
    RepairStatusReply *page = &pages->pages[index];

    if (frame->type != FRAME_REPAIR_STATUS_REPLY ||
        !repair_status_decode(frame, &pages->arena, page))
        return false;
    return page->row_count ==
           Min(page->total - Min(page->total, pages->first), (uint32)REPAIR_STATUS_PAGE);
}

static Datum
repair_time(uint64 wall_ms)
{
    const int64 epochs_ms =
        (int64)(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * INT64CONST(1000);

    return TimestampTzGetDatum(((int64)Min(wall_ms, PG_INT64_MAX / 2000) - epochs_ms) * 1000);
}

/* What is known of a list's row beyond the list. */
static void
repair_put_names(const Topology *topology, const RepairStatus *row, Datum *values, bool *nulls)
{
    uint32 peer = topology_member(topology, &row->peer);
    const Bucket *bucket = topology_bucket_by_id(topology, row->bucket_id);

    if (peer != TOPOLOGY_NO_MEMBER)
        admin_put_text(values, nulls, ROW_PEER, topology->members[peer].name);
    else
        values[ROW_PEER] = admin_member_id(&row->peer);
    admin_put_text(values, nulls, ROW_BUCKET, bucket != NULL ? bucket->name : NULL);
}

static void
repair_put_row(ReturnSetInfo *result, const Topology *topology, const LinksNode *node,
               const RepairStatus *row)
{
    bool is_under_way = row->state > REPAIR_WAITING && row->parts_total > 0;
    Datum values[ROW_COLUMNS];
    bool nulls[ROW_COLUMNS] = {false};

    admin_put_text(values, nulls, ROW_NODE, node->name);
    repair_put_names(topology, row, values, nulls);
    values[ROW_PARTITION] = Int32GetDatum((int32)row->partition);
    admin_put_text(values, nulls, ROW_STATE, repair_state_name(row->state));
    values[ROW_COMPARED_AT] = repair_time(row->compared_ms);
    nulls[ROW_COMPARED_AT] = row->compared_ms == 0;
    values[ROW_EQUAL_AT] = repair_time(row->equal_ms);
    nulls[ROW_EQUAL_AT] = row->equal_ms == 0;
    values[ROW_DIFFERENCES] = Int64GetDatum((int64)row->differences);
    values[ROW_MENDED_HERE] = Int64GetDatum((int64)row->mended_here);
    values[ROW_MENDED_THERE] = Int64GetDatum((int64)row->mended_there);
    values[ROW_BYTES_SENT] = Int64GetDatum((int64)row->bytes_sent);
    values[ROW_BYTES_RECEIVED] = Int64GetDatum((int64)row->bytes_received);
    values[ROW_PROGRESS_PERCENT] =
        Int32GetDatum(is_under_way ? (int32)((uint64)row->parts_done * 100 / row->parts_total) : 0);
    nulls[ROW_PROGRESS_PERCENT] = !is_under_way;
    values[ROW_TIME_LEFT] = admin_interval(row->time_left_ms);
    nulls[ROW_TIME_LEFT] = !is_under_way || row->parts_done == 0;
    admin_put_text(values, nulls, ROW_ERROR,
                   row->failure != STATUS_OK ? status_text(row->failure) : NULL);
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
repair_put_failure(ReturnSetInfo *result, const LinksNode *node, const AskReply *reply)
{
    Datum values[ROW_COLUMNS];
    bool nulls[ROW_COLUMNS];

    memset(nulls, true, sizeof(nulls));
    admin_put_text(values, nulls, ROW_NODE, node->name);
    admin_put_text(values, nulls, ROW_ERROR, report_reason(node, reply));
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* One page of each of count nodes. Keeps those that have more in nodes, and returns how many. */
static int
repair_put_pages(ReturnSetInfo *result, ClientCluster *cluster, LinksNode **nodes, int count,
                 uint32 first)
{
    const Topology *topology = &cluster->topology->topology;
    RepairStatusFetch fetch = {.first = first};
    RepairPages pages = {.first = first};
    int more = 0;
    Ask ask;

    arena_init(&pages.arena, memory_of_context(CurrentMemoryContext));
    pages.pages = palloc0(sizeof(RepairStatusReply) * count);
    admin_ask_begin(cluster, nodes, count, &ask);
    ask.take = repair_take_page;
    ask.argument = &pages;
    repair_status_fetch_encode(&ask.frame, ask.tag, &fetch);
    ask_run(cluster->links, &ask);
    for (int i = 0; i < count; i++)
    {
        const RepairStatusReply *page = &pages.pages[i];

        if (ask.replies[i].state != ASK_GOOD)
        {
            repair_put_failure(result, nodes[i], &ask.replies[i]);
            continue;
        }
        for (uint32 row = 0; row < page->row_count; row++)
            repair_put_row(result, topology, nodes[i], &page->rows[row]);
        if (page->row_count == REPAIR_STATUS_PAGE)
            nodes[more++] = nodes[i];
    }
    return more;
}

/* The topology is looked at anew, so that buckets which were just made have a name here. */
PG_FUNCTION_INFO_V1(dynamo_repair_status);
PGDLLEXPORT Datum
dynamo_repair_status(PG_FUNCTION_ARGS)
{
    ClientCluster *cluster = repair_cluster(fcinfo);
    MemoryContext page =
        AllocSetContextCreate(CurrentMemoryContext, "dynamo_fdw page", ALLOCSET_DEFAULT_SIZES);
    ClusterTopology *topology;
    LinksNode **nodes;
    int count;

    InitMaterializedSRF(fcinfo, 0);
    cluster_refresh(cluster, false);
    topology = cluster_topology(cluster);
    count = topology->present_count;
    nodes = palloc(sizeof(LinksNode *) * count);
    memcpy(nodes, topology->present, sizeof(LinksNode *) * count);
    for (uint32 first = 0; count > 0; first += REPAIR_STATUS_PAGE)
    {
        MemoryContext before = MemoryContextSwitchTo(page);

        count = repair_put_pages((ReturnSetInfo *)fcinfo->resultinfo, cluster, nodes, count, first);
        MemoryContextSwitchTo(before);
        MemoryContextReset(page);
    }
    MemoryContextDelete(page);
    return (Datum)0;
}
