/* Key columns as bytes that memcmp sorts as the type does, and back; and the text forms that people
 * type on a console. A column's type is not written: both ends have the bucket's shape. */
#include "shared/data/keycodec.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum
{
    UUID_BYTES = 16,
    ESCAPE = 0x00, /* in text and bytea; the byte after it says which of the two it is */
    ESCAPED_ZERO = 0xFF,
    ESCAPED_END = 0x01
};

typedef struct KeyTypeRow
{
    const char *name;
    unsigned width; /* bytes of the encoding; 0: it says itself where it ends */
    bool is_number;
} KeyTypeRow;

static const KeyTypeRow KEY_TYPES[] = {
    [KEY_INTEGER] = {"bigint",                      8,          true },
    [KEY_TEXT] = {"text",                        0,          false},
    [KEY_BYTEA] = {"bytea",                       0,          false},
    [KEY_UUID] = {"uuid",                        UUID_BYTES, false},
    [KEY_DATE] = {"date",                        4,          true },
    [KEY_TIMESTAMP] = {"timestamp without time zone", 8,          true },
    [KEY_TIMESTAMPTZ] = {"timestamp with time zone",    8,          true },
    [KEY_BOOLEAN] = {"boolean",                     1,          true },
};

bool
keycodec_type_is_known(uint8_t type)
{
    return type >= KEY_INTEGER && type <= KEY_BOOLEAN;
}

const char *
keycodec_type_name(KeyType type)
{
    return keycodec_type_is_known((uint8_t)type) ? KEY_TYPES[type].name : NULL;
}

/* The end mark 00 01 sorts below the escape 00 FF, and both below any other byte: so a prefix comes
 * before what it is a prefix of, and a zero byte where it belongs. */
static void
put_escaped(Buffer *buffer, Slice bytes)
{
    const uint8_t *at = bytes.data;
    size_t left = bytes.length;

    while (left > 0)
    {
        const uint8_t *zero = memchr(at, ESCAPE, left);
        size_t plain = zero != NULL ? (size_t)(zero - at) : left;

        buffer_put(buffer, at, plain);
        at += plain;
        left -= plain;
        if (zero != NULL)
        {
            buffer_put_u8(buffer, ESCAPE);
            buffer_put_u8(buffer, ESCAPED_ZERO);
            at++;
            left--;
        }
    }
    buffer_put_u8(buffer, ESCAPE);
    buffer_put_u8(buffer, ESCAPED_END);
}

/* The sign bit is turned over, so that negative numbers sort before positive ones. */
void
keycodec_put(Buffer *buffer, const KeyValue *value)
{
    switch (value->type)
    {
    case KEY_INTEGER:
    case KEY_TIMESTAMP:
    case KEY_TIMESTAMPTZ:
        buffer_put_u64(buffer, (uint64_t)value->number ^ ((uint64_t)1 << 63));
        break;
    case KEY_DATE:
        buffer_put_u32(buffer, (uint32_t)value->number ^ ((uint32_t)1 << 31));
        break;
    case KEY_BOOLEAN:
        buffer_put_u8(buffer, value->number != 0);
        break;
    case KEY_UUID:
        buffer_put(buffer, value->bytes.data, UUID_BYTES);
        break;
    case KEY_TEXT:
    case KEY_BYTEA:
        put_escaped(buffer, value->bytes);
        break;
    }
}

/* The escaped bytes of the next column without their end mark; *zeros counts the escapes among
 * them. */
static Slice
take_escaped(Reader *reader, KeyType type, size_t *zeros)
{
    const uint8_t *start = reader->at;
    const uint8_t *at = start;

    *zeros = 0;
    for (;;)
    {
        size_t left = (size_t)(reader->end - at);
        const uint8_t *mark = left > 0 ? memchr(at, ESCAPE, left) : NULL;

        if (mark == NULL || reader->end - mark < 2)
            break;
        if (mark[1] == ESCAPED_END)
        {
            reader->at = mark + 2;
            return slice_make(start, (size_t)(mark - start));
        }
        if (mark[1] != ESCAPED_ZERO || type == KEY_TEXT)
            break;
        (*zeros)++;
        at = mark + 2;
    }
    reader_fail(reader);
    return SLICE_EMPTY;
}

/* Passes over the next column; the encoded bytes of a column without fixed width come without their
 * end mark. */
static Slice
take_column(Reader *reader, KeyType type, size_t *zeros)
{
    if (!keycodec_type_is_known((uint8_t)type))
    {
        reader_fail(reader);
        return SLICE_EMPTY;
    }
    if (KEY_TYPES[type].width == 0)
        return take_escaped(reader, type, zeros);

    Slice taken = reader_take(reader, KEY_TYPES[type].width);

    if (type == KEY_BOOLEAN && taken.length == 1 && taken.data[0] > 1)
        reader_fail(reader);
    return taken;
}

/* Nearly no key has a zero byte in it: then the bytes are borrowed as they are. */
static Slice
without_escapes(Slice escaped, size_t zeros, Arena *arena)
{
    if (zeros == 0)
        return escaped;

    uint8_t *bytes = arena_alloc(arena, escaped.length - zeros);
    size_t length = 0;

    for (size_t i = 0; i < escaped.length; i++)
    {
        bytes[length++] = escaped.data[i];
        i += escaped.data[i] == ESCAPE;
    }
    return slice_make(bytes, length);
}

