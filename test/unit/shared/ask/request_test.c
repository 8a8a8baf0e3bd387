/* Quorum reads: whom a key is asked of, when it is answered, and what happens when members are
 * lost, refuse, differ or are silent. */
#include "test/unit/stages/asker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static Asker fixture;

static int
set_up(void **state)
{
    asker_init(&fixture);
    return 0;
}

static int
tear_down(void **state)
{
    asker_free(&fixture);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void
a_read_asks_one_owner_for_the_object_and_the_next_for_its_digest(void **state)
{
    asker_read_one(&fixture);
    assert_int_equal(fixture.sent_count, 2);
    assert_int_equal(asker_sent(&fixture, 0)->member, fixture.owners[0]);
    assert_int_equal(asker_sent(&fixture, 0)->read.mode, READ_FULL);
    assert_int_equal(asker_sent(&fixture, 1)->member, fixture.owners[1]);
    assert_int_equal(asker_sent(&fixture, 1)->read.mode, READ_DIGEST);
    assert_int_equal(asker_sent(&fixture, 0)->read.epoch, fixture.stage.topology.epoch);
    assert_int_equal(asker_sent(&fixture, 0)->read.timeout_ms, ASKER_TIMEOUT_MS);
    assert_false(request_done(fixture.request));
}

static void
equal_digests_end_a_read_in_one_hop(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    asker_read_one(&fixture);
    asker_answer_object(&fixture, 0, object);
    assert_false(request_done(fixture.request));
    asker_answer_object(&fixture, 1, object);
    asker_assert_read(&fixture, STATUS_OK, object);
    assert_int_equal(request_read_results(fixture.request)->answered, 3);
    assert_int_equal(fixture.sent_count, 2);
}

static void
the_digest_may_come_before_the_object(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    asker_read_one(&fixture);
    asker_answer_object(&fixture, 1, object);
    assert_false(request_done(fixture.request));
    asker_answer_object(&fixture, 0, object);
    asker_assert_read(&fixture, STATUS_OK, object);
}

static void
a_key_that_no_owner_has_reads_as_absent(void **state)
{
    asker_read_one(&fixture);
    asker_answer_object(&fixture, 0, SLICE_EMPTY);
    asker_answer_object(&fixture, 1, SLICE_EMPTY);
    asker_assert_read(&fixture, STATUS_OK, SLICE_EMPTY);
}

static void
one_replica_is_read_with_one_frame(void **state)
{
    Slice object;

    asker_set_stage(&fixture, 1, 1, 1);
    object = stage_object(&fixture.stage, 1, 1, "apple");
    asker_read_one(&fixture);
    assert_int_equal(fixture.sent_count, 1);
    assert_int_equal(asker_sent(&fixture, 0)->read.mode, READ_FULL);
    asker_answer_object(&fixture, 0, object);
    asker_assert_read(&fixture, STATUS_OK, object);
}

static void
a_quorum_of_all_reads_every_owner(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    fixture.options.quorum = 3;
    asker_read_one(&fixture);
    assert_int_equal(fixture.sent_count, 3);
    asker_answer_object(&fixture, 0, object);
    asker_answer_object(&fixture, 2, object);
    assert_false(request_done(fixture.request));
    asker_answer_object(&fixture, 1, object);
    asker_assert_read(&fixture, STATUS_OK, object);
}

static void
a_quorum_larger_than_the_owners_is_refused(void **state)
{
    asker_set_stage(&fixture, 2, 2, 3);
    asker_read_one(&fixture);
    assert_int_equal(fixture.sent_count, 0);
    asker_assert_read(&fixture, STATUS_UNAVAILABLE, SLICE_EMPTY);
}

static void
no_keys_are_done_at_once(void **state)
{
    Stage *stage = &fixture.stage;

    fixture.request = request_read(&stage->arena, &fixture.asker, &stage->topology, stage->bucket,
                                   &fixture.options, NULL, 0, ASKER_START_MS);
    assert_true(request_done(fixture.request));
    assert_int_equal(asker_pump(&fixture), 0);
}

static void
a_key_of_another_type_ends_alone(void **state)
{
    Slice keys[2] = {stage_key_of(&fixture.stage, 0, 0), slice_from_string("\1\2\3")};

    asker_begin_read(&fixture, keys, 2);
    asker_answer_object(&fixture, 0, SLICE_EMPTY);
    asker_answer_object(&fixture, 1, SLICE_EMPTY);
    asker_assert_read(&fixture, STATUS_OK, SLICE_EMPTY);
    assert_int_equal(request_read_results(fixture.request)[1].status, STATUS_BAD_KEY);
}

static void
digests_that_differ_make_one_coordinated_read(void **state)
{
    Slice merged = stage_object(&fixture.stage, 1, 2, "pear");

    asker_read_one(&fixture);
    asker_answer_object(&fixture, 0, stage_object(&fixture.stage, 1, 1, "apple"));
    asker_answer_object(&fixture, 1, merged);
    assert_int_equal(fixture.sent_count, 3);
    assert_int_equal(asker_sent(&fixture, 2)->read.mode, READ_COORDINATED);
    assert_int_equal(asker_sent(&fixture, 2)->read.r, 2);
    asker_answer_object(&fixture, 2, merged);
    asker_assert_read(&fixture, STATUS_OK, merged);
    assert_int_equal(fixture.sent_count, 3);
    assert_int_equal(request_counters(fixture.request).mismatches, 1);
}

static void
only_the_keys_that_differ_are_coordinated(void **state)
{
    asker_set_stage(&fixture, 2, 2, 2);

    Slice keys[2] = {stage_key_of(&fixture.stage, 0, 0), stage_key_of(&fixture.stage, 0, 1)};
    Slice same = stage_object(&fixture.stage, 1, 1, "apple");
    Slice other = stage_object(&fixture.stage, 1, 2, "pear");
    Slice full[2] = {same, same};
    Slice digests[2];

    asker_begin_read(&fixture, keys, 2);
    assert_int_equal(asker_sent(&fixture, 0)->read.key_count, 2);
    for (uint32_t i = 0; i < 2; i++)
        digests[i] = slice_equal(asker_sent(&fixture, 1)->read.keys[i], keys[1]) ? other : same;
    asker_give(
        &fixture, 0,
        stage_read_reply(&fixture.stage, asker_sent(&fixture, 0)->frame.tag, READ_FULL, full, 2),
        ASKER_START_MS);
    asker_give(&fixture, 1,
               stage_read_reply(&fixture.stage, asker_sent(&fixture, 1)->frame.tag, READ_DIGEST,
                                digests, 2),
               ASKER_START_MS);
    assert_int_equal(asker_pump(&fixture), 1);
    assert_int_equal(asker_sent(&fixture, 2)->read.key_count, 1);
    assert_true(slice_equal(asker_sent(&fixture, 2)->read.keys[0], keys[1]));
    asker_answer_object(&fixture, 2, other);
    assert_true(request_done(fixture.request));
    assert_true(slice_equal(request_read_results(fixture.request)[0].object, same));
    assert_true(slice_equal(request_read_results(fixture.request)[1].object, other));
}

static void
a_coordinated_read_that_is_refused_goes_to_every_other_owner_once(void **state)
{
    asker_read_one(&fixture);
    asker_answer_object(&fixture, 0, stage_object(&fixture.stage, 1, 1, "apple"));
    asker_answer_object(&fixture, 1, stage_object(&fixture.stage, 1, 2, "pear"));
    asker_answer_error(&fixture, 2, STATUS_UNAVAILABLE);
    asker_answer_error(&fixture, 3, STATUS_UNAVAILABLE);
    asker_answer_error(&fixture, 4, STATUS_UNAVAILABLE);
    asker_assert_read(&fixture, STATUS_UNAVAILABLE, request_read_results(fixture.request)->object);
    assert_int_equal(fixture.sent_count, 5);
    assert_int_equal(1u << asker_sent(&fixture, 2)->member | 1u << asker_sent(&fixture, 3)->member |
                         1u << asker_sent(&fixture, 4)->member,
                     7);
}

static void
a_late_digest_ends_a_read_whose_coordinated_reads_were_all_refused(void **state)
{
    asker_read_one(&fixture);
    asker_tick(&fixture, ASKER_HEDGE_MS);
    assert_int_equal(fixture.sent_count, 3);
    asker_answer_object(&fixture, 1, stage_object(&fixture.stage, 1, 1, "apple"));
    asker_answer_object(&fixture, 2, stage_object(&fixture.stage, 1, 2, "pear"));
    for (uint32_t i = 3; i < 6; i++)
        asker_answer_error(&fixture, i, STATUS_UNAVAILABLE);
    assert_false(request_done(fixture.request));
    asker_answer_object(&fixture, 0, stage_object(&fixture.stage, 1, 1, "apple"));
    assert_true(request_done(fixture.request));
    assert_int_equal(request_read_results(fixture.request)->status, STATUS_UNAVAILABLE);
}

static void
a_lost_owner_is_replaced_by_the_next(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    asker_read_one(&fixture);
    asker_lose(&fixture, fixture.owners[0]);
    assert_int_equal(fixture.sent_count, 3);
    assert_int_equal(asker_sent(&fixture, 2)->member, fixture.owners[2]);
    assert_int_equal(asker_sent(&fixture, 2)->read.mode, READ_FULL);
    asker_answer_object(&fixture, 1, object);
    asker_answer_object(&fixture, 2, object);
    asker_assert_read(&fixture, STATUS_OK, object);
    assert_int_equal(request_read_results(fixture.request)->answered, 6);
    assert_int_equal(request_counters(fixture.request).failovers, 1);
}

static void
two_lost_owners_leave_no_quorum(void **state)
{
    asker_read_one(&fixture);
    asker_bury(&fixture, fixture.owners[1]);
    asker_bury(&fixture, fixture.owners[2]);
    assert_false(request_done(fixture.request));
    asker_answer_object(&fixture, 0, stage_object(&fixture.stage, 1, 1, "apple"));
    assert_int_equal(request_read_results(fixture.request)->status, STATUS_UNAVAILABLE);
    assert_true(request_done(fixture.request));
}

/* All nodes were restarted since the links were made. */
static void
owners_whose_links_all_broke_are_asked_once_more(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    asker_read_one(&fixture);
    for (uint32_t place = 0; place < 3; place++)
        asker_lose(&fixture, fixture.owners[place]);
    assert_int_equal(fixture.sent_count, 5);
    assert_int_equal(asker_sent(&fixture, 3)->member, fixture.owners[0]);
    assert_int_equal(asker_sent(&fixture, 4)->member, fixture.owners[1]);
    assert_int_equal(asker_sent(&fixture, 4)->read.mode, READ_FULL);
    asker_answer_object(&fixture, 3, object);
    asker_answer_object(&fixture, 4, object);
    asker_assert_read(&fixture, STATUS_OK, object);
}

/* A link that broke once takes only what was sent over it. */
static void
what_comes_back_to_a_member_while_its_loss_is_told_is_not_lost_again(void **state)
{
    enum
    {
        KEYS = 60
    };
    Slice keys[KEYS];
    Slice objects[KEYS] = {{0}};

    for (uint32_t i = 0; i < KEYS; i++)
        keys[i] = stage_key_of(&fixture.stage, i % 3, i);
    asker_begin_read(&fixture, keys, KEYS);
    for (uint32_t member = 0; member < 3; member++)
        request_lost(fixture.request, member, ASKER_START_MS);
    for (uint32_t i = fixture.sent_count; asker_pump(&fixture) > 0 || i < fixture.sent_count; i++)
    {
        const AskerSent *sent = asker_sent(&fixture, i);

        asker_give(&fixture, i,
                   stage_read_reply(&fixture.stage, sent->frame.tag, sent->read.mode, objects,
                                    sent->read.key_count),
                   ASKER_START_MS);
    }
    assert_true(request_done(fixture.request));
    for (uint32_t i = 0; i < KEYS; i++)
        assert_int_equal(request_read_results(fixture.request)[i].status, STATUS_OK);
}

static void
owners_whose_links_break_again_and_again_are_given_up(void **state)
{
    asker_read_one(&fixture);
    for (uint32_t i = 0; i < 2; i++)
    {
        for (uint32_t place = 0; place < 3; place++)
            asker_lose(&fixture, fixture.owners[place]);
    }
    asker_assert_read(&fixture, STATUS_UNAVAILABLE, SLICE_EMPTY);
    assert_int_equal(fixture.sent_count, 6);
}

static void
a_coordinated_read_whose_links_all_broke_is_asked_once_more(void **state)
{
    Slice merged = stage_object(&fixture.stage, 1, 2, "pear");

    asker_read_one(&fixture);
    asker_answer_object(&fixture, 0, stage_object(&fixture.stage, 1, 1, "apple"));
    asker_answer_object(&fixture, 1, merged);
    for (uint32_t i = 2; i < 5; i++)
    {
        assert_int_equal(asker_sent(&fixture, i)->read.mode, READ_COORDINATED);
        asker_lose(&fixture, asker_sent(&fixture, i)->member);
    }
    assert_int_equal(fixture.sent_count, 6);
    assert_int_equal(asker_sent(&fixture, 5)->read.mode, READ_COORDINATED);
    asker_answer_object(&fixture, 5, merged);
    asker_assert_read(&fixture, STATUS_OK, merged);
}

static void
an_owner_that_is_behind_is_replaced_and_its_reason_told_when_nobody_is_left(void **state)
{
    asker_read_one(&fixture);
    asker_answer_error(&fixture, 0, STATUS_BEHIND);
    assert_int_equal(fixture.sent_count, 3);
    asker_answer_error(&fixture, 1, STATUS_BEHIND);
    asker_answer_error(&fixture, 2, STATUS_BEHIND);
    assert_true(request_done(fixture.request));
    assert_int_equal(request_read_results(fixture.request)->status, STATUS_BEHIND);
}

static void
an_answer_that_no_other_owner_would_change_ends_a_read(void **state)
{
    asker_read_one(&fixture);
    asker_answer_error(&fixture, 0, STATUS_TOO_LARGE);
    asker_assert_read(&fixture, STATUS_TOO_LARGE, SLICE_EMPTY);
    assert_int_equal(fixture.sent_count, 2);
}

/* Whoever asks knows the wrong owners: the others are not asked, nor is a write sent to them. */
static void
a_key_whose_owners_were_changed_ends_at_the_first_word_of_it(void **state)
{
    asker_read_one(&fixture);
    asker_answer_error(&fixture, 0, STATUS_MOVED);
    asker_assert_read(&fixture, STATUS_MOVED, SLICE_EMPTY);
    assert_int_equal(fixture.sent_count, 2);
}

static void
a_key_that_one_owner_cannot_read_is_asked_of_the_next(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    ReadItem item = {.status = STATUS_CORRUPT};
    ReadReply reply = {.mode = READ_FULL, .items = &item, .item_count = 1};

    asker_read_one(&fixture);
    read_reply_encode(stage_buffer(&fixture.stage), asker_sent(&fixture, 0)->frame.tag, &reply);
    asker_give(&fixture, 0, stage_frame(&fixture.stage), ASKER_START_MS);
    assert_int_equal(asker_pump(&fixture), 1);
    asker_answer_object(&fixture, 1, object);
    asker_answer_object(&fixture, 2, object);
    asker_assert_read(&fixture, STATUS_OK, object);
}

static void
two_digests_without_an_object_are_followed_by_a_coordinated_read(void **state)
{
    Slice object;

    asker_set_stage(&fixture, 4, 4, 2);
    object = stage_object(&fixture.stage, 1, 1, "apple");
    asker_read_one(&fixture);
    asker_tick(&fixture, ASKER_HEDGE_MS);
    assert_int_equal(fixture.sent_count, 4);
    assert_int_equal(asker_sent(&fixture, 2)->read.mode, READ_FULL);
    assert_int_equal(asker_sent(&fixture, 3)->read.mode, READ_DIGEST);
    asker_answer_object(&fixture, 1, object);
    asker_answer_object(&fixture, 3, object);
    asker_lose(&fixture, fixture.owners[0]);
    assert_false(request_done(fixture.request));
    asker_lose(&fixture, fixture.owners[2]);
    assert_int_equal(asker_sent(&fixture, 4)->read.mode, READ_COORDINATED);
    asker_answer_object(&fixture, 4, object);
    asker_assert_read(&fixture, STATUS_OK, object);
}

static void
a_silent_owner_is_hedged_by_the_next_and_the_first_answers_win(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    asker_read_one(&fixture);
    asker_answer_object(&fixture, 1, object);
    assert_int_equal(request_wake_ms(fixture.request), ASKER_START_MS + ASKER_HEDGE_MS);
    asker_tick(&fixture, ASKER_HEDGE_MS - 1);
    assert_int_equal(fixture.sent_count, 2);
    asker_tick(&fixture, ASKER_HEDGE_MS);
    assert_int_equal(fixture.sent_count, 3);
    assert_int_equal(asker_sent(&fixture, 2)->read.mode, READ_FULL);
    assert_true(request_was_silent(fixture.request, fixture.owners[0]));
    asker_answer_object(&fixture, 2, object);
    asker_assert_read(&fixture, STATUS_OK, object);
    assert_int_equal(request_counters(fixture.request).hedges, 1);
}

static void
the_late_answer_of_a_hedged_owner_counts(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    asker_read_one(&fixture);
    asker_answer_object(&fixture, 1, object);
    asker_tick(&fixture, ASKER_HEDGE_MS);
    asker_answer_object(&fixture, 0, object);
    asker_assert_read(&fixture, STATUS_OK, object);
    assert_false(request_was_silent(fixture.request, fixture.owners[0]));
}

static void
silence_is_counted_from_the_last_answer_of_the_owner(void **state)
{
    enum
    {
        KEYS = 600
    };
    Slice keys[KEYS];
    Slice objects[KEYS] = {{0}};
    const uint32_t first = 512;

    asker_set_stage(&fixture, 1, 1, 1);
    for (uint32_t i = 0; i < KEYS; i++)
        keys[i] = stage_key_of(&fixture.stage, 0, i);
    asker_begin_read(&fixture, keys, KEYS);
    assert_int_equal(fixture.sent_count, 2);
    asker_give(&fixture, 0,
               stage_read_reply(&fixture.stage, asker_sent(&fixture, 0)->frame.tag, READ_FULL,
                                objects, first),
               ASKER_START_MS + ASKER_HEDGE_MS - 1);
    asker_tick(&fixture, ASKER_HEDGE_MS);
    assert_false(request_was_silent(fixture.request, 0));
    assert_int_equal(request_wake_ms(fixture.request), ASKER_START_MS + 2 * ASKER_HEDGE_MS - 1);
}

static void
a_silent_coordinated_read_is_asked_of_another_owner_too(void **state)
{
    Slice merged = stage_object(&fixture.stage, 1, 2, "pear");

    asker_read_one(&fixture);
    asker_answer_object(&fixture, 0, stage_object(&fixture.stage, 1, 1, "apple"));
    asker_answer_object(&fixture, 1, merged);
    asker_tick(&fixture, ASKER_HEDGE_MS);
    assert_int_equal(fixture.sent_count, 4);
    assert_int_equal(asker_sent(&fixture, 3)->read.mode, READ_COORDINATED);
    assert_int_not_equal(asker_sent(&fixture, 3)->member, asker_sent(&fixture, 2)->member);
    asker_answer_object(&fixture, 3, merged);
    asker_assert_read(&fixture, STATUS_OK, merged);
}

static void
a_silent_owner_that_refuses_after_all_ends_what_nobody_else_can_answer(void **state)
{
    asker_read_one(&fixture);
    asker_tick(&fixture, ASKER_HEDGE_MS);
    asker_answer_error(&fixture, 1, STATUS_SHUTTING_DOWN);
    asker_answer_error(&fixture, 2, STATUS_SHUTTING_DOWN);
    assert_false(request_done(fixture.request));
    asker_answer_error(&fixture, 0, STATUS_SHUTTING_DOWN);
    assert_true(request_done(fixture.request));
    assert_int_equal(request_read_results(fixture.request)->status, STATUS_SHUTTING_DOWN);
}

static void
the_last_owner_although_silent_is_waited_for(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    fixture.options.quorum = 3;
    asker_read_one(&fixture);
    asker_answer_object(&fixture, 1, object);
    asker_answer_object(&fixture, 2, object);
    asker_tick(&fixture, ASKER_HEDGE_MS);
    assert_false(request_done(fixture.request));
    asker_answer_object(&fixture, 0, object);
    asker_assert_read(&fixture, STATUS_OK, object);
}

static void
avoided_members_are_asked_last(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    fixture.avoid[0] = true;
    asker_read_one(&fixture);
    assert_int_equal(asker_sent(&fixture, 0)->member, fixture.owners[1]);
    assert_int_equal(asker_sent(&fixture, 1)->member, fixture.owners[2]);
    asker_lose(&fixture, fixture.owners[1]);
    assert_int_equal(asker_sent(&fixture, 2)->member, fixture.owners[0]);
    asker_answer_object(&fixture, 1, object);
    asker_answer_object(&fixture, 2, object);
    asker_assert_read(&fixture, STATUS_OK, object);
}

static void
a_read_without_enough_answers_is_unavailable_at_its_deadline(void **state)
{
    asker_read_one(&fixture);
    asker_answer_object(&fixture, 0, stage_object(&fixture.stage, 1, 1, "apple"));
    asker_tick(&fixture, ASKER_TIMEOUT_MS - 1);
    assert_false(request_done(fixture.request));
    asker_tick(&fixture, ASKER_TIMEOUT_MS);
    assert_true(request_done(fixture.request));
    assert_int_equal(request_read_results(fixture.request)->status, STATUS_UNAVAILABLE);
}

static void
a_duplicate_answer_counts_once(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    asker_read_one(&fixture);
    asker_answer_object(&fixture, 0, object);
    asker_answer_object(&fixture, 0, object);
    assert_false(request_done(fixture.request));
    asker_answer_object(&fixture, 1, object);
    asker_assert_read(&fixture, STATUS_OK, object);
}

static void
an_answer_after_the_end_changes_nothing(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    asker_read_one(&fixture);
    asker_answer_object(&fixture, 1, object);
    asker_tick(&fixture, ASKER_HEDGE_MS);
    asker_answer_object(&fixture, 2, object);
    asker_answer_object(&fixture, 0, stage_object(&fixture.stage, 1, 2, "pear"));
    asker_assert_read(&fixture, STATUS_OK, object);
    assert_int_equal(fixture.sent_count, 3);
}

static void
an_answer_of_a_foreign_tag_or_of_another_member_is_not_taken(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    Frame foreign;
    Frame swapped;

    asker_read_one(&fixture);
    foreign = stage_read_reply(&fixture.stage, 4711, READ_FULL, &object, 1);
    assert_false(
        request_answer(fixture.request, asker_sent(&fixture, 0)->member, &foreign, ASKER_START_MS));
    swapped =
        stage_read_reply(&fixture.stage, asker_sent(&fixture, 0)->frame.tag, READ_FULL, &object, 1);
    assert_false(
        request_answer(fixture.request, asker_sent(&fixture, 1)->member, &swapped, ASKER_START_MS));
    assert_false(request_done(fixture.request));
}

static void
two_requests_of_one_asker_never_share_a_tag(void **state)
{
    asker_read_one(&fixture);
    request_end(fixture.request);
    asker_read_one(&fixture);
    for (uint32_t i = 0; i < fixture.sent_count; i++)
    {
        for (uint32_t j = 0; j < i; j++)
            assert_int_not_equal(asker_sent(&fixture, i)->frame.tag,
                                 asker_sent(&fixture, j)->frame.tag);
    }
}

static void
a_malformed_answer_is_as_good_as_none(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    Frame frame;

    asker_read_one(&fixture);
    frame =
        stage_read_reply(&fixture.stage, asker_sent(&fixture, 0)->frame.tag, READ_FULL, &object, 1);
    frame.body.length--;
    assert_true(asker_give(&fixture, 0, frame, ASKER_START_MS));
    assert_int_equal(asker_pump(&fixture), 1);
    assert_int_equal(asker_sent(&fixture, 2)->read.mode, READ_FULL);
    asker_answer_object(&fixture, 1, object);
    asker_answer_object(&fixture, 2, object);
    asker_assert_read(&fixture, STATUS_OK, object);
}

static void
an_answer_of_another_count_mode_or_type_is_as_good_as_none(void **state)
{
    Slice objects[2] = {stage_object(&fixture.stage, 1, 1, "apple"), SLICE_EMPTY};

    asker_read_one(&fixture);
    asker_give(
        &fixture, 0,
        stage_read_reply(&fixture.stage, asker_sent(&fixture, 0)->frame.tag, READ_FULL, objects, 2),
        ASKER_START_MS);
    assert_int_equal(asker_pump(&fixture), 1);
    asker_give(
        &fixture, 1,
        stage_read_reply(&fixture.stage, asker_sent(&fixture, 1)->frame.tag, READ_FULL, objects, 1),
        ASKER_START_MS);
    node_status_fetch_encode(stage_buffer(&fixture.stage), asker_sent(&fixture, 2)->frame.tag);
    asker_give(&fixture, 2, stage_frame(&fixture.stage), ASKER_START_MS);
    assert_int_equal(asker_pump(&fixture), 0);
    assert_true(request_done(fixture.request));
    assert_int_equal(request_read_results(fixture.request)->status, STATUS_BAD_FRAME);
}

static void
sealed_contexts_are_asked_for_with_full_objects_only(void **state)
{
    fixture.options.seal = true;
    asker_read_one(&fixture);
    assert_true(asker_sent(&fixture, 0)->read.seal);
    assert_false(asker_sent(&fixture, 1)->read.seal);
}

/* Every key is asked for again in the end, by itself when it must be. */
static void
keys_whose_answer_would_be_too_large_are_asked_for_by_half_as_many(void **state)
{
    enum
    {
        KEYS = 5
    };
    Slice keys[KEYS];
    Slice objects[KEYS];
    uint32_t answered = 0;

    asker_set_stage(&fixture, 1, 1, 1);
    for (uint32_t i = 0; i < KEYS; i++)
    {
        keys[i] = stage_key_of(&fixture.stage, 0, i);
        objects[i] = SLICE_EMPTY;
    }
    asker_begin_read(&fixture, keys, KEYS);
    for (uint32_t sent = 0; sent < fixture.sent_count; sent++)
    {
        uint32_t count = asker_sent(&fixture, sent)->read.key_count;

        if (count > 1)
        {
            asker_answer_error(&fixture, sent, STATUS_ANSWER_TOO_LARGE);
            continue;
        }
        answered += count;
        asker_give(&fixture, sent,
                   stage_read_reply(&fixture.stage, asker_sent(&fixture, sent)->frame.tag,
                                    READ_FULL, objects, count),
                   ASKER_START_MS);
        asker_pump(&fixture);
    }
    assert_int_equal(answered, KEYS);
    assert_true(request_done(fixture.request));
    for (uint32_t i = 0; i < KEYS; i++)
        assert_int_equal(request_read_results(fixture.request)[i].status, STATUS_OK);
}

static void
one_key_whose_answer_is_too_large_fails(void **state)
{
    asker_set_stage(&fixture, 1, 1, 1);
    asker_read_one(&fixture);
    asker_answer_error(&fixture, 0, STATUS_ANSWER_TOO_LARGE);
    asker_assert_read(&fixture, STATUS_ANSWER_TOO_LARGE, SLICE_EMPTY);
}

/* Parts of an answer come: whoever is asked is not silent, however long the answer takes. */
static void
an_owner_whose_answer_comes_in_parts_is_not_silent(void **state)
{
    asker_set_stage(&fixture, 3, 3, 1);
    asker_read_one(&fixture);
    for (uint32_t i = 1; i <= 6; i++)
    {
        request_heard(fixture.request, asker_sent(&fixture, 0)->member,
                      ASKER_START_MS + i * ASKER_HEDGE_MS / 2);
        asker_tick(&fixture, i * ASKER_HEDGE_MS / 2);
    }
    assert_int_equal(fixture.sent_count, 1);
    asker_tick(&fixture, 4 * ASKER_HEDGE_MS);
    assert_int_equal(fixture.sent_count, 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_read_asks_one_owner_for_the_object_and_the_next_for_its_digest),
        TEST(equal_digests_end_a_read_in_one_hop),
        TEST(the_digest_may_come_before_the_object),
        TEST(a_key_that_no_owner_has_reads_as_absent),
        TEST(one_replica_is_read_with_one_frame),
        TEST(a_quorum_of_all_reads_every_owner),
        TEST(a_quorum_larger_than_the_owners_is_refused),
        TEST(no_keys_are_done_at_once),
        TEST(a_key_of_another_type_ends_alone),
        TEST(digests_that_differ_make_one_coordinated_read),
        TEST(only_the_keys_that_differ_are_coordinated),
        TEST(a_coordinated_read_that_is_refused_goes_to_every_other_owner_once),
        TEST(a_late_digest_ends_a_read_whose_coordinated_reads_were_all_refused),
        TEST(a_lost_owner_is_replaced_by_the_next),
        TEST(two_lost_owners_leave_no_quorum),
        TEST(owners_whose_links_all_broke_are_asked_once_more),
        TEST(what_comes_back_to_a_member_while_its_loss_is_told_is_not_lost_again),
        TEST(owners_whose_links_break_again_and_again_are_given_up),
        TEST(a_coordinated_read_whose_links_all_broke_is_asked_once_more),
        TEST(an_owner_that_is_behind_is_replaced_and_its_reason_told_when_nobody_is_left),
        TEST(an_answer_that_no_other_owner_would_change_ends_a_read),
        TEST(a_key_whose_owners_were_changed_ends_at_the_first_word_of_it),
        TEST(a_key_that_one_owner_cannot_read_is_asked_of_the_next),
        TEST(two_digests_without_an_object_are_followed_by_a_coordinated_read),
        TEST(a_silent_owner_is_hedged_by_the_next_and_the_first_answers_win),
        TEST(the_late_answer_of_a_hedged_owner_counts),
        TEST(silence_is_counted_from_the_last_answer_of_the_owner),
        TEST(a_silent_coordinated_read_is_asked_of_another_owner_too),
        TEST(a_silent_owner_that_refuses_after_all_ends_what_nobody_else_can_answer),
        TEST(the_last_owner_although_silent_is_waited_for),
        TEST(avoided_members_are_asked_last),
        TEST(a_read_without_enough_answers_is_unavailable_at_its_deadline),
        TEST(a_duplicate_answer_counts_once),
        TEST(an_answer_after_the_end_changes_nothing),
        TEST(an_answer_of_a_foreign_tag_or_of_another_member_is_not_taken),
        TEST(two_requests_of_one_asker_never_share_a_tag),
        TEST(a_malformed_answer_is_as_good_as_none),
        TEST(an_answer_of_another_count_mode_or_type_is_as_good_as_none),
        TEST(sealed_contexts_are_asked_for_with_full_objects_only),
        TEST(keys_whose_answer_would_be_too_large_are_asked_for_by_half_as_many),
        TEST(one_key_whose_answer_is_too_large_fails),
        TEST(an_owner_whose_answer_comes_in_parts_is_not_silent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
