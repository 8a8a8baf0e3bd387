/*
 * Session: one connection, as the files of the server see it (server, session, login, query).
 * Everyone else uses server.h.
 *
 * A session's phase says where it is in its life; session.c alone changes it:
 *
 *     LOGIN -> OPEN -> ENDING -> LINGERING -> CLOSED -> freed
 *
 * Any phase may jump forward. From ENDING on no message is read and nothing new is sent.
 */
#ifndef NODE_SERVER_SESSION_H
#define NODE_SERVER_SESSION_H

#include <sys/queue.h>

#include "node/server/pgwire.h"
#include "node/server/server.h"
#include "node/server/tls.h"
#include "shared/wire/chunk.h"
#include "shared/wire/seal.h"

#define SERVER_READ_BYTES 65536
#define SESSION_LINGER_MS 500
#define SESSION_COLUMNS_MAX 64
#define SESSION_FRAMES_MAX 1024   /* of a client, without an answer; then it is not read from */
#define SESSION_STATEMENTS_MAX 64 /* prepared statements, and as many portals */

typedef enum SessionPhase
{
    SESSION_LOGIN,
    SESSION_OPEN,
    SESSION_ENDING,    /* what is written must still leave */
    SESSION_LINGERING, /* all has left; wait a moment for the client to close first */
    SESSION_CLOSED     /* the handle is being closed; the memory goes with its callback */
} SessionPhase;

/* State of a login under way; freed when the login is done. */
typedef struct SessionLogin
{
    bool ssl_asked;
    bool gss_asked;
    bool database_exists;
    ScramExchange scram;
} SessionLogin;

/* The connections of one address that have not logged in. */
typedef struct ServerCrowd
{
    LIST_ENTRY(ServerCrowd) listed;
    uint8_t host[16];
    uint64_t count;
} ServerCrowd;

/* A prepared statement or a portal. */
typedef struct SessionPrepared
{
    struct SessionPrepared *next;
    char *name;
    char *sql;
    uint16_t format_count; /* of a portal: as in Bind */
    uint8_t *formats;
} SessionPrepared;

/* The columns of the answer under way; set by session_columns. */
typedef struct SessionRowShape
{
    size_t count;
    ColumnType types[SESSION_COLUMNS_MAX];
    uint8_t formats[SESSION_COLUMNS_MAX];
} SessionRowShape;

struct Session
{
    Server *server;
    uv_tcp_t tcp;
    uv_write_t write;
    uv_shutdown_t shutdown;
    TAILQ_ENTRY(Session) all;
    TAILQ_ENTRY(Session) waiting; /* in unauthenticated, while phase is LOGIN */
    TAILQ_ENTRY(Session) dirty;
    TAILQ_ENTRY(Session) resumable;

    uint64_t id;
    uint32_t cancel_key;
    SessionPhase phase;
    PgwireState state;
    uint64_t accepted_ms;
    uint64_t deadline_ms; /* of LOGIN and LINGERING, and OPEN while output is stuck; 0 is none */
    bool is_loopback;
    char peer_address[64];
    uint8_t host[16];   /* the address alone, as IPv6 */
    ServerCrowd *crowd; /* while phase is LOGIN */
    SessionLogin *login;
    Tls *tls;

    char *user;
    UserRole role;
    bool was_authenticated; /* session_closed is owed to the handler */
    bool was_stream;
    uint64_t unanswered_frames; /* of a client's stream: each has one answer */
    void *data;

    bool reading;
    bool writing;
    bool is_dirty;
    bool is_resumable;
    Buffer input;  /* an incomplete message, or messages that wait for an answer */
    size_t needed; /* bytes of the message at the start of input; 0 when not known */
    Buffer output; /* of this turn, before TLS */
    Buffer wire;   /* with TLS: the ciphertext of output */
    Buffer in_flight;
    size_t in_flight_sent;
    size_t counted_bytes; /* of unsent output, in server->unsent_bytes */
    size_t stuck_bytes;   /* that libuv had yet to write when the deadline was set */
    ChunkQueue large;     /* frames that leave in chunks, one when all before it has left */
    ChunkJoin join;       /* of another node: frames that come in chunks */
    bool is_sealed;       /* logged in by SCRAM in clear: frames have tags */
    Seal from_client;
    Seal to_client;

    bool is_held;  /* by the handler */
    bool busy;     /* a query is being answered; messages wait */
    bool extended; /* the message in work belongs to the extended protocol */
    char transaction_status;
    SessionPrepared *statements;
    SessionPrepared *portals;
    SessionPrepared *current; /* the portal being executed */
    SessionRowShape row;
};

typedef TAILQ_HEAD(SessionList, Session) SessionList;

enum
{
    SERVER_REFUSALS_KEPT = 8
};

/* A refusal that was logged lately: whoever has a wrong key or password tries again and again. */
typedef struct SessionRefusal
{
    char text[192]; /* address without port, and message */
    uint64_t logged_ms;
    unsigned since; /* times that it was not logged */
} SessionRefusal;

