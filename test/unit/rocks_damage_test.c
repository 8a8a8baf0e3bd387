#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/rocks_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum
{
    ROWS = 2000,
    BUCKET = 7,
    DAMAGED_AT = 100000 /* bytes into the one table file: in its data blocks */
};

/* Positions lie apart, as hashes do. */
#define STEP (UINT64_MAX / ROWS)

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

static Slice
row_key(Store *store, unsigned row)
{
    char key[16];

    snprintf(key, sizeof(key), "%u", row);
    return store_key_in(store, BUCKET, row * STEP, key);
}

/* No two blocks alike, and none that gets small. */
static void
fill_value(unsigned row, char value[200])
{
    uint64_t seed = row + 1;

    for (size_t i = 0; i < 199; i++)
    {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        value[i] = (char)('!' + (seed >> 33) % 90);
    }
    value[199] = '\0';
}

static void
put_rows(Store *store)
{
    uint64_t ref = 0;

    for (unsigned row = 0; row < ROWS; row++)
    {
        char value[200];

        fill_value(row, value);
        ref = store_put(store, row_key(store, row), value, NULL);
    }
    store_await_durable(store, ref);
    assert_false(rocks_flush(store->storage).failed);
}

/* offset below 0: from the end. */
static void
damage_file(const char *path, off_t offset)
{
    struct stat status;
    uint8_t byte;
    int fd = open(path, O_RDWR);

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    if (offset < 0)
        offset += status.st_size;
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= 0x55;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    close(fd);
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
    unsigned first = ROWS;

    put_rows(store);
    store_close(store);
    damage_file(store_only_file(store, "*.sst"), DAMAGED_AT);
    open_and_listen(store);
    for (unsigned row = 0; row < ROWS; row++)
    {
        const Answer *answer = store_read(store, row_key(store, row));

        if (answer->status == STATUS_CORRUPT)
        {
            first = first == ROWS ? row : first;
            *last = row;
        }
        else
        {
            assert_int_equal(answer->status, STATUS_OK);
            assert_true(answer->object.length > 0);
        }
    }
    assert_true(first < ROWS && *last - first < 50);
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
    StorageRange range = store_whole_bucket(BUCKET);
    char value[200];

    assert_int_equal(store_scan(store, &range)->status, STATUS_CORRUPT);
    range.first_position = (last + 1) * STEP;
    assert_int_equal(store_scan(store, &range)->status, STATUS_OK);
    fill_value(first - 1, value);
    store_assert_holds(store, row_key(store, first - 1), value);
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
    assert_int_equal(report.bucket_id, BUCKET);
    /* What parts two blocks in the index stands somewhere between their rows. */
    assert_in_range(report.first, (first - 2) * STEP, first * STEP);
    assert_in_range(report.last, last * STEP, (last + 2) * STEP);
    told = report.count;
    (void)store_read(store, row_key(store, first));
    (void)store_read(store, row_key(store, last));
    (void)store_read(store, row_key(store, 0));
    assert_int_equal(report.count, told);
}

static void
a_scan_reports_where_it_stopped(void **state)
{
    Store *store = *state;
    StorageRange range = store_whole_bucket(BUCKET);

    put_rows(store);
    store_close(store);
    damage_file(store_only_file(store, "*.sst"), DAMAGED_AT);
    open_and_listen(store);
    assert_int_equal(store_scan(store, &range)->status, STATUS_CORRUPT);
    await_report(store);
    assert_int_equal(report.bucket_id, BUCKET);
    assert_true(report.last > report.first && report.last - report.first < 50 * STEP);
}

/* The object that another owner has of the row. */
static Object
foreign_object(Store *store, const char *value)
{
    static Dot dot = {.actor = {{9}}, .epoch = 1, .counter = 1};
    static Dot seen = {.actor = {{9}}, .epoch = 1, .counter = 1};
    Sibling *sibling = ARENA_NEW(&store->arena, Sibling);

    *sibling = (Sibling){
        .request = {{9}}, .value = slice_from_string(value), .dots = &dot, .dot_count = 1};
    return (Object){
        .context = {.entries = &seen, .count = 1},
          .siblings = sibling, .sibling_count = 1
    };
}

static void
a_put_on_it_is_refused_and_a_merge_mends_it(void **state)
{
    Store *store = *state;
    unsigned last = 0;
    unsigned row = open_damaged(store, &last);
    Slice key = row_key(store, row);
    Object object = foreign_object(store, "from another owner");
    uint64_t ref = store_put(store, key, "v", NULL);
    uint64_t merge;

    store_await(store, &store->answers[ref].merged);
    assert_int_equal(store->answers[ref].status, STATUS_CORRUPT);
    merge = store_merge(store, key, &object);
    store_await_durable(store, merge);
    store_assert_holds(store, key, "from another owner");
    store_put_durably(store, key, "and on it");
    assert_int_equal(store_read_object(store, key).sibling_count, 2);
    assert_int_equal(store_read(store, row_key(store, last))->status, STATUS_CORRUPT);
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
    Object object = foreign_object(store, "from another owner");
    StorageRange range = store_whole_bucket(BUCKET);

    store_close(store);
    open_and_listen(store);
    key = store_key_in(store, BUCKET, 500, "k");
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

static void
hints_of_an_unreadable_record_are_lost_and_not_counted(void **state)
{
    Store *store = *state;
    MemberId target = {{5}};
    HintChange hints[] = {
        {.target = target, .now_ms = 1}
    };
    Object object = foreign_object(store, "v");
    Update update = {.merge = &object, .hints = hints, .hint_count = 1};
    Slice key = store_key_in(store, BUCKET, 500, "k");
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_damaged_block_is_corrupt_and_never_absent),
        STORE_TEST(the_whole_block_is_reported_and_little_more),
        STORE_TEST(a_scan_reports_where_it_stopped),
        STORE_TEST(a_put_on_it_is_refused_and_a_merge_mends_it),
        STORE_TEST(a_record_that_does_not_decode_is_reported_alone_and_mended),
        STORE_TEST(hints_of_an_unreadable_record_are_lost_and_not_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
