/*
 * request_asker: what one asker (a backend, a client) keeps from request to request: the tags it
 * has given, and how its members answer.
 *
 * Hedging (Dean and Barroso, "The tail at scale"): a read is sent to a second member once the first
 * has taken longer than nearly all its answers do. For each member, and for small and large frames
 * apart, the asker follows the 95th percentile of the waits, without keeping them: a wait above the
 * estimate lifts it by 19 parts of a step, one below lowers it by one, so that it rests where one
 * wait in twenty is longer. A wait that was cut short by a hedge counts as longer, as it is.
 *
 * A write is sent to a second coordinator much later than a read: it costs all owners a read, and
 * shows as an extra sibling where the first one's value was replaced and forgotten meanwhile.
 */
#ifndef SHARED_ASK_REQUEST_ASKER_H
#define SHARED_ASK_REQUEST_ASKER_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/ring/ring.h"

enum
{
    REQUEST_SIZES = 4, /* classes of frames, by their keys: 1, up to 8, up to 64, more */
    REQUEST_CLASSES = 2 * REQUEST_SIZES, /* of reads, then of writes */
    REQUEST_HEDGE_MIN_MS = 3, /* no read is hedged sooner: the clocks of askers are coarse */
    REQUEST_WRITE_HEDGE_MIN_MS = 100
};

typedef struct RequestAskerMember
{
    uint64_t heard_ms;                /* the last answer; 0: none yet */
    uint64_t clock_ms;                /* its clock, as it said last; 0: it has said nothing yet */
    uint64_t clock_at_ms;             /* when that came, by the asker's own clock */
    uint32_t tail[REQUEST_CLASSES];   /* the percentile, in 1/1024 ms */
    uint8_t samples[REQUEST_CLASSES]; /* of the first few */
} RequestAskerMember;

/*
 * No two frames in flight have one tag, and a member that answers any request is not silent,
 * however long the others must wait in its queue. All zero at first, but for the seed.
 */
typedef struct RequestAsker
{
    uint32_t last_tag;
    uint64_t seed; /* any number of the asker's own: askers that were sent away together come back
                      apart */
    uint64_t (*clock)(void); /* in ms, as it runs whatever requests wait for; NULL: as requests are
                                told the time */
    RequestAskerMember members[RING_SLOTS_MAX]; /* by slot */
} RequestAsker;

/* A frame as hedging sees it. */
typedef struct RequestAskerFrame
{
    uint32_t member;
    uint32_t keys;
    bool is_write;
} RequestAskerFrame;

/* The asker's own clock, for a request that is told this time. */
uint64_t request_asker_now_ms(const RequestAsker *asker, uint64_t request_now_ms);

/*
 * A member's clock, as of now: what it said last, and the time that has passed since, less what two
 * clocks may drift apart. So the time that the member reads when a frame comes, less this one, is
 * never less than the frame took. 0: the member has said nothing yet.
 */
void request_asker_set_clock(RequestAsker *asker, uint32_t member, uint64_t clock_ms,
                             uint64_t now_ms);
uint64_t request_asker_clock_ms(const RequestAsker *asker, uint32_t member, uint64_t now_ms);

/* Takes into the estimate that the frame was answered, or was hedged, after waited_ms. */
void request_asker_add_wait(RequestAsker *asker, const RequestAskerFrame *frame,
                            uint64_t waited_ms);

/*
 * The silence after which the frame is hedged: a read after twice the percentile, but not before
 * REQUEST_HEDGE_MIN_MS, a write after eight times, but not before REQUEST_WRITE_HEDGE_MIN_MS; at
 * most_ms at the latest, and as long as too little is known.
 */
uint64_t request_asker_hedge_ms(const RequestAsker *asker, const RequestAskerFrame *frame,
                                uint64_t most_ms);

/* How long to leave a member alone that has answered STATUS_OVERLOADED for the nth time (from 0):
 * 10 to 20 ms, then twice that and so on up to 160 to 320. */
uint64_t request_asker_pause_ms(const RequestAsker *asker, uint32_t nth);

#endif
