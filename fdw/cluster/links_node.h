/*
 * links_node: one node as a backend knows it: its address, its link, the frames that wait for the
 * link, and whether the node is a suspect. Part of fdw/cluster/links.h, which does the waiting.
 *
 * States: no link; connecting (frames queue up); streaming; streaming and silent, while a spare
 * link is made, which takes the link's place once it is up. A link that breaks is closed at once
 * and the node becomes a suspect, which it stays until a frame comes from it or a new link to it is
 * up.
 */
#ifndef FDW_CLUSTER_LINKS_NODE_H
#define FDW_CLUSTER_LINKS_NODE_H

#include "fdw/base/pg.h"

#include "lib/ilist.h"

#include "fdw/cluster/operation.h"
#include "shared/wire/link.h"

typedef struct LinksOptions
{
    const char **keywords; /* libpq's, but for host, hostaddr and port; NULL at the end */
    const char **values;
    uint64 connect_timeout_ms;
} LinksOptions;

/* What the node tells its owner. */
typedef struct LinksNodeEvents
{
    void (*lost)(void *owner, LinksNode *node, bool reached, uint64 now_ms);
    void (*heard)(void *owner, LinksNode *node, uint64 now_ms); /* a chunk of a frame has come */
    void (*frame)(void *owner, LinksNode *node, const Frame *frame, uint64 now_ms);
} LinksNodeEvents;

/* A frame that waits for its link. */
typedef struct LinksNodeFrame
{
    const Operation *operation; /* may be gone: only compared */
    Slice bytes;                /* a copy in the node's memory */
} LinksNodeFrame;

/* A link's socket in the set that is waited for. */
typedef struct LinksEvent
{
    int position;    /* in the set */
    pgsocket socket; /* PGINVALID_SOCKET: none */
    uint32 mask;
} LinksEvent;

/* The sizes that nodes take, in bytes; 0: they have not said. */
typedef struct LinksLimits
{
    uint32 key;
    uint32 value;
} LinksLimits;

struct LinksNode
{
    dlist_node listed;
    MemoryContext context;
    Memory memory; /* the context's, for its link */
    const LinksOptions *options;
    const LinksNodeEvents *events;
    void *owner;
    char *name; /* NULL: not known yet */
    char *host;
    char *address;
    uint16 port;
    char *endpoint; /* "address:port" */
    char *label;

    Link *link; /* NULL: none */
    bool streaming;
    Link *spare;    /* NULL: none */
    bool looked_at; /* between two waits: that it is lost is no news of the node */
    bool flush_wanted;
    bool socket_moved;    /* the set that is waited for does not hold its present sockets */
    uint64 connect_by_ms; /* of the link that is being made */
    uint64 redial_at_ms;  /* when that link is tried anew, while nobody answers */
    LinksNodeFrame *queue;
    int queued;
    int queue_capacity;

    LinksEvent event;
    LinksEvent spare_event;

    LinksLimits limits; /* as of its last login */
    bool suspect;
    uint64 pause_ms;
    uint64 prove_at_ms; /* a suspect's next try */
    char sqlstate[6];
    char error[512];
};

/* In a child of context; options, events and owner are borrowed. */
LinksNode *links_node_new(MemoryContext context, const LinksOptions *options,
                          const LinksNodeEvents *events, void *owner, const char *name,
                          const char *host, const char *address, uint16 port);
void links_node_free(LinksNode *node);
void links_node_rename(LinksNode *node, const char *name);

/* Hands the frame to the link, which is opened first if there is none. A failure, also one that is
 * seen at once, is reported by events->lost. */
void links_node_send(LinksNode *node, const Operation *operation, Slice frame);
void links_node_flush(LinksNode *node);

/* Goes on with what the link's socket is ready for, and hands out frames; the same for the spare's.
 */
void links_node_step(LinksNode *node);
void links_node_step_spare(LinksNode *node);

/* Closes a link that was lost while nobody waited. */
void links_node_look(LinksNode *node);

/* Breaks a link that has been connecting for too long, and gives a suspect its next try. */
void links_node_check_time(LinksNode *node, uint64 now_ms);

/* Nobody waited for that long, so that a link which is being made could not get on. */
void links_node_skip_time(LinksNode *node, uint64 idle_ms);

/* When links_node_check_time has something to do. */
uint64 links_node_wake_ms(const LinksNode *node);

/* "name (address:port)". */
static inline const char *
links_node_label(const LinksNode *node)
{
    return node->label;
}

static inline const char *
links_node_endpoint(const LinksNode *node)
{
    return node->endpoint;
}

/* Why the last link failed, one line without a full stop, and the SQLSTATE with it; "" when it did
 * not. */
static inline const char *
links_node_error(const LinksNode *node)
{
    return node->error;
}

static inline const char *
links_node_sqlstate(const LinksNode *node)
{
    return node->sqlstate;
}

static inline bool
links_node_is_suspect(const LinksNode *node)
{
    return node->suspect;
}

static inline bool
links_node_is_up(const LinksNode *node)
{
    return node->streaming && !node->suspect;
}

/* It was silent while others had to be asked. */
void links_node_suspect(LinksNode *node, uint64 now_ms);

/* Forgets the queued frames of an operation, or of all when it is NULL. */
void links_node_drop_queued(LinksNode *node, const Operation *operation);

#endif
