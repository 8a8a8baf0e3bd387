/*
 * Offers a custom path beside those of the planner wherever the inner side of a join is one of our
 * tables and its key comes from the outer rows, and makes the plan of it. batchrun.c runs it.
 */
#include "fdw/plan/batchjoin.h"

#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "foreign/fdwapi.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "optimizer/tlist.h"

#include "fdw/base/compat.h"
#include "fdw/base/settings.h"
#include "fdw/plan/plan.h"
#include "fdw/plan/quals.h"

typedef struct BatchJoinPath
{
    CustomPath path;
    RelOptInfo *inner;
    JoinType join_type;
    List *restrict_list; /* of the join */
    KeyQual *quals;      /* one for each key column */
} BatchJoinPath;

static set_join_pathlist_hook_type next_hook;

static Plan *batchjoin_make_plan(PlannerInfo *root, RelOptInfo *rel, CustomPath *best_path,
                                 List *tlist, List *clauses, List *custom_plans);

static const CustomPathMethods path_methods = {
    .CustomName = "DynamoBatchJoin",
    .PlanCustomPath = batchjoin_make_plan,
};

/* ---- does it apply ---- */

/* But for the ctid of a table that is written, its row's handle. */
static bool
batchjoin_reads_system_columns(const PlannerInfo *root, const RelOptInfo *inner)
{
    bool is_target = bms_is_member((int)inner->relid, root->leaf_result_relids);

    for (int attnum = inner->min_attr; attnum < 0; attnum++)
        if (!bms_is_empty(inner->attr_needed[attnum - inner->min_attr]) &&
            !(is_target && attnum == SelfItemPointerAttributeNumber))
            return true;
    return false;
}

/* Conditions are checked on a row that has no system column yet. */
static bool
batchjoin_tests_system_columns(const RelOptInfo *inner, List *restrict_infos)
{
    Bitmapset *attributes = NULL;

    pull_varattnos((Node *)extract_actual_clauses(restrict_infos, false), inner->relid,
                   &attributes);
    return bms_next_member(attributes, -1) >= 0 &&
           bms_next_member(attributes, -1) < 0 - FirstLowInvalidHeapAttributeNumber;
}

static bool
batchjoin_has_pseudoconstant(List *restrict_infos)
{
    ListCell *cell;

    foreach (cell, restrict_infos)
        if (lfirst_node(RestrictInfo, cell)->pseudoconstant)
            return true;
    return false;
}

/* Expressions that must be computed below an outer join cannot come from here. */
static bool
batchjoin_only_vars(List *exprs)
{
    ListCell *cell;

    foreach (cell, exprs)
        if (!IsA(lfirst(cell), Var))
            return false;
    return true;
}

/* A table that stands for its children too, or that constraints prove empty, was never sized: it
 * has no fdw_private. */
static bool
batchjoin_takes_inner(PlannerInfo *root, RelOptInfo *inner)
{
    return inner->reloptkind == RELOPT_BASEREL && inner->rtekind == RTE_RELATION &&
           inner->fdw_private != NULL && inner->fdwroutine != NULL &&
           inner->fdwroutine->GetForeignPlan == dynamoGetForeignPlan &&
           bms_is_empty(inner->lateral_relids) && !batchjoin_reads_system_columns(root, inner) &&
           !batchjoin_tests_system_columns(inner, inner->baserestrictinfo) &&
           !batchjoin_has_pseudoconstant(inner->baserestrictinfo) &&
           batchjoin_only_vars(inner->reltarget->exprs);
}

static bool
batchjoin_takes(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *inner, JoinType join_type,
                List *restrict_list)
{
    bool known_type = join_type == JOIN_INNER || join_type == JOIN_LEFT || join_type == JOIN_SEMI ||
                      join_type == JOIN_ANTI || join_type == JOIN_UNIQUE_OUTER;

    return settings.enable_batch_join && known_type && root->qual_security_level == 0 &&
           bms_is_empty(joinrel->lateral_relids) && !batchjoin_has_pseudoconstant(restrict_list) &&
           !batchjoin_tests_system_columns(inner, restrict_list) &&
           batchjoin_takes_inner(root, inner);
}

/* The conditions that decide about a match, as against those that filter the join's result. */
static List *
batchjoin_match_clauses(const RelOptInfo *joinrel, JoinType join_type, List *restrict_list)
{
    List *matching = NIL;
    ListCell *cell;

    foreach (cell, restrict_list)
    {
        RestrictInfo *restrict_info = lfirst_node(RestrictInfo, cell);

        if (!IS_OUTER_JOIN(join_type) || !RINFO_IS_PUSHED_DOWN(restrict_info, joinrel->relids))
            matching = lappend(matching, restrict_info->clause);
    }
    return matching;
}

