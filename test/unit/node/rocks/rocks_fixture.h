/*
 * A store on RocksDB in a folder of its own, for tests: calls it, keeps what its events said, and
 * waits for them. Test names begin on an open store (STORE_TEST) or on an empty folder
 * (STORE_CLOSED_TEST).
 */
#ifndef TEST_UNIT_NODE_ROCKS_ROCKS_FIXTURE_H
#define TEST_UNIT_NODE_ROCKS_ROCKS_FIXTURE_H

#include "node/rocks/rocks_private.h"

enum
{
    STORE_CALLS_MAX = 8192,
    STORE_PARTITIONS = 8,
    STORE_CACHE_BYTES = 8 * 1024 * 1024,
    STORE_BUFFER_BYTES = 4 * 1024 * 1024,
    STORE_RECORD_CACHE_BYTES = 1024 * 1024
};

/* What came back for one ref. */
typedef struct Answer
{
    bool merged;
    bool durable;
    bool read;
    bool scanned;
    StatusCode status; /* of the last event */
    unsigned sequence; /* of the last event, among all events */
    Slice object;      /* of merged or read, kept in the store's arena */
    StoragePage page;
    StorageCheck check;
} Answer;

typedef struct Store
{
    uv_loop_t loop;
    uv_timer_t deadline;
    bool expired;
    bool closed;
    char directory[64];
    uint64_t record_cache_bytes; /* at the next opening */
    uint64_t write_buffer_bytes;
    Run run;
    void (*unreadable)(void *context, uint32_t bucket_id, uint64_t first, uint64_t last);
    char warned[1024]; /* the last line for the log */
    Storage *storage;
    Arena arena;
    Answer answers[STORE_CALLS_MAX];
    uint64_t next_ref;
    uint64_t requests; /* request ids given out */
    unsigned sequence;
} Store;

#define STORE_TEST(test) cmocka_unit_test_setup_teardown(test, store_setup, store_teardown)
#define STORE_CLOSED_TEST(test)                                                                    \
    cmocka_unit_test_setup_teardown(test, store_setup_closed, store_teardown)

int store_setup(void **state);
int store_setup_closed(void **state);
int store_teardown(void **state);

/* For a folder that exists; a test that fails leaves it behind. */
Store *store_new(const char *directory);
void store_free(Store *store);
void store_remove_tree(const char *path);

RocksOptions store_options(Store *store, uint64_t cache_bytes);
Outcome store_try_open(Store *store, uint64_t cache_bytes);
void store_open(Store *store, uint64_t cache_bytes);
void store_on_closed(void *store);
void store_close(Store *store);
void store_reopen(Store *store, uint64_t cache_bytes);

/* Moves the memtable to disk. */
void store_flush(Store *store);

/* Applies whose last event is still to come. */
uint64_t store_owed(const Store *store);

/* The events that fill in answers. */
StorageEvents store_events(Store *store);
void store_note_durable(void *store, uint64_t ref, StatusCode status);

/* Fails the test when the flag does not become true in time. */
void store_await(Store *store, const bool *flag);
void store_await_durable(Store *store, uint64_t ref);

/* Keys and cursors live as long as the store. store_key: in bucket 1 at position 100. */
uint64_t store_ref(Store *store);
Slice store_cursor(Store *store, uint64_t position, const char *key);
Slice store_key_in(Store *store, uint32_t bucket_id, uint64_t position, const char *key);
Slice store_key(Store *store, const char *key);

/* Each returns the ref of its answer. context may be NULL; the request id is the number in its
 * first bytes. */
uint64_t store_put_request(Store *store, Slice key, Slice value, const VClock *context,
                           uint64_t request);
uint64_t store_put(Store *store, Slice key, const char *value, const VClock *context);
uint64_t store_merge(Store *store, Slice key, const Object *object);
void store_put_durably(Store *store, Slice key, const char *value);

/* A value of so many bytes, durably. */
void store_put_large(Store *store, const char *key, size_t length);

/* These wait for the answer. */
const Answer *store_read(Store *store, Slice key);
Object store_read_object(Store *store, Slice key);
const Answer *store_scan(Store *store, const StorageRange *range);
StorageRange store_whole_bucket(uint32_t bucket_id);

Object store_decode(Store *store, Slice bytes);
Object store_object(Store *store, uint64_t ref);
void store_assert_value(const Object *object, uint32_t index, const char *value);

/* The key has one sibling, with this value. */
void store_assert_holds(Store *store, Slice key, const char *value);

/* The one file of the database that matches, as long as the store lives. */
char *store_only_file(Store *store, const char *pattern);

#endif
