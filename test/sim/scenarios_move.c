/*
 * Stories of partitions that move: who is told of it, who counts, and who is sent what is written.
 * Nobody carries moves out yet; the topologies are given to the nodes.
 */
#include "test/sim/scenarios.h"

#include "shared/base/status.h"

enum
{
    LEAVES = 2, /* the last owner of the key */
    ENTERS = 3  /* its first fallback */
};

/* Whoever asks by the topology of before is answered by nobody. */
static void
play_moved_is_told(Script *script)
{
    uint32_t put = script_put(script, 0, ALL, NULL);
    uint32_t refused;

    script_move(script, LEAVES, ENTERS, TOPOLOGY_FILLING);
    for (uint32_t host = 0; host <= ENTERS; host++)
    {
        if (script_try_put(script, host, MOST, NULL, &refused) != STATUS_MOVED ||
            script_try_read(script, host) != STATUS_MOVED ||
            script_try_quorum(script, host, MOST) != STATUS_MOVED ||
            script_try_scan(script, host, true) != STATUS_MOVED)
            script_fail(script, "a node answers by the owners of before");
    }
    script_learn(script, 0);
    EXPECT(script, script_read(script, 0, MOST), put);
}

/* It has what was written since, and is no owner by which a write is acknowledged. */
static void
play_entering_counts_for_nothing(Script *script)
{
    const Shown *before;
    uint32_t put;

    (void)script_put(script, 0, ALL, NULL);
    script_settle(script);
    script_move(script, LEAVES, ENTERS, TOPOLOGY_FILLING);
    script_learn(script, 0);
    before = script_read(script, 0, MOST);
    script_stop_disk(script, LEAVES);
    if (script_try_put(script, 0, ALL, before, &put) == STATUS_OK)
        script_fail(script, "who is to be an owner counts as one");
    script_settle_others(script, LEAVES);
    if (!script_holds(script, ENTERS))
        script_fail(script, "who is to be an owner is not sent what is written");
    script_crash(script, LEAVES);
    script_boot(script, LEAVES);
}

/* It stands in for an owner as any fallback does, and keeps the object when that one has it. */
static void
play_entering_keeps_its_copy(Script *script)
{
    uint32_t put;

    (void)script_put(script, 0, ALL, NULL);
    script_settle(script);
    script_move(script, LEAVES, ENTERS, TOPOLOGY_FILLING);
    script_learn(script, 0);
    script_crash(script, 1);
    put = script_put(script, 0, ALL, script_read(script, 0, MOST));
    script_boot(script, 1);
    script_await_same(script);
    if (!script_holds(script, ENTERS))
        script_fail(script, "who is to be an owner drops what it was sent");
    EXPECT(script, script_read(script, ENTERS, ALL), put);
}

/* Its owner's disk is wiped: who is to own the key is the only other that has it. */
static void
play_wiped_while_it_moves(Script *script)
{
    uint32_t put;

    script_move(script, 0, 1, TOPOLOGY_FILLING);
    script_learn(script, 0);
    put = script_put(script, 0, 1, NULL);
    script_await_held(script, 1);
    script_crash(script, 0);
    script_wipe(script, 0);
    script_boot(script, 0);
    script_await_filled(script, 0);
    EXPECT(script, script_read(script, 0, 1), put);
}

static const Scenario SCENARIOS[] = {
    {"moved-is-told",               play_moved_is_told,               4, false, 3},
    {"entering-counts-for-nothing", play_entering_counts_for_nothing, 4, false, 3},
    {"entering-keeps-its-copy",     play_entering_keeps_its_copy,     4, false, 3},
    {"wiped-while-it-moves",        play_wiped_while_it_moves,        3, true,  1},
};

const Scenario *
scenario_move_at(uint32_t index)
{
    return index < sizeof(SCENARIOS) / sizeof(SCENARIOS[0]) ? &SCENARIOS[index] : NULL;
}
