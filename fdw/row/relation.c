/*
 * Reads a table's definition from the catalogs and its options, and refuses one that cannot be a
 * bucket, with a hint that says what would be one.
 */
#include "fdw/row/relation.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "foreign/foreign.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "fdw/base/options.h"
#include "fdw/base/settings.h"

/* What a key column's type is stored as. */
static const struct KeyTypeRow
{
    Oid type;
    KeyType key_type;
} key_type_table[] = {
    {INT2OID,        KEY_INTEGER    },
    {INT4OID,        KEY_INTEGER    },
    {INT8OID,        KEY_INTEGER    },
    {TEXTOID,        KEY_TEXT       },
    {VARCHAROID,     KEY_TEXT       },
    {BYTEAOID,       KEY_BYTEA      },
    {UUIDOID,        KEY_UUID       },
    {DATEOID,        KEY_DATE       },
    {TIMESTAMPOID,   KEY_TIMESTAMP  },
    {TIMESTAMPTZOID, KEY_TIMESTAMPTZ},
    {BOOLOID,        KEY_BOOLEAN    },
};

static KeyType
relation_key_type(const RelationInfo *info, Form_pg_attribute attribute, Oid base_type)
{
    for (int i = 0; i < lengthof(key_type_table); i++)
        if (key_type_table[i].type == base_type)
            return key_type_table[i].key_type;
    ereport(
        ERROR,
        (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
         errmsg("type %s of key column \"%s\" of foreign table \"%s\" is not supported",
                format_type_be(attribute->atttypid), NameStr(attribute->attname), info->table_name),
         errhint("A key column is smallint, integer, bigint, text, varchar, bytea, uuid, date, "
                 "timestamp, timestamptz or boolean.")));
}

static void
relation_add_key(RelationInfo *info, Form_pg_attribute attribute, const char *name)
{
    KeyColumn *key = &info->keys[info->key_count];

    if (info->key_count == KEY_COLUMNS_MAX)
        ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
                        errmsg("foreign table \"%s\" has more than %d key columns",
                               info->table_name, (int)KEY_COLUMNS_MAX)));
    key->attnum = attribute->attnum;
    key->name = name;
    key->base_type = getBaseType(attribute->atttypid);
    key->type = relation_key_type(info, attribute, key->base_type);
    if (key->type == KEY_TEXT && !get_collation_isdeterministic(attribute->attcollation))
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("collation of key column \"%s\" of foreign table \"%s\" is "
                               "nondeterministic",
                               NameStr(attribute->attname), info->table_name),
                        errhint("Use a deterministic collation. Two keys are equal only if "
                                "their bytes are equal.")));
    info->key_count++;
}

static void
relation_set_context(RelationInfo *info, Form_pg_attribute attribute)
{
    if (AttributeNumberIsValid(info->context_attnum))
        ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
                        errmsg("foreign table \"%s\" has more than one context column",
                               info->table_name)));
    if (getBaseType(attribute->atttypid) != BYTEAOID)
        ereport(ERROR,
                (errcode(ERRCODE_DATATYPE_MISMATCH),
                 errmsg("context column \"%s\" of foreign table \"%s\" has type %s, not bytea",
                        NameStr(attribute->attname), info->table_name,
                        format_type_be(attribute->atttypid))));
    info->context_attnum = attribute->attnum;
}

static void
relation_add_data(RelationInfo *info, Form_pg_attribute attribute, const char *name, List *options)
{
    info->data[info->data_count++] =
        (DataColumn){.attnum = attribute->attnum,
                     .name = name,
                     .missing = options_find(options, "missing"),
                     .on_conflict = options_find(options, "on_conflict")};
}

/* The type of one sibling's value, where a column holds all siblings'. */
static Oid
relation_element_type(const RelationInfo *info, Form_pg_attribute attribute)
{
    Oid element_type = get_element_type(attribute->atttypid);

    /* int2vector and the like have elements, but are no arrays that could be built from them. */
    if (!OidIsValid(element_type) || get_array_type(element_type) != attribute->atttypid)
        ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                        errmsg("data column \"%s\" of foreign table \"%s\" has type %s, which "
                               "is not an array type",
                               NameStr(attribute->attname), info->table_name,
                               format_type_be(attribute->atttypid)),
                        errdetail("A data column holds one element for each sibling."),
                        errhint("Declare the column as %s[], mark it with OPTIONS (key 'true') "
                                "or OPTIONS (context 'true'), or set option \"on_conflict\" of "
                                "the table so that siblings become one plain row.",
                                format_type_be(attribute->atttypid))));
    return element_type;
}

