#include "test/unit/stages/conductor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static Conductor fixture;

static int
set_up(void **state)
{
    conductor_init(&fixture);
    return 0;
}

static int
tear_down(void **state)
{
    conductor_free(&fixture);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void
a_write_is_stamped_here_first(void **state)
{
    conductor_write_one(&fixture, 2, false);
    conductor_assert_unanswered(&fixture);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 1);
    assert_int_equal(stage_count(&fixture.stage, ACTION_SEND), 0);

    const Update *update = stage_action(&fixture.stage, ACTION_APPLY, 0)->update;

    assert_null(update->merge);
    assert_int_equal(update->put->value_count, 1);
    assert_int_equal(update->put->now_ms, fixture.stage.view.wall_ms);
}

static void
a_node_whose_disk_is_being_filled_stamps_nothing(void **state)
{
    fixture.stage.view.refilling = true;
    conductor_write_one(&fixture, 1, false);
    conductor_assert_write(&fixture, STATUS_REFILLING);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
}

static void
a_retry_is_not_stamped_when_the_data_turn_out_to_be_older_during_its_look(void **state)
{
    conductor_write_one(&fixture, 2, true);
    fixture.stage.view.refilling = true;
    conductor_member_down(&fixture, 1);
    conductor_member_down(&fixture, 2);
    conductor_member_down(&fixture, 0);
    conductor_assert_write(&fixture, STATUS_REFILLING);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
}

static void
the_merged_object_goes_to_the_other_owners_before_it_is_durable_here(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    conductor_write_one(&fixture, 2, false);
    conductor_merged(&fixture, conductor_apply_ref(&fixture, 0), STATUS_OK, object);
    conductor_assert_unanswered(&fixture);
    for (uint32_t member = 1; member < 3; member++)
    {
        ReplicateFrame replicate = conductor_replicated_to(&fixture, member);

        assert_int_equal(replicate.item_count, 1);
        assert_int_equal(replicate.epoch, fixture.stage.topology.epoch);
        assert_true(slice_equal(replicate.items[0].object, object));
        assert_true(slice_equal(replicate.items[0].key, fixture.key));
    }
}

static void
a_write_is_ok_when_w_owners_have_it_durably(void **state)
{
    uint64_t ref = conductor_spread_write(&fixture, 2);

    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_assert_unanswered(&fixture);
    conductor_acknowledge(&fixture, 1, ref, STATUS_OK);
    conductor_assert_write(&fixture, STATUS_OK);
    assert_int_equal(conductor_answered_write(&fixture, 0).acked,
                     1u << conductor_place_of(&fixture, 0) | 1u << conductor_place_of(&fixture, 1));
}

static void
a_write_may_be_ok_before_it_is_durable_here(void **state)
{
    uint64_t ref = conductor_spread_write(&fixture, 2);

    conductor_acknowledge(&fixture, 2, ref, STATUS_OK);
    conductor_acknowledge(&fixture, 1, ref, STATUS_OK);
    conductor_assert_write(&fixture, STATUS_OK);
    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_assert_unanswered(&fixture);
}

static void
an_owner_counts_once_however_often_it_acknowledges(void **state)
{
    uint64_t ref = conductor_spread_write(&fixture, 3);

    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_acknowledge(&fixture, 1, ref, STATUS_OK);
    conductor_acknowledge(&fixture, 1, ref, STATUS_OK);
    conductor_assert_unanswered(&fixture);
    conductor_acknowledge(&fixture, 2, ref, STATUS_OK);
    conductor_assert_write(&fixture, STATUS_OK);
}

