#include "fdw/row.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "nodes/bitmapset.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "fdw/column.h"
#include "fdw/compat.h"
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

static Slice
row_copy_buffer(const Buffer *buffer)
{
    uint8 *copy = palloc(Max(buffer->length, 1));

    memcpy(copy, buffer->data, buffer->length);
    return slice_make(copy, buffer->length);
}

/* ---- keys to the store ---- */

static bool
row_integer_part(const KeyColumn *key, Datum value, Oid value_type, KeyValue *part)
{
    part->number = value_type == INT8OID   ? DatumGetInt64(value)
                   : value_type == INT4OID ? DatumGetInt32(value)
                                           : DatumGetInt16(value);
    if (key->base_type == INT2OID)
        return part->number >= PG_INT16_MIN && part->number <= PG_INT16_MAX;
    if (key->base_type == INT4OID)
        return part->number >= PG_INT32_MIN && part->number <= PG_INT32_MAX;
    return true;
}

/* A date equals a timestamp that is its midnight. */
static bool
row_date_part(Datum value, Oid value_type, KeyValue *part)
{
    int overflow = 0;
    DateADT date;

    if (value_type == DATEOID)
    {
        part->number = DatumGetDateADT(value);
        return true;
    }
    date = DatumGetDateADT(DirectFunctionCall1(timestamp_date, value));
    part->number = date;
    return date2timestamp_opt_overflow(date, &overflow) == DatumGetTimestamp(value) &&
           overflow == 0;
}

/* A date beyond the timestamps equals none of them. */
static bool
row_timestamp_part(const KeyColumn *key, Datum value, Oid value_type, KeyValue *part)
{
    bool zoned = key->type == KEY_TIMESTAMPTZ;
    int overflow = 0;

    if (value_type == DATEOID)
        part->number = zoned ? date2timestamptz_opt_overflow(DatumGetDateADT(value), &overflow)
                             : date2timestamp_opt_overflow(DatumGetDateADT(value), &overflow);
    else if (zoned && value_type == TIMESTAMPOID)
        part->number = timestamp2timestamptz_opt_overflow(DatumGetTimestamp(value), &overflow);
    else
        part->number = DatumGetTimestamp(value);
    return overflow == 0;
}

static Slice
row_varlena_bytes(Datum value)
{
    struct varlena *bytes = PG_DETOAST_DATUM_PACKED(value);

    return slice_make(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
}

bool
row_key_part(const KeyColumn *key, Datum value, Oid value_type, KeyValue *part)
{
    *part = (KeyValue){.type = key->type};
    switch (key->type)
    {
    case KEY_INTEGER:
        return row_integer_part(key, value, value_type, part);
    case KEY_DATE:
        return row_date_part(value, value_type, part);
    case KEY_TIMESTAMP:
    case KEY_TIMESTAMPTZ:
        return row_timestamp_part(key, value, value_type, part);
    case KEY_BOOLEAN:
        part->number = DatumGetBool(value);
        return true;
    case KEY_UUID:
        part->bytes = slice_make(DatumGetUUIDP(value)->data, UUID_LEN);
        return true;
    case KEY_TEXT:
    case KEY_BYTEA:
        part->bytes = row_varlena_bytes(value);
        return true;
    }
    return false;
}

void
row_put_key(const RelationInfo *info, const KeyValue *parts, Buffer *buffer)
{
    for (int i = 0; i < info->key_count; i++)
        keycodec_put(buffer, &parts[i]);
}

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
        row_key_part(key, value, key->base_type, &parts[i]);
    }
    buffer_reset(&codec->buffer);
    row_put_key(info, parts, &codec->buffer);
    return row_copy_buffer(&codec->buffer);
}

/* ---- values to the store ---- */

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
                     errhint("Element i of every array belongs to sibling i.")));
        known = i;
    }
    return known < 0 ? 1 : arrays[known].count;
}

static Slice
row_encode_sibling(RowCodec *codec, const RowArray *arrays, int place)
{
    int count = codec->info->data_count;
    ValueColumn *columns = palloc(Max(count, 1) * sizeof(ValueColumn));

    for (int i = 0; i < count; i++)
    {
        bool is_null = arrays[i].elements == NULL || arrays[i].nulls[place];

        columns[i] = is_null ? column_encode_null(&codec->columns[i])
                             : column_encode(&codec->columns[i], arrays[i].elements[place]);
    }
    buffer_reset(&codec->buffer);
    value_encode(&codec->buffer, columns, (uint32_t)count);
    pfree(columns);
    return row_copy_buffer(&codec->buffer);
}

