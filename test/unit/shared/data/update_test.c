/* Stamping, merging, hints and reaping of one record: what is refused, what opens an epoch, and
 * random histories beside sets of events. */
#include "shared/data/update.h"
#include "test/unit/causality/history.h"
#include "test/unit/stages/seeds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum
{
    HISTORIES = 300000,
    STEPS = 14,
    REPEATED = 200, /* histories of which one more update is applied twice */
    SEEDS = 6       /* of these, as many are seeds */
};

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const Actor ACTOR = {{1}};

typedef struct Fixture
{
    Arena arena;
    Buffer record; /* the stored one */
    Run run;
} Fixture;

static int
set_up(void **state)
{
    static Fixture fixture;

    fixture = (Fixture){.run = {.actor = ACTOR}};
    arena_init(&fixture.arena, &MEMORY_HEAP);
    buffer_init(&fixture.record, &MEMORY_HEAP);
    *state = &fixture;
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;

    arena_free(&fixture->arena);
    buffer_free(&fixture->record);
    return 0;
}

static PutValue
value_of(uint8_t request, const char *text)
{
    return (PutValue){.request = {{request}},
                      .tombstone = text == NULL,
                      .value = text != NULL ? slice_from_string(text) : SLICE_EMPTY};
}

static UpdateResult
apply(Fixture *fixture, const Update *update)
{
    Buffer next;
    Slice object;

    buffer_init(&next, &MEMORY_HEAP);

    UpdateResult result = update_apply(&fixture->run, buffer_slice(&fixture->record), update, NULL,
                                       &fixture->arena, &next, &object);

    if (result == UPDATE_CORRUPT || result == UPDATE_CROWDED)
    {
        assert_int_equal(next.length, 0);
        buffer_free(&next);
    }
    else
    {
        buffer_free(&fixture->record);
        fixture->record = next;
    }
    return result;
}

static UpdateResult
put(Fixture *fixture, VClock context, PutValue value, uint64_t now_ms)
{
    Put wanted = {.past.context = context, .values = &value, .value_count = 1, .now_ms = now_ms};

    return apply(fixture, &(Update){.put = &wanted});
}

static Object
stored(Fixture *fixture)
{
    Object object = {0};
    Slice bytes;

    assert_true(update_record_object(buffer_slice(&fixture->record), &bytes));
    if (bytes.length > 0)
        assert_true(object_decode(slice_copy(&fixture->arena, bytes), &fixture->arena, &object));
    return object;
}

static void
a_first_put_is_stamped_with_the_first_dot_of_a_new_epoch(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(put(fixture, (VClock){0}, value_of(7, "v"), 42), UPDATE_CHANGED);

    Object object = stored(fixture);

    assert_int_equal(object.sibling_count, 1);
    assert_int_equal(object.siblings[0].written_at_ms, 42);
    assert_true(slice_equal(object.siblings[0].value, slice_from_string("v")));
    assert_int_equal(object.siblings[0].dots[0].epoch, 1);
    assert_int_equal(object.siblings[0].dots[0].counter, 1);
    assert_memory_equal(&object.siblings[0].dots[0].actor, &ACTOR, sizeof(Actor));
}

static void
concurrent_puts_become_siblings(void **state)
{
    Fixture *fixture = *state;

    put(fixture, (VClock){0}, value_of(1, "one"), 1);
    put(fixture, (VClock){0}, value_of(2, "two"), 1);
    assert_int_equal(stored(fixture).sibling_count, 2);
}

static void
a_put_replaces_what_its_context_has_seen_and_nothing_else(void **state)
{
    Fixture *fixture = *state;

    put(fixture, (VClock){0}, value_of(1, "one"), 1);

    VClock seen = stored(fixture).context;

    put(fixture, (VClock){0}, value_of(2, "two"), 1);
    put(fixture, seen, value_of(3, "three"), 1);

    Object object = stored(fixture);

    assert_int_equal(object.sibling_count, 2);
    assert_null(object_find(&object, &(RequestId){{1}}));
    assert_non_null(object_find(&object, &(RequestId){{2}}));
    assert_non_null(object_find(&object, &(RequestId){{3}}));
}

