/*
 * ring: who owns which part of the hash ring (Dynamo 6.2, strategy 3: Q equal partitions).
 *
 * A claim names one node a partition. The preference list of a partition is the distinct nodes met
 * when walking the ring from it: the first n are the owners of a bucket with n replicas, the rest
 * are the fallbacks in order. The claim spaces the partitions of one node as far apart as it can,
 * so that the owners' load is even; distinctness never depends on it.
 */
#ifndef SHARED_RING_RING_H
#define SHARED_RING_RING_H

#include "shared/base/bytes.h"

enum
{
    RING_PARTITIONS_MIN = 8,
    RING_PARTITIONS_MAX = 8192, /* a power of two */
    RING_NODES_MAX = 1024
};

typedef struct RingNode
{
    uint32_t weight; /* share of partitions relative to the others; at least 1 */
    uint16_t zone;   /* nodes of one zone are kept apart where it costs no balance; 0: no zone */
} RingNode;

bool ring_partitions_are_valid(uint32_t partitions);

/* The partition that a ring position falls into. */
uint32_t ring_partition(uint64_t position, uint32_t partitions);

/* The first position of a partition. */
uint64_t ring_partition_start(uint32_t partition, uint32_t partitions);

/*
 * Fills claim[partitions] with node indexes: each node gets its weight's share (rounded either
 * way), and no node twice within min(node_count, spacing) neighbours, at the ring's wrap too, where
 * the shares allow it. Equal input gives equal output.
 */
void ring_claim(const RingNode *nodes, uint32_t node_count, uint32_t partitions, uint32_t spacing,
                Arena *arena, uint16_t *claim);

/* Writes up to max distinct nodes met from partition on; returns how many. */
uint32_t ring_walk(const uint16_t *claim, uint32_t partitions, uint32_t partition,
                   uint32_t node_count, uint16_t *nodes, uint32_t max);

#endif
