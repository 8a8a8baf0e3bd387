/* Plays a client with one request: gives it answers, losses and time as a test says, and keeps what
 * it sent. */
#include "test/unit/stages/asker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

void
asker_init(Asker *asker)
{
    *asker = (Asker){
        .options = {.quorum = 2, .timeout_ms = ASKER_TIMEOUT_MS, .hedge_after_ms = ASKER_HEDGE_MS}
    };
    asker->options.avoid = asker->avoid;
    stage_init(&asker->stage, 3, 3);
}

void
asker_free(Asker *asker)
{
    if (asker->request != NULL)
        request_end(asker->request);
    stage_free(&asker->stage);
}

void
asker_set_stage(Asker *asker, uint32_t members, uint32_t n, uint32_t quorum)
{
    stage_free(&asker->stage);
    stage_init(&asker->stage, members, n);
    asker->options.quorum = quorum;
}

uint32_t
asker_pump(Asker *asker)
{
    uint32_t before = asker->sent_count;
    uint32_t member;
    Slice bytes;

    while (request_next_send(asker->request, &member, &bytes))
    {
        assert_true(asker->sent_count < ASKER_SENT_MAX);
        if (asker->gone[member])
        {
            request_unreached(asker->request, member, ASKER_START_MS);
            continue;
        }

        AskerSent *sent = &asker->sent[asker->sent_count++];

        *sent = (AskerSent){.member = member, .frame = stage_decode(&asker->stage, bytes)};
        if (sent->frame.type == FRAME_WRITE)
            assert_true(write_decode(&sent->frame, &asker->stage.arena, &sent->write));
        else
            assert_true(read_decode(&sent->frame, &asker->stage.arena, &sent->read));
    }
    return asker->sent_count - before;
}

static void
note_preference(Asker *asker, Slice key)
{
    const Stage *stage = &asker->stage;
    uint64_t position;

    assert_true(topology_position(stage->bucket, key, &position));
    (void)topology_preference(&stage->topology, position, asker->owners, STAGE_MEMBERS_MAX);
}

void
asker_accustom(Asker *asker, uint64_t answer_ms)
{
    for (uint32_t member = 0; member < asker->stage.topology.member_count; member++)
    {
        for (int i = 0; i < 17; i++)
            request_asker_add_wait(&asker->asker, &(RequestAskerFrame){member, 1, false},
                                   answer_ms);
    }
}

void
asker_avoid(Asker *asker, uint32_t place)
{
    note_preference(asker, stage_key_of(&asker->stage, 0, 0));
    asker->avoid[asker->owners[place]] = true;
}

void
asker_begin_read(Asker *asker, const Slice *keys, uint32_t count)
{
    Stage *stage = &asker->stage;

    note_preference(asker, keys[0]);
    asker->request =
        request_read(&stage->arena, &asker->asker, &stage->topology, stage->bucket, &asker->options,
                     arena_copy(&stage->arena, keys, sizeof(Slice) * count), count, ASKER_START_MS);
    asker_pump(asker);
}

void
asker_read_one(Asker *asker)
{
    Slice key = stage_key_of(&asker->stage, 0, 0);

    asker_begin_read(asker, &key, 1);
}

void
asker_begin_write(Asker *asker, const WriteItem *items, uint32_t count)
{
    Stage *stage = &asker->stage;

    note_preference(asker, items[0].key);
    asker->request = request_write(
        &stage->arena, &asker->asker, &stage->topology, stage->bucket, &asker->options,
        arena_copy(&stage->arena, items, sizeof(*items) * count), count, ASKER_START_MS);
    asker_pump(asker);
}

void
asker_write_one(Asker *asker)
{
    WriteItem item =
        stage_write(&asker->stage, stage_key_of(&asker->stage, 0, 0), stage_request(1, 1), "value");

    asker_begin_write(asker, &item, 1);
}

const AskerSent *
asker_sent(Asker *asker, uint32_t index)
{
    assert_true(index < asker->sent_count);
    return &asker->sent[index];
}

bool
asker_give(Asker *asker, uint32_t index, Frame frame, uint64_t now_ms)
{
    return request_answer(asker->request, asker_sent(asker, index)->member, &frame, now_ms);
}

void
asker_answer_object(Asker *asker, uint32_t index, Slice object)
{
    Frame frame = stage_read_reply(&asker->stage, asker_sent(asker, index)->frame.tag,
                                   asker_sent(asker, index)->read.mode, &object, 1);

    assert_true(asker_give(asker, index, frame, ASKER_START_MS));
    asker_pump(asker);
}

void
asker_answer_error(Asker *asker, uint32_t index, StatusCode status)
{
    assert_true(asker_give(asker, index,
                           stage_error(&asker->stage, asker_sent(asker, index)->frame.tag, status),
                           ASKER_START_MS));
    asker_pump(asker);
}

Frame
asker_write_reply(Asker *asker, uint32_t index, StatusCode status, uint32_t acked)
{
    uint32_t count = asker_sent(asker, index)->write.item_count;
    WriteReply reply = {.items = ARENA_ARRAY(&asker->stage.arena, WriteResult, count),
                        .item_count = count};

    for (uint32_t i = 0; i < count; i++)
        reply.items[i] = (WriteResult){.status = status, .acked = acked};
    write_reply_encode(stage_buffer(&asker->stage), asker_sent(asker, index)->frame.tag, &reply);
    return stage_frame(&asker->stage);
}

void
asker_answer_write(Asker *asker, uint32_t index, StatusCode status, uint32_t acked)
{
    assert_true(
        asker_give(asker, index, asker_write_reply(asker, index, status, acked), ASKER_START_MS));
    asker_pump(asker);
}

void
asker_tick(Asker *asker, uint64_t after_ms)
{
    request_tick(asker->request, ASKER_START_MS + after_ms);
    asker_pump(asker);
}

void
asker_lose(Asker *asker, uint32_t member)
{
    request_lost(asker->request, member, ASKER_START_MS);
    asker_pump(asker);
}

void
asker_bury(Asker *asker, uint32_t member)
{
    asker->gone[member] = true;
    asker_lose(asker, member);
}

void
asker_assert_read(Asker *asker, StatusCode status, Slice object)
{
    const RequestReadResult *result = request_read_results(asker->request);

    assert_true(request_done(asker->request));
    assert_int_equal(result->status, status);
    assert_true(slice_equal(result->object, object));
}

void
asker_assert_write(Asker *asker, StatusCode status)
{
    assert_true(request_done(asker->request));
    assert_int_equal(request_write_results(asker->request)->status, status);
}
