#include "node/engine/repair/reaping_private.h"
#include "test/lib/memory_store.h"
#include "test/unit/stages/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* Five members, three of whom own a key; mail between them waits until it is delivered. */
enum
{
    MEMBERS = 5,
    MAIL_MAX = 256,
    HELD_MAX = 256,
    INTERVAL_MS = 1000
};

typedef struct House
{
    uint32_t self;
    bool up[MEMBERS];
    bool busy;
    View view;
    Pacer pacer;
    MemoryStore *store;
    Storage *storage;
    Reaping *reaping;
    Actions actions;
} House;

typedef struct Mail
{
    uint32_t from;
    uint32_t to;
    bool is_answer;
    Slice bytes;
} Mail;

static Stage stage;
static House houses[MEMBERS];
static Mail mail[MAIL_MAX];
static uint32_t mail_count;
static Slice key;
static uint64_t position;
static TreeId id;
static uint16_t owners[MEMBERS]; /* and behind them the others */

/* What storage has been asked for and does not answer yet, while it is held, oldest first: rounds
 * that wait for the writer, rows that wait for a record to be read. */
typedef struct HeldAction
{
    House *house;
    Slice storage_key;
    Action action;
} HeldAction;

static bool hold;
static HeldAction held_rounds[HELD_MAX];
static uint32_t held_round_count;
static HeldAction held_rows[HELD_MAX];
static uint32_t held_row_count;

/* ---- the hamlet ---- */

static void
post(House *house, const Action *action, uint32_t to, bool is_answer)
{
    Slice bytes =
        slice_make(house->actions.frames.data + action->frame_offset, action->frame_length);

    assert_true(mail_count < MAIL_MAX);
    mail[mail_count++] = (Mail){.from = house->self,
                                .to = to,
                                .is_answer = is_answer,
                                .bytes = slice_copy(&stage.arena, bytes)};
}

static void
keep(HeldAction *list, uint32_t *count, House *house, const Action *action)
{
    assert_true(*count < HELD_MAX);
    list[(*count)++] = (HeldAction){house, slice_copy(&stage.arena, action->storage_key), *action};
}

static void
run(House *house)
{
    Actions *actions = &house->actions;
    Storage *storage = house->storage;

    while (actions->done < actions->count)
    {
        Action action = actions->list[actions->done++];

        if (action.kind == ACTION_SEND)
            post(house, &action, action.member, false);
        else if (action.kind == ACTION_REPLY)
            post(house, &action, (uint32_t)action.session, true);
        else if (action.kind == ACTION_APPLY && hold)
            keep(held_rows, &held_row_count, house, &action);
        else if (action.kind == ACTION_SET_ROUND && hold)
            keep(held_rounds, &held_round_count, house, &action);
        else if (action.kind == ACTION_APPLY)
            storage->apply(storage, action.storage_key, action.update, action.ref);
        else if (action.kind == ACTION_SCAN)
            storage->scan(storage, &action.range, action.ref);
        else if (action.kind == ACTION_SET_ROUND)
            storage->set_round(storage, &action.round, action.ref);
    }
    actions_reset(actions);
}

static void
on_merged(void *context, uint64_t ref, StatusCode status, Slice object)
{
    House *house = context;

    if (ref != REF_NOBODY)
        reaping_merged(house->reaping, &house->view, ref, status, object);
}

static void
on_durable(void *context, uint64_t ref, StatusCode status)
{
    House *house = context;

    if (ref != REF_NOBODY)
        reaping_durable(house->reaping, &house->view, ref, status);
}

static void
on_scanned(void *context, uint64_t ref, StatusCode status, const StoragePage *page)
{
    House *house = context;

    reaping_scanned(house->reaping, &house->view, ref, status, page);
}

static bool
is_busy(void *context, const View *view, TreeId asked)
{
    (void)view;
    return ((const House *)context)->busy && asked.partition == id.partition;
}

