#include "node/orphans_private.h"

#include <assert.h>
#include <string.h>

enum
{
    PAGE_BYTES = 128 * 1024,
    ASK_AGAIN_MS = 500
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

void
orphans_free(Orphans *orphans)
{
    buffer_free(&orphans->after);
    arena_free(&orphans->arena);
    arena_free(&orphans->shown_arena);
    arena_free(&orphans->counted_arena);
    memory_resize(&MEMORY_HEAP, orphans->awaited, 0);
    memory_resize(&MEMORY_HEAP, orphans->highest, 0);
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
    orphans->aside = false;
    orphans->last_bucket = 0;
    orphans->due_ms = 0;
    orphans_rest(orphans);
}

static const Bucket *
next_bucket(const Orphans *orphans, const View *view)
{
    for (uint32_t i = 0; i < view->topology->bucket_count; i++)
    {
        if (view->topology->buckets[i].id > orphans->last_bucket)
            return &view->topology->buckets[i];
    }
    return NULL;
}

bool
orphans_are_aside(const Orphans *orphans, const View *view)
{
    return orphans->aside ||
           (orphans->phase == ORPHAN_PHASE_RESTING && next_bucket(orphans, view) == NULL);
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
    orphans->aside = true;
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

/* ---- asking ---- */

static uint64_t
start_of(const View *view, uint32_t partition)
{
    return ring_partition_start(partition, view->topology->partitions);
}

bool
orphans_has_rows(const View *view, TreeId id)
{
    TreeSum sum;

    return view->trees == NULL || !trees_sum(view->trees, id, (TreePart){0}, &sum) ||
           sum.rows > 0 || !sum.settled;
}

/* The other owners of what this node owns, or has rows of. */
static void
choose_asked(Orphans *orphans, const View *view, const Bucket *bucket)
{
    uint16_t owners[TOPOLOGY_N_MAX];

    memset(orphans->awaited, 0, view->topology->member_count * sizeof(bool));
    orphans->awaited_count = 0;
    for (uint32_t partition = 0; partition < orphans->partitions; partition++)
    {
        TreeId id = {.bucket_id = bucket->id, .partition = partition};
        uint64_t start = start_of(view, partition);
        uint32_t count = topology_preference(view->topology, start, owners, bucket->n);

        if (!topology_owns(view->topology, bucket->id, start, view->self) &&
            !orphans_has_rows(view, id))
            continue;
        for (uint32_t i = 0; i < count; i++)
        {
            if (owners[i] == view->self || orphans->awaited[owners[i]])
                continue;
            orphans->awaited[owners[i]] = true;
            orphans->awaited_count++;
        }
    }
}

static void
ask(Orphans *orphans, const View *view, Actions *actions)
{
    ReapRoundsFrame frame = {.epoch = view->topology->epoch, .bucket_id = orphans->bucket_id};

    orphans->due_ms = view->now_ms + ASK_AGAIN_MS;
    for (uint32_t member = 0; member < view->topology->member_count; member++)
    {
        if (!orphans->awaited[member] || !view->up[member])
            continue;
        reap_rounds_encode(actions_frame(actions), ticket_tag(REF_ORPHANS, orphans->ticket),
                           &frame);
        actions_send(actions, member);
    }
}

static void
begin_bucket(Orphans *orphans, const View *view, const Bucket *bucket, Actions *actions)
{
    uint32_t partitions = view->topology->partitions;

    orphans->phase = ORPHAN_PHASE_ASKING;
    orphans_renew(orphans);
    orphans->bucket_id = bucket->id;
    orphans->partitions = partitions;
    orphans->partition = 0;
    orphans->highest = memory_resize(&MEMORY_HEAP, orphans->highest, partitions * sizeof(uint64_t));
    memset(orphans->highest, 0, partitions * sizeof(uint64_t));
    orphans->awaited =
        memory_resize(&MEMORY_HEAP, orphans->awaited, view->topology->member_count * sizeof(bool));
    choose_asked(orphans, view, bucket);
    ask(orphans, view, actions);
}

void
orphans_session_frame(const View *view, Origin origin, const Frame *frame, Actions *actions)
{
    const Rounds *rounds = view->rounds;
    ReapRoundsFrame asked;
    ReapRoundsReply reply = {.item_count = 0};

    if (rounds == NULL || !reap_rounds_decode(frame, &asked))
    {
        actions_error(actions, origin, STATUS_BAD_FRAME, "");
        return;
    }
    reply.items = ARENA_ARRAY(&actions->arena, ReapRound, rounds->count);
    for (uint32_t i = 0; i < rounds->count; i++)
    {
        const Round *round = &rounds->entries[i];

        if (round->id.bucket_id == asked.bucket_id && round->round > 0)
            reply.items[reply.item_count++] =
                (ReapRound){.partition = round->id.partition, .round = round->round};
    }
    reap_rounds_reply_encode(actions_frame(actions), origin.tag, &reply);
    actions_reply(actions, origin.session);
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

static bool
is_of_present_question(const Orphans *orphans, uint32_t ticket)
{
    return tickets_find(&orphans->tickets, ticket) != TICKET_NO_PLACE;
}

bool
orphans_is_present(const Orphans *orphans, uint64_t ref, OrphanPhase phase)
{
    return orphans->phase == phase && is_of_present_question(orphans, ticket_ref_number(ref));
}

void
orphans_read_page(Orphans *orphans, const View *view, Actions *actions)
{
    StorageRange range = {.bucket_id = ORPHANS_BUCKET,
                          .last_position = UINT64_MAX,
                          .after = buffer_slice(&orphans->after),
                          .max_bytes = PAGE_BYTES};

    if (orphans->walk == ORPHAN_WALK_NONE)
    {
        range.bucket_id = orphans->bucket_id;
        range.first_position = start_of(view, orphans->partition);
        range.last_position = range.first_position + UINT64_MAX / orphans->partitions;
        range.unreadable = orphans->clearing;
    }
    orphans->phase = ORPHAN_PHASE_READING;
    orphans_renew(orphans);
    actions_scan(actions, &range, orphans_ref_of(orphans, 0));
}

static bool
owns(const Orphans *orphans, const View *view)
{
    return topology_owns(view->topology, orphans->bucket_id, start_of(view, orphans->partition),
                         view->self);
}

/* What is older than the others' round is gone: from now on this node sends under it. */
void
orphans_note_round(Orphans *orphans, const View *view, Actions *actions)
{
    TreeId id = {.bucket_id = orphans->bucket_id, .partition = orphans->partition};
    uint64_t highest = orphans->highest[orphans->partition];
    Round round;

    rounds_raise(view->rounds, id, owns(orphans, view) ? highest : 0, highest);
    round = rounds_note(view->rounds, id, highest);
    orphans->phase = ORPHAN_PHASE_NOTING;
    orphans_renew(orphans);
    actions_set_round(actions, &round, orphans_ref_of(orphans, 0));
}

/* The next partition of the bucket that is behind; when there is none, the bucket is done. */
void
orphans_next_partition(Orphans *orphans, const View *view, Actions *actions)
{
    for (; orphans->partition < orphans->partitions; orphans->partition++)
    {
        TreeId id = {.bucket_id = orphans->bucket_id, .partition = orphans->partition};
        Round own = rounds_of(view->rounds, id);
        uint64_t highest = orphans->highest[orphans->partition];

        if (highest <= (owns(orphans, view) ? own.round : own.cleared))
            continue;
        rounds_hold(view->rounds, id, highest);
        buffer_reset(&orphans->after);
        orphans->missed = false;
        if (orphans_has_rows(view, id))
            orphans_read_page(orphans, view, actions);
        else
            orphans_note_round(orphans, view, actions);
        return;
    }
    orphans->last_bucket = orphans->bucket_id;
    orphans_rest(orphans);
}

void
orphans_member_frame(Orphans *orphans, const View *view, uint32_t member, const Frame *frame,
                     Actions *actions)
{
    ReapRoundsReply reply;

    if (orphans->phase != ORPHAN_PHASE_ASKING || member >= view->topology->member_count ||
        ticket_tag_owner(frame->tag) != REF_ORPHANS ||
        !is_of_present_question(orphans, ticket_tag_number(frame->tag)) ||
        !orphans->awaited[member] || !reap_rounds_reply_decode(frame, &actions->arena, &reply))
        return;
    for (uint32_t i = 0; i < reply.item_count; i++)
    {
        const ReapRound *item = &reply.items[i];

        if (item->partition < orphans->partitions &&
            item->round > orphans->highest[item->partition])
            orphans->highest[item->partition] = item->round;
    }
    orphans->awaited[member] = false;
    if (--orphans->awaited_count == 0)
        orphans_next_partition(orphans, view, actions);
}

void
orphans_step(Orphans *orphans, const View *view, Actions *actions)
{
    const Bucket *bucket;

    if (view->storage_failed || view->rounds == NULL)
        return;
    if (orphans->phase == ORPHAN_PHASE_ASKING && view->now_ms >= orphans->due_ms)
        ask(orphans, view, actions);
    if (orphans->phase == ORPHAN_PHASE_WRITING && orphans->due_ms > 0 &&
        view->now_ms >= orphans->due_ms)
        orphans_treat_page(orphans, view, actions);
    if (orphans->phase != ORPHAN_PHASE_RESTING)
        return;
    bucket = orphans->aside ? NULL : next_bucket(orphans, view);
    if (bucket != NULL)
        begin_bucket(orphans, view, bucket, actions);
    else if (orphans->aside && orphans->wanted != ORPHAN_WALK_NONE)
        orphans_begin_walk(orphans, view, actions);
    if (orphans->phase == ORPHAN_PHASE_ASKING && orphans->awaited_count == 0)
        orphans_next_partition(orphans, view, actions);
}

uint64_t
orphans_wake_ms(const Orphans *orphans, const View *view)
{
    if (orphans->phase == ORPHAN_PHASE_ASKING)
        return orphans->due_ms;
    if (orphans->phase == ORPHAN_PHASE_WRITING && orphans->due_ms > 0)
        return orphans->due_ms;
    return orphans->phase == ORPHAN_PHASE_RESTING &&
                   ((orphans->aside && orphans->wanted != ORPHAN_WALK_NONE) ||
                    (!orphans->aside && next_bucket(orphans, view) != NULL))
               ? view->now_ms
               : UINT64_MAX;
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
