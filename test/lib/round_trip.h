/*
 * round_trip: decodes bytes and encodes again what was read, for every decoder of shared/ and
 * that of gossip.
 *
 * Each function gives false when the bytes are refused. When they are taken, *again has the bytes
 * that the encoder makes of what was read, which must be the same. Unit tests (hostile bytes) and
 * fuzz targets share them.
 */
#ifndef TEST_LIB_ROUND_TRIP_H
#define TEST_LIB_ROUND_TRIP_H

#include "node/engine/cluster/gossip_packet.h"
#include "shared/data/context.h"
#include "shared/data/value.h"
#include "shared/wire/message.h"
#include "test/lib/reply_frames.h"

#include <string.h>

typedef bool (*RoundTrip)(Slice bytes, Arena *arena, Buffer *again);

enum
{
    ROUND_TRIP_BUCKET = 7
};

/* The sealing keys and the key that round_trip_context opens contexts for. */
static const ContextKeys ROUND_TRIP_KEYS = {.keys = {{.bytes = {1, 2, 3}}}, .count = 1};
static const Slice ROUND_TRIP_KEY = {(const uint8_t *)"key", 3};

static inline bool
round_trip_object(Slice bytes, Arena *arena, Buffer *again)
{
    Object object;

    if (!object_decode(bytes, arena, &object))
        return false;
    object_encode(again, &object);
    return true;
}

static inline bool
round_trip_vclock(Slice bytes, Arena *arena, Buffer *again)
{
    Reader reader = reader_begin(bytes);
    VClock clock = vclock_decode(&reader, arena);

    if (!reader_finish(&reader))
        return false;
    vclock_encode(again, &clock);
    return true;
}

static inline bool
round_trip_value(Slice bytes, Arena *arena, Buffer *again)
{
    ValueColumn *columns;
    uint32_t count;

    if (!value_decode(bytes, arena, &columns, &count))
        return false;
    value_encode(again, columns, count);
    return true;
}

static inline bool
round_trip_topology(Slice bytes, Arena *arena, Buffer *again)
{
    Topology topology;

    if (!topology_decode(bytes, arena, &topology))
        return false;
    topology_encode(again, &topology);
    return true;
}

static inline bool
round_trip_context(Slice bytes, Arena *arena, Buffer *again)
{
    Reader reader = reader_begin(bytes);
    Object past;

    if (context_open(bytes, &ROUND_TRIP_KEYS, ROUND_TRIP_BUCKET, ROUND_TRIP_KEY, arena, &past) !=
        CONTEXT_OK)
        return false;
    while (reader_left(&reader) > 0)
    {
        ContextPiece piece = context_next(&reader, arena);

        past = (Object){.context = piece.clock,
                        .replaced = piece.replaced,
                        .replaced_count = piece.replaced_count};
        context_seal(again, &ROUND_TRIP_KEYS, ROUND_TRIP_BUCKET, ROUND_TRIP_KEY, &past);
    }
    return true;
}

static inline bool
round_trip_gossip(Slice bytes, Arena *arena, Buffer *again)
{
    GossipPacket *packet = ARENA_NEW(arena, GossipPacket);

    return gossip_packet_decode(bytes, packet) &&
           gossip_packet_encode(again, packet) == packet->update_count;
}

/* The first byte is the number of columns, then a byte each for their types, then the key. */
static inline bool
round_trip_key(Slice bytes, Arena *arena, Buffer *again)
{
    Reader reader = reader_begin(bytes);
    uint8_t count = reader_u8(&reader);
    KeyType types[KEY_COLUMNS_MAX];
    Slice first;

    if (count == 0 || count > KEY_COLUMNS_MAX)
        return false;
    buffer_put_u8(again, count);
    for (uint8_t i = 0; i < count; i++)
    {
        uint8_t type = reader_u8(&reader);

        if (!keycodec_type_is_known(type))
            return false;
        types[i] = (KeyType)type;
        buffer_put_u8(again, type);
    }
    if (reader.failed ||
        !keycodec_split(slice_make(reader.at, reader_left(&reader)), types, count, &first))
        return false;
    for (uint8_t i = 0; i < count; i++)
    {
        KeyValue value = keycodec_next(&reader, types[i], arena);

        keycodec_put(again, &value);
    }
    return reader_finish(&reader);
}

