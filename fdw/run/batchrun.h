/*
 * batchrun: runs the batched join that fdw/plan/batchjoin.h plans.
 *
 * A batch of outer rows is copied, their keys are looked up in one multiget, and then each row is
 * joined with what its key gave: at most one row of the table. The first batches are small, so that
 * a LIMIT above does not pay for a large one; once they are not, the next batch is looked up while
 * one is joined.
 */
#ifndef FDW_RUN_BATCHRUN_H
#define FDW_RUN_BATCHRUN_H

#include "fdw/base/pg.h"

#include "nodes/extensible.h"

#include "fdw/run/source.h"

/* Registers the methods that a plan names as BATCHJOIN_SCAN; once, from _PG_init. */
void batchrun_register(void);

/* What a batched join reads the range table's entry index through; NULL when node is none, or looks
 * up another table. */
const Source *batchrun_source(const CustomScanState *node, Index index);

#endif