static const char *
relation_qualified_type(Oid type)
{
    return format_type_extended(type, -1, FORMAT_TYPE_FORCE_QUALIFY);
}

/* A domain's name may change, and what it demands is looked at by whoever reads: a value is stored
 * as one of the base type. */
static void
relation_set_data_type(const RelationInfo *info, DataColumn *column, Form_pg_attribute attribute)
{
    bool is_array = info->conflict == CONFLICT_SIBLINGS;
    Oid element_type = is_array ? relation_element_type(info, attribute) : attribute->atttypid;
    Oid base = getBaseType(element_type);

    column->is_array = is_array;
    column->element_type = element_type;
    column->typmod = attribute->atttypmod;
    column->stored_oid = base < FirstGenbkiObjectId ? base : 0;
    column->stored_type = column->stored_oid != 0 ? "" : relation_qualified_type(base);
    column->type_name = element_type < FirstGenbkiObjectId ? format_type_be(element_type)
                                                           : relation_qualified_type(element_type);
}

static void
relation_check_name(const RelationInfo *info, const char *name)
{
    int same = 0;

    for (int i = 0; i < info->key_count; i++)
        same += strcmp(info->keys[i].name, name) == 0;
    for (int i = 0; i < info->data_count; i++)
        same += strcmp(info->data[i].name, name) == 0;
    if (same > 1)
        ereport(ERROR,
                (errcode(ERRCODE_DUPLICATE_COLUMN),
                 errmsg("two columns of foreign table \"%s\" are stored under the name \"%s\"",
                        info->table_name, name),
                 errhint("Change option \"column_name\" of one of them.")));
}

static void
relation_add_column(RelationInfo *info, Form_pg_attribute attribute)
{
    List *options = GetForeignColumnOptions(info->relid, attribute->attnum);
    const char *name = options_find(options, "column_name");

    if (name == NULL)
        name = pstrdup(NameStr(attribute->attname));
    if (options_bool(options, "context", false))
    {
        relation_set_context(info, attribute);
        return;
    }
    if (options_bool(options, "key", false))
        relation_add_key(info, attribute, name);
    else
        relation_add_data(info, attribute, name, options);
    relation_check_name(info, name);
}

static void
relation_add_columns(RelationInfo *info, TupleDesc desc)
{
    info->data = palloc0(desc->natts * sizeof(DataColumn));
    for (int i = 0; i < desc->natts; i++)
    {
        Form_pg_attribute attribute = TupleDescAttr(desc, i);

        if (!attribute->attisdropped)
            relation_add_column(info, attribute);
    }
    if (info->key_count == 0)
        ereport(ERROR,
                (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
                 errmsg("foreign table \"%s\" has no key column", info->table_name),
                 errhint("Mark the key with ALTER FOREIGN TABLE ... ALTER COLUMN ... OPTIONS (ADD "
                         "key 'true').")));
}

/* ---- what is made of siblings ---- */

static int
relation_count_aggregates(const RelationInfo *info)
{
    int count = 0;

    for (int i = 0; i < info->data_count; i++)
        count += info->data[i].on_conflict != NULL;
    return count;
}

/* Aggregates make the whole row, or none of it. */
static void
relation_check_aggregates(const RelationInfo *info, const char *on_conflict)
{
    const DataColumn *missing = info->data;

    if (on_conflict != NULL)
        ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
                        errmsg("option \"on_conflict\" is given for foreign table \"%s\" and for "
                               "columns of it",
                               info->table_name),
                        errdetail("The option of a table makes the whole row from the siblings, "
                                  "the option of a column makes only that column."),
                        errhint("Drop the option of the table, or those of all columns.")));
    if (relation_count_aggregates(info) == info->data_count)
        return;
    while (missing->on_conflict != NULL)
        missing++;
    ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
                    errmsg("data column \"%s\" of foreign table \"%s\" has no option "
                           "\"on_conflict\"",
                           get_attname(info->relid, missing->attnum, false), info->table_name),
                    errdetail("Other columns have one, so every data column needs one."),
                    errhint("Give it an aggregate as schema.name, or drop the option of the other "
                            "columns.")));
}

