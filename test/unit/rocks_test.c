#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/rocks_private.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum
{
    CALLS_MAX = 8192,
    DEADLINE_MS = 20000,
    CACHE_BYTES = 8 * 1024 * 1024,
    BUFFER_BYTES = 4 * 1024 * 1024
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
} Answer;

typedef struct Store
{
    uv_loop_t loop;
    uv_timer_t deadline;
    bool expired;
    bool closed;
    char directory[64];
    Run run;
    Storage *storage;
    Arena arena;
    Answer answers[CALLS_MAX];
    uint64_t next_ref;
    uint64_t requests; /* request ids given out */
    unsigned sequence;
    /* Called by the events of this ref, once. */
    uint64_t hook_ref;
    void (*on_merged)(struct Store *store);
    void (*on_durable)(struct Store *store);
} Store;

/* ---- the store under test ---- */

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
run_hook(Store *store, uint64_t ref, void (**hook)(Store *store))
{
    void (*call)(Store * store) = *hook;

    if (ref != store->hook_ref || call == NULL)
        return;
    *hook = NULL;
    call(store);
}

static void
merged(void *context, uint64_t ref, StatusCode status, Slice object)
{
    Store *store = context;
    Answer *answer = note(store, ref, status);

    assert_false(answer->merged);
    answer->merged = true;
    run_hook(store, ref, &store->on_merged);
    /* Copied after the hook: the bytes are promised for the whole call, whatever it does. */
    answer->object = slice_copy(&store->arena, object);
}

static void
durable(void *context, uint64_t ref, StatusCode status)
{
    Store *store = context;
    Answer *answer = note(store, ref, status);

    assert_true(answer->merged);
    assert_false(answer->durable);
    answer->durable = true;
    run_hook(store, ref, &store->on_durable);
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
    answer->page.rows = ARENA_ARRAY(&store->arena, StorageRow, page->row_count);
    for (uint32_t i = 0; i < page->row_count; i++)
    {
        answer->page.rows[i] = page->rows[i];
        answer->page.rows[i].key = slice_copy(&store->arena, page->rows[i].key);
        answer->page.rows[i].object = slice_copy(&store->arena, page->rows[i].object);
    }
}

static void
expire(uv_timer_t *timer)
{
    ((Store *)timer->data)->expired = true;
}

static void
await(Store *store, const bool *flag)
{
    store->expired = false;
    uv_timer_start(&store->deadline, expire, DEADLINE_MS, 0);
    while (!*flag && !store->expired)
        uv_run(&store->loop, UV_RUN_ONCE);
    uv_timer_stop(&store->deadline);
    assert_true(*flag);
}

static Outcome
store_try_open(Store *store, uint64_t cache_bytes)
{
    RocksOptions options = {store->directory, cache_bytes, BUFFER_BYTES};
    StorageEvents events = {merged, durable, read_done, scan_done, store};
    static uint8_t starts;

    /* A new actor at every start, as a node draws it. */
    store->run = (Run){.actor = {{1, ++starts}}};
    return rocks_open(&store->loop, &options, &store->run, &events, &store->storage);
}

static void
store_open(Store *store, uint64_t cache_bytes)
{
    Outcome outcome = store_try_open(store, cache_bytes);

    if (outcome.failed)
        print_error("%s\n", outcome.message);
    assert_false(outcome.failed);
}

static void
on_closed(void *context)
{
    ((Store *)context)->closed = true;
}

static void
store_close(Store *store)
{
    store->closed = false;
    rocks_close(store->storage, on_closed, store);
    store->storage = NULL;
    await(store, &store->closed);
}

static void
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

static Store *
store_new(const char *directory)
{
    Store *store = calloc(1, sizeof(Store));

    assert_non_null(store);
    snprintf(store->directory, sizeof(store->directory), "%s", directory);
    arena_init(&store->arena, &MEMORY_HEAP);
    uv_loop_init(&store->loop);
    uv_timer_init(&store->loop, &store->deadline);
    store->deadline.data = store;
    return store;
}

static int
setup_closed(void **state)
{
    char directory[] = "/tmp/rocks_test_XXXXXX";

    if (mkdtemp(directory) == NULL)
        return -1;
    *state = store_new(directory);
    return 0;
}

static int
setup(void **state)
{
    if (setup_closed(state) != 0)
        return -1;
    store_open(*state, CACHE_BYTES);
    return 0;
}

