/*
 * Peers and hellos, the topology in force, and what follows from a new one. A peer is whoever a
 * link goes to, known by its address alone until it answers; a member is who the topology names.
 * What waits for a majority (formation, buckets) is in the files beside this one.
 */
#include "node/engine/cluster/membership_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum
{
    TICK_MS = 100,
    HELLO_MS = 250,
    PAUSE_MS = 500 /* between two ticks: this process stood still */
};

static void adopt(Membership *membership, Actions *actions);

Peer *
membership_peer(Membership *membership, uint32_t number)
{
    while (membership->peer_count <= number)
    {
        membership->peers = memory_resize(&MEMORY_HEAP, membership->peers,
                                          (membership->peer_count + 1) * sizeof(Peer));
        membership->peers[membership->peer_count++] = (Peer){0};
    }
    return &membership->peers[number];
}

static void
set_text(char **target, Slice text)
{
    *target = memory_resize(&MEMORY_HEAP, *target, text.length + 1);
    if (text.length > 0)
        memcpy(*target, text.data, text.length);
    (*target)[text.length] = '\0';
}

/* Connects to whoever is there. */
static uint32_t
number_peer(Membership *membership, const char *address, uint16_t port)
{
    uint32_t number = membership->host->peer(membership->host->context, address, port);
    char place[80];

    snprintf(place, sizeof(place), "%s:%u", address, port);
    set_text(&membership_peer(membership, number)->place, slice_from_string(place));
    return number;
}

/* Numbers the peers of "host:port,host:port", leaving this node's own address out. */
static void
read_seeds(Membership *membership)
{
    const HostConfig *config = membership->config;
    char own[300];
    char *seeds = NULL;
    char *rest;

    set_text(&seeds, slice_from_string(config->seeds));
    snprintf(own, sizeof(own), "%s:%u", config->address, config->port);
    for (char *seed = strtok_r(seeds, ",", &rest); seed != NULL; seed = strtok_r(NULL, ",", &rest))
    {
        char *colon = strrchr(seed, ':');

        if (strcmp(seed, own) == 0)
            membership->is_seed = true;
        if (colon == NULL || strcmp(seed, own) == 0)
            continue;
        *colon = '\0';
        membership->seed_peers = memory_resize(&MEMORY_HEAP, membership->seed_peers,
                                               (membership->seed_count + 1) * sizeof(uint32_t));
        membership->seed_peers[membership->seed_count++] =
            number_peer(membership, seed, (uint16_t)strtoul(colon + 1, NULL, 10));
    }
    memory_resize(&MEMORY_HEAP, seeds, 0);
}

Membership *
membership_new(const HostConfig *config, const HostQuestions *host, Slice state, Actions *actions)
{
    Membership *membership = memory_resize(&MEMORY_HEAP, NULL, sizeof(Membership));

    *membership = (Membership){.config = config, .host = host, .self = TOPOLOGY_NO_MEMBER};
    arena_init(&membership->arena, &MEMORY_HEAP);
    membership->paxos = paxos_new(&config->id);
    membership->witness = witness_new(config, membership->paxos);
    read_seeds(membership);
    if (!paxos_load(membership->paxos, state))
    {
        membership_free(membership);
        return NULL;
    }
    paxos_set_voters(membership->paxos, membership->seed_peers, membership->seed_count,
                     membership->is_seed, membership->seed_count + 1);
    adopt(membership, actions);
    return membership;
}

