/*
 * links: this backend's connections to the nodes of one cluster, and the one place where it waits
 * for them.
 *
 * A link is opened when the first frame for its node is to be sent; frames wait with it while it
 * connects, and nothing else does. Received frames go to the operation whose tag they carry,
 * whichever is being waited for; the rest are dropped.
 *
 * A node whose link cannot be made, breaks, or that was silent while others had to be asked, is a
 * suspect: operations ask it last. The links prove it well in the background of other waits, by any
 * frame from it, or by a new link: beside the old one while that is there, since TCP tries a packet
 * again only after as long as it has tried in vain. So a node that is down costs one bounded delay
 * and not one in each statement.
 *
 * A link that broke while nobody waited makes no suspect: it is found dead before it is used, and
 * opened anew.
 *
 * Waits are interruptible. An ERROR may leave links_run() at any point: the links stay usable,
 * since the kernel has whole frames or libpq holds their rest, and tags are never used twice.
 */
#ifndef FDW_CLUSTER_LINKS_H
#define FDW_CLUSTER_LINKS_H

#include "fdw/base/pg.h"

#include "fdw/cluster/links_node.h"

typedef struct Links Links;

/* Lives in a child of context; options are copied. */
Links *links_new(MemoryContext context, const LinksOptions *options);

/* Closes every link and frees all. */
void links_free(Links *links);

/* True when a link is open or being made. */
bool links_are_open(const Links *links);

/*
 * A node to link to; host is the name for TLS to check, NULL when it is the address; name may be
 * NULL. Copied. Connects to nothing.
 */
LinksNode *links_add(Links *links, const char *name, const char *host, const char *address,
                     uint16 port);
LinksNode *links_find(Links *links, const char *address, uint16 port);

/* Forgets all other nodes, and closes their links; no operation may name them any more. */
void links_keep(Links *links, LinksNode *const *nodes, int count);

/* Shows every node to visit. */
void links_each(const Links *links, void (*visit)(const LinksNode *node, void *argument),
                void *argument);

/* The least that any node has said it takes. */
LinksLimits links_limits(const Links *links);

/* Sends the frames of operation and waits until it is done. Only an interrupt raises an ERROR. */
void links_run(Links *links, Operation *operation);

/* Waits for nothing but the time, while frames that come are handed out. */
void links_pause(Links *links, uint64 pause_ms);

/* An operation that lives from one links_run to the next takes its frames also while another is
 * waited for. */
void links_attach(Links *links, Operation *operation);
void links_detach(Links *links, Operation *operation);

/* The transaction is over: no operation is left. */
void links_detach_all(Links *links);

/* Milliseconds of a clock that never jumps. */
uint64 links_now_ms(void);

#endif
