/*
 * sim_store_private: what the sim_store*.c files share. sim_store.c is the interface of a node's
 * storage, sim_store_scan.c its pages, sim_store_log.c how things become durable or are lost, and
 * sim_store_disk.c what befalls the disk from outside.
 */
#ifndef SIM_STORE_PRIVATE_H
#define SIM_STORE_PRIVATE_H

#include "test/sim/sim_store.h"

typedef struct StoreKey
{
    Slice key; /* storage key, owned */
    Buffer current;
    Buffer durable;
    uint32_t unsynced; /* entries of the log */
} StoreKey;

/* What was applied and is not durable yet, in order. */
typedef struct LogEntry
{
    StoreKey *key;
    bool changed;  /* else durable with what came before */
    Buffer record; /* empty: removed */
    uint64_t ref;
    uint64_t logged_us;
} LogEntry;

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
    StorageCounters counted;
    Lineage lineage;
};

/* The key's place in the store, made when there is none. */
StoreKey *sim_store_make_key(SimStore *store, Slice wanted);

/* What storage owes after records were changed behind its back. */
void sim_store_count_hints(SimStore *store);

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

/* The key's present record is to become durable; without a change, what came before it is. */
void sim_store_log_append(SimStore *store, StoreKey *key, bool changed, uint64_t ref);

/* Takes the first count entries off the log; durable: they are on the disk. */
void sim_store_log_drop(SimStore *store, uint32_t count, bool durable);

#endif
