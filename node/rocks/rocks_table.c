/*
 * A chained hash table whose nodes are part of their owners' structures, so that inserting
 * allocates nothing and removing needs no search by key. The full hash is compared before the key,
 * so nearly every comparison of keys succeeds.
 */
#include "node/rocks/rocks_table.h"

#include <string.h>

enum
{
    FIRST_SLOT_COUNT = 256
};

static RocksNode **
new_slots(size_t count)
{
    RocksNode **slots = memory_resize(&MEMORY_HEAP, NULL, count * sizeof(RocksNode *));

    return memset(slots, 0, count * sizeof(RocksNode *));
}

void
rocks_table_init(RocksTable *table)
{
    rocks_table_init_sized(table, FIRST_SLOT_COUNT);
}

void
rocks_table_init_sized(RocksTable *table, size_t slot_count)
{
    *table = (RocksTable){.slots = new_slots(slot_count), .slot_count = slot_count};
}

void
rocks_table_free(RocksTable *table)
{
    memory_resize(&MEMORY_HEAP, table->slots, 0);
    *table = (RocksTable){0};
}

static RocksNode **
table_slot_of(const RocksTable *table, uint64_t hash)
{
    return &table->slots[hash & (table->slot_count - 1)];
}

/* The link that leads to node, or the NULL one at the end of its slot. */
static RocksNode **
link_of(const RocksTable *table, const RocksNode *node)
{
    RocksNode **link = table_slot_of(table, node->hash);

    while (*link != NULL && *link != node)
        link = &(*link)->next;
    return link;
}

RocksNode *
rocks_table_find(const RocksTable *table, uint64_t hash, Slice key)
{
    if (table->count == 0)
        return NULL;
    for (RocksNode *node = *table_slot_of(table, hash); node != NULL; node = node->next)
    {
        if (node->hash == hash && slice_equal(node->key, key))
            return node;
    }
    return NULL;
}

static void
grow_table(RocksTable *table)
{
    RocksTable grown = {.slots = new_slots(table->slot_count * 2),
                        .slot_count = table->slot_count * 2,
                        .count = table->count};

    for (size_t i = 0; i < table->slot_count; i++)
    {
        RocksNode *next;

        for (RocksNode *node = table->slots[i]; node != NULL; node = next)
        {
            RocksNode **slot = table_slot_of(&grown, node->hash);

            next = node->next;
            node->next = *slot;
            *slot = node;
        }
    }
    rocks_table_free(table);
    *table = grown;
}

void
rocks_table_insert(RocksTable *table, RocksNode *node)
{
    if (table->count >= table->slot_count)
        grow_table(table);

    RocksNode **slot = table_slot_of(table, node->hash);

    node->next = *slot;
    *slot = node;
    table->count++;
}

void
rocks_table_replace(RocksTable *table, RocksNode *old, RocksNode *node)
{
    RocksNode **link = link_of(table, old);

    node->next = old->next;
    *link = node;
}

bool
rocks_table_remove(RocksTable *table, RocksNode *node)
{
    RocksNode **link = link_of(table, node);

    if (*link == NULL)
        return false;
    *link = node->next;
    table->count--;
    return true;
}
