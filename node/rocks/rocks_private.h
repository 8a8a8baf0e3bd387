/*
 * Shared by the rocks*.c files: the storage itself, and the calls between its parts.
 *
 *   rocks.c         opens, closes
 *   rocks_options.c how RocksDB is set
 *   rocks_check.c   reads the table files through; rocks_sst.c one of them
 *   rocks_salvage.c makes a damaged store one that can be opened
 *   rocks_folder.c  the directory: its VERSION file; its RUNS file, the lineage of the data
 *   rocks_log.c     judges a log that RocksDB finds damaged; gives logs their length at once
 *   rocks_apply.c   updates on the loop; the pending table; fetches of cold records
 *   rocks_writer.c  the writer thread
 *   rocks_read.c    reads and scans
 *   rocks_range.c   walks over ranges of keys, and what is taken in at the start
 *   rocks_trees.c   the trees' rows, and the jobs that build trees
 *   rocks_pool.c    what waits for the pool's threads
 *   rocks_cache.c   the record cache
 *   rocks_damage.c  what cannot be read
 *   rocks_space.c   room on the disk
 *
 * Invariants:
 *  R1  the pending table holds the newest record of every key that has one in a batch not yet
 *      durable, and nothing else;
 *  R2  a key with a fetch under way has no pending record, and its applies queue behind the fetch;
 *  R3  of a batch in its hands the writer reads items, rows and bytes and sets synced, leads and
 *      commits; all else of it is the loop's;
 *  R4  the record cache shows a key's newest durable record or nothing: a key with a pending record
 *      is hidden, what fails to become durable does not enter, and what was read enters only when
 *      no apply can have changed its key since the read began.
 */
#ifndef NODE_ROCKS_ROCKS_PRIVATE_H
#define NODE_ROCKS_ROCKS_PRIVATE_H

#include "node/rocks/rocks.h"
#include "node/rocks/rocks_cache.h"
#include "node/rocks/rocks_table.h"

#include <rocksdb/c.h>
#include <stdatomic.h>
#include <sys/queue.h>

/* Ends a refusal for which a person has a remedy. */
#define ROCKS_HINT                                                                                 \
    " (HINT: \"dynamo_node salvage -D DIR\" keeps what can be read; the other owners fill in the " \
    "rest)"

typedef struct RocksBatch RocksBatch;

enum
{
    ROCKS_CHANGE_COUNTS = 4096 /* a power of two */
};

/* A record that is merged and not yet durable; in the arena of its batch. */
typedef struct RocksItem
{
    RocksNode node; /* in Rocks.pending unless a newer item replaced it */
    struct RocksItem *after;
    RocksBatch *batch;
    Slice record; /* changes only while the batch is being filled; empty: to be removed */
} RocksItem;

/* A row of the store's own (the index of hints, a round, a tree), written as it is; in the arena of
 * its batch. */
typedef struct RocksRow
{
    struct RocksRow *after;
    Slice key;
    Slice value; /* empty: to be removed */
    Slice end;   /* not empty: all from key to it, exclusive, is to be removed */
} RocksRow;

/* All that one turn of the loop has merged. */
struct RocksBatch
{
    RocksBatch *next;
    STAILQ_ENTRY(RocksBatch) newer; /* the loop's, from the handover on */
    uint64_t handed_ms;             /* over to the writer */
    Arena arena;
    RocksItem *first;
    RocksItem *last;
    RocksRow *first_row;
    RocksRow *last_row;
    TreeBatch trees;
    size_t bytes;
    uint64_t *refs; /* who waits for this batch to be durable */
    size_t ref_count;
    size_t ref_capacity;
    bool synced; /* the writer's answer: this batch, with those written beside it, is durable */
    uint64_t commits; /* the store's number with this batch in it */
    bool leads;       /* the first of those that shared one sync */
};

typedef struct RocksQueue
{
    RocksBatch *first;
    RocksBatch *last;
} RocksQueue;

/* Batches on their way from one thread to the other: newest first, taken all at once. */
typedef _Atomic(RocksBatch *) RocksHandover;

