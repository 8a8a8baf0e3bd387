/*
 * ring: Q equal partitions of the hash ring, and the walk along it (Dynamo 4.3 and 6.2, strategy
 * 3).
 *
 * A claim (claim.h) names one member a partition, by its slot. The preference list of a partition
 * is the distinct members met when walking the ring from it: the first n are the owners of a bucket
 * with n replicas, the rest are the fallbacks in order.
 */
#ifndef SHARED_RING_RING_H
#define SHARED_RING_RING_H

#include "shared/base/bytes.h"

enum
{
    RING_PARTITIONS_MIN = 8,
    RING_PARTITIONS_MAX = 8192, /* a power of two */
    RING_NODES_MAX = 1024,
    RING_SLOTS_MAX = 4096 /* numbers of nodes, those that are no more among them */
};

bool ring_partitions_are_valid(uint32_t partitions);

/* The partition that a ring position falls into. */
uint32_t ring_partition(uint64_t position, uint32_t partitions);

/* The first position of a partition. */
uint64_t ring_partition_start(uint32_t partition, uint32_t partitions);

/*
 * Writes up to max distinct slots met from partition on; returns how many. The time is that of max
 * squared where the claim keeps members apart. When max is more than there are, the walk goes round
 * the whole ring.
 */
uint32_t ring_walk(const uint16_t *claim, uint32_t partitions, uint32_t partition, uint16_t *slots,
                   uint32_t max);

#endif
