/*
 * What the antientropy*.c files share. antientropy.c has the way of events to lanes,
 * antientropy_pairs.c the pairs and what is known of them, antientropy_schedule.c says who is to be
 * compared when, antientropy_round.c has rounds over all pairs with a peer, antientropy_range.c
 * what cannot be read compared, antientropy_compare.c finds keys that differ, antientropy_mend.c
 * looks at them again and mends them, antientropy_answer.c answers.
 *
 * A lane works on one thing at a time: on the roots of many pairs with one peer, or on one pair
 * whose roots differ. It waits for one answer, of the peer or of storage, at a time; in LANE_READY
 * it waits for tokens to go on.
 */
#ifndef NODE_ENGINE_REPAIR_ANTIENTROPY_PRIVATE_H
#define NODE_ENGINE_REPAIR_ANTIENTROPY_PRIVATE_H

#include "node/engine/repair/antientropy.h"
#include "node/engine/step/outbox.h"

enum
{
    ANTIENTROPY_LANES = 16,
    ANTIENTROPY_RESULTS = 16,          /* that wait to be told */
    ANTIENTROPY_ANSWERS = 64,          /* that this node has in the making at a time */
    ANTIENTROPY_ROOTS_MAX = 4096,      /* in one frame */
    ANTIENTROPY_LEVEL_PARTS = 16,      /* in one frame */
    ANTIENTROPY_LEVEL_BITS = 4,        /* of a step down */
    ANTIENTROPY_KEYS_MAX = 1024,       /* that differ, held before they are mended; and a page */
    ANTIENTROPY_VERSIONS_MAX = 128,    /* in one frame */
    ANTIENTROPY_LIST_BYTES = 32 * 1024 /* of a list of keys in one frame */
};

#define ANTIENTROPY_PAGE_BYTES ((size_t)256 * 1024) /* of objects, read or sent at once */

/* Of a partition that a peer and this node do not share, whatever a bucket's n. */
#define ANTIENTROPY_NO_RANK UINT8_MAX

/* Positions; none while first > last. */
typedef struct PositionRange
{
    uint64_t first;
    uint64_t last;
} PositionRange;

#define POSITION_RANGE_NONE ((PositionRange){UINT64_MAX, 0})

typedef struct Pair
{
    RepairStatus status; /* parts and time left apart */
    uint32_t member;     /* the peer's number */
    struct Pair *chain;  /* in the table */
    struct Pair *next;   /* in the queue that it is in */
    bool queued;
    bool working;         /* a lane is at it */
    bool again;           /* it was asked for since the lane began */
    bool differs;         /* the roots did: it is to be descended */
    uint8_t peer_depth;   /* of the peer's leaves, when differs was found out */
    uint64_t equal_at_ms; /* monotonic: when it was found equal last, by either side; 0: never */
    PositionRange mend;   /* keys to be compared whatever the trees say */
    PositionRange mended; /* the last that were */
    uint64_t mended_at_ms;
    uint64_t mended_number; /* of the lane's work that did it */
} Pair;

/* Pairs in the order in which they wait. */
typedef struct PairQueue
{
    Pair *first;
    Pair *last;
} PairQueue;

/* A hash table of the pairs that there is something to remember of. */
typedef struct PairTable
{
    Pair **chains;
    uint32_t chain_count;
    uint32_t count;
    uint32_t sweep; /* chains before it are yet to be looked at for pairs of dropped buckets */
} PairTable;

/* Goes once around all pairs with a peer, in the order of buckets and partitions. */
typedef struct PairRound
{
    bool active;
    uint32_t number;      /* grows with each that begins */
    uint64_t since_ms;    /* pairs that were found equal later are passed over */
    uint64_t began_ms;    /* wall clock */
    uint32_t last_bucket; /* that there was when it began */
    TreeId start;
    TreeId at; /* the next one */
    bool wrapped;
} PairRound;

