/*
 * row: rows of a foreign table to keys and sibling values, and back.
 *
 * A row is one key. Where the table shows siblings, element i of every data column is the i-th
 * sibling that is no tombstone, in object order, and element j of a row that is written makes value
 * j of its put. Elsewhere a row is plain: it is what option on_conflict makes of those siblings,
 * and is written as one value. What is stored is the same in either case.
 *
 * A RowCodec holds the types' send and receive functions and scratch memory. Make one for each scan
 * or modify node, in a context that lives as long as the node. Results are palloc'd in the current
 * context unless said otherwise; what is borrowed from a Datum lives as long as the slot.
 */
#ifndef FDW_ROW_ROW_H
#define FDW_ROW_ROW_H

#include "fdw/base/pg.h"

#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "nodes/bitmapset.h"

#include "fdw/row/relation.h"

typedef struct RowCodec RowCodec;

/* info and desc are borrowed. Raises 42883 for a type without binary send or receive function. */
RowCodec *row_codec_new(const RelationInfo *info, TupleDesc desc);

/* For scans, which may leave data columns NULL that are not among attributes (offset as
 * pull_varattnos does). 42501 when the current user may not call what resolves siblings. */
void row_codec_want(RowCodec *codec, const Bitmapset *attributes);

/* For rows of which nobody reads a data column: several siblings are a row by their key and context
 * alone, with NULLs, whatever the table makes of siblings elsewhere. */
void row_codec_take_siblings(RowCodec *codec);

/* True when row_decode is to be given contexts: for the context column, or for the rows that a
 * function resolves. */
bool row_codec_wants_context(const RowCodec *codec, const Bitmapset *attributes);

/* ---- to the store ---- */

/* 23502 for a NULL key column. */
Slice row_encode_key(RowCodec *codec, TupleTableSlot *slot);

/*
 * One encoded value (shared/data/value.h) for each sibling that the row holds: as many as its
 * arrays have elements, one when all are NULL, or when the row is plain. 2202E: arrays of unequal
 * length, an empty array, more than one dimension. undeclared (row_undeclared, or empty) is added
 * to each.
 */
Slice *row_encode_values(RowCodec *codec, TupleTableSlot *slot, Slice undeclared, uint32 *count);

/* The sealed context that the row hands back; empty when NULL or the table has no context column.
 */
Slice row_context(RowCodec *codec, TupleTableSlot *slot);

/* ---- from the store ---- */

/*
 * Fills values and nulls (desc's size) from an object; pass-by-reference values are palloc'd in the
 * current context. False: the object is empty or all its siblings are tombstones, so there is no
 * row. 42804: a stored type that the column cannot take. XX001: bytes that cannot be read. For
 * several siblings of a plain row, 21000 in mode CONFLICT_ERROR, else what combine_rows raises, and
 * 39000 for a function that changed the key.
 */
bool row_decode(RowCodec *codec, Slice key, Slice object, Slice context, Datum *values,
                bool *nulls);

/* The same into a cleared virtual slot, which is stored when there is a row. */
bool row_decode_slot(RowCodec *codec, Slice key, Slice object, Slice context, TupleTableSlot *slot);

/*
 * What an object that is a row stores beyond the table's columns, as an encoded value, so that an
 * UPDATE can carry it through; empty when that is nothing, or when the row is made of several
 * siblings.
 */
Slice row_undeclared(RowCodec *codec, Slice object);

#endif
