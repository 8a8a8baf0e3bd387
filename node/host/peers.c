/*
 * Links to the other nodes. Each peer has two: one is used, the spare is made while the used one is
 * silent or was made under an older login, and takes its place once it is up.
 *
 * A state and one timer decide what a peer does next (PeerState says what the timer means in each).
 * Callbacks to the engine run only from the loop, never from inside of peers_send or peers_flush: a
 * link that breaks there sets the timer to now.
 */
#include "node/host/peers.h"

#include "node/server/session.h"
#include "shared/base/memory.h"
#include "shared/wire/link.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum
{
    RETRY_MIN_MS = 100,
    RETRY_MAX_MS = 1000,
    DOUBT_MS = 1000, /* the engine asks its peers several times a second */
    DRAIN_MS = 2000, /* what was asked over a link that is left has been answered */
    SILENCE_MS = 5000,
    REDIAL_MS = 800 /* sooner than TCP's own second try, and than the later ones by far */
};

typedef enum PeerState
{
    PEER_IDLE,       /* waits for the timer to connect again */
    PEER_CONNECTING, /* the timer ends the attempt */
    PEER_UP          /* the timer looks whether the peer is silent */
} PeerState;

typedef struct Peer Peer;

typedef struct PeerLink
{
    Peer *peer;
    Link *link;      /* NULL: none */
    uv_poll_t *poll; /* of its own, since its closing may outlast the link */
    int watched;     /* events that poll was started for: each start costs system calls */
} PeerLink;

struct Peer
{
    Peers *peers;
    uint32_t number;
    char address[64];
    char port[8];
    PeerState state;
    PeerLink links[2];
    PeerLink *used;  /* one of them */
    PeerLink *spare; /* the other: made while the used one is up and silent or of an older login */
    bool renewing;   /* the spare is to take over, since the login has changed */
    uint64_t drain_by_ms; /* until then the spare is one that was left, and still answers; 0: no */
    uv_timer_t timer;
    uint64_t connect_by_ms;
    uint64_t retry_ms;
    uint64_t heard_ms; /* when the last frame came */
    bool dirty;        /* frames wait for peers_flush */
    bool overfull;     /* it reads too slowly; the timer cuts it */
    bool over_tls;     /* the next attempt goes over TLS, since it takes no other */
    char error[256];
};

