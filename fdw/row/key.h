/*
 * key: values of key columns to key bytes (shared/data/keycodec.h), and back.
 *
 * Equal values of a column have equal bytes, whatever integer type or encoding of text they come
 * in. Results are palloc'd in the current context unless said otherwise.
 */
#ifndef FDW_ROW_KEY_H
#define FDW_ROW_KEY_H

#include "fdw/base/pg.h"

#include "fdw/row/relation.h"

/*
 * A value that is compared with a key column as that column's part of a key, borrowing from it.
 * value_type is the base type of the column's own type, or: smallint, integer, bigint for one
 * another; timestamp for a date; date for a timestamp; date and timestamp for a timestamptz. False:
 * no key can equal it.
 */
bool key_part(const KeyColumn *key, Datum value, Oid value_type, KeyValue *part);

/* parts: one for each key column. Appends to buffer. */
void key_put(const RelationInfo *info, const KeyValue *parts, Buffer *buffer);

/*
 * Fills the key columns' places of values and nulls, by attribute; scratch memory comes from arena.
 * False: these bytes are no key of the table. 22003: an integer that the column cannot hold.
 */
bool key_decode(const RelationInfo *info, Slice key, Arena *arena, Datum *values, bool *nulls);

/* A key for messages: (7, a). For any bytes; what is no key of the table is shown in hexadecimal.
 */
char *key_describe(const RelationInfo *info, Slice key);

/* The bytes of a text or bytea, borrowed unless it was toasted, and a text or bytea of bytes. */
Slice key_varlena_bytes(Datum value);
Datum key_varlena_datum(Slice bytes);

#endif
