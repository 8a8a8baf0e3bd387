/*
 * The wiring of one node: each event goes to the step module that its frame type or ref names, then
 * the actions are run.
 *
 * A frame of an epoch that this node has not reached yet is held back, while the topology is
 * fetched, for at most HOLD_MS; one that there is no room for is carried out with what is known. So
 * are reads, as long as a node that has just started is in doubt whether its data are whole.
 */
#include "node/engine.h"

#include "node/coordinator.h"
#include "node/membership.h"
#include "node/refill.h"
#include "node/replica.h"
#include "node/witness.h"
#include "shared/chunk.h"

#include <assert.h>
#include <string.h>

enum
{
    HOLD_MS = 1000,
    MUTE_MS = 5000, /* after the disk was filled: longer than ballots of the lost life may last */
    HELD_MAX = 1024,
    HELD_BYTES_MAX = 32 * 1024 * 1024
};

typedef struct HeldFrame
{
    uint64_t session;
    bool is_peer;
    uint64_t until_ms;
    Buffer frame;
} HeldFrame;

struct Engine
{
    EngineConfig config;
    EngineOutput output;
    Storage *storage;
    ContextKeys context_keys;
    Membership *membership;
    Coordinator *coordinator;
    Replica *replica;
    Refill *refill; /* NULL: there is nothing to refill */
    Pacer pacer;
    uint64_t noted_frames; /* of clients' writes, by the pacer */
    uint64_t noted_ms;
    Handoff *handoff;
    bool was_in_doubt; /* when it was last looked */
    uint64_t mute_until_ms;
    bool session_is_peer; /* of the frame being dispatched */
    Actions actions;
    bool running; /* actions are being run: storage may answer meanwhile */
    uint64_t now_ms;
    uint64_t wall_ms;
    uint64_t started_ms;
    bool *was_up; /* by member, as the coordinator was last told */
    uint32_t was_up_count;
    HeldFrame *held;
    uint32_t held_count;
    size_t held_bytes;
    uint64_t frames_refused;
};

typedef void (*SessionHandler)(Engine *engine, Origin origin, const Frame *frame);

static bool
is_withheld(const Engine *engine)
{
    return witness_withholds(membership_witness(engine->membership),
                             membership_topology(engine->membership),
                             engine->now_ms - engine->started_ms);
}

static View
view_of(const Engine *engine)
{
    return (View){.topology = membership_topology(engine->membership),
                  .self = membership_self(engine->membership),
                  .up = membership_up(engine->membership),
                  .context_keys = &engine->context_keys,
                  .now_ms = engine->now_ms,
                  .wall_ms = engine->wall_ms,
                  .request_timeout_ms = engine->config.request_timeout_ms,
                  .max_key_bytes = engine->config.max_key_bytes,
                  .max_value_bytes = engine->config.max_value_bytes,
                  .siblings_warn = engine->config.siblings_warn,
                  .siblings_max = engine->config.siblings_max,
                  .hints = engine->storage != NULL ? &engine->storage->hints : NULL,
                  .hints_max_bytes = engine->config.hints_max_bytes,
                  .answer_bytes_max = CHUNK_FRAME_MAX,
                  .storage_failed = engine->storage != NULL && engine->storage->failed,
#ifndef BUG_REFILLING_NODE_ANSWERS
                  .refilling = is_withheld(engine)
#endif
    };
}

Engine *
engine_new(const EngineConfig *config, const EngineOutput *output, Slice state)
{
    Engine *engine = memory_resize(&MEMORY_HEAP, NULL, sizeof(Engine));

    *engine = (Engine){.config = *config, .output = *output};
    engine_set_keys(engine, &config->keys);
    actions_init(&engine->actions);
    engine->coordinator = coordinator_new();
    engine->replica = replica_new();
    pacer_init(&engine->pacer, config->background_bytes, 0);
    engine->handoff = handoff_new(&engine->pacer);
    engine->membership = membership_new(&engine->config, &engine->output, state);
    if (engine->membership == NULL)
    {
        engine_free(engine);
        return NULL;
    }
    return engine;
}

void
engine_set_keys(Engine *engine, const Keyring *keys)
{
    engine->config.keys = *keys;
    engine->context_keys = context_keys(keys->keys, keys->count);
}

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

