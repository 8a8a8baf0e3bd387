/*
 * SHOW STATS: what engine, storage and server have counted, each with its words. test/lint holds
 * names and words against docs/node-reference.md.
 */
#include "node/console/console_commands.h"

#include "node/host/node.h"

const Column console_stats_columns[] = {
    {"name",        COLUMN_TEXT},
    {"value",       COLUMN_INT8},
    {"description", COLUMN_TEXT}
};

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
    send_stat(session, "uptime_ms", node_uptime_ms(node),
              "Milliseconds since this node was started.");
    send_stat(session, "resident_bytes", node_resident_bytes(), "Memory of the process.");
    send_stat(session, "epoch", topology->epoch,
              "Number of the topology in force; 0 while the node is in no cluster.");
    send_stat(session, "members", topology->present, "Nodes of the cluster.");
    send_stat(session, "members_up", up,
              "Nodes of the cluster that this node can reach, itself included.");
}

static void
send_request_stats(const Node *node, Session *session)
{
    EngineCounters counters = engine_counters(node_engine(node));
    const HintTotals *hints = engine_hints(node_engine(node));

    send_stat(session, "writes", counters.writes, "Keys whose write this node coordinated.");
    send_stat(session, "writes_refused", counters.writes_refused,
              "Writes that were refused and written nowhere.");
    send_stat(session, "writes_unknown", counters.writes_unknown,
              "Writes that some replica may keep although their quorum was not confirmed.");
    send_stat(session, "writes_retried", counters.writes_retried,
              "Writes that their client may have sent to another node before.");
    send_stat(session, "siblings_warned", counters.siblings_warned,
              "Writes that left more siblings than siblings_warn.");
    send_stat(
        session, "siblings_refused", counters.siblings_refused,
        "Writes that were refused because they would have left more siblings than siblings_max.");
    send_stat(session, "reads", counters.reads, "Keys read here, in full or as a digest.");
    send_stat(session, "reads_coordinated", counters.reads_coordinated,
              "Keys whose quorum read this node coordinated because replicas differed.");
    send_stat(session, "repairs", counters.repairs,
              "Owners with old data that such a coordinated read corrected.");
    send_stat(session, "replicates", counters.replicates,
              "Keys taken from the coordinators of other nodes.");
    send_stat(session, "stand_ins", counters.stand_ins,
              "Keys that this node keeps, with a hint, for an owner that was down.");
    send_stat(session, "hints", hints_count(hints),
              "Keys that this node keeps for other nodes now.");
    send_stat(session, "hints_bytes", hints->bytes,
              "The size of those keys when they were written.");
    send_stat(session, "hints_handed_off", counters.hints_handed,
              "Hints that were brought to their nodes.");
    send_stat(session, "hints_refused", counters.hints_refused,
              "Keys that were not kept for others because hints_max_mb was reached.");
    send_stat(session, "scans", counters.scans, "Pages of partitions that were scanned.");
    send_stat(session, "scan_digests_by_trees", counters.scan_digests_by_trees,
              "Pages whose digest a tree knew, so that no row was read.");
    send_stat(session, "scan_digests_by_rows", counters.scan_digests_by_rows,
              "Pages whose rows were read for their digest, because no tree could tell it.");
    send_stat(session, "frames_refused", counters.frames_refused,
              "Frames that were answered by an error.");
}

