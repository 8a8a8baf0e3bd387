/*
 * A full scan by partition pages with the quorum merge.
 *
 * Each partition goes through: PAGE_FULL (one owner streams rows), PAGE_DIGESTS (r-1 others give
 * the digest over the same range), then either it is ready, or PAGE_ROWS (r-1 others send their
 * rows of that range) and PAGE_MERGE (one Request reads every key that differs, coordinated). A
 * partition's next page is asked for when the one before is ready and the window has a free slot;
 * the page that is handed out next needs none, so that the scan always goes on. Failure modes: a
 * member that is lost, refuses or is silent is replaced by the partition's next owner, and the page
 * begins again with what is left. Who was merely silent, or whose link broke once, is asked again,
 * with more patience, when too few are left without it: the next owner may be down where this one
 * was slow. Who is overloaded is asked again too, after a pause that grows, when nobody can be
 * asked instead.
 */
#include "shared/ask/pager_private.h"

#include <stdlib.h>
#include <string.h>

/* A merge may still be under way when the scan is given up. */
void
pager_page_free(Pager *pager, PagerPage *page)
{
    if (page->merge != NULL)
        request_end(page->merge);
    arena_free(&page->arena);
    memory_resize(pager->memory, page, 0);
}

/* The owners of the partition, those to avoid last. They are looked up anew for each page, since
 * members may have gone down meanwhile. */
PagerPage *
pager_page_new(Pager *pager, uint32_t partition, Slice after)
{
    PagerPage *page = memory_resize(pager->memory, NULL, sizeof(PagerPage));
    uint64_t position = ring_partition_start(partition, pager->topology->partitions);
    uint16_t owners[TOPOLOGY_N_MAX];
    uint32_t count;

    *page = (PagerPage){.partition = partition};
    arena_init(&page->arena, pager->memory);
    page->after = slice_copy(&page->arena, after);
    count = topology_preference(pager->topology, position, owners, pager->bucket->n);
    for (int avoided = 0; avoided <= 1; avoided++)
    {
        for (uint32_t i = 0; i < count; i++)
        {
            if (pager->avoid[owners[i]] == (avoided == 1))
                page->owners[page->owner_count++] = owners[i];
        }
    }
    page->asks = arena_alloc_zero(&page->arena, sizeof(PagerAsk) * page->owner_count);
    pager->counters.pages++;
    return page;
}

/* The scan ends here. */
static void
pager_page_fail(Pager *pager, const PagerPage *page, StatusCode status)
{
    if (pager->failed)
        return;
    pager->failed = true;
    pager->failure = status;
    pager->failed_partition = page->partition;
}

/* The owners that take part: the first r that have not been dropped. */
static bool
is_taking_part(const Pager *pager, const PagerPage *page, uint32_t place)
{
    uint32_t before = 0;

    if ((page->dropped & 1u << place) != 0)
        return false;
    for (uint32_t i = 0; i < place; i++)
        before += (page->dropped & 1u << i) == 0;
    return before < pager->options.quorum;
}

/* The owner that streams the rows: the first that was not dropped. */
static uint32_t
first_place(const PagerPage *page)
{
    uint32_t place = 0;

    while (place < page->owner_count && (page->dropped & 1u << place) != 0)
        place++;
    return place;
}

static void
ask_owner(Pager *pager, PagerPage *page, uint32_t place)
{
    page->asks[place] = (PagerAsk){.tag = ++pager->asker->last_tag, .member = page->owners[place]};
}

static uint32_t
count_left(const PagerPage *page)
{
    return page->owner_count - (uint32_t)__builtin_popcount(page->dropped);
}

/* Slow owners come back when too few are left without them, and get twice the patience: without
 * that a slow cluster could never be scanned. */
void
pager_page_begin(Pager *pager, PagerPage *page)
{
    page->state = PAGE_FULL;
    memset(page->asks, 0, sizeof(PagerAsk) * page->owner_count);
    if (count_left(page) < pager->options.quorum && page->slow != 0)
    {
        page->dropped &= ~page->slow;
        page->slow = 0;
        page->patience++;
    }
    if (count_left(page) < pager->options.quorum)
        pager_page_fail(pager, page, pager->met_ill ? STATUS_STORAGE : STATUS_UNAVAILABLE);
    else
        ask_owner(pager, page, first_place(page));
}

/* The digests, and where they differ the rows, come from the others at once. */
static void
ask_others(Pager *pager, PagerPage *page, PagerPageState state)
{
    page->state = state;
    for (uint32_t place = first_place(page) + 1; place < page->owner_count; place++)
    {
        if (is_taking_part(pager, page, place))
            ask_owner(pager, page, place);
    }
}

