/*
 * step: what the step modules of a node share, the view they decide on and the actions they want.
 *
 * A step module takes an event and appends actions to those that its view carries; it never does
 * I/O, reads a clock or draws a random number. The engine (node/engine/engine.h) runs the actions
 * after the step has returned. Frames and keys named by an action live in the Actions until
 * actions_reset().
 */
#ifndef NODE_ENGINE_STEP_STEP_H
#define NODE_ENGINE_STEP_STEP_H

#include "node/engine/step/ticket.h"
#include "node/engine/store/storage.h"
#include "shared/data/context.h"
#include "shared/wire/message.h"

/* Where an answer goes: a session of the server, and the tag of the frame it answers. */
typedef struct Origin
{
    uint64_t session;
    uint32_t tag;
} Origin;

/* What a step may know, and where it puts what it wants done. Member numbers are indexes into
 * topology->members. */
typedef struct View
{
    struct Actions *actions;  /* NULL: the step is only looked at, and asks for nothing */
    const Topology *topology; /* epoch 0 while in no cluster */
    uint32_t self;            /* own member number, or TOPOLOGY_NO_MEMBER */
    const bool *up;           /* by member: reachable now; own entry true */
    const ContextKeys *context_keys;
    uint64_t now_ms;  /* monotonic */
    uint64_t wall_ms; /* since 1970, for people */
    uint32_t request_timeout_ms;
    uint32_t max_key_bytes;
    uint32_t max_value_bytes;
    uint32_t siblings_warn;   /* a write that leaves more is warned of; 0: none is */
    uint32_t siblings_max;    /* as Put */
    size_t answer_bytes_max;  /* of the objects in one answer */
    const HintTotals *hints;  /* what this node owes */
    const Trees *trees;       /* over what it holds; NULL: there are none */
    uint64_t hints_max_bytes; /* it stands in for no owner when it owes more */
    const Run *run;           /* of the own store */
    const Recall *recall;     /* likewise; NULL: nothing is remembered */
    Rounds *rounds;           /* of the own store; NULL: none */
    bool cannot_write;        /* the own disk is full or failed */
    bool refilling; /* the own storage may lack what was acknowledged: it answers no read, and
                       coordinates no write */
    const struct Unreadable *unreadable; /* what it withholds; NULL: nothing */
    const struct Orphans *orphans;       /* what it takes from others then; NULL: all */
} View;

typedef enum ActionKind
{
    ACTION_REPLY,     /* frame to session */
    ACTION_SEND,      /* frame to member */
    ACTION_SEND_PEER, /* frame to the peer of that number, member or not */
    ACTION_DATAGRAM,  /* frame to the member, over UDP */
    ACTION_NOTE,      /* frame: what this node has seen of data directories */
    ACTION_LOG,       /* text */
    ACTION_WARN,      /* likewise */
    ACTION_END,       /* likewise: why the node must not go on */
    ACTION_APPLY,
    ACTION_READ,
    ACTION_SCAN,
    ACTION_OWED,
    ACTION_SET_ROUND,
    ACTION_CHECK,       /* of the storage's files */
    ACTION_REBUILD_TREE /* of the storage */
} ActionKind;

typedef struct Action
{
    ActionKind kind;
    uint64_t session;
    uint32_t member;     /* or peer */
    size_t frame_offset; /* into Actions.frames */
    size_t frame_length;
    const char *text; /* in Actions.arena */
    uint64_t ref;
    Slice storage_key;    /* likewise */
    const Update *update; /* in the step module's memory, valid until the action has run */
    StorageRange range;
    StorageOwed owed;
    Round round;
    bool anew; /* as Storage.check */
    uint32_t max_bytes;
    TreeId tree;
} Action;

typedef struct Actions
{
    Arena arena;
    Buffer frames;
    size_t frame_start; /* of the frame in the making */
    Buffer key;         /* a storage key in the making */
    Buffer state;       /* to be durable before any of the list is run */
    bool has_state;
    Action *list;
    size_t count;
    size_t capacity;
    size_t done; /* run so far */
} Actions;

/* This node cannot write, and another owner of the position can: what it holds may be older than
 * what that one does, so it answers no read of it. */
bool step_leaves_reads(const View *view, uint32_t n, uint64_t position);

/* Why a bucket is not known: it was dropped, or is not heard of yet. */
StatusCode step_no_bucket(const View *view, uint32_t bucket_id);

/*
 * A member has refused what this node had sent, and told below which label it does so. Data that
 * are whole may be sent under that label from now on: of what they lack the proof of, nothing was
 * reaped (node/engine/repair/reaping.h).
 */
void step_learn_round(const View *view, uint32_t bucket_id, uint64_t position, uint64_t round);

void actions_init(Actions *actions);
void actions_free(Actions *actions);
void actions_reset(Actions *actions);

/*
 * Returns where to encode the state that must be durable before anything that is asked for leaves,
 * now or before it: what Paxos promised must be kept before an answer that says so. Later state
 * takes the place of earlier.
 */
Buffer *actions_persist(Actions *actions);

/* Returns where to encode the one frame; actions_reply, actions_send, actions_send_peer,
 * actions_datagram or actions_note says what becomes of it. */
Buffer *actions_frame(Actions *actions);
void actions_reply(Actions *actions, uint64_t session);
void actions_send(Actions *actions, uint32_t member);
void actions_send_peer(Actions *actions, uint32_t peer);
void actions_datagram(Actions *actions, uint32_t member);
void actions_note(Actions *actions);

/* For people. */
void actions_log(Actions *actions, const char *format, ...) __attribute__((format(printf, 2, 3)));
void actions_warn(Actions *actions, const char *format, ...) __attribute__((format(printf, 2, 3)));
void actions_end(Actions *actions, const char *format, ...) __attribute__((format(printf, 2, 3)));
void actions_error(Actions *actions, Origin origin, StatusCode status, const char *message);
void actions_apply(Actions *actions, uint32_t bucket_id, uint64_t position, Slice key,
                   const Update *update, uint64_t ref);
void actions_read(Actions *actions, uint32_t bucket_id, uint64_t position, Slice key, uint64_t ref);
void actions_scan(Actions *actions, const StorageRange *range, uint64_t ref);
void actions_owed(Actions *actions, const StorageOwed *owed, uint64_t ref);
void actions_set_round(Actions *actions, const Round *round, uint64_t ref);
void actions_check(Actions *actions, bool anew, uint32_t max_bytes, uint64_t ref);
void actions_rebuild_tree(Actions *actions, TreeId tree);

/* The object of a key as it travels to another node: with all that is remembered to be replaced. Of
 * an absent one that may be all there is. */
Slice step_tell(const View *view, uint32_t bucket_id, uint64_t position, Slice key, Slice object,
                Arena *arena);

/* Tells a member that what it answered was labelled less than round. */
void step_notice_round(uint32_t bucket_id, uint64_t position, uint64_t round, uint32_t member,
                       Actions *actions);

#endif
