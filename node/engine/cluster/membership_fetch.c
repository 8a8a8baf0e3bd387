/*
 * A newer topology that somebody has spoken of is fetched from one peer at a time: first from those
 * whose last hello had such an epoch. The next one is asked when there is no answer for a while, or
 * the answer is none; when all have been asked nobody is, until it is spoken of again.
 */
#include "node/engine/cluster/membership_private.h"

#include <string.h>

enum
{
    FETCH_PAUSE_MS = 300
};

static bool
may_ask(const Membership *membership, uint32_t number, uint64_t epoch)
{
    const Peer *peer = &membership->peers[number];

    return peer->linked && peer->asked_for != membership->fetch.question && peer->epoch >= epoch;
}

/* The next that knows an epoch like that, in turn, so that it is not the same one every time. */
static uint32_t
next_peer(const Membership *membership, uint64_t epoch)
{
    for (uint32_t i = 1; i <= membership->peer_count; i++)
    {
        uint32_t number = (membership->fetch.peer + i) % membership->peer_count;

        if (may_ask(membership, number, epoch))
            return number;
    }
    return TOPOLOGY_NO_MEMBER;
}

static void
ask_next(Membership *membership, uint64_t now_ms, Actions *actions)
{
    TopologyFetch question = {.have_epoch = membership->topology.epoch};
    uint32_t number = next_peer(membership, membership->fetch.epoch);

    if (number == TOPOLOGY_NO_MEMBER)
        number = next_peer(membership, 0);
    membership->fetch.due_ms = now_ms + FETCH_PAUSE_MS;
    if (number == TOPOLOGY_NO_MEMBER)
    {
        membership->fetch.epoch = 0;
        return;
    }
    membership->fetch.peer = number;
    membership->peers[number].asked_for = membership->fetch.question;
    membership->peers[number].asked = true;
    topology_fetch_encode(actions_frame(actions), 0, &question);
    actions_send_peer(actions, number);
}

void
membership_fetch(Membership *membership, uint64_t epoch, uint64_t now_ms, Actions *actions)
{
    if (epoch <= membership->topology.epoch || epoch <= membership->fetch.epoch)
        return;
    membership->fetch.epoch = epoch;
    membership->fetch.question++;
    membership_fetch_on(membership, now_ms, actions);
}

void
membership_fetch_on(Membership *membership, uint64_t now_ms, Actions *actions)
{
    if (membership->fetch.epoch <= membership->topology.epoch)
        membership->fetch.epoch = 0;
    if (membership->fetch.epoch > 0 && now_ms >= membership->fetch.due_ms)
        ask_next(membership, now_ms, actions);
}

static void
meet_foreigner(Peer *peer, Actions *actions)
{
    if (!peer->is_foreign)
        actions_log(actions,
                    "the node at %s belongs to another cluster that uses the same cluster key: "
                    "correct seeds, or give each cluster a key of its own",
                    peer->place);
    peer->is_foreign = true;
}

/* A document of another cluster must never replace ours. */
static void
take_document(Membership *membership, Peer *peer, Slice document, Actions *actions)
{
    Topology topology;
    Arena arena;

    arena_init(&arena, &MEMORY_HEAP);
    if (topology_decode(document, &arena, &topology))
    {
        if (membership->topology.epoch > 0 &&
            memcmp(topology.cluster, membership->topology.cluster, sizeof(topology.cluster)) != 0)
            meet_foreigner(peer, actions);
        else
            (void)paxos_take_chosen(membership->paxos, document, actions);
    }
    arena_free(&arena);
}

void
membership_take_topology(Membership *membership, uint32_t number, const Frame *frame,
                         uint64_t now_ms, Actions *actions)
{
    Peer *peer = membership_peer(membership, number);
    TopologyFrame answer;

    if (!peer->asked)
        return;
    peer->asked = false;
    if (topology_frame_decode(frame, &answer) && answer.document.length > 0)
        take_document(membership, peer, answer.document, actions);
    if (number == membership->fetch.peer &&
        paxos_epoch(membership->paxos) < membership->fetch.epoch)
        ask_next(membership, now_ms, actions);
}
