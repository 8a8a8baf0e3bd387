/*
 * Storage: the one interface through which the steps reach what a node keeps.
 *
 * Two implementations: RocksDB (node/rocks/rocks.h) and the simulator's, in memory (test/sim). Both
 * run storage_update() and nothing else to change an object. Answers come through StorageEvents,
 * from inside the call or later; a ref is the caller's and is repeated. Whoever hears an event puts
 * it down (node/engine/store/completion.h) and calls no storage from it.
 *
 * A storage key is bucket id (4 bytes), ring position (8), key, so that a partition of a bucket is
 * one contiguous range. A cursor in it is a position and a key; no row's key is empty, so that the
 * cursor of a position and an empty key is before all rows of the position and behind all before
 * it.
 *
 * apply: `merged` is reported when the new object is settled in memory (it may be sent to other
 * nodes), `durable` when it would survive power loss (it may be acknowledged). A later apply sees
 * an earlier one whether durable or not; read and scan see durable objects only. An unchanged
 * object is durable once the write it equals is. After a failed write or sync the disk is not well
 * for good, and every apply fails; a disk that is only full may become well again. What cannot be
 * read is STATUS_CORRUPT, never absent; an apply that has a merge takes its place, as the object of
 * another owner that mends it.
 *
 * commits counts what is durable: it never falls, whatever ends the process, unless the data are
 * replaced by an older copy; lineage, which is kept with the data, says what they have been
 * through.
 */
#ifndef NODE_ENGINE_STORE_STORAGE_H
#define NODE_ENGINE_STORE_STORAGE_H

#include "node/engine/store/hints.h"
#include "node/engine/store/lineage.h"
#include "node/engine/store/recall.h"
#include "node/engine/store/rounds.h"
#include "node/engine/store/trees.h"
#include "shared/base/status.h"
#include "shared/data/update.h"
#include "shared/wire/message.h"

typedef struct Storage Storage;

typedef struct StorageRow
{
    uint32_t bucket_id;
    Slice key; /* the key alone, without bucket and position */
    uint64_t position;
    Slice object;
} StorageRow;

typedef struct StoragePage
{
    StorageRow *rows;
    uint32_t row_count;
    bool done;     /* nothing of what was asked for lies behind the last row */
    Slice through; /* of a scan that is not done: the cursor that the page ends at */
} StoragePage;

/* How far reading through the files that the data are in has come. */
typedef struct StorageCheck
{
    uint64_t bytes;          /* read for this answer */
    uint32_t blocks_damaged; /* found for this answer */
    uint64_t files_done;
    uint64_t files_total;
    bool done;
} StorageCheck;

/* Positions of a bucket, inclusive. */
typedef struct StorageExtent
{
    uint32_t bucket_id;
    uint64_t first;
    uint64_t last;
} StorageExtent;

typedef struct StorageEvents
{
    /* object: encoded, valid during the call. status other than OK: refused, nothing was changed,
     * no durable follows. */
    void (*merged)(void *context, uint64_t ref, StatusCode status, Slice object);
    void (*durable)(void *context, uint64_t ref, StatusCode status);
    /* object empty: absent. Valid during the call. */
    void (*read_done)(void *context, uint64_t ref, StatusCode status, Slice object);
    void (*scan_done)(void *context, uint64_t ref, StatusCode status, const StoragePage *page);

    /* What was found damaged is told by unreadable too, where records are in it. */
    void (*checked)(void *context, uint64_t ref, StatusCode status, const StorageCheck *check);

    /* What is stored for these positions, or for some of them, cannot be read; told again from time
     * to time when something meets it. An apply with a merge writes over it. May be NULL. */
    void (*unreadable)(void *context, uint32_t bucket_id, uint64_t first, uint64_t last);

    /* Before merged: a merge has taken the place of a record that cannot be read, and may be older.
     * NULL: nobody is told. */
    void (*replaced)(void *context, uint32_t bucket_id, uint64_t position);

    /* Storage.disk is not what it was. May be NULL. */
    void (*disk_changed)(void *context);
    void *context;
} StorageEvents;

typedef struct StorageRange
{
    uint32_t bucket_id;
    uint64_t first_position; /* inclusive */
    uint64_t last_position;  /* inclusive */
    Slice after;             /* a cursor: behind it; empty: none */
    Slice through;           /* a cursor, inclusive; empty: none */
    uint32_t max_bytes;      /* the page ends at the first row that reaches it */
    uint64_t leaf_width;     /* but before that, at a multiple of it, if it can; 0: it need not */

    /* Instead of the rows those that cannot be decoded, object being the whole record, as
     * Update.unreadable wants its digest. Not done: there may be more; through is not set. */
    bool unreadable;
} StorageRange;