/* One key for each outer row, or NULL. */
static KeyQual *
batchjoin_choose(PlannerInfo *root, const RelOptInfo *joinrel, const RelOptInfo *inner,
                 JoinType join_type, List *restrict_list)
{
    QualsTable table = plan_table(root, inner);
    List *matching = batchjoin_match_clauses(joinrel, join_type, restrict_list);
    List *own = extract_actual_clauses(inner->baserestrictinfo, false);
    KeyQual *quals = quals_choose(&table, list_concat_copy(matching, own));
    bool from_outer = false;

    if (quals == NULL)
        return NULL;
    for (int i = 0; i < table.info->key_count; i++)
    {
        if (quals[i].is_array)
            return NULL;
        from_outer = from_outer || list_member_ptr(matching, quals[i].clause);
    }
    return from_outer ? quals : NULL;
}

/* ---- paths ---- */

static void
batchjoin_set_cost(PlannerInfo *root, Path *path, const Path *outer, const BatchJoinPath *join)
{
    const RelationInfo *info = plan_relation(join->inner);
    double outer_rows = clamp_row_est(outer->rows);
    QualCost quals;

    cost_qual_eval(&quals, join->restrict_list, root);
    path->rows = path->parent->rows;
    path->startup_cost =
        outer->startup_cost + info->startup_cost + quals.startup + path->pathtarget->cost.startup;
    path->total_cost = outer->total_cost + quals.startup + path->pathtarget->cost.startup +
                       plan_lookup_cost(info, outer_rows, settings.join_batch_size) +
                       outer_rows * (2 * cpu_tuple_cost + quals.per_tuple +
                                     join->inner->baserestrictcost.per_tuple) +
                       path->rows * (cpu_tuple_cost + path->pathtarget->cost.per_tuple);
}

static void
batchjoin_add_path(PlannerInfo *root, RelOptInfo *joinrel, Path *outer, const BatchJoinPath *join)
{
    BatchJoinPath *copy = palloc(sizeof(BatchJoinPath));
    Path *path = &copy->path.path;

    *copy = *join;
    copy->path = (CustomPath){.path.type = T_CustomPath};
    path->pathtype = T_CustomScan;
    path->parent = joinrel;
    path->pathtarget = joinrel->reltarget;
    path->pathkeys = outer->pathkeys;
    copy->path.flags = CUSTOMPATH_SUPPORT_PROJECTION;
    copy->path.custom_paths = list_make1(outer);
    copy->path.methods = &path_methods;
    batchjoin_set_cost(root, path, outer, join);
    add_path(joinrel, path);
}

static void
batchjoin_add_paths(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
                    RelOptInfo *innerrel, JoinType join_type, JoinPathExtraData *extra)
{
    BatchJoinPath join = {
        .inner = innerrel, .join_type = join_type, .restrict_list = extra->restrictlist};
    ListCell *cell;

    if (next_hook != NULL)
        next_hook(root, joinrel, outerrel, innerrel, join_type, extra);
    if (!batchjoin_takes(root, joinrel, innerrel, join_type, extra->restrictlist))
        return;
    join.quals = batchjoin_choose(root, joinrel, innerrel, join_type, extra->restrictlist);
    if (join.quals == NULL)
        return;
    if (join_type == JOIN_UNIQUE_OUTER)
    {
        Path *unique = (Path *)create_unique_path(root, outerrel, outerrel->cheapest_total_path,
                                                  extra->sjinfo);

        join.join_type = JOIN_INNER;
        if (unique != NULL && unique->param_info == NULL)
            batchjoin_add_path(root, joinrel, unique, &join);
        return;
    }
    foreach (cell, outerrel->pathlist)
        if (((Path *)lfirst(cell))->param_info == NULL)
            batchjoin_add_path(root, joinrel, lfirst(cell), &join);
}

/* ---- plans ---- */

/* The clauses split up: by which rows they see, and without those that name the keys. */
typedef struct BatchJoinClauses
{
    List *keys;
    List *values;
    List *value_types;
    List *join;
    List *inner;
    List *other; /* filter the result of an outer join */
} BatchJoinClauses;

