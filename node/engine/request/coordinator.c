/*
 * The table of operations: storage's answers, members' answers and passing time find their
 * operation here, and it goes on in coordinator_write.c or coordinator_read.c.
 */
#include "node/engine/request/coordinator.h"

#include "node/engine/repair/unreadable.h"
#include "node/engine/request/operation.h"

enum
{
    TICK_MS = 10
};

Coordinator *
coordinator_new(void)
{
    Coordinator *coordinator = memory_resize(&MEMORY_HEAP, NULL, sizeof(Coordinator));

    *coordinator = (Coordinator){0};
    buffer_init(&coordinator->warning.key, &MEMORY_HEAP);
    return coordinator;
}

void
coordinator_free(Coordinator *coordinator)
{
    for (uint32_t i = 0; i < coordinator->slot_count; i++)
    {
        arena_free(&coordinator->slots[i]->arena);
        memory_resize(&MEMORY_HEAP, coordinator->slots[i], 0);
    }
    for (uint32_t i = 0; i < coordinator->outbox_count; i++)
        outbox_free(&coordinator->outboxes[i]);
    buffer_free(&coordinator->warning.key);
    tickets_free(&coordinator->tickets);
    memory_resize(&MEMORY_HEAP, coordinator->slots, 0);
    memory_resize(&MEMORY_HEAP, coordinator->free_slots, 0);
    memory_resize(&MEMORY_HEAP, coordinator->outboxes, 0);
    memory_resize(&MEMORY_HEAP, coordinator, 0);
}

static void
progress(Coordinator *coordinator, const View *view, Operation *operation, Item *item)
{
    if (operation->kind == REF_COORDINATOR_WRITE)
        coordinator_write_progress(coordinator, view, operation, item);
    else
        coordinator_read_progress(coordinator, view, operation, item);
}

void
coordinator_durable(Coordinator *coordinator, const View *view, uint64_t ref, StatusCode status)
{
    Item *item;
    Operation *operation = operation_of(coordinator, ref, &item);

    if (operation == NULL || !operation_is_spreading(operation, item))
        return;
    if (status == STATUS_OK)
        item->acked |= 1u << item->self;
    else
        item->failed |= 1u << item->self;
    progress(coordinator, view, operation, item);
}

void
coordinator_fetched(Coordinator *coordinator, const View *view, uint64_t ref, StatusCode status,
                    Slice object)
{
    Item *item;
    Operation *operation = operation_of(coordinator, ref, &item);

    if (operation == NULL || item->phase != ITEM_GATHERING)
        return;
    if (unreadable_withholds_key(view->unreadable, view, operation->bucket_id, item->key))
    {
        status = STATUS_CORRUPT;
        object = SLICE_EMPTY;
    }
    object = step_tell(view, operation->bucket_id, item->position, item->key, object,
                       &view->actions->arena);
    operation_take_object(operation, item, item->self,
                          &(ReadItem){.status = status, .object = object, .round = item->round});
    progress(coordinator, view, operation, item);
}

static void
take_acknowledgement(Coordinator *coordinator, const View *view, uint32_t member,
                     const ReplicateResult *result)
{
    Item *item;
    Operation *operation = operation_of(coordinator, result->ref, &item);
    int place = operation != NULL ? operation_member_place(item, member) : -1;

    if (place < 0 || !operation_is_spreading(operation, item) || (item->sent & 1u << place) == 0)
        return;
    if (result->status == STATUS_OK)
        item->acked |= 1u << place;
    else if (result->status == STATUS_MOVED)
        item->moved |= 1u << place;
    else
        item->failed |= 1u << place;
    if (result->status == STATUS_STALE_ROUND)
        step_learn_round(view, operation->bucket_id, item->position, result->round);
    progress(coordinator, view, operation, item);
}

static void
take_acknowledgements(Coordinator *coordinator, const View *view, uint32_t member,
                      const Frame *frame)
{
    ReplicateReply reply;

    if (!replicate_reply_decode(frame, &view->actions->arena, &reply))
        return;
    for (uint32_t i = 0; i < reply.item_count; i++)
        take_acknowledgement(coordinator, view, member, &reply.items[i]);
}

/*
 * The member's answer to an operation's gathering: its items are those that the member was asked
 * for, in order. reply NULL: it will not answer. An item that ends may take the operation with it,
 * hence the look at the ticket.
 */
static void
take_gathered(Coordinator *coordinator, const View *view, Operation *operation, uint32_t member,
              const ReadReply *reply)
{
    uint32_t count = operation->item_count;
    uint32_t ticket = operation->ticket;
    uint32_t next = 0;

    for (uint32_t i = 0; i < count; i++)
    {
        if (!operation->live || operation->ticket != ticket)
            return;

        Item *item = &operation->items[i];
        int place = operation_member_place(item, member);
        bool answered = false;

        if (place < 0 || (item->asked & 1u << place) == 0)
            continue;
        if (reply != NULL && next < reply->item_count)
        {
            answered = true;
            next++;
        }
        if (item->phase != ITEM_GATHERING)
            continue;
        operation_take_object(operation, item, (uint32_t)place,
                              answered ? &reply->items[next - 1]
                                       : &(ReadItem){.status = STATUS_UNAVAILABLE});
        progress(coordinator, view, operation, item);
    }
}

