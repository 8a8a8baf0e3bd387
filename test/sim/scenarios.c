/*
 * Each story says in its comment what happens and where the danger is. Hosts 0, 1 and 2 own
 * the key. The last word is the checker's, after the coordinated reads at every owner: every
 * version that was durable anywhere is there, or seen by one that is.
 */
#include "test/sim/scenarios.h"

#include <stdio.h>
#include <string.h>

enum
{
    TOLD_WITHIN_MS = 2000 /* what a node has on its disk, to the others */
};

/* Three versions, each replacing the one before, everywhere. Returns the last. */
static uint32_t
write_three(Script *script, uint32_t host)
{
    uint32_t last;

    (void)script_put(script, host, ALL, NULL);
    (void)script_put(script, host, ALL, script_read(script, host, MOST));
    last = script_put(script, host, ALL, script_read(script, host, MOST));
    script_settle(script);
    return last;
}

/* riak_kv #679: the coordinator has lost the key and counts from the start, and what it stamps
 * looks older than what the others hold. */
static void
play_key_forgotten(Script *script)
{
    uint32_t kept = write_three(script, 0);

    script_forget(script, 0);

    uint32_t added = script_put(script, 0, ALL, NULL);

    EXPECT(script, script_read(script, 1, MOST), kept, added);
}

/* The same on a disk that was wiped with the process down, so that the run is another one too. */
static void
play_disk_wiped(Script *script)
{
    uint32_t kept = write_three(script, 0);

    script_crash(script, 0);
    script_wipe(script, 0);
    script_boot(script, 0);

    uint32_t added = script_put(script, 0, ALL, NULL);

    EXPECT(script, script_read(script, 1, MOST), kept, added);
}

/* A write acknowledged by the lost disk and one other owner is not missed by a read of the wiped
 * node and the third. */
static void
play_wiped_is_no_quorum(Script *script)
{
    (void)script_put(script, 0, ALL, NULL);

    const Shown *first = script_read(script, 0, MOST);

    script_crash(script, 2);

    uint32_t second = script_put(script, 0, MOST, first);

    script_settle(script);
    script_crash(script, 1);
    script_crash(script, 0);
    script_wipe(script, 0);
    script_boot_alone(script, 2);
    script_boot_alone(script, 0);
    if (script_try_read(script, 0) == STATUS_OK)
        script_fail(script, "a wiped node answers before it is filled");
    script_boot(script, 1);
    script_await_filled(script, 0);
    EXPECT(script, script_read(script, 0, MOST), second);
}

/* The same with a disk that was set back to a backup of the run before. */
static void
play_restored_is_no_quorum(Script *script)
{
    const SimStore *backup;
    const Shown *first;
    uint32_t second;

    (void)script_put(script, 0, ALL, NULL);
    first = script_read(script, 0, MOST);
    backup = script_copy_disk(script, 0);
    script_crash(script, 0);
    script_boot(script, 0);
    script_crash(script, 2);
    second = script_put(script, 0, MOST, first);
    script_settle(script);
    script_crash(script, 1);
    script_crash(script, 0);
    script_put_disk(script, 0, backup);
    script_boot_alone(script, 2);
    script_boot_alone(script, 0);
    if (script_try_read(script, 0) == STATUS_OK)
        script_fail(script, "a restored node answers before it is filled");
    script_boot(script, 1);
    script_await_filled(script, 0);
    EXPECT(script, script_read(script, 0, MOST), second);
}

/* The whole machine is set back, so that only others know that it had more: it answers nothing
 * until it has heard what they know. */
static void
play_machine_restored(Script *script)
{
    const Shown *first;
    uint32_t second;

    (void)script_put(script, 0, ALL, NULL);
    first = script_read(script, 0, MOST);
    script_back_up(script, 0);
    script_crash(script, 2);
    second = script_put(script, 0, MOST, first);
    script_settle(script);
    script_wait_ms(script, TOLD_WITHIN_MS);
    script_crash(script, 0);
    script_restore(script, 0);
    script_boot_unawaited(script, 0);
    if (script_try_read(script, 0) == STATUS_OK)
        script_fail(script, "a restored node answers before it has asked the others");
    script_boot(script, 2);
    script_await_filled(script, 0);
    EXPECT(script, script_read(script, 0, MOST), second);
}

