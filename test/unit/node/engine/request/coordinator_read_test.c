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
owners_that_agree_answer_a_coordinated_read_without_repair(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref = conductor_begin_read(&fixture, 2, &tag);

    conductor_fetched(&fixture, ref, STATUS_OK, object);
    conductor_answer_read(&fixture, 1, tag, object);
    conductor_assert_unanswered(&fixture);
    conductor_answer_read(&fixture, 2, tag, object);
    conductor_assert_read(&fixture, STATUS_OK, object);
    assert_int_equal(stage_count(&fixture.stage, ACTION_SEND), 0);
    assert_int_equal(coordinator_counters(fixture.coordinator).repairs, 0);
}

static void
a_coordinated_read_seals_the_merged_context(void **state)
{
    Slice mine = stage_object(&fixture.stage, 1, 1, "apple");
    Slice other = stage_object(&fixture.stage, 2, 1, "pear");
    uint32_t tag;
    uint64_t ref = conductor_begin_read(&fixture, 1, &tag);
    Object past;

    conductor_fetched(&fixture, ref, STATUS_OK, mine);
    conductor_answer_read(&fixture, 1, tag, other);
    conductor_answer_read(&fixture, 2, tag, mine);
    assert_int_equal(context_open(conductor_answered_read(&fixture).context,
                                  &fixture.stage.context_keys, STAGE_BUCKET, fixture.key,
                                  &fixture.stage.arena, &past),
                     CONTEXT_OK);
    assert_int_equal(past.context.count, 2);
    assert_int_equal(past.replaced[0].count, 2);
}

static void
a_coordinated_read_of_an_absent_key_is_absent(void **state)
{
    uint32_t tag;
    uint64_t ref = conductor_begin_read(&fixture, 2, &tag);

    conductor_fetched(&fixture, ref, STATUS_OK, SLICE_EMPTY);
    conductor_answer_read(&fixture, 1, tag, SLICE_EMPTY);
    conductor_answer_read(&fixture, 2, tag, SLICE_EMPTY);
    conductor_assert_read(&fixture, STATUS_OK, SLICE_EMPTY);
}

static void
owners_that_differ_are_repaired_and_the_answer_waits_until_enough_have_the_merge(void **state)
{
    Slice mine = stage_object(&fixture.stage, 1, 1, "apple");
    Slice other = stage_object(&fixture.stage, 2, 1, "pear");
    Slice both = stage_merged(&fixture.stage, mine, other);
    uint32_t tag;
    uint64_t ref = conductor_begin_read(&fixture, 2, &tag);

    conductor_fetched(&fixture, ref, STATUS_OK, mine);
    conductor_answer_read(&fixture, 1, tag, other);
    conductor_answer_read(&fixture, 2, tag, SLICE_EMPTY);
    conductor_assert_unanswered(&fixture);
    assert_true(slice_equal(conductor_replicated_to(&fixture, 1).items[0].object, both));
    assert_true(slice_equal(conductor_replicated_to(&fixture, 2).items[0].object, both));
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 1);
    conductor_merged(&fixture, ref, STATUS_OK, both);
    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_assert_unanswered(&fixture);
    conductor_acknowledge(&fixture, 2, ref, STATUS_OK);
    conductor_assert_read(&fixture, STATUS_OK, both);
    assert_int_equal(coordinator_counters(fixture.coordinator).repairs, 3);
}

static void
only_owners_that_are_behind_are_repaired(void **state)
{
    Slice old = stage_object(&fixture.stage, 1, 1, "apple");
    Slice both = stage_merged(&fixture.stage, old, stage_object(&fixture.stage, 2, 1, "pear"));
    uint32_t tag;
    uint64_t ref = conductor_begin_read(&fixture, 2, &tag);

    conductor_fetched(&fixture, ref, STATUS_OK, both);
    conductor_answer_read(&fixture, 1, tag, both);
    conductor_answer_read(&fixture, 2, tag, old);
    conductor_assert_read(&fixture, STATUS_OK, both);
    assert_true(stage_sent_nothing_to(&fixture.stage, 1));
    assert_true(slice_equal(conductor_replicated_to(&fixture, 2).items[0].object, both));
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
}

static void
a_read_of_all_owners_need_wait_for_one_holder_only(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref = conductor_begin_read(&fixture, 3, &tag);

    conductor_fetched(&fixture, ref, STATUS_OK, SLICE_EMPTY);
    conductor_answer_read(&fixture, 1, tag, object);
    conductor_answer_read(&fixture, 2, tag, SLICE_EMPTY);
    conductor_assert_read(&fixture, STATUS_OK, object);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 1);
}

