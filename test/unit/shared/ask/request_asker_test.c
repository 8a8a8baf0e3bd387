/* What an asker learns from the waits: percentiles by size of frame, when a read or a write is
 * hedged, how long an overloaded member is left alone, and what a member's clock is now. */
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

/* ---- how long an answer takes ---- */

enum
{
    MOST_MS = 500
};

static uint64_t
hedge_ms(uint32_t member)
{
    return request_asker_hedge_ms(&fixture.asker, &(RequestAskerFrame){member, 1, false}, MOST_MS);
}

/* Waits of 0 to 99 ms, each as often as any other, in an order without a trend. */
static void
note_uniform_waits(uint32_t member, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        request_asker_add_wait(&fixture.asker, &(RequestAskerFrame){member, 1, false},
                               i * 37 % 100);
}

static void
a_member_that_is_not_known_yet_is_given_the_longest_time(void **state)
{
    assert_int_equal(hedge_ms(0), MOST_MS);
    for (int i = 0; i < 16; i++)
        request_asker_add_wait(&fixture.asker, &(RequestAskerFrame){0, 1, false}, 1);
    assert_int_equal(hedge_ms(0), MOST_MS);
    request_asker_add_wait(&fixture.asker, &(RequestAskerFrame){0, 1, false}, 1);
    assert_int_equal(hedge_ms(0), REQUEST_HEDGE_MIN_MS);
}

static void
the_first_wait_of_all_which_was_for_the_connection_too_does_not_count(void **state)
{
    request_asker_add_wait(&fixture.asker, &(RequestAskerFrame){0, 1, false}, 200);
    for (int i = 0; i < 16; i++)
        request_asker_add_wait(&fixture.asker, &(RequestAskerFrame){0, 1, false}, 10);
    assert_int_equal(hedge_ms(0), 20);
}

static void
a_member_is_hedged_after_twice_what_nineteen_answers_in_twenty_take(void **state)
{
    note_uniform_waits(0, 5000);
    assert_in_range(hedge_ms(0), 2 * 85, 2 * 105);
}

static void
the_hedge_comes_no_later_than_allowed(void **state)
{
    note_uniform_waits(0, 1000);
    assert_int_equal(request_asker_hedge_ms(&fixture.asker, &(RequestAskerFrame){0, 1, false}, 50),
                     50);
}

static void
the_hedge_follows_a_member_that_becomes_slow_and_fast_again(void **state)
{
    for (int i = 0; i < 100; i++)
        request_asker_add_wait(&fixture.asker, &(RequestAskerFrame){0, 1, false}, 1);
    assert_int_equal(hedge_ms(0), REQUEST_HEDGE_MIN_MS);
    for (int i = 0; i < 100; i++)
        request_asker_add_wait(&fixture.asker, &(RequestAskerFrame){0, 1, false}, 50);
    assert_in_range(hedge_ms(0), 90, 130);
    for (int i = 0; i < 2000; i++)
        request_asker_add_wait(&fixture.asker, &(RequestAskerFrame){0, 1, false}, 1);
    assert_int_equal(hedge_ms(0), REQUEST_HEDGE_MIN_MS);
}

static void
members_and_sizes_of_frames_are_followed_apart(void **state)
{
    static const uint32_t SIZES[] = {1, 8, 64, 512};

    for (uint32_t class = 0; class < 4; class ++)
    {
        for (int i = 0; i < 17; i++)
            request_asker_add_wait(&fixture.asker, &(RequestAskerFrame){1, SIZES[class], false},
                                   10 * (class + 1));
    }
    assert_int_equal(hedge_ms(0), MOST_MS);
    for (uint32_t class = 0; class < 4; class ++)
        assert_int_equal(request_asker_hedge_ms(
                             &fixture.asker, &(RequestAskerFrame){1, SIZES[class], false}, MOST_MS),
                         20 * (class + 1));
}

static void
pauses_double_and_differ_from_asker_to_asker(void **state)
{
    RequestAsker *asker = &fixture.asker;
    uint64_t first;

    for (uint32_t nth = 0; nth < 10; nth++)
    {
        uint64_t least = UINT64_C(10) << (nth < 4 ? nth : 4);

        assert_in_range(request_asker_pause_ms(asker, nth), least, 2 * least - 1);
    }
    first = request_asker_pause_ms(asker, 4);
    do
        assert_true(asker->seed++ < 10);
    while (request_asker_pause_ms(asker, 4) == first);
}

/* ---- when a request hedges ---- */

