/*
 * Sizes, paths and plans of one table's scans. Estimates come from the options of table and server,
 * never from a node (F1).
 */
#include "fdw/plan/plan.h"

#include <math.h>

#include "access/sysattr.h"
#include "access/table.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "fdw/base/compat.h"
#include "fdw/plan/quals.h"

/* The members of ForeignScan.fdw_private. */
enum ScanPrivate
{
    PRIVATE_IS_LOOKUP,   /* Integer, 0 or 1 */
    PRIVATE_VALUE_TYPES, /* OidList, by key column; NIL for a full scan */
    PRIVATE_IS_ARRAY,    /* IntList, likewise */
    PRIVATE_ATTRIBUTES,  /* IntList of attribute numbers, plain */
    PRIVATE_IS_BLIND     /* Integer, 0 or 1 */
};

enum
{
    /* What a full scan costs beyond its rows, in round trips: it asks for every partition. */
    PLAN_SCAN_ROUND_TRIPS = 10
};

const RelationInfo *
plan_relation(const RelOptInfo *baserel)
{
    return baserel->fdw_private;
}

QualsTable
plan_table(PlannerInfo *root, const RelOptInfo *baserel)
{
    return (QualsTable){root, plan_relation(baserel), baserel->relid};
}

static KeyQual *
plan_choose(PlannerInfo *root, const RelOptInfo *baserel, List *restrict_infos)
{
    QualsTable table = plan_table(root, baserel);

    return quals_choose(&table, extract_actual_clauses(restrict_infos, false));
}

/* ---- sizes ---- */

/* The selectivity of the clauses that do not name the keys. */
static Selectivity
plan_rest_selectivity(PlannerInfo *root, RelOptInfo *baserel, List *restrict_infos,
                      const KeyQual *quals)
{
    const RelationInfo *info = plan_relation(baserel);
    List *rest = NIL;
    ListCell *cell;

    foreach (cell, restrict_infos)
    {
        RestrictInfo *restrict_info = lfirst_node(RestrictInfo, cell);
        bool names_key = false;

        for (int i = 0; i < info->key_count; i++)
            names_key = names_key || quals[i].clause == restrict_info->clause;
        if (!names_key)
            rest = lappend(rest, restrict_info);
    }
    return clauselist_selectivity(root, rest, 0, JOIN_INNER, NULL);
}

static double
plan_lookup_rows(PlannerInfo *root, RelOptInfo *baserel, List *restrict_infos, const KeyQual *quals)
{
    double keys = quals_estimate_keys(root, plan_relation(baserel), quals);

    return clamp_row_est(keys * plan_rest_selectivity(root, baserel, restrict_infos, quals));
}

/*
 * Tells the planner that no two rows have one key, in the only words that it has for this: a unique
 * index. It makes the sizes of joins right and lets them stop at the first match. The index belongs
 * to no access method, so nothing tries to scan it.
 */
static void
plan_add_key_index(RelOptInfo *baserel)
{
    const RelationInfo *info = plan_relation(baserel);
    IndexOptInfo *index = makeNode(IndexOptInfo);

    index->rel = baserel;
    index->tuples = baserel->tuples;
    index->ncolumns = index->nkeycolumns = info->key_count;
    index->indexkeys = palloc(info->key_count * sizeof(int));
    index->indexcollations = palloc0(info->key_count * sizeof(Oid));
    index->opfamily = palloc(info->key_count * sizeof(Oid));
    for (int i = 0; i < info->key_count; i++)
    {
        index->indexkeys[i] = info->keys[i].attnum;
        index->opfamily[i] = quals_opfamily(&info->keys[i]);
    }
    index->unique = index->immediate = true;
    baserel->indexlist = lappend(baserel->indexlist, index);
}

