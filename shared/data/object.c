/*
 * Objects: merging them, and their bytes.
 *
 * Two parts of an object travel together: what it is (context and siblings), which digests and
 * comparisons are made of, and behind it what was replaced lately. So its bytes begin with the
 * length of the first part, and object_identity() cuts without decoding.
 */
#include "shared/data/object.h"

#include <stdlib.h>
#include <string.h>

enum
{
    OBJECT_FORMAT = 1,
    OBJECT_HEADER_BYTES = 5, /* format, and how long the object itself is */
    SIBLING_TOMBSTONE = 1,
    DOT_MINIMUM_BYTES = 2,
    REPLACED_MINIMUM_BYTES = 1 + sizeof(RequestId),
    IDS_SORTED_FROM = 32, /* fewer are looked through one by one */
    SIBLING_MINIMUM_BYTES = sizeof(RequestId) + 4
};

int
request_id_compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(RequestId));
}

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

static int
compare_dots(const void *a, const void *b)
{
    return dot_compare(a, b);
}

/* Pointers to the siblings in the order of their request ids, so that many of them cost no square
 * of their number. */
typedef struct RequestIndex
{
    const Sibling **siblings;
    uint32_t count;
} RequestIndex;

static int
compare_requests(const void *a, const void *b)
{
    const Sibling *const *left = a;
    const Sibling *const *right = b;

    return memcmp(&(*left)->request, &(*right)->request, sizeof(RequestId));
}

static RequestIndex
index_requests(Arena *arena, const Object *object)
{
    RequestIndex index = {.siblings = ARENA_ARRAY(arena, const Sibling *, object->sibling_count),
                          .count = object->sibling_count};

    for (uint32_t i = 0; i < index.count; i++)
        index.siblings[i] = &object->siblings[i];
    if (index.count > 1)
        qsort(index.siblings, index.count, sizeof(*index.siblings), compare_requests);
    return index;
}

static const Sibling *
find_twin(const RequestIndex *index, const Sibling *sibling)
{
    const Sibling **found = bsearch(&sibling, index->siblings, index->count,
                                    sizeof(*index->siblings), compare_requests);

    return found != NULL ? *found : NULL;
}

/* O3: by age, then by request id, which differs. So any two nodes that hold the same siblings have
 * them in one order. */
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

/* Nearly every sibling has one dot, and no array of times then. */
static uint64_t
dot_time(const Sibling *sibling, uint32_t index)
{
    return sibling->dot_times_ms != NULL ? sibling->dot_times_ms[index] : sibling->written_at_ms;
}

/* Appends a dot and when it was stamped; the sibling is as old as its oldest dot that is left. */
static void
append_dot(Sibling *joined, const Sibling *from, uint32_t index)
{
    uint64_t time_ms = dot_time(from, index);

    if (joined->dot_count == 0 || time_ms < joined->written_at_ms)
        joined->written_at_ms = time_ms;
    joined->dots[joined->dot_count] = from->dots[index];
    joined->dot_times_ms[joined->dot_count++] = time_ms;
}

/* A dot of one side alone survives when the other side never saw it. */
static bool
is_unseen(const Dot *dot, const VClock *other_context)
{
    return !vclock_covers(other_context, dot);
}

/* The join of one sibling of a (or NULL) with its twin of b (or NULL); no dots when it does not
 * survive. */
static Sibling
join_sibling(Arena *arena, const Sibling *mine, const VClock *context, const Sibling *twin,
             const VClock *twin_context)
{
    uint32_t mine_count = mine != NULL ? mine->dot_count : 0;
    uint32_t twin_count = twin != NULL ? twin->dot_count : 0;
    Sibling joined = mine != NULL ? *mine : *twin;
    uint32_t i = 0;
    uint32_t j = 0;

    joined.dot_count = 0;
    joined.dots = ARENA_ARRAY(arena, Dot, (size_t)mine_count + twin_count);
    joined.dot_times_ms = ARENA_ARRAY(arena, uint64_t, (size_t)mine_count + twin_count);
    while (i < mine_count || j < twin_count)
    {
        int order = i == mine_count   ? 1
                    : j == twin_count ? -1
                                      : dot_compare(&mine->dots[i], &twin->dots[j]);

        if (order == 0 || (order < 0 && is_unseen(&mine->dots[i], twin_context)))
            append_dot(&joined, mine, i);
        else if (order > 0 && is_unseen(&twin->dots[j], context))
            append_dot(&joined, twin, j);
        i += order <= 0;
        j += order >= 0;
    }
    return joined;
}

