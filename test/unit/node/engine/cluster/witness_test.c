#include "node/engine/cluster/witness.h"
#include "test/unit/stages/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum
{
    PEER_TIMEOUT_MS = 1000
};

/* Member 0 of three, with its storage and notes; the others are played by the test. */
typedef struct Fixture
{
    Stage stage;
    HostConfig config;
    Lineage lineage;
    Storage storage;
    Buffer notes; /* as last noted */
    uint32_t noted;
    char last_log[256];
    Paxos *paxos;
    Witness *witness;
} Fixture;

static Fixture fixture;

/* Takes what the witness wants noted and logged. */
static void
run_actions(void)
{
    Actions *actions = &fixture.stage.actions;

    for (size_t i = 0; i < actions->count; i++)
    {
        const Action *action = &actions->list[i];

        if (action->kind == ACTION_NOTE)
        {
            buffer_reset(&fixture.notes);
            buffer_put(&fixture.notes, actions->frames.data + action->frame_offset,
                       action->frame_length);
            fixture.noted++;
        }
        else
            snprintf(fixture.last_log, sizeof(fixture.last_log), "%s", action->text);
    }
    stage_clear(&fixture.stage);
}

static void
note(uint64_t now_ms, bool now)
{
    witness_note(fixture.witness, now_ms, now, &fixture.stage.actions);
    run_actions();
}

static RunId
run(uint8_t number)
{
    return (RunId){{number}};
}

/* The node starts, in that run of its data, with the notes it has. */
static void
start(uint8_t number, bool in_cluster)
{
    RunId id = run(number);
    Buffer notes;

    buffer_init(&notes, &MEMORY_HEAP);
    buffer_put(&notes, fixture.notes.data, fixture.notes.length);
    if (fixture.witness != NULL)
        witness_free(fixture.witness);
    fixture.witness = witness_new(&fixture.config, fixture.paxos);
    lineage_begin(&fixture.lineage, &id, fixture.storage.commits);
    witness_open(fixture.witness, &fixture.storage, buffer_slice(&notes), in_cluster,
                 &fixture.stage.actions);
    run_actions();
    buffer_free(&notes);
}

static int
set_up(void **state)
{
    memset(&fixture, 0, sizeof(fixture));
    stage_init(&fixture.stage, 3, 3);
    fixture.config =
        (HostConfig){.id = stage_member_id(0), .peer_timeout_ms = PEER_TIMEOUT_MS, .name = "n0"};
    fixture.storage.lineage = &fixture.lineage;
    buffer_init(&fixture.notes, &MEMORY_HEAP);
    fixture.paxos = paxos_new(&fixture.config.id);
    start(1, false);
    start(1, true);
    return 0;
}

