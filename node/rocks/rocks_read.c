/*
 * Reads of one key, scans of a range, and the records that are owed to a member.
 *
 * Happy path: a key in the record cache or in RocksDB's memory is answered during the call; a cold
 * key and every scan go to the pool and are answered on the loop. A read shows durable records
 * only: RocksDB has nothing else, and the cache hides keys whose newest record is pending (R4).
 *
 * Failure modes: what cannot be read is STATUS_CORRUPT, reported to rocks_damage.c on the loop, and
 * never "absent". A scan that meets it fails as a whole, because a page without it would say that
 * the key does not exist.
 */
#include "node/rocks/rocks_private.h"

#include <stdlib.h>
#include <string.h>

/* The error of RocksDB for a read that needs the disk and was told not to go there. */
static const char NEEDS_DISK[] = "Result incomplete";

/* A read that a pool thread finishes. */
typedef struct RocksRead
{
    RocksJob job;
    Rocks *rocks;
    uint64_t ref;
    uint64_t hash;
    bool kept; /* enters the cache, if the key's changes are still these */
    uint32_t changes;
    RocksValue value;
    size_t key_length;
    uint8_t key[];
} RocksRead;

typedef struct RocksScan RocksScan;

/* Adds what the iterator stands at to the page. Returns its bytes, 0 when it cannot be read,
 * ROW_PASSED_OVER when it is not asked for. */
typedef size_t (*RocksTakeRow)(RocksScan *scan, const rocksdb_iterator_t *iterator,
                               Arena *decoding);

#define ROW_PASSED_OVER SIZE_MAX

enum
{
    SCAN_DAMAGES_MAX = 16 /* that one scan reports */
};

/* A key that a scan could not read. error is that of RocksDB, or NULL for a record that cannot be
 * decoded. */
typedef struct RocksScanDamage
{
    Slice storage_key;
    char *error;
} RocksScanDamage;

struct RocksScan
{
    RocksJob job;
    Rocks *rocks;
    uint64_t ref;
    Arena arena; /* bounds, rows and what they point to */
    Slice lower; /* inclusive */
    Slice upper; /* exclusive; empty: none */
    size_t max_bytes;
    uint64_t leaf_width;
    uint32_t row_capacity;
    RocksTakeRow take_row;
    StatusCode status;
    StoragePage page;
    RocksScanDamage damages[SCAN_DAMAGES_MAX];
    uint32_t damage_count;
};

/* ---- one key ---- */

RocksValue
rocks_get(const Rocks *rocks, const rocksdb_readoptions_t *options, Slice key)
{
    RocksValue value = {.found = ROCKS_ABSENT};
    char *error = NULL;

    value.pin = rocksdb_get_pinned(rocks->db, options, (const char *)key.data, key.length, &error);
    if (error != NULL)
    {
        bool cold = strncmp(error, NEEDS_DISK, strlen(NEEDS_DISK)) == 0;

        value.found = cold ? ROCKS_COLD : ROCKS_UNREADABLE;
        value.error = error;
    }
    else if (value.pin != NULL)
    {
        value.record.data =
            (const uint8_t *)rocksdb_pinnableslice_value(value.pin, &value.record.length);
        /* No record is empty, and an empty one would mean "unknown key" to update_apply(). Told not
         * to go to the disk, RocksDB gives an empty value, and no error, for a key that may be in a
         * file that it has not opened (TableCache::Get). */
        if (value.record.length > 0)
            value.found = ROCKS_FOUND;
        else
            value.found = options == rocks->cached_reads ? ROCKS_COLD : ROCKS_UNREADABLE;
    }
    return value;
}

void
rocks_value_release(RocksValue *value)
{
    if (value->pin != NULL)
        rocksdb_pinnableslice_destroy(value->pin);
    rocksdb_free(value->error);
    value->pin = NULL;
    value->error = NULL;
    value->record = SLICE_EMPTY;
}

bool
rocks_record_check(Arena *arena, Slice record, RocksRecord *checked)
{
    Object decoded;

    checked->record = record;
    return update_record_object(record, &checked->object) && checked->object.length > 0 &&
           object_decode(checked->object, arena, &decoded);
}

