/*
 * The server with real sockets: it runs on a thread of its own, clients are libpq or raw bytes.
 * Its handler answers ECHO at once, WAIT when it is cancelled, and sends every frame back.
 */
#include "shared/wire/chunk.h"
#include "test/unit/node/server/server_fixture.h"

#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <openssl/ssl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

/* Of the running server; one test runs at a time. */
static uv_loop_t *session_loop;

/* ---- the handler ---- */

static const Column echo_columns[] = {
    {"text",   COLUMN_TEXT},
    {"number", COLUMN_INT8},
    {"flag",   COLUMN_BOOL}
};

static void
on_query(void *ctx, Session *session, const char *sql)
{
    const char *values[] = {sql, "42", NULL};

    if (strcmp(sql, "WAIT") == 0)
        return;
    if (*sql == '\0')
    {
        session_empty(session);
        return;
    }
    if (strncmp(sql, "ECHO", 4) != 0)
    {
        session_error(session, "42601", "unknown command", NULL, "Say ECHO.");
        return;
    }
    session_columns(session, echo_columns, 3);
    session_row(session, values);
    session_complete(session, "ECHO 1");
}

static bool
on_describe(void *ctx, Session *session, const char *sql, const Column **columns, size_t *count)
{
    if (strncmp(sql, "ECHO", 4) != 0)
    {
        session_error(session, "42601", "unknown command", NULL, NULL);
        return false;
    }
    *columns = echo_columns;
    *count = 3;
    return true;
}

static void
on_cancel(void *ctx, Session *session)
{
    session_error(session, "57014", "canceled", NULL, NULL);
}

static void
on_later(uv_timer_t *timer)
{
    Session *session = timer->data;

    session_send_frame(session, slice_from_string("held"));
    uv_close((uv_handle_t *)timer, NULL);
}

static void
answer_later(Session *session)
{
    static uv_timer_t timer; /* one at a time is enough */

    uv_timer_init(session_loop, &timer);
    timer.data = session;
    uv_timer_start(&timer, on_later, 300, 0);
}

static void
on_frame(void *ctx, Session *session, Slice frame)
{
    if (slice_equal(frame, slice_from_string("hold")))
        answer_later(session);
    else
        session_send_frame(session, frame);
}

static const ServerHandler handler = {
    .query = on_query, .describe = on_describe, .stream_frame = on_frame, .cancel = on_cancel};

static Fixture *
start_with(const char *const *settings)
{
    Fixture *fixture = fixture_start(&handler, NULL, settings);

    session_loop = fixture_loop(fixture);
    return fixture;
}

static Fixture *
start(void)
{
    return start_with(NULL);
}

/* ---- login ---- */

static void
who_has_the_password_gets_in(void **state)
{
    Fixture *fixture = start();
    PGconn *connection = fixture_connect_as(fixture, "shop");

    assert_int_equal(PQserverVersion(connection), 150000);
    assert_string_equal(PQparameterStatus(connection, "client_encoding"), "UTF8");
    assert_true(PQconnectionUsedPassword(connection));
    PQfinish(connection);
    fixture_stop(fixture);
}

static void
refusals_do_not_tell_who_exists(void **state)
{
    UsersPeerLogin own;

    users_peer_login(FIXTURE_KEYS.keys[0], &own);

    const struct
    {
        const char *user;
        const char *more;
    } attempts[] = {
        {"shop",   ""            },
        {"nobody", ""            },
        {"shop",   "dbname=other"},
        {"_peer",  ""            },
        {own.name, ""            },
        {"_peer_", ""            }
    };
    Fixture *fixture = start();

    for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
    {
        PGconn *connection = fixture_connect(fixture, attempts[i].user, "wrong", attempts[i].more);
        char expected[128];

        snprintf(expected, sizeof(expected), "password authentication failed for user \"%s\"",
                 attempts[i].user);
        assert_int_equal(PQstatus(connection), CONNECTION_BAD);
        assert_non_null(strstr(PQerrorMessage(connection), expected));
        PQfinish(connection);
    }
    fixture_stop(fixture);
}

static PGconn *
connect_peer(const Fixture *fixture, uint32_t key)
{
    UsersPeerLogin login;

    users_peer_login(FIXTURE_KEYS.keys[key], &login);
    return fixture_connect(fixture, login.name, login.password, "");
}

