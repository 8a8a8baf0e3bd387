/*
 * The inside of a Pager, for pager.c (which pages are under way) and pager_page.c (how far one of
 * them has got).
 */
#ifndef SHARED_ASK_PAGER_PRIVATE_H
#define SHARED_ASK_PAGER_PRIVATE_H

#include "shared/ask/pager.h"

typedef enum PagerPageState
{
    PAGE_QUEUED, /* waits for a slot in the window */
    PAGE_FULL,
    PAGE_DIGESTS,
    PAGE_ROWS,
    PAGE_MERGE,
    PAGE_READY
} PagerPageState;

/* One question of a page to one member. */
typedef struct PagerAsk
{
    uint32_t tag; /* 0: none is under way */
    uint32_t member;
    bool sent;
    bool answered;
    uint64_t due_ms; /* not to be sent before: the member was overloaded */
    uint64_t sent_ms;
    ScanReply reply;
} PagerAsk;

typedef struct PagerPage PagerPage;

struct PagerPage
{
    PagerPage *next; /* of those under way, in the order of handing out */
    Arena arena;
    PagerPageState state;
    uint32_t partition;
    uint16_t owners[TOPOLOGY_N_MAX]; /* of the partition; those to avoid come last */
    uint32_t owner_count;
    uint32_t dropped;   /* owners, by place, that did not answer */
    uint32_t slow;      /* of these, those that may be asked again when too few are left */
    uint32_t again;     /* owners whose link broke once: they count as slow that time alone */
    uint32_t patience;  /* doublings of hedge_after_ms */
    uint64_t silent_ms; /* since when the first owner was silent or overloaded; 0: none was */
    uint32_t pauses;    /* after which an overloaded owner was asked again */
    Slice after;
    Slice limit;    /* the cursor that the page must not pass; empty: none */
    Slice through;  /* the cursor that the full page ends at */
    bool is_last;   /* of its partition */
    PagerAsk *asks; /* by place in owners */
    PagerRow *rows;
    uint32_t row_count;
    Slice *differing;
    uint32_t *differing_rows; /* by differing key: its row */
    uint32_t differing_count;
    Request *merge;
};

struct Pager
{
    const Memory *memory;
    RequestAsker *asker;
    const Topology *topology;
    const Bucket *bucket;
    RequestOptions options;
    bool *avoid;       /* by member */
    bool *silent;      /* by member */
    uint8_t *refusals; /* by member: the StatusCode that it refused with last; STATUS_OK: none */
    uint32_t page_bytes;
    uint32_t window;
    uint64_t now_ms;
    uint32_t next_partition;
    uint32_t page_count; /* under way or ready */
    PagerPage *pages;
    PagerPage *handed_out; /* kept until the next call */
    bool met_ill;          /* an owner whose disk is full or failed */
    bool failed;
    StatusCode failure;
    uint32_t failed_partition;
    PagerCounters counters;
    Buffer frame;
};

/* One page, from after (a cursor; empty: the partition's start) on, queued. */
PagerPage *pager_page_new(Pager *pager, uint32_t partition, Slice after);
void pager_page_free(Pager *pager, PagerPage *page);

/* Asks one of the owners that are left for rows, anew; fails the scan when too few are left. */
void pager_page_begin(Pager *pager, PagerPage *page);

/* A frame that answers the question to the owner at place. */
void pager_page_take_answer(Pager *pager, PagerPage *page, uint32_t place, const Frame *frame);

/* The keys that differ have been read, as far as they have. */
void pager_page_take_merge(Pager *pager, PagerPage *page);

/* The owner's link broke: it takes part again, once, when too few are left without it. */
void pager_page_lose_owner(Pager *pager, PagerPage *page, uint32_t place);

/* The owner takes no part any more; the page begins again with those that are left. */
void pager_page_drop_owner(Pager *pager, PagerPage *page, uint32_t place);

/* Looks for owners that have been silent too long; when that is wanted next. */
void pager_page_tick(Pager *pager, PagerPage *page);
uint64_t pager_page_due_ms(const Pager *pager, const PagerPage *page);

/* Writes the frame of the question to pager->frame. */
void pager_page_encode_ask(Pager *pager, PagerPage *page, uint32_t place);

#endif
