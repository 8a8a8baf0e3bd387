/* Contexts: what is sealed opens for its key alone, every change is noticed, and every fault has a
 * name. */
#include "shared/data/context.h"
#include "test/unit/stages/hostile.h"
#include "test/unit/stages/seeds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct Fixture
{
    Arena arena;
    Buffer sealed;
    Object past; /* what is sealed */
} Fixture;

static int
set_up(void **state)
{
    static Fixture fixture;
    static const Dot dot = {.actor = {{1, 2, 3}}, .epoch = 1, .counter = 5};
    static const Dot other = {.actor = {{4, 5, 6}}, .epoch = 2, .counter = 300};
    static const RequestId shown[] = {{{7}}, {{8}}};
    static const RequestId older = {{9}};
    static RequestIds groups[] = {
        {shown,  2},
        {&older, 1}
    };

    arena_init(&fixture.arena, &MEMORY_HEAP);
    buffer_init(&fixture.sealed, &MEMORY_HEAP);
    fixture.past.context = vclock_add(&fixture.arena, &(VClock){0}, &dot);
    fixture.past.context = vclock_add(&fixture.arena, &fixture.past.context, &other);
    fixture.past.replaced = groups;
    fixture.past.replaced_count = 2;
    context_seal(&fixture.sealed, &ROUND_TRIP_KEYS, ROUND_TRIP_BUCKET, ROUND_TRIP_KEY,
                 &fixture.past);
    *state = &fixture;
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;

    arena_free(&fixture->arena);
    buffer_free(&fixture->sealed);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static ContextResult
open_sealed(Fixture *fixture, Object *past)
{
    return context_open(buffer_slice(&fixture->sealed), &ROUND_TRIP_KEYS, ROUND_TRIP_BUCKET,
                        ROUND_TRIP_KEY, &fixture->arena, past);
}

static void
a_sealed_context_opens_to_what_was_seen(void **state)
{
    Fixture *fixture = *state;
    Object past;

    assert_int_equal(open_sealed(fixture, &past), CONTEXT_OK);
    assert_int_equal(vclock_compare(&past.context, &fixture->past.context), VCLOCK_EQUAL);
    assert_int_equal(past.replaced_count, 2);
    assert_int_equal(past.replaced[0].ids[1].bytes[0], 8);
}

static void
no_bytes_open_as_the_empty_clock(void **state)
{
    Fixture *fixture = *state;
    Object past = fixture->past;

    buffer_reset(&fixture->sealed);
    assert_int_equal(open_sealed(fixture, &past), CONTEXT_OK);
    assert_int_equal(past.context.count, 0);
}

static void
an_empty_clock_can_be_sealed(void **state)
{
    Fixture *fixture = *state;
    Object past = fixture->past;

    buffer_reset(&fixture->sealed);
    context_seal(&fixture->sealed, &ROUND_TRIP_KEYS, ROUND_TRIP_BUCKET, ROUND_TRIP_KEY,
                 &(Object){0});
    assert_int_equal(open_sealed(fixture, &past), CONTEXT_OK);
    assert_int_equal(past.context.count, 0);
}

static void
sealing_appends_to_what_the_buffer_has(void **state)
{
    Fixture *fixture = *state;
    size_t length = fixture->sealed.length;
    Object past;

    context_seal(&fixture->sealed, &ROUND_TRIP_KEYS, ROUND_TRIP_BUCKET, ROUND_TRIP_KEY,
                 &fixture->past);
    buffer_consume(&fixture->sealed, length);
    assert_int_equal(open_sealed(fixture, &past), CONTEXT_OK);
}

static void
another_buckets_context_is_named_as_such(void **state)
{
    Fixture *fixture = *state;
    Object past = {.context.count = 77};

    assert_int_equal(context_open(buffer_slice(&fixture->sealed), &ROUND_TRIP_KEYS,
                                  ROUND_TRIP_BUCKET + 1, ROUND_TRIP_KEY, &fixture->arena, &past),
                     CONTEXT_OTHER_BUCKET);
    assert_int_equal(past.context.count, 77);
}

static void
another_keys_context_is_named_as_such(void **state)
{
    Fixture *fixture = *state;
    Object past = {.context.count = 77};

    assert_int_equal(context_open(buffer_slice(&fixture->sealed), &ROUND_TRIP_KEYS,
                                  ROUND_TRIP_BUCKET, slice_from_string("kez"), &fixture->arena,
                                  &past),
                     CONTEXT_OTHER_KEY);
    assert_int_equal(past.context.count, 77);
}

static void
another_clusters_context_is_named_as_such(void **state)
{
    Fixture *fixture = *state;
    const uint8_t cluster_keys[2][32] = {{1}, {2}};
    ContextKeys own = context_keys(cluster_keys, 1);
    ContextKeys other = context_keys(cluster_keys + 1, 1);
    Object past = {.context.count = 77};

    buffer_reset(&fixture->sealed);
    context_seal(&fixture->sealed, &own, 1, ROUND_TRIP_KEY, &fixture->past);
    assert_int_equal(context_open(buffer_slice(&fixture->sealed), &other, 1, ROUND_TRIP_KEY,
                                  &fixture->arena, &past),
                     CONTEXT_OTHER_CLUSTER);
    assert_int_equal(past.context.count, 77);
    assert_int_equal(context_open(buffer_slice(&fixture->sealed), &own, 1, ROUND_TRIP_KEY,
                                  &fixture->arena, &past),
                     CONTEXT_OK);
}

static void
a_context_opens_under_the_key_before_and_the_key_after_a_rotation(void **state)
{
    Fixture *fixture = *state;
    const uint8_t cluster_keys[3][32] = {{1}, {2}, {1}};
    ContextKeys before = context_keys(cluster_keys, 2);
    ContextKeys after = context_keys(cluster_keys + 1, 2);
    Object past;

    buffer_reset(&fixture->sealed);
    context_seal(&fixture->sealed, &before, 1, ROUND_TRIP_KEY, &fixture->past);
    context_seal(&fixture->sealed, &after, 1, ROUND_TRIP_KEY, &fixture->past);
    assert_int_equal(context_open(buffer_slice(&fixture->sealed), &before, 1, ROUND_TRIP_KEY,
                                  &fixture->arena, &past),
                     CONTEXT_OK);
    assert_int_equal(context_open(buffer_slice(&fixture->sealed), &after, 1, ROUND_TRIP_KEY,
                                  &fixture->arena, &past),
                     CONTEXT_OK);
    assert_int_equal(vclock_compare(&past.context, &fixture->past.context), VCLOCK_EQUAL);
}

static void
several_pieces_stand_for_all_that_any_has_seen(void **state)
{
    Fixture *fixture = *state;
    static const Dot later = {.actor = {{1, 2, 3}}, .epoch = 1, .counter = 9};
    static const RequestId request = {{10}};
    static RequestIds replaced = {&request, 1};
    Object second = {.context = vclock_add(&fixture->arena, &(VClock){0}, &later),
                     .replaced = &replaced,
                     .replaced_count = 1};
    VClock expected = vclock_merge(&fixture->arena, &fixture->past.context, &second.context);
    Object past;

    context_seal(&fixture->sealed, &ROUND_TRIP_KEYS, ROUND_TRIP_BUCKET, ROUND_TRIP_KEY, &second);
    assert_int_equal(open_sealed(fixture, &past), CONTEXT_OK);
    assert_int_equal(vclock_compare(&past.context, &expected), VCLOCK_EQUAL);
    assert_int_equal(past.replaced_count, 3);
}

static void
a_pending_piece_is_told_from_others_and_refused(void **state)
{
    Fixture *fixture = *state;
    ContextPending pending = {.transaction = {8}, .through = 70, .before_command = 3};
    Reader reader;
    ContextPiece piece;
    Object past = {.context.count = 77};

    context_put_pending(&fixture->sealed, ROUND_TRIP_BUCKET, ROUND_TRIP_KEY, &pending);
    assert_int_equal(open_sealed(fixture, &past), CONTEXT_PENDING);
    assert_int_equal(past.context.count, 77);
    reader = reader_begin(buffer_slice(&fixture->sealed));
    piece = context_next(&reader, &fixture->arena);
    assert_int_equal(piece.kind, CONTEXT_PIECE_SEALED);
    assert_int_equal(vclock_compare(&piece.clock, &fixture->past.context), VCLOCK_EQUAL);
    piece = context_next(&reader, &fixture->arena);
    assert_true(reader_finish(&reader));
    assert_int_equal(piece.kind, CONTEXT_PIECE_PENDING);
    assert_memory_equal(piece.pending.transaction, pending.transaction,
                        sizeof(pending.transaction));
    assert_int_equal(piece.pending.through, pending.through);
    assert_int_equal(piece.pending.before_command, pending.before_command);
    assert_true(context_piece_is_of(&piece, ROUND_TRIP_BUCKET, ROUND_TRIP_KEY));
    assert_false(context_piece_is_of(&piece, ROUND_TRIP_BUCKET, slice_from_string("kez")));
}

static void
every_edited_bit_is_noticed(void **state)
{
    Fixture *fixture = *state;

    for (size_t at = 0; at < fixture->sealed.length; at++)
    {
        for (unsigned bit = 0; bit < 8; bit++)
        {
            Object past = {.context.count = 77};

            fixture->sealed.data[at] ^= (uint8_t)(1 << bit);
            assert_int_not_equal(open_sealed(fixture, &past), CONTEXT_OK);
            assert_int_equal(past.context.count, 77);
            fixture->sealed.data[at] ^= (uint8_t)(1 << bit);
        }
    }
}

static void
a_counter_raised_by_hand_is_noticed(void **state)
{
    Fixture *fixture = *state;
    Object past;

    /* The last byte before the MAC is the last counter's. */
    fixture->sealed.data[fixture->sealed.length - 17]++;
    assert_int_equal(open_sealed(fixture, &past), CONTEXT_EDITED);
}

static void
a_truncated_context_is_malformed(void **state)
{
    Fixture *fixture = *state;
    Object past;

    while (--fixture->sealed.length > 0)
        assert_int_equal(open_sealed(fixture, &past), CONTEXT_MALFORMED);
}

static void
an_unknown_kind_is_malformed(void **state)
{
    Fixture *fixture = *state;
    Object past;

    fixture->sealed.data[0] = 99;
    assert_int_equal(open_sealed(fixture, &past), CONTEXT_MALFORMED);
}

static void
hostile_bytes_are_refused(void **state)
{
    Fixture *fixture = *state;

    /* One piece, which alone comes back as the same bytes; and, as seeds, what else a context has.
     */
    static const ContextPending pending = {
        .transaction = {1, 2, 3},
          .through = 300, .before_command = 4
    };
    Buffer vector;

    seeds_keep("context", "sealed", buffer_slice(&fixture->sealed));
    assert_hostile_bytes_are_refused(buffer_slice(&fixture->sealed), round_trip_context);
    context_put_pending(&fixture->sealed, ROUND_TRIP_BUCKET, ROUND_TRIP_KEY, &pending);
    seeds_keep("context", "sealed_and_pending", buffer_slice(&fixture->sealed));
    buffer_init(&vector, &MEMORY_HEAP);
    vclock_encode(&vector, &fixture->past.context);
    seeds_keep("context", "vector", buffer_slice(&vector));
    buffer_free(&vector);
}

static void
every_fault_has_a_status_of_its_own(void **state)
{
    assert_int_equal(context_status(CONTEXT_OK), STATUS_OK);
    for (int a = CONTEXT_MALFORMED; a <= CONTEXT_PENDING; a++)
    {
        StatusCode status = context_status((ContextResult)a);

        assert_string_equal(status_sqlstate(status), "22023");
        assert_true(status_is_about_request(status));
        for (int b = CONTEXT_MALFORMED; b < a; b++)
            assert_int_not_equal(status, context_status((ContextResult)b));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_sealed_context_opens_to_what_was_seen),
        TEST(no_bytes_open_as_the_empty_clock),
        TEST(an_empty_clock_can_be_sealed),
        TEST(sealing_appends_to_what_the_buffer_has),
        TEST(another_buckets_context_is_named_as_such),
        TEST(another_keys_context_is_named_as_such),
        TEST(another_clusters_context_is_named_as_such),
        TEST(a_context_opens_under_the_key_before_and_the_key_after_a_rotation),
        TEST(several_pieces_stand_for_all_that_any_has_seen),
        TEST(a_pending_piece_is_told_from_others_and_refused),
        TEST(every_edited_bit_is_noticed),
        TEST(a_counter_raised_by_hand_is_noticed),
        TEST(a_truncated_context_is_malformed),
        TEST(an_unknown_kind_is_malformed),
        TEST(hostile_bytes_are_refused),
        TEST(every_fault_has_a_status_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
