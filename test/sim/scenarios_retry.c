/*
 * Stories of writes that are stamped twice: the first frame waits in a node that stands still, or a
 * stamp in a node that is away, while the retry is acknowledged elsewhere and replaced by who saw
 * that. What was replaced stays replaced.
 */
#include "test/sim/scenarios.h"

enum
{
    MANY_PUTS = 20, /* more than a record remembers */
    LONG_MS = 12000 /* more than a write may live */
};

/* The id was replaced wherever the retry's coordinator can see, and the only other holder is away.
 */
static void
play_retry_without_holder(Script *script)
{
    uint32_t first = script_put(script, 0, ALL, NULL);
    const Shown *seen = script_read(script, 0, MOST);
    uint32_t second;

    script_settle(script);
    script_crash(script, 2);
    second = script_put(script, 0, MOST, seen);
    script_settle_others(script, 2);
    script_retry(script, 1, MOST, first, NULL);
    script_boot(script, 2);
    EXPECT(script, script_read(script, 1, ALL), second);
}

/* Host 0 stands still with the first frame of a write, whose retry host 1 has stamped. */
static void
stop_with_first_frame(Script *script)
{
    uint32_t put;

    (void)script_put(script, 0, ALL, NULL);
    script_settle(script);
    script_pause(script, 0);
    put = script_send_put(script, 0, MOST, NULL);
    script_retry(script, 1, MOST, put, NULL);
}

/* The others have it, stamped for its retry: it is found there, and not stamped again. */
static void
play_first_frame_looks(Script *script)
{
    (void)script_put(script, 0, ALL, NULL);
    script_settle(script);
    script_pause(script, 0);
    (void)script_send_put(script, 0, MOST, script_read(script, 1, MOST));
    script_retry(script, 1, MOST, 1, script_read(script, 1, MOST));
    script_settle_others(script, 0);
    script_resume(script, 0);
    script_await_same(script);
    script_expect_one_dot(script);
}

static void
play_first_frame_late(Script *script)
{
    uint32_t last;

    stop_with_first_frame(script);
    last = script_put(script, 1, MOST, script_read(script, 1, MOST));
    script_resume(script, 0);
    script_await_same(script);
    EXPECT(script, script_read(script, 1, ALL), last);
}

/* Nobody has anything in memory any more of what was replaced: the records have it. */
static void
play_first_frame_after_restarts(Script *script)
{
    uint32_t last;

    stop_with_first_frame(script);
    last = script_put(script, 1, MOST, script_read(script, 1, MOST));
    script_settle_others(script, 0);
    script_crash(script, 1);
    script_crash(script, 2);
    script_boot_unawaited(script, 1);
    script_boot_unawaited(script, 2);
    script_resume(script, 0);
    script_await_same(script);
    EXPECT(script, script_read(script, 1, ALL), last);
}

/* The records have it no more: it is in memory. */
static void
play_first_frame_on_a_hot_key(Script *script)
{
    uint32_t last = 0;

    stop_with_first_frame(script);
    for (uint32_t i = 0; i < MANY_PUTS; i++)
        last = script_put(script, 1, MOST, script_read(script, 1, MOST));
    script_resume(script, 0);
    script_await_same(script);
    EXPECT(script, script_read(script, 1, ALL), last);
}

/* Nobody has it any more, neither with a record nor in memory; but the frame is older than a write
 * may be. */
static void
play_retry_too_late(Script *script)
{
    uint32_t first = script_put(script, 0, ALL, NULL);
    uint32_t last = 0;

    for (uint32_t i = 0; i < MANY_PUTS; i++)
        last = script_put(script, 1, MOST, script_read(script, 1, MOST));
    script_settle(script);
    script_restart_all(script);
    script_wait_ms(script, LONG_MS);
    if (script_try_old_retry(script, 1, MOST, first, LONG_MS) != STATUS_TOO_LATE)
        script_fail(script, "an old frame was not refused");
    EXPECT(script, script_read(script, 1, ALL), last);
}

/* Host 1 replaces a version that it never had, and whose first stamp only host 0 has: that it was
 * replaced its id alone tells. */
static void
play_stamp_that_never_stood(Script *script)
{
    uint32_t first;
    uint32_t last;
    const Shown *seen;

    script_crash(script, 1);
    script_crash(script, 2);
    first = script_put(script, 0, 1, NULL);
    seen = script_read(script, 0, 1);
    script_crash(script, 0);
    script_boot_alone(script, 1);
    last = script_put(script, 1, 1, seen);
    script_crash(script, 1);
    script_boot_alone(script, 2);
    script_retry(script, 2, 1, first, NULL);
    script_boot_alone(script, 1);
    script_boot(script, 0);
    script_await_same(script);
    EXPECT(script, script_read(script, 1, ALL), last);
}

static const Scenario SCENARIOS[] = {
    {"retry-without-holder",       play_retry_without_holder,       3, false, 3},
    {"first-frame-looks",          play_first_frame_looks,          3, false, 3},
    {"first-frame-late",           play_first_frame_late,           3, false, 3},
    {"first-frame-after-restarts", play_first_frame_after_restarts, 3, false, 3},
    {"first-frame-on-a-hot-key",   play_first_frame_on_a_hot_key,   3, false, 3},
    {"retry-too-late",             play_retry_too_late,             3, false, 3},
    {"stamp-that-never-stood",     play_stamp_that_never_stood,     3, false, 3},
};

const Scenario *
scenario_retry_at(uint32_t index)
{
    uint32_t count = sizeof(SCENARIOS) / sizeof(SCENARIOS[0]);

    return index < count ? &SCENARIOS[index] : scenario_vote_at(index - count);
}
