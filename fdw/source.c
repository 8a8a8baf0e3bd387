#include "fdw/source.h"

#include "utils/rel.h"

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
    /* A row that is checked again is so in the middle of a statement. */
    if (estate->es_epq_active == NULL)
        pending_check_none(source->cluster, source->info->bucket);
    source->codec = row_codec_new(source->info, RelationGetDescr(relation));
    row_codec_want(source->codec, attributes);
    source->options.seal = AttributeNumberIsValid(source->info->context_attnum) &&
                           row_attribute_is_read(attributes, source->info->context_attnum);
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
