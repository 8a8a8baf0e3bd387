#include "shared/ring/topology.h"

#include "shared/base/hash.h"
#include "shared/ring/claim.h"

#include <stdlib.h>
#include <string.h>

enum
{
    TOPOLOGY_FORMAT = 1,
    WORD_MAX = 63, /* bytes of a member's name and of a zone */
    ADDRESS_MAX = 255,
    MEMBER_MINIMUM_BYTES = sizeof(MemberId) + 6,
    BUCKET_MINIMUM_BYTES = 11,
    CREATOR_MAX = 255,
    NAME_SLOTS_LEAST = 8 /* a power of two */
};

static int
compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(MemberId));
}

static int
compare_members(const void *a, const void *b)
{
    return compare_ids(&((const Member *)a)->id, &((const Member *)b)->id);
}

void
topology_encode_bucket(Buffer *buffer, const Bucket *bucket)
{
    buffer_put_u32(buffer, bucket->id);
    buffer_put_string(buffer, bucket->name);
    buffer_put_varint(buffer, bucket->n);
    buffer_put_varint(buffer, bucket->key_count);
    for (uint32_t i = 0; i < bucket->key_count; i++)
    {
        buffer_put_u8(buffer, (uint8_t)bucket->key_types[i]);
        buffer_put_string(buffer, bucket->key_names[i]);
    }
    buffer_put_varint(buffer, bucket->column_count);
    for (uint32_t i = 0; i < bucket->column_count; i++)
    {
        buffer_put_string(buffer, bucket->columns[i].name);
        buffer_put_string(buffer, bucket->columns[i].type);
    }
    buffer_put_string(buffer, bucket->creator != NULL ? bucket->creator : "");
}

Bucket
topology_decode_bucket(Reader *reader, Arena *arena)
{
    Bucket bucket = {.id = reader_u32(reader)};

    bucket.name = reader_string(reader, arena);
    bucket.n = reader_varint32(reader);
    bucket.key_count = reader_count(reader, 2);
    if (bucket.key_count == 0 || bucket.key_count > KEY_COLUMNS_MAX)
    {
        reader_fail(reader);
        bucket.key_count = 0;
    }
    for (uint32_t i = 0; i < bucket.key_count; i++)
    {
        uint8_t type = reader_u8(reader);

        if (!keycodec_type_is_known(type))
            reader_fail(reader);
        bucket.key_types[i] = (KeyType)type;
        bucket.key_names[i] = reader_string(reader, arena);
    }
    bucket.column_count = reader_count(reader, 2);
    bucket.columns = ARENA_ARRAY(arena, BucketColumn, bucket.column_count);
    for (uint32_t i = 0; i < bucket.column_count; i++)
    {
        bucket.columns[i].name = reader_string(reader, arena);
        bucket.columns[i].type = reader_string(reader, arena);
    }
    bucket.creator = reader_string(reader, arena);
    return bucket;
}

/* All that stands before the buckets. */
static void
encode_head(Buffer *buffer, const Topology *topology, uint64_t epoch)
{
    buffer_put_u8(buffer, TOPOLOGY_FORMAT);
    buffer_put_varint(buffer, epoch);
    buffer_put(buffer, topology->cluster, sizeof(topology->cluster));
    buffer_put_varint(buffer, topology->member_count);
    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        const Member *member = &topology->members[i];

        buffer_put(buffer, &member->id, sizeof(MemberId));
        buffer_put_string(buffer, member->name);
        buffer_put_string(buffer, member->address);
        buffer_put_u16(buffer, member->port);
        buffer_put_string(buffer, member->zone);
        buffer_put_varint(buffer, member->weight);
    }
    buffer_put_varint(buffer, topology->partitions);
    for (uint32_t i = 0; i < topology->partitions; i++)
        buffer_put_varint(buffer, topology->claim[i]);
}

void
topology_encode(Buffer *buffer, const Topology *topology)
{
    encode_head(buffer, topology, topology->epoch);
    buffer_put_u32(buffer, topology->last_bucket_id);
    buffer_put_varint(buffer, topology->bucket_count);
    for (uint32_t i = 0; i < topology->bucket_count; i++)
        topology_encode_bucket(buffer, &topology->buckets[i]);
}

/* A word stands in log lines and console columns; so do addresses, of which more characters are
 * made. */
static bool
is_word(const char *text, size_t max, const char *punctuation)
{
    size_t length = 0;

    for (; text[length] != '\0'; length++)
    {
        char c = text[length];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!plain && strchr(punctuation, c) == NULL)
            return false;
    }
    return length <= max;
}

static bool
member_is_valid(const Member *member)
{
    return member->name[0] != '\0' && is_word(member->name, WORD_MAX, "_-.") &&
           member->address[0] != '\0' && is_word(member->address, ADDRESS_MAX, "_-.:%") &&
           is_word(member->zone, WORD_MAX, "_-.") && member->port != 0 && member->weight != 0;
}

