/*
 * A list of jobs, one for each owner of each partition, of which a few run at a time: compare
 * digests, split, copy rows. A job that fails goes to the end of the list; the refill is over when
 * the list is empty and all that was merged is durable.
 */
#include "node/engine/repair/refill.h"

#include "node/engine/repair/scan_range.h"

enum
{
    LANES = 4, /* scans under way: background work, so few */
    PAGE_BYTES = 256 * 1024,
    FEW_ROWS = 32,   /* are copied without looking for those that differ among them */
    SETTLE_MS = 100, /* for rows that are equal to be durable */
    RETRY_MS = 200   /* after a failure */
};

/* One owner's rows of one partition of one bucket. Those of a partition stand beside each other. */
typedef struct Job
{
    uint32_t bucket_id;
    uint32_t partition;
    uint32_t member;
    bool done;
} Job;

typedef struct Lane
{
    Job *job;        /* NULL: free */
    TreePart part;   /* of the partition: all before it is done */
    bool is_compare; /* of the part's digests; else its rows are copied, page by page */
    uint32_t ticket; /* of what it asks for */
    bool begins;     /* the part: it is asked about for the first time */
    uint64_t
        settle_ms; /* the part is equal, and waited for to be durable until then; 0: it is not */
    bool asked;    /* an answer is awaited */
    bool last;     /* nothing lies behind the page at hand */
    bool failed;   /* something of the page could not be stored: it is asked for again */
    uint32_t rows_open; /* not durable yet */
    Buffer after;
    Buffer page_end;
    Buffer part_end; /* empty: the partition's */
    Arena arena;     /* of the page at hand */
} Lane;

struct Refill
{
    Job *jobs;
    uint32_t job_count;
    uint32_t first_open;  /* all before it are done */
    uint32_t last_bucket; /* planned: buckets are numbered in the order they are made */
    uint64_t epoch;       /* by which all that is planned was */
    uint32_t finished;
    bool troubled; /* something failed since the last step */
    uint64_t rest_until_ms;
    Tickets tickets;
    Lane lanes[LANES];
};

/* Owners by the claim, and by the target: what was acknowledged may be with either. */
static uint32_t
owners_of_both(const View *view, const Bucket *bucket, uint64_t position,
               uint16_t owners[2 * TOPOLOGY_N_MAX])
{
    uint16_t entering[TOPOLOGY_N_MAX];
    uint32_t count = topology_old_preference(view->topology, position, owners, bucket->n);
    uint32_t others = topology_new_preference(view->topology, position, entering, bucket->n);
    uint32_t old_count = count;

    for (uint32_t i = 0; i < others; i++)
    {
        bool is_old = false;

        for (uint32_t j = 0; j < old_count; j++)
            is_old = is_old || owners[j] == entering[i];
        if (!is_old)
            owners[count++] = entering[i];
    }
    return count;
}

static void
add_jobs(Refill *refill, const View *view, const Bucket *bucket, uint32_t partition)
{
    uint16_t owners[2 * TOPOLOGY_N_MAX];
    uint64_t start = ring_partition_start(partition, view->topology->partitions);
    uint32_t count = owners_of_both(view, bucket, start, owners);
    bool mine = false;

    for (uint32_t i = 0; i < count; i++)
        mine = mine || owners[i] == view->self;
    for (uint32_t i = 0; mine && i < count; i++)
    {
        if (owners[i] != view->self)
            refill->jobs[refill->job_count++] =
                (Job){.bucket_id = bucket->id, .partition = partition, .member = owners[i]};
    }
}

/* Makes room for that many jobs more. */
static void
grow(Refill *refill, size_t more)
{
    size_t numbers[LANES];

    for (uint32_t i = 0; i < LANES; i++)
        numbers[i] =
            refill->lanes[i].job != NULL ? (size_t)(refill->lanes[i].job - refill->jobs) : 0;
    refill->jobs =
        memory_resize(&MEMORY_HEAP, refill->jobs, (refill->job_count + more) * sizeof(Job));
    for (uint32_t i = 0; i < LANES; i++)
    {
        if (refill->lanes[i].job != NULL)
            refill->lanes[i].job = refill->jobs + numbers[i];
    }
}

/* Of a bucket that was planned before, the partitions whose owners were changed since: they are
 * compared with once more, all of them, since those of before may have had less. */
