#include "node/rocks_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum
{
    INFO_LOG_FATAL = 4,
    BLOCK_CACHE_TIER = 1,
    BLOCK_CACHE_SHARD_BITS = 2,
    BLOOM_BITS = 10,
    OPEN_FILES = 256, /* of 64 MB each before RocksDB opens and closes files as it goes */
    BACKGROUND_JOBS = 2,
    WRITE_BUFFERS = 3,
    SYNC_EVERY_BYTES = 1024 * 1024
};

/* Of the memtable's size: some 50 bits a key of a few hundred bytes. */
#define MEMTABLE_BLOOM_SHARE 0.03

/*
 * What the C API has no call for. Blocks enter the cache when a memtable is flushed, so that warm
 * records stay warm; the manifest names the logs that were closed and synced, so that one that is
 * missing or short is noticed. A scan of one partition ends at the key behind it: with first keys
 * in the index it sees that key without reading its block, which may be large, and which in an
 * almost empty bucket every partition would read.
 */
static const char MORE_OPTIONS[] = "track_and_verify_wals_in_manifest=true;"
                                   "block_based_table_factory={prepopulate_block_cache=kFlushOnly;"
                                   "index_type=kBinarySearchWithFirstKey}";

/* ---- options ---- */

/*
 * A log that ends in the middle of a write is a crash's, and RocksDB drops that write; any other
 * damage it refuses to open, and rocks_log.c judges whether a crash explains it. (The default,
 * kPointInTimeRecovery, drops the damaged record and all that follow, synced or not, and says
 * nothing; kAbsoluteConsistency would not start after an ordinary kill -9.)
 */
static void
set_safety(rocksdb_options_t *options)
{
    rocksdb_options_set_wal_recovery_mode(options,
                                          rocksdb_tolerate_corrupted_tail_records_recovery);
    rocksdb_options_set_paranoid_checks(options, 1);
    rocksdb_options_set_use_fsync(options, 0); /* fdatasync */
    /* With assertions on, as Debian builds it, RocksDB aborts when its text log meets a full disk.
     */
    rocksdb_options_set_info_log_level(options, INFO_LOG_FATAL);
    rocksdb_options_set_keep_log_file_num(options, 1);
}

static void
set_sizes(rocksdb_options_t *options, const RocksOptions *wanted)
{
    rocksdb_options_set_write_buffer_size(options, wanted->write_buffer_bytes);
    rocksdb_options_set_max_write_buffer_number(options, WRITE_BUFFERS);
    rocksdb_options_set_max_background_jobs(options, BACKGROUND_JOBS);
    rocksdb_options_set_max_open_files(options, OPEN_FILES);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
    rocksdb_options_set_compression(options, rocksdb_lz4_compression);
    rocksdb_options_set_bytes_per_sync(options, SYNC_EVERY_BYTES);
    /* Most writes are of new keys: a filter spares them the walk down the memtable's skip list. */
    rocksdb_options_set_memtable_prefix_bloom_size_ratio(options, MEMTABLE_BLOOM_SHARE);
    rocksdb_options_set_memtable_whole_key_filtering(options, 1);
    /* One thread writes. */
    rocksdb_options_set_allow_concurrent_memtable_write(options, 0);
    rocksdb_options_set_enable_write_thread_adaptive_yield(options, 0);
    /* The loop drops iterators' and blocks' last references: files are removed in the background.
     */
    rocksdb_options_set_avoid_unnecessary_blocking_io(options, 1);
    rocksdb_options_set_skip_stats_update_on_db_open(options, 1);
    rocksdb_options_set_stats_dump_period_sec(options, 0);
    rocksdb_options_set_stats_persist_period_sec(options, 0);
}

