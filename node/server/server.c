/*
 * The listener and its sessions: who may connect and stay, the turn of the loop, deadlines, and how
 * it all ends.
 *
 * Connections that have not logged in are cheap and few: beyond max_unauthenticated, or
 * max_unauthenticated_per_address of one address, the oldest is cut to make room, unless it is so
 * young that it may be one of many honest clients that came together; beyond a burst of those the
 * address with most connections pays. So a flood of half-open connections costs its sender's
 * connections, nobody else's. Each role has sessions of its own, so a flood of clients that can log
 * in leaves room for admins and other nodes.
 */
#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/server/session.h"

#define BACKLOG 511
#define DEADLINE_TICK_MS 100
#define CLOSE_MS 1000
#define REMOVED_KEYS_MS 2000
#define HONEST_LOGIN_MS 500 /* who takes longer may be cut for a newcomer */
#define BURST_FACTOR 16     /* so many times max_unauthenticated, and not one more */

static void
on_internal_closed(uv_handle_t *handle)
{
    Server *server = handle->data;

    if (--server->open_handles > 0)
        return;

    void (*closed)(void *ctx) = server->closed;
    void *ctx = server->closed_ctx;

    tls_context_free(server->tls);
    free(server);
    if (closed != NULL)
        closed(ctx);
}

static void bound_output(Server *server);

/* ---- the turn ---- */

/* A client that waits for an answer. Other nodes ask again, elsewhere. */
static bool
awaits_answer(const Session *session)
{
    if (session->phase != SESSION_OPEN || session->role == USER_ROLE_PEER)
        return false;
    return session->busy || session->unanswered_frames > 0 || session->large.bytes > 0;
}

static void
check_drained(Server *server)
{
    void (*drained)(void *ctx) = server->drained;
    const Session *session;

    if (drained == NULL)
        return;
    if (uv_now(server->loop) < server->drain_deadline_ms)
    {
        TAILQ_FOREACH(session, &server->sessions, all)
        {
            if (awaits_answer(session))
                return;
        }
    }
    server->drained = NULL;
    drained(server->drained_ctx);
}

/* Nothing that one step makes possible may wait for the next event, since the loop might sleep
 * long. So sessions that can go on are handled, the handler sends what it gathered, and output
 * leaves, until no session can go on. */
static void
end_turn(Server *server)
{
    do
    {
        Session *session;

        /* Only those that are on the list now: a busy client must not keep the others waiting. */
        Session *last = TAILQ_LAST(&server->resumable, SessionList);

        while (last != NULL && (session = TAILQ_FIRST(&server->resumable)) != NULL)
        {
            session_resume(session);
            if (session == last)
                break;
        }
        if (server->handler.turn_end != NULL)
            server->handler.turn_end(server->ctx);
        while ((session = TAILQ_FIRST(&server->dirty)) != NULL)
            session_flush(session);
        bound_output(server);
    } while (!TAILQ_EMPTY(&server->resumable));
    check_drained(server);
}

static void
on_check(uv_check_t *handle)
{
    end_turn(handle->data);
}

/* The time of a turn is all that passed but for the time in which the loop waited for events. */
static void
measure_turn(Server *server)
{
    uint64_t waited_ns = uv_metrics_idle_time(server->loop);
    uint64_t now_ns = uv_hrtime();
    uint64_t busy_us = (now_ns - server->turned_ns - (waited_ns - server->waited_ns)) / 1000;

    if (server->turned_ns != 0 && busy_us > server->stats.longest_turn_us)
        server->stats.longest_turn_us = busy_us;
    server->waited_ns = waited_ns;
    server->turned_ns = now_ns;
}

static void
on_prepare(uv_prepare_t *handle)
{
    end_turn(handle->data);
    measure_turn(handle->data);
}

/* ---- deadlines ---- */

static void
meet_deadline(Session *session)
{
    if (session->phase == SESSION_OPEN)
    {
        session_meet_stall(session);
        return;
    }
    if (session->phase != SESSION_LOGIN)
    {
        session_abort(session);
        return;
    }
    session->server->stats.logins_failed++;
    session->server->stats.refused_late++;
    session_fatal(session, "08006", "canceling authentication due to timeout", NULL, NULL);
    session_flush(session);
}

