/* Under which label coordinator, replica and handoff send, and what they refuse for its label. */
#include "node/engine/repair/handoff.h"
#include "node/engine/request/replica.h"
#include "test/lib/reply_frames.h"
#include "test/unit/stages/conductor.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static Conductor fixture;
static Rounds rounds;

static int
set_up(void **state)
{
    (void)state;
    conductor_init(&fixture);
    fixture.stage.view.rounds = &rounds;
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    rounds_free(&rounds);
    conductor_free(&fixture);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static TreeId
place_of(Slice key)
{
    uint64_t position;

    assert_true(topology_position(fixture.stage.bucket, key, &position));
    return rounds_id(&fixture.stage.topology, STAGE_BUCKET, position);
}

static void
raise_to(uint64_t round, uint64_t cleared)
{
    rounds_raise(&rounds, place_of(fixture.key), round, cleared);
}

/* A member's answer to a gathering, with its label and floor. */
static void
answer(uint32_t member, uint32_t tag, Slice object, uint64_t round, uint64_t floor)
{
    ReadItem item = {.object = object, .round = round, .floor = floor};
    ReadReply reply = {.mode = READ_FULL, .items = &item, .item_count = 1};

    read_reply_encode(stage_buffer(&fixture.stage), tag, &reply);
    conductor_member_frame(&fixture, member, stage_frame(&fixture.stage));
}

static void
refuse_as_stale(uint32_t member, uint64_t ref, uint64_t round)
{
    ReplicateResult result = {.ref = ref, .status = STATUS_STALE_ROUND, .round = round};
    ReplicateReply reply = {.items = &result, .item_count = 1};

    replicate_reply_encode(stage_buffer(&fixture.stage), 0, &reply);
    conductor_member_frame(&fixture, member, stage_frame(&fixture.stage));
}

static void
a_write_is_sent_under_the_label_of_its_beginning(void **state)
{
    uint64_t ref;

    (void)state;
    raise_to(2, 5);
    conductor_write_one(&fixture, 2, false);
    ref = conductor_apply_ref(&fixture, 0);
    raise_to(0, 9);
    conductor_merged(&fixture, ref, STATUS_OK, stage_object(&fixture.stage, 1, 1, "apple"));
    coordinator_flush(fixture.coordinator, &fixture.stage.view);
    assert_int_equal(conductor_replicated_to(&fixture, 1).items[0].round, 5);
}

static void
a_repair_is_sent_under_the_least_label_of_its_sources(void **state)
{
    Slice old = stage_object(&fixture.stage, 1, 1, "apple");
    Slice both = stage_merged(&fixture.stage, old, stage_object(&fixture.stage, 2, 1, "pear"));
    uint32_t tag;
    uint64_t ref;

    (void)state;
    raise_to(0, 5);
    ref = conductor_begin_read(&fixture, 2, &tag);
    conductor_fetched(&fixture, ref, STATUS_OK, both);
    answer(1, tag, both, 3, 0);
    answer(2, tag, old, 4, 0);
    assert_int_equal(conductor_replicated_to(&fixture, 2).items[0].round, 3);
}

/* One of them answered before the round, and another has reaped since what that one's tombstone
 * would have covered. */
static void
what_was_gathered_across_a_round_is_not_merged(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref;

    (void)state;
    ref = conductor_begin_read(&fixture, 2, &tag);
    conductor_fetched(&fixture, ref, STATUS_OK, SLICE_EMPTY);
    answer(1, tag, object, 0, 0);
    answer(2, tag, SLICE_EMPTY, 5, 5);
    conductor_assert_read(&fixture, STATUS_UNAVAILABLE, SLICE_EMPTY);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
    assert_int_equal(stage_sent_to(&fixture.stage, 1).type, FRAME_REAP_NOTICE);
    assert_int_equal(stage_sent_to(&fixture.stage, 2).type, FRAME_REAP_NOTICE);
}

static void
what_was_gathered_before_the_own_round_is_not_stored(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref;

    (void)state;
    raise_to(0, 5);
    ref = conductor_begin_read(&fixture, 2, &tag);
    conductor_fetched(&fixture, ref, STATUS_OK, SLICE_EMPTY);
    answer(1, tag, object, 4, 0);
    raise_to(5, 5);
    answer(2, tag, object, 5, 0);
    conductor_assert_read(&fixture, STATUS_UNAVAILABLE, SLICE_EMPTY);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
}

static void
a_retry_whose_look_spans_a_round_is_refused_and_not_stamped(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref;

    (void)state;
    conductor_write_one(&fixture, 1, true);
    ref = stage_action(&fixture.stage, ACTION_READ, 0)->ref;
    (void)conductor_asked_of(&fixture, 1, &tag);
    answer(1, tag, object, 0, 0);
    answer(2, tag, SLICE_EMPTY, 7, 7);
    conductor_fetched(&fixture, ref, STATUS_OK, SLICE_EMPTY);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
    conductor_assert_write(&fixture, STATUS_STALE_ROUND);
}

static void
who_is_refused_as_stale_sends_under_a_newer_label_from_then_on(void **state)
{
    uint64_t ref;

    (void)state;
    ref = conductor_spread_write(&fixture, 2);
    refuse_as_stale(1, ref, 6);
    assert_int_equal(rounds_of(&rounds, place_of(fixture.key)).cleared, 6);
    assert_int_equal(rounds_of(&rounds, place_of(fixture.key)).round, 0);
}

/* Its data may be those of before the round. */
static void
who_may_have_lost_data_learns_no_label(void **state)
{
    uint64_t ref;

    (void)state;
    ref = conductor_spread_write(&fixture, 2);
    fixture.stage.view.refilling = true;
    refuse_as_stale(1, ref, 6);
    assert_int_equal(rounds.count, 0);
}

static void
an_owner_refuses_what_is_older_than_its_round(void **state)
{
    Replica *replica = replica_new();
    ReplicateItem items[2] = {
        {.ref = 1,
         .bucket_id = STAGE_BUCKET,
         .round = 4,
         .key = fixture.key,
         .object = stage_object(&fixture.stage, 1, 1, "apple")}
    };
    ReplicateFrame replicate = {.items = items, .item_count = 2};
    ReplicateReply reply;
    Frame frame;

    (void)state;
    items[1] = items[0];
    items[1].ref = 2;
    items[1].round = 5;
    raise_to(5, 8);
    replicate_encode(stage_buffer(&fixture.stage), 0, &replicate);
    frame = stage_frame(&fixture.stage);
    replica_replicate(replica, &fixture.stage.view, (Origin){.session = 7}, &frame);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 1);
    replica_flush(replica, &fixture.stage.actions);
    frame = stage_answer(&fixture.stage);
    assert_true(replicate_reply_decode(&frame, &fixture.stage.arena, &reply));
    assert_int_equal(reply.item_count, 1);
    assert_int_equal(reply.items[0].ref, 1);
    assert_int_equal(reply.items[0].status, STATUS_STALE_ROUND);
    assert_int_equal(reply.items[0].round, 5);
    replica_free(replica);
}