/* The process begins, on the store as it is. */
static void
start(House *house)
{
    StorageEvents events = {
        .merged = on_merged, .durable = on_durable, .scan_done = on_scanned, .context = house};

    house->storage = memory_store_open(house->store, &events);
    house->storage->set_partitions(house->storage, STAGE_PARTITIONS);
    house->reaping = reaping_new(INTERVAL_MS, &house->pacer, is_busy, house);
    house->view = stage.view;
    house->view.actions = &house->actions;
    house->view.self = house->self;
    house->view.up = house->up;
    house->view.trees = house->storage->trees;
    house->view.rounds = &house->storage->rounds;
    house->view.run = house->storage->run;
    house->view.hints = &house->storage->hints;
}

static void
restart(uint32_t member)
{
    reaping_free(houses[member].reaping);
    start(&houses[member]);
}

static int
set_up(void **state)
{
    (void)state;
    stage_init(&stage, MEMBERS, 3);
    key = stage_key_of(&stage, 0, 0);
    assert_true(topology_position(stage.bucket, key, &position));
    id = rounds_id(&stage.topology, STAGE_BUCKET, position);
    topology_preference(&stage.topology, position, owners, MEMBERS);
    mail_count = held_row_count = held_round_count = 0;
    hold = false;
    for (uint32_t i = 0; i < MEMBERS; i++)
    {
        House *house = &houses[i];

        *house = (House){.self = i, .store = memory_store_new()};
        memset(house->up, true, sizeof(house->up));
        pacer_init(&house->pacer, 0, stage.view.now_ms);
        actions_init(&house->actions);
        start(house);
    }
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < MEMBERS; i++)
    {
        reaping_free(houses[i].reaping);
        actions_free(&houses[i].actions);
        memory_store_free(houses[i].store);
    }
    stage_free(&stage);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void
deliver(const Mail *letter)
{
    House *house = &houses[letter->to];
    Frame frame = stage_decode(&stage, letter->bytes);
    Origin origin = {.session = letter->from, .tag = frame.tag};

    if (letter->is_answer)
        reaping_member_frame(house->reaping, &house->view, letter->from, &frame);
    else
        reaping_session_frame(house->reaping, &house->view, origin, &frame);
    run(house);
}

/* Delivers one after the other, until one of that type is next; FRAME_TYPE_END: all. False when
 * there is none of it. */
static bool
deliver_until(FrameType type)
{
    for (uint32_t i = 0; i < mail_count; i++)
    {
        Frame frame = stage_decode(&stage, mail[i].bytes);

        if (frame.type == type)
        {
            memmove(mail, mail + i, (mail_count - i) * sizeof(Mail));
            mail_count -= i;
            return true;
        }
        deliver(&mail[i]);
    }
    mail_count = 0;
    return false;
}

static void
pass(uint64_t ms)
{
    for (uint32_t i = 0; i < MEMBERS; i++)
    {
        House *house = &houses[i];

        house->view.now_ms += ms;
        house->view.wall_ms += ms;
        reaping_step(house->reaping, &house->view);
        run(house);
    }
}

/* Time enough for a look at everything, and all mail. */
static void
pass_interval(void)
{
    for (uint32_t i = 0; i < 40; i++)
    {
        pass(INTERVAL_MS / 10);
        deliver_until(FRAME_TYPE_END);
    }
}

/* ---- what is stored ---- */

static void
apply(uint32_t member, const Update *update)
{
    Buffer storage_bytes;

    buffer_init(&storage_bytes, &MEMORY_HEAP);
    storage_key(&storage_bytes, STAGE_BUCKET, position, key);
    houses[member].storage->apply(houses[member].storage, buffer_slice(&storage_bytes), update,
                                  REF_NOBODY);
    buffer_free(&storage_bytes);
}

static void
merge(uint32_t member, Slice bytes)
{
    Object object;

    assert_true(object_decode(bytes, &stage.arena, &object));
    apply(member, &(Update){.merge = &object});
}

