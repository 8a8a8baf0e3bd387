/* Codecs of a round of reaping, and the words for why one does not pass. The protocol stands in
 * node/engine/repair/reaping.h. */
#include "shared/wire/message.h"

enum
{
    ROW_MINIMUM_BYTES = 2 + sizeof(Digest),
    ROUND_MINIMUM_BYTES = 3
};

static const char *const VERDICT_TEXTS[REAP_VERDICTS] = {
    [REAP_CLEAN] = "is ready",
    [REAP_OLD_NUMBER] = "has heard of a later round",
    [REAP_OTHER_EPOCH] = "knows another topology",
    [REAP_MOVES] = "knows that the partition moves",
    [REAP_REFILLING] = "is having its disk filled",
    [REAP_STORAGE] = "has a storage that failed",
    [REAP_HINTS] = "owes objects to other members",
    [REAP_KEEPS_ROWS] = "keeps rows that it does not own",
    [REAP_BUSY] = "has requests for the partition under way",
    [REAP_UNSETTLED] = "has a tree that is not settled",
    [REAP_DOWN] = "is down",
    [REAP_SILENT] = "did not answer in time",
    [REAP_DIFFERS] = "has other rows",
    [REAP_REFUSED] = "did not go along",
};

const char *
reap_verdict_text(ReapVerdict verdict)
{
    return VERDICT_TEXTS[verdict];
}

void
reap_prepare_encode(Buffer *buffer, uint32_t tag, const ReapPrepareFrame *prepare)
{
    frame_encode_header(buffer, FRAME_REAP_PREPARE, tag);
    buffer_put_varint(buffer, prepare->epoch);
    buffer_put_varint(buffer, prepare->bucket_id);
    buffer_put_varint(buffer, prepare->partition);
    buffer_put_varint(buffer, prepare->round);
}

bool
reap_prepare_decode(const Frame *frame, ReapPrepareFrame *prepare)
{
    Reader reader = reader_begin(frame->body);

    prepare->epoch = reader_varint(&reader);
    prepare->bucket_id = reader_varint32(&reader);
    prepare->partition = reader_varint32(&reader);
    prepare->round = reader_varint(&reader);
    return reader_finish(&reader);
}

void
reap_prepare_reply_encode(Buffer *buffer, uint32_t tag, const ReapPrepareReply *reply)
{
    frame_encode_header(buffer, FRAME_REAP_PREPARE_REPLY, tag);
    buffer_put_u8(buffer, (uint8_t)reply->verdict);
    buffer_put_varint(buffer, reply->cleared);
    buffer_put(buffer, reply->root.bytes, sizeof(Digest));
    buffer_put(buffer, reply->actor.id, sizeof(Actor));
}

bool
reap_prepare_reply_decode(const Frame *frame, ReapPrepareReply *reply)
{
    Reader reader = reader_begin(frame->body);
    uint8_t verdict = reader_u8(&reader);

    if (verdict < REAP_CLEAN || verdict >= REAP_VERDICTS)
        reader_fail(&reader);
    reply->verdict = (ReapVerdict)verdict;
    reply->cleared = reader_varint(&reader);
    reader_copy(&reader, reply->root.bytes, sizeof(Digest));
    reader_copy(&reader, reply->actor.id, sizeof(Actor));
    return reader_finish(&reader);
}

static void
put_round(Buffer *buffer, uint32_t bucket_id, uint32_t partition, uint64_t round)
{
    buffer_put_varint(buffer, bucket_id);
    buffer_put_varint(buffer, partition);
    buffer_put_varint(buffer, round);
}

void
reap_raise_encode(Buffer *buffer, uint32_t tag, const ReapRaiseFrame *raise)
{
    frame_encode_header(buffer, FRAME_REAP_RAISE, tag);
    buffer_put_varint(buffer, raise->epoch);
    put_round(buffer, raise->bucket_id, raise->partition, raise->round);
}

bool
reap_raise_decode(const Frame *frame, ReapRaiseFrame *raise)
{
    Reader reader = reader_begin(frame->body);

    raise->epoch = reader_varint(&reader);
    raise->bucket_id = reader_varint32(&reader);
    raise->partition = reader_varint32(&reader);
    raise->round = reader_varint(&reader);
    return reader_finish(&reader);
}

