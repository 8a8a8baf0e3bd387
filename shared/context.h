/*
 * context: causal contexts as they leave the cluster, opaque to whoever holds them.
 *
 * A sealed context is version, bucket, key hash, version vector and a MAC: keyed BLAKE2b-128 under
 * a key derived from the cluster key, over all of that and the key's bytes. So it cannot be forged,
 * edited, or used for another key or cluster.
 */
#ifndef SHARED_CONTEXT_H
#define SHARED_CONTEXT_H

#include "shared/vclock.h"

typedef struct ContextKey
{
    uint8_t bytes[32];
} ContextKey;

typedef enum ContextResult
{
    CONTEXT_OK,
    CONTEXT_MALFORMED, /* truncated, or of an unknown version */
    CONTEXT_OTHER_BUCKET,
    CONTEXT_OTHER_KEY,
    CONTEXT_FORGED /* edited, or sealed by another cluster */
} ContextResult;

/* The sealing key of a cluster, from the 32 bytes of its cluster key. */
ContextKey context_key(const uint8_t cluster_key[32]);

void context_seal(Buffer *buffer, const ContextKey *sealer, uint32_t bucket_id, Slice key,
                  const VClock *clock);

/* *clock is set only on CONTEXT_OK; an empty slice opens as the empty clock. */
ContextResult context_open(Slice sealed, const ContextKey *sealer, uint32_t bucket_id, Slice key,
                           Arena *arena, VClock *clock);

/* A sentence for people, without a full stop. */
const char *context_result_text(ContextResult result);

#endif
