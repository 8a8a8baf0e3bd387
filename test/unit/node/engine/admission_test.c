#include "node/engine/admission.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum
{
    TARGET_MS = 100,
    INTERVAL_MS = 2 * TARGET_MS,
    TURN_MS = 10,
    FRAMES_MAX = 4,
    BYTES_MAX = 1000,
    TIMEOUT_MS = 5000
};

static const AdmissionLimits LIMITS = {TARGET_MS, FRAMES_MAX, BYTES_MAX};
static const AdmissionLoad IDLE = {0, 0};

typedef struct Fixture
{
    Admission admission;
    uint64_t now_ms;
} Fixture;

static Fixture
begin(void)
{
    Fixture fixture = {.now_ms = 1000000};

    admission_init(&fixture.admission, &LIMITS);
    return fixture;
}

/* Turns for that long, at each of which the next in the queue has waited so long. */
static void
run(Fixture *fixture, AdmissionQueue queue, uint64_t ms, uint64_t wait_ms)
{
    for (uint64_t end = fixture->now_ms + ms; fixture->now_ms <= end; fixture->now_ms += TURN_MS)
        admission_note(&fixture->admission, queue, fixture->now_ms, wait_ms);
}

static AdmissionVerdict
ask(Fixture *fixture, AdmissionQueue joins, uint64_t waited_ms, uint32_t timeout_ms)
{
    AdmissionFrame frame = {joins, waited_ms, timeout_ms, false, false};

    return admission_ask(&fixture->admission, fixture->now_ms, &frame, &IDLE);
}

static AdmissionVerdict
ask_write(Fixture *fixture)
{
    return ask(fixture, ADMISSION_WRITES, 0, TIMEOUT_MS);
}

static void
a_queue_that_is_above_the_target_for_an_interval_sheds_what_would_join_it(void **state)
{
    Fixture fixture = begin();

    run(&fixture, ADMISSION_WRITES, INTERVAL_MS - TURN_MS, TARGET_MS + 1);
    assert_int_equal(ask_write(&fixture), ADMISSION_TAKEN);
    run(&fixture, ADMISSION_WRITES, TURN_MS, TARGET_MS + 1);
    assert_int_equal(ask_write(&fixture), ADMISSION_BEHIND);
    assert_int_equal(ask(&fixture, ADMISSION_READS, 0, TIMEOUT_MS), ADMISSION_TAKEN);
    assert_int_equal(fixture.admission.shed[ADMISSION_BEHIND], 1);
}

static void
a_burst_that_is_worked_off_within_the_interval_sheds_nothing(void **state)
{
    Fixture fixture = begin();

    for (int i = 0; i < 20; i++)
    {
        run(&fixture, ADMISSION_WRITES, INTERVAL_MS - 2 * TURN_MS, 50 * TARGET_MS);
        assert_int_equal(ask_write(&fixture), ADMISSION_TAKEN);
        run(&fixture, ADMISSION_WRITES, 0, TARGET_MS);
    }
}

static void
one_short_wait_ends_the_shedding(void **state)
{
    Fixture fixture = begin();

    run(&fixture, ADMISSION_WRITES, 3 * INTERVAL_MS, 10 * TARGET_MS);
    assert_int_equal(ask_write(&fixture), ADMISSION_BEHIND);
    run(&fixture, ADMISSION_WRITES, 0, 0);
    assert_int_equal(ask_write(&fixture), ADMISSION_TAKEN);
}

static void
a_queue_that_stood_lately_stands_again_at_once(void **state)
{
    Fixture fixture = begin();

    run(&fixture, ADMISSION_WRITES, INTERVAL_MS, 10 * TARGET_MS);
    run(&fixture, ADMISSION_WRITES, 10 * INTERVAL_MS, 0);
    run(&fixture, ADMISSION_WRITES, 0, TARGET_MS + 1);
    assert_int_equal(ask_write(&fixture), ADMISSION_BEHIND);
    run(&fixture, ADMISSION_WRITES, 30 * INTERVAL_MS, 0);
    run(&fixture, ADMISSION_WRITES, 0, TARGET_MS + 1);
    assert_int_equal(ask_write(&fixture), ADMISSION_TAKEN);
}

static void
a_loop_that_is_behind_sheds_every_kind(void **state)
{
    Fixture fixture = begin();

    run(&fixture, ADMISSION_FRAMES, INTERVAL_MS, TARGET_MS + 1);
    assert_int_equal(ask_write(&fixture), ADMISSION_BEHIND);
    assert_int_equal(ask(&fixture, ADMISSION_READS, 0, TIMEOUT_MS), ADMISSION_BEHIND);
    assert_int_equal(ask(&fixture, ADMISSION_SCANS, 0, TIMEOUT_MS), ADMISSION_BEHIND);
}

