/*
 * Shared by the node*.c files. node.c joins the engine to loop, storage, sockets and links;
 * node_streams.c has the sessions that carry frames, and the node's own questions.
 */
#ifndef NODE_HOST_NODE_PRIVATE_H
#define NODE_HOST_NODE_PRIVATE_H

#include "node/host/node.h"
#include "node/host/node_datagrams.h"
#include "node/host/node_notes.h"
#include "node/host/peers.h"

typedef struct NodeStream
{
    Session *session; /* NULL: the slot is free */
    uint32_t generation;
} NodeStream;

typedef struct NodeQuestion
{
    NodeAnswer answer; /* NULL: the slot is free */
    void *ctx;
    uint32_t generation;
} NodeQuestion;

struct Node
{
    NodeStart start;
    EngineConfig config;
    char address[NODE_ADDRESS_SIZE]; /* numeric */
    char *seeds;                     /* numeric, sorted, without blanks */
    Engine *engine;
    Storage *storage;
    NodeNotes *notes;
    bool opened;
    Peers *peers;
    NodeDatagrams *datagrams; /* NULL until node_listen */
    Run run;
    uv_timer_t timer;
    uint64_t timer_due_ms;
    uint64_t started_ms;
    uint64_t now_ms; /* of the event that is handled */
    bool peers_held; /* frames of other nodes are not read */
    NodeStream *streams;
    uint32_t stream_count;
    NodeQuestion *questions;
    uint32_t question_count;
    bool closing;
    uint32_t parts_open; /* of storage, peers, notes, timer */
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* Every event begins here, so that the engine sees the time it happened. */
Engine *node_enter(Node *node);

/* Host.reply: an answer to a session, or to a question of the node's own. */
void node_streams_reply(void *context, uint64_t number, Slice frame);

/* HostQuestions.user. */
const char *node_streams_user(void *context, uint64_t number);

/* Has the sessions of other nodes read from again, or not. */
void node_streams_hold_peers(Node *node);

#endif
