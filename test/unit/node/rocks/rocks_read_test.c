#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/node/rocks/rocks_fixture.h"

#include <stdio.h>

/* The keys of a page, each followed by a blank. */
static const char *
scan_keys(Store *store, const StorageRange *range, bool *done)
{
    const Answer *answer = store_scan(store, range);
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

static void
fill_ranges(Store *store)
{
    store_put(store, store_key_in(store, 2, 5, "other"), "v", NULL);
    store_put(store, store_key_in(store, 1, 30, "c"), "v", NULL);
    store_put(store, store_key_in(store, 1, 10, "b"), "v", NULL);
    store_put(store, store_key_in(store, 1, 10, "a"), "v", NULL);
    store_put(store, store_key_in(store, 1, 20, ""), "v", NULL);
    store_put(store, store_key_in(store, 0, 7, "before"), "v", NULL);
    store_put_durably(store, store_key_in(store, 1, UINT64_MAX, "z"), "v");
}

static void
a_scan_gives_one_bucket_in_ring_order(void **state)
{
    Store *store = *state;
    StorageRange range = store_whole_bucket(1);
    bool done;

    fill_ranges(store);
    assert_string_equal(scan_keys(store, &range, &done), "a b  c z ");
    assert_true(done);
    range = store_whole_bucket(3);
    assert_string_equal(scan_keys(store, &range, &done), "");
    assert_true(done);
}

static void
a_scan_keeps_to_its_positions(void **state)
{
    Store *store = *state;
    StorageRange range = store_whole_bucket(1);
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
    StorageRange range = store_whole_bucket(1);
    bool done;

    fill_ranges(store);
    range.after = store_cursor(store, 10, "a");
    assert_string_equal(scan_keys(store, &range, &done), "b  c z ");
    range.through = store_cursor(store, 30, "c");
    assert_string_equal(scan_keys(store, &range, &done), "b  c ");
    assert_true(done);
    range.through = store_cursor(store, 10, "a");
    assert_string_equal(scan_keys(store, &range, &done), "");
    range.after = slice_make("short", 5);
    assert_int_equal(store_scan(store, &range)->status, STATUS_BAD_FRAME);
}

static void
pages_together_give_every_row_once(void **state)
{
    Store *store = *state;
    StorageRange range = store_whole_bucket(1);
    uint64_t ref = 0;
    unsigned rows = 0;
    unsigned pages = 0;
    bool done = false;
    char key[16];

    for (unsigned i = 0; i < 500; i++)
    {
        snprintf(key, sizeof(key), "%03u", i);
        ref = store_put(store, store_key_in(store, 1, i / 10, key), key, NULL);
    }
    store_await_durable(store, ref);
    range.max_bytes = 2000;
    for (; !done; pages++)
    {
        const Answer *answer = store_scan(store, &range);

        assert_int_equal(answer->status, STATUS_OK);
        assert_true(answer->page.row_count > 0);
        for (uint32_t i = 0; i < answer->page.row_count; i++, rows++)
        {
            const StorageRow *row = &answer->page.rows[i];
            Object object = store_decode(store, row->object);

            snprintf(key, sizeof(key), "%03u", rows);
            assert_true(slice_equal(row->key, slice_from_string(key)));
            assert_int_equal(row->position, rows / 10);
            store_assert_value(&object, 0, key);
        }
        snprintf(key, sizeof(key), "%03u", rows - 1);
        range.after = store_cursor(store, (rows - 1) / 10, key);
        done = answer->page.done;
    }
    assert_int_equal(rows, 500);
    assert_true(pages > 10);
}

static void
a_page_holds_at_least_one_row_and_knows_its_end(void **state)
{
    Store *store = *state;
    StorageRange range = store_whole_bucket(1);
    bool done;

    fill_ranges(store);
    range.max_bytes = 0;
    assert_string_equal(scan_keys(store, &range, &done), "a ");
    assert_false(done);
    range.after = store_cursor(store, 30, "c");
    assert_string_equal(scan_keys(store, &range, &done), "z ");
    assert_true(done);
}

/* A row at every tenth position from 0 to 390, and ten more at the last of them. */
static void
fill_leaves(Store *store)
{
    uint64_t ref = 0;
    char key[16];

    for (unsigned i = 0; i < 50; i++)
    {
        snprintf(key, sizeof(key), "k%u", i < 40 ? 0 : i);
        ref = store_put(store, store_key_in(store, 1, i < 40 ? 10 * i : 390, key), "v", NULL);
    }
    store_await_durable(store, ref);
}

static void
assert_cursor(Slice cursor, uint64_t position, const char *key)
{
    Slice found;
    uint64_t at;

    assert_true(storage_cursor_split(cursor, &at, &found));
    assert_int_equal(at, position);
    assert_true(slice_equal(found, slice_from_string(key)));
}

static uint32_t
scan_rows(Store *store, StorageRange *range, Slice *through)
{
    const Answer *answer = store_scan(store, range);

    assert_int_equal(answer->status, STATUS_OK);
    *through = answer->page.through;
    return answer->page.row_count;
}

static void
a_page_ends_at_the_last_leaf_end_that_fits(void **state)
{
    Store *store = *state;
    StorageRange range = store_whole_bucket(1);
    uint32_t rows_that_fit;
    Slice through;

    fill_leaves(store);
    range.max_bytes = 1500;
    rows_that_fit = scan_rows(store, &range, &through);
    assert_in_range(rows_that_fit, 7, 30);
    assert_cursor(through, 10 * (rows_that_fit - 1), "k0");

    range.leaf_width = 64;
    assert_int_equal(scan_rows(store, &range, &through), (rows_that_fit * 10 / 64 * 64 + 9) / 10);
    assert_cursor(through, rows_that_fit * 10 / 64 * 64, "");

    range.leaf_width = 8; /* the next row is in another leaf: all fit */
    assert_int_equal(scan_rows(store, &range, &through), rows_that_fit);
    assert_cursor(through, rows_that_fit * 10 / 8 * 8, "");
}

static void
a_leaf_that_does_not_fit_is_cut_at_a_row(void **state)
{
    Store *store = *state;
    StorageRange range = store_whole_bucket(1);
    Slice through;

    fill_leaves(store);
    range.first_position = 256;
    range.leaf_width = 256;
    range.max_bytes = 300;

    uint32_t rows = scan_rows(store, &range, &through);

    assert_in_range(rows, 1, 20);
    assert_cursor(through, 250 + 10 * rows, "k0");
}

static void
pages_of_leaves_give_every_row_once(void **state)
{
    Store *store = *state;

    fill_leaves(store);
    for (uint64_t width = 1; width <= 512; width *= 2)
    {
        StorageRange range = store_whole_bucket(1);
        uint32_t rows = 0;
        bool done = false;

        range.max_bytes = 700;
        for (range.leaf_width = width; !done;)
        {
            const Answer *answer = store_scan(store, &range);

            rows += answer->page.row_count;
            range.after = answer->page.through;
            done = answer->page.done;
        }
        assert_int_equal(rows, 50);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_scan_gives_one_bucket_in_ring_order),
        STORE_TEST(a_scan_keeps_to_its_positions),
        STORE_TEST(a_scan_goes_on_after_a_place_and_ends_through_one),
        STORE_TEST(pages_together_give_every_row_once),
        STORE_TEST(a_page_holds_at_least_one_row_and_knows_its_end),
        STORE_TEST(a_page_ends_at_the_last_leaf_end_that_fits),
        STORE_TEST(a_leaf_that_does_not_fit_is_cut_at_a_row),
        STORE_TEST(pages_of_leaves_give_every_row_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
