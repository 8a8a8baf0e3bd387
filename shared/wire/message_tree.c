/* Codecs of the compare of two owners of a partition: roots, levels, keys of a leaf, versions of
 * keys that differ. The steps that speak them are node/engine/repair/antientropy*. */
#include "shared/wire/message.h"

enum
{
    ROOT_MINIMUM_BYTES = 2 + sizeof(Digest),
    DIFFERENCE_MINIMUM_BYTES = 3,
    PREFIX_MINIMUM_BYTES = 1,
    TREE_KEY_MINIMUM_BYTES = 1 + sizeof(Digest),
    VERSION_ITEM_MINIMUM_BYTES = 1 + sizeof(Digest) + 2,
    VERSION_ANSWER_MINIMUM_BYTES = 1
};

static void
put_digest(Buffer *buffer, const Digest *digest)
{
    buffer_put(buffer, digest->bytes, sizeof(Digest));
}

static Digest
reader_digest(Reader *reader)
{
    Digest digest;

    reader_copy(reader, digest.bytes, sizeof(Digest));
    return digest;
}

void
tree_roots_encode(Buffer *buffer, uint32_t tag, const TreeRootsFrame *roots)
{
    frame_encode_header(buffer, FRAME_TREE_ROOTS, tag);
    buffer_put_varint(buffer, roots->epoch);
    buffer_put(buffer, roots->asker.bytes, sizeof(roots->asker.bytes));
    buffer_put_varint(buffer, roots->root_count);
    for (uint32_t i = 0; i < roots->root_count; i++)
    {
        buffer_put_varint(buffer, roots->roots[i].bucket_id);
        buffer_put_varint(buffer, roots->roots[i].partition);
        put_digest(buffer, &roots->roots[i].digest);
    }
}

bool
tree_roots_decode(const Frame *frame, Arena *arena, TreeRootsFrame *roots)
{
    Reader reader = reader_begin(frame->body);

    roots->epoch = reader_varint(&reader);
    reader_copy(&reader, roots->asker.bytes, sizeof(roots->asker.bytes));
    roots->root_count = reader_count(&reader, ROOT_MINIMUM_BYTES);
    roots->roots = ARENA_ARRAY(arena, TreeRoot, roots->root_count);
    for (uint32_t i = 0; i < roots->root_count; i++)
    {
        roots->roots[i].bucket_id = reader_varint32(&reader);
        roots->roots[i].partition = reader_varint32(&reader);
        roots->roots[i].digest = reader_digest(&reader);
    }
    return reader_finish(&reader);
}

void
tree_roots_reply_encode(Buffer *buffer, uint32_t tag, const TreeRootsReply *reply)
{
    frame_encode_header(buffer, FRAME_TREE_ROOTS_REPLY, tag);
    buffer_put_varint(buffer, reply->item_count);
    for (uint32_t i = 0; i < reply->item_count; i++)
    {
        buffer_put_varint(buffer, reply->items[i].index);
        buffer_put_u8(buffer, reply->items[i].depth);
        buffer_put_u8(buffer, (uint8_t)reply->items[i].status);
    }
}

bool
tree_roots_reply_decode(const Frame *frame, Arena *arena, TreeRootsReply *reply)
{
    Reader reader = reader_begin(frame->body);

    reply->item_count = reader_count(&reader, DIFFERENCE_MINIMUM_BYTES);
    reply->items = ARENA_ARRAY(arena, TreeDifference, reply->item_count);
    for (uint32_t i = 0; i < reply->item_count; i++)
    {
        reply->items[i].index = reader_varint32(&reader);
        reply->items[i].depth = reader_u8(&reader);
        reply->items[i].status = status_from_byte(reader_u8(&reader));
        if (i > 0 && reply->items[i].index <= reply->items[i - 1].index)
            reader_fail(&reader);
    }
    return reader_finish(&reader);
}

void
tree_level_encode(Buffer *buffer, uint32_t tag, const TreeLevelFrame *level)
{
    frame_encode_header(buffer, FRAME_TREE_LEVEL, tag);
    buffer_put_varint(buffer, level->epoch);
    buffer_put_varint(buffer, level->bucket_id);
    buffer_put_varint(buffer, level->partition);
    buffer_put_u8(buffer, level->depth);
    buffer_put_u8(buffer, level->child_bits);
    buffer_put_varint(buffer, level->prefix_count);
    for (uint32_t i = 0; i < level->prefix_count; i++)
        buffer_put_varint(buffer, level->prefixes[i]);
}

bool
tree_level_decode(const Frame *frame, Arena *arena, TreeLevelFrame *level)
{
    Reader reader = reader_begin(frame->body);

    level->epoch = reader_varint(&reader);
    level->bucket_id = reader_varint32(&reader);
    level->partition = reader_varint32(&reader);
    level->depth = reader_u8(&reader);
    level->child_bits = reader_u8(&reader);
    if (level->child_bits == 0 || level->child_bits > TREE_CHILD_BITS_MAX)
        reader_fail(&reader);
    level->prefix_count = reader_count(&reader, PREFIX_MINIMUM_BYTES);
    level->prefixes = ARENA_ARRAY(arena, uint32_t, level->prefix_count);
    for (uint32_t i = 0; i < level->prefix_count; i++)
        level->prefixes[i] = reader_varint32(&reader);
    return reader_finish(&reader);
}

void
tree_level_reply_encode(Buffer *buffer, uint32_t tag, const TreeLevelReply *reply)
{
    frame_encode_header(buffer, FRAME_TREE_LEVEL_REPLY, tag);
    buffer_put_varint(buffer, reply->digest_count);
    for (uint32_t i = 0; i < reply->digest_count; i++)
        put_digest(buffer, &reply->digests[i]);
}

