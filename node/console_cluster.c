/*
 * SHOW commands answer at once from the node's own view. GET asks the node as a client would and
 * answers when the reply comes, or when the node gives up; the session may be gone or have
 * cancelled by then, and the question is forgotten.
 */
#include "node/console_cluster.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/console_value.h"
#include "node/node.h"
#include "shared/message.h"
#include "shared/object.h"

#define NAMES_SIZE 1024

const Column console_nodes_columns[] = {
    {"node",       COLUMN_TEXT},
    {"address",    COLUMN_TEXT},
    {"port",       COLUMN_INT8},
    {"zone",       COLUMN_TEXT},
    {"state",      COLUMN_TEXT},
    {"gossip",     COLUMN_TEXT},
    {"is_self",    COLUMN_BOOL},
    {"partitions", COLUMN_INT8},
    {"epoch",      COLUMN_INT8},
    {"member_id",  COLUMN_TEXT},
    {"error",      COLUMN_TEXT}
};
const Column console_ring_columns[] = {
    {"partition",  COLUMN_INT8},
    {"start",      COLUMN_TEXT},
    {"claimed_by", COLUMN_TEXT},
    {"preference", COLUMN_TEXT}
};
const Column console_hints_columns[] = {
    {"node",             COLUMN_TEXT},
    {"hints",            COLUMN_INT8},
    {"bytes",            COLUMN_INT8},
    {"oldest",           COLUMN_TEXT},
    {"handed_off",       COLUMN_INT8},
    {"bytes_per_second", COLUMN_INT8},
    {"error",            COLUMN_TEXT},
    {"member_id",        COLUMN_TEXT}
};
const Column console_stats_columns[] = {
    {"name",        COLUMN_TEXT},
    {"value",       COLUMN_INT8},
    {"description", COLUMN_TEXT}
};
const Column console_get_columns[] = {
    {"sibling",    COLUMN_INT8},
    {"tombstone",  COLUMN_BOOL},
    {"written_at", COLUMN_TEXT},
    {"value",      COLUMN_TEXT},
    {"dots",       COLUMN_TEXT},
    {"context",    COLUMN_TEXT}
};

/* The topology in force, or NULL after a notice that says why there is none. */
static const Topology *
topology_or_notice(Console *console, Session *session)
{
    const Node *node = console_host(console)->node;
    const Topology *topology = node == NULL ? NULL : engine_topology(node_engine(node));
    char message[256];

    if (topology != NULL && topology->epoch > 0)
        return topology;
    snprintf(message, sizeof(message), "this node is in no cluster yet: %s",
             node == NULL ? "it has no storage" : engine_waiting_for(node_engine(node)));
    session_notice(session, message);
    return NULL;
}

/* ---- SHOW NODES, SHOW RING ---- */

static uint32_t
claimed_partitions(const Topology *topology, uint32_t member)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < topology->partitions; i++)
        count += topology->claim[i] == member;
    return count;
}

static const char *
member_state(const Engine *engine, uint32_t member, bool is_up)
{
    if (!is_up)
        return "down";
    return engine_member_is_refilling(engine, member) ? "refilling" : "up";
}

static void
send_member(const Node *node, const Topology *topology, uint32_t index, Session *session)
{
    const Engine *engine = node_engine(node);
    const Member *member = &topology->members[index];
    bool is_self = index == engine_self(engine);
    bool is_up = is_self || engine_member_is_up(engine, index);
    char id[2 * sizeof(member->id.bytes) + 1];
    ConsoleRow row = {.count = 0};

    sodium_bin2hex(id, sizeof(id), member->id.bytes, sizeof(member->id.bytes));
    console_row_text(&row, member->name);
    console_row_text(&row, member->address);
    console_row_int(&row, member->port);
    console_row_text(&row, member->zone);
    console_row_text(&row, member_state(engine, index, is_up));
    console_row_text(&row, gossip_state_name(gossip_state(engine_gossip(engine), index)));
    console_row_bool(&row, is_self);
    console_row_int(&row, claimed_partitions(topology, index));
    console_row_int(&row, (int64_t)topology->epoch);
    console_row_text(&row, id);
    console_row_text(&row, is_self ? node_storage_failure(node) : node_member_error(node, index));
    console_row_send(&row, session);
}

