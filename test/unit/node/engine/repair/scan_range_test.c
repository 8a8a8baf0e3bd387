/* Scans of an owner whose store keeps trees: what they say must be what the rows say. */
#include "node/engine/repair/scan_range.h"
#include "test/unit/causality/history.h"
#include "test/unit/stages/owner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum
{
    ROWS = 3000
};

typedef struct Fixture
{
    Stage stage;
    Owner owner;
    uint64_t random;
    Slice keys[ROWS];
    uint8_t counter;
} Fixture;

static Fixture fixture;

static int
set_up(void **state)
{
    fixture = (Fixture){.random = 1};
    stage_init(&fixture.stage, 3, 3);
    owner_init(&fixture.owner, &fixture.stage, 0);
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
    owner_free(&fixture.owner);
    stage_free(&fixture.stage);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* Writes count rows, any of them. */
static void
write_rows(Owner *owner, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
    {
        uint8_t writer = (uint8_t)(1 + history_random_below(&fixture.random, 3));

        fixture.counter = (uint8_t)(fixture.counter % UINT8_MAX + 1);
        owner_merge(owner, fixture.keys[history_random_below(&fixture.random, ROWS)],
                    stage_object(&fixture.stage, writer, fixture.counter, "value"));
    }
}

/* Writes every row, so that there are many leaves. */
static void
fill(Owner *owner)
{
    memory_store_hold(owner->store);
    for (uint32_t i = 0; i < ROWS; i++)
        owner_merge(owner, fixture.keys[i], stage_object(&fixture.stage, 1, 1, "value"));
    memory_store_sync(owner->store);
}

static uint8_t
depth_of(const Owner *owner, uint32_t partition)
{
    return trees_depth(owner->view.trees, (TreeId){STAGE_BUCKET, partition});
}

static Slice
place_of(uint64_t position, Slice key)
{
    Buffer buffer;
    Slice cursor;

    buffer_init(&buffer, &MEMORY_HEAP);
    storage_cursor(&buffer, position, key);
    cursor = slice_copy(&fixture.stage.arena, buffer_slice(&buffer));
    buffer_free(&buffer);
    return cursor;
}

/* Some of the leaves of a partition, next to each other. */
static ScanFrame
some_leaves(const Owner *owner, uint32_t partition)
{
    uint32_t leaves = 1u << depth_of(owner, partition);
    uint64_t start = ring_partition_start(partition, STAGE_PARTITIONS);
    uint64_t width = (UINT64_MAX / STAGE_PARTITIONS + 1) / leaves;
    uint32_t first = history_random_below(&fixture.random, leaves);
    uint32_t end = first + 1 + history_random_below(&fixture.random, leaves - first);

    return (ScanFrame){
        .bucket_id = STAGE_BUCKET,
        .partition = partition,
        .digest_only = true,
        .after = first > 0 ? place_of(start + first * width, SLICE_EMPTY) : SLICE_EMPTY,
        .through = end < leaves ? place_of(start + end * width, SLICE_EMPTY) : SLICE_EMPTY};
}

/* The digest of the same rows as an owner without trees gives it. */
static ScanReply
by_rows(Owner *owner, const ScanFrame *scan)
{
    ScanReply reply;

    owner->view.trees = NULL;
    reply = owner_scan(owner, scan);
    owner->view.trees = owner->storage->trees;
    return reply;
}

static void
assert_same(const ScanReply *a, const ScanReply *b)
{
    assert_true(a->done && b->done);
    assert_int_equal(a->row_count, b->row_count);
    assert_true(digest_equal(&a->digest, &b->digest));
}

static void
assert_counted(uint64_t by_trees, uint64_t by_rows)
{
    assert_int_equal(replica_counters(fixture.owner.replica).digests_by_trees, by_trees);
    assert_int_equal(replica_counters(fixture.owner.replica).digests_by_rows, by_rows);
}

static void
what_trees_say_of_whole_leaves_is_what_their_rows_say(void **state)
{
    uint32_t sets = 0;
    uint32_t rows = 0;

    for (uint32_t round = 0; round < 120; round++)
    {
        write_rows(&fixture.owner, 25);
        for (uint32_t i = 0; i < 5 * STAGE_PARTITIONS; i++, sets++)
        {
            ScanFrame scan = some_leaves(&fixture.owner, i % STAGE_PARTITIONS);
            ScanReply trees = owner_scan(&fixture.owner, &scan);
            ScanReply read = by_rows(&fixture.owner, &scan);

            assert_null(trees.rows);
            assert_same(&trees, &read);
            rows += trees.row_count;
        }
    }
    assert_true(rows > 100000);
    assert_true(depth_of(&fixture.owner, 0) >= 4);
    assert_counted(sets, sets);
}

static void
pages_that_an_owner_ends_are_whole_leaves_to_the_other(void **state)
{
    Owner other;
    uint32_t pages = 0;

    owner_init(&other, &fixture.stage, 1);
    fill(&fixture.owner);
    fill(&other);
    for (uint32_t partition = 0; partition < STAGE_PARTITIONS; partition++)
    {
        ScanFrame scan = {.bucket_id = STAGE_BUCKET, .partition = partition, .max_bytes = 8000};
        bool done = false;

        for (; !done; pages++)
        {
            ScanReply page = owner_scan(&other, &scan);
            ScanFrame same = scan;
            ScanReply digest;

            same.digest_only = true;
            same.max_bytes = 0;
            same.through = page.last;
            digest = owner_scan(&fixture.owner, &same);
            assert_int_equal(page.row_count, digest.row_count);
            assert_true(digest_equal(&page.digest, &digest.digest));
            scan.after = page.last;
            done = page.done;
        }
    }
    assert_true(pages > 2 * STAGE_PARTITIONS);
    assert_counted(pages, 0);
    owner_free(&other);
}

/* The trees of the other have not grown: it has one leaf a partition. */
static void
put_nowhere(void *context, Slice key, Slice value)
{
}

static void
remove_nowhere(void *context, Slice key)
{
}

static void
remove_no_range(void *context, Slice first, Slice end)
{
}

static const TreeRows no_rows = {
    .put = put_nowhere, .remove = remove_nowhere, .remove_range = remove_no_range};

static void
an_owner_with_other_leaves_reads_rows_and_agrees(void **state)
{
    ScanFrame scan = {.bucket_id = STAGE_BUCKET, .max_bytes = 8000};
    ScanReply page;
    Trees *flat = trees_new();
    TreeBatch batch = {.count = 0};

    fill(&fixture.owner);
    page = owner_scan(&fixture.owner, &scan);
    assert_false(page.done);
    trees_set_partitions(flat, STAGE_PARTITIONS);
    fixture.owner.view.trees = flat;
    for (uint32_t i = 0; i < ROWS; i++)
    {
        TreeChange change = {.bucket_id = STAGE_BUCKET,
                             .key = fixture.keys[i],
                             .after = owner_object(&fixture.owner, fixture.keys[i])};

        assert_true(topology_position(fixture.stage.bucket, change.key, &change.position));
        trees_change(flat, &batch, &change);
    }
    trees_close(flat, &batch, &no_rows);
    trees_settle(flat, &batch);

    scan = (ScanFrame){.bucket_id = STAGE_BUCKET, .digest_only = true, .through = page.last};

    ScanReply digest = owner_scan(&fixture.owner, &scan);

    assert_counted(0, 1);
    assert_int_equal(digest.row_count, page.row_count);
    assert_true(digest_equal(&digest.digest, &page.digest));

    scan.through = SLICE_EMPTY;

    ScanReply whole = owner_scan(&fixture.owner, &scan);
    ScanReply read = by_rows(&fixture.owner, &scan);

    assert_counted(1, 2);
    assert_same(&whole, &read);
    trees_batch_free(&batch);
    trees_free(flat);
}

static void
what_is_not_durable_is_counted_by_reading_rows(void **state)
{
    ScanFrame all = {.bucket_id = STAGE_BUCKET, .digest_only = true};
    ScanReply before;
    ScanReply after;
    uint64_t position;

    fill(&fixture.owner);
    assert_true(topology_position(fixture.stage.bucket, fixture.keys[0], &position));
    all.partition = ring_partition(position, STAGE_PARTITIONS);
    before = owner_scan(&fixture.owner, &all);
    assert_counted(1, 0);

    owner_merge(&fixture.owner, fixture.keys[0], stage_object(&fixture.stage, 2, 2, "new"));
    after = owner_scan(&fixture.owner, &all);
    assert_counted(1, 1);
    assert_same(&before, &after);

    memory_store_sync(fixture.owner.store);
    after = owner_scan(&fixture.owner, &all);
    assert_counted(2, 1);
    assert_int_equal(after.row_count, before.row_count);
    assert_false(digest_equal(&after.digest, &before.digest));
}

static void
what_a_failed_storage_has_counted_is_not_believed(void **state)
{
    ScanFrame scan = {.bucket_id = STAGE_BUCKET, .digest_only = true};

    fill(&fixture.owner);
    fixture.owner.view.cannot_write = true;
    (void)owner_scan(&fixture.owner, &scan);
    assert_counted(0, 1);
}

static void
a_part_of_a_leaf_is_counted_by_reading_rows(void **state)
{
    ScanFrame scan = {.bucket_id = STAGE_BUCKET, .digest_only = true};
    uint64_t position;

    fill(&fixture.owner);
    assert_true(topology_position(fixture.stage.bucket, fixture.keys[0], &position));
    scan.partition = ring_partition(position, STAGE_PARTITIONS);
    scan.through = place_of(position, fixture.keys[0]);

    ScanReply first = owner_scan(&fixture.owner, &scan);

    assert_counted(0, 1);
    scan.after = scan.through;
    scan.through = SLICE_EMPTY;

    ScanReply rest = owner_scan(&fixture.owner, &scan);

    assert_counted(0, 2);
    scan.after = SLICE_EMPTY;

    ScanReply all = owner_scan(&fixture.owner, &scan);

    assert_counted(1, 2);
    assert_true(first.row_count > 0);
    assert_int_equal(first.row_count + rest.row_count, all.row_count);
    digest_mix(&first.digest, &rest.digest);
    assert_true(digest_equal(&first.digest, &all.digest));
}

static void
a_place_of_a_key_where_a_leaf_begins_is_within_it(void **state)
{
    ScanFrame scan = {.bucket_id = STAGE_BUCKET, .digest_only = true};
    uint64_t end;

    fill(&fixture.owner);
    end = trees_leaf_end(fixture.owner.view.trees, STAGE_BUCKET, 0) + 1;
    scan.through = place_of(end, SLICE_EMPTY);
    (void)owner_scan(&fixture.owner, &scan);
    assert_counted(1, 0);
    scan.through = place_of(end, fixture.keys[0]);
    (void)owner_scan(&fixture.owner, &scan);
    assert_counted(1, 1);
    scan.after = scan.through;
    scan.through = SLICE_EMPTY;
    (void)owner_scan(&fixture.owner, &scan);
    assert_counted(1, 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_trees_say_of_whole_leaves_is_what_their_rows_say),
        TEST(pages_that_an_owner_ends_are_whole_leaves_to_the_other),
        TEST(an_owner_with_other_leaves_reads_rows_and_agrees),
        TEST(what_is_not_durable_is_counted_by_reading_rows),
        TEST(what_a_failed_storage_has_counted_is_not_believed),
        TEST(a_part_of_a_leaf_is_counted_by_reading_rows),
        TEST(a_place_of_a_key_where_a_leaf_begins_is_within_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
