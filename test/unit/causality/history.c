/* Random histories of one key and the model beside them: sets of events as bits, by the definition
 * and without version vectors. */
#include "test/unit/causality/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* splitmix64 */
static uint64_t
random_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15);

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

uint64_t
history_random_below(uint64_t *state, uint64_t bound)
{
    return random_next(state) % bound;
}

void
history_random_fill(uint64_t *state, void *target, size_t length)
{
    for (size_t i = 0; i < length; i++)
        ((uint8_t *)target)[i] = (uint8_t)random_next(state);
}

void
history_init(History *history)
{
    *history = (History){0};
    arena_init(&history->arena, &MEMORY_HEAP);
}

void
history_free(History *history)
{
    arena_free(&history->arena);
}

static uint64_t
draw(History *history, uint64_t bound)
{
    return history_random_below(&history->random, bound);
}

static void
start_process(History *history, uint32_t replica)
{
    history->runs[replica] = (Run){0};
    history_random_fill(&history->random, &history->runs[replica].actor, sizeof(Actor));
}

void
history_begin(History *history, uint64_t seed)
{
    arena_reset(&history->arena);
    *history = (History){.random = seed, .arena = history->arena, .snapshot_count = 1};
    for (uint32_t i = 0; i < HISTORY_REPLICAS; i++)
        start_process(history, i);
}

Object
history_object(History *history, const HistorySnapshot *snapshot)
{
    Object object = {0};
    Slice bytes;

    assert_true(update_record_object(snapshot->record, &bytes));
    if (bytes.length > 0)
        assert_true(object_decode(bytes, &history->arena, &object));
    return object;
}

const HistorySnapshot *
history_any_snapshot(History *history)
{
    return &history->snapshots[draw(history, history->snapshot_count)];
}

static uint64_t
bit(uint32_t event)
{
    return (uint64_t)1 << event;
}

static void
check_sibling(const History *history, const Sibling *sibling, uint64_t alive)
{
    uint32_t dot_count = 0;
    uint64_t least = UINT64_MAX;

    for (uint32_t i = 0; i < history->event_count; i++)
    {
        const HistoryEvent *event = &history->events[i];

        if ((alive & bit(i)) == 0 ||
            memcmp(&event->request, &sibling->request, sizeof(RequestId)) != 0)
            continue;
        least = event->time_ms < least ? event->time_ms : least;
        dot_count++;

        bool found = false;

        for (uint32_t d = 0; d < sibling->dot_count; d++)
            found |= dot_compare(&sibling->dots[d], &event->dot) == 0;
        assert_true(found);
    }
    assert_int_equal(sibling->dot_count, dot_count);
    assert_int_equal(sibling->written_at_ms, least);
    assert_memory_equal(sibling->value.data, &sibling->request, sibling->value.length);
}

/* The object has seen and holds exactly what the model says of the snapshot. */
static void
check_object(const History *history, const Object *object, const HistorySnapshot *snapshot)
{
    uint64_t alive = 0;

    for (uint32_t i = 0; i < history->event_count; i++)
    {
        const HistoryEvent *event = &history->events[i];
        bool seen = (snapshot->seen & bit(i)) != 0;

        assert_int_equal(vclock_covers(&object->context, &event->dot), seen);
        if ((snapshot->alive & bit(i)) != 0)
            assert_non_null(object_find(object, &event->request));
        alive += (snapshot->alive & bit(i)) != 0;
    }
    for (uint32_t s = 0; s < object->sibling_count; s++)
    {
        check_sibling(history, &object->siblings[s], snapshot->alive);
        alive -= object->siblings[s].dot_count;
    }
    assert_int_equal(alive, 0);
}

static void
check_replica(History *history, const HistorySnapshot *snapshot)
{
    Object object = history_object(history, snapshot);

    check_object(history, &object, snapshot);
}

