#include "shared/object.h"

#include <stdlib.h>
#include <string.h>

enum
{
    OBJECT_FORMAT = 1,
    SIBLING_TOMBSTONE = 1,
    DOT_MINIMUM_BYTES = 2,
    SIBLING_MINIMUM_BYTES = sizeof(RequestId) + 4
};

const Sibling *
object_find(const Object *object, const RequestId *request)
{
    for (uint32_t i = 0; i < object->sibling_count; i++)
    {
        if (memcmp(&object->siblings[i].request, request, sizeof(RequestId)) == 0)
            return &object->siblings[i];
    }
    return NULL;
}

static bool
has_dot(const Sibling *sibling, const Dot *dot)
{
    for (uint32_t i = 0; sibling != NULL && i < sibling->dot_count; i++)
    {
        if (dot_compare(&sibling->dots[i], dot) == 0)
            return true;
    }
    return false;
}

static int
sort_dots(const void *a, const void *b)
{
    return dot_compare(a, b);
}

static int
compare_siblings(const Sibling *a, const Sibling *b)
{
    if (a->written_at_ms != b->written_at_ms)
        return a->written_at_ms < b->written_at_ms ? -1 : 1;
    return memcmp(&a->request, &b->request, sizeof(RequestId));
}

static int
sort_siblings(const void *a, const void *b)
{
    return compare_siblings(a, b);
}

void
object_sort(Object *object)
{
    if (object->sibling_count > 1)
        qsort(object->siblings, object->sibling_count, sizeof(Sibling), sort_siblings);
}

/* Appends the dots of mine that survive a meeting with the other side; twin is the other side's same sibling, or NULL. */
static void
keep_dots(Sibling *kept, const Sibling *mine, const Sibling *twin, const VClock *other_context)
{
    for (uint32_t i = 0; mine != NULL && i < mine->dot_count; i++)
    {
        const Dot *dot = &mine->dots[i];

#ifdef BUG_MERGE_KEEPS_DOMINATED
        if (!has_dot(kept, dot))
            kept->dots[kept->dot_count++] = *dot;
        continue;
#endif
        if ((has_dot(twin, dot) || !vclock_covers(other_context, dot)) && !has_dot(kept, dot))
            kept->dots[kept->dot_count++] = *dot;
    }
}

/* The join of one sibling of a (or NULL) with its twin of b (or NULL); no dots when it does not survive. */
static Sibling
join_sibling(Arena *arena, const Sibling *mine, const VClock *context, const Sibling *twin,
             const VClock *twin_context)
{
    Sibling joined = mine != NULL ? *mine : *twin;

    /* A retry stamped twice: both sides must choose the same one to be equal. */
    if (mine != NULL && twin != NULL && twin->written_at_ms < mine->written_at_ms)
        joined = *twin;
    joined.dot_count = 0;
    joined.dots = ARENA_ARRAY(arena, Dot,
                              (size_t) (mine ? mine->dot_count : 0) + (twin ? twin->dot_count : 0));
    keep_dots(&joined, mine, twin, twin_context);
    keep_dots(&joined, twin, mine, context);
    if (joined.dot_count > 1)
        qsort(joined.dots, joined.dot_count, sizeof(Dot), sort_dots);
    return joined;
}

static void
append_if_alive(Object *object, const Sibling *sibling)
{
    if (sibling->dot_count > 0)
        object->siblings[object->sibling_count++] = *sibling;
}

Object
object_merge(Arena *arena, const Object *a, const Object *b)
{
    Object merged = {.context = vclock_merge(arena, &a->context, &b->context)};

    merged.siblings = ARENA_ARRAY(arena, Sibling, (size_t) a->sibling_count + b->sibling_count);
    for (uint32_t i = 0; i < a->sibling_count; i++)
    {
        const Sibling *mine = &a->siblings[i];
        const Sibling *twin = object_find(b, &mine->request);
        Sibling joined = join_sibling(arena, mine, &a->context, twin, &b->context);

        append_if_alive(&merged, &joined);
    }
    for (uint32_t i = 0; i < b->sibling_count; i++)
    {
        const Sibling *theirs = &b->siblings[i];

        if (object_find(a, &theirs->request) == NULL)
        {
            Sibling joined = join_sibling(arena, NULL, &a->context, theirs, &b->context);

            append_if_alive(&merged, &joined);
        }
    }
    object_sort(&merged);
    return merged;
}

Object
object_overwrite(Arena *arena, const Object *object, const VClock *context)
{
    Object nothing = {.context = *context};

    return object_merge(arena, object, &nothing);
}

