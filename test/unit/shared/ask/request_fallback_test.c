/* Requests while owners are down: when fallbacks are asked, when their answers count, and when they
 * are not asked at all. */
#include "test/unit/stages/asker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Five members, n 3: places 0 to 2 are the owners, 3 and 4 the fallbacks. */
static Asker fixture;

static int
set_up(void **state)
{
    asker_init(&fixture);
    asker_set_stage(&fixture, 5, 3, 2);
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
assert_asked(uint32_t index, uint32_t place)
{
    assert_int_equal(asker_sent(&fixture, index)->member, fixture.owners[place]);
}

static Slice
apple(void)
{
    return stage_object(&fixture.stage, 1, 1, "apple");
}

static const RequestReadResult *
read_result(void)
{
    return request_read_results(fixture.request);
}

/* ---- reads ---- */

static void
fallbacks_are_left_alone_while_a_quorum_of_owners_is_well(void **state)
{
    asker_avoid(&fixture, 0);
    asker_read_one(&fixture);
    assert_int_equal(fixture.sent_count, 2);
    assert_asked(0, 1);
    assert_asked(1, 2);
    assert_int_equal(request_counters(fixture.request).fallbacks, 0);
}

static void
a_fallback_that_holds_the_key_counts_for_an_owner_that_is_down(void **state)
{
    Slice object = apple();

    asker_avoid(&fixture, 1);
    asker_avoid(&fixture, 2);
    asker_read_one(&fixture);
    assert_int_equal(fixture.sent_count, 2);
    assert_asked(0, 0);
    assert_asked(1, 3);
    assert_int_equal(asker_sent(&fixture, 1)->read.mode, READ_DIGEST);
    asker_answer_object(&fixture, 0, object);
    asker_answer_object(&fixture, 1, object);
    asker_assert_read(&fixture, STATUS_OK, object);
    assert_int_equal(read_result()->answered, 1 << 0 | 1 << 3);
    assert_int_equal(read_result()->asked, 1 << 0 | 1 << 3);
    assert_int_equal(request_counters(fixture.request).fallbacks, 1);
}

static void
not_found_of_a_fallback_is_no_evidence(void **state)
{
    asker_avoid(&fixture, 1);
    asker_avoid(&fixture, 2);
    asker_read_one(&fixture);
    asker_answer_object(&fixture, 0, SLICE_EMPTY);
    asker_answer_object(&fixture, 1, SLICE_EMPTY);
    assert_int_equal(fixture.sent_count, 3);
    assert_asked(2, 4);
    asker_answer_object(&fixture, 2, SLICE_EMPTY);
    assert_false(request_done(fixture.request));
    assert_int_equal(fixture.sent_count, 4);
    assert_asked(3, 1);
    asker_bury(&fixture, fixture.owners[1]);
    asker_bury(&fixture, fixture.owners[2]);
    asker_assert_read(&fixture, STATUS_UNAVAILABLE, SLICE_EMPTY);
    assert_int_equal(read_result()->answered, 1 << 0);
    assert_int_equal(read_result()->lacking, 1 << 3 | 1 << 4);
}

static void
an_owner_to_avoid_is_asked_when_the_fallbacks_lack_the_key(void **state)
{
    asker_avoid(&fixture, 1);
    asker_avoid(&fixture, 2);
    asker_read_one(&fixture);
    asker_answer_object(&fixture, 0, SLICE_EMPTY);
    asker_answer_object(&fixture, 1, SLICE_EMPTY);
    asker_answer_object(&fixture, 2, SLICE_EMPTY);
    asker_answer_object(&fixture, 3, SLICE_EMPTY);
    asker_assert_read(&fixture, STATUS_OK, SLICE_EMPTY);
    assert_int_equal(read_result()->answered, 1 << 0 | 1 << 1);
}

static void
a_fallback_that_lacks_the_object_it_was_to_give_is_replaced_by_one_that_gives_it(void **state)
{
    Slice object = apple();

    fixture.options.quorum = 1;
    for (uint32_t place = 0; place < 3; place++)
        asker_avoid(&fixture, place);
    asker_read_one(&fixture);
    assert_asked(0, 3);
    asker_answer_object(&fixture, 0, SLICE_EMPTY);
    assert_asked(1, 4);
    assert_int_equal(asker_sent(&fixture, 1)->read.mode, READ_FULL);
    asker_answer_object(&fixture, 1, object);
    asker_assert_read(&fixture, STATUS_OK, object);
}

static void
owners_that_pr_asks_for_are_not_replaced_by_fallbacks(void **state)
{
    fixture.options.owners = 2;
    asker_avoid(&fixture, 1);
    asker_avoid(&fixture, 2);
    asker_read_one(&fixture);
    assert_int_equal(fixture.sent_count, 2);
    assert_asked(0, 0);
    assert_asked(1, 1);
}

static void
pr_above_r_is_how_many_must_answer(void **state)
{
    Slice object = apple();

    fixture.options.quorum = 1;
    fixture.options.owners = 2;
    asker_read_one(&fixture);
    assert_int_equal(fixture.sent_count, 2);
    asker_answer_object(&fixture, 0, object);
    assert_false(request_done(fixture.request));
    asker_answer_object(&fixture, 1, object);
    asker_assert_read(&fixture, STATUS_OK, object);
}

static void
a_fallback_serves_for_the_answers_beyond_pr(void **state)
{
    Slice object = apple();

    fixture.options.quorum = 3;
    fixture.options.owners = 2;
    asker_avoid(&fixture, 1);
    asker_avoid(&fixture, 2);
    asker_read_one(&fixture);
    assert_int_equal(fixture.sent_count, 3);
    assert_asked(0, 0);
    assert_asked(1, 3);
    assert_asked(2, 1);
    for (uint32_t i = 0; i < 3; i++)
        asker_answer_object(&fixture, i, object);
    asker_assert_read(&fixture, STATUS_OK, object);
}

static void
fewer_owners_than_pr_are_an_error_whatever_the_fallbacks_hold(void **state)
{
    fixture.options.owners = 2;
    asker_read_one(&fixture);
    asker_answer_object(&fixture, 0, apple());
    asker_bury(&fixture, fixture.owners[1]);
    asker_bury(&fixture, fixture.owners[2]);
    assert_true(request_done(fixture.request));
    assert_int_equal(read_result()->status, STATUS_UNAVAILABLE);
    assert_int_equal(request_counters(fixture.request).fallbacks, 0);
}

static void
fallbacks_that_came_to_be_asked_do_not_make_up_for_the_owner_that_is_waited_for(void **state)
{
    Slice object = apple();

    fixture.options.quorum = 3;
    fixture.options.owners = 2;
    asker_avoid(&fixture, 2);
    asker_read_one(&fixture);
    asker_answer_object(&fixture, 0, object);
    fixture.asker.members[fixture.owners[1]].heard_ms = ASKER_START_MS + 1;
    asker_tick(&fixture, ASKER_HEDGE_MS);
    assert_asked(3, 4);
    asker_answer_object(&fixture, 2, object);
    asker_answer_object(&fixture, 3, object);
    assert_false(request_done(fixture.request));
    asker_answer_object(&fixture, 1, object);
    asker_assert_read(&fixture, STATUS_OK, object);
}

static void
pr_above_the_owners_is_refused(void **state)
{
    fixture.options.owners = 4;
    asker_read_one(&fixture);
    assert_int_equal(fixture.sent_count, 0);
    asker_assert_read(&fixture, STATUS_UNAVAILABLE, SLICE_EMPTY);
}

static void
a_fallback_that_differs_makes_an_owner_coordinate(void **state)
{
    Slice merged = stage_object(&fixture.stage, 1, 2, "pear");

    fixture.options.owners = 1;
    fixture.options.repair_later = true;
    asker_avoid(&fixture, 1);
    asker_avoid(&fixture, 2);
    asker_read_one(&fixture);
    asker_answer_object(&fixture, 0, apple());
    asker_answer_object(&fixture, 1, merged);
    assert_int_equal(fixture.sent_count, 3);
    assert_asked(2, 0);
    assert_int_equal(asker_sent(&fixture, 2)->read.mode, READ_COORDINATED);
    assert_int_equal(asker_sent(&fixture, 2)->read.r, 2);
    assert_int_equal(asker_sent(&fixture, 2)->read.pr, 1);
    assert_true(asker_sent(&fixture, 2)->read.repair_later);
    asker_answer_object(&fixture, 2, merged);
    asker_assert_read(&fixture, STATUS_OK, merged);
}

static void
a_fallback_that_is_well_coordinates_before_an_owner_that_is_not(void **state)
{
    asker_avoid(&fixture, 1);
    asker_avoid(&fixture, 2);
    asker_read_one(&fixture);
    asker_answer_object(&fixture, 0, apple());
    asker_answer_object(&fixture, 1, stage_object(&fixture.stage, 1, 2, "pear"));
    asker_lose(&fixture, fixture.owners[0]);
    assert_int_equal(fixture.sent_count, 4);
    assert_asked(3, 3);
    assert_int_equal(asker_sent(&fixture, 3)->read.mode, READ_COORDINATED);
}

static void
that_a_fallback_is_no_owner_is_no_reason(void **state)
{
    asker_read_one(&fixture);
    for (uint32_t place = 0; place < 3; place++)
        asker_bury(&fixture, fixture.owners[place]);
    assert_int_equal(fixture.sent_count, 5);
    asker_answer_error(&fixture, 3, STATUS_NOT_OWNER);
    asker_answer_error(&fixture, 4, STATUS_NOT_OWNER);
    asker_assert_read(&fixture, STATUS_UNAVAILABLE, SLICE_EMPTY);
}

/* ---- writes ---- */

static void
what_a_write_must_reach_travels_with_it(void **state)
{
    fixture.options.owners = 1;
    fixture.options.confirms = 2;
    asker_write_one(&fixture);
    assert_int_equal(asker_sent(&fixture, 0)->write.w, 2);
    assert_int_equal(asker_sent(&fixture, 0)->write.pw, 1);
    assert_int_equal(asker_sent(&fixture, 0)->write.confirms, 2);
}

static void
a_write_goes_to_a_fallback_when_no_owner_can_be_reached(void **state)
{
    fixture.options.quorum = 1;
    asker_write_one(&fixture);
    for (uint32_t place = 0; place < 3; place++)
    {
        assert_false(asker_sent(&fixture, place)->write.retry);
        request_unreached(fixture.request, fixture.owners[place], ASKER_START_MS);
        asker_pump(&fixture);
    }
    assert_asked(3, 3);
    assert_false(asker_sent(&fixture, 3)->write.retry);
    asker_lose(&fixture, fixture.owners[3]);
    assert_asked(4, 4);
    assert_true(asker_sent(&fixture, 4)->write.retry);
    asker_answer_write(&fixture, 4, STATUS_OK, 1 << 4);
    asker_assert_write(&fixture, STATUS_OK);
    assert_int_equal(request_write_results(fixture.request)->asked, 31);
}

static void
a_fallback_that_is_well_coordinates_a_write_before_owners_that_are_not(void **state)
{
    static const uint32_t ORDER[] = {3, 4, 0, 1, 2};

    for (uint32_t place = 0; place < 3; place++)
        asker_avoid(&fixture, place);
    asker_write_one(&fixture);
    for (uint32_t i = 0; i < 5; i++)
    {
        assert_asked(i, ORDER[i]);
        asker_answer_write(&fixture, i, STATUS_UNAVAILABLE, 0);
    }
    asker_assert_write(&fixture, STATUS_UNAVAILABLE);
}

static void
a_node_that_keeps_no_more_hints_is_not_the_last_to_be_asked(void **state)
{
    asker_write_one(&fixture);
    asker_answer_write(&fixture, 0, STATUS_HINTS_FULL, 0);
    assert_int_equal(fixture.sent_count, 2);
    for (uint32_t i = 1; i < 5; i++)
        asker_answer_write(&fixture, i, STATUS_HINTS_FULL, 0);
    asker_assert_write(&fixture, STATUS_HINTS_FULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fallbacks_are_left_alone_while_a_quorum_of_owners_is_well),
        TEST(a_fallback_that_holds_the_key_counts_for_an_owner_that_is_down),
        TEST(not_found_of_a_fallback_is_no_evidence),
        TEST(an_owner_to_avoid_is_asked_when_the_fallbacks_lack_the_key),
        TEST(a_fallback_that_lacks_the_object_it_was_to_give_is_replaced_by_one_that_gives_it),
        TEST(owners_that_pr_asks_for_are_not_replaced_by_fallbacks),
        TEST(pr_above_r_is_how_many_must_answer),
        TEST(a_fallback_serves_for_the_answers_beyond_pr),
        TEST(fewer_owners_than_pr_are_an_error_whatever_the_fallbacks_hold),
        TEST(fallbacks_that_came_to_be_asked_do_not_make_up_for_the_owner_that_is_waited_for),
        TEST(pr_above_the_owners_is_refused),
        TEST(a_fallback_that_differs_makes_an_owner_coordinate),
        TEST(a_fallback_that_is_well_coordinates_before_an_owner_that_is_not),
        TEST(that_a_fallback_is_no_owner_is_no_reason),
        TEST(what_a_write_must_reach_travels_with_it),
        TEST(a_write_goes_to_a_fallback_when_no_owner_can_be_reached),
        TEST(a_fallback_that_is_well_coordinates_a_write_before_owners_that_are_not),
        TEST(a_node_that_keeps_no_more_hints_is_not_the_last_to_be_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
