#include "node/coordinator.h"
#include "test/unit/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum
{
    SESSION = 77,
    TAG = 5,
    GRACE_MS = 20
};

static const Origin CLIENT = {.session = SESSION, .tag = TAG};

typedef struct Fixture
{
    Stage stage;
    Coordinator *coordinator;
    Slice key; /* member 0 is its first owner */
} Fixture;

static Fixture fixture;

static void
set_stage(uint32_t members, uint32_t n)
{
    stage_free(&fixture.stage);
    stage_init(&fixture.stage, members, n);
    fixture.key = stage_key_of(&fixture.stage, 0, 0);
}

static int
set_up(void **state)
{
    fixture = (Fixture){.coordinator = coordinator_new()};
    stage_init(&fixture.stage, 3, 3);
    fixture.key = stage_key_of(&fixture.stage, 0, 0);
    return 0;
}

static int
tear_down(void **state)
{
    coordinator_free(fixture.coordinator);
    stage_free(&fixture.stage);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static uint32_t
place_of(uint32_t member)
{
    uint16_t owners[STAGE_MEMBERS_MAX];
    uint32_t place = 0;

    stage_owners(&fixture.stage, fixture.key, owners);
    while (owners[place] != member)
        place++;
    return place;
}

/* ---- what happens to the coordinator ---- */

static void
give_write(const WriteFrame *write)
{
    Frame frame;

    write_encode(stage_buffer(&fixture.stage), TAG, write);
    frame = stage_frame(&fixture.stage);
    stage_clear(&fixture.stage);
    coordinator_write(fixture.coordinator, &fixture.stage.view, CLIENT, &frame,
                      &fixture.stage.actions);
}

static void
write_items(WriteItem *items, uint32_t count, uint32_t w, bool retry)
{
    WriteFrame write = {.epoch = fixture.stage.topology.epoch,
                        .bucket_id = STAGE_BUCKET,
                        .w = w,
                        .timeout_ms = 100,
                        .retry = retry,
                        .items = items,
                        .item_count = count};

    give_write(&write);
}

static void
write_one(uint32_t w, bool retry)
{
    WriteItem item = stage_write(&fixture.stage, fixture.key, stage_request(1, 1), "apple");

    write_items(&item, 1, w, retry);
}

static void
read_one(uint32_t r)
{
    ReadFrame read = {.epoch = fixture.stage.topology.epoch,
                      .bucket_id = STAGE_BUCKET,
                      .mode = READ_COORDINATED,
                      .r = r,
                      .timeout_ms = 100,
                      .seal = true,
                      .keys = &fixture.key,
                      .key_count = 1};
    Frame frame;

    read_encode(stage_buffer(&fixture.stage), TAG, &read);
    frame = stage_frame(&fixture.stage);
    stage_clear(&fixture.stage);
    coordinator_read(fixture.coordinator, &fixture.stage.view, CLIENT, &frame,
                     &fixture.stage.actions);
}

static uint64_t
apply_ref(uint32_t nth)
{
    return stage_action(&fixture.stage, ACTION_APPLY, nth)->ref;
}

static void
merged(uint64_t ref, StatusCode status, Slice object)
{
    stage_clear(&fixture.stage);
    coordinator_merged(fixture.coordinator, &fixture.stage.view, ref, status, object,
                       &fixture.stage.actions);
    coordinator_flush(fixture.coordinator, &fixture.stage.view, &fixture.stage.actions);
}

static void
durable(uint64_t ref, StatusCode status)
{
    stage_clear(&fixture.stage);
    coordinator_durable(fixture.coordinator, &fixture.stage.view, ref, status,
                        &fixture.stage.actions);
}

static void
fetched(uint64_t ref, StatusCode status, Slice object)
{
    stage_clear(&fixture.stage);
    coordinator_fetched(fixture.coordinator, &fixture.stage.view, ref, status, object,
                        &fixture.stage.actions);
    coordinator_flush(fixture.coordinator, &fixture.stage.view, &fixture.stage.actions);
}

static void
member_frame(uint32_t member, Frame frame)
{
    stage_clear(&fixture.stage);
    coordinator_member_frame(fixture.coordinator, &fixture.stage.view, member, &frame,
                             &fixture.stage.actions);
    coordinator_flush(fixture.coordinator, &fixture.stage.view, &fixture.stage.actions);
}

static void
acknowledge(uint32_t member, uint64_t ref, StatusCode status)
{
    ReplicateResult result = {.ref = ref, .status = status};
    ReplicateReply reply = {.items = &result, .item_count = 1};

    replicate_reply_encode(stage_buffer(&fixture.stage), 0, &reply);
    member_frame(member, stage_frame(&fixture.stage));
}

static void
answer_read(uint32_t member, uint32_t tag, Slice object)
{
    member_frame(member, stage_read_reply(&fixture.stage, tag, READ_FULL, &object, 1));
}

static void
member_down(uint32_t member)
{
    fixture.stage.up[member] = false;
    stage_clear(&fixture.stage);
    coordinator_member_down(fixture.coordinator, &fixture.stage.view, member,
                            &fixture.stage.actions);
}

static void
tick(uint64_t after_ms)
{
    fixture.stage.view.now_ms = 1000 + after_ms;
    stage_clear(&fixture.stage);
    coordinator_tick(fixture.coordinator, &fixture.stage.view, &fixture.stage.actions);
    coordinator_flush(fixture.coordinator, &fixture.stage.view, &fixture.stage.actions);
}

/* A write of one key whose object is merged and on its way; returns its ref. */
static uint64_t
spread_write(uint32_t w)
{
    write_one(w, false);

    uint64_t ref = apply_ref(0);

    merged(ref, STATUS_OK, stage_object(&fixture.stage, 1, 1, "apple"));
    return ref;
}

/* ---- what comes out ---- */

static void
assert_unanswered(void)
{
    assert_int_equal(stage_count(&fixture.stage, ACTION_REPLY), 0);
}

static WriteResult
answered_write(uint32_t index)
{
    WriteReply reply;
    Frame frame = stage_answer(&fixture.stage);

    assert_int_equal(stage_action(&fixture.stage, ACTION_REPLY, 0)->session, SESSION);
    assert_int_equal(frame.type, FRAME_WRITE_REPLY);
    assert_int_equal(frame.tag, TAG);
    assert_true(write_reply_decode(&frame, &fixture.stage.arena, &reply));
    assert_true(index < reply.item_count);
    return reply.items[index];
}

static void
assert_write(StatusCode status)
{
    assert_int_equal(answered_write(0).status, status);
    assert_int_equal(coordinator_load(fixture.coordinator), 0);
}

static ReadItem
answered_read(void)
{
    ReadReply reply;
    Frame frame = stage_answer(&fixture.stage);

    assert_int_equal(frame.type, FRAME_READ_REPLY);
    assert_int_equal(frame.tag, TAG);
    assert_true(read_reply_decode(&frame, &fixture.stage.arena, &reply));
    assert_int_equal(reply.mode, READ_COORDINATED);
    assert_int_equal(reply.item_count, 1);
    return reply.items[0];
}

static void
assert_read(StatusCode status, Slice object)
{
    ReadItem item = answered_read();

    assert_int_equal(item.status, status);
    assert_true(slice_equal(item.object, object));
    assert_int_equal(coordinator_load(fixture.coordinator), 0);
}

static void
assert_refused(StatusCode status)
{
    Frame frame = stage_answer(&fixture.stage);

    assert_int_equal(stage_error_status(&frame), status);
    assert_int_equal(frame.tag, TAG);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
    assert_int_equal(coordinator_load(fixture.coordinator), 0);
}

static ReplicateFrame
replicated_to(uint32_t member)
{
    Frame frame = stage_sent_to(&fixture.stage, member);
    ReplicateFrame replicate;

    assert_int_equal(frame.type, FRAME_REPLICATE);
    assert_true(replicate_decode(&frame, &fixture.stage.arena, &replicate));
    return replicate;
}

static ReadFrame
asked_of(uint32_t member, uint32_t *tag)
{
    Frame frame = stage_sent_to(&fixture.stage, member);
    ReadFrame read;

    assert_int_equal(frame.type, FRAME_READ);
    assert_true(read_decode(&frame, &fixture.stage.arena, &read));
    *tag = frame.tag;
    return read;
}

/* ---- writes ---- */

static void
a_write_is_stamped_here_first(void **state)
{
    write_one(2, false);
    assert_unanswered();
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 1);
    assert_int_equal(stage_count(&fixture.stage, ACTION_SEND), 0);

    const Update *update = stage_action(&fixture.stage, ACTION_APPLY, 0)->update;

    assert_null(update->merge);
    assert_int_equal(update->put->value_count, 1);
    assert_int_equal(update->put->now_ms, fixture.stage.view.wall_ms);
}

