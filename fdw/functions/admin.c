/*
 * The SQL functions that show a cluster's nodes and this backend's connections.
 */
#include "fdw/functions/admin.h"

#include "fmgr.h"
#include "foreign/fdwapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "fdw/base/compat.h"
#include "fdw/base/memory.h"
#include "fdw/cluster/foreign_text.h"
#include "fdw/cluster/report.h"
#include "fdw/run/scan.h"
#include "fdw/transaction/transaction.h"

enum
{
    ADMIN_NODE_TIMEOUT_MS = 1000
};

ForeignServer *
admin_server(const text *name)
{
    ForeignServer *server = GetForeignServerByName(text_to_cstring(name), false);
    FdwRoutine *routine = GetFdwRoutineByServerId(server->serverid);

    if (routine->BeginForeignScan != dynamoBeginForeignScan)
        ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                        errmsg("server \"%s\" is not one of dynamo_fdw", server->servername)));
    compat_check_server_usage(server->serverid, server->servername, GetUserId());
    return server;
}

void
admin_ask_begin(ClientCluster *cluster, LinksNode **nodes, int count, Ask *ask)
{
    *ask = (Ask){.nodes = nodes,
                 .count = count,
                 .tag = ++cluster->asker.last_tag,
                 .want = count,
                 .enough = count,
                 .patient_ms = Min(ADMIN_NODE_TIMEOUT_MS, cluster_timeout_ms()),
                 .timeout_ms = Min(ADMIN_NODE_TIMEOUT_MS, cluster_timeout_ms())};
    buffer_init(&ask->frame, memory_of_context(CurrentMemoryContext));
}

/* ---- dynamo_nodes ---- */

/* Asks every member for its status; statuses is filled for those that answer. */
typedef struct AdminNodes
{
    Arena arena;
    NodeStatus *statuses;
} AdminNodes;

static bool
admin_take_status(Ask *ask, int index, const Frame *frame)
{
    AdminNodes *nodes = ask->argument;

    return frame->type == FRAME_NODE_STATUS_REPLY &&
           node_status_decode(frame, &nodes->arena, &nodes->statuses[index]);
}

static void
admin_ask_nodes(ClientCluster *cluster, const ClusterTopology *topology, AdminNodes *nodes,
                Ask *ask)
{
    arena_init(&nodes->arena, memory_of_context(CurrentMemoryContext));
    nodes->statuses = palloc0(sizeof(NodeStatus) * topology->present_count);
    admin_ask_begin(cluster, topology->present, topology->present_count, ask);
    ask->take = admin_take_status;
    ask->argument = nodes;
    node_status_fetch_encode(&ask->frame, ask->tag);
    ask_run(cluster->links, ask);
}

Datum
admin_member_id(const MemberId *id)
{
    char hex[2 * sizeof(id->bytes) + 1];

    for (size_t i = 0; i < sizeof(id->bytes); i++)
        snprintf(hex + 2 * i, 3, "%02x", id->bytes[i]);
    return CStringGetTextDatum(hex);
}

static int32
admin_claimed(const Topology *topology, uint32 member)
{
    int32 claimed = 0;

    for (uint32 i = 0; i < topology->partitions; i++)
        claimed += topology->claim[i] == member;
    return claimed;
}

static const char *
admin_status_name(const AskReply *reply, const NodeStatus *status)
{
    switch (reply->state)
    {
    case ASK_GOOD:
        return status->disk == DISK_WELL ? "up" : disk_state_name(status->disk);
    case ASK_LOST:
        return "down";
    default:
        return "suspect";
    }
}

Datum
admin_interval(uint64 ms)
{
    Interval *interval = palloc0(sizeof(Interval));

    interval->time = (TimeOffset)Min(ms, PG_INT64_MAX / 1000) * 1000;
    return IntervalPGetDatum(interval);
}

void
admin_put_text(Datum *values, bool *nulls, int column, const char *value)
{
    nulls[column] = value == NULL;
    values[column] = value != NULL ? CStringGetTextDatum(value) : (Datum)0;
}

enum
{
    NODES_NAME,
    NODES_ADDRESS,
    NODES_PORT,
    NODES_MEMBER,
    NODES_STATUS,
    NODES_EPOCH,
    NODES_UPTIME,
    NODES_RSS_BYTES,
    NODES_DISK_BYTES,
    NODES_KEYS_ESTIMATE,
    NODES_OWNED_PARTITIONS,
    NODES_ERROR,
    NODES_COLUMNS
};

/* NULL: the disk is well. */
static char *
admin_disk_why(const NodeStatus *status)
{
    char *why;

    if (status->disk == DISK_WELL)
        return NULL;
    why = pnstrdup((const char *)status->disk_why.data, status->disk_why.length);
    foreign_text_clean(why);
    return why;
}

