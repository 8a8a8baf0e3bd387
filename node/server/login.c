/*
 * From the first byte to ReadyForQuery.
 *
 * Happy path:
 *
 *     SSLRequest -> 'S', handshake, startup packet -> AuthenticationSASL
 *     SASLInitialResponse -> SASLContinue, SASLResponse -> SASLFinal
 *     AuthenticationOk, ParameterStatus..., BackendKeyData, ReadyForQuery
 *
 * The name in the startup packet is who logs in; nothing later can change it. An unknown name, a
 * wrong password and a database that does not exist take the same steps in the same time; only who
 * has given the password learns more than 28P01.
 *
 * Failure modes: every refusal is FATAL and ends the session. A login that takes longer than
 * auth_timeout_ms is ended by the deadline in server.c.
 */
#include <assert.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/server/session.h"

#define DATABASE_NAME "dynamo"
#define REFUSALS_LOGGED 10     /* a second: a flood of wrong passwords must not fill the disk */
#define REFUSAL_AGAIN_MS 60000 /* after which the same refusal is logged again */

static const char *const parameters[][2] = {
    {"server_version",                SERVER_VERSION_TEXT},
    {"server_encoding",               "UTF8"             },
    {"client_encoding",               "UTF8"             },
    {"DateStyle",                     "ISO, MDY"         },
    {"IntervalStyle",                 "postgres"         },
    {"TimeZone",                      "UTC"              },
    {"integer_datetimes",             "on"               },
    {"standard_conforming_strings",   "on"               },
    {"is_superuser",                  "off"              },
    {"in_hot_standby",                "off"              },
    {"default_transaction_read_only", "off"              },
};

/* A backend learns these limits at its login, and refuses at the statement what the node would
 * refuse only at COMMIT. */
static void
put_limits(Session *session)
{
    const Config *config = session->server->config;
    char number[24];

    snprintf(number, sizeof(number), "%" PRId64, config->max_key_bytes);
    pgwire_put_parameter_status(&session->output, "dynamo.max_key_bytes", number);
    snprintf(number, sizeof(number), "%" PRId64, config->max_value_bytes);
    pgwire_put_parameter_status(&session->output, "dynamo.max_value_bytes", number);
}

static void
put_welcome(Session *session)
{
    Buffer *out = &session->output;

    pgwire_put_authentication(out, PGWIRE_AUTH_OK, SLICE_EMPTY);
    for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++)
        pgwire_put_parameter_status(out, parameters[i][0], parameters[i][1]);
    pgwire_put_parameter_status(out, "session_authorization", session->user);
    put_limits(session);
    pgwire_put_backend_key(out, (uint32_t)session->id, session->cancel_key);
    pgwire_put_ready(out, session->transaction_status);
    session_touch(session);
}

/* The entry of this text. A new text takes the place of the oldest entry, so that strangers with
 * many messages cannot make the list grow. */
static SessionRefusal *
find_refusal(Server *server, const char *text)
{
    SessionRefusal *refusal;

    for (unsigned i = 0; i < SERVER_REFUSALS_KEPT; i++)
    {
        if (strcmp(server->repeated[i].text, text) == 0)
            return &server->repeated[i];
    }
    refusal = &server->repeated[server->next_repeated++ % SERVER_REFUSALS_KEPT];
    *refusal = (SessionRefusal){.logged_ms = 0};
    snprintf(refusal->text, sizeof(refusal->text), "%s", text);
    return refusal;
}

/* False when the same refusal from the same address was logged within the last minute: whoever has
 * a wrong key tries again and again. times is set to the refusals that were left out since. */
