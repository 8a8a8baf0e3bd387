/*
 * The change that storage makes to a record, as one pure function: merge, stamp, hints, in this
 * order. Storage runs it on the record as it finds it, and writes what comes out.
 *
 * A record is format (1 byte), hints, stamp, object; the hints come first so that
 * update_record_has_hints() needs to look at two bytes.
 */
#include "shared/data/update.h"

#include <stdlib.h>
#include <string.h>

enum
{
    RECORD_FORMAT = 1,
    HINT_MINIMUM_BYTES = sizeof(MemberId) + 2,
    /* Stamps of one epoch at most. The bound is far from the end of 64 bits, so that a counter made
     * up by a damaged disk does not leave the key without a next one. */
    EPOCH_COUNTERS = 1 << 30
};

/* What a record holds: format, hints, stamp, object. */
typedef struct UpdateRecord
{
    Hint *hints;
    uint32_t hint_count;
    Stamp stamp;
    Slice object;
} UpdateRecord;

/* All but the object, which is written behind it. */
static void
encode_head(Buffer *buffer, const UpdateRecord *record)
{
    buffer_put_u8(buffer, RECORD_FORMAT);
    buffer_put_varint(buffer, record->hint_count);
    for (uint32_t i = 0; i < record->hint_count; i++)
    {
        buffer_put(buffer, &record->hints[i].target, sizeof(MemberId));
        buffer_put_varint(buffer, record->hints[i].bytes);
        buffer_put_varint(buffer, record->hints[i].since_ms);
    }
    buffer_put_varint(buffer, record->stamp.epoch);
    if (record->stamp.epoch == 0)
        return;
    buffer_put(buffer, &record->stamp.actor, sizeof(Actor));
    buffer_put_varint(buffer, record->stamp.counter);
}

static Hint
decode_hint(Reader *reader)
{
    Hint hint = {0};

    reader_copy(reader, &hint.target, sizeof(MemberId));
    hint.bytes = reader_varint(reader);
    hint.since_ms = reader_varint(reader);
    return hint;
}

/* arena NULL: the hints are passed over. */
static bool
split_record(Slice bytes, Arena *arena, UpdateRecord *record)
{
    Reader reader = reader_begin(bytes);

    *record = (UpdateRecord){.object = SLICE_EMPTY};
    if (bytes.length == 0)
        return true;
    if (reader_u8(&reader) != RECORD_FORMAT)
        return false;
    record->hint_count = reader_count(&reader, HINT_MINIMUM_BYTES);
    if (record->hint_count > 0 && arena != NULL)
        record->hints = ARENA_ARRAY(arena, Hint, record->hint_count);
    for (uint32_t i = 0; i < record->hint_count; i++)
    {
        Hint hint = decode_hint(&reader);

        if (arena != NULL)
            record->hints[i] = hint;
    }
    record->stamp.epoch = reader_varint(&reader);
    if (record->stamp.epoch != 0)
    {
        reader_copy(&reader, &record->stamp.actor, sizeof(Actor));
        record->stamp.counter = reader_varint(&reader);
    }
    record->object = reader_take(&reader, reader_left(&reader));
    return !reader.failed;
}

bool
update_record_object(Slice record, Slice *object)
{
    UpdateRecord opened;
    bool readable = split_record(record, NULL, &opened);

    *object = opened.object;
    return readable;
}

uint32_t
update_record_hints(Slice record, Arena *arena, Hint **hints)
{
    UpdateRecord opened;

    if (!update_record_has_hints(record) || !split_record(record, arena, &opened))
        return 0;
    *hints = opened.hints;
    return opened.hint_count;
}

bool
update_record_has_hints(Slice record)
{
    return record.length > 1 && record.data[1] != 0;
}

/*
 * The stamp to count on from: the present one, or a new epoch when it cannot be proved to be the
 * highest. No epoch is counted to its end, so that a record with any counter can be stamped.
 */
