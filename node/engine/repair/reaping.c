/*
 * When a round is tried, what is known of each partition between rounds, and which of the files
 * beside this one an answer is for: reaping_round.c coordinates a round, reaping_member.c answers
 * for a member in somebody's round.
 */
#include "node/engine/repair/reaping_private.h"

#include <string.h>

enum
{
    PASS_STEPS = 1024, /* partitions that are passed over in one step */
    REST_MOST_MS = 60 * 1000
};

static const char *const STATE_NAMES[] = {
    [REAP_RESTING] = "resting",     [REAP_WAITING] = "waiting", [REAP_LOOKING] = "looking",
    [REAP_PREPARING] = "preparing", [REAP_RAISING] = "raising", [REAP_REAPING] = "reaping",
};

const char *
reaping_state_name(ReapState state)
{
    return STATE_NAMES[state];
}

Reaping *
reaping_new(uint64_t interval_ms, Pacer *pacer, ReapingIsBusy is_busy, void *context)
{
    Reaping *reaping = memory_resize(&MEMORY_HEAP, NULL, sizeof(Reaping));

    *reaping = (Reaping){.interval_ms = interval_ms,
                         .pacer = pacer,
                         .is_busy = is_busy,
                         .busy_context = context,
                         .due_ms = UINT64_MAX,
                         .next_due_ms = UINT64_MAX};
    for (uint32_t i = 0; i < REAPING_LANES; i++)
    {
        arena_init(&reaping->lanes[i].arena, &MEMORY_HEAP);
        buffer_init(&reaping->lanes[i].after, &MEMORY_HEAP);
    }
    for (uint32_t i = 0; i < REAPING_TASKS; i++)
        arena_init(&reaping->tasks[i].arena, &MEMORY_HEAP);
    return reaping;
}

void
reaping_free(Reaping *reaping)
{
    for (uint32_t i = 0; i < REAPING_LANES; i++)
    {
        Lane *lane = &reaping->lanes[i];

        arena_free(&lane->arena);
        buffer_free(&lane->after);
        memory_resize(&MEMORY_HEAP, lane->live, 0);
        memory_resize(&MEMORY_HEAP, lane->awaited, 0);
    }
    for (uint32_t i = 0; i < REAPING_TASKS; i++)
        arena_free(&reaping->tasks[i].arena);
    tickets_free(&reaping->tickets);
    memory_resize(&MEMORY_HEAP, reaping->entries, 0);
    memory_resize(&MEMORY_HEAP, reaping->runs, 0);
    memory_resize(&MEMORY_HEAP, reaping, 0);
}

void
reaping_set_interval(Reaping *reaping, uint64_t interval_ms)
{
    if (interval_ms != reaping->interval_ms)
        reaping->pass_ms = 0;
    reaping->interval_ms = interval_ms;
}

static uint64_t
sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- who owns what ---- */

/* The members that own the partition, in order; 0: the bucket is not known. */
static uint32_t
reaping_owners(const View *view, TreeId id, uint16_t owners[TOPOLOGY_N_MAX])
{
    const Bucket *bucket = topology_bucket_by_id(view->topology, id.bucket_id);

    if (bucket == NULL)
        return 0;
    return topology_preference(view->topology,
                               ring_partition_start(id.partition, view->topology->partitions),
                               owners, bucket->n);
}

bool
reaping_owns(const View *view, TreeId id, uint32_t member)
{
    uint64_t start = ring_partition_start(id.partition, view->topology->partitions);

    return topology_owns(view->topology, id.bucket_id, start, member);
}

/* The first owner that is up. */
static bool
is_coordinator(const View *view, TreeId id)
{
    uint16_t owners[TOPOLOGY_N_MAX];
    uint32_t count = reaping_owners(view, id, owners);

    for (uint32_t i = 0; i < count; i++)
    {
        if (owners[i] == view->self || view->up[owners[i]])
            return owners[i] == view->self;
    }
    return false;
}

/* ---- what is known ---- */

uint64_t
reaping_rest_ms(const Reaping *reaping)
{
    bool is_short = reaping->interval_ms > 0 && reaping->interval_ms < REAPING_REST_MS;

    return is_short ? reaping->interval_ms : REAPING_REST_MS;
}

