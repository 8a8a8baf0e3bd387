#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/node/rocks/rocks_damage_fixture.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static DataMark
mark_of(const Store *store)
{
    return lineage_mark(store->storage->lineage, store->storage->commits);
}

/* What is remembered of the data is missed: the node has them filled before it answers reads. */
static void
assert_lost(const Store *store, const DataMark *mark)
{
    assert_false(lineage_holds(store->storage->lineage, store->storage->commits, mark));
}

static bool
has_file(const Store *store, const char *name)
{
    char path[160];

    snprintf(path, sizeof(path), "%s/%s", store->directory, name);
    return access(path, F_OK) == 0;
}

static Outcome
salvage(Store *store)
{
    RocksOptions options = store_options(store, STORE_CACHE_BYTES);

    return rocks_salvage(&options);
}

/* A second file, of the rows behind the last one. */
static void
put_late_rows(Store *store)
{
    uint64_t ref = 0;

    for (unsigned row = DAMAGE_ROWS; row < DAMAGE_ROWS + 100; row++)
        ref = store_put(store, damage_late_key(store, row), "late", NULL);
    store_await_durable(store, ref);
    store_flush(store);
}

static void
assert_only_late_rows(Store *store)
{
    StorageRange range = store_whole_bucket(DAMAGE_BUCKET);
    const Answer *answer;

    range.max_bytes = 64 * 1024 * 1024;
    answer = store_scan(store, &range);
    assert_int_equal(answer->status, STATUS_OK);
    assert_int_equal(answer->page.row_count, 100);
}

static void
assert_all_rows(Store *store)
{
    for (unsigned row = 0; row < DAMAGE_ROWS; row += 100)
        damage_assert_row(store, row);
}

/* RocksDB writes files anew behind one's back. */
static const char *
largest_file(Store *store)
{
    struct stat status;
    off_t most = 0;
    const char *largest = NULL;
    char path[160];
    glob_t files;

    snprintf(path, sizeof(path), "%s/rocksdb/*.sst", store->directory);
    assert_int_equal(glob(path, 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++)
    {
        assert_int_equal(stat(files.gl_pathv[i], &status), 0);
        if (status.st_size <= most)
            continue;
        most = status.st_size;
        largest = arena_copy_string(&store->arena, files.gl_pathv[i], strlen(files.gl_pathv[i]));
    }
    globfree(&files);
    return largest;
}

/* A closed store of all rows in one file, and the late ones in another. */
static DataMark
close_with_two_files(Store *store)
{
    DataMark mark;

    damage_put_rows(store);
    put_late_rows(store);
    mark = mark_of(store);
    store_close(store);
    return mark;
}

/* The rows' file is damaged at that place. Returns what is remembered of the data. */
static DataMark
close_with_damage_at(Store *store, off_t offset)
{
    DataMark mark = close_with_two_files(store);

    damage_file(largest_file(store), offset);
    return mark;
}

static void
a_file_that_was_found_damaged_is_put_aside_at_the_next_opening(void **state)
{
    Store *store = *state;
    DataMark mark = close_with_damage_at(store, DAMAGE_AT);
    StorageRange range = store_whole_bucket(DAMAGE_BUCKET);

    store_open(store, STORE_CACHE_BYTES);
    assert_int_equal(store_scan(store, &range)->status, STATUS_CORRUPT);
    assert_true(has_file(store, "DAMAGED"));
    assert_non_null(strstr(store->warned, "Restart the node"));
    assert_int_equal(store->storage->counters(store->storage).damaged_files, 1);
    store_reopen(store, STORE_CACHE_BYTES);
    assert_non_null(strstr(store->warned, "kept 100 records"));
    assert_lost(store, &mark);
    assert_only_late_rows(store);
    assert_false(has_file(store, "DAMAGED"));
    assert_true(has_file(store, "rocksdb/lost"));
    mark = mark_of(store);
    store_put_durably(store, store_key(store, "k"), "v");
    store_reopen(store, STORE_CACHE_BYTES);
    assert_true(lineage_holds(store->storage->lineage, store->storage->commits, &mark));
}

/* From its end: footer, index, properties, and what fits into no file. */
static void
a_file_that_cannot_be_opened_is_put_aside_at_once(void **state)
{
    static const off_t offsets[] = {-10, -53, -3000, -1000};

    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++)
    {
        Store *store;
        DataMark mark;

        assert_int_equal(store_setup(state), 0);
        store = *state;
        mark = close_with_damage_at(store, offsets[i]);
        store_open(store, STORE_CACHE_BYTES);
        assert_lost(store, &mark);
        assert_only_late_rows(store);
        assert_int_equal(store_teardown(state), 0);
    }
}

