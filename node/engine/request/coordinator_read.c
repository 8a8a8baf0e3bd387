/*
 * A coordinated read, key by key: gather the owners' objects, merge them, give those that lack
 * something the merge, and answer when no later read can miss what this one saw.
 */
#include "node/engine/request/operation.h"

#include <assert.h>

enum
{
    /* Once r owners have answered, how long the others may still take to be part of the merge. */
    GATHER_GRACE_MS = 20
};

static void
seal_item(const View *view, const Operation *operation, Item *item, ReadItem *reply)
{
    Buffer sealed;

    if (!operation->seal || item->read.merged.length == 0)
        return;
    Object past = object_past(&view->actions->arena, &item->merge);

    buffer_init(&sealed, &MEMORY_HEAP);
    context_seal(&sealed, view->context_keys, operation->bucket_id, item->key, &past);
    reply->context = slice_copy(&view->actions->arena, buffer_slice(&sealed));
    buffer_free(&sealed);
}

/* Whose answers count: owners', and those of fallbacks that hold the key. That one does not hold it
 * is no evidence. */
static uint32_t
counting(const Item *item)
{
    uint32_t places = item->answered & operation_owners(item);

    for (uint32_t place = item->owner_count; place < item->member_count; place++)
    {
        if ((item->answered & 1u << place) != 0 && object_identity(item->objects[place]).length > 0)
            places |= 1u << place;
    }
    return places;
}

static void
send_read_reply(const View *view, Operation *operation)
{
    ReadReply reply = {.mode = READ_COORDINATED,
                       .clock_ms = view->now_ms,
                       .items = ARENA_ARRAY(&operation->arena, ReadItem, operation->item_count),
                       .item_count = operation->item_count};

    for (uint32_t i = 0; i < operation->item_count; i++)
    {
        Item *item = &operation->items[i];

        reply.items[i] = (ReadItem){.status = item->status};
        if (item->status != STATUS_OK)
            continue;
        reply.items[i].object = object_identity(item->read.merged);
        reply.items[i].held = item->acked | (counting(item) & ~operation_owners(item));
        seal_item(view, operation, item, &reply.items[i]);
    }
    read_reply_encode(actions_frame(view->actions), operation->origin.tag, &reply);
    actions_reply(view->actions, operation->origin.session);
}

static void
end_item(Coordinator *coordinator, const View *view, Operation *operation, Item *item,
         StatusCode status)
{
    assert(item->phase != ITEM_DONE);
    item->phase = ITEM_DONE;
    item->status = status;
    if (--operation->items_open == 0)
    {
        send_read_reply(view, operation);
        operation_end(coordinator, operation);
    }
}

static void
encode_merge(Operation *operation, Item *item)
{
    Buffer bytes;

    if (item->merge.context.count == 0)
        return;
    buffer_init(&bytes, &MEMORY_HEAP);
    object_encode(&bytes, &item->merge);
    item->read.merged = slice_copy(&operation->arena, buffer_slice(&bytes));
    buffer_free(&bytes);
}

/* What the owner has of it beside, to be replaced, is no reason to send it the merge. */
static bool
is_merge(const Item *item, uint32_t place)
{
    return slice_equal(object_identity(item->objects[place]), object_identity(item->read.merged));
}

/* Whose record is damaged may be given the merge in its place, when there is one. */
static uint32_t
mendable(const Item *item)
{
    return item->read.merged.length > 0 ? item->unreadable & operation_owners(item) : 0;
}

/* The owners that have the merge count as having acknowledged it; those that answered something
 * else, or hold what they cannot read, are sent it. Fallbacks are never mended. */
static void
repair_item(Coordinator *coordinator, const View *view, Operation *operation, Item *item)
{
    uint32_t stale = 0;
    Slice mended;

    item->phase = ITEM_SPREADING;
    encode_merge(operation, item);
    mended = item->read.merged;
    for (uint32_t place = 0; place < item->owner_count; place++)
    {
        uint32_t bit = 1u << place;

        if (((item->answered | mendable(item)) & bit) == 0)
            continue;
        if ((item->answered & bit) != 0 && is_merge(item, place))
            item->acked |= bit;
        else
        {
            stale |= bit;
            if (place != item->self)
                operation_send(coordinator, view, operation, item, place, place, mended);
        }
    }
    coordinator->counters.repairs += operation_count(stale);
    if ((stale & 1u << item->self) != 0)
    {
        /* A copy, since the operation may end before the action is run. */
        Update update = {.merge = &item->merge};

        item->sent |= 1u << item->self;
        actions_apply(view->actions, operation->bucket_id, item->position, item->key,
                      update_copy(&view->actions->arena, &update), operation_ref(operation, item));
    }
}

static bool
has_quorum(const Operation *operation, const Item *item)
{
    return operation_count(counting(item)) >= operation->quorum &&
           operation_count(item->answered & operation_owners(item)) >= operation->owner_quorum;
}