void
console_run_nodes(Console *console, Session *session, const ConsoleCommand *command,
                  const ConsoleWords *words)
{
    const Topology *topology;

    session_columns(session, command->columns, command->column_count);
    topology = topology_or_notice(console, session);
    for (uint32_t i = 0; topology != NULL && i < topology->member_count; i++)
        send_member(console_host(console)->node, topology, i, session);
    session_complete(session, command->tag);
}

/* The names of members, separated by commas, cut to size. */
static const char *
member_names(const Topology *topology, const uint16_t *members, uint32_t count,
             char names[NAMES_SIZE])
{
    size_t length = 0;

    names[0] = '\0';
    for (uint32_t i = 0; i < count && length + 1 < NAMES_SIZE; i++)
        length += (size_t)snprintf(names + length, NAMES_SIZE - length, "%s%s", i > 0 ? "," : "",
                                   topology->members[members[i]].name);
    return names;
}

void
console_run_ring(Console *console, Session *session, const ConsoleCommand *command,
                 const ConsoleWords *words)
{
    const Topology *topology;

    session_columns(session, command->columns, command->column_count);
    topology = topology_or_notice(console, session);
    for (uint32_t i = 0; topology != NULL && i < topology->partitions; i++)
    {
        ConsoleRow row = {.count = 0};
        char start[24];
        char names[NAMES_SIZE];

        snprintf(start, sizeof(start), "%016" PRIx64,
                 ring_partition_start(i, topology->partitions));
        console_row_int(&row, i);
        console_row_text(&row, start);
        console_row_text(&row, topology->members[topology->claim[i]].name);
        console_row_text(&row, member_names(topology,
                                            topology->preference + i * topology->preference_length,
                                            topology->preference_length, names));
        console_row_send(&row, session);
    }
    session_complete(session, command->tag);
}

/* ---- SHOW HINTS ---- */

static const char *
member_name(const Topology *topology, const MemberId *id)
{
    uint32_t member = topology_member(topology, id);

    return member != TOPOLOGY_NO_MEMBER ? topology->members[member].name : NULL;
}

static void
send_hints(const Engine *engine, const HintTotal *total, Session *session)
{
    HandoffStatus status = engine_handoff_status(engine, &total->target);
    char id[2 * sizeof(MemberId) + 1];
    ConsoleRow row = {.count = 0};
    Buffer oldest;

    sodium_bin2hex(id, sizeof(id), total->target.bytes, sizeof(MemberId));
    buffer_init(&oldest, &MEMORY_HEAP);
    console_value_time(&oldest, total->oldest_ms);
    buffer_put_u8(&oldest, '\0');
    console_row_text(&row, member_name(engine_topology(engine), &total->target));
    console_row_int(&row, (int64_t)total->count);
    console_row_int(&row, (int64_t)total->bytes);
    console_row_text(&row, (const char *)oldest.data);
    console_row_int(&row, (int64_t)status.handed);
    console_row_int(&row, (int64_t)status.bytes_per_second);
    console_row_text(&row, status.failure != STATUS_OK ? status_text(status.failure) : "");
    console_row_text(&row, id);
    console_row_send(&row, session);
    buffer_free(&oldest);
}

void
console_run_hints(Console *console, Session *session, const ConsoleCommand *command,
                  const ConsoleWords *words)
{
    session_columns(session, command->columns, command->column_count);
    if (topology_or_notice(console, session) != NULL)
    {
        const Engine *engine = node_engine(console_host(console)->node);
        const HintTotals *hints = engine_hints(engine);

        for (uint32_t i = 0; i < hints->target_count; i++)
            send_hints(engine, &hints->targets[i], session);
    }
    session_complete(session, command->tag);
}