/* A sibling whose dots were all seen by the other side, which has it no more, is gone. */
static void
append_if_alive(Object *object, const Sibling *sibling)
{
    if (sibling->dot_count > 0)
        object->siblings[object->sibling_count++] = *sibling;
}

/* ---- what was replaced ---- */

/* Drops the siblings of any of these ids. */
static void
drop_groups(Arena *arena, Object *object, const RequestIds *groups, uint32_t group_count)
{
    RequestIndex index;
    uint32_t kept = 0;

    if (object->sibling_count == 0 || group_count == 0)
        return;
    index = index_requests(arena, object);
    for (uint32_t g = 0; g < group_count; g++)
    {
        for (uint32_t i = 0; i < groups[g].count; i++)
        {
            Sibling wanted = {.request = groups[g].ids[i]};
            const Sibling *found = find_twin(&index, &wanted);

            if (found != NULL)
                object->siblings[found - object->siblings].dot_count = 0;
        }
    }
    for (uint32_t i = 0; i < object->sibling_count; i++)
    {
        if (object->siblings[i].dot_count > 0)
            object->siblings[kept++] = object->siblings[i];
    }
    object->sibling_count = kept;
}

/* Groups of ids are compared in their order: a put writes them down once, and everybody copies
 * that. */
static bool
is_same(const RequestIds *a, const RequestIds *b)
{
    return a->count == b->count && memcmp(a->ids, b->ids, sizeof(RequestId) * a->count) == 0;
}

static void
append_replaced(Object *object, const RequestIds *ids)
{
    for (uint32_t i = 0; i < object->replaced_count; i++)
    {
        if (is_same(&object->replaced[i], ids))
            return;
    }
    object->replaced[object->replaced_count++] = *ids;
}

void
object_add_replaced(Arena *arena, Object *object, const RequestIds *ids)
{
    RequestIds *grown = ARENA_ARRAY(arena, RequestIds, object->replaced_count + (size_t)1);

    if (ids->count == 0)
        return;
    if (object->replaced_count > 0)
        memcpy(grown, object->replaced, sizeof(RequestIds) * object->replaced_count);
    object->replaced = grown;
    append_replaced(object, ids);
    drop_groups(arena, object, ids, 1);
}

/* Takes theirs and mine by turns, since each side has the latest first. Theirs come first, so that
 * replicas which send each other their objects end with one order, hence with equal bytes. The same
 * merge a second time may therefore change the order, and nothing else. */
static void
join_replaced(Arena *arena, Object *merged, const Object *a, const Object *b)
{
    uint32_t most = a->replaced_count > b->replaced_count ? a->replaced_count : b->replaced_count;

    if (most == 0)
        return;
    merged->replaced =
        ARENA_ARRAY(arena, RequestIds, (size_t)a->replaced_count + b->replaced_count);
    for (uint32_t i = 0; i < most; i++)
    {
        if (i < b->replaced_count)
            append_replaced(merged, &b->replaced[i]);
        if (i < a->replaced_count)
            append_replaced(merged, &a->replaced[i]);
    }
    drop_groups(arena, merged, merged->replaced, merged->replaced_count);
}

RequestIds
object_requests(Arena *arena, const Object *object)
{
    RequestId *ids = ARENA_ARRAY(arena, RequestId, object->sibling_count);

    for (uint32_t i = 0; i < object->sibling_count; i++)
        ids[i] = object->siblings[i].request;
    return (RequestIds){.ids = ids, .count = object->sibling_count};
}

/* The definition: siblings of a joined with their twins, then those that b alone has, then without
 * whatever one of the sides says was replaced. That comes last, since it drops siblings whose dots
 * no context covers. */
