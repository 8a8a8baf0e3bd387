/*
 * The server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677; channel binding
 * tls-server-end-point, RFC 5929).
 *
 * A login is two messages: client-first with the client's nonce, answered by nonce, salt and
 * iterations; client-final with the proof, answered by the server's signature, which shows the
 * client that the server knows the verifier. Both are parsed strictly, attribute by attribute in
 * the order of the RFC. A name that does not exist runs through the same steps with a verifier that
 * nothing fits, so that neither answers nor times tell who exists.
 */
#include "node/config/scram.h"

#include "shared/base/salted_password.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GS2_BOUND "p=tls-server-end-point"
#define GS2_MAX (sizeof(GS2_BOUND) + sizeof(",,") + SCRAM_BINDING_MAX)

static void
hmac_sha256(uint8_t out[SCRAM_KEY_BYTES], const uint8_t *key, size_t key_length, Slice message)
{
    crypto_auth_hmacsha256_state state;

    /* Not the one-shot function: that one takes keys of exactly 32 bytes. */
    crypto_auth_hmacsha256_init(&state, key, key_length);
    crypto_auth_hmacsha256_update(&state, message.data, message.length);
    crypto_auth_hmacsha256_final(&state, out);
}

/* Base64 of at most some dozens of bytes, with padding. */
static void
encode_base64(char *text, size_t size, const uint8_t *data, size_t length)
{
    sodium_bin2base64(text, size, data, length, sodium_base64_VARIANT_ORIGINAL);
}

/* libsodium 1.0.18 takes some bytes beyond ASCII for letters. */
static bool
is_ascii(Slice text)
{
    for (size_t i = 0; i < text.length; i++)
    {
        uint8_t c = text.data[i];

        if (c == '\0' || c >= 0x80)
            return false;
    }
    return true;
}

/* Strict base64 of exactly length bytes. */
static bool
base64_exact(uint8_t *data, size_t length, Slice text)
{
    size_t got = 0;
    const char *end = NULL;

    if (text.length != sodium_base64_ENCODED_LEN(length, sodium_base64_VARIANT_ORIGINAL) - 1 ||
        !is_ascii(text))
        return false;
    return sodium_base642bin(data, length, (const char *)text.data, text.length, NULL, &got, &end,
                             sodium_base64_VARIANT_ORIGINAL) == 0 &&
           got == length && end == (const char *)text.data + text.length;
}

void
scram_begin(ScramExchange *exchange, const ScramVerifier *verifier,
            const uint8_t server_nonce[SCRAM_NONCE_BYTES], Slice binding)
{
    memset(exchange, 0, sizeof(*exchange));
    if (binding.length > 0 && binding.length <= SCRAM_BINDING_MAX)
    {
        memcpy(exchange->binding, binding.data, binding.length);
        exchange->binding_length = binding.length;
    }
    exchange->verifier = *verifier;
    memcpy(exchange->server_nonce, server_nonce, SCRAM_NONCE_BYTES);
}

static ScramResult
malformed_message(ScramExchange *exchange, const char *error)
{
    exchange->error = error;
    return SCRAM_MALFORMED;
}

static bool
slice_is(Slice slice, const char *text)
{
    return slice_equal(slice, slice_from_string(text));
}

static bool
take_prefix(Reader *reader, const char *prefix)
{
    Slice taken = reader_take(reader, strlen(prefix));

    return !reader->failed && memcmp(taken.data, prefix, taken.length) == 0;
}

/* The bytes up to the next comma, which is left; or to the end. */
static Slice
take_attribute_value(Reader *reader)
{
    size_t left = reader_left(reader);
    const uint8_t *comma = left > 0 ? memchr(reader->at, ',', left) : NULL;

    return reader_take(reader, comma == NULL ? left : (size_t)(comma - reader->at));
}

/* Printable ASCII without a comma, since the nonce is repeated inside comma-separated messages (the
 * caller has cut it at a comma). */
static bool
nonce_is_valid(Slice nonce)
{
    if (nonce.length == 0 || nonce.length > SCRAM_CLIENT_NONCE_MAX)
        return false;
    for (size_t i = 0; i < nonce.length; i++)
    {
        if (nonce.data[i] < 0x21 || nonce.data[i] > 0x7e)
            return false;
    }
    return true;
}

