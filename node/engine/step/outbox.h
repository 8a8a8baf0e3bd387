/*
 * Outbox: what a coordinator has for one member to keep, gathered over a turn and sent in few
 * frames.
 *
 * A frame takes items until it has OUTBOX_FRAME_BYTES, so none is larger than that and one item: an
 * object of any size may travel, and many of them do not become one frame that is too large.
 */
#ifndef NODE_ENGINE_STEP_OUTBOX_H
#define NODE_ENGINE_STEP_OUTBOX_H

#include "node/engine/step/step.h"

enum
{
    OUTBOX_FRAME_BYTES = 4 * 1024 * 1024
};

typedef struct Outbox
{
    Buffer items; /* encoded, of all frames */
    struct OutboxFrame *frames;
    uint32_t frame_count;
    uint32_t frame_capacity;
} Outbox;

void outbox_init(Outbox *outbox);
void outbox_free(Outbox *outbox);
void outbox_put(Outbox *outbox, const ReplicateItem *item);

/* Sends all to the member. */
void outbox_send(Outbox *outbox, uint64_t epoch, uint32_t member, Actions *actions);

/* Forgets all. */
void outbox_clear(Outbox *outbox);

#endif