static void
the_merged_object_goes_to_the_other_owners_before_it_is_durable_here(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    write_one(2, false);
    merged(apply_ref(0), STATUS_OK, object);
    assert_unanswered();
    for (uint32_t member = 1; member < 3; member++)
    {
        ReplicateFrame replicate = replicated_to(member);

        assert_int_equal(replicate.item_count, 1);
        assert_int_equal(replicate.epoch, fixture.stage.topology.epoch);
        assert_true(slice_equal(replicate.items[0].object, object));
        assert_true(slice_equal(replicate.items[0].key, fixture.key));
    }
}

static void
a_write_is_ok_when_w_owners_have_it_durably(void **state)
{
    uint64_t ref = spread_write(2);

    durable(ref, STATUS_OK);
    assert_unanswered();
    acknowledge(1, ref, STATUS_OK);
    assert_write(STATUS_OK);
    assert_int_equal(answered_write(0).acked, 1u << place_of(0) | 1u << place_of(1));
}

static void
a_write_may_be_ok_before_it_is_durable_here(void **state)
{
    uint64_t ref = spread_write(2);

    acknowledge(2, ref, STATUS_OK);
    acknowledge(1, ref, STATUS_OK);
    assert_write(STATUS_OK);
    durable(ref, STATUS_OK);
    assert_unanswered();
}

