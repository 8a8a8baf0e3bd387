/*
 * The record cache: a ring of bytes in which entries stand one behind another, and a table that
 * finds them. The oldest entry makes room for a new one, or goes to the front once more if it was
 * asked for.
 *
 * An entry never wraps around the end of the ring; a filler of dead bytes stands there instead.
 * Dead and hidden entries keep their place until the ring's end reaches them, so nothing is
 * searched or moved when a record is written over.
 */
#include "node/rocks/rocks_cache.h"

#include <assert.h>
#include <string.h>

enum
{
    ENTRY_ALIGN = 16,
    BYTES_A_SLOT = 128, /* fewer than any entry has, so that the table never grows */
    CAPACITY_MIN = 4096,
    LARGEST_SHARE = 16, /* one record may take this part of the ring */
    SECOND_CHANCES = 8, /* that one entering may give */
    HEAT_READ = 2,      /* of a record that comes in because it was read */
    HEAT_MAX = 3        /* turns of the ring that a record outlives without being found */
};

typedef enum RocksCacheEntryState
{
    ENTRY_DEAD, /* or a filler up to the ring's end, of which only size and state are there */
    ENTRY_HIDDEN,
    ENTRY_VISIBLE
} RocksCacheEntryState;

/* Stands in the ring, with key and record behind it. */
typedef struct RocksCacheEntry
{
    uint32_t size; /* with all that is behind it, and what rounds it up */
    uint8_t state;
    uint8_t heat; /* how often it was asked for, less the turns of the ring since */
    uint32_t object_offset;
    uint32_t record_length;
    RocksNode node; /* in the table unless dead */
    uint8_t bytes[];
} RocksCacheEntry;

static RocksCacheEntry *
cache_entry_at(const RocksCache *cache, size_t offset)
{
    return (RocksCacheEntry *)(cache->ring + offset);
}

static size_t
entry_size(size_t key_length, size_t record_length)
{
    size_t size = sizeof(RocksCacheEntry) + key_length + record_length;

    return (size + ENTRY_ALIGN - 1) / ENTRY_ALIGN * ENTRY_ALIGN;
}

static RocksCacheEntry *
entry_find(const RocksCache *cache, uint64_t hash, Slice key)
{
    RocksNode *node = rocks_table_find(&cache->table, hash, key);

    return node != NULL ? (RocksCacheEntry *)((char *)node - offsetof(RocksCacheEntry, node))
                        : NULL;
}

static void
entry_kill(RocksCache *cache, RocksCacheEntry *entry)
{
    rocks_table_remove(&cache->table, &entry->node);
    entry->state = ENTRY_DEAD;
}

/* ---- the ring ---- */

static void
take_front(RocksCache *cache, size_t size)
{
    cache->head = (cache->head + size) % cache->capacity;
    cache->used += size;
}

/* Moves the oldest entry to the front. drop_oldest() has just given its room back, so it may
 * overlap the place that it moves to. */
static void
move_to_front(RocksCache *cache, RocksCacheEntry *entry)
{
    RocksCacheEntry *moved = cache_entry_at(cache, cache->head);

    rocks_table_remove(&cache->table, &entry->node);
    memmove(moved, entry, entry->size);
    moved->node.key.data = moved->bytes;
    moved->heat--;
    rocks_table_insert(&cache->table, &moved->node);
    take_front(cache, moved->size);
}

/* Chances are counted for each call: an insertion moves a bounded number of entries, however many
 * of them are hot. */
static void
drop_oldest(RocksCache *cache, unsigned *chances)
{
    RocksCacheEntry *entry = cache_entry_at(cache, cache->tail);

    cache->tail = (cache->tail + entry->size) % cache->capacity;
    cache->used -= entry->size;
    if (entry->state == ENTRY_DEAD)
        return;
    if (entry->state == ENTRY_VISIBLE && entry->heat > 0 && *chances > 0)
    {
        --*chances;
        move_to_front(cache, entry);
        return;
    }
    entry_kill(cache, entry);
}

/* Nothing follows up to the ring's end. */
static void
fill_to_end(RocksCache *cache)
{
    size_t left = cache->capacity - cache->head;
    RocksCacheEntry *filler = cache_entry_at(cache, cache->head);

    filler->size = (uint32_t)left;
    filler->state = ENTRY_DEAD;
    take_front(cache, left);
}

