/* All states that short histories can come to, each made once by the product and compared once with
 * the model. */
#include "test/unit/causality/universe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum
{
    KIND_RECORD = 1,
    KIND_OBJECT,
    KIND_CONTEXT,
    CALL_MERGE,
    CALL_PUT,
    CALL_READ,
    CALL_ORDERS,
    MAP_ROWS_FIRST = 1 << 16
};

/* ---- map ---- */

/* splitmix64's last steps */
uint64_t
map_mix(uint64_t word)
{
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB;
    return word ^ (word >> 31);
}

static MapRow *
find_row(const Map *map, MapKey key)
{
    size_t index = map_mix(key.high * 3 ^ map_mix(key.low)) & (map->size - 1);

    while (map->rows[index].value != 0 &&
           (map->rows[index].key.high != key.high || map->rows[index].key.low != key.low))
        index = (index + 1) & (map->size - 1);
    return &map->rows[index];
}

uint64_t
map_get(const Map *map, MapKey key)
{
    return map->size == 0 ? 0 : find_row(map, key)->value;
}

static void
map_grow(Map *map)
{
    Map grown = {.size = map->size > 0 ? map->size * 2 : MAP_ROWS_FIRST, .count = map->count};

    grown.rows = memory_resize(&MEMORY_HEAP, NULL, grown.size * sizeof(MapRow));
    memset(grown.rows, 0, grown.size * sizeof(MapRow));
    for (size_t i = 0; i < map->size; i++)
    {
        if (map->rows[i].value != 0)
            *find_row(&grown, map->rows[i].key) = map->rows[i];
    }
    memory_resize(&MEMORY_HEAP, map->rows, 0);
    *map = grown;
}

void
map_put(Map *map, MapKey key, uint64_t value)
{
    if (map->count * 2 >= map->size)
        map_grow(map);

    MapRow *row = find_row(map, key);

    map->count += row->value == 0;
    *row = (MapRow){.key = key, .value = value};
}

void
map_free(Map *map)
{
    memory_resize(&MEMORY_HEAP, map->rows, 0);
    *map = (Map){0};
}

/* ---- entries ---- */

void
universe_init(Universe *universe)
{
    *universe = (Universe){0};
    arena_init(&universe->arena, &MEMORY_HEAP);
    arena_init(&universe->scratch, &MEMORY_HEAP);
    buffer_init(&universe->buffer, &MEMORY_HEAP);
    universe->capacity = 1024;
    universe->entries =
        memory_resize(&MEMORY_HEAP, NULL, universe->capacity * sizeof(UniverseEntry));
    universe->entries[universe->count++] = (UniverseEntry){0};
}

void
universe_free(Universe *universe)
{
    map_free(&universe->interned);
    map_free(&universe->applied);
    map_free(&universe->checked);
    memory_resize(&MEMORY_HEAP, universe->entries, 0);
    buffer_free(&universe->buffer);
    arena_free(&universe->scratch);
    arena_free(&universe->arena);
}

static MapKey
key_of_bytes(uint32_t kind, Slice bytes)
{
    MapKey key = {.high = kind, .low = bytes.length};

    for (size_t i = 0; i < bytes.length; i++)
    {
        key.high = map_mix(key.high + bytes.data[i] + 1);
        key.low = map_mix(key.low * 31 + bytes.data[i]);
    }
    return key;
}

static void
decode_entry(Universe *universe, uint32_t kind, UniverseEntry *entry)
{
    Slice object = entry->bytes;
    Reader reader = reader_begin(entry->bytes);

    if (kind == KIND_CONTEXT)
    {
        entry->object.context = vclock_decode(&reader, &universe->arena);
        assert_true(reader_finish(&reader));
        return;
    }
    if (kind == KIND_RECORD)
        assert_true(update_record_object(entry->bytes, &object));
    assert_true(object_decode(object, &universe->arena, &entry->object));
}

static uint32_t
intern(Universe *universe, uint32_t kind, Slice bytes)
{
    MapKey key = key_of_bytes(kind, bytes);
    uint32_t number = (uint32_t)map_get(&universe->interned, key);

    if (number != 0)
        return number;
    if (universe->count == universe->capacity)
    {
        universe->capacity *= 2;
        universe->entries = memory_resize(&MEMORY_HEAP, universe->entries,
                                          universe->capacity * sizeof(UniverseEntry));
    }
    number = universe->count++;
    universe->entries[number] = (UniverseEntry){.bytes = slice_copy(&universe->arena, bytes)};
    decode_entry(universe, kind, &universe->entries[number]);
    map_put(&universe->interned, key, number);
    return number;
}

/* ---- what was replaced, as a set ---- */

static int
compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(RequestId));
}