static int
teardown(void **state)
{
    Store *store = *state;

    if (store->storage != NULL)
        store_close(store);
    uv_close((uv_handle_t *)&store->deadline, NULL);
    uv_run(&store->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&store->loop) != 0)
        return -1;
    nftw(store->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    arena_free(&store->arena);
    free(store);
    return 0;
}

/* ---- calls ---- */

static uint64_t
new_ref(Store *store)
{
    uint64_t ref = store->next_ref++;

    assert_true(ref < CALLS_MAX);
    store->answers[ref] = (Answer){.merged = false};
    return ref;
}

static Slice
place_of(Store *store, uint64_t position, const char *key)
{
    Buffer buffer;
    Slice place;

    buffer_init(&buffer, &MEMORY_HEAP);
    storage_place(&buffer, position, slice_from_string(key));
    place = slice_copy(&store->arena, buffer_slice(&buffer));
    buffer_free(&buffer);
    return place;
}

static Slice
key_in(Store *store, uint32_t bucket_id, uint64_t position, const char *key)
{
    Buffer buffer;
    Slice whole;

    buffer_init(&buffer, &MEMORY_HEAP);
    storage_key(&buffer, bucket_id, position, slice_from_string(key));
    whole = slice_copy(&store->arena, buffer_slice(&buffer));
    buffer_free(&buffer);
    return whole;
}

static Slice
key_of(Store *store, const char *key)
{
    return key_in(store, 1, 100, key);
}

/* The request id is the number in its first bytes. */
static uint64_t
put_request(Store *store, Slice key, Slice value, const VClock *context, uint64_t request)
{
    PutValue values[1] = {{.value = value}};
    Put put = {.values = values, .value_count = 1, .now_ms = 1};
    Update update = {.put = &put};
    uint64_t ref = new_ref(store);

    memcpy(values[0].request.bytes, &request, sizeof(request));
    if (context != NULL)
        put.context = *context;
    store->storage->apply(store->storage, key, &update, ref);
    return ref;
}

static uint64_t
put(Store *store, Slice key, const char *value, const VClock *context)
{
    return put_request(store, key, slice_from_string(value), context, ++store->requests);
}

static uint64_t
merge(Store *store, Slice key, const Object *object)
{
    Update update = {.merge = object};
    uint64_t ref = new_ref(store);

    store->storage->apply(store->storage, key, &update, ref);
    return ref;
}

static void
await_durable(Store *store, uint64_t ref)
{
    await(store, &store->answers[ref].durable);
    assert_int_equal(store->answers[ref].status, STATUS_OK);
}

static void
put_durably(Store *store, Slice key, const char *value)
{
    await_durable(store, put(store, key, value, NULL));
}

static Object
decode(Store *store, Slice bytes)
{
    Object object;

    assert_true(object_decode(bytes, &store->arena, &object));
    return object;
}

static Object
object_of(Store *store, uint64_t ref)
{
    return decode(store, store->answers[ref].object);
}

static const Answer *
read_answer(Store *store, Slice key)
{
    uint64_t ref = new_ref(store);

    store->storage->read(store->storage, key, ref);
    await(store, &store->answers[ref].read);
    return &store->answers[ref];
}

static Object
read_object(Store *store, Slice key)
{
    const Answer *answer = read_answer(store, key);

    assert_int_equal(answer->status, STATUS_OK);
    assert_true(answer->object.length > 0);
    return decode(store, answer->object);
}

static void
assert_value(const Object *object, uint32_t index, const char *value)
{
    assert_true(index < object->sibling_count);
    assert_true(slice_equal(object->siblings[index].value, slice_from_string(value)));
}

static void
assert_holds(Store *store, Slice key, const char *value)
{
    Object object = read_object(store, key);

    assert_int_equal(object.sibling_count, 1);
    assert_value(&object, 0, value);
}

static const Answer *
scan_answer(Store *store, const StorageRange *range)
{
    uint64_t ref = new_ref(store);

    store->storage->scan(store->storage, range, ref);
    await(store, &store->answers[ref].scanned);
    return &store->answers[ref];
}

/* The keys of a page, each followed by a blank. */
static const char *
scan_keys(Store *store, const StorageRange *range, bool *done)
{
    const Answer *answer = scan_answer(store, range);
    Buffer text;
    const char *copy;

    assert_int_equal(answer->status, STATUS_OK);
    buffer_init(&text, &MEMORY_HEAP);
    for (uint32_t i = 0; i < answer->page.row_count; i++)
    {
        buffer_put(&text, answer->page.rows[i].key.data, answer->page.rows[i].key.length);
        buffer_put(&text, " ", 1);
    }
    copy = arena_copy_string(&store->arena, (const char *)text.data, text.length);
    buffer_free(&text);
    *done = answer->page.done;
    return copy;
}

