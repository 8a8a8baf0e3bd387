/*
 * request_operation: one or more Requests (shared/ask/request.h) on one topology, as an operation.
 */
#ifndef FDW_CLUSTER_REQUEST_OPERATION_H
#define FDW_CLUSTER_REQUEST_OPERATION_H

#include "fdw/cluster/cluster.h"

enum
{
    REQUEST_OPERATION_MAX = 2 /* requests under way at once */
};

typedef struct RequestOperation
{
    Operation operation;
    const ClusterTopology *topology;
    Request *requests[REQUEST_OPERATION_MAX]; /* NULL: a free place */
    uint64 deadline_ms; /* of links_now_ms; when it is over the operation is done whatever its
                           requests are. 0: none */
    Counters *counters; /* of the frames sent; NULL: nobody counts */
    bool watch_cancel;  /* so is it when a cancel has come, which the caller holds off */
} RequestOperation;

/* With every place free. */
void request_operation_init(RequestOperation *operation, const ClusterTopology *topology);

/* Waits until one of the requests is done, or the operation is over as said above. */
void request_operation_run(ClientCluster *cluster, RequestOperation *operation);

/* What a request is given: what it must reach, the time, and whom to ask last. */
RequestOptions request_operation_read_options(const ClusterTopology *topology,
                                              const ClientReadOptions *options);
RequestOptions request_operation_write_options(const ClusterTopology *topology,
                                               const ClientQuorum *quorum, uint32 timeout_ms);

#endif