typedef struct RocksWriter
{
    uv_thread_t thread;
    RocksHandover handed; /* by the loop */
    RocksHandover done;   /* by the writer */
    uv_sem_t work;        /* one token each time handed ceases to be empty, and one for the end */
    atomic_bool ended;
    uv_async_t finished; /* done or ended has news for the loop */
    uint64_t looked_ms;  /* the writer's: for room on the disk */
    atomic_bool low;     /* there was too little of it */
    char failure[256];   /* the writer's until the loop gets the first batch that is not synced */
} RocksWriter;

typedef enum RocksLaneName
{
    ROCKS_LANE_READS,
    ROCKS_LANE_SCANS,
    ROCKS_LANE_TREES,
    ROCKS_LANES
} RocksLaneName;

typedef struct RocksLane RocksLane;

/* A job for a thread of the pool. work.data belongs to whoever begins it. */
typedef struct RocksJob
{
    uv_work_t work;        /* first: a uv_work_t * is a RocksJob * */
    uv_work_cb run;        /* on the pool */
    uv_after_work_cb done; /* on the loop; frees the job */
    struct Rocks *rocks;   /* from here on rocks_pool.c's */
    RocksLane *lane;
    uint64_t queued_ms;
    STAILQ_ENTRY(RocksJob) next;
} RocksJob;

struct RocksLane
{
    STAILQ_HEAD(, RocksJob) waiting;
    uint32_t at_once;
    uint32_t begun;
};

enum
{
    ROCKS_EXTENTS_KEPT = 16,
    ROCKS_SUSPECTS_MAX = 256
};

/* Positions of a bucket of which some or all cannot be read. */
typedef struct RocksExtent
{
    uint32_t bucket_id;
    uint64_t first;
    uint64_t last;
} RocksExtent;

typedef struct RocksReported
{
    RocksExtent extent;
    uint64_t until_ms; /* it is not reported again before */
} RocksReported;

/* A position that could not be read, and that is still to be looked into. */
typedef struct RocksSuspect
{
    RocksExtent extent; /* one position */
    bool decodes;       /* the damage is in a block and not in one record: its extent is unknown */
} RocksSuspect;

typedef struct RocksDamage
{
    RocksSuspect suspects[ROCKS_SUSPECTS_MAX]; /* to be looked at; more are left to be met again */
    uint32_t suspect_count;
    bool searching;
    RocksReported reported[ROCKS_EXTENTS_KEPT];
    uint32_t next;
    Buffer files; /* what the DAMAGED file says: a name a line */
    uint32_t file_count;
} RocksDamage;

/* A table file that is being read through. */
typedef struct RocksSst
{
    int fd;
    uint64_t size;
    uint64_t bytes_read; /* of the disk, so far */
    uint8_t *piece;      /* of the file, from start on */
    size_t room;
    uint64_t start;
    size_t length;
    Buffer index; /* the entries of its index */
    size_t next;  /* the first that was not checked */
    uint32_t table[256];
} RocksSst;

/* A pass over all table files; it belongs to a thread of the pool while busy. */
typedef struct RocksCheck
{
    char *names; /* of equal lengths */
    uint32_t count;
    uint32_t next; /* the file that is being checked */
    bool open;     /* sst is it */
    bool busy;
    RocksSst sst;
} RocksCheck;

