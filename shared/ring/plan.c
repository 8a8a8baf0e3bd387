/*
 * plan: from staged changes to members, a claim, its figures and the reasons against it. The
 * documents that come of a plan are in plan_document.c.
 */
#include "shared/ring/plan.h"

#include "shared/ring/claim.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct Planning
{
    const Topology *topology;
    const PlanFacts *facts;
    Arena *arena;
    Plan *plan;
    uint16_t *base;     /* the claim in force, with members that are replaced exchanged */
    ClaimMember *claim; /* by slot, of those that are present */
    uint32_t count;     /* of them */
    bool shares_change;
    uint32_t zone_moves;
    uint32_t n_most; /* of any bucket; 0: there is none */
} Planning;

static const char *say(Arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

static const char *
say(Arena *arena, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return arena_copy_string(arena, text, strlen(text));
}

static const char *
name_of(const Topology *topology, uint32_t slot)
{
    return topology->members[slot].name;
}

static bool
is_up(const PlanFacts *facts, uint32_t slot)
{
    return facts->up == NULL || facts->up[slot];
}

/* The change takes the member out of the ring. */
static bool
takes_out(const StagedChange *change)
{
    return change->kind == STAGED_LEAVE || change->kind == STAGED_REPLACE ||
           change->kind == STAGED_REMOVE;
}

/* ---- reasons against one change ---- */

static const char *
fault_of_join(const Topology *topology, const StagedChange *change, const char **hint, Arena *arena)
{
    if (topology->members[change->slot].state == MEMBER_JOINING)
        return NULL;
    *hint = "SHOW NODES lists the members; a node that waits to be joined has no partitions.";
    return say(arena, "node \"%s\" is a member already", name_of(topology, change->slot));
}

static const char *
fault_of_replace(const Topology *topology, const StagedChange *change, const char **hint,
                 Arena *arena)
{
    const char *with = name_of(topology, change->with);

    if (change->slot == change->with)
    {
        *hint = "Name a node that waits to be joined as the new one.";
        return say(arena, "node \"%s\" cannot replace itself", with);
    }
    if (topology->members[change->with].state == MEMBER_JOINING)
        return NULL;
    *hint =
        "Only a node that waits to be joined takes over another's partitions; LEAVE shares them "
        "among the members.";
    return say(arena, "node \"%s\" is a member already and has partitions of its own", with);
}

static const char *
fault_of_remove(const Topology *topology, const StagedChange *change, const PlanFacts *facts,
                const char **hint, Arena *arena)
{
    const char *name = name_of(topology, change->slot);

    if (!is_up(facts, change->slot) || topology->members[change->slot].state == MEMBER_JOINING)
        return NULL;
    *hint = "LEAVE lets it hand over what it has. REMOVE is for a node that does not come back.";
    return say(arena, "node \"%s\" is up and cannot be removed", name);
}

static const char *
fault_of_kind(const Topology *topology, const StagedChange *change, const PlanFacts *facts,
              const char **hint, Arena *arena)
{
    MemberState state = topology->members[change->slot].state;

    if (state == MEMBER_LEAVING || state == MEMBER_GONE)
    {
        *hint = "Wait until SHOW NODES does not list it any more.";
        return say(arena, "node \"%s\" is leaving the cluster", name_of(topology, change->slot));
    }
    if ((change->kind == STAGED_LEAVE || change->kind == STAGED_REPLACE) && state == MEMBER_JOINING)
    {
        *hint = "REMOVE takes out a node that waits to be joined.";
        return say(arena, "node \"%s\" has no partitions to hand over",
                   name_of(topology, change->slot));
    }
    switch (change->kind)
    {
    case STAGED_JOIN:
        return fault_of_join(topology, change, hint, arena);
    case STAGED_REPLACE:
        return fault_of_replace(topology, change, hint, arena);
    case STAGED_REMOVE:
        return fault_of_remove(topology, change, facts, hint, arena);
    default:
        return NULL;
    }
}

/* Two changes that cannot both be carried out. */
static bool
conflict(const StagedChange *a, const StagedChange *b)
{
    bool same = a->slot == b->slot;
    bool a_joins = a->kind == STAGED_JOIN || a->kind == STAGED_REPLACE;
    bool b_joins = b->kind == STAGED_JOIN || b->kind == STAGED_REPLACE;
    uint16_t a_joiner = a->kind == STAGED_JOIN ? a->slot : a->with;
    uint16_t b_joiner = b->kind == STAGED_JOIN ? b->slot : b->with;

    return (same && takes_out(a) && takes_out(b)) || (a_joins && b_joins && a_joiner == b_joiner) ||
           (a_joins && takes_out(b) && a_joiner == b->slot) ||
           (b_joins && takes_out(a) && b_joiner == a->slot);
}

static const char *
fault_beside(const Topology *topology, const StagedChange *change, uint32_t earlier_count,
             const char **hint, Arena *arena)
{
    for (uint32_t i = 0; i < earlier_count; i++)
    {
        const StagedChange *earlier = &topology->staged[i];

        if (!conflict(change, earlier))
            continue;
        *hint = "SHOW PLAN lists what is staged; CLEAR PLAN begins anew.";
        if (topology_staged_equals(change, earlier))
            return say(arena, "this change of node \"%s\" is staged already",
                       name_of(topology, change->slot));
        return say(arena, "another change of node \"%s\" is staged",
                   name_of(topology, change->kind == STAGED_REPLACE && earlier->slot != change->slot
                                         ? change->with
                                         : change->slot));
    }
    return NULL;
}

const char *
plan_staging_fault(const Topology *topology, const StagedChange *change, const PlanFacts *facts,
                   const char **hint, Arena *arena)
{
    const char *fault;

    *hint = NULL;
    if (topology->target != NULL)
    {
        *hint = "Wait until its partitions have moved, or take it back with CLEAR PLAN.";
        return "the plan that was committed last is still under way";
    }
    if (topology->staged_count >= TOPOLOGY_STAGED_MAX)
    {
        *hint = "Commit what is staged first.";
        return say(arena, "a plan has at most %d changes", TOPOLOGY_STAGED_MAX);
    }
    fault = fault_of_kind(topology, change, facts, hint, arena);
    if (fault == NULL)
        fault = fault_beside(topology, change, topology->staged_count, hint, arena);
    return fault;
}

/* ---- members as they are to be ---- */

static void
refuse(Planning *planning, const char *why, const char *hint)
{
    if (planning->plan->refusal == NULL)
    {
        planning->plan->refusal = why;
        planning->plan->hint = hint;
    }
}

static void
admit(Planning *planning, uint32_t slot)
{
    const PlanFacts *facts = planning->facts;

    planning->plan->members[slot].state = MEMBER_ACTIVE;
    if (facts->ready != NULL && !facts->ready[slot])
        refuse(planning,
               say(planning->arena, "node \"%s\" is not ready to own partitions",
                   name_of(planning->topology, slot)),
               "It must be up and have learned from the others what an owner knows; SHOW NODES "
               "tells when it is ready.");
}

/* The new node has the weight of the one that it replaces, so that nothing else moves. */
static void
replace(Planning *planning, const StagedChange *change)
{
    Member *members = planning->plan->members;

    admit(planning, change->with);
    members[change->with].weight = members[change->slot].weight;
    members[change->slot].state =
        is_up(planning->facts, change->slot) ? MEMBER_LEAVING : MEMBER_GONE;
    claim_replace(planning->base, planning->topology->partitions, change->slot, change->with);
}

static uint32_t
partitions_of(const Planning *planning, uint32_t slot)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < planning->topology->partitions; i++)
        count += planning->topology->claim[i] == slot;
    return count;
}

