/*
 * Any bytes as a stored record, an object to merge and a put: the result can be read again, and the
 * same update a second time leaves the object what it is.
 */
#include "test/fuzz/fuzz.h"

static const Actor ACTOR = {{1}};

enum
{
    OPENED = 3 /* epochs of ACTOR's run so far */
};

typedef struct Input
{
    Slice record;
    Object merge;
    bool has_merge;
    Put put;
    bool has_put;
} Input;

static bool
read_put(Reader *reader, Arena *arena, Put *put)
{
    put->past.context = vclock_decode(reader, arena);
    put->now_ms = reader_u8(reader);
    put->value_count = 1 + reader_u8(reader) % 3;
    put->values = ARENA_ARRAY(arena, PutValue, put->value_count);
    for (uint32_t i = 0; i < put->value_count; i++)
    {
        PutValue *value = &put->values[i];

        *value = (PutValue){.request = {{reader_u8(reader)}}};
        value->value = reader_slice(reader);
        value->tombstone = value->value.length == 0;
        for (uint32_t other = 0; other < i; other++)
        {
            if (memcmp(&put->values[other].request, &value->request, sizeof(RequestId)) == 0)
                reader_fail(reader);
        }
    }
    return !reader->failed;
}

static bool
read_input(Slice bytes, Arena *arena, Input *input)
{
    Reader reader = reader_begin(bytes);
    uint8_t parts = reader_u8(&reader);

    *input = (Input){.record = reader_slice(&reader)};
    input->has_merge = (parts & 1) != 0;
    input->has_put = (parts & 2) != 0;
    if (input->has_merge && !object_decode(reader_slice(&reader), arena, &input->merge))
        return false;
    return !reader.failed && (!input->has_put || read_put(&reader, arena, &input->put));
}

static bool
have_the_same_dot(const Sibling *a, const Sibling *b)
{
    for (uint32_t i = 0; i < a->dot_count; i++)
    {
        for (uint32_t j = 0; j < b->dot_count; j++)
        {
            if (dot_compare(&a->dots[i], &b->dots[j]) == 0)
                return true;
        }
    }
    return false;
}

/* One dot for two requests: no two nodes ever hold such a pair, since no dot is given twice. */
static bool
have_a_dot_for_two_requests(const Object *a, const Object *b)
{
    for (uint32_t i = 0; i < a->sibling_count; i++)
    {
        for (uint32_t j = 0; j < b->sibling_count; j++)
        {
            const Sibling *left = &a->siblings[i];
            const Sibling *right = &b->siblings[j];

            if (memcmp(&left->request, &right->request, sizeof(RequestId)) != 0 &&
                have_the_same_dot(left, right))
                return true;
        }
    }
    return false;
}

/* Nobody can have seen an epoch that the run has not opened. */
static bool
has_an_unopened_epoch(const VClock *clock)
{
    for (uint32_t i = 0; i < clock->count; i++)
    {
        if (memcmp(&clock->entries[i].actor, &ACTOR, sizeof(Actor)) == 0 &&
            clock->entries[i].epoch > OPENED)
            return true;
    }
    return false;
}

static bool
is_impossible(const Input *input, Arena *arena)
{
    Object stored = {0};
    Slice bytes;

    if (!update_record_object(input->record, &bytes) || !object_decode(bytes, arena, &stored))
        stored = (Object){0};
    return has_an_unopened_epoch(&stored.context) || has_an_unopened_epoch(&input->merge.context) ||
           has_an_unopened_epoch(&input->put.past.context) ||
           have_a_dot_for_two_requests(&stored, &input->merge);
}

/* The ids that were replaced may come in another order; see join_replaced() in object.c. */
static void
require_same_again(Run *run, Slice record, const Update *update, Arena *arena)
{
    Buffer again;
    Slice once;
    Slice twice;

    buffer_init(&again, &MEMORY_HEAP);
    fuzz_require(update_record_object(record, &once));
    if (update_apply(run, record, update, NULL, arena, &again, &twice) != UPDATE_UNCHANGED)
        fuzz_require(slice_equal(object_identity(once), object_identity(twice)));
    buffer_free(&again);
}

static void
apply_twice(const Input *input, Arena *arena)
{
    Update update = {.merge = input->has_merge ? &input->merge : NULL,
                     .put = input->has_put ? &input->put : NULL};
    Run run = {.actor = ACTOR, .epoch = OPENED};
    Object object;
    Slice bytes;
    Buffer first;

    buffer_init(&first, &MEMORY_HEAP);
    if (update_apply(&run, input->record, &update, NULL, arena, &first, &bytes) != UPDATE_CORRUPT)
    {
        fuzz_is_taken = true;
        fuzz_require(bytes.length > 0 ? object_decode(bytes, arena, &object) : first.length == 0);
        require_same_again(&run, buffer_slice(&first), &update, arena);
    }
    buffer_free(&first);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Arena arena;
    Input input;

    arena_init(&arena, &MEMORY_HEAP);
    if (read_input(slice_make(data, size), &arena, &input) && !is_impossible(&input, &arena))
        apply_twice(&input, &arena);
    arena_free(&arena);
    return 0;
}