static void
an_acknowledgement_of_somebody_who_was_not_asked_does_not_count(void **state)
{
    conductor_set_stage(&fixture, 4, 3);

    uint64_t ref = conductor_spread_write(&fixture, 2);
    uint32_t stranger = 0;
    uint16_t owners[STAGE_MEMBERS_MAX];

    stage_owners(&fixture.stage, fixture.key, owners);
    while (owners[0] == stranger || owners[1] == stranger || owners[2] == stranger)
        stranger++;
    conductor_acknowledge(&fixture, stranger, ref, STATUS_OK);
    conductor_acknowledge(&fixture, 0, ref, STATUS_OK);
    conductor_assert_unanswered(&fixture);
    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_assert_unanswered(&fixture);
}

static void
a_write_of_one_replica_ends_when_it_is_durable(void **state)
{
    conductor_set_stage(&fixture, 1, 1);

    uint64_t ref = conductor_spread_write(&fixture, 1);

    conductor_assert_unanswered(&fixture);
    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_assert_write(&fixture, STATUS_OK);
}

static void
a_quorum_of_nought_is_one_and_one_above_n_is_n(void **state)
{
    uint64_t ref = conductor_spread_write(&fixture, 0);

    conductor_assert_unanswered(&fixture);
    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_assert_write(&fixture, STATUS_OK);
    ref = conductor_spread_write(&fixture, 9);
    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_acknowledge(&fixture, 1, ref, STATUS_OK);
    conductor_assert_unanswered(&fixture);
    conductor_acknowledge(&fixture, 2, ref, STATUS_OK);
    conductor_assert_write(&fixture, STATUS_OK);
}

static void
a_write_is_refused_before_anything_is_written_when_too_few_owners_are_up(void **state)
{
    fixture.stage.up[1] = fixture.stage.up[2] = false;
    conductor_write_one(&fixture, 2, false);
    conductor_assert_write(&fixture, STATUS_UNAVAILABLE);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
    assert_int_equal(coordinator_counters(fixture.coordinator).writes_refused, 1);
}

static void
a_write_with_one_owner_down_reaches_its_quorum(void **state)
{
    fixture.stage.up[2] = false;

    uint64_t ref = conductor_spread_write(&fixture, 2);

    assert_true(stage_sent_nothing_to(&fixture.stage, 2));
    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_acknowledge(&fixture, 1, ref, STATUS_OK);
    conductor_assert_write(&fixture, STATUS_OK);
}

static void
a_write_that_can_no_longer_reach_w_is_unknown_at_once(void **state)
{
    uint64_t ref = conductor_spread_write(&fixture, 2);

    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_member_down(&fixture, 1);
    conductor_assert_unanswered(&fixture);
    conductor_member_down(&fixture, 2);
    conductor_assert_write(&fixture, STATUS_UNKNOWN);
    assert_int_equal(conductor_answered_write(&fixture, 0).acked,
                     1u << conductor_place_of(&fixture, 0));
    assert_int_equal(coordinator_counters(fixture.coordinator).writes_unknown, 1);
}

/* It may come back with an older disk, and be filled before this one's sync ends. */
static void
an_owner_that_goes_down_before_the_write_is_answered_does_not_count(void **state)
{
    uint64_t ref = conductor_spread_write(&fixture, 2);

    conductor_acknowledge(&fixture, 1, ref, STATUS_OK);
    conductor_member_down(&fixture, 1);
    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_assert_unanswered(&fixture);
    conductor_acknowledge(&fixture, 2, ref, STATUS_OK);
    conductor_assert_write(&fixture, STATUS_OK);
    assert_int_equal(conductor_answered_write(&fixture, 0).acked,
                     1u << conductor_place_of(&fixture, 0) | 1u << conductor_place_of(&fixture, 2));
}

static void
replicas_that_fail_leave_a_write_unknown(void **state)
{
    uint64_t ref = conductor_spread_write(&fixture, 2);

    conductor_acknowledge(&fixture, 1, ref, STATUS_STORAGE);
    conductor_acknowledge(&fixture, 2, ref, STATUS_CORRUPT);
    conductor_assert_write(&fixture, STATUS_UNKNOWN);
}

