/*
 * The inside of Membership, for the membership*.c files alone.
 */
#ifndef NODE_ENGINE_CLUSTER_MEMBERSHIP_PRIVATE_H
#define NODE_ENGINE_CLUSTER_MEMBERSHIP_PRIVATE_H

#include "node/engine/cluster/membership.h"

enum
{
    WAITING_TEXT_MAX = 512
};

typedef struct Peer
{
    char *place;     /* "address:port" where it is connected to */
    bool is_twin;    /* it has answered with this node's own member id */
    bool is_foreign; /* it is of another cluster */
    bool linked;     /* the link carries frames */
    bool greeted;    /* has answered a hello since linked */
    MemberId id;
    uint64_t epoch;
    char *name;
    char *address;
    char *zone;
    char *seeds;
    uint16_t port;
    uint32_t weight;
    uint32_t partitions;
    uint64_t hello_sent_ms;
    uint64_t hello_since_ms; /* the oldest unanswered hello; 0: none */
    bool silent;
    bool asked;         /* for its topology, without an answer yet */
    uint64_t asked_for; /* the last Fetch.question that it was asked */
    DiskState disk;     /* as it said last */
    char *disk_why;
    bool ready; /* likewise, in its epoch */
    uint8_t *done;
    size_t done_length;
} Peer;

/* What somebody waits for: that a bucket is made, or that one is dropped. */
typedef struct BucketWish
{
    struct BucketWish *next;
    Origin origin;
    Arena arena;
    size_t bytes;
    Bucket bucket;    /* to be made */
    uint32_t drop_id; /* to be dropped; 0: it is the other */
    uint64_t deadline_ms;
} BucketWish;

/* A topology that is being fetched. */
typedef struct Fetch
{
    uint64_t epoch; /* that, or a later one; 0: none */
    uint64_t question;
    uint32_t peer;   /* who was asked last */
    uint64_t due_ms; /* the next is asked then */
} Fetch;

/* What somebody waits for: that the plan is changed, committed or cleared. */
typedef struct PlanWish
{
    struct PlanWish *next;
    Origin origin;
    Arena arena;
    PlanFrame request;
    uint64_t plan;     /* which one is to be committed */
    bool was_proposed; /* so that a document may have what it asks for by this wish */
    uint64_t deadline_ms;
} PlanWish;

/* How far the plan under way is, in the epoch in force. */
typedef struct Moves
{
    uint8_t *done;        /* by this node; in the topology's arena; NULL: nothing moves */
    bool ready;           /* this node is */
    bool has_news;        /* which the others were not told yet */
    uint64_t told_ms;     /* when they were told last that there are some */
    bool is_stale;        /* whether the plan can go on is to be looked at anew */
    uint64_t since_ms;    /* when it was first seen that it can; 0: it cannot */
    uint64_t proposed_ms; /* the last document that took it on */
} Moves;

/* A node that is no member and has said hello. */

struct Membership
{
    const HostConfig *config;
    const HostQuestions *host;
    Paxos *paxos;
    Witness *witness;
    Arena arena; /* of the topology */
    Topology topology;
    uint32_t self;
    bool *up;
    bool *dead;             /* by member, as gossip has it */
    uint32_t *member_peers; /* by member */
    bool epoch_changed;
    Peer *peers;
    uint32_t peer_count;
    Fetch fetch;
    uint32_t *seed_peers;
    uint32_t seed_count; /* the others among the seeds */
    bool is_seed;
    uint64_t complete_ms; /* since when all seeds agree; 0: they do not */
    BucketWish *wishes;   /* oldest first */
    BucketWish **wishes_end;
    uint32_t wish_count;
    size_t wish_bytes;
    PlanWish *plan_wishes; /* oldest first */
    Moves moves;
    Newcomer *newcomers;
    uint32_t newcomer_count;
    uint64_t last_tick_ms;
    char waiting_for[WAITING_TEXT_MAX];
};

/* The entry of a peer; made when it is not there. */
Peer *membership_peer(Membership *membership, uint32_t number);

/* ---- membership_fetch.c ---- */

/* Asks the next peer for what is being fetched, when it is time to. */
void membership_fetch_on(Membership *membership, uint64_t now_ms, Actions *actions);

/* A FRAME_TOPOLOGY: the answer to a question of ours, and to no other. */
void membership_take_topology(Membership *membership, uint32_t number, const Frame *frame,
                              uint64_t now_ms, Actions *actions);

/* ---- membership_formation.c ---- */

/* While in no cluster: says what is waited for, and proposes epoch 1 when nothing is. */
void membership_try_formation(Membership *membership, uint64_t now_ms, Actions *actions);

/* ---- membership_buckets.c ---- */

/* A FRAME_BUCKET_CREATE or FRAME_BUCKET_DROP. */
void membership_change_buckets(Membership *membership, Origin origin, const Frame *frame,
                               uint64_t now_ms, Actions *actions);
void membership_free_wishes(Membership *membership);

/* Settles the wishes that can be settled, and proposes the others. */
void membership_pump_buckets(Membership *membership, uint64_t now_ms, Actions *actions);

/* ---- membership_plan.c ---- */

/* A FRAME_PLAN. */
void membership_change_plan(Membership *membership, Origin origin, const Frame *frame,
                            uint64_t now_ms, Actions *actions);
void membership_free_plans(Membership *membership);

/* Settles the wishes that can be settled, and proposes the next one. */
void membership_pump_plans(Membership *membership, uint64_t now_ms, Actions *actions);

/* A hello on a session, perhaps of a node that is no member. */
void membership_meet_newcomer(Membership *membership, const HelloFrame *hello, uint64_t now_ms);

/* ---- membership_moves.c ---- */

/* Another epoch is in force. */
void membership_follow_moves(Membership *membership);

/* What this node tells of itself, and what a peer does on the link to it, before its epoch is
 * taken; a restart of the peer ends the link, and what it said is void until it says it again. */
void membership_fill_progress(const Membership *membership, HelloFrame *hello);
void membership_take_progress(Membership *membership, Peer *peer, const HelloFrame *hello);

/* The hello came elsewhere, and has other progress than the peer told on the link. */
bool membership_is_news(const Peer *peer, const HelloFrame *hello);

/* Greets the others if they were not told yet what has been done, and when that is due. */
uint64_t membership_news_ms(const Membership *membership);
void membership_tell_moves(Membership *membership, uint64_t now_ms, Actions *actions);

/* Proposes the next document of the plan under way, if it can go on and it is this node's turn. */
void membership_pump_moves(Membership *membership, uint64_t now_ms, Actions *actions);

#endif
