/*
 * network: links as TCP has them, and what can go wrong with them.
 *
 * A link joins an endpoint (a host, or a client) to a host that it dials. While a connection lives
 * its frames arrive in order; it may be slow, blocked by a partition (frames wait, and neither side
 * knows), or break (frames in flight are lost and each side learns of it at its own time). Frames
 * between nodes may also come twice or overtake each other, which TCP never does but a retry over a
 * second connection may.
 */
#ifndef SIM_NETWORK_H
#define SIM_NETWORK_H

#include "shared/base/bytes.h"
#include "test/lib/event_queue.h"

typedef struct World World;

enum
{
    NETWORK_HOSTS_MAX = 5,
    NETWORK_CLIENTS_MAX = 6,
    NETWORK_ENDPOINTS_MAX = NETWORK_HOSTS_MAX + NETWORK_CLIENTS_MAX,
    NETWORK_LINKS_MAX = NETWORK_ENDPOINTS_MAX * NETWORK_HOSTS_MAX,
    LINK_TO_SERVER = 0, /* sides: where a frame or a notice arrives */
    LINK_TO_DIALER = 1
};

typedef struct Packet
{
    size_t length;
    uint8_t bytes[];
} Packet;

typedef enum NetworkLinkState
{
    LINK_DOWN,
    LINK_DIALING,
    LINK_UP
} NetworkLinkState;

/* Connections are numbered over the whole run; the number is the server's session too. */
typedef struct NetworkLink
{
    uint32_t from;          /* endpoint: a host, or NETWORK_HOSTS_MAX + client */
    uint32_t to;            /* host */
    NetworkLinkState state; /* as the dialer sees it */
    uint64_t connection;    /* as the dialer sees it; 0: none */
    uint64_t session;       /* as the server sees it; 0: none */
    uint64_t cut;           /* a connection that broke: what it carried is lost */
    uint64_t dial;          /* number of the dial under way */
    uint64_t last_us[2];    /* when the last frame to that side arrives */
    uint64_t troubled_us;   /* the last time something went wrong with it */
    bool wanted;            /* dialed again when it goes down */
} NetworkLink;

typedef struct Network
{
    NetworkLink links[NETWORK_LINKS_MAX];
    uint8_t blocked[NETWORK_ENDPOINTS_MAX]
                   [NETWORK_ENDPOINTS_MAX]; /* [from][to]: how many partitions do */
    Event *held;                            /* arrivals and notices that a partition holds up */
    uint32_t held_count;
    uint32_t held_capacity;
    uint64_t connections;
    uint64_t dials;
    bool clean; /* no faults of frames any more */
} Network;

void network_init(World *world);
void network_free(World *world);

/* The link of an endpoint to a host. */
NetworkLink *network_link(World *world, uint32_t from, uint32_t to);

/* Dials unless the link is up or being dialed; with wanted, again and again. */
void network_dial(World *world, NetworkLink *link, bool wanted);
void network_send(World *world, NetworkLink *link, Slice frame);
void network_reply(World *world, uint32_t host, uint64_t session, Slice frame);

/* From host to host, outside of any link: lost, doubled and overtaken as datagrams are. */
void network_datagram(World *world, uint32_t from, uint32_t to, Slice datagram);

/* Who holds the session of the host, for people: "n2", "c1". */
const char *network_session_name(World *world, uint32_t host, uint64_t session);

/* The dialer hangs up. */
void network_hang_up(World *world, NetworkLink *link);

/* The connection breaks: both sides learn of it, each in its time. */
void network_break(World *world, NetworkLink *link);

/* A host's process is gone, or is there again; silent: what it sent last is lost, and the others
 * are not told. */
void network_host_down(World *world, uint32_t host, bool silent);
void network_host_up(World *world, uint32_t host);

/* Cuts or mends one direction; each cut must be mended once. */
void network_block(World *world, uint32_t from, uint32_t to);
void network_unblock(World *world, uint32_t from, uint32_t to);

/* What the queue brings. */
void network_dial_due(World *world, const Event *event);
void network_dial_done(World *world, const Event *event);
void network_arrival(World *world, Event *event);
void network_closed(World *world, Event *event);
void network_datagram_due(World *world, Event *event);

#endif
