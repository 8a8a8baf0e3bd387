#include "node/engine/repair/scrub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "test/lib/memory_store.h"
#include "test/unit/stages/stage.h"

enum
{
    ROWS = 400,
    STEPS_MAX = 20000,
    FILES = 3
};

typedef struct Fixture
{
    Stage stage;
    MemoryStore *store;
    Storage *storage;
    Pacer pacer;
    Scrub *scrub;
    uint64_t tokens; /* ms gone by for the pacer */
    uint32_t checks;
    uint32_t rebuilt;
    uint32_t unreadable;
    void (*before_scan)(struct Fixture *fixture);
} Fixture;

static Fixture fixture;

static void
on_done(void *context, uint64_t ref, StatusCode status)
{
}

static void
on_merged(void *context, uint64_t ref, StatusCode status, Slice object)
{
    assert_int_equal(status, STATUS_OK);
}

static void
on_scanned(void *context, uint64_t ref, StatusCode status, const StoragePage *page)
{
    scrub_scanned(fixture.scrub, &fixture.stage.view, ref, status, page);
}

static void
on_unreadable(void *context, uint32_t bucket_id, uint64_t first, uint64_t last)
{
    fixture.unreadable++;
}

static Slice
nth_key(unsigned row)
{
    char text[16];

    snprintf(text, sizeof(text), "key %u", row);
    return stage_key(&fixture.stage, text);
}

static uint64_t
position_of(Slice key)
{
    uint64_t position;

    assert_true(topology_position(fixture.stage.bucket, key, &position));
    return position;
}

static Slice
storage_key_of(Slice key)
{
    Buffer buffer;
    Slice kept;

    buffer_init(&buffer, &MEMORY_HEAP);
    storage_key(&buffer, STAGE_BUCKET, position_of(key), key);
    kept = slice_copy(&fixture.stage.arena, buffer_slice(&buffer));
    buffer_free(&buffer);
    return kept;
}

static void
put_row(unsigned row)
{
    Object object;
    Update update = {.merge = &object};
    Slice bytes = stage_object(&fixture.stage, 1, 1, "value");

    assert_true(object_decode(bytes, &fixture.stage.arena, &object));
    fixture.storage->apply(fixture.storage, storage_key_of(nth_key(row)), &update, 1);
}

static int
setup(void **state)
{
    StorageEvents events = {.merged = on_merged,
                            .durable = on_done,
                            .scan_done = on_scanned,
                            .unreadable = on_unreadable};

    fixture = (Fixture){.checks = 0};
    stage_init(&fixture.stage, 3, 3);
    fixture.store = memory_store_new();
    fixture.storage = memory_store_open(fixture.store, &events);
    fixture.storage->set_partitions(fixture.storage, STAGE_PARTITIONS);
    fixture.stage.view.trees = fixture.storage->trees;
    pacer_init(&fixture.pacer, PACER_LEAST, fixture.stage.view.now_ms);
    fixture.scrub = scrub_new(&fixture.pacer);
    for (unsigned row = 0; row < ROWS; row++)
        put_row(row);
    return 0;
}

static int
teardown(void **state)
{
    scrub_free(fixture.scrub);
    memory_store_free(fixture.store);
    stage_free(&fixture.stage);
    return 0;
}

static void
answer_check(const Action *action)
{
    StorageCheck check = {.bytes = 1000, .files_total = FILES};

    fixture.checks = action->anew ? 1 : fixture.checks + 1;
    check.files_done = fixture.checks;
    check.blocks_damaged = fixture.checks == 2;
    check.done = fixture.checks == FILES;
    scrub_checked(fixture.scrub, &fixture.stage.view, action->ref, STATUS_OK, &check);
}

static void
run_action(const Action *action)
{
    if (action->kind == ACTION_CHECK)
        answer_check(action);
    else if (action->kind == ACTION_REBUILD_TREE)
    {
        fixture.rebuilt++;
        assert_true(trees_rebuild(fixture.storage->trees, action->tree));
    }
    else
    {
        StorageRange range = action->range;

        assert_int_equal(action->kind, ACTION_SCAN);
        if (fixture.before_scan != NULL)
            fixture.before_scan(&fixture);
        fixture.storage->scan(fixture.storage, &range, action->ref);
    }
}