typedef struct Rocks
{
    Storage storage; /* first: a Storage * is a Rocks * */
    uv_loop_t *loop;
    StorageEvents events;
    Run *run;
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_writeoptions_t *write_options;
    rocksdb_readoptions_t
        *cached_reads; /* from memtable and block cache alone; a record in neither is cold */
    rocksdb_readoptions_t *full_reads;

    RocksTable pending; /* of RocksItem */
    RocksTable fetches; /* of RocksFetch */
    RocksCache cache;
    uint32_t changes[ROCKS_CHANGE_COUNTS]; /* applies that changed a record, by the key's hash */
    RocksBatch *filling;
    STAILQ_HEAD(, RocksBatch) handed; /* to the writer and not back yet, oldest first */
    RocksBatch *spare;                /* batches to be used again */
    uint32_t spare_count;
    uint64_t owed; /* applies with an event to come */
    uint64_t jobs; /* for the pool */
    RocksLane lanes[ROCKS_LANES];
    Arena arena; /* of one call into shared/ */
    Buffer scratch;
    RocksWriter writer;
    uv_prepare_t turn_end;
    uv_timer_t tree_rest; /* between two jobs that build trees */
    bool tree_rests;
    struct RocksTreeJob *tree_job; /* done, and to be written */
    bool trees_lost; /* their rows could not be read: each partition is to be doubted */
    StorageCounters counters;
    RocksDamage damage;
    RocksCheck check;
    void (*warn)(void *context, const char *text);
    void *warn_context;

    bool closing;
    unsigned handles; /* of libuv, still to be closed */
    void (*closed)(void *context);
    void *closed_context;
    bool dropped_torn_write;
    char directory[4096];
    Lineage lineage;
    uint64_t reserve_bytes;
    uv_timer_t space_timer; /* until the next look whether there is room */
    bool broken;            /* a write has failed */
    void (*restart)(void *context);
    void *restart_context;
    char failure[512]; /* why no writes are taken; "" while they are */
} Rocks;

typedef enum RocksFound
{
    ROCKS_FOUND,
    ROCKS_ABSENT,
    ROCKS_COLD,      /* only the disk can tell */
    ROCKS_UNREADABLE /* damaged, or the disk failed to read */
} RocksFound;

typedef struct RocksValue
{
    RocksFound found;
    Slice record; /* empty unless found */
    rocksdb_pinnableslice_t *pin;
    char *error; /* what RocksDB said of it, if that is why it is unreadable */
} RocksValue;

static inline Rocks *
rocks_of(Storage *storage)
{
    return (Rocks *)storage;
}

static inline uint32_t *
rocks_changes(Rocks *rocks, uint64_t hash)
{
    return &rocks->changes[hash >> 32 & (ROCKS_CHANGE_COUNTS - 1)];
}

/* STATUS_OK when a new call may be taken. */
static inline StatusCode
rocks_admits(const Rocks *rocks)
{
    return rocks->closing ? STATUS_SHUTTING_DOWN : STATUS_OK;
}

/* rocks_read.c. Any thread may call rocks_get(); its value is to be released. */
RocksValue rocks_get(const Rocks *rocks, const rocksdb_readoptions_t *options, Slice key);
void rocks_value_release(RocksValue *value);

/* Decodes a record from end to end, since damage must not travel to other nodes. False: it is
 * damaged. */
bool rocks_record_check(Arena *arena, Slice record, RocksRecord *checked);
void rocks_read(Storage *storage, Slice key, uint64_t ref);
void rocks_scan(Storage *storage, const StorageRange *range, uint64_t ref);
void rocks_owed(Storage *storage, const StorageOwed *owed, uint64_t ref);

/* rocks_range.c. The storage key of a position and key, or, with behind, the lowest storage key
 * behind that one. Bounds live in arena. */
Slice rocks_bound(Arena *arena, uint32_t bucket_id, uint64_t position, Slice key, bool behind);

/* The lowest storage key behind last_position; empty when there is none. */
Slice rocks_bound_behind(Arena *arena, uint32_t bucket_id, uint64_t last_position);
bool rocks_key_split(Slice storage_key, uint32_t *bucket_id, uint64_t *position, Slice *key);
Slice rocks_iterator_key(const rocksdb_iterator_t *iterator);
Slice rocks_iterator_value(const rocksdb_iterator_t *iterator);

typedef struct RocksRange
{
    Slice lower;                        /* inclusive */
    Slice upper;                        /* exclusive; empty: none */
    const rocksdb_snapshot_t *snapshot; /* NULL: what is there now */
} RocksRange;

/* All rows whose storage keys begin with that number, records or not. */
RocksRange rocks_bucket_range(Arena *arena, uint32_t bucket_id);

/* Called for each row; false ends the walk. */
typedef bool (*RocksVisit)(void *context, Slice key, Slice value);

