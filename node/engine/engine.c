/*
 * The wiring of one node: each event goes to the step module that its frame type or ref names, then
 * the actions are run.
 */
#include "node/engine/cluster/witness.h"
#include "node/engine/engine_private.h"

#include <assert.h>
#include <string.h>

enum
{
    PEER_BYTES_MAX = 256 * 1024 * 1024 /* and one frame of each peer */
};

Engine *
engine_new(const EngineConfig *config, const HostCalls *host, Slice state)
{
    Engine *engine = memory_resize(&MEMORY_HEAP, NULL, sizeof(Engine));

    *engine = (Engine){.config = *config, .host = *host};
    engine_set_keys(engine, &config->keys);
    actions_init(&engine->actions);
    completions_init(&engine->completions);
    engine->answers = completions_events(&engine->completions);
    engine->coordinator = coordinator_new();
    engine->replica = replica_new();
    admission_init(&engine->admission, &config->admission);
    pacer_init(&engine->pacer, config->background_bytes, 0);
    engine->handoff = handoff_new(&engine->pacer);
    engine->purge = purge_new(&engine->pacer);
    engine->joining = joining_new();
    engine->scrub = scrub_new(&engine->pacer);
    engine->antientropy = antientropy_new(&engine->pacer, config->repair_interval_ms);
    engine->unreadable = unreadable_new(engine->antientropy);
    engine->orphans = orphans_new();
    engine->reaping =
        reaping_new(config->reap_interval_ms, &engine->pacer, engine_steps_are_busy, engine);
    engine->membership =
        membership_new(&engine->config.host, &engine->host.questions, state, &engine->actions);
    if (engine->membership == NULL)
    {
        engine_free(engine);
        return NULL;
    }
    gossip_port_init(&engine->gossip, &config->host.id, &config->keys, &engine->host.questions,
                     engine->membership);
    gossip_port_follow(&engine->gossip, 0);
    engine_run_actions(engine);
    return engine;
}

void
engine_set_keys(Engine *engine, const ClusterKeys *keys)
{
    engine->config.keys = *keys;
    engine->context_keys = context_keys(keys->keys, keys->count);
    gossip_port_set_keys(&engine->gossip, keys);
}

void
engine_free(Engine *engine)
{
    engine_drop_held(engine);
    memory_resize(&MEMORY_HEAP, engine->was_up, 0);
    if (engine->membership != NULL)
    {
        gossip_port_free(&engine->gossip);
        membership_free(engine->membership);
    }
    coordinator_free(engine->coordinator);
    replica_free(engine->replica);
    handoff_free(engine->handoff);
    unreadable_free(engine->unreadable);
    antientropy_free(engine->antientropy);
    reaping_free(engine->reaping);
    orphans_free(engine->orphans);
    scrub_free(engine->scrub);
    purge_free(engine->purge);
    joining_free(engine->joining);
    if (engine->refill != NULL)
        refill_free(engine->refill);
    actions_free(&engine->actions);
    completions_free(&engine->completions);
    memory_resize(&MEMORY_HEAP, engine, 0);
}

void
engine_set_storage(Engine *engine, Storage *storage, Slice notes)
{
    engine->storage = storage;
    engine_tell_partitions(engine);
    witness_open(membership_witness(engine->membership), storage, notes,
                 membership_topology(engine->membership)->epoch > 0, &engine->actions);
    engine_withhold_as_noted(engine);
    engine_run_actions(engine);
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
    engine->config.host.buckets_per_user_max = config->host.buckets_per_user_max;
    engine->config.hints_max_bytes = config->hints_max_bytes;
    antientropy_set_interval(engine->antientropy, config->repair_interval_ms);
    engine->config.reap_interval_ms = config->reap_interval_ms;
    reaping_set_interval(engine->reaping, config->reap_interval_ms);
    admission_set_limits(&engine->admission, &config->admission);
}

