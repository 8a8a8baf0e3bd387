/*
 * Conductor: one coordinator on a stage, played by a script: clients' frames, storage's answers,
 * other members' frames and time are given to it one step at a time; what each step asks for is in
 * the stage's actions until the next. The assertions fail the test.
 */
#ifndef TEST_UNIT_STAGES_CONDUCTOR_H
#define TEST_UNIT_STAGES_CONDUCTOR_H

#include "node/engine/request/coordinator.h"
#include "test/unit/stages/stage.h"

enum
{
    CONDUCTOR_SESSION = 77,
    CONDUCTOR_TAG = 5,
    CONDUCTOR_GRACE_MS = 20, /* that a coordinated read gives to the last owners */
    CONDUCTOR_TIMEOUT_MS = 100
};

typedef struct Conductor
{
    Stage stage;
    Coordinator *coordinator;
    Origin client;
    Slice key; /* member 0 is its first owner */
} Conductor;

/* Three members, n 3. */
void conductor_init(Conductor *conductor);
void conductor_free(Conductor *conductor);

/* Another stage than that; what was made on the one before is gone. */
void conductor_set_stage(Conductor *conductor, uint32_t members, uint32_t n);

/* The member's place among the key's owners. */
uint32_t conductor_place_of(Conductor *conductor, uint32_t member);
void conductor_give_write(Conductor *conductor, const WriteFrame *write);
void conductor_write_items(Conductor *conductor, WriteItem *items, uint32_t count, uint32_t w,
                           bool retry);
void conductor_write_one(Conductor *conductor, uint32_t w, bool retry);
void conductor_read_one(Conductor *conductor, uint32_t r);

/* The ref of the step's nth apply. */
uint64_t conductor_apply_ref(Conductor *conductor, uint32_t nth);

/* What happens to it. */
void conductor_merged(Conductor *conductor, uint64_t ref, StatusCode status, Slice object);
void conductor_durable(Conductor *conductor, uint64_t ref, StatusCode status);
void conductor_fetched(Conductor *conductor, uint64_t ref, StatusCode status, Slice object);
void conductor_member_frame(Conductor *conductor, uint32_t member, Frame frame);
void conductor_acknowledge(Conductor *conductor, uint32_t member, uint64_t ref, StatusCode status);
void conductor_answer_read(Conductor *conductor, uint32_t member, uint32_t tag, Slice object);
void conductor_member_down(Conductor *conductor, uint32_t member);
void conductor_tick(Conductor *conductor, uint64_t after_ms);

/* A write of one key whose object is merged and on its way; returns its ref. */
uint64_t conductor_spread_write(Conductor *conductor, uint32_t w);
void conductor_assert_unanswered(Conductor *conductor);

/* What the step answered the client, sent a member. */
WriteResult conductor_answered_write(Conductor *conductor, uint32_t index);
void conductor_assert_write(Conductor *conductor, StatusCode status);
ReadItem conductor_answered_read(Conductor *conductor);
void conductor_assert_read(Conductor *conductor, StatusCode status, Slice object);
void conductor_assert_refused(Conductor *conductor, StatusCode status);
ReplicateFrame conductor_replicated_to(Conductor *conductor, uint32_t member);
ReadFrame conductor_asked_of(Conductor *conductor, uint32_t member, uint32_t *tag);

/* Begins one; the tag it asks the others with, and the ref it asks storage with. */
uint64_t conductor_begin_read(Conductor *conductor, uint32_t r, uint32_t *tag);

#endif
