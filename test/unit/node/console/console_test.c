/*
 * The console over a real session, without a cluster behind it.
 */
#include "node/console/console.h"

#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "test/unit/node/server/server_fixture.h"

typedef struct Context
{
    Config config;
    Log *log;
    Console *console;
    Fixture *fixture;
    atomic_int shutdowns;
} Context;

static void
on_query(void *ctx, Session *session, const char *sql)
{
    console_query(((Context *)ctx)->console, session, sql);
}

static bool
on_describe(void *ctx, Session *session, const char *sql, const Column **columns, size_t *count)
{
    return console_describe(((Context *)ctx)->console, session, sql, columns, count);
}

static void
on_shutdown(void *ctx)
{
    ((Context *)ctx)->shutdowns++;
}

static int
start(void **state)
{
    static const ServerHandler handler = {.query = on_query, .describe = on_describe};
    Context *context = calloc(1, sizeof(Context));
    ConsoleHost host = {.keys = &FIXTURE_KEYS, .shutdown = on_shutdown, .ctx = context};

    assert_non_null(context);
    config_init(&context->config);
    assert_false(config_set(&context->config, "zone", "east").failed);
    assert_false(config_finish(&context->config).failed);
    assert_false(log_new("test", LOG_LEVEL_ERROR, "", &context->log).failed);
    host.config = &context->config;
    host.log = context->log;
    context->console = console_new(&host);
    context->fixture = fixture_start(&handler, context, NULL);
    *state = context;
    return 0;
}

static int
stop(void **state)
{
    Context *context = *state;

    fixture_stop(context->fixture);
    console_free(context->console);
    log_free(context->log);
    config_free(&context->config);
    free(context);
    return 0;
}

