/* How fast each member answers, estimated without keeping the waits, and what follows from it: when
 * a frame is hedged, and how long an overloaded member is left alone. */
#include "shared/ask/request_asker.h"

#include "shared/base/hash.h"

enum
{
    FRACTION = 1024,     /* of a millisecond */
    LONGEST_MS = 60000,  /* longer waits count as this */
    FIRST_SAMPLES = 17,  /* of which the longest but the first is taken */
    STEPS = 8,           /* a step is this part of the estimate */
    SMALLEST_STEP = 256, /* a quarter of a millisecond */
    STEP_PARTS = 20,     /* one of them downwards, the rest upwards: 95 in 100 */
    READ_TAILS = 2,      /* of them a read is given before it is hedged */
    WRITE_TAILS = 8,
    PAUSE_MIN_MS = 10,
    PAUSE_DOUBLINGS = 4,
    DRIFT = 1024 /* one part of so many, at most, is what two clocks drift apart */
};

/* Small and large frames differ by what a member has to read and to sync, so each class has a
 * percentile of its own. */
static uint32_t
class_of(const RequestAskerFrame *frame)
{
    uint32_t size = frame->keys <= 1 ? 0 : frame->keys <= 8 ? 1 : frame->keys <= 64 ? 2 : 3;

    return frame->is_write ? REQUEST_SIZES + size : size;
}

/* A stochastic estimate of the 95th percentile: up by 19 parts for a longer wait, down by one for a
 * shorter, so that the two balance where one wait in twenty is longer. The step is a part of the
 * estimate, since waits range from under a millisecond to seconds. */
void
request_asker_add_wait(RequestAsker *asker, const RequestAskerFrame *frame, uint64_t waited_ms)
{
    RequestAskerMember *known = &asker->members[frame->member];
    uint32_t class = class_of(frame);
    uint32_t *tail = &known->tail[class];
    uint32_t wait = (uint32_t)(waited_ms < LONGEST_MS ? waited_ms : LONGEST_MS) * FRACTION;
    uint32_t step = *tail / STEPS > SMALLEST_STEP ? *tail / STEPS : SMALLEST_STEP;

    if (known->samples[class] < FIRST_SAMPLES)
    {
        /* The very first wait was for the connection too. */
        if (known->samples[class]++ > 0)
            *tail = wait > *tail ? wait : *tail;
    }
    else if (wait > *tail)
        *tail += step / STEP_PARTS * (STEP_PARTS - 1);
    else
        *tail -= *tail > step / STEP_PARTS ? step / STEP_PARTS : *tail;
}

/* Nothing is concluded from fewer than FIRST_SAMPLES waits: a hedge costs the cluster as much as
 * the read. */
uint64_t
request_asker_hedge_ms(const RequestAsker *asker, const RequestAskerFrame *frame, uint64_t most_ms)
{
    const RequestAskerMember *known = &asker->members[frame->member];
    uint32_t class = class_of(frame);
    uint64_t tails = frame->is_write ? WRITE_TAILS : READ_TAILS;
    uint64_t least = frame->is_write ? REQUEST_WRITE_HEDGE_MIN_MS : REQUEST_HEDGE_MIN_MS;
    uint64_t after = (tails * known->tail[class] + FRACTION - 1) / FRACTION;

    if (known->samples[class] < FIRST_SAMPLES)
        return most_ms;
    if (after < least)
        after = least;
    return after < most_ms ? after : most_ms;
}

/* Drawn from the seed and the last tag, since shared/ has no randomness of its own (S10): askers
 * that were all sent away at one moment come back apart. */
uint64_t
request_asker_pause_ms(const RequestAsker *asker, uint32_t nth)
{
    uint64_t base = (uint64_t)PAUSE_MIN_MS << (nth < PAUSE_DOUBLINGS ? nth : PAUSE_DOUBLINGS);
    uint64_t drawn[] = {asker->seed, asker->last_tag};

    return base + hash_table(slice_make(drawn, sizeof(drawn))) % base;
}

uint64_t
request_asker_now_ms(const RequestAsker *asker, uint64_t request_now_ms)
{
    return asker->clock != NULL ? asker->clock() : request_now_ms;
}

void
request_asker_set_clock(RequestAsker *asker, uint32_t member, uint64_t clock_ms, uint64_t now_ms)
{
    RequestAskerMember *known = &asker->members[member];

    if (clock_ms == 0)
        return;
    known->clock_ms = clock_ms;
    known->clock_at_ms = now_ms;
}

/* Rounded against the asker, by what two clocks drift apart in that time: a node must never take a
 * late frame for an early one. */
uint64_t
request_asker_clock_ms(const RequestAsker *asker, uint32_t member, uint64_t now_ms)
{
    const RequestAskerMember *known = &asker->members[member];
    uint64_t passed_ms = now_ms > known->clock_at_ms ? now_ms - known->clock_at_ms : 0;

    if (known->clock_ms == 0)
        return 0;
    return known->clock_ms + passed_ms - (passed_ms + DRIFT - 1) / DRIFT;
}
