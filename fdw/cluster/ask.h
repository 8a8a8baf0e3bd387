/*
 * ask: one question to several nodes at once, as an operation: for the topology, for a node's
 * status, to create a bucket.
 */
#ifndef FDW_CLUSTER_ASK_H
#define FDW_CLUSTER_ASK_H

#include "fdw/cluster/links.h"

typedef enum AskState
{
    ASK_OPEN, /* no answer yet; what is open at the end did not answer in time */
    ASK_GOOD,
    ASK_REFUSED, /* by FRAME_ERROR, or with an answer that could not be used */
    ASK_LOST     /* links_error says why */
} AskState;

typedef struct AskReply
{
    AskState state;
    StatusCode status; /* of ASK_REFUSED */
    char *message;     /* of ASK_REFUSED, in the context that was current at ask_run; may be "" */
    bool unsent;
    bool again; /* its link broke once, so that it was asked over a new one */
} AskReply;

typedef struct Ask
{
    Operation operation;
    LinksNode **nodes;
    AskReply *replies; /* filled by ask_run */
    int count;
    Buffer frame;
    uint32 tag;

    /* Uses the answer of nodes[index], which is no error; false: it cannot be used,
     * replies[index].status may say why. */
    bool (*take)(struct Ask *ask, int index, const Frame *frame);
    void *argument;

    int want;          /* good answers that end it at once */
    int enough;        /* good answers that end it after patient_ms */
    uint64 patient_ms; /* a node that is silent for longer is a suspect */
    uint64 timeout_ms;

    int open;
    int good;
    uint64 started_ms;
    uint64 now_ms;
} Ask;

/*
 * Sends ask->frame, which was encoded with ask->tag, to the nodes and waits for the answers.
 * Everything up to timeout_ms is the caller's to fill. True when enough answers were good.
 */
bool ask_run(Links *links, Ask *ask);

#endif
