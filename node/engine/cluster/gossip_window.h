/*
 * gossip_window: which packets of one run of one sender have come already (RFC 4303, 3.4.3).
 *
 * Counters are accepted once, in any order, as long as they are less than GOSSIP_WINDOW_BITS behind
 * the highest; older ones count as come.
 */
#ifndef NODE_ENGINE_CLUSTER_GOSSIP_WINDOW_H
#define NODE_ENGINE_CLUSTER_GOSSIP_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

enum
{
    GOSSIP_WINDOW_BITS = 256
};

typedef struct GossipWindow
{
    uint64_t highest;
    uint64_t seen[GOSSIP_WINDOW_BITS / 64]; /* bit counter % GOSSIP_WINDOW_BITS */
} GossipWindow;

/* A window in which that counter alone has come, and all before it. */
GossipWindow gossip_window(uint64_t first);

/* True when the counter has not come before; from then on it has. */
bool gossip_window_accept(GossipWindow *window, uint64_t counter);

#endif