/* The status to answer a read with; the record is checked and empty unless found. */
static StatusCode
open_value(Rocks *rocks, Slice key, const RocksValue *value, RocksRecord *record)
{
    arena_reset(&rocks->arena);
    *record = (RocksRecord){.record = SLICE_EMPTY};
    if (value->found == ROCKS_ABSENT)
        return STATUS_OK;
    if (value->found == ROCKS_FOUND && rocks_record_check(&rocks->arena, value->record, record))
        return STATUS_OK;
    rocks->counters.corrupt++;
    rocks_damage_met(rocks, key, value->error);
    *record = (RocksRecord){.record = SLICE_EMPTY};
    return STATUS_CORRUPT;
}

static void
read_on_pool(uv_work_t *work)
{
    RocksRead *read = work->data;
    Slice key = {read->key, read->key_length};

    read->value = rocks_get(read->rocks, read->rocks->full_reads, key);
}

/* The record enters the cache only if no apply has changed the key since the read began (R4): the
 * counter of changes tells, without a list of reads under way. */
static void
read_done(uv_work_t *work, int status)
{
    RocksRead *read = work->data;
    Rocks *rocks = read->rocks;
    Slice key = slice_make(read->key, read->key_length);
    RocksRecord record;
    StatusCode outcome = open_value(rocks, key, &read->value, &record);

    if (record.record.length > 0 && read->kept &&
        read->changes == *rocks_changes(rocks, read->hash))
        rocks_keep(rocks, read->hash, key, &record, true);
    rocks->events.read_done(rocks->events.context, read->ref, outcome, record.object);
    rocks_value_release(&read->value);
    memory_resize(&MEMORY_HEAP, read, 0);
}

static void
read_begin(Rocks *rocks, uint64_t hash, Slice key, uint64_t ref)
{
    RocksRead *read = memory_resize(&MEMORY_HEAP, NULL, sizeof(RocksRead) + key.length);

    *read = (RocksRead){.rocks = rocks,
                        .ref = ref,
                        .hash = hash,
                        .kept = !rocks_is_pending(rocks, hash, key),
                        .changes = *rocks_changes(rocks, hash),
                        .key_length = key.length};
    memcpy(read->key, key.data, key.length);
    read->job.work.data = read;
    read->job.run = read_on_pool;
    read->job.done = read_done;
    rocks->counters.cold_reads++;
    rocks_pool_begin(rocks, &read->job, ROCKS_LANE_READS);
}

static bool
read_cached(Rocks *rocks, uint64_t hash, Slice key, uint64_t ref)
{
    RocksRecord cached;

    if (!rocks_cache_find(&rocks->cache, hash, key, &cached))
        return false;
    rocks->counters.cache_hits++;
    rocks->events.read_done(rocks->events.context, ref, STATUS_OK, cached.object);
    return true;
}

static void
read_stored(Rocks *rocks, uint64_t hash, Slice key, uint64_t ref)
{
    RocksValue value = rocks_get(rocks, rocks->cached_reads, key);
    RocksRecord record;

    if (value.found == ROCKS_COLD)
        read_begin(rocks, hash, key, ref);
    else
    {
        StatusCode status = open_value(rocks, key, &value, &record);

        if (record.record.length > 0)
            rocks_keep(rocks, hash, key, &record, true);
        rocks->events.read_done(rocks->events.context, ref, status, record.object);
    }
    rocks_value_release(&value);
}

void
rocks_read(Storage *storage, Slice key, uint64_t ref)
{
    Rocks *rocks = rocks_of(storage);
    StatusCode status = rocks_admits(rocks);

    rocks->counters.reads++;
    if (status != STATUS_OK)
    {
        rocks->events.read_done(rocks->events.context, ref, status, SLICE_EMPTY);
        return;
    }

    uint64_t hash = hash_table(key);

    if (!read_cached(rocks, hash, key, ref))
        read_stored(rocks, hash, key, ref);
}

/* ---- ranges ---- */

