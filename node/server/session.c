/*
 * One connection: bytes in, messages to their handlers, and how it begins and ends.
 *
 * Reading: bytes are read into the server's one buffer and parsed there, since most reads hold
 * whole messages. An incomplete message is copied into the session's own input, and the next read
 * goes behind it. A session whose query is being answered, or whose client does not fetch its
 * replies, keeps its messages in input and is not read from until it can go on, so that TCP slows
 * the client down.
 *
 * Failure modes: a broken socket or TLS ends the session at once (session_abort). A client that
 * breaks the protocol is told so first (session_fatal): the error leaves, the socket is half
 * closed, and the client has a moment to close its half.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "node/server/session.h"
#include "shared/wire/message.h"

#define WAITING_INPUT_MAX (64 * 1024) /* messages kept while a query is answered */
#define RESERVE_MAX (1024 * 1024)
#define KEEPALIVE_S 30
#define USER_TIMEOUT_MS 30000

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer);
static void on_socket_closed(uv_handle_t *handle);

/* ---- reading ---- */

/* TLS turns ciphertext into plaintext elsewhere, so only plain input can be read into its place
 * directly. Whoever has not logged in gets little memory. */
static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    Session *session = handle->data;
    Buffer *input = &session->input;
    size_t count = SERVER_READ_BYTES;

    if (session->tls != NULL || input->length == 0 || session_is_over(session))
    {
        *buffer = uv_buf_init((char *)session->server->read_buffer, SERVER_READ_BYTES);
        return;
    }
    if (session->phase == SESSION_LOGIN)
        count = PGWIRE_STARTUP_MAX; /* who has not logged in gets little memory */
    else if (session->needed > input->length + count)
        count = session->needed - input->length;
    if (count > RESERVE_MAX)
        count = RESERVE_MAX;
    *buffer = uv_buf_init((char *)buffer_reserve(input, count), (unsigned)count);
}

/* True while the next message of the session may be handled. */
bool
session_may_go_on(const Session *session)
{
    bool is_peer = session->role == USER_ROLE_PEER;
    bool is_drained = session->server->is_draining && session->state == PGWIRE_STREAM && !is_peer;

    /* Another node must not seem dead because it fetches something large. */
    size_t unsent = session_unsent_bytes(session) + (is_peer ? 0 : session->large.bytes);

    return !session_is_over(session) && !session->busy && !is_drained &&
           unsent < SERVER_OUTPUT_PAUSE_BYTES && !session->is_held &&
           (is_peer || session->unanswered_frames < SESSION_FRAMES_MAX);
}

/* Reads from the socket only while there is a use for what may come. While a query is answered a
 * little more is read, so that a cancel by closing the connection is noticed. */
void
session_adjust_reading(Session *session)
{
    bool wanted =
        session->phase == SESSION_LINGERING || session_may_go_on(session) ||
        (session->busy && !session_is_over(session) && session->input.length < WAITING_INPUT_MAX);

    if (session->phase == SESSION_CLOSED || wanted == session->reading)
        return;
    session->reading = wanted;
    if (wanted)
        uv_read_start((uv_stream_t *)&session->tcp, on_alloc, on_read);
    else
        uv_read_stop((uv_stream_t *)&session->tcp);
}

static void
handle_whole_frame(Session *session, Slice frame)
{
    Server *server = session->server;

    server->stats.received_frames++;
    session->unanswered_frames++;
    if (server->handler.stream_frame != NULL)
        server->handler.stream_frame(server->ctx, session, frame);
}

/* Parts let small frames of other nodes pass a large one. Clients need them in one direction only,
 * and each stream with chunks may keep a large frame in memory. */
static void
handle_chunk(Session *session, Slice chunk)
{
    Slice frame;

    if (session->role != USER_ROLE_PEER)
    {
        session_fatal(session, "08P01", "a client may not send a frame in chunks", NULL, NULL);
        return;
    }
    switch (chunk_join_add(&session->join, chunk, &frame))
    {
    case CHUNK_MORE:
        break;
    case CHUNK_WHOLE:
        handle_whole_frame(session, frame);
        chunk_join_release(&session->join);
        break;
    case CHUNK_BAD:
        session_fatal(session, "08P01", "the part of a frame fits no other", NULL, NULL);
        break;
    case CHUNK_NO_MEMORY:
        session_fatal(session, "53200", "out of memory", NULL, NULL);
        break;
    }
}

/* Checks and takes off the tag of a frame. False: it is not the frame that the client sent next.
 * The bytes are in a buffer of this server's, so they may be written to. */
