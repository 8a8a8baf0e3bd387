/*
 * Server: the node's listener and its sessions; speaks the PostgreSQL protocol 3 on a libuv loop.
 *
 * A session logs in (SCRAM-SHA-256), then sends queries for the console, until STREAM 1 turns it
 * into a two-way stream of frames (CopyBoth). The server knows framing, login and flow control;
 * what a query or a frame means is the handler's.
 *
 * Everything runs on the loop's thread. Callbacks run from the loop; a Session handed to one stays
 * valid until session_closed was called for it, which never happens from inside of a session_*
 * function. On a session that is about to close, sending does nothing.
 *
 * Output gathers in the session and leaves in one write at the end of the loop's turn. A session
 * whose client reads too slowly (SERVER_OUTPUT_PAUSE_BYTES unsent) is not read from until the
 * client has caught up. A session is closed when it reaches SERVER_OUTPUT_MAX_BYTES all the same,
 * when its client reads nothing for output_timeout_ms, or when all sessions together have more than
 * max_output_mb unsent and it has most of it. Frames that leave in chunks are counted apart, up to
 * CHUNK_FRAME_MAX.
 */
#ifndef NODE_SERVER_SERVER_H
#define NODE_SERVER_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "node/config/config.h"
#include "node/config/log.h"
#include "node/config/outcome.h"
#include "node/config/users.h"
#include "shared/base/bytes.h"

#define SERVER_VERSION_TEXT "15.0 (dynamo 1.0)" /* so that psql takes us for a PostgreSQL 15 */
#define SERVER_STREAM_VERSION 1                 /* of the frames, in STREAM n */
#define SERVER_OUTPUT_PAUSE_BYTES (8 * 1024 * 1024)
#define SERVER_OUTPUT_MAX_BYTES (256 * 1024 * 1024)

typedef struct Server Server;
typedef struct Session Session;

/* Built-in types of result columns, by their PostgreSQL OIDs. */
typedef enum ColumnType
{
    COLUMN_BOOL = 16, /* "t" or "f" */
    COLUMN_INT8 = 20, /* counters */
    COLUMN_INT4 = 23,
    COLUMN_TEXT = 25,
    COLUMN_FLOAT8 = 701
} ColumnType;

typedef struct Column
{
    const char *name;
    ColumnType type;
} Column;

/*
 * What the server calls. Handlers of queries may answer at once or later; until session_complete or
 * session_error has ended the answer, further messages of that session wait.
 */
typedef struct ServerHandler
{
    /* A statement of the simple protocol, or Execute of the extended one. sql is valid during the
     * call. Never called with STREAM; every other text comes here, the empty one too. */
    void (*query)(void *ctx, Session *session, const char *sql);

    /* Extended protocol: the columns that query would answer with, before it runs; they stay valid
     * until the next call. *count is 0 for a statement without rows. false after session_error. */
    bool (*describe)(void *ctx, Session *session, const char *sql, const Column **columns,
                     size_t *count);

    /* STREAM was accepted: frames may be sent and will come. */
    void (*stream_started)(void *ctx, Session *session);

    /* One frame (a CopyData payload), valid during the call. */
    void (*stream_frame)(void *ctx, Session *session, Slice frame);

    /* The session (logged in before) is over; the last call that names it. */
    void (*session_closed)(void *ctx, Session *session);

    /* The client cancels the query that is being answered; it still must be ended. */
    void (*cancel)(void *ctx, Session *session);

    /* Before the loop may sleep: send what was gathered over the turn. Called at least once after
     * every batch of frames, also when there was none. Must be cheap then. */
    void (*turn_end)(void *ctx);
} ServerHandler;

/* config, users, log and handler are borrowed until server_close has finished. Callbacks that are
 * NULL are not called. */
Server *server_new(uv_loop_t *loop, const Config *config, Users *users, Log *log,
                   const ServerHandler *handler, void *ctx);

/* Opens the listener (and reads or makes the TLS certificate unless ssl is off). */
Outcome server_listen(Server *server) MUST_CHECK;