/* Another member; indexed by its number in the topology. */
typedef struct Peer
{
    MemberId id;
    uint8_t *ranks; /* by partition: a bucket whose n is larger has a pair there */
    uint32_t shared[TOPOLOGY_N_MAX + 1]; /* by n: the partitions that are shared with it */
    PairRound round;
    PairRound round_before;   /* as it was when the roots under way were taken */
    StatusCode round_failure; /* why the last roots of a round were not compared */
    uint64_t covered_ms;      /* wall clock: since when all that is not a Pair is equal; 0: never */
    uint32_t covered_bucket;  /* up to this bucket */
    PairQueue unknown;        /* whose roots are to be compared */
    PairQueue differing;      /* that are to be descended, or mended */
    bool comparing_roots;
    bool away;        /* it was down, or has missed something: it is compared once it is back */
    uint64_t back_ms; /* since when it is up again; 0: it is not */
    uint64_t due_ms;  /* by interval */
    uint64_t rest_until_ms; /* after a failure that was the peer's */
    uint64_t retry_ms;      /* when pairs that failed are tried again; 0: none has */
    uint64_t rest_ms;       /* doubled by each failure, until none is left */
    uint32_t failed;        /* pairs whose last compare was one */
    uint64_t round_ms;      /* when all were queued last; 0: never */
} Peer;

typedef enum LaneState
{
    LANE_FREE,
    LANE_READY,    /* to go on */
    LANE_ROOTS,    /* the peer's answer is awaited */
    LANE_LEVEL,    /* likewise */
    LANE_LIST,     /* likewise: the keys of a leaf */
    LANE_SCANNING, /* own rows of it are read */
    LANE_PAUSING,  /* before keys that differed are looked at again */
    LANE_READING,  /* own versions of them are read */
    LANE_VERSIONS, /* the peer's answer is awaited */
    LANE_STORING,  /* what it sent is merged */
    LANE_FETCHING, /* what it lacks is read */
    LANE_GIVING    /* it acknowledges that */
} LaneState;

typedef enum KeyPhase
{
    KEY_FOUND, /* in the first compare */
    KEY_GIVE,  /* the peer wants it */
    KEY_GIVEN, /* it is on its way */
    KEY_DONE
} KeyPhase;

/* A key that differed. */
typedef struct DifferentKey
{
    Slice key;
    uint64_t position;
    size_t bytes;   /* of the object that the peer wants, about */
    uint64_t round; /* its label, when it is given */
    KeyPhase phase;
} DifferentKey;

/* A list of the peer's keys, and how far it was walked beside the own rows. */
typedef struct KeyList
{
    TreeKeysReply reply;
    uint64_t *positions;
    uint32_t next;
    bool open;
} KeyList;

typedef struct Lane
{
    LaneState state;
    uint32_t ticket; /* of the present question; 0 before the first */
    uint32_t peer;
    TreeId *roots; /* LANE_ROOTS: those asked about */
    uint32_t root_count;
    bool ends_round;      /* LANE_ROOTS: the peer's round has none behind these */
    Pair *pair;           /* but in LANE_ROOTS */
    uint64_t deadline_ms; /* of an answer; or the end of the pause */
    uint64_t began_ms;
    uint64_t mended_before; /* of the pair, when the lane began */
    StatusCode failure;     /* of a key: the others go on */

    /* Descending: parts that differ, of which the last are looked at first. */
    TreePart *parts;
    uint32_t part_count;
    uint32_t part_capacity;
    uint32_t asked; /* the last so many: of the level asked for */
    uint8_t asked_bits;
    uint8_t depth; /* that both trees have */
    uint32_t parts_done;
    uint32_t parts_total;
    PositionRange mend; /* the pair's, taken by this lane */
    uint64_t number;    /* of the pair taken, among all that ever were */

    /* A leaf. */
    bool in_leaf;
    PositionRange leaf;
    Buffer after;     /* the end of the last list */
    Buffer own_after; /* the last own row */
    KeyList list;
    Arena list_arena;

    /* Keys that differed. */
    DifferentKey *keys;
    uint32_t key_count;
    uint32_t key_capacity;
    uint32_t keys_done; /* all before are */
    bool mending;       /* the pause is over: these first, then more are looked for */
    Arena key_arena;
    uint32_t *batch; /* of ANTIENTROPY_VERSIONS_MAX: their numbers */
    uint32_t batch_count;
    VersionItem *versions; /* of the batch */
    uint32_t open;         /* answers awaited */
    uint32_t given;        /* of LANE_FETCHING: objects in the outbox */
    uint32_t gives;        /* keys that the peer wants still */
    Arena batch_arena;
    Outbox outbox;
} Lane;