static Slice
tombstone(void)
{
    Dot dot = {.actor = {{77}}, .epoch = 1, .counter = 2};
    Sibling sibling = {
        .request = {{9}}, .written_at_ms = 1, .tombstone = true, .dots = &dot, .dot_count = 1};
    Object object = {
        .context = {.entries = &dot, .count = 1},
          .siblings = &sibling, .sibling_count = 1
    };

    object_encode(stage_buffer(&stage), &object);
    return slice_copy(&stage.arena, buffer_slice(&stage.frame));
}

static void
merge_at_owners(Slice bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        merge(owners[i], bytes);
}

static uint64_t
rows_of(uint32_t member)
{
    TreeSum sum;

    assert_true(trees_sum(houses[member].storage->trees, id, (TreePart){0}, &sum));
    return sum.rows;
}

static void
assert_rows(uint64_t expected)
{
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(rows_of(owners[i]), expected);
}

static ReapStatus
status(void)
{
    House *house = &houses[owners[0]];

    for (uint32_t i = 0; i < reaping_status_count(house->reaping); i++)
    {
        ReapStatus found = reaping_status(house->reaping, &house->view, i);

        if (found.id.partition == id.partition)
            return found;
    }
    return (ReapStatus){.state = REAP_RESTING};
}

static void
assert_waits_for(uint32_t member, ReapVerdict why)
{
    ReapStatus found = status();

    assert_rows(1);
    assert_int_equal(found.state, REAP_WAITING);
    assert_int_equal(found.why, why);
    assert_memory_equal(&found.whose, &stage.topology.members[member].id, sizeof(MemberId));
    assert_int_equal(found.candidates, 1);
}

/* ---- tests ---- */

static void
a_tombstone_that_all_owners_hold_is_reaped_on_all(void **state)
{
    (void)state;
    merge_at_owners(tombstone(), 3);
    pass_interval();
    assert_rows(0);
    assert_int_equal(status().reaped, 1);
    assert_true(status().round > 0);
    assert_true(status().passed_ms > 0);
    for (uint32_t i = 0; i < MEMBERS; i++)
        assert_int_equal(rounds_of(houses[i].view.rounds, id).cleared, status().round);
}

static void
values_are_not_reaped_and_cost_no_round_once_all_runs_are_known(void **state)
{
    uint64_t round;

    (void)state;
    merge_at_owners(stage_object(&stage, 1, 1, "apple"), 3);
    pass_interval();
    assert_rows(1);
    round = rounds_of(houses[owners[0]].view.rounds, id).cleared;
    pass_interval();
    assert_int_equal(rounds_of(houses[owners[0]].view.rounds, id).cleared, round);
}

static void
entries_of_finished_runs_are_retired_on_all(void **state)
{
    Dot dots[] = {
        {.actor = {{70}}, .epoch = 1, .counter = 4},
        {.actor = {{77}}, .epoch = 1, .counter = 2}
    };
    Sibling sibling = {.request = {{9}},
                       .written_at_ms = 1,
                       .value = slice_from_string("v"),
                       .dots = &dots[1],
                       .dot_count = 1};
    Object object = {
        .context = {.entries = dots, .count = 2},
          .siblings = &sibling, .sibling_count = 1
    };
    TreeSum before;
    TreeSum after;

    (void)state;
    object_encode(stage_buffer(&stage), &object);
    merge_at_owners(slice_copy(&stage.arena, buffer_slice(&stage.frame)), 3);
    assert_true(trees_sum(houses[owners[1]].storage->trees, id, (TreePart){0}, &before));
    pass_interval();
    assert_rows(1);
    assert_int_equal(status().retired, 1);
    assert_true(trees_sum(houses[owners[1]].storage->trees, id, (TreePart){0}, &after));
    assert_false(digest_equal(&before.digest, &after.digest));
}

