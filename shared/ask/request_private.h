/*
 * The inside of a Request, for request.c, request_place.c, request_key.c and request_part.c alone.
 *
 * Each key is asked of its members one after another, in an order of its own, and never of more
 * than are missing to its quorum. Whatever becomes of an ask, request_key.c asks for what is
 * missing then. Asks of one kind for one member are gathered into a part, which becomes one frame.
 */
#ifndef SHARED_ASK_REQUEST_PRIVATE_H
#define SHARED_ASK_REQUEST_PRIVATE_H

#include "shared/ask/request.h"

typedef enum RequestPartKind
{
    PART_FULL,
    PART_DIGEST,
    PART_COORDINATED,
    PART_WRITE,
    PART_RETRY, /* a write that may have been written already */
    PART_KINDS
} RequestPartKind;

typedef enum RequestPartState
{
    PART_PAUSED, /* waits until its member, which was overloaded, may be asked again */
    PART_QUEUED, /* waits for a slot in its member's window */
    PART_SENT,   /* owes an answer */
    PART_SILENT, /* owes an answer, and its keys have been asked elsewhere too */
    PART_ENDED
} RequestPartState;

enum
{
    PART_KEYS_MAX = 512,
    PART_KEYS_FEW = 16, /* fewer spare an overloaded member nothing */
    PART_BYTES_MAX = 256 * 1024,
    /* Of one key; with what may stand before it in its part it still is a frame. */
    ITEM_BYTES_MAX = MESSAGE_FRAME_MAX - 4 * PART_BYTES_MAX,
    MEMBER_WINDOW = 4 /* parts under way at one member: enough to keep it busy */
};

typedef struct RequestPart RequestPart;

struct RequestPart
{
    RequestPart *next;
    RequestPartKind kind;
    RequestPartState state;
    uint32_t tag;
    uint32_t member;
    uint32_t pauses; /* of its keys so far */
    uint64_t due_ms; /* PART_PAUSED: when it is over */
    uint64_t sent_ms;
    uint64_t patience_ms; /* of silence */
    bool overdue;         /* its silence has been acted upon */
    uint32_t *keys;
    uint32_t key_count;
    uint32_t key_capacity;
    size_t bytes;
};

enum
{
    NO_PLACE = 0xff
};

/* What only the keys of a read have. */
typedef struct RequestReadKey
{
    Digest digest;        /* of the first answer that counts */
    uint16_t coordinated; /* places that were asked for a coordinated read */
    uint8_t full_place;   /* who is to give the object; NO_PLACE: nobody is waited for */
    bool has_full;
    bool mismatch; /* two answers that count have different digests */
} RequestReadKey;

/* What only the keys of a write have. */
typedef struct RequestWriteKey
{
    uint64_t sent_ms;   /* when it was sent first, by the asker's own clock; 0: not yet */
    uint8_t late;       /* how often a member called the write too late */
    bool maybe_written; /* an ask ended without an answer that says it was not */
} RequestWriteKey;

/* How far one key has got. The masks are of places in members. */
typedef struct RequestKey
{
    uint64_t position;
    uint16_t members[TOPOLOGY_N_MAX]; /* the preference list: owners, then fallbacks */
    uint8_t order[TOPOLOGY_N_MAX];    /* places, in the order to ask */
    uint8_t member_count;
    uint8_t owner_count;
    uint8_t well_count; /* of order: those not to avoid */
    uint8_t pending;    /* asks that may still be answered */
    uint8_t pauses;
    bool done;
    uint16_t asked;    /* for an answer of their own */
    uint16_t live;     /* of these, those that owe it and are not silent */
    uint16_t counted;  /* of these, those whose answer counts */
    uint16_t again;    /* their link broke once: asked again when nobody else is left */
    StatusCode reason; /* the last refusal */
    union
    {
        RequestReadKey read;
        RequestWriteKey write;
    };
} RequestKey;

typedef struct RequestMemberState
{
    uint32_t under_way;
    uint32_t keys_max; /* of a part: fewer, once its answers would have been too large, or it had
                          too much to do */
    bool silent;
    RequestPart *draft[PART_KINDS];  /* parts still being filled */
    RequestPart *paused[PART_KINDS]; /* likewise */
} RequestMemberState;

struct Request
{
    Arena *arena;
    RequestAsker *asker;
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
    RequestKey *states;
    RequestMemberState *members;
    RequestPart *parts;
    RequestPart **parts_tail;
    RequestPart *first_queued; /* no part before it is queued */
    RequestReadResult *reads;
    RequestWriteResult *writes;
    RequestCounters counters;
    Buffer frame;
};

