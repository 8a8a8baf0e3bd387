#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/node/rocks/rocks_damage_fixture.h"

#include <sys/stat.h>
#include <unistd.h>

typedef struct Report
{
    uint32_t count;
    bool told;
    uint32_t bucket_id;
    uint64_t first;
    uint64_t last;
} Report;

static Report report;

static void
note_unreadable(void *context, uint32_t bucket_id, uint64_t first, uint64_t last)
{
    report = (Report){report.count + 1, true, bucket_id, first, last};
}

static void
open_and_listen(Store *store)
{
    report = (Report){.count = 0};
    store->unreadable = note_unreadable;
    store_open(store, STORE_CACHE_BYTES);
}

/* A store with one damaged block, opened. Returns its first row that cannot be read. */
static unsigned
open_damaged(Store *store, unsigned *last)
{
    unsigned first = DAMAGE_ROWS;

    damage_put_rows(store);
    store_close(store);
    damage_file(store_only_file(store, "*.sst"), DAMAGE_AT);
    open_and_listen(store);
    for (unsigned row = 0; row < DAMAGE_ROWS; row++)
    {
        const Answer *answer = store_read(store, damage_row_key(store, row));

        if (answer->status == STATUS_CORRUPT)
        {
            first = first == DAMAGE_ROWS ? row : first;
            *last = row;
        }
        else
        {
            assert_int_equal(answer->status, STATUS_OK);
            assert_true(answer->object.length > 0);
        }
    }
    assert_true(first < DAMAGE_ROWS && *last - first < 50);
    return first;
}

static void
await_report(Store *store)
{
    store_await(store, &report.told);
    report.told = false;
}

static void
a_damaged_block_is_corrupt_and_never_absent(void **state)
{
    Store *store = *state;
    unsigned last = 0;
    unsigned first = open_damaged(store, &last);
    StorageRange range = store_whole_bucket(DAMAGE_BUCKET);

    assert_int_equal(store_scan(store, &range)->status, STATUS_CORRUPT);
    range.first_position = (last + 1) * DAMAGE_STEP;
    assert_int_equal(store_scan(store, &range)->status, STATUS_OK);
    damage_assert_row(store, first - 1);
    assert_true(store->storage->counters(store->storage).corrupt > last - first);
}

static void
the_whole_block_is_reported_and_little_more(void **state)
{
    Store *store = *state;
    unsigned last = 0;
    unsigned first = open_damaged(store, &last);
    uint32_t told;

    if (report.count == 0)
        await_report(store);
    assert_int_equal(report.bucket_id, DAMAGE_BUCKET);
    /* What parts two blocks in the index stands somewhere between their rows. */
    assert_in_range(report.first, (first - 2) * DAMAGE_STEP, first * DAMAGE_STEP);
    assert_in_range(report.last, last * DAMAGE_STEP, (last + 2) * DAMAGE_STEP);
    told = report.count;
    (void)store_read(store, damage_row_key(store, first));
    (void)store_read(store, damage_row_key(store, last));
    (void)store_read(store, damage_row_key(store, 0));
    assert_int_equal(report.count, told);
}

static void
a_scan_reports_where_it_stopped(void **state)
{
    Store *store = *state;
    StorageRange range = store_whole_bucket(DAMAGE_BUCKET);

    damage_put_rows(store);
    store_close(store);
    damage_file(store_only_file(store, "*.sst"), DAMAGE_AT);
    open_and_listen(store);
    assert_int_equal(store_scan(store, &range)->status, STATUS_CORRUPT);
    await_report(store);
    assert_int_equal(report.bucket_id, DAMAGE_BUCKET);
    assert_true(report.last > report.first && report.last - report.first < 50 * DAMAGE_STEP);
}

static void
a_put_on_it_is_refused_and_a_merge_mends_it(void **state)
{
    Store *store = *state;
    unsigned last = 0;
    unsigned row = open_damaged(store, &last);
    Slice key = damage_row_key(store, row);
    Object object = damage_foreign_object(store, "from another owner");
    uint64_t ref = store_put(store, key, "v", NULL);
    uint64_t merge;

    store_await(store, &store->answers[ref].merged);
    assert_int_equal(store->answers[ref].status, STATUS_CORRUPT);
    merge = store_merge(store, key, &object);
    store_await_durable(store, merge);
    store_assert_holds(store, key, "from another owner");
    store_put_durably(store, key, "and on it");
    assert_int_equal(store_read_object(store, key).sibling_count, 2);
    assert_int_equal(store_read(store, damage_row_key(store, last))->status, STATUS_CORRUPT);
    store_reopen(store, STORE_CACHE_BYTES);
}

