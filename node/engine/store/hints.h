/*
 * Hints: what this node owes to whom, in sum, and how the storage finds it again.
 *
 * A hint stands in the record of its key (shared/data/update.h). Beside it the storage keeps an
 * index row for each, written in the same batch, so that what is owed to one member lies together:
 * HINTS_BUCKET, the member's id, the storage key. Both storages change totals and
 * index by comparing a record before and after a change.
 */
#ifndef NODE_ENGINE_STORE_HINTS_H
#define NODE_ENGINE_STORE_HINTS_H

#include "shared/data/update.h"

/* The bucket number of the index, which no bucket has. */
#define HINTS_BUCKET 0

typedef struct HintTotal
{
    MemberId target;
    uint64_t count;
    uint64_t bytes;     /* of the objects, as they were when the hints were made */
    uint64_t oldest_ms; /* wall clock; no hint that is left is older */
} HintTotal;

typedef struct HintTotals
{
    HintTotal *targets; /* that have hints */
    uint32_t target_count;
    uint64_t bytes; /* of all */
} HintTotals;

/* Told of each hint that a change has made or dropped. */
typedef void (*HintSink)(void *context, const Hint *hint, bool dropped);

void hints_free(HintTotals *totals);

/* Counts a hint that was found on the disk. */
void hints_add(HintTotals *totals, const Hint *hint);

/* It is on the disk no more. */
void hints_drop(HintTotals *totals, const Hint *hint);

/* Takes note of what a change to a record has done to its hints. sink may be NULL. */
void hints_changed(HintTotals *totals, Slice before, Slice after, HintSink sink, void *context);

/* Of all targets. */
uint64_t hints_count(const HintTotals *totals);

/* What is owed to target; NULL when that is nothing. */
const HintTotal *hints_of(const HintTotals *totals, const MemberId *target);

/* True when the record owes its object to target. */
bool hints_record_owes(Slice record, const MemberId *target);

/* Appends the index row's key, and what stands in it. */
void hints_index_key(Buffer *buffer, const MemberId *target, Slice storage_key);
void hints_index_value(Buffer *buffer, const Hint *hint);

/* The other way round; false on bytes that are no index row. */
bool hints_index_split(Slice key, Slice value, Hint *hint, Slice *storage_key);

#endif