static void
a_delete_leaves_a_tombstone_under_the_context(void **state)
{
    Fixture *fixture = *state;

    put(fixture, (VClock){0}, value_of(1, "one"), 1);
    put(fixture, stored(fixture).context, value_of(2, NULL), 1);

    Object object = stored(fixture);

    assert_int_equal(object.sibling_count, 1);
    assert_true(object.siblings[0].tombstone);
    assert_int_equal(object_live_count(&object), 0);
}

static void
a_put_that_arrives_twice_is_one_write(void **state)
{
    Fixture *fixture = *state;

    put(fixture, (VClock){0}, value_of(1, "one"), 1);
    assert_int_equal(put(fixture, (VClock){0}, value_of(1, "one"), 9), UPDATE_UNCHANGED);
    assert_int_equal(stored(fixture).sibling_count, 1);
    assert_int_equal(stored(fixture).siblings[0].dot_count, 1);
}

static void
the_values_of_one_put_are_siblings_with_dots_of_their_own(void **state)
{
    Fixture *fixture = *state;
    PutValue values[] = {value_of(1, "a"), value_of(2, "b"), value_of(3, NULL)};
    Put wanted = {.values = values, .value_count = 3};

    assert_int_equal(apply(fixture, &(Update){.put = &wanted}), UPDATE_CHANGED);

    Object object = stored(fixture);

    assert_int_equal(object.sibling_count, 3);
    assert_int_equal(object_live_count(&object), 2);
    assert_int_equal(object.context.count, 1);
    assert_int_equal(object.context.entries[0].counter, 3);
}

static void
counters_go_on_in_one_epoch_while_nothing_is_lost(void **state)
{
    Fixture *fixture = *state;

    for (uint8_t i = 1; i <= 5; i++)
        put(fixture, stored(fixture).context, value_of(i, "v"), 1);

    Object object = stored(fixture);

    assert_int_equal(object.context.count, 1);
    assert_int_equal(object.context.entries[0].counter, 5);
    assert_int_equal(fixture->run.epoch, 1);
}

static void
a_lost_record_opens_a_new_epoch(void **state)
{
    Fixture *fixture = *state;

    put(fixture, (VClock){0}, value_of(1, "one"), 1);
    buffer_reset(&fixture->record);
    put(fixture, (VClock){0}, value_of(2, "two"), 1);

    Object object = stored(fixture);

    assert_int_equal(object.siblings[0].dots[0].epoch, 2);
    assert_int_equal(object.siblings[0].dots[0].counter, 1);
}

static void
a_counter_that_came_back_from_others_opens_a_new_epoch(void **state)
{
    Fixture *fixture = *state;

    put(fixture, (VClock){0}, value_of(1, "one"), 1);

    Object older = stored(fixture);

    put(fixture, (VClock){0}, value_of(2, "two"), 1);

    Object newer = stored(fixture);

    buffer_reset(&fixture->record);
    apply(fixture, &(Update){.merge = &older});
    put(fixture, newer.context, value_of(3, "three"), 1);
    assert_int_equal(stored(fixture).siblings[0].dots[0].epoch, 2);
}

static void
another_start_of_the_process_stamps_as_another_actor(void **state)
{
    Fixture *fixture = *state;

    put(fixture, (VClock){0}, value_of(1, "one"), 1);
    fixture->run = (Run){.actor = {{2}}};
    put(fixture, stored(fixture).context, value_of(2, "two"), 1);

    Object object = stored(fixture);

    assert_int_equal(object.context.count, 2);
    assert_memory_equal(&object.siblings[0].dots[0].actor, &fixture->run.actor, sizeof(Actor));
    assert_int_equal(object.siblings[0].dots[0].counter, 1);
}

