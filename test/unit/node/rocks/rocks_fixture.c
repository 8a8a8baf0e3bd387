#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/node/rocks/rocks_fixture.h"

#include <glob.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum
{
    DEADLINE_MS = 20000
};

static Answer *
note(Store *store, uint64_t ref, StatusCode status)
{
    Answer *answer = &store->answers[ref];

    assert_true(ref < store->next_ref);
    answer->status = status;
    answer->sequence = ++store->sequence;
    return answer;
}

static void
merged(void *context, uint64_t ref, StatusCode status, Slice object)
{
    Store *store = context;
    Answer *answer = note(store, ref, status);

    assert_false(answer->merged);
    answer->merged = true;
    answer->object = slice_copy(&store->arena, object);
}

void
store_note_durable(void *context, uint64_t ref, StatusCode status)
{
    Store *store = context;
    Answer *answer = note(store, ref, status);

    assert_true(answer->merged);
    assert_false(answer->durable);
    answer->durable = true;
}

static void
read_done(void *context, uint64_t ref, StatusCode status, Slice object)
{
    Store *store = context;
    Answer *answer = note(store, ref, status);

    answer->read = true;
    answer->object = slice_copy(&store->arena, object);
}

static void
scan_done(void *context, uint64_t ref, StatusCode status, const StoragePage *page)
{
    Store *store = context;
    Answer *answer = note(store, ref, status);

    answer->scanned = true;
    answer->page = *page;
    answer->page.through = slice_copy(&store->arena, page->through);
    answer->page.rows = ARENA_ARRAY(&store->arena, StorageRow, page->row_count);
    for (uint32_t i = 0; i < page->row_count; i++)
    {
        answer->page.rows[i] = page->rows[i];
        answer->page.rows[i].key = slice_copy(&store->arena, page->rows[i].key);
        answer->page.rows[i].object = slice_copy(&store->arena, page->rows[i].object);
    }
}

static void
checked(void *context, uint64_t ref, StatusCode status, const StorageCheck *check)
{
    Answer *answer = note(context, ref, status);

    answer->scanned = true;
    answer->check = *check;
}

static void
expire(uv_timer_t *timer)
{
    ((Store *)timer->data)->expired = true;
}

void
store_await(Store *store, const bool *flag)
{
    store->expired = false;
    uv_timer_start(&store->deadline, expire, DEADLINE_MS, 0);
    while (!*flag && !store->expired)
        uv_run(&store->loop, UV_RUN_ONCE);
    uv_timer_stop(&store->deadline);
    assert_true(*flag);
}

StorageEvents
store_events(Store *store)
{
    return (StorageEvents){.merged = merged,
                           .durable = store_note_durable,
                           .read_done = read_done,
                           .scan_done = scan_done,
                           .checked = checked,
                           .unreadable = store->unreadable,
                           .context = store};
}

static void
note_warning(void *context, const char *text)
{
    Store *store = context;

    snprintf(store->warned, sizeof(store->warned), "%s", text);
}

RocksOptions
store_options(Store *store, uint64_t cache_bytes)
{
    return (RocksOptions){.directory = store->directory,
                          .block_cache_bytes = cache_bytes,
                          .write_buffer_bytes = store->write_buffer_bytes,
                          .record_cache_bytes = store->record_cache_bytes,
                          .warn = note_warning,
                          .warn_context = store};
}

Outcome
store_try_open(Store *store, uint64_t cache_bytes)
{
    RocksOptions options = store_options(store, cache_bytes);
    StorageEvents events = store_events(store);
    static uint8_t starts;

    /* A new actor at every start, as a node draws it. */
    store->run = (Run){.actor = {{1, ++starts}}};

    Outcome outcome = rocks_open(&store->loop, &options, &store->run, &events, &store->storage);

    if (!outcome.failed)
        store->storage->set_partitions(store->storage, STORE_PARTITIONS);
    return outcome;
}

void
store_open(Store *store, uint64_t cache_bytes)
{
    Outcome outcome = store_try_open(store, cache_bytes);

    if (outcome.failed)
        print_error("%s\n", outcome.message);
    assert_false(outcome.failed);
}

void
store_on_closed(void *context)
{
    ((Store *)context)->closed = true;
}

void
store_close(Store *store)
{
    store->closed = false;
    rocks_close(store->storage, store_on_closed, store);
    store->storage = NULL;
    store_await(store, &store->closed);
}

void
store_reopen(Store *store, uint64_t cache_bytes)
{
    store_close(store);
    store_open(store, cache_bytes);
}

static int
remove_entry(const char *path, const struct stat *status, int kind, struct FTW *ftw)
{
    return remove(path);
}

void
store_remove_tree(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

Store *
store_new(const char *directory)
{
    Store *store = calloc(1, sizeof(Store));

    assert_non_null(store);
    store->write_buffer_bytes = STORE_BUFFER_BYTES;
    store->record_cache_bytes = STORE_RECORD_CACHE_BYTES;
    snprintf(store->directory, sizeof(store->directory), "%s", directory);
    arena_init(&store->arena, &MEMORY_HEAP);
    uv_loop_init(&store->loop);
    uv_timer_init(&store->loop, &store->deadline);
    store->deadline.data = store;
    return store;
}

int
store_setup_closed(void **state)
{
    char directory[] = "/tmp/rocks_test_XXXXXX";

    if (mkdtemp(directory) == NULL)
        return -1;
    *state = store_new(directory);
    return 0;
}

int
store_setup(void **state)
{
    if (store_setup_closed(state) != 0)
        return -1;
    store_open(*state, STORE_CACHE_BYTES);
    return 0;
}

void
store_free(Store *store)
{
    uv_close((uv_handle_t *)&store->deadline, NULL);
    uv_run(&store->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&store->loop), 0);
    arena_free(&store->arena);
    free(store);
}

