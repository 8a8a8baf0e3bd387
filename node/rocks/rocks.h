/*
 * Rocks: the storage of a node (node/engine/store/storage.h) on RocksDB and a libuv loop.
 *
 * Everything here is called on the loop's thread, and every event comes back on it. Three kinds of
 * threads work:
 *  - the loop applies: an update runs at once on the newest record, which is in the pending table
 *    (merged, not yet durable), in the record cache, in RocksDB's memtable or in its block cache;
 *  - the pool of libuv fetches what is in none of them, and scans;
 *  - one writer writes and syncs what one or more turns of the loop have merged, as one batch.
 *
 * Failure modes: the first write or sync that fails ends all writing. Applies that wait, and all
 * later ones, get STATUS_STORAGE (Storage.disk): after a failed fsync nobody knows what the disk
 * holds, so nothing is tried again. rocks_space.c keeps a full disk from coming to that. A record
 * that cannot be read is STATUS_CORRUPT and never "absent".
 */
#ifndef NODE_ROCKS_ROCKS_H
#define NODE_ROCKS_ROCKS_H

#include "node/config/outcome.h"
#include "node/engine/store/storage.h"

#include <uv.h>

typedef struct RocksOptions
{
    const char *directory;      /* made when absent (its parent is not); of one process at a time */
    uint64_t block_cache_bytes; /* blocks, indexes and filters of what is on disk */
    uint64_t write_buffer_bytes; /* of one memtable; up to three exist for a while */
    uint64_t record_cache_bytes; /* single records that were written or read lately; 0: none */
    uint64_t reserve_bytes; /* of the disk, or a tenth of it: what must be left for a write to be
                               taken */
    void (*warn)(void *context, const char *text); /* of damage, a line for the log; may be NULL */
    void (*restart)(void *warn_context); /* a disk that was full when written to has room again */
    void *warn_context;
} RocksOptions;

/*
 * Opens the directory, or lays out an empty one. Refused: a directory of another format, one with
 * other files in it, one in use, a write-ahead log that is damaged before its end, a damaged
 * manifest. Opening begins a
 * run of the lineage that is kept there, which is durable when this returns. events are
 * copied; run is the caller's and outlives the storage. The loop stays alive until rocks_close() is
 * over.
 */
Outcome rocks_open(uv_loop_t *loop, const RocksOptions *options, Run *run,
                   const StorageEvents *events, Storage **storage) MUST_CHECK;

/*
 * Makes a damaged directory one that can be opened, with all that can be read of it. The directory
 * then counts as one that has lost data: the node gets the rest from the other owners before it
 * answers reads. When nothing can be read the directory begins empty. No file is removed:
 * unreadable files stay in the directory, and options->warn is told where. rocks_open() does this
 * by itself when it meets damaged table files, or when an earlier run has met some (DAMAGED in the
 * directory). A database that RocksDB cannot open for another reason waits for a person to decide.
 */
Outcome rocks_salvage(const RocksOptions *options) MUST_CHECK;

/*
 * Takes no more calls (they are answered STATUS_SHUTTING_DOWN), completes all that came before,
 * then closes. closed runs on the loop after the last event; the storage is gone by then.
 */
void rocks_close(Storage *storage, void (*closed)(void *context), void *context);

/*
 * True when opening dropped the last write of the log, as a crash tears it: for the log. The write
 * had not been acknowledged, unless the disk damaged it after it was synced, which looks the same.
 */
bool rocks_dropped_torn_write(const Storage *storage);

/* The error of RocksDB with which the storage failed; "" as long as it has not failed. */
const char *rocks_failure(const Storage *storage);

#endif
