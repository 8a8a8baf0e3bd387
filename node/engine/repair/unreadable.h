/*
 * Unreadable: removes records that cannot be read and that no other owner has, as a step module.
 *
 * What cannot be read is mended with the object of another owner (antientropy_mend). Where none has
 * one, since it was reaped there or this was the only copy, the record would stay for ever: its
 * tree in doubt, its leaf not to be scanned. So the storage lists which records it cannot read;
 * every other owner is compared with anew; and what then still is the record that it was then is
 * removed. One that was mended meanwhile, or that only became unreadable, is another.
 *
 * What is in a damaged block cannot be listed, and stays until the store is salvaged
 * (node/rocks/rocks_salvage.c). So does for good what no other node owns, or this one holds for
 * others.
 *
 * From the report, or from when something took the place of an unreadable record, until every other
 * owner was compared with, the place is withheld: the object that took that of an unreadable record
 * is perhaps an older one's, and to answer it would be to miss what was acknowledged.
 */
#ifndef NODE_ENGINE_REPAIR_UNREADABLE_H
#define NODE_ENGINE_REPAIR_UNREADABLE_H

#include "node/engine/repair/antientropy.h"

typedef struct Unreadable Unreadable;

/* antientropy is borrowed. */
Unreadable *unreadable_new(Antientropy *antientropy);
void unreadable_free(Unreadable *unreadable);

/* Something from first to last cannot be read. */
void unreadable_report(Unreadable *unreadable, const View *view, uint32_t bucket_id,
                       uint64_t first_position, uint64_t last_position);

/* Something has taken the place of what could not be read there: whatever was compared before, the
 * other owners are compared with from now on. */
void unreadable_replaced(Unreadable *unreadable, const View *view, uint32_t bucket_id,
                         uint64_t first_position, uint64_t last_position);

/* What is withheld, in the arena; and how often that has changed. */
uint32_t unreadable_ranges(const Unreadable *unreadable, Arena *arena, StorageExtent **ranges);
uint64_t unreadable_changes(const Unreadable *unreadable);

/* After antientropy_step(). */
void unreadable_step(Unreadable *unreadable, const View *view);

/* When unreadable_step is wanted next, at the latest. */
uint64_t unreadable_wake_ms(const Unreadable *unreadable, const View *view);

/* No place is known where something cannot be read: nothing is withheld. */
bool unreadable_is_idle(const Unreadable *unreadable);

/* Clients' reads of positions from first to last are to be answered STATUS_CORRUPT for now. */
bool unreadable_withholds(const Unreadable *unreadable, uint32_t bucket_id, uint64_t first,
                          uint64_t last);

/* The same of a key, of the bucket; and of what a range has rows of. */
bool unreadable_withholds_key(const Unreadable *unreadable, const View *view, uint32_t bucket_id,
                              Slice key);
bool unreadable_withholds_range(const Unreadable *unreadable, const StorageRange *range);

/* The positions of those rows. */
StorageExtent unreadable_extent(const StorageRange *range);

/* Records of the partition are to be forgotten. */
bool unreadable_is_busy(const Unreadable *unreadable, const View *view, TreeId id);

/* Records that were removed, durably. */
typedef struct UnreadableResult
{
    uint32_t bucket_id;
    uint64_t records;
} UnreadableResult;

/* False: there is none that was not taken. */
bool unreadable_take_result(Unreadable *unreadable, UnreadableResult *result);

/* Places that are withheld. */
uint32_t unreadable_count(const Unreadable *unreadable);

/* Records removed since the process began. */
uint64_t unreadable_total(const Unreadable *unreadable);

/* Storage's answers to refs of REF_UNREADABLE. */
void unreadable_scanned(Unreadable *unreadable, const View *view, uint64_t ref, StatusCode status,
                        const StoragePage *page);
void unreadable_merged(Unreadable *unreadable, uint64_t ref, StatusCode status, Slice object);
void unreadable_durable(Unreadable *unreadable, uint64_t ref, StatusCode status);

#endif
