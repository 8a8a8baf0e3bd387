/*
 * Cuts a partition into pages at the leaves of the own tree.
 */
#include "node/engine/repair/scan_range.h"

#include "node/engine/repair/unreadable.h"

enum
{
    SCAN_BYTES_MAX = 4 * 1024 * 1024
};

bool
scan_range_has_trees(const View *view)
{
    return view->trees != NULL && trees_partitions(view->trees) == view->topology->partitions;
}

/* Where leaves end, page by page, so that the other owners need not look into their rows. */
static uint64_t
leaf_width(const View *view, uint32_t bucket_id, uint64_t partition_start)
{
    if (!scan_range_has_trees(view))
        return 0;
    return trees_leaf_end(view->trees, bucket_id, partition_start) - partition_start + 1;
}

StorageRange
scan_range(const View *view, const ScanFrame *scan)
{
    uint32_t partitions = view->topology->partitions;
    uint64_t width = UINT64_MAX / partitions + 1;
    uint64_t start = ring_partition_start(scan->partition, partitions);
    bool is_bounded = scan->max_bytes > 0 && scan->max_bytes < SCAN_BYTES_MAX;

    return (StorageRange){.bucket_id = scan->bucket_id,
                          .first_position = start,
                          .last_position = start + (width - 1),
                          .after = scan->after,
                          .through = scan->through,
                          .max_bytes = is_bounded ? scan->max_bytes : SCAN_BYTES_MAX,
                          .leaf_width = leaf_width(view, scan->bucket_id, start)};
}

/* The rows from first to last are those of the range; false when it ends between two rows of a
 * position. */
static bool
whole_positions(const StorageRange *range, uint64_t *first, uint64_t *last)
{
    uint64_t position;
    Slice key;

    *first = range->first_position;
    *last = range->last_position;
    if (range->after.length > 0)
    {
        if (!storage_cursor_split(range->after, &position, &key) || key.length > 0)
            return false;
        *first = position > *first ? position : *first;
    }
    if (range->through.length > 0)
    {
        if (!storage_cursor_split(range->through, &position, &key) || key.length > 0 ||
            position == 0)
            return false;
        *last = position - 1 < *last ? position - 1 : *last;
    }
    return true;
}

static bool
is_withheld(const View *view, uint32_t bucket_id, uint64_t first, uint64_t last)
{
    return view->unreadable != NULL &&
           unreadable_withholds(view->unreadable, bucket_id, first, last);
}

bool
scan_range_sum(const View *view, const StorageRange *range, Digest *digest, uint32_t *rows)
{
    uint64_t first, last;
    TreeSum sum;

    if (range->leaf_width == 0 || view->cannot_write || !whole_positions(range, &first, &last) ||
        is_withheld(view, range->bucket_id, first, last) ||
        !trees_range_sum(view->trees, range->bucket_id, first, last, &sum) || !sum.settled ||
        sum.rows > UINT32_MAX)
        return false;
    *digest = sum.digest;
    *rows = (uint32_t)sum.rows;
    return true;
}
