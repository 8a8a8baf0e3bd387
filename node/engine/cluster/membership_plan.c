/*
 * The plan of changes to members: staging, committing and clearing it, one proposal for each wish.
 * A wish is settled when a document in force has what it asks for; one that another proposal has
 * come before is made anew on top of that, as long as it is still about the same plan.
 *
 * Nodes that are no members say hello to their seeds all the same. Whoever hears of one remembers
 * it as a newcomer, which JOIN and REPLACE take into the document.
 */
#include "node/engine/cluster/membership_private.h"

#include <stdio.h>
#include <string.h>

enum
{
    PLAN_WAIT_MS = 4000,
    PLAN_WISHES_MAX = 64, /* that wait at a time */
    NEWCOMERS_MAX = 64,
    NEWCOMER_SILENCE_MS = 5000 /* after which a newcomer is there no more */
};

/* ---- newcomers ---- */

static Newcomer *
newcomer_place(Membership *membership, const MemberId *id, uint64_t now_ms)
{
    for (uint32_t i = 0; i < membership->newcomer_count; i++)
    {
        if (memcmp(&membership->newcomers[i].id, id, sizeof(MemberId)) == 0)
            return &membership->newcomers[i];
    }
    for (uint32_t i = 0; i < membership->newcomer_count; i++)
    {
        if (now_ms > membership->newcomers[i].heard_ms + NEWCOMER_SILENCE_MS)
            return &membership->newcomers[i];
    }
    if (membership->newcomer_count == NEWCOMERS_MAX)
        return NULL;
    membership->newcomers =
        memory_resize(&MEMORY_HEAP, membership->newcomers,
                      (membership->newcomer_count + (size_t)1) * sizeof(Newcomer));
    return &membership->newcomers[membership->newcomer_count++];
}

static void
copy_text(char target[NEWCOMER_TEXT_MAX], Slice text)
{
    snprintf(target, NEWCOMER_TEXT_MAX, "%.*s", (int)text.length, (const char *)text.data);
}

void
membership_meet_newcomer(Membership *membership, const HelloFrame *hello, uint64_t now_ms)
{
    Newcomer *newcomer;

    if (membership->self == TOPOLOGY_NO_MEMBER ||
        topology_member(&membership->topology, &hello->id) != TOPOLOGY_NO_MEMBER)
        return;
    newcomer = newcomer_place(membership, &hello->id, now_ms);
    if (newcomer == NULL)
        return;
    *newcomer = (Newcomer){.id = hello->id,
                           .port = hello->port,
                           .weight = hello->weight,
                           .partitions = hello->partitions,
                           .heard_ms = now_ms};
    memcpy(newcomer->cluster, hello->cluster, sizeof(newcomer->cluster));
    copy_text(newcomer->name, hello->name);
    copy_text(newcomer->address, hello->address);
    copy_text(newcomer->zone, hello->zone);
}

const Newcomer *
membership_next_newcomer(const Membership *membership, uint32_t *index, uint64_t now_ms)
{
    while (*index < membership->newcomer_count)
    {
        const Newcomer *newcomer = &membership->newcomers[(*index)++];

        if (now_ms <= newcomer->heard_ms + NEWCOMER_SILENCE_MS &&
            topology_member(&membership->topology, &newcomer->id) == TOPOLOGY_NO_MEMBER)
            return newcomer;
    }
    return NULL;
}

static const Newcomer *
find_newcomer(const Membership *membership, const char *name, uint64_t now_ms)
{
    const Newcomer *newcomer;
    uint32_t index = 0;

    do
        newcomer = membership_next_newcomer(membership, &index, now_ms);
    while (newcomer != NULL && strcmp(newcomer->name, name) != 0);
    return newcomer;
}

/* ---- wishes ---- */

static void
refuse(const PlanWish *wish, StatusCode status, const char *why, const char *hint, Actions *actions)
{
    char text[1024];

    snprintf(text, sizeof(text), "%s%s%s", why, hint != NULL ? "\n" : "", hint != NULL ? hint : "");
    actions_error(actions, wish->origin, status, text);
}

static void
fulfil(const Membership *membership, const PlanWish *wish, Actions *actions)
{
    TopologyFrame answer = {.epoch = membership->topology.epoch};

    topology_frame_encode(actions_frame(actions), wish->origin.tag, &answer);
    actions_reply(actions, wish->origin.session);
}

static void
end_wish(PlanWish **place)
{
    PlanWish *wish = *place;

    *place = wish->next;
    arena_free(&wish->arena);
    memory_resize(&MEMORY_HEAP, wish, 0);
}

void
membership_free_plans(Membership *membership)
{
    while (membership->plan_wishes != NULL)
        end_wish(&membership->plan_wishes);
    memory_resize(&MEMORY_HEAP, membership->newcomers, 0);
}

