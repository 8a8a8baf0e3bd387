#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/node/rocks/rocks_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the ring ---- */

static void
enter(RocksCache *cache, const char *key, const void *data, size_t length)
{
    Slice name = slice_from_string(key);
    RocksRecord record = {slice_make(data, length), slice_make(data, length)};

    rocks_cache_enter(cache, hash_table(name), name, &record, false);
}

static bool
find(RocksCache *cache, const char *key, RocksRecord *found)
{
    Slice name = slice_from_string(key);

    return rocks_cache_find(cache, hash_table(name), name, found);
}

static void
assert_cached(RocksCache *cache, const char *key, const char *record)
{
    RocksRecord found;

    assert_true(find(cache, key, &found));
    assert_true(slice_equal(found.record, slice_from_string(record)));
    assert_true(slice_equal(found.object, slice_from_string(record)));
}

static void
what_entered_is_found_and_the_newest_takes_its_place(void **state)
{
    RocksCache cache;
    RocksRecord found;

    rocks_cache_init(&cache, 65536);
    assert_false(find(&cache, "a", &found));
    enter(&cache, "a", "1", 1);
    enter(&cache, "b", "2", 1);
    assert_cached(&cache, "a", "1");
    enter(&cache, "a", "3", 1);
    enter(&cache, "b", "a record that needs more room than the one before it had", 56);
    assert_cached(&cache, "a", "3");
    assert_cached(&cache, "b", "a record that needs more room than the one before it had");
    assert_int_equal(cache.table.count, 2);
    rocks_cache_free(&cache);
}

static void
a_hidden_record_is_not_found_until_it_enters_again(void **state)
{
    RocksCache cache;
    RocksRecord found;

    rocks_cache_init(&cache, 65536);
    enter(&cache, "a", "1", 1);
    rocks_cache_hide(&cache, hash_table(slice_from_string("a")), slice_from_string("a"));
    rocks_cache_hide(&cache, hash_table(slice_from_string("b")), slice_from_string("b"));
    assert_false(find(&cache, "a", &found));
    enter(&cache, "a", "2", 1);
    assert_cached(&cache, "a", "2");
    rocks_cache_free(&cache);
}

static void
the_oldest_leave_and_what_is_asked_for_stays(void **state)
{
    RocksCache cache;
    RocksRecord found;
    char key[16];
    char record[200] = {0};

    rocks_cache_init(&cache, 65536);
    enter(&cache, "asked for", "1", 1);
    enter(&cache, "forgotten", "2", 1);
    for (unsigned i = 0; i < 5000; i++)
    {
        snprintf(key, sizeof(key), "%u", i);
        enter(&cache, key, record, sizeof(record));
        assert_true(find(&cache, "asked for", &found));
    }
    assert_cached(&cache, "asked for", "1");
    assert_false(find(&cache, "forgotten", &found));
    assert_true(find(&cache, "4999", &found));
    rocks_cache_free(&cache);
}

static void
a_bulk_load_does_not_push_out_what_was_read(void **state)
{
    RocksCache cache;
    RocksRecord found;
    Slice read = slice_from_string("read");
    RocksRecord value = {slice_from_string("1"), slice_from_string("1")};
    char key[16];
    char record[200] = {0};

    rocks_cache_init(&cache, 65536);
    rocks_cache_enter(&cache, hash_table(read), read, &value, true);
    enter(&cache, "written", "2", 1);
    /* Two turns of the ring, but not three. */
    for (unsigned i = 0; i < 500; i++)
    {
        snprintf(key, sizeof(key), "%u", i);
        enter(&cache, key, record, sizeof(record));
    }
    assert_false(find(&cache, "written", &found));
    assert_cached(&cache, "read", "1");
    rocks_cache_free(&cache);
}

static void
a_record_too_large_is_left_out_and_the_older_one_with_it(void **state)
{
    static char large[65536];
    RocksCache cache;
    RocksRecord found;

    rocks_cache_init(&cache, 65536);
    enter(&cache, "a", "1", 1);
    enter(&cache, "a", large, sizeof(large));
    assert_false(find(&cache, "a", &found));
    rocks_cache_free(&cache);
}

