/*
 * compat: every difference between PostgreSQL's versions that the extension meets, and nothing
 * else.
 *
 * Built and tested on 15 and 17, compiled for 16 and 18. Of 15's own minors:
 * DatumGetHeapTupleHeader, and so PG_GETARG_HEAPTUPLEHEADER, became a function in 15.20; a module
 * that uses them does not load on 15.18.
 */
#ifndef FDW_BASE_COMPAT_H
#define FDW_BASE_COMPAT_H

#include "fdw/base/pg.h"

#include "catalog/pg_foreign_server.h"
#include "catalog/pg_proc.h"
#include "commands/explain.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "optimizer/pathnode.h"
#include "parser/parse_func.h"
#include "parser/parse_type.h"
#include "utils/acl.h"
#include "utils/guc.h"

#include "storage/latch.h"
#include "utils/selfuncs.h"

#if PG_VERSION_NUM >= 160000
#include "nodes/miscnodes.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_relation.h"
#include "varatt.h"
#endif
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif

#if PG_VERSION_NUM < 150000
#define MarkGUCPrefixReserved(name) EmitWarningsOnPlaceholders(name)
#endif

#if PG_VERSION_NUM < 150000
/* What 15 has for every function that returns its rows in a tuplestore. */
static inline void
InitMaterializedSRF(FunctionCallInfo fcinfo, bits32 flags)
{
    ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;
    MemoryContext before;
    TupleDesc desc;

    if (result == NULL || !IsA(result, ReturnSetInfo) || !(result->allowedModes & SFRM_Materialize))
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("set-valued function called in context that cannot accept a set")));
    before = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
    if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    result->returnMode = SFRM_Materialize;
    result->setResult = tuplestore_begin_heap(true, false, work_mem);
    result->setDesc = desc;
    MemoryContextSwitchTo(before);
}
#endif

/* 17 added the restriction clauses of a pushed down join, 18 the number of disabled nodes. */
static inline ForeignPath *
compat_create_foreignscan_path(PlannerInfo *root, RelOptInfo *rel, double rows, Cost startup_cost,
                               Cost total_cost, Relids required_outer, List *private)
{
#if PG_VERSION_NUM >= 180000
    return create_foreignscan_path(root, rel, NULL, rows, 0, startup_cost, total_cost, NIL,
                                   required_outer, NULL, NIL, private);
#elif PG_VERSION_NUM >= 170000
    return create_foreignscan_path(root, rel, NULL, rows, startup_cost, total_cost, NIL,
                                   required_outer, NULL, NIL, private);
#else
    return create_foreignscan_path(root, rel, NULL, rows, startup_cost, total_cost, NIL,
                                   required_outer, NULL, private);
#endif
}

/* 17 asks statistics about an array that is no constant. */
static inline double
compat_estimate_array_length(PlannerInfo *root, Node *array)
{
#if PG_VERSION_NUM >= 170000
    return estimate_array_length(root, array);
#else
    return estimate_array_length(array);
#endif
}

#if PG_VERSION_NUM >= 160000
static inline Node *
compat_nulling_mutator(Node *node, void *tlist)
{
    ListCell *cell;

    if (node == NULL)
        return NULL;
    foreach (cell, (List *)tlist)
    {
        Expr *known = lfirst_node(TargetEntry, cell)->expr;

        if (IsA(node, Var) && IsA(known, Var) && ((Var *)node)->varno == ((Var *)known)->varno &&
            ((Var *)node)->varattno == ((Var *)known)->varattno)
            return copyObject((Node *)known);
        if (IsA(node, PlaceHolderVar) && IsA(known, PlaceHolderVar) &&
            ((PlaceHolderVar *)node)->phid == ((PlaceHolderVar *)known)->phid)
            return copyObject((Node *)known);
    }
    return expression_tree_mutator(node, compat_nulling_mutator, tlist);
}
#endif

/*
 * The expressions with each column as tlist has it. 16 marks in a Var which outer joins may have
 * made it null, so that one column looks different below and above a join; what is computed from
 * one tuple must have one look of it.
 */
static inline List *
compat_with_nulling_of(List *exprs, List *tlist)
{
#if PG_VERSION_NUM >= 160000
    return (List *)compat_nulling_mutator((Node *)exprs, tlist);
#else
    return exprs;
#endif
}

/* Lives until it is freed, at the latest (before 17) as long as context. */
static inline WaitEventSet *
compat_create_wait_event_set(MemoryContext context, int count)
{
#if PG_VERSION_NUM >= 170000
    return CreateWaitEventSet(NULL, count);
#else
    return CreateWaitEventSet(context, count);
#endif
}

