/*
 * Scram: the server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), without I/O.
 *
 * Messages come in as Slices and go out into Buffers; randomness is an argument. Under TLS the
 * server offers channel binding (SCRAM-SHA-256-PLUS, tls-server-end-point). A client that uses it
 * knows that nobody stands in the middle; a client that says "the server offers none" was told so
 * by somebody in the middle, and is refused. Nothing here asserts on input or allocates by it.
 */
#ifndef NODE_CONFIG_SCRAM_H
#define NODE_CONFIG_SCRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/bytes.h"

#define SCRAM_MECHANISM "SCRAM-SHA-256"
#define SCRAM_MECHANISM_PLUS "SCRAM-SHA-256-PLUS"
#define SCRAM_BINDING_MAX 64  /* bytes of a certificate's hash */
#define SCRAM_ITERATIONS 4096 /* of every user, so that none stands out */
#define SCRAM_SALT_BYTES 16
#define SCRAM_KEY_BYTES 32
#define SCRAM_NONCE_BYTES 18 /* random bytes of the server's part, PostgreSQL's number */
#define SCRAM_CLIENT_NONCE_MAX 256
#define SCRAM_VERIFIER_TEXT_SIZE 192

/* The server keeps this in place of a password. */
typedef struct ScramVerifier
{
    uint8_t salt[SCRAM_SALT_BYTES];
    uint8_t stored_key[SCRAM_KEY_BYTES];
    uint8_t server_key[SCRAM_KEY_BYTES];
    bool never_matches; /* a mock: the exchange runs to its end and fails */
} ScramVerifier;

typedef enum ScramResult
{
    SCRAM_CONTINUE, /* send the reply and await the next message */
    SCRAM_DONE,     /* the password fits; send the reply */
    SCRAM_DENIED,   /* the password does not fit */
    SCRAM_MALFORMED /* the client broke the protocol; error says how */
} ScramResult;

#define SCRAM_NONCE_TEXT_MAX (SCRAM_CLIENT_NONCE_MAX + 24)
#define SCRAM_BARE_MAX 700

/* One login. Zeroed by scram_begin; no destructor needed. */
typedef struct ScramExchange
{
    ScramVerifier verifier;
    uint8_t server_nonce[SCRAM_NONCE_BYTES];
    uint8_t binding[SCRAM_BINDING_MAX]; /* of this connection; none when it has 0 bytes */
    size_t binding_length;
    bool first_seen;
    char gs2_flag;                        /* 'n', 'y' or 'p' */
    char nonce[SCRAM_NONCE_TEXT_MAX + 1]; /* client's and server's part together */
    char client_first_bare[SCRAM_BARE_MAX];
    size_t client_first_bare_length;
    char server_first[SCRAM_NONCE_TEXT_MAX + 64];
    size_t server_first_length;
    const char *error; /* static text after SCRAM_MALFORMED */
} ScramExchange;

/* binding: tls_end_point() of the connection; without it no channel binding is offered. */
void scram_begin(ScramExchange *exchange, const ScramVerifier *verifier,
                 const uint8_t server_nonce[SCRAM_NONCE_BYTES], Slice binding);

/* Takes client-first (RFC 5802 section 7), appends server-first to reply. plus: the client chose
 * the mechanism that binds. */
ScramResult scram_client_first(ScramExchange *exchange, bool plus, Slice message, Buffer *reply);

/* Takes client-final, appends server-final to reply when the proof fits. */
ScramResult scram_client_final(ScramExchange *exchange, Slice message, Buffer *reply);

/* Makes the verifier of a password (RFC 5802 section 3); the password is used as its bytes are,
 * which equals SASLprep for ASCII. Costs milliseconds. */
void scram_verifier_make(ScramVerifier *verifier, const char *password,
                         const uint8_t salt[SCRAM_SALT_BYTES]);

/* The verifier as PostgreSQL's text, and back. Reading is strict: this mechanism,
 * SCRAM_ITERATIONS, exact lengths; false if the text is anything else. */
void scram_verifier_format(const ScramVerifier *verifier, char text[SCRAM_VERIFIER_TEXT_SIZE]);
bool scram_verifier_parse(ScramVerifier *verifier, const char *text);

/* A verifier that no password fits, with a salt that depends on name and secret alone. */
void scram_verifier_mock(ScramVerifier *verifier, const uint8_t *secret, size_t secret_length,
                         const char *name);

#endif