/* All ids as those of one put, each once and sorted: which were the latest matters to none of these
 * histories, which are too short for anything to be forgotten. */
static void
make_canonical(Object *object, Arena *arena)
{
    RequestId *ids = ARENA_ARRAY(arena, RequestId, UNIVERSE_EVENTS_MAX * UNIVERSE_EVENTS_MAX);
    RequestIds *all = ARENA_NEW(arena, RequestIds);
    uint32_t count = 0;
    uint32_t kept = 0;

    for (uint32_t g = 0; g < object->replaced_count; g++)
    {
        for (uint32_t i = 0; i < object->replaced[g].count; i++)
            ids[count++] = object->replaced[g].ids[i];
    }
    qsort(ids, count, sizeof(RequestId), compare_ids);
    for (uint32_t i = 0; i < count; i++)
    {
        if (kept == 0 || compare_ids(&ids[kept - 1], &ids[i]) != 0)
            ids[kept++] = ids[i];
    }
    *all = (RequestIds){.ids = ids, .count = kept};
    object->replaced = all;
    object->replaced_count = kept > 0;
}

static Slice
canonical_record(Universe *universe, Slice record)
{
    Object decoded;
    Buffer bytes;
    Slice object;

    if (record.length == 0)
        return record;
    assert_true(update_record_object(record, &object));
    assert_true(object_decode(object, &universe->scratch, &decoded));
    make_canonical(&decoded, &universe->scratch);
    buffer_init(&bytes, &MEMORY_HEAP);
    buffer_put(&bytes, record.data, record.length - object.length);
    object_encode(&bytes, &decoded);
    record = slice_copy(&universe->scratch, buffer_slice(&bytes));
    buffer_free(&bytes);
    return record;
}

/* ---- names ---- */

static Actor
make_actor(uint8_t slot, uint8_t run)
{
    return (Actor){
        {(uint8_t)(1 + slot / UNIVERSE_SLOTS), run}
    };
}

static RequestId
make_request(uint8_t request)
{
    return (RequestId){
        {0xee, request}
    };
}

static Dot
dot_of(const UniverseEvent *event)
{
    return (Dot){.actor = make_actor(event->slot, event->run),
                 .epoch = event->epoch,
                 .counter = event->counter};
}

/* ---- the product ---- */

static uint32_t
apply(Universe *universe, Run *run, uint32_t record, const Update *update)
{
    Slice before = universe->entries[record].bytes;
    Slice object;

    universe->calls++;
    arena_reset(&universe->scratch);
    buffer_reset(&universe->buffer);
    assert_int_not_equal(
        update_apply(run, before, update, NULL, &universe->scratch, &universe->buffer, &object),
        UPDATE_CORRUPT);
    return intern(universe, KIND_RECORD,
                  canonical_record(universe, buffer_slice(&universe->buffer)));
}

uint32_t
universe_merge(Universe *universe, uint32_t target, uint32_t source)
{
    MapKey key = {CALL_MERGE, (uint64_t)target << 32 | source};
    uint32_t found = (uint32_t)map_get(&universe->applied, key);

    if (found == 0)
    {
        Run run = {0};

        found =
            apply(universe, &run, target, &(Update){.merge = &universe->entries[source].object});
        assert_int_equal(run.epoch, 0);
        map_put(&universe->applied, key, found);
    }
    return found;
}

/* The first dot of the sibling that has the put's request id; none where that was replaced. */
static void
take_dot(const Universe *universe, uint32_t record, UniverseEvent *event)
{
    RequestId request = make_request(event->request);
    const Sibling *sibling = object_find(&universe->entries[record].object, &request);

    if (sibling == NULL)
        return;
    assert_true(sibling->dots[0].epoch < UINT8_MAX && sibling->dots[0].counter < UINT8_MAX);
    event->epoch = (uint8_t)sibling->dots[0].epoch;
    event->counter = (uint8_t)sibling->dots[0].counter;
}

uint32_t
universe_put(Universe *universe, uint32_t record, uint32_t context, uint8_t *epoch,
             UniverseEvent *event)
{
    MapKey key = {(uint64_t)CALL_PUT << 40 | (uint64_t)event->slot << 32 |
                      (uint64_t)event->request << 24 | event->run << 16 | *epoch << 8 |
                      event->tombstone,
                  (uint64_t)record << 32 | context};
    uint64_t known = map_get(&universe->applied, key);
    Run run = {.actor = make_actor(event->slot, event->run), .epoch = *epoch};

    if (known == 0)
    {
        RequestId request = make_request(event->request);
        PutValue value = {.request = request,
                          .tombstone = event->tombstone,
                          .value = slice_make(&request, event->tombstone ? 0 : sizeof(request))};
        Put put = {.past.context = universe->entries[context].object.context,
                   .values = &value,
                   .value_count = 1};

        known = apply(universe, &run, record, &(Update){.put = &put});
        known |= run.epoch << 32;
        map_put(&universe->applied, key, known);
    }
    *epoch = (uint8_t)(known >> 32);
    take_dot(universe, (uint32_t)known, event);
    return (uint32_t)known;
}

