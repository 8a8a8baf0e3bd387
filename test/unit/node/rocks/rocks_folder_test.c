#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/node/rocks/rocks_fixture.h"

#include <stdio.h>
#include <string.h>

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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_directory_in_use_is_refused),
        STORE_TEST(a_directory_of_another_format_is_refused),
        STORE_CLOSED_TEST(a_directory_with_other_files_is_refused),
        STORE_TEST(a_directory_that_lost_its_data_is_not_laid_out_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