static void
plan_bucket(Refill *refill, const View *view, const Bucket *bucket)
{
    const Topology *topology = view->topology;
    bool is_new = bucket->id > refill->last_bucket;

    grow(refill, (size_t)topology->partitions * 2 * bucket->n);
    for (uint32_t partition = 0; partition < topology->partitions; partition++)
    {
        if (is_new || topology->changed[partition] > refill->epoch)
            add_jobs(refill, view, bucket, partition);
    }
}

static bool
owners_were_changed(const Refill *refill, const Topology *topology)
{
    for (uint32_t i = 0; i < topology->partitions; i++)
    {
        if (topology->changed[i] > refill->epoch)
            return true;
    }
    return false;
}

/* A node that was set back far may not know all buckets at first. */
static void
plan(Refill *refill, const View *view)
{
    const Topology *topology = view->topology;
    uint32_t first = 0;

    if (topology->epoch == refill->epoch)
        return;
    if (!owners_were_changed(refill, topology))
        first = topology_bucket_index(topology, refill->last_bucket + 1);
    for (uint32_t b = first; b < topology->bucket_count; b++)
    {
        plan_bucket(refill, view, &topology->buckets[b]);
        if (topology->buckets[b].id > refill->last_bucket)
            refill->last_bucket = topology->buckets[b].id;
    }
    refill->epoch = topology->epoch;
}

Refill *
refill_new(const View *view)
{
    Refill *refill = memory_resize(&MEMORY_HEAP, NULL, sizeof(Refill));

    *refill = (Refill){0};
    for (uint32_t i = 0; i < LANES; i++)
    {
        buffer_init(&refill->lanes[i].after, &MEMORY_HEAP);
        buffer_init(&refill->lanes[i].page_end, &MEMORY_HEAP);
        buffer_init(&refill->lanes[i].part_end, &MEMORY_HEAP);
        arena_init(&refill->lanes[i].arena, &MEMORY_HEAP);
    }
    plan(refill, view);
    return refill;
}

void
refill_free(Refill *refill)
{
    for (uint32_t i = 0; i < LANES; i++)
    {
        buffer_free(&refill->lanes[i].after);
        buffer_free(&refill->lanes[i].page_end);
        buffer_free(&refill->lanes[i].part_end);
        arena_free(&refill->lanes[i].arena);
    }
    tickets_free(&refill->tickets);
    memory_resize(&MEMORY_HEAP, refill->jobs, 0);
    memory_resize(&MEMORY_HEAP, refill, 0);
}

bool
refill_is_done(const Refill *refill)
{
    return refill->finished == refill->job_count;
}

/* The lane's job goes back to those that wait, to begin again. */
static void
give_back(Refill *refill, Lane *lane)
{
    refill->troubled = true;
    lane->job = NULL;
}

static bool
is_same_tree(const Job *a, const Job *b)
{
    return a->bucket_id == b->bucket_id && a->partition == b->partition;
}

static bool
is_under_way(const Refill *refill, const Job *job)
{
    bool found = false;

    for (uint32_t i = 0; i < LANES; i++)
        found = found || (refill->lanes[i].job != NULL && is_same_tree(refill->lanes[i].job, job));
    return found;
}

/* Nothing can come of it: the bucket was dropped, or a plan has given the member up. */
static bool
is_in_vain(const View *view, const Job *job)
{
    MemberState state = view->topology->members[job->member].state;

    return topology_was_dropped(view->topology, job->bucket_id) || state == MEMBER_GONE ||
           state == MEMBER_LEFT;
}

/* One owner of a partition after the other: what the first sends need not be sent by the next. */
static Job *
next_job(Refill *refill, const View *view)
{
    while (refill->first_open < refill->job_count && refill->jobs[refill->first_open].done)
        refill->first_open++;
    for (uint32_t i = refill->first_open; i < refill->job_count; i++)
    {
        Job *job = &refill->jobs[i];

        if (!job->done && is_in_vain(view, job))
        {
            job->done = true;
            refill->finished++;
        }
        if (!job->done && view->up[job->member] && !is_under_way(refill, job))
            return job;
    }
    return NULL;
}

static TreeId
tree_of(const Lane *lane)
{
    return (TreeId){lane->job->bucket_id, lane->job->partition};
}

/* Without trees of the own there is nothing to compare with. */
static void
begin_part(Lane *lane, const View *view)
{
    const TreePart *part = &lane->part;
    uint64_t first, last;

    lane->begins = false;
    lane->is_compare = scan_range_has_trees(view);
    buffer_reset(&lane->after);
    buffer_reset(&lane->part_end);
    if (part->depth == 0)
        return;
    trees_part_range(view->trees, lane->job->partition, *part, &first, &last);
    storage_cursor(&lane->after, first, SLICE_EMPTY);
    if (part->prefix + 1 < UINT32_C(1) << part->depth)
        storage_cursor(&lane->part_end, last + 1, SLICE_EMPTY);
}