void
engine_time(Engine *engine, uint64_t now_ms, uint64_t wall_ms)
{
    if (engine->started_ms == 0)
        engine->started_ms = now_ms;
    engine->now_ms = now_ms;
    engine->wall_ms = wall_ms;
    if (engine->storage != NULL)
        recall_time(engine->storage->recall, now_ms);
}

/* What the storage has answered between the events comes first. */
static void
begin_event(Engine *engine)
{
    if (completions_wait(&engine->completions))
        engine_run_actions(engine);
}

StorageEvents
engine_storage_events(Engine *engine)
{
    return engine->answers;
}

bool
engine_is_member(const Engine *engine)
{
    return membership_self(engine->membership) != TOPOLOGY_NO_MEMBER;
}

/*
 * Tells the coordinator whom it need not wait for any more. What that makes it ask for is run
 * before the next member is looked at: an operation that lets something be stored may end by that
 * one, and the update with it. Members keep their numbers from epoch to epoch: see topology.h.
 */
static void
note_down(Engine *engine)
{
    const Topology *topology = membership_topology(engine->membership);
    const bool *up = membership_up(engine->membership);

    if (engine->was_up_count < topology->member_count)
    {
        engine->was_up = memory_resize(&MEMORY_HEAP, engine->was_up, topology->member_count);
        memset(engine->was_up + engine->was_up_count, 0,
               topology->member_count - engine->was_up_count);
        engine->was_up_count = topology->member_count;
    }
    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        bool went_down = engine->was_up[i] && !up[i];

        engine->was_up[i] = up[i];
        if (went_down)
        {
            View view = engine_view(engine);

            gossip_doubt_member(engine->gossip.gossip, engine->now_ms, i);
            engine_steps_member_down(engine, &view, i);
            engine_run_actions(engine);
        }
    }
}

/* What is merged into data that are older than they were may be set aside with them: it counts for
 * nobody who was not told yet. */
static void
note_loss(Engine *engine)
{
    bool was_lost = engine->was_lost;
    View view;

    engine->was_lost = engine_is_refilling(engine);
    if (was_lost || !engine->was_lost || !engine_is_member(engine))
        return;
    view = engine_view(engine);
    replica_data_lost(engine->replica);
    coordinator_member_down(engine->coordinator, &view, view.self);
}

/* Since it was last looked. */
static bool
doubt_changed(Engine *engine)
{
    EngineDoubt before = engine->doubt;

    engine->doubt = engine_doubt(engine);
    return before != engine->doubt;
}

static void
finish_event(Engine *engine)
{
    bool epoch_changed;

    gossip_port_follow(&engine->gossip, engine->now_ms);
    note_down(engine);
    note_loss(engine);
    engine_run_actions(engine);
    epoch_changed = membership_epoch_changed(engine->membership);
    if (engine->joined_ms == 0 && membership_topology(engine->membership)->epoch > 0)
        engine->joined_ms = engine->now_ms;
    if (doubt_changed(engine) || epoch_changed)
        engine_release_held(engine);
}

/*
 * A node that may have lost what it promised, with all of its folder, has no vote on the topology
 * before those that have not have settled what it had a vote in. Who has accepted a document
 * completes it without being asked.
 */
static void
set_mute(Engine *engine)
{
    paxos_set_mute(membership_paxos(engine->membership),
                   membership_topology(engine->membership)->epoch > 0 && !engine_votes(engine));
}

/* Greetings are many, and nothing is decided by them. */
void
engine_set_mute(Engine *engine, FrameType type)
{
    if (type != FRAME_HELLO && type != FRAME_HELLO_REPLY)
        set_mute(engine);
}

void
engine_session_frame(Engine *engine, uint64_t session, EngineAsker asker, uint64_t waited_ms,
                     Slice frame)
{
    begin_event(engine);
    engine->asker = asker;
    engine->turn_had_frames = true;
    if (waited_ms > engine->turn_wait_ms)
        engine->turn_wait_ms = waited_ms;
    engine_dispatch(engine, session, waited_ms, frame, true);
    finish_event(engine);
}