/* Reads the gs2-cbind-flag of RFC 5802 section 7. "y" says that the client could bind but was told
 * the server could not: where the server can, somebody on the way has removed the offer, and the
 * login must fail. */
static const char *
parse_binding(ScramExchange *exchange, bool plus, Reader *reader)
{
    Slice flag = take_attribute_value(reader);

    exchange->gs2_flag = flag.length > 0 ? (char)flag.data[0] : '\0';
    if (exchange->gs2_flag == 'p' && exchange->binding_length == 0)
        return "channel binding is not offered by this server";
    if (plus != (exchange->gs2_flag == 'p'))
        return "channel binding flag does not match the mechanism";
    if (exchange->gs2_flag == 'p')
        return slice_is(flag, GS2_BOUND) ? NULL : "unsupported type of channel binding";
    if (!slice_is(flag, "n") && !slice_is(flag, "y"))
        return "unexpected channel binding flag";
    if (exchange->gs2_flag == 'y' && exchange->binding_length > 0)
        return "the client was told that the server offers no channel binding, which it does";
    return NULL;
}

/* Reads gs2-header and client-first-message-bare; the nonce is the client's part. */
static const char *
parse_client_first(ScramExchange *exchange, bool plus, Slice message, Slice *nonce)
{
    Reader reader = reader_begin(message);
    const char *error = parse_binding(exchange, plus, &reader);
    Slice bare;

    if (error != NULL)
        return error;
    if (!take_prefix(&reader, ",,"))
        return "authorization identities are not supported";
    bare = slice_make(reader.at, reader_left(&reader));
    if (bare.length > sizeof(exchange->client_first_bare))
        return "client-first-message is too long";
    /* The name in n= is ignored: who logs in was fixed by the startup packet. */
    if (!take_prefix(&reader, "n="))
        return "expected attribute n in client-first-message";
    take_attribute_value(&reader);
    if (!take_prefix(&reader, ",r="))
        return "expected attribute r in client-first-message";
    *nonce = take_attribute_value(&reader);
    if (!reader_finish(&reader))
        return "extensions are not supported";
    if (!nonce_is_valid(*nonce))
        return "invalid nonce";
    memcpy(exchange->client_first_bare, bare.data, bare.length);
    exchange->client_first_bare_length = bare.length;
    return NULL;
}

ScramResult
scram_client_first(ScramExchange *exchange, bool plus, Slice message, Buffer *reply)
{
    Slice nonce = SLICE_EMPTY;
    const char *error = parse_client_first(exchange, plus, message, &nonce);
    char server_nonce[32];
    char salt[32];
    int length;

    if (exchange->first_seen)
        error = "client-first-message was sent twice";
    if (error != NULL)
        return malformed_message(exchange, error);
    exchange->first_seen = true;
    encode_base64(server_nonce, sizeof(server_nonce), exchange->server_nonce, SCRAM_NONCE_BYTES);
    encode_base64(salt, sizeof(salt), exchange->verifier.salt, SCRAM_SALT_BYTES);
    snprintf(exchange->nonce, sizeof(exchange->nonce), "%.*s%s", (int)nonce.length,
             (const char *)nonce.data, server_nonce);
    length = snprintf(exchange->server_first, sizeof(exchange->server_first), "r=%s,s=%s,i=%d",
                      exchange->nonce, salt, SCRAM_ITERATIONS);
    exchange->server_first_length = (size_t)length;
    buffer_put(reply, exchange->server_first, exchange->server_first_length);
    return SCRAM_CONTINUE;
}

/* True when the value of c= repeats the gs2-header and what the connection is bound to. */
static bool
is_bound(const ScramExchange *exchange, Slice value)
{
    uint8_t header[GS2_MAX];
    char text[sodium_base64_ENCODED_LEN(GS2_MAX, sodium_base64_VARIANT_ORIGINAL)];
    bool plus = exchange->gs2_flag == 'p';
    int length = plus ? snprintf((char *)header, sizeof(header), GS2_BOUND ",,")
                      : snprintf((char *)header, sizeof(header), "%c,,", exchange->gs2_flag);
    size_t bound = plus ? exchange->binding_length : 0;

    memcpy(header + length, exchange->binding, bound);
    encode_base64(text, sizeof(text), header, (size_t)length + bound);
    return slice_is(value, text);
}

