/*
 * A server on a thread of its own, for tests that talk to it over real sockets. Its users are shop
 * (data), watcher (stats) and root (admin), all with the password "secret".
 */
#ifndef TEST_UNIT_SERVER_FIXTURE_H
#define TEST_UNIT_SERVER_FIXTURE_H

#include <libpq-fe.h>

#include "node/server.h"

#define FIXTURE_DEADLINE_MS 10000
#define FIXTURE_AUTH_TIMEOUT_MS 400

typedef struct Fixture Fixture;

/* Starts a server with these settings ("name=value", the last one NULL; or NULL). The handler's
 * callbacks get ctx and run on the server's thread. The calling test fails if it cannot start. */
Fixture *fixture_start(const ServerHandler *handler, void *ctx, const char *const *settings);

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

void fixture_assert_sqlstate(const PGresult *result, const char *sqlstate);

/* The query fails with this SQLSTATE, and the session goes on. */
void fixture_assert_query_fails(PGconn *connection, const char *sql, const char *sqlstate);

#endif
