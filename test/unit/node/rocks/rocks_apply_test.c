#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/node/rocks/rocks_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- applying and reading ---- */

static void
an_unknown_key_reads_as_absent(void **state)
{
    const Answer *answer = store_read(*state, store_key(*state, "k"));

    assert_int_equal(answer->status, STATUS_OK);
    assert_int_equal(answer->object.length, 0);
}

static void
what_is_put_can_be_read_when_it_is_durable(void **state)
{
    Store *store = *state;
    uint64_t ref = store_put(store, store_key(store, "k"), "v", NULL);
    Object object;

    assert_true(store->answers[ref].merged);
    assert_false(store->answers[ref].durable);
    assert_int_equal(store_owed(store), 1);
    store_await_durable(store, ref);
    assert_int_equal(store_owed(store), 0);
    object = store_object(store, ref);
    store_assert_value(&object, 0, "v");
    store_assert_holds(store, store_key(store, "k"), "v");
}

static void
reads_and_scans_do_not_see_what_is_only_merged(void **state)
{
    Store *store = *state;
    uint64_t first = store_put(store, store_key(store, "k"), "v", NULL);
    uint64_t read = store_ref(store);

    store->storage->read(store->storage, store_key(store, "k"), read);
    assert_true(store->answers[read].read);
    assert_int_equal(store->answers[read].object.length, 0);
    store_await_durable(store, first);
    store_assert_holds(store, store_key(store, "k"), "v");
}

static void
a_later_put_sees_an_earlier_one_of_the_same_batch(void **state)
{
    Store *store = *state;
    Slice key = store_key(store, "k");
    uint64_t first = store_put(store, key, "old", NULL);
    Object seen = store_object(store, first);
    uint64_t second = store_put(store, key, "new", &seen.context);
    Object object = store_object(store, second);

    assert_int_equal(object.sibling_count, 1);
    store_assert_value(&object, 0, "new");
    store_await_durable(store, first);
    store_await_durable(store, second);
    store_assert_holds(store, key, "new");
}

static void
a_later_put_sees_one_that_is_being_written(void **state)
{
    Store *store = *state;
    Slice key = store_key(store, "k");
    uint64_t first = store_put(store, key, "1", NULL);

    /* One turn without waiting hands the batch to the writer; whether it is durable by then or not,
     * nothing is lost. */
    for (unsigned i = 2; i <= 200; i++)
    {
        char value[16];
        Object seen = store_object(store, first);

        uv_run(&store->loop, UV_RUN_NOWAIT);
        snprintf(value, sizeof(value), "%u", i);
        first = store_put(store, key, value, &seen.context);
        assert_int_equal(store_object(store, first).sibling_count, 1);
    }
    store_await_durable(store, first);
    store_assert_holds(store, key, "200");
    assert_int_equal(store_owed(store), 0);
    assert_int_equal(((Rocks *)store->storage)->pending.count, 0);
}

static void
concurrent_puts_become_siblings(void **state)
{
    Store *store = *state;
    Slice key = store_key(store, "k");
    uint64_t second;

    store_put(store, key, "a", NULL);
    second = store_put(store, key, "b", NULL);
    store_await_durable(store, second);
    assert_int_equal(store_read_object(store, key).sibling_count, 2);
}

static void
an_object_of_another_node_is_merged(void **state)
{
    Store *store = *state;
    uint64_t theirs = store_put(store, store_key(store, "theirs"), "b", NULL);
    Object object = store_object(store, theirs);
    uint64_t ref;

    store_put_durably(store, store_key(store, "ours"), "a");
    ref = store_merge(store, store_key(store, "ours"), &object);
    assert_int_equal(store_object(store, ref).sibling_count, 2);
    store_await_durable(store, ref);
    assert_int_equal(store_read_object(store, store_key(store, "ours")).sibling_count, 2);
}

static void
an_unchanged_object_is_durable_at_once(void **state)
{
    Store *store = *state;
    Slice key = store_key(store, "k");
    uint64_t again;

    store_await_durable(store, store_put_request(store, key, slice_from_string("v"), NULL, 77));
    again = store_put_request(store, key, slice_from_string("v"), NULL, 77);
    assert_true(store->answers[again].merged);
    assert_true(store->answers[again].durable);
    assert_int_equal(store_object(store, again).sibling_count, 1);
}

static void
an_unchanged_object_is_durable_when_the_write_it_equals_is(void **state)
{
    Store *store = *state;
    Slice key = store_key(store, "k");
    uint64_t first = store_put_request(store, key, slice_from_string("v"), NULL, 77);
    uint64_t again = store_put_request(store, key, slice_from_string("v"), NULL, 77);

    assert_true(store->answers[again].merged);
    assert_false(store->answers[again].durable);
    store_await_durable(store, again);
    assert_true(store->answers[first].durable);
    assert_true(store->answers[first].sequence < store->answers[again].sequence);
}

static void
large_values_and_many_keys_are_kept(void **state)
{
    Store *store = *state;
    char *large = malloc(3 * 1024 * 1024);
    uint64_t ref = 0;
    char key[16];

    memset(large, 'x', 3 * 1024 * 1024);
    for (unsigned i = 0; i < 8; i++)
    {
        snprintf(key, sizeof(key), "large%u", i);
        ref = store_put_request(store, store_key(store, key), slice_make(large, 3 * 1024 * 1024),
                                NULL, 1000 + i);
    }
    for (unsigned i = 0; i < 1000; i++)
    {
        snprintf(key, sizeof(key), "small%u", i);
        ref = store_put(store, store_key(store, key), key, NULL);
    }
    store_await_durable(store, ref);
    assert_int_equal(store_read_object(store, store_key(store, "large7")).siblings[0].value.length,
                     3 * 1024 * 1024);
    store_assert_holds(store, store_key(store, "small0"), "small0");
    store_assert_holds(store, store_key(store, "small999"), "small999");
    free(large);
}