static void
a_failed_sync_here_leaves_a_write_to_the_others(void **state)
{
    uint64_t ref = conductor_spread_write(&fixture, 2);

    conductor_durable(&fixture, ref, STATUS_STORAGE);
    conductor_acknowledge(&fixture, 1, ref, STATUS_OK);
    conductor_assert_unanswered(&fixture);
    conductor_acknowledge(&fixture, 2, ref, STATUS_OK);
    conductor_assert_write(&fixture, STATUS_OK);
}

static void
a_write_that_storage_refuses_is_refused(void **state)
{
    conductor_write_one(&fixture, 2, false);
    conductor_merged(&fixture, conductor_apply_ref(&fixture, 0), STATUS_CORRUPT, SLICE_EMPTY);
    conductor_assert_write(&fixture, STATUS_CORRUPT);
    assert_int_equal(stage_count(&fixture.stage, ACTION_SEND), 0);
}

static void
a_write_that_is_spread_is_unknown_at_its_deadline(void **state)
{
    uint64_t ref = conductor_spread_write(&fixture, 2);

    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_tick(&fixture, 99);
    conductor_assert_unanswered(&fixture);
    conductor_tick(&fixture, 110);
    conductor_assert_write(&fixture, STATUS_UNKNOWN);
    conductor_acknowledge(&fixture, 1, ref, STATUS_OK);
    conductor_assert_unanswered(&fixture);
}

static void
refs_of_an_operation_that_has_ended_are_ignored(void **state)
{
    uint64_t ref = conductor_spread_write(&fixture, 1);

    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_assert_write(&fixture, STATUS_OK);
    conductor_write_one(&fixture, 2, false);
    assert_true(conductor_apply_ref(&fixture, 0) != ref);
    conductor_merged(&fixture, ref, STATUS_OK, stage_object(&fixture.stage, 1, 1, "apple"));
    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_acknowledge(&fixture, 1, ref, STATUS_OK);
    conductor_acknowledge(&fixture, 2, ref, STATUS_OK);
    conductor_assert_unanswered(&fixture);
    assert_int_equal(coordinator_load(fixture.coordinator), 1);
}

static void
garbage_refs_are_ignored(void **state)
{
    conductor_spread_write(&fixture, 2);
    for (uint64_t ref = 1; ref != 0; ref <<= 1)
    {
        conductor_acknowledge(&fixture, 1, ref, STATUS_OK);
        conductor_assert_unanswered(&fixture);
    }
    conductor_acknowledge(&fixture, 1, UINT64_MAX, STATUS_OK);
    conductor_assert_unanswered(&fixture);
    assert_int_equal(coordinator_load(fixture.coordinator), 1);
}

static void
a_failed_disk_takes_no_writes(void **state)
{
    fixture.stage.view.cannot_write = true;
    conductor_write_one(&fixture, 1, false);
    conductor_assert_write(&fixture, STATUS_STORAGE);
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
    conductor_write_items(&fixture, items, 4, 1, false);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 1);

    uint64_t ref = conductor_apply_ref(&fixture, 0);

    conductor_merged(&fixture, ref, STATUS_OK, stage_object(&fixture.stage, 1, 1, "apple"));
    conductor_durable(&fixture, ref, STATUS_OK);
    assert_int_equal(conductor_answered_write(&fixture, 0).status, STATUS_TOO_LARGE);
    assert_int_equal(conductor_answered_write(&fixture, 1).status, STATUS_TOO_LARGE);
    assert_int_equal(conductor_answered_write(&fixture, 2).status, STATUS_BAD_KEY);
    assert_int_equal(conductor_answered_write(&fixture, 3).status, STATUS_OK);
}

