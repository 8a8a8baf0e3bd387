/*
 * The steps, one row each: which refs and tags are theirs, what they are told, and when they go on.
 *
 * To add background work is to add a row, and an owner of refs (node/engine/step/ticket.h) if the
 * step asks anything.
 */
#include "node/engine/cluster/witness.h"
#include "node/engine/engine_private.h"

/* What must be so for a step to go on, and to be woken for it. */
typedef enum StepNeeds
{
    NEEDS_NOTHING,
    NEEDS_DISK /* this node is a member, and its disk takes writes */
} StepNeeds;

typedef void (*StepAnswer)(Engine *engine, const View *view, const Completion *answer);
typedef void (*StepFrame)(Engine *engine, const View *view, uint32_t member, const Frame *frame);

/* What a step has no use for is NULL. */
typedef struct EngineStep
{
    RefOwner owner;      /* of its refs and tags; 0: none */
    RefOwner also_owner; /* likewise */
    StepNeeds needs;
    void (*step)(Engine *engine, const View *view); /* at the end of a turn */
    uint64_t (*wake_ms)(const Engine *engine, const View *view);
    StepAnswer fetched; /* answers to its refs */
    StepAnswer merged;
    StepAnswer durable;
    StepAnswer scanned;
    StepFrame member_frame; /* an answer to its tag */
    StepFrame acknowledged; /* a FRAME_REPLICATE_REPLY, whose items have refs of several steps */
    void (*member_down)(Engine *engine, const View *view, uint32_t member);
    bool (*is_busy)(const Engine *engine, const View *view, TreeId id); /* with a partition */
} EngineStep;

/* ---- going on ---- */

enum
{
    MUTE_MS = 5000 /* after all are there: longer than ballots of the lost life may last */
};

/* What the lost runs had is here: the data are whole again, and stay so after a restart. */
static void
settle_lost_runs(Engine *engine)
{
    Witness *witness = membership_witness(engine->membership);
    uint32_t count;
    const RunId *lost = witness_lost_runs(witness, &count);

    if (count > 0 && !engine->storage->settle(engine->storage, lost, count))
        actions_log(&engine->actions, "could not write down that the data directory is filled: the "
                                      "next start fills it again");
    witness_filled(witness);
    membership_greet(engine->membership, engine->now_ms, &engine->actions);
}

/*
 * What the node may have promised and forgotten is settled when all others are there, none knows a
 * newer epoch and none has completed one since a while: it votes again.
 */
static void
regain_vote(Engine *engine, const View *view)
{
    (void)view;
    if (engine_is_refilling(engine) || !membership_is_abreast(engine->membership) ||
        !witness_has_forgotten(membership_witness(engine->membership)))
        engine->mute_until_ms = 0;
    else if (engine->mute_until_ms == 0)
        engine->mute_until_ms = engine->now_ms + MUTE_MS;
    else if (engine->now_ms >= engine->mute_until_ms)
        membership_regain_vote(engine->membership, &engine->actions);
}

/*
 * All buckets are known of which the data may have held something. A node that has not forgotten
 * what it voted for knows every topology that it ever worked under; others must have heard all.
 */
static bool
knows_its_buckets(const Engine *engine)
{
    return engine_votes(engine) || membership_is_abreast(engine->membership);
}

/* One that joins knows what an owner must know; one that leaves owes nothing to anybody. */
static bool
is_ready(const Engine *engine, const View *view)
{
    switch (view->self != TOPOLOGY_NO_MEMBER ? view->topology->members[view->self].state
                                             : MEMBER_LEFT)
    {
    case MEMBER_JOINING:
        return joining_is_done(engine->joining);
    case MEMBER_LEAVING:
        return view->hints != NULL && hints_count(view->hints) == 0 && !view->refilling;
    default:
        return false;
    }
}

static void
tell_progress(Engine *engine, const View *view)
{
    membership_set_ready(engine->membership, is_ready(engine, view));
}

