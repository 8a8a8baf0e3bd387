#include "node/console_value.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "shared/value.h"

static void
times_agree_with_the_calendar_of_libc(void **state)
{
    for (uint64_t day = 0; day < 150000; day++)
    {
        time_t seconds = (time_t)(day * 86400 + day % 86400);
        char expected[64];
        char all[80];
        struct tm parts;
        Buffer out;

        gmtime_r(&seconds, &parts);
        strftime(expected, sizeof(expected), "%Y-%m-%d %H:%M:%S", &parts);
        snprintf(all, sizeof(all), "%s.007+00", expected);
        buffer_init(&out, &MEMORY_HEAP);
        console_value_time(&out, (uint64_t)seconds * 1000 + 7);
        buffer_put_u8(&out, 0);
        assert_string_equal((char *)out.data, all);
        buffer_free(&out);
    }
}

static void
rows_are_shown_as_json(void **state)
{
    static const ValueColumn columns[] = {
        {{(const uint8_t *)"t", 1},   25,   {NULL, 0}, false, {(const uint8_t *)"a\"\\\n", 4}         },
        {{(const uint8_t *)"n", 1},   23,   {NULL, 0}, false, {(const uint8_t *)"\xff\xff\xff\xfe", 4}},
        {{(const uint8_t *)"b", 1},   16,   {NULL, 0}, false, {(const uint8_t *)"\1", 1}              },
        {{(const uint8_t *)"j", 1},   3802, {NULL, 0}, false, {(const uint8_t *)"\1[1]", 4}           },
        {{(const uint8_t *)"odd", 3}, 23,   {NULL, 0}, false, {(const uint8_t *)"\1\2", 2}            },
        {{(const uint8_t *)"z", 1},   25,   {NULL, 0}, true,  {NULL, 0}                               },
    };
    Buffer value;
    Buffer out;

    buffer_init(&value, &MEMORY_HEAP);
    buffer_init(&out, &MEMORY_HEAP);
    value_encode(&value, columns, sizeof(columns) / sizeof(columns[0]));
    console_value_json(&out, buffer_slice(&value));
    buffer_put_u8(&out, 0);
    assert_string_equal((char *)out.data,
                        "{\"t\": \"a\\\"\\\\\\u000a\", \"n\": -2, \"b\": true, \"j\": [1], "
                        "\"odd\": \"\\\\x0102\", \"z\": null}");
    buffer_free(&value);
    buffer_free(&out);
}

static void
bytes_that_are_no_row_are_shown_as_hex(void **state)
{
    Buffer out;

    buffer_init(&out, &MEMORY_HEAP);
    console_value_json(&out, slice_make("\xff\xff\xff", 3));
    buffer_put_u8(&out, 0);
    assert_string_equal((char *)out.data, "\"\\\\xffffff\"");
    buffer_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_agree_with_the_calendar_of_libc),
        cmocka_unit_test(rows_are_shown_as_json),
        cmocka_unit_test(bytes_that_are_no_row_are_shown_as_hex),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