/* A node that others still hear is not dead, even when this one cannot reach it. */
static bool
is_alive(const Membership *membership, uint32_t member)
{
    return member == membership->self || membership_link_answers(membership, member) ||
           !membership->dead[member];
}

PlanFacts
membership_plan_facts(const Membership *membership, Arena *arena)
{
    uint32_t count = membership->topology.member_count;
    bool *up = ARENA_ARRAY(arena, bool, count);
    bool *ready = ARENA_ARRAY(arena, bool, count);

    for (uint32_t i = 0; i < count; i++)
    {
        up[i] = topology_is_present(&membership->topology, i) && is_alive(membership, i);
        ready[i] = membership_is_ready(membership, i);
    }
    return (PlanFacts){.up = up, .ready = ready};
}

/* ---- what is not begun ---- */

/*
 * The one place that says what nobody carries out yet: partitions do not move, so nothing that
 * needs it is begun: no plan that moves some or changes who is a member, and no member that has
 * none.
 */
static bool
needs_moves(const Topology *topology, const Plan *plan, const Newcomer *newcomer)
{
    bool needs = newcomer != NULL || (plan != NULL && plan->moves);

    for (uint32_t i = 0; plan != NULL && i < topology->member_count; i++)
        needs = needs || plan->members[i].state != topology->members[i].state;
    return needs;
}

static void
refuse_moves(const PlanWish *wish, Actions *actions)
{
    refuse(wish, STATUS_NO_MOVES, "the change would move partitions between nodes",
           "CLEAR PLAN forgets what is staged. SET ADDRESS alone moves nothing.\nThis version does "
           "not move partitions: nodes stay those that the cluster was formed with.",
           actions);
}

/* ---- staging ---- */

/* What the names of a wish stand for: members, or a newcomer that is to be one. */
typedef struct Named
{
    StagedChange change;
    const Newcomer *newcomer;
} Named;

static bool
find_named(const Membership *membership, PlanWish *wish, uint64_t now_ms, const char *name,
           bool may_be_new, Named *named, uint16_t *slot, Actions *actions)
{
    uint32_t found = topology_member_by_name(&membership->topology, name);
    char why[400];

    *slot = (uint16_t)found;
    if (found != TOPOLOGY_NO_MEMBER)
        return true;
    named->newcomer = may_be_new ? find_newcomer(membership, name, now_ms) : NULL;
    *slot = (uint16_t)membership->topology.member_count;
    if (named->newcomer != NULL)
        return true;
    snprintf(why, sizeof(why),
             may_be_new ? "no node \"%.200s\" offers itself to this one"
                        : "there is no node \"%.200s\"",
             name);
    refuse(wish, STATUS_PLAN_REFUSED, why,
           may_be_new ? "Start it with seeds that name this node, and not itself; or send the "
                        "command to a node that its seeds name."
                      : "SHOW NODES lists the nodes.",
           actions);
    return false;
}

static bool
resolve(const Membership *membership, PlanWish *wish, uint64_t now_ms, Named *named,
        Actions *actions)
{
    const PlanFrame *request = &wish->request;

    *named = (Named){.change = request->change};
    named->change.with = 0;
    return find_named(membership, wish, now_ms, request->node, request->change.kind == STAGED_JOIN,
                      named, &named->change.slot, actions) &&
           (request->change.kind != STAGED_REPLACE ||
            find_named(membership, wish, now_ms, request->with, true, named, &named->change.with,
                       actions));
}

static bool
is_of_another_cluster(const Topology *topology, const Newcomer *newcomer)
{
    static const uint8_t none[sizeof(newcomer->cluster)];

    return memcmp(newcomer->cluster, none, sizeof(none)) != 0 &&
           memcmp(newcomer->cluster, topology->cluster, sizeof(none)) != 0;
}

static bool
address_is_taken(const Topology *topology, const Newcomer *newcomer)
{
    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        const Member *member = &topology->members[i];

        if (topology_is_present(topology, i) && member->port == newcomer->port &&
            strcmp(member->address, newcomer->address) == 0)
            return true;
    }
    return false;
}

