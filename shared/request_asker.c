#include "shared/request_asker.h"

#include "shared/hash.h"

enum
{
    FRACTION = 1024,     /* of a millisecond */
    LONGEST_MS = 60000,  /* longer waits count as this */
    FIRST_SAMPLES = 17,  /* of which the longest but the first is taken */
    STEPS = 8,           /* a step is this part of the estimate */
    SMALLEST_STEP = 256, /* a quarter of a millisecond */
    STEP_PARTS = 20,     /* one of them downwards, the rest upwards: 95 in 100 */
    PAUSE_MIN_MS = 10,
    PAUSE_DOUBLINGS = 4
};

static uint32_t
size_class(uint32_t keys)
{
    return keys <= 1 ? 0 : keys <= 8 ? 1 : keys <= 64 ? 2 : 3;
}

void
request_asker_note_wait(RequestAsker *asker, uint32_t member, uint32_t keys, uint64_t waited_ms)
{
    RequestMember *known = &asker->members[member];
    uint32_t class = size_class(keys);
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

uint64_t
request_asker_hedge_ms(const RequestAsker *asker, uint32_t member, uint32_t keys, uint64_t most_ms)
{
    const RequestMember *known = &asker->members[member];
    uint32_t class = size_class(keys);
    uint64_t after = (2 * (uint64_t)known->tail[class] + FRACTION - 1) / FRACTION;

    if (known->samples[class] < FIRST_SAMPLES)
        return most_ms;
    if (after < REQUEST_HEDGE_MIN_MS)
        after = REQUEST_HEDGE_MIN_MS;
    return after < most_ms ? after : most_ms;
}

uint64_t
request_asker_pause_ms(const RequestAsker *asker, uint32_t nth)
{
    uint64_t base = (uint64_t)PAUSE_MIN_MS << (nth < PAUSE_DOUBLINGS ? nth : PAUSE_DOUBLINGS);
    uint64_t drawn[] = {asker->seed, asker->last_tag};

    return base + hash_table(slice_make(drawn, sizeof(drawn))) % base;
}
