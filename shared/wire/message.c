/* What all frames share, the table of their types, and the frames that are about a node rather than
 * about keys: errors, topologies, buckets, status. A codec reads like the struct: one line a field,
 * in its order. */
#include "shared/wire/message.h"

typedef struct FrameTypeRow
{
    const char *name;
    bool for_clients;
    bool for_admins; /* alone, of the clients */
} FrameTypeRow;

/* clang-format off */
static const FrameTypeRow FRAME_TYPES[FRAME_TYPE_END] = {
    [FRAME_ERROR] = {"error", false},
    [FRAME_TOPOLOGY_FETCH] = {"topology_fetch", true},
    [FRAME_TOPOLOGY] = {"topology", false},
    [FRAME_READ] = {"read", true},
    [FRAME_READ_REPLY] = {"read_reply", false},
    [FRAME_WRITE] = {"write", true},
    [FRAME_WRITE_REPLY] = {"write_reply", false},
    [FRAME_SCAN] = {"scan", true},
    [FRAME_SCAN_REPLY] = {"scan_reply", false},
    [FRAME_BUCKET_CREATE] = {"bucket_create", true},
    [FRAME_BUCKET_DROP] = {"bucket_drop", true, true},
    [FRAME_PLAN] = {"plan", true, true},
    [FRAME_NODE_STATUS] = {"node_status", true},
    [FRAME_NODE_STATUS_REPLY] = {"node_status_reply", false},
    [FRAME_REPLICATE] = {"replicate", false},
    [FRAME_REPLICATE_REPLY] = {"replicate_reply", false},
    [FRAME_HELLO] = {"hello", false},
    [FRAME_HELLO_REPLY] = {"hello_reply", false},
    [FRAME_PREPARE] = {"prepare", false},
    [FRAME_PROMISE] = {"promise", false},
    [FRAME_ACCEPT] = {"accept", false},
    [FRAME_ACCEPTED] = {"accepted", false},
    [FRAME_CHOSEN] = {"chosen", false},
    [FRAME_CHUNK] = {"chunk", false},
    [FRAME_REPAIR] = {"repair", true, true},
    [FRAME_REPAIR_REPLY] = {"repair_reply", false},
    [FRAME_REPAIR_STATUS] = {"repair_status", true},
    [FRAME_REPAIR_STATUS_REPLY] = {"repair_status_reply", false},
    [FRAME_TREE_ROOTS] = {"tree_roots", false},
    [FRAME_TREE_ROOTS_REPLY] = {"tree_roots_reply", false},
    [FRAME_TREE_LEVEL] = {"tree_level", false},
    [FRAME_TREE_LEVEL_REPLY] = {"tree_level_reply", false},
    [FRAME_TREE_KEYS] = {"tree_keys", false},
    [FRAME_TREE_KEYS_REPLY] = {"tree_keys_reply", false},
    [FRAME_VERSIONS] = {"versions", false},
    [FRAME_VERSIONS_REPLY] = {"versions_reply", false},
    [FRAME_REAP_PREPARE] = {"reap_prepare", false},
    [FRAME_REAP_PREPARE_REPLY] = {"reap_prepare_reply", false},
    [FRAME_REAP_RAISE] = {"reap_raise", false},
    [FRAME_REAP_ROWS] = {"reap_rows", false},
    [FRAME_REAP_DONE] = {"reap_done", false},
    [FRAME_REAP_ROUNDS] = {"reap_rounds", false},
    [FRAME_REAP_ROUNDS_REPLY] = {"reap_rounds_reply", false},
    [FRAME_REAP_NOTICE] = {"reap_notice", false},
};
/* clang-format on */

const char *
frame_type_name(FrameType type)
{
    return FRAME_TYPES[type].name;
}

bool
frame_is_for_clients(FrameType type)
{
    return FRAME_TYPES[type].for_clients;
}

bool
frame_is_for_admins(FrameType type)
{
    return FRAME_TYPES[type].for_admins;
}

/* A type that is not known refuses the frame, not the connection: the sender gets an error and goes
 * on. */
bool
frame_decode(Slice bytes, Frame *frame)
{
    Reader reader = reader_begin(bytes);
    uint8_t type = reader_u8(&reader);

    frame->type = type > 0 && type < FRAME_TYPE_END ? (FrameType)type : FRAME_TYPE_END;
    frame->tag = reader_u32(&reader);
    frame->body = reader_take(&reader, reader_left(&reader));
    return !reader.failed && frame->type != FRAME_TYPE_END;
}

Frame
frame_copy(Arena *arena, const Frame *frame)
{
    return (Frame){.type = frame->type, .tag = frame->tag, .body = slice_copy(arena, frame->body)};
}

void
frame_encode_header(Buffer *buffer, FrameType type, uint32_t tag)
{
    buffer_put_u8(buffer, (uint8_t)type);
    buffer_put_u32(buffer, tag);
}

void
error_encode(Buffer *buffer, uint32_t tag, StatusCode status, const char *message)
{
    frame_encode_header(buffer, FRAME_ERROR, tag);
    buffer_put_u8(buffer, (uint8_t)status);
    buffer_put_string(buffer, message);
}

bool
error_decode(const Frame *frame, ErrorFrame *error)
{
    Reader reader = reader_begin(frame->body);

    error->status = status_from_byte(reader_u8(&reader));
    error->message = reader_slice(&reader);
    return reader_finish(&reader);
}

/* The piece has no length of its own: it is whatever is left of the frame. */
void
chunk_encode(Buffer *buffer, uint32_t tag, const ChunkFrame *chunk)
{
    frame_encode_header(buffer, FRAME_CHUNK, tag);
    buffer_put_u8(buffer, chunk->last);
    buffer_put(buffer, chunk->piece.data, chunk->piece.length);
}