static void
a_read_is_hedged_as_soon_as_its_member_is_later_than_ever(void **state)
{
    asker_accustom(&fixture, 10);
    asker_read_one(&fixture);
    assert_int_equal(request_wake_ms(fixture.request), ASKER_START_MS + 20);
    asker_tick(&fixture, 19);
    assert_int_equal(fixture.sent_count, 2);
    asker_tick(&fixture, 20);
    assert_int_equal(fixture.sent_count, 3);
    assert_true(request_was_silent(fixture.request, fixture.owners[0]));
}

static void
a_hedge_that_is_given_is_taken(void **state)
{
    asker_accustom(&fixture, 10);
    fixture.options.read_hedge_ms = 7;
    asker_read_one(&fixture);
    asker_tick(&fixture, 6);
    assert_int_equal(fixture.sent_count, 2);
    asker_tick(&fixture, 7);
    assert_int_equal(fixture.sent_count, 3);
}

static void
a_read_that_only_a_fallback_could_hedge_is_given_the_full_time(void **state)
{
    asker_set_stage(&fixture, 4, 2, 2);
    asker_accustom(&fixture, 1);
    asker_read_one(&fixture);
    asker_tick(&fixture, ASKER_HEDGE_MS - 1);
    assert_int_equal(fixture.sent_count, 2);
    asker_tick(&fixture, ASKER_HEDGE_MS);
    assert_int_equal(fixture.sent_count, 4);
}

static void
a_write_and_a_coordinated_read_are_given_the_full_time(void **state)
{
    asker_accustom(&fixture, 1);
    asker_read_one(&fixture);
    asker_answer_object(&fixture, 0, stage_object(&fixture.stage, 1, 1, "apple"));
    asker_answer_object(&fixture, 1, stage_object(&fixture.stage, 1, 2, "pear"));
    assert_int_equal(request_wake_ms(fixture.request), ASKER_START_MS + ASKER_HEDGE_MS);
    request_end(fixture.request);
    asker_write_one(&fixture);
    assert_int_equal(request_wake_ms(fixture.request), ASKER_START_MS + 2 * ASKER_HEDGE_MS);
}

static void
answers_and_hedges_tell_how_long_a_member_takes(void **state)
{
    uint32_t hedged;
    uint32_t tail;

    asker_accustom(&fixture, 10);
    asker_read_one(&fixture);
    hedged = fixture.owners[0];
    asker_answer_object(&fixture, 1, SLICE_EMPTY);
    assert_in_range(hedge_ms(fixture.owners[1]), 19, 20);
    asker_tick(&fixture, 20);
    assert_in_range(hedge_ms(hedged), 21, 24);
    tail = fixture.asker.members[hedged].tail[0];
    asker_answer_object(&fixture, 0, SLICE_EMPTY);
    assert_int_equal(fixture.asker.members[hedged].tail[0], tail);
}

static void
the_wait_for_a_write_tells_nothing_of_its_coordinator(void **state)
{
    asker_write_one(&fixture);
    asker_answer_write(&fixture, 0, STATUS_OK, 3);
    assert_int_equal(fixture.asker.members[fixture.owners[0]].samples[0], 0);
    assert_int_equal(fixture.asker.members[fixture.owners[0]].heard_ms, ASKER_START_MS);
}

/* ---- members that are overloaded ---- */

static void
give_overloaded(uint32_t index, uint64_t now_ms)
{
    Frame frame =
        stage_error(&fixture.stage, asker_sent(&fixture, index)->frame.tag, STATUS_OVERLOADED);

    assert_true(asker_give(&fixture, index, frame, now_ms));
    assert_int_equal(asker_pump(&fixture), 0);
}

/* When the request wants to go on; checks that it does not sooner. */
static uint64_t
wait_out_pause(uint64_t now_ms, uint64_t least_ms)
{
    uint64_t due_ms = request_wake_ms(fixture.request);

    assert_in_range(due_ms, now_ms + least_ms, now_ms + 2 * least_ms - 1);
    request_tick(fixture.request, due_ms - 1);
    assert_int_equal(asker_pump(&fixture), 0);
    request_tick(fixture.request, due_ms);
    assert_int_equal(asker_pump(&fixture), 1);
    return due_ms;
}

static void
an_overloaded_coordinator_is_left_alone_and_the_next_owner_asked_after_a_pause(void **state)
{
    asker_write_one(&fixture);
    give_overloaded(0, ASKER_START_MS);
    wait_out_pause(ASKER_START_MS, 10);
    assert_int_equal(asker_sent(&fixture, 1)->member, fixture.owners[1]);
    assert_false(asker_sent(&fixture, 1)->write.retry);
    asker_answer_write(&fixture, 1, STATUS_OK, 3);
    asker_assert_write(&fixture, STATUS_OK);
    assert_int_equal(request_counters(fixture.request).backoffs, 1);
}