struct Peers
{
    PeersStart start;
    char name[64];
    UsersPeerLogin login;
    Peer **list;
    uint32_t count;
    bool closing;
    uint32_t open_handles;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void on_ready(uv_poll_t *poll, int status, int events);
static void on_peer_timer(uv_timer_t *timer);

Peers *
peers_new(const PeersStart *start)
{
    Peers *peers = memory_resize(&MEMORY_HEAP, NULL, sizeof(Peers));

    *peers = (Peers){.start = *start};
    snprintf(peers->name, sizeof(peers->name), "%s", start->name);
    peers_set_login(peers, start->login);
    return peers;
}

static void dial_spare(Peer *peer);

/* The new link comes up before the old one goes. */
void
peers_set_login(Peers *peers, const UsersPeerLogin *login)
{
    bool changed = memcmp(&peers->login, login, sizeof(*login)) != 0;

    peers->login = *login;
    for (uint32_t i = 0; changed && i < peers->count; i++)
    {
        peers->list[i]->renewing = peers->list[i]->state == PEER_UP;
        if (peers->list[i]->renewing)
            dial_spare(peers->list[i]);
    }
}

uint32_t
peers_number(Peers *peers, const char *address, uint16_t port)
{
    char port_text[8];

    snprintf(port_text, sizeof(port_text), "%u", port);
    for (uint32_t i = 0; i < peers->count; i++)
    {
        if (strcmp(peers->list[i]->address, address) == 0 &&
            strcmp(peers->list[i]->port, port_text) == 0)
            return i;
    }

    Peer *peer = memory_resize(&MEMORY_HEAP, NULL, sizeof(Peer));

    *peer = (Peer){.peers = peers, .number = peers->count, .retry_ms = RETRY_MIN_MS};
    peer->links[0].peer = peer->links[1].peer = peer;
    peer->used = &peer->links[0];
    peer->spare = &peer->links[1];
    snprintf(peer->address, sizeof(peer->address), "%s", address);
    snprintf(peer->port, sizeof(peer->port), "%s", port_text);
    snprintf(peer->error, sizeof(peer->error), "not tried yet");
    peers->list = memory_resize(&MEMORY_HEAP, peers->list, (peers->count + 1) * sizeof(Peer *));
    peers->list[peers->count++] = peer;
    uv_timer_init(peers->start.loop, &peer->timer);
    peer->timer.data = peer;
    peers->open_handles++;
    uv_timer_start(&peer->timer, on_peer_timer, 0, 0);
    return peer->number;
}

static void
finish_peers_close(Peers *peers)
{
    void (*closed)(void *ctx) = peers->closed;
    void *ctx = peers->closed_ctx;

    if (!peers->closing || peers->open_handles > 0)
        return;
    for (uint32_t i = 0; i < peers->count; i++)
        memory_resize(&MEMORY_HEAP, peers->list[i], 0);
    memory_resize(&MEMORY_HEAP, peers->list, 0);
    sodium_memzero(peers, sizeof(*peers));
    memory_resize(&MEMORY_HEAP, peers, 0);
    closed(ctx);
}

static void
on_poll_closed(uv_handle_t *handle)
{
    Peers *peers = handle->data;

    memory_resize(&MEMORY_HEAP, handle, 0);
    peers->open_handles--;
    finish_peers_close(peers);
}

/* The poll handle must let go of the socket before libpq closes it. */
static void
drop_link(PeerLink *link)
{
    if (link->poll != NULL)
    {
        uv_poll_stop(link->poll);
        link->poll->data = link->peer->peers;
        uv_close((uv_handle_t *)link->poll, on_poll_closed);
        link->poll = NULL;
    }
    if (link->link != NULL)
        link_close(link->link);
    link->link = NULL;
}

static void
drop_links(Peer *peer)
{
    drop_link(peer->used);
    drop_link(peer->spare);
    peer->dirty = peer->overfull = false;
}

/* A reason is logged when it changes, and not for each attempt: a node that is down for a day is
 * one line. */
static void
go_idle(Peer *peer, const char *why)
{
    PeerState was = peer->state;
    Peers *peers = peer->peers;

    if (strcmp(peer->error, why) != 0)
        log_warning(peers->start.log, "no link to %s:%s: %s", peer->address, peer->port, why);
    snprintf(peer->error, sizeof(peer->error), "%s", why);
    drop_links(peer);
    peer->state = PEER_IDLE;
    uv_timer_start(&peer->timer, on_peer_timer, peer->retry_ms, 0);
    peer->retry_ms = peer->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : peer->retry_ms * 2;
    if (was == PEER_UP)
        peers->start.down(peers->start.ctx, peer->number);
}

/* Starting a poll costs system calls, so it is started again only when what it waits for has
 * changed. */
static void
watch_link(PeerLink *link)
{
    Peers *peers = link->peer->peers;
    int wants = link_wants(link->link);
    int events = ((wants & LINK_READ) != 0 ? UV_READABLE : 0) |
                 ((wants & LINK_WRITE) != 0 ? UV_WRITABLE : 0);

    if (link->poll == NULL)
    {
        link->poll = memory_resize(&MEMORY_HEAP, NULL, sizeof(uv_poll_t));
        if (uv_poll_init(peers->start.loop, link->poll, link_socket(link->link)) != 0)
        {
            memory_resize(&MEMORY_HEAP, link->poll, 0);
            link->poll = NULL;
            return;
        }
        link->poll->data = link;
        peers->open_handles++;
        link->watched = 0;
    }
    if (events != link->watched)
        uv_poll_start(link->poll, events, on_ready);
    link->watched = events;
}

static void
receive_frames(Peer *peer)
{
    const PeersStart *start = &peer->peers->start;
    Slice frame;

    while (peer->used->link != NULL && link_receive(peer->used->link, &frame))
    {
        peer->heard_ms = uv_now(start->loop);
        if (!peer->renewing && peer->drain_by_ms == 0)
            drop_link(peer->spare);
        start->frame(start->ctx, peer->number, frame);
    }
}

static void
go_up(Peer *peer)
{
    const PeersStart *start = &peer->peers->start;

    peer->state = PEER_UP;
    peer->heard_ms = uv_now(start->loop);
    uv_timer_start(&peer->timer, on_peer_timer, DOUBT_MS, 0);
    peer->retry_ms = RETRY_MIN_MS;
    peer->error[0] = '\0';
    log_info(start->log, "linked to %s:%s", peer->address, peer->port);
    start->up(start->ctx, peer->number);
}

/* While a cluster changes from one way to another each link is made as the other end wants it. */
static void
look_for_tls(Peer *peer)
{
    const char *error = link_error(peer->used->link);

    if (strstr(error, LOGIN_TLS_ALONE) != NULL)
        peer->over_tls = peer->peers->start.ssl == CONFIG_SSL_ON;
    else if (strstr(error, "does not support SSL") != NULL)
        peer->over_tls = false;
}

static void
advance_peer(Peer *peer)
{
    LinkState state = link_step(peer->used->link);

    if (state == LINK_STREAMING && peer->state == PEER_CONNECTING)
        go_up(peer);
    if (peer->state == PEER_UP)
        receive_frames(peer);
    if (link_state(peer->used->link) == LINK_BROKEN)
    {
        look_for_tls(peer);
        go_idle(peer, link_error(peer->used->link));
    }
    else
        watch_link(peer->used);
}

/* Answers to what was asked over the silent link will not come, so the engine is told that the peer
 * went down and came back: it asks again. */
static void
use_spare_link(Peer *peer)
{
    const PeersStart *start = &peer->peers->start;
    PeerLink *silent = peer->used;

    peer->used = peer->spare;
    peer->spare = silent;
    peer->state = PEER_CONNECTING;
    peer->dirty = peer->overfull = false;
    drop_link(silent);
    start->down(start->ctx, peer->number);
    go_up(peer);
    advance_peer(peer);
}

/* Nothing is lost: what was asked over the old link is still answered over it, until drain_by_ms.
 */
static void
renew_by_spare(Peer *peer)
{
    PeerLink *old = peer->used;
    uint64_t now_ms = uv_now(peer->peers->start.loop);

    (void)link_flush(old->link);
    peer->used = peer->spare;
    peer->spare = old;
    peer->renewing = peer->overfull = false;
    peer->drain_by_ms = now_ms + DRAIN_MS;
    peer->heard_ms = now_ms;
    log_info(peer->peers->start.log, "linked to %s:%s under the cluster key in use", peer->address,
             peer->port);
    advance_peer(peer);
}

static void
drain_spare(Peer *peer)
{
    const PeersStart *start = &peer->peers->start;
    LinkState state = link_step(peer->spare->link);
    Slice frame;

    while (peer->spare->link != NULL && link_receive(peer->spare->link, &frame))
        start->frame(start->ctx, peer->number, frame);
    if (state == LINK_BROKEN || link_state(peer->spare->link) == LINK_BROKEN ||
        uv_now(start->loop) >= peer->drain_by_ms)
    {
        drop_link(peer->spare);
        peer->drain_by_ms = 0;
    }
    else
        watch_link(peer->spare);
}

static void
advance_spare(Peer *peer)
{
    LinkState state;

    if (peer->drain_by_ms != 0)
    {
        drain_spare(peer);
        return;
    }
    state = link_step(peer->spare->link);
    if (state == LINK_STREAMING && peer->renewing)
        renew_by_spare(peer);
    else if (state == LINK_STREAMING)
        use_spare_link(peer);
    else if (state == LINK_BROKEN)
        drop_link(peer->spare);
    else
        watch_link(peer->spare);
}

static void
on_ready(uv_poll_t *poll, int status, int events)
{
    PeerLink *link = poll->data;

    (void)status;
    (void)events;
    if (link == link->peer->used)
        advance_peer(link->peer);
    else
        advance_spare(link->peer);
}

static const char *
sslmode_of_peers(const Peer *peer)
{
    return peer->peers->start.ssl == CONFIG_SSL_REQUIRED || peer->over_tls ? "require" : "disable";
}

static Link *
open_peer_link(const Peer *peer)
{
    const Peers *peers = peer->peers;
    const char *const keywords[] = {"hostaddr",       "port",       "user",
                                    "password",       "dbname",     "application_name",
                                    "sslmode",        "gssencmode", "client_encoding",
                                    "sslcompression", NULL};
    const char *const values[] = {peer->address,
                                  peer->port,
                                  peers->login.name,
                                  peers->login.password,
                                  "dynamo",
                                  peers->name,
                                  sslmode_of_peers(peer),
                                  "disable",
                                  "UTF8",
                                  "0",
                                  NULL};

    Link *link = link_open(&MEMORY_HEAP, keywords, values);

    link_send_in_chunks(link);
    return link;
}

/* Where packets are dropped nobody says so, and when they pass again TCP would try only after as
 * long again as it has tried in vain: a new connection is sooner. */
static void
dial_link(Peer *peer)
{
    uint64_t now_ms = uv_now(peer->peers->start.loop);
    uint64_t left_ms = peer->connect_by_ms > now_ms ? peer->connect_by_ms - now_ms : 0;

    drop_link(peer->used);
    peer->used->link = open_peer_link(peer);
    if (link_state(peer->used->link) == LINK_BROKEN || link_socket(peer->used->link) < 0)
    {
        go_idle(peer, link_error(peer->used->link));
        return;
    }
    uv_timer_start(&peer->timer, on_peer_timer, left_ms < REDIAL_MS ? left_ms : REDIAL_MS, 0);
    watch_link(peer->used);
}

static void
connect_peer(Peer *peer)
{
    peer->state = PEER_CONNECTING;
    peer->renewing = false;
    peer->connect_by_ms = uv_now(peer->peers->start.loop) + peer->peers->start.connect_timeout_ms;
    dial_link(peer);
}

/* An attempt that nobody answered has taken its time already. */
static void
look_after_attempt(Peer *peer)
{
    uint64_t now_ms = uv_now(peer->peers->start.loop);
    bool answered = link_is_answered(peer->used->link);

    if (now_ms < peer->connect_by_ms && !answered)
        dial_link(peer);
    else if (now_ms < peer->connect_by_ms)
        uv_timer_start(&peer->timer, on_peer_timer, peer->connect_by_ms - now_ms, 0);
    else
    {
        peer->retry_ms = answered ? peer->retry_ms : RETRY_MIN_MS;
        go_idle(peer, "timed out");
    }
}

/* A spare that has got an answer is left to go on. One that nobody answers is dialled anew each
 * time, for the reason given at dial_link(). */
static void
dial_spare(Peer *peer)
{
    if (peer->spare->link != NULL && link_is_answered(peer->spare->link))
        return;
    drop_link(peer->spare);
    peer->drain_by_ms = 0;
    peer->spare->link = open_peer_link(peer);
    if (link_state(peer->spare->link) == LINK_BROKEN || link_socket(peer->spare->link) < 0)
        drop_link(peer->spare);
    else
        watch_link(peer->spare);
}

/* For a peer that answers: closes a spare that has been drained, and dials again one that is to
 * take over. */
static void
look_after_spare(Peer *peer, uint64_t now_ms)
{
    if (peer->drain_by_ms != 0 && now_ms >= peer->drain_by_ms)
    {
        drop_link(peer->spare);
        peer->drain_by_ms = 0;
    }
    if (peer->renewing && peer->spare->link == NULL)
        dial_spare(peer);
}

/* Frames that wait in the socket are read before the peer is called silent: this process may itself
 * have stood still. */
static void
look_for_silence(Peer *peer)
{
    uint64_t now_ms = uv_now(peer->peers->start.loop);

    if (now_ms >= peer->heard_ms + DOUBT_MS)
        advance_peer(peer);
    if (peer->state != PEER_UP)
        return;
    if (now_ms >= peer->heard_ms + SILENCE_MS)
        go_idle(peer, "it has not answered for too long");
    else if (now_ms >= peer->heard_ms + DOUBT_MS)
    {
        dial_spare(peer);
        uv_timer_start(&peer->timer, on_peer_timer, REDIAL_MS, 0);
    }
    else
    {
        look_after_spare(peer, now_ms);
        uv_timer_start(&peer->timer, on_peer_timer, peer->heard_ms + DOUBT_MS - now_ms, 0);
    }
}

static void
on_peer_timer(uv_timer_t *timer)
{
    Peer *peer = timer->data;

    if (peer->state == PEER_IDLE)
        connect_peer(peer);
    else if (peer->state == PEER_CONNECTING)
        look_after_attempt(peer);
    else if (peer->overfull)
        go_idle(peer, "it does not read what it is sent");
    else if (link_state(peer->used->link) == LINK_BROKEN)
        go_idle(peer, link_error(peer->used->link));
    else
        look_for_silence(peer);
}

/* A peer that leaves this much unread is cut from its timer: whoever waits for answers is then told
 * so, in a turn of its own. */
void
peers_send(Peers *peers, uint32_t number, Slice frame)
{
    Peer *peer = peers->list[number];

    if (peer->state != PEER_UP || peer->overfull)
        return;
    if (link_queued_bytes(peer->used->link) > PEERS_QUEUE_BYTES)
    {
        peer->overfull = true;
        uv_timer_start(&peer->timer, on_peer_timer, 0, 0);
        return;
    }
    if (!link_send(peer->used->link, frame) && link_state(peer->used->link) == LINK_STREAMING)
        log_warning(peers->start.log, "a frame of %zu bytes for %s:%s is too large to be sent",
                    frame.length, peer->address, peer->port);
    peer->dirty = true;
}

/* A link that breaks here goes idle in a turn of its own: no event from inside of a call. */
void
peers_flush(Peers *peers)
{
    for (uint32_t i = 0; i < peers->count; i++)
    {
        Peer *peer = peers->list[i];

        if (!peer->dirty)
            continue;
        peer->dirty = false;
        if (link_flush(peer->used->link) != LINK_BROKEN)
            watch_link(peer->used);
        else
            uv_timer_start(&peer->timer, on_peer_timer, 0, 0);
    }
}

const char *
peers_address(const Peers *peers, uint32_t number, uint16_t *port)
{
    const Peer *peer = peers->list[number];

    *port = (uint16_t)strtoul(peer->port, NULL, 10);
    return peer->address;
}

const char *
peers_error(const Peers *peers, uint32_t peer)
{
    return peers->list[peer]->error;
}

static void
on_peer_timer_closed(uv_handle_t *handle)
{
    Peer *peer = handle->data;
    Peers *peers = peer->peers;

    peers->open_handles--;
    finish_peers_close(peers);
}

void
peers_close(Peers *peers, void (*closed)(void *ctx), void *ctx)
{
    peers->closing = true;
    peers->closed = closed;
    peers->closed_ctx = ctx;
    for (uint32_t i = 0; i < peers->count; i++)
    {
        drop_links(peers->list[i]);
        peers->list[i]->state = PEER_IDLE;
        uv_close((uv_handle_t *)&peers->list[i]->timer, on_peer_timer_closed);
    }
    if (peers->count == 0)
        finish_peers_close(peers);
}
