/*
 * After the login: the simple and the extended query protocol, answers, and STREAM.
 *
 * Happy path: a statement is handed to the handler, which makes the session busy; messages that
 * come meanwhile wait in its input. session_columns, session_row and session_complete build the
 * answer, at once or later, and session_complete lets the session go on.
 *
 * Failure modes: session_error ends the answer in place of session_complete. In the extended
 * protocol everything up to Sync is then ignored, as PostgreSQL does. An answer for a session that
 * is ending, or has become a stream, is dropped or ends it.
 *
 * Execute sends rows without their description, which Describe has given; the simple protocol sends
 * both.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/server/session.h"

/* ---- answers ---- */

/* Ends the answer under way and lets the messages that waited go on. A draining node says goodbye
 * as soon as the session owes no answer. */
static void
end_statement(Session *session)
{
    session->busy = false;
    session->current = NULL;
    session->row.count = 0;
    if (!session->extended)
        pgwire_put_ready(&session->output, session->transaction_status);
    session_touch(session);
    session_mark_resumable(session);
    if (session->server->is_draining)
        session_fatal(session, "57P01", "terminating connection: the node is shutting down", NULL,
                      NULL);
}

/* On a stream, and on a session that is ending, a statement's answer would be taken for frames or
 * come behind the last word. */
static bool
may_answer(const Session *session)
{
    return session->phase == SESSION_OPEN && session->state != PGWIRE_STREAM;
}

/* The sizes of the types as RowDescription reports them: typlen of pg_type. */
static int16_t
type_size(ColumnType type)
{
    switch (type)
    {
    case COLUMN_BOOL:
        return 1;
    case COLUMN_INT4:
        return 4;
    case COLUMN_INT8:
    case COLUMN_FLOAT8:
        return 8;
    case COLUMN_TEXT:
        break;
    }
    return -1;
}

/* As pgwire_bind_format, for the formats that the portal in work was bound with. */
static uint16_t
column_format(const SessionPrepared *portal, size_t column)
{
    PgwireBind bind;

    if (portal == NULL)
        return 0;
    bind.format_count = portal->format_count;
    bind.formats = slice_make(portal->formats, (size_t)portal->format_count * 2);
    return pgwire_bind_format(&bind, column);
}

static void
put_row_description(Session *session, const SessionPrepared *portal, const Column *columns,
                    size_t count)
{
    size_t mark = pgwire_begin(&session->output, 'T');

    buffer_put_u16(&session->output, (uint16_t)count);
    for (size_t i = 0; i < count; i++)
        pgwire_put_field(&session->output, columns[i].name, columns[i].type,
                         type_size(columns[i].type), column_format(portal, i));
    pgwire_end(&session->output, mark);
}

void
session_columns(Session *session, const Column *columns, size_t count)
{
    if (!may_answer(session))
        return;
    if (count > SESSION_COLUMNS_MAX)
        count = SESSION_COLUMNS_MAX;
    session->row.count = count;
    for (size_t i = 0; i < count; i++)
    {
        session->row.types[i] = columns[i].type;
        session->row.formats[i] = (uint8_t)column_format(session->current, i);
    }
    if (!session->extended)
        put_row_description(session, NULL, columns, count);
}

/* Drivers such as pgx ask for binary results. Handlers write texts, so that each of them need not
 * know of formats. */
static void
put_binary(Buffer *out, ColumnType type, const char *text)
{
    double number;
    uint64_t bits;

    switch (type)
    {
    case COLUMN_BOOL:
        buffer_put_u8(out, *text == 't');
        break;
    case COLUMN_INT4:
        buffer_put_u32(out, (uint32_t)strtol(text, NULL, 10));
        break;
    case COLUMN_INT8:
        buffer_put_u64(out, (uint64_t)strtoll(text, NULL, 10));
        break;
    case COLUMN_FLOAT8:
        number = strtod(text, NULL);
        memcpy(&bits, &number, sizeof(bits));
        buffer_put_u64(out, bits);
        break;
    case COLUMN_TEXT:
        buffer_put(out, text, strlen(text));
        break;
    }
}