static void
send_repair_stats(const Node *node, Session *session)
{
    EngineCounters all = engine_counters(node_engine(node));
    AntientropyCounters counters = all.antientropy;

    send_stat(session, "compares", counters.compares,
              "Times that one partition of one bucket was compared with another owner.");
    send_stat(session, "compares_differences", counters.differences,
              "Keys that differed at two looks in a row.");
    send_stat(session, "compares_mended", counters.mended_here,
              "Newer objects that this node took from other owners in compares.");
    send_stat(session, "compares_mended_there", counters.mended_there,
              "Newer objects that this node gave to other owners in compares.");
    send_stat(session, "compares_sent_bytes", counters.bytes_sent,
              "Bytes sent in compares, whichever side had asked for them.");
    send_stat(session, "compares_received_bytes", counters.bytes_received,
              "Bytes received in compares.");
    send_stat(session, "ranges_withheld", all.ranges_withheld,
              "Ranges of keys with unreadable records: this node answers no read of them until "
              "every other owner was compared with.");
    send_stat(session, "records_forgotten", all.records_forgotten,
              "Unreadable records that were removed because no other owner had them.");
    send_stat(session, "records_purged", all.records_purged,
              "Records of dropped buckets that were removed.");
    send_stat(session, "refill_planned", all.refill_planned,
              "Partitions, once for each of their other owners, to be compared with while the disk "
              "is filled; 0 when it is not.");
    send_stat(session, "refill_finished", all.refill_finished,
              "How many of refill_planned are done.");
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
              "Clients' frames that were refused because the node had too much to do (53000).");
    send_stat(session, "frames_shed_behind", shed[ADMISSION_BEHIND],
              "Frames refused because requests waited for longer than max_delay_ms.");
    send_stat(session, "frames_shed_full", shed[ADMISSION_FULL],
              "Frames refused because max_requests or max_requests_mb was reached.");
    send_stat(session, "frames_shed_late", shed[ADMISSION_LATE],
              "Frames refused because their own time had passed while they waited.");
    send_stat(session, "requests", load.frames, "Frames that are under way now.");
    send_stat(session, "requests_bytes", load.bytes, "Memory of the frames under way.");
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
    send_stat(session, "gossip_probes", counters.probes,
              "Times that this node asked a member whether it is alive.");
    send_stat(session, "gossip_probes_failed", counters.probes_failed,
              "Probes that the member did not answer.");
    send_stat(session, "gossip_suspicions", counters.suspicions,
              "Times that this node suspected a member.");
    send_stat(session, "gossip_refutations", counters.refutations,
              "Times that this node was suspected and said that it is alive.");
    send_stat(session, "gossip_deaths", counters.deaths,
              "Times that this node found a member dead.");
    send_stat(session, "gossip_pauses", counters.pauses,
              "Times that this process stood still for longer than 100 ms.");
    send_stat(session, "gossip_doubt", gossip_doubt(gossip),
              "How far this node doubts its own findings, from 0 to 8: it gives others more time "
              "to answer, since it was slow itself.");
    send_stat(session, "gossip_malformed", counters.malformed,
              "Datagrams that no node of dynamo_fdw sends.");
    send_stat(session, "gossip_unknown_key", counters.unknown_key,
              "Datagrams under a cluster key that this node does not have.");
    send_stat(session, "gossip_forged", counters.forged,
              "Datagrams that were not sealed with the key they name.");
    send_stat(session, "gossip_other_cluster", counters.other_cluster,
              "Datagrams of another cluster with the same cluster key.");
    send_stat(session, "gossip_misdirected", counters.misdirected,
              "Datagrams that were meant for another member.");
    send_stat(session, "gossip_strangers", counters.strangers,
              "Datagrams of nodes that are no members here.");
    send_stat(session, "gossip_replayed", counters.replayed, "Datagrams that had arrived before.");
    send_stat(session, "gossip_unproven", counters.unproven,
              "Datagrams from a start of their sender that this node has not verified yet.");
    send_stat(
        session, "gossip_twins", counters.twins,
        "Datagrams of a second process with the id of a member, or old datagrams sent again.");
}

