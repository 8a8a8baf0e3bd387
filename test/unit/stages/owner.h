/*
 * Owner: a member of a stage that holds rows in a memory_store, trees and all, and answers scans of
 * them as a node does.
 *
 * Answers live in the stage's arena. The assertions fail the test.
 */
#ifndef TEST_UNIT_STAGES_OWNER_H
#define TEST_UNIT_STAGES_OWNER_H

#include "node/engine/request/replica.h"
#include "test/lib/memory_store.h"
#include "test/unit/stages/stage.h"

typedef struct Owner
{
    Stage *stage;
    View view;
    MemoryStore *store;
    Storage *storage;
    Replica *replica;
    Actions actions;
    StatusCode applied; /* how the last apply ended */
} Owner;

void owner_init(Owner *owner, Stage *stage, uint32_t member);
void owner_free(Owner *owner);

/* Merges the object into what it holds; durable at once unless the store is held. */
void owner_merge(Owner *owner, Slice key, Slice object);

/* What it holds of the key, durably; empty: nothing. */
Slice owner_object(Owner *owner, Slice key);

/* The answer to a FRAME_SCAN. */
Frame owner_answer(Owner *owner, const Frame *question);

/* The same for a frame in the making. */
ScanReply owner_scan(Owner *owner, const ScanFrame *scan);

#endif