void
engine_free(Engine *engine)
{
    while (engine->held_count > 0)
    {
        HeldFrame held = take_held(engine, engine->held_count - 1);

        buffer_free(&held.frame);
    }
    memory_resize(&MEMORY_HEAP, engine->held, 0);
    memory_resize(&MEMORY_HEAP, engine->was_up, 0);
    if (engine->membership != NULL)
        membership_free(engine->membership);
    coordinator_free(engine->coordinator);
    replica_free(engine->replica);
    handoff_free(engine->handoff);
    if (engine->refill != NULL)
        refill_free(engine->refill);
    actions_free(&engine->actions);
    memory_resize(&MEMORY_HEAP, engine, 0);
}

void
engine_set_storage(Engine *engine, Storage *storage, Slice notes)
{
    engine->storage = storage;
    witness_open(membership_witness(engine->membership), storage, notes,
                 membership_topology(engine->membership)->epoch > 0);
}

bool
engine_is_refilling(const Engine *engine)
{
    return witness_is_lost(membership_witness(engine->membership));
}

void
engine_set_limits(Engine *engine, const EngineConfig *config)
{
    engine->config.request_timeout_ms = config->request_timeout_ms;
    engine->config.max_key_bytes = config->max_key_bytes;
    engine->config.max_value_bytes = config->max_value_bytes;
    engine->config.siblings_warn = config->siblings_warn;
    engine->config.siblings_max = config->siblings_max;
    engine->config.hints_max_bytes = config->hints_max_bytes;
}

void
engine_time(Engine *engine, uint64_t now_ms, uint64_t wall_ms)
{
    if (engine->started_ms == 0)
        engine->started_ms = now_ms;
    engine->now_ms = now_ms;
    engine->wall_ms = wall_ms;
}

/* What Paxos promised or accepted must be on disk before an answer that says so leaves. */
static void
persist_if_needed(Engine *engine)
{
    Paxos *paxos = membership_paxos(engine->membership);
    Buffer state;

    if (!paxos_wants_persist(paxos))
        return;
    buffer_init(&state, &MEMORY_HEAP);
    paxos_encode(paxos, &state);
    (void)engine->output.persist(engine->output.context, buffer_slice(&state));
    buffer_free(&state);
}

static void
run_action(Engine *engine, const Action *action)
{
    const EngineOutput *output = &engine->output;
    Slice frame =
        slice_make(engine->actions.frames.data + action->frame_offset, action->frame_length);
    uint32_t peer;

    switch (action->kind)
    {
    case ACTION_REPLY:
        output->reply(output->context, action->session, frame);
        break;
    case ACTION_SEND:
        peer = membership_peer_of(engine->membership, action->member);
        if (peer != TOPOLOGY_NO_MEMBER)
            output->send(output->context, peer, frame);
        break;
    case ACTION_SEND_PEER:
        output->send(output->context, action->member, frame);
        break;
    case ACTION_APPLY:
        engine->storage->apply(engine->storage, action->storage_key, action->update, action->ref);
        break;
    case ACTION_READ:
        engine->storage->read(engine->storage, action->storage_key, action->ref);
        break;
    case ACTION_SCAN:
        engine->storage->scan(engine->storage, &action->range, action->ref);
        break;
    case ACTION_OWED:
        engine->storage->owed(engine->storage, &action->owed, action->ref);
        break;
    }
}

/* Runs what the steps have asked for, and what storage's answers make them ask for meanwhile. */
static void
run_actions(Engine *engine)
{
    Actions *actions = &engine->actions;

    if (engine->running)
        return;
    engine->running = true;
    persist_if_needed(engine);
    while (actions->done < actions->count)
    {
        Action action = actions->list[actions->done++];

        run_action(engine, &action);
        persist_if_needed(engine);
    }
    engine->running = false;
    actions_reset(actions);
}

static bool
is_member(const Engine *engine)
{
    return membership_self(engine->membership) != TOPOLOGY_NO_MEMBER;
}

static void
handle_read(Engine *engine, Origin origin, const Frame *frame)
{
    View view = view_of(engine);
    Reader reader = reader_begin(frame->body);

    /* The mode stands behind epoch and bucket. */
    (void)reader_varint(&reader);
    (void)reader_u32(&reader);
    if (reader_u8(&reader) == READ_COORDINATED)
        coordinator_read(engine->coordinator, &view, origin, frame, &engine->actions);
    else if (view.refilling)
        actions_error(&engine->actions, origin, STATUS_REFILLING, "");
    else
        replica_read(engine->replica, &view, origin, frame, &engine->actions);
}

