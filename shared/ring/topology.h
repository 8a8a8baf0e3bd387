/*
 * Topology: the one document that says who is in the cluster, who owns what, and which buckets
 * exist.
 *
 * Numbered by epoch. Only chosen documents (node/engine/cluster/paxos) are used or sent on. A
 * decoded Topology lives in one arena; its strings are NUL-terminated there.
 */
#ifndef SHARED_RING_TOPOLOGY_H
#define SHARED_RING_TOPOLOGY_H

#include "shared/base/member_id.h"
#include "shared/data/keycodec.h"
#include "shared/ring/ring.h"

typedef struct Member
{
    MemberId id;
    const char *name;
    const char *address; /* numeric; what peers and clients connect to */
    uint16_t port;
    const char *zone; /* "" when none */
    uint32_t weight;
} Member;

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
    uint8_t cluster[16]; /* drawn when epoch 1 was proposed */
    uint32_t partitions;
    Member *members; /* sorted by id */
    uint32_t member_count;
    uint16_t *claim;            /* partitions entries: indexes into members */
    uint16_t *preference;       /* by partition, preference_length members each; made from claim */
    uint32_t preference_length; /* members that own a partition: all, unless there are too many */
    Bucket *buckets;            /* sorted by id */
    uint32_t bucket_count;
    uint32_t last_bucket_id; /* the highest that was ever given */
    uint32_t *names;         /* a hash table of indexes + 1 of buckets; made from them */
    uint32_t name_slots;
} Topology;

enum
{
    TOPOLOGY_BUCKETS_MAX = 10000,
    TOPOLOGY_BUCKET_IDS_MAX = INT32_MAX, /* higher numbers are storage's own */
    TOPOLOGY_N_MAX = 16,
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

/* Index of the member, or TOPOLOGY_NO_MEMBER. */
uint32_t topology_member(const Topology *topology, const MemberId *id);
uint32_t topology_member_by_name(const Topology *topology, const char *name);

/* Index of the first bucket of that id or a later one; bucket_count: there is none. */
uint32_t topology_bucket_index(const Topology *topology, uint32_t id);
const Bucket *topology_bucket_by_id(const Topology *topology, uint32_t id);
const Bucket *topology_bucket_by_name(const Topology *topology, const char *name);

/* Makes names; false when two buckets have one name. Decoding does it. */
bool topology_index_names(Topology *topology, Arena *arena);

/* Claims the ring for the members (sorted here by id) of a first epoch. */
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

/*
 * Epoch + 1 with one bucket added, which borrows from neither; or the reason why not in *why.
 */
bool topology_add_bucket(const Topology *topology, const Bucket *bucket, Arena *arena,
                         Topology *next, const char **why);

/* A bucket of that id was there once, and is no more. */
bool topology_was_dropped(const Topology *topology, uint32_t bucket_id);

/* True when key types, n and key column count are the same. */
bool topology_bucket_agrees(const Bucket *a, const Bucket *b);

/* Where a key is: checks it against the bucket's key types. False: the key is not one of this
 * bucket. */
bool topology_position(const Bucket *bucket, Slice key, uint64_t *position);

/*
 * The preference list of a ring position as member indexes, owners first, then fallbacks; returns
 * how many. With max of bucket->n these are the owners.
 */
uint32_t topology_preference(const Topology *topology, uint64_t position, uint16_t *members,
                             uint32_t max);

/* True when the member is one of the owners there; false too when the bucket is not known. */
bool topology_owns(const Topology *topology, uint32_t bucket_id, uint64_t position,
                   uint32_t member);

#endif