static void
overloaded_owners_are_asked_in_turn_and_no_fallback(void **state)
{
    static const uint64_t LEAST_MS[] = {10, 20, 40, 80};
    uint64_t now_ms = ASKER_START_MS;

    asker_set_stage(&fixture, 5, 3, 2);
    asker_write_one(&fixture);
    for (uint32_t i = 0; i < 4; i++)
    {
        assert_int_equal(asker_sent(&fixture, i)->member, fixture.owners[i % 3]);
        give_overloaded(i, now_ms);
        now_ms = wait_out_pause(now_ms, LEAST_MS[i]);
    }
    assert_int_equal(asker_sent(&fixture, 4)->member, fixture.owners[1]);
    assert_int_equal(request_counters(fixture.request).fallbacks, 0);
}

static void
a_write_that_waits_for_overloaded_owners_at_its_deadline_is_refused(void **state)
{
    asker_write_one(&fixture);
    give_overloaded(0, ASKER_START_MS);
    request_tick(fixture.request, ASKER_START_MS + ASKER_TIMEOUT_MS);
    asker_assert_write(&fixture, STATUS_OVERLOADED);
}

static void
the_only_owner_is_asked_again_when_it_was_overloaded(void **state)
{
    Slice object;

    asker_set_stage(&fixture, 1, 1, 1);
    object = stage_object(&fixture.stage, 1, 1, "apple");
    asker_read_one(&fixture);
    give_overloaded(0, ASKER_START_MS);
    wait_out_pause(ASKER_START_MS, 10);
    assert_int_equal(asker_sent(&fixture, 1)->member, fixture.owners[0]);
    assert_int_equal(asker_sent(&fixture, 1)->read.mode, READ_FULL);
    asker_answer_object(&fixture, 1, object);
    asker_assert_read(&fixture, STATUS_OK, object);
}

static void
an_overloaded_coordinator_of_a_read_is_replaced_after_a_pause(void **state)
{
    Slice merged = stage_object(&fixture.stage, 1, 2, "pear");

    asker_read_one(&fixture);
    asker_answer_object(&fixture, 0, stage_object(&fixture.stage, 1, 1, "apple"));
    asker_answer_object(&fixture, 1, merged);
    give_overloaded(2, ASKER_START_MS);
    wait_out_pause(ASKER_START_MS, 10);
    assert_int_equal(asker_sent(&fixture, 3)->read.mode, READ_COORDINATED);
    assert_int_not_equal(asker_sent(&fixture, 3)->member, asker_sent(&fixture, 2)->member);
    asker_answer_object(&fixture, 3, merged);
    asker_assert_read(&fixture, STATUS_OK, merged);
}

static void
a_paused_write_is_a_retry_when_a_silent_owner_may_have_it(void **state)
{
    uint64_t now_ms = ASKER_START_MS + 2 * ASKER_HEDGE_MS;

    asker_write_one(&fixture);
    asker_tick(&fixture, 2 * ASKER_HEDGE_MS);
    assert_int_equal(fixture.sent_count, 2);
    give_overloaded(1, now_ms);
    asker_lose(&fixture, fixture.owners[0]);
    wait_out_pause(now_ms, 10);
    assert_true(asker_sent(&fixture, 2)->write.retry);
}

static void
a_member_that_is_lost_in_its_pause_is_replaced_at_once(void **state)
{
    asker_write_one(&fixture);
    give_overloaded(0, ASKER_START_MS);
    asker_lose(&fixture, fixture.owners[1]);
    assert_int_equal(fixture.sent_count, 2);
    assert_false(asker_sent(&fixture, 1)->write.retry);
}

static void
writes_are_followed_apart_and_hedged_much_later(void **state)
{
    RequestAskerFrame read = {0, 1, false};
    RequestAskerFrame write = {0, 1, true};

    for (int i = 0; i < 400; i++)
    {
        request_asker_add_wait(&fixture.asker, &read, 1);
        request_asker_add_wait(&fixture.asker, &write, 2);
    }
    assert_int_equal(request_asker_hedge_ms(&fixture.asker, &read, 5000), REQUEST_HEDGE_MIN_MS);
    assert_int_equal(request_asker_hedge_ms(&fixture.asker, &write, 5000),
                     REQUEST_WRITE_HEDGE_MIN_MS);
    for (int i = 0; i < 4000; i++)
        request_asker_add_wait(&fixture.asker, &write, 100);
    assert_in_range(request_asker_hedge_ms(&fixture.asker, &write, 5000), 700, 1000);
    assert_int_equal(request_asker_hedge_ms(&fixture.asker, &write, 300), 300);
}

/* ---- members' clocks ---- */

