/*
 * GossipPort: gossip joined to the rest of an engine; it decides nothing.
 *
 * Packets that gossip wants sent are sealed and leave as datagrams; what it finds out goes to
 * membership, which weighs it with what the links say, and, where people should know, to the log.
 */
#ifndef NODE_ENGINE_CLUSTER_GOSSIP_PORT_H
#define NODE_ENGINE_CLUSTER_GOSSIP_PORT_H

#include "node/engine/cluster/gossip.h"
#include "node/engine/cluster/membership.h"
#include "shared/base/cluster_keys.h"

typedef struct GossipPort
{
    Gossip *gossip;
    GossipKeys keys;
    GossipActions actions;
    uint64_t epoch;            /* of the topology that gossip has */
    const HostQuestions *host; /* borrowed */
    Membership *membership;    /* borrowed */
} GossipPort;

/* keys: of the cluster. Draws the run from the host's randomness. */
void gossip_port_init(GossipPort *port, const MemberId *self, const ClusterKeys *keys,
                      const HostQuestions *host, Membership *membership);
void gossip_port_free(GossipPort *port);
void gossip_port_set_keys(GossipPort *port, const ClusterKeys *keys);

/* Hands gossip the topology in force, if it is another than it has. */
void gossip_port_follow(GossipPort *port, uint64_t now_ms);

/* A hello was answered over the link of that member, or TOPOLOGY_NO_MEMBER. */
void gossip_port_vouch(GossipPort *port, uint32_t member);
void gossip_port_receive(GossipPort *port, uint64_t now_ms, Slice datagram, const char *from,
                         Actions *actions);
void gossip_port_tick(GossipPort *port, uint64_t now_ms, const GossipLoad *load, Actions *actions);

#endif
