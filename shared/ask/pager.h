/*
 * Pager: a full scan of a bucket, partition by partition in pages, with the quorum merge, as a step
 * module.
 *
 * For each partition one owner streams pages of full rows; r-1 other owners give the digest over
 * the same range. A page ends where a leaf of that owner's tree does, as a rule, so that the others
 * have the digest in their trees. Pages whose digests agree are handed on as they are; for a page
 * that differs the pager fetches the others' rows of that range and makes a coordinated read of
 * every key that is not equal on all. Several partitions are under way at once, at most window
 * pages are held.
 *
 * I/O as in shared/ask/request.h: the caller sends, and reports answers, lost members and time.
 */
#ifndef SHARED_ASK_PAGER_H
#define SHARED_ASK_PAGER_H

#include "shared/ask/request.h"

typedef struct Pager Pager;

typedef struct PagerRow
{
    Slice key;
    Slice object;
    Slice context;     /* sealed, when asked for */
    uint32_t answered; /* where owners differed: as RequestReadResult; else 0 */
} PagerRow;

typedef struct PagerCounters
{
    uint32_t pages;
    uint32_t mismatches; /* pages whose digests differed */
    uint32_t frames;
    uint32_t failovers;
    uint32_t backoffs; /* pauses after which an overloaded owner was asked again */
} PagerCounters;

typedef enum PagerState
{
    PAGER_WAITING, /* nothing to hand out now: send, wait for answers */
    PAGER_ROWS,    /* pager_next_page gives a page */
    PAGER_END,
    PAGER_FAILED /* pager_failure says why */
} PagerState;

/* memory backs the arenas of the pages; options->quorum is r; owners alone are asked, so that pr is
 * as good as r. topology and bucket are borrowed. */
Pager *pager_new(const Memory *memory, RequestAsker *asker, const Topology *topology,
                 const Bucket *bucket, const RequestOptions *options, uint32_t page_bytes,
                 uint32_t window, uint64_t now_ms);
void pager_free(Pager *pager);

PagerState pager_state(Pager *pager);

/* The rows of the next page; valid until the next call. Tombstone-only objects are among them. */
const PagerRow *pager_next_page(Pager *pager, uint32_t *row_count);

/* A chunk of an answer from member has come, so it is not silent. */
void pager_heard(Pager *pager, uint32_t member, uint64_t now_ms);

bool pager_next_send(Pager *pager, uint32_t *member, Slice *frame);
bool pager_answer(Pager *pager, uint32_t member, const Frame *frame, uint64_t now_ms);

/*
 * A scan that has failed with STATUS_MOVED goes on by a newer topology, from behind the last page
 * that was handed out. The topology and its bucket are borrowed in place of those before; avoid is
 * by its members, and may be NULL.
 */
void pager_follow(Pager *pager, const Topology *topology, const Bucket *bucket, const bool *avoid,
                  uint64_t now_ms);

/* As request_lost and request_unreached. */
void pager_lost(Pager *pager, uint32_t member, uint64_t now_ms);
void pager_unreached(Pager *pager, uint32_t member, uint64_t now_ms);

void pager_tick(Pager *pager, uint64_t now_ms);
uint64_t pager_wake_ms(const Pager *pager);
bool pager_was_silent(const Pager *pager, uint32_t member);

/* Why the scan failed, and in which partition. */
StatusCode pager_failure(const Pager *pager, uint32_t *partition);

/* The status that the member last refused a page with; STATUS_OK: it has refused none. */
StatusCode pager_refusal(const Pager *pager, uint32_t member);
PagerCounters pager_counters(const Pager *pager);

#endif