static void
apply(Planning *planning, const StagedChange *change)
{
    Member *member = &planning->plan->members[change->slot];

    switch (change->kind)
    {
    case STAGED_JOIN:
        admit(planning, change->slot);
        break;
    case STAGED_LEAVE:
        member->state = MEMBER_LEAVING;
        break;
    case STAGED_REPLACE:
        replace(planning, change);
        break;
    case STAGED_REMOVE:
        member->state = MEMBER_GONE;
        break;
    case STAGED_WEIGHT:
        planning->shares_change = planning->shares_change || member->weight != change->weight;
        member->weight = change->weight;
        break;
    case STAGED_ZONE:
        /* Its partitions may be exchanged with as many others. */
        if (strcmp(member->zone, change->zone) != 0)
            planning->zone_moves += 2 * partitions_of(planning, change->slot);
        member->zone = change->zone;
        break;
    case STAGED_ADDRESS:
        member->address = change->address;
        member->port = change->port;
        break;
    case STAGED_END:
        break;
    }
    planning->shares_change = planning->shares_change || change->kind == STAGED_JOIN ||
                              change->kind == STAGED_LEAVE || change->kind == STAGED_REMOVE;
}

/* Replacements come first: a weight that is set for the new node counts, wherever it was staged. */
static void
apply_all(Planning *planning)
{
    const Topology *topology = planning->topology;

    for (unsigned round = 0; round < 2; round++)
    {
        for (uint32_t i = 0; i < topology->staged_count; i++)
        {
            const StagedChange *change = &topology->staged[i];
            const char *hint = NULL;
            const char *fault;

            if ((change->kind == STAGED_REPLACE) != (round == 0))
                continue;
            fault = fault_of_kind(topology, change, planning->facts, &hint, planning->arena);
            if (fault == NULL)
                fault = fault_beside(topology, change, i, &hint, planning->arena);
            if (fault != NULL)
                refuse(planning, fault, hint);
            apply(planning, change);
        }
    }
}

