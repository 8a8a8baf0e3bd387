#include "fdw/written.h"

#include "common/hashfn.h"
#include "utils/hsearch.h"

enum
{
    WRITTEN_KEYS_FIRST = 64
};

struct Written
{
    HTAB *keys; /* of Slices, by their bytes */
};

static uint32
written_hash(const void *key, Size size)
{
    const Slice *slice = key;

    return hash_bytes(slice->data, (int)slice->length);
}

static int
written_compare(const void *a, const void *b, Size size)
{
    return slice_compare(*(const Slice *)a, *(const Slice *)b);
}

Written *
written_new(MemoryContext context)
{
    Written *written = MemoryContextAllocZero(context, sizeof(Written));
    HASHCTL control = {.keysize = sizeof(Slice),
                       .entrysize = sizeof(Slice),
                       .hash = written_hash,
                       .match = written_compare,
                       .hcxt = context};

    written->keys = hash_create("dynamo_fdw keys written", WRITTEN_KEYS_FIRST, &control,
                                HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
    return written;
}

bool
written_add(Written *written, Slice key)
{
    bool found;

    hash_search(written->keys, &key, HASH_ENTER, &found);
    return !found;
}
