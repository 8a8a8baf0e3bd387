/*
 * Paxos: chooses one topology document for each epoch (Lamport, "Paxos Made Simple", one instance
 * an epoch), as a step module.
 *
 * The voters of an epoch are the members of the one before; for epoch 1 all seeds, and every one
 * must accept. A proposer that meets an accepted document completes that one. What this node
 * promised and accepted is part of its state, and each change of the state is asked to be durable
 * (actions_persist) before an answer that says so leaves.
 */
#ifndef NODE_ENGINE_CLUSTER_PAXOS_H
#define NODE_ENGINE_CLUSTER_PAXOS_H

#include "node/engine/step/step.h"

typedef struct Paxos Paxos;

Paxos *paxos_new(const MemberId *self);
void paxos_free(Paxos *paxos);

/* False when state is not what paxos_encode makes; an empty state is a new node's. */
bool paxos_load(Paxos *paxos, Slice state);
void paxos_encode(const Paxos *paxos, Buffer *buffer);

/* The chosen document, empty before the first, and its epoch. */
Slice paxos_document(const Paxos *paxos);
uint64_t paxos_epoch(const Paxos *paxos);

/* Who decides on the next epoch: peers by number, this node too or not, and how many of them are a
 * quorum. */
void paxos_set_voters(Paxos *paxos, const uint32_t *peers, uint32_t peer_count, bool self_votes,
                      uint32_t quorum);

/* How far this node's part in decisions has come. */
VoteMark paxos_mark(const Paxos *paxos);

/* Another node remembers that mark of this one, which may have forgotten what it promised: it
 * promises nothing to ballots up to that one any more. */
void paxos_pass(Paxos *paxos, const VoteMark *mark, Actions *actions);

/* Grants nothing from now on, or again: a node that may have gone back to an older state may have
 * forgotten what it promised. */
void paxos_set_mute(Paxos *paxos, bool mute);

/* Starts a ballot for the next epoch with this document, unless one is under way. random: 64 random
 * bits. */
void paxos_propose(Paxos *paxos, Slice document, uint64_t now_ms, uint64_t random,
                   Actions *actions);
bool paxos_is_proposing(const Paxos *paxos);

/* A PREPARE, ACCEPT or CHOSEN that came in on a session. paxos_epoch tells whether a document was
 * chosen. */
void paxos_session_frame(Paxos *paxos, Origin origin, const Frame *frame, Actions *actions);

/* A PROMISE or ACCEPTED from a voter, or a CHOSEN. */
void paxos_peer_frame(Paxos *paxos, uint32_t peer, const Frame *frame, uint64_t now_ms,
                      uint64_t random, Actions *actions);

/* Takes a document known to be chosen; true when it is newer than ours and of our cluster. */
bool paxos_take_chosen(Paxos *paxos, Slice document, Actions *actions);

/* Starts an unanswered ballot again, with a higher number. */
void paxos_tick(Paxos *paxos, uint64_t now_ms, uint64_t random, Actions *actions);

#endif
