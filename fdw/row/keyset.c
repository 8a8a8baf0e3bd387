/*
 * Encodes the values that a lookup names, combines the lists of several key columns, and leaves out
 * what was there before: the cluster is asked for each key once.
 */
#include "fdw/row/keyset.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "fdw/base/memory.h"
#include "fdw/row/key.h"

enum
{
    KEYSET_FIRST = 64 /* capacity; a power of two */
};

/* The parts that one column can have. */
typedef struct KeysetParts
{
    KeyValue *parts;
    int count;
} KeysetParts;

void
keyset_init(Keyset *set, MemoryContext context)
{
    *set = (Keyset){.context = context, .memory = memory_in_context(context)};
    buffer_init(&set->scratch, &set->memory);
}

/* The key's entry in the hash table, or the free one where it belongs. */
static uint32 *
keyset_find(const Keyset *set, Slice key)
{
    uint32 mask = 2 * set->capacity - 1;
    uint32 at = hash_bytes(key.data, (int)key.length) & mask;

    while (set->slots[at] != 0 && !slice_equal(set->keys[set->slots[at] - 1], key))
        at = (at + 1) & mask;
    return &set->slots[at];
}

static void
keyset_grow(Keyset *set)
{
    uint32 capacity = Max(KEYSET_FIRST, set->capacity * 2);
    MemoryContext context = set->context;

    if (set->keys == NULL)
        set->keys = MemoryContextAllocHuge(context, capacity * sizeof(Slice));
    else
        set->keys = repalloc_huge(set->keys, capacity * sizeof(Slice));
    if (set->slots != NULL)
        pfree(set->slots);
    set->slots = MemoryContextAllocExtended(context, 2 * (Size)capacity * sizeof(uint32),
                                            MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
    set->capacity = capacity;
    for (uint32 i = 0; i < set->count; i++)
        *keyset_find(set, set->keys[i]) = i + 1;
}

uint32
keyset_add(Keyset *set, const RelationInfo *info, const KeyValue *parts)
{
    Slice key;
    uint32 *entry;

    if (set->count == set->capacity)
        keyset_grow(set);
    buffer_reset(&set->scratch);
    key_put(info, parts, &set->scratch);
    key = buffer_slice(&set->scratch);
    entry = keyset_find(set, key);
    if (*entry == 0)
    {
        uint8 *copy = MemoryContextAlloc(set->context, key.length);

        memcpy(copy, key.data, key.length);
        set->keys[set->count] = slice_make(copy, key.length);
        *entry = ++set->count;
    }
    return *entry - 1;
}

static KeysetParts
keyset_array_parts(const KeyColumn *key, const KeysetColumn *column)
{
    ArrayType *array = DatumGetArrayTypeP(column->value);
    KeysetParts result = {0};
    int16 length;
    bool by_value;
    char align;
    Datum *elements;
    bool *nulls;
    int count;

    get_typlenbyvalalign(ARR_ELEMTYPE(array), &length, &by_value, &align);
    deconstruct_array(array, ARR_ELEMTYPE(array), length, by_value, align, &elements, &nulls,
                      &count);
    result.parts = palloc(Max(count, 1) * sizeof(KeyValue));
    for (int i = 0; i < count; i++)
        if (!nulls[i] &&
            key_part(key, elements[i], column->value_type, &result.parts[result.count]))
            result.count++;
    return result;
}

static KeysetParts
keyset_parts(const KeyColumn *key, const KeysetColumn *column)
{
    KeysetParts result = {0};

    if (column->is_null)
        return result;
    if (column->is_array)
        return keyset_array_parts(key, column);
    result.parts = palloc(sizeof(KeyValue));
    if (key_part(key, column->value, column->value_type, result.parts))
        result.count = 1;
    return result;
}

/* Adds the combinations whose first columns are already chosen in parts. */
static void
keyset_add_rest(Keyset *set, const RelationInfo *info, const KeysetParts *columns, KeyValue *parts,
                int place)
{
    if (place == info->key_count)
    {
        keyset_add(set, info, parts);
        return;
    }
    for (int i = 0; i < columns[place].count; i++)
    {
        CHECK_FOR_INTERRUPTS();
        parts[place] = columns[place].parts[i];
        keyset_add_rest(set, info, columns, parts, place + 1);
    }
}

static void
keyset_check_product(const RelationInfo *info, const KeysetParts *columns)
{
    double product = 1;
    int lists = 0;

    for (int i = 0; i < info->key_count; i++)
    {
        product *= columns[i].count;
        lists += columns[i].count > 1;
    }
    if (lists > 1 && product > KEYSET_PRODUCT_MAX)
        ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                        errmsg("conditions on the key columns of foreign table \"%s\" combine to "
                               "%.0f keys",
                               info->table_name, product),
                        errdetail("The limit is %d.", (int)KEYSET_PRODUCT_MAX),
                        errhint("Join with a list of the wanted keys instead.")));
}

void
keyset_add_product(Keyset *set, const RelationInfo *info, const KeysetColumn *columns)
{
    KeysetParts values[KEY_COLUMNS_MAX];
    KeyValue parts[KEY_COLUMNS_MAX];

    for (int i = 0; i < info->key_count; i++)
        values[i] = keyset_parts(&info->keys[i], &columns[i]);
    keyset_check_product(info, values);
    keyset_add_rest(set, info, values, parts, 0);
}