static void
write_garbage(Store *store, Slice key)
{
    Rocks *rocks = rocks_of(store->storage);
    char *error = NULL;

    rocksdb_put(rocks->db, rocks->write_options, (const char *)key.data, key.length, "garbage", 7,
                &error);
    assert_null(error);
}

static void
a_record_that_does_not_decode_is_reported_alone_and_mended(void **state)
{
    Store *store = *state;
    Slice key;
    Object object = damage_foreign_object(store, "from another owner");
    StorageRange range = store_whole_bucket(DAMAGE_BUCKET);

    store_close(store);
    open_and_listen(store);
    key = store_key_in(store, DAMAGE_BUCKET, 500, "k");
    write_garbage(store, key);
    assert_int_equal(store_read(store, key)->status, STATUS_CORRUPT);
    await_report(store);
    assert_int_equal(report.first, 500);
    assert_int_equal(report.last, 500);
    assert_int_equal(store_scan(store, &range)->status, STATUS_CORRUPT);
    store_await_durable(store, store_merge(store, key, &object));
    store_assert_holds(store, key, "from another owner");
    assert_int_equal(store_scan(store, &range)->page.row_count, 1);
    assert_int_equal(store->storage->counters(store->storage).damaged_files, 0);
}

/* Two that do not decode, of three; and one of them is mended before. */
static void
what_does_not_decode_is_listed_and_forgotten(void **state)
{
    Store *store = *state;
    Object object = damage_foreign_object(store, "from another owner");
    StorageRange range = store_whole_bucket(DAMAGE_BUCKET);
    Slice lost;
    Slice mended;
    const Answer *answer;
    Digest digest;
    Update update = {.unreadable = &digest};
    uint64_t ref;

    store_close(store);
    open_and_listen(store);
    lost = store_key_in(store, DAMAGE_BUCKET, 500, "k");
    mended = store_key_in(store, DAMAGE_BUCKET, 501, "k");
    store_put_durably(store, store_key_in(store, DAMAGE_BUCKET, 400, "k"), "whole");
    write_garbage(store, lost);
    write_garbage(store, mended);
    range.unreadable = true;
    answer = store_scan(store, &range);
    assert_int_equal(answer->status, STATUS_OK);
    assert_true(answer->page.done);
    assert_int_equal(answer->page.row_count, 2);
    assert_int_equal(answer->page.rows[0].position, 500);
    digest = digest_of(answer->page.rows[0].object);
    store_await_durable(store, store_merge(store, mended, &object));
    ref = store_ref(store);
    store->storage->apply(store->storage, lost, &update, ref);
    store_await_durable(store, ref);
    ref = store_ref(store);
    store->storage->apply(store->storage, mended, &update, ref);
    store_await_durable(store, ref);
    store_assert_holds(store, mended, "from another owner");
    answer = store_read(store, lost);
    assert_int_equal(answer->status, STATUS_OK);
    assert_int_equal(answer->object.length, 0);
    assert_int_equal(store_scan(store, &range)->page.row_count, 0);
    range.unreadable = false;
    answer = store_scan(store, &range);
    assert_int_equal(answer->status, STATUS_OK);
    assert_int_equal(answer->page.row_count, 2);
}

static void
hints_of_an_unreadable_record_are_lost_and_not_counted(void **state)
{
    Store *store = *state;
    MemberId target = {{5}};
    HintChange hints[] = {
        {.target = target, .now_ms = 1}
    };
    Object object = damage_foreign_object(store, "v");
    Update update = {.merge = &object, .hints = hints, .hint_count = 1};
    Slice key = store_key_in(store, DAMAGE_BUCKET, 500, "k");
    uint64_t ref = store_ref(store);

    store->storage->apply(store->storage, key, &update, ref);
    store_await_durable(store, ref);
    assert_int_equal(hints_count(&store->storage->hints), 1);
    store_close(store);
    store->record_cache_bytes = 0;
    open_and_listen(store);
    write_garbage(store, key);
    store_await_durable(store, store_merge(store, key, &object));
    assert_int_equal(hints_count(&store->storage->hints), 0);
    store_reopen(store, STORE_CACHE_BYTES);
    assert_int_equal(hints_count(&store->storage->hints), 0);
}

static const Answer *
check_piece(Store *store, bool anew, uint32_t max_bytes)
{
    uint64_t ref = store_ref(store);

    store->storage->check(store->storage, anew, max_bytes, ref);
    store_await(store, &store->answers[ref].scanned);
    assert_int_equal(store->answers[ref].status, STATUS_OK);
    return &store->answers[ref];
}

