/*
 * Words every failure of the cluster for a person: the message says what could not be done, DETAIL
 * which nodes answered what, HINT what would help. The SQLSTATE tells a program the same in short.
 */
#include "fdw/cluster/report.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "storage/ipc.h"

#include "fdw/base/memory.h"
#include "fdw/cluster/foreign_text.h"
#include "shared/data/context.h"

enum
{
    COLUMN_BYTES_MAX = 80 /* shown of a key column */
};

static int
sqlstate_code(const char *sqlstate)
{
    return MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2], sqlstate[3], sqlstate[4]);
}

/* ---- keys and owners in words ---- */

static void
append_key_hex(StringInfo text, Slice key)
{
    appendStringInfoString(text, "\\x");
    for (size_t i = 0; i < key.length && i < 64; i++)
        appendStringInfo(text, "%02x", key.data[i]);
}

/* Text in the cluster is UTF-8. */
static void
append_clipped(StringInfo text, Slice printed)
{
    char *copy = pnstrdup((const char *)printed.data, printed.length);
    int length = (int)strlen(copy);

    foreign_text_clean(copy);
    appendBinaryStringInfo(text, copy, pg_mbcliplen(copy, length, COLUMN_BYTES_MAX));
    if (length > COLUMN_BYTES_MAX)
        appendStringInfoString(text, "...");
    pfree(copy);
}

static bool
append_key_columns(StringInfo text, const Bucket *bucket, Slice key)
{
    Memory memory = memory_in_context(CurrentMemoryContext);
    Reader reader = reader_begin(key);
    Arena arena;
    Buffer printed;

    arena_init(&arena, &memory);
    buffer_init(&printed, &memory);
    for (uint32_t i = 0; i < bucket->key_count; i++)
    {
        KeyValue value = keycodec_next(&reader, bucket->key_types[i], &arena);
        bool quoted = value.type == KEY_TEXT;

        if (reader.failed)
            return false;
        buffer_reset(&printed);
        keycodec_print(&printed, &value);
        appendStringInfo(text, "%s%s", i > 0 ? ", " : "", quoted ? "\"" : "");
        append_clipped(text, buffer_slice(&printed));
        appendStringInfoString(text, quoted ? "\"" : "");
    }
    return reader_finish(&reader);
}

char *
report_key(const Bucket *bucket, Slice key)
{
    StringInfoData text;

    initStringInfo(&text);
    appendStringInfoChar(&text, '(');
    if (!append_key_columns(&text, bucket, key))
    {
        text.len = 1;
        append_key_hex(&text, key);
    }
    appendStringInfoChar(&text, ')');
    return text.data;
}

static void
append_why_not(StringInfo text, const LinksNode *node)
{
    const char *error = links_node_error(node);

    if (error[0] != '\0')
        appendStringInfo(text, ": %s", error);
    else if (links_node_is_up(node))
        appendStringInfoString(text, " is up");
    else
        appendStringInfoString(text, " did not answer");
}

/* What a member of a key said, or why it said nothing. */
static void
append_answer(StringInfo text, const LinksNode *node, const ReportMembers *members, uint32 place)
{
    uint32 bit = UINT32_C(1) << place;
    StatusCode refusal =
        members->refusals != NULL ? (StatusCode)members->refusals[place] : STATUS_OK;

    if (members->answered & bit)
        appendStringInfoString(text, " answered");
    else if (members->lacking & bit)
        appendStringInfoString(text, " does not hold the key");
    else if (refusal != STATUS_OK)
        appendStringInfo(text, " refused: %s", status_text(refusal));
    else if ((members->asked & bit) && links_node_is_up(node))
        appendStringInfoString(text, " is up, and has not answered in time");
    else
        append_why_not(text, node);
}

static void
append_node(StringInfo text, const LinksNode *node, bool answered)
{
    appendStringInfo(text, "%s%s", text->len > 0 ? "; " : "", links_node_label(node));
    if (answered)
        appendStringInfoString(text, " answered");
    else
        append_why_not(text, node);
}

static char *
members_at(const ClusterTopology *topology, const Bucket *bucket, uint64 position,
           const ReportMembers *members)
{
    uint16_t list[TOPOLOGY_N_MAX];
    uint32 count = topology_preference(&topology->topology, position, list, TOPOLOGY_N_MAX);
    StringInfoData text;

    initStringInfo(&text);
    for (uint32 i = 0; i < count; i++)
    {
        const LinksNode *node = topology->nodes[list[i]];

        if (i >= bucket->n && !((members->answered | members->asked) & (UINT32_C(1) << i)))
            continue;
        appendStringInfo(&text, "%s%s%s", text.len > 0 ? "; " : "",
                         i < bucket->n ? "" : "fallback ", links_node_label(node));
        append_answer(&text, node, members, i);
    }
    return text.data;
}