/* The first value of the answer, or "" when there is no row; fails on an error. */
static const char *
first_value(PGconn *connection, const char *sql)
{
    static char value[256];
    PGresult *result = PQexec(connection, sql);

    if (PQresultStatus(result) == PGRES_FATAL_ERROR)
        fail_msg("%s: %s", sql, PQresultErrorMessage(result));
    snprintf(value, sizeof(value), "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    return value;
}

static void
every_command_is_open_to_its_roles_only(void **state)
{
    /* What each answers without a cluster: "" stands for success. */
    static const struct
    {
        const char *sql;
        const char *stats;
        const char *data;
        const char *admin;
    } cases[] = {
        {"SHOW HELP",         "",      "",      ""     },
        {"SHOW CONFIG",       "",      "",      ""     },
        {"SHOW VERSION",      "",      "",      ""     },
        {"SHOW NODES",        "",      "",      ""     },
        {"SHOW RING",         "",      "",      ""     },
        {"SHOW STATS",        "",      "",      ""     },
        {"SHOW REPAIR",       "",      "",      ""     },
        {"SHOW REPAIR cart",  "57P03", "57P03", "57P03"},
        {"SHOW REAPING",      "",      "",      ""     },
        {"SHOW REAPING cart", "57P03", "57P03", "57P03"},
        {"SHOW ORPHANS",      "42501", "",      ""     },
        {"REAP",              "42501", "42501", "57P03"},
        {"ADOPT ORPHANS",     "42501", "42501", "57P03"},
        {"DROP ORPHANS cart", "42501", "42501", "57P03"},
        {"REPAIR",            "42501", "42501", "57P03"},
        {"REPAIR cart n1",    "42501", "42501", "57P03"},
        {"SHOW SCRUB",        "",      "",      ""     },
        {"SCRUB",             "42501", "42501", "57P03"},
        {"SCRUB STOP",        "42501", "42501", "57P03"},
        {"GET cart 1",        "42501", "57P03", "57P03"},
        {"GET cart 1 LOCAL",  "42501", "57P03", "57P03"},
        {"SHOW PLAN",         "",      "",      ""     },
        {"SHOW TRANSFERS",    "",      "",      ""     },
        {"JOIN a",            "42501", "42501", "57P03"},
        {"LEAVE a",           "42501", "42501", "57P03"},
        {"REPLACE a WITH b",  "42501", "42501", "57P03"},
        {"REPLACE a BY b",    "42501", "42501", "42601"},
        {"REMOVE a",          "42501", "42501", "57P03"},
        {"SET WEIGHT a 2",    "42501", "42501", "57P03"},
        {"SET WEIGHT a 0",    "42501", "42501", "22023"},
        {"SET WEIGHT a x",    "42501", "42501", "22023"},
        {"SET WEIGHT a",      "42601", "42601", "42601"},
        {"SET ZONE a east",   "42501", "42501", "57P03"},
        {"SET ZONE a",        "42601", "42601", "42601"},
        {"SHUTDOWN",          "42501", "42501", ""     },
    };
    static const char *const users[] = {"watcher", "shop", "root"};
    const Context *context = *state;

    for (size_t user = 0; user < 3; user++)
    {
        PGconn *connection = fixture_connect_as(context->fixture, users[user]);

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        {
            const char *expected[] = {cases[i].stats, cases[i].data, cases[i].admin};
            PGresult *result = PQexec(connection, cases[i].sql);
            const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

            if (strcmp(sqlstate == NULL ? "" : sqlstate, expected[user]) != 0)
                fail_msg("%s as %s: %s", cases[i].sql, users[user],
                         sqlstate == NULL ? "ok" : sqlstate);
            PQclear(result);
        }
        PQfinish(connection);
    }
    assert_int_equal(context->shutdowns, 1);
}

static void
help_lists_the_commands_as_rows(void **state)
{
    const Context *context = *state;
    PGconn *connection = fixture_connect_as(context->fixture, "watcher");
    PGresult *result = PQexec(connection, "SHOW HELP");
    bool has_get = false;

    assert_string_equal(PQfname(result, 0), "command");
    for (int i = 0; i < PQntuples(result); i++)
        has_get = has_get || strcmp(PQgetvalue(result, i, 0), "GET bucket key [LOCAL]") == 0;
    assert_true(has_get);
    PQclear(result);
    PQfinish(connection);
}

static void
keys_are_shown_to_admins_by_their_ids(void **state)
{
    const Context *context = *state;
    PGconn *connection = fixture_connect_as(context->fixture, "root");
    PGresult *result = PQexec(connection, "SHOW KEYS");
    char id[KEYRING_ID_SIZE];

    assert_int_equal(PQntuples(result), 2);
    for (int i = 0; i < 2; i++)
    {
        keyring_id(FIXTURE_KEYS.keys[i], id);
        assert_string_equal(PQgetvalue(result, i, 0), id);
        assert_string_equal(PQgetvalue(result, i, 1), i == 0 ? "t" : "f");
    }
    PQclear(result);
    PQfinish(connection);
    connection = fixture_connect_as(context->fixture, "shop");
    fixture_assert_query_fails(connection, "SHOW KEYS", "42501");
    PQfinish(connection);
}

static void
statements_may_have_comments_quotes_and_a_semicolon(void **state)
{
    const Context *context = *state;
    PGconn *connection = fixture_connect_as(context->fixture, "watcher");

    assert_string_equal(first_value(connection, "show zone"), "east");
    assert_string_equal(first_value(connection, "  SHOW\n\tZone ; "), "east");
    assert_string_equal(first_value(connection, "/* a */ SHOW -- b\n zone; -- c"), "east");
    assert_string_equal(first_value(connection, "SELECT 1"), "1");
    assert_string_equal(first_value(connection, "select version()"),
                        "PostgreSQL 15.0 (dynamo 1.0)");
    assert_string_equal(first_value(connection, "SHOW transaction isolation level"),
                        "read committed");
    assert_string_equal(first_value(connection, "-- nothing\n;;"), "");
    PQfinish(connection);
}

static void
what_drivers_say_by_themselves_is_accepted(void **state)
{
    static const char *const chatter[] = {
        "SET extra_float_digits = 3",
        "SET application_name TO 'it''s; me'",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "RESET ALL",
        "DISCARD ALL",
        "START TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "COMMIT",
        "SHOW transaction_read_only",
    };
    const Context *context = *state;
    PGconn *connection = fixture_connect_as(context->fixture, "watcher");

    for (size_t i = 0; i < sizeof(chatter) / sizeof(chatter[0]); i++)
        first_value(connection, chatter[i]);
    first_value(connection, "BEGIN");
    assert_int_equal(PQtransactionStatus(connection), PQTRANS_INTRANS);
    first_value(connection, "ROLLBACK");
    assert_int_equal(PQtransactionStatus(connection), PQTRANS_IDLE);
    PQfinish(connection);
}

static void
other_statements_are_errors_that_point_to_help(void **state)
{
    static const char *const statements[] = {
        "SELECT * FROM pg_class",
        ("SELECT c.oid, pg_catalog.pg_get_userbyid(c.relowner) AS \"x\" FROM a b c d e f g h i j k "
         "l"),
        "SHOW",
        "SHOW nothing_of_that_name",
        "SHOW NODES NOW",
        "'SHOW' HELP",
        "SHOW HELP; SHOW HELP",
        "SHOW 'x",
        "SHOW /* HELP",
        "GET cart",
        "SHUTDOWN NOW",
        "REPAIR cart n1 n2",
        "%s%n%s",
        "\x01\xff",
    };
    const Context *context = *state;
    PGconn *connection = fixture_connect_as(context->fixture, "root");

    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++)
    {
        PGresult *result = PQexec(connection, statements[i]);

        fixture_assert_sqlstate(result, "42601");
        assert_non_null(strstr(PQresultErrorField(result, PG_DIAG_MESSAGE_HINT), "SHOW HELP"));
        PQclear(result);
    }
    PQfinish(connection);
    assert_int_equal(context->shutdowns, 0);
}

