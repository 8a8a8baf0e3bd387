/*
 * Rounds: how far the reaping of each partition of each bucket has come on this node (see
 * node/engine/repair/reaping.h), pure.
 *
 * Two numbers a partition, which only grow. Under `cleared` this node sends: an object that leaves
 * it is labelled with what cleared was before the object was read. Below its floor it refuses: an
 * owner what is older than `round`, any other member what is older than `cleared`, since it would
 * send that on under a newer label. Both are kept by the store beside the data, so that data which
 * are set back are set back with what they may claim.
 *
 * A row stands under ROUNDS_BUCKET; its value begins with two zero bytes, so that nobody takes it
 * for a record.
 */
#ifndef NODE_ENGINE_STORE_ROUNDS_H
#define NODE_ENGINE_STORE_ROUNDS_H

#include "node/engine/store/trees.h"

/* The bucket number under which a store keeps rounds, which no bucket has. */
#define ROUNDS_BUCKET (UINT32_MAX - 1)

/* The bucket number of orphans' records: see node/engine/repair/orphans.h. */
#define ORPHANS_BUCKET (UINT32_MAX - 2)

typedef struct Round
{
    TreeId id;
    uint64_t round;   /* raised: what is older is refused by an owner */
    uint64_t cleared; /* the highest number heard of */
    uint64_t
        held; /* refused below, while rows are being set aside (node/engine/repair/orphans.h) */
    uint64_t noted;    /* the highest number that the store was given to keep */
    uint64_t prepared; /* this run has proved itself clean for that number; 0: for none */
} Round;

typedef struct Rounds
{
    Round *entries; /* sorted by bucket and partition */
    uint32_t count;
    uint32_t capacity;
    uint64_t changes; /* grows with each change of a label */
} Rounds;

void rounds_free(Rounds *rounds);

/* Takes in a row that was found on the disk; false when it is none. */
bool rounds_load(Rounds *rounds, Slice key, Slice value);

/* The row as the store is to keep it. */
void rounds_row(const Round *round, Buffer *key, Buffer *value);

/* All zero when there is none. rounds may be NULL, which has none. */
Round rounds_of(const Rounds *rounds, TreeId id);

/* How often a label has changed; rounds may be NULL. */
uint64_t rounds_changes(const Rounds *rounds);

/* The numbers are at least these from now on. */
void rounds_raise(Rounds *rounds, TreeId id, uint64_t round, uint64_t cleared);

/* Refuses what is older than number, and goes on sending under the old label. */
void rounds_hold(Rounds *rounds, TreeId id, uint64_t number);

/* What the store is to keep, with cleared no less than that: no row takes back what one before it
 * said. */
Round rounds_note(Rounds *rounds, TreeId id, uint64_t cleared);

/* This run is clean for the number, which is the highest heard of. */
void rounds_prepare(Rounds *rounds, TreeId id, uint64_t number);

/* What this run has prepared of the bucket and not raised is void: somebody asks what was reaped
 * (node/engine/repair/orphans.h). */
void rounds_take_back(Rounds *rounds, uint32_t bucket_id);

/* Where a position lies. */
TreeId rounds_id(const Topology *topology, uint32_t bucket_id, uint64_t position);

/* What an object of that place that is read from now on is to be labelled with. */
uint64_t rounds_label(const Rounds *rounds, const Topology *topology, uint32_t bucket_id,
                      uint64_t position);

/* What is labelled less is not to be merged there. self: the own member number. */
uint64_t rounds_floor(const Rounds *rounds, const Topology *topology, uint32_t self,
                      uint32_t bucket_id, uint64_t position);

#endif
