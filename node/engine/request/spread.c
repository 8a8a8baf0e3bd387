/*
 * Chooses stand-ins, counts acknowledgements by owner, and sees to it that every owner that did not
 * acknowledge is owed a hint by somebody.
 */
#include "node/engine/request/spread.h"

#include <string.h>

static bool
is_owner(const Item *item, uint32_t place)
{
    return place < item->owner_count;
}

static bool
has_stand_in(const Item *item, uint32_t owner)
{
    return item->write.stand_ins[owner] != owner;
}

static uint32_t
bit_of(uint32_t place)
{
    return 1u << place;
}

/* ---- choosing ---- */

bool
spread_can_reach(const View *view, const Operation *operation, const Item *item)
{
    uint32_t reachable = operation_reachable(view, item);
    uint32_t owners = operation_count(reachable & operation_owners(item));
    uint32_t fallbacks = operation_count(reachable & ~operation_owners(item));
    uint32_t missing = item->owner_count - owners;

    return owners + (fallbacks < missing ? fallbacks : missing) >= operation->quorum &&
           owners >= operation->owner_quorum;
}

static uint32_t
stand_ins_in_use(const Item *item)
{
    uint32_t places = 0;

    for (uint32_t owner = 0; owner < item->owner_count; owner++)
    {
        if (has_stand_in(item, owner))
            places |= bit_of(item->write.stand_ins[owner]);
    }
    return places;
}

/* The next healthy fallback that is free to stand in; this node first, when it is one. */
static bool
choose_stand_in(const View *view, Item *item, uint32_t owner)
{
    uint32_t taken = stand_ins_in_use(item) | item->failed;

    if (!is_owner(item, item->self) && (taken & bit_of(item->self)) == 0)
    {
        item->write.stand_ins[owner] = item->self;
        return true;
    }
    for (uint32_t place = item->owner_count; place < item->member_count; place++)
    {
        if ((taken & bit_of(place)) != 0 || place == item->self || !view->up[item->members[place]])
            continue;
        item->write.stand_ins[owner] = (uint8_t)place;
        return true;
    }
    return false;
}

bool
spread_is_full(const View *view)
{
    return view->hints->bytes >= view->hints_max_bytes;
}

/* Or a mark, when there are too many; but what this node has of others has no other way home. */
static void
add_hint(Coordinator *coordinator, const View *view, const Item *item, uint32_t owner,
         HintChange *hints, uint32_t *count)
{
    if (spread_is_full(view) && is_owner(item, item->self))
    {
        coordinator->missed[item->members[owner]] = true;
        coordinator->counters.hints_refused++;
        return;
    }
    hints[(*count)++] = (HintChange){.target = view->topology->members[item->members[owner]].id,
                                     .now_ms = view->wall_ms};
}

void
spread_plan(Coordinator *coordinator, const View *view, Operation *operation, Item *item)
{
    HintChange hints[TOPOLOGY_N_MAX];

    for (uint32_t owner = 0; owner < item->owner_count; owner++)
    {
        bool up = view->up[item->members[owner]];

        item->write.stand_ins[owner] = (uint8_t)owner;
        if (!up)
            item->failed |= bit_of(owner);
        if ((!up && !choose_stand_in(view, item, owner)) || !is_owner(item, item->self))
        {
            add_hint(coordinator, view, item, owner, hints, &item->write.update.hint_count);
            item->write.hinted |= bit_of(owner);
        }
    }
    item->write.update.hints =
        arena_copy(&operation->arena, hints, sizeof(HintChange) * item->write.update.hint_count);
}

/* ---- sending ---- */

/* Who is to own the key when its partition has moved gets it now; what it misses, it is filled with
 * before it counts. */
static void
send_to_entering(Coordinator *coordinator, const View *view, const Operation *operation,
                 const Item *item, Slice object)
{
    uint16_t entering[TOPOLOGY_N_MAX];
    uint32_t count = topology_entering(view->topology, item->position, item->owner_count, entering);

    for (uint32_t i = 0; i < count; i++)
        operation_send_copy(coordinator, view, operation, item, entering[i], object);
}

void
spread_send(Coordinator *coordinator, const View *view, Operation *operation, Item *item,
            Slice object)
{
    item->write.stamped = true;
    if (view->topology->present > item->owner_count)
        item->write.object = slice_copy(&operation->arena, object);
    for (uint32_t owner = 0; owner < item->owner_count; owner++)
    {
        uint32_t stand_in = item->write.stand_ins[owner];

        if (owner != item->self && (item->failed & bit_of(owner)) == 0)
            operation_send(coordinator, view, operation, item, owner, owner, object);
        if (stand_in != owner && stand_in != item->self)
            operation_send(coordinator, view, operation, item, stand_in, owner, object);
    }
    send_to_entering(coordinator, view, operation, item, object);
}

/* The owner that a place is sent the object for. */
static uint32_t
sent_for(const Item *item, uint32_t place)
{
    for (uint32_t owner = 0; owner < item->owner_count; owner++)
    {
        if (owner != place && item->write.stand_ins[owner] == place)
            return owner;
    }
    return place;
}