/* Where and why a walk ended early. */
typedef struct RocksStop
{
    Buffer key;  /* of the last row that was reached; the range's lower end when there was none */
    char *error; /* RocksDB's, about the row behind; NULL when visit ended the walk */
} RocksStop;

/* Walks over the rows of the range; any thread may. False when visit ended the walk, or not all
 * rows could be read. stop is to be freed. */
bool rocks_visit(const Rocks *rocks, const RocksRange *range, RocksVisit visit, void *context,
                 RocksStop *stop);
void rocks_stop_free(RocksStop *stop);

/* Counts the hints on the disk. */
void rocks_count_hints(Rocks *rocks);

/* Reads the rounds into memory; false when not all of them can be read. */
bool rocks_load_rounds(Rocks *rocks);

/* Reads the trees into memory. False when not all of their rows can be read; all trees are then
 * forgotten. */
bool rocks_load_trees(Rocks *rocks);

/* rocks_damage.c */

/* True when the error means that the data are damaged; false when a later try may succeed. */
bool rocks_error_is_damage(const char *error);

/* Reports that the record of that storage key cannot be read. error is RocksDB's, or NULL when it
 * gave a record that cannot be decoded. The event Storage.unreadable follows later, with the extent
 * of the damage. */
void rocks_damage_met(Rocks *rocks, Slice storage_key, const char *error);

/* Writes the file that the error names into DAMAGED, for the next opening. */
void rocks_damage_note_file(Rocks *rocks, const char *error);

/* rocks_pool.c */
void rocks_pool_init(Rocks *rocks);
void rocks_pool_begin(Rocks *rocks, RocksJob *job, RocksLaneName lane);

/* How long the lane's next job has waited for a thread; 0 when none does. */
uint64_t rocks_pool_wait_ms(const Rocks *rocks, RocksLaneName lane);

/* rocks_apply.c */
void rocks_apply(Storage *storage, Slice key, const Update *update, uint64_t ref);
bool rocks_is_pending(const Rocks *rocks, uint64_t hash, Slice key);

/* Puts the record that RocksDB has of a key into the cache, unless an apply is about to change it.
 */
void rocks_keep(Rocks *rocks, uint64_t hash, Slice key, const RocksRecord *record, bool asked_for);

void rocks_set_round(Storage *storage, const Round *round, uint64_t ref);

/* The batch of this turn, made when there is none yet. */
RocksBatch *rocks_filling_batch(Rocks *rocks);
RocksRow *rocks_batch_put_row(RocksBatch *batch, Slice key, Slice value);

/* Hands this turn's batch, if there is one, to the writer. */
void rocks_turn_end(Rocks *rocks);

/* Takes a batch back from the writer: its events are sent, and the batch is released. */
void rocks_batch_done(Rocks *rocks, RocksBatch *batch);
void rocks_batch_free(RocksBatch *batch);

/* rocks_trees.c */
void rocks_trees_open(Rocks *rocks);
void rocks_set_partitions(Storage *storage, uint32_t partitions);

/* Puts the rows of the trees that the batch changes into the batch. */
void rocks_trees_close(Rocks *rocks, RocksBatch *batch);

/* Puts the tree that a job has built into this turn's batch, if there is a batch or the rest after
 * the job is over. */
void rocks_trees_end_job(Rocks *rocks);

/* Begins the next job, if a tree is to be built and the rest after the last job is over. */
void rocks_trees_build(Rocks *rocks);

/* rocks_writer.c */
void rocks_writer_start(Rocks *rocks);
void rocks_writer_submit(Rocks *rocks, RocksBatch *batch);

/* Lets the writer end after what it was given; rocks_writer_ended() follows on the loop. */
void rocks_writer_stop(Rocks *rocks);
void rocks_writer_free(Rocks *rocks);

/* rocks_space.c */
typedef struct RocksSpace
{
    bool known;
    uint64_t total_bytes;
    uint64_t free_bytes;
    uint64_t reserve_bytes;
} RocksSpace;

