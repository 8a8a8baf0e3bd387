/*
 * Opens and closes a store, and says how it is.
 *
 * Happy path of opening: the directory is checked, RocksDB opened, a new run of the lineage
 * written, the store's own rows read into memory, the writer thread started. Closing lets the
 * pool's jobs end, hands over their last batch, stops the writer, closes the handles of libuv and
 * frees all.
 *
 * Failure modes: a log that a crash tore loses its last write, which nobody was told of. A damaged
 * table is salvaged without a person, since other owners have its rows. A damaged log or manifest
 * waits for a person. A write that fails ends all writing (rocks_fail).
 */
#include "node/rocks/rocks_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum
{
    BLOCK_CACHE_TIER = 1,
    RECALL_BUCKETS = 1 << 18
};

/* ---- opening ---- */

/* RocksDB has no code for a lock that is held: only its text tells. */
static Outcome
database_error(const char *directory, char *error)
{
    /* RocksDB's own words, where only the text tells. */
    bool locked = strstr(error, "LOCK:") != NULL || strstr(error, "lock hold by") != NULL;
    Outcome outcome =
        locked
            ? outcome_error("data directory \"%s\" is in use by another process", directory)
            : outcome_error("cannot open data directory \"%s\": %s" ROCKS_HINT, directory, error);

    rocksdb_free(error);
    return outcome;
}

static bool
is_corruption(const char *error)
{
    return strncmp(error, "Corruption", strlen("Corruption")) == 0;
}

static void
close_database(Rocks *rocks)
{
    if (rocks->db != NULL)
        rocksdb_close(rocks->db);
    if (rocks->options != NULL)
        rocksdb_options_destroy(rocks->options);
    rocks->db = NULL;
    rocks->options = NULL;
}

static void
database_path(const RocksOptions *options, char path[4096])
{
    snprintf(path, 4096, "%s/" ROCKS_DATA_NAME, options->directory);
}

/* Opens the database and returns RocksDB's error, or NULL. RocksDB refuses a damaged log; where
 * only the last write of it is torn, as a crash tears it, the database is opened up to there. */
static char *
try_database(Rocks *rocks, const RocksOptions *options, bool create)
{
    char path[4096];
    char *error = NULL;

    database_path(options, path);
    rocks->options = rocks_options_make(options, create, &error);
    if (error == NULL)
        rocks->db = rocksdb_open(rocks->options, path, &error);
    if (error != NULL && is_corruption(error) && rocks_log_torn_by_crash(path))
    {
        rocksdb_free(error);
        error = NULL;
        rocksdb_options_set_wal_recovery_mode(rocks->options, rocksdb_point_in_time_recovery);
        rocks->db = rocksdb_open(rocks->options, path, &error);
        rocks->dropped_torn_write = error == NULL;
    }
    return error;
}

static bool
pass_row(void *context, Slice key, Slice value)
{
    return true;
}

/* Reads the store's own rows through: without them it would not know which writes it keeps for
 * others, or which tombstones were reaped. */
static bool
has_readable_rows(const Rocks *rocks)
{
    static const uint32_t buckets[] = {HINTS_BUCKET, ROUNDS_BUCKET, TREES_BUCKET};
    bool damaged = false;
    Arena bounds;

    arena_init(&bounds, &MEMORY_HEAP);
    for (size_t i = 0; i < sizeof(buckets) / sizeof(buckets[0]) && !damaged; i++)
    {
        RocksRange range = rocks_bucket_range(&bounds, buckets[i]);
        RocksStop stop;

        damaged =
            !rocks_visit(rocks, &range, pass_row, NULL, &stop) && rocks_error_is_damage(stop.error);
        rocks_stop_free(&stop);
    }
    arena_free(&bounds);
    return !damaged;
}

/* A damaged table is replaced from the other owners, so the node need not wait for a person. A
 * damaged log may hold writes that only this node has acknowledged. */
static bool
can_salvage(const RocksOptions *options, const char *error)
{
    char path[4096];

    database_path(options, path);
    return is_corruption(error) && strstr(error, "WAL") == NULL && rocks_log_blames_tables(path);
}

static Outcome
salvage_and_open(Rocks *rocks, const RocksOptions *options, const char *why)
{
    Outcome outcome;
    char *error;

    close_database(rocks);
    rocks_tell(rocks,
               "the data directory is damaged: this node keeps what can be read and gets the rest "
               "from the other owners (%s)",
               why);
    outcome = rocks_salvage(options);
    if (outcome.failed)
        return outcome;
    error = try_database(rocks, options, false);
    return error == NULL ? outcome_ok() : database_error(options->directory, error);
}