char *
report_members(const ClusterTopology *topology, const Bucket *bucket, Slice key,
               const ReportMembers *members)
{
    uint64_t position;

    if (!topology_position(bucket, key, &position))
        return pstrdup("");
    return members_at(topology, bucket, position, members);
}

/* ---- connecting ---- */

typedef enum ConnectFailure
{
    CONNECT_NOWHERE, /* the least telling first */
    CONNECT_NOT_FORMED,
    CONNECT_NO_NODE,
    CONNECT_VERSION,
    CONNECT_NO_TLS,
    CONNECT_LOGIN
} ConnectFailure;

/* What libpq says of a server that does not speak the protocol at all. */
static bool
is_no_postgres(const char *error)
{
    return strstr(error, "does not speak the PostgreSQL protocol") != NULL ||
           strstr(error, "invalid response to SSL negotiation") != NULL;
}

static ConnectFailure
connect_failure(const LinksNode *node, const AskReply *reply)
{
    const char *sqlstate = links_node_sqlstate(node);

    if (reply->state == ASK_REFUSED)
        return reply->status == STATUS_NOT_FORMED ? CONNECT_NOT_FORMED : CONNECT_NOWHERE;
    if (strncmp(sqlstate, "28", 2) == 0)
        return CONNECT_LOGIN;
    if (strstr(links_node_error(node), "does not support SSL") != NULL)
        return CONNECT_NO_TLS;
    if (strcmp(sqlstate, "0A000") == 0)
        return CONNECT_VERSION;
    if (strcmp(sqlstate, "42601") == 0 || strcmp(sqlstate, "3D000") == 0 ||
        strcmp(sqlstate, "08P01") == 0 || is_no_postgres(links_node_error(node)))
        return CONNECT_NO_NODE;
    return CONNECT_NOWHERE;
}

const char *
report_reason(const LinksNode *node, const AskReply *reply)
{
    if (reply->state == ASK_REFUSED)
        return reply->message[0] != '\0' ? reply->message : status_text(reply->status);
    return links_node_error(node)[0] != '\0' ? links_node_error(node) : "no answer in time";
}

static void
append_reply(StringInfo text, const LinksNode *node, const AskReply *reply)
{
    appendStringInfo(text, "%s%s: %s", text->len > 0 ? "; " : "", links_node_label(node),
                     report_reason(node, reply));
}

static int
report_connect_error(const ClientCluster *cluster, ConnectFailure failure, const LinksNode *node)
{
    const char *server = cluster->server_name;

    switch (failure)
    {
    case CONNECT_LOGIN:
        errcode(sqlstate_code(links_node_sqlstate(node)));
        /* 28000 is what a node says to a login in clear that it does not take. */
        errhint(
            strcmp(links_node_sqlstate(node), "28000") == 0
                ? "Set option \"sslmode\" of the server to require, or check option \"user\" of "
                  "the user mapping."
                : "Check options \"user\" and \"password\" of the user mapping.");
        return errmsg("could not log in to server \"%s\": %s", server, links_node_error(node));
    case CONNECT_NO_TLS:
        errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION);
        errhint("Set option \"ssl\" of the nodes to on, or option \"sslmode\" of the server to "
                "disable.");
        return errmsg("server \"%s\" has nodes without TLS", server);
    case CONNECT_VERSION:
        errcode(ERRCODE_FEATURE_NOT_SUPPORTED);
        return errmsg("server \"%s\" speaks another version of the protocol", server);
    case CONNECT_NO_NODE:
        errcode(ERRCODE_PROTOCOL_VIOLATION);
        errhint("Options \"host\" and \"port\" of the server name the addresses of dynamo_node.");
        return errmsg("server \"%s\" does not lead to a cluster: the program that "
                      "answers is not a node",
                      server);
    case CONNECT_NOT_FORMED:
        errcode(ERRCODE_CANNOT_CONNECT_NOW);
        errhint("A cluster forms when all its seeds are running.");
        return errmsg("the cluster of server \"%s\" has not formed yet", server);
    case CONNECT_NOWHERE:
        break;
    }
    errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION);
    return errmsg("could not connect to server \"%s\"", server);
}

