/*
 * Every history of up to seven events of one key on three replicas, each state held against a model
 * that knows sets of events and nothing of clocks.
 *
 * An event is one of: a put without a context; a put or a delete under a context that was read
 * before; the same write once more, anywhere; a read of one replica, or of two
 * merged, which gives such a context; a replica's object merged into another's; any older object
 * merged into any replica's, as by a late frame; a record lost under the running process; a process
 * started anew on what its disk has, on nothing, on any older copy of its record, or on a copy of
 * another's. What changes nothing is no event.
 *
 * Histories that come to one state are walked on once, and so are those that differ only in which
 * replica is which. The number of histories is counted all the same.
 */
#include "test/unit/causality/universe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    EVENTS = 6, /* everything takes ten times as long */
#else
    EVENTS = 7, /* an argument of the program says otherwise, up to UNIVERSE_EVENTS_MAX */
#endif
    COPIES_MAX = UNIVERSE_EVENTS_MAX,
    ORDERS = 6, /* of three replicas */
    SLOT_NONE = 0xff
};

/* What a replica holds or held: the product's record, and the same as sets of events. */
typedef struct Copy
{
    uint32_t record;
    uint32_t seen;
    uint32_t alive;
    uint32_t replaced; /* slots of the requests that the record says were */
    uint16_t owner;
    uint16_t stamped; /* the last slot that was stamped on it, or SLOT_NONE */
} Copy;

typedef struct Process
{
    uint8_t run;
    uint8_t epoch; /* the last that was opened */
    uint8_t puts;  /* of all runs */
} Process;

typedef struct Context
{
    uint32_t entry;
    uint32_t seen;
} Context;

typedef struct State
{
    uint64_t histories; /* that lead here */
    Copy replicas[UNIVERSE_REPLICAS];
    Process processes[UNIVERSE_REPLICAS];
    Copy former[COPIES_MAX]; /* all that the replicas held before, in order */
    uint8_t former_count;
    Context contexts[UNIVERSE_EVENTS_MAX]; /* that were read, in order */
    uint8_t context_count;
    UniverseEvents events;
    uint32_t events_number;
} State;

typedef struct Walk
{
    Universe universe;
    Map events; /* numbers of sets of events with their dots */
    Map seen;   /* states of the level: 1 + index, or 1 + how many events can follow */
    State *now;
    State *next;
    size_t now_count;
    size_t next_count;
    size_t next_capacity;
    uint32_t events_max;
    uint32_t depth; /* events that led to the states of now */
    uint64_t followers;
    uint64_t histories;
    uint64_t states;
    uint64_t steps;
} Walk;

static const uint8_t ORDER[ORDERS][UNIVERSE_REPLICAS] = {
    {0, 1, 2},
    {0, 2, 1},
    {1, 0, 2},
    {1, 2, 0},
    {2, 0, 1},
    {2, 1, 0}
};

/* ---- sets of events ---- */

static uint32_t
bit(uint8_t slot)
{
    return UINT32_C(1) << slot;
}

/* ---- one name for states that are the same but for which replica is which ---- */

static uint32_t
rename_set(uint32_t set, const uint8_t *order)
{
    uint32_t renamed = 0;

    for (uint32_t i = 0; i < UNIVERSE_REPLICAS; i++)
        renamed |= (set >> i * UNIVERSE_SLOTS & 0xff) << order[i] * UNIVERSE_SLOTS;
    return renamed;
}

static uint16_t
rename_slot(uint16_t slot, const uint8_t *order)
{
    return slot == SLOT_NONE
               ? slot
               : (uint16_t)(order[slot / UNIVERSE_SLOTS] * UNIVERSE_SLOTS + slot % UNIVERSE_SLOTS);
}

/* Adds one of several things whose order says nothing. */
static void
add_thing(MapKey *key, uint64_t kind, uint64_t a, uint64_t b)
{
    uint64_t mixed = map_mix(a + kind * 0x9E3779B97F4A7C15);

    key->high += map_mix(mixed ^ (b * 0xD6E8FEB86659FD93 + kind));
    key->low += map_mix(mixed + map_mix(b + 0xA0761D6478BD642F * kind));
}

