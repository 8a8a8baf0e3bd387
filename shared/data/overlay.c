/* A transaction's own puts laid over what the store has. Happy path: overlay_take_context() for
 * each put, overlay_read() for each read of a key that was put, overlay_leave() at commit. The log
 * itself is fdw/transaction/pending. */
#include "shared/data/overlay.h"

#include <stdlib.h>
#include <string.h>

enum
{
    PIECES_FIRST = 4,
    EPOCH = 1 /* of the transaction as an actor */
};

/* ---- pieces ---- */

/* What some contexts have seen together: no piece twice, none that another one makes needless. */
typedef struct OverlayPieces
{
    Arena *arena;
    const OverlayKey *key;
    ContextPiece *pieces;
    uint32_t count;
    uint32_t capacity;
    Slice last; /* the context added last: those of one key's puts are mostly the same */
    Slice rest; /* bytes that are no piece; they would hide what stands behind them */
} OverlayPieces;

static void
append_piece(OverlayPieces *pieces, const ContextPiece *piece)
{
    if (pieces->count == pieces->capacity)
    {
        ContextPiece *grown;

        pieces->capacity = pieces->capacity > 0 ? pieces->capacity * 2 : PIECES_FIRST;
        grown = ARENA_ARRAY(pieces->arena, ContextPiece, pieces->capacity);
        if (pieces->count > 0)
            memcpy(grown, pieces->pieces, sizeof(ContextPiece) * pieces->count);
        pieces->pieces = grown;
    }
    pieces->pieces[pieces->count++] = *piece;
}

static bool
is_own(const OverlayPieces *pieces, const ContextPiece *piece)
{
    return context_piece_is_of(piece, pieces->key->bucket_id, pieces->key->key);
}

/* True when piece says nothing that held does not say; on the contrary, *replaces. Of equal ones
 * the later is kept: the store's own, sealed under its present key, is added last. */
static bool
is_needless(const OverlayPieces *pieces, const ContextPiece *held, const ContextPiece *piece,
            bool *replaces)
{
    VClockOrder order;

    *replaces = false;
    if (!is_own(pieces, held) || !is_own(pieces, piece))
        return slice_equal(held->bytes, piece->bytes);
    order = vclock_compare(&held->clock, &piece->clock);
    *replaces = order == VCLOCK_BEFORE || order == VCLOCK_EQUAL;
    return order == VCLOCK_AFTER;
}

static void
add_piece(OverlayPieces *pieces, const ContextPiece *piece)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < pieces->count; i++)
    {
        bool replaces;

        if (is_needless(pieces, &pieces->pieces[i], piece, &replaces))
            return;
        if (!replaces)
            pieces->pieces[kept++] = pieces->pieces[i];
    }
    pieces->count = kept;
    append_piece(pieces, piece);
}

static void
add_context(OverlayPieces *pieces, Slice context)
{
    Reader reader = reader_begin(context);

    if (slice_equal(context, pieces->last))
        return;
    pieces->last = context;
    while (reader_left(&reader) > 0)
    {
        const uint8_t *start = reader.at;
        ContextPiece piece = context_next(&reader, pieces->arena);

        if (reader.failed)
        {
            pieces->rest = slice_make(start, context.length - (size_t)(start - context.data));
            return;
        }
        add_piece(pieces, &piece);
    }
}

/* What the key's own pieces have seen. Those of another key stay in the context, so that the commit
 * is refused for them, and not for what we would have made of them. */
static Object
seen_by(const OverlayPieces *pieces)
{
    Object seen = {0};

    for (uint32_t i = 0; i < pieces->count; i++)
    {
        if (is_own(pieces, &pieces->pieces[i]))
            seen = context_join(pieces->arena, &seen, &pieces->pieces[i]);
    }
    return seen;
}

/* pending may be NULL. */
static void
put_pieces(Buffer *context, const OverlayPieces *pieces, const ContextPending *pending)
{
    for (uint32_t i = 0; i < pieces->count; i++)
        buffer_put(context, pieces->pieces[i].bytes.data, pieces->pieces[i].bytes.length);
    if (pending != NULL)
        context_put_pending(context, pieces->key->bucket_id, pieces->key->key, pending);
    buffer_put(context, pieces->rest.data, pieces->rest.length);
}

/* ---- covers ---- */

typedef struct OverlayCovers
{
    OverlayCover *covers;
    uint32_t count;
} OverlayCovers;

/* covers has room for one more. */
static void
add_cover(OverlayCovers *covers, const OverlayCover *cover)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < covers->count; i++)
    {
        const OverlayCover *held = &covers->covers[i];

        if (held->through >= cover->through && held->before_command >= cover->before_command)
            return;
        if (held->through > cover->through || held->before_command > cover->before_command)
            covers->covers[kept++] = *held;
    }
    covers->covers[kept++] = *cover;
    covers->count = kept;
}

/* Both bounds count: a put under the number may still be of a command that the reader of then did
 * not see, as when a cursor is read on after later writes. */
