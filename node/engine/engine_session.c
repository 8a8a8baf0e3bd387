/*
 * What sessions send: whether it is taken on (node/engine/admission.h), whether it must wait, and
 * the step that it is for.
 *
 * A frame of an epoch that this node has not reached yet is held back, while the topology is
 * fetched, for at most HOLD_MS; one that there is no room for is carried out with what is known. So
 * are reads, as long as a node that has just started is in doubt whether its data are whole. Data
 * frames of nodes that know of no removal are refused: see Topology.fence.
 */
#include "node/engine/engine_private.h"

#include <string.h>

enum
{
    HOLD_MS = 1000,
    HELD_MAX = 1024,
    HELD_BYTES_MAX = 32 * 1024 * 1024
};

typedef void (*SessionHandler)(Engine *engine, Origin origin, const Frame *frame);

static HeldFrame
take_held(Engine *engine, uint32_t index)
{
    HeldFrame held = engine->held[index];

    engine->held_count--;
    engine->held_bytes -= held.frame.length;
    memmove(&engine->held[index], &engine->held[index + 1],
            (engine->held_count - index) * sizeof(HeldFrame));
    return held;
}

static void
handle_read(Engine *engine, Origin origin, const Frame *frame)
{
    View view = engine_view(engine);
    Reader reader = reader_begin(frame->body);

    /* The mode stands behind epoch and bucket. */
    (void)reader_varint(&reader);
    (void)reader_u32(&reader);
    if (reader_u8(&reader) == READ_COORDINATED)
        coordinator_read(engine->coordinator, &view, origin, frame);
    else if (view.refilling)
        actions_error(&engine->actions, origin, STATUS_REFILLING, "");
    else
        replica_read(engine->replica, &view, origin, frame);
}

static void
handle_write(Engine *engine, Origin origin, const Frame *frame)
{
    View view = engine_view(engine);

    coordinator_write(engine->coordinator, &view, origin, frame);
}

static bool
leaves_scan(const View *view, const Frame *frame)
{
    const Bucket *bucket;
    ScanFrame scan;

    if (!view->cannot_write || !scan_decode(frame, &scan) ||
        scan.partition >= view->topology->partitions)
        return false;
    bucket = topology_bucket_by_id(view->topology, scan.bucket_id);
    return bucket != NULL &&
           step_leaves_reads(view, bucket->n,
                             ring_partition_start(scan.partition, view->topology->partitions));
}

static void
handle_scan(Engine *engine, Origin origin, const Frame *frame)
{
    View view = engine_view(engine);

    if (view.refilling && engine->asker != ENGINE_PEER)
        actions_error(&engine->actions, origin, STATUS_REFILLING, "");
    else if (engine->asker != ENGINE_PEER && leaves_scan(&view, frame))
        actions_error(&engine->actions, origin, STATUS_STORAGE, "");
    else
        replica_scan(engine->replica, &view, origin, frame);
}

static void
handle_replicate(Engine *engine, Origin origin, const Frame *frame)
{
    View view = engine_view(engine);

    replica_replicate(engine->replica, &view, origin, frame);
}

static void
handle_antientropy(Engine *engine, Origin origin, const Frame *frame)
{
    View view = engine_view(engine);

    antientropy_session_frame(engine->antientropy, &view, origin, frame);
}

static void
handle_reaping(Engine *engine, Origin origin, const Frame *frame)
{
    View view = engine_view(engine);

    ReapNotice notice;

    if (frame->type == FRAME_REAP_NOTICE && reap_notice_decode(frame, &notice))
        step_learn_round(&view, notice.bucket_id, notice.position, notice.round);
    else if (frame->type == FRAME_REAP_ROUNDS)
        orphans_session_frame(&view, origin, frame);
    else
        reaping_session_frame(engine->reaping, &view, origin, frame);
}

static void
handle_membership(Engine *engine, Origin origin, const Frame *frame)
{
    engine_set_mute(engine, frame->type);
    membership_session_frame(engine->membership, origin, frame, engine->now_ms, &engine->actions);
}

static void
handle_node_status(Engine *engine, Origin origin, const Frame *frame)
{
    const Topology *topology = membership_topology(engine->membership);
    const bool *up = membership_up(engine->membership);
    const HostQuestions *host = &engine->host.questions;
    StorageCounters storage = engine->storage->counters(engine->storage);
    NodeStatus status = {.id = engine->config.host.id,
                         .name = slice_from_string(engine->config.host.name),
                         .epoch = topology->epoch,
                         .uptime_ms = engine->now_ms - engine->started_ms,
                         .disk_bytes = storage.disk_bytes,
                         .keys_estimate = storage.keys_estimate,
                         .disk = engine->storage->disk,
                         .disk_why = slice_from_string(storage_disk_why(engine->storage))};

    (void)frame;
    if (host->resident_bytes != NULL)
        status.rss_bytes = host->resident_bytes(host->context);
    status.reachable = ARENA_ARRAY(&engine->actions.arena, MemberId, topology->member_count);
    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        if (up[i] && i != membership_self(engine->membership))
            status.reachable[status.reachable_count++] = topology->members[i].id;
    }
    node_status_encode(actions_frame(&engine->actions), origin.tag, &status);
    actions_reply(&engine->actions, origin.session);
}