void
membership_free(Membership *membership)
{
    for (uint32_t i = 0; i < membership->peer_count; i++)
    {
        Peer *peer = &membership->peers[i];

        memory_resize(&MEMORY_HEAP, peer->place, 0);
        memory_resize(&MEMORY_HEAP, peer->name, 0);
        memory_resize(&MEMORY_HEAP, peer->address, 0);
        memory_resize(&MEMORY_HEAP, peer->zone, 0);
        memory_resize(&MEMORY_HEAP, peer->disk_why, 0);
        memory_resize(&MEMORY_HEAP, peer->seeds, 0);
        memory_resize(&MEMORY_HEAP, peer->done, 0);
    }
    membership_free_wishes(membership);
    membership_free_plans(membership);
    memory_resize(&MEMORY_HEAP, membership->peers, 0);
    memory_resize(&MEMORY_HEAP, membership->seed_peers, 0);
    memory_resize(&MEMORY_HEAP, membership->member_peers, 0);
    memory_resize(&MEMORY_HEAP, membership->up, 0);
    memory_resize(&MEMORY_HEAP, membership->dead, 0);
    arena_free(&membership->arena);
    paxos_free(membership->paxos);
    witness_free(membership->witness);
    memory_resize(&MEMORY_HEAP, membership, 0);
}

Paxos *
membership_paxos(Membership *membership)
{
    return membership->paxos;
}

Witness *
membership_witness(const Membership *membership)
{
    return membership->witness;
}

const Topology *
membership_topology(const Membership *membership)
{
    return &membership->topology;
}

uint32_t
membership_self(const Membership *membership)
{
    return membership->self;
}

const bool *
membership_up(const Membership *membership)
{
    return membership->up;
}

uint32_t
membership_peer_of(const Membership *membership, uint32_t member)
{
    return membership->member_peers[member];
}

uint32_t
membership_member_of(const Membership *membership, uint32_t peer)
{
    for (uint32_t i = 0; i < membership->topology.member_count; i++)
    {
        if (membership->member_peers[i] == peer)
            return i;
    }
    return TOPOLOGY_NO_MEMBER;
}

bool
membership_is_abreast(const Membership *membership)
{
    for (uint32_t i = 0; i < membership->topology.member_count; i++)
    {
        uint32_t number = membership->member_peers[i];
        const Peer *peer = number < membership->peer_count ? &membership->peers[number] : NULL;

        if (i != membership->self && topology_is_present(&membership->topology, i) &&
            (peer == NULL || peer->name == NULL || peer->epoch > membership->topology.epoch))
            return false;
    }
    return true;
}

void
membership_regain_vote(Membership *membership, Actions *actions)
{
    VoteMark remembered = witness_own_votes(membership->witness);

    paxos_pass(membership->paxos, &remembered, actions);
    witness_may_vote(membership->witness);
    actions_log(actions, "this node votes on topologies again");
}

bool
membership_epoch_changed(Membership *membership)
{
    bool changed = membership->epoch_changed;

    membership->epoch_changed = false;
    return changed;
}

bool
membership_link_answers(const Membership *membership, uint32_t member)
{
    uint32_t number = membership->member_peers[member];

    if (number >= membership->peer_count)
        return false;

    const Peer *peer = &membership->peers[number];

    return peer->linked && peer->greeted && !peer->silent &&
           memcmp(&peer->id, &membership->topology.members[member].id, sizeof(MemberId)) == 0;
}

/* One that cannot write may lack what the others have, so it counts as down. */
static void
refresh_member(Membership *membership, uint32_t member)
{
    const char *why;
    bool was_up = membership->up[member];

    membership->up[member] =
        member == membership->self ||
        (membership_link_answers(membership, member) && !membership->dead[member] &&
         membership_disk(membership, member, &why) == DISK_WELL);
    membership->moves.is_stale = membership->moves.is_stale || membership->up[member] != was_up;
}

static void
refresh_up(Membership *membership)
{
    for (uint32_t i = 0; i < membership->topology.member_count; i++)
        refresh_member(membership, i);
}

DiskState
membership_disk(const Membership *membership, uint32_t member, const char **why)
{
    uint32_t number = membership->member_peers[member];
    const Peer *peer = number < membership->peer_count ? &membership->peers[number] : NULL;

    *why = peer != NULL && peer->disk_why != NULL ? peer->disk_why : "";
    return peer != NULL ? peer->disk : DISK_WELL;
}