static void
a_context_of_another_key_is_refused(void **state)
{
    WriteItem item = stage_write(&fixture.stage, fixture.key, stage_request(1, 1), "apple");
    Dot dot = {.actor = {{9}}, .epoch = 1, .counter = 1};
    Object past = {
        .context = {.entries = &dot, .count = 1}
    };
    Buffer sealed;

    buffer_init(&sealed, &MEMORY_HEAP);
    context_seal(&sealed, &fixture.stage.context_keys, STAGE_BUCKET,
                 stage_key_of(&fixture.stage, 0, 1), &past);
    item.context = buffer_slice(&sealed);
    conductor_write_items(&fixture, &item, 1, 1, false);
    conductor_assert_write(&fixture, STATUS_CONTEXT_OTHER_KEY);
    buffer_reset(&sealed);
    context_seal(&sealed, &fixture.stage.context_keys, STAGE_BUCKET, fixture.key, &past);
    item.context = buffer_slice(&sealed);
    conductor_write_items(&fixture, &item, 1, 1, false);
    assert_int_equal(stage_action(&fixture.stage, ACTION_APPLY, 0)->update->put->past.context.count,
                     1);
    buffer_free(&sealed);
}

static void
a_write_of_no_keys_is_answered(void **state)
{
    WriteReply reply;
    Frame frame;

    conductor_write_items(&fixture, NULL, 0, 1, false);
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

    conductor_give_write(&fixture, &write);
    conductor_assert_refused(&fixture, STATUS_BEHIND);
}

/* Owners that were chosen under one epoch are not said to have been under a later one. */
static void
what_is_sent_says_by_which_topology_its_owners_were_chosen(void **state)
{
    uint64_t ref;
    Frame frame;
    ReplicateFrame replicate;

    conductor_write_one(&fixture, 2, false);
    ref = conductor_apply_ref(&fixture, 0);
    stage_clear(&fixture.stage);
    fixture.stage.topology.epoch = 3;
    conductor_merged(&fixture, ref, STATUS_OK, stage_object(&fixture.stage, 1, 1, "apple"));
    frame = stage_sent_to(&fixture.stage, 1);
    assert_true(replicate_decode(&frame, &fixture.stage.arena, &replicate));
    assert_int_equal(replicate.epoch, 3);
    assert_int_equal(replicate.items[0].placed, 2);
}

static void
what_is_asked_by_an_older_topology_than_that_of_its_owners_is_refused(void **state)
{
    WriteItem item = stage_write(&fixture.stage, fixture.key, stage_request(1, 1), "apple");
    WriteFrame write = {.epoch = 1,
                        .bucket_id = STAGE_BUCKET,
                        .w = 2,
                        .clock_ms = fixture.stage.view.now_ms,
                        .alone_ms = 1000,
                        .items = &item,
                        .item_count = 1};
    ReadFrame read = {.epoch = 1,
                      .bucket_id = STAGE_BUCKET,
                      .mode = READ_COORDINATED,
                      .r = 2,
                      .keys = &fixture.key,
                      .key_count = 1};
    WriteReply written;
    ReadReply shown;
    Frame frame;

    for (uint32_t i = 0; i < STAGE_PARTITIONS; i++)
        fixture.stage.topology.changed[i] = 2;
    conductor_give_write(&fixture, &write);
    frame = stage_answer(&fixture.stage);
    assert_true(write_reply_decode(&frame, &fixture.stage.arena, &written));
    assert_int_equal(written.items[0].status, STATUS_MOVED);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
    stage_clear(&fixture.stage);
    read_encode(stage_buffer(&fixture.stage), CONDUCTOR_TAG, &read);
    frame = stage_frame(&fixture.stage);
    coordinator_read(fixture.coordinator, &fixture.stage.view, fixture.client, &frame);
    frame = stage_answer(&fixture.stage);
    assert_true(read_reply_decode(&frame, &fixture.stage.arena, &shown));
    assert_int_equal(shown.items[0].status, STATUS_MOVED);
}

