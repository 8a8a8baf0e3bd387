/*
 * Converts between Datums of key columns and the parts that keycodec writes. Where two types
 * compare, equal values become one part: a date and the timestamp that is its midnight.
 */
#include "fdw/row/key.h"

#include "catalog/pg_type.h"
#include "common/string.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "fdw/base/compat.h"
#include "fdw/base/memory.h"
#include "fdw/row/encoding.h"

/* ---- to the store ---- */

static bool
key_integer_part(const KeyColumn *key, Datum value, Oid value_type, KeyValue *part)
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
key_date_part(Datum value, Oid value_type, KeyValue *part)
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
key_timestamp_part(const KeyColumn *key, Datum value, Oid value_type, KeyValue *part)
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

Slice
key_varlena_bytes(Datum value)
{
    struct varlena *bytes = PG_DETOAST_DATUM_PACKED(value);

    return slice_make(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
}

bool
key_part(const KeyColumn *key, Datum value, Oid value_type, KeyValue *part)
{
    *part = (KeyValue){.type = key->type};
    switch (key->type)
    {
    case KEY_INTEGER:
        return key_integer_part(key, value, value_type, part);
    case KEY_DATE:
        return key_date_part(value, value_type, part);
    case KEY_TIMESTAMP:
    case KEY_TIMESTAMPTZ:
        return key_timestamp_part(key, value, value_type, part);
    case KEY_BOOLEAN:
        part->number = DatumGetBool(value);
        return true;
    case KEY_UUID:
        part->bytes = slice_make(DatumGetUUIDP(value)->data, UUID_LEN);
        return true;
    case KEY_TEXT:
        part->bytes = encoding_to_stored(key_varlena_bytes(value));
        return true;
    case KEY_BYTEA:
        part->bytes = key_varlena_bytes(value);
        return true;
    }
    return false;
}

void
key_put(const RelationInfo *info, const KeyValue *parts, Buffer *buffer)
{
    for (int i = 0; i < info->key_count; i++)
        keycodec_put(buffer, &parts[i]);
}

/* ---- from the store ---- */

Datum
key_varlena_datum(Slice bytes)
{
    return PointerGetDatum(cstring_to_text_with_len((const char *)bytes.data, (int)bytes.length));
}

static Datum
key_integer_datum(const KeyColumn *key, int64 number)
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
key_datum(const KeyColumn *key, const KeyValue *part)
{
    switch (key->type)
    {
    case KEY_INTEGER:
        return key_integer_datum(key, part->number);
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
        return key_varlena_datum(encoding_from_stored(part->bytes));
    case KEY_BYTEA:
        return key_varlena_datum(part->bytes);
    }
    return (Datum)0;
}

bool
key_decode(const RelationInfo *info, Slice key, Arena *arena, Datum *values, bool *nulls)
{
    Reader reader = reader_begin(key);

    for (int i = 0; i < info->key_count; i++)
    {
        const KeyColumn *column = &info->keys[i];
        KeyValue part = keycodec_next(&reader, column->type, arena);

        if (reader.failed)
            return false;
        values[column->attnum - 1] = key_datum(column, &part);
        nulls[column->attnum - 1] = false;
    }
    return reader_finish(&reader);
}

/* True when the text may stand in a message; one that cannot be converted could raise anew. */
static bool
key_is_printable(const StringInfoData *text)
{
    return GetDatabaseEncoding() == PG_UTF8 ? pg_verify_mbstr(PG_UTF8, text->data, text->len, true)
                                            : pg_is_ascii(text->data);
}

static char *
key_describe_bytes(Slice key)
{
    StringInfoData text;

    initStringInfo(&text);
    appendStringInfoString(&text, "\\x");
    for (size_t i = 0; i < key.length; i++)
        appendStringInfo(&text, "%02x", key.data[i]);
    return text.data;
}

char *
key_describe(const RelationInfo *info, Slice key)
{
    Memory memory = memory_in_context(CurrentMemoryContext);
    Reader reader = reader_begin(key);
    StringInfoData text;
    Buffer printed;
    Arena arena;

    arena_init(&arena, &memory);
    buffer_init(&printed, &memory);
    initStringInfo(&text);
    for (int i = 0; i < info->key_count && !reader.failed; i++)
    {
        KeyValue part = keycodec_next(&reader, info->keys[i].type, &arena);

        buffer_reset(&printed);
        if (!reader.failed)
            keycodec_print(&printed, &part);
        appendStringInfoString(&text, i == 0 ? "(" : ", ");
        appendBinaryStringInfo(&text, (const char *)printed.data, (int)printed.length);
    }
    appendStringInfoChar(&text, ')');
    return reader_finish(&reader) && key_is_printable(&text) ? text.data : key_describe_bytes(key);
}
