/*
 * SHOW REPAIR, REPAIR, SCRUB and SHOW SCRUB. The engine keeps a row for each partition and other
 * owner; SHOW REPAIR sums those of a node and bucket.
 */
#include "node/console/console_commands.h"

#include <stdio.h>
#include <string.h>

#include "node/console/console_ask.h"
#include "node/host/node.h"

const Column console_repairs_columns[] = {
    {"node",             COLUMN_TEXT},
    {"bucket",           COLUMN_TEXT},
    {"partitions",       COLUMN_INT8},
    {"equal",            COLUMN_INT8},
    {"differing",        COLUMN_INT8},
    {"not_compared",     COLUMN_INT8},
    {"oldest_equal",     COLUMN_TEXT},
    {"differences",      COLUMN_INT8},
    {"mended_here",      COLUMN_INT8},
    {"mended_there",     COLUMN_INT8},
    {"bytes_sent",       COLUMN_INT8},
    {"bytes_received",   COLUMN_INT8},
    {"waiting",          COLUMN_INT8},
    {"under_way",        COLUMN_INT8},
    {"progress_percent", COLUMN_INT8},
    {"time_left_ms",     COLUMN_INT8},
    {"error",            COLUMN_TEXT},
    {"member_id",        COLUMN_TEXT}
};
const Column console_repair_bucket_columns[] = {
    {"node",             COLUMN_TEXT},
    {"bucket",           COLUMN_TEXT},
    {"partition",        COLUMN_INT8},
    {"state",            COLUMN_TEXT},
    {"compared",         COLUMN_TEXT},
    {"equal",            COLUMN_TEXT},
    {"differences",      COLUMN_INT8},
    {"mended_here",      COLUMN_INT8},
    {"mended_there",     COLUMN_INT8},
    {"bytes_sent",       COLUMN_INT8},
    {"bytes_received",   COLUMN_INT8},
    {"progress_percent", COLUMN_INT8},
    {"time_left_ms",     COLUMN_INT8},
    {"error",            COLUMN_TEXT},
    {"member_id",        COLUMN_TEXT}
};
const Column console_repair_columns[] = {
    {"queued", COLUMN_INT8}
};

/* A sum over partitions, or one of them. */
typedef struct ConsoleRepairTotal
{
    RepairStatus sum; /* failure: the last one; time_left_ms: the longest */
    uint32_t partitions;
    uint32_t equal;
    uint32_t differing;
    uint32_t not_compared;
    uint32_t waiting;
    uint32_t under_way;
    uint64_t oldest_equal_ms; /* 0: of some partition it is not known */
} ConsoleRepairTotal;

/* ---- values of both commands ---- */

static void
put_names(ConsoleRow *row, const Topology *topology, const RepairStatus *status)
{
    const Bucket *bucket = topology_bucket_by_id(topology, status->bucket_id);

    console_row_text(row, console_member_name(topology, &status->peer));
    console_row_text(row, bucket != NULL ? bucket->name : NULL);
}

static void
put_repair_counts(ConsoleRow *row, const RepairStatus *status)
{
    console_row_int(row, (int64_t)status->differences);
    console_row_int(row, (int64_t)status->mended_here);
    console_row_int(row, (int64_t)status->mended_there);
    console_row_int(row, (int64_t)status->bytes_sent);
    console_row_int(row, (int64_t)status->bytes_received);
}

static void
put_progress(ConsoleRow *row, const RepairStatus *status, bool is_under_way)
{
    if (is_under_way && status->parts_total > 0)
        console_row_int(row, (int64_t)((uint64_t)status->parts_done * 100 / status->parts_total));
    else
        console_row_text(row, NULL);
    if (is_under_way && status->parts_done > 0)
        console_row_int(row, (int64_t)status->time_left_ms);
    else
        console_row_text(row, NULL);
    console_row_text(row, status->failure != STATUS_OK ? status_text(status->failure) : "");
    console_row_hex(row, status->peer.bytes, sizeof(MemberId));
}

/* ---- SHOW REPAIR ---- */

static void
send_total(Session *session, const Topology *topology, const ConsoleRepairTotal *total)
{
    ConsoleRow row = {.count = 0};

    put_names(&row, topology, &total->sum);
    console_row_int(&row, total->partitions);
    console_row_int(&row, total->equal);
    console_row_int(&row, total->differing);
    console_row_int(&row, total->not_compared);
    console_row_time(&row, total->oldest_equal_ms);
    put_repair_counts(&row, &total->sum);
    console_row_int(&row, total->waiting);
    console_row_int(&row, total->under_way);
    put_progress(&row, &total->sum, total->under_way > 0);
    console_row_send(&row, session);
}

/* A compare that found no difference makes compared and equal the same time; a later compare that
 * found some leaves equal behind. */
static void
add_state(ConsoleRepairTotal *total, const RepairStatus *status)
{
    bool is_first = total->partitions++ == 0;

    if (status->compared_ms > status->equal_ms)
        total->differing++;
    else if (status->equal_ms > 0)
        total->equal++;
    else
        total->not_compared++;
    total->waiting += status->state == REPAIR_WAITING;
    total->under_way += status->state > REPAIR_WAITING;
    if (is_first || status->equal_ms < total->oldest_equal_ms)
        total->oldest_equal_ms = status->equal_ms;
}

