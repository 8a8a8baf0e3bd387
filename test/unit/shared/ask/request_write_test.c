/* Quorum writes: who coordinates, when the next one is asked as a retry, and whether a refusal or
 * an unknown fate is told in the end. */
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
keys_of_one_owner_travel_in_one_frame(void **state)
{
    Slice keys[3];
    uint32_t asked[2] = {0};

    for (uint32_t i = 0; i < 3; i++)
        keys[i] = stage_key_of(&fixture.stage, i, 0);
    asker_begin_read(&fixture, keys, 3);
    for (uint32_t i = 0; i < fixture.sent_count; i++)
        asked[asker_sent(&fixture, i)->read.mode == READ_DIGEST] +=
            asker_sent(&fixture, i)->read.key_count;
    assert_int_equal(asked[0], 3);
    assert_int_equal(asked[1], 3);
    assert_true(fixture.sent_count <= 6);
}

static void
more_keys_than_one_frame_takes_are_parted(void **state)
{
    enum
    {
        KEYS = 1200
    };
    Slice *keys;
    Slice objects[KEYS] = {{0}};
    uint32_t total = 0;

    asker_set_stage(&fixture, 1, 1, 1);
    keys = ARENA_ARRAY(&fixture.stage.arena, Slice, KEYS);
    for (uint32_t i = 0; i < KEYS; i++)
        keys[i] = stage_key_of(&fixture.stage, 0, i);
    asker_begin_read(&fixture, keys, KEYS);
    for (uint32_t i = 0; i < fixture.sent_count; i++)
    {
        uint32_t count = asker_sent(&fixture, i)->read.key_count;

        assert_in_range(count, 1, 512);
        total += count;
        asker_give(&fixture, i,
                   stage_read_reply(&fixture.stage, asker_sent(&fixture, i)->frame.tag, READ_FULL,
                                    objects, count),
                   ASKER_START_MS);
    }
    assert_int_equal(fixture.sent_count, 3);
    assert_int_equal(total, KEYS);
    assert_true(request_done(fixture.request));
}

static void
large_values_are_parted_by_their_bytes(void **state)
{
    enum
    {
        ITEMS = 4,
        BYTES = 200 * 1024
    };
    WriteItem items[ITEMS];
    char *value;

    asker_set_stage(&fixture, 1, 1, 1);
    value = arena_alloc_zero(&fixture.stage.arena, BYTES + 1);
    memset(value, 'x', BYTES);
    for (uint32_t i = 0; i < ITEMS; i++)
        items[i] = stage_write(&fixture.stage, stage_key_of(&fixture.stage, 0, i),
                               stage_request(1, (uint8_t)i), value);
    asker_begin_write(&fixture, items, ITEMS);
    assert_int_equal(fixture.sent_count, 2);
    assert_int_equal(asker_sent(&fixture, 0)->write.item_count, 2);
}

/* It would be no frame that a client may send: nobody is asked. */
static void
a_write_larger_than_a_frame_is_refused_before_it_leaves(void **state)
{
    PutValue values[2] = {{.request = stage_request(1, 1)}, {.request = stage_request(1, 2)}};
    WriteItem item = {
        .key = stage_key_of(&fixture.stage, 0, 0), .values = values, .value_count = 2};
    uint8_t *half = arena_alloc(&fixture.stage.arena, MESSAGE_FRAME_MAX / 2);

    values[0].value = values[1].value = slice_make(half, MESSAGE_FRAME_MAX / 2);
    asker_begin_write(&fixture, &item, 1);
    assert_int_equal(fixture.sent_count, 0);
    asker_assert_write(&fixture, STATUS_TOO_LARGE);
}

static void
a_member_has_a_window_of_frames_under_way(void **state)
{
    enum
    {
        ITEMS = 40,
        BYTES = 300 * 1024,
        WINDOW = 4
    };
    WriteItem items[ITEMS];
    char *value;

    asker_set_stage(&fixture, 1, 1, 1);
    value = arena_alloc_zero(&fixture.stage.arena, BYTES + 1);
    memset(value, 'x', BYTES);
    for (uint32_t i = 0; i < ITEMS; i++)
        items[i] = stage_write(&fixture.stage, stage_key_of(&fixture.stage, 0, i),
                               stage_request(1, (uint8_t)i), value);
    asker_begin_write(&fixture, items, ITEMS);
    assert_int_equal(fixture.sent_count, WINDOW);
    asker_answer_write(&fixture, 3, STATUS_OK, 1);
    assert_int_equal(fixture.sent_count, WINDOW + 1);
    for (uint32_t i = 0; i < fixture.sent_count; i++)
        asker_answer_write(&fixture, i, STATUS_OK, 1);
    assert_int_equal(fixture.sent_count, ITEMS);
    assert_true(request_done(fixture.request));
}

