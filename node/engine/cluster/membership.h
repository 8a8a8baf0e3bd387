/*
 * Membership: who the other nodes are, which of them can be reached, and what is proposed for the
 * next epoch; a step module.
 *
 * Formation: a node in no cluster greets its seeds. When every seed has answered with the same set
 * of seeds and partitions and none is in a cluster, epoch 1 is proposed, by the seed with the
 * lowest member id (by the others when it does not get there); all seeds must accept it. A seed
 * that is in a cluster is asked for its topology instead. Liveness: a hello to every peer at short
 * intervals tells whether its link answers; a member is up while it does, it is who the topology
 * says, its disk takes writes and gossip (node/engine/cluster/gossip.h) does not hold it for dead.
 * A node that was paused itself holds no silence against others. Buckets: wishes that some are made
 * or dropped wait in a queue; all that wait are one proposal on top of the newest topology. Plans:
 * hellos tell how far each member is with what its partitions' steps ask of it; whoever sees that
 * the plan can go on proposes the next document of it, the member with the lowest slot first.
 */
#ifndef NODE_ENGINE_CLUSTER_MEMBERSHIP_H
#define NODE_ENGINE_CLUSTER_MEMBERSHIP_H

#include "node/engine/cluster/paxos.h"
#include "node/engine/cluster/witness.h"
#include "node/engine/step/host.h"
#include "node/engine/step/step.h"
#include "shared/ring/plan.h"

typedef struct Membership Membership;

enum
{
    NEWCOMER_TEXT_MAX = 256
};

/* A node that is no member and offers itself to this one; what it says of itself. */
typedef struct Newcomer
{
    MemberId id;
    char name[NEWCOMER_TEXT_MAX];
    char address[NEWCOMER_TEXT_MAX];
    char zone[NEWCOMER_TEXT_MAX];
    uint16_t port;
    uint32_t weight;
    uint32_t partitions;
    uint8_t cluster[16]; /* that it has data of; zeros: none */
    uint64_t heard_ms;
} Newcomer;

/* config and host are borrowed. */
Membership *membership_new(const HostConfig *config, const HostQuestions *host, Slice state,
                           Actions *actions);
void membership_free(Membership *membership);
Paxos *membership_paxos(Membership *membership);
Witness *membership_witness(const Membership *membership);

/* The topology in force (epoch 0: none), own member number, and who is up by member; valid until
 * the next event. */
const Topology *membership_topology(const Membership *membership);
uint32_t membership_self(const Membership *membership);
const bool *membership_up(const Membership *membership);

/* True while frames to the member can be sent and are answered. */
bool membership_link_answers(const Membership *membership, uint32_t member);

/* What the member, another one, says of its disk; why is valid until the next event. */
DiskState membership_disk(const Membership *membership, uint32_t member, const char **why);

/* Gossip's verdict on a member. */
void membership_judge(Membership *membership, uint32_t member, bool dead);

/* What a plan must know of the members, by what this node sees; without sizes. */
PlanFacts membership_plan_facts(const Membership *membership, Arena *arena);

/* The peer number of a member, and the reverse; TOPOLOGY_NO_MEMBER when there is none. */
uint32_t membership_peer_of(const Membership *membership, uint32_t member);
uint32_t membership_member_of(const Membership *membership, uint32_t peer);

/* This node joins and may become an owner, or leaves and keeps nothing for others. */
void membership_set_ready(Membership *membership, bool ready);

/* The member, this node or one that is up, says so of itself. */
bool membership_is_ready(const Membership *membership, uint32_t member);

/* Those that were heard lately, one a call, from *index 0 on; NULL: there are no more. Valid until
 * the next event. */
const Newcomer *membership_next_newcomer(const Membership *membership, uint32_t *index,
                                         uint64_t now_ms);

/* The member, this node or one that is up, has said that it has done what the step of the partition
 * asks of it, in the epoch in force. */
bool membership_has_done(const Membership *membership, uint32_t member, uint32_t partition);

/* True once after each change of epoch. */
bool membership_epoch_changed(Membership *membership);

/* Every other member has been heard since the start, and none of a newer epoch than is in force
 * here: so nothing was written yet to what a newer one may have. */
bool membership_is_abreast(const Membership *membership);

/* This node may have forgotten what it promised (node/engine/cluster/witness.h); all others have
 * settled what it had a vote in. */
void membership_regain_vote(Membership *membership, Actions *actions);

void membership_peer_up(Membership *membership, uint32_t peer, uint64_t now_ms, Actions *actions);
void membership_peer_down(Membership *membership, uint32_t peer);

/* HELLO, TOPOLOGY_FETCH, BUCKET_CREATE, BUCKET_DROP, PLAN and the frames of Paxos. */
void membership_session_frame(Membership *membership, Origin origin, const Frame *frame,
                              uint64_t now_ms, Actions *actions);

/* HELLO_REPLY, TOPOLOGY, and the answers of Paxos. */
void membership_peer_frame(Membership *membership, uint32_t peer, const Frame *frame,
                           uint64_t now_ms, Actions *actions);

/* Greets every peer now: what a hello tells has changed. */
void membership_greet(Membership *membership, uint64_t now_ms, Actions *actions);

/* Somebody has spoken of that epoch: if it is a newer one its topology is fetched, unless that is
 * under way. */
void membership_fetch(Membership *membership, uint64_t epoch, uint64_t now_ms, Actions *actions);
void membership_tick(Membership *membership, uint64_t now_ms, Actions *actions);
uint64_t membership_wake_ms(const Membership *membership);
const char *membership_waiting_for(const Membership *membership);

#endif