static StorageRange
whole_bucket(uint32_t bucket_id)
{
    return (StorageRange){
        .bucket_id = bucket_id, .last_position = UINT64_MAX, .max_bytes = 1024 * 1024};
}

/* ---- applying and reading ---- */

static void
an_unknown_key_reads_as_absent(void **state)
{
    const Answer *answer = read_answer(*state, key_of(*state, "k"));

    assert_int_equal(answer->status, STATUS_OK);
    assert_int_equal(answer->object.length, 0);
}

static void
what_is_put_can_be_read_when_it_is_durable(void **state)
{
    Store *store = *state;
    uint64_t ref = put(store, key_of(store, "k"), "v", NULL);
    Object object;

    assert_true(store->answers[ref].merged);
    assert_false(store->answers[ref].durable);
    assert_int_equal(rocks_pending(store->storage), 1);
    await_durable(store, ref);
    assert_int_equal(rocks_pending(store->storage), 0);
    object = object_of(store, ref);
    assert_value(&object, 0, "v");
    assert_holds(store, key_of(store, "k"), "v");
}

static void
reads_and_scans_do_not_see_what_is_only_merged(void **state)
{
    Store *store = *state;
    uint64_t first = put(store, key_of(store, "k"), "v", NULL);
    uint64_t read = new_ref(store);

    store->storage->read(store->storage, key_of(store, "k"), read);
    assert_true(store->answers[read].read);
    assert_int_equal(store->answers[read].object.length, 0);
    await_durable(store, first);
    assert_holds(store, key_of(store, "k"), "v");
}

static void
a_later_put_sees_an_earlier_one_of_the_same_batch(void **state)
{
    Store *store = *state;
    Slice key = key_of(store, "k");
    uint64_t first = put(store, key, "old", NULL);
    Object seen = object_of(store, first);
    uint64_t second = put(store, key, "new", &seen.context);
    Object object = object_of(store, second);

    assert_int_equal(object.sibling_count, 1);
    assert_value(&object, 0, "new");
    await_durable(store, first);
    await_durable(store, second);
    assert_holds(store, key, "new");
}

static void
put_over_first(Store *store)
{
    put(store, key_of(store, "k"), "second", NULL);
}

static void
a_later_put_sees_one_that_is_being_written(void **state)
{
    Store *store = *state;
    Slice key = key_of(store, "k");
    uint64_t first = put(store, key, "1", NULL);

    /* One turn without waiting hands the batch to the writer; whether it is durable by then or not,
     * nothing is lost. */
    for (unsigned i = 2; i <= 200; i++)
    {
        char value[16];
        Object seen = object_of(store, first);

        uv_run(&store->loop, UV_RUN_NOWAIT);
        snprintf(value, sizeof(value), "%u", i);
        first = put(store, key, value, &seen.context);
        assert_int_equal(object_of(store, first).sibling_count, 1);
    }
    await_durable(store, first);
    assert_holds(store, key, "200");
    assert_int_equal(rocks_pending(store->storage), 0);
    assert_int_equal(((Rocks *)store->storage)->pending.count, 0);
}

static void
concurrent_puts_become_siblings(void **state)
{
    Store *store = *state;
    Slice key = key_of(store, "k");
    uint64_t second;

    put(store, key, "a", NULL);
    second = put(store, key, "b", NULL);
    await_durable(store, second);
    assert_int_equal(read_object(store, key).sibling_count, 2);
}

static void
an_object_of_another_node_is_merged(void **state)
{
    Store *store = *state;
    uint64_t theirs = put(store, key_of(store, "theirs"), "b", NULL);
    Object object = object_of(store, theirs);
    uint64_t ref;

    put_durably(store, key_of(store, "ours"), "a");
    ref = merge(store, key_of(store, "ours"), &object);
    assert_int_equal(object_of(store, ref).sibling_count, 2);
    await_durable(store, ref);
    assert_int_equal(read_object(store, key_of(store, "ours")).sibling_count, 2);
}