void
report_no_topology(const ClientCluster *cluster, const Ask *ask, const char *unresolved)
{
    ConnectFailure worst = CONNECT_NOWHERE;
    const LinksNode *worst_node = ask->count > 0 ? ask->nodes[0] : NULL;
    StringInfoData detail;

    initStringInfo(&detail);
    appendStringInfoString(&detail, unresolved);
    for (int i = 0; i < ask->count; i++)
    {
        ConnectFailure failure = connect_failure(ask->nodes[i], &ask->replies[i]);

        append_reply(&detail, ask->nodes[i], &ask->replies[i]);
        if (failure > worst)
        {
            worst = failure;
            worst_node = ask->nodes[i];
        }
    }
    ereport(ERROR,
            (report_connect_error(cluster, worst, worst_node), errdetail("%s.", detail.data)));
}

void
report_no_majority(const ClientCluster *cluster, const Ask *ask)
{
    StringInfoData nodes;

    initStringInfo(&nodes);
    for (int i = 0; i < ask->count; i++)
        append_node(&nodes, ask->nodes[i], ask->replies[i].state == ASK_GOOD);
    ereport(ERROR, (errcode(ERRCODE_CANNOT_CONNECT_NOW),
                    errmsg("too few nodes of server \"%s\" can be reached", cluster->server_name),
                    errdetail("%d of %d nodes were asked for, %d answered: %s.", ask->enough,
                              ask->count, ask->good, nodes.data)));
}

/* ---- buckets ---- */

static char *
bucket_shape(const Bucket *bucket)
{
    StringInfoData text;

    initStringInfo(&text);
    appendStringInfoString(&text, "key (");
    for (uint32_t i = 0; i < bucket->key_count; i++)
    {
        const char *type = keycodec_type_name(bucket->key_types[i]);

        appendStringInfo(&text, "%s%s %s", i > 0 ? ", " : "", bucket->key_names[i],
                         type != NULL ? type : "of an unknown type");
    }
    appendStringInfo(&text, ") and n %u", bucket->n);
    foreign_text_clean(text.data);
    return text.data;
}

void
report_bucket_conflict(const Bucket *found, const Bucket *wanted)
{
    ereport(
        ERROR,
        (errcode(ERRCODE_DATATYPE_MISMATCH),
         errmsg("bucket \"%s\" has another shape than the foreign table", wanted->name),
         errdetail("The bucket has %s, the table %s.", bucket_shape(found), bucket_shape(wanted)),
         errhint("Change the key columns or option \"n\" of the table, or use another bucket.")));
}

static bool
bucket_wants_more_nodes(const ClientCluster *cluster, const Bucket *wanted, const AskReply *reply)
{
    return reply->state == ASK_REFUSED && reply->status == STATUS_BAD_BUCKET &&
           cluster->topology != NULL && wanted->n > cluster->topology->topology.present;
}

/* Who was asked, and of the others those that cannot be reached, without whom no majority may be.
 */
static char *
bucket_refusal(const ClientCluster *cluster, const Bucket *wanted, const LinksNode *asked,
               const AskReply *reply)
{
    StringInfoData text;

    initStringInfo(&text);
    if (bucket_wants_more_nodes(cluster, wanted, reply))
        return psprintf("The bucket keeps n = %u replicas of each key, the cluster has %u nodes.",
                        wanted->n, cluster->topology->topology.present);
    appendStringInfo(&text, "%s was asked", links_node_label(asked));
    for (int i = 0; cluster->topology != NULL && i < cluster->topology->present_count; i++)
    {
        const LinksNode *node = cluster->topology->present[i];
        bool avoided = cluster->topology->avoid[cluster->topology->slots[i]];

        if (node == asked || (!avoided && links_node_error(node)[0] == '\0'))
            continue;
        appendStringInfo(&text, "; %s", links_node_label(node));
        append_why_not(&text, node);
    }
    appendStringInfoChar(&text, '.');
    return text.data;
}

static int
bucket_hint(const ClientCluster *cluster, const Bucket *wanted, const AskReply *reply)
{
    if (reply->state == ASK_REFUSED && reply->status == STATUS_BUCKET_LIMIT)
        return errhint("List the buckets with dynamo_buckets(), and drop those that "
                       "are no longer needed with dynamo_drop_bucket().");
    if (!bucket_wants_more_nodes(cluster, wanted, reply))
        return 0;
    return errhint("Set option \"n\" of the foreign table or of server \"%s\" to %u or less.",
                   cluster->server_name, cluster->topology->topology.present);
}