static void
a_frame_that_cannot_be_read_is_refused(void **state)
{
    Frame frame = {
        .type = FRAME_WRITE, .tag = CONDUCTOR_TAG, .body = slice_from_string("nonsense")};

    coordinator_write(fixture.coordinator, &fixture.stage.view, fixture.client, &frame);
    conductor_assert_refused(&fixture, STATUS_BAD_FRAME);
    stage_clear(&fixture.stage);
    frame.type = FRAME_READ;
    coordinator_read(fixture.coordinator, &fixture.stage.view, fixture.client, &frame);
    conductor_assert_refused(&fixture, STATUS_BAD_FRAME);
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
    conductor_write_items(&fixture, items, 2, 2, false);
    for (uint32_t i = 0; i < 2; i++)
        refs[i] = conductor_apply_ref(&fixture, i);
    stage_clear(&fixture.stage);
    coordinator_merged(fixture.coordinator, &fixture.stage.view, refs[0], STATUS_OK, object);
    conductor_merged(&fixture, refs[1], STATUS_OK, object);
    assert_int_equal(conductor_replicated_to(&fixture, 1).item_count, 2);
    conductor_acknowledge(&fixture, 1, refs[0], STATUS_OK);
    conductor_acknowledge(&fixture, 2, refs[0], STATUS_OK);
    conductor_acknowledge(&fixture, 1, refs[1], STATUS_OK);
    conductor_assert_unanswered(&fixture);
    conductor_durable(&fixture, refs[1], STATUS_OK);
    assert_int_equal(conductor_answered_write(&fixture, 0).status, STATUS_OK);
    assert_int_equal(conductor_answered_write(&fixture, 1).status, STATUS_OK);
}

static void
what_was_gathered_for_a_member_that_went_down_does_not_leave(void **state)
{
    conductor_write_one(&fixture, 2, false);

    uint64_t ref = conductor_apply_ref(&fixture, 0);

    stage_clear(&fixture.stage);
    coordinator_merged(fixture.coordinator, &fixture.stage.view, ref, STATUS_OK,
                       stage_object(&fixture.stage, 1, 1, "apple"));
    conductor_member_down(&fixture, 1);
    coordinator_flush(fixture.coordinator, &fixture.stage.view);
    assert_true(stage_sent_nothing_to(&fixture.stage, 1));
    assert_false(stage_sent_nothing_to(&fixture.stage, 2));
}

/* The own storage, which a retry asks too, has nothing for its key. */
static void
own_storage_has_nothing(void)
{
    conductor_fetched(&fixture, stage_action(&fixture.stage, ACTION_READ, 0)->ref, STATUS_OK,
                      SLICE_EMPTY);
}

static void
a_retry_asks_every_owner_before_it_stamps(void **state)
{
    uint32_t tags[3];

    conductor_write_one(&fixture, 2, true);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
    assert_int_equal(conductor_asked_of(&fixture, 1, &tags[1]).mode, READ_FULL);
    (void)conductor_asked_of(&fixture, 2, &tags[2]);
    own_storage_has_nothing();
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
    conductor_answer_read(&fixture, 1, tags[1], SLICE_EMPTY);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
    conductor_answer_read(&fixture, 2, tags[2], SLICE_EMPTY);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 1);
    assert_non_null(stage_action(&fixture.stage, ACTION_APPLY, 0)->update->put);
}

static void
a_retry_that_an_owner_knows_is_merged_and_not_stamped_again(void **state)
{
    uint32_t tag;

    conductor_write_one(&fixture, 2, true);
    (void)conductor_asked_of(&fixture, 1, &tag);
    own_storage_has_nothing();
    conductor_answer_read(&fixture, 1, tag, stage_object(&fixture.stage, 1, 1, "apple"));
    conductor_answer_read(&fixture, 2, tag, SLICE_EMPTY);

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
    conductor_write_one(&fixture, 2, true);
    (void)conductor_asked_of(&fixture, 1, &tag);
    own_storage_has_nothing();
    conductor_answer_read(&fixture, 1, tag, known);
    conductor_answer_read(&fixture, 2, tag, buffer_slice(&later));
    assert_null(stage_action(&fixture.stage, ACTION_APPLY, 0)->update->put);
    buffer_free(&later);
}