/* Reads client-final-message; without_proof is its part that both sides sign. */
static const char *
parse_client_final(const ScramExchange *exchange, Slice message, Slice *without_proof,
                   uint8_t proof[SCRAM_KEY_BYTES])
{
    Reader reader = reader_begin(message);

    if (!take_prefix(&reader, "c="))
        return "expected attribute c in client-final-message";
    if (!is_bound(exchange, take_attribute_value(&reader)))
        return "channel binding data does not match the first message";
    if (!take_prefix(&reader, ",r="))
        return "expected attribute r in client-final-message";
    if (!slice_is(take_attribute_value(&reader), exchange->nonce))
        return "nonce does not match";
    *without_proof = slice_make(message.data, (size_t)(reader.at - message.data));
    if (!take_prefix(&reader, ",p="))
        return "expected attribute p in client-final-message";
    if (!base64_exact(proof, SCRAM_KEY_BYTES, take_attribute_value(&reader)))
        return "malformed proof";
    return reader_finish(&reader) ? NULL : "garbage at the end of client-final-message";
}

/* AuthMessage of RFC 5802 section 3, signed with each of the two keys. */
static void
sign_auth_message(const ScramExchange *exchange, Slice without_proof,
                  const uint8_t key[SCRAM_KEY_BYTES], uint8_t signature[SCRAM_KEY_BYTES])
{
    crypto_auth_hmacsha256_state state;
    const uint8_t *comma = (const uint8_t *)",";

    crypto_auth_hmacsha256_init(&state, key, SCRAM_KEY_BYTES);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)exchange->client_first_bare,
                                  exchange->client_first_bare_length);
    crypto_auth_hmacsha256_update(&state, comma, 1);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)exchange->server_first,
                                  exchange->server_first_length);
    crypto_auth_hmacsha256_update(&state, comma, 1);
    crypto_auth_hmacsha256_update(&state, without_proof.data, without_proof.length);
    crypto_auth_hmacsha256_final(&state, signature);
}

/* The proof is ClientKey XOR ClientSignature: taken apart with the signature it must give a key
 * whose hash is StoredKey. So the server checks a password without keeping anything that logs in
 * elsewhere. It takes the same time whatever the answer. */
static bool
proof_fits(const ScramExchange *exchange, Slice without_proof, const uint8_t proof[SCRAM_KEY_BYTES])
{
    uint8_t client_key[SCRAM_KEY_BYTES];
    uint8_t stored_key[SCRAM_KEY_BYTES];
    int difference;

    sign_auth_message(exchange, without_proof, exchange->verifier.stored_key, client_key);
    for (size_t i = 0; i < SCRAM_KEY_BYTES; i++)
        client_key[i] ^= proof[i];
    crypto_hash_sha256(stored_key, client_key, sizeof(client_key));
    difference = sodium_memcmp(stored_key, exchange->verifier.stored_key, sizeof(stored_key));
    sodium_memzero(client_key, sizeof(client_key));
    return (difference | exchange->verifier.never_matches) == 0;
}

/* The signature of the server is made before the proof is looked at, so that a wrong password takes
 * no less time than a right one. */
ScramResult
scram_client_final(ScramExchange *exchange, Slice message, Buffer *reply)
{
    uint8_t proof[SCRAM_KEY_BYTES] = {0};
    uint8_t signature[SCRAM_KEY_BYTES];
    char text[64];
    Slice without_proof = SLICE_EMPTY;
    const char *error;

    if (!exchange->first_seen)
        return malformed_message(exchange, "client-final-message came before client-first-message");
    error = parse_client_final(exchange, message, &without_proof, proof);
    if (error != NULL)
        return malformed_message(exchange, error);
    sign_auth_message(exchange, without_proof, exchange->verifier.server_key, signature);
    encode_base64(text, sizeof(text), signature, sizeof(signature));
    if (!proof_fits(exchange, without_proof, proof))
        return SCRAM_DENIED;
    buffer_put(reply, "v=", 2);
    buffer_put(reply, text, strlen(text));
    return SCRAM_DONE;
}