static BatchJoinClauses
batchjoin_split(PlannerInfo *root, const BatchJoinPath *path)
{
    QualsTable table = plan_table(root, path->inner);
    BatchJoinClauses clauses = {0};

    if (IS_OUTER_JOIN(path->join_type))
        extract_actual_join_clauses(path->restrict_list, path->path.path.parent->relids,
                                    &clauses.join, &clauses.other);
    else
        clauses.join = extract_actual_clauses(path->restrict_list, false);
    clauses.inner = extract_actual_clauses(path->inner->baserestrictinfo, false);
    for (int i = 0; i < table.info->key_count; i++)
    {
        const KeyQual *qual = &path->quals[i];

        clauses.join = list_delete_ptr(clauses.join, qual->clause);
        clauses.inner = list_delete_ptr(clauses.inner, qual->clause);
        clauses.keys = lappend(clauses.keys, quals_column_first(&table, qual));
        clauses.values = lappend(clauses.values, qual->value);
        clauses.value_types = lappend_oid(clauses.value_types, qual->value_type);
    }
    return clauses;
}

/*
 * Each column once. A whole row may be wanted as the table's row type and, by UPDATE, as a record:
 * one stands for both, as where it is a join's. Expressions see its type, so it is the table's.
 */
static List *
batchjoin_add_var(List *vars, Var *var)
{
    ListCell *cell;

    foreach (cell, vars)
    {
        const Var *known = lfirst(cell);

        if (var->varattno != known->varattno)
            continue;
        if (known->vartype == RECORDOID)
            lfirst(cell) = var;
        return vars;
    }
    return lappend(vars, var);
}

/* The table's Vars in an expression. */
static List *
batchjoin_table_vars(Node *expr, Index relid)
{
    List *found = pull_var_clause(expr, PVC_RECURSE_AGGREGATES | PVC_RECURSE_WINDOWFUNCS |
                                            PVC_RECURSE_PLACEHOLDERS);
    List *vars = NIL;
    ListCell *cell;

    foreach (cell, found)
        if (((Var *)lfirst(cell))->varno == (int)relid)
            vars = batchjoin_add_var(vars, lfirst(cell));
    return vars;
}

/*
 * The join's target counts, not the plan's target list: a projection above may replace that one.
 * What is computed from the joined row comes first, since the nodes above know the columns as it
 * does.
 */
static List *
batchjoin_inner_vars(const BatchJoinPath *path, const BatchJoinClauses *clauses)
{
    List *all = list_make5(path->path.path.parent->reltarget->exprs, clauses->other, clauses->keys,
                           clauses->join, clauses->inner);

    return batchjoin_table_vars((Node *)all, path->inner->relid);
}

static List *
batchjoin_scan_tlist(List *outer_tlist, List *inner_vars)
{
    List *scan_tlist = NIL;
    ListCell *cell;

    foreach (cell, outer_tlist)
        scan_tlist = lappend(
            scan_tlist, makeTargetEntry(copyObject(lfirst_node(TargetEntry, cell)->expr),
                                        (AttrNumber)(list_length(scan_tlist) + 1), NULL, false));
    return add_to_flat_tlist(scan_tlist, inner_vars);
}

static Plan *
batchjoin_make_plan(PlannerInfo *root, RelOptInfo *rel, CustomPath *best_path, List *tlist,
                    List *restrict_clauses, List *custom_plans)
{
    const BatchJoinPath *path = (const BatchJoinPath *)best_path;
    BatchJoinClauses clauses = batchjoin_split(root, path);
    List *outer_tlist = ((Plan *)linitial(custom_plans))->targetlist;
    List *inner_vars = batchjoin_inner_vars(path, &clauses);
    CustomScan *scan = makeNode(CustomScan);
    List *attributes = NIL;
    ListCell *cell;

    foreach (cell, inner_vars)
        attributes = lappend_int(attributes, ((Var *)lfirst(cell))->varattno);
    scan->scan.plan.targetlist = tlist;
    scan->flags = best_path->flags;
    scan->custom_plans = custom_plans;
    scan->custom_scan_tlist = batchjoin_scan_tlist(outer_tlist, inner_vars);
    scan->scan.plan.qual = compat_with_nulling_of(clauses.other, scan->custom_scan_tlist);
    scan->custom_exprs = compat_with_nulling_of(
        list_make4(clauses.values, clauses.join, clauses.inner, clauses.keys),
        scan->custom_scan_tlist);
    scan->custom_private = list_make5(
        makeInteger(path->join_type), makeInteger(list_length(outer_tlist)), clauses.value_types,
        attributes, makeInteger(plan_is_blind(root, path->inner, attributes)));
    scan->methods = GetCustomScanMethods(BATCHJOIN_SCAN, false);
    return &scan->scan.plan;
}

void
batchjoin_install(void)
{
    next_hook = set_join_pathlist_hook;
    set_join_pathlist_hook = batchjoin_add_paths;
}
