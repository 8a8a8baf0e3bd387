/*
 * What cannot be read: told from what the disk may yet give, its extent found, reported once, the
 * files it is in noted.
 *
 * RocksDB finds damage by the checksums of its blocks. A record in a damaged block can be written
 * over (the new one is found first), but the block stays: scans of its range fail until the file is
 * gone, and a compaction that reads it ends all writing. So compactions stop once a damaged file is
 * known, and DAMAGED names it: the next opening salvages the store (node/rocks/rocks_salvage.c).
 *
 * Extents are asked for by position, from seeks: how far around one damaged place no seek succeeds.
 */
#include "node/rocks/rocks_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum
{
    REPORT_AGAIN_MS = 10000,
    GALLOP = 4,
    NARROW = 64 /* a bound is found to within this part of the extent */
};

/* RocksDB tells by words. False: the disk may yet give what it did not give now, for want of memory
 * or of file descriptors. */
bool
rocks_error_is_damage(const char *error)
{
    return strncmp(error, "Corruption", strlen("Corruption")) == 0 ||
           strstr(error, "Input/output error") != NULL ||
           strstr(error, "No such file or directory") != NULL;
}

/* ---- extents ---- */

typedef struct RocksProbe
{
    rocksdb_iterator_t *iterator;
    uint32_t bucket_id;
    Buffer key;
} RocksProbe;

static bool
can_seek(RocksProbe *probe, uint64_t position, bool backwards)
{
    char *error = NULL;
    const char *key;

    buffer_reset(&probe->key);
    storage_key(&probe->key, probe->bucket_id, position, SLICE_EMPTY);
    key = (const char *)probe->key.data;
    if (backwards)
        rocksdb_iter_seek_for_prev(probe->iterator, key, probe->key.length);
    else
        rocksdb_iter_seek(probe->iterator, key, probe->key.length);
    rocksdb_iter_get_error(probe->iterator, &error);
    rocksdb_free(error);
    return error == NULL;
}

/* The distance from position, upwards or down, at which what is stored can be read again; most
 * when it cannot be as far as that. */
static uint64_t
readable_distance(RocksProbe *probe, uint64_t position, uint64_t most, bool down)
{
    uint64_t bad = 0;
    uint64_t good = 1;

    while (good < most && !can_seek(probe, down ? position - good : position + good, down))
    {
        bad = good;
        good = good > most / GALLOP ? most : good * GALLOP;
    }
    if (good > most)
        good = most;
    while (good - bad > 1 && good - bad > good / NARROW)
    {
        uint64_t middle = bad + (good - bad) / 2;

        if (can_seek(probe, down ? position - middle : position + middle, down))
            good = middle;
        else
            bad = middle;
    }
    return good;
}

/* Seeks outwards from a damaged position until one succeeds, in steps that grow fourfold, then
 * halves the last step. A damaged block is a few KB of a range of unknown density, so neither a
 * fixed step nor a walk would do. Any thread. */
static RocksExtent
rocks_damage_extent(const Rocks *rocks, uint32_t bucket_id, uint64_t position)
{
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    RocksExtent extent = {bucket_id, position, position};
    RocksProbe probe = {.bucket_id = bucket_id};

    rocksdb_readoptions_set_fill_cache(options, 0);
    probe.iterator = rocksdb_create_iterator(rocks->db, options);
    buffer_init(&probe.key, &MEMORY_HEAP);
    extent.first -= readable_distance(&probe, position, position, true);
    extent.last += readable_distance(&probe, position, UINT64_MAX - position, false);
    buffer_free(&probe.key);
    rocksdb_iter_destroy(probe.iterator);
    rocksdb_readoptions_destroy(options);
    return extent;
}

/* ---- files ---- */

/* Where the name of a table file begins in what RocksDB said; NULL when it names none. */
static const char *
find_file(const char *error, size_t *length)
{
    const char *suffix = strstr(error, ".sst");
    const char *name = suffix;

    if (suffix == NULL) /* a file that is missing is looked for under its older name too */
        suffix = name = strstr(error, ".ldb");
    if (suffix == NULL)
        return NULL;
    while (name > error && name[-1] >= '0' && name[-1] <= '9')
        name--;
    *length = (size_t)(suffix - name);
    return name < suffix ? name : NULL;
}

static bool
knows_file(const Rocks *rocks, Slice line)
{
    Slice left = buffer_slice(&rocks->damage.files);

    while (left.length > 0)
    {
        const uint8_t *end = memchr(left.data, '\n', left.length);
        size_t length = end != NULL ? (size_t)(end - left.data) + 1 : left.length;

        if (slice_equal(slice_make(left.data, length), line))
            return true;
        left = slice_make(left.data + length, left.length - length);
    }
    return false;
}

/* A compaction that meets the damaged block would end all writing. Without compactions files gather
 * in the first level, which must not hold up writes, so the limits on them are lifted as well. */
static void
stop_compactions(Rocks *rocks)
{
    /* Without them files gather in the first level, which must not hold up writes. */
    static const char *const names[] = {
        "disable_auto_compactions", "level0_slowdown_writes_trigger", "level0_stop_writes_trigger",
        "soft_pending_compaction_bytes_limit", "hard_pending_compaction_bytes_limit"};
    static const char *const values[] = {"true", "1000000", "1000000", "0", "0"};
    char *error = NULL;

    rocksdb_set_options(rocks->db, sizeof(names) / sizeof(names[0]), names, values, &error);
    rocksdb_free(error);
}

