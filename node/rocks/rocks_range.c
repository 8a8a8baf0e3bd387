/*
 * Ranges of storage keys: their bounds, and a walk over all rows of one.
 */
#include "node/rocks/rocks_private.h"

Slice
rocks_bound(Arena *arena, uint32_t bucket_id, uint64_t position, Slice key, bool behind)
{
    Buffer buffer;

    buffer_init(&buffer, &MEMORY_HEAP);
    storage_key(&buffer, bucket_id, position, key);
    if (behind)
        buffer_put_u8(&buffer, 0); /* the next key there can be */

    Slice result = slice_copy(arena, buffer_slice(&buffer));

    buffer_free(&buffer);
    return result;
}

/* The bound behind the last position of a bucket is the first of the next bucket; behind the last
 * bucket there is none. */
Slice
rocks_bound_behind(Arena *arena, uint32_t bucket_id, uint64_t last_position)
{
    if (last_position < UINT64_MAX)
        return rocks_bound(arena, bucket_id, last_position + 1, SLICE_EMPTY, false);
    if (bucket_id < UINT32_MAX)
        return rocks_bound(arena, bucket_id + 1, 0, SLICE_EMPTY, false);
    return SLICE_EMPTY;
}

bool
rocks_key_split(Slice storage_key, uint32_t *bucket_id, uint64_t *position, Slice *key)
{
    Reader reader = reader_begin(storage_key);

    *bucket_id = reader_u32(&reader);
    return !reader.failed &&
           storage_cursor_split(reader_take(&reader, reader_left(&reader)), position, key);
}

Slice
rocks_iterator_key(const rocksdb_iterator_t *iterator)
{
    Slice key;

    key.data = (const uint8_t *)rocksdb_iter_key(iterator, &key.length);
    return key;
}

Slice
rocks_iterator_value(const rocksdb_iterator_t *iterator)
{
    Slice value;

    value.data = (const uint8_t *)rocksdb_iter_value(iterator, &value.length);
    return value;
}

RocksRange
rocks_bucket_range(Arena *arena, uint32_t bucket_id)
{
    RocksRange range = {.lower = rocks_bound(arena, bucket_id, 0, SLICE_EMPTY, false),
                        .upper = rocks_bound_behind(arena, bucket_id, UINT64_MAX)};

    range.lower.length = sizeof(bucket_id);
    if (range.upper.length > 0)
        range.upper.length = sizeof(bucket_id);
    return range;
}

/* Remembers the last key that it reached: an error names no key, and damage lies behind that one.
 */
bool
rocks_visit(const Rocks *rocks, const RocksRange *range, RocksVisit visit, void *context,
            RocksStop *stop)
{
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    rocksdb_iterator_t *iterator;
    bool going = true;

    rocksdb_readoptions_set_fill_cache(options, 0);
    rocksdb_readoptions_set_snapshot(options, range->snapshot);
    if (range->upper.length > 0)
        rocksdb_readoptions_set_iterate_upper_bound(options, (const char *)range->upper.data,
                                                    range->upper.length);
    iterator = rocksdb_create_iterator(rocks->db, options);
    *stop = (RocksStop){.error = NULL};
    buffer_init(&stop->key, &MEMORY_HEAP);
    buffer_put(&stop->key, range->lower.data, range->lower.length);
    rocksdb_iter_seek(iterator, (const char *)range->lower.data, range->lower.length);
    while (going && rocksdb_iter_valid(iterator))
    {
        Slice key = rocks_iterator_key(iterator);

        buffer_reset(&stop->key);
        buffer_put(&stop->key, key.data, key.length);
        going = visit(context, key, rocks_iterator_value(iterator));
        rocksdb_iter_next(iterator);
    }
    if (going)
        rocksdb_iter_get_error(iterator, &stop->error);
    rocksdb_iter_destroy(iterator);
    rocksdb_readoptions_destroy(options);
    return going && stop->error == NULL;
}

void
rocks_stop_free(RocksStop *stop)
{
    buffer_free(&stop->key);
    rocksdb_free(stop->error);
}

/* ---- what is taken in at the start ---- */

static bool
take_in(Rocks *rocks, uint32_t bucket_id, RocksVisit visit, void *context)
{
    RocksRange range = rocks_bucket_range(&rocks->arena, bucket_id);
    RocksStop stop;
    bool whole = rocks_visit(rocks, &range, visit, context, &stop);

    rocks_stop_free(&stop);
    return whole;
}

static bool
count_hint(void *context, Slice key, Slice value)
{
    Slice storage_key;
    Hint hint;

    if (!hints_index_split(key, value, &hint, &storage_key))
        return false;
    hints_add(context, &hint);
    return true;
}

void
rocks_count_hints(Rocks *rocks)
{
    (void)take_in(rocks, HINTS_BUCKET, count_hint, &rocks->storage.hints);
}

static bool
load_round(void *context, Slice key, Slice value)
{
    return rounds_load(context, key, value);
}

bool
rocks_load_rounds(Rocks *rocks)
{
    return take_in(rocks, ROUNDS_BUCKET, load_round, &rocks->storage.rounds);
}

static bool
load_tree_row(void *context, Slice key, Slice value)
{
    trees_load(context, key, value);
    return true;
}

/* Some rows are not enough: a tree without one of its rows would count wrongly and never be found
 * out. So all trees are forgotten, and built anew. */
bool
rocks_load_trees(Rocks *rocks)
{
    bool readable = take_in(rocks, TREES_BUCKET, load_tree_row, rocks->storage.trees);

    if (readable)
        trees_loaded(rocks->storage.trees);
    else
        trees_forget(rocks->storage.trees);
    return readable;
}