void
session_row(Session *session, const char *const *values)
{
    Buffer *out = &session->output;
    size_t mark;

    if (!may_answer(session))
        return;
    mark = pgwire_begin(out, 'D');
    buffer_put_u16(out, (uint16_t)session->row.count);
    for (size_t i = 0; i < session->row.count; i++)
    {
        size_t start = out->length + 4;

        buffer_put_u32(out, UINT32_MAX); /* NULL, unless a value follows */
        if (values[i] == NULL)
            continue;
        if (session->row.formats[i] == 1)
            put_binary(out, session->row.types[i], values[i]);
        else
            buffer_put(out, values[i], strlen(values[i]));
        buffer_set_u32(out, start - 4, (uint32_t)(out->length - start));
    }
    pgwire_end(out, mark);
    session_touch(session);
}

void
session_complete(Session *session, const char *tag)
{
    if (!may_answer(session))
        return;
    pgwire_put_command_complete(&session->output, tag);
    end_statement(session);
}

void
session_empty(Session *session)
{
    if (!may_answer(session))
        return;
    pgwire_put_bare(&session->output, 'I');
    end_statement(session);
}

void
session_notice(Session *session, const char *message)
{
    PgwireError notice = {"NOTICE", "00000", message, NULL, NULL};

    if (!may_answer(session))
        return;
    pgwire_put_error(&session->output, &notice);
    session_touch(session);
}

/* An error outside of an answer, such as one on a stream, leaves nothing that could go on: it ends
 * the session. */
void
session_error(Session *session, const char *sqlstate, const char *message, const char *detail,
              const char *hint)
{
    PgwireError error = {"ERROR", sqlstate, message, detail, hint};

    if (!may_answer(session))
    {
        session_fatal(session, sqlstate, message, detail, hint);
        return;
    }
    pgwire_put_error(&session->output, &error);
    if (session->extended)
        session->state = PGWIRE_SKIP_TO_SYNC;
    end_statement(session);
}

void
session_set_transaction_status(Session *session, char transaction_status)
{
    session->transaction_status = transaction_status;
}

static void
refuse_bytes(Session *session)
{
    session_error(session, "08P01", "invalid message format", NULL, NULL);
}

/* ---- STREAM ---- */

/* STREAM is recognized here and not by the handler, because it changes the protocol of the session.
 * Sets argument to the word behind STREAM and returns its length: 0 when there is none or more than
 * one, -1 when sql is no STREAM at all. */
static int
stream_argument(const char *sql, const char **argument)
{
    static const char word[] = "stream";
    size_t length;

    sql += strspn(sql, " \t\r\n");
    if (strncasecmp(sql, word, sizeof(word) - 1) != 0)
        return -1;
    sql += sizeof(word) - 1;
    if (*sql != '\0' && *sql != ';' && !isspace((unsigned char)*sql))
        return -1;
    sql += strspn(sql, " \t\r\n");
    length = strcspn(sql, "; \t\r\n");
    *argument = sql;
    return sql[length + strspn(sql + length, "; \t\r\n")] == '\0' ? (int)length : 0;
}

static void
begin_stream(Session *session)
{
    Server *server = session->server;

    pgwire_put_copy_both(&session->output);
    session->state = PGWIRE_STREAM;
    session->was_stream = true;
    session_touch(session);
    if (server->handler.stream_started != NULL)
        server->handler.stream_started(server->ctx, session);
}

/* A session can be a stream once: what a client sent of the old stream could come late and be taken
 * for frames of a new one. */
static void
start_stream(Session *session, const char *version, int length)
{
    char message[128];
    char wanted[16];

    snprintf(wanted, sizeof(wanted), "%d", SERVER_STREAM_VERSION);
    if (session->role == USER_ROLE_STATS)
        session_error(session, "42501", "permission denied for STREAM", NULL,
                      "It needs a user with role data or admin.");
    else if (length == 0)
        session_error(session, "42601", "STREAM needs a protocol version", NULL,
                      "This node speaks STREAM 1.");
    else if (strlen(wanted) != (size_t)length || memcmp(wanted, version, (size_t)length) != 0)
    {
        snprintf(message, sizeof(message),
                 "frame protocol version %.*s is not supported, this node speaks version %s",
                 length > 32 ? 32 : length, version, wanted);
        session_error(session, "0A000", message, NULL, NULL);
    }
    else if (session->was_stream)
        session_error(session, "55000", "this session has been a stream already", NULL,
                      "Open another connection.");
    else if (session->tls == NULL && !session->is_sealed)
        session_error(session, "28000", "a stream in clear needs a login with a password",
                      "Without TLS, frames are sealed with a key that such a login makes.", NULL);
    else if (session->server->is_draining)
        session_error(session, "57P03", "the node is shutting down", NULL, NULL);
    else
        begin_stream(session);
}