bool
chunk_decode(const Frame *frame, ChunkFrame *chunk)
{
    Reader reader = reader_begin(frame->body);

    chunk->last = reader_bool(&reader);
    chunk->piece = reader_take(&reader, reader_left(&reader));
    return reader_finish(&reader) && chunk->piece.length > 0;
}

void
topology_fetch_encode(Buffer *buffer, uint32_t tag, const TopologyFetch *fetch)
{
    frame_encode_header(buffer, FRAME_TOPOLOGY_FETCH, tag);
    buffer_put_varint(buffer, fetch->have_epoch);
}

bool
topology_fetch_decode(const Frame *frame, TopologyFetch *fetch)
{
    Reader reader = reader_begin(frame->body);

    fetch->have_epoch = reader_varint(&reader);
    return reader_finish(&reader);
}

void
topology_frame_encode(Buffer *buffer, uint32_t tag, const TopologyFrame *topology)
{
    frame_encode_header(buffer, FRAME_TOPOLOGY, tag);
    buffer_put_varint(buffer, topology->epoch);
    buffer_put_slice(buffer, topology->document);
}

bool
topology_frame_decode(const Frame *frame, TopologyFrame *topology)
{
    Reader reader = reader_begin(frame->body);

    topology->epoch = reader_varint(&reader);
    topology->document = reader_slice(&reader);
    return reader_finish(&reader);
}

void
bucket_create_encode(Buffer *buffer, uint32_t tag, const Bucket *bucket)
{
    frame_encode_header(buffer, FRAME_BUCKET_CREATE, tag);
    topology_encode_bucket(buffer, bucket);
}

bool
bucket_create_decode(const Frame *frame, Arena *arena, Bucket *bucket)
{
    Reader reader = reader_begin(frame->body);

    *bucket = topology_decode_bucket(&reader, arena);
    return reader_finish(&reader);
}

void
bucket_drop_encode(Buffer *buffer, uint32_t tag, const BucketDrop *drop)
{
    frame_encode_header(buffer, FRAME_BUCKET_DROP, tag);
    buffer_put_u32(buffer, drop->bucket_id);
}

bool
bucket_drop_decode(const Frame *frame, BucketDrop *drop)
{
    Reader reader = reader_begin(frame->body);

    drop->bucket_id = reader_u32(&reader);
    return reader_finish(&reader);
}

void
plan_frame_encode(Buffer *buffer, uint32_t tag, const PlanFrame *plan)
{
    frame_encode_header(buffer, FRAME_PLAN, tag);
    buffer_put_u8(buffer, (uint8_t)plan->deed);
    buffer_put_varint(buffer, plan->plan);
    topology_encode_staged(buffer, &plan->change);
    buffer_put_string(buffer, plan->node);
    buffer_put_string(buffer, plan->with);
}

bool
plan_frame_decode(const Frame *frame, Arena *arena, PlanFrame *plan)
{
    Reader reader = reader_begin(frame->body);

    plan->deed = (PlanDeed)reader_u8(&reader);
    if (plan->deed > PLAN_CLEAR)
        reader_fail(&reader);
    plan->plan = reader_varint(&reader);
    plan->change = topology_decode_staged(&reader, arena);
    plan->node = reader_string(&reader, arena);
    plan->with = reader_string(&reader, arena);
    return reader_finish(&reader);
}

void
node_status_fetch_encode(Buffer *buffer, uint32_t tag)
{
    frame_encode_header(buffer, FRAME_NODE_STATUS, tag);
}

void
node_status_encode(Buffer *buffer, uint32_t tag, const NodeStatus *status)
{
    frame_encode_header(buffer, FRAME_NODE_STATUS_REPLY, tag);
    buffer_put(buffer, status->id.bytes, sizeof(MemberId));
    buffer_put_slice(buffer, status->name);
    buffer_put_varint(buffer, status->epoch);
    buffer_put_varint(buffer, status->uptime_ms);
    buffer_put_varint(buffer, status->rss_bytes);
    buffer_put_varint(buffer, status->disk_bytes);
    buffer_put_varint(buffer, status->keys_estimate);
    buffer_put_u8(buffer, (uint8_t)status->disk);
    buffer_put_slice(buffer, status->disk_why);
    buffer_put_varint(buffer, status->reachable_count);
    for (uint32_t i = 0; i < status->reachable_count; i++)
        buffer_put(buffer, status->reachable[i].bytes, sizeof(MemberId));
}

bool
node_status_decode(const Frame *frame, Arena *arena, NodeStatus *status)
{
    Reader reader = reader_begin(frame->body);
    uint8_t disk;

    *status = (NodeStatus){0};
    reader_copy(&reader, status->id.bytes, sizeof(MemberId));
    status->name = reader_slice(&reader);
    status->epoch = reader_varint(&reader);
    status->uptime_ms = reader_varint(&reader);
    status->rss_bytes = reader_varint(&reader);
    status->disk_bytes = reader_varint(&reader);
    status->keys_estimate = reader_varint(&reader);
    disk = reader_u8(&reader);
    status->disk = (DiskState)disk;
    status->disk_why = reader_slice(&reader);
    status->reachable_count = reader_count(&reader, sizeof(MemberId));
    status->reachable = ARENA_ARRAY(arena, MemberId, status->reachable_count);
    for (uint32_t i = 0; i < status->reachable_count; i++)
        reader_copy(&reader, status->reachable[i].bytes, sizeof(MemberId));
    return reader_finish(&reader) && disk <= DISK_FAILED;
}