typedef struct Answer Answer;

struct Antientropy
{
    Pacer *pacer;
    uint64_t interval_ms;
    uint64_t epoch; /* of the pairs */
    uint32_t self;
    uint16_t *claim; /* of the ring that ranks were made for */
    uint32_t claim_count;
    PairTable pairs;
    Peer *peers;
    uint32_t peer_count;
    uint32_t turn;   /* the peer that is looked at first */
    uint32_t queued; /* pairs in all queues */
    uint64_t pairs_taken;
    Tickets tickets; /* of lanes */
    Lane lanes[ANTIENTROPY_LANES];
    Tickets answer_tickets;
    Answer *answers;                         /* ANTIENTROPY_ANSWERS */
    MendResult results[ANTIENTROPY_RESULTS]; /* oldest first */
    uint32_t result_count;
    AntientropyCounters counters;
};

/* ---- antientropy_pairs.c ---- */

/* Knows the pairs of the topology in force from then on. */
void antientropy_follow(Antientropy *antientropy, const View *view);

/* NULL: nothing is known of it. make: what is no pair must not be asked for. */
Pair *antientropy_find_pair(const Antientropy *antientropy, uint32_t member, TreeId id);
Pair *antientropy_make_pair(Antientropy *antientropy, uint32_t member, TreeId id);

/* The pair is made if this node has rows of it, of which it is to be known how they stand. */
Pair *antientropy_pair_with_rows(Antientropy *antientropy, const View *view, uint32_t member,
                                 TreeId id);
bool antientropy_is_pair(const Antientropy *antientropy, const View *view, uint32_t member,
                         TreeId id);

/* The member and this node own that partition of the bucket; how many there are, of it and of all.
 */
bool antientropy_shares(const Antientropy *antientropy, uint32_t member, const Bucket *bucket,
                        uint32_t partition);
uint32_t antientropy_pair_count(const Antientropy *antientropy, const View *view, uint32_t member);

/* Queues the pairs with the member whose last compare has failed. */
void antientropy_queue_failed(Antientropy *antientropy, uint32_t member);

/* Forgets pairs of buckets that were dropped, some at a time. */
void antientropy_sweep_pairs(Antientropy *antientropy, const View *view);
void antientropy_free_pairs(Antientropy *antientropy);

/* ---- antientropy_round.c ---- */

/* A round over all pairs with the peer that were not found equal since then; one that is under way
 * goes around once more from where it is. */
void antientropy_begin_round(Antientropy *antientropy, const View *view, uint32_t member,
                             uint64_t since_ms);

/* The pair is yet to come. */
bool antientropy_round_has(const PairRound *round, TreeId id);

/* Adds pairs of the round to the lane's roots. */
void antientropy_take_round(Antientropy *antientropy, Lane *lane, const View *view);

/* The lane's roots were compared; or were not, and are to come once more. */
void antientropy_pass_round(Antientropy *antientropy, const Lane *lane);
void antientropy_rewind_round(Antientropy *antientropy, const Lane *lane, StatusCode failure);

/* ---- antientropy.c ---- */

