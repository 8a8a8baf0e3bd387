/* Changes of members: staged, committed and cleared by nodes of a small cluster. */
#include "test/unit/stages/town.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TWO_SEEDS "127.0.0.1:7100,127.0.0.1:7101"

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

/* Two nodes are a cluster; the third has them for its seeds. */
static void
form_two_and_a_newcomer(void)
{
    for (uint32_t i = 0; i < TOWN_NODES; i++)
        town_add_node(&town, i, TWO_SEEDS);
    town_begin(&town);
    town_pass(&town, 2000);
    assert_int_equal(town_epoch_of(&town, 0), 1);
    town_assert_waiting(&town, 2, "not a member");
}

static const Topology *
topology_of(uint32_t node)
{
    return membership_topology(town.nodes[node].membership);
}

static const char *
name_of(uint32_t node)
{
    return town.nodes[node].config.name;
}

/* The client asks, and all mail arrives. */
static void
ask(uint32_t node, PlanFrame plan)
{
    plan.node = plan.node != NULL ? plan.node : "";
    plan.with = plan.with != NULL ? plan.with : "";
    town_plan(&town, node, TOWN_CLIENT, &plan);
    town_deliver_all(&town);
}

static void
stage(uint32_t node, StagedKind kind, uint32_t about, uint32_t with)
{
    ask(node, (PlanFrame){
                  .deed = PLAN_STAGE,
                  .change = {.kind = kind, .weight = 2, .zone = "east"},
                  .node = name_of(about),
                  .with = kind == STAGED_REPLACE ? name_of(with) : ""
    });
}

