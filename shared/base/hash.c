/* SipHash in three roles: ring positions, hash tables, digests. All use one public key, since none
 * of them protects a secret: what must not be forged has a MAC (data/context.c, wire/seal.c). */
#include "shared/base/hash.h"

#include <sodium.h>
#include <string.h>

_Static_assert(crypto_shorthash_siphash24_BYTES == sizeof(uint64_t), "ring positions are 64 bits");
_Static_assert(crypto_shorthash_siphashx24_BYTES == sizeof(Digest), "digests are 128 bits");

/* For ever as it is: with another key every row of every cluster would lie elsewhere (S7). */
static const uint8_t HASH_KEY[crypto_shorthash_siphash24_KEYBYTES] = "dynamo_fdw ring";

const Digest DIGEST_ABSENT = {{0}};

uint64_t
hash_table(Slice bytes)
{
    uint64_t result;

    crypto_shorthash_siphash24((unsigned char *)&result, bytes.data, bytes.length, HASH_KEY);
    return result;
}

uint64_t
hash_ring(uint32_t bucket_id, Slice first_column)
{
    uint8_t small[256];
    uint8_t out[8];
    uint64_t result = 0;
    size_t length = first_column.length;
    uint8_t prefix[4] = {(uint8_t)(bucket_id >> 24), (uint8_t)(bucket_id >> 16),
                         (uint8_t)(bucket_id >> 8), (uint8_t)bucket_id};

    /* A long column is hashed first, so that the input fits on the stack whatever its length. */
    memcpy(small, prefix, sizeof(prefix));
    if (length <= sizeof(small) - sizeof(prefix))
    {
        if (length > 0)
            memcpy(small + sizeof(prefix), first_column.data, length);
    }
    else
    {
        Digest digest = digest_of(first_column);

        length = sizeof(digest);
        memcpy(small + sizeof(prefix), digest.bytes, length);
    }
    crypto_shorthash_siphash24(out, small, sizeof(prefix) + length, HASH_KEY);
    /* Big-endian, whatever the machine: the position is part of what is stored and sent. */
    for (unsigned i = 0; i < sizeof(out); i++)
        result = result << 8 | out[i];
    return result;
}

/* No bytes are told apart from any bytes by a digest of zeros, which no encoded object has: an
 * encoded object is never empty. */
Digest
digest_of(Slice bytes)
{
    Digest digest = DIGEST_ABSENT;

    if (bytes.length > 0)
        crypto_shorthash_siphashx24(digest.bytes, bytes.data, bytes.length, HASH_KEY);
    return digest;
}

bool
digest_equal(const Digest *a, const Digest *b)
{
    return memcmp(a, b, sizeof(Digest)) == 0;
}

void
digest_mix(Digest *into, const Digest *other)
{
    for (unsigned i = 0; i < sizeof(into->bytes); i++)
        into->bytes[i] ^= other->bytes[i];
}