static void
a_full_read_tells_the_label_before_and_the_floor_after(void **state)
{
    Replica *replica = replica_new();
    ReadFrame read = {
        .bucket_id = STAGE_BUCKET, .mode = READ_FULL, .keys = &fixture.key, .key_count = 1};
    ReadReply reply;
    uint64_t ref;
    Frame frame;

    (void)state;
    raise_to(0, 3);
    read_encode(stage_buffer(&fixture.stage), 1, &read);
    frame = stage_frame(&fixture.stage);
    replica_read(replica, &fixture.stage.view, (Origin){.session = 7}, &frame);
    ref = stage_action(&fixture.stage, ACTION_READ, 0)->ref;
    stage_clear(&fixture.stage);
    raise_to(6, 6);
    replica_fetched(replica, &fixture.stage.view, ref, STATUS_OK, SLICE_EMPTY);
    frame = stage_answer(&fixture.stage);
    assert_true(read_reply_decode(&frame, &fixture.stage.arena, &reply));
    assert_int_equal(reply.items[0].round, 3);
    assert_int_equal(reply.items[0].floor, 6);
    replica_free(replica);
}

static void
what_was_read_for_a_handoff_is_read_again_when_labels_have_changed(void **state)
{
    HintTotal total = {.target = stage_member_id(1), .count = 1};
    StorageRow row = {.bucket_id = STAGE_BUCKET,
                      .key = fixture.key,
                      .object = stage_object(&fixture.stage, 1, 1, "apple")};
    StoragePage page = {.rows = &row, .row_count = 1, .done = true};
    ReplicateFrame replicate;
    Handoff *handoff;
    Pacer pacer;
    Frame frame;
    uint64_t ref;

    (void)state;
    pacer_init(&pacer, 0, fixture.stage.view.now_ms);
    handoff = handoff_new(&pacer);
    fixture.stage.hints = (HintTotals){.targets = &total, .target_count = 1};
    assert_true(topology_position(fixture.stage.bucket, row.key, &row.position));
    handoff_step(handoff, &fixture.stage.view);
    ref = stage_action(&fixture.stage, ACTION_OWED, 0)->ref;
    raise_to(0, 4);
    stage_clear(&fixture.stage);
    handoff_scanned(handoff, &fixture.stage.view, ref, STATUS_OK, &page);
    assert_true(stage_sent_nothing_to(&fixture.stage, 1));
    handoff_step(handoff, &fixture.stage.view);
    ref = stage_action(&fixture.stage, ACTION_OWED, 0)->ref;
    handoff_scanned(handoff, &fixture.stage.view, ref, STATUS_OK, &page);
    frame = stage_sent_to(&fixture.stage, 1);
    assert_true(replicate_decode(&frame, &fixture.stage.arena, &replicate));
    assert_int_equal(replicate.items[0].round, 4);
    handoff_free(handoff);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_write_is_sent_under_the_label_of_its_beginning),
        TEST(a_repair_is_sent_under_the_least_label_of_its_sources),
        TEST(what_was_gathered_across_a_round_is_not_merged),
        TEST(what_was_gathered_before_the_own_round_is_not_stored),
        TEST(a_retry_whose_look_spans_a_round_is_refused_and_not_stamped),
        TEST(who_is_refused_as_stale_sends_under_a_newer_label_from_then_on),
        TEST(who_may_have_lost_data_learns_no_label),
        TEST(an_owner_refuses_what_is_older_than_its_round),
        TEST(a_full_read_tells_the_label_before_and_the_floor_after),
        TEST(what_was_read_for_a_handoff_is_read_again_when_labels_have_changed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