static inline bool
round_trip_error(const Frame *frame, Arena *arena, Buffer *again)
{
    ErrorFrame error;

    if (!error_decode(frame, &error))
        return false;

    char *message =
        arena_copy_string(arena, (const char *)error.message.data, error.message.length);

    /* error_encode takes a C string. */
    if (memchr(message, '\0', error.message.length) != NULL)
        return false;
    error_encode(again, frame->tag, error.status, message);
    return true;
}

static inline bool
round_trip_topology_fetch(const Frame *frame, Arena *arena, Buffer *again)
{
    TopologyFetch fetch;

    if (!topology_fetch_decode(frame, &fetch))
        return false;
    topology_fetch_encode(again, frame->tag, &fetch);
    return true;
}

static inline bool
round_trip_topology_frame(const Frame *frame, Arena *arena, Buffer *again)
{
    TopologyFrame topology;

    if (!topology_frame_decode(frame, &topology))
        return false;
    topology_frame_encode(again, frame->tag, &topology);
    return true;
}

static inline bool
round_trip_bucket_drop(const Frame *frame, Arena *arena, Buffer *again)
{
    BucketDrop drop;

    (void)arena;
    if (!bucket_drop_decode(frame, &drop))
        return false;
    bucket_drop_encode(again, frame->tag, &drop);
    return true;
}

static inline bool
round_trip_plan(const Frame *frame, Arena *arena, Buffer *again)
{
    PlanFrame plan;

    if (!plan_frame_decode(frame, arena, &plan))
        return false;
    plan_frame_encode(again, frame->tag, &plan);
    return true;
}

static inline bool
round_trip_node_status_fetch(const Frame *frame, Arena *arena, Buffer *again)
{
    if (frame->body.length > 0)
        return false;
    node_status_fetch_encode(again, frame->tag);
    return true;
}

static inline bool
round_trip_scan(const Frame *frame, Arena *arena, Buffer *again)
{
    ScanFrame scan;

    if (!scan_decode(frame, &scan))
        return false;
    scan_encode(again, frame->tag, &scan);
    return true;
}

static inline bool
round_trip_hello(const Frame *frame, Arena *arena, Buffer *again)
{
    HelloFrame hello;

    if (!hello_decode(frame, &hello))
        return false;
    hello_encode(again, frame->type, frame->tag, &hello);
    return true;
}

static inline bool
round_trip_paxos(const Frame *frame, Arena *arena, Buffer *again)
{
    PaxosFrame paxos;

    if (!paxos_frame_decode(frame, &paxos))
        return false;
    paxos_frame_encode(again, frame->type, frame->tag, &paxos);
    return true;
}

static inline bool
round_trip_chunk(const Frame *frame, Arena *arena, Buffer *again)
{
    ChunkFrame chunk;

    if (!chunk_decode(frame, &chunk))
        return false;
    chunk_encode(again, frame->tag, &chunk);
    return true;
}

static inline bool
round_trip_repair(const Frame *frame, Arena *arena, Buffer *again)
{
    RepairFrame repair;

    if (!repair_decode(frame, &repair))
        return false;
    repair_encode(again, frame->tag, &repair);
    return true;
}

static inline bool
round_trip_repair_reply(const Frame *frame, Arena *arena, Buffer *again)
{
    RepairReply reply;

    if (!repair_reply_decode(frame, &reply))
        return false;
    repair_reply_encode(again, frame->tag, &reply);
    return true;
}