static void
a_read_with_one_owner_down_repairs_among_the_others(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref;

    fixture.stage.up[2] = false;
    ref = conductor_begin_read(&fixture, 2, &tag);
    conductor_fetched(&fixture, ref, STATUS_OK, SLICE_EMPTY);
    conductor_answer_read(&fixture, 1, tag, object);
    conductor_assert_unanswered(&fixture);
    conductor_merged(&fixture, ref, STATUS_OK, object);
    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_assert_read(&fixture, STATUS_OK, object);
}

static void
a_repair_that_cannot_reach_enough_owners_makes_the_read_unavailable(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref;

    fixture.stage.up[2] = false;
    ref = conductor_begin_read(&fixture, 2, &tag);
    conductor_fetched(&fixture, ref, STATUS_OK, object);
    conductor_answer_read(&fixture, 1, tag, SLICE_EMPTY);
    conductor_assert_unanswered(&fixture);
    conductor_acknowledge(&fixture, 1, ref, STATUS_STORAGE);
    conductor_assert_read(&fixture, STATUS_UNAVAILABLE, SLICE_EMPTY);
}

static void
a_repair_that_storage_refuses_here_is_one_acknowledgement_less(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref = conductor_begin_read(&fixture, 2, &tag);

    conductor_fetched(&fixture, ref, STATUS_OK, SLICE_EMPTY);
    conductor_answer_read(&fixture, 1, tag, object);
    conductor_answer_read(&fixture, 2, tag, SLICE_EMPTY);
    conductor_merged(&fixture, ref, STATUS_STORAGE, SLICE_EMPTY);
    conductor_assert_unanswered(&fixture);
    conductor_acknowledge(&fixture, 2, ref, STATUS_OK);
    conductor_assert_read(&fixture, STATUS_OK, object);
}

static void
a_read_is_refused_when_too_few_owners_are_up(void **state)
{
    fixture.stage.up[1] = fixture.stage.up[2] = false;
    conductor_read_one(&fixture, 2);
    conductor_assert_read(&fixture, STATUS_UNAVAILABLE, SLICE_EMPTY);
    assert_int_equal(stage_count(&fixture.stage, ACTION_READ), 0);
}

static void
an_owner_that_goes_down_meanwhile_is_not_waited_for(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref = conductor_begin_read(&fixture, 2, &tag);

    conductor_fetched(&fixture, ref, STATUS_OK, object);
    conductor_answer_read(&fixture, 1, tag, object);
    conductor_assert_unanswered(&fixture);
    conductor_member_down(&fixture, 2);
    conductor_assert_read(&fixture, STATUS_OK, object);
}

/* It may come back with an older disk, and be filled before the others have the object durably. */
static void
what_an_owner_answered_before_it_went_down_does_not_count(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref = conductor_begin_read(&fixture, 2, &tag);

    conductor_answer_read(&fixture, 2, tag, object);
    conductor_member_down(&fixture, 2);
    conductor_fetched(&fixture, ref, STATUS_OK, object);
    conductor_assert_unanswered(&fixture);
    conductor_answer_read(&fixture, 1, tag, object);
    conductor_assert_read(&fixture, STATUS_OK, object);
    assert_int_equal(conductor_answered_read(&fixture).held,
                     1u << conductor_place_of(&fixture, 0) | 1u << conductor_place_of(&fixture, 1));
}

static void
a_repair_does_not_count_an_owner_that_went_down_before_it_was_done(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref = conductor_begin_read(&fixture, 2, &tag);

    conductor_answer_read(&fixture, 2, tag, object);
    conductor_fetched(&fixture, ref, STATUS_OK, SLICE_EMPTY);
    conductor_tick(&fixture, CONDUCTOR_GRACE_MS + 10);
    conductor_merged(&fixture, ref, STATUS_OK, object);
    conductor_assert_unanswered(&fixture);
    conductor_member_down(&fixture, 2);
    conductor_assert_read(&fixture, STATUS_UNAVAILABLE, SLICE_EMPTY);
}

static void
a_slow_owner_is_given_a_short_grace_once_r_have_answered(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref = conductor_begin_read(&fixture, 2, &tag);

    conductor_fetched(&fixture, ref, STATUS_OK, object);
    conductor_answer_read(&fixture, 1, tag, object);
    conductor_tick(&fixture, CONDUCTOR_GRACE_MS - 5);
    conductor_assert_unanswered(&fixture);
    assert_true(coordinator_wake_ms(fixture.coordinator) <= 1000 + CONDUCTOR_GRACE_MS + 10);
    conductor_tick(&fixture, CONDUCTOR_GRACE_MS + 10);
    conductor_assert_read(&fixture, STATUS_OK, object);
    conductor_answer_read(&fixture, 2, tag, SLICE_EMPTY);
    conductor_assert_unanswered(&fixture);
}