/* The port that is listened on: the configured one, or the system's choice for port 0. */
int server_port(const Server *server);

/* The address that is listened on. */
struct sockaddr_storage server_address(const Server *server);

/* Reads certificate and key again; on failure the old ones stay in use. */
Outcome server_reload(Server *server) MUST_CHECK;

/* The cluster's keys have changed (users_set_keys): ends the sessions of nodes that logged in with
 * one that was removed. */
void server_keys_changed(Server *server);

/*
 * Stops accepting, ends each session (57P01) as soon as it has no query under way, and takes no
 * more frames from streams of clients; streams of other nodes go on. Calls drained once, when every
 * query and every frame of a client has its answer, or after grace_ms. server_close is due then.
 */
void server_drain(Server *server, uint64_t grace_ms, void (*drained)(void *ctx), void *ctx);

/* Tells every session 57P01, closes all within a second, calls closed (may be NULL), then the
 * server is freed. */
void server_close(Server *server, void (*closed)(void *ctx), void *ctx);

/* Counters for SHOW STATS; all but sessions, unauthenticated and unsent_bytes count since the
 * start. */
typedef struct ServerStats
{
    uint64_t sessions; /* logged in now */
    uint64_t unauthenticated;
    uint64_t accepted;
    uint64_t logins_failed;
    uint64_t refused_unauthenticated;  /* cut before login, since there were too many of them */
    uint64_t refused_address;          /* likewise, of one address */
    uint64_t refused_late;             /* had not logged in in time */
    uint64_t refused_role[USER_ROLES]; /* logged in, and found the sessions of the role in use */
    uint64_t altered_frames;           /* of which the seal did not fit; their sessions are cut */
    uint64_t cut_slow;                 /* sessions whose clients did not read their answers */
    uint64_t unsent_bytes;             /* answers that wait to be read, now */
    uint64_t received_bytes;
    uint64_t sent_bytes;
    uint64_t received_frames;
    uint64_t sent_frames;
    uint64_t queries;
    uint64_t longest_turn_us; /* that the loop was busy between two waits for events */
} ServerStats;

ServerStats server_stats(const Server *server);

/* The user, role and address of a session. Strings live as long as the session. */
const char *session_user(const Session *session);
UserRole session_role(const Session *session);
const char *session_peer_address(const Session *session); /* "127.0.0.1:54321" */
bool session_is_stream(const Session *session);
Server *session_server(const Session *session);

/* Frames of a client's stream that have no answer yet, the one in work included. */
uint64_t session_unanswered(const Session *session);

/* One pointer for the handler to keep with the session; NULL at first. */
void session_set_data(Session *session, void *data);
void *session_data(const Session *session);

/* Stops or goes on reading frames from a stream. */
void session_hold(Session *session, bool held);

/* Bytes that wait to be sent, not counting frames that leave in chunks. */
size_t session_unsent_bytes(const Session *session);

/*
 * Sends a copy of one frame to a stream; a large one in chunks (shared/wire/chunk.h), so that
 * others pass it. In place of an answer that is too large, or for which too much waits to be
 * fetched already, the client gets FRAME_ERROR.
 */
void session_send_frame(Session *session, Slice frame);

/*
 * The answer to a query: [columns, row...] complete, or error at any point. Rows are texts, NULL
 * for SQL NULL, one for each column. complete's tag is PostgreSQL's ("SHOW", "SELECT 3", "SET").
 * error on a stream ends the stream and the session. detail and hint may be NULL.
 */
void session_columns(Session *session, const Column *columns, size_t count);
void session_row(Session *session, const char *const *values);
void session_complete(Session *session, const char *tag);
void session_empty(Session *session); /* in place of complete, for an empty query */
void session_notice(Session *session, const char *message);
void session_error(Session *session, const char *sqlstate, const char *message, const char *detail,
                   const char *hint);

/* Sets the status that ReadyForQuery reports from now on: 'I' idle, 'T' in a transaction. Nothing
 * else changes: the console has no transactions, but drivers open them around everything. */
void session_set_transaction_status(Session *session, char transaction_status);

#endif
