/*
 * plan: paths and plans for scans of a foreign table. Planning reads catalogs and contacts no node.
 *
 * There are two kinds of scan. A lookup asks for keys that conditions name, known when it runs:
 * constants, parameters, or columns of an outer row. A full scan reads the whole bucket, and is not
 * even offered where the table's own conditions name the keys: so no estimate can turn a prepared
 * lookup into a scan.
 */
#ifndef FDW_PLAN_PLAN_H
#define FDW_PLAN_PLAN_H

#include "fdw/base/pg.h"

#include "foreign/fdwapi.h"
#include "nodes/bitmapset.h"
#include "nodes/plannodes.h"

#include "fdw/plan/quals.h"
#include "fdw/row/relation.h"

enum
{
    PLAN_BATCH_KEYS = 1024 /* that a lookup asks for at once */
};

/* What the plan tells the executor: ForeignScan.fdw_private, decoded. */
typedef struct ScanPlan
{
    bool is_lookup;
    /* Of a lookup, by key column; the value is the expression of the same place in
     * ForeignScan.fdw_exprs. */
    Oid value_types[KEY_COLUMNS_MAX];
    bool is_array[KEY_COLUMNS_MAX];
    Bitmapset *attributes; /* that are read, offset as pull_varattnos does */
    bool is_blind;         /* plan_is_blind */
} ScanPlan;

ScanPlan plan_decode(const ForeignScan *scan);

/* Callbacks. */
void dynamoGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid);
void dynamoGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid);
ForeignScan *dynamoGetForeignPlan(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid,
                                  ForeignPath *best_path, List *tlist, List *scan_clauses,
                                  Plan *outer_plan);

/* The table's RelationInfo, made by dynamoGetForeignRelSize. */
const RelationInfo *plan_relation(const RelOptInfo *baserel);
QualsTable plan_table(PlannerInfo *root, const RelOptInfo *baserel);

/*
 * True for the target of an UPDATE or DELETE that needs nothing of its rows but keys and contexts,
 * though attributes, as a plan's node gives them, may have the whole row: every data column is set,
 * or none is looked at. Such a row is replaced whatever siblings it has.
 */
bool plan_is_blind(PlannerInfo *root, const RelOptInfo *rel, List *attributes);

/* The cost of looking up keys in batches of batch_keys, without the caller's own work on the rows.
 */
Cost plan_lookup_cost(const RelationInfo *info, double keys, double batch_keys);

#endif