static void
a_retry_does_not_wait_for_owners_that_are_down_or_go_down(void **state)
{
    uint32_t tag;

    fixture.stage.up[2] = false;
    conductor_write_one(&fixture, 1, true);
    assert_true(stage_sent_nothing_to(&fixture.stage, 2));
    (void)conductor_asked_of(&fixture, 1, &tag);
    own_storage_has_nothing();
    conductor_member_down(&fixture, 1);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 1);
}

static void
a_retry_alone_stamps_when_its_own_storage_has_answered(void **state)
{
    fixture.stage.up[1] = fixture.stage.up[2] = false;
    conductor_write_one(&fixture, 1, true);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
    own_storage_has_nothing();
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 1);
    assert_int_equal(coordinator_counters(fixture.coordinator).writes_retried, 1);
}

static void
a_retry_does_not_look_for_its_ids_at_the_silent_for_ever(void **state)
{
    WriteItem item = stage_write(&fixture.stage, fixture.key, stage_request(1, 1), "apple");
    WriteFrame write = {.epoch = fixture.stage.topology.epoch,
                        .bucket_id = STAGE_BUCKET,
                        .w = 2,
                        .timeout_ms = 5000,
                        .retry = true,
                        .clock_ms = fixture.stage.view.now_ms,
                        .items = &item,
                        .item_count = 1};
    uint64_t own;

    conductor_give_write(&fixture, &write);
    own = stage_action(&fixture.stage, ACTION_READ, 0)->ref;
    conductor_tick(&fixture, 300);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
    conductor_fetched(&fixture, own, STATUS_OK, SLICE_EMPTY);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 1);
}

/* A frame that was sent age_ms ago, and says so by this node's clock. */
static void
write_sent_before(uint64_t age_ms, uint32_t alone_ms, bool retry)
{
    WriteItem item = stage_write(&fixture.stage, fixture.key, stage_request(1, 1), "apple");
    WriteFrame write = {.epoch = fixture.stage.topology.epoch,
                        .bucket_id = STAGE_BUCKET,
                        .w = 1,
                        .timeout_ms = 5000,
                        .retry = retry,
                        .clock_ms = fixture.stage.view.now_ms - age_ms,
                        .alone_ms = alone_ms,
                        .items = &item,
                        .item_count = 1};

    conductor_give_write(&fixture, &write);
}

static void
a_first_frame_is_stamped_at_once_as_long_as_its_client_has_sent_no_other(void **state)
{
    write_sent_before(100, 100, false);
    assert_int_equal(stage_count(&fixture.stage, ACTION_READ), 0);
    assert_int_equal(stage_action(&fixture.stage, ACTION_APPLY, 0)->update->put->until_ms,
                     fixture.stage.view.now_ms);
}

static void
a_first_frame_that_comes_later_is_looked_for_like_a_retry(void **state)
{
    write_sent_before(101, 100, false);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
    assert_int_equal(stage_count(&fixture.stage, ACTION_READ), 1);
    assert_int_equal(coordinator_counters(fixture.coordinator).writes_retried, 1);
}

static void
a_write_that_is_too_old_is_refused(void **state)
{
    fixture.stage.view.now_ms += 2 * MESSAGE_LIFE_MS;
    write_sent_before(MESSAGE_LIFE_MS + 1, 100, true);
    conductor_assert_write(&fixture, STATUS_TOO_LATE);
    write_sent_before(MESSAGE_LIFE_MS, 100, true);
    assert_int_equal(stage_count(&fixture.stage, ACTION_READ), 1);
}

/* How old it is nobody can tell. */
static void
a_write_that_does_not_know_the_nodes_clock_is_refused_and_told(void **state)
{
    WriteReply reply;
    Frame frame;

    write_sent_before(fixture.stage.view.now_ms, 100, false);
    conductor_assert_write(&fixture, STATUS_TOO_LATE);
    frame = stage_answer(&fixture.stage);
    assert_true(write_reply_decode(&frame, &fixture.stage.arena, &reply));
    assert_int_equal(reply.clock_ms, fixture.stage.view.now_ms);
}

