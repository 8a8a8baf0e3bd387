/* Slices, buffers and the checked reader. Every decoder and encoder of the project goes through
 * these few functions, so that the form of a number or a length is decided in one place. */
#include "shared/base/bytes.h"

#include <string.h>

Slice
slice_from_string(const char *text)
{
    return slice_make(text, strlen(text));
}

bool
slice_equal(Slice a, Slice b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

int
slice_compare(Slice a, Slice b)
{
    size_t shorter = a.length < b.length ? a.length : b.length;
    int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);

    if (order != 0)
        return order;
    return (a.length > b.length) - (a.length < b.length);
}

Slice
slice_copy(Arena *arena, Slice slice)
{
    return slice_make(arena_copy(arena, slice.data, slice.length), slice.length);
}

void
buffer_init(Buffer *buffer, const Memory *memory)
{
    *buffer = (Buffer){.memory = memory};
}

void
buffer_free(Buffer *buffer)
{
    if (buffer->data != NULL)
        memory_resize(buffer->memory, buffer->data, 0);
    buffer_init(buffer, buffer->memory);
}

void
buffer_reset(Buffer *buffer)
{
    buffer->length = 0;
}

void
buffer_trim(Buffer *buffer, size_t keep)
{
    if (buffer->capacity > keep)
        buffer_free(buffer);
    else
        buffer_reset(buffer);
}

/* The capacity to have when count more bytes do not fit. */
static size_t
grown_capacity(const Buffer *buffer, size_t count)
{
    size_t wanted = buffer->capacity < 256 ? 256 : buffer->capacity;

    /* Doubling, so that n bytes that are put one by one cost n steps and not their square. */
    while (wanted - buffer->length < count)
        wanted *= 2;
    return wanted;
}

uint8_t *
buffer_reserve(Buffer *buffer, size_t count)
{
    if (buffer->capacity - buffer->length < count)
    {
        size_t wanted = grown_capacity(buffer, count);

        buffer->data = memory_resize(buffer->memory, buffer->data, wanted);
        buffer->capacity = wanted;
    }
    return buffer->data + buffer->length;
}

bool
buffer_try_put(Buffer *buffer, const void *data, size_t length)
{
    if (buffer->capacity - buffer->length < length)
    {
        size_t wanted = grown_capacity(buffer, length);
        uint8_t *grown = memory_try_resize(buffer->memory, buffer->data, wanted);

        if (grown == NULL)
            return false;
        buffer->data = grown;
        buffer->capacity = wanted;
    }
    buffer_put(buffer, data, length);
    return true;
}

/* The rest is moved to the front: whoever consumes does so in large steps (see link.c), or the
 * moving would cost more than the bytes. */
void
buffer_consume(Buffer *buffer, size_t count)
{
    buffer->length -= count;
    if (buffer->length > 0)
        memmove(buffer->data, buffer->data + count, buffer->length);
}

void
buffer_put(Buffer *buffer, const void *data, size_t length)
{
    if (length == 0)
        return;
    memcpy(buffer_reserve(buffer, length), data, length);
    buffer->length += length;
}

