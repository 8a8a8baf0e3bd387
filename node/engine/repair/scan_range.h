/*
 * The rows of the own store that a FRAME_SCAN asks for, and what the trees know of them, pure.
 *
 * Pages end where leaves of the own tree do, so that another owner, whose tree has the same leaves
 * as long as it has about as many rows, answers for its side of the page without reading a row.
 */
#ifndef NODE_ENGINE_REPAIR_SCAN_RANGE_H
#define NODE_ENGINE_REPAIR_SCAN_RANGE_H

#include "node/engine/step/step.h"

/* Are there trees of the own, over the partitions of the topology? */
bool scan_range_has_trees(const View *view);

/* The partition must be one. after and through stay the frame's. */
StorageRange scan_range(const View *view, const ScanFrame *scan);

/* The XOR over the durable rows of the range, and their number; false when no tree can tell: the
 * range ends within a leaf, or what is counted in a leaf is not durable yet or in doubt, or
 * some of the range is withheld. */
bool scan_range_sum(const View *view, const StorageRange *range, Digest *digest, uint32_t *rows);

#endif