void
engine_peer_up(Engine *engine, uint32_t peer)
{
    begin_event(engine);
    membership_peer_up(engine->membership, peer, engine->now_ms, &engine->actions);
    finish_event(engine);
}

void
engine_peer_down(Engine *engine, uint32_t peer)
{
    begin_event(engine);
    membership_peer_down(engine->membership, peer);
    finish_event(engine);
}

static bool
is_answer_of_member(FrameType type)
{
    return type == FRAME_REPLICATE_REPLY || type == FRAME_READ_REPLY || type == FRAME_SCAN_REPLY ||
           type == FRAME_TREE_ROOTS_REPLY || type == FRAME_TREE_LEVEL_REPLY ||
           type == FRAME_TREE_KEYS_REPLY || type == FRAME_VERSIONS_REPLY ||
           type == FRAME_REAP_PREPARE_REPLY || type == FRAME_REAP_DONE ||
           type == FRAME_REAP_ROUNDS_REPLY || type == FRAME_ERROR;
}

void
engine_peer_frame(Engine *engine, uint32_t peer, Slice bytes)
{
    Frame frame;
    uint32_t member;

    if (!frame_decode(bytes, &frame))
        return;
    begin_event(engine);
    member = membership_member_of(engine->membership, peer);
    if (is_answer_of_member(frame.type))
        engine_steps_member_frame(engine, member, &frame);
    else
    {
        engine_set_mute(engine, frame.type);
        membership_peer_frame(engine->membership, peer, &frame, engine->now_ms, &engine->actions);
    }
    if (frame.type == FRAME_HELLO_REPLY)
        gossip_port_vouch(&engine->gossip, member);
    finish_event(engine);
}

void
engine_datagram(Engine *engine, Slice datagram, const char *from)
{
    begin_event(engine);
    gossip_port_receive(&engine->gossip, engine->now_ms, datagram, from, &engine->actions);
    finish_event(engine);
}

static void
tick_gossip(Engine *engine)
{
    GossipLoad load = {.operations = coordinator_load(engine->coordinator),
                       .refuses_reads = engine->refill != NULL};

    if (engine->storage != NULL)
    {
        load.hints = (uint32_t)hints_count(&engine->storage->hints);
        load.refuses_writes = engine->storage->disk != DISK_WELL;
    }
    gossip_port_tick(&engine->gossip, engine->now_ms, &load, &engine->actions);
}

void
engine_tick(Engine *engine)
{
    View view;

    begin_event(engine);
    set_mute(engine);
    membership_tick(engine->membership, engine->now_ms, &engine->actions);
    gossip_port_follow(&engine->gossip, engine->now_ms);
    tick_gossip(engine);
    note_down(engine);
    view = engine_view(engine);
    coordinator_tick(engine->coordinator, &view);
    finish_event(engine);
    if (engine->held_count > 0)
        engine_release_held(engine);
}

/* Frames that come behind a turn's last one wait as long as that one, or longer. */
static void
note_waits(Engine *engine)
{
    StorageWaits waits = engine->storage->waits(engine->storage);
    uint64_t now_ms = engine->now_ms;

    if (engine->turn_had_frames)
        admission_note(&engine->admission, ADMISSION_FRAMES, now_ms, engine->turn_wait_ms);
    admission_note(&engine->admission, ADMISSION_WRITES, now_ms, waits.writes_ms);
    admission_note(&engine->admission, ADMISSION_READS, now_ms, waits.reads_ms);
    admission_note(&engine->admission, ADMISSION_SCANS, now_ms, waits.scans_ms);
    engine->peers_wait =
        replica_bytes(engine->replica) > (engine->peers_wait ? PEER_BYTES_MAX / 2 : PEER_BYTES_MAX);
    engine->turn_had_frames = false;
    engine->turn_wait_ms = 0;
}