static void
await_input(const PGconn *connection)
{
    struct pollfd poll_fd = {PQsocket(connection), POLLIN, 0};

    assert_int_equal(poll(&poll_fd, 1, FIXTURE_DEADLINE_MS), 1);
}

static void
a_node_gets_in_with_any_key_until_that_is_removed(void **state)
{
    static ClusterKeys one_left;
    Fixture *fixture = start();
    PGconn *first = connect_peer(fixture, 0);
    PGconn *second = connect_peer(fixture, 1);
    PGconn *client = fixture_connect_as(fixture, "shop");
    char id[KEYRING_ID_SIZE];
    PGresult *result;

    assert_int_equal(PQstatus(first), CONNECTION_OK);
    assert_int_equal(PQstatus(second), CONNECTION_OK);
    one_left = FIXTURE_KEYS;
    keyring_id(one_left.keys[1], id);
    assert_false(keyring_remove(&one_left, id).failed);
    fixture_set_keys(fixture, &one_left);
    await_input(second);
    PQclear(PQexec(second, "ECHO"));
    assert_non_null(strstr(PQerrorMessage(second), "key of this session was removed"));
    PQfinish(second);
    second = connect_peer(fixture, 1);
    assert_int_equal(PQstatus(second), CONNECTION_BAD);
    assert_non_null(strstr(PQerrorMessage(second), "password authentication failed"));
    result = PQexec(first, "ECHO");
    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    PQclear(result);
    result = PQexec(client, "ECHO");
    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    PQclear(result);
    PQfinish(first);
    PQfinish(second);
    PQfinish(client);
    fixture_stop(fixture);
}

static void
a_database_of_another_name_does_not_exist(void **state)
{
    Fixture *fixture = start();
    PGconn *connection = fixture_connect(fixture, "shop", "secret", "dbname=other");

    assert_non_null(strstr(PQerrorMessage(connection), "database does not exist"));
    PQfinish(connection);
    fixture_stop(fixture);
}

static void
loopback_is_trusted_only_when_told(void **state)
{
    static const char *const settings[] = {"trust_loopback=on", NULL};
    UsersPeerLogin own;
    Fixture *fixture = start_with(settings);
    PGconn *connection = fixture_connect(fixture, "shop", "wrong", "");

    assert_int_equal(PQstatus(connection), CONNECTION_OK);
    PQfinish(connection);
    users_peer_login(FIXTURE_KEYS.keys[0], &own);
    connection = fixture_connect(fixture, own.name, "wrong", "");
    assert_int_equal(PQstatus(connection), CONNECTION_BAD);
    PQfinish(connection);
    connection = fixture_connect(fixture, "nobody", "wrong", "");
    assert_int_equal(PQstatus(connection), CONNECTION_BAD);
    PQfinish(connection);
    fixture_stop(fixture);
}

static void
hostile_startup_packets_are_refused(void **state)
{
    Fixture *fixture = start();

    fixture_assert_refused(fixture, FIXTURE_BYTES("\0\0\0\0"), "08P01");
    fixture_assert_refused(fixture, FIXTURE_BYTES("\xff\xff\xff\xff"), "08P01");
    fixture_assert_refused(fixture, FIXTURE_BYTES("\0\0\x27\x11"), "08P01");
    fixture_assert_refused(fixture, FIXTURE_BYTES("GET / HTTP/1.1\r\n\r\n"), "08P01");
    fixture_assert_refused(fixture, FIXTURE_BYTES("\0\0\0\x09\0\3\0\0\0"), "no user name");
    fixture_assert_refused(fixture, FIXTURE_BYTES("\0\0\0\x13\0\2\0\0user\0shop\0\0"),
                           "unsupported frontend");
    fixture_assert_refused(fixture, FIXTURE_BYTES(FIXTURE_SSL_REQUEST FIXTURE_STARTUP),
                           "unencrypted data");
    fixture_assert_refused(fixture, FIXTURE_BYTES(FIXTURE_GSS_REQUEST FIXTURE_STARTUP),
                           "unencrypted data");
    fixture_assert_refused(fixture, FIXTURE_BYTES(FIXTURE_STARTUP FIXTURE_STARTUP),
                           "unexpected message type");
    fixture_assert_refused(fixture,
                           FIXTURE_BYTES(FIXTURE_STARTUP "Q\0\0\0\x09"
                                                         "ECHO\0"),
                           "unexpected message type");
    fixture_assert_refused(fixture, FIXTURE_BYTES(FIXTURE_STARTUP "p\0\0\x27\x10"),
                           "invalid message length");
    fixture_assert_refused(fixture, FIXTURE_BYTES(FIXTURE_STARTUP "p\0\0\0\x0cMD5\0\0\0\0\0"),
                           "SASL");
    fixture_stop(fixture);
}