/* ---- request_place.c: whom to ask for a key ---- */

/* Finds the key's members and the order to ask them in; false when it is no key of the bucket. */
bool request_place_key(Request *request, uint32_t key);

/* How many members must still be asked, if all that owe an answer give it. */
uint32_t request_place_missing(const Request *request, const RequestKey *state);

/* True when enough answers count. */
bool request_place_is_quorum(const Request *request, const RequestKey *state);

/* The next member to ask; NO_PLACE when there is none that would help. */
uint8_t request_place_next(const Request *request, const RequestKey *state);

/* Who is suited best to coordinate a read, and was not asked to yet; NO_PLACE: nobody is left. */
uint8_t request_place_coordinator(const Request *request, uint32_t key);

/* Whom to ask after place was overloaded: another owner that is well, or place again. */
uint8_t request_place_after_pause(const RequestKey *state, uint8_t place);

/* True when an owner that is well was not asked. */
bool request_place_has_owner_left(const RequestKey *state);
uint8_t request_place_of(const RequestKey *state, uint32_t member);

static inline uint16_t
request_place_bit(uint8_t place)
{
    return (uint16_t)(1u << place);
}

/* ---- request_key.c: how far a key has got ---- */

/* The key as it travels. */
Slice request_key_bytes(const Request *request, uint32_t key);

/* The bytes that the key adds to a frame; of a coordinated read, those of the answer too, as far as
 * they are known. */
size_t request_key_ask_bytes(const Request *request, uint32_t key, RequestPartKind kind);

/* The part's member may be asked once more, over a new link, when nobody else is left. */
void request_key_allow_again(Request *request, uint32_t key, const RequestPart *part);

/* Asks the member that part was for again. */
void request_key_ask_again(Request *request, uint32_t key, const RequestPart *part);

/* Asks as many members as are missing to the key's quorum; returns how many could be asked. */
uint32_t request_key_ask(Request *request, uint32_t key);

/* An ask of this part ended without an answer that counts: the member is gone, or refused. */
void request_key_failed(Request *request, const RequestPart *part, uint32_t key, bool was_silent);
void request_key_refused(Request *request, const RequestPart *part, uint32_t key, bool was_silent,
                         StatusCode status);

/* The part's member is silent: the key is asked elsewhere too. */
void request_key_hedge(Request *request, const RequestPart *part, uint32_t key);

/* An item of an answer to part. */
void request_key_read(Request *request, const RequestPart *part, uint32_t key, bool was_silent,
                      const ReadItem *item);
void request_key_written(Request *request, const RequestPart *part, uint32_t key, bool was_silent,
                         const WriteResult *item);

/* Ends an open key; with the last reason, when nobody is left to ask and nobody owes an answer. */
void request_key_end(Request *request, uint32_t key, StatusCode status);
void request_key_give_up(Request *request, uint32_t key);

/* ---- request_part.c: one frame and its answer ---- */

/* The first part that may be sent now, or NULL. */
RequestPart *request_part_next(Request *request);

/* Writes the part's frame to request->frame. */
void request_part_encode(Request *request, const RequestPart *part);

/* An answer to the part has come: how long its member took is noted, before it counts as heard. */
void request_part_add_wait(Request *request, const RequestPart *part);
void request_part_answer(Request *request, RequestPart *part, const Frame *frame);

/* True when its member has the frame, or may have it. */
static inline bool
request_part_is_under_way(const RequestPart *part)
{
    return part->state == PART_SENT || part->state == PART_SILENT;
}

/* The part was sent now: how long its member may be silent is settled. */
void request_part_sent(Request *request, RequestPart *part);

/* The part's keys go on elsewhere. written: it may have been carried out; reason: the refusal, or
 * STATUS_OK for none. */
void request_part_fail(Request *request, RequestPart *part, bool written, StatusCode reason);

/* The link that the part was sent over broke: its keys go on elsewhere, and come back to its member
 * when nobody else is left. */
void request_part_lost(Request *request, RequestPart *part);

/* The pause of a part is over. */
void request_part_resume(Request *request, RequestPart *part);

/* When request_tick is to look after the part: its pause or its patience is over; UINT64_MAX: not
 * at all. */
uint64_t request_part_due_ms(const Request *request, const RequestPart *part);

/* Its member is silent: each key of the part is asked elsewhere too; the first answer wins. */
void request_part_hedge(Request *request, RequestPart *part);

#endif