static void
add_status(ConsoleRepairTotal *total, const RepairStatus *status)
{
    RepairStatus *sum = &total->sum;

    add_state(total, status);
    sum->peer = status->peer;
    sum->bucket_id = status->bucket_id;
    sum->differences += status->differences;
    sum->mended_here += status->mended_here;
    sum->mended_there += status->mended_there;
    sum->bytes_sent += status->bytes_sent;
    sum->bytes_received += status->bytes_received;
    if (status->state > REPAIR_WAITING)
    {
        sum->parts_done += status->parts_done;
        sum->parts_total += status->parts_total;
    }
    if (status->time_left_ms > sum->time_left_ms)
        sum->time_left_ms = status->time_left_ms;
    if (status->failure != STATUS_OK)
        sum->failure = status->failure;
}

static bool
is_of_total(const ConsoleRepairTotal *total, const RepairStatus *status)
{
    return total->sum.bucket_id == status->bucket_id &&
           memcmp(&total->sum.peer, &status->peer, sizeof(MemberId)) == 0;
}

/* The engine's rows are in the order of peer and bucket. */
static void
send_totals(Session *session, const Engine *engine)
{
    const Topology *topology = engine_topology(engine);
    RepairCursor cursor = engine_repair_seek(engine, 0);
    ConsoleRepairTotal total = {.partitions = 0};
    RepairStatus status;

    while (engine_repair_next(engine, &cursor, &status))
    {
        if (total.partitions > 0 && !is_of_total(&total, &status))
        {
            send_total(session, topology, &total);
            total = (ConsoleRepairTotal){.partitions = 0};
        }
        add_status(&total, &status);
    }
    if (total.partitions > 0)
        send_total(session, topology, &total);
}

void
console_run_repairs(Console *console, Session *session, const ConsoleCommand *command,
                    const ConsoleWords *words)
{
    session_columns(session, command->columns, command->column_count);
    if (console_topology_or_notice(console, session) != NULL)
        send_totals(session, node_engine(console_host(console)->node));
    session_complete(session, command->tag);
}

/* ---- SHOW REPAIR bucket ---- */

static void
send_repair_partition(Session *session, const Topology *topology, const RepairStatus *status)
{
    ConsoleRow row = {.count = 0};

    put_names(&row, topology, status);
    console_row_int(&row, status->partition);
    console_row_text(&row, repair_state_name(status->state));
    console_row_time(&row, status->compared_ms);
    console_row_time(&row, status->equal_ms);
    put_repair_counts(&row, status);
    put_progress(&row, status, status->state > REPAIR_WAITING);
    console_row_send(&row, session);
}

/* The member of that name, or NULL after an error. */
static const Member *
member_or_error(const Topology *topology, Session *session, const char *name)
{
    uint32_t member = topology_member_by_name(topology, name);
    char message[320];

    if (member != TOPOLOGY_NO_MEMBER)
        return &topology->members[member];
    snprintf(message, sizeof(message), "node \"%.200s\" does not exist", name);
    session_error(session, "42704", message, NULL, "SHOW NODES lists the nodes.");
    return NULL;
}

static void
send_repair_partitions(Session *session, const Engine *engine, const Bucket *bucket,
                       const Member *peer)
{
    const Topology *topology = engine_topology(engine);
    RepairStatus status;

    for (uint32_t member = 0; member < topology->member_count; member++)
    {
        RepairCursor cursor = {.member = member, .bucket = (uint32_t)(bucket - topology->buckets)};

        if (peer != NULL && peer != &topology->members[member])
            continue;
        while (engine_repair_next(engine, &cursor, &status) && cursor.member == member &&
               status.bucket_id == bucket->id)
            send_repair_partition(session, topology, &status);
    }
}

void
console_run_repair_bucket(Console *console, Session *session, const ConsoleCommand *command,
                          const ConsoleWords *words)
{
    const Topology *topology = console_topology_or_error(console, session);
    const Bucket *bucket = NULL;
    const Member *peer = NULL;

    if (topology != NULL)
        bucket = console_bucket_or_error(topology, session, words->text[2]);
    if (bucket == NULL)
        return;
    if (words->count > 3 && (peer = member_or_error(topology, session, words->text[3])) == NULL)
        return;
    session_columns(session, command->columns, command->column_count);
    send_repair_partitions(session, node_engine(console_host(console)->node), bucket, peer);
    session_complete(session, command->tag);
}

/* ---- REPAIR ---- */

/* REPAIR takes one word as a bucket; a node whose name no bucket has is meant otherwise. */
static bool
is_member_alone(const Topology *topology, const char *name)
{
    return topology_bucket_by_name(topology, name) == NULL &&
           topology_member_by_name(topology, name) != TOPOLOGY_NO_MEMBER;
}