static void
encryption_can_be_asked_for_once_each(void **state)
{
    static const char *const settings[] = {"ssl=off", NULL};
    Fixture *fixture = start_with(settings);
    int fd = fixture_connect_raw(fixture);
    char answer;
    Buffer all;

    fixture_send(fd, FIXTURE_BYTES(FIXTURE_GSS_REQUEST));
    assert_int_equal(recv(fd, &answer, 1, 0), 1);
    assert_int_equal(answer, 'N');
    fixture_send(fd, FIXTURE_BYTES(FIXTURE_SSL_REQUEST));
    assert_int_equal(recv(fd, &answer, 1, 0), 1);
    assert_int_equal(answer, 'N');
    fixture_send(fd, FIXTURE_BYTES(FIXTURE_SSL_REQUEST));
    all = fixture_read_to_end(fd);
    assert_true(fixture_has_text(&all, "asked for encryption twice"));
    buffer_free(&all);
    fixture_stop(fixture);
}

static void
a_newer_minor_version_is_negotiated(void **state)
{
    static const char startup[] = "\0\0\0\x1c\0\3\0\x02user\0shop\0_pq_.x\0y\0\0";
    static const char expected[] = "v\0\0\0\x13\0\3\0\0\0\0\0\x01_pq_.x\0R";
    Fixture *fixture = start();
    char answer[sizeof(expected) - 1];
    int fd = fixture_connect_raw(fixture);

    fixture_send(fd, startup, sizeof(startup) - 1);
    assert_int_equal(recv(fd, answer, sizeof(answer), MSG_WAITALL), sizeof(answer));
    assert_memory_equal(answer, expected, sizeof(answer));
    close(fd);
    fixture_stop(fixture);
}

static void
a_login_byte_by_byte_is_no_different(void **state)
{
    static const char bytes[] = FIXTURE_SSL_REQUEST;
    static const char *const settings[] = {"ssl=off", NULL};
    Fixture *fixture = start_with(settings);
    int fd = fixture_connect_raw(fixture);
    char answer;

    for (size_t i = 0; i < sizeof(bytes) - 1; i++)
        fixture_send(fd, bytes + i, 1);
    assert_int_equal(recv(fd, &answer, 1, 0), 1);
    for (size_t i = 0; i < sizeof(FIXTURE_STARTUP) - 1; i++)
        fixture_send(fd, &FIXTURE_STARTUP[i], 1);
    assert_int_equal(recv(fd, &answer, 1, 0), 1);
    assert_int_equal(answer, 'R');
    close(fd);
    fixture_stop(fixture);
}

static void
who_does_not_log_in_is_cut_in_time(void **state)
{
    Fixture *fixture = start();
    int fd = fixture_connect_raw(fixture);
    Buffer all;

    fixture_send(fd, FIXTURE_BYTES("\0\0"));
    all = fixture_read_to_end(fd);
    assert_true(fixture_has_text(&all, "timeout"));
    buffer_free(&all);
    fixture_stop(fixture);
}

static void
half_open_connections_keep_nobody_out(void **state)
{
    enum
    {
        FLOOD = 400
    };
    static const char *const settings[] = {"max_unauthenticated=8", "auth_timeout_ms=600000", NULL};
    Fixture *fixture = start_with(settings);
    int flood[FLOOD];
    PGconn *connection;

    for (size_t i = 0; i < FLOOD; i++)
        flood[i] = fixture_connect_raw(fixture);
    /* The very first attempts may fall into the burst of young connections. */
    connection = fixture_connect(fixture, "root", "secret", "");
    for (int i = 0; i < 60 && PQstatus(connection) != CONNECTION_OK; i++)
    {
        poll(NULL, 0, 50);
        PQreset(connection);
    }
    assert_int_equal(PQstatus(connection), CONNECTION_OK);
    PQfinish(connection);
    for (size_t i = 0; i < FLOOD; i++)
        close(flood[i]);
    fixture_stop(fixture);
}

