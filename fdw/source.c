#include "fdw/source.h"

#include "utils/rel.h"
#include "utils/snapshot.h"

#include "fdw/compat.h"
#include "fdw/pending.h"
#include "fdw/pool.h"
#include "fdw/settings.h"

Source *
source_new(Relation relation, EState *estate, Index index, const Bitmapset *attributes,
           bool explain_only)
{
    Source *source = palloc0(sizeof(Source));

    source->info = relation_info(relation);
    if (explain_only)
        return source;
    source->cluster = pool_cluster(source->info->serverid, compat_check_user(estate, index));
    pending_check_none(source->cluster, source->info->bucket, estate->es_snapshot->curcid);
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
    if (source->is_open)
        return source->bucket != NULL;
    source->options.r = relation_r(source->info);
    source->options.timeout_ms = (uint32)settings.request_timeout_ms;
    source->bucket = client_bucket(source->cluster, source->info->bucket);
    if (source->bucket != NULL)
        client_check_bucket(source->bucket, relation_as_bucket(source->info));
    source->is_open = true;
    return source->bucket != NULL;
}

void
source_keep_row(Source *source, Slice key, Slice object, Slice context, ItemPointer handle)
{
    TargetRow row = {
        .key = key, .context = context, .undeclared = row_undeclared(source->codec, object)};

    target_add(source->target, &row, handle);
}