static bool
open_seal(Session *session, Slice *frame)
{
    if (!session->is_sealed)
        return true;
    if (!seal_open(&session->from_client, (uint8_t *)(uintptr_t)frame->data, frame->length))
    {
        log_warning(session->server->log,
                    "closed a session of user %s (%s): a frame was altered on its way",
                    session->user, session->peer_address);
        session->server->stats.altered_frames++;
        session_fatal(session, "08P01", "a frame was altered on its way", NULL,
                      "Without TLS, frames are sealed with a key made of the login's password, "
                      "which must be ASCII; a user with another password needs sslmode=require.");
        return false;
    }
    frame->length -= SEAL_TAG_BYTES;
    return true;
}

static void
handle_frame(Session *session, Slice frame)
{
    if (!open_seal(session, &frame))
        return;
    if (chunk_is_one(frame))
        handle_chunk(session, frame);
    else
        handle_whole_frame(session, frame);
}

static void
handle_message(Session *session, const PgwireMessage *message, size_t rest)
{
    session->extended = message->action >= PGWIRE_PARSE && message->action <= PGWIRE_SYNC;
    switch (message->action)
    {
    case PGWIRE_FRAME:
        handle_frame(session, message->payload);
        break;
    case PGWIRE_STARTUP:
        login_startup(session, message->payload, rest);
        break;
    case PGWIRE_SASL_INITIAL:
        login_sasl_initial(session, message->payload);
        break;
    case PGWIRE_SASL_RESPONSE:
        login_sasl_response(session, message->payload);
        break;
    case PGWIRE_QUERY:
        query_simple(session, message->payload);
        break;
    case PGWIRE_PARSE:
        query_parse(session, message->payload);
        break;
    case PGWIRE_BIND:
        query_bind(session, message->payload);
        break;
    case PGWIRE_DESCRIBE:
        query_describe(session, message->payload);
        break;
    case PGWIRE_EXECUTE:
        query_execute(session, message->payload);
        break;
    case PGWIRE_CLOSE:
        query_close(session, message->payload);
        break;
    case PGWIRE_SYNC:
        query_sync(session);
        break;
    case PGWIRE_FUNCTION_CALL:
        query_function_call(session);
        break;
    case PGWIRE_STREAM_DONE:
        query_stream_done(session);
        break;
    case PGWIRE_STREAM_FAIL:
        query_stream_fail(session);
        break;
    case PGWIRE_TERMINATE:
        session_abort(session);
        break;
    case PGWIRE_FLUSH: /* all output leaves at the end of the turn anyway */
    case PGWIRE_IGNORE:
    case PGWIRE_REFUSE:
        break;
    }
}

static void
refuse_message(Session *session, const PgwireMessage *message, const char *error)
{
    char detail[80] = "";
    bool is_frame = session->state == PGWIRE_STREAM && message->type == 'd';

    if (message->type != 0)
        snprintf(detail, sizeof(detail), "The message has type 0x%02x.", message->type);
    session_fatal(session, is_frame ? "54000" : "08P01", error,
                  *detail != '\0' && !is_frame ? detail : NULL, NULL);
}

/* Handles the complete messages in input; returns the bytes that are done with. */
static size_t
consume_input(Session *session, Slice input)
{
    size_t done = 0;

    session->needed = 0;
    while (session_may_go_on(session))
    {
        PgwireMessage message;
        const char *error = NULL;
        Slice left = slice_make(input.data + done, input.length - done);
        PgwireResult result =
            pgwire_next(session->state, left, MESSAGE_FRAME_MAX + SEAL_TAG_BYTES, &message, &error);

        if (result == PGWIRE_INVALID)
            refuse_message(session, &message, error);
        if (result == PGWIRE_INCOMPLETE)
            session->needed = message.size;
        if (result != PGWIRE_COMPLETE)
            break;
        done += message.size;
        handle_message(session, &message, left.length - message.size);
    }
    return session_is_over(session) ? input.length : done;
}

static void
consume_own_input(Session *session)
{
    buffer_consume(&session->input, consume_input(session, buffer_slice(&session->input)));
    if (session->input.length == 0)
        session_empty_buffer(&session->input);
}

static void
receive_plain(Session *session, const uint8_t *data, size_t count)
{
    if (session->input.length > 0)
    {
        session->input.length += count; /* it was read into the reserved place */
        consume_own_input(session);
    }
    else
    {
        size_t done = consume_input(session, slice_make(data, count));

        buffer_put(&session->input, data + done, count - done);
    }
}

static void
receive_cipher(Session *session, const uint8_t *data, size_t count)
{
    bool is_alive = tls_receive(session->tls, slice_make(data, count), &session->input);

    session_touch(session);
    consume_own_input(session);
    if (!is_alive && !session_is_over(session))
        session_abort(session);
}

