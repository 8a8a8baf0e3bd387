/*
 * Purge: removes what this node still has of buckets that were dropped; a step module.
 *
 * A topology never gives an id twice, so whatever stands under the id of a dropped bucket is to go,
 * whenever it is met: after the topology without it is taken up, after a start of a node that was
 * down meanwhile, or because an old write landed late. Nothing new comes: storage is asked for no
 * change of such a bucket any more (engine_turn.c).
 *
 * The trees say where rows are. A sweep goes over them, some at a time, after each topology that
 * drops and from time to time; in a partition that has rows page after page is read, and each
 * record removed with its hints, unless it has become another meanwhile: then the next sweep meets
 * it. The rate is the background pool's (node/engine/step/pacer.h).
 */
#ifndef NODE_ENGINE_REPAIR_PURGE_H
#define NODE_ENGINE_REPAIR_PURGE_H

#include "node/engine/step/pacer.h"
#include "node/engine/step/step.h"

typedef struct Purge Purge;

/* pacer is borrowed. */
Purge *purge_new(Pacer *pacer);
void purge_free(Purge *purge);

void purge_step(Purge *purge, const View *view);
uint64_t purge_wake_ms(const Purge *purge, const View *view);

/* Storage's answers to refs of REF_PURGE. */
void purge_scanned(Purge *purge, const View *view, uint64_t ref, StatusCode status,
                   const StoragePage *page);
void purge_merged(Purge *purge, uint64_t ref, StatusCode status);
void purge_durable(Purge *purge, uint64_t ref, StatusCode status);

/* Records removed since the process began. */
uint64_t purge_total(const Purge *purge);

#endif