static void
decode_members(Reader *reader, Arena *arena, Topology *topology)
{
    topology->member_count = reader_count(reader, MEMBER_MINIMUM_BYTES);
    if (topology->member_count == 0 || topology->member_count > RING_NODES_MAX)
        reader_fail(reader);
    topology->members = ARENA_ARRAY(arena, Member, topology->member_count);
    for (uint32_t i = 0; i < topology->member_count && !reader->failed; i++)
    {
        Member *member = &topology->members[i];

        reader_copy(reader, &member->id, sizeof(MemberId));
        member->name = reader_string(reader, arena);
        member->address = reader_string(reader, arena);
        member->port = reader_u16(reader);
        member->zone = reader_string(reader, arena);

        uint64_t weight = reader_varint(reader);

        member->weight = (uint32_t)weight;
        if (weight > UINT32_MAX || !member_is_valid(member) ||
            (i > 0 && compare_members(member - 1, member) >= 0))
            reader_fail(reader);
    }
}

static void
decode_claim(Reader *reader, Arena *arena, Topology *topology)
{
    topology->partitions = reader_count(reader, 1);
    if (!ring_partitions_are_valid(topology->partitions))
        reader_fail(reader);
    topology->claim = ARENA_ARRAY(arena, uint16_t, topology->partitions);
    for (uint32_t i = 0; i < topology->partitions && !reader->failed; i++)
    {
        uint64_t member = reader_varint(reader);

        topology->claim[i] = (uint16_t)member;
        if (member >= topology->member_count)
            reader_fail(reader);
    }
}

/*
 * Fills the preference lists from the last partition to the first: a list is the next partition's
 * with the claimed member moved to its front.
 */
static void
fill_preference(Topology *topology, Arena *arena)
{
    uint16_t *first = ARENA_ARRAY(arena, uint16_t, topology->member_count);
    uint32_t length =
        ring_walk(topology->claim, topology->partitions, 0, first, topology->member_count);
    const uint16_t *next = first;

    topology->preference_length = length;
    topology->preference = ARENA_ARRAY(arena, uint16_t, (size_t)topology->partitions * length);
    for (uint32_t partition = topology->partitions; partition-- > 0;)
    {
        uint16_t *list = topology->preference + (size_t)partition * length;
        uint32_t count = 0;

        list[count++] = topology->claim[partition];
        for (uint32_t i = 0; i < length; i++)
        {
            if (next[i] != list[0])
                list[count++] = next[i];
        }
        next = list;
    }
}

/* What is wrong with a bucket's definition in a cluster where n can be at most n_max, or NULL. */
static const char *
bucket_fault(const Bucket *bucket, uint32_t n_max)
{
    size_t name_length = strlen(bucket->name);

    if (name_length == 0 || name_length > TOPOLOGY_NAME_MAX)
        return "a bucket's name has 1 to 255 bytes";
    for (size_t i = 0; i < name_length; i++)
    {
        if ((uint8_t)bucket->name[i] < ' ' || bucket->name[i] == 0x7F)
            return "a bucket's name has no control characters";
    }
    if (bucket->n == 0 || bucket->n > TOPOLOGY_N_MAX)
        return "n is 1 to 16";
    if (bucket->n > n_max)
        return "n is larger than the number of nodes";
    if (bucket->key_count == 0 || bucket->key_count > KEY_COLUMNS_MAX)
        return "a bucket has 1 to 8 key columns";
    for (uint32_t i = 0; i < bucket->key_count; i++)
    {
        if (!keycodec_type_is_known((uint8_t)bucket->key_types[i]))
            return "a key column's type is unknown";
    }
    return NULL;
}

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
    topology->names = arena_alloc_zero(arena, sizeof(uint32_t) * topology->name_slots);
    for (uint32_t i = 0; i < topology->bucket_count; i++)
    {
        uint32_t slot = name_slot(topology, topology->buckets[i].name);

        if (topology->names[slot] != 0)
            return false;
        topology->names[slot] = i + 1;
    }
    return true;
}

static void
decode_buckets(Reader *reader, Arena *arena, Topology *topology)
{
    topology->last_bucket_id = reader_u32(reader);
    topology->bucket_count = reader_count(reader, BUCKET_MINIMUM_BYTES);
    if (topology->bucket_count > TOPOLOGY_BUCKETS_MAX)
        reader_fail(reader);
    topology->buckets = ARENA_ARRAY(arena, Bucket, topology->bucket_count);
    for (uint32_t i = 0; i < topology->bucket_count && !reader->failed; i++)
    {
        uint32_t last_id = i > 0 ? topology->buckets[i - 1].id : 0;

        topology->buckets[i] = topology_decode_bucket(reader, arena);
        if (topology->buckets[i].id <= last_id ||
            topology->buckets[i].id > topology->last_bucket_id ||
            bucket_fault(&topology->buckets[i], topology->preference_length) != NULL)
            reader_fail(reader);
    }
}

