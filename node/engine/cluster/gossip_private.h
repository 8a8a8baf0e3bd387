/*
 * The inside of Gossip, for gossip.c, gossip_probe.c, gossip_rumor.c and gossip_send.c alone. Times
 * are on gossip's own clock, which stands still while the node does.
 */
#ifndef NODE_ENGINE_CLUSTER_GOSSIP_PRIVATE_H
#define NODE_ENGINE_CLUSTER_GOSSIP_PRIVATE_H

#include "node/engine/cluster/gossip.h"
#include "node/engine/cluster/gossip_window.h"

enum
{
    GOSSIP_ASKED = 4,   /* numbers of pings that may prove a run */
    GOSSIP_PROBES = 16, /* own, under way */
    GOSSIP_RELAYS = 64, /* pings for others, under way */
    GOSSIP_DOUBT_MAX = 8,
    GOSSIP_CHALLENGE_MS = 100
};

/* No such time comes; it can be added to. */
#define GOSSIP_NEVER ((uint64_t)INT64_MAX)

typedef struct GossipMember
{
    MemberId id;
    GossipState state;
    uint64_t incarnation;

    /* The run that was proved, and the one before. */
    uint64_t run;
    uint64_t previous_run;
    bool has_run;
    bool disputed; /* a packet of another run has come since the last proof */
    GossipWindow window;
    uint64_t asked[GOSSIP_ASKED];
    uint32_t asked_next;
    uint64_t asked_ms; /* when it was last pinged */

    /* Of a suspect. */
    uint64_t suspect_since_ms;
    uint64_t check_due_ms; /* when this node looks for itself, at the earliest */
    uint32_t accusers[GOSSIP_ACCUSERS_MAX];
    uint32_t accuser_count;

    uint32_t tellings; /* of what is held of it, still to be made; 0: it is no news */
    uint32_t attempts; /* at greeting it, while it is unknown */
    uint64_t epoch;
    GossipLoad load;
} GossipMember;

typedef struct GossipProbe
{
    uint32_t member;
    uint64_t number;
    uint64_t request;        /* number of the ping requests; 0: none sent yet */
    uint64_t ping_due_ms;    /* GOSSIP_NEVER: sent */
    uint64_t helpers_due_ms; /* likewise asked */
    uint64_t over_ms;
    uint32_t helpers;
    uint32_t nacks;
} GossipProbe;

typedef struct GossipRelay
{
    uint32_t asker;
    uint32_t subject;
    uint64_t request;     /* the asker's number */
    uint64_t number;      /* of our ping */
    uint64_t nack_due_ms; /* GOSSIP_NEVER: sent */
    uint64_t over_ms;
} GossipRelay;

struct Gossip
{
    GossipConfig config;
    GossipCounters counters;
    uint8_t cluster[16];
    uint64_t epoch;
    GossipLoad load;
    GossipMember *members;
    uint32_t member_count; /* slots, those of members that left among them */
    uint32_t *by_id;       /* present of them, in the order of their ids */
    uint32_t present;
    uint32_t self;  /* or TOPOLOGY_NO_MEMBER: at rest */
    uint32_t there; /* members alive or suspect, this one among them */
    uint64_t run;
    uint64_t counter;
    uint64_t chance;
    uint32_t doubt;

    uint64_t now_ms;
    uint64_t stood_still_ms; /* by how much now_ms is behind the clock outside */
    bool ticked;

    uint32_t *order; /* of probing, shuffled; present of them */
    uint32_t order_next;
    uint64_t probe_due_ms;
    GossipProbe probes[GOSSIP_PROBES];
    uint32_t probe_count;
    GossipRelay relays[GOSSIP_RELAYS];
    uint32_t relay_count;
    uint32_t call_next; /* among members that are not there */
    uint64_t greet_due_ms;

    uint32_t *suspects;
    uint32_t suspect_count;
    uint32_t *news; /* members, the least told first */
    uint32_t news_count;
    uint64_t news_due_ms;

    uint32_t disputed; /* the member whose run was last doubted, for the notice */
    char disputed_from[64];
    uint64_t notice_ms[GOSSIP_NOTICE_END]; /* when it may be given again */
    uint64_t behind_ms;                    /* likewise */
};

uint64_t gossip_draw(Gossip *gossip);
uint32_t gossip_draw_below(Gossip *gossip, uint32_t bound);
uint32_t gossip_find(const Gossip *gossip, const MemberId *id);

/* ---- gossip_send.c ---- */

GossipAction *gossip_act(GossipActions *actions, GossipActionKind kind, uint32_t member);
void gossip_notice(Gossip *gossip, GossipNotice notice, uint32_t member, const char *from,
                   GossipActions *actions);

/* Sends a ping under that number. */
void gossip_send_ping(Gossip *gossip, uint32_t member, uint64_t number, GossipActions *actions);
void gossip_send_request(Gossip *gossip, uint32_t helper, uint64_t number, uint32_t subject,
                         GossipActions *actions);

/* An ack; with a number of its own when the run of the member is to be proved. */
void gossip_send_ack(Gossip *gossip, uint32_t member, uint64_t echo, uint64_t number,
                     GossipActions *actions);
void gossip_send_nack(Gossip *gossip, uint32_t member, uint64_t echo, GossipActions *actions);
void gossip_send_news(Gossip *gossip, uint32_t member, GossipActions *actions);

/* A new number that an ack of this member may echo. */
uint64_t gossip_ask(Gossip *gossip, uint32_t member);

/* ---- gossip_rumor.c: what is held of members ---- */

void gossip_take_update(Gossip *gossip, const GossipUpdate *update, GossipActions *actions);

/* This node finds the member silent. */
void gossip_accuse(Gossip *gossip, uint32_t member, GossipActions *actions);

/* What is held of a member as it is told. */
GossipUpdate gossip_update_of(const Gossip *gossip, uint32_t member);
void gossip_bury_due(Gossip *gossip, GossipActions *actions);
uint64_t gossip_burial_ms(const Gossip *gossip);

/* One telling of each of the first count news was made. */
void gossip_told(Gossip *gossip, uint32_t count);

/* ---- gossip_probe.c: finding out ---- */

/* The member is pinged at the next tick, unless a probe of it is under way. */
void gossip_probe(Gossip *gossip, uint32_t member);
void gossip_probe_tick(Gossip *gossip, GossipActions *actions);
uint64_t gossip_probe_wake_ms(const Gossip *gossip);
void gossip_take_ack(Gossip *gossip, uint32_t sender, uint64_t echo, GossipActions *actions);
void gossip_take_nack(Gossip *gossip, uint64_t echo);
void gossip_take_request(Gossip *gossip, uint32_t sender, const GossipPacket *packet,
                         GossipActions *actions);
void gossip_raise_doubt(Gossip *gossip, uint32_t by);

#endif