static void
without_memory_there_is_no_cache(void **state)
{
    RocksCache cache;
    RocksRecord found;

    rocks_cache_init(&cache, 0);
    enter(&cache, "a", "1", 1);
    rocks_cache_hide(&cache, hash_table(slice_from_string("a")), slice_from_string("a"));
    assert_false(find(&cache, "a", &found));
    assert_int_equal(rocks_cache_bytes(&cache), 0);
    rocks_cache_free(&cache);
}

/* The model: what each key was last given. Whatever is found must be that. */
static void
random_calls_never_find_what_is_old(void **state)
{
    enum
    {
        KEYS = 300,
        BYTES = 32768
    };
    static uint8_t given[KEYS][3000];
    size_t lengths[KEYS] = {0};
    unsigned found_count = 0;
    RocksCache cache;
    RocksRecord found;
    char key[16];

    srand(7);
    rocks_cache_init(&cache, BYTES);
    for (unsigned step = 0; step < 200000; step++)
    {
        unsigned i = (unsigned)rand() % KEYS;
        unsigned kind = (unsigned)rand() % 4;

        snprintf(key, sizeof(key), "key%u", i);
        if (kind == 0)
        {
            lengths[i] = 1 + (size_t)rand() % (rand() % 8 == 0 ? sizeof(given[i]) : 100);
            memset(given[i], rand(), lengths[i]);
            enter(&cache, key, given[i], lengths[i]);
        }
        else if (kind == 1 && rand() % 4 == 0)
        {
            rocks_cache_hide(&cache, hash_table(slice_from_string(key)), slice_from_string(key));
            lengths[i] = 0;
        }
        else if (find(&cache, key, &found))
        {
            found_count++;
            assert_true(slice_equal(found.record, slice_make(given[i], lengths[i])));
        }
        assert_true(rocks_cache_bytes(&cache) <= BYTES);
    }
    assert_true(found_count > 10000);
    rocks_cache_free(&cache);
}

/* ---- the store ---- */

static uint64_t
hits(Store *store)
{
    return store->storage->counters(store->storage).cache_hits;
}

static void
what_was_written_is_read_and_applied_to_from_the_cache(void **state)
{
    Store *store = *state;
    Slice key = store_key(store, "k");
    uint64_t second;

    store_put_durably(store, key, "v");
    assert_int_equal(hits(store), 0);
    store_assert_holds(store, key, "v");
    assert_int_equal(hits(store), 1);
    second = store_put(store, key, "w", NULL);
    assert_int_equal(hits(store), 2);
    store_await_durable(store, second);
    assert_int_equal(store_read_object(store, key).sibling_count, 2);
    assert_int_equal(hits(store), 3);
    assert_true(store->storage->counters(store->storage).cache_bytes > 0);
}

static void
what_was_read_or_found_unchanged_enters_and_what_is_absent_does_not(void **state)
{
    Store *store = *state;
    Slice read = store_key(store, "read");
    Slice same = store_key(store, "same");

    store_put_durably(store, read, "v");
    store_await_durable(store, store_put_request(store, same, slice_from_string("v"), NULL, 77));
    store_flush(store);
    store_reopen(store, STORE_CACHE_BYTES);
    store_assert_holds(store, read, "v");
    assert_int_equal(hits(store), 0);
    store_assert_holds(store, read, "v");
    assert_int_equal(hits(store), 1);
    store_read(store, same); /* its block is in memory now */
    store_await_durable(store, store_put_request(store, same, slice_from_string("v"), NULL, 77));
    store_assert_holds(store, same, "v");
    assert_int_equal(hits(store), 3);
    store_read(store, store_key(store, "none"));
    store_read(store, store_key(store, "none"));
    assert_int_equal(hits(store), 3);
}

static void
a_key_that_is_being_written_is_not_read_from_the_cache(void **state)
{
    Store *store = *state;
    Slice key = store_key(store, "k");
    uint64_t second;
    uint64_t read;

    store_put_durably(store, key, "v");
    second = store_put(store, key, "w", NULL);
    for (unsigned i = 0; i < 2; i++)
    {
        read = store_ref(store);
        store->storage->read(store->storage, key, read);
        assert_int_equal(store_object(store, read).sibling_count, 1);
    }
    assert_int_equal(hits(store), 1); /* the second put's */
    store_await_durable(store, second);
    assert_int_equal(store_read_object(store, key).sibling_count, 2);
    assert_int_equal(hits(store), 2);
}