/* ---- queries ---- */

static void
simple_queries_are_answered(void **state)
{
    Fixture *fixture = start();
    PGconn *connection = fixture_connect_as(fixture, "watcher");
    PGresult *result = PQexec(connection, "ECHO me");

    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    assert_int_equal(PQntuples(result), 1);
    assert_string_equal(PQfname(result, 1), "number");
    assert_int_equal(PQftype(result, 1), COLUMN_INT8);
    assert_string_equal(PQgetvalue(result, 0, 0), "ECHO me");
    assert_true(PQgetisnull(result, 0, 2));
    assert_string_equal(PQcmdStatus(result), "ECHO 1");
    PQclear(result);
    result = PQexec(connection, "");
    assert_int_equal(PQresultStatus(result), PGRES_EMPTY_QUERY);
    PQclear(result);
    PQfinish(connection);
    fixture_stop(fixture);
}

static void
an_error_does_not_end_the_session(void **state)
{
    Fixture *fixture = start();
    PGconn *connection = fixture_connect_as(fixture, "shop");
    PGresult *result;

    fixture_assert_query_fails(connection, "SELECT * FROM pg_class", "42601");
    result = PQexecParams(connection, "SELECT 1", 0, NULL, NULL, NULL, NULL, 0);
    fixture_assert_sqlstate(result, "42601");
    PQclear(result);
    result = PQexec(connection, "ECHO");
    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    PQclear(result);
    PQfinish(connection);
    fixture_stop(fixture);
}

static void
the_extended_protocol_gives_text_and_binary(void **state)
{
    static const unsigned char expected[8] = {0, 0, 0, 0, 0, 0, 0, 42};
    Fixture *fixture = start();
    PGconn *connection = fixture_connect_as(fixture, "shop");
    PGresult *result = PQexecParams(connection, "ECHO", 0, NULL, NULL, NULL, NULL, 0);

    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    assert_string_equal(PQgetvalue(result, 0, 1), "42");
    PQclear(result);
    result = PQexecParams(connection, "ECHO", 0, NULL, NULL, NULL, NULL, 1);
    assert_int_equal(PQgetlength(result, 0, 1), 8);
    assert_memory_equal(PQgetvalue(result, 0, 1), expected, 8);
    assert_int_equal(PQfformat(result, 1), 1);
    PQclear(result);
    PQfinish(connection);
    fixture_stop(fixture);
}

static void
prepared_statements_can_be_described_and_run_again(void **state)
{
    Fixture *fixture = start();
    PGconn *connection = fixture_connect_as(fixture, "shop");
    PGresult *result = PQprepare(connection, "named", "ECHO", 0, NULL);

    assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
    PQclear(result);
    result = PQprepare(connection, "named", "ECHO", 0, NULL);
    fixture_assert_sqlstate(result, "42P05");
    PQclear(result);
    result = PQdescribePrepared(connection, "named");
    assert_int_equal(PQnfields(result), 3);
    assert_int_equal(PQnparams(result), 0);
    PQclear(result);
    for (int i = 0; i < 3; i++)
    {
        result = PQexecPrepared(connection, "named", 0, NULL, NULL, NULL, 0);
        assert_int_equal(PQntuples(result), 1);
        PQclear(result);
    }
    result = PQexecPrepared(connection, "absent", 0, NULL, NULL, NULL, 0);
    fixture_assert_sqlstate(result, "26000");
    PQclear(result);
    PQfinish(connection);
    fixture_stop(fixture);
}

static void
parameters_are_refused(void **state)
{
    Fixture *fixture = start();
    PGconn *connection = fixture_connect_as(fixture, "shop");
    const char *values[] = {"1"};
    PGresult *result = PQexecParams(connection, "ECHO", 1, NULL, values, NULL, NULL, 0);

    fixture_assert_sqlstate(result, "08P01");
    PQclear(result);
    PQfinish(connection);
    fixture_stop(fixture);
}