static void
a_retry_whose_owners_stay_silent_is_refused_at_its_deadline(void **state)
{
    conductor_write_one(&fixture, 2, true);
    conductor_tick(&fixture, 110);
    conductor_assert_write(&fixture, STATUS_UNAVAILABLE);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
}

static void
an_owner_that_refuses_or_garbles_its_answer_to_a_retry_is_not_waited_for(void **state)
{
    uint32_t tag;
    Frame frame;

    conductor_write_one(&fixture, 2, true);
    (void)conductor_asked_of(&fixture, 1, &tag);
    own_storage_has_nothing();
    conductor_member_frame(&fixture, 1, stage_error(&fixture.stage, tag, STATUS_BEHIND));
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
    frame = stage_read_reply(&fixture.stage, tag, READ_FULL, &SLICE_EMPTY, 1);
    frame.body.length--;
    conductor_member_frame(&fixture, 2, frame);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 1);
}

static void
an_object_of_another_owner_that_cannot_be_read_is_left_out_of_a_retry(void **state)
{
    uint32_t tag;

    conductor_write_one(&fixture, 2, true);
    (void)conductor_asked_of(&fixture, 1, &tag);
    own_storage_has_nothing();
    conductor_answer_read(&fixture, 1, tag, slice_from_string("no object"));
    conductor_answer_read(&fixture, 2, tag, SLICE_EMPTY);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 1);
    assert_int_equal(stage_action(&fixture.stage, ACTION_APPLY, 0)->update->merge->sibling_count,
                     0);
}

/* A write of the first key whose object has that many siblings. */
static void
write_crowd(uint8_t siblings)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint64_t ref;

    conductor_write_one(&fixture, 1, false);
    ref = conductor_apply_ref(&fixture, 0);
    for (uint8_t i = 2; i <= siblings; i++)
        object = stage_merged(&fixture.stage, object, stage_object(&fixture.stage, i, 1, "apple"));
    conductor_merged(&fixture, ref, STATUS_OK, object);
    conductor_durable(&fixture, ref, STATUS_OK);
}

static void
the_cap_on_siblings_goes_with_the_put_and_its_refusal_is_counted(void **state)
{
    fixture.stage.view.siblings_max = 9;
    conductor_write_one(&fixture, 2, false);
    assert_int_equal(stage_action(&fixture.stage, ACTION_APPLY, 0)->update->put->siblings_max, 9);
    conductor_merged(&fixture, conductor_apply_ref(&fixture, 0), STATUS_TOO_MANY_SIBLINGS,
                     SLICE_EMPTY);
    assert_int_equal(stage_count(&fixture.stage, ACTION_SEND), 0);
    conductor_assert_write(&fixture, STATUS_TOO_MANY_SIBLINGS);
    assert_int_equal(coordinator_counters(fixture.coordinator).siblings_refused, 1);
    assert_int_equal(coordinator_counters(fixture.coordinator).writes_refused, 1);
}

static void
the_answer_tells_how_many_siblings_a_write_left_when_they_are_many(void **state)
{
    fixture.stage.view.siblings_warn = 2;
    write_crowd(2);
    assert_int_equal(conductor_answered_write(&fixture, 0).siblings, 0);
    assert_int_equal(coordinator_counters(fixture.coordinator).siblings_warned, 0);
    write_crowd(3);
    assert_int_equal(conductor_answered_write(&fixture, 0).siblings, 3);
    assert_int_equal(coordinator_counters(fixture.coordinator).siblings_warned, 1);
}

/* What is to be logged, or NULL. */
static const char *
crowd_event(void)
{
    stage_clear(&fixture.stage);
    coordinator_warn_of_siblings(fixture.coordinator, &fixture.stage.view);
    return stage_count(&fixture.stage, ACTION_LOG) == 1
               ? stage_action(&fixture.stage, ACTION_LOG, 0)->text
               : NULL;
}

