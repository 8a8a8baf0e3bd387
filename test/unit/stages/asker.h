/*
 * Asker: one request of a client, played by a script: what it wants sent is taken down, answers,
 * lost members and time are given to it. The assertions fail the test.
 */
#ifndef TEST_UNIT_STAGES_ASKER_H
#define TEST_UNIT_STAGES_ASKER_H

#include "shared/ask/request.h"
#include "test/unit/stages/stage.h"

enum
{
    ASKER_START_MS = 1000,
    ASKER_HEDGE_MS = 50,
    ASKER_TIMEOUT_MS = 500,
    ASKER_SENT_MAX = 256
};

/* A frame that the request wanted sent. */
typedef struct AskerSent
{
    uint32_t member;
    Frame frame;
    ReadFrame read;
    WriteFrame write;
} AskerSent;

typedef struct Asker
{
    Stage stage;
    RequestAsker asker;
    RequestOptions options;
    bool avoid[STAGE_MEMBERS_MAX];
    bool gone[STAGE_MEMBERS_MAX];
    Request *request;
    AskerSent sent[ASKER_SENT_MAX];
    uint32_t sent_count;
    uint16_t owners[STAGE_MEMBERS_MAX]; /* of the first key, and its fallbacks behind them */
} Asker;

/* Three members, n 3, quorum 2. */
void asker_init(Asker *asker);
void asker_free(Asker *asker);

/* Another stage than that; what was made on the one before is gone. */
void asker_set_stage(Asker *asker, uint32_t members, uint32_t n, uint32_t quorum);

/* Takes every frame that the request wants sent now; returns how many. */
uint32_t asker_pump(Asker *asker);
void asker_begin_read(Asker *asker, const Slice *keys, uint32_t count);

/* One key whose owners are members 0, then others. */
void asker_read_one(Asker *asker);
void asker_begin_write(Asker *asker, const WriteItem *items, uint32_t count);
void asker_write_one(Asker *asker);
const AskerSent *asker_sent(Asker *asker, uint32_t index);
bool asker_give(Asker *asker, uint32_t index, Frame frame, uint64_t now_ms);

/* Makes every member of the asker known as one that always answers within so many milliseconds. */
void asker_accustom(Asker *asker, uint64_t answer_ms);

/* Avoids the member at that place of the first key's preference list, as if it were down. */
void asker_avoid(Asker *asker, uint32_t place);

/* Answers a read frame of one key as its mode asks. */
void asker_answer_object(Asker *asker, uint32_t index, Slice object);
void asker_answer_error(Asker *asker, uint32_t index, StatusCode status);
Frame asker_write_reply(Asker *asker, uint32_t index, StatusCode status, uint32_t acked);
void asker_answer_write(Asker *asker, uint32_t index, StatusCode status, uint32_t acked);
void asker_tick(Asker *asker, uint64_t after_ms);
void asker_lose(Asker *asker, uint32_t member);

/* The same, and no new link to it can be made. */
void asker_bury(Asker *asker, uint32_t member);
void asker_assert_read(Asker *asker, StatusCode status, Slice object);
void asker_assert_write(Asker *asker, StatusCode status);

#endif
