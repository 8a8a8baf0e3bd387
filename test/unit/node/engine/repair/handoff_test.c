#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/engine/repair/handoff.h"
#include "test/lib/reply_frames.h"
#include "test/unit/stages/stage.h"

#include <string.h>

enum
{
    MEMBERS = 5,
    N = 3,
    TARGET = 1
};

static Stage stage;
static Pacer pacer;
static Handoff *handoff;
static HintTotal owed_total;
static StorageRow rows[3];

static int
set_up(void **state)
{
    (void)state;
    stage_init(&stage, MEMBERS, N);
    pacer_init(&pacer, 0, stage.view.now_ms);
    handoff = handoff_new(&pacer);
    owed_total = (HintTotal){.target = stage_member_id(TARGET), .count = 3};
    stage.hints = (HintTotals){.targets = &owed_total, .target_count = 1};
    for (uint32_t i = 0; i < 3; i++)
    {
        rows[i] = (StorageRow){.bucket_id = STAGE_BUCKET,
                               .key = stage_key_of(&stage, TARGET, i),
                               .object = stage_object(&stage, 1, (uint8_t)(i + 1), "apple")};
        assert_true(topology_position(stage.bucket, rows[i].key, &rows[i].position));
    }
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    handoff_free(handoff);
    stage_free(&stage);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void
step(void)
{
    stage_clear(&stage);
    handoff_step(handoff, &stage.view);
}

static void
pass_time(uint64_t ms)
{
    stage.view.now_ms += ms;
    step();
}

static const Action *
asked(void)
{
    return stage_action(&stage, ACTION_OWED, 0);
}

static void
give_page(uint64_t ref, uint32_t first, uint32_t count, bool done)
{
    StoragePage page = {.rows = rows + first, .row_count = count, .done = done};

    stage_clear(&stage);
    handoff_scanned(handoff, &stage.view, ref, STATUS_OK, &page);
}

static ReplicateFrame
sent(void)
{
    Frame frame = stage_sent_to(&stage, TARGET);
    ReplicateFrame replicate;

    assert_true(replicate_decode(&frame, &stage.arena, &replicate));
    return replicate;
}

static void
acknowledge(const ReplicateFrame *frame, uint32_t item, StatusCode status)
{
    ReplicateResult result = {.ref = frame->items[item].ref, .status = status};
    ReplicateReply reply = {.items = &result, .item_count = 1};
    Frame answer;

    replicate_reply_encode(stage_buffer(&stage), 0, &reply);
    answer = stage_frame(&stage);
    stage_clear(&stage);
    handoff_member_frame(handoff, &stage.view, TARGET, &answer);
}

static ReplicateFrame
send_page(uint32_t first, uint32_t count, bool done)
{
    step();
    give_page(asked()->ref, first, count, done);
    return sent();
}

static void
what_is_owed_goes_to_its_target(void **state)
{
    ReplicateFrame frame = send_page(0, 3, true);

    assert_int_equal(frame.item_count, 3);
    for (uint32_t i = 0; i < 3; i++)
    {
        assert_int_equal(frame.items[i].bucket_id, STAGE_BUCKET);
        assert_false(frame.items[i].is_hinted);
        assert_true(slice_equal(frame.items[i].key, rows[i].key));
        assert_true(slice_equal(frame.items[i].object, rows[i].object));
    }
}

static void
nobody_is_asked_while_the_target_is_down(void **state)
{
    stage.up[TARGET] = false;
    step();
    assert_int_equal(stage_count(&stage, ACTION_OWED), 0);
    assert_true(handoff_wake_ms(handoff, &stage.view) == UINT64_MAX);
    stage.up[TARGET] = true;
    step();
    assert_int_equal(stage_count(&stage, ACTION_OWED), 1);
}

static void
a_hint_is_dropped_for_the_object_that_was_acknowledged(void **state)
{
    ReplicateFrame frame = send_page(0, 3, true);
    Digest digest = object_digest(rows[1].object);
    const Update *update;

    acknowledge(&frame, 1, STATUS_OK);
    update = stage_action(&stage, ACTION_APPLY, 0)->update;
    assert_int_equal(update->hint_count, 1);
    assert_true(update->hints[0].drop);
    assert_memory_equal(&update->hints[0].target, &owed_total.target, sizeof(MemberId));
    assert_memory_equal(&update->hints[0].acknowledged, &digest, sizeof(digest));
    assert_int_equal(handoff_total(handoff), 1);
    acknowledge(&frame, 1, STATUS_OK);
    assert_int_equal(stage_count(&stage, ACTION_APPLY), 0);
}

static void
an_object_goes_with_its_last_hint_only_where_it_is_not_owned(void **state)
{
    uint16_t owners[STAGE_MEMBERS_MAX];
    ReplicateFrame frame = send_page(0, 3, true);

    for (uint32_t i = 0; i < 3; i++)
    {
        bool owned = false;

        stage_owners(&stage, rows[i].key, owners);
        for (uint32_t storage_bytes = 0; storage_bytes < N; storage_bytes++)
            owned = owned || owners[storage_bytes] == stage.view.self;
        acknowledge(&frame, i, STATUS_OK);
        assert_int_equal(stage_action(&stage, ACTION_APPLY, 0)->update->unowned, !owned);
    }
}

static void
the_next_page_begins_behind_the_last_row(void **state)
{
    ReplicateFrame frame = send_page(0, 2, false);
    Buffer storage_bytes;

    acknowledge(&frame, 0, STATUS_OK);
    acknowledge(&frame, 1, STATUS_OK);
    pass_time(5);
    buffer_init(&storage_bytes, &MEMORY_HEAP);
    storage_key(&storage_bytes, STAGE_BUCKET, rows[1].position, rows[1].key);
    assert_true(slice_equal(asked()->owed.after, buffer_slice(&storage_bytes)));
    buffer_free(&storage_bytes);
}

static void
a_refusal_is_shown_and_tried_again_from_the_start(void **state)
{
    ReplicateFrame frame = send_page(0, 2, false);

    acknowledge(&frame, 0, STATUS_STORAGE);
    acknowledge(&frame, 1, STATUS_OK);
    assert_int_equal(stage_count(&stage, ACTION_APPLY), 1);
    assert_int_equal(handoff_status(handoff, &owed_total.target).handed, 1);
    step();
    assert_int_equal(stage_count(&stage, ACTION_OWED), 0);
    assert_true(handoff_wake_ms(handoff, &stage.view) > stage.view.now_ms);
    pass_time(1000);
    assert_int_equal(asked()->owed.after.length, 0);
}

static void
a_target_that_does_not_answer_is_tried_again(void **state)
{
    ReplicateFrame frame = send_page(0, 2, true);

    pass_time(6000);
    assert_int_equal(handoff_status(handoff, &owed_total.target).failure, STATUS_UNKNOWN);
    acknowledge(&frame, 0, STATUS_OK);
    assert_int_equal(stage_count(&stage, ACTION_APPLY), 0);
    pass_time(6000);
    assert_int_equal(stage_count(&stage, ACTION_OWED), 1);
}

static void
a_target_that_goes_down_is_left_alone(void **state)
{
    send_page(0, 2, true);
    stage.up[TARGET] = false;
    handoff_member_down(handoff, &stage.view, TARGET);
    pass_time(6000);
    assert_int_equal(stage_count(&stage, ACTION_OWED), 0);
    stage.up[TARGET] = true;
    step();
    assert_int_equal(stage_count(&stage, ACTION_OWED), 1);
}

static void
a_page_without_rows_ends_the_pass_and_rests(void **state)
{
    step();
    give_page(asked()->ref, 0, 0, true);
    assert_true(stage_sent_nothing_to(&stage, TARGET));
    step();
    assert_int_equal(stage_count(&stage, ACTION_OWED), 0);
    pass_time(1000);
    assert_int_equal(stage_count(&stage, ACTION_OWED), 1);
}

/* The key's owners are all but the target, which was one when the hint was made. */
static void
what_a_former_owner_was_owed_is_owed_to_the_owners_of_today(void **state)
{
    uint16_t owners[STAGE_MEMBERS_MAX];
    const Update *update;
    uint32_t count = 0;
    uint32_t nth = 0;

    do
    {
        rows[0].key = stage_key_of(&stage, 2 + nth % 3, nth / 3);
        stage_owners(&stage, rows[0].key, owners);
        nth++;
    } while (owners[1] == TARGET || owners[2] == TARGET);
    assert_true(topology_position(stage.bucket, rows[0].key, &rows[0].position));
    step();
    give_page(asked()->ref, 0, 1, true);
    assert_true(stage_sent_nothing_to(&stage, TARGET));
    update = stage_action(&stage, ACTION_APPLY, 0)->update;
    for (uint32_t i = 0; i < N; i++)
    {
        if (owners[i] == stage.view.self)
            continue;
        assert_false(update->hints[count].drop);
        assert_memory_equal(&update->hints[count++].target, &stage.topology.members[owners[i]].id,
                            sizeof(MemberId));
    }
    assert_int_equal(update->hint_count, count + 1);
    assert_true(update->hints[count].drop);
    assert_memory_equal(&update->hints[count].target, &owed_total.target, sizeof(MemberId));
    assert_false(update->unowned);
}

static void
what_a_removed_member_was_owed_is_taken_up(void **state)
{
    owed_total.target = (MemberId){{99}};
    step();
    give_page(asked()->ref, 0, 1, true);
    assert_int_equal(stage_count(&stage, ACTION_SEND), 0);
    assert_int_equal(stage_action(&stage, ACTION_APPLY, 0)->update->hints[0].drop, false);
}

static void
a_debt_of_tokens_is_paid_off_before_the_next_page(void **state)
{
    ReplicateFrame frame = send_page(0, 2, false);
    uint64_t ready;

    pacer_take(&pacer, 500 * 1024);
    acknowledge(&frame, 0, STATUS_OK);
    acknowledge(&frame, 1, STATUS_OK);
    step();
    assert_int_equal(stage_count(&stage, ACTION_OWED), 0);
    ready = handoff_wake_ms(handoff, &stage.view);
    assert_in_range(ready, stage.view.now_ms + 400, stage.view.now_ms + 600);
    pass_time(ready - stage.view.now_ms);
    assert_int_equal(stage_count(&stage, ACTION_OWED), 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_owed_goes_to_its_target),
        TEST(nobody_is_asked_while_the_target_is_down),
        TEST(a_hint_is_dropped_for_the_object_that_was_acknowledged),
        TEST(an_object_goes_with_its_last_hint_only_where_it_is_not_owned),
        TEST(the_next_page_begins_behind_the_last_row),
        TEST(a_refusal_is_shown_and_tried_again_from_the_start),
        TEST(a_target_that_does_not_answer_is_tried_again),
        TEST(a_target_that_goes_down_is_left_alone),
        TEST(a_page_without_rows_ends_the_pass_and_rests),
        TEST(what_a_former_owner_was_owed_is_owed_to_the_owners_of_today),
        TEST(what_a_removed_member_was_owed_is_taken_up),
        TEST(a_debt_of_tokens_is_paid_off_before_the_next_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