void
spread_mend(Coordinator *coordinator, const View *view, Operation *operation, Item *item)
{
    for (uint32_t owner = 0; owner < item->owner_count; owner++)
    {
        uint32_t stand_in = item->write.stand_ins[owner];

        if (item->write.object.length == 0 || (item->failed & bit_of(owner)) == 0 ||
            (stand_in != owner && (item->failed & bit_of(stand_in)) == 0))
            continue;
        item->write.stand_ins[owner] = (uint8_t)owner;
        if (choose_stand_in(view, item, owner) && item->write.stand_ins[owner] != item->self)
            operation_send(coordinator, view, operation, item, item->write.stand_ins[owner], owner,
                           item->write.object);
    }
}

/* ---- counting ---- */

/* Places that have it, or may yet. */
static uint32_t
owners_among(const Item *item, uint32_t places)
{
    uint32_t count = 0;

    for (uint32_t owner = 0; owner < item->owner_count; owner++)
        count += (places & (bit_of(owner) | bit_of(item->write.stand_ins[owner]))) != 0;
    return count;
}

static bool
is_first_of_zone(const View *view, const Item *item, uint32_t place)
{
    const char *zone = view->topology->members[item->members[place]].zone;

    for (uint32_t other = 0; other < place && zone[0] != '\0'; other++)
    {
        if ((item->acked & bit_of(other)) != 0 &&
            strcmp(view->topology->members[item->members[other]].zone, zone) == 0)
            return false;
    }
    return true;
}

static uint32_t
zones_acked(const View *view, const Item *item)
{
    uint32_t count = 0;

    for (uint32_t place = 0; place < item->member_count; place++)
        count += (item->acked & bit_of(place)) != 0 && is_first_of_zone(view, item, place);
    return count;
}

bool
spread_is_met(const View *view, const Operation *operation, const Item *item)
{
    return owners_among(item, item->acked) >= operation->quorum &&
           operation_count(item->acked & operation_owners(item)) >= operation->owner_quorum &&
           (operation->zone_quorum == 0 || zones_acked(view, item) >= operation->zone_quorum);
}

/* Who has been given it and may still acknowledge. */
static uint32_t
awaited(const Item *item)
{
    return (item->sent | bit_of(item->self)) & ~item->acked & ~item->failed;
}

/* Also to members that have not answered yet: what they were sent they may refuse. */
void
spread_place_again(Coordinator *coordinator, const View *view, Operation *operation, Item *item)
{
    uint32_t again = awaited(item) & ~bit_of(item->self);

    if (item->moved == 0 || !topology_has_moved(view->topology, item->position, item->placed))
        return;
    if (item->write.object.length == 0 || !operation_place_again(view, item))
    {
        item->failed |= item->moved & ~item->acked;
        item->moved = 0;
        return;
    }
    item->moved = 0;
    for (uint32_t place = 0; place < item->member_count; place++)
    {
        if ((again & bit_of(place)) != 0)
            operation_send(coordinator, view, operation, item, place, sent_for(item, place),
                           item->write.object);
    }
    send_to_entering(coordinator, view, operation, item, item->write.object);
}

bool
spread_is_hopeless(const Operation *operation, const Item *item)
{
    uint32_t possible = item->acked | awaited(item);

    if (!item->write.stamped)
        return false;
    return awaited(item) == 0 || owners_among(item, possible) < operation->quorum ||
           operation_count(possible & operation_owners(item)) < operation->owner_quorum;
}

/* ---- settling ---- */

static uint32_t
uncovered(const Item *item)
{
    uint32_t places = 0;

    for (uint32_t owner = 0; owner < item->owner_count; owner++)
    {
        if ((item->acked & (bit_of(owner) | bit_of(item->write.stand_ins[owner]))) == 0)
            places |= bit_of(owner);
    }
    return places & ~item->write.hinted;
}

/* A coordinator that is no owner waits for all: it would rather drop its hints than hand them off.
 */
bool
spread_is_over(const Item *item)
{
    return awaited(item) == 0 || (is_owner(item, item->self) && uncovered(item) == 0);
}

static void
apply_hints(const View *view, const Operation *operation, const Item *item, const HintChange *hints,
            uint32_t count)
{
    Update update = {.hints = hints,
                     .hint_count = count,
                     .unowned = !topology_keeps(view->topology, operation->bucket_id,
                                                item->position, view->self)};

    if (count > 0)
        actions_apply(view->actions, operation->bucket_id, item->position, item->key,
                      update_copy(&view->actions->arena, &update), REF_NOBODY);
}

static void
drop_needless(const View *view, const Operation *operation, const Item *item)
{
    HintChange hints[TOPOLOGY_N_MAX];
    Digest acknowledged = object_digest(item->write.object);
    uint32_t count = 0;

    for (uint32_t owner = 0; owner < item->owner_count; owner++)
    {
        if ((item->acked & item->write.hinted & bit_of(owner)) != 0)
            hints[count++] =
                (HintChange){.target = view->topology->members[item->members[owner]].id,
                             .drop = true,
                             .acknowledged = acknowledged};
    }
    apply_hints(view, operation, item, hints, count);
}

void
spread_settle(Coordinator *coordinator, const View *view, Operation *operation, Item *item)
{
    HintChange hints[TOPOLOGY_N_MAX];
    uint32_t missing = uncovered(item) & ~bit_of(item->self);
    uint32_t count = 0;

    for (uint32_t owner = 0; owner < item->owner_count; owner++)
    {
        if ((missing & bit_of(owner)) != 0)
            add_hint(coordinator, view, item, owner, hints, &count);
    }
    apply_hints(view, operation, item, hints, count);
    if (!is_owner(item, item->self))
        drop_needless(view, operation, item);
}