static void
handle_write(Engine *engine, Origin origin, const Frame *frame)
{
    View view = view_of(engine);

    coordinator_write(engine->coordinator, &view, origin, frame, &engine->actions);
}

static void
handle_scan(Engine *engine, Origin origin, const Frame *frame)
{
    View view = view_of(engine);

    if (view.refilling && !engine->session_is_peer)
        actions_error(&engine->actions, origin, STATUS_REFILLING, "");
    else
        replica_scan(engine->replica, &view, origin, frame, &engine->actions);
}

static void
handle_replicate(Engine *engine, Origin origin, const Frame *frame)
{
    View view = view_of(engine);

    replica_replicate(engine->replica, &view, origin, frame, &engine->actions);
}

static void
handle_membership(Engine *engine, Origin origin, const Frame *frame)
{
    membership_session_frame(engine->membership, origin, frame, engine->now_ms, &engine->actions);
}

static void
handle_node_status(Engine *engine, Origin origin, const Frame *frame)
{
    const Topology *topology = membership_topology(engine->membership);
    const bool *up = membership_up(engine->membership);
    StorageCounters storage = engine->storage->counters(engine->storage);
    NodeStatus status = {.id = engine->config.id,
                         .name = slice_from_string(engine->config.name),
                         .epoch = topology->epoch,
                         .uptime_ms = engine->now_ms - engine->started_ms,
                         .disk_bytes = storage.disk_bytes,
                         .keys_estimate = storage.keys_estimate};

    (void)frame;
    if (engine->output.resident_bytes != NULL)
        status.rss_bytes = engine->output.resident_bytes(engine->output.context);
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
    [FRAME_NODE_STATUS] = {handle_node_status, false, false},
    [FRAME_READ] = {handle_read,        true,  true },
    [FRAME_WRITE] = {handle_write,       true,  true },
    [FRAME_SCAN] = {handle_scan,        true,  true },
    [FRAME_REPLICATE] = {handle_replicate,   true,  true },
    [FRAME_HELLO] = {handle_membership,  false, false},
    [FRAME_PREPARE] = {handle_membership,  false, false},
    [FRAME_ACCEPT] = {handle_membership,  false, false},
    [FRAME_CHOSEN] = {handle_membership,  false, false},
};

/* The last one may go over the bound, since another node's frame may be larger than all of it. */
static bool
has_room_to_hold(const Engine *engine)
{
    return engine->held_count < HELD_MAX && engine->held_bytes < HELD_BYTES_MAX;
}

static void
hold_frame(Engine *engine, uint64_t session, bool is_peer, Slice bytes)
{
    engine->held =
        memory_resize(&MEMORY_HEAP, engine->held, (engine->held_count + 1) * sizeof(HeldFrame));

    HeldFrame *held = &engine->held[engine->held_count++];

    *held =
        (HeldFrame){.session = session, .is_peer = is_peer, .until_ms = engine->now_ms + HOLD_MS};
    buffer_init(&held->frame, &MEMORY_HEAP);
    buffer_put(&held->frame, bytes.data, bytes.length);
    engine->held_bytes += bytes.length;
}

static bool
is_ahead(const Engine *engine, const Frame *frame)
{
    Reader reader = reader_begin(frame->body);

    return SESSION_ROUTES[frame->type].has_epoch &&
           reader_varint(&reader) > membership_topology(engine->membership)->epoch;
}

/* It may turn out in a moment that the data are not whole, or that they are. */
static bool
is_in_doubt(const Engine *engine)
{
    return is_withheld(engine) && !engine_is_refilling(engine);
}

static bool
reads_own_data(const Frame *frame, bool is_peer)
{
    return frame->type == FRAME_READ || (frame->type == FRAME_SCAN && !is_peer);
}

static bool
must_wait(const Engine *engine, const Frame *frame, bool is_peer)
{
    return is_ahead(engine, frame) || (reads_own_data(frame, is_peer) && is_in_doubt(engine));
}

