/*
 * A sorted table of the two numbers by bucket and partition, and their rows.
 */
#include "node/engine/store/rounds.h"

#include <string.h>

void
rounds_free(Rounds *rounds)
{
    memory_resize(&MEMORY_HEAP, rounds->entries, 0);
    *rounds = (Rounds){0};
}

/* The index of the first entry that is not before id. */
static uint32_t
find_index(const Rounds *rounds, TreeId id)
{
    uint32_t low = 0;
    uint32_t high = rounds->count;

    while (low < high)
    {
        uint32_t middle = low + (high - low) / 2;

        if (tree_id_compare(rounds->entries[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool
is_at(const Rounds *rounds, uint32_t index, TreeId id)
{
    return index < rounds->count && tree_id_compare(rounds->entries[index].id, id) == 0;
}

static Round *
entry_of(Rounds *rounds, TreeId id)
{
    uint32_t index = find_index(rounds, id);

    if (is_at(rounds, index, id))
        return &rounds->entries[index];
    if (rounds->count == rounds->capacity)
    {
        rounds->capacity = rounds->capacity > 0 ? rounds->capacity * 2 : 16;
        rounds->entries =
            memory_resize(&MEMORY_HEAP, rounds->entries, rounds->capacity * sizeof(Round));
    }
    memmove(&rounds->entries[index + 1], &rounds->entries[index],
            (rounds->count - index) * sizeof(Round));
    rounds->count++;
    rounds->entries[index] = (Round){.id = id};
    return &rounds->entries[index];
}

Round
rounds_of(const Rounds *rounds, TreeId id)
{
    uint32_t index = rounds != NULL && rounds->count > 0 ? find_index(rounds, id) : 0;

    return rounds != NULL && is_at(rounds, index, id) ? rounds->entries[index] : (Round){.id = id};
}

uint64_t
rounds_changes(const Rounds *rounds)
{
    return rounds != NULL ? rounds->changes : 0;
}

void
rounds_raise(Rounds *rounds, TreeId id, uint64_t round, uint64_t cleared)
{
    Round *entry = entry_of(rounds, id);

    if (round > entry->round)
        entry->round = round;
    if (cleared < round)
        cleared = round;
    if (cleared <= entry->cleared)
        return;
    entry->cleared = cleared;
    entry->prepared = 0;
    rounds->changes++;
}

void
rounds_hold(Rounds *rounds, TreeId id, uint64_t number)
{
    Round *entry = entry_of(rounds, id);

    if (number > entry->held)
        entry->held = number;
}

Round
rounds_note(Rounds *rounds, TreeId id, uint64_t cleared)
{
    Round *entry = entry_of(rounds, id);
    Round row;

    if (cleared < entry->cleared)
        cleared = entry->cleared;
    if (cleared > entry->noted)
        entry->noted = cleared;
    row = *entry;
    row.cleared = row.noted;
    return row;
}

void
rounds_prepare(Rounds *rounds, TreeId id, uint64_t number)
{
    rounds_raise(rounds, id, 0, number);
    entry_of(rounds, id)->prepared = number;
}

void
rounds_take_back(Rounds *rounds, uint32_t bucket_id)
{
    uint32_t index = find_index(rounds, (TreeId){.bucket_id = bucket_id});

    for (; index < rounds->count && rounds->entries[index].id.bucket_id == bucket_id; index++)
        rounds->entries[index].prepared = 0;
}

/* ---- rows ---- */

void
rounds_row(const Round *round, Buffer *key, Buffer *value)
{
    buffer_put_u32(key, ROUNDS_BUCKET);
    buffer_put_u32(key, round->id.bucket_id);
    buffer_put_u32(key, round->id.partition);
    buffer_put_u8(value, 0);
    buffer_put_u8(value, 0);
    buffer_put_varint(value, round->round);
    buffer_put_varint(value, round->cleared);
}

bool
rounds_load(Rounds *rounds, Slice key, Slice value)
{
    Reader index = reader_begin(key);
    Reader numbers = reader_begin(value);
    uint32_t bucket = reader_u32(&index);
    TreeId id = {.bucket_id = reader_u32(&index)};
    uint64_t round;
    uint64_t cleared;

    id.partition = reader_u32(&index);
    (void)reader_u8(&numbers);
    (void)reader_u8(&numbers);
    round = reader_varint(&numbers);
    cleared = reader_varint(&numbers);
    if (bucket != ROUNDS_BUCKET || !reader_finish(&index) || !reader_finish(&numbers))
        return false;
    rounds_raise(rounds, id, round, cleared);
    (void)rounds_note(rounds, id, cleared);
    return true;
}

/* ---- labels ---- */

TreeId
rounds_id(const Topology *topology, uint32_t bucket_id, uint64_t position)
{
    return (TreeId){.bucket_id = bucket_id,
                    .partition = ring_partition(position, topology->partitions)};
}

uint64_t
rounds_label(const Rounds *rounds, const Topology *topology, uint32_t bucket_id, uint64_t position)
{
    if (rounds == NULL || rounds->count == 0)
        return 0;
    return rounds_of(rounds, rounds_id(topology, bucket_id, position)).cleared;
}

uint64_t
rounds_floor(const Rounds *rounds, const Topology *topology, uint32_t self, uint32_t bucket_id,
             uint64_t position)
{
    Round round;
    uint64_t floor;

    if (rounds == NULL || rounds->count == 0)
        return 0;
    round = rounds_of(rounds, rounds_id(topology, bucket_id, position));
    floor = topology_owns(topology, bucket_id, position, self) ? round.round : round.cleared;
    return floor > round.held ? floor : round.held;
}
