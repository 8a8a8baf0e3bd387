/* What staged changes do, and why some are refused. */
#include "shared/ring/claim.h"
#include "shared/ring/plan.h"
#include "test/lib/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum
{
    MEMBERS_MAX = 64,
    PARTITIONS = 64,
    BUCKETS = 2,
    HISTORIES = 20,
    CHANGES = 12
};

typedef struct Fixture
{
    Arena arena;
    Random random;
    Topology topology; /* as it was decoded last */
    Member members[MEMBERS_MAX];
    StagedChange staged[MEMBERS_MAX];
    Bucket buckets[BUCKETS];
    bool up[MEMBERS_MAX];
    bool ready[MEMBERS_MAX];
    uint64_t bytes[PARTITIONS];
    PlanFacts facts;
    uint32_t made; /* members, for their ids */
} Fixture;

static const char *
name_of(Fixture *fixture, uint32_t number)
{
    char name[16];

    snprintf(name, sizeof(name), "n%u", number + 1);
    return arena_copy_string(&fixture->arena, name, strlen(name));
}

static Member
make_member(Fixture *fixture, const char *zone)
{
    uint32_t number = fixture->made++;

    return (Member){.id = {{(uint8_t)(1 + number / 250), (uint8_t)(1 + number % 250)}},
                    .name = name_of(fixture, number),
                    .address = "127.0.0.1",
                    .port = (uint16_t)(7101 + number),
                    .zone = zone,
                    .weight = 1};
}

static void
take(Fixture *fixture, const Buffer *document)
{
    Topology next;

    assert_true(topology_decode(slice_copy(&fixture->arena, buffer_slice(document)),
                                &fixture->arena, &next));
    fixture->topology = next;
}

/* The document there and back, so that all that is made of it is there. */
static void
renew(Fixture *fixture)
{
    Buffer document;

    buffer_init(&document, &MEMORY_HEAP);
    topology_encode(&document, &fixture->topology);
    take(fixture, &document);
    buffer_free(&document);
}

static void
form(Fixture *fixture, uint32_t count, const char *const *zones)
{
    fixture->made = 0;
    for (uint32_t i = 0; i < count; i++)
        fixture->members[i] = make_member(fixture, zones != NULL ? zones[i] : "");
    for (uint32_t i = 0; i < BUCKETS; i++)
        fixture->buckets[i] = (Bucket){.id = i + 1,
                                       .name = i == 0 ? "cart" : "seen",
                                       .n = i == 0 ? 3 : 1,
                                       .key_types = {KEY_TEXT},
                                       .key_names = {"k"},
                                       .key_count = 1,
                                       .creator = ""};
    fixture->topology = (Topology){.epoch = 5,
                                   .cluster = {1},
                                   .partitions = PARTITIONS,
                                   .members = fixture->members,
                                   .member_count = count,
                                   .buckets = fixture->buckets,
                                   .bucket_count = BUCKETS,
                                   .last_bucket_id = BUCKETS};
    topology_claim(&fixture->topology, &fixture->arena);
    renew(fixture);
}

static int
set_up(void **state)
{
    static Fixture fixture;

    fixture = (Fixture){.made = 0};
    arena_init(&fixture.arena, &MEMORY_HEAP);
    random_seed(&fixture.random, 3);
    for (uint32_t i = 0; i < MEMBERS_MAX; i++)
        fixture.up[i] = fixture.ready[i] = true;
    for (uint32_t i = 0; i < PARTITIONS; i++)
        fixture.bytes[i] = 1000 + i;
    fixture.facts = (PlanFacts){fixture.up, fixture.ready, fixture.bytes};
    form(&fixture, 5, NULL);
    *state = &fixture;
    return 0;
}