static void
pipelined_queries_wait_for_their_turn(void **state)
{
    Fixture *fixture = start();
    PGconn *connection = fixture_connect_as(fixture, "shop");
    int answers = 0;
    PGresult *result;

    PQenterPipelineMode(connection);
    for (int i = 0; i < 50; i++)
        assert_int_equal(PQsendQueryParams(connection, "ECHO", 0, NULL, NULL, NULL, NULL, 0), 1);
    assert_int_equal(PQpipelineSync(connection), 1);
    while (answers < 50)
    {
        result = PQgetResult(connection);
        answers += PQresultStatus(result) == PGRES_TUPLES_OK;
        PQclear(result);
    }
    PQfinish(connection);
    fixture_stop(fixture);
}

static void
a_query_can_be_cancelled(void **state)
{
    Fixture *fixture = start();
    PGconn *connection = fixture_connect_as(fixture, "shop");
    PGcancel *cancel = PQgetCancel(connection);
    char error[256];
    PGresult *result;

    /* The second query comes while the first is in work, and must be answered after it. */
    PQsendQuery(connection, "WAIT");
    while (PQflush(connection) > 0)
        continue;
    /* A cancel that overtakes its query finds nothing to cancel: it is sent until it has. */
    while (PQconsumeInput(connection) && PQisBusy(connection))
    {
        struct pollfd poll_fd = {PQsocket(connection), POLLIN, 0};

        assert_int_equal(PQcancel(cancel, error, sizeof(error)), 1);
        poll(&poll_fd, 1, 20);
    }
    result = PQgetResult(connection);
    fixture_assert_sqlstate(result, "57014");
    PQclear(result);
    assert_null(PQgetResult(connection));
    result = PQexec(connection, "ECHO");
    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    PQclear(result);
    PQfreeCancel(cancel);
    PQfinish(connection);
    fixture_stop(fixture);
}

static void
messages_behind_a_query_in_work_wait(void **state)
{
    static const char echo[] = "Q\0\0\0\x09"
                               "ECHO\0";
    Fixture *fixture = start();
    PGconn *connection = fixture_connect(fixture, "shop", "secret", "sslmode=disable");
    PGcancel *cancel = PQgetCancel(connection);
    struct pollfd poll_fd = {PQsocket(connection), POLLIN, 0};
    char answers[1024] = "";
    size_t length = 0;
    char error[256];
    const char *first;
    const char *second;

    PQsendQuery(connection, "WAIT");
    while (PQflush(connection) > 0)
        continue;
    fixture_send(poll_fd.fd, echo, sizeof(echo) - 1);
    assert_int_equal(poll(&poll_fd, 1, 100), 0);
    while (poll(&poll_fd, 1, 20) == 0)
        assert_int_equal(PQcancel(cancel, error, sizeof(error)), 1);
    while ((second = memmem(answers, length, "ECHO 1", 6)) == NULL)
    {
        ssize_t got = recv(poll_fd.fd, answers + length, sizeof(answers) - length, 0);

        assert_true(got > 0);
        length += (size_t)got;
    }
    first = memmem(answers, length, "57014", 5);
    assert_non_null(first);
    assert_true(first < second);
    PQfreeCancel(cancel);
    PQfinish(connection);
    fixture_stop(fixture);
}

/* ---- streams ---- */

static PGconn *
begin_stream(PGconn *connection)
{
    PGresult *result = PQexec(connection, "STREAM 1");

    assert_int_equal(PQresultStatus(result), PGRES_COPY_BOTH);
    PQclear(result);
    return connection;
}

static PGconn *
open_stream(const Fixture *fixture)
{
    return begin_stream(fixture_connect_as(fixture, "shop"));
}

static void
send_frame(PGconn *connection, const char *data, size_t length)
{
    assert_int_equal(PQputCopyData(connection, data, (int)length), 1);
}

static void
expect_stream_error(PGconn *connection, const char *sqlstate)
{
    PGresult *result;
    char *data;

    assert_int_equal(PQgetCopyData(connection, &data, 0), -1);
    result = PQgetResult(connection);
    fixture_assert_sqlstate(result, sqlstate);
    PQclear(result);
}

