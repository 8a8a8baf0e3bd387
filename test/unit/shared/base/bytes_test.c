/* Slices, buffers and the reader: each number comes back, each has one form, and a failed reader
 * stays failed. */
#include "shared/base/bytes.h"

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

static Reader
reader_of(const void *data, size_t length)
{
    return reader_begin(slice_make(data, length));
}

static void
integers_are_big_endian(void **state)
{
    static const uint8_t expected[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    Buffer *buffer = &((Fixture *)*state)->buffer;

    buffer_put_u8(buffer, 0x01);
    buffer_put_u16(buffer, 0x0203);
    buffer_put_u32(buffer, 0x04050607);
    buffer_put_u64(buffer, 0x08090A0B0C0D0E0F);
    assert_int_equal(buffer->length, sizeof(expected));
    assert_memory_equal(buffer->data, expected, sizeof(expected));
}

static void
integers_come_back(void **state)
{
    Buffer *buffer = &((Fixture *)*state)->buffer;

    buffer_put_u8(buffer, 0xFE);
    buffer_put_u16(buffer, 0xFEDC);
    buffer_put_u32(buffer, 0xFEDCBA98);
    buffer_put_u64(buffer, 0xFEDCBA9876543210);

    Reader reader = reader_begin(buffer_slice(buffer));

    assert_int_equal(reader_u8(&reader), 0xFE);
    assert_int_equal(reader_u16(&reader), 0xFEDC);
    assert_int_equal(reader_u32(&reader), 0xFEDCBA98);
    assert_true(reader_u64(&reader) == 0xFEDCBA9876543210);
    assert_true(reader_finish(&reader));
}

static void
varints_come_back_at_every_length(void **state)
{
    Buffer *buffer = &((Fixture *)*state)->buffer;

    for (unsigned bits = 0; bits <= 64; bits++)
    {
        uint64_t high = bits == 0 ? 0 : UINT64_MAX >> (64 - bits);

        for (uint64_t value = high > 0 ? high - 1 : 0; value != high + 1; value++)
        {
            buffer_reset(buffer);
            buffer_put_varint(buffer, value);

            Reader reader = reader_begin(buffer_slice(buffer));

            assert_true(reader_varint(&reader) == value);
            assert_true(reader_finish(&reader));
        }
    }
    assert_int_equal(buffer->length, 10);
}

static void
a_varint_in_more_bytes_than_it_needs_is_refused(void **state)
{
    static const uint8_t padded_zero[] = {0x80, 0x00};
    static const uint8_t padded_one[] = {0x81, 0x80, 0x00};
    Reader reader = reader_of(padded_zero, sizeof(padded_zero));

    assert_int_equal(reader_varint(&reader), 0);
    assert_true(reader.failed);
    reader = reader_of(padded_one, sizeof(padded_one));
    assert_int_equal(reader_varint(&reader), 0);
    assert_true(reader.failed);
}

static void
a_varint_over_64_bits_is_refused(void **state)
{
    static const uint8_t bits_65[] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 2};
    static const uint8_t endless[] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1};
    Reader reader = reader_of(bits_65, sizeof(bits_65));

    assert_int_equal(reader_varint(&reader), 0);
    assert_true(reader.failed);
    reader = reader_of(endless, sizeof(endless));
    assert_int_equal(reader_varint(&reader), 0);
    assert_true(reader.failed);
}

static void
a_varint_cut_short_is_refused(void **state)
{
    static const uint8_t cut[] = {0x81};
    Reader reader = reader_of(cut, sizeof(cut));

    assert_int_equal(reader_varint(&reader), 0);
    assert_true(reader.failed);
}

static void
a_failed_reader_gives_zero_for_ever(void **state)
{
    static const uint8_t bytes[] = {1, 2, 3, 4, 5};
    uint8_t target[2] = {9, 9};
    Reader reader = reader_of(bytes, sizeof(bytes));

    assert_int_equal(reader_u64(&reader), 0);
    assert_int_equal(reader_u8(&reader), 0);
    assert_int_equal(reader_slice(&reader).length, 0);
    assert_int_equal(reader_count(&reader, 1), 0);
    reader_copy(&reader, target, sizeof(target));
    assert_int_equal(target[0], 0);
    assert_int_equal(target[1], 0);
    assert_false(reader_finish(&reader));
}

static void
bytes_left_over_are_not_a_finished_read(void **state)
{
    static const uint8_t bytes[] = {1, 2};
    Reader reader = reader_of(bytes, sizeof(bytes));

    reader_u8(&reader);
    assert_int_equal(reader_left(&reader), 1);
    assert_false(reader_finish(&reader));
    reader_u8(&reader);
    assert_true(reader_finish(&reader));
}

static void
a_slice_longer_than_the_input_is_refused(void **state)
{
    static const uint8_t bytes[] = {4, 'a', 'b', 'c'};
    Reader reader = reader_of(bytes, sizeof(bytes));

    assert_int_equal(reader_slice(&reader).length, 0);
    assert_true(reader.failed);
}

