/*
 * A write, key by key: check it, gather first where it is a retry, stamp and merge in the own
 * storage, spread the result, and answer by quorum. Before the stamp every failure is a refusal;
 * after it none is, since some replica may keep what was stamped.
 */
#include "node/engine/request/operation.h"
#include "node/engine/request/spread.h"

#include <assert.h>

enum
{
    /* How long owners that have not acknowledged are waited for behind the client's back. */
    LINGER_MS = 500,
    /* How long a retry looks for its request ids at members that do not answer. */
    LOOK_MS = 100,
    LINGERING_MAX = OPERATIONS_MAX / 2 /* operations under way; then hints are written at once */
};

static void
send_write_reply(Coordinator *coordinator, const View *view, Operation *operation)
{
    WriteReply reply = {.clock_ms = view->now_ms,
                        .items = ARENA_ARRAY(&operation->arena, WriteResult, operation->item_count),
                        .item_count = operation->item_count};

    for (uint32_t i = 0; i < operation->item_count; i++)
    {
        const Item *item = &operation->items[i];

        reply.items[i] = (WriteResult){
            .status = item->status, .acked = item->acked, .siblings = item->write.siblings};
        if (item->status == STATUS_UNKNOWN)
            coordinator->counters.writes_unknown++;
        else if (item->status != STATUS_OK)
            coordinator->counters.writes_refused++;
        coordinator->counters.siblings_refused += item->status == STATUS_TOO_MANY_SIBLINGS;
    }
    coordinator->counters.write_frames++;
    coordinator->counters.write_ms += view->now_ms - operation->started_ms;
    write_reply_encode(actions_frame(view->actions), operation->origin.tag, &reply);
    actions_reply(view->actions, operation->origin.session);
}

/* Nothing is left to be done for the item. The last one takes the operation with it. */
static void
settle_item(Coordinator *coordinator, Operation *operation, Item *item)
{
    assert(!item->write.settled);
    item->write.settled = true;
    if (--operation->items_unsettled == 0)
        operation_end(coordinator, operation);
}

/* What the client is told of the item is settled. */
static void
end_item(Coordinator *coordinator, const View *view, Operation *operation, Item *item,
         StatusCode status)
{
    assert(item->phase != ITEM_DONE);
    item->phase = ITEM_DONE;
    item->status = status;
    if (--operation->items_open > 0)
        return;
    send_write_reply(coordinator, view, operation);
    operation_answer(coordinator, operation);
    operation->linger_ms = view->now_ms + LINGER_MS;
}

/* Nothing of the item is written, or was in this operation. */
static void
refuse_item(Coordinator *coordinator, const View *view, Operation *operation, Item *item,
            StatusCode status)
{
    end_item(coordinator, view, operation, item, status);
    settle_item(coordinator, operation, item);
}

static void
apply_item(Coordinator *coordinator, const View *view, Operation *operation, Item *item)
{
    if (view->refilling)
    {
        refuse_item(coordinator, view, operation, item, STATUS_REFILLING);
        return;
    }
    if (item->answered != 0 && operation_is_stale(view, operation, item))
    {
        refuse_item(coordinator, view, operation, item, STATUS_STALE_ROUND);
        return;
    }
    item->phase = ITEM_SPREADING;
    item->write.update = (Update){.put = &item->write.put};
    if (item->answered != 0)
    {
        operation_merge(operation, item);
        item->write.update.merge = &item->merge;
        if (item->write.known)
            item->write.update.put = NULL;
    }
    spread_plan(coordinator, view, operation, item);
    actions_apply(view->actions, operation->bucket_id, item->position, item->key,
                  &item->write.update, operation_ref(operation, item));
}

/*
 * How long a write may still be stamped, by this node's clock; 0: no more. A frame may have waited
 * in a socket while the node stood still; the write may have been sent again meanwhile,
 * acknowledged and replaced. So a first frame is stamped without a look only as long as its client
 * has sent no other, and no frame is stamped once what replaced its write may be forgotten. A
 * sender that does not know this node's clock is told by the refusal.
 */
static uint64_t
stamped_until_ms(const View *view, const WriteFrame *write)
{
    uint64_t left_ms = write->age_ms < MESSAGE_LIFE_MS ? MESSAGE_LIFE_MS - write->age_ms : 0;

    if (write->clock_ms == 0 || write->clock_ms > view->now_ms ||
        view->now_ms > write->clock_ms + left_ms)
        return 0;
    return write->clock_ms + left_ms;
}

