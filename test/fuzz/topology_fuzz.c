/* Any bytes as a topology: what is taken can be walked, searched and added to. */
#include "test/fuzz/fuzz.h"
#include "test/lib/next_topology.h"

static void
require_distinct_lists(const Topology *topology, Arena *arena)
{
    uint16_t *list = ARENA_ARRAY(arena, uint16_t, topology->member_count);
    bool *seen = ARENA_ARRAY(arena, bool, topology->member_count);

    for (uint32_t partition = 0; partition < topology->partitions; partition += 7)
    {
        uint64_t position = ring_partition_start(partition, topology->partitions);
        uint32_t count = topology_preference(topology, position, list, topology->member_count);

        memset(seen, 0, topology->member_count);
        for (uint32_t i = 0; i < count; i++)
        {
            fuzz_require(topology_is_present(topology, list[i]) && !seen[list[i]]);
            seen[list[i]] = true;
        }
    }
}

static void
require_everything_found(const Topology *topology)
{
    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        const MemberId *id = &topology->members[i].id;
        bool present = topology_is_present(topology, i);

        fuzz_require(topology_member(topology, id) == (present ? i : TOPOLOGY_NO_MEMBER));
        fuzz_require(topology_has_left(topology, id) == !present);
    }
    for (uint32_t i = 0; i < topology->bucket_count; i++)
    {
        const Bucket *bucket = &topology->buckets[i];

        fuzz_require(topology_bucket_by_id(topology, bucket->id) == bucket);
        fuzz_require(topology_bucket_by_name(topology, bucket->name) == bucket);
        fuzz_require(bucket->n <= topology->preference_length);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Bucket added = {
        .name = "fuzz", .n = 1, .key_types = {KEY_UUID}, .key_names = {"k"}, .key_count = 1};
    Slice bytes = slice_make(data, size);
    Topology topology;
    Topology next;
    const char *why;
    Arena arena;

    if (!fuzz_round_trip(bytes, round_trip_topology))
        return 0;
    arena_init(&arena, &MEMORY_HEAP);
    fuzz_require(topology_decode(bytes, &arena, &topology));
    require_distinct_lists(&topology, &arena);
    require_everything_found(&topology);
    if (next_topology_with_bucket(&topology, &added, &arena, &next, &why))
        fuzz_require(next.epoch == topology.epoch + 1 && topology_bucket_by_name(&next, "fuzz"));
    arena_free(&arena);
    return 0;
}
