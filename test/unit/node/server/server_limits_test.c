/*
 * Floods and slow readers, with real sockets: who must go, and that nobody else notices. The
 * handler echoes frames, but for those that ask for silence.
 */
#include "test/unit/node/server/server_fixture.h"

#include <openssl/ssl.h>
#include <arpa/inet.h>
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "node/server/session.h"

/* ---- the handler ---- */

static void
on_query(void *ctx, Session *session, const char *sql)
{
    session_complete(session, "OK");
}

static void
on_late(uv_timer_t *timer)
{
    session_send_frame(timer->data, slice_from_string("late"));
    uv_close((uv_handle_t *)timer, (uv_close_cb)free);
}

static void
on_frame(void *ctx, Session *session, Slice frame)
{
    uv_timer_t *timer;

    if (slice_equal(frame, slice_from_string("silence")))
        return;
    if (!slice_equal(frame, slice_from_string("late")))
    {
        session_send_frame(session, frame);
        return;
    }
    timer = malloc(sizeof(*timer));
    assert_non_null(timer);
    uv_timer_init(session_server(session)->loop, timer);
    timer->data = session;
    uv_timer_start(timer, on_late, 200, 0);
}

static const ServerHandler handler = {.query = on_query, .stream_frame = on_frame};

static PGconn *
open_stream(const Fixture *fixture)
{
    PGconn *connection = fixture_connect_as(fixture, "shop");
    PGresult *result = PQexec(connection, "STREAM 1");

    assert_int_equal(PQresultStatus(result), PGRES_COPY_BOTH);
    PQclear(result);
    return connection;
}

/* ---- logins ---- */

static void
assert_full(const Fixture *fixture, const char *user, const char *role)
{
    PGconn *connection = fixture_connect(fixture, user, "secret", "");

    assert_int_equal(PQstatus(connection), CONNECTION_BAD);
    assert_non_null(strstr(PQerrorMessage(connection), "too many clients"));
    assert_non_null(strstr(PQerrorMessage(connection), role));
    PQfinish(connection);
}

static void
a_role_whose_sessions_are_in_use_keeps_no_other_out(void **state)
{
    static const char *const settings[] = {"max_connections=2", "max_stats_connections=1",
                                           "max_admin_connections=1", NULL};
    Fixture *fixture = fixture_start(&handler, NULL, settings);
    PGconn *data[2] = {fixture_connect_as(fixture, "shop"), fixture_connect_as(fixture, "shop")};
    PGconn *stats;
    PGconn *admin;

    assert_full(fixture, "shop", "max_connections");
    stats = fixture_connect_as(fixture, "watcher");
    assert_full(fixture, "watcher", "max_stats_connections");
    admin = fixture_connect_as(fixture, "root");
    assert_full(fixture, "root", "max_admin_connections");
    PQfinish(data[0]);
    for (data[0] = NULL; PQstatus(data[0]) != CONNECTION_OK; poll(NULL, 0, 10))
    {
        PQfinish(data[0]);
        data[0] = fixture_connect(fixture, "shop", "secret", "");
    }
    PQfinish(data[0]);
    PQfinish(data[1]);
    PQfinish(stats);
    PQfinish(admin);
    fixture_stop(fixture);
}

static int
connect_from(const Fixture *fixture, uint32_t address)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    struct sockaddr_in server = {.sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)fixture_port(fixture)),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof(own)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&server, sizeof(server)), 0);
    return fd;
}

static bool
is_cut(int fd)
{
    char byte;
    ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT);

    return got == 0 || (got < 0 && errno != EAGAIN);
}

static void
too_many_of_one_address_cost_that_address_alone(void **state)
{
    enum
    {
        FLOOD = 100,
        MOST = 4
    };
    static const char *const settings[] = {"max_unauthenticated_per_address=4",
                                           "auth_timeout_ms=600000", NULL};
    Fixture *fixture = fixture_start(&handler, NULL, settings);
    int other = connect_from(fixture, INADDR_LOOPBACK + 1);
    int flood[FLOOD];
    int count = 0;
    int left = 0;

    /* As they come they are too young to be cut; then each newcomer costs one, oldest first. */
    do
    {
        flood[count] = connect_from(fixture, INADDR_LOOPBACK + 2);
        poll(NULL, 0, 50);
    } while (++count < FLOOD && (count <= MOST || !is_cut(flood[MOST])));
    assert_true(is_cut(flood[MOST]));
    assert_false(is_cut(other));
    for (int i = 0; i < count; i++)
    {
        left += !is_cut(flood[i]);
        close(flood[i]);
    }
    assert_true(left >= MOST);
    close(other);
    fixture_stop(fixture);
}

/* All of them so young that they may be honest: who has most of them pays, not who comes last. */
static void
a_flood_faster_than_logins_costs_its_address_alone(void **state)
{
    enum
    {
        FLOOD = 320,
        OTHERS = 8,
        MOST = 64 /* 16 times max_unauthenticated */
    };
    static const char *const settings[] = {"max_unauthenticated=4",
                                           "max_unauthenticated_per_address=10000",
                                           "auth_timeout_ms=600000", NULL};
    Fixture *fixture = fixture_start(&handler, NULL, settings);
    struct pollfd answer = {.events = POLLIN};
    int others[OTHERS];
    int flood[FLOOD];
    int cut = 0;

    for (int i = 0; i < FLOOD; i++)
    {
        flood[i] = connect_from(fixture, INADDR_LOOPBACK + 2);
        if (i % (FLOOD / OTHERS) == FLOOD / OTHERS - 1)
            others[i / (FLOOD / OTHERS)] = connect_from(fixture, INADDR_LOOPBACK + 3);
    }
    /* The last one has an answer, so all before it were accepted. */
    answer.fd = others[OTHERS - 1];
    fixture_send(answer.fd, FIXTURE_BYTES(FIXTURE_STARTUP));
    assert_int_equal(poll(&answer, 1, FIXTURE_DEADLINE_MS), 1);
    for (int i = 0; i < OTHERS; i++)
    {
        assert_true(i == OTHERS - 1 || !is_cut(others[i]));
        close(others[i]);
    }
    for (int i = 0; i < FLOOD; i++)
    {
        cut += is_cut(flood[i]);
        close(flood[i]);
    }
    assert_true(cut >= FLOOD - MOST);
    fixture_stop(fixture);
}

