/*
 * operation: something that sends frames to nodes and waits for their answers, as
 * fdw/cluster/links.h drives it.
 *
 * A request, a scan, and a question to several nodes are operations. Like the step modules behind
 * them they never wait and never touch a socket.
 *
 * Time: an operation is judged only by the time that it was being waited for. A cursor that nobody
 * fetches from for a minute has not made its nodes silent for a minute.
 */
#ifndef FDW_CLUSTER_OPERATION_H
#define FDW_CLUSTER_OPERATION_H

#include "fdw/base/pg.h"

#include "lib/ilist.h"

#include "fdw/cluster/client.h"

typedef struct LinksNode LinksNode;
typedef struct Operation Operation;

typedef struct OperationMethods
{
    /* Gives the next frame and its receiver, or returns false if there is no frame to send now.
     * The frame is valid until the next call. */
    bool (*next_send)(Operation *operation, LinksNode **node, Slice *frame);

    /* Takes a frame that came from node. Returns false if its tag belongs to another operation. */
    bool (*answer)(Operation *operation, LinksNode *node, const Frame *frame, uint64 now_ms);

    /* A chunk of a longer answer of node has arrived, so node does not count as silent. The method
     * may be NULL. */
    void (*heard)(Operation *operation, LinksNode *node, uint64 now_ms);

    /* No answer that node owes to the operation will come any more. reached is false if no byte of
     * the operation's frames was sent, so that node cannot have acted on them. */
    void (*lost)(Operation *operation, LinksNode *node, bool reached, uint64 now_ms);

    /* Acts on the time that has passed. wake_ms says when the next call is due. */
    void (*tick)(Operation *operation, uint64 now_ms);
    uint64 (*wake_ms)(Operation *operation);

    /* Returns true if the operation asked other nodes because node did not answer in time, and
     * node has not answered since. */
    bool (*was_silent)(Operation *operation, LinksNode *node);

    /* Returns true if the operation has nothing to wait for now. */
    bool (*done)(Operation *operation);
} OperationMethods;

struct Operation
{
    const OperationMethods *methods;
    dlist_node attached; /* of operations that live from one wait to the next */
    uint64 idle_ms;      /* time that does not count */
    uint64 paused_at_ms; /* 0: never waited for yet */
};

static inline bool
operation_is_attached(const Operation *operation)
{
    return operation->attached.next != NULL;
}

/* The time of an attached operation that is not being waited for, for what is added to it. */
static inline uint64
operation_paused_clock_ms(const Operation *operation)
{
    return operation->paused_at_ms - operation->idle_ms;
}

#endif
