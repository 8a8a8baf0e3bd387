/*
 * What the topology*.c files share: the parts of a topology that are made from others.
 */
#ifndef SHARED_RING_TOPOLOGY_PRIVATE_H
#define SHARED_RING_TOPOLOGY_PRIVATE_H

#include "shared/ring/topology.h"

enum
{
    TOPOLOGY_BUCKET_LEAST = 11 /* bytes of a bucket's definition without any text */
};

/* Makes by_id and present; false when two slots have one id. */
bool topology_index_members(Topology *topology, Arena *arena);

/* Makes the preference lists from claim and target. */
void topology_fill_preference(Topology *topology, Arena *arena);

/* What is wrong with a bucket's definition in a cluster where n can be at most n_max, or NULL. */
const char *topology_definition_fault(const Bucket *bucket, uint32_t n_max);

#endif