static void
an_owner_counts_once_however_often_it_acknowledges(void **state)
{
    uint64_t ref = spread_write(3);

    durable(ref, STATUS_OK);
    acknowledge(1, ref, STATUS_OK);
    acknowledge(1, ref, STATUS_OK);
    assert_unanswered();
    acknowledge(2, ref, STATUS_OK);
    assert_write(STATUS_OK);
}

static void
an_acknowledgement_of_somebody_who_was_not_asked_does_not_count(void **state)
{
    set_stage(4, 3);

    uint64_t ref = spread_write(2);
    uint32_t stranger = 0;
    uint16_t owners[STAGE_MEMBERS_MAX];

    stage_owners(&fixture.stage, fixture.key, owners);
    while (owners[0] == stranger || owners[1] == stranger || owners[2] == stranger)
        stranger++;
    acknowledge(stranger, ref, STATUS_OK);
    acknowledge(0, ref, STATUS_OK);
    assert_unanswered();
    durable(ref, STATUS_OK);
    assert_unanswered();
}

static void
a_write_of_one_replica_ends_when_it_is_durable(void **state)
{
    set_stage(1, 1);

    uint64_t ref = spread_write(1);

    assert_unanswered();
    durable(ref, STATUS_OK);
    assert_write(STATUS_OK);
}

static void
a_quorum_of_nought_is_one_and_one_above_n_is_n(void **state)
{
    uint64_t ref = spread_write(0);

    assert_unanswered();
    durable(ref, STATUS_OK);
    assert_write(STATUS_OK);
    ref = spread_write(9);
    durable(ref, STATUS_OK);
    acknowledge(1, ref, STATUS_OK);
    assert_unanswered();
    acknowledge(2, ref, STATUS_OK);
    assert_write(STATUS_OK);
}

static void
a_write_is_refused_before_anything_is_written_when_too_few_owners_are_up(void **state)
{
    fixture.stage.up[1] = fixture.stage.up[2] = false;
    write_one(2, false);
    assert_write(STATUS_UNAVAILABLE);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
    assert_int_equal(coordinator_counters(fixture.coordinator).writes_refused, 1);
}

static void
a_write_with_one_owner_down_reaches_its_quorum(void **state)
{
    fixture.stage.up[2] = false;

    uint64_t ref = spread_write(2);

    assert_true(stage_sent_nothing_to(&fixture.stage, 2));
    durable(ref, STATUS_OK);
    acknowledge(1, ref, STATUS_OK);
    assert_write(STATUS_OK);
}

static void
a_write_that_can_no_longer_reach_w_is_unknown_at_once(void **state)
{
    uint64_t ref = spread_write(2);

    durable(ref, STATUS_OK);
    member_down(1);
    assert_unanswered();
    member_down(2);
    assert_write(STATUS_UNKNOWN);
    assert_int_equal(answered_write(0).acked, 1u << place_of(0));
    assert_int_equal(coordinator_counters(fixture.coordinator).writes_unknown, 1);
}

static void
replicas_that_fail_leave_a_write_unknown(void **state)
{
    uint64_t ref = spread_write(2);

    acknowledge(1, ref, STATUS_STORAGE);
    acknowledge(2, ref, STATUS_CORRUPT);
    assert_write(STATUS_UNKNOWN);
}

static void
a_failed_sync_here_leaves_a_write_to_the_others(void **state)
{
    uint64_t ref = spread_write(2);

    durable(ref, STATUS_STORAGE);
    acknowledge(1, ref, STATUS_OK);
    assert_unanswered();
    acknowledge(2, ref, STATUS_OK);
    assert_write(STATUS_OK);
}

static void
a_write_that_storage_refuses_is_refused(void **state)
{
    write_one(2, false);
    merged(apply_ref(0), STATUS_CORRUPT, SLICE_EMPTY);
    assert_write(STATUS_CORRUPT);
    assert_int_equal(stage_count(&fixture.stage, ACTION_SEND), 0);
}

static void
a_write_that_is_spread_is_unknown_at_its_deadline(void **state)
{
    uint64_t ref = spread_write(2);

    durable(ref, STATUS_OK);
    tick(99);
    assert_unanswered();
    tick(110);
    assert_write(STATUS_UNKNOWN);
    acknowledge(1, ref, STATUS_OK);
    assert_unanswered();
}

static void
refs_of_an_operation_that_has_ended_are_ignored(void **state)
{
    uint64_t ref = spread_write(1);

    durable(ref, STATUS_OK);
    assert_write(STATUS_OK);
    write_one(2, false);
    assert_true(apply_ref(0) != ref);
    merged(ref, STATUS_OK, stage_object(&fixture.stage, 1, 1, "apple"));
    durable(ref, STATUS_OK);
    acknowledge(1, ref, STATUS_OK);
    acknowledge(2, ref, STATUS_OK);
    assert_unanswered();
    assert_int_equal(coordinator_load(fixture.coordinator), 1);
}

