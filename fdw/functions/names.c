/*
 * The event trigger: looks at what a DDL command has done to columns and tables of ours, and writes
 * the options that keep what is stored where it is found.
 */
#include "fdw/functions/names.h"

#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_inherits.h"
#include "commands/defrem.h"
#include "commands/event_trigger.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "tcop/deparse_utility.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "fdw/base/compat.h"
#include "fdw/base/conflict.h"
#include "fdw/base/options.h"
#include "fdw/plan/plan.h"

enum
{
    NAMES_BUCKET_BYTES = 8, /* of chance in the name of a bucket */
    NAMES_COLUMN_BYTES = 4  /* likewise of a column in its bucket */
};

/* ---- options ---- */

static Datum
names_add_option(HeapTuple tuple, int cache, AttrNumber attribute, Oid catalog, const char *name,
                 const char *value)
{
    bool is_null;
    Datum options = SysCacheGetAttr(cache, tuple, attribute, &is_null);
    DefElem *added = makeDefElemExtended(NULL, pstrdup(name), (Node *)makeString(pstrdup(value)),
                                         DEFELEM_ADD, -1);

    return transformGenericOptions(catalog, is_null ? PointerGetDatum(NULL) : options,
                                   list_make1(added), InvalidOid);
}

/* Puts options in the place of those of a catalog's row. */
static void
names_store_options(Oid catalog, HeapTuple tuple, AttrNumber attribute, Datum options)
{
    Relation relation = table_open(catalog, RowExclusiveLock);
    int count = RelationGetNumberOfAttributes(relation);
    Datum *values = palloc0(count * sizeof(Datum));
    bool *nulls = palloc0(count * sizeof(bool));
    bool *replaces = palloc0(count * sizeof(bool));

    values[attribute - 1] = options;
    replaces[attribute - 1] = true;
    tuple = heap_modify_tuple(tuple, RelationGetDescr(relation), values, nulls, replaces);
    CatalogTupleUpdate(relation, &tuple->t_self, tuple);
    table_close(relation, RowExclusiveLock);
    CommandCounterIncrement();
}

static void
names_add_table_option(Oid relid, const char *name, const char *value)
{
    HeapTuple tuple = SearchSysCacheCopy1(FOREIGNTABLEREL, ObjectIdGetDatum(relid));

    names_store_options(ForeignTableRelationId, tuple, Anum_pg_foreign_table_ftoptions,
                        names_add_option(tuple, FOREIGNTABLEREL, Anum_pg_foreign_table_ftoptions,
                                         ForeignTableRelationId, name, value));
    CacheInvalidateRelcacheByRelid(relid);
}

static void
names_add_column_option(Oid relid, AttrNumber attnum, const char *name, const char *value)
{
    HeapTuple tuple = SearchSysCacheCopy2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attnum));

    names_store_options(AttributeRelationId, tuple, Anum_pg_attribute_attfdwoptions,
                        names_add_option(tuple, ATTNUM, Anum_pg_attribute_attfdwoptions,
                                         AttributeRelationId, name, value));
}

/* True when the column's own name is what it is stored under. */
static bool
names_goes_by_its_own(Oid relid, AttrNumber attnum)
{
    List *options = GetForeignColumnOptions(relid, attnum);

    return options_find(options, "column_name") == NULL && !options_bool(options, "context", false);
}