static void
what_was_noted_long_ago_sheds_nothing(void **state)
{
    Fixture fixture = begin();

    run(&fixture, ADMISSION_FRAMES, INTERVAL_MS, TARGET_MS + 1);
    assert_int_equal(admission_wait_ms(&fixture.admission, ADMISSION_FRAMES, fixture.now_ms),
                     TARGET_MS + 1);
    fixture.now_ms += 10 * INTERVAL_MS;
    assert_int_equal(ask_write(&fixture), ADMISSION_TAKEN);
    assert_int_equal(admission_wait_ms(&fixture.admission, ADMISSION_FRAMES, fixture.now_ms), 0);

    /* Two looks far apart say nothing of what was between them. */
    fixture = begin();
    run(&fixture, ADMISSION_FRAMES, 0, TARGET_MS + 1);
    fixture.now_ms += 10 * INTERVAL_MS;
    run(&fixture, ADMISSION_FRAMES, 0, TARGET_MS + 1);
    assert_int_equal(ask_write(&fixture), ADMISSION_TAKEN);
}

static void
within_one_long_turn_those_that_come_last_are_shed(void **state)
{
    Fixture fixture = begin();

    assert_int_equal(ask(&fixture, ADMISSION_READS, INTERVAL_MS, TIMEOUT_MS), ADMISSION_TAKEN);
    assert_int_equal(ask(&fixture, ADMISSION_READS, INTERVAL_MS + 1, TIMEOUT_MS), ADMISSION_BEHIND);

    AdmissionFrame held = {ADMISSION_READS, INTERVAL_MS + 1, TIMEOUT_MS, true, false};

    assert_int_equal(admission_ask(&fixture.admission, fixture.now_ms, &held, &IDLE),
                     ADMISSION_TAKEN);
}

static void
scans_are_given_ten_times_the_patience(void **state)
{
    Fixture fixture = begin();

    run(&fixture, ADMISSION_SCANS, 10 * INTERVAL_MS, 10 * TARGET_MS);
    assert_int_equal(ask(&fixture, ADMISSION_SCANS, 0, TIMEOUT_MS), ADMISSION_TAKEN);
    run(&fixture, ADMISSION_SCANS, 10 * INTERVAL_MS, 10 * TARGET_MS + 1);
    assert_int_equal(ask(&fixture, ADMISSION_SCANS, 0, TIMEOUT_MS), ADMISSION_BEHIND);
    assert_int_equal(ask(&fixture, ADMISSION_READS, 0, TIMEOUT_MS), ADMISSION_TAKEN);
}

static void
a_frame_whose_time_has_passed_is_late(void **state)
{
    Fixture fixture = begin();

    assert_int_equal(ask(&fixture, ADMISSION_WRITES, 49, 50), ADMISSION_TAKEN);
    assert_int_equal(ask(&fixture, ADMISSION_WRITES, 50, 50), ADMISSION_LATE);
    assert_int_equal(fixture.admission.shed[ADMISSION_LATE], 1);
}

static void
the_caps_are_the_last_line(void **state)
{
    Fixture fixture = begin();
    AdmissionFrame frame = {ADMISSION_READS, 0, TIMEOUT_MS, false, false};
    AdmissionLoad load = {FRAMES_MAX - 1, BYTES_MAX - 1};
    AdmissionLoad frames = {FRAMES_MAX, 0};
    AdmissionLoad bytes = {0, BYTES_MAX};

    assert_int_equal(admission_ask(&fixture.admission, 1, &frame, &load), ADMISSION_TAKEN);
    assert_int_equal(admission_ask(&fixture.admission, 1, &frame, &frames), ADMISSION_FULL);
    assert_int_equal(admission_ask(&fixture.admission, 1, &frame, &bytes), ADMISSION_FULL);
    assert_int_equal(fixture.admission.shed[ADMISSION_FULL], 2);
}