/* The rows lie in the page's arena already: the answer was copied there as a whole. */
static void
use_rows(PagerPage *page, const ScanReply *reply)
{
    page->row_count = reply->row_count;
    page->rows = ARENA_ARRAY(&page->arena, PagerRow, reply->row_count);
    for (uint32_t i = 0; i < reply->row_count; i++)
        page->rows[i] = (PagerRow){.key = reply->rows[i].key,
                                   .object = reply->rows[i].object,
                                   .context = reply->rows[i].context};
}

/* The rest of the partition is queued behind it: asked for soon, while this page is read. */
static void
end_page(Pager *pager, PagerPage *page)
{
    page->state = PAGE_READY;
    if (page->is_last)
        return;

    PagerPage *rest = pager_page_new(pager, page->partition, page->through);

    rest->next = page->next;
    page->next = rest;
}

/* The rows of every owner that takes part, as a sorted array. */
typedef struct PagerSourceRow
{
    const ScanRow *row;
    uint32_t owner;
} PagerSourceRow;

/* By key, and among those of one key by owner: so the first owner's row is the one that is used
 * when all are alike. */
static int
compare_source(const void *a, const void *b)
{
    const PagerSourceRow *left = a;
    const PagerSourceRow *right = b;
    int order = slice_compare(left->row->key, right->row->key);

    return order != 0 ? order : (left->owner > right->owner) - (left->owner < right->owner);
}

static PagerSourceRow *
gather_rows(Pager *pager, PagerPage *page, uint32_t *count)
{
    uint32_t total = 0;

    for (uint32_t place = 0; place < page->owner_count; place++)
        total += is_taking_part(pager, page, place) ? page->asks[place].reply.row_count : 0;

    PagerSourceRow *rows = ARENA_ARRAY(&page->arena, PagerSourceRow, total);

    *count = 0;
    for (uint32_t place = 0; place < page->owner_count; place++)
    {
        const ScanReply *reply = &page->asks[place].reply;

        for (uint32_t i = 0; is_taking_part(pager, page, place) && i < reply->row_count; i++)
            rows[(*count)++] = (PagerSourceRow){.row = &reply->rows[i], .owner = place};
    }
    if (*count > 1)
        qsort(rows, *count, sizeof(PagerSourceRow), compare_source);
    return rows;
}

/* Rows that all have alike are taken as they are; the others are named for the coordinated read. */
static void
compare_owners_rows(Pager *pager, PagerPage *page)
{
    uint32_t total;
    PagerSourceRow *rows = gather_rows(pager, page, &total);

    page->rows = ARENA_ARRAY(&page->arena, PagerRow, total);
    page->differing = ARENA_ARRAY(&page->arena, Slice, total);
    page->differing_rows = ARENA_ARRAY(&page->arena, uint32_t, total);
    page->row_count = page->differing_count = 0;
    for (uint32_t i = 0; i < total;)
    {
        uint32_t end = i + 1;
        bool equal = true;

        for (; end < total && slice_equal(rows[end].row->key, rows[i].row->key); end++)
            equal = equal && slice_equal(rows[end].row->object, rows[i].row->object);
        equal = equal && end - i == pager->options.quorum;
        if (!equal)
        {
            page->differing_rows[page->differing_count] = page->row_count;
            page->differing[page->differing_count++] = rows[i].row->key;
        }
        page->rows[page->row_count++] = (PagerRow){.key = rows[i].row->key,
                                                   .object = rows[i].row->object,
                                                   .context = rows[i].row->context};
        i = end;
    }
}

/* The members to avoid are the scan's own by now, not those that the caller began with. */
static void
begin_merge(Pager *pager, PagerPage *page)
{
    RequestOptions options = pager->options;

    compare_owners_rows(pager, page);
    if (page->differing_count == 0)
    {
        end_page(pager, page);
        return;
    }
    page->state = PAGE_MERGE;
    options.avoid = pager->avoid;
    page->merge = request_read(&page->arena, pager->asker, pager->topology, pager->bucket, &options,
                               page->differing, page->differing_count, pager->now_ms);
}