static char *
names_with_chance(const char *name, int bytes)
{
    uint8 chance[NAMES_BUCKET_BYTES];
    char hex[2 * NAMES_BUCKET_BYTES + 1];

    if (!pg_strong_random(chance, (size_t)bytes))
        ereport(ERROR,
                (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
    hex[hex_encode((const char *)chance, (size_t)bytes, hex)] = '\0';
    return psprintf("%s-%s", name, hex);
}

/* ---- tables ---- */

static bool
names_is_ours(Oid relid)
{
    ForeignServer *server;
    ForeignDataWrapper *wrapper;

    if (get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE)
        return false;
    server = GetForeignServer(GetForeignServerIdByRelId(relid));
    wrapper = GetForeignDataWrapper(server->fdwid);
    return OidIsValid(wrapper->fdwhandler) &&
           GetFdwRoutine(wrapper->fdwhandler)->GetForeignPlan == dynamoGetForeignPlan;
}

static void
names_give_bucket(Oid relid)
{
    const char *table_name = get_rel_name(relid);
    char *bucket;

    if (!names_is_ours(relid) || options_find(GetForeignTable(relid)->options, "bucket") != NULL)
        return;
    bucket = psprintf("%s.%s", get_namespace_name(get_rel_namespace(relid)), table_name);
    bucket = names_with_chance(bucket, NAMES_BUCKET_BYTES);
    names_add_table_option(relid, "bucket", bucket);
    ereport(NOTICE, (errmsg("foreign table \"%s\" is stored in bucket \"%s\"", table_name, bucket),
                     errhint("Set option \"bucket\" of the foreign table to choose the name.")));
}

/* The table and those that inherit from it: a change of columns goes through all. */
static List *
names_family(Oid relid)
{
    List *family = NIL;
    ListCell *cell;

    foreach (cell, find_all_inheritors(relid, NoLock, NULL))
        if (names_is_ours(lfirst_oid(cell)))
            family = lappend_oid(family, lfirst_oid(cell));
    return family;
}

/* ---- a renamed column ---- */

static void
names_keep_renamed(Oid relid, const RenameStmt *rename)
{
    ListCell *cell;

    foreach (cell, names_family(relid))
    {
        AttrNumber attnum = get_attnum(lfirst_oid(cell), rename->newname);

        if (AttributeNumberIsValid(attnum) && names_goes_by_its_own(lfirst_oid(cell), attnum))
            names_add_column_option(lfirst_oid(cell), attnum, "column_name", rename->subname);
    }
}

/* ---- an added column ---- */

static void
names_refuse_added(Relation relation, Form_pg_attribute attribute, const char *why,
                   const char *hint)
{
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("cannot add column \"%s\" to foreign table \"%s\"",
                           NameStr(attribute->attname), RelationGetRelationName(relation)),
                    errdetail("%s", why), errhint("%s", hint)));
}

/* What the expression gives now; NULL when that is NULL. */
static char *
names_value_text(Relation relation, Form_pg_attribute attribute, Node *expr, bool is_array)
{
    EState *estate = CreateExecutorState();
    ExprState *state = ExecPrepareExpr((Expr *)expr, estate);
    Oid type = attribute->atttypid;
    bool is_null;
    Datum value = ExecEvalExprSwitchContext(state, GetPerTupleExprContext(estate), &is_null);
    Datum *elements;
    bool *nulls;
    int count = 1;
    Oid output;
    bool is_varlena;

    if (!is_null && is_array)
    {
        int16 length;
        bool by_value;
        char align;

        type = get_element_type(type);
        get_typlenbyvalalign(type, &length, &by_value, &align);
        deconstruct_array(DatumGetArrayTypeP(value), type, length, by_value, align, &elements,
                          &nulls, &count);
        if (count != 1)
            names_refuse_added(relation, attribute,
                               "Its default is not one element, and a row from before may be any "
                               "number of siblings.",
                               "Give an array of one element, which each sibling gets.");
        value = elements[0];
        is_null = nulls[0];
    }
    if (is_null)
        return NULL;
    getTypeOutputInfo(type, &output, &is_varlena);
    return OidOutputFunctionCall(output, value);
}

/* In a form that reads the same whatever the reader's settings. */
static char *
names_portable_text(Relation relation, Form_pg_attribute attribute, Node *expr, bool is_array)
{
    int nesting = NewGUCNestLevel();
    static const char *const forms[][2] = {
        {"datestyle",          "ISO"       },
        {"intervalstyle",      "postgres"  },
        {"extra_float_digits", "3"         },
        {"search_path",        "pg_catalog"}
    };
    char *text;

    for (int i = 0; i < lengthof(forms); i++)
        (void)set_config_option(forms[i][0], forms[i][1], PGC_USERSET, PGC_S_SESSION,
                                GUC_ACTION_SAVE, true, 0, false);
    text = names_value_text(relation, attribute, expr, is_array);
    AtEOXact_GUC(true, nesting);
    return text;
}

/* The rows from before have not got the column: what its default gives now is theirs for ever, as
 * in a table. */