static void
a_merge_never_moves_the_stamp(void **state)
{
    Fixture *fixture = *state;

    put(fixture, (VClock){0}, value_of(1, "one"), 1);

    Object foreign = stored(fixture);

    foreign.context.entries[0].actor = (Actor){{9}};
    foreign.siblings[0].dots[0].actor = (Actor){{9}};
    foreign.siblings[0].request = (RequestId){{9}};
    assert_int_equal(apply(fixture, &(Update){.merge = &foreign}), UPDATE_CHANGED);
    assert_int_equal(apply(fixture, &(Update){.merge = &foreign}), UPDATE_UNCHANGED);
    put(fixture, (VClock){0}, value_of(2, "two"), 1);

    Object object = stored(fixture);

    assert_int_equal(vclock_counter(&object.context, &ACTOR, 1), 2);
    assert_int_equal(object.sibling_count, 3);
}

static void
an_unreadable_record_is_reported_and_not_changed(void **state)
{
    Fixture *fixture = *state;

    put(fixture, (VClock){0}, value_of(1, "one"), 1);
    fixture->record.data[fixture->record.length - 1 - 4] ^= 0x80;
    assert_int_equal(put(fixture, (VClock){0}, value_of(2, "two"), 1), UPDATE_CORRUPT);
    fixture->record.data[0] = 99;
    assert_int_equal(put(fixture, (VClock){0}, value_of(2, "two"), 1), UPDATE_CORRUPT);
    assert_int_equal(fixture->run.epoch, 1);
}

static void
an_unreadable_record_is_forgotten_if_it_is_that_one(void **state)
{
    Fixture *fixture = *state;
    Digest digest;
    Digest other = {{1}};

    put(fixture, (VClock){0}, value_of(1, "one"), 1);
    digest = digest_of(buffer_slice(&fixture->record));
    assert_int_equal(apply(fixture, &(Update){.unreadable = &digest}), UPDATE_UNCHANGED);
    fixture->record.data[0] = 99;
    digest = digest_of(buffer_slice(&fixture->record));
    assert_int_equal(apply(fixture, &(Update){.unreadable = &other}), UPDATE_CORRUPT);
    assert_int_equal(apply(fixture, &(Update){.unreadable = &digest}), UPDATE_REPLACED);
    assert_int_equal(fixture->record.length, 0);
    assert_int_equal(apply(fixture, &(Update){.unreadable = &digest}), UPDATE_UNCHANGED);
}

static void
a_merge_takes_the_place_of_an_unreadable_record(void **state)
{
    Fixture *fixture = *state;
    VClock seen;
    Object object;

    put(fixture, (VClock){0}, value_of(1, "one"), 1);
    object = stored(fixture);
    put(fixture, (VClock){0}, value_of(2, "two"), 1);
    fixture->record.data[fixture->record.length - 1 - 4] ^= 0x80;
    assert_int_equal(apply(fixture, &(Update){.merge = &object}), UPDATE_REPLACED);
    assert_int_equal(apply(fixture, &(Update){.merge = &object}), UPDATE_UNCHANGED);
    object = stored(fixture);
    assert_int_equal(object.sibling_count, 1);
    seen = object.context;
    assert_int_equal(put(fixture, seen, value_of(3, "three"), 1), UPDATE_CHANGED);
    object = stored(fixture);
    assert_int_equal(vclock_counter(&object.context, &ACTOR, 2), 1);
    assert_int_equal(vclock_counter(&object.context, &ACTOR, 1), 1);
}

static Put *
put_of_many(Fixture *fixture, uint32_t count, uint8_t series)
{
    Put *many = ARENA_NEW(&fixture->arena, Put);

    many->values = ARENA_ARRAY(&fixture->arena, PutValue, count);
    many->value_count = count;
    for (uint32_t i = 0; i < count; i++)
    {
        many->values[i] = value_of(series, "v");
        memcpy(&many->values[i].request.bytes[1], &i, sizeof(i));
    }
    return many;
}

/* With the square of their number this would take minutes. */
static void
many_values_join_many_siblings_in_time(void **state)
{
    enum
    {
        COUNT = 200000
    };
    Fixture *fixture = *state;

    assert_int_equal(apply(fixture, &(Update){.put = put_of_many(fixture, COUNT, 1)}),
                     UPDATE_CHANGED);
    assert_int_equal(apply(fixture, &(Update){.put = put_of_many(fixture, COUNT, 2)}),
                     UPDATE_CHANGED);
    assert_int_equal(apply(fixture, &(Update){.put = put_of_many(fixture, COUNT, 1)}),
                     UPDATE_UNCHANGED);
    assert_int_equal(stored(fixture).sibling_count, 2 * COUNT);
}

