#include "fdw/row.h"

#include "access/sysattr.h"
#include "nodes/bitmapset.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

#include "fdw/column.h"
#include "fdw/compat.h"
#include "fdw/encoding.h"
#include "fdw/key.h"
#include "fdw/memory.h"
#include "shared/object.h"

struct RowCodec
{
    const RelationInfo *info;
    TupleDesc desc;
    ColumnCodec *columns; /* info->data_count */
    bool *wanted;         /* by data column: row_decode fills it */
    Memory memory;
    Arena arena; /* of one call */
    Buffer buffer;
    Slice key;                 /* being decoded, for errors */
    const DataColumn *reading; /* likewise; NULL: none yet */
};

RowCodec *
row_codec_new(const RelationInfo *info, TupleDesc desc)
{
    RowCodec *codec = palloc0(sizeof(RowCodec));

    codec->info = info;
    codec->desc = desc;
    codec->columns = palloc0(Max(info->data_count, 1) * sizeof(ColumnCodec));
    codec->wanted = palloc0(Max(info->data_count, 1) * sizeof(bool));
    for (int i = 0; i < info->data_count; i++)
    {
        column_codec_init(&codec->columns[i], &info->data[i]);
        codec->wanted[i] = true;
    }
    codec->memory = memory_in_context(CurrentMemoryContext);
    arena_init(&codec->arena, &codec->memory);
    buffer_init(&codec->buffer, &codec->memory);
    return codec;
}

bool
row_attribute_is_read(const Bitmapset *attributes, AttrNumber attnum)
{
    return bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, attributes) ||
           bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, attributes);
}

void
row_codec_want(RowCodec *codec, const Bitmapset *attributes)
{
    for (int i = 0; i < codec->info->data_count; i++)
        codec->wanted[i] = row_attribute_is_read(attributes, codec->info->data[i].attnum);
}

static void
row_refuse_bytes(const RowCodec *codec, const char *what)
{
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                    errmsg("%s in bucket \"%s\" cannot be read", what, codec->info->bucket)));
}

static Slice
row_copy_buffer(const Buffer *buffer)
{
    uint8 *copy = palloc(Max(buffer->length, 1));

    memcpy(copy, buffer->data, buffer->length);
    return slice_make(copy, buffer->length);
}

/* ---- to the store ---- */

Slice
row_encode_key(RowCodec *codec, TupleTableSlot *slot)
{
    const RelationInfo *info = codec->info;
    KeyValue parts[KEY_COLUMNS_MAX];

    for (int i = 0; i < info->key_count; i++)
    {
        const KeyColumn *key = &info->keys[i];
        bool is_null;
        Datum value = slot_getattr(slot, key->attnum, &is_null);

        if (is_null)
            ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
                            errmsg("null value in key column \"%s\" of foreign table \"%s\"",
                                   NameStr(TupleDescAttr(codec->desc, key->attnum - 1)->attname),
                                   info->table_name)));
        key_part(key, value, key->base_type, &parts[i]);
    }
    buffer_reset(&codec->buffer);
    key_put(info, parts, &codec->buffer);
    return row_copy_buffer(&codec->buffer);
}

/* One data column of the row, taken apart. */
typedef struct RowArray
{
    Datum *elements; /* NULL: the array is NULL */
    bool *nulls;
    int count;
} RowArray;

static RowArray
row_take_array(const ColumnCodec *codec, TupleTableSlot *slot)
{
    const DataColumn *column = codec->column;
    RowArray result = {0};
    bool is_null;
    Datum value = slot_getattr(slot, column->attnum, &is_null);
    ArrayType *array;

    if (is_null)
        return result;
    array = DatumGetArrayTypeP(value);
    if (ARR_NDIM(array) > 1)
        ereport(ERROR,
                (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
                 errmsg("array in column \"%s\" has %d dimensions", column->name, ARR_NDIM(array)),
                 errhint("Element i is the value of sibling i. For values that are arrays "
                         "themselves declare the column with a domain over the array.")));
    if (ARR_NDIM(array) == 0)
        ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
                        errmsg("array in column \"%s\" is empty", column->name),
                        errhint("A row has at least one sibling: leave the column out, or give "
                                "ARRAY[NULL].")));
    deconstruct_array(array, column->element_type, codec->length, codec->by_value, codec->align,
                      &result.elements, &result.nulls, &result.count);
    return result;
}

/* How many siblings the arrays stand for. */
static int
row_sibling_count(const RowCodec *codec, const RowArray *arrays)
{
    int known = -1;

    for (int i = 0; i < codec->info->data_count; i++)
    {
        if (arrays[i].elements == NULL)
            continue;
        if (known >= 0 && arrays[i].count != arrays[known].count)
            ereport(ERROR,
                    (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
                     errmsg("arrays of a row have different lengths: \"%s\" has %d, \"%s\" has %d",
                            codec->info->data[known].name, arrays[known].count,
                            codec->info->data[i].name, arrays[i].count),
                     errhint("Element i of every array belongs to sibling i; a NULL array stands "
                             "for as many NULLs.")));
        known = i;
    }
    return known < 0 ? 1 : arrays[known].count;
}

