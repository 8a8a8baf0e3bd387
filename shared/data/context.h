/*
 * context: causal contexts as they leave the cluster, opaque to whoever holds them.
 *
 * A context is a row of pieces, and stands for all that any of them has seen; no pieces stand for
 * nothing seen. A sealed piece is kind, id of the sealing key, bucket, key hash, version vector,
 * the request ids of the siblings that were shown and of those that these had replaced lately,
 * which no vector tells, and a MAC: keyed BLAKE2b-128 under a key derived from the cluster key,
 * over all of that and the key's bytes. So it cannot be forged, edited, or used for another key or
 * cluster. A pending piece is made by a client for itself: it names writes of a transaction that
 * have not left yet, and means nothing to a node.
 */
#ifndef SHARED_DATA_CONTEXT_H
#define SHARED_DATA_CONTEXT_H

#include "shared/base/status.h"
#include "shared/data/object.h"

enum
{
    CONTEXT_KEYS_MAX = 8,
    CONTEXT_KEY_ID_BYTES = 4,
    CONTEXT_KEY_HASH_BYTES = 8
};

typedef struct ContextKey
{
    uint8_t id[CONTEXT_KEY_ID_BYTES]; /* tells keys apart; no secret */
    uint8_t bytes[32];
} ContextKey;

/* While a cluster key is being replaced there are several: the first seals, any of them opens. */
typedef struct ContextKeys
{
    ContextKey keys[CONTEXT_KEYS_MAX];
    uint32_t count; /* at least 1 */
} ContextKeys;

typedef enum ContextResult
{
    CONTEXT_OK,
    CONTEXT_MALFORMED, /* truncated, or of an unknown kind */
    CONTEXT_OTHER_BUCKET,
    CONTEXT_OTHER_KEY,
    CONTEXT_OTHER_CLUSTER, /* sealed under a key that is none of these */
    CONTEXT_EDITED,
    CONTEXT_PENDING /* has a pending piece */
} ContextResult;

/* The sealing keys of a cluster, from its cluster keys, at most CONTEXT_KEYS_MAX. */
ContextKeys context_keys(const uint8_t cluster_keys[][32], uint32_t count);

/* Appends one sealed piece, of what a reader has seen (object_past). */
void context_seal(Buffer *buffer, const ContextKeys *keys, uint32_t bucket_id, Slice key,
                  const Object *past);

/* *past, what all pieces have seen, is set only on CONTEXT_OK. Borrows from the context. */
ContextResult context_open(Slice context, const ContextKeys *keys, uint32_t bucket_id, Slice key,
                           Arena *arena, Object *past);

/* What a write under such a context is refused with. */
StatusCode context_status(ContextResult result);

/* ---- without the sealing key ---- */

/* The writes that a transaction had put up to the log number `through`, by commands before that
 * one. */
typedef struct ContextPending
{
    uint8_t transaction[16]; /* drawn at random */
    uint64_t through;
    uint32_t before_command;
} ContextPending;

typedef enum ContextPieceKind
{
    CONTEXT_PIECE_SEALED = 1,
    CONTEXT_PIECE_PENDING
} ContextPieceKind;

typedef struct ContextPiece
{
    ContextPieceKind kind;
    Slice bytes; /* the whole piece */
    uint32_t bucket_id;
    Slice key_hash;
    Slice key_id;         /* sealed: of the key it was sealed under */
    VClock clock;         /* sealed */
    RequestIds *replaced; /* sealed: as of an object that has seen the clock and has no sibling */
    uint32_t replaced_count;
    ContextPending pending; /* pending */
} ContextPiece;

/* Appends one pending piece. */
void context_put_pending(Buffer *buffer, uint32_t bucket_id, Slice key,
                         const ContextPending *pending);

/*
 * Takes the next piece off, which nobody has verified: what it says is for a client's own use and
 * for showing to people. Fails the reader on bytes that are no piece. Borrows from the reader's
 * bytes.
 */
ContextPiece context_next(Reader *reader, Arena *arena);

/* What past and a sealed piece have seen. */
Object context_join(Arena *arena, const Object *past, const ContextPiece *piece);

/* True when the piece belongs to that key. */
bool context_piece_is_of(const ContextPiece *piece, uint32_t bucket_id, Slice key);

#endif
