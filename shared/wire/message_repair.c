/* Codecs of what people ask of repairs: begin a compare now, and say how far all of them have come.
 */
#include "shared/wire/message.h"

enum
{
    ROW_BYTES_MIN = sizeof(MemberId) + 2 * sizeof(uint8_t) + 12 /* varints of one byte */
};

static const char *const STATE_NAMES[REPAIR_STATES] = {
    [REPAIR_IDLE] = "idle",           [REPAIR_WAITING] = "waiting",
    [REPAIR_COMPARING] = "comparing", [REPAIR_CONFIRMING] = "confirming",
    [REPAIR_MENDING] = "mending",
};

const char *
repair_state_name(RepairState state)
{
    return STATE_NAMES[state];
}

void
repair_encode(Buffer *buffer, uint32_t tag, const RepairFrame *repair)
{
    frame_encode_header(buffer, FRAME_REPAIR, tag);
    buffer_put_varint(buffer, repair->epoch);
    buffer_put_varint(buffer, repair->bucket_id);
    buffer_put_u8(buffer, repair->is_of_member);
    if (repair->is_of_member)
        buffer_put(buffer, repair->member.bytes, sizeof(MemberId));
}

bool
repair_decode(const Frame *frame, RepairFrame *repair)
{
    Reader reader = reader_begin(frame->body);

    *repair = (RepairFrame){.epoch = reader_varint(&reader)};
    repair->bucket_id = reader_varint32(&reader);
    repair->is_of_member = reader_bool(&reader);
    if (repair->is_of_member)
        reader_copy(&reader, repair->member.bytes, sizeof(MemberId));
    return reader_finish(&reader);
}

void
repair_reply_encode(Buffer *buffer, uint32_t tag, const RepairReply *reply)
{
    frame_encode_header(buffer, FRAME_REPAIR_REPLY, tag);
    buffer_put_varint(buffer, reply->queued);
}

bool
repair_reply_decode(const Frame *frame, RepairReply *reply)
{
    Reader reader = reader_begin(frame->body);

    reply->queued = reader_varint32(&reader);
    return reader_finish(&reader);
}

void
repair_status_fetch_encode(Buffer *buffer, uint32_t tag, const RepairStatusFetch *fetch)
{
    frame_encode_header(buffer, FRAME_REPAIR_STATUS, tag);
    buffer_put_varint(buffer, fetch->first);
}

bool
repair_status_fetch_decode(const Frame *frame, RepairStatusFetch *fetch)
{
    Reader reader = reader_begin(frame->body);

    fetch->first = reader_varint32(&reader);
    return reader_finish(&reader);
}

static void
put_status_row(Buffer *buffer, const RepairStatus *row)
{
    buffer_put(buffer, row->peer.bytes, sizeof(MemberId));
    buffer_put_varint(buffer, row->bucket_id);
    buffer_put_varint(buffer, row->partition);
    buffer_put_u8(buffer, (uint8_t)row->state);
    buffer_put_varint(buffer, row->compared_ms);
    buffer_put_varint(buffer, row->equal_ms);
    buffer_put_varint(buffer, row->differences);
    buffer_put_varint(buffer, row->mended_here);
    buffer_put_varint(buffer, row->mended_there);
    buffer_put_varint(buffer, row->bytes_sent);
    buffer_put_varint(buffer, row->bytes_received);
    buffer_put_varint(buffer, row->parts_done);
    buffer_put_varint(buffer, row->parts_total);
    buffer_put_varint(buffer, row->time_left_ms);
    buffer_put_u8(buffer, (uint8_t)row->failure);
}

static RepairStatus
reader_row(Reader *reader)
{
    RepairStatus row = {0};
    uint8_t state;

    reader_copy(reader, row.peer.bytes, sizeof(MemberId));
    row.bucket_id = reader_varint32(reader);
    row.partition = reader_varint32(reader);
    state = reader_u8(reader);
    if (state >= REPAIR_STATES)
        reader_fail(reader);
    else
        row.state = (RepairState)state;
    row.compared_ms = reader_varint(reader);
    row.equal_ms = reader_varint(reader);
    row.differences = reader_varint(reader);
    row.mended_here = reader_varint(reader);
    row.mended_there = reader_varint(reader);
    row.bytes_sent = reader_varint(reader);
    row.bytes_received = reader_varint(reader);
    row.parts_done = reader_varint32(reader);
    row.parts_total = reader_varint32(reader);
    row.time_left_ms = reader_varint(reader);
    row.failure = status_from_byte(reader_u8(reader));
    return row;
}

void
repair_status_encode(Buffer *buffer, uint32_t tag, const RepairStatusReply *reply)
{
    frame_encode_header(buffer, FRAME_REPAIR_STATUS_REPLY, tag);
    buffer_put_varint(buffer, reply->total);
    buffer_put_varint(buffer, reply->row_count);
    for (uint32_t i = 0; i < reply->row_count; i++)
        put_status_row(buffer, &reply->rows[i]);
}

bool
repair_status_decode(const Frame *frame, Arena *arena, RepairStatusReply *reply)
{
    Reader reader = reader_begin(frame->body);

    *reply = (RepairStatusReply){.total = reader_varint32(&reader)};
    reply->row_count = reader_count(&reader, ROW_BYTES_MIN);
    reply->rows = ARENA_ARRAY(arena, RepairStatus, reply->row_count);
    for (uint32_t i = 0; i < reply->row_count; i++)
        reply->rows[i] = reader_row(&reader);
    return reader_finish(&reader) && reply->row_count <= reply->total;
}