static bool
is_covered(const OverlayCovers *covers, const OverlayPut *put)
{
    for (uint32_t i = 0; i < covers->count; i++)
    {
        if (put->number <= covers->covers[i].through &&
            put->command < covers->covers[i].before_command)
            return true;
    }
    return false;
}

/* ---- taking a context apart ---- */

/* The number of another transaction's log means nothing here, and its puts may never come: such a
 * context is refused at once, not at commit. */
static StatusCode
check_pending(const OverlayKey *key, const ContextPiece *piece)
{
    if (piece->bucket_id != key->bucket_id)
        return STATUS_CONTEXT_OTHER_BUCKET;
    if (!context_piece_is_of(piece, key->bucket_id, key->key))
        return STATUS_CONTEXT_OTHER_KEY;
    return memcmp(piece->pending.transaction, key->transaction, sizeof(key->transaction)) == 0
               ? STATUS_OK
               : STATUS_CONTEXT_PENDING;
}

/* Nearly all contexts are one sealed piece, and are then borrowed as they are. */
static bool
has_pending(Arena *arena, Slice context)
{
    Reader reader = reader_begin(context);

    while (reader_left(&reader) > 0)
    {
        if (context_next(&reader, arena).kind == CONTEXT_PIECE_PENDING && !reader.failed)
            return true;
        if (reader.failed)
            return false;
    }
    return false;
}

/* Moves one piece, or the bytes that are none, to where it belongs. */
static StatusCode
take_piece(Arena *arena, const OverlayKey *key, Reader *reader, uint8_t *sealed, OverlayPut *put)
{
    Slice left = slice_make(reader->at, reader_left(reader));
    ContextPiece piece = context_next(reader, arena);
    OverlayCovers covers = {put->covers, put->cover_count};
    StatusCode status;

    if (reader->failed || piece.kind == CONTEXT_PIECE_SEALED)
    {
        Slice moved = reader->failed ? left : piece.bytes;

        memcpy(sealed + put->context.length, moved.data, moved.length);
        put->context.length += moved.length;
        return STATUS_OK;
    }
    status = check_pending(key, &piece);
    add_cover(&covers, &(OverlayCover){.through = piece.pending.through,
                                       .before_command = piece.pending.before_command});
    put->cover_count = covers.count;
    return status;
}

