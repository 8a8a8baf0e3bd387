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

/* Writes the file before it returns: for the start, when nothing may be written before it. */
void node_notes_write_now(NodeNotes *notes, Slice bytes);

/* Has the file written by the pool. Of several versions that wait only the last one is written. */
void node_notes_write(NodeNotes *notes, Slice bytes);

/* Calls closed when everything has been written, possibly before this returns. notes is freed then.
 */
void node_notes_close(NodeNotes *notes, void (*closed)(void *ctx), void *ctx);

#endif
