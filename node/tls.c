#include "node/tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define READ_CHUNK 16384 /* the largest TLS record */

struct TlsContext
{
    SSL_CTX *ctx;
};

struct Tls
{
    SSL *ssl;
    BIO *in;  /* owned by ssl */
    BIO *out; /* owned by ssl */
};

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
        return outcome_error("\"%.200s\" is open to group or others; its mode must be 0600",
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

Outcome
tls_context_new(const char *cert_file, const char *key_file, TlsContext **context)
{
    Outcome outcome = check_key_file(key_file);
    SSL_CTX *ctx;

    *context = NULL;
    if (outcome.failed)
        return outcome;
    ctx = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL)
        abort();
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    outcome = load_files(ctx, cert_file, key_file);
    if (outcome.failed)
    {
        SSL_CTX_free(ctx);
        return outcome;
    }
    *context = calloc(1, sizeof(TlsContext));
    if (*context == NULL)
        abort();
    (*context)->ctx = ctx;
    return outcome;
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