static void
garbage_refs_are_ignored(void **state)
{
    spread_write(2);
    for (uint64_t ref = 1; ref != 0; ref <<= 1)
    {
        acknowledge(1, ref, STATUS_OK);
        assert_unanswered();
    }
    acknowledge(1, UINT64_MAX, STATUS_OK);
    assert_unanswered();
    assert_int_equal(coordinator_load(fixture.coordinator), 1);
}

static void
a_failed_disk_takes_no_writes(void **state)
{
    fixture.stage.view.storage_failed = true;
    write_one(1, false);
    assert_write(STATUS_STORAGE);
}

static void
a_node_that_does_not_own_the_key_says_so(void **state)
{
    set_stage(4, 3);
    fixture.stage.view.self = 3;
    for (uint32_t i = 0;; i++)
    {
        uint16_t owners[STAGE_MEMBERS_MAX];

        fixture.key = stage_key_of(&fixture.stage, 0, i);
        stage_owners(&fixture.stage, fixture.key, owners);
        if (owners[1] != 3 && owners[2] != 3)
            break;
    }
    write_one(1, false);
    assert_write(STATUS_NOT_OWNER);
    read_one(1);
    assert_read(STATUS_NOT_OWNER, SLICE_EMPTY);
}

static void
keys_and_values_over_the_limits_are_refused_each_by_itself(void **state)
{
    char text[2000];
    WriteItem items[4];

    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    items[0] = stage_write(&fixture.stage, fixture.key, stage_request(1, 1), text);
    text[200] = '\0';
    items[1] =
        stage_write(&fixture.stage, stage_key(&fixture.stage, text), stage_request(1, 2), "apple");
    items[2] = stage_write(&fixture.stage, slice_from_string("\1\2"), stage_request(1, 3), "apple");
    items[3] = stage_write(&fixture.stage, fixture.key, stage_request(1, 4), "apple");
    write_items(items, 4, 1, false);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 1);

    uint64_t ref = apply_ref(0);

    merged(ref, STATUS_OK, stage_object(&fixture.stage, 1, 1, "apple"));
    durable(ref, STATUS_OK);
    assert_int_equal(answered_write(0).status, STATUS_TOO_LARGE);
    assert_int_equal(answered_write(1).status, STATUS_TOO_LARGE);
    assert_int_equal(answered_write(2).status, STATUS_BAD_KEY);
    assert_int_equal(answered_write(3).status, STATUS_OK);
}

static void
a_context_of_another_key_is_refused(void **state)
{
    WriteItem item = stage_write(&fixture.stage, fixture.key, stage_request(1, 1), "apple");
    Dot dot = {.actor = {{9}}, .epoch = 1, .counter = 1};
    VClock clock = {.entries = &dot, .count = 1};
    Buffer sealed;

    buffer_init(&sealed, &MEMORY_HEAP);
    context_seal(&sealed, &fixture.stage.sealer, STAGE_BUCKET, stage_key_of(&fixture.stage, 0, 1),
                 &clock);
    item.context = buffer_slice(&sealed);
    write_items(&item, 1, 1, false);
    assert_write(STATUS_BAD_CONTEXT);
    buffer_reset(&sealed);
    context_seal(&sealed, &fixture.stage.sealer, STAGE_BUCKET, fixture.key, &clock);
    item.context = buffer_slice(&sealed);
    write_items(&item, 1, 1, false);
    assert_int_equal(stage_action(&fixture.stage, ACTION_APPLY, 0)->update->put->context.count, 1);
    buffer_free(&sealed);
}

static void
a_write_of_no_keys_is_answered(void **state)
{
    WriteReply reply;
    Frame frame;

    write_items(NULL, 0, 1, false);
    frame = stage_answer(&fixture.stage);
    assert_true(write_reply_decode(&frame, &fixture.stage.arena, &reply));
    assert_int_equal(reply.item_count, 0);
    assert_int_equal(coordinator_load(fixture.coordinator), 0);
}

static void
a_bucket_that_is_not_known_yet_means_behind(void **state)
{
    WriteItem item = stage_write(&fixture.stage, fixture.key, stage_request(1, 1), "apple");
    WriteFrame write = {.bucket_id = 9, .w = 1, .items = &item, .item_count = 1};

    give_write(&write);
    assert_refused(STATUS_BEHIND);
}

static void
a_frame_that_cannot_be_read_is_refused(void **state)
{
    Frame frame = {.type = FRAME_WRITE, .tag = TAG, .body = slice_from_string("nonsense")};

    coordinator_write(fixture.coordinator, &fixture.stage.view, CLIENT, &frame,
                      &fixture.stage.actions);
    assert_refused(STATUS_BAD_FRAME);
    stage_clear(&fixture.stage);
    frame.type = FRAME_READ;
    coordinator_read(fixture.coordinator, &fixture.stage.view, CLIENT, &frame,
                     &fixture.stage.actions);
    assert_refused(STATUS_BAD_FRAME);
}

