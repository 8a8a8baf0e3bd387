#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/engine/step/pacer.h"

enum
{
    MEGABYTE = 1024 * 1024,
    MOST = 64 * MEGABYTE,
    WINDOW_MS = 250
};

/* Windows of the foreground, each write taking so long, beside background work or not. Returns the
 * time after them. */
static uint64_t
run(Pacer *pacer, uint64_t now_ms, uint32_t windows, uint64_t latency_us, bool shared)
{
    for (uint32_t i = 0; i < windows; i++)
    {
        if (shared)
            pacer_take(pacer, 1);
        now_ms += WINDOW_MS;
        pacer_note(pacer, now_ms, latency_us > 0 ? 20 : 0, 20 * latency_us);
    }
    return now_ms;
}

static void
a_slow_foreground_slows_the_background_but_never_stops_it(void **state)
{
    Pacer pacer;
    uint64_t now;

    pacer_init(&pacer, MOST, 0);
    now = run(&pacer, 0, 4, 1000, true);
    assert_int_equal(pacer.rate, MOST);
    now = run(&pacer, now, 3, 5000, true);
    assert_int_equal(pacer.rate, MOST / 8);
    run(&pacer, now, 4, 50000, true);
    assert_in_range(pacer.rate, PACER_LEAST, MOST / 8);
}

static void
the_rate_grows_back_when_the_foreground_is_quick_or_silent(void **state)
{
    Pacer pacer;
    uint64_t now;

    pacer_init(&pacer, MOST, 0);
    now = run(&pacer, run(&pacer, 0, 4, 1000, true), 4, 10000, true);
    assert_true(pacer.rate < MOST / 8);
    now = run(&pacer, now, 10, 1000, true);
    assert_true(pacer.rate > MOST / 4);
    run(&pacer, now, 20, 0, true);
    assert_int_equal(pacer.rate, MOST);
}

static void
a_foreground_that_is_slow_for_good_becomes_usual(void **state)
{
    Pacer pacer;

    pacer_init(&pacer, MOST, 0);
    run(&pacer, run(&pacer, 0, 4, 1000, true), 200, 5000, true);
    assert_int_equal(pacer.rate, MOST);
}

static void
what_is_usual_is_learned_from_times_without_background_work(void **state)
{
    Pacer pacer;
    uint64_t now;

    pacer_init(&pacer, MOST, 0);
    now = run(&pacer, 0, 20, 1000, false);
    now = run(&pacer, now, 2, 30000, false);
    assert_int_equal(pacer.rate, MOST);
    now = run(&pacer, now, 20, 30000, false);
    now = run(&pacer, now, 20, 1000, false);
    run(&pacer, now, 3, 12000, true);
    assert_int_equal(pacer.rate, MOST / 8);
}

static void
a_debt_that_is_being_paid_off_is_background_work(void **state)
{
    Pacer pacer;
    uint64_t now;

    pacer_init(&pacer, MOST, 0);
    now = run(&pacer, 0, 20, 1000, false);
    pacer_take(&pacer, MOST);
    run(&pacer, now, 3, 12000, false);
    assert_int_equal(pacer.rate, MOST / 8);
}

static void
a_foreground_whose_writes_come_slowly_is_waited_for(void **state)
{
    Pacer pacer;
    uint64_t now;

    pacer_init(&pacer, MOST, 0);
    now = run(&pacer, 0, 20, 1000, false);
    for (int i = 0; i < 16; i++)
    {
        pacer_take(&pacer, 1);
        now += WINDOW_MS / 2;
        pacer_note(&pacer, now, 1, 100000);
    }
    assert_int_equal(pacer.rate, MOST / 4);
}

static void
tokens_flow_at_the_rate_and_do_not_pile_up(void **state)
{
    Pacer pacer;

    pacer_init(&pacer, MOST, 0);
    assert_true(pacer_may_begin(&pacer, 10000));
    pacer_take(&pacer, 2 * (uint64_t)MOST);
    assert_false(pacer_may_begin(&pacer, 11000));
    assert_in_range(pacer_ready_ms(&pacer, 11000), 11850, 12001);
    assert_true(pacer_may_begin(&pacer, pacer_ready_ms(&pacer, 11000)));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_foreground_slows_the_background_but_never_stops_it),
        cmocka_unit_test(the_rate_grows_back_when_the_foreground_is_quick_or_silent),
        cmocka_unit_test(a_foreground_that_is_slow_for_good_becomes_usual),
        cmocka_unit_test(what_is_usual_is_learned_from_times_without_background_work),
        cmocka_unit_test(a_debt_that_is_being_paid_off_is_background_work),
        cmocka_unit_test(a_foreground_whose_writes_come_slowly_is_waited_for),
        cmocka_unit_test(tokens_flow_at_the_rate_and_do_not_pile_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
