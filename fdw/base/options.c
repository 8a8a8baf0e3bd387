/*
 * The table of options, and the validator that holds a CREATE or ALTER against it. Each row says
 * where the option may stand, what values it takes and who may set it; SQL sees the same rows
 * through dynamo_fdw_options().
 */
#include "fdw/base/options.h"

#include "access/reloptions.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include <math.h>

#include "fdw/base/compat.h"
#include "fdw/base/conflict.h"
#include "shared/ring/topology.h"

typedef enum OptionForm
{
    FORM_TEXT,
    FORM_NAME, /* 1 to TOPOLOGY_NAME_MAX bytes */
    FORM_BOOL,
    FORM_COUNT,  /* of replicas: 1 to TOPOLOGY_N_MAX */
    FORM_SHARE,  /* likewise, or 0 */
    FORM_HEDGE,  /* milliseconds; empty: adaptive */
    FORM_REPAIR, /* wait or background */
    FORM_NUMBER, /* finite, not negative */
    FORM_PORTS,  /* comma separated */
    FORM_TLS,    /* with TLS or without, decided */
    FORM_MODE,   /* of a table's on_conflict */
    FORM_DOTTED  /* schema.name */
} OptionForm;

typedef enum OptionUse
{
    OURS,
    GUARD, /* ours; lowers a guard, so for superusers */
    LIBPQ, /* taken by libpq under this name */
    FILES  /* likewise; names a file that the server process would open, so for superusers */
} OptionUse;

typedef struct Option
{
    const char *name;
    Oid catalog; /* of the objects that take it */
    OptionForm form;
    OptionUse use;
    const char *meaning;
} Option;

#define SERVER ForeignServerRelationId
#define MAPPING UserMappingRelationId
#define TABLE ForeignTableRelationId
#define COLUMN AttributeRelationId

