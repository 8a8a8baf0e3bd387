/*
 * Values for people: a stored row as JSON, dots and times. A value is kept in PostgreSQL's binary
 * send form with the OIDs of its types; the types that are common are shown as what they are, all
 * others as hex digits, so that the console needs no catalog.
 */
#include "node/console/console_value.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "shared/data/value.h"

/* Built-in types, by OID, whose send form is known here. */
enum
{
    OID_BOOL = 16,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_JSON = 114,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_BPCHAR = 1042,
    OID_VARCHAR = 1043,
    OID_JSONB = 3802
};

static void
put_json_text(Buffer *out, const char *text)
{
    buffer_put(out, text, strlen(text));
}

void
console_value_hex(Buffer *out, Slice bytes)
{
    static const char digits[] = "0123456789abcdef";

    put_json_text(out, "\\x");
    for (size_t i = 0; i < bytes.length; i++)
    {
        buffer_put_u8(out, (uint8_t)digits[bytes.data[i] >> 4]);
        buffer_put_u8(out, (uint8_t)digits[bytes.data[i] & 15]);
    }
}

static void
put_json_string(Buffer *out, Slice text)
{
    char escape[8];

    buffer_put_u8(out, '"');
    for (size_t i = 0; i < text.length; i++)
    {
        uint8_t c = text.data[i];

        if (c < 0x20 || c == 0x7f)
        {
            snprintf(escape, sizeof(escape), "\\u%04x", c);
            put_json_text(out, escape);
            continue;
        }
        if (c == '"' || c == '\\')
            buffer_put_u8(out, '\\');
        buffer_put_u8(out, c);
    }
    buffer_put_u8(out, '"');
}

static void
put_json_hex(Buffer *out, Slice bytes)
{
    put_json_text(out, "\"\\");
    console_value_hex(out, bytes);
    buffer_put_u8(out, '"');
}

/* Sign-extended from the length of the data. */
static int64_t
big_endian(Slice data)
{
    uint64_t value = data.length > 0 && (data.data[0] & 0x80) != 0 ? UINT64_MAX : 0;

    for (size_t i = 0; i < data.length; i++)
        value = value << 8 | data.data[i];
    return (int64_t)value;
}

static void
put_json_integer(Buffer *out, Slice data)
{
    char text[32];

    snprintf(text, sizeof(text), "%" PRId64, big_endian(data));
    put_json_text(out, text);
}

/* 9 and 17 digits tell any two floats and doubles apart. JSON has no infinity and no NaN, so these
 * stand as strings. */
static void
put_json_float(Buffer *out, Slice data)
{
    uint64_t bits = (uint64_t)big_endian(data);
    uint32_t narrow_bits = (uint32_t)bits;
    double number;
    float narrow;
    char text[40];

    memcpy(&narrow, &narrow_bits, sizeof(narrow));
    memcpy(&number, &bits, sizeof(number));
    if (data.length == sizeof(narrow))
        number = (double)narrow;
    snprintf(text, sizeof(text), isfinite(number) ? "%.*g" : "\"%.*g\"",
             data.length == sizeof(narrow) ? 9 : 17, number);
    put_json_text(out, text);
}

static void
put_json_value(Buffer *out, const ValueColumn *column)
{
    Slice data = column->data;

    if (column->is_null)
        put_json_text(out, "null");
    else if (column->type_oid == OID_BOOL && data.length == 1)
        put_json_text(out, data.data[0] != 0 ? "true" : "false");
    else if ((column->type_oid == OID_INT2 && data.length == 2) ||
             (column->type_oid == OID_INT4 && data.length == 4) ||
             (column->type_oid == OID_INT8 && data.length == 8))
        put_json_integer(out, data);
    else if ((column->type_oid == OID_FLOAT4 && data.length == 4) ||
             (column->type_oid == OID_FLOAT8 && data.length == 8))
        put_json_float(out, data);
    else if (column->type_oid == OID_TEXT || column->type_oid == OID_VARCHAR ||
             column->type_oid == OID_BPCHAR)
        put_json_string(out, data);
    else if (column->type_oid == OID_JSON)
        buffer_put(out, data.data, data.length);
    else if (column->type_oid == OID_JSONB && data.length > 1)
        buffer_put(out, data.data + 1, data.length - 1); /* behind the version of its send form */
    else
        put_json_hex(out, data);
}

void
console_value_json(Buffer *out, Slice value)
{
    ValueColumn *columns;
    uint32_t count;
    Arena arena;

    arena_init(&arena, &MEMORY_HEAP);
    if (value_decode(value, &arena, &columns, &count))
    {
        buffer_put_u8(out, '{');
        for (uint32_t i = 0; i < count; i++)
        {
            put_json_text(out, i > 0 ? ", " : "");
            put_json_string(out, columns[i].name);
            put_json_text(out, ": ");
            put_json_value(out, &columns[i]);
        }
        buffer_put_u8(out, '}');
    }
    else
        put_json_hex(out, value);
    arena_free(&arena);
}

void
console_value_dot(Buffer *out, const Dot *dot)
{
    const uint8_t *id = dot->actor.id;
    char text[80];

    snprintf(text, sizeof(text), "%02x%02x%02x%02x:%" PRIu64 ":%" PRIu64, id[0], id[1], id[2],
             id[3], dot->epoch, dot->counter);
    put_json_text(out, text);
}

/* Days since 1970 to a date of the proleptic Gregorian calendar, counted from a 1st of March so
 * that the leap day is the last of its year. */
static void
date_of_days(int64_t days, int64_t *year, int *month, int *day)
{
    int64_t since = days + 719468; /* 0000-03-01 */
    int64_t era = since / 146097;  /* 400 years */
    int64_t of_era = since % 146097;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * of_year + 2) / 153;

    *day = (int)(of_year - (153 * march_month + 2) / 5 + 1);
    *month = (int)(march_month < 10 ? march_month + 3 : march_month - 9);
    *year = era * 400 + year_of_era + (*month <= 2);
}

void
console_value_time(Buffer *out, uint64_t wall_ms)
{
    uint64_t seconds = wall_ms / 1000;
    unsigned second = (unsigned)(seconds % 86400);
    int64_t year;
    int month;
    int day;
    char text[64];

    date_of_days((int64_t)(seconds / 86400), &year, &month, &day);
    snprintf(text, sizeof(text), "%04" PRId64 "-%02d-%02d %02u:%02u:%02u.%03u+00", year, month, day,
             second / 3600, second / 60 % 60, second % 60, (unsigned)(wall_ms % 1000));
    put_json_text(out, text);
}