/* Room for size bytes in one piece, at head. */
static RocksCacheEntry *
reserve_entry(RocksCache *cache, size_t size)
{
    unsigned chances = SECOND_CHANCES;

    for (;;)
    {
        if (cache->used == 0)
            cache->head = cache->tail = 0;

        bool wrapped = cache->used > 0 && cache->head <= cache->tail;
        size_t room = (wrapped ? cache->tail : cache->capacity) - cache->head;

        if (room >= size)
            return cache_entry_at(cache, cache->head);
        if (wrapped)
            drop_oldest(cache, &chances);
        else
            fill_to_end(cache);
    }
}

/* ---- what others call ---- */

/* Slots are counted from the bytes, so that the table never grows: growing would stop the loop for
 * as long as it takes to move all entries. */
void
rocks_cache_init(RocksCache *cache, uint64_t bytes)
{
    size_t slot_count = 1;

    *cache = (RocksCache){.ring = NULL};
    while (slot_count * 2 <= bytes / BYTES_A_SLOT)
        slot_count *= 2;
    if (bytes < CAPACITY_MIN + slot_count * sizeof(RocksNode *))
        return;
    rocks_table_init_sized(&cache->table, slot_count);
    cache->capacity = (bytes - slot_count * sizeof(RocksNode *)) / ENTRY_ALIGN * ENTRY_ALIGN;
    cache->ring = memory_resize(&MEMORY_HEAP, NULL, cache->capacity);
}

void
rocks_cache_free(RocksCache *cache)
{
    if (cache->ring == NULL)
        return;
    rocks_table_free(&cache->table);
    memory_resize(&MEMORY_HEAP, cache->ring, 0);
    *cache = (RocksCache){.ring = NULL};
}

bool
rocks_cache_find(RocksCache *cache, uint64_t hash, Slice key, RocksRecord *found)
{
    RocksCacheEntry *entry = entry_find(cache, hash, key);

    if (entry == NULL || entry->state != ENTRY_VISIBLE)
        return false;
    if (entry->heat < HEAT_MAX)
        entry->heat++;
    found->record = slice_make(entry->bytes + key.length, entry->record_length);
    found->object = slice_make(found->record.data + entry->object_offset,
                               entry->record_length - entry->object_offset);
    return true;
}

/* The entry stays where it is: most writes are followed by their durable record, which then finds
 * its place. */
void
rocks_cache_hide(RocksCache *cache, uint64_t hash, Slice key)
{
    RocksCacheEntry *entry = entry_find(cache, hash, key);

    if (entry != NULL)
        entry->state = ENTRY_HIDDEN;
}

static void
entry_fill(RocksCacheEntry *entry, const RocksRecord *record)
{
    memcpy(entry->bytes + entry->node.key.length, record->record.data, record->record.length);
    entry->record_length = (uint32_t)record->record.length;
    entry->object_offset = (uint32_t)(record->object.data - record->record.data);
    entry->state = ENTRY_VISIBLE;
}

static void
enter_new(RocksCache *cache, uint64_t hash, Slice key, const RocksRecord *record, size_t size,
          bool asked_for)
{
    RocksCacheEntry *entry = reserve_entry(cache, size);

    *entry = (RocksCacheEntry){
        .size = (uint32_t)size,
        .heat = asked_for ? HEAT_READ : 0,
        .node = {.hash = hash, .key = slice_make(entry->bytes, key.length)}
    };
    memcpy(entry->bytes, key.data, key.length);
    entry_fill(entry, record);
    rocks_table_insert(&cache->table, &entry->node);
    take_front(cache, size);
}

void
rocks_cache_enter(RocksCache *cache, uint64_t hash, Slice key, const RocksRecord *record,
                  bool asked_for)
{
    size_t size = entry_size(key.length, record->record.length);
    RocksCacheEntry *old = entry_find(cache, hash, key);

    assert(record->object.data + record->object.length ==
           record->record.data + record->record.length);
    /* A record that is written over and over keeps its place. */
    if (old != NULL && old->size >= size && old->size / 2 <= size)
    {
        entry_fill(old, record);
        return;
    }
    if (old != NULL)
        entry_kill(cache, old);
    if (size <= cache->capacity / LARGEST_SHARE && size <= UINT32_MAX)
        enter_new(cache, hash, key, record, size, asked_for);
}

uint64_t
rocks_cache_bytes(const RocksCache *cache)
{
    return cache->used + cache->table.slot_count * sizeof(RocksNode *);
}
