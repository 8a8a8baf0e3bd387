/*
 * NodeDatagrams: a node's UDP socket. A datagram that cannot be sent at once is dropped, as the
 * network might have dropped it.
 */
#ifndef NODE_HOST_NODE_DATAGRAMS_H
#define NODE_HOST_NODE_DATAGRAMS_H

#include <uv.h>

#include "node/config/outcome.h"
#include "shared/base/bytes.h"

typedef struct NodeDatagrams NodeDatagrams;

/* from: the address of the source, "127.0.0.1:7101"; both are valid during the call. */
typedef void (*NodeDatagramTaker)(void *ctx, Slice datagram, const char *from);

/* Binds to the address. On failure *datagrams is NULL. */
Outcome node_datagrams_open(uv_loop_t *loop, const struct sockaddr *address,
                            NodeDatagramTaker taker, void *ctx,
                            NodeDatagrams **datagrams) MUST_CHECK;

/* address: numeric. */
void node_datagrams_send(NodeDatagrams *datagrams, const char *address, uint16_t port,
                         Slice datagram);

/* Nothing is taken any more; closed runs on the loop when the socket is gone. */
void node_datagrams_close(NodeDatagrams *datagrams, void (*closed)(void *ctx), void *ctx);

#endif
