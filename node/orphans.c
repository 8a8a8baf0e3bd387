#include "node/orphans_private.h"

#include <assert.h>
#include <string.h>

enum
{
    PAGE_BYTES = 128 * 1024,
    ASK_AGAIN_MS = 500,
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
    const Topology *topology = view->topology;
    uint32_t low = 0;
    uint32_t high = topology->bucket_count;

    while (low < high)
    {
        uint32_t middle = low + (high - low) / 2;

        if (topology->buckets[middle].id <= last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < topology->bucket_count ? &topology->buckets[low] : NULL;
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

/* ---- which partitions are settled ---- */

static OrphanBucket *
find_bucket(const Orphans *orphans, uint32_t bucket_id)
{
    uint32_t low = 0;
    uint32_t high = orphans->bucket_count;

    while (low < high)
    {
        uint32_t middle = low + (high - low) / 2;

        if (orphans->buckets[middle].id < bucket_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < orphans->bucket_count && orphans->buckets[low].id == bucket_id
               ? &orphans->buckets[low]
               : NULL;
}

static OrphanBucket *
make_bucket(Orphans *orphans, uint32_t bucket_id, uint32_t partitions)
{
    OrphanBucket *bucket = find_bucket(orphans, bucket_id);

    if (bucket != NULL)
        return bucket;
    orphans->buckets = memory_resize(&MEMORY_HEAP, orphans->buckets,
                                     (orphans->bucket_count + 1) * sizeof(OrphanBucket));
    bucket = &orphans->buckets[orphans->bucket_count++];
    *bucket = (OrphanBucket){.id = bucket_id,
                             .left = partitions,
                             .settled = memory_resize(&MEMORY_HEAP, NULL, partitions / 8 + 1)};
    memset(bucket->settled, 0, partitions / 8 + 1);
    return bucket;
}

static bool
is_settled(const OrphanBucket *bucket, uint32_t partition)
{
    return (bucket->settled[partition / 8] >> partition % 8 & 1) != 0;
}

static void
settle(OrphanBucket *bucket, uint32_t partition)
{
    if (is_settled(bucket, partition))
        return;
    bucket->settled[partition / 8] |= (uint8_t)(1 << partition % 8);
    bucket->left--;
}

bool
orphans_take(const Orphans *orphans, TreeId id)
{
    const OrphanBucket *bucket = find_bucket(orphans, id.bucket_id);

    return bucket != NULL && is_settled(bucket, id.partition);
}

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

static bool
owns(const View *view, TreeId id)
{
    return topology_owns(view->topology, id.bucket_id, start_of(view, id.partition), view->self);
}

/* What this node has of the partition is no older than that round. */
static uint64_t
own_number(const View *view, TreeId id)
{
    Round own = rounds_of(view->rounds, id);

    return owns(view, id) ? own.round : own.cleared;
}

/* The disk is not to be filled before that partition is settled. */
static bool
is_needed(const View *view, TreeId id)
{
    return owns(view, id) || orphans_has_rows(view, id);
}

/* ---- asking ---- */

static void
hear_of_owners(Orphans *orphans, const View *view, const Bucket *bucket, uint32_t partition)
{
    OrphanHeard *heard = &orphans->heard[partition];
    uint16_t owners[TOPOLOGY_N_MAX];
    uint32_t count =
        topology_preference(view->topology, start_of(view, partition), owners, bucket->n);

    for (uint32_t i = 0; i < count; i++)
    {
        if (owners[i] == view->self)
            continue;
        heard->owners_left++;
        orphans->awaited[owners[i]] = true;
    }
}

/* The other owners of what is not settled. */
static void
choose_asked(Orphans *orphans, const View *view, const Bucket *bucket)
{
    const OrphanBucket *place = find_bucket(orphans, bucket->id);

    memset(orphans->awaited, 0, orphans->members * sizeof(bool));
    memset(orphans->heard, 0, orphans->partitions * sizeof(OrphanHeard));
    for (uint32_t partition = 0; partition < orphans->partitions; partition++)
    {
        if (!is_settled(place, partition))
            hear_of_owners(orphans, view, bucket, partition);
    }
}

static void
ask(Orphans *orphans, const View *view, Actions *actions)
{
    ReapRoundsFrame frame = {.epoch = view->topology->epoch, .bucket_id = orphans->bucket_id};

    orphans->due_ms = view->now_ms + ASK_AGAIN_MS;
    for (uint32_t member = 0; member < orphans->members; member++)
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
    orphans->phase = ORPHAN_PHASE_ASKING;
    orphans_renew(orphans);
    orphans->bucket_id = bucket->id;
    orphans->partitions = view->topology->partitions;
    orphans->members = view->topology->member_count;
    orphans->heard =
        memory_resize(&MEMORY_HEAP, orphans->heard, orphans->partitions * sizeof(OrphanHeard));
    orphans->awaited =
        memory_resize(&MEMORY_HEAP, orphans->awaited, orphans->members * sizeof(bool));
    (void)make_bucket(orphans, bucket->id, orphans->partitions);
    choose_asked(orphans, view, bucket);
    ask(orphans, view, actions);
}

void
orphans_session_frame(const View *view, Origin origin, const Frame *frame, Actions *actions)
{
    const Rounds *rounds = view->rounds;
    ReapRoundsFrame asked;
    ReapRoundsReply reply = {.whole = !view->refilling};

    if (rounds == NULL || !reap_rounds_decode(frame, &asked))
    {
        actions_error(actions, origin, STATUS_BAD_FRAME, "");
        return;
    }
    rounds_take_back(view->rounds, asked.bucket_id);
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

/* What the member says of a partition that it owns: of owners whose data are whole the least round
 * counts, of the others the highest. */
static void
hear(OrphanHeard *heard, uint64_t round, bool whole)
{
    heard->owners_left--;
    if (whole)
        heard->round = heard->sure && heard->round < round ? heard->round : round;
    else if (!heard->sure && round > heard->round)
        heard->round = round;
    heard->sure = heard->sure || whole;
}

static bool
is_known(const OrphanHeard *heard)
{
    return heard->sure || heard->owners_left == 0;
}

static bool
all_are_known(const Orphans *orphans)
{
    const OrphanBucket *bucket = find_bucket(orphans, orphans->bucket_id);

    for (uint32_t partition = 0; partition < orphans->partitions; partition++)
    {
        if (!is_settled(bucket, partition) && !is_known(&orphans->heard[partition]))
            return false;
    }
    return true;
}

/* Nobody who is asked, or may be in a moment, is awaited. */
static bool
nobody_is_left(const Orphans *orphans, const View *view)
{
    bool awaited = view->now_ms < orphans->grace_ms;

    for (uint32_t member = 0; member < orphans->members; member++)
        awaited = awaited || (orphans->awaited[member] && view->up[member]);
    return !awaited;
}

/* ---- settling ---- */

static void
note(Orphans *orphans, const View *view, TreeId id, uint64_t number, Actions *actions)
{
    Round round;

    rounds_raise(view->rounds, id, owns(view, id) ? number : 0, number);
#ifdef BUG_SETTLED_BUT_NOT_NOTED
    settle(find_bucket(orphans, id.bucket_id), id.partition);
    return;
#endif
    round = rounds_note(view->rounds, id, number);
    orphans->notes_open++;
    actions_set_round(actions, &round, orphans_ref_of(orphans, id.partition));
}

static void
begin_notes(Orphans *orphans)
{
    orphans->phase = ORPHAN_PHASE_NOTING;
    orphans_renew(orphans);
    orphans->notes_open = 0;
}

/* What has come to be known of the bucket's partitions: those that are as new as the others' round
 * are settled; those that are older are, as soon as it is noted that what comes from now on is not,
 * unless there are rows, which have to be moved before. */
static void
settle_bucket(Orphans *orphans, const View *view, Actions *actions)
{
    OrphanBucket *bucket = find_bucket(orphans, orphans->bucket_id);

    orphans->last_bucket = orphans->bucket_id;
    begin_notes(orphans);
    for (uint32_t partition = 0; partition < orphans->partitions; partition++)
    {
        TreeId id = {.bucket_id = bucket->id, .partition = partition};
        const OrphanHeard *heard = &orphans->heard[partition];

        if (is_settled(bucket, partition) || !is_known(heard))
            continue;
        if (heard->round <= own_number(view, id))
            settle(bucket, partition);
        else if (orphans_has_rows(view, id))
            rounds_hold(view->rounds, id, heard->round);
        else
            note(orphans, view, id, heard->round, actions);
    }
    if (orphans->notes_open == 0)
        orphans_rest(orphans);
}

/* What is older than the others' round is gone: from now on this node sends under it. */
void
orphans_note_round(Orphans *orphans, const View *view, Actions *actions)
{
    TreeId id = {.bucket_id = orphans->bucket_id, .partition = orphans->partition};

    begin_notes(orphans);
    note(orphans, view, id, rounds_of(view->rounds, id).held, actions);
}

void
orphans_noted(Orphans *orphans, uint32_t partition, bool stored)
{
    OrphanBucket *bucket = find_bucket(orphans, orphans->bucket_id);

    if (stored && bucket != NULL)
        settle(bucket, partition);
    if (--orphans->notes_open == 0)
        orphans_rest(orphans);
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

/* The next partition whose rows are to be moved; false: there is none left. */
static bool
move_next(Orphans *orphans, const View *view, Actions *actions)
{
    for (; orphans->moving < orphans->bucket_count; orphans->moving++, orphans->partition = 0)
    {
        const OrphanBucket *bucket = &orphans->buckets[orphans->moving];

        orphans->bucket_id = bucket->id;
        for (; bucket->left > 0 && orphans->partition < orphans->partitions; orphans->partition++)
        {
            TreeId id = {.bucket_id = bucket->id, .partition = orphans->partition};

            if (is_settled(bucket, id.partition) ||
                rounds_of(view->rounds, id).held <= own_number(view, id))
                continue;
            buffer_reset(&orphans->after);
            orphans->missed = false;
            orphans_read_page(orphans, view, actions);
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

            if (!is_settled(bucket, partition) && is_needed(view, id))
                orphans->ready = false;
        }
    }
    orphans->pass_ms = view->now_ms + ASK_AGAIN_MS;
    orphans->passing = false;
}

/* ---- passes ---- */

/* The next bucket of the pass of which not all is settled. */
static const Bucket *
next_to_ask(Orphans *orphans, const View *view)
{
    const Bucket *bucket;
    const OrphanBucket *place;

    while ((bucket = next_bucket(view, orphans->last_bucket)) != NULL)
    {
        place = find_bucket(orphans, bucket->id);
        if (place == NULL || place->left > 0)
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
go_on(Orphans *orphans, const View *view, Actions *actions)
{
    const Bucket *bucket = next_to_ask(orphans, view);

    if (bucket != NULL)
    {
        begin_bucket(orphans, view, bucket, actions);
        return;
    }
    orphans->found_out = true;
    if (!move_next(orphans, view, actions))
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
orphans_member_frame(Orphans *orphans, const View *view, uint32_t member, const Frame *frame,
                     Actions *actions)
{
    const OrphanBucket *place = find_bucket(orphans, orphans->bucket_id);
    ReapRoundsReply reply;
    uint64_t *rounds;

    if (orphans->phase != ORPHAN_PHASE_ASKING || member >= orphans->members ||
        ticket_tag_owner(frame->tag) != REF_ORPHANS ||
        !is_of_present_question(orphans, ticket_tag_number(frame->tag)) ||
        !orphans->awaited[member] || !reap_rounds_reply_decode(frame, &actions->arena, &reply))
        return;
    rounds = arena_alloc_zero(&actions->arena, orphans->partitions * sizeof(uint64_t));
    for (uint32_t i = 0; i < reply.item_count; i++)
    {
        if (reply.items[i].partition < orphans->partitions)
            rounds[reply.items[i].partition] = reply.items[i].round;
    }
    for (uint32_t partition = 0; partition < orphans->partitions; partition++)
    {
        if (!is_settled(place, partition) &&
            topology_owns(view->topology, place->id, start_of(view, partition), member))
            hear(&orphans->heard[partition], rounds[partition], reply.whole);
    }
    orphans->awaited[member] = false;
    if (all_are_known(orphans) || nobody_is_left(orphans, view))
        settle_bucket(orphans, view, actions);
}

void
orphans_step(Orphans *orphans, const View *view, Actions *actions)
{
    if (view->storage_failed || view->rounds == NULL)
        return;
    if (orphans->phase == ORPHAN_PHASE_ASKING && view->now_ms >= orphans->due_ms)
        ask(orphans, view, actions);
    if (orphans->phase == ORPHAN_PHASE_ASKING &&
        (all_are_known(orphans) || nobody_is_left(orphans, view)))
        settle_bucket(orphans, view, actions);
    if (orphans->phase == ORPHAN_PHASE_WRITING && orphans->due_ms > 0 &&
        view->now_ms >= orphans->due_ms)
        orphans_treat_page(orphans, view, actions);
    while (orphans->phase == ORPHAN_PHASE_RESTING && is_pass_due(orphans, view))
    {
        if (!orphans->passing)
            begin_pass(orphans, view);
        go_on(orphans, view, actions);
    }
    if (orphans->phase == ORPHAN_PHASE_RESTING && orphans->aside && orphans->wanted != ORPHAN_WALK_NONE)
        orphans_begin_walk(orphans, view, actions);
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