Object
object_merge(Arena *arena, const Object *a, const Object *b)
{
    Object merged = {.context = vclock_merge(arena, &a->context, &b->context)};
    RequestIndex a_index = index_requests(arena, a);
    RequestIndex b_index = index_requests(arena, b);

    merged.siblings = ARENA_ARRAY(arena, Sibling, (size_t)a->sibling_count + b->sibling_count);
    for (uint32_t i = 0; i < a->sibling_count; i++)
    {
        const Sibling *mine = &a->siblings[i];
        const Sibling *twin = find_twin(&b_index, mine);
        Sibling joined = join_sibling(arena, mine, &a->context, twin, &b->context);

        append_if_alive(&merged, &joined);
    }
    for (uint32_t i = 0; i < b->sibling_count; i++)
    {
        const Sibling *theirs = &b->siblings[i];

        if (find_twin(&a_index, theirs) == NULL)
        {
            Sibling joined = join_sibling(arena, NULL, &a->context, theirs, &b->context);

            append_if_alive(&merged, &joined);
        }
    }
    join_replaced(arena, &merged, a, b);
    object_sort(&merged);
    return merged;
}

Object
object_past(Arena *arena, const Object *object)
{
    RequestIds shown = object_requests(arena, object);
    uint32_t older = object->replaced_count < OBJECT_REPLACED_KEPT ? object->replaced_count
                                                                   : OBJECT_REPLACED_KEPT;
    Object past = {.context = object->context,
                   .replaced = ARENA_ARRAY(arena, RequestIds, older + (size_t)1)};

    if (shown.count > 0)
        past.replaced[past.replaced_count++] = shown;
    for (uint32_t i = 0; i < older; i++)
        past.replaced[past.replaced_count++] = object->replaced[i];
    return past;
}

/* The ids of what is gone though nobody says that it was replaced: what the writer saw had replaced
 * it long ago. */
static RequestIds
gone_unsaid(Arena *arena, const Object *before, const Object *left)
{
    RequestIndex before_index = index_requests(arena, before);
    RequestIndex left_index = index_requests(arena, left);
    bool *said = arena_alloc_zero(arena, before->sibling_count);
    RequestId *ids = ARENA_ARRAY(arena, RequestId, before->sibling_count);
    uint32_t count = 0;

    for (uint32_t g = 0; g < left->replaced_count; g++)
    {
        for (uint32_t i = 0; i < left->replaced[g].count; i++)
        {
            const Sibling *found =
                find_twin(&before_index, &(Sibling){.request = left->replaced[g].ids[i]});

            if (found != NULL)
                said[found - before->siblings] = true;
        }
    }
    for (uint32_t i = 0; i < before->sibling_count; i++)
    {
        if (!said[i] && find_twin(&left_index, &before->siblings[i]) == NULL)
            ids[count++] = before->siblings[i].request;
    }
    return (RequestIds){.ids = ids, .count = count};
}

/* A put is a merge with what its writer has seen, as an object without siblings: what the merge
 * drops is what the put replaces. */
Object
object_overwrite(Arena *arena, const Object *object, const Object *past)
{
    Object left = object_merge(arena, object, past);
    RequestIds unsaid;

    if (left.sibling_count == object->sibling_count)
        return left;
    unsaid = gone_unsaid(arena, object, &left);
    object_add_replaced(arena, &left, &unsaid);
    return left;
}

uint32_t
object_live_count(const Object *object)
{
    uint32_t live = 0;

    for (uint32_t i = 0; i < object->sibling_count; i++)
        live += !object->siblings[i].tombstone;
    return live;
}

/* A dot is written as the entry of its (actor, epoch) in the context, which O1 says is there, and
 * its counter. */
static uint32_t
context_place(const Memory *memory, const VClock *context, const Dot *dot)
{
    for (uint32_t i = 0; i < context->count; i++)
    {
        const Dot *entry = &context->entries[i];

        if (entry->epoch == dot->epoch && memcmp(&entry->actor, &dot->actor, sizeof(Actor)) == 0)
            return i;
    }
    memory_fail(memory, "a sibling's dot is not in its object's context");
}