static void
streams_need_role_and_version(void **state)
{
    Fixture *fixture = start();
    PGconn *connection = fixture_connect_as(fixture, "watcher");

    fixture_assert_query_fails(connection, "STREAM 1", "42501");
    PQfinish(connection);
    connection = fixture_connect_as(fixture, "shop");
    fixture_assert_query_fails(connection, "STREAM", "42601");
    fixture_assert_query_fails(connection, "STREAM 1 2", "42601");
    fixture_assert_query_fails(connection, "STREAM 2", "0A000");
    assert_non_null(strstr(PQerrorMessage(connection), "version 2"));
    assert_non_null(strstr(PQerrorMessage(connection), "version 1"));
    PQclear(PQexecParams(connection, "STREAM 1", 0, NULL, NULL, NULL, NULL, 0));
    assert_non_null(strstr(PQerrorMessage(connection), "simple query"));
    PQfinish(connection);
    fixture_stop(fixture);
}

static void
frames_come_back_in_order(void **state)
{
    Fixture *fixture = start();
    PGconn *connection = open_stream(fixture);
    char frame[64];

    for (int i = 0; i < 2000; i++)
        send_frame(connection, frame, (size_t)snprintf(frame, sizeof(frame), "%d frame", i));
    assert_int_equal(PQflush(connection), 0);
    for (int i = 0; i < 2000; i++)
        fixture_expect_frame(connection, frame,
                             (size_t)snprintf(frame, sizeof(frame), "%d frame", i));
    PQfinish(connection);
    fixture_stop(fixture);
}

static void
frames_of_every_size_pass(void **state)
{
    static const size_t sizes[] = {0, 1, 65530, 65531, 65532, 65536, 131072, 1000000, 5000000};
    Fixture *fixture = start();
    PGconn *connection = open_stream(fixture);
    char *data = malloc(5000000);

    assert_non_null(data);
    memset(data, 'x', 5000000);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
    {
        send_frame(connection, data, sizes[i]);
        assert_int_equal(PQflush(connection), 0);
        /* libpq takes an empty frame for none at all: another one shows that it passed. */
        if (sizes[i] == 0)
            continue;
        fixture_expect_frame(connection, data, sizes[i]);
    }
    free(data);
    PQfinish(connection);
    fixture_stop(fixture);
}

static void
a_stream_ends_when_the_client_says_so(void **state)
{
    Fixture *fixture = start();
    PGconn *connection = open_stream(fixture);
    PGresult *result;
    char *data;

    send_frame(connection, "last", 4);
    assert_int_equal(PQputCopyEnd(connection, NULL), 1);
    fixture_expect_frame(connection, "last", 4);
    assert_int_equal(PQgetCopyData(connection, &data, 0), -1);
    result = PQgetResult(connection);
    assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
    PQclear(result);
    assert_null(PQgetResult(connection));
    fixture_assert_query_fails(connection, "STREAM 1", "55000");
    PQfinish(connection);
    connection = open_stream(fixture);
    assert_int_equal(PQputCopyEnd(connection, "enough"), 1);
    assert_int_equal(PQgetCopyData(connection, &data, 0), -1);
    result = PQgetResult(connection);
    fixture_assert_sqlstate(result, "57014");
    PQclear(result);
    assert_null(PQgetResult(connection));
    PQfinish(connection);
    fixture_stop(fixture);
}

static void
a_frame_too_large_is_refused_before_it_comes(void **state)
{
    static const char header[] = "d\x04\0\0\x15"; /* one more than a frame and its tag have */
    Fixture *fixture = start();
    PGconn *connection =
        begin_stream(fixture_connect(fixture, "shop", "secret", "sslmode=disable"));

    fixture_send(PQsocket(connection), header, 5);
    expect_stream_error(connection, "54000");
    PQfinish(connection);
    fixture_stop(fixture);
}

/* The seal of a login in clear is not there, or does not fit. */
static void
a_frame_in_clear_without_its_seal_is_refused(void **state)
{
    Fixture *fixture = start();
    PGconn *connection =
        begin_stream(fixture_connect(fixture, "shop", "secret", "sslmode=disable"));

    send_frame(connection, "a frame that is longer than a tag", 33);
    assert_int_equal(PQflush(connection), 0);
    expect_stream_error(connection, "08P01");
    PQfinish(connection);
    fixture_stop(fixture);
}