/* The arguments of row_encode_siblings, and its result. */
typedef struct RowEncoding
{
    RowCodec *codec;
    const RowArray *arrays;
    ValueColumn *undeclared;
    uint32 undeclared_count;
    uint32 count;
    Slice *values;
} RowEncoding;

static Slice
row_encode_sibling(const RowEncoding *encoding, uint32 place)
{
    RowCodec *codec = encoding->codec;
    const RowArray *arrays = encoding->arrays;
    uint32 declared = (uint32)codec->info->data_count;
    uint32 count = declared + encoding->undeclared_count;
    ValueColumn *columns = palloc(Max(count, 1) * sizeof(ValueColumn));

    for (uint32 i = 0; i < declared; i++)
    {
        bool is_null = arrays[i].elements == NULL || arrays[i].nulls[place];

        columns[i] = is_null ? column_encode_null(&codec->columns[i])
                             : column_encode(&codec->columns[i], arrays[i].elements[place]);
    }
    for (uint32 i = declared; i < count; i++)
        columns[i] = encoding->undeclared[i - declared];
    buffer_reset(&codec->buffer);
    value_encode(&codec->buffer, columns, count);
    pfree(columns);
    return row_copy_buffer(&codec->buffer);
}

static void
row_encode_siblings(void *argument)
{
    RowEncoding *encoding = argument;

    for (uint32 i = 0; i < encoding->count; i++)
        encoding->values[i] = row_encode_sibling(encoding, i);
}

Slice *
row_encode_values(RowCodec *codec, TupleTableSlot *slot, Slice undeclared, uint32 *count)
{
    int columns = codec->info->data_count;
    RowArray *arrays = palloc(Max(columns, 1) * sizeof(RowArray));
    RowEncoding encoding = {.codec = codec, .arrays = arrays};

    for (int i = 0; i < columns; i++)
        arrays[i] = row_take_array(&codec->columns[i], slot);
    encoding.count = (uint32)row_sibling_count(codec, arrays);
    arena_reset(&codec->arena);
    if (undeclared.length > 0 &&
        !value_decode(undeclared, &codec->arena, &encoding.undeclared, &encoding.undeclared_count))
        row_refuse_bytes(codec, "a value");
    encoding.values = palloc(encoding.count * sizeof(Slice));
    encoding_run(row_encode_siblings, &encoding);
    *count = encoding.count;
    return encoding.values;
}

Slice
row_context(RowCodec *codec, TupleTableSlot *slot)
{
    AttrNumber attnum = codec->info->context_attnum;
    bool is_null;
    Datum value;

    if (!AttributeNumberIsValid(attnum))
        return SLICE_EMPTY;
    value = slot_getattr(slot, attnum, &is_null);
    return is_null ? SLICE_EMPTY : key_varlena_bytes(value);
}

/* ---- from the store ---- */

/* The stored column of that name; they mostly stand in the table's order, so place is looked at
 * first. */
static const ValueColumn *
row_find_column(const ValueColumn *columns, uint32 count, const char *name, uint32 place)
{
    Slice wanted = slice_from_string(name);

    if (place < count && slice_equal(columns[place].name, wanted))
        return &columns[place];
    for (uint32 i = 0; i < count; i++)
        if (slice_equal(columns[i].name, wanted))
            return &columns[i];
    return NULL;
}

/* Fills row `place` of every wanted column's elements; they lie column by column, live elements
 * each. */
static void
row_decode_sibling(RowCodec *codec, Slice bytes, uint32 place, uint32 live, Datum *elements,
                   bool *nulls)
{
    ValueColumn *columns;
    uint32 count;

    if (!value_decode(bytes, &codec->arena, &columns, &count))
        row_refuse_bytes(codec, "a value");
    for (int i = 0; i < codec->info->data_count; i++)
    {
        uint32 at = (uint32)i * live + place;
        const ValueColumn *stored;

        if (!codec->wanted[i])
            continue;
        codec->reading = &codec->info->data[i];
        stored = row_find_column(columns, count, codec->info->data[i].name, (uint32)i);
        nulls[at] = stored == NULL || stored->is_null;
        elements[at] = nulls[at] ? (Datum)0 : column_decode(&codec->columns[i], stored);
    }
}

static Datum
row_build_array(const ColumnCodec *codec, Datum *elements, bool *nulls, uint32 count)
{
    int dimension = (int)count;
    int lower_bound = 1;

    return PointerGetDatum(construct_md_array(elements, nulls, 1, &dimension, &lower_bound,
                                              codec->column->element_type, codec->length,
                                              codec->by_value, codec->align));
}