static void
a_members_clock_is_what_it_said_and_what_has_passed_less_a_drift(void **state)
{
    RequestAsker *asker = &fixture.asker;

    assert_int_equal(request_asker_clock_ms(asker, 1, 5000), 0);
    request_asker_set_clock(asker, 1, 777, 5000);
    request_asker_set_clock(asker, 1, 0, 9000);
    assert_int_equal(request_asker_clock_ms(asker, 1, 5000), 777);
    assert_int_equal(request_asker_clock_ms(asker, 1, 5000 + 1024), 777 + 1023);
    assert_int_equal(request_asker_clock_ms(asker, 1, 4000), 777);
    assert_int_equal(request_asker_clock_ms(asker, 2, 5000), 0);
}

static void
answer_too_late(uint32_t index, uint64_t clock_ms)
{
    WriteResult result = {.status = STATUS_TOO_LATE};
    WriteReply reply = {.clock_ms = clock_ms, .items = &result, .item_count = 1};

    write_reply_encode(stage_buffer(&fixture.stage), asker_sent(&fixture, index)->frame.tag,
                       &reply);
    assert_true(asker_give(&fixture, index, stage_frame(&fixture.stage), ASKER_START_MS));
    asker_pump(&fixture);
}

/* It has told its clock, by which it can now tell that the write is young. */
static void
a_member_that_calls_a_write_too_late_is_asked_again_and_told_its_clock(void **state)
{
    asker_write_one(&fixture);
    assert_int_equal(asker_sent(&fixture, 0)->write.clock_ms, 0);
    answer_too_late(0, 777);
    assert_int_equal(asker_sent(&fixture, 1)->member, asker_sent(&fixture, 0)->member);
    assert_int_equal(asker_sent(&fixture, 1)->write.clock_ms, 777);
    assert_false(asker_sent(&fixture, 1)->write.retry);
    asker_answer_write(&fixture, 1, STATUS_OK, 3);
    asker_assert_write(&fixture, STATUS_OK);
}

static void
a_member_that_goes_on_calling_a_write_too_late_is_replaced(void **state)
{
    asker_write_one(&fixture);
    for (uint32_t i = 0; i < 3; i++)
        answer_too_late(i, 777 + i);
    assert_int_not_equal(asker_sent(&fixture, 3)->member, asker_sent(&fixture, 0)->member);
}

static void
a_retry_says_how_long_ago_the_write_was_first_sent(void **state)
{
    asker_write_one(&fixture);
    asker_tick(&fixture, 2 * ASKER_HEDGE_MS);
    asker_pump(&fixture);
    assert_true(asker_sent(&fixture, 1)->write.retry);
    assert_int_equal(asker_sent(&fixture, 1)->write.age_ms, 2 * ASKER_HEDGE_MS);
    assert_int_equal(asker_sent(&fixture, 0)->write.alone_ms, 2 * ASKER_HEDGE_MS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_member_that_is_not_known_yet_is_given_the_longest_time),
        TEST(the_first_wait_of_all_which_was_for_the_connection_too_does_not_count),
        TEST(a_member_is_hedged_after_twice_what_nineteen_answers_in_twenty_take),
        TEST(the_hedge_comes_no_later_than_allowed),
        TEST(the_hedge_follows_a_member_that_becomes_slow_and_fast_again),
        TEST(members_and_sizes_of_frames_are_followed_apart),
        TEST(pauses_double_and_differ_from_asker_to_asker),
        TEST(a_read_is_hedged_as_soon_as_its_member_is_later_than_ever),
        TEST(a_hedge_that_is_given_is_taken),
        TEST(a_read_that_only_a_fallback_could_hedge_is_given_the_full_time),
        TEST(a_write_and_a_coordinated_read_are_given_the_full_time),
        TEST(answers_and_hedges_tell_how_long_a_member_takes),
        TEST(the_wait_for_a_write_tells_nothing_of_its_coordinator),
        TEST(an_overloaded_coordinator_is_left_alone_and_the_next_owner_asked_after_a_pause),
        TEST(overloaded_owners_are_asked_in_turn_and_no_fallback),
        TEST(a_write_that_waits_for_overloaded_owners_at_its_deadline_is_refused),
        TEST(the_only_owner_is_asked_again_when_it_was_overloaded),
        TEST(an_overloaded_coordinator_of_a_read_is_replaced_after_a_pause),
        TEST(a_paused_write_is_a_retry_when_a_silent_owner_may_have_it),
        TEST(a_member_that_is_lost_in_its_pause_is_replaced_at_once),
        TEST(writes_are_followed_apart_and_hedged_much_later),
        TEST(a_members_clock_is_what_it_said_and_what_has_passed_less_a_drift),
        TEST(a_member_that_calls_a_write_too_late_is_asked_again_and_told_its_clock),
        TEST(a_member_that_goes_on_calling_a_write_too_late_is_replaced),
        TEST(a_retry_says_how_long_ago_the_write_was_first_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
