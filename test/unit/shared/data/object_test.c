/* Objects: the laws of the merge on random histories (S6), O1 to O4 at the decoder, and the ids
 * that were replaced. */
#include "shared/data/object.h"
#include "test/lib/round_trip.h"
#include "test/unit/causality/history.h"
#include "test/unit/stages/hostile.h"
#include "test/unit/stages/seeds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum
{
    HISTORIES = 2000,
    STEPS = 20,
    TRIPLES = 20
};

static Arena arena;

static int
set_up(void **state)
{
    arena_init(&arena, &MEMORY_HEAP);
    return 0;
}

static int
tear_down(void **state)
{
    arena_free(&arena);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const Actor ALICE = {{1}};
static const Actor BOB = {{2}};

static Dot
dot(Actor actor, uint64_t counter)
{
    return (Dot){.actor = actor, .epoch = 1, .counter = counter};
}

static VClock
clock_of(Dot a, Dot b)
{
    VClock first = vclock_add(&arena, &(VClock){0}, &a);

    return vclock_add(&arena, &first, &b);
}

static Sibling
sibling(uint8_t request, Dot its_dot, uint64_t written_at_ms)
{
    return (Sibling){.request = {{request}},
                     .written_at_ms = written_at_ms,
                     .value = slice_from_string("value"),
                     .dots = arena_copy(&arena, &its_dot, sizeof(Dot)),
                     .dot_count = 1};
}

static Object
object_of(VClock context, Sibling only)
{
    return (Object){.context = context,
                    .siblings = arena_copy(&arena, &only, sizeof(only)),
                    .sibling_count = 1};
}

static Slice
encoded(Arena *target, const Object *object)
{
    Buffer buffer;

    buffer_init(&buffer, &MEMORY_HEAP);
    object_encode(&buffer, object);

    Slice bytes = slice_copy(target, buffer_slice(&buffer));

    buffer_free(&buffer);
    return bytes;
}

static void
assert_same_object(Arena *target, const Object *a, const Object *b)
{
    Slice left = object_identity(encoded(target, a));
    Slice right = object_identity(encoded(target, b));

    assert_int_equal(left.length, right.length);
    assert_memory_equal(left.data, right.data, left.length);
}

static void
a_sibling_that_the_other_side_never_saw_survives(void **state)
{
    Object a = object_of(clock_of(dot(ALICE, 1), dot(ALICE, 1)), sibling(1, dot(ALICE, 1), 1));
    Object b = object_of(clock_of(dot(BOB, 1), dot(BOB, 1)), sibling(2, dot(BOB, 1), 1));

    assert_int_equal(object_merge(&arena, &a, &b).sibling_count, 2);
}

static void
a_sibling_that_the_other_side_replaced_is_gone(void **state)
{
    Object a = object_of(clock_of(dot(ALICE, 1), dot(ALICE, 1)), sibling(1, dot(ALICE, 1), 1));
    Object b = object_of(clock_of(dot(ALICE, 1), dot(BOB, 1)), sibling(2, dot(BOB, 1), 1));
    Object merged = object_merge(&arena, &a, &b);

    assert_int_equal(merged.sibling_count, 1);
    assert_int_equal(merged.siblings[0].request.bytes[0], 2);
}

static void
siblings_of_one_request_become_one_with_the_dots_of_both(void **state)
{
    Object a = object_of(clock_of(dot(ALICE, 1), dot(ALICE, 1)), sibling(1, dot(ALICE, 1), 5));
    Object b = object_of(clock_of(dot(BOB, 1), dot(BOB, 1)), sibling(1, dot(BOB, 1), 3));
    Object merged = object_merge(&arena, &a, &b);

    assert_int_equal(merged.sibling_count, 1);
    assert_int_equal(merged.siblings[0].dot_count, 2);
    assert_int_equal(merged.siblings[0].written_at_ms, 3);
}

static void
a_sibling_lives_while_one_of_its_dots_does(void **state)
{
    Object a = object_of(clock_of(dot(ALICE, 1), dot(ALICE, 1)), sibling(1, dot(ALICE, 1), 5));
    Object b = object_of(clock_of(dot(BOB, 1), dot(BOB, 1)), sibling(1, dot(BOB, 1), 3));
    Object both = object_merge(&arena, &a, &b);
    Object seen_bob = {.context = clock_of(dot(BOB, 1), dot(BOB, 1))};
    Object left = object_overwrite(&arena, &both, &seen_bob);

    assert_int_equal(left.sibling_count, 1);
    assert_int_equal(left.siblings[0].dot_count, 1);
    assert_int_equal(
        object_overwrite(&arena, &left, &(Object){.context = both.context}).sibling_count, 0);
}

/* If it did not, two orders of the same merges would differ in when the sibling was written. */
static void
a_dot_that_dies_takes_its_time_with_it(void **state)
{
    Object a = object_of(clock_of(dot(ALICE, 1), dot(ALICE, 1)), sibling(1, dot(ALICE, 1), 5));
    Object b = object_of(clock_of(dot(BOB, 1), dot(BOB, 1)), sibling(1, dot(BOB, 1), 3));
    Object seen_bob = {.context = b.context};
    Object ab = object_merge(&arena, &a, &b);
    Object first = object_merge(&arena, &ab, &seen_bob);
    Object bc = object_merge(&arena, &b, &seen_bob);
    Object second = object_merge(&arena, &a, &bc);

    assert_int_equal(first.siblings[0].written_at_ms, 5);
    assert_same_object(&arena, &first, &second);
}

static void
tombstones_are_not_live(void **state)
{
    Object object = object_of(clock_of(dot(ALICE, 1), dot(ALICE, 1)), sibling(1, dot(ALICE, 1), 1));

    assert_int_equal(object_live_count(&object), 1);
    object.siblings[0].tombstone = true;
    assert_int_equal(object_live_count(&object), 0);
}

static void
many_siblings_merge_and_decode_in_time(void **state)
{
    enum
    {
        COUNT = 50000
    };
    Object object = {.context = clock_of(dot(ALICE, COUNT), dot(ALICE, COUNT))};
    Object decoded;

    object.siblings = ARENA_ARRAY(&arena, Sibling, COUNT);
    for (uint32_t i = 0; i < COUNT; i++)
    {
        object.siblings[i] = sibling(0, dot(ALICE, i + 1), i % 7);
        memcpy(&object.siblings[i].request, &i, sizeof(i));
    }
    object.sibling_count = COUNT;
    object_sort(&object);
    assert_true(object_decode(encoded(&arena, &object), &arena, &decoded));
    decoded = object_merge(&arena, &object, &decoded);
    assert_same_object(&arena, &object, &decoded);
}

static void
check_laws(History *history, const Object *a, const Object *b, const Object *c)
{
    Arena *scratch = &history->arena;
    Object ab = object_merge(scratch, a, b);
    Object ba = object_merge(scratch, b, a);
    Object aa = object_merge(scratch, a, a);
    Object bc = object_merge(scratch, b, c);
    Object ab_c = object_merge(scratch, &ab, c);
    Object a_bc = object_merge(scratch, a, &bc);
    Object again = object_merge(scratch, &ab, b);

    assert_same_object(scratch, &ab, &ba);
    assert_same_object(scratch, &aa, a);
    assert_same_object(scratch, &ab_c, &a_bc);
    assert_same_object(scratch, &again, &ab);
}

static void
merge_is_commutative_associative_and_idempotent_over_random_histories(void **state)
{
    History history;

    history_init(&history);
    for (uint64_t seed = 1; seed <= HISTORIES; seed++)
    {
        history_begin(&history, seed);
        for (int i = 0; i < STEPS; i++)
            history_step(&history);
        for (int i = 0; i < TRIPLES; i++)
        {
            Object a = history_object(&history, history_any_snapshot(&history));
            Object b = history_object(&history, history_any_snapshot(&history));
            Object c = history_object(&history, history_any_snapshot(&history));

            check_laws(&history, &a, &b, &c);
        }
    }
    history_free(&history);
}

static void
an_object_decodes_to_what_was_encoded(void **state)
{
    Object object =
        object_of(clock_of(dot(ALICE, 1), dot(BOB, 9)), sibling(1, dot(BOB, 4), 123456));
    Object decoded;

    assert_true(object_decode(encoded(&arena, &object), &arena, &decoded));
    assert_int_equal(decoded.context.count, 2);
    assert_int_equal(decoded.sibling_count, 1);
    assert_int_equal(decoded.siblings[0].written_at_ms, 123456);
    assert_int_equal(decoded.siblings[0].dots[0].counter, 4);
    assert_memory_equal(&decoded.siblings[0].dots[0].actor, &BOB, sizeof(Actor));
    assert_true(slice_equal(decoded.siblings[0].value, slice_from_string("value")));
}

static void
hostile_bytes_are_refused(void **state)
{
    History history;

    history_init(&history);
    for (uint64_t seed = 1; seed <= 20; seed++)
    {
        history_begin(&history, seed);
        for (int i = 0; i < STEPS; i++)
            history_step(&history);

        Object object = history_object(&history, history_any_snapshot(&history));

        Slice bytes = encoded(&history.arena, &object);

        if (bytes.length > 0)
            seeds_keep("object", "history", bytes);
        assert_hostile_bytes_are_refused(bytes, round_trip_object);
    }
    history_free(&history);
}

/* It would be a second form of the object that says nothing; and beside ids that were replaced,
 * what says nothing is a second form of those ids alone. */
static void
an_object_that_says_nothing_has_one_form(void **state)
{
    static const uint8_t without_itself[] = {1, 0, 0, 0, 0};
    static const RequestId request = {{1}};
    RequestIds group = {&request, 1};
    Object object = {0};
    Object decoded;
    Buffer bytes;

    assert_true(object_decode(encoded(&arena, &object), &arena, &decoded));
    assert_false(
        object_decode(slice_make(without_itself, sizeof(without_itself)), &arena, &decoded));
    buffer_init(&bytes, &MEMORY_HEAP);
    object_encode(&bytes, &object);
    buffer_put_varint(&bytes, group.count);
    buffer_put(&bytes, group.ids, sizeof(RequestId));
    assert_false(object_decode(buffer_slice(&bytes), &arena, &decoded));
    buffer_free(&bytes);
    object = (Object){.replaced = &group, .replaced_count = 1};
    assert_true(object_decode(encoded(&arena, &object), &arena, &decoded));
    assert_int_equal(decoded.replaced_count, 1);
}

static void
one_request_id_in_two_siblings_is_refused(void **state)
{
    Object object = object_of(clock_of(dot(ALICE, 2), dot(ALICE, 2)), sibling(1, dot(ALICE, 1), 1));
    Sibling pair[] = {sibling(1, dot(ALICE, 1), 1), sibling(1, dot(ALICE, 2), 2)};
    Object decoded;

    object.siblings = pair;
    object.sibling_count = 2;
    assert_false(object_decode(encoded(&arena, &object), &arena, &decoded));
    pair[1].request.bytes[0] = 2;
    assert_true(object_decode(encoded(&arena, &object), &arena, &decoded));
    pair[1].dots[0].counter = 1;
    assert_false(object_decode(encoded(&arena, &object), &arena, &decoded));
}

static void
the_siblings_of_an_encoded_object_are_counted_without_decoding_them(void **state)
{
    Object object = object_of(clock_of(dot(ALICE, 1), dot(ALICE, 1)), sibling(1, dot(ALICE, 1), 1));
    Slice bytes = encoded(&arena, &object);

    assert_int_equal(object_encoded_siblings(bytes, &arena), 1);
    assert_int_equal(object_encoded_siblings(slice_make(bytes.data, 1), &arena), 0);
    assert_int_equal(object_encoded_siblings(SLICE_EMPTY, &arena), 0);
}

static Object
says_replaced(VClock context, uint8_t request)
{
    RequestId id = {{request}};
    RequestIds ids = {.ids = arena_copy(&arena, &id, sizeof(id)), .count = 1};
    Object object = {.context = context};

    object_add_replaced(&arena, &object, &ids);
    return object;
}

/* The second stamp of a write whose first one was replaced. */
static void
a_merge_drops_siblings_of_ids_that_were_replaced_and_keeps_their_dots_seen(void **state)
{
    Object late = object_of(clock_of(dot(ALICE, 1), dot(ALICE, 1)), sibling(1, dot(ALICE, 1), 5));
    Object other = says_replaced(clock_of(dot(BOB, 2), dot(BOB, 2)), 1);
    Object merged = object_merge(&arena, &late, &other);
    Dot seen = dot(ALICE, 1);

    assert_int_equal(merged.sibling_count, 0);
    assert_true(vclock_covers(&merged.context, &seen));
    assert_int_equal(merged.replaced_count, 1);
    merged = object_merge(&arena, &other, &late);
    assert_int_equal(merged.sibling_count, 0);
}

static void
what_was_replaced_is_no_part_of_what_an_object_is(void **state)
{
    VClock clock = clock_of(dot(BOB, 2), dot(BOB, 2));
    Object object = object_of(clock, sibling(2, dot(BOB, 2), 5));
    Object more = object;
    Object also = says_replaced(clock, 1);
    Slice bytes;
    Object decoded;

    more.replaced = also.replaced;
    more.replaced_count = 1;
    bytes = encoded(&arena, &more);
    assert_true(slice_equal(object_identity(bytes), encoded(&arena, &object)));
    assert_true(object_decode(object_identity(bytes), &arena, &decoded));
    assert_int_equal(decoded.replaced_count, 0);
    assert_true(object_decode(bytes, &arena, &decoded));
    assert_int_equal(decoded.replaced[0].ids[0].bytes[0], 1);
    assert_int_equal(
        object_identity(encoded(&arena, &(Object){.replaced = also.replaced, .replaced_count = 1}))
            .length,
        0);
}

static void
a_reader_has_seen_siblings_and_what_they_replaced(void **state)
{
    VClock clock = clock_of(dot(BOB, 2), dot(BOB, 2));
    Object object = object_of(clock, sibling(2, dot(BOB, 2), 5));
    Object also = says_replaced(clock, 1);
    Object past;

    object.replaced = also.replaced;
    object.replaced_count = 1;
    past = object_past(&arena, &object);
    assert_int_equal(past.sibling_count, 0);
    assert_int_equal(past.replaced_count, 2);
    assert_int_equal(past.replaced[0].ids[0].bytes[0], 2);
    assert_int_equal(past.replaced[1].ids[0].bytes[0], 1);
}

/* Of the object's own siblings too, though the writer was shown none of them. */
static void
what_a_write_drops_was_replaced(void **state)
{
    VClock clock = clock_of(dot(ALICE, 1), dot(ALICE, 1));
    Object object = object_of(clock, sibling(7, dot(ALICE, 1), 5));
    Object left = object_overwrite(&arena, &object, &(Object){.context = clock});

    assert_int_equal(left.sibling_count, 0);
    assert_int_equal(left.replaced[0].ids[0].bytes[0], 7);
}

static void
a_sibling_that_its_object_says_was_replaced_is_refused(void **state)
{
    VClock clock = clock_of(dot(ALICE, 1), dot(ALICE, 1));
    Object object = object_of(clock, sibling(1, dot(ALICE, 1), 5));
    Object also = says_replaced(clock, 1);
    Object decoded;

    object.replaced = also.replaced;
    object.replaced_count = 1;
    assert_false(object_decode(encoded(&arena, &object), &arena, &decoded));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_sibling_that_the_other_side_never_saw_survives),
        TEST(a_sibling_that_the_other_side_replaced_is_gone),
        TEST(siblings_of_one_request_become_one_with_the_dots_of_both),
        TEST(a_sibling_lives_while_one_of_its_dots_does),
        TEST(a_dot_that_dies_takes_its_time_with_it),
        TEST(tombstones_are_not_live),
        TEST(many_siblings_merge_and_decode_in_time),
        TEST(merge_is_commutative_associative_and_idempotent_over_random_histories),
        TEST(an_object_decodes_to_what_was_encoded),
        TEST(hostile_bytes_are_refused),
        TEST(an_object_that_says_nothing_has_one_form),
        TEST(one_request_id_in_two_siblings_is_refused),
        TEST(the_siblings_of_an_encoded_object_are_counted_without_decoding_them),
        TEST(a_merge_drops_siblings_of_ids_that_were_replaced_and_keeps_their_dots_seen),
        TEST(what_was_replaced_is_no_part_of_what_an_object_is),
        TEST(a_reader_has_seen_siblings_and_what_they_replaced),
        TEST(what_a_write_drops_was_replaced),
        TEST(a_sibling_that_its_object_says_was_replaced_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
