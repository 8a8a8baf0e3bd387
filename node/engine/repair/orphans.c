/*
 * The phases that a disk which was set back goes through before it is filled: ask for rounds, raise
 * the own, move rows aside. orphans_ask.c has the questions, orphans_rows.c what is done with rows
 * and, later, with orphans.
 */
#include "node/engine/repair/orphans_private.h"

#include <string.h>

enum
{
    PAGE_BYTES = 128 * 1024,
    PASS_AGAIN_MS = 500,
    GRACE_MS = 1000 /* after the beginning: for members that are not up yet */
};

Orphans *
orphans_new(void)
{
    Orphans *orphans = memory_resize(&MEMORY_HEAP, NULL, sizeof(Orphans));

    *orphans = (Orphans){.aside = true, .wanted = ORPHAN_WALK_TIDY};
    buffer_init(&orphans->after, &MEMORY_HEAP);
    arena_init(&orphans->arena, &MEMORY_HEAP);
    arena_init(&orphans->shown_arena, &MEMORY_HEAP);
    arena_init(&orphans->counted_arena, &MEMORY_HEAP);
    return orphans;
}

static void
forget_buckets(Orphans *orphans)
{
    for (uint32_t i = 0; i < orphans->bucket_count; i++)
        memory_resize(&MEMORY_HEAP, orphans->buckets[i].settled, 0);
    orphans->bucket_count = 0;
}

void
orphans_free(Orphans *orphans)
{
    forget_buckets(orphans);
    buffer_free(&orphans->after);
    arena_free(&orphans->arena);
    arena_free(&orphans->shown_arena);
    arena_free(&orphans->counted_arena);
    memory_resize(&MEMORY_HEAP, orphans->buckets, 0);
    memory_resize(&MEMORY_HEAP, orphans->awaited, 0);
    memory_resize(&MEMORY_HEAP, orphans->heard, 0);
    tickets_free(&orphans->tickets);
    memory_resize(&MEMORY_HEAP, orphans, 0);
}

/* ---- what is wished ---- */

void
orphans_rest(Orphans *orphans)
{
    orphans->phase = ORPHAN_PHASE_RESTING;
    orphans->walk = ORPHAN_WALK_NONE;
    orphans->clearing = false;
    tickets_end(&orphans->tickets, orphans->ticket);
}

void
orphans_begin(Orphans *orphans)
{
    if (!orphans->aside)
        return;
    forget_buckets(orphans);
    orphans->aside = false;
    orphans->found_out = false;
    orphans->ready = false;
    orphans->last_bucket = 0;
    orphans->moving = 0;
    orphans->partition = 0;
    orphans->grace_ms = orphans->pass_ms = orphans->due_ms = 0;
    orphans_rest(orphans);
}

/* The first bucket behind that number: they stand in the order of their numbers. */
static const Bucket *
next_bucket(const View *view, uint32_t last)
{
    uint32_t index = topology_bucket_index(view->topology, last + 1);

    return index < view->topology->bucket_count ? &view->topology->buckets[index] : NULL;
}

static uint32_t
newest_bucket(const Orphans *orphans)
{
    return orphans->bucket_count > 0 ? orphans->buckets[orphans->bucket_count - 1].id : 0;
}

bool
orphans_are_aside(const Orphans *orphans, const View *view)
{
    return orphans->aside || (orphans->ready && orphans->phase == ORPHAN_PHASE_RESTING &&
                              next_bucket(view, newest_bucket(orphans)) == NULL);
}

bool
orphans_are_found_out(const Orphans *orphans)
{
    return orphans->found_out;
}

void
orphans_want(Orphans *orphans, OrphanWalk walk, uint32_t bucket_id)
{
    orphans->wanted = walk;
    orphans->wanted_bucket = bucket_id;
}

void
orphans_end(Orphans *orphans)
{
    forget_buckets(orphans);
    orphans->aside = true;
    orphans_rest(orphans);
    orphans_want(orphans, ORPHAN_WALK_TIDY, 0);
}

void
orphans_adopt(Orphans *orphans, uint32_t bucket_id)
{
    orphans_want(orphans, ORPHAN_WALK_ADOPT, bucket_id);
}

void
orphans_drop(Orphans *orphans, uint32_t bucket_id)
{
    orphans_want(orphans, ORPHAN_WALK_DROP, bucket_id);
}

/* ---- moving ---- */

uint64_t
orphans_ref_of(const Orphans *orphans, uint32_t row)
{
    return ticket_ref(REF_ORPHANS, orphans->ticket, row);
}

void
orphans_renew(Orphans *orphans)
{
    tickets_end(&orphans->tickets, orphans->ticket);
    orphans->ticket = tickets_draw(&orphans->tickets, 0);
}

bool
orphans_is_present_question(const Orphans *orphans, uint32_t ticket)
{
    return tickets_find(&orphans->tickets, ticket) != TICKET_NO_SLOT;
}

bool
orphans_is_present(const Orphans *orphans, uint64_t ref, OrphanPhase phase)
{
    return orphans->phase == phase && orphans_is_present_question(orphans, ticket_ref_number(ref));
}