static void
a_stream_in_clear_needs_a_password(void **state)
{
    static const char *const settings[] = {"trust_loopback=on", NULL};
    Fixture *fixture = start_with(settings);
    PGconn *connection = fixture_connect(fixture, "shop", "", "sslmode=disable");

    fixture_assert_query_fails(connection, "STREAM 1", "28000");
    PQfinish(connection);
    fixture_stop(fixture);
}

/* One chunk, as a client or a node may send it. */
static void
send_chunk(PGconn *connection, bool last, const char *piece)
{
    ChunkFrame chunk = {.last = last, .piece = slice_from_string(piece)};
    Buffer bytes;

    buffer_init(&bytes, &MEMORY_HEAP);
    chunk_encode(&bytes, 7, &chunk);
    send_frame(connection, (const char *)bytes.data, bytes.length);
    assert_int_equal(PQflush(connection), 0);
    buffer_free(&bytes);
}

static void
another_node_may_send_a_frame_in_parts(void **state)
{
    Fixture *fixture = start();
    PGconn *connection = begin_stream(connect_peer(fixture, 0));

    send_chunk(connection, false, "in ");
    send_frame(connection, "between", 7);
    send_chunk(connection, true, "parts");
    fixture_expect_frame(connection, "between", 7);
    fixture_expect_frame(connection, "in parts", 8);
    send_chunk(connection, false, "");
    expect_stream_error(connection, "08P01");
    PQfinish(connection);
    fixture_stop(fixture);
}

static void
a_client_may_not_send_a_frame_in_parts(void **state)
{
    Fixture *fixture = start();
    PGconn *connection = open_stream(fixture);

    send_chunk(connection, false, "part");
    expect_stream_error(connection, "08P01");
    PQfinish(connection);
    fixture_stop(fixture);
}

/* Its chunks wait for the client to fetch them; what is asked meanwhile is answered between two. */
static void
a_large_answer_holds_up_no_small_one(void **state)
{
    enum
    {
        LARGE = 48 * 1024 * 1024
    };
    Fixture *fixture = start();
    PGconn *connection = begin_stream(connect_peer(fixture, 0));
    char *data = malloc(LARGE);
    ChunkJoin join;
    Slice frame = SLICE_EMPTY;
    bool small = false;
    ChunkResult result = CHUNK_MORE;

    assert_non_null(data);
    memset(data, 'x', LARGE);
    send_frame(connection, data, LARGE);
    assert_int_equal(PQflush(connection), 0);
    chunk_join_init(&join, &MEMORY_HEAP, CHUNK_FRAME_MAX);
    for (int chunk = 0; result == CHUNK_MORE; chunk++)
    {
        char *got;
        int count = PQgetCopyData(connection, &got, 0);

        assert_true(count > 0);
        frame = slice_make(got, (size_t)count);
        if (chunk == 0)
        {
            send_frame(connection, "small", 5);
            assert_int_equal(PQflush(connection), 0);
        }
        if (slice_equal(frame, slice_from_string("small")))
            small = true;
        else
            result = chunk_join_add(&join, frame, &frame);
        PQfreemem(got);
    }
    assert_true(small);
    assert_int_equal(result, CHUNK_WHOLE);
    assert_true(slice_equal(frame, slice_make(data, LARGE)));
    chunk_join_free(&join);
    free(data);
    PQfinish(connection);
    fixture_stop(fixture);
}