static void
dispatch(Engine *engine, uint64_t session, bool is_peer, Slice bytes, bool may_hold)
{
    Frame frame;
    bool known = frame_decode(bytes, &frame);
    Origin origin = {.session = session, .tag = frame.tag};

    engine->session_is_peer = is_peer;
    if (!known || SESSION_ROUTES[frame.type].handler == NULL)
    {
        engine->frames_refused++;
        actions_error(&engine->actions, origin, STATUS_BAD_FRAME, "");
    }
    else if (!is_peer && !frame_is_for_clients(frame.type))
    {
        engine->frames_refused++;
        actions_error(&engine->actions, origin, STATUS_FORBIDDEN, "");
    }
    else if (may_hold && must_wait(engine, &frame, is_peer) && has_room_to_hold(engine))
    {
        hold_frame(engine, session, is_peer, bytes);
        if (is_ahead(engine, &frame))
            membership_fetch(engine->membership, &engine->actions);
    }
    else if (SESSION_ROUTES[frame.type].for_members && !is_member(engine))
        actions_error(&engine->actions, origin, STATUS_NOT_FORMED,
                      membership_waiting_for(engine->membership));
    else
        SESSION_ROUTES[frame.type].handler(engine, origin, &frame);
}

/* Frames whose epoch has come, or whose time is up, are dispatched. */
static void
release_held(Engine *engine)
{
    uint32_t i = 0;

    while (i < engine->held_count)
    {
        Slice bytes = buffer_slice(&engine->held[i].frame);
        Frame frame;

        if (frame_decode(bytes, &frame) && must_wait(engine, &frame, engine->held[i].is_peer) &&
            engine->now_ms < engine->held[i].until_ms)
        {
            i++;
            continue;
        }

        HeldFrame held = take_held(engine, i);

        dispatch(engine, held.session, held.is_peer, buffer_slice(&held.frame), false);
        run_actions(engine);
        buffer_free(&held.frame);
    }
}

/*
 * Tells the coordinator whom it need not wait for any more. What that makes it ask for is run
 * before the next member is looked at: an operation that lets something be stored may end by that
 * one, and the update with it. Member numbers are stable while members are: see topology.h.
 */
static void
note_down(Engine *engine)
{
    const Topology *topology = membership_topology(engine->membership);
    const bool *up = membership_up(engine->membership);

    if (engine->was_up_count != topology->member_count)
    {
        engine->was_up = memory_resize(&MEMORY_HEAP, engine->was_up, topology->member_count + 1);
        memset(engine->was_up, 0, topology->member_count + 1);
        engine->was_up_count = topology->member_count;
    }
    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        bool went_down = engine->was_up[i] && !up[i];

        engine->was_up[i] = up[i];
        if (went_down)
        {
            View view = view_of(engine);

            coordinator_member_down(engine->coordinator, &view, i, &engine->actions);
            handoff_member_down(engine->handoff, &view, i);
            if (engine->refill != NULL)
                refill_member_down(engine->refill, i);
            run_actions(engine);
        }
    }
}

static void
finish_event(Engine *engine)
{
    bool was_in_doubt = engine->was_in_doubt;
    bool epoch_changed;

    note_down(engine);
    run_actions(engine);
    epoch_changed = membership_epoch_changed(engine->membership);
    engine->was_in_doubt = is_in_doubt(engine);
    if (epoch_changed || was_in_doubt != engine->was_in_doubt)
        release_held(engine);
}

/*
 * A node that has lost data may have lost what it promised as well, with all of its folder: it has
 * no vote on the topology before those that have not have settled what it had a vote in. Who has
 * accepted a document completes it without being asked.
 */
static void
set_mute(Engine *engine)
{
    bool lost = membership_topology(engine->membership)->epoch > 0 && is_withheld(engine);

    paxos_set_mute(membership_paxos(engine->membership),
                   lost || engine->now_ms < engine->mute_until_ms);
}

void
engine_session_frame(Engine *engine, uint64_t session, bool is_peer, Slice frame)
{
    set_mute(engine);
    dispatch(engine, session, is_peer, frame, true);
    finish_event(engine);
}

void
engine_peer_up(Engine *engine, uint32_t peer)
{
    membership_peer_up(engine->membership, peer, engine->now_ms, &engine->actions);
    finish_event(engine);
}

void
engine_peer_down(Engine *engine, uint32_t peer)
{
    membership_peer_down(engine->membership, peer);
    finish_event(engine);
}