static void
a_write_goes_to_its_first_owner(void **state)
{
    asker_write_one(&fixture);
    assert_int_equal(fixture.sent_count, 1);
    assert_int_equal(asker_sent(&fixture, 0)->member, fixture.owners[0]);
    assert_int_equal(asker_sent(&fixture, 0)->write.w, 2);
    assert_false(asker_sent(&fixture, 0)->write.retry);
    asker_answer_write(&fixture, 0, STATUS_OK, 5);
    asker_assert_write(&fixture, STATUS_OK);
    assert_int_equal(request_write_results(fixture.request)->acked, 5);
}

static void
a_write_whose_owner_is_lost_goes_on_as_a_retry(void **state)
{
    asker_write_one(&fixture);
    asker_lose(&fixture, fixture.owners[0]);
    assert_int_equal(fixture.sent_count, 2);
    assert_int_equal(asker_sent(&fixture, 1)->member, fixture.owners[1]);
    assert_true(asker_sent(&fixture, 1)->write.retry);
    assert_memory_equal(&asker_sent(&fixture, 1)->write.items[0].values[0].request,
                        &asker_sent(&fixture, 0)->write.items[0].values[0].request,
                        sizeof(RequestId));
    asker_answer_write(&fixture, 1, STATUS_OK, 6);
    asker_assert_write(&fixture, STATUS_OK);
}

static void
a_write_that_had_not_left_when_a_link_broke_is_no_retry(void **state)
{
    Stage *stage = &fixture.stage;
    WriteItem item = stage_write(stage, stage_key_of(stage, 0, 0), stage_request(1, 1), "value");

    stage_owners(stage, item.key, fixture.owners);
    fixture.request = request_write(&stage->arena, &fixture.asker, &stage->topology, stage->bucket,
                                    &fixture.options, &item, 1, ASKER_START_MS);
    asker_lose(&fixture, fixture.owners[0]);
    assert_int_equal(fixture.sent_count, 1);
    assert_int_equal(asker_sent(&fixture, 0)->member, fixture.owners[0]);
    assert_false(asker_sent(&fixture, 0)->write.retry);
}

static void
a_write_to_a_member_that_was_never_reached_is_no_retry_elsewhere(void **state)
{
    asker_write_one(&fixture);
    request_unreached(fixture.request, fixture.owners[0], ASKER_START_MS);
    assert_int_equal(asker_pump(&fixture), 1);
    assert_false(asker_sent(&fixture, 1)->write.retry);
    request_unreached(fixture.request, fixture.owners[1], ASKER_START_MS);
    asker_pump(&fixture);
    request_unreached(fixture.request, fixture.owners[2], ASKER_START_MS);
    asker_assert_write(&fixture, STATUS_UNAVAILABLE);
}

static void
a_refused_write_goes_to_the_next_owner_and_is_no_retry(void **state)
{
    asker_write_one(&fixture);
    asker_answer_error(&fixture, 0, STATUS_SHUTTING_DOWN);
    assert_int_equal(fixture.sent_count, 2);
    assert_false(asker_sent(&fixture, 1)->write.retry);
    asker_answer_write(&fixture, 1, STATUS_UNAVAILABLE, 0);
    assert_int_equal(fixture.sent_count, 3);
    assert_false(asker_sent(&fixture, 2)->write.retry);
    asker_answer_write(&fixture, 2, STATUS_UNAVAILABLE, 0);
    asker_assert_write(&fixture, STATUS_UNAVAILABLE);
}

static void
a_refused_write_says_who_refused_it_and_why(void **state)
{
    const uint8_t *refusals;

    asker_write_one(&fixture);
    for (uint32_t i = 0; i < 3; i++)
        asker_answer_error(&fixture, i, i == 1 ? STATUS_STORAGE : STATUS_SHUTTING_DOWN);
    refusals = request_write_results(fixture.request)[0].refusals;
    assert_int_equal(refusals[0], STATUS_SHUTTING_DOWN);
    assert_int_equal(refusals[1], STATUS_STORAGE);
    assert_int_equal(refusals[2], STATUS_SHUTTING_DOWN);
}

