/*
 * reap: what of an object may be forgotten once all owners are proved to hold it alike
 * (node/engine/repair/reaping.h), pure.
 *
 * An object of tombstones alone goes whole. Of any other object the entries of its context go that
 * stand for finished runs: their actor is none of live, which are the present runs of all members,
 * and no sibling has a dot of theirs. Such an entry is needed only against versions that it covers,
 * and the proof says that these are nowhere any more.
 */
#ifndef SHARED_DATA_REAP_H
#define SHARED_DATA_REAP_H

#include "shared/data/object.h"

typedef struct Reap
{
    Digest digest; /* of the object that was proved; any other stays as it is */
    bool dead;     /* it was tombstones alone: a record that cannot be read in its place goes too */
    bool whole;    /* the record goes as it is, whatever it has and owes: it is kept elsewhere */
    const Actor *live;
    uint32_t live_count;
} Reap;

/* True when nothing but tombstones is left of it. */
bool reap_is_dead(const Object *object);

/* How many entries of its context may go. */
uint32_t reap_entries(const Object *object, const Reap *reap, Arena *arena);

/* The context without them. */
VClock reap_context(const Object *object, const Reap *reap, Arena *arena);

#endif
