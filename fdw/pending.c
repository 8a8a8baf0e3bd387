/*
 * A log keeps the bytes of all puts to a cluster in blocks; beside it the entries of each bucket
 * stand in an array of their own, ready to be handed to requests. Subtransaction ids only grow, and
 * what a subtransaction and its children put is the end of the log while it lasts: so a ROLLBACK TO
 * cuts off the longest end whose ids are not below its own.
 */
#include "fdw/pending.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "utils/memutils.h"

#include "fdw/cluster.h"
#include "fdw/settings.h"

enum
{
    BLOCK_BYTES_FIRST = 4 * 1024,
    BLOCK_BYTES_MAX = 1024 * 1024,
    ENTRIES_FIRST = 16,
    REQUEST_IDS = 32 /* drawn at once */
};

typedef struct PendingBlock
{
    struct PendingBlock *older;
    uint64 start; /* bytes of the log before this block */
    size_t size;
    size_t used;
    char *data;
} PendingBlock;

typedef struct PendingTag
{
    SubTransactionId subtransaction;
    CommandId first_command; /* of this entry and all before it */
    uint64 position;         /* where the entry begins in the log */
} PendingTag;

typedef struct Pending
{
    MemoryContext context; /* reset when the log is dropped */
    PendingBlock *newest;
    PendingGroup *groups;
    uint64 array_bytes; /* of the groups */
    RequestId ids[REQUEST_IDS];
    int ids_left;
} Pending;

/* ---- the log ---- */

static Pending *
pending_begin(ClientCluster *cluster)
{
    Pending *pending = MemoryContextAllocZero(cluster->context, sizeof(Pending));

    pending->context = AllocSetContextCreate(cluster->context, "dynamo_fdw pending writes",
                                             ALLOCSET_DEFAULT_SIZES);
    cluster->pending = pending;
    return pending;
}

static uint64
pending_position(const Pending *pending)
{
    return pending->newest != NULL ? pending->newest->start + pending->newest->used : 0;
}

static void
pending_check_bound(const Pending *pending, size_t more)
{
    uint64 bytes = pending_position(pending) + pending->array_bytes + more;

    if (bytes > (uint64)settings.max_pending_kb * 1024)
        ereport(
            ERROR,
            (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
             errmsg("the unsent writes of this transaction take more than dynamo_fdw.max_pending "
                    "(%d kB)",
                    settings.max_pending_kb),
             errhint("Raise dynamo_fdw.max_pending, or write in several transactions.")));
}

static void
pending_add_block(Pending *pending, size_t size)
{
    size_t grown = pending->newest != NULL ? Min(pending->newest->size * 2, BLOCK_BYTES_MAX)
                                           : BLOCK_BYTES_FIRST;
    size_t payload = Max(grown, size);
    PendingBlock *block = MemoryContextAllocHuge(pending->context, sizeof(PendingBlock) + payload);

    *block = (PendingBlock){.older = pending->newest,
                            .start = pending_position(pending),
                            .size = payload,
                            .data = (char *)(block + 1)};
    pending->newest = block;
}

static void *
pending_alloc(Pending *pending, size_t size)
{
    void *place;

    size = MAXALIGN(size);
    if (pending->newest == NULL || pending->newest->size - pending->newest->used < size)
        pending_add_block(pending, size);
    place = pending->newest->data + pending->newest->used;
    pending->newest->used += size;
    return place;
}

static Slice
pending_copy(Pending *pending, Slice slice)
{
    void *copy;

    if (slice.length == 0)
        return SLICE_EMPTY;
    copy = pending_alloc(pending, slice.length);
    memcpy(copy, slice.data, slice.length);
    return slice_make(copy, slice.length);
}

/* ---- entries ---- */

static RequestId
pending_draw_id(Pending *pending)
{
    if (pending->ids_left == 0)
    {
        if (!pg_strong_random(pending->ids, sizeof(pending->ids)))
            ereport(ERROR,
                    (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
        pending->ids_left = REQUEST_IDS;
    }
    return pending->ids[--pending->ids_left];
}

static int
compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(RequestId));
}

/* Siblings of one time are ordered by their ids: ascending ones keep a row's elements in order. */
static void
pending_name_values(Pending *pending, PutValue *values, uint32 count)
{
    RequestId *ids;

    if (count == 1)
    {
        values[0].request = pending_draw_id(pending);
        return;
    }
    ids = palloc(sizeof(RequestId) * count);
    for (uint32 i = 0; i < count; i++)
        ids[i] = pending_draw_id(pending);
    qsort(ids, count, sizeof(RequestId), compare_ids);
    for (uint32 i = 0; i < count; i++)
        values[i].request = ids[i];
    pfree(ids);
}

static PendingGroup *
pending_group(Pending *pending, const Bucket *bucket, uint32 w)
{
    PendingGroup **place = &pending->groups;
    PendingGroup *group;

    for (; (group = *place) != NULL; place = &group->next)
        if (group->bucket->id == bucket->id && group->w == w)
            return group;
    group = MemoryContextAllocZero(pending->context, sizeof(PendingGroup));
    group->bucket = bucket;
    group->w = w;
    *place = group;
    return group;
}