static bool
is_worth_a_line(Session *session, const char *message, unsigned *times)
{
    Server *server = session->server;
    const char *port = strrchr(session->peer_address, ':');
    int length = (int)(port != NULL ? port - session->peer_address : 0);
    char text[sizeof(server->repeated[0].text)];
    SessionRefusal *refusal;
    uint64_t now = uv_now(server->loop);

    snprintf(text, sizeof(text), "%.*s %s", length, session->peer_address, message);
    refusal = find_refusal(server, text);

    if (refusal->logged_ms != 0 && now < refusal->logged_ms + REFUSAL_AGAIN_MS)
    {
        refusal->since++;
        return false;
    }
    *times = refusal->since;
    refusal->since = 0;
    refusal->logged_ms = now > 0 ? now : 1;
    return true;
}

static void
log_refusal(Session *session, const char *message)
{
    Server *server = session->server;
    uint64_t now = uv_now(server->loop);
    unsigned times;

    if (!is_worth_a_line(session, message, &times))
        return;
    if (now - server->refusals_since_ms >= 1000)
    {
        if (server->refusals > REFUSALS_LOGGED)
            log_warning(server->log, "refused %u more logins", server->refusals - REFUSALS_LOGGED);
        server->refusals_since_ms = now;
        server->refusals = 0;
    }
    if (++server->refusals > REFUSALS_LOGGED)
        return;
    if (times > 0)
        log_warning(server->log,
                    "refused a login from %s: %s (and %u more like it since the last such line)",
                    session->peer_address, message, times);
    else
        log_warning(server->log, "refused a login from %s: %s", session->peer_address, message);
}

static void
refuse_crowd(Session *session, UserRole role, const char *option)
{
    char detail[96];
    char hint[96];

    snprintf(detail, sizeof(detail), "The sessions of users of the role \"%s\" are all in use.",
             users_role_name(role));
    snprintf(hint, sizeof(hint), "Raise %s, or close sessions that are not used.", option);
    session->server->stats.refused_role[role]++;
    log_refusal(session, "sorry, too many clients already");
    session_fatal(session, "53300", "sorry, too many clients already", detail, hint);
}

static void
refuse_many(Session *session, const User *user)
{
    char message[128];

    snprintf(message, sizeof(message), "too many connections for user \"%s\"", user->name);
    session->server->stats.refused_role[user->role]++;
    log_refusal(session, message);
    session_fatal(session, "53300", message, NULL,
                  "Raise max_connections_per_user, or close sessions that are not used.");
}

/* The password was right, or none was needed. */
static void
accept_user(Session *session, const User *user)
{
    const char *full = server_full_option(session->server, user->role);

    assert(strcmp(user->name, session->user) == 0);
    if (!session->login->database_exists)
        session_fatal(session, "3D000", "database does not exist", NULL,
                      "Connect to the database \"" DATABASE_NAME "\".");
    else if (full != NULL)
        refuse_crowd(session, user->role, full);
    else if (user->role != USER_ROLE_PEER && server_user_is_full(session->server, user->name))
        refuse_many(session, user);
    else
    {
        session->role = user->role;
        session_open(session);
        put_welcome(session);
        log_debug(session->server->log, "user \"%s\" (%s) logged in from %s", session->user,
                  users_role_name(session->role), session->peer_address);
    }
}

static void
refuse_password(Session *session)
{
    char message[160];

    snprintf(message, sizeof(message), "password authentication failed for user \"%.63s\"",
             session->user);
    session->server->stats.logins_failed++;
    log_refusal(session, message);
    session_fatal(session, "28P01", message, NULL, NULL);
}

/* Bytes behind the request were sent in clear and would be taken for bytes of the encrypted
 * session: PostgreSQL's CVE-2021-23214. */
static void
answer_encryption_request(Session *session, bool *asked, char answer, size_t rest)
{
    if (*asked)
        session_fatal(session, "08P01", "the client asked for encryption twice", NULL, NULL);
    else if (rest > 0)
        session_fatal(session, "08P01", "received unencrypted data after encryption request",
                      "This could be either a client bug or an attempted man-in-the-middle attack.",
                      NULL);
    else
    {
        *asked = true;
        buffer_put_u8(&session->output, (uint8_t)answer);
        session_touch(session);
    }
}

