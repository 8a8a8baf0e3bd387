/*
 * Opens a table for reading, and lays the transaction's own puts over what the cluster has
 * (source_lay_over): every row of every path comes through here (F6).
 */
#include "fdw/run/source.h"

#include "utils/rel.h"
#include "utils/snapshot.h"

#include "fdw/base/compat.h"
#include "fdw/base/memory.h"
#include "fdw/transaction/pending.h"
#include "fdw/transaction/transaction.h"

static void
source_begin_own_writes(Source *source, CommandId before_command)
{
    source->before_command = before_command;
    source->memory = memory_in_context(CurrentMemoryContext);
    arena_init(&source->arena, &source->memory);
    buffer_init(&source->object, &source->memory);
    buffer_init(&source->context, &source->memory);
}

Source *
source_new(Relation relation, EState *estate, Index index, const Bitmapset *attributes,
           bool explain_only)
{
    Source *source = palloc0(sizeof(Source));

    source->info = relation_info(relation);
    if (explain_only)
        return source;
    source->counters.context = CurrentMemoryContext;
    source->cluster = transaction_cluster(source->info->serverid, compat_check_user(estate, index));
    source_begin_own_writes(source, estate->es_snapshot->curcid);
    source->codec = row_codec_new(source->info, RelationGetDescr(relation));
    row_codec_want(source->codec, attributes);
    if (list_member_int(estate->es_plannedstmt->resultRelations, (int)index))
        source->target = target_new();
    source->options.seal =
        source->target != NULL || row_codec_wants_context(source->codec, attributes);
    return source;
}

bool
source_open(Source *source)
{
    bool seal = source->options.seal;

    if (source->is_open)
        return source->bucket != NULL;
    source->options = relation_read_options(source->info);
    source->options.seal = seal;
    source->bucket = client_bucket(source->cluster, source->info->bucket);
    if (source->bucket != NULL)
        client_check_bucket(source->bucket, relation_as_bucket(source->info));
    source->is_open = true;
    return source->bucket != NULL;
}

void
source_lay_over(Source *source, PagerRow *row)
{
    const PendingBucket *pending =
        pending_seen(source->cluster, source->bucket, source->before_command);
    OverlayRead read = {
        .before_command = source->before_command, .object = row->object, .context = row->context};

    read.newest = pending != NULL ? pending_find(pending, row->key) : NULL;
    if (!overlay_is_seen(read.newest, read.before_command))
        return;
    read.key = pending_key(source->cluster, source->bucket, row->key);
    read.through = pending_through(source->cluster);
    arena_reset(&source->arena);
    /* Else the row is left as it is, for the codec to refuse. */
    if (!overlay_read(&source->arena, &read, &source->object, &source->context))
        return;
    row->object = buffer_slice(&source->object);
    row->context = buffer_slice(&source->context);
    source->counters.own_writes++;
}

void
source_keep_row(Source *source, Slice key, Slice object, Slice context, ItemPointer handle)
{
    TargetRow row = {
        .key = key, .context = context, .undeclared = row_undeclared(source->codec, object)};

    target_add(source->target, &row, handle);
}