static void
open_stamp(Run *run, Stamp *stamp, const VClock *seen)
{
    bool mine = stamp->epoch != 0 && memcmp(&stamp->actor, &run->actor, sizeof(Actor)) == 0;
    uint64_t highest = vclock_counter(seen, &stamp->actor, stamp->epoch);

    if (mine && highest == stamp->counter && stamp->counter < EPOCH_COUNTERS)
        return;
    *stamp = (Stamp){.actor = run->actor, .epoch = ++run->epoch};
}

typedef struct UpdateKnownIds
{
    const RequestId *sorted;
    uint32_t count;
} UpdateKnownIds;

static bool
knows_any(const UpdateKnownIds *known, const RequestIds *ids)
{
    for (uint32_t i = 0; i < ids->count; i++)
    {
        if (bsearch(&ids->ids[i], known->sorted, known->count, sizeof(RequestId),
                    request_id_compare) != NULL)
            return true;
    }
    return false;
}

/* True for a write that the record says nothing of any more, but that was replaced a while ago
 * (node/engine/store/recall.h). */
static bool
is_remembered(const UpdateMemory *memory, const RequestId *request)
{
    return memory != NULL && memory->has(memory->context, request);
}

/* True when one of the put's values is a sibling already, or was replaced, as the record or the
 * writer's own context says. Its ids are sorted: both sides may be many. */