/* A put of count values under a cap. */
static UpdateResult
put_capped(Fixture *fixture, uint32_t max, VClock context, uint32_t count, uint8_t series)
{
    Put *capped = put_of_many(fixture, count, series);

    capped->siblings_max = max;
    capped->past.context = context;
    return apply(fixture, &(Update){.put = capped});
}

static void
a_put_over_the_cap_on_siblings_changes_nothing(void **state)
{
    Fixture *fixture = *state;
    Slice before;

    assert_int_equal(put_capped(fixture, 3, (VClock){0}, 3, 1), UPDATE_CHANGED);
    before = slice_copy(&fixture->arena, buffer_slice(&fixture->record));
    assert_int_equal(put_capped(fixture, 3, (VClock){0}, 1, 2), UPDATE_CROWDED);
    assert_true(slice_equal(buffer_slice(&fixture->record), before));
    assert_int_equal(fixture->run.epoch, 1);
}

static void
a_first_put_is_capped_too_and_opens_no_epoch(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(put_capped(fixture, 3, (VClock){0}, 4, 1), UPDATE_CROWDED);
    assert_int_equal(fixture->record.length, 0);
    assert_int_equal(fixture->run.epoch, 0);
}

static void
tombstones_count_among_the_siblings_of_the_cap(void **state)
{
    Fixture *fixture = *state;
    PutValue gone = value_of(9, NULL);
    Put delete = {.values = &gone, .value_count = 1, .siblings_max = 2};

    assert_int_equal(apply(fixture, &(Update){.put = &delete}), UPDATE_CHANGED);
    assert_int_equal(put_capped(fixture, 2, (VClock){0}, 1, 1), UPDATE_CHANGED);
    assert_int_equal(put_capped(fixture, 2, (VClock){0}, 1, 2), UPDATE_CROWDED);
}

static void
a_put_that_leaves_fewer_siblings_than_there_were_passes_any_cap(void **state)
{
    Fixture *fixture = *state;

    put_capped(fixture, 0, (VClock){0}, 6, 1);

    VClock seen = stored(fixture).context;

    put_capped(fixture, 0, (VClock){0}, 4, 2);
    assert_int_equal(put_capped(fixture, 3, seen, 6, 3), UPDATE_CROWDED);
    assert_int_equal(put_capped(fixture, 3, seen, 5, 3), UPDATE_CHANGED);
    assert_int_equal(stored(fixture).sibling_count, 9);
}

static void
a_merge_knows_no_cap(void **state)
{
    Fixture *fixture = *state;
    Fixture other = {.run = {.actor = {{2}}}, .arena = fixture->arena};

    buffer_init(&other.record, &MEMORY_HEAP);
    put_capped(&other, 0, (VClock){0}, 8, 1);

    Object crowd = stored(&other);

    put_capped(fixture, 3, (VClock){0}, 3, 2);
    assert_int_equal(apply(fixture, &(Update){.merge = &crowd}), UPDATE_CHANGED);
    assert_int_equal(stored(fixture).sibling_count, 11);
    buffer_free(&other.record);
    fixture->arena = other.arena;
}

static void
a_refused_put_takes_its_merge_with_it(void **state)
{
    Fixture *fixture = *state;

    put_capped(fixture, 0, (VClock){0}, 3, 1);

    Object crowd = stored(fixture);
    Put *capped = put_of_many(fixture, 1, 2);

    capped->siblings_max = 3;
    buffer_reset(&fixture->record);
    assert_int_equal(apply(fixture, &(Update){.merge = &crowd, .put = capped}), UPDATE_CROWDED);
    assert_int_equal(fixture->record.length, 0);
}

static void
a_retry_of_a_put_that_is_known_is_not_refused(void **state)
{
    Fixture *fixture = *state;

    put_capped(fixture, 3, (VClock){0}, 3, 1);
    put_capped(fixture, 0, (VClock){0}, 3, 2);
    assert_int_equal(put_capped(fixture, 3, (VClock){0}, 3, 1), UPDATE_UNCHANGED);
}

