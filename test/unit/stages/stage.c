/* The topology, the keys and the objects that tests of steps stand on. */
#include "test/unit/stages/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

MemberId
stage_member_id(uint32_t member)
{
    return (MemberId){{(uint8_t)(member + 1)}};
}

static void
add_members(Stage *stage, uint32_t members)
{
    Topology *topology = &stage->topology;

    topology->members = arena_alloc_zero(&stage->arena, sizeof(Member) * members);
    topology->member_count = members;
    for (uint32_t i = 0; i < members; i++)
    {
        char name[16];

        snprintf(name, sizeof(name), "n%u", i);
        topology->members[i] =
            (Member){.id = stage_member_id(i),
                     .name = arena_copy_string(&stage->arena, name, strlen(name)),
                     .address = "127.0.0.1",
                     .port = (uint16_t)(7100 + i),
                     .zone = "",
                     .weight = 1};
    }
}

void
stage_init(Stage *stage, uint32_t members, uint32_t n)
{
    static const uint8_t CLUSTER_KEY[1][32] = {{7}};
    Bucket *bucket;

    *stage = (Stage){.context_keys = context_keys(CLUSTER_KEY, 1)};
    arena_init(&stage->arena, &MEMORY_HEAP);
    buffer_init(&stage->frame, &MEMORY_HEAP);
    actions_init(&stage->actions);
    stage->topology = (Topology){.epoch = 2,
                                 .cluster = {1},
                                 .partitions = STAGE_PARTITIONS,
                                 .bucket_count = 1,
                                 .last_bucket_id = STAGE_BUCKET};
    add_members(stage, members);
    bucket = ARENA_NEW(&stage->arena, Bucket);
    *bucket = (Bucket){.id = STAGE_BUCKET,
                       .name = "cart",
                       .n = n,
                       .key_types = {KEY_TEXT},
                       .key_names = {"customer"},
                       .key_count = 1};
    stage->bucket = stage->topology.buckets = bucket;
    topology_claim(&stage->topology, &stage->arena);
    for (uint32_t i = 0; i < STAGE_PARTITIONS; i++)
        stage->topology.changed[i] = 0; /* so that frames need not say an epoch */
    (void)topology_index_names(&stage->topology, &stage->arena);
    memset(stage->up, true, sizeof(stage->up));
    stage->view = (View){.actions = &stage->actions,
                         .topology = &stage->topology,
                         .self = 0,
                         .up = stage->up,
                         .hints = &stage->hints,
                         .hints_max_bytes = 1000000,
                         .context_keys = &stage->context_keys,
                         .now_ms = 1000,
                         .wall_ms = 1700000000000,
                         .request_timeout_ms = 500,
                         .max_key_bytes = 100,
                         .answer_bytes_max = 1000000,
                         .max_value_bytes = 1000};
}

void
stage_free(Stage *stage)
{
    actions_free(&stage->actions);
    buffer_free(&stage->frame);
    arena_free(&stage->arena);
}

static Slice
keep(Stage *stage, Buffer *buffer)
{
    Slice bytes = slice_copy(&stage->arena, buffer_slice(buffer));

    buffer_free(buffer);
    return bytes;
}

Slice
stage_key(Stage *stage, const char *text)
{
    KeyValue value = {.type = KEY_TEXT, .bytes = slice_from_string(text)};
    Buffer buffer;

    buffer_init(&buffer, &MEMORY_HEAP);
    keycodec_put(&buffer, &value);
    return keep(stage, &buffer);
}

void
stage_owners(const Stage *stage, Slice key, uint16_t owners[STAGE_MEMBERS_MAX])
{
    uint64_t position;

    assert_true(topology_position(stage->bucket, key, &position));
    (void)topology_preference(&stage->topology, position, owners, stage->bucket->n);
}

Slice
stage_key_of(Stage *stage, uint32_t first_owner, uint32_t nth)
{
    for (uint32_t i = 0;; i++)
    {
        uint16_t owners[STAGE_MEMBERS_MAX];
        char text[16];

        snprintf(text, sizeof(text), "key %u", i);

        Slice key = stage_key(stage, text);

        stage_owners(stage, key, owners);
        if (owners[0] == first_owner && nth-- == 0)
            return key;
    }
}

RequestId
stage_request(uint8_t writer, uint8_t counter)
{
    return (RequestId){
        {writer, counter}
    };
}

static Slice
encode_object(Stage *stage, const Object *object)
{
    Buffer buffer;

    buffer_init(&buffer, &MEMORY_HEAP);
    object_encode(&buffer, object);
    return keep(stage, &buffer);
}