typedef struct SessionRoute
{
    SessionHandler handler;
    bool for_members; /* needs a topology with this node in it */
    bool has_epoch;   /* the body begins with the epoch the asker knows */
} SessionRoute;

/* What a session may send, by frame type; the rest are answers, which come on links of our own. */
static const SessionRoute SESSION_ROUTES[FRAME_TYPE_END] = {
    [FRAME_TOPOLOGY_FETCH] = {handle_membership,  false, false},
    [FRAME_BUCKET_CREATE] = {handle_membership,  false, false},
    [FRAME_BUCKET_DROP] = {handle_membership,  false, false},
    [FRAME_PLAN] = {handle_membership,  false, false},
    [FRAME_NODE_STATUS] = {handle_node_status, false, false},
    [FRAME_READ] = {handle_read,        true,  true },
    [FRAME_WRITE] = {handle_write,       true,  true },
    [FRAME_SCAN] = {handle_scan,        true,  true },
    [FRAME_REPLICATE] = {handle_replicate,   true,  true },
    [FRAME_REPAIR] = {engine_take_repair, true,  true },
    [FRAME_REPAIR_STATUS] = {engine_tell_repair, true,  false},
    [FRAME_REAP_PREPARE] = {handle_reaping,     true,  true },
    [FRAME_REAP_RAISE] = {handle_reaping,     true,  true },
    [FRAME_REAP_NOTICE] = {handle_reaping,     true,  false},
    [FRAME_REAP_ROUNDS] = {handle_reaping,     true,  true },
    [FRAME_REAP_ROWS] = {handle_reaping,     true,  true },
    [FRAME_HELLO] = {handle_membership,  false, false},
    [FRAME_PREPARE] = {handle_membership,  false, false},
    [FRAME_ACCEPT] = {handle_membership,  false, false},
    [FRAME_CHOSEN] = {handle_membership,  false, false},
    [FRAME_TREE_ROOTS] = {handle_antientropy, true,  true },
    [FRAME_TREE_LEVEL] = {handle_antientropy, true,  true },
    [FRAME_TREE_KEYS] = {handle_antientropy, true,  true },
    [FRAME_VERSIONS] = {handle_antientropy, true,  true },
};

/* The last one may go over the bound, since another node's frame may be larger than all of it. */
static bool
has_room_to_hold(const Engine *engine)
{
    return engine->held_count < HELD_MAX && engine->held_bytes < HELD_BYTES_MAX;
}

static void
hold_frame(Engine *engine, uint64_t session, uint64_t waited_ms, Slice bytes)
{
    engine->held =
        memory_resize(&MEMORY_HEAP, engine->held, (engine->held_count + 1) * sizeof(HeldFrame));

    HeldFrame *held = &engine->held[engine->held_count++];

    *held = (HeldFrame){.session = session,
                        .asker = engine->asker,
                        .arrived_ms = engine->now_ms - waited_ms,
                        .until_ms = engine->now_ms + HOLD_MS};
    buffer_init(&held->frame, &MEMORY_HEAP);
    buffer_put(&held->frame, bytes.data, bytes.length);
    engine->held_bytes += bytes.length;
}

/* The epoch under which the frame was placed; 0: it says nothing of it. */
static uint64_t
epoch_of(const Frame *frame)
{
    Reader reader = reader_begin(frame->body);

    return SESSION_ROUTES[frame->type].has_epoch ? reader_varint(&reader) : 0;
}

static bool
is_ahead(const Engine *engine, const Frame *frame)
{
    return epoch_of(frame) > membership_topology(engine->membership)->epoch;
}

/* It may turn out in a moment that this node's data are not whole, or that they are. */
static bool
is_in_doubt(const Engine *engine)
{
    return engine_is_withheld(engine) && !engine_is_refilling(engine);
}

/* The data are older than they were; which partitions may take writes all the same is being asked.
 */
static bool
is_finding_out(const Engine *engine)
{
    return engine_is_refilling(engine) && !orphans_are_found_out(engine->orphans);
}

EngineDoubt
engine_doubt(const Engine *engine)
{
    if (is_in_doubt(engine))
        return ENGINE_IN_DOUBT;
    return is_finding_out(engine) ? ENGINE_FINDS_OUT : ENGINE_SURE;
}

/* It is refused by a node whose data are older than they were. */
static bool
needs_whole_data(const Engine *engine, const Frame *frame)
{
    return frame->type == FRAME_READ || frame->type == FRAME_WRITE ||
           frame->type == FRAME_REPLICATE ||
           (frame->type == FRAME_SCAN && engine->asker != ENGINE_PEER);
}

