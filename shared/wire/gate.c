/*
 * The gate between libpq and the socket while a link logs in.
 *
 * Happy path in clear: the startup packet leaves over the connection; then libpq's socket is
 * replaced by one end of a pair (put_pair), messages are carried in and out until ReadyForQuery,
 * and libpq has its connection back (take_pair_away). Under TLS each record is looked at where
 * OpenSSL holds it, and libpq reads it from there. Failure modes: the proof finds a fault, or the
 * system refuses a socket or memory: the link breaks.
 */
#include "shared/wire/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum
{
    /* At least so much room has libpq in its buffer at each reading, so it takes all that was seen;
     * an honest server's records are much smaller. */
    RECORD_MAX = 8192
};

/* In clear the connection needs a number of its own, since libpq's will stand for the pair. */
void
gate_init(Gate *gate, const Memory *memory, PGconn *connection, bool clear)
{
    *gate = (Gate){.clear = clear, .socket = PQsocket(connection), .inner = -1};
    buffer_init(&gate->in, memory);
    buffer_init(&gate->out, memory);
    if (clear && gate->socket >= 0)
        gate->socket = fcntl(gate->socket, F_DUPFD_CLOEXEC, 0);
}

static void
close_inner(Gate *gate)
{
    if (gate->inner >= 0)
        close(gate->inner);
    gate->inner = -1;
}

void
gate_free(Gate *gate)
{
    close_inner(gate);
    if (gate->clear && gate->socket >= 0)
        close(gate->socket);
    gate->socket = -1;
    buffer_free(&gate->in);
    buffer_free(&gate->out);
}

static GateAnswer
refuse_with(Gate *gate, const char *error)
{
    gate->proof.error = error;
    return GATE_REFUSED;
}

static GateAnswer
refuse_by_memory(Gate *gate)
{
    gate->no_memory = true;
    return refuse_with(gate, "out of memory");
}

/* Puts bytes behind the message that waits for its rest, if one does. Messages do not end where
 * records or reads do. */
static bool
join_incomplete(Gate *gate, Slice *bytes)
{
    if (gate->in.length == 0)
        return true;
    if (!buffer_try_put(&gate->in, bytes->data, bytes->length))
        return false;
    *bytes = buffer_slice(&gate->in);
    return true;
}

/* Keeps the bytes that stand behind the first ones of what join_incomplete() made. */
static bool
keep_incomplete(Gate *gate, Slice bytes, size_t first)
{
    if (gate->in.length > 0)
        buffer_consume(&gate->in, first);
    else if (first < bytes.length)
        return buffer_try_put(&gate->in, bytes.data + first, bytes.length - first);
    return true;
}

/* ---- TLS ---- */

/* Looks at what libpq is about to read. The bytes stay where they are: only the rest of a message
 * that is not whole yet is kept. */
static GateAnswer
look_at(Gate *gate, Slice bytes)
{
    if (!join_incomplete(gate, &bytes) ||
        !keep_incomplete(gate, bytes, proof_take(&gate->proof, bytes)))
        return refuse_by_memory(gate);
    return gate->proof.error == NULL ? GATE_PASS : GATE_REFUSED;
}

/* The next record, which is what libpq's next reading gives it: one, and never more. */
static GateAnswer
admit_record(Gate *gate, PGconn *connection)
{
    SSL *ssl = PQsslStruct(connection, "OpenSSL");
    uint8_t record[RECORD_MAX];
    int count;

    if (ssl == NULL)
        return refuse_with(gate, "the connection is not encrypted by OpenSSL");
    ERR_clear_error();
    count = SSL_peek(ssl, record, sizeof(record));
    if (count <= 0)
    {
        int why = SSL_get_error(ssl, count);

        ERR_clear_error();
        return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? GATE_WAIT : GATE_PASS;
    }
    if (SSL_pending(ssl) > count)
        return refuse_with(gate, "the server sent more than belongs to a login");
    return look_at(gate, slice_make(record, (size_t)count));
}

/* ---- in clear ---- */

/* From now on libpq reads and writes the pair, under the number of its socket. */
static bool
put_pair(Gate *gate, PGconn *connection)
{
    int ends[2];
    bool done;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
        return false;
    done = dup3(ends[0], PQsocket(connection), O_CLOEXEC) >= 0;
    close(ends[0]);
    gate->inner = ends[1];
    return done;
}

/* The login is over: libpq has its connection back. */
static bool
take_pair_away(Gate *gate, PGconn *connection)
{
    close_inner(gate);
    return dup3(gate->socket, PQsocket(connection), O_CLOEXEC) >= 0;
}

