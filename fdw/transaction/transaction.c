/*
 * Carries PostgreSQL's events of transactions and subtransactions to the clusters that were used.
 */
#include "fdw/transaction/transaction.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "fdw/cluster/cluster.h"
#include "fdw/transaction/flush.h"
#include "fdw/transaction/pending.h"

typedef struct Transaction
{
    Pool *pool;        /* NULL: nothing was used yet */
    PendingLogs *logs; /* of the transaction under way */
} Transaction;

static Transaction transaction;

static void
transaction_flush_cluster(const PoolView *view, void *argument)
{
    bool *sent = argument;

    if (!view->used)
        return;
    flush_run(view->cluster);
    *sent = *sent || view->cluster->flush != NULL;
}

/*
 * A cancel is told with the counts of what was written, so it must not be raised from inside a wait
 * or by a warning. One that comes when all is written is too late to be true: the transaction
 * commits.
 */
static void
transaction_flush(void)
{
    bool sent = false;

    HOLD_CANCEL_INTERRUPTS();
    pool_each(transaction.pool, transaction_flush_cluster, &sent);
    if (sent)
        QueryCancelPending = false;
    RESUME_CANCEL_INTERRUPTS();
}

static void
transaction_refuse_prepare(void)
{
    if (!pending_is_empty(transaction.logs))
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("cannot PREPARE a transaction that has written to foreign tables of "
                               "dynamo_fdw")));
}

static void
transaction_end_flush(const PoolView *view, void *argument)
{
    const bool *committed = argument;

    if (view->used)
        flush_end(view->cluster, *committed);
}

static void
transaction_end(bool committed)
{
    pool_each(transaction.pool, transaction_end_flush, &committed);
    pending_drop(transaction.logs);
    pool_end_transaction(transaction.pool);
}

static void
transaction_on_event(XactEvent event, void *argument)
{
    if (!pool_awaits_end(transaction.pool))
        return;
    switch (event)
    {
    case XACT_EVENT_PRE_COMMIT:
        transaction_flush();
        break;
    case XACT_EVENT_PRE_PREPARE:
        transaction_refuse_prepare();
        break;
    case XACT_EVENT_PARALLEL_PRE_COMMIT:
        break;
    case XACT_EVENT_COMMIT:
    case XACT_EVENT_PARALLEL_COMMIT:
    case XACT_EVENT_PREPARE:
        transaction_end(true);
        break;
    case XACT_EVENT_ABORT:
    case XACT_EVENT_PARALLEL_ABORT:
        transaction_end(false);
        break;
    }
}

static void
transaction_on_subtransaction(SubXactEvent event, SubTransactionId subtransaction,
                              SubTransactionId parent, void *argument)
{
    if (event == SUBXACT_EVENT_ABORT_SUB && pool_awaits_end(transaction.pool))
        pending_truncate(transaction.logs, subtransaction);
}

Pool *
transaction_pool(void)
{
    if (transaction.pool == NULL)
    {
        transaction.logs = pending_logs_new(TopMemoryContext);
        transaction.pool = pool_new();
        RegisterXactCallback(transaction_on_event, NULL);
        RegisterSubXactCallback(transaction_on_subtransaction, NULL);
    }
    return transaction.pool;
}

ClientCluster *
transaction_cluster(Oid server_id, Oid user_id)
{
    ClientCluster *cluster = pool_cluster(transaction_pool(), server_id, user_id);

    cluster->logs = transaction.logs;
    return cluster;
}
