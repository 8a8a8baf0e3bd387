#include "test/unit/stages/town.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static Town town;

static int
set_up(void **state)
{
    town_init(&town);
    return 0;
}

static int
tear_down(void **state)
{
    town_free(&town);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void
three_seeds_form_one_cluster(void **state)
{
    town_form(&town);
    for (uint32_t i = 0; i < TOWN_NODES; i++)
    {
        const Topology *topology = membership_topology(town.nodes[i].membership);

        assert_true(slice_equal(town_document_of(&town, i), town_document_of(&town, 0)));
        assert_int_equal(topology->member_count, TOWN_NODES);
        assert_int_equal(membership_self(town.nodes[i].membership), i);
        assert_string_equal(membership_waiting_for(town.nodes[i].membership), "");
        assert_true(membership_epoch_changed(town.nodes[i].membership));
        assert_false(membership_epoch_changed(town.nodes[i].membership));
        for (uint32_t other = 0; other < TOWN_NODES; other++)
            assert_true(town_is_up(&town, i, other));
    }
}

static void
a_seed_alone_forms_a_cluster_by_itself(void **state)
{
    town.node_count = 1;
    town_add_node(&town, 0, "127.0.0.1:7100");
    town_start(&town, 0, SLICE_EMPTY);
    town_pass(&town, 200);
    assert_int_equal(town_epoch_of(&town, 0), 1);
    assert_int_equal(membership_topology(town.nodes[0].membership)->member_count, 1);
}

static void
no_cluster_forms_before_every_seed_has_answered(void **state)
{
    town.cut[2] = true;
    town_begin(&town);
    town_pass(&town, 10000);
    assert_int_equal(town_epoch_of(&town, 0), 0);
    assert_int_equal(town_epoch_of(&town, 1), 0);
    town_assert_waiting(&town, 0, "1 of 2 other seeds have not answered yet: 127.0.0.1:7102");
    town.cut[2] = false;
    town_pass(&town, 500);
    for (uint32_t i = 0; i < TOWN_NODES; i++)
        assert_int_equal(town_epoch_of(&town, i), 1);
}

static void
seeds_that_differ_do_not_form_a_cluster(void **state)
{
    town_add_node(&town, 2, "127.0.0.1:7101,127.0.0.1:7102");
    town_begin(&town);
    town_pass(&town, 10000);
    for (uint32_t i = 0; i < TOWN_NODES; i++)
        assert_int_equal(town_epoch_of(&town, i), 0);
    town_assert_waiting(&town, 0, "seed n2 has other seeds: 127.0.0.1:7101,127.0.0.1:7102");
}

static void
partitions_that_differ_do_not_form_a_cluster(void **state)
{
    town.nodes[1].config.partitions = 16;
    town_begin(&town);
    town_pass(&town, 10000);
    assert_int_equal(town_epoch_of(&town, 0), 0);
    assert_int_equal(town_epoch_of(&town, 1), 0);
    town_assert_waiting(&town, 0, "seed n1 has partitions = 16");
}

static void
the_next_seed_proposes_when_the_lowest_does_not(void **state)
{
    town.nodes[0].asleep = true;
    town_begin(&town);
    town_pass(&town, 2000);
    assert_int_equal(town_epoch_of(&town, 1), 0);
    town_pass(&town, 2500);
    for (uint32_t i = 0; i < TOWN_NODES; i++)
        assert_int_equal(town_epoch_of(&town, i), 1);
    assert_true(slice_equal(town_document_of(&town, 1), town_document_of(&town, 0)));
}

static void
a_node_that_is_no_seed_waits_to_be_joined(void **state)
{
    town.node_count = 2;
    town_add_node(&town, 0, "127.0.0.1:7100");
    town_add_node(&town, 1, "127.0.0.1:7100");
    town_begin(&town);
    town_pass(&town, 1000);
    assert_int_equal(town_epoch_of(&town, 0), 1);
    assert_int_equal(membership_topology(town.nodes[0].membership)->member_count, 1);
    assert_int_equal(membership_self(town.nodes[1].membership), TOPOLOGY_NO_MEMBER);
    town_assert_waiting(&town, 1, "waits to be joined");
}

static void
a_seed_that_meets_a_cluster_forms_none_of_its_own(void **state)
{
    town_form(&town);
    town_stop(&town, 2);
    town.nodes[2].config.id = stage_member_id(9);
    town_start(&town, 2, SLICE_EMPTY);
    town_link_all(&town);
    town_pass(&town, 5000);
    assert_int_equal(town_epoch_of(&town, 2), 1);
    assert_true(slice_equal(town_document_of(&town, 2), town_document_of(&town, 0)));
    assert_int_equal(membership_self(town.nodes[2].membership), TOPOLOGY_NO_MEMBER);
    town_assert_waiting(&town, 2, "not a member");
    assert_false(town_is_up(&town, 0, 2));
}

static void
a_node_with_our_member_id_is_ignored_and_told_of(void **state)
{
    town.nodes[1].config.id = stage_member_id(0);
    town_begin(&town);
    town_pass(&town, 5000);
    assert_int_equal(town_epoch_of(&town, 0), 0);
    assert_non_null(strstr(town.nodes[0].last_log, "this node's member id"));
}

static void
two_seeds_with_one_member_id_are_told_of(void **state)
{
    town.nodes[2].config.id = stage_member_id(1);
    town_begin(&town);
    town_pass(&town, 5000);
    assert_int_equal(town_epoch_of(&town, 0), 0);
    town_assert_waiting(&town, 0, "seeds n1 and n2 have the same member id");
}

static void
a_silent_member_is_down_until_it_answers_again(void **state)
{
    town_form(&town);
    town.cut[2] = true;
    town_pass(&town, TOWN_PEER_TIMEOUT_MS - 500);
    assert_true(town_is_up(&town, 0, 2));
    town_pass(&town, 1000);
    assert_false(town_is_up(&town, 0, 2));
    assert_true(town_is_up(&town, 0, 1));
    town.cut[2] = false;
    town_pass(&town, 500);
    assert_true(town_is_up(&town, 0, 2));
}

static void
a_member_whose_link_breaks_is_down_at_once(void **state)
{
    town_form(&town);
    membership_peer_down(town.nodes[0].membership, 1);
    assert_false(town_is_up(&town, 0, 1));
    town_link_up(&town, 0, 1);
    assert_false(town_is_up(&town, 0, 1));
    town_deliver_all(&town);
    assert_true(town_is_up(&town, 0, 1));
}

static void
a_member_that_gossip_holds_for_dead_is_down_though_its_link_answers(void **state)
{
    town_form(&town);
    membership_judge(town.nodes[0].membership, 1, true);
    town_pass(&town, 1000);
    assert_false(town_is_up(&town, 0, 1));
    assert_true(membership_link_answers(town.nodes[0].membership, 1));
    membership_judge(town.nodes[0].membership, 1, false);
    assert_true(town_is_up(&town, 0, 1));
    membership_peer_down(town.nodes[0].membership, 1);
    assert_false(membership_link_answers(town.nodes[0].membership, 1));
}

static void
a_node_that_was_paused_itself_holds_no_silence_against_others(void **state)
{
    town_form(&town);
    town_pass(&town, 250);
    town.now_ms += 60000;
    town_tick(&town, 0);
    assert_true(town_is_up(&town, 0, 1));
    assert_true(town_is_up(&town, 0, 2));
    town_deliver_all(&town);
    town_pass(&town, TOWN_PEER_TIMEOUT_MS + 500);
    assert_true(town_is_up(&town, 0, 1));
}

static void
a_pause_only_puts_off_what_silence_means(void **state)
{
    town_form(&town);
    town.cut[1] = true;
    town_pass(&town, 300);
    town.now_ms += 60000;
    town_tick(&town, 0);
    assert_true(town_is_up(&town, 0, 1));
    town_pass(&town, TOWN_PEER_TIMEOUT_MS + 500);
    assert_false(town_is_up(&town, 0, 1));
}

static void
a_stranger_at_a_members_address_is_not_up(void **state)
{
    town_form(&town);
    town_stop(&town, 1);
    town.nodes[1].config.id = stage_member_id(9);
    town_start(&town, 1, SLICE_EMPTY);
    membership_peer_down(town.nodes[0].membership, 1);
    town_link_up(&town, 0, 1);
    town_deliver_all(&town);
    town_pass(&town, 500);
    assert_false(town_is_up(&town, 0, 1));
}

static void
a_restarted_member_is_in_its_cluster_at_once_and_knows_nobody_up(void **state)
{
    Slice persisted;

    town_form(&town);
    persisted = town_state_of(&town, 1);
    town_stop(&town, 1);
    town_start(&town, 1, persisted);
    assert_int_equal(town_epoch_of(&town, 1), 1);
    assert_int_equal(membership_self(town.nodes[1].membership), 1);
    assert_true(town_is_up(&town, 1, 1));
    assert_false(town_is_up(&town, 1, 0));
    town_link_up(&town, 1, 0);
    town_deliver_all(&town);
    assert_true(town_is_up(&town, 1, 0));
}

static void
a_damaged_state_starts_no_node(void **state)
{
    assert_null(membership_new(&town.nodes[0].config, &town.nodes[0].questions,
                               slice_from_string("damaged"), &town.stage.actions));
}

static void
peers_and_members_are_found_from_each_other(void **state)
{
    town_form(&town);
    for (uint32_t i = 1; i < TOWN_NODES; i++)
    {
        assert_int_equal(membership_peer_of(town.nodes[0].membership, i), i);
        assert_int_equal(membership_member_of(town.nodes[0].membership, i), i);
    }
    assert_int_equal(membership_peer_of(town.nodes[0].membership, 0), TOPOLOGY_NO_MEMBER);
    assert_int_equal(membership_member_of(town.nodes[0].membership, 99), TOPOLOGY_NO_MEMBER);
}

static void
fetch(uint32_t node, uint64_t have_epoch)
{
    TopologyFetch wanted = {.have_epoch = have_epoch};
    Frame frame;

    topology_fetch_encode(stage_buffer(&town.stage), 9, &wanted);
    frame = stage_frame(&town.stage);
    membership_session_frame(town.nodes[node].membership,
                             (Origin){.session = TOWN_CLIENT, .tag = 9}, &frame, town.now_ms,
                             &town.stage.actions);
    town_post(&town, node);
}

static void
a_topology_is_given_to_who_lacks_it(void **state)
{
    TopologyFrame answer;

    town_form(&town);
    fetch(0, 0);
    assert_int_equal(town_answered_topology(&town, 0).epoch, 1);
    fetch(0, 1);
    assert_true(topology_frame_decode(&town.answers[1].frame, &answer));
    assert_int_equal(answer.epoch, 1);
    assert_int_equal(answer.document.length, 0);
}

static void
a_node_in_no_cluster_has_no_topology_to_give(void **state)
{
    Bucket bucket = town_named(&town, "cart");

    town_start(&town, 0, SLICE_EMPTY);
    fetch(0, 0);
    town_create(&town, 0, TOWN_CLIENT, &bucket);
    assert_int_equal(town_answered_error(&town, 0), STATUS_NOT_FORMED);
    assert_int_equal(town_answered_error(&town, 1), STATUS_NOT_FORMED);
}

/* A document of epoch 9 as node 1 might send it to node 0. */
static void
offer(uint8_t cluster_change)
{
    TopologyFrame offered = {.epoch = 9};
    Topology topology = *membership_topology(town.nodes[0].membership);
    Frame frame;
    Buffer document;

    topology.epoch = 9;
    topology.cluster[0] = (uint8_t)(topology.cluster[0] + cluster_change);
    buffer_init(&document, &MEMORY_HEAP);
    topology_encode(&document, &topology);
    offered.document = buffer_slice(&document);
    topology_frame_encode(stage_buffer(&town.stage), 0, &offered);
    frame = stage_frame(&town.stage);
    membership_peer_frame(town.nodes[0].membership, 1, &frame, town.now_ms, &town.stage.actions);
    buffer_free(&document);
}

static void
a_topology_of_another_cluster_is_refused(void **state)
{
    town_form(&town);
    membership_fetch(town.nodes[0].membership, 9, town.now_ms, &town.stage.actions);
    offer(1);
    town_post(&town, 0);
    assert_int_equal(town_epoch_of(&town, 0), 1);
    assert_non_null(strstr(town.nodes[0].last_log, "another cluster"));
}

static void
a_topology_that_was_not_asked_for_is_not_taken(void **state)
{
    town_form(&town);
    offer(0);
    assert_int_equal(town_epoch_of(&town, 0), 1);
    membership_fetch(town.nodes[0].membership, 9, town.now_ms, &town.stage.actions);
    offer(0);
    assert_int_equal(town_epoch_of(&town, 0), 9);
}

/* Whom node 0 has asked for its topology since it was last looked; NODES: nobody. */
static uint32_t
asked_peer(void)
{
    uint32_t asked = TOWN_NODES;

    for (size_t i = 0; i < town.stage.actions.count; i++)
    {
        const Action *action = &town.stage.actions.list[i];

        if (action->kind != ACTION_SEND_PEER ||
            stage_action_frame(&town.stage, action).type != FRAME_TOPOLOGY_FETCH)
            continue;
        assert_int_equal(asked, TOWN_NODES);
        asked = action->member;
    }
    stage_clear(&town.stage);
    return asked;
}

static uint32_t
speak_of(uint64_t epoch)
{
    membership_fetch(town.nodes[0].membership, epoch, town.now_ms, &town.stage.actions);
    return asked_peer();
}

static uint32_t
tick_on(uint64_t ms)
{
    town.now_ms += ms;
    membership_tick(town.nodes[0].membership, town.now_ms, &town.stage.actions);
    return asked_peer();
}

static void
a_topology_is_fetched_from_one_peer_after_the_other_with_a_pause(void **state)
{
    uint32_t first;
    uint32_t second;

    town_form(&town);
    assert_int_equal(speak_of(1), TOWN_NODES);
    first = speak_of(9);
    assert_true(first == 1 || first == 2);
    assert_int_equal(speak_of(9), TOWN_NODES);
    assert_int_equal(speak_of(10), TOWN_NODES);
    assert_int_equal(tick_on(TOWN_TICK_MS), TOWN_NODES);
    second = tick_on(300);
    assert_true(second == 1 || second == 2);
    assert_true(second != first);
}

static void
who_has_no_newer_topology_is_not_asked_again_for_it(void **state)
{
    TopologyFrame none = {.epoch = 1};
    Frame frame;
    uint32_t first;

    town_form(&town);
    first = speak_of(9);
    for (uint32_t i = 0; i < 2; i++)
    {
        topology_frame_encode(stage_buffer(&town.stage), 0, &none);
        frame = stage_frame(&town.stage);
        membership_peer_frame(town.nodes[0].membership, i == 0 ? first : 3 - first, &frame,
                              town.now_ms, &town.stage.actions);
        assert_int_equal(asked_peer(), i == 0 ? 3 - first : TOWN_NODES);
    }
    assert_int_equal(tick_on(1000), TOWN_NODES);
    assert_int_not_equal(speak_of(9), TOWN_NODES);
}

static void
a_member_that_missed_an_epoch_fetches_it_by_the_next_hello(void **state)
{
    Bucket bucket = town_named(&town, "cart");

    town_form(&town);
    town.cut[2] = true;
    town_create(&town, 0, TOWN_CLIENT, &bucket);
    town_deliver_all(&town);
    assert_int_equal(town_epoch_of(&town, 0), 2);
    assert_int_equal(town_epoch_of(&town, 2), 1);
    town.cut[2] = false;
    town_pass(&town, 500);
    assert_int_equal(town_epoch_of(&town, 2), 2);
}

static void
a_node_wakes_up_for_its_next_tick(void **state)
{
    town_form(&town);
    assert_in_range(membership_wake_ms(town.nodes[0].membership), town.now_ms,
                    town.now_ms + TOWN_TICK_MS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(three_seeds_form_one_cluster),
        TEST(a_seed_alone_forms_a_cluster_by_itself),
        TEST(no_cluster_forms_before_every_seed_has_answered),
        TEST(seeds_that_differ_do_not_form_a_cluster),
        TEST(partitions_that_differ_do_not_form_a_cluster),
        TEST(the_next_seed_proposes_when_the_lowest_does_not),
        TEST(a_node_that_is_no_seed_waits_to_be_joined),
        TEST(a_seed_that_meets_a_cluster_forms_none_of_its_own),
        TEST(a_node_with_our_member_id_is_ignored_and_told_of),
        TEST(two_seeds_with_one_member_id_are_told_of),
        TEST(a_silent_member_is_down_until_it_answers_again),
        TEST(a_member_whose_link_breaks_is_down_at_once),
        TEST(a_member_that_gossip_holds_for_dead_is_down_though_its_link_answers),
        TEST(a_node_that_was_paused_itself_holds_no_silence_against_others),
        TEST(a_pause_only_puts_off_what_silence_means),
        TEST(a_stranger_at_a_members_address_is_not_up),
        TEST(a_restarted_member_is_in_its_cluster_at_once_and_knows_nobody_up),
        TEST(a_damaged_state_starts_no_node),
        TEST(peers_and_members_are_found_from_each_other),
        TEST(a_topology_is_given_to_who_lacks_it),
        TEST(a_node_in_no_cluster_has_no_topology_to_give),
        TEST(a_topology_of_another_cluster_is_refused),
        TEST(a_topology_that_was_not_asked_for_is_not_taken),
        TEST(a_topology_is_fetched_from_one_peer_after_the_other_with_a_pause),
        TEST(who_has_no_newer_topology_is_not_asked_again_for_it),
        TEST(a_member_that_missed_an_epoch_fetches_it_by_the_next_hello),
        TEST(a_node_wakes_up_for_its_next_tick),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
