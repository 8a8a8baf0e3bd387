/*
 * What the orphans*.c files share. orphans.c passes over all buckets, orphans_ask.c finds out which
 * partitions are older than their rounds; orphans.c takes pages of their rows, and orphans_rows.c
 * moves each row, and walks over those moved.
 */
#ifndef NODE_ENGINE_REPAIR_ORPHANS_PRIVATE_H
#define NODE_ENGINE_REPAIR_ORPHANS_PRIVATE_H

#include "node/engine/repair/orphans.h"

typedef enum OrphanPhase
{
    ORPHAN_PHASE_RESTING,
    ORPHAN_PHASE_ASKING,  /* which rounds the others have raised, for one bucket */
    ORPHAN_PHASE_READING, /* a page of rows: of a partition to be moved, or of the orphans */
    ORPHAN_PHASE_WRITING, /* what is to be done with the rows of the page */
    ORPHAN_PHASE_NOTING   /* rounds of partitions that have no older rows, or no more */
} OrphanPhase;

/* What is done with orphans, one pass over all of them for each. */
typedef enum OrphanWalk
{
    ORPHAN_WALK_NONE,
    ORPHAN_WALK_TIDY, /* drop what the present object has seen; and count the others */
    ORPHAN_WALK_ADOPT,
    ORPHAN_WALK_DROP
} OrphanWalk;

typedef struct OrphanRow
{
    uint32_t bucket_id; /* of the record that the row came from */
    uint64_t position;
    Slice key;
    Slice object;
    bool stored; /* where it is to be kept; now it is to go from where it was */
} OrphanRow;

/* A bucket whose partitions are asked about, or were. */
typedef struct OrphanBucket
{
    uint32_t id;
    uint32_t left;    /* partitions that are not settled */
    uint8_t *settled; /* a bit a partition: what is there now is not to be moved */
} OrphanBucket;

/* What the other owners of a partition have said of it. */
typedef struct OrphanHeard
{
    uint64_t round;
    bool sure; /* one of them has data that are whole */
    uint8_t owners_left;
} OrphanHeard;

struct Orphans
{
    bool aside;            /* the data are as new as rounds say, or nobody has said otherwise */
    OrphanBucket *buckets; /* in the order of their numbers, which is that of their making */
    uint32_t bucket_count;
    bool passing;         /* over all buckets of which something is not settled */
    uint32_t last_bucket; /* asked about in this pass */
    uint32_t moving;      /* the bucket whose rows are being moved, as a place among buckets */
    bool found_out;       /* every bucket was asked about once */
    bool ready;           /* what the filling waits for was settled, when the last pass ended */
    uint64_t grace_ms;    /* members that are down are waited for until then; 0: not begun */
    uint64_t pass_ms;     /* of the next pass */
    OrphanPhase phase;
    OrphanWalk walk;
    OrphanWalk wanted; /* next */
    uint32_t wanted_bucket;
    uint32_t walk_bucket;
    uint64_t due_ms;    /* asking again, or trying again */
    bool failed;        /* something of the page */
    bool missed;        /* a row was changed while it was moved: all are looked at once more */
    bool clearing;      /* the page is of what cannot be read, and is not moved but removed */
    uint32_t bucket_id; /* being asked about, or having its rows moved */
    bool *awaited;      /* by member: has yet to say its rounds */
    uint32_t members;
    OrphanHeard *heard;  /* by partition, of the bucket */
    uint32_t notes_open; /* of rounds, not durable yet */
    uint32_t partition;
    uint32_t partitions;
    Tickets tickets;
    uint32_t ticket; /* of the present question to storage, or of the bucket to the others */
    Buffer after;
    bool last;
    Arena arena; /* of the page */
    OrphanRow *rows;
    uint32_t row_count;
    uint32_t rows_open;
    Arena shown_arena;
    Orphan *shown;
    uint32_t shown_count;
    uint64_t count;
    Arena counted_arena; /* of the walk under way */
    Orphan *counted;
    uint32_t counted_shown;
    uint64_t counted_count;
};

/* ---- orphans.c ---- */

/* Nothing is under way; what is answered late is passed over. */
void orphans_rest(Orphans *orphans);

/* One more pass over all orphans is wanted; bucket_id 0: of all buckets. */
void orphans_want(Orphans *orphans, OrphanWalk walk, uint32_t bucket_id);

/* Of a row of the page at hand; does the ref name one, in that phase? */
uint64_t orphans_ref_of(const Orphans *orphans, uint32_t row);

/* A new question: what answers the one before is passed over from now on. */
void orphans_renew(Orphans *orphans);
bool orphans_is_present(const Orphans *orphans, uint64_t ref, OrphanPhase phase);

bool orphans_is_present_question(const Orphans *orphans, uint32_t ticket);

/* Asks for the next page of rows. */
void orphans_read_page(Orphans *orphans, const View *view);

/* ---- orphans_ask.c ---- */

/* NULL: it was not asked about yet. */
OrphanBucket *orphans_bucket(const Orphans *orphans, uint32_t bucket_id);
bool orphans_is_settled(const OrphanBucket *bucket, uint32_t partition);

/* Asks the owners of what is not settled of the bucket; and once more, or ends the asking. */
void orphans_ask(Orphans *orphans, const View *view, const Bucket *bucket);
void orphans_ask_on(Orphans *orphans, const View *view);

/* What this node has of the partition is no older than that round. */
uint64_t orphans_own_number(const View *view, TreeId id);

/* The disk is not to be filled before that partition is settled. */
bool orphans_is_needed(const View *view, TreeId id);
uint64_t orphans_start_of(const View *view, uint32_t partition);

/* The partition's rows are moved, and its round is to be noted; a round of the bucket was. */
void orphans_note_round(Orphans *orphans, const View *view);
void orphans_noted(Orphans *orphans, uint32_t partition, bool stored);

/* This node has rows of that partition. */
bool orphans_has_rows(const View *view, TreeId id);

/* ---- orphans_rows.c ---- */

/* Begins the pass that is wanted, if one is. */
void orphans_begin_walk(Orphans *orphans, const View *view);

/* Does with the rows of the page what the phase is for. */
void orphans_treat_page(Orphans *orphans, const View *view);

#endif
