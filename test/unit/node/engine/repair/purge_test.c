#include "node/engine/repair/purge.h"
#include "test/lib/memory_store.h"
#include "test/unit/stages/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum
{
    KEYS = 3000,
    OTHER = STAGE_BUCKET + 1, /* the bucket that stays */
    MINUTE_MS = 60000
};

static Stage stage;
static Purge *purge;
static Pacer pacer;
static MemoryStore *store;
static Storage *storage;
static Bucket buckets[2];

static void
run(void)
{
    Actions *actions = &stage.actions;

    while (actions->done < actions->count)
    {
        Action action = actions->list[actions->done++];

        if (action.kind == ACTION_APPLY)
            storage->apply(storage, action.storage_key, action.update, action.ref);
        else if (action.kind == ACTION_SCAN)
            storage->scan(storage, &action.range, action.ref);
        else
            fail();
    }
    actions_reset(actions);
}

static void
on_merged(void *context, uint64_t ref, StatusCode status, Slice object)
{
    if (ref != REF_NOBODY)
        purge_merged(purge, ref, status);
}

static void
on_durable(void *context, uint64_t ref, StatusCode status)
{
    if (ref != REF_NOBODY)
        purge_durable(purge, ref, status);
}

static void
on_scanned(void *context, uint64_t ref, StatusCode status, const StoragePage *page)
{
    purge_scanned(purge, &stage.view, ref, status, page);
}

static int
set_up(void **state)
{
    StorageEvents events = {.merged = on_merged, .durable = on_durable, .scan_done = on_scanned};

    (void)state;
    stage_init(&stage, 3, 3);
    buckets[0] = buckets[1] = *stage.bucket;
    buckets[1].id = stage.topology.last_bucket_id = OTHER;
    stage.topology.buckets = buckets;
    stage.topology.bucket_count = 2;
    store = memory_store_new();
    storage = memory_store_open(store, &events);
    storage->set_partitions(storage, STAGE_PARTITIONS);
    stage.view.trees = storage->trees;
    pacer_init(&pacer, 0, stage.view.now_ms);
    purge = purge_new(&pacer);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    purge_free(purge);
    memory_store_free(store);
    stage_free(&stage);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static Slice
key_of(uint32_t number)
{
    char text[16];

    snprintf(text, sizeof(text), "k%u", number);
    return stage_key(&stage, text);
}

static void
put(uint32_t bucket_id, uint32_t number)
{
    HintChange hint = {.target = stage_member_id(1)};
    Object object;
    Update update = {.merge = &object, .hints = &hint, .hint_count = number % 5 == 0};
    Bucket bucket = {.id = bucket_id, .key_types = {KEY_TEXT}, .key_count = 1};
    uint64_t position;
    Buffer storage_bytes;

    assert_true(topology_position(&bucket, key_of(number), &position));
    assert_true(object_decode(stage_object(&stage, 1, 1, "v"), &stage.arena, &object));
    buffer_init(&storage_bytes, &MEMORY_HEAP);
    storage_key(&storage_bytes, bucket_id, position, key_of(number));
    storage->apply(storage, buffer_slice(&storage_bytes), &update, REF_NOBODY);
    buffer_free(&storage_bytes);
}

static uint64_t
rows_of(uint32_t bucket_id)
{
    uint64_t rows = 0;

    for (uint32_t partition = 0; partition < STAGE_PARTITIONS; partition++)
    {
        TreeSum sum;

        assert_true(trees_sum(storage->trees, (TreeId){bucket_id, partition}, (TreePart){0}, &sum));
        rows += sum.rows;
    }
    return rows;
}

static void
fill(void)
{
    for (uint32_t i = 0; i < KEYS; i++)
    {
        put(STAGE_BUCKET, i);
        put(OTHER, i);
    }
}

static void
drop(void)
{
    stage.topology.buckets = &buckets[1];
    stage.topology.bucket_count = 1;
    stage.topology.epoch++;
}

static void
pass(uint64_t ms)
{
    for (uint64_t end = stage.view.now_ms + ms; stage.view.now_ms < end; stage.view.now_ms++)
    {
        purge_step(purge, &stage.view);
        run();
    }
}

static void
nothing_goes_while_no_bucket_is_dropped(void **state)
{
    (void)state;
    fill();
    pass(1000);
    assert_int_equal(rows_of(STAGE_BUCKET), KEYS);
    assert_int_equal(purge_wake_ms(purge, &stage.view), UINT64_MAX);
}

static void
rows_and_hints_of_a_dropped_bucket_go_and_others_stay(void **state)
{
    (void)state;
    fill();
    assert_int_equal(hints_count(&storage->hints), 2 * KEYS / 5);
    drop();
    pass(MINUTE_MS / 2);
    assert_int_equal(rows_of(STAGE_BUCKET), 0);
    assert_int_equal(rows_of(OTHER), KEYS);
    assert_int_equal(hints_count(&storage->hints), KEYS / 5);
    assert_int_equal(purge_total(purge), KEYS);
}

/* As a node that was down when the bucket was dropped finds it, or one that ended meanwhile. */
static void
what_a_start_finds_of_a_dropped_bucket_goes(void **state)
{
    (void)state;
    fill();
    drop();
    pass(5);
    purge_free(purge);
    purge = purge_new(&pacer);
    pass(MINUTE_MS / 2);
    assert_int_equal(rows_of(STAGE_BUCKET), 0);
}

static void
what_lands_late_goes_too(void **state)
{
    (void)state;
    fill();
    drop();
    pass(MINUTE_MS / 2);
    put(STAGE_BUCKET, 7);
    pass(2 * MINUTE_MS);
    assert_int_equal(rows_of(STAGE_BUCKET), 0);
    assert_int_equal(purge_total(purge), KEYS + 1);
}

static void
a_record_that_cannot_be_read_goes_too(void **state)
{
    Bucket bucket = buckets[0];
    uint64_t position;
    Buffer storage_bytes;

    (void)state;
    fill();
    assert_true(topology_position(&bucket, key_of(9), &position));
    buffer_init(&storage_bytes, &MEMORY_HEAP);
    storage_key(&storage_bytes, STAGE_BUCKET, position, key_of(9));
    memory_store_damage(store, buffer_slice(&storage_bytes));
    buffer_free(&storage_bytes);
    drop();
    pass(MINUTE_MS / 2);
    assert_int_equal(purge_total(purge), KEYS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_goes_while_no_bucket_is_dropped),
        TEST(rows_and_hints_of_a_dropped_bucket_go_and_others_stay),
        TEST(what_a_start_finds_of_a_dropped_bucket_goes),
        TEST(what_lands_late_goes_too),
        TEST(a_record_that_cannot_be_read_goes_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