void
coordinator_member_frame(Coordinator *coordinator, const View *view, uint32_t member,
                         const Frame *frame)
{
    ReadReply reply;

    if (frame->type == FRAME_REPLICATE_REPLY)
    {
        take_acknowledgements(coordinator, view, member, frame);
        return;
    }

    Operation *operation = operation_of_tag(coordinator, frame->tag);

    if (operation == NULL)
        return;
    if (frame->type == FRAME_READ_REPLY &&
        read_reply_decode(frame, &view->actions->arena, &reply) && reply.mode == READ_FULL)
        take_gathered(coordinator, view, operation, member, &reply);
    else
        take_gathered(coordinator, view, operation, member, NULL);
}

/*
 * The member will say no more, and may come back with an older disk, to be filled from owners that
 * do not have the object durably yet: what it held counts for nothing before the client is
 * answered. What a retry's look has found stays known.
 */
static void
take_back(const Operation *operation, Item *item, uint32_t place)
{
    uint32_t bit = 1u << place;

    if (item->phase == ITEM_SPREADING)
        item->acked &= ~bit;
    if (operation->kind == REF_COORDINATOR_READ)
        item->answered &= ~bit;
    if (item->phase == ITEM_GATHERING)
        item->asking_failed |= item->asked & bit & ~item->answered;
    else
        item->failed |= bit & ~item->acked;
    item->moved &= ~bit;
}

/* Runs visit on every open item of every live operation, whatever ends meanwhile. */
static void
visit_items(Coordinator *coordinator, const View *view, uint32_t member_down)
{
    for (uint32_t slot = 0; slot < coordinator->slot_count; slot++)
    {
        Operation *operation = coordinator->slots[slot];
        uint32_t count = operation->live ? operation->item_count : 0;
        uint32_t ticket = operation->ticket;

        for (uint32_t i = 0; i < count; i++)
        {
            if (!operation->live || operation->ticket != ticket)
                break;

            Item *item = &operation->items[i];
            int place = operation_member_place(item, member_down);

            if (item->phase != ITEM_GATHERING && !operation_is_spreading(operation, item))
                continue;
            if (place >= 0)
                take_back(operation, item, (uint32_t)place);
            progress(coordinator, view, operation, item);
        }
    }
}

void
coordinator_member_down(Coordinator *coordinator, const View *view, uint32_t member)
{
    if (member < coordinator->outbox_count)
        outbox_clear(&coordinator->outboxes[member]);
    visit_items(coordinator, view, member);
}

void
coordinator_tick(Coordinator *coordinator, const View *view)
{
    if (view->now_ms < coordinator->next_tick_ms)
        return;
    coordinator->next_tick_ms = view->now_ms + TICK_MS;
    visit_items(coordinator, view, TOPOLOGY_NO_MEMBER);
}

uint64_t
coordinator_wake_ms(const Coordinator *coordinator)
{
    return coordinator->live_count > 0 ? coordinator->next_tick_ms : UINT64_MAX;
}

void
coordinator_flush(Coordinator *coordinator, const View *view)
{
    for (uint32_t member = 0; member < coordinator->outbox_count; member++)
        outbox_send(&coordinator->outboxes[member], view->topology->epoch, member, view->actions);
}

bool
coordinator_take_missed(Coordinator *coordinator, uint32_t member)
{
    bool missed = coordinator->missed[member];

    coordinator->missed[member] = false;
    return missed;
}

static bool
operation_touches(const Operation *operation, const View *view, TreeId id)
{
    for (uint32_t i = 0; i < operation->item_count; i++)
    {
        if (ring_partition(operation->items[i].position, view->topology->partitions) ==
            id.partition)
            return true;
    }
    return false;
}

bool
coordinator_is_busy(const Coordinator *coordinator, const View *view, TreeId id)
{
    for (uint32_t slot = 0; slot < coordinator->slot_count; slot++)
    {
        const Operation *operation = coordinator->slots[slot];

        if (operation->live && operation->bucket_id == id.bucket_id &&
            operation_touches(operation, view, id))
            return true;
    }
    return false;
}

uint32_t
coordinator_load(const Coordinator *coordinator)
{
    return coordinator->live_count;
}

uint32_t
coordinator_unanswered(const Coordinator *coordinator)
{
    return coordinator->live_count - coordinator->answered_count;
}

uint64_t
coordinator_bytes(const Coordinator *coordinator)
{
    return coordinator->live_bytes;
}

CoordinatorCounters
coordinator_counters(const Coordinator *coordinator)
{
    return coordinator->counters;
}