static void
an_unchanged_object_is_durable_at_once(void **state)
{
    Store *store = *state;
    Slice key = key_of(store, "k");
    uint64_t again;

    await_durable(store, put_request(store, key, slice_from_string("v"), NULL, 77));
    again = put_request(store, key, slice_from_string("v"), NULL, 77);
    assert_true(store->answers[again].merged);
    assert_true(store->answers[again].durable);
    assert_int_equal(object_of(store, again).sibling_count, 1);
}

static void
an_unchanged_object_is_durable_when_the_write_it_equals_is(void **state)
{
    Store *store = *state;
    Slice key = key_of(store, "k");
    uint64_t first = put_request(store, key, slice_from_string("v"), NULL, 77);
    uint64_t again = put_request(store, key, slice_from_string("v"), NULL, 77);

    assert_true(store->answers[again].merged);
    assert_false(store->answers[again].durable);
    await_durable(store, again);
    assert_true(store->answers[first].durable);
    assert_true(store->answers[first].sequence < store->answers[again].sequence);
}

static void
an_event_may_apply_again(void **state)
{
    Store *store = *state;
    Slice key = key_of(store, "k");
    uint64_t first;

    store->hook_ref = store->next_ref;
    store->on_merged = put_over_first;
    store->on_durable = put_over_first;
    first = put(store, key, "first", NULL);
    assert_int_equal(object_of(store, first).sibling_count, 1);
    await_durable(store, first);
    await_durable(store, first + 1);
    await_durable(store, first + 2);
    assert_int_equal(read_object(store, key).sibling_count, 3);
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
        ref = put_request(store, key_of(store, key), slice_make(large, 3 * 1024 * 1024), NULL,
                          1000 + i);
    }
    for (unsigned i = 0; i < 1000; i++)
    {
        snprintf(key, sizeof(key), "small%u", i);
        ref = put(store, key_of(store, key), key, NULL);
    }
    await_durable(store, ref);
    assert_int_equal(read_object(store, key_of(store, "large7")).siblings[0].value.length,
                     3 * 1024 * 1024);
    assert_holds(store, key_of(store, "small0"), "small0");
    assert_holds(store, key_of(store, "small999"), "small999");
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
        ref = put(store, key_of(store, key), key, NULL);
    }
    await_durable(store, ref);
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
        ref = put(store, key_of(store, key), key, NULL);
    }
    await_durable(store, ref);
    assert_false(rocks_flush(store->storage).failed);
    store_reopen(store, 4096);
}

static void
cold_records_are_read_from_disk(void **state)
{
    Store *store = *state;

    fill_cold(store, 1000);
    assert_holds(store, key_of(store, "key00000"), "key00000");
    assert_holds(store, key_of(store, "key00999"), "key00999");
    assert_int_equal(read_answer(store, key_of(store, "none"))->object.length, 0);
    assert_true(store->storage->counters(store->storage).cold_reads >= 2);
}

static void
applies_to_a_cold_record_keep_their_order(void **state)
{
    Store *store = *state;
    uint64_t first;
    uint64_t last;
    Object object;

    fill_cold(store, 100);
    first = put(store, key_of(store, "key00042"), "a", NULL);
    assert_false(store->answers[first].merged);
    put(store, key_of(store, "key00042"), "b", NULL);
    last = put(store, key_of(store, "key00042"), "c", NULL);
    assert_int_equal(rocks_pending(store->storage), 3);
    await_durable(store, last);
    assert_int_equal(object_of(store, first).sibling_count, 2);
    assert_int_equal(object_of(store, first + 1).sibling_count, 3);
    object = read_object(store, key_of(store, "key00042"));
    assert_int_equal(object.sibling_count, 4);
    assert_true(store->storage->counters(store->storage).cold_reads >= 1);
    assert_int_equal(rocks_pending(store->storage), 0);
}

static void
put_behind_the_waiting(Store *store)
{
    put(store, key_of(store, "key00042"), "d", NULL);
}

static void
an_apply_out_of_an_event_queues_behind_the_waiting(void **state)
{
    Store *store = *state;
    uint64_t first;

    fill_cold(store, 100);
    store->hook_ref = store->next_ref;
    store->on_merged = put_behind_the_waiting;
    first = put(store, key_of(store, "key00042"), "b", NULL);
    put(store, key_of(store, "key00042"), "c", NULL);
    await(store, &store->answers[first].merged);
    await_durable(store, first + 2);
    assert_true(store->answers[first + 1].durable);
    assert_int_equal(object_of(store, first + 1).sibling_count, 3);
    assert_int_equal(object_of(store, first + 2).sibling_count, 4);
}

