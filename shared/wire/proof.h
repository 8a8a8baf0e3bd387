/*
 * Proof: what a server may say until it has proved that it knows our secret. A pure checker of the
 * bytes that come in during a login of the PostgreSQL protocol, to be asked before libpq sees them.
 *
 * libpq obeys whoever answers: it takes AuthenticationOk without any proof, gives the password in
 * clear when it is asked to, and computes for minutes when it is told of two billion iterations. So
 * only this goes through: SASL with SCRAM-SHA-256, once each of its messages, in their order, with
 * PROOF_ITERATIONS_MIN to PROOF_ITERATIONS_MAX; and AuthenticationOk behind SASLFinal alone, whose
 * signature libpq compares.
 */
#ifndef SHARED_WIRE_PROOF_H
#define SHARED_WIRE_PROOF_H

#include "shared/base/bytes.h"

enum
{
    PROOF_ITERATIONS_MIN = 4096, /* RFC 7677 section 4: fewer make a stolen proof easy to search */
    PROOF_ITERATIONS_MAX = 100000,
    PROOF_AUTHENTICATION_MAX = 2000, /* bytes of a message, as in libpq */
    PROOF_MESSAGE_MAX = 30000,
    PROOF_FIRST_MAX = 600 /* of server-first-message: two nonces, a salt, a number */
};

typedef enum ProofStage
{
    PROOF_AWAIT_SASL,
    PROOF_AWAIT_CONTINUE,
    PROOF_AWAIT_FINAL,
    PROOF_AWAIT_OK,
    PROOF_GIVEN, /* whatever comes until ReadyForQuery */
    PROOF_READY  /* the login is over */
} ProofStage;

typedef struct Proof
{
    ProofStage stage;  /* zero to begin */
    const char *error; /* static words; NULL while nothing is wrong */

    /* server-first-message, which both ends have signed once the proof is given. */
    uint8_t first[PROOF_FIRST_MAX];
    size_t first_length;
} Proof;

/*
 * Looks at the whole messages at the start of bytes, and returns how long they are together; what
 * is behind them is an incomplete message, or after PROOF_READY not looked at. With error set the
 * server is to be left at once.
 */
size_t proof_take(Proof *proof, Slice bytes);

#endif
