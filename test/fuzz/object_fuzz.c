/* Any bytes as an object: canonical, and merging it with itself or with nothing leaves it as it is.
 */
#include "test/fuzz/fuzz.h"

static void
require_same(const Object *object, Slice bytes)
{
    Buffer again;

    buffer_init(&again, &MEMORY_HEAP);
    object_encode(&again, object);
    fuzz_require(slice_equal(object_identity(buffer_slice(&again)), object_identity(bytes)));
    buffer_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Slice bytes = slice_make(data, size);
    Object object;
    Arena arena;

    if (!fuzz_round_trip(bytes, round_trip_object))
        return 0;
    arena_init(&arena, &MEMORY_HEAP);
    fuzz_require(object_decode(bytes, &arena, &object));

    Object twice = object_merge(&arena, &object, &object);
    Object alone = object_merge(&arena, &(Object){0}, &object);
    Object gone = object_overwrite(&arena, &object, &(Object){.context = object.context});

    require_same(&twice, bytes);
    require_same(&alone, bytes);
    fuzz_require(gone.sibling_count == 0);
    arena_free(&arena);
    return 0;
}
