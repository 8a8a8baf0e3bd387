#include "fdw/run/unmet.h"

#include "fdw/base/slicetable.h"
#include "fdw/transaction/pending.h"

enum
{
    KEYS_FIRST = 64
};

typedef struct UnmetKey
{
    Slice key; /* first: the table finds it by this */
    bool is_met;
    struct UnmetKey *next; /* that was first put after it */
} UnmetKey;

struct Unmet
{
    slicetable_hash *keys; /* of UnmetKeys */
    UnmetKey *next;        /* that may have to be given */
};

/* The key is copied: a ROLLBACK TO may cut the put off while a cursor's scan is open. */
static void
unmet_add(Unmet *unmet, Slice key)
{
    UnmetKey *entry = palloc0(sizeof(UnmetKey) + key.length);
    bool found;

    entry->key = slice_make(memcpy(entry + 1, key.data, key.length), key.length);
    entry->next = unmet->next;
    unmet->next = entry;
    slicetable_insert(unmet->keys, &entry->key, &found);
}

Unmet *
unmet_new(const ClientCluster *cluster, const Bucket *bucket, CommandId before_command)
{
    const PendingBucket *pending = pending_seen(cluster, bucket, before_command);
    Unmet *unmet;

    if (pending == NULL)
        return NULL;
    unmet = palloc0(sizeof(Unmet));
    unmet->keys = slicetable_create(CurrentMemoryContext, KEYS_FIRST, NULL);
    for (const PendingKey *key = pending->last; key != NULL; key = key->previous)
        if (overlay_is_seen(&key->newest->put, before_command))
            unmet_add(unmet, key->key);
    return unmet;
}

void
unmet_meet(Unmet *unmet, Slice key)
{
    const SliceTableEntry *found = slicetable_lookup(unmet->keys, &key);

    if (found != NULL)
        ((UnmetKey *)found->key)->is_met = true;
}

bool
unmet_next(Unmet *unmet, PagerRow *row)
{
    while (unmet->next != NULL && unmet->next->is_met)
        unmet->next = unmet->next->next;
    if (unmet->next == NULL)
        return false;
    *row = (PagerRow){.key = unmet->next->key};
    unmet->next = unmet->next->next;
    return true;
}