static void
a_file_that_is_short_or_missing_is_put_aside_at_once(void **state)
{
    for (int missing = 0; missing < 2; missing++)
    {
        Store *store;
        DataMark mark;
        const char *path;

        assert_int_equal(store_setup(state), 0);
        store = *state;
        mark = close_with_two_files(store);
        path = largest_file(store);
        assert_int_equal(missing ? unlink(path) : truncate(path, DAMAGE_AT), 0);
        store_open(store, STORE_CACHE_BYTES);
        assert_lost(store, &mark);
        assert_only_late_rows(store);
        assert_int_equal(store_teardown(state), 0);
    }
}

static void
assert_refused_with_a_hint(Store *store)
{
    Outcome outcome = store_try_open(store, STORE_CACHE_BYTES);

    assert_true(outcome.failed);
    assert_non_null(strstr(outcome.message, "dynamo_node salvage"));
}

static void
a_damaged_manifest_waits_for_a_person(void **state)
{
    Store *store = *state;
    DataMark mark;

    damage_put_rows(store);
    mark = mark_of(store);
    store_close(store);
    damage_file(store_only_file(store, "MANIFEST-*"), 10);
    assert_refused_with_a_hint(store);
    assert_false(salvage(store).failed);
    store_open(store, STORE_CACHE_BYTES);
    assert_lost(store, &mark);
    assert_all_rows(store);
}

