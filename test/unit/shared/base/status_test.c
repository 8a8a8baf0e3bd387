/* The table of statuses is complete, and a byte that is not known is no status. */
#include "shared/base/status.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void
every_status_has_a_name_an_sqlstate_and_a_sentence(void **state)
{
    for (int code = 0; code < STATUS_COUNT; code++)
    {
        const char *text = status_text((StatusCode)code);

        assert_true(strlen(status_name((StatusCode)code)) > 0);
        assert_int_equal(strlen(status_sqlstate((StatusCode)code)), 5);
        assert_true(islower((unsigned char)text[0]));
        assert_int_not_equal(text[strlen(text) - 1], '.');
    }
}

static void
names_are_distinct(void **state)
{
    for (int a = 0; a < STATUS_COUNT; a++)
    {
        for (int b = 0; b < a; b++)
            assert_string_not_equal(status_name((StatusCode)a), status_name((StatusCode)b));
    }
}

static void
an_unknown_byte_reads_as_a_bad_frame(void **state)
{
    for (int byte = 0; byte < 256; byte++)
        assert_int_equal(status_from_byte((uint8_t)byte),
                         byte < STATUS_COUNT ? byte : STATUS_BAD_FRAME);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_name_an_sqlstate_and_a_sentence),
        cmocka_unit_test(names_are_distinct),
        cmocka_unit_test(an_unknown_byte_reads_as_a_bad_frame),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
