/*
 * conflict: what option on_conflict says a table makes of a key's siblings, and the functions that
 * it names.
 *
 * A routine is found by its qualified name alone, so the search_path has no say in it. It is looked
 * up anew whenever a statement plans or starts, and nothing records that the table needs it: who
 * drops it makes the table unreadable until there is one again.
 */
#ifndef FDW_BASE_CONFLICT_H
#define FDW_BASE_CONFLICT_H

#include "fdw/base/pg.h"

typedef enum ConflictMode
{
    CONFLICT_SIBLINGS,  /* every data column is an array with one element for each sibling */
    CONFLICT_ERROR,     /* in this and all that follow: a plain row; here several siblings raise */
    CONFLICT_LATEST,    /* the sibling that was written last by the nodes' wall clocks */
    CONFLICT_FUNCTION,  /* f(t[]) returns t, over the table's row type */
    CONFLICT_AGGREGATES /* one for each data column, over the column's type */
} ConflictMode;

typedef struct ConflictRoutine
{
    const char *name; /* qualified, as SQL takes it */
    Oid id;
} ConflictRoutine;

/* What a routine is looked up for. */
typedef struct ConflictUse
{
    const char *option; /* its value; conflict_names_routine holds */
    const char *table_name;
    const char *column_name; /* the aggregate's column; NULL for the table's function */
    Oid type;                /* of the column, or the table's row type */
} ConflictUse;

/* True for `schema.name`, either quoted where SQL would quote it. */
bool conflict_names_routine(const char *option);

/* Of the table's option, NULL when it is not given. */
ConflictMode conflict_mode(const char *option);

/*
 * The routine, palloc'd. 3F000, 42883, 42725: there is none, or more than one; 42809: it is not a
 * function, or not an aggregate; 42P13: it gives another type, or a set.
 */
ConflictRoutine conflict_find_routine(const ConflictUse *use);

/* 42501 when the current user may not call it. */
void conflict_check_right(const ConflictRoutine *routine, const char *table_name);

#endif
