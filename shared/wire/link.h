/*
 * Link: a connection to a node that carries frames, over libpq, without ever waiting (the one
 * shared piece that does I/O).
 *
 * The owner watches link_socket for what link_wants says and calls link_step when it is ready; a
 * backend does so with a WaitEventSet, a node with uv_poll, a test with poll(2). The address must
 * be numeric: libpq would resolve a name with a blocking call. For the same reason give gssencmode
 * 'disable': looking for Kerberos tickets may block.
 *
 * A login is mutual or it fails: SCRAM-SHA-256, and the node must prove in it that it knows the
 * secret, whatever it asks for or offers (shared/wire/proof.h). Over TLS that proof is bound to the
 * connection, so that no certificate need be known and nobody can stand between; in clear, which is
 * how links are made unless told otherwise, each frame is sealed under a key from it (seal.h).
 */
#ifndef SHARED_WIRE_LINK_H
#define SHARED_WIRE_LINK_H

#include "shared/wire/chunk.h"

typedef struct Link Link;

typedef enum LinkState
{
    LINK_CONNECTING, /* TCP, TLS, SCRAM, then STREAM */
    LINK_STREAMING,
    LINK_BROKEN /* link_error says why; free it */
} LinkState;

enum
{
    LINK_READ = 1,
    LINK_WRITE = 2
};

enum
{
    LINK_QUEUE_MAX = 5 * MESSAGE_FRAME_MAX, /* bytes of whole frames that wait to be sent */
    LINK_MESSAGE_MAX = 16 * CHUNK_BYTES     /* that may come without making a frame */
};

#define LINK_SSLMODE "disable" /* when the parameters have none */
#define LINK_ALTERED "what the node sent was altered on its way"

/*
 * Connection parameters as libpq's PQconnectStartParams takes them, of one address. memory is
 * borrowed until link_close. NULL when there is no memory for it; where there is none later the
 * link breaks, with 53200 as its SQLSTATE, and takes nobody with it.
 */
Link *link_open(const Memory *memory, const char *const *keywords, const char *const *values);
void link_close(Link *link);

/* Goes on with whatever the socket is ready for. */
LinkState link_step(Link *link);
LinkState link_state(const Link *link);

/* False while nobody has answered the packets that are to open the connection. */
bool link_is_answered(const Link *link);

/* -1 when there is none. It may change while connecting. */
int link_socket(const Link *link);

/* LINK_READ and LINK_WRITE as bits. */
int link_wants(const Link *link);

/* The owner is a node, so large frames may leave in chunks (shared/wire/chunk.h), and as large ones
 * come as travel between nodes. To be called before the first step. */
void link_send_in_chunks(Link *link);

/*
 * Queues a frame; only while streaming. It leaves at link_flush. False: it was not queued, since it
 * is too large for the link (MESSAGE_FRAME_MAX; in chunks CHUNK_FRAME_MAX), or the link is broken:
 * the connection is lost, there is no memory, or LINK_QUEUE_MAX would wait.
 */
bool link_send(Link *link, Slice frame);

/* Sends what is queued as far as the socket takes it. */
LinkState link_flush(Link *link);

/* What waits for the other end to read, but for the little that libpq has already. */
size_t link_queued_bytes(const Link *link);

/* True when chunks of a frame have come since this was last asked: the node is not silent. */
bool link_heard_chunk(Link *link);

/*
 * The next whole frame; borrowed until the next call. False: none yet, or broken: frames that came
 * before the connection was lost are handed out first, so look at link_state after the last one.
 */
bool link_receive(Link *link, Slice *frame);

/* The server's or libpq's words, one line, without a full stop; "" while all is well. */
const char *link_error(const Link *link);

/* The server's SQLSTATE when it refused us or ended the stream, ours when we had to, or "". */
const char *link_sqlstate(const Link *link);

/* What the node said of itself by that name at its login, or NULL (PQparameterStatus). */
const char *link_parameter(const Link *link, const char *name);

#endif
