#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/stages/conductor.h"

#include <string.h>

enum
{
    MEMBERS = 5,
    N = 3,
    LATE_MS = 2000
};

static Conductor fixture;
static uint16_t
    list[MEMBERS]; /* the key's preference list: member 0 first, behind 2 the fallbacks */

static void
find_list(void)
{
    uint64_t position;

    assert_true(topology_position(fixture.stage.bucket, fixture.key, &position));
    assert_int_equal(topology_preference(&fixture.stage.topology, position, list, MEMBERS),
                     fixture.stage.topology.member_count);
}

static int
set_up(void **state)
{
    (void)state;
    conductor_init(&fixture);
    conductor_set_stage(&fixture, MEMBERS, N);
    find_list();
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    conductor_free(&fixture);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void
write_with(uint32_t w, uint32_t pw, uint32_t confirms)
{
    WriteItem item = stage_write(&fixture.stage, fixture.key, stage_request(1, 1), "apple");
    WriteFrame write = {.epoch = fixture.stage.topology.epoch,
                        .bucket_id = STAGE_BUCKET,
                        .w = w,
                        .pw = pw,
                        .confirms = confirms,
                        .timeout_ms = CONDUCTOR_TIMEOUT_MS,
                        .clock_ms = fixture.stage.view.now_ms,
                        .alone_ms = CONDUCTOR_TIMEOUT_MS,
                        .items = &item,
                        .item_count = 1};

    conductor_give_write(&fixture, &write);
}

static uint64_t
spread_with(uint32_t w, uint32_t pw, uint32_t confirms)
{
    uint64_t ref;

    write_with(w, pw, confirms);
    ref = conductor_apply_ref(&fixture, 0);
    conductor_merged(&fixture, ref, STATUS_OK, stage_object(&fixture.stage, 1, 1, "apple"));
    return ref;
}

static void
assert_is_member(const MemberId *id, uint32_t member)
{
    assert_memory_equal(id, &fixture.stage.topology.members[member].id, sizeof(MemberId));
}

static void
assert_keeps_for(uint32_t fallback, uint32_t owner)
{
    ReplicateFrame frame = conductor_replicated_to(&fixture, fallback);

    assert_int_equal(frame.item_count, 1);
    assert_true(frame.items[0].is_hinted);
    assert_is_member(&frame.items[0].hint_for, owner);
}

/* The step's last apply is of one hint. */
static const HintChange *
hint_applied(bool drop, uint32_t target)
{
    uint32_t count = stage_count(&fixture.stage, ACTION_APPLY);
    const Update *update = stage_action(&fixture.stage, ACTION_APPLY, count - 1)->update;

    assert_int_equal(update->hint_count, 1);
    assert_int_equal(update->hints[0].drop, drop);
    assert_is_member(&update->hints[0].target, target);
    return &update->hints[0];
}

static void
a_fallback_stands_in_for_an_owner_that_is_down_and_keeps_a_hint(void **state)
{
    uint64_t ref;

    fixture.stage.up[list[1]] = false;
    ref = spread_with(3, 0, 0);
    assert_keeps_for(list[3], list[1]);
    assert_false(conductor_replicated_to(&fixture, list[2]).items[0].is_hinted);
    assert_true(stage_sent_nothing_to(&fixture.stage, list[4]));
    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_acknowledge(&fixture, list[2], ref, STATUS_OK);
    conductor_assert_unanswered(&fixture);
    conductor_acknowledge(&fixture, list[3], ref, STATUS_OK);
    conductor_assert_write(&fixture, STATUS_OK);
    assert_int_equal(conductor_answered_write(&fixture, 0).acked, 1 | 4 | 8);
    assert_int_equal(coordinator_load(fixture.coordinator), 0);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
}

/* All partitions move: the member at that place of the list goes, and the first fallback comes. */
static void
begin_move(uint32_t place, TopologyStep step)
{
    Topology *topology = &fixture.stage.topology;
    Topology moved = *topology;
    Buffer document;

    moved.target = ARENA_ARRAY(&fixture.stage.arena, uint16_t, STAGE_PARTITIONS);
    moved.steps = ARENA_ARRAY(&fixture.stage.arena, uint8_t, STAGE_PARTITIONS);
    for (uint32_t i = 0; i < STAGE_PARTITIONS; i++)
    {
        uint16_t claimed = topology->claim[i];

        moved.steps[i] = (uint8_t)step;
        moved.target[i] = claimed;
        if (claimed == list[place] || claimed == list[N])
            moved.target[i] = claimed == list[N] ? list[place] : list[N];
        moved.changed[i] = 1;
    }
    buffer_init(&document, &MEMORY_HEAP);
    topology_encode(&document, &moved);
    assert_true(topology_decode(slice_copy(&fixture.stage.arena, buffer_slice(&document)),
                                &fixture.stage.arena, topology));
    buffer_free(&document);
    fixture.stage.bucket = &topology->buckets[0];
}

/* Its acknowledgement is not one of the three that are asked for, and the one that goes owes one.
 */
static void
who_is_to_own_the_key_is_sent_it_and_counts_for_nothing(void **state)
{
    ReplicateFrame replicate;
    uint64_t ref;
    Frame frame;

    begin_move(2, TOPOLOGY_FILLING);
    ref = spread_with(3, 0, 0);
    frame = stage_sent_to(&fixture.stage, list[3]);
    assert_true(replicate_decode(&frame, &fixture.stage.arena, &replicate));
    assert_false(replicate.items[0].is_hinted);
    assert_false(stage_sent_nothing_to(&fixture.stage, list[2]));
    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_acknowledge(&fixture, list[1], ref, STATUS_OK);
    conductor_acknowledge(&fixture, list[3], replicate.items[0].ref, STATUS_OK);
    conductor_assert_unanswered(&fixture);
    conductor_acknowledge(&fixture, list[2], ref, STATUS_OK);
    conductor_assert_write(&fixture, STATUS_OK);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
}

/* It is owed nothing: it will be filled. */
static void
who_is_to_own_the_key_and_is_down_gets_no_hint(void **state)
{
    uint64_t ref;

    begin_move(2, TOPOLOGY_FILLING);
    fixture.stage.up[list[3]] = false;
    ref = spread_with(3, 0, 0);
    assert_true(stage_sent_nothing_to(&fixture.stage, list[3]));
    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_acknowledge(&fixture, list[1], ref, STATUS_OK);
    conductor_acknowledge(&fixture, list[2], ref, STATUS_OK);
    conductor_assert_write(&fixture, STATUS_OK);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
    assert_int_equal(coordinator_load(fixture.coordinator), 0);
}

/* From then on the owners of the claim that is left are sent nothing. */
static void
when_the_new_owners_count_the_old_one_is_sent_nothing(void **state)
{
    uint64_t ref;

    begin_move(2, TOPOLOGY_HANDING);
    ref = spread_with(3, 0, 0);
    assert_true(stage_sent_nothing_to(&fixture.stage, list[2]));
    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_acknowledge(&fixture, list[1], ref, STATUS_OK);
    conductor_assert_unanswered(&fixture);
    conductor_acknowledge(&fixture, list[3], ref, STATUS_OK);
    conductor_assert_write(&fixture, STATUS_OK);
}

/* The move begins with epoch 3, after the write was placed. */
static void
learn_of_move(TopologyStep step)
{
    begin_move(2, step);
    fixture.stage.topology.epoch = 3;
    for (uint32_t i = 0; i < STAGE_PARTITIONS; i++)
        fixture.stage.topology.changed[i] = 3;
    stage_clear(&fixture.stage);
    conductor_tick(&fixture, 30);
}

static void
a_write_under_way_when_the_filling_begins_is_placed_anew(void **state)
{
    uint64_t ref = spread_with(3, 0, 0);

    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_acknowledge(&fixture, list[1], ref, STATUS_MOVED);
    conductor_tick(&fixture, 10);
    conductor_assert_unanswered(&fixture);
    assert_int_equal(stage_count(&fixture.stage, ACTION_SEND), 0);
    learn_of_move(TOPOLOGY_FILLING);
    for (uint32_t place = 1; place <= N; place++)
        assert_int_equal(conductor_replicated_to(&fixture, list[place]).items[0].placed, 3);
    conductor_acknowledge(&fixture, list[2], ref, STATUS_MOVED);
    conductor_acknowledge(&fixture, list[2], ref, STATUS_OK);
    conductor_assert_unanswered(&fixture);
    conductor_acknowledge(&fixture, list[1], ref, STATUS_OK);
    conductor_assert_write(&fixture, STATUS_OK);
    assert_int_equal(coordinator_load(fixture.coordinator), 0);
}

/* What the owners of before acknowledged is not made up for by those of today. */
static void
a_write_whose_owners_are_others_now_is_not_placed_anew(void **state)
{
    uint64_t ref = spread_with(3, 0, 0);

    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_acknowledge(&fixture, list[1], ref, STATUS_OK);
    conductor_acknowledge(&fixture, list[2], ref, STATUS_MOVED);
    conductor_assert_unanswered(&fixture);
    learn_of_move(TOPOLOGY_HANDING);
    assert_true(stage_sent_nothing_to(&fixture.stage, list[1]));
    assert_true(stage_sent_nothing_to(&fixture.stage, list[2]));
}

static void
without_a_fallback_the_hint_is_written_with_the_object(void **state)
{
    const Update *update;

    conductor_set_stage(&fixture, N, N);
    find_list();
    fixture.stage.up[list[2]] = false;
    write_with(2, 0, 0);
    update = stage_action(&fixture.stage, ACTION_APPLY, 0)->update;
    assert_non_null(update->put);
    assert_int_equal(update->hint_count, 1);
    assert_false(update->unowned);
    assert_is_member(&update->hints[0].target, list[2]);
}

static void
an_owner_that_stays_silent_gets_a_hint_here(void **state)
{
    uint64_t ref = spread_with(2, 0, 0);

    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_acknowledge(&fixture, list[1], ref, STATUS_OK);
    conductor_assert_write(&fixture, STATUS_OK);
    assert_int_equal(coordinator_load(fixture.coordinator), 1);
    conductor_tick(&fixture, 100);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
    conductor_tick(&fixture, LATE_MS);
    hint_applied(false, list[2]);
    assert_int_equal(coordinator_load(fixture.coordinator), 0);
}

static void
who_keeps_all_the_hints_it_may_marks_who_has_missed_something(void **state)
{
    uint64_t ref;

    fixture.stage.hints.bytes = fixture.stage.view.hints_max_bytes;
    ref = spread_with(2, 0, 0);
    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_acknowledge(&fixture, list[1], ref, STATUS_OK);
    assert_false(coordinator_take_missed(fixture.coordinator, list[2]));
    conductor_tick(&fixture, LATE_MS);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
    assert_int_equal(coordinator_load(fixture.coordinator), 0);
    assert_int_equal(coordinator_counters(fixture.coordinator).hints_refused, 1);
    assert_false(coordinator_take_missed(fixture.coordinator, list[1]));
    assert_true(coordinator_take_missed(fixture.coordinator, list[2]));
    assert_false(coordinator_take_missed(fixture.coordinator, list[2]));
}

static void
an_owner_that_acknowledges_late_needs_no_hint(void **state)
{
    uint64_t ref = spread_with(2, 0, 0);

    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_acknowledge(&fixture, list[1], ref, STATUS_OK);
    conductor_acknowledge(&fixture, list[2], ref, STATUS_OK);
    assert_int_equal(coordinator_load(fixture.coordinator), 0);
    conductor_tick(&fixture, LATE_MS);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
}

static void
an_owner_that_goes_down_under_way_gets_a_stand_in(void **state)
{
    uint64_t ref = spread_with(3, 0, 0);

    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_member_down(&fixture, list[1]);
    coordinator_flush(fixture.coordinator, &fixture.stage.view);
    assert_keeps_for(list[3], list[1]);
    conductor_acknowledge(&fixture, list[3], ref, STATUS_OK);
    conductor_acknowledge(&fixture, list[2], ref, STATUS_OK);
    conductor_assert_write(&fixture, STATUS_OK);
}

static void
a_stand_in_that_refuses_is_replaced_by_the_next(void **state)
{
    uint64_t ref;

    fixture.stage.up[list[1]] = false;
    ref = spread_with(3, 0, 0);
    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_acknowledge(&fixture, list[3], ref, STATUS_HINTS_FULL);
    assert_keeps_for(list[4], list[1]);
    conductor_acknowledge(&fixture, list[2], ref, STATUS_OK);
    conductor_acknowledge(&fixture, list[4], ref, STATUS_OK);
    conductor_assert_write(&fixture, STATUS_OK);
}

static void
when_no_stand_in_is_left_the_hint_is_kept_here_and_the_write_is_unknown(void **state)
{
    uint64_t ref;

    fixture.stage.up[list[1]] = fixture.stage.up[list[4]] = false;
    ref = spread_with(3, 0, 0);
    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_acknowledge(&fixture, list[2], ref, STATUS_OK);
    conductor_acknowledge(&fixture, list[3], ref, STATUS_HINTS_FULL);
    conductor_assert_write(&fixture, STATUS_UNKNOWN);
    hint_applied(false, list[1]);
}

static void
an_owner_and_its_stand_in_count_once(void **state)
{
    uint64_t ref = spread_with(2, 0, 0);

    conductor_member_down(&fixture, list[1]);
    coordinator_flush(fixture.coordinator, &fixture.stage.view);
    conductor_acknowledge(&fixture, list[3], ref, STATUS_OK);
    conductor_acknowledge(&fixture, list[1], ref, STATUS_OK);
    conductor_assert_unanswered(&fixture);
    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_assert_write(&fixture, STATUS_OK);
}

static void
pw_counts_owners_only(void **state)
{
    fixture.stage.up[list[1]] = false;
    write_with(3, 3, 0);
    conductor_assert_write(&fixture, STATUS_UNAVAILABLE);

    uint64_t ref = spread_with(3, 2, 0);

    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_acknowledge(&fixture, list[3], ref, STATUS_OK);
    conductor_assert_unanswered(&fixture);
    conductor_acknowledge(&fixture, list[2], ref, STATUS_OK);
    conductor_assert_write(&fixture, STATUS_OK);
}

static void
confirms_counts_zones(void **state)
{
    Member *members = fixture.stage.topology.members;
    uint64_t ref;

    members[list[0]].zone = "north";
    members[list[1]].zone = "north";
    members[list[2]].zone = "south";
    ref = spread_with(2, 0, 2);
    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_acknowledge(&fixture, list[1], ref, STATUS_OK);
    conductor_assert_unanswered(&fixture);
    conductor_acknowledge(&fixture, list[2], ref, STATUS_OK);
    conductor_assert_write(&fixture, STATUS_OK);
}

/* This node is the key's first fallback from now on. */
static void
become_fallback(void)
{
    for (uint32_t nth = 0; list[3] != 0; nth++)
    {
        fixture.key = stage_key_of(&fixture.stage, 1 + nth % (MEMBERS - 1), nth / (MEMBERS - 1));
        find_list();
    }
}

static void
a_fallback_coordinates_when_every_owner_is_down(void **state)
{
    const Update *update;
    uint64_t ref;

    become_fallback();
    for (uint32_t owner = 0; owner < N; owner++)
        fixture.stage.up[list[owner]] = false;
    write_with(1, 0, 0);
    update = stage_action(&fixture.stage, ACTION_APPLY, 0)->update;
    assert_int_equal(update->hint_count, N);
    ref = conductor_apply_ref(&fixture, 0);
    conductor_merged(&fixture, ref, STATUS_OK, stage_object(&fixture.stage, 1, 1, "apple"));
    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_assert_write(&fixture, STATUS_OK);
    assert_int_equal(conductor_answered_write(&fixture, 0).acked, 1 << 3);
}

static void
a_coordinator_that_is_no_owner_drops_the_hints_it_does_not_need(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    Digest digest = object_digest(object);
    const Update *update;
    uint64_t ref;

    become_fallback();
    ref = spread_with(2, 0, 0);
    conductor_durable(&fixture, ref, STATUS_OK);
    conductor_acknowledge(&fixture, list[0], ref, STATUS_OK);
    conductor_assert_unanswered(&fixture);
    conductor_acknowledge(&fixture, list[1], ref, STATUS_OK);
    conductor_assert_write(&fixture, STATUS_OK);
    conductor_acknowledge(&fixture, list[2], ref, STATUS_OK);
    update = stage_action(&fixture.stage, ACTION_APPLY, 0)->update;
    assert_int_equal(update->hint_count, N);
    assert_true(update->unowned);
    assert_true(update->hints[0].drop);
    assert_memory_equal(&update->hints[0].acknowledged, &digest, sizeof(digest));
    assert_int_equal(coordinator_load(fixture.coordinator), 0);
}

static void
a_node_that_owes_too_much_coordinates_for_no_other_owner(void **state)
{
    become_fallback();
    fixture.stage.hints.bytes = fixture.stage.view.hints_max_bytes;
    write_with(1, 0, 0);
    conductor_assert_write(&fixture, STATUS_HINTS_FULL);
}

/* What it holds of others would find no way home without. */
static void
a_fallback_that_has_begun_keeps_its_hints_however_many_there_are(void **state)
{
    uint32_t tag;
    uint64_t ref;

    become_fallback();
    for (uint32_t owner = 0; owner < N; owner++)
        fixture.stage.up[list[owner]] = false;
    conductor_write_one(&fixture, 1, true);
    conductor_asked_of(&fixture, list[4], &tag);
    ref = stage_action(&fixture.stage, ACTION_READ, 0)->ref;
    fixture.stage.hints.bytes = fixture.stage.view.hints_max_bytes;
    conductor_answer_read(&fixture, list[4], tag, SLICE_EMPTY);
    conductor_fetched(&fixture, ref, STATUS_OK, SLICE_EMPTY);
    assert_int_equal(stage_action(&fixture.stage, ACTION_APPLY, 0)->update->hint_count, N);
    assert_int_equal(coordinator_counters(fixture.coordinator).hints_refused, 0);
}

static void
a_fallback_counts_in_a_read_only_with_the_key(void **state)
{
    Slice apple = stage_object(&fixture.stage, 1, 1, "apple");
    uint32_t tag;

    fixture.stage.up[list[1]] = fixture.stage.up[list[2]] = false;
    conductor_read_one(&fixture, 2);
    conductor_asked_of(&fixture, list[3], &tag);
    conductor_fetched(&fixture, stage_action(&fixture.stage, ACTION_READ, 0)->ref, STATUS_OK,
                      apple);
    conductor_answer_read(&fixture, list[3], tag, SLICE_EMPTY);
    conductor_answer_read(&fixture, list[4], tag, SLICE_EMPTY);
    conductor_assert_read(&fixture, STATUS_UNAVAILABLE, SLICE_EMPTY);

    conductor_read_one(&fixture, 2);
    conductor_asked_of(&fixture, list[3], &tag);
    conductor_fetched(&fixture, stage_action(&fixture.stage, ACTION_READ, 0)->ref, STATUS_OK,
                      apple);
    conductor_answer_read(&fixture, list[3], tag, SLICE_EMPTY);
    conductor_answer_read(&fixture, list[4], tag, apple);
    conductor_assert_read(&fixture, STATUS_OK, apple);
    assert_int_equal(conductor_answered_read(&fixture).held, 1 | 1 << 4);
}

static void
enough_owners_are_read_without_fallbacks(void **state)
{
    fixture.stage.up[list[2]] = false;
    conductor_read_one(&fixture, 2);
    assert_true(stage_sent_nothing_to(&fixture.stage, list[3]));
    assert_true(stage_sent_nothing_to(&fixture.stage, list[4]));
}

static void
a_retry_looks_for_its_ids_at_the_stand_ins_too(void **state)
{
    uint32_t tag;

    fixture.stage.up[list[1]] = false;
    conductor_write_one(&fixture, 2, true);
    conductor_asked_of(&fixture, list[2], &tag);
    conductor_asked_of(&fixture, list[3], &tag);
    assert_true(stage_sent_nothing_to(&fixture.stage, list[4]));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_fallback_stands_in_for_an_owner_that_is_down_and_keeps_a_hint),
        TEST(who_is_to_own_the_key_is_sent_it_and_counts_for_nothing),
        TEST(who_is_to_own_the_key_and_is_down_gets_no_hint),
        TEST(when_the_new_owners_count_the_old_one_is_sent_nothing),
        TEST(a_write_under_way_when_the_filling_begins_is_placed_anew),
        TEST(a_write_whose_owners_are_others_now_is_not_placed_anew),
        TEST(without_a_fallback_the_hint_is_written_with_the_object),
        TEST(an_owner_that_stays_silent_gets_a_hint_here),
        TEST(who_keeps_all_the_hints_it_may_marks_who_has_missed_something),
        TEST(an_owner_that_acknowledges_late_needs_no_hint),
        TEST(an_owner_that_goes_down_under_way_gets_a_stand_in),
        TEST(a_stand_in_that_refuses_is_replaced_by_the_next),
        TEST(when_no_stand_in_is_left_the_hint_is_kept_here_and_the_write_is_unknown),
        TEST(an_owner_and_its_stand_in_count_once),
        TEST(pw_counts_owners_only),
        TEST(confirms_counts_zones),
        TEST(a_fallback_coordinates_when_every_owner_is_down),
        TEST(a_coordinator_that_is_no_owner_drops_the_hints_it_does_not_need),
        TEST(a_node_that_owes_too_much_coordinates_for_no_other_owner),
        TEST(a_fallback_that_has_begun_keeps_its_hints_however_many_there_are),
        TEST(a_fallback_counts_in_a_read_only_with_the_key),
        TEST(enough_owners_are_read_without_fallbacks),
        TEST(a_retry_looks_for_its_ids_at_the_stand_ins_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