static void
while_a_member_is_down_nothing_is_reaped(void **state)
{
    (void)state;
    merge_at_owners(tombstone(), 3);
    houses[owners[0]].up[owners[4]] = false;
    for (uint32_t i = 0; i < 20; i++)
        pass_interval();
    assert_waits_for(owners[4], REAP_DOWN);
    assert_int_equal(rounds_of(houses[owners[1]].view.rounds, id).round, 0);
    houses[owners[0]].up[owners[4]] = true;
    for (uint32_t i = 0; i < 20; i++)
        pass_interval();
    assert_rows(0);
}

static void
an_owner_that_lacks_the_tombstone_keeps_all_from_reaping(void **state)
{
    (void)state;
    merge_at_owners(tombstone(), 2);
    merge(owners[2], stage_object(&stage, 1, 1, "apple"));
    pass_interval();
    assert_waits_for(owners[2], REAP_DIFFERS);
    assert_int_equal(rounds_of(houses[owners[0]].view.rounds, id).round, 0);
}

static void
a_hint_anywhere_keeps_all_from_reaping(void **state)
{
    HintChange hint = {.target = stage_member_id(owners[1])};

    (void)state;
    merge_at_owners(tombstone(), 3);
    apply(owners[2], &(Update){.hints = &hint, .hint_count = 1});
    pass_interval();
    assert_waits_for(owners[2], REAP_HINTS);
}

static void
a_row_at_a_former_owner_keeps_all_from_reaping(void **state)
{
    (void)state;
    merge_at_owners(tombstone(), 3);
    merge(owners[3], stage_object(&stage, 1, 1, "apple"));
    pass_interval();
    assert_waits_for(owners[3], REAP_KEEPS_ROWS);
}

static void
a_request_under_way_anywhere_keeps_all_from_reaping(void **state)
{
    (void)state;
    merge_at_owners(tombstone(), 3);
    houses[owners[4]].busy = true;
    pass_interval();
    assert_waits_for(owners[4], REAP_BUSY);
    houses[owners[4]].busy = false;
    pass_interval();
    assert_rows(0);
}

static void
a_member_whose_disk_is_being_filled_keeps_all_from_reaping(void **state)
{
    (void)state;
    merge_at_owners(tombstone(), 3);
    houses[owners[1]].view.refilling = true;
    pass_interval();
    assert_waits_for(owners[1], REAP_REFILLING);
    assert_int_equal(rounds_of(houses[owners[1]].view.rounds, id).cleared, 0);
}

static void
what_is_not_durable_yet_keeps_all_from_reaping(void **state)
{
    (void)state;
    merge_at_owners(tombstone(), 3);
    memory_store_hold(houses[owners[2]].store);
    merge(owners[2], stage_merged(&stage, tombstone(), stage_object(&stage, 2, 1, "pear")));
    pass_interval();
    assert_waits_for(owners[2], REAP_UNSETTLED);
}

/* A look reads what is durable: what it does not show yet is looked at again. */
static void
a_tombstone_that_is_not_durable_when_it_is_looked_for_is_reaped_later(void **state)
{
    Dot dot = {.actor = {{77}}, .epoch = 1, .counter = 1}; /* which the tombstone has seen */
    Sibling sibling = {
        .request = {{8}}, .value = slice_from_string("apple"), .dots = &dot, .dot_count = 1};
    Object object = {
        .context = {.entries = &dot, .count = 1},
          .siblings = &sibling, .sibling_count = 1
    };

    (void)state;
    object_encode(stage_buffer(&stage), &object);
    merge_at_owners(slice_copy(&stage.arena, buffer_slice(&stage.frame)), 3);
    for (uint32_t i = 0; i < 3; i++)
        memory_store_hold(houses[owners[i]].store);
    merge_at_owners(tombstone(), 3);
    pass_interval();
    for (uint32_t i = 0; i < 3; i++)
        memory_store_release(houses[owners[i]].store);
    for (uint32_t i = 0; i < 3; i++)
        pass_interval();
    assert_rows(0);
}

