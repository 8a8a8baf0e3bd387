/*
 * The writer: takes whatever the loop has handed over, writes it as one batch, syncs once, hands it
 * back.
 *
 * While one sync runs the next batch gathers, so writes share syncs without anybody waiting on
 * purpose.
 */
#include "node/rocks_private.h"

#include <stdio.h>
#include <stdlib.h>

enum
{
    /* Of one write: what has gathered behind it must not wait for megabytes. */
    WRITE_BYTES = 8 * 1024 * 1024
};

static void
queue_append(RocksQueue *queue, RocksBatch *batch)
{
    batch->next = NULL;
    if (queue->last != NULL)
        queue->last->next = batch;
    else
        queue->first = batch;
    queue->last = batch;
}

static RocksBatch *
queue_take(RocksQueue *queue)
{
    RocksBatch *batch = queue->first;

    if (batch == NULL)
        return NULL;
    queue->first = batch->next;
    if (queue->first == NULL)
        queue->last = NULL;
    return batch;
}

/* Waits for work. An empty group: there is none, and none will come. */
static RocksQueue
take_group(RocksWriter *writer)
{
    RocksQueue group = {NULL, NULL};
    size_t bytes = 0;

    uv_mutex_lock(&writer->mutex);
    while (writer->queue.first == NULL && !writer->stopping)
    {
        writer->idle = true;
        uv_cond_wait(&writer->wake, &writer->mutex);
    }
    writer->idle = false;
    while (writer->queue.first != NULL && bytes < WRITE_BYTES)
    {
        RocksBatch *batch = queue_take(&writer->queue);

        bytes += batch->bytes;
        queue_append(&group, batch);
    }
    uv_mutex_unlock(&writer->mutex);
    return group;
}

/* Returns what RocksDB said, or NULL when the group is durable. */
static char *
write_group(const Rocks *rocks, rocksdb_writebatch_t *write, const RocksQueue *group)
{
    char *error = NULL;

    rocksdb_writebatch_clear(write);
    for (const RocksBatch *batch = group->first; batch != NULL; batch = batch->next)
    {
        for (const RocksItem *item = batch->first; item != NULL; item = item->after)
            rocksdb_writebatch_put(write, (const char *)item->node.key.data, item->node.key.length,
                                   (const char *)item->record.data, item->record.length);
    }
    rocksdb_write(rocks->db, rocks->write_options, write, &error);
    return error;
}

static void
hand_back(RocksWriter *writer, RocksQueue *group, bool synced)
{
    group->first->leads = true;
    uv_mutex_lock(&writer->mutex);
    for (RocksBatch *batch = queue_take(group); batch != NULL; batch = queue_take(group))
    {
        batch->synced = synced;
        queue_append(&writer->done, batch);
    }
    uv_mutex_unlock(&writer->mutex);
    uv_async_send(&writer->finished);
}

static void
note_failure(RocksWriter *writer, char *error)
{
    uv_mutex_lock(&writer->mutex);
    snprintf(writer->failure, sizeof(writer->failure), "%s", error);
    uv_mutex_unlock(&writer->mutex);
    rocksdb_free(error);
}

static void
writer_main(void *argument)
{
    Rocks *rocks = argument;
    RocksWriter *writer = &rocks->writer;
    rocksdb_writebatch_t *write = rocksdb_writebatch_create();
    bool failed = false;

    for (RocksQueue group = take_group(writer); group.first != NULL; group = take_group(writer))
    {
        char *error = failed ? NULL : write_group(rocks, write, &group);

        if (error != NULL)
        {
            failed = true;
            note_failure(writer, error);
        }
        hand_back(writer, &group, !failed);
    }
    rocksdb_writebatch_destroy(write);
    uv_mutex_lock(&writer->mutex);
    writer->ended = true;
    uv_mutex_unlock(&writer->mutex);
    uv_async_send(&writer->finished);
}

static void
on_finished(uv_async_t *async)
{
    Rocks *rocks = async->data;
    RocksWriter *writer = &rocks->writer;

    uv_mutex_lock(&writer->mutex);

    RocksQueue done = writer->done;
    bool ended = writer->ended;

    writer->done = (RocksQueue){NULL, NULL};
    if (writer->failure[0] != '\0' && !rocks->storage.failed)
    {
        rocks->storage.failed = true;
        snprintf(rocks->failure, sizeof(rocks->failure), "%s", writer->failure);
    }
    uv_mutex_unlock(&writer->mutex);
    for (RocksBatch *batch = queue_take(&done); batch != NULL; batch = queue_take(&done))
        rocks_batch_done(rocks, batch);
    if (ended)
        rocks_writer_ended(rocks);
}

void
rocks_writer_start(Rocks *rocks)
{
    RocksWriter *writer = &rocks->writer;

    if (uv_mutex_init(&writer->mutex) != 0 || uv_cond_init(&writer->wake) != 0 ||
        uv_async_init(rocks->loop, &writer->finished, on_finished) != 0)
        abort();
    writer->finished.data = rocks;
    if (uv_thread_create(&writer->thread, writer_main, rocks) != 0)
        abort();
}

void
rocks_writer_submit(Rocks *rocks, RocksBatch *batch)
{
    RocksWriter *writer = &rocks->writer;

    uv_mutex_lock(&writer->mutex);

    bool idle = writer->idle;

    writer->idle = false;
    queue_append(&writer->queue, batch);
    uv_mutex_unlock(&writer->mutex);
    if (idle)
        uv_cond_signal(&writer->wake);
}

void
rocks_writer_stop(Rocks *rocks)
{
    RocksWriter *writer = &rocks->writer;

    uv_mutex_lock(&writer->mutex);
    writer->stopping = true;
    uv_mutex_unlock(&writer->mutex);
    uv_cond_signal(&writer->wake);
}

void
rocks_writer_free(Rocks *rocks)
{
    uv_cond_destroy(&rocks->writer.wake);
    uv_mutex_destroy(&rocks->writer.mutex);
}
