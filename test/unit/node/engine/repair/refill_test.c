#include "node/engine/repair/refill.h"
#include "test/lib/next_topology.h"
#include "test/unit/stages/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Three members, n 3, 8 partitions: the two other owners of each partition are to be scanned. */
enum
{
    SCANS = 2 * STAGE_PARTITIONS
};

typedef struct Fixture
{
    Stage stage;
    Refill *refill;
} Fixture;

static Fixture fixture;

static int
set_up(void **state)
{
    stage_init(&fixture.stage, 3, 3);
    fixture.refill = refill_new(&fixture.stage.view);
    return 0;
}

static int
tear_down(void **state)
{
    refill_free(fixture.refill);
    stage_free(&fixture.stage);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* A question that was sent, taken out of the actions. */
typedef struct Question
{
    uint32_t member;
    uint32_t tag;
    ScanFrame scan;
} Question;

static uint32_t
step(Question *questions)
{
    uint32_t count;

    stage_clear(&fixture.stage);
    refill_step(fixture.refill, &fixture.stage.view);
    count = stage_count(&fixture.stage, ACTION_SEND);
    for (uint32_t i = 0; i < count; i++)
    {
        const Action *action = stage_action(&fixture.stage, ACTION_SEND, i);
        Frame frame = stage_action_frame(&fixture.stage, action);

        questions[i] = (Question){.member = action->member, .tag = frame.tag};
        assert_true(scan_decode(&frame, &questions[i].scan));
        assert_false(questions[i].scan.digest_only);
    }
    return count;
}

static void
answer(const Question *question, ScanReply reply)
{
    Frame frame;

    scan_reply_encode(stage_buffer(&fixture.stage), question->tag, &reply);
    frame = stage_frame(&fixture.stage);
    stage_clear(&fixture.stage);
    refill_member_frame(fixture.refill, &fixture.stage.view, question->member, &frame);
}

static void
answer_empty(const Question *question)
{
    ScanRow none = {0};

    answer(question, (ScanReply){.done = true, .rows = &none});
}

static void
answer_one_row(const Question *question, bool done)
{
    ScanRow row = {.key = stage_key(&fixture.stage, "pear"),
                   .object = stage_object(&fixture.stage, 1, 1, "pear")};

    answer(question,
           (ScanReply){
               .done = done, .last = slice_from_string("somewhere"), .row_count = 1, .rows = &row});
}

static void
every_other_owner_of_every_partition_is_scanned(void **state)
{
    Question questions[SCANS];
    bool seen[STAGE_PARTITIONS][3] = {{false}};
    uint32_t total = 0;

    for (uint32_t count = step(questions); count > 0; count = step(questions))
    {
        for (uint32_t i = 0; i < count; i++, total++)
        {
            assert_false(refill_is_done(fixture.refill));
            assert_int_not_equal(questions[i].member, 0);
            assert_false(seen[questions[i].scan.partition][questions[i].member]);
            seen[questions[i].scan.partition][questions[i].member] = true;
            answer_empty(&questions[i]);
        }
    }
    assert_int_equal(total, SCANS);
    assert_true(refill_is_done(fixture.refill));
    assert_int_equal(refill_finished(fixture.refill), refill_planned(fixture.refill));
}

static void
a_page_counts_when_its_rows_are_durable(void **state)
{
    Question questions[SCANS];

    (void)step(questions);
    answer_one_row(&questions[0], true);

    uint64_t ref = stage_action(&fixture.stage, ACTION_APPLY, 0)->ref;

    assert_non_null(stage_action(&fixture.stage, ACTION_APPLY, 0)->update->merge);
    refill_merged(fixture.refill, ref, STATUS_OK);
    assert_int_equal(refill_finished(fixture.refill), 0);
    refill_durable(fixture.refill, ref, STATUS_OK);
    assert_int_equal(refill_finished(fixture.refill), 1);
}

static void
the_next_page_begins_where_the_last_one_ended(void **state)
{
    Question questions[SCANS];
    Question next[SCANS];

    (void)step(questions);
    answer_one_row(&questions[0], false);
    refill_durable(fixture.refill, stage_action(&fixture.stage, ACTION_APPLY, 0)->ref, STATUS_OK);
    assert_int_equal(step(next), 1);
    assert_int_equal(next[0].scan.partition, questions[0].scan.partition);
    assert_true(slice_equal(next[0].scan.after, slice_from_string("somewhere")));
    assert_int_equal(refill_finished(fixture.refill), 0);
}

static void
a_row_that_could_not_be_stored_is_asked_for_again_after_a_while(void **state)
{
    Question questions[SCANS];
    Question again[SCANS];

    (void)step(questions);
    answer_one_row(&questions[0], true);
    refill_durable(fixture.refill, stage_action(&fixture.stage, ACTION_APPLY, 0)->ref,
                   STATUS_STORAGE);
    assert_int_equal(refill_finished(fixture.refill), 0);
    assert_int_equal(step(again), 0);
    fixture.stage.view.now_ms += 1000;
    assert_int_equal(step(again), 1);
    assert_int_equal(again[0].scan.partition, questions[0].scan.partition);
    assert_int_equal(again[0].scan.after.length, 0);
}

static void
an_owner_that_is_down_is_waited_for(void **state)
{
    Question questions[SCANS];

    fixture.stage.up[2] = false;
    for (uint32_t count = step(questions); count > 0; count = step(questions))
    {
        for (uint32_t i = 0; i < count; i++)
        {
            assert_int_equal(questions[i].member, 1);
            answer_empty(&questions[i]);
        }
    }
    assert_int_equal(refill_finished(fixture.refill), SCANS / 2);
    assert_false(refill_is_done(fixture.refill));
    fixture.stage.up[2] = true;
    assert_true(step(questions) > 0);
}

static void
answer_all(void)
{
    Question questions[SCANS];

    for (uint32_t count = step(questions); count > 0; count = step(questions))
    {
        for (uint32_t i = 0; i < count; i++)
            answer_empty(&questions[i]);
    }
}

static void
an_owner_that_a_plan_has_given_up_is_not_waited_for(void **state)
{
    fixture.stage.up[2] = false;
    answer_all();
    assert_false(refill_is_done(fixture.refill));
    fixture.stage.topology.members[2].state = MEMBER_GONE;
    answer_all();
    assert_true(refill_is_done(fixture.refill));
}

/* Member 3 is to take the place of member 2 in the first partition that this node owns: both may
 * have what it lacks, and it is planned although that bucket was before. */
static void
owners_of_claim_and_target_are_asked_where_a_partition_moves(void **state)
{
    Topology *topology = &fixture.stage.topology;
    uint8_t steps[STAGE_PARTITIONS] = {0};
    uint16_t target[4] = {0};
    uint32_t planned;

    tear_down(state);
    stage_init(&fixture.stage, 4, 3);
    fixture.refill = refill_new(&fixture.stage.view);
    answer_all();
    assert_true(refill_is_done(fixture.refill));
    planned = refill_planned(fixture.refill);
    memcpy(target, topology->preference, sizeof(target));
    topology->target_preference =
        arena_copy(&fixture.stage.arena, topology->preference,
                   sizeof(uint16_t) * STAGE_PARTITIONS * topology->preference_length);
    topology->target_preference[2] = target[3];
    topology->target_preference[3] = target[2];
    topology->target = topology->claim;
    topology->steps = steps;
    for (TopologyStep now = TOPOLOGY_FILLING; now <= TOPOLOGY_HANDING; now++)
    {
        steps[0] = (uint8_t)now;
        topology->changed[0] = ++topology->epoch;
        answer_all();
        assert_true(refill_is_done(fixture.refill));
        assert_int_equal(refill_planned(fixture.refill), planned + 3);
        planned += 3;
    }
    topology->epoch++;
    answer_all();
    assert_int_equal(refill_planned(fixture.refill), planned);
}

static void
an_owner_that_goes_down_owes_its_scans_again(void **state)
{
    Question questions[SCANS];
    uint32_t count = step(questions);

    for (uint32_t i = 0; i < count; i++)
    {
        refill_member_down(fixture.refill, questions[i].member);
        answer_empty(&questions[i]);
    }
    assert_int_equal(refill_finished(fixture.refill), 0);
    assert_int_equal(step(questions), 0);
    fixture.stage.view.now_ms += 1000;
    assert_int_equal(step(questions), count);
}

static void
an_owner_that_goes_down_between_two_pages_is_not_asked(void **state)
{
    Question questions[SCANS];
    Question next[SCANS];

    (void)step(questions);
    answer_one_row(&questions[0], false);
    refill_durable(fixture.refill, stage_action(&fixture.stage, ACTION_APPLY, 0)->ref, STATUS_OK);
    fixture.stage.up[questions[0].member] = false;
    refill_member_down(fixture.refill, questions[0].member);
    assert_int_equal(step(next), 0);
    fixture.stage.view.now_ms += 1000;
    for (uint32_t i = step(next); i-- > 0;)
        assert_int_not_equal(next[i].member, questions[0].member);
}

static void
a_refusal_is_tried_again(void **state)
{
    Question questions[SCANS];
    Frame frame;
    uint32_t count = step(questions);

    frame = stage_error(&fixture.stage, questions[0].tag, STATUS_BEHIND);
    refill_member_frame(fixture.refill, &fixture.stage.view, questions[0].member, &frame);
    for (uint32_t i = 1; i < count; i++)
        answer_empty(&questions[i]);
    assert_int_equal(refill_finished(fixture.refill), count - 1);
    assert_int_equal(step(questions), 0);
    fixture.stage.view.now_ms += 1000;
    assert_true(step(questions) > 0);
}

/* The question was given up, and its lane asks another one by now. */
static void
a_late_answer_is_not_taken_for_the_next(void **state)
{
    Question questions[SCANS];
    Question next[SCANS];
    Frame refusal;
    uint32_t count = step(questions);

    (void)state;
    for (uint32_t i = 1; i < count; i++)
        answer_empty(&questions[i]);
    refusal = stage_error(&fixture.stage, questions[0].tag, STATUS_BEHIND);
    refill_member_frame(fixture.refill, &fixture.stage.view, questions[0].member, &refusal);
    fixture.stage.view.now_ms += 1000;
    assert_int_equal(step(next), 0);
    fixture.stage.view.now_ms += 1000;
    assert_true(step(next) > 0);
    answer_empty(&questions[0]);
    assert_int_equal(refill_finished(fixture.refill), count - 1);
}

static void
a_bucket_that_is_learnt_of_meanwhile_is_scanned_too(void **state)
{
    Question questions[SCANS];
    Bucket bucket = *fixture.stage.bucket;
    Topology next;
    const char *why;
    uint32_t of_it = 0;

    (void)step(questions);
    answer_empty(&questions[0]);
    bucket.name = "orders";
    assert_true(next_topology_with_bucket(&fixture.stage.topology, &bucket, &fixture.stage.arena,
                                          &next, &why));
    fixture.stage.view.topology = &next;
    for (uint32_t i = 1; i < 4; i++)
        answer_empty(&questions[i]);
    for (uint32_t count = step(questions); count > 0; count = step(questions))
    {
        for (uint32_t i = 0; i < count; i++)
        {
            of_it += questions[i].scan.bucket_id != fixture.stage.bucket->id;
            answer_empty(&questions[i]);
        }
    }
    assert_int_equal(of_it, SCANS);
    assert_int_equal(refill_planned(fixture.refill), 2 * SCANS);
    assert_true(refill_is_done(fixture.refill));
}

static void
a_bucket_that_is_dropped_meanwhile_keeps_nothing_from_being_filled(void **state)
{
    Question questions[SCANS];
    uint32_t count = step(questions);

    (void)state;
    fixture.stage.topology.bucket_count = 0;
    fixture.stage.topology.epoch++;
    for (uint32_t i = 0; i < count; i++)
    {
        Frame refusal = stage_error(&fixture.stage, questions[i].tag, STATUS_NO_BUCKET);

        refill_member_frame(fixture.refill, &fixture.stage.view, questions[i].member, &refusal);
    }
    (void)step(questions);
    fixture.stage.view.now_ms += 1000;
    assert_int_equal(step(questions), 0);
    assert_true(refill_is_done(fixture.refill));
}

static void
a_failed_disk_is_not_filled(void **state)
{
    Question questions[SCANS];

    fixture.stage.view.cannot_write = true;
    assert_int_equal(step(questions), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_other_owner_of_every_partition_is_scanned),
        TEST(a_page_counts_when_its_rows_are_durable),
        TEST(the_next_page_begins_where_the_last_one_ended),
        TEST(a_row_that_could_not_be_stored_is_asked_for_again_after_a_while),
        TEST(an_owner_that_is_down_is_waited_for),
        TEST(an_owner_that_a_plan_has_given_up_is_not_waited_for),
        TEST(owners_of_claim_and_target_are_asked_where_a_partition_moves),
        TEST(an_owner_that_goes_down_owes_its_scans_again),
        TEST(an_owner_that_goes_down_between_two_pages_is_not_asked),
        TEST(a_refusal_is_tried_again),
        TEST(a_late_answer_is_not_taken_for_the_next),
        TEST(a_bucket_that_is_learnt_of_meanwhile_is_scanned_too),
        TEST(a_bucket_that_is_dropped_meanwhile_keeps_nothing_from_being_filled),
        TEST(a_failed_disk_is_not_filled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