static int
tear_down(void **state)
{
    arena_free(&((Fixture *)*state)->arena);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* A node that waits to be joined; returns its slot. */
static uint16_t
arrive(Fixture *fixture, const char *zone)
{
    Topology *topology = &fixture->topology;
    Member *members = ARENA_ARRAY(&fixture->arena, Member, topology->member_count + (size_t)1);

    memcpy(members, topology->members, sizeof(Member) * topology->member_count);
    members[topology->member_count] = make_member(fixture, zone);
    members[topology->member_count].state = MEMBER_JOINING;
    topology->members = members;
    topology->member_count++;
    renew(fixture);
    return (uint16_t)(topology->member_count - 1);
}

static void
stage(Fixture *fixture, StagedChange change)
{
    Buffer document;
    const char *hint;

    change.zone = change.zone != NULL ? change.zone : "";
    change.address = change.address != NULL ? change.address : "";
    assert_null(
        plan_staging_fault(&fixture->topology, &change, &fixture->facts, &hint, &fixture->arena));
    buffer_init(&document, &MEMORY_HEAP);
    plan_encode_staged(&document, &fixture->topology, &change, NULL, &fixture->arena);
    take(fixture, &document);
    buffer_free(&document);
}

static Plan
plan_of(Fixture *fixture)
{
    return plan_make(&fixture->topology, &fixture->facts, &fixture->arena);
}

static void
commit(Fixture *fixture)
{
    Plan plan = plan_of(fixture);
    Buffer document;

    assert_null(plan.refusal);
    buffer_init(&document, &MEMORY_HEAP);
    plan_encode_commit(&document, &fixture->topology, &plan, &fixture->arena);
    take(fixture, &document);
    buffer_free(&document);
}

/* ---- how a plan goes on ---- */

/* What members say, by slot; one that says nothing has nothing known of it. */
typedef struct Told
{
    uint8_t bits[MEMBERS_MAX][PARTITIONS / 8];
    const uint8_t *done[MEMBERS_MAX];
    bool ready[MEMBERS_MAX];
} Told;

static void
tell(Told *told, uint32_t slot, uint32_t partition)
{
    told->bits[slot][partition / 8] |= (uint8_t)(1 << partition % 8);
    told->done[slot] = told->bits[slot];
}

static void
tell_all(Told *told)
{
    for (uint32_t i = 0; i < MEMBERS_MAX * PARTITIONS; i++)
        tell(told, i / PARTITIONS, i % PARTITIONS);
    memset(told->ready, true, sizeof(told->ready));
}

static bool
goes_on(const Fixture *fixture, const Told *told)
{
    return plan_goes_on(&fixture->topology, &(PlanProgress){told->done, told->ready});
}

/* A list that counts is another one only in the epoch that says so, and no step is left out. */
static void
check_next(const Topology *before, const Topology *after)
{
    assert_int_equal(after->epoch, before->epoch + 1);
    for (uint32_t i = 0; i < PARTITIONS; i++)
    {
        uint64_t position = ring_partition_start(i, PARTITIONS);
        uint16_t lists[2][TOPOLOGY_N_MAX];
        uint32_t was = topology_preference(before, position, lists[0], TOPOLOGY_N_MAX);
        uint32_t is = topology_preference(after, position, lists[1], TOPOLOGY_N_MAX);

        if (memcmp(lists[0], lists[1], sizeof(uint16_t) * (was < is ? was : is)) != 0)
            assert_int_equal(after->changed[i], after->epoch);
        if (after->changed[i] != before->changed[i])
            assert_int_equal(topology_step(after, position), TOPOLOGY_HANDING);
        if (after->target != NULL)
            assert_in_range(after->steps[i], before->steps[i], before->steps[i] + 1);
    }
}

static void
go_on(Fixture *fixture, const Told *told)
{
    Topology before = fixture->topology;
    Buffer document;

    assert_true(goes_on(fixture, told));
    buffer_init(&document, &MEMORY_HEAP);
    plan_encode_next(&document, &before, &(PlanProgress){told->done, told->ready}, &fixture->arena);
    take(fixture, &document);
    check_next(&before, &fixture->topology);
    buffer_free(&document);
}

/* All partitions move, and who leaves has left. */
static void
finish(Fixture *fixture)
{
    Told told = {.done = {NULL}};

    tell_all(&told);
    while (goes_on(fixture, &told))
        go_on(fixture, &told);
    assert_null(fixture->topology.target);
}

static void
assert_refused(const char *refusal, const char *hint, const char *words)
{
    assert_non_null(refusal);
    assert_non_null(hint);
    if (strstr(refusal, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", refusal, words);
}

static void
assert_not_staged(Fixture *fixture, StagedChange change, const char *words)
{
    const char *hint;
    const char *fault;

    change.zone = change.address = "";
    fault =
        plan_staging_fault(&fixture->topology, &change, &fixture->facts, &hint, &fixture->arena);
    assert_refused(fault, hint, words);
}

static void
assert_plan_refused(Fixture *fixture, const char *words)
{
    Plan plan = plan_of(fixture);

    assert_refused(plan.refusal, plan.hint, words);
}

static uint32_t
partitions_of(const uint16_t *claim, uint32_t slot)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < PARTITIONS; i++)
        count += claim[i] == slot;
    return count;
}

/* ---- what plans do ---- */

static void
a_node_that_joins_gets_its_share(void **state)
{
    Fixture *fixture = *state;
    uint16_t slot = arrive(fixture, "");
    Plan plan;

    stage(fixture, (StagedChange){.kind = STAGED_JOIN, .slot = slot});
    plan = plan_of(fixture);
    assert_null(plan.refusal);
    assert_true(plan.moves);
    assert_int_equal(plan.n, 3);
    assert_int_equal(plan.before[slot], 0);
    assert_in_range(plan.after[slot], 3 * PARTITIONS / 6 - 3, 3 * PARTITIONS / 6 + 3);
    assert_int_equal(plan.gained[slot], plan.after[slot]);
    assert_in_range(plan.bytes[slot], 1000 * plan.gained[slot], 1064 * plan.gained[slot]);
    assert_int_equal(plan.loss_count, 0);
    commit(fixture);
    assert_int_equal(fixture->topology.members[slot].state, MEMBER_ACTIVE);
    assert_int_equal(fixture->topology.staged_count, 0);
    assert_int_equal(fixture->topology.fence, 0);
    assert_memory_equal(fixture->topology.target, plan.target, sizeof(uint16_t) * PARTITIONS);
}

/* What moves is marked with the epoch of the commit, and nothing else. */
static void
a_commit_marks_the_partitions_whose_lists_change(void **state)
{
    Fixture *fixture = *state;

    form(fixture, 30, NULL);
    stage(fixture, (StagedChange){.kind = STAGED_REPLACE, .slot = 7, .with = arrive(fixture, "")});
    commit(fixture);
    for (uint32_t i = 0; i < PARTITIONS; i++)
    {
        uint64_t position = ring_partition_start(i, PARTITIONS);
        uint16_t old[TOPOLOGY_N_MAX];
        uint16_t new[TOPOLOGY_N_MAX];
        uint32_t count = topology_old_preference(&fixture->topology, position, old, 16);

        topology_new_preference(&fixture->topology, position, new, 16);
        assert_int_equal(topology_step(&fixture->topology, position),
                         memcmp(old, new, sizeof(uint16_t) * count) != 0 ? TOPOLOGY_FILLING
                                                                         : TOPOLOGY_STILL);
        assert_int_equal(fixture->topology.changed[i] == fixture->topology.epoch,
                         fixture->topology.steps[i] == TOPOLOGY_FILLING);
    }
}

static void
a_replacement_takes_what_the_old_one_had_and_nothing_else_moves(void **state)
{
    Fixture *fixture = *state;
    uint16_t with = arrive(fixture, "");
    Plan plan;

    stage(fixture, (StagedChange){.kind = STAGED_REPLACE, .slot = 2, .with = with});
    plan = plan_of(fixture);
    assert_null(plan.refusal);
    assert_int_equal(plan.gained_in_all, plan.before[2]);
    assert_int_equal(plan.gained[with], plan.before[2]);
    commit(fixture);
    assert_int_equal(fixture->topology.members[2].state, MEMBER_LEAVING);
    assert_int_equal(fixture->topology.fence, 0);
}

static void
a_dead_node_that_is_replaced_is_gone_and_fenced(void **state)
{
    Fixture *fixture = *state;
    uint16_t with = arrive(fixture, "");

    fixture->up[2] = false;
    stage(fixture, (StagedChange){.kind = STAGED_REPLACE, .slot = 2, .with = with});
    commit(fixture);
    assert_int_equal(fixture->topology.members[2].state, MEMBER_GONE);
    assert_int_equal(fixture->topology.fence, fixture->topology.epoch);
}

static void
a_removal_names_what_only_the_dead_node_had(void **state)
{
    Fixture *fixture = *state;
    Plan plan;

    fixture->up[1] = false;
    stage(fixture, (StagedChange){.kind = STAGED_REMOVE, .slot = 1});
    plan = plan_of(fixture);
    assert_null(plan.refusal);
    assert_int_equal(plan.loss_count, 1);
    assert_string_equal(plan.losses[0].bucket->name, "seen");
    assert_int_equal(plan.losses[0].partitions, partitions_of(fixture->topology.claim, 1));
}

/* Its id does not come back. */
static void
a_joining_node_that_is_given_up_has_left_at_once(void **state)
{
    Fixture *fixture = *state;
    uint16_t slot = arrive(fixture, "");
    MemberId id = fixture->topology.members[slot].id;

    stage(fixture, (StagedChange){.kind = STAGED_REMOVE, .slot = slot});
    commit(fixture);
    assert_null(fixture->topology.target);
    assert_true(topology_has_left(&fixture->topology, &id));
    assert_int_equal(fixture->topology.fence, fixture->topology.epoch);
}

static void
several_changes_are_one_plan(void **state)
{
    Fixture *fixture = *state;
    uint16_t first = arrive(fixture, "");
    uint16_t second = arrive(fixture, "");
    Plan plan;

    stage(fixture, (StagedChange){.kind = STAGED_JOIN, .slot = first});
    stage(fixture, (StagedChange){.kind = STAGED_LEAVE, .slot = 0});
    stage(fixture, (StagedChange){.kind = STAGED_REPLACE, .slot = 3, .with = second});
    stage(fixture, (StagedChange){.kind = STAGED_WEIGHT, .slot = 4, .weight = 7});
    stage(fixture, (StagedChange){.kind = STAGED_WEIGHT, .slot = 4, .weight = 2});
    stage(fixture, (StagedChange){.kind = STAGED_ADDRESS, .slot = 1, .address = "::1", .port = 9});
    assert_int_equal(fixture->topology.staged_count, 5);
    plan = plan_of(fixture);
    assert_null(plan.refusal);
    assert_int_equal(plan.after[0] + plan.after[3], 0);
    assert_true(partitions_of(plan.target, 4) >= 20);
    commit(fixture);
    assert_string_equal(fixture->topology.members[1].address, "::1");
    assert_int_equal(fixture->topology.members[1].port, 9);
    assert_int_equal(fixture->topology.members[4].weight, 2);
    assert_int_equal(fixture->topology.members[0].state, MEMBER_LEAVING);
}

static void
an_address_moves_nothing(void **state)
{
    Fixture *fixture = *state;
    Plan plan;

    stage(fixture, (StagedChange){.kind = STAGED_ADDRESS, .slot = 1, .address = "::1", .port = 9});
    plan = plan_of(fixture);
    assert_null(plan.refusal);
    assert_false(plan.moves);
    commit(fixture);
    assert_null(fixture->topology.target);
    assert_int_equal(fixture->topology.committed_epoch, 6);
    assert_int_equal(fixture->topology.staged_epoch, fixture->topology.epoch);
}

static void
a_plan_for_zones_mends_them(void **state)
{
    Fixture *fixture = *state;
    static const char *const zones[] = {"a", "b", "c"};
    Plan plan;

    form(fixture, 9, NULL);
    for (uint16_t i = 0; i < 9; i++)
        stage(fixture, (StagedChange){.kind = STAGED_ZONE, .slot = i, .zone = zones[i % 3]});
    plan = plan_of(fixture);
    assert_null(plan.refusal);
    assert_int_equal(plan.zone_faults_before, 0);
    assert_true(plan.zone_faults_after < PARTITIONS / 4);
    assert_true(plan.moves);
}

/* ---- taking back ---- */

static const char *
clear(Fixture *fixture, const char **hint)
{
    Buffer document;
    const char *fault;

    buffer_init(&document, &MEMORY_HEAP);
    fault = plan_encode_clear(&document, &fixture->topology, hint, &fixture->arena);
    if (fault == NULL)
        take(fixture, &document);
    buffer_free(&document);
    return fault;
}

static void
what_is_staged_can_be_cleared(void **state)
{
    Fixture *fixture = *state;
    const char *hint;

    stage(fixture, (StagedChange){.kind = STAGED_LEAVE, .slot = 1});
    assert_null(clear(fixture, &hint));
    assert_int_equal(fixture->topology.staged_count, 0);
    assert_int_equal(fixture->topology.members[1].state, MEMBER_ACTIVE);
}

static void
a_plan_goes_back_as_long_as_no_new_owner_counts(void **state)
{
    Fixture *fixture = *state;
    uint16_t slot = arrive(fixture, "");
    const char *hint;
    const char *fault;

    stage(fixture, (StagedChange){.kind = STAGED_JOIN, .slot = slot});
    stage(fixture, (StagedChange){.kind = STAGED_LEAVE, .slot = 0});
    commit(fixture);
    assert_null(clear(fixture, &hint));
    assert_null(fixture->topology.target);
    assert_int_equal(fixture->topology.members[slot].state, MEMBER_JOINING);
    assert_int_equal(fixture->topology.members[0].state, MEMBER_ACTIVE);

    stage(fixture, (StagedChange){.kind = STAGED_JOIN, .slot = slot});
    commit(fixture);
    for (uint32_t i = 0; i < PARTITIONS; i++)
    {
        if (fixture->topology.steps[i] == TOPOLOGY_FILLING)
        {
            fixture->topology.steps[i] = TOPOLOGY_HANDING;
            break;
        }
    }
    fault = clear(fixture, &hint);
    assert_refused(fault, hint, "only go forward");
}

static void
a_plan_that_declares_a_node_dead_does_not_go_back(void **state)
{
    Fixture *fixture = *state;
    const char *hint;
    const char *fault;

    fixture->up[1] = false;
    stage(fixture, (StagedChange){.kind = STAGED_REMOVE, .slot = 1});
    commit(fixture);
    fault = clear(fixture, &hint);
    assert_refused(fault, hint, "declares a node dead");
}

/* ---- what is refused ---- */

static void
a_member_does_not_join_twice(void **state)
{
    Fixture *fixture = *state;
    uint16_t slot = arrive(fixture, "");

    assert_not_staged(fixture, (StagedChange){.kind = STAGED_JOIN, .slot = 1},
                      "\"n2\" is a member already");
    stage(fixture, (StagedChange){.kind = STAGED_JOIN, .slot = slot});
    assert_not_staged(fixture, (StagedChange){.kind = STAGED_JOIN, .slot = slot},
                      "of node \"n6\" is staged already");
    assert_not_staged(fixture, (StagedChange){.kind = STAGED_REPLACE, .slot = 1, .with = slot},
                      "another change of node \"n6\"");
}

static void
a_live_node_is_not_removed(void **state)
{
    Fixture *fixture = *state;

    assert_not_staged(fixture, (StagedChange){.kind = STAGED_REMOVE, .slot = 1}, "is up");
    fixture->up[1] = false;
    stage(fixture, (StagedChange){.kind = STAGED_REMOVE, .slot = 1});
    /* It came back before the commit. */
    fixture->up[1] = true;
    assert_plan_refused(fixture, "is up");
}

static void
a_node_replaces_neither_itself_nor_a_member_by_a_member(void **state)
{
    Fixture *fixture = *state;
    uint16_t slot = arrive(fixture, "");

    assert_not_staged(fixture, (StagedChange){.kind = STAGED_REPLACE, .slot = 1, .with = 1},
                      "cannot replace itself");
    assert_not_staged(fixture, (StagedChange){.kind = STAGED_REPLACE, .slot = 1, .with = 2},
                      "partitions of its own");
    assert_not_staged(fixture, (StagedChange){.kind = STAGED_REPLACE, .slot = slot, .with = 1},
                      "no partitions to hand over");
}

static void
a_bucket_keeps_its_n_nodes(void **state)
{
    Fixture *fixture = *state;

    for (uint16_t i = 0; i < 3; i++)
        stage(fixture, (StagedChange){.kind = STAGED_LEAVE, .slot = i});
    assert_plan_refused(fixture, "2 nodes would be left, and bucket \"cart\" has n = 3");
    stage(fixture, (StagedChange){.kind = STAGED_JOIN, .slot = arrive(fixture, "")});
    assert_null(plan_of(fixture).refusal);
}

static void
somebody_must_be_left(void **state)
{
    Fixture *fixture = *state;

    for (uint16_t i = 0; i < 5; i++)
        stage(fixture, (StagedChange){.kind = STAGED_LEAVE, .slot = i});
    assert_plan_refused(fixture, "no node would be left");
}

static void
a_node_that_is_not_ready_gets_nothing(void **state)
{
    Fixture *fixture = *state;
    uint16_t slot = arrive(fixture, "");

    fixture->ready[slot] = false;
    stage(fixture, (StagedChange){.kind = STAGED_JOIN, .slot = slot});
    assert_plan_refused(fixture, "\"n6\" is not ready");
}

static void
old_and_new_owners_fit_into_one_list(void **state)
{
    Fixture *fixture = *state;

    form(fixture, 20, NULL);
    fixture->topology.buckets[0].n = 12;
    renew(fixture);
    for (uint16_t i = 0; i < 8; i++)
        stage(fixture,
              (StagedChange){.kind = STAGED_REPLACE, .slot = i, .with = arrive(fixture, "")});
    assert_plan_refused(fixture, "old and new owners together");
}

static void
the_last_node_of_a_zone_is_not_lost_by_the_way(void **state)
{
    Fixture *fixture = *state;
    static const char *const zones[] = {"a", "a", "b", "b", "c"};

    form(fixture, 5, zones);
    stage(fixture, (StagedChange){.kind = STAGED_LEAVE, .slot = 4});
    assert_plan_refused(fixture, "no node would be left in zone \"c\"");
    stage(fixture, (StagedChange){.kind = STAGED_ZONE, .slot = 4, .zone = "b"});
    assert_null(plan_of(fixture).refusal);
}

static void
a_node_of_another_zone_does_not_replace_the_last_of_its_own(void **state)
{
    Fixture *fixture = *state;
    static const char *const zones[] = {"a", "a", "b", "b", "c"};

    form(fixture, 5, zones);
    stage(fixture, (StagedChange){.kind = STAGED_REPLACE, .slot = 4, .with = arrive(fixture, "a")});
    assert_plan_refused(fixture, "zone \"c\"");
    form(fixture, 5, zones);
    stage(fixture, (StagedChange){.kind = STAGED_REPLACE, .slot = 4, .with = arrive(fixture, "c")});
    assert_null(plan_of(fixture).refusal);
}

static void
an_empty_plan_is_no_plan(void **state)
{
    assert_plan_refused(*state, "nothing is staged");
}

static void
nothing_is_staged_while_a_plan_is_under_way(void **state)
{
    Fixture *fixture = *state;

    stage(fixture, (StagedChange){.kind = STAGED_LEAVE, .slot = 1});
    commit(fixture);
    assert_not_staged(fixture, (StagedChange){.kind = STAGED_LEAVE, .slot = 2}, "under way");
    assert_plan_refused(fixture, "under way");
}

static void
documents_with_changes_that_cannot_be_are_refused(void **state)
{
    Fixture *fixture = *state;
    StagedChange good = {.kind = STAGED_WEIGHT, .slot = 1, .weight = 2, .zone = "", .address = ""};
    StagedChange bad[] = {good, good, good, good};
    Buffer document;
    Topology next;

    stage(fixture, good);
    assert_true(topology_staged_equals(&fixture->topology.staged[0], &good));
    bad[0].slot = 5;
    bad[1].weight = 0;
    bad[2] = (StagedChange){.kind = STAGED_ZONE, .slot = 1, .zone = "a b", .address = ""};
    bad[3] =
        (StagedChange){.kind = STAGED_REPLACE, .slot = 1, .with = 9, .zone = "", .address = ""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    {
        fixture->topology.staged[0] = bad[i];
        buffer_init(&document, &MEMORY_HEAP);
        topology_encode(&document, &fixture->topology);
        assert_false(topology_decode(buffer_slice(&document), &fixture->arena, &next));
        buffer_free(&document);
    }
}

/* ---- plans under way ---- */

static uint32_t
partitions_at(const Topology *topology, TopologyStep step)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < PARTITIONS; i++)
        count += topology->target != NULL && topology->steps[i] == step;
    return count;
}

