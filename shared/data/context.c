/* Contexts as bytes: sealing, opening, and the pending pieces that a client makes for itself.
 * Layout of a piece: kind (1 byte), bucket (4), hash of the key (8), then for a sealed one the id
 * of the sealing key (4), the version vector, the replaced ids by put, and the MAC (16). */
#include "shared/data/context.h"

#include "shared/base/hash.h"

#include <sodium.h>
#include <string.h>

enum
{
    MAC_BYTES = 16
};

_Static_assert(crypto_kdf_KEYBYTES == 32, "a cluster key is a kdf key");

/* Neither the id nor the sealing key tells anything of the cluster key, nor of each other: both are
 * derived, under numbers of their own. */
static ContextKey
derive_key(const uint8_t cluster_key[32])
{
    ContextKey key;
    uint8_t id[crypto_kdf_BYTES_MIN];

    crypto_kdf_derive_from_key(key.bytes, sizeof(key.bytes), 1, "dyncontx", cluster_key);
    crypto_kdf_derive_from_key(id, sizeof(id), 2, "dyncontx", cluster_key);
    memcpy(key.id, id, sizeof(key.id));
    return key;
}

ContextKeys
context_keys(const uint8_t cluster_keys[][32], uint32_t count)
{
    ContextKeys keys = {.count = count};

    for (uint32_t i = 0; i < count; i++)
        keys.keys[i] = derive_key(cluster_keys[i]);
    return keys;
}

/* ---- writing ---- */

/* The whole key is under the MAC; the hash in the open only tells another key's context from an
 * edited one. */
static void
make_mac(uint8_t mac[MAC_BYTES], const ContextKey *sealer, Slice sealed, Slice key)
{
    crypto_generichash_state state;

    crypto_generichash_init(&state, sealer->bytes, sizeof(sealer->bytes), MAC_BYTES);
    crypto_generichash_update(&state, sealed.data, sealed.length);
    crypto_generichash_update(&state, key.data, key.length);
    crypto_generichash_final(&state, mac, MAC_BYTES);
}

/* Eight bytes of a hash are enough to tell keys apart in the open; it is the MAC that keeps a
 * context from being used for another key. */
static void
put_owner(Buffer *buffer, ContextPieceKind kind, uint32_t bucket_id, Slice key)
{
    Digest key_hash = digest_of(key);

    buffer_put_u8(buffer, kind);
    buffer_put_u32(buffer, bucket_id);
    buffer_put(buffer, key_hash.bytes, CONTEXT_KEY_HASH_BYTES);
}

void
context_seal(Buffer *buffer, const ContextKeys *keys, uint32_t bucket_id, Slice key,
             const Object *past)
{
    size_t start = buffer->length;
    uint8_t mac[MAC_BYTES];

    put_owner(buffer, CONTEXT_PIECE_SEALED, bucket_id, key);
    buffer_put(buffer, keys->keys[0].id, CONTEXT_KEY_ID_BYTES);
    vclock_encode(buffer, &past->context);
    buffer_put_varint(buffer, past->replaced_count);
    for (uint32_t i = 0; i < past->replaced_count; i++)
    {
        buffer_put_varint(buffer, past->replaced[i].count);
        buffer_put(buffer, past->replaced[i].ids, sizeof(RequestId) * past->replaced[i].count);
    }
    make_mac(mac, &keys->keys[0], slice_make(buffer->data + start, buffer->length - start), key);
    buffer_put(buffer, mac, sizeof(mac));
}

void
context_put_pending(Buffer *buffer, uint32_t bucket_id, Slice key, const ContextPending *pending)
{
    put_owner(buffer, CONTEXT_PIECE_PENDING, bucket_id, key);
    buffer_put(buffer, pending->transaction, sizeof(pending->transaction));
    buffer_put_u64(buffer, pending->through);
    buffer_put_u32(buffer, pending->before_command);
}

/* ---- reading ---- */

/* The ids are borrowed as they lie: a RequestId is bytes alone, so it needs no alignment. An empty
 * group would be a second form of none (S1). */
static void
take_replaced(Reader *reader, Arena *arena, ContextPiece *piece)
{
    uint32_t count = reader_count(reader, 1 + sizeof(RequestId));

    piece->replaced = ARENA_ARRAY(arena, RequestIds, count);
    for (uint32_t i = 0; i < count && !reader->failed; i++)
    {
        uint32_t ids = reader_count(reader, sizeof(RequestId));
        Slice bytes = reader_take(reader, sizeof(RequestId) * (size_t)ids);

        if (ids == 0)
            reader_fail(reader);
        piece->replaced[i] = (RequestIds){.ids = (const RequestId *)bytes.data, .count = ids};
    }
    piece->replaced_count = reader->failed ? 0 : count;
}

