/*
 * scenarios: the ways in which stores of the family are known to have lost writes, each played on
 * three owners of one key and judged by the checker and by what the story says must be there.
 */
#ifndef SIM_SCENARIOS_H
#define SIM_SCENARIOS_H

#include "test/sim/script.h"

/* By name, or NULL. */
const Scenario *scenario_find(const char *name);

/* The index-th, or NULL after the last. */
const Scenario *scenario_at(uint32_t index);

#endif
