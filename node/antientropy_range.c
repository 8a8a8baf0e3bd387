/* Ranges whose keys are compared whatever the trees say, since rows in them cannot be read. */
#include "node/antientropy_private.h"

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

/* The part of the range that is in the pair's partition; none when the pair has none of it. */
static PositionRange
part_of(const View *view, const Pair *pair, uint32_t bucket_id, PositionRange range)
{
    uint32_t partitions = view->topology->partitions;
    uint64_t first = ring_partition_start(pair->status.partition, partitions);
    uint64_t last = first + UINT64_MAX / partitions;

    if (pair->status.bucket_id != bucket_id || last < range.first || first > range.last)
        return POSITION_RANGE_NONE;
    return (PositionRange){first > range.first ? first : range.first,
                           last < range.last ? last : range.last};
}

static uint32_t
mend(Antientropy *antientropy, const View *view, uint32_t bucket_id, PositionRange range, bool anew)
{
    uint32_t owners = 0;

    antientropy_follow(antientropy, view);
    for (uint32_t number = 0; number < antientropy->peer_count; number++)
    {
        const Peer *peer = &antientropy->peers[number];
        bool owns = false;

        for (uint32_t i = 0; i < peer->pair_count; i++)
        {
            Pair *pair = &antientropy->pairs[peer->first_pair + i];
            PositionRange part = part_of(view, pair, bucket_id, range);

            if (position_range_is_none(part))
                continue;
            owns = true;
            if (!anew && was_mended(pair, view, part))
                continue;
            pair->mend = position_range_union(pair->mend, part);
            antientropy_queue(antientropy, number, pair);
        }
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
    const Pair *pair = antientropy_pair(antientropy, member, id.bucket_id, id.partition);

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
    const Pair *pair = antientropy_pair(antientropy, member, id.bucket_id, id.partition);

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