void
dynamoGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid)
{
    Relation relation = table_open(foreigntableid, NoLock);
    RelationInfo *info = relation_info(relation);
    KeyQual *quals;

    table_close(relation, NoLock);
    baserel->fdw_private = info;
    if (baserel->tuples <= 0)
        baserel->tuples = info->rows;
    plan_add_key_index(baserel);
    set_baserel_size_estimates(root, baserel);
    quals = plan_choose(root, baserel, baserel->baserestrictinfo);
    if (quals != NULL)
        baserel->rows = plan_lookup_rows(root, baserel, baserel->baserestrictinfo, quals);
}

/* ---- paths ---- */

Cost
plan_lookup_cost(const RelationInfo *info, double keys, double batch_keys)
{
    return ceil(keys / batch_keys) * info->startup_cost + keys * info->tuple_cost;
}

/* Local work: every row fetched is formed and filtered. */
static Cost
plan_local_cost(const RelOptInfo *baserel, double fetched)
{
    return baserel->baserestrictcost.startup +
           fetched * (cpu_tuple_cost + baserel->baserestrictcost.per_tuple);
}

static void
plan_add_path(PlannerInfo *root, RelOptInfo *baserel, bool is_lookup, double rows, Cost cost,
              Relids required_outer)
{
    const RelationInfo *info = plan_relation(baserel);

    add_path(baserel, (Path *)compat_create_foreignscan_path(
                          root, baserel, rows, info->startup_cost, Max(cost, info->startup_cost),
                          required_outer, list_make1(makeInteger(is_lookup))));
}

static void
plan_add_lookup(PlannerInfo *root, RelOptInfo *baserel, const KeyQual *quals, double rows,
                Relids required_outer)
{
    const RelationInfo *info = plan_relation(baserel);
    double keys = quals_estimate_keys(root, info, quals);

    plan_add_path(root, baserel, true, rows,
                  plan_lookup_cost(info, keys, PLAN_BATCH_KEYS) + plan_local_cost(baserel, keys),
                  required_outer);
}

static void
plan_add_full_scan(PlannerInfo *root, RelOptInfo *baserel)
{
    const RelationInfo *info = plan_relation(baserel);

    plan_add_path(root, baserel, false, baserel->rows,
                  PLAN_SCAN_ROUND_TRIPS * info->startup_cost + baserel->tuples * info->tuple_cost +
                      plan_local_cost(baserel, baserel->tuples),
                  baserel->lateral_relids);
}

/* ---- parameterized paths: the keys come from an outer row ---- */

typedef struct PlanColumn
{
    const RelationInfo *info;
    int key;
} PlanColumn;

static bool
plan_member_is_column(PlannerInfo *root, RelOptInfo *baserel, EquivalenceClass *class,
                      EquivalenceMember *member, void *argument)
{
    const PlanColumn *column = argument;
    Node *expr = (Node *)member->em_expr;

    while (expr != NULL && IsA(expr, RelabelType))
        expr = (Node *)((RelabelType *)expr)->arg;
    return expr != NULL && IsA(expr, Var) && ((Var *)expr)->varno == (int)baserel->relid &&
           ((Var *)expr)->varattno == column->info->keys[column->key].attnum;
}

/* Join clauses that may name keys: of equivalence classes, which joininfo lacks, and the others. */
static List *
plan_join_clauses(PlannerInfo *root, RelOptInfo *baserel)
{
    const RelationInfo *info = plan_relation(baserel);
    List *clauses = NIL;
    ListCell *cell;

    for (int i = 0; baserel->has_eclass_joins && i < info->key_count; i++)
    {
        PlanColumn column = {info, i};

        clauses = list_concat(
            clauses, generate_implied_equalities_for_column(root, baserel, plan_member_is_column,
                                                            &column, baserel->lateral_referencers));
    }
    foreach (cell, baserel->joininfo)
    {
        RestrictInfo *restrict_info = lfirst_node(RestrictInfo, cell);

        if (join_clause_is_movable_to(restrict_info, baserel))
            clauses = lappend(clauses, restrict_info);
    }
    return clauses;
}