/* Reaps the stored object, for which these runs are the present ones. */
static UpdateResult
reap(Fixture *fixture, const Actor *live, uint32_t live_count)
{
    Slice object;

    assert_true(update_record_object(buffer_slice(&fixture->record), &object));

    Reap wanted = {.digest = object_digest(object), .live = live, .live_count = live_count};

    return apply(fixture, &(Update){.reap = &wanted});
}

static void
what_tombstones_alone_are_left_of_is_reaped_whole(void **state)
{
    Fixture *fixture = *state;

    put(fixture, (VClock){0}, value_of(1, "one"), 1);
    put(fixture, stored(fixture).context, value_of(2, NULL), 1);
    assert_int_equal(reap(fixture, &ACTOR, 1), UPDATE_CHANGED);
    assert_int_equal(fixture->record.length, 0);
}

static void
a_value_beside_a_tombstone_keeps_both_from_being_reaped(void **state)
{
    Fixture *fixture = *state;

    put(fixture, (VClock){0}, value_of(1, NULL), 1);
    put(fixture, (VClock){0}, value_of(2, "two"), 1);
    assert_int_equal(reap(fixture, &ACTOR, 1), UPDATE_UNCHANGED);
    assert_int_equal(stored(fixture).sibling_count, 2);
}

static void
an_object_that_is_not_the_proved_one_stays(void **state)
{
    Fixture *fixture = *state;
    Reap other = {.digest = {{1}}};

    put(fixture, (VClock){0}, value_of(1, NULL), 1);
    assert_int_equal(apply(fixture, &(Update){.reap = &other}), UPDATE_UNCHANGED);
    assert_int_equal(stored(fixture).sibling_count, 1);
}

static void
what_owes_a_hint_is_not_reaped(void **state)
{
    Fixture *fixture = *state;
    HintChange hint = {.target = {{9}}};

    put(fixture, (VClock){0}, value_of(1, NULL), 1);
    apply(fixture, &(Update){.hints = &hint, .hint_count = 1});
    assert_int_equal(reap(fixture, &ACTOR, 1), UPDATE_UNCHANGED);
    assert_int_equal(stored(fixture).sibling_count, 1);
}

static void
entries_of_finished_runs_are_retired_where_no_sibling_needs_them(void **state)
{
    Fixture *fixture = *state;

    put(fixture, (VClock){0}, value_of(1, "old"), 1);
    fixture->run = (Run){.actor = {{2}}};
    put(fixture, stored(fixture).context, value_of(2, "new"), 1);
    fixture->run = (Run){.actor = {{3}}};
    put(fixture, (VClock){0}, value_of(3, "beside"), 1);
    assert_int_equal(stored(fixture).context.count, 3);
    assert_int_equal(reap(fixture, &fixture->run.actor, 1), UPDATE_CHANGED);

    Object object = stored(fixture);

    assert_int_equal(object.sibling_count, 2);
    assert_int_equal(object.context.count, 2);
    assert_int_equal(object.context.entries[0].actor.id[0], 2);
    assert_int_equal(object.context.entries[1].actor.id[0], 3);
    assert_int_equal(reap(fixture, &fixture->run.actor, 1), UPDATE_UNCHANGED);
}

static void
entries_of_present_runs_are_never_retired(void **state)
{
    Fixture *fixture = *state;
    Actor live[] = {{{1}}, {{2}}};

    put(fixture, (VClock){0}, value_of(1, "old"), 1);
    fixture->run = (Run){.actor = {{2}}};
    put(fixture, stored(fixture).context, value_of(2, "new"), 1);
    assert_int_equal(reap(fixture, live, 2), UPDATE_UNCHANGED);
    assert_int_equal(stored(fixture).context.count, 2);
}