static void
names_keep_default(Relation relation, Form_pg_attribute attribute)
{
    Oid relid = RelationGetRelid(relation);
    const char *mode = options_find(GetForeignTable(relid)->options, "on_conflict");
    List *options = GetForeignColumnOptions(relid, attribute->attnum);
    bool is_array = conflict_mode(mode) == CONFLICT_SIBLINGS &&
                    options_find(options, "on_conflict") == NULL &&
                    OidIsValid(get_element_type(attribute->atttypid));
    Node *expr;
    char *text;

    if (attribute->attgenerated != '\0')
        names_refuse_added(relation, attribute,
                           "The rows from before would have no value of a generated column.",
                           "Create a table with the column over the same bucket, and UPDATE it.");
    if (options_find(options, "missing") != NULL || !attribute->atthasdef)
        return;
    expr = build_column_default(relation, attribute->attnum);
    if (expr == NULL)
        return;
    if (contain_volatile_functions(expr))
        names_refuse_added(relation, attribute,
                           "Its default is another one for each row, and the rows from before are "
                           "not written anew.",
                           "Add the column without a default, UPDATE the rows, and then ALTER "
                           "COLUMN ... SET DEFAULT.");
    text = names_portable_text(relation, attribute, expr, is_array);
    if (text != NULL)
        names_add_column_option(relid, attribute->attnum, "missing", text);
}

/* A column of that name may have been dropped, and its values be stored still. */
static void
names_begin_column(Oid relid, AttrNumber attnum)
{
    Relation relation = table_open(relid, NoLock);
    Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), attnum - 1);

    if (names_goes_by_its_own(relid, attnum))
        names_add_column_option(relid, attnum, "column_name",
                                names_with_chance(NameStr(attribute->attname), NAMES_COLUMN_BYTES));
    names_keep_default(relation, attribute);
    table_close(relation, NoLock);
    CacheInvalidateRelcacheByRelid(relid);
}

/* True when the column of that table came with its parent's, and was not there before. */
static bool
names_is_inherited(Oid relid, AttrNumber attnum)
{
    HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attnum));
    Form_pg_attribute attribute;
    bool is_inherited;

    if (!HeapTupleIsValid(tuple))
        return false;
    attribute = (Form_pg_attribute)GETSTRUCT(tuple);
    is_inherited = !attribute->attislocal && attribute->attinhcount == 1;
    ReleaseSysCache(tuple);
    return is_inherited;
}

static void
names_keep_added(const ObjectAddress *added)
{
    const char *name = get_attname(added->objectId, (AttrNumber)added->objectSubId, true);
    ListCell *cell;

    if (name == NULL)
        return;
    foreach (cell, names_family(added->objectId))
    {
        Oid relid = lfirst_oid(cell);
        AttrNumber attnum = get_attnum(relid, name);

        if (relid == added->objectId || names_is_inherited(relid, attnum))
            names_begin_column(relid, attnum);
    }
}

/* ---- commands ---- */

static void
names_keep_altered(const CollectedCommand *command)
{
    ListCell *cell;

    foreach (cell, command->d.alterTable.subcmds)
    {
        const CollectedATSubcmd *part = lfirst(cell);

        /* Where nothing was added (IF NOT EXISTS) there is no address. */
        if (compat_adds_column(castNode(AlterTableCmd, part->parsetree)) &&
            part->address.objectSubId > 0)
            names_keep_added(&part->address);
    }
}

static void
names_keep(const CollectedCommand *command)
{
    if (command->type == SCT_AlterTable)
        names_keep_altered(command);
    else if (command->type != SCT_Simple)
        return;
    else if (IsA(command->parsetree, CreateForeignTableStmt))
        names_give_bucket(command->d.simple.address.objectId);
    else if (IsA(command->parsetree, RenameStmt) &&
             ((RenameStmt *)command->parsetree)->renameType == OBJECT_COLUMN)
        names_keep_renamed(command->d.simple.address.objectId, (RenameStmt *)command->parsetree);
}

PG_FUNCTION_INFO_V1(dynamo_fdw_keep_names);
Datum
dynamo_fdw_keep_names(PG_FUNCTION_ARGS)
{
    if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
        ereport(ERROR, (errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
                        errmsg("dynamo_fdw_keep_names() can only be called by its event "
                               "trigger")));
    SPI_connect();
    SPI_execute("SELECT command FROM pg_catalog.pg_event_trigger_ddl_commands()", true, 0);
    for (uint64 i = 0; i < SPI_processed; i++)
    {
        bool is_null;
        Datum command = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &is_null);

        names_keep((const CollectedCommand *)DatumGetPointer(command));
    }
    SPI_finish();
    PG_RETURN_VOID();
}