/* By other owners it may succeed: who asked is to learn of them. */
static StatusCode
why_not(const Item *item)
{
    return item->moved != 0 ? STATUS_MOVED : STATUS_UNAVAILABLE;
}

static bool
gather_is_over(const View *view, const Operation *operation, const Item *item)
{
    if (operation_gathered(item))
        return true;
    return view->now_ms >= operation->deadline_ms ||
           (has_quorum(operation, item) && view->now_ms >= operation->started_ms + GATHER_GRACE_MS);
}

static void
settle_item(Coordinator *coordinator, const View *view, Operation *operation, Item *item)
{
    /* So many owners that every later read of r owners meets one of them; with too many of them
     * down, all there are. */
    uint32_t answered = operation_count(item->answered & operation_owners(item));
    uint32_t all = item->owner_count - operation->quorum + 1;
    uint32_t enough = operation->quorum > 1 ? (all < answered ? all : answered) : 0;
    uint32_t waiting = item->sent & ~item->acked & ~item->failed;

    if (!has_quorum(operation, item))
        end_item(coordinator, view, operation, item, why_not(item));
    else if (operation->repair_later || operation_count(item->acked) >= enough)
        end_item(coordinator, view, operation, item, STATUS_OK);
    else if (waiting == 0 || view->now_ms >= operation->deadline_ms)
        end_item(coordinator, view, operation, item, why_not(item));
}

void
coordinator_read_progress(Coordinator *coordinator, const View *view, Operation *operation,
                          Item *item)
{
    if (item->phase == ITEM_GATHERING)
    {
        if (!gather_is_over(view, operation, item))
            return;
        operation_merge(operation, item);
        if (!has_quorum(operation, item) || operation_is_stale(view, operation, item))
        {
            end_item(coordinator, view, operation, item, why_not(item));
            return;
        }
        repair_item(coordinator, view, operation, item);
    }
    if (item->phase == ITEM_SPREADING)
    {
        item->failed |= item->moved;
        settle_item(coordinator, view, operation, item);
    }
}

static bool
decode_read(Operation *operation, const Frame *frame, ReadFrame *read)
{
    Frame copy = frame_copy(&operation->arena, frame);

    return read_decode(&copy, &operation->arena, read) && read->key_count < OPERATION_ITEMS_MAX;
}

/* Owners that can be read; too few of them: every fallback too. False: nobody can make a quorum. */
static bool
choose_holders(const View *view, const Operation *operation, Item *item)
{
    uint32_t readable = operation_reachable(view, item);
    uint32_t owners = readable & operation_owners(item);

    if (view->refilling || (view->cannot_write && (owners & ~(1u << item->self)) != 0))
        readable &= ~(1u << item->self);
    owners = readable & operation_owners(item);
    item->to_ask = operation_count(owners) >= operation->quorum ? owners : readable;
    return operation_count(item->to_ask) >= operation->quorum &&
           operation_count(owners) >= operation->owner_quorum;
}

static void
begin_items(Operation *operation, const View *view, const Bucket *bucket, const ReadFrame *read)
{
    operation->items = arena_alloc_zero(&operation->arena, sizeof(Item) * read->key_count);
    operation->item_count = read->key_count;
    for (uint32_t i = 0; i < read->key_count; i++)
    {
        Item *item = &operation->items[i];

        item->key = read->keys[i];
        item->status = operation_place(view, bucket, read->epoch, item);
        if (item->status == STATUS_OK && !choose_holders(view, operation, item))
            item->status = STATUS_UNAVAILABLE;
        item->phase = item->status == STATUS_OK ? ITEM_GATHERING : ITEM_DONE;
        operation->items_open += item->phase != ITEM_DONE;
    }
}

void
coordinator_read(Coordinator *coordinator, const View *view, Origin origin, const Frame *frame)
{
    ReadFrame read;
    Operation *operation = operation_begin(coordinator, view, REF_COORDINATOR_READ, origin, frame);

    if (operation == NULL)
    {
        actions_error(view->actions, origin, STATUS_OVERLOADED, "too many requests are under way");
        return;
    }
    if (!decode_read(operation, frame, &read))
    {
        operation_refuse(coordinator, operation, STATUS_BAD_FRAME, view->actions);
        return;
    }

    const Bucket *bucket = topology_bucket_by_id(view->topology, read.bucket_id);

    if (bucket == NULL)
    {
        operation_refuse(coordinator, operation, step_no_bucket(view, read.bucket_id),
                         view->actions);
        return;
    }
    operation_limit(operation, view, read.timeout_ms);
    operation->bucket_id = read.bucket_id;
    operation->seal = read.seal;
    operation->repair_later = read.repair_later;
    operation->quorum = operation_quorum(bucket, read.r, 1);
    operation->owner_quorum = operation_quorum(bucket, read.pr, 0);
    coordinator->counters.reads += read.key_count;
    begin_items(operation, view, bucket, &read);
    if (operation->items_open == 0)
    {
        send_read_reply(view, operation);
        operation_end(coordinator, operation);
        return;
    }
    operation_gather(view, operation);
    operation_ask_self(operation, view->actions);
}