/* ---- SHOW STATS ---- */

static void
send_stat(Session *session, const char *name, uint64_t value, const char *description)
{
    ConsoleRow row = {.count = 0};

    console_row_text(&row, name);
    console_row_int(&row, (int64_t)value);
    console_row_text(&row, description);
    console_row_send(&row, session);
}

static void
send_node_stats(const Node *node, Session *session)
{
    const Engine *engine = node_engine(node);
    const Topology *topology = engine_topology(engine);
    uint64_t up = 0;

    for (uint32_t i = 0; i < topology->member_count; i++)
        up += i == engine_self(engine) || engine_member_is_up(engine, i);
    send_stat(session, "uptime_ms", node_uptime_ms(node), "Time since this node was started.");
    send_stat(session, "resident_bytes", node_resident_bytes(), "Memory of the process.");
    send_stat(session, "epoch", topology->epoch, "Number of the topology; 0: in no cluster.");
    send_stat(session, "members", topology->member_count, "Nodes of the cluster.");
    send_stat(session, "members_up", up, "Of them, those that this node can reach.");
}

static void
send_request_stats(const Node *node, Session *session)
{
    EngineCounters counters = engine_counters(node_engine(node));
    const HintTotals *hints = engine_hints(node_engine(node));

    send_stat(session, "writes", counters.writes, "Keys whose write this node coordinated.");
    send_stat(session, "writes_refused", counters.writes_refused, "Of them, written nowhere.");
    send_stat(session, "writes_unknown", counters.writes_unknown,
              "Of them, perhaps written, quorum not confirmed.");
    send_stat(session, "writes_retried", counters.writes_retried, "Of them, marked as a retry.");
    send_stat(session, "siblings_warned", counters.siblings_warned,
              "Of the writes, those that left more siblings than siblings_warn.");
    send_stat(session, "siblings_refused", counters.siblings_refused,
              "Of those refused, those that would have left more siblings than siblings_max.");
    send_stat(session, "reads", counters.reads, "Keys read here, in full or as a digest.");
    send_stat(session, "reads_coordinated", counters.reads_coordinated,
              "Keys whose quorum read this node coordinated.");
    send_stat(session, "repairs", counters.repairs, "Stale owners that such a read corrected.");
    send_stat(session, "replicates", counters.replicates, "Keys taken from other nodes.");
    send_stat(session, "stand_ins", counters.stand_ins,
              "Keys that this node keeps for an owner that was down, hint and all.");
    send_stat(session, "hints", hints_count(hints), "Keys that this node owes to other nodes.");
    send_stat(session, "hints_bytes", hints->bytes, "Their size when they were written.");
    send_stat(session, "hints_handed_off", counters.hints_handed, "Hints brought to their nodes.");
    send_stat(session, "hints_refused", counters.hints_refused,
              "Keys not kept for others, since hints_max_mb was reached.");
    send_stat(session, "scans", counters.scans, "Pages of partitions scanned.");
    send_stat(session, "frames_refused", counters.frames_refused, "Frames answered by an error.");
}