static void
a_write_that_may_be_somewhere_ends_unknown(void **state)
{
    asker_write_one(&fixture);
    asker_bury(&fixture, fixture.owners[0]);
    asker_answer_write(&fixture, 1, STATUS_UNAVAILABLE, 0);
    asker_answer_write(&fixture, 2, STATUS_UNAVAILABLE, 0);
    asker_assert_write(&fixture, STATUS_UNKNOWN);
}

static void
a_write_whose_links_all_broke_is_asked_once_more_as_a_retry(void **state)
{
    asker_write_one(&fixture);
    for (uint32_t place = 0; place < 3; place++)
        asker_lose(&fixture, fixture.owners[place]);
    assert_int_equal(fixture.sent_count, 4);
    assert_int_equal(asker_sent(&fixture, 3)->member, fixture.owners[0]);
    assert_true(asker_sent(&fixture, 3)->write.retry);
    asker_answer_write(&fixture, 3, STATUS_OK, 3);
    asker_assert_write(&fixture, STATUS_OK);
}

static void
a_node_that_says_unknown_ends_a_write_so(void **state)
{
    asker_write_one(&fixture);
    asker_answer_write(&fixture, 0, STATUS_UNKNOWN, 1);
    asker_assert_write(&fixture, STATUS_UNKNOWN);
    assert_int_equal(request_write_results(fixture.request)->acked, 1);
    assert_int_equal(fixture.sent_count, 1);
}

static void
a_write_refused_for_what_it_is_is_not_tried_elsewhere(void **state)
{
    asker_write_one(&fixture);
    asker_answer_write(&fixture, 0, STATUS_CONTEXT_EDITED, 0);
    asker_assert_write(&fixture, STATUS_CONTEXT_EDITED);
    assert_int_equal(fixture.sent_count, 1);
}

static void
a_hedged_write_that_every_owner_refuses_is_refused(void **state)
{
    asker_write_one(&fixture);
    asker_tick(&fixture, 2 * ASKER_HEDGE_MS);
    asker_answer_write(&fixture, 1, STATUS_TOO_MANY_SIBLINGS, 0);
    assert_int_equal(fixture.sent_count, 2);
    assert_false(request_done(fixture.request));
    asker_answer_write(&fixture, 0, STATUS_TOO_MANY_SIBLINGS, 0);
    asker_assert_write(&fixture, STATUS_TOO_MANY_SIBLINGS);
}

static void
a_hedged_write_is_unknown_when_one_owner_refuses_and_the_silent_one_is_lost(void **state)
{
    asker_write_one(&fixture);
    asker_tick(&fixture, 2 * ASKER_HEDGE_MS);
    asker_answer_write(&fixture, 1, STATUS_TOO_MANY_SIBLINGS, 0);
    asker_lose(&fixture, asker_sent(&fixture, 0)->member);
    asker_assert_write(&fixture, STATUS_UNKNOWN);
}

static void
a_write_of_too_many_siblings_is_refused_by_the_first_owner_for_all(void **state)
{
    asker_write_one(&fixture);
    asker_answer_write(&fixture, 0, STATUS_TOO_MANY_SIBLINGS, 0);
    assert_int_equal(fixture.sent_count, 1);
    asker_assert_write(&fixture, STATUS_TOO_MANY_SIBLINGS);
}

static void
an_owner_that_answers_another_request_is_not_silent(void **state)
{
    uint64_t due;

    asker_write_one(&fixture);
    due = request_wake_ms(fixture.request);
    fixture.asker.members[asker_sent(&fixture, 0)->member].heard_ms = due - 1;
    request_tick(fixture.request, due);
    assert_false(request_was_silent(fixture.request, asker_sent(&fixture, 0)->member));
    assert_int_equal(asker_pump(&fixture), 0);
}

static void
a_silent_owner_of_a_write_is_given_twice_the_time(void **state)
{
    asker_write_one(&fixture);
    asker_tick(&fixture, 2 * ASKER_HEDGE_MS - 1);
    assert_int_equal(fixture.sent_count, 1);
    asker_tick(&fixture, 2 * ASKER_HEDGE_MS);
    assert_int_equal(fixture.sent_count, 2);
    assert_true(asker_sent(&fixture, 1)->write.retry);
    asker_answer_write(&fixture, 0, STATUS_OK, 3);
    asker_assert_write(&fixture, STATUS_OK);
}

