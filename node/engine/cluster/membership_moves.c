/*
 * The plan under way: what members say that they have done, and the documents that take it on.
 *
 * Nobody is in charge of it. Each member that sees that the plan can go on waits for those with
 * lower slots which are up, and proposes the next document when none has come meanwhile: one that
 * is up for all others and still cannot propose does not stop the plan. Two at once are harmless:
 * one of their documents is chosen.
 *
 * What a member has done holds in the epoch in which it said so, and as long as it is up. It is
 * taken on the link to it alone, where what it says comes in order and from the process that runs
 * now; a hello that comes on a session and says something else makes this node ask on the link.
 */
#include "node/engine/cluster/membership_private.h"

#include <string.h>

enum
{
    TURN_MS = 2000, /* of each member, before it is the next one's */
    PAUSE_MS = 500, /* between two documents: all partitions that can go on by then are in one */
    TELL_MS = 50    /* between two greetings that tell of something done */
};

/* ---- what is done ---- */

static size_t
done_bytes(const Topology *topology)
{
    return topology->partitions / 8;
}

void
membership_follow_moves(Membership *membership)
{
    Moves *moves = &membership->moves;

    moves->done = membership->topology.target != NULL
                      ? arena_alloc_zero(&membership->arena, done_bytes(&membership->topology))
                      : NULL;
    moves->is_stale = true;
    moves->since_ms = 0;
}

void
membership_set_ready(Membership *membership, bool ready)
{
    Moves *moves = &membership->moves;
    bool differs = moves->ready != ready;

    moves->ready = ready;
    moves->has_news = moves->has_news || differs;
    moves->is_stale = moves->is_stale || differs;
}

void
membership_fill_progress(const Membership *membership, HelloFrame *hello)
{
    const Moves *moves = &membership->moves;

    hello->ready = moves->ready;
    if (moves->done != NULL)
        hello->done = slice_make(moves->done, done_bytes(&membership->topology));
}

uint64_t
membership_news_ms(const Membership *membership)
{
    return membership->moves.has_news ? membership->moves.told_ms + TELL_MS : UINT64_MAX;
}

void
membership_tell_moves(Membership *membership, uint64_t now_ms, Actions *actions)
{
    Moves *moves = &membership->moves;

    if (now_ms < membership_news_ms(membership))
        return;
    moves->has_news = false;
    moves->told_ms = now_ms;
    membership_greet(membership, now_ms, actions);
}

bool
membership_is_news(const Peer *peer, const HelloFrame *hello)
{
    Slice known = slice_make(peer->done, peer->done_length);

    return hello->ready != peer->ready || !slice_equal(hello->done, known) ||
           (hello->done.length > 0 && hello->epoch != peer->epoch);
}

void
membership_take_progress(Membership *membership, Peer *peer, const HelloFrame *hello)
{
    if (peer->epoch == hello->epoch && !membership_is_news(peer, hello))
        return;
    membership->moves.is_stale = true;
    peer->ready = hello->ready;
    peer->done = memory_resize(&MEMORY_HEAP, peer->done, hello->done.length);
    peer->done_length = hello->done.length;
    if (hello->done.length > 0)
        memcpy(peer->done, hello->done.data, hello->done.length);
}

/* NULL: nothing of it counts here and now. */
static const Peer *
find_up(const Membership *membership, uint32_t member)
{
    uint32_t number = membership->member_peers[member];

    return number < membership->peer_count && membership->up[member] ? &membership->peers[number]
                                                                     : NULL;
}

bool
membership_is_ready(const Membership *membership, uint32_t member)
{
    const Peer *peer = find_up(membership, member);

    return member == membership->self ? membership->moves.ready : peer != NULL && peer->ready;
}

/* By partition, a bit each; NULL: nothing of it is known here and now. */
static const uint8_t *
find_done(const Membership *membership, uint32_t member)
{
    const Topology *topology = &membership->topology;
    const Peer *peer = find_up(membership, member);

    if (member == membership->self)
        return membership->moves.done;
    return peer != NULL && peer->epoch == topology->epoch &&
                   peer->done_length == done_bytes(topology)
               ? peer->done
               : NULL;
}

bool
membership_has_done(const Membership *membership, uint32_t member, uint32_t partition)
{
    const uint8_t *done = find_done(membership, member);

    return done != NULL && (done[partition / 8] >> partition % 8 & 1) != 0;
}

static PlanProgress
gather_progress(const Membership *membership, Arena *arena)
{
    const Topology *topology = &membership->topology;
    const uint8_t **done = ARENA_ARRAY(arena, const uint8_t *, topology->member_count);
    bool *ready = ARENA_ARRAY(arena, bool, topology->member_count);

    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        const Peer *peer = find_up(membership, i);
        bool counts = peer != NULL && peer->epoch == topology->epoch;

        done[i] = find_done(membership, i);
        ready[i] = (counts || i == membership->self) && membership_is_ready(membership, i);
    }
    return (PlanProgress){.done = done, .ready = ready};
}

/* ---- taking the plan on ---- */

static bool
may_drive(const Membership *membership)
{
    return membership->self != TOPOLOGY_NO_MEMBER && !membership->config->leaves_plans &&
           membership->topology.members[membership->self].state != MEMBER_GONE;
}

/* Since when the plan can go on: looked at when something has changed, since it costs a look at all
 * partitions. */
static void
look(Membership *membership, uint64_t now_ms)
{
    Moves *moves = &membership->moves;
    PlanProgress progress;
    Arena arena;

    if (!moves->is_stale)
        return;
    moves->is_stale = false;
    arena_init(&arena, &MEMORY_HEAP);
    progress = gather_progress(membership, &arena);
    if (!may_drive(membership) || !plan_goes_on(&membership->topology, &progress))
        moves->since_ms = 0;
    else if (moves->since_ms == 0)
        moves->since_ms = now_ms;
    arena_free(&arena);
}

/* How many members come before this one. */
static uint32_t
own_turn(const Membership *membership)
{
    uint32_t turn = 0;

    for (uint32_t i = 0; i < membership->self; i++)
        turn += topology_is_present(&membership->topology, i) && membership->up[i] &&
                membership->topology.members[i].state != MEMBER_GONE;
    return turn;
}

static void
propose(Membership *membership, uint64_t now_ms, Actions *actions)
{
    const HostQuestions *host = membership->host;
    PlanProgress progress;
    Buffer document;
    Arena arena;

    arena_init(&arena, &MEMORY_HEAP);
    buffer_init(&document, &MEMORY_HEAP);
    progress = gather_progress(membership, &arena);
    plan_encode_next(&document, &membership->topology, &progress, &arena);
    membership->moves.proposed_ms = now_ms;
    paxos_propose(membership->paxos, buffer_slice(&document), now_ms, host->random(host->context),
                  actions);
    buffer_free(&document);
    arena_free(&arena);
}

void
membership_pump_moves(Membership *membership, uint64_t now_ms, Actions *actions)
{
    Moves *moves = &membership->moves;

    look(membership, now_ms);
    if (moves->since_ms != 0 && !paxos_is_proposing(membership->paxos) &&
        now_ms >= moves->since_ms + (uint64_t)TURN_MS * own_turn(membership) &&
        now_ms >= moves->proposed_ms + PAUSE_MS)
        propose(membership, now_ms, actions);
}
