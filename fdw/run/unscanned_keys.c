/*
 * A table of the transaction's own keys, from which each page of a full scan strikes what it has.
 */
#include "fdw/run/unscanned_keys.h"

#include "fdw/base/slicetable.h"
#include "fdw/transaction/pending.h"

enum
{
    KEYS_FIRST = 64
};

typedef struct UnscannedKey
{
    Slice key; /* first: the table finds it by this */
    bool was_scanned;
    struct UnscannedKey *next; /* that was first put after it */
} UnscannedKey;

struct UnscannedKeys
{
    slicetable_hash *table; /* of UnscannedKeys */
    UnscannedKey *next;     /* that may have to be given */
};

/* The key is copied: a ROLLBACK TO may cut the put off while a cursor's scan is open. */
static void
unscanned_keys_add(UnscannedKeys *keys, Slice key)
{
    UnscannedKey *entry = palloc0(sizeof(UnscannedKey) + key.length);
    bool found;

    entry->key = slice_make(memcpy(entry + 1, key.data, key.length), key.length);
    entry->next = keys->next;
    keys->next = entry;
    slicetable_insert(keys->table, &entry->key, &found);
}

UnscannedKeys *
unscanned_keys_new(const ClientCluster *cluster, const Bucket *bucket, CommandId before_command)
{
    const PendingBucket *pending = pending_seen(cluster, bucket, before_command);
    UnscannedKeys *keys;

    if (pending == NULL)
        return NULL;
    keys = palloc0(sizeof(UnscannedKeys));
    keys->table = slicetable_create(CurrentMemoryContext, KEYS_FIRST, NULL);
    for (const PendingKey *key = pending->last; key != NULL; key = key->previous)
        if (overlay_is_seen(&key->newest->put, before_command))
            unscanned_keys_add(keys, key->key);
    return keys;
}

void
unscanned_keys_strike(UnscannedKeys *keys, Slice key)
{
    const SliceTableEntry *found = slicetable_lookup(keys->table, &key);

    if (found != NULL)
        ((UnscannedKey *)found->key)->was_scanned = true;
}

bool
unscanned_keys_next(UnscannedKeys *keys, PagerRow *row)
{
    while (keys->next != NULL && keys->next->was_scanned)
        keys->next = keys->next->next;
    if (keys->next == NULL)
        return false;
    *row = (PagerRow){.key = keys->next->key};
    keys->next = keys->next->next;
    return true;
}
