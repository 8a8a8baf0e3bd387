/*
 * Joining: what a member that joins learns and writes down before it may own anything, as a step
 * module. See P6 of node/engine/repair/reaping.h.
 *
 * It asks all members that are up how far reaping has come, bucket by bucket, and takes the highest
 * number of each partition as the one under which it sends. One answer is enough, of a member that
 * does not join itself, whose data are whole and which knows this one as a member: what was raised
 * before had been prepared there, and what is prepared there later is prepared here too. A number
 * that is too high does no harm, since there is nothing here that could be sent under it.
 */
#ifndef NODE_ENGINE_REPAIR_JOINING_H
#define NODE_ENGINE_REPAIR_JOINING_H

#include "node/engine/step/step.h"

typedef struct Joining Joining;

Joining *joining_new(void);
void joining_free(Joining *joining);

/* This node joins, and has written down how far reaping has come everywhere. */
bool joining_is_done(const Joining *joining);

void joining_step(Joining *joining, const View *view);
uint64_t joining_wake_ms(const Joining *joining);

/* What a member answered to a FRAME_REAP_ROUNDS with a tag of REF_JOINING. */
void joining_member_frame(Joining *joining, const View *view, uint32_t member, const Frame *frame);

/* Storage's answers to refs of REF_JOINING. */
void joining_durable(Joining *joining, uint64_t ref, StatusCode status);

#endif