static void
put_big_endian(Buffer *buffer, uint64_t value, unsigned bytes)
{
    uint8_t *target = buffer_reserve(buffer, bytes);

    for (unsigned i = 0; i < bytes; i++)
        target[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
    buffer->length += bytes;
}

void
buffer_put_u8(Buffer *buffer, uint8_t value)
{
    *buffer_reserve(buffer, 1) = value;
    buffer->length++;
}

void
buffer_put_u16(Buffer *buffer, uint16_t value)
{
    put_big_endian(buffer, value, 2);
}

void
buffer_put_u32(Buffer *buffer, uint32_t value)
{
    put_big_endian(buffer, value, 4);
}

void
buffer_put_u64(Buffer *buffer, uint64_t value)
{
    put_big_endian(buffer, value, 8);
}

void
buffer_put_varint(Buffer *buffer, uint64_t value)
{
    uint8_t *target = buffer_reserve(buffer, 10);
    size_t length = 0;

    while (value >= 0x80)
    {
        target[length++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    target[length++] = (uint8_t)value;
    buffer->length += length;
}

void
buffer_put_slice(Buffer *buffer, Slice slice)
{
    buffer_put_varint(buffer, slice.length);
    buffer_put(buffer, slice.data, slice.length);
}

void
buffer_put_string(Buffer *buffer, const char *text)
{
    buffer_put_slice(buffer, slice_from_string(text));
}

void
buffer_set_u32(Buffer *buffer, size_t offset, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        buffer->data[offset + i] = (uint8_t)(value >> (8 * (3 - i)));
}

Reader
reader_begin(Slice slice)
{
    const uint8_t *end = slice.length > 0 ? slice.data + slice.length : slice.data;

    return (Reader){.at = slice.data, .end = end};
}

/* The reader stands at its end from now on, so that every later read finds nothing and a loop over
 * elements comes to its end. */
void
reader_fail(Reader *reader)
{
    reader->failed = true;
    reader->at = reader->end;
}

size_t
reader_left(const Reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

bool
reader_finish(const Reader *reader)
{
    return !reader->failed && reader->at == reader->end;
}

/* All other reads go through here, but for single bytes: this is where the input's end is looked
 * at. A slice of no bytes may have NULL for its data, to which nothing may be added. */
Slice
reader_take(Reader *reader, size_t length)
{
    if (reader_left(reader) < length)
    {
        reader_fail(reader);
        return SLICE_EMPTY;
    }

    Slice taken = slice_make(reader->at, length);

    if (length > 0)
        reader->at += length;
    return taken;
}

static inline uint64_t
take_big_endian(Reader *reader, unsigned bytes)
{
    Slice taken = reader_take(reader, bytes);
    uint64_t value = 0;

    for (size_t i = 0; i < taken.length; i++)
        value = value << 8 | taken.data[i];
    return value;
}

uint8_t
reader_u8(Reader *reader)
{
    if (reader->at == reader->end)
    {
        reader_fail(reader);
        return 0;
    }
    return *reader->at++;
}

uint16_t
reader_u16(Reader *reader)
{
    return (uint16_t)take_big_endian(reader, 2);
}

uint32_t
reader_u32(Reader *reader)
{
    return (uint32_t)take_big_endian(reader, 4);
}

uint64_t
reader_u64(Reader *reader)
{
    return take_big_endian(reader, 8);
}

/* Only the shortest form is taken, so that equal values have equal bytes. */
uint64_t
reader_varint(Reader *reader)
{
    uint64_t value = 0;

    /* Nearly all are small: rows are read as fast as this is. */
    if (reader->at != reader->end && *reader->at < 0x80)
        return *reader->at++;
    for (unsigned shift = 0; shift < 64; shift += 7)
    {
        uint8_t byte = reader_u8(reader);

        if ((shift == 63 && byte > 1) || (shift > 0 && byte == 0))
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return reader->failed ? 0 : value;
    }
    reader_fail(reader);
    return 0;
}

uint32_t
reader_varint32(Reader *reader)
{
    uint64_t value = reader_varint(reader);

    if (value > UINT32_MAX)
        reader_fail(reader);
    return (uint32_t)value;
}

bool
reader_bool(Reader *reader)
{
    uint8_t value = reader_u8(reader);

    if (value > 1)
        reader_fail(reader);
    return value == 1;
}

Slice
reader_slice(Reader *reader)
{
    uint64_t length = reader_varint(reader);

    if (length > reader_left(reader))
    {
        reader_fail(reader);
        return SLICE_EMPTY;
    }
    return reader_take(reader, (size_t)length);
}

void
reader_copy(Reader *reader, void *target, size_t length)
{
    Slice taken = reader_take(reader, length);

    if (taken.length == length && length > 0)
        memcpy(target, taken.data, length);
    else
        memset(target, 0, length);
}

uint32_t
reader_count(Reader *reader, size_t minimum_bytes)
{
    uint64_t count = reader_varint(reader);

    /* The product cannot overflow: count has 32 bits by then, and no element is that large. */
    if (count > UINT32_MAX || count * minimum_bytes > reader_left(reader))
    {
        reader_fail(reader);
        return 0;
    }
    return (uint32_t)count;
}

char *
reader_string(Reader *reader, Arena *arena)
{
    Slice taken = reader_slice(reader);

    if (taken.length > 0 && memchr(taken.data, '\0', taken.length) != NULL)
    {
        reader_fail(reader);
        taken = SLICE_EMPTY;
    }
    return arena_copy_string(arena, (const char *)taken.data, taken.length);
}
