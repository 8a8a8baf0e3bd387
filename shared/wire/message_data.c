/* Codecs of the frames that carry keys and objects: reads, writes, scans, replicates. They are the
 * hot path of client and node, so encoders write where they may and decoders borrow what they can.
 */
#include "shared/wire/message.h"

#include <stdlib.h>
#include <string.h>

enum
{
    KEY_MINIMUM_BYTES = 1,
    READ_ITEM_MINIMUM_BYTES = 2,
    WRITE_ITEM_MINIMUM_BYTES = 3,
    WRITE_RESULT_MINIMUM_BYTES = 3,
    PUT_VALUE_MINIMUM_BYTES = sizeof(RequestId) + 2,
    REPLICATE_ITEM_MINIMUM_BYTES = 17,
    REPLICATE_RESULT_BYTES = 9,
    SCAN_ROW_MINIMUM_BYTES = 3
};

void
read_encode(Buffer *buffer, uint32_t tag, const ReadFrame *read)
{
    frame_encode_header(buffer, FRAME_READ, tag);
    buffer_put_varint(buffer, read->epoch);
    buffer_put_u32(buffer, read->bucket_id);
    buffer_put_u8(buffer, (uint8_t)read->mode);
    buffer_put_varint(buffer, read->r);
    buffer_put_varint(buffer, read->pr);
    buffer_put_varint(buffer, read->timeout_ms);
    buffer_put_u8(buffer, read->seal);
    buffer_put_u8(buffer, read->repair_later);
    buffer_put_u8(buffer, read->whole);
    buffer_put_varint(buffer, read->key_count);
    for (uint32_t i = 0; i < read->key_count; i++)
        buffer_put_slice(buffer, read->keys[i]);
}

static ReadMode
reader_mode(Reader *reader)
{
    uint8_t mode = reader_u8(reader);

    if (mode < READ_FULL || mode > READ_COORDINATED)
        reader_fail(reader);
    return (ReadMode)mode;
}

/* The keys are checked by their buckets' shapes later, where the bucket is known. */
bool
read_decode(const Frame *frame, Arena *arena, ReadFrame *read)
{
    Reader reader = reader_begin(frame->body);

    read->epoch = reader_varint(&reader);
    read->bucket_id = reader_u32(&reader);
    read->mode = reader_mode(&reader);
    read->r = reader_varint32(&reader);
    read->pr = reader_varint32(&reader);
    read->timeout_ms = reader_varint32(&reader);
    read->seal = reader_bool(&reader);
    read->repair_later = reader_bool(&reader);
    read->whole = reader_bool(&reader);
    read->key_count = reader_count(&reader, KEY_MINIMUM_BYTES);
    read->keys = ARENA_ARRAY(arena, Slice, read->key_count);
    for (uint32_t i = 0; i < read->key_count; i++)
        read->keys[i] = reader_slice(&reader);
    return reader_finish(&reader);
}

/* Asked for each frame that waits in a node's queue, so the frame is not decoded for it. */
uint32_t
frame_timeout_ms(const Frame *frame)
{
    Reader reader = reader_begin(frame->body);
    uint32_t timeout_ms;

    (void)reader_varint(&reader);
    (void)reader_u32(&reader);
    /* Before it stand mode, r and pr of a read; w, pw and confirms of a write. */
    if (frame->type == FRAME_READ)
        (void)reader_mode(&reader);
    else if (frame->type == FRAME_WRITE)
        (void)reader_varint32(&reader);
    else
        return 0;
    (void)reader_varint32(&reader);
    (void)reader_varint32(&reader);
    timeout_ms = reader_varint32(&reader);
    return reader.failed ? 0 : timeout_ms;
}