void
orphans_read_page(Orphans *orphans, const View *view)
{
    StorageRange range = {.bucket_id = ORPHANS_BUCKET,
                          .last_position = UINT64_MAX,
                          .after = buffer_slice(&orphans->after),
                          .max_bytes = PAGE_BYTES};

    if (orphans->walk == ORPHAN_WALK_NONE)
    {
        range.bucket_id = orphans->bucket_id;
        range.first_position = orphans_start_of(view, orphans->partition);
        range.last_position = range.first_position + UINT64_MAX / orphans->partitions;
        range.unreadable = orphans->clearing;
    }
    orphans->phase = ORPHAN_PHASE_READING;
    orphans_renew(orphans);
    actions_scan(view->actions, &range, orphans_ref_of(orphans, 0));
}

/* The next partition whose rows are to be moved; false: there is none left. */
static bool
move_next(Orphans *orphans, const View *view)
{
    for (; orphans->moving < orphans->bucket_count; orphans->moving++, orphans->partition = 0)
    {
        const OrphanBucket *bucket = &orphans->buckets[orphans->moving];

        orphans->bucket_id = bucket->id;
        for (; bucket->left > 0 && orphans->partition < orphans->partitions; orphans->partition++)
        {
            TreeId id = {.bucket_id = bucket->id, .partition = orphans->partition};

            if (orphans_is_settled(bucket, id.partition) ||
                rounds_of(view->rounds, id).held <= orphans_own_number(view, id))
                continue;
            buffer_reset(&orphans->after);
            orphans->missed = false;
            orphans_read_page(orphans, view);
            return true;
        }
    }
    return false;
}

/* All that could be settled is. */
static void
end_pass(Orphans *orphans, const View *view)
{
    orphans->ready = true;
    for (uint32_t i = 0; i < orphans->bucket_count; i++)
    {
        const OrphanBucket *bucket = &orphans->buckets[i];

        for (uint32_t partition = 0; bucket->left > 0 && partition < orphans->partitions;
             partition++)
        {
            TreeId id = {.bucket_id = bucket->id, .partition = partition};

            if (!orphans_is_settled(bucket, partition) && orphans_is_needed(view, id))
                orphans->ready = false;
        }
    }
    orphans->pass_ms = view->now_ms + PASS_AGAIN_MS;
    orphans->passing = false;
}

/* ---- passes ---- */

/* The next bucket of the pass of which not all is settled. */
static const Bucket *
next_to_ask(Orphans *orphans, const View *view)
{
    const Bucket *bucket;
    const OrphanBucket *found;

    while ((bucket = next_bucket(view, orphans->last_bucket)) != NULL)
    {
        found = orphans_bucket(orphans, bucket->id);
        if (found == NULL || found->left > 0)
            return bucket;
        orphans->last_bucket = bucket->id;
    }
    return NULL;
}

static void
begin_pass(Orphans *orphans, const View *view)
{
    if (orphans->grace_ms == 0)
        orphans->grace_ms = view->now_ms + GRACE_MS;
    orphans->passing = true;
    orphans->last_bucket = 0;
    orphans->moving = 0;
    orphans->partition = 0;
}

/* First all buckets are asked about, so that what comes meanwhile is taken as soon as may be; then
 * rows are moved. */
static void
go_on(Orphans *orphans, const View *view)
{
    const Bucket *bucket = next_to_ask(orphans, view);

    if (bucket != NULL)
    {
        orphans_ask(orphans, view, bucket);
        return;
    }
    orphans->found_out = true;
    if (!move_next(orphans, view))
        end_pass(orphans, view);
}

/* Something is to be done for the data that were set back. */
static bool
is_pass_due(const Orphans *orphans, const View *view)
{
    if (orphans->aside)
        return false;
    return orphans->passing || view->now_ms >= orphans->pass_ms ||
           next_bucket(view, newest_bucket(orphans)) != NULL;
}

void
orphans_step(Orphans *orphans, const View *view)
{
    if (view->cannot_write || view->rounds == NULL)
        return;
    if (orphans->phase == ORPHAN_PHASE_ASKING)
        orphans_ask_on(orphans, view);
    if (orphans->phase == ORPHAN_PHASE_WRITING && orphans->due_ms > 0 &&
        view->now_ms >= orphans->due_ms)
        orphans_treat_page(orphans, view);
    while (orphans->phase == ORPHAN_PHASE_RESTING && is_pass_due(orphans, view))
    {
        if (!orphans->passing)
            begin_pass(orphans, view);
        go_on(orphans, view);
    }
    if (orphans->phase == ORPHAN_PHASE_RESTING && orphans->aside &&
        orphans->wanted != ORPHAN_WALK_NONE)
        orphans_begin_walk(orphans, view);
}

uint64_t
orphans_wake_ms(const Orphans *orphans, const View *view)
{
    if (orphans->phase == ORPHAN_PHASE_ASKING)
        return orphans->due_ms;
    if (orphans->phase == ORPHAN_PHASE_WRITING && orphans->due_ms > 0)
        return orphans->due_ms;
    if (orphans->phase != ORPHAN_PHASE_RESTING)
        return UINT64_MAX;
    if (orphans->aside)
        return orphans->wanted != ORPHAN_WALK_NONE ? view->now_ms : UINT64_MAX;
    return is_pass_due(orphans, view) ? view->now_ms : orphans->pass_ms;
}

uint64_t
orphans_count(const Orphans *orphans)
{
    return orphans->count;
}

Orphan
orphans_show(const Orphans *orphans, uint32_t index)
{
    return orphans->shown[index];
}