static void
step_orphans(Engine *engine, const View *view)
{
    if (witness_is_lost(membership_witness(engine->membership)))
        orphans_begin(engine->orphans);
    if (view->self != TOPOLOGY_NO_MEMBER)
        orphans_step(engine->orphans, view);
}

static void
step_refill(Engine *engine, const View *view)
{
    Witness *witness = membership_witness(engine->membership);
    uint32_t late;

    if (!orphans_are_aside(engine->orphans, view))
        return;
    if (witness_is_lost(witness) && engine->refill == NULL && view->topology->epoch > 0)
        engine->refill = refill_new(view);
    if (engine->refill == NULL)
    {
        if (!witness_is_lost(witness) && witness_lost_runs(witness, &late) != NULL && late > 0)
            settle_lost_runs(engine);
        return;
    }
    refill_step(engine->refill, view);
    if (!refill_is_done(engine->refill) || !knows_its_buckets(engine))
        return;
    refill_free(engine->refill);
    engine->refill = NULL;
    orphans_end(engine->orphans);
    settle_lost_runs(engine);
    if (engine->config.repair_interval_ms > 0)
        (void)antientropy_request(engine->antientropy, view, 0, TOPOLOGY_NO_MEMBER);
    actions_log(&engine->actions, "the data directory is filled: this node answers reads");
}

/* What the foreground's writes took, for the pacer of the background. A write within the same
 * millisecond took half of one. */
static void
note_latency(Engine *engine)
{
    CoordinatorCounters counters = coordinator_counters(engine->coordinator);
    uint64_t count = counters.write_frames - engine->noted_frames;
    uint64_t ms = counters.write_ms - engine->noted_ms;

    pacer_note(&engine->pacer, engine->now_ms, count, ms * 1000 + count * 500);
    engine->noted_frames = counters.write_frames;
    engine->noted_ms = counters.write_ms;
}

/* Lest a restart forgets it. */
static void
note_withheld(Engine *engine)
{
    StorageExtent *extents;
    uint32_t count;

    if (unreadable_changes(engine->unreadable) == engine->noted_withheld)
        return;
    engine->noted_withheld = unreadable_changes(engine->unreadable);
    count = unreadable_ranges(engine->unreadable, &engine->actions.arena, &extents);
    witness_withhold(membership_witness(engine->membership), extents, count);
}

/* Members that have missed a write which nobody keeps a hint of are to be compared with. */
static void
step_antientropy(Engine *engine, const View *view)
{
    for (uint32_t i = 0; i < view->topology->member_count; i++)
    {
        if (coordinator_take_missed(engine->coordinator, i))
            antientropy_missed(engine->antientropy, view, i);
    }
    antientropy_step(engine->antientropy, view);
    engine_tell_mended(engine);
}

static void
step_unreadable(Engine *engine, const View *view)
{
    unreadable_step(engine->unreadable, view);
    engine_tell_forgotten(engine);
    note_withheld(engine);
}

/* Nothing can be moved aside on a disk that takes no writes. */
static uint64_t
wake_orphans_ms(const Engine *engine, const View *view)
{
    return view->self != TOPOLOGY_NO_MEMBER && !view->cannot_write
               ? orphans_wake_ms(engine->orphans, view)
               : UINT64_MAX;
}

/* ---- from the engine's events to the steps' functions ---- */

#define STEP(name, ...)                                                                            \
    static void name##_of(Engine *engine, const View *view)                                        \
    {                                                                                              \
        name(__VA_ARGS__);                                                                         \
    }

#define WAKE(name, ...)                                                                            \
    static uint64_t name##_of(const Engine *engine, const View *view)                              \
    {                                                                                              \
        (void)view;                                                                                \
        return name(__VA_ARGS__);                                                                  \
    }