/* The widths differ, and so does the sign bit that keycodec_put has turned over. */
static int64_t
decode_number(Slice taken, KeyType type)
{
    Reader reader = reader_begin(taken);

    if (type == KEY_BOOLEAN)
        return reader_u8(&reader);
    if (type == KEY_DATE)
        return (int32_t)(reader_u32(&reader) ^ ((uint32_t)1 << 31));
    return (int64_t)(reader_u64(&reader) ^ ((uint64_t)1 << 63));
}

KeyValue
keycodec_next(Reader *reader, KeyType type, Arena *arena)
{
    KeyValue value = {.type = type};
    size_t zeros = 0;
    Slice taken = take_column(reader, type, &zeros);

    if (reader->failed)
        return value;
    if (KEY_TYPES[type].is_number)
        value.number = decode_number(taken, type);
    else
        value.bytes = without_escapes(taken, zeros, arena);
    return value;
}

/* Called for every key of every request, so it decodes nothing: it only walks over the columns. */
bool
keycodec_split(Slice key, const KeyType *types, uint32_t type_count, Slice *first_column)
{
    Reader reader = reader_begin(key);

    *first_column = SLICE_EMPTY;
    for (uint32_t i = 0; i < type_count && !reader.failed; i++)
    {
        size_t zeros;

        take_column(&reader, types[i], &zeros);
        if (i == 0 && !reader.failed)
            *first_column = slice_make(key.data, key.length - reader_left(&reader));
    }
    return type_count > 0 && reader_finish(&reader);
}

/* Summed up towards the sign, so that the least number, which has no positive counterpart, is read
 * without an overflow. */
static bool
parse_number(const char *text, int64_t low, int64_t high, int64_t *number)
{
    bool negative = *text == '-';
    int64_t sum = 0;

    text += *text == '-' || *text == '+';
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++)
    {
        int digit = *text - '0';

        if (digit < 0 || digit > 9 || __builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, negative ? -digit : digit, &sum))
            return false;
    }
    *number = sum;
    return sum >= low && sum <= high;
}

static int
hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* Exactly count bytes from pairs of digits; with dashes, one may follow any second byte, as
 * PostgreSQL takes it. */
static bool
parse_hex(const char *text, size_t count, bool dashes, Arena *arena, Slice *bytes)
{
    uint8_t *target = arena_alloc(arena, count);

    for (size_t i = 0; i < count; i++)
    {
        int high = hex_digit(text[0]);
        int low = high >= 0 ? hex_digit(text[1]) : -1;

        if (low < 0)
            return false;
        target[i] = (uint8_t)(high << 4 | low);
        text += 2;
        if (dashes && *text == '-' && i % 2 == 1 && i + 1 < count)
            text++;
    }
    *bytes = slice_make(target, count);
    return *text == '\0';
}

static bool
parse_boolean(const char *text, int64_t *number)
{
    static const char *const words[] = {"false", "true", "f",   "t", "off",
                                        "on",    "no",   "yes", "0", "1"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
    {
        if (strcasecmp(text, words[i]) == 0)
        {
            *number = i % 2;
            return true;
        }
    }
    return false;
}

bool
keycodec_parse(KeyType type, const char *text, Arena *arena, KeyValue *value)
{
    *value = (KeyValue){.type = type};
    switch (type)
    {
    case KEY_INTEGER:
    case KEY_TIMESTAMP:
    case KEY_TIMESTAMPTZ:
        return parse_number(text, INT64_MIN, INT64_MAX, &value->number);
    case KEY_DATE:
        return parse_number(text, INT32_MIN, INT32_MAX, &value->number);
    case KEY_BOOLEAN:
        return parse_boolean(text, &value->number);
    case KEY_UUID:
        return parse_hex(text, UUID_BYTES, true, arena, &value->bytes);
    case KEY_BYTEA:
        return text[0] == '\\' && text[1] == 'x' && strlen(text) % 2 == 0 &&
               parse_hex(text + 2, strlen(text) / 2 - 1, false, arena, &value->bytes);
    case KEY_TEXT:
        value->bytes = slice_copy(arena, slice_from_string(text));
        return true;
    }
    return false;
}

static void
print_hex(Buffer *buffer, Slice bytes, bool dashes)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < bytes.length; i++)
    {
        if (dashes && (i == 4 || i == 6 || i == 8 || i == 10))
            buffer_put_u8(buffer, '-');
        buffer_put_u8(buffer, (uint8_t)digits[bytes.data[i] >> 4]);
        buffer_put_u8(buffer, (uint8_t)digits[bytes.data[i] & 15]);
    }
}

void
keycodec_print(Buffer *buffer, const KeyValue *value)
{
    char number[32];

    switch (value->type)
    {
    case KEY_TEXT:
        buffer_put(buffer, value->bytes.data, value->bytes.length);
        return;
    case KEY_BYTEA:
        buffer_put(buffer, "\\x", 2);
        print_hex(buffer, value->bytes, false);
        return;
    case KEY_UUID:
        print_hex(buffer, value->bytes, true);
        return;
    case KEY_BOOLEAN:
        buffer_put(buffer, value->number ? "true" : "false", value->number ? 4 : 5);
        return;
    case KEY_INTEGER:
    case KEY_DATE:
    case KEY_TIMESTAMP:
    case KEY_TIMESTAMPTZ:
        snprintf(number, sizeof(number), "%lld", (long long)value->number);
        buffer_put(buffer, number, strlen(number));
    }
}
