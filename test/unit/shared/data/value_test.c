/* The columns of a row come back, and every other form is refused. */
#include "shared/data/value.h"
#include "test/unit/stages/hostile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct Fixture
{
    Arena arena;
    Buffer buffer;
} Fixture;

static int
set_up(void **state)
{
    static Fixture fixture;

    arena_init(&fixture.arena, &MEMORY_HEAP);
    buffer_init(&fixture.buffer, &MEMORY_HEAP);
    *state = &fixture;
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;

    arena_free(&fixture->arena);
    buffer_free(&fixture->buffer);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static ValueColumn
column(const char *name, uint32_t oid, const char *type, const char *data)
{
    return (ValueColumn){.name = slice_from_string(name),
                         .type_oid = oid,
                         .type_name = type != NULL ? slice_from_string(type) : SLICE_EMPTY,
                         .is_null = data == NULL,
                         .data = data != NULL ? slice_from_string(data) : SLICE_EMPTY};
}

static void
columns_come_back_with_names_types_and_nulls(void **state)
{
    Fixture *fixture = *state;
    ValueColumn columns[] = {column("price", 1700, NULL, "12"),
                             column("mood", 0, "public.mood", "happy"),
                             column("note", 25, NULL, NULL), column("empty", 25, NULL, "")};
    ValueColumn *decoded;
    uint32_t count;

    value_encode(&fixture->buffer, columns, 4);
    assert_true(value_decode(buffer_slice(&fixture->buffer), &fixture->arena, &decoded, &count));
    assert_int_equal(count, 4);
    for (uint32_t i = 0; i < count; i++)
    {
        assert_true(slice_equal(decoded[i].name, columns[i].name));
        assert_int_equal(decoded[i].type_oid, columns[i].type_oid);
        assert_true(slice_equal(decoded[i].type_name, columns[i].type_name));
        assert_int_equal(decoded[i].is_null, columns[i].is_null);
        assert_true(slice_equal(decoded[i].data, columns[i].data));
    }
}

static void
a_value_without_columns_is_a_value(void **state)
{
    Fixture *fixture = *state;
    ValueColumn *decoded;
    uint32_t count = 9;

    value_encode(&fixture->buffer, NULL, 0);
    assert_true(fixture->buffer.length > 0);
    assert_true(value_decode(buffer_slice(&fixture->buffer), &fixture->arena, &decoded, &count));
    assert_int_equal(count, 0);
    assert_false(value_decode(SLICE_EMPTY, &fixture->arena, &decoded, &count));
}

static void
hostile_bytes_are_refused(void **state)
{
    Fixture *fixture = *state;
    ValueColumn columns[] = {column("a", 23, NULL, "1234"), column("b", 0, "s.t", "x"),
                             column("c", 4294967295u, NULL, NULL), column("d", 25, NULL, "")};

    for (uint32_t count = 0; count <= 4; count++)
    {
        buffer_reset(&fixture->buffer);
        value_encode(&fixture->buffer, columns, count);
        assert_hostile_bytes_are_refused(buffer_slice(&fixture->buffer), round_trip_value);
    }
}

static void
a_column_without_name_or_type_is_refused(void **state)
{
    Fixture *fixture = *state;
    ValueColumn bad[] = {column("", 23, NULL, "1"), column("a", 0, "", "1")};
    ValueColumn *decoded;
    uint32_t count;

    for (size_t i = 0; i < 2; i++)
    {
        buffer_reset(&fixture->buffer);
        value_encode(&fixture->buffer, &bad[i], 1);
        assert_false(
            value_decode(buffer_slice(&fixture->buffer), &fixture->arena, &decoded, &count));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(columns_come_back_with_names_types_and_nulls),
        TEST(a_value_without_columns_is_a_value),
        TEST(hostile_bytes_are_refused),
        TEST(a_column_without_name_or_type_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
