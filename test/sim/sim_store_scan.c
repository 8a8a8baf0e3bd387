/* Pages: of a range of rows, and of the rows that are owed to a member. Only what is durable. */
#include <string.h>

#include "test/sim/sim_store_private.h"
#include "test/sim/world.h"

typedef enum Fit
{
    FIT_NOT, /* it is not asked for, or absent */
    FIT_ROW, /* *row is filled */
    FIT_UNREADABLE
} Fit;

typedef Fit (*KeyMatch)(const StoreKey *key, const void *asked, StorageRow *row);

static void
split_key(const StoreKey *key, Slice *cursor, StorageRow *row)
{
    Reader reader = reader_begin(key->key);

    row->bucket_id = reader_u32(&reader);
    *cursor = reader_take(&reader, reader_left(&reader));
    (void)storage_cursor_split(*cursor, &row->position, &row->key);
}

static Fit
fit_of_record(const StoreKey *key, StorageRow *row)
{
    if (!update_record_object(buffer_slice(&key->durable), &row->object))
        return FIT_UNREADABLE;
    return row->object.length > 0 ? FIT_ROW : FIT_NOT;
}

static Fit
row_in_range(const StoreKey *key, const void *asked, StorageRow *row)
{
    const StorageRange *range = asked;
    Slice cursor;

    split_key(key, &cursor, row);
    if (row->bucket_id != range->bucket_id || row->position < range->first_position ||
        row->position > range->last_position ||
        (range->after.length > 0 && slice_compare(cursor, range->after) <= 0) ||
        (range->through.length > 0 && slice_compare(cursor, range->through) > 0))
        return FIT_NOT;
    if (range->unreadable && fit_of_record(key, row) != FIT_UNREADABLE)
        return FIT_NOT;
    if (range->unreadable)
    {
        row->object = buffer_slice(&key->durable);
        return FIT_ROW;
    }
    return fit_of_record(key, row);
}

static Fit
row_is_owed(const StoreKey *key, const void *asked, StorageRow *row)
{
    const StorageOwed *owed = asked;
    Slice cursor;

    if (!hints_record_owes(buffer_slice(&key->durable), &owed->target) ||
        (owed->after.length > 0 && slice_compare(key->key, owed->after) <= 0))
        return FIT_NOT;
    split_key(key, &cursor, row);
    return fit_of_record(key, row);
}

/* The page, in scratch; *next is the row that follows when it is not done. */
static StatusCode
fill_page(SimStore *store, KeyMatch match, const void *asked, uint32_t max_bytes, StoragePage *page,
          StorageRow *next)
{
    size_t bytes = 0;

    arena_reset(&store->scratch);
    *page = (StoragePage){.done = true};
    page->rows = ARENA_ARRAY(&store->scratch, StorageRow, store->key_count);
    for (uint32_t i = 0; i < store->key_count; i++)
    {
        Fit fit = match(store->keys[i], asked, next);

        if (fit == FIT_NOT)
            continue;
        if (bytes > 0 && bytes >= max_bytes)
        {
            page->done = false;
            break;
        }
        if (fit == FIT_UNREADABLE)
        {
            sim_store_met_unreadable(store, store->keys[i]);
            *page = (StoragePage){.rows = NULL};
            return STATUS_CORRUPT;
        }
        bytes += next->key.length + next->object.length;
        page->rows[page->row_count++] = *next;
    }
    return STATUS_OK;
}

void
sim_store_scan_now(SimStore *store, const StorageRange *range, uint64_t ref)
{
    StoragePage page;
    StorageRow next;
    StatusCode status = fill_page(store, row_in_range, range, range->max_bytes, &page, &next);

    store->counted.scans++;
    if (status == STATUS_OK && !page.done && !range->unreadable)
        storage_page_end(&page, next.position, range->leaf_width, &store->scratch);
    store->events.scan_done(store->events.context, ref, status, &page);
}

void
sim_store_owed_now(SimStore *store, const StorageOwed *owed, uint64_t ref)
{
    StoragePage page;
    StorageRow next;
    StatusCode status = fill_page(store, row_is_owed, owed, owed->max_bytes, &page, &next);

    store->events.scan_done(store->events.context, ref, status, &page);
}

void
sim_store_owed(Storage *storage, const StorageOwed *owed, uint64_t ref)
{
    SimStore *store = (SimStore *)storage;
    StoreWork *work = sim_store_new_work(STORE_WORK_OWED, ref, owed->after.length);

    work->owed = *owed;
    if (owed->after.length > 0)
        memcpy(work + 1, owed->after.data, owed->after.length);
    work->owed.after = slice_make(work + 1, owed->after.length);
    sim_store_schedule(store, work);
}

void
sim_store_scan(Storage *storage, const StorageRange *range, uint64_t ref)
{
    SimStore *store = (SimStore *)storage;
    World *world = store->world;

    if (!random_percent(&world->random, world->mix.read_later_percent))
    {
        sim_store_scan_now(store, range, ref);
        return;
    }

    StoreWork *work =
        sim_store_new_work(STORE_WORK_SCAN, ref, range->after.length + range->through.length);
    uint8_t *bytes = (uint8_t *)(work + 1);

    work->range = *range;
    if (range->after.length > 0)
        memcpy(bytes, range->after.data, range->after.length);
    work->range.after = slice_make(bytes, range->after.length);
    bytes += range->after.length;
    if (range->through.length > 0)
        memcpy(bytes, range->through.data, range->through.length);
    work->range.through = slice_make(bytes, range->through.length);
    sim_store_schedule(store, work);
}