/* A page goes on behind the key of the last one, and never goes back before the range. False when
 * after or through is no cursor. */
static bool
set_bounds(RocksScan *scan, const StorageRange *range)
{
    Arena *arena = &scan->arena;
    uint32_t bucket_id = range->bucket_id;
    uint64_t position;
    Slice key;

    scan->lower = rocks_bound(arena, bucket_id, range->first_position, SLICE_EMPTY, false);
    scan->upper = rocks_bound_behind(arena, bucket_id, range->last_position);
    if (range->after.length > 0)
    {
        if (!storage_cursor_split(range->after, &position, &key))
            return false;

        Slice behind = rocks_bound(arena, bucket_id, position, key, true);

        if (slice_compare(behind, scan->lower) > 0)
            scan->lower = behind;
    }
    if (range->through.length > 0)
    {
        if (!storage_cursor_split(range->through, &position, &key))
            return false;

        Slice behind = rocks_bound(arena, bucket_id, position, key, true);

        if (scan->upper.length == 0 || slice_compare(behind, scan->upper) < 0)
            scan->upper = behind;
    }
    return true;
}

/* Rows live in the scan's arena, so an outgrown array is left to it. */
static StorageRow *
add_row(RocksScan *scan)
{
    StoragePage *page = &scan->page;

    if (page->row_count == scan->row_capacity)
    {
        uint32_t capacity = scan->row_capacity > 0 ? scan->row_capacity * 2 : 64;
        StorageRow *rows = ARENA_ARRAY(&scan->arena, StorageRow, capacity);

        if (page->row_count > 0)
            memcpy(rows, page->rows, sizeof(StorageRow) * page->row_count);
        page->rows = rows;
        scan->row_capacity = capacity;
    }
    return &page->rows[page->row_count++];
}

/* Takes over the error. More than a few damages of one page tell nothing new: the extent of each is
 * searched for anyway. */
static void
add_damage(RocksScan *scan, Slice storage_key, char *error)
{
    if (scan->damage_count == SCAN_DAMAGES_MAX)
    {
        rocksdb_free(error);
        return;
    }
    scan->damages[scan->damage_count++] =
        (RocksScanDamage){slice_copy(&scan->arena, storage_key), error};
}

/* Returns the row's bytes, 0 when it cannot be read. */
static size_t
take_record(RocksScan *scan, Slice key, Slice record, Arena *decoding)
{
    RocksRecord checked;
    uint32_t bucket_id;
    uint64_t position;
    Slice user_key;

    if (!rocks_key_split(key, &bucket_id, &position, &user_key) ||
        !rocks_record_check(decoding, record, &checked))
    {
        add_damage(scan, key, NULL);
        return 0;
    }
    *add_row(scan) = (StorageRow){.bucket_id = bucket_id,
                                  .key = slice_copy(&scan->arena, user_key),
                                  .position = position,
                                  .object = slice_copy(&scan->arena, checked.object)};
    return key.length + checked.object.length;
}

static size_t
take_scan_row(RocksScan *scan, const rocksdb_iterator_t *iterator, Arena *decoding)
{
    arena_reset(decoding);
    return take_record(scan, rocks_iterator_key(iterator), rocks_iterator_value(iterator),
                       decoding);
}

/* The taker of a scan for records that cannot be decoded: those that can are passed over. */
static size_t
take_unreadable_row(RocksScan *scan, const rocksdb_iterator_t *iterator, Arena *decoding)
{
    Slice key = rocks_iterator_key(iterator);
    Slice record = rocks_iterator_value(iterator);
    RocksRecord checked;
    uint32_t bucket_id;
    uint64_t position;
    Slice user_key;

    arena_reset(decoding);
    if (!rocks_key_split(key, &bucket_id, &position, &user_key) ||
        rocks_record_check(decoding, record, &checked))
        return ROW_PASSED_OVER;
    *add_row(scan) = (StorageRow){.bucket_id = bucket_id,
                                  .key = slice_copy(&scan->arena, user_key),
                                  .position = position,
                                  .object = slice_copy(&scan->arena, record)};
    return key.length + record.length;
}