/* The events of requests that the object says were replaced. */
static uint64_t
replaced_by(const History *history, const Object *object)
{
    uint64_t events = 0;

    for (uint32_t i = 0; i < history->event_count; i++)
    {
        for (uint32_t g = 0; g < object->replaced_count; g++)
        {
            for (uint32_t r = 0; r < object->replaced[g].count; r++)
            {
                if (memcmp(&object->replaced[g].ids[r], &history->events[i].request,
                           sizeof(RequestId)) == 0)
                    events |= bit(i);
            }
        }
    }
    return events;
}

/* The definition: an event that one side lacks is gone only if that side has seen it, or says that
 * it was replaced. */
static void
model_merge(History *history, HistorySnapshot *into, const Object *mine,
            const HistorySnapshot *other)
{
    Object theirs = history_object(history, other);

    into->alive =
        (into->alive & other->alive) | (into->alive & ~other->seen) | (other->alive & ~into->seen);
    into->alive &= ~(replaced_by(history, mine) | replaced_by(history, &theirs));
    into->seen |= other->seen;
}

static void
encode(Buffer *buffer, const Object *object)
{
    buffer_init(buffer, &MEMORY_HEAP);
    object_encode(buffer, object);
}

/* What a read of two of the three gives: the model's siblings, whoever is asked first. */
static void
check_read(History *history)
{
    uint32_t one = (uint32_t)draw(history, HISTORY_REPLICAS);
    uint32_t other = (one + 1 + (uint32_t)draw(history, HISTORY_REPLICAS - 1)) % HISTORY_REPLICAS;
    Object a = history_object(history, &history->replicas[one]);
    Object b = history_object(history, &history->replicas[other]);
    Object both = object_merge(&history->arena, &a, &b);
    Object again = object_merge(&history->arena, &b, &a);
    HistorySnapshot wanted = history->replicas[one];
    Buffer bytes;
    Buffer same;

    model_merge(history, &wanted, &a, &history->replicas[other]);
    check_object(history, &both, &wanted);
    encode(&bytes, &both);
    encode(&same, &again);
    assert_true(
        slice_equal(object_identity(buffer_slice(&bytes)), object_identity(buffer_slice(&same))));
    buffer_free(&bytes);
    buffer_free(&same);
}

/* replaced: what the replica says of it before the put. */
static bool
model_knows(const History *history, const HistorySnapshot *replica, uint64_t replaced,
            const Put *put)
{
    uint64_t known = replica->alive | replaced | replaced_by(history, &put->past);

    for (uint32_t i = 0; i < history->event_count; i++)
    {
        for (uint32_t v = 0; v < put->value_count; v++)
        {
            if ((known & bit(i)) != 0 && memcmp(&history->events[i].request,
                                                &put->values[v].request, sizeof(RequestId)) == 0)
                return true;
        }
    }
    return false;
}

/* Takes the dot that the replica gave to a request, and checks that it was never given before. */
static void
add_event(History *history, const Object *object, const RequestId *request, uint64_t time_ms)
{
    const Sibling *sibling = object_find(object, request);

    assert_non_null(sibling);
    assert_int_equal(sibling->dot_count, 1);
    for (uint32_t i = 0; i < history->event_count; i++)
        assert_int_not_equal(dot_compare(&history->events[i].dot, &sibling->dots[0]), 0);
    history->events[history->event_count++] =
        (HistoryEvent){.dot = sibling->dots[0], .request = *request, .time_ms = time_ms};
}

static void
model_put(History *history, HistorySnapshot *replica, uint64_t replaced, const Put *put,
          uint64_t context_seen)
{
    if (model_knows(history, replica, replaced, put))
        return;

    Object object = history_object(history, replica);

    replica->alive &= ~(context_seen | replaced_by(history, &put->past));
    replica->seen |= context_seen;
    for (uint32_t v = 0; v < put->value_count; v++)
    {
        uint64_t event = bit(history->event_count);

        add_event(history, &object, &put->values[v].request, put->now_ms);
        replica->alive |= event;
        replica->seen |= event;
    }
}

