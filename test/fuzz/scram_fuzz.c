/*
 * Plays bytes to the server's side of SCRAM. The first byte is the length of the first message (in
 * units of four bytes), or 255: then the rest is a verifier's text. No input may log in.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/config/scram.h"

/* "p=tls-server-end-point,,a certificate's hash" in base64 */
#define BOUND "cD10bHMtc2VydmVyLWVuZC1wb2ludCwsYSBjZXJ0aWZpY2F0ZSdzIGhhc2g="

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
parse_verifier(const uint8_t *data, size_t size)
{
    char text[SCRAM_VERIFIER_TEXT_SIZE];
    char *copy = malloc(size + 1);
    ScramVerifier verifier;

    if (copy == NULL)
        abort();
    memcpy(copy, data, size);
    copy[size] = '\0';
    if (scram_verifier_parse(&verifier, copy))
    {
        scram_verifier_format(&verifier, text);
        assert(strcmp(text, copy) == 0); /* a verifier has one form */
    }
    free(copy);
}

/* A second message that gets past channel binding and nonce, so that the proof is looked at. */
static Slice
wrap_proof(const ScramExchange *exchange, Slice proof, char *text, size_t size)
{
    const char *bound = exchange->gs2_flag == 'y'   ? "eSws"
                        : exchange->gs2_flag == 'n' ? "biws"
                                                    : BOUND;
    int length = snprintf(text, size, "c=%s,r=%s,p=%.*s", bound, exchange->nonce, (int)proof.length,
                          (const char *)proof.data);

    return slice_make(text, (size_t)length < size ? (size_t)length : size - 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t nonce[SCRAM_NONCE_BYTES] = "eighteen bytes now";
    ScramVerifier verifier;
    ScramExchange exchange;
    char text[2048];
    size_t first;
    Slice second;
    Buffer reply;

    if (size == 0)
        return 0;
    if (data[0] == 255)
    {
        parse_verifier(data + 1, size - 1);
        return 0;
    }
    first = (size_t)data[0] * 4 < size - 1 ? (size_t)data[0] * 4 : size - 1;
    second = slice_make(data + 1 + first, size - 1 - first);
    buffer_init(&reply, &MEMORY_HEAP);
    scram_verifier_mock(&verifier, nonce, sizeof(nonce), "user");
    verifier.never_matches = false;
    scram_begin(&exchange, &verifier, nonce,
                size % 2 == 0 ? slice_from_string("a certificate's hash") : SLICE_EMPTY);
    if (scram_client_first(&exchange, first > 0 && data[1] == 'p', slice_make(data + 1, first),
                           &reply) == SCRAM_CONTINUE)
    {
        ScramExchange copy = exchange;

        assert(reply.length > 0);
        assert(scram_client_final(&exchange, second, &reply) != SCRAM_DONE);
        second = wrap_proof(&copy, second, text, sizeof(text));
        assert(scram_client_final(&copy, second, &reply) != SCRAM_DONE);
    }
    else
        assert(reply.length == 0 && exchange.error != NULL);
    buffer_free(&reply);
    return 0;
}