void
membership_judge(Membership *membership, uint32_t member, bool dead)
{
    membership->dead[member] = dead;
    refresh_member(membership, member);
}

/* The members of the epoch in force vote on the next. */
static void
set_voters(Membership *membership)
{
    const Topology *topology = &membership->topology;
    uint32_t *peers = ARENA_ARRAY(&membership->arena, uint32_t, topology->member_count);
    uint32_t count = 0;

    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        if (i != membership->self && topology_is_present(topology, i))
            peers[count++] = membership->member_peers[i];
    }
    paxos_set_voters(membership->paxos, peers, count, membership->self != TOPOLOGY_NO_MEMBER,
                     topology->present / 2 + 1);
}

/* The others connect to where the topology has this node, and to nowhere else. */
static void
check_place(const Membership *membership, Actions *actions)
{
    const HostConfig *config = membership->config;
    const Topology *topology = &membership->topology;

    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        const Member *member = &topology->members[i];
        bool is_here = topology_is_present(topology, i) && member->port == config->port &&
                       strcmp(member->address, config->address) == 0;

        if (is_here == (i == membership->self))
            continue;
        if (is_here)
            actions_end(actions,
                        "the cluster has node %.63s, which has another member id, at this node's "
                        "address %s:%u: correct advertise_address or port, or start that node's "
                        "folder in place of this one",
                        member->name, member->address, member->port);
        else if (i == membership->self)
            actions_end(actions,
                        "the cluster has this node's member id at %s:%u, but this node is "
                        "configured for %s:%u: put advertise_address and port back, or, if the "
                        "folder is a copy of another node's, make a new one (dynamo_node init)",
                        member->address, member->port, config->address, config->port);
        return;
    }
}

/* Told once: what comes after it, a node that has left hears of only to refuse its clients. */
static void
say_if_left(const Membership *membership, Actions *actions)
{
    if (topology_has_left(&membership->topology, &membership->config->id))
        actions_warn(actions, "this node has left the cluster: it answers nobody any more and can "
                              "be stopped; to join again it needs a new folder (dynamo_node init)");
}

/* Takes up the topology that Paxos has chosen, if it is newer than the one in force. */
static void
adopt(Membership *membership, Actions *actions)
{
    Topology *topology = &membership->topology;
    uint32_t had = topology->member_count;
    bool was_member = membership->self != TOPOLOGY_NO_MEMBER || topology->epoch == 0;

    if (paxos_epoch(membership->paxos) <= topology->epoch)
        return;
    arena_reset(&membership->arena);
    *topology = (Topology){0};
    (void)topology_decode(slice_copy(&membership->arena, paxos_document(membership->paxos)),
                          &membership->arena, topology);
    membership->self = topology_member(topology, &membership->config->id);
    membership->up = memory_resize(&MEMORY_HEAP, membership->up, topology->member_count);
    membership->dead = memory_resize(&MEMORY_HEAP, membership->dead, topology->member_count);
    if (topology->member_count > had)
    {
        memset(membership->up + had, 0, topology->member_count - had);
        memset(membership->dead + had, 0, topology->member_count - had);
    }
    membership->member_peers = memory_resize(&MEMORY_HEAP, membership->member_peers,
                                             topology->member_count * sizeof(uint32_t));
    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        const Member *member = &topology->members[i];

        membership->member_peers[i] = i == membership->self || !topology_is_present(topology, i)
                                          ? TOPOLOGY_NO_MEMBER
                                          : number_peer(membership, member->address, member->port);
    }
    check_place(membership, actions);
    membership->epoch_changed = true;
    actions_log(actions, "the topology of epoch %llu is in force: %u members, %u buckets",
                (unsigned long long)topology->epoch, topology->present, topology->bucket_count);
    if (was_member)
        say_if_left(membership, actions);
    set_voters(membership);
    membership_follow_moves(membership);
    refresh_up(membership);
}

