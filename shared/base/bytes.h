/*
 * bytes: Slice (borrowed bytes), Buffer (growing bytes), Reader (checked decoding).
 *
 * Integers are big-endian. A varint is LEB128, at most 10 bytes. A "slice" on the wire is a varint
 * length and the bytes. A Reader is sticky: after the first failure every read gives zero or empty,
 * and the decoder checks reader_finish() once.
 */
#ifndef SHARED_BASE_BYTES_H
#define SHARED_BASE_BYTES_H

#include "shared/base/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Slice
{
    const uint8_t *data; /* borrowed; may be NULL when length is 0 */
    size_t length;
} Slice;

#define SLICE_EMPTY ((Slice){NULL, 0})

static inline Slice
slice_make(const void *data, size_t length)
{
    return (Slice){(const uint8_t *)data, length};
}

Slice slice_from_string(const char *text);
bool slice_equal(Slice a, Slice b);

/* As memcmp, the shorter one first when it is a prefix. */
int slice_compare(Slice a, Slice b);
Slice slice_copy(Arena *arena, Slice slice);

typedef struct Buffer
{
    const Memory *memory; /* borrowed */
    uint8_t *data;
    size_t length;
    size_t capacity;
} Buffer;

void buffer_init(Buffer *buffer, const Memory *memory);
void buffer_free(Buffer *buffer);

/* Empties the buffer and keeps its capacity. */
void buffer_reset(Buffer *buffer);

/* Empties the buffer, and gives its memory back when that is more than keep bytes. */
void buffer_trim(Buffer *buffer, size_t keep);

/* Makes room for count more bytes and returns where they go; length is not changed. */
uint8_t *buffer_reserve(Buffer *buffer, size_t count);

/* buffer_put, but false, and nothing changed, when there is no memory for it. */
bool buffer_try_put(Buffer *buffer, const void *data, size_t length);

/* Drops the first count bytes. */
void buffer_consume(Buffer *buffer, size_t count);

void buffer_put(Buffer *buffer, const void *data, size_t length);
void buffer_put_u8(Buffer *buffer, uint8_t value);
void buffer_put_u16(Buffer *buffer, uint16_t value);
void buffer_put_u32(Buffer *buffer, uint32_t value);
void buffer_put_u64(Buffer *buffer, uint64_t value);
void buffer_put_varint(Buffer *buffer, uint64_t value);
void buffer_put_slice(Buffer *buffer, Slice slice);
void buffer_put_string(Buffer *buffer, const char *text);

/* Overwrites four bytes at offset, for a length known only afterwards. */
void buffer_set_u32(Buffer *buffer, size_t offset, uint32_t value);

static inline Slice
buffer_slice(const Buffer *buffer)
{
    return (Slice){buffer->data, buffer->length};
}

typedef struct Reader
{
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
} Reader;

Reader reader_begin(Slice slice);
uint8_t reader_u8(Reader *reader);
uint16_t reader_u16(Reader *reader);
uint32_t reader_u32(Reader *reader);
uint64_t reader_u64(Reader *reader);
uint64_t reader_varint(Reader *reader);

/* A varint that fits 32 bits; a byte that is 0 or 1. Others fail. */
uint32_t reader_varint32(Reader *reader);
bool reader_bool(Reader *reader);

/* A varint length and its bytes, borrowed from the input. */
Slice reader_slice(Reader *reader);

/* Exactly length bytes, borrowed from the input. */
Slice reader_take(Reader *reader, size_t length);

/* Copies exactly length bytes; clears the target on failure. */
void reader_copy(Reader *reader, void *target, size_t length);

/*
 * A varint element count, refused when the rest of the input cannot hold that many elements of at
 * least minimum_bytes each: no count makes a decoder allocate more than a multiple of its input.
 */
uint32_t reader_count(Reader *reader, size_t minimum_bytes);

/* A slice as a NUL-terminated string in the arena; a NUL byte inside fails. */
char *reader_string(Reader *reader, Arena *arena);

void reader_fail(Reader *reader);
size_t reader_left(const Reader *reader);

/* True when nothing failed and every byte was read. */
bool reader_finish(const Reader *reader);

#endif
