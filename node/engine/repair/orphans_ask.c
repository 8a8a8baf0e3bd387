/* Which partitions are settled: the other owners are asked which rounds they have raised. */
#include "node/engine/repair/orphans_private.h"

#include <string.h>

enum
{
    ASK_AGAIN_MS = 500
};

OrphanBucket *
orphans_bucket(const Orphans *orphans, uint32_t bucket_id)
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
    OrphanBucket *bucket = orphans_bucket(orphans, bucket_id);

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

bool
orphans_is_settled(const OrphanBucket *bucket, uint32_t partition)
{
    return (bucket->settled[partition / 8] >> partition % 8 & 1) != 0;
}

static void
settle(OrphanBucket *bucket, uint32_t partition)
{
    if (orphans_is_settled(bucket, partition))
        return;
    bucket->settled[partition / 8] |= (uint8_t)(1 << partition % 8);
    bucket->left--;
}

bool
orphans_take(const Orphans *orphans, TreeId id)
{
    const OrphanBucket *bucket = orphans_bucket(orphans, id.bucket_id);

    return bucket != NULL && orphans_is_settled(bucket, id.partition);
}

uint64_t
orphans_start_of(const View *view, uint32_t partition)
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
    return topology_owns(view->topology, id.bucket_id, orphans_start_of(view, id.partition),
                         view->self);
}

uint64_t
orphans_own_number(const View *view, TreeId id)
{
    Round own = rounds_of(view->rounds, id);

    return owns(view, id) ? own.round : own.cleared;
}

bool
orphans_is_needed(const View *view, TreeId id)
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
        topology_preference(view->topology, orphans_start_of(view, partition), owners, bucket->n);

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
    const OrphanBucket *found = orphans_bucket(orphans, bucket->id);

    memset(orphans->awaited, 0, orphans->members * sizeof(bool));
    memset(orphans->heard, 0, orphans->partitions * sizeof(OrphanHeard));
    for (uint32_t partition = 0; partition < orphans->partitions; partition++)
    {
        if (!orphans_is_settled(found, partition))
            hear_of_owners(orphans, view, bucket, partition);
    }
}

static void
ask(Orphans *orphans, const View *view)
{
    ReapRoundsFrame frame = {.epoch = view->topology->epoch, .bucket_id = orphans->bucket_id};

    orphans->due_ms = view->now_ms + ASK_AGAIN_MS;
    for (uint32_t member = 0; member < orphans->members; member++)
    {
        if (!orphans->awaited[member] || !view->up[member])
            continue;
        reap_rounds_encode(actions_frame(view->actions), ticket_tag(REF_ORPHANS, orphans->ticket),
                           &frame);
        actions_send(view->actions, member);
    }
}

void
orphans_ask(Orphans *orphans, const View *view, const Bucket *bucket)
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
    ask(orphans, view);
}

