/*
 * Who may stay: connections before login, sessions by role, and what unread answers may cost.
 *
 * Connections that have not logged in are cheap and few: beyond max_unauthenticated, or
 * max_unauthenticated_per_address of one address, the oldest is cut to make room, unless it is so
 * young that it may be one of many honest clients that came together; beyond a burst of those the
 * address with most connections pays. So a flood of half-open connections costs its sender's
 * connections, nobody else's. Each role has sessions of its own, so
 * a flood of clients that can log in leaves room for admins and other nodes.
 */
#include <stdlib.h>
#include <string.h>

#include "node/server/session.h"

#define HONEST_LOGIN_MS 500 /* who takes longer may be cut for a newcomer */
#define BURST_FACTOR 16     /* so many times max_unauthenticated, and not one more */

/* ---- before login ---- */

/* One host has as many IPv6 addresses as it likes: those of one network count as one. */
static void
crowd_host(const Session *session, uint8_t host[16])
{
    static const uint8_t ipv4[12] = {[10] = 0xff, [11] = 0xff};

    memcpy(host, session->host, 16);
    if (memcmp(host, ipv4, sizeof(ipv4)) != 0)
        memset(host + 8, 0, 8);
}

void
server_join_crowd(Session *session)
{
    Server *server = session->server;
    uint8_t host[16];
    Crowd *crowd;

    crowd_host(session, host);
    LIST_FOREACH(crowd, &server->crowds, listed)
    {
        if (memcmp(crowd->host, host, sizeof(host)) == 0)
            break;
    }
    if (crowd == NULL)
    {
        crowd = calloc(1, sizeof(Crowd));
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
    Crowd *crowd = session->crowd;

    session->crowd = NULL;
    if (crowd == NULL || --crowd->count > 0)
        return;
    LIST_REMOVE(crowd, listed);
    free(crowd);
}

/* The oldest before login, of that crowd when it is not NULL. */
static Session *
oldest_of(const Server *server, const Crowd *crowd)
{
    Session *session;

    TAILQ_FOREACH(session, &server->unauthenticated, waiting)
    {
        if (crowd == NULL || session->crowd == crowd)
            break;
    }
    return session;
}

/* Of several that are equally large the one that has waited longest. */
static const Crowd *
largest_crowd(const Server *server)
{
    const Crowd *largest = NULL;
    const Session *session;

    TAILQ_FOREACH(session, &server->unauthenticated, waiting)
    {
        if (largest == NULL || session->crowd->count > largest->count)
            largest = session->crowd;
    }
    return largest;
}

static bool
is_young(const Session *session)
{
    return uv_now(session->server->loop) - session->accepted_ms < HONEST_LOGIN_MS;
}

static void
cut_old_of_address(Server *server, const Crowd *crowd)
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

/* Those that had time to log in go first; beyond the burst somebody goes, however young, and that
 * is one of whoever has most. */
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

void
server_make_room(Server *server, const Session *newcomer)
{
    cut_old_of_address(server, newcomer->crowd);
    cut_old_of_all(server);
}

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
