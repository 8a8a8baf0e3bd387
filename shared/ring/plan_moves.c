/* plan_moves: how a plan under way goes on, document by document, until it has ended. */
#include "shared/ring/plan.h"

#include <string.h>

/* What is waited for of the member: nobody waits for one that was given up. */
static bool
is_waited_for(const Topology *topology, const PlanProgress *progress, uint32_t partition,
              uint32_t slot)
{
    const uint8_t *done = progress->done[slot];

    return topology->members[slot].state != MEMBER_GONE &&
           (done == NULL || (done[partition / 8] >> partition % 8 & 1) == 0);
}

bool
plan_next_transfer(const Topology *topology, PlanTransfer *transfer)
{
    uint64_t length = topology->preference_length;
    uint64_t end = topology->target != NULL ? 2 * length * topology->partitions : 0;

    while (transfer->next < end)
    {
        uint64_t place = transfer->next++;
        uint32_t partition = (uint32_t)(place / (2 * length));
        bool enters = place / length % 2 == 1;
        const uint16_t *lists = enters ? topology->target_preference : topology->preference;
        uint32_t slot = lists[partition * length + place % length];

        if (!(enters ? topology_enters : topology_leaves)(topology, partition, 0, slot))
            continue;
        transfer->partition = partition;
        transfer->slot = slot;
        transfer->enters = enters;
        return true;
    }
    return false;
}

/* All who enter, or all who leave, have done what the partition's step asks of them. */
static bool
is_step_done(const Topology *topology, const PlanProgress *progress, uint32_t partition)
{
    bool leave = topology->steps[partition] == TOPOLOGY_MOVED;
    const uint16_t *lists = leave ? topology->preference : topology->target_preference;
    const uint16_t *list = lists + (size_t)partition * topology->preference_length;

    for (uint32_t rank = 0; rank < topology->preference_length && topology->ns >> (rank + 1) != 0;
         rank++)
    {
        bool moves = leave ? topology_leaves(topology, partition, 0, list[rank])
                           : topology_enters(topology, partition, 0, list[rank]);

        if (moves && is_waited_for(topology, progress, partition, list[rank]))
            return false;
    }
    return true;
}

static bool
goes_on(const Topology *topology, const PlanProgress *progress, uint32_t partition)
{
    uint8_t step = topology->steps[partition];

    return (step == TOPOLOGY_FILLING || step == TOPOLOGY_HANDING) &&
           is_step_done(topology, progress, partition);
}

/* Whoever the plan takes out, and has not left yet. */
static bool
goes_out(const Member *member)
{
    return member->state == MEMBER_LEAVING || member->state == MEMBER_GONE;
}

static bool
can_end(const Topology *topology, const PlanProgress *progress)
{
    bool has_ended = topology->target == NULL;

    for (uint32_t i = 0; topology->target != NULL && i < topology->partitions; i++)
    {
        if (topology->steps[i] != TOPOLOGY_STILL &&
            (topology->steps[i] != TOPOLOGY_MOVED || !is_step_done(topology, progress, i)))
            return false;
    }
    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        const Member *member = &topology->members[i];

        if (member->state == MEMBER_LEAVING && !progress->ready[i])
            return false;
        has_ended = has_ended && !goes_out(member);
    }
    return !has_ended;
}

bool
plan_goes_on(const Topology *topology, const PlanProgress *progress)
{
    for (uint32_t i = 0; topology->target != NULL && i < topology->partitions; i++)
    {
        if (goes_on(topology, progress, i))
            return true;
    }
    return can_end(topology, progress);
}

/* The owners that count are others from now on, or they are the same and may all answer. */
static void
take_steps(Topology *next, const Topology *topology, const PlanProgress *progress, Arena *arena)
{
    uint32_t partitions = topology->partitions;

    next->steps = arena_copy(arena, topology->steps, partitions);
    next->changed = arena_copy(arena, topology->changed, sizeof(uint64_t) * partitions);
    for (uint32_t i = 0; i < partitions; i++)
    {
        if (!goes_on(topology, progress, i))
            continue;
        next->steps[i]++;
        if (next->steps[i] == TOPOLOGY_HANDING)
            next->changed[i] = next->epoch;
    }
}

/* Who goes out has no partition any more. That it has left, it may hear last of all: what it sends
 * as a member is refused from now on. */
static void
end_moves(Topology *next, const Topology *topology, Arena *arena)
{
    size_t size = sizeof(Member) * (size_t)topology->member_count;

    if (topology->target != NULL)
        next->claim = topology->target;
    next->target = NULL;
    next->steps = NULL;
    next->members = arena_copy(arena, topology->members, size);
    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        if (!goes_out(&topology->members[i]))
            continue;
        next->members[i].state = MEMBER_LEFT;
        next->fence = next->epoch;
    }
}

void
plan_encode_next(Buffer *document, const Topology *topology, const PlanProgress *progress,
                 Arena *arena)
{
    Topology next = *topology;

    next.epoch = topology->epoch + 1;
    if (can_end(topology, progress))
        end_moves(&next, topology, arena);
    else
        take_steps(&next, topology, progress, arena);
    topology_encode(document, &next);
}
