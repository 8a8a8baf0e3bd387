/*
 * Overlay: what a transaction reads of a key that it has written and not yet committed, and what of
 * its puts leaves when it commits.
 *
 * The puts of a transaction wait in a log (fdw/transaction/pending). Each value in it has a number;
 * a put has the number of its first value, and the command that made it. A reader sees the puts of
 * commands before its own. What it read says in its context, as a pending piece, up to which number
 * and before which command it has seen; a put under that context covers those puts, as one under a
 * sealed piece covers siblings of the store. So a put is alive for a reader unless another one that
 * the reader sees covers it.
 *
 * The result is the object that the store would have if the puts that are seen had been applied one
 * after another. It is pure: it reads a chain of puts, and changes nothing.
 *
 * Sealed pieces are taken for what they say, since only nodes can verify them: what is made up
 * misleads its own transaction alone, whose commit the nodes refuse. Pieces of another key, and
 * bytes that are no piece, stand for nothing here and are passed on to be refused.
 */
#ifndef SHARED_DATA_OVERLAY_H
#define SHARED_DATA_OVERLAY_H

#include "shared/data/context.h"
#include "shared/data/update.h"

/* Covers the puts with a number not above through and a command before that one. */
typedef struct OverlayCover
{
    uint64_t through;
    uint32_t before_command;
} OverlayCover;

typedef struct OverlayPut
{
    const struct OverlayPut *older; /* the put of the same key before it; NULL: none */
    uint64_t number;                /* of its first value, from 1; the others have the next ones */
    uint32_t command;
    const void *sender; /* whoever it is to leave by; only compared */
    Slice context;      /* what it has seen, but for pending pieces */
    OverlayCover *covers;
    uint32_t cover_count;
    PutValue *values; /* with ascending request ids */
    uint32_t value_count;
} OverlayPut;

typedef struct OverlayKey
{
    uint32_t bucket_id;
    Slice key;
    uint8_t transaction[16]; /* drawn at random; names the log in pending pieces */
} OverlayKey;

/* A read of the key, by a reader who sees puts of it. */
typedef struct OverlayRead
{
    OverlayKey key;
    uint64_t through;         /* the last number that the log has given */
    const OverlayPut *newest; /* of the key */
    uint32_t before_command;  /* the reader's own */
    Slice object;             /* of the store, encoded; empty: absent */
    Slice context;            /* of the store, sealed; empty: absent, or not asked for */
} OverlayRead;

/*
 * Takes apart the context that a put of the key hands back, into put's context and covers. A
 * pending piece of another transaction is STATUS_CONTEXT_PENDING, one of another key
 * STATUS_CONTEXT_OTHER_KEY, or _OTHER_BUCKET. What is set borrows from context, or is in the arena.
 */
StatusCode overlay_take_context(Arena *arena, const OverlayKey *key, Slice context,
                                OverlayPut *put);

/* True when a reader of that command sees a put of the chain: only then is there an overlay. */
bool overlay_is_seen(const OverlayPut *newest, uint32_t before_command);

/*
 * Puts into object (encoded) and context what the read gives, both reset before. The values of the
 * transaction come last, in the order they were put, with dots of an actor that is the transaction.
 * False when the store's object cannot be read.
 */
bool overlay_read(Arena *arena, const OverlayRead *read, Buffer *object, Buffer *context);

/* What leaves for a key. */
typedef struct OverlayOutcome
{
    Slice context;
    PutValue *values;     /* in the order they were put, which their request ids follow */
    uint32_t value_count; /* 0: nothing leaves */
} OverlayOutcome;

/*
 * The one put by sender that all puts of a key amount to: its values that are alive at the end,
 * under all that was seen. A tombstone leaves only where no value does, and not at all where
 * nothing sealed was seen: it would overwrite nothing. Borrows from the puts, or allocates in the
 * arena.
 */
OverlayOutcome overlay_leave(Arena *arena, const OverlayKey *key, const OverlayPut *newest,
                             const void *sender);

#endif
