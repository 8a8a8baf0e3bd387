/*
 * The inside of a Request, for request.c, request_key.c and request_part.c alone.
 *
 * A key is asked of its owners in an order of its own: preference order, avoided members last. Asks
 * for one member and of one kind are gathered into a part, which becomes one frame.
 */
#ifndef SHARED_REQUEST_PRIVATE_H
#define SHARED_REQUEST_PRIVATE_H

#include "shared/request.h"

typedef enum PartKind
{
    PART_FULL,
    PART_DIGEST,
    PART_COORDINATED,
    PART_WRITE,
    PART_RETRY, /* a write that may have been written already */
    PART_KINDS
} PartKind;

typedef enum PartState
{
    PART_QUEUED, /* waits for a place in its member's window */
    PART_SENT,   /* owes an answer */
    PART_SILENT, /* owes an answer, and its keys have been asked elsewhere too */
    PART_ENDED
} PartState;

enum
{
    PART_KEYS_MAX = 512,
    PART_BYTES_MAX = 256 * 1024,
    /* Of one key; with what may stand before it in its part it still is a frame. */
    ITEM_BYTES_MAX = MESSAGE_FRAME_MAX - 4 * PART_BYTES_MAX,
    MEMBER_WINDOW = 4 /* parts under way at one member: enough to keep it busy */
};

typedef struct Part Part;

struct Part
{
    Part *next;
    PartKind kind;
    PartState state;
    uint32_t tag;
    uint32_t member;
    uint64_t sent_ms;
    bool overdue; /* its silence has been acted upon */
    uint32_t *keys;
    uint32_t key_count;
    uint32_t key_capacity;
    size_t bytes;
};

typedef struct KeyState
{
    uint64_t position;
    uint16_t owners[TOPOLOGY_N_MAX]; /* members in preference order */
    uint8_t order[TOPOLOGY_N_MAX];   /* places in owners, in the order to ask */
    uint8_t owner_count;
    uint8_t asked;   /* of order */
    uint8_t pending; /* asks that may still be answered */
    uint8_t answers;
    uint32_t coordinated; /* owners asked for a coordinated read, by place in owners */
    bool done;
    bool has_full;
    bool full_pending;
    bool mismatch;
    bool maybe_written; /* an ask ended without an answer that says it was not */
    Digest digest;
    StatusCode reason; /* the last refusal */
} KeyState;

typedef struct MemberState
{
    uint32_t under_way;
    uint32_t keys_max; /* of a part: fewer, once its answers would have been too large */
    bool silent;
    Part *draft[PART_KINDS]; /* parts still being filled */
} MemberState;

struct Request
{
    Arena *arena;
    RequestTags *tags;
    const Topology *topology;
    const Bucket *bucket;
    RequestOptions options;
    bool is_write;
    uint64_t now_ms;
    uint64_t deadline_ms;
    const Slice *keys;
    const WriteItem *items;
    uint32_t key_count;
    uint32_t keys_open;
    KeyState *states;
    MemberState *members;
    Part *parts;
    Part **parts_tail;
    Part *first_queued; /* no part before it is queued */
    RequestReadResult *reads;
    RequestWriteResult *writes;
    RequestCounters counters;
    Buffer frame;
};

/* ---- request_key.c: how far a key has got ---- */

/* The key as it travels. */
Slice request_key_bytes(const Request *request, uint32_t key);

/* What the key brings into a frame; and, as far as is known, a coordinated read of it into the
 * answer. */
size_t request_key_ask_bytes(const Request *request, uint32_t key, PartKind kind);

/* Asks the owner that part was for again. */
void request_key_ask_again(Request *request, uint32_t key, const Part *part);

/* Asks the key's next owner, as a read or write of its own; false when all have been asked. */
bool request_key_ask(Request *request, uint32_t key);

/* A read key with a quorum of answers ends, or goes on to what is still missing. */
void request_key_settle(Request *request, uint32_t key);

/* Asks the best owner that was not asked yet for a coordinated read; false when there is none. */
bool request_key_ask_coordinated(Request *request, uint32_t key);

/* An ask of this kind ended without an answer that counts; with a refusal. */
void request_key_move_on(Request *request, uint32_t key, PartKind kind);
void request_key_refused(Request *request, uint32_t key, PartKind kind, StatusCode status);

/* An item of an answer to part. */
void request_key_read(Request *request, const Part *part, uint32_t key, const ReadItem *item);
void request_key_written(Request *request, const Part *part, uint32_t key, const WriteResult *item);

/* Ends an open key; with the last reason, when no owner is left to ask and none owes an answer. */
void request_key_end(Request *request, uint32_t key, StatusCode status);
void request_key_give_up(Request *request, uint32_t key);

/* ---- request_part.c: one frame and its answer ---- */

/* The first part that may be sent now, or NULL. */
Part *request_part_next(Request *request);

/* Writes the part's frame to request->frame. */
void request_part_encode(Request *request, const Part *part);
void request_part_answer(Request *request, Part *part, const Frame *frame);

/* The part owes nothing any more. */
void request_part_release(Request *request, Part *part);

/* The part's keys go on elsewhere; written: it may have been carried out. */
void request_part_fail(Request *request, Part *part, bool written, StatusCode reason);

/* When a sent part counts as silent; what follows: its keys are asked of their next owners too. */
uint64_t request_part_silent_from_ms(const Request *request, const Part *part);
void request_part_hedge(Request *request, Part *part);

#endif