PositionRange position_range_union(PositionRange a, PositionRange b);
bool position_range_is_none(PositionRange range);

uint64_t antientropy_ref(const Lane *lane, uint32_t item);
uint32_t antientropy_tag(const Lane *lane);

/* A new question: what answers the one before is passed over from now on. */
void antientropy_ask(Antientropy *antientropy, Lane *lane);

/* The lane is free, and its question over. */
void antientropy_free_lane(Antientropy *antientropy, Lane *lane);

/* An answer is awaited in that state, not for ever. */
void antientropy_await(Lane *lane, const View *view, LaneState state);
void antientropy_count_sent(Antientropy *antientropy, const Lane *lane, size_t bytes);

/* Sends the frame in the making to the lane's peer, and awaits an answer in that state. */
void antientropy_send(Antientropy *antientropy, Lane *lane, const View *view, LaneState state);

/* Disk or wire has taken so much. */
void antientropy_pay(Antientropy *antientropy, size_t bytes);

/* ---- antientropy_schedule.c ---- */

/* The lane is free, and what it was at is done, or has failed and is tried again. */
void antientropy_finish(Antientropy *antientropy, Lane *lane, const View *view);
void antientropy_fail(Antientropy *antientropy, Lane *lane, const View *view, StatusCode status);

/* The pair is at rest again; with its mend to come, when that was not done. */
void antientropy_end_pair(Antientropy *antientropy, Pair *pair, StatusCode failure);

/* Puts the pair into the queue that it belongs to, unless it is in one; or notes that it is to be
 * looked at again. */
void antientropy_queue(Antientropy *antientropy, Pair *pair);

/* In the same order on every node, at another place or moment on each: below span. */
uint64_t antientropy_phase(const View *view, const Peer *peer, uint64_t span);

/* Either side has found the pair equal, or made it so. */
void antientropy_found_equal(Pair *pair, const View *view);

/* ---- antientropy_compare.c ---- */

void antientropy_send_roots(Antientropy *antientropy, Lane *lane, const View *view);
void antientropy_take_roots(Antientropy *antientropy, Lane *lane, const View *view,
                            const Frame *frame);

/* The lane has taken a pair that differs. */
void antientropy_descend(Antientropy *antientropy, Lane *lane, const Pair *pair, const View *view);

/* The next question about the pair; false when everything was compared. */
bool antientropy_compare_on(Antientropy *antientropy, Lane *lane, const View *view);
void antientropy_take_level(Antientropy *antientropy, Lane *lane, const View *view,
                            const Frame *frame);
void antientropy_take_list(Antientropy *antientropy, Lane *lane, const View *view,
                           const Frame *frame);
void antientropy_take_rows(Antientropy *antientropy, Lane *lane, const View *view,
                           StatusCode status, const StoragePage *page);

/* ---- antientropy_mend.c ---- */

/* Goes on with the keys that differed: the pause, their versions, what is to be given. */
void antientropy_mend_on(Antientropy *antientropy, Lane *lane, const View *view);
void antientropy_take_own(Antientropy *antientropy, Lane *lane, const View *view, uint32_t item,
                          StatusCode status, Slice object);
void antientropy_take_versions(Antientropy *antientropy, Lane *lane, const View *view,
                               const Frame *frame);
void antientropy_take_stored(Antientropy *antientropy, Lane *lane, StatusCode status);
void antientropy_take_given(Antientropy *antientropy, Lane *lane, const View *view,
                            const ReplicateResult *result);

/* ---- antientropy_answer.c ---- */

Answer *antientropy_answers_new(void);
void antientropy_answers_free(Answer *answers);
void antientropy_answer_scanned(Antientropy *antientropy, uint64_t ref, StatusCode status,
                                const StoragePage *page, Actions *actions);
void antientropy_answer_fetched(Antientropy *antientropy, const View *view, uint64_t ref,
                                StatusCode status, Slice object);

#endif
