/*
 * SHOW NODES, SHOW RING, SHOW HINTS and GET. The SHOW commands answer at once from the view of this
 * node, which may be older than that of another one; GET asks the node as a client would.
 */
#include "node/console/console_commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "node/console/console_ask.h"
#include "node/console/console_value.h"
#include "node/host/node.h"
#include "shared/data/object.h"

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
const Column console_get_columns[] = {
    {"sibling",    COLUMN_INT8},
    {"tombstone",  COLUMN_BOOL},
    {"written_at", COLUMN_TEXT},
    {"value",      COLUMN_TEXT},
    {"dots",       COLUMN_TEXT},
    {"context",    COLUMN_TEXT}
};

/* ---- SHOW NODES, SHOW RING ---- */

static uint32_t
claimed_partitions(const Topology *topology, uint32_t member)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < topology->partitions; i++)
        count += topology->claim[i] == member;
    return count;
}

/* A member that joins or leaves is well when it does that. */
static const char *
member_state(const Engine *engine, uint32_t member, DiskState disk, bool is_down)
{
    static const char *const changing[] = {
        [MEMBER_JOINING] = "joining", [MEMBER_LEAVING] = "leaving", [MEMBER_GONE] = "gone"};
    MemberState state = engine_topology(engine)->members[member].state;

    if (state == MEMBER_GONE)
        return changing[state];
    if (is_down)
        return "down";
    if (state == MEMBER_JOINING && disk == DISK_WELL && engine_member_is_ready(engine, member))
        return "ready";
    if (state != MEMBER_ACTIVE && disk == DISK_WELL)
        return changing[state];
    if (disk != DISK_WELL)
        return disk_state_name(disk);
    return engine_member_is_refilling(engine, member) ? "refilling" : "up";
}

static void
send_member(const Node *node, const Topology *topology, uint32_t index, Session *session)
{
    const Engine *engine = node_engine(node);
    const Member *member = &topology->members[index];
    bool is_self = index == engine_self(engine);
    const char *why;
    DiskState disk = engine_member_disk(engine, index, &why);
    const char *error = is_self ? "" : node_member_error(node, index);
    bool is_up = is_self || engine_member_is_up(engine, index);
    bool is_down = !is_up && (disk == DISK_WELL || *error != '\0');
    ConsoleRow row = {.count = 0};

    console_row_text(&row, member->name);
    console_row_text(&row, member->address);
    console_row_int(&row, member->port);
    console_row_text(&row, member->zone);
    console_row_text(&row, member_state(engine, index, disk, is_down));
    console_row_text(&row, gossip_state_name(gossip_state(engine_gossip(engine), index)));
    console_row_bool(&row, is_self);
    console_row_int(&row, claimed_partitions(topology, index));
    console_row_int(&row, (int64_t)topology->epoch);
    console_row_hex(&row, member->id.bytes, sizeof(MemberId));
    console_row_text(&row, *error != '\0' ? error : why);
    console_row_send(&row, session);
}

/* One that JOIN or REPLACE can take in; the address is where it would be. */
static void
send_newcomer(const Newcomer *newcomer, Session *session)
{
    ConsoleRow row = {.count = 0};

    console_row_text(&row, newcomer->name);
    console_row_text(&row, newcomer->address);
    console_row_int(&row, newcomer->port);
    console_row_text(&row, newcomer->zone);
    console_row_text(&row, "new");
    console_row_text(&row, NULL);
    console_row_bool(&row, false);
    console_row_int(&row, 0);
    console_row_text(&row, NULL);
    console_row_hex(&row, newcomer->id.bytes, sizeof(MemberId));
    console_row_text(&row, "");
    console_row_send(&row, session);
}

static void
send_newcomers(const Engine *engine, Session *session)
{
    const Newcomer *newcomer;
    uint32_t index = 0;

    while ((newcomer = engine_next_newcomer(engine, &index)) != NULL)
        send_newcomer(newcomer, session);
}

void
console_run_nodes(Console *console, Session *session, const ConsoleCommand *command,
                  const ConsoleWords *words)
{
    const Topology *topology;

    session_columns(session, command->columns, command->column_count);
    topology = console_topology_or_notice(console, session);
    for (uint32_t i = 0; topology != NULL && i < topology->member_count; i++)
    {
        if (topology_is_present(topology, i))
            send_member(console_host(console)->node, topology, i, session);
    }
    if (topology != NULL)
        send_newcomers(node_engine(console_host(console)->node), session);
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
    topology = console_topology_or_notice(console, session);
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

static void
send_hints(const Engine *engine, const HintTotal *total, Session *session)
{
    HandoffStatus status = handoff_status(engine_handoff(engine), &total->target);
    ConsoleRow row = {.count = 0};

    console_row_text(&row, console_member_name(engine_topology(engine), &total->target));
    console_row_int(&row, (int64_t)total->count);
    console_row_int(&row, (int64_t)total->bytes);
    console_row_time(&row, total->oldest_ms);
    console_row_int(&row, (int64_t)status.handed);
    console_row_int(&row, (int64_t)status.bytes_per_second);
    console_row_text(&row, status.failure != STATUS_OK ? status_text(status.failure) : "");
    console_row_hex(&row, total->target.bytes, sizeof(MemberId));
    console_row_send(&row, session);
}

void
console_run_hints(Console *console, Session *session, const ConsoleCommand *command,
                  const ConsoleWords *words)
{
    session_columns(session, command->columns, command->column_count);
    if (console_topology_or_notice(console, session) != NULL)
    {
        const Engine *engine = node_engine(console_host(console)->node);
        const HintTotals *hints = engine_hints(engine);

        for (uint32_t i = 0; i < hints->target_count; i++)
            send_hints(engine, &hints->targets[i], session);
    }
    session_complete(session, command->tag);
}

/* ---- GET ---- */

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
send_object(Console *console, Session *session, const ConsoleCommand *command, const ReadItem *item,
            Arena *arena)
{
    Object object = {.sibling_count = 0};
    char tag[32];

    if (item->status != STATUS_OK)
    {
        console_fail(console, session, item->status, SLICE_EMPTY);
        return;
    }
    if (item->object.length > 0 && !object_decode(item->object, arena, &object))
    {
        console_fail(console, session, STATUS_CORRUPT, SLICE_EMPTY);
        return;
    }
    session_columns(session, command->columns, command->column_count);
    for (uint32_t i = 0; i < object.sibling_count; i++)
        send_sibling(session, i + 1, &object.siblings[i], item->context);
    snprintf(tag, sizeof(tag), "%s %" PRIu32, command->tag, object.sibling_count);
    session_complete(session, tag);
}

static bool
answer_get(Console *console, Session *session, const ConsoleCommand *command, const Frame *frame)
{
    Arena arena;
    ReadReply reply;
    bool is_reply;

    arena_init(&arena, &MEMORY_HEAP);
    is_reply = frame->type == FRAME_READ_REPLY && read_reply_decode(frame, &arena, &reply) &&
               reply.item_count == 1;
    if (is_reply)
        send_object(console, session, command, &reply.items[0], &arena);
    arena_free(&arena);
    return is_reply;
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
                                   i > 0 ? ", " : "Its key columns are ", bucket->key_names[i],
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
    console_ask(console, session, command, buffer_slice(&frame), answer_get);
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
    const Topology *topology = console_topology_or_error(console, session);
    const Bucket *bucket =
        topology == NULL ? NULL : console_bucket_or_error(topology, session, words->text[1]);

    if (bucket != NULL)
        get_from_bucket(console, session, command, words, bucket);
}