/* A node whose key was removed is a stranger from then on, also on the session that it has. */
static void
cut_removed_keys(Server *server)
{
    Session *session;
    Session *next;

    for (session = TAILQ_FIRST(&server->sessions); session != NULL; session = next)
    {
        next = TAILQ_NEXT(session, all);
        if (session->was_authenticated && !session_is_over(session) &&
            session->role == USER_ROLE_PEER && users_find(server->users, session->user) == NULL)
            session_fatal(session, "28000", "the cluster key of this session was removed", NULL,
                          "Log in with the key that is in use.");
    }
}

/* One timer looks at all sessions ten times a second, and stops when no session has a deadline: a
 * timer for each session would cost more than a rare pass over them. */
static void
on_deadlines(uv_timer_t *timer)
{
    Server *server = timer->data;
    uint64_t now = uv_now(server->loop);
    bool is_needed = false;
    Session *session;
    Session *next;

    for (session = TAILQ_FIRST(&server->sessions); session != NULL; session = next)
    {
        next = TAILQ_NEXT(session, all);
        if (session->deadline_ms != 0 && now >= session->deadline_ms)
            meet_deadline(session);
        is_needed = is_needed || session->deadline_ms != 0;
    }
    if (server->removed_keys_cut_ms != 0 && now >= server->removed_keys_cut_ms)
    {
        server->removed_keys_cut_ms = 0;
        cut_removed_keys(server);
    }
    if (!is_needed && server->drained == NULL && server->removed_keys_cut_ms == 0)
        uv_timer_stop(timer);
}

void
server_watch_deadlines(Server *server)
{
    if (!uv_is_active((uv_handle_t *)&server->deadlines) &&
        !uv_is_closing((uv_handle_t *)&server->deadlines))
        uv_timer_start(&server->deadlines, on_deadlines, DEADLINE_TICK_MS, DEADLINE_TICK_MS);
}

/* ---- who may stay: connections before login ---- */

/* One host has as many IPv6 addresses as it likes: those of one network count as one. */
static void
crowd_host(const Session *session, uint8_t host[16])
{
    static const uint8_t ipv4[12] = {[10] = 0xff, [11] = 0xff};

    memcpy(host, session->host, 16);
    if (memcmp(host, ipv4, sizeof(ipv4)) != 0)
        memset(host + 8, 0, 8);
}

/* A crowd is the connections of one address that have not logged in. It is found by a list, because
 * there are at most max_unauthenticated times the burst factor of them. */
void
server_join_crowd(Session *session)
{
    Server *server = session->server;
    uint8_t host[16];
    ServerCrowd *crowd;

    crowd_host(session, host);
    LIST_FOREACH(crowd, &server->crowds, listed)
    {
        if (memcmp(crowd->host, host, sizeof(host)) == 0)
            break;
    }
    if (crowd == NULL)
    {
        crowd = calloc(1, sizeof(ServerCrowd));
        if (crowd == NULL)
            abort();
        memcpy(crowd->host, host, sizeof(host));
        LIST_INSERT_HEAD(&server->crowds, crowd, listed);
    }
    crowd->count++;
    session->crowd = crowd;
}

void
server_leave_crowd(Session *session)
{
    ServerCrowd *crowd = session->crowd;

    session->crowd = NULL;
    if (crowd == NULL || --crowd->count > 0)
        return;
    LIST_REMOVE(crowd, listed);
    free(crowd);
}

/* The oldest before login, of that crowd when it is not NULL. */
static Session *
oldest_of(const Server *server, const ServerCrowd *crowd)
{
    Session *session;

    TAILQ_FOREACH(session, &server->unauthenticated, waiting)
    {
        if (crowd == NULL || session->crowd == crowd)
            break;
    }
    return session;
}

/* The crowd with the most connections; of several equally large ones that whose oldest connection
 * has waited longest. */
static const ServerCrowd *
largest_crowd(const Server *server)
{
    const ServerCrowd *largest = NULL;
    const Session *session;

    TAILQ_FOREACH(session, &server->unauthenticated, waiting)
    {
        if (largest == NULL || session->crowd->count > largest->count)
            largest = session->crowd;
    }
    return largest;
}

