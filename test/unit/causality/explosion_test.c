/*
 * The published test of sibling explosion: clients that interleave writes of one key, each with the
 * context of its own last read. Under version vectors without dots every such write adds a sibling
 * that none of the following can remove ("Vector Clocks Revisited Part 2: Dotted Version Vectors",
 * Basho 2015).
 *
 * Beside the replicas stands a model of sets: which of the events a replica has seen, and which of
 * them are alive there. It knows nothing of clocks.
 */
#include "shared/data/update.h"
#include "test/unit/causality/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum
{
    REPLICAS = 3,
    WRITERS = 40,
    EVENTS_MAX = 10000,
    WORDS = (EVENTS_MAX + 63) / 64,
    LOOK_CLOSELY = 250 /* every so many writes: all events are looked for in the context */
};

typedef struct Events
{
    uint64_t words[WORDS];
} Events;

typedef struct Replica
{
    Run run;
    Buffer record;
    Events seen;
    Events alive;
} Replica;

/* What a writer has read last: it writes under this. */
typedef struct Writer
{
    Arena arena;
    VClock context;
    Events seen;
} Writer;

typedef struct Crowd
{
    uint64_t random;
    Arena arena; /* of the step at hand */
    Replica replicas[REPLICAS];
    Writer writers[WRITERS];
    Dot dots[EVENTS_MAX];
    uint32_t event_count;
    uint32_t most; /* siblings that there ever were */
} Crowd;

static Crowd *crowd;

static bool
has(const Events *events, uint32_t event)
{
    return (events->words[event / 64] >> event % 64 & 1) != 0;
}

static void
add(Events *events, uint32_t event)
{
    events->words[event / 64] |= (uint64_t)1 << event % 64;
}

static uint32_t
count(const Events *events)
{
    uint32_t total = 0;

    for (uint32_t i = 0; i < WORDS; i++)
        total += (uint32_t)__builtin_popcountll(events->words[i]);
    return total;
}

static void
start_process(Replica *replica)
{
    replica->run = (Run){0};
    history_random_fill(&crowd->random, &replica->run.actor, sizeof(Actor));
}

static int
set_up(void **state)
{
    crowd = memory_resize(&MEMORY_HEAP, NULL, sizeof(Crowd));
    memset(crowd, 0, sizeof(*crowd));
    crowd->random = 7;
    arena_init(&crowd->arena, &MEMORY_HEAP);
    for (uint32_t i = 0; i < REPLICAS; i++)
    {
        buffer_init(&crowd->replicas[i].record, &MEMORY_HEAP);
        start_process(&crowd->replicas[i]);
    }
    for (uint32_t i = 0; i < WRITERS; i++)
        arena_init(&crowd->writers[i].arena, &MEMORY_HEAP);
    return 0;
}

