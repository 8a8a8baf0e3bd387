/*
 * What the engine*.c files share: engine.c takes the events, engine_session.c what sessions send,
 * engine_turn.c runs what the steps ask for, engine_steps.c is the table of the steps,
 * engine_damage.c sees to what cannot be read, engine_admin.c to what people ask.
 */
#ifndef NODE_ENGINE_ENGINE_PRIVATE_H
#define NODE_ENGINE_ENGINE_PRIVATE_H

#include "node/engine/cluster/gossip_port.h"
#include "node/engine/cluster/membership.h"
#include "node/engine/engine.h"
#include "node/engine/repair/unreadable.h"
#include "node/engine/repair/orphans.h"
#include "node/engine/repair/joining.h"
#include "node/engine/repair/purge.h"
#include "node/engine/repair/refill.h"
#include "node/engine/request/coordinator.h"
#include "node/engine/request/replica.h"
#include "node/engine/store/completion.h"

enum
{
    ENGINE_RANGES_TOLD = 16
};

/* What frames wait for, since it will be known in a moment. */
typedef enum EngineDoubt
{
    ENGINE_SURE,
    ENGINE_IN_DOUBT, /* whether this node's data are whole */
    ENGINE_FINDS_OUT /* they are not: what of them may take writes all the same */
} EngineDoubt;

typedef struct HeldFrame
{
    uint64_t session;
    EngineAsker asker;
    uint64_t arrived_ms;
    uint64_t until_ms;
    Buffer frame;
} HeldFrame;

struct Engine
{
    EngineConfig config;
    HostCalls host;
    Storage *storage;
    ContextKeys context_keys;
    Membership *membership;
    GossipPort gossip;
    Coordinator *coordinator;
    Replica *replica;
    Refill *refill; /* NULL: there is nothing to refill */
    Admission admission;
    bool peers_wait;       /* see engine_takes_peer_frames() */
    uint64_t turn_wait_ms; /* the longest that a frame of this turn had waited */
    bool turn_had_frames;
    Pacer pacer;
    uint64_t noted_frames; /* of clients' writes, by the pacer */
    uint64_t noted_ms;
    Handoff *handoff;
    Antientropy *antientropy;
    Unreadable *unreadable;
    uint64_t noted_withheld; /* changes of it, as far as they were noted */
    Reaping *reaping;
    Orphans *orphans;
    Scrub *scrub;
    Purge *purge;
    Joining *joining;
    StorageExtent told[ENGINE_RANGES_TOLD]; /* to people, of what cannot be read */
    uint32_t told_next;
    EngineDoubt doubt;      /* when it was last looked */
    bool was_lost;          /* likewise: the data are known to be older than they were */
    uint64_t mute_until_ms; /* 0: it has its vote, or the others are not all there */
    EngineAsker asker;      /* of the frame being dispatched */
    Actions actions;
    Completions completions; /* what storage has answered */
    StorageEvents answers;   /* which are put there */
    uint64_t now_ms;
    uint64_t wall_ms;
    uint64_t started_ms;
    uint64_t joined_ms; /* since when this run knows that it is in the cluster; 0: it does not */
    bool *was_up;       /* by member, as the coordinator was last told */
    uint32_t was_up_count;
    HeldFrame *held;
    uint32_t held_count;
    size_t held_bytes;
    uint64_t frames_refused;
};

bool engine_is_member(const Engine *engine);

/* Before membership is given a frame of that type. */
void engine_set_mute(Engine *engine, FrameType type);

/* ---- engine_turn.c ---- */

/* What a step decides on, with where its actions go; or without, for who only looks. */
View engine_view(Engine *engine);
View engine_look(const Engine *engine);

/* This node answers no read of its own data. */
bool engine_is_withheld(const Engine *engine);

/* It takes part in decisions on topologies. */
bool engine_votes(const Engine *engine);

/* Tells the storage how many partitions the ring has, before anything is asked of it that its trees
 * must hear of. */
void engine_tell_partitions(Engine *engine);

/* Runs what the steps have asked for, and what the storage's answers make them ask for. */
void engine_run_actions(Engine *engine);

/* ---- engine_session.c ---- */

/* Carries out a frame of engine->asker, refuses it or, when it may, holds it back. */
void engine_dispatch(Engine *engine, uint64_t session, uint64_t waited_ms, Slice bytes,
                     bool may_hold);

EngineDoubt engine_doubt(const Engine *engine);

/* Dispatches held frames that need not wait any more, or whose time is up; or forgets them all. */
void engine_release_held(Engine *engine);
void engine_drop_held(Engine *engine);

/* ---- engine_steps.c ---- */

/* Lets the steps go on, at the end of a turn. */
void engine_steps_go_on(Engine *engine);

/* Tells the step whose answer it is. */
void engine_take_answer(Engine *engine, const Completion *answer);

/* What a member has answered, or that it will not. */
void engine_steps_member_frame(Engine *engine, uint32_t member, const Frame *frame);
void engine_steps_member_down(Engine *engine, const View *view, uint32_t member);

/* Is anything of the partition under way at this node, as a round of reaping asks? */
bool engine_steps_are_busy(void *engine, const View *view, TreeId id);

/* ---- engine_damage.c ---- */

/* What is stored there cannot be read: the other owners are asked, and people are told, of each
 * extent once. */
void engine_unreadable(Engine *engine, const View *view, const StorageExtent *extent);

/* What was withheld by the process before its end is withheld again; and what came of it. */
void engine_withhold_as_noted(Engine *engine);
void engine_tell_mended(Engine *engine);
void engine_tell_forgotten(Engine *engine);

/* ---- engine_admin.c ---- */

void engine_take_repair(Engine *engine, Origin origin, const Frame *frame);
void engine_tell_repair(Engine *engine, Origin origin, const Frame *frame);

#endif
