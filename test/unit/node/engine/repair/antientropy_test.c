#include "test/unit/stages/orchard.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum
{
    KEYS = 2000,
    MINUTE_MS = 60000,
    INTERVAL_MS = 3600000
};

static Orchard orchard;

static int
set_up(void **state)
{
    (void)state;
    orchard_init(&orchard, 2, 0);
    orchard_fill(&orchard, KEYS);
    return 0;
}

static int
set_up_scheduled(void **state)
{
    (void)state;
    orchard_init(&orchard, 2, INTERVAL_MS);
    orchard_fill(&orchard, KEYS);
    return 0;
}

static int
set_up_three(void **state)
{
    (void)state;
    orchard_init(&orchard, 3, 0);
    orchard_fill(&orchard, 50);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    orchard_free(&orchard);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_SCHEDULED(name) cmocka_unit_test_setup_teardown(name, set_up_scheduled, tear_down)
#define TEST_THREE(name) cmocka_unit_test_setup_teardown(name, set_up_three, tear_down)

static Slice
object_of(uint8_t writer, uint8_t counter)
{
    return stage_object(&orchard.stage, writer, counter, "another value");
}

static void
repair(uint32_t node)
{
    orchard_forget_bytes(&orchard);
    orchard_request(&orchard, node);
    orchard_settle(&orchard);
}

static void
await_frame(FrameType type)
{
    for (uint32_t i = 0; orchard.frames[type] == 0; i++)
    {
        assert_in_range(i, 0, MINUTE_MS);
        orchard_pass(&orchard, 1);
    }
}

static void
assert_mended(uint32_t here, uint32_t there)
{
    RepairStatus status = orchard_status(&orchard, 0);

    orchard_assert_equal(&orchard);
    assert_int_equal(status.mended_here, here);
    assert_int_equal(status.mended_there, there);
    assert_int_equal(status.failure, STATUS_OK);
    assert_true(status.equal_ms > 0);
}

/* ---- what a compare costs ---- */

static void
equal_replicas_cost_one_compare_of_roots(void **state)
{
    repair(0);
    assert_int_equal(orchard.frames[FRAME_TREE_ROOTS], 1);
    assert_int_equal(orchard.frames[FRAME_TREE_ROOTS_REPLY], 1);
    assert_int_equal(orchard.delivered, 2);
    assert_in_range(orchard.all_bytes, 1, 30 + 20 * STAGE_PARTITIONS);
    assert_mended(0, 0);
}

static void
one_key_among_many_costs_a_few_hundred_bytes(void **state)
{
    orchard_put(&orchard, 1, orchard_key(&orchard, 7), object_of(1, 2));
    repair(0);
    print_message("1 of %d keys: %llu bytes, %u frames\n", KEYS,
                  (unsigned long long)orchard.all_bytes, orchard.delivered);
    assert_mended(1, 0);
    assert_in_range(orchard.all_bytes, 1, 2500);
}

static void
a_hundred_keys_cost_a_hundred_times_as_much_at_most(void **state)
{
    for (uint32_t i = 0; i < 100; i++)
        orchard_put(&orchard, i % 2, orchard_key(&orchard, i * 13), object_of(1, 2));
    repair(0);
    print_message("100 of %d keys: %llu bytes, %u frames\n", KEYS,
                  (unsigned long long)orchard.all_bytes, orchard.delivered);
    assert_mended(50, 50);
    assert_in_range(orchard.all_bytes, 1, 120000);
}

static void
only_newer_objects_travel(void **state)
{
    char value[10001];

    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    orchard_put(&orchard, 0, orchard_key(&orchard, 3), stage_object(&orchard.stage, 1, 2, value));
    orchard_put(&orchard, 1, orchard_key(&orchard, 3), object_of(1, 3));
    repair(0);
    assert_mended(1, 0);
    assert_int_equal(orchard.frames[FRAME_REPLICATE], 0);
    assert_in_range(orchard.all_bytes, 1, 2500);
}

/* ---- in which ways a key may differ ---- */

static void
a_key_that_is_absent_here_is_taken(void **state)
{
    orchard_put(&orchard, 1, orchard_key(&orchard, KEYS), object_of(2, 1));
    repair(0);
    assert_mended(1, 0);
    assert_true(
        slice_equal(orchard_get(&orchard, 0, orchard_key(&orchard, KEYS)), object_of(2, 1)));
}

static void
a_key_that_is_absent_there_is_given(void **state)
{
    orchard_put(&orchard, 0, orchard_key(&orchard, KEYS), object_of(2, 1));
    repair(0);
    assert_mended(0, 1);
    assert_true(
        slice_equal(orchard_get(&orchard, 1, orchard_key(&orchard, KEYS)), object_of(2, 1)));
}

static void
an_older_object_is_replaced(void **state)
{
    orchard_put(&orchard, 1, orchard_key(&orchard, 5), object_of(1, 2));
    repair(0);
    assert_mended(1, 0);
    assert_true(slice_equal(orchard_get(&orchard, 0, orchard_key(&orchard, 5)), object_of(1, 2)));
}

static void
a_newer_object_is_given(void **state)
{
    orchard_put(&orchard, 0, orchard_key(&orchard, 5), object_of(1, 2));
    repair(0);
    assert_mended(0, 1);
    assert_true(slice_equal(orchard_get(&orchard, 1, orchard_key(&orchard, 5)), object_of(1, 2)));
}

static void
concurrent_objects_become_siblings_on_both(void **state)
{
    Slice key = orchard_key(&orchard, 5);

    orchard_put(&orchard, 0, key, object_of(2, 1));
    orchard_put(&orchard, 1, key, object_of(3, 1));
    repair(0);
    assert_mended(1, 1);
    assert_int_equal(stage_siblings(&orchard.stage, orchard_get(&orchard, 0, key)), 3);
}

static void
a_tombstone_goes_over_and_nothing_comes_back(void **state)
{
    Slice here = orchard_key(&orchard, 5);
    Slice there = orchard_key(&orchard, 6);
    Slice tombstone = stage_tombstone(&orchard.stage, 1, 2);

    orchard_put(&orchard, 0, here, tombstone);
    orchard_put(&orchard, 1, there, tombstone);
    repair(0);
    assert_mended(1, 1);
    assert_true(slice_equal(orchard_get(&orchard, 1, here), tombstone));
    assert_true(slice_equal(orchard_get(&orchard, 0, there), tombstone));
}

static void
an_empty_replica_is_filled(void **state)
{
    orchard_free(&orchard);
    orchard_init(&orchard, 2, 0);
    memory_store_hold(orchard.nodes[1].store);
    for (uint32_t i = 0; i < KEYS; i++)
        orchard_put(&orchard, 1, orchard_key(&orchard, i), object_of(1, 1));
    memory_store_release(orchard.nodes[1].store);
    repair(0);
    assert_mended(KEYS, 0);
}

static void
an_empty_peer_is_filled(void **state)
{
    orchard_free(&orchard);
    orchard_init(&orchard, 2, 0);
    memory_store_hold(orchard.nodes[0].store);
    for (uint32_t i = 0; i < 6 * KEYS; i++)
        orchard_put(&orchard, 0, orchard_key(&orchard, i), object_of(1, 1));
    memory_store_release(orchard.nodes[0].store);
    repair(0);
    assert_mended(0, 6 * KEYS);
}

static uint64_t scans_before_versions;

static void
count_scans(Orchard *running, const OrchardMail *mail)
{
    Storage *storage = running->nodes[0].storage;
    Frame frame = stage_decode(&running->stage, mail->bytes);

    if (frame.type == FRAME_VERSIONS && scans_before_versions == 0)
        scans_before_versions = storage->counters(storage).scans;
}

/* 2,000 keys of one partition, 256 of them in a page of own rows. */
static void
keys_are_mended_before_too_many_are_held(void **state)
{
    static char value[1001];
    uint32_t count = 0;
    uint64_t position;

    memset(value, 'x', sizeof(value) - 1);
    orchard_free(&orchard);
    orchard_init(&orchard, 2, 0);
    memory_store_hold(orchard.nodes[0].store);
    for (uint32_t i = 0; count < KEYS; i++)
    {
        Slice key = orchard_key(&orchard, i);

        assert_true(topology_position(orchard.stage.bucket, key, &position));
        if (ring_partition(position, STAGE_PARTITIONS) > 0)
            continue;
        orchard_put(&orchard, 0, key, stage_object(&orchard.stage, 1, 1, value));
        count++;
    }
    memory_store_release(orchard.nodes[0].store);
    scans_before_versions = 0;
    orchard.before = count_scans;
    repair(0);
    assert_mended(0, KEYS);
    assert_in_range(scans_before_versions, 2, 6);
}

static void
large_objects_go_one_at_a_time(void **state)
{
    static char value[300001];

    memset(value, 'x', sizeof(value) - 1);
    for (uint32_t i = 0; i < 6; i++)
        orchard_put(&orchard, i % 2, orchard_key(&orchard, i),
                    stage_object(&orchard.stage, 1, 2, value));
    repair(0);
    assert_mended(3, 3);
    assert_in_range(orchard.frames[FRAME_VERSIONS_REPLY], 3, 20);
    assert_int_equal(orchard.frames[FRAME_REPLICATE], 3);
}

static void
three_owners_become_equal(void **state)
{
    for (uint32_t node = 0; node < 3; node++)
        orchard_put(&orchard, node, orchard_key(&orchard, node), object_of((uint8_t)(node + 2), 1));
    repair(0);
    repair(1);
    orchard_assert_equal(&orchard);
}

/* ---- two compares ---- */

/* The write that made the difference lands before the versions are asked for. */
static void
land(Orchard *landing, const OrchardMail *mail)
{
    Frame frame = stage_decode(&landing->stage, mail->bytes);

    if (frame.type == FRAME_VERSIONS)
        orchard_put(landing, mail->to, orchard_key(landing, 5), object_of(1, 2));
}

static void
a_difference_that_the_second_compare_does_not_see_is_not_acted_upon(void **state)
{
    orchard_put(&orchard, 0, orchard_key(&orchard, 5), object_of(1, 2));
    orchard.before = land;
    repair(0);
    assert_int_equal(orchard.frames[FRAME_VERSIONS], 1);
    assert_int_equal(orchard.frames[FRAME_REPLICATE], 0);
    assert_int_equal(orchard_status(&orchard, 0).differences, 0);
    assert_mended(0, 0);
}

static void
the_second_compare_comes_after_a_pause(void **state)
{
    uint64_t began_ms = orchard.now_ms;

    orchard_put(&orchard, 0, orchard_key(&orchard, 5), object_of(1, 2));
    orchard_request(&orchard, 0);
    await_frame(FRAME_TREE_KEYS_REPLY);
    orchard_pass(&orchard, 10);
    assert_int_equal(orchard_status(&orchard, 0).state, REPAIR_CONFIRMING);
    assert_int_equal(orchard.frames[FRAME_VERSIONS], 0);
    orchard_settle(&orchard);
    assert_true(orchard.now_ms >= began_ms + 200);
    assert_mended(0, 1);
}

/* ---- what goes wrong ---- */

static uint32_t cut_after;

static void
cut_in_time(Orchard *running, const OrchardMail *mail)
{
    (void)mail;
    if (running->delivered == cut_after && !running->cut[1])
        orchard_cut(running, 1);
}

static void
a_peer_may_go_down_at_any_point(void **state)
{
    bool was_cut = true;

    for (cut_after = 0; was_cut; cut_after++)
    {
        orchard_free(&orchard);
        orchard_init(&orchard, 2, 0);
        orchard_fill(&orchard, 100);
        for (uint32_t i = 0; i < 20; i++)
        {
            orchard_put(&orchard, i % 2, orchard_key(&orchard, i), object_of(1, 2));
            orchard_put(&orchard, i % 3 % 2, orchard_key(&orchard, i + 20), object_of(2, 1));
        }
        orchard.before = cut_in_time;
        orchard_request(&orchard, 0);
        orchard_pass(&orchard, 2000);
        was_cut = orchard.cut[1];
        if (was_cut)
        {
            assert_int_equal(orchard_status(&orchard, 0).failure, STATUS_UNAVAILABLE);
            assert_int_equal(orchard_status(&orchard, 0).state, REPAIR_WAITING);
        }
        orchard.before = NULL;
        orchard_join(&orchard, 1);
        orchard_settle(&orchard);
        assert_int_equal(orchard_status(&orchard, 0).failure, STATUS_OK);
        orchard_assert_equal(&orchard);
    }
    assert_in_range(cut_after, 30, 1000);
}

/* Else one broken link would be waited for as a peer that has failed again and again. */
static void
what_ends_many_compares_at_once_is_one_failure(void **state)
{
    for (uint32_t i = 0; i < 500; i++)
        orchard_put(&orchard, 0, orchard_key(&orchard, i), object_of(1, 2));
    cut_after = 20;
    orchard.before = cut_in_time;
    orchard_request(&orchard, 0);
    orchard_pass(&orchard, 1000);
    assert_true(orchard.cut[1]);
    orchard.before = NULL;
    orchard_join(&orchard, 1);
    orchard_pass(&orchard, 10000);
    orchard_assert_equal(&orchard);
}

static bool swallowing;

static void
swallow(Orchard *running, const OrchardMail *mail)
{
    (void)mail;
    running->cut[1] = swallowing;
}

static void
an_answer_that_does_not_come_is_not_waited_for_for_ever(void **state)
{
    orchard_put(&orchard, 0, orchard_key(&orchard, 5), object_of(1, 2));
    orchard.before = swallow;
    swallowing = true;
    orchard_request(&orchard, 0);
    orchard_pass(&orchard, MINUTE_MS);
    assert_int_equal(orchard_status(&orchard, 0).failure, STATUS_UNKNOWN);
    swallowing = false;
    orchard_settle(&orchard);
    assert_mended(0, 1);
}

static void
a_node_that_refills_takes_no_part(void **state)
{
    orchard_put(&orchard, 0, orchard_key(&orchard, 5), object_of(1, 2));
    orchard.nodes[1].view.refilling = true;
    orchard_request(&orchard, 0);
    orchard_request(&orchard, 1);
    orchard_pass(&orchard, MINUTE_MS);
    assert_int_equal(orchard_status(&orchard, 0).failure, STATUS_REFILLING);
    assert_false(orchard_is_equal(&orchard));
    assert_int_equal(orchard.frames[FRAME_TREE_ROOTS_REPLY], 0);
    assert_int_equal(orchard_status(&orchard, 1).compared_ms, 0);
    orchard.nodes[1].view.refilling = false;
    orchard_settle(&orchard);
    orchard_assert_equal(&orchard);
}

static void
a_node_whose_storage_failed_takes_no_part(void **state)
{
    orchard_put(&orchard, 0, orchard_key(&orchard, 5), object_of(1, 2));
    memory_store_fail(orchard.nodes[1].store);
    orchard_request(&orchard, 0);
    orchard_pass(&orchard, MINUTE_MS);
    assert_int_equal(orchard_status(&orchard, 0).failure, STATUS_STORAGE);
}

static void
what_cannot_be_read_is_taken_from_the_peer(void **state)
{
    OrchardNode *node = &orchard.nodes[0];
    Slice key = orchard_key(&orchard, 9);
    uint64_t position;

    assert_true(topology_position(orchard.stage.bucket, key, &position));
    orchard_pass(&orchard, 1);
    node->damaged = key;
    antientropy_mend(node->antientropy, &node->view, STAGE_BUCKET, position - 1000,
                     position + 1000);
    orchard_settle(&orchard);
    assert_int_equal(node->damaged.length, 0);
    assert_int_equal(orchard_status(&orchard, 0).mended_here, 1);
    assert_int_equal(orchard.frames[FRAME_TREE_ROOTS], 0);
}

static void
what_the_peer_cannot_read_is_given(void **state)
{
    Slice key = orchard_key(&orchard, 9);

    orchard_put(&orchard, 0, key, object_of(1, 2));
    orchard.before = NULL;
    orchard_request(&orchard, 0);
    await_frame(FRAME_TREE_KEYS_REPLY);
    orchard.nodes[1].damaged = key;
    orchard_settle(&orchard);
    assert_int_equal(orchard.nodes[1].damaged.length, 0);
    assert_mended(0, 1);
}

static void
what_was_mended_is_not_mended_again_at_once(void **state)
{
    OrchardNode *node = &orchard.nodes[0];

    antientropy_mend(node->antientropy, &node->view, STAGE_BUCKET, 1000, 2000);
    orchard_settle(&orchard);
    orchard_forget_bytes(&orchard);
    antientropy_mend(node->antientropy, &node->view, STAGE_BUCKET, 1100, 1900);
    orchard_pass(&orchard, MINUTE_MS);
    assert_int_equal(orchard.all_bytes, 0);
    antientropy_mend(node->antientropy, &node->view, STAGE_BUCKET, 1100, 2001);
    orchard_settle(&orchard);
    assert_true(orchard.all_bytes > 0);
}

/* ---- what was reaped ---- */

static void
raise_round(uint32_t node, Slice key)
{
    uint64_t position;

    assert_true(topology_position(orchard.stage.bucket, key, &position));
    rounds_raise(orchard.nodes[node].view.rounds,
                 rounds_id(&orchard.stage.topology, STAGE_BUCKET, position), 5, 5);
}

static void
what_travels_is_labelled_with_the_round(void **state)
{
    for (uint32_t node = 0; node < 2; node++)
    {
        raise_round(node, orchard_key(&orchard, 5));
        raise_round(node, orchard_key(&orchard, 6));
    }
    orchard_put(&orchard, 0, orchard_key(&orchard, 5), object_of(1, 2));
    orchard_put(&orchard, 1, orchard_key(&orchard, 6), object_of(1, 2));
    repair(0);
    assert_mended(1, 1);
    assert_int_equal(orchard.frames[FRAME_REPLICATE], 1);
}

static void
what_is_refused_as_older_than_the_round_goes_under_a_newer_label(void **state)
{
    raise_round(1, orchard_key(&orchard, 5));
    orchard_put(&orchard, 0, orchard_key(&orchard, 5), object_of(1, 2));
    repair(0);
    assert_int_equal(orchard.frames[FRAME_REPLICATE], 2);
    assert_mended(0, 1);
}

static void
what_is_older_than_the_round_is_not_taken(void **state)
{
    Slice key = orchard_key(&orchard, 5);

    raise_round(0, key);
    orchard_put(&orchard, 1, key, object_of(1, 2));
    orchard_request(&orchard, 0);
    orchard_pass(&orchard, MINUTE_MS);
    assert_int_equal(orchard_status(&orchard, 0).failure, STATUS_STALE_ROUND);
    assert_int_equal(orchard_status(&orchard, 0).mended_here, 0);
    assert_in_range(orchard.frames[FRAME_TREE_ROOTS], 5, 7); /* less and less often */
    assert_false(orchard_is_equal(&orchard));
    repair(1);
    orchard_assert_equal(&orchard);
}

/* ---- what is asked for, and told ---- */

static void
a_compare_may_be_asked_for_by_bucket_and_member(void **state)
{
    OrchardNode *node = &orchard.nodes[0];
    Antientropy *antientropy = node->antientropy;

    assert_int_equal(antientropy_request(antientropy, &node->view, STAGE_BUCKET, 2),
                     STAGE_PARTITIONS);
    assert_int_equal(antientropy_request(antientropy, &node->view, STAGE_BUCKET + 1, 2), 0);
    assert_int_equal(antientropy_request(antientropy, &node->view, 0, 0), 0);
    orchard_settle(&orchard);
    for (uint32_t i = 0; i < antientropy_status_count(antientropy, &node->view); i++)
    {
        RepairStatus status = orchard_nth_status(node, i);
        bool asked =
            memcmp(&status.peer, &orchard.stage.topology.members[2].id, sizeof(MemberId)) == 0;

        assert_int_equal(status.compared_ms > 0, asked);
    }
}

static void
statuses_are_true(void **state)
{
    OrchardNode *node = &orchard.nodes[0];
    uint64_t position;
    AntientropyCounters counters;

    assert_true(topology_position(orchard.stage.bucket, orchard_key(&orchard, 5), &position));
    orchard_put(&orchard, 1, orchard_key(&orchard, 5), object_of(1, 2));
    repair(0);
    assert_int_equal(antientropy_status_count(node->antientropy, &node->view), STAGE_PARTITIONS);
    for (uint32_t i = 0; i < STAGE_PARTITIONS; i++)
    {
        RepairStatus status = orchard_nth_status(node, i);
        bool differed = i == ring_partition(position, STAGE_PARTITIONS);

        assert_int_equal(status.partition, i);
        assert_int_equal(status.bucket_id, STAGE_BUCKET);
        assert_memory_equal(&status.peer, &orchard.stage.topology.members[1].id, sizeof(MemberId));
        assert_int_equal(status.state, REPAIR_IDLE);
        assert_int_equal(status.differences, differed);
        assert_int_equal(status.mended_here, differed);
        assert_in_range(status.equal_ms, 1700000000000, node->view.wall_ms);
        assert_int_equal(status.equal_ms > status.compared_ms, false);
        assert_int_equal(status.bytes_sent > 0, differed); /* nothing is kept for empty ones */
    }
    counters = antientropy_counters(node->antientropy);
    assert_int_equal(counters.compares, STAGE_PARTITIONS);
    assert_int_equal(counters.differences, 1);
    assert_int_equal(counters.mended_here, 1);
    assert_int_equal(counters.bytes_sent + counters.bytes_received, orchard.all_bytes);
}

static void
who_answers_knows_of_equality_too(void **state)
{
    repair(0);
    assert_true(orchard_status(&orchard, 1).equal_ms > 0);
}

static void
progress_is_told(void **state)
{
    OrchardNode *node = &orchard.nodes[0];
    uint32_t seen = 0;

    for (uint32_t i = 0; i < 300; i++)
        orchard_put(&orchard, 1, orchard_key(&orchard, i), object_of(1, 2));
    orchard_request(&orchard, 0);
    for (uint32_t i = 0; orchard_status(&orchard, 0).state != REPAIR_IDLE || seen == 0; i++)
    {
        assert_in_range(i, 0, MINUTE_MS);
        orchard_pass(&orchard, 1);
        for (uint32_t pair = 0; pair < STAGE_PARTITIONS; pair++)
        {
            RepairStatus status = orchard_nth_status(node, pair);

            assert_true(status.parts_done <= status.parts_total);
            seen += status.parts_done > 0;
        }
    }
    assert_mended(300, 0);
}

static void
tokens_hold_it_back(void **state)
{
    OrchardNode *node = &orchard.nodes[0];

    orchard_pass(&orchard, 1);
    pacer_take(&node->pacer, 10 * (uint64_t)ORCHARD_BYTES_A_SECOND);
    orchard_request(&orchard, 0);
    orchard_pass(&orchard, 5000);
    assert_int_equal(orchard.all_bytes, 0);
    orchard_pass(&orchard, 6000);
    assert_mended(0, 0);
}

static void
nothing_is_due_of_itself_without_an_interval(void **state)
{
    orchard_put(&orchard, 0, orchard_key(&orchard, 5), object_of(1, 2));
    orchard_pass(&orchard, 1000);
    orchard_cut(&orchard, 1);
    orchard_pass(&orchard, 1000);
    orchard_join(&orchard, 1);
    orchard_pass(&orchard, 1000);
    assert_true(antientropy_wake_ms(orchard.nodes[0].antientropy, &orchard.nodes[0].view) ==
                UINT64_MAX);
    assert_int_equal(orchard.all_bytes, 0);
}

/* ---- the schedule ---- */

/* Until each node has had its first compare. */
static void
pass_first(void)
{
    orchard_pass(&orchard, 5 * MINUTE_MS + 1000);
    orchard_forget_bytes(&orchard);
}

static void
everything_is_compared_once_an_interval_by_either_side(void **state)
{
    pass_first();
    orchard_pass(&orchard, 10 * (uint64_t)INTERVAL_MS);
    assert_in_range(orchard.frames[FRAME_TREE_ROOTS], 10, 11);
    orchard_put(&orchard, 1, orchard_key(&orchard, 5), object_of(1, 2));
    orchard_pass(&orchard, INTERVAL_MS + MINUTE_MS);
    orchard_assert_equal(&orchard);
}

static void
the_two_sides_begin_at_different_times(void **state)
{
    uint64_t first[2];

    for (uint32_t i = 0; i < 2; i++)
    {
        OrchardNode *node = &orchard.nodes[i];

        antientropy_step(node->antientropy, &node->view);
        first[i] = antientropy_wake_ms(node->antientropy, &node->view);
        assert_in_range(first[i], node->view.now_ms + 1, node->view.now_ms + 5 * MINUTE_MS);
    }
    assert_true(first[0] != first[1]);
}

static void
another_interval_counts_at_once(void **state)
{
    pass_first();
    for (uint32_t i = 0; i < 2; i++)
        antientropy_set_interval(orchard.nodes[i].antientropy, MINUTE_MS);
    orchard_pass(&orchard, 10 * MINUTE_MS);
    assert_in_range(orchard.frames[FRAME_TREE_ROOTS], 9, 12);
}

static void
a_peer_that_was_away_is_compared_with_when_its_hints_are_handed_off(void **state)
{
    static HintTotal owed;
    OrchardNode *node = &orchard.nodes[0];

    pass_first();
    orchard_cut(&orchard, 1);
    orchard_put(&orchard, 0, orchard_key(&orchard, 5), object_of(1, 2));
    orchard_pass(&orchard, MINUTE_MS);
    owed = (HintTotal){.target = stage_member_id(1), .count = 1};
    node->hints = (HintTotals){.targets = &owed, .target_count = 1};
    orchard.nodes[1].view.refilling = true; /* so that it asks nothing itself */
    orchard_join(&orchard, 1);
    orchard_pass(&orchard, MINUTE_MS);
    assert_int_equal(orchard.frames[FRAME_TREE_ROOTS], 0);
    orchard.nodes[1].view.refilling = false;
    node->hints = (HintTotals){0};
    orchard_pass(&orchard, 2000);
    orchard_assert_equal(&orchard);
}

static void
a_peer_that_missed_a_write_is_compared_with(void **state)
{
    OrchardNode *node = &orchard.nodes[0];

    pass_first();
    orchard_put(&orchard, 0, orchard_key(&orchard, 5), object_of(1, 2));
    antientropy_missed(node->antientropy, &node->view, 1);
    orchard_pass(&orchard, 3000);
    orchard_assert_equal(&orchard);
    orchard_forget_bytes(&orchard);
    for (uint32_t i = 0; i < 30; i++)
    {
        antientropy_missed(node->antientropy, &node->view, 1);
        orchard_pass(&orchard, 1000);
    }
    assert_in_range(orchard.frames[FRAME_TREE_ROOTS], 2, 4);
}

static void
a_peer_that_has_refilled_is_compared_with(void **state)
{
    pass_first();
    orchard_cut(&orchard, 1);
    orchard.nodes[1].view.refilling = true;
    orchard_put(&orchard, 0, orchard_key(&orchard, 5), object_of(1, 2));
    orchard_join(&orchard, 1);
    orchard_pass(&orchard, 5 * MINUTE_MS);
    assert_int_equal(orchard_status(&orchard, 0).failure, STATUS_REFILLING);
    orchard.nodes[1].view.refilling = false;
    orchard_pass(&orchard, MINUTE_MS);
    orchard_assert_equal(&orchard);
    assert_int_equal(orchard_status(&orchard, 0).failure, STATUS_OK);
}

/* Ten thousand buckets without a row: a topology is taken up, and a round begun, in no time, and
 * nothing is kept for any of their partitions. */
static void
buckets_without_rows_cost_nothing(void **state)
{
    enum
    {
        BUCKETS = 10000,
        EPOCHS = 200
    };
    OrchardNode *node = &orchard.nodes[0];
    Bucket *buckets = ARENA_ARRAY(&orchard.stage.arena, Bucket, BUCKETS);
    size_t before = mallinfo2().uordblks;
    clock_t began = clock();

    for (uint32_t i = 0; i < BUCKETS; i++)
    {
        buckets[i] = *orchard.stage.bucket;
        buckets[i].id = STAGE_BUCKET + i;
    }
    orchard.stage.topology.buckets = buckets;
    for (uint32_t i = 0; i < EPOCHS; i++)
    {
        orchard.stage.topology.bucket_count = BUCKETS - EPOCHS + i + 1;
        orchard.stage.topology.epoch++;
        assert_int_equal(antientropy_request(node->antientropy, &node->view, 0, 1),
                         orchard.stage.topology.bucket_count * STAGE_PARTITIONS);
    }
    assert_true(clock() - began < CLOCKS_PER_SEC);
    assert_in_range(mallinfo2().uordblks, 0, before + 100000);
}

static void
a_dropped_bucket_is_forgotten(void **state)
{
    OrchardNode *node = &orchard.nodes[0];
    Bucket *buckets = ARENA_ARRAY(&orchard.stage.arena, Bucket, 2);

    buckets[0] = buckets[1] = *orchard.stage.bucket;
    buckets[1].id = STAGE_BUCKET + 1;
    orchard.stage.topology.buckets = buckets;
    orchard.stage.topology.bucket_count = 2;
    orchard.stage.topology.epoch++;
    assert_int_equal(
        antientropy_request(node->antientropy, &node->view, STAGE_BUCKET + 1, TOPOLOGY_NO_MEMBER),
        STAGE_PARTITIONS);
    orchard_put(&orchard, 1, orchard_key(&orchard, 5), object_of(1, 2));
    (void)antientropy_request(node->antientropy, &node->view, 0, TOPOLOGY_NO_MEMBER);
    orchard.stage.topology.bucket_count = 1;
    orchard.stage.topology.epoch++;
    orchard_settle(&orchard);
    orchard_assert_equal(&orchard);
    assert_int_equal(antientropy_status_count(node->antientropy, &node->view), STAGE_PARTITIONS);
}

static void
a_bucket_that_comes_later_is_compared_too(void **state)
{
    OrchardNode *node = &orchard.nodes[0];
    Bucket *buckets = ARENA_ARRAY(&orchard.stage.arena, Bucket, 2);

    repair(0);
    buckets[0] = buckets[1] = *orchard.stage.bucket;
    buckets[1].id = STAGE_BUCKET + 1;
    orchard.stage.topology.buckets = buckets;
    orchard.stage.topology.bucket_count = 2;
    orchard.stage.topology.epoch++;
    assert_int_equal(antientropy_request(node->antientropy, &node->view, 0, 1),
                     2 * STAGE_PARTITIONS);
    assert_true(orchard_nth_status(node, 0).equal_ms > 0);
    assert_int_equal(orchard_nth_status(node, STAGE_PARTITIONS).equal_ms, 0);
    orchard_settle(&orchard);
    assert_true(orchard_nth_status(node, STAGE_PARTITIONS).equal_ms > 0);
}

static void
a_topology_that_comes_in_between_does_not_stop_it(void **state)
{
    for (uint32_t i = 0; i < 300; i++)
        orchard_put(&orchard, 1, orchard_key(&orchard, i), object_of(1, 2));
    orchard_request(&orchard, 0);
    for (uint32_t i = 0; !orchard_is_equal(&orchard); i++)
    {
        assert_in_range(i, 0, 200);
        orchard_pass(&orchard, 50);
        orchard.stage.topology.epoch++;
    }
    orchard_settle(&orchard);
    assert_mended(300, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(equal_replicas_cost_one_compare_of_roots),
        TEST(one_key_among_many_costs_a_few_hundred_bytes),
        TEST(a_hundred_keys_cost_a_hundred_times_as_much_at_most),
        TEST(only_newer_objects_travel),
        TEST(a_key_that_is_absent_here_is_taken),
        TEST(a_key_that_is_absent_there_is_given),
        TEST(an_older_object_is_replaced),
        TEST(a_newer_object_is_given),
        TEST(concurrent_objects_become_siblings_on_both),
        TEST(a_tombstone_goes_over_and_nothing_comes_back),
        TEST(an_empty_replica_is_filled),
        TEST(an_empty_peer_is_filled),
        TEST(keys_are_mended_before_too_many_are_held),
        TEST(large_objects_go_one_at_a_time),
        TEST_THREE(three_owners_become_equal),
        TEST(a_difference_that_the_second_compare_does_not_see_is_not_acted_upon),
        TEST(the_second_compare_comes_after_a_pause),
        TEST(a_peer_may_go_down_at_any_point),
        TEST(what_ends_many_compares_at_once_is_one_failure),
        TEST(an_answer_that_does_not_come_is_not_waited_for_for_ever),
        TEST(a_node_that_refills_takes_no_part),
        TEST(a_node_whose_storage_failed_takes_no_part),
        TEST(what_cannot_be_read_is_taken_from_the_peer),
        TEST(what_the_peer_cannot_read_is_given),
        TEST(what_was_mended_is_not_mended_again_at_once),
        TEST(what_travels_is_labelled_with_the_round),
        TEST(what_is_refused_as_older_than_the_round_goes_under_a_newer_label),
        TEST(what_is_older_than_the_round_is_not_taken),
        TEST_THREE(a_compare_may_be_asked_for_by_bucket_and_member),
        TEST(statuses_are_true),
        TEST(who_answers_knows_of_equality_too),
        TEST(progress_is_told),
        TEST(tokens_hold_it_back),
        TEST(nothing_is_due_of_itself_without_an_interval),
        TEST_SCHEDULED(everything_is_compared_once_an_interval_by_either_side),
        TEST_SCHEDULED(the_two_sides_begin_at_different_times),
        TEST_SCHEDULED(another_interval_counts_at_once),
        TEST_SCHEDULED(a_peer_that_was_away_is_compared_with_when_its_hints_are_handed_off),
        TEST_SCHEDULED(a_peer_that_missed_a_write_is_compared_with),
        TEST_SCHEDULED(a_peer_that_has_refilled_is_compared_with),
        TEST(buckets_without_rows_cost_nothing),
        TEST(a_dropped_bucket_is_forgotten),
        TEST(a_bucket_that_comes_later_is_compared_too),
        TEST(a_topology_that_comes_in_between_does_not_stop_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
