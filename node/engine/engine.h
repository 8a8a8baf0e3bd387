/*
 * Engine: one node without its I/O, the step modules wired together.
 *
 * Frames, links going up and down, storage answers and time go in; frames, storage calls and state
 * to persist come out. The daemon (node/host/node.c) and the simulator (test/sim) run it unchanged.
 * Calls must not be nested: the host is called only from inside an engine call, and must not call
 * back into the engine. What storage answers is put into a queue: from inside its own calls it is
 * taken before the next action is run, else when the next event begins.
 *
 * A turn: engine_time(), any number of events, engine_turn_end(), which sends what was gathered
 * (replicates and their acknowledgements travel in batches, one frame a target a turn).
 *
 * Peers are numbered by the caller, one number for each address, for the life of the process.
 */
#ifndef NODE_ENGINE_ENGINE_H
#define NODE_ENGINE_ENGINE_H

#include "node/engine/admission.h"
#include "node/engine/cluster/gossip.h"
#include "node/engine/cluster/membership.h"
#include "node/engine/repair/antientropy.h"
#include "node/engine/repair/handoff.h"
#include "node/engine/repair/orphans.h"
#include "node/engine/repair/reaping.h"
#include "node/engine/repair/scrub.h"
#include "node/engine/step/host.h"
#include "node/engine/step/step.h"
#include "shared/base/cluster_keys.h"
#include "shared/ring/plan.h"

typedef struct Engine Engine;

typedef struct EngineConfig
{
    HostConfig host;
    uint32_t request_timeout_ms;
    uint32_t max_key_bytes;
    uint32_t max_value_bytes;
    uint32_t siblings_warn; /* as View */
    uint32_t siblings_max;
    ClusterKeys keys;            /* of the cluster */
    uint64_t hints_max_bytes;    /* as View */
    uint64_t background_bytes;   /* a second that background work may take, at most */
    uint64_t repair_interval_ms; /* in which all replicas are compared; 0: only when asked for */
    uint64_t reap_interval_ms;   /* between looks at a partition for what may be reaped; 0: none */
    AdmissionLimits admission;   /* of clients' frames */
} EngineConfig;

/* Who sent a frame. Only frames of clients are shed for load. */
typedef enum EngineAsker
{
    ENGINE_CLIENT,
    ENGINE_CLIENT_ALONE, /* with no other frame under way on its session */
    ENGINE_ADMIN,        /* a client otherwise */
    ENGINE_PEER          /* another node */
} EngineAsker;

typedef struct EngineCounters
{
    uint64_t writes; /* keys coordinated */
    uint64_t writes_refused;
    uint64_t writes_unknown;
    uint64_t writes_retried; /* that came marked as a retry */
    uint64_t siblings_warned;
    uint64_t siblings_refused; /* of writes_refused, for too many siblings */
    uint64_t reads;            /* keys read here, full or digest */
    uint64_t reads_coordinated;
    uint64_t repairs;    /* stale owners that a coordinated read sent the merge to */
    uint64_t replicates; /* keys taken from other nodes */
    uint64_t scans;
    uint64_t scan_digests_by_trees; /* of scans, digests that a tree knew */
    uint64_t scan_digests_by_rows;  /* and those for which rows were read */
    uint64_t frames_refused;
    uint64_t frames_shed[ADMISSION_VERDICTS]; /* of clients, for load: by reason */
    uint64_t stand_ins;                       /* keys kept for an owner that was down */
    uint64_t hints_handed;                    /* off */
    uint64_t hints_refused;                   /* keys not kept, since too much is owed already */
    AntientropyCounters antientropy;
    uint32_t ranges_withheld;   /* see node/engine/repair/unreadable.h */
    uint64_t records_forgotten; /* that could not be read, and that no other owner had */
    uint64_t records_purged;    /* of buckets that were dropped */
    uint32_t refill_planned;    /* owners of partitions to be compared with; 0: none is under way */
    uint32_t refill_finished;   /* of them */
} EngineCounters;

/* state: what persist() was last given, or empty. storage reports to engine_storage_events(). All
 * are borrowed. */
Engine *engine_new(const EngineConfig *config, const HostCalls *host, Slice state);
void engine_free(Engine *engine);
StorageEvents engine_storage_events(Engine *engine);
/*
 * Before the first event. notes: what note() was last given, or empty. When the data turn out to
 * be another directory's, or an older copy, the node answers no read until everything was copied
 * from the other owners (node/engine/cluster/witness.h, node/engine/repair/refill.h).
 */