static void
go_down(Lane *lane)
{
    lane->part.depth += TREE_GROW_BITS;
    lane->part.prefix <<= TREE_GROW_BITS;
    lane->begins = true;
}

/* To the part beside this one, or beside the lowest of those above it that has such. */
static void
finish_part(Refill *refill, Lane *lane)
{
    const uint32_t last_child = (1 << TREE_GROW_BITS) - 1;
    TreePart *part = &lane->part;

    while (part->depth > 0 && (part->prefix & last_child) == last_child)
    {
        part->depth -= TREE_GROW_BITS;
        part->prefix >>= TREE_GROW_BITS;
    }
    lane->begins = true;
    if (part->depth > 0)
    {
        part->prefix++;
        return;
    }
    lane->job->done = true;
    lane->job = NULL;
    refill->finished++;
}

static void
ask(Refill *refill, Lane *lane, const View *view)
{
    ScanFrame scan = {.epoch = view->topology->epoch,
                      .whole = true,
                      .bucket_id = lane->job->bucket_id,
                      .partition = lane->job->partition,
                      .max_bytes = PAGE_BYTES};

    if (lane->begins)
        begin_part(lane, view);
    scan.digest_only = lane->is_compare;
    scan.after = buffer_slice(&lane->after);
    scan.through = buffer_slice(&lane->part_end);
    tickets_end(&refill->tickets, lane->ticket);
    lane->ticket = tickets_draw(&refill->tickets, (uint32_t)(lane - refill->lanes));
    lane->asked = true;
    lane->failed = false;
    scan_encode(actions_frame(view->actions), ticket_tag(REF_REFILL, lane->ticket), &scan);
    actions_send(view->actions, lane->job->member);
}

/* Into the parts below when both sides have much, else row by row. */
static void
look_closer(Lane *lane, const View *view, uint64_t mine, uint64_t theirs)
{
    bool is_deeper = lane->part.depth + TREE_GROW_BITS <= trees_depth(view->trees, tree_of(lane));

    if (is_deeper && theirs > FEW_ROWS && mine >= theirs / 2)
        go_down(lane);
    else
        lane->is_compare = false;
}

/* The part was found equal. Whatever it counts, it is durable as soon as it is settled. */
static void
await_settled(Refill *refill, Lane *lane, const View *view)
{
    TreeSum mine;
    bool known = trees_sum(view->trees, tree_of(lane), lane->part, &mine);

    if (known && !mine.settled && view->now_ms < lane->settle_ms)
        return;
    lane->settle_ms = 0;
    if (!known)
        lane->is_compare = false;
    else if (mine.settled)
        finish_part(refill, lane);
    else
        look_closer(lane, view, mine.rows, mine.rows);
}

static void
step_lane(Refill *refill, Lane *lane, const View *view)
{
    if (lane->settle_ms > 0)
        await_settled(refill, lane, view);
    if (lane->settle_ms > 0)
        return;
    if (lane->job != NULL && !lane->asked && lane->rows_open == 0 && !view->up[lane->job->member])
        lane->job = NULL; /* nothing was asked that its going down would have ended */
    if (lane->job == NULL)
    {
        lane->job = next_job(refill, view);
        lane->part = (TreePart){0};
        lane->begins = true;
    }
    if (lane->job != NULL && !lane->asked && lane->rows_open == 0)
        ask(refill, lane, view);
}

void
refill_step(Refill *refill, const View *view)
{
    plan(refill, view);
    if (refill->troubled)
        refill->rest_until_ms = view->now_ms + RETRY_MS;
    refill->troubled = false;
    if (view->now_ms < refill->rest_until_ms || view->cannot_write)
        return;
    for (uint32_t i = 0; i < LANES; i++)
        step_lane(refill, &refill->lanes[i], view);
}

/* Every row of the page is durable, or could not be made so. */
static void
finish_page(Refill *refill, Lane *lane)
{
    if (lane->failed)
    {
        refill->troubled = true;
        return;
    }
    buffer_reset(&lane->after);
    buffer_put(&lane->after, lane->page_end.data, lane->page_end.length);
    if (lane->last)
        finish_part(refill, lane);
}