/* The next opening must know of the file though nobody may read the damaged block again. */
void
rocks_damage_note_file(Rocks *rocks, const char *error)
{
    char line[64];
    size_t length = 0;
    const char *name = find_file(error, &length);
    Slice bytes;

    snprintf(line, sizeof(line), "%.*s.sst\n", name != NULL ? (int)length : 1,
             name != NULL ? name : "?");
    bytes = slice_from_string(line);
    if (knows_file(rocks, bytes))
        return;
    if (rocks->damage.file_count == 0)
        stop_compactions(rocks);
    buffer_put(&rocks->damage.files, bytes.data, bytes.length);
    rocks->damage.file_count++;
    rocks->counters.damaged_files = rocks->damage.file_count;
    if (!rocks_folder_replace(rocks->directory, ROCKS_DAMAGED_NAME,
                              buffer_slice(&rocks->damage.files)))
        rocks_tell(rocks,
                   "the file %.*s of the data directory is damaged, and that could not be written "
                   "down: the next start does not put it aside",
                   (int)bytes.length - 1, line);
    else
        rocks_tell(rocks,
                   "the file %.*s of the data directory is damaged: scans that need it fail. "
                   "Restart the node: it then puts the file aside and gets its rows from the other "
                   "owners (RocksDB: %s)",
                   (int)bytes.length - 1, line, error);
}

/* ---- reports ---- */

/* The repair of an extent takes a while, and each read of it meets the damage again: the extent is
 * not reported again before REPORT_AGAIN_MS. */
static bool
is_recent(const Rocks *rocks, const RocksExtent *extent)
{
    for (uint32_t i = 0; i < ROCKS_EXTENTS_KEPT; i++)
    {
        const RocksReported *reported = &rocks->damage.reported[i];

        if (reported->until_ms > uv_now(rocks->loop) &&
            reported->extent.bucket_id == extent->bucket_id &&
            reported->extent.first <= extent->first && extent->last <= reported->extent.last)
            return true;
    }
    return false;
}

static void
remember_reported(Rocks *rocks, const RocksExtent *extent)
{
    RocksReported *place = &rocks->damage.reported[rocks->damage.next++ % ROCKS_EXTENTS_KEPT];

    *place = (RocksReported){*extent, uv_now(rocks->loop) + REPORT_AGAIN_MS};
}

/* One at a time: what is met meanwhile lies mostly in what is being looked at. */
typedef struct RocksSearch
{
    RocksJob job;
    Rocks *rocks;
    RocksSuspect suspect;
    RocksExtent extent;
} RocksSearch;

static void search_next(Rocks *rocks);

static void
search_on_pool(uv_work_t *work)
{
    RocksSearch *search = work->data;
    const RocksExtent *known = &search->suspect.extent;

    search->extent = *known;
    if (search->suspect.decodes)
        search->extent = rocks_damage_extent(search->rocks, known->bucket_id, known->first);
}

static void
search_done(uv_work_t *work, int status)
{
    RocksSearch *search = work->data;
    Rocks *rocks = search->rocks;
    const RocksExtent *extent = &search->extent;

    remember_reported(rocks, extent);
    rocks->damage.searching = false;
    if (rocks->events.unreadable != NULL)
        rocks->events.unreadable(rocks->events.context, extent->bucket_id, extent->first,
                                 extent->last);
    memory_resize(&MEMORY_HEAP, search, 0);
    search_next(rocks);
}

static void
search_next(Rocks *rocks)
{
    RocksDamage *damage = &rocks->damage;
    RocksSearch *search;

    while (damage->suspect_count > 0 &&
           is_recent(rocks, &damage->suspects[damage->suspect_count - 1].extent))
        damage->suspect_count--;
    if (damage->searching || damage->suspect_count == 0 || rocks->closing)
        return;
    search = memory_resize(&MEMORY_HEAP, NULL, sizeof(RocksSearch));
    *search = (RocksSearch){.rocks = rocks, .suspect = damage->suspects[--damage->suspect_count]};
    search->job.work.data = search;
    search->job.run = search_on_pool;
    search->job.done = search_done;
    damage->searching = true;
    rocks_pool_begin(rocks, &search->job, ROCKS_LANE_SCANS);
}

/* The event comes later in any case: whoever calls is in the middle of something. */
void
rocks_damage_met(Rocks *rocks, Slice storage_key, const char *error)
{
    RocksDamage *damage = &rocks->damage;
    Reader reader = reader_begin(storage_key);
    RocksSuspect suspect = {.extent = {.bucket_id = reader_u32(&reader)}, .decodes = error != NULL};

    suspect.extent.first = suspect.extent.last = reader_u64(&reader);
    if (error != NULL && !rocks_error_is_damage(error))
        return;
    if (error != NULL)
        rocks_damage_note_file(rocks, error);
    if (reader.failed || !storage_bucket_is_for_records(suspect.extent.bucket_id) ||
        is_recent(rocks, &suspect.extent) || damage->suspect_count == ROCKS_SUSPECTS_MAX)
        return;
    damage->suspects[damage->suspect_count++] = suspect;
    search_next(rocks);
}
