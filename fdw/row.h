/*
 * row: rows of a foreign table to keys and sibling values, and back.
 *
 * A row is one key. Element i of every data column is the i-th sibling that is no tombstone, in
 * object order; element j of a row that is written makes value j of its put.
 *
 * A RowCodec holds the types' send and receive functions and scratch memory. Make one for each scan
 * or modify node, in a context that lives as long as the node. Results are palloc'd in the current
 * context unless said otherwise; what is borrowed from a Datum lives as long as the slot.
 */
#ifndef FDW_ROW_H
#define FDW_ROW_H

#include "fdw/pg.h"

#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "nodes/bitmapset.h"

#include "fdw/relation.h"

typedef struct RowCodec RowCodec;

/* info and desc are borrowed. Raises 42883 for a type without binary send or receive function. */
RowCodec *row_codec_new(const RelationInfo *info, TupleDesc desc);

/* Leaves all data columns NULL that are not among attributes (offset as pull_varattnos does); for
 * scans. */
void row_codec_want(RowCodec *codec, const Bitmapset *attributes);

/* True when attributes hold the column, or the whole row. */
bool row_attribute_is_read(const Bitmapset *attributes, AttrNumber attnum);

/* ---- to the store ---- */

/* 23502 for a NULL key column. */
Slice row_encode_key(RowCodec *codec, TupleTableSlot *slot);

/*
 * One encoded value (shared/value.h) for each sibling that the row holds: as many as its arrays
 * have elements, one when all are NULL. 2202E: arrays of unequal length, an empty array, more than
 * one dimension. undeclared (row_undeclared, or empty) is added to each.
 */
Slice *row_encode_values(RowCodec *codec, TupleTableSlot *slot, Slice undeclared, uint32 *count);

/* The sealed context that the row hands back; empty when NULL or the table has no context column.
 */
Slice row_context(RowCodec *codec, TupleTableSlot *slot);

/* ---- from the store ---- */

/*
 * Fills values and nulls (desc's size) from an object; pass-by-reference values are palloc'd in the
 * current context. False: the object is empty or all its siblings are tombstones, so there is no
 * row. 42804: a stored type that the column cannot take. XX001: bytes that cannot be read.
 */
bool row_decode(RowCodec *codec, Slice key, Slice object, Slice context, Datum *values,
                bool *nulls);

/* The same into a cleared virtual slot, which is stored when there is a row. */
bool row_decode_slot(RowCodec *codec, Slice key, Slice object, Slice context, TupleTableSlot *slot);

/*
 * What an object that is a row stores beyond the table's columns, as an encoded value, so that an
 * UPDATE can carry it through; empty when that is nothing, or when there are several siblings.
 */
Slice row_undeclared(RowCodec *codec, Slice object);

#endif