static Slice
merged_bytes(Universe *universe, const Object *a, const Object *b)
{
    Object merged = object_merge(&universe->scratch, a, b);

    make_canonical(&merged, &universe->scratch);
    universe->calls++;
    buffer_reset(&universe->buffer);
    object_encode(&universe->buffer, &merged);
    return slice_copy(&universe->scratch, buffer_slice(&universe->buffer));
}

uint32_t
universe_read(Universe *universe, uint32_t one, uint32_t other)
{
    MapKey key = {CALL_READ, (uint64_t)one << 32 | other};
    uint32_t found = (uint32_t)map_get(&universe->applied, key);

    if (found == 0)
    {
        const Object *a = &universe->entries[one].object;
        const Object *b = &universe->entries[other].object;

        arena_reset(&universe->scratch);

        Slice bytes = merged_bytes(universe, a, b);

        assert_true(slice_equal(bytes, merged_bytes(universe, b, a)));
        found = intern(universe, KIND_OBJECT, bytes);
        map_put(&universe->applied, key, found);
    }
    return found;
}

uint32_t
universe_context(Universe *universe, uint32_t entry)
{
    if (universe->entries[entry].object.context.count == 0)
        return UNIVERSE_NOTHING;
    buffer_reset(&universe->buffer);
    vclock_encode(&universe->buffer, &universe->entries[entry].object.context);
    return intern(universe, KIND_CONTEXT, buffer_slice(&universe->buffer));
}

void
universe_check_orders(Universe *universe, uint32_t a, uint32_t b, uint32_t c)
{
    MapKey key = {(uint64_t)CALL_ORDERS << 32 | a, (uint64_t)b << 32 | c};

    if (map_get(&universe->applied, key) != 0)
        return;
    map_put(&universe->applied, key, 1);

    uint32_t first = universe_read(universe, universe_read(universe, a, b), c);

    assert_int_equal(universe_read(universe, universe_read(universe, b, c), a), first);
    assert_int_equal(universe_read(universe, universe_read(universe, a, c), b), first);
    assert_int_equal(universe_read(universe, first, first), first);
    assert_int_equal(universe_read(universe, first, b), first);
}

/* ---- the model's word ---- */

/* The sibling of a living event has its value and its dot. */
static void
check_sibling(const Object *object, const UniverseEvent *event)
{
    RequestId request = make_request(event->request);
    const Sibling *sibling = object_find(object, &request);
    Dot dot = dot_of(event);
    bool found = false;

    assert_non_null(sibling);
    for (uint32_t i = 0; i < sibling->dot_count; i++)
        found = found || dot_compare(&sibling->dots[i], &dot) == 0;
    assert_true(found);
    assert_int_equal(sibling->tombstone, event->tombstone);
    assert_true(
        slice_equal(sibling->value, slice_make(&request, event->tombstone ? 0 : sizeof(request))));
}

/* Every entry of the context is the dot of an event that was seen: it claims nothing else. */
static void
check_claims(const VClock *context, uint32_t seen, const UniverseEvents *events)
{
    for (uint32_t i = 0; i < context->count; i++)
    {
        bool found = false;

        for (uint32_t e = 0; e < events->count; e++)
        {
            Dot dot = dot_of(&events->rows[e]);

            found = found || ((seen >> events->rows[e].slot & 1) != 0 &&
                              dot_compare(&context->entries[i], &dot) == 0);
        }
        assert_true(found);
    }
}

void
universe_check(Universe *universe, uint32_t entry, uint32_t seen, uint32_t alive,
               const UniverseEvents *events, uint32_t events_number)
{
    MapKey key = {(uint64_t)entry << 32 | events_number, (uint64_t)seen << 32 | alive};
    const Object *object = &universe->entries[entry].object;
    uint32_t dots = 0;

    if (map_get(&universe->checked, key) != 0)
        return;
    map_put(&universe->checked, key, 1);
    universe->checks++;
    for (uint32_t i = 0; i < events->count; i++)
    {
        const UniverseEvent *event = &events->rows[i];
        Dot dot = dot_of(event);

        assert_int_equal(vclock_covers(&object->context, &dot), seen >> event->slot & 1);
        if ((alive >> event->slot & 1) == 0)
            continue;
        check_sibling(object, event);
        dots++;
    }
    for (uint32_t i = 0; i < object->sibling_count; i++)
        dots -= object->siblings[i].dot_count;
    assert_int_equal(dots, 0);
    check_claims(&object->context, seen, events);
}
