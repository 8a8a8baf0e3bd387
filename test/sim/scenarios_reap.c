/*
 * Stories of tombstones that are reaped while somebody still has what they stand for. Nodes look
 * for what they may reap all the time.
 */
#include "test/sim/scenarios.h"

#include "shared/base/status.h"

enum
{
    LONG_MS = 60000,
    DELIVERED_MS = 2000,
    COMPARED_MS = 3000, /* a compare that has begun, to its end */
    NOTED_MS = 6000,    /* until what is heard of others' disks is noted */
    FILLING_WRITES = 10,
    BETWEEN_WRITES_MS = 300
};

#define EXPECT_NOTHING(script, shown) script_expect((script), (shown), 0, NULL)

/* A node is away for as long as may be, with the version on its disk, and nobody keeps a hint for
 * it: nothing is reaped until it has seen the delete. A compare that is under way may bring the
 * tombstone, not the version, back to one owner, from another whose disk has it still; it stays
 * until all owners have it again, by a read here, and is reaped then. */
static void
play_away_for_a_year(Script *script)
{
    const Shown *shown;

    script_reap_often(script);
    script_refuse_hints(script);
    script_compare_hourly(script);
    (void)script_put(script, 0, ALL, NULL);
    shown = script_read(script, 0, MOST);
    script_settle(script);
    script_crash(script, 2);
    (void)script_delete(script, 0, MOST, shown);
    script_wait_ms(script, LONG_MS);
    script_expect_kept(script, 0);
    script_expect_kept(script, 1);
    script_boot(script, 2);
    script_wait_ms(script, COMPARED_MS);
    (void)script_read(script, 2, ALL);
    script_await_reaped(script);
    EXPECT_NOTHING(script, script_read(script, 2, ALL));
}

/* A frame with the version comes long after its delete was reaped: by the label of the round that
 * it left under it is refused. */
static void
play_late_replicate(Script *script)
{
    Slice object;

    (void)script_put(script, 0, ALL, NULL);
    object = script_object(script, 0);
    (void)script_delete(script, 0, ALL, script_read(script, 0, MOST));
    script_reap_often(script);
    script_await_reaped(script);
    for (uint32_t to = 1; to < 3; to++)
    {
        script_late_frame(script, object, 0, to);
        EXPECT_NOTHING(script, script_read(script, to, MOST));
    }
}

/* A fallback holds the version for an owner, and is away when it is deleted. */
static void
play_late_hint(Script *script)
{
    const Shown *shown;

    script_reap_often(script);
    script_crash(script, 1);
    (void)script_put(script, 0, ALL, NULL);
    shown = script_read(script, 0, MOST);
    script_settle(script);
    script_crash(script, 3);
    script_boot_alone(script, 1);
    (void)script_delete(script, 0, MOST, shown);
    script_wait_ms(script, LONG_MS);
    script_expect_kept(script, 0);
    script_boot(script, 3);
    script_await_reaped(script);
    EXPECT_NOTHING(script, script_read(script, 1, ALL));
}

/* A disk is set back to what it was before the delete, which nobody else remembers. */
static void
set_back_to_before_a_round(Script *script)
{
    (void)script_put(script, 0, ALL, NULL);
    script_back_up(script, 1);
    (void)script_delete(script, 0, ALL, script_read(script, 0, MOST));
    script_reap_often(script);
    script_await_reaped(script);
    script_wait_ms(script, DELIVERED_MS);
    script_crash(script, 1);
    script_restore(script, 1);
}

static void
expect_nothing_back(Script *script)
{
    script_boot(script, 1);
    script_await_filled(script, 1);
    script_settle(script);
    EXPECT_NOTHING(script, script_read(script, 1, MOST));
    script_await_reaped(script);
}

static void
play_backup_from_before_a_round(Script *script)
{
    set_back_to_before_a_round(script);
    expect_nothing_back(script);
}

/* The same, and the record cannot be read: nor can it be moved aside. */
static void
play_damaged_backup(Script *script)
{
    set_back_to_before_a_round(script);
    script_damage(script, 1);
    expect_nothing_back(script);
}

/* ---- disks that are filled after a round ---- */

/* What the owners had was deleted and reaped. Then host's disk is wiped. */
static void
wipe_after_a_round(Script *script, uint32_t host)
{
    (void)script_put(script, 0, ALL, NULL);
    (void)script_delete(script, 0, ALL, script_read(script, 0, MOST));
    script_reap_often(script);
    script_await_reaped(script);
    script_wait_ms(script, DELIVERED_MS);
    script_crash(script, host);
    script_wipe(script, host);
}

/* An owner is being filled, for as long as another one is away. */
static void
play_writes_beside_a_wiped_owner(Script *script)
{
    uint32_t puts[FILLING_WRITES];
    uint32_t refused;

    wipe_after_a_round(script, 1);
    script_crash(script, 2);
    script_boot_alone(script, 1);
    for (uint32_t i = 0; i < FILLING_WRITES; i++)
    {
        puts[i] = script_put(script, 0, MOST, NULL);
        if (script_try_put(script, 1, 1, NULL, &refused) != STATUS_REFILLING)
            script_fail(script, "a node that is being filled does not refuse a write");
        script_wait_ms(script, BETWEEN_WRITES_MS);
    }
    script_boot(script, 2);
    script_await_filled(script, 1);
    script_settle(script);
    script_expect(script, script_read(script, 1, ALL), FILLING_WRITES, puts);
}