static void
closing_completes_what_waits_for_the_disk(void **state)
{
    Store *store = *state;
    uint64_t ref;

    fill_cold(store, 100);
    ref = put(store, key_of(store, "key00042"), "b", NULL);
    assert_false(store->answers[ref].merged);
    store_close(store);
    assert_true(store->answers[ref].durable);
    assert_int_equal(store->answers[ref].status, STATUS_OK);
    store_open(store, CACHE_BYTES);
    assert_int_equal(read_object(store, key_of(store, "key00042")).sibling_count, 2);
}

/* ---- scans ---- */

static void
fill_ranges(Store *store)
{
    put(store, key_in(store, 2, 5, "other"), "v", NULL);
    put(store, key_in(store, 1, 30, "c"), "v", NULL);
    put(store, key_in(store, 1, 10, "b"), "v", NULL);
    put(store, key_in(store, 1, 10, "a"), "v", NULL);
    put(store, key_in(store, 1, 20, ""), "v", NULL);
    put(store, key_in(store, 0, 7, "before"), "v", NULL);
    put_durably(store, key_in(store, 1, UINT64_MAX, "z"), "v");
}

static void
a_scan_gives_one_bucket_in_ring_order(void **state)
{
    Store *store = *state;
    StorageRange range = whole_bucket(1);
    bool done;

    fill_ranges(store);
    assert_string_equal(scan_keys(store, &range, &done), "a b  c z ");
    assert_true(done);
    range = whole_bucket(3);
    assert_string_equal(scan_keys(store, &range, &done), "");
    assert_true(done);
}

static void
a_scan_keeps_to_its_positions(void **state)
{
    Store *store = *state;
    StorageRange range = whole_bucket(1);
    bool done;

    fill_ranges(store);
    range.first_position = 11;
    range.last_position = 30;
    assert_string_equal(scan_keys(store, &range, &done), " c ");
    range.first_position = range.last_position = 10;
    assert_string_equal(scan_keys(store, &range, &done), "a b ");
    range.first_position = 40;
    assert_string_equal(scan_keys(store, &range, &done), "");
    assert_true(done);
}

static void
a_scan_goes_on_after_a_place_and_ends_through_one(void **state)
{
    Store *store = *state;
    StorageRange range = whole_bucket(1);
    bool done;

    fill_ranges(store);
    range.after = place_of(store, 10, "a");
    assert_string_equal(scan_keys(store, &range, &done), "b  c z ");
    range.through = place_of(store, 30, "c");
    assert_string_equal(scan_keys(store, &range, &done), "b  c ");
    assert_true(done);
    range.through = place_of(store, 10, "a");
    assert_string_equal(scan_keys(store, &range, &done), "");
    range.after = slice_make("short", 5);
    assert_int_equal(scan_answer(store, &range)->status, STATUS_BAD_FRAME);
}

static void
pages_together_give_every_row_once(void **state)
{
    Store *store = *state;
    StorageRange range = whole_bucket(1);
    uint64_t ref = 0;
    unsigned rows = 0;
    unsigned pages = 0;
    bool done = false;
    char key[16];

    for (unsigned i = 0; i < 500; i++)
    {
        snprintf(key, sizeof(key), "%03u", i);
        ref = put(store, key_in(store, 1, i / 10, key), key, NULL);
    }
    await_durable(store, ref);
    range.max_bytes = 2000;
    for (; !done; pages++)
    {
        const Answer *answer = scan_answer(store, &range);

        assert_int_equal(answer->status, STATUS_OK);
        assert_true(answer->page.row_count > 0);
        for (uint32_t i = 0; i < answer->page.row_count; i++, rows++)
        {
            const StorageRow *row = &answer->page.rows[i];
            Object object = decode(store, row->object);

            snprintf(key, sizeof(key), "%03u", rows);
            assert_true(slice_equal(row->key, slice_from_string(key)));
            assert_int_equal(row->position, rows / 10);
            assert_value(&object, 0, key);
        }
        snprintf(key, sizeof(key), "%03u", rows - 1);
        range.after = place_of(store, (rows - 1) / 10, key);
        done = answer->page.done;
    }
    assert_int_equal(rows, 500);
    assert_true(pages > 10);
}

static void
a_page_holds_at_least_one_row_and_knows_its_end(void **state)
{
    Store *store = *state;
    StorageRange range = whole_bucket(1);
    bool done;

    fill_ranges(store);
    range.max_bytes = 0;
    assert_string_equal(scan_keys(store, &range, &done), "a ");
    assert_false(done);
    range.after = place_of(store, 30, "c");
    assert_string_equal(scan_keys(store, &range, &done), "z ");
    assert_true(done);
}

