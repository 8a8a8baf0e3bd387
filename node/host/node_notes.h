/*
 * NodeNotes: a small file of the node's folder that is written anew now and then, by a thread of
 * the pool, so that the loop never waits for the disk.
 */
#ifndef NODE_HOST_NODE_NOTES_H
#define NODE_HOST_NODE_NOTES_H

#include "node/config/log.h"
#include "shared/base/bytes.h"

#include <uv.h>

typedef struct NodeNotes NodeNotes;

/* The file DIR/name. Everything is borrowed until node_notes_close is over. */
NodeNotes *node_notes_new(uv_loop_t *loop, const char *dir, const char *name, Log *log);

/* Writes it, and waits: for the start. */
void node_notes_write_now(NodeNotes *notes, Slice bytes);

/* Has it written soon; of several that wait the last one counts. */
void node_notes_write(NodeNotes *notes, Slice bytes);

/* closed runs when everything has been written, possibly before this returns; notes is gone then.
 */
void node_notes_close(NodeNotes *notes, void (*closed)(void *ctx), void *ctx);

#endif
