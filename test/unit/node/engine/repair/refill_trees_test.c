/* A refill between owners that have trees: what is missing comes, and little else. */
#include "node/engine/repair/refill.h"
#include "test/unit/causality/history.h"
#include "test/unit/stages/owner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum
{
    ROWS = 2000,
    OWNERS = 3,
    QUESTIONS_MAX = 8,
    HELD_MAX = ROWS
};

/* Member 0 is filled. */
typedef struct Fixture
{
    Stage stage;
    Owner owners[OWNERS];
    Slice keys[ROWS];
    uint64_t random;
    Refill *refill;
    uint64_t held[HELD_MAX]; /* refs of applies that are not durable yet */
    uint32_t held_count;
    uint32_t questions;
    uint32_t rows; /* that were sent */
} Fixture;

static Fixture fixture;

static int
set_up(void **state)
{
    fixture = (Fixture){.random = 7};
    stage_init(&fixture.stage, OWNERS, OWNERS);
    for (uint32_t i = 0; i < OWNERS; i++)
    {
        owner_init(&fixture.owners[i], &fixture.stage, i);
        memory_store_hold(fixture.owners[i].store);
    }
    fixture.owners[0].view.actions = &fixture.stage.actions;
    for (uint32_t i = 0; i < ROWS; i++)
    {
        char text[16];

        snprintf(text, sizeof(text), "row %u", i);
        fixture.keys[i] = stage_key(&fixture.stage, text);
    }
    return 0;
}

