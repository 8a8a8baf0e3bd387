/*
 * What writes and coordinated reads have in common: slots, items, preference lists, gathering the
 * owners' objects.
 */
#include "node/engine/request/operation.h"

#include <assert.h>
#include <string.h>

static Operation *
add_slot(Coordinator *coordinator)
{
    uint32_t slot = coordinator->slot_count;

    if (slot == OPERATIONS_MAX)
        return NULL;
    if ((slot & (slot - 1)) == 0)
    {
        size_t capacity = slot ? (size_t)slot * 2 : 1;

        coordinator->slots =
            memory_resize(&MEMORY_HEAP, coordinator->slots, capacity * sizeof(Operation *));
        coordinator->free_slots =
            memory_resize(&MEMORY_HEAP, coordinator->free_slots, capacity * sizeof(uint32_t));
    }

    Operation *operation = memory_resize(&MEMORY_HEAP, NULL, sizeof(Operation));

    *operation = (Operation){.slot = slot};
    arena_init(&operation->arena, &MEMORY_HEAP);
    coordinator->slots[coordinator->slot_count++] = operation;
    return operation;
}

Operation *
operation_begin(Coordinator *coordinator, const View *view, RefOwner kind, Origin origin,
                const Frame *frame)
{
    Operation *operation;

    if (coordinator->free_count > 0)
        operation = coordinator->slots[coordinator->free_slots[--coordinator->free_count]];
    else
        operation = add_slot(coordinator);
    if (operation == NULL)
        return NULL;
    assert(!operation->live);
    operation->kind = kind;
    operation->live = true;
    operation->ticket = tickets_draw(&coordinator->tickets, operation->slot);
    operation->origin = origin;
    operation->seal = false;
    operation->answered = false;
    operation->linger_ms = UINT64_MAX;
    operation->started_ms = view->now_ms;
    operation->deadline_ms = view->now_ms + view->request_timeout_ms;
    operation->items = NULL;
    operation->item_count = operation->items_open = operation->items_unsettled = 0;
    operation->frame_bytes = frame->body.length;
    coordinator->live_count++;
    coordinator->live_bytes += operation->frame_bytes;
    return operation;
}

void
operation_answer(Coordinator *coordinator, Operation *operation)
{
    assert(operation->live && !operation->answered);
    operation->answered = true;
    coordinator->answered_count++;
}

void
operation_end(Coordinator *coordinator, Operation *operation)
{
    assert(operation->live);
    operation->live = false;
    tickets_end(&coordinator->tickets, operation->ticket);
    arena_reset(&operation->arena);
    coordinator->free_slots[coordinator->free_count++] = operation->slot;
    coordinator->live_count--;
    coordinator->live_bytes -= operation->frame_bytes;
    coordinator->answered_count -= operation->answered;
}

void
operation_limit(Operation *operation, const View *view, uint32_t timeout_ms)
{
    if (timeout_ms > 0 && timeout_ms < view->request_timeout_ms)
        operation->deadline_ms = view->now_ms + timeout_ms;
}

void
operation_refuse(Coordinator *coordinator, Operation *operation, StatusCode status,
                 Actions *actions)
{
    actions_error(actions, operation->origin, status, "");
    operation_end(coordinator, operation);
}

uint32_t
operation_quorum(const Bucket *bucket, uint32_t asked, uint32_t least)
{
    if (asked < least)
        return least;
    return asked > bucket->n ? bucket->n : asked;
}

uint32_t
operation_count(uint32_t places)
{
    return (uint32_t)__builtin_popcount(places);
}

uint64_t
operation_ref(const Operation *operation, const Item *item)
{
    return ticket_ref(operation->kind, operation->ticket, (uint32_t)(item - operation->items));
}

/* NULL when it has ended, or is of another kind. */
static Operation *
find_operation(Coordinator *coordinator, RefOwner kind, uint32_t ticket)
{
    uint32_t slot = tickets_find(&coordinator->tickets, ticket);
    Operation *operation = slot != TICKET_NO_SLOT ? coordinator->slots[slot] : NULL;

    return operation != NULL && operation->kind == kind ? operation : NULL;
}

Operation *
operation_of_tag(Coordinator *coordinator, uint32_t tag)
{
    return find_operation(coordinator, ticket_tag_owner(tag), ticket_tag_number(tag));
}

Operation *
operation_of(Coordinator *coordinator, uint64_t ref, Item **item)
{
    uint32_t index = ticket_ref_item(ref);
    Operation *operation =
        find_operation(coordinator, ticket_ref_owner(ref), ticket_ref_number(ref));

    if (operation == NULL || index >= operation->item_count)
        return NULL;
    *item = &operation->items[index];
    return operation;
}

