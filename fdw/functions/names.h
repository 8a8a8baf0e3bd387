/*
 * names: keeps a foreign table with what it stores while its own names change.
 *
 * What is stored is found by names: the bucket's (option bucket), and of each column (option
 * column_name, else the column's own). An event trigger of the extension, dynamo_fdw_keep_names,
 * writes them into the options where a name of PostgreSQL would otherwise decide: a table without
 * option bucket gets a bucket that no other has; a renamed column keeps its stored name; an added
 * column gets one that no column had before, and what its default gives the rows from before as
 * option missing. Options are dumped and restored like all others.
 */
#ifndef FDW_FUNCTIONS_NAMES_H
#define FDW_FUNCTIONS_NAMES_H

#include "fdw/base/pg.h"

#include "fmgr.h"

/* Event trigger at ddl_command_end. 0A000 for an added column whose value in the rows from before
 * cannot be known. */
extern PGDLLEXPORT Datum dynamo_fdw_keep_names(PG_FUNCTION_ARGS);

#endif
