/*
 * What a topology is asked: who is a member, which buckets there are, who owns a position; and the
 * first claim. topology_codec.c has the document.
 */
#include "shared/ring/topology_private.h"

#include "shared/base/hash.h"
#include "shared/ring/claim.h"
#include "shared/ring/claim.h"

#include <stdlib.h>
#include <string.h>

enum
{
    NAME_SLOTS_LEAST = 8 /* a power of two */
};

/* ---- members ---- */

static int
compare_members(const void *a, const void *b)
{
    return memcmp(&((const Member *)a)->id, &((const Member *)b)->id, sizeof(MemberId));
}

static int
compare_slots(const void *a, const void *b, void *members)
{
    return compare_members((const Member *)members + *(const uint16_t *)a,
                           (const Member *)members + *(const uint16_t *)b);
}

bool
topology_index_members(Topology *topology, Arena *arena)
{
    uint32_t count = topology->member_count;

    topology->present = 0;
    topology->by_id = ARENA_ARRAY(arena, uint16_t, count);
    for (uint32_t i = 0; i < count; i++)
    {
        topology->by_id[i] = (uint16_t)i;
        topology->present += topology->members[i].state != MEMBER_LEFT;
    }
    qsort_r(topology->by_id, count, sizeof(uint16_t), compare_slots, topology->members);
    for (uint32_t i = 1; i < count; i++)
    {
        if (compare_slots(&topology->by_id[i - 1], &topology->by_id[i], topology->members) == 0)
            return false;
    }
    return true;
}

/* The slot of that id, of a member that has left too. */
static uint32_t
find_slot(const Topology *topology, const MemberId *id)
{
    uint32_t low = 0;
    uint32_t high = topology->member_count;

    while (low < high)
    {
        uint32_t middle = low + (high - low) / 2;
        uint16_t slot = topology->by_id[middle];
        int order = memcmp(&topology->members[slot].id, id, sizeof(MemberId));

        if (order == 0)
            return slot;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return TOPOLOGY_NO_MEMBER;
}

uint32_t
topology_member(const Topology *topology, const MemberId *id)
{
    uint32_t slot = find_slot(topology, id);

    return topology_is_present(topology, slot) ? slot : TOPOLOGY_NO_MEMBER;
}

bool
topology_has_left(const Topology *topology, const MemberId *id)
{
    uint32_t slot = find_slot(topology, id);

    return slot != TOPOLOGY_NO_MEMBER && topology->members[slot].state == MEMBER_LEFT;
}

bool
topology_is_present(const Topology *topology, uint32_t slot)
{
    return slot < topology->member_count && topology->members[slot].state != MEMBER_LEFT;
}

uint32_t
topology_member_by_name(const Topology *topology, const char *name)
{
    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        if (topology_is_present(topology, i) && strcmp(topology->members[i].name, name) == 0)
            return i;
    }
    return TOPOLOGY_NO_MEMBER;
}

/* ---- buckets ---- */

static uint32_t
name_slot(const Topology *topology, const char *name)
{
    uint32_t slot = (uint32_t)hash_table(slice_from_string(name)) & (topology->name_slots - 1);

    while (topology->names[slot] != 0 &&
           strcmp(topology->buckets[topology->names[slot] - 1].name, name) != 0)
        slot = (slot + 1) & (topology->name_slots - 1);
    return slot;
}

bool
topology_index_names(Topology *topology, Arena *arena)
{
    topology->name_slots = NAME_SLOTS_LEAST;
    while (topology->name_slots < 2 * topology->bucket_count)
        topology->name_slots *= 2;
    topology->ns = 0;
    topology->names = arena_alloc_zero(arena, sizeof(uint32_t) * topology->name_slots);
    for (uint32_t i = 0; i < topology->bucket_count; i++)
    {
        uint32_t slot = name_slot(topology, topology->buckets[i].name);

        if (topology->names[slot] != 0)
            return false;
        topology->names[slot] = i + 1;
        topology->ns |= UINT32_C(1) << topology->buckets[i].n;
    }
    return true;
}

