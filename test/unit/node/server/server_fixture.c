#include "test/unit/node/server/server_fixture.h"

#include "shared/wire/chunk.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

const ClusterKeys FIXTURE_KEYS = {
    .keys = {"a cluster key of thirty-two byte", "another key of thirty-two bytes!"},
      .count = 2
};

struct Fixture
{
    pthread_t thread;
    uv_loop_t loop;
    uv_async_t stop;
    uv_async_t keys;
    const ClusterKeys *new_keys;
    uv_sem_t is_listening;
    const ServerHandler *handler;
    void *ctx;
    Config config;
    Users *users;
    Log *log;
    Server *server;
    int port;
};

static void
on_server_closed(void *ctx)
{
    Fixture *fixture = ctx;

    uv_close((uv_handle_t *)&fixture->stop, NULL);
    uv_close((uv_handle_t *)&fixture->keys, NULL);
}

static void
on_drained(void *ctx)
{
    Fixture *fixture = ctx;

    server_close(fixture->server, on_server_closed, fixture);
}

static void
on_stop(uv_async_t *async)
{
    Fixture *fixture = async->data;

    server_drain(fixture->server, FIXTURE_DEADLINE_MS, on_drained, fixture);
}

static void
on_new_keys(uv_async_t *async)
{
    Fixture *fixture = async->data;

    users_set_keys(fixture->users, fixture->new_keys);
    server_keys_changed(fixture->server);
}

static void *
serve(void *argument)
{
    Fixture *fixture = argument;
    Outcome outcome;

    fixture->server = server_new(&fixture->loop, &fixture->config, fixture->users, fixture->log,
                                 fixture->handler, fixture->ctx);
    outcome = server_listen(fixture->server);
    if (outcome.failed)
        fprintf(stderr, "%s\n", outcome.message);
    fixture->port = outcome.failed ? -1 : server_port(fixture->server);
    uv_sem_post(&fixture->is_listening);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    return NULL;
}

static void
add_user(char *text, size_t size, const char *name, const char *role)
{
    static const uint8_t salt[SCRAM_SALT_BYTES] = "sixteen of salt";
    char verifier_text[SCRAM_VERIFIER_TEXT_SIZE];
    ScramVerifier verifier;

    scram_verifier_make(&verifier, "secret", salt);
    scram_verifier_format(&verifier, verifier_text);
    snprintf(text + strlen(text), size - strlen(text), "%s %s %s\n", name, role, verifier_text);
}

static void
make_users(Fixture *fixture)
{
    char text[1024] = "";

    fixture->users = users_new(&FIXTURE_KEYS);
    add_user(text, sizeof(text), "shop", "data");
    add_user(text, sizeof(text), "watcher", "stats");
    add_user(text, sizeof(text), "root", "admin");
    assert_false(users_parse(fixture->users, text, strlen(text), "users").failed);
}

Fixture *
fixture_start(const ServerHandler *handler, void *ctx, const char *const *settings)
{
    Fixture *fixture = calloc(1, sizeof(Fixture));

    assert_non_null(fixture);
    fixture->handler = handler;
    fixture->ctx = ctx;
    config_init(&fixture->config);
    fixture->config.auth_timeout_ms = FIXTURE_AUTH_TIMEOUT_MS;
    fixture->config.port = 0; /* the system's choice */
    for (; settings != NULL && *settings != NULL; settings++)
        assert_false(config_set_argument(&fixture->config, *settings).failed);
    make_users(fixture);
    assert_false(log_new("test", LOG_LEVEL_ERROR, "", &fixture->log).failed);
    uv_loop_init(&fixture->loop);
    uv_async_init(&fixture->loop, &fixture->stop, on_stop);
    uv_async_init(&fixture->loop, &fixture->keys, on_new_keys);
    fixture->stop.data = fixture->keys.data = fixture;
    uv_sem_init(&fixture->is_listening, 0);
    pthread_create(&fixture->thread, NULL, serve, fixture);
    uv_sem_wait(&fixture->is_listening);
    assert_true(fixture->port > 0);
    return fixture;
}

void
fixture_stop(Fixture *fixture)
{
    uv_async_send(&fixture->stop);
    pthread_join(fixture->thread, NULL);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    uv_sem_destroy(&fixture->is_listening);
    log_free(fixture->log);
    users_free(fixture->users);
    config_free(&fixture->config);
    free(fixture);
}