/* In the order in which hints list them. */
static const Option option_table[] = {
    {"host",                     SERVER,  FORM_TEXT,   LIBPQ, "addresses, comma separated"       },
    {"port",                     SERVER,  FORM_PORTS,  LIBPQ, "their ports, or one for all"      },
    {"n",                        SERVER,  FORM_COUNT,  OURS,  "replicas of each key (3)"         },
    {"r",                        SERVER,  FORM_COUNT,  OURS,  "replicas a read waits for (2)"    },
    {"w",                        SERVER,  FORM_COUNT,  OURS,  "replicas a write waits for (2)"   },
    {"pr",                       SERVER,  FORM_SHARE,  OURS,  "of these, that must be owners (0)"},
    {"pw",                       SERVER,  FORM_SHARE,  OURS,  "of these, that must be owners (0)"},
    {"node_confirms",            SERVER,  FORM_SHARE,  OURS,  "zones a write waits for (0)"      },
    {"hedge_after",              SERVER,  FORM_HEDGE,  OURS,  "ms until a read asks one more"    },
    {"read_repair",              SERVER,  FORM_REPAIR, OURS,  "wait (default) or background"     },
    {"fdw_startup_cost",         SERVER,  FORM_NUMBER, OURS,  "planner's cost of a round trip"   },
    {"fdw_tuple_cost",           SERVER,  FORM_NUMBER, OURS,  "planner's cost of a row fetched"  },
    {"connect_timeout",          SERVER,  FORM_NUMBER, LIBPQ, "seconds for one connection"       },
    {"application_name",         SERVER,  FORM_TEXT,   LIBPQ, "shown by the nodes"               },
    {"sslmode",                  SERVER,  FORM_TLS,    LIBPQ, "as libpq (disable)"               },
    {"sslrootcert",              SERVER,  FORM_TEXT,   FILES, "as libpq"                         },
    {"sslcrl",                   SERVER,  FORM_TEXT,   FILES, "as libpq"                         },
    {"sslcrldir",                SERVER,  FORM_TEXT,   FILES, "as libpq"                         },
    {"sslsni",                   SERVER,  FORM_TEXT,   LIBPQ, "as libpq"                         },
    {"ssl_min_protocol_version", SERVER,  FORM_TEXT,   LIBPQ, "as libpq"                         },
    {"ssl_max_protocol_version", SERVER,  FORM_TEXT,   LIBPQ, "as libpq"                         },
    {"channel_binding",          SERVER,  FORM_TEXT,   LIBPQ, "as libpq"                         },
    {"keepalives",               SERVER,  FORM_NUMBER, LIBPQ, "as libpq"                         },
    {"keepalives_idle",          SERVER,  FORM_NUMBER, LIBPQ, "as libpq"                         },
    {"keepalives_interval",      SERVER,  FORM_NUMBER, LIBPQ, "as libpq"                         },
    {"keepalives_count",         SERVER,  FORM_NUMBER, LIBPQ, "as libpq"                         },
    {"tcp_user_timeout",         SERVER,  FORM_NUMBER, LIBPQ, "as libpq"                         },
    {"user",                     MAPPING, FORM_TEXT,   LIBPQ, "user of the cluster"              },
    {"password",                 MAPPING, FORM_TEXT,   LIBPQ, "that user's password"             },
    {"password_required",        MAPPING, FORM_BOOL,   GUARD, "false: no password is fine"       },
    {"sslcert",                  MAPPING, FORM_TEXT,   FILES, "as libpq"                         },
    {"sslkey",                   MAPPING, FORM_TEXT,   FILES, "as libpq"                         },
    {"sslpassword",              MAPPING, FORM_TEXT,   LIBPQ, "as libpq"                         },
    {"bucket",                   TABLE,   FORM_NAME,   OURS,  "its name in the cluster"          },
    {"n",                        TABLE,   FORM_COUNT,  OURS,  "as the server's, for this table"  },
    {"r",                        TABLE,   FORM_COUNT,  OURS,  "as the server's, for this table"  },
    {"w",                        TABLE,   FORM_COUNT,  OURS,  "as the server's, for this table"  },
    {"pr",                       TABLE,   FORM_SHARE,  OURS,  "as the server's, for this table"  },
    {"pw",                       TABLE,   FORM_SHARE,  OURS,  "as the server's, for this table"  },
    {"node_confirms",            TABLE,   FORM_SHARE,  OURS,  "as the server's, for this table"  },
    {"hedge_after",              TABLE,   FORM_HEDGE,  OURS,  "as the server's, for this table"  },
    {"read_repair",              TABLE,   FORM_REPAIR, OURS,  "as the server's, for this table"  },
    {"on_conflict",              TABLE,   FORM_MODE,   OURS,  "what SELECT makes of siblings"    },
    {"rows",                     TABLE,   FORM_NUMBER, OURS,  "rows that the planner counts on"  },
    {"key",                      COLUMN,  FORM_BOOL,   OURS,  "part of the key"                  },
    {"context",                  COLUMN,  FORM_BOOL,   OURS,  "the causal context"               },
    {"column_name",              COLUMN,  FORM_NAME,   OURS,  "its name in the cluster"          },
    {"missing",                  COLUMN,  FORM_TEXT,   OURS,  "its value in rows without it"     },
    {"on_conflict",              COLUMN,  FORM_DOTTED, OURS,  "aggregate over siblings"          },
};

static bool
options_is_for_superusers(const Option *option)
{
    return option->use == GUARD || option->use == FILES;
}

/* ---- reading ---- */

const char *
options_find(List *options, const char *name)
{
    ListCell *cell;

    foreach (cell, options)
    {
        DefElem *option = lfirst_node(DefElem, cell);

        if (strcmp(option->defname, name) == 0)
            return defGetString(option);
    }
    return NULL;
}

bool
options_is_connection(const char *name)
{
    for (int i = 0; i < lengthof(option_table); i++)
        if (strcmp(option_table[i].name, name) == 0)
            return option_table[i].use == LIBPQ || option_table[i].use == FILES;
    return false;
}

bool
options_bool(List *options, const char *name, bool fallback)
{
    const char *text = options_find(options, name);
    bool value = fallback;

    if (text != NULL)
        parse_bool(text, &value);
    return value;
}

double
options_number(List *options, const char *name, double fallback)
{
    const char *text = options_find(options, name);

    return text != NULL ? strtod(text, NULL) : fallback;
}

/* ---- validating ---- */

