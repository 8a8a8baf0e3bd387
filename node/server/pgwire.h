/*
 * Pgwire: the PostgreSQL protocol 3.0 as bytes, without I/O: which message may come in which state,
 * where it ends in the input, what its fields are, and how replies are written.
 *
 * Slices and strings point into the input. Every length is checked against the state's limit before
 * anything is kept or allocated. Source: PostgreSQL 15 manual, chapter 55 "Frontend/Backend
 * Protocol".
 */
#ifndef NODE_SERVER_PGWIRE_H
#define NODE_SERVER_PGWIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/bytes.h"

/* PostgreSQL's own limits; each counts the length word, not the type byte. */
#define PGWIRE_STARTUP_MAX 10000
#define PGWIRE_SASL_MAX 1028
#define PGWIRE_SMALL_MAX 10000
#define PGWIRE_QUERY_MAX 10004

#define PGWIRE_OPTIONS_MAX 64    /* name and value pairs of a startup packet */
#define PGWIRE_PQ_OPTIONS_MAX 16 /* of them, "_pq_." protocol options */

/* The message that a session awaits. */
typedef enum PgwireState
{
    PGWIRE_AWAIT_STARTUP,       /* a startup packet, SSLRequest, GSSENCRequest or CancelRequest */
    PGWIRE_AWAIT_SASL_INITIAL,  /* SASLInitialResponse, after we named our mechanism */
    PGWIRE_AWAIT_SASL_RESPONSE, /* SASLResponse, after we sent server-first */
    PGWIRE_READY,               /* queries, simple or extended */
    PGWIRE_SKIP_TO_SYNC,        /* an extended query failed: nothing counts until Sync */
    PGWIRE_STREAM               /* CopyBoth: frames */
} PgwireState;

#define PGWIRE_STATE_COUNT (PGWIRE_STREAM + 1)

/* The treatment of a message. */
typedef enum PgwireAction
{
    PGWIRE_REFUSE, /* the message has no place in this state */
    PGWIRE_IGNORE,
    PGWIRE_STARTUP,
    PGWIRE_SASL_INITIAL,
    PGWIRE_SASL_RESPONSE,
    PGWIRE_QUERY,
    PGWIRE_PARSE,
    PGWIRE_BIND,
    PGWIRE_DESCRIBE,
    PGWIRE_EXECUTE,
    PGWIRE_CLOSE,
    PGWIRE_FLUSH,
    PGWIRE_SYNC,
    PGWIRE_FUNCTION_CALL,
    PGWIRE_FRAME,
    PGWIRE_STREAM_DONE,
    PGWIRE_STREAM_FAIL,
    PGWIRE_TERMINATE
} PgwireAction;

#define PGWIRE_ACTION_COUNT (PGWIRE_TERMINATE + 1)

typedef struct PgwireMessage
{
    uint8_t type; /* 0 for a startup packet, which has none */
    PgwireAction action;
    Slice payload;
    size_t size; /* of the whole message; after PGWIRE_INCOMPLETE what is known of it, else 0 */
} PgwireMessage;

typedef enum PgwireResult
{
    PGWIRE_COMPLETE,
    PGWIRE_INCOMPLETE, /* wait for more input */
    PGWIRE_INVALID     /* *error says why; the connection must end */
} PgwireResult;

/* Finds the message at the start of input. frame_max bounds the payload of a frame. */
PgwireResult pgwire_next(PgwireState state, Slice input, uint32_t frame_max, PgwireMessage *message,
                         const char **error);

typedef enum PgwireStartupKind
{
    PGWIRE_STARTUP_LOGIN,
    PGWIRE_STARTUP_SSL,
    PGWIRE_STARTUP_GSS,
    PGWIRE_STARTUP_CANCEL
} PgwireStartupKind;

typedef struct PgwireStartup
{
    PgwireStartupKind kind;
    uint16_t major;
    uint16_t minor;
    const char *user;             /* never NULL after success for a login of protocol 3 */
    const char *database;         /* the user's name when not given */
    const char *application_name; /* "" when not given */
    const char *replication;      /* NULL when not given */
    size_t pq_option_count;       /* protocol options we do not know, to be named in our answer */
    const char *pq_options[PGWIRE_PQ_OPTIONS_MAX];
    uint32_t cancel_id;
    uint32_t cancel_key;
} PgwireStartup;

/* Reads a startup packet. A login of another major version succeeds with user NULL. */
bool pgwire_parse_startup(Slice payload, PgwireStartup *startup, const char **error);

/* SASLInitialResponse. response is the mechanism's first message. */
bool pgwire_parse_sasl_initial(Slice payload, const char **mechanism, Slice *response);

/* A message that is one string, like Query. NULL if it is anything else. */
const char *pgwire_parse_string(Slice payload);

typedef struct PgwireParse
{
    const char *statement;
    const char *sql;
    uint16_t parameter_count;
} PgwireParse;

bool pgwire_parse_parse(Slice payload, PgwireParse *parse);

typedef struct PgwireBind
{
    const char *portal;
    const char *statement;
    uint16_t parameter_count;
    uint16_t format_count; /* of result columns */
    Slice formats;         /* format_count numbers of 16 bits; all of them 0 or 1 */
} PgwireBind;

bool pgwire_parse_bind(Slice payload, PgwireBind *bind);

/* The format (0 text, 1 binary) of a result column: one for each, one for all, or none at all. */
uint16_t pgwire_bind_format(const PgwireBind *bind, size_t column);

/* Describe and Close: kind is 'S' or 'P'. */
bool pgwire_parse_target(Slice payload, char *kind, const char **name);

bool pgwire_parse_execute(Slice payload, const char **portal);

/* ---- replies ---- */

/* begin returns a mark for end, which fills in the length. */
size_t pgwire_begin(Buffer *out, char type);
void pgwire_end(Buffer *out, size_t mark);

/* A message without a body. */
void pgwire_put_bare(Buffer *out, char type);

#define PGWIRE_AUTH_OK 0
#define PGWIRE_AUTH_SASL 10
#define PGWIRE_AUTH_SASL_CONTINUE 11
#define PGWIRE_AUTH_SASL_FINAL 12

void pgwire_put_authentication(Buffer *out, uint32_t code, Slice data);
void pgwire_put_negotiate(Buffer *out, const PgwireStartup *startup);
void pgwire_put_parameter_status(Buffer *out, const char *name, const char *value);
void pgwire_put_backend_key(Buffer *out, uint32_t id, uint32_t key);
void pgwire_put_ready(Buffer *out, char transaction_status);
void pgwire_put_command_complete(Buffer *out, const char *tag);
void pgwire_put_copy_both(Buffer *out);

/* Invalid UTF-8 in the texts is replaced, so that clients can show them. */
typedef struct PgwireError
{
    const char *severity; /* "ERROR", "FATAL" or "NOTICE" */
    const char *sqlstate;
    const char *message;
    const char *detail; /* or NULL */
    const char *hint;   /* or NULL */
} PgwireError;

/* ErrorResponse, or NoticeResponse when the severity is NOTICE. */
void pgwire_put_error(Buffer *out, const PgwireError *error);

/* One field of RowDescription; the caller writes the count before. */
void pgwire_put_field(Buffer *out, const char *name, uint32_t type_oid, int16_t type_size,
                      uint16_t format);

#endif
