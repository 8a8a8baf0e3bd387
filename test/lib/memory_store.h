/*
 * memory_store: the storage interface (node/engine/store/storage.h) in memory, for tests of steps.
 *
 * It answers from inside its calls. An apply is durable at once, or, while the store is held, when
 * memory_store_sync() is called. Reads and scans see durable objects only.
 */
#ifndef TEST_LIB_MEMORY_STORE_H
#define TEST_LIB_MEMORY_STORE_H

#include "node/engine/store/storage.h"

typedef struct MemoryStore MemoryStore;

MemoryStore *memory_store_new(void);
void memory_store_free(MemoryStore *store);

/* The storage that reports to events, in a new run; valid until memory_store_free(). */
Storage *memory_store_open(MemoryStore *store, const StorageEvents *events);

/* From now on nothing is durable before the next memory_store_sync(). */
void memory_store_hold(MemoryStore *store);

/* Makes durable what was held, and reports it in the order of the applies. */
void memory_store_sync(MemoryStore *store);

/* The same, and from now on everything is durable at once again. */
void memory_store_release(MemoryStore *store);

/* The waits that the storage tells from now on; at first there are none. */
void memory_store_set_waits(MemoryStore *store, StorageWaits waits);

/* The record of that key cannot be read any more, until a merge takes its place. Reads, scans and
 * applies that meet it report it. */
void memory_store_damage(MemoryStore *store, Slice storage_key);

/* From now on a sync fails, and so does every apply. */
void memory_store_fail(MemoryStore *store);

#endif
