/*
 * Tls: the server's side of TLS 1.2 and up over bytes in memory; OpenSSL never sees a socket.
 */
#ifndef NODE_SERVER_TLS_H
#define NODE_SERVER_TLS_H

#include <stdbool.h>

#include "node/config/outcome.h"
#include "shared/base/bytes.h"

typedef struct TlsContext TlsContext; /* certificate and key; outlived by its connections */
typedef struct Tls Tls;               /* one connection */

/* Reads certificate chain and key. A key file that others than its owner can read is refused. */
Outcome tls_context_new(const char *cert_file, const char *key_file,
                        TlsContext **context) MUST_CHECK;

/* Makes a key and a certificate that exist in memory alone. SCRAM's channel binding shows a client
 * that they are the node's, so nobody has to know or to renew them. */
Outcome tls_context_make(TlsContext **context) MUST_CHECK;
void tls_context_free(TlsContext *context);

Tls *tls_new(TlsContext *context);
void tls_free(Tls *tls);

/* The bytes that a login is bound to: tls-server-end-point of RFC 5929, a hash of the certificate.
 * Empty when the certificate's signature has no hash of its own. */
Slice tls_end_point(const Tls *tls);

/* Takes ciphertext and appends the plaintext to plain. False when the connection is broken or the
 * peer has ended it; plain then has the bytes that came before. */
bool tls_receive(Tls *tls, Slice cipher, Buffer *plain);

/* Takes plaintext; only after the handshake, that is after something was received. */
bool tls_send(Tls *tls, Slice plain);

/* Tells the peer that nothing more will come. */
void tls_end(Tls *tls);

/* Appends the ciphertext that is to be sent; call it after each of the three above. */
void tls_take_output(Tls *tls, Buffer *cipher);

#endif