void
read_reply_encode(Buffer *buffer, uint32_t tag, const ReadReply *reply)
{
    frame_encode_header(buffer, FRAME_READ_REPLY, tag);
    buffer_put_u8(buffer, (uint8_t)reply->mode);
    buffer_put_varint(buffer, reply->clock_ms);
    buffer_put_varint(buffer, reply->item_count);
    for (uint32_t i = 0; i < reply->item_count; i++)
    {
        const ReadItem *item = &reply->items[i];

        buffer_put_u8(buffer, (uint8_t)item->status);
        if (item->status != STATUS_OK)
            buffer_put_u8(buffer, 0);
        else if (reply->mode == READ_DIGEST)
            buffer_put(buffer, item->digest.bytes, sizeof(Digest));
        else
        {
            buffer_put_slice(buffer, item->object);
            buffer_put_slice(buffer, item->context);
            if (reply->mode == READ_COORDINATED)
                buffer_put_varint(buffer, item->held);
            else
            {
                buffer_put_varint(buffer, item->round);
                buffer_put_varint(buffer, item->floor);
            }
        }
    }
}

/* An item that failed has a zero byte for what it lacks: so no item has less than two bytes, and
 * reader_count() can bound their number. */
static void
decode_read_item(Reader *reader, ReadMode mode, ReadItem *item)
{
    *item = (ReadItem){.status = status_from_byte(reader_u8(reader))};
    if (item->status != STATUS_OK)
    {
        if (reader_u8(reader) != 0)
            reader_fail(reader);
    }
    else if (mode == READ_DIGEST)
        reader_copy(reader, item->digest.bytes, sizeof(Digest));
    else
    {
        item->object = reader_slice(reader);
        item->context = reader_slice(reader);
        if (mode == READ_COORDINATED)
            item->held = reader_varint32(reader);
        else
        {
            item->round = reader_varint(reader);
            item->floor = reader_varint(reader);
        }
        item->digest = object_digest(item->object);
    }
}

bool
read_reply_decode(const Frame *frame, Arena *arena, ReadReply *reply)
{
    Reader reader = reader_begin(frame->body);

    reply->mode = reader_mode(&reader);
    reply->clock_ms = reader_varint(&reader);
    reply->item_count = reader_count(&reader, READ_ITEM_MINIMUM_BYTES);
    reply->items = ARENA_ARRAY(arena, ReadItem, reply->item_count);
    for (uint32_t i = 0; i < reply->item_count; i++)
        decode_read_item(&reader, reply->mode, &reply->items[i]);
    return reader_finish(&reader);
}

/* By these bytes a client fills its frames and a node bounds what it takes on. */
size_t
write_item_bytes(const WriteItem *item)
{
    size_t bytes = item->key.length + item->context.length;

    for (uint32_t i = 0; i < item->value_count; i++)
        bytes += item->values[i].value.length;
    return bytes;
}

void
write_encode(Buffer *buffer, uint32_t tag, const WriteFrame *write)
{
    frame_encode_header(buffer, FRAME_WRITE, tag);
    buffer_put_varint(buffer, write->epoch);
    buffer_put_u32(buffer, write->bucket_id);
    buffer_put_varint(buffer, write->w);
    buffer_put_varint(buffer, write->pw);
    buffer_put_varint(buffer, write->confirms);
    buffer_put_varint(buffer, write->timeout_ms);
    buffer_put_u8(buffer, write->retry);
    buffer_put_varint(buffer, write->clock_ms);
    buffer_put_varint(buffer, write->alone_ms);
    buffer_put_varint(buffer, write->age_ms);
    buffer_put_varint(buffer, write->item_count);
    for (uint32_t i = 0; i < write->item_count; i++)
    {
        const WriteItem *item = &write->items[i];

        buffer_put_slice(buffer, item->key);
        buffer_put_slice(buffer, item->context);
        buffer_put_varint(buffer, item->value_count);
        for (uint32_t v = 0; v < item->value_count; v++)
        {
            buffer_put(buffer, item->values[v].request.bytes, sizeof(RequestId));
            buffer_put_u8(buffer, item->values[v].tombstone);
            buffer_put_slice(buffer, item->values[v].value);
        }
    }
}