#define ANSWER(name, ...)                                                                          \
    static void name##_of(Engine *engine, const View *view, const Completion *answer)              \
    {                                                                                              \
        (void)view;                                                                                \
        name(__VA_ARGS__);                                                                         \
    }

#define FRAME(name, ...)                                                                           \
    static void name##_of(Engine *engine, const View *view, uint32_t member, const Frame *frame)   \
    {                                                                                              \
        name(__VA_ARGS__);                                                                         \
    }

#define DOWN(name, ...)                                                                            \
    static void name##_of(Engine *engine, const View *view, uint32_t member)                       \
    {                                                                                              \
        (void)view;                                                                                \
        name(__VA_ARGS__);                                                                         \
    }

#define BUSY(name, ...)                                                                            \
    static bool name##_of(const Engine *engine, const View *view, TreeId id)                       \
    {                                                                                              \
        return name(__VA_ARGS__);                                                                  \
    }

STEP(scrub_step, engine->scrub, view)
STEP(handoff_step, engine->handoff, view)
STEP(reaping_step, engine->reaping, view)
STEP(purge_step, engine->purge, view)
STEP(joining_step, engine->joining, view)

WAKE(membership_wake_ms, engine->membership)
WAKE(gossip_wake_ms, engine->gossip.gossip)
WAKE(coordinator_wake_ms, engine->coordinator)
WAKE(scrub_wake_ms, engine->scrub, view)
WAKE(handoff_wake_ms, engine->handoff, view)
WAKE(antientropy_wake_ms, engine->antientropy, view)
WAKE(unreadable_wake_ms, engine->unreadable, view)
WAKE(reaping_wake_ms, engine->reaping, view)
WAKE(purge_wake_ms, engine->purge, view)
WAKE(joining_wake_ms, engine->joining)

ANSWER(coordinator_fetched, engine->coordinator, view, answer->ref, answer->status, answer->object)
ANSWER(replica_fetched, engine->replica, view, answer->ref, answer->status, answer->object)
ANSWER(orphans_fetched, engine->orphans, view, answer->ref, answer->status, answer->object)
ANSWER(antientropy_fetched, engine->antientropy, view, answer->ref, answer->status, answer->object)

ANSWER(coordinator_merged, engine->coordinator, view, answer->ref, answer->status, answer->object)
ANSWER(replica_merged, engine->replica, answer->ref, answer->status)
ANSWER(orphans_merged, engine->orphans, view, answer->ref, answer->status, answer->object)
ANSWER(antientropy_merged, engine->antientropy, answer->ref, answer->status)
ANSWER(unreadable_merged, engine->unreadable, answer->ref, answer->status, answer->object)
ANSWER(reaping_merged, engine->reaping, view, answer->ref, answer->status, answer->object)
ANSWER(purge_merged, engine->purge, answer->ref, answer->status)

ANSWER(coordinator_durable, engine->coordinator, view, answer->ref, answer->status)
ANSWER(replica_durable, engine->replica, answer->ref, answer->status)
ANSWER(orphans_durable, engine->orphans, view, answer->ref, answer->status)
ANSWER(antientropy_durable, engine->antientropy, answer->ref, answer->status)
ANSWER(unreadable_durable, engine->unreadable, answer->ref, answer->status)
ANSWER(reaping_durable, engine->reaping, view, answer->ref, answer->status)
ANSWER(purge_durable, engine->purge, answer->ref, answer->status)
ANSWER(joining_durable, engine->joining, answer->ref, answer->status)

ANSWER(replica_scanned, engine->replica, view, answer->ref, answer->status, &answer->page)
ANSWER(orphans_scanned, engine->orphans, view, answer->ref, answer->status, &answer->page)
ANSWER(scrub_scanned, engine->scrub, view, answer->ref, answer->status, &answer->page)
ANSWER(handoff_scanned, engine->handoff, view, answer->ref, answer->status, &answer->page)
ANSWER(antientropy_scanned, engine->antientropy, view, answer->ref, answer->status, &answer->page)
ANSWER(unreadable_scanned, engine->unreadable, view, answer->ref, answer->status, &answer->page)
ANSWER(reaping_scanned, engine->reaping, view, answer->ref, answer->status, &answer->page)
ANSWER(purge_scanned, engine->purge, view, answer->ref, answer->status, &answer->page)

