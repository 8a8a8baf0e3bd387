/*
 * Orphans: what a disk held that was set back to before a round of reaping, as a step module.
 *
 * Such rows may have been deleted, and reaped, since; nobody can tell them from rows that the
 * others never had. So they are not spread and not served: before the disk is filled
 * (node/engine/repair/refill.h) this node asks the owners of all partitions which rounds they have
 * raised. Where theirs is higher than the own it takes it as its own and moves its rows of the
 * partition aside, into records of ORPHANS_BUCKET: position as before, key the bucket's id and the
 * key. The filling brings back all that the others hold.
 *
 * A partition is settled when what this node has of it is known to be no older than what was
 * reaped, durably. Before that it takes no write of it from others, for itself or for whom it
 * stands in; so what is moved is what was there before, and never what this life has acknowledged.
 * One other owner whose data are whole is enough to settle: nothing is reaped before all owners
 * have raised, and who answers takes back what it had prepared and not raised. Where none is in
 * reach all the others have to answer, and the highest round counts.
 *
 * A node that finds out late, since nobody who knows was in reach when it started, has coordinated
 * writes by then. Rows that have one stay, with all that is in them: what was reaped of such a row
 * may be a value again, which is the price of losing no write. What others have replicated to it
 * within that time, and a write of a run that ended before the rows were moved, may be set aside.
 *
 * Afterwards an orphan of which the present object has seen everything is dropped. What is left is
 * shown, until an admin adopts it, which merges it into what is stored and owes it to the other
 * owners, or drops it.
 */
#ifndef NODE_ENGINE_REPAIR_ORPHANS_H
#define NODE_ENGINE_REPAIR_ORPHANS_H

#include "node/engine/step/step.h"

enum
{
    ORPHANS_SHOWN_MAX = 1000
};

typedef struct Orphans Orphans;

/* The key is of the bucket; valid until the next event. */
typedef struct Orphan
{
    uint32_t bucket_id;
    Slice key;
    uint32_t siblings; /* that are values */
} Orphan;

Orphans *orphans_new(void);
void orphans_free(Orphans *orphans);

/* The data turn out to be older than they were: everything is asked for. */
void orphans_begin(Orphans *orphans);

/* True when all that this node owns, or has rows of, is settled. */
bool orphans_are_aside(const Orphans *orphans, const View *view);

/* True when all members in reach were asked once since the data turned out to be older: what is not
 * settled by then takes its time. */
bool orphans_are_found_out(const Orphans *orphans);

/* While the data are known to be older: is the partition settled? */
bool orphans_take(const Orphans *orphans, TreeId id);

/* The disk is filled: what the filling has brought back is to be dropped. */
void orphans_end(Orphans *orphans);

/* An admin's wish, for a bucket or (0) all. */
void orphans_adopt(Orphans *orphans, uint32_t bucket_id);
void orphans_drop(Orphans *orphans, uint32_t bucket_id);

void orphans_step(Orphans *orphans, const View *view);
uint64_t orphans_wake_ms(const Orphans *orphans, const View *view);

/* A FRAME_REAP_ROUNDS of another member, which may join (joining.h) as well as have been set back;
 * and the answer to an own one. */
void orphans_session_frame(const View *view, Origin origin, const Frame *frame);
void orphans_member_frame(Orphans *orphans, const View *view, uint32_t member, const Frame *frame);

/* Storage's answers to refs of REF_ORPHANS. */
void orphans_scanned(Orphans *orphans, const View *view, uint64_t ref, StatusCode status,
                     const StoragePage *page);
void orphans_fetched(Orphans *orphans, const View *view, uint64_t ref, StatusCode status,
                     Slice object);
void orphans_merged(Orphans *orphans, const View *view, uint64_t ref, StatusCode status,
                    Slice object);
void orphans_durable(Orphans *orphans, const View *view, uint64_t ref, StatusCode status);

/* How many there are, and the first ORPHANS_SHOWN_MAX of them. */
uint64_t orphans_count(const Orphans *orphans);
Orphan orphans_show(const Orphans *orphans, uint32_t index);

#endif
