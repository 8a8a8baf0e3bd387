/*
 * A log keeps all puts to a cluster, with their bytes, in blocks. Subtransaction ids only grow, and
 * what a subtransaction and its children put is the end of the log while it lasts: so a ROLLBACK TO
 * cuts off the longest end whose ids are not below its own. A key stands behind its first put, and
 * goes with it.
 */
#include "fdw/transaction/pending.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "utils/memutils.h"

#include "fdw/base/memory.h"
#include "fdw/base/settings.h"
#include "fdw/cluster/cluster.h"
#include "fdw/cluster/report.h"

enum
{
    BLOCK_BYTES_FIRST = 4 * 1024,
    BLOCK_BYTES_MAX = 1024 * 1024,
    REQUEST_IDS = 64, /* drawn at once */
    KEYS_FIRST = 64
};

typedef struct PendingBlock
{
    struct PendingBlock *older;
    uint64 start; /* bytes of the log before this block */
    size_t size;
    size_t used;
    char *data;
} PendingBlock;

/* A log. */
typedef struct Pending
{
    struct Pending *next;
    PendingLogs *logs;     /* it is one of these, and lives in their context */
    uint8 cluster[16];     /* what the topology calls it */
    uint8 transaction[16]; /* drawn for it */
    PendingBlock *newest_block;
    PendingPut *newest;
    PendingBucket *buckets;
    uint64 key_count;
    uint64 through; /* the last number given */
} Pending;

struct PendingLogs
{
    MemoryContext context; /* reset when they are dropped */
    Pending *first;
    RequestId ids[REQUEST_IDS]; /* not used yet */
    int ids_left;
};

/* ---- logs ---- */

PendingLogs *
pending_logs_new(MemoryContext context)
{
    PendingLogs *logs = MemoryContextAllocZero(context, sizeof(PendingLogs));

    logs->context =
        AllocSetContextCreate(context, "dynamo_fdw pending writes", ALLOCSET_DEFAULT_SIZES);
    return logs;
}

/* NULL: nothing was put, or nobody has asked the cluster for anything yet. */
static Pending *
pending_log(const ClientCluster *cluster)
{
    Pending *pending = cluster->topology != NULL ? cluster->logs->first : NULL;

    while (pending != NULL && memcmp(pending->cluster, cluster->topology->topology.cluster,
                                     sizeof(pending->cluster)) != 0)
        pending = pending->next;
    return pending;
}