static void
send_load_stats(const Node *node, Session *session)
{
    const Engine *engine = node_engine(node);
    const EngineCounters counters = engine_counters(engine);
    const uint64_t *shed = counters.frames_shed;
    AdmissionLoad load = engine_load(engine);

    send_stat(session, "frames_shed",
              shed[ADMISSION_BEHIND] + shed[ADMISSION_FULL] + shed[ADMISSION_LATE],
              "Clients' frames refused since the node had too much to do (53000).");
    send_stat(session, "frames_shed_behind", shed[ADMISSION_BEHIND],
              "Of them, since requests waited for longer than max_delay_ms.");
    send_stat(session, "frames_shed_full", shed[ADMISSION_FULL],
              "Of them, since max_requests or max_requests_mb was reached.");
    send_stat(session, "frames_shed_late", shed[ADMISSION_LATE],
              "Of them, since their own time had passed while they waited.");
    send_stat(session, "requests", load.frames, "Frames under way.");
    send_stat(session, "requests_bytes", load.bytes, "Memory of frames under way.");
    send_stat(session, "wait_frames_ms", engine_wait_ms(engine, ADMISSION_FRAMES),
              "How long the last frame waited for the node to come to it.");
    send_stat(session, "wait_writes_ms", engine_wait_ms(engine, ADMISSION_WRITES),
              "How long the oldest write has waited to be synced.");
    send_stat(session, "wait_reads_ms", engine_wait_ms(engine, ADMISSION_READS),
              "How long the next read from disk has waited for a thread.");
    send_stat(session, "wait_scans_ms", engine_wait_ms(engine, ADMISSION_SCANS),
              "How long the next scan has waited for a thread.");
}

static void
send_gossip_stats(const Node *node, Session *session)
{
    const Gossip *gossip = engine_gossip(node_engine(node));
    GossipCounters counters = gossip_counters(gossip);

    send_stat(session, "gossip_sent", counters.sent, "Datagrams sent.");
    send_stat(session, "gossip_received", counters.received, "Datagrams taken.");
    send_stat(session, "gossip_probes", counters.probes, "Members asked whether they are there.");
    send_stat(session, "gossip_probes_failed", counters.probes_failed, "Of them, in vain.");
    send_stat(session, "gossip_suspicions", counters.suspicions, "Members suspected by this node.");
    send_stat(session, "gossip_refutations", counters.refutations,
              "Times this node was suspected and said that it is alive.");
    send_stat(session, "gossip_deaths", counters.deaths, "Members that this node found dead.");
    send_stat(session, "gossip_pauses", counters.pauses,
              "Times this process stood still for longer than 100 ms.");
    send_stat(session, "gossip_doubt", gossip_doubt(gossip),
              "0 to 8: how far this node doubts its own findings.");
    send_stat(session, "gossip_malformed", counters.malformed, "Datagrams that were none of ours.");
    send_stat(session, "gossip_unknown_key", counters.unknown_key,
              "Datagrams under a cluster key that this node does not have.");
    send_stat(session, "gossip_forged", counters.forged,
              "Datagrams that were not sealed with the key they name.");
    send_stat(session, "gossip_other_cluster", counters.other_cluster,
              "Datagrams of another cluster with the same cluster key.");
    send_stat(session, "gossip_misdirected", counters.misdirected,
              "Datagrams meant for another member.");
    send_stat(session, "gossip_strangers", counters.strangers,
              "Datagrams of nodes that are no members here.");
    send_stat(session, "gossip_replayed", counters.replayed, "Datagrams that had come before.");
    send_stat(session, "gossip_unproven", counters.unproven,
              "Datagrams of a run of their sender that was not known to be the present one.");
    send_stat(session, "gossip_twins", counters.twins,
              "Datagrams of a second process with the id of a member, or old ones.");
}

static void
send_storage_stats(const Node *node, Session *session)
{
    StorageCounters counters = node_storage_counters(node);

    send_stat(session, "storage_applies", counters.applies, "Objects written.");
    send_stat(session, "storage_syncs", counters.syncs, "Times the log was synced.");
    send_stat(session, "storage_reads", counters.reads, "Objects read.");
    send_stat(session, "storage_cold_reads", counters.cold_reads, "Of them, not in memory.");
    send_stat(session, "storage_cache_hits", counters.cache_hits,
              "Writes and reads that found their object among the cached records.");
    send_stat(session, "storage_cache_bytes", counters.cache_bytes, "Memory of cached records.");
    send_stat(session, "storage_scans", counters.scans, "Pages read.");
    send_stat(session, "storage_corrupt", counters.corrupt, "Objects that could not be read.");
    send_stat(session, "storage_keys", counters.keys_estimate, "Keys stored, an estimate.");
    send_stat(session, "storage_disk_bytes", counters.disk_bytes, "Space on disk.");
    send_stat(session, "storage_failed", *node_storage_failure(node) != '\0',
              "1 when a sync has failed: this node takes no writes.");
    send_stat(session, "storage_refilling", engine_is_refilling(node_engine(node)),
              "1 while a new or older disk is filled: this node answers no reads.");
}