static bool
must_wait(const Engine *engine, const Frame *frame)
{
    if (is_ahead(engine, frame) || (needs_whole_data(engine, frame) && is_in_doubt(engine)))
        return true;
    return frame->type == FRAME_REPLICATE && is_finding_out(engine);
}

AdmissionLoad
engine_load(const Engine *engine)
{
    return (AdmissionLoad){
        .frames = coordinator_unanswered(engine->coordinator) + replica_load(engine->replica),
        .bytes = coordinator_bytes(engine->coordinator) + replica_bytes(engine->replica)};
}

static AdmissionQueue
queue_of(FrameType type)
{
    if (type == FRAME_WRITE)
        return ADMISSION_WRITES;
    return type == FRAME_READ ? ADMISSION_READS : ADMISSION_SCANS;
}

/* Only what costs something is shed. */
static AdmissionVerdict
admit(Engine *engine, uint64_t waited_ms, bool was_held, const Frame *frame)
{
    AdmissionFrame asked = {.waited_ms = waited_ms,
                            .was_held = was_held,
                            .is_alone = engine->asker == ENGINE_CLIENT_ALONE};
    AdmissionLoad load = engine_load(engine);

    if (engine->asker > ENGINE_CLIENT_ALONE ||
        (frame->type != FRAME_READ && frame->type != FRAME_WRITE && frame->type != FRAME_SCAN))
        return ADMISSION_TAKEN;
    asked.joins = queue_of(frame->type);
    asked.timeout_ms = waited_ms > 0 ? frame_timeout_ms(frame) : 0;
    if (asked.timeout_ms == 0)
        asked.timeout_ms = engine->config.request_timeout_ms;
    return admission_ask(&engine->admission, engine->now_ms, &asked, &load);
}

/* The sender does not know of a removal yet, and may be who was removed: what it has may have been
 * reaped since. It is told nothing else, lest it sends the same under a label that it learns. */
static bool
is_fenced(const Engine *engine, const Frame *frame)
{
    return engine->asker == ENGINE_PEER && SESSION_ROUTES[frame->type].has_epoch &&
           epoch_of(frame) < membership_topology(engine->membership)->fence;
}

static bool
may_send(EngineAsker asker, FrameType type)
{
    if (frame_is_for_admins(type))
        return asker == ENGINE_ADMIN;
    return asker == ENGINE_PEER || frame_is_for_clients(type);
}

void
engine_dispatch(Engine *engine, uint64_t session, uint64_t waited_ms, Slice bytes, bool may_hold)
{
    AdmissionVerdict verdict;
    Frame frame;
    bool known = frame_decode(bytes, &frame);
    Origin origin = {.session = session, .tag = frame.tag};

    if (!known || SESSION_ROUTES[frame.type].handler == NULL)
    {
        engine->frames_refused++;
        actions_error(&engine->actions, origin, STATUS_BAD_FRAME, "");
    }
    else if (!may_send(engine->asker, frame.type))
    {
        engine->frames_refused++;
        actions_error(&engine->actions, origin, STATUS_FORBIDDEN, "");
    }
    else if (is_fenced(engine, &frame))
    {
        engine->frames_refused++;
        actions_error(&engine->actions, origin, STATUS_BEHIND, "");
    }
    else if ((verdict = admit(engine, waited_ms, !may_hold, &frame)) != ADMISSION_TAKEN)
    {
        actions_error(&engine->actions, origin, STATUS_OVERLOADED, admission_text(verdict));
    }
    else if (may_hold && must_wait(engine, &frame) && has_room_to_hold(engine))
    {
        hold_frame(engine, session, waited_ms, bytes);
        membership_fetch(engine->membership, epoch_of(&frame), engine->now_ms, &engine->actions);
    }
    else if (SESSION_ROUTES[frame.type].for_members && !engine_is_member(engine))
        actions_error(&engine->actions, origin, STATUS_NOT_FORMED,
                      membership_waiting_for(engine->membership));
    else
        SESSION_ROUTES[frame.type].handler(engine, origin, &frame);
}

/* Frames whose epoch has come, or whose time is up, are dispatched. */
void
engine_release_held(Engine *engine)
{
    uint32_t i = 0;

    while (i < engine->held_count)
    {
        Slice bytes = buffer_slice(&engine->held[i].frame);
        Frame frame;

        engine->asker = engine->held[i].asker;
        if (frame_decode(bytes, &frame) && must_wait(engine, &frame) &&
            engine->now_ms < engine->held[i].until_ms)
        {
            i++;
            continue;
        }

        HeldFrame held = take_held(engine, i);

        engine_dispatch(engine, held.session, engine->now_ms - held.arrived_ms,
                        buffer_slice(&held.frame), false);
        engine_run_actions(engine);
        buffer_free(&held.frame);
    }
}

void
engine_drop_held(Engine *engine)
{
    while (engine->held_count > 0)
    {
        HeldFrame held = take_held(engine, engine->held_count - 1);

        buffer_free(&held.frame);
    }
    memory_resize(&MEMORY_HEAP, engine->held, 0);
    engine->held = NULL;
}