static void
answers_have_typed_columns_in_both_protocols(void **state)
{
    const Context *context = *state;
    PGconn *connection = fixture_connect_as(context->fixture, "watcher");
    PGresult *result = PQexecParams(connection, "SHOW VERSION", 0, NULL, NULL, NULL, NULL, 1);

    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    assert_int_equal(PQftype(result, 2), COLUMN_INT8);
    assert_int_equal(PQgetlength(result, 0, 2), 8);
    PQclear(result);
    result = PQexecParams(connection, "SHOW zone", 0, NULL, NULL, NULL, NULL, 0);
    assert_string_equal(PQfname(result, 0), "zone");
    assert_string_equal(PQgetvalue(result, 0, 0), "east");
    PQclear(result);
    result = PQexecParams(connection, "", 0, NULL, NULL, NULL, NULL, 0);
    assert_int_equal(PQresultStatus(result), PGRES_EMPTY_QUERY);
    PQclear(result);
    PQfinish(connection);
}

static void
random_text_never_ends_the_session(void **state)
{
    static const char alphabet[] = "SHOW GET 'x\"--/**/;\n\t\\ab$1()\xc3\xa9";
    const Context *context = *state;
    PGconn *connection = fixture_connect_as(context->fixture, "shop");
    uint32_t seed = 1;

    for (int i = 0; i < 3000; i++)
    {
        char sql[64];
        size_t length = (size_t)(i % 60);

        for (size_t j = 0; j < length; j++)
        {
            seed = seed * 1664525 + 1013904223;
            sql[j] = alphabet[(seed >> 16) % (sizeof(alphabet) - 1)];
        }
        sql[length] = '\0';
        PQclear(PQexec(connection, sql));
        assert_int_equal(PQstatus(connection), CONNECTION_OK);
    }
    assert_string_equal(first_value(connection, "SHOW zone"), "east");
    PQfinish(connection);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_command_is_open_to_its_roles_only, start, stop),
        cmocka_unit_test_setup_teardown(help_lists_the_commands_as_rows, start, stop),
        cmocka_unit_test_setup_teardown(keys_are_shown_to_admins_by_their_ids, start, stop),
        cmocka_unit_test_setup_teardown(statements_may_have_comments_quotes_and_a_semicolon, start,
                                        stop),
        cmocka_unit_test_setup_teardown(what_drivers_say_by_themselves_is_accepted, start, stop),
        cmocka_unit_test_setup_teardown(other_statements_are_errors_that_point_to_help, start,
                                        stop),
        cmocka_unit_test_setup_teardown(answers_have_typed_columns_in_both_protocols, start, stop),
        cmocka_unit_test_setup_teardown(random_text_never_ends_the_session, start, stop),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