void
scram_verifier_make(ScramVerifier *verifier, const char *password,
                    const uint8_t salt[SCRAM_SALT_BYTES])
{
    uint8_t salted[SCRAM_KEY_BYTES];
    uint8_t client_key[SCRAM_KEY_BYTES];

    memset(verifier, 0, sizeof(*verifier));
    memcpy(verifier->salt, salt, SCRAM_SALT_BYTES);
    salted_password(salted, password, slice_make(salt, SCRAM_SALT_BYTES), SCRAM_ITERATIONS);
    salted_password_key(client_key, salted, "Client Key");
    crypto_hash_sha256(verifier->stored_key, client_key, sizeof(client_key));
    salted_password_key(verifier->server_key, salted, "Server Key");
    sodium_memzero(salted, sizeof(salted));
    sodium_memzero(client_key, sizeof(client_key));
}

void
scram_verifier_format(const ScramVerifier *verifier, char text[SCRAM_VERIFIER_TEXT_SIZE])
{
    char salt[32];
    char stored_key[64];
    char server_key[64];

    encode_base64(salt, sizeof(salt), verifier->salt, SCRAM_SALT_BYTES);
    encode_base64(stored_key, sizeof(stored_key), verifier->stored_key, SCRAM_KEY_BYTES);
    encode_base64(server_key, sizeof(server_key), verifier->server_key, SCRAM_KEY_BYTES);
    snprintf(text, SCRAM_VERIFIER_TEXT_SIZE, "%s$%d:%s$%s:%s", SCRAM_MECHANISM, SCRAM_ITERATIONS,
             salt, stored_key, server_key);
}

/* Cuts the next field off text, up to the separator ('\0' for the last one). */
static bool
take_field(const char **text, char separator, Slice *field)
{
    const char *end = strchr(*text, separator);

    if (end == NULL)
        return false;
    *field = slice_make(*text, (size_t)(end - *text));
    *text = separator == '\0' ? end : end + 1;
    return true;
}

/* Only the number of iterations that this server announces is taken: it is told to clients before
 * it is known who logs in. */
bool
scram_verifier_parse(ScramVerifier *verifier, const char *text)
{
    char iterations[16];
    Slice mechanism;
    Slice count;
    Slice salt;
    Slice stored_key;
    Slice server_key;

    memset(verifier, 0, sizeof(*verifier));
    snprintf(iterations, sizeof(iterations), "%d", SCRAM_ITERATIONS);
    return take_field(&text, '$', &mechanism) && slice_is(mechanism, SCRAM_MECHANISM) &&
           take_field(&text, ':', &count) && slice_is(count, iterations) &&
           take_field(&text, '$', &salt) && base64_exact(verifier->salt, SCRAM_SALT_BYTES, salt) &&
           take_field(&text, ':', &stored_key) &&
           base64_exact(verifier->stored_key, SCRAM_KEY_BYTES, stored_key) &&
           take_field(&text, '\0', &server_key) &&
           base64_exact(verifier->server_key, SCRAM_KEY_BYTES, server_key);
}

/* Salt and keys depend on the name and a secret alone: a second login under a name that does not
 * exist meets the same salt, as it would if the user existed. */
void
scram_verifier_mock(ScramVerifier *verifier, const uint8_t *secret, size_t secret_length,
                    const char *name)
{
    uint8_t digest[SCRAM_KEY_BYTES];

    memset(verifier, 0, sizeof(*verifier));
    hmac_sha256(digest, secret, secret_length, slice_from_string(name));
    memcpy(verifier->salt, digest, SCRAM_SALT_BYTES);
    hmac_sha256(verifier->stored_key, digest, sizeof(digest), slice_from_string("stored key"));
    hmac_sha256(verifier->server_key, digest, sizeof(digest), slice_from_string("server key"));
    verifier->never_matches = true;
}