/* Sorted, since a client chooses how many values a write has. */
static bool
requests_are_distinct(const WriteItem *item, Arena *arena)
{
    RequestId *requests = ARENA_ARRAY(arena, RequestId, item->value_count);

    for (uint32_t i = 0; i < item->value_count; i++)
        requests[i] = item->values[i].request;
    qsort(requests, item->value_count, sizeof(RequestId), request_id_compare);
    for (uint32_t i = 1; i < item->value_count; i++)
    {
        if (request_id_compare(&requests[i - 1], &requests[i]) == 0)
            return false;
    }
    return true;
}

static void
decode_write_item(Reader *reader, Arena *arena, WriteItem *item)
{
    item->key = reader_slice(reader);
    item->context = reader_slice(reader);
    item->value_count = reader_count(reader, PUT_VALUE_MINIMUM_BYTES);
    item->values = ARENA_ARRAY(arena, PutValue, item->value_count);
    if (item->value_count == 0)
        reader_fail(reader);
    for (uint32_t i = 0; i < item->value_count && !reader->failed; i++)
    {
        PutValue *value = &item->values[i];

        reader_copy(reader, value->request.bytes, sizeof(RequestId));
        value->tombstone = reader_bool(reader);
        value->value = reader_slice(reader);
        if (value->tombstone && value->value.length > 0)
            reader_fail(reader);
    }
    if (!reader->failed && item->value_count > 1 && !requests_are_distinct(item, arena))
        reader_fail(reader);
}

bool
write_decode(const Frame *frame, Arena *arena, WriteFrame *write)
{
    Reader reader = reader_begin(frame->body);

    write->epoch = reader_varint(&reader);
    write->bucket_id = reader_u32(&reader);
    write->w = reader_varint32(&reader);
    write->pw = reader_varint32(&reader);
    write->confirms = reader_varint32(&reader);
    write->timeout_ms = reader_varint32(&reader);
    write->retry = reader_bool(&reader);
    write->clock_ms = reader_varint(&reader);
    write->alone_ms = reader_varint32(&reader);
    write->age_ms = reader_varint32(&reader);
    write->item_count = reader_count(&reader, WRITE_ITEM_MINIMUM_BYTES);
    write->items = ARENA_ARRAY(arena, WriteItem, write->item_count);
    for (uint32_t i = 0; i < write->item_count && !reader.failed; i++)
        decode_write_item(&reader, arena, &write->items[i]);
    return reader_finish(&reader);
}

void
write_reply_encode(Buffer *buffer, uint32_t tag, const WriteReply *reply)
{
    frame_encode_header(buffer, FRAME_WRITE_REPLY, tag);
    buffer_put_varint(buffer, reply->clock_ms);
    buffer_put_varint(buffer, reply->item_count);
    for (uint32_t i = 0; i < reply->item_count; i++)
    {
        buffer_put_u8(buffer, (uint8_t)reply->items[i].status);
        buffer_put_varint(buffer, reply->items[i].acked);
        buffer_put_varint(buffer, reply->items[i].siblings);
    }
}

bool
write_reply_decode(const Frame *frame, Arena *arena, WriteReply *reply)
{
    Reader reader = reader_begin(frame->body);

    reply->clock_ms = reader_varint(&reader);
    reply->item_count = reader_count(&reader, WRITE_RESULT_MINIMUM_BYTES);
    reply->items = ARENA_ARRAY(arena, WriteResult, reply->item_count);
    for (uint32_t i = 0; i < reply->item_count; i++)
    {
        reply->items[i].status = status_from_byte(reader_u8(&reader));
        reply->items[i].acked = reader_varint32(&reader);
        reply->items[i].siblings = reader_varint32(&reader);
    }
    return reader_finish(&reader);
}