static void
replicates_of_one_turn_leave_in_one_frame_a_member(void **state)
{
    WriteItem items[2];
    uint64_t refs[2];
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    for (uint32_t i = 0; i < 2; i++)
        items[i] = stage_write(&fixture.stage, stage_key_of(&fixture.stage, 0, i),
                               stage_request(1, (uint8_t)i), "apple");
    write_items(items, 2, 2, false);
    for (uint32_t i = 0; i < 2; i++)
        refs[i] = apply_ref(i);
    stage_clear(&fixture.stage);
    coordinator_merged(fixture.coordinator, &fixture.stage.view, refs[0], STATUS_OK, object,
                       &fixture.stage.actions);
    merged(refs[1], STATUS_OK, object);
    assert_int_equal(replicated_to(1).item_count, 2);
    acknowledge(1, refs[0], STATUS_OK);
    acknowledge(2, refs[0], STATUS_OK);
    acknowledge(1, refs[1], STATUS_OK);
    assert_unanswered();
    durable(refs[1], STATUS_OK);
    assert_int_equal(answered_write(0).status, STATUS_OK);
    assert_int_equal(answered_write(1).status, STATUS_OK);
}

static void
what_was_gathered_for_a_member_that_went_down_does_not_leave(void **state)
{
    write_one(2, false);

    uint64_t ref = apply_ref(0);

    stage_clear(&fixture.stage);
    coordinator_merged(fixture.coordinator, &fixture.stage.view, ref, STATUS_OK,
                       stage_object(&fixture.stage, 1, 1, "apple"), &fixture.stage.actions);
    member_down(1);
    coordinator_flush(fixture.coordinator, &fixture.stage.view, &fixture.stage.actions);
    assert_true(stage_sent_nothing_to(&fixture.stage, 1));
    assert_false(stage_sent_nothing_to(&fixture.stage, 2));
}

/* ---- retries ---- */

static void
a_retry_asks_the_other_owners_before_it_stamps(void **state)
{
    uint32_t tags[3];

    write_one(2, true);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
    assert_int_equal(asked_of(1, &tags[1]).mode, READ_FULL);
    (void)asked_of(2, &tags[2]);
    answer_read(1, tags[1], SLICE_EMPTY);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
    answer_read(2, tags[2], SLICE_EMPTY);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 1);
    assert_non_null(stage_action(&fixture.stage, ACTION_APPLY, 0)->update->put);
}

static void
a_retry_that_an_owner_knows_is_merged_and_not_stamped_again(void **state)
{
    uint32_t tag;

    write_one(2, true);
    (void)asked_of(1, &tag);
    answer_read(1, tag, stage_object(&fixture.stage, 1, 1, "apple"));
    answer_read(2, tag, SLICE_EMPTY);

    const Update *update = stage_action(&fixture.stage, ACTION_APPLY, 0)->update;

    assert_null(update->put);
    assert_int_equal(update->merge->sibling_count, 1);
}

static void
a_retry_is_known_although_a_later_write_elsewhere_has_replaced_it(void **state)
{
    Slice known = stage_object(&fixture.stage, 1, 1, "apple");
    Object replaced = {0};
    Buffer later;
    uint32_t tag;

    assert_true(object_decode(known, &fixture.stage.arena, &replaced));
    replaced.sibling_count = 0;
    buffer_init(&later, &MEMORY_HEAP);
    object_encode(&later, &replaced);
    write_one(2, true);
    (void)asked_of(1, &tag);
    answer_read(1, tag, known);
    answer_read(2, tag, buffer_slice(&later));
    assert_null(stage_action(&fixture.stage, ACTION_APPLY, 0)->update->put);
    buffer_free(&later);
}

static void
a_retry_does_not_wait_for_owners_that_are_down_or_go_down(void **state)
{
    uint32_t tag;

    fixture.stage.up[2] = false;
    write_one(1, true);
    assert_true(stage_sent_nothing_to(&fixture.stage, 2));
    (void)asked_of(1, &tag);
    member_down(1);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 1);
}

static void
a_retry_alone_stamps_at_once(void **state)
{
    fixture.stage.up[1] = fixture.stage.up[2] = false;
    write_one(1, true);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 1);
    assert_int_equal(coordinator_counters(fixture.coordinator).writes_retried, 1);
}

static void
a_retry_whose_owners_stay_silent_is_refused_at_its_deadline(void **state)
{
    write_one(2, true);
    tick(110);
    assert_write(STATUS_UNAVAILABLE);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
}

static void
an_owner_that_refuses_or_garbles_its_answer_to_a_retry_is_not_waited_for(void **state)
{
    uint32_t tag;
    Frame frame;

    write_one(2, true);
    (void)asked_of(1, &tag);
    member_frame(1, stage_error(&fixture.stage, tag, STATUS_BEHIND));
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
    frame = stage_read_reply(&fixture.stage, tag, READ_FULL, &SLICE_EMPTY, 1);
    frame.body.length--;
    member_frame(2, frame);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 1);
}

