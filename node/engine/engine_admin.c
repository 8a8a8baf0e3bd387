/*
 * What people ask of the steps and a step cannot answer without the rest of the engine: to have
 * replicas compared or all that is kept read, and how it stands.
 */
#include "node/engine/engine_private.h"

/* What was asked of a member that is this node itself is asked of all others: each pair has two
 * sides, and the other side of these is whoever shares something with it. */
static bool
member_to_ask(const Engine *engine, const RepairFrame *repair, uint32_t *member)
{
    *member = TOPOLOGY_NO_MEMBER;
    if (!repair->is_of_member)
        return true;
    *member = topology_member(engine_topology(engine), &repair->member);
    if (*member == TOPOLOGY_NO_MEMBER)
        return false;
    if (*member == engine_self(engine))
        *member = TOPOLOGY_NO_MEMBER;
    return true;
}

void
engine_take_repair(Engine *engine, Origin origin, const Frame *frame)
{
    View view = engine_view(engine);
    RepairFrame repair;
    RepairReply reply;
    uint32_t member;

    if (!repair_decode(frame, &repair))
        actions_error(&engine->actions, origin, STATUS_BAD_FRAME, "");
    else if (!member_to_ask(engine, &repair, &member) ||
             (repair.bucket_id != 0 &&
              topology_bucket_by_id(view.topology, repair.bucket_id) == NULL))
        actions_error(&engine->actions, origin, STATUS_BEHIND, "");
    else
    {
        reply.queued = antientropy_request(engine->antientropy, &view, repair.bucket_id, member);
        repair_reply_encode(actions_frame(&engine->actions), origin.tag, &reply);
        actions_reply(&engine->actions, origin.session);
    }
}

static uint32_t
repair_status_count(const Engine *engine)
{
    View view = engine_look(engine);

    return engine_is_member(engine) ? antientropy_status_count(engine->antientropy, &view) : 0;
}

void
engine_tell_repair(Engine *engine, Origin origin, const Frame *frame)
{
    uint32_t total = repair_status_count(engine);
    RepairStatusReply reply = {.total = total};
    RepairStatusFetch fetch;
    RepairCursor cursor;

    if (!repair_status_fetch_decode(frame, &fetch))
    {
        actions_error(&engine->actions, origin, STATUS_BAD_FRAME, "");
        return;
    }
    if (fetch.first < total)
        reply.row_count = total - fetch.first;
    if (reply.row_count > REPAIR_STATUS_PAGE)
        reply.row_count = REPAIR_STATUS_PAGE;
    reply.rows = ARENA_ARRAY(&engine->actions.arena, RepairStatus, reply.row_count);
    cursor = engine_repair_seek(engine, fetch.first);
    for (uint32_t i = 0; i < reply.row_count; i++)
        (void)engine_repair_next(engine, &cursor, &reply.rows[i]);
    repair_status_encode(actions_frame(&engine->actions), origin.tag, &reply);
    actions_reply(&engine->actions, origin.session);
}

RepairCursor
engine_repair_seek(const Engine *engine, uint32_t index)
{
    View view = engine_look(engine);

    return antientropy_seek(engine->antientropy, &view, index);
}

bool
engine_repair_next(const Engine *engine, RepairCursor *cursor, RepairStatus *status)
{
    View view = engine_look(engine);

    return engine_is_member(engine) &&
           antientropy_next_status(engine->antientropy, &view, cursor, status);
}

/* ---- reading all that is kept ---- */

void
engine_scrub(Engine *engine, bool begin)
{
    View view = engine_view(engine);

    if (begin)
        scrub_begin(engine->scrub, &view);
    else
        scrub_stop(engine->scrub, &view);
}

ScrubStatus
engine_scrub_status(const Engine *engine)
{
    return scrub_status(engine->scrub);
}