static void
options_refuse_value(const char *name, const char *value, const char *hint)
{
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
             errmsg("invalid value for option \"%s\": \"%s\"", name, value), errhint("%s", hint)));
}

static void
options_check_boolean(const char *name, const char *value)
{
    bool ignored;

    if (!parse_bool(value, &ignored))
        options_refuse_value(name, value, "Give true or false.");
}

static void
options_check_replicas(const char *name, const char *value, long least)
{
    char *end;
    long count = strtol(value, &end, 10);

    if (end == value || *end != '\0' || count < least || count > TOPOLOGY_N_MAX)
        options_refuse_value(name, value,
                             psprintf("Give a number from %ld to %d.", least, (int)TOPOLOGY_N_MAX));
}

/* False: it is no such time. */
static bool
options_parse_hedge(const char *value, int *hedge_ms)
{
    *hedge_ms = 0;
    return value[0] == '\0' || (parse_int(value, hedge_ms, GUC_UNIT_MS, NULL) && *hedge_ms >= 1 &&
                                *hedge_ms <= OPTIONS_HEDGE_MAX_MS);
}

uint32
options_hedge_ms(const char *value)
{
    int hedge_ms;

    return options_parse_hedge(value, &hedge_ms) ? (uint32)hedge_ms : 0;
}

static void
options_check_hedge(const char *name, const char *value)
{
    int ignored;

    if (!options_parse_hedge(value, &ignored))
        options_refuse_value(name, value,
                             psprintf("Give milliseconds from 1 to %d, or nothing for what nearly "
                                      "all answers of a node take.",
                                      (int)OPTIONS_HEDGE_MAX_MS));
}

static void
options_check_repair(const char *name, const char *value)
{
    if (strcmp(value, "wait") != 0 && strcmp(value, "background") != 0)
        options_refuse_value(name, value, "Give wait or background.");
}

static void
options_check_number(const char *name, const char *value)
{
    char *end;
    double number = strtod(value, &end);

    if (end == value || *end != '\0' || !isfinite(number) || number < 0)
        options_refuse_value(name, value, "Give a number that is not negative.");
}

static void
options_check_ports(const char *name, const char *value)
{
    const char *at = value;

    for (;;)
    {
        char *end;
        long port = strtol(at, &end, 10);

        if (end == at || port < 1 || port > 65535 || (*end != ',' && *end != '\0'))
            options_refuse_value(name, value, "Give ports from 1 to 65535, separated by commas.");
        if (*end == '\0')
            return;
        at = end + 1;
    }
}

static void
options_check_name(const char *name, const char *value)
{
    if (value[0] == '\0' || strlen(value) > TOPOLOGY_NAME_MAX)
        options_refuse_value(name, value, psprintf("Give 1 to %d bytes.", (int)TOPOLOGY_NAME_MAX));
}

/* libpq's "prefer" and "allow" leave it to whoever answers. */
static void
options_check_tls(const char *name, const char *value)
{
    static const char *const modes[] = {"disable", "require", "verify-ca", "verify-full"};

    for (int i = 0; i < lengthof(modes); i++)
        if (strcmp(value, modes[i]) == 0)
            return;
    options_refuse_value(name, value, "Give disable, require, verify-ca or verify-full.");
}

static void
options_check_mode(const char *name, const char *value)
{
    if (conflict_mode(value) == CONFLICT_FUNCTION && !conflict_names_routine(value))
        options_refuse_value(name, value,
                             "Give siblings, error, latest, or a function as schema.name.");
}

static void
options_check_dotted(const char *name, const char *value)
{
    if (!conflict_names_routine(value))
        options_refuse_value(name, value, "Give an aggregate as schema.name.");
}

static void
options_check_value(const Option *option, const char *value)
{
    switch (option->form)
    {
    case FORM_TEXT:
        break;
    case FORM_NAME:
        options_check_name(option->name, value);
        break;
    case FORM_BOOL:
        options_check_boolean(option->name, value);
        break;
    case FORM_COUNT:
        options_check_replicas(option->name, value, 1);
        break;
    case FORM_SHARE:
        options_check_replicas(option->name, value, 0);
        break;
    case FORM_HEDGE:
        options_check_hedge(option->name, value);
        break;
    case FORM_REPAIR:
        options_check_repair(option->name, value);
        break;
    case FORM_NUMBER:
        options_check_number(option->name, value);
        break;
    case FORM_PORTS:
        options_check_ports(option->name, value);
        break;
    case FORM_TLS:
        options_check_tls(option->name, value);
        break;
    case FORM_MODE:
        options_check_mode(option->name, value);
        break;
    case FORM_DOTTED:
        options_check_dotted(option->name, value);
        break;
    }
}

