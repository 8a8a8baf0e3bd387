#include "node/engine/cluster/gossip_window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void
each_counter_counts_once_in_any_order(void **state)
{
    GossipWindow window = gossip_window(10);

    assert_false(gossip_window_accept(&window, 10));
    assert_false(gossip_window_accept(&window, 3));
    assert_true(gossip_window_accept(&window, 14));
    assert_true(gossip_window_accept(&window, 12));
    assert_false(gossip_window_accept(&window, 12));
    assert_true(gossip_window_accept(&window, 11));
    assert_true(gossip_window_accept(&window, 13));
    assert_false(gossip_window_accept(&window, 14));
}

static void
what_is_too_far_behind_counts_as_come(void **state)
{
    GossipWindow window = gossip_window(1);

    assert_true(gossip_window_accept(&window, 1000));
    assert_false(gossip_window_accept(&window, 1000 - GOSSIP_WINDOW_BITS));
    assert_true(gossip_window_accept(&window, 1001 - GOSSIP_WINDOW_BITS));
}

static void
the_last_counter_of_all_ends_nothing(void **state)
{
    GossipWindow window = gossip_window(UINT64_MAX - 3);

    assert_true(gossip_window_accept(&window, UINT64_MAX));
    assert_false(gossip_window_accept(&window, UINT64_MAX));
    assert_true(gossip_window_accept(&window, UINT64_MAX - 1));
}

/* Beside a plain set of what has come. */
static void
a_window_agrees_with_a_set(void **state)
{
    enum
    {
        COUNTERS = 4096
    };
    bool come[COUNTERS] = {true};
    GossipWindow window = gossip_window(0);
    uint64_t highest = 0;
    uint64_t chance = 1;

    for (uint32_t i = 0; i < 20000; i++)
    {
        uint64_t counter = highest + 40;

        chance = chance * 6364136223846793005u + 1442695040888963407u;
        counter -= (chance >> 33) % 340;
        if (counter >= COUNTERS)
            continue;

        bool is_new = !come[counter] && counter + GOSSIP_WINDOW_BITS > highest;

        assert_int_equal(gossip_window_accept(&window, counter), is_new);
        come[counter] = true;
        if (counter > highest)
            highest = counter;
    }
    assert_in_range(highest, COUNTERS - 300, COUNTERS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_counter_counts_once_in_any_order),
        cmocka_unit_test(what_is_too_far_behind_counts_as_come),
        cmocka_unit_test(the_last_counter_of_all_ends_nothing),
        cmocka_unit_test(a_window_agrees_with_a_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
