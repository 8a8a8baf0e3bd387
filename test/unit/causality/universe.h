/*
 * Universe: every record, object and context that walks over the histories of one key can meet,
 * each made by the product once, each held against the model once.
 *
 * An event is a put that was stamped. It has a slot, replica * UNIVERSE_SLOTS + the how-manieth put
 * of that replica, and a bit in the sets of the model. Actors and request ids are made from
 * replica, run and slot, so that two histories which come to the same state have the same bytes,
 * and update_apply() and object_merge(), being pure, need to be asked once for each combination.
 */
#ifndef TEST_UNIT_CAUSALITY_UNIVERSE_H
#define TEST_UNIT_CAUSALITY_UNIVERSE_H

#include "shared/data/update.h"

enum
{
    UNIVERSE_REPLICAS = 3,
    UNIVERSE_SLOTS = 8, /* of one replica */
    UNIVERSE_EVENTS_MAX = 8,
    UNIVERSE_NOTHING = 0 /* the entry of an unknown key, and of an empty context */
};

/* Keys of two numbers to a number, growing. */
typedef struct MapKey
{
    uint64_t high;
    uint64_t low;
} MapKey;

typedef struct MapRow
{
    MapKey key;
    uint64_t value; /* 0: free */
} MapRow;

typedef struct Map
{
    MapRow *rows;
    size_t size; /* a power of two */
    size_t count;
} Map;

/* 0 when it is not there; values are not 0. */
uint64_t map_get(const Map *map, MapKey key);
void map_put(Map *map, MapKey key, uint64_t value);
void map_free(Map *map);
uint64_t map_mix(uint64_t word);

/* Of which run and count of its replica an event's dot is, as the product gave it. */
typedef struct UniverseEvent
{
    uint32_t context; /* the events that it replaced, if they were alive */
    uint8_t slot;
    uint8_t request; /* slot of the first event that wrote this value: another one for a retry */
    uint8_t run;
    uint8_t epoch;
    uint8_t counter;
    uint8_t tombstone;
} UniverseEvent;

/* The events of one history, by slot. */
typedef struct UniverseEvents
{
    UniverseEvent rows[UNIVERSE_EVENTS_MAX];
    uint8_t count;
} UniverseEvents;

typedef struct UniverseEntry
{
    Slice bytes; /* a record; or an encoded object or context that was read */
    Object object;
} UniverseEntry;

typedef struct Universe
{
    Arena arena;
    Arena scratch;
    Buffer buffer;
    UniverseEntry *entries;
    uint32_t count;
    uint32_t capacity;
    Map interned;
    Map applied;
    Map checked;
    uint64_t calls;  /* of the product */
    uint64_t checks; /* of an entry against the model */
} Universe;

void universe_init(Universe *universe);
void universe_free(Universe *universe);

/* The entry of target's record after source's object was merged into it. */
uint32_t universe_merge(Universe *universe, uint32_t target, uint32_t source);

/* The entry of the record after a put; *event has slot, request and tombstone, and is given its
 * dot: that of the sibling which has the request then. *epoch is the last that the run has opened,
 * and goes on. */
uint32_t universe_put(Universe *universe, uint32_t record, uint32_t context, uint8_t *epoch,
                      UniverseEvent *event);

/* The entry of what a read of both shows: the same whoever is asked first. */
uint32_t universe_read(Universe *universe, uint32_t one, uint32_t other);

/* The entry of the context that comes with an entry. */
uint32_t universe_context(Universe *universe, uint32_t entry);

/* Three copies give the same bytes in whatever order they are merged. */
void universe_check_orders(Universe *universe, uint32_t a, uint32_t b, uint32_t c);

/*
 * The entry has seen the events of seen and no other, and its siblings are those of alive, value
 * for value, each with the dots of the events of its request. A context has none.
 */
void universe_check(Universe *universe, uint32_t entry, uint32_t seen, uint32_t alive,
                    const UniverseEvents *events, uint32_t events_number);

#endif