/* A whole pass; pieces as small as can be make it many. */
static StorageCheck
check_files(Store *store, uint32_t max_bytes)
{
    StorageCheck check = {.bytes = 0};
    bool anew = true;

    while (!check.done)
    {
        const Answer *answer = check_piece(store, anew, max_bytes);

        check.bytes += answer->check.bytes;
        check.blocks_damaged += answer->check.blocks_damaged;
        check.files_done = answer->check.files_done;
        check.files_total = answer->check.files_total;
        check.done = answer->check.done;
        anew = false;
    }
    return check;
}

static void
sound_files_are_read_through(void **state)
{
    Store *store = *state;
    struct stat status;
    StorageCheck check;

    damage_put_rows(store);
    assert_int_equal(stat(store_only_file(store, "*.sst"), &status), 0);
    check = check_files(store, 64 * 1024 * 1024);
    assert_int_equal(check.files_done, 1);
    assert_int_equal(check.files_total, 1);
    assert_int_equal(check.blocks_damaged, 0);
    assert_true(check.bytes >= (uint64_t)status.st_size - 64 * 1024);
    check = check_files(store, 1);
    assert_int_equal(check.blocks_damaged, 0);
    assert_int_equal(check.files_done, 1);
    assert_int_equal(store->storage->counters(store->storage).damaged_files, 0);
}

/* Data, filter, index, properties, footer: all of it is in RocksDB's cache, where it is sound. */
static void
damage_anywhere_in_a_file_is_found(void **state)
{
    Store *store = *state;
    struct stat status;
    char *path;

    damage_put_rows(store);
    path = store_only_file(store, "*.sst");
    assert_int_equal(stat(path, &status), 0);
    for (off_t at = 1000; at < status.st_size; at += 9973)
    {
        damage_file(path, at);
        assert_int_equal(check_files(store, 64 * 1024 * 1024).blocks_damaged, 1);
        damage_file(path, at);
    }
    for (off_t back = 1; back < 4000; back += 9)
    {
        if (back > 12 && back < 45)
            continue; /* the footer's padding */
        damage_file(path, -back);
        assert_true(check_files(store, 64 * 1024 * 1024).blocks_damaged > 0);
        damage_file(path, -back);
    }
    assert_int_equal(check_files(store, 64 * 1024 * 1024).blocks_damaged, 0);
    assert_int_equal(store->storage->counters(store->storage).damaged_files, 1);
}

/* A range that was removed, and no row. */
static void
a_file_without_rows_is_sound(void **state)
{
    Store *store = *state;
    Rocks *rocks = rocks_of(store->storage);
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    char *error = NULL;
    StorageCheck check;

    rocksdb_writebatch_delete_range(batch, "a", 1, "b", 1);
    rocksdb_write(rocks->db, rocks->write_options, batch, &error);
    assert_null(error);
    rocksdb_writebatch_destroy(batch);
    store_flush(store);
    check = check_files(store, 1024);
    assert_true(check.files_total > 0);
    assert_int_equal(check.blocks_damaged, 0);
}

static void
files_that_were_written_anew_meanwhile_are_passed_over(void **state)
{
    Store *store = *state;
    const Answer *answer;

    damage_put_rows(store);
    store_put_durably(store, damage_row_key(store, 0), "in another file");
    store_flush(store);
    answer = check_piece(store, true, 1);
    assert_int_equal(answer->check.files_total, 2);
    damage_rewrite_tables(store);
    while (!answer->check.done)
    {
        answer = check_piece(store, false, 1024 * 1024);
        assert_int_equal(answer->check.blocks_damaged, 0);
    }
}

static void
a_file_that_is_gone_is_found(void **state)
{
    Store *store = *state;

    damage_put_rows(store);
    assert_int_equal(unlink(store_only_file(store, "*.sst")), 0);
    assert_int_equal(check_files(store, 1024).blocks_damaged, 1);
    assert_int_equal(store->storage->counters(store->storage).damaged_files, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_damaged_block_is_corrupt_and_never_absent),
        STORE_TEST(the_whole_block_is_reported_and_little_more),
        STORE_TEST(a_scan_reports_where_it_stopped),
        STORE_TEST(a_put_on_it_is_refused_and_a_merge_mends_it),
        STORE_TEST(a_record_that_does_not_decode_is_reported_alone_and_mended),
        STORE_TEST(sound_files_are_read_through),
        STORE_TEST(damage_anywhere_in_a_file_is_found),
        STORE_TEST(a_file_without_rows_is_sound),
        STORE_TEST(files_that_were_written_anew_meanwhile_are_passed_over),
        STORE_TEST(a_file_that_is_gone_is_found),
        STORE_TEST(what_does_not_decode_is_listed_and_forgotten),
        STORE_TEST(hints_of_an_unreadable_record_are_lost_and_not_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
