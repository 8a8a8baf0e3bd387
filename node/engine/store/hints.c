/*
 * Totals by target, and the rows of the index.
 */
#include "node/engine/store/hints.h"

#include <string.h>

static uint32_t
find_target(const HintTotals *totals, const MemberId *target)
{
    uint32_t index = 0;

    while (index < totals->target_count &&
           memcmp(&totals->targets[index].target, target, sizeof(MemberId)) != 0)
        index++;
    return index;
}

void
hints_free(HintTotals *totals)
{
    memory_resize(&MEMORY_HEAP, totals->targets, 0);
    *totals = (HintTotals){0};
}

void
hints_add(HintTotals *totals, const Hint *hint)
{
    uint32_t index = find_target(totals, &hint->target);
    HintTotal *total;

    if (index == totals->target_count)
    {
        totals->targets =
            memory_resize(&MEMORY_HEAP, totals->targets, (index + 1) * sizeof(HintTotal));
        totals->targets[totals->target_count++] =
            (HintTotal){.target = hint->target, .oldest_ms = hint->since_ms};
    }
    total = &totals->targets[index];
    total->count++;
    total->bytes += hint->bytes;
    totals->bytes += hint->bytes;
    if (hint->since_ms < total->oldest_ms)
        total->oldest_ms = hint->since_ms;
}

uint64_t
hints_count(const HintTotals *totals)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < totals->target_count; i++)
        count += totals->targets[i].count;
    return count;
}

void
hints_drop(HintTotals *totals, const Hint *hint)
{
    uint32_t index = find_target(totals, &hint->target);
    HintTotal *total = &totals->targets[index];

    if (index == totals->target_count)
        return;
    total->bytes -= hint->bytes;
    totals->bytes -= hint->bytes;
    if (--total->count == 0)
        *total = totals->targets[--totals->target_count];
}

static bool
is_among(const Hint *hint, const Hint *others, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
    {
        if (memcmp(&others[i].target, &hint->target, sizeof(MemberId)) == 0)
            return true;
    }
    return false;
}

void
hints_changed(HintTotals *totals, Slice before, Slice after, HintSink sink, void *context)
{
    Hint *old = NULL;
    Hint *new = NULL;
    uint32_t old_count;
    uint32_t new_count;
    Arena arena;

    if (!update_record_has_hints(before) && !update_record_has_hints(after))
        return;
    arena_init(&arena, &MEMORY_HEAP);
    old_count = update_record_hints(before, &arena, &old);
    new_count = update_record_hints(after, &arena, &new);
    for (uint32_t i = 0; i < new_count; i++)
    {
        if (is_among(&new[i], old, old_count))
            continue;
        hints_add(totals, &new[i]);
        if (sink != NULL)
            sink(context, &new[i], false);
    }
    for (uint32_t i = 0; i < old_count; i++)
    {
        if (is_among(&old[i], new, new_count))
            continue;
        hints_drop(totals, &old[i]);
        if (sink != NULL)
            sink(context, &old[i], true);
    }
    arena_free(&arena);
}

const HintTotal *
hints_of(const HintTotals *totals, const MemberId *target)
{
    uint32_t index = find_target(totals, target);

    return index < totals->target_count ? &totals->targets[index] : NULL;
}

bool
hints_record_owes(Slice record, const MemberId *target)
{
    Hint *hints = NULL;
    Hint wanted = {.target = *target};
    Arena arena;
    uint32_t count;
    bool owes;

    if (!update_record_has_hints(record))
        return false;
    arena_init(&arena, &MEMORY_HEAP);
    count = update_record_hints(record, &arena, &hints);
    owes = is_among(&wanted, hints, count);
    arena_free(&arena);
    return owes;
}

void
hints_index_key(Buffer *buffer, const MemberId *target, Slice storage_key)
{
    buffer_put_u32(buffer, HINTS_BUCKET);
    buffer_put(buffer, target, sizeof(MemberId));
    buffer_put(buffer, storage_key.data, storage_key.length);
}

void
hints_index_value(Buffer *buffer, const Hint *hint)
{
    buffer_put_varint(buffer, hint->bytes);
    buffer_put_varint(buffer, hint->since_ms);
}

bool
hints_index_split(Slice key, Slice value, Hint *hint, Slice *storage_key)
{
    Reader keys = reader_begin(key);
    Reader values = reader_begin(value);

    *hint = (Hint){0};
    if (reader_u32(&keys) != HINTS_BUCKET)
        return false;
    reader_copy(&keys, &hint->target, sizeof(MemberId));
    *storage_key = reader_take(&keys, reader_left(&keys));
    hint->bytes = reader_varint(&values);
    hint->since_ms = reader_varint(&values);
    return !keys.failed && reader_finish(&values);
}
