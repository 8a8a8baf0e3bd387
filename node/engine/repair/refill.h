/*
 * Refill: brings a node whose disk is not the one it last ran with back to what the other owners
 * hold, as a step module.
 *
 * Until it is over the node takes and acknowledges writes but answers no read: an acknowledged
 * write may have been on the lost disk and on one other owner alone. So every other owner of every
 * partition that the node owns is compared with, and each row that it may have beyond the own ones
 * merged and durable, before it is over; an owner that is down is waited for, unless a plan has
 * given it up. Where a partition moves these are the owners of the claim and of the target. Scans
 * of peers are answered meanwhile, lest two nodes that refill wait for each other.
 *
 * The owners of a partition come one after the other. The digest of one's rows is compared with
 * that of the own tree: for all of the partition, then, where they are not equal and both have
 * much, for each of the parts below, and so on. What is equal is done once it is durable. What is
 * not equal and small, or in doubt, is copied row by row; so is what an empty disk lacks, from the
 * first owner, and the others' digests are equal then.
 */
#ifndef NODE_ENGINE_REPAIR_REFILL_H
#define NODE_ENGINE_REPAIR_REFILL_H

#include "node/engine/step/step.h"

typedef struct Refill Refill;

/* Plans the compares for the topology in force; refill_step() plans buckets that come later, and
 * partitions whose owners change. */
Refill *refill_new(const View *view);
void refill_free(Refill *refill);

/* True when nothing is missing any more. */
bool refill_is_done(const Refill *refill);

/* Asks for digests and pages, as far as few enough are under way. */
void refill_step(Refill *refill, const View *view);

/* A FRAME_SCAN_REPLY or FRAME_ERROR of a member, under a ticket of REF_REFILL. */
void refill_member_frame(Refill *refill, const View *view, uint32_t member, const Frame *frame);

/* Storage's answers to refs of REF_REFILL. */
void refill_merged(Refill *refill, uint64_t ref, StatusCode status);
void refill_durable(Refill *refill, uint64_t ref, StatusCode status);

/* What the member owes will not come. */
void refill_member_down(Refill *refill, uint32_t member);

/* Owners of partitions planned and compared, for people. */
uint32_t refill_planned(const Refill *refill);
uint32_t refill_finished(const Refill *refill);

#endif