/* A version that one owner alone has on its disk is shown when so many have it that no later read
 * can miss it, not before. */
static void
play_read_not_reconciled(Script *script)
{
    const Shown *first;
    uint32_t second;

    (void)script_put(script, 0, ALL, NULL);
    first = script_read(script, 0, MOST);
    script_settle(script);
    script_stop_disk(script, 1);
    script_stop_disk(script, 2);
    second = script_put(script, 0, 1, first);
    if (script_try_quorum(script, 0, MOST) == STATUS_OK)
        script_fail(script, "a read shows what a later one may miss");
    script_crash(script, 1);
    script_crash(script, 2);
    script_boot_alone(script, 1);
    script_boot(script, 2);
    EXPECT(script, script_read(script, 1, ALL), second);
}

/* That a fallback does not have the key says nothing. */
static void
play_fallback_is_no_quorum(Script *script)
{
    uint32_t put = script_put(script, 0, ALL, NULL);

    script_settle(script);
    script_crash(script, 0);
    script_crash(script, 1);
    if (script_try_quorum(script, 2, MOST) == STATUS_OK)
        script_fail(script, "a fallback that has nothing was counted");
    script_boot_alone(script, 0);
    script_boot(script, 1);
    EXPECT(script, script_read(script, 1, MOST), put);
}

/*
 * riak_kv #1643: after the loss an older state comes back by a path that stamps nothing. The owner
 * that lost it must not count on from what it sees of itself there: the next number was given
 * before.
 */
static void
play_older_state_comes_back(Script *script)
{
    (void)script_put(script, 0, ALL, NULL);

    const Shown *first = script_read(script, 0, MOST);

    script_settle(script);
    script_crash(script, 1);

    uint32_t second = script_put(script, 0, MOST, first);

    script_forget(script, 0);
    script_crash(script, 2);
    script_boot_alone(script, 1);

    const Shown *older = script_read(script, 1, MOST);
    uint32_t third = script_put(script, 0, MOST, older);

    script_boot(script, 2);
    EXPECT(script, script_read(script, 2, ALL), second, third);
}

/* After the loss the whole object comes back by read repair; then the owner stamps again. */
static void
play_repaired_after_amnesia(Script *script)
{
    (void)write_three(script, 0);
    script_forget(script, 0);

    const Shown *repaired = script_read(script, 1, ALL);

    script_await_same(script);

    uint32_t one = script_put(script, 0, ALL, repaired);
    uint32_t other = script_put(script, 0, ALL, NULL);

    EXPECT(script, script_read(script, 1, MOST), one, other);
}

/* As before, and the owner stamps once before the object comes back: two epochs of one run meet. */
static void
play_stamped_before_repair(Script *script)
{
    uint32_t kept = write_three(script, 0);

    script_forget(script, 0);

    uint32_t one = script_put(script, 0, 1, NULL);

    script_forget(script, 0);
    (void)script_read(script, 1, ALL);
    script_await_same(script);

    uint32_t other = script_put(script, 0, ALL, NULL);

    EXPECT(script, script_read(script, 1, MOST), kept, one, other);
}

/* The record goes back to an older state under the running process, and the others bring the newer
 * one: the stamp beside the object is not the highest any more. */
static void
play_rolled_back(Script *script)
{
    (void)script_put(script, 0, ALL, NULL);

    const SimStore *older = script_copy_disk(script, 0);
    uint32_t last = script_put(script, 0, ALL, script_read(script, 0, MOST));

    script_put_disk(script, 0, older);
    (void)script_read(script, 1, ALL);
    script_await_same(script);

    uint32_t added = script_put(script, 0, ALL, NULL);

    EXPECT(script, script_read(script, 1, MOST), last, added);
}

/* A backup of one node is put back: its stamps are those of a run that has counted further since.
 */
static void
play_backup_restored(Script *script)
{
    (void)script_put(script, 0, ALL, NULL);

    const SimStore *backup = script_copy_disk(script, 0);

    (void)script_put(script, 0, ALL, script_read(script, 0, MOST));

    uint32_t last = script_put(script, 0, ALL, script_read(script, 0, MOST));

    script_settle(script);
    script_crash(script, 0);
    script_put_disk(script, 0, backup);
    script_boot(script, 0);

    uint32_t added = script_put(script, 0, ALL, NULL);

    EXPECT(script, script_read(script, 1, MOST), last, added);
}

