/* Plays the members around one coordinator: what it asks for is kept, and answered when a test says
 * so. */
#include "test/lib/reply_frames.h"
#include "test/unit/stages/conductor.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

void
conductor_init(Conductor *conductor)
{
    *conductor = (Conductor){
        .coordinator = coordinator_new(),
        .client = {.session = CONDUCTOR_SESSION, .tag = CONDUCTOR_TAG}
    };
    stage_init(&conductor->stage, 3, 3);
    conductor->key = stage_key_of(&conductor->stage, 0, 0);
}

void
conductor_free(Conductor *conductor)
{
    coordinator_free(conductor->coordinator);
    stage_free(&conductor->stage);
}

void
conductor_set_stage(Conductor *conductor, uint32_t members, uint32_t n)
{
    stage_free(&conductor->stage);
    stage_init(&conductor->stage, members, n);
    conductor->key = stage_key_of(&conductor->stage, 0, 0);
}

uint32_t
conductor_place_of(Conductor *conductor, uint32_t member)
{
    uint16_t owners[STAGE_MEMBERS_MAX];
    uint32_t place = 0;

    stage_owners(&conductor->stage, conductor->key, owners);
    while (owners[place] != member)
        place++;
    return place;
}

void
conductor_give_write(Conductor *conductor, const WriteFrame *write)
{
    Frame frame;

    write_encode(stage_buffer(&conductor->stage), CONDUCTOR_TAG, write);
    frame = stage_frame(&conductor->stage);
    stage_clear(&conductor->stage);
    coordinator_write(conductor->coordinator, &conductor->stage.view, conductor->client, &frame);
}

void
conductor_write_items(Conductor *conductor, WriteItem *items, uint32_t count, uint32_t w,
                      bool retry)
{
    WriteFrame write = {.epoch = conductor->stage.topology.epoch,
                        .bucket_id = STAGE_BUCKET,
                        .w = w,
                        .timeout_ms = CONDUCTOR_TIMEOUT_MS,
                        .retry = retry,
                        .clock_ms = conductor->stage.view.now_ms,
                        .alone_ms = CONDUCTOR_TIMEOUT_MS,
                        .items = items,
                        .item_count = count};

    conductor_give_write(conductor, &write);
}

void
conductor_write_one(Conductor *conductor, uint32_t w, bool retry)
{
    WriteItem item = stage_write(&conductor->stage, conductor->key, stage_request(1, 1), "apple");

    conductor_write_items(conductor, &item, 1, w, retry);
}

void
conductor_read_one(Conductor *conductor, uint32_t r)
{
    ReadFrame read = {.epoch = conductor->stage.topology.epoch,
                      .bucket_id = STAGE_BUCKET,
                      .mode = READ_COORDINATED,
                      .r = r,
                      .timeout_ms = CONDUCTOR_TIMEOUT_MS,
                      .seal = true,
                      .keys = &conductor->key,
                      .key_count = 1};
    Frame frame;

    read_encode(stage_buffer(&conductor->stage), CONDUCTOR_TAG, &read);
    frame = stage_frame(&conductor->stage);
    stage_clear(&conductor->stage);
    coordinator_read(conductor->coordinator, &conductor->stage.view, conductor->client, &frame);
}

uint64_t
conductor_apply_ref(Conductor *conductor, uint32_t nth)
{
    return stage_action(&conductor->stage, ACTION_APPLY, nth)->ref;
}

void
conductor_merged(Conductor *conductor, uint64_t ref, StatusCode status, Slice object)
{
    stage_clear(&conductor->stage);
    coordinator_merged(conductor->coordinator, &conductor->stage.view, ref, status, object);
    coordinator_flush(conductor->coordinator, &conductor->stage.view);
}

void
conductor_durable(Conductor *conductor, uint64_t ref, StatusCode status)
{
    stage_clear(&conductor->stage);
    coordinator_durable(conductor->coordinator, &conductor->stage.view, ref, status);
}

void
conductor_fetched(Conductor *conductor, uint64_t ref, StatusCode status, Slice object)
{
    stage_clear(&conductor->stage);
    coordinator_fetched(conductor->coordinator, &conductor->stage.view, ref, status, object);
    coordinator_flush(conductor->coordinator, &conductor->stage.view);
}

void
conductor_member_frame(Conductor *conductor, uint32_t member, Frame frame)
{
    stage_clear(&conductor->stage);
    coordinator_member_frame(conductor->coordinator, &conductor->stage.view, member, &frame);
    coordinator_flush(conductor->coordinator, &conductor->stage.view);
}

