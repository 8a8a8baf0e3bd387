/*
 * The trees of a store on RocksDB beside sums made from its records.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/engine/store/trees_private.h"
#include "shared/ring/ring.h"
#include "test/lib/random.h"
#include "test/lib/tree_rows.h"
#include "test/unit/node/rocks/rocks_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum
{
    BUCKETS = 2,
    SMALL_BUFFER_BYTES = 64 * 1024, /* of a memtable: files are written and merged all the time */
    KILLED_KEYS = 6000,             /* half of them crowded: more leaves than one job builds */
    REBUILD_EVERY = 64
};

/* ---- sums made from the records ---- */

/* Sums by leaf, of the records of one tree. */
typedef struct Expected
{
    const Trees *trees;
    TreeId id;
    TreeSum *leaves;
} Expected;

static bool
add_record(void *context, Slice storage_key, Slice record)
{
    const Expected *expected = context;
    uint32_t bucket_id;
    uint64_t position, first, last;
    Slice key, object;
    Digest digest;
    TreeSum *sum;

    assert_true(rocks_key_split(storage_key, &bucket_id, &position, &key));
    assert_true(update_record_object(record, &object));
    trees_part_range(expected->trees, expected->id.partition,
                     (TreePart){trees_depth(expected->trees, expected->id), 0}, &first, &last);
    sum = &expected->leaves[(position - first) / (last - first + 1)];
    digest = message_row_digest(key, object);
    digest_mix(&sum->digest, &digest);
    sum->rows++;
    return true;
}

static void
visit(Store *store, const RocksRange *range, RocksVisit call, void *context)
{
    RocksStop stop;

    assert_true(rocks_visit(rocks_of(store->storage), range, call, context, &stop));
    rocks_stop_free(&stop);
}

static void
assert_tree_is_true(Store *store, TreeId id)
{
    const Trees *trees = store->storage->trees;
    uint8_t depth = trees_depth(trees, id);
    Expected expected = {trees, id, calloc((size_t)1 << depth, sizeof(TreeSum))};
    RocksRange range = {.snapshot = NULL};
    uint64_t first, last;

    trees_part_range(trees, id.partition, (TreePart){.depth = 0}, &first, &last);
    range.lower = rocks_bound(&store->arena, id.bucket_id, first, SLICE_EMPTY, false);
    range.upper = rocks_bound_behind(&store->arena, id.bucket_id, last);
    visit(store, &range, add_record, &expected);
    for (uint32_t i = 0; i < 1u << depth; i++)
    {
        TreeSum sum;

        assert_true(trees_sum(trees, id, (TreePart){depth, i}, &sum));
        assert_true(sum.settled);
        assert_int_equal(sum.rows, expected.leaves[i].rows);
        assert_memory_equal(&sum.digest, &expected.leaves[i].digest, sizeof(Digest));
    }
    free(expected.leaves);
}

/* All that was applied is durable. */
static void
assert_trees_are_true(Store *store)
{
    for (uint32_t bucket = 1; bucket <= BUCKETS; bucket++)
        for (uint32_t i = 0; i < trees_partitions(store->storage->trees); i++)
            assert_tree_is_true(store, (TreeId){bucket, i});
}

typedef struct RowCount
{
    uint64_t rows;
} RowCount;

static bool
count_row(void *context, Slice key, Slice value)
{
    ((RowCount *)context)->rows++;
    return true;
}

static void
assert_no_row_is_left_over(Store *store)
{
    RocksRange range = {.lower = slice_make("\xff\xff\xff\xff", 4)};
    RowCount count = {0};

    visit(store, &range, count_row, &count);
    assert_int_equal(count.rows, tree_rows_on_disk(store->storage->trees));
}

/* ---- the store at work ---- */

static void
pass_turn(Store *store)
{
    assert_false(store->expired);
    uv_run(&store->loop, UV_RUN_ONCE);
}

static void
expire(uv_timer_t *timer)
{
    ((Store *)timer->data)->expired = true;
}

static void
begin_deadline(Store *store)
{
    store->expired = false;
    uv_timer_start(&store->deadline, expire, 20000, 0);
}

static void
await_rest(Store *store)
{
    begin_deadline(store);
    while (trees_counters(store->storage->trees).doubted > 0 || store_owed(store) > 0)
        pass_turn(store);
    /* What the last job changed is written. */
    while (STAILQ_FIRST(&rocks_of(store->storage)->handed) != NULL ||
           rocks_of(store->storage)->filling != NULL)
        pass_turn(store);
    uv_timer_stop(&store->deadline);
}

