/*
 * The writer: takes whatever the loop has handed over, writes it as one batch, syncs once, hands it
 * back.
 *
 * While one sync runs the next batch gathers, so writes share syncs without anybody waiting on
 * purpose. No lock is shared: the kernel is asked only to wake the writer when it sleeps, and the
 * loop when it has not been told yet.
 */
#include "node/rocks/rocks_private.h"

#include <stdio.h>
#include <stdlib.h>

enum
{
    /* The most that one write takes: batches that come meanwhile must not wait for more. */
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

/* A stack of one pointer: the loop pushes, the writer takes all at once, so neither waits for the
 * other. True when the stack was empty, that is, when the other thread has yet to be told. */
static bool
hand_over(RocksHandover *handover, RocksBatch *batch)
{
    RocksBatch *before = atomic_load(handover);

    do
        batch->next = before;
    while (!atomic_compare_exchange_weak(handover, &before, batch));
    return before == NULL; /* the batch itself may be in use already */
}

/* Takes all that was handed over. The stack has the newest first, and batches must be written in
 * the order of their turns, so it is turned over. */
static void
take_over(RocksHandover *handover, RocksQueue *queue)
{
    RocksBatch *newest = atomic_exchange(handover, NULL);
    RocksBatch *oldest = NULL;

    while (newest != NULL)
    {
        RocksBatch *next = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL)
    {
        RocksBatch *next = oldest->next;

        queue_append(queue, oldest);
        oldest = next;
    }
}

/* Waits for work when the queue has none. An empty group: there is none, and none will come. */
static RocksQueue
take_group(RocksWriter *writer, RocksQueue *queue)
{
    RocksQueue group = {NULL, NULL};
    size_t bytes = 0;

    /* A token is taken before each take_over(), so there are never more than two. */
    if (queue->first == NULL)
    {
        uv_sem_wait(&writer->work);
        take_over(&writer->handed, queue);
    }
    while (queue->first != NULL && bytes < WRITE_BYTES)
    {
        RocksBatch *batch = queue_take(queue);

        bytes += batch->bytes;
        queue_append(&group, batch);
    }
    return group;
}

static void
write_row(rocksdb_writebatch_t *write, Slice key, Slice value)
{
    if (value.length > 0)
        rocksdb_writebatch_put(write, (const char *)key.data, key.length, (const char *)value.data,
                               value.length);
    else
        rocksdb_writebatch_delete(write, (const char *)key.data, key.length);
}

static void
write_batch(rocksdb_writebatch_t *write, const RocksBatch *batch)
{
    for (const RocksItem *item = batch->first; item != NULL; item = item->after)
        write_row(write, item->node.key, item->record);
    for (const RocksRow *row = batch->first_row; row != NULL; row = row->after)
        if (row->end.length == 0)
            write_row(write, row->key, row->value);
        else
            rocksdb_writebatch_delete_range(write, (const char *)row->key.data, row->key.length,
                                            (const char *)row->end.data, row->end.length);
}

/* Puts all batches of the group into one write of RocksDB, which is atomic, and syncs it once. */
static char *
write_group(const Rocks *rocks, rocksdb_writebatch_t *write, const RocksQueue *group)
{
    char *error = NULL;

    rocksdb_writebatch_clear(write);
    for (const RocksBatch *batch = group->first; batch != NULL; batch = batch->next)
        write_batch(write, batch);
    rocksdb_write(rocks->db, rocks->write_options, write, &error);
    return error;
}

static void
hand_back(RocksWriter *writer, RocksQueue *group, bool synced, uint64_t commits)
{
    bool unaware = false;

    group->first->leads = true;
    /* A batch belongs to the loop as soon as it is handed over, so it is filled in before. */
    for (RocksBatch *batch = queue_take(group); batch != NULL; batch = queue_take(group))
    {
        batch->synced = synced;
        batch->commits = commits;
        unaware |= hand_over(&writer->done, batch);
    }
    if (unaware)
        uv_async_send(&writer->finished);
}

static void
writer_main(void *argument)
{
    Rocks *rocks = argument;
    RocksWriter *writer = &rocks->writer;
    rocksdb_writebatch_t *write = rocksdb_writebatch_create();
    RocksQueue queue = {NULL, NULL};
    bool failed = false;

    for (RocksQueue group = take_group(writer, &queue); group.first != NULL;
         group = take_group(writer, &queue))
    {
        char *error;

        rocks_space_look(rocks);
        error = failed ? NULL : write_group(rocks, write, &group);
        if (error != NULL)
        {
            failed = true;
            snprintf(writer->failure, sizeof(writer->failure), "%s", error);
            rocksdb_free(error);
        }
        hand_back(writer, &group, !failed, rocksdb_get_latest_sequence_number(rocks->db));
    }
    rocksdb_writebatch_destroy(write);
    atomic_store(&writer->ended, true);
    uv_async_send(&writer->finished);
}

/* The first failed batch names the reason, before the events of its applies: whoever is told "not
 * durable" can ask why. */
static void
on_finished(uv_async_t *async)
{
    Rocks *rocks = async->data;
    RocksWriter *writer = &rocks->writer;
    bool ended = atomic_load(&writer->ended); /* before done: what comes after it is the last */
    RocksQueue done = {NULL, NULL};

    take_over(&writer->done, &done);
    for (RocksBatch *batch = queue_take(&done); batch != NULL; batch = queue_take(&done))
    {
        if (!batch->synced && !rocks->broken)
            rocks_fail(rocks, rocks->writer.failure);
        rocks_batch_done(rocks, batch);
    }
    rocks_space_check(rocks);
    if (ended)
        rocks_writer_ended(rocks);
}

void
rocks_writer_start(Rocks *rocks)
{
    RocksWriter *writer = &rocks->writer;

    if (uv_sem_init(&writer->work, 0) != 0 ||
        uv_async_init(rocks->loop, &writer->finished, on_finished) != 0)
        abort();
    writer->finished.data = rocks;
    if (uv_thread_create(&writer->thread, writer_main, rocks) != 0)
        abort();
}

void
rocks_writer_submit(Rocks *rocks, RocksBatch *batch)
{
    if (hand_over(&rocks->writer.handed, batch))
        uv_sem_post(&rocks->writer.work);
}

void
rocks_writer_stop(Rocks *rocks)
{
    uv_sem_post(&rocks->writer.work);
}

void
rocks_writer_free(Rocks *rocks)
{
    uv_sem_destroy(&rocks->writer.work);
}
