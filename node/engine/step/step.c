/*
 * Appends actions; and the few questions about a view that several step modules ask.
 */
#include "node/engine/step/step.h"

#include <stdarg.h>
#include <stdio.h>

enum
{
    FRAMES_KEPT_BYTES = 16 * 1024 * 1024 /* of memory, from one event to the next */
};

void
actions_init(Actions *actions)
{
    *actions = (Actions){0};
    arena_init(&actions->arena, &MEMORY_HEAP);
    buffer_init(&actions->frames, &MEMORY_HEAP);
    buffer_init(&actions->key, &MEMORY_HEAP);
    buffer_init(&actions->state, &MEMORY_HEAP);
}

void
actions_free(Actions *actions)
{
    arena_free(&actions->arena);
    buffer_free(&actions->frames);
    buffer_free(&actions->key);
    buffer_free(&actions->state);
    memory_resize(&MEMORY_HEAP, actions->list, 0);
}

void
actions_reset(Actions *actions)
{
    arena_reset(&actions->arena);
    buffer_trim(&actions->frames, FRAMES_KEPT_BYTES);
    actions->frame_start = 0;
    actions->has_state = false;
    actions->count = 0;
    actions->done = 0;
}

static Action *
add_action(Actions *actions, ActionKind kind)
{
    if (actions->count == actions->capacity)
    {
        actions->capacity = actions->capacity ? actions->capacity * 2 : 64;
        actions->list =
            memory_resize(&MEMORY_HEAP, actions->list, actions->capacity * sizeof(Action));
    }

    Action *action = &actions->list[actions->count++];

    *action = (Action){.kind = kind};
    return action;
}

Buffer *
actions_persist(Actions *actions)
{
    actions->has_state = true;
    buffer_reset(&actions->state);
    return &actions->state;
}

Buffer *
actions_frame(Actions *actions)
{
    return &actions->frames;
}

static Action *
name_frame(Actions *actions, ActionKind kind)
{
    Action *action = add_action(actions, kind);

    action->frame_offset = actions->frame_start;
    action->frame_length = actions->frames.length - actions->frame_start;
    actions->frame_start = actions->frames.length;
    return action;
}

void
actions_reply(Actions *actions, uint64_t session)
{
    name_frame(actions, ACTION_REPLY)->session = session;
}

void
actions_send(Actions *actions, uint32_t member)
{
    name_frame(actions, ACTION_SEND)->member = member;
}

void
actions_send_peer(Actions *actions, uint32_t peer)
{
    name_frame(actions, ACTION_SEND_PEER)->member = peer;
}

void
actions_datagram(Actions *actions, uint32_t member)
{
    name_frame(actions, ACTION_DATAGRAM)->member = member;
}

void
actions_note(Actions *actions)
{
    (void)name_frame(actions, ACTION_NOTE);
}

static void
add_text(Actions *actions, ActionKind kind, const char *format, va_list arguments)
{
    va_list again;
    char *text;
    int length;

    va_copy(again, arguments);
    length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    text = arena_alloc(&actions->arena, (size_t)length + 1);
    (void)vsnprintf(text, (size_t)length + 1, format, arguments);
    add_action(actions, kind)->text = text;
}

void
actions_log(Actions *actions, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    add_text(actions, ACTION_LOG, format, arguments);
    va_end(arguments);
}

void
actions_warn(Actions *actions, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    add_text(actions, ACTION_WARN, format, arguments);
    va_end(arguments);
}

void
actions_end(Actions *actions, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    add_text(actions, ACTION_END, format, arguments);
    va_end(arguments);
}

void
actions_error(Actions *actions, Origin origin, StatusCode status, const char *message)
{
    error_encode(actions_frame(actions), origin.tag, status, message);
    actions_reply(actions, origin.session);
}

static Slice
make_storage_key(Actions *actions, uint32_t bucket_id, uint64_t position, Slice key)
{
    buffer_reset(&actions->key);
    storage_key(&actions->key, bucket_id, position, key);
    return slice_copy(&actions->arena, buffer_slice(&actions->key));
}

