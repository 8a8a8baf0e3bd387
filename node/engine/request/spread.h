/*
 * Spread: who is to hold what a write has stamped, and who is owed it (Dynamo 4.6), for
 * coordinator_write.c alone.
 *
 * Every owner that is up is sent the object. For each that is not, the next healthy member of the
 * preference list stands in: it keeps the object with a hint, in one durable write, and its
 * acknowledgement counts for that owner. Where there is no such member, and for each owner that has
 * not acknowledged in the end, this node keeps the hint: so an unacknowledged replicate is always a
 * hint somewhere; or, when this node keeps all the hints it may, the owner is marked as one that
 * has missed something (coordinator_take_missed). Who is to become an owner, since the key's
 * partition moves, is sent the object as well: it counts for nothing, and is owed nothing. A
 * coordinator that is no owner itself keeps hints
 * for all, and drops those that it turns out not to need.
 */
#ifndef NODE_ENGINE_REQUEST_SPREAD_H
#define NODE_ENGINE_REQUEST_SPREAD_H

#include "node/engine/request/operation.h"

/* Could so many acknowledgements come, as things stand? Asked before anything is written. */
bool spread_can_reach(const View *view, const Operation *operation, const Item *item);

/* Chooses stand-ins for the owners that are down, and adds to the item's update the hints that are
 * to be written with the object here. */
void spread_plan(Coordinator *coordinator, const View *view, Operation *operation, Item *item);

/* Sends the object that storage has settled. */
void spread_send(Coordinator *coordinator, const View *view, Operation *operation, Item *item,
                 Slice object);

/* Sends it again when a member has refused it because the owners were changed, once this node knows
 * of that: if they are the same as before, as where a partition begins to be filled. If they are
 * not, or the object is not kept, that member has failed. */
void spread_place_again(Coordinator *coordinator, const View *view, Operation *operation,
                        Item *item);

/* Sends it to further stand-ins, for owners that have failed since. */
void spread_mend(Coordinator *coordinator, const View *view, Operation *operation, Item *item);

/* True when w, pw and confirms are met; when they can no longer be. */
bool spread_is_met(const View *view, const Operation *operation, const Item *item);
bool spread_is_hopeless(const Operation *operation, const Item *item);

/* True when waiting brings nothing more: each owner has the object or somebody keeps a hint for it,
 * or nobody owes an acknowledgement. */
bool spread_is_over(const Item *item);

/* Writes the hints that are missing, and drops those that are not needed. */
void spread_settle(Coordinator *coordinator, const View *view, Operation *operation, Item *item);

/* This node owes so much already that it keeps no further hint. */
bool spread_is_full(const View *view);

#endif