void
report_bucket_not_created(const ClientCluster *cluster, const Bucket *wanted, const LinksNode *node,
                          const AskReply *reply)
{
    ereport(ERROR, (errcode(reply->state == ASK_REFUSED
                                ? sqlstate_code(status_sqlstate(reply->status))
                                : ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
                    errmsg("could not create bucket \"%s\" in the cluster of server \"%s\": %s",
                           wanted->name, cluster->server_name, report_reason(node, reply)),
                    errdetail("%s", bucket_refusal(cluster, wanted, node, reply)),
                    bucket_hint(cluster, wanted, reply)));
}

/* ---- reads ---- */

/* Of the members that answered, those that are owners. */
static uint32
count_owners(const Bucket *bucket, uint32 answered)
{
    return (uint32)__builtin_popcount(answered & ((UINT32_C(1) << bucket->n) - 1));
}

static int
read_hint(StatusCode status, const ClientReadOptions *options, bool is_pr)
{
    if (status == STATUS_STORAGE)
        return errhint("Use dynamo_nodes() to see which node failed, and why. A node "
                       "whose disk is full resumes once there is free space, a node "
                       "whose disk failed once it is restarted.");
    if (status != STATUS_UNAVAILABLE)
        return 0;
    if (is_pr)
        return errhint("Lower dynamo_fdw.pr to accept answers of nodes that stand in "
                       "for owners. Answers may then be stale.");
    if (options->r > 1)
        return errhint("Lower dynamo_fdw.r to read from fewer owners. Answers may "
                       "then be stale.");
    return 0;
}

static uint32
count_failed(const ReportRead *read)
{
    uint32 failed = 0;

    for (uint32 i = 0; i < read->key_count; i++)
        failed += read->results[i].status != STATUS_OK;
    return failed;
}

void
report_read(const ClientCluster *cluster, const ReportRead *read)
{
    const RequestReadResult *result = &read->results[read->failed];
    const ClientReadOptions *options = read->options;
    Slice key = read->keys[read->failed];
    ReportMembers members = {.answered = result->answered,
                             .asked = result->asked,
                             .lacking = result->lacking,
                             .refusals = result->refusals};
    StringInfoData detail;

    initStringInfo(&detail);
    appendStringInfo(&detail, "%u of %u owners were asked for, %u answered: %s.", options->r,
                     read->bucket->n, (uint32)__builtin_popcount(result->answered),
                     report_members(read->topology, read->bucket, key, &members));
    if (options->pr > 0)
        appendStringInfo(&detail, " pr asks for %u answers of owners themselves, %u came.",
                         options->pr, count_owners(read->bucket, result->answered));
    ereport(
        ERROR,
        (errcode(sqlstate_code(status_sqlstate(result->status))),
         errmsg("could not read key %s of bucket \"%s\": %s", report_key(read->bucket, key),
                read->bucket->name, status_text(result->status)),
         errdetail("%s %u of %u keys failed.", detail.data, count_failed(read), read->key_count),
         read_hint(result->status, options,
                   count_owners(read->bucket, result->answered) < options->pr)));
}

/* The owners of the partition, and what each refused with. */
static char *
scan_members(const ReportScan *scan, uint64 position)
{
    uint16_t list[TOPOLOGY_N_MAX];
    uint8 refusals[TOPOLOGY_N_MAX];
    uint32 count = topology_preference(&scan->topology->topology, position, list, scan->bucket->n);
    ReportMembers members = {.refusals = refusals};

    for (uint32 i = 0; i < count; i++)
        refusals[i] = (uint8)pager_refusal(scan->pager, list[i]);
    return members_at(scan->topology, scan->bucket, position, &members);
}

void
report_scan(const ReportScan *scan)
{
    const Bucket *bucket = scan->bucket;
    const ClientReadOptions *options = scan->options;
    uint32_t partition;
    StatusCode status = pager_failure(scan->pager, &partition);
    uint64 position = ring_partition_start(partition, scan->topology->topology.partitions);

    ereport(ERROR, (errcode(sqlstate_code(status_sqlstate(status))),
                    errmsg("could not scan bucket \"%s\": %s", bucket->name, status_text(status)),
                    errdetail("%u of %u owners of partition %u were asked for: %s.",
                              Max(options->r, options->pr), bucket->n, partition,
                              scan_members(scan, position)),
                    read_hint(status, options, options->pr > options->r)));
}

/* ---- writes ---- */

/* The names in a context that its node would not open, as far as they can be told from outside. */
static void
append_context_origin(StringInfo text, const ContextPiece *piece, const Topology *topology,
                      StatusCode status)
{
    const Bucket *bucket = topology_bucket_by_id(topology, piece->bucket_id);

    if (status == STATUS_CONTEXT_OTHER_BUCKET && bucket != NULL)
        appendStringInfo(text, "The context was read from bucket \"%s\".", bucket->name);
    else if (status == STATUS_CONTEXT_OTHER_CLUSTER && piece->kind == CONTEXT_PIECE_SEALED)
    {
        appendStringInfoString(text, "The context was sealed under cluster key ");
        for (size_t i = 0; i < piece->key_id.length; i++)
            appendStringInfo(text, "%02x", piece->key_id.data[i]);
        appendStringInfoChar(text, '.');
    }
}

char *
report_context(const Topology *topology, const Bucket *bucket, Slice context, StatusCode status)
{
    Memory memory = memory_in_context(CurrentMemoryContext);
    Reader reader = reader_begin(context);
    StringInfoData text;
    Arena arena;

    initStringInfo(&text);
    arena_init(&arena, &memory);
    while (reader_left(&reader) > 0 && text.len == 0)
    {
        ContextPiece piece = context_next(&reader, &arena);

        if (reader.failed)
            break;
        if (status != STATUS_CONTEXT_OTHER_BUCKET || piece.bucket_id != bucket->id)
            append_context_origin(&text, &piece, topology, status);
    }
    return text.len > 0 ? text.data : NULL;
}

static const char *const FATE_NAMES[REPORT_FATES] = {"applied", "refused", "unknown", "not sent"};

/* What had to acknowledge, and what did. */
static void
append_write_quorum(StringInfo text, const ReportWrite *write)
{
    const ClientQuorum *quorum = &write->quorum;
    bool is_w = write->acked < quorum->w;
    bool is_pw = write->owners_acked < quorum->pw;

    appendStringInfo(text, " %u of %u owners had to acknowledge: %s.", quorum->w, write->n,
                     write->nodes);
    if (quorum->pw > 0)
        appendStringInfo(text, " pw asks for %u acknowledgements of owners themselves, %u came.",
                         quorum->pw, write->owners_acked);
    if (quorum->confirms > 0)
        appendStringInfo(text, " node_confirms asks for %u zones%s.", quorum->confirms,
                         !is_w && !is_pw && write->acked > 0
                             ? ", which those that acknowledged are not of"
                             : "");
}

static char *
write_counts(const ReportWrite *write)
{
    StringInfoData text;
    uint64 total = 0;

    initStringInfo(&text);
    for (int fate = 0; fate < REPORT_FATES; fate++)
        total += write->counts[fate];
    appendStringInfo(&text, "Of " UINT64_FORMAT " writes", total);
    for (int fate = 0; fate < REPORT_FATES; fate++)
    {
        appendStringInfo(&text, ", " UINT64_FORMAT " %s", write->counts[fate], FATE_NAMES[fate]);
        for (int i = 0; i < REPORT_FIRST_KEYS && write->first_keys[fate][i] != NULL; i++)
            appendStringInfo(&text, "%s%s", i > 0 ? ", " : ": ", write->first_keys[fate][i]);
        if (write->counts[fate] > REPORT_FIRST_KEYS)
            appendStringInfoString(&text, ", ...");
    }
    appendStringInfoChar(&text, '.');
    return text.data;
}

static char *
write_detail(const ReportWrite *write)
{
    StringInfoData text;

    initStringInfo(&text);
    appendStringInfoString(&text, write_counts(write));
    if (write->nodes != NULL)
        append_write_quorum(&text, write);
    if (write->about != NULL)
        appendStringInfo(&text, " %s", write->about);
    return text.data;
}

static int
write_error(const ReportWrite *write)
{
    if (write->canceled)
    {
        errcode(ERRCODE_QUERY_CANCELED);
        return errmsg("canceling statement due to user request");
    }
    if (write->status == STATUS_OK)
    {
        errcode(ERRCODE_QUERY_CANCELED);
        return errmsg("canceling statement due to statement timeout");
    }
    if (write->counts[REPORT_UNKNOWN] > 0)
    {
        errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN);
        return errmsg("could not confirm the write of key %s to bucket \"%s\": %s", write->key,
                      write->bucket_name, status_text(write->status));
    }
    errcode(sqlstate_code(status_sqlstate(write->status)));
    return errmsg("could not write key %s to bucket \"%s\": %s", write->key, write->bucket_name,
                  status_text(write->status));
}