static void
merge_row(const Refill *refill, Lane *lane, const View *view, const ScanRow *row)
{
    const Bucket *bucket = topology_bucket_by_id(view->topology, lane->job->bucket_id);
    Object *object = ARENA_NEW(&lane->arena, Object);
    Update *update = ARENA_NEW(&lane->arena, Update);
    uint64_t ref = ticket_ref(REF_REFILL, lane->ticket, 0);
    uint64_t position;

    if (bucket == NULL || !topology_position(bucket, row->key, &position) ||
        !object_decode(row->object, &lane->arena, object))
    {
        lane->failed = true;
        return;
    }
    update->merge = object;
    lane->rows_open++;
    actions_apply(view->actions, bucket->id, position, row->key, update, ref);
}

static uint64_t
floor_of(const Job *job, const View *view)
{
    uint64_t start = ring_partition_start(job->partition, view->topology->partitions);

    return rounds_floor(view->rounds, view->topology, view->self, job->bucket_id, start);
}

static void
take_page(Refill *refill, Lane *lane, const View *view, const ScanReply *reply)
{
    buffer_reset(&lane->page_end);
    buffer_put(&lane->page_end, reply->last.data, reply->last.length);
    lane->last = reply->done;
    for (uint32_t i = 0; i < reply->row_count; i++)
        merge_row(refill, lane, view, &reply->rows[i]);
    if (lane->rows_open == 0)
        finish_page(refill, lane);
}

static void
take_digest(Refill *refill, Lane *lane, const View *view, const ScanReply *theirs)
{
    TreeSum mine;

    if (!trees_sum(view->trees, tree_of(lane), lane->part, &mine))
        lane->is_compare = false;
    else if (!theirs->done || mine.rows != theirs->row_count ||
             !digest_equal(&mine.digest, &theirs->digest))
        look_closer(lane, view, mine.rows, theirs->row_count);
    else
    {
        lane->settle_ms = view->now_ms + SETTLE_MS;
        await_settled(refill, lane, view);
    }
}

static void
take_answer(Refill *refill, Lane *lane, const View *view, const Frame *frame)
{
    ScanReply reply;
    Frame kept;

    arena_reset(&lane->arena);
    kept = frame_copy(&lane->arena, frame);
    if (frame->type != FRAME_SCAN_REPLY || !scan_reply_decode(&kept, &lane->arena, &reply) ||
        reply.status != STATUS_OK || (reply.rows == NULL) != lane->is_compare ||
        reply.round < floor_of(lane->job, view) ||
        !scan_reply_goes_on(&reply, buffer_slice(&lane->after)))
        give_back(refill, lane);
    else if (lane->is_compare)
        take_digest(refill, lane, view, &reply);
    else
        take_page(refill, lane, view, &reply);
}

/* The lane whose present question has that ticket, or NULL. */
static Lane *
lane_of(Refill *refill, uint32_t ticket)
{
    uint32_t slot = tickets_find(&refill->tickets, ticket);

    return slot != TICKET_NO_SLOT ? &refill->lanes[slot] : NULL;
}

void
refill_member_frame(Refill *refill, const View *view, uint32_t member, const Frame *frame)
{
    Lane *lane = lane_of(refill, ticket_tag_number(frame->tag));

    if (lane == NULL || lane->job == NULL || !lane->asked || lane->job->member != member)
        return;
    lane->asked = false;
    take_answer(refill, lane, view, frame);
}

static void
end_row(Refill *refill, uint64_t ref, bool stored)
{
    Lane *lane = lane_of(refill, ticket_ref_number(ref));

    if (lane == NULL || lane->rows_open == 0)
        return;
    lane->failed = lane->failed || !stored;
    if (--lane->rows_open == 0)
        finish_page(refill, lane);
}

void
refill_merged(Refill *refill, uint64_t ref, StatusCode status)
{
    if (status != STATUS_OK)
        end_row(refill, ref, false);
}

void
refill_durable(Refill *refill, uint64_t ref, StatusCode status)
{
    end_row(refill, ref, status == STATUS_OK);
}

void
refill_member_down(Refill *refill, uint32_t member)
{
    for (uint32_t i = 0; i < LANES; i++)
    {
        Lane *lane = &refill->lanes[i];

        if (lane->job == NULL || lane->job->member != member || !lane->asked)
            continue;
        lane->asked = false;
        give_back(refill, lane);
    }
}

uint32_t
refill_planned(const Refill *refill)
{
    return refill->job_count;
}

uint32_t
refill_finished(const Refill *refill)
{
    return refill->finished;
}