static int
tear_down(void **state)
{
    for (uint32_t i = 0; i < REPLICAS; i++)
        buffer_free(&crowd->replicas[i].record);
    for (uint32_t i = 0; i < WRITERS; i++)
        arena_free(&crowd->writers[i].arena);
    arena_free(&crowd->arena);
    memory_resize(&MEMORY_HEAP, crowd, 0);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static RequestId
request_of(uint32_t event)
{
    RequestId request = {{0}};

    memcpy(request.bytes, &event, sizeof(event));
    return request;
}

static Object
object_of(const Replica *replica)
{
    Object object = {0};
    Slice bytes;

    assert_true(update_record_object(buffer_slice(&replica->record), &bytes));
    if (bytes.length > 0)
        assert_true(object_decode(slice_copy(&crowd->arena, bytes), &crowd->arena, &object));
    return object;
}

static void
check_context(const Replica *replica, const Object *object)
{
    for (uint32_t event = 0; event < crowd->event_count; event++)
        assert_int_equal(vclock_covers(&object->context, &crowd->dots[event]),
                         has(&replica->seen, event));
}

/* The replica has exactly the siblings that the model says. */
static void
check_replica(const Replica *replica)
{
    Object object = object_of(replica);

    assert_int_equal(object.sibling_count, count(&replica->alive));
    for (uint32_t i = 0; i < object.sibling_count; i++)
    {
        uint32_t event;

        memcpy(&event, object.siblings[i].request.bytes, sizeof(event));
        assert_true(has(&replica->alive, event));
        assert_int_equal(object.siblings[i].dot_count, 1);
        assert_int_equal(dot_compare(&object.siblings[i].dots[0], &crowd->dots[event]), 0);
    }
    if (crowd->event_count % LOOK_CLOSELY == 0)
        check_context(replica, &object);
    crowd->most = object.sibling_count > crowd->most ? object.sibling_count : crowd->most;
}

static void
apply(Replica *replica, const Update *update)
{
    Buffer next;
    Slice object;

    buffer_init(&next, &MEMORY_HEAP);
    assert_int_not_equal(update_apply(&replica->run, buffer_slice(&replica->record), update, NULL,
                                      &crowd->arena, &next, &object),
                         UPDATE_CORRUPT);
    buffer_free(&replica->record);
    replica->record = next;
}

static void
read_by(Writer *writer, const Replica *replica)
{
    Object object = object_of(replica);

    arena_reset(&writer->arena);
    writer->context.count = object.context.count;
    writer->context.entries =
        arena_copy(&writer->arena, object.context.entries, sizeof(Dot) * object.context.count);
    writer->seen = replica->seen;
}

/* A put under what the writer has read last; its answer is the writer's next read. */
static void
write_by(Writer *writer, Replica *replica)
{
    uint32_t event = crowd->event_count;
    PutValue value = {.request = request_of(event), .value = slice_from_string("v")};
    Put put = {.past.context = writer->context,
               .values = &value,
               .value_count = 1,
               .now_ms = history_random_below(&crowd->random, 1000)};
    Object object;

    arena_reset(&crowd->arena);
    apply(replica, &(Update){.put = &put});
    for (uint32_t i = 0; i < WORDS; i++)
    {
        replica->alive.words[i] &= ~writer->seen.words[i];
        replica->seen.words[i] |= writer->seen.words[i];
    }
    add(&replica->alive, event);
    add(&replica->seen, event);
    object = object_of(replica);
    assert_non_null(object_find(&object, &value.request));
    crowd->dots[event] = object_find(&object, &value.request)->dots[0];
    crowd->event_count++;
    check_replica(replica);
    read_by(writer, replica);
}

/* What the replica from holds reaches the replica to. */
static void
send_object(const Replica *from, Replica *to)
{
    Object object;

    arena_reset(&crowd->arena);
    object = object_of(from);
    apply(to, &(Update){.merge = &object});
    for (uint32_t i = 0; i < WORDS; i++)
    {
        to->alive.words[i] = (to->alive.words[i] & from->alive.words[i]) |
                             (to->alive.words[i] & ~from->seen.words[i]) |
                             (from->alive.words[i] & ~to->seen.words[i]);
        to->seen.words[i] |= from->seen.words[i];
    }
    check_replica(to);
}

static Replica *
any_replica(void)
{
    return &crowd->replicas[history_random_below(&crowd->random, REPLICAS)];
}

/* In an order of its own for each, everything reaches every replica: then all hold the same. */
static void
settle(void)
{
    for (uint32_t i = 0; i < 3 * REPLICAS; i++)
    {
        for (uint32_t other = 0; other < REPLICAS; other++)
            send_object(&crowd->replicas[other], any_replica());
    }
    for (uint32_t i = 0; i < REPLICAS * REPLICAS; i++)
        send_object(&crowd->replicas[i % REPLICAS], &crowd->replicas[i / REPLICAS]);
    for (uint32_t i = 0; i < REPLICAS; i++)
    {
        Slice objects[2];

        send_object(&crowd->replicas[REPLICAS - 1], &crowd->replicas[i]);
        assert_true(update_record_object(buffer_slice(&crowd->replicas[0].record), &objects[0]));
        assert_true(update_record_object(buffer_slice(&crowd->replicas[i].record), &objects[1]));
        assert_true(slice_equal(objects[0], objects[1]));
    }
}

static void
two_clients_that_alternate_at_one_replica_leave_two_siblings(void **state)
{
    for (uint32_t i = 0; i < 200; i++)
        write_by(&crowd->writers[i % 2], &crowd->replicas[0]);
    assert_int_equal(crowd->most, 2);
}

static void
two_clients_that_alternate_at_two_replicas_leave_two_siblings(void **state)
{
    for (uint32_t i = 0; i < 200; i++)
    {
        Replica *replica = &crowd->replicas[i % 2];
        Replica *other = &crowd->replicas[1 - i % 2];

        write_by(&crowd->writers[i % 2], replica);
        if (history_random_below(&crowd->random, 2) == 0)
            send_object(replica, other);
    }
    settle();
    assert_int_equal(crowd->most, 2);
}

static void
a_client_that_reads_both_leaves_one(void **state)
{
    for (uint32_t i = 0; i < 20; i++)
        write_by(&crowd->writers[i % 2], &crowd->replicas[0]);
    arena_reset(&crowd->arena);
    read_by(&crowd->writers[0], &crowd->replicas[0]);
    write_by(&crowd->writers[0], &crowd->replicas[0]);
    assert_int_equal(count(&crowd->replicas[0].alive), 1);
}

/* A writer's write has seen its own last one, so no writer is ever there twice. */
static void
ten_thousand_interleaved_writes_leave_no_more_siblings_than_there_are_writers(void **state)
{
    while (crowd->event_count < EVENTS_MAX)
    {
        Writer *writer = &crowd->writers[history_random_below(&crowd->random, WRITERS)];
        Replica *replica = any_replica();

        write_by(writer, replica);
        if (history_random_below(&crowd->random, 3) == 0)
            send_object(any_replica(), any_replica());
        if (history_random_below(&crowd->random, 500) == 0)
            start_process(replica);
    }
    settle();
    assert_true(crowd->most > 2);
    assert_true(crowd->most <= WRITERS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_clients_that_alternate_at_one_replica_leave_two_siblings),
        TEST(two_clients_that_alternate_at_two_replicas_leave_two_siblings),
        TEST(a_client_that_reads_both_leaves_one),
        TEST(ten_thousand_interleaved_writes_leave_no_more_siblings_than_there_are_writers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