/* to: whom it is for, NULL when that is not known. */
static HelloFrame
own_hello(const Membership *membership, const MemberId *to)
{
    const HostConfig *config = membership->config;
    HelloFrame hello = {.id = config->id,
                        .name = slice_from_string(config->name),
                        .address = slice_from_string(config->address),
                        .port = config->port,
                        .zone = slice_from_string(config->zone),
                        .weight = config->weight,
                        .partitions = config->partitions,
                        .epoch = membership->topology.epoch,
                        .seeds = slice_from_string(config->seeds)};

    memcpy(hello.cluster, membership->topology.cluster, sizeof(hello.cluster));
    membership_fill_progress(membership, &hello);
    witness_fill_hello(membership->witness, to, &hello);
    return hello;
}

static void
send_hello(Membership *membership, uint32_t number, uint64_t now_ms, Actions *actions)
{
    Peer *peer = membership_peer(membership, number);
    uint32_t member = membership_member_of(membership, number);
    HelloFrame hello = own_hello(
        membership, member == TOPOLOGY_NO_MEMBER ? NULL : &membership->topology.members[member].id);

    peer->hello_sent_ms = now_ms;
    if (peer->hello_since_ms == 0)
        peer->hello_since_ms = now_ms;
    hello_encode(actions_frame(actions), FRAME_HELLO, 0, &hello);
    actions_send_peer(actions, number);
}

void
membership_greet(Membership *membership, uint64_t now_ms, Actions *actions)
{
    for (uint32_t i = 0; i < membership->peer_count; i++)
    {
        if (membership->peers[i].linked)
            send_hello(membership, i, now_ms, actions);
    }
}

void
membership_peer_up(Membership *membership, uint32_t peer, uint64_t now_ms, Actions *actions)
{
    Peer *entry = membership_peer(membership, peer);

    entry->linked = true;
    entry->asked = false;
    entry->greeted = false;
    entry->silent = false;
    entry->hello_since_ms = 0;
    send_hello(membership, peer, now_ms, actions);
}

void
membership_peer_down(Membership *membership, uint32_t peer)
{
    membership_peer(membership, peer)->linked = false;
    membership_peer(membership, peer)->greeted = false;
    refresh_up(membership);
}

static void
take_disk(Peer *peer, const HelloFrame *hello, Actions *actions)
{
    if (peer->disk != hello->disk)
        actions_log(actions, "node %.*s takes %s%.*s", (int)hello->name.length,
                    (const char *)hello->name.data,
                    hello->disk == DISK_WELL ? "writes again" : "no writes: ",
                    (int)hello->disk_why.length, (const char *)hello->disk_why.data);
    peer->disk = hello->disk;
    set_text(&peer->disk_why, hello->disk_why);
}

/* In a cluster the topology says which of the two is the member, and the other one ends. */
static void
meet_twin(const Membership *membership, Peer *peer, Actions *actions)
{
    const HostConfig *config = membership->config;

    if (peer->is_twin)
        return;
    peer->is_twin = true;
    (membership->topology.epoch == 0 ? actions_end : actions_log)(
        actions,
        "the node at %s has this node's member id: it runs on a copy of this node's folder "
        "(dynamo_node init makes a new one), or it is this node itself, which is configured for "
        "%s:%u (correct advertise_address or port)",
        peer->place, config->address, config->port);
}

static void
take_hello(Membership *membership, uint32_t number, const Frame *frame, uint64_t now_ms,
           Actions *actions)
{
    Peer *peer = membership_peer(membership, number);
    HelloFrame hello;

    if (!hello_decode(frame, &hello))
        return;
    if (memcmp(&hello.id, &membership->config->id, sizeof(MemberId)) == 0)
    {
        meet_twin(membership, peer, actions);
        return;
    }
    membership_take_progress(membership, peer, &hello);
    peer->id = hello.id;
    peer->epoch = hello.epoch;
    peer->port = hello.port;
    peer->weight = hello.weight;
    peer->partitions = hello.partitions;
    set_text(&peer->name, hello.name);
    set_text(&peer->address, hello.address);
    set_text(&peer->zone, hello.zone);
    set_text(&peer->seeds, hello.seeds);
    take_disk(peer, &hello, actions);
    peer->greeted = true;
    peer->silent = false;
    peer->hello_since_ms = 0;
    membership_fetch(membership, hello.epoch, now_ms, actions);
    if (witness_take_hello(membership->witness, &membership->topology, &hello, actions))
        send_hello(membership, number, now_ms, actions);
    refresh_up(membership);
}

