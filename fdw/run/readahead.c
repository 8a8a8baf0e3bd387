/*
 * Starts a multiget without waiting for it, and waits only when its rows are asked for.
 */
#include "fdw/run/readahead.h"

#include "fdw/base/memory.h"
#include "fdw/cluster/request_operation.h"

enum
{
    LONG_AGO_MS = 1 /* a deadline that is over: sends what there is to send and waits for nothing */
};

struct Readahead
{
    RequestOperation operation;
    ClientCluster *cluster;
    const Bucket *bucket;
    const Slice *keys;
    uint32_t key_count;
    const ClientReadOptions *options;
    Counters *counters;
    MemoryContext context;
    Memory memory;
    Arena arena;
    MemoryContextCallback on_reset;
};

/* After the end of the transaction the cluster may be gone already, but then nothing is attached.
 */
static void
readahead_detach(void *argument)
{
    Readahead *ahead = argument;
    Operation *operation = &ahead->operation.operation;

    if (operation_is_attached(operation))
        links_detach(ahead->cluster->links, operation);
}

static Request *
readahead_request(Readahead *ahead, ClusterTopology *topology)
{
    RequestOptions options = request_operation_read_options(topology, ahead->options);

    return request_read(&ahead->arena, &ahead->cluster->asker, &topology->topology, ahead->bucket,
                        &options, ahead->keys, ahead->key_count, links_now_ms());
}

Readahead *
readahead_begin(ClientCluster *cluster, const Bucket *bucket, const Slice *keys, uint32_t key_count,
                const ClientReadOptions *options, Counters *counters)
{
    Readahead *ahead = palloc0(sizeof(Readahead));
    ClusterTopology *topology = cluster_topology(cluster);

    ahead->cluster = cluster;
    ahead->bucket = bucket;
    ahead->keys = keys;
    ahead->key_count = key_count;
    ahead->options = options;
    ahead->counters = counters;
    ahead->context = CurrentMemoryContext;
    ahead->memory = memory_in_context(ahead->context);
    arena_init(&ahead->arena, &ahead->memory);
    request_operation_init(&ahead->operation, topology);
    ahead->operation.counters = counters;
    ahead->operation.requests[0] = readahead_request(ahead, topology);
    ahead->on_reset = (MemoryContextCallback){.func = readahead_detach, .arg = ahead};
    MemoryContextRegisterResetCallback(ahead->context, &ahead->on_reset);
    links_attach(cluster->links, &ahead->operation.operation);
    ahead->operation.deadline_ms = LONG_AGO_MS;
    request_operation_run(cluster, &ahead->operation);
    ahead->operation.deadline_ms = 0;
    return ahead;
}

/* Asks again, in the way that knows when to give up and what to say then. */
static const RequestReadResult *
readahead_again(const Readahead *ahead)
{
    MemoryContext before = MemoryContextSwitchTo(ahead->context);
    const RequestReadResult *results =
        client_multiget(ahead->cluster, ahead->bucket, ahead->keys, ahead->key_count,
                        ahead->options, ahead->counters);

    MemoryContextSwitchTo(before);
    return results;
}

const RequestReadResult *
readahead_end(Readahead *ahead)
{
    Request *request = ahead->operation.requests[0];
    const RequestReadResult *results;

    request_operation_run(ahead->cluster, &ahead->operation);
    readahead_detach(ahead);
    counters_add_request(ahead->counters, request, ahead->key_count);
    results = request_read_results(request);
    for (uint32_t i = 0; i < ahead->key_count; i++)
        if (results[i].status != STATUS_OK)
            return readahead_again(ahead);
    return results;
}
