/*
 * Stories of replicas that differ and become equal again by nothing but comparing what they have:
 * nobody reads, and no hint is left. Nodes compare when they are told to, unless the story says
 * otherwise.
 */
#include "test/sim/scenarios.h"

#include "shared/base/status.h"

enum
{
    WRITES = 200,
    LANDED_MS = 700, /* a write everywhere, and the look at what differed before */
    FLIGHT_MS = 12,
    DOUBT_MS = 1500, /* that a node which has just started reads nothing for */
    COMPARED_MS = 5000,
    TRIES = 12
};

/* What host 1 had before a write is what it has again, with nobody knowing. */
static void
go_back(Script *script, const SimStore *before)
{
    script_put_disk(script, 1, before);
    script_expect_two_differ(script);
}

/* An older object gets the newer one, whoever asks. */
static void
play_one_is_older(Script *script)
{
    const SimStore *before;
    uint32_t last;

    (void)script_put(script, 0, ALL, NULL);
    before = script_copy_disk(script, 1);
    last = script_put(script, 0, ALL, script_read(script, 0, MOST));
    for (uint32_t asker = 0; asker < 2; asker++)
    {
        go_back(script, before);
        script_compare(script, asker, 1 - asker);
        script_await_two_same(script);
    }
    EXPECT(script, script_read(script, 1, MOST), last);
}

/* The same where one has nothing at all. */
static void
play_one_has_nothing(Script *script)
{
    const SimStore *empty = script_copy_disk(script, 1);
    uint32_t put = script_put(script, 0, ALL, NULL);

    for (uint32_t asker = 0; asker < 2; asker++)
    {
        go_back(script, empty);
        script_compare(script, asker, 1 - asker);
        script_await_two_same(script);
    }
    EXPECT(script, script_read(script, 1, MOST), put);
}

/* A disk that is an older copy has what the others lack, and lacks what they have: one compare
 * brings both, each to where it is not. */
static void
play_each_has_its_own(Script *script)
{
    const SimStore *base;
    const SimStore *old;
    uint32_t puts[3];

    puts[0] = script_put(script, 0, ALL, NULL);
    base = script_copy_disk(script, 1);
    puts[1] = script_put(script, 0, ALL, NULL);
    old = script_copy_disk(script, 1);
    for (uint32_t host = 0; host < 3; host++)
        script_put_disk(script, host, base);
    puts[2] = script_put(script, 2, ALL, NULL);
    for (uint32_t asker = 0; asker < 2; asker++)
    {
        const SimStore *others = script_copy_disk(script, 2);

        go_back(script, old);
        script_compare(script, asker, 1 - asker);
        script_await_two_same(script);
        EXPECT(script, script_read(script, 0, 1), puts[0], puts[1], puts[2]);
        script_put_disk(script, 0, others);
        script_put_disk(script, 2, others);
    }
    script_compare(script, 0, 1);
    script_await_two_same(script);
}

/* A record that cannot be read is found out by one read of it alone, and mended from the others. */
static void
play_unreadable_mended(Script *script)
{
    uint32_t put = script_put(script, 0, ALL, NULL);

    script_damage(script, 1);
    if (script_try_read(script, 1) != STATUS_CORRUPT)
        script_fail(script, "what cannot be read was read");
    script_await_two_same(script);
    EXPECT(script, script_read(script, 1, MOST), put);
}

static void
expect_withheld(Script *script)
{
    if (script_try_read(script, 1) != STATUS_CORRUPT)
        script_fail(script, "what may be older was read");
    if (script_try_scan(script, 1, false) != STATUS_CORRUPT)
        script_fail(script, "what may be older was scanned");
    if (script_try_scan(script, 1, true) != STATUS_CORRUPT)
        script_fail(script, "the digest of what may be older was given");
}

/* An older object takes the place of a record that cannot be read, and who has the newer one is
 * away: nothing is told of that place, after a restart neither, until he was compared with. */
static void
play_replaced_by_an_older(Script *script)
{
    const Shown *shown;
    uint32_t put;

    script_refuse_hints(script);
    (void)script_put(script, 0, ALL, NULL);
    shown = script_read(script, 0, MOST);
    script_settle(script);
    script_crash(script, 0);
    put = script_put(script, 1, MOST, shown);
    script_settle(script);
    script_wait_ms(script, LANDED_MS);
    script_crash(script, 2);
    script_boot_alone(script, 0);
    script_damage(script, 1);
    if (script_try_read(script, 1) != STATUS_CORRUPT)
        script_fail(script, "what cannot be read was read");
    script_await_two_same(script);
    expect_withheld(script);
    script_crash(script, 1);
    script_boot_alone(script, 1);
    script_wait_ms(script, DOUBT_MS);
    expect_withheld(script);
    script_boot(script, 2);
    script_wait_ms(script, COMPARED_MS);
    if (script_try_scan(script, 1, true) != STATUS_OK)
        script_fail(script, "a place stays withheld after all were compared with");
    EXPECT(script, script_read(script, 1, MOST), put);
}

/* Compares go on while writes are on their way: what differs because of that is nobody's to mend.
 */
static void
play_in_flight(Script *script)
{
    for (uint32_t i = 0; i < WRITES; i++)
    {
        (void)script_begin_put(script, 0, 1, NULL);
        script_wait_ms(script, i % FLIGHT_MS);
        script_begin_compare(script, 1, 2);
        script_wait_ms(script, LANDED_MS);
    }
    script_settle(script);
    if (script_differences(script) > 0)
        script_fail(script, "what was in flight was mended");
}

/* No hint is kept for a node that is away, who knows what it missed has forgotten that, and the
 * next compare by itself is an hour off. */
static void
play_hints_refused(Script *script)
{
    uint32_t put;

    script_compare_hourly(script);
    script_refuse_hints(script);
    script_crash(script, 1);
    put = script_put(script, 0, MOST, NULL);
    script_crash(script, 0);
    script_boot_alone(script, 0);
    script_boot(script, 1);
    script_await_same(script);
    EXPECT(script, script_read(script, 1, MOST), put);
}

/* Rows of a tree are lost, and the node crashes again and again at any point of building it anew,
 * while writes go on. */
static void
play_rebuilt_through_crashes(Script *script)
{
    for (uint32_t i = 0; i < TRIES; i++)
    {
        (void)script_put(script, 0, MOST, NULL);
        script_crash(script, 1);
        script_lose_tree(script, 1);
        script_boot(script, 1);
        script_send_put(script, 1, 1, NULL);
        script_wait_ms(script, i);
    }
    script_compare(script, 0, 1);
    script_await_two_same(script);
}

static const Scenario SCENARIOS[] = {
    {"one-is-older",            play_one_is_older,            3, true,  3},
    {"one-has-nothing",         play_one_has_nothing,         3, true,  3},
    {"each-has-its-own",        play_each_has_its_own,        3, true,  3},
    {"unreadable-mended",       play_unreadable_mended,       3, true,  3},
    {"replaced-by-an-older",    play_replaced_by_an_older,    3, true,  3},
    {"in-flight",               play_in_flight,               3, false, 3},
    {"hints-refused",           play_hints_refused,           3, false, 3},
    {"rebuilt-through-crashes", play_rebuilt_through_crashes, 3, false, 3},
};

const Scenario *
scenario_heal_at(uint32_t index)
{
    uint32_t count = sizeof(SCENARIOS) / sizeof(SCENARIOS[0]);

    return index < count ? &SCENARIOS[index] : scenario_reap_at(index - count);
}
