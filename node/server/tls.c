/*
 * TLS over bytes in memory: OpenSSL reads ciphertext from one BIO and writes it to another, and the
 * session moves the bytes to and from the socket. So one loop serves all sessions, and OpenSSL
 * cannot block it.
 *
 * Certificates without a file are made anew at each start. They prove nothing by themselves; but
 * SCRAM-SHA-256-PLUS binds the login to the certificate that the client saw, so somebody in the
 * middle cannot pass the login on.
 */
#include "node/server/tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define READ_CHUNK 16384 /* the largest TLS record */
#define VALID_DAYS 36500 /* of a certificate that nobody looks at */

typedef struct TlsEndPoint
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned length;
} TlsEndPoint;

struct TlsContext
{
    SSL_CTX *ctx;
    TlsEndPoint end_point;
};

struct Tls
{
    SSL *ssl;
    BIO *in;  /* owned by ssl */
    BIO *out; /* owned by ssl */
    TlsEndPoint end_point;
};

/* OpenSSL keeps errors in a queue of the thread: what is left there would be reported by the next
 * call that fails, of whatever session. */
static Outcome
openssl_error(const char *what, const char *file_name)
{
    unsigned long code = ERR_get_error();
    char reason[120] = "unknown error";

    if (code != 0)
        ERR_error_string_n(code, reason, sizeof(reason));
    ERR_clear_error();
    return outcome_error("could not %s \"%.120s\": %s", what, file_name, reason);
}

static Outcome
check_key_file(const char *key_file)
{
    struct stat info;

    if (stat(key_file, &info) != 0)
        return outcome_error("could not open \"%.200s\": %s", key_file, strerror(errno));
    if ((info.st_mode & 077) != 0)
        return outcome_error(
            "\"%.200s\" can be read by others than its owner; set its mode to 0600 (chmod 600)",
            key_file);
    return outcome_ok();
}

static Outcome
load_files(SSL_CTX *ctx, const char *cert_file, const char *key_file)
{
    if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1)
        return openssl_error("read certificate", cert_file);
    if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1)
        return openssl_error("read private key", key_file);
    if (SSL_CTX_check_private_key(ctx) != 1)
        return openssl_error("use private key", key_file);
    return outcome_ok();
}

/* The binding of RFC 5929 section 4.1: the hash of the certificate by the function that signed it,
 * or by SHA-256 where that function is MD5 or SHA-1. */
static TlsEndPoint
end_point_of(const SSL_CTX *ctx)
{
    X509 *cert = SSL_CTX_get0_certificate(ctx);
    TlsEndPoint end_point = {.length = 0};
    const EVP_MD *digest;
    int nid = NID_undef;

    (void)OBJ_find_sigid_algs(X509_get_signature_nid(cert), &nid, NULL);
    digest = nid == NID_md5 || nid == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(nid);
    if (digest != NULL && X509_digest(cert, digest, end_point.hash, &end_point.length) != 1)
        end_point.length = 0;
    return end_point;
}

/* Neither tickets nor a session cache: links live for long, and a resumed session would not have
 * the certificate that a login is bound to. */
static SSL_CTX *
context_begin(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    if (ctx == NULL)
        abort();
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* Small records cost most by what each takes to begin, and this one takes least. */
    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                  "TLS_CHACHA20_POLY1305_SHA256");
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    return ctx;
}

static Outcome
context_end(SSL_CTX *ctx, Outcome outcome, TlsContext **context)
{
    *context = NULL;
    if (outcome.failed)
    {
        SSL_CTX_free(ctx);
        return outcome;
    }
    *context = calloc(1, sizeof(TlsContext));
    if (*context == NULL)
        abort();
    (*context)->ctx = ctx;
    (*context)->end_point = end_point_of(ctx);
    return outcome;
}

