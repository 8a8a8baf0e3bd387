/*
 * Walks the trees of dropped buckets, and removes row by row what they still count.
 */
#include "node/engine/repair/purge.h"

enum
{
    PAGE_BYTES = 128 * 1024,
    LOOKED_AT_ONCE = 4096, /* trees */
    AGAIN_MS = 60000,      /* after a sweep, while there are dropped buckets */
    RETRY_MS = 1000        /* after storage has failed to read or to remove */
};

typedef enum PurgeState
{
    PURGE_RESTING,
    PURGE_SWEEPING, /* looks for the next partition with rows */
    PURGE_PACING,   /* waits for tokens, to read the next page of it */
    PURGE_READING,
    PURGE_REMOVING
} PurgeState;

struct Purge
{
    Pacer *pacer;
    PurgeState state;
    Tickets tickets;
    uint32_t ticket;    /* of the present question */
    uint64_t epoch;     /* that the last sweep began at */
    uint32_t slot;      /* of the sweep */
    uint64_t resume_ms; /* not before */
    TreeId id;          /* the partition at hand */
    Buffer after;       /* where its next page begins */
    bool last;          /* nothing lies behind the page at hand */
    bool unreadable;    /* the page is of what cannot be read */
    uint32_t open;      /* records of the page */
    Arena arena;        /* of the page */
    uint64_t total;
};

Purge *
purge_new(Pacer *pacer)
{
    Purge *purge = memory_resize(&MEMORY_HEAP, NULL, sizeof(Purge));

    *purge = (Purge){.pacer = pacer};
    buffer_init(&purge->after, &MEMORY_HEAP);
    arena_init(&purge->arena, &MEMORY_HEAP);
    return purge;
}

void
purge_free(Purge *purge)
{
    tickets_free(&purge->tickets);
    buffer_free(&purge->after);
    arena_free(&purge->arena);
    memory_resize(&MEMORY_HEAP, purge, 0);
}

uint64_t
purge_total(const Purge *purge)
{
    return purge->total;
}

static void
ask(Purge *purge)
{
    tickets_end(&purge->tickets, purge->ticket);
    purge->ticket = tickets_draw(&purge->tickets, 0);
}

static bool
is_awaited(const Purge *purge, uint64_t ref, PurgeState state)
{
    return purge->state == state &&
           tickets_find(&purge->tickets, ticket_ref_number(ref)) != TICKET_NO_SLOT;
}

/* ---- looking for rows ---- */

static bool
has_dropped(const Topology *topology)
{
    return topology->last_bucket_id != topology->bucket_count;
}

static bool
is_to_be_purged(const View *view, TreeId id)
{
    TreeSum sum;

    return storage_bucket_is_for_records(id.bucket_id) &&
           topology_was_dropped(view->topology, id.bucket_id) &&
           trees_sum(view->trees, id, (TreePart){0}, &sum) && (sum.rows > 0 || !sum.settled);
}

static void
begin_partition(Purge *purge, TreeId id)
{
    purge->id = id;
    buffer_reset(&purge->after);
    purge->unreadable = false;
    purge->state = PURGE_PACING;
}

static void
sweep(Purge *purge, const View *view)
{
    for (uint32_t i = 0; i < LOOKED_AT_ONCE; i++)
    {
        TreeId id;

        if (!trees_next(view->trees, &purge->slot, &id))
        {
            purge->state = PURGE_RESTING;
            purge->resume_ms = view->now_ms + AGAIN_MS;
            return;
        }
        if (is_to_be_purged(view, id))
        {
            begin_partition(purge, id);
            return;
        }
    }
}

/* ---- removing ---- */

static void
read_page(Purge *purge, const View *view)
{
    uint32_t partitions = view->topology->partitions;
    StorageRange range = {.bucket_id = purge->id.bucket_id,
                          .first_position = ring_partition_start(purge->id.partition, partitions),
                          .after = buffer_slice(&purge->after),
                          .max_bytes = PAGE_BYTES,
                          .unreadable = purge->unreadable};

    range.last_position = range.first_position + UINT64_MAX / partitions;
    purge->state = PURGE_READING;
    ask(purge);
    actions_scan(view->actions, &range, ticket_ref(REF_PURGE, purge->ticket, 0));
}