/* ---- what lasts ---- */

static void
a_store_opened_again_has_everything(void **state)
{
    Store *store = *state;
    char id[33];

    put_durably(store, key_of(store, "k"), "v");
    snprintf(id, sizeof(id), "%s", rocks_directory_id(store->storage));
    assert_int_equal(strlen(id), 32);
    store_reopen(store, CACHE_BYTES);
    assert_holds(store, key_of(store, "k"), "v");
    assert_string_equal(rocks_directory_id(store->storage), id);
}

static void
closing_makes_what_is_merged_durable(void **state)
{
    Store *store = *state;
    Slice key = key_of(store, "k");
    uint64_t ref = put(store, key, "v", NULL);
    uint64_t late = new_ref(store);
    Storage *storage = store->storage;
    Update update = {.put = NULL};

    rocks_close(storage, on_closed, store);
    storage->apply(storage, key, &update, late);
    assert_int_equal(store->answers[late].status, STATUS_SHUTTING_DOWN);
    storage->read(storage, key, late);
    assert_int_equal(store->answers[late].status, STATUS_SHUTTING_DOWN);
    store->storage = NULL;
    await(store, &store->closed);
    assert_true(store->answers[ref].durable);
    store_open(store, CACHE_BYTES);
    assert_holds(store, key, "v");
}

/* The other process of the next test: puts for ever, and says of each put that is durable so. */
static void
tell_durable(void *context, uint64_t ref, StatusCode status)
{
    durable(context, ref, status);
    if (status == STATUS_OK && write(STDOUT_FILENO, &ref, sizeof(ref)) != sizeof(ref))
        _exit(1);
}

