/*
 * Remembers the write that left the most siblings, so that the log warns of it once a minute and
 * not at each write.
 */
#include "node/engine/request/operation.h"

enum
{
    QUIET_MS = 60 * 1000
};

void
operation_note_siblings(Coordinator *coordinator, const View *view, const Operation *operation,
                        Item *item, Slice object)
{
    SiblingWarning *warning = &coordinator->warning;
    uint32_t siblings = object_encoded_siblings(object, &view->actions->arena);

    if (view->siblings_warn == 0 || siblings <= view->siblings_warn)
        return;
    item->write.siblings = siblings;
    coordinator->counters.siblings_warned++;
    if (siblings <= warning->siblings)
        return;
    warning->siblings = siblings;
    warning->bucket_id = operation->bucket_id;
    buffer_reset(&warning->key);
    buffer_put(&warning->key, item->key.data, item->key.length);
}

static void
print_key(Buffer *text, const Bucket *bucket, Slice key, Arena *arena)
{
    Reader reader = reader_begin(key);

    for (uint32_t i = 0; i < bucket->key_count; i++)
    {
        KeyValue value = keycodec_next(&reader, bucket->key_types[i], arena);

        if (i > 0)
            buffer_put(text, ", ", 2);
        keycodec_print(text, &value);
    }
}

static void
log_warning(const SiblingWarning *warning, const View *view, const Bucket *bucket)
{
    Buffer key;

    buffer_init(&key, &MEMORY_HEAP);
    print_key(&key, bucket, buffer_slice(&warning->key), &view->actions->arena);
    actions_log(view->actions,
                "a write left %u siblings under a key of bucket \"%.64s\" (siblings_warn is %u): "
                "(%.*s)",
                warning->siblings, bucket->name, view->siblings_warn, (int)key.length,
                (const char *)key.data);
    buffer_free(&key);
}

void
coordinator_warn_of_siblings(Coordinator *coordinator, const View *view)
{
    SiblingWarning *warning = &coordinator->warning;
    const Bucket *bucket;

    if (warning->siblings == 0 || view->now_ms < warning->quiet_until_ms)
        return;
    bucket = topology_bucket_by_id(view->topology, warning->bucket_id);
    if (bucket != NULL)
        log_warning(warning, view, bucket);
    warning->siblings = 0;
    warning->quiet_until_ms = view->now_ms + QUIET_MS;
}