static void
who_asks_for_one_thing_at_a_time_is_served_for_longer(void **state)
{
    Fixture fixture = begin();
    AdmissionFrame alone = {ADMISSION_WRITES, INTERVAL_MS + 1, TIMEOUT_MS, false, true};
    AdmissionLoad full = {FRAMES_MAX, 0};
    AdmissionLoad overfull = {FRAMES_MAX + FRAMES_MAX / 4, 0};

    run(&fixture, ADMISSION_WRITES, INTERVAL_MS, 4 * TARGET_MS);
    assert_int_equal(ask_write(&fixture), ADMISSION_BEHIND);
    assert_int_equal(admission_ask(&fixture.admission, fixture.now_ms, &alone, &full),
                     ADMISSION_TAKEN);
    assert_int_equal(admission_ask(&fixture.admission, fixture.now_ms, &alone, &overfull),
                     ADMISSION_FULL);
    run(&fixture, ADMISSION_WRITES, INTERVAL_MS, 4 * TARGET_MS + 1);
    assert_int_equal(admission_ask(&fixture.admission, fixture.now_ms, &alone, &IDLE),
                     ADMISSION_BEHIND);
}

static void
without_limits_nothing_is_shed(void **state)
{
    Fixture fixture = begin();
    AdmissionLimits none = {0, 0, 0};
    AdmissionFrame frame = {ADMISSION_READS, 1000, TIMEOUT_MS, false, false};
    AdmissionLoad load = {UINT32_MAX, UINT64_MAX};

    run(&fixture, ADMISSION_FRAMES, INTERVAL_MS, 10 * TARGET_MS);
    admission_set_limits(&fixture.admission, &none);
    run(&fixture, ADMISSION_FRAMES, INTERVAL_MS, 10 * TARGET_MS);
    assert_int_equal(admission_ask(&fixture.admission, fixture.now_ms, &frame, &load),
                     ADMISSION_TAKEN);
}

/* Arrivals at ten times what a server can do for a minute, then as many as it can do: what is taken
 * on is answered soon, the server is kept busy, and nothing is shed soon afterwards. */
static void
ten_times_the_load_is_shed_to_what_can_be_done(void **state)
{
    enum
    {
        MINUTE = 60000,
        DONE_A_MS = 10
    };
    Fixture fixture = begin();
    uint64_t start = fixture.now_ms;
    uint64_t queued = 0;
    uint64_t worst = 0; /* wait, but for the first interval */
    uint64_t done = 0;

    for (; fixture.now_ms < start + 2 * MINUTE; fixture.now_ms++)
    {
        bool flood = fixture.now_ms < start + MINUTE;
        uint64_t shed = fixture.admission.shed[ADMISSION_BEHIND];

        admission_note(&fixture.admission, ADMISSION_WRITES, fixture.now_ms, queued / DONE_A_MS);
        for (int i = 0; i < (flood ? 10 * DONE_A_MS : DONE_A_MS - 1); i++)
            queued += ask_write(&fixture) == ADMISSION_TAKEN;
        if (fixture.now_ms > start + 15 * INTERVAL_MS && queued / DONE_A_MS > worst)
            worst = queued / DONE_A_MS;
        done += flood ? (queued < DONE_A_MS ? queued : DONE_A_MS) : 0;
        queued -= queued < DONE_A_MS ? queued : DONE_A_MS;
        if (fixture.now_ms > start + MINUTE + INTERVAL_MS)
            assert_int_equal(fixture.admission.shed[ADMISSION_BEHIND], shed);
    }
    assert_in_range(done, MINUTE * DONE_A_MS * 99 / 100, MINUTE * DONE_A_MS);
    assert_in_range(worst, TARGET_MS / 2, TARGET_MS + TARGET_MS / 2);
    assert_true(queued <= DONE_A_MS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queue_that_is_above_the_target_for_an_interval_sheds_what_would_join_it),
        cmocka_unit_test(a_burst_that_is_worked_off_within_the_interval_sheds_nothing),
        cmocka_unit_test(one_short_wait_ends_the_shedding),
        cmocka_unit_test(a_queue_that_stood_lately_stands_again_at_once),
        cmocka_unit_test(a_loop_that_is_behind_sheds_every_kind),
        cmocka_unit_test(what_was_noted_long_ago_sheds_nothing),
        cmocka_unit_test(within_one_long_turn_those_that_come_last_are_shed),
        cmocka_unit_test(scans_are_given_ten_times_the_patience),
        cmocka_unit_test(a_frame_whose_time_has_passed_is_late),
        cmocka_unit_test(the_caps_are_the_last_line),
        cmocka_unit_test(who_asks_for_one_thing_at_a_time_is_served_for_longer),
        cmocka_unit_test(without_limits_nothing_is_shed),
        cmocka_unit_test(ten_times_the_load_is_shed_to_what_can_be_done),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