static Slice
key_of(Store *store, uint32_t bucket_id, uint64_t position, uint32_t number)
{
    char key[16];

    snprintf(key, sizeof(key), "%u", number);
    return store_key_in(store, bucket_id, position, key);
}

static Slice
spread_key(Store *store, uint32_t number)
{
    return key_of(store, 1 + number % BUCKETS, random_hash(number), number);
}

/* All in the first partition of bucket 1. */
static Slice
crowded_key(Store *store, uint32_t number)
{
    return key_of(store, 1, random_hash(number) / STORE_PARTITIONS, number);
}

static void
put_many(Store *store, Slice (*key)(Store *store, uint32_t number), uint32_t count)
{
    begin_deadline(store);
    for (uint32_t i = 0; i < count; i++)
    {
        store_put(store, key(store, i), "value", NULL);
        while (store_owed(store) > 100)
            pass_turn(store);
    }
    uv_timer_stop(&store->deadline);
}

static const TreeId CROWDED = {1, 0};

static Tree *
crowded_tree(Store *store)
{
    return tree_find(store->storage->trees, CROWDED);
}

static void
a_put_is_in_its_tree_at_once_and_settled_when_durable(void **state)
{
    Store *store = *state;
    uint64_t ref = store_put(store, crowded_key(store, 1), "value", NULL);
    TreeSum sum;

    assert_true(trees_sum(store->storage->trees, CROWDED, (TreePart){.depth = 0}, &sum));
    assert_int_equal(sum.rows, 1);
    assert_false(sum.settled);
    store_await_durable(store, ref);
    assert_true(trees_sum(store->storage->trees, CROWDED, (TreePart){.depth = 0}, &sum));
    assert_true(sum.settled);
    assert_trees_are_true(store);
}

static void
an_object_that_is_dropped_leaves_its_tree(void **state)
{
    Store *store = *state;
    HintChange hint = {.target = {{1}}, .now_ms = 1};
    Update owe = {.hints = &hint, .hint_count = 1};
    Update pay = {.hints = &hint, .hint_count = 1, .unowned = true};
    Slice key = crowded_key(store, 1);
    uint64_t ref = store_ref(store);

    store_put_durably(store, key, "value");
    store->storage->apply(store->storage, key, &owe, ref);
    store_await_durable(store, ref);
    assert_trees_are_true(store);
    hint.drop = true;
    hint.acknowledged = object_digest(store->answers[ref].object);
    ref = store_ref(store);
    store->storage->apply(store->storage, key, &pay, ref);
    store_await_durable(store, ref);
    assert_int_equal(store->storage->counters(store->storage).keys_estimate, 0);
    assert_trees_are_true(store);
}

static void
trees_grow_while_writes_go_on(void **state)
{
    Store *store = *state;

    put_many(store, crowded_key, 2500);
    put_many(store, spread_key, 2500);
    put_many(store, spread_key, 2500);
    await_rest(store);
    assert_int_equal(trees_depth(store->storage->trees, CROWDED), 8);
    assert_true(trees_depth(store->storage->trees, (TreeId){2, 5}) > 0);
    assert_int_equal(store->storage->counters(store->storage).keys_estimate, 5000);
    assert_trees_are_true(store);
    assert_no_row_is_left_over(store);
}

static void
trees_are_true_after_a_restart_without_being_rebuilt(void **state)
{
    Store *store = *state;

    put_many(store, spread_key, 2000);
    await_rest(store);
    store_reopen(store, STORE_CACHE_BYTES);
    assert_int_equal(trees_counters(store->storage->trees).doubted, 0);
    assert_trees_are_true(store);
    assert_no_row_is_left_over(store);
}

static void
a_restart_in_the_middle_of_a_rebuild_goes_on_there(void **state)
{
    Store *store = *state;
    uint32_t built;

    put_many(store, crowded_key, 2500);
    await_rest(store);
    assert_true(trees_rebuild(store->storage->trees, CROWDED));
    begin_deadline(store);
    while (crowded_tree(store)->built < 64)
        pass_turn(store);
    store_close(store);
    store_open(store, STORE_CACHE_BYTES);
    built = crowded_tree(store)->built;
    assert_in_range(built, 64, 255);
    await_rest(store);
    assert_int_equal(trees_counters(store->storage->trees).rebuilt, 1);
    assert_trees_are_true(store);
    assert_no_row_is_left_over(store);
}

/* ---- what the disk has lost ---- */

