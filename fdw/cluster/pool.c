/*
 * The table of clusters by server and user, and what makes an entry of it stale.
 */
#include "fdw/cluster/pool.h"

#include "foreign/foreign.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "fdw/cluster/cluster.h"

typedef struct PoolKey
{
    Oid server_id;
    Oid user_id;
} PoolKey;

typedef struct PoolEntry
{
    PoolKey key;
    ClientCluster *cluster; /* NULL: none now */
    uint32 server_hash;     /* of the server in its syscache */
    bool stale;
    bool used; /* by this transaction */
} PoolEntry;

struct Pool
{
    HTAB *entries;
    MemoryContext context;
    bool awaits_end;
};

/*
 * Any change of a user mapping may change which mapping a user has, so it makes all stale; a
 * server's change makes its own. This runs in the middle of whatever takes a lock, so nothing is
 * thrown away here: the end of the transaction does that.
 */
static void
pool_invalidate(Datum argument, int cache_id, uint32 hash)
{
    Pool *pool = (Pool *)DatumGetPointer(argument);
    HASH_SEQ_STATUS scan;
    PoolEntry *entry;

    hash_seq_init(&scan, pool->entries);
    while ((entry = hash_seq_search(&scan)) != NULL)
        if (cache_id == USERMAPPINGOID || hash == 0 || entry->server_hash == hash)
            entry->stale = true;
    pool->awaits_end = true;
}

Pool *
pool_new(void)
{
    MemoryContext context =
        AllocSetContextCreate(TopMemoryContext, "dynamo_fdw pool", ALLOCSET_SMALL_SIZES);
    HASHCTL control = {.keysize = sizeof(PoolKey), .entrysize = sizeof(PoolEntry), .hcxt = context};
    Pool *pool = MemoryContextAllocZero(context, sizeof(Pool));

    pool->context = context;
    pool->entries =
        hash_create("dynamo_fdw clusters", 8, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
    CacheRegisterSyscacheCallback(FOREIGNSERVEROID, pool_invalidate, PointerGetDatum(pool));
    CacheRegisterSyscacheCallback(USERMAPPINGOID, pool_invalidate, PointerGetDatum(pool));
    return pool;
}

static void
pool_discard(PoolEntry *entry)
{
    ClientCluster *cluster = entry->cluster;

    entry->cluster = NULL;
    cluster_free(cluster);
}

static void
pool_make(const Pool *pool, PoolEntry *entry)
{
    UserMapping *mapping = GetUserMapping(entry->key.user_id, entry->key.server_id);
    ForeignServer *server = GetForeignServer(entry->key.server_id);

    entry->server_hash =
        GetSysCacheHashValue1(FOREIGNSERVEROID, ObjectIdGetDatum(entry->key.server_id));
    entry->stale = false;
    entry->cluster = cluster_new(pool->context, server, mapping, entry->key.user_id);
}

ClientCluster *
pool_cluster(Pool *pool, Oid server_id, Oid user_id)
{
    PoolKey key = {server_id, user_id};
    PoolEntry *entry;
    bool found;

    entry = hash_search(pool->entries, &key, HASH_ENTER, &found);
    if (!found)
        *entry = (PoolEntry){.key = key};
    if (entry->cluster != NULL && entry->stale && !entry->used)
        pool_discard(entry);
    if (entry->cluster == NULL)
        pool_make(pool, entry);
    entry->used = true;
    pool->awaits_end = true;
    return entry->cluster;
}

void
pool_each(const Pool *pool, void (*visit)(const PoolView *view, void *argument), void *argument)
{
    HASH_SEQ_STATUS scan;
    PoolEntry *entry;

    hash_seq_init(&scan, pool->entries);
    while ((entry = hash_seq_search(&scan)) != NULL)
    {
        PoolView view = {.server_id = entry->key.server_id,
                         .user_id = entry->key.user_id,
                         .stale = entry->stale,
                         .used = entry->used,
                         .cluster = entry->cluster};

        if (entry->cluster != NULL)
            visit(&view, argument);
    }
}

bool
pool_awaits_end(const Pool *pool)
{
    return pool->awaits_end;
}

void
pool_end_transaction(Pool *pool)
{
    HASH_SEQ_STATUS scan;
    PoolEntry *entry;

    pool->awaits_end = false;
    hash_seq_init(&scan, pool->entries);
    while ((entry = hash_seq_search(&scan)) != NULL)
    {
        if (entry->used && entry->cluster != NULL)
            cluster_end_transaction(entry->cluster);
        entry->used = false;
        if (entry->stale && entry->cluster != NULL)
            pool_discard(entry);
    }
}

/* True when a link was open. */
static bool
pool_disconnect_entry(PoolEntry *entry)
{
    bool was_open = links_are_open(entry->cluster->links);

    if (entry->used)
    {
        ereport(WARNING, (errmsg("cannot close the connections to server \"%s\", which this "
                                 "transaction uses",
                                 entry->cluster->server_name)));
        return false;
    }
    pool_discard(entry);
    return was_open;
}

bool
pool_disconnect(Pool *pool, Oid server_id)
{
    HASH_SEQ_STATUS scan;
    PoolEntry *entry;
    bool closed = false;

    hash_seq_init(&scan, pool->entries);
    while ((entry = hash_seq_search(&scan)) != NULL)
        if (entry->cluster != NULL && (!OidIsValid(server_id) || entry->key.server_id == server_id))
            closed |= pool_disconnect_entry(entry);
    return closed;
}