/* A hello that comes on a session: of a member that this node has greeted itself, too. */
static void
take_news(Membership *membership, const HelloFrame *hello, uint64_t now_ms, Actions *actions)
{
    for (uint32_t i = 0; i < membership->peer_count; i++)
    {
        Peer *peer = &membership->peers[i];

        if (!peer->greeted || memcmp(&peer->id, &hello->id, sizeof(MemberId)) != 0)
            continue;
        take_disk(peer, hello, actions);
        if (membership_is_news(peer, hello))
            send_hello(membership, i, now_ms, actions);
    }
    refresh_up(membership);
}

static void
answer_hello(Membership *membership, Origin origin, const Frame *frame, uint64_t now_ms,
             Actions *actions)
{
    HelloFrame hello;
    HelloFrame answer;

    if (!hello_decode(frame, &hello))
    {
        actions_error(actions, origin, STATUS_BAD_FRAME, "");
        return;
    }
    (void)witness_take_hello(membership->witness, &membership->topology, &hello, actions);
    take_news(membership, &hello, now_ms, actions);
    membership_meet_newcomer(membership, &hello, now_ms);
    answer = own_hello(membership, &hello.id);
    hello_encode(actions_frame(actions), FRAME_HELLO_REPLY, origin.tag, &answer);
    actions_reply(actions, origin.session);
}

/* Sends the topology in force, unless the asker has it. */
static void
membership_answer_topology(Membership *membership, Origin origin, uint64_t have_epoch,
                           Actions *actions)
{
    TopologyFrame answer = {.epoch = membership->topology.epoch};

    if (answer.epoch == 0)
    {
        actions_error(actions, origin, STATUS_NOT_FORMED, membership_waiting_for(membership));
        return;
    }
    if (have_epoch < answer.epoch)
        answer.document = paxos_document(membership->paxos);
    topology_frame_encode(actions_frame(actions), origin.tag, &answer);
    actions_reply(actions, origin.session);
}

/* A document was chosen meanwhile: take it up, and look at the waiting creations again, which may
 * choose one more. */
static void
after_paxos(Membership *membership, uint64_t now_ms, Actions *actions)
{
    while (paxos_epoch(membership->paxos) > membership->topology.epoch)
    {
        adopt(membership, actions);
        membership_pump_moves(membership, now_ms, actions);
        membership_pump_buckets(membership, now_ms, actions);
        membership_pump_plans(membership, now_ms, actions);
    }
}

void
membership_session_frame(Membership *membership, Origin origin, const Frame *frame, uint64_t now_ms,
                         Actions *actions)
{
    TopologyFetch fetch;

    switch (frame->type)
    {
    case FRAME_HELLO:
        answer_hello(membership, origin, frame, now_ms, actions);
        break;
    case FRAME_TOPOLOGY_FETCH:
        if (topology_fetch_decode(frame, &fetch))
            membership_answer_topology(membership, origin, fetch.have_epoch, actions);
        else
            actions_error(actions, origin, STATUS_BAD_FRAME, "");
        break;
    case FRAME_BUCKET_CREATE:
    case FRAME_BUCKET_DROP:
        membership_change_buckets(membership, origin, frame, now_ms, actions);
        break;
    case FRAME_PLAN:
        membership_change_plan(membership, origin, frame, now_ms, actions);
        break;
    default:
        paxos_session_frame(membership->paxos, origin, frame, actions);
        break;
    }
    after_paxos(membership, now_ms, actions);
}