void
scan_encode(Buffer *buffer, uint32_t tag, const ScanFrame *scan)
{
    frame_encode_header(buffer, FRAME_SCAN, tag);
    buffer_put_varint(buffer, scan->epoch);
    buffer_put_u32(buffer, scan->bucket_id);
    buffer_put_varint(buffer, scan->partition);
    buffer_put_u8(buffer, scan->digest_only);
    buffer_put_u8(buffer, scan->seal);
    buffer_put_u8(buffer, scan->whole);
    buffer_put_slice(buffer, scan->after);
    buffer_put_slice(buffer, scan->through);
    buffer_put_varint(buffer, scan->max_bytes);
}

bool
scan_decode(const Frame *frame, ScanFrame *scan)
{
    Reader reader = reader_begin(frame->body);

    scan->epoch = reader_varint(&reader);
    scan->bucket_id = reader_u32(&reader);
    scan->partition = reader_varint32(&reader);
    scan->digest_only = reader_bool(&reader);
    scan->seal = reader_bool(&reader);
    scan->whole = reader_bool(&reader);
    scan->after = reader_slice(&reader);
    scan->through = reader_slice(&reader);
    scan->max_bytes = reader_varint32(&reader);
    return reader_finish(&reader);
}

void
scan_reply_encode(Buffer *buffer, uint32_t tag, const ScanReply *reply)
{
    frame_encode_header(buffer, FRAME_SCAN_REPLY, tag);
    buffer_put_u8(buffer, (uint8_t)reply->status);
    buffer_put_u8(buffer, reply->done);
    buffer_put_slice(buffer, reply->last);
    buffer_put_varint(buffer, reply->round);
    buffer_put(buffer, reply->digest.bytes, sizeof(Digest));
    buffer_put_varint(buffer, reply->row_count);
    buffer_put_u8(buffer, reply->rows != NULL);
    for (uint32_t i = 0; reply->rows != NULL && i < reply->row_count; i++)
    {
        buffer_put_slice(buffer, reply->rows[i].key);
        buffer_put_slice(buffer, reply->rows[i].object);
        buffer_put_slice(buffer, reply->rows[i].context);
    }
}

/* A digest alone says how many rows it is of, so the count cannot be bounded by the bytes left
 * before it is known that rows follow. */
static void
decode_scan_rows(Reader *reader, Arena *arena, ScanReply *reply)
{
    if (reply->row_count > reader_left(reader) / SCAN_ROW_MINIMUM_BYTES)
    {
        reader_fail(reader);
        return;
    }
    reply->rows = ARENA_ARRAY(arena, ScanRow, reply->row_count);
    for (uint32_t i = 0; i < reply->row_count; i++)
    {
        reply->rows[i].key = reader_slice(reader);
        reply->rows[i].object = reader_slice(reader);
        reply->rows[i].context = reader_slice(reader);
    }
}

bool
scan_reply_decode(const Frame *frame, Arena *arena, ScanReply *reply)
{
    Reader reader = reader_begin(frame->body);

    *reply = (ScanReply){.status = status_from_byte(reader_u8(&reader))};
    reply->done = reader_bool(&reader);
    reply->last = reader_slice(&reader);
    reply->round = reader_varint(&reader);
    reader_copy(&reader, reply->digest.bytes, sizeof(Digest));
    reply->row_count = reader_varint32(&reader);
    if (reader_bool(&reader))
        decode_scan_rows(&reader, arena, reply);
    return reader_finish(&reader);
}

bool
scan_reply_goes_on(const ScanReply *reply, Slice after)
{
    return reply->done || slice_compare(reply->last, after) > 0;
}

Digest
message_row_digest(Slice key, Slice object)
{
    Digest digest = object_digest(object);
    Digest salt = digest_of(key);

    /* The object's digest is hashed with the key's, so that equal objects under two keys do not
     * cancel out. */
    uint8_t both[2 * sizeof(Digest)];

    memcpy(both, salt.bytes, sizeof(Digest));
    memcpy(both + sizeof(Digest), digest.bytes, sizeof(Digest));
    return digest_of(slice_make(both, sizeof(both)));
}

