/*
 * The document of a topology: its encoding, and the checks of whatever is decoded, which may come
 * from anybody. What can be derived is not in it: lists, indexes, the number of present members.
 */
#include "shared/ring/topology_private.h"

#include <string.h>

enum
{
    TOPOLOGY_FORMAT = 2,
    STAGED_LEAST = 11, /* bytes of a staged change without any text */
    WORD_MAX = 63,     /* bytes of a member's name and of a zone */
    ADDRESS_MAX = 255,
    MEMBER_MINIMUM_BYTES = 1 + sizeof(MemberId)
};

/* ---- buckets ---- */

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

const char *
topology_definition_fault(const Bucket *bucket, uint32_t n_max)
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

static void
decode_buckets(Reader *reader, Arena *arena, Topology *topology)
{
    topology->last_bucket_id = reader_u32(reader);
    topology->bucket_count = reader_count(reader, TOPOLOGY_BUCKET_LEAST);
    if (topology->bucket_count > TOPOLOGY_BUCKETS_MAX)
        reader_fail(reader);
    topology->buckets = ARENA_ARRAY(arena, Bucket, topology->bucket_count);
    for (uint32_t i = 0; i < topology->bucket_count && !reader->failed; i++)
    {
        uint32_t last_id = i > 0 ? topology->buckets[i - 1].id : 0;

        topology->buckets[i] = topology_decode_bucket(reader, arena);
        if (topology->buckets[i].id <= last_id ||
            topology->buckets[i].id > topology->last_bucket_id ||
            topology_definition_fault(&topology->buckets[i], topology->preference_length) != NULL)
            reader_fail(reader);
    }
}

/* ---- members ---- */