/* A node may have coordinated hundreds of thousands of partitions: a turn does not go over them. */
static void
partitions_at_rest_cost_a_turn_nothing(void **state)
{
    enum
    {
        PARTITIONS = 300000,
        TURNS = 20000
    };
    House *house = &houses[owners[0]];
    clock_t began;

    (void)state;
    for (uint32_t i = 0; i < PARTITIONS; i++)
        (void)reaping_entry(house->reaping, (TreeId){STAGE_BUCKET + 1 + i, 0});
    began = clock();
    for (uint32_t i = 0; i < TURNS; i++)
    {
        reaping_step(house->reaping, &house->view);
        assert_true(reaping_wake_ms(house->reaping, &house->view) > house->view.now_ms);
    }
    assert_true(clock() - began < CLOCKS_PER_SEC);
}

/* Begins a round, up to the first frame of that type. */
static void
begin_round(FrameType type)
{
    merge_at_owners(tombstone(), 3);
    for (uint32_t i = 0; i < 40; i++)
    {
        pass(INTERVAL_MS / 10);
        if (deliver_until(type))
            return;
    }
    fail();
}

/* Only who called itself clean in this very run raises, so nothing is reaped in that round. */
static void
an_owner_that_was_started_anew_since_it_prepared_ends_the_round(void **state)
{
    uint64_t cleared;

    (void)state;
    begin_round(FRAME_REAP_RAISE);
    cleared = rounds_of(houses[owners[1]].view.rounds, id).cleared;
    restart(owners[1]);
    assert_int_equal(rounds_of(houses[owners[1]].view.rounds, id).cleared, cleared);
    deliver_until(FRAME_TYPE_END);
    assert_waits_for(owners[1], REAP_REFUSED);
    assert_int_equal(rounds_of(houses[owners[1]].view.rounds, id).round, 0);
    for (uint32_t i = 0; i < 3; i++)
        pass_interval();
    assert_rows(0);
}

/* Who is to own it may be filled from one that has reaped, and by one that has not. */
static void
while_the_partition_moves_nothing_is_reaped(void **state)
{
    uint8_t steps[STAGE_PARTITIONS] = {0};

    (void)state;
    steps[id.partition] = TOPOLOGY_FILLING;
    stage.topology.target = stage.topology.claim;
    stage.topology.target_preference = stage.topology.preference;
    stage.topology.steps = steps;
    merge_at_owners(tombstone(), 3);
    pass_interval();
    assert_waits_for(owners[0], REAP_MOVES);
    stage.topology.target = NULL;
    stage.topology.steps = NULL;
    for (uint32_t i = 0; i < 20; i++)
        pass_interval();
    assert_rows(0);
}

/* What was proved of the owners of before is not carried out at those of today. */
static void
an_owner_that_knows_of_other_owners_ends_the_round(void **state)
{
    uint64_t changed[STAGE_PARTITIONS] = {0};
    Topology later = stage.topology;

    (void)state;
    later.epoch++;
    later.changed = changed;
    changed[id.partition] = later.epoch;
    begin_round(FRAME_REAP_RAISE);
    houses[owners[1]].view.topology = &later;
    deliver_until(FRAME_TYPE_END);
    assert_waits_for(owners[1], REAP_REFUSED);
    assert_int_equal(rounds_of(houses[owners[1]].view.rounds, id).round, 0);
    houses[owners[1]].view.topology = &stage.topology;
}

/* Who asks an owner how far it is has lost what it had called clean itself. */
static void
an_owner_that_was_asked_how_far_it_is_ends_the_round(void **state)
{
    (void)state;
    begin_round(FRAME_REAP_RAISE);
    rounds_take_back(houses[owners[2]].view.rounds, id.bucket_id);
    deliver_until(FRAME_TYPE_END);
    assert_waits_for(owners[2], REAP_REFUSED);
    assert_int_equal(rounds_of(houses[owners[2]].view.rounds, id).round, 0);
    assert_rows(1);
}

