/*
 * What people ask of reaping and of orphans (node/engine/repair/reaping.h,
 * node/engine/repair/orphans.h).
 */
#include "node/engine/engine_private.h"

void
engine_reap(Engine *engine)
{
    reaping_request(engine->reaping);
}

void
engine_adopt_orphans(Engine *engine, uint32_t bucket_id)
{
    orphans_adopt(engine->orphans, bucket_id);
}

void
engine_drop_orphans(Engine *engine, uint32_t bucket_id)
{
    orphans_drop(engine->orphans, bucket_id);
}

uint64_t
engine_orphans_count(const Engine *engine)
{
    return orphans_count(engine->orphans);
}

Orphan
engine_orphan(const Engine *engine, uint32_t index)
{
    return orphans_show(engine->orphans, index);
}
