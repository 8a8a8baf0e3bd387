/*
 * seeds: what a unit test has encoded, as an input that a fuzz target begins with.
 *
 * A corpus is worth something only while today's decoder takes it. So the corpora of the formats
 * that change come from the encoders, by way of the tests that build one of each: `make fuzz-seeds`
 * runs these tests with FUZZ_SEEDS set, and the replay of the corpora fails on a seed that is
 * refused.
 */
#ifndef TEST_UNIT_STAGES_SEEDS_H
#define TEST_UNIT_STAGES_SEEDS_H

#include "shared/base/bytes.h"

/* Writes bytes to the file target/seed_NAME_N of the folder that FUZZ_SEEDS names, where N is
 * the first free number; does nothing when FUZZ_SEEDS is not set. */
void seeds_keep(const char *target, const char *name, Slice bytes);

#endif
