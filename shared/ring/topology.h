/*
 * Topology: the one document that says who is in the cluster, who owns what, and which buckets
 * exist.
 *
 * Epochs number the documents; only chosen ones (node/engine/cluster/paxos) are used or sent on. A
 * decoded Topology lives in one arena; its strings are NUL-terminated there.
 *
 * Slots. A member has a number, its slot, from the epoch that took it in, and keeps it: arrays by
 * member are indexed by slot, and what a node holds under a slot between two events is of the same
 * member after a change of epoch. A slot is never given again. The entry of a member that left
 * stays, with nothing but the member's id, so that this id cannot come back.
 *
 * Owners. The claim names a slot for each partition; the preference list of a partition is the
 * distinct slots met on a walk of the claim from there (Dynamo 4.3, 6.2), cut at TOPOLOGY_N_MAX:
 * the first n own a bucket of n replicas there, the rest are its fallbacks in order. While
 * partitions move there are two whole claims, the one in force and the target, and each partition
 * has a step that says which of its two lists counts. A list never mixes the claims, or it would
 * depend on how far the partition's neighbours are.
 */
#ifndef SHARED_RING_TOPOLOGY_H
#define SHARED_RING_TOPOLOGY_H

#include "shared/base/member_id.h"
#include "shared/data/keycodec.h"
#include "shared/ring/ring.h"

typedef enum MemberState
{
    MEMBER_ACTIVE,  /* owns partitions, or may */
    MEMBER_JOINING, /* may own no partition yet: it learns what an owner must know */
    MEMBER_LEAVING, /* hands over what it owns, and leaves when nothing is left */
    MEMBER_GONE,    /* declared dead by a plan: nothing waits for it */
    MEMBER_LEFT     /* a slot that is never given again; all but the id is empty */
} MemberState;

typedef struct Member
{
    MemberId id;
    MemberState state;
    const char *name;
    const char *address; /* numeric; what peers and clients connect to */
    uint16_t port;
    const char *zone; /* "" when none */
    uint32_t weight;
} Member;

typedef enum StagedKind
{
    STAGED_JOIN,    /* a member that is joining gets its share */
    STAGED_LEAVE,   /* hands over what it has, and leaves */
    STAGED_REPLACE, /* a joining member takes what this one has, which leaves, or is gone if dead */
    STAGED_REMOVE,  /* a dead member is given up with what it alone has */
    STAGED_WEIGHT,
    STAGED_ZONE,
    STAGED_ADDRESS,
    STAGED_END /* one past the last kind */
} StagedKind;

/* A change that waits for COMMIT PLAN. */
typedef struct StagedChange
{
    StagedKind kind;
    uint16_t slot;
    uint16_t with;       /* STAGED_REPLACE: who takes over */
    uint32_t weight;     /* STAGED_WEIGHT; at least 1 */
    const char *zone;    /* STAGED_ZONE; "" for none */
    const char *address; /* STAGED_ADDRESS */
    uint16_t port;
} StagedChange;

/* How far a partition's move is; no move: TOPOLOGY_STILL for all partitions. */
typedef enum TopologyStep
{
    TOPOLOGY_STILL,   /* the claim's list counts, and nothing is under way */
    TOPOLOGY_FILLING, /* the claim's list counts; who enters is filled */
    TOPOLOGY_HANDING, /* the target's list counts; who enters holds back until it has proof */
    TOPOLOGY_MOVED    /* the target's list counts; who has left may drop what it holds */
} TopologyStep;

typedef struct BucketColumn
{
    const char *name;
    const char *type; /* as format_type prints it */
} BucketColumn;

typedef struct Bucket
{
    uint32_t id; /* from 1, never reused */
    const char *name;
    uint32_t n;
    KeyType key_types[KEY_COLUMNS_MAX];
    const char *key_names[KEY_COLUMNS_MAX];
    uint32_t key_count;
    BucketColumn *columns;
    uint32_t column_count;
    const char *creator; /* the nodes' user who had it made; "" when that is not known */
} Bucket;

typedef struct Topology
{
    uint64_t epoch;      /* from 1; 0 means none */
    uint64_t fence;      /* the epoch of the last removal: data frames of members that know only an
                            older one are refused; 0: nobody was removed */
    uint8_t cluster[16]; /* drawn when epoch 1 was proposed */
    uint32_t partitions;
    Member *members;       /* by slot */
    uint32_t member_count; /* slots, those of members that left among them */
    uint32_t present;      /* members that have not left; made from members */
    uint16_t *by_id;       /* slots in the order of their ids; made from members */
    uint16_t *claim;       /* by partition: a slot */
    uint16_t *target;      /* likewise; NULL: no partition moves */
    uint8_t *steps;        /* by partition: TopologyStep; NULL as target is */
    uint64_t *changed;     /* by partition: the epoch in which the list that counts, or who is to
                              get copies, was changed last */
    StagedChange *staged;  /* the plan (plan.h), in the order in which it was made */
    uint32_t staged_count;
    uint64_t staged_epoch;    /* the epoch that changed it last: which plan it is; 0: none ever */
    uint64_t committed_epoch; /* which plan was committed last; 0: none ever */
    uint16_t *preference;     /* by partition, preference_length slots each; made from claim */
    uint16_t *target_preference; /* likewise, made from target; NULL as target is */
    uint32_t preference_length;  /* the shorter of the two kinds of lists */
    Bucket *buckets;             /* sorted by id */
    uint32_t bucket_count;
    uint32_t last_bucket_id; /* the highest that was ever given */
    uint32_t *names;         /* a hash table of indexes + 1 of buckets; made from them */
    uint32_t name_slots;
    uint32_t ns; /* bit n: there is a bucket of n replicas; made from them */
} Topology;