/* Of a partition that is being filled: the first that enters it. */
static uint32_t
find_entering(const Topology *topology, uint32_t partition)
{
    for (uint32_t slot = 0; slot < topology->member_count; slot++)
    {
        if (topology_enters(topology, partition, 0, slot))
            return slot;
    }
    return TOPOLOGY_NO_MEMBER;
}

static void
whoever_enters_or_leaves_is_a_transfer(void **state)
{
    Fixture *fixture = *state;
    uint16_t slot = arrive(fixture, "");
    PlanTransfer transfer = {.next = 0};
    uint32_t count = 0;
    uint32_t expected = 0;
    uint32_t last = 0;

    assert_false(plan_next_transfer(&fixture->topology, &transfer));
    stage(fixture, (StagedChange){.kind = STAGED_REPLACE, .slot = 1, .with = slot});
    commit(fixture);
    for (uint32_t i = 0; i < PARTITIONS * fixture->topology.member_count; i++)
    {
        uint32_t partition = i / fixture->topology.member_count;
        uint32_t member = i % fixture->topology.member_count;

        expected += topology_enters(&fixture->topology, partition, 0, member) ||
                    topology_leaves(&fixture->topology, partition, 0, member);
    }
    while (plan_next_transfer(&fixture->topology, &transfer))
    {
        count++;
        assert_true(2 * transfer.partition + transfer.enters >= last);
        last = 2 * transfer.partition + transfer.enters;
        assert_int_equal(transfer.slot, transfer.enters ? slot : 1);
        assert_true((transfer.enters ? topology_enters : topology_leaves)(
            &fixture->topology, transfer.partition, 0, transfer.slot));
    }
    assert_true(count > 0);
    assert_int_equal(count, expected);
}