static const char *
newcomer_fault(const Membership *membership, const Newcomer *newcomer, const char **hint,
               Arena *arena)
{
    const Topology *topology = &membership->topology;
    char why[512];

    if (topology_has_left(topology, &newcomer->id))
    {
        *hint = "Make a new folder for it with dynamo_node init: an id that has left does not come "
                "back.";
        snprintf(why, sizeof(why), "node \"%s\" was a member and has left", newcomer->name);
    }
    else if (is_of_another_cluster(topology, newcomer))
    {
        *hint = "Make a new folder for it with dynamo_node init; what its folder has is of that "
                "cluster.";
        snprintf(why, sizeof(why), "node \"%s\" is a member of another cluster", newcomer->name);
    }
    else if (newcomer->partitions != topology->partitions)
    {
        *hint = "Set its option partitions to that of the cluster.";
        snprintf(why, sizeof(why), "node \"%s\" has partitions = %u, and the cluster has %u",
                 newcomer->name, newcomer->partitions, topology->partitions);
    }
    else if (address_is_taken(topology, newcomer))
    {
        *hint = "Give it a port or advertise_address of its own; or SET ADDRESS of the other node.";
        snprintf(why, sizeof(why), "node \"%.200s\" is at the address of a member, %.200s:%u",
                 newcomer->name, newcomer->address, newcomer->port);
    }
    else if (topology->present >= RING_NODES_MAX || topology->member_count >= TOPOLOGY_SLOTS_MAX)
    {
        *hint = "Let nodes leave first.";
        snprintf(why, sizeof(why), "the cluster has as many nodes as it can have");
    }
    else
        return NULL;
    return arena_copy_string(arena, why, strlen(why));
}

static bool
is_staged(const Topology *topology, const StagedChange *change)
{
    for (uint32_t i = 0; i < topology->staged_count; i++)
    {
        if (topology_staged_equals(&topology->staged[i], change))
            return true;
    }
    return false;
}

/* Faults of a change to a newcomer are those of the change to the member that it is to be. */
static const char *
staging_fault(const Membership *membership, const Named *named, const char **hint, Arena *arena)
{
    PlanFacts facts = membership_plan_facts(membership, arena);
    const char *fault = NULL;

    *hint = NULL;
    if (named->newcomer != NULL)
        fault = newcomer_fault(membership, named->newcomer, hint, arena);
    if (fault == NULL && (named->newcomer == NULL || named->change.kind == STAGED_REPLACE))
    {
        StagedChange change = named->change;

        if (named->newcomer != NULL)
            change.kind = STAGED_LEAVE;
        fault = plan_staging_fault(&membership->topology, &change, &facts, hint, arena);
    }
    else if (fault == NULL && membership->topology.target != NULL)
    {
        *hint = "Wait until its partitions have moved, or take it back with CLEAR PLAN.";
        fault = "the plan that was committed last is still under way";
    }
    return fault;
}

static Member
member_of(const Newcomer *newcomer)
{
    return (Member){.id = newcomer->id,
                    .name = newcomer->name,
                    .address = newcomer->address,
                    .port = newcomer->port,
                    .zone = newcomer->zone,
                    .weight = newcomer->weight};
}

/* True: the wish is answered. */
static bool
treat_staging(const Membership *membership, PlanWish *wish, uint64_t now_ms, Buffer *document,
              Actions *actions)
{
    Named named;
    Member member;
    const char *hint;
    const char *fault;

    if (!resolve(membership, wish, now_ms, &named, actions))
        return true;
    if (wish->was_proposed && is_staged(&membership->topology, &named.change))
    {
        fulfil(membership, wish, actions);
        return true;
    }
    fault = staging_fault(membership, &named, &hint, &wish->arena);
    if (fault != NULL)
    {
        refuse(wish, STATUS_PLAN_REFUSED, fault, hint, actions);
        return true;
    }
    if (needs_moves(&membership->topology, NULL, named.newcomer))
    {
        refuse_moves(wish, actions);
        return true;
    }
    if (named.newcomer != NULL)
        member = member_of(named.newcomer);
    plan_encode_staged(document, &membership->topology, &named.change,
                       named.newcomer != NULL ? &member : NULL, &wish->arena);
    return false;
}

/* ---- committing and clearing ---- */

static bool
treat_commit(const Membership *membership, PlanWish *wish, Buffer *document, Actions *actions)
{
    const Topology *topology = &membership->topology;
    PlanFacts facts = membership_plan_facts(membership, &wish->arena);
    Plan plan;

    if (wish->was_proposed && topology->committed_epoch == wish->plan)
    {
        fulfil(membership, wish, actions);
        return true;
    }
    if (topology->staged_epoch != wish->plan)
    {
        char why[160];

        snprintf(why, sizeof(why), "plan %llu is not the one that is staged now, %llu",
                 (unsigned long long)wish->plan, (unsigned long long)topology->staged_epoch);
        refuse(wish, STATUS_PLAN_REFUSED, why, "SHOW PLAN shows what is staged by now.", actions);
        return true;
    }
    plan = plan_make(topology, &facts, &wish->arena);
    if (plan.refusal != NULL)
    {
        refuse(wish, STATUS_PLAN_REFUSED, plan.refusal, plan.hint, actions);
        return true;
    }
    if (needs_moves(topology, &plan, NULL))
    {
        refuse_moves(wish, actions);
        return true;
    }
    plan_encode_commit(document, topology, &plan, &wish->arena);
    return false;
}