uint32_t
topology_bucket_index(const Topology *topology, uint32_t id)
{
    uint32_t low = 0;
    uint32_t high = topology->bucket_count;

    while (low < high)
    {
        uint32_t middle = low + (high - low) / 2;

        if (topology->buckets[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const Bucket *
topology_bucket_by_id(const Topology *topology, uint32_t id)
{
    uint32_t index = topology_bucket_index(topology, id);

    return index < topology->bucket_count && topology->buckets[index].id == id
               ? &topology->buckets[index]
               : NULL;
}

const Bucket *
topology_bucket_by_name(const Topology *topology, const char *name)
{
    uint32_t found = topology->name_slots > 0 ? topology->names[name_slot(topology, name)] : 0;

    return found != 0 ? &topology->buckets[found - 1] : NULL;
}

static size_t
definition_bytes(const Bucket *bucket)
{
    size_t bytes = strlen(bucket->name) + TOPOLOGY_BUCKET_LEAST;

    for (uint32_t i = 0; i < bucket->key_count; i++)
        bytes += strlen(bucket->key_names[i]);
    for (uint32_t i = 0; i < bucket->column_count; i++)
        bytes += strlen(bucket->columns[i].name) + strlen(bucket->columns[i].type) + 2;
    return bytes;
}

const char *
topology_bucket_fault(const Topology *topology, const Bucket *bucket)
{
    const char *fault;

    if (topology->bucket_count >= TOPOLOGY_BUCKETS_MAX ||
        topology->last_bucket_id == TOPOLOGY_BUCKET_IDS_MAX)
        return "the cluster has as many buckets as it can have";
    if (topology_bucket_by_name(topology, bucket->name) != NULL)
        return "a bucket of this name exists";
    fault = topology_definition_fault(bucket, topology->preference_length);
    if (fault == NULL && definition_bytes(bucket) > TOPOLOGY_BUCKET_BYTES)
        fault = "the names and types of its columns take more than 64 KB";
    return fault;
}

bool
topology_was_dropped(const Topology *topology, uint32_t bucket_id)
{
    return bucket_id != 0 && bucket_id <= topology->last_bucket_id &&
           topology_bucket_by_id(topology, bucket_id) == NULL;
}

bool
topology_bucket_agrees(const Bucket *a, const Bucket *b)
{
    if (a->n != b->n || a->key_count != b->key_count)
        return false;
    for (uint32_t i = 0; i < a->key_count; i++)
    {
        if (a->key_types[i] != b->key_types[i])
            return false;
    }
    return true;
}

bool
topology_position(const Bucket *bucket, Slice key, uint64_t *position)
{
    Slice first;

    if (!keycodec_split(key, bucket->key_types, bucket->key_count, &first))
        return false;
    *position = hash_ring(bucket->id, first);
    return true;
}

/* ---- claims and lists ---- */

/* A number for each zone, equal for equal names, 0 for none. */
static uint16_t
zone_number(const Topology *topology, uint32_t member)
{
    if (topology->members[member].zone[0] == '\0')
        return 0;
    for (uint32_t i = 0;; i++)
    {
        if (strcmp(topology->members[i].zone, topology->members[member].zone) == 0)
            return (uint16_t)(i + 1);
    }
}

void
topology_claim(Topology *topology, Arena *arena)
{
    ClaimMember *members = ARENA_ARRAY(arena, ClaimMember, topology->member_count);
    uint16_t *nobodys = ARENA_ARRAY(arena, uint16_t, topology->partitions);

    qsort(topology->members, topology->member_count, sizeof(Member), compare_members);
    for (uint32_t i = 0; i < topology->member_count; i++)
        members[i] = (ClaimMember){.slot = (uint16_t)i,
                                   .zone = zone_number(topology, i),
                                   .weight = topology->members[i].weight};
    topology->claim = ARENA_ARRAY(arena, uint16_t, topology->partitions);
    topology->changed = ARENA_ARRAY(arena, uint64_t, topology->partitions);
    for (uint32_t i = 0; i < topology->partitions; i++)
    {
        nobodys[i] = CLAIM_NOBODY;
        topology->changed[i] = 1;
    }
    (void)claim_plan(nobodys, topology->partitions, members, topology->member_count, 0, arena,
                     topology->claim);
    (void)topology_index_members(topology, arena);
    topology_fill_preference(topology, arena);
}

/*
 * Fills the lists from the last partition to the first: a list is the next partition's with the
 * claimed slot moved to its front, and cut.
 */
static uint16_t *
make_lists(const Topology *topology, const uint16_t *claim, uint32_t length, Arena *arena)
{
    uint16_t *lists = ARENA_ARRAY(arena, uint16_t, (size_t)topology->partitions * length);
    uint16_t first[TOPOLOGY_N_MAX];
    const uint16_t *next = first;

    ring_walk(claim, topology->partitions, 0, first, length);
    for (uint32_t partition = topology->partitions; partition-- > 0;)
    {
        uint16_t *list = lists + (size_t)partition * length;
        uint32_t count = 0;

        list[count++] = claim[partition];
        for (uint32_t i = 0; i < length && count < length; i++)
        {
            if (next[i] != list[0])
                list[count++] = next[i];
        }
        next = list;
    }
    return lists;
}

static uint32_t
list_length(const Topology *topology, const uint16_t *claim)
{
    uint16_t first[TOPOLOGY_N_MAX];

    return ring_walk(claim, topology->partitions, 0, first, TOPOLOGY_N_MAX);
}

void
topology_fill_preference(Topology *topology, Arena *arena)
{
    uint32_t length = list_length(topology, topology->claim);

    if (topology->target != NULL)
    {
        uint32_t target_length = list_length(topology, topology->target);

        length = target_length < length ? target_length : length;
        topology->target_preference = make_lists(topology, topology->target, length, arena);
    }
    topology->preference_length = length;
    topology->preference = make_lists(topology, topology->claim, length, arena);
}

static uint32_t
copy_list(const Topology *topology, const uint16_t *lists, uint64_t position, uint16_t *members,
          uint32_t max)
{
    uint32_t length = topology->preference_length < max ? topology->preference_length : max;
    size_t partition = ring_partition(position, topology->partitions);

    memcpy(members, lists + partition * topology->preference_length, sizeof(uint16_t) * length);
    return length;
}

TopologyStep
topology_step(const Topology *topology, uint64_t position)
{
    return topology->target != NULL
               ? (TopologyStep)topology->steps[ring_partition(position, topology->partitions)]
               : TOPOLOGY_STILL;
}

uint32_t
topology_old_preference(const Topology *topology, uint64_t position, uint16_t *members,
                        uint32_t max)
{
    return copy_list(topology, topology->preference, position, members, max);
}

uint32_t
topology_new_preference(const Topology *topology, uint64_t position, uint16_t *members,
                        uint32_t max)
{
    return copy_list(topology,
                     topology->target != NULL ? topology->target_preference : topology->preference,
                     position, members, max);
}

uint32_t
topology_preference(const Topology *topology, uint64_t position, uint16_t *members, uint32_t max)
{
    return topology_step(topology, position) >= TOPOLOGY_HANDING
               ? topology_new_preference(topology, position, members, max)
               : topology_old_preference(topology, position, members, max);
}

static bool
is_among(const uint16_t *members, uint32_t count, uint32_t member)
{
    for (uint32_t i = 0; i < count; i++)
    {
        if (members[i] == member)
            return true;
    }
    return false;
}

uint32_t
topology_entering(const Topology *topology, uint64_t position, uint32_t n,
                  uint16_t entering[TOPOLOGY_N_MAX])
{
    uint16_t old[TOPOLOGY_N_MAX];
    uint16_t new[TOPOLOGY_N_MAX];
    uint32_t old_count;
    uint32_t new_count;
    uint32_t count = 0;

    if (topology_step(topology, position) != TOPOLOGY_FILLING)
        return 0;
    old_count = topology_old_preference(topology, position, old, n);
    new_count = topology_new_preference(topology, position, new, n);
    for (uint32_t i = 0; i < new_count; i++)
    {
        if (!is_among(old, old_count, new[i]))
            entering[count++] = new[i];
    }
    return count;
}

bool
topology_has_moved(const Topology *topology, uint64_t position, uint64_t epoch)
{
    return epoch < topology->changed[ring_partition(position, topology->partitions)];
}

bool
topology_owns(const Topology *topology, uint32_t bucket_id, uint64_t position, uint32_t member)
{
    uint16_t owners[TOPOLOGY_N_MAX];
    const Bucket *bucket = topology_bucket_by_id(topology, bucket_id);
    uint32_t count =
        bucket != NULL ? topology_preference(topology, position, owners, bucket->n) : 0;

    return is_among(owners, count, member);
}

/* The place of the slot in the list of a claim; TOPOLOGY_N_MAX: it is not in it. */
static uint32_t
rank_of(const Topology *topology, const uint16_t *lists, uint32_t partition, uint32_t slot)
{
    const uint16_t *list = lists + (size_t)partition * topology->preference_length;

    for (uint32_t rank = 0; rank < topology->preference_length; rank++)
    {
        if (list[rank] == slot)
            return rank;
    }
    return TOPOLOGY_N_MAX;
}

/* For that n, or for one of those in use, the slot is an owner by the lists and not by the others.
 */
static bool
owns_by_one(const Topology *topology, const uint16_t *lists, const uint16_t *others,
            uint32_t partition, uint32_t n, uint32_t slot)
{
    uint32_t ns = n > 0 ? UINT32_C(1) << n : topology->ns;
    uint32_t rank;
    uint32_t other;

    if (topology->target == NULL || topology->steps[partition] == TOPOLOGY_STILL)
        return false;
    rank = rank_of(topology, lists, partition, slot);
    other = rank_of(topology, others, partition, slot);
    return rank < other && (ns >> (rank + 1) & ((UINT32_C(1) << (other - rank)) - 1)) != 0;
}

bool
topology_enters(const Topology *topology, uint32_t partition, uint32_t n, uint32_t slot)
{
    return owns_by_one(topology, topology->target_preference, topology->preference, partition, n,
                       slot);
}

bool
topology_leaves(const Topology *topology, uint32_t partition, uint32_t n, uint32_t slot)
{
    return owns_by_one(topology, topology->preference, topology->target_preference, partition, n,
                       slot);
}

bool
topology_keeps(const Topology *topology, uint32_t bucket_id, uint64_t position, uint32_t member)
{
    const Bucket *bucket = topology_bucket_by_id(topology, bucket_id);
    uint32_t partition = ring_partition(position, topology->partitions);

    if (bucket == NULL)
        return false;
    if (topology_owns(topology, bucket_id, position, member))
        return true;
    return topology_step(topology, position) == TOPOLOGY_FILLING
               ? topology_enters(topology, partition, bucket->n, member)
               : topology_step(topology, position) == TOPOLOGY_HANDING &&
                     topology_leaves(topology, partition, bucket->n, member);
}
