#include "node/engine/request/operation.h"

#include <stdio.h>
#include <string.h>

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
    item->siblings = siblings;
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
print_warning(Buffer *text, const SiblingWarning *warning, const View *view, const Bucket *bucket)
{
    char words[160];
    Arena arena;

    arena_init(&arena, &MEMORY_HEAP);
    snprintf(words, sizeof(words),
             "a write left %u siblings under a key of bucket \"%.64s\" "
             "(siblings_warn is %u): (",
             warning->siblings, bucket->name, view->siblings_warn);
    buffer_put(text, words, strlen(words));
    print_key(text, bucket, buffer_slice(&warning->key), &arena);
    buffer_put(text, ")", 2);
    arena_free(&arena);
}

bool
coordinator_sibling_warning(Coordinator *coordinator, const View *view, Buffer *text)
{
    SiblingWarning *warning = &coordinator->warning;
    const Bucket *bucket;

    if (warning->siblings == 0 || view->now_ms < warning->quiet_until_ms)
        return false;
    bucket = topology_bucket_by_id(view->topology, warning->bucket_id);
    if (bucket != NULL)
        print_warning(text, warning, view, bucket);
    warning->siblings = 0;
    warning->quiet_until_ms = view->now_ms + QUIET_MS;
    return bucket != NULL;
}