void rocks_space_open(Rocks *rocks, const RocksOptions *options);

/* Measures the disk, at most ten times a second. Called by the writer. */
void rocks_space_look(Rocks *rocks);

/* Stops taking writes if the writer has found too little room. */
void rocks_space_check(Rocks *rocks);

/* Has the pool measure the disk in a second. */
void rocks_space_wait(Rocks *rocks);
bool rocks_error_is_no_room(const char *error);

/* rocks.c. Writes a line to the log. */
void rocks_tell(Rocks *rocks, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A job of the pool, or the writer, has ended: closing goes on when nothing is left to wait for. */
void rocks_job_done(Rocks *rocks);
void rocks_writer_ended(Rocks *rocks);

/* Ends all writing; why is for the log. */
void rocks_fail(Rocks *rocks, const char *why);

/* rocks_sst.c. CRC-32C as RocksDB stores it; the table is made first. */
void rocks_sst_crc_table(uint32_t table[256]);
uint32_t rocks_sst_crc(const uint32_t table[256], const uint8_t *data, size_t length);

typedef enum RocksSstResult
{
    ROCKS_SST_END, /* all blocks were checked */
    ROCKS_SST_SOUND,
    ROCKS_SST_DAMAGED,
    ROCKS_SST_UNKNOWN /* of another format than this program writes: nothing is said of it */
} RocksSstResult;

/* Opens a file and checks its footer, metaindex and index. The result is never ROCKS_SST_END; only
 * after ROCKS_SST_SOUND are there blocks to be checked. The file is to be closed in any case. */
RocksSstResult rocks_sst_open(RocksSst *sst, const char *path);
void rocks_sst_close(RocksSst *sst);

/* Checks the next data block; the key of its first row lives as long as the file is open. */
RocksSstResult rocks_sst_check_next(RocksSst *sst, Slice *first_key);

/* rocks_check.c */
void rocks_check(Storage *storage, bool anew, uint32_t max_bytes, uint64_t ref);
void rocks_check_free(Rocks *rocks);

/* rocks_options.c */
rocksdb_options_t *rocks_options_make(const RocksOptions *wanted, bool create, char **error);

/* rocks_salvage.c. The directory is known to hold damaged files. */
bool rocks_salvage_is_due(const char *directory);

/* rocks_log.c. For a database that RocksDB finds corrupt: true when neither its logs nor its
 * manifest are damaged, so that a table must be. */
bool rocks_log_blames_tables(const char *database);

/* True when the damage to the logs is confined to the last write, which was never synced. */
bool rocks_log_torn_by_crash(const char *database);

/* rocks_folder.c. Makes the directory if it is absent; found is set when it was laid out before.
 * Fails on a directory of another format, or with other files in it. */
Outcome rocks_folder_check(const char *directory, bool *found) MUST_CHECK;

/* Fails when a directory that was laid out has lost its database. */
Outcome rocks_folder_check_data(const char *directory) MUST_CHECK;

/* Writes the VERSION file: the last step of laying out. */
Outcome rocks_folder_seal(const char *directory) MUST_CHECK;

/* Writes a small file of the directory anew; durable when true, else errno may say why not. */
bool rocks_folder_replace(const char *directory, const char *name, Slice bytes);

/* Removes a file, if it is there; durable when true. */
bool rocks_folder_remove(const char *directory, const char *name);

/* Renames a file or folder to name.1, or to the next number that is free, and sets kept to the new
 * name. False: errno says why. */
bool rocks_folder_set_aside(const char *directory, const char *name, char kept[64]);

#define ROCKS_DAMAGED_NAME "DAMAGED" /* table files, a name a line */
#define ROCKS_DATA_NAME "rocksdb"

/* Removes RUNS, so that the data count as lost. */
Outcome rocks_folder_forget_runs(const char *directory) MUST_CHECK;

/* Begins a new run; the database must be open. */
Outcome rocks_folder_begin_run(Rocks *rocks) MUST_CHECK;

/* Storage.settle. */
bool rocks_folder_settle(Storage *storage, const RunId *lost, uint32_t count);

#endif