static void
so_does_a_missing_one(void **state)
{
    static const char *const names[] = {"CURRENT", "MANIFEST-*"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
    {
        Store *store;

        assert_int_equal(store_setup(state), 0);
        store = *state;
        damage_put_rows(store);
        store_close(store);
        assert_int_equal(unlink(store_only_file(store, names[i])), 0);
        assert_refused_with_a_hint(store);
        assert_false(salvage(store).failed);
        store_open(store, STORE_CACHE_BYTES);
        assert_all_rows(store);
        assert_int_equal(store_teardown(state), 0);
    }
}

static void
so_does_a_log_that_is_damaged_before_its_end(void **state)
{
    Store *store = *state;
    DataMark mark;

    for (unsigned i = 0; i < 50; i++)
    {
        char key[16];

        snprintf(key, sizeof(key), "%u", i);
        store_put_durably(store, store_key(store, key), "a value of some length");
    }
    mark = mark_of(store);
    store_close(store);
    damage_file(store_only_file(store, "*.log"), 3000);
    assert_refused_with_a_hint(store);
    assert_refused_with_a_hint(store);
    assert_false(salvage(store).failed);
    store_open(store, STORE_CACHE_BYTES);
    assert_lost(store, &mark);
    store_assert_holds(store, store_key(store, "0"), "a value of some length");
}

static void
what_cannot_be_repaired_at_all_is_kept_beside_an_empty_store(void **state)
{
    Store *store = *state;
    char path[160];
    glob_t files;

    damage_put_rows(store);
    store_close(store);
    snprintf(path, sizeof(path), "%s/rocksdb/*", store->directory);
    assert_int_equal(glob(path, 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++)
        assert_int_equal(truncate(files.gl_pathv[i], 0), 0);
    globfree(&files);
    snprintf(path, sizeof(path), "%s/rocksdb/lost", store->directory);
    fclose(fopen(path, "w")); /* where repair would put what it cannot read */
    assert_refused_with_a_hint(store);
    assert_false(salvage(store).failed);
    store_open(store, STORE_CACHE_BYTES);
    assert_int_equal(store_read(store, damage_row_key(store, 0))->object.length, 0);
}

static void
nothing_is_salvaged_where_nothing_was(void **state)
{
    Store *store = *state;

    assert_true(salvage(store).failed);
    store_open(store, STORE_CACHE_BYTES);
}

/* Puts the row of the index that stands for a hint, as it is, once more. */
static void
put_index_again(Store *store, Slice storage_key, const MemberId *target)
{
    Rocks *rocks = rocks_of(store->storage);
    Hint hint = {.target = *target};
    Buffer key;
    Buffer value;
    char *error = NULL;

    buffer_init(&key, &MEMORY_HEAP);
    buffer_init(&value, &MEMORY_HEAP);
    hints_index_key(&key, target, storage_key);
    hints_index_value(&value, &hint);
    rocksdb_put(rocks->db, rocks->write_options, (const char *)key.data, key.length,
                (const char *)value.data, value.length, &error);
    assert_null(error);
    buffer_free(&key);
    buffer_free(&value);
}

static void
a_store_whose_own_rows_cannot_be_read_is_salvaged_at_once(void **state)
{
    Store *store = *state;
    MemberId target = {{5}};
    DataMark mark;

    damage_put_hinted(store, store_key(store, "k"), &target);
    store_flush(store);
    mark = mark_of(store);
    store_close(store);
    damage_file(store_only_file(store, "*.sst"), 10);
    store_open(store, STORE_CACHE_BYTES);
    assert_lost(store, &mark);
    assert_int_equal(hints_count(&store->storage->hints), 0);
}

static void
hints_are_counted_by_the_records_that_are_left(void **state)
{
    Store *store = *state;
    MemberId target = {{5}};

    damage_put_hinted(store, store_key(store, "lost"), &target);
    store_flush(store);
    put_index_again(store, store_key(store, "lost"), &target);
    damage_put_hinted(store, store_key(store, "kept"), &target);
    assert_int_equal(hints_count(&store->storage->hints), 2);
    store_close(store);
    damage_file(store_only_file(store, "*.sst"), 10);
    assert_false(salvage(store).failed);
    store_open(store, STORE_CACHE_BYTES);
    assert_int_equal(hints_count(&store->storage->hints), 1);
}

static void
a_compaction_that_meets_damage_ends_all_writing_until_then(void **state)
{
    Store *store = *state;
    DataMark mark = close_with_damage_at(store, DAMAGE_AT);
    uint64_t ref;

    store_open(store, STORE_CACHE_BYTES);
    damage_rewrite_tables(store);
    ref = store_put(store, store_key(store, "k"), "v", NULL);
    store_await(store, &store->answers[ref].durable);
    assert_int_equal(store->answers[ref].status, STATUS_STORAGE);
    assert_true(store->storage->disk != DISK_WELL);
    assert_true(has_file(store, "DAMAGED"));
    store_reopen(store, STORE_CACHE_BYTES);
    assert_lost(store, &mark);
    store_put_durably(store, store_key(store, "k"), "v");
}

static void
once_damage_is_known_there_are_no_compactions(void **state)
{
    Store *store = *state;
    unsigned row;

    (void)close_with_damage_at(store, DAMAGE_AT);
    store_open(store, STORE_CACHE_BYTES);
    for (row = 0; !has_file(store, "DAMAGED"); row++)
        (void)store_read(store, damage_row_key(store, row));
    for (unsigned i = 0; i < 8; i++)
    {
        store_put_durably(store, damage_row_key(store, 0), "over and over");
        store_put_durably(store, damage_row_key(store, DAMAGE_ROWS - 1), "again");
        store_flush(store);
    }
    assert_false(store->storage->disk != DISK_WELL);
}

/* Not one that there never was: it is built from what is left. */
static void
trees_are_built_anew(void **state)
{
    Store *store = *state;
    TreeSum sum;

    (void)close_with_damage_at(store, -10);
    store_open(store, STORE_CACHE_BYTES);
    for (uint32_t partition = 0; partition < STORE_PARTITIONS; partition++)
    {
        TreeId id = {DAMAGE_BUCKET, partition};

        do
        {
            uv_run(&store->loop, UV_RUN_NOWAIT);
            assert_true(trees_sum(store->storage->trees, id, (TreePart){0}, &sum));
        } while (!sum.settled);
    }
    assert_int_equal(trees_counters(store->storage->trees).rows, 100);
}

static void
an_interrupted_salvage_is_done_again(void **state)
{
    Store *store = *state;
    DataMark mark;

    damage_put_rows(store);
    mark = mark_of(store);
    store_close(store);
    assert_true(
        rocks_folder_replace(store->directory, ROCKS_DAMAGED_NAME, slice_from_string("?\n")));
    store_open(store, STORE_CACHE_BYTES);
    assert_lost(store, &mark);
    assert_all_rows(store);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_file_that_was_found_damaged_is_put_aside_at_the_next_opening),
        cmocka_unit_test(a_file_that_cannot_be_opened_is_put_aside_at_once),
        cmocka_unit_test(a_file_that_is_short_or_missing_is_put_aside_at_once),
        STORE_TEST(a_damaged_manifest_waits_for_a_person),
        cmocka_unit_test(so_does_a_missing_one),
        STORE_TEST(so_does_a_log_that_is_damaged_before_its_end),
        STORE_TEST(what_cannot_be_repaired_at_all_is_kept_beside_an_empty_store),
        STORE_CLOSED_TEST(nothing_is_salvaged_where_nothing_was),
        STORE_TEST(a_store_whose_own_rows_cannot_be_read_is_salvaged_at_once),
        STORE_TEST(hints_are_counted_by_the_records_that_are_left),
        STORE_TEST(a_compaction_that_meets_damage_ends_all_writing_until_then),
        STORE_TEST(once_damage_is_known_there_are_no_compactions),
        STORE_TEST(trees_are_built_anew),
        STORE_TEST(an_interrupted_salvage_is_done_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