static void
relation_find_routines(RelationInfo *info, const char *on_conflict)
{
    ConflictUse use = {
        .option = on_conflict, .table_name = info->table_name, .type = info->row_type};

    if (info->conflict == CONFLICT_FUNCTION)
        info->resolver = conflict_find_routine(&use);
    for (int i = 0; info->conflict == CONFLICT_AGGREGATES && i < info->data_count; i++)
    {
        use.option = info->data[i].on_conflict;
        use.column_name = get_attname(info->relid, info->data[i].attnum, false);
        use.type = info->data[i].element_type;
        info->data[i].aggregate = conflict_find_routine(&use);
    }
}

static void
relation_set_conflict(RelationInfo *info, TupleDesc desc, const char *on_conflict)
{
    info->conflict = conflict_mode(on_conflict);
    if (relation_count_aggregates(info) > 0)
    {
        relation_check_aggregates(info, on_conflict);
        info->conflict = CONFLICT_AGGREGATES;
    }
    for (int i = 0; i < info->data_count; i++)
        relation_set_data_type(info, &info->data[i], TupleDescAttr(desc, info->data[i].attnum - 1));
    relation_find_routines(info, on_conflict);
}

void
relation_check_conflict_rights(const RelationInfo *info)
{
    if (info->conflict == CONFLICT_FUNCTION)
        conflict_check_right(&info->resolver, info->table_name);
    for (int i = 0; info->conflict == CONFLICT_AGGREGATES && i < info->data_count; i++)
        conflict_check_right(&info->data[i].aggregate, info->table_name);
}

/* ---- the table ---- */

/* A number that the table may give, else the server, else nobody. */
static double
relation_number(List *table, List *server, const char *name, double fallback)
{
    return options_number(table, name, options_number(server, name, fallback));
}

/* How a quorum is called in options and settings, and which holds where none is given. */
static const struct QuorumRow
{
    const char *name;
    uint32 fallback;
    const int *setting;
    int unset; /* the setting's value that leaves it to the options */
} quorum_table[RELATION_QUORUMS] = {
    [RELATION_R] = {"r",             OPTIONS_DEFAULT_R, &settings.r,             0 },
    [RELATION_W] = {"w",             OPTIONS_DEFAULT_W, &settings.w,             0 },
    [RELATION_PR] = {"pr",            0,                 &settings.pr,            -1},
    [RELATION_PW] = {"pw",            0,                 &settings.pw,            -1},
    [RELATION_NODE_CONFIRMS] = {"node_confirms", 0,                 &settings.node_confirms, -1},
};

static void
relation_check_quorum(const RelationInfo *info, const char *name, uint32 quorum, const char *source)
{
    if (quorum > info->n)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("%s %u of foreign table \"%s\" is greater than its n of %u", name,
                               quorum, info->table_name, info->n),
                        errhint("The value comes from %s.", source)));
}

static void
relation_set_quorums(RelationInfo *info, List *table, List *server)
{
    for (int i = 0; i < RELATION_QUORUMS; i++)
    {
        const struct QuorumRow *row = &quorum_table[i];

        info->quorums[i] =
            (uint32)relation_number(table, server, row->name, Min(row->fallback, info->n));
        relation_check_quorum(info, row->name, info->quorums[i],
                              options_find(table, row->name) != NULL ? "the table's options"
                                                                     : "the server's options");
    }
}

static void
relation_set_reading(RelationInfo *info, List *table, List *server)
{
    const char *hedge = options_find(table, "hedge_after");
    const char *repair = options_find(table, "read_repair");

    if (hedge == NULL)
        hedge = options_find(server, "hedge_after");
    if (repair == NULL)
        repair = options_find(server, "read_repair");
    info->hedge_ms = hedge != NULL ? options_hedge_ms(hedge) : 0;
    info->repair_later = repair != NULL && strcmp(repair, "background") == 0;
}

