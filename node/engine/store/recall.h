/*
 * Recall: the request ids that were replaced lately and stand beside no record any more, in memory.
 *
 * A record keeps what its last OBJECT_REPLACED_KEPT puts replaced (shared/data/update.h). What goes
 * from there, because a key is written often or its record is removed, is remembered here for
 * RECALL_MS: longer than a write may be stamped after it was first sent (MESSAGE_LIFE_MS), with
 * room for what its frame took to arrive. A restart forgets it all.
 *
 * Bounded: RECALL_IDS_MAX ids, of which the oldest go first, and RECALL_KEY_MAX that are told of
 * one key. Noting an id, asking for it and forgetting it take constant time.
 */
#ifndef NODE_ENGINE_STORE_RECALL_H
#define NODE_ENGINE_STORE_RECALL_H

#include "shared/data/object.h"

typedef struct Recall Recall;

enum
{
    RECALL_MS = 30000,
    RECALL_IDS_MAX = 1 << 20, /* 56 bytes each */
    RECALL_KEY_MAX = 512
};

/* buckets: of each of its two hash tables, a power of two; 8 bytes each. */
Recall *recall_new(uint32_t buckets);
void recall_free(Recall *recall);

/* Forgets all: what was noted may have been replaced by what never became durable. */
void recall_clear(Recall *recall);

/* Time passes: forgets what is too old. */
void recall_time(Recall *recall, uint64_t now_ms);

/* weight: as UpdateMemory.gone_weight. */
void recall_note(Recall *recall, Slice storage_key, const RequestIds *ids, uint64_t weight);

/* Sets the weight of all that is remembered of the key. */
void recall_revalue(Recall *recall, Slice storage_key, uint64_t weight);

/* Is the id remembered, of whatever key, with a weight other than UINT64_MAX? */
bool recall_has(const Recall *recall, const RequestId *request);

/* What may be told with a state of the key's record whose context weighs so much, the latest first,
 * in the arena. */
RequestIds recall_find(const Recall *recall, Slice storage_key, uint64_t weight, Arena *arena);

/* The time it was told last. */
uint64_t recall_now_ms(const Recall *recall);

/* How many ids are remembered. */
uint32_t recall_count(const Recall *recall);

#endif