bool
topology_decode(Slice bytes, Arena *arena, Topology *topology)
{
    Reader reader = reader_begin(bytes);

    *topology = (Topology){0};
    if (reader_u8(&reader) != TOPOLOGY_FORMAT)
        return false;
    topology->epoch = reader_varint(&reader);
    if (topology->epoch == 0)
        reader_fail(&reader);
    reader_copy(&reader, topology->cluster, sizeof(topology->cluster));
    decode_members(&reader, arena, topology);
    decode_claim(&reader, arena, topology);
    if (reader.failed)
        return false;
    fill_preference(topology, arena);
    decode_buckets(&reader, arena, topology);
    return reader_finish(&reader) && topology_index_names(topology, arena);
}

uint32_t
topology_member(const Topology *topology, const MemberId *id)
{
    uint32_t low = 0;
    uint32_t high = topology->member_count;

    while (low < high)
    {
        uint32_t middle = low + (high - low) / 2;
        int order = compare_ids(&topology->members[middle].id, id);

        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return TOPOLOGY_NO_MEMBER;
}

uint32_t
topology_member_by_name(const Topology *topology, const char *name)
{
    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        if (strcmp(topology->members[i].name, name) == 0)
            return i;
    }
    return TOPOLOGY_NO_MEMBER;
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
    for (uint32_t i = 0; i < topology->partitions; i++)
        nobodys[i] = CLAIM_NOBODY;
    topology->claim = ARENA_ARRAY(arena, uint16_t, topology->partitions);
    (void)claim_plan(nobodys, topology->partitions, members, topology->member_count, 0, arena,
                     topology->claim);
    fill_preference(topology, arena);
}

static size_t
definition_bytes(const Bucket *bucket)
{
    size_t bytes = strlen(bucket->name) + BUCKET_MINIMUM_BYTES;

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
    fault = bucket_fault(bucket, topology->preference_length);
    if (fault == NULL && definition_bytes(bucket) > TOPOLOGY_BUCKET_BYTES)
        fault = "the names and types of its columns take more than 64 KB";
    return fault;
}

static bool
is_among(uint32_t id, const uint32_t *ids, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
    {
        if (ids[i] == id)
            return true;
    }
    return false;
}

void
topology_encode_change(Buffer *buffer, const Topology *topology, const TopologyChange *change)
{
    encode_head(buffer, topology, topology->epoch + 1);
    buffer_put_u32(buffer, topology->last_bucket_id + change->added_count);
    buffer_put_varint(buffer, topology->bucket_count + change->added_count - change->dropped_count);
    for (uint32_t i = 0; i < topology->bucket_count; i++)
    {
        const Bucket *bucket = &topology->buckets[i];

        if (change->dropped_count == 0 ||
            !is_among(bucket->id, change->dropped, change->dropped_count))
            topology_encode_bucket(buffer, bucket);
    }
    for (uint32_t i = 0; i < change->added_count; i++)
    {
        Bucket bucket = change->added[i];

        bucket.id = topology->last_bucket_id + i + 1;
        topology_encode_bucket(buffer, &bucket);
    }
}

bool
topology_add_bucket(const Topology *topology, const Bucket *bucket, Arena *arena, Topology *next,
                    const char **why)
{
    TopologyChange change = {.added = bucket, .added_count = 1};
    Buffer document;
    bool valid;

    *why = topology_bucket_fault(topology, bucket);
    if (*why != NULL)
        return false;
    buffer_init(&document, arena->memory);
    topology_encode_change(&document, topology, &change);
    valid = topology_decode(slice_copy(arena, buffer_slice(&document)), arena, next);
    buffer_free(&document);
    if (!valid)
        *why = "the bucket's definition cannot be written down";
    return valid;
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

uint32_t
topology_preference(const Topology *topology, uint64_t position, uint16_t *members, uint32_t max)
{
    uint32_t length = topology->preference_length < max ? topology->preference_length : max;
    size_t partition = ring_partition(position, topology->partitions);

    memcpy(members, topology->preference + partition * topology->preference_length,
           sizeof(uint16_t) * length);
    return length;
}

bool
topology_owns(const Topology *topology, uint32_t bucket_id, uint64_t position, uint32_t member)
{
    uint16_t owners[TOPOLOGY_N_MAX];
    const Bucket *bucket = topology_bucket_by_id(topology, bucket_id);
    uint32_t count =
        bucket != NULL ? topology_preference(topology, position, owners, bucket->n) : 0;

    for (uint32_t i = 0; i < count; i++)
    {
        if (owners[i] == member)
            return true;
    }
    return false;
}