StatusCode
overlay_take_context(Arena *arena, const OverlayKey *key, Slice context, OverlayPut *put)
{
    Reader reader = reader_begin(context);
    uint8_t *sealed;

    put->context = context;
    put->covers = NULL;
    put->cover_count = 0;
    if (!has_pending(arena, context))
        return STATUS_OK;
    /* A pending piece is longer than a cover. */
    put->covers = arena_alloc(arena, context.length);
    sealed = arena_alloc(arena, context.length);
    put->context = slice_make(sealed, 0);
    while (reader_left(&reader) > 0 && !reader.failed)
    {
        StatusCode status = take_piece(arena, key, &reader, sealed, put);

        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* ---- what is seen ---- */

typedef struct OverlaySeen
{
    OverlayPieces pieces;     /* of the puts that are seen */
    const OverlayPut **alive; /* newest first */
    uint32_t count;
    uint32_t value_count; /* of these */
} OverlaySeen;

static void
add_seen(OverlaySeen *seen, OverlayCovers *covers, const OverlayPut *put)
{
    add_context(&seen->pieces, put->context);
    if (!is_covered(covers, put))
    {
        seen->alive[seen->count++] = put;
        seen->value_count += put->value_count;
    }
    for (uint32_t i = 0; i < put->cover_count; i++)
        add_cover(covers, &put->covers[i]);
}

/* From the newest put to the oldest: by then all that may cover a put is known. */
static OverlaySeen
see_puts(Arena *arena, const OverlayKey *key, const OverlayPut *newest, uint32_t before_command)
{
    OverlaySeen seen = {
        .pieces = {.arena = arena, .key = key}
    };
    OverlayCovers covers = {0};
    uint32_t put_count = 0;
    uint32_t cover_count = 0;

    for (const OverlayPut *put = newest; put != NULL; put = put->older)
    {
        put_count += put->command < before_command;
        cover_count += put->cover_count;
    }
    seen.alive = ARENA_ARRAY(arena, const OverlayPut *, put_count);
    covers.covers = ARENA_ARRAY(arena, OverlayCover, cover_count);
    for (const OverlayPut *put = newest; put != NULL; put = put->older)
    {
        if (put->command < before_command)
            add_seen(&seen, &covers, put);
    }
    return seen;
}

bool
overlay_is_seen(const OverlayPut *newest, uint32_t before_command)
{
    while (newest != NULL && newest->command >= before_command)
        newest = newest->older;
    return newest != NULL;
}

/* ---- reading ---- */

/* Siblings are sorted by time. The transaction's values are to come last, whatever the clocks of
 * the nodes that stamped the others. */
static uint64_t
latest_time(const Object *object)
{
    uint64_t latest = 0;

    for (uint32_t i = 0; i < object->sibling_count; i++)
    {
        if (object->siblings[i].written_at_ms > latest)
            latest = object->siblings[i].written_at_ms;
    }
    return latest;
}

/* Each value is later than those before it, so that they keep their order. */
static void
append_values(Arena *arena, Object *object, const OverlayPut *put, const Actor *actor,
              uint64_t *time_ms)
{
    for (uint32_t i = 0; i < put->value_count; i++)
    {
        Dot *dot = ARENA_NEW(arena, Dot);

        *dot = (Dot){.actor = *actor, .epoch = EPOCH, .counter = put->number + i};
        object->siblings[object->sibling_count++] = (Sibling){.request = put->values[i].request,
                                                              .written_at_ms = ++*time_ms,
                                                              .tombstone = put->values[i].tombstone,
                                                              .value = put->values[i].value,
                                                              .dots = dot,
                                                              .dot_count = 1};
    }
}

/* The same calls as in update.c make the object, object_overwrite() and vclock_add(), so that what
 * a transaction reads of its own is what it will read after its commit. */
static Object
lay_over(Arena *arena, const OverlayRead *read, const Object *stored, const OverlaySeen *seen)
{
    Object covered = seen_by(&seen->pieces);
    Object object = object_overwrite(arena, stored, &covered);
    Sibling *siblings =
        ARENA_ARRAY(arena, Sibling, (size_t)object.sibling_count + seen->value_count);
    Dot highest = {.epoch = EPOCH, .counter = read->through};
    uint64_t time_ms = latest_time(&object);

    memcpy(highest.actor.id, read->key.transaction, sizeof(highest.actor.id));
    if (object.sibling_count > 0)
        memcpy(siblings, object.siblings, sizeof(Sibling) * object.sibling_count);
    object.siblings = siblings;
    object.context = vclock_add(arena, &object.context, &highest);
    for (uint32_t i = seen->count; i > 0; i--)
        append_values(arena, &object, seen->alive[i - 1], &highest.actor, &time_ms);
    object_sort(&object);
    return object;
}

bool
overlay_read(Arena *arena, const OverlayRead *read, Buffer *object, Buffer *context)
{
    ContextPending pending = {.through = read->through, .before_command = read->before_command};
    OverlaySeen seen = see_puts(arena, &read->key, read->newest, read->before_command);
    Object stored = {0};
    Object laid;

    if (read->object.length > 0 && !object_decode(read->object, arena, &stored))
        return false;
    laid = lay_over(arena, read, &stored, &seen);
    buffer_reset(object);
    object_encode(object, &laid);
    memcpy(pending.transaction, read->key.transaction, sizeof(pending.transaction));
    add_context(&seen.pieces, read->context);
    buffer_reset(context);
    put_pieces(context, &seen.pieces, &pending);
    return true;
}

/* ---- what leaves at COMMIT ---- */

/* The store orders values of one put by their request ids. These have not been sent yet, so they
 * can be dealt out anew. */
static void
deal_requests(Arena *arena, PutValue *values, uint32_t count)
{
    RequestId *requests = ARENA_ARRAY(arena, RequestId, count);

    for (uint32_t i = 0; i < count; i++)
        requests[i] = values[i].request;
    qsort(requests, count, sizeof(RequestId), request_id_compare);
    for (uint32_t i = 0; i < count; i++)
        values[i].request = requests[i];
}

/* Those of the puts alive that are by sender, tombstones or values. */
static void
append_outcome(const OverlaySeen *seen, const void *sender, bool tombstones,
               OverlayOutcome *outcome)
{
    for (uint32_t i = seen->count; i > 0; i--)
    {
        const OverlayPut *put = seen->alive[i - 1];

        for (uint32_t v = 0; v < put->value_count && put->sender == sender; v++)
        {
            if (put->values[v].tombstone == tombstones)
                outcome->values[outcome->value_count++] = put->values[v];
        }
    }
}

static void
collect_values(Arena *arena, const OverlaySeen *seen, const void *sender, OverlayOutcome *outcome)
{
    outcome->values = ARENA_ARRAY(arena, PutValue, seen->value_count);
    append_outcome(seen, sender, false, outcome);
    if (outcome->value_count > 1)
        deal_requests(arena, outcome->values, outcome->value_count);
    if (outcome->value_count > 0 || outcome->context.length == 0)
        return;
    append_outcome(seen, sender, true, outcome);
    if (outcome->value_count > 1)
        outcome->value_count = 1;
}

OverlayOutcome
overlay_leave(Arena *arena, const OverlayKey *key, const OverlayPut *newest, const void *sender)
{
    OverlayOutcome outcome = {0};
    Buffer context;
    OverlaySeen seen;

    /* One put alone, and a value: that is nearly every key of nearly every transaction. It leaves
     * as it came. */
    if (newest->older == NULL && newest->sender != sender)
        return outcome;
    if (newest->older == NULL && !newest->values[0].tombstone)
        return (OverlayOutcome){newest->context, newest->values, newest->value_count};
    seen = see_puts(arena, key, newest, UINT32_MAX);
    buffer_init(&context, arena->memory);
    put_pieces(&context, &seen.pieces, NULL);
    outcome.context = slice_copy(arena, buffer_slice(&context));
    buffer_free(&context);
    collect_values(arena, &seen, sender, &outcome);
    return outcome;
}