void
conductor_acknowledge(Conductor *conductor, uint32_t member, uint64_t ref, StatusCode status)
{
    ReplicateResult result = {.ref = ref, .status = status};
    ReplicateReply reply = {.items = &result, .item_count = 1};

    replicate_reply_encode(stage_buffer(&conductor->stage), 0, &reply);
    conductor_member_frame(conductor, member, stage_frame(&conductor->stage));
}

void
conductor_answer_read(Conductor *conductor, uint32_t member, uint32_t tag, Slice object)
{
    conductor_member_frame(conductor, member,
                           stage_read_reply(&conductor->stage, tag, READ_FULL, &object, 1));
}

void
conductor_member_down(Conductor *conductor, uint32_t member)
{
    conductor->stage.up[member] = false;
    stage_clear(&conductor->stage);
    coordinator_member_down(conductor->coordinator, &conductor->stage.view, member);
}

void
conductor_tick(Conductor *conductor, uint64_t after_ms)
{
    conductor->stage.view.now_ms = 1000 + after_ms;
    stage_clear(&conductor->stage);
    coordinator_tick(conductor->coordinator, &conductor->stage.view);
    coordinator_flush(conductor->coordinator, &conductor->stage.view);
}

uint64_t
conductor_spread_write(Conductor *conductor, uint32_t w)
{
    conductor_write_one(conductor, w, false);

    uint64_t ref = conductor_apply_ref(conductor, 0);

    conductor_merged(conductor, ref, STATUS_OK, stage_object(&conductor->stage, 1, 1, "apple"));
    return ref;
}

void
conductor_assert_unanswered(Conductor *conductor)
{
    assert_int_equal(stage_count(&conductor->stage, ACTION_REPLY), 0);
}

WriteResult
conductor_answered_write(Conductor *conductor, uint32_t index)
{
    WriteReply reply;
    Frame frame = stage_answer(&conductor->stage);

    assert_int_equal(stage_action(&conductor->stage, ACTION_REPLY, 0)->session, CONDUCTOR_SESSION);
    assert_int_equal(frame.type, FRAME_WRITE_REPLY);
    assert_int_equal(frame.tag, CONDUCTOR_TAG);
    assert_true(write_reply_decode(&frame, &conductor->stage.arena, &reply));
    assert_true(index < reply.item_count);
    return reply.items[index];
}

void
conductor_assert_write(Conductor *conductor, StatusCode status)
{
    assert_int_equal(conductor_answered_write(conductor, 0).status, status);
}

ReadItem
conductor_answered_read(Conductor *conductor)
{
    ReadReply reply;
    Frame frame = stage_answer(&conductor->stage);

    assert_int_equal(frame.type, FRAME_READ_REPLY);
    assert_int_equal(frame.tag, CONDUCTOR_TAG);
    assert_true(read_reply_decode(&frame, &conductor->stage.arena, &reply));
    assert_int_equal(reply.mode, READ_COORDINATED);
    assert_int_equal(reply.item_count, 1);
    return reply.items[0];
}

void
conductor_assert_read(Conductor *conductor, StatusCode status, Slice object)
{
    ReadItem item = conductor_answered_read(conductor);

    assert_int_equal(item.status, status);
    assert_true(slice_equal(item.object, object));
    assert_int_equal(coordinator_load(conductor->coordinator), 0);
}

void
conductor_assert_refused(Conductor *conductor, StatusCode status)
{
    Frame frame = stage_answer(&conductor->stage);

    assert_int_equal(stage_error_status(&frame), status);
    assert_int_equal(frame.tag, CONDUCTOR_TAG);
    assert_int_equal(stage_count(&conductor->stage, ACTION_APPLY), 0);
    assert_int_equal(coordinator_load(conductor->coordinator), 0);
}

ReplicateFrame
conductor_replicated_to(Conductor *conductor, uint32_t member)
{
    Frame frame = stage_sent_to(&conductor->stage, member);
    ReplicateFrame replicate;

    assert_int_equal(frame.type, FRAME_REPLICATE);
    assert_true(replicate_decode(&frame, &conductor->stage.arena, &replicate));
    return replicate;
}

ReadFrame
conductor_asked_of(Conductor *conductor, uint32_t member, uint32_t *tag)
{
    Frame frame = stage_sent_to(&conductor->stage, member);
    ReadFrame read;

    assert_int_equal(frame.type, FRAME_READ);
    assert_true(read_decode(&frame, &conductor->stage.arena, &read));
    *tag = frame.tag;
    return read;
}

uint64_t
conductor_begin_read(Conductor *conductor, uint32_t r, uint32_t *tag)
{
    conductor_read_one(conductor, r);
    for (uint32_t member = 1; member < conductor->stage.topology.member_count; member++)
    {
        if (conductor->stage.up[member])
            (void)conductor_asked_of(conductor, member, tag);
    }
    return stage_action(&conductor->stage, ACTION_READ, 0)->ref;
}