static List *
plan_add_relids(List *sets, Relids relids)
{
    ListCell *cell;

    foreach (cell, sets)
        if (bms_equal(lfirst(cell), relids))
            return sets;
    return lappend(sets, relids);
}

/* The sets of outer relations worth trying: each that a clause needs, and all of them together for
 * keys of columns. */
static List *
plan_outer_sets(PlannerInfo *root, RelOptInfo *baserel)
{
    QualsTable table = plan_table(root, baserel);
    Relids all = bms_copy(baserel->lateral_relids);
    List *sets = NIL;
    ListCell *cell;

    foreach (cell, plan_join_clauses(root, baserel))
    {
        RestrictInfo *restrict_info = lfirst_node(RestrictInfo, cell);
        KeyQual ignored;
        Relids outer;

        if (!quals_match(&table, restrict_info->clause, &ignored))
            continue;
        outer = bms_union(restrict_info->clause_relids, baserel->lateral_relids);
        outer = bms_del_member(outer, (int)baserel->relid);
        all = bms_add_members(all, outer);
        sets = plan_add_relids(sets, outer);
    }
    return sets == NIL ? NIL : plan_add_relids(sets, all);
}

static void
plan_add_parameterized(PlannerInfo *root, RelOptInfo *baserel, Relids outer)
{
    ParamPathInfo *param_info = get_baserel_parampathinfo(root, baserel, outer);
    List *clauses;
    KeyQual *quals;

    if (param_info == NULL)
        return;
    clauses = list_concat_copy(param_info->ppi_clauses, baserel->baserestrictinfo);
    quals = plan_choose(root, baserel, clauses);
    if (quals == NULL)
        return;
    param_info->ppi_rows = plan_lookup_rows(root, baserel, clauses, quals);
    plan_add_lookup(root, baserel, quals, param_info->ppi_rows, outer);
}

void
dynamoGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid)
{
    KeyQual *quals = plan_choose(root, baserel, baserel->baserestrictinfo);
    ListCell *cell;

    if (quals != NULL)
    {
        plan_add_lookup(root, baserel, quals, baserel->rows, baserel->lateral_relids);
        return;
    }
    plan_add_full_scan(root, baserel);
    foreach (cell, plan_outer_sets(root, baserel))
        plan_add_parameterized(root, baserel, lfirst(cell));
}

/* ---- plans ---- */

/* The attributes that the rows must carry: for the target list, and for conditions checked here. */
static List *
plan_attributes(const RelOptInfo *baserel, List *local_clauses)
{
    Bitmapset *attributes = NULL;
    List *list = NIL;
    int member = -1;

    pull_varattnos((Node *)baserel->reltarget->exprs, baserel->relid, &attributes);
    pull_varattnos((Node *)local_clauses, baserel->relid, &attributes);
    while ((member = bms_next_member(attributes, member)) >= 0)
        list = lappend_int(list, member + FirstLowInvalidHeapAttributeNumber);
    return list;
}

/* ---- targets whose old data nobody needs ---- */

/* The name is the parent's where the target is a partition. */
static bool
plan_sets_column(PlannerInfo *root, const RelationInfo *info, AttrNumber attnum)
{
    Oid target = planner_rt_fetch(root->parse->resultRelation, root)->relid;
    const char *name = get_attname(info->relid, attnum, false);
    ListCell *cell;

    foreach (cell, root->update_colnos)
        if (strcmp(get_attname(target, (AttrNumber)lfirst_int(cell), false), name) == 0)
            return true;
    return get_attgenerated(info->relid, attnum) != '\0';
}

static bool
plan_sets_all(PlannerInfo *root, const RelationInfo *info)
{
    for (int i = 0; i < info->data_count; i++)
        if (!plan_sets_column(root, info, info->data[i].attnum))
            return false;
    return true;
}

/* PostgreSQL asks for the whole row of every target by itself; this is whether the statement does.
 */
