/* Any bytes as a frame of any type. */
#include "test/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_round_trip(slice_make(data, size), round_trip_message);
    return 0;
}
