/* next_topology: the topology after the one in force, as Paxos would choose it. */
#ifndef TEST_LIB_NEXT_TOPOLOGY_H
#define TEST_LIB_NEXT_TOPOLOGY_H

#include "shared/ring/topology.h"

/* Epoch + 1 with one bucket added, which borrows from neither; or the reason why not in *why. */
bool next_topology_with_bucket(const Topology *topology, const Bucket *bucket, Arena *arena,
                               Topology *next, const char **why);

#endif
