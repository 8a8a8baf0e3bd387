/*
 * What both implementations share: keys and cursors, and how a change of a record reaches hints and
 * trees.
 */
#include "node/engine/store/storage.h"

StatusCode
storage_refusal(UpdateResult result)
{
    switch (result)
    {
    case UPDATE_CHANGED:
    case UPDATE_REPLACED:
    case UPDATE_UNCHANGED:
        break;
    case UPDATE_CORRUPT:
        return STATUS_CORRUPT;
    case UPDATE_LATE:
        return STATUS_TOO_LATE;
    case UPDATE_CROWDED:
        return STATUS_TOO_MANY_SIBLINGS;
    }
    return STATUS_OK;
}

static bool
is_remembered(const void *context, const RequestId *request)
{
    return recall_has(context, request);
}

UpdateResult
storage_update(Storage *storage, Slice storage_key, Slice record, const Update *update,
               Arena *arena, Buffer *out, Slice *object)
{
    UpdateMemory memory = {
        .has = is_remembered, .context = storage->recall, .now_ms = recall_now_ms(storage->recall)};
    UpdateResult result = update_apply(storage->run, record, update, &memory, arena, out, object);

    if (memory.is_removed)
        recall_revalue(storage->recall, storage_key, memory.gone_weight);
    for (uint32_t i = 0; i < memory.gone_count; i++)
        recall_note(storage->recall, storage_key, &memory.gone[i], memory.gone_weight);
    return result;
}

void
storage_change_trees(Storage *storage, TreeBatch *batch, Slice storage_key, Slice before,
                     Slice after)
{
    TreeChange change = {.before = SLICE_EMPTY, .after = SLICE_EMPTY};
    Reader reader = reader_begin(storage_key);

    change.bucket_id = reader_u32(&reader);
    change.position = reader_u64(&reader);
    change.key = reader_take(&reader, reader_left(&reader));
    if (before.length > 0)
        (void)update_record_object(before, &change.before);
    if (after.length > 0)
        (void)update_record_object(after, &change.after);
    trees_change(storage->trees, batch, &change);
}

void
storage_doubt_trees(Storage *storage, TreeBatch *batch, Slice storage_key, Slice after)
{
    Reader reader = reader_begin(storage_key);
    uint32_t bucket_id = reader_u32(&reader);

    trees_doubt(storage->trees, batch, bucket_id, reader_u64(&reader));
    storage_change_trees(storage, batch, storage_key, SLICE_EMPTY, after);
}

bool
storage_bucket_is_for_records(uint32_t bucket_id)
{
    return bucket_id != HINTS_BUCKET && bucket_id != ROUNDS_BUCKET && bucket_id != TREES_BUCKET;
}

void
storage_cursor(Buffer *buffer, uint64_t position, Slice key)
{
    buffer_put_u64(buffer, position);
    buffer_put(buffer, key.data, key.length);
}

void
storage_key(Buffer *buffer, uint32_t bucket_id, uint64_t position, Slice key)
{
    buffer_put_u32(buffer, bucket_id);
    storage_cursor(buffer, position, key);
}

void
storage_page_end(StoragePage *page, uint64_t next, uint64_t leaf_width, Arena *arena)
{
    uint32_t whole = leaf_width > 0 ? page->row_count : 0;
    Buffer cursor;

    while (whole > 0 && page->rows[whole - 1].position / leaf_width == next / leaf_width)
        whole--;
    buffer_init(&cursor, &MEMORY_HEAP);
    if (whole > 0)
    {
        page->row_count = whole;
        storage_cursor(&cursor, next - next % leaf_width, SLICE_EMPTY);
    }
    else
    {
        const StorageRow *last = &page->rows[page->row_count - 1];

        storage_cursor(&cursor, last->position, last->key);
    }
    page->through = slice_copy(arena, buffer_slice(&cursor));
    buffer_free(&cursor);
}

bool
storage_cursor_split(Slice cursor, uint64_t *position, Slice *key)
{
    Reader reader = reader_begin(cursor);

    *position = reader_u64(&reader);
    *key = reader_take(&reader, reader_left(&reader));
    return !reader.failed;
}
