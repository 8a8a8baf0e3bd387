/*
 * context_info: the SQL functions that show contexts to people and compare them.
 *
 * A backend has no cluster key, so nothing here is verified: an edited context is shown as it says.
 * A pending piece counts as a place in its transaction's log of writes: a later place of the same
 * transaction has seen all of an earlier one. Whether that transaction was committed since, and
 * what its writes became, cannot be told from outside, so sealed and pending pieces never cover one
 * another.
 */
#include "fdw/base/pg.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

#include "fdw/base/compat.h"
#include "fdw/base/memory.h"
#include "shared/base/status.h"
#include "shared/data/context.h"

typedef struct ContextInfo
{
    Memory memory; /* where it was read */
    Arena arena;
    ContextPiece *pieces;
    uint32 count;
} ContextInfo;

static Slice
context_info_argument(FunctionCallInfo fcinfo, int number)
{
    bytea *context = PG_GETARG_BYTEA_PP(number);

    return slice_make(VARDATA_ANY(context), VARSIZE_ANY_EXHDR(context));
}

static void
context_info_read(ContextInfo *info, Slice context)
{
    Reader reader = reader_begin(context);
    Buffer pieces;

    info->memory = memory_in_context(CurrentMemoryContext);
    arena_init(&info->arena, &info->memory);
    buffer_init(&pieces, &info->memory);
    while (reader_left(&reader) > 0)
    {
        ContextPiece piece = context_next(&reader, &info->arena);

        if (reader.failed)
            ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                            errmsg("%s", status_text(STATUS_CONTEXT_MALFORMED)),
                            errhint("Pass the value of a context column unchanged.")));
        buffer_put(&pieces, &piece, sizeof(piece));
    }
    info->pieces = (ContextPiece *)pieces.data;
    info->count = (uint32)(pieces.length / sizeof(ContextPiece));
}

/* ---- dynamo_context_info ---- */

enum
{
    INFO_PIECE,
    INFO_KIND,
    INFO_BUCKET_ID,
    INFO_KEY_HASH,
    INFO_CLUSTER_KEY,
    INFO_ACTOR,
    INFO_EPOCH,
    INFO_COUNTER,
    INFO_TRANSACTION,
    INFO_WRITES,
    INFO_COLUMNS
};

typedef struct ContextInfoRow
{
    Datum values[INFO_COLUMNS];
    bool nulls[INFO_COLUMNS];
} ContextInfoRow;

static void
context_info_set(ContextInfoRow *row, int column, Datum value)
{
    row->values[column] = value;
    row->nulls[column] = false;
}

static char *
context_info_hex(Slice bytes)
{
    StringInfoData text;

    initStringInfo(&text);
    for (size_t i = 0; i < bytes.length; i++)
        appendStringInfo(&text, "%02x", bytes.data[i]);
    return text.data;
}

static Datum
context_info_uuid(const uint8_t bytes[UUID_LEN])
{
    pg_uuid_t *uuid = palloc(sizeof(pg_uuid_t));

    memcpy(uuid->data, bytes, UUID_LEN);
    return UUIDPGetDatum(uuid);
}

static void
context_info_put(ReturnSetInfo *result, const ContextInfoRow *row)
{
    tuplestore_putvalues(result->setResult, result->setDesc, (Datum *)row->values,
                         (bool *)row->nulls);
}

/* A row for each entry of the piece's version vector, one row where there is none. */
static void
context_info_put_piece(ReturnSetInfo *result, uint32 number, const ContextPiece *piece)
{
    bool sealed = piece->kind == CONTEXT_PIECE_SEALED;
    ContextInfoRow row;

    memset(row.nulls, true, sizeof(row.nulls));
    context_info_set(&row, INFO_PIECE, Int32GetDatum((int32)number));
    context_info_set(&row, INFO_KIND, CStringGetTextDatum(sealed ? "sealed" : "pending"));
    context_info_set(&row, INFO_BUCKET_ID, Int64GetDatum(piece->bucket_id));
    context_info_set(&row, INFO_KEY_HASH, CStringGetTextDatum(context_info_hex(piece->key_hash)));
    if (!sealed)
    {
        context_info_set(&row, INFO_TRANSACTION, context_info_uuid(piece->pending.transaction));
        context_info_set(&row, INFO_WRITES, Int64GetDatum((int64)piece->pending.through));
        context_info_put(result, &row);
        return;
    }
    context_info_set(&row, INFO_CLUSTER_KEY, CStringGetTextDatum(context_info_hex(piece->key_id)));
    if (piece->clock.count == 0)
        context_info_put(result, &row);
    for (uint32 i = 0; i < piece->clock.count; i++)
    {
        const Dot *entry = &piece->clock.entries[i];

        context_info_set(&row, INFO_ACTOR, context_info_uuid(entry->actor.id));
        context_info_set(&row, INFO_EPOCH, Int64GetDatum((int64)entry->epoch));
        context_info_set(&row, INFO_COUNTER, Int64GetDatum((int64)entry->counter));
        context_info_put(result, &row);
    }
}