StatusCode
operation_place(const View *view, const Bucket *bucket, uint64_t epoch, Item *item)
{
    if (item->key.length > view->max_key_bytes)
        return STATUS_TOO_LARGE;
    if (!topology_position(bucket, item->key, &item->position))
        return STATUS_BAD_KEY;
    if (topology_has_moved(view->topology, item->position, epoch))
        return STATUS_MOVED;
    item->placed = view->topology->epoch;
    item->round = rounds_label(view->rounds, view->topology, bucket->id, item->position);
    item->member_count =
        (uint8_t)topology_preference(view->topology, item->position, item->members, TOPOLOGY_N_MAX);
    item->owner_count = (uint8_t)(bucket->n < item->member_count ? bucket->n : item->member_count);

    int place = operation_member_place(item, view->self);

    if (place < 0)
        return STATUS_NOT_OWNER;
    item->self = (uint8_t)place;
    return STATUS_OK;
}

bool
operation_place_again(const View *view, Item *item)
{
    uint16_t members[TOPOLOGY_N_MAX];
    uint32_t count = topology_preference(view->topology, item->position, members, TOPOLOGY_N_MAX);

    if (count != item->member_count ||
        memcmp(members, item->members, sizeof(uint16_t) * count) != 0)
        return false;
    item->placed = view->topology->epoch;
    return true;
}

int
operation_member_place(const Item *item, uint32_t member)
{
    for (int place = 0; place < item->member_count; place++)
    {
        if (item->members[place] == member)
            return place;
    }
    return -1;
}

uint32_t
operation_owners(const Item *item)
{
    return (1u << item->owner_count) - 1;
}

uint32_t
operation_reachable(const View *view, const Item *item)
{
    uint32_t places = 0;

    for (uint32_t place = 0; place < item->member_count; place++)
    {
        if (view->up[item->members[place]])
            places |= 1u << place;
    }
    return places;
}

uint32_t
operation_holders(const View *view, const Item *item)
{
    uint32_t reachable = operation_reachable(view, item);
    uint32_t places = reachable & operation_owners(item);
    uint32_t missing = item->owner_count - operation_count(places);

    for (uint32_t place = item->owner_count; place < item->member_count && missing > 0; place++)
    {
        if ((reachable & 1u << place) == 0)
            continue;
        places |= 1u << place;
        missing--;
    }
    return places;
}

/* The items whose next ask of member is due. */
static uint32_t
collect_keys(Operation *operation, uint32_t member, Slice *keys)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < operation->item_count; i++)
    {
        Item *item = &operation->items[i];
        int place = item->phase == ITEM_GATHERING ? operation_member_place(item, member) : -1;

        if (place >= 0 && (item->to_ask & 1u << place) != 0)
        {
            item->asked |= 1u << place;
            keys[count++] = item->key;
        }
    }
    return count;
}

void
operation_gather(const View *view, Operation *operation)
{
    Slice *keys = ARENA_ARRAY(&operation->arena, Slice, operation->item_count);

    for (uint32_t member = 0; member < view->topology->member_count; member++)
    {
        if (member == view->self || !view->up[member])
            continue;

        uint32_t count = collect_keys(operation, member, keys);
        ReadFrame read = {.epoch = view->topology->epoch,
                          .bucket_id = operation->bucket_id,
                          .mode = READ_FULL,
                          .whole = true,
                          .timeout_ms = (uint32_t)(operation->deadline_ms - view->now_ms),
                          .keys = keys,
                          .key_count = count};

        if (count == 0)
            continue;
        read_encode(actions_frame(view->actions), ticket_tag(operation->kind, operation->ticket),
                    &read);
        actions_send(view->actions, member);
    }
}

void
operation_ask_self(Operation *operation, Actions *actions)
{
    for (uint32_t i = 0; i < operation->item_count; i++)
    {
        Item *item = &operation->items[i];

        if (item->phase != ITEM_GATHERING || (item->to_ask & 1u << item->self) == 0)
            continue;
        item->asked |= 1u << item->self;
        actions_read(actions, operation->bucket_id, item->position, item->key,
                     operation_ref(operation, item));
    }
}

bool
operation_gathered(const Item *item)
{
    return (item->answered | item->asking_failed) == item->asked;
}

bool
operation_is_spreading(const Operation *operation, const Item *item)
{
    if (operation->kind == REF_COORDINATOR_WRITE && item->phase == ITEM_DONE)
        return !item->write.settled;
    return item->phase == ITEM_SPREADING;
}

