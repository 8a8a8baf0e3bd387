/*
 * links: this backend's connections to the nodes of one cluster, and the one place where it waits for them.
 *
 * A link is opened when the first frame for its node is to be sent; frames wait with it while it connects, and nothing else
 * does. Received frames go to the operation whose tag they carry, whichever is being waited for; the rest are dropped.
 *
 * A node whose link cannot be made, breaks, or that was silent while others had to be asked, is a suspect: operations ask
 * it last. The links prove it well in the background of other waits, by any frame from it, or by a new link after a pause
 * that grows from 1 s to 10 s. So a node that is down costs one bounded delay and not one in each statement.
 *
 * Waits are interruptible. An ERROR may leave links_run() at any point: the links stay usable, since the kernel has whole
 * frames or libpq holds their rest, and tags are never used twice.
 */
#ifndef FDW_LINKS_H
#define FDW_LINKS_H

#include "fdw/operation.h"

typedef struct Links Links;

typedef struct LinksOptions
{
    const char **keywords; /* libpq's, but for host, hostaddr and port; NULL at the end */
    const char **values;
    uint64 connect_timeout_ms;
    bool password_needed; /* a node that does not ask for the password is not used */
} LinksOptions;

/* Lives in context, of which it makes a child; options are copied. */
Links *links_new(MemoryContext context, const LinksOptions *options);

/* Closes every link and frees all. */
void links_free(Links *links);

/* Closes every link; the nodes stay known. */
void links_close(Links *links);

/* True when a link is open or being made. */
bool links_are_open(const Links *links);

/* A node to link to; host is the name for TLS to check, NULL when it is the address. Copied. Connects to nothing. */
LinksNode *links_add(Links *links, const char *name, const char *host, const char *address,
                     uint16 port);
LinksNode *links_find(Links *links, const char *address, uint16 port);

/* Gives a node that was known by its address the name that the topology has for it. */
void links_rename(LinksNode *node, const char *name);

/* Forgets all other nodes, and closes their links; no operation may name them any more. */
void links_keep(Links *links, LinksNode *const *nodes, int count);

/* Sends what operation has to send and waits until it is done. Errors: the interrupts'. */
void links_run(Links *links, Operation *operation);

/* An operation that lives from one links_run to the next takes its frames also while another is waited for. */
void links_attach(Links *links, Operation *operation);
void links_detach(Links *links, Operation *operation);

/* The transaction is over: no operation is left. */
void links_detach_all(Links *links);

/* Shows every node to visit; strings are borrowed until it returns. */
typedef struct LinksView
{
    const char *name; /* NULL: not known yet */
    const char *address;
    uint16 port;
    bool connecting;
    bool up; /* frames can be sent */
    bool suspect;
    const char *error;
} LinksView;

void links_each(const Links *links, void (*visit)(const LinksView *view, void *argument),
                void *argument);

bool links_is_suspect(const LinksNode *node);
bool links_is_up(const LinksNode *node);

/* "name (address:port)". */
const char *links_label(const LinksNode *node);

/* Why the last link to the node failed, one line without a full stop; "" when it did not. */
const char *links_error(const LinksNode *node);

/* The SQLSTATE that came with it, or "". */
const char *links_sqlstate(const LinksNode *node);

/* Milliseconds of a clock that never jumps. */
uint64 links_now_ms(void);

#endif