/* Has its client sent no other frame of the write yet, and will not before it is stamped? */
static bool
is_alone(const View *view, const WriteFrame *write)
{
    return !write->retry && view->now_ms <= write->clock_ms + write->alone_ms;
}

/* What is refused before anything is written. */
static StatusCode
check_item(const View *view, const Bucket *bucket, uint64_t epoch, const Operation *operation,
           Item *item, const WriteItem *write, Arena *arena)
{
    StatusCode status = operation_place(view, bucket, epoch, item);

    if (status != STATUS_OK)
        return status;
    for (uint32_t i = 0; i < write->value_count; i++)
    {
        if (write->values[i].value.length > view->max_value_bytes)
            return STATUS_TOO_LARGE;
    }
    status = context_status(context_open(write->context, view->context_keys, bucket->id, item->key,
                                         arena, &item->write.put.past));
    if (status != STATUS_OK)
        return status;
    if (view->cannot_write)
        return STATUS_STORAGE;
    if (view->refilling)
        return STATUS_REFILLING;
    if (!spread_can_reach(view, operation, item))
        return STATUS_UNAVAILABLE;
    if (item->self >= item->owner_count && spread_is_full(view))
        return STATUS_HINTS_FULL;
    return STATUS_OK;
}

static void
begin_items(Operation *operation, const View *view, const Bucket *bucket, const WriteFrame *write)
{
    uint64_t until_ms = stamped_until_ms(view, write);

    if (until_ms > 0 && is_alone(view, write))
        until_ms = write->clock_ms + write->alone_ms;
    operation->items = arena_alloc_zero(&operation->arena, sizeof(Item) * write->item_count);
    operation->item_count = write->item_count;
    for (uint32_t i = 0; i < write->item_count; i++)
    {
        Item *item = &operation->items[i];

        item->key = write->items[i].key;
        item->write.put = (Put){.values = write->items[i].values,
                                .value_count = write->items[i].value_count,
                                .siblings_max = view->siblings_max,
                                .now_ms = view->wall_ms,
                                .until_ms = until_ms};
        item->status = until_ms == 0 ? STATUS_TOO_LATE
                                     : check_item(view, bucket, write->epoch, operation, item,
                                                  &write->items[i], &operation->arena);
        item->phase = item->status == STATUS_OK ? ITEM_GATHERING : ITEM_DONE;
        item->write.settled = item->phase == ITEM_DONE;
        operation->items_open += item->phase != ITEM_DONE;
        operation->items_unsettled += !item->write.settled;
    }
}

/* A copy of the frame in the operation's arena: keys and values outlive the call. */
static bool
decode_write(Operation *operation, const Frame *frame, WriteFrame *write)
{
    Frame copy = frame_copy(&operation->arena, frame);

    return write_decode(&copy, &operation->arena, write) && write->item_count < OPERATION_ITEMS_MAX;
}

static void
start_items(Coordinator *coordinator, const View *view, Operation *operation, bool look)
{
    for (uint32_t i = 0; look && i < operation->item_count; i++)
        operation->items[i].to_ask =
            operation_holders(view, &operation->items[i]) | 1u << operation->items[i].self;
    if (look)
    {
        operation_gather(view, operation);
        operation_ask_self(operation, view->actions);
    }

    /* The last item to end takes the operation with it, so what is needed afterwards is read first.
     */
    uint32_t count = operation->item_count;

    for (uint32_t i = 0; i < count; i++)
    {
        Item *item = &operation->items[i];

        if (item->phase == ITEM_GATHERING && operation_gathered(item))
            apply_item(coordinator, view, operation, item);
    }
    if (operation->items_unsettled == 0)
    {
        send_write_reply(coordinator, view, operation);
        operation_end(coordinator, operation);
    }
}