void
query_stream_done(Session *session)
{
    session->state = PGWIRE_READY;
    pgwire_put_bare(&session->output, 'c');
    session_complete(session, "STREAM");
}

void
query_stream_fail(Session *session)
{
    session->state = PGWIRE_READY;
    session_error(session, "57014", "the stream was ended by the client", NULL, NULL);
}

/* ---- simple protocol ---- */

static void
run_statement(Session *session, const char *sql)
{
    Server *server = session->server;

    session->busy = true;
    session->row.count = 0;
    server->stats.queries++;
    server->handler.query(server->ctx, session, sql);
}

/* STREAM changes the protocol of the session, so it is taken here; every other text is a statement
 * for the handler. */
void
query_simple(Session *session, Slice payload)
{
    const char *sql = pgwire_parse_string(payload);
    const char *argument = NULL;
    int length;

    if (sql == NULL)
    {
        refuse_bytes(session);
        return;
    }
    length = stream_argument(sql, &argument);
    if (length >= 0)
        start_stream(session, argument, length);
    else
        run_statement(session, sql);
}

void
query_function_call(Session *session)
{
    session_error(session, "0A000", "function calls are not supported", NULL, NULL);
}

/* ---- extended protocol ---- */

static SessionPrepared *
find_prepared(SessionPrepared *list, const char *name)
{
    while (list != NULL && strcmp(list->name, name) != 0)
        list = list->next;
    return list;
}

static void
free_prepared(SessionPrepared *item)
{
    free(item->name);
    free(item->sql);
    free(item->formats);
    free(item);
}

static void
drop_prepared(SessionPrepared **list, const char *name)
{
    for (SessionPrepared **at = list; *at != NULL; at = &(*at)->next)
    {
        SessionPrepared *item = *at;

        if (strcmp(item->name, name) == 0)
        {
            *at = item->next;
            free_prepared(item);
            return;
        }
    }
}

static void
drop_all(SessionPrepared **list)
{
    while (*list != NULL)
    {
        SessionPrepared *item = *list;

        *list = item->next;
        free_prepared(item);
    }
}

static size_t
count_prepared(const SessionPrepared *list)
{
    size_t count = 0;

    for (; list != NULL; list = list->next)
        count++;
    return count;
}

/* Adds a statement or portal. The unnamed one replaces its predecessor; a name that is in use is an
 * error, as in PostgreSQL. NULL after session_error. */
static SessionPrepared *
add_prepared(Session *session, SessionPrepared **list, const char *name, const char *sql,
             const char *sqlstate)
{
    SessionPrepared *item;

    if (*name == '\0')
        drop_prepared(list, name);
    if (find_prepared(*list, name) != NULL)
    {
        session_error(session, sqlstate, "a statement or portal of that name exists already", NULL,
                      NULL);
        return NULL;
    }
    if (count_prepared(*list) >= SESSION_STATEMENTS_MAX)
    {
        session_error(session, "53400", "too many prepared statements or portals", NULL, NULL);
        return NULL;
    }
    item = calloc(1, sizeof(SessionPrepared));
    if (item == NULL || (item->name = strdup(name)) == NULL || (item->sql = strdup(sql)) == NULL)
        abort();
    item->next = *list;
    *list = item;
    return item;
}

/* The columns that sql will answer with; false after session_error. */
static bool
describe_statement(Session *session, const char *sql, const Column **columns, size_t *count)
{
    Server *server = session->server;
    const char *argument;

    *columns = NULL;
    *count = 0;
    if (stream_argument(sql, &argument) >= 0)
    {
        session_error(session, "0A000", "STREAM needs the simple query protocol", NULL, NULL);
        return false;
    }
    return server->handler.describe == NULL ||
           server->handler.describe(server->ctx, session, sql, columns, count);
}

