/*
 * row_codec: what row.c (rows to the store) and row_decode.c (and back) share of a RowCodec.
 */
#ifndef FDW_ROW_ROW_CODEC_H
#define FDW_ROW_ROW_CODEC_H

#include "fdw/base/memory.h"
#include "fdw/row/column.h"
#include "fdw/row/combine.h"
#include "fdw/row/row.h"
#include "shared/base/arena.h"

struct RowCodec
{
    const RelationInfo *info;
    TupleDesc desc;
    ColumnCodec *columns; /* info->data_count */
    bool takes_siblings;  /* row_codec_take_siblings */
    bool *wanted;         /* by data column: row_decode fills it */
    Combine *combine;     /* NULL: the table has nothing that makes one row of siblings */
    Memory memory;
    Arena arena; /* of one call */
    Buffer buffer;
    Slice key;                 /* being decoded, for errors */
    const DataColumn *reading; /* likewise; NULL: none yet */
    uint32 resolving;          /* likewise: how many siblings; 0: none */
};

/* XX001 for bytes of the bucket that no writer made. */
void row_refuse_bytes(const RowCodec *codec, const char *what) __attribute__((noreturn));

/* The buffer's bytes, palloc'd in the current context. */
Slice row_copy_buffer(const Buffer *buffer);

/* row_encode_key of values and nulls by attribute. */
Slice row_make_key(RowCodec *codec, const Datum *values, const bool *nulls);

#endif