/* What becomes of the transaction. */
static const char *
write_outcome(const ReportWrite *write)
{
    if (write->counts[REPORT_UNKNOWN] > 0)
        return "The transaction is rolled back here, but the cluster keeps what is applied and "
               "may keep what is unknown.";
    if (write->counts[REPORT_APPLIED] > 0)
        return "The transaction is rolled back here, but the cluster keeps what is applied.";
    return "The transaction is rolled back, and nothing of it was written in the cluster.";
}

#define RESOLVE_HINT                                                                               \
    "Read the key and write its row back with the context that was "                               \
    "read. The new row replaces the siblings that were read."

/* What can be done about a refused write; "" where the error says it. */
static const char *
write_remedy(StatusCode status)
{
    static const char *const remedies[STATUS_COUNT] = {
        [STATUS_CONTEXT_MALFORMED] = "Hand back the context column as it was read; NULL is for a "
                                     "write that has seen nothing.",
        [STATUS_CONTEXT_OTHER_BUCKET] = "Write under the context of the key's row in this bucket.",
        [STATUS_CONTEXT_OTHER_KEY] = "Write under the context of the key's own row, or with NULL "
                                     "if it has none.",
        [STATUS_CONTEXT_OTHER_CLUSTER] = "Read the key again and write under the new context.",
        [STATUS_CONTEXT_EDITED] = "Hand back the context column as it was read.",
        [STATUS_TOO_MANY_SIBLINGS] = RESOLVE_HINT,
        [STATUS_CONTEXT_PENDING] = "Read the key again and write under the new context.",
    };

    return remedies[status] != NULL ? remedies[status] : "";
}