/* A key that cannot be read ends the scan: rows must not be missing from it without a word. */
void
pager_page_take_merge(Pager *pager, PagerPage *page)
{
    const RequestReadResult *results = request_read_results(page->merge);

    if (!request_done(page->merge))
        return;
    for (uint32_t i = 0; i < page->differing_count; i++)
    {
        PagerRow *row = &page->rows[page->differing_rows[i]];

        if (results[i].status != STATUS_OK)
        {
            pager_page_fail(pager, page, results[i].status);
            return;
        }
        row->object = results[i].object;
        row->context = results[i].context;
        row->answered = results[i].answered;
    }
    end_page(pager, page);
}

static bool
all_answered(const Pager *pager, const PagerPage *page)
{
    for (uint32_t place = 0; place < page->owner_count; place++)
    {
        if (is_taking_part(pager, page, place) && !page->asks[place].answered)
            return false;
    }
    return true;
}

static bool
digests_agree(const Pager *pager, const PagerPage *page)
{
    const ScanReply *full = &page->asks[first_place(page)].reply;

    for (uint32_t place = 0; place < page->owner_count; place++)
    {
        const ScanReply *reply = &page->asks[place].reply;

        if (is_taking_part(pager, page, place) &&
            (reply->row_count != full->row_count || !digest_equal(&reply->digest, &full->digest)))
            return false;
    }
    return true;
}

/* Everybody asked for this state has answered. */
static void
advance_page(Pager *pager, PagerPage *page)
{
    PagerAsk *full = &page->asks[first_place(page)];

    switch (page->state)
    {
    case PAGE_QUEUED:
        return;
    case PAGE_FULL:
        page->is_last = full->reply.done && page->limit.length == 0;
        page->through = full->reply.done ? page->limit : full->reply.last;
        if (pager->options.quorum > 1)
        {
            ask_others(pager, page, PAGE_DIGESTS);
            return;
        }
        use_rows(page, &full->reply);
        end_page(pager, page);
        return;
    case PAGE_DIGESTS:
        if (digests_agree(pager, page))
        {
            use_rows(page, &full->reply);
            end_page(pager, page);
            return;
        }
        pager->counters.mismatches++;
        ask_others(pager, page, PAGE_ROWS);
        return;
    case PAGE_ROWS:
        begin_merge(pager, page);
        return;
    case PAGE_MERGE:
    case PAGE_READY:
        return;
    }
}

static bool
stage_is_answered(const Pager *pager, const PagerPage *page)
{
    return page->state == PAGE_FULL ? page->asks[first_place(page)].answered
                                    : all_answered(pager, page);
}

/* The owner takes no part any more; the page begins again with those that are left. */
void
pager_page_drop_owner(Pager *pager, PagerPage *page, uint32_t place)
{
    page->dropped |= 1u << place;
    pager->counters.failovers++;
    pager_page_begin(pager, page);
}

void
pager_page_lose_owner(Pager *pager, PagerPage *page, uint32_t place)
{
    if ((page->again & 1u << place) == 0)
        page->slow |= 1u << place;
    page->again |= 1u << place;
    pager_page_drop_owner(pager, page, place);
}

/* What an answer refuses with; STATUS_OK when it does not. */
static StatusCode
refusal_of(const Frame *frame)
{
    ErrorFrame error;

    return frame->type == FRAME_ERROR && error_decode(frame, &error) ? error.status : STATUS_OK;
}

/* Silence is counted from the first refusal, so that a member which is overloaded for good ends the
 * scan at its deadline. */
static void
ask_later(Pager *pager, PagerPage *page, uint32_t place)
{
    if (page->silent_ms == 0)
        page->silent_ms = pager->now_ms;
    ask_owner(pager, page, place);
    page->asks[place].due_ms = pager->now_ms + request_asker_pause_ms(pager->asker, page->pauses++);
    pager->counters.backoffs++;
}

void
pager_page_take_answer(Pager *pager, PagerPage *page, uint32_t place, const Frame *frame)
{
    StatusCode refusal = refusal_of(frame);

    if (refusal != STATUS_OK)
        pager->refusals[page->owners[place]] = (uint8_t)refusal;
    if (refusal == STATUS_MOVED)
    {
        pager_page_fail(pager, page, refusal);
        return;
    }
    if (refusal == STATUS_OVERLOADED && count_left(page) == pager->options.quorum)
    {
        ask_later(pager, page, place);
        return;
    }

    pager->met_ill = pager->met_ill || refusal == STATUS_STORAGE;

    PagerAsk *answer = &page->asks[place];
    Frame kept = frame_copy(&page->arena, frame);
    bool wants_rows = place == first_place(page) || page->state == PAGE_ROWS;

    if (frame->type != FRAME_SCAN_REPLY ||
        !scan_reply_decode(&kept, &page->arena, &answer->reply) ||
        answer->reply.status != STATUS_OK || (answer->reply.rows != NULL) != wants_rows ||
        !scan_reply_goes_on(&answer->reply, page->after))
    {
        pager_page_drop_owner(pager, page, place);
        return;
    }

    /* This owner holds more of the range than fits one answer: the page must end where its answer
     * does. */
    if (place != first_place(page) && !answer->reply.done)
    {
        page->limit = answer->reply.last;
        pager_page_begin(pager, page);
        return;
    }
    answer->answered = true;
    if (stage_is_answered(pager, page))
        advance_page(pager, page);
}