static void
answer_ssl_request(Session *session, size_t rest)
{
    SessionLogin *login = session->login;
    bool is_offered = session->server->tls != NULL && session->tls == NULL && !login->ssl_asked;

    answer_encryption_request(session, &login->ssl_asked, is_offered ? 'S' : 'N', rest);
    if (is_offered && !session_is_over(session))
    {
        session_flush(session); /* the answer itself is not encrypted */
        session->tls = tls_new(session->server->tls);
    }
}

static bool
is_false(const char *value)
{
    return strcasecmp(value, "false") == 0 || strcasecmp(value, "off") == 0 ||
           strcasecmp(value, "no") == 0 || strcmp(value, "0") == 0;
}

static void
offer_sasl(Session *session)
{
    /* A list of mechanisms that ends with an empty one: the literal's own NUL is its second. */
    static const char both[] = SCRAM_MECHANISM_PLUS "\0" SCRAM_MECHANISM "\0";
    const size_t plus_bytes = sizeof(SCRAM_MECHANISM_PLUS);
    SessionLogin *login = session->login;
    ScramVerifier verifier = users_login_verifier(session->server->users, session->user);
    Slice binding = session->tls != NULL ? tls_end_point(session->tls) : SLICE_EMPTY;
    uint8_t nonce[SCRAM_NONCE_BYTES];

    randombytes_buf(nonce, sizeof(nonce));
    scram_begin(&login->scram, &verifier, nonce, binding);
    sodium_memzero(&verifier, sizeof(verifier));
    session->state = PGWIRE_AWAIT_SASL_INITIAL;
    pgwire_put_authentication(&session->output, PGWIRE_AUTH_SASL,
                              binding.length > 0
                                  ? slice_make(both, sizeof(both))
                                  : slice_make(both + plus_bytes, sizeof(both) - plus_bytes));
    session_touch(session);
}

/* The user, if trust_loopback lets him in without a password. Other nodes are never merely trusted,
 * because every node can prove that it holds the cluster key. */
static const User *
trusted_user(const Session *session)
{
    const User *user = users_find(session->server->users, session->user);

    if (!session->server->config->trust_loopback || !session->is_loopback || user == NULL)
        return NULL;
    return user->role == USER_ROLE_PEER ? NULL : user;
}

/* Sees to it that ssl = required is no mere wish of the client. */
static bool
is_too_open(const Session *session)
{
    return session->tls == NULL && session->server->config->ssl == CONFIG_SSL_REQUIRED;
}

/* A trusted user is let in without an exchange, so no key is agreed on: such a session can send
 * statements, but a stream in clear is refused to it (query.c). */
static void
begin_login(Session *session, const PgwireStartup *startup)
{
    const User *trusted;

    if (startup->minor > 0 || startup->pq_option_count > 0)
        pgwire_put_negotiate(&session->output, startup);
    assert(session->user == NULL);
    session->user = strdup(startup->user);
    if (session->user == NULL)
        abort();
    session->login->database_exists = strcmp(startup->database, DATABASE_NAME) == 0;
    trusted = trusted_user(session);
    if (trusted != NULL)
        accept_user(session, trusted);
    else
        offer_sasl(session);
}

static void
start_login(Session *session, const PgwireStartup *startup)
{
    char message[96];

    if (startup->major != 3)
    {
        snprintf(message, sizeof(message),
                 "unsupported frontend protocol %u.%u: server supports 3.0", startup->major,
                 startup->minor);
        session_fatal(session, "0A000", message, NULL, NULL);
    }
    else if (startup->replication != NULL && !is_false(startup->replication))
        session_fatal(session, "0A000", "replication connections are not supported", NULL, NULL);
    else if (session->server->is_draining)
        session_fatal(session, "57P03", "the node is shutting down", NULL, NULL);
    else if (is_too_open(session))
        session_fatal(session, "28000", LOGIN_TLS_ALONE,
                      "The node has ssl = required, and this connection is not encrypted.",
                      "Connect with sslmode=require.");
    else
        begin_login(session, startup);
}

