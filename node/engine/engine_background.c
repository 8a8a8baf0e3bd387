/*
 * The engine's background: refill, handoff, anti-entropy, reaping, purge, and the pacer that they
 * draw from.
 *
 * Each event of the engine that may be for one of them is offered here first.
 */
#include "node/engine/cluster/witness.h"
#include "node/engine/engine_private.h"

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
regain_vote(Engine *engine)
{
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

static void
step_orphans(Engine *engine, const View *view)
{
    if (witness_is_lost(membership_witness(engine->membership)))
        orphans_begin(engine->orphans);
    if (engine_is_member(engine))
        orphans_step(engine->orphans, view);
}

static void
step_refill(Engine *engine)
{
    Witness *witness = membership_witness(engine->membership);
    View view = engine_view(engine);
    uint32_t late;

    if (!orphans_are_aside(engine->orphans, &view))
        return;
    if (witness_is_lost(witness) && engine->refill == NULL && view.topology->epoch > 0)
        engine->refill = refill_new(&view);
    if (engine->refill == NULL)
    {
        if (!witness_is_lost(witness) && witness_lost_runs(witness, &late) != NULL && late > 0)
            settle_lost_runs(engine);
        return;
    }
    refill_step(engine->refill, &view);
    if (!refill_is_done(engine->refill) || !knows_its_buckets(engine))
        return;
    refill_free(engine->refill);
    engine->refill = NULL;
    orphans_end(engine->orphans);
    settle_lost_runs(engine);
    if (engine->config.repair_interval_ms > 0)
        (void)antientropy_request(engine->antientropy, &view, 0, TOPOLOGY_NO_MEMBER);
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

    if (forget_changes(engine->forget) == engine->noted_withheld)
        return;
    engine->noted_withheld = forget_changes(engine->forget);
    count = forget_ranges(engine->forget, &engine->actions.arena, &extents);
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
    forget_step(engine->forget, view);
    engine_tell_forgotten(engine);
    note_withheld(engine);
}

void
engine_step_background(Engine *engine)
{
    View view = engine_view(engine);

    step_orphans(engine, &view);
    step_refill(engine);
    regain_vote(engine);
    note_latency(engine);
    scrub_step(engine->scrub, &view);
    if (!engine_is_member(engine) || view.cannot_write)
        return;
    handoff_step(engine->handoff, &view);
    step_antientropy(engine, &view);
    reaping_step(engine->reaping, &view);
    purge_step(engine->purge, &view);
}

uint64_t
engine_background_wake_ms(const Engine *engine)
{
    View view = engine_look(engine);
    uint64_t wake;
    uint64_t other;

    if (!engine_is_member(engine))
        return UINT64_MAX;
    if (view.cannot_write)
        return scrub_wake_ms(engine->scrub, &view);
    wake = handoff_wake_ms(engine->handoff, &view);
    other = antientropy_wake_ms(engine->antientropy, &view);
    wake = other < wake ? other : wake;
    other = forget_wake_ms(engine->forget, &view);
    wake = other < wake ? other : wake;
    other = reaping_wake_ms(engine->reaping, &view);
    wake = other < wake ? other : wake;
    other = orphans_wake_ms(engine->orphans, &view);
    wake = other < wake ? other : wake;
    other = scrub_wake_ms(engine->scrub, &view);
    wake = other < wake ? other : wake;
    other = purge_wake_ms(engine->purge, &view);
    return other < wake ? other : wake;
}

bool
engine_background_is_busy(void *context, const View *view, TreeId id)
{
    const Engine *engine = context;

    return coordinator_is_busy(engine->coordinator, view, id) ||
           replica_is_busy(engine->replica, view, id) || forget_is_busy(engine->forget, view, id);
}

void
engine_background_member_down(Engine *engine, const View *view, uint32_t member)
{
    handoff_member_down(engine->handoff, view, member);
    antientropy_member_down(engine->antientropy, view, member);
    if (engine->refill != NULL)
        refill_member_down(engine->refill, member);
}

bool
engine_background_member_frame(Engine *engine, const View *view, uint32_t member,
                               const Frame *frame)
{
    if (frame->type == FRAME_REPLICATE_REPLY)
    {
        antientropy_acknowledged(engine->antientropy, view, member, frame);
        handoff_member_frame(engine->handoff, view, member, frame);
        return false;
    }
    switch (ticket_tag_owner(frame->tag))
    {
    case REF_REFILL:
        if (engine->refill != NULL)
            refill_member_frame(engine->refill, view, member, frame);
        return true;
    case REF_REAPING:
        reaping_member_frame(engine->reaping, view, member, frame);
        return true;
    case REF_ORPHANS:
        orphans_member_frame(engine->orphans, view, member, frame);
        return true;
    case REF_ANTIENTROPY:
        antientropy_member_frame(engine->antientropy, view, member, frame);
        return true;
    default:
        return false;
    }
}

static bool
is_for_antientropy(uint64_t ref)
{
    return ticket_ref_owner(ref) == REF_ANTIENTROPY || ticket_ref_owner(ref) == REF_TREE_ANSWERS;
}

bool
engine_background_fetched(Engine *engine, const View *view, uint64_t ref, StatusCode status,
                          Slice object)
{
    if (is_for_antientropy(ref))
        antientropy_fetched(engine->antientropy, view, ref, status, object);
    else if (ticket_ref_owner(ref) == REF_ORPHANS)
        orphans_fetched(engine->orphans, view, ref, status, object);
    else
        return false;
    return true;
}

bool
engine_background_merged(Engine *engine, const View *view, uint64_t ref, StatusCode status,
                         Slice object)
{
    if (ticket_ref_owner(ref) == REF_REFILL && engine->refill != NULL)
        refill_merged(engine->refill, ref, status);
    else if (ticket_ref_owner(ref) == REF_REAPING)
        reaping_merged(engine->reaping, view, ref, status, object);
    else if (ticket_ref_owner(ref) == REF_ORPHANS)
        orphans_merged(engine->orphans, view, ref, status, object);
    else if (ticket_ref_owner(ref) == REF_FORGET)
        forget_merged(engine->forget, ref, status, object);
    else if (ticket_ref_owner(ref) == REF_PURGE)
        purge_merged(engine->purge, ref, status);
    else if (is_for_antientropy(ref))
        antientropy_merged(engine->antientropy, ref, status);
    else
        return false;
    return true;
}

bool
engine_background_durable(Engine *engine, const View *view, uint64_t ref, StatusCode status)
{
    if (ticket_ref_owner(ref) == REF_REFILL && engine->refill != NULL)
        refill_durable(engine->refill, ref, status);
    else if (ticket_ref_owner(ref) == REF_REAPING)
        reaping_durable(engine->reaping, view, ref, status);
    else if (ticket_ref_owner(ref) == REF_ORPHANS)
        orphans_durable(engine->orphans, view, ref, status);
    else if (ticket_ref_owner(ref) == REF_FORGET)
        forget_durable(engine->forget, ref, status);
    else if (ticket_ref_owner(ref) == REF_PURGE)
        purge_durable(engine->purge, ref, status);
    else if (is_for_antientropy(ref))
        antientropy_durable(engine->antientropy, ref, status);
    else
        return false;
    return true;
}

bool
engine_background_scanned(Engine *engine, const View *view, uint64_t ref, StatusCode status,
                          const StoragePage *page)
{
    if (ticket_ref_owner(ref) == REF_HANDOFF)
        handoff_scanned(engine->handoff, view, ref, status, page);
    else if (ticket_ref_owner(ref) == REF_REAPING)
        reaping_scanned(engine->reaping, view, ref, status, page);
    else if (ticket_ref_owner(ref) == REF_ORPHANS)
        orphans_scanned(engine->orphans, view, ref, status, page);
    else if (is_for_antientropy(ref))
        antientropy_scanned(engine->antientropy, view, ref, status, page);
    else if (ticket_ref_owner(ref) == REF_SCRUB)
        scrub_scanned(engine->scrub, view, ref, status, page);
    else if (ticket_ref_owner(ref) == REF_FORGET)
        forget_scanned(engine->forget, view, ref, status, page);
    else if (ticket_ref_owner(ref) == REF_PURGE)
        purge_scanned(engine->purge, view, ref, status, page);
    else
        return false;
    return true;
}
