/* Any bytes as a key of the types that its first bytes name, and as text that a person typed for a
 * key. */
#include "test/fuzz/fuzz.h"

static void
parse_and_print(KeyType type, const char *text, Arena *arena)
{
    KeyValue value;
    KeyValue again;
    Buffer printed;

    if (!keycodec_parse(type, text, arena, &value))
        return;
    fuzz_is_taken = true;
    buffer_init(&printed, &MEMORY_HEAP);
    keycodec_print(&printed, &value);
    buffer_put_u8(&printed, '\0');
    fuzz_require(keycodec_parse(type, (const char *)printed.data, arena, &again));
    fuzz_require(value.number == again.number && slice_equal(value.bytes, again.bytes));
    buffer_free(&printed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Arena arena;

    fuzz_round_trip(slice_make(data, size), round_trip_key);
    arena_init(&arena, &MEMORY_HEAP);

    const char *text = arena_copy_string(&arena, (const char *)data, size);

    for (uint8_t type = 0; keycodec_type_is_known(++type);)
        parse_and_print((KeyType)type, text, &arena);
    arena_free(&arena);
    return 0;
}