static void
encode_itself(Buffer *buffer, const Object *object)
{
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
            buffer_put_varint(buffer,
                              context_place(buffer->memory, &object->context, &sibling->dots[d]));
            buffer_put_varint(buffer, sibling->dots[d].counter);
            if (sibling->dot_count > 1)
                buffer_put_varint(buffer, dot_time(sibling, d) - sibling->written_at_ms);
        }
        buffer_put_slice(buffer, sibling->value);
    }
}

static void
encode_replaced(Buffer *buffer, const Object *object)
{
    for (uint32_t i = 0; i < object->replaced_count; i++)
    {
        buffer_put_varint(buffer, object->replaced[i].count);
        buffer_put(buffer, object->replaced[i].ids, sizeof(RequestId) * object->replaced[i].count);
    }
}

/* An object that has seen nothing has no first part when there are ids that were replaced: those
 * are all that is left of a key that was reaped, and of a past that has no vector. */
static bool
has_itself(const Object *object)
{
    return object->context.count > 0 || object->replaced_count == 0;
}

void
object_encode(Buffer *buffer, const Object *object)
{
    size_t start = buffer->length;

    buffer_put_u8(buffer, OBJECT_FORMAT);
    buffer_put_u32(buffer, 0);
    if (has_itself(object))
        encode_itself(buffer, object);
    buffer_set_u32(buffer, start + 1, (uint32_t)(buffer->length - start - OBJECT_HEADER_BYTES));
    encode_replaced(buffer, object);
}

/* Bytes that are no object are given back whole: their digest then differs from everybody's, and
 * the compare finds the damage. */
Slice
object_identity(Slice bytes)
{
    Reader reader = reader_begin(bytes);
    size_t length;

    (void)reader_u8(&reader);
    length = reader_u32(&reader);
    if (reader.failed || length > reader_left(&reader))
        return bytes;
    return length > 0 ? slice_make(bytes.data, OBJECT_HEADER_BYTES + length) : SLICE_EMPTY;
}

Digest
object_digest(Slice bytes)
{
    return digest_of(object_identity(bytes));
}

/* When the dots of a sibling with several were stamped: as differences to the least, which is the
 * sibling's own. */
static void
decode_dot_time(Reader *reader, Sibling *sibling, uint32_t index)
{
    uint64_t later = reader_varint(reader);

    if (__builtin_add_overflow(sibling->written_at_ms, later, &sibling->dot_times_ms[index]))
        reader_fail(reader);
}

/* O1 is checked where it is written: a dot names its entry of the context, and is covered by it. */
static void
decode_dot(Reader *reader, const VClock *context, Sibling *sibling, uint32_t index)
{
    uint64_t entry = reader_varint(reader);
    uint64_t counter = reader_varint(reader);

    if (entry >= context->count || counter == 0 || counter > context->entries[entry].counter)
    {
        reader_fail(reader);
        return;
    }
    sibling->dots[index] = context->entries[entry];
    sibling->dots[index].counter = counter;
    if (index > 0 && dot_compare(&sibling->dots[index - 1], &sibling->dots[index]) >= 0)
        reader_fail(reader);
}