static void
row_decode_values(RowCodec *codec, const Object *object, uint32 live, Datum *values, bool *nulls)
{
    uint32 columns = (uint32)codec->info->data_count;
    Datum *elements = ARENA_ARRAY(&codec->arena, Datum, columns * live);
    bool *element_nulls = ARENA_ARRAY(&codec->arena, bool, columns *live);
    uint32 place = 0;

    for (uint32 i = 0; i < object->sibling_count; i++)
        if (!object->siblings[i].tombstone)
            row_decode_sibling(codec, object->siblings[i].value, place++, live, elements,
                               element_nulls);
    for (uint32 i = 0; i < columns; i++)
    {
        AttrNumber attnum = codec->info->data[i].attnum;

        if (!codec->wanted[i])
            continue;
        values[attnum - 1] = row_build_array(&codec->columns[i], elements + i * live,
                                             element_nulls + i * live, live);
        nulls[attnum - 1] = false;
    }
}

/* Says which stored value an error is about: the receive functions do not know. */
static void
row_add_error_context(void *argument)
{
    const RowCodec *codec = argument;
    const char *key = key_describe(codec->info, codec->key);

    if (codec->reading != NULL)
        errcontext("column \"%s\" of key %s in bucket \"%s\"", codec->reading->name, key,
                   codec->info->bucket);
    else
        errcontext("key %s in bucket \"%s\"", key, codec->info->bucket);
}

/* The arguments of row_decode_parts. */
typedef struct RowDecoding
{
    RowCodec *codec;
    const Object *object;
    uint32 live;
    Datum *values;
    bool *nulls;
} RowDecoding;

static void
row_decode_parts(void *argument)
{
    const RowDecoding *decoding = argument;
    RowCodec *codec = decoding->codec;

    if (!key_decode(codec->info, codec->key, &codec->arena, decoding->values, decoding->nulls))
        row_refuse_bytes(codec, "a key");
    row_decode_values(codec, decoding->object, decoding->live, decoding->values, decoding->nulls);
}

static void
row_decode_object(RowCodec *codec, const Object *object, uint32 live, Datum *values, bool *nulls)
{
    ErrorContextCallback callback = {
        .previous = error_context_stack, .callback = row_add_error_context, .arg = codec};
    RowDecoding decoding = {codec, object, live, values, nulls};

    codec->reading = NULL;
    error_context_stack = &callback;
    encoding_run(row_decode_parts, &decoding);
    error_context_stack = callback.previous;
}

bool
row_decode(RowCodec *codec, Slice key, Slice bytes, Slice context, Datum *values, bool *nulls)
{
    AttrNumber context_attnum = codec->info->context_attnum;
    Object object;
    uint32 live;

    if (bytes.length == 0)
        return false;
    arena_reset(&codec->arena);
    if (!object_decode(bytes, &codec->arena, &object))
        row_refuse_bytes(codec, "an object");
    live = object_live_count(&object);
    if (live == 0)
        return false;
    memset(nulls, true, codec->desc->natts * sizeof(bool));
    codec->key = key;
    row_decode_object(codec, &object, live, values, nulls);
    if (AttributeNumberIsValid(context_attnum) && context.length > 0)
    {
        values[context_attnum - 1] = key_varlena_datum(context);
        nulls[context_attnum - 1] = false;
    }
    return true;
}

bool
row_decode_slot(RowCodec *codec, Slice key, Slice object, Slice context, TupleTableSlot *slot)
{
    ExecClearTuple(slot);
    if (!row_decode(codec, key, object, context, slot->tts_values, slot->tts_isnull))
        return false;
    ExecStoreVirtualTuple(slot);
    return true;
}

/* ---- what the table does not declare ---- */

static bool
row_declares(const RelationInfo *info, Slice name)
{
    for (int i = 0; i < info->data_count; i++)
        if (slice_equal(name, slice_from_string(info->data[i].name)))
            return true;
    return false;
}

static const Sibling *
row_first_live(const Object *object)
{
    const Sibling *sibling = object->siblings;

    while (sibling->tombstone)
        sibling++;
    return sibling;
}

Slice
row_undeclared(RowCodec *codec, Slice bytes)
{
    Object object;
    ValueColumn *columns;
    uint32 count;
    uint32 kept = 0;

    arena_reset(&codec->arena);
    if (!object_decode(bytes, &codec->arena, &object))
        row_refuse_bytes(codec, "an object");
    if (object_live_count(&object) != 1)
        return SLICE_EMPTY;
    if (!value_decode(row_first_live(&object)->value, &codec->arena, &columns, &count))
        row_refuse_bytes(codec, "a value");
    for (uint32 i = 0; i < count; i++)
        if (!row_declares(codec->info, columns[i].name))
            columns[kept++] = columns[i];
    if (kept == 0)
        return SLICE_EMPTY;
    buffer_reset(&codec->buffer);
    value_encode(&codec->buffer, columns, kept);
    return row_copy_buffer(&codec->buffer);
}
