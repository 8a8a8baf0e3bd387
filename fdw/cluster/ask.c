/*
 * Sends one frame to several nodes and takes their answers, until as many have answered well as are
 * wanted, or at least enough of them and the others have had their time. A link that breaks once
 * the frame may have been read gets it a second time.
 */
#include "fdw/cluster/ask.h"

#include "fdw/cluster/foreign_text.h"

static Ask *
ask_of(Operation *operation)
{
    return (Ask *)((char *)operation - offsetof(Ask, operation));
}

static int
ask_index(const Ask *ask, const LinksNode *node)
{
    int index = 0;

    while (index < ask->count && ask->nodes[index] != node)
        index++;
    return index;
}

static bool
ask_next_send(Operation *operation, LinksNode **node, Slice *frame)
{
    Ask *ask = ask_of(operation);

    for (int i = 0; i < ask->count; i++)
    {
        if (!ask->replies[i].unsent || ask->replies[i].state != ASK_OPEN)
            continue;
        ask->replies[i].unsent = false;
        *node = ask->nodes[i];
        *frame = buffer_slice(&ask->frame);
        return true;
    }
    return false;
}

static void
ask_end(Ask *ask, int index, AskState state)
{
    ask->replies[index].state = state;
    ask->open--;
    if (state == ASK_GOOD)
        ask->good++;
}

static void
ask_take_error(Ask *ask, int index, const Frame *frame)
{
    AskReply *reply = &ask->replies[index];
    ErrorFrame error;

    if (frame->type == FRAME_ERROR && error_decode(frame, &error))
    {
        reply->status = error.status;
        reply->message = pnstrdup((const char *)error.message.data, error.message.length);
        foreign_text_clean(reply->message);
    }
    ask_end(ask, index, ASK_REFUSED);
}

static bool
ask_answer(Operation *operation, LinksNode *node, const Frame *frame, uint64 now_ms)
{
    Ask *ask = ask_of(operation);
    int index = ask_index(ask, node);

    if (frame->tag != ask->tag || index == ask->count || ask->replies[index].state != ASK_OPEN)
        return false;
    if (frame->type != FRAME_ERROR && ask->take(ask, index, frame))
        ask_end(ask, index, ASK_GOOD);
    else
        ask_take_error(ask, index, frame);
    return true;
}

static void
ask_lost(Operation *operation, LinksNode *node, bool reached, uint64 now_ms)
{
    Ask *ask = ask_of(operation);
    int index = ask_index(ask, node);

    if (index == ask->count || ask->replies[index].unsent || ask->replies[index].state != ASK_OPEN)
        return;
    if (!reached || ask->replies[index].again)
    {
        ask_end(ask, index, ASK_LOST);
        return;
    }
    ask->replies[index].unsent = true;
    ask->replies[index].again = true;
}

static void
ask_tick(Operation *operation, uint64 now_ms)
{
    ask_of(operation)->now_ms = now_ms;
}

static uint64
ask_wake_ms(Operation *operation)
{
    Ask *ask = ask_of(operation);

    return ask->started_ms +
           (ask->good >= ask->enough ? Min(ask->patient_ms, ask->timeout_ms) : ask->timeout_ms);
}

static bool
ask_was_silent(Operation *operation, LinksNode *node)
{
    Ask *ask = ask_of(operation);
    int index = ask_index(ask, node);

    return index < ask->count && ask->replies[index].state == ASK_OPEN && links_node_is_up(node) &&
           ask->now_ms >= ask->started_ms + ask->patient_ms;
}

static bool
ask_done(Operation *operation)
{
    Ask *ask = ask_of(operation);

    return ask->good >= ask->want || ask->open == 0 || ask->now_ms >= ask_wake_ms(operation);
}

static const OperationMethods ask_methods = {
    .next_send = ask_next_send,
    .answer = ask_answer,
    .lost = ask_lost,
    .tick = ask_tick,
    .wake_ms = ask_wake_ms,
    .was_silent = ask_was_silent,
    .done = ask_done,
};

bool
ask_run(Links *links, Ask *ask)
{
    ask->operation = (Operation){.methods = &ask_methods};
    ask->replies = palloc0(sizeof(AskReply) * Max(ask->count, 1));
    for (int i = 0; i < ask->count; i++)
        ask->replies[i] = (AskReply){.status = STATUS_BAD_FRAME, .message = "", .unsent = true};
    ask->open = ask->count;
    ask->good = 0;
    ask->started_ms = ask->now_ms = links_now_ms();
    links_run(links, &ask->operation);
    return ask->good >= ask->enough;
}