FRAME(coordinator_member_frame, engine->coordinator, view, member, frame)
FRAME(orphans_member_frame, engine->orphans, view, member, frame)
FRAME(handoff_member_frame, engine->handoff, view, member, frame)
FRAME(antientropy_acknowledged, engine->antientropy, view, member, frame)
FRAME(antientropy_member_frame, engine->antientropy, view, member, frame)
FRAME(reaping_member_frame, engine->reaping, view, member, frame)
FRAME(joining_member_frame, engine->joining, view, member, frame)

DOWN(coordinator_member_down, engine->coordinator, view, member)
DOWN(handoff_member_down, engine->handoff, view, member)
DOWN(antientropy_member_down, engine->antientropy, view, member)

BUSY(coordinator_is_busy, engine->coordinator, view, id)
BUSY(replica_is_busy, engine->replica, view, id)
BUSY(unreadable_is_busy, engine->unreadable, view, id)

/* There is a refill only while there is something to fill. */
static void
refill_merged_of(Engine *engine, const View *view, const Completion *answer)
{
    (void)view;
    if (engine->refill != NULL)
        refill_merged(engine->refill, answer->ref, answer->status);
}

static void
refill_durable_of(Engine *engine, const View *view, const Completion *answer)
{
    (void)view;
    if (engine->refill != NULL)
        refill_durable(engine->refill, answer->ref, answer->status);
}

static void
refill_member_frame_of(Engine *engine, const View *view, uint32_t member, const Frame *frame)
{
    if (engine->refill != NULL)
        refill_member_frame(engine->refill, view, member, frame);
}

static void
refill_member_down_of(Engine *engine, const View *view, uint32_t member)
{
    (void)view;
    if (engine->refill != NULL)
        refill_member_down(engine->refill, member);
}

/* ---- the table ---- */

static const EngineStep COORDINATOR = {
    .owner = REF_COORDINATOR_WRITE,
    .also_owner = REF_COORDINATOR_READ,
    .wake_ms = coordinator_wake_ms_of,
    .fetched = coordinator_fetched_of,
    .merged = coordinator_merged_of,
    .durable = coordinator_durable_of,
    .member_frame = coordinator_member_frame_of,
    .acknowledged = coordinator_member_frame_of,
    .member_down = coordinator_member_down_of,
    .is_busy = coordinator_is_busy_of,
};

static const EngineStep REPLICA = {
    .owner = REF_REPLICA,
    .fetched = replica_fetched_of,
    .merged = replica_merged_of,
    .durable = replica_durable_of,
    .scanned = replica_scanned_of,
    .is_busy = replica_is_busy_of,
};

static const EngineStep MEMBERSHIP = {
    .step = tell_progress,
    .wake_ms = membership_wake_ms_of,
};

static const EngineStep GOSSIP = {
    .wake_ms = gossip_wake_ms_of,
};

static const EngineStep ORPHANS = {
    .owner = REF_ORPHANS,
    .step = step_orphans,
    .wake_ms = wake_orphans_ms,
    .fetched = orphans_fetched_of,
    .merged = orphans_merged_of,
    .durable = orphans_durable_of,
    .scanned = orphans_scanned_of,
    .member_frame = orphans_member_frame_of,
};

static const EngineStep REFILL = {
    .owner = REF_REFILL,
    .step = step_refill,
    .merged = refill_merged_of,
    .durable = refill_durable_of,
    .member_frame = refill_member_frame_of,
    .member_down = refill_member_down_of,
};

static const EngineStep VOTE = {
    .step = regain_vote,
};