static void
add_copy(MapKey *key, uint64_t kind, const Copy *copy, const uint8_t *order)
{
    add_thing(key, kind,
              (uint64_t)order[copy->owner] << 40 |
                  (uint64_t)rename_slot(copy->stamped, order) << 24 | rename_set(copy->seen, order),
              (uint64_t)rename_set(copy->replaced, order) << 32 | rename_set(copy->alive, order));
}

static MapKey
name_in_order(const State *state, const uint8_t *order)
{
    MapKey key = {1, 1};

    for (uint8_t i = 0; i < UNIVERSE_REPLICAS; i++)
    {
        const Process *process = &state->processes[i];

        add_thing(&key, 1, order[i],
                  (uint64_t)process->run << 16 | process->epoch << 8 | process->puts);
        add_copy(&key, 2, &state->replicas[i], order);
    }
    for (uint8_t i = 0; i < state->former_count; i++)
        add_copy(&key, 3, &state->former[i], order);
    for (uint8_t i = 0; i < state->context_count; i++)
        add_thing(&key, 4, rename_set(state->contexts[i].seen, order), 0);
    for (uint8_t i = 0; i < state->events.count; i++)
    {
        const UniverseEvent *event = &state->events.rows[i];

        add_thing(&key, 5,
                  (uint64_t)rename_slot(event->request, order) << 8 |
                      rename_slot(event->slot, order),
                  (uint64_t)rename_set(event->context, order) << 32 | (uint64_t)event->run << 24 |
                      event->epoch << 16 | event->counter << 8 | event->tombstone);
    }
    return key;
}

static MapKey
name_state(const State *state)
{
    MapKey least = {UINT64_MAX, UINT64_MAX};

    for (uint32_t i = 0; i < ORDERS; i++)
    {
        MapKey key = name_in_order(state, ORDER[i]);

        if (key.high < least.high || (key.high == least.high && key.low < least.low))
            least = key;
    }
    return least;
}

/* ---- the checks ---- */

static uint32_t
number_events(Walk *walk, const UniverseEvents *events)
{
    MapKey key = {events->count, 0};
    uint64_t number;

    for (uint32_t i = 0; i < events->count; i++)
    {
        const UniverseEvent *event = &events->rows[i];
        uint64_t word = (uint64_t)event->slot << 40 | (uint64_t)event->request << 32 |
                        (uint64_t)event->run << 24 | event->epoch << 16 | event->counter << 8 |
                        event->tombstone;

        key.high = map_mix(key.high * 5 + word);
        key.low = map_mix(key.low ^ map_mix(word + 77));
    }
    number = map_get(&walk->events, key);
    if (number == 0)
    {
        number = walk->events.count + 1;
        map_put(&walk->events, key, number);
    }
    return (uint32_t)number;
}

/* Of these events, those of requests that were not replaced. */
static uint32_t
without_replaced(const State *state, uint32_t alive, uint32_t replaced)
{
    for (uint32_t i = 0; i < state->events.count; i++)
    {
        const UniverseEvent *event = &state->events.rows[i];

        if ((replaced & bit(event->request)) != 0)
            alive &= ~bit(event->slot);
    }
    return alive;
}

static uint32_t
requests_of(const State *state, uint32_t events)
{
    uint32_t requests = 0;

    for (uint32_t i = 0; i < state->events.count; i++)
    {
        if ((events & bit(state->events.rows[i].slot)) != 0)
            requests |= bit(state->events.rows[i].request);
    }
    return requests;
}

/* The definition: an event that one side lacks is gone only if that side has seen it, or says that
 * its request was replaced. */
static void
model_merge(const State *state, Copy *into, const Copy *other)
{
    into->alive =
        (into->alive & other->alive) | (into->alive & ~other->seen) | (other->alive & ~into->seen);
    into->seen |= other->seen;
    into->replaced |= other->replaced;
    into->alive = without_replaced(state, into->alive, into->replaced);
}

