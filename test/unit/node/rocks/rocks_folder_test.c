#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/node/rocks/rocks_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void
assert_refused(Store *store, const char *words)
{
    Outcome outcome = store_try_open(store, STORE_CACHE_BYTES);

    assert_true(outcome.failed);
    assert_null(store->storage);
    if (strstr(outcome.message, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", outcome.message, words);
}

static void
write_file(Store *store, const char *name, const char *text)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", store->directory, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void
a_directory_in_use_is_refused(void **state)
{
    Store *store = *state;
    Store *other = store_new(store->directory);

    assert_refused(other, "in use");
    store_free(other);
}

static void
a_directory_of_another_format_is_refused(void **state)
{
    Store *store = *state;

    store_close(store);
    write_file(store, "VERSION", "dynamo_fdw data 9\n");
    assert_refused(store, "\"dynamo_fdw data 9\"");
    write_file(store, "VERSION", "");
    assert_refused(store, "another format");
    write_file(store, "VERSION", "dynamo_fdw data 1\nand more\n");
    assert_refused(store, "another format");
}

static void
a_directory_with_other_files_is_refused(void **state)
{
    Store *store = *state;

    write_file(store, "letter.txt", "dear all");
    assert_refused(store, "letter.txt");
}

static void
a_directory_that_lost_its_data_is_not_laid_out_again(void **state)
{
    Store *store = *state;
    char path[128];

    store_close(store);
    snprintf(path, sizeof(path), "%s/rocksdb", store->directory);
    store_remove_tree(path);
    assert_refused(store, "lost its data");
}

/* ---- RUNS ---- */

static DataMark
mark_of(const Store *store)
{
    return lineage_mark(store->storage->lineage, store->storage->commits);
}

static bool
holds(const Store *store, const DataMark *mark)
{
    return lineage_holds(store->storage->lineage, store->storage->commits, mark);
}

static void
shell(const char *command, const char *from, const char *to)
{
    char line[256];

    snprintf(line, sizeof(line), "%s '%s' '%s'", command, from, to);
    assert_int_equal(system(line), 0);
}

/* A copy of the store's folder as it is, beside it. */
static const char *
copy_folder(const Store *store, char path[80])
{
    snprintf(path, 80, "%s.copy", store->directory);
    shell("cp -r", store->directory, path);
    return path;
}

static void
restore_folder(const Store *store, const char *path)
{
    store_remove_tree(store->directory);
    shell("mv", path, store->directory);
}

static void
commits_grow_with_what_is_durable(void **state)
{
    Store *store = *state;
    uint64_t before = store->storage->commits;
    uint64_t ref = store_put(store, store_key(store, "k"), "v", NULL);

    assert_int_equal(store->storage->commits, before);
    store_await_durable(store, ref);
    assert_true(store->storage->commits > before);
}

static void
data_hold_what_earlier_runs_came_to(void **state)
{
    Store *store = *state;
    DataMark first;
    DataMark second;

    store_put_durably(store, store_key(store, "a"), "v");
    first = mark_of(store);
    store_reopen(store, STORE_CACHE_BYTES);
    store_put_durably(store, store_key(store, "b"), "v");
    store_flush(store);
    second = mark_of(store);
    assert_memory_not_equal(&second.run, &first.run, sizeof(RunId));
    store_reopen(store, STORE_CACHE_BYTES);
    assert_true(holds(store, &first));
    assert_true(holds(store, &second));
    assert_int_equal(store->storage->commits, second.commits);
    first.commits = second.commits;
    assert_false(holds(store, &first));
}

static void
an_older_copy_does_not_hold_what_came_after_it(void **state)
{
    Store *store = *state;
    char copy[80];
    DataMark before;
    DataMark same_run;
    DataMark next_run;

    store_put_durably(store, store_key(store, "a"), "v");
    before = mark_of(store);
    store_flush(store);
    copy_folder(store, copy);
    store_put_durably(store, store_key(store, "b"), "v");
    same_run = mark_of(store);
    store_reopen(store, STORE_CACHE_BYTES);
    next_run = mark_of(store);
    store_close(store);
    restore_folder(store, copy);
    store_open(store, STORE_CACHE_BYTES);
    store_put_durably(store, store_key(store, "c"), "v");
    store_put_durably(store, store_key(store, "d"), "v");
    assert_true(store->storage->commits > same_run.commits);
    assert_true(holds(store, &before));
    assert_false(holds(store, &same_run));
    assert_false(holds(store, &next_run));
}

static void
older_data_under_a_newer_list_are_found_out(void **state)
{
    Store *store = *state;
    char copy[80];
    char runs[80];
    DataMark before = mark_of(store);
    DataMark after;

    copy_folder(store, copy);
    store_put_durably(store, store_key(store, "a"), "v");
    after = mark_of(store);
    store_reopen(store, STORE_CACHE_BYTES);
    store_reopen(store, STORE_CACHE_BYTES);
    store_close(store);
    snprintf(runs, sizeof(runs), "%s/RUNS", store->directory);
    shell("cp", runs, copy);
    restore_folder(store, copy);
    store_open(store, STORE_CACHE_BYTES);
    assert_true(holds(store, &before));
    assert_false(holds(store, &after));
}

static void
a_log_that_lost_a_durable_end_is_found_out(void **state)
{
    Store *store = *state;
    struct stat status;
    DataMark kept;
    DataMark lost;
    const char *log;

    store_put_durably(store, store_key(store, "kept"), "v");
    kept = mark_of(store);
    store_put_durably(store, store_key(store, "lost"), "v");
    lost = mark_of(store);
    store_close(store);
    log = store_only_file(store, "*.log");
    assert_int_equal(stat(log, &status), 0);
    assert_int_equal(truncate(log, status.st_size - 3), 0);
    store_open(store, STORE_CACHE_BYTES);
    assert_false(holds(store, &lost));
    assert_true(holds(store, &kept));
}

static void
a_wiped_directory_has_no_past(void **state)
{
    Store *store = *state;
    DataMark mark = mark_of(store);

    store_close(store);
    store_remove_tree(store->directory);
    store_open(store, STORE_CACHE_BYTES);
    assert_false(lineage_has_past(store->storage->lineage));
    assert_false(holds(store, &mark));
}

static void
a_settled_run_stays_settled(void **state)
{
    Store *store = *state;
    DataMark lost = {.run = {{7}}, .commits = 12345};

    assert_false(holds(store, &lost));
    assert_true(store->storage->settle(store->storage, &lost.run, 1));
    assert_true(holds(store, &lost));
    store_reopen(store, STORE_CACHE_BYTES);
    assert_true(holds(store, &lost));
}

static void
a_damaged_list_of_runs_is_refused(void **state)
{
    static const char *TEXTS[] = {"00", "zz 1\n", "00112233445566778899aabbccddeeff x\n"};
    Store *store = *state;
    char path[80];

    snprintf(path, sizeof(path), "%s/RUNS", store->directory);
    store_close(store);
    for (uint32_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++)
    {
        FILE *file = fopen(path, "we");
        Outcome outcome;

        fputs(TEXTS[i], file);
        fclose(file);
        outcome = store_try_open(store, STORE_CACHE_BYTES);
        assert_true(outcome.failed);
        assert_non_null(strstr(outcome.message, "damaged"));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_directory_in_use_is_refused),
        STORE_TEST(a_directory_of_another_format_is_refused),
        STORE_CLOSED_TEST(a_directory_with_other_files_is_refused),
        STORE_TEST(a_directory_that_lost_its_data_is_not_laid_out_again),
        STORE_TEST(commits_grow_with_what_is_durable),
        STORE_TEST(data_hold_what_earlier_runs_came_to),
        STORE_TEST(an_older_copy_does_not_hold_what_came_after_it),
        STORE_TEST(older_data_under_a_newer_list_are_found_out),
        STORE_TEST(a_log_that_lost_a_durable_end_is_found_out),
        STORE_TEST(a_wiped_directory_has_no_past),
        STORE_TEST(a_settled_run_stays_settled),
        STORE_TEST(a_damaged_list_of_runs_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