/* ---- the claim ---- */

static uint16_t
zone_number(const Topology *topology, const Member *members, uint32_t slot)
{
    if (members[slot].zone[0] == '\0')
        return 0;
    for (uint32_t i = 0;; i++)
    {
        if (topology_is_present(topology, i) && strcmp(members[i].zone, members[slot].zone) == 0)
            return (uint16_t)(i + 1);
    }
}

static void
list_members(Planning *planning)
{
    const Topology *topology = planning->topology;
    const Member *members = planning->plan->members;

    planning->claim = ARENA_ARRAY(planning->arena, ClaimMember, topology->member_count);
    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        if (topology_is_present(topology, i))
            planning->claim[planning->count++] =
                (ClaimMember){.slot = (uint16_t)i,
                              .zone = zone_number(topology, members, i),
                              .weight = members[i].weight,
                              .leaves = members[i].state != MEMBER_ACTIVE};
    }
}

static void
make_target(Planning *planning)
{
    const Topology *topology = planning->topology;
    Plan *plan = planning->plan;
    size_t size = sizeof(uint16_t) * topology->partitions;

    plan->target = arena_copy(planning->arena, planning->base, size);
    if (planning->shares_change || planning->zone_moves > 0)
        (void)claim_plan(planning->base, topology->partitions, planning->claim, planning->count,
                         planning->zone_moves, planning->arena, plan->target);
    plan->moves = memcmp(plan->target, topology->claim, size) != 0;
}

/* ---- reasons against the whole ---- */

static const Bucket *
widest_bucket(const Topology *topology)
{
    const Bucket *widest = NULL;

    for (uint32_t i = 0; i < topology->bucket_count; i++)
    {
        if (widest == NULL || topology->buckets[i].n > widest->n)
            widest = &topology->buckets[i];
    }
    return widest;
}

static uint32_t
count_owners(const uint16_t *claim, uint32_t partitions)
{
    uint16_t list[TOPOLOGY_N_MAX];

    return ring_walk(claim, partitions, 0, list, TOPOLOGY_N_MAX);
}

static void
check_owners(Planning *planning)
{
    const Bucket *widest = widest_bucket(planning->topology);
    uint32_t left = 0;

    for (uint32_t i = 0; i < planning->count; i++)
        left += !planning->claim[i].leaves;
    if (left == 0)
        refuse(planning, "no node would be left", "JOIN others first, or REPLACE this one.");
    else if (widest != NULL && left < widest->n)
        refuse(planning,
               say(planning->arena, "%u nodes would be left, and bucket \"%.200s\" has n = %u",
                   left, widest->name, widest->n),
               "REPLACE a node WITH a new one instead, JOIN others in the same plan, or drop the "
               "bucket.");
}

