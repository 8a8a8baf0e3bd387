/*
 * quals: which conditions of a query name keys, so that a scan can look them up instead of reading
 * the bucket.
 *
 * A condition names keys of one key column when it is an equality of the btree family of the
 * column's type between the column and something that does not come from the table: `k = 7`,
 * `k = $1`, `k = other.k`, `k IN (...)`, `k = ANY (array)`, `k = 7 OR k = 8`; for a boolean column
 * also `k` and `NOT k`. Integers of any size compare with one another. A date, timestamp or
 * timestamptz column also takes the types that give one exact value of its own. Text needs a
 * deterministic collation, under which equal means equal bytes.
 */
#ifndef FDW_PLAN_QUALS_H
#define FDW_PLAN_QUALS_H

#include "fdw/base/pg.h"

#include "nodes/pathnodes.h"

#include "fdw/row/relation.h"

typedef struct KeyQual
{
    Expr *clause;   /* the whole condition */
    int key;        /* index into RelationInfo.keys */
    Expr *value;    /* a scalar, or an array of them when is_array */
    Oid value_type; /* of the scalar, or of the array's elements, as key_part takes it */
    bool is_array;
} KeyQual;

/* The table whose keys are looked for. */
typedef struct QualsTable
{
    PlannerInfo *root;
    const RelationInfo *info;
    Index relid; /* its range table index */
} QualsTable;

/* The btree operator family whose equalities name keys of the column. */
Oid quals_opfamily(const KeyColumn *key);

/* True when clause names keys of the table. */
bool quals_match(const QualsTable *table, Expr *clause, KeyQual *qual);

/*
 * One KeyQual for each key column, in their order, from the clauses (expressions, implicitly
 * ANDed); scalars are preferred to arrays. NULL when a column has none: then
 * the clauses name no whole keys; and when lists of several columns would combine to more than
 * KEYSET_PRODUCT_MAX.
 */
KeyQual *quals_choose(const QualsTable *table, List *clauses);

/*
 * The condition with the column before its value, as people write it and EXPLAIN shows it: the
 * planner derives conditions of its own, and which side is which depends on PostgreSQL's version.
 */
Expr *quals_column_first(const QualsTable *table, const KeyQual *qual);

/* How many keys the quals are expected to name. */
double quals_estimate_keys(PlannerInfo *root, const RelationInfo *info, const KeyQual *quals);

#endif
