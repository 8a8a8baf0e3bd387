#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/node/rocks/rocks_fixture.h"

#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what lasts ---- */

static void
a_store_opened_again_has_everything(void **state)
{
    Store *store = *state;

    store_put_durably(store, store_key(store, "k"), "v");
    store_reopen(store, STORE_CACHE_BYTES);
    store_assert_holds(store, store_key(store, "k"), "v");
}

static void
closing_makes_what_is_merged_durable(void **state)
{
    Store *store = *state;
    Slice key = store_key(store, "k");
    uint64_t ref = store_put(store, key, "v", NULL);
    uint64_t late = store_ref(store);
    Storage *storage = store->storage;
    Update update = {.put = NULL};

    rocks_close(storage, store_on_closed, store);
    storage->apply(storage, key, &update, late);
    assert_int_equal(store->answers[late].status, STATUS_SHUTTING_DOWN);
    storage->read(storage, key, late);
    assert_int_equal(store->answers[late].status, STATUS_SHUTTING_DOWN);
    store->storage = NULL;
    store_await(store, &store->closed);
    assert_true(store->answers[ref].durable);
    store_open(store, STORE_CACHE_BYTES);
    store_assert_holds(store, key, "v");
}

/* The other process of the next test: puts for ever, and says of each put that is durable so, and
 * how far the store has come. */
typedef struct Told
{
    uint64_t ref;
    uint64_t commits;
} Told;

static void
tell_durable(void *context, uint64_t ref, StatusCode status)
{
    Told told = {ref, ((Store *)context)->storage->commits};

    store_note_durable(context, ref, status);
    if (status == STATUS_OK && write(STDOUT_FILENO, &told, sizeof(told)) != sizeof(told))
        _exit(1);
}