void
query_parse(Session *session, Slice payload)
{
    PgwireParse parse;
    const Column *columns;
    size_t count;

    if (!pgwire_parse_parse(payload, &parse))
        refuse_bytes(session);
    else if (describe_statement(session, parse.sql, &columns, &count) &&
             add_prepared(session, &session->statements, parse.statement, parse.sql, "42P05"))
    {
        pgwire_put_bare(&session->output, '1');
        session_touch(session);
    }
}

static void
bind_portal(Session *session, const PgwireBind *bind, const SessionPrepared *statement)
{
    SessionPrepared *portal =
        add_prepared(session, &session->portals, bind->portal, statement->sql, "42P03");

    if (portal == NULL)
        return;
    portal->format_count = bind->format_count;
    portal->formats = malloc(bind->formats.length + 1);
    if (portal->formats == NULL)
        abort();
    if (bind->formats.length > 0)
        memcpy(portal->formats, bind->formats.data, bind->formats.length);
    pgwire_put_bare(&session->output, '2');
    session_touch(session);
}

void
query_bind(Session *session, Slice payload)
{
    PgwireBind bind;
    const SessionPrepared *statement;
    const Column *columns;
    size_t count;

    if (!pgwire_parse_bind(payload, &bind))
    {
        refuse_bytes(session);
        return;
    }
    statement = find_prepared(session->statements, bind.statement);
    if (statement == NULL)
        session_error(session, "26000", "prepared statement does not exist", NULL, NULL);
    else if (bind.parameter_count > 0)
        session_error(session, "08P01", "console statements take no parameters", NULL,
                      "Write the values into the statement.");
    else if (describe_statement(session, statement->sql, &columns, &count))
    {
        if (bind.format_count > 1 && bind.format_count != count)
            session_error(session, "08P01", "wrong number of result formats in bind message", NULL,
                          NULL);
        else
            bind_portal(session, &bind, statement);
    }
}

static void
put_description(Session *session, char kind, const SessionPrepared *item)
{
    const Column *columns;
    size_t count;

    if (!describe_statement(session, item->sql, &columns, &count))
        return;
    if (kind == 'S')
    {
        size_t mark = pgwire_begin(&session->output, 't');

        buffer_put_u16(&session->output, 0);
        pgwire_end(&session->output, mark);
    }
    if (count == 0)
        pgwire_put_bare(&session->output, 'n');
    else
        put_row_description(session, kind == 'P' ? item : NULL, columns, count);
    session_touch(session);
}

void
query_describe(Session *session, Slice payload)
{
    char kind;
    const char *name;
    const SessionPrepared *item;

    if (!pgwire_parse_target(payload, &kind, &name))
    {
        refuse_bytes(session);
        return;
    }
    item = find_prepared(kind == 'S' ? session->statements : session->portals, name);
    if (item != NULL)
        put_description(session, kind, item);
    else if (kind == 'S')
        session_error(session, "26000", "prepared statement does not exist", NULL, NULL);
    else
        session_error(session, "34000", "portal does not exist", NULL, NULL);
}

void
query_execute(Session *session, Slice payload)
{
    const char *name;

    if (!pgwire_parse_execute(payload, &name))
    {
        refuse_bytes(session);
        return;
    }
    session->current = find_prepared(session->portals, name);
    if (session->current == NULL)
        session_error(session, "34000", "portal does not exist", NULL, NULL);
    else
        run_statement(session, session->current->sql);
}

void
query_close(Session *session, Slice payload)
{
    char kind;
    const char *name;

    if (!pgwire_parse_target(payload, &kind, &name))
    {
        refuse_bytes(session);
        return;
    }
    drop_prepared(kind == 'S' ? &session->statements : &session->portals, name);
    pgwire_put_bare(&session->output, '3');
    session_touch(session);
}

/* Portals live until Sync, which ends the implicit transaction of the extended protocol; prepared
 * statements live as long as the session. */
void
query_sync(Session *session)
{
    session->state = PGWIRE_READY;
    drop_all(&session->portals);
    pgwire_put_ready(&session->output, session->transaction_status);
    session_touch(session);
}

void
query_free(Session *session)
{
    drop_all(&session->statements);
    drop_all(&session->portals);
}