static void
encode_member(Buffer *buffer, const Member *member)
{
    buffer_put_u8(buffer, (uint8_t)member->state);
    buffer_put(buffer, &member->id, sizeof(MemberId));
    if (member->state == MEMBER_LEFT)
        return;
    buffer_put_string(buffer, member->name);
    buffer_put_string(buffer, member->address);
    buffer_put_u16(buffer, member->port);
    buffer_put_string(buffer, member->zone);
    buffer_put_varint(buffer, member->weight);
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
decode_member(Reader *reader, Arena *arena, Member *member)
{
    uint8_t state = reader_u8(reader);
    uint64_t weight;

    *member = (Member){.state = (MemberState)state, .name = "", .address = "", .zone = ""};
    reader_copy(reader, &member->id, sizeof(MemberId));
    if (state > MEMBER_LEFT)
        reader_fail(reader);
    if (state >= MEMBER_LEFT)
        return;
    member->name = reader_string(reader, arena);
    member->address = reader_string(reader, arena);
    member->port = reader_u16(reader);
    member->zone = reader_string(reader, arena);
    weight = reader_varint(reader);
    member->weight = (uint32_t)weight;
    if (weight > UINT32_MAX || !member_is_valid(member))
        reader_fail(reader);
}

static void
decode_members(Reader *reader, Arena *arena, Topology *topology)
{
    topology->member_count = reader_count(reader, MEMBER_MINIMUM_BYTES);
    if (topology->member_count == 0 || topology->member_count > TOPOLOGY_SLOTS_MAX)
        reader_fail(reader);
    if (reader->failed)
        return;
    topology->members = ARENA_ARRAY(arena, Member, topology->member_count);
    for (uint32_t i = 0; i < topology->member_count; i++)
        decode_member(reader, arena, &topology->members[i]);
    if (reader->failed || !topology_index_members(topology, arena) || topology->present == 0 ||
        topology->present > RING_NODES_MAX)
        reader_fail(reader);
}

/* ---- the plan ---- */

void
topology_encode_staged(Buffer *buffer, const StagedChange *change)
{
    buffer_put_u8(buffer, (uint8_t)change->kind);
    buffer_put_u16(buffer, change->slot);
    buffer_put_u16(buffer, change->with);
    buffer_put_u32(buffer, change->weight);
    buffer_put_string(buffer, change->zone != NULL ? change->zone : "");
    buffer_put_string(buffer, change->address != NULL ? change->address : "");
    buffer_put_u16(buffer, change->port);
}

StagedChange
topology_decode_staged(Reader *reader, Arena *arena)
{
    StagedChange change = {.kind = (StagedKind)reader_u8(reader)};

    if (change.kind >= STAGED_END)
        reader_fail(reader);
    change.slot = reader_u16(reader);
    change.with = reader_u16(reader);
    change.weight = reader_u32(reader);
    change.zone = reader_string(reader, arena);
    change.address = reader_string(reader, arena);
    change.port = reader_u16(reader);
    return change;
}

/* A change names no member that cannot be, and its zone, weight and address are such as a member
 * may have. What it would do, plan.h says. */
static bool
staged_is_valid(const Topology *topology, const StagedChange *change)
{
    bool has_members =
        topology_is_present(topology, change->slot) &&
        (change->kind != STAGED_REPLACE || topology_is_present(topology, change->with));

    if (change->kind == STAGED_WEIGHT)
        return has_members && change->weight > 0;
    if (change->kind == STAGED_ZONE)
        return has_members && is_word(change->zone, WORD_MAX, "_-.");
    if (change->kind == STAGED_ADDRESS)
        return has_members && change->address[0] != '\0' && change->port != 0 &&
               is_word(change->address, ADDRESS_MAX, "_-.:%");
    return has_members;
}

bool
topology_staged_equals(const StagedChange *a, const StagedChange *b)
{
    return a->kind == b->kind && a->slot == b->slot && a->with == b->with &&
           a->weight == b->weight && a->port == b->port && strcmp(a->zone, b->zone) == 0 &&
           strcmp(a->address, b->address) == 0;
}

static void
encode_plan(Buffer *buffer, const Topology *topology)
{
    buffer_put_varint(buffer, topology->staged_epoch);
    buffer_put_varint(buffer, topology->committed_epoch);
    buffer_put_varint(buffer, topology->staged_count);
    for (uint32_t i = 0; i < topology->staged_count; i++)
        topology_encode_staged(buffer, &topology->staged[i]);
}

static void
decode_plan(Reader *reader, Arena *arena, Topology *topology)
{
    topology->staged_epoch = reader_varint(reader);
    topology->committed_epoch = reader_varint(reader);
    topology->staged_count = reader_count(reader, STAGED_LEAST);
    if (topology->staged_count > TOPOLOGY_STAGED_MAX || topology->staged_epoch > topology->epoch ||
        topology->committed_epoch > topology->epoch)
        reader_fail(reader);
    if (reader->failed)
        return;
    topology->staged = ARENA_ARRAY(arena, StagedChange, topology->staged_count);
    for (uint32_t i = 0; i < topology->staged_count && !reader->failed; i++)
    {
        topology->staged[i] = topology_decode_staged(reader, arena);
        if (reader->failed || !staged_is_valid(topology, &topology->staged[i]))
            reader_fail(reader);
    }
}

/* ---- claims ---- */

static void
encode_slots(Buffer *buffer, const uint16_t *claim, uint32_t partitions)
{
    for (uint32_t i = 0; i < partitions; i++)
        buffer_put_varint(buffer, claim[i]);
}

static uint16_t *
decode_slots(Reader *reader, Arena *arena, const Topology *topology)
{
    uint16_t *claim = ARENA_ARRAY(arena, uint16_t, topology->partitions);

    for (uint32_t i = 0; i < topology->partitions && !reader->failed; i++)
    {
        uint32_t slot = reader_varint32(reader);

        claim[i] = (uint16_t)slot;
        if (!topology_is_present(topology, slot))
            reader_fail(reader);
    }
    return claim;
}

/* As runs of equal epochs: most partitions were changed last by the same one. */
static void
encode_changed(Buffer *buffer, const uint64_t *changed, uint32_t partitions)
{
    for (uint32_t i = 0; i < partitions;)
    {
        uint32_t first = i;

        while (i < partitions && changed[i] == changed[first])
            i++;
        buffer_put_varint(buffer, i - first);
        buffer_put_varint(buffer, changed[first]);
    }
}

static void
decode_changed(Reader *reader, Arena *arena, Topology *topology)
{
    topology->changed = ARENA_ARRAY(arena, uint64_t, topology->partitions);
    for (uint32_t i = 0; i < topology->partitions && !reader->failed;)
    {
        uint32_t run = reader_varint32(reader);
        uint64_t epoch = reader_varint(reader);

        if (run == 0 || run > topology->partitions - i || epoch > topology->epoch ||
            (i > 0 && epoch == topology->changed[i - 1]))
        {
            reader_fail(reader);
            return;
        }
        for (uint32_t end = i + run; i < end; i++)
            topology->changed[i] = epoch;
    }
}

/* The target and how far each partition is on the way to it, when anything moves. */
static void
encode_moves(Buffer *buffer, const Topology *topology)
{
    buffer_put_u8(buffer, topology->target != NULL);
    if (topology->target == NULL)
        return;
    encode_slots(buffer, topology->target, topology->partitions);
    buffer_put(buffer, topology->steps, topology->partitions);
}

static void
decode_moves(Reader *reader, Arena *arena, Topology *topology)
{
    uint8_t moves = reader_u8(reader);

    if (moves > 1)
        reader_fail(reader);
    if (moves != 1 || reader->failed)
        return;
    topology->target = decode_slots(reader, arena, topology);
    topology->steps = ARENA_ARRAY(arena, uint8_t, topology->partitions);
    reader_copy(reader, topology->steps, topology->partitions);
    for (uint32_t i = 0; i < topology->partitions && !reader->failed; i++)
    {
        if (topology->steps[i] > TOPOLOGY_MOVED)
            reader_fail(reader);
    }
}

static void
decode_ring(Reader *reader, Arena *arena, Topology *topology)
{
    topology->partitions = reader_count(reader, 1);
    if (!ring_partitions_are_valid(topology->partitions))
        reader_fail(reader);
    if (reader->failed)
        return;
    topology->claim = decode_slots(reader, arena, topology);
    decode_changed(reader, arena, topology);
    decode_moves(reader, arena, topology);
}

/* ---- the document ---- */

/* All that stands before the buckets. */
static void
encode_head(Buffer *buffer, const Topology *topology, uint64_t epoch)
{
    buffer_put_u8(buffer, TOPOLOGY_FORMAT);
    buffer_put_varint(buffer, epoch);
    buffer_put_varint(buffer, topology->fence);
    buffer_put(buffer, topology->cluster, sizeof(topology->cluster));
    buffer_put_varint(buffer, topology->member_count);
    for (uint32_t i = 0; i < topology->member_count; i++)
        encode_member(buffer, &topology->members[i]);
    encode_plan(buffer, topology);
    buffer_put_varint(buffer, topology->partitions);
    encode_slots(buffer, topology->claim, topology->partitions);
    encode_changed(buffer, topology->changed, topology->partitions);
    encode_moves(buffer, topology);
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
topology_decode(Slice bytes, Arena *arena, Topology *topology)
{
    Reader reader = reader_begin(bytes);

    *topology = (Topology){0};
    if (reader_u8(&reader) != TOPOLOGY_FORMAT)
        return false;
    topology->epoch = reader_varint(&reader);
    topology->fence = reader_varint(&reader);
    if (topology->epoch == 0 || topology->fence > topology->epoch)
        reader_fail(&reader);
    reader_copy(&reader, topology->cluster, sizeof(topology->cluster));
    decode_members(&reader, arena, topology);
    if (!reader.failed)
        decode_plan(&reader, arena, topology);
    if (!reader.failed)
        decode_ring(&reader, arena, topology);
    if (reader.failed)
        return false;
    topology_fill_preference(topology, arena);
    decode_buckets(&reader, arena, topology);
    return reader_finish(&reader) && topology_index_names(topology, arena);
}