/* Old and new owners of a partition must fit into one list while it moves. */
static void
check_lists(Planning *planning)
{
    const Topology *topology = planning->topology;
    const Bucket *widest = widest_bucket(topology);

    if (widest == NULL || 2 * widest->n <= TOPOLOGY_N_MAX)
        return;
    for (uint32_t i = 0; i < topology->partitions; i++)
    {
        uint16_t old[TOPOLOGY_N_MAX];
        uint16_t new[TOPOLOGY_N_MAX];
        uint32_t old_count = ring_walk(topology->claim, topology->partitions, i, old, widest->n);
        uint32_t new_count =
            ring_walk(planning->plan->target, topology->partitions, i, new, widest->n);
        uint32_t both = old_count;

        for (uint32_t j = 0; j < new_count; j++)
        {
            bool had = false;

            for (uint32_t k = 0; k < old_count && !had; k++)
                had = old[k] == new[j];
            both += !had;
        }
        if (both > TOPOLOGY_N_MAX)
        {
            refuse(planning,
                   say(planning->arena,
                       "partition %u of bucket \"%.200s\" would have %u old and new owners "
                       "together, and there may be %d",
                       i, widest->name, both, TOPOLOGY_N_MAX),
                   "Change fewer nodes at once.");
            return;
        }
    }
}

/* Zones among members that have or are to have partitions; a member without one is its own. */
static uint32_t
count_zones(const Topology *topology, const Member *members, bool as_they_are)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        bool is_new = true;
        MemberState state = as_they_are ? topology->members[i].state : members[i].state;

        if (!topology_is_present(topology, i) || state != MEMBER_ACTIVE)
            continue;
        for (uint32_t j = 0; j < i && is_new; j++)
        {
            MemberState other = as_they_are ? topology->members[j].state : members[j].state;

            is_new = !topology_is_present(topology, j) || other != MEMBER_ACTIVE ||
                     members[j].zone[0] == '\0' || strcmp(members[j].zone, members[i].zone) != 0;
        }
        count += is_new;
    }
    return count;
}

static const char *
lost_zone(const Topology *topology, const Member *members)
{
    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        bool stays = false;

        if (!topology_is_present(topology, i) || topology->members[i].state != MEMBER_ACTIVE ||
            members[i].state == MEMBER_ACTIVE || members[i].zone[0] == '\0')
            continue;
        for (uint32_t j = 0; j < topology->member_count && !stays; j++)
            stays = members[j].state == MEMBER_ACTIVE && topology_is_present(topology, j) &&
                    strcmp(members[j].zone, members[i].zone) == 0;
        if (!stays)
            return members[i].zone;
    }
    return NULL;
}

/*
 * The last node of a zone does not go unnoticed when replicas stood in as many zones as there are.
 * Zones count as they are to be: who sets the zone of that node means what it does.
 */
static void
check_zones(Planning *planning)
{
    const Topology *topology = planning->topology;
    const Member *members = planning->plan->members;
    uint32_t n = planning->n_most > 0 ? planning->n_most : CLAIM_REPLICAS;
    uint32_t before = count_zones(topology, members, true);
    uint32_t after = count_zones(topology, members, false);
    const char *zone = lost_zone(topology, members);

    if (zone == NULL || after >= before || after >= n)
        return;
    refuse(planning,
           say(planning->arena,
               "no node would be left in zone \"%s\": replicas would stand in %u zones, not in %u",
               zone, after, before < n ? before : n),
           "REPLACE its last node WITH a new one of that zone, or SET ZONE of that node to another "
           "zone first, to give the zone up.");
}

/* ---- figures ---- */

static void
measure_gains(Planning *planning)
{
    const Topology *topology = planning->topology;
    Plan *plan = planning->plan;

    for (uint32_t i = 0; i < topology->partitions; i++)
    {
        uint16_t old[TOPOLOGY_N_MAX];
        uint16_t new[TOPOLOGY_N_MAX];
        uint32_t old_count = ring_walk(topology->claim, topology->partitions, i, old, plan->n);
        uint32_t new_count = ring_walk(plan->target, topology->partitions, i, new, plan->n);
        uint64_t bytes =
            planning->facts->partition_bytes != NULL ? planning->facts->partition_bytes[i] : 0;

        for (uint32_t j = 0; j < old_count; j++)
            plan->before[old[j]]++;
        for (uint32_t j = 0; j < new_count; j++)
        {
            bool had = false;

            for (uint32_t k = 0; k < old_count && !had; k++)
                had = old[k] == new[j];
            plan->after[new[j]]++;
            plan->gained[new[j]] += !had;
            plan->bytes[new[j]] += had ? 0 : bytes;
            plan->gained_in_all += !had;
            plan->bytes_in_all += had ? 0 : bytes;
        }
    }
}