struct Server
{
    uv_loop_t *loop;
    const Config *config;
    Users *users;
    Log *log;
    ServerHandler handler;
    void *ctx;
    TlsContext *tls;

    uv_tcp_t listener;
    uv_timer_t deadlines;
    uv_check_t check;
    uv_prepare_t prepare;
    uint64_t waited_ns; /* that the loop had waited for events when its last turn ended */
    uint64_t turned_ns; /* when its last turn ended; 0 before the first */
    unsigned open_handles;
    bool is_listening;
    bool is_draining;
    uint64_t drain_deadline_ms;
    void (*drained)(void *ctx); /* NULL once it was called */
    void *drained_ctx;
    bool is_closing;
    void (*closed)(void *ctx);
    void *closed_ctx;

    uint64_t removed_keys_cut_ms;    /* when sessions of removed keys end; 0: none is due */
    SessionList sessions;            /* in the order of their acceptance */
    SessionList unauthenticated;     /* likewise */
    LIST_HEAD(, ServerCrowd) crowds; /* of these */
    SessionList dirty;               /* have output */
    SessionList resumable;           /* may go on with their input */
    uint64_t next_id;
    size_t role_counts[USER_ROLES]; /* logged in */
    uint64_t unsent_bytes;          /* of all sessions, as of their last flush */
    uint64_t refusals_since_ms;     /* the second for which refusals are counted */
    unsigned refusals;
    SessionRefusal repeated[SERVER_REFUSALS_KEPT]; /* told of lately */
    unsigned next_repeated;
    ServerStats stats;
    uint8_t read_buffer[SERVER_READ_BYTES]; /* each read is parsed before the next */
};

/* ---- session.c ---- */

/* Accepts from the listener; NULL if that failed. */
Session *session_accept(Server *server);

/* Lets the session go on with its input at the end of the turn, if nothing holds it. */
void session_mark_resumable(Session *session);

/* Handles the messages that waited in the input. */
void session_resume(Session *session);

/* Closes at once; what was not sent is lost. */
void session_abort(Session *session);

/* Writes a FATAL error and closes. */
void session_fatal(Session *session, const char *sqlstate, const char *message, const char *detail,
                   const char *hint);

/* The login is done. */
void session_open(Session *session);

/* True once nothing more may be written to the client. */
static inline bool
session_is_over(const Session *session)
{
    return session->phase >= SESSION_ENDING;
}

/* True while the next message of the session may be handled. */
bool session_may_go_on(const Session *session);

/* Reads from the socket only while there is a use for what may come. */
void session_adjust_reading(Session *session);

/* All has left: closes our half, and leaves the client a moment to close the other. */
void session_linger(Session *session);

/* ---- session_output.c ---- */

/* Puts the session on the list that is flushed at the end of the turn, or takes it off. */
void session_touch(Session *session);
void session_untouch(Session *session);

/* Sends what has gathered, as far as the socket takes it now. */
void session_flush(Session *session);

/* The deadline of stuck output: cuts the session unless its client has read some meanwhile. */
void session_meet_stall(Session *session);

/* Empties a buffer, and gives its memory back if that is much. */
void session_empty_buffer(Buffer *buffer);

/* ---- login.c: each takes one message ---- */

/* The refusal of a login in clear where TLS is required. Other nodes recognize it by this text. */
#define LOGIN_TLS_ALONE "the node takes logins over TLS alone"

/* rest is the number of bytes that came behind the packet. */
void login_startup(Session *session, Slice payload, size_t rest);
void login_sasl_initial(Session *session, Slice payload);
void login_sasl_response(Session *session, Slice payload);

/* ---- query.c: each takes one message ---- */

void query_simple(Session *session, Slice payload);
void query_parse(Session *session, Slice payload);
void query_bind(Session *session, Slice payload);
void query_describe(Session *session, Slice payload);
void query_execute(Session *session, Slice payload);
void query_close(Session *session, Slice payload);
void query_sync(Session *session);
void query_function_call(Session *session);
void query_stream_done(Session *session);
void query_stream_fail(Session *session);
void query_free(Session *session);

/* ---- server.c ---- */

/* Cancels the query of the session with this id, if the key is right. */
void server_cancel(Server *server, uint32_t id, uint32_t key);

/* A session was closed and is about to be freed. */
void server_forget(Session *session);

/* Makes the deadline timer run. */
void server_watch_deadlines(Server *server);

/* ---- who may stay ---- */

/* Counts the session among those of its address that have not logged in, or no longer does. */
void server_join_crowd(Session *session);
void server_leave_crowd(Session *session);

/* True when the user has as many sessions as one may have. */
bool server_user_is_full(const Server *server, const char *user);

/* The option whose limit keeps one more session of the role out, or NULL when there is room. */
const char *server_full_option(const Server *server, UserRole role);

/* Closes the session of a client that does not read its answers, and logs why. */
void server_cut_slow(Session *session, const char *why);

/* Takes a new number of unsent bytes of the session into the sum of all sessions. */
void server_count_output(Session *session);

#endif