static void
remove_record(Purge *purge, const StorageRow *row, uint32_t item, Actions *actions)
{
    Digest digest = digest_of(row->object);
    Update *update = ARENA_NEW(&purge->arena, Update);

    *update = (Update){.unreadable = NULL};
    if (purge->unreadable)
        update->unreadable = arena_copy(&purge->arena, &digest, sizeof(digest));
    else
    {
        Reap reap = {.digest = digest, .whole = true};

        update->reap = arena_copy(&purge->arena, &reap, sizeof(reap));
    }
    actions_apply(actions, row->bucket_id, row->position, row->key, update,
                  ticket_ref(REF_PURGE, purge->ticket, item));
}

/* All records of the page are removed, or have failed to be. */
static void
end_page(Purge *purge)
{
    if (purge->unreadable)
        purge->unreadable = false; /* those that can be read are gone on with */
    else if (purge->last)
    {
        purge->state = PURGE_SWEEPING;
        return;
    }
    purge->state = PURGE_PACING;
}

static void
rest(Purge *purge, const View *view)
{
    purge->state = PURGE_SWEEPING;
    purge->resume_ms = view->now_ms + RETRY_MS;
}

void
purge_scanned(Purge *purge, const View *view, uint64_t ref, StatusCode status,
              const StoragePage *page)
{
    if (!is_awaited(purge, ref, PURGE_READING))
        return;
    if (status == STATUS_CORRUPT && !purge->unreadable)
    {
        purge->unreadable = true;
        purge->state = PURGE_PACING;
        return;
    }
    if (status != STATUS_OK || (purge->unreadable && page->row_count == 0))
    {
        rest(purge, view);
        return;
    }
    if (!purge->unreadable)
    {
        purge->last = page->done;
        buffer_reset(&purge->after);
        buffer_put(&purge->after, page->through.data, page->through.length);
    }
    arena_reset(&purge->arena);
    ask(purge);
    purge->state = PURGE_REMOVING;
    purge->open = page->row_count;
    for (uint32_t i = 0; i < page->row_count; i++)
    {
        pacer_take(purge->pacer, page->rows[i].key.length + page->rows[i].object.length);
        remove_record(purge, &page->rows[i], i, view->actions);
    }
    if (purge->open == 0)
        end_page(purge);
}

void
purge_merged(Purge *purge, uint64_t ref, StatusCode status)
{
    if (status != STATUS_OK)
        purge_durable(purge, ref, status);
}

void
purge_durable(Purge *purge, uint64_t ref, StatusCode status)
{
    if (!is_awaited(purge, ref, PURGE_REMOVING))
        return;
    purge->total += status == STATUS_OK;
    if (--purge->open == 0)
        end_page(purge);
}

/* ---- steps ---- */

static bool
may_work(const View *view)
{
    return view->trees != NULL && !view->cannot_write && has_dropped(view->topology);
}

static bool
wants_sweep(const Purge *purge, const View *view)
{
    return purge->epoch != view->topology->epoch || view->now_ms >= purge->resume_ms;
}

void
purge_step(Purge *purge, const View *view)
{
    if (!may_work(view))
        return;
    if (purge->state == PURGE_RESTING && wants_sweep(purge, view))
    {
        purge->epoch = view->topology->epoch;
        purge->slot = 0;
        purge->resume_ms = 0;
        purge->state = PURGE_SWEEPING;
    }
    if (purge->state == PURGE_SWEEPING && view->now_ms >= purge->resume_ms)
        sweep(purge, view);
    if (purge->state == PURGE_PACING && pacer_may_begin(purge->pacer, view->now_ms))
        read_page(purge, view);
}

uint64_t
purge_wake_ms(const Purge *purge, const View *view)
{
    if (!may_work(view))
        return UINT64_MAX;
    switch (purge->state)
    {
    case PURGE_RESTING:
        return wants_sweep(purge, view) ? view->now_ms : purge->resume_ms;
    case PURGE_SWEEPING:
        return purge->resume_ms > view->now_ms ? purge->resume_ms : view->now_ms;
    case PURGE_PACING:
        return pacer_ready_ms(purge->pacer, view->now_ms);
    case PURGE_READING:
    case PURGE_REMOVING:
        break;
    }
    return UINT64_MAX;
}
