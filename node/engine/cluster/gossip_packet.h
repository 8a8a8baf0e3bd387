/*
 * gossip_packet: what one node tells another in a datagram, and its codec.
 *
 * A packet is a message of SWIM (Das, Gupta, Motivala 2002) with news about members riding on it,
 * and whatever of its sender is known with it: run, incarnation, topology epoch, load. It names its
 * target, so that one recorded on its way to one node means nothing to another. The codec knows
 * nothing of keys: node/engine/cluster/gossip_seal.h makes a datagram of it.
 */
#ifndef NODE_ENGINE_CLUSTER_GOSSIP_PACKET_H
#define NODE_ENGINE_CLUSTER_GOSSIP_PACKET_H

#include "shared/ring/topology.h"

enum
{
    GOSSIP_DATAGRAM_MAX = 1400, /* bytes, sealed */
    GOSSIP_SEAL_BYTES = 45,     /* what sealing adds */
    GOSSIP_PACKET_MAX = GOSSIP_DATAGRAM_MAX - GOSSIP_SEAL_BYTES,
    GOSSIP_ACCUSERS_MAX = 4,
    GOSSIP_UPDATES_MAX = 64
};

typedef enum GossipKind
{
    GOSSIP_PING = 1,     /* answer with an ack that echoes the number */
    GOSSIP_PING_REQUEST, /* ping the subject for me */
    GOSSIP_ACK,          /* I am there; or, echoing a ping request, its subject is */
    GOSSIP_NACK,         /* I am there and have no ack of the subject yet (Lifeguard) */
    GOSSIP_NEWS,         /* no answer expected */
    GOSSIP_KIND_END
} GossipKind;

typedef enum GossipState
{
    GOSSIP_UNKNOWN, /* not heard of since this node has started; never in a packet */
    GOSSIP_ALIVE,
    GOSSIP_SUSPECT,
    GOSSIP_DEAD,
    GOSSIP_LEFT, /* is no member any more; never in a packet */
    GOSSIP_STATE_END
} GossipState;

/* What is said of a member. Only the member itself raises its incarnation, to refute. */
typedef struct GossipUpdate
{
    MemberId id;
    GossipState state;
    uint64_t incarnation;
    MemberId accusers[GOSSIP_ACCUSERS_MAX]; /* of a suspect: who found it silent themselves */
    uint32_t accuser_count;
} GossipUpdate;

/* How busy the sender is. */
typedef struct GossipLoad
{
    uint32_t operations; /* of clients, under way */
    uint32_t hints;      /* writes owed to other members */
    bool refuses_writes; /* its storage has failed */
    bool refuses_reads;  /* it is refilling */
} GossipLoad;

typedef struct GossipPacket
{
    uint8_t cluster[16];
    MemberId sender;
    MemberId target;
    uint64_t run;     /* of the sender: drawn at its start */
    uint64_t counter; /* of the run's packets: never twice the same */
    uint64_t incarnation;
    uint64_t epoch; /* of the sender's topology */
    GossipLoad load;
    GossipKind kind;
    uint64_t number;  /* PING, PING_REQUEST: to be echoed; ACK: likewise, or 0 */
    uint64_t echo;    /* ACK, NACK */
    MemberId subject; /* PING_REQUEST */
    GossipUpdate updates[GOSSIP_UPDATES_MAX];
    uint32_t update_count;
} GossipPacket;

/* Appends the packet, with as many of its updates, from the first on, as fit into
 * GOSSIP_PACKET_MAX; returns how many did. */
uint32_t gossip_packet_encode(Buffer *buffer, const GossipPacket *packet);

/* False when the bytes are not exactly what the encoder writes for some packet. */
bool gossip_packet_decode(Slice bytes, GossipPacket *packet);

#endif