/* Who is given a vote remembers it. */
static void
note_vote(Membership *membership, uint32_t peer, const Frame *frame)
{
    uint32_t member = membership_member_of(membership, peer);
    PaxosFrame vote;
    VoteMark mark;

    if (member == TOPOLOGY_NO_MEMBER || frame->type == FRAME_CHOSEN ||
        !paxos_frame_decode(frame, &vote) || !vote.ok || vote.epoch == 0)
        return;
    mark = (VoteMark){.epoch = vote.epoch - 1,
                      .promised = vote.ballot,
                      .accepted = frame->type == FRAME_ACCEPTED ? vote.ballot : vote.accepted};
    witness_take_vote(membership->witness, &membership->topology.members[member].id, &mark);
}

void
membership_peer_frame(Membership *membership, uint32_t peer, const Frame *frame, uint64_t now_ms,
                      Actions *actions)
{
    const HostQuestions *host = membership->host;

    if (frame->type == FRAME_HELLO_REPLY)
        take_hello(membership, peer, frame, now_ms, actions);
    else if (frame->type == FRAME_TOPOLOGY)
        membership_take_topology(membership, peer, frame, now_ms, actions);
    else
    {
        note_vote(membership, peer, frame);
        paxos_peer_frame(membership->paxos, peer, frame, now_ms, host->random(host->context),
                         actions);
    }
    after_paxos(membership, now_ms, actions);
}

static void
tend_peer(Membership *membership, uint32_t number, bool paused, uint64_t now_ms, Actions *actions)
{
    Peer *peer = membership_peer(membership, number);

    if (!peer->linked)
        return;
    if (paused && peer->hello_since_ms != 0)
        peer->hello_since_ms = now_ms;
    if (peer->hello_since_ms != 0 &&
        now_ms >= peer->hello_since_ms + membership->config->peer_timeout_ms)
        peer->silent = true;
    if (now_ms >= peer->hello_sent_ms + HELLO_MS)
        send_hello(membership, number, now_ms, actions);
}

void
membership_tick(Membership *membership, uint64_t now_ms, Actions *actions)
{
    const HostQuestions *host = membership->host;
    bool paused = membership->last_tick_ms != 0 && now_ms >= membership->last_tick_ms + PAUSE_MS;

    membership_tell_moves(membership, now_ms, actions);
    if (now_ms < membership->last_tick_ms + TICK_MS)
        return;
    membership->last_tick_ms = now_ms;
    for (uint32_t i = 0; i < membership->peer_count; i++)
        tend_peer(membership, i, paused, now_ms, actions);
    membership_fetch_on(membership, now_ms, actions);
    paxos_tick(membership->paxos, now_ms, host->random(host->context), actions);
    if (membership->topology.epoch == 0)
        membership_try_formation(membership, now_ms, actions);
    after_paxos(membership, now_ms, actions);
    membership_pump_moves(membership, now_ms, actions);
    membership_pump_buckets(membership, now_ms, actions);
    membership_pump_plans(membership, now_ms, actions);
    after_paxos(membership, now_ms, actions);
    refresh_up(membership);
}

uint64_t
membership_wake_ms(const Membership *membership)
{
    uint64_t tick_ms = membership->last_tick_ms + TICK_MS;
    uint64_t news_ms = membership_news_ms(membership);

    return news_ms < tick_ms ? news_ms : tick_ms;
}

const char *
membership_waiting_for(const Membership *membership)
{
    if (membership->topology.epoch == 0)
        return membership->waiting_for[0] != '\0' ? membership->waiting_for
                                                  : "this node has just started";
    if (topology_has_left(&membership->topology, &membership->config->id))
        return "this node has left the cluster";
    return membership->self == TOPOLOGY_NO_MEMBER
               ? "this node is not a member: it waits to be joined"
               : "";
}
