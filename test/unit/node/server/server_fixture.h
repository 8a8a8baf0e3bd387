/*
 * A server on a thread of its own, for tests that talk to it over real sockets. Its users are shop
 * (data), watcher (stats) and root (admin), all with the password "secret"; it has FIXTURE_KEYS.
 */
#ifndef TEST_UNIT_NODE_SERVER_SERVER_FIXTURE_H
#define TEST_UNIT_NODE_SERVER_SERVER_FIXTURE_H

#include <libpq-fe.h>

#include "node/server/server.h"

#define FIXTURE_DEADLINE_MS 10000
#define FIXTURE_AUTH_TIMEOUT_MS 400

typedef struct Fixture Fixture;

/* Starts a server with these settings ("name=value", the last one NULL; or NULL). The handler's
 * callbacks get ctx and run on the server's thread. The calling test fails if it cannot start. */
Fixture *fixture_start(const ServerHandler *handler, void *ctx, const char *const *settings);

extern const ClusterKeys FIXTURE_KEYS; /* two */

/* Soon the server has these keys instead; they must live as long as the fixture. */
void fixture_set_keys(Fixture *fixture, const ClusterKeys *keys);

/* Drains and closes the server. */
void fixture_stop(Fixture *fixture);

int fixture_port(const Fixture *fixture);
uv_loop_t *fixture_loop(Fixture *fixture);
const Config *fixture_config(const Fixture *fixture);
Log *fixture_log(const Fixture *fixture);

/* Connects with libpq; more is appended to the connection string. */
PGconn *fixture_connect(const Fixture *fixture, const char *user, const char *password,
                        const char *more);

/* Connects with the right password, or fails the test. */
PGconn *fixture_connect_as(const Fixture *fixture, const char *user);

/* The next frame of a stream, put together when it comes in chunks, is this one. */
void fixture_expect_frame(PGconn *connection, const char *data, size_t length);

void fixture_assert_sqlstate(const PGresult *result, const char *sqlstate);

/* The query fails with this SQLSTATE, and the session goes on. */
void fixture_assert_query_fails(PGconn *connection, const char *sql, const char *sqlstate);

/* A plain socket, whose reads fail after FIXTURE_DEADLINE_MS. */
int fixture_connect_raw(const Fixture *fixture);
void fixture_send(int fd, const void *data, size_t length);

/* Everything the server sends until it closes, and a NUL; closes fd. The caller frees it. */
Buffer fixture_read_to_end(int fd);
bool fixture_has_text(const Buffer *all, const char *text);

/* Who sends this gets an answer with expected in it, and is cut. */
void fixture_assert_refused(const Fixture *fixture, const void *data, size_t length,
                            const char *expected);

/* Packets of a client, without their NUL when passed through BYTES. */
#define FIXTURE_STARTUP "\0\0\0\x13\0\3\0\0user\0shop\0\0"
#define FIXTURE_SSL_REQUEST "\0\0\0\x08\x04\xd2\x16\x2f"
#define FIXTURE_GSS_REQUEST "\0\0\0\x08\x04\xd2\x16\x30"
#define FIXTURE_BYTES(literal) (literal), sizeof(literal) - 1

#endif