static int
write_until_killed(const char *directory)
{
    Store *store = store_new(directory);
    RocksOptions options = {store->directory, CACHE_BYTES, 64 * 1024};
    StorageEvents events = {merged, tell_durable, read_done, scan_done, store};

    if (rocks_open(&store->loop, &options, &store->run, &events, &store->storage).failed)
        return 1;
    for (;;)
    {
        for (unsigned i = 0; i < 7 && store->next_ref < CALLS_MAX; i++)
        {
            char key[16];

            snprintf(key, sizeof(key), "%u", (unsigned)store->next_ref);
            put(store, key_of(store, key), key, NULL);
        }
        uv_run(&store->loop, rocks_pending(store->storage) < 16 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
        if (store->next_ref == CALLS_MAX && rocks_pending(store->storage) == 0)
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
        execl("/proc/self/exe", "rocks_test", "--write", directory, (char *)NULL);
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
    bool told[CALLS_MAX] = {false};
    unsigned count = 0;
    int answers;
    int status;
    uint64_t ref;
    pid_t pid = start_writer(store->directory, &answers);

    alarm(60);
    while (read(answers, &ref, sizeof(ref)) == (ssize_t)sizeof(ref))
    {
        assert_true(ref < CALLS_MAX);
        told[ref] = true;
        if (++count == 1000)
            kill(pid, SIGKILL);
    }
    alarm(0);
    close(answers);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_true(count >= 1000);
    store_open(store, CACHE_BYTES);
    for (uint64_t i = 0; i < CALLS_MAX; i++)
    {
        char key[16];

        store->next_ref = 0;
        snprintf(key, sizeof(key), "%u", (unsigned)i);
        if (told[i])
            assert_holds(store, key_of(store, key), key);
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

    assert_int_equal(read_answer(store, key)->status, STATUS_CORRUPT);
    ref = put(store, key, "v", NULL);
    await(store, &store->answers[ref].merged);
    assert_int_equal(store->answers[ref].status, STATUS_CORRUPT);
    assert_int_equal(store->answers[ref].object.length, 0);
    uv_run(&store->loop, UV_RUN_NOWAIT);
    assert_false(store->answers[ref].durable);
    assert_int_equal(rocks_pending(store->storage), 0);
}

static void
a_record_that_cannot_be_decoded_is_corrupt(void **state)
{
    static const char *const records[] = {"", "\xff", "\x01", "\x01\x00garbage"};
    static const size_t lengths[] = {0, 1, 1, 9};
    Store *store = *state;
    StorageRange range = whole_bucket(1);

    for (unsigned i = 0; i < 4; i++)
    {
        put_raw(store, key_of(store, "k"), records[i], lengths[i]);
        assert_corrupt(store, key_of(store, "k"));
        assert_int_equal(scan_answer(store, &range)->status, STATUS_CORRUPT);
    }
    assert_int_equal(store->storage->counters(store->storage).corrupt, 12);
    put_durably(store, key_of(store, "other"), "v");
    assert_holds(store, key_of(store, "other"), "v");
}

static char *
only_file(Store *store, const char *pattern)
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

static void
a_damaged_block_is_corrupt_and_not_absent(void **state)
{
    Store *store = *state;
    StorageRange range = whole_bucket(1);
    Slice key = key_of(store, "k");

    put_durably(store, key, "v");
    assert_false(rocks_flush(store->storage).failed);
    store_close(store);
    flip_byte(only_file(store, "*.sst"), 20);
    store_open(store, CACHE_BYTES);
    assert_corrupt(store, key);
    assert_int_equal(scan_answer(store, &range)->status, STATUS_CORRUPT);
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

    put_durably(store, key_of(store, "kept"), "v");
    put_durably(store, key_of(store, "torn"), "v");
    store_close(store);
    log = only_file(store, "*.log");
    assert_int_equal(truncate(log, file_size(log) - 3), 0);
    store_open(store, CACHE_BYTES);
    assert_holds(store, key_of(store, "kept"), "v");
    assert_int_equal(read_answer(store, key_of(store, "torn"))->object.length, 0);
}

static void
put_large(Store *store, const char *key)
{
    char large[20000];

    memset(large, 'x', sizeof(large));
    await_durable(store, put_request(store, key_of(store, key), slice_make(large, sizeof(large)),
                                     NULL, ++store->requests));
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
    put_durably(store, key_of(store, "kept"), "v");
    put_large(store, "first");
    put_large(store, "last");
    store_close(store);
}

static void
a_hole_in_the_last_write_is_dropped_with_it(void **state)
{
    Store *store = *state;

    lay_large_writes(store);
    clear_page(only_file(store, "*.log"), 24576);
    store_open(store, CACHE_BYTES);
    assert_true(rocks_dropped_torn_write(store->storage));
    assert_holds(store, key_of(store, "kept"), "v");
    assert_int_equal(read_object(store, key_of(store, "first")).sibling_count, 1);
    assert_int_equal(read_answer(store, key_of(store, "last"))->object.length, 0);
    put_durably(store, key_of(store, "last"), "again");
    store_reopen(store, CACHE_BYTES);
    assert_false(rocks_dropped_torn_write(store->storage));
    assert_holds(store, key_of(store, "last"), "again");
}

static void
assert_log_refused(Store *store)
{
    Outcome outcome = store_try_open(store, CACHE_BYTES);

    assert_true(outcome.failed);
    assert_null(store->storage);
    assert_non_null(strstr(outcome.message, "Corruption"));
}

static void
a_hole_in_a_write_before_the_last_does_not_open(void **state)
{
    Store *store = *state;

    lay_large_writes(store);
    clear_page(only_file(store, "*.log"), 8192);
    assert_log_refused(store);
}

static void
a_log_damaged_before_its_end_does_not_open(void **state)
{
    Store *store = *state;

    put_durably(store, key_of(store, "a"), "v");
    put_durably(store, key_of(store, "b"), "v");
    store_close(store);
    flip_byte(only_file(store, "*.log"), 30);
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
    put_durably(store, key_of(store, "before"), "v");
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
    limited = (struct rlimit){16 * 1024, unlimited.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limited), 0);
    ref = put_request(store, key_of(store, "large"), slice_make(large, sizeof(large)), NULL, 99);
    uv_run(&store->loop, UV_RUN_NOWAIT);
    behind = put(store, key_of(store, "behind"), "v", NULL);
    await(store, &store->answers[ref].durable);
    await(store, store->answers[behind].status == STATUS_STORAGE ? &store->answers[behind].merged
                                                                 : &store->answers[behind].durable);
    setrlimit(RLIMIT_FSIZE, &unlimited);
    assert_int_equal(store->answers[ref].status, STATUS_STORAGE);
    assert_int_equal(store->answers[behind].status, STATUS_STORAGE);
    assert_true(store->storage->failed);
    assert_true(strlen(rocks_failure(store->storage)) > 0);

    /* The disk would take it now; nobody asks it again. */
    ref = put(store, key_of(store, "later"), "v", NULL);
    assert_int_equal(store->answers[ref].status, STATUS_STORAGE);
    assert_false(store->answers[ref].durable);
    assert_holds(store, key_of(store, "before"), "v");
    assert_int_equal(read_answer(store, key_of(store, "large"))->object.length, 0);
    store_reopen(store, CACHE_BYTES);
    assert_holds(store, key_of(store, "before"), "v");
}

/* ---- the directory ---- */

static void
assert_refused(Store *store, const char *words)
{
    Outcome outcome = store_try_open(store, CACHE_BYTES);

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
    uv_close((uv_handle_t *)&other->deadline, NULL);
    uv_run(&other->loop, UV_RUN_DEFAULT);
    uv_loop_close(&other->loop);
    free(other);
}

static void
a_directory_of_another_format_is_refused(void **state)
{
    Store *store = *state;

    store_close(store);
    write_file(store, "VERSION", "dynamo_fdw data 9\nid 00\n");
    assert_refused(store, "\"dynamo_fdw data 9\"");
    write_file(store, "VERSION", "");
    assert_refused(store, "another format");
    write_file(store, "VERSION", "dynamo_fdw data 1\nid 00\n");
    assert_refused(store, "damaged");
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
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    assert_refused(store, "lost its data");
}

static void
a_wiped_directory_gets_another_id(void **state)
{
    Store *store = *state;
    char id[33];

    snprintf(id, sizeof(id), "%s", rocks_directory_id(store->storage));
    store_close(store);
    nftw(store->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    store_open(store, CACHE_BYTES);
    assert_string_not_equal(rocks_directory_id(store->storage), id);
}

#define ON_OPEN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define ON_CLOSED(test) cmocka_unit_test_setup_teardown(test, setup_closed, teardown)

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        ON_OPEN(an_unknown_key_reads_as_absent),
        ON_OPEN(what_is_put_can_be_read_when_it_is_durable),
        ON_OPEN(reads_and_scans_do_not_see_what_is_only_merged),
        ON_OPEN(a_later_put_sees_an_earlier_one_of_the_same_batch),
        ON_OPEN(a_later_put_sees_one_that_is_being_written),
        ON_OPEN(concurrent_puts_become_siblings),
        ON_OPEN(an_object_of_another_node_is_merged),
        ON_OPEN(an_unchanged_object_is_durable_at_once),
        ON_OPEN(an_unchanged_object_is_durable_when_the_write_it_equals_is),
        ON_OPEN(an_event_may_apply_again),
        ON_OPEN(large_values_and_many_keys_are_kept),
        ON_OPEN(one_sync_serves_many_applies),
        ON_OPEN(cold_records_are_read_from_disk),
        ON_OPEN(applies_to_a_cold_record_keep_their_order),
        ON_OPEN(an_apply_out_of_an_event_queues_behind_the_waiting),
        ON_OPEN(closing_completes_what_waits_for_the_disk),
        ON_OPEN(a_scan_gives_one_bucket_in_ring_order),
        ON_OPEN(a_scan_keeps_to_its_positions),
        ON_OPEN(a_scan_goes_on_after_a_place_and_ends_through_one),
        ON_OPEN(pages_together_give_every_row_once),
        ON_OPEN(a_page_holds_at_least_one_row_and_knows_its_end),
        ON_OPEN(a_store_opened_again_has_everything),
        ON_OPEN(closing_makes_what_is_merged_durable),
        ON_CLOSED(what_was_durable_survives_kill_9),
        ON_OPEN(a_record_that_cannot_be_decoded_is_corrupt),
        ON_OPEN(a_damaged_block_is_corrupt_and_not_absent),
        ON_OPEN(a_torn_end_of_the_log_is_dropped),
        ON_OPEN(a_hole_in_the_last_write_is_dropped_with_it),
        ON_OPEN(a_hole_in_a_write_before_the_last_does_not_open),
        ON_OPEN(a_log_damaged_before_its_end_does_not_open),
        ON_OPEN(the_first_failed_write_ends_all_writing),
        ON_OPEN(a_directory_in_use_is_refused),
        ON_OPEN(a_directory_of_another_format_is_refused),
        ON_CLOSED(a_directory_with_other_files_is_refused),
        ON_OPEN(a_directory_that_lost_its_data_is_not_laid_out_again),
        ON_OPEN(a_wiped_directory_gets_another_id),
    };

    if (argc == 3 && strcmp(argv[1], "--write") == 0)
        return write_until_killed(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
