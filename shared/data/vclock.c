/* Version vectors as sorted arrays. They are short, an entry for each run of a process that has
 * stamped the key, so that walking them side by side is faster than any index. */
#include "shared/data/vclock.h"

#include <string.h>

enum
{
    ENTRY_MINIMUM_BYTES = sizeof(Actor) + 2
};

static int
compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* Orders by (actor, epoch), the key of a version vector. */
static int
compare_entry(const Dot *a, const Dot *b)
{
    int order = memcmp(&a->actor, &b->actor, sizeof(Actor));

    return order != 0 ? order : compare_u64(a->epoch, b->epoch);
}

int
dot_compare(const Dot *a, const Dot *b)
{
    int order = compare_entry(a, b);

    return order != 0 ? order : compare_u64(a->counter, b->counter);
}

uint64_t
vclock_counter(const VClock *clock, const Actor *actor, uint64_t epoch)
{
    Dot wanted = {.actor = *actor, .epoch = epoch};
    uint32_t low = 0;
    uint32_t high = clock->count;

    while (low < high)
    {
        uint32_t middle = low + (high - low) / 2;
        int order = compare_entry(&clock->entries[middle], &wanted);

        if (order == 0)
            return clock->entries[middle].counter;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

bool
vclock_covers(const VClock *clock, const Dot *dot)
{
    return vclock_counter(clock, &dot->actor, dot->epoch) >= dot->counter;
}

static bool
covers_all(const VClock *clock, const VClock *other)
{
    for (uint32_t i = 0; i < other->count; i++)
    {
        if (!vclock_covers(clock, &other->entries[i]))
            return false;
    }
    return true;
}

/* Both directions are asked for at once: of two different vectors neither, one or the other may
 * cover. */
VClockOrder
vclock_compare(const VClock *a, const VClock *b)
{
    bool a_covers = covers_all(a, b);
    bool b_covers = covers_all(b, a);

    if (a_covers && b_covers)
        return VCLOCK_EQUAL;
    if (a_covers)
        return VCLOCK_AFTER;
    return b_covers ? VCLOCK_BEFORE : VCLOCK_CONCURRENT;
}

uint64_t
vclock_weight(const VClock *clock)
{
    uint64_t weight = 0;

    for (uint32_t i = 0; i < clock->count; i++)
        weight += clock->entries[i].counter;
    return weight;
}

/* A walk along both, as merge sort does it; of an entry that both have the higher counter counts.
 */
VClock
vclock_merge(Arena *arena, const VClock *a, const VClock *b)
{
    VClock merged = {.entries = ARENA_ARRAY(arena, Dot, (size_t)a->count + b->count)};
    uint32_t i = 0;
    uint32_t j = 0;

    while (i < a->count || j < b->count)
    {
        int order;

        if (i == a->count)
            order = 1;
        else if (j == b->count)
            order = -1;
        else
            order = compare_entry(&a->entries[i], &b->entries[j]);

        Dot next = order <= 0 ? a->entries[i] : b->entries[j];

        if (order == 0 && b->entries[j].counter > next.counter)
            next.counter = b->entries[j].counter;
        i += order <= 0;
        j += order >= 0;
        merged.entries[merged.count++] = next;
    }
    return merged;
}

/* The dots in between are covered too, since a vector has no gaps. That is right only where nobody
 * else stamps under the same actor and epoch (S5). */
VClock
vclock_add(Arena *arena, const VClock *clock, const Dot *dot)
{
    Dot entry = *dot;
    VClock single = {.entries = &entry, .count = 1};

    return vclock_merge(arena, clock, &single);
}

void
vclock_encode(Buffer *buffer, const VClock *clock)
{
    buffer_put_varint(buffer, clock->count);
    for (uint32_t i = 0; i < clock->count; i++)
    {
        buffer_put(buffer, &clock->entries[i].actor, sizeof(Actor));
        buffer_put_varint(buffer, clock->entries[i].epoch);
        buffer_put_varint(buffer, clock->entries[i].counter);
    }
}

VClock
vclock_decode(Reader *reader, Arena *arena)
{
    VClock clock = {.count = reader_count(reader, ENTRY_MINIMUM_BYTES)};

    clock.entries = ARENA_ARRAY(arena, Dot, clock.count);
    for (uint32_t i = 0; i < clock.count; i++)
    {
        Dot *entry = &clock.entries[i];

        reader_copy(reader, &entry->actor, sizeof(Actor));
        entry->epoch = reader_varint(reader);
        entry->counter = reader_varint(reader);
        if (entry->epoch == 0 || entry->counter == 0 ||
            (i > 0 && compare_entry(entry - 1, entry) >= 0))
            reader_fail(reader);
    }
    if (reader->failed)
        clock.count = 0;
    return clock;
}