Slice *
row_encode_values(RowCodec *codec, TupleTableSlot *slot, uint32 *count)
{
    int columns = codec->info->data_count;
    RowArray *arrays = palloc(Max(columns, 1) * sizeof(RowArray));
    Slice *values;

    for (int i = 0; i < columns; i++)
        arrays[i] = row_take_array(&codec->columns[i], slot);
    *count = (uint32)row_sibling_count(codec, arrays);
    values = palloc(*count * sizeof(Slice));
    for (uint32 i = 0; i < *count; i++)
        values[i] = row_encode_sibling(codec, arrays, (int)i);
    return values;
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
    return is_null ? SLICE_EMPTY : row_varlena_bytes(value);
}

/* ---- keys from the store ---- */

static Datum
row_varlena_datum(Slice bytes)
{
    return PointerGetDatum(cstring_to_text_with_len((const char *)bytes.data, (int)bytes.length));
}

static Datum
row_integer_datum(const KeyColumn *key, int64 number)
{
    bool fits = key->base_type == INT8OID ||
                (key->base_type == INT4OID && number == (int32)number) ||
                (key->base_type == INT2OID && number == (int16)number);

    if (!fits)
        ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
                        errmsg("stored key " INT64_FORMAT " is out of range for column \"%s\" of "
                               "type %s",
                               number, key->name, format_type_be(key->base_type)),
                        errhint("Declare the column as bigint.")));
    return key->base_type == INT8OID   ? Int64GetDatum(number)
           : key->base_type == INT4OID ? Int32GetDatum((int32)number)
                                       : Int16GetDatum((int16)number);
}

static Datum
row_key_datum(const KeyColumn *key, const KeyValue *part)
{
    switch (key->type)
    {
    case KEY_INTEGER:
        return row_integer_datum(key, part->number);
    case KEY_DATE:
        return DateADTGetDatum((DateADT)part->number);
    case KEY_TIMESTAMP:
    case KEY_TIMESTAMPTZ:
        return TimestampGetDatum(part->number);
    case KEY_BOOLEAN:
        return BoolGetDatum(part->number != 0);
    case KEY_UUID:
    {
        pg_uuid_t *uuid = palloc(sizeof(pg_uuid_t));

        memcpy(uuid->data, part->bytes.data, UUID_LEN);
        return UUIDPGetDatum(uuid);
    }
    case KEY_TEXT:
    case KEY_BYTEA:
        return row_varlena_datum(part->bytes);
    }
    return (Datum)0;
}

static void
row_refuse_bytes(const RowCodec *codec, const char *what)
{
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                    errmsg("%s in bucket \"%s\" cannot be read", what, codec->info->bucket)));
}

static void
row_decode_key(RowCodec *codec, Slice key, Datum *values, bool *nulls)
{
    Reader reader = reader_begin(key);

    for (int i = 0; i < codec->info->key_count; i++)
    {
        const KeyColumn *column = &codec->info->keys[i];
        KeyValue part = keycodec_next(&reader, column->type, &codec->arena);

        if (reader.failed)
            row_refuse_bytes(codec, "a key");
        values[column->attnum - 1] = row_key_datum(column, &part);
        nulls[column->attnum - 1] = false;
    }
    if (!reader_finish(&reader))
        row_refuse_bytes(codec, "a key");
}

char *
row_describe_key(const RelationInfo *info, Slice key)
{
    Memory memory = memory_in_context(CurrentMemoryContext);
    Reader reader = reader_begin(key);
    StringInfoData text;
    Buffer printed;
    Arena arena;

    arena_init(&arena, &memory);
    buffer_init(&printed, &memory);
    initStringInfo(&text);
    for (int i = 0; i < info->key_count; i++)
    {
        KeyValue part = keycodec_next(&reader, info->keys[i].type, &arena);

        if (reader.failed)
            break;
        buffer_reset(&printed);
        keycodec_print(&printed, &part);
        appendStringInfo(&text, "%s%.*s", i == 0 ? "(" : ", ", (int)printed.length,
                         (const char *)printed.data);
    }
    if (reader_finish(&reader))
    {
        appendStringInfoChar(&text, ')');
        return text.data;
    }
    resetStringInfo(&text);
    appendStringInfoString(&text, "\\x");
    for (size_t i = 0; i < key.length; i++)
        appendStringInfo(&text, "%02x", key.data[i]);
    return text.data;
}

/* ---- values from the store ---- */

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
    const char *key = row_describe_key(codec->info, codec->key);

    if (codec->reading != NULL)
        errcontext("column \"%s\" of key %s in bucket \"%s\"", codec->reading->name, key,
                   codec->info->bucket);
    else
        errcontext("key %s in bucket \"%s\"", key, codec->info->bucket);
}

static void
row_decode_object(RowCodec *codec, const Object *object, uint32 live, Datum *values, bool *nulls)
{
    ErrorContextCallback callback = {
        .previous = error_context_stack, .callback = row_add_error_context, .arg = codec};

    codec->reading = NULL;
    error_context_stack = &callback;
    row_decode_key(codec, codec->key, values, nulls);
    row_decode_values(codec, object, live, values, nulls);
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
        values[context_attnum - 1] = row_varlena_datum(context);
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