static void
check(Walk *walk, const State *state, uint32_t entry, uint32_t seen, uint32_t alive)
{
    universe_check(&walk->universe, entry, seen, alive, &state->events, state->events_number);
}

/* What a quorum read of two of three shows, and that the third may join in any order. */
static void
check_reads(Walk *walk, const State *state)
{
    const Copy *replicas = state->replicas;

    for (uint32_t i = 0; i < UNIVERSE_REPLICAS; i++)
    {
        Copy both = replicas[i];
        const Copy *other = &replicas[(i + 1) % UNIVERSE_REPLICAS];

        model_merge(state, &both, other);
        check(walk, state, universe_read(&walk->universe, replicas[i].record, other->record),
              both.seen, both.alive);
    }
    universe_check_orders(&walk->universe, replicas[0].record, replicas[1].record,
                          replicas[2].record);
}

/* Everything there is, against every event there is: one that was not seen is covered by nothing.
 */
static void
check_state(Walk *walk, const State *state)
{
    for (uint32_t i = 0; i < UNIVERSE_REPLICAS; i++)
        check(walk, state, state->replicas[i].record, state->replicas[i].seen,
              state->replicas[i].alive);
    for (uint32_t i = 0; i < state->former_count; i++)
        check(walk, state, state->former[i].record, state->former[i].seen, state->former[i].alive);
    for (uint32_t i = 0; i < state->context_count; i++)
        check(walk, state, state->contexts[i].entry, state->contexts[i].seen, 0);
    check_reads(walk, state);
}

/* ---- the walk ---- */

static void follow(Walk *walk, const State *state);

static void
keep_state(Walk *walk, const State *state)
{
    if (walk->next_count == walk->next_capacity)
    {
        walk->next_capacity = walk->next_capacity ? walk->next_capacity * 2 : 1024;
        walk->next = memory_resize(&MEMORY_HEAP, walk->next, walk->next_capacity * sizeof(State));
    }
    walk->next[walk->next_count++] = *state;
}

/* How many events can follow; walked at once, since the last level need not be kept. */
static uint64_t
count_followers(Walk *walk, const State *state)
{
    walk->depth++;
    walk->followers = 0;
    follow(walk, state);
    walk->depth--;
    return walk->followers;
}

static void
arrive(Walk *walk, const State *before, State *state)
{
    MapKey name;
    uint64_t found;

    state->histories = before->histories;
    if (memcmp(before, state, sizeof(State)) == 0)
        return;
    walk->steps++;
    check_state(walk, state);
    if (walk->depth + 1 == walk->events_max)
    {
        walk->followers++;
        return;
    }
    name = name_state(state);
    found = map_get(&walk->seen, name);
    if (walk->depth + 2 == walk->events_max)
    {
        if (found == 0)
        {
            walk->states++;
            found = 1 + count_followers(walk, state);
            map_put(&walk->seen, name, found);
        }
        walk->histories += state->histories * (found - 1);
    }
    else if (found != 0)
        walk->next[found - 1].histories += state->histories;
    else
    {
        walk->states++;
        keep_state(walk, state);
        map_put(&walk->seen, name, walk->next_count);
    }
}

/* ---- events ---- */

static int
compare_copies(const Copy *a, const Copy *b)
{
    return memcmp(a, b, sizeof(Copy));
}

/* The replica holds something else from now on; what it held is remembered. */
static void
replace(State *state, uint32_t replica, Copy copy)
{
    Copy old = state->replicas[replica];
    uint32_t index = 0;

    if (copy.record == old.record)
        return;
    state->replicas[replica] = copy;
    while (index < state->former_count && compare_copies(&state->former[index], &old) < 0)
        index++;
    if (old.record == UNIVERSE_NOTHING ||
        (index < state->former_count && compare_copies(&state->former[index], &old) == 0))
        return;
    memmove(&state->former[index + 1], &state->former[index],
            (state->former_count - index) * sizeof(Copy));
    state->former[index] = old;
    state->former_count++;
}