/* Two nodes run on one data directory, so that both find the same stamps; each stamps before it
 * hears of the other. */
static void
play_directory_cloned(Script *script)
{
    uint32_t first = script_put(script, 0, ALL, NULL);
    const SimStore *copy = script_copy_disk(script, 0);
    uint32_t at_one;
    uint32_t at_zero;

    script_crash(script, 1);
    script_put_disk(script, 1, copy);
    script_boot(script, 1);
    at_one = script_put(script, 1, ALL, NULL);
    script_put_disk(script, 0, copy);
    at_zero = script_put(script, 0, ALL, NULL);
    script_await_filled(script, 1);
    EXPECT(script, script_read(script, 2, ALL), first, at_zero, at_one);
}

/* riak_kv #1865: all nodes start at the same moment; each stamps while it knows of no other's. */
static void
play_started_at_once(Script *script)
{
    uint32_t puts[3];

    script_restart_all(script);
    for (uint32_t host = 0; host < 3; host++)
    {
        uint32_t others[] = {(host + 1) % 3, (host + 2) % 3};
        const SimStore *before[] = {script_copy_disk(script, others[0]),
                                    script_copy_disk(script, others[1])};

        puts[host] = script_put(script, host, ALL, NULL);
        script_settle(script);
        script_put_disk(script, others[0], before[0]);
        script_put_disk(script, others[1], before[1]);
    }
    EXPECT(script, script_read(script, 2, ALL), puts[0], puts[1], puts[2]);
}

/* What cannot be read is neither taken for absent nor written over by a put; the others go on, and
 * the object that they send mends it. */
static void
play_unreadable(Script *script)
{
    uint32_t kept = write_three(script, 0);
    uint32_t refused;

    script_damage(script, 0);
    if (script_try_read(script, 0) != STATUS_CORRUPT)
        script_fail(script, "a record that cannot be read was taken for something");
    if (script_try_put(script, 0, 1, NULL, &refused) != STATUS_CORRUPT)
        script_fail(script, "a put at an owner that cannot read its record was not refused");

    uint32_t added = script_put(script, 1, MOST, NULL);

    EXPECT(script, script_read(script, 1, MOST), kept, added);
    script_crash(script, 0);
    script_wipe(script, 0);
    script_boot(script, 0);
}

/* The object has travelled when its coordinator dies before its own sync: nothing of that stamp is
 * on its disk, and the others have it. */
static void
play_crash_before_durable(Script *script)
{
    (void)script_put(script, 0, ALL, NULL);

    const Shown *first = script_read(script, 0, MOST);

    script_settle(script);
    script_stop_disk(script, 0);

    uint32_t second = script_put(script, 0, MOST, first);

    script_crash(script, 0);
    script_boot(script, 0);

    uint32_t third = script_put(script, 0, ALL, first);

    EXPECT(script, script_read(script, 1, MOST), second, third);
}

/* A tombstone that was replaced long ago arrives once more: it replaces nothing and stays gone. */
static void
play_late_tombstone(Script *script)
{
    (void)script_put(script, 0, ALL, NULL);
    (void)script_delete(script, 0, ALL, script_read(script, 0, MOST));

    Slice tombstone = script_object(script, 0);
    uint32_t again = script_put(script, 1, ALL, script_read(script, 1, MOST));
    uint32_t beside = script_put(script, 2, ALL, NULL);

    script_settle(script);
    for (uint32_t host = 1; host < 3; host++)
        script_late_frame(script, tombstone, 0, host);
    EXPECT(script, script_read(script, 1, ALL), again, beside);
}

/* The "doomstone": the key was forgotten with its tombstone and written anew where it had been
 * stamped before; then the old tombstone comes. It must not take the new version with it. */
static void
play_doomstone(Script *script)
{
    (void)write_three(script, 0);

    uint32_t tombstone = script_delete(script, 0, ALL, script_read(script, 0, MOST));
    Slice late = script_object(script, 0);

    for (uint32_t host = 0; host < 3; host++)
        script_forget(script, host);

    uint32_t anew = script_put(script, 0, ALL, NULL);

    script_settle(script);
    script_late_frame(script, late, 0, 1);
    EXPECT(script, script_read(script, 1, ALL), tombstone, anew);
}

