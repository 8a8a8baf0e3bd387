#include "shared/context.h"

#include "shared/hash.h"

#include <sodium.h>
#include <string.h>

enum
{
    CONTEXT_VERSION = 1,
    CONTEXT_MAC_BYTES = 16,
    CONTEXT_KEY_HASH_BYTES = 8
};

_Static_assert(crypto_kdf_KEYBYTES == 32, "a cluster key is a kdf key");

ContextKey
context_key(const uint8_t cluster_key[32])
{
    ContextKey key;

    crypto_kdf_derive_from_key(key.bytes, sizeof(key.bytes), 1, "dyncontx", cluster_key);
    return key;
}

/* The whole key is under the MAC; the hash in the open only tells another key's context from a
 * forged one. */
static void
make_mac(uint8_t mac[CONTEXT_MAC_BYTES], const ContextKey *sealer, Slice sealed, Slice key)
{
    crypto_generichash_state state;

    crypto_generichash_init(&state, sealer->bytes, sizeof(sealer->bytes), CONTEXT_MAC_BYTES);
    crypto_generichash_update(&state, sealed.data, sealed.length);
    crypto_generichash_update(&state, key.data, key.length);
    crypto_generichash_final(&state, mac, CONTEXT_MAC_BYTES);
}

void
context_seal(Buffer *buffer, const ContextKey *sealer, uint32_t bucket_id, Slice key,
             const VClock *clock)
{
    size_t start = buffer->length;
    Digest key_hash = digest_of(key);
    uint8_t mac[CONTEXT_MAC_BYTES];
    Buffer vector;

    buffer_init(&vector, buffer->memory);
    vclock_encode(&vector, clock);
    buffer_put_u8(buffer, CONTEXT_VERSION);
    buffer_put_u32(buffer, bucket_id);
    buffer_put(buffer, key_hash.bytes, CONTEXT_KEY_HASH_BYTES);
    buffer_put_slice(buffer, buffer_slice(&vector));
    buffer_free(&vector);
    make_mac(mac, sealer, slice_make(buffer->data + start, buffer->length - start), key);
    buffer_put(buffer, mac, sizeof(mac));
}

ContextResult
context_open(Slice sealed, const ContextKey *sealer, uint32_t bucket_id, Slice key, Arena *arena,
             VClock *clock)
{
    uint8_t expected[CONTEXT_MAC_BYTES];
    Digest key_hash = digest_of(key);

    if (sealed.length == 0)
    {
        *clock = (VClock){0};
        return CONTEXT_OK;
    }

    Reader reader = reader_begin(sealed);
    uint8_t version = reader_u8(&reader);
    uint32_t sealed_bucket = reader_u32(&reader);
    Slice sealed_key = reader_take(&reader, CONTEXT_KEY_HASH_BYTES);
    Reader vector = reader_begin(reader_slice(&reader));
    Slice mac = reader_take(&reader, CONTEXT_MAC_BYTES);

    if (version != CONTEXT_VERSION || !reader_finish(&reader))
        return CONTEXT_MALFORMED;
    if (sealed_bucket != bucket_id)
        return CONTEXT_OTHER_BUCKET;
    if (memcmp(sealed_key.data, key_hash.bytes, CONTEXT_KEY_HASH_BYTES) != 0)
        return CONTEXT_OTHER_KEY;
    make_mac(expected, sealer, slice_make(sealed.data, sealed.length - CONTEXT_MAC_BYTES), key);
    if (sodium_memcmp(expected, mac.data, CONTEXT_MAC_BYTES) != 0)
        return CONTEXT_FORGED;

    VClock opened = vclock_decode(&vector, arena);

    if (!reader_finish(&vector))
        return CONTEXT_MALFORMED;
    *clock = opened;
    return CONTEXT_OK;
}

const char *
context_result_text(ContextResult result)
{
    static const char *const texts[] = {
        [CONTEXT_OK] = "the context is valid",
        [CONTEXT_MALFORMED] = "the context is truncated or of an unknown version",
        [CONTEXT_OTHER_BUCKET] = "the context belongs to another bucket",
        [CONTEXT_OTHER_KEY] = "the context belongs to another key",
        [CONTEXT_FORGED] = "the context was edited or comes from another cluster",
    };

    return texts[result];
}