static void
send_refusal_stats(const ServerStats *stats, Session *session)
{
    uint64_t full = 0;

    for (int role = 0; role < USER_ROLES; role++)
        full += stats->refused_role[role];
    send_stat(session, "connections_refused",
              full + stats->refused_unauthenticated + stats->refused_address + stats->refused_late,
              "Connections and logins not let in, wrong passwords not counted.");
    send_stat(session, "connections_refused_full", full,
              "Of them, since the sessions of their role were all in use (53300).");
    send_stat(session, "connections_refused_unauthenticated", stats->refused_unauthenticated,
              "Of them, cut before login beyond max_unauthenticated.");
    send_stat(session, "connections_refused_address", stats->refused_address,
              "Of them, cut before login beyond max_unauthenticated_per_address.");
    send_stat(session, "connections_refused_late", stats->refused_late,
              "Of them, cut since they had not logged in within auth_timeout_ms.");
    send_stat(session, "sessions_cut_slow", stats->cut_slow,
              "Sessions cut since their clients did not read their answers.");
    send_stat(session, "unsent_bytes", stats->unsent_bytes, "Answers that wait to be read.");
}

static void
send_server_stats(const Server *server, Session *session)
{
    ServerStats stats = server_stats(server);

    send_stat(session, "sessions", stats.sessions, "Sessions that are logged in, peers included.");
    send_stat(session, "sessions_unauthenticated", stats.unauthenticated,
              "Connections that are not logged in yet.");
    send_stat(session, "connections_accepted", stats.accepted, "Since the start.");
    send_stat(session, "logins_failed", stats.logins_failed,
              "Wrong passwords, malformed logins, timeouts.");
    send_refusal_stats(&stats, session);
    send_stat(session, "received_bytes", stats.received_bytes, "From clients and peers.");
    send_stat(session, "sent_bytes", stats.sent_bytes, "To clients and peers.");
    send_stat(session, "received_frames", stats.received_frames, "On streams.");
    send_stat(session, "sent_frames", stats.sent_frames, "On streams.");
    send_stat(session, "console_queries", stats.queries, "Statements of the console.");
}

void
console_run_stats(Console *console, Session *session, const ConsoleCommand *command,
                  const ConsoleWords *words)
{
    const ConsoleHost *host = console_host(console);

    session_columns(session, command->columns, command->column_count);
    if (host->node != NULL)
    {
        send_node_stats(host->node, session);
        send_request_stats(host->node, session);
        send_load_stats(host->node, session);
        send_gossip_stats(host->node, session);
        send_storage_stats(host->node, session);
    }
    send_server_stats(session_server(session), session);
    session_complete(session, command->tag);
}

/* ---- GET ---- */

typedef struct Get
{
    ConsoleWait wait; /* first, so that one is the other */
    Node *node;
    Session *session;
    const ConsoleCommand *command;
    uint64_t question;
    bool is_asking; /* node_ask has not returned yet */
    bool is_over;
} Get;