static void
take_member_answer(Engine *engine, uint32_t member, const Frame *frame)
{
    View view = view_of(engine);

    if (member == TOPOLOGY_NO_MEMBER)
        return;
    if (engine->refill != NULL &&
        refill_member_frame(engine->refill, &view, member, frame, &engine->actions))
        return;
    if (frame->type == FRAME_REPLICATE_REPLY)
        handoff_member_frame(engine->handoff, &view, member, frame, &engine->actions);
    if (frame->type != FRAME_SCAN_REPLY)
        coordinator_member_frame(engine->coordinator, &view, member, frame, &engine->actions);
}

void
engine_peer_frame(Engine *engine, uint32_t peer, Slice bytes)
{
    Frame frame;
    uint32_t member = membership_member_of(engine->membership, peer);

    if (!frame_decode(bytes, &frame))
        return;
    set_mute(engine);
    if (frame.type == FRAME_REPLICATE_REPLY || frame.type == FRAME_READ_REPLY ||
        frame.type == FRAME_SCAN_REPLY || frame.type == FRAME_ERROR)
        take_member_answer(engine, member, &frame);
    else
        membership_peer_frame(engine->membership, peer, &frame, engine->now_ms, &engine->actions);
    finish_event(engine);
}

void
engine_tick(Engine *engine)
{
    View view;

    set_mute(engine);
    membership_tick(engine->membership, engine->now_ms, &engine->actions);
    note_down(engine);
    view = view_of(engine);
    coordinator_tick(engine->coordinator, &view, &engine->actions);
    finish_event(engine);
    if (engine->held_count > 0)
        release_held(engine);
}

uint64_t
engine_wake_ms(const Engine *engine)
{
    uint64_t wake = membership_wake_ms(engine->membership);
    uint64_t other = coordinator_wake_ms(engine->coordinator);

    if (other < wake)
        wake = other;
    if (is_member(engine))
    {
        View view = view_of(engine);

        other = handoff_wake_ms(engine->handoff, &view);
        if (other < wake)
            wake = other;
    }
    return wake;
}

/* What the lost runs had is here: the data are whole again, and stay so after a restart. */
static void
settle_lost_runs(Engine *engine)
{
    Witness *witness = membership_witness(engine->membership);
    uint32_t count;
    const RunId *lost = witness_lost_runs(witness, &count);

    if (count > 0 && !engine->storage->settle(engine->storage, lost, count))
        engine->output.log(engine->output.context,
                           "could not note that the disk is filled: the next start fills it again");
    witness_filled(witness);
    engine->mute_until_ms = engine->now_ms + MUTE_MS;
}

static void
step_refill(Engine *engine)
{
    Witness *witness = membership_witness(engine->membership);
    View view = view_of(engine);
    uint32_t late;

    if (witness_is_lost(witness) && engine->refill == NULL && view.topology->epoch > 0)
        engine->refill = refill_new(&view);
    if (engine->refill == NULL)
    {
        if (!witness_is_lost(witness) && witness_lost_runs(witness, &late) != NULL && late > 0)
            settle_lost_runs(engine);
        return;
    }
    refill_step(engine->refill, &view, &engine->actions);
    if (!refill_is_done(engine->refill))
        return;
    refill_free(engine->refill);
    engine->refill = NULL;
    settle_lost_runs(engine);
    engine->output.log(engine->output.context, "the disk is filled: this node answers reads");
}

/* The event is a C string in the buffer. */
static void
warn_of_siblings(Engine *engine, const View *view)
{
    Buffer event;

    buffer_init(&event, &MEMORY_HEAP);
    if (coordinator_crowd_event(engine->coordinator, view, &event))
        engine->output.log(engine->output.context, (const char *)event.data);
    buffer_free(&event);
}

/* What the foreground's writes took, for the pacer of the background. A write within the same
 * millisecond took half of one. */
static void
note_latency(Engine *engine)
{
    CoordinatorCounters counters = coordinator_counters(engine->coordinator);
    uint64_t count = counters.write_frames - engine->noted_frames;
    uint64_t ms = counters.write_ms - engine->noted_ms;

    pacer_note(&engine->pacer, count, ms * 1000 + count * 500);
    engine->noted_frames = counters.write_frames;
    engine->noted_ms = counters.write_ms;
}

