/*
 * Node: the engine joined to the world, libuv loop, storage, links to peers, sessions of the
 * server.
 *
 * Everything runs on the loop's thread. Sessions of the server, and questions the node asks itself
 * (the console's GET), are numbered for the engine; an answer to a number that has gone is dropped.
 */
#ifndef NODE_HOST_NODE_H
#define NODE_HOST_NODE_H

#include "node/config/config.h"
#include "node/config/identity.h"
#include "node/config/log.h"
#include "node/config/outcome.h"
#include "node/engine/engine.h"
#include "node/server/server.h"

typedef struct Node Node;

enum
{
    NODE_ADDRESS_SIZE = 64
};

typedef struct NodeStart
{
    uv_loop_t *loop;
    const char *dir;
    const Config *config;
    const Identity *identity;
    Log *log;

    /* The node should be closed and opened anew. */
    void (*restart)(void *ctx);
    void *ctx;
} NodeStart;

/*
 * Makes numeric addresses of the names in the options; waits for the system to know them. address
 * is set to the one under which others reach this node, seeds to a list that is sorted and names
 * each seed once, so that nodes can compare their lists as sets. The caller frees seeds with
 * memory_resize, also after a failure. Refused are names that the system does not know, and an own
 * address on the loopback when a seed is on another machine.
 */
Outcome node_resolve(const Config *config, char address[NODE_ADDRESS_SIZE],
                     char **seeds) MUST_CHECK;

/* Opens storage and begins to connect to the seeds. Everything in start is borrowed until
 * node_close is over. */
Outcome node_open(const NodeStart *start, Node **node) MUST_CHECK;

/* Takes part in gossip, over UDP at the address that the server listens on. */
Outcome node_listen(Node *node, const struct sockaddr *address) MUST_CHECK;

/* Takes the options that were reloaded. */
void node_reload(Node *node);

/* Completes what storage has begun, closes the links; closed runs on the loop when nothing is left.
 */
void node_close(Node *node, void (*closed)(void *ctx), void *ctx);

/* The identity's cluster keys have changed. */
void node_keys_changed(Node *node);

/* Parts of ServerHandler. */
void node_stream_started(Node *node, Session *session);
void node_stream_frame(Node *node, Session *session, Slice frame);
void node_session_closed(Node *node, Session *session);
void node_turn_end(Node *node);

const Engine *node_engine(const Node *node);
StorageCounters node_storage_counters(const Node *node);

/* Why storage takes no writes; "" as long as it does. */
const char *node_storage_failure(const Node *node);
uint64_t node_uptime_ms(const Node *node);
uint64_t node_resident_bytes(void);

/* As engine_scrub. */
void node_scrub(Node *node, bool begin);

/* The last failure to reach a member, "" when there is none. */
const char *node_member_error(const Node *node, uint32_t member);

/*
 * Carries out a frame as if a client had sent it (its tag is of no account). answer is called once,
 * during the call or later; the frame given to it is valid during the call. Returns a number that
 * node_forget takes.
 */
typedef void (*NodeAnswer)(void *ctx, const Frame *answer);
uint64_t node_ask(Node *node, Slice frame, NodeAnswer answer, void *ctx);

/* The answer is no longer wanted. Harmless when it has come. */
void node_forget(Node *node, uint64_t question);

#endif
