/*
 * The SQL functions about the buckets of a cluster: dynamo_buckets() lists them, and
 * dynamo_drop_bucket() has one dropped on every node.
 */
#include "fdw/functions/admin.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "fdw/base/compat.h"
#include "fdw/cluster/client.h"
#include "fdw/cluster/foreign_text.h"
#include "fdw/cluster/report.h"
#include "fdw/transaction/transaction.h"

/* ---- dynamo_buckets ---- */

enum
{
    BUCKETS_BUCKET,
    BUCKETS_ID,
    BUCKETS_N,
    BUCKETS_KEY,
    BUCKETS_VALUE,
    BUCKETS_CREATOR,
    BUCKETS_COLUMNS
};

static ClientCluster *
buckets_cluster(FunctionCallInfo fcinfo)
{
    ForeignServer *server = admin_server(PG_GETARG_TEXT_PP(0));

    return transaction_cluster(server->serverid, GetUserId());
}

/* "customer bigint, day date" */
static char *
buckets_key(const Bucket *bucket)
{
    StringInfoData text;

    initStringInfo(&text);
    for (uint32 i = 0; i < bucket->key_count; i++)
        appendStringInfo(&text, "%s%s %s", i > 0 ? ", " : "", bucket->key_names[i],
                         keycodec_type_name(bucket->key_types[i]));
    foreign_text_clean(text.data);
    return text.data;
}

static char *
buckets_value(const Bucket *bucket)
{
    StringInfoData text;

    initStringInfo(&text);
    for (uint32 i = 0; i < bucket->column_count; i++)
        appendStringInfo(&text, "%s%s %s", i > 0 ? ", " : "", bucket->columns[i].name,
                         bucket->columns[i].type);
    foreign_text_clean(text.data);
    return text.data;
}

static void
buckets_put(ReturnSetInfo *result, const Bucket *bucket)
{
    Datum values[BUCKETS_COLUMNS];
    bool nulls[BUCKETS_COLUMNS] = {false};

    admin_put_text(values, nulls, BUCKETS_BUCKET, bucket->name);
    values[BUCKETS_ID] = Int64GetDatum(bucket->id);
    values[BUCKETS_N] = Int32GetDatum((int32)bucket->n);
    admin_put_text(values, nulls, BUCKETS_KEY, buckets_key(bucket));
    admin_put_text(values, nulls, BUCKETS_VALUE, buckets_value(bucket));
    admin_put_text(values, nulls, BUCKETS_CREATOR,
                   bucket->creator[0] != '\0' ? bucket->creator : NULL);
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* As a majority of the nodes has them now. */
PG_FUNCTION_INFO_V1(dynamo_buckets);
PGDLLEXPORT Datum
dynamo_buckets(PG_FUNCTION_ARGS)
{
    ClientCluster *cluster = buckets_cluster(fcinfo);
    const Topology *topology;

    InitMaterializedSRF(fcinfo, 0);
    cluster_refresh(cluster, true);
    topology = &cluster_topology(cluster)->topology;
    for (uint32 i = 0; i < topology->bucket_count; i++)
        buckets_put((ReturnSetInfo *)fcinfo->resultinfo, &topology->buckets[i]);
    return (Datum)0;
}

/* ---- dynamo_drop_bucket ---- */

static bool
buckets_take_dropped(Ask *ask, int index, const Frame *frame)
{
    return frame->type == FRAME_TOPOLOGY;
}

static bool
buckets_ask(ClientCluster *cluster, LinksNode **node, uint32 id, AskReply *reply)
{
    BucketDrop drop = {.bucket_id = id};
    Ask ask;

    admin_ask_begin(cluster, node, 1, &ask);
    ask.take = buckets_take_dropped;
    bucket_drop_encode(&ask.frame, ask.tag, &drop);
    ask_run(cluster->links, &ask);
    *reply = ask.replies[0];
    return reply->state == ASK_GOOD;
}

static void
buckets_report(const ClientCluster *cluster, const char *name, const LinksNode *node,
               const AskReply *reply)
{
    bool forbidden = reply->state == ASK_REFUSED && reply->status == STATUS_FORBIDDEN;
    const char *state = status_sqlstate(reply->status);

    ereport(ERROR,
            (errcode(reply->state == ASK_REFUSED
                         ? MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4])
                         : ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
             errmsg("could not drop bucket \"%s\" of the cluster of server \"%s\": %s", name,
                    cluster->server_name, report_reason(node, reply)),
             errdetail("%s was asked.", links_node_label(node)),
             forbidden ? errhint("The user mapping must name a user of role admin, as "
                                 "\"dynamo_node user add NAME --role admin\" makes one on every "
                                 "node.")
                       : 0));
}

/* One node after the other, those that are well first, until one has had it dropped. */
static void
buckets_drop(ClientCluster *cluster, const Bucket *bucket)
{
    ClusterTopology *topology = cluster_topology(cluster);
    int members = topology->present_count;
    LinksNode *last = topology->present[0];
    AskReply reply = {.state = ASK_OPEN, .status = STATUS_OK, .message = ""};

    for (int i = 0; i < 2 * members; i++)
    {
        LinksNode **node = &topology->present[i % members];

        if (topology->avoid[topology->slots[i % members]] != (i >= members))
            continue;
        last = *node;
        if (buckets_ask(cluster, node, bucket->id, &reply))
        {
            (void)cluster_fetch_from(cluster, node);
            return;
        }
        if (reply.state == ASK_REFUSED && reply.status == STATUS_FORBIDDEN)
            break;
    }
    buckets_report(cluster, bucket->name, last, &reply);
}

/* All rows of the bucket go with it, on every node, also on those that are down now. */
PG_FUNCTION_INFO_V1(dynamo_drop_bucket);
PGDLLEXPORT Datum
dynamo_drop_bucket(PG_FUNCTION_ARGS)
{
    ClientCluster *cluster = buckets_cluster(fcinfo);
    const char *name = text_to_cstring(PG_GETARG_TEXT_PP(1));
    const Bucket *bucket;

    cluster_refresh(cluster, true);
    bucket = topology_bucket_by_name(&cluster_topology(cluster)->topology, name);
    if (bucket == NULL)
        ereport(ERROR,
                (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("bucket \"%s\" does not exist", name),
                 errdetail("The cluster of server \"%s\" has no bucket of that name.",
                           cluster->server_name),
                 errhint("List the buckets with dynamo_buckets().")));
    buckets_drop(cluster, bucket);
    PG_RETURN_VOID();
}
