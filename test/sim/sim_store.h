/*
 * sim_store: the node/engine/store/storage.h of a simulated host, in memory, with a disk that may
 * be slow, fail, or lose its power.
 *
 * An apply runs update_apply() at once or a little later, in the order given; its merged is
 * reported then. What was applied is durable when the sync that took it up ends. A crash keeps what
 * was durable and a random beginning of the rest, which may have reached the disk unreported.
 */
#ifndef SIM_STORE_H
#define SIM_STORE_H

#include "node/engine/store/storage.h"

typedef struct World World;
typedef struct SimStore SimStore;

typedef enum StoreWorkKind
{
    STORE_WORK_APPLY, /* the first apply that waits */
    STORE_WORK_READ,
    STORE_WORK_SCAN,
    STORE_WORK_OWED,
    STORE_WORK_DURABLE,    /* of something that was durable already */
    STORE_WORK_UNREADABLE, /* what was met is reported */
    STORE_WORK_TREE,       /* a job that builds a tree */
    STORE_WORK_DISK,       /* it has become full, or has room again */
    STORE_WORK_SYNCED      /* a sync has ended */
} StoreWorkKind;

/* Something the store answers later; one heap block, its slices behind it. */
typedef struct StoreWork
{
    StoreWorkKind kind;
    StatusCode status;
    uint64_t ref;
    Slice key;
    StorageRange range;
    StorageOwed owed;
    uint32_t ref_count; /* of STORE_WORK_SYNCED */
    uint64_t refs[];
} StoreWork;

SimStore *sim_store_new(World *world, uint32_t host);
void sim_store_free(SimStore *store);

/* The process starts: a new actor, and only what was durable. */
Storage *sim_store_boot(SimStore *store, const StorageEvents *events);
void sim_store_crash(SimStore *store);

/* Does the work, from inside a turn of the engine; the caller frees it. */
void sim_store_work(SimStore *store, const StoreWork *work);

/* The sync under way ends, now; false when it was of a process that is gone. */
void sim_store_sync_ends(SimStore *store);

/* Faults. */
void sim_store_set_slow(SimStore *store, bool slow);
void sim_store_set_stuck(SimStore *store); /* what is applied from now on is lost by a crash */
void sim_store_fail_next_sync(SimStore *store);

/* No write is taken until there is room. */
void sim_store_set_full(SimStore *store, bool full);

/* Of each hundred records that the host owns so many cannot be read any more; returns how many. */
uint32_t sim_store_damage(SimStore *store, uint32_t percent);

/* Reads everything, and reports what cannot be read; true when all could be. */
bool sim_store_scrub(SimStore *store);

/* A row of a tree cannot be read any more; false: there is none that would be missed. */
bool sim_store_damage_tree(SimStore *store);

/* Nothing waits to be applied or to become durable: what follows may be done. */
bool sim_store_is_settled(const SimStore *store);

/* The disk of store becomes that of source; or its records alone do, under a running process. */
void sim_store_copy(SimStore *store, const SimStore *source);
void sim_store_copy_records(SimStore *store, const SimStore *source);
uint32_t sim_store_forget(SimStore *store, bool everything);

/* The disk is empty, as a new one; the process is down. */
uint32_t sim_store_wipe(SimStore *store);

/* Does the disk, at its present commit number, hold everything up to the mark? */
bool sim_store_holds(const SimStore *store, const DataMark *mark);

/* Were both last written in one run? */
bool sim_store_same_run(const SimStore *a, const SimStore *b);

/* No fault is pending any more; a sync that failed stays failed. */
void sim_store_calm(SimStore *store);
bool sim_store_failed(const SimStore *store);

/* Violates S16 unless each tree that is not in doubt is what the records make it, here in memory
 * and on the disk. */
void sim_store_trees_check(const SimStore *store);

/* No tree is in doubt, or being built. */
bool sim_store_trees_are_built(const SimStore *store);

/* What the disk has for a key: the object, borrowed; empty when there is none. */
Slice sim_store_durable(const SimStore *store, uint32_t bucket_id, Slice key);

/* A digest of all that is on the disk. */
Digest sim_store_digest(const SimStore *store);

#endif