void
login_startup(Session *session, Slice payload, size_t rest)
{
    PgwireStartup startup;
    const char *error = NULL;

    if (!pgwire_parse_startup(payload, &startup, &error))
    {
        session_fatal(session, "08P01", error, NULL, NULL);
        return;
    }
    switch (startup.kind)
    {
    case PGWIRE_STARTUP_SSL:
        answer_ssl_request(session, rest);
        break;
    case PGWIRE_STARTUP_GSS:
        answer_encryption_request(session, &session->login->gss_asked, 'N', rest);
        break;
    case PGWIRE_STARTUP_CANCEL:
        /* No answer, whether the key was right or not. */
        server_cancel(session->server, startup.cancel_id, startup.cancel_key);
        session_abort(session);
        break;
    case PGWIRE_STARTUP_LOGIN:
        start_login(session, &startup);
        break;
    }
}

static void
refuse_malformed(Session *session)
{
    char detail[160];

    snprintf(detail, sizeof(detail), "Reason: %s.", session->login->scram.error);
    session->server->stats.logins_failed++;
    session_fatal(session, "08P01", "malformed SCRAM message", detail, NULL);
}

void
login_sasl_initial(Session *session, Slice payload)
{
    const char *mechanism;
    Slice response;
    Buffer reply;

    if (!pgwire_parse_sasl_initial(payload, &mechanism, &response))
    {
        session_fatal(session, "08P01", "invalid SASLInitialResponse message", NULL, NULL);
        return;
    }
    if (strcmp(mechanism, SCRAM_MECHANISM) != 0 && strcmp(mechanism, SCRAM_MECHANISM_PLUS) != 0)
    {
        session_fatal(session, "08P01", "client selected an invalid SASL authentication mechanism",
                      NULL, NULL);
        return;
    }
    buffer_init(&reply, &MEMORY_HEAP);
    if (scram_client_first(&session->login->scram, strcmp(mechanism, SCRAM_MECHANISM_PLUS) == 0,
                           response, &reply) == SCRAM_CONTINUE)
    {
        session->state = PGWIRE_AWAIT_SASL_RESPONSE;
        pgwire_put_authentication(&session->output, PGWIRE_AUTH_SASL_CONTINUE,
                                  buffer_slice(&reply));
        session_touch(session);
    }
    else
        refuse_malformed(session);
    buffer_free(&reply);
}

/* The key of the seal is made of the verifier's ServerKey, which never travels, and of the nonces
 * of this login: no two sessions share one. */
static void
begin_seal(Session *session)
{
    const ScramExchange *scram = &session->login->scram;

    if (session->tls != NULL)
        return;
    session->is_sealed = true;
    seal_begin(&session->from_client, &session->to_client, scram->verifier.server_key,
               slice_make(scram->server_first, scram->server_first_length));
}

static void
finish_login(Session *session, Slice final)
{
    const User *user = users_find(session->server->users, session->user);

    /* The users may have been read again since the exchange began. */
    if (user == NULL)
    {
        refuse_password(session);
        return;
    }
    pgwire_put_authentication(&session->output, PGWIRE_AUTH_SASL_FINAL, final);
    begin_seal(session);
    accept_user(session, user);
}

void
login_sasl_response(Session *session, Slice payload)
{
    Buffer reply;

    buffer_init(&reply, &MEMORY_HEAP);
    switch (scram_client_final(&session->login->scram, payload, &reply))
    {
    case SCRAM_DONE:
        finish_login(session, buffer_slice(&reply));
        break;
    case SCRAM_DENIED:
        refuse_password(session);
        break;
    case SCRAM_CONTINUE:
    case SCRAM_MALFORMED:
        refuse_malformed(session);
        break;
    }
    buffer_free(&reply);
}
