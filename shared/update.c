#include "shared/update.h"

#include <stdlib.h>
#include <string.h>

enum
{
    RECORD_FORMAT = 1,
    EPOCH_COUNTERS = 1 << 30
};

static void
stamp_encode(Buffer *buffer, const Stamp *stamp)
{
    buffer_put_u8(buffer, RECORD_FORMAT);
    buffer_put_varint(buffer, stamp->epoch);
    if (stamp->epoch == 0)
        return;
    buffer_put(buffer, &stamp->actor, sizeof(Actor));
    buffer_put_varint(buffer, stamp->counter);
}

static bool
record_split(Slice record, Stamp *stamp, Slice *object)
{
    Reader reader = reader_begin(record);

    *stamp = (Stamp){0};
    *object = SLICE_EMPTY;
    if (record.length == 0)
        return true;
    if (reader_u8(&reader) != RECORD_FORMAT)
        return false;
    stamp->epoch = reader_varint(&reader);
    if (stamp->epoch != 0)
    {
        reader_copy(&reader, &stamp->actor, sizeof(Actor));
        stamp->counter = reader_varint(&reader);
    }
    *object = reader_take(&reader, reader_left(&reader));
    return !reader.failed;
}

bool
update_record_object(Slice record, Slice *object)
{
    Stamp stamp;

    return record_split(record, &stamp, object);
}

/*
 * The stamp to count on from: the present one, or a new epoch when it cannot be proved to be the
 * highest. No epoch is counted to its end, so that a record with any counter can be stamped.
 */
static void
open_stamp(Run *run, Stamp *stamp, const VClock *seen)
{
    bool mine = stamp->epoch != 0 && memcmp(&stamp->actor, &run->actor, sizeof(Actor)) == 0;

    if (mine && vclock_counter(seen, &stamp->actor, stamp->epoch) == stamp->counter &&
        stamp->counter < EPOCH_COUNTERS)
        return;
#ifdef BUG_COUNTER_WITHOUT_EPOCH
    run->epoch = 0;
#endif
    *stamp = (Stamp){.actor = run->actor, .epoch = ++run->epoch};
}

static int
compare_requests(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(RequestId));
}

/* True when one of the put's values is a sibling already. The ids are sorted: both sides may be
 * many. */
static bool
any_known(const Object *object, const Put *put, Arena *arena)
{
    RequestId *requests = ARENA_ARRAY(arena, RequestId, put->value_count);

    for (uint32_t i = 0; i < put->value_count; i++)
        requests[i] = put->values[i].request;
    if (put->value_count > 1)
        qsort(requests, put->value_count, sizeof(RequestId), compare_requests);
    for (uint32_t i = 0; i < object->sibling_count; i++)
    {
        if (bsearch(&object->siblings[i].request, requests, put->value_count, sizeof(RequestId),
                    compare_requests) != NULL)
            return true;
    }
    return false;
}

/* A put that shrinks the set passes, however many are left: it is how a crowd is resolved. */
static bool
is_crowded(const Put *put, uint32_t before, uint32_t left)
{
    uint64_t after = (uint64_t)left + put->value_count;

    return put->siblings_max > 0 && after > put->siblings_max && after >= before;
}

/* Turns current into what the put makes of it; false when that would be too many siblings. */
static bool
stamp_put(Run *run, Stamp *stamp, Object *current, const Put *put, Arena *arena)
{
    Object next = object_overwrite(arena, current, &put->context);

    if (is_crowded(put, current->sibling_count, next.sibling_count))
        return false;

    Sibling *siblings = ARENA_ARRAY(arena, Sibling, (size_t)next.sibling_count + put->value_count);

#ifdef BUG_LAST_WRITE_WINS
    while (next.sibling_count > 0 &&
           next.siblings[next.sibling_count - 1].written_at_ms <= put->now_ms)
        next.sibling_count--;
#endif
    memcpy(siblings, next.siblings, sizeof(Sibling) * next.sibling_count);
    next.siblings = siblings;
    open_stamp(run, stamp, &next.context);
    for (uint32_t i = 0; i < put->value_count; i++)
    {
        Dot *dot = ARENA_NEW(arena, Dot);

        *dot = (Dot){.actor = stamp->actor, .epoch = stamp->epoch, .counter = ++stamp->counter};
        siblings[next.sibling_count++] = (Sibling){.request = put->values[i].request,
                                                   .written_at_ms = put->now_ms,
                                                   .tombstone = put->values[i].tombstone,
                                                   .value = put->values[i].value,
                                                   .dots = dot,
                                                   .dot_count = 1};
    }

    Dot highest = {.actor = stamp->actor, .epoch = stamp->epoch, .counter = stamp->counter};

    next.context = vclock_add(arena, &next.context, &highest);
    object_sort(&next);
    *current = next;
    return true;
}

UpdateResult
update_apply(Run *run, Slice record, const Update *update, Arena *arena, Buffer *out, Slice *object)
{
    Stamp stamp;
    Slice stored;
    Object current = {0};

    *object = SLICE_EMPTY;
    if (!record_split(record, &stamp, &stored) ||
        (stored.length > 0 && !object_decode(stored, arena, &current)))
        return UPDATE_CORRUPT;
    if (update->merge != NULL)
        current = object_merge(arena, &current, update->merge);
    if (update->put != NULL && !any_known(&current, update->put, arena) &&
        !stamp_put(run, &stamp, &current, update->put, arena))
        return UPDATE_CROWDED;

    size_t start = out->length;

    stamp_encode(out, &stamp);

    size_t object_start = out->length;

    object_encode(out, &current);
    *object = slice_make(out->data + object_start, out->length - object_start);
    return slice_equal(slice_make(out->data + start, out->length - start), record)
               ? UPDATE_UNCHANGED
               : UPDATE_CHANGED;
}

static VClock
copy_clock(Arena *arena, const VClock *clock)
{
    return (VClock){.entries = arena_copy(arena, clock->entries, sizeof(Dot) * clock->count),
                    .count = clock->count};
}

static Put *
copy_put(Arena *arena, const Put *put)
{
    Put *copy = arena_copy(arena, put, sizeof(Put));

    copy->context = copy_clock(arena, &put->context);
    copy->values = arena_copy(arena, put->values, sizeof(PutValue) * put->value_count);
    for (uint32_t i = 0; i < copy->value_count; i++)
        copy->values[i].value = slice_copy(arena, copy->values[i].value);
    return copy;
}

static Object *
copy_object(Arena *arena, const Object *object)
{
    Object *copy = arena_copy(arena, object, sizeof(Object));

    copy->context = copy_clock(arena, &object->context);
    copy->siblings = arena_copy(arena, object->siblings, sizeof(Sibling) * object->sibling_count);
    for (uint32_t i = 0; i < copy->sibling_count; i++)
    {
        Sibling *sibling = &copy->siblings[i];

        sibling->value = slice_copy(arena, sibling->value);
        sibling->dots = arena_copy(arena, sibling->dots, sizeof(Dot) * sibling->dot_count);
        if (sibling->dot_times_ms != NULL)
            sibling->dot_times_ms =
                arena_copy(arena, sibling->dot_times_ms, sizeof(uint64_t) * sibling->dot_count);
    }
    return copy;
}

Update *
update_copy(Arena *arena, const Update *update)
{
    Update *copy = ARENA_NEW(arena, Update);

    copy->merge = update->merge != NULL ? copy_object(arena, update->merge) : NULL;
    copy->put = update->put != NULL ? copy_put(arena, update->put) : NULL;
    return copy;
}
