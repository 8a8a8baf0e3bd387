/*
 * Witness: what the nodes remember of each other's data directories, and whether the own one is the
 * one that it was, as a step module.
 *
 * Every hello tells the run and the durable commit number of the sender's data
 * (node/engine/store/lineage.h) and what the sender remembers of the receiver's. A node that is
 * told, by a peer or by its own notes beside the data, of a mark that its data do not hold has lost
 * what it may have acknowledged: it is lost until it has been filled from the other owners
 * (node/engine/repair/refill.h). As long as it has not heard every other member since its start it
 * is in doubt, for so long that one that can be reached has answered.
 *
 *  W1  Only durable numbers are told, so a crash is never taken for a loss.
 *  W2  A mark is remembered only of a sender that has proved to hold what was remembered before:
 *      what shows a loss is not overwritten by who suffers from it.
 *  W3  A node takes or sends no write over a link before the two have exchanged marks; so whoever
 *      has stored a write together with a member knows of the run in which it did. Of the commits
 *      of a run what is known may be older by the time between two hellos.
 *  W4  The notes are durable before the first write of a run is, as to the own run. What is heard
 *      is noted within WITNESS_NOTE_MS, new runs at once, without waiting.
 *
 * Of what a node has promised and accepted as a voter (node/engine/cluster/paxos.h) marks are
 * remembered likewise. That lies beside the data and outlives them, so a node whose data are lost
 * keeps its vote, or the cluster could not be rid of a dead member that it waits for. It has none
 *
 *  W5  while somebody remembers a later mark of it, or it has not heard so many members that they
 *      and it are a majority;
 *  W6  and, when all that is known of the loss is what others say, until witness_may_vote(): then
 *      its notes were set back with its data, and so may have been what it promised.
 *
 * Not found out: a copy that lacks nothing of its run but what was committed after the last hello
 * that left (a quarter of a second); what only members know that cannot be reached within
 * WITNESS_DOUBT_MS of the start (until they can be); and what only members heard that were all
 * killed before they had noted it. A write that was acknowledged by the lost disk alone is lost. A
 * vote that was given to a member which is gone for good, within a quarter of a second before all
 * of the folder was set back, together with notes that are newer than the data, can be given twice.
 */
#ifndef NODE_ENGINE_CLUSTER_WITNESS_H
#define NODE_ENGINE_CLUSTER_WITNESS_H

#include "node/engine/cluster/paxos.h"
#include "node/engine/step/host.h"
#include "node/engine/step/step.h"

typedef struct Witness Witness;

enum
{
    WITNESS_NOTE_MS = 5000,
    WITNESS_DOUBT_MS = 1000 /* or peer_timeout_ms, if that is less */
};

/* Both are borrowed; of paxos its mark alone is looked at. */
Witness *witness_new(const HostConfig *config, const Paxos *paxos);
void witness_free(Witness *witness);

/* The storage was opened; notes are what was last noted, or empty. storage is only looked at. */
void witness_open(Witness *witness, const Storage *storage, Slice notes, bool in_cluster,
                  Actions *actions);

/* Fills in what a hello says of data and votes; to: the receiver, NULL when not known. */
void witness_fill_hello(const Witness *witness, const MemberId *to, HelloFrame *hello);

/* A hello, or the answer to one. True when the sender should get a hello at once: it is the first
 * that proves the own data to it. */
bool witness_take_hello(Witness *witness, const Topology *topology, const HelloFrame *hello,
                        Actions *actions);

/* The own data may lack what was acknowledged: no read may be answered from them. joined_ms: for
 * how long this run has known that it is in the cluster. */
bool witness_withholds(const Witness *witness, const Topology *topology, uint64_t joined_ms);

/* May this node take part in decisions? */
bool witness_votes(const Witness *witness, const Topology *topology, uint64_t joined_ms);

/* It may have forgotten what it promised, and witness_votes() does not say so before
 * witness_may_vote(), by when all others have settled what it had a vote in. */
bool witness_has_forgotten(const Witness *witness);
void witness_may_vote(Witness *witness);

/* The highest mark of this node that anybody, itself among them, remembers. */
VoteMark witness_own_votes(const Witness *witness);

/* A member has voted. */
void witness_take_vote(Witness *witness, const MemberId *id, const VoteMark *mark);

/* It is known that they do. */
bool witness_is_lost(const Witness *witness);

/* The lost runs that were heard of and not settled; valid until the next event. */
const RunId *witness_lost_runs(const Witness *witness, uint32_t *count);

/* The disk was filled, and storage has settled the lost runs. */
void witness_filled(Witness *witness);

/* What is withheld (node/engine/repair/unreadable.h), to be noted at once; and what was withheld
 * when the notes were written that witness_open() has read, valid until then. */
void witness_withhold(Witness *witness, const StorageExtent *extents, uint32_t count);
const StorageExtent *witness_withheld(const Witness *witness, uint32_t *count);

/* Has that member said that it is being filled? */
bool witness_is_refilling(const Witness *witness, const MemberId *id);

/* Notes what is new, when it is time to or now. */
void witness_note(Witness *witness, uint64_t now_ms, bool now, Actions *actions);

#endif
