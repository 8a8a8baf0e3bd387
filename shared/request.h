/*
 * Request: one batch of quorum reads or writes, coordinated from outside the cluster, as a step
 * module.
 *
 * The extension, the load generator and the simulator's clients all run this. It decides whom to
 * ask and when a key is answered; it does no I/O: the caller sends what request_next_send() gives,
 * and reports answers, lost members and time.
 *
 * Read (design: one hop): the full object from one owner and digests from r-1 others at once,
 * batched by node; equal digests end it. Digests that differ make one coordinated read of that key.
 * An owner that is lost, refuses, or is silent for hedge_after_ms is replaced by the next owner.
 * Write: to the first owner not avoided, which coordinates. When that owner is lost or silent the
 * same request ids go to the next one marked as a retry, so a write that is sent twice stays one
 * write.
 *
 * Results live in the arena given at the start. request_end() releases the one buffer kept beside
 * it; a caller whose Memory is released as a whole need not call it.
 */
#ifndef SHARED_REQUEST_H
#define SHARED_REQUEST_H

#include "shared/message.h"

typedef struct Request Request;

/*
 * What all requests and pagers of one asker share: no two frames in flight have one tag, and a
 * member that answers any of them is not silent, however long the others must wait in its queue.
 * All zero at first.
 */
typedef struct RequestTags
{
    uint32_t last;
    uint64_t heard_ms[RING_NODES_MAX]; /* by member: the last answer */
} RequestTags;

typedef struct RequestOptions
{
    uint32_t quorum;         /* r or w */
    uint32_t timeout_ms;     /* of the whole request */
    uint32_t hedge_after_ms; /* silence after which the next owner is asked as well */
    bool seal;               /* reads: give sealed contexts */
    const bool *avoid;       /* by member index: asked last (known down or suspect); may be NULL */
} RequestOptions;

typedef struct RequestReadResult
{
    StatusCode status;
    Slice object;      /* encoded; empty: absent */
    Slice context;     /* sealed, when asked for and the object is not absent */
    uint32_t answered; /* members of the preference list, by place, that the answer counts on: they
                          gave it, or hold it since a coordinated read */
} RequestReadResult;

typedef struct RequestWriteResult
{
    StatusCode status; /* STATUS_OK, STATUS_UNKNOWN, or refused for that reason */
    uint32_t acked;    /* as WriteResult */
    uint32_t siblings; /* likewise */
} RequestWriteResult;

typedef struct RequestCounters
{
    uint32_t frames;     /* sent */
    uint32_t mismatches; /* keys whose digests differed */
    uint32_t hedges;     /* frames sent because an owner was silent */
    uint32_t failovers;  /* frames sent because an owner was lost or refused */
} RequestCounters;

/* Keys must be valid for the bucket; topology, bucket, keys and items are borrowed until the end.
 */
Request *request_read(Arena *arena, RequestTags *tags, const Topology *topology,
                      const Bucket *bucket, const RequestOptions *options, const Slice *keys,
                      uint32_t key_count, uint64_t now_ms);
Request *request_write(Arena *arena, RequestTags *tags, const Topology *topology,
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

/* A part of an answer of member has come: it is not silent. */
void request_heard(Request *request, uint32_t member, uint64_t now_ms);

/* The link to member broke or could not be made: what it owes will not come. */
void request_lost(Request *request, uint32_t member, uint64_t now_ms);

/* As request_lost, for a member to which no byte of this request's frames has left: what it was to
 * write was not written. */
void request_unreached(Request *request, uint32_t member, uint64_t now_ms);

/* Time passed. */
void request_tick(Request *request, uint64_t now_ms);

/* When request_tick is wanted next, at the latest. */
uint64_t request_wake_ms(const Request *request);
bool request_done(const Request *request);

/* True while member owes an answer: what the caller waits for, and whom it may call suspect when it
 * hedged. */
bool request_waits_for(const Request *request, uint32_t member);

/* True when member was silent for hedge_after_ms in this request and has not answered since. */
bool request_was_silent(const Request *request, uint32_t member);

const RequestReadResult *request_read_results(const Request *request);
const RequestWriteResult *request_write_results(const Request *request);
RequestCounters request_counters(const Request *request);
void request_end(Request *request);

#endif