static void
send_storage_stats(const Node *node, Session *session)
{
    StorageCounters counters = node_storage_counters(node);

    send_stat(session, "storage_applies", counters.applies, "Objects written.");
    send_stat(session, "storage_syncs", counters.syncs, "Times that the log was synced.");
    send_stat(session, "storage_reads", counters.reads, "Objects read.");
    send_stat(session, "storage_cold_reads", counters.cold_reads,
              "Objects that were read from disk because they were not in memory.");
    send_stat(session, "storage_cache_hits", counters.cache_hits,
              "Writes and reads that found their object among the cached records.");
    send_stat(session, "storage_cache_bytes", counters.cache_bytes, "Memory of cached records.");
    send_stat(session, "storage_scans", counters.scans, "Pages read.");
    send_stat(session, "storage_corrupt", counters.corrupt, "Objects that could not be read.");
    send_stat(session, "storage_damaged_files", counters.damaged_files,
              "Files found damaged; the next start puts them aside.");
    send_stat(session, "storage_keys", counters.keys_estimate, "Keys stored, tombstones included.");
    send_stat(session, "storage_disk_bytes", counters.disk_bytes, "Space on disk.");
    send_stat(session, "trees", counters.trees.trees,
              "Merkle trees kept, one for each partition of a bucket that has keys here.");
    send_stat(session, "tree_leaves", counters.trees.leaves, "Leaves of these trees.");
    send_stat(session, "tree_bytes", counters.trees.bytes, "Memory of these trees.");
    send_stat(session, "trees_rebuilt", counters.trees.rebuilt,
              "Trees that were built anew since the start, to grow, to shrink or out of doubt.");
    send_stat(session, "trees_in_doubt", counters.trees.doubted,
              "Trees that are being built anew, or wait for it.");
    send_stat(session, "storage_failed", *node_storage_failure(node) != '\0',
              "1 while this node takes no writes, because its disk is full or failed.");
    send_stat(session, "storage_refilling", engine_is_refilling(node_engine(node)),
              "1 while a new or an older disk is being filled: this node answers no reads.");
}

static void
send_refusal_stats(const ServerStats *stats, Session *session)
{
    uint64_t full = 0;

    for (int role = 0; role < USER_ROLES; role++)
        full += stats->refused_role[role];
    send_stat(session, "connections_refused",
              full + stats->refused_unauthenticated + stats->refused_address + stats->refused_late,
              "Connections and logins that were not let in, wrong passwords not counted.");
    send_stat(session, "connections_refused_full", full,
              "Logins refused because the sessions of their role were all in use (53300).");
    send_stat(session, "connections_refused_unauthenticated", stats->refused_unauthenticated,
              "Connections cut before login beyond max_unauthenticated.");
    send_stat(session, "connections_refused_address", stats->refused_address,
              "Connections cut before login beyond max_unauthenticated_per_address.");
    send_stat(session, "connections_refused_late", stats->refused_late,
              "Connections cut because they had not logged in within auth_timeout_ms.");
    send_stat(session, "frames_altered", stats->altered_frames,
              "Frames in clear that were altered on their way; their sessions are cut.");
    send_stat(session, "sessions_cut_slow", stats->cut_slow,
              "Sessions cut because their clients did not read their answers.");
    send_stat(session, "unsent_bytes", stats->unsent_bytes,
              "Memory of answers that wait to be read.");
}

static void
send_server_stats(const Server *server, Session *session)
{
    ServerStats stats = server_stats(server);

    send_stat(session, "sessions", stats.sessions,
              "Sessions that are logged in, those of other nodes included.");
    send_stat(session, "sessions_unauthenticated", stats.unauthenticated,
              "Connections that have not logged in yet.");
    send_stat(session, "connections_accepted", stats.accepted,
              "Connections accepted since the start.");
    send_stat(session, "logins_failed", stats.logins_failed,
              "Wrong passwords, malformed logins and timeouts.");
    send_refusal_stats(&stats, session);
    send_stat(session, "received_bytes", stats.received_bytes,
              "Bytes from clients and other nodes.");
    send_stat(session, "sent_bytes", stats.sent_bytes, "Bytes to clients and other nodes.");
    send_stat(session, "received_frames", stats.received_frames, "Frames received on streams.");
    send_stat(session, "sent_frames", stats.sent_frames, "Frames sent on streams.");
    send_stat(session, "console_queries", stats.queries, "Statements of the console.");
    send_stat(session, "longest_turn_us", stats.longest_turn_us,
              "The longest time that the node worked before it looked for network events again.");
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
        send_repair_stats(host->node, session);
        send_load_stats(host->node, session);
        send_gossip_stats(host->node, session);
        send_storage_stats(host->node, session);
    }
    send_server_stats(session_server(session), session);
    session_complete(session, command->tag);
}