static void
a_coordinator_that_ends_after_the_raise_leaves_a_later_round_to_pass(void **state)
{
    uint64_t round;

    (void)state;
    begin_round(FRAME_REAP_DONE);
    mail_count = 0;
    restart(owners[0]);
    assert_rows(1);
    round = rounds_of(houses[owners[1]].view.rounds, id).round;
    assert_true(round > 0);
    pass_interval();
    assert_rows(0);
    assert_true(rounds_of(houses[owners[1]].view.rounds, id).round > round);
}

static void
rows_that_reach_one_owner_only_are_reaped_by_a_later_round(void **state)
{
    (void)state;
    begin_round(FRAME_REAP_ROWS);
    mail_count = 0; /* lost: the coordinator has reaped, nobody else */
    assert_int_equal(rows_of(owners[0]), 0);
    assert_int_equal(rows_of(owners[1]), 1);
    for (uint32_t i = 0; i < 3; i++)
        pass_interval();
    assert_int_equal(rows_of(owners[1]), 1);
    merge(owners[0], tombstone()); /* as a compare does */
    for (uint32_t i = 0; i < 3; i++)
        pass_interval();
    assert_rows(0);
}

static void
what_was_written_since_it_was_proved_stays(void **state)
{
    Slice both = stage_merged(&stage, tombstone(), stage_object(&stage, 2, 1, "pear"));

    (void)state;
    begin_round(FRAME_REAP_ROWS);
    merge(owners[1], both);
    deliver_until(FRAME_TYPE_END);
    assert_int_equal(rows_of(owners[1]), 1);
    assert_int_equal(rows_of(owners[2]), 0);
}

/* What it is now was not proved, and what it was is no more. */
static void
what_the_coordinator_has_more_of_by_now_is_reaped_nowhere(void **state)
{
    (void)state;
    begin_round(FRAME_REAP_RAISE);
    merge(owners[0], stage_merged(&stage, tombstone(), stage_object(&stage, 2, 1, "pear")));
    deliver_until(FRAME_TYPE_END);
    assert_rows(1);
    assert_int_equal(status().reaped, 0);
}

/* It lacks the proof, and so does whoever hears of the round from it later. */
static void
a_number_that_was_heard_before_is_refused_and_a_higher_one_found(void **state)
{
    (void)state;
    merge_at_owners(tombstone(), 3);
    rounds_raise(houses[owners[2]].view.rounds, id, 0, 1000);
    for (uint32_t i = 0; i < 3; i++)
        pass_interval();
    assert_rows(0);
    assert_true(status().round > 1000);
}

static void
release_round(uint32_t index)
{
    HeldAction held = held_rounds[index];

    memmove(&held_rounds[index], &held_rounds[index + 1],
            (--held_round_count - index) * sizeof(HeldAction));
    held.house->storage->set_round(held.house->storage, &held.action.round, held.action.ref);
    run(held.house);
}

static void
release_row(void)
{
    HeldAction held = held_rows[0];

    memmove(held_rows, held_rows + 1, --held_row_count * sizeof(HeldAction));
    held.house->storage->apply(held.house->storage, held.storage_key, held.action.update,
                               held.action.ref);
    run(held.house);
}

static void
release_rounds_of_others(const House *house)
{
    for (uint32_t i = held_round_count; i-- > 0;)
    {
        if (held_rounds[i].house != house)
            release_round(i);
    }
}

/* The key is the nth of that first owner from now on, and its tombstone is everywhere. */
static void
bury(uint32_t first_owner, uint32_t nth)
{
    uint16_t all[MEMBERS];

    key = stage_key_of(&stage, first_owner, nth);
    assert_true(topology_position(stage.bucket, key, &position));
    id = rounds_id(&stage.topology, STAGE_BUCKET, position);
    topology_preference(&stage.topology, position, all, MEMBERS);
    for (uint32_t i = 0; i < 3; i++)
        merge(all[i], tombstone());
}

/*
 * The coordinator's rows of one round wait for their records to be read when a bucket is made: the
 * attempt fails with its epoch, and the lane begins a round of another partition. The old rows'
 * answer comes while the raise of that round is not durable.
 */
