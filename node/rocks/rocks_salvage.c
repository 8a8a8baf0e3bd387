/*
 * Salvage: makes of a damaged store one that can be opened, with what can be read of it.
 *
 * RocksDB's repair reads every table file from end to end, puts those that it cannot read into the
 * folder lost/ of the database, and writes the manifest anew from the others. What was in a lost
 * file is gone from this node, so the store counts as one that has lost data: its list of runs is
 * forgotten first, therefore no mark that this node noted beside the data or that any member
 * remembers is in its lineage (node/engine/cluster/witness.h), and it answers no read before every
 * other owner of its partitions was compared with it. The notes of that are durable from the first
 * start on, and stand until it is filled, whatever crashes meanwhile.
 *
 * Repair may also bring back old versions: of a record from a table that a compaction had replaced
 * and nobody had removed yet, or below a newer version that was lost. None of them does harm. An
 * object of a node's past is one that other owners' objects have seen, and a merge drops what was
 * seen; no dot is used twice, since a stamp is continued only by the run that made it (N8); hints
 * that come back are handed off once more; a record that was reaped is set apart as an orphan by
 * the refill, if the round that reaped it is lost too (node/engine/store/rounds.h).
 *
 * The store's own rows are made to fit the records again: the index of hints is written anew, the
 * trees are all forgotten, and so built anew. DAMAGED stands in the directory from before the
 * first step to behind the last one, so what was interrupted is done again.
 */
#include "node/rocks/rocks_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum
{
    INDEX_ROWS = 1000 /* of one write */
};

typedef struct RocksSalvage
{
    const RocksOptions *options;
    Rocks rocks; /* as far as it is needed: the open database, where to tell what */
    char database[4096];
    rocksdb_writebatch_t *index;
    uint64_t records;
    uint64_t unreadable;
    uint64_t hints;
    char *error; /* of a write */
} RocksSalvage;

bool
rocks_salvage_is_due(const char *directory)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/" ROCKS_DAMAGED_NAME, directory);
    return access(path, F_OK) == 0;
}

/* ---- the store's own rows ---- */

static void
write_index(RocksSalvage *salvage)
{
    Rocks *rocks = &salvage->rocks;
    rocksdb_writeoptions_t *options = rocksdb_writeoptions_create();

    rocksdb_writeoptions_set_sync(options, 1);
    if (salvage->error == NULL)
        rocksdb_write(rocks->db, options, salvage->index, &salvage->error);
    rocksdb_writebatch_clear(salvage->index);
    rocksdb_writeoptions_destroy(options);
}

static void
put_hint(RocksSalvage *salvage, Slice storage_key, const Hint *hint)
{
    Buffer key;
    Buffer value;

    buffer_init(&key, &MEMORY_HEAP);
    buffer_init(&value, &MEMORY_HEAP);
    hints_index_key(&key, &hint->target, storage_key);
    hints_index_value(&value, hint);
    rocksdb_writebatch_put(salvage->index, (const char *)key.data, key.length,
                           (const char *)value.data, value.length);
    buffer_free(&key);
    buffer_free(&value);
    salvage->hints++;
    if (rocksdb_writebatch_count(salvage->index) >= INDEX_ROWS)
        write_index(salvage);
}

static bool
visit_record(void *context, Slice key, Slice value)
{
    RocksSalvage *salvage = context;
    Arena *arena = &salvage->rocks.arena;
    RocksRecord checked;
    Hint *hints = NULL;
    uint32_t count;

    arena_reset(arena);
    salvage->records++;
    salvage->unreadable += !rocks_record_check(arena, value, &checked);
    count = update_record_hints(value, arena, &hints);
    for (uint32_t i = 0; i < count; i++)
        put_hint(salvage, key, &hints[i]);
    return true;
}

