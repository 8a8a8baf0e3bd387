/*
 * Forget: removes records that cannot be read and that no other owner has, as a step module.
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
#ifndef NODE_ENGINE_REPAIR_FORGET_H
#define NODE_ENGINE_REPAIR_FORGET_H

#include "node/engine/repair/antientropy.h"

typedef struct Forget Forget;

/* antientropy is borrowed. */
Forget *forget_new(Antientropy *antientropy);
void forget_free(Forget *forget);

/* Something from first to last cannot be read. */
void forget_report(Forget *forget, const View *view, uint32_t bucket_id, uint64_t first_position,
                   uint64_t last_position);

/* Something has taken the place of what could not be read there: whatever was compared before, the
 * other owners are compared with from now on. */
void forget_replaced(Forget *forget, const View *view, uint32_t bucket_id, uint64_t first_position,
                     uint64_t last_position);

/* What is withheld, in the arena; and how often that has changed. */
uint32_t forget_ranges(const Forget *forget, Arena *arena, StorageExtent **ranges);
uint64_t forget_changes(const Forget *forget);

/* After antientropy_step(). */
void forget_step(Forget *forget, const View *view);

/* When forget_step is wanted next, at the latest. */
uint64_t forget_wake_ms(const Forget *forget, const View *view);

/* No place is known where something cannot be read: nothing is withheld. */
bool forget_is_idle(const Forget *forget);

/* Clients' reads of positions from first to last are to be answered STATUS_CORRUPT for now. */
bool forget_withholds(const Forget *forget, uint32_t bucket_id, uint64_t first, uint64_t last);

/* The same of a key, of the bucket; and of what a range has rows of. */
bool forget_withholds_key(const Forget *forget, const View *view, uint32_t bucket_id, Slice key);
bool forget_withholds_range(const Forget *forget, const StorageRange *range);

/* The positions of those rows. */
StorageExtent forget_extent(const StorageRange *range);

/* Records of the partition are to be forgotten. */
bool forget_is_busy(const Forget *forget, const View *view, TreeId id);

/* Records that were removed, durably. */
typedef struct ForgetResult
{
    uint32_t bucket_id;
    uint64_t records;
} ForgetResult;

/* False: there is none that was not taken. */
bool forget_take_result(Forget *forget, ForgetResult *result);

/* Places that are withheld. */
uint32_t forget_count(const Forget *forget);

/* Records removed since the process began. */
uint64_t forget_total(const Forget *forget);

/* Storage's answers to refs of REF_FORGET. */
void forget_scanned(Forget *forget, const View *view, uint64_t ref, StatusCode status,
                    const StoragePage *page);
void forget_merged(Forget *forget, uint64_t ref, StatusCode status, Slice object);
void forget_durable(Forget *forget, uint64_t ref, StatusCode status);

#endif