static void
an_object_of_another_owner_that_cannot_be_read_is_left_out_of_a_retry(void **state)
{
    uint32_t tag;

    write_one(2, true);
    (void)asked_of(1, &tag);
    answer_read(1, tag, slice_from_string("no object"));
    answer_read(2, tag, SLICE_EMPTY);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 1);
    assert_int_equal(stage_action(&fixture.stage, ACTION_APPLY, 0)->update->merge->sibling_count,
                     0);
}

/* ---- coordinated reads ---- */

/* Begins one; the tag it asks the others with, and the ref it asks storage with. */
static uint64_t
begin_read(uint32_t r, uint32_t *tag)
{
    read_one(r);
    for (uint32_t member = 1; member < fixture.stage.topology.member_count; member++)
    {
        if (fixture.stage.up[member])
            (void)asked_of(member, tag);
    }
    return stage_action(&fixture.stage, ACTION_READ, 0)->ref;
}

static void
owners_that_agree_answer_a_coordinated_read_without_repair(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref = begin_read(2, &tag);

    fetched(ref, STATUS_OK, object);
    answer_read(1, tag, object);
    assert_unanswered();
    answer_read(2, tag, object);
    assert_read(STATUS_OK, object);
    assert_int_equal(stage_count(&fixture.stage, ACTION_SEND), 0);
    assert_int_equal(coordinator_counters(fixture.coordinator).repairs, 0);
}

static void
a_coordinated_read_seals_the_merged_context(void **state)
{
    Slice mine = stage_object(&fixture.stage, 1, 1, "apple");
    Slice other = stage_object(&fixture.stage, 2, 1, "pear");
    uint32_t tag;
    uint64_t ref = begin_read(1, &tag);
    VClock clock;

    fetched(ref, STATUS_OK, mine);
    answer_read(1, tag, other);
    answer_read(2, tag, mine);
    assert_int_equal(context_open(answered_read().context, &fixture.stage.sealer, STAGE_BUCKET,
                                  fixture.key, &fixture.stage.arena, &clock),
                     CONTEXT_OK);
    assert_int_equal(clock.count, 2);
}

static void
a_coordinated_read_of_an_absent_key_is_absent(void **state)
{
    uint32_t tag;
    uint64_t ref = begin_read(2, &tag);

    fetched(ref, STATUS_OK, SLICE_EMPTY);
    answer_read(1, tag, SLICE_EMPTY);
    answer_read(2, tag, SLICE_EMPTY);
    assert_read(STATUS_OK, SLICE_EMPTY);
}

static void
owners_that_differ_are_repaired_and_the_answer_waits_until_enough_have_the_merge(void **state)
{
    Slice mine = stage_object(&fixture.stage, 1, 1, "apple");
    Slice other = stage_object(&fixture.stage, 2, 1, "pear");
    Slice both = stage_merged(&fixture.stage, mine, other);
    uint32_t tag;
    uint64_t ref = begin_read(2, &tag);

    fetched(ref, STATUS_OK, mine);
    answer_read(1, tag, other);
    answer_read(2, tag, SLICE_EMPTY);
    assert_unanswered();
    assert_true(slice_equal(replicated_to(1).items[0].object, both));
    assert_true(slice_equal(replicated_to(2).items[0].object, both));
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 1);
    merged(ref, STATUS_OK, both);
    durable(ref, STATUS_OK);
    assert_unanswered();
    acknowledge(2, ref, STATUS_OK);
    assert_read(STATUS_OK, both);
    assert_int_equal(coordinator_counters(fixture.coordinator).repairs, 3);
}

static void
only_owners_that_are_behind_are_repaired(void **state)
{
    Slice old = stage_object(&fixture.stage, 1, 1, "apple");
    Slice both = stage_merged(&fixture.stage, old, stage_object(&fixture.stage, 2, 1, "pear"));
    uint32_t tag;
    uint64_t ref = begin_read(2, &tag);

    fetched(ref, STATUS_OK, both);
    answer_read(1, tag, both);
    answer_read(2, tag, old);
    assert_read(STATUS_OK, both);
    assert_true(stage_sent_nothing_to(&fixture.stage, 1));
    assert_true(slice_equal(replicated_to(2).items[0].object, both));
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
}

static void
a_read_of_all_owners_need_wait_for_one_holder_only(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref = begin_read(3, &tag);

    fetched(ref, STATUS_OK, SLICE_EMPTY);
    answer_read(1, tag, object);
    answer_read(2, tag, SLICE_EMPTY);
    assert_read(STATUS_OK, object);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 1);
}

static void
a_read_with_one_owner_down_repairs_among_the_others(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref;

    fixture.stage.up[2] = false;
    ref = begin_read(2, &tag);
    fetched(ref, STATUS_OK, SLICE_EMPTY);
    answer_read(1, tag, object);
    assert_unanswered();
    merged(ref, STATUS_OK, object);
    durable(ref, STATUS_OK);
    assert_read(STATUS_OK, object);
}