static void
what_cannot_be_read_goes_in_place_of_tombstones_and_never_in_place_of_values(void **state)
{
    Fixture *fixture = *state;
    Reap wanted = {.digest = {{1}}};

    buffer_put(&fixture->record, "damaged", 7);
    assert_int_equal(apply(fixture, &(Update){.reap = &wanted}), UPDATE_CORRUPT);
    assert_int_equal(fixture->record.length, 7);
    wanted.dead = true;
    assert_int_equal(apply(fixture, &(Update){.reap = &wanted}), UPDATE_REPLACED);
    assert_int_equal(fixture->record.length, 0);
}

static void
a_put_after_a_reap_opens_a_new_epoch(void **state)
{
    Fixture *fixture = *state;

    put(fixture, (VClock){0}, value_of(1, NULL), 1);
    reap(fixture, &ACTOR, 1);
    put(fixture, (VClock){0}, value_of(2, "two"), 1);
    assert_int_equal(stored(fixture).siblings[0].dots[0].epoch, 2);
}

static void
a_copied_update_does_not_borrow(void **state)
{
    Fixture *fixture = *state;
    char text[] = "one";
    PutValue value = value_of(1, text);
    Put wanted = {.values = &value, .value_count = 1, .now_ms = 3};
    Update *copy = update_copy(&fixture->arena, &(Update){.put = &wanted});

    memset(text, 'x', sizeof(text) - 1);
    value.request.bytes[0] = 77;
    wanted.now_ms = 4;
    assert_int_equal(apply(fixture, copy), UPDATE_CHANGED);

    Object object = stored(fixture);

    assert_true(slice_equal(object.siblings[0].value, slice_from_string("one")));
    assert_int_equal(object.siblings[0].request.bytes[0], 1);
    assert_int_equal(object.siblings[0].written_at_ms, 3);
}

/* Puts that replace each other, each by who has read the one before. */
static void
put_in_turn(Fixture *fixture, uint8_t first, uint8_t last)
{
    for (uint8_t i = first; i <= last; i++)
    {
        Object object = stored(fixture);
        PutValue value = value_of(i, "v");
        Put wanted = {.past = object_past(&fixture->arena, &object),
                      .values = &value,
                      .value_count = 1,
                      .now_ms = i};

        assert_int_equal(apply(fixture, &(Update){.put = &wanted}), UPDATE_CHANGED);
    }
}

static void
a_record_keeps_what_the_last_puts_replaced(void **state)
{
    Fixture *fixture = *state;
    Object object;

    put_in_turn(fixture, 1, OBJECT_REPLACED_KEPT + 3);
    object = stored(fixture);
    assert_int_equal(object.sibling_count, 1);
    assert_int_equal(object.replaced_count, OBJECT_REPLACED_KEPT);
    assert_int_equal(object.replaced[0].ids[0].bytes[0], OBJECT_REPLACED_KEPT + 2);
    assert_int_equal(object.replaced[OBJECT_REPLACED_KEPT - 1].ids[0].bytes[0], 3);
}

static void
a_put_that_was_replaced_is_not_stamped_again(void **state)
{
    Fixture *fixture = *state;

    put_in_turn(fixture, 1, 2);
    assert_int_equal(put(fixture, (VClock){0}, value_of(1, "v"), 9), UPDATE_UNCHANGED);
    assert_int_equal(stored(fixture).sibling_count, 1);
}

/* A hostile client's: its id would be a sibling and replaced. */
static void
a_put_that_has_seen_itself_is_not_stamped(void **state)
{
    Fixture *fixture = *state;
    PutValue value = value_of(5, "v");
    RequestIds itself = {.ids = &value.request, .count = 1};
    Put wanted = {
        .past = {.replaced = &itself, .replaced_count = 1},
          .values = &value, .value_count = 1
    };

    put(fixture, (VClock){0}, value_of(1, "one"), 1);
    assert_int_equal(apply(fixture, &(Update){.put = &wanted}), UPDATE_UNCHANGED);
}

static bool
has_one(const void *context, const RequestId *request)
{
    return request->bytes[0] == 1;
}

