/*
 * Runs requests as one operation on the links: hands frames to nodes and answers to requests, and
 * tells a request of a node whose link broke.
 */
#include "fdw/cluster/request_operation.h"

#include "miscadmin.h"

enum
{
    HEDGE_AFTER_MS = 100
};

static RequestOperation *
request_operation_of(Operation *operation)
{
    return (RequestOperation *)((char *)operation - offsetof(RequestOperation, operation));
}

static bool
request_operation_next_send(Operation *operation, LinksNode **node, Slice *frame)
{
    RequestOperation *self = request_operation_of(operation);
    uint32_t member;

    for (int i = 0; i < REQUEST_OPERATION_MAX; i++)
    {
        if (self->requests[i] != NULL && request_next_send(self->requests[i], &member, frame))
        {
            *node = self->topology->nodes[member];
            counters_add_frame(self->counters, *node);
            return true;
        }
    }
    return false;
}

static bool
request_operation_answer(Operation *operation, LinksNode *node, const Frame *frame, uint64 now_ms)
{
    RequestOperation *self = request_operation_of(operation);
    uint32 member = cluster_member(self->topology, node);

    if (member == TOPOLOGY_NO_MEMBER)
        return false;
    for (int i = 0; i < REQUEST_OPERATION_MAX; i++)
        if (self->requests[i] != NULL && request_answer(self->requests[i], member, frame, now_ms))
            return true;
    return false;
}

static void
request_operation_heard(Operation *operation, LinksNode *node, uint64 now_ms)
{
    RequestOperation *self = request_operation_of(operation);
    uint32 member = cluster_member(self->topology, node);

    for (int i = 0; i < REQUEST_OPERATION_MAX; i++)
        if (self->requests[i] != NULL && member != TOPOLOGY_NO_MEMBER)
            request_heard(self->requests[i], member, now_ms);
}

static void
request_operation_lost(Operation *operation, LinksNode *node, bool reached, uint64 now_ms)
{
    RequestOperation *self = request_operation_of(operation);
    uint32 member = cluster_member(self->topology, node);

    for (int i = 0; i < REQUEST_OPERATION_MAX; i++)
    {
        if (self->requests[i] == NULL || member == TOPOLOGY_NO_MEMBER)
            continue;
        if (reached)
            request_lost(self->requests[i], member, now_ms);
        else
            request_unreached(self->requests[i], member, now_ms);
    }
}

static void
request_operation_tick(Operation *operation, uint64 now_ms)
{
    RequestOperation *self = request_operation_of(operation);

    for (int i = 0; i < REQUEST_OPERATION_MAX; i++)
        if (self->requests[i] != NULL)
            request_tick(self->requests[i], now_ms);
}

static uint64
request_operation_wake_ms(Operation *operation)
{
    RequestOperation *self = request_operation_of(operation);
    uint64 wake_ms = self->deadline_ms != 0 ? self->deadline_ms : UINT64_MAX;

    for (int i = 0; i < REQUEST_OPERATION_MAX; i++)
        if (self->requests[i] != NULL)
            wake_ms = Min(wake_ms, request_wake_ms(self->requests[i]));
    return wake_ms;
}

static bool
request_operation_was_silent(Operation *operation, LinksNode *node)
{
    RequestOperation *self = request_operation_of(operation);
    uint32 member = cluster_member(self->topology, node);

    for (int i = 0; i < REQUEST_OPERATION_MAX; i++)
        if (self->requests[i] != NULL && member != TOPOLOGY_NO_MEMBER &&
            request_was_silent(self->requests[i], member))
            return true;
    return false;
}

static bool
request_operation_done(Operation *operation)
{
    RequestOperation *self = request_operation_of(operation);

    for (int i = 0; i < REQUEST_OPERATION_MAX; i++)
        if (self->requests[i] != NULL && request_done(self->requests[i]))
            return true;
    return (self->watch_cancel && QueryCancelPending) ||
           (self->deadline_ms != 0 && links_now_ms() >= self->deadline_ms);
}

static const OperationMethods request_operation_methods = {
    .next_send = request_operation_next_send,
    .answer = request_operation_answer,
    .heard = request_operation_heard,
    .lost = request_operation_lost,
    .tick = request_operation_tick,
    .wake_ms = request_operation_wake_ms,
    .was_silent = request_operation_was_silent,
    .done = request_operation_done,
};

void
request_operation_init(RequestOperation *operation, const ClusterTopology *topology)
{
    *operation = (RequestOperation){.operation = {.methods = &request_operation_methods},
                                    .topology = topology};
}

void
request_operation_run(ClientCluster *cluster, RequestOperation *operation)
{
    links_run(cluster->links, &operation->operation);
}

static RequestOptions
request_operation_options(const ClusterTopology *topology, uint32 timeout_ms)
{
    return (RequestOptions){.timeout_ms = timeout_ms,
                            .hedge_after_ms = Max(Min(HEDGE_AFTER_MS, timeout_ms / 4), 1),
                            .avoid = topology->avoid};
}

RequestOptions
request_operation_read_options(const ClusterTopology *topology, const ClientReadOptions *options)
{
    RequestOptions request = request_operation_options(topology, options->timeout_ms);

    request.quorum = options->r;
    request.owners = options->pr;
    request.read_hedge_ms = options->hedge_ms;
    request.repair_later = options->repair_later;
    request.seal = options->seal;
    return request;
}

RequestOptions
request_operation_write_options(const ClusterTopology *topology, const ClientQuorum *quorum,
                                uint32 timeout_ms)
{
    RequestOptions request = request_operation_options(topology, timeout_ms);

    request.quorum = quorum->w;
    request.owners = quorum->pw;
    request.confirms = quorum->confirms;
    return request;
}
