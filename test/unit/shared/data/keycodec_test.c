/* Keys: each type sorts as its values do, each value has one form, and the text forms come back. */
#include "shared/data/keycodec.h"
#include "test/unit/causality/history.h"
#include "test/unit/stages/hostile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Fixture
{
    Arena arena;
    Buffer a;
    Buffer b;
} Fixture;

static int
set_up(void **state)
{
    static Fixture fixture;

    arena_init(&fixture.arena, &MEMORY_HEAP);
    buffer_init(&fixture.a, &MEMORY_HEAP);
    buffer_init(&fixture.b, &MEMORY_HEAP);
    *state = &fixture;
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;

    arena_free(&fixture->arena);
    buffer_free(&fixture->a);
    buffer_free(&fixture->b);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const KeyType TYPES[] = {KEY_INTEGER, KEY_TEXT,      KEY_BYTEA,       KEY_UUID,
                                KEY_DATE,    KEY_TIMESTAMP, KEY_TIMESTAMPTZ, KEY_BOOLEAN};

enum
{
    TYPE_COUNT = sizeof(TYPES) / sizeof(TYPES[0])
};

static bool
is_number(KeyType type)
{
    return type != KEY_TEXT && type != KEY_BYTEA && type != KEY_UUID;
}

/* Few distinct bytes, so that prefixes, zeros and 0xFF meet often. */
static Slice
random_bytes(Fixture *fixture, uint64_t *random, KeyType type)
{
    static const uint8_t alphabet[] = {1, 2, 0xFE, 0xFF, 0};
    size_t length = type == KEY_UUID ? 16 : history_random_below(random, 5);
    uint8_t *bytes = arena_alloc(&fixture->arena, length);

    for (size_t i = 0; i < length; i++)
        bytes[i] = alphabet[history_random_below(random, type == KEY_TEXT ? 4 : 5)];
    return slice_make(bytes, length);
}

static int64_t
random_number(uint64_t *random, KeyType type)
{
    static const int64_t borders[] = {INT64_MIN, INT64_MIN + 1, -256,          -1,       0, 1,
                                      255,       256,           INT64_MAX - 1, INT64_MAX};
    int64_t number = history_random_below(random, 2) == 0
                         ? borders[history_random_below(random, 10)]
                         : (int64_t)history_random_below(random, UINT64_MAX);

    if (type == KEY_BOOLEAN)
        return number & 1;
    return type == KEY_DATE ? (int32_t)number : number;
}

static KeyValue
random_value(Fixture *fixture, uint64_t *random, KeyType type)
{
    KeyValue value = {.type = type};

    if (is_number(type))
        value.number = random_number(random, type);
    else
        value.bytes = random_bytes(fixture, random, type);
    return value;
}

static int
compare_values(const KeyValue *a, const KeyValue *b)
{
    if (!is_number(a->type))
        return slice_compare(a->bytes, b->bytes);
    return (a->number > b->number) - (a->number < b->number);
}

static int
sign(int order)
{
    return (order > 0) - (order < 0);
}

static void
encodings_sort_as_their_values_do(void **state)
{
    Fixture *fixture = *state;
    uint64_t random = 1;

    for (int i = 0; i < 100000; i++)
    {
        KeyType type = TYPES[i % TYPE_COUNT];
        KeyValue a = random_value(fixture, &random, type);
        KeyValue b = random_value(fixture, &random, type);

        buffer_reset(&fixture->a);
        buffer_reset(&fixture->b);
        keycodec_put(&fixture->a, &a);
        keycodec_put(&fixture->b, &b);
        assert_int_equal(sign(slice_compare(buffer_slice(&fixture->a), buffer_slice(&fixture->b))),
                         sign(compare_values(&a, &b)));
    }
}

static void
keys_of_several_columns_sort_column_by_column(void **state)
{
    Fixture *fixture = *state;
    uint64_t random = 2;

    for (int i = 0; i < 50000; i++)
    {
        KeyType types[2] = {TYPES[history_random_below(&random, TYPE_COUNT)],
                            TYPES[history_random_below(&random, TYPE_COUNT)]};
        int expected = 0;

        buffer_reset(&fixture->a);
        buffer_reset(&fixture->b);
        for (int column = 0; column < 2; column++)
        {
            KeyValue a = random_value(fixture, &random, types[column]);
            KeyValue b = history_random_below(&random, 2) == 0
                             ? a
                             : random_value(fixture, &random, types[column]);

            keycodec_put(&fixture->a, &a);
            keycodec_put(&fixture->b, &b);
            if (expected == 0)
                expected = sign(compare_values(&a, &b));
        }
        assert_int_equal(sign(slice_compare(buffer_slice(&fixture->a), buffer_slice(&fixture->b))),
                         expected);
    }
}

static void
values_come_back(void **state)
{
    Fixture *fixture = *state;
    uint64_t random = 3;

    for (int i = 0; i < 50000; i++)
    {
        KeyValue value = random_value(fixture, &random, TYPES[i % TYPE_COUNT]);

        buffer_reset(&fixture->a);
        keycodec_put(&fixture->a, &value);

        Reader reader = reader_begin(buffer_slice(&fixture->a));
        KeyValue again = keycodec_next(&reader, value.type, &fixture->arena);

        assert_true(reader_finish(&reader));
        assert_int_equal(again.type, value.type);
        assert_int_equal(compare_values(&again, &value), 0);
    }
}

static void
the_first_column_is_what_places_a_key(void **state)
{
    Fixture *fixture = *state;
    KeyType types[] = {KEY_TEXT, KEY_INTEGER};
    KeyValue text = {.type = KEY_TEXT, .bytes = slice_from_string("abc")};
    KeyValue number = {.type = KEY_INTEGER, .number = -5};
    Slice first;

    keycodec_put(&fixture->a, &text);

    size_t length = fixture->a.length;

    keycodec_put(&fixture->a, &number);
    assert_true(keycodec_split(buffer_slice(&fixture->a), types, 2, &first));
    assert_int_equal(first.length, length);
    assert_ptr_equal(first.data, fixture->a.data);
    assert_false(keycodec_split(buffer_slice(&fixture->a), types, 1, &first));
    assert_false(keycodec_split(buffer_slice(&fixture->a), types, 0, &first));
    assert_false(keycodec_split(SLICE_EMPTY, types, 1, &first));
}

static void
bytes_that_no_encoder_makes_are_refused(void **state)
{
    static const struct
    {
        KeyType type;
        const char *bytes;
        size_t length;
    } cases[] = {
        {KEY_TEXT,    "a",               1 }, /* no end */
        {KEY_TEXT,    "a\0",             2 }, /* half an end */
        {KEY_TEXT,    "a\0\xFF\0\1",     5 }, /* a NUL byte in text */
        {KEY_BYTEA,   "a\0\2\0\1",       5 }, /* an unknown escape */
        {KEY_BYTEA,   "a\0\xFF",         3 }, /* no end after an escape */
        {KEY_BYTEA,   "a\0\1x",          4 }, /* more than one value */
        {KEY_BOOLEAN, "\2",              1 }, /* neither true nor false */
        {KEY_INTEGER, "1234567",         7 }, /* short */
        {KEY_DATE,    "12345",           5 }, /* long */
        {KEY_UUID,    "123456789012345", 15}  /* short */
    };
    Slice first;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_false(
            keycodec_split(slice_make(cases[i].bytes, cases[i].length), &cases[i].type, 1, &first));
}

static void
hostile_bytes_are_refused(void **state)
{
    Fixture *fixture = *state;
    uint64_t random = 4;

    for (int i = 0; i < 200; i++)
    {
        uint8_t count = (uint8_t)(1 + history_random_below(&random, KEY_COLUMNS_MAX));
        KeyType types[KEY_COLUMNS_MAX];

        buffer_reset(&fixture->a);
        buffer_put_u8(&fixture->a, count);
        for (uint8_t c = 0; c < count; c++)
        {
            types[c] = TYPES[history_random_below(&random, TYPE_COUNT)];
            buffer_put_u8(&fixture->a, (uint8_t)types[c]);
        }
        for (uint8_t c = 0; c < count; c++)
        {
            KeyValue value = random_value(fixture, &random, types[c]);

            keycodec_put(&fixture->a, &value);
        }
        assert_hostile_bytes_are_refused(buffer_slice(&fixture->a), round_trip_key);
    }
}

static void
what_is_printed_parses_to_the_same_value(void **state)
{
    Fixture *fixture = *state;
    uint64_t random = 5;

    for (int i = 0; i < 20000; i++)
    {
        KeyValue value = random_value(fixture, &random, TYPES[i % TYPE_COUNT]);
        KeyValue again;

        buffer_reset(&fixture->a);
        keycodec_print(&fixture->a, &value);
        buffer_put_u8(&fixture->a, '\0');
        assert_true(keycodec_parse(value.type, (char *)fixture->a.data, &fixture->arena, &again));
        assert_int_equal(compare_values(&again, &value), 0);
    }
}

static void
values_print_as_people_write_them(void **state)
{
    static const struct
    {
        KeyType type;
        const char *text;
    } cases[] = {
        {KEY_INTEGER, "-9223372036854775808"                },
        {KEY_TEXT,    "it's \xC3\xA9"                       },
        {KEY_BYTEA,   "\\x00ff10"                           },
        {KEY_BYTEA,   "\\x"                                 },
        {KEY_UUID,    "00112233-4455-6677-8899-aabbccddeeff"},
        {KEY_BOOLEAN, "true"                                },
        {KEY_DATE,    "-2147483648"                         },
    };
    Fixture *fixture = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    {
        KeyValue value;

        assert_true(keycodec_parse(cases[i].type, cases[i].text, &fixture->arena, &value));
        buffer_reset(&fixture->a);
        keycodec_print(&fixture->a, &value);
        assert_true(slice_equal(buffer_slice(&fixture->a), slice_from_string(cases[i].text)));
    }
}

static void
text_that_is_no_value_is_refused(void **state)
{
    static const struct
    {
        KeyType type;
        const char *text;
    } cases[] = {
        {KEY_INTEGER, ""                                     },
        {KEY_INTEGER, "-"                                    },
        {KEY_INTEGER, " 1"                                   },
        {KEY_INTEGER, "1x"                                   },
        {KEY_INTEGER, "--1"                                  },
        {KEY_INTEGER, "9223372036854775808"                  },
        {KEY_INTEGER, "-9223372036854775809"                 },
        {KEY_INTEGER, "99999999999999999999999"              },
        {KEY_DATE,    "2147483648"                           },
        {KEY_BYTEA,   "00ff"                                 },
        {KEY_BYTEA,   "\\x0"                                 },
        {KEY_BYTEA,   "\\x0g"                                },
        {KEY_BYTEA,   "\\"                                   },
        {KEY_BYTEA,   ""                                     },
        {KEY_UUID,    "00112233-4455-6677-8899-aabbccddeef"  },
        {KEY_UUID,    "00112233-4455-6677-8899-aabbccddeeff0"},
        {KEY_UUID,    "00112233-4455-6677-8899-aabbccddeeff-"},
        {KEY_UUID,    "0-0112233-4455-6677-8899-aabbccddeeff"},
        {KEY_BOOLEAN, "maybe"                                },
        {KEY_BOOLEAN, ""                                     },
    };
    Fixture *fixture = *state;
    KeyValue value;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_false(keycodec_parse(cases[i].type, cases[i].text, &fixture->arena, &value));
}

static void
only_the_types_of_the_list_are_known(void **state)
{
    assert_false(keycodec_type_is_known(0));
    assert_false(keycodec_type_is_known(KEY_BOOLEAN + 1));
    assert_null(keycodec_type_name((KeyType)0));
    for (int i = 0; i < TYPE_COUNT; i++)
        assert_non_null(keycodec_type_name(TYPES[i]));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(encodings_sort_as_their_values_do),
        TEST(keys_of_several_columns_sort_column_by_column),
        TEST(values_come_back),
        TEST(the_first_column_is_what_places_a_key),
        TEST(bytes_that_no_encoder_makes_are_refused),
        TEST(hostile_bytes_are_refused),
        TEST(what_is_printed_parses_to_the_same_value),
        TEST(values_print_as_people_write_them),
        TEST(text_that_is_no_value_is_refused),
        TEST(only_the_types_of_the_list_are_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
