/*
 * A set of keys, asked before each UPDATE and DELETE.
 */
#include "fdw/run/written.h"

#include "fdw/base/slicetable.h"

enum
{
    KEYS_FIRST = 64
};

struct Written
{
    MemoryContext context;
    slicetable_hash *keys;
};

Written *
written_new(MemoryContext context)
{
    Written *written = MemoryContextAllocZero(context, sizeof(Written));

    written->context = context;
    written->keys = slicetable_create(context, KEYS_FIRST, NULL);
    return written;
}

bool
written_add(Written *written, Slice key)
{
    Slice *kept;
    bool found;

    if (slicetable_lookup(written->keys, &key) != NULL)
        return false;
    kept = MemoryContextAlloc(written->context, sizeof(Slice));
    *kept = key;
    slicetable_insert(written->keys, kept, &found);
    return true;
}