static void
on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    Session *session = stream->data;

    if (count < 0)
    {
        session_abort(session);
        return;
    }
    if (count == 0 || session_is_over(session))
        return;
    session->server->stats.received_bytes += (uint64_t)count;
    if (session->tls != NULL)
        receive_cipher(session, (const uint8_t *)buffer->base, (size_t)count);
    else
        receive_plain(session, (const uint8_t *)buffer->base, (size_t)count);
    session_adjust_reading(session);
}

/* The session goes on at the end of the turn, not inside of the call that ended its answer:
 * handlers are not entered twice. */
void
session_mark_resumable(Session *session)
{
    if (session->is_resumable || session_is_over(session))
        return;
    session->is_resumable = true;
    TAILQ_INSERT_TAIL(&session->server->resumable, session, resumable);
}

void
session_resume(Session *session)
{
    TAILQ_REMOVE(&session->server->resumable, session, resumable);
    session->is_resumable = false;
    if (session->input.length > 0 && session_may_go_on(session))
        consume_own_input(session);
    session_adjust_reading(session);
}

/* ---- the last words ---- */

static void
on_shutdown(uv_shutdown_t *request, int status)
{
    Session *session = request->handle->data;

    if (status < 0 && session->phase != SESSION_CLOSED)
        session_abort(session);
}

/*
 * A close with unread input makes the kernel send a reset, which may overtake our last words. So
 * close our half, and leave the other half a moment to close.
 */
void
session_linger(Session *session)
{
    session->phase = SESSION_LINGERING;
    session->deadline_ms = uv_now(session->server->loop) + SESSION_LINGER_MS;
    server_watch_deadlines(session->server);
    if (uv_shutdown(&session->shutdown, (uv_stream_t *)&session->tcp, on_shutdown) != 0)
        session_abort(session);
    else
        session_adjust_reading(session);
}

/* ---- beginning and end ---- */

/* TCP_USER_TIMEOUT ends connections whose other machine has gone without a word, also when data is
 * unsent; keepalive finds those that are idle. */
static void
set_socket_options(Session *session)
{
    unsigned timeout_ms = USER_TIMEOUT_MS;
    uv_os_fd_t fd;

    uv_tcp_nodelay(&session->tcp, 1);
    uv_tcp_keepalive(&session->tcp, 1, KEEPALIVE_S);
    if (uv_fileno((uv_handle_t *)&session->tcp, &fd) == 0)
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

/* IPv4 addresses are kept as mapped IPv6 addresses, so that one comparison does for both. */
static void
set_peer_address(Session *session)
{
    struct sockaddr_storage address = {0};
    int length = sizeof(address);
    char host[48] = "unknown";

    uv_tcp_getpeername(&session->tcp, (struct sockaddr *)&address, &length);
    if (address.ss_family == AF_INET)
    {
        const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)&address;

        memset(session->host + 10, 0xff, 2);
        memcpy(session->host + 12, &ipv4->sin_addr, 4);
        uv_ip4_name(ipv4, host, sizeof(host));
        session->is_loopback = (ntohl(ipv4->sin_addr.s_addr) >> 24) == 127;
        snprintf(session->peer_address, sizeof(session->peer_address), "%s:%u", host,
                 ntohs(ipv4->sin_port));
    }
    else if (address.ss_family == AF_INET6)
    {
        const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)&address;
        const uint8_t *bytes = ipv6->sin6_addr.s6_addr;

        memcpy(session->host, bytes, sizeof(session->host));
        uv_ip6_name(ipv6, host, sizeof(host));
        session->is_loopback = IN6_IS_ADDR_LOOPBACK(&ipv6->sin6_addr) ||
                               (IN6_IS_ADDR_V4MAPPED(&ipv6->sin6_addr) && bytes[12] == 127);
        snprintf(session->peer_address, sizeof(session->peer_address), "[%s]:%u", host,
                 ntohs(ipv6->sin6_port));
    }
    else
        snprintf(session->peer_address, sizeof(session->peer_address), "%s", host);
}

static Session *
session_new(Server *server)
{
    Session *session = calloc(1, sizeof(Session));

    if (session == NULL)
        abort();
    session->server = server;
    session->id = ++server->next_id;
    randombytes_buf(&session->cancel_key, sizeof(session->cancel_key));
    session->transaction_status = 'I';
    session->accepted_ms = uv_now(server->loop);
    session->deadline_ms = session->accepted_ms + (uint64_t)server->config->auth_timeout_ms;
    session->login = calloc(1, sizeof(SessionLogin));
    if (session->login == NULL)
        abort();
    buffer_init(&session->input, &MEMORY_HEAP);
    buffer_init(&session->output, &MEMORY_HEAP);
    buffer_init(&session->wire, &MEMORY_HEAP);
    buffer_init(&session->in_flight, &MEMORY_HEAP);
    chunk_queue_init(&session->large, &MEMORY_HEAP);
    chunk_join_init(&session->join, &MEMORY_HEAP, CHUNK_FRAME_MAX);
    return session;
}

