/* plan_document: the documents by which a plan is staged, carried out and taken back. */
#include "shared/ring/plan.h"

#include <string.h>

/* A copy of what the next document has of this one; whatever is changed in it is given anew. */
static Topology
next_of(const Topology *topology)
{
    Topology next = *topology;

    next.epoch = topology->epoch + 1;
    return next;
}

static bool
takes_the_place_of(const StagedChange *change, const StagedChange *earlier)
{
    return change->slot == earlier->slot && change->kind == earlier->kind;
}

static void
take_in(Topology *next, const Topology *topology, const Member *newcomer, Arena *arena)
{
    size_t count = topology->member_count;

    next->members = ARENA_ARRAY(arena, Member, count + 1);
    memcpy(next->members, topology->members, sizeof(Member) * count);
    next->members[count] = *newcomer;
    next->members[count].state = MEMBER_JOINING;
    next->member_count++;
}

void
plan_encode_staged(Buffer *document, const Topology *topology, const StagedChange *change,
                   const Member *newcomer, Arena *arena)
{
    Topology next = next_of(topology);
    uint32_t count = 0;

    if (newcomer != NULL)
        take_in(&next, topology, newcomer, arena);

    next.staged = ARENA_ARRAY(arena, StagedChange, topology->staged_count + (size_t)1);
    for (uint32_t i = 0; i < topology->staged_count; i++)
    {
        if (!takes_the_place_of(change, &topology->staged[i]))
            next.staged[count++] = topology->staged[i];
    }
    next.staged[count++] = *change;
    next.staged_count = count;
    next.staged_epoch = next.epoch;
    topology_encode(document, &next);
}

/* A partition moves when any part of its list changes: a bucket of a larger n may be made
 * meanwhile.
 */
static bool
list_changes(const Topology *topology, const uint16_t *target, uint32_t partition)
{
    uint16_t old[TOPOLOGY_N_MAX];
    uint16_t new[TOPOLOGY_N_MAX];
    uint32_t old_count =
        ring_walk(topology->claim, topology->partitions, partition, old, TOPOLOGY_N_MAX);
    uint32_t new_count = ring_walk(target, topology->partitions, partition, new, TOPOLOGY_N_MAX);

    return old_count != new_count || memcmp(old, new, sizeof(uint16_t) * old_count) != 0;
}

static void
begin_moves(Topology *next, const Topology *topology, const Plan *plan, Arena *arena)
{
    uint32_t partitions = topology->partitions;

    next->target = plan->target;
    next->steps = arena_alloc_zero(arena, partitions);
    next->changed = arena_copy(arena, topology->changed, sizeof(uint64_t) * partitions);
    for (uint32_t i = 0; i < partitions; i++)
    {
        if (!list_changes(topology, plan->target, i))
            continue;
        next->steps[i] = TOPOLOGY_FILLING;
        next->changed[i] = next->epoch;
    }
}

static bool
has_partition(const Topology *topology, uint32_t slot)
{
    for (uint32_t i = 0; i < topology->partitions; i++)
    {
        if (topology->claim[i] == slot)
            return true;
    }
    return false;
}

/* Who is given up and has no partition has nothing to wait for: a node that was only joining. */
static void
fence_out(Topology *next, const Topology *topology, const Plan *plan, Arena *arena)
{
    next->members =
        arena_copy(arena, plan->members, sizeof(Member) * (size_t)topology->member_count);
    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        if (plan->members[i].state != MEMBER_GONE || topology->members[i].state == MEMBER_GONE)
            continue;
        next->fence = next->epoch;
        if (!has_partition(topology, i))
            next->members[i].state = MEMBER_LEFT;
    }
}

void
plan_encode_commit(Buffer *document, const Topology *topology, const Plan *plan, Arena *arena)
{
    Topology next = next_of(topology);

    next.committed_epoch = topology->staged_epoch;
    next.staged_epoch = next.epoch;
    next.staged_count = 0;
    fence_out(&next, topology, plan, arena);
    if (plan->moves)
        begin_moves(&next, topology, plan, arena);
    topology_encode(document, &next);
}

/* Nothing of the new owners has counted yet, so that they go back to what they were. */
static void
take_back_moves(Topology *next, const Topology *topology, Arena *arena)
{
    size_t size = sizeof(Member) * (size_t)topology->member_count;

    next->members = arena_copy(arena, topology->members, size);
    next->changed =
        arena_copy(arena, topology->changed, sizeof(uint64_t) * (size_t)topology->partitions);
    for (uint32_t i = 0; i < topology->partitions; i++)
    {
        if (topology->steps[i] != TOPOLOGY_STILL)
            next->changed[i] = next->epoch;
    }
    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        MemberState *state = &next->members[i].state;

        if (*state == MEMBER_LEAVING || (*state == MEMBER_ACTIVE && !has_partition(topology, i)))
            *state = *state == MEMBER_LEAVING ? MEMBER_ACTIVE : MEMBER_JOINING;
    }
    next->target = NULL;
    next->steps = NULL;
}

const char *
plan_encode_clear(Buffer *document, const Topology *topology, const char **hint, Arena *arena)
{
    Topology next = next_of(topology);

    *hint = NULL;
    for (uint32_t i = 0; topology->target != NULL && i < topology->member_count; i++)
    {
        if (topology->members[i].state != MEMBER_GONE)
            continue;
        *hint = "Let it finish. What it moved can be changed by another plan.";
        return "the plan under way declares a node dead and cannot be taken back";
    }
    for (uint32_t i = 0; topology->target != NULL && i < topology->partitions; i++)
    {
        if (topology->steps[i] <= TOPOLOGY_FILLING)
            continue;
        *hint = "Let it finish, then stage the changes the other way round.";
        return "new owners count already in some partitions: the plan can only go forward";
    }
    if (topology->target != NULL)
        take_back_moves(&next, topology, arena);
    next.staged_count = 0;
    next.staged_epoch = next.epoch;
    topology_encode(document, &next);
    return NULL;
}
