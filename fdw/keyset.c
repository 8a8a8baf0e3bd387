#include "fdw/keyset.h"

#include "miscadmin.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "fdw/key.h"
#include "fdw/memory.h"

/* The parts that one column can have. */
typedef struct KeysetParts
{
    KeyValue *parts;
    int count;
} KeysetParts;

void
keyset_init(Keyset *set, MemoryContext context)
{
    *set = (Keyset){.context = context};
}

static void
keyset_grow(Keyset *set)
{
    Size wanted = Max(16, (Size)set->capacity * 2);

    if (set->keys == NULL)
        set->keys = MemoryContextAllocHuge(set->context, wanted * sizeof(Slice));
    else
        set->keys = repalloc_huge(set->keys, wanted * sizeof(Slice));
    set->capacity = (uint32)wanted;
}

Slice
keyset_add(Keyset *set, const RelationInfo *info, const KeyValue *parts)
{
    Memory memory = memory_in_context(set->context);
    Buffer buffer;

    if (set->count == set->capacity)
        keyset_grow(set);
    buffer_init(&buffer, &memory);
    key_put(info, parts, &buffer);
    set->keys[set->count] = buffer_slice(&buffer);
    return set->keys[set->count++];
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

void
keyset_add_product(Keyset *set, const RelationInfo *info, const KeysetColumn *columns)
{
    KeysetParts values[KEY_COLUMNS_MAX];
    KeyValue parts[KEY_COLUMNS_MAX];

    for (int i = 0; i < info->key_count; i++)
        values[i] = keyset_parts(&info->keys[i], &columns[i]);
    keyset_add_rest(set, info, values, parts, 0);
}

static int
keyset_compare(const void *a, const void *b)
{
    return slice_compare(*(const Slice *)a, *(const Slice *)b);
}

void
keyset_sort(Keyset *set)
{
    uint32 kept = 0;

    if (set->count < 2)
        return;
    qsort(set->keys, set->count, sizeof(Slice), keyset_compare);
    for (uint32 i = 1; i < set->count; i++)
        if (!slice_equal(set->keys[kept], set->keys[i]))
            set->keys[++kept] = set->keys[i];
    set->count = kept + 1;
}

uint32
keyset_place(const Keyset *set, Slice key)
{
    uint32 low = 0;
    uint32 high = set->count;

    while (low < high)
    {
        uint32 middle = low + (high - low) / 2;

        if (slice_compare(set->keys[middle], key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