/* A row of the hints' index stands for the record it names. A record that cannot be read stays
 * owed, and does not hold up the others. */
static size_t
take_owed_row(RocksScan *scan, const rocksdb_iterator_t *iterator, Arena *decoding)
{
    Slice storage_key;
    RocksValue value;
    Hint hint;
    size_t bytes = 0;

    if (!hints_index_split(rocks_iterator_key(iterator), rocks_iterator_value(iterator), &hint,
                           &storage_key))
        return 0;
    arena_reset(decoding);
    value = rocks_get(scan->rocks, scan->rocks->full_reads, storage_key);
    if (value.found == ROCKS_FOUND && hints_record_owes(value.record, &hint.target))
        bytes = take_record(scan, storage_key, value.record, decoding);
    else if (value.found == ROCKS_UNREADABLE)
    {
        add_damage(scan, storage_key, value.error);
        value.error = NULL;
    }
    rocks_value_release(&value);
    return bytes > 0 ? bytes : 1;
}

/* More follows: the page of a scan of a range ends where leaves do. */
static void
end_scan_page(RocksScan *scan, const rocksdb_iterator_t *iterator)
{
    uint32_t bucket_id;
    uint64_t next;
    Slice key;

    if (scan->take_row != take_scan_row || scan->page.row_count == 0)
        return;
    if (!rocks_key_split(rocks_iterator_key(iterator), &bucket_id, &next, &key))
        scan->leaf_width = 0;
    storage_page_end(&scan->page, next, scan->leaf_width, &scan->arena);
}

/* Takes rows until the page is full or the range ends. At least one row is taken, however large.
 * False when a row cannot be read, or the blocks behind the last one. */
static bool
fill_page(RocksScan *scan, rocksdb_iterator_t *iterator)
{
    Arena decoding;
    size_t bytes = 0;
    size_t taken = 1;
    char *error = NULL;
    Buffer last; /* storage key that could be read */

    arena_init(&decoding, &MEMORY_HEAP);
    buffer_init(&last, &MEMORY_HEAP);
    buffer_put(&last, scan->lower.data, scan->lower.length);
    rocksdb_iter_seek(iterator, (const char *)scan->lower.data, scan->lower.length);
    while (taken > 0 && rocksdb_iter_valid(iterator) && (bytes == 0 || bytes < scan->max_bytes))
    {
        taken = scan->take_row(scan, iterator, &decoding);
        bytes += taken != ROW_PASSED_OVER ? taken : 0;
        buffer_reset(&last);
        buffer_put(&last, rocks_iterator_key(iterator).data, rocks_iterator_key(iterator).length);
        rocksdb_iter_next(iterator);
    }
    arena_free(&decoding);
    scan->page.done = !rocksdb_iter_valid(iterator);
    if (!scan->page.done)
        end_scan_page(scan, iterator);
    rocksdb_iter_get_error(iterator, &error);
    if (error != NULL)
        add_damage(scan, buffer_slice(&last), error);
    buffer_free(&last);
    return error == NULL && taken > 0;
}

/* A scan passes once: what it reads must not drive out of RocksDB's cache what is read again and
 * again. */
static void
scan_on_pool(uv_work_t *work)
{
    RocksScan *scan = work->data;
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();

    /* A scan passes once; what it reads must not drive out what is read again and again. */
    rocksdb_readoptions_set_fill_cache(options, 0);
    if (scan->upper.length > 0)
        rocksdb_readoptions_set_iterate_upper_bound(options, (const char *)scan->upper.data,
                                                    scan->upper.length);

    rocksdb_iterator_t *iterator = rocksdb_create_iterator(scan->rocks->db, options);

    if (!fill_page(scan, iterator))
        scan->status = STATUS_CORRUPT;
    rocksdb_iter_destroy(iterator);
    rocksdb_readoptions_destroy(options);
}

