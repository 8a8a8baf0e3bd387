/*
 * topology_scale: what one document costs at sizes that no test cluster has: its bytes, the time to
 * decode it, as each node and each backend does once an epoch, and the memory that it then takes.
 *
 *     build/release/bin/topology_scale
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "shared/ring/topology.h"

enum
{
    ROUNDS = 50
};

static double
now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Where every partition moves the document is the largest. */
static Topology
make_topology(uint32_t members, uint32_t partitions, bool moves, Arena *arena)
{
    Topology topology = {.epoch = 100, .partitions = partitions, .member_count = members};

    topology.members = ARENA_ARRAY(arena, Member, members);
    topology.claim = ARENA_ARRAY(arena, uint16_t, partitions);
    topology.target = moves ? ARENA_ARRAY(arena, uint16_t, partitions) : NULL;
    topology.steps = ARENA_ARRAY(arena, uint8_t, partitions);
    topology.changed = ARENA_ARRAY(arena, uint64_t, partitions);
    for (uint32_t i = 0; i < members; i++)
    {
        char name[24];

        snprintf(name, sizeof(name), "node_%u", i);
        topology.members[i] = (Member){.name = arena_copy_string(arena, name, strlen(name)),
                                       .address = "10.123.45.67",
                                       .port = 7101,
                                       .zone = "zone_a",
                                       .weight = 100};
        memcpy(topology.members[i].id.bytes, &i, sizeof(i));
    }
    for (uint32_t i = 0; i < partitions; i++)
    {
        topology.claim[i] = (uint16_t)(i % members);
        if (moves)
            topology.target[i] = (uint16_t)((i + 1) % members);
        topology.steps[i] = TOPOLOGY_FILLING;
        topology.changed[i] = 1 + i % 100;
    }
    return topology;
}

/* The bytes that decoding asked of the heap. */
static size_t heap_bytes;

static void *
counted_resize(void *context, void *pointer, size_t size)
{
    heap_bytes += size;
    return memory_resize(&MEMORY_HEAP, pointer, size);
}

static void
measure(uint32_t members, uint32_t partitions, bool moves)
{
    Memory counted = {.resize = counted_resize};
    Buffer document;
    double took_ms = 0;
    Arena arena;

    arena_init(&arena, &MEMORY_HEAP);
    buffer_init(&document, &MEMORY_HEAP);

    Topology topology = make_topology(members, partitions, moves, &arena);

    topology_encode(&document, &topology);
    for (unsigned round = 0; round < ROUNDS; round++)
    {
        Topology decoded;
        Arena own;
        double start_ms = now_ms();

        heap_bytes = 0;
        arena_init(&own, &counted);
        if (!topology_decode(buffer_slice(&document), &own, &decoded))
            fprintf(stderr, "topology_scale: the document cannot be decoded\n");
        took_ms += now_ms() - start_ms;
        arena_free(&own);
    }
    printf("| %u | %u | %s | %zu | %.2f | %zu |\n", members, partitions, moves ? "all" : "none",
           document.length, took_ms / ROUNDS, heap_bytes / 1024);
    buffer_free(&document);
    arena_free(&arena);
}

int
main(void)
{
    static const uint32_t sizes[][2] = {
        {3,    256 },
        {10,   256 },
        {100,  1024},
        {1000, 8192}
    };

    printf("| members | partitions | that move | document, bytes | decode, ms | memory, KB |\n");
    printf("|---:|---:|---|---:|---:|---:|\n");
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
    {
        measure(sizes[i][0], sizes[i][1], false);
        measure(sizes[i][0], sizes[i][1], true);
    }
    return 0;
}