Outcome
tls_context_new(const char *cert_file, const char *key_file, TlsContext **context)
{
    Outcome outcome = check_key_file(key_file);
    SSL_CTX *ctx = context_begin();

    if (!outcome.failed)
        outcome = load_files(ctx, cert_file, key_file);
    return context_end(ctx, outcome, context);
}

/* Fills the certificate in and signs it with its own key. */
static bool
make_certificate(X509 *cert, EVP_PKEY *key)
{
    X509_NAME *name = X509_get_subject_name(cert);

    return X509_set_version(cert, X509_VERSION_3) == 1 &&
           ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(cert), 0) != NULL &&
           X509_time_adj_ex(X509_getm_notAfter(cert), VALID_DAYS, 0, NULL) != NULL &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"dynamo node", -1,
                                      -1, 0) == 1 &&
           X509_set_issuer_name(cert, name) == 1 && X509_set_pubkey(cert, key) == 1 &&
           X509_sign(cert, key, EVP_sha256()) > 0;
}

Outcome
tls_context_make(TlsContext **context)
{
    SSL_CTX *ctx = context_begin();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    Outcome outcome = outcome_ok();

    if (key == NULL || cert == NULL || !make_certificate(cert, key) ||
        SSL_CTX_use_certificate(ctx, cert) != 1 || SSL_CTX_use_PrivateKey(ctx, key) != 1)
        outcome = openssl_error("make", "a certificate in memory");
    X509_free(cert);
    EVP_PKEY_free(key);
    return context_end(ctx, outcome, context);
}

void
tls_context_free(TlsContext *context)
{
    if (context == NULL)
        return;
    SSL_CTX_free(context->ctx);
    free(context);
}

Tls *
tls_new(TlsContext *context)
{
    Tls *tls = calloc(1, sizeof(Tls));

    if (tls == NULL)
        abort();
    tls->ssl = SSL_new(context->ctx);
    tls->in = BIO_new(BIO_s_mem());
    tls->out = BIO_new(BIO_s_mem());
    if (tls->ssl == NULL || tls->in == NULL || tls->out == NULL)
        abort();
    SSL_set_bio(tls->ssl, tls->in, tls->out);
    SSL_set_accept_state(tls->ssl);
    tls->end_point = context->end_point;
    return tls;
}

void
tls_free(Tls *tls)
{
    if (tls == NULL)
        return;
    SSL_free(tls->ssl);
    free(tls);
}

Slice
tls_end_point(const Tls *tls)
{
    return slice_make(tls->end_point.hash, tls->end_point.length);
}

/* Reads until OpenSSL wants more ciphertext: what it keeps inside would not wake the loop. */
bool
tls_receive(Tls *tls, Slice cipher, Buffer *plain)
{
    ERR_clear_error();
    if (cipher.length > 0 && BIO_write(tls->in, cipher.data, (int)cipher.length) <= 0)
        return false;
    for (;;)
    {
        uint8_t *target = buffer_reserve(plain, READ_CHUNK);
        int got = SSL_read(tls->ssl, target, READ_CHUNK); /* does the handshake, too */

        if (got <= 0)
            return SSL_get_error(tls->ssl, got) == SSL_ERROR_WANT_READ;
        plain->length += (size_t)got;
    }
}

bool
tls_send(Tls *tls, Slice plain)
{
    ERR_clear_error();
    /* A memory BIO takes everything, so one call writes all or fails. */
    return plain.length == 0 ||
           SSL_write(tls->ssl, plain.data, (int)plain.length) == (int)plain.length;
}

void
tls_end(Tls *tls)
{
    ERR_clear_error();
    if (SSL_is_init_finished(tls->ssl))
        SSL_shutdown(tls->ssl);
}

void
tls_take_output(Tls *tls, Buffer *cipher)
{
    char *data;
    long length = BIO_get_mem_data(tls->out, &data);

    if (length > 0)
        buffer_put(cipher, data, (size_t)length);
    (void)BIO_reset(tls->out);
}
