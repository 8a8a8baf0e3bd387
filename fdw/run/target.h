/*
 * target: the rows that a scan gave to UPDATE or DELETE, and what their write needs beside the
 * columns: the key, the context that was read, what is stored beyond the table's columns.
 *
 * A row travels through the plan as its ctid, a handle into the store of the scan that read it: so
 * tables without a context column are written as safely as those with one. The store lives as long
 * as the statement, and dynamo_fdw.max_pending bounds it.
 */
#ifndef FDW_RUN_TARGET_H
#define FDW_RUN_TARGET_H

#include "fdw/base/pg.h"

#include "storage/itemptr.h"

#include "shared/base/bytes.h"

typedef struct Target Target;

/* All slices belong to the store. */
typedef struct TargetRow
{
    Slice key;
    Slice context;    /* sealed */
    Slice undeclared; /* row_undeclared */
} TargetRow;

/* In a child of the current memory context. */
Target *target_new(void);

/* Copies row and sets handle. 54000 over the bound. */
void target_add(Target *target, const TargetRow *row, ItemPointer handle);

/* Valid until the next target_add. */
const TargetRow *target_row(const Target *target, const ItemPointerData *handle);

#endif
