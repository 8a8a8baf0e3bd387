/* Encodes the change and decodes it, as every node does. */
#include "test/lib/next_topology.h"

bool
next_topology_with_bucket(const Topology *topology, const Bucket *bucket, Arena *arena,
                          Topology *next, const char **why)
{
    TopologyChange change = {.added = bucket, .added_count = 1};
    Buffer document;
    bool valid;

    *why = topology_bucket_fault(topology, bucket);
    if (*why != NULL)
        return false;
    buffer_init(&document, arena->memory);
    topology_encode_change(&document, topology, &change);
    valid = topology_decode(slice_copy(arena, buffer_slice(&document)), arena, next);
    buffer_free(&document);
    if (!valid)
        *why = "the bucket's definition cannot be written down";
    return valid;
}