/* Those in which nobody enters, since their lists change behind all owners alone, go on at once. */
static void
a_partition_goes_on_when_all_who_enter_have_said_so(void **state)
{
    Fixture *fixture = *state;
    Told told = {.done = {NULL}};
    uint32_t moving = TOPOLOGY_NO_MEMBER;

    stage(fixture, (StagedChange){.kind = STAGED_JOIN, .slot = arrive(fixture, "")});
    commit(fixture);
    while (goes_on(fixture, &told))
        go_on(fixture, &told);
    for (uint32_t i = 0; i < PARTITIONS; i++)
    {
        bool waits = fixture->topology.steps[i] == TOPOLOGY_FILLING;

        assert_true(waits == (find_entering(&fixture->topology, i) != TOPOLOGY_NO_MEMBER));
        moving = waits ? i : moving;
    }
    assert_int_not_equal(moving, TOPOLOGY_NO_MEMBER);
    for (uint32_t i = 0; i < fixture->topology.member_count; i++)
    {
        assert_false(goes_on(fixture, &told));
        if (topology_enters(&fixture->topology, moving, 0, i))
            tell(&told, i, moving);
        if (goes_on(fixture, &told))
            break;
    }
    go_on(fixture, &told);
    assert_int_equal(fixture->topology.steps[moving], TOPOLOGY_HANDING);
    assert_int_equal(fixture->topology.changed[moving], fixture->topology.epoch);
    go_on(fixture, &told);
    assert_int_equal(fixture->topology.steps[moving], TOPOLOGY_MOVED);
    assert_int_equal(fixture->topology.changed[moving], fixture->topology.epoch - 1);
    assert_false(goes_on(fixture, &told));
}