/* What it has acknowledged meanwhile counts: the other copy is lost. */
static void
play_copy_of_a_wiped_owner_counts(Script *script)
{
    uint32_t put;

    wipe_after_a_round(script, 1);
    script_crash(script, 2);
    script_boot_alone(script, 1);
    put = script_put(script, 0, MOST, NULL);
    script_settle(script);
    script_crash(script, 0);
    script_wipe(script, 0);
    script_crash(script, 1);
    script_boot_alone(script, 1);
    script_boot_alone(script, 0);
    script_boot(script, 2);
    script_await_filled(script, 0);
    script_await_filled(script, 1);
    script_settle(script);
    script_expect(script, script_read(script, 2, ALL), 1, &put);
}

/* As long as no owner says what was reaped, it takes nothing: all that it has may be set aside. */
static void
play_nothing_is_taken_unasked(Script *script)
{
    uint32_t put;

    wipe_after_a_round(script, 1);
    script_crash(script, 0);
    script_crash(script, 2);
    script_boot_alone(script, 1);
    if (script_try_put(script, 3, MOST, NULL, &put) == STATUS_OK)
        script_fail(script, "a write was acknowledged that may be set aside");
    script_boot_alone(script, 0);
    put = script_put(script, 0, MOST, NULL);
    script_boot(script, 2);
    script_await_filled(script, 1);
}

/* Nor does a fallback set aside what it holds for an owner. */
static void
play_hint_of_a_wiped_fallback(Script *script)
{
    uint32_t put;

    wipe_after_a_round(script, 3);
    script_crash(script, 2);
    script_crash(script, 1);
    script_boot_alone(script, 3);
    put = script_put(script, 0, MOST, NULL);
    script_settle(script);
    script_crash(script, 0);
    script_wipe(script, 0);
    script_crash(script, 3);
    script_boot_alone(script, 3);
    script_boot_alone(script, 1);
    script_boot_alone(script, 2);
    script_boot(script, 0);
    script_await_filled(script, 0);
    script_await_filled(script, 3);
    script_await_handed_off(script, 3);
    script_settle(script);
    script_expect(script, script_read(script, 2, ALL), 1, &put);
}

/* All who know how old the disk is are away when its node starts: what is written through it until
 * they are back is not set aside. */
static void
play_written_before_it_was_known(Script *script)
{
    uint32_t put;

    set_back_to_before_a_round(script);
    script_wait_ms(script, NOTED_MS);
    script_crash(script, 0);
    script_crash(script, 2);
    script_boot_alone(script, 1);
    script_wait_ms(script, DELIVERED_MS);
    put = script_put(script, 1, 1, script_read(script, 1, 1));
    script_boot_alone(script, 0);
    script_boot(script, 2);
    script_await_filled(script, 1);
    script_reap_no_more(script);
    script_settle(script);
    script_expect(script, script_read(script, 1, ALL), 1, &put);
    script_expect(script, script_read(script, 0, ALL), 1, &put);
}

/* What the disk had from before the round is set aside, and not what has come since. */
static void
play_write_beside_a_backup(Script *script)
{
    uint32_t put;

    set_back_to_before_a_round(script);
    script_crash(script, 2);
    script_boot_alone(script, 1);
    script_wait_ms(script, DELIVERED_MS);
    put = script_put(script, 0, MOST, NULL);
    script_settle(script);
    script_crash(script, 1);
    script_boot_alone(script, 1);
    script_crash(script, 0);
    script_wipe(script, 0);
    script_boot_alone(script, 2);
    script_boot(script, 0);
    script_await_filled(script, 0);
    script_await_filled(script, 1);
    script_settle(script);
    script_expect(script, script_read(script, 1, ALL), 1, &put);
}

static const Scenario SCENARIOS[] = {
    {"away-for-a-year",              play_away_for_a_year,              3, false, 3},
    {"late-replicate",               play_late_replicate,               3, false, 3},
    {"late-hint",                    play_late_hint,                    4, false, 3},
    {"backup-from-before-a-round",   play_backup_from_before_a_round,   3, true,  3},
    {"damaged-backup",               play_damaged_backup,               3, true,  3},
    {"writes-beside-a-wiped-owner",  play_writes_beside_a_wiped_owner,  3, true,  3},
    {"copy-of-a-wiped-owner-counts", play_copy_of_a_wiped_owner_counts, 3, true,  3},
    {"nothing-is-taken-unasked",     play_nothing_is_taken_unasked,     4, true,  3},
    {"hint-of-a-wiped-fallback",     play_hint_of_a_wiped_fallback,     4, true,  3},
    {"written-before-it-was-known",  play_written_before_it_was_known,  3, true,  3},
    {"write-beside-a-backup",        play_write_beside_a_backup,        3, true,  3},
};

const Scenario *
scenario_reap_at(uint32_t index)
{
    uint32_t count = sizeof(SCENARIOS) / sizeof(SCENARIOS[0]);

    return index < count ? &SCENARIOS[index] : scenario_retry_at(index - count);
}
