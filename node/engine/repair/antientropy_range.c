/* Ranges whose keys are compared whatever the trees say, since rows in them cannot be read. */
#include "node/engine/repair/antientropy_private.h"

#include <string.h>

enum
{
    MEND_AGAIN_MS = 600000 /* before keys are compared again that were mended */
};

static bool
is_within(PositionRange inner, PositionRange outer)
{
    return outer.first <= inner.first && inner.last <= outer.last;
}

/* A damaged file stays until the next start, and is met again and again though what was in it has
 * been replaced. */
static bool
was_mended(const Pair *pair, const View *view, PositionRange range)
{
    return is_within(range, pair->mended) && view->now_ms < pair->mended_at_ms + MEND_AGAIN_MS;
}

/* The part of the range that is in the partition. */
static PositionRange
part_of(const View *view, uint32_t partition, PositionRange range)
{
    uint32_t partitions = view->topology->partitions;
    uint64_t first = ring_partition_start(partition, partitions);
    uint64_t last = first + UINT64_MAX / partitions;

    return (PositionRange){first > range.first ? first : range.first,
                           last < range.last ? last : range.last};
}

/* False: the member does not own the partition, or this node does not. */
static bool
mend_part(Antientropy *antientropy, const View *view, uint32_t member, TreeId id,
          PositionRange range, bool anew)
{
    PositionRange part = part_of(view, id.partition, range);
    Pair *pair;

    if (!antientropy_is_pair(antientropy, view, member, id))
        return false;
    pair = antientropy_make_pair(antientropy, member, id);
    if (!anew && was_mended(pair, view, part))
        return true;
    pair->mend = position_range_union(pair->mend, part);
    antientropy_queue(antientropy, pair);
    return true;
}

static uint32_t
mend(Antientropy *antientropy, const View *view, uint32_t bucket_id, PositionRange range, bool anew)
{
    uint32_t partitions = view->topology->partitions;
    uint32_t owners = 0;

    antientropy_follow(antientropy, view);
    for (uint32_t member = 0; member < antientropy->peer_count; member++)
    {
        bool owns = false;

        for (uint32_t partition = ring_partition(range.first, partitions);
             partition <= ring_partition(range.last, partitions); partition++)
            owns |=
                mend_part(antientropy, view, member, (TreeId){bucket_id, partition}, range, anew);
        owners += owns;
    }
    return owners;
}

uint32_t
antientropy_mend(Antientropy *antientropy, const View *view, uint32_t bucket_id,
                 uint64_t first_position, uint64_t last_position)
{
    return mend(antientropy, view, bucket_id, (PositionRange){first_position, last_position},
                false);
}

uint64_t
antientropy_mend_anew(Antientropy *antientropy, const View *view, uint32_t bucket_id,
                      uint64_t first_position, uint64_t last_position)
{
    (void)mend(antientropy, view, bucket_id, (PositionRange){first_position, last_position}, true);
    return antientropy->pairs_taken;
}

bool
antientropy_was_mended(const Antientropy *antientropy, const View *view, uint32_t member, TreeId id,
                       uint64_t first, uint64_t last)
{
    const Pair *pair = antientropy_find_pair(antientropy, member, id);

    return pair != NULL && was_mended(pair, view, (PositionRange){first, last});
}

uint64_t
antientropy_pairs_taken(const Antientropy *antientropy)
{
    return antientropy->pairs_taken;
}

bool
antientropy_has_mended(const Antientropy *antientropy, uint32_t member, TreeId id, uint64_t first,
                       uint64_t last, uint64_t since)
{
    const Pair *pair = antientropy_find_pair(antientropy, member, id);

    return pair != NULL && pair->mended_number > since &&
           is_within((PositionRange){first, last}, pair->mended);
}

bool
antientropy_take_result(Antientropy *antientropy, MendResult *result)
{
    if (antientropy->result_count == 0)
        return false;
    *result = antientropy->results[0];
    memmove(&antientropy->results[0], &antientropy->results[1],
            --antientropy->result_count * sizeof(MendResult));
    return true;
}
