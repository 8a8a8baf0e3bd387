/*
 * Handoff: brings what this node owes to the members that it owes it to (Dynamo 4.6), as a step
 * module.
 *
 * As soon as a target is up, the objects that are owed to it are read from the storage page by page
 * and replicated to it. A hint is dropped only after the target has acknowledged the object
 * durably, and only if the object is still the one that was acknowledged; with the last hint an
 * object goes that this node owns none of. What fails stays and is tried again by itself. The rate
 * is the background pool's (node/engine/step/pacer.h).
 */
#ifndef NODE_ENGINE_REPAIR_HANDOFF_H
#define NODE_ENGINE_REPAIR_HANDOFF_H

#include "node/engine/step/pacer.h"
#include "node/engine/step/step.h"

typedef struct Handoff Handoff;

/* How a target is doing, for people. */
typedef struct HandoffStatus
{
    uint64_t handed;           /* hints, since the process began */
    uint64_t handed_bytes;     /* of their objects */
    uint64_t bytes_per_second; /* lately */
    StatusCode failure;        /* the last that was not followed by a success; STATUS_OK: none */
} HandoffStatus;

/* pacer is borrowed. */
Handoff *handoff_new(Pacer *pacer);
void handoff_free(Handoff *handoff);

/* Asks for pages and sends them, as far as few enough are under way. */
void handoff_step(Handoff *handoff, const View *view);

/* When handoff_step is wanted next, at the latest; UINT64_MAX: nothing is owed to anybody. */
uint64_t handoff_wake_ms(const Handoff *handoff, const View *view);

/* Storage's answer to a ref of REF_HANDOFF. */
void handoff_scanned(Handoff *handoff, const View *view, uint64_t ref, StatusCode status,
                     const StoragePage *page);

/* A member's FRAME_REPLICATE_REPLY: what in it answers the coordinator is passed over. */
void handoff_member_frame(Handoff *handoff, const View *view, uint32_t member, const Frame *frame);

/* What the member owes will not come. */
void handoff_member_down(Handoff *handoff, const View *view, uint32_t member);

HandoffStatus handoff_status(const Handoff *handoff, const MemberId *target);

/* Hints handed off since the process began, to anybody. */
uint64_t handoff_total(const Handoff *handoff);

#endif