uint32_t
object_live_count(const Object *object)
{
    uint32_t live = 0;

    for (uint32_t i = 0; i < object->sibling_count; i++)
        live += !object->siblings[i].tombstone;
    return live;
}

/* A dot is written as the place of its (actor, epoch) in the context, which O1 says is there, and its counter. */
static uint32_t
context_place(const VClock *context, const Dot *dot)
{
    for (uint32_t i = 0; i < context->count; i++)
    {
        const Dot *entry = &context->entries[i];

        if (entry->epoch == dot->epoch && memcmp(&entry->actor, &dot->actor, sizeof(Actor)) == 0)
            return i;
    }
    abort();
}

void
object_encode(Buffer *buffer, const Object *object)
{
    buffer_put_u8(buffer, OBJECT_FORMAT);
    vclock_encode(buffer, &object->context);
    buffer_put_varint(buffer, object->sibling_count);
    for (uint32_t i = 0; i < object->sibling_count; i++)
    {
        const Sibling *sibling = &object->siblings[i];

        buffer_put(buffer, &sibling->request, sizeof(RequestId));
        buffer_put_varint(buffer, sibling->written_at_ms);
        buffer_put_u8(buffer, sibling->tombstone ? SIBLING_TOMBSTONE : 0);
        buffer_put_varint(buffer, sibling->dot_count);
        for (uint32_t d = 0; d < sibling->dot_count; d++)
        {
            buffer_put_varint(buffer, context_place(&object->context, &sibling->dots[d]));
            buffer_put_varint(buffer, sibling->dots[d].counter);
        }
        buffer_put_slice(buffer, sibling->value);
    }
}

static void
decode_dots(Reader *reader, Arena *arena, const VClock *context, Sibling *sibling)
{
    sibling->dot_count = reader_count(reader, DOT_MINIMUM_BYTES);
    sibling->dots = ARENA_ARRAY(arena, Dot, sibling->dot_count);
    if (sibling->dot_count == 0)
        reader_fail(reader);
    for (uint32_t i = 0; i < sibling->dot_count && !reader->failed; i++)
    {
        uint64_t place = reader_varint(reader);
        uint64_t counter = reader_varint(reader);

        if (place >= context->count || counter == 0 || counter > context->entries[place].counter)
        {
            reader_fail(reader);
            return;
        }
        sibling->dots[i] = context->entries[place];
        sibling->dots[i].counter = counter;
        if (i > 0 && dot_compare(&sibling->dots[i - 1], &sibling->dots[i]) >= 0)
            reader_fail(reader);
    }
}

static void
decode_sibling(Reader *reader, Arena *arena, const VClock *context, Sibling *sibling)
{
    reader_copy(reader, &sibling->request, sizeof(RequestId));
    sibling->written_at_ms = reader_varint(reader);

    uint8_t flags = reader_u8(reader);

    decode_dots(reader, arena, context, sibling);
    sibling->value = reader_slice(reader);
    sibling->tombstone = flags == SIBLING_TOMBSTONE;
    if (flags > SIBLING_TOMBSTONE || (sibling->tombstone && sibling->value.length > 0))
        reader_fail(reader);
}

/* O2 and O3 between siblings: strictly ascending, and no request id or dot twice. */
static bool
siblings_are_distinct(const Object *object)
{
    for (uint32_t i = 1; i < object->sibling_count; i++)
    {
        const Sibling *sibling = &object->siblings[i];

        if (compare_siblings(sibling - 1, sibling) >= 0)
            return false;
        for (uint32_t j = 0; j < i; j++)
        {
            if (memcmp(&object->siblings[j].request, &sibling->request, sizeof(RequestId)) == 0)
                return false;
            for (uint32_t d = 0; d < sibling->dot_count; d++)
            {
                if (has_dot(&object->siblings[j], &sibling->dots[d]))
                    return false;
            }
        }
    }
    return true;
}

bool
object_decode(Slice bytes, Arena *arena, Object *object)
{
    Reader reader = reader_begin(bytes);

    *object = (Object){0};
    if (reader_u8(&reader) != OBJECT_FORMAT)
        return false;
    object->context = vclock_decode(&reader, arena);
    object->sibling_count = reader_count(&reader, SIBLING_MINIMUM_BYTES);
    object->siblings = ARENA_ARRAY(arena, Sibling, object->sibling_count);
    for (uint32_t i = 0; i < object->sibling_count && !reader.failed; i++)
        decode_sibling(&reader, arena, &object->context, &object->siblings[i]);
    return reader_finish(&reader) && siblings_are_distinct(object);
}
