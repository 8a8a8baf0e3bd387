/*
 * Stage: what the tests of the step modules stand on: a topology of a few members with one bucket,
 * a View of it, keys whose owners are known, small objects, and the Actions of a step taken apart.
 *
 * Member i has an id whose first byte is i + 1, so that member numbers are known beforehand; the
 * bucket is "cart", id 1, with one text key. Everything lives in the stage's arena.
 */
#ifndef TEST_UNIT_STAGES_STAGE_H
#define TEST_UNIT_STAGES_STAGE_H

#include "node/engine/step/step.h"

enum
{
    STAGE_MEMBERS_MAX = 5,
    STAGE_PARTITIONS = 8,
    STAGE_BUCKET = 1
};

typedef struct Stage
{
    Arena arena;
    Buffer frame; /* in the making */
    Topology topology;
    const Bucket *bucket;
    ContextKeys context_keys;
    HintTotals hints; /* what member 0 owes */
    bool up[STAGE_MEMBERS_MAX];
    View view; /* of member 0, everybody up, at 1000 ms */
    Actions actions;
} Stage;

void stage_init(Stage *stage, uint32_t members, uint32_t n);
void stage_free(Stage *stage);

/* A member id that sorts by number. */
MemberId stage_member_id(uint32_t member);

Slice stage_key(Stage *stage, const char *text);

/* The nth key (from 0) whose first owner is that member. */
Slice stage_key_of(Stage *stage, uint32_t first_owner, uint32_t nth);

/* The key's owners in preference order. */
void stage_owners(const Stage *stage, Slice key, uint16_t owners[STAGE_MEMBERS_MAX]);

/* An encoded object with one sibling: the writer's dot of that counter, under a request id of the
 * same two numbers. */
Slice stage_object(Stage *stage, uint8_t writer, uint8_t counter, const char *value);
Slice stage_tombstone(Stage *stage, uint8_t writer, uint8_t counter);
RequestId stage_request(uint8_t writer, uint8_t counter);
Slice stage_merged(Stage *stage, Slice a, Slice b);
uint32_t stage_siblings(Stage *stage, Slice object);

/* A put of one value under that request id. */
WriteItem stage_write(Stage *stage, Slice key, RequestId request, const char *value);

/* Encode a frame into stage_buffer(), then take it decoded. */
Buffer *stage_buffer(Stage *stage);
Frame stage_frame(Stage *stage);

/* A copy of bytes as a frame; fails the test when they are none. */
Frame stage_decode(Stage *stage, Slice bytes);

/* An answer with one full object for each key, all with status OK; NULL data stands for absent. */
Frame stage_read_reply(Stage *stage, uint32_t tag, ReadMode mode, const Slice *objects,
                       uint32_t count);
Frame stage_error(Stage *stage, uint32_t tag, StatusCode status);

/* ---- the actions of the last step ---- */

uint32_t stage_count(const Stage *stage, ActionKind kind);

/* The nth action of the kind; fails the test when there is none. */
const Action *stage_action(const Stage *stage, ActionKind kind, uint32_t nth);
Frame stage_action_frame(Stage *stage, const Action *action);

/* The one frame that was sent to the member; fails the test when there is none or another. */
Frame stage_sent_to(Stage *stage, uint32_t member);
bool stage_sent_nothing_to(const Stage *stage, uint32_t member);

/* The one frame that was answered. */
Frame stage_answer(Stage *stage);
StatusCode stage_error_status(const Frame *frame);

/* Forgets the actions. */
void stage_clear(Stage *stage);

#endif