/* A new request, or one that was made before: a retry. */
static void
name_request(History *history, RequestId *request, bool retry)
{
    if (retry && history->event_count > 0)
        *request = history->events[draw(history, history->event_count)].request;
    else
        history_random_fill(&history->random, request, sizeof(*request));
}

static Object
past_of(History *history, const HistorySnapshot *seen)
{
    Object object = history_object(history, seen);

    return object_past(&history->arena, &object);
}

static Put *
draw_put(History *history, const HistorySnapshot *seen)
{
    bool retry = draw(history, 4) == 0;
    Put *put = ARENA_NEW(&history->arena, Put);

    put->past = past_of(history, seen);
    put->now_ms = draw(history, 4);
    put->value_count = retry ? 1 : 1 + (uint32_t)draw(history, HISTORY_VALUES_MAX);
    put->values = ARENA_ARRAY(&history->arena, PutValue, put->value_count);
    for (uint32_t i = 0; i < put->value_count; i++)
    {
        PutValue *value = &put->values[i];

        *value = (PutValue){0};
        name_request(history, &value->request, retry);
        value->tombstone = value->request.bytes[0] < 64;
        value->value = slice_make(&value->request, value->tombstone ? 0 : sizeof(RequestId));
    }
    return put;
}

static void
apply(History *history, uint32_t replica, const HistorySnapshot *merge, const HistorySnapshot *seen)
{
    HistorySnapshot *target = &history->replicas[replica];
    Object other = merge != NULL ? history_object(history, merge) : (Object){0};
    Put *put = seen != NULL ? draw_put(history, seen) : NULL;
    Update update = {.merge = merge != NULL ? &other : NULL, .put = put};
    Object mine = history_object(history, target);
    uint64_t replaced = replaced_by(history, &mine);
    Slice before = target->record;
    Slice object;
    Buffer out;

    buffer_init(&out, &MEMORY_HEAP);

    UpdateResult result = update_apply(&history->runs[replica], before, &update, NULL,
                                       &history->arena, &out, &object);

    target->record = slice_copy(&history->arena, buffer_slice(&out));
    buffer_free(&out);
    assert_int_equal(result,
                     slice_equal(before, target->record) ? UPDATE_UNCHANGED : UPDATE_CHANGED);
    if (merge != NULL)
    {
        model_merge(history, target, &mine, merge);
        replaced |= replaced_by(history, &other);
    }
    if (put != NULL)
        model_put(history, target, replaced, put, seen->seen);
    check_replica(history, target);
}

/* The process ends and another starts, on what the disk has: all, an older copy, or nothing. */
static void
restart(History *history, uint32_t replica)
{
    HistorySnapshot *target = &history->replicas[replica];

    start_process(history, replica);
    if (draw(history, 3) == 0)
        *target = *history_any_snapshot(history);
    else if (draw(history, 3) == 0)
        *target = (HistorySnapshot){0};
}

void
history_step(History *history)
{
    uint32_t replica = (uint32_t)draw(history, HISTORY_REPLICAS);
    const HistorySnapshot *other = history_any_snapshot(history);
    const HistorySnapshot *seen = draw(history, 2) == 0 ? other : &history->replicas[replica];
    uint64_t what = draw(history, 16);
    bool full = history->event_count + HISTORY_VALUES_MAX > HISTORY_EVENTS_MAX;

    if (what == 0)
        restart(history, replica);
    else if (what == 1)
        history->replicas[replica] =
            (HistorySnapshot){0}; /* the record was lost under a running process */
    else if (what < 8 || full)
        apply(history, replica, other, NULL);
    else if (what < 10)
        apply(history, replica, other, history_any_snapshot(history));
    else
        apply(history, replica, NULL, draw(history, 4) == 0 ? &history->snapshots[0] : seen);
    if (history->snapshot_count < HISTORY_SNAPSHOTS_MAX)
        history->snapshots[history->snapshot_count++] = history->replicas[replica];
    if (draw(history, 4) == 0)
        check_read(history);
}