static uint32_t
find_index(const Reaping *reaping, TreeId id)
{
    uint32_t low = 0;
    uint32_t high = reaping->entry_count;

    while (low < high)
    {
        uint32_t middle = low + (high - low) / 2;

        if (tree_id_compare(reaping->entries[middle].status.id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static Entry *
find_entry(const Reaping *reaping, TreeId id)
{
    uint32_t index = find_index(reaping, id);
    Entry *entry = &reaping->entries[index];

    return index < reaping->entry_count && tree_id_compare(entry->status.id, id) == 0 ? entry
                                                                                      : NULL;
}

Entry *
reaping_entry(Reaping *reaping, TreeId id)
{
    Entry *found = find_entry(reaping, id);
    uint32_t index = find_index(reaping, id);

    if (found != NULL)
        return found;
    if (reaping->entry_count == reaping->entry_capacity)
    {
        reaping->entry_capacity = reaping->entry_capacity > 0 ? reaping->entry_capacity * 2 : 16;
        reaping->entries =
            memory_resize(&MEMORY_HEAP, reaping->entries, reaping->entry_capacity * sizeof(Entry));
    }
    memmove(&reaping->entries[index + 1], &reaping->entries[index],
            (reaping->entry_count - index) * sizeof(Entry));
    reaping->entry_count++;
    reaping->entries[index] = (Entry){
        .status = {.id = id, .why = REAP_CLEAN},
          .rest_ms = reaping_rest_ms(reaping)
    };
    return &reaping->entries[index];
}

void
reaping_note_run(Reaping *reaping, const MemberId *id, const Actor *actor)
{
    uint32_t index = 0;

    while (index < reaping->run_count &&
           memcmp(&reaping->runs[index].id, id, sizeof(MemberId)) != 0)
        index++;
    if (index < reaping->run_count &&
        memcmp(&reaping->runs[index].actor, actor, sizeof(Actor)) == 0)
        return;
    if (index == reaping->run_count)
        reaping->runs =
            memory_resize(&MEMORY_HEAP, reaping->runs, ++reaping->run_count * sizeof(KnownRun));
    reaping->runs[index] = (KnownRun){.id = *id, .actor = *actor};
    reaping->run_changes++;
}

void
reaping_failed(Reaping *reaping, const View *view, TreeId id, ReapVerdict why, uint32_t member)
{
    Entry *entry = reaping_entry(reaping, id);

    entry->taken = false;
    entry->status.state = REAP_WAITING;
    entry->status.why = why;
    entry->status.whose = view->topology->members[member].id;
    entry->due_ms = view->now_ms + entry->rest_ms;
    reaping->due_ms = sooner(reaping->due_ms, entry->due_ms);
    reaping->next_due_ms = sooner(reaping->next_due_ms, entry->due_ms);
    if (entry->rest_ms * 2 <= reaping->interval_ms && entry->rest_ms * 2 <= REST_MOST_MS)
        entry->rest_ms *= 2;
}

/* ---- schedule ---- */

void
reaping_request(Reaping *reaping)
{
    reaping->passing = true;
    reaping->pass_bucket = reaping->pass_partition = 0;
    reaping->due_ms = 0;
    reaping->due_index = 0;
    for (uint32_t i = 0; i < reaping->entry_count; i++)
    {
        reaping->entries[i].due_ms = 0;
        reaping->entries[i].barren = false;
    }
}

/* A phase of its own for each node, so that a cluster that was started at once spreads its work. */
static uint64_t
first_pass_ms(const Reaping *reaping, const View *view)
{
    uint8_t phase = view->topology->members[view->self].id.bytes[0];

    return view->now_ms + reaping->interval_ms / 2 + reaping->interval_ms * phase / 512;
}

/* Goes over the entries when one may be due, and on from where it has found one. */
static bool
take_waiting(Reaping *reaping, const View *view, TreeId *id)
{
    if (view->now_ms < reaping->due_ms)
        return false;
    while (reaping->due_index < reaping->entry_count)
    {
        Entry *entry = &reaping->entries[reaping->due_index++];

        if (entry->status.state != REAP_WAITING || entry->taken)
            continue;
        if (view->now_ms < entry->due_ms)
        {
            reaping->next_due_ms = sooner(reaping->next_due_ms, entry->due_ms);
            continue;
        }
        *id = entry->status.id;
        if (is_coordinator(view, *id))
            return true;
        entry->status.state = REAP_RESTING; /* another owner's by now */
    }
    reaping->due_index = 0;
    reaping->due_ms = reaping->next_due_ms;
    reaping->next_due_ms = UINT64_MAX;
    return false;
}

/* Has it rows of which the last look does not tell all? */
static bool
is_worth_a_look(const Reaping *reaping, const View *view, TreeId id)
{
    const Entry *entry = find_entry(reaping, id);
    TreeSum sum = {.rows = 0};

    if (!is_coordinator(view, id) || !trees_sum(view->trees, id, (TreePart){0}, &sum) ||
        sum.rows == 0)
        return false;
    if (entry == NULL)
        return true;
    return !entry->taken && entry->status.state != REAP_WAITING &&
           !(entry->barren && digest_equal(&entry->barren_root, &sum.digest) &&
             entry->barren_runs == reaping->run_changes);
}

static bool
take_passed(Reaping *reaping, const View *view, TreeId *id)
{
    const Topology *topology = view->topology;

    for (uint32_t step = 0; step < PASS_STEPS && reaping->passing; step++)
    {
        if (reaping->pass_bucket >= topology->bucket_count)
        {
            reaping->passing = false;
            return false;
        }
        *id = (TreeId){.bucket_id = topology->buckets[reaping->pass_bucket].id,
                       .partition = reaping->pass_partition++};
        if (reaping->pass_partition == topology->partitions)
        {
            reaping->pass_partition = 0;
            reaping->pass_bucket++;
        }
        if (is_worth_a_look(reaping, view, *id))
            return true;
    }
    return false;
}

static bool
may_coordinate(const Reaping *reaping, const View *view)
{
    return (reaping->interval_ms > 0 || reaping->passing) && view->self != TOPOLOGY_NO_MEMBER &&
           view->trees != NULL && view->rounds != NULL && !view->cannot_write && !view->refilling;
}

void
reaping_step(Reaping *reaping, const View *view)
{
    bool may = may_coordinate(reaping, view);

    bool by_itself = may && reaping->interval_ms > 0;

    if (by_itself && reaping->pass_ms == 0)
        reaping->pass_ms = first_pass_ms(reaping, view);
    if (by_itself && !reaping->passing && view->now_ms >= reaping->pass_ms)
    {
        reaping->passing = true;
        reaping->pass_bucket = reaping->pass_partition = 0;
        reaping->pass_ms = view->now_ms + reaping->interval_ms;
    }
    for (uint32_t i = 0; i < REAPING_LANES; i++)
    {
        Lane *lane = &reaping->lanes[i];
        TreeId id;

        if (may && lane->phase == LANE_FREE &&
            (take_waiting(reaping, view, &id) || take_passed(reaping, view, &id)))
            reaping_lane_begin(reaping, lane, view, id);
        if (lane->phase != LANE_FREE)
            reaping_lane_step(reaping, lane, view);
    }
}

uint64_t
reaping_wake_ms(const Reaping *reaping, const View *view)
{
    uint64_t wake = UINT64_MAX;
    bool has_free = false;

    for (uint32_t i = 0; i < REAPING_LANES; i++)
    {
        const Lane *lane = &reaping->lanes[i];

        has_free = has_free || lane->phase == LANE_FREE;
        if (lane->phase == LANE_PACING)
            wake = sooner(wake, pacer_ready_ms(reaping->pacer, view->now_ms));
        else if (lane->phase > LANE_READING)
            wake = sooner(wake, lane->deadline_ms);
    }
    if (!has_free || !may_coordinate(reaping, view))
        return wake;
    wake = sooner(wake, reaping->due_ms);
    if (reaping->passing)
        return view->now_ms;
    return reaping->interval_ms > 0 ? sooner(wake, reaping->pass_ms) : wake;
}

/* ---- for people ---- */

uint32_t
reaping_status_count(const Reaping *reaping)
{
    return reaping->entry_count;
}

ReapStatus
reaping_status(const Reaping *reaping, const View *view, uint32_t index)
{
    ReapStatus status = reaping->entries[index].status;

    status.round = rounds_of(view->rounds, status.id).round;
    return status;
}