static const Option *
options_lookup(const char *name, Oid catalog)
{
    for (int i = 0; i < lengthof(option_table); i++)
        if (option_table[i].catalog == catalog && strcmp(option_table[i].name, name) == 0)
            return &option_table[i];
    return NULL;
}

static void
options_refuse_name(const char *name, Oid catalog)
{
    StringInfoData valid;

    initStringInfo(&valid);
    for (int i = 0; i < lengthof(option_table); i++)
        if (option_table[i].catalog == catalog)
            appendStringInfo(&valid, "%s%s", valid.len > 0 ? ", " : "", option_table[i].name);
    ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("invalid option \"%s\"", name),
                    valid.len > 0 ? errhint("Valid options in this context are: %s", valid.data)
                                  : errhint("There are no valid options in this context.")));
}

static void
options_check(DefElem *given, Oid catalog)
{
    const Option *option = options_lookup(given->defname, catalog);

    if (option == NULL)
        options_refuse_name(given->defname, catalog);
    if (options_is_for_superusers(option) && !superuser())
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("permission denied to set option \"%s\"", option->name),
                        errhint("Only superusers may set options that name files on the server "
                                "or waive the password.")));
    options_check_value(option, defGetString(given));
}

/* What one list can already say; across lists the table is checked when it is used. */
static void
options_check_quorums(List *options)
{
    const char *n = options_find(options, "n");
    const char *quorums[] = {"r", "w", "pr", "pw", "node_confirms"};

    for (int i = 0; n != NULL && i < lengthof(quorums); i++)
    {
        const char *quorum = options_find(options, quorums[i]);

        if (quorum != NULL && atoi(quorum) > atoi(n))
            options_refuse_value(quorums[i], quorum,
                                 psprintf("It may not be greater than n, which is %s.", n));
    }
}

/* Siblings differ in data columns alone. */
static void
options_check_resolved(List *options)
{
    if (options_find(options, "on_conflict") != NULL &&
        (options_bool(options, "key", false) || options_bool(options, "context", false)))
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("a key or context column cannot have option \"on_conflict\""),
                        errdetail("All siblings of a key have one key and one context."),
                        errhint("Give the option to the data columns.")));
}

PG_FUNCTION_INFO_V1(dynamo_fdw_validator);
PGDLLEXPORT Datum
dynamo_fdw_validator(PG_FUNCTION_ARGS)
{
    List *options = untransformRelOptions(PG_GETARG_DATUM(0));
    Oid catalog = PG_GETARG_OID(1);
    ListCell *cell;

    foreach (cell, options)
        options_check(lfirst_node(DefElem, cell), catalog);
    options_check_quorums(options);
    if (options_bool(options, "key", false) && options_bool(options, "context", false))
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("a column cannot be both key and context")));
    options_check_resolved(options);
    PG_RETURN_VOID();
}

/* ---- showing ---- */

static const char *
options_catalog_name(Oid catalog)
{
    switch (catalog)
    {
    case SERVER:
        return "server";
    case MAPPING:
        return "user mapping";
    case TABLE:
        return "foreign table";
    default:
        return "column";
    }
}

PG_FUNCTION_INFO_V1(dynamo_fdw_options);
PGDLLEXPORT Datum
dynamo_fdw_options(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;

    InitMaterializedSRF(fcinfo, 0);
    for (int i = 0; i < lengthof(option_table); i++)
    {
        const Option *option = &option_table[i];
        Datum values[] = {CStringGetTextDatum(options_catalog_name(option->catalog)),
                          CStringGetTextDatum(option->name),
                          BoolGetDatum(options_is_for_superusers(option)),
                          CStringGetTextDatum(option->meaning)};
        bool nulls[lengthof(values)] = {false};

        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    return (Datum)0;
}