static void
set_tables(rocksdb_options_t *options, const RocksOptions *wanted)
{
    rocksdb_block_based_table_options_t *tables = rocksdb_block_based_options_create();
    rocksdb_lru_cache_options_t *sizes = rocksdb_lru_cache_options_create();
    rocksdb_cache_t *cache;

    /* A file's index is one block, of megabytes, and a block larger than a shard is not cached at
     * all: the default of 64 shards would have every cold read fetch it anew. */
    rocksdb_lru_cache_options_set_capacity(sizes, wanted->block_cache_bytes);
    rocksdb_lru_cache_options_set_num_shard_bits(sizes, BLOCK_CACHE_SHARD_BITS);
    cache = rocksdb_cache_create_lru_opts(sizes);
    rocksdb_lru_cache_options_destroy(sizes);

    rocksdb_block_based_options_set_block_cache(tables, cache);
    rocksdb_block_based_options_set_filter_policy(
        tables, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
    rocksdb_block_based_options_set_format_version(tables, 5);
    /* Indexes and filters count against the cache: memory does not grow with the data. */
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(tables, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(tables, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(tables, 1);
    rocksdb_options_set_block_based_table_factory(options, tables);
    rocksdb_block_based_options_destroy(tables);
    rocksdb_cache_destroy(cache);
}

static rocksdb_options_t *
make_options(const RocksOptions *wanted, bool create, char **error)
{
    rocksdb_options_t *base = rocksdb_options_create();
    rocksdb_options_t *options = rocksdb_options_create();

    rocksdb_options_set_create_if_missing(base, create);
    set_safety(base);
    set_sizes(base, wanted);
    set_tables(base, wanted);
    rocksdb_get_options_from_string(base, MORE_OPTIONS, options, error);
    rocksdb_options_destroy(base);
    return options;
}

/* ---- opening ---- */

static Outcome
database_error(const char *directory, char *error)
{
    /* RocksDB's own words, where only the text tells. */
    bool locked = strstr(error, "LOCK:") != NULL || strstr(error, "lock hold by") != NULL;
    Outcome outcome =
        locked ? outcome_error("data directory \"%s\" is in use by another process", directory)
               : outcome_error("cannot open data directory \"%s\": %s", directory, error);

    rocksdb_free(error);
    return outcome;
}

static bool
is_corruption(const char *error)
{
    return strncmp(error, "Corruption", strlen("Corruption")) == 0;
}

static Outcome
open_database(Rocks *rocks, const RocksOptions *options, bool create)
{
    char path[4096];
    char *error = NULL;

    rocks_preallocate_link();
    snprintf(path, sizeof(path), "%s/rocksdb", options->directory);
    rocks->options = make_options(options, create, &error);
    if (error == NULL)
        rocks->db = rocksdb_open(rocks->options, path, &error);
    if (error != NULL && is_corruption(error) && rocks_log_torn_by_crash(path))
    {
        rocksdb_free(error);
        error = NULL;
        rocks->dropped_torn_write = true;
        rocksdb_options_set_wal_recovery_mode(rocks->options, rocksdb_point_in_time_recovery);
        rocks->db = rocksdb_open(rocks->options, path, &error);
    }
    return error == NULL ? outcome_ok() : database_error(options->directory, error);
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
on_turn_end(uv_prepare_t *handle)
{
    rocks_turn_end(handle->data);
    rocks_trees_build(handle->data);
}

void
rocks_fail(Rocks *rocks, const char *why)
{
    rocks->storage.failed = true;
    snprintf(rocks->failure, sizeof(rocks->failure), "%s", why);
}

static void
start(Rocks *rocks, uv_loop_t *loop, uint64_t record_cache_bytes)
{
    rocks->storage = (Storage){.apply = rocks_apply,
                               .read = rocks_read,
                               .scan = rocks_scan,
                               .owed = rocks_owed,
                               .counters = read_counters,
                               .set_round = rocks_set_round,
                               .settle = rocks_settle,
                               .set_partitions = rocks_set_partitions,
                               .run = rocks->run,
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
    rocks_cache_init(&rocks->cache, record_cache_bytes);
    arena_init(&rocks->arena, &MEMORY_HEAP);
    buffer_init(&rocks->scratch, &MEMORY_HEAP);
    rocks_count_hints(rocks);
    rocks_trees_open(rocks);
    if (!rocks_load_rounds(rocks))
        /* Without them it would take what is older than what was reaped. */
        rocks_fail(rocks, "the rounds of reaping cannot be read");
    rocks_writer_start(rocks);
    if (uv_prepare_init(loop, &rocks->turn_end) != 0 ||
        uv_prepare_start(&rocks->turn_end, on_turn_end) != 0)
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
        outcome = open_database(rocks, options, !found);
    if (!outcome.failed && !found)
        outcome = rocks_folder_seal(options->directory);
    if (!outcome.failed)
        outcome = rocks_runs_begin(rocks);
    if (outcome.failed)
    {
        close_database(rocks);
        buffer_free(&rocks->damage.files);
        memory_resize(&MEMORY_HEAP, rocks, 0);
        return outcome;
    }
    start(rocks, loop, options->record_cache_bytes);
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
    rocks->handles = 3;
    uv_close((uv_handle_t *)&rocks->writer.finished, on_handle_closed);
    uv_close((uv_handle_t *)&rocks->turn_end, on_handle_closed);
    uv_close((uv_handle_t *)&rocks->tree_rest, on_handle_closed);
}

/* The pool's jobs may leave applies to be written; only then may the writer end. */
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

uint64_t
rocks_pending(const Storage *storage)
{
    return ((const Rocks *)storage)->owed;
}

const char *
rocks_failure(const Storage *storage)
{
    return ((const Rocks *)storage)->failure;
}

Outcome
rocks_flush(Storage *storage)
{
    Rocks *rocks = rocks_of(storage);
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    char *error = NULL;
    Outcome outcome = outcome_ok();

    rocksdb_flushoptions_set_wait(options, 1);
    rocksdb_flush(rocks->db, options, &error);
    rocksdb_flushoptions_destroy(options);
    if (error != NULL)
    {
        outcome = outcome_error("cannot flush: %s", error);
        rocksdb_free(error);
    }
    return outcome;
}
