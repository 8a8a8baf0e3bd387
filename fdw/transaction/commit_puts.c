/*
 * Makes of each key's chain of puts the one that leaves, and groups those that may share a frame:
 * of one bucket, to reach one quorum.
 */
#include "fdw/transaction/commit_puts.h"

#include "fdw/base/memory.h"
#include "fdw/transaction/pending.h"

/* What is asked for of all that stands in the groups. */
typedef struct CommitPuts
{
    const ClientCluster *cluster;
    Memory memory;
    Arena arena;
    CommitPutGroup *groups;
    CommitPutGroup **end; /* where the next group goes */
} CommitPuts;

/* Few: one for each quorum that the transaction used with the bucket. Each may have to hold all
 * keys that are left. */
static CommitPutGroup *
commit_puts_group(CommitPuts *puts, const PendingBucket *bucket, const ClientQuorum *quorum)
{
    CommitPutGroup *group;

    for (group = puts->groups; group != NULL; group = group->next)
        if (group->bucket == bucket->bucket &&
            memcmp(&group->quorum, quorum, sizeof(ClientQuorum)) == 0)
            return group;
    group = palloc0(sizeof(CommitPutGroup));
    group->bucket = bucket->bucket;
    group->quorum = *quorum;
    *puts->end = group;
    puts->end = &group->next;
    return group;
}

static void
commit_puts_append(CommitPutGroup *group, const WriteItem *item)
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
commit_puts_quorum(const PendingKey *key)
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
commit_puts_add_key(CommitPuts *puts, const PendingKey *key)
{
    const PendingBucket *bucket = key->bucket;
    OverlayKey named = pending_key(puts->cluster, bucket->bucket, key->key);
    OverlayOutcome left = overlay_leave(&puts->arena, &named, &key->newest->put, puts->cluster);
    ClientQuorum quorum = commit_puts_quorum(key);
    WriteItem item = {.key = key->key,
                      .context = left.context,
                      .values = left.values,
                      .value_count = left.value_count};

    if (left.value_count > 0)
        commit_puts_append(commit_puts_group(puts, bucket, &quorum), &item);
}

/* The bucket's list of keys begins at its end. */
static void
commit_puts_add_bucket(CommitPuts *puts, const PendingBucket *bucket)
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
        commit_puts_add_key(puts, keys[i]);
    pfree(keys);
}

CommitPutGroup *
commit_puts_groups(const ClientCluster *cluster)
{
    CommitPuts puts = {.cluster = cluster};
    const PendingBucket *bucket = pending_buckets(cluster);

    puts.memory = memory_in_context(CurrentMemoryContext);
    puts.end = &puts.groups;
    arena_init(&puts.arena, &puts.memory);
    for (; bucket != NULL; bucket = bucket->next)
        if (bucket->key_count > 0)
            commit_puts_add_bucket(&puts, bucket);
    return puts.groups;
}