static void
a_repair_that_cannot_reach_enough_owners_makes_the_read_unavailable(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref;

    fixture.stage.up[2] = false;
    ref = begin_read(2, &tag);
    fetched(ref, STATUS_OK, object);
    answer_read(1, tag, SLICE_EMPTY);
    assert_unanswered();
    acknowledge(1, ref, STATUS_STORAGE);
    assert_read(STATUS_UNAVAILABLE, SLICE_EMPTY);
}

static void
a_repair_that_storage_refuses_here_is_one_acknowledgement_less(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref = begin_read(2, &tag);

    fetched(ref, STATUS_OK, SLICE_EMPTY);
    answer_read(1, tag, object);
    answer_read(2, tag, SLICE_EMPTY);
    merged(ref, STATUS_STORAGE, SLICE_EMPTY);
    assert_unanswered();
    acknowledge(2, ref, STATUS_OK);
    assert_read(STATUS_OK, object);
}

static void
a_read_is_refused_when_too_few_owners_are_up(void **state)
{
    fixture.stage.up[1] = fixture.stage.up[2] = false;
    read_one(2);
    assert_read(STATUS_UNAVAILABLE, SLICE_EMPTY);
    assert_int_equal(stage_count(&fixture.stage, ACTION_READ), 0);
}

static void
an_owner_that_goes_down_meanwhile_is_not_waited_for(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref = begin_read(2, &tag);

    fetched(ref, STATUS_OK, object);
    answer_read(1, tag, object);
    assert_unanswered();
    member_down(2);
    assert_read(STATUS_OK, object);
}

static void
a_slow_owner_is_given_a_short_grace_once_r_have_answered(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref = begin_read(2, &tag);

    fetched(ref, STATUS_OK, object);
    answer_read(1, tag, object);
    tick(GRACE_MS - 5);
    assert_unanswered();
    assert_true(coordinator_wake_ms(fixture.coordinator) <= 1000 + GRACE_MS + 10);
    tick(GRACE_MS + 10);
    assert_read(STATUS_OK, object);
    answer_read(2, tag, SLICE_EMPTY);
    assert_unanswered();
}

static void
a_read_without_r_answers_is_unavailable_at_its_deadline(void **state)
{
    uint32_t tag;
    uint64_t ref = begin_read(2, &tag);

    fetched(ref, STATUS_OK, stage_object(&fixture.stage, 1, 1, "apple"));
    tick(90);
    assert_unanswered();
    tick(110);
    assert_read(STATUS_UNAVAILABLE, SLICE_EMPTY);
}

static void
a_repair_that_takes_too_long_ends_at_the_deadline(void **state)
{
    uint32_t tag;
    uint64_t ref = begin_read(2, &tag);

    fetched(ref, STATUS_OK, SLICE_EMPTY);
    answer_read(1, tag, stage_object(&fixture.stage, 1, 1, "apple"));
    answer_read(2, tag, SLICE_EMPTY);
    assert_unanswered();
    tick(110);
    assert_read(STATUS_UNAVAILABLE, SLICE_EMPTY);
}

static void
a_corrupt_object_here_is_no_answer(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref = begin_read(2, &tag);

    fetched(ref, STATUS_CORRUPT, SLICE_EMPTY);
    answer_read(1, tag, object);
    answer_read(2, tag, object);
    assert_read(STATUS_OK, object);
}

static void
objects_that_cannot_be_read_do_not_make_a_quorum(void **state)
{
    uint32_t tag;
    uint64_t ref = begin_read(2, &tag);

    fetched(ref, STATUS_OK, stage_object(&fixture.stage, 1, 1, "apple"));
    answer_read(1, tag, slice_from_string("no object"));
    answer_read(2, tag, slice_from_string("nor this"));
    assert_read(STATUS_UNAVAILABLE, SLICE_EMPTY);
}

static void
an_answer_given_twice_counts_once(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref = begin_read(3, &tag);

    fetched(ref, STATUS_OK, object);
    fetched(ref, STATUS_OK, SLICE_EMPTY);
    answer_read(1, tag, object);
    answer_read(1, tag, object);
    assert_unanswered();
    answer_read(2, tag, object);
    assert_read(STATUS_OK, object);
}

static void
an_owner_that_answers_fewer_keys_than_asked_has_failed_for_the_rest(void **state)
{
    Slice keys[2] = {stage_key_of(&fixture.stage, 0, 0), stage_key_of(&fixture.stage, 0, 1)};
    ReadFrame read = {
        .bucket_id = STAGE_BUCKET, .mode = READ_COORDINATED, .r = 2, .keys = keys, .key_count = 2};
    Frame frame;
    ReadReply reply;
    uint32_t tag;
    uint64_t refs[2];

    fixture.stage.up[2] = false;
    read_encode(stage_buffer(&fixture.stage), TAG, &read);
    frame = stage_frame(&fixture.stage);
    coordinator_read(fixture.coordinator, &fixture.stage.view, CLIENT, &frame,
                     &fixture.stage.actions);
    (void)asked_of(1, &tag);
    for (uint32_t i = 0; i < 2; i++)
        refs[i] = stage_action(&fixture.stage, ACTION_READ, i)->ref;
    fetched(refs[0], STATUS_OK, SLICE_EMPTY);
    fetched(refs[1], STATUS_OK, SLICE_EMPTY);
    answer_read(1, tag, SLICE_EMPTY);
    frame = stage_answer(&fixture.stage);
    assert_true(read_reply_decode(&frame, &fixture.stage.arena, &reply));
    assert_int_equal(reply.items[0].status, STATUS_OK);
    assert_int_equal(reply.items[1].status, STATUS_UNAVAILABLE);
}