void
operation_take_object(Operation *operation, Item *item, uint32_t place, const ReadItem *answer)
{
    uint32_t bit = 1u << place;

    if ((item->asked & bit) == 0 || ((item->answered | item->asking_failed) & bit) != 0)
        return;
    if (answer->status != STATUS_OK)
    {
        item->asking_failed |= bit;
        item->moved |= answer->status == STATUS_MOVED ? bit : 0;
        item->unreadable |= answer->status == STATUS_CORRUPT ? bit : 0;
        return;
    }
    if (item->objects == NULL)
        item->objects = arena_alloc_zero(&operation->arena, sizeof(Slice) * item->member_count);
    item->objects[place] = slice_copy(&operation->arena, answer->object);
    item->answered |= bit;
    if (answer->round < item->round)
        item->round = answer->round;
    if (answer->floor > item->floor)
        item->floor = answer->floor;
}

/* The round that is behind is one of theirs, or the own one. */
static void
notice_members(const View *view, const Operation *operation, const Item *item)
{
    step_learn_round(view, operation->bucket_id, item->position, item->floor);
    for (uint32_t place = 0; place < item->member_count; place++)
    {
        if (place != item->self && (item->answered & 1u << place) != 0)
            step_notice_round(operation->bucket_id, item->position, item->floor,
                              item->members[place], view->actions);
    }
}

bool
operation_is_stale(const View *view, const Operation *operation, const Item *item)
{
    uint64_t floor = rounds_floor(view->rounds, view->topology, view->self, operation->bucket_id,
                                  item->position);
    Item told = *item;

    if (item->floor > floor)
        floor = item->floor;
    if (item->round >= floor)
        return false;
    told.floor = floor;
    notice_members(view, operation, &told);
    return true;
}

/* Looked for in each object by itself: in their merge it may be gone, replaced by a write that saw
 * it. */
static bool
holds_put(const Object *object, const Put *put)
{
    for (uint32_t i = 0; i < put->value_count; i++)
    {
        if (object_find(object, &put->values[i].request) != NULL)
            return true;
    }
    return false;
}

void
operation_merge(Operation *operation, Item *item)
{
    item->merge = (Object){0};
    for (uint32_t place = 0; place < item->member_count; place++)
    {
        uint32_t bit = 1u << place;
        Object object;

        if ((item->answered & bit) == 0 || item->objects[place].length == 0)
            continue;
        if (object_decode(item->objects[place], &operation->arena, &object))
        {
            if (operation->kind == REF_COORDINATOR_WRITE && holds_put(&object, &item->write.put))
                item->write.known = true;
            item->merge = object_merge(&operation->arena, &item->merge, &object);
        }
        else
        {
            item->answered &= ~bit;
            item->asking_failed |= bit;
        }
    }
}

static Outbox *
outbox_of(Coordinator *coordinator, uint32_t member)
{
    while (coordinator->outbox_count <= member)
    {
        coordinator->outboxes = memory_resize(&MEMORY_HEAP, coordinator->outboxes,
                                              (coordinator->outbox_count + 1) * sizeof(Outbox));
        outbox_init(&coordinator->outboxes[coordinator->outbox_count++]);
    }
    return &coordinator->outboxes[member];
}

void
operation_send_copy(Coordinator *coordinator, const View *view, const Operation *operation,
                    const Item *item, uint32_t member, Slice object)
{
    ReplicateItem replicate = {.ref = REF_NOBODY,
                               .placed = item->placed,
                               .bucket_id = operation->bucket_id,
                               .round = item->round,
                               .key = item->key,
                               .object = object};

    if (member != view->self && view->up[member])
        outbox_put(outbox_of(coordinator, member), &replicate);
}

void
operation_send(Coordinator *coordinator, const View *view, Operation *operation, Item *item,
               uint32_t place, uint32_t hint_for, Slice object)
{
    uint32_t member = item->members[place];
    ReplicateItem replicate = {.ref = operation_ref(operation, item),
                               .placed = item->placed,
                               .bucket_id = operation->bucket_id,
                               .is_hinted = hint_for != place,
                               .hint_for = view->topology->members[item->members[hint_for]].id,
                               .round = item->round,
                               .key = item->key,
                               .object = object};

    if (!view->up[member])
    {
        item->failed |= 1u << place;
        return;
    }
    outbox_put(outbox_of(coordinator, member), &replicate);
    item->sent |= 1u << place;
}
