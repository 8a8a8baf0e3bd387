/* Any bytes as the columns of a row. */
#include "test/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_round_trip(slice_make(data, size), round_trip_value);
    return 0;
}
