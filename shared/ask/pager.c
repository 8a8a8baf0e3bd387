/* A scan: which pages are under way, and in which order they are handed out. How far a page has got
 * is in pager_page.c. */
#include "shared/ask/pager_private.h"

#include <string.h>

/* From here on the page counts against the window. */
static void
begin_page(Pager *pager, PagerPage *page)
{
    pager->page_count++;
    pager_page_begin(pager, page);
}

/* Pages that are queued go before partitions that nobody has looked into yet. */
static void
fill_window(Pager *pager)
{
    PagerPage **tail = &pager->pages;

    for (; *tail != NULL; tail = &(*tail)->next)
    {
        bool is_next = tail == &pager->pages;

        if ((*tail)->state == PAGE_QUEUED && (is_next || pager->page_count < pager->window) &&
            !pager->failed)
            begin_page(pager, *tail);
    }
    while (pager->page_count < pager->window &&
           pager->next_partition < pager->topology->partitions && !pager->failed)
    {
        *tail = pager_page_new(pager, pager->next_partition++, SLICE_EMPTY);
        begin_page(pager, *tail);
        tail = &(*tail)->next;
    }
}

void
pager_heard(Pager *pager, uint32_t member, uint64_t now_ms)
{
    pager->silent[member] = false;
    pager->asker->members[member].heard_ms = now_ms;
}

/* Tags are the asker's, so that no two pages and no two requests have one: the first that knows the
 * tag takes the answer. */
bool
pager_answer(Pager *pager, uint32_t member, const Frame *frame, uint64_t now_ms)
{
    pager->now_ms = now_ms;
    for (PagerPage *page = pager->pages; page != NULL; page = page->next)
    {
        if (page->state == PAGE_MERGE && request_answer(page->merge, member, frame, now_ms))
        {
            pager_page_take_merge(pager, page);
            return true;
        }
        for (uint32_t place = 0; page->state != PAGE_MERGE && place < page->owner_count; place++)
        {
            const PagerAsk *open = &page->asks[place];

            if (open->tag != frame->tag || open->member != member || !open->sent)
                continue;
            pager_heard(pager, member, now_ms);
            if (!open->answered)
                pager_page_take_answer(pager, page, place, frame);
            return true;
        }
    }
    return false;
}

/* Reached means that a link was there and broke: frames that were sent may have been read. Not
 * reached means that nothing was, and that asking again would not help. */
static void
lose_member(Pager *pager, uint32_t member, bool reached, uint64_t now_ms)
{
    pager->now_ms = now_ms;
    pager->avoid[member] = true;
    for (PagerPage *page = pager->pages; page != NULL; page = page->next)
    {
        if (page->state == PAGE_MERGE)
        {
            (reached ? request_lost : request_unreached)(page->merge, member, now_ms);
            pager_page_take_merge(pager, page);
            continue;
        }
        for (uint32_t place = 0; place < page->owner_count; place++)
        {
            const PagerAsk *ask = &page->asks[place];
            bool open = ask->tag != 0 && !ask->answered && (ask->sent || !reached);

            if (page->owners[place] == member && open && page->state != PAGE_READY)
            {
                (reached ? pager_page_lose_owner : pager_page_drop_owner)(pager, page, place);
                break;
            }
        }
    }
}

void
pager_lost(Pager *pager, uint32_t member, uint64_t now_ms)
{
    lose_member(pager, member, true, now_ms);
}

void
pager_unreached(Pager *pager, uint32_t member, uint64_t now_ms)
{
    lose_member(pager, member, false, now_ms);
}

void
pager_tick(Pager *pager, uint64_t now_ms)
{
    pager->now_ms = now_ms;
    for (PagerPage *page = pager->pages; page != NULL && !pager->failed; page = page->next)
    {
        if (page->state == PAGE_MERGE)
        {
            request_tick(page->merge, now_ms);
            pager_page_take_merge(pager, page);
        }
        else if (page->state != PAGE_READY)
            pager_page_tick(pager, page);
    }
}

uint64_t
pager_wake_ms(const Pager *pager)
{
    uint64_t wake = UINT64_MAX;

    for (const PagerPage *page = pager->pages; page != NULL; page = page->next)
    {
        uint64_t due = page->state == PAGE_MERGE ? request_wake_ms(page->merge)
                                                 : pager_page_due_ms(pager, page);

        wake = due < wake ? due : wake;
    }
    return wake;
}