/* An owner that missed a delete has nothing to say against it. */
static void
play_missed_delete(Script *script)
{
    (void)script_put(script, 0, ALL, NULL);

    const Shown *first = script_read(script, 0, MOST);

    script_settle(script);
    script_crash(script, 2);

    uint32_t tombstone = script_delete(script, 0, MOST, first);

    script_boot(script, 2);
    EXPECT(script, script_read(script, 2, MOST), tombstone);
}

/* Put and delete that did not see each other both stay, until someone has seen both. */
static void
play_put_beside_delete(Script *script)
{
    (void)script_put(script, 0, ALL, NULL);

    const Shown *first = script_read(script, 0, MOST);
    uint32_t tombstone = script_delete(script, 0, ALL, first);
    uint32_t put = script_put(script, 1, ALL, first);
    const Shown *both = script_read(script, 2, MOST);

    EXPECT(script, both, tombstone, put);

    uint32_t last = script_put(script, 2, ALL, both);

    EXPECT(script, script_read(script, 0, MOST), last);
}

/* A write whose acknowledgement was lost is sent again to another owner, after it was replaced
 * where that one could see: one that still holds it is asked, and it stays replaced. */
static void
play_retry_of_replaced(Script *script)
{
    uint32_t first = script_put(script, 0, ALL, NULL);
    uint32_t second;

    script_settle(script);
    script_stop_disk(script, 2);
    second = script_put(script, 1, MOST, script_read(script, 1, MOST));
    script_settle_others(script, 2);
    script_retry(script, 1, MOST, first, NULL);
    script_crash(script, 2);
    script_boot(script, 2);
    EXPECT(script, script_read(script, 0, ALL), second);
}

/* The retry of a write that one owner has is acknowledged when enough of them have it, not sooner.
 */
static void
play_retry_of_known(Script *script)
{
    uint32_t put;

    script_stop_disk(script, 2);
    put = script_put(script, 0, MOST, NULL);
    script_settle_others(script, 2);
    if (script_try_retry(script, 1, ALL, put, NULL) == STATUS_OK)
        script_fail(script, "a write was acknowledged for an owner that lacks it");
    script_crash(script, 2);
    script_boot(script, 2);
    EXPECT(script, script_read(script, 2, MOST), put);
}

/* The "doomstone" as it was first met: a fallback hands off a tombstone that all owners have
 * dropped, after one of them has stamped the key anew. */
static void
play_doomstone_by_handoff(Script *script)
{
    uint32_t tombstone;
    uint32_t anew;
    const Shown *first;

    (void)script_put(script, 0, ALL, NULL);
    first = script_read(script, 0, MOST);
    script_settle(script);
    script_crash(script, 2);
    tombstone = script_delete(script, 0, ALL, first);
    script_settle(script);
    script_crash(script, 3);
    script_boot_alone(script, 2);
    (void)script_read(script, 1, ALL);
    script_await_same(script);
    for (uint32_t host = 0; host < 3; host++)
        script_forget(script, host);
    anew = script_put(script, 0, ALL, NULL);
    script_boot(script, 3);
    script_await_handed_off(script, 3);
    EXPECT(script, script_read(script, 2, ALL), tombstone, anew);
}

/* A fallback comes back with a version that was replaced while it was away. */
static void
play_handoff_of_replaced(Script *script)
{
    uint32_t last;

    script_crash(script, 2);
    (void)script_put(script, 0, ALL, NULL);
    script_settle(script);
    script_crash(script, 3);
    script_boot_alone(script, 2);
    last = script_put(script, 1, ALL, script_read(script, 1, ALL));
    script_boot(script, 3);
    script_await_handed_off(script, 3);
    EXPECT(script, script_read(script, 2, ALL), last);
}

/* A fallback that is alone stamps, hands off and forgets, which is no fault at all, and then does
 * so again in the same run. */
static void
play_fallback_stamps_again(Script *script)
{
    uint32_t puts[2];

    for (uint32_t i = 0; i < 2; i++)
    {
        for (uint32_t host = 0; host < 3; host++)
            script_crash(script, host);
        puts[i] = script_put(script, 3, 1, NULL);
        for (uint32_t host = 0; host < 2; host++)
            script_boot_alone(script, host);
        script_boot(script, 2);
        script_await_handed_off(script, 3);
    }
    EXPECT(script, script_read(script, 0, ALL), puts[0], puts[1]);
}