static bool
plan_names_row(const PlannerInfo *root)
{
    const Query *query = root->parse;
    Bitmapset *attributes = NULL;
    ListCell *cell;

    foreach (cell, query->targetList)
        if (!lfirst_node(TargetEntry, cell)->resjunk)
            pull_varattnos((Node *)lfirst_node(TargetEntry, cell)->expr,
                           (Index)query->resultRelation, &attributes);
    pull_varattnos((Node *)query->jointree, (Index)query->resultRelation, &attributes);
    return bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, attributes);
}

static bool
plan_has_update_triggers(Oid relid)
{
    Relation relation = table_open(relid, NoLock);
    const TriggerDesc *triggers = relation->trigdesc;
    bool has =
        triggers != NULL && (triggers->trig_update_before_row || triggers->trig_update_after_row);

    table_close(relation, NoLock);
    return has;
}

bool
plan_is_blind(PlannerInfo *root, const RelOptInfo *rel, List *attributes)
{
    const RelationInfo *info = plan_relation(rel);

    if (!bms_is_member((int)rel->relid, root->leaf_result_relids))
        return false;
    for (int i = 0; i < info->data_count; i++)
        if (list_member_int(attributes, info->data[i].attnum))
            return false;
    if (!list_member_int(attributes, InvalidAttrNumber))
        return true;
    return root->parse->commandType == CMD_UPDATE && plan_sets_all(root, info) &&
           !plan_names_row(root) && !plan_has_update_triggers(info->relid);
}

static List *
plan_encode(const RelationInfo *info, const KeyQual *quals, List *attributes, bool is_blind)
{
    List *value_types = NIL;
    List *is_array = NIL;

    for (int i = 0; quals != NULL && i < info->key_count; i++)
    {
        value_types = lappend_oid(value_types, quals[i].value_type);
        is_array = lappend_int(is_array, quals[i].is_array);
    }
    return list_make5(makeInteger(quals != NULL), value_types, is_array, attributes,
                      makeInteger(is_blind));
}

ScanPlan
plan_decode(const ForeignScan *scan)
{
    List *private = scan->fdw_private;
    ScanPlan plan = {.is_lookup = intVal(list_nth(private, PRIVATE_IS_LOOKUP))};
    List *value_types = list_nth(private, PRIVATE_VALUE_TYPES);
    List *is_array = list_nth(private, PRIVATE_IS_ARRAY);
    ListCell *cell;

    for (int i = 0; i < list_length(value_types); i++)
    {
        plan.value_types[i] = list_nth_oid(value_types, i);
        plan.is_array[i] = list_nth_int(is_array, i) != 0;
    }
    plan.is_blind = intVal(list_nth(private, PRIVATE_IS_BLIND)) != 0;
    foreach (cell, (List *)list_nth(private, PRIVATE_ATTRIBUTES))
        plan.attributes =
            bms_add_member(plan.attributes, lfirst_int(cell) - FirstLowInvalidHeapAttributeNumber);
    return plan;
}

ForeignScan *
dynamoGetForeignPlan(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid,
                     ForeignPath *best_path, List *tlist, List *scan_clauses, Plan *outer_plan)
{
    const RelationInfo *info = plan_relation(baserel);
    List *local = extract_actual_clauses(scan_clauses, false);
    QualsTable table = plan_table(root, baserel);
    bool is_lookup = intVal(linitial(best_path->fdw_private));
    KeyQual *quals = is_lookup ? quals_choose(&table, local) : NULL;
    List *named = NIL;
    List *values = NIL;
    List *attributes;

    for (int i = 0; quals != NULL && i < info->key_count; i++)
    {
        local = list_delete_ptr(local, quals[i].clause);
        named = lappend(named, quals_column_first(&table, &quals[i]));
        values = lappend(values, quals[i].value);
    }
    attributes = plan_attributes(baserel, local);
    return make_foreignscan(
        tlist, local, baserel->relid, values,
        plan_encode(info, quals, attributes, plan_is_blind(root, baserel, attributes)), NIL, named,
        outer_plan);
}