/* Before: with members, weights and zones as they are. */
static void
measure_balance(Planning *planning)
{
    const Topology *topology = planning->topology;
    Plan *plan = planning->plan;
    ClaimMember *members = ARENA_ARRAY(planning->arena, ClaimMember, planning->count);
    ClaimMeasure measure;

    for (uint32_t i = 0; i < planning->count; i++)
    {
        uint16_t slot = planning->claim[i].slot;
        const Member *member = &topology->members[slot];

        members[i] = (ClaimMember){.slot = slot,
                                   .zone = zone_number(topology, topology->members, slot),
                                   .weight = member->weight,
                                   .leaves = member->state != MEMBER_ACTIVE};
    }
    measure = claim_measure(topology->claim, topology->partitions, members, planning->count,
                            plan->n, planning->arena);
    plan->balance_before = measure.balance;
    plan->zone_faults_before = measure.zone_faults;
    measure = claim_measure(plan->target, topology->partitions, planning->claim, planning->count,
                            plan->n, planning->arena);
    plan->balance_after = measure.balance;
    plan->zone_faults_after = measure.zone_faults;
}

/* Partitions all of whose first n owners are given up. */
static uint32_t
count_lost(const Planning *planning, uint32_t n)
{
    const Topology *topology = planning->topology;
    uint32_t lost = 0;

    for (uint32_t i = 0; i < topology->partitions; i++)
    {
        uint16_t owners[TOPOLOGY_N_MAX];
        uint32_t count = ring_walk(topology->claim, topology->partitions, i, owners, n);
        bool is_left = false;

        for (uint32_t j = 0; j < count; j++)
            is_left = is_left || planning->plan->members[owners[j]].state != MEMBER_GONE;
        lost += !is_left;
    }
    return lost;
}

static void
list_losses(Planning *planning)
{
    const Topology *topology = planning->topology;
    Plan *plan = planning->plan;
    uint32_t lost[TOPOLOGY_N_MAX + 1];

    for (uint32_t n = 1; n <= TOPOLOGY_N_MAX; n++)
        lost[n] = count_lost(planning, n);
    plan->losses = ARENA_ARRAY(planning->arena, PlanLoss, topology->bucket_count);
    for (uint32_t i = 0; i < topology->bucket_count; i++)
    {
        const Bucket *bucket = &topology->buckets[i];

        if (lost[bucket->n] > 0)
            plan->losses[plan->loss_count++] =
                (PlanLoss){.bucket = bucket, .partitions = lost[bucket->n]};
    }
}

static void
measure(Planning *planning)
{
    const Topology *topology = planning->topology;
    Plan *plan = planning->plan;
    size_t count = topology->member_count;
    uint32_t owners = count_owners(plan->target, topology->partitions);

    plan->n = planning->n_most > 0 ? planning->n_most : CLAIM_REPLICAS;
    if (plan->n > owners)
        plan->n = owners;
    plan->before = arena_alloc_zero(planning->arena, sizeof(uint32_t) * count);
    plan->after = arena_alloc_zero(planning->arena, sizeof(uint32_t) * count);
    plan->gained = arena_alloc_zero(planning->arena, sizeof(uint32_t) * count);
    plan->bytes = arena_alloc_zero(planning->arena, sizeof(uint64_t) * count);
    measure_gains(planning);
    measure_balance(planning);
    list_losses(planning);
}

Plan
plan_make(const Topology *topology, const PlanFacts *facts, Arena *arena)
{
    Plan plan = {0};
    Planning planning = {
        .topology = topology,
        .facts = facts,
        .arena = arena,
        .plan = &plan,
        .base = arena_copy(arena, topology->claim, sizeof(uint16_t) * topology->partitions)};
    const Bucket *widest = widest_bucket(topology);

    planning.n_most = widest != NULL ? widest->n : 0;
    plan.members =
        arena_copy(arena, topology->members, sizeof(Member) * (size_t)topology->member_count);
    if (topology->target != NULL)
        refuse(&planning, "the plan that was committed last is still under way",
               "Wait until its partitions have moved, or take it back with CLEAR PLAN.");
    if (topology->staged_count == 0)
        refuse(&planning, "nothing is staged",
               "Stage changes first: SET ADDRESS does, and SHOW HELP lists what else.");
    apply_all(&planning);
    list_members(&planning);
    check_owners(&planning);
    check_zones(&planning);
    if (plan.refusal != NULL)
        return plan;
    make_target(&planning);
    check_lists(&planning);
    if (plan.refusal == NULL)
        measure(&planning);
    return plan;
}