static void
send_sibling(Session *session, uint32_t number, const Sibling *sibling, Slice context)
{
    ConsoleRow row = {.count = 0};
    Buffer texts[4];

    for (size_t i = 0; i < 4; i++)
        buffer_init(&texts[i], &MEMORY_HEAP);
    console_value_time(&texts[0], sibling->written_at_ms);
    if (!sibling->tombstone)
        console_value_json(&texts[1], sibling->value);
    for (uint32_t i = 0; i < sibling->dot_count; i++)
    {
        buffer_put(&texts[2], " ", i > 0);
        console_value_dot(&texts[2], &sibling->dots[i]);
    }
    console_value_hex(&texts[3], context);
    for (size_t i = 0; i < 4; i++)
        buffer_put_u8(&texts[i], '\0');
    console_row_int(&row, number);
    console_row_bool(&row, sibling->tombstone);
    console_row_text(&row, (char *)texts[0].data);
    console_row_text(&row, sibling->tombstone ? NULL : (char *)texts[1].data);
    console_row_text(&row, (char *)texts[2].data);
    console_row_text(&row, context.length == 0 ? NULL : (char *)texts[3].data);
    console_row_send(&row, session);
    for (size_t i = 0; i < 4; i++)
        buffer_free(&texts[i]);
}

static void
send_status(Session *session, StatusCode status, Slice message)
{
    char text[256];

    if (message.length > 0)
        snprintf(text, sizeof(text), "%.*s", (int)message.length, (const char *)message.data);
    else
        snprintf(text, sizeof(text), "%s", status_text(status));
    session_error(session, status_sqlstate(status), text, NULL,
                  status == STATUS_NOT_OWNER ? "SHOW NODES lists the other nodes; ask one of them."
                                             : NULL);
}

static void
send_object(const Get *get, const ReadItem *item, Arena *arena)
{
    Object object = {.sibling_count = 0};
    char tag[32];

    if (item->status != STATUS_OK)
    {
        send_status(get->session, item->status, SLICE_EMPTY);
        return;
    }
    if (item->object.length > 0 && !object_decode(item->object, arena, &object))
    {
        send_status(get->session, STATUS_CORRUPT, SLICE_EMPTY);
        return;
    }
    session_columns(get->session, get->command->columns, get->command->column_count);
    for (uint32_t i = 0; i < object.sibling_count; i++)
        send_sibling(get->session, i + 1, &object.siblings[i], item->context);
    snprintf(tag, sizeof(tag), "%s %" PRIu32, get->command->tag, object.sibling_count);
    session_complete(get->session, tag);
}

static void
send_reply(const Get *get, const Frame *frame)
{
    Arena arena;
    ReadReply reply;
    ErrorFrame error;

    arena_init(&arena, &MEMORY_HEAP);
    if (frame->type == FRAME_READ_REPLY && read_reply_decode(frame, &arena, &reply) &&
        reply.item_count == 1)
        send_object(get, &reply.items[0], &arena);
    else if (frame->type == FRAME_ERROR && error_decode(frame, &error))
        send_status(get->session, error.status, error.message);
    else
        send_status(get->session, STATUS_BAD_FRAME, SLICE_EMPTY);
    arena_free(&arena);
}

/* The question is answered, or nobody wants the answer any more. */
static void
end_get(Get *get)
{
    console_wait_end(&get->wait);
    get->is_over = true;
    if (!get->is_asking)
        free(get);
}

static void
on_answer(void *ctx, const Frame *frame)
{
    Get *get = ctx;

    send_reply(get, frame);
    end_get(get);
}

static void
drop_get(ConsoleWait *wait)
{
    Get *get = (Get *)wait;

    node_forget(get->node, get->question);
    end_get(get);
}

static void
ask(Console *console, Session *session, const ConsoleCommand *command, Slice frame)
{
    Get *get = calloc(1, sizeof(Get));

    if (get == NULL)
        abort();
    get->node = console_host(console)->node;
    get->session = session;
    get->command = command;
    get->is_asking = true;
    console_wait_begin(console, session, &get->wait, drop_get);
    get->question = node_ask(get->node, frame, on_answer, get);
    get->is_asking = false;
    if (get->is_over)
        free(get);
}

