/*
 * Gossip: which members of the cluster are there; a step module.
 *
 * SWIM (Das, Gupta, Motivala 2002): each period one member, in an order shuffled for each round, is
 * pinged; without an ack three others are asked to ping it; without any it is suspected, and dead
 * when it has not refuted in time. News ride on every packet, each a number of times that grows
 * with the logarithm of the cluster. With Lifeguard (Dadgar, Phillips, Currey 2017): a node whose
 * own probes fail, whose helpers do not answer or which was stopped doubts itself and takes more
 * time; the time a suspect has shrinks with the members that find it silent themselves; a suspect
 * is told first.
 *
 * Beyond both: a member that hears of a suspicion looks for itself, so that it is confirmed or
 * refuted soon. The clock counts only time in which this node was there to listen: a node that was
 * stopped for a minute holds no minute against others. What the others are is not gossiped but in
 * the topology, and gossip tells whose topology is newer.
 *
 * Replays: a packet counts once in each run of its sender (gossip_window.h). Another run than the
 * one known is believed when an ack of it echoes a number drawn for a ping sent lately, so no
 * recorded run is. What came with a packet of an unproven run is not looked at; it makes this node
 * ping the member, at its address in the topology, at most ten times a second. Nothing else that is
 * refused is answered.
 *
 * A member is alive, suspect or dead; unknown until it was heard of since this node has started.
 * Members are numbered as in the topology.
 */
#ifndef NODE_ENGINE_CLUSTER_GOSSIP_H
#define NODE_ENGINE_CLUSTER_GOSSIP_H

#include "node/engine/cluster/gossip_seal.h"

typedef struct Gossip Gossip;

typedef struct GossipConfig
{
    MemberId self;
    uint32_t probe_interval_ms;
    uint32_t probe_timeout_ms;  /* of a ping, before others are asked */
    uint32_t probe_patience_ms; /* of the whole probe */
    uint32_t suspicion_ms;      /* at the least, with enough accusers, in a cluster of up to ten */
    uint32_t suspicion_factor;  /* by how much longer it is with one accuser */
    uint32_t news_interval_ms;
    uint32_t fanout; /* members told the news in each interval, and asked to ping another */
} GossipConfig;

/* What the daemon runs with: dead within 5 s in a cluster of five. */
GossipConfig gossip_config(const MemberId *self);

/* Things that an operator should hear of; each at most once in ten seconds. */
typedef enum GossipNotice
{
    GOSSIP_NOTICE_UNKNOWN_KEY,
    GOSSIP_NOTICE_FORGED,
    GOSSIP_NOTICE_OTHER_CLUSTER,
    GOSSIP_NOTICE_OWN_ID,
    GOSSIP_NOTICE_TWIN,
    GOSSIP_NOTICE_PAUSED,
    GOSSIP_NOTICE_END
} GossipNotice;

/* A sentence without a full stop. */
const char *gossip_notice_text(GossipNotice notice);

typedef enum GossipActionKind
{
    GOSSIP_SEND,   /* a packet, to be sealed, to the member's address */
    GOSSIP_CHANGE, /* what is held of the member has changed */
    GOSSIP_BEHIND, /* the member, or TOPOLOGY_NO_MEMBER, has a newer topology */
    GOSSIP_TELL    /* a notice */
} GossipActionKind;

typedef struct GossipAction
{
    GossipActionKind kind;
    uint32_t member;
    size_t packet_offset; /* into GossipActions.packets */
    size_t packet_length;
    GossipState before;
    GossipState state;
    uint64_t incarnation;
    GossipNotice notice;
    char from[64]; /* of a notice: the address it is about, or "" */
} GossipAction;

typedef struct GossipActions
{
    GossipAction *list;
    uint32_t count;
    uint32_t capacity;
    Buffer packets;
} GossipActions;

void gossip_actions_init(GossipActions *actions);
void gossip_actions_free(GossipActions *actions);
void gossip_actions_reset(GossipActions *actions);

typedef struct GossipCounters
{
    uint64_t sent;
    uint64_t received; /* authentic, timely and taken */
    uint64_t malformed;
    uint64_t unknown_key;
    uint64_t forged;
    uint64_t other_cluster;
    uint64_t misdirected; /* meant for another member */
    uint64_t strangers;   /* of senders that are no members here */
    uint64_t replayed;
    uint64_t unproven; /* of a run not known to be the present one */
    uint64_t twins;    /* of our own id, or of a run that another one of its member disowned */
    uint64_t probes;
    uint64_t probes_failed;
    uint64_t suspicions; /* raised here */
    uint64_t refutations;
    uint64_t deaths; /* found here, not heard of */
    uint64_t pauses; /* times in which this node stood still */
} GossipCounters;

/* run: drawn at random for this start of the process; seed: of the choices made. */
Gossip *gossip_new(const GossipConfig *config, uint64_t run, uint64_t seed);
void gossip_free(Gossip *gossip);

/* The members from now on; what is known of those that stay is kept. Without this node among them
 * gossip rests. The topology is borrowed during the call. */
void gossip_set_topology(Gossip *gossip, uint64_t now_ms, const Topology *topology);
void gossip_set_load(Gossip *gossip, const GossipLoad *load);

/* A datagram has come; from is its source's address, for people. */
void gossip_receive(Gossip *gossip, uint64_t now_ms, const GossipKeys *keys, Slice datagram,
                    const char *from, GossipActions *actions);

/* Whatever became due; gossip_wake_ms says when to call it next. To be called late is to have been
 * stopped. */
void gossip_tick(Gossip *gossip, uint64_t now_ms, GossipActions *actions);
uint64_t gossip_wake_ms(const Gossip *gossip);

/* A connection with the member broke, which may be the first sign: it is probed at once. */
void gossip_doubt_member(Gossip *gossip, uint64_t now_ms, uint32_t member);

/* The member has answered over a connection: as good as an ack. So a network that lets no datagram
 * through takes nobody for dead. */
void gossip_vouch(Gossip *gossip, uint32_t member);

GossipState gossip_state(const Gossip *gossip, uint32_t member);
const char *gossip_state_name(GossipState state);
uint64_t gossip_incarnation(const Gossip *gossip, uint32_t member);

/* How far the node doubts itself: 0 to 8 (Lifeguard's local health multiplier). */
uint32_t gossip_doubt(const Gossip *gossip);
GossipCounters gossip_counters(const Gossip *gossip);

#endif