static const EngineStep SCRUB = {
    .owner = REF_SCRUB,
    .step = scrub_step_of,
    .wake_ms = scrub_wake_ms_of,
    .scanned = scrub_scanned_of,
};

static const EngineStep HANDOFF = {
    .owner = REF_HANDOFF,
    .needs = NEEDS_DISK,
    .step = handoff_step_of,
    .wake_ms = handoff_wake_ms_of,
    .scanned = handoff_scanned_of,
    .acknowledged = handoff_member_frame_of,
    .member_down = handoff_member_down_of,
};

static const EngineStep ANTIENTROPY = {
    .owner = REF_ANTIENTROPY,
    .also_owner = REF_TREE_ANSWERS,
    .needs = NEEDS_DISK,
    .step = step_antientropy,
    .wake_ms = antientropy_wake_ms_of,
    .fetched = antientropy_fetched_of,
    .merged = antientropy_merged_of,
    .durable = antientropy_durable_of,
    .scanned = antientropy_scanned_of,
    .member_frame = antientropy_member_frame_of,
    .acknowledged = antientropy_acknowledged_of,
    .member_down = antientropy_member_down_of,
};

static const EngineStep UNREADABLE = {
    .owner = REF_UNREADABLE,
    .needs = NEEDS_DISK,
    .step = step_unreadable,
    .wake_ms = unreadable_wake_ms_of,
    .merged = unreadable_merged_of,
    .durable = unreadable_durable_of,
    .scanned = unreadable_scanned_of,
    .is_busy = unreadable_is_busy_of,
};

static const EngineStep REAPING = {
    .owner = REF_REAPING,
    .needs = NEEDS_DISK,
    .step = reaping_step_of,
    .wake_ms = reaping_wake_ms_of,
    .merged = reaping_merged_of,
    .durable = reaping_durable_of,
    .scanned = reaping_scanned_of,
    .member_frame = reaping_member_frame_of,
};

static const EngineStep PURGE = {
    .owner = REF_PURGE,
    .needs = NEEDS_DISK,
    .step = purge_step_of,
    .wake_ms = purge_wake_ms_of,
    .merged = purge_merged_of,
    .durable = purge_durable_of,
    .scanned = purge_scanned_of,
};

static const EngineStep JOINING = {
    .owner = REF_JOINING,
    .step = joining_step_of,
    .wake_ms = joining_wake_ms_of,
    .durable = joining_durable_of,
    .member_frame = joining_member_frame_of,
};

/* In the order in which they go on. Those of clients come first, since they are looked for most. */
static const EngineStep *const STEPS[] = {
    &COORDINATOR, &REPLICA, &MEMBERSHIP,  &GOSSIP,     &ORPHANS, &REFILL, &VOTE,
    &SCRUB,       &HANDOFF, &ANTIENTROPY, &UNREADABLE, &REAPING, &PURGE,  &JOINING};

#define STEPS_COUNT (sizeof(STEPS) / sizeof(STEPS[0]))

/* NULL: nobody's. */
static const EngineStep *
step_of(RefOwner owner)
{
    for (size_t i = 0; i < STEPS_COUNT && owner != 0; i++)
    {
        const EngineStep *step = STEPS[i];

        if (step->owner == owner || step->also_owner == owner)
            return step;
    }
    return NULL;
}

static bool
may_go_on(const EngineStep *step, const View *view)
{
    return step->needs == NEEDS_NOTHING ||
           (view->self != TOPOLOGY_NO_MEMBER && !view->cannot_write);
}

/* It asked as a member, and is none any more: what is answered is nothing to it. */
static bool
has_left(const EngineStep *step, const View *view)
{
    return step->needs == NEEDS_DISK && view->self == TOPOLOGY_NO_MEMBER;
}

void
engine_steps_go_on(Engine *engine)
{
    View view = engine_view(engine);

    note_latency(engine);
    for (size_t i = 0; i < STEPS_COUNT; i++)
    {
        const EngineStep *step = STEPS[i];

        if (step->step != NULL && may_go_on(step, &view))
            step->step(engine, &view);
    }
}