static void
there_is_nothing_to_wake_up_for_without_work(void **state)
{
    assert_true(coordinator_wake_ms(fixture.coordinator) == UINT64_MAX);
    spread_write(2);
    assert_true(coordinator_wake_ms(fixture.coordinator) != UINT64_MAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_write_is_stamped_here_first),
        TEST(the_merged_object_goes_to_the_other_owners_before_it_is_durable_here),
        TEST(a_write_is_ok_when_w_owners_have_it_durably),
        TEST(a_write_may_be_ok_before_it_is_durable_here),
        TEST(an_owner_counts_once_however_often_it_acknowledges),
        TEST(an_acknowledgement_of_somebody_who_was_not_asked_does_not_count),
        TEST(a_write_of_one_replica_ends_when_it_is_durable),
        TEST(a_quorum_of_nought_is_one_and_one_above_n_is_n),
        TEST(a_write_is_refused_before_anything_is_written_when_too_few_owners_are_up),
        TEST(a_write_with_one_owner_down_reaches_its_quorum),
        TEST(a_write_that_can_no_longer_reach_w_is_unknown_at_once),
        TEST(replicas_that_fail_leave_a_write_unknown),
        TEST(a_failed_sync_here_leaves_a_write_to_the_others),
        TEST(a_write_that_storage_refuses_is_refused),
        TEST(a_write_that_is_spread_is_unknown_at_its_deadline),
        TEST(refs_of_an_operation_that_has_ended_are_ignored),
        TEST(garbage_refs_are_ignored),
        TEST(a_failed_disk_takes_no_writes),
        TEST(a_node_that_does_not_own_the_key_says_so),
        TEST(keys_and_values_over_the_limits_are_refused_each_by_itself),
        TEST(a_context_of_another_key_is_refused),
        TEST(a_write_of_no_keys_is_answered),
        TEST(a_bucket_that_is_not_known_yet_means_behind),
        TEST(a_frame_that_cannot_be_read_is_refused),
        TEST(replicates_of_one_turn_leave_in_one_frame_a_member),
        TEST(what_was_gathered_for_a_member_that_went_down_does_not_leave),
        TEST(a_retry_asks_the_other_owners_before_it_stamps),
        TEST(a_retry_that_an_owner_knows_is_merged_and_not_stamped_again),
        TEST(a_retry_is_known_although_a_later_write_elsewhere_has_replaced_it),
        TEST(a_retry_does_not_wait_for_owners_that_are_down_or_go_down),
        TEST(a_retry_alone_stamps_at_once),
        TEST(a_retry_whose_owners_stay_silent_is_refused_at_its_deadline),
        TEST(an_owner_that_refuses_or_garbles_its_answer_to_a_retry_is_not_waited_for),
        TEST(an_object_of_another_owner_that_cannot_be_read_is_left_out_of_a_retry),
        TEST(owners_that_agree_answer_a_coordinated_read_without_repair),
        TEST(a_coordinated_read_seals_the_merged_context),
        TEST(a_coordinated_read_of_an_absent_key_is_absent),
        TEST(owners_that_differ_are_repaired_and_the_answer_waits_until_enough_have_the_merge),
        TEST(only_owners_that_are_behind_are_repaired),
        TEST(a_read_of_all_owners_need_wait_for_one_holder_only),
        TEST(a_read_with_one_owner_down_repairs_among_the_others),
        TEST(a_repair_that_cannot_reach_enough_owners_makes_the_read_unavailable),
        TEST(a_repair_that_storage_refuses_here_is_one_acknowledgement_less),
        TEST(a_read_is_refused_when_too_few_owners_are_up),
        TEST(an_owner_that_goes_down_meanwhile_is_not_waited_for),
        TEST(a_slow_owner_is_given_a_short_grace_once_r_have_answered),
        TEST(a_read_without_r_answers_is_unavailable_at_its_deadline),
        TEST(a_repair_that_takes_too_long_ends_at_the_deadline),
        TEST(a_corrupt_object_here_is_no_answer),
        TEST(objects_that_cannot_be_read_do_not_make_a_quorum),
        TEST(an_answer_given_twice_counts_once),
        TEST(an_owner_that_answers_fewer_keys_than_asked_has_failed_for_the_rest),
        TEST(there_is_nothing_to_wake_up_for_without_work),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
