/*
 * Peers: this node's links to the others, kept up by reconnecting, one for each address.
 *
 * Happy path: connect (SCRAM with a password derived from the cluster key in use), STREAM, up,
 * frames. Failure modes: refused, timed out, broken, or without a frame for 5 s: down, and a new
 * attempt after a pause (100 ms; it grows to 1 s while the other end says no). Without a frame for
 * 1 s: a spare link is made beside the silent one and takes its place once it is up; the callbacks
 * down and up tell of that.
 */
#ifndef NODE_HOST_PEERS_H
#define NODE_HOST_PEERS_H

#include "node/config/config.h"
#include "node/config/log.h"
#include "node/config/users.h"
#include "shared/base/bytes.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define PEERS_QUEUE_BYTES (256 * 1024 * 1024) /* and one frame, whatever its size */

typedef struct Peers Peers;

typedef struct PeersStart
{
    uv_loop_t *loop;
    Log *log;
    const char *name;            /* shown to the others as application_name */
    const UsersPeerLogin *login; /* copied */
    ConfigSsl ssl;               /* on: TLS to those nodes that require it */
    uint64_t connect_timeout_ms;

    /* up: a link carries frames from now on; down: it no longer does; frame: a frame came, valid
     * during the call. None is called from inside of peers_*. */
    void (*up)(void *ctx, uint32_t peer);
    void (*down)(void *ctx, uint32_t peer);
    void (*frame)(void *ctx, uint32_t peer, Slice frame);
    void *ctx;
} PeersStart;

Peers *peers_new(const PeersStart *start);

/* Logs in this way from now on. Links that are up are made anew, and stay until the new ones are
 * up. */
void peers_set_login(Peers *peers, const UsersPeerLogin *login);

/* The number of the peer at that address, which is connected to from now on. */
uint32_t peers_number(Peers *peers, const char *address, uint16_t port);

/* Queues a frame; dropped when the link is not up. It leaves at peers_flush. A link whose other end
 * leaves PEERS_QUEUE_BYTES unread is cut, so that what waits for its answers is told. */
void peers_send(Peers *peers, uint32_t peer, Slice frame);
void peers_flush(Peers *peers);

/* Where the peer is, as it was given to peers_number. Returns the address, valid for the life of
 * peers. */
const char *peers_address(const Peers *peers, uint32_t peer, uint16_t *port);

/* Why the peer is down: one line, "" while it is up. */
const char *peers_error(const Peers *peers, uint32_t peer);

/* Closes every link; closed runs on the loop when all handles are gone. */
void peers_close(Peers *peers, void (*closed)(void *ctx), void *ctx);

#endif