/* The type of that name, or InvalidOid; text that is no type name raises. */
static inline Oid
compat_find_type(const char *name)
{
    Oid type = InvalidOid;
    int32 typmod;

#if PG_VERSION_NUM >= 160000
    ErrorSaveContext problem = {T_ErrorSaveContext};

    if (!parseTypeString(name, &type, &typmod, (Node *)&problem))
        return InvalidOid;
#else
    parseTypeString(name, &type, &typmod, true);
#endif
    return type;
}

/* What a function call would be resolved to. */
typedef struct CompatFunction
{
    FuncDetailCode kind; /* for NOTFOUND and MULTIPLE the rest is undefined */
    Oid id;
    Oid result; /* as declared: may be polymorphic, as argument_types may */
    bool returns_set;
    Oid *argument_types;
} CompatFunction;

/* The function that a call of schema.name with one argument of that type means; 14 asks whether
 * OUT arguments count. The schema exists. */
static inline CompatFunction
compat_find_function(const char *schema, const char *name, Oid argument)
{
    List *names = list_make2(makeString(pstrdup(schema)), makeString(pstrdup(name)));
    CompatFunction found = {0};
    int variadic_count;
    Oid variadic_type;
    List *defaults;

#if PG_VERSION_NUM >= 140000
    found.kind = func_get_detail(names, NIL, NIL, 1, &argument, false, true, false, &found.id,
                                 &found.result, &found.returns_set, &variadic_count, &variadic_type,
                                 &found.argument_types, &defaults);
#else
    found.kind = func_get_detail(names, NIL, NIL, 1, &argument, false, true, &found.id,
                                 &found.result, &found.returns_set, &variadic_count, &variadic_type,
                                 &found.argument_types, &defaults);
#endif
    return found;
}

#if PG_VERSION_NUM >= 160000
/* The table of the query that this one is a partition or a child of; itself if it is none. */
static inline Index
compat_named_table(EState *estate, Index index)
{
    ListCell *cell;

    if (exec_rt_fetch(index, estate)->perminfoindex != 0)
        return index;
    foreach (cell, estate->es_plannedstmt->appendRelations)
        if (lfirst_node(AppendRelInfo, cell)->child_relid == index)
            return compat_named_table(estate, lfirst_node(AppendRelInfo, cell)->parent_relid);
    return index;
}
#endif

/* Whose user mapping counts for a table of the range table: 16 moved it out of the entry, and has
 * it for the tables that a query names alone. */
static inline Oid
compat_check_user(EState *estate, Index index)
{
#if PG_VERSION_NUM >= 160000
    RangeTblEntry *entry = exec_rt_fetch(compat_named_table(estate, index), estate);
    Oid user = InvalidOid;

    if (entry->perminfoindex != 0)
        user = getRTEPermissionInfo(estate->es_rteperminfos, entry)->checkAsUser;
#else
    RangeTblEntry *entry = exec_rt_fetch(index, estate);
    Oid user = entry->checkAsUser;
#endif
    return OidIsValid(user) ? user : GetUserId();
}

/* The open table of a scan; 18 asks whether it is one that the query writes. */
static inline Relation
compat_range_table_relation(EState *estate, Index index)
{
#if PG_VERSION_NUM >= 180000
    return ExecGetRangeTableRelation(estate, index, false);
#else
    return ExecGetRangeTableRelation(estate, index);
#endif
}

static inline bool
compat_may_execute(Oid function_id, Oid user_id)
{
#if PG_VERSION_NUM >= 160000
    return object_aclcheck(ProcedureRelationId, function_id, user_id, ACL_EXECUTE) == ACLCHECK_OK;
#else
    return pg_proc_aclcheck(function_id, user_id, ACL_EXECUTE) == ACLCHECK_OK;
#endif
}

/* Raises 42501 when user may not use the server: 16 made one function of those for each kind of
 * object. */
static inline void
compat_check_server_usage(Oid server_id, const char *server_name, Oid user_id)
{
#if PG_VERSION_NUM >= 160000
    AclResult result = object_aclcheck(ForeignServerRelationId, server_id, user_id, ACL_USAGE);
#else
    AclResult result = pg_foreign_server_aclcheck(server_id, user_id, ACL_USAGE);
#endif

    if (result != ACLCHECK_OK)
        aclcheck_error(result, OBJECT_FOREIGN_SERVER, server_name);
}

/* Of a part of ALTER TABLE that was carried out: 15 marks one that goes through children. */
static inline bool
compat_adds_column(const AlterTableCmd *part)
{
#if PG_VERSION_NUM < 160000
    if (part->subtype == AT_AddColumnRecurse)
        return true;
#endif
    return part->subtype == AT_AddColumn;
}

#endif