static void
a_cold_read_that_an_apply_overtook_does_not_enter(void **state)
{
    Store *store = *state;
    Rocks *rocks;
    Slice key = store_key(store, "k");
    uint64_t read;

    store_put_durably(store, key, "v");
    store_flush(store);
    store_reopen(store, 4096);
    rocks = (Rocks *)store->storage;
    read = store_ref(store);
    store->storage->read(store->storage, key, read);
    assert_false(store->answers[read].read);
    ++*rocks_changes(rocks, hash_table(key)); /* as an apply does that changes this key */
    store_await(store, &store->answers[read].read);
    assert_int_equal(rocks->cache.table.count, 0);
    store_assert_holds(store, key, "v");
    assert_int_equal(rocks->cache.table.count, 1);
}

/* ---- the store against a model ---- */

typedef struct Key
{
    Slice key;
    VClock context;
    unsigned written; /* the number put last */
    uint64_t ref;
} Key;

static unsigned
number_in(Store *store, const Answer *answer)
{
    Object object = store_decode(store, answer->object);
    char text[16] = "";

    assert_int_equal(object.sibling_count, 1);
    memcpy(text, object.siblings[0].value.data, object.siblings[0].value.length);
    return (unsigned)strtoul(text, NULL, 10);
}

static void
put_number(Store *store, Key *key, unsigned number)
{
    char value[16];

    snprintf(value, sizeof(value), "%u", number);
    key->ref = store_put(store, key->key, value, &key->context);
    key->written = number;
    store_await(store, &store->answers[key->ref].merged);
    key->context = store_object(store, key->ref).context;
}

static void
check_number(Store *store, const Key *key)
{
    bool durable = key->written == 0 || store->answers[key->ref].durable;
    unsigned before = key->written;
    const Answer *answer = store_read(store, key->key);

    if (before == 0)
        assert_int_equal(answer->object.length, 0);
    else if (durable)
        assert_int_equal(number_in(store, answer), before);
}

static void
a_read_gives_the_last_durable_write_whatever_is_cached(void **state)
{
    enum
    {
        KEYS = 200
    };
    Store *store = *state;
    Key keys[KEYS] = {0};
    char name[16];

    srand(11);
    store->record_cache_bytes = 12 * 1024;
    store_reopen(store, 4096);
    for (unsigned i = 0; i < KEYS; i++)
    {
        snprintf(name, sizeof(name), "key%u", i);
        keys[i].key = store_key(store, name);
    }
    for (unsigned step = 1; step < 3000; step++)
    {
        Key *key = &keys[rand() % KEYS];

        if (rand() % 3 == 0)
            put_number(store, key, step);
        else
            check_number(store, key);
        if (key->written == step && rand() % 2 == 0)
            store_await_durable(store, key->ref);
        if (step % 100 == 0)
            store_flush(store);
    }
    assert_true(hits(store) > 100);
    assert_true(store->storage->counters(store->storage).cold_reads > 20);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_entered_is_found_and_the_newest_takes_its_place),
        cmocka_unit_test(a_hidden_record_is_not_found_until_it_enters_again),
        cmocka_unit_test(the_oldest_leave_and_what_is_asked_for_stays),
        cmocka_unit_test(a_bulk_load_does_not_push_out_what_was_read),
        cmocka_unit_test(a_record_too_large_is_left_out_and_the_older_one_with_it),
        cmocka_unit_test(without_memory_there_is_no_cache),
        cmocka_unit_test(random_calls_never_find_what_is_old),
        STORE_TEST(what_was_written_is_read_and_applied_to_from_the_cache),
        STORE_TEST(what_was_read_or_found_unchanged_enters_and_what_is_absent_does_not),
        STORE_TEST(a_key_that_is_being_written_is_not_read_from_the_cache),
        STORE_TEST(a_cold_read_that_an_apply_overtook_does_not_enter),
        STORE_TEST(a_read_gives_the_last_durable_write_whatever_is_cached),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