static void
an_own_answer_of_an_earlier_round_is_no_answer(void **state)
{
    uint32_t first = owners[0];
    House *coordinator = &houses[first];
    TreeId one;

    (void)state;
    hold = true;
    bury(first, 0);
    one = id;
    for (uint32_t i = 0; i < 400 && held_row_count == 0; i++)
    {
        pass(INTERVAL_MS / 20);
        deliver_until(FRAME_TYPE_END);
        if (held_round_count > 0)
            release_round(0);
    }
    assert_int_equal(held_row_count, 1);
    stage.topology.epoch++;
    pass(1);
    for (uint32_t nth = 1; id.partition == one.partition; nth++)
        bury(first, nth);
    reaping_request(coordinator->reaping);
    while (rounds_of(coordinator->view.rounds, id).round == 0)
    {
        pass(1);
        deliver_until(FRAME_TYPE_END);
        if (held_round_count > 0 && rounds_of(coordinator->view.rounds, id).round == 0)
            release_round(0);
    }
    for (uint32_t i = 0; i < 3; i++)
    {
        release_rounds_of_others(coordinator);
        deliver_until(FRAME_TYPE_END);
    }
    assert_true(held_round_count > 0); /* the coordinator's own raise among them */
    release_row();
    deliver_until(FRAME_TYPE_END);
    assert_int_equal(held_row_count, 0); /* no row is reaped before the raise is durable */
    hold = false;
    while (held_round_count > 0)
        release_round(0);
    deliver_until(FRAME_TYPE_END);
    assert_rows(0);
}

/* Members that come with it are not those that the round has counted. */
static void
a_round_ends_with_its_epoch_though_the_own_storage_answers_first(void **state)
{
    (void)state;
    hold = true;
    bury(owners[0], 0);
    for (uint32_t i = 0; i < 40 && held_round_count == 0; i++)
        pass(INTERVAL_MS / 10);
    assert_int_equal(held_round_count, 1);
    assert_int_equal(mail_count, 0);
    stage.topology.epoch++;
    release_round(0);
    assert_int_equal(mail_count, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_own_answer_of_an_earlier_round_is_no_answer),
        TEST(a_round_ends_with_its_epoch_though_the_own_storage_answers_first),
        TEST(a_tombstone_that_all_owners_hold_is_reaped_on_all),
        TEST(values_are_not_reaped_and_cost_no_round_once_all_runs_are_known),
        TEST(entries_of_finished_runs_are_retired_on_all),
        TEST(while_a_member_is_down_nothing_is_reaped),
        TEST(an_owner_that_lacks_the_tombstone_keeps_all_from_reaping),
        TEST(a_hint_anywhere_keeps_all_from_reaping),
        TEST(a_row_at_a_former_owner_keeps_all_from_reaping),
        TEST(a_request_under_way_anywhere_keeps_all_from_reaping),
        TEST(a_member_whose_disk_is_being_filled_keeps_all_from_reaping),
        TEST(what_is_not_durable_yet_keeps_all_from_reaping),
        TEST(a_tombstone_that_is_not_durable_when_it_is_looked_for_is_reaped_later),
        TEST(partitions_at_rest_cost_a_turn_nothing),
        TEST(an_owner_that_was_started_anew_since_it_prepared_ends_the_round),
        TEST(while_the_partition_moves_nothing_is_reaped),
        TEST(an_owner_that_knows_of_other_owners_ends_the_round),
        TEST(an_owner_that_was_asked_how_far_it_is_ends_the_round),
        TEST(a_coordinator_that_ends_after_the_raise_leaves_a_later_round_to_pass),
        TEST(rows_that_reach_one_owner_only_are_reaped_by_a_later_round),
        TEST(what_was_written_since_it_was_proved_stays),
        TEST(what_the_coordinator_has_more_of_by_now_is_reaped_nowhere),
        TEST(a_number_that_was_heard_before_is_refused_and_a_higher_one_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
