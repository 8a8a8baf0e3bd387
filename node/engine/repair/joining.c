/*
 * One bucket after the other, in the order of their numbers. A bucket that is made later needs no
 * asking: nothing of it is reaped without this member.
 */
#include "node/engine/repair/joining.h"

#include <string.h>

enum
{
    ASK_AGAIN_MS = 1000 /* who has not answered by then is not waited for */
};

typedef enum JoiningPhase
{
    JOINING_RESTING,
    JOINING_ASKING,
    JOINING_NOTING
} JoiningPhase;

struct Joining
{
    Tickets tickets;
    uint32_t ticket; /* of what is asked, or noted */
    JoiningPhase phase;
    bool done;
    bool failed;          /* something could not be noted */
    bool sure;            /* the answer of one that knows has come */
    uint32_t last_bucket; /* up to this one all is known */
    uint32_t bucket_id;   /* in work */
    uint64_t *cleared;    /* by partition: what was heard of it */
    bool *awaited;        /* by member */
    uint32_t members;
    uint32_t notes_open;
    uint64_t due_ms;
};

Joining *
joining_new(void)
{
    Joining *joining = memory_resize(&MEMORY_HEAP, NULL, sizeof(Joining));

    *joining = (Joining){.phase = JOINING_RESTING};
    return joining;
}

void
joining_free(Joining *joining)
{
    tickets_free(&joining->tickets);
    memory_resize(&MEMORY_HEAP, joining->cleared, 0);
    memory_resize(&MEMORY_HEAP, joining->awaited, 0);
    memory_resize(&MEMORY_HEAP, joining, 0);
}

bool
joining_is_done(const Joining *joining)
{
    return joining->done;
}

static bool
joins(const View *view)
{
    return view->self != TOPOLOGY_NO_MEMBER && view->rounds != NULL && !view->cannot_write &&
           !view->refilling && view->topology->members[view->self].state == MEMBER_JOINING;
}

static void
rest(Joining *joining)
{
    tickets_end(&joining->tickets, joining->ticket);
    joining->phase = JOINING_RESTING;
}

static void
ask(Joining *joining, const View *view, uint32_t bucket_id)
{
    const Topology *topology = view->topology;
    ReapRoundsFrame frame = {.epoch = topology->epoch, .bucket_id = bucket_id};

    joining->phase = JOINING_ASKING;
    joining->sure = false;
    joining->failed = false;
    joining->bucket_id = bucket_id;
    joining->members = topology->member_count;
    joining->due_ms = view->now_ms + ASK_AGAIN_MS;
    joining->ticket = tickets_draw(&joining->tickets, 0);
    joining->awaited =
        memory_resize(&MEMORY_HEAP, joining->awaited, sizeof(bool) * joining->members);
    joining->cleared = memory_resize(&MEMORY_HEAP, joining->cleared,
                                     sizeof(uint64_t) * (size_t)topology->partitions);
    memset(joining->cleared, 0, sizeof(uint64_t) * (size_t)topology->partitions);
    for (uint32_t member = 0; member < joining->members; member++)
    {
        joining->awaited[member] = view->up[member] && member != view->self;
        if (!joining->awaited[member])
            continue;
        reap_rounds_encode(actions_frame(view->actions), ticket_tag(REF_JOINING, joining->ticket),
                           &frame);
        actions_send(view->actions, member);
    }
}

static void
end_bucket(Joining *joining)
{
    if (!joining->failed)
        joining->last_bucket = joining->bucket_id;
    rest(joining);
}

/* Sent under from now on, and written down. */
static void
take_heard(Joining *joining, const View *view)
{
    joining->phase = JOINING_NOTING;
    joining->notes_open = 1; /* until all are asked for */
    for (uint32_t partition = 0; partition < view->topology->partitions; partition++)
    {
        TreeId id = {.bucket_id = joining->bucket_id, .partition = partition};
        uint64_t cleared = joining->cleared[partition];
        Round round;

        if (cleared == 0)
            continue;
        rounds_raise(view->rounds, id, 0, cleared);
        round = rounds_note(view->rounds, id, cleared);
        joining->notes_open++;
        actions_set_round(view->actions, &round,
                          ticket_ref(REF_JOINING, joining->ticket, partition));
    }
    if (--joining->notes_open == 0)
        end_bucket(joining);
}

static bool
somebody_is_awaited(const Joining *joining, const View *view)
{
    for (uint32_t member = 0; member < joining->members; member++)
    {
        if (joining->awaited[member] && view->up[member])
            return true;
    }
    return false;
}

static void
take_if_known(Joining *joining, const View *view)
{
    bool is_over = view->now_ms >= joining->due_ms || !somebody_is_awaited(joining, view);

    if (is_over && joining->sure)
        take_heard(joining, view);
    else if (view->now_ms >= joining->due_ms)
        rest(joining);
}

void
joining_member_frame(Joining *joining, const View *view, uint32_t member, const Frame *frame)
{
    ReapRoundsReply reply;

    if (joining->phase != JOINING_ASKING || ticket_tag_number(frame->tag) != joining->ticket ||
        member >= joining->members || !joining->awaited[member])
        return;
    joining->awaited[member] = false;
    if (frame->type == FRAME_REAP_ROUNDS_REPLY &&
        reap_rounds_reply_decode(frame, &view->actions->arena, &reply))
    {
        joining->sure = joining->sure || reply.whole;
        for (uint32_t i = 0; i < reply.item_count; i++)
        {
            const ReapRound *item = &reply.items[i];

            if (item->partition < view->topology->partitions &&
                item->cleared > joining->cleared[item->partition])
                joining->cleared[item->partition] = item->cleared;
        }
    }
    take_if_known(joining, view);
}

static void
learn(Joining *joining, const View *view)
{
    uint32_t next = topology_bucket_index(view->topology, joining->last_bucket + 1);

    if (joining->phase == JOINING_ASKING)
        take_if_known(joining, view);
    if (joining->phase != JOINING_RESTING || joining->done)
        return;
    if (next < view->topology->bucket_count)
        ask(joining, view, view->topology->buckets[next].id);
    else
        joining->done = true;
}

/* It does not join, or not any more. */
static void
forget(Joining *joining)
{
    if (joining->phase != JOINING_RESTING)
        rest(joining);
    joining->done = false;
    joining->last_bucket = 0;
}

void
joining_step(Joining *joining, const View *view)
{
    if (joins(view))
        learn(joining, view);
    else
        forget(joining);
}

uint64_t
joining_wake_ms(const Joining *joining)
{
    return joining->phase == JOINING_ASKING ? joining->due_ms : UINT64_MAX;
}

void
joining_durable(Joining *joining, uint64_t ref, StatusCode status)
{
    if (joining->phase != JOINING_NOTING || ticket_ref_number(ref) != joining->ticket)
        return;
    joining->failed = joining->failed || status != STATUS_OK;
    if (--joining->notes_open == 0)
        end_bucket(joining);
}
