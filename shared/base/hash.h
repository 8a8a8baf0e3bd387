/*
 * hash: SipHash in its three roles, of ring positions, hash tables and digests.
 *
 * Ring positions must be equal on every node, client and version, so their SipHash key is a public
 * constant.
 */
#ifndef SHARED_BASE_HASH_H
#define SHARED_BASE_HASH_H

#include "shared/base/bytes.h"

typedef struct Digest
{
    uint8_t bytes[16];
} Digest;

/* SipHash-2-4 of (bucket, first key column): a position on the ring. */
uint64_t hash_ring(uint32_t bucket_id, Slice first_column);

/* SipHash-2-4 for hash tables. */
uint64_t hash_table(Slice bytes);

/* 128-bit SipHash: equal digests stand for equal bytes. An empty input gives DIGEST_ABSENT. */
Digest digest_of(Slice bytes);
bool digest_equal(const Digest *a, const Digest *b);

/* XOR, so that the digest of a set does not depend on its order. */
void digest_mix(Digest *into, const Digest *other);

extern const Digest DIGEST_ABSENT;

#endif