static const char *
relation_bucket_name(Relation rel, List *options)
{
    const char *bucket = options_find(options, "bucket");

    if (bucket == NULL)
        ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
                        errmsg("foreign table \"%s\" has no option \"bucket\"",
                               RelationGetRelationName(rel)),
                        errdetail("The option was dropped, or event triggers were disabled when "
                                  "the table was created."),
                        errhint("Name the bucket with ALTER FOREIGN TABLE ... OPTIONS (ADD bucket "
                                "'...').")));
    return bucket;
}

RelationInfo *
relation_info(Relation rel)
{
    RelationInfo *info = palloc0(sizeof(RelationInfo));
    ForeignTable *table = GetForeignTable(RelationGetRelid(rel));
    List *server = GetForeignServer(table->serverid)->options;

    info->relid = RelationGetRelid(rel);
    info->serverid = table->serverid;
    info->table_name = pstrdup(RelationGetRelationName(rel));
    info->bucket = relation_bucket_name(rel, table->options);
    info->n = (uint32)relation_number(table->options, server, "n", OPTIONS_DEFAULT_N);
    relation_set_quorums(info, table->options, server);
    relation_set_reading(info, table->options, server);
    info->rows = options_number(table->options, "rows", OPTIONS_DEFAULT_ROWS);
    info->startup_cost = options_number(server, "fdw_startup_cost", OPTIONS_DEFAULT_STARTUP_COST);
    info->tuple_cost = options_number(server, "fdw_tuple_cost", OPTIONS_DEFAULT_TUPLE_COST);
    info->row_type = rel->rd_rel->reltype;
    relation_add_columns(info, RelationGetDescr(rel));
    relation_set_conflict(info, RelationGetDescr(rel), options_find(table->options, "on_conflict"));
    return info;
}

uint32
relation_quorum(const RelationInfo *info, RelationQuorum quorum)
{
    const struct QuorumRow *row = &quorum_table[quorum];

    if (*row->setting == row->unset)
        return info->quorums[quorum];
    relation_check_quorum(info, row->name, (uint32)*row->setting,
                          psprintf("the setting dynamo_fdw.%s", row->name));
    return (uint32)*row->setting;
}

ClientReadOptions
relation_read_options(const RelationInfo *info)
{
    ClientReadOptions options = {.r = relation_quorum(info, RELATION_R),
                                 .pr = relation_quorum(info, RELATION_PR),
                                 .hedge_ms = info->hedge_ms,
                                 .timeout_ms = (uint32)settings.request_timeout_ms,
                                 .repair_later = info->repair_later};

    if (settings.hedge_after_ms >= 0)
        options.hedge_ms = (uint32)settings.hedge_after_ms;
    if (settings.read_repair != SETTINGS_REPAIR_TABLE)
        options.repair_later = settings.read_repair == SETTINGS_REPAIR_BACKGROUND;
    return options;
}

ClientQuorum
relation_write_quorum(const RelationInfo *info)
{
    return (ClientQuorum){.w = (uint8_t)relation_quorum(info, RELATION_W),
                          .pw = (uint8_t)relation_quorum(info, RELATION_PW),
                          .confirms = (uint8_t)relation_quorum(info, RELATION_NODE_CONFIRMS)};
}

Bucket *
relation_as_bucket(const RelationInfo *info)
{
    Bucket *bucket = palloc0(sizeof(Bucket));

    bucket->name = info->bucket;
    bucket->n = info->n;
    bucket->key_count = (uint32_t)info->key_count;
    for (int i = 0; i < info->key_count; i++)
    {
        bucket->key_types[i] = info->keys[i].type;
        bucket->key_names[i] = info->keys[i].name;
    }
    bucket->columns = palloc0(Max(info->data_count, 1) * sizeof(BucketColumn));
    bucket->column_count = (uint32_t)info->data_count;
    for (int i = 0; i < info->data_count; i++)
    {
        bucket->columns[i].name = info->data[i].name;
        bucket->columns[i].type = info->data[i].type_name;
    }
    return bucket;
}