/* Nobody who goes is waited for when it was given up; when not, for all that it has to do. */
static void
a_plan_ends_when_those_who_go_are_empty(void **state)
{
    Fixture *fixture = *state;
    uint64_t fence;

    for (uint32_t gone = 0; gone < 2; gone++)
    {
        Told told = {.done = {NULL}};

        tell_all(&told);
        form(fixture, 5, NULL);
        fixture->up[2] = gone == 0;
        stage(fixture,
              (StagedChange){.kind = STAGED_REPLACE, .slot = 2, .with = arrive(fixture, "")});
        commit(fixture);
        fence = fixture->topology.fence;
        told.done[2] = NULL;
        told.ready[2] = false;
        while (partitions_at(&fixture->topology, TOPOLOGY_FILLING) +
                   partitions_at(&fixture->topology, TOPOLOGY_HANDING) >
               0)
            go_on(fixture, &told);
        assert_true(goes_on(fixture, &told) == (gone == 1));
        told.done[2] = told.bits[2];
        assert_true(goes_on(fixture, &told) == (gone == 1));
        told.ready[2] = gone == 0;
        assert_int_equal(fixture->topology.fence, fence);
        go_on(fixture, &told);
        assert_null(fixture->topology.target);
        assert_int_equal(fixture->topology.members[2].state, MEMBER_LEFT);
        assert_int_equal(fixture->topology.fence, fixture->topology.epoch);
        assert_int_equal(fixture->topology.members[5].state, MEMBER_ACTIVE);
        assert_false(goes_on(fixture, &told));
    }
}