static void
pending_random(void *target, size_t length)
{
    if (!pg_strong_random(target, length))
        ereport(ERROR,
                (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
}

static RequestId
pending_draw_id(PendingLogs *logs)
{
    if (logs->ids_left == 0)
    {
        pending_random(logs->ids, sizeof(logs->ids));
        logs->ids_left = REQUEST_IDS;
    }
    return logs->ids[--logs->ids_left];
}

static Pending *
pending_begin(const ClientCluster *cluster)
{
    PendingLogs *logs = cluster->logs;
    Pending *pending = pending_log(cluster);
    RequestId id;

    if (pending != NULL)
        return pending;
    pending = MemoryContextAllocZero(logs->context, sizeof(Pending));
    pending->next = logs->first;
    pending->logs = logs;
    memcpy(pending->cluster, cluster->topology->topology.cluster, sizeof(pending->cluster));
    id = pending_draw_id(logs);
    memcpy(pending->transaction, id.bytes, sizeof(pending->transaction));
    logs->first = pending;
    return pending;
}

/* ---- memory ---- */

static uint64
pending_bytes(const Pending *pending)
{
    const PendingBlock *block = pending->newest_block;

    return (block != NULL ? block->start + block->used : 0) +
           pending->key_count * 2 * sizeof(SliceTableEntry);
}

static void
pending_check_bound(const Pending *pending, size_t more)
{
    if (pending_bytes(pending) + more > (uint64)settings.max_pending_kb * 1024)
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
    PendingBlock *older = pending->newest_block;
    size_t grown = older != NULL ? Min(older->size * 2, BLOCK_BYTES_MAX) : BLOCK_BYTES_FIRST;
    size_t payload = Max(grown, size);
    PendingBlock *block =
        MemoryContextAllocHuge(pending->logs->context, sizeof(PendingBlock) + payload);

    *block = (PendingBlock){.older = older,
                            .start = older != NULL ? older->start + older->used : 0,
                            .size = payload,
                            .data = (char *)(block + 1)};
    pending->newest_block = block;
}

static void *
pending_alloc(Pending *pending, size_t size)
{
    PendingBlock *block = pending->newest_block;
    void *start;

    size = MAXALIGN(size);
    if (block == NULL || block->size - block->used < size)
    {
        pending_add_block(pending, size);
        block = pending->newest_block;
    }
    start = block->data + block->used;
    block->used += size;
    return start;
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

/* Gives back what was allocated from start on. */
static void
pending_cut(Pending *pending, const void *start)
{
    PendingBlock *block = pending->newest_block;

    while ((const char *)start < block->data || (const char *)start >= block->data + block->size)
    {
        pending->newest_block = block->older;
        pfree(block);
        block = pending->newest_block;
    }
    block->used = (size_t)((const char *)start - block->data);
}

/* ---- buckets and keys ---- */

static PendingBucket *
pending_find_bucket(const Pending *pending, const Bucket *bucket)
{
    PendingBucket *found = pending->buckets;

    while (found != NULL && found->bucket->id != bucket->id)
        found = found->next;
    return found;
}

static PendingBucket *
pending_take_bucket(Pending *pending, const Bucket *bucket)
{
    PendingBucket *found = pending_find_bucket(pending, bucket);

    if (found != NULL)
        return found;
    found = MemoryContextAllocZero(pending->logs->context, sizeof(PendingBucket));
    *found = (PendingBucket){.next = pending->buckets,
                             .bucket = bucket,
                             .first_command = InvalidCommandId,
                             .keys = slicetable_create(pending->logs->context, KEYS_FIRST, NULL)};
    pending->buckets = found;
    return found;
}

static PendingKey *
pending_find_key(const PendingBucket *bucket, Slice key)
{
    const SliceTableEntry *found = slicetable_lookup(bucket->keys, &key);

    return found != NULL ? (PendingKey *)found->key : NULL;
}

/* The key of a first put, behind it in the log. */
static PendingKey *
pending_add_key(Pending *pending, PendingBucket *bucket, Slice key)
{
    PendingKey *added = pending_alloc(pending, sizeof(PendingKey));
    bool found;

    *added =
        (PendingKey){.key = pending_copy(pending, key), .previous = bucket->last, .bucket = bucket};
    slicetable_insert(bucket->keys, &added->key, &found);
    bucket->last = added;
    bucket->key_count++;
    pending->key_count++;
    return added;
}

/* Its last put is going, and so is the key, the one that was first put last. */
static void
pending_remove_key(Pending *pending, PendingKey *key)
{
    PendingBucket *bucket = key->bucket;

    bucket->last = key->previous;
    bucket->key_count--;
    pending->key_count--;
    slicetable_delete(bucket->keys, &key->key);
}

/* ---- puts ---- */

static int
compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(RequestId));
}

/* Siblings of one time are ordered by their ids: ascending ones keep a row's elements in order. */
static void
pending_name_values(PendingLogs *logs, PutValue *values, uint32 count)
{
    RequestId *ids;

    if (count == 1)
    {
        values[0].request = pending_draw_id(logs);
        return;
    }
    ids = palloc(sizeof(RequestId) * count);
    for (uint32 i = 0; i < count; i++)
        ids[i] = pending_draw_id(logs);
    qsort(ids, count, sizeof(RequestId), compare_ids);
    for (uint32 i = 0; i < count; i++)
        values[i].request = ids[i];
    pfree(ids);
}

static size_t
item_bytes(const WriteItem *item)
{
    return sizeof(PendingPut) + item->value_count * sizeof(PutValue) + write_item_bytes(item);
}

static PutValue *
pending_copy_values(Pending *pending, const WriteItem *item)
{
    PutValue *values = pending_alloc(pending, sizeof(PutValue) * item->value_count);

    for (uint32_t i = 0; i < item->value_count; i++)
        values[i] = (PutValue){.tombstone = item->values[i].tombstone,
                               .value = pending_copy(pending, item->values[i].value)};
    pending_name_values(pending->logs, values, item->value_count);
    return values;
}

static OverlayKey
pending_name_key(const Pending *pending, const Bucket *bucket, Slice key)
{
    OverlayKey named = {.bucket_id = bucket->id, .key = key};

    memcpy(named.transaction, pending->transaction, sizeof(named.transaction));
    return named;
}

/* What a put has seen, into the log. The puts of one key mostly have seen the same. */
static void
pending_copy_seen(Pending *pending, OverlayPut *put)
{
    Size size = sizeof(OverlayCover) * put->cover_count;

    if (put->older != NULL && slice_equal(put->older->context, put->context))
        put->context = put->older->context;
    else
        put->context = pending_copy(pending, put->context);
    if (size > 0)
        put->covers = memcpy(pending_alloc(pending, size), put->covers, size);
}

/* Raises before anything is allocated in the log, where that would stay. */
static void
pending_check(const Pending *pending, const Bucket *bucket, const WriteItem *item, Arena *arena,
              OverlayPut *put)
{
    OverlayKey key = pending_name_key(pending, bucket, item->key);
    StatusCode status = overlay_take_context(arena, &key, item->context, put);

    if (IsParallelWorker())
        ereport(ERROR,
                (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                 errmsg("cannot write to a foreign table of dynamo_fdw in a parallel worker")));
    if (status != STATUS_OK)
        report_context_refused(bucket, item->key, status);
    pending_check_bound(pending, item_bytes(item));
}

/* The put in the log, but for what it owes to its key. */
static PendingPut *
pending_add(Pending *pending, const OverlayPut *put, const ClientQuorum *quorum,
            const WriteItem *item)
{
    PendingPut *added = pending_alloc(pending, sizeof(PendingPut));

    *added = (PendingPut){
        .put = *put, .subtransaction = GetCurrentSubTransactionId(), .quorum = *quorum};
    added->put.number = pending->through + 1;
    pending_copy_seen(pending, &added->put);
    added->put.values = pending_copy_values(pending, item);
    added->put.value_count = item->value_count;
    return added;
}

static void
pending_link(Pending *pending, PendingPut *put, PendingKey *key)
{
    put->previous = pending->newest;
    put->key = key;
    key->newest = put;
    key->bucket->first_command = Min(key->bucket->first_command, put->put.command);
    pending->newest = put;
    pending->through += put->put.value_count;
}

void
pending_put(ClientCluster *cluster, const Bucket *bucket, const ClientQuorum *quorum,
            CommandId command, const WriteItem *item)
{
    Pending *pending = pending_begin(cluster);
    PendingBucket *home = pending_take_bucket(pending, bucket);
    PendingKey *key = pending_find_key(home, item->key);
    Memory memory = memory_in_context(CurrentMemoryContext);
    OverlayPut put = {
        .older = key != NULL ? &key->newest->put : NULL, .command = command, .sender = cluster};
    PendingPut *added;
    Arena arena;

    arena_init(&arena, &memory);
    pending_check(pending, bucket, item, &arena, &put);
    added = pending_add(pending, &put, quorum, item);
    arena_free(&arena);
    if (key == NULL)
        key = pending_add_key(pending, home, item->key);
    pending_link(pending, added, key);
}

/* ---- finding ---- */

const PendingBucket *
pending_buckets(const ClientCluster *cluster)
{
    const Pending *pending = pending_log(cluster);

    return pending != NULL ? pending->buckets : NULL;
}

const PendingBucket *
pending_seen(const ClientCluster *cluster, const Bucket *bucket, CommandId before_command)
{
    const Pending *pending = pending_log(cluster);
    const PendingBucket *found = pending != NULL ? pending_find_bucket(pending, bucket) : NULL;

    if (found == NULL || found->key_count == 0 || found->first_command >= before_command)
        return NULL;
    return found;
}

const OverlayPut *
pending_find(const PendingBucket *bucket, Slice key)
{
    const PendingKey *found = pending_find_key(bucket, key);

    return found != NULL ? &found->newest->put : NULL;
}

const OverlayPut *
pending_newest(const ClientCluster *cluster, const Bucket *bucket, Slice key)
{
    const Pending *pending = pending_log(cluster);
    const PendingBucket *found = pending != NULL ? pending_find_bucket(pending, bucket) : NULL;

    return found != NULL ? pending_find(found, key) : NULL;
}

OverlayKey
pending_key(const ClientCluster *cluster, const Bucket *bucket, Slice key)
{
    return pending_name_key(pending_log(cluster), bucket, key);
}

uint64
pending_through(const ClientCluster *cluster)
{
    return pending_log(cluster)->through;
}

bool
pending_is_empty(const PendingLogs *logs)
{
    const Pending *pending = logs->first;

    while (pending != NULL && pending->newest == NULL)
        pending = pending->next;
    return pending == NULL;
}

/* ---- going back ---- */

static void
pending_remove(Pending *pending, PendingPut *put)
{
    pending->newest = put->previous;
    put->key->newest = (PendingPut *)put->put.older;
    if (put->key->newest == NULL)
        pending_remove_key(pending, put->key);
}

static void
pending_truncate_log(Pending *pending, SubTransactionId subtransaction)
{
    PendingPut *first = NULL;

    while (pending->newest != NULL && pending->newest->subtransaction >= subtransaction)
    {
        first = pending->newest;
        pending_remove(pending, first);
    }
    if (first != NULL)
        pending_cut(pending, first);
}

void
pending_truncate(PendingLogs *logs, SubTransactionId subtransaction)
{
    for (Pending *pending = logs->first; pending != NULL; pending = pending->next)
        pending_truncate_log(pending, subtransaction);
}

void
pending_drop(PendingLogs *logs)
{
    if (logs->first == NULL)
        return;
    logs->first = NULL;
    MemoryContextReset(logs->context);
}
