/*
 * The UDP socket: datagrams are received into one buffer, handed on during the call, and sent at
 * once or not at all. Gossip expects loss, so nothing here is tried again or waited for.
 */
#include "node/host/node_datagrams.h"

#include "shared/base/memory.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum
{
    RECEIVE_SIZE = 2048,         /* what is longer is cut, and then no datagram of ours */
    RECEIVE_BUFFER = 1024 * 1024 /* of the kernel: bursts wait there while the loop is busy */
};

struct NodeDatagrams
{
    uv_udp_t socket;
    char buffer[RECEIVE_SIZE];
    NodeDatagramTaker taker;
    void *ctx;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void
on_wanted(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    NodeDatagrams *datagrams = handle->data;

    (void)suggested;
    *buffer = uv_buf_init(datagrams->buffer, sizeof(datagrams->buffer));
}

static void
write_address(const struct sockaddr *address, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "";
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;

    if (address->sa_family == AF_INET6)
    {
        uv_ip6_name(six, host, sizeof(host));
        snprintf(text, size, "[%s]:%u", host, ntohs(six->sin6_port));
        return;
    }
    uv_ip4_name(four, host, sizeof(host));
    snprintf(text, size, "%s:%u", host, ntohs(four->sin_port));
}

/* A datagram longer than the buffer is cut by the kernel, and none of ours is: it is dropped.
 * Errors tell of datagrams that were sent before, to ports where nobody listens. */
static void
on_received(uv_udp_t *socket, ssize_t count, const uv_buf_t *buffer, const struct sockaddr *address,
            unsigned flags)
{
    NodeDatagrams *datagrams = socket->data;
    char from[INET6_ADDRSTRLEN + 16];

    /* No address: there was nothing more to read. Errors are those of what was sent before. */
    if (count < 0 || address == NULL || (flags & UV_UDP_PARTIAL) != 0)
        return;
    write_address(address, from, sizeof(from));
    datagrams->taker(datagrams->ctx, slice_make(buffer->base, (size_t)count), from);
}

static void
on_datagrams_closed(uv_handle_t *handle)
{
    NodeDatagrams *datagrams = handle->data;
    void (*closed)(void *ctx) = datagrams->closed;
    void *ctx = datagrams->closed_ctx;

    memory_resize(&MEMORY_HEAP, datagrams, 0);
    if (closed != NULL)
        closed(ctx);
}

Outcome
node_datagrams_open(uv_loop_t *loop, const struct sockaddr *address, NodeDatagramTaker taker,
                    void *ctx, NodeDatagrams **opened)
{
    NodeDatagrams *datagrams = memory_resize(&MEMORY_HEAP, NULL, sizeof(NodeDatagrams));
    char text[INET6_ADDRSTRLEN + 16];
    int size = RECEIVE_BUFFER;
    int result;

    *datagrams = (NodeDatagrams){.taker = taker, .ctx = ctx};
    *opened = NULL;
    uv_udp_init(loop, &datagrams->socket);
    datagrams->socket.data = datagrams;
    result = uv_udp_bind(&datagrams->socket, address, 0);
    if (result == 0)
        result = uv_udp_recv_start(&datagrams->socket, on_wanted, on_received);
    if (result != 0)
    {
        write_address(address, text, sizeof(text));
        uv_close((uv_handle_t *)&datagrams->socket, on_datagrams_closed);
        return outcome_error("could not receive datagrams at %s: %s%s", text, uv_strerror(result),
                             result == UV_EADDRINUSE ? " (does another program use that UDP port?)"
                                                     : "");
    }
    (void)uv_recv_buffer_size((uv_handle_t *)&datagrams->socket, &size);
    *opened = datagrams;
    return outcome_ok();
}

void
node_datagrams_send(NodeDatagrams *datagrams, const char *address, uint16_t port, Slice datagram)
{
    uv_buf_t buffer = uv_buf_init((char *)datagram.data, (unsigned)datagram.length);
    union
    {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } to;

    if (uv_ip4_addr(address, port, &to.four) != 0 && uv_ip6_addr(address, port, &to.six) != 0)
        return;
    (void)uv_udp_try_send(&datagrams->socket, &buffer, 1, &to.any);
}

void
node_datagrams_close(NodeDatagrams *datagrams, void (*closed)(void *ctx), void *ctx)
{
    datagrams->closed = closed;
    datagrams->closed_ctx = ctx;
    uv_close((uv_handle_t *)&datagrams->socket, on_datagrams_closed);
}