void engine_set_storage(Engine *engine, Storage *storage, Slice notes);
bool engine_is_refilling(const Engine *engine);

/* Takes what may change while the node runs: the caps on clients' frames, and the time they have.
 */
void engine_set_limits(Engine *engine, const EngineConfig *config);

/* The cluster's keys have changed: contexts are sealed under the first from now on, and open under
 * any. */
void engine_set_keys(Engine *engine, const ClusterKeys *keys);

void engine_time(Engine *engine, uint64_t now_ms, uint64_t wall_ms);

/* A frame on a session of the server, that was received waited_ms ago; borrowed during the call. */
void engine_session_frame(Engine *engine, uint64_t session, EngineAsker asker, uint64_t waited_ms,
                          Slice frame);

/* The link to a peer carries frames from now on; or no longer does. */
void engine_peer_up(Engine *engine, uint32_t peer);
void engine_peer_down(Engine *engine, uint32_t peer);
void engine_peer_frame(Engine *engine, uint32_t peer, Slice frame);

/* A datagram has come from that address. */
void engine_datagram(Engine *engine, Slice datagram, const char *from);

/* Whatever became due; engine_wake_ms says when to call it next, at the latest. */
void engine_tick(Engine *engine);
uint64_t engine_wake_ms(const Engine *engine);
void engine_turn_end(Engine *engine);

/* The node is about to end: notes what is new. */
void engine_note(Engine *engine);

const Topology *engine_topology(const Engine *engine);
uint32_t engine_self(const Engine *engine);

/* Who is alive; its members are numbered as those of the topology. */
const Gossip *engine_gossip(const Engine *engine);
bool engine_member_is_up(const Engine *engine, uint32_t member);

/* As membership_plan_facts. */
PlanFacts engine_plan_facts(const Engine *engine, Arena *arena);
bool engine_member_is_refilling(const Engine *engine, uint32_t member);

/* It joins and may own partitions, or leaves and keeps nothing for others. */
bool engine_member_is_ready(const Engine *engine, uint32_t member);

/* As membership_next_newcomer, and membership_has_done. */
const Newcomer *engine_next_newcomer(const Engine *engine, uint32_t *index);
bool engine_member_has_done(const Engine *engine, uint32_t member, uint32_t partition);

/* Whether the member can write; why not is valid until the next event. */
DiskState engine_member_disk(const Engine *engine, uint32_t member, const char **why);
EngineCounters engine_counters(const Engine *engine);

/* How long what is next in a queue has waited, and what is under way. */
uint64_t engine_wait_ms(const Engine *engine, AdmissionQueue queue);
AdmissionLoad engine_load(const Engine *engine);

/* False while so much of other nodes' frames is under way that no more of them should be read: they
 * are never refused for load, so their senders must wait. */
bool engine_takes_peer_frames(const Engine *engine);

/* What this node owes to whom, and who brings it. */
const HintTotals *engine_hints(const Engine *engine);
const Handoff *engine_handoff(const Engine *engine);

/* How far replicas were compared, a row for each partition of a bucket and other owner, in the
 * order of member, bucket and partition. */
/* Over what the node keeps; NULL: it keeps none. */
const Trees *engine_trees(const Engine *engine);

RepairCursor engine_repair_seek(const Engine *engine, uint32_t index);
bool engine_repair_next(const Engine *engine, RepairCursor *cursor, RepairStatus *status);

/* The steps that people ask and give orders to; what they do of them begins with the turn's end. */
Reaping *engine_reaping(const Engine *engine);
Orphans *engine_orphans(const Engine *engine);

/* As reaping_status(): how it stands with a partition whose reaping this node has coordinated. */
ReapStatus engine_reaping_status(const Engine *engine, uint32_t index);

/* Begins to read all that the storage keeps, from the beginning, or stops it
 * (node/engine/repair/scrub.h). */
void engine_scrub(Engine *engine, bool begin);
ScrubStatus engine_scrub_status(const Engine *engine);

/* Why this node is in no cluster yet, a sentence for people; "" once it is in one. */
const char *engine_waiting_for(const Engine *engine);

#endif
