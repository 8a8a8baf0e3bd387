/*
 * Who may stay: connections before login, sessions by role, and what unread answers may cost.
 *
 * Connections that have not logged in are cheap and few: beyond max_unauthenticated, or
 * max_unauthenticated_per_address of one address, the oldest is cut to make room, unless it is so
 * young that it may be one of many honest clients that came together. So a flood of half-open
 * connections costs its sender's connections, nobody else's. Each role has sessions of its own, so
 * a flood of clients that can log in leaves room for admins and other nodes.
 */
#include <string.h>

#include "node/session.h"

#define HONEST_LOGIN_MS 500 /* who takes longer may be cut for a newcomer */
#define BURST_FACTOR 16     /* so many times max_unauthenticated, and not one more */

/* ---- before login ---- */

static bool
is_same_host(const Session *a, const Session *b)
{
    return memcmp(a->host, b->host, sizeof(a->host)) == 0;
}

/* The oldest before login, of newcomer's address when like is not NULL; counts them all. */
static Session *
oldest_waiting(const Server *server, const Session *like, uint64_t *count)
{
    Session *oldest = NULL;
    Session *session;

    *count = 0;
    TAILQ_FOREACH(session, &server->unauthenticated, waiting)
    {
        if (like != NULL && !is_same_host(session, like))
            continue;
        if (oldest == NULL)
            oldest = session;
        ++*count;
    }
    return oldest;
}

static void
cut_oldest(Server *server, const Session *like, int64_t most, uint64_t *refused)
{
    uint64_t now = uv_now(server->loop);
    uint64_t count;
    Session *oldest = oldest_waiting(server, like, &count);

    while (count > (uint64_t)most && now - oldest->accepted_ms >= HONEST_LOGIN_MS)
    {
        ++*refused;
        session_abort(oldest);
        oldest = oldest_waiting(server, like, &count);
    }
}

void
server_make_room(Server *server, Session *newcomer)
{
    const Config *config = server->config;
    ServerStats *stats = &server->stats;

    cut_oldest(server, newcomer, config->max_unauthenticated_per_address, &stats->refused_address);
    cut_oldest(server, NULL, config->max_unauthenticated, &stats->refused_unauthenticated);
    if (stats->unauthenticated <= (uint64_t)config->max_unauthenticated * BURST_FACTOR ||
        newcomer->phase != SESSION_LOGIN)
        return;
    stats->refused_unauthenticated++;
    session_abort(newcomer);
}

/* ---- by role ---- */

typedef struct RoleLimit
{
    const char *option;
    size_t offset; /* in Config */
} RoleLimit;

static const RoleLimit role_limits[USER_ROLES] = {
    [USER_ROLE_STATS] = {"max_stats_connections", offsetof(Config, max_stats_connections)},
    [USER_ROLE_DATA] = {"max_connections",       offsetof(Config, max_connections)      },
    [USER_ROLE_ADMIN] = {"max_admin_connections", offsetof(Config, max_admin_connections)},
    [USER_ROLE_PEER] = {"max_peer_connections",  offsetof(Config, max_peer_connections) },
};

const char *
server_full_option(const Server *server, UserRole role)
{
    const RoleLimit *limit = &role_limits[role];
    int64_t most = *(const int64_t *)((const char *)server->config + limit->offset);

    return server->role_counts[role] >= (uint64_t)most ? limit->option : NULL;
}

/* ---- unread answers ---- */

void
server_cut_slow(Session *session, const char *why)
{
    log_error(session->server->log, "session %llu of %s (%s) is cut: %s; %zu bytes wait to be read",
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

void
server_bound_output(Server *server)
{
    uint64_t most = (uint64_t)server->config->max_output_mb * 1024 * 1024;
    Session *largest;

    while (server->unsent_bytes > most && (largest = largest_output(server)) != NULL)
        server_cut_slow(largest, "the answers that wait exceed max_output_mb");
}