static void
refuse_key_count(Session *session, const Bucket *bucket)
{
    char message[256];
    char detail[512];
    size_t length = 0;

    detail[0] = '\0';
    for (uint32_t i = 0; i < bucket->key_count && length + 1 < sizeof(detail); i++)
        length += (size_t)snprintf(detail + length, sizeof(detail) - length, "%s%s %s",
                                   i > 0 ? ", " : "It is keyed by ", bucket->key_names[i],
                                   keycodec_type_name(bucket->key_types[i]));
    snprintf(detail + strlen(detail), sizeof(detail) - strlen(detail), ".");
    snprintf(message, sizeof(message), "bucket \"%.128s\" needs %u key value%s", bucket->name,
             bucket->key_count, bucket->key_count > 1 ? "s" : "");
    session_error(session, "42601", message, detail, NULL);
}

/* Appends the key whose columns are the words from first on; false after session_error. */
static bool
encode_key(Session *session, const Bucket *bucket, const ConsoleWords *words, size_t first,
           Buffer *key)
{
    Arena arena;
    bool is_valid = true;

    arena_init(&arena, &MEMORY_HEAP);
    for (uint32_t i = 0; i < bucket->key_count && is_valid; i++)
    {
        const char *text = words->text[first + i];
        KeyValue value;
        char message[256];

        is_valid = keycodec_parse(bucket->key_types[i], text, &arena, &value);
        if (is_valid)
            keycodec_put(key, &value);
        else
        {
            snprintf(message, sizeof(message), "\"%.128s\" is no %s", text,
                     keycodec_type_name(bucket->key_types[i]));
            session_error(session, "22P02", message, NULL, NULL);
        }
    }
    arena_free(&arena);
    return is_valid;
}

static void
ask_for_key(Console *console, Session *session, const ConsoleCommand *command, const Bucket *bucket,
            Slice key, bool is_local)
{
    const ConsoleHost *host = console_host(console);
    ReadFrame read = {.epoch = engine_topology(node_engine(host->node))->epoch,
                      .bucket_id = bucket->id,
                      .mode = is_local ? READ_FULL : READ_COORDINATED,
                      .r = is_local ? 1 : bucket->n / 2 + 1,
                      .timeout_ms = (uint32_t)host->config->request_timeout_ms,
                      .seal = true,
                      .keys = &key,
                      .key_count = 1};
    Buffer frame;

    buffer_init(&frame, &MEMORY_HEAP);
    read_encode(&frame, 0, &read);
    ask(console, session, command, buffer_slice(&frame));
    buffer_free(&frame);
}

static void
get_from_bucket(Console *console, Session *session, const ConsoleCommand *command,
                const ConsoleWords *words, const Bucket *bucket)
{
    size_t first = 2;
    size_t given = words->count - first;
    bool is_local = given == (size_t)bucket->key_count + 1 &&
                    console_is_keyword(words, words->count - 1, "LOCAL");
    Buffer key;

    if (given - is_local != bucket->key_count)
    {
        refuse_key_count(session, bucket);
        return;
    }
    buffer_init(&key, &MEMORY_HEAP);
    if (encode_key(session, bucket, words, first, &key))
        ask_for_key(console, session, command, bucket, buffer_slice(&key), is_local);
    buffer_free(&key);
}

void
console_run_get(Console *console, Session *session, const ConsoleCommand *command,
                const ConsoleWords *words)
{
    const Node *node = console_host(console)->node;
    const Topology *topology = node == NULL ? NULL : engine_topology(node_engine(node));
    const Bucket *bucket;
    char message[320];

    if (topology == NULL || topology->epoch == 0)
    {
        snprintf(message, sizeof(message), "this node is in no cluster yet: %s",
                 node == NULL ? "it has no storage" : engine_waiting_for(node_engine(node)));
        session_error(session, status_sqlstate(STATUS_NOT_FORMED), message, NULL, NULL);
        return;
    }
    bucket = topology_bucket_by_name(topology, words->text[1]);
    if (bucket == NULL)
    {
        snprintf(message, sizeof(message), "bucket \"%.200s\" does not exist", words->text[1]);
        session_error(session, "42704", message, NULL, "The first write to a bucket creates it.");
        return;
    }
    get_from_bucket(console, session, command, words, bucket);
}