void
coordinator_write(Coordinator *coordinator, const View *view, Origin origin, const Frame *frame)
{
    WriteFrame write;
    Operation *operation = operation_begin(coordinator, view, REF_COORDINATOR_WRITE, origin, frame);

    if (operation == NULL)
    {
        actions_error(view->actions, origin, STATUS_OVERLOADED, "too many requests are under way");
        return;
    }
    if (!decode_write(operation, frame, &write))
    {
        operation_refuse(coordinator, operation, STATUS_BAD_FRAME, view->actions);
        return;
    }

    const Bucket *bucket = topology_bucket_by_id(view->topology, write.bucket_id);

    if (bucket == NULL)
    {
        operation_refuse(coordinator, operation, step_no_bucket(view, write.bucket_id),
                         view->actions);
        return;
    }
    operation_limit(operation, view, write.timeout_ms);
    operation->bucket_id = write.bucket_id;
    operation->quorum = operation_quorum(bucket, write.w, 1);
    operation->owner_quorum = operation_quorum(bucket, write.pw, 0);
    operation->zone_quorum = operation_quorum(bucket, write.confirms, 0);
    coordinator->counters.writes += write.item_count;
    coordinator->counters.writes_retried += is_alone(view, &write) ? 0 : write.item_count;
    begin_items(operation, view, bucket, &write);
    start_items(coordinator, view, operation, !is_alone(view, &write));
}

static void
take_stock(Coordinator *coordinator, const View *view, Operation *operation, Item *item)
{
    spread_place_again(coordinator, view, operation, item);
    spread_mend(coordinator, view, operation, item);
    if (spread_is_met(view, operation, item))
        end_item(coordinator, view, operation, item, STATUS_OK);
    else if (spread_is_hopeless(operation, item) || view->now_ms >= operation->deadline_ms)
        end_item(coordinator, view, operation, item, STATUS_UNKNOWN);
}

/* The client has been told of the item; its owners may still owe an acknowledgement. */
static void
linger(Coordinator *coordinator, const View *view, Operation *operation, Item *item)
{
    bool late = view->now_ms >= operation->linger_ms || coordinator->live_count > LINGERING_MAX;

    spread_place_again(coordinator, view, operation, item);
    spread_mend(coordinator, view, operation, item);
    if (!late && !spread_is_over(item))
        return;
    spread_settle(coordinator, view, operation, item);
    settle_item(coordinator, operation, item);
}

/* Long enough, and at home too: a member that is silent may know the id and be asked in vain. */
static bool
is_looked_for(const View *view, const Operation *operation, const Item *item)
{
    uint32_t settled = item->answered | item->asking_failed;

    return view->now_ms >= operation->started_ms + LOOK_MS && (settled & 1u << item->self) != 0;
}

void
coordinator_write_progress(Coordinator *coordinator, const View *view, Operation *operation,
                           Item *item)
{
    if (item->phase == ITEM_GATHERING)
    {
        if (view->now_ms >= operation->deadline_ms)
            refuse_item(coordinator, view, operation, item, STATUS_UNAVAILABLE);
        else if (operation_gathered(item) || is_looked_for(view, operation, item))
            apply_item(coordinator, view, operation, item);
        return;
    }
    if (item->phase == ITEM_SPREADING)
        take_stock(coordinator, view, operation, item);
    if (item->phase == ITEM_DONE && !item->write.settled)
        linger(coordinator, view, operation, item);
}

/* Storage has settled the stamped object: it may travel. */
static void
write_merged(Coordinator *coordinator, const View *view, Operation *operation, Item *item,
             StatusCode status, Slice object)
{
    if (status != STATUS_OK)
    {
        refuse_item(coordinator, view, operation, item, status);
        return;
    }
    if (object.length == 0)
    {
        /* It was replaced, and what replaced it was reaped: nobody can tell any more who has
         * acknowledged it. */
        refuse_item(coordinator, view, operation, item, STATUS_UNKNOWN);
        return;
    }
    operation_note_siblings(coordinator, view, operation, item, object);
    spread_send(coordinator, view, operation, item, object);
    coordinator_write_progress(coordinator, view, operation, item);
}

void
coordinator_merged(Coordinator *coordinator, const View *view, uint64_t ref, StatusCode status,
                   Slice object)
{
    Item *item;
    Operation *operation = operation_of(coordinator, ref, &item);

    if (operation == NULL || item->phase != ITEM_SPREADING)
        return;
    if (operation->kind == REF_COORDINATOR_WRITE)
        write_merged(coordinator, view, operation, item, status, object);
    else if (status != STATUS_OK)
    {
        item->failed |= 1u << item->self;
        coordinator_read_progress(coordinator, view, operation, item);
    }
}