void
reap_rows_encode(Buffer *buffer, uint32_t tag, const ReapRowsFrame *rows)
{
    frame_encode_header(buffer, FRAME_REAP_ROWS, tag);
    buffer_put_varint(buffer, rows->epoch);
    put_round(buffer, rows->bucket_id, rows->partition, rows->round);
    buffer_put_varint(buffer, rows->live_count);
    buffer_put(buffer, rows->live, sizeof(Actor) * rows->live_count);
    buffer_put_varint(buffer, rows->row_count);
    for (uint32_t i = 0; i < rows->row_count; i++)
    {
        buffer_put_slice(buffer, rows->rows[i].key);
        buffer_put(buffer, rows->rows[i].digest.bytes, sizeof(Digest));
        buffer_put_u8(buffer, rows->rows[i].dead);
    }
}

bool
reap_rows_decode(const Frame *frame, Arena *arena, ReapRowsFrame *rows)
{
    Reader reader = reader_begin(frame->body);

    rows->epoch = reader_varint(&reader);
    rows->bucket_id = reader_varint32(&reader);
    rows->partition = reader_varint32(&reader);
    rows->round = reader_varint(&reader);
    rows->live_count = reader_count(&reader, sizeof(Actor));
    rows->live = ARENA_ARRAY(arena, Actor, rows->live_count);
    for (uint32_t i = 0; i < rows->live_count; i++)
        reader_copy(&reader, rows->live[i].id, sizeof(Actor));
    rows->row_count = reader_count(&reader, ROW_MINIMUM_BYTES);
    rows->rows = ARENA_ARRAY(arena, ReapRow, rows->row_count);
    for (uint32_t i = 0; i < rows->row_count; i++)
    {
        rows->rows[i].key = reader_slice(&reader);
        reader_copy(&reader, rows->rows[i].digest.bytes, sizeof(Digest));
        rows->rows[i].dead = reader_bool(&reader);
    }
    return reader_finish(&reader);
}

void
reap_done_encode(Buffer *buffer, uint32_t tag, const ReapDone *done)
{
    frame_encode_header(buffer, FRAME_REAP_DONE, tag);
    buffer_put_u8(buffer, done->ok);
    buffer_put_varint(buffer, done->changed);
}

bool
reap_done_decode(const Frame *frame, ReapDone *done)
{
    Reader reader = reader_begin(frame->body);

    done->ok = reader_bool(&reader);
    done->changed = reader_varint32(&reader);
    return reader_finish(&reader);
}

void
reap_rounds_encode(Buffer *buffer, uint32_t tag, const ReapRoundsFrame *rounds)
{
    frame_encode_header(buffer, FRAME_REAP_ROUNDS, tag);
    buffer_put_varint(buffer, rounds->epoch);
    buffer_put_varint(buffer, rounds->bucket_id);
}

bool
reap_rounds_decode(const Frame *frame, ReapRoundsFrame *rounds)
{
    Reader reader = reader_begin(frame->body);

    rounds->epoch = reader_varint(&reader);
    rounds->bucket_id = reader_varint32(&reader);
    return reader_finish(&reader);
}

void
reap_rounds_reply_encode(Buffer *buffer, uint32_t tag, const ReapRoundsReply *reply)
{
    frame_encode_header(buffer, FRAME_REAP_ROUNDS_REPLY, tag);
    buffer_put_u8(buffer, reply->whole);
    buffer_put_varint(buffer, reply->item_count);
    for (uint32_t i = 0; i < reply->item_count; i++)
    {
        buffer_put_varint(buffer, reply->items[i].partition);
        buffer_put_varint(buffer, reply->items[i].round);
        buffer_put_varint(buffer, reply->items[i].cleared);
    }
}

bool
reap_rounds_reply_decode(const Frame *frame, Arena *arena, ReapRoundsReply *reply)
{
    Reader reader = reader_begin(frame->body);

    reply->whole = reader_bool(&reader);
    reply->item_count = reader_count(&reader, ROUND_MINIMUM_BYTES);
    reply->items = ARENA_ARRAY(arena, ReapRound, reply->item_count);
    for (uint32_t i = 0; i < reply->item_count; i++)
    {
        reply->items[i].partition = reader_varint32(&reader);
        reply->items[i].round = reader_varint(&reader);
        reply->items[i].cleared = reader_varint(&reader);
    }
    return reader_finish(&reader);
}

void
reap_notice_encode(Buffer *buffer, uint32_t tag, const ReapNotice *notice)
{
    frame_encode_header(buffer, FRAME_REAP_NOTICE, tag);
    buffer_put_varint(buffer, notice->bucket_id);
    buffer_put_u64(buffer, notice->position);
    buffer_put_varint(buffer, notice->round);
}

bool
reap_notice_decode(const Frame *frame, ReapNotice *notice)
{
    Reader reader = reader_begin(frame->body);

    notice->bucket_id = reader_varint32(&reader);
    notice->position = reader_u64(&reader);
    notice->round = reader_varint(&reader);
    return reader_finish(&reader);
}
