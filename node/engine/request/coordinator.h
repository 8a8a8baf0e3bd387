/*
 * Coordinator: carries out clients' writes and coordinated reads of keys that this node owns
 * (Dynamo 4.5), as a step module.
 *
 * Write: stamp and merge here, send the whole merged object to the other owners while the own sync
 * runs, answer when w owners have it durably. A write marked as a retry first asks the reachable
 * owners what they hold, so that a request id that one of them knows is not stamped again. Failure
 * modes: fewer than w owners reachable before stamping is a refusal, nothing was written;
 * afterwards every failure to reach w is unknown. Coordinated read: full objects from every
 * reachable owner, merged when at least r have answered; owners that answered something older get
 * the merge, and the answer waits until n-r+1 owners have it durably: then no later read of r
 * owners can miss what this one saw.
 *
 * Replicates of one turn are gathered by target and leave in coordinator_flush().
 */
#ifndef NODE_ENGINE_REQUEST_COORDINATOR_H
#define NODE_ENGINE_REQUEST_COORDINATOR_H

#include "node/engine/step/step.h"

typedef struct Coordinator Coordinator;

typedef struct CoordinatorCounters
{
    uint64_t writes;
    uint64_t writes_refused;
    uint64_t writes_unknown;
    uint64_t writes_retried;
    uint64_t siblings_warned;
    uint64_t siblings_refused;
    uint64_t reads;
    uint64_t repairs;
    uint64_t hints_refused; /* owners of a key that got neither the key nor a hint */
    uint64_t write_frames;  /* answered */
    uint64_t write_ms;      /* what that took, of all together */
} CoordinatorCounters;

Coordinator *coordinator_new(void);
void coordinator_free(Coordinator *coordinator);

/* A FRAME_WRITE, or a FRAME_READ in coordinated mode, of a client. */
void coordinator_write(Coordinator *coordinator, const View *view, Origin origin,
                       const Frame *frame);
void coordinator_read(Coordinator *coordinator, const View *view, Origin origin,
                      const Frame *frame);

/* Answers of storage to refs of REF_COORDINATOR_WRITE and REF_COORDINATOR_READ. */
void coordinator_merged(Coordinator *coordinator, const View *view, uint64_t ref, StatusCode status,
                        Slice object);
void coordinator_durable(Coordinator *coordinator, const View *view, uint64_t ref,
                         StatusCode status);
void coordinator_fetched(Coordinator *coordinator, const View *view, uint64_t ref,
                         StatusCode status, Slice object);

/* A FRAME_REPLICATE_REPLY, FRAME_READ_REPLY or FRAME_ERROR of another member. */
void coordinator_member_frame(Coordinator *coordinator, const View *view, uint32_t member,
                              const Frame *frame);

/* What the member owes will not come, and what it answered counts no more for clients that are not
 * answered yet. */
void coordinator_member_down(Coordinator *coordinator, const View *view, uint32_t member);
void coordinator_tick(Coordinator *coordinator, const View *view);
uint64_t coordinator_wake_ms(const Coordinator *coordinator);
void coordinator_flush(Coordinator *coordinator, const View *view);

/* Logs the worst of the writes that left more siblings than the node warns of, once a minute. */
void coordinator_warn_of_siblings(Coordinator *coordinator, const View *view);

/* True when, since it was asked last, a write has left the member without its object and without a
 * hint for it, because this node keeps all the hints it may: only a comparison finds out. */
bool coordinator_take_missed(Coordinator *coordinator, uint32_t member);

/* Is anything under way, for clients or behind their backs, with keys of the partition? */
bool coordinator_is_busy(const Coordinator *coordinator, const View *view, TreeId id);

/* Operations under way. */
uint32_t coordinator_load(const Coordinator *coordinator);

/* Of them, those whose client waits for its answer; and the bytes of all their frames. */
uint32_t coordinator_unanswered(const Coordinator *coordinator);
uint64_t coordinator_bytes(const Coordinator *coordinator);
CoordinatorCounters coordinator_counters(const Coordinator *coordinator);

#endif