static void
assert_refused(uint32_t answer, const char *words)
{
    ErrorFrame error;
    char text[1024];

    assert_int_equal(town_answered_error(&town, answer), STATUS_PLAN_REFUSED);
    assert_true(error_decode(&town.answers[answer].frame, &error));
    snprintf(text, sizeof(text), "%.*s", (int)error.message.length,
             (const char *)error.message.data);
    if (strstr(text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", text, words);
    assert_non_null(strchr(text, '\n'));
}

static const Newcomer *
first_newcomer(uint32_t node)
{
    uint32_t index = 0;

    return membership_next_newcomer(town.nodes[node].membership, &index, town.now_ms);
}

static void
a_newcomer_is_seen_as_long_as_it_is_heard(void **state)
{
    form_two_and_a_newcomer();
    assert_non_null(first_newcomer(0));
    assert_string_equal(first_newcomer(0)->name, name_of(2));
    town_stop(&town, 2);
    town.cut[2] = true;
    town_pass(&town, 6000);
    assert_null(first_newcomer(0));
}

static void
a_newcomer_that_nobody_hears_does_not_join(void **state)
{
    form_two_and_a_newcomer();
    town_stop(&town, 2);
    town.cut[2] = true;
    town_pass(&town, 6000);
    stage(0, STAGED_JOIN, 2, 0);
    assert_refused(0, "offers itself to this one");
}

static void
assert_moves_refused(uint32_t answer)
{
    assert_int_equal(town_answered_error(&town, answer), STATUS_NO_MOVES);
}

/* Nobody would move a partition: neither is a newcomer taken in nor a plan begun that needs it. */
static void
what_would_move_partitions_is_not_begun(void **state)
{
    static const StagedKind kinds[] = {STAGED_LEAVE, STAGED_WEIGHT};

    form_two_and_a_newcomer();
    stage(0, STAGED_JOIN, 1, 0);
    assert_refused(0, "is a member already");
    stage(0, STAGED_JOIN, 2, 0);
    assert_moves_refused(1);
    stage(0, STAGED_REPLACE, 1, 2);
    assert_moves_refused(2);
    assert_int_equal(topology_of(0)->member_count, 2);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
    {
        stage(0, kinds[i], 1, 0);
        ask(0, (PlanFrame){.deed = PLAN_COMMIT});
        assert_moves_refused(town.answer_count - 1);
        ask(0, (PlanFrame){.deed = PLAN_CLEAR});
    }
    assert_null(topology_of(0)->target);
    assert_int_equal(topology_of(0)->members[1].state, MEMBER_ACTIVE);
}

static void
a_dead_node_is_not_given_up_and_a_live_one_not_even_staged(void **state)
{
    town_form(&town);
    stage(0, STAGED_REMOVE, 2, 0);
    assert_refused(0, "is up and cannot be removed");
    town.cut[2] = true;
    town_pass(&town, 2000);
    membership_judge(town.nodes[0].membership, 2, true);
    stage(0, STAGED_REMOVE, 2, 0);
    assert_int_equal(town_answered_topology(&town, 1).staged_count, 1);
    membership_judge(town.nodes[0].membership, 2, true);
    ask(0, (PlanFrame){.deed = PLAN_COMMIT});
    assert_moves_refused(2);
    assert_int_equal(topology_of(0)->fence, 0);
}

static void
what_is_staged_is_cleared_by_any_node(void **state)
{
    town_form(&town);
    stage(0, STAGED_ZONE, 1, 0);
    ask(1, (PlanFrame){.deed = PLAN_CLEAR});
    assert_int_equal(topology_of(2)->staged_count, 0);
    ask(1, (PlanFrame){.deed = PLAN_COMMIT});
    assert_refused(2, "nothing is staged");
    assert_string_equal(topology_of(2)->members[1].zone, "");
}

static void
a_newcomer_with_other_partitions_does_not_join(void **state)
{
    for (uint32_t i = 0; i < TOWN_NODES; i++)
        town_add_node(&town, i, TWO_SEEDS);
    town.nodes[2].config.partitions = 2 * STAGE_PARTITIONS;
    town_begin(&town);
    town_pass(&town, 2000);
    stage(0, STAGED_JOIN, 2, 0);
    assert_refused(0, "has partitions = ");
}

static void
a_zone_that_cannot_be_is_not_staged(void **state)
{
    town_form(&town);
    ask(0, (PlanFrame){
               .deed = PLAN_STAGE,
               .change = {.kind = STAGED_ZONE, .zone = "a b"},
               .node = name_of(1)
    });
    assert_refused(0, "cannot be written down");
    assert_int_equal(town_epoch_of(&town, 0), 1);
}

/* Its hello comes with a cluster of its own: the folder was used before. */
static void
a_newcomer_of_another_cluster_does_not_join(void **state)
{
    HelloFrame hello = {.id = stage_member_id(40),
                        .name = slice_from_string("used"),
                        .address = slice_from_string("127.0.0.1"),
                        .port = TOWN_PORT + 9,
                        .weight = 1,
                        .partitions = STAGE_PARTITIONS,
                        .epoch = 3,
                        .cluster = {9}};
    Frame frame;

    town_form(&town);
    hello_encode(stage_buffer(&town.stage), FRAME_HELLO, 1, &hello);
    frame = stage_frame(&town.stage);
    membership_session_frame(town.nodes[0].membership, (Origin){.session = 0}, &frame, town.now_ms,
                             &town.stage.actions);
    town_deliver_all(&town);
    ask(0, (PlanFrame){.deed = PLAN_STAGE, .change = {.kind = STAGED_JOIN}, .node = "used"});
    assert_refused(town.answer_count - 1, "is a member of another cluster");
}

static void
a_plan_that_has_changed_is_not_committed(void **state)
{
    uint64_t seen;

    town_form(&town);
    stage(0, STAGED_ZONE, 1, 0);
    seen = topology_of(0)->staged_epoch;
    stage(1, STAGED_ZONE, 2, 0);
    ask(0, (PlanFrame){.deed = PLAN_COMMIT, .plan = seen});
    assert_refused(2, "is not the one that is staged now");
    assert_int_equal(topology_of(0)->staged_count, 2);
}

/* Both want it committed, and it is, once. */
static void
two_operators_who_commit_at_once_commit_one_plan(void **state)
{
    uint64_t plan;

    town_form(&town);
    stage(0, STAGED_ZONE, 1, 0);
    plan = topology_of(0)->staged_epoch;
    for (uint32_t node = 0; node < 2; node++)
        town_plan(&town, node, TOWN_CLIENT + node,
                  &(PlanFrame){.deed = PLAN_COMMIT, .plan = plan, .node = "", .with = ""});
    town_deliver_all(&town);
    town_pass(&town, 3000);
    assert_int_equal(town.answer_count, 3);
    assert_int_equal(topology_of(2)->committed_epoch, plan);
    assert_string_equal(topology_of(2)->members[1].zone, "east");
}

static void
a_minority_is_told_in_time(void **state)
{
    town_form(&town);
    town.cut[1] = town.cut[2] = true;
    town_plan(&town, 0, TOWN_CLIENT,
              &(PlanFrame){
                  .deed = PLAN_STAGE,
                  .change = {.kind = STAGED_ZONE, .weight = 2},
                  .node = name_of(1),
                  .with = ""
    });
    town_pass(&town, 6000);
    assert_int_equal(town_answered_error(&town, 0), STATUS_UNAVAILABLE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_newcomer_is_seen_as_long_as_it_is_heard),
        TEST(a_newcomer_that_nobody_hears_does_not_join),
        TEST(what_would_move_partitions_is_not_begun),
        TEST(a_dead_node_is_not_given_up_and_a_live_one_not_even_staged),
        TEST(what_is_staged_is_cleared_by_any_node),
        TEST(a_newcomer_with_other_partitions_does_not_join),
        TEST(a_zone_that_cannot_be_is_not_staged),
        TEST(a_newcomer_of_another_cluster_does_not_join),
        TEST(a_plan_that_has_changed_is_not_committed),
        TEST(two_operators_who_commit_at_once_commit_one_plan),
        TEST(a_minority_is_told_in_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