/* What stood in the way of a write that reached too few; "" where nothing but nodes did. */
static const char *
write_quorum_remedy(const ReportWrite *write)
{
    bool is_reached = write->status == STATUS_UNAVAILABLE || write->status == STATUS_UNKNOWN;

    if (is_reached && write->owners_acked < write->quorum.pw)
        return "Lower dynamo_fdw.pw to accept acknowledgements of nodes that "
               "stand in for owners.";
    if (is_reached && write->acked >= write->quorum.w && write->quorum.confirms > 0)
        return "Lower dynamo_fdw.node_confirms to accept acknowledgements of "
               "several nodes of one zone.";
    return "";
}

void
report_write(const ClientCluster *cluster, const ReportWrite *write)
{
    const char *remedy = write_remedy(write->status);

    if (remedy[0] == '\0')
        remedy = write_quorum_remedy(write);

    ereport(ERROR, (write_error(write), errdetail("%s", write_detail(write)),
                    errhint("%s%s%s", write_outcome(write), remedy[0] != '\0' ? " " : "", remedy)));
}

char *
report_size(const WriteItem *item)
{
    size_t bytes = 0;

    for (uint32 i = 0; i < item->value_count; i++)
        bytes = Max(bytes, item->values[i].value.length);
    return psprintf(
        "The key has %zu bytes, its value %zu; options max_key_bytes and max_value_bytes "
        "of the nodes say how many they take.",
        item->key.length, bytes);
}

void
report_rolled_back(const ClientCluster *cluster, const ReportWrite *write)
{
    int level = proc_exit_inprogress ? LOG : WARNING;

    ereport(level,
            (errcode(write->counts[REPORT_UNKNOWN] > 0 ? ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN
                                                       : ERRCODE_WARNING),
             errmsg("transaction was rolled back after writes had been sent to the "
                    "cluster of server \"%s\"",
                    cluster->server_name),
             errdetail("%s", write_counts(write)), errhint("%s", write_outcome(write))));
}

void
report_context_refused(const Bucket *bucket, Slice key, StatusCode status)
{
    ereport(ERROR, (errcode(sqlstate_code(status_sqlstate(status))),
                    errmsg("could not write key %s to bucket \"%s\": %s", report_key(bucket, key),
                           bucket->name, status_text(status)),
                    errdetail("The context includes unsent writes of a transaction. It is "
                              "valid only for the same key in that transaction."),
                    errhint("%s", write_remedy(status))));
}

void
report_sibling_warning(const ReportSiblingWarning *warning)
{
    ereport(WARNING, (errmsg("key %s of bucket \"%s\" has %u siblings", warning->key,
                             warning->bucket_name, warning->siblings),
                      errdetail("Each write without the context of the present row adds a "
                                "sibling. Nodes warn above siblings_warn and refuse writes "
                                "above siblings_max."),
                      errhint(RESOLVE_HINT)));
}
