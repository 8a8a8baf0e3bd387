/*
 * column: the elements of one data column to bytes of their type's send form, and back.
 *
 * Bytes are stored with the type that wrote them (shared/data/value.h). A column reads its own
 * type; a domain's base type and other binary-coercible types; and whatever has an implicit cast to
 * its own type, such as integer for bigint. So a column may be widened without a rewrite of what is
 * stored.
 */
#ifndef FDW_ROW_COLUMN_H
#define FDW_ROW_COLUMN_H

#include "fdw/base/pg.h"

#include "fmgr.h"
#include "lib/stringinfo.h"

#include "fdw/row/relation.h"
#include "shared/data/value.h"

typedef struct ColumnReader ColumnReader;

typedef struct ColumnCodec
{
    const DataColumn *column; /* borrowed */
    int16 length;
    bool by_value;
    char align;
    FmgrInfo send;
    bool is_named;         /* the base type is an enum or a composite type: named_value.h */
    struct ColumnFit *fit; /* NULL: not needed yet */
    bool has_missing;      /* a row that has not got the column has this value */
    Datum missing;
    ColumnReader *readers; /* one for each stored type met */
    MemoryContext context; /* of readers and of the functions' own memory */
    StringInfoData scratch;
} ColumnCodec;

/* Everything lives in the current context. 42883: the type has no binary send or receive function.
 */
void column_codec_init(ColumnCodec *codec, const DataColumn *column);

/* value is not NULL. The bytes are palloc'd in the current context. */
ValueColumn column_encode(ColumnCodec *codec, Datum value);

ValueColumn column_encode_null(const ColumnCodec *codec);

/* stored is not NULL. 42804: a type that the column cannot take; 22P03: bytes that are none of that
 * type. */
Datum column_decode(ColumnCodec *codec, const ValueColumn *stored);

/*
 * A value of the column's base type, or of one of its form, as a value of the column: under its
 * typmod and its domain's checks. 22001, 22003 and the like, 23514, 23502 for what it cannot hold.
 */
Datum column_fit(ColumnCodec *codec, Datum value, bool is_null);

#endif