static int
tear_down(void **state)
{
    if (fixture.refill != NULL)
        refill_free(fixture.refill);
    for (uint32_t i = 0; i < OWNERS; i++)
        owner_free(&fixture.owners[i]);
    stage_free(&fixture.stage);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* ---- what they hold ---- */

static void
hold(uint32_t owner, uint32_t row, uint8_t writer, uint8_t counter)
{
    owner_merge(&fixture.owners[owner], fixture.keys[row],
                stage_object(&fixture.stage, writer, counter, "value"));
}

static void
hold_rows(uint32_t owner, uint32_t first, uint32_t end)
{
    for (uint32_t row = first; row < end; row++)
        hold(owner, row, 1, 1);
}

static void
sync_all(void)
{
    for (uint32_t i = 0; i < OWNERS; i++)
        memory_store_sync(fixture.owners[i].store);
}

/* A tree of the owner is not sure of itself any more. */
static void
doubt(uint32_t owner, uint32_t row)
{
    Trees *trees = fixture.owners[owner].storage->trees;
    TreeBatch batch = {.count = 0};
    uint64_t position;

    assert_true(topology_position(fixture.stage.bucket, fixture.keys[row], &position));
    trees_doubt(trees, &batch, STAGE_BUCKET, position);
    trees_settle(trees, &batch);
    trees_batch_free(&batch);
}

/* ---- how it is filled ---- */

/* Puts in what a page brought. */
static void
run_applies(Actions *actions, bool sync)
{
    Owner *mine = &fixture.owners[0];

    for (size_t i = 0; i < actions->count; i++)
    {
        const Action *action = &actions->list[i];

        if (action->kind != ACTION_APPLY)
            continue;
        mine->storage->apply(mine->storage, action->storage_key, action->update, action->ref);
        assert_true(fixture.held_count < HELD_MAX);
        fixture.held[fixture.held_count++] = action->ref;
        refill_merged(fixture.refill, action->ref, mine->applied);
    }
    if (!sync || fixture.held_count == 0)
        return;
    memory_store_sync(mine->store);
    for (uint32_t i = 0; i < fixture.held_count; i++)
        refill_durable(fixture.refill, fixture.held[i], STATUS_OK);
    fixture.held_count = 0;
}

static void
answer(uint32_t member, const Frame *question, bool sync)
{
    Frame frame = owner_answer(&fixture.owners[member], question);
    ScanReply reply;

    assert_true(scan_reply_decode(&frame, &fixture.stage.arena, &reply));
    fixture.questions++;
    fixture.rows += reply.rows != NULL ? reply.row_count : 0;
    stage_clear(&fixture.stage);
    refill_member_frame(fixture.refill, &fixture.owners[0].view, member, &frame);
    run_applies(&fixture.stage.actions, sync);
}

/* Asks and answers once; false when nothing is asked. */
static bool
turn(bool sync)
{
    Frame questions[QUESTIONS_MAX];
    uint32_t members[QUESTIONS_MAX];
    uint32_t count;

    stage_clear(&fixture.stage);
    refill_step(fixture.refill, &fixture.owners[0].view);
    count = stage_count(&fixture.stage, ACTION_SEND);
    assert_true(count <= QUESTIONS_MAX);
    for (uint32_t i = 0; i < count; i++)
    {
        const Action *action = stage_action(&fixture.stage, ACTION_SEND, i);

        members[i] = action->member;
        questions[i] = stage_action_frame(&fixture.stage, action);
    }
    for (uint32_t i = 0; i < count; i++)
        answer(members[i], &questions[i], sync);
    return count > 0;
}

static void
fill(void)
{
    fixture.refill = refill_new(&fixture.owners[0].view);
    while (!refill_is_done(fixture.refill))
    {
        if (!turn(true))
            fixture.owners[0].view.now_ms += 50;
        assert_true(fixture.questions < 10000);
        assert_true(fixture.owners[0].view.now_ms < 100000);
    }
}

/* Has it all that the others have? */
static void
assert_filled(void)
{
    for (uint32_t row = 0; row < ROWS; row++)
    {
        Slice mine = owner_object(&fixture.owners[0], fixture.keys[row]);

        for (uint32_t i = 1; i < OWNERS; i++)
        {
            Slice theirs = owner_object(&fixture.owners[i], fixture.keys[row]);

            if (theirs.length > 0)
                assert_true(slice_equal(mine, stage_merged(&fixture.stage, mine, theirs)));
        }
    }
}

/* ---- tests ---- */

static void
an_empty_disk_gets_each_row_once(void **state)
{
    hold_rows(1, 0, ROWS);
    hold_rows(2, 0, ROWS);
    sync_all();
    fill();
    assert_filled();
    assert_int_equal(fixture.rows, ROWS);
    assert_true(fixture.questions <= 4 * STAGE_PARTITIONS);
}

static void
owners_that_are_equal_send_no_row(void **state)
{
    for (uint32_t i = 0; i < OWNERS; i++)
        hold_rows(i, 0, ROWS);
    sync_all();
    fill();
    assert_int_equal(fixture.rows, 0);
    assert_int_equal(fixture.questions, 2 * STAGE_PARTITIONS);
}

static void
an_older_disk_gets_what_is_new_and_its_neighbours(void **state)
{
    hold_rows(0, 10, ROWS);
    for (uint32_t i = 1; i < OWNERS; i++)
    {
        hold_rows(i, 0, ROWS);
        for (uint32_t row = 10; row < 20; row++)
            hold(i, row, 1, 2);
    }
    sync_all();
    fill();
    assert_filled();
    assert_in_range(fixture.rows, 20, 20 * TREE_LEAF_ROWS_MAX);
}

static void
what_each_owner_alone_has_comes(void **state)
{
    for (uint32_t i = 0; i < OWNERS; i++)
        hold_rows(i, i * ROWS / 4, i * ROWS / 4 + ROWS / 2);
    for (uint32_t row = 0; row < ROWS; row += 100)
        hold(1 + row / 100 % 2, row, 2, 1);
    sync_all();
    fill();
    assert_filled();
}

/* The trees of the own count what was merged: that alone ends nothing. */
static void
hold_what_is_not_durable(void)
{
    for (uint32_t i = 0; i < OWNERS; i++)
        hold_rows(i, 0, 200);
    memory_store_sync(fixture.owners[1].store);
    memory_store_sync(fixture.owners[2].store);
    fixture.refill = refill_new(&fixture.owners[0].view);
    while (turn(false))
        assert_true(fixture.questions < 1000);
    assert_int_equal(refill_finished(fixture.refill), 0);
}

static void
what_is_merged_and_not_durable_is_waited_for(void **state)
{
    hold_what_is_not_durable();
    memory_store_sync(fixture.owners[0].store);
    while (turn(true))
        assert_true(fixture.questions < 1000);
    assert_true(refill_is_done(fixture.refill));
    assert_int_equal(fixture.rows, 0);
}

static void
what_does_not_become_durable_is_not_taken_for_it(void **state)
{
    hold_what_is_not_durable();
    for (uint32_t i = 0; i < 20; i++)
    {
        fixture.owners[0].view.now_ms += 50;
        (void)turn(false);
        assert_int_equal(refill_finished(fixture.refill), 0);
    }
    assert_true(fixture.rows > 0);
    stage_clear(&fixture.stage);
    run_applies(&fixture.stage.actions, true);
    while (turn(true))
        assert_true(fixture.questions < 1000);
    assert_true(refill_is_done(fixture.refill));
}

static void
a_tree_that_stays_in_doubt_is_not_waited_for(void **state)
{
    for (uint32_t i = 0; i < OWNERS; i++)
        hold_rows(i, 0, ROWS);
    sync_all();
    doubt(0, 0);
    fill();
    assert_in_range(fixture.rows, 1, 2 * ROWS / 3);
}

static void
a_tree_in_doubt_ends_nothing_and_hides_nothing(void **state)
{
    hold_rows(0, 0, ROWS / 2);
    hold_rows(1, 0, ROWS);
    hold_rows(2, 5, ROWS);
    sync_all();
    for (uint32_t row = 0; row < 50; row++)
        doubt(row % OWNERS, row);
    fill();
    assert_filled();
}

static void
whatever_they_hold_all_of_it_comes(void **state)
{
    for (uint32_t round = 0; round < 40; round++)
    {
        uint64_t random = fixture.random;
        uint32_t sparse = history_random_below(&random, 100);

        tear_down(state);
        set_up(state);
        fixture.random = random;
        for (uint32_t row = 0; row < ROWS; row++)
            for (uint32_t i = 0; i < OWNERS; i++)
                if (history_random_below(&fixture.random, 100) >= sparse * (i == 0))
                    hold(i, row, 1, history_random_below(&fixture.random, 100) < 2 ? 2 : 1);
        sync_all();
        fill();
        assert_filled();
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_disk_gets_each_row_once),
        TEST(owners_that_are_equal_send_no_row),
        TEST(an_older_disk_gets_what_is_new_and_its_neighbours),
        TEST(what_each_owner_alone_has_comes),
        TEST(what_is_merged_and_not_durable_is_waited_for),
        TEST(what_does_not_become_durable_is_not_taken_for_it),
        TEST(a_tree_that_stays_in_doubt_is_not_waited_for),
        TEST(a_tree_in_doubt_ends_nothing_and_hides_nothing),
        TEST(whatever_they_hold_all_of_it_comes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
