#include "fdw/transaction/pool.h"

#include "access/xact.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "fdw/cluster/cluster.h"
#include "fdw/transaction/flush.h"
#include "fdw/transaction/pending.h"

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

typedef struct Pool
{
    HTAB *entries;
    PendingLogs *logs; /* of this transaction */
    MemoryContext context;
    bool used; /* the end of this transaction concerns some entry */
} Pool;

static Pool pool;

/* ---- invalidation ---- */

/*
 * Any change of a user mapping may change which mapping a user has, so it makes all stale; a
 * server's change makes its own.
 */
static void
pool_invalidate(Datum argument, int cache_id, uint32 hash)
{
    HASH_SEQ_STATUS scan;
    PoolEntry *entry;

    hash_seq_init(&scan, pool.entries);
    while ((entry = hash_seq_search(&scan)) != NULL)
        if (cache_id == USERMAPPINGOID || hash == 0 || entry->server_hash == hash)
            entry->stale = true;
    pool.used = true; /* so that the end of the transaction throws the stale ones away */
}

/* ---- the transaction's events ---- */

/*
 * A cancel is told with the counts of what was written, so it must not be raised from inside a wait
 * or by a warning. One that comes when all is written is too late to be true: the transaction
 * commits.
 */
static void
pool_flush(void)
{
    HASH_SEQ_STATUS scan;
    PoolEntry *entry;
    bool sent = false;

    HOLD_CANCEL_INTERRUPTS();
    hash_seq_init(&scan, pool.entries);
    while ((entry = hash_seq_search(&scan)) != NULL)
    {
        if (!entry->used || entry->cluster == NULL)
            continue;
        flush_run(entry->cluster);
        sent = sent || entry->cluster->flush != NULL;
    }
    if (sent)
        QueryCancelPending = false;
    RESUME_CANCEL_INTERRUPTS();
}

static void
pool_refuse_prepare(void)
{
    if (!pending_is_empty(pool.logs))
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("cannot PREPARE a transaction that has written to foreign tables of "
                               "dynamo_fdw")));
}

static void
pool_discard(PoolEntry *entry)
{
    ClientCluster *cluster = entry->cluster;

    entry->cluster = NULL;
    cluster_free(cluster);
}

static void
pool_end_transaction(bool committed)
{
    HASH_SEQ_STATUS scan;
    PoolEntry *entry;

    pool.used = false;
    hash_seq_init(&scan, pool.entries);
    while ((entry = hash_seq_search(&scan)) != NULL)
        if (entry->used && entry->cluster != NULL)
            flush_end(entry->cluster, committed);
    pending_drop(pool.logs);
    hash_seq_init(&scan, pool.entries);
    while ((entry = hash_seq_search(&scan)) != NULL)
    {
        if (entry->used && entry->cluster != NULL)
            cluster_end_transaction(entry->cluster);
        entry->used = false;
        if (entry->stale && entry->cluster != NULL)
            pool_discard(entry);
    }
}

static void
pool_on_transaction(XactEvent event, void *argument)
{
    if (!pool.used)
        return;
    switch (event)
    {
    case XACT_EVENT_PRE_COMMIT:
        pool_flush();
        break;
    case XACT_EVENT_PRE_PREPARE:
        pool_refuse_prepare();
        break;
    case XACT_EVENT_PARALLEL_PRE_COMMIT:
        break;
    case XACT_EVENT_COMMIT:
    case XACT_EVENT_PARALLEL_COMMIT:
    case XACT_EVENT_PREPARE:
        pool_end_transaction(true);
        break;
    case XACT_EVENT_ABORT:
    case XACT_EVENT_PARALLEL_ABORT:
        pool_end_transaction(false);
        break;
    }
}

static void
pool_on_subtransaction(SubXactEvent event, SubTransactionId subtransaction, SubTransactionId parent,
                       void *argument)
{
    if (pool.used && event == SUBXACT_EVENT_ABORT_SUB)
        pending_truncate(pool.logs, subtransaction);
}

/* ---- the clusters ---- */

static void
pool_begin(void)
{
    HASHCTL control = {.keysize = sizeof(PoolKey), .entrysize = sizeof(PoolEntry)};

    pool.context = AllocSetContextCreate(TopMemoryContext, "dynamo_fdw pool", ALLOCSET_SMALL_SIZES);
    pool.logs = pending_logs_new(pool.context);
    control.hcxt = pool.context;
    pool.entries =
        hash_create("dynamo_fdw clusters", 8, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
    CacheRegisterSyscacheCallback(FOREIGNSERVEROID, pool_invalidate, (Datum)0);
    CacheRegisterSyscacheCallback(USERMAPPINGOID, pool_invalidate, (Datum)0);
    RegisterXactCallback(pool_on_transaction, NULL);
    RegisterSubXactCallback(pool_on_subtransaction, NULL);
}

static void
pool_make(PoolEntry *entry)
{
    UserMapping *mapping = GetUserMapping(entry->key.user_id, entry->key.server_id);
    ForeignServer *server = GetForeignServer(entry->key.server_id);

    entry->server_hash =
        GetSysCacheHashValue1(FOREIGNSERVEROID, ObjectIdGetDatum(entry->key.server_id));
    entry->stale = false;
    entry->cluster = cluster_new(pool.context, server, mapping, entry->key.user_id);
    entry->cluster->logs = pool.logs;
}

ClientCluster *
pool_cluster(Oid server_id, Oid user_id)
{
    PoolKey key = {server_id, user_id};
    PoolEntry *entry;
    bool found;

    if (pool.entries == NULL)
        pool_begin();
    entry = hash_search(pool.entries, &key, HASH_ENTER, &found);
    if (!found)
        *entry = (PoolEntry){.key = key};
    if (entry->cluster != NULL && entry->stale && !entry->used)
        pool_discard(entry);
    if (entry->cluster == NULL)
        pool_make(entry);
    entry->used = true;
    pool.used = true;
    return entry->cluster;
}

void
pool_each(void (*visit)(const PoolView *view, void *argument), void *argument)
{
    HASH_SEQ_STATUS scan;
    PoolEntry *entry;

    if (pool.entries == NULL)
        return;
    hash_seq_init(&scan, pool.entries);
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
pool_disconnect(Oid server_id)
{
    HASH_SEQ_STATUS scan;
    PoolEntry *entry;
    bool closed = false;

    if (pool.entries == NULL)
        return false;
    hash_seq_init(&scan, pool.entries);
    while ((entry = hash_seq_search(&scan)) != NULL)
        if (entry->cluster != NULL && (!OidIsValid(server_id) || entry->key.server_id == server_id))
            closed |= pool_disconnect_entry(entry);
    return closed;
}
