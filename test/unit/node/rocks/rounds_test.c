#include "node/engine/store/rounds.h"
#include "test/unit/node/rocks/rocks_fixture.h"
#include "test/unit/stages/stage.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const TreeId ID = {.bucket_id = 1, .partition = 5};
static const TreeId OTHER = {.bucket_id = 1, .partition = 6};

static void
numbers_only_grow_and_what_is_raised_is_cleared(void **state)
{
    Rounds rounds = {0};

    rounds_raise(&rounds, ID, 0, 7);
    rounds_raise(&rounds, OTHER, 3, 0);
    rounds_raise(&rounds, ID, 5, 6);
    assert_int_equal(rounds_of(&rounds, ID).round, 5);
    assert_int_equal(rounds_of(&rounds, ID).cleared, 7);
    assert_int_equal(rounds_of(&rounds, OTHER).cleared, 3);
    rounds_free(&rounds);
}

static void
who_has_heard_of_a_higher_number_is_not_prepared_for_a_lower_one(void **state)
{
    Rounds rounds = {0};

    rounds_prepare(&rounds, ID, 4);
    rounds_raise(&rounds, ID, 0, 9);
    assert_int_equal(rounds_of(&rounds, ID).prepared, 0);
    rounds_free(&rounds);
}

static void
what_was_prepared_is_void_when_somebody_asks_how_far_the_bucket_is(void **state)
{
    TreeId elsewhere = {.bucket_id = 2, .partition = 5};
    Rounds rounds = {0};

    rounds_take_back(&rounds, ID.bucket_id);
    rounds_prepare(&rounds, OTHER, 4);
    rounds_prepare(&rounds, elsewhere, 4);
    rounds_prepare(&rounds, ID, 4);
    rounds_take_back(&rounds, ID.bucket_id);
    assert_int_equal(rounds_of(&rounds, ID).prepared, 0);
    assert_int_equal(rounds_of(&rounds, OTHER).prepared, 0);
    assert_int_equal(rounds_of(&rounds, elsewhere).prepared, 4);
    assert_int_equal(rounds_of(&rounds, ID).cleared, 4);
    rounds_free(&rounds);
}

static void
an_owner_refuses_below_what_is_raised_and_others_below_what_they_heard_of(void **state)
{
    Rounds rounds = {0};
    Stage stage;

    stage_init(&stage, 5, 3);

    Slice key = stage_key_of(&stage, 0, 0);
    uint16_t members[STAGE_MEMBERS_MAX];
    uint64_t position;

    assert_true(topology_position(stage.bucket, key, &position));
    topology_preference(&stage.topology, position, members, STAGE_MEMBERS_MAX);
    rounds_raise(&rounds, rounds_id(&stage.topology, STAGE_BUCKET, position), 2, 6);
    assert_int_equal(rounds_floor(&rounds, &stage.topology, members[1], STAGE_BUCKET, position), 2);
    assert_int_equal(rounds_floor(&rounds, &stage.topology, members[4], STAGE_BUCKET, position), 6);
    assert_int_equal(rounds_label(&rounds, &stage.topology, STAGE_BUCKET, position), 6);
    assert_int_equal(rounds_label(NULL, &stage.topology, STAGE_BUCKET, position), 0);
    rounds_free(&rounds);
    stage_free(&stage);
}

static void
rounds_survive_the_process_and_what_was_prepared_does_not(void **state)
{
    Store *store = *state;
    uint64_t ref = store_ref(store);
    Round round = {.id = ID, .round = 5, .cleared = 8};

    rounds_prepare(&store->storage->rounds, ID, 8);
    store->answers[ref].merged = true; /* which there is none of */
    store->storage->set_round(store->storage, &round, ref);
    store_await(store, &store->answers[ref].durable);
    store_reopen(store, STORE_CACHE_BYTES);
    assert_int_equal(store->storage->rounds.count, 1);
    assert_int_equal(rounds_of(&store->storage->rounds, ID).round, 5);
    assert_int_equal(rounds_of(&store->storage->rounds, ID).cleared, 8);
    assert_int_equal(rounds_of(&store->storage->rounds, ID).prepared, 0);
}

static void
what_is_no_row_is_told(void **state)
{
    Rounds rounds = {0};

    assert_false(rounds_load(&rounds, slice_from_string("other"), slice_from_string("row")));
    assert_int_equal(rounds.count, 0);
    rounds_free(&rounds);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_only_grow_and_what_is_raised_is_cleared),
        cmocka_unit_test(who_has_heard_of_a_higher_number_is_not_prepared_for_a_lower_one),
        cmocka_unit_test(what_was_prepared_is_void_when_somebody_asks_how_far_the_bucket_is),
        cmocka_unit_test(an_owner_refuses_below_what_is_raised_and_others_below_what_they_heard_of),
        STORE_TEST(rounds_survive_the_process_and_what_was_prepared_does_not),
        cmocka_unit_test(what_is_no_row_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
