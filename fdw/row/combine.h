/*
 * combine: several siblings made one row, by the function or the aggregates that the table names.
 *
 * They run as one query through SPI, as the current user, under the snapshot of the scan, and may
 * themselves read the table. The query is planned when the first key with several siblings is met;
 * PostgreSQL plans it anew when a routine was replaced, and raises 42883 when one was dropped.
 */
#ifndef FDW_ROW_COMBINE_H
#define FDW_ROW_COMBINE_H

#include "fdw/base/pg.h"

#include "access/tupdesc.h"

#include "fdw/row/relation.h"

typedef struct Combine Combine;

/*
 * For a table of mode CONFLICT_FUNCTION or CONFLICT_AGGREGATES. wanted tells by data column which
 * ones aggregates shall fill; a function fills them all, and the key columns. Lives in the current
 * context and borrows all arguments.
 */
Combine *combine_new(const RelationInfo *info, TupleDesc desc, const bool *wanted);

/*
 * rows are count composite values of the table's row type, in object order. Fills places of values
 * and nulls (desc's size) and leaves the others alone; palloc'd in the current context. 39004: the
 * function gave NULL. What the routines raise passes through.
 */
void combine_rows(Combine *combine, Datum *rows, uint32 count, Datum *values, bool *nulls);

#endif