static void
a_slice_of_almost_all_memory_is_refused(void **state)
{
    Buffer *buffer = &((Fixture *)*state)->buffer;

    buffer_put_varint(buffer, UINT64_MAX);
    buffer_put_u8(buffer, 1);

    Reader reader = reader_begin(buffer_slice(buffer));

    assert_int_equal(reader_slice(&reader).length, 0);
    assert_true(reader.failed);
}

static void
a_count_that_the_input_cannot_hold_is_refused(void **state)
{
    static const uint8_t bytes[] = {3, 0, 0, 0, 0, 0};
    Reader reader = reader_of(bytes, sizeof(bytes));

    assert_int_equal(reader_count(&reader, 1), 3);
    reader = reader_of(bytes, sizeof(bytes));
    assert_int_equal(reader_count(&reader, 2), 0);
    assert_true(reader.failed);
}

static void
a_string_with_a_nul_byte_is_refused(void **state)
{
    Fixture *fixture = *state;

    buffer_put_string(&fixture->buffer, "fine");
    buffer_put_slice(&fixture->buffer, slice_make("a\0b", 3));

    Reader reader = reader_begin(buffer_slice(&fixture->buffer));

    assert_string_equal(reader_string(&reader, &fixture->arena), "fine");
    assert_false(reader.failed);
    assert_string_equal(reader_string(&reader, &fixture->arena), "");
    assert_true(reader.failed);
}

static void
an_empty_slice_without_an_address_reads_as_nothing(void **state)
{
    Fixture *fixture = *state;
    Reader reader = reader_begin(SLICE_EMPTY);

    assert_true(reader_finish(&reader));
    assert_int_equal(reader_take(&reader, 0).length, 0);
    assert_true(reader_finish(&reader));
    assert_int_equal(reader_u8(&reader), 0);
    assert_false(reader_finish(&reader));
    assert_true(slice_equal(SLICE_EMPTY, slice_copy(&fixture->arena, SLICE_EMPTY)));
}

static void
slices_compare_as_memcmp_with_prefixes_first(void **state)
{
    assert_true(slice_compare(slice_make("ab", 2), slice_make("b", 1)) < 0);
    assert_true(slice_compare(slice_make("ab", 2), slice_make("a", 1)) > 0);
    assert_true(slice_compare(slice_make("\xff", 1), slice_make("\x01", 1)) > 0);
    assert_int_equal(slice_compare(slice_make("a", 1), slice_make("a", 1)), 0);
    assert_true(slice_compare(SLICE_EMPTY, slice_make("", 1)) < 0);
    assert_int_equal(slice_compare(SLICE_EMPTY, slice_make("", 0)), 0);
    assert_false(slice_equal(slice_make("a", 1), slice_make("b", 1)));
}

static void
a_buffer_grows_and_gives_up_its_first_bytes(void **state)
{
    Buffer *buffer = &((Fixture *)*state)->buffer;

    for (uint32_t i = 0; i < 10000; i++)
        buffer_put_u32(buffer, i);
    assert_int_equal(buffer->length, 40000);
    buffer_consume(buffer, 4 * 9999);

    Reader reader = reader_begin(buffer_slice(buffer));

    assert_int_equal(reader_u32(&reader), 9999);
    assert_true(reader_finish(&reader));
    buffer_consume(buffer, 4);
    assert_int_equal(buffer->length, 0);
}

static void
a_length_can_be_set_afterwards(void **state)
{
    Buffer *buffer = &((Fixture *)*state)->buffer;

    buffer_put_u8(buffer, 7);
    buffer_put_u32(buffer, 0);
    buffer_put_u8(buffer, 8);
    buffer_set_u32(buffer, 1, 0x01020304);
    assert_memory_equal(buffer->data, "\x07\x01\x02\x03\x04\x08", 6);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(integers_are_big_endian),
        TEST(integers_come_back),
        TEST(varints_come_back_at_every_length),
        TEST(a_varint_in_more_bytes_than_it_needs_is_refused),
        TEST(a_varint_over_64_bits_is_refused),
        TEST(a_varint_cut_short_is_refused),
        TEST(a_failed_reader_gives_zero_for_ever),
        TEST(bytes_left_over_are_not_a_finished_read),
        TEST(a_slice_longer_than_the_input_is_refused),
        TEST(a_slice_of_almost_all_memory_is_refused),
        TEST(a_count_that_the_input_cannot_hold_is_refused),
        TEST(a_string_with_a_nul_byte_is_refused),
        TEST(an_empty_slice_without_an_address_reads_as_nothing),
        TEST(slices_compare_as_memcmp_with_prefixes_first),
        TEST(a_buffer_grows_and_gives_up_its_first_bytes),
        TEST(a_length_can_be_set_afterwards),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
