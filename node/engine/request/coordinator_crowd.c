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
    Crowd *crowd = &coordinator->crowd;
    uint32_t siblings = object_encoded_siblings(object, &view->actions->arena);

    if (view->siblings_warn == 0 || siblings <= view->siblings_warn)
        return;
    item->siblings = siblings;
    coordinator->counters.siblings_warned++;
    if (siblings <= crowd->siblings)
        return;
    crowd->siblings = siblings;
    crowd->bucket_id = operation->bucket_id;
    buffer_reset(&crowd->key);
    buffer_put(&crowd->key, item->key.data, item->key.length);
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
print_crowd(Buffer *text, const Crowd *crowd, const View *view, const Bucket *bucket)
{
    char words[160];
    Arena arena;

    arena_init(&arena, &MEMORY_HEAP);
    snprintf(words, sizeof(words),
             "a write left %u siblings under a key of bucket \"%.64s\" "
             "(siblings_warn is %u): (",
             crowd->siblings, bucket->name, view->siblings_warn);
    buffer_put(text, words, strlen(words));
    print_key(text, bucket, buffer_slice(&crowd->key), &arena);
    buffer_put(text, ")", 2);
    arena_free(&arena);
}

bool
coordinator_crowd_event(Coordinator *coordinator, const View *view, Buffer *text)
{
    Crowd *crowd = &coordinator->crowd;
    const Bucket *bucket;

    if (crowd->siblings == 0 || view->now_ms < crowd->quiet_until_ms)
        return false;
    bucket = topology_bucket_by_id(view->topology, crowd->bucket_id);
    if (bucket != NULL)
        print_crowd(text, crowd, view, bucket);
    crowd->siblings = 0;
    crowd->quiet_until_ms = view->now_ms + QUIET_MS;
    return bucket != NULL;
}
