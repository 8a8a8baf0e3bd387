/*
 * Stories of who may decide: nodes that are gone and nodes that have lost something, while the
 * others want a new topology. That one epoch has one topology is the checker's to see.
 */
#include "test/sim/scenarios.h"

#include "shared/base/status.h"

enum
{
    TOLD_MS = 2000,   /* what a node has promised, to the others */
    VOTED_MS = 1500,  /* longer than a node that starts is in doubt */
    ABREAST_MS = 8000 /* until a node that may have forgotten what it promised may vote again */
};

/* What was promised lies beside the disk that was wiped, so the node votes although what a dead one
 * had cannot be got yet: otherwise the dead one could never be replaced. */
static void
play_wiped_one_votes(Script *script)
{
    uint32_t put = script_put(script, 0, ALL, NULL);

    script_settle(script);
    script_crash(script, 2);
    script_crash(script, 0);
    script_wipe(script, 0);
    script_boot_alone(script, 0);
    script_wait_ms(script, VOTED_MS);
    script_make_bucket(script, 1, "made while one is filled", 3);
    if (!script_is_filling(script, 0))
        script_fail(script, "a node is filled without one that may have more");
    script_boot(script, 2);
    script_await_filled(script, 0);
    EXPECT(script, script_read(script, 0, MOST), put);
}

/* All that a node has is of before it took part in a decision, what it promised too. Who decided
 * with it is gone; the third knows no more than that the node's disk had been further. */
static void
play_set_back_does_not_vote(Script *script)
{
    (void)script_put(script, 0, ALL, NULL);
    script_back_up(script, 1);
    (void)script_put(script, 0, ALL, NULL);
    script_settle(script);
    script_wait_ms(script, TOLD_MS);
    script_part(script, 0, 2, true);
    script_part(script, 1, 2, true);
    script_make_bucket(script, 0, "decided by 0 and 1", 3);
    script_settle(script);
    script_crash(script, 0);
    script_crash(script, 1);
    script_restore(script, 1);
    script_part(script, 0, 2, false);
    script_part(script, 1, 2, false);
    script_boot_alone(script, 1);
    script_wait_ms(script, VOTED_MS);
    (void)script_try_bucket(script, 2, "decided by 1 and 2", 2);
    script_boot(script, 0);
    script_await_filled(script, 1);
    script_wait_ms(script, ABREAST_MS);
    script_crash(script, 2);
    script_make_bucket(script, 0, "decided by 0 and 1 again", 1);
    script_boot(script, 2);
}

/* A node ends when it has accepted a topology and may not have heard that it was chosen. Who has
 * proposed it is gone when the node and the third, who knows of nothing, decide again. */
static void
play_vote_outlives_a_crash(Script *script)
{
    (void)script_put(script, 0, ALL, NULL);
    script_settle(script);
    script_part(script, 0, 2, true);
    script_part(script, 1, 2, true);
    script_make_bucket(script, 0, "decided by 0 and 1", 3);
    script_crash(script, 1);
    script_crash(script, 0);
    script_part(script, 0, 2, false);
    script_part(script, 1, 2, false);
    script_boot_alone(script, 1);
    script_wait_ms(script, VOTED_MS);
    (void)script_try_bucket(script, 2, "decided by 1 and 2", 2);
    script_boot(script, 0);
}

/* A node is filled from who owns what it owns; one that owns nothing of it may be gone. */
static void
play_filled_by_owners_alone(Script *script)
{
    script_crash(script, 3);
    script_crash(script, 0);
    script_wipe(script, 0);
    script_boot_alone(script, 0);
    script_await_filled(script, 0);
    script_boot(script, 3);
}

static const Scenario SCENARIOS[] = {
    {"wiped-one-votes",        play_wiped_one_votes,        3, true,  3},
    {"set-back-does-not-vote", play_set_back_does_not_vote, 3, true,  3},
    {"vote-outlives-a-crash",  play_vote_outlives_a_crash,  3, false, 3},
    {"filled-by-owners-alone", play_filled_by_owners_alone, 4, true,  1},
};

const Scenario *
scenario_vote_at(uint32_t index)
{
    uint32_t count = sizeof(SCENARIOS) / sizeof(SCENARIOS[0]);

    return index < count ? &SCENARIOS[index] : scenario_move_at(index - count);
}
