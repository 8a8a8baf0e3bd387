/*
 * Gate: stands between libpq and its socket while a link logs in, so that nothing comes to libpq
 * that the proof (shared/wire/proof.h) does not let through. Like link, which owns it, it does I/O
 * and never waits.
 *
 * Under TLS it looks at the record that libpq is about to read. In clear that would not do: more
 * may come between the look and the reading. There libpq gets one end of a socket pair in place of
 * its connection for as long as the login takes, and the gate carries whole messages.
 */
#ifndef SHARED_WIRE_GATE_H
#define SHARED_WIRE_GATE_H

#include "shared/wire/proof.h"

#include <libpq-fe.h>

typedef struct Gate
{
    bool clear;
    bool answering; /* our startup packet has left: what comes in is looked at */
    int socket;     /* of the connection, for who watches it; in clear a duplicate of libpq's */
    int inner;      /* our end of the pair; -1: there is none */
    Proof proof;
    bool no_memory; /* the reason of the refusal */
    Buffer in;      /* a message that is not whole */
    Buffer out;     /* what libpq sent and the connection did not take yet */
} Gate;

typedef enum GateAnswer
{
    GATE_PASS,   /* libpq may go on */
    GATE_WAIT,   /* nothing has come that it could go on with */
    GATE_REFUSED /* proof.error says why */
} GateAnswer;

/* connection: just started, or NULL; clear: it will use no TLS. */
void gate_init(Gate *gate, const Memory *memory, PGconn *connection, bool clear);

/* Closes what it opened; after PQfinish. */
void gate_free(Gate *gate);

/* May libpq go on? To be asked before each PQconnectPoll, when the socket is ready. */
GateAnswer gate_admit(Gate *gate, PGconn *connection);

/* To be called after each PQconnectPoll that has not failed; done: the login is over. False: errno
 * says what the system refused. */
bool gate_polled(Gate *gate, PGconn *connection, bool done);

/* True when libpq can go on at once with what it was let through. */
bool gate_has_more(const Gate *gate, const PGconn *connection);

/* The login is over: from now on TLS fetches what there is in one go, not a record's head and body
 * apart. Then the socket no longer tells of all that waits: gate_has_fetched does. */
void gate_fetch_ahead(PGconn *connection);
bool gate_has_fetched(PGconn *connection);

/* True while something of libpq's waits for the connection to take it. */
bool gate_has_unsent(const Gate *gate);

#endif