static void
finish_scan(uv_work_t *work, int status)
{
    RocksScan *scan = work->data;
    Rocks *rocks = scan->rocks;
    StoragePage none = {.rows = NULL};

    rocks->counters.corrupt += scan->status == STATUS_CORRUPT;
    for (uint32_t i = 0; i < scan->damage_count; i++)
    {
        rocks_damage_met(rocks, scan->damages[i].storage_key, scan->damages[i].error);
        rocksdb_free(scan->damages[i].error);
    }
    rocks->events.scan_done(rocks->events.context, scan->ref, scan->status,
                            scan->status == STATUS_OK ? &scan->page : &none);
    arena_free(&scan->arena);
    memory_resize(&MEMORY_HEAP, scan, 0);
}

static void
answer_scan(Rocks *rocks, uint64_t ref, StatusCode status, bool done)
{
    StoragePage none = {.rows = NULL, .done = done};

    rocks->events.scan_done(rocks->events.context, ref, status, &none);
}

static RocksScan *
new_scan(Rocks *rocks, uint64_t ref, RocksTakeRow take, uint32_t max_bytes)
{
    RocksScan *scan = memory_resize(&MEMORY_HEAP, NULL, sizeof(RocksScan));

    *scan = (RocksScan){.rocks = rocks, .ref = ref, .take_row = take, .max_bytes = max_bytes};
    arena_init(&scan->arena, &MEMORY_HEAP);
    scan->job.work.data = scan;
    scan->job.run = scan_on_pool;
    scan->job.done = finish_scan;
    return scan;
}

void
rocks_scan(Storage *storage, const StorageRange *range, uint64_t ref)
{
    Rocks *rocks = rocks_of(storage);
    StatusCode status = rocks_admits(rocks);

    rocks->counters.scans++;
    if (status != STATUS_OK)
    {
        answer_scan(rocks, ref, status, false);
        return;
    }

    RocksScan *scan = new_scan(rocks, ref, range->unreadable ? take_unreadable_row : take_scan_row,
                               range->max_bytes);

    scan->leaf_width = range->leaf_width;

    bool readable = set_bounds(scan, range);
    bool empty = scan->upper.length > 0 && slice_compare(scan->lower, scan->upper) >= 0;

    if (!readable || empty)
    {
        arena_free(&scan->arena);
        memory_resize(&MEMORY_HEAP, scan, 0);
        answer_scan(rocks, ref, readable ? STATUS_OK : STATUS_BAD_FRAME, readable);
        return;
    }
    rocks_pool_begin(rocks, &scan->job, ROCKS_LANE_SCANS);
}

/* ---- what is owed ---- */

static Slice
index_bound(Arena *arena, const MemberId *target, Slice after)
{
    Buffer buffer;
    Slice result;

    buffer_init(&buffer, &MEMORY_HEAP);
    hints_index_key(&buffer, target, after);
    if (after.length > 0)
        buffer_put_u8(&buffer, 0);
    result = slice_copy(arena, buffer_slice(&buffer));
    buffer_free(&buffer);
    return result;
}

/* The lowest index key behind all rows of target: that of the next member id, or the first bucket
 * of records when there is no next id. */
static Slice
index_end(Arena *arena, const MemberId *target)
{
    MemberId next = *target;
    size_t place = sizeof(next.bytes);

    while (place > 0 && ++next.bytes[--place] == 0)
        ;
    if (next.bytes[0] < target->bytes[0])
        return rocks_bound(arena, 1, 0, SLICE_EMPTY, false);
    return index_bound(arena, &next, SLICE_EMPTY);
}

void
rocks_owed(Storage *storage, const StorageOwed *owed, uint64_t ref)
{
    Rocks *rocks = rocks_of(storage);
    StatusCode status = rocks_admits(rocks);
    RocksScan *scan;

    if (status != STATUS_OK)
    {
        answer_scan(rocks, ref, status, false);
        return;
    }
    scan = new_scan(rocks, ref, take_owed_row, owed->max_bytes);
    scan->lower = index_bound(&scan->arena, &owed->target, owed->after);
    scan->upper = index_end(&scan->arena, &owed->target);
    rocks_pool_begin(rocks, &scan->job, ROCKS_LANE_SCANS);
}