PG_FUNCTION_INFO_V1(dynamo_context_info);
PGDLLEXPORT Datum
dynamo_context_info(PG_FUNCTION_ARGS)
{
    ContextInfo info;

    InitMaterializedSRF(fcinfo, 0);
    context_info_read(&info, context_info_argument(fcinfo, 0));
    for (uint32 i = 0; i < info.count; i++)
        context_info_put_piece((ReturnSetInfo *)fcinfo->resultinfo, i + 1, &info.pieces[i]);
    return (Datum)0;
}

/* ---- dynamo_descends, dynamo_concurrent ---- */

static void
context_info_check_same_key(const ContextPiece *a, const ContextPiece *b)
{
    if (a->bucket_id != b->bucket_id || !slice_equal(a->key_hash, b->key_hash))
        ereport(ERROR,
                (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                 errmsg("the contexts belong to different keys"),
                 errdetail("One is of bucket %u and key hash %s, one of bucket %u and key hash %s.",
                           a->bucket_id, context_info_hex(a->key_hash), b->bucket_id,
                           context_info_hex(b->key_hash)),
                 errhint("Compare only contexts that were read from rows of the same "
                         "key.")));
}

/* Both must be of one key; a context without pieces is one of any key. */
static void
context_info_check_pair(const ContextInfo *a, const ContextInfo *b)
{
    const ContextInfo *both[] = {a, b};
    const ContextPiece *first = a->count > 0 ? &a->pieces[0] : b->pieces;

    for (int which = 0; which < 2; which++)
        for (uint32 i = 0; i < both[which]->count; i++)
            context_info_check_same_key(first, &both[which]->pieces[i]);
}

static VClock
context_info_clock(ContextInfo *info)
{
    VClock clock = {0};

    for (uint32 i = 0; i < info->count; i++)
        if (info->pieces[i].kind == CONTEXT_PIECE_SEALED)
            clock = vclock_merge(&info->arena, &clock, &info->pieces[i].clock);
    return clock;
}

static bool
context_info_has_seen_pending(const ContextInfo *info, const ContextPending *wanted)
{
    for (uint32 i = 0; i < info->count; i++)
    {
        const ContextPiece *piece = &info->pieces[i];
        const ContextPending *pending = &piece->pending;

        if (piece->kind == CONTEXT_PIECE_PENDING && pending->through >= wanted->through &&
            pending->before_command >= wanted->before_command &&
            memcmp(pending->transaction, wanted->transaction, sizeof(wanted->transaction)) == 0)
            return true;
    }
    return false;
}

static bool
context_info_descends(ContextInfo *a, ContextInfo *b)
{
    VClock clock_a = context_info_clock(a);
    VClock clock_b = context_info_clock(b);
    VClockOrder order = vclock_compare(&clock_a, &clock_b);

    if (order != VCLOCK_EQUAL && order != VCLOCK_AFTER)
        return false;
    for (uint32 i = 0; i < b->count; i++)
        if (b->pieces[i].kind == CONTEXT_PIECE_PENDING &&
            !context_info_has_seen_pending(a, &b->pieces[i].pending))
            return false;
    return true;
}

static void
context_info_read_pair(FunctionCallInfo fcinfo, ContextInfo *a, ContextInfo *b)
{
    context_info_read(a, context_info_argument(fcinfo, 0));
    context_info_read(b, context_info_argument(fcinfo, 1));
    context_info_check_pair(a, b);
}

PG_FUNCTION_INFO_V1(dynamo_descends);
PGDLLEXPORT Datum
dynamo_descends(PG_FUNCTION_ARGS)
{
    ContextInfo a;
    ContextInfo b;

    context_info_read_pair(fcinfo, &a, &b);
    PG_RETURN_BOOL(context_info_descends(&a, &b));
}

PG_FUNCTION_INFO_V1(dynamo_concurrent);
PGDLLEXPORT Datum
dynamo_concurrent(PG_FUNCTION_ARGS)
{
    ContextInfo a;
    ContextInfo b;

    context_info_read_pair(fcinfo, &a, &b);
    PG_RETURN_BOOL(!context_info_descends(&a, &b) && !context_info_descends(&b, &a));
}
