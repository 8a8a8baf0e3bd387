/*
 * The way from a stored object to a row: values in the order of the siblings, columns that some
 * sibling lacks, and what the table makes of several siblings.
 */
#include "fdw/row/row.h"

#include "access/htup_details.h"
#include "utils/array.h"

#include "fdw/base/compat.h"
#include "fdw/row/encoding.h"
#include "fdw/row/key.h"
#include "fdw/row/row_codec.h"
#include "shared/data/object.h"
#include "shared/data/value.h"

/* The stored column of that name; they mostly stand in the table's order, so index is looked at
 * first. */
static const ValueColumn *
row_find_column(const ValueColumn *columns, uint32 count, const char *name, uint32 index)
{
    Slice wanted = slice_from_string(name);

    if (index < count && slice_equal(columns[index].name, wanted))
        return &columns[index];
    for (uint32 i = 0; i < count; i++)
        if (slice_equal(columns[i].name, wanted))
            return &columns[i];
    return NULL;
}

/* A row being decoded. */
typedef struct RowDecoding
{
    RowCodec *codec;
    const Object *object;
    const Sibling *only; /* the one sibling that the row is; NULL: it is made of all live ones */
    uint32 count;        /* of siblings that the row is made of; 0: of none, it is the key alone */
    const bool *wanted;  /* by data column; NULL: all */
    Datum *elements;     /* of wanted columns: column by column, count each */
    bool *element_nulls;
    Datum *values; /* by attribute: the row */
    bool *nulls;
} RowDecoding;

static bool
row_is_wanted(const RowDecoding *decoding, int column)
{
    return decoding->wanted == NULL || decoding->wanted[column];
}

/* Fills row `index` of every wanted column's elements. */
static void
row_decode_sibling(const RowDecoding *decoding, Slice bytes, uint32 index)
{
    RowCodec *codec = decoding->codec;
    ValueColumn *columns;
    uint32 count;

    if (!value_decode(bytes, &codec->arena, &columns, &count))
        row_refuse_bytes(codec, "a value");
    for (int i = 0; i < codec->info->data_count; i++)
    {
        uint32 at = (uint32)i * decoding->count + index;
        const ValueColumn *stored;

        if (!row_is_wanted(decoding, i))
            continue;
        codec->reading = &codec->info->data[i];
        stored = row_find_column(columns, count, codec->info->data[i].name, (uint32)i);
        if (stored == NULL)
        {
            decoding->element_nulls[at] = !codec->columns[i].has_missing;
            decoding->elements[at] = codec->columns[i].missing;
            continue;
        }
        decoding->element_nulls[at] = stored->is_null;
        decoding->elements[at] =
            stored->is_null ? (Datum)0 : column_decode(&codec->columns[i], stored);
    }
    codec->reading = NULL;
}

/* The key columns, and the elements. */
static void
row_decode_parts(void *argument)
{
    const RowDecoding *decoding = argument;
    const Object *object = decoding->object;
    RowCodec *codec = decoding->codec;
    uint32 index = 0;

    if (!key_decode(codec->info, codec->key, &codec->arena, decoding->values, decoding->nulls))
        row_refuse_bytes(codec, "a key");
    if (decoding->only != NULL)
        row_decode_sibling(decoding, decoding->only->value, 0);
    for (uint32 i = 0; decoding->only == NULL && decoding->count > 0 && i < object->sibling_count;
         i++)
        if (!object->siblings[i].tombstone)
            row_decode_sibling(decoding, object->siblings[i].value, index++);
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

/* Makes all siblings the row. */
static void
row_fill_arrays(const RowDecoding *decoding)
{
    const RowCodec *codec = decoding->codec;
    uint32 count = decoding->count;

    for (int i = 0; i < codec->info->data_count; i++)
    {
        AttrNumber attnum = codec->info->data[i].attnum;

        if (!row_is_wanted(decoding, i))
            continue;
        decoding->values[attnum - 1] =
            row_build_array(&codec->columns[i], decoding->elements + i * count,
                            decoding->element_nulls + i * count, count);
        decoding->nulls[attnum - 1] = false;
    }
}

/* Makes one sibling the row. */
static void
row_fill_plain(const RowDecoding *decoding, uint32 index)
{
    const RelationInfo *info = decoding->codec->info;

    for (int i = 0; i < info->data_count; i++)
    {
        AttrNumber attnum = info->data[i].attnum;
        uint32 at = (uint32)i * decoding->count + index;

        if (!row_is_wanted(decoding, i))
            continue;
        decoding->values[attnum - 1] = decoding->elements[at];
        decoding->nulls[attnum - 1] = decoding->element_nulls[at];
    }
}

/* ---- siblings to one row ---- */

static void
row_check_resolved_key(RowCodec *codec, const Datum *values, const bool *nulls)
{
    const RelationInfo *info = codec->info;
    const char *became = "NULL in part";
    bool has_null = false;
    Slice key = SLICE_EMPTY;

    for (int i = 0; i < info->key_count; i++)
        has_null = has_null || nulls[info->keys[i].attnum - 1];
    if (!has_null)
    {
        key = row_make_key(codec, values, nulls);
        became = key_describe(info, key);
    }
    if (has_null || !slice_equal(key, codec->key))
        ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_INVOCATION_EXCEPTION),
                        errmsg("function %s changed the key of a row of foreign table \"%s\"",
                               info->resolver.name, info->table_name),
                        errdetail("Key %s became %s.", key_describe(info, codec->key), became),
                        errhint("The function is given the siblings of one key and must return "
                                "a row with the same key.")));
}

/* Makes the row what the table's routines make of all siblings. Their results are held to the
 * columns' types, since an UPDATE may store them. */