/* Many honest clients come together when a pool is started: who is this young may still be one of
 * them. */
static bool
is_young(const Session *session)
{
    return uv_now(session->server->loop) - session->accepted_ms < HONEST_LOGIN_MS;
}

static void
cut_old_of_address(Server *server, const ServerCrowd *crowd)
{
    uint64_t most = (uint64_t)server->config->max_unauthenticated_per_address;

    while (crowd->count > most)
    {
        Session *oldest = oldest_of(server, crowd);

        if (is_young(oldest))
            return;
        server->stats.refused_address++;
        session_abort(oldest);
    }
}

/* Connections that had time to log in are closed first. Beyond the burst one is closed however
 * young it is, and then one of the address that has most of them. */
static void
cut_old_of_all(Server *server)
{
    uint64_t most = (uint64_t)server->config->max_unauthenticated;

    while (server->stats.unauthenticated > most)
    {
        Session *oldest = oldest_of(server, NULL);

        if (is_young(oldest) && server->stats.unauthenticated <= most * BURST_FACTOR)
            return;
        if (is_young(oldest))
            oldest = oldest_of(server, largest_crowd(server));
        server->stats.refused_unauthenticated++;
        session_abort(oldest);
    }
}

/* Closes connections that have not logged in until the newcomer fits within the limits. */
static void
make_room_for(Server *server, const Session *newcomer)
{
    cut_old_of_address(server, newcomer->crowd);
    cut_old_of_all(server);
}

/* Counted when somebody logs in and not kept: logins are rare beside frames. */
bool
server_user_is_full(const Server *server, const char *user)
{
    uint64_t most = (uint64_t)server->config->max_connections_per_user;
    uint64_t count = 0;
    const Session *session;

    if (most == 0)
        return false;
    TAILQ_FOREACH(session, &server->sessions, all)
    {
        count += session->phase == SESSION_OPEN && strcmp(session->user, user) == 0;
    }
    return count >= most;
}

/* ---- who may stay: sessions by role ---- */

typedef struct ServerRoleLimit
{
    const char *option;
    size_t offset; /* in Config */
} ServerRoleLimit;

static const ServerRoleLimit role_limits[USER_ROLES] = {
    [USER_ROLE_STATS] = {"max_stats_connections", offsetof(Config, max_stats_connections)},
    [USER_ROLE_DATA] = {"max_connections",       offsetof(Config, max_connections)      },
    [USER_ROLE_ADMIN] = {"max_admin_connections", offsetof(Config, max_admin_connections)},
    [USER_ROLE_PEER] = {"max_peer_connections",  offsetof(Config, max_peer_connections) },
};

const char *
server_full_option(const Server *server, UserRole role)
{
    const ServerRoleLimit *limit = &role_limits[role];
    int64_t most = *(const int64_t *)((const char *)server->config + limit->offset);

    return server->role_counts[role] >= (uint64_t)most ? limit->option : NULL;
}

/* ---- who may stay: unread answers ---- */

void
server_cut_slow(Session *session, const char *why)
{
    log_error(session->server->log,
              "closed session %llu of user %s (%s): %s; it had not read %zu bytes of answers",
              (unsigned long long)session->id, session->user, session->peer_address, why,
              session_unsent_bytes(session));
    session->server->stats.cut_slow++;
    session_abort(session);
}

static Session *
largest_output(const Server *server)
{
    Session *largest = NULL;
    Session *session;

    TAILQ_FOREACH(session, &server->sessions, all)
    {
        if (session->phase < SESSION_LINGERING && session->was_authenticated &&
            (largest == NULL || session->counted_bytes > largest->counted_bytes))
            largest = session;
    }
    return largest;
}

void
server_count_output(Session *session)
{
    Server *server = session->server;
    size_t bytes =
        session->phase == SESSION_CLOSED ? 0 : session_unsent_bytes(session) + session->large.bytes;

    server->unsent_bytes += bytes;
    server->unsent_bytes -= session->counted_bytes;
    session->counted_bytes = bytes;
}

