/*
 * Transaction: one key of a store, the puts of a transaction that waits to commit, and beside them
 * a naive model of both.
 *
 * The model knows neither version vectors nor numbers of a log: a write is a bit, a context is the
 * set of writes that its reader saw, and what is alive is found by applying one write after
 * another. Every read and the commit are compared with it.
 */
#ifndef TEST_UNIT_STAGES_TRANSACTION_H
#define TEST_UNIT_STAGES_TRANSACTION_H

#include "shared/data/overlay.h"

enum
{
    TRANSACTION_WRITES_MAX = 64,
    TRANSACTION_CONTEXTS_MAX = 64
};

/* Writes that are stored, and puts of the transaction, as bits. */
typedef struct TransactionSeen
{
    uint64_t stored;
    uint64_t puts;
} TransactionSeen;

typedef struct TransactionPut
{
    OverlayPut put;
    TransactionSeen covers;
} TransactionPut;

typedef struct TransactionContext
{
    Slice bytes;
    TransactionSeen seen;
} TransactionContext;

typedef struct TransactionRead
{
    Slice object;
    Slice context;
} TransactionRead;

typedef struct Transaction
{
    uint64_t random;
    Arena arena;
    ContextKeys context_keys;
    OverlayKey key;
    uint64_t request_count;

    Run run;
    Slice record;         /* of the store */
    uint64_t stored;      /* writes that the store was given, as bits */
    uint64_t overwritten; /* of these */
    uint32_t stored_count;

    TransactionPut puts[TRANSACTION_WRITES_MAX]; /* those rolled back keep their bits */
    uint32_t put_count;
    uint64_t rolled_back;
    const OverlayPut *newest;
    uint64_t through;
    uint32_t command;

    TransactionContext contexts[TRANSACTION_CONTEXTS_MAX];
    uint32_t context_count;
} Transaction;

void transaction_init(Transaction *transaction);
void transaction_free(Transaction *transaction);

/* Forgets what was before. */
void transaction_begin(Transaction *transaction, uint64_t seed);

/* ---- by hand ---- */

/* Somebody else writes to the store, blindly or under all that is stored. */
void transaction_store(Transaction *transaction, const char *value, bool has_seen);

/* What the store holds, and its sealed context, or one of the same clock for another key. */
Slice transaction_stored(Transaction *transaction);
Slice transaction_sealed(Transaction *transaction);
Slice transaction_sealed_for(Transaction *transaction, Slice key);
Slice transaction_seal(Transaction *transaction, Slice key, const VClock *clock);
Slice transaction_join(Transaction *transaction, Slice a, Slice b);

/* A value that is NULL is a tombstone. */
StatusCode transaction_put(Transaction *transaction, uint32_t command, Slice context,
                           const char *const *values, uint32_t value_count);

/* Cuts off all puts but the first so many. */
void transaction_roll_back(Transaction *transaction, uint32_t kept);
TransactionRead transaction_read(Transaction *transaction, uint32_t before_command);

/* The puts leave, and the store is given what left. Its context must open. */
void transaction_leave(Transaction *transaction);

/* The live values of an object in order, with blanks between them. */
const char *transaction_values(Transaction *transaction, Slice object);

/* ---- by chance, each compared with the model ---- */

void transaction_step(Transaction *transaction);
void transaction_end(Transaction *transaction);

#endif