static Outcome
open_database(Rocks *rocks, const RocksOptions *options, bool found)
{
    Outcome outcome = found ? rocks_folder_check_data(options->directory) : outcome_ok();
    char *error = NULL;

    if (found && rocks_salvage_is_due(options->directory))
        return salvage_and_open(rocks, options, "an earlier run found damage");
    if (outcome.failed)
        return outcome;
    error = try_database(rocks, options, !found);
    if (error == NULL)
        return has_readable_rows(rocks)
                   ? outcome_ok()
                   : salvage_and_open(rocks, options,
                                      "rows of hints, rounds or trees cannot be read");
    if (!found || !can_salvage(options, error))
        return database_error(options->directory, error);
    outcome = salvage_and_open(rocks, options, error);
    rocksdb_free(error);
    return outcome;
}

void
rocks_tell(Rocks *rocks, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    if (rocks->warn == NULL)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    rocks->warn(rocks->warn_context, text);
}

static StorageCounters
read_counters(Storage *storage)
{
    Rocks *rocks = rocks_of(storage);
    StorageCounters counters = rocks->counters;
    uint64_t memtables = 0;

    rocksdb_property_int(rocks->db, "rocksdb.total-sst-files-size", &counters.disk_bytes);
    /* The log holds about what the memtables hold. */
    rocksdb_property_int(rocks->db, "rocksdb.cur-size-all-mem-tables", &memtables);
    counters.disk_bytes += memtables;
    counters.trees = trees_counters(rocks->storage.trees);
    counters.keys_estimate = counters.trees.rows;
    counters.cache_bytes = rocks_cache_bytes(&rocks->cache);
    return counters;
}

/* The oldest batch and the next job tell how long work waits, whatever there is of it: admission
 * sheds by that. */
static StorageWaits
read_waits(Storage *storage)
{
    const Rocks *rocks = rocks_of(storage);
    const RocksBatch *oldest = STAILQ_FIRST(&rocks->handed);

    return (StorageWaits){.writes_ms = oldest != NULL ? uv_now(rocks->loop) - oldest->handed_ms : 0,
                          .reads_ms = rocks_pool_wait_ms(rocks, ROCKS_LANE_READS),
                          .scans_ms = rocks_pool_wait_ms(rocks, ROCKS_LANE_SCANS)};
}

static void
on_loop_prepare(uv_prepare_t *handle)
{
    rocks_turn_end(handle->data);
    rocks_trees_build(handle->data);
}

/* Nothing is written after the first failed write: after a failed fsync the kernel may have dropped
 * dirty pages, and a later fsync succeeds all the same. What memory holds is not believed either,
 * so the store must be opened anew. */
void
rocks_fail(Rocks *rocks, const char *why)
{
    rocks->broken = true;
    rocks->storage.disk = rocks_error_is_no_room(why) ? DISK_FULL : DISK_FAILED;
    if (rocks->storage.disk == DISK_FULL)
        snprintf(rocks->failure, sizeof(rocks->failure), "its disk is full (%s)", why);
    else
        snprintf(rocks->failure, sizeof(rocks->failure),
                 "its disk failed (%s); repair or replace the disk, then restart the node", why);
    if (rocks_error_is_damage(why))
        rocks_damage_note_file(rocks, why);
    if (rocks->storage.disk == DISK_FULL && rocks->restart != NULL)
        rocks_space_wait(rocks);
    if (rocks->events.disk_changed != NULL)
        rocks->events.disk_changed(rocks->events.context);
}

static void
start_rocks(Rocks *rocks, uv_loop_t *loop, const RocksOptions *options)
{
    rocks->storage = (Storage){.apply = rocks_apply,
                               .read = rocks_read,
                               .scan = rocks_scan,
                               .owed = rocks_owed,
                               .counters = read_counters,
                               .check = rocks_check,
                               .set_round = rocks_set_round,
                               .settle = rocks_folder_settle,
                               .set_partitions = rocks_set_partitions,
                               .disk_why = rocks->failure,
                               .run = rocks->run,
                               .recall = recall_new(RECALL_BUCKETS),
                               .lineage = &rocks->lineage,
                               .commits = rocks->storage.commits,
                               .waits = read_waits};
    rocks->loop = loop;
    rocks->write_options = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(rocks->write_options, 1);
    rocks->full_reads = rocksdb_readoptions_create();
    rocks->cached_reads = rocksdb_readoptions_create();
    rocksdb_readoptions_set_read_tier(rocks->cached_reads, BLOCK_CACHE_TIER);
    rocks_table_init(&rocks->pending);
    STAILQ_INIT(&rocks->handed);
    rocks_pool_init(rocks);
    rocks_table_init(&rocks->fetches);
    rocks_cache_init(&rocks->cache, options->record_cache_bytes);
    arena_init(&rocks->arena, &MEMORY_HEAP);
    buffer_init(&rocks->scratch, &MEMORY_HEAP);
    rocks_count_hints(rocks);
    rocks_trees_open(rocks);
    rocks_space_open(rocks, options);
    if (!rocks_load_rounds(rocks))
        /* Without them it would take what is older than what was reaped. */
        rocks_fail(rocks, "the rounds of reaping cannot be read");
    rocks_writer_start(rocks);
    if (uv_prepare_init(loop, &rocks->turn_end) != 0 ||
        uv_prepare_start(&rocks->turn_end, on_loop_prepare) != 0)
        abort();
    rocks->turn_end.data = rocks;
}

