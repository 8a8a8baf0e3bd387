#include "shared/request.h"
#include "test/unit/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum
{
    START_MS = 1000,
    HEDGE_MS = 50,
    TIMEOUT_MS = 500,
    SENT_MAX = 256
};

/* A frame that the request wanted sent. */
typedef struct Sent
{
    uint32_t member;
    Frame frame;
    ReadFrame read;
    WriteFrame write;
} Sent;

typedef struct Fixture
{
    Stage stage;
    RequestTags tags;
    RequestOptions options;
    bool avoid[STAGE_MEMBERS_MAX];
    Request *request;
    Sent sent[SENT_MAX];
    uint32_t sent_count;
    uint16_t owners[STAGE_MEMBERS_MAX]; /* of the first key */
} Fixture;

static Fixture fixture;

static void
set_stage(uint32_t members, uint32_t n, uint32_t quorum)
{
    stage_free(&fixture.stage);
    stage_init(&fixture.stage, members, n);
    fixture.options.quorum = quorum;
}

static int
set_up(void **state)
{
    fixture = (Fixture){
        .options = {.quorum = 2, .timeout_ms = TIMEOUT_MS, .hedge_after_ms = HEDGE_MS}
    };
    fixture.options.avoid = fixture.avoid;
    stage_init(&fixture.stage, 3, 3);
    return 0;
}