void
orphans_session_frame(const View *view, Origin origin, const Frame *frame)
{
    const Rounds *rounds = view->rounds;
    ReapRoundsFrame asked;
    ReapRoundsReply reply = {.item_count = 0};

    if (rounds == NULL || !reap_rounds_decode(frame, &asked))
    {
        actions_error(view->actions, origin, STATUS_BAD_FRAME, "");
        return;
    }
    rounds_take_back(view->rounds, asked.bucket_id);
    reply.whole = !view->refilling && asked.epoch <= view->topology->epoch &&
                  view->topology->members[view->self].state != MEMBER_JOINING;
    reply.items = ARENA_ARRAY(&view->actions->arena, ReapRound, rounds->count);
    for (uint32_t i = 0; i < rounds->count; i++)
    {
        const Round *round = &rounds->entries[i];

        if (round->id.bucket_id == asked.bucket_id && round->cleared > 0)
            reply.items[reply.item_count++] = (ReapRound){
                .partition = round->id.partition, .round = round->round, .cleared = round->cleared};
    }
    reap_rounds_reply_encode(actions_frame(view->actions), origin.tag, &reply);
    actions_reply(view->actions, origin.session);
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
    const OrphanBucket *bucket = orphans_bucket(orphans, orphans->bucket_id);

    for (uint32_t partition = 0; partition < orphans->partitions; partition++)
    {
        if (!orphans_is_settled(bucket, partition) && !is_known(&orphans->heard[partition]))
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
note(Orphans *orphans, const View *view, TreeId id, uint64_t number)
{
    Round round;

    rounds_raise(view->rounds, id, owns(view, id) ? number : 0, number);
    round = rounds_note(view->rounds, id, number);
    orphans->notes_open++;
    actions_set_round(view->actions, &round, orphans_ref_of(orphans, id.partition));
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
settle_bucket(Orphans *orphans, const View *view)
{
    OrphanBucket *bucket = orphans_bucket(orphans, orphans->bucket_id);

    orphans->last_bucket = orphans->bucket_id;
    begin_notes(orphans);
    for (uint32_t partition = 0; partition < orphans->partitions; partition++)
    {
        TreeId id = {.bucket_id = bucket->id, .partition = partition};
        const OrphanHeard *heard = &orphans->heard[partition];

        if (orphans_is_settled(bucket, partition) || !is_known(heard))
            continue;
        if (heard->round <= orphans_own_number(view, id))
            settle(bucket, partition);
        else if (orphans_has_rows(view, id))
            rounds_hold(view->rounds, id, heard->round);
        else
            note(orphans, view, id, heard->round);
    }
    if (orphans->notes_open == 0)
        orphans_rest(orphans);
}

/* What is older than the others' round is gone: from now on this node sends under it. */
void
orphans_note_round(Orphans *orphans, const View *view)
{
    TreeId id = {.bucket_id = orphans->bucket_id, .partition = orphans->partition};

    begin_notes(orphans);
    note(orphans, view, id, rounds_of(view->rounds, id).held);
}

void
orphans_noted(Orphans *orphans, uint32_t partition, bool stored)
{
    OrphanBucket *bucket = orphans_bucket(orphans, orphans->bucket_id);

    if (stored && bucket != NULL)
        settle(bucket, partition);
    if (--orphans->notes_open == 0)
        orphans_rest(orphans);
}

/* ---- answers ---- */

void
orphans_member_frame(Orphans *orphans, const View *view, uint32_t member, const Frame *frame)
{
    const OrphanBucket *found = orphans_bucket(orphans, orphans->bucket_id);
    ReapRoundsReply reply;
    uint64_t *rounds;

    if (orphans->phase != ORPHAN_PHASE_ASKING || member >= orphans->members ||
        ticket_tag_owner(frame->tag) != REF_ORPHANS ||
        !orphans_is_present_question(orphans, ticket_tag_number(frame->tag)) ||
        !orphans->awaited[member] ||
        !reap_rounds_reply_decode(frame, &view->actions->arena, &reply))
        return;
    rounds = arena_alloc_zero(&view->actions->arena, orphans->partitions * sizeof(uint64_t));
    for (uint32_t i = 0; i < reply.item_count; i++)
    {
        if (reply.items[i].partition < orphans->partitions)
            rounds[reply.items[i].partition] = reply.items[i].round;
    }
    for (uint32_t partition = 0; partition < orphans->partitions; partition++)
    {
        if (!orphans_is_settled(found, partition) &&
            topology_owns(view->topology, found->id, orphans_start_of(view, partition), member))
            hear(&orphans->heard[partition], rounds[partition], reply.whole);
    }
    orphans->awaited[member] = false;
    if (all_are_known(orphans) || nobody_is_left(orphans, view))
        settle_bucket(orphans, view);
}

void
orphans_ask_on(Orphans *orphans, const View *view)
{
    if (view->now_ms >= orphans->due_ms)
        ask(orphans, view);
    if (all_are_known(orphans) || nobody_is_left(orphans, view))
        settle_bucket(orphans, view);
}
