/*
 * How a cluster begins: when all seeds agree on who they are, one of them proposes the first
 * topology. Until then what the node waits for is kept in words, for the log and for whoever asks.
 */
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

/* Why a seed that has answered keeps a cluster from being formed, if it does. */
static void
describe_fault(Membership *membership, uint32_t seed, char *text)
{
    const HostConfig *config = membership->config;
    const Peer *peer = membership_peer(membership, membership->seed_peers[seed]);
    const Peer *twin = twin_of(membership, seed);

    if (peer->epoch > 0)
        snprintf(text, WAITING_TEXT_MAX,
                 "seed %.100s is in a cluster already: this node waits to be joined to it",
                 peer->name);
    else if (!says_where_it_is(peer))
        snprintf(text, WAITING_TEXT_MAX,
                 "the seed at %s is configured for %.64s:%u: correct its advertise_address and "
                 "port, or the seeds",
                 peer->place, peer->address, peer->port);
    else if (strcmp(peer->seeds, config->seeds) != 0)
        snprintf(text, WAITING_TEXT_MAX,
                 "seed %.60s has other seeds: %.120s; all seeds must have the same list",
                 peer->name, peer->seeds);
    else if (peer->partitions != config->partitions)
        snprintf(text, WAITING_TEXT_MAX,
                 "seed %.100s has partitions = %u; all seeds must have the same number", peer->name,
                 peer->partitions);
    else if (twin != NULL && twin->greeted)
        snprintf(text, WAITING_TEXT_MAX,
                 "seeds %.80s and %.80s have the same member id: one of the folders is a copy "
                 "(dynamo_node init makes a new one)",
                 twin->name, peer->name);
}

static bool
is_silent(const Peer *peer)
{
    return !peer->linked || !peer->greeted;
}

/* Names the seeds that have not answered, since they are what an operator looks for. */
static void
describe_silent(Membership *membership, char *text)
{
    uint32_t count = 0;
    size_t length;
    const char *before = ": ";

    for (uint32_t i = 0; i < membership->seed_count; i++)
        count += is_silent(membership_peer(membership, membership->seed_peers[i]));
    if (count == 0)
        return;
    length = (size_t)snprintf(text, WAITING_TEXT_MAX, "%u of %u other seeds have not answered yet",
                              count, membership->seed_count);
    for (uint32_t i = 0; i < membership->seed_count && length < WAITING_TEXT_MAX; i++)
    {
        const Peer *peer = membership_peer(membership, membership->seed_peers[i]);

        if (!is_silent(peer))
            continue;
        length +=
            (size_t)snprintf(text + length, WAITING_TEXT_MAX - length, "%s%s", before, peer->place);
        before = ", ";
    }
}

/*
 * Says what keeps the seeds from forming a cluster; "" when nothing does. A seed that is configured
 * otherwise comes before one that is silent, because waiting does not cure it.
 */
static void
describe_formation(Membership *membership)
{
    char *text = membership->waiting_for;

    text[0] = '\0';
    if (!membership->is_seed)
        snprintf(text, WAITING_TEXT_MAX,
                 "this node is not in its list of seeds: it waits to be joined to a cluster");
    for (uint32_t i = 0; i < membership->seed_count && text[0] == '\0'; i++)
    {
        if (!is_silent(membership_peer(membership, membership->seed_peers[i])))
            describe_fault(membership, i, text);
    }
    if (text[0] == '\0')
        describe_silent(membership, text);
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
