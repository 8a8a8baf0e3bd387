/* What a member that joins asks for, and when it is ready. */
#include "node/engine/repair/joining.h"
#include "test/unit/stages/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum
{
    MEMBERS = 4,
    ASK_AGAIN_MS = 1000 /* as joining.c has it */
};

/* Member 0 of the stage joins; the bucket is the only one. */
typedef struct Fixture
{
    Stage stage;
    Rounds rounds;
    Joining *joining;
    uint32_t tag; /* of what was asked last */
} Fixture;

static int
set_up(void **state)
{
    static Fixture fixture;

    fixture = (Fixture){.joining = joining_new()};
    stage_init(&fixture.stage, MEMBERS, 3);
    fixture.stage.topology.members[0].state = MEMBER_JOINING;
    fixture.stage.view.rounds = &fixture.rounds;
    *state = &fixture;
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;

    joining_free(fixture->joining);
    rounds_free(&fixture->rounds);
    stage_free(&fixture->stage);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* The next step, and how many members it asks. */
static uint32_t
step(Fixture *fixture)
{
    uint32_t count;

    stage_clear(&fixture->stage);
    joining_step(fixture->joining, &fixture->stage.view);
    count = stage_count(&fixture->stage, ACTION_SEND);
    for (uint32_t i = 0; i < count; i++)
    {
        Frame frame =
            stage_action_frame(&fixture->stage, stage_action(&fixture->stage, ACTION_SEND, i));
        ReapRoundsFrame asked;

        assert_true(reap_rounds_decode(&frame, &asked));
        assert_int_equal(asked.bucket_id, STAGE_BUCKET);
        assert_int_equal(asked.epoch, fixture->stage.topology.epoch);
        fixture->tag = frame.tag;
    }
    return count;
}

static void
answer(Fixture *fixture, uint32_t member, bool whole, uint32_t partition, uint64_t cleared)
{
    ReapRound item = {.partition = partition, .cleared = cleared};
    ReapRoundsReply reply = {.whole = whole, .items = &item, .item_count = 1};
    Frame frame;

    reap_rounds_reply_encode(stage_buffer(&fixture->stage), fixture->tag, &reply);
    frame = stage_frame(&fixture->stage);
    stage_clear(&fixture->stage);
    joining_member_frame(fixture->joining, &fixture->stage.view, member, &frame);
}

/* What is to be written down is, or is not. */
static void
write_down(Fixture *fixture, StatusCode status)
{
    uint64_t refs[STAGE_PARTITIONS];
    uint32_t count = stage_count(&fixture->stage, ACTION_SET_ROUND);

    for (uint32_t i = 0; i < count; i++)
        refs[i] = stage_action(&fixture->stage, ACTION_SET_ROUND, i)->ref;
    for (uint32_t i = 0; i < count; i++)
        joining_durable(fixture->joining, refs[i], status);
}

static uint64_t
cleared_of(const Fixture *fixture, uint32_t partition)
{
    return rounds_of(&fixture->rounds, (TreeId){.bucket_id = STAGE_BUCKET, .partition = partition})
        .cleared;
}

static void
the_highest_number_of_all_who_are_up_counts(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(step(fixture), MEMBERS - 1);
    answer(fixture, 1, true, 3, 7);
    answer(fixture, 2, true, 3, 9);
    assert_int_equal(stage_count(&fixture->stage, ACTION_SET_ROUND), 0);
    answer(fixture, 3, true, 5, 2);
    assert_int_equal(stage_count(&fixture->stage, ACTION_SET_ROUND), 2);
    assert_int_equal(stage_action(&fixture->stage, ACTION_SET_ROUND, 0)->round.cleared, 9);
    assert_int_equal(cleared_of(fixture, 3), 9);
    assert_int_equal(cleared_of(fixture, 5), 2);
    assert_false(joining_is_done(fixture->joining));
    write_down(fixture, STATUS_OK);
    assert_int_equal(step(fixture), 0);
    assert_true(joining_is_done(fixture->joining));
    fixture->stage.topology.members[0].state = MEMBER_ACTIVE;
    assert_int_equal(step(fixture), 0);
    assert_false(joining_is_done(fixture->joining));
}

/* Its data are older than they were, or it does not know yet who joins, or joins itself. */
static void
who_may_not_know_is_not_enough(void **state)
{
    Fixture *fixture = *state;

    (void)step(fixture);
    for (uint32_t member = 1; member < MEMBERS; member++)
        answer(fixture, member, false, 3, 7);
    assert_int_equal(stage_count(&fixture->stage, ACTION_SET_ROUND), 0);
    assert_int_equal(step(fixture), 0);
    fixture->stage.view.now_ms += ASK_AGAIN_MS;
    assert_int_equal(step(fixture), MEMBERS - 1);
    assert_false(joining_is_done(fixture->joining));
    answer(fixture, 1, true, 3, 7);
    fixture->stage.view.now_ms += ASK_AGAIN_MS;
    assert_int_equal(step(fixture), 0);
    assert_int_equal(stage_count(&fixture->stage, ACTION_SET_ROUND), 1);
    write_down(fixture, STATUS_OK);
    (void)step(fixture);
    assert_true(joining_is_done(fixture->joining));
}

static void
one_that_is_down_is_not_waited_for(void **state)
{
    Fixture *fixture = *state;

    fixture->stage.up[3] = false;
    assert_int_equal(step(fixture), MEMBERS - 2);
    answer(fixture, 1, true, 3, 7);
    fixture->stage.up[2] = false;
    (void)step(fixture);
    write_down(fixture, STATUS_OK);
    (void)step(fixture);
    assert_true(joining_is_done(fixture->joining));
}

static void
what_is_not_on_the_disk_is_asked_for_again(void **state)
{
    Fixture *fixture = *state;

    (void)step(fixture);
    for (uint32_t member = 1; member < MEMBERS; member++)
        answer(fixture, member, true, 3, 7);
    write_down(fixture, STATUS_STORAGE);
    assert_int_equal(step(fixture), MEMBERS - 1);
    assert_false(joining_is_done(fixture->joining));
}

/* An answer to another question, or one too many, changes nothing. */
static void
an_answer_to_another_question_is_passed_over(void **state)
{
    Fixture *fixture = *state;

    (void)step(fixture);
    fixture->tag++;
    answer(fixture, 1, true, 3, 7);
    fixture->tag--;
    answer(fixture, 1, true, STAGE_PARTITIONS, 7);
    answer(fixture, 1, true, 3, 8);
    answer(fixture, 2, true, 4, 1);
    answer(fixture, 3, true, 4, 1);
    assert_int_equal(cleared_of(fixture, 3), 0);
    assert_int_equal(cleared_of(fixture, 4), 1);
}

static void
a_member_that_does_not_join_asks_nothing(void **state)
{
    Fixture *fixture = *state;

    fixture->stage.topology.members[0].state = MEMBER_ACTIVE;
    assert_int_equal(step(fixture), 0);
    fixture->stage.topology.members[0].state = MEMBER_JOINING;
    fixture->stage.view.self = TOPOLOGY_NO_MEMBER;
    assert_int_equal(step(fixture), 0);
    assert_false(joining_is_done(fixture->joining));
    assert_true(joining_wake_ms(fixture->joining) == UINT64_MAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_highest_number_of_all_who_are_up_counts),
        TEST(who_may_not_know_is_not_enough),
        TEST(one_that_is_down_is_not_waited_for),
        TEST(what_is_not_on_the_disk_is_asked_for_again),
        TEST(an_answer_to_another_question_is_passed_over),
        TEST(a_member_that_does_not_join_asks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