void
replicate_item_encode(Buffer *buffer, const ReplicateItem *item)
{
    buffer_put_u64(buffer, item->ref);
    buffer_put_varint(buffer, item->placed);
    buffer_put_u32(buffer, item->bucket_id);
    buffer_put_u8(buffer, item->is_hinted);
    if (item->is_hinted)
        buffer_put(buffer, &item->hint_for, sizeof(MemberId));
    buffer_put_varint(buffer, item->round);
    buffer_put_slice(buffer, item->key);
    buffer_put_slice(buffer, item->object);
}

static void
replicate_encode_header(Buffer *buffer, uint32_t tag, uint64_t epoch, uint32_t item_count)
{
    frame_encode_header(buffer, FRAME_REPLICATE, tag);
    buffer_put_varint(buffer, epoch);
    buffer_put_varint(buffer, item_count);
}

void
replicate_encode_items(Buffer *buffer, uint32_t tag, uint64_t epoch, uint32_t item_count,
                       Slice items)
{
    replicate_encode_header(buffer, tag, epoch, item_count);
    buffer_put(buffer, items.data, items.length);
}

void
replicate_encode(Buffer *buffer, uint32_t tag, const ReplicateFrame *replicate)
{
    replicate_encode_header(buffer, tag, replicate->epoch, replicate->item_count);
    for (uint32_t i = 0; i < replicate->item_count; i++)
        replicate_item_encode(buffer, &replicate->items[i]);
}

static ReplicateItem
decode_replicate_item(Reader *reader)
{
    ReplicateItem item = {.ref = reader_u64(reader)};

    item.placed = reader_varint(reader);
    item.bucket_id = reader_u32(reader);
    item.is_hinted = reader_bool(reader);
    if (item.is_hinted)
        reader_copy(reader, &item.hint_for, sizeof(MemberId));
    item.round = reader_varint(reader);
    item.key = reader_slice(reader);
    item.object = reader_slice(reader);
    return item;
}

bool
replicate_decode(const Frame *frame, Arena *arena, ReplicateFrame *replicate)
{
    Reader reader = reader_begin(frame->body);

    replicate->epoch = reader_varint(&reader);
    replicate->item_count = reader_count(&reader, REPLICATE_ITEM_MINIMUM_BYTES);
    replicate->items = ARENA_ARRAY(arena, ReplicateItem, replicate->item_count);
    for (uint32_t i = 0; i < replicate->item_count; i++)
    {
        replicate->items[i] = decode_replicate_item(&reader);
    }
    return reader_finish(&reader);
}

void
replicate_result_encode(Buffer *buffer, const ReplicateResult *result)
{
    buffer_put_u64(buffer, result->ref);
    buffer_put_u8(buffer, (uint8_t)result->status);
    if (result->status == STATUS_STALE_ROUND)
        buffer_put_varint(buffer, result->round);
}

void
replicate_reply_encode_items(Buffer *buffer, uint32_t tag, uint32_t item_count, Slice items)
{
    frame_encode_header(buffer, FRAME_REPLICATE_REPLY, tag);
    buffer_put_varint(buffer, item_count);
    buffer_put(buffer, items.data, items.length);
}

bool
replicate_reply_decode(const Frame *frame, Arena *arena, ReplicateReply *reply)
{
    Reader reader = reader_begin(frame->body);

    reply->item_count = reader_count(&reader, REPLICATE_RESULT_BYTES);
    reply->items = ARENA_ARRAY(arena, ReplicateResult, reply->item_count);
    for (uint32_t i = 0; i < reply->item_count; i++)
    {
        reply->items[i] = (ReplicateResult){.ref = reader_u64(&reader)};
        reply->items[i].status = status_from_byte(reader_u8(&reader));
        if (reply->items[i].status == STATUS_STALE_ROUND)
            reply->items[i].round = reader_varint(&reader);
    }
    return reader_finish(&reader);
}