static bool
any_known(const Object *object, const UpdateMemory *memory, const Put *put, Arena *arena)
{
    RequestIds siblings = object_requests(arena, object);
    RequestId *requests = ARENA_ARRAY(arena, RequestId, put->value_count);

    for (uint32_t i = 0; i < put->value_count; i++)
        requests[i] = put->values[i].request;
    if (put->value_count > 1)
        qsort(requests, put->value_count, sizeof(RequestId), request_id_compare);

    UpdateKnownIds known = {.sorted = requests, .count = put->value_count};

    for (uint32_t i = 0; i < object->replaced_count; i++)
    {
        if (knows_any(&known, &object->replaced[i]))
            return true;
    }
    for (uint32_t i = 0; i < put->past.replaced_count; i++)
    {
        if (knows_any(&known, &put->past.replaced[i]))
            return true;
    }
    for (uint32_t i = 0; i < known.count; i++)
    {
        if (is_remembered(memory, &known.sorted[i]))
            return true;
    }
    return knows_any(&known, &siblings);
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
    Object next = object_overwrite(arena, current, &put->past);

    if (is_crowded(put, current->sibling_count, next.sibling_count))
        return false;

    Sibling *siblings = ARENA_ARRAY(arena, Sibling, (size_t)next.sibling_count + put->value_count);

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

/* ---- hints ---- */

/* A record owes its object to few members: no more than it has owners. */
static uint32_t
find_hint(const UpdateRecord *record, const MemberId *target)
{
    uint32_t index = 0;

    while (index < record->hint_count &&
           memcmp(&record->hints[index].target, target, sizeof(MemberId)) != 0)
        index++;
    return index;
}

/* A hint goes only when the object is still the one that its target has acknowledged: another one
 * is owed to it now. True when a hint was dropped. */
static bool
apply_hint(UpdateRecord *record, const HintChange *change, Slice object)
{
    uint32_t index = find_hint(record, &change->target);
    Digest digest;

    if (!change->drop)
    {
        if (index == record->hint_count)
            record->hints[record->hint_count++] = (Hint){
                .target = change->target, .bytes = object.length, .since_ms = change->now_ms};
        return false;
    }
    if (index == record->hint_count)
        return false;
    digest = object_digest(object);
    if (!digest_equal(&digest, &change->acknowledged))
        return false;
    record->hints[index] = record->hints[--record->hint_count];
    return true;
}

/* False when nothing of the record is to be kept. */
static bool
change_hints(UpdateRecord *record, const Update *update, Slice object, Arena *arena)
{
    Hint *hints = ARENA_ARRAY(arena, Hint, record->hint_count + (size_t)update->hint_count);
    bool dropped = false;

    if (record->hint_count > 0)
        memcpy(hints, record->hints, sizeof(Hint) * record->hint_count);
    record->hints = hints;
    for (uint32_t i = 0; i < update->hint_count; i++)
        dropped |= apply_hint(record, &update->hints[i], object);
    return !(update->unowned && dropped && record->hint_count == 0);
}

/* ---- applying ---- */

/* False, and then both are as of an absent one, when the record cannot be decoded. */
static bool
open_record(Slice bytes, Arena *arena, UpdateRecord *record, Object *object)
{
    *object = (Object){0};
    if (split_record(bytes, arena, record) &&
        (record->object.length == 0 || object_decode(record->object, arena, object)))
        return true;
    *record = (UpdateRecord){0};
    *object = (Object){0};
    return false;
}

/* The object's bytes, which out gets behind the head when it has been written. */
static Slice
encode_copy(const Object *object, Arena *arena, Buffer *out)
{
    size_t start = out->length;
    Slice copy;

    object_encode(out, object);
    copy = slice_copy(arena, slice_make(out->data + start, out->length - start));
    out->length = start;
    return copy;
}

/* Turns current into what is left when it has been reaped; false when that is nothing. */
static bool
reap_object(const UpdateRecord *record, const Reap *reap, Arena *arena, Object *current)
{
    Digest digest = object_digest(record->object);

    if (!digest_equal(&digest, &reap->digest))
        return true;
    if (reap->whole)
        return false;
    if (record->hint_count > 0)
        return true;
    if (reap_is_dead(current))
        return false;
    current->context = reap_context(current, reap, arena);
    return true;
}

/* Of records that cannot be read, or have no object, the one with that digest: it may have been
 * mended since it was looked at. */
static bool
is_to_be_forgotten(Slice bytes, const UpdateRecord *record, const Digest *unreadable)
{
    Digest digest = digest_of(bytes);

    return bytes.length > 0 && record->object.length == 0 && digest_equal(&digest, unreadable);
}

/* What the object says was replaced, from the index on, is to be remembered elsewhere. */
static void
let_go(Object *object, uint32_t from, uint64_t weight, UpdateMemory *memory)
{
    if (object->replaced_count <= from)
        return;
    if (memory != NULL)
    {
        memory->gone = object->replaced + from;
        memory->gone_count = object->replaced_count - from;
        memory->gone_weight = weight;
    }
    object->replaced_count = from;
}

/* Once a tombstone is reaped, what it replaced is told of an absent key. What is set aside never
 * happened, and what was handed off is for the owners to remember, who may have lost what replaced
 * it: then it has replaced nothing. */
static void
let_all_go(Object *object, const Reap *reap, UpdateMemory *memory)
{
    if (memory == NULL)
        return;
    memory->is_removed = true;
    if (reap != NULL && !reap->whole)
        let_go(object, 0, 0, memory);
    else
        memory->gone_weight = UINT64_MAX;
}

/* What is remembered as replaced does not come back, whoever brings it: the merge itself knows only
 * the ids that one of the two objects names. */
static void
merge_in(Object *current, const Object *with, const UpdateMemory *memory, Arena *arena)
{
    uint32_t kept = 0;

    *current = object_merge(arena, current, with);
    for (uint32_t i = 0; i < current->sibling_count; i++)
    {
        if (!is_remembered(memory, &current->siblings[i].request))
            current->siblings[kept++] = current->siblings[i];
    }
    current->sibling_count = kept;
}

/* Storage may have been slow: the deadline that the coordinator looked at is looked at again at the
 * moment of stamping. */
static bool
is_put_late(const Put *put, const UpdateMemory *memory)
{
    return memory != NULL && put->until_ms != 0 && memory->now_ms > put->until_ms;
}

UpdateResult
update_apply(Run *run, Slice record, const Update *update, UpdateMemory *memory, Arena *arena,
             Buffer *out, Slice *object)
{
    UpdateRecord next;
    Object current;
    size_t start = out->length;
    size_t object_start;
    bool readable = open_record(record, arena, &next, &current);

    *object = SLICE_EMPTY;
    if ((!readable && update->reap != NULL && update->reap->dead) ||
        (update->unreadable != NULL && is_to_be_forgotten(record, &next, update->unreadable)))
        return UPDATE_REPLACED;
    if (!readable && update->merge == NULL)
        return UPDATE_CORRUPT;
    if (update->merge != NULL)
        merge_in(&current, update->merge, memory, arena);
    if (update->put != NULL && !any_known(&current, memory, update->put, arena))
    {
        if (is_put_late(update->put, memory))
            return UPDATE_LATE;
        if (!stamp_put(run, &next.stamp, &current, update->put, arena))
            return UPDATE_CROWDED;
    }
    if (current.context.count == 0 && (readable || update->merge == NULL))
        return UPDATE_UNCHANGED; /* hints for an absent key, or a put that was reaped since */
    if ((update->reap != NULL && !reap_object(&next, update->reap, arena, &current)) ||
        (update->hint_count > 0 &&
         !change_hints(&next, update, encode_copy(&current, arena, out), arena)))
    {
        let_all_go(&current, update->reap, memory);
        return UPDATE_CHANGED;
    }
    let_go(&current, OBJECT_REPLACED_KEPT, vclock_weight(&current.context), memory);
    encode_head(out, &next);
    object_start = out->length;
    object_encode(out, &current);
    *object = slice_make(out->data + object_start, out->length - object_start);
    if (!readable)
        return UPDATE_REPLACED;
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

static Reap *
copy_reap(Arena *arena, const Reap *reap)
{
    Reap *copy = arena_copy(arena, reap, sizeof(Reap));

    copy->live = arena_copy(arena, reap->live, sizeof(Actor) * reap->live_count);
    return copy;
}

static RequestIds
copy_ids(Arena *arena, const RequestIds *ids)
{
    return (RequestIds){.ids = arena_copy(arena, ids->ids, sizeof(RequestId) * ids->count),
                        .count = ids->count};
}

static Object *
copy_object(Arena *arena, const Object *object)
{
    Object *copy = arena_copy(arena, object, sizeof(Object));

    copy->context = copy_clock(arena, &object->context);
    copy->replaced =
        arena_copy(arena, object->replaced, sizeof(RequestIds) * object->replaced_count);
    for (uint32_t i = 0; i < copy->replaced_count; i++)
        copy->replaced[i] = copy_ids(arena, &object->replaced[i]);
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

static Put *
copy_put(Arena *arena, const Put *put)
{
    Put *copy = arena_copy(arena, put, sizeof(Put));

    copy->past = *copy_object(arena, &put->past);
    copy->values = arena_copy(arena, put->values, sizeof(PutValue) * put->value_count);
    for (uint32_t i = 0; i < copy->value_count; i++)
        copy->values[i].value = slice_copy(arena, copy->values[i].value);
    return copy;
}

/* All that an update borrows is copied, down to the dots: storage may run it when the frame that it
 * came in is long gone. */
Update *
update_copy(Arena *arena, const Update *update)
{
    Update *copy = ARENA_NEW(arena, Update);

    copy->merge = update->merge != NULL ? copy_object(arena, update->merge) : NULL;
    copy->put = update->put != NULL ? copy_put(arena, update->put) : NULL;
    copy->hints = arena_copy(arena, update->hints, sizeof(HintChange) * update->hint_count);
    copy->hint_count = update->hint_count;
    copy->reap = update->reap != NULL ? copy_reap(arena, update->reap) : NULL;
    copy->unreadable =
        update->unreadable != NULL ? arena_copy(arena, update->unreadable, sizeof(Digest)) : NULL;
    copy->unowned = update->unowned;
    return copy;
}