static void
admin_put_node(ReturnSetInfo *result, const Topology *topology, uint32 index, const LinksNode *node,
               const AskReply *reply, const NodeStatus *status)
{
    const Member *member = &topology->members[index];
    const char *error =
        reply->state == ASK_GOOD ? admin_disk_why(status) : report_reason(node, reply);
    Datum values[NODES_COLUMNS];
    bool nulls[NODES_COLUMNS] = {false};

    values[NODES_NAME] = CStringGetTextDatum(node->name);
    values[NODES_ADDRESS] = CStringGetTextDatum(node->address);
    values[NODES_PORT] = Int32GetDatum(member->port);
    values[NODES_MEMBER] = admin_member_id(&member->id);
    values[NODES_STATUS] = CStringGetTextDatum(admin_status_name(reply, status));
    values[NODES_EPOCH] = Int64GetDatum((int64)status->epoch);
    values[NODES_UPTIME] = admin_interval(status->uptime_ms);
    values[NODES_RSS_BYTES] = Int64GetDatum((int64)status->rss_bytes);
    values[NODES_DISK_BYTES] = Int64GetDatum((int64)status->disk_bytes);
    values[NODES_KEYS_ESTIMATE] = Int64GetDatum((int64)status->keys_estimate);
    values[NODES_OWNED_PARTITIONS] = Int32GetDatum(admin_claimed(topology, index));
    admin_put_text(values, nulls, NODES_ERROR, error);
    for (int i = NODES_EPOCH; i <= NODES_KEYS_ESTIMATE; i++)
        nulls[i] = reply->state != ASK_GOOD;
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(dynamo_nodes);
PGDLLEXPORT Datum
dynamo_nodes(PG_FUNCTION_ARGS)
{
    ForeignServer *server = admin_server(PG_GETARG_TEXT_PP(0));
    ClientCluster *cluster = transaction_cluster(server->serverid, GetUserId());
    ClusterTopology *topology = cluster_topology(cluster);
    AdminNodes nodes;
    Ask ask;

    InitMaterializedSRF(fcinfo, 0);
    admin_ask_nodes(cluster, topology, &nodes, &ask);
    for (int i = 0; i < topology->present_count; i++)
        admin_put_node((ReturnSetInfo *)fcinfo->resultinfo, &topology->topology, topology->slots[i],
                       topology->present[i], &ask.replies[i], &nodes.statuses[i]);
    return (Datum)0;
}

/* ---- connections ---- */

enum
{
    CONNECTIONS_SERVER,
    CONNECTIONS_USER,
    CONNECTIONS_NODE,
    CONNECTIONS_ADDRESS,
    CONNECTIONS_PORT,
    CONNECTIONS_STATE,
    CONNECTIONS_USED,
    CONNECTIONS_VALID,
    CONNECTIONS_ERROR,
    CONNECTIONS_COLUMNS
};

typedef struct AdminConnections
{
    ReturnSetInfo *result;
    const PoolView *pool;
} AdminConnections;

static const char *
admin_link_state(const LinksNode *node)
{
    if (node->suspect)
        return "suspect";
    if (node->link == NULL)
        return "closed";
    return node->streaming ? "up" : "connecting";
}

static void
admin_put_link(const LinksNode *node, void *argument)
{
    AdminConnections *connections = argument;
    const PoolView *shown = connections->pool;
    ForeignServer *server = GetForeignServerExtended(shown->server_id, FSV_MISSING_OK);
    Datum values[CONNECTIONS_COLUMNS];
    bool nulls[CONNECTIONS_COLUMNS] = {false};

    admin_put_text(values, nulls, CONNECTIONS_SERVER, server != NULL ? server->servername : NULL);
    admin_put_text(values, nulls, CONNECTIONS_USER, GetUserNameFromId(shown->user_id, true));
    admin_put_text(values, nulls, CONNECTIONS_NODE, node->name);
    admin_put_text(values, nulls, CONNECTIONS_ADDRESS, node->address);
    values[CONNECTIONS_PORT] = Int32GetDatum(node->port);
    admin_put_text(values, nulls, CONNECTIONS_STATE, admin_link_state(node));
    values[CONNECTIONS_USED] = BoolGetDatum(shown->used);
    values[CONNECTIONS_VALID] = BoolGetDatum(!shown->stale);
    admin_put_text(values, nulls, CONNECTIONS_ERROR, node->error[0] != '\0' ? node->error : NULL);
    tuplestore_putvalues(connections->result->setResult, connections->result->setDesc, values,
                         nulls);
}

static void
admin_put_cluster(const PoolView *view, void *argument)
{
    AdminConnections *connections = argument;

    connections->pool = view;
    links_each(view->cluster->links, admin_put_link, connections);
}

PG_FUNCTION_INFO_V1(dynamo_connections);
PGDLLEXPORT Datum
dynamo_connections(PG_FUNCTION_ARGS)
{
    AdminConnections connections = {.result = (ReturnSetInfo *)fcinfo->resultinfo};

    InitMaterializedSRF(fcinfo, 0);
    pool_each(transaction_pool(), admin_put_cluster, &connections);
    return (Datum)0;
}

PG_FUNCTION_INFO_V1(dynamo_disconnect);
PGDLLEXPORT Datum
dynamo_disconnect(PG_FUNCTION_ARGS)
{
    ForeignServer *server = admin_server(PG_GETARG_TEXT_PP(0));

    PG_RETURN_BOOL(pool_disconnect(transaction_pool(), server->serverid));
}

PG_FUNCTION_INFO_V1(dynamo_disconnect_all);
PGDLLEXPORT Datum
dynamo_disconnect_all(PG_FUNCTION_ARGS)
{
    PG_RETURN_BOOL(pool_disconnect(transaction_pool(), InvalidOid));
}
