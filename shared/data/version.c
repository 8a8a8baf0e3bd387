/* Objects without their values, as two owners of a partition exchange them when they look which of
 * two copies is newer. */
#include "shared/data/version.h"

#include <stdlib.h>
#include <string.h>

enum
{
    DOT_MINIMUM_BYTES = 2
};

static int
order_dots(const void *a, const void *b)
{
    return dot_compare(a, b);
}

Version
version_of(Arena *arena, const Object *object)
{
    Version version = {.context = object->context};
    uint32_t count = 0;

    for (uint32_t i = 0; i < object->sibling_count; i++)
        count += object->siblings[i].dot_count;
    version.dots = ARENA_ARRAY(arena, Dot, count);
    for (uint32_t i = 0; i < object->sibling_count; i++)
    {
        const Sibling *sibling = &object->siblings[i];

        if (sibling->dot_count > 0)
            memcpy(&version.dots[version.dot_count], sibling->dots,
                   sizeof(Dot) * sibling->dot_count);
        version.dot_count += sibling->dot_count;
    }
    if (count > 0)
        qsort(version.dots, count, sizeof(Dot), order_dots);
    return version;
}

/* The dots of a version are sorted, whichever sibling they are of. */
static bool
has_dot(const Version *version, const Dot *dot)
{
    return version->dot_count > 0 &&
           bsearch(dot, version->dots, version->dot_count, sizeof(Dot), order_dots) != NULL;
}

/* Covered and not held means seen and dropped: then b would bring back what a knows to be gone, and
 * the merge is neither of the two. */
bool
version_is_within(const Version *a, const Version *b)
{
    VClockOrder order = vclock_compare(&a->context, &b->context);

    if (order != VCLOCK_EQUAL && order != VCLOCK_BEFORE)
        return false;
    for (uint32_t i = 0; i < b->dot_count; i++)
    {
        if (vclock_covers(&a->context, &b->dots[i]) && !has_dot(a, &b->dots[i]))
            return false;
    }
    return true;
}

static bool
is_entry_of(const Dot *entry, const Dot *dot)
{
    return entry->epoch == dot->epoch && memcmp(&entry->actor, &dot->actor, sizeof(Actor)) == 0;
}

/* A dot is told by the entry of the context that covers it, which has its actor and epoch. */
void
version_encode(Buffer *buffer, const Version *version)
{
    uint32_t entry = 0;

    vclock_encode(buffer, &version->context);
    buffer_put_varint(buffer, version->dot_count);
    for (uint32_t i = 0; i < version->dot_count; i++)
    {
        while (!is_entry_of(&version->context.entries[entry], &version->dots[i]))
            entry++;
        buffer_put_varint(buffer, entry);
        buffer_put_varint(buffer, version->dots[i].counter);
    }
}

static Dot
decode_dot(Reader *reader, const VClock *context)
{
    uint32_t entry = reader_varint32(reader);
    Dot dot = {.counter = reader_varint(reader)};

    if (entry >= context->count || dot.counter == 0 ||
        dot.counter > context->entries[entry].counter)
    {
        reader_fail(reader);
        return dot;
    }
    dot.actor = context->entries[entry].actor;
    dot.epoch = context->entries[entry].epoch;
    return dot;
}

Version
version_decode(Reader *reader, Arena *arena)
{
    Version version = {.context = vclock_decode(reader, arena)};

    version.dot_count = reader_count(reader, DOT_MINIMUM_BYTES);
    version.dots = ARENA_ARRAY(arena, Dot, version.dot_count);
    for (uint32_t i = 0; i < version.dot_count; i++)
    {
        version.dots[i] = decode_dot(reader, &version.context);
        if (i > 0 && dot_compare(&version.dots[i - 1], &version.dots[i]) >= 0)
            reader_fail(reader);
    }
    if (reader->failed)
        version.dot_count = 0;
    return version;
}