/* Its weight never gave it a partition, or the ring has fewer than members. */
static void
a_member_without_partitions_leaves_when_it_is_ready(void **state)
{
    Fixture *fixture = *state;
    Told told = {.done = {NULL}};
    uint16_t slot = arrive(fixture, "");

    fixture->topology.members[slot].state = MEMBER_LEAVING;
    renew(fixture);
    assert_false(goes_on(fixture, &told));
    told.ready[slot] = true;
    go_on(fixture, &told);
    assert_int_equal(fixture->topology.members[slot].state, MEMBER_LEFT);
    assert_false(goes_on(fixture, &told));
}

/* ---- histories ---- */

static void
stage_at_random(Fixture *fixture)
{
    const Topology *topology = &fixture->topology;
    uint32_t slot = (uint32_t)random_below(&fixture->random, topology->member_count);
    StagedChange change = {.kind = (StagedKind)random_below(&fixture->random, STAGED_END),
                           .slot = (uint16_t)slot,
                           .weight = 1 + (uint32_t)random_below(&fixture->random, 3),
                           .zone = random_below(&fixture->random, 2) == 0 ? "a" : "b",
                           .address = "127.0.0.9",
                           .port = 7001};
    const char *hint;

    if (change.kind == STAGED_JOIN || change.kind == STAGED_REPLACE)
    {
        uint16_t arrived = arrive(fixture, "");

        change.with = change.kind == STAGED_REPLACE ? arrived : 0;
        change.slot = change.kind == STAGED_JOIN ? arrived : change.slot;
    }
    fixture->up[change.slot] = change.kind != STAGED_REMOVE;
    if (!topology_is_present(topology, change.slot) ||
        plan_staging_fault(topology, &change, &fixture->facts, &hint, &fixture->arena) != NULL)
        return;
    stage(fixture, change);
}