void
actions_apply(Actions *actions, uint32_t bucket_id, uint64_t position, Slice key,
              const Update *update, uint64_t ref)
{
    Slice storage_key = make_storage_key(actions, bucket_id, position, key);
    Action *action = add_action(actions, ACTION_APPLY);

    action->storage_key = storage_key;
    action->update = update;
    action->ref = ref;
}

void
actions_read(Actions *actions, uint32_t bucket_id, uint64_t position, Slice key, uint64_t ref)
{
    Slice storage_key = make_storage_key(actions, bucket_id, position, key);
    Action *action = add_action(actions, ACTION_READ);

    action->storage_key = storage_key;
    action->ref = ref;
}

void
actions_scan(Actions *actions, const StorageRange *range, uint64_t ref)
{
    Action *action = add_action(actions, ACTION_SCAN);

    action->range = *range;
    action->range.after = slice_copy(&actions->arena, range->after);
    action->range.through = slice_copy(&actions->arena, range->through);
    action->ref = ref;
}

void
actions_owed(Actions *actions, const StorageOwed *owed, uint64_t ref)
{
    Action *action = add_action(actions, ACTION_OWED);

    action->owed = *owed;
    action->owed.after = slice_copy(&actions->arena, owed->after);
    action->ref = ref;
}

void
actions_set_round(Actions *actions, const Round *round, uint64_t ref)
{
    Action *action = add_action(actions, ACTION_SET_ROUND);

    action->round = *round;
    action->ref = ref;
}

bool
step_leaves_reads(const View *view, uint32_t n, uint64_t position)
{
    uint16_t owners[TOPOLOGY_N_MAX];
    uint32_t count;

    if (!view->cannot_write)
        return false;
    count = topology_preference(view->topology, position, owners, n);
    for (uint32_t i = 0; i < count; i++)
    {
        if (owners[i] != view->self && view->up[owners[i]])
            return true;
    }
    return false;
}

StatusCode
step_no_bucket(const View *view, uint32_t bucket_id)
{
    return topology_was_dropped(view->topology, bucket_id) ? STATUS_NO_BUCKET : STATUS_BEHIND;
}

void
step_learn_round(const View *view, uint32_t bucket_id, uint64_t position, uint64_t round)
{
    if (view->rounds != NULL && !view->refilling)
        rounds_raise(view->rounds, rounds_id(view->topology, bucket_id, position), 0, round);
}

void
actions_check(Actions *actions, bool anew, uint32_t max_bytes, uint64_t ref)
{
    Action *action = add_action(actions, ACTION_CHECK);

    action->anew = anew;
    action->max_bytes = max_bytes;
    action->ref = ref;
}

void
actions_rebuild_tree(Actions *actions, TreeId tree)
{
    add_action(actions, ACTION_REBUILD_TREE)->tree = tree;
}

void
step_notice_round(uint32_t bucket_id, uint64_t position, uint64_t round, uint32_t member,
                  Actions *actions)
{
    ReapNotice notice = {.bucket_id = bucket_id, .position = position, .round = round};

    reap_notice_encode(actions_frame(actions), 0, &notice);
    actions_send(actions, member);
}

Slice
step_tell(const View *view, uint32_t bucket_id, uint64_t position, Slice key, Slice object,
          Arena *arena)
{
    RequestIds ids;
    Object decoded = {0};
    Buffer bytes;

    if (view->recall == NULL || recall_count(view->recall) == 0)
        return object;
    buffer_init(&bytes, &MEMORY_HEAP);
    storage_key(&bytes, bucket_id, position, key);
    ids = recall_find(view->recall, buffer_slice(&bytes), UINT64_MAX - 1, arena);
    if (ids.count > 0 && object.length > 0 && object_decode(object, arena, &decoded))
        ids =
            recall_find(view->recall, buffer_slice(&bytes), vclock_weight(&decoded.context), arena);
    else if (ids.count > 0)
        ids = recall_find(view->recall, buffer_slice(&bytes), 0, arena);
    buffer_reset(&bytes);
    if (ids.count > 0)
    {
        object_add_replaced(arena, &decoded, &ids);
        object_encode(&bytes, &decoded);
        object = slice_copy(arena, buffer_slice(&bytes));
    }
    buffer_free(&bytes);
    return object;
}
