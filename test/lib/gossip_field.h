/*
 * gossip_field: nodes that gossip, on a network and a clock made up for the purpose.
 *
 * Every node is a whole node/engine/cluster/gossip.h with sealed datagrams. One seed gives one run.
 * Node i is member i of the topology. What the nodes come to hold of each other is handed to a
 * watcher as it changes; bytes are counted as they would be on the wire, with the headers of IP and
 * UDP.
 */
#ifndef TEST_LIB_GOSSIP_FIELD_H
#define TEST_LIB_GOSSIP_FIELD_H

#include "node/engine/cluster/gossip.h"
#include "test/lib/event_queue.h"
#include "test/lib/random.h"

enum
{
    GOSSIP_FIELD_SOCKET = 256, /* datagrams that a stopped node's socket holds */
    GOSSIP_FIELD_WIRE = 28     /* bytes of the headers around each datagram */
};

typedef struct GossipFieldNode
{
    Gossip *gossip; /* NULL: not running */
    bool stopped;
    uint64_t life;    /* counts starts */
    uint64_t wake_us; /* of the wake that is in the queue; 0: none */
    Event *waiting;   /* arrivals at a stopped node */
    uint32_t waiting_count;
    uint32_t behind_of; /* who last turned out to have a newer topology, or TOPOLOGY_NO_MEMBER */
    uint64_t notices[GOSSIP_NOTICE_END];
} GossipFieldNode;

typedef struct GossipField GossipField;

/* Before a datagram leaves: false takes it off the wire. */
typedef bool (*GossipFieldTap)(GossipField *field, uint32_t from, uint32_t to, Slice datagram);
typedef void (*GossipFieldWatcher)(GossipField *field, uint32_t observer,
                                   const GossipAction *change);

struct GossipField
{
    Random random;
    EventQueue events;
    uint64_t now_us;
    GossipFieldNode *nodes;
    uint32_t count;
    Topology topology;
    Arena arena;
    GossipKeys keys;
    GossipConfig config; /* of nodes that start from now on, but for their id */
    GossipActions actions;
    uint32_t loss_percent;
    uint32_t delay_us;  /* of every datagram */
    uint32_t jitter_us; /* more, up to this, even */
    GossipFieldTap tap; /* or NULL */
    GossipFieldWatcher watcher;
    void *context; /* of tap and watcher */
    uint64_t datagrams;
    uint64_t bytes;
};

/* count nodes in a cluster of epoch 1, none started; delays of a local network, no loss. */
GossipField *gossip_field_new(uint32_t count, uint64_t seed);
void gossip_field_free(GossipField *field);

void gossip_field_start(GossipField *field, uint32_t node);
void gossip_field_kill(GossipField *field, uint32_t node);
void gossip_field_stop(GossipField *field, uint32_t node);
void gossip_field_continue(GossipField *field, uint32_t node);

/* A datagram as if from that address, without delay. */
void gossip_field_inject(GossipField *field, uint32_t to, Slice datagram, const char *from);

/* Whatever a node's actions ask for, after a call of the test's own. */
void gossip_field_act(GossipField *field, uint32_t node);
void gossip_field_run(GossipField *field, uint64_t for_ms);
uint64_t gossip_field_now_ms(const GossipField *field);

/* Starts all and runs until each holds every other for alive; false when that takes a minute. */
bool gossip_field_settle(GossipField *field);

/* Running nodes other than member that hold it for state. */
uint32_t gossip_field_count(const GossipField *field, uint32_t member, GossipState state);

#endif
