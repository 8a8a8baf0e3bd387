/*
 * The inside of Reaping. reaping.c has the schedule and what is known of each partition,
 * reaping_round.c the coordinator of a round, reaping_member.c the part that every member takes.
 */
#ifndef NODE_ENGINE_REPAIR_REAPING_PRIVATE_H
#define NODE_ENGINE_REPAIR_REAPING_PRIVATE_H

#include "node/engine/repair/reaping.h"

enum
{
    REAPING_LANES = 2,  /* rounds coordinated at once */
    REAPING_TASKS = 64, /* of other members' rounds, and the own ones */
    REAPING_PAGE_BYTES = 256 * 1024,
    REAPING_ROWS_MAX = 1024, /* candidates of one round */
    REAPING_ROWS_BYTES = 256 * 1024,
    REAPING_PHASE_MS = 5000, /* that members have to answer */
    REAPING_REST_MS = 1000   /* after the first failure; doubled by each */
};

/* A row that a look found. */
typedef struct Candidate
{
    Slice key;
    Digest digest;
    uint32_t entries; /* of finished runs; 0: tombstones alone */
} Candidate;

/* A partition that this node has coordinated. */
typedef struct Entry
{
    ReapStatus status;
    bool taken;
    uint64_t due_ms; /* status.state REAP_WAITING: of the next attempt */
    uint64_t rest_ms;
    bool barren;          /* the last look found nothing: */
    Digest barren_root;   /* under this root, */
    uint64_t barren_runs; /* and with so many changes of members' runs */
} Entry;

typedef enum LanePhase
{
    LANE_FREE,
    LANE_PACING, /* waits for tokens, to read the next page */
    LANE_READING,
    LANE_PREPARE_SELF,
    LANE_PREPARE_OWNERS,
    LANE_PREPARE_OTHERS,
    LANE_RAISE,
    LANE_REAP_SELF,
    LANE_REAP_OWNERS
} LanePhase;

/* A round being coordinated. */
typedef struct Lane
{
    LanePhase phase;
    TreeId id;
    uint32_t ticket; /* of the phase's question */
    uint64_t round;
    uint64_t epoch;    /* member numbers are of it */
    Buffer after;      /* where the look goes on */
    bool last;         /* nothing lies behind */
    Digest look_root;  /* when it began, */
    bool look_settled; /* and whether all of it was durable: what a look reads is */
    Arena arena;       /* candidates */
    Candidate *rows;
    uint32_t row_count;
    size_t row_bytes;
    uint32_t changed; /* own rows that were reaped; they come first by then */
    Digest root;      /* the own one */
    Actor *live;      /* by member */
    bool *awaited;    /* by member: has yet to answer */
    uint32_t open;
    uint64_t deadline_ms;
} Lane;

typedef enum TaskKind
{
    TASK_PREPARE,
    TASK_RAISE,
    TASK_ROWS
} TaskKind;

/* A member's part of a round, waiting for its storage. */
typedef struct Task
{
    bool live;
    TaskKind kind;
    uint32_t ticket;
    uint32_t asked_by; /* the ticket of this node's own lane; 0: origin is answered */
    Origin origin;
    TreeId id;
    uint64_t round;
    Arena arena;
    ReapRowsFrame rows;
    bool *changed; /* by row */
    uint32_t open;
    bool failed;
} Task;

/* The present run of a member, as it said last. */
typedef struct KnownRun
{
    MemberId id;
    Actor actor;
} KnownRun;

struct Reaping
{
    uint64_t interval_ms;
    Pacer *pacer;
    ReapingIsBusy is_busy;
    void *busy_context;
    Entry *entries; /* sorted by bucket and partition */
    uint32_t entry_count;
    uint32_t entry_capacity;
    uint64_t due_ms;      /* no entry that waits is due before */
    uint64_t next_due_ms; /* the same, of those looked at since due_ms, */
    uint32_t due_index;   /* which are the ones before this */
    uint64_t pass_ms;     /* when the next pass over all partitions begins; 0: not known yet */
    bool passing;
    uint32_t pass_bucket; /* index of the next one to look at */
    uint32_t pass_partition;
    KnownRun *runs;
    uint32_t run_count;
    uint64_t run_changes;
    Tickets tickets; /* of lanes, and behind them of tasks */
    Lane lanes[REAPING_LANES];
    Task tasks[REAPING_TASKS];
};

/* ---- reaping.c ---- */

Entry *reaping_entry(Reaping *reaping, TreeId id);

/* After the first failure. */
uint64_t reaping_rest_ms(const Reaping *reaping);

bool reaping_owns(const View *view, TreeId id, uint32_t member);
void reaping_note_run(Reaping *reaping, const MemberId *id, const Actor *actor);

/* The attempt is over: what it met, and whose fault it is. */
void reaping_failed(Reaping *reaping, const View *view, TreeId id, ReapVerdict why,
                    uint32_t member);

/* ---- reaping_round.c ---- */

void reaping_lane_begin(Reaping *reaping, Lane *lane, const View *view, TreeId id);
void reaping_lane_step(Reaping *reaping, Lane *lane, const View *view);

/* The lane whose present question has that ticket; NULL: the question is over. */
Lane *reaping_lane_of(Reaping *reaping, uint32_t ticket);

/* What a member, or this node itself, says. */
void reaping_lane_prepared(Reaping *reaping, Lane *lane, const View *view, uint32_t member,
                           const ReapPrepareReply *reply);

/* changed: by row, of the own part; NULL for others'. */
void reaping_lane_done(Reaping *reaping, Lane *lane, const View *view, uint32_t member,
                       const ReapDone *done, const bool *changed);

/* ---- reaping_member.c ---- */

/* This node's part of a round. asked_by: the ticket of its own lane; 0: origin is answered. */
void reaping_task_prepare(Reaping *reaping, const View *view, uint32_t asked_by, Origin origin,
                          const ReapPrepareFrame *frame);
void reaping_task_raise(Reaping *reaping, const View *view, uint32_t asked_by, Origin origin,
                        const ReapRaiseFrame *frame);
void reaping_task_rows(Reaping *reaping, const View *view, uint32_t asked_by, Origin origin,
                       const ReapRowsFrame *frame);

#endif