static Slice
encode_sibling(Stage *stage, uint8_t writer, uint8_t counter, Sibling *sibling)
{
    Dot dot = {.actor = {{writer}}, .epoch = 1, .counter = counter};
    Object object = {
        .context = {.entries = &dot, .count = 1},
        .siblings = sibling,
        .sibling_count = 1,
    };

    sibling->request = stage_request(writer, counter);
    sibling->written_at_ms = 1;
    sibling->dots = &dot;
    sibling->dot_count = 1;
    return encode_object(stage, &object);
}

Slice
stage_object(Stage *stage, uint8_t writer, uint8_t counter, const char *value)
{
    Sibling sibling = {.value = slice_from_string(value)};

    return encode_sibling(stage, writer, counter, &sibling);
}

Slice
stage_tombstone(Stage *stage, uint8_t writer, uint8_t counter)
{
    Sibling sibling = {.tombstone = true};

    return encode_sibling(stage, writer, counter, &sibling);
}

static Object
decode_object(Stage *stage, Slice bytes)
{
    Object object = {0};

    if (bytes.length > 0)
        assert_true(object_decode(bytes, &stage->arena, &object));
    return object;
}

Slice
stage_merged(Stage *stage, Slice a, Slice b)
{
    Object left = decode_object(stage, a);
    Object right = decode_object(stage, b);
    Object merged = object_merge(&stage->arena, &left, &right);

    return encode_object(stage, &merged);
}

uint32_t
stage_siblings(Stage *stage, Slice object)
{
    return decode_object(stage, object).sibling_count;
}

WriteItem
stage_write(Stage *stage, Slice key, RequestId request, const char *value)
{
    PutValue *put = ARENA_NEW(&stage->arena, PutValue);

    *put = (PutValue){.request = request, .value = slice_from_string(value)};
    return (WriteItem){.key = key, .values = put, .value_count = 1};
}

Buffer *
stage_buffer(Stage *stage)
{
    buffer_reset(&stage->frame);
    return &stage->frame;
}

Frame
stage_decode(Stage *stage, Slice bytes)
{
    Frame frame;

    assert_true(frame_decode(slice_copy(&stage->arena, bytes), &frame));
    return frame;
}

Frame
stage_frame(Stage *stage)
{
    return stage_decode(stage, buffer_slice(&stage->frame));
}

Frame
stage_read_reply(Stage *stage, uint32_t tag, ReadMode mode, const Slice *objects, uint32_t count)
{
    ReadReply reply = {.mode = mode,
                       .items = arena_alloc_zero(&stage->arena, sizeof(ReadItem) * count),
                       .item_count = count};

    for (uint32_t i = 0; i < count; i++)
        reply.items[i] = (ReadItem){.object = objects[i], .digest = object_digest(objects[i])};
    read_reply_encode(stage_buffer(stage), tag, &reply);
    return stage_frame(stage);
}

Frame
stage_error(Stage *stage, uint32_t tag, StatusCode status)
{
    error_encode(stage_buffer(stage), tag, status, "");
    return stage_frame(stage);
}

uint32_t
stage_count(const Stage *stage, ActionKind kind)
{
    uint32_t count = 0;

    for (size_t i = 0; i < stage->actions.count; i++)
        count += stage->actions.list[i].kind == kind;
    return count;
}

const Action *
stage_action(const Stage *stage, ActionKind kind, uint32_t nth)
{
    for (size_t i = 0; i < stage->actions.count; i++)
    {
        if (stage->actions.list[i].kind == kind && nth-- == 0)
            return &stage->actions.list[i];
    }
    fail_msg("no such action of kind %d", kind);
    return NULL;
}

Frame
stage_action_frame(Stage *stage, const Action *action)
{
    return stage_decode(
        stage, slice_make(stage->actions.frames.data + action->frame_offset, action->frame_length));
}

Frame
stage_sent_to(Stage *stage, uint32_t member)
{
    const Action *found = NULL;

    for (size_t i = 0; i < stage->actions.count; i++)
    {
        const Action *action = &stage->actions.list[i];

        if (action->kind != ACTION_SEND || action->member != member)
            continue;
        assert_null(found);
        found = action;
    }
    assert_non_null(found);
    return stage_action_frame(stage, found);
}

bool
stage_sent_nothing_to(const Stage *stage, uint32_t member)
{
    for (size_t i = 0; i < stage->actions.count; i++)
    {
        if (stage->actions.list[i].kind == ACTION_SEND && stage->actions.list[i].member == member)
            return false;
    }
    return true;
}

Frame
stage_answer(Stage *stage)
{
    assert_int_equal(stage_count(stage, ACTION_REPLY), 1);
    return stage_action_frame(stage, stage_action(stage, ACTION_REPLY, 0));
}

StatusCode
stage_error_status(const Frame *frame)
{
    ErrorFrame error;

    assert_int_equal(frame->type, FRAME_ERROR);
    assert_true(error_decode(frame, &error));
    return error.status;
}

void
stage_clear(Stage *stage)
{
    actions_reset(&stage->actions);
}
