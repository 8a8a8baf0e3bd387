/*
 * vclock: dots and version vectors (Dynamo 4.4; dotted version vectors, Preguica et al. 2010).
 *
 * A dot names one event: the counter-th stamp of one epoch of one run of a process (the actor). A
 * version vector maps (actor, epoch) to the highest counter seen. Entries are kept sorted by
 * (actor, epoch), each pair once, so that equal vectors have equal bytes.
 */
#ifndef SHARED_DATA_VCLOCK_H
#define SHARED_DATA_VCLOCK_H

#include "shared/base/bytes.h"

typedef struct Actor
{
    uint8_t id[16]; /* drawn at random at every start of a process, never stored as "mine" */
} Actor;

typedef struct Dot
{
    Actor actor;
    uint64_t epoch;   /* count of this actor's run; from 1 */
    uint64_t counter; /* from 1 */
} Dot;

typedef struct VClock
{
    Dot *entries; /* counter: the highest seen of (actor, epoch) */
    uint32_t count;
} VClock;

typedef enum VClockOrder
{
    VCLOCK_EQUAL,
    VCLOCK_BEFORE, /* the second has seen all of the first, and more */
    VCLOCK_AFTER,
    VCLOCK_CONCURRENT
} VClockOrder;

/* Orders by actor, epoch, counter. */
int dot_compare(const Dot *a, const Dot *b);

/* The highest counter seen of (actor, epoch), 0 when none. */
uint64_t vclock_counter(const VClock *clock, const Actor *actor, uint64_t epoch);
bool vclock_covers(const VClock *clock, const Dot *dot);
VClockOrder vclock_compare(const VClock *a, const VClock *b);

/* How many events it covers: of two vectors of which one covers the other, the larger has more. */
uint64_t vclock_weight(const VClock *clock);

/* The least vector that covers both. */
VClock vclock_merge(Arena *arena, const VClock *a, const VClock *b);

/* The clock with dot covered as well. */
VClock vclock_add(Arena *arena, const VClock *clock, const Dot *dot);

void vclock_encode(Buffer *buffer, const VClock *clock);

/* Fails the reader when entries are out of order, doubled or zero. */
VClock vclock_decode(Reader *reader, Arena *arena);

#endif
