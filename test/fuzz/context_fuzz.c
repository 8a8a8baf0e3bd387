/* Any bytes as a sealed context, and as the version vector inside of one. */
#include "test/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_round_trip(slice_make(data, size), round_trip_context);
    fuzz_round_trip(slice_make(data, size), round_trip_vclock);
    return 0;
}
