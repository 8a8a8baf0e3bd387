#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/node/rocks/rocks_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum
{
    TAIL_BYTES = 1024 * 1024
};

static off_t
file_size(const char *path)
{
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    return status.st_size;
}

static void
a_log_keeps_its_length_while_it_is_appended_to(void **state)
{
    Store *store = *state;
    const char *log;
    off_t length;
    char key[16];

    store_put_durably(store, store_key(store, "first"), "v");
    log = store_only_file(store, "*.log");
    length = file_size(log);
    assert_true(length >= STORE_BUFFER_BYTES);
    for (unsigned i = 0; i < 50; i++)
    {
        snprintf(key, sizeof(key), "%u", i);
        store_put_large(store, key, 5000);
        assert_int_equal(file_size(log), length);
    }
    store_close(store);
    assert_true(file_size(log) < length);
    assert_true(file_size(log) > 50 * 5000);
}

static void
other_files_keep_the_flag_that_was_asked_for(void **state)
{
    Store *store = *state;
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/rocksdb/notes.log", store->directory);
    fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 65536), 0);
    assert_int_equal(file_size(path), 0);
    assert_int_equal(fallocate(fd, 0, 0, 65536), 0);
    assert_int_equal(file_size(path), 65536);
    close(fd);
    snprintf(path, sizeof(path), "%s/rocksdb/000099.log", store->directory);
    fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_int_equal(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 65536), 0);
    assert_int_equal(file_size(path), 65536);
    assert_int_equal(unlink(path), 0);
    close(fd);
    assert_int_equal(fallocate(-1, FALLOC_FL_KEEP_SIZE, 0, 65536), -1);
}

/* As a log is that nobody closed: cut, and zeros up to its old length and beyond. */
static void
cut_before_zeros(const char *log, off_t lost)
{
    off_t length = file_size(log);

    assert_int_equal(truncate(log, length - lost), 0);
    assert_int_equal(truncate(log, length + TAIL_BYTES), 0);
}

static void
clear(const char *path, off_t offset, size_t length)
{
    static const char zeros[65536];
    int fd = open(path, O_WRONLY);

    assert_int_equal(pwrite(fd, zeros, length, offset), length);
    close(fd);
}

static void
assert_last_was_dropped(Store *store)
{
    store_assert_holds(store, store_key(store, "kept"), "v");
    assert_int_equal(store_read_object(store, store_key(store, "first")).sibling_count, 1);
    assert_int_equal(store_read(store, store_key(store, "last"))->object.length, 0);
    store_put_durably(store, store_key(store, "last"), "again");
    store_reopen(store, STORE_CACHE_BYTES);
    assert_false(rocks_dropped_torn_write(store->storage));
    store_assert_holds(store, store_key(store, "kept"), "v");
    store_assert_holds(store, store_key(store, "last"), "again");
}

/* The second large write crosses the end of a block. Its log is closed; without its last zeros. */
static const char *
lay_writes(Store *store)
{
    store_put_durably(store, store_key(store, "kept"), "v");
    store_put_large(store, "first", 20000);
    store_put_large(store, "last", 20000);
    store_close(store);
    return store_only_file(store, "*.log");
}

static void
zeros_behind_the_last_write_are_its_end(void **state)
{
    Store *store = *state;

    cut_before_zeros(lay_writes(store), 0);
    store_open(store, STORE_CACHE_BYTES);
    assert_false(rocks_dropped_torn_write(store->storage));
    store_assert_holds(store, store_key(store, "kept"), "v");
    assert_int_equal(store_read_object(store, store_key(store, "last")).sibling_count, 1);
}

static void
a_torn_write_before_zeros_is_dropped(void **state)
{
    /* In its second part, near the block's end, in its first part, before its value. */
    static const off_t lost[] = {3, 40000 - 32768, 12000, 20060};
    Store *store = *state;

    for (unsigned i = 0; i < sizeof(lost) / sizeof(lost[0]); i++)
    {
        const char *log = lay_writes(store);

        cut_before_zeros(log, lost[i]);
        store_open(store, STORE_CACHE_BYTES);
        assert_last_was_dropped(store);
        store_close(store);
        store_remove_tree(store->directory);
        store_open(store, STORE_CACHE_BYTES);
    }
}

static void
a_hole_in_the_last_write_before_zeros_is_dropped_with_it(void **state)
{
    Store *store = *state;
    const char *log = lay_writes(store);

    cut_before_zeros(log, 0);
    clear(log, 24576, 4096);
    store_open(store, STORE_CACHE_BYTES);
    assert_true(rocks_dropped_torn_write(store->storage));
    assert_last_was_dropped(store);
}

static void
a_hole_in_an_earlier_write_does_not_open(void **state)
{
    Store *store = *state;
    const char *log = lay_writes(store);
    Outcome outcome;

    cut_before_zeros(log, 0);
    clear(log, 8192, 4096);
    outcome = store_try_open(store, STORE_CACHE_BYTES);
    assert_true(outcome.failed);
    assert_non_null(strstr(outcome.message, "Corruption"));
}

static void
copy_log(Store *store, const char *from, const char *name)
{
    static uint8_t bytes[TAIL_BYTES];
    char path[128];
    FILE *in = fopen(from, "r");
    FILE *out;
    size_t length;

    snprintf(path, sizeof(path), "%s/%s", store->directory, name);
    out = fopen(path, "w");
    assert_non_null(in);
    assert_non_null(out);
    length = fread(bytes, 1, sizeof(bytes), in);
    assert_int_equal(fwrite(bytes, 1, length, out), length);
    fclose(in);
    fclose(out);
}

static void
an_older_log_may_end_in_zeros_and_in_nothing_else(void **state)
{
    Store *store = *state;
    const char *log = lay_writes(store);
    off_t length = file_size(log);
    char older[128];

    copy_log(store, log, "000007.log");
    copy_log(store, log, "000012.log");
    snprintf(older, sizeof(older), "%s/000007.log", store->directory);
    assert_true(rocks_log_torn_by_crash(store->directory));
    cut_before_zeros(older, 0);
    assert_true(rocks_log_torn_by_crash(store->directory));
    assert_int_equal(truncate(older, length - 3), 0);
    assert_false(rocks_log_torn_by_crash(store->directory));
    assert_int_equal(truncate(older, length), 0);
    assert_false(rocks_log_torn_by_crash(store->directory));
    store_remove_tree(older);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_log_keeps_its_length_while_it_is_appended_to),
        STORE_TEST(other_files_keep_the_flag_that_was_asked_for),
        STORE_TEST(zeros_behind_the_last_write_are_its_end),
        STORE_TEST(a_torn_write_before_zeros_is_dropped),
        STORE_TEST(a_hole_in_the_last_write_before_zeros_is_dropped_with_it),
        STORE_TEST(a_hole_in_an_earlier_write_does_not_open),
        STORE_TEST(an_older_log_may_end_in_zeros_and_in_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