/* Reads of differing keys go first within a page, since the page waits for nothing else. */
bool
pager_next_send(Pager *pager, uint32_t *member, Slice *frame)
{
    fill_window(pager);
    for (PagerPage *page = pager->pages; page != NULL && !pager->failed; page = page->next)
    {
        if (page->state == PAGE_MERGE && request_next_send(page->merge, member, frame))
        {
            pager->counters.frames++;
            return true;
        }
        for (uint32_t place = 0; page->state < PAGE_MERGE && place < page->owner_count; place++)
        {
            PagerAsk *open = &page->asks[place];

            if (open->tag == 0 || open->sent || open->due_ms > pager->now_ms)
                continue;
            open->sent = true;
            open->sent_ms = pager->now_ms;
            pager->counters.frames++;
            pager_page_encode_ask(pager, page, place);
            *member = open->member;
            *frame = buffer_slice(&pager->frame);
            return true;
        }
    }
    return false;
}

bool
pager_was_silent(const Pager *pager, uint32_t member)
{
    return pager->silent[member];
}

/* Pages are handed out in the order of partitions, so that the order of rows does not hang on
 * timing. */
PagerState
pager_state(Pager *pager)
{
    fill_window(pager);
    if (pager->failed)
        return PAGER_FAILED;
    if (pager->pages == NULL)
        return PAGER_END;
    return pager->pages->state == PAGE_READY ? PAGER_ROWS : PAGER_WAITING;
}

/* The page before is freed only now, so that its rows stay valid until they have been looked at. */
const PagerRow *
pager_next_page(Pager *pager, uint32_t *row_count)
{
    PagerPage *page = pager->pages;

    if (pager->handed_out != NULL)
        pager_page_free(pager, pager->handed_out);
    pager->handed_out = page;
    pager->pages = page->next;
    pager->page_count--;
    *row_count = page->row_count;
    return page->rows;
}

StatusCode
pager_failure(const Pager *pager, uint32_t *partition)
{
    *partition = pager->failed_partition;
    return pager->failure;
}

StatusCode
pager_refusal(const Pager *pager, uint32_t member)
{
    return (StatusCode)pager->refusals[member];
}

PagerCounters
pager_counters(const Pager *pager)
{
    return pager->counters;
}

/* One more than there are members, so that none is not asked for as no memory. */
static bool *
new_flags(const Memory *memory, const bool *from, uint32_t count)
{
    bool *flags = memory_resize(memory, NULL, count + 1);

    for (uint32_t i = 0; i < count; i++)
        flags[i] = from != NULL && from[i];
    return flags;
}

static void
make_flags(Pager *pager, const bool *avoid)
{
    uint32_t count = pager->topology->member_count;

    pager->avoid = new_flags(pager->memory, avoid, count);
    pager->silent = new_flags(pager->memory, NULL, count);
    pager->refusals = memory_resize(pager->memory, NULL, count + (size_t)1);
    memset(pager->refusals, STATUS_OK, count + (size_t)1);
    pager->options.avoid = pager->avoid;
}

static void
free_flags(Pager *pager)
{
    memory_resize(pager->memory, pager->avoid, 0);
    memory_resize(pager->memory, pager->silent, 0);
    memory_resize(pager->memory, pager->refusals, 0);
}

/* Owners alone are asked for pages: so a pr above r is a larger r. */
Pager *
pager_new(const Memory *memory, RequestAsker *asker, const Topology *topology, const Bucket *bucket,
          const RequestOptions *options, uint32_t page_bytes, uint32_t window, uint64_t now_ms)
{
    Pager *pager = memory_resize(memory, NULL, sizeof(Pager));

    *pager = (Pager){.memory = memory,
                     .asker = asker,
                     .topology = topology,
                     .bucket = bucket,
                     .options = *options,
                     .page_bytes = page_bytes,
                     .window = window,
                     .now_ms = now_ms};
    make_flags(pager, options->avoid);
    if (options->owners > options->quorum)
        pager->options.quorum = options->owners;
    pager->options.owners = pager->options.quorum;
    buffer_init(&pager->frame, memory);
    return pager;
}

static void
free_pages(Pager *pager)
{
    while (pager->pages != NULL)
    {
        PagerPage *page = pager->pages;

        pager->pages = page->next;
        pager_page_free(pager, page);
    }
    pager->page_count = 0;
}

void
pager_free(Pager *pager)
{
    free_pages(pager);
    if (pager->handed_out != NULL)
        pager_page_free(pager, pager->handed_out);
    buffer_free(&pager->frame);
    free_flags(pager);
    memory_resize(pager->memory, pager, 0);
}

/* The place at which the next page would begin is copied: the page that names it goes. */
void
pager_follow(Pager *pager, const Topology *topology, const Bucket *bucket, const bool *avoid,
             uint64_t now_ms)
{
    PagerPage *next = pager->pages;
    PagerPage *again;

    pager->now_ms = now_ms;
    pager->topology = topology;
    pager->bucket = bucket;
    free_flags(pager);
    make_flags(pager, avoid);
    again = pager_page_new(pager, next->partition, next->after);
    free_pages(pager);
    pager->pages = again;
    pager->next_partition = again->partition + 1;
    pager->failed = false;
}