static void
pending_grow(Pending *pending, PendingGroup *group)
{
    uint32 capacity = group->capacity > 0 ? group->capacity * 2 : ENTRIES_FIRST;
    Size items = sizeof(WriteItem) * (Size)capacity;
    Size tags = sizeof(PendingTag) * (Size)capacity;

    if (group->capacity == 0)
    {
        group->items = MemoryContextAlloc(pending->context, items);
        group->tags = MemoryContextAlloc(pending->context, tags);
    }
    else
    {
        group->items = repalloc_huge(group->items, items);
        group->tags = repalloc_huge(group->tags, tags);
    }
    pending->array_bytes += (items + tags) - (items + tags) / capacity * group->capacity;
    group->capacity = capacity;
}

static size_t
item_bytes(const WriteItem *item)
{
    size_t bytes = item->key.length + item->context.length;

    for (uint32_t i = 0; i < item->value_count; i++)
        bytes += sizeof(PutValue) + item->values[i].value.length;
    return bytes;
}

static WriteItem
pending_copy_item(Pending *pending, const WriteItem *item)
{
    WriteItem copy = {.key = pending_copy(pending, item->key),
                      .context = pending_copy(pending, item->context),
                      .values = pending_alloc(pending, sizeof(PutValue) * item->value_count),
                      .value_count = item->value_count};

    for (uint32_t i = 0; i < item->value_count; i++)
        copy.values[i] = (PutValue){.tombstone = item->values[i].tombstone,
                                    .value = pending_copy(pending, item->values[i].value)};
    pending_name_values(pending, copy.values, item->value_count);
    return copy;
}

void
pending_put(ClientCluster *cluster, const Bucket *bucket, uint32 w, CommandId command,
            const WriteItem *item)
{
    Pending *pending = cluster->pending != NULL ? cluster->pending : pending_begin(cluster);
    PendingGroup *group = pending_group(pending, bucket, w);
    PendingTag tag = {.subtransaction = GetCurrentSubTransactionId(),
                      .first_command = command,
                      .position = pending_position(pending)};

    if (group->count > 0)
        tag.first_command = Min(command, group->tags[group->count - 1].first_command);
    if (IsParallelWorker())
        ereport(ERROR,
                (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                 errmsg("cannot write to a foreign table of dynamo_fdw in a parallel worker")));
    pending_check_bound(pending, item_bytes(item));
    if (group->count == group->capacity)
        pending_grow(pending, group);
    group->items[group->count] = pending_copy_item(pending, item);
    group->tags[group->count] = tag;
    group->count++;
}

void
pending_check_none(const ClientCluster *cluster, const char *bucket_name, CommandId command)
{
    const PendingGroup *group = pending_groups(cluster);

    for (; group != NULL; group = group->next)
        if (group->count > 0 && group->tags[group->count - 1].first_command < command &&
            strcmp(group->bucket->name, bucket_name) == 0)
            ereport(ERROR,
                    (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                     errmsg("cannot read bucket \"%s\" in a transaction that has written to it",
                            bucket_name),
                     errdetail("The writes are sent when the transaction commits."),
                     errhint("Commit first, or read before the first write.")));
}

const PendingGroup *
pending_groups(const ClientCluster *cluster)
{
    return cluster->pending != NULL ? cluster->pending->groups : NULL;
}

bool
pending_is_empty(const ClientCluster *cluster)
{
    const PendingGroup *group = pending_groups(cluster);

    while (group != NULL && group->count == 0)
        group = group->next;
    return group == NULL;
}

/* ---- going back ---- */

static void
pending_cut(Pending *pending, uint64 position)
{
    while (pending->newest != NULL && pending->newest->start >= position)
    {
        PendingBlock *block = pending->newest;

        pending->newest = block->older;
        pfree(block);
    }
    if (pending->newest != NULL && pending_position(pending) > position)
        pending->newest->used = (size_t)(position - pending->newest->start);
}

void
pending_truncate(ClientCluster *cluster, SubTransactionId subtransaction)
{
    Pending *pending = cluster->pending;
    uint64 position = PG_UINT64_MAX;

    for (PendingGroup *group = pending != NULL ? pending->groups : NULL; group != NULL;
         group = group->next)
    {
        while (group->count > 0 && group->tags[group->count - 1].subtransaction >= subtransaction)
        {
            group->count--;
            position = Min(position, group->tags[group->count].position);
        }
    }
    if (position != PG_UINT64_MAX)
        pending_cut(pending, position);
}

void
pending_drop(ClientCluster *cluster)
{
    Pending *pending = cluster->pending;

    if (pending == NULL || pending->groups == NULL)
        return;
    MemoryContextReset(pending->context);
    pending->newest = NULL;
    pending->groups = NULL;
    pending->array_bytes = 0;
}
