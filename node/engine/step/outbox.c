/*
 * Collects items as they are encoded, and cuts a frame when it is large enough.
 */
#include "node/engine/step/outbox.h"

typedef struct OutboxFrame
{
    size_t begin; /* of its items */
    uint32_t count;
} OutboxFrame;

void
outbox_init(Outbox *outbox)
{
    *outbox = (Outbox){0};
    buffer_init(&outbox->items, &MEMORY_HEAP);
}

void
outbox_free(Outbox *outbox)
{
    buffer_free(&outbox->items);
    memory_resize(&MEMORY_HEAP, outbox->frames, 0);
}

void
outbox_clear(Outbox *outbox)
{
    buffer_trim(&outbox->items, OUTBOX_FRAME_BYTES);
    outbox->frame_count = 0;
}

/* The frame that the next item goes into. */
static OutboxFrame *
last_frame(Outbox *outbox)
{
    OutboxFrame *last = outbox->frame_count > 0 ? &outbox->frames[outbox->frame_count - 1] : NULL;

    if (last != NULL && outbox->items.length - last->begin < OUTBOX_FRAME_BYTES)
        return last;
    if (outbox->frame_count == outbox->frame_capacity)
    {
        outbox->frame_capacity = outbox->frame_capacity > 0 ? outbox->frame_capacity * 2 : 1;
        outbox->frames = memory_resize(&MEMORY_HEAP, outbox->frames,
                                       outbox->frame_capacity * sizeof(OutboxFrame));
    }
    last = &outbox->frames[outbox->frame_count++];
    *last = (OutboxFrame){.begin = outbox->items.length};
    return last;
}

void
outbox_put(Outbox *outbox, const ReplicateItem *item)
{
    last_frame(outbox)->count++;
    replicate_item_encode(&outbox->items, item);
}

void
outbox_send(Outbox *outbox, uint64_t epoch, uint32_t member, Actions *actions)
{
    for (uint32_t i = 0; i < outbox->frame_count; i++)
    {
        const OutboxFrame *frame = &outbox->frames[i];
        size_t end = i + 1 < outbox->frame_count ? frame[1].begin : outbox->items.length;
        Slice items = slice_make(outbox->items.data + frame->begin, end - frame->begin);

        replicate_encode_items(actions_frame(actions), 0, epoch, frame->count, items);
        actions_send(actions, member);
    }
    outbox_clear(outbox);
}
