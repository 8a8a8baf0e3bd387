/*
 * scan: runs a ForeignScan: multigets of the keys that a lookup names, or the bucket page by page.
 *
 * States: not started; rows of a batch or page at hand; at the end. Nothing is asked of the cluster
 * before the first row is wanted. Everything lives in the query's memory and in one child of it
 * that a rescan resets, so an ERROR needs no cleaning up.
 */
#ifndef FDW_RUN_SCAN_H
#define FDW_RUN_SCAN_H

#include "fdw/base/pg.h"

#include "foreign/fdwapi.h"

#include "fdw/run/source.h"

void dynamoBeginForeignScan(ForeignScanState *node, int eflags);
TupleTableSlot *dynamoIterateForeignScan(ForeignScanState *node);
void dynamoReScanForeignScan(ForeignScanState *node);
void dynamoEndForeignScan(ForeignScanState *node);

/* For EXPLAIN, and for what writes the rows. */
const Source *scan_source(const ForeignScanState *node);

#endif