void
fixture_set_keys(Fixture *fixture, const ClusterKeys *keys)
{
    fixture->new_keys = keys;
    uv_async_send(&fixture->keys);
}

int
fixture_port(const Fixture *fixture)
{
    return fixture->port;
}

uv_loop_t *
fixture_loop(Fixture *fixture)
{
    return &fixture->loop;
}

const Config *
fixture_config(const Fixture *fixture)
{
    return &fixture->config;
}

Log *
fixture_log(const Fixture *fixture)
{
    return fixture->log;
}

static void
ignore_notice(void *ctx, const char *message)
{
}

PGconn *
fixture_connect(const Fixture *fixture, const char *user, const char *password, const char *more)
{
    PGconn *connection;
    char text[512];

    snprintf(text, sizeof(text),
             "host=127.0.0.1 port=%d dbname=dynamo user=%s password=%s sslmode=prefer "
             "gssencmode=disable connect_timeout=10 %s",
             fixture->port, user, password, more);
    connection = PQconnectdb(text);
    PQsetNoticeProcessor(connection, ignore_notice, NULL);
    return connection;
}

PGconn *
fixture_connect_as(const Fixture *fixture, const char *user)
{
    PGconn *connection = fixture_connect(fixture, user, "secret", "");

    if (PQstatus(connection) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(connection));
    return connection;
}

void
fixture_expect_frame(PGconn *connection, const char *data, size_t length)
{
    ChunkResult result = CHUNK_MORE;
    ChunkJoin join;
    char *got = NULL;
    Slice frame;

    chunk_join_init(&join, &MEMORY_HEAP, CHUNK_FRAME_MAX);
    while (result == CHUNK_MORE)
    {
        PQfreemem(got);

        int count = PQgetCopyData(connection, &got, 0);

        assert_true(count > 0);
        frame = slice_make(got, (size_t)count);
        result = chunk_is_one(frame) ? chunk_join_add(&join, frame, &frame) : CHUNK_WHOLE;
    }
    assert_int_equal(result, CHUNK_WHOLE);
    assert_true(slice_equal(frame, slice_make(data, length)));
    PQfreemem(got);
    chunk_join_free(&join);
}

void
fixture_assert_sqlstate(const PGresult *result, const char *sqlstate)
{
    assert_int_equal(PQresultStatus(result), PGRES_FATAL_ERROR);
    assert_string_equal(PQresultErrorField(result, PG_DIAG_SQLSTATE), sqlstate);
}

void
fixture_assert_query_fails(PGconn *connection, const char *sql, const char *sqlstate)
{
    PGresult *result = PQexec(connection, sql);

    fixture_assert_sqlstate(result, sqlstate);
    PQclear(result);
    assert_int_equal(PQstatus(connection), CONNECTION_OK);
}

int
fixture_connect_raw(const Fixture *fixture)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)fixture->port)};
    struct timeval patience = {FIXTURE_DEADLINE_MS / 1000, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return fd;
}

void
fixture_send(int fd, const void *data, size_t length)
{
    assert_int_equal(send(fd, data, length, MSG_NOSIGNAL), length);
}

/* Everything the server sends until it closes. */
Buffer
fixture_read_to_end(int fd)
{
    Buffer all;
    ssize_t got;

    buffer_init(&all, &MEMORY_HEAP);
    while ((got = recv(fd, buffer_reserve(&all, 4096), 4096, 0)) > 0)
        all.length += (size_t)got;
    if (got != 0)
        fail_msg("the server did not close the connection");
    close(fd);
    buffer_put_u8(&all, 0);
    return all;
}

bool
fixture_has_text(const Buffer *all, const char *text)
{
    return memmem(all->data, all->length, text, strlen(text)) != NULL;
}

void
fixture_assert_refused(const Fixture *fixture, const void *data, size_t length,
                       const char *expected)
{
    int fd = fixture_connect_raw(fixture);
    Buffer all;

    fixture_send(fd, data, length);
    all = fixture_read_to_end(fd);
    if (!fixture_has_text(&all, expected))
        fail_msg("no \"%s\" in the answer", expected);
    buffer_free(&all);
}