void
engine_turn_end(Engine *engine)
{
    View view;

    begin_event(engine);
    view = engine_view(engine);
    note_waits(engine);
    engine_steps_go_on(engine);
    if (doubt_changed(engine))
        engine_release_held(engine);
    coordinator_warn_of_siblings(engine->coordinator, &view);
    coordinator_flush(engine->coordinator, &view);
    replica_flush(engine->replica, &engine->actions);
    witness_note(membership_witness(engine->membership), engine->now_ms, false, &engine->actions);
    engine_run_actions(engine);
}

void
engine_note(Engine *engine)
{
    witness_note(membership_witness(engine->membership), engine->now_ms, true, &engine->actions);
    engine_run_actions(engine);
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

PlanFacts
engine_plan_facts(const Engine *engine, Arena *arena)
{
    return membership_plan_facts(engine->membership, arena);
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

bool
engine_member_is_ready(const Engine *engine, uint32_t member)
{
    return membership_is_ready(engine->membership, member);
}

const Newcomer *
engine_next_newcomer(const Engine *engine, uint32_t *index)
{
    return membership_next_newcomer(engine->membership, index, engine->now_ms);
}

bool
engine_member_has_done(const Engine *engine, uint32_t member, uint32_t partition)
{
    return membership_has_done(engine->membership, member, partition);
}

DiskState
engine_member_disk(const Engine *engine, uint32_t member, const char **why)
{
    if (member != membership_self(engine->membership))
        return membership_disk(engine->membership, member, why);
    *why = storage_disk_why(engine->storage);
    return engine->storage->disk;
}

const Gossip *
engine_gossip(const Engine *engine)
{
    return engine->gossip.gossip;
}

const char *
engine_waiting_for(const Engine *engine)
{
    return membership_waiting_for(engine->membership);
}

bool
engine_takes_peer_frames(const Engine *engine)
{
    return !engine->peers_wait;
}

uint64_t
engine_wait_ms(const Engine *engine, AdmissionQueue queue)
{
    return admission_wait_ms(&engine->admission, queue, engine->now_ms);
}

EngineCounters
engine_counters(const Engine *engine)
{
    const uint64_t *shed = engine->admission.shed;
    CoordinatorCounters coordinator = coordinator_counters(engine->coordinator);
    ReplicaCounters replica = replica_counters(engine->replica);

    return (EngineCounters){
        .writes = coordinator.writes,
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
        .scan_digests_by_trees = replica.digests_by_trees,
        .scan_digests_by_rows = replica.digests_by_rows,
        .frames_refused = engine->frames_refused,
        .frames_shed = {[ADMISSION_BEHIND] = shed[ADMISSION_BEHIND],
                        [ADMISSION_FULL] = shed[ADMISSION_FULL],
                        [ADMISSION_LATE] = shed[ADMISSION_LATE]},
        .stand_ins = replica.stand_ins,
        .hints_handed = handoff_total(engine->handoff),
        .hints_refused = replica.hints_refused + coordinator.hints_refused,
        .antientropy = antientropy_counters(engine->antientropy),
        .ranges_withheld = unreadable_count(engine->unreadable),
        .records_forgotten = unreadable_total(engine->unreadable),
        .records_purged = purge_total(engine->purge),
        .refill_planned = engine->refill != NULL ? refill_planned(engine->refill) : 0,
        .refill_finished = engine->refill != NULL ? refill_finished(engine->refill) : 0
    };
}

const HintTotals *
engine_hints(const Engine *engine)
{
    return &engine->storage->hints;
}

const Handoff *
engine_handoff(const Engine *engine)
{
    return engine->handoff;
}

Reaping *
engine_reaping(const Engine *engine)
{
    return engine->reaping;
}

Orphans *
engine_orphans(const Engine *engine)
{
    return engine->orphans;
}

ReapStatus
engine_reaping_status(const Engine *engine, uint32_t index)
{
    View view = engine_look(engine);

    return reaping_status(engine->reaping, &view, index);
}

const Trees *
engine_trees(const Engine *engine)
{
    return engine->storage != NULL ? engine->storage->trees : NULL;
}
