/* One owner of partitions on a store in memory, with the steps that answer for it. */
#include "test/unit/stages/owner.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void
on_merged(void *context, uint64_t ref, StatusCode status, Slice object)
{
    ((Owner *)context)->applied = status;
}

static void
on_durable(void *context, uint64_t ref, StatusCode status)
{
    ((Owner *)context)->applied = status;
}

/* ref: where the object is to go. */
static void
on_read(void *context, uint64_t ref, StatusCode status, Slice object)
{
    Owner *owner = context;

    assert_int_equal(status, STATUS_OK);
    *(Slice *)(uintptr_t)ref = slice_copy(&owner->stage->arena, object);
}

static void
on_scanned(void *context, uint64_t ref, StatusCode status, const StoragePage *page)
{
    Owner *owner = context;

    replica_scanned(owner->replica, &owner->view, ref, status, page);
}

void
owner_init(Owner *owner, Stage *stage, uint32_t member)
{
    StorageEvents events = {.merged = on_merged,
                            .durable = on_durable,
                            .read_done = on_read,
                            .scan_done = on_scanned,
                            .context = owner};

    *owner = (Owner){.stage = stage, .view = stage->view, .replica = replica_new()};
    owner->store = memory_store_new();
    owner->storage = memory_store_open(owner->store, &events);
    owner->storage->set_partitions(owner->storage, stage->topology.partitions);
    owner->view.actions = &owner->actions;
    owner->view.self = member;
    owner->view.trees = owner->storage->trees;
    actions_init(&owner->actions);
}

void
owner_free(Owner *owner)
{
    actions_free(&owner->actions);
    memory_store_free(owner->store);
    replica_free(owner->replica);
}

static Slice
key_in_store(Owner *owner, Slice key)
{
    Buffer buffer;
    uint64_t position;
    Slice kept;

    assert_true(topology_position(owner->stage->bucket, key, &position));
    buffer_init(&buffer, &MEMORY_HEAP);
    storage_key(&buffer, owner->stage->bucket->id, position, key);
    kept = slice_copy(&owner->stage->arena, buffer_slice(&buffer));
    buffer_free(&buffer);
    return kept;
}

void
owner_merge(Owner *owner, Slice key, Slice object)
{
    Object decoded;
    Update update = {.merge = &decoded};

    assert_true(object_decode(object, &owner->stage->arena, &decoded));
    owner->storage->apply(owner->storage, key_in_store(owner, key), &update, 1);
    assert_int_equal(owner->applied, STATUS_OK);
}

Slice
owner_object(Owner *owner, Slice key)
{
    Slice object = SLICE_EMPTY;

    owner->storage->read(owner->storage, key_in_store(owner, key), (uintptr_t)&object);
    return object;
}

Frame
owner_answer(Owner *owner, const Frame *question)
{
    Origin origin = {.session = 1, .tag = question->tag};

    actions_reset(&owner->actions);
    replica_scan(owner->replica, &owner->view, origin, question);
    for (size_t i = 0; i < owner->actions.count; i++)
    {
        const Action *action = &owner->actions.list[i];

        if (action->kind == ACTION_REPLY)
            return stage_decode(owner->stage,
                                slice_make(owner->actions.frames.data + action->frame_offset,
                                           action->frame_length));
        assert_int_equal(action->kind, ACTION_SCAN);

        StorageRange range = action->range;

        owner->storage->scan(owner->storage, &range, action->ref);
    }
    fail_msg("a scan was not answered");
    return (Frame){0};
}

ScanReply
owner_scan(Owner *owner, const ScanFrame *scan)
{
    ScanReply reply;
    Frame frame;

    scan_encode(stage_buffer(owner->stage), 1, scan);
    frame = stage_frame(owner->stage);
    frame = owner_answer(owner, &frame);
    assert_int_equal(frame.type, FRAME_SCAN_REPLY);
    assert_true(scan_reply_decode(&frame, &owner->stage->arena, &reply));
    assert_int_equal(reply.status, STATUS_OK);
    return reply;
}
