#include "node/console/console_value.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "shared/data/value.h"

#define TEXT(literal)                                                                              \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }
#define NOTHING                                                                                    \
    {                                                                                              \
        NULL, 0                                                                                    \
    }

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
        {TEXT("t"),   25,   NOTHING, false, TEXT("a\"\\\n")         },
        {TEXT("n"),   23,   NOTHING, false, TEXT("\xff\xff\xff\xfe")},
        {TEXT("b"),   16,   NOTHING, false, TEXT("\1")              },
        {TEXT("j"),   3802, NOTHING, false, TEXT("\1[1]")           },
        {TEXT("odd"), 23,   NOTHING, false, TEXT("\1\2")            },
        {TEXT("z"),   25,   NOTHING, true,  NOTHING                 },
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
