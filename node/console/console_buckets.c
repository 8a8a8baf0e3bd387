/*
 * SHOW BUCKETS and DROP BUCKET. Keys are counted from the trees, which have a sum for each
 * partition, so that showing them reads no rows.
 */
#include "node/console/console_commands.h"

#include <string.h>

#include "node/console/console_ask.h"
#include "node/host/node.h"

const Column console_buckets_columns[] = {
    {"bucket",    COLUMN_TEXT},
    {"id",        COLUMN_INT8},
    {"n",         COLUMN_INT8},
    {"key",       COLUMN_TEXT},
    {"columns",   COLUMN_INT8},
    {"made_by",   COLUMN_TEXT},
    {"keys_here", COLUMN_INT8}
};

/* Keys that this node has of each bucket, by its index. */
static uint64_t *
count_keys(const Engine *engine, const Topology *topology)
{
    const Trees *trees = engine_trees(engine);
    size_t bytes = sizeof(uint64_t) * (topology->bucket_count + (size_t)1);
    uint64_t *keys = memory_resize(&MEMORY_HEAP, NULL, bytes);
    uint32_t slot = 0;
    TreeId id;

    memset(keys, 0, bytes);
    while (trees != NULL && trees_next(trees, &slot, &id))
    {
        const Bucket *bucket = topology_bucket_by_id(topology, id.bucket_id);
        TreeSum sum;

        if (bucket != NULL && trees_sum(trees, id, (TreePart){0}, &sum))
            keys[bucket - topology->buckets] += sum.rows;
    }
    return keys;
}

/* "customer bigint, day date" */
static void
put_key_columns(Buffer *text, const Bucket *bucket)
{
    for (uint32_t i = 0; i < bucket->key_count; i++)
    {
        const char *type = keycodec_type_name(bucket->key_types[i]);

        buffer_put(text, ", ", i > 0 ? 2 : 0);
        buffer_put(text, bucket->key_names[i], strlen(bucket->key_names[i]));
        buffer_put(text, " ", 1);
        buffer_put(text, type, strlen(type));
    }
    buffer_put_u8(text, '\0');
}

static void
send_bucket(Session *session, const Bucket *bucket, uint64_t keys)
{
    ConsoleRow row = {.count = 0};
    Buffer key;

    buffer_init(&key, &MEMORY_HEAP);
    put_key_columns(&key, bucket);
    console_row_text(&row, bucket->name);
    console_row_int(&row, bucket->id);
    console_row_int(&row, bucket->n);
    console_row_text(&row, (const char *)key.data);
    console_row_int(&row, bucket->column_count);
    console_row_text(&row, bucket->creator[0] != '\0' ? bucket->creator : NULL);
    console_row_int(&row, (int64_t)keys);
    console_row_send(&row, session);
    buffer_free(&key);
}

static void
send_buckets(Session *session, const Engine *engine)
{
    const Topology *topology = engine_topology(engine);
    uint64_t *keys = count_keys(engine, topology);

    for (uint32_t i = 0; i < topology->bucket_count; i++)
        send_bucket(session, &topology->buckets[i], keys[i]);
    memory_resize(&MEMORY_HEAP, keys, 0);
}

void
console_run_buckets(Console *console, Session *session, const ConsoleCommand *command,
                    const ConsoleWords *words)
{
    session_columns(session, command->columns, command->column_count);
    if (console_topology_or_notice(console, session) != NULL)
        send_buckets(session, node_engine(console_host(console)->node));
    session_complete(session, command->tag);
}

/* A bucket is dropped when a topology without it is in force; that topology is the answer. */
static bool
answer_drop(Console *console, Session *session, const ConsoleCommand *command, const Frame *frame)
{
    if (frame->type != FRAME_TOPOLOGY)
        return false;
    session_complete(session, command->tag);
    return true;
}

void
console_run_drop_bucket(Console *console, Session *session, const ConsoleCommand *command,
                        const ConsoleWords *words)
{
    const Topology *topology = console_topology_or_error(console, session);
    const Bucket *bucket =
        topology != NULL ? console_bucket_or_error(topology, session, words->text[2]) : NULL;
    Buffer frame;

    if (bucket == NULL)
        return;
    log_info(console_host(console)->log,
             "DROP BUCKET \"%.200s\" was asked for by user \"%s\" from %s", bucket->name,
             session_user(session), session_peer_address(session));
    buffer_init(&frame, &MEMORY_HEAP);
    bucket_drop_encode(&frame, 0, &(BucketDrop){bucket->id});
    console_ask(console, session, command, buffer_slice(&frame), answer_drop);
    buffer_free(&frame);
}
