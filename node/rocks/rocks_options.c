/*
 * How RocksDB is set: what it must never do, how much memory it takes, how its tables are made.
 */
#include "node/rocks/rocks_private.h"

enum
{
    INFO_LOG_FATAL = 4,
    BLOCK_CACHE_SHARD_BITS = 2,
    BLOOM_BITS = 10,
    OPEN_FILES = 256, /* of 64 MB each before RocksDB opens and closes files as it goes */
    BACKGROUND_JOBS = 2,
    WRITE_BUFFERS = 3,
    SYNC_EVERY_BYTES = 1024 * 1024
};

/* The share of a memtable that its filter takes: some 50 bits a key of a few hundred bytes. */
#define MEMTABLE_BLOOM_SHARE 0.03

/*
 * What the C API has no call for. Blocks enter the cache when a memtable is flushed, so that warm
 * records stay warm; the manifest names the logs that were closed and synced, so that one that is
 * missing or short is noticed. A scan of one partition ends at the key behind it: with first keys
 * in the index it sees that key without reading its block, which may be large, and which in an
 * almost empty bucket every partition would read. Indexes are not compressed, and checksums are of
 * a common kind, so that node/rocks/rocks_sst.c can read files through.
 */
static const char MORE_OPTIONS[] = "track_and_verify_wals_in_manifest=true;"
                                   "block_based_table_factory={prepopulate_block_cache=kFlushOnly;"
                                   "index_type=kBinarySearchWithFirstKey;"
                                   "checksum=kCRC32c;enable_index_compression=false}";

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

rocksdb_options_t *
rocks_options_make(const RocksOptions *wanted, bool create, char **error)
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