/* Members say now and then what they have done, some of them nothing at all for long. */
static void
finish_at_random(Fixture *fixture)
{
    uint16_t *target = fixture->topology.target;

    for (uint32_t round = 1; fixture->topology.target != NULL; round++)
    {
        Told told = {.done = {NULL}};

        for (uint32_t i = 0; i < MEMBERS_MAX * PARTITIONS; i++)
        {
            if (random_below(&fixture->random, 10) < round)
                tell(&told, i / PARTITIONS, i % PARTITIONS);
        }
        for (uint32_t i = 0; i < MEMBERS_MAX; i++)
            told.ready[i] = random_below(&fixture->random, 10) < round;
        if (goes_on(fixture, &told))
            go_on(fixture, &told);
        assert_in_range(round, 1, 20);
    }
    if (target != NULL)
        assert_memory_equal(fixture->topology.claim, target, sizeof(uint16_t) * PARTITIONS);
    finish(fixture);
    for (uint32_t i = 0; i < fixture->topology.member_count; i++)
        assert_true(fixture->topology.members[i].state != MEMBER_LEAVING &&
                    fixture->topology.members[i].state != MEMBER_GONE);
}

static void
check_plan(Fixture *fixture, const Plan *plan)
{
    const Topology *topology = &fixture->topology;
    uint32_t gained = 0;

    for (uint32_t i = 0; i < PARTITIONS; i++)
    {
        uint16_t list[TOPOLOGY_N_MAX];

        assert_int_equal(plan->members[plan->target[i]].state, MEMBER_ACTIVE);
        assert_int_equal(ring_walk(plan->target, PARTITIONS, i, list, plan->n), plan->n);
    }
    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        gained += plan->gained[i];
        if (plan->members[i].state != MEMBER_ACTIVE)
            assert_int_equal(plan->after[i], 0);
    }
    assert_int_equal(gained, plan->gained_in_all);
    assert_int_equal(gained, claim_moves(topology->claim, plan->target, PARTITIONS, plan->n, NULL));
    assert_true(plan->n >= 3);
}

