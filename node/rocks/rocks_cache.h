/*
 * RocksCache: durable records in memory, by storage key.
 *
 * The records stand one behind another in a ring of fixed size. A new one takes the place of the
 * oldest ones; of those, one that was asked for goes to the front once more for each time it was,
 * up to three (a CLOCK that counts, whose hand is the ring's end). So a bulk load, which nobody
 * asks for, does not push out what is read. Nothing is allocated after the start, and no call takes
 * longer than a bounded number of moves.
 *
 * Which records may enter, and when a record must hide, is for the caller to know (R4 in
 * node/rocks/rocks_private.h). Slices given out are valid until the next rocks_cache_enter().
 */
#ifndef NODE_ROCKS_ROCKS_CACHE_H
#define NODE_ROCKS_ROCKS_CACHE_H

#include "node/rocks/rocks_table.h"

typedef struct RocksRecord
{
    Slice record;
    Slice object; /* inside record */
} RocksRecord;

typedef struct RocksCache
{
    RocksTable table; /* of the entries that count */
    uint8_t *ring;    /* NULL: there is no cache */
    size_t capacity;  /* of the ring, in bytes */
    size_t head;      /* where the next entry goes; below capacity */
    size_t tail;      /* the oldest entry */
    size_t used;      /* bytes from tail to head */
} RocksCache;

/* bytes: the memory of ring and table together, which is never exceeded. With too few bytes for any
 * record there is no cache. */
void rocks_cache_init(RocksCache *cache, uint64_t bytes);
void rocks_cache_free(RocksCache *cache);

/* False when it is absent or hidden. */
bool rocks_cache_find(RocksCache *cache, uint64_t hash, Slice key, RocksRecord *found);

/* Hides the record of the key until another one enters. */
void rocks_cache_hide(RocksCache *cache, uint64_t hash, Slice key);

/*
 * Copies key and record in, visible, in place of the record that the key had. object lies in
 * record. A record that is too large for a cache of this size is left out, and the key is then not
 * found. asked_for: the record enters because it was read, and not because it was written.
 */
void rocks_cache_enter(RocksCache *cache, uint64_t hash, Slice key, const RocksRecord *record,
                       bool asked_for);

/* The bytes in use, of those that the cache was given. */
uint64_t rocks_cache_bytes(const RocksCache *cache);

#endif
