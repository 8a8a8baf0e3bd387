#include "node/engine/cluster/membership_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum
{
    SECOND_PROPOSER_MS = 3000 /* after which others than the lowest id propose too */
};

/* An earlier seed with the same member id, one folder being a copy of the other's; NULL if none. */
static const Peer *
twin_of(Membership *membership, uint32_t seed)
{
    const Peer *peer = membership_peer(membership, membership->seed_peers[seed]);

    for (uint32_t i = 0; i < seed; i++)
    {
        const Peer *other = membership_peer(membership, membership->seed_peers[i]);

        if (memcmp(&other->id, &peer->id, sizeof(MemberId)) == 0)
            return other;
    }
    return NULL;
}

static bool
says_where_it_is(const Peer *peer)
{
    char place[128];

    snprintf(place, sizeof(place), "%.100s:%u", peer->address, peer->port);
    return strcmp(place, peer->place) == 0;
}

/* What keeps the seeds from forming a cluster; "" when nothing does. */
static void
describe_formation(Membership *membership)
{
    const HostConfig *config = membership->config;
    char *text = membership->waiting_for;

    text[0] = '\0';
    if (!membership->is_seed)
        snprintf(text, WAITING_TEXT_MAX, "this node is not among the seeds: it waits to be joined");
    for (uint32_t i = 0; i < membership->seed_count && text[0] == '\0'; i++)
    {
        const Peer *peer = membership_peer(membership, membership->seed_peers[i]);

        if (!peer->linked || !peer->greeted)
            snprintf(text, WAITING_TEXT_MAX, "%u of %u other seeds have not answered yet",
                     membership->seed_count - i, membership->seed_count);
        else if (peer->epoch > 0)
            snprintf(text, WAITING_TEXT_MAX,
                     "seed %.100s is in a cluster already: this node waits to be joined",
                     peer->name);
        else if (!says_where_it_is(peer))
            snprintf(text, WAITING_TEXT_MAX,
                     "the seed at %s says that it is at %.64s:%u (its advertise_address and port)",
                     peer->place, peer->address, peer->port);
        else if (strcmp(peer->seeds, config->seeds) != 0)
            snprintf(text, WAITING_TEXT_MAX, "seed %.60s has other seeds: %.120s", peer->name,
                     peer->seeds);
        else if (peer->partitions != config->partitions)
            snprintf(text, WAITING_TEXT_MAX, "seed %.100s has partitions = %u", peer->name,
                     peer->partitions);
        else if (twin_of(membership, i) != NULL)
            snprintf(text, WAITING_TEXT_MAX, "seeds %.100s and %.100s have the same member id",
                     twin_of(membership, i)->name, peer->name);
    }
}

static int
compare_members(const void *a, const void *b)
{
    return memcmp(&((const Member *)a)->id, &((const Member *)b)->id, sizeof(MemberId));
}

static void
fill_first_topology(Membership *membership, Arena *arena, Topology *topology)
{
    const HostConfig *config = membership->config;
    const HostQuestions *host = membership->host;

    topology->epoch = 1;
    topology->partitions = config->partitions;
    for (unsigned i = 0; i < sizeof(topology->cluster); i++)
        topology->cluster[i] = (uint8_t)host->random(host->context);
    topology->member_count = membership->seed_count + 1;
    topology->members = arena_alloc_zero(arena, sizeof(Member) * topology->member_count);
    topology->members[0] = (Member){.id = config->id,
                                    .name = config->name,
                                    .address = config->address,
                                    .port = config->port,
                                    .zone = config->zone,
                                    .weight = config->weight};
    for (uint32_t i = 0; i < membership->seed_count; i++)
    {
        const Peer *peer = membership_peer(membership, membership->seed_peers[i]);

        topology->members[i + 1] = (Member){.id = peer->id,
                                            .name = peer->name,
                                            .address = peer->address,
                                            .port = peer->port,
                                            .zone = peer->zone,
                                            .weight = peer->weight};
    }
    qsort(topology->members, topology->member_count, sizeof(Member), compare_members);
    topology_claim(topology, arena);
}

static void
propose_first(Membership *membership, uint64_t now_ms, Actions *actions)
{
    const HostQuestions *host = membership->host;
    Arena arena;
    Topology topology = {0};
    Buffer document;

    arena_init(&arena, &MEMORY_HEAP);
    buffer_init(&document, &MEMORY_HEAP);
    fill_first_topology(membership, &arena, &topology);
    topology_encode(&document, &topology);
    paxos_propose(membership->paxos, buffer_slice(&document), now_ms, host->random(host->context),
                  actions);
    buffer_free(&document);
    arena_free(&arena);
}

static bool
has_lowest_id(Membership *membership)
{
    for (uint32_t i = 0; i < membership->seed_count; i++)
    {
        const Peer *peer = membership_peer(membership, membership->seed_peers[i]);

        if (memcmp(&peer->id, &membership->config->id, sizeof(MemberId)) < 0)
            return false;
    }
    return true;
}

void
membership_try_formation(Membership *membership, uint64_t now_ms, Actions *actions)
{
    describe_formation(membership);
    if (membership->waiting_for[0] != '\0')
    {
        membership->complete_ms = 0;
        return;
    }
    snprintf(membership->waiting_for, WAITING_TEXT_MAX, "the seeds agree; the cluster is forming");
    if (membership->complete_ms == 0)
        membership->complete_ms = now_ms;
    if (!paxos_is_proposing(membership->paxos) &&
        (has_lowest_id(membership) || now_ms >= membership->complete_ms + SECOND_PROPOSER_MS))
        propose_first(membership, now_ms, actions);
}