Outcome
rocks_open(uv_loop_t *loop, const RocksOptions *options, Run *run, const StorageEvents *events,
           Storage **storage)
{
    Rocks *rocks = memory_resize(&MEMORY_HEAP, NULL, sizeof(Rocks));
    bool found;
    Outcome outcome;

    memset(rocks, 0, sizeof(*rocks));
    rocks->events = *events;
    rocks->run = run;
    rocks->warn = options->warn;
    rocks->warn_context = options->warn_context;
    buffer_init(&rocks->damage.files, &MEMORY_HEAP);
    snprintf(rocks->directory, sizeof(rocks->directory), "%s", options->directory);
    *storage = NULL;
    outcome = rocks_folder_check(options->directory, &found);
    if (!outcome.failed)
        outcome = open_database(rocks, options, found);
    if (!outcome.failed && !found)
        outcome = rocks_folder_seal(options->directory);
    if (!outcome.failed)
        outcome = rocks_folder_begin_run(rocks);
    if (outcome.failed)
    {
        close_database(rocks);
        buffer_free(&rocks->damage.files);
        memory_resize(&MEMORY_HEAP, rocks, 0);
        return outcome;
    }
    start_rocks(rocks, loop, options);
    *storage = &rocks->storage;
    return outcome;
}

/* ---- closing ---- */

static void
free_rocks(Rocks *rocks)
{
    close_database(rocks);
    rocksdb_writeoptions_destroy(rocks->write_options);
    rocksdb_readoptions_destroy(rocks->cached_reads);
    rocksdb_readoptions_destroy(rocks->full_reads);
    rocks_table_free(&rocks->pending);
    rocks_table_free(&rocks->fetches);
    rocks_cache_free(&rocks->cache);
    arena_free(&rocks->arena);
    buffer_free(&rocks->scratch);
    buffer_free(&rocks->damage.files);
    rocks_check_free(rocks);
    recall_free(rocks->storage.recall);
    hints_free(&rocks->storage.hints);
    trees_free(rocks->storage.trees);
    rounds_free(&rocks->storage.rounds);
    rocks_writer_free(rocks);
    while (rocks->spare != NULL)
    {
        RocksBatch *batch = rocks->spare;

        rocks->spare = batch->next;
        rocks_batch_free(batch);
    }
    memory_resize(&MEMORY_HEAP, rocks, 0);
}

static void
on_handle_closed(uv_handle_t *handle)
{
    Rocks *rocks = handle->data;
    void (*closed)(void *context) = rocks->closed;
    void *context = rocks->closed_context;

    if (--rocks->handles > 0)
        return;
    free_rocks(rocks);
    if (closed != NULL)
        closed(context);
}

void
rocks_writer_ended(Rocks *rocks)
{
    uv_thread_join(&rocks->writer.thread);
    rocks->handles = 4;
    uv_close((uv_handle_t *)&rocks->writer.finished, on_handle_closed);
    uv_close((uv_handle_t *)&rocks->turn_end, on_handle_closed);
    uv_close((uv_handle_t *)&rocks->tree_rest, on_handle_closed);
    uv_close((uv_handle_t *)&rocks->space_timer, on_handle_closed);
}

/* The pool's jobs may apply what they fetched, so their batch is handed over first; only then may
 * the writer end. */
static void
stop_when_idle(Rocks *rocks)
{
    if (!rocks->closing || rocks->jobs > 0)
        return;
    rocks_turn_end(rocks);
    rocks_writer_stop(rocks);
}

void
rocks_job_done(Rocks *rocks)
{
    rocks->jobs--;
    stop_when_idle(rocks);
}

void
rocks_close(Storage *storage, void (*closed)(void *context), void *context)
{
    Rocks *rocks = rocks_of(storage);

    rocks->closing = true;
    rocks->closed = closed;
    rocks->closed_context = context;
    stop_when_idle(rocks);
}

/* ---- what others ask ---- */

bool
rocks_dropped_torn_write(const Storage *storage)
{
    return ((const Rocks *)storage)->dropped_torn_write;
}

const char *
rocks_failure(const Storage *storage)
{
    return ((const Rocks *)storage)->failure;
}