static void
what_goes_from_a_record_is_told_and_asked_for(void **state)
{
    Fixture *fixture = *state;
    Object late = {.context = vclock_add(&fixture->arena, &(VClock){0},
                                         &(Dot){.actor = {{9}}, .epoch = 1, .counter = 1})};
    UpdateMemory memory = {.has = has_one};
    Buffer out;
    Slice object;
    Object merged;
    Sibling sibling = {.dots = late.context.entries, .dot_count = 1};
    PutValue other = value_of(77, "v");

    put_in_turn(fixture, 1, OBJECT_REPLACED_KEPT + 1);
    late.siblings = &sibling;
    late.sibling_count = 1;
    sibling.request.bytes[0] = 1;
    sibling.value = slice_from_string("v");
    late.replaced = &(RequestIds){.ids = &other.request, .count = 1};
    late.replaced_count = 1;
    buffer_init(&out, &MEMORY_HEAP);
    assert_int_equal(update_apply(&fixture->run, buffer_slice(&fixture->record),
                                  &(Update){.merge = &late}, &memory, &fixture->arena, &out,
                                  &object),
                     UPDATE_CHANGED);
    assert_true(object_decode(object, &fixture->arena, &merged));
    assert_int_equal(merged.sibling_count, 1);
    assert_int_equal(memory.gone_count, 1);
    assert_int_equal(memory.gone_weight, vclock_weight(&merged.context));
    buffer_free(&out);
}

static bool
has_none(const void *context, const RequestId *request)
{
    return false;
}

static void
a_put_is_not_stamped_when_its_time_is_up(void **state)
{
    Fixture *fixture = *state;
    PutValue value = value_of(1, "v");
    Put wanted = {.values = &value, .value_count = 1, .until_ms = 100};
    UpdateMemory memory = {.has = has_none, .now_ms = 101};
    Buffer out;
    Slice object;

    buffer_init(&out, &MEMORY_HEAP);
    assert_int_equal(update_apply(&fixture->run, SLICE_EMPTY, &(Update){.put = &wanted}, &memory,
                                  &fixture->arena, &out, &object),
                     UPDATE_LATE);
    assert_int_equal(out.length, 0);
    memory.now_ms = 100;
    assert_int_equal(update_apply(&fixture->run, SLICE_EMPTY, &(Update){.put = &wanted}, &memory,
                                  &fixture->arena, &out, &object),
                     UPDATE_CHANGED);
    buffer_free(&out);
}

/* Every step checks itself: seen and alive are the model's, and no dot was given twice. */
static void
random_histories_agree_with_sets_of_events(void **state)
{
    History history;

    history_init(&history);
    for (uint64_t seed = 1; seed <= HISTORIES; seed++)
    {
        history_begin(&history, seed);
        for (int i = 0; i < STEPS; i++)
            history_step(&history);
    }
    history_free(&history);
}

/* What the stored object is, without what was replaced. */
static Slice
stored_identity(Fixture *fixture)
{
    Slice bytes;

    assert_true(update_record_object(buffer_slice(&fixture->record), &bytes));
    return object_identity(slice_copy(&fixture->arena, bytes));
}

/* As test/fuzz/update_fuzz.c reads it. */
static void
keep_seed(const char *name, Slice record, const Update *update)
{
    Buffer input;

    buffer_init(&input, &MEMORY_HEAP);
    buffer_put_u8(&input, (update->merge != NULL ? 1 : 0) | (update->put != NULL ? 2 : 0));
    buffer_put_slice(&input, record);
    if (update->merge != NULL)
    {
        Buffer merge;

        buffer_init(&merge, &MEMORY_HEAP);
        object_encode(&merge, update->merge);
        buffer_put_slice(&input, buffer_slice(&merge));
        buffer_free(&merge);
    }
    if (update->put != NULL)
    {
        vclock_encode(&input, &update->put->past.context);
        buffer_put_u8(&input, (uint8_t)update->put->now_ms);
        buffer_put_u8(&input, (uint8_t)(update->put->value_count - 1));
        for (uint32_t i = 0; i < update->put->value_count; i++)
        {
            buffer_put_u8(&input, update->put->values[i].request.bytes[0]);
            buffer_put_slice(&input, update->put->values[i].value);
        }
    }
    seeds_keep("update", name, buffer_slice(&input));
    buffer_free(&input);
}

