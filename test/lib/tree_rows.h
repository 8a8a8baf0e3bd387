/*
 * How many rows the trees of a store have on its disk: what tests hold the disk against.
 */
#ifndef TEST_LIB_TREE_ROWS_H
#define TEST_LIB_TREE_ROWS_H

#include "node/engine/store/trees.h"

/* Counted when all that was closed is written, and none was lost. */
uint64_t tree_rows_on_disk(const Trees *trees);

#endif