static void
a_read_without_r_answers_is_unavailable_at_its_deadline(void **state)
{
    uint32_t tag;
    uint64_t ref = conductor_begin_read(&fixture, 2, &tag);

    conductor_fetched(&fixture, ref, STATUS_OK, stage_object(&fixture.stage, 1, 1, "apple"));
    conductor_tick(&fixture, 90);
    conductor_assert_unanswered(&fixture);
    conductor_tick(&fixture, 110);
    conductor_assert_read(&fixture, STATUS_UNAVAILABLE, SLICE_EMPTY);
}

static void
a_repair_that_takes_too_long_ends_at_the_deadline(void **state)
{
    uint32_t tag;
    uint64_t ref = conductor_begin_read(&fixture, 2, &tag);

    conductor_fetched(&fixture, ref, STATUS_OK, SLICE_EMPTY);
    conductor_answer_read(&fixture, 1, tag, stage_object(&fixture.stage, 1, 1, "apple"));
    conductor_answer_read(&fixture, 2, tag, SLICE_EMPTY);
    conductor_assert_unanswered(&fixture);
    conductor_tick(&fixture, 110);
    conductor_assert_read(&fixture, STATUS_UNAVAILABLE, SLICE_EMPTY);
}

static void
a_corrupt_object_here_is_no_answer(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref = conductor_begin_read(&fixture, 2, &tag);

    conductor_fetched(&fixture, ref, STATUS_CORRUPT, SLICE_EMPTY);
    conductor_answer_read(&fixture, 1, tag, object);
    conductor_answer_read(&fixture, 2, tag, object);
    conductor_assert_read(&fixture, STATUS_OK, object);
    assert_non_null(stage_action(&fixture.stage, ACTION_APPLY, 0)->update->merge);
    assert_int_equal(coordinator_counters(fixture.coordinator).repairs, 1);
}

static void
answer_corrupt(uint32_t member, uint32_t tag)
{
    ReadItem item = {.status = STATUS_CORRUPT};
    ReadReply reply = {.mode = READ_FULL, .items = &item, .item_count = 1};

    read_reply_encode(stage_buffer(&fixture.stage), tag, &reply);
    conductor_member_frame(&fixture, member, stage_frame(&fixture.stage));
}

static void
an_owner_that_cannot_read_its_record_is_sent_the_merge(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref = conductor_begin_read(&fixture, 2, &tag);

    conductor_fetched(&fixture, ref, STATUS_OK, object);
    answer_corrupt(1, tag);
    conductor_answer_read(&fixture, 2, tag, object);
    conductor_assert_read(&fixture, STATUS_OK, object);
    assert_true(slice_equal(conductor_replicated_to(&fixture, 1).items[0].object, object));
}

static void
what_nobody_else_has_mends_no_unreadable_record(void **state)
{
    uint32_t tag;
    uint64_t ref = conductor_begin_read(&fixture, 2, &tag);

    conductor_fetched(&fixture, ref, STATUS_OK, SLICE_EMPTY);
    answer_corrupt(1, tag);
    conductor_answer_read(&fixture, 2, tag, SLICE_EMPTY);
    conductor_assert_read(&fixture, STATUS_OK, SLICE_EMPTY);
    assert_int_equal(coordinator_counters(fixture.coordinator).repairs, 0);
    assert_true(stage_sent_nothing_to(&fixture.stage, 1));
}

static void
objects_that_cannot_be_read_do_not_make_a_quorum(void **state)
{
    uint32_t tag;
    uint64_t ref = conductor_begin_read(&fixture, 2, &tag);

    conductor_fetched(&fixture, ref, STATUS_OK, stage_object(&fixture.stage, 1, 1, "apple"));
    conductor_answer_read(&fixture, 1, tag, slice_from_string("no object"));
    conductor_answer_read(&fixture, 2, tag, slice_from_string("nor this"));
    conductor_assert_read(&fixture, STATUS_UNAVAILABLE, SLICE_EMPTY);
}

static void
an_answer_given_twice_counts_once(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;
    uint64_t ref = conductor_begin_read(&fixture, 3, &tag);

    conductor_fetched(&fixture, ref, STATUS_OK, object);
    conductor_fetched(&fixture, ref, STATUS_OK, SLICE_EMPTY);
    conductor_answer_read(&fixture, 1, tag, object);
    conductor_answer_read(&fixture, 1, tag, object);
    conductor_assert_unanswered(&fixture);
    conductor_answer_read(&fixture, 2, tag, object);
    conductor_assert_read(&fixture, STATUS_OK, object);
}

