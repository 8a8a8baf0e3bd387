/* The columns of a row as a sibling's value. Columns stand in the order of the writer's table and
 * are found by name, so a table that has gained or lost a column reads the rows of before. */
#include "shared/data/value.h"

enum
{
    VALUE_FORMAT = 1,
    COLUMN_MINIMUM_BYTES = 3
};

/* A column's data is written as its length + 1 and the bytes, NULL as 0. */
static void
encode_column(Buffer *buffer, const ValueColumn *column)
{
    buffer_put_slice(buffer, column->name);
    buffer_put_varint(buffer, column->type_oid);
    if (column->type_oid == 0)
        buffer_put_slice(buffer, column->type_name);
    buffer_put_varint(buffer, column->is_null ? 0 : (uint64_t)column->data.length + 1);
    if (!column->is_null)
        buffer_put(buffer, column->data.data, column->data.length);
}

void
value_encode(Buffer *buffer, const ValueColumn *columns, uint32_t count)
{
    buffer_put_u8(buffer, VALUE_FORMAT);
    buffer_put_varint(buffer, count);
    for (uint32_t i = 0; i < count; i++)
        encode_column(buffer, &columns[i]);
}

static void
decode_column(Reader *reader, ValueColumn *column)
{
    *column = (ValueColumn){.name = reader_slice(reader)};

    uint64_t oid = reader_varint(reader);

    column->type_oid = (uint32_t)oid;
    if (oid == 0)
        column->type_name = reader_slice(reader);

    uint64_t length = reader_varint(reader);

    column->is_null = length == 0;
    if (length > 0)
        column->data = reader_take(reader, (size_t)(length - 1));
    /* A built-in type has a number and no name, any other a name and no number: each column has one
     * form alone (S1). */
    if (oid > UINT32_MAX || column->name.length == 0 || (oid == 0 && column->type_name.length == 0))
        reader_fail(reader);
}

bool
value_decode(Slice bytes, Arena *arena, ValueColumn **columns, uint32_t *count)
{
    Reader reader = reader_begin(bytes);

    if (reader_u8(&reader) != VALUE_FORMAT)
        reader_fail(&reader);
    *count = reader_count(&reader, COLUMN_MINIMUM_BYTES);
    *columns = ARENA_ARRAY(arena, ValueColumn, *count);
    for (uint32_t i = 0; i < *count && !reader.failed; i++)
        decode_column(&reader, &(*columns)[i]);
    return reader_finish(&reader);
}
