/*
 * keycodec: typed key columns as bytes whose memcmp order is the order of the values.
 *
 * A key is its columns' encodings one after another; each encoding says where it ends. text (byte
 * order, a deterministic collation) and bytea escape 0x00 as 0x00 0xFF and end with 0x00 0x01, so a
 * prefix sorts first.
 */
#ifndef SHARED_DATA_KEYCODEC_H
#define SHARED_DATA_KEYCODEC_H

#include "shared/base/bytes.h"

typedef enum KeyType
{
    KEY_INTEGER = 1, /* smallint, integer and bigint: 8 bytes */
    KEY_TEXT,        /* text and varchar, UTF-8 or the database's encoding, never a NUL byte */
    KEY_BYTEA,
    KEY_UUID,
    KEY_DATE,        /* days since 2000-01-01, 4 bytes */
    KEY_TIMESTAMP,   /* microseconds since 2000-01-01, 8 bytes */
    KEY_TIMESTAMPTZ, /* as KEY_TIMESTAMP, UTC */
    KEY_BOOLEAN
} KeyType;

enum
{
    KEY_COLUMNS_MAX = 8
};

/* One decoded column: number for every fixed type but uuid, bytes for text, bytea and uuid. */
typedef struct KeyValue
{
    KeyType type;
    int64_t number;
    Slice bytes;
} KeyValue;

/* The SQL name of a type ("bigint" for KEY_INTEGER), or NULL when type is none. */
const char *keycodec_type_name(KeyType type);
bool keycodec_type_is_known(uint8_t type);

void keycodec_put(Buffer *buffer, const KeyValue *value);

/* Reads the next column; fails the reader on bytes that keycodec_put never makes. */
KeyValue keycodec_next(Reader *reader, KeyType type, Arena *arena);

/* Checks a whole key against its types and gives the bytes of its first column, which place it on
 * the ring. */
bool keycodec_split(Slice key, const KeyType *types, uint32_t type_count, Slice *first_column);

/* What keycodec_print makes (and the usual other spellings of uuid and boolean) to a value; false
 * when it is none. */
bool keycodec_parse(KeyType type, const char *text, Arena *arena, KeyValue *value);

/* The value as people read it: dates and times as their number. */
void keycodec_print(Buffer *buffer, const KeyValue *value);

#endif