void
engine_turn_end(Engine *engine)
{
    View view = view_of(engine);

    step_refill(engine);
    note_latency(engine);
    if (is_member(engine) && !view.storage_failed)
        handoff_step(engine->handoff, &view, &engine->actions);
    warn_of_siblings(engine, &view);
    coordinator_flush(engine->coordinator, &view, &engine->actions);
    replica_flush(engine->replica, &engine->actions);
    run_actions(engine);
    witness_note(membership_witness(engine->membership), engine->now_ms, false);
}

void
engine_note(Engine *engine)
{
    witness_note(membership_witness(engine->membership), engine->now_ms, true);
}

static void
on_merged(void *context, uint64_t ref, StatusCode status, Slice object)
{
    Engine *engine = context;
    View view = view_of(engine);

    if (ref >> 56 == REF_REPLICA)
        replica_merged(engine->replica, ref, status);
    else if (ref >> 56 == REF_REFILL)
        refill_merged(engine->refill, ref, status);
    else
        coordinator_merged(engine->coordinator, &view, ref, status, object, &engine->actions);
    run_actions(engine);
}

static void
on_durable(void *context, uint64_t ref, StatusCode status)
{
    Engine *engine = context;
    View view = view_of(engine);

    if (ref >> 56 == REF_REPLICA)
        replica_durable(engine->replica, ref, status);
    else if (ref >> 56 == REF_REFILL)
        refill_durable(engine->refill, ref, status);
    else
        coordinator_durable(engine->coordinator, &view, ref, status, &engine->actions);
    run_actions(engine);
}

static void
on_read_done(void *context, uint64_t ref, StatusCode status, Slice object)
{
    Engine *engine = context;
    View view = view_of(engine);

    if (ref >> 56 == REF_REPLICA)
        replica_fetched(engine->replica, &view, ref, status, object, &engine->actions);
    else
        coordinator_fetched(engine->coordinator, &view, ref, status, object, &engine->actions);
    run_actions(engine);
}

static void
on_scan_done(void *context, uint64_t ref, StatusCode status, const StoragePage *page)
{
    Engine *engine = context;
    View view = view_of(engine);

    if (ref >> 56 == REF_HANDOFF)
        handoff_scanned(engine->handoff, &view, ref, status, page, &engine->actions);
    else
        replica_scanned(engine->replica, &view, ref, status, page, &engine->actions);
    run_actions(engine);
}

StorageEvents
engine_storage_events(Engine *engine)
{
    return (StorageEvents){.merged = on_merged,
                           .durable = on_durable,
                           .read_done = on_read_done,
                           .scan_done = on_scan_done,
                           .context = engine};
}

const Topology *
engine_topology(const Engine *engine)
{
    return membership_topology(engine->membership);
}

uint32_t
engine_self(const Engine *engine)
{
    return membership_self(engine->membership);
}

bool
engine_member_is_up(const Engine *engine, uint32_t member)
{
    return membership_up(engine->membership)[member];
}

bool
engine_member_is_refilling(const Engine *engine, uint32_t member)
{
    const Topology *topology = membership_topology(engine->membership);

    return member == membership_self(engine->membership)
               ? engine_is_refilling(engine)
               : witness_is_refilling(membership_witness(engine->membership),
                                      &topology->members[member].id);
}

const char *
engine_waiting_for(const Engine *engine)
{
    return membership_waiting_for(engine->membership);
}

EngineCounters
engine_counters(const Engine *engine)
{
    CoordinatorCounters coordinator = coordinator_counters(engine->coordinator);
    ReplicaCounters replica = replica_counters(engine->replica);

    return (EngineCounters){.writes = coordinator.writes,
                            .writes_refused = coordinator.writes_refused,
                            .writes_unknown = coordinator.writes_unknown,
                            .writes_retried = coordinator.writes_retried,
                            .siblings_warned = coordinator.siblings_warned,
                            .siblings_refused = coordinator.siblings_refused,
                            .reads = replica.reads,
                            .reads_coordinated = coordinator.reads,
                            .repairs = coordinator.repairs,
                            .replicates = replica.replicates,
                            .scans = replica.scans,
                            .frames_refused = engine->frames_refused,
                            .stand_ins = replica.stand_ins,
                            .hints_handed = handoff_total(engine->handoff),
                            .hints_refused = replica.hints_refused};
}

const HintTotals *
engine_hints(const Engine *engine)
{
    return &engine->storage->hints;
}

HandoffStatus
engine_handoff_status(const Engine *engine, const MemberId *target)
{
    return handoff_status(engine->handoff, target);
}