/* A row of the crowded tree's leaves, while the store is closed: removed, or with another value. */
static void
damage_leaf(Store *store, const char *value)
{
    char path[128];
    char *error = NULL;
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_writeoptions_t *writing = rocksdb_writeoptions_create();
    static const char KEY[] = "\xff\xff\xff\xff\2\0\0\0\1\0\0\0\0";
    rocksdb_readoptions_t *reading = rocksdb_readoptions_create();
    rocksdb_iterator_t *iterator;
    rocksdb_t *db;
    size_t length;

    snprintf(path, sizeof(path), "%s/rocksdb", store->directory);
    db = rocksdb_open(options, path, &error);
    assert_null(error);
    iterator = rocksdb_create_iterator(db, reading);
    rocksdb_iter_seek(iterator, KEY, sizeof(KEY) - 1);
    assert_true(rocksdb_iter_valid(iterator));
    const char *key = rocksdb_iter_key(iterator, &length);
    assert_memory_equal(key, KEY, sizeof(KEY) - 1);
    if (value != NULL)
        rocksdb_put(db, writing, key, length, value, strlen(value), &error);
    else
        rocksdb_delete(db, writing, key, length, &error);
    assert_null(error);
    rocksdb_iter_destroy(iterator);
    rocksdb_readoptions_destroy(reading);
    rocksdb_writeoptions_destroy(writing);
    rocksdb_close(db);
    rocksdb_options_destroy(options);
}

static void
a_tree_that_lost_a_row_is_in_doubt_until_it_is_rebuilt(void **state)
{
    static const char *const DAMAGES[] = {NULL, "nonsense"};
    Store *store = *state;
    TreeSum sum;

    put_many(store, crowded_key, 1000);
    await_rest(store);
    for (unsigned i = 0; i < 2; i++)
    {
        store_close(store);
        damage_leaf(store, DAMAGES[i]);
        store_open(store, STORE_CACHE_BYTES);
        assert_int_equal(trees_counters(store->storage->trees).doubted, 1);
        assert_true(trees_sum(store->storage->trees, CROWDED, (TreePart){.depth = 0}, &sum));
        assert_false(sum.settled);
        await_rest(store);
        assert_trees_are_true(store);
        assert_no_row_is_left_over(store);
    }
}

static void
put_unreadable(Store *store, Slice key)
{
    Rocks *rocks = rocks_of(store->storage);
    char *error = NULL;

    rocksdb_put(rocks->db, rocks->write_options, (const char *)key.data, key.length, "\xff", 1,
                &error);
    assert_null(error);
}

static void
a_record_written_over_unread_puts_its_tree_in_doubt_until_it_is_rebuilt(void **state)
{
    Store *store = *state;
    uint64_t ref = store_put(store, crowded_key(store, 1), "value", NULL);
    Object object;
    TreeSum sum;

    store_await_durable(store, ref);
    object = store_object(store, ref);
    put_unreadable(store, crowded_key(store, 2));
    store_await_durable(store, store_merge(store, crowded_key(store, 2), &object));
    assert_true(crowded_tree(store)->doubt || trees_counters(store->storage->trees).rebuilt == 1);
    await_rest(store);
    assert_true(trees_sum(store->storage->trees, CROWDED, (TreePart){.depth = 0}, &sum));
    assert_int_equal(sum.rows, 2);
    assert_trees_are_true(store);
    assert_no_row_is_left_over(store);
}

/* The tree grows over it as soon as it can be read. */
static void
a_record_that_cannot_be_read_holds_up_what_is_built(void **state)
{
    Store *store = *state;
    Object object;
    uint64_t ref;

    put_unreadable(store, crowded_key(store, 100));
    put_many(store, crowded_key, 100);
    begin_deadline(store);
    while (store->storage->counters(store->storage).corrupt == 0)
        pass_turn(store);
    assert_int_equal(trees_depth(store->storage->trees, CROWDED), 0);
    assert_int_equal(trees_counters(store->storage->trees).doubted, 1);
    ref = store_put(store, crowded_key(store, 1), "another", NULL);
    store_await_durable(store, ref);
    object = store_object(store, ref);
    store_await_durable(store, store_merge(store, crowded_key(store, 100), &object));
    await_rest(store);
    assert_int_equal(trees_depth(store->storage->trees, CROWDED), TREE_GROW_BITS);
    assert_trees_are_true(store);
}

static void
trees_of_another_ring_are_all_rebuilt(void **state)
{
    Store *store = *state;

    put_many(store, spread_key, 1000);
    await_rest(store);
    store_close(store);
    store_open(store, STORE_CACHE_BYTES);
    store->storage->set_partitions(store->storage, STORE_PARTITIONS * 2);
    assert_int_equal(trees_counters(store->storage->trees).trees, BUCKETS * STORE_PARTITIONS * 2);
    await_rest(store);
    assert_int_equal(store->storage->counters(store->storage).keys_estimate, 1000);
    assert_trees_are_true(store);
    assert_no_row_is_left_over(store);
}