static void
a_hedged_write_waits_for_the_silent_owner_when_the_others_refuse(void **state)
{
    asker_write_one(&fixture);
    asker_tick(&fixture, 2 * ASKER_HEDGE_MS);
    asker_answer_write(&fixture, 1, STATUS_UNAVAILABLE, 0);
    asker_answer_write(&fixture, 2, STATUS_UNAVAILABLE, 0);
    assert_false(request_done(fixture.request));
    asker_answer_write(&fixture, 0, STATUS_OK, 3);
    asker_assert_write(&fixture, STATUS_OK);
}

static void
a_silent_owner_that_is_lost_after_all_leaves_a_write_unknown(void **state)
{
    asker_write_one(&fixture);
    asker_tick(&fixture, 2 * ASKER_HEDGE_MS);
    asker_answer_write(&fixture, 1, STATUS_UNAVAILABLE, 0);
    asker_answer_write(&fixture, 2, STATUS_UNAVAILABLE, 0);
    asker_bury(&fixture, fixture.owners[0]);
    asker_assert_write(&fixture, STATUS_UNKNOWN);
}

static void
a_write_that_is_under_way_at_its_deadline_is_unknown(void **state)
{
    asker_set_stage(&fixture, 1, 1, 1);
    asker_write_one(&fixture);
    asker_tick(&fixture, ASKER_TIMEOUT_MS);
    asker_assert_write(&fixture, STATUS_UNKNOWN);
}

/* To a cluster of one member. */
static void
begin_many_writes(uint32_t count)
{
    WriteItem *items;

    asker_set_stage(&fixture, 1, 1, 1);
    items = ARENA_ARRAY(&fixture.stage.arena, WriteItem, count);
    for (uint32_t i = 0; i < count; i++)
        items[i] = stage_write(&fixture.stage, stage_key_of(&fixture.stage, 0, i),
                               stage_request(1, (uint8_t)i), "x");
    asker_begin_write(&fixture, items, count);
}

static void
what_was_not_sent_by_its_deadline_is_refused_as_overload(void **state)
{
    enum
    {
        ITEMS = 4096,
        SENT = 4 * 512
    };
    uint32_t overloaded = 0;

    begin_many_writes(ITEMS);
    asker_tick(&fixture, ASKER_TIMEOUT_MS);
    assert_true(request_done(fixture.request));
    for (uint32_t i = 0; i < ITEMS; i++)
        overloaded += request_write_results(fixture.request)[i].status == STATUS_OVERLOADED;
    assert_int_equal(overloaded, ITEMS - SENT);
}

static void
an_overloaded_member_gets_half_as_many_keys_in_a_frame(void **state)
{
    begin_many_writes(512);
    assert_int_equal(asker_sent(&fixture, 0)->write.item_count, 512);
    asker_answer_error(&fixture, 0, STATUS_OVERLOADED);
    asker_tick(&fixture, 200);
    assert_int_equal(fixture.sent_count, 3);
    assert_int_equal(asker_sent(&fixture, 1)->write.item_count, 256);
    assert_int_equal(asker_sent(&fixture, 2)->write.item_count, 256);
}

static void
a_request_may_be_given_small_frames(void **state)
{
    fixture.options.frame_keys = 100;
    begin_many_writes(250);
    assert_int_equal(fixture.sent_count, 3);
    assert_int_equal(asker_sent(&fixture, 0)->write.item_count, 100);
}

static void
a_garbled_answer_to_a_write_leaves_it_possibly_written(void **state)
{
    Frame frame;

    asker_write_one(&fixture);
    frame = asker_write_reply(&fixture, 0, STATUS_OK, 3);
    frame.body.length--;
    asker_give(&fixture, 0, frame, ASKER_START_MS);
    assert_int_equal(asker_pump(&fixture), 1);
    assert_true(asker_sent(&fixture, 1)->write.retry);
    asker_bury(&fixture, fixture.owners[1]);
    asker_bury(&fixture, fixture.owners[2]);
    asker_assert_write(&fixture, STATUS_UNKNOWN);
}

static void
a_garbled_refusal_of_a_write_leaves_it_possibly_written(void **state)
{
    Frame frame;

    asker_write_one(&fixture);
    frame = stage_error(&fixture.stage, asker_sent(&fixture, 0)->frame.tag, STATUS_UNAVAILABLE);
    frame.body.length--;
    asker_give(&fixture, 0, frame, ASKER_START_MS);
    assert_int_equal(asker_pump(&fixture), 1);
    assert_true(asker_sent(&fixture, 1)->write.retry);
}

