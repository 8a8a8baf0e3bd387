/* Tags for frames in clear. The number of a frame is hashed with it and is not sent: both ends
 * count, so that a frame which is left out, repeated or moved fails the next check. */
#include "shared/wire/seal.h"

#include <sodium.h>
#include <string.h>

#define PURPOSE "dynamo frames" /* no message of SCRAM begins like this */

enum
{
    NUMBER_BYTES = 8
};

_Static_assert(SEAL_TAG_BYTES == crypto_shorthash_siphashx24_BYTES, "a tag is one hash");
_Static_assert(SEAL_KEY_BYTES == crypto_shorthash_siphashx24_KEYBYTES, "a key is one of its keys");

/* One HMAC gives both keys, of sixteen bytes each: a frame that is sent back to its sender has the
 * tag of the other direction. */
void
seal_begin(Seal *to_node, Seal *from_node, const uint8_t server_key[SALTED_PASSWORD_BYTES],
           Slice server_first)
{
    crypto_auth_hmacsha256_state state;
    uint8_t both[2 * SEAL_KEY_BYTES];

    crypto_auth_hmacsha256_init(&state, server_key, SALTED_PASSWORD_BYTES);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)PURPOSE, strlen(PURPOSE));
    crypto_auth_hmacsha256_update(&state, server_first.data, server_first.length);
    crypto_auth_hmacsha256_final(&state, both);
    *to_node = *from_node = (Seal){.frames = 0};
    memcpy(to_node->key, both, SEAL_KEY_BYTES);
    memcpy(from_node->key, both + SEAL_KEY_BYTES, SEAL_KEY_BYTES);
    sodium_memzero(both, sizeof(both));
}

/* The value of the attribute that begins with such a letter: "r=...,s=...,i=...". */
static Slice
attribute_of(Slice message, char name)
{
    const uint8_t *at = message.data;
    const uint8_t *end = message.data + message.length;

    while (at < end)
    {
        const uint8_t *comma = memchr(at, ',', (size_t)(end - at));
        const uint8_t *next = comma == NULL ? end : comma;

        if (next - at >= 2 && at[0] == (uint8_t)name && at[1] == '=')
            return slice_make(at + 2, (size_t)(next - at - 2));
        at = comma == NULL ? end : comma + 1;
    }
    return SLICE_EMPTY;
}

/* Salt and iterations are read from server-first-message, whose form the proof has checked; libpq
 * has computed the same and does not give it out. */
void
seal_begin_by_password(Seal *to_node, Seal *from_node, const char *password, Slice server_first)
{
    Slice text = attribute_of(server_first, 's');
    Slice count = attribute_of(server_first, 'i');
    uint8_t salt[512];
    uint8_t salted[SALTED_PASSWORD_BYTES];
    uint8_t server_key[SALTED_PASSWORD_BYTES];
    size_t salt_length = 0;
    uint32_t iterations = 0;

    (void)sodium_base642bin(salt, sizeof(salt), (const char *)text.data, text.length, NULL,
                            &salt_length, NULL, sodium_base64_VARIANT_ORIGINAL);
    for (size_t i = 0; i < count.length; i++)
        iterations = iterations * 10 + (uint32_t)(count.data[i] - '0');
    salted_password(salted, password, slice_make(salt, salt_length), iterations);
    salted_password_key(server_key, salted, "Server Key");
    seal_begin(to_node, from_node, server_key, server_first);
    sodium_memzero(salted, sizeof(salted));
    sodium_memzero(server_key, sizeof(server_key));
}

/* The number stands where the tag will, so that one pass over what lies together does. */
static void
make_tag(Seal *seal, uint8_t *bytes, size_t length, uint8_t tag[SEAL_TAG_BYTES])
{
    uint64_t number = seal->frames++;

    for (int i = 0; i < NUMBER_BYTES; i++)
        bytes[length + (size_t)i] = (uint8_t)(number >> (8 * i));
    crypto_shorthash_siphashx24(tag, bytes, length + NUMBER_BYTES, seal->key);
}

void
seal_put(Seal *seal, Buffer *buffer, size_t first)
{
    uint8_t tag[SEAL_TAG_BYTES];

    (void)buffer_reserve(buffer, SEAL_TAG_BYTES);
    make_tag(seal, buffer->data + first, buffer->length - first, tag);
    buffer_put(buffer, tag, sizeof(tag));
}

/* The number takes the place of the tag, hence the copy of it; the comparison takes the same time
 * whatever differs. */
bool
seal_open(Seal *seal, uint8_t *bytes, size_t length)
{
    uint8_t given[SEAL_TAG_BYTES];
    uint8_t tag[SEAL_TAG_BYTES];

    if (length < SEAL_TAG_BYTES)
        return false;
    length -= SEAL_TAG_BYTES;
    memcpy(given, bytes + length, sizeof(given));
    make_tag(seal, bytes, length, tag);
    return sodium_memcmp(tag, given, sizeof(tag)) == 0;
}
