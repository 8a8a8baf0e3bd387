/*
 * Positions to partitions, and the walk from one.
 */
#include "shared/ring/ring.h"

bool
ring_partitions_are_valid(uint32_t partitions)
{
    return partitions >= RING_PARTITIONS_MIN && partitions <= RING_PARTITIONS_MAX &&
           (partitions & (partitions - 1)) == 0;
}

static unsigned
partition_bits(uint32_t partitions)
{
    return (unsigned)__builtin_ctz(partitions);
}

uint32_t
ring_partition(uint64_t position, uint32_t partitions)
{
    return (uint32_t)(position >> (64 - partition_bits(partitions)));
}

uint64_t
ring_partition_start(uint32_t partition, uint32_t partitions)
{
    return (uint64_t)partition << (64 - partition_bits(partitions));
}

static bool
is_among(uint16_t slot, const uint16_t *slots, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
    {
        if (slots[i] == slot)
            return true;
    }
    return false;
}

uint32_t
ring_walk(const uint16_t *claim, uint32_t partitions, uint32_t partition, uint16_t *slots,
          uint32_t max)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < partitions && count < max; i++)
    {
        uint16_t slot = claim[(partition + i) & (partitions - 1)];

        if (!is_among(slot, slots, count))
            slots[count++] = slot;
    }
    return count;
}
