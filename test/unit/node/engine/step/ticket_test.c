#include "node/engine/step/ticket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void
a_number_names_its_place_until_it_ends(void **state)
{
    Tickets tickets = {0};
    uint32_t first = tickets_draw(&tickets, 3);
    uint32_t second = tickets_draw(&tickets, 3);

    (void)state;
    assert_int_not_equal(first, second);
    assert_int_equal(tickets_find(&tickets, first), 3);
    tickets_end(&tickets, first);
    assert_int_equal(tickets_find(&tickets, first), TICKET_NO_SLOT);
    assert_int_equal(tickets_find(&tickets, second), 3);
    tickets_end(&tickets, first);
    assert_int_equal(tickets_find(&tickets, second), 3);
    tickets_free(&tickets);
}

static void
nothing_has_the_number_none(void **state)
{
    Tickets tickets = {0};

    (void)state;
    assert_int_equal(tickets_find(&tickets, 0), TICKET_NO_SLOT);
    tickets_end(&tickets, 0);
    (void)tickets_draw(&tickets, 0);
    assert_int_equal(tickets_find(&tickets, 0), TICKET_NO_SLOT);
    tickets_free(&tickets);
}

/* Millions of questions later the number of one that has ended is nobody's still. */
static void
an_old_number_is_not_given_again_while_an_answer_may_come(void **state)
{
    Tickets tickets = {0};
    uint32_t old = tickets_draw(&tickets, 7);

    (void)state;
    tickets_end(&tickets, old);
    for (uint32_t i = 0; i < 3000000; i++)
    {
        uint32_t number = tickets_draw(&tickets, 7);

        assert_int_not_equal(number, old);
        assert_int_equal(tickets_find(&tickets, old), TICKET_NO_SLOT);
        tickets_end(&tickets, number);
    }
    tickets_free(&tickets);
}

/* Questions that last are passed over by those that come and go, also where numbers begin again. */
static void
numbers_begin_again_around_those_in_use(void **state)
{
    enum
    {
        LASTING = 1000
    };
    Tickets tickets = {.last = TICKET_NUMBERS - 500};
    uint32_t numbers[LASTING];

    (void)state;
    for (uint32_t i = 0; i < LASTING; i++)
        numbers[i] = tickets_draw(&tickets, i);
    for (uint32_t i = 0; i < 100000; i++)
        tickets_end(&tickets, tickets_draw(&tickets, LASTING));
    for (uint32_t i = 0; i < LASTING; i++)
    {
        assert_in_range(numbers[i], 1, TICKET_NUMBERS - 1);
        assert_int_equal(tickets_find(&tickets, numbers[i]), i);
    }
    tickets_free(&tickets);
}

static void
refs_and_tags_hold_all_that_went_in(void **state)
{
    uint64_t ref = ticket_ref(REF_UNREADABLE, TICKET_NUMBERS - 1, TICKET_ITEMS - 1);
    uint32_t tag = ticket_tag(REF_ORPHANS, TICKET_NUMBERS - 1);

    (void)state;
    assert_int_equal(ticket_ref_owner(ref), REF_UNREADABLE);
    assert_int_equal(ticket_ref_number(ref), TICKET_NUMBERS - 1);
    assert_int_equal(ticket_ref_item(ref), TICKET_ITEMS - 1);
    assert_int_equal(ticket_tag_owner(tag), REF_ORPHANS);
    assert_int_equal(ticket_tag_number(tag), TICKET_NUMBERS - 1);
    assert_int_equal(ticket_ref_owner(REF_NOBODY), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_names_its_place_until_it_ends),
        cmocka_unit_test(nothing_has_the_number_none),
        cmocka_unit_test(an_old_number_is_not_given_again_while_an_answer_may_come),
        cmocka_unit_test(numbers_begin_again_around_those_in_use),
        cmocka_unit_test(refs_and_tags_hold_all_that_went_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