ContextPiece
context_next(Reader *reader, Arena *arena)
{
    Reader begin = *reader;
    ContextPiece piece = {.kind = (ContextPieceKind)reader_u8(reader),
                          .bucket_id = reader_u32(reader),
                          .key_hash = reader_take(reader, CONTEXT_KEY_HASH_BYTES)};

    if (piece.kind == CONTEXT_PIECE_SEALED)
    {
        piece.key_id = reader_take(reader, CONTEXT_KEY_ID_BYTES);
        piece.clock = vclock_decode(reader, arena);
        take_replaced(reader, arena, &piece);
        reader_take(reader, MAC_BYTES);
    }
    else if (piece.kind == CONTEXT_PIECE_PENDING)
    {
        reader_copy(reader, piece.pending.transaction, sizeof(piece.pending.transaction));
        piece.pending.through = reader_u64(reader);
        piece.pending.before_command = reader_u32(reader);
    }
    else
        reader_fail(reader);
    piece.bytes = reader_take(&begin, reader_left(&begin) - reader_left(reader));
    return piece;
}

static bool
is_of_key(const ContextPiece *piece, Slice key)
{
    Digest key_hash = digest_of(key);

    return memcmp(piece->key_hash.data, key_hash.bytes, CONTEXT_KEY_HASH_BYTES) == 0;
}

bool
context_piece_is_of(const ContextPiece *piece, uint32_t bucket_id, Slice key)
{
    return piece->bucket_id == bucket_id && is_of_key(piece, key);
}

static const ContextKey *
find_sealer(const ContextKeys *keys, Slice id)
{
    for (uint32_t i = 0; i < keys->count; i++)
    {
        if (memcmp(keys->keys[i].id, id.data, CONTEXT_KEY_ID_BYTES) == 0)
            return &keys->keys[i];
    }
    return NULL;
}

/* The order of the checks is that of what can be said: a context of another bucket is not called
 * edited, though its MAC is wrong for this one too. */
static ContextResult
verify_piece(const ContextPiece *piece, const ContextKeys *keys, uint32_t bucket_id, Slice key)
{
    size_t sealed = piece->bytes.length - MAC_BYTES;
    uint8_t expected[MAC_BYTES];
    const ContextKey *sealer;

    if (piece->kind == CONTEXT_PIECE_PENDING)
        return CONTEXT_PENDING;
    if (piece->bucket_id != bucket_id)
        return CONTEXT_OTHER_BUCKET;
    if (!is_of_key(piece, key))
        return CONTEXT_OTHER_KEY;
    sealer = find_sealer(keys, piece->key_id);
    if (sealer == NULL)
        return CONTEXT_OTHER_CLUSTER;
    make_mac(expected, sealer, slice_make(piece->bytes.data, sealed), key);
    return sodium_memcmp(expected, piece->bytes.data + sealed, MAC_BYTES) == 0 ? CONTEXT_OK
                                                                               : CONTEXT_EDITED;
}

/* The first piece is taken as it is, since nearly every context has only one: no merge, no copy. */
Object
context_join(Arena *arena, const Object *past, const ContextPiece *piece)
{
    Object also = {.context = piece->clock,
                   .replaced = piece->replaced,
                   .replaced_count = piece->replaced_count};

    return past->context.count == 0 && past->replaced_count == 0 ? also
                                                                 : object_merge(arena, past, &also);
}

ContextResult
context_open(Slice context, const ContextKeys *keys, uint32_t bucket_id, Slice key, Arena *arena,
             Object *past)
{
    Reader reader = reader_begin(context);
    Object joined = {0};

    while (reader_left(&reader) > 0)
    {
        ContextPiece piece = context_next(&reader, arena);
        ContextResult result =
            reader.failed ? CONTEXT_MALFORMED : verify_piece(&piece, keys, bucket_id, key);

        if (result != CONTEXT_OK)
            return result;
        joined = context_join(arena, &joined, &piece);
    }
    *past = joined;
    return CONTEXT_OK;
}

StatusCode
context_status(ContextResult result)
{
    static const StatusCode statuses[] = {
        [CONTEXT_OK] = STATUS_OK,
        [CONTEXT_MALFORMED] = STATUS_CONTEXT_MALFORMED,
        [CONTEXT_OTHER_BUCKET] = STATUS_CONTEXT_OTHER_BUCKET,
        [CONTEXT_OTHER_KEY] = STATUS_CONTEXT_OTHER_KEY,
        [CONTEXT_OTHER_CLUSTER] = STATUS_CONTEXT_OTHER_CLUSTER,
        [CONTEXT_EDITED] = STATUS_CONTEXT_EDITED,
        [CONTEXT_PENDING] = STATUS_CONTEXT_PENDING,
    };

    return statuses[result];
}
