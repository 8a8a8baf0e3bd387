/*
 * update: the pure change that storage runs on the object it holds; stamping and merging are here
 * and nowhere else.
 *
 * A Record is what a node keeps for a key: the object, and beside it (never inside, never sent,
 * never set by a merge) the Stamp: under which actor, epoch and counter this node itself last
 * stamped the key. A counter is continued only when that actor is the present run's and nothing has
 * brought a higher counter for it; otherwise a new epoch is opened. So an object that was lost,
 * restored, cloned or unreadable never leads to a dot being used twice.
 *
 * A record that cannot be decoded is never taken for an absent one: a put on it is refused. A merge
 * takes its place, which is how another owner's object mends it: nothing that is refused could be
 * read by anybody, and what is stamped on the new record is of a new epoch. One that no other owner
 * has an object for is forgotten (node/engine/repair/unreadable.h).
 *
 * Also beside it stand the Hints: to which members this node owes the object, because they had not
 * acknowledged it (Dynamo 4.6). They are written with the object, in one durable write.
 *
 * The cap on siblings binds puts alone, never a merge: replicas must be able to become equal. It is
 * decided on the record at hand, so a coordinator that has missed siblings which others hold lets a
 * put pass that they would have refused. That is meant: asking the others first would make every
 * put a read, and the next coordinator that knows them all refuses.
 */
#ifndef SHARED_DATA_UPDATE_H
#define SHARED_DATA_UPDATE_H

#include "shared/data/reap.h"
#include "shared/base/member_id.h"

typedef struct Run
{
    Actor actor;    /* of this start of the process */
    uint64_t epoch; /* the last epoch opened */
} Run;

typedef struct Stamp
{
    Actor actor;
    uint64_t epoch; /* 0: this node never stamped the key */
    uint64_t counter;
} Stamp;

typedef struct PutValue
{
    RequestId request;
    bool tombstone;
    Slice value;
} PutValue;

/*
 * A client's write of one key: values replace what past has seen and stand beside what it has
 * not. When one of the request ids is already a sibling, or was replaced, nothing is stamped: a
 * write that arrives twice is one write.
 */
typedef struct Put
{
    Object past; /* what its context has seen: no siblings */
    PutValue *values;
    uint32_t value_count;  /* at least 1 */
    uint32_t siblings_max; /* refuse to leave more, tombstones included; 0: any number */
    uint64_t now_ms;       /* wall clock, for people */
    uint64_t until_ms;     /* by the clock of UpdateMemory: not stamped later; 0: whenever */
} Put;

/* The object is owed to target. */
typedef struct Hint
{
    MemberId target;
    uint64_t bytes;    /* of the object when the hint was made */
    uint64_t since_ms; /* wall clock, for people */
} Hint;

typedef struct HintChange
{
    MemberId target;
    bool drop;           /* else it is added, unless it is there */
    Digest acknowledged; /* drop: what target has durably; the hint stays when the object is another
                            by now */
    uint64_t now_ms;     /* add: wall clock */
} HintChange;

/*
 * First merge is merged into the object, then put is stamped on it, then hints are added and
 * dropped; merge and put may be NULL. All are borrowed. reap stands alone: with it there is nothing
 * else, and a record that owes a hint stays as it is.
 */
typedef struct Update
{
    const Object *merge;
    const Put *put;
    const HintChange *hints;
    uint32_t hint_count;
    const Reap *reap; /* NULL: nothing is reaped */

    /* Stands alone too. The digest of a record that cannot be read: the record is removed if it
     * still has that digest. NULL: none is removed. */
    const Digest *unreadable;
    bool unowned; /* this node does not own the key: the record goes with its last hint */
} Update;

/*
 * A record keeps the ids that the last OBJECT_REPLACED_KEPT puts replaced; a record that is removed
 * keeps none. This is who remembers older ids for a while (node/engine/store/recall.h): it is asked
 * for them, and is given those that leave the record now.
 */
typedef struct UpdateMemory
{
    bool (*has)(const void *context, const RequestId *request);
    const void *context;
    uint64_t now_ms;        /* of a clock that never goes back */
    const RequestIds *gone; /* by put, in the arena */
    uint32_t gone_count;

    /* An id that was replaced may be told only together with what replaced it, hence only with
     * states of the record whose context weighs as much as this; UINT64_MAX: with none. */
    uint64_t gone_weight;
    bool is_removed; /* the record is removed: the weight is that of all its ids, older ones too */
} UpdateMemory;

typedef enum UpdateResult
{
    UPDATE_CHANGED,   /* out has the new record; nothing when the record is to be removed */
    UPDATE_REPLACED,  /* the same, but what was there before could not be decoded */
    UPDATE_UNCHANGED, /* the record already says so */
    /* From here on nothing was changed, the merge included: */
    UPDATE_CORRUPT, /* the stored bytes cannot be decoded, and no merge takes their place */
    UPDATE_LATE,    /* the put would be stamped, and it is too late for that */
    UPDATE_CROWDED  /* the put would leave more than siblings_max siblings, and no fewer than there
                       are */
} UpdateResult;

/*
 * Applies update to the stored record (empty when the key is unknown) and appends the new record to
 * out; nothing when it is refused. *object is set to the encoded object inside out->data: valid
 * until out changes. memory NULL: nothing is remembered beside the records.
 */
UpdateResult update_apply(Run *run, Slice record, const Update *update, UpdateMemory *memory,
                          Arena *arena, Buffer *out, Slice *object);

/* The object's bytes inside a record; false when the record cannot be read. */
bool update_record_object(Slice record, Slice *object);

/* The record's hints in the arena, and how many; 0 too when the record cannot be read. */
uint32_t update_record_hints(Slice record, Arena *arena, Hint **hints);

/* False at once for nearly all records. */
bool update_record_has_hints(Slice record);

/* A deep copy, for a store that must wait before it applies. */
Update *update_copy(Arena *arena, const Update *update);

#endif
