/*
 * scenarios: the ways in which stores of the family are known to have lost writes, each played on
 * three owners of one key and judged by the checker and by what the story says must be there.
 */
#ifndef SIM_SCENARIOS_H
#define SIM_SCENARIOS_H

#include "test/sim/script.h"

/* How many owners as w or r; and checks what a read shows, by the numbers of its puts. */
enum
{
    ALL = 3,
    MOST = 2
};

#define EXPECT(script, shown, ...)                                                                 \
    script_expect((script), (shown), sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t),   \
                  (const uint32_t[]){__VA_ARGS__})

/* Those of scenarios_heal.c, and behind them those of scenarios_reap.c, scenarios_retry.c and
 * scenarios_vote.c, likewise. */
const Scenario *scenario_heal_at(uint32_t index);
const Scenario *scenario_reap_at(uint32_t index);
const Scenario *scenario_retry_at(uint32_t index);
const Scenario *scenario_vote_at(uint32_t index);
const Scenario *scenario_move_at(uint32_t index);

/* By name, or NULL. */
const Scenario *scenario_find(const char *name);

/* The index-th, or NULL after the last. */
const Scenario *scenario_at(uint32_t index);

#endif