static int
write_until_killed(const char *directory)
{
    Store *store = store_new(directory);
    RocksOptions options = {.directory = store->directory,
                            .block_cache_bytes = STORE_CACHE_BYTES,
                            .write_buffer_bytes = 64 * 1024,
                            .record_cache_bytes = 256 * 1024};
    StorageEvents events = store_events(store);

    events.durable = tell_durable;

    if (rocks_open(&store->loop, &options, &store->run, &events, &store->storage).failed)
        return 1;
    store->storage->set_partitions(store->storage, STORE_PARTITIONS);
    for (;;)
    {
        for (unsigned i = 0; i < 7 && store->next_ref < STORE_CALLS_MAX; i++)
        {
            char key[16];

            snprintf(key, sizeof(key), "%u", (unsigned)store->next_ref);
            store_put(store, store_key(store, key), key, NULL);
        }
        uv_run(&store->loop, store_owed(store) < 16 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
        if (store->next_ref == STORE_CALLS_MAX && store_owed(store) == 0)
            pause();
    }
}

static pid_t
start_writer(const char *directory, int *answers)
{
    int pipes[2];
    pid_t pid;

    assert_int_equal(pipe(pipes), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
    {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(pipes[1], STDOUT_FILENO);
        execl("/proc/self/exe", "rocks_durability_test", "--write", directory, (char *)NULL);
        _exit(127);
    }
    close(pipes[1]);
    *answers = pipes[0];
    return pid;
}

static void
what_was_durable_survives_kill_9(void **state)
{
    Store *store = *state;
    bool told[STORE_CALLS_MAX] = {false};
    unsigned count = 0;
    int answers;
    int status;
    Told one;
    DataMark mark = {.commits = 0};
    const Lineage *lineage;
    pid_t pid = start_writer(store->directory, &answers);

    alarm(60);
    while (read(answers, &one, sizeof(one)) == (ssize_t)sizeof(one))
    {
        assert_true(one.ref < STORE_CALLS_MAX);
        assert_true(one.commits >= mark.commits);
        told[one.ref] = true;
        mark.commits = one.commits;
        if (++count == 1000)
            kill(pid, SIGKILL);
    }
    alarm(0);
    close(answers);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_true(count >= 1000);
    store_open(store, STORE_CACHE_BYTES);
    lineage = store->storage->lineage;
    assert_int_equal(lineage->count, 2);
    mark.run = lineage->runs[0].id;
    assert_true(mark.commits >= count);
    assert_true(lineage_holds(lineage, store->storage->commits, &mark));
    for (uint64_t i = 0; i < STORE_CALLS_MAX; i++)
    {
        char key[16];

        store->next_ref = 0;
        snprintf(key, sizeof(key), "%u", (unsigned)i);
        if (told[i])
            store_assert_holds(store, store_key(store, key), key);
    }
}

/* ---- damage ---- */

static void
put_raw(Store *store, Slice key, const void *record, size_t length)
{
    Rocks *rocks = (Rocks *)store->storage;
    char *error = NULL;

    rocksdb_put(rocks->db, rocks->write_options, (const char *)key.data, key.length, record, length,
                &error);
    assert_null(error);
}

static void
assert_corrupt(Store *store, Slice key)
{
    uint64_t ref;

    assert_int_equal(store_read(store, key)->status, STATUS_CORRUPT);
    ref = store_put(store, key, "v", NULL);
    store_await(store, &store->answers[ref].merged);
    assert_int_equal(store->answers[ref].status, STATUS_CORRUPT);
    assert_int_equal(store->answers[ref].object.length, 0);
    uv_run(&store->loop, UV_RUN_NOWAIT);
    assert_false(store->answers[ref].durable);
    assert_int_equal(store_owed(store), 0);
}

static void
a_record_that_cannot_be_decoded_is_corrupt(void **state)
{
    static const char *const records[] = {"", "\xff", "\x01", "\x01\x00garbage"};
    static const size_t lengths[] = {0, 1, 1, 9};
    Store *store = *state;
    StorageRange range = store_whole_bucket(1);

    for (unsigned i = 0; i < 4; i++)
    {
        put_raw(store, store_key(store, "k"), records[i], lengths[i]);
        assert_corrupt(store, store_key(store, "k"));
        assert_int_equal(store_scan(store, &range)->status, STATUS_CORRUPT);
    }
    assert_int_equal(store->storage->counters(store->storage).corrupt, 12);
    store_put_durably(store, store_key(store, "other"), "v");
    store_assert_holds(store, store_key(store, "other"), "v");
}

static void
flip_byte(const char *path, off_t offset)
{
    int fd = open(path, O_RDWR);
    uint8_t byte;

    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= 0x40;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    close(fd);
}

/* All records so far, and a large one that fills their block: what stands behind records is in
 * another one. */
static void
lay_damaged_block(Store *store)
{
    store_put_large(store, "large", 8192);
    store_flush(store);
    store_close(store);
    flip_byte(store_only_file(store, "*.sst"), 20);
    store_open(store, STORE_CACHE_BYTES);
}

static void
a_damaged_block_is_corrupt_and_not_absent(void **state)
{
    Store *store = *state;
    StorageRange range = store_whole_bucket(1);
    Slice key = store_key(store, "k");

    store_put_durably(store, key, "v");
    lay_damaged_block(store);
    assert_corrupt(store, key);
    assert_int_equal(store_scan(store, &range)->status, STATUS_CORRUPT);
}

/* A damaged one shows that it is not read. It may be large, and stand behind many ranges. */
static void
a_scan_does_not_read_the_block_behind_its_range(void **state)
{
    Store *store = *state;
    StorageRange range = store_whole_bucket(1);
    const Answer *answer;

    store_put_durably(store, store_key(store, "k"), "v");
    lay_damaged_block(store);
    range.last_position = 99;
    answer = store_scan(store, &range);
    assert_int_equal(answer->status, STATUS_OK);
    assert_int_equal(answer->page.row_count, 0);
    assert_true(answer->page.done);
}

static off_t
file_size(const char *path)
{
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    return status.st_size;
}

static void
a_torn_end_of_the_log_is_dropped(void **state)
{
    Store *store = *state;
    const char *log;

    store_put_durably(store, store_key(store, "kept"), "v");
    store_put_durably(store, store_key(store, "torn"), "v");
    store_close(store);
    log = store_only_file(store, "*.log");
    assert_int_equal(truncate(log, file_size(log) - 3), 0);
    store_open(store, STORE_CACHE_BYTES);
    store_assert_holds(store, store_key(store, "kept"), "v");
    assert_int_equal(store_read(store, store_key(store, "torn"))->object.length, 0);
}

/* What a page that never reached the disk reads as. */
static void
clear_page(const char *path, off_t offset)
{
    static const char zeros[4096];
    int fd = open(path, O_WRONLY);

    assert_int_equal(pwrite(fd, zeros, sizeof(zeros), offset), sizeof(zeros));
    close(fd);
}

/* Two large writes fill the log's first 40 KB; the second one crosses the end of a block. */
static void
lay_large_writes(Store *store)
{
    store_put_durably(store, store_key(store, "kept"), "v");
    store_put_large(store, "first", 20000);
    store_put_large(store, "last", 20000);
    store_close(store);
}

static void
a_hole_in_the_last_write_is_dropped_with_it(void **state)
{
    Store *store = *state;

    lay_large_writes(store);
    clear_page(store_only_file(store, "*.log"), 24576);
    store_open(store, STORE_CACHE_BYTES);
    assert_true(rocks_dropped_torn_write(store->storage));
    store_assert_holds(store, store_key(store, "kept"), "v");
    assert_int_equal(store_read_object(store, store_key(store, "first")).sibling_count, 1);
    assert_int_equal(store_read(store, store_key(store, "last"))->object.length, 0);
    store_put_durably(store, store_key(store, "last"), "again");
    store_reopen(store, STORE_CACHE_BYTES);
    assert_false(rocks_dropped_torn_write(store->storage));
    store_assert_holds(store, store_key(store, "last"), "again");
}

static void
assert_log_refused(Store *store)
{
    Outcome outcome = store_try_open(store, STORE_CACHE_BYTES);

    assert_true(outcome.failed);
    assert_null(store->storage);
    assert_non_null(strstr(outcome.message, "Corruption"));
}

static void
a_hole_in_a_write_before_the_last_does_not_open(void **state)
{
    Store *store = *state;

    lay_large_writes(store);
    clear_page(store_only_file(store, "*.log"), 8192);
    assert_log_refused(store);
}

static void
a_log_damaged_before_its_end_does_not_open(void **state)
{
    Store *store = *state;

    store_put_durably(store, store_key(store, "a"), "v");
    store_put_durably(store, store_key(store, "b"), "v");
    store_close(store);
    flip_byte(store_only_file(store, "*.log"), 30);
    assert_log_refused(store);
}

static void
the_first_failed_write_ends_all_writing(void **state)
{
    Store *store = *state;
    struct rlimit unlimited;
    struct rlimit limited;
    char large[64 * 1024];
    uint64_t ref;
    uint64_t behind;

    memset(large, 'x', sizeof(large));
    store_put_durably(store, store_key(store, "before"), "v");
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
    limited = (struct rlimit){16 * 1024, unlimited.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limited), 0);
    ref = store_put_request(store, store_key(store, "large"), slice_make(large, sizeof(large)),
                            NULL, 99);
    store_put(store, store_key(store, "before"), "w", NULL);
    uv_run(&store->loop, UV_RUN_NOWAIT);
    behind = store_put(store, store_key(store, "behind"), "v", NULL);
    store_await(store, &store->answers[ref].durable);
    store_await(store, store->answers[behind].status == STATUS_STORAGE
                           ? &store->answers[behind].merged
                           : &store->answers[behind].durable);
    setrlimit(RLIMIT_FSIZE, &unlimited);
    assert_int_equal(store->answers[ref].status, STATUS_STORAGE);
    assert_int_equal(store->answers[behind].status, STATUS_STORAGE);
    assert_true(store->storage->disk != DISK_WELL);
    assert_true(strlen(rocks_failure(store->storage)) > 0);

    /* The disk would take it now; nobody asks it again. */
    ref = store_put(store, store_key(store, "later"), "v", NULL);
    assert_int_equal(store->answers[ref].status, STATUS_STORAGE);
    assert_false(store->answers[ref].durable);
    store_assert_holds(store, store_key(store, "before"), "v");
    assert_int_equal(store_read(store, store_key(store, "large"))->object.length, 0);
    store_reopen(store, STORE_CACHE_BYTES);
    store_assert_holds(store, store_key(store, "before"), "v");
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_store_opened_again_has_everything),
        STORE_TEST(closing_makes_what_is_merged_durable),
        STORE_CLOSED_TEST(what_was_durable_survives_kill_9),
        STORE_TEST(a_record_that_cannot_be_decoded_is_corrupt),
        STORE_TEST(a_damaged_block_is_corrupt_and_not_absent),
        STORE_TEST(a_scan_does_not_read_the_block_behind_its_range),
        STORE_TEST(a_torn_end_of_the_log_is_dropped),
        STORE_TEST(a_hole_in_the_last_write_is_dropped_with_it),
        STORE_TEST(a_hole_in_a_write_before_the_last_does_not_open),
        STORE_TEST(a_log_damaged_before_its_end_does_not_open),
        STORE_TEST(the_first_failed_write_ends_all_writing),
    };

    if (argc == 3 && strcmp(argv[1], "--write") == 0)
        return write_until_killed(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
