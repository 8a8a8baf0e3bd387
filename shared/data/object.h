/*
 * Object: what a node stores for a key, a context and the siblings that are alive under it
 * (Dynamo 4.4).
 *
 * Invariants:
 *  O1  the context covers every dot of every sibling;
 *  O2  every sibling has at least one dot, its dots are sorted, and no dot stands in two siblings;
 *  O3  siblings are sorted by (written_at_ms, request), each request id once; a sibling is as old
 * as its oldest dot. So equal objects have equal bytes;
 *  O4  no sibling is of an id that was replaced.
 *
 * object_merge is a join: commutative, associative, idempotent. A dot survives unless the other
 * side's context covers it and the other side no longer has it; a sibling survives while one of its
 * dots does; siblings with one request id are one sibling with the dots of both. (A rule that let
 * one covered dot kill a sibling's other dots would depend on the order of merges.) Whole objects
 * travel, never deltas: a version vector would claim siblings that the receiver lacks.
 *
 * Beside what it is, an object says what was replaced: the request ids that the last puts had seen.
 * A write may be stamped a second time after its first stamp was replaced, by a frame that came
 * late, and no context covers that dot. So a merge drops, on either side, siblings of ids that one
 * of the sides says were replaced; their dots count as seen. These ids travel wherever the object
 * does, but to clients, and are no part of what it is: of no digest, and of no comparison.
 */
#ifndef SHARED_DATA_OBJECT_H
#define SHARED_DATA_OBJECT_H

#include "shared/base/hash.h"
#include "shared/data/vclock.h"

typedef struct RequestId
{
    uint8_t bytes[16]; /* names one value of one write, for ever */
} RequestId;

/* Orders two RequestIds, as qsort and bsearch ask for it. */
int request_id_compare(const void *a, const void *b);

typedef struct RequestIds
{
    const RequestId *ids;
    uint32_t count;
} RequestIds;

typedef struct Sibling
{
    RequestId request;
    uint64_t written_at_ms; /* wall clock of the stamping node, for people: orders no events */
    uint64_t *dot_times_ms; /* the same by dot; NULL: written_at_ms for each */
    bool tombstone;
    Slice value; /* empty for a tombstone */
    Dot *dots;
    uint32_t dot_count;
} Sibling;

typedef struct Object
{
    VClock context;
    Sibling *siblings;
    uint32_t sibling_count;
    RequestIds *replaced; /* by put, about the latest first; none is empty */
    uint32_t replaced_count;
} Object;

enum
{
    OBJECT_REPLACED_KEPT = 8 /* puts, of which a record keeps what they replaced */
};

/* Borrows the values of both. Has what either says was replaced. */
Object object_merge(Arena *arena, const Object *a, const Object *b);

/* What a reader of the object has seen, as an object without siblings: theirs are the latest ids
 * that it says were replaced. */
Object object_past(Arena *arena, const Object *object);

/* What a write that saw past leaves of the object. The ids of all that it drops are among those
 * that were replaced. */
Object object_overwrite(Arena *arena, const Object *object, const Object *past);

/* Adds ids as those that one more put, older than the others, replaced; drops their siblings. */
void object_add_replaced(Arena *arena, Object *object, const RequestIds *ids);

/* The request ids of its siblings. */
RequestIds object_requests(Arena *arena, const Object *object);

/* The sibling of that request id, or NULL. */
const Sibling *object_find(const Object *object, const RequestId *request);

/* Restores O3 after siblings were added by hand. */
void object_sort(Object *object);

/* Siblings that are values, not tombstones. */
uint32_t object_live_count(const Object *object);

void object_encode(Buffer *buffer, const Object *object);

/* Of an encoded object, all that it is, without what was replaced: as clients get it, and as two
 * are compared. Decodes to an object too. Empty, as of an absent one, when it has seen nothing. */
Slice object_identity(Slice bytes);
Digest object_digest(Slice bytes);

/* The siblings of an encoded object, tombstones included, without a look at them; 0 when it cannot
 * be read. */
uint32_t object_encoded_siblings(Slice bytes, Arena *arena);

/* False on bytes that no encoder made: every invariant is checked. Borrows values from bytes. */
bool object_decode(Slice bytes, Arena *arena, Object *object);

#endif
