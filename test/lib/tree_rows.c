/* Counts the rows of trees that a disk must have, by the definition: for tests that compare it with
 * what is stored. */
#include "test/lib/tree_rows.h"

#include "node/engine/store/trees_private.h"

uint64_t
tree_rows_on_disk(const Trees *trees)
{
    uint64_t rows = trees->journal.next - trees->journal.first;

    for (uint32_t i = 0; i < trees->slot_count; i++)
        if (trees->slots[i] != NULL)
            rows += 1 + tree_chunks_of(tree_leaf_count(&trees->slots[i]->now)) +
                    tree_chunks_of(trees->slots[i]->built);
    return rows > 0 ? rows + 1 : 0;
}