/* False: the connection is lost, or there is no memory for what it does not take. */
static bool
send_out(Gate *gate, Slice bytes)
{
    ssize_t count = send(gate->socket, bytes.data, bytes.length, MSG_NOSIGNAL);

    if (count < 0 && errno != EAGAIN && errno != EINTR)
        return false;
    count = count < 0 ? 0 : count;
    if (bytes.data == gate->out.data)
        buffer_consume(&gate->out, (size_t)count);
    else if ((size_t)count < bytes.length)
        return buffer_try_put(&gate->out, bytes.data + count, bytes.length - (size_t)count);
    return true;
}

/* What libpq wrote goes out. */
static bool
carry_out(Gate *gate)
{
    uint8_t bytes[RECORD_MAX];
    ssize_t count;

    if (gate->out.length > 0 && !send_out(gate, buffer_slice(&gate->out)))
        return false;
    while (gate->out.length == 0 && (count = recv(gate->inner, bytes, sizeof(bytes), 0)) > 0)
        if (!send_out(gate, slice_make(bytes, (size_t)count)))
            return false;
    return true;
}

/* Whole messages that were looked at. They fit the pair, since libpq reads between. */
static GateAnswer
carry_in(Gate *gate, Slice bytes)
{
    size_t length;

    if (!join_incomplete(gate, &bytes))
        return refuse_by_memory(gate);
    length = proof_take(&gate->proof, bytes);
    if (gate->proof.error != NULL)
        return GATE_REFUSED;
    if ((gate->proof.stage == PROOF_READY && length < bytes.length) ||
        send(gate->inner, bytes.data, length, MSG_NOSIGNAL) != (ssize_t)length)
        return refuse_with(gate, "the server sent more than belongs to a login");
    if (!keep_incomplete(gate, bytes, length))
        return refuse_by_memory(gate);
    return length > 0 ? GATE_PASS : GATE_WAIT;
}

/* The end of the connection is passed on as such: libpq then says in its own words that the server
 * closed it. */
static GateAnswer
admit_messages(Gate *gate)
{
    uint8_t bytes[RECORD_MAX];
    ssize_t count = recv(gate->socket, bytes, sizeof(bytes), 0);

    if (count > 0)
        return carry_in(gate, slice_make(bytes, (size_t)count));
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return GATE_WAIT;
    shutdown(gate->inner, SHUT_WR); /* libpq finds the end, and has the words for it */
    return GATE_PASS;
}

/* ---- both ---- */

/* Until the startup packet has left, only TLS's own handshake comes in, which OpenSSL judges. */
GateAnswer
gate_admit(Gate *gate, PGconn *connection)
{
    if (!gate->answering)
        return GATE_PASS;
    if (!gate->clear)
        return admit_record(gate, connection);
    if (!carry_out(gate))
        return refuse_with(gate, "the connection was lost");
    return admit_messages(gate);
}

bool
gate_polled(Gate *gate, PGconn *connection, bool done)
{
    /* From here on libpq reads nothing but what answers the startup packet. */
    if (!gate->answering && PQstatus(connection) == CONNECTION_AWAITING_RESPONSE)
    {
        gate->answering = true;
        return !gate->clear || put_pair(gate, connection);
    }
    if (gate->inner < 0)
        return true;
    return carry_out(gate) && (!done || take_pair_away(gate, connection));
}

/* What was carried in may be several messages, and libpq takes one a poll; its socket is the pair's
 * by now, which nobody watches. */
bool
gate_has_more(const Gate *gate, const PGconn *connection)
{
    struct pollfd entry = {.fd = PQsocket(connection), .events = POLLIN};

    return gate->inner >= 0 && poll(&entry, 1, 0) == 1;
}

bool
gate_has_unsent(const Gate *gate)
{
    return gate->out.length > 0;
}

void
gate_fetch_ahead(PGconn *connection)
{
    SSL *ssl = PQsslStruct(connection, "OpenSSL");

    if (ssl != NULL)
        SSL_set_read_ahead(ssl, 1);
}

/* The beginning of a record does not count: its rest wakes the socket. A failure does, since libpq
 * must find it. */
bool
gate_has_fetched(PGconn *connection)
{
    SSL *ssl = PQsslStruct(connection, "OpenSSL");
    uint8_t byte;
    int why;

    if (ssl == NULL || !SSL_has_pending(ssl))
        return false;
    if (SSL_pending(ssl) > 0)
        return true;
    ERR_clear_error();
    why = SSL_get_error(ssl, SSL_peek(ssl, &byte, sizeof(byte)));
    ERR_clear_error();
    return why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE;
}