/* A client that sends and never reads is not read from any more; memory stays bounded. */
static void
a_client_that_does_not_read_is_held_back(void **state)
{
    enum
    {
        CHUNK = 1 << 20,
        RECORD = 1 << 14,
        MUCH = 256
    };
    Fixture *fixture = start();
    PGconn *connection = open_stream(fixture);
    char *chunk = calloc(1, CHUNK);
    size_t sent = 0;
    int fd = PQsocket(connection);
    struct pollfd poll_fd = {fd, POLLOUT, 0};
    SSL *ssl = PQsslStruct(connection, "OpenSSL");
    PGconn *other;

    assert_non_null(chunk);
    chunk[0] = 'd';
    chunk[2] = (CHUNK - 1) >> 16 & 0xff;
    chunk[3] = (char)0xff;
    chunk[4] = (char)0xff;
    while (sent < (size_t)MUCH * CHUNK && poll(&poll_fd, 1, 500) == 1)
    {
        size_t left = CHUNK - sent % CHUNK;
        int n = SSL_write(ssl, chunk + sent % CHUNK, left < RECORD ? (int)left : RECORD);

        if (n > 0)
            sent += (size_t)n;
    }
    assert_true(sent < (size_t)MUCH * CHUNK);
    assert_true(sent > CHUNK);
    other = fixture_connect_as(fixture, "shop");
    PQfinish(other);
    free(chunk);
    PQfinish(connection);
    fixture_stop(fixture);
}

static void
the_end_of_the_server_is_told(void **state)
{
    Fixture *fixture = start();
    PGconn *idle = fixture_connect(fixture, "shop", "secret", "sslmode=disable");
    PGconn *stream = open_stream(fixture);
    char told[512] = "";

    fixture_stop(fixture);
    assert_true(recv(PQsocket(idle), told, sizeof(told), 0) > 0);
    assert_int_equal(told[0], 'E');
    assert_non_null(memmem(told, sizeof(told), "57P01", 5));
    expect_stream_error(stream, "57P01");
    PQfinish(idle);
    PQfinish(stream);
}

static void
a_frame_in_work_is_answered_before_the_end(void **state)
{
    Fixture *fixture = start();
    PGconn *connection = open_stream(fixture);

    send_frame(connection, "hold", 4);
    send_frame(connection, "echo", 4);
    assert_int_equal(PQflush(connection), 0);
    fixture_expect_frame(connection, "echo", 4);
    fixture_stop(fixture);
    fixture_expect_frame(connection, "held", 4);
    expect_stream_error(connection, "57P01");
    PQfinish(connection);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_the_password_gets_in),
        cmocka_unit_test(refusals_do_not_tell_who_exists),
        cmocka_unit_test(a_node_gets_in_with_any_key_until_that_is_removed),
        cmocka_unit_test(a_database_of_another_name_does_not_exist),
        cmocka_unit_test(loopback_is_trusted_only_when_told),
        cmocka_unit_test(hostile_startup_packets_are_refused),
        cmocka_unit_test(encryption_can_be_asked_for_once_each),
        cmocka_unit_test(a_newer_minor_version_is_negotiated),
        cmocka_unit_test(a_login_byte_by_byte_is_no_different),
        cmocka_unit_test(who_does_not_log_in_is_cut_in_time),
        cmocka_unit_test(half_open_connections_keep_nobody_out),
        cmocka_unit_test(simple_queries_are_answered),
        cmocka_unit_test(an_error_does_not_end_the_session),
        cmocka_unit_test(the_extended_protocol_gives_text_and_binary),
        cmocka_unit_test(prepared_statements_can_be_described_and_run_again),
        cmocka_unit_test(parameters_are_refused),
        cmocka_unit_test(pipelined_queries_wait_for_their_turn),
        cmocka_unit_test(a_query_can_be_cancelled),
        cmocka_unit_test(messages_behind_a_query_in_work_wait),
        cmocka_unit_test(streams_need_role_and_version),
        cmocka_unit_test(frames_come_back_in_order),
        cmocka_unit_test(frames_of_every_size_pass),
        cmocka_unit_test(a_stream_ends_when_the_client_says_so),
        cmocka_unit_test(a_frame_too_large_is_refused_before_it_comes),
        cmocka_unit_test(a_frame_in_clear_without_its_seal_is_refused),
        cmocka_unit_test(a_stream_in_clear_needs_a_password),
        cmocka_unit_test(another_node_may_send_a_frame_in_parts),
        cmocka_unit_test(a_client_may_not_send_a_frame_in_parts),
        cmocka_unit_test(a_large_answer_holds_up_no_small_one),
        cmocka_unit_test(a_client_that_does_not_read_is_held_back),
        cmocka_unit_test(the_end_of_the_server_is_told),
        cmocka_unit_test(a_frame_in_work_is_answered_before_the_end),
    };

    signal(SIGPIPE, SIG_IGN);
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