/* A node that takes no writes misses some, and must not tell what it holds as if it had them. It
 * has them once there is room. */
static void
play_full_disk(Script *script)
{
    uint32_t put;

    (void)script_put(script, 0, ALL, NULL);
    script_settle(script);
    script_fill_disk(script, 0, true);
    put = script_put(script, 1, 2, script_read(script, 1, MOST));
    if (script_try_read(script, 0) != STATUS_STORAGE)
        script_fail(script, "a node that cannot write answers a read");
    EXPECT(script, script_read(script, 0, MOST), put);
    put = script_put(script, 2, MOST, script_read(script, 2, MOST));
    script_fill_disk(script, 0, false);
    script_await_same(script);
    if (script_try_read(script, 0) != STATUS_OK)
        script_fail(script, "a node that can write again answers no read");
    EXPECT(script, script_read(script, 0, ALL), put);
}

/* Nobody has been able to write since: what each holds is as good as ever. */
static void
play_all_disks_full(Script *script)
{
    uint32_t put = script_put(script, 0, ALL, NULL);
    uint32_t refused;

    script_settle(script);
    for (uint32_t host = 0; host < 3; host++)
        script_fill_disk(script, host, true);
    for (uint32_t host = 0; host < 3; host++)
    {
        if (script_try_read(script, host) != STATUS_OK)
            script_fail(script, "no node answers a read");
    }
    if (script_try_put(script, 0, MOST, NULL, &refused) != STATUS_STORAGE)
        script_fail(script, "a full disk takes a write");
    for (uint32_t host = 0; host < 3; host++)
        script_fill_disk(script, host, false);
    EXPECT(script, script_read(script, 1, MOST), put);
}

static const Scenario SCENARIOS[] = {
    {"machine-restored",       play_machine_restored,       3, true,  3},
    {"read-not-reconciled",    play_read_not_reconciled,    3, false, 3},
    {"fallback-is-no-quorum",  play_fallback_is_no_quorum,  4, false, 3},
    {"restored-is-no-quorum",  play_restored_is_no_quorum,  3, true,  3},
    {"key-forgotten",          play_key_forgotten,          3, false, 3},
    {"disk-wiped",             play_disk_wiped,             3, true,  3},
    {"wiped-is-no-quorum",     play_wiped_is_no_quorum,     3, true,  3},
    {"older-state-comes-back", play_older_state_comes_back, 3, true,  3},
    {"repaired-after-amnesia", play_repaired_after_amnesia, 3, false, 3},
    {"stamped-before-repair",  play_stamped_before_repair,  3, false, 3},
    {"rolled-back",            play_rolled_back,            3, false, 3},
    {"backup-restored",        play_backup_restored,        3, true,  3},
    {"directory-cloned",       play_directory_cloned,       3, true,  3},
    {"started-at-once",        play_started_at_once,        3, true,  3},
    {"unreadable",             play_unreadable,             3, true,  3},
    {"crash-before-durable",   play_crash_before_durable,   3, false, 3},
    {"late-tombstone",         play_late_tombstone,         3, false, 3},
    {"doomstone",              play_doomstone,              3, true,  3},
    {"missed-delete",          play_missed_delete,          3, false, 3},
    {"put-beside-delete",      play_put_beside_delete,      3, false, 3},
    {"retry-of-replaced",      play_retry_of_replaced,      3, false, 3},
    {"retry-of-known",         play_retry_of_known,         3, false, 3},
    {"doomstone-by-handoff",   play_doomstone_by_handoff,   4, true,  3},
    {"handoff-of-replaced",    play_handoff_of_replaced,    4, false, 3},
    {"fallback-stamps-again",  play_fallback_stamps_again,  4, false, 3},
    {"full-disk",              play_full_disk,              3, false, 3},
    {"all-disks-full",         play_all_disks_full,         3, false, 3},
};

const Scenario *
scenario_at(uint32_t index)
{
    uint32_t count = sizeof(SCENARIOS) / sizeof(SCENARIOS[0]);

    return index < count ? &SCENARIOS[index] : scenario_heal_at(index - count);
}

const Scenario *
scenario_find(const char *name)
{
    const Scenario *scenario;

    for (uint32_t i = 0; (scenario = scenario_at(i)) != NULL; i++)
    {
        if (strcmp(scenario->name, name) == 0)
            return scenario;
    }
    return NULL;
}