bool
tree_level_reply_decode(const Frame *frame, Arena *arena, TreeLevelReply *reply)
{
    Reader reader = reader_begin(frame->body);

    reply->digest_count = reader_count(&reader, sizeof(Digest));
    reply->digests = ARENA_ARRAY(arena, Digest, reply->digest_count);
    for (uint32_t i = 0; i < reply->digest_count; i++)
        reply->digests[i] = reader_digest(&reader);
    return reader_finish(&reader);
}

void
tree_keys_encode(Buffer *buffer, uint32_t tag, const TreeKeysFrame *keys)
{
    frame_encode_header(buffer, FRAME_TREE_KEYS, tag);
    buffer_put_varint(buffer, keys->epoch);
    buffer_put_varint(buffer, keys->bucket_id);
    buffer_put_u64(buffer, keys->first_position);
    buffer_put_u64(buffer, keys->last_position);
    buffer_put_slice(buffer, keys->after);
    buffer_put_varint(buffer, keys->max_bytes);
}

bool
tree_keys_decode(const Frame *frame, TreeKeysFrame *keys)
{
    Reader reader = reader_begin(frame->body);

    keys->epoch = reader_varint(&reader);
    keys->bucket_id = reader_varint32(&reader);
    keys->first_position = reader_u64(&reader);
    keys->last_position = reader_u64(&reader);
    keys->after = reader_slice(&reader);
    keys->max_bytes = reader_varint32(&reader);
    return reader_finish(&reader);
}

void
tree_keys_reply_encode(Buffer *buffer, uint32_t tag, const TreeKeysReply *reply)
{
    frame_encode_header(buffer, FRAME_TREE_KEYS_REPLY, tag);
    buffer_put_u8(buffer, reply->done);
    buffer_put_slice(buffer, reply->last);
    buffer_put_varint(buffer, reply->key_count);
    for (uint32_t i = 0; i < reply->key_count; i++)
    {
        buffer_put_slice(buffer, reply->keys[i].key);
        put_digest(buffer, &reply->keys[i].digest);
    }
}

bool
tree_keys_reply_decode(const Frame *frame, Arena *arena, TreeKeysReply *reply)
{
    Reader reader = reader_begin(frame->body);

    reply->done = reader_bool(&reader);
    reply->last = reader_slice(&reader);
    reply->key_count = reader_count(&reader, TREE_KEY_MINIMUM_BYTES);
    reply->keys = ARENA_ARRAY(arena, TreeKey, reply->key_count);
    for (uint32_t i = 0; i < reply->key_count; i++)
    {
        reply->keys[i].key = reader_slice(&reader);
        reply->keys[i].digest = reader_digest(&reader);
    }
    return reader_finish(&reader);
}

void
versions_encode(Buffer *buffer, uint32_t tag, const VersionsFrame *versions)
{
    frame_encode_header(buffer, FRAME_VERSIONS, tag);
    buffer_put_varint(buffer, versions->epoch);
    buffer_put_varint(buffer, versions->bucket_id);
    buffer_put_varint(buffer, versions->item_count);
    for (uint32_t i = 0; i < versions->item_count; i++)
    {
        buffer_put_slice(buffer, versions->items[i].key);
        put_digest(buffer, &versions->items[i].digest);
        version_encode(buffer, &versions->items[i].version);
    }
}

bool
versions_decode(const Frame *frame, Arena *arena, VersionsFrame *versions)
{
    Reader reader = reader_begin(frame->body);

    versions->epoch = reader_varint(&reader);
    versions->bucket_id = reader_varint32(&reader);
    versions->item_count = reader_count(&reader, VERSION_ITEM_MINIMUM_BYTES);
    versions->items = ARENA_ARRAY(arena, VersionItem, versions->item_count);
    for (uint32_t i = 0; i < versions->item_count; i++)
    {
        versions->items[i].key = reader_slice(&reader);
        versions->items[i].digest = reader_digest(&reader);
        versions->items[i].version = version_decode(&reader, arena);
    }
    return reader_finish(&reader);
}

static bool
has_object(VersionVerdict verdict)
{
    return verdict == VERSION_TAKE || verdict == VERSION_BOTH;
}

void
versions_reply_encode(Buffer *buffer, uint32_t tag, const VersionsReply *reply)
{
    frame_encode_header(buffer, FRAME_VERSIONS_REPLY, tag);
    buffer_put_varint(buffer, reply->item_count);
    for (uint32_t i = 0; i < reply->item_count; i++)
    {
        buffer_put_u8(buffer, (uint8_t)reply->items[i].verdict);
        if (!has_object(reply->items[i].verdict))
            continue;
        buffer_put_slice(buffer, reply->items[i].object);
        buffer_put_varint(buffer, reply->items[i].round);
    }
}

static VersionVerdict
reader_verdict(Reader *reader)
{
    uint8_t verdict = reader_u8(reader);

    if (verdict < VERSION_EQUAL || verdict > VERSION_FAILED)
        reader_fail(reader);
    return (VersionVerdict)verdict;
}

bool
versions_reply_decode(const Frame *frame, Arena *arena, VersionsReply *reply)
{
    Reader reader = reader_begin(frame->body);

    reply->item_count = reader_count(&reader, VERSION_ANSWER_MINIMUM_BYTES);
    reply->items = ARENA_ARRAY(arena, VersionAnswer, reply->item_count);
    for (uint32_t i = 0; i < reply->item_count; i++)
    {
        reply->items[i] = (VersionAnswer){.verdict = reader_verdict(&reader)};
        if (!has_object(reply->items[i].verdict))
            continue;
        reply->items[i].object = reader_slice(&reader);
        reply->items[i].round = reader_varint(&reader);
    }
    return reader_finish(&reader);
}
