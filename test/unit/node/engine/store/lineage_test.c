#include "node/engine/store/lineage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static Lineage lineage;

static RunId
run(uint32_t number)
{
    return (RunId){
        {(uint8_t)number, (uint8_t)(number >> 8)}
    };
}

static void
begin(uint32_t number, uint64_t commits)
{
    RunId id = run(number);

    lineage_begin(&lineage, &id, commits);
}

static bool
holds(uint64_t now, uint32_t number, uint64_t commits)
{
    DataMark mark = {.run = run(number), .commits = commits};

    return lineage_holds(&lineage, now, &mark);
}

static int
set_up(void **state)
{
    lineage.count = 0;
    return 0;
}

static void
a_run_holds_what_it_has_come_to(void **state)
{
    begin(1, 10);
    assert_true(holds(15, 1, 15));
    assert_false(holds(15, 1, 16));
    assert_false(lineage_has_past(&lineage));
}

static void
an_earlier_run_counts_up_to_its_end(void **state)
{
    begin(1, 0);
    begin(2, 10);
    begin(3, 20);
    assert_true(holds(25, 1, 10));
    assert_false(holds(25, 1, 11));
    assert_true(holds(25, 2, 20));
    assert_false(holds(25, 2, 21));
    assert_true(lineage_has_past(&lineage));
}

static void
another_life_is_not_held_whatever_its_number(void **state)
{
    begin(1, 0);
    begin(2, 10);
    assert_false(holds(1000, 9, 0));
}

static void
data_older_than_their_list_are_cut_back(void **state)
{
    begin(1, 0);
    begin(2, 10);
    begin(3, 20);
    begin(4, 15);
    assert_true(holds(15, 1, 10));
    assert_true(holds(15, 2, 15));
    assert_false(holds(15, 2, 16));
    assert_false(holds(15, 3, 0));
}

static void
a_settled_run_is_held_wholly_from_then_on(void **state)
{
    RunId unknown = run(9);
    RunId known = run(1);

    begin(1, 0);
    begin(2, 10);
    lineage_settle(&lineage, &unknown);
    lineage_settle(&lineage, &known);
    assert_true(holds(10, 9, 1000));
    assert_true(holds(10, 1, 1000));
    assert_false(holds(10, 2, 1000));
    begin(3, 10);
    assert_true(holds(10, 9, 1000));
    assert_true(holds(10, 2, 10));
}

static void
the_oldest_runs_are_forgotten(void **state)
{
    for (uint32_t i = 0; i < LINEAGE_RUNS_MAX + 2; i++)
        begin(i, i);
    assert_int_equal(lineage.count, LINEAGE_RUNS_MAX);
    assert_false(holds(LINEAGE_RUNS_MAX + 1, 1, 0));
    assert_true(holds(LINEAGE_RUNS_MAX + 1, 2, 3));
    assert_true(holds(LINEAGE_RUNS_MAX + 1, LINEAGE_RUNS_MAX + 1, LINEAGE_RUNS_MAX + 1));
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_run_holds_what_it_has_come_to),
        TEST(an_earlier_run_counts_up_to_its_end),
        TEST(another_life_is_not_held_whatever_its_number),
        TEST(data_older_than_their_list_are_cut_back),
        TEST(a_settled_run_is_held_wholly_from_then_on),
        TEST(the_oldest_runs_are_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
