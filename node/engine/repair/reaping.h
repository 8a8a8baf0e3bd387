/*
 * Reaping: forgets tombstones, and version vectors' entries of finished runs, in rounds that prove
 * that nothing older is left anywhere; a step module.
 *
 * A round is of one partition of one bucket, and is tried by the first of its owners that is up:
 *  look     it scans its own rows for candidates; where there are none, nothing is tried;
 *  prepare  a number higher than any that was heard of goes to itself, then to the other owners,
 *           then to every other member. Each writes it down as the one under which it sends from
 *           now on (`cleared`, node/engine/store/rounds.h) and says whether it is clean: whole,
 *           of the same epoch, no hint kept for anybody, nothing of the partition under way, no
 *           row of it unless it is an owner; an owner's tree settled, and its root that of the
 *           others;
 *  raise    all were clean: the owners raise their `round` to the number, durably, and refuse
 *           what is labelled less from then on;
 *  reap     the coordinator reaps its candidates, as far as they are what they were, and has the
 *           other owners reap those.
 * Whatever fails ends the attempt; another one is made later under another number.
 *
 * Why nothing comes back. Let a be the number of a round that was raised, T a tombstone (or an
 * entry) that it reaps, v a version that T covers.
 *  P1  At the moment each owner called itself clean it held T durably, since all roots were equal,
 *      and T was a candidate before and had not changed when the coordinator reaped it. So what is
 *      read at an owner from then on, merged with T, holds no v.
 *  P2  What is labelled a or more was read after its reader, and everybody whose answer it merged,
 *      had called itself clean for a: labels are taken before the reading, and a coordinator's is
 *      the least of its sources'. Members that are no owners held nothing then, and since then
 *      refuse what is labelled less than a. So by P1 it holds no v, nor has anybody else by merging
 *      such things.
 *  P3  What is labelled less than a meets T until all owners have raised, and is refused after.
 *  P4  A member may send under a number for which it never called itself clean, as long as its
 *      data are whole: nothing is reaped in that round, for its own answer is missing.
 *  P5  Data that were set back carry the older numbers, and their node learns no others before it
 *      is filled, but from an owner's answer and with nothing older left (orphans.h); so what it
 *      has is refused. Who gives that answer does not raise afterwards what it had prepared before:
 *      no round passes by what the lost data had called clean.
 *  P6  Every member is asked to prepare, whether it ever owned the partition or not, and writes the
 *      number down; one that joins has asked for what was prepared before (joining.h). So whoever
 *      comes to own a partition has cleared no less than any a that was raised, and raises its
 *      round to that before it takes anything. While the partition moves no round passes.
 * A crash between two owners' reaping leaves T on some: compares or read repairs bring it back to
 * the others, and a later round reaps it. Nothing is ever decided by a clock: while a member is
 * down no round passes, for however long.
 */
#ifndef NODE_ENGINE_REPAIR_REAPING_H
#define NODE_ENGINE_REPAIR_REAPING_H

#include "node/engine/step/pacer.h"
#include "node/engine/step/step.h"

typedef struct Reaping Reaping;

typedef enum ReapState
{
    REAP_RESTING, /* nothing to do that is known of */
    REAP_WAITING, /* there are candidates: tried again later */
    REAP_LOOKING,
    REAP_PREPARING,
    REAP_RAISING,
    REAP_REAPING
} ReapState;

/* How it stands with a partition that this node has coordinated, since the process began. */
typedef struct ReapStatus
{
    TreeId id;
    uint64_t round; /* the last that was raised here; 0: none */
    ReapState state;
    ReapVerdict why;     /* the last attempt failed; REAP_CLEAN: it did not */
    MemberId whose;      /* at which member */
    uint64_t candidates; /* rows that the last look found */
    uint64_t reaped;     /* tombstones, in keys */
    uint64_t retired;    /* entries of version vectors */
    uint64_t passed_ms;  /* wall clock of the last round that passed; 0: none has */
} ReapStatus;

/* Is anything of the partition under way that other steps know of? */
typedef bool (*ReapingIsBusy)(void *context, const View *view, TreeId id);

/* interval_ms: between two looks at a partition; 0: none is ever made. pacer is borrowed. */
Reaping *reaping_new(uint64_t interval_ms, Pacer *pacer, ReapingIsBusy is_busy, void *context);
void reaping_free(Reaping *reaping);
void reaping_set_interval(Reaping *reaping, uint64_t interval_ms);

/* Begins what is due, ends what takes too long. */
void reaping_step(Reaping *reaping, const View *view);
uint64_t reaping_wake_ms(const Reaping *reaping, const View *view);

/* A FRAME_REAP_PREPARE, .._RAISE or .._ROWS of another member. */
void reaping_session_frame(Reaping *reaping, const View *view, Origin origin, const Frame *frame);

/* What a member answered. */
void reaping_member_frame(Reaping *reaping, const View *view, uint32_t member, const Frame *frame);

/* Storage's answers to refs of REF_REAPING. */
void reaping_scanned(Reaping *reaping, const View *view, uint64_t ref, StatusCode status,
                     const StoragePage *page);
void reaping_merged(Reaping *reaping, const View *view, uint64_t ref, StatusCode status,
                    Slice object);
void reaping_durable(Reaping *reaping, const View *view, uint64_t ref, StatusCode status);

/* Looks at all partitions now. */
void reaping_request(Reaping *reaping);

uint32_t reaping_status_count(const Reaping *reaping);
ReapStatus reaping_status(const Reaping *reaping, const View *view, uint32_t index);

/* For people: "preparing". */
const char *reaping_state_name(ReapState state);

#endif