/* The rows that are owed to a member. */
typedef struct StorageOwed
{
    MemberId target;
    Slice after;        /* storage key of the last row seen; empty: none */
    uint32_t max_bytes; /* the page ends at the first row that reaches it */
} StorageOwed;

typedef struct StorageCounters
{
    uint64_t applies;
    uint64_t syncs;
    uint64_t reads;
    uint64_t cold_reads; /* that a pool thread had to fetch */
    uint64_t scans;
    uint64_t corrupt;       /* applies, reads and scans that met what cannot be read */
    uint64_t damaged_files; /* known; put aside at the next start */
    uint64_t keys_estimate; /* records that the trees know of */
    uint64_t disk_bytes;
    uint64_t cache_hits;  /* applies and reads that found their record in the record cache */
    uint64_t cache_bytes; /* of that cache, in use */
    TreeCounters trees;
} StorageCounters;

/* How long what is next in each of storage's queues has waited by now; 0: nothing waits. */
typedef struct StorageWaits
{
    uint64_t writes_ms; /* merged, not yet durable: the oldest */
    uint64_t reads_ms;  /* cold records for which no thread was free yet */
    uint64_t scans_ms;
} StorageWaits;

struct Storage
{
    void (*apply)(Storage *storage, Slice storage_key, const Update *update, uint64_t ref);
    void (*read)(Storage *storage, Slice storage_key, uint64_t ref);
    void (*scan)(Storage *storage, const StorageRange *range, uint64_t ref);

    /* Answered by scan_done, rows in the order of their storage keys. */
    void (*owed)(Storage *storage, const StorageOwed *owed, uint64_t ref);
    StorageCounters (*counters)(Storage *storage);

    /* Reads on through the files on the disk, whatever is cached of them, from the first one when
     * anew; one call at a time. Answered by checked. NULL: there are none. */
    void (*check)(Storage *storage, bool anew, uint32_t max_bytes, uint64_t ref);

    /* Keeps a partition's rounds (node/engine/store/rounds.h), in the order of the applies;
     * answered by durable.
     */
    void (*set_round)(Storage *storage, const Round *round, uint64_t ref);

    /* Notes runs that were lost and are missed no more; durable when it returns true. */
    bool (*settle)(Storage *storage, const RunId *lost, uint32_t count);

    /* How many partitions the ring has: before the first apply, when the storage keeps trees. The
     * same number again does nothing. */
    void (*set_partitions)(Storage *storage, uint32_t partitions);
    const Lineage *lineage;
    uint64_t commits;
    StorageWaits (*waits)(Storage *storage);
    Rounds rounds; /* as they were kept, when the run began; what the steps make of them since */
    Run *run;
    Recall *recall;       /* of what the records keep no more */
    HintTotals hints;     /* kept true by every apply; read only */
    Trees *trees;         /* likewise; NULL: it keeps none */
    DiskState disk;       /* unless it is well, every apply fails */
    const char *disk_why; /* for people; NULL: it is well */
};

static inline const char *
storage_disk_why(const Storage *storage)
{
    return storage->disk_why != NULL ? storage->disk_why : "";
}

/* Why update_apply() changed nothing; STATUS_OK when it did, or had nothing to change. */
StatusCode storage_refusal(UpdateResult result);

/* update_apply(), with what is remembered of the key; whoever keeps the storage calls it for each
 * apply. */
UpdateResult storage_update(Storage *storage, Slice storage_key, Slice record, const Update *update,
                            Arena *arena, Buffer *out, Slice *object);

/* Tells the trees what a write of the batch has done to a record. Whoever keeps the storage calls
 * it for each record that changes; steps only ask the trees. */
void storage_change_trees(Storage *storage, TreeBatch *batch, Slice storage_key, Slice before,
                          Slice after);

/* The same, when what the record was before could not be read: its tree is built anew. */
void storage_doubt_trees(Storage *storage, TreeBatch *batch, Slice storage_key, Slice after);

/* Else the storage keeps rows of its own under that number. */
bool storage_bucket_is_for_records(uint32_t bucket_id);

/* Appends the storage key. */
void storage_key(Buffer *buffer, uint32_t bucket_id, uint64_t position, Slice key);

/* Appends a cursor (position and key) as ScanReply.last and StorageRange.after hold it. */
void storage_cursor(Buffer *buffer, uint64_t position, Slice key);
bool storage_cursor_split(Slice cursor, uint64_t *position, Slice *key);

/* Ends a scan's page that is not done: next is the position of the row that follows. Rows of a leaf
 * that goes on behind the page leave it, unless no others are there. through lives in arena. */
void storage_page_end(StoragePage *page, uint64_t next, uint64_t leaf_width, Arena *arena);

#endif
