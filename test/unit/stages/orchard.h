/*
 * Orchard: a few owners of the same partitions, each with an Antientropy, an Unreadable and a
 * Replica on a store in memory, and the mail between them; node i is member i of the stage.
 *
 * Time passes as the nodes ask for it; mail arrives at once, in order, unless its sender or
 * receiver is cut off. Bytes are counted by type of frame. The assertions fail the test.
 */
#ifndef TEST_UNIT_STAGES_ORCHARD_H
#define TEST_UNIT_STAGES_ORCHARD_H

#include "node/engine/repair/unreadable.h"
#include "node/engine/request/replica.h"
#include "test/lib/memory_store.h"
#include "test/unit/stages/stage.h"

enum
{
    ORCHARD_NODES_MAX = 3,
    ORCHARD_BYTES_A_SECOND = 64 * 1024 * 1024
};

typedef struct Orchard Orchard;

typedef struct OrchardNode
{
    Orchard *orchard;
    uint32_t index;
    Antientropy *antientropy;
    Unreadable *unreadable;
    Replica *replica;
    Pacer pacer;
    MemoryStore *store;
    Storage *storage;
    Actions actions;
    bool up[STAGE_MEMBERS_MAX];
    View view;
    HintTotals hints;
    Slice damaged; /* a key that its store cannot read until something is written to it */
    Slice read;    /* what the test has read last */
    Digest sum;    /* of what the test has scanned last */
} OrchardNode;

typedef struct OrchardMail
{
    uint32_t from;
    uint32_t to;
    bool is_answer;
    Slice bytes;
} OrchardMail;

struct Orchard
{
    Stage stage;
    OrchardNode nodes[ORCHARD_NODES_MAX];
    uint32_t count;
    bool cut[ORCHARD_NODES_MAX];
    OrchardMail *mail;
    uint32_t mail_count;
    uint32_t mail_capacity;
    uint64_t now_ms;
    uint32_t frames[FRAME_TYPE_END];
    uint64_t bytes[FRAME_TYPE_END];
    uint64_t all_bytes;
    uint32_t delivered;
    void (*before)(Orchard *orchard, const OrchardMail *mail); /* each is delivered; or NULL */
};

void orchard_init(Orchard *orchard, uint32_t nodes, uint64_t interval_ms);
void orchard_free(Orchard *orchard);
Slice orchard_key(Orchard *orchard, uint32_t number);

/* Merges an object into the node's store; so many keys into every node's. */
void orchard_put(Orchard *orchard, uint32_t node, Slice key, Slice object);
void orchard_fill(Orchard *orchard, uint32_t keys);

/* The node's record of the key cannot be decoded any more. */
void orchard_damage(Orchard *orchard, uint32_t node, Slice key);
bool orchard_has_unreadable(Orchard *orchard, uint32_t node);

/* What the node holds under the key. */
Slice orchard_get(Orchard *orchard, uint32_t node, Slice key);
void orchard_assert_equal(Orchard *orchard);
bool orchard_is_equal(Orchard *orchard);

/* Time passes; or until nothing is under way or waits at any node, an hour at most. */
void orchard_pass(Orchard *orchard, uint64_t ms);
void orchard_settle(Orchard *orchard);
void orchard_request(Orchard *orchard, uint32_t node);

/* Nothing comes from or to the node any more, and the others see it go down; or it is back. */
void orchard_cut(Orchard *orchard, uint32_t node);
void orchard_join(Orchard *orchard, uint32_t node);
void orchard_forget_bytes(Orchard *orchard);

/* The sum over a node's pairs. */
RepairStatus orchard_nth_status(const OrchardNode *node, uint32_t index);
RepairStatus orchard_status(Orchard *orchard, uint32_t node);

#endif