static bool
treat_clearing(const Membership *membership, PlanWish *wish, Buffer *document, Actions *actions)
{
    const Topology *topology = &membership->topology;
    const char *hint;
    const char *fault;

    if (topology->staged_count == 0 && topology->target == NULL)
    {
        fulfil(membership, wish, actions);
        return true;
    }
    fault = plan_encode_clear(document, topology, &hint, &wish->arena);
    if (fault != NULL)
        refuse(wish, STATUS_PLAN_REFUSED, fault, hint, actions);
    return fault != NULL;
}

static bool
treat_wish(const Membership *membership, PlanWish *wish, uint64_t now_ms, Buffer *document,
           Actions *actions)
{
    switch (wish->request.deed)
    {
    case PLAN_STAGE:
        return treat_staging(membership, wish, now_ms, document, actions);
    case PLAN_COMMIT:
        return treat_commit(membership, wish, document, actions);
    case PLAN_CLEAR:
        break;
    }
    return treat_clearing(membership, wish, document, actions);
}

/* What a newcomer says of itself must be such as a document may have. */
static bool
can_be_read(Slice document, Arena *arena)
{
    Topology topology;

    return topology_decode(document, arena, &topology);
}

/* Answers the wish, or proposes its document; true: it is answered. */
static bool
settle(Membership *membership, PlanWish *wish, uint64_t now_ms, Actions *actions)
{
    const HostQuestions *host = membership->host;
    Buffer document;
    bool answered;

    buffer_init(&document, &MEMORY_HEAP);
    answered = treat_wish(membership, wish, now_ms, &document, actions);
    if (!answered && !can_be_read(buffer_slice(&document), &wish->arena))
    {
        refuse(wish, STATUS_PLAN_REFUSED, "the node's name, address or zone cannot be written down",
               "Names and zones are letters, digits, _, - and dots, 63 at most.", actions);
        answered = true;
    }
    if (!answered)
    {
        wish->was_proposed = true;
        paxos_propose(membership->paxos, buffer_slice(&document), now_ms,
                      host->random(host->context), actions);
    }
    buffer_free(&document);
    return answered;
}

/* Its proposal goes on, so that the wish may come true after all. */
static void
end_overdue(Membership *membership, uint64_t now_ms, Actions *actions)
{
    PlanWish **place = &membership->plan_wishes;

    while (*place != NULL)
    {
        if (now_ms < (*place)->deadline_ms)
        {
            place = &(*place)->next;
            continue;
        }
        refuse(*place, STATUS_UNAVAILABLE, "too few members answered to change the plan",
               "SHOW NODES tells which of them are not reached, and SHOW PLAN whether it was "
               "changed when they are back.",
               actions);
        end_wish(place);
    }
}

/* One after the other, since each is on top of what the one before it has changed. */
void
membership_pump_plans(Membership *membership, uint64_t now_ms, Actions *actions)
{
    while (membership->plan_wishes != NULL && !paxos_is_proposing(membership->paxos) &&
           settle(membership, membership->plan_wishes, now_ms, actions))
        end_wish(&membership->plan_wishes);
    end_overdue(membership, now_ms, actions);
}

static void
add_wish(Membership *membership, PlanWish *wish)
{
    PlanWish **place = &membership->plan_wishes;

    while (*place != NULL)
        place = &(*place)->next;
    *place = wish;
}

static uint32_t
count_wishes(const Membership *membership)
{
    uint32_t count = 0;

    for (const PlanWish *wish = membership->plan_wishes; wish != NULL; wish = wish->next)
        count++;
    return count;
}

void
membership_change_plan(Membership *membership, Origin origin, const Frame *frame, uint64_t now_ms,
                       Actions *actions)
{
    PlanWish *wish;
    Frame kept;

    if (membership->self == TOPOLOGY_NO_MEMBER)
    {
        actions_error(actions, origin, STATUS_NOT_FORMED, membership_waiting_for(membership));
        return;
    }
    if (count_wishes(membership) >= PLAN_WISHES_MAX)
    {
        actions_error(actions, origin, STATUS_OVERLOADED, "too many changes of the plan wait");
        return;
    }
    wish = memory_resize(&MEMORY_HEAP, NULL, sizeof(PlanWish));
    *wish = (PlanWish){.origin = origin, .deadline_ms = now_ms + PLAN_WAIT_MS};
    arena_init(&wish->arena, &MEMORY_HEAP);
    kept = frame_copy(&wish->arena, frame);
    if (!plan_frame_decode(&kept, &wish->arena, &wish->request))
    {
        actions_error(actions, origin, STATUS_BAD_FRAME, "");
        arena_free(&wish->arena);
        memory_resize(&MEMORY_HEAP, wish, 0);
        return;
    }
    wish->plan = wish->request.plan != 0 ? wish->request.plan : membership->topology.staged_epoch;
    add_wish(membership, wish);
    membership_pump_plans(membership, now_ms, actions);
}
