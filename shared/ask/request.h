/*
 * Request: one batch of quorum reads or writes, coordinated from outside the cluster, as a step
 * module.
 *
 * The extension, the load generator and the simulator's clients all run this. It decides whom to
 * ask and when a key is answered; it does no I/O: the caller sends what request_next_send() gives,
 * and reports answers, lost members and time.
 *
 * Whom to ask: the members of a key's preference list. Owners that are well come first, then
 * fallbacks that are well, then the owners and the fallbacks to avoid. A place is a member's number
 * in the list itself, of which the first n are the owners.
 *
 * Read (one hop): the full object from one owner and digests from r-1 others at once, batched by
 * node; equal digests end it. Digests that differ make one coordinated read of that key. A member
 * that is lost, refuses, or is silent for too long is replaced by the next. The answer of a
 * fallback counts only when it holds the key: its "not found" is no evidence, and the next is
 * asked. Fewer than r answers that count, or fewer than pr of owners, is STATUS_UNAVAILABLE.
 *
 * Write: to the first member of the list, which coordinates. When that one is lost or silent the
 * same request ids go to the next one marked as a retry, so a write that is sent twice stays one
 * write.
 *
 * A link that breaks: its member is asked once more when nobody else is left. It may have been
 * restarted since the link was made, and so may all the others.
 *
 * Overload: a member that answers STATUS_OVERLOADED is left alone for a while that grows. Then the
 * next owner is asked, or the same one when there is no other, with half as many keys in a frame
 * each time, until the deadline. Keys that had not been sent at the deadline are refused as
 * STATUS_OVERLOADED too: there was more to do than time.
 *
 * Results live in the arena given at the start. request_end() releases the one buffer kept beside
 * it; a caller whose Memory is released as a whole need not call it.
 */
#ifndef SHARED_ASK_REQUEST_H
#define SHARED_ASK_REQUEST_H

#include "shared/ask/request_asker.h"
#include "shared/wire/message.h"

typedef struct Request Request;

typedef struct RequestOptions
{
    uint32_t quorum;         /* r or w */
    uint32_t owners;         /* pr or pw: how many of them must be owners */
    uint32_t confirms;       /* writes: from how many zones the acknowledgements must be */
    uint32_t timeout_ms;     /* of the whole request */
    uint32_t hedge_after_ms; /* silence after which the next member is asked as well */
    uint32_t frame_keys;     /* keys of one frame at most; 0: as many as fit */
    uint32_t read_hedge_ms;  /* reads that have another owner to ask: the same, sooner or later; 0:
                                as the member's answers have been, hedge_after_ms at most */
    bool seal;               /* reads: give sealed contexts */
    bool repair_later;       /* reads: answer before stale owners are mended */
    const bool *avoid;       /* by member index: asked last (known down or suspect); may be NULL */
} RequestOptions;

/* The masks are of places in the key's preference list. */
typedef struct RequestReadResult
{
    StatusCode status;
    Slice object;      /* encoded; empty: absent */
    Slice context;     /* sealed, when asked for and the object is not absent */
    uint32_t asked;    /* members that were sent the key, or were to be */
    uint32_t answered; /* members that the answer counts on: they gave it, or hold it since a
                          coordinated read */
    uint32_t lacking;  /* fallbacks that do not hold the key */
    uint8_t refusals[TOPOLOGY_N_MAX]; /* by place: the StatusCode that a member refused with last;
                                         STATUS_OK: it did not */
} RequestReadResult;

typedef struct RequestWriteResult
{
    StatusCode status;                /* STATUS_OK, STATUS_UNKNOWN, or refused for that reason */
    uint32_t asked;                   /* members that were to coordinate, by place */
    uint32_t acked;                   /* as WriteResult */
    uint32_t siblings;                /* likewise */
    uint8_t refusals[TOPOLOGY_N_MAX]; /* as of reads */
} RequestWriteResult;

typedef struct RequestCounters
{
    uint32_t frames;     /* sent */
    uint32_t mismatches; /* keys whose digests differed */
    uint32_t hedges;     /* frames whose keys were asked elsewhere because the member was silent */
    uint32_t failovers;  /* asks of a key because a member was lost, refused or lacked it */
    uint32_t fallbacks;  /* asks of a key of members that do not own it */
    uint32_t backoffs;   /* pauses after which an overloaded member was asked again */
} RequestCounters;

/* Keys must be valid for the bucket; topology, bucket, keys and items are borrowed until the end.
 */
Request *request_read(Arena *arena, RequestAsker *asker, const Topology *topology,
                      const Bucket *bucket, const RequestOptions *options, const Slice *keys,
                      uint32_t key_count, uint64_t now_ms);
Request *request_write(Arena *arena, RequestAsker *asker, const Topology *topology,
                       const Bucket *bucket, const RequestOptions *options, const WriteItem *items,
                       uint32_t item_count, uint64_t now_ms);

/*
 * The items in ring order, copied to the arena: a writer of many batches that follow the ring
 * spares the stores most of their work, since a batch's keys then lie side by side.
 */
WriteItem *request_ring_order(Arena *arena, const Bucket *bucket, const WriteItem *items,
                              uint32_t item_count);

/* The next frame to send, and to whom; false when there is none now. The frame is valid until the
 * next call. */
bool request_next_send(Request *request, uint32_t *member, Slice *frame);

/* An answer from member; false when its tag is not of this request. Copies what it keeps. */
bool request_answer(Request *request, uint32_t member, const Frame *frame, uint64_t now_ms);

/* A chunk of an answer from member has come, so it is not silent. */
void request_heard(Request *request, uint32_t member, uint64_t now_ms);

/* The link to member broke: the answers that it owes will not come. */
void request_lost(Request *request, uint32_t member, uint64_t now_ms);

/* No link to member could be made, so that no byte of this request's frames has left: what it was
 * to write was not written, and it is not asked again. */
void request_unreached(Request *request, uint32_t member, uint64_t now_ms);

/* Time passed. */
void request_tick(Request *request, uint64_t now_ms);

/* When request_tick is wanted next, at the latest. */
uint64_t request_wake_ms(const Request *request);
bool request_done(const Request *request);

/* True when member was silent for so long in this request that others were asked instead, and has
 * not answered since. */
bool request_was_silent(const Request *request, uint32_t member);

const RequestReadResult *request_read_results(const Request *request);
const RequestWriteResult *request_write_results(const Request *request);
RequestCounters request_counters(const Request *request);
void request_end(Request *request);

#endif