static void
one_sync_serves_many_applies(void **state)
{
    Store *store = *state;
    uint64_t ref = 0;
    char key[16];
    StorageCounters counters;

    for (unsigned i = 0; i < 100; i++)
    {
        snprintf(key, sizeof(key), "%u", i);
        ref = store_put(store, store_key(store, key), key, NULL);
    }
    store_await_durable(store, ref);
    counters = store->storage->counters(store->storage);
    assert_int_equal(counters.applies, 100);
    assert_int_equal(counters.syncs, 1);
}

/* ---- cold records ---- */

static void
fill_cold(Store *store, unsigned count)
{
    uint64_t ref = 0;
    char key[16];

    for (unsigned i = 0; i < count; i++)
    {
        snprintf(key, sizeof(key), "key%05u", i);
        ref = store_put(store, store_key(store, key), key, NULL);
    }
    store_await_durable(store, ref);
    store_flush(store);
    store_reopen(store, 4096);
}

static void
cold_records_are_read_from_disk(void **state)
{
    Store *store = *state;

    fill_cold(store, 1000);
    store_assert_holds(store, store_key(store, "key00000"), "key00000");
    store_assert_holds(store, store_key(store, "key00999"), "key00999");
    assert_int_equal(store_read(store, store_key(store, "none"))->object.length, 0);
    assert_true(store->storage->counters(store->storage).cold_reads >= 2);
}

/* Lays out that many files, each with a record of its own. */
static void
lay_files(Store *store, unsigned count)
{
    static const char *const names[] = {"disable_auto_compactions"};
    static const char *const values[] = {"true"};
    char key[16];
    char *error = NULL;

    rocksdb_set_options(((Rocks *)store->storage)->db, 1, names, values, &error);
    assert_null(error);
    for (unsigned i = 0; i < count; i++)
    {
        snprintf(key, sizeof(key), "key%05u", i);
        store_put_durably(store, store_key(store, key), key);
        store_flush(store);
    }
}

static void
records_in_files_that_are_not_open_are_cold_and_not_corrupt(void **state)
{
    enum
    {
        FILES = 100 /* more than RocksDB opens before it is asked */
    };
    Store *store = *state;
    char key[16];

    lay_files(store, FILES);
    store_reopen(store, STORE_CACHE_BYTES);
    for (unsigned i = 0; i < FILES; i++)
    {
        snprintf(key, sizeof(key), "key%05u", i);
        if (i % 2 == 0)
            store_assert_holds(store, store_key(store, key), key);
        else
            store_put_durably(store, store_key(store, key), "v");
    }
    assert_int_equal(store->storage->counters(store->storage).corrupt, 0);
}

static void
applies_to_a_cold_record_keep_their_order(void **state)
{
    Store *store = *state;
    uint64_t first;
    uint64_t last;
    Object object;

    fill_cold(store, 100);
    first = store_put(store, store_key(store, "key00042"), "a", NULL);
    assert_false(store->answers[first].merged);
    store_put(store, store_key(store, "key00042"), "b", NULL);
    last = store_put(store, store_key(store, "key00042"), "c", NULL);
    assert_int_equal(store_owed(store), 3);
    store_await_durable(store, last);
    assert_int_equal(store_object(store, first).sibling_count, 2);
    assert_int_equal(store_object(store, first + 1).sibling_count, 3);
    object = store_read_object(store, store_key(store, "key00042"));
    assert_int_equal(object.sibling_count, 4);
    assert_true(store->storage->counters(store->storage).cold_reads >= 1);
    assert_int_equal(store_owed(store), 0);
}

static void
closing_completes_what_waits_for_the_disk(void **state)
{
    Store *store = *state;
    uint64_t ref;

    fill_cold(store, 100);
    ref = store_put(store, store_key(store, "key00042"), "b", NULL);
    assert_false(store->answers[ref].merged);
    store_close(store);
    assert_true(store->answers[ref].durable);
    assert_int_equal(store->answers[ref].status, STATUS_OK);
    store_open(store, STORE_CACHE_BYTES);
    assert_int_equal(store_read_object(store, store_key(store, "key00042")).sibling_count, 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(an_unknown_key_reads_as_absent),
        STORE_TEST(what_is_put_can_be_read_when_it_is_durable),
        STORE_TEST(reads_and_scans_do_not_see_what_is_only_merged),
        STORE_TEST(a_later_put_sees_an_earlier_one_of_the_same_batch),
        STORE_TEST(a_later_put_sees_one_that_is_being_written),
        STORE_TEST(concurrent_puts_become_siblings),
        STORE_TEST(an_object_of_another_node_is_merged),
        STORE_TEST(an_unchanged_object_is_durable_at_once),
        STORE_TEST(an_unchanged_object_is_durable_when_the_write_it_equals_is),
        STORE_TEST(large_values_and_many_keys_are_kept),
        STORE_TEST(one_sync_serves_many_applies),
        STORE_TEST(cold_records_are_read_from_disk),
        STORE_TEST(records_in_files_that_are_not_open_are_cold_and_not_corrupt),
        STORE_TEST(applies_to_a_cold_record_keep_their_order),
        STORE_TEST(closing_completes_what_waits_for_the_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
