/*
 * RocksTable: an intrusive hash table by storage key.
 *
 * Nodes belong to the caller and stand inside its own structures; keys are borrowed and live as
 * long as their node.
 */
#ifndef NODE_ROCKS_ROCKS_TABLE_H
#define NODE_ROCKS_ROCKS_TABLE_H

#include "shared/base/bytes.h"

typedef struct RocksNode
{
    struct RocksNode *next; /* in its slot */
    uint64_t hash;          /* hash_table(key) */
    Slice key;
} RocksNode;

typedef struct RocksTable
{
    RocksNode **slots;
    size_t slot_count; /* a power of two */
    size_t count;
} RocksTable;

void rocks_table_init(RocksTable *table);

/* slot_count: a power of two; as many nodes fit before the table grows. */
void rocks_table_init_sized(RocksTable *table, size_t slot_count);

/* Frees the slots, not the nodes. */
void rocks_table_free(RocksTable *table);

RocksNode *rocks_table_find(const RocksTable *table, uint64_t hash, Slice key);

/* The key must not be in the table. */
void rocks_table_insert(RocksTable *table, RocksNode *node);

/* Puts node in the place of old, which has the same key and is in the table. */
void rocks_table_replace(RocksTable *table, RocksNode *old, RocksNode *node);

/* Removes this very node. False when it is not in the table, since another has replaced it. */
bool rocks_table_remove(RocksTable *table, RocksNode *node);

#endif