static void
add_event(Walk *walk, State *state, const UniverseEvent *event)
{
    UniverseEvents *events = &state->events;
    uint32_t index = 0;

    while (index < events->count && events->rows[index].slot < event->slot)
        index++;
    for (uint32_t i = 0; i < events->count; i++)
    {
        const UniverseEvent *other = &events->rows[i];

        assert_false(other->slot / UNIVERSE_SLOTS == event->slot / UNIVERSE_SLOTS &&
                     other->run == event->run && other->epoch == event->epoch &&
                     other->counter == event->counter);
    }
    memmove(&events->rows[index + 1], &events->rows[index],
            (events->count - index) * sizeof(UniverseEvent));
    events->rows[index] = *event;
    events->count++;
    state->events_number = number_events(walk, events);
}

/* A request that is a sibling already, or was replaced, is not stamped again. */
static bool
is_known(const State *state, uint32_t replica, uint8_t request)
{
    if ((state->replicas[replica].replaced & bit(request)) != 0)
        return true;
    for (uint32_t i = 0; i < state->events.count; i++)
    {
        const UniverseEvent *event = &state->events.rows[i];

        if (event->request == request && (state->replicas[replica].alive & bit(event->slot)) != 0)
            return true;
    }
    return false;
}

/* Writes a new value, or that of the event given, once more. */
static void
put(Walk *walk, const State *before, uint32_t replica, const Context *context, bool tombstone,
    const UniverseEvent *retried)
{
    State state = *before;
    Process *process = &state.processes[replica];
    Copy copy = state.replicas[replica];
    UniverseEvent event = {.slot = (uint8_t)(replica * UNIVERSE_SLOTS + process->puts++),
                           .run = process->run,
                           .context = context->seen,
                           .tombstone = tombstone};

    event.request = retried != NULL ? retried->request : event.slot;
    copy.record =
        universe_put(&walk->universe, copy.record, context->entry, &process->epoch, &event);
    if (is_known(before, replica, event.request))
    {
        assert_int_equal(copy.record, before->replicas[replica].record);
        assert_int_equal(process->epoch, before->processes[replica].epoch);
        return;
    }
    copy.replaced |=
        requests_of(before, copy.alive) & ~requests_of(before, copy.alive & ~context->seen);
    copy.alive = (copy.alive & ~context->seen) | bit(event.slot);
    copy.seen |= context->seen | bit(event.slot);
    copy.stamped = event.slot;
    replace(&state, replica, copy);
    add_event(walk, &state, &event);
    arrive(walk, before, &state);
}

/* A new value or, where the context is that of a put before, its value again. */
static void
put_all(Walk *walk, const State *state, uint32_t replica, const Context *context)
{
    put(walk, state, replica, context, false, NULL);
    for (uint32_t i = 0; i < state->events.count; i++)
    {
        const UniverseEvent *event = &state->events.rows[i];

        if (event->request == event->slot && event->context == context->seen)
            put(walk, state, replica, context, event->tombstone, event);
    }
}

static void
read(Walk *walk, const State *before, uint32_t one, uint32_t other)
{
    State state = *before;
    Copy both = before->replicas[one];
    uint32_t entry = universe_read(&walk->universe, both.record, before->replicas[other].record);
    uint32_t index = 0;

    model_merge(before, &both, &before->replicas[other]);

    Context context = {.entry = universe_context(&walk->universe, entry), .seen = both.seen};

    while (index < state.context_count && state.contexts[index].seen < context.seen)
        index++;
    if (context.entry == UNIVERSE_NOTHING ||
        (index < state.context_count && state.contexts[index].seen == context.seen))
        return;
    memmove(&state.contexts[index + 1], &state.contexts[index],
            (state.context_count - index) * sizeof(Context));
    state.contexts[index] = context;
    state.context_count++;
    arrive(walk, before, &state);
}

static void
merge(Walk *walk, const State *before, const Copy *source, uint32_t target)
{
    State state = *before;
    Copy copy = before->replicas[target];

    if (source->record == UNIVERSE_NOTHING)
        return;
    copy.record = universe_merge(&walk->universe, copy.record, source->record);
    model_merge(before, &copy, source);
    replace(&state, target, copy);
    arrive(walk, before, &state);
}