/* A plan is made of any state, is the same twice, and leads to a document that can be read. */
static void
plans_lead_from_any_cluster_to_a_sound_one(void **state)
{
    Fixture *fixture = *state;
    uint32_t committed = 0;

    for (uint32_t run = 0; run < HISTORIES; run++)
    {
        form(fixture, 3 + (uint32_t)random_below(&fixture->random, 6), NULL);
        for (uint32_t i = 0; i < CHANGES && fixture->topology.member_count < MEMBERS_MAX - 8; i++)
        {
            Plan plan;
            Plan again;
            const char *hint;

            for (uint32_t k = 1 + (uint32_t)random_below(&fixture->random, 3); k > 0; k--)
                stage_at_random(fixture);
            plan = plan_of(fixture);
            if (plan.refusal != NULL)
            {
                assert_non_null(plan.hint);
                assert_null(clear(fixture, &hint));
                continue;
            }
            again = plan_of(fixture);
            assert_memory_equal(plan.target, again.target, sizeof(uint16_t) * PARTITIONS);
            check_plan(fixture, &plan);
            commit(fixture);
            finish_at_random(fixture);
            committed++;
        }
        memset(fixture->up, true, sizeof(fixture->up));
    }
    assert_true(committed > HISTORIES * 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_node_that_joins_gets_its_share),
        TEST(a_commit_marks_the_partitions_whose_lists_change),
        TEST(a_replacement_takes_what_the_old_one_had_and_nothing_else_moves),
        TEST(a_dead_node_that_is_replaced_is_gone_and_fenced),
        TEST(a_removal_names_what_only_the_dead_node_had),
        TEST(a_joining_node_that_is_given_up_has_left_at_once),
        TEST(several_changes_are_one_plan),
        TEST(an_address_moves_nothing),
        TEST(a_plan_for_zones_mends_them),
        TEST(what_is_staged_can_be_cleared),
        TEST(a_plan_goes_back_as_long_as_no_new_owner_counts),
        TEST(a_plan_that_declares_a_node_dead_does_not_go_back),
        TEST(a_member_does_not_join_twice),
        TEST(a_live_node_is_not_removed),
        TEST(a_node_replaces_neither_itself_nor_a_member_by_a_member),
        TEST(a_bucket_keeps_its_n_nodes),
        TEST(somebody_must_be_left),
        TEST(a_node_that_is_not_ready_gets_nothing),
        TEST(old_and_new_owners_fit_into_one_list),
        TEST(the_last_node_of_a_zone_is_not_lost_by_the_way),
        TEST(a_node_of_another_zone_does_not_replace_the_last_of_its_own),
        TEST(an_empty_plan_is_no_plan),
        TEST(nothing_is_staged_while_a_plan_is_under_way),
        TEST(documents_with_changes_that_cannot_be_are_refused),
        TEST(whoever_enters_or_leaves_is_a_transfer),
        TEST(a_partition_goes_on_when_all_who_enter_have_said_so),
        TEST(a_plan_ends_when_those_who_go_are_empty),
        TEST(a_member_without_partitions_leaves_when_it_is_ready),
        TEST(plans_lead_from_any_cluster_to_a_sound_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