static void
one_user_has_no_more_sessions_than_allowed(void **state)
{
    static const char *const settings[] = {"max_connections_per_user=2", NULL};
    Fixture *fixture = fixture_start(&handler, NULL, settings);
    PGconn *two[2] = {fixture_connect_as(fixture, "shop"), fixture_connect_as(fixture, "shop")};
    PGconn *third = fixture_connect(fixture, "shop", "secret", "");
    PGconn *other = fixture_connect_as(fixture, "watcher");

    assert_int_equal(PQstatus(third), CONNECTION_BAD);
    assert_non_null(strstr(PQerrorMessage(third), "too many connections for user \"shop\""));
    PQfinish(third);
    PQfinish(other);
    PQfinish(two[0]);
    PQfinish(two[1]);
    fixture_stop(fixture);
}

/* ---- slow readers ---- */

/* Sends frames that are echoed and reads none, until the connection is lost. Past libpq, which
 * reads what it can while it cannot send. */
static bool
send_until_cut(PGconn *connection)
{
    enum
    {
        MESSAGE = 65536,
        RECORD = 16384,
        LONGEST_MS = 20000,
        STEP_MS = 20
    };
    static const char message[MESSAGE] = {'d', 0, 0, (char)0xff, (char)0xff};
    SSL *ssl = PQsslStruct(connection, "OpenSSL");
    struct pollfd lost = {.fd = PQsocket(connection), .events = 0};
    size_t sent = 0;
    int passed_ms = 0;

    while (passed_ms < LONGEST_MS)
    {
        size_t at = sent % MESSAGE;
        int n = SSL_write(ssl, message + at, MESSAGE - at < RECORD ? (int)(MESSAGE - at) : RECORD);

        /* libpq pretends to write to a connection that is lost, until it is read from. */
        if (poll(&lost, 1, 0) == 1 || (n <= 0 && SSL_get_error(ssl, n) != SSL_ERROR_WANT_WRITE))
            return true;
        sent += n > 0 ? (size_t)n : 0;
        if (n <= 0)
        {
            poll(NULL, 0, STEP_MS);
            passed_ms += STEP_MS;
        }
    }
    return false;
}

static void
who_reads_nothing_is_cut_in_time(void **state)
{
    static const char *const settings[] = {"output_timeout_ms=300", NULL};
    Fixture *fixture = fixture_start(&handler, NULL, settings);
    PGconn *slow = open_stream(fixture);
    PGconn *other = open_stream(fixture);

    assert_true(send_until_cut(slow));
    assert_int_equal(PQputCopyData(other, "echo", 4), 1);
    assert_int_equal(PQflush(other), 0);
    fixture_expect_frame(other, "echo", 4);
    PQfinish(slow);
    PQfinish(other);
    fixture_stop(fixture);
}

static void
who_has_most_unread_is_cut_when_all_have_too_much(void **state)
{
    static const char *const settings[] = {"output_timeout_ms=600000", "max_output_mb=1", NULL};
    Fixture *fixture = fixture_start(&handler, NULL, settings);
    PGconn *slow = open_stream(fixture);
    PGconn *other = open_stream(fixture);

    assert_true(send_until_cut(slow));
    assert_int_equal(PQputCopyData(other, "echo", 4), 1);
    assert_int_equal(PQflush(other), 0);
    fixture_expect_frame(other, "echo", 4);
    PQfinish(slow);
    PQfinish(other);
    fixture_stop(fixture);
}

static void
who_waits_for_many_answers_is_not_read_from(void **state)
{
    Fixture *fixture = fixture_start(&handler, NULL, NULL);
    PGconn *connection = open_stream(fixture);

    assert_int_equal(PQputCopyData(connection, "late", 4), 1);
    for (int i = 1; i < SESSION_FRAMES_MAX; i++)
        assert_int_equal(PQputCopyData(connection, "silence", 7), 1);
    assert_int_equal(PQputCopyData(connection, "echo", 4), 1);
    assert_int_equal(PQflush(connection), 0);
    fixture_expect_frame(connection, "late", 4);
    fixture_expect_frame(connection, "echo", 4);
    PQfinish(connection);
    fixture_stop(fixture);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_role_whose_sessions_are_in_use_keeps_no_other_out),
        cmocka_unit_test(too_many_of_one_address_cost_that_address_alone),
        cmocka_unit_test(a_flood_faster_than_logins_costs_its_address_alone),
        cmocka_unit_test(one_user_has_no_more_sessions_than_allowed),
        cmocka_unit_test(who_reads_nothing_is_cut_in_time),
        cmocka_unit_test(who_has_most_unread_is_cut_when_all_have_too_much),
        cmocka_unit_test(who_waits_for_many_answers_is_not_read_from),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