/* Sets repair to the bucket and node that the words name. False after an error. */
static bool
read_words(const Topology *topology, Session *session, const ConsoleWords *words,
           RepairFrame *repair)
{
    size_t next = 1;

    *repair = (RepairFrame){.epoch = topology->epoch};
    if (words->count == 3 || (words->count == 2 && !is_member_alone(topology, words->text[1])))
    {
        const Bucket *bucket = console_bucket_or_error(topology, session, words->text[next++]);

        if (bucket == NULL)
            return false;
        repair->bucket_id = bucket->id;
    }
    if (next < words->count)
    {
        const Member *member = member_or_error(topology, session, words->text[next]);

        if (member == NULL)
            return false;
        repair->is_of_member = true;
        repair->member = member->id;
    }
    return true;
}

static bool
answer_repair(Console *console, Session *session, const ConsoleCommand *command, const Frame *frame)
{
    ConsoleRow row = {.count = 0};
    RepairReply reply;

    if (frame->type != FRAME_REPAIR_REPLY || !repair_reply_decode(frame, &reply))
        return false;
    session_columns(session, command->columns, command->column_count);
    console_row_int(&row, reply.queued);
    console_row_send(&row, session);
    session_complete(session, command->tag);
    return true;
}

void
console_run_repair(Console *console, Session *session, const ConsoleCommand *command,
                   const ConsoleWords *words)
{
    const Topology *topology = console_topology_or_error(console, session);
    RepairFrame repair;
    Buffer frame;

    if (topology == NULL || !read_words(topology, session, words, &repair))
        return;
    log_info(console_host(console)->log, "REPAIR was asked for by user \"%s\" from %s",
             session_user(session), session_peer_address(session));
    buffer_init(&frame, &MEMORY_HEAP);
    repair_encode(&frame, 0, &repair);
    console_ask(console, session, command, buffer_slice(&frame), answer_repair);
    buffer_free(&frame);
}

/* ---- SCRUB, SHOW SCRUB ---- */

const Column console_scrub_columns[] = {
    {"state",            COLUMN_TEXT},
    {"files",            COLUMN_INT8},
    {"files_total",      COLUMN_INT8},
    {"blocks_damaged",   COLUMN_INT8},
    {"files_damaged",    COLUMN_INT8},
    {"partitions",       COLUMN_INT8},
    {"partitions_total", COLUMN_INT8},
    {"rows",             COLUMN_INT8},
    {"bytes",            COLUMN_INT8},
    {"unreadable",       COLUMN_INT8},
    {"trees_wrong",      COLUMN_INT8},
    {"started",          COLUMN_TEXT},
    {"ended",            COLUMN_TEXT}
};

void
console_run_show_scrub(Console *console, Session *session, const ConsoleCommand *command,
                       const ConsoleWords *words)
{
    const Node *node = console_host(console)->node;
    ConsoleRow row = {.count = 0};

    session_columns(session, command->columns, command->column_count);
    if (console_topology_or_notice(console, session) != NULL)
    {
        ScrubStatus status = engine_scrub_status(node_engine(node));

        console_row_text(&row, scrub_state_name(status.state));
        console_row_int(&row, (int64_t)status.files);
        console_row_int(&row, (int64_t)status.files_total);
        console_row_int(&row, (int64_t)status.blocks_damaged);
        console_row_int(&row, (int64_t)node_storage_counters(node).damaged_files);
        console_row_int(&row, (int64_t)status.partitions);
        console_row_int(&row, (int64_t)status.partitions_total);
        console_row_int(&row, (int64_t)status.rows);
        console_row_int(&row, (int64_t)status.bytes);
        console_row_int(&row, (int64_t)status.places_unreadable);
        console_row_int(&row, (int64_t)status.trees_wrong);
        console_row_time(&row, status.started_ms);
        console_row_time(&row, status.ended_ms);
        console_row_send(&row, session);
    }
    session_complete(session, command->tag);
}

static bool
is_scrub_under_way(const Node *node)
{
    ScrubState state = engine_scrub_status(node_engine(node)).state;

    return state == SCRUB_FILES || state == SCRUB_ROWS;
}

void
console_run_scrub(Console *console, Session *session, const ConsoleCommand *command,
                  const ConsoleWords *words)
{
    Node *node = console_host(console)->node;

    if (console_topology_or_error(console, session) == NULL)
        return;
    if (is_scrub_under_way(node))
    {
        session_error(session, "55000", "a scrub is under way", NULL,
                      "SHOW SCRUB shows how far it is, SCRUB STOP ends it.");
        return;
    }
    node_scrub(node, true);
    session_complete(session, command->tag);
}

void
console_run_scrub_stop(Console *console, Session *session, const ConsoleCommand *command,
                       const ConsoleWords *words)
{
    Node *node = console_host(console)->node;

    if (console_topology_or_error(console, session) == NULL)
        return;
    if (!is_scrub_under_way(node))
    {
        session_error(session, "55000", "no scrub is under way", NULL, NULL);
        return;
    }
    node_scrub(node, false);
    session_complete(session, command->tag);
}