static void
the_worst_crowd_is_an_event_once_a_minute(void **state)
{
    const char *event;

    fixture.stage.view.siblings_warn = 2;
    assert_null(crowd_event());
    write_crowd(4);
    write_crowd(3);
    event = crowd_event();
    assert_non_null(event);
    assert_non_null(strstr(event, "4 siblings"));
    assert_non_null(strstr(event, "\"cart\""));
    write_crowd(5);
    assert_null(crowd_event());
    fixture.stage.view.now_ms += 60000;
    assert_non_null(strstr(crowd_event(), "5 siblings"));
    assert_null(crowd_event());
}

static void
there_is_nothing_to_wake_up_for_without_work(void **state)
{
    assert_true(coordinator_wake_ms(fixture.coordinator) == UINT64_MAX);
    conductor_spread_write(&fixture, 2);
    assert_true(coordinator_wake_ms(fixture.coordinator) != UINT64_MAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_write_is_stamped_here_first),
        TEST(a_node_whose_disk_is_being_filled_stamps_nothing),
        TEST(a_retry_is_not_stamped_when_the_data_turn_out_to_be_older_during_its_look),
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
        TEST(an_owner_that_goes_down_before_the_write_is_answered_does_not_count),
        TEST(replicas_that_fail_leave_a_write_unknown),
        TEST(a_failed_sync_here_leaves_a_write_to_the_others),
        TEST(a_write_that_storage_refuses_is_refused),
        TEST(a_write_that_is_spread_is_unknown_at_its_deadline),
        TEST(refs_of_an_operation_that_has_ended_are_ignored),
        TEST(garbage_refs_are_ignored),
        TEST(a_failed_disk_takes_no_writes),
        TEST(keys_and_values_over_the_limits_are_refused_each_by_itself),
        TEST(a_context_of_another_key_is_refused),
        TEST(a_write_of_no_keys_is_answered),
        TEST(a_bucket_that_is_not_known_yet_means_behind),
        TEST(what_is_sent_says_by_which_topology_its_owners_were_chosen),
        TEST(what_is_asked_by_an_older_topology_than_that_of_its_owners_is_refused),
        TEST(a_frame_that_cannot_be_read_is_refused),
        TEST(replicates_of_one_turn_leave_in_one_frame_a_member),
        TEST(what_was_gathered_for_a_member_that_went_down_does_not_leave),
        TEST(a_retry_asks_every_owner_before_it_stamps),
        TEST(a_retry_that_an_owner_knows_is_merged_and_not_stamped_again),
        TEST(a_retry_is_known_although_a_later_write_elsewhere_has_replaced_it),
        TEST(a_retry_does_not_wait_for_owners_that_are_down_or_go_down),
        TEST(a_retry_alone_stamps_when_its_own_storage_has_answered),
        TEST(a_retry_does_not_look_for_its_ids_at_the_silent_for_ever),
        TEST(a_first_frame_is_stamped_at_once_as_long_as_its_client_has_sent_no_other),
        TEST(a_first_frame_that_comes_later_is_looked_for_like_a_retry),
        TEST(a_write_that_is_too_old_is_refused),
        TEST(a_write_that_does_not_know_the_nodes_clock_is_refused_and_told),
        TEST(a_retry_whose_owners_stay_silent_is_refused_at_its_deadline),
        TEST(an_owner_that_refuses_or_garbles_its_answer_to_a_retry_is_not_waited_for),
        TEST(an_object_of_another_owner_that_cannot_be_read_is_left_out_of_a_retry),
        TEST(the_cap_on_siblings_goes_with_the_put_and_its_refusal_is_counted),
        TEST(the_answer_tells_how_many_siblings_a_write_left_when_they_are_many),
        TEST(the_worst_crowd_is_an_event_once_a_minute),
        TEST(there_is_nothing_to_wake_up_for_without_work),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