static void
row_fill_combined(const RowDecoding *decoding)
{
    RowCodec *codec = decoding->codec;
    const RelationInfo *info = codec->info;
    Datum *rows = palloc(decoding->count * sizeof(Datum));

    for (uint32 i = 0; i < decoding->count; i++)
    {
        row_fill_plain(decoding, i);
        rows[i] =
            HeapTupleGetDatum(heap_form_tuple(codec->desc, decoding->values, decoding->nulls));
    }
    codec->resolving = decoding->count;
    combine_rows(codec->combine, rows, decoding->count, decoding->values, decoding->nulls);
    if (info->conflict == CONFLICT_FUNCTION)
        row_check_resolved_key(codec, decoding->values, decoding->nulls);
    for (int i = 0; i < info->data_count; i++)
    {
        AttrNumber attnum = info->data[i].attnum;

        codec->reading = &info->data[i];
        if (row_is_wanted(decoding, i))
            decoding->values[attnum - 1] = column_fit(
                &codec->columns[i], decoding->values[attnum - 1], decoding->nulls[attnum - 1]);
    }
}

static void
row_refuse_siblings(const RowCodec *codec, Slice key, uint32 live)
{
    ereport(
        ERROR,
        (errcode(ERRCODE_CARDINALITY_VIOLATION),
         errmsg("a key of foreign table \"%s\" has concurrent versions", codec->info->table_name),
         errdetail("Key %s in bucket \"%s\" has %u siblings.", key_describe(codec->info, key),
                   codec->info->bucket, live),
         errhint("Resolve them: read the key through a foreign table over the bucket whose "
                 "on_conflict is 'siblings', and UPDATE it there.")));
}

/* The one sibling that the row is; NULL when it is made of several. Object order is that of the
 * clocks. */
static const Sibling *
row_only_sibling(const RowCodec *codec, const Object *object, uint32 live)
{
    const Sibling *last = object->siblings + object->sibling_count;

    if (live > 1 && codec->info->conflict != CONFLICT_LATEST)
        return NULL;
    do
        last--;
    while (last->tombstone);
    return last;
}

/* ---- the row ---- */

/* Says which stored value an error is about: neither receive functions nor routines know. */
static void
row_add_error_context(void *argument)
{
    const RowCodec *codec = argument;
    const char *key = key_describe(codec->info, codec->key);

    if (codec->reading != NULL)
        errcontext("column \"%s\" of key %s in bucket \"%s\"", codec->reading->name, key,
                   codec->info->bucket);
    else if (codec->resolving > 0)
        errcontext("resolving %u siblings of key %s in bucket \"%s\"", codec->resolving, key,
                   codec->info->bucket);
    else
        errcontext("key %s in bucket \"%s\"", key, codec->info->bucket);
}

static void
row_fill(const RowDecoding *decoding)
{
    if (decoding->count == 0)
        return;
    if (decoding->codec->info->conflict == CONFLICT_SIBLINGS)
        row_fill_arrays(decoding);
    else if (decoding->count == 1)
        row_fill_plain(decoding, 0);
    else
        row_fill_combined(decoding);
}

/* Routines run with the client's encoding as it is, stored values are read as UTF-8. */
static void
row_run(RowDecoding *decoding)
{
    RowCodec *codec = decoding->codec;
    ErrorContextCallback callback = {
        .previous = error_context_stack, .callback = row_add_error_context, .arg = codec};
    size_t elements = (size_t)codec->info->data_count * decoding->count;

    decoding->elements = ARENA_ARRAY(&codec->arena, Datum, elements);
    decoding->element_nulls = ARENA_ARRAY(&codec->arena, bool, elements);
    codec->reading = NULL;
    codec->resolving = 0;
    error_context_stack = &callback;
    encoding_run(row_decode_parts, decoding);
    row_fill(decoding);
    error_context_stack = callback.previous;
}

bool
row_decode(RowCodec *codec, Slice key, Slice bytes, Slice context, Datum *values, bool *nulls)
{
    const RelationInfo *info = codec->info;
    Object object;
    RowDecoding decoding = {.codec = codec,
                            .object = &object,
                            .wanted = codec->wanted,
                            .values = values,
                            .nulls = nulls};
    uint32 live;

    if (bytes.length == 0)
        return false;
    arena_reset(&codec->arena);
    if (!object_decode(bytes, &codec->arena, &object))
        row_refuse_bytes(codec, "an object");
    live = object_live_count(&object);
    if (live == 0)
        return false;
    if (live > 1 && info->conflict == CONFLICT_ERROR && !codec->takes_siblings)
        row_refuse_siblings(codec, key, live);
    memset(nulls, true, codec->desc->natts * sizeof(bool));
    if (AttributeNumberIsValid(info->context_attnum) && context.length > 0)
    {
        values[info->context_attnum - 1] = key_varlena_datum(context);
        nulls[info->context_attnum - 1] = false;
    }
    codec->key = key;
    decoding.only = row_only_sibling(codec, &object, live);
    decoding.count = decoding.only != NULL ? 1 : live;
    if (decoding.count > 1 && codec->takes_siblings)
        decoding.count = 0;
    if (decoding.count > 1 && info->conflict == CONFLICT_FUNCTION)
        decoding.wanted = NULL;
    row_run(&decoding);
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

Slice
row_undeclared(RowCodec *codec, Slice bytes)
{
    Object object;
    const Sibling *only;
    ValueColumn *columns;
    uint32 count;
    uint32 kept = 0;

    arena_reset(&codec->arena);
    if (!object_decode(bytes, &codec->arena, &object))
        row_refuse_bytes(codec, "an object");
    only = row_only_sibling(codec, &object, object_live_count(&object));
    if (only == NULL)
        return SLICE_EMPTY;
    if (!value_decode(only->value, &codec->arena, &columns, &count))
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
