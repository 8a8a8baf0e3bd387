/*
 * Builds the query that makes one row of many siblings, keeps its plan as long as the scan, and
 * runs it for each key that has several.
 */
#include "fdw/row/combine.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "nodes/parsenodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

struct Combine
{
    const RelationInfo *info;
    TupleDesc desc;
    const bool *wanted;
    AttrNumber *filled; /* by the query's columns: the table's */
    int filled_count;
    MemoryContext context;
    SPIPlanPtr plan; /* NULL: not needed yet */
    MemoryContextCallback on_end;
};

Combine *
combine_new(const RelationInfo *info, TupleDesc desc, const bool *wanted)
{
    Combine *combine = palloc0(sizeof(Combine));

    combine->info = info;
    combine->desc = desc;
    combine->wanted = wanted;
    combine->filled = palloc(desc->natts * sizeof(AttrNumber));
    combine->context = CurrentMemoryContext;
    return combine;
}

/* ---- the query ---- */

/* Adds one result column: the table's column r.name, inside a call of routine if there is one. */
static void
combine_add_column(Combine *combine, StringInfo query, AttrNumber attnum,
                   const ConflictRoutine *routine)
{
    const char *name = NameStr(TupleDescAttr(combine->desc, attnum - 1)->attname);
    const char *separator = combine->filled_count > 0 ? ", " : "";

    if (routine == NULL)
        appendStringInfo(query, "%sr.%s", separator, quote_identifier(name));
    else
        appendStringInfo(query, "%s%s(r.%s)", separator, routine->name, quote_identifier(name));
    combine->filled[combine->filled_count++] = attnum;
}

/* Whole names only: the search_path is the caller's. */
static char *
combine_query(Combine *combine)
{
    const RelationInfo *info = combine->info;
    bool aggregates = info->conflict == CONFLICT_AGGREGATES;
    StringInfoData query;

    initStringInfo(&query);
    appendStringInfoString(&query, "SELECT ");
    for (int i = 0; !aggregates && i < info->key_count; i++)
        combine_add_column(combine, &query, info->keys[i].attnum, NULL);
    for (int i = 0; i < info->data_count; i++)
        if (!aggregates || combine->wanted[i])
            combine_add_column(combine, &query, info->data[i].attnum,
                               aggregates ? &info->data[i].aggregate : NULL);
    appendStringInfo(&query, " FROM %s($1) AS r",
                     aggregates ? "pg_catalog.unnest" : info->resolver.name);
    return query.data;
}

static void
combine_free_plan(void *plan)
{
    SPI_freeplan(plan);
}

/* Inside of SPI. The plan goes with the Combine's context, by whatever way that goes. */
static void
combine_plan(Combine *combine)
{
    Oid rows_type = get_array_type(combine->info->row_type);
    MemoryContext before = MemoryContextSwitchTo(combine->context);
    char *query = combine_query(combine);
    SPIPlanPtr plan;

    MemoryContextSwitchTo(before);
    plan = SPI_prepare_cursor(query, 1, &rows_type, CURSOR_OPT_GENERIC_PLAN);
    if (plan == NULL || SPI_keepplan(plan) != 0)
        elog(ERROR, "cannot prepare \"%s\": %s", query, SPI_result_code_string(SPI_result));
    combine->plan = plan;
    combine->on_end = (MemoryContextCallback){.func = combine_free_plan, .arg = plan};
    MemoryContextRegisterResetCallback(combine->context, &combine->on_end);
}

/* ---- running ---- */

static void
combine_refuse_null(const RelationInfo *info)
{
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_NULL_VALUE_NOT_ALLOWED),
                    errmsg("function %s returned NULL for siblings of foreign table \"%s\"",
                           info->resolver.name, info->table_name),
                    errdetail("Its result is the row that stands for the siblings."),
                    errhint("Return a row for every array of siblings. Only DELETE removes "
                            "a key.")));
}

/* Inside of SPI: copies the one result row out of it. */
static void
combine_take_result(const Combine *combine, Datum *values, bool *nulls)
{
    bool all_null = true;

    if (SPI_processed != 1)
        elog(ERROR, "resolving siblings of foreign table \"%s\" gave " UINT64_FORMAT " rows",
             combine->info->table_name, SPI_processed);
    for (int i = 0; i < combine->filled_count; i++)
    {
        int attribute_index = combine->filled[i] - 1;
        Form_pg_attribute attribute = TupleDescAttr(combine->desc, attribute_index);
        Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i + 1,
                                    &nulls[attribute_index]);

        if (!nulls[attribute_index])
            values[attribute_index] =
                SPI_datumTransfer(value, attribute->attbyval, attribute->attlen);
        all_null = all_null && nulls[attribute_index];
    }
    if (combine->info->conflict == CONFLICT_FUNCTION && all_null)
        combine_refuse_null(combine->info);
}

/* False: the statement reads no column that is made of siblings. */
static bool
combine_is_needed(const Combine *combine)
{
    if (combine->info->conflict == CONFLICT_FUNCTION)
        return true;
    for (int i = 0; i < combine->info->data_count; i++)
        if (combine->wanted[i])
            return true;
    return false;
}

void
combine_rows(Combine *combine, Datum *rows, uint32 count, Datum *values, bool *nulls)
{
    Datum array;
    int code;

    if (!combine_is_needed(combine))
        return;
    array = PointerGetDatum(
        construct_array(rows, (int)count, combine->info->row_type, -1, false, TYPALIGN_DOUBLE));
    if (SPI_connect() != SPI_OK_CONNECT)
        elog(ERROR, "SPI_connect failed");
    if (combine->plan == NULL)
        combine_plan(combine);
    code = SPI_execute_plan(combine->plan, &array, NULL, true, 0);
    if (code != SPI_OK_SELECT)
        elog(ERROR, "resolving siblings failed: %s", SPI_result_code_string(code));
    combine_take_result(combine, values, nulls);
    SPI_finish();
}