enum
{
    TOPOLOGY_SLOTS_MAX = RING_SLOTS_MAX, /* members that a cluster can have had */
    TOPOLOGY_BUCKETS_MAX = 10000,
    TOPOLOGY_BUCKET_IDS_MAX = INT32_MAX, /* higher numbers are storage's own */
    TOPOLOGY_N_MAX = 16,
    TOPOLOGY_STAGED_MAX = 1024,        /* changes in one plan */
    TOPOLOGY_NAME_MAX = 255,           /* bytes of a bucket's name */
    TOPOLOGY_BUCKET_BYTES = 64 * 1024, /* of one bucket's definition */
    TOPOLOGY_BYTES = 16 * 1024 * 1024  /* of a document to which a bucket may still be added */
};

#define TOPOLOGY_NO_MEMBER UINT32_MAX

void topology_encode(Buffer *buffer, const Topology *topology);

/* One bucket, as it stands in a topology and in the frame that asks for it. */
void topology_encode_bucket(Buffer *buffer, const Bucket *bucket);
Bucket topology_decode_bucket(Reader *reader, Arena *arena);
bool topology_decode(Slice bytes, Arena *arena, Topology *topology);

/* The slot of the member that has this id, or name, and has not left; or TOPOLOGY_NO_MEMBER. */
uint32_t topology_member(const Topology *topology, const MemberId *id);
uint32_t topology_member_by_name(const Topology *topology, const char *name);

/* A member of that id has left: the id cannot come back. */
bool topology_has_left(const Topology *topology, const MemberId *id);

/* The slot is that of a member which has not left. */
bool topology_is_present(const Topology *topology, uint32_t slot);

/* Index of the first bucket of that id or a later one; bucket_count: there is none. */
uint32_t topology_bucket_index(const Topology *topology, uint32_t id);
const Bucket *topology_bucket_by_id(const Topology *topology, uint32_t id);
const Bucket *topology_bucket_by_name(const Topology *topology, const char *name);

/* The same change of the same member. */
bool topology_staged_equals(const StagedChange *a, const StagedChange *b);

/* One change, as it stands in a topology and in the frame that stages it. */
void topology_encode_staged(Buffer *buffer, const StagedChange *change);
StagedChange topology_decode_staged(Reader *reader, Arena *arena);

/* Makes names and ns; false when two buckets have one name. Decoding does it. */
bool topology_index_names(Topology *topology, Arena *arena);

/* Makes a first epoch of the members: gives out slots in the order of ids, and claims the ring. */
void topology_claim(Topology *topology, Arena *arena);

/* Why the bucket cannot be added (a sentence without a full stop); NULL: it can. */
const char *topology_bucket_fault(const Topology *topology, const Bucket *bucket);

/* Buckets that come, under new ids, each with a name of its own and no fault; and that go. */
typedef struct TopologyChange
{
    const Bucket *added;
    uint32_t added_count;
    const uint32_t *dropped; /* ids */
    uint32_t dropped_count;
} TopologyChange;

/* Appends the document of epoch + 1, with the change made. */
void topology_encode_change(Buffer *buffer, const Topology *topology, const TopologyChange *change);

/* A bucket of that id was there once, and is no more. */
bool topology_was_dropped(const Topology *topology, uint32_t bucket_id);

/* True when key types, n and key column count are the same. */
bool topology_bucket_agrees(const Bucket *a, const Bucket *b);

/* Where a key is: checks it against the bucket's key types. False: the key is not one of this
 * bucket. */
bool topology_position(const Bucket *bucket, Slice key, uint64_t *position);

/*
 * The preference list of a ring position as slots, owners first, then fallbacks; returns how many.
 * With max of bucket->n these are the owners. It is the list that counts at the partition's step.
 */
uint32_t topology_preference(const Topology *topology, uint64_t position, uint16_t *members,
                             uint32_t max);

/* Likewise the list of the claim, and of the target; where nothing moves they are the same. */
uint32_t topology_old_preference(const Topology *topology, uint64_t position, uint16_t *members,
                                 uint32_t max);
uint32_t topology_new_preference(const Topology *topology, uint64_t position, uint16_t *members,
                                 uint32_t max);
TopologyStep topology_step(const Topology *topology, uint64_t position);

/*
 * Of a partition that moves: the slot is one of the n owners in the target's list alone, or in the
 * claim's. n 0: that is so for the n of some bucket.
 */
bool topology_enters(const Topology *topology, uint32_t partition, uint32_t n, uint32_t slot);
bool topology_leaves(const Topology *topology, uint32_t partition, uint32_t n, uint32_t slot);

/*
 * Who is to be one of the n owners of a position whose partition is being filled, and is not one
 * yet: what is written goes to it too. Returns how many; 0 at any other step.
 */
uint32_t topology_entering(const Topology *topology, uint64_t position, uint32_t n,
                           uint16_t entering[TOPOLOGY_N_MAX]);

/*
 * Whoever chose the owners of the position under that epoch may have chosen others than count now:
 * what it asks must be asked anew, by this topology.
 */
bool topology_has_moved(const Topology *topology, uint64_t position, uint64_t epoch);

/* True when the member is one of the owners there; false too when the bucket is not known. */
bool topology_owns(const Topology *topology, uint32_t bucket_id, uint64_t position,
                   uint32_t member);

/* True when it keeps what it has of the key: it owns it, or is to and is being filled, or did and
 * others take it from there. */
bool topology_keeps(const Topology *topology, uint32_t bucket_id, uint64_t position,
                    uint32_t member);

#endif