static void
decode_dots(Reader *reader, Arena *arena, const VClock *context, Sibling *sibling)
{
    uint64_t least = UINT64_MAX;

    sibling->dot_count = reader_count(reader, DOT_MINIMUM_BYTES);
    sibling->dots = ARENA_ARRAY(arena, Dot, sibling->dot_count);
    sibling->dot_times_ms =
        sibling->dot_count > 1 ? ARENA_ARRAY(arena, uint64_t, sibling->dot_count) : NULL;
    if (sibling->dot_count == 0)
        reader_fail(reader);
    for (uint32_t i = 0; i < sibling->dot_count && !reader->failed; i++)
    {
        decode_dot(reader, context, sibling, i);
        if (sibling->dot_count == 1)
            return;
        decode_dot_time(reader, sibling, i);
        least = sibling->dot_times_ms[i] < least ? sibling->dot_times_ms[i] : least;
    }
    if (least != sibling->written_at_ms)
        reader_fail(reader);
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

static bool
requests_are_distinct(const Object *object, Arena *arena)
{
    RequestIndex index = index_requests(arena, object);

    for (uint32_t i = 1; i < index.count; i++)
    {
        if (compare_requests(&index.siblings[i - 1], &index.siblings[i]) == 0)
            return false;
    }
    return true;
}

/* O2, by sorting all dots of the object: a sender chooses how many there are. */
static bool
dots_are_distinct(const Object *object, Arena *arena)
{
    size_t count = 0;

    for (uint32_t i = 0; i < object->sibling_count; i++)
        count += object->siblings[i].dot_count;

    Dot *dots = ARENA_ARRAY(arena, Dot, count);

    count = 0;
    for (uint32_t i = 0; i < object->sibling_count; i++)
    {
        for (uint32_t d = 0; d < object->siblings[i].dot_count; d++)
            dots[count++] = object->siblings[i].dots[d];
    }
    qsort(dots, count, sizeof(Dot), compare_dots);
    for (size_t i = 1; i < count; i++)
    {
        if (dot_compare(&dots[i - 1], &dots[i]) == 0)
            return false;
    }
    return true;
}

/* O2 and O3 between siblings: strictly ascending, and no request id or dot twice. */
static bool
siblings_are_distinct(const Object *object, Arena *arena)
{
    for (uint32_t i = 1; i < object->sibling_count; i++)
    {
        if (compare_siblings(&object->siblings[i - 1], &object->siblings[i]) >= 0)
            return false;
    }
    return object->sibling_count < 2 ||
           (requests_are_distinct(object, arena) && dots_are_distinct(object, arena));
}

uint32_t
object_encoded_siblings(Slice bytes, Arena *arena)
{
    Reader reader = reader_begin(bytes);

    if (reader_u8(&reader) != OBJECT_FORMAT)
        return 0;
    (void)reader_u32(&reader);
    (void)vclock_decode(&reader, arena);
    return reader_count(&reader, SIBLING_MINIMUM_BYTES);
}

static void
decode_itself(Slice bytes, Arena *arena, Object *object, Reader *outer)
{
    Reader reader = reader_begin(bytes);

    object->context = vclock_decode(&reader, arena);
    object->sibling_count = reader_count(&reader, SIBLING_MINIMUM_BYTES);
    object->siblings = ARENA_ARRAY(arena, Sibling, object->sibling_count);
    for (uint32_t i = 0; i < object->sibling_count && !reader.failed; i++)
        decode_sibling(&reader, arena, &object->context, &object->siblings[i]);
    if (!reader_finish(&reader))
        reader_fail(outer);
}

/* Borrows the ids, which are bytes and need no alignment. */
static void
decode_replaced(Reader *reader, Arena *arena, Object *object)
{
    size_t most = reader_left(reader) / REPLACED_MINIMUM_BYTES;

    object->replaced = ARENA_ARRAY(arena, RequestIds, most);
    while (reader_left(reader) > 0 && !reader->failed)
    {
        RequestIds *ids = &object->replaced[object->replaced_count];
        uint32_t count = reader_count(reader, sizeof(RequestId));
        Slice bytes = reader_take(reader, sizeof(RequestId) * (size_t)count);

        if (count == 0 || reader->failed)
        {
            reader_fail(reader);
            return;
        }
        *ids = (RequestIds){.ids = (const RequestId *)bytes.data, .count = count};
        object->replaced_count++;
    }
}

/* O4 */
static bool
none_is_replaced(const Object *object, Arena *arena)
{
    RequestIndex index;

    if (object->replaced_count == 0 || object->sibling_count == 0)
        return true;
    index = index_requests(arena, object);
    for (uint32_t g = 0; g < object->replaced_count; g++)
    {
        for (uint32_t i = 0; i < object->replaced[g].count; i++)
        {
            if (find_twin(&index, &(Sibling){.request = object->replaced[g].ids[i]}) != NULL)
                return false;
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

    uint32_t length = reader_u32(&reader);

    if (length > 0)
        decode_itself(reader_take(&reader, length), arena, object, &reader);
    decode_replaced(&reader, arena, object);
    return reader_finish(&reader) && (length > 0) == has_itself(object) &&
           siblings_are_distinct(object, arena) && none_is_replaced(object, arena);
}
