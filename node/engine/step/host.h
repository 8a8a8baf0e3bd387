/*
 * Host: whoever runs a node's step modules: the daemon (node/host) or the simulator (test/sim). He
 * says who the node is, and does what only a process can do.
 *
 * What a step wants of him it asks for by an action (node/engine/step/step.h), which the engine
 * carries out by HostCalls when the step has returned. A step sees HostQuestions alone: what it
 * must be told in the middle of what it does.
 *
 * His functions are called from inside calls of the engine, and must not call back into it.
 */
#ifndef NODE_ENGINE_STEP_HOST_H
#define NODE_ENGINE_STEP_HOST_H

#include <stdbool.h>

#include "shared/base/bytes.h"
#include "shared/base/member_id.h"

/* Who the node is, and which cluster it expects. */
typedef struct HostConfig
{
    MemberId id;
    const char *name;
    const char *address; /* as peers reach this node: numeric */
    uint16_t port;
    const char *zone;
    uint32_t weight;
    const char *seeds; /* sorted "host:port" list, comma separated, own address included when a
                          seed; "" waits to be joined */
    uint32_t partitions;
    uint32_t peer_timeout_ms;      /* silence after which a peer counts as down */
    uint32_t buckets_per_user_max; /* that one user of this node may have made; 0: any number */
    bool leaves_plans; /* proposes no step of a plan under way: somebody else says when */
} HostConfig;

/* What is answered at once. */
typedef struct HostQuestions
{
    /* Who asks on the session: a user's name; NULL: nobody that has one. May be NULL itself. */
    const char *(*user)(void *context, uint64_t session);

    /* The number of the peer at that address; the host keeps a link to it from then on. */
    uint32_t (*peer)(void *context, const char *address, uint16_t port);
    uint64_t (*random)(void *context);
    uint64_t (*resident_bytes)(void *context); /* of the process; may be NULL */
    void *context;
} HostQuestions;

/* What he does, an action each. */
typedef struct HostCalls
{
    HostQuestions questions;
    void (*send)(void *context, uint32_t peer, Slice frame);
    void (*reply)(void *context, uint64_t session, Slice frame);

    /* To the peer's address and port, over UDP; may get lost. NULL: nothing is heard by gossip. */
    void (*datagram)(void *context, uint32_t peer, Slice datagram);

    /* Must be durable when it returns: the acceptor's promises and the chosen topology (rare,
     * small). */
    bool (*persist)(void *context, Slice state);

    /* Keeps what this node has seen of data directories, its own among them, for the next start; in
     * place of what was kept before. Durable before the first event when called by
     * engine_set_storage(), else soon. May be NULL. */
    void (*note)(void *context, Slice notes);
    void (*log)(void *context, const char *event);
    void (*warn)(void *context, const char *event); /* NULL: log will do */
    /* The node cannot be what it says it is, and must not go on: why, for people. NULL: it is
     * logged. */
    void (*end)(void *context, const char *why);
    void *context;
} HostCalls;

#endif