/* ---- kill -9 ---- */

static void
tell_durable(void *context, uint64_t ref, StatusCode status)
{
    store_note_durable(context, ref, status);
    if (status != STATUS_OK || write(STDOUT_FILENO, "+", 1) != 1)
        _exit(1);
}

static int
write_until_killed(const char *directory, uint64_t round)
{
    Store *store = store_new(directory);
    RocksOptions options = {.directory = store->directory,
                            .block_cache_bytes = STORE_CACHE_BYTES,
                            .write_buffer_bytes = SMALL_BUFFER_BYTES,
                            .record_cache_bytes = STORE_RECORD_CACHE_BYTES};
    StorageEvents events = store_events(store);

    events.durable = tell_durable;
    store->run = (Run){.actor = {{2, (uint8_t)round}}};
    if (rocks_open(&store->loop, &options, &store->run, &events, &store->storage).failed)
        return 1;
    store->storage->set_partitions(store->storage, STORE_PARTITIONS);
    while (store->next_ref < STORE_CALLS_MAX)
    {
        uint32_t number = (uint32_t)(random_hash(round << 32 | store->next_ref) % KILLED_KEYS);

        store_put_request(store,
                          number % 2 == 0 ? crowded_key(store, number) : spread_key(store, number),
                          slice_from_string("value"), NULL, random_hash(round + number));
        if (store->next_ref % REBUILD_EVERY == 0)
            (void)trees_rebuild(store->storage->trees, CROWDED);
        uv_run(&store->loop, store_owed(store) < 16 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    }
    for (;;)
        uv_run(&store->loop, UV_RUN_ONCE);
}

/* The child: this program anew, since RocksDB's threads do not outlive a fork. */
static void
become_writer(const char *directory, uint64_t round, int acknowledgements)
{
    char number[24];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(number, sizeof(number), "%u", (unsigned)round);
    if (dup2(acknowledgements, STDOUT_FILENO) >= 0)
        execl("/proc/self/exe", "rocks_trees_test", directory, number, NULL);
    _exit(1);
}

/* A child writes until that many writes are durable, and is killed. */
static void
write_and_kill(const Store *store, uint64_t round, uint32_t durable)
{
    int pipes[2];
    pid_t child;
    char byte;

    assert_int_equal(pipe(pipes), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        become_writer(store->directory, round, pipes[1]);
    close(pipes[1]);
    for (uint32_t i = 0; i < durable; i++)
        assert_int_equal(read(pipes[0], &byte, 1), 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(pipes[0]);
}

static void
trees_are_true_after_kills_at_any_moment(void **state)
{
    Store *store = *state;

    store->write_buffer_bytes = SMALL_BUFFER_BYTES;
    store_open(store, STORE_CACHE_BYTES);
    put_many(store, crowded_key, KILLED_KEYS / 2);
    await_rest(store);
    store_close(store);
    for (uint64_t round = 1; round <= 8; round++)
    {
        write_and_kill(store, round, 200 + (uint32_t)(random_hash(round) % 2500));
        store_open(store, STORE_CACHE_BYTES);
        for (uint32_t bucket = 1; bucket <= BUCKETS; bucket++)
            for (uint32_t i = 0; i < STORE_PARTITIONS; i++)
            {
                const Tree *tree = tree_find(store->storage->trees, (TreeId){bucket, i});

                assert_false(tree != NULL && tree->doubt);
            }
        assert_trees_are_true(store);
        if (round % 2 == 0)
        {
            await_rest(store);
            assert_trees_are_true(store);
            assert_no_row_is_left_over(store);
        }
        store_close(store);
    }
}

int
main(int argc, char **argv)
{
    if (argc == 3)
        return write_until_killed(argv[1], strtoull(argv[2], NULL, 10));

    const struct CMUnitTest tests[] = {
        STORE_TEST(a_put_is_in_its_tree_at_once_and_settled_when_durable),
        STORE_TEST(an_object_that_is_dropped_leaves_its_tree),
        STORE_TEST(trees_grow_while_writes_go_on),
        STORE_TEST(trees_are_true_after_a_restart_without_being_rebuilt),
        STORE_TEST(a_restart_in_the_middle_of_a_rebuild_goes_on_there),
        STORE_TEST(a_tree_that_lost_a_row_is_in_doubt_until_it_is_rebuilt),
        STORE_TEST(a_record_written_over_unread_puts_its_tree_in_doubt_until_it_is_rebuilt),
        STORE_TEST(a_record_that_cannot_be_read_holds_up_what_is_built),
        STORE_TEST(trees_of_another_ring_are_all_rebuilt),
        STORE_CLOSED_TEST(trees_are_true_after_kills_at_any_moment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