static void
remove_bucket(RocksSalvage *salvage, uint32_t bucket_id)
{
    static const uint8_t behind_all[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    RocksRange range = rocks_bucket_range(&salvage->rocks.arena, bucket_id);

    if (range.upper.length == 0)
        range.upper = slice_make(behind_all, sizeof(behind_all));
    rocksdb_writebatch_delete_range(salvage->index, (const char *)range.lower.data,
                                    range.lower.length, (const char *)range.upper.data,
                                    range.upper.length);
}

/* The store's own rows speak of records that may be lost: the index of hints is made from the
 * records that are left, and the trees are removed, so that they are built anew. False when not all
 * records can be read, or not all rows written. */
static bool
fit_own_rows(RocksSalvage *salvage)
{
    Rocks *rocks = &salvage->rocks;
    RocksRange range;
    RocksStop stop;
    Arena bounds;
    bool readable;

    arena_init(&bounds, &MEMORY_HEAP);
    arena_init(&rocks->arena, &MEMORY_HEAP);
    salvage->index = rocksdb_writebatch_create();
    remove_bucket(salvage, HINTS_BUCKET);
    remove_bucket(salvage, TREES_BUCKET);
    range = (RocksRange){.lower = rocks_bound(&bounds, HINTS_BUCKET + 1, 0, SLICE_EMPTY, false),
                         .upper = rocks_bound(&bounds, ROUNDS_BUCKET, 0, SLICE_EMPTY, false)};
    write_index(salvage);
    readable = rocks_visit(rocks, &range, visit_record, salvage, &stop);
    rocks_stop_free(&stop);
    write_index(salvage);
    rocksdb_writebatch_destroy(salvage->index);
    arena_free(&rocks->arena);
    arena_free(&bounds);
    return readable && salvage->error == NULL;
}

/* ---- the database ---- */

static uint32_t
count_lost_files(const RocksSalvage *salvage)
{
    char path[4096 + 8];
    struct dirent *entry;
    uint32_t count = 0;
    DIR *folder;

    snprintf(path, sizeof(path), "%s/lost", salvage->database);
    folder = opendir(path);
    if (folder == NULL)
        return 0;
    while ((entry = readdir(folder)) != NULL)
        count += strstr(entry->d_name, ".sst") != NULL || strstr(entry->d_name, ".ldb") != NULL;
    closedir(folder);
    return count;
}

static bool
open_repaired(RocksSalvage *salvage, bool create)
{
    Rocks *rocks = &salvage->rocks;

    rocks->options = rocks_options_make(salvage->options, create, &salvage->error);
    if (salvage->error == NULL)
        rocks->db = rocksdb_open(rocks->options, salvage->database, &salvage->error);
    return salvage->error == NULL;
}

static void
close_repaired(RocksSalvage *salvage)
{
    Rocks *rocks = &salvage->rocks;

    if (rocks->db != NULL)
        rocksdb_close(rocks->db);
    if (rocks->options != NULL)
        rocksdb_options_destroy(rocks->options);
    rocks->db = NULL;
    rocks->options = NULL;
}

static bool
repair_database(RocksSalvage *salvage)
{
    rocksdb_options_t *options = rocks_options_make(salvage->options, false, &salvage->error);

    if (salvage->error == NULL)
        rocksdb_repair_db(options, salvage->database, &salvage->error);
    rocksdb_options_destroy(options);
    return salvage->error == NULL && open_repaired(salvage, false) && fit_own_rows(salvage);
}

/* Nothing of it can be had: an empty database takes its place, and it is kept beside. */
static Outcome
begin_anew(RocksSalvage *salvage)
{
    Rocks *rocks = &salvage->rocks;
    char kept[64] = "";
    Outcome outcome = outcome_ok();

    rocksdb_free(salvage->error);
    salvage->error = NULL;
    if (access(salvage->database, F_OK) == 0 &&
        !rocks_folder_set_aside(salvage->options->directory, ROCKS_DATA_NAME, kept))
        return outcome_error("cannot set aside \"%s\": %s", salvage->database, strerror(errno));
    if (!open_repaired(salvage, true))
        outcome = outcome_error("cannot lay out \"%s\": %s", salvage->database, salvage->error);
    close_repaired(salvage);
    if (!outcome.failed)
        rocks_tell(rocks,
                   "NOTHING in the data directory can be read: the node begins with an empty one; "
                   "the old files are kept as \"%s/%s\"",
                   salvage->options->directory, kept);
    return outcome;
}

/* Repairs the database. Where even the repaired one cannot be read the node begins with an empty
 * one, as after the loss of the disk; only an error that is no damage, such as a full disk, is
 * returned. */
static Outcome
salvage_database(RocksSalvage *salvage)
{
    Rocks *rocks = &salvage->rocks;
    uint32_t lost_before = count_lost_files(salvage);
    bool repaired = repair_database(salvage);

    close_repaired(salvage);
    if (repaired)
    {
        rocks_tell(rocks,
                   "kept %llu records of the data directory (%llu of them cannot be decoded) and "
                   "%llu hints; %u table files could not be read and were moved to \"%s/lost\"",
                   (unsigned long long)salvage->records, (unsigned long long)salvage->unreadable,
                   (unsigned long long)salvage->hints, count_lost_files(salvage) - lost_before,
                   salvage->database);
        return outcome_ok();
    }
    if (salvage->error != NULL && !rocks_error_is_damage(salvage->error))
        return outcome_error("cannot salvage \"%s\": %s", salvage->database, salvage->error);
    rocks_tell(rocks, "the data directory cannot be repaired: %s",
               salvage->error != NULL ? salvage->error : "its tables cannot be read");
    return begin_anew(salvage);
}

/* ---- all of it ---- */

/* The mark is durable before the first file is touched: a salvage that is interrupted is done again
 * from the start. */
static Outcome
mark_due(const char *directory)
{
    if (!rocks_salvage_is_due(directory) &&
        !rocks_folder_replace(directory, ROCKS_DAMAGED_NAME, slice_from_string("?\n")))
        return outcome_error("cannot write \"%s/" ROCKS_DAMAGED_NAME "\": %s", directory,
                             strerror(errno));
    return outcome_ok();
}

Outcome
rocks_salvage(const RocksOptions *options)
{
    RocksSalvage *salvage = memory_resize(&MEMORY_HEAP, NULL, sizeof(RocksSalvage));
    const char *directory = options->directory;
    bool found;
    Outcome outcome = rocks_folder_check(directory, &found);

    memset(salvage, 0, sizeof(*salvage));
    salvage->options = options;
    salvage->rocks.warn = options->warn;
    salvage->rocks.warn_context = options->warn_context;
    snprintf(salvage->database, sizeof(salvage->database), "%s/" ROCKS_DATA_NAME, directory);
    if (!outcome.failed && !found)
        outcome =
            outcome_error("\"%s\" is no data directory: there is nothing to salvage", directory);
    if (!outcome.failed)
        outcome = mark_due(directory);
    if (!outcome.failed)
        outcome = rocks_folder_forget_runs(directory);
    if (!outcome.failed)
        outcome = salvage_database(salvage);
    if (!outcome.failed && !rocks_folder_remove(directory, ROCKS_DAMAGED_NAME))
        outcome = outcome_error("cannot remove \"%s/" ROCKS_DAMAGED_NAME "\": %s", directory,
                                strerror(errno));
    rocksdb_free(salvage->error);
    memory_resize(&MEMORY_HEAP, salvage, 0);
    return outcome;
}