static int
tear_down(void **state)
{
    fixture.tags = (RequestTags){0};
    if (fixture.request != NULL)
        request_end(fixture.request);
    stage_free(&fixture.stage);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* Takes every frame that the request wants sent now; returns how many. */
static uint32_t
pump(void)
{
    uint32_t before = fixture.sent_count;
    uint32_t member;
    Slice bytes;

    while (request_next_send(fixture.request, &member, &bytes))
    {
        assert_true(fixture.sent_count < SENT_MAX);

        Sent *sent = &fixture.sent[fixture.sent_count++];

        *sent = (Sent){.member = member, .frame = stage_decode(&fixture.stage, bytes)};
        if (sent->frame.type == FRAME_WRITE)
            assert_true(write_decode(&sent->frame, &fixture.stage.arena, &sent->write));
        else
            assert_true(read_decode(&sent->frame, &fixture.stage.arena, &sent->read));
    }
    return fixture.sent_count - before;
}

static void
begin_read(const Slice *keys, uint32_t count)
{
    Stage *stage = &fixture.stage;

    stage_owners(stage, keys[0], fixture.owners);
    fixture.request = request_read(
        &stage->arena, &fixture.tags, &stage->topology, stage->bucket, &fixture.options,
        arena_copy(&stage->arena, keys, sizeof(Slice) * count), count, START_MS);
    pump();
}

/* One key whose owners are members 0, then others. */
static void
read_one(void)
{
    Slice key = stage_key_of(&fixture.stage, 0, 0);

    begin_read(&key, 1);
}

static void
begin_write(const WriteItem *items, uint32_t count)
{
    Stage *stage = &fixture.stage;

    stage_owners(stage, items[0].key, fixture.owners);
    fixture.request = request_write(
        &stage->arena, &fixture.tags, &stage->topology, stage->bucket, &fixture.options,
        arena_copy(&stage->arena, items, sizeof(*items) * count), count, START_MS);
    pump();
}

static void
write_one(void)
{
    WriteItem item = stage_write(&fixture.stage, stage_key_of(&fixture.stage, 0, 0),
                                 stage_request(1, 1), "value");

    begin_write(&item, 1);
}

static const Sent *
sent(uint32_t index)
{
    assert_true(index < fixture.sent_count);
    return &fixture.sent[index];
}

static bool
give(uint32_t index, Frame frame, uint64_t now_ms)
{
    return request_answer(fixture.request, sent(index)->member, &frame, now_ms);
}

/* Answers a read frame of one key as its mode asks. */
static void
answer_object(uint32_t index, Slice object)
{
    Frame frame = stage_read_reply(&fixture.stage, sent(index)->frame.tag, sent(index)->read.mode,
                                   &object, 1);

    assert_true(give(index, frame, START_MS));
    pump();
}

static void
answer_error(uint32_t index, StatusCode status)
{
    assert_true(give(index, stage_error(&fixture.stage, sent(index)->frame.tag, status), START_MS));
    pump();
}

static Frame
write_reply(uint32_t index, StatusCode status, uint32_t acked)
{
    uint32_t count = sent(index)->write.item_count;
    WriteReply reply = {.items = ARENA_ARRAY(&fixture.stage.arena, WriteResult, count),
                        .item_count = count};

    for (uint32_t i = 0; i < count; i++)
        reply.items[i] = (WriteResult){.status = status, .acked = acked};
    write_reply_encode(stage_buffer(&fixture.stage), sent(index)->frame.tag, &reply);
    return stage_frame(&fixture.stage);
}

static void
answer_write(uint32_t index, StatusCode status, uint32_t acked)
{
    assert_true(give(index, write_reply(index, status, acked), START_MS));
    pump();
}

static void
tick(uint64_t after_ms)
{
    request_tick(fixture.request, START_MS + after_ms);
    pump();
}

static void
lose(uint32_t member)
{
    request_lost(fixture.request, member, START_MS);
    pump();
}

static void
assert_read(StatusCode status, Slice object)
{
    const RequestReadResult *result = request_read_results(fixture.request);

    assert_true(request_done(fixture.request));
    assert_int_equal(result->status, status);
    assert_true(slice_equal(result->object, object));
}

static void
assert_write(StatusCode status)
{
    assert_true(request_done(fixture.request));
    assert_int_equal(request_write_results(fixture.request)->status, status);
}

/* ---- reads ---- */

static void
a_read_asks_one_owner_for_the_object_and_the_next_for_its_digest(void **state)
{
    read_one();
    assert_int_equal(fixture.sent_count, 2);
    assert_int_equal(sent(0)->member, fixture.owners[0]);
    assert_int_equal(sent(0)->read.mode, READ_FULL);
    assert_int_equal(sent(1)->member, fixture.owners[1]);
    assert_int_equal(sent(1)->read.mode, READ_DIGEST);
    assert_int_equal(sent(0)->read.epoch, fixture.stage.topology.epoch);
    assert_int_equal(sent(0)->read.timeout_ms, TIMEOUT_MS);
    assert_false(request_done(fixture.request));
}

static void
equal_digests_end_a_read_in_one_hop(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    read_one();
    answer_object(0, object);
    assert_false(request_done(fixture.request));
    answer_object(1, object);
    assert_read(STATUS_OK, object);
    assert_int_equal(request_read_results(fixture.request)->answered, 3);
    assert_int_equal(fixture.sent_count, 2);
}

static void
the_digest_may_come_before_the_object(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    read_one();
    answer_object(1, object);
    assert_false(request_done(fixture.request));
    answer_object(0, object);
    assert_read(STATUS_OK, object);
}

static void
a_key_that_no_owner_has_reads_as_absent(void **state)
{
    read_one();
    answer_object(0, SLICE_EMPTY);
    answer_object(1, SLICE_EMPTY);
    assert_read(STATUS_OK, SLICE_EMPTY);
}

static void
one_replica_is_read_with_one_frame(void **state)
{
    Slice object;

    set_stage(1, 1, 1);
    object = stage_object(&fixture.stage, 1, 1, "apple");
    read_one();
    assert_int_equal(fixture.sent_count, 1);
    assert_int_equal(sent(0)->read.mode, READ_FULL);
    answer_object(0, object);
    assert_read(STATUS_OK, object);
}

static void
a_quorum_of_all_reads_every_owner(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    fixture.options.quorum = 3;
    read_one();
    assert_int_equal(fixture.sent_count, 3);
    answer_object(0, object);
    answer_object(2, object);
    assert_false(request_done(fixture.request));
    answer_object(1, object);
    assert_read(STATUS_OK, object);
}

static void
a_quorum_larger_than_the_owners_is_refused(void **state)
{
    set_stage(2, 2, 3);
    read_one();
    assert_int_equal(fixture.sent_count, 0);
    assert_read(STATUS_UNAVAILABLE, SLICE_EMPTY);
}

static void
no_keys_are_done_at_once(void **state)
{
    Stage *stage = &fixture.stage;

    fixture.request = request_read(&stage->arena, &fixture.tags, &stage->topology, stage->bucket,
                                   &fixture.options, NULL, 0, START_MS);
    assert_true(request_done(fixture.request));
    assert_int_equal(pump(), 0);
}

static void
a_key_of_another_type_ends_alone(void **state)
{
    Slice keys[2] = {stage_key_of(&fixture.stage, 0, 0), slice_from_string("\1\2\3")};

    begin_read(keys, 2);
    answer_object(0, SLICE_EMPTY);
    answer_object(1, SLICE_EMPTY);
    assert_read(STATUS_OK, SLICE_EMPTY);
    assert_int_equal(request_read_results(fixture.request)[1].status, STATUS_BAD_KEY);
}

static void
digests_that_differ_make_one_coordinated_read(void **state)
{
    Slice merged = stage_object(&fixture.stage, 1, 2, "pear");

    read_one();
    answer_object(0, stage_object(&fixture.stage, 1, 1, "apple"));
    answer_object(1, merged);
    assert_int_equal(fixture.sent_count, 3);
    assert_int_equal(sent(2)->read.mode, READ_COORDINATED);
    assert_int_equal(sent(2)->read.r, 2);
    answer_object(2, merged);
    assert_read(STATUS_OK, merged);
    assert_int_equal(fixture.sent_count, 3);
    assert_int_equal(request_counters(fixture.request).mismatches, 1);
}

static void
only_the_keys_that_differ_are_coordinated(void **state)
{
    set_stage(2, 2, 2);

    Slice keys[2] = {stage_key_of(&fixture.stage, 0, 0), stage_key_of(&fixture.stage, 0, 1)};
    Slice same = stage_object(&fixture.stage, 1, 1, "apple");
    Slice other = stage_object(&fixture.stage, 1, 2, "pear");
    Slice full[2] = {same, same};
    Slice digests[2];

    begin_read(keys, 2);
    assert_int_equal(sent(0)->read.key_count, 2);
    for (uint32_t i = 0; i < 2; i++)
        digests[i] = slice_equal(sent(1)->read.keys[i], keys[1]) ? other : same;
    give(0, stage_read_reply(&fixture.stage, sent(0)->frame.tag, READ_FULL, full, 2), START_MS);
    give(1, stage_read_reply(&fixture.stage, sent(1)->frame.tag, READ_DIGEST, digests, 2),
         START_MS);
    assert_int_equal(pump(), 1);
    assert_int_equal(sent(2)->read.key_count, 1);
    assert_true(slice_equal(sent(2)->read.keys[0], keys[1]));
    answer_object(2, other);
    assert_true(request_done(fixture.request));
    assert_true(slice_equal(request_read_results(fixture.request)[0].object, same));
    assert_true(slice_equal(request_read_results(fixture.request)[1].object, other));
}

static void
a_coordinated_read_that_is_refused_goes_to_every_other_owner_once(void **state)
{
    read_one();
    answer_object(0, stage_object(&fixture.stage, 1, 1, "apple"));
    answer_object(1, stage_object(&fixture.stage, 1, 2, "pear"));
    answer_error(2, STATUS_UNAVAILABLE);
    answer_error(3, STATUS_UNAVAILABLE);
    answer_error(4, STATUS_UNAVAILABLE);
    assert_read(STATUS_UNAVAILABLE, request_read_results(fixture.request)->object);
    assert_int_equal(fixture.sent_count, 5);
    assert_int_equal(1u << sent(2)->member | 1u << sent(3)->member | 1u << sent(4)->member, 7);
}

static void
a_late_digest_ends_a_read_whose_coordinated_reads_were_all_refused(void **state)
{
    read_one();
    tick(HEDGE_MS);
    assert_int_equal(fixture.sent_count, 3);
    answer_object(1, stage_object(&fixture.stage, 1, 1, "apple"));
    answer_object(2, stage_object(&fixture.stage, 1, 2, "pear"));
    for (uint32_t i = 3; i < 6; i++)
        answer_error(i, STATUS_UNAVAILABLE);
    assert_false(request_done(fixture.request));
    answer_object(0, stage_object(&fixture.stage, 1, 1, "apple"));
    assert_true(request_done(fixture.request));
    assert_int_equal(request_read_results(fixture.request)->status, STATUS_UNAVAILABLE);
}

static void
a_lost_owner_is_replaced_by_the_next(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    read_one();
    lose(fixture.owners[0]);
    assert_int_equal(fixture.sent_count, 3);
    assert_int_equal(sent(2)->member, fixture.owners[2]);
    assert_int_equal(sent(2)->read.mode, READ_FULL);
    answer_object(1, object);
    answer_object(2, object);
    assert_read(STATUS_OK, object);
    assert_int_equal(request_read_results(fixture.request)->answered, 6);
    assert_int_equal(request_counters(fixture.request).failovers, 1);
}

static void
two_lost_owners_leave_no_quorum(void **state)
{
    read_one();
    lose(fixture.owners[1]);
    lose(fixture.owners[2]);
    assert_false(request_done(fixture.request));
    answer_object(0, stage_object(&fixture.stage, 1, 1, "apple"));
    assert_int_equal(request_read_results(fixture.request)->status, STATUS_UNAVAILABLE);
    assert_true(request_done(fixture.request));
}

static void
an_owner_that_is_behind_is_replaced_and_its_reason_told_when_nobody_is_left(void **state)
{
    read_one();
    answer_error(0, STATUS_BEHIND);
    assert_int_equal(fixture.sent_count, 3);
    answer_error(1, STATUS_BEHIND);
    answer_error(2, STATUS_BEHIND);
    assert_true(request_done(fixture.request));
    assert_int_equal(request_read_results(fixture.request)->status, STATUS_BEHIND);
}

static void
an_answer_that_no_other_owner_would_change_ends_a_read(void **state)
{
    read_one();
    answer_error(0, STATUS_TOO_LARGE);
    assert_read(STATUS_TOO_LARGE, SLICE_EMPTY);
    assert_int_equal(fixture.sent_count, 2);
}

static void
a_key_that_one_owner_cannot_read_is_asked_of_the_next(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    ReadItem item = {.status = STATUS_CORRUPT};
    ReadReply reply = {.mode = READ_FULL, .items = &item, .item_count = 1};

    read_one();
    read_reply_encode(stage_buffer(&fixture.stage), sent(0)->frame.tag, &reply);
    give(0, stage_frame(&fixture.stage), START_MS);
    assert_int_equal(pump(), 1);
    answer_object(1, object);
    answer_object(2, object);
    assert_read(STATUS_OK, object);
}

static void
two_digests_without_an_object_are_followed_by_a_coordinated_read(void **state)
{
    Slice object;

    set_stage(4, 4, 2);
    object = stage_object(&fixture.stage, 1, 1, "apple");
    read_one();
    tick(HEDGE_MS);
    assert_int_equal(fixture.sent_count, 4);
    assert_int_equal(sent(2)->read.mode, READ_FULL);
    assert_int_equal(sent(3)->read.mode, READ_DIGEST);
    answer_object(1, object);
    answer_object(3, object);
    lose(fixture.owners[0]);
    assert_false(request_done(fixture.request));
    lose(fixture.owners[2]);
    assert_int_equal(sent(4)->read.mode, READ_COORDINATED);
    answer_object(4, object);
    assert_read(STATUS_OK, object);
}

static void
a_silent_owner_is_hedged_by_the_next_and_the_first_answers_win(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    read_one();
    answer_object(1, object);
    assert_int_equal(request_wake_ms(fixture.request), START_MS + HEDGE_MS);
    tick(HEDGE_MS - 1);
    assert_int_equal(fixture.sent_count, 2);
    tick(HEDGE_MS);
    assert_int_equal(fixture.sent_count, 3);
    assert_int_equal(sent(2)->read.mode, READ_FULL);
    assert_true(request_was_silent(fixture.request, fixture.owners[0]));
    assert_true(request_waits_for(fixture.request, fixture.owners[0]));
    answer_object(2, object);
    assert_read(STATUS_OK, object);
    assert_int_equal(request_counters(fixture.request).hedges, 1);
}

static void
the_late_answer_of_a_hedged_owner_counts(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    read_one();
    answer_object(1, object);
    tick(HEDGE_MS);
    answer_object(0, object);
    assert_read(STATUS_OK, object);
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

    set_stage(1, 1, 1);
    for (uint32_t i = 0; i < KEYS; i++)
        keys[i] = stage_key_of(&fixture.stage, 0, i);
    begin_read(keys, KEYS);
    assert_int_equal(fixture.sent_count, 2);
    give(0, stage_read_reply(&fixture.stage, sent(0)->frame.tag, READ_FULL, objects, first),
         START_MS + HEDGE_MS - 1);
    tick(HEDGE_MS);
    assert_false(request_was_silent(fixture.request, 0));
    assert_int_equal(request_wake_ms(fixture.request), START_MS + 2 * HEDGE_MS - 1);
}

static void
avoided_members_are_asked_last(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    fixture.avoid[0] = true;
    read_one();
    assert_int_equal(sent(0)->member, fixture.owners[1]);
    assert_int_equal(sent(1)->member, fixture.owners[2]);
    lose(fixture.owners[1]);
    assert_int_equal(sent(2)->member, fixture.owners[0]);
    answer_object(1, object);
    answer_object(2, object);
    assert_read(STATUS_OK, object);
}

static void
a_read_without_enough_answers_is_unavailable_at_its_deadline(void **state)
{
    read_one();
    answer_object(0, stage_object(&fixture.stage, 1, 1, "apple"));
    tick(TIMEOUT_MS - 1);
    assert_false(request_done(fixture.request));
    tick(TIMEOUT_MS);
    assert_true(request_done(fixture.request));
    assert_int_equal(request_read_results(fixture.request)->status, STATUS_UNAVAILABLE);
}

static void
a_duplicate_answer_counts_once(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    read_one();
    answer_object(0, object);
    answer_object(0, object);
    assert_false(request_done(fixture.request));
    answer_object(1, object);
    assert_read(STATUS_OK, object);
}

static void
an_answer_after_the_end_changes_nothing(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    read_one();
    answer_object(1, object);
    tick(HEDGE_MS);
    answer_object(2, object);
    answer_object(0, stage_object(&fixture.stage, 1, 2, "pear"));
    assert_read(STATUS_OK, object);
    assert_int_equal(fixture.sent_count, 3);
}

static void
an_answer_of_a_foreign_tag_or_of_another_member_is_not_taken(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    Frame foreign;
    Frame swapped;

    read_one();
    foreign = stage_read_reply(&fixture.stage, 4711, READ_FULL, &object, 1);
    assert_false(request_answer(fixture.request, sent(0)->member, &foreign, START_MS));
    swapped = stage_read_reply(&fixture.stage, sent(0)->frame.tag, READ_FULL, &object, 1);
    assert_false(request_answer(fixture.request, sent(1)->member, &swapped, START_MS));
    assert_false(request_done(fixture.request));
}

static void
two_requests_of_one_asker_never_share_a_tag(void **state)
{
    read_one();
    request_end(fixture.request);
    read_one();
    for (uint32_t i = 0; i < fixture.sent_count; i++)
    {
        for (uint32_t j = 0; j < i; j++)
            assert_int_not_equal(sent(i)->frame.tag, sent(j)->frame.tag);
    }
}

static void
a_malformed_answer_is_as_good_as_none(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    Frame frame;

    read_one();
    frame = stage_read_reply(&fixture.stage, sent(0)->frame.tag, READ_FULL, &object, 1);
    frame.body.length--;
    assert_true(give(0, frame, START_MS));
    assert_int_equal(pump(), 1);
    assert_int_equal(sent(2)->read.mode, READ_FULL);
    answer_object(1, object);
    answer_object(2, object);
    assert_read(STATUS_OK, object);
}

static void
an_answer_of_another_count_mode_or_type_is_as_good_as_none(void **state)
{
    Slice objects[2] = {stage_object(&fixture.stage, 1, 1, "apple"), SLICE_EMPTY};

    read_one();
    give(0, stage_read_reply(&fixture.stage, sent(0)->frame.tag, READ_FULL, objects, 2), START_MS);
    assert_int_equal(pump(), 1);
    give(1, stage_read_reply(&fixture.stage, sent(1)->frame.tag, READ_FULL, objects, 1), START_MS);
    node_status_fetch_encode(stage_buffer(&fixture.stage), sent(2)->frame.tag);
    give(2, stage_frame(&fixture.stage), START_MS);
    assert_int_equal(pump(), 0);
    assert_true(request_done(fixture.request));
    assert_int_equal(request_read_results(fixture.request)->status, STATUS_BAD_FRAME);
}

static void
sealed_contexts_are_asked_for_with_full_objects_only(void **state)
{
    fixture.options.seal = true;
    read_one();
    assert_true(sent(0)->read.seal);
    assert_false(sent(1)->read.seal);
}

static void
keys_of_one_owner_travel_in_one_frame(void **state)
{
    Slice keys[3];
    uint32_t asked[2] = {0};

    for (uint32_t i = 0; i < 3; i++)
        keys[i] = stage_key_of(&fixture.stage, i, 0);
    begin_read(keys, 3);
    for (uint32_t i = 0; i < fixture.sent_count; i++)
        asked[sent(i)->read.mode == READ_DIGEST] += sent(i)->read.key_count;
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

    set_stage(1, 1, 1);
    keys = ARENA_ARRAY(&fixture.stage.arena, Slice, KEYS);
    for (uint32_t i = 0; i < KEYS; i++)
        keys[i] = stage_key_of(&fixture.stage, 0, i);
    begin_read(keys, KEYS);
    for (uint32_t i = 0; i < fixture.sent_count; i++)
    {
        uint32_t count = sent(i)->read.key_count;

        assert_in_range(count, 1, 512);
        total += count;
        give(i, stage_read_reply(&fixture.stage, sent(i)->frame.tag, READ_FULL, objects, count),
             START_MS);
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

    set_stage(1, 1, 1);
    value = arena_alloc_zero(&fixture.stage.arena, BYTES + 1);
    memset(value, 'x', BYTES);
    for (uint32_t i = 0; i < ITEMS; i++)
        items[i] = stage_write(&fixture.stage, stage_key_of(&fixture.stage, 0, i),
                               stage_request(1, (uint8_t)i), value);
    begin_write(items, ITEMS);
    assert_int_equal(fixture.sent_count, 2);
    assert_int_equal(sent(0)->write.item_count, 2);
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

    set_stage(1, 1, 1);
    value = arena_alloc_zero(&fixture.stage.arena, BYTES + 1);
    memset(value, 'x', BYTES);
    for (uint32_t i = 0; i < ITEMS; i++)
        items[i] = stage_write(&fixture.stage, stage_key_of(&fixture.stage, 0, i),
                               stage_request(1, (uint8_t)i), value);
    begin_write(items, ITEMS);
    assert_int_equal(fixture.sent_count, WINDOW);
    answer_write(3, STATUS_OK, 1);
    assert_int_equal(fixture.sent_count, WINDOW + 1);
    for (uint32_t i = 0; i < fixture.sent_count; i++)
        answer_write(i, STATUS_OK, 1);
    assert_int_equal(fixture.sent_count, ITEMS);
    assert_true(request_done(fixture.request));
}

/* ---- writes ---- */

static void
a_write_goes_to_its_first_owner(void **state)
{
    write_one();
    assert_int_equal(fixture.sent_count, 1);
    assert_int_equal(sent(0)->member, fixture.owners[0]);
    assert_int_equal(sent(0)->write.w, 2);
    assert_false(sent(0)->write.retry);
    answer_write(0, STATUS_OK, 5);
    assert_write(STATUS_OK);
    assert_int_equal(request_write_results(fixture.request)->acked, 5);
}

static void
a_write_whose_owner_is_lost_goes_on_as_a_retry(void **state)
{
    write_one();
    lose(fixture.owners[0]);
    assert_int_equal(fixture.sent_count, 2);
    assert_int_equal(sent(1)->member, fixture.owners[1]);
    assert_true(sent(1)->write.retry);
    assert_memory_equal(&sent(1)->write.items[0].values[0].request,
                        &sent(0)->write.items[0].values[0].request, sizeof(RequestId));
    answer_write(1, STATUS_OK, 6);
    assert_write(STATUS_OK);
}

static void
a_write_that_never_left_is_no_retry_elsewhere(void **state)
{
    Stage *stage = &fixture.stage;
    WriteItem item = stage_write(stage, stage_key_of(stage, 0, 0), stage_request(1, 1), "value");

    stage_owners(stage, item.key, fixture.owners);
    fixture.request = request_write(&stage->arena, &fixture.tags, &stage->topology, stage->bucket,
                                    &fixture.options, &item, 1, START_MS);
    lose(fixture.owners[0]);
    assert_int_equal(fixture.sent_count, 1);
    assert_int_equal(sent(0)->member, fixture.owners[1]);
    assert_false(sent(0)->write.retry);
}

static void
a_write_to_a_member_that_was_never_reached_is_no_retry_elsewhere(void **state)
{
    write_one();
    request_unreached(fixture.request, fixture.owners[0], START_MS);
    assert_int_equal(pump(), 1);
    assert_false(sent(1)->write.retry);
    request_unreached(fixture.request, fixture.owners[1], START_MS);
    pump();
    request_unreached(fixture.request, fixture.owners[2], START_MS);
    assert_write(STATUS_UNAVAILABLE);
}

static void
a_refused_write_goes_to_the_next_owner_and_is_no_retry(void **state)
{
    write_one();
    answer_error(0, STATUS_SHUTTING_DOWN);
    assert_int_equal(fixture.sent_count, 2);
    assert_false(sent(1)->write.retry);
    answer_write(1, STATUS_UNAVAILABLE, 0);
    assert_int_equal(fixture.sent_count, 3);
    assert_false(sent(2)->write.retry);
    answer_write(2, STATUS_UNAVAILABLE, 0);
    assert_write(STATUS_UNAVAILABLE);
}

static void
a_write_that_may_be_somewhere_ends_unknown(void **state)
{
    write_one();
    lose(fixture.owners[0]);
    answer_write(1, STATUS_UNAVAILABLE, 0);
    answer_write(2, STATUS_UNAVAILABLE, 0);
    assert_write(STATUS_UNKNOWN);
}

static void
a_node_that_says_unknown_ends_a_write_so(void **state)
{
    write_one();
    answer_write(0, STATUS_UNKNOWN, 1);
    assert_write(STATUS_UNKNOWN);
    assert_int_equal(request_write_results(fixture.request)->acked, 1);
    assert_int_equal(fixture.sent_count, 1);
}

static void
a_write_refused_for_what_it_is_is_not_tried_elsewhere(void **state)
{
    write_one();
    answer_write(0, STATUS_BAD_CONTEXT, 0);
    assert_write(STATUS_BAD_CONTEXT);
    assert_int_equal(fixture.sent_count, 1);
}

static void
an_owner_that_answers_another_request_is_not_silent(void **state)
{
    uint64_t due;

    write_one();
    due = request_wake_ms(fixture.request);
    fixture.tags.heard_ms[sent(0)->member] = due - 1;
    request_tick(fixture.request, due);
    assert_false(request_was_silent(fixture.request, sent(0)->member));
    assert_int_equal(pump(), 0);
}

static void
a_silent_owner_of_a_write_is_given_twice_the_time(void **state)
{
    write_one();
    tick(2 * HEDGE_MS - 1);
    assert_int_equal(fixture.sent_count, 1);
    tick(2 * HEDGE_MS);
    assert_int_equal(fixture.sent_count, 2);
    assert_true(sent(1)->write.retry);
    answer_write(0, STATUS_OK, 3);
    assert_write(STATUS_OK);
}

static void
a_hedged_write_waits_for_the_silent_owner_when_the_others_refuse(void **state)
{
    write_one();
    tick(2 * HEDGE_MS);
    answer_write(1, STATUS_UNAVAILABLE, 0);
    answer_write(2, STATUS_UNAVAILABLE, 0);
    assert_false(request_done(fixture.request));
    answer_write(0, STATUS_OK, 3);
    assert_write(STATUS_OK);
}

static void
a_silent_owner_that_is_lost_after_all_leaves_a_write_unknown(void **state)
{
    write_one();
    tick(2 * HEDGE_MS);
    answer_write(1, STATUS_UNAVAILABLE, 0);
    answer_write(2, STATUS_UNAVAILABLE, 0);
    lose(fixture.owners[0]);
    assert_write(STATUS_UNKNOWN);
}

static void
a_write_that_is_under_way_at_its_deadline_is_unknown(void **state)
{
    set_stage(1, 1, 1);
    write_one();
    tick(TIMEOUT_MS);
    assert_write(STATUS_UNKNOWN);
}

static void
a_garbled_answer_to_a_write_leaves_it_possibly_written(void **state)
{
    Frame frame;

    write_one();
    frame = write_reply(0, STATUS_OK, 3);
    frame.body.length--;
    give(0, frame, START_MS);
    assert_int_equal(pump(), 1);
    assert_true(sent(1)->write.retry);
    lose(fixture.owners[1]);
    lose(fixture.owners[2]);
    assert_write(STATUS_UNKNOWN);
}

static void
a_garbled_refusal_of_a_write_leaves_it_possibly_written(void **state)
{
    Frame frame;

    write_one();
    frame = stage_error(&fixture.stage, sent(0)->frame.tag, STATUS_UNAVAILABLE);
    frame.body.length--;
    give(0, frame, START_MS);
    assert_int_equal(pump(), 1);
    assert_true(sent(1)->write.retry);
}

static void
writes_to_one_owner_end_each_by_itself(void **state)
{
    WriteItem items[2];
    WriteResult results[2] = {
        {.status = STATUS_OK,        .acked = 7},
        {.status = STATUS_TOO_LARGE, .acked = 0}
    };
    WriteReply reply = {.items = results, .item_count = 2};
    const RequestWriteResult *ended;

    for (uint32_t i = 0; i < 2; i++)
        items[i] = stage_write(&fixture.stage, stage_key_of(&fixture.stage, 0, i),
                               stage_request(1, (uint8_t)i), "value");
    begin_write(items, 2);
    assert_int_equal(fixture.sent_count, 1);

    bool swapped = !slice_equal(sent(0)->write.items[0].key, items[0].key);

    write_reply_encode(stage_buffer(&fixture.stage), sent(0)->frame.tag, &reply);
    give(0, stage_frame(&fixture.stage), START_MS);
    ended = request_write_results(fixture.request);
    assert_true(request_done(fixture.request));
    assert_int_equal(ended[swapped].status, STATUS_OK);
    assert_int_equal(ended[!swapped].status, STATUS_TOO_LARGE);
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
        TEST(an_owner_that_is_behind_is_replaced_and_its_reason_told_when_nobody_is_left),
        TEST(an_answer_that_no_other_owner_would_change_ends_a_read),
        TEST(a_key_that_one_owner_cannot_read_is_asked_of_the_next),
        TEST(two_digests_without_an_object_are_followed_by_a_coordinated_read),
        TEST(a_silent_owner_is_hedged_by_the_next_and_the_first_answers_win),
        TEST(the_late_answer_of_a_hedged_owner_counts),
        TEST(silence_is_counted_from_the_last_answer_of_the_owner),
        TEST(avoided_members_are_asked_last),
        TEST(a_read_without_enough_answers_is_unavailable_at_its_deadline),
        TEST(a_duplicate_answer_counts_once),
        TEST(an_answer_after_the_end_changes_nothing),
        TEST(an_answer_of_a_foreign_tag_or_of_another_member_is_not_taken),
        TEST(two_requests_of_one_asker_never_share_a_tag),
        TEST(a_malformed_answer_is_as_good_as_none),
        TEST(an_answer_of_another_count_mode_or_type_is_as_good_as_none),
        TEST(sealed_contexts_are_asked_for_with_full_objects_only),
        TEST(keys_of_one_owner_travel_in_one_frame),
        TEST(more_keys_than_one_frame_takes_are_parted),
        TEST(large_values_are_parted_by_their_bytes),
        TEST(a_member_has_a_window_of_frames_under_way),
        TEST(a_write_goes_to_its_first_owner),
        TEST(a_write_whose_owner_is_lost_goes_on_as_a_retry),
        TEST(a_write_that_never_left_is_no_retry_elsewhere),
        TEST(a_write_to_a_member_that_was_never_reached_is_no_retry_elsewhere),
        TEST(a_refused_write_goes_to_the_next_owner_and_is_no_retry),
        TEST(a_write_that_may_be_somewhere_ends_unknown),
        TEST(a_node_that_says_unknown_ends_a_write_so),
        TEST(a_write_refused_for_what_it_is_is_not_tried_elsewhere),
        TEST(an_owner_that_answers_another_request_is_not_silent),
        TEST(a_silent_owner_of_a_write_is_given_twice_the_time),
        TEST(a_hedged_write_waits_for_the_silent_owner_when_the_others_refuse),
        TEST(a_silent_owner_that_is_lost_after_all_leaves_a_write_unknown),
        TEST(a_write_that_is_under_way_at_its_deadline_is_unknown),
        TEST(a_garbled_answer_to_a_write_leaves_it_possibly_written),
        TEST(a_garbled_refusal_of_a_write_leaves_it_possibly_written),
        TEST(writes_to_one_owner_end_each_by_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
