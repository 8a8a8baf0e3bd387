/*
 * Refill: brings a node whose disk is not the one it last ran with back to what the other owners
 * hold, as a step module.
 *
 * Until it is over the node takes and acknowledges writes but answers no read: an acknowledged
 * write may have been on the lost disk and on one other owner alone. So every other owner of every
 * partition that the node owns is scanned whole, and each row merged and durable, before it is
 * over; an owner that is down is waited for. Scans of peers are answered meanwhile, lest two nodes
 * that refill wait for each other.
 */
#ifndef NODE_REFILL_H
#define NODE_REFILL_H

#include "node/step.h"

typedef struct Refill Refill;

/* Plans the copying for the topology in force; refill_step() plans buckets that come later. */
Refill *refill_new(const View *view);
void refill_free(Refill *refill);

/* True when everything was copied. */
bool refill_is_done(const Refill *refill);

/* Asks for pages, as far as few enough are under way. */
void refill_step(Refill *refill, const View *view, Actions *actions);

/* A FRAME_SCAN_REPLY or FRAME_ERROR of a member; false when it answers no question of ours. */
bool refill_member_frame(Refill *refill, const View *view, uint32_t member, const Frame *frame,
                         Actions *actions);

/* Storage's answers to refs of REF_REFILL. */
void refill_merged(Refill *refill, uint64_t ref, StatusCode status);
void refill_durable(Refill *refill, uint64_t ref, StatusCode status);

/* What the member owes will not come. */
void refill_member_down(Refill *refill, uint32_t member);

/* Scans planned and finished, for people. */
uint32_t refill_planned(const Refill *refill);
uint32_t refill_finished(const Refill *refill);

#endif
