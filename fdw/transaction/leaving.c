#include "fdw/transaction/leaving.h"

#include "fdw/base/memory.h"
#include "fdw/transaction/pending.h"

/* What is asked for of all that stands in the groups. */
typedef struct Leaving
{
    const ClientCluster *cluster;
    Memory memory;
    Arena arena;
    LeavingGroup *groups;
    LeavingGroup **end; /* where the next group goes */
} Leaving;

/* Few: one for each quorum that the transaction used with the bucket. Each may have to hold all
 * keys that are left. */
static LeavingGroup *
leaving_group(Leaving *leaving, const PendingBucket *bucket, const ClientQuorum *quorum)
{
    LeavingGroup *group;

    for (group = leaving->groups; group != NULL; group = group->next)
        if (group->bucket == bucket->bucket &&
            memcmp(&group->quorum, quorum, sizeof(ClientQuorum)) == 0)
            return group;
    group = palloc0(sizeof(LeavingGroup));
    group->bucket = bucket->bucket;
    group->quorum = *quorum;
    *leaving->end = group;
    leaving->end = &group->next;
    return group;
}

static void
leaving_append(LeavingGroup *group, const WriteItem *item)
{
    enum
    {
        ITEMS_FIRST = 16
    };

    if (group->count == group->capacity)
    {
        group->capacity = Max(ITEMS_FIRST, group->capacity * 2);
        group->items = group->items == NULL
                           ? palloc(sizeof(WriteItem) * (Size)group->capacity)
                           : repalloc_huge(group->items, sizeof(WriteItem) * (Size)group->capacity);
    }
    group->items[group->count++] = *item;
}

static ClientQuorum
leaving_quorum(const PendingKey *key)
{
    ClientQuorum most = {0};

    for (const OverlayPut *put = &key->newest->put; put != NULL; put = put->older)
    {
        const ClientQuorum *quorum = &((const PendingPut *)put)->quorum;

        most.w = Max(most.w, quorum->w);
        most.pw = Max(most.pw, quorum->pw);
        most.confirms = Max(most.confirms, quorum->confirms);
    }
    return most;
}

static void
leaving_add_key(Leaving *leaving, const PendingKey *key)
{
    const PendingBucket *bucket = key->bucket;
    OverlayKey named = pending_key(leaving->cluster, bucket->bucket, key->key);
    OverlayLeaving left =
        overlay_leave(&leaving->arena, &named, &key->newest->put, leaving->cluster);
    ClientQuorum quorum = leaving_quorum(key);
    WriteItem item = {.key = key->key,
                      .context = left.context,
                      .values = left.values,
                      .value_count = left.value_count};

    if (left.value_count > 0)
        leaving_append(leaving_group(leaving, bucket, &quorum), &item);
}

/* The bucket's list of keys begins at its end. */
static void
leaving_add_bucket(Leaving *leaving, const PendingBucket *bucket)
{
    const PendingKey **keys =
        palloc_extended(sizeof(*keys) * (Size)bucket->key_count, MCXT_ALLOC_HUGE);
    const PendingKey *key = bucket->last;

    for (uint32 i = bucket->key_count; i > 0; i--)
    {
        keys[i - 1] = key;
        key = key->previous;
    }
    for (uint32 i = 0; i < bucket->key_count; i++)
        leaving_add_key(leaving, keys[i]);
    pfree(keys);
}

LeavingGroup *
leaving_groups(const ClientCluster *cluster)
{
    Leaving leaving = {.cluster = cluster};
    const PendingBucket *bucket = pending_buckets(cluster);

    leaving.memory = memory_in_context(CurrentMemoryContext);
    leaving.end = &leaving.groups;
    arena_init(&leaving.arena, &leaving.memory);
    for (; bucket != NULL; bucket = bucket->next)
        if (bucket->key_count > 0)
            leaving_add_bucket(&leaving, bucket);
    return leaving.groups;
}