Session *
session_accept(Server *server)
{
    Session *session = session_new(server);
    int result;

    uv_tcp_init(server->loop, &session->tcp);
    session->tcp.data = session;
    TAILQ_INSERT_TAIL(&server->sessions, session, all);
    TAILQ_INSERT_TAIL(&server->unauthenticated, session, waiting);
    server->stats.unauthenticated++;
    result = uv_accept((uv_stream_t *)&server->listener, (uv_stream_t *)&session->tcp);
    if (result != 0)
    {
        session_abort(session);
        return NULL;
    }
    server->stats.accepted++;
    set_socket_options(session);
    set_peer_address(session);
    server_join_crowd(session);
    server_watch_deadlines(server);
    session_adjust_reading(session);
    return session;
}

static void
leave_login(Session *session)
{
    if (session->phase == SESSION_LOGIN)
    {
        TAILQ_REMOVE(&session->server->unauthenticated, session, waiting);
        session->server->stats.unauthenticated--;
        server_leave_crowd(session);
        session->deadline_ms = 0;
    }
}

/* The exchange is wiped and freed: it holds keys, and thousands of sessions need its memory no
 * more. */
void
session_open(Session *session)
{
    leave_login(session);
    session->phase = SESSION_OPEN;
    session->state = PGWIRE_READY;
    session->was_authenticated = true;
    session->server->stats.sessions++;
    session->server->role_counts[session->role]++;
    sodium_memzero(session->login, sizeof(SessionLogin));
    free(session->login);
    session->login = NULL;
}

/* Closes the session after what was sent so far has left (or could not). */
static void
session_close(Session *session)
{
    if (session_is_over(session))
        return;
    leave_login(session);
    chunk_queue_free(&session->large); /* the end must not come between two chunks */
    session->phase = SESSION_ENDING;
    /* A client that never fetches its replies must not keep the session for ever. */
    session->deadline_ms = uv_now(session->server->loop) + USER_TIMEOUT_MS;
    server_watch_deadlines(session->server);
    session_touch(session);
}

void
session_fatal(Session *session, const char *sqlstate, const char *message, const char *detail,
              const char *hint)
{
    PgwireError error = {"FATAL", sqlstate, message, detail, hint};

    if (session_is_over(session))
        return;
    pgwire_put_error(&session->output, &error);
    session_close(session);
}

void
session_abort(Session *session)
{
    if (session->phase == SESSION_CLOSED)
        return;
    leave_login(session);
    session->phase = SESSION_CLOSED;
    session->deadline_ms = 0;
    session_untouch(session);
    server_count_output(session);
    if (session->is_resumable)
        TAILQ_REMOVE(&session->server->resumable, session, resumable);
    session->is_resumable = false;
    uv_close((uv_handle_t *)&session->tcp, on_socket_closed);
}

static void
on_socket_closed(uv_handle_t *handle)
{
    Session *session = handle->data;

    server_forget(session);
    query_free(session);
    tls_free(session->tls);
    if (session->login != NULL)
        sodium_memzero(session->login, sizeof(SessionLogin));
    free(session->login);
    buffer_free(&session->input);
    buffer_free(&session->output);
    buffer_free(&session->wire);
    buffer_free(&session->in_flight);
    chunk_queue_free(&session->large);
    chunk_join_free(&session->join);
    sodium_memzero(&session->from_client, sizeof(session->from_client));
    sodium_memzero(&session->to_client, sizeof(session->to_client));
    free(session->user);
    free(session);
}

/* ---- what everyone may ask ---- */

const char *
session_user(const Session *session)
{
    return session->user;
}

UserRole
session_role(const Session *session)
{
    return session->role;
}

const char *
session_peer_address(const Session *session)
{
    return session->peer_address;
}

bool
session_is_stream(const Session *session)
{
    return session->state == PGWIRE_STREAM;
}

uint64_t
session_unanswered(const Session *session)
{
    return session->unanswered_frames;
}

Server *
session_server(const Session *session)
{
    return session->server;
}

void
session_hold(Session *session, bool held)
{
    if (session->is_held == held)
        return;
    session->is_held = held;
    if (!held && session->input.length > 0)
        session_mark_resumable(session);
    session_adjust_reading(session);
}

void
session_set_data(Session *session, void *data)
{
    session->data = data;
}

void *
session_data(const Session *session)
{
    return session->data;
}