int
store_teardown(void **state)
{
    Store *store = *state;

    if (store->storage != NULL)
        store_close(store);
    store_remove_tree(store->directory);
    store_free(store);
    return 0;
}

/* ---- calls ---- */

uint64_t
store_ref(Store *store)
{
    uint64_t ref = store->next_ref++;

    assert_true(ref < STORE_CALLS_MAX);
    store->answers[ref] = (Answer){.merged = false};
    return ref;
}

Slice
store_cursor(Store *store, uint64_t position, const char *key)
{
    Buffer buffer;
    Slice cursor;

    buffer_init(&buffer, &MEMORY_HEAP);
    storage_cursor(&buffer, position, slice_from_string(key));
    cursor = slice_copy(&store->arena, buffer_slice(&buffer));
    buffer_free(&buffer);
    return cursor;
}

Slice
store_key_in(Store *store, uint32_t bucket_id, uint64_t position, const char *key)
{
    Buffer buffer;
    Slice whole;

    buffer_init(&buffer, &MEMORY_HEAP);
    storage_key(&buffer, bucket_id, position, slice_from_string(key));
    whole = slice_copy(&store->arena, buffer_slice(&buffer));
    buffer_free(&buffer);
    return whole;
}

Slice
store_key(Store *store, const char *key)
{
    return store_key_in(store, 1, 100, key);
}

/* The request id is the number in its first bytes. */
uint64_t
store_put_request(Store *store, Slice key, Slice value, const VClock *context, uint64_t request)
{
    PutValue values[1] = {{.value = value}};
    Put put = {.values = values, .value_count = 1, .now_ms = 1};
    Update update = {.put = &put};
    uint64_t ref = store_ref(store);

    memcpy(values[0].request.bytes, &request, sizeof(request));
    if (context != NULL)
        put.past.context = *context;
    store->storage->apply(store->storage, key, &update, ref);
    return ref;
}

uint64_t
store_put(Store *store, Slice key, const char *value, const VClock *context)
{
    return store_put_request(store, key, slice_from_string(value), context, ++store->requests);
}

uint64_t
store_merge(Store *store, Slice key, const Object *object)
{
    Update update = {.merge = object};
    uint64_t ref = store_ref(store);

    store->storage->apply(store->storage, key, &update, ref);
    return ref;
}

void
store_await_durable(Store *store, uint64_t ref)
{
    store_await(store, &store->answers[ref].durable);
    assert_int_equal(store->answers[ref].status, STATUS_OK);
}

void
store_put_durably(Store *store, Slice key, const char *value)
{
    store_await_durable(store, store_put(store, key, value, NULL));
}

void
store_put_large(Store *store, const char *key, size_t length)
{
    char *large = malloc(length);

    memset(large, 'x', length);
    store_await_durable(store,
                        store_put_request(store, store_key(store, key), slice_make(large, length),
                                          NULL, ++store->requests));
    free(large);
}

Object
store_decode(Store *store, Slice bytes)
{
    Object object;

    assert_true(object_decode(bytes, &store->arena, &object));
    return object;
}

Object
store_object(Store *store, uint64_t ref)
{
    return store_decode(store, store->answers[ref].object);
}

const Answer *
store_read(Store *store, Slice key)
{
    uint64_t ref = store_ref(store);

    store->storage->read(store->storage, key, ref);
    store_await(store, &store->answers[ref].read);
    return &store->answers[ref];
}

Object
store_read_object(Store *store, Slice key)
{
    const Answer *answer = store_read(store, key);

    assert_int_equal(answer->status, STATUS_OK);
    assert_true(answer->object.length > 0);
    return store_decode(store, answer->object);
}

void
store_assert_value(const Object *object, uint32_t index, const char *value)
{
    assert_true(index < object->sibling_count);
    assert_true(slice_equal(object->siblings[index].value, slice_from_string(value)));
}

void
store_assert_holds(Store *store, Slice key, const char *value)
{
    Object object = store_read_object(store, key);

    assert_int_equal(object.sibling_count, 1);
    store_assert_value(&object, 0, value);
}

const Answer *
store_scan(Store *store, const StorageRange *range)
{
    uint64_t ref = store_ref(store);

    store->storage->scan(store->storage, range, ref);
    store_await(store, &store->answers[ref].scanned);
    return &store->answers[ref];
}

StorageRange
store_whole_bucket(uint32_t bucket_id)
{
    return (StorageRange){
        .bucket_id = bucket_id, .last_position = UINT64_MAX, .max_bytes = 1024 * 1024};
}

char *
store_only_file(Store *store, const char *pattern)
{
    glob_t found;
    char path[128];
    char *copy;

    snprintf(path, sizeof(path), "%s/rocksdb/%s", store->directory, pattern);
    assert_int_equal(glob(path, 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 1);
    copy = arena_copy_string(&store->arena, found.gl_pathv[0], strlen(found.gl_pathv[0]));
    globfree(&found);
    return copy;
}

void
store_flush(Store *store)
{
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    char *error = NULL;

    rocksdb_flushoptions_set_wait(options, 1);
    rocksdb_flush(rocks_of(store->storage)->db, options, &error);
    rocksdb_flushoptions_destroy(options);
    assert_null(error);
}

uint64_t
store_owed(const Store *store)
{
    return rocks_of(store->storage)->owed;
}
