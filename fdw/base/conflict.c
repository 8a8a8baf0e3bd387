/*
 * Reads the words of option on_conflict, and finds the function or the aggregates that they name.
 * Whatever is wrong is told at the statement that uses the table, not only when the option is set:
 * routines come and go without asking this table.
 */
#include "fdw/base/conflict.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_aggregate.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "fdw/base/compat.h"

/* ---- names ---- */

/* The schema's and the routine's name; NIL when the option is no such pair. */
static List *
conflict_split(const char *option)
{
    List *names = NIL;

    if (!SplitIdentifierString(pstrdup(option), '.', &names) || list_length(names) != 2)
        return NIL;
    return names;
}

bool
conflict_names_routine(const char *option)
{
    return conflict_split(option) != NIL;
}

ConflictMode
conflict_mode(const char *option)
{
    if (option == NULL || strcmp(option, "siblings") == 0)
        return CONFLICT_SIBLINGS;
    if (strcmp(option, "error") == 0)
        return CONFLICT_ERROR;
    if (strcmp(option, "latest") == 0)
        return CONFLICT_LATEST;
    return CONFLICT_FUNCTION;
}

/* ---- looking up ---- */

/* A routine being looked up, with what its errors say. */
typedef struct ConflictSearch
{
    const ConflictUse *use;
    const char *kind;   /* function or aggregate */
    const char *schema; /* not quoted */
    const char *name;   /* qualified and quoted */
    Oid argument;
    CompatFunction found;
} ConflictSearch;

static const char *
conflict_signature(const ConflictSearch *search)
{
    return psprintf("%s(%s)", search->name, format_type_be(search->argument));
}

static const char *
conflict_place(const ConflictUse *use)
{
    const char *table = psprintf("foreign table \"%s\"", use->table_name);

    return use->column_name == NULL ? table
                                    : psprintf("column \"%s\" of %s", use->column_name, table);
}

__attribute__((noreturn)) static void
conflict_refuse(const ConflictSearch *search, int code, const char *message)
{
    const char *place = conflict_place(search->use);

    ereport(ERROR, (errcode(code), errmsg_internal("%s", message),
                    errdetail("Option \"on_conflict\" of %s names it.", place),
                    errhint("The option takes %s %s over %s that returns %s.",
                            search->use->column_name == NULL ? "a" : "an", search->kind,
                            format_type_be(search->argument), format_type_be(search->use->type))));
}

static void
conflict_check_schema(const ConflictSearch *search)
{
    if (!OidIsValid(get_namespace_oid(search->schema, true)))
        conflict_refuse(search, ERRCODE_UNDEFINED_SCHEMA,
                        psprintf(_("schema \"%s\" does not exist"), search->schema));
}

/* One that takes the values themselves: no WITHIN GROUP. */
static bool
conflict_is_plain_aggregate(const ConflictSearch *search)
{
    HeapTuple tuple;
    bool is_plain;

    if (search->found.kind != FUNCDETAIL_AGGREGATE)
        return false;
    tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(search->found.id));
    if (!HeapTupleIsValid(tuple))
        return false;
    is_plain = ((Form_pg_aggregate)GETSTRUCT(tuple))->aggkind == AGGKIND_NORMAL;
    ReleaseSysCache(tuple);
    return is_plain;
}

static void
conflict_check_kind(const ConflictSearch *search)
{
    bool fits = search->use->column_name == NULL ? search->found.kind == FUNCDETAIL_NORMAL
                                                 : conflict_is_plain_aggregate(search);

    if (search->found.kind == FUNCDETAIL_NOTFOUND)
        conflict_refuse(
            search, ERRCODE_UNDEFINED_FUNCTION,
            psprintf(_("%s %s does not exist"), search->kind, conflict_signature(search)));
    if (search->found.kind == FUNCDETAIL_MULTIPLE)
        conflict_refuse(
            search, ERRCODE_AMBIGUOUS_FUNCTION,
            psprintf(_("%s %s is not unique"), search->kind, conflict_signature(search)));
    if (!fits)
        conflict_refuse(
            search, ERRCODE_WRONG_OBJECT_TYPE,
            psprintf(_("%s is not a plain %s"), conflict_signature(search), search->kind));
}

/* A column takes a result that has its very form, such as text for varchar. */
static bool
conflict_result_fits(const ConflictUse *use, Oid result)
{
    if (use->column_name == NULL)
        return result == use->type;
    return IsBinaryCoercible(getBaseType(result), getBaseType(use->type));
}

static void
conflict_check_result(const ConflictSearch *search)
{
    const CompatFunction *found = &search->found;
    Oid result = enforce_generic_type_consistency(&search->argument, found->argument_types, 1,
                                                  found->result, false);

    if (found->returns_set)
        conflict_refuse(
            search, ERRCODE_INVALID_FUNCTION_DEFINITION,
            psprintf(_("%s %s returns a set"), search->kind, conflict_signature(search)));
    if (!conflict_result_fits(search->use, result))
        conflict_refuse(search, ERRCODE_INVALID_FUNCTION_DEFINITION,
                        psprintf(_("%s %s returns %s, not %s"), search->kind,
                                 conflict_signature(search), format_type_be(result),
                                 format_type_be(search->use->type)));
}

ConflictRoutine
conflict_find_routine(const ConflictUse *use)
{
    List *names = conflict_split(use->option);
    const char *schema = linitial(names);
    const char *name = lsecond(names);
    ConflictSearch search = {
        .use = use,
        .kind = use->column_name == NULL ? "function" : "aggregate",
        .schema = schema,
        .name = quote_qualified_identifier(schema, name),
        .argument = use->column_name == NULL ? get_array_type(use->type) : use->type,
    };

    conflict_check_schema(&search);
    search.found = compat_find_function(schema, name, search.argument);
    conflict_check_kind(&search);
    conflict_check_result(&search);
    return (ConflictRoutine){search.name, search.found.id};
}

void
conflict_check_right(const ConflictRoutine *routine, const char *table_name)
{
    if (!compat_may_execute(routine->id, GetUserId()))
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("permission denied for function %s", routine->name),
                        errdetail("Foreign table \"%s\" calls it, as the current user, to resolve "
                                  "siblings.",
                                  table_name),
                        errhint("Have its owner grant EXECUTE on it to role %s.",
                                GetUserNameFromId(GetUserId(), false))));
}