static int
tear_down(void **state)
{
    witness_free(fixture.witness);
    paxos_free(fixture.paxos);
    buffer_free(&fixture.notes);
    stage_free(&fixture.stage);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void
what_is_withheld_is_noted_at_once_and_known_after_a_restart(void **state)
{
    StorageExtent extents[] = {
        {3, 5, 7             },
        {4, 0, UINT64_MAX - 1}
    };
    const StorageExtent *known;
    uint32_t count;

    (void)state;
    witness_withhold(fixture.witness, extents, 2);
    note(1, false);
    start(2, true);
    assert_false(witness_is_lost(fixture.witness));
    known = witness_withheld(fixture.witness, &count);
    assert_int_equal(count, 2);
    assert_int_equal(known[0].bucket_id, 3);
    assert_int_equal(known[0].last, 7);
    assert_int_equal(known[1].first, 0);
    assert_true(known[1].last == UINT64_MAX - 1);
    witness_withhold(fixture.witness, NULL, 0);
    note(1, false);
    start(3, true);
    (void)witness_withheld(fixture.witness, &count);
    assert_int_equal(count, 0);
}

static HelloFrame
hello_of(uint32_t member, DataState state, DataMark data, DataMark remembered)
{
    const Member *entry = &fixture.stage.topology.members[member];

    return (HelloFrame){.id = entry->id,
                        .name = slice_from_string(entry->name),
                        .address = slice_from_string(entry->address),
                        .port = entry->port,
                        .epoch = 1,
                        .data = data,
                        .data_state = state,
                        .remembered = remembered};
}

static bool
take(HelloFrame hello)
{
    bool greet = witness_take_hello(fixture.witness, &fixture.stage.topology, &hello,
                                    &fixture.stage.actions);

    run_actions();
    return greet;
}

/* The member greets this node, of which it remembers that. */
static bool
take_remembered(uint32_t member, uint8_t number, uint64_t commits)
{
    DataMark remembered = {.run = run(number), .commits = commits};

    return take(hello_of(member, DATA_UNPROVEN, (DataMark){.run = run(100)}, remembered));
}

static bool
take_nothing_remembered(uint32_t member)
{
    return take(hello_of(member, DATA_UNPROVEN, (DataMark){.run = run(100)}, (DataMark){0}));
}

static HelloFrame
hello_to(uint32_t member)
{
    HelloFrame hello = {0};

    witness_fill_hello(fixture.witness, &fixture.stage.topology.members[member].id, &hello);
    return hello;
}

static void
assert_remembered(uint32_t member, DataMark mark)
{
    HelloFrame hello = hello_to(member);

    assert_memory_equal(&hello.remembered, &mark, sizeof(DataMark));
}

static bool
withholds(uint64_t up_ms)
{
    return witness_withholds(fixture.witness, &fixture.stage.topology, up_ms);
}

static void
a_node_that_starts_is_in_doubt_until_it_has_heard_the_others(void **state)
{
    assert_true(withholds(0));
    assert_true(take_nothing_remembered(1));
    assert_true(withholds(0));
    assert_true(take_remembered(2, 1, 0));
    assert_false(withholds(0));
    assert_false(witness_is_lost(fixture.witness));
}

static void
the_doubt_ends_when_those_who_can_answer_have_answered(void **state)
{
    assert_true(withholds(PEER_TIMEOUT_MS - 1));
    assert_false(withholds(PEER_TIMEOUT_MS));
}

static void
a_crash_is_no_loss(void **state)
{
    fixture.storage.commits = 50;
    start(2, true);
    assert_false(witness_is_lost(fixture.witness));
    take_remembered(1, 1, 50);
    take_remembered(2, 1, 49);
    assert_false(withholds(0));
}

static void
own_notes_find_an_older_copy(void **state)
{
    Lineage copy = fixture.lineage;

    fixture.storage.commits = 50;
    start(2, true);
    fixture.lineage = copy;
    start(3, true);
    assert_true(witness_is_lost(fixture.witness));
    assert_true(withholds(PEER_TIMEOUT_MS));
    assert_non_null(strstr(fixture.last_log, "older copy"));
}

static void
own_notes_find_an_older_copy_of_the_same_run(void **state)
{
    fixture.storage.commits = 50;
    note(1, true);
    fixture.storage.commits = 40;
    start(2, true);
    assert_true(witness_is_lost(fixture.witness));
}

static void
a_wiped_or_another_directory_is_lost(void **state)
{
    fixture.lineage.count = 0;
    start(2, true);
    assert_true(witness_is_lost(fixture.witness));
}

static void
a_directory_that_was_another_nodes_is_lost(void **state)
{
    buffer_reset(&fixture.notes);
    start(2, false);
    assert_true(witness_is_lost(fixture.witness));
}

static void
damaged_notes_are_none(void **state)
{
    buffer_put(&fixture.notes, "x", 1);
    start(2, true);
    assert_true(witness_is_lost(fixture.witness));
}

static void
a_peer_finds_an_older_copy_of_all_that_the_node_had(void **state)
{
    assert_false(take_remembered(1, 9, 3));
    assert_true(witness_is_lost(fixture.witness));
    assert_true(withholds(PEER_TIMEOUT_MS));
    assert_int_equal(hello_to(1).data_state, DATA_REFILLING);
}

static void
a_peer_is_believed_however_late_it_comes(void **state)
{
    take_nothing_remembered(1);
    assert_false(withholds(PEER_TIMEOUT_MS));
    fixture.storage.commits = 1000;
    take_remembered(2, 9, 3);
    assert_true(withholds(PEER_TIMEOUT_MS));
}

static void
what_a_peer_said_is_known_after_a_restart_without_it(void **state)
{
    take_remembered(1, 9, 3);
    note(1, false);
    start(2, true);
    assert_true(witness_is_lost(fixture.witness));
}

static void
a_filled_node_is_whole_and_so_after_a_restart(void **state)
{
    uint32_t count;

    take_remembered(1, 9, 3);
    take_remembered(2, 8, 4);
    take_remembered(2, 9, 4);
    assert_int_equal(witness_lost_runs(fixture.witness, &count)[1].bytes[0], 8);
    assert_int_equal(count, 2);
    for (uint32_t i = 0; i < count; i++)
        lineage_settle(&fixture.lineage, &witness_lost_runs(fixture.witness, &count)[i]);
    witness_filled(fixture.witness);
    note(1, false);
    assert_false(withholds(0));
    assert_int_equal(hello_to(1).data_state, DATA_WHOLE);
    start(2, true);
    take_remembered(1, 9, 3);
    assert_false(witness_is_lost(fixture.witness));
}

static void
what_was_lost_before_it_was_filled_does_not_fill_it_again(void **state)
{
    uint32_t count;

    take_remembered(1, 9, 3);
    witness_filled(fixture.witness);
    take_remembered(2, 7, 3);
    assert_false(witness_is_lost(fixture.witness));
    (void)witness_lost_runs(fixture.witness, &count);
    assert_int_equal(count, 1);
}

static void
a_mark_is_told_at_once_and_to_be_remembered_when_it_is_proved(void **state)
{
    HelloFrame hello = hello_to(1);

    fixture.storage.commits = 5;
    assert_int_equal(hello.data_state, DATA_UNPROVEN);
    take_nothing_remembered(1);
    hello = hello_to(1);
    assert_int_equal(hello.data_state, DATA_WHOLE);
    assert_int_equal(hello.data.commits, 5);
    assert_int_equal(hello.data.run.bytes[0], 1);
    assert_int_equal(hello_to(2).data_state, DATA_UNPROVEN);
}

static void
only_a_proved_mark_is_remembered(void **state)
{
    DataMark old = {.run = run(20), .commits = 7};
    DataMark new = {.run = run(21), .commits = 3};

    take(hello_of(1, DATA_WHOLE, old, (DataMark){0}));
    assert_remembered(1, old);
    take(hello_of(1, DATA_UNPROVEN, new, (DataMark){0}));
    take(hello_of(1, DATA_REFILLING, new, (DataMark){0}));
    assert_remembered(1, old);
    assert_true(witness_is_refilling(fixture.witness, &fixture.stage.topology.members[1].id));
    take(hello_of(1, DATA_WHOLE, new, (DataMark){0}));
    assert_remembered(1, new);
    new.commits = 1;
    take(hello_of(1, DATA_WHOLE, new, (DataMark){0}));
    assert_int_equal(hello_to(1).remembered.commits, 3);
    assert_int_equal(hello_to(2).remembered.commits, 0);
}

static void
a_twin_at_another_address_is_not_taken_for_the_member(void **state)
{
    HelloFrame twin = hello_of(1, DATA_WHOLE, (DataMark){.run = run(20)}, (DataMark){0});

    twin.port++;
    assert_false(take(twin));
    assert_remembered(1, (DataMark){0});
}

static void
what_is_remembered_outlives_a_restart(void **state)
{
    DataMark mark = {.run = run(20), .commits = 7};

    take(hello_of(1, DATA_WHOLE, mark, (DataMark){0}));
    note(1, false);
    start(2, true);
    assert_remembered(1, mark);
}

static void
a_new_run_is_noted_at_once_and_a_number_within_its_time(void **state)
{
    DataMark mark = {.run = run(20), .commits = 7};
    uint32_t before = fixture.noted;

    note(1, false);
    assert_int_equal(fixture.noted, before);
    take(hello_of(1, DATA_WHOLE, mark, (DataMark){0}));
    note(2, false);
    assert_int_equal(fixture.noted, before + 1);
    mark.commits++;
    take(hello_of(1, DATA_WHOLE, mark, (DataMark){0}));
    fixture.storage.commits++;
    note(2 + WITNESS_NOTE_MS - 1, false);
    assert_int_equal(fixture.noted, before + 1);
    note(2 + WITNESS_NOTE_MS, false);
    assert_int_equal(fixture.noted, before + 2);
    note(10 * WITNESS_NOTE_MS, false);
    assert_int_equal(fixture.noted, before + 2);
}

/* ---- votes ---- */

static bool
votes(void)
{
    return witness_votes(fixture.witness, &fixture.stage.topology, PEER_TIMEOUT_MS);
}

static VoteMark
mark_of(uint64_t epoch, uint64_t promised, uint64_t accepted)
{
    return (VoteMark){
        .epoch = epoch, .promised = {.round = promised}, .accepted = {.round = accepted}};
}

static void
take_votes_remembered(uint32_t member, VoteMark mark)
{
    HelloFrame hello = hello_of(member, DATA_WHOLE, (DataMark){.run = run(100)}, (DataMark){0});

    hello.votes_remembered = mark;
    take(hello);
}

static void
a_node_votes_when_it_has_heard_a_majority(void **state)
{
    assert_false(votes());
    assert_false(witness_votes(fixture.witness, &fixture.stage.topology, 0));
    take_nothing_remembered(1);
    assert_true(votes());
    assert_false(witness_votes(fixture.witness, &fixture.stage.topology, 0));
}

static void
a_wiped_disk_takes_no_vote(void **state)
{
    fixture.lineage.count = 0;
    start(2, true);
    assert_true(witness_is_lost(fixture.witness));
    take_remembered(1, 1, 0);
    assert_true(votes());
}

static void
a_folder_that_was_set_back_has_no_vote_and_none_after_a_restart(void **state)
{
    take_remembered(1, 9, 3);
    take_nothing_remembered(2);
    assert_false(votes());
    note(1, false);
    start(2, true);
    take_nothing_remembered(1);
    assert_false(votes());
    assert_true(witness_has_forgotten(fixture.witness));
    witness_may_vote(fixture.witness);
    assert_true(votes());
}

static void
notes_that_know_nothing_of_the_last_run_were_set_back_too(void **state)
{
    fixture.lineage.count = 0;
    start(2, true);
    take_remembered(1, 9, 3);
    assert_false(votes());
}

static void
a_node_without_notes_has_no_vote(void **state)
{
    buffer_reset(&fixture.notes);
    start(2, true);
    take_nothing_remembered(1);
    assert_false(votes());
}

static void
a_node_has_no_vote_while_a_later_mark_of_it_is_remembered(void **state)
{
    VoteMark zero = {0};

    take_votes_remembered(1, zero);
    assert_true(votes());
    take_votes_remembered(2, mark_of(0, 3, 0));
    assert_false(votes());
    assert_int_equal(witness_own_votes(fixture.witness).promised.round, 3);
    paxos_pass(fixture.paxos, &(VoteMark){.promised = {.round = 3}}, &fixture.stage.actions);
    stage_clear(&fixture.stage);
    assert_true(votes());
}

static void
votes_are_remembered_at_their_highest_and_after_a_restart(void **state)
{
    const MemberId *id = &fixture.stage.topology.members[1].id;
    VoteMark later = mark_of(4, 3, 3);
    VoteMark earlier = mark_of(4, 3, 2);

    witness_take_vote(fixture.witness, id, &later);
    witness_take_vote(fixture.witness, id, &earlier);
    note(1, false);
    start(2, true);
    assert_int_equal(vote_mark_compare(&(VoteMark){0}, &later), -1);
    later = hello_to(1).votes_remembered;
    assert_int_equal(later.epoch, 4);
    assert_int_equal(later.accepted.round, 3);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_node_that_starts_is_in_doubt_until_it_has_heard_the_others),
        TEST(the_doubt_ends_when_those_who_can_answer_have_answered),
        TEST(a_crash_is_no_loss),
        TEST(own_notes_find_an_older_copy),
        TEST(own_notes_find_an_older_copy_of_the_same_run),
        TEST(a_wiped_or_another_directory_is_lost),
        TEST(a_directory_that_was_another_nodes_is_lost),
        TEST(damaged_notes_are_none),
        TEST(a_peer_finds_an_older_copy_of_all_that_the_node_had),
        TEST(a_peer_is_believed_however_late_it_comes),
        TEST(what_a_peer_said_is_known_after_a_restart_without_it),
        TEST(a_filled_node_is_whole_and_so_after_a_restart),
        TEST(what_was_lost_before_it_was_filled_does_not_fill_it_again),
        TEST(a_mark_is_told_at_once_and_to_be_remembered_when_it_is_proved),
        TEST(only_a_proved_mark_is_remembered),
        TEST(a_twin_at_another_address_is_not_taken_for_the_member),
        TEST(what_is_remembered_outlives_a_restart),
        TEST(what_is_withheld_is_noted_at_once_and_known_after_a_restart),
        TEST(a_new_run_is_noted_at_once_and_a_number_within_its_time),
        TEST(a_node_votes_when_it_has_heard_a_majority),
        TEST(a_wiped_disk_takes_no_vote),
        TEST(a_folder_that_was_set_back_has_no_vote_and_none_after_a_restart),
        TEST(notes_that_know_nothing_of_the_last_run_were_set_back_too),
        TEST(a_node_without_notes_has_no_vote),
        TEST(a_node_has_no_vote_while_a_later_mark_of_it_is_remembered),
        TEST(votes_are_remembered_at_their_highest_and_after_a_restart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
