/*
 * The way from a slot to a key and the values of a put, and the codec that both ways share.
 * row_decode.c has the way back.
 */
#include "fdw/row/row.h"

#include "access/sysattr.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

#include "fdw/row/encoding.h"
#include "fdw/row/key.h"
#include "fdw/row/row_codec.h"
#include "shared/data/value.h"

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
    if (info->conflict == CONFLICT_FUNCTION || info->conflict == CONFLICT_AGGREGATES)
        codec->combine = combine_new(info, desc, codec->wanted);
    codec->memory = memory_in_context(CurrentMemoryContext);
    arena_init(&codec->arena, &codec->memory);
    buffer_init(&codec->buffer, &codec->memory);
    return codec;
}

/* True when attributes hold the column, or the whole row. */
static bool
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
    relation_check_conflict_rights(codec->info);
}

void
row_codec_take_siblings(RowCodec *codec)
{
    codec->takes_siblings = codec->info->conflict != CONFLICT_SIBLINGS;
}

bool
row_codec_wants_context(const RowCodec *codec, const Bitmapset *attributes)
{
    AttrNumber attnum = codec->info->context_attnum;

    return AttributeNumberIsValid(attnum) && (codec->info->conflict == CONFLICT_FUNCTION ||
                                              row_attribute_is_read(attributes, attnum));
}

void
row_refuse_bytes(const RowCodec *codec, const char *what)
{
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                    errmsg("%s in bucket \"%s\" cannot be read", what, codec->info->bucket)));
}

Slice
row_copy_buffer(const Buffer *buffer)
{
    uint8 *copy = palloc(Max(buffer->length, 1));

    memcpy(copy, buffer->data, buffer->length);
    return slice_make(copy, buffer->length);
}

/* ---- to the store ---- */

Slice
row_make_key(RowCodec *codec, const Datum *values, const bool *nulls)
{
    const RelationInfo *info = codec->info;
    KeyValue parts[KEY_COLUMNS_MAX];

    for (int i = 0; i < info->key_count; i++)
    {
        const KeyColumn *key = &info->keys[i];

        if (nulls[key->attnum - 1])
            ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
                            errmsg("null value in key column \"%s\" of foreign table \"%s\"",
                                   NameStr(TupleDescAttr(codec->desc, key->attnum - 1)->attname),
                                   info->table_name)));
        key_part(key, values[key->attnum - 1], key->base_type, &parts[i]);
    }
    buffer_reset(&codec->buffer);
    key_put(info, parts, &codec->buffer);
    return row_copy_buffer(&codec->buffer);
}

Slice
row_encode_key(RowCodec *codec, TupleTableSlot *slot)
{
    slot_getallattrs(slot);
    return row_make_key(codec, slot->tts_values, slot->tts_isnull);
}

/* One data column of the row, taken apart; a plain one is an array of one. */
typedef struct RowArray
{
    Datum *elements; /* NULL: the column is NULL */
    bool *nulls;
    int count;
} RowArray;

static RowArray
row_take_array(const ColumnCodec *codec, Datum value)
{
    const DataColumn *column = codec->column;
    ArrayType *array = DatumGetArrayTypeP(value);
    RowArray result;

    if (ARR_NDIM(array) > 1)
        ereport(ERROR,
                (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
                 errmsg("array in column \"%s\" has %d dimensions", column->name, ARR_NDIM(array)),
                 errhint("Element i is the value of sibling i. For values that are arrays "
                         "themselves declare the column with a domain over the array.")));
    if (ARR_NDIM(array) == 0)
        ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
                        errmsg("array in column \"%s\" is empty", column->name),
                        errhint("A row has at least one sibling. Leave the column out, or give "
                                "ARRAY[NULL].")));
    deconstruct_array(array, column->element_type, codec->length, codec->by_value, codec->align,
                      &result.elements, &result.nulls, &result.count);
    return result;
}

static RowArray
row_take_column(const ColumnCodec *codec, TupleTableSlot *slot)
{
    RowArray result = {0};
    bool is_null;
    Datum value = slot_getattr(slot, codec->column->attnum, &is_null);

    if (is_null)
        return result;
    if (codec->column->is_array)
        return row_take_array(codec, value);
    result.elements = palloc(sizeof(Datum));
    result.elements[0] = value;
    result.nulls = palloc0(sizeof(bool));
    result.count = 1;
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
                     errhint("Element i of every array belongs to sibling i. A NULL array "
                             "gives NULL to every sibling.")));
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
row_encode_sibling(const RowEncoding *encoding, uint32 index)
{
    RowCodec *codec = encoding->codec;
    const RowArray *arrays = encoding->arrays;
    uint32 declared = (uint32)codec->info->data_count;
    uint32 count = declared + encoding->undeclared_count;
    ValueColumn *columns = palloc(Max(count, 1) * sizeof(ValueColumn));

    for (uint32 i = 0; i < declared; i++)
    {
        bool is_null = arrays[i].elements == NULL || arrays[i].nulls[index];

        columns[i] = is_null ? column_encode_null(&codec->columns[i])
                             : column_encode(&codec->columns[i], arrays[i].elements[index]);
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
        arrays[i] = row_take_column(&codec->columns[i], slot);
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