/* Closes the sessions with most unread answers as long as all together have too much. */
static void
bound_output(Server *server)
{
    uint64_t most = (uint64_t)server->config->max_output_mb * 1024 * 1024;
    Session *largest;

    while (server->unsent_bytes > most && (largest = largest_output(server)) != NULL)
        server_cut_slow(
            largest,
            "all unread answers together exceeded max_output_mb, and most of them were its own");
}

/* ---- accepting ---- */

static void
on_connection(uv_stream_t *listener, int status)
{
    Server *server = listener->data;
    Session *session;

    if (status < 0)
    {
        log_warning(server->log, "could not accept a connection: %s", uv_strerror(status));
        return;
    }
    session = session_accept(server);
    if (session != NULL)
        make_room_for(server, session);
}

static int
resolve_listen_address(uv_loop_t *loop, const char *host, int port,
                       struct sockaddr_storage *address)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    uv_getaddrinfo_t request;
    char service[16];
    int result;

    snprintf(service, sizeof(service), "%d", port);
    result = uv_getaddrinfo(loop, &request, NULL, host, service, &hints);
    if (result == 0)
    {
        memcpy(address, request.addrinfo->ai_addr, request.addrinfo->ai_addrlen);
        uv_freeaddrinfo(request.addrinfo);
    }
    return result;
}

static Outcome
open_listener(Server *server)
{
    const Config *config = server->config;
    struct sockaddr_storage address = {0};
    int result =
        resolve_listen_address(server->loop, config->listen_address, (int)config->port, &address);

    if (result == 0)
        result = uv_tcp_bind(&server->listener, (struct sockaddr *)&address, 0);
    if (result == 0)
        result = uv_listen((uv_stream_t *)&server->listener, BACKLOG, on_connection);
    if (result != 0)
        return outcome_error("could not listen on %.128s port %d: %s%s", config->listen_address,
                             (int)config->port, uv_strerror(result),
                             result == UV_EADDRINUSE ? " (is another node running on that port?)"
                                                     : "");
    server->is_listening = true;
    return outcome_ok();
}

/* The new certificate is used by the next connections. Those that exist hold a reference to the old
 * one. */
static Outcome
load_tls(Server *server)
{
    TlsContext *fresh;
    Outcome outcome;

    if (server->config->ssl == CONFIG_SSL_OFF)
        return outcome_ok();
    if (*server->config->ssl_cert_file == '\0')
        outcome = tls_context_make(&fresh);
    else
        outcome =
            tls_context_new(server->config->ssl_cert_file, server->config->ssl_key_file, &fresh);
    if (outcome.failed)
        return outcome;
    tls_context_free(server->tls); /* connections hold what they need of it */
    server->tls = fresh;
    return outcome;
}

Server *
server_new(uv_loop_t *loop, const Config *config, Users *users, Log *log,
           const ServerHandler *handler, void *ctx)
{
    Server *server = calloc(1, sizeof(Server));

    if (server == NULL)
        abort();
    server->loop = loop;
    server->config = config;
    server->users = users;
    server->log = log;
    server->handler = *handler;
    server->ctx = ctx;
    TAILQ_INIT(&server->sessions);
    TAILQ_INIT(&server->unauthenticated);
    LIST_INIT(&server->crowds);
    TAILQ_INIT(&server->dirty);
    TAILQ_INIT(&server->resumable);
    uv_tcp_init(loop, &server->listener);
    uv_timer_init(loop, &server->deadlines);
    uv_check_init(loop, &server->check);
    uv_prepare_init(loop, &server->prepare);
    server->open_handles = 4;
    server->listener.data = server->deadlines.data = server->check.data = server->prepare.data =
        server;
    uv_check_start(&server->check, on_check);
    uv_prepare_start(&server->prepare, on_prepare);
    return server;
}

Outcome
server_listen(Server *server)
{
    Outcome outcome = load_tls(server);

    return outcome.failed ? outcome : open_listener(server);
}

Outcome
server_reload(Server *server)
{
    return load_tls(server);
}

