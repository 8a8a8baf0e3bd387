/*
 * sim_store_private: what the sim_store*.c files share. sim_store.c is the interface of a node's
 * storage, sim_store_scan.c its pages, sim_store_log.c how things become durable or are lost, and
 * sim_store_disk.c what befalls the disk from outside.
 */
#ifndef SIM_STORE_PRIVATE_H
#define SIM_STORE_PRIVATE_H

#include "node/engine/store/trees.h"
#include "test/sim/sim_store.h"

typedef struct StoreKey
{
    Slice key; /* storage key, owned */
    Buffer current;
    Buffer durable;
    uint32_t unsynced;          /* entries of the log */
    uint64_t reported_until_us; /* that it cannot be read; not again before */
    bool vanished;              /* from under the store, which finds it out by its next start */
} StoreKey;

/*
 * What was applied and is not durable yet, in order. Entries up to one that ends a batch become
 * durable together or not at all.
 */
typedef struct LogEntry
{
    StoreKey *key; /* NULL: the batch has rows of trees alone */
    bool changed;  /* else durable with what came before */
    Buffer record; /* empty: removed */
    uint64_t ref;
    uint64_t logged_us;
    bool ends_batch;
    TreeBatch touched; /* of the batch that it ends */
    Buffer tree_rows;  /* likewise: changes of the rows of trees */
} LogEntry;

typedef struct TreeRow
{
    Buffer key;
    Buffer value;
} TreeRow;

typedef struct StoreTrees
{
    Trees *now;    /* NULL while no process runs */
    TreeRow *rows; /* on the disk, in order */
    uint32_t row_count;
    bool damaged;   /* rows were lost: what belongs to them may be left over */
    TreeBatch open; /* what the entries of the log that are in no batch yet do */
    TreeJob job;
    bool building; /* a job is under way */
    bool readable; /* all that it found was */
    bool waits;    /* after one that could not read everything */
} StoreTrees;

typedef struct WaitingApply
{
    struct WaitingApply *next;
    Arena arena;
    Slice key;
    Update *update;
    uint64_t ref;
} WaitingApply;

struct SimStore
{
    Storage storage; /* first, so that a Storage * is a SimStore * */
    World *world;
    uint32_t host;
    StorageEvents events;
    Run run;
    Arena scratch;
    Buffer record;
    StoreKey **keys; /* in order */
    uint32_t key_count;
    LogEntry *log;
    uint32_t log_count;
    uint32_t log_capacity;
    uint32_t syncing; /* entries that the sync under way makes durable; 0: none is */
    WaitingApply *waiting;
    WaitingApply **waiting_tail;
    bool slow;
    bool stuck;
    bool fail_next;
    bool full;
    StorageCounters counted;
    Lineage lineage;
    StoreTrees trees;
};

/* The key's place in the store, made when there is none. */
StoreKey *sim_store_make_key(SimStore *store, Slice wanted);

/* What storage owes after records were changed behind its back. */
void sim_store_count_hints(SimStore *store);

/* What is on the disk of the key cannot be read: reported later, and not too often. */
void sim_store_met_unreadable(SimStore *store, StoreKey *key);

void sim_store_copy_record(Buffer *target, const Buffer *source);

/* The number that the checker gave to a storage key, or CHECKER_NONE. */
uint32_t sim_store_checked_key(const SimStore *store, const StoreKey *key);

StoreWork *sim_store_new_work(StoreWorkKind kind, uint64_t ref, size_t extra);

/* The work is done a little later, unless the process ends before. */
void sim_store_schedule(SimStore *store, StoreWork *work);

/* Storage's scan and owed, and the same when the work is due. */
void sim_store_scan(Storage *storage, const StorageRange *range, uint64_t ref);
void sim_store_owed(Storage *storage, const StorageOwed *owed, uint64_t ref);
void sim_store_scan_now(SimStore *store, const StorageRange *range, uint64_t ref);
void sim_store_owed_now(SimStore *store, const StorageOwed *owed, uint64_t ref);

/* The key's present record is to become durable; without a change, what came before it is. key
 * NULL: what the trees' batch has. */
void sim_store_log_append(SimStore *store, StoreKey *key, bool changed, uint64_t ref);

/* Takes the first count entries off the log; durable: they are on the disk. */
void sim_store_log_drop(SimStore *store, uint32_t count, bool durable);

/* So many of the first count entries as make whole batches. */
uint32_t sim_store_log_whole(const SimStore *store, uint32_t count);

/* ---- sim_store_trees.c ---- */

/* The process starts, and begins to build what must be built; or it ends. */
void sim_store_trees_boot(SimStore *store);
void sim_store_trees_stop(SimStore *store);

/* Storage's own. */
void sim_store_trees_set_partitions(Storage *storage, uint32_t partitions);

/* The key's record is about to become that one; or is not what it was, behind the trees' back. */
void sim_store_trees_change(SimStore *store, const StoreKey *key, Slice record);
void sim_store_trees_doubt(SimStore *store, const StoreKey *key);

/* The batch of the last entry of the log is complete; or may be. */
void sim_store_trees_close(SimStore *store);
void sim_store_trees_maybe_close(SimStore *store);

/* An entry leaves the log, and its batch with it. */
void sim_store_trees_end_batch(SimStore *store, LogEntry *entry, bool durable);

/* Begins a job, when something is to be built; and goes on when that is done. */
void sim_store_trees_build(SimStore *store);
void sim_store_trees_work(SimStore *store);

/* The rows on the disk: no more; or as those of source. */
void sim_store_trees_forget(SimStore *store);
void sim_store_trees_copy(SimStore *store, const SimStore *source);

/* S16, of what is in memory alone. */
void sim_store_trees_check_memory(const SimStore *store);

#endif