static inline bool
round_trip_repair_status_fetch(const Frame *frame, Arena *arena, Buffer *again)
{
    RepairStatusFetch fetch;

    if (!repair_status_fetch_decode(frame, &fetch))
        return false;
    repair_status_fetch_encode(again, frame->tag, &fetch);
    return true;
}

static inline bool
round_trip_tree_keys(const Frame *frame, Arena *arena, Buffer *again)
{
    TreeKeysFrame keys;

    if (!tree_keys_decode(frame, &keys))
        return false;
    tree_keys_encode(again, frame->tag, &keys);
    return true;
}

static inline bool
round_trip_version(Slice bytes, Arena *arena, Buffer *again)
{
    Reader reader = reader_begin(bytes);
    Version version = version_decode(&reader, arena);

    if (!reader_finish(&reader))
        return false;
    version_encode(again, &version);
    return true;
}

/* The frames whose codecs have one shape: name, struct. */
#define ROUND_TRIP_FRAME(name, Type)                                                               \
    static inline bool round_trip_##name(const Frame *frame, Arena *arena, Buffer *again)          \
    {                                                                                              \
        Type decoded;                                                                              \
                                                                                                   \
        if (!name##_decode(frame, arena, &decoded))                                                \
            return false;                                                                          \
        name##_encode(again, frame->tag, &decoded);                                                \
        return true;                                                                               \
    }

ROUND_TRIP_FRAME(read, ReadFrame)
ROUND_TRIP_FRAME(read_reply, ReadReply)
ROUND_TRIP_FRAME(write, WriteFrame)
ROUND_TRIP_FRAME(write_reply, WriteReply)
ROUND_TRIP_FRAME(scan_reply, ScanReply)
ROUND_TRIP_FRAME(bucket_create, Bucket)
ROUND_TRIP_FRAME(node_status, NodeStatus)
ROUND_TRIP_FRAME(replicate, ReplicateFrame)
ROUND_TRIP_FRAME(replicate_reply, ReplicateReply)
ROUND_TRIP_FRAME(repair_status, RepairStatusReply)
ROUND_TRIP_FRAME(tree_roots, TreeRootsFrame)
ROUND_TRIP_FRAME(tree_roots_reply, TreeRootsReply)
ROUND_TRIP_FRAME(tree_level, TreeLevelFrame)
ROUND_TRIP_FRAME(tree_level_reply, TreeLevelReply)
ROUND_TRIP_FRAME(tree_keys_reply, TreeKeysReply)
ROUND_TRIP_FRAME(versions, VersionsFrame)
ROUND_TRIP_FRAME(versions_reply, VersionsReply)
ROUND_TRIP_FRAME(reap_rows, ReapRowsFrame)
ROUND_TRIP_FRAME(reap_rounds_reply, ReapRoundsReply)

#define ROUND_TRIP_REAP(name, Type)                                                                \
    static inline bool round_trip_##name(const Frame *frame, Arena *arena, Buffer *again)          \
    {                                                                                              \
        Type decoded;                                                                              \
                                                                                                   \
        (void)arena;                                                                               \
        if (!name##_decode(frame, &decoded))                                                       \
            return false;                                                                          \
        name##_encode(again, frame->tag, &decoded);                                                \
        return true;                                                                               \
    }

ROUND_TRIP_REAP(reap_prepare, ReapPrepareFrame)
ROUND_TRIP_REAP(reap_prepare_reply, ReapPrepareReply)
ROUND_TRIP_REAP(reap_raise, ReapRaiseFrame)
ROUND_TRIP_REAP(reap_done, ReapDone)
ROUND_TRIP_REAP(reap_rounds, ReapRoundsFrame)
ROUND_TRIP_REAP(reap_notice, ReapNotice)

static inline bool
round_trip_message(Slice bytes, Arena *arena, Buffer *again)
{
    typedef bool (*FrameRoundTrip)(const Frame *, Arena *, Buffer *);
    static const FrameRoundTrip by_type[FRAME_TYPE_END] = {
        [FRAME_ERROR] = round_trip_error,
        [FRAME_TOPOLOGY_FETCH] = round_trip_topology_fetch,
        [FRAME_TOPOLOGY] = round_trip_topology_frame,
        [FRAME_READ] = round_trip_read,
        [FRAME_READ_REPLY] = round_trip_read_reply,
        [FRAME_WRITE] = round_trip_write,
        [FRAME_WRITE_REPLY] = round_trip_write_reply,
        [FRAME_SCAN] = round_trip_scan,
        [FRAME_SCAN_REPLY] = round_trip_scan_reply,
        [FRAME_BUCKET_CREATE] = round_trip_bucket_create,
        [FRAME_BUCKET_DROP] = round_trip_bucket_drop,
        [FRAME_PLAN] = round_trip_plan,
        [FRAME_NODE_STATUS] = round_trip_node_status_fetch,
        [FRAME_NODE_STATUS_REPLY] = round_trip_node_status,
        [FRAME_REPLICATE] = round_trip_replicate,
        [FRAME_REPLICATE_REPLY] = round_trip_replicate_reply,
        [FRAME_HELLO] = round_trip_hello,
        [FRAME_HELLO_REPLY] = round_trip_hello,
        [FRAME_PREPARE] = round_trip_paxos,
        [FRAME_PROMISE] = round_trip_paxos,
        [FRAME_ACCEPT] = round_trip_paxos,
        [FRAME_ACCEPTED] = round_trip_paxos,
        [FRAME_CHOSEN] = round_trip_paxos,
        [FRAME_CHUNK] = round_trip_chunk,
        [FRAME_REPAIR] = round_trip_repair,
        [FRAME_REPAIR_REPLY] = round_trip_repair_reply,
        [FRAME_REPAIR_STATUS] = round_trip_repair_status_fetch,
        [FRAME_REPAIR_STATUS_REPLY] = round_trip_repair_status,
        [FRAME_TREE_ROOTS] = round_trip_tree_roots,
        [FRAME_TREE_ROOTS_REPLY] = round_trip_tree_roots_reply,
        [FRAME_TREE_LEVEL] = round_trip_tree_level,
        [FRAME_TREE_LEVEL_REPLY] = round_trip_tree_level_reply,
        [FRAME_TREE_KEYS] = round_trip_tree_keys,
        [FRAME_TREE_KEYS_REPLY] = round_trip_tree_keys_reply,
        [FRAME_VERSIONS] = round_trip_versions,
        [FRAME_VERSIONS_REPLY] = round_trip_versions_reply,
        [FRAME_REAP_PREPARE] = round_trip_reap_prepare,
        [FRAME_REAP_PREPARE_REPLY] = round_trip_reap_prepare_reply,
        [FRAME_REAP_RAISE] = round_trip_reap_raise,
        [FRAME_REAP_ROWS] = round_trip_reap_rows,
        [FRAME_REAP_DONE] = round_trip_reap_done,
        [FRAME_REAP_ROUNDS] = round_trip_reap_rounds,
        [FRAME_REAP_ROUNDS_REPLY] = round_trip_reap_rounds_reply,
        [FRAME_REAP_NOTICE] = round_trip_reap_notice,
    };
    Frame frame;

    return frame_decode(bytes, &frame) && by_type[frame.type](&frame, arena, again);
}

/* Equal, but for statuses that are not known: those read as STATUS_BAD_FRAME, so that newer nodes
 * may have more of them. */
static inline bool
round_trip_is_faithful(Slice bytes, Slice again)
{
    if (bytes.length != again.length)
        return false;
    for (size_t i = 0; i < bytes.length; i++)
    {
        if (bytes.data[i] != again.data[i] &&
            (again.data[i] != STATUS_BAD_FRAME || bytes.data[i] < STATUS_COUNT))
            return false;
    }
    return true;
}

#endif