static void
step(void)
{
    Actions *actions = &fixture.stage.actions;

    fixture.stage.view.now_ms += 1000;
    actions_reset(actions);
    scrub_step(fixture.scrub, &fixture.stage.view);
    while (actions->done < actions->count)
    {
        Action action = actions->list[actions->done++];

        run_action(&action);
    }
}

static ScrubStatus
run_to_the_end(void)
{
    unsigned steps = 0;

    scrub_begin(fixture.scrub, &fixture.stage.view);
    while (scrub_is_under_way(fixture.scrub) && steps++ < STEPS_MAX)
        step();
    assert_int_equal(scrub_status(fixture.scrub).state, SCRUB_DONE);
    return scrub_status(fixture.scrub);
}

static void
it_reads_all_files_and_all_rows_and_finds_nothing(void **state)
{
    ScrubStatus status = run_to_the_end();

    assert_int_equal(status.files, FILES);
    assert_int_equal(status.blocks_damaged, 1);
    assert_int_equal(status.rows, ROWS);
    assert_int_equal(status.partitions, STAGE_PARTITIONS);
    assert_int_equal(status.partitions_total, STAGE_PARTITIONS);
    assert_true(status.bytes > FILES * 1000);
    assert_int_equal(status.places_unreadable, 0);
    assert_int_equal(status.trees_wrong, 0);
    assert_true(status.ended_ms >= status.started_ms);
}

static void
what_cannot_be_read_is_come_near_to_and_passed_over(void **state)
{
    ScrubStatus status;

    memory_store_damage(fixture.store, storage_key_of(nth_key(7)));
    memory_store_damage(fixture.store, storage_key_of(nth_key(300)));
    status = run_to_the_end();
    assert_int_equal(status.places_unreadable, 2);
    assert_true(fixture.unreadable >= 2);
    assert_true(status.rows < ROWS && status.rows > ROWS / 2);
    assert_int_equal(status.trees_wrong, 0);
}

/* The tree that the row is in says that it was never put. */
static void
make_wrong(unsigned row)
{
    Slice key = nth_key(row);
    TreeBatch batch = {.count = 0};
    TreeChange change = {.bucket_id = STAGE_BUCKET,
                         .position = position_of(key),
                         .key = key,
                         .before = stage_object(&fixture.stage, 1, 1, "value")};

    trees_change(fixture.storage->trees, &batch, &change);
    trees_settle(fixture.storage->trees, &batch);
    trees_batch_free(&batch);
}

static void
a_wrong_tree_is_found_and_built_anew(void **state)
{
    make_wrong(11);
    assert_int_equal(run_to_the_end().trees_wrong, 1);
    assert_int_equal(fixture.rebuilt, 1);
    memory_store_sync(fixture.store);
    assert_int_equal(run_to_the_end().trees_wrong, 0);
}

static void
put_another(Fixture *context)
{
    static unsigned rows = ROWS;

    put_row(rows++);
}

static void
rows_that_change_meanwhile_make_no_tree_wrong(void **state)
{
    memory_store_hold(fixture.store);
    fixture.before_scan = put_another;
    assert_int_equal(run_to_the_end().trees_wrong, 0);
    memory_store_release(fixture.store);
    assert_int_equal(run_to_the_end().trees_wrong, 0);
    assert_int_equal(fixture.rebuilt, 0);
}

static void
it_waits_for_tokens_and_stops_when_told(void **state)
{
    const View *view = &fixture.stage.view;

    assert_int_equal(scrub_wake_ms(fixture.scrub, view), UINT64_MAX);
    scrub_begin(fixture.scrub, view);
    step();
    pacer_take(&fixture.pacer, 100 * PACER_LEAST);
    step();
    assert_int_equal(fixture.checks, 1);
    assert_true(scrub_wake_ms(fixture.scrub, view) > view->now_ms);
    scrub_stop(fixture.scrub, view);
    assert_int_equal(scrub_status(fixture.scrub).state, SCRUB_STOPPED);
    assert_int_equal(scrub_wake_ms(fixture.scrub, view), UINT64_MAX);
    fixture.stage.view.now_ms += 1000 * 1000;
    step();
    assert_int_equal(fixture.checks, 1);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_reads_all_files_and_all_rows_and_finds_nothing),
        TEST(what_cannot_be_read_is_come_near_to_and_passed_over),
        TEST(a_wrong_tree_is_found_and_built_anew),
        TEST(rows_that_change_meanwhile_make_no_tree_wrong),
        TEST(it_waits_for_tokens_and_stops_when_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
