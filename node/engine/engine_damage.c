/*
 * What cannot be read: who is told of it, and what becomes of it (node/engine/repair/unreadable.h).
 */
#include "node/engine/cluster/witness.h"
#include "node/engine/engine_private.h"

#include <inttypes.h>

static bool
was_told(const Engine *engine, const StorageExtent *extent)
{
    for (uint32_t i = 0; i < ENGINE_RANGES_TOLD; i++)
    {
        const StorageExtent *told = &engine->told[i];

        if (told->bucket_id == extent->bucket_id && told->first <= extent->first &&
            extent->last <= told->last)
            return true;
    }
    return false;
}

static const char *
bucket_name(const View *view, uint32_t bucket_id)
{
    const Bucket *bucket = topology_bucket_by_id(view->topology, bucket_id);

    return bucket != NULL ? bucket->name : "?";
}

void
engine_unreadable(Engine *engine, const View *view, const StorageExtent *extent)
{
    uint32_t bucket_id = extent->bucket_id;
    uint32_t owners =
        antientropy_mend(engine->antientropy, view, bucket_id, extent->first, extent->last);

    unreadable_report(engine->unreadable, view, bucket_id, extent->first, extent->last);
    if (was_told(engine, extent))
        return;
    engine->told[engine->told_next++ % ENGINE_RANGES_TOLD] = *extent;
    if (owners > 0)
        actions_warn(&engine->actions,
                     "rows of bucket \"%s\" cannot be read (positions %016" PRIx64 " to %016" PRIx64
                     "): this node asks %" PRIu32 " other owners for them",
                     bucket_name(view, bucket_id), extent->first, extent->last, owners);
    else
        actions_warn(&engine->actions,
                     "rows of bucket \"%s\" cannot be read (positions %016" PRIx64 " to %016" PRIx64
                     "), and there is no other owner to ask",
                     bucket_name(view, bucket_id), extent->first, extent->last);
}

void
engine_withhold_as_noted(Engine *engine)
{
    View view = engine_view(engine);
    uint32_t count;
    const StorageExtent *extents = witness_withheld(membership_witness(engine->membership), &count);

    for (uint32_t i = 0; i < count; i++)
        unreadable_replaced(engine->unreadable, &view, extents[i].bucket_id, extents[i].first,
                            extents[i].last);
}

/* An owner that had nothing which this node lacked is no news. */
void
engine_tell_mended(Engine *engine)
{
    View view = engine_view(engine);
    MendResult result;

    while (antientropy_take_result(engine->antientropy, &result))
    {
        uint32_t member = topology_member(view.topology, &result.peer);

        if (result.objects == 0 || member == TOPOLOGY_NO_MEMBER)
            continue;
        actions_warn(&engine->actions,
                     "took %" PRIu64 " rows of bucket \"%s\" from node %s in place of those that "
                     "cannot be read (positions %016" PRIx64 " to %016" PRIx64 ")",
                     result.objects, bucket_name(&view, result.bucket_id),
                     view.topology->members[member].name, result.first_position,
                     result.last_position);
    }
}

void
engine_tell_forgotten(Engine *engine)
{
    View view = engine_view(engine);
    UnreadableResult result;

    while (unreadable_take_result(engine->unreadable, &result))
        actions_warn(&engine->actions,
                     "%" PRIu64
                     " records of bucket \"%s\" that cannot be read have been removed: none of "
                     "their other owners has them",
                     result.records, bucket_name(&view, result.bucket_id));
}
