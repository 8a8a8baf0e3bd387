/*
 * Writes a small file on the pool, one version at a time. While one version is being written the
 * newest of the next ones waits, and takes the place of those before it: the file ends with the
 * last version, and a node that notes often costs no more than its disk can do.
 */
#include "node/host/node_notes.h"

#include <stdlib.h>

#include "node/config/identity.h"
#include "node/config/identity_state.h"

enum
{
    PATH_SIZE = 4096
};

struct NodeNotes
{
    uv_loop_t *loop;
    const char *dir;
    const char *name;
    Log *log;
    uv_work_t work;
    Buffer writing; /* the pool's while busy */
    Buffer waiting;
    Outcome outcome;
    bool busy;
    bool waits;
    bool closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

NodeNotes *
node_notes_new(uv_loop_t *loop, const char *dir, const char *name, Log *log)
{
    NodeNotes *notes = memory_resize(&MEMORY_HEAP, NULL, sizeof(NodeNotes));

    *notes = (NodeNotes){.loop = loop, .dir = dir, .name = name, .log = log};
    notes->work.data = notes;
    buffer_init(&notes->writing, &MEMORY_HEAP);
    buffer_init(&notes->waiting, &MEMORY_HEAP);
    return notes;
}

static void
log_notes_failure(const NodeNotes *notes)
{
    if (notes->outcome.failed)
        log_error(notes->log,
                  "%s; without this note the next start may fill the data directory although "
                  "nothing is missing",
                  notes->outcome.message);
}

static Outcome
replace_file(const NodeNotes *notes, Slice bytes)
{
    char path[PATH_SIZE];

    return identity_state_replace(identity_path(notes->dir, notes->name, path, sizeof(path)),
                                  bytes);
}

void
node_notes_write_now(NodeNotes *notes, Slice bytes)
{
    notes->outcome = replace_file(notes, bytes);
    log_notes_failure(notes);
}

static void
write_on_pool(uv_work_t *work)
{
    NodeNotes *notes = work->data;

    notes->outcome = replace_file(notes, buffer_slice(&notes->writing));
}

static void
finish_notes_close(NodeNotes *notes)
{
    void (*closed)(void *ctx) = notes->closed;
    void *ctx = notes->closed_ctx;

    buffer_free(&notes->writing);
    buffer_free(&notes->waiting);
    memory_resize(&MEMORY_HEAP, notes, 0);
    closed(ctx);
}

static void write_next(NodeNotes *notes);

static void
on_notes_written(uv_work_t *work, int status)
{
    NodeNotes *notes = work->data;

    (void)status;
    notes->busy = false;
    log_notes_failure(notes);
    write_next(notes);
    if (!notes->busy && notes->closing)
        finish_notes_close(notes);
}

static void
write_next(NodeNotes *notes)
{
    Slice bytes = buffer_slice(&notes->waiting);

    if (notes->busy || !notes->waits)
        return;
    buffer_reset(&notes->writing);
    buffer_put(&notes->writing, bytes.data, bytes.length);
    notes->waits = false;
    notes->busy = true;
    if (uv_queue_work(notes->loop, &notes->work, write_on_pool, on_notes_written) != 0)
        abort();
}

void
node_notes_write(NodeNotes *notes, Slice bytes)
{
    buffer_reset(&notes->waiting);
    buffer_put(&notes->waiting, bytes.data, bytes.length);
    notes->waits = true;
    write_next(notes);
}

/* The version that waits is written first, since the last notes say that the data are whole. */
void
node_notes_close(NodeNotes *notes, void (*closed)(void *ctx), void *ctx)
{
    notes->closing = true;
    notes->closed = closed;
    notes->closed_ctx = ctx;
    if (!notes->busy)
        finish_notes_close(notes);
}