static uint64_t
owner_silent_since_ms(const Pager *pager, const PagerAsk *open)
{
    uint64_t heard = pager->asker->members[open->member].heard_ms;

    return heard > open->sent_ms ? heard : open->sent_ms;
}

/* How long an owner of the page may be silent before another one is asked instead. */
static uint64_t
owner_patience_ms(const Pager *pager, const PagerPage *page)
{
    uint64_t patience = (uint64_t)pager->options.hedge_after_ms << (page->patience & 31);

    return patience < pager->options.timeout_ms ? patience : pager->options.timeout_ms;
}

/* Without this owner there would still be enough to go on with. */
static bool
has_other(const Pager *pager, const PagerPage *page)
{
    return count_left(page) > pager->options.quorum || page->slow != 0;
}

/* When the page fails for want of answers. */
static uint64_t
deadline_ms(const Pager *pager, const PagerPage *page, const PagerAsk *open)
{
    uint64_t since = page->silent_ms != 0 ? page->silent_ms : owner_silent_since_ms(pager, open);

    return since + pager->options.timeout_ms;
}

/* It was sent, or waits for its time to be. */
static bool
is_answer_awaited(const PagerAsk *open)
{
    return open->tag != 0 && !open->answered && (open->sent || open->due_ms != 0);
}

void
pager_page_tick(Pager *pager, PagerPage *page)
{
    for (uint32_t place = 0; place < page->owner_count; place++)
    {
        const PagerAsk *open = &page->asks[place];
        uint64_t since = owner_silent_since_ms(pager, open);
        uint64_t waited = pager->now_ms > since ? pager->now_ms - since : 0;

        if (!is_answer_awaited(open))
            continue;
        if (pager->now_ms >= deadline_ms(pager, page, open))
        {
            pager_page_fail(pager, page, open->sent ? STATUS_UNAVAILABLE : STATUS_OVERLOADED);
            return;
        }
        if (open->sent && waited >= owner_patience_ms(pager, page) && has_other(pager, page))
        {
            pager->silent[open->member] = true;
            pager->avoid[open->member] = true;
            page->slow |= 1u << place;
            if (page->silent_ms == 0)
                page->silent_ms = since;
            pager_page_drop_owner(pager, page, place);
            return;
        }
    }
}

/* The owner that streams is asked for a page of so many bytes, the others for exactly the range
 * that came of it, however large: they give digests as a rule. */
void
pager_page_encode_ask(Pager *pager, PagerPage *page, uint32_t place)
{
    bool is_full = place == first_place(page);
    ScanFrame scan = {.epoch = pager->topology->epoch,
                      .bucket_id = pager->bucket->id,
                      .partition = page->partition,
                      .digest_only = !is_full && page->state == PAGE_DIGESTS,
                      .seal = pager->options.seal && (is_full || page->state == PAGE_ROWS),
                      .after = page->after,
                      .through = is_full ? page->limit : page->through,
                      .max_bytes = is_full ? pager->page_bytes : 0};

    buffer_reset(&pager->frame);
    scan_encode(&pager->frame, page->asks[place].tag, &scan);
}

/* The pause, the patience and the deadline of each question that is open: the earliest of them. */
uint64_t
pager_page_due_ms(const Pager *pager, const PagerPage *page)
{
    uint64_t due = UINT64_MAX;

    for (uint32_t place = 0; page->state < PAGE_MERGE && place < page->owner_count; place++)
    {
        const PagerAsk *open = &page->asks[place];
        uint64_t hedge = owner_silent_since_ms(pager, open) + owner_patience_ms(pager, page);

        if (!is_answer_awaited(open))
            continue;
        if (!open->sent && open->due_ms > pager->now_ms)
            due = open->due_ms < due ? open->due_ms : due;
        if (!open->sent || !has_other(pager, page) || hedge > deadline_ms(pager, page, open))
            hedge = deadline_ms(pager, page, open);
        due = hedge < due ? hedge : due;
    }
    return due;
}