uint64_t
engine_wake_ms(const Engine *engine)
{
    View view = engine_look(engine);
    uint64_t first = UINT64_MAX;

    for (size_t i = 0; i < STEPS_COUNT; i++)
    {
        const EngineStep *step = STEPS[i];
        uint64_t wake = step->wake_ms != NULL && may_go_on(step, &view)
                            ? step->wake_ms(engine, &view)
                            : UINT64_MAX;

        first = wake < first ? wake : first;
    }
    return first;
}

void
engine_steps_member_down(Engine *engine, const View *view, uint32_t member)
{
    for (size_t i = 0; i < STEPS_COUNT; i++)
    {
        const EngineStep *step = STEPS[i];

        if (step->member_down != NULL && !has_left(step, view))
            step->member_down(engine, view, member);
    }
}

void
engine_steps_member_frame(Engine *engine, uint32_t member, const Frame *frame)
{
    const EngineStep *asker = step_of(ticket_tag_owner(frame->tag));
    View view = engine_view(engine);

    if (member == TOPOLOGY_NO_MEMBER)
        return;
    if (frame->type != FRAME_REPLICATE_REPLY)
    {
        if (asker != NULL && asker->member_frame != NULL && !has_left(asker, &view))
            asker->member_frame(engine, &view, member, frame);
        return;
    }
    for (size_t i = 0; i < STEPS_COUNT; i++)
    {
        const EngineStep *step = STEPS[i];

        if (step->acknowledged != NULL && !has_left(step, &view))
            step->acknowledged(engine, &view, member, frame);
    }
}

bool
engine_steps_are_busy(void *context, const View *view, TreeId id)
{
    for (size_t i = 0; i < STEPS_COUNT; i++)
    {
        const EngineStep *step = STEPS[i];

        if (step->is_busy != NULL && step->is_busy(context, view, id))
            return true;
    }
    return false;
}

/* ---- what storage answers ---- */

static StepAnswer
taker_of(const EngineStep *step, CompletionKind kind)
{
    switch (kind)
    {
    case COMPLETION_MERGED:
        return step->merged;
    case COMPLETION_DURABLE:
        return step->durable;
    case COMPLETION_READ:
        return step->fetched;
    case COMPLETION_SCANNED:
        return step->scanned;
    default:
        return NULL;
    }
}

/* What a member is told of it, it must hear at once: it would send writes and reads. */
static void
take_disk_changed(Engine *engine)
{
    const Storage *storage = engine->storage;

    if (storage->disk == DISK_WELL)
        actions_warn(&engine->actions, "this node takes writes again");
    else
        actions_warn(&engine->actions, "this node takes no writes: %s", storage_disk_why(storage));
    membership_greet(engine->membership, engine->now_ms, &engine->actions);
}

void
engine_take_answer(Engine *engine, const Completion *answer)
{
    View view = engine_view(engine);
    const EngineStep *step = step_of(ticket_ref_owner(answer->ref));
    const StorageExtent *extent = &answer->extent;
    StepAnswer take = step != NULL ? taker_of(step, answer->kind) : NULL;

    if (take != NULL && has_left(step, &view))
        return;
    if (take != NULL)
        take(engine, &view, answer);
    else if (answer->kind == COMPLETION_CHECKED)
        scrub_checked(engine->scrub, &view, answer->ref, answer->status, &answer->check);
    else if (answer->kind == COMPLETION_UNREADABLE)
        engine_unreadable(engine, &view, extent);
    else if (answer->kind == COMPLETION_REPLACED)
        unreadable_replaced(engine->unreadable, &view, extent->bucket_id, extent->first,
                            extent->last);
    else if (answer->kind == COMPLETION_DISK_CHANGED)
        take_disk_changed(engine);
}