/* A key that member 0 owns, with the one member among its owners and the other not. */
static Slice
key_owned_with(uint32_t with, uint32_t without)
{
    for (uint32_t first = 0; first < fixture.stage.topology.member_count; first++)
    {
        Slice key = stage_key_of(&fixture.stage, first, 0);
        uint16_t owners[STAGE_MEMBERS_MAX];
        uint32_t members = 0;

        stage_owners(&fixture.stage, key, owners);
        for (uint32_t place = 0; place < 3; place++)
            members |= 1u << owners[place];
        if ((members & (1u | 1u << with)) == (1u | 1u << with) && (members & 1u << without) == 0)
            return key;
    }
    fail_msg("no key has such owners");
    return SLICE_EMPTY;
}

static void
answers_are_matched_to_the_keys_that_their_member_owns(void **state)
{
    Slice object;
    Frame frame;
    ReadReply reply;
    uint32_t tag;

    conductor_set_stage(&fixture, 4, 3);
    object = stage_object(&fixture.stage, 1, 1, "apple");

    Slice keys[2] = {key_owned_with(1, 3), key_owned_with(3, 1)};
    ReadFrame read = {
        .bucket_id = STAGE_BUCKET, .mode = READ_COORDINATED, .r = 2, .keys = keys, .key_count = 2};

    fixture.stage.up[2] = false;
    read_encode(stage_buffer(&fixture.stage), CONDUCTOR_TAG, &read);
    frame = stage_frame(&fixture.stage);
    coordinator_read(fixture.coordinator, &fixture.stage.view, fixture.client, &frame);
    assert_int_equal(conductor_asked_of(&fixture, 1, &tag).key_count, 1);
    assert_true(slice_equal(conductor_asked_of(&fixture, 3, &tag).keys[0], keys[1]));

    uint64_t refs[2] = {stage_action(&fixture.stage, ACTION_READ, 0)->ref,
                        stage_action(&fixture.stage, ACTION_READ, 1)->ref};

    conductor_answer_read(&fixture, 3, tag, object);
    conductor_fetched(&fixture, refs[1], STATUS_OK, object);
    conductor_answer_read(&fixture, 1, tag, SLICE_EMPTY);
    conductor_fetched(&fixture, refs[0], STATUS_OK, SLICE_EMPTY);
    frame = stage_answer(&fixture.stage);
    assert_true(read_reply_decode(&frame, &fixture.stage.arena, &reply));
    assert_int_equal(reply.items[0].status, STATUS_OK);
    assert_int_equal(reply.items[0].object.length, 0);
    assert_int_equal(reply.items[1].status, STATUS_OK);
    assert_true(slice_equal(reply.items[1].object, object));
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
    read_encode(stage_buffer(&fixture.stage), CONDUCTOR_TAG, &read);
    frame = stage_frame(&fixture.stage);
    coordinator_read(fixture.coordinator, &fixture.stage.view, fixture.client, &frame);
    (void)conductor_asked_of(&fixture, 1, &tag);
    for (uint32_t i = 0; i < 2; i++)
        refs[i] = stage_action(&fixture.stage, ACTION_READ, i)->ref;
    conductor_fetched(&fixture, refs[0], STATUS_OK, SLICE_EMPTY);
    conductor_fetched(&fixture, refs[1], STATUS_OK, SLICE_EMPTY);
    conductor_answer_read(&fixture, 1, tag, SLICE_EMPTY);
    frame = stage_answer(&fixture.stage);
    assert_true(read_reply_decode(&frame, &fixture.stage.arena, &reply));
    assert_int_equal(reply.items[0].status, STATUS_OK);
    assert_int_equal(reply.items[1].status, STATUS_UNAVAILABLE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
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
        TEST(what_an_owner_answered_before_it_went_down_does_not_count),
        TEST(a_repair_does_not_count_an_owner_that_went_down_before_it_was_done),
        TEST(a_slow_owner_is_given_a_short_grace_once_r_have_answered),
        TEST(a_read_without_r_answers_is_unavailable_at_its_deadline),
        TEST(a_repair_that_takes_too_long_ends_at_the_deadline),
        TEST(a_corrupt_object_here_is_no_answer),
        TEST(an_owner_that_cannot_read_its_record_is_sent_the_merge),
        TEST(what_nobody_else_has_mends_no_unreadable_record),
        TEST(objects_that_cannot_be_read_do_not_make_a_quorum),
        TEST(an_answer_given_twice_counts_once),
        TEST(answers_are_matched_to_the_keys_that_their_member_owns),
        TEST(an_owner_that_answers_fewer_keys_than_asked_has_failed_for_the_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