static void
ring_order_sorts_by_position_and_keeps_the_order_of_one_key(void **state)
{
    enum
    {
        ITEMS = 20
    };
    Stage *stage = &fixture.stage;
    WriteItem items[ITEMS];
    WriteItem *ordered;
    uint64_t before = 0;

    for (uint32_t i = 0; i < ITEMS; i++)
        items[i] = stage_write(stage, stage_key_of(stage, i % 3, i / 6),
                               stage_request(1, (uint8_t)i), "value");
    ordered = request_ring_order(&stage->arena, stage->bucket, items, ITEMS);
    for (uint32_t i = 0; i < ITEMS; i++)
    {
        uint64_t position;

        assert_true(topology_position(stage->bucket, ordered[i].key, &position));
        assert_true(position >= before);
        if (i > 0 && position == before)
            assert_true(ordered[i - 1].values[0].request.bytes[1] <
                        ordered[i].values[0].request.bytes[1]);
        before = position;
    }
}

static void
writes_to_one_owner_end_each_by_itself(void **state)
{
    WriteItem items[2];
    WriteResult results[2] = {
        {.status = STATUS_OK, .acked = 7, .siblings = 26},
        {.status = STATUS_TOO_LARGE,                   .acked = 0   }
    };
    WriteReply reply = {.items = results, .item_count = 2};
    const RequestWriteResult *ended;

    for (uint32_t i = 0; i < 2; i++)
        items[i] = stage_write(&fixture.stage, stage_key_of(&fixture.stage, 0, i),
                               stage_request(1, (uint8_t)i), "value");
    asker_begin_write(&fixture, items, 2);
    assert_int_equal(fixture.sent_count, 1);

    bool swapped = !slice_equal(asker_sent(&fixture, 0)->write.items[0].key, items[0].key);

    write_reply_encode(stage_buffer(&fixture.stage), asker_sent(&fixture, 0)->frame.tag, &reply);
    asker_give(&fixture, 0, stage_frame(&fixture.stage), ASKER_START_MS);
    ended = request_write_results(fixture.request);
    assert_true(request_done(fixture.request));
    assert_int_equal(ended[swapped].status, STATUS_OK);
    assert_int_equal(ended[swapped].siblings, 26);
    assert_int_equal(ended[!swapped].status, STATUS_TOO_LARGE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keys_of_one_owner_travel_in_one_frame),
        TEST(more_keys_than_one_frame_takes_are_parted),
        TEST(large_values_are_parted_by_their_bytes),
        TEST(a_write_larger_than_a_frame_is_refused_before_it_leaves),
        TEST(a_member_has_a_window_of_frames_under_way),
        TEST(a_write_goes_to_its_first_owner),
        TEST(a_write_whose_owner_is_lost_goes_on_as_a_retry),
        TEST(a_write_that_had_not_left_when_a_link_broke_is_no_retry),
        TEST(a_write_to_a_member_that_was_never_reached_is_no_retry_elsewhere),
        TEST(a_refused_write_goes_to_the_next_owner_and_is_no_retry),
        TEST(a_refused_write_says_who_refused_it_and_why),
        TEST(a_write_that_may_be_somewhere_ends_unknown),
        TEST(a_write_whose_links_all_broke_is_asked_once_more_as_a_retry),
        TEST(a_node_that_says_unknown_ends_a_write_so),
        TEST(a_write_refused_for_what_it_is_is_not_tried_elsewhere),
        TEST(a_hedged_write_that_every_owner_refuses_is_refused),
        TEST(a_hedged_write_is_unknown_when_one_owner_refuses_and_the_silent_one_is_lost),
        TEST(a_write_of_too_many_siblings_is_refused_by_the_first_owner_for_all),
        TEST(an_owner_that_answers_another_request_is_not_silent),
        TEST(a_silent_owner_of_a_write_is_given_twice_the_time),
        TEST(a_hedged_write_waits_for_the_silent_owner_when_the_others_refuse),
        TEST(a_silent_owner_that_is_lost_after_all_leaves_a_write_unknown),
        TEST(a_write_that_is_under_way_at_its_deadline_is_unknown),
        TEST(what_was_not_sent_by_its_deadline_is_refused_as_overload),
        TEST(an_overloaded_member_gets_half_as_many_keys_in_a_frame),
        TEST(a_request_may_be_given_small_frames),
        TEST(a_garbled_answer_to_a_write_leaves_it_possibly_written),
        TEST(a_garbled_refusal_of_a_write_leaves_it_possibly_written),
        TEST(writes_to_one_owner_end_each_by_itself),
        TEST(ring_order_sorts_by_position_and_keeps_the_order_of_one_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