static void
the_same_update_a_second_time_leaves_the_object_what_it_is(void **state)
{
    Fixture *fixture = *state;
    History history;

    history_init(&history);
    for (uint64_t seed = 1; seed <= REPEATED; seed++)
    {
        history_begin(&history, seed);
        for (int i = 0; i < STEPS; i++)
            history_step(&history);

        Slice record = history_any_snapshot(&history)->record;
        Object merge = history_object(&history, history_any_snapshot(&history));
        PutValue values[] = {value_of(1, "one"), value_of(2, NULL)};
        Put wanted = {.past = object_past(&history.arena, &merge),
                      .values = values,
                      .value_count = 1 + (uint32_t)(seed % 2)};
        Update update = {.merge = seed % 3 > 0 && merge.context.count > 0 ? &merge : NULL,
                         .put = seed % 3 < 2 ? &wanted : NULL};

        fixture->run = (Run){.actor = ACTOR};
        buffer_reset(&fixture->record);
        buffer_put(&fixture->record, record.data, record.length);
        if (seed <= SEEDS)
            keep_seed("history", record, &update);
        (void)apply(fixture, &update);

        Slice once = stored_identity(fixture);

        (void)apply(fixture, &update);
        assert_true(slice_equal(stored_identity(fixture), once));
        if (seed <= SEEDS)
            keep_seed("own_record", buffer_slice(&fixture->record), &update);
    }
    history_free(&history);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_first_put_is_stamped_with_the_first_dot_of_a_new_epoch),
        TEST(concurrent_puts_become_siblings),
        TEST(a_put_replaces_what_its_context_has_seen_and_nothing_else),
        TEST(a_delete_leaves_a_tombstone_under_the_context),
        TEST(a_put_that_arrives_twice_is_one_write),
        TEST(the_values_of_one_put_are_siblings_with_dots_of_their_own),
        TEST(counters_go_on_in_one_epoch_while_nothing_is_lost),
        TEST(a_lost_record_opens_a_new_epoch),
        TEST(a_counter_that_came_back_from_others_opens_a_new_epoch),
        TEST(another_start_of_the_process_stamps_as_another_actor),
        TEST(a_merge_never_moves_the_stamp),
        TEST(an_unreadable_record_is_reported_and_not_changed),
        TEST(an_unreadable_record_is_forgotten_if_it_is_that_one),
        TEST(a_merge_takes_the_place_of_an_unreadable_record),
        TEST(many_values_join_many_siblings_in_time),
        TEST(a_put_over_the_cap_on_siblings_changes_nothing),
        TEST(a_first_put_is_capped_too_and_opens_no_epoch),
        TEST(tombstones_count_among_the_siblings_of_the_cap),
        TEST(a_put_that_leaves_fewer_siblings_than_there_were_passes_any_cap),
        TEST(a_merge_knows_no_cap),
        TEST(a_refused_put_takes_its_merge_with_it),
        TEST(a_retry_of_a_put_that_is_known_is_not_refused),
        TEST(what_tombstones_alone_are_left_of_is_reaped_whole),
        TEST(a_value_beside_a_tombstone_keeps_both_from_being_reaped),
        TEST(an_object_that_is_not_the_proved_one_stays),
        TEST(what_owes_a_hint_is_not_reaped),
        TEST(entries_of_finished_runs_are_retired_where_no_sibling_needs_them),
        TEST(entries_of_present_runs_are_never_retired),
        TEST(what_cannot_be_read_goes_in_place_of_tombstones_and_never_in_place_of_values),
        TEST(a_put_after_a_reap_opens_a_new_epoch),
        TEST(a_copied_update_does_not_borrow),
        TEST(a_record_keeps_what_the_last_puts_replaced),
        TEST(a_put_that_was_replaced_is_not_stamped_again),
        TEST(a_put_that_has_seen_itself_is_not_stamped),
        TEST(what_goes_from_a_record_is_told_and_asked_for),
        TEST(a_put_is_not_stamped_when_its_time_is_up),
        TEST(the_same_update_a_second_time_leaves_the_object_what_it_is),
        TEST(random_histories_agree_with_sets_of_events),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