struct sockaddr_storage
server_address(const Server *server)
{
    struct sockaddr_storage address = {0};
    int length = sizeof(address);

    uv_tcp_getsockname(&server->listener, (struct sockaddr *)&address, &length);
    return address;
}

int
server_port(const Server *server)
{
    struct sockaddr_storage address = server_address(server);

    return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port)
                                         : ntohs(((struct sockaddr_in *)&address)->sin_port);
}

ServerStats
server_stats(const Server *server)
{
    ServerStats stats = server->stats;

    stats.unsent_bytes = server->unsent_bytes;
    return stats;
}

/* The comparison takes the same time whatever the key, so that it cannot be guessed byte by byte.
 */
void
server_cancel(Server *server, uint32_t id, uint32_t key)
{
    Session *session;

    TAILQ_FOREACH(session, &server->sessions, all)
    {
        if ((uint32_t)session->id == id && session->phase == SESSION_OPEN &&
            sodium_memcmp(&session->cancel_key, &key, sizeof(key)) == 0)
        {
            if (session->busy && server->handler.cancel != NULL)
                server->handler.cancel(server->ctx, session);
            return;
        }
    }
}

/* ---- the end ---- */

static void
stop_listening(Server *server)
{
    if (server->is_listening)
        uv_close((uv_handle_t *)&server->listener, on_internal_closed);
    server->is_listening = false;
}

static void
tell_shutdown(Session *session)
{
    session_fatal(session, "57P01", "terminating connection: the node is shutting down", NULL,
                  NULL);
}

void
server_drain(Server *server, uint64_t grace_ms, void (*drained)(void *ctx), void *ctx)
{
    Session *session;
    Session *next;

    server->is_draining = true;
    server->drain_deadline_ms = uv_now(server->loop) + grace_ms;
    server->drained = drained;
    server->drained_ctx = ctx;
    server_watch_deadlines(server);
    stop_listening(server);
    for (session = TAILQ_FIRST(&server->sessions); session != NULL; session = next)
    {
        next = TAILQ_NEXT(session, all);
        if (!session->busy && !session_is_stream(session))
            tell_shutdown(session);
    }
}

/* The other nodes may be told of the key in use at this very moment: their new links come before
 * their old ones go. */
void
server_keys_changed(Server *server)
{
    server->removed_keys_cut_ms = uv_now(server->loop) + REMOVED_KEYS_MS;
    server_watch_deadlines(server);
}

static void
close_own_handles(Server *server)
{
    if (!uv_is_closing((uv_handle_t *)&server->listener))
        uv_close((uv_handle_t *)&server->listener, on_internal_closed);
    uv_close((uv_handle_t *)&server->deadlines, on_internal_closed);
    uv_close((uv_handle_t *)&server->check, on_internal_closed);
    uv_close((uv_handle_t *)&server->prepare, on_internal_closed);
}

/* Tells all sessions, and gives those that do not read the news a second. */
void
server_close(Server *server, void (*closed)(void *ctx), void *ctx)
{
    uint64_t deadline_ms = uv_now(server->loop) + CLOSE_MS;
    Session *session;
    Session *next;

    assert(!server->is_closing);
    server->is_draining = true;
    server->drained = NULL;
    server->is_closing = true;
    server->closed = closed;
    server->closed_ctx = ctx;
    stop_listening(server);
    for (session = TAILQ_FIRST(&server->sessions); session != NULL; session = next)
    {
        next = TAILQ_NEXT(session, all);
        tell_shutdown(session);
        if (session->phase != SESSION_CLOSED &&
            (session->deadline_ms == 0 || session->deadline_ms > deadline_ms))
            session->deadline_ms = deadline_ms;
    }
    server_watch_deadlines(server);
    if (TAILQ_EMPTY(&server->sessions))
        close_own_handles(server);
}

void
server_forget(Session *session)
{
    Server *server = session->server;

    TAILQ_REMOVE(&server->sessions, session, all);
    if (session->was_authenticated)
    {
        server->stats.sessions--;
        server->role_counts[session->role]--;
        if (server->handler.session_closed != NULL)
            server->handler.session_closed(server->ctx, session);
    }
    if (server->is_closing && TAILQ_EMPTY(&server->sessions))
        close_own_handles(server);
}