static Copy
nothing(uint32_t replica)
{
    return (Copy){.record = UNIVERSE_NOTHING, .owner = (uint16_t)replica, .stamped = SLOT_NONE};
}

/* A process that has stamped nothing is as good as a new one. */
static void
restart(Walk *walk, const State *before, uint32_t replica, Copy copy)
{
    State state = *before;
    Process *process = &state.processes[replica];

    if (process->epoch > 0)
        *process = (Process){.run = (uint8_t)(process->run + 1), .puts = process->puts};
    copy.owner = (uint16_t)replica;
    replace(&state, replica, copy);
    arrive(walk, before, &state);
}

static void
lose(Walk *walk, const State *before, uint32_t replica)
{
    State state = *before;

    replace(&state, replica, nothing(replica));
    arrive(walk, before, &state);
}

static void
follow(Walk *walk, const State *state)
{
    const Context blind = {0};

    for (uint32_t i = 0; i < UNIVERSE_REPLICAS; i++)
    {
        put_all(walk, state, i, &blind);
        for (uint32_t c = 0; c < state->context_count; c++)
        {
            put_all(walk, state, i, &state->contexts[c]);
            put(walk, state, i, &state->contexts[c], true, NULL);
        }
        read(walk, state, i, i);
        read(walk, state, i, (i + 1) % UNIVERSE_REPLICAS);
        lose(walk, state, i);
        restart(walk, state, i, nothing(i));
        for (uint32_t j = 0; j < UNIVERSE_REPLICAS; j++)
        {
            merge(walk, state, &state->replicas[j], i);
            restart(walk, state, i, state->replicas[j]);
        }
        for (uint32_t j = 0; j < state->former_count; j++)
            merge(walk, state, &state->former[j], i);
    }
    for (uint32_t i = 0; i < state->former_count; i++)
        restart(walk, state, state->former[i].owner, state->former[i]);
}

static void
walk_level(Walk *walk)
{
    for (size_t i = 0; i < walk->now_count; i++)
        follow(walk, &walk->now[i]);
    map_free(&walk->seen);
    memory_resize(&MEMORY_HEAP, walk->now, 0);
    walk->now = walk->next;
    walk->now_count = walk->next_count;
    walk->next = NULL;
    walk->next_count = walk->next_capacity = 0;
    walk->depth++;
}

static void
walk_all(Walk *walk)
{
    State start;

    memset(&start, 0, sizeof(start));
    start.histories = 1;
    for (uint32_t i = 0; i < UNIVERSE_REPLICAS; i++)
        start.replicas[i] = nothing(i);
    start.events_number = number_events(walk, &start.events);
    keep_state(walk, &start);
    walk->now = walk->next;
    walk->now_count = 1;
    walk->next = NULL;
    walk->next_count = walk->next_capacity = 0;
    while (walk->depth + 1 < walk->events_max)
        walk_level(walk);
    memory_resize(&MEMORY_HEAP, walk->now, 0);
}

static void
every_short_history_is_what_sets_of_events_say(void **state)
{
    Walk walk = {.events_max = *(const uint32_t *)*state};

    universe_init(&walk.universe);
    walk_all(&walk);
    printf(
        "%llu histories of %u events: %llu states, %llu steps, %llu calls, %llu results checked\n",
        (unsigned long long)walk.histories, walk.events_max, (unsigned long long)walk.states,
        (unsigned long long)walk.steps, (unsigned long long)walk.universe.calls,
        (unsigned long long)walk.universe.checks);
    map_free(&walk.events);
    universe_free(&walk.universe);
}

int
main(int argc, char **argv)
{
    uint32_t events = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : EVENTS;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(every_short_history_is_what_sets_of_events_say, &events),
    };

    if (events < 2 || events > UNIVERSE_EVENTS_MAX)
    {
        fprintf(stderr, "usage: %s [EVENTS, 2 to %d]\n", argv[0], UNIVERSE_EVENTS_MAX);
        return 2;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
