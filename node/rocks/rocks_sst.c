/*
 * Reads one table file through and checks the checksum of each of its blocks: what RocksDB has in
 * its cache does not tell whether the disk still has it, and its C API has no call for this.
 *
 * Source: RocksDB's table/format.h, table/block_based/block.cc, block_builder.cc. A block is its
 * bytes, a type (1), a masked CRC-32C of both (4, little endian). The footer, 53 bytes at the end,
 * names the index, which names the data blocks, and the metaindex, which names filter, properties
 * and deleted ranges. An index entry is the lengths of key (shared with the one before, which is
 * nothing; own), the key, the block's handle, its first key. Neither index nor metaindex is
 * compressed (node/rocks/rocks_options.c).
 */
#include "node/rocks/rocks_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum
{
    ALIGNMENT = 4096, /* of reads that go past the page cache */
    FOOTER_BYTES = 53,
    FOOTER_VERSION = 41, /* where it stands in the footer */
    TRAILER_BYTES = 5,
    CHECKSUM_CRC32C = 1,
    CHECKSUM_LAST = 4,
    FORMAT_VERSION = 5,
    FORMAT_LAST = 6,
    SEQUENCE_BYTES = 8, /* behind the key, in the index */
    PIECE_BYTES = 1024 * 1024
};

static const uint8_t MAGIC[] = {0xf7, 0xcf, 0xf4, 0x85, 0xb7, 0x41, 0xe2, 0x88};

typedef struct BlockHandle
{
    uint64_t offset;
    uint64_t size;
} BlockHandle;

static uint32_t
little_u32(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* ---- checksums ---- */

/* CRC-32C (Castagnoli), of which RocksDB stores a masked form (util/crc32c.h): the checksum of
 * bytes that hold checksums themselves would otherwise be weak. */
void
rocks_sst_crc_table(uint32_t table[256])
{
    for (uint32_t i = 0; i < 256; i++)
    {
        uint32_t crc = i;

        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
        table[i] = crc;
    }
}

uint32_t
rocks_sst_crc(const uint32_t table[256], const uint8_t *data, size_t length)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < length; i++)
        crc = crc >> 8 ^ table[(crc ^ data[i]) & 0xff];
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* ---- bytes of the file ---- */

/* Reads past the page cache (O_DIRECT), since the cache may hold what the disk has lost. Such reads
 * must be aligned in memory and on the disk. */
static bool
read_piece(RocksSst *sst, uint64_t offset, size_t length)
{
    uint64_t start = offset - offset % ALIGNMENT;
    size_t wanted = (size_t)(offset + length - start);
    size_t room = (wanted + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;

    if (room > sst->room)
    {
        free(sst->piece);
        sst->piece = aligned_alloc(ALIGNMENT, room);
        if (sst->piece == NULL)
            abort();
        sst->room = room;
    }
    sst->start = start;
    sst->length = 0;
    while (sst->length < wanted)
    {
        ssize_t got = pread(sst->fd, sst->piece + sst->length, room - sst->length,
                            (off_t)(start + sst->length));

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        sst->length += (size_t)got;
    }
    sst->bytes_read += sst->length;
    return true;
}

/* Bytes of the file, valid until the next; NULL when they cannot be read. */
static const uint8_t *
file_bytes(RocksSst *sst, uint64_t offset, uint64_t length)
{
    bool here = offset >= sst->start && offset + length <= sst->start + sst->length;
    uint64_t ahead = length > PIECE_BYTES ? length : PIECE_BYTES;

    if (length > sst->size || offset > sst->size - length)
        return NULL;
    if (ahead > sst->size - offset)
        ahead = sst->size - offset;
    if (!here && !read_piece(sst, offset, ahead))
        return NULL;
    return sst->piece + (offset - sst->start);
}

/* The block's bytes, as long as the next is not read; NULL when it is damaged. */
static const uint8_t *
read_block(RocksSst *sst, BlockHandle handle)
{
    const uint8_t *bytes = handle.size < sst->size
                               ? file_bytes(sst, handle.offset, handle.size + TRAILER_BYTES)
                               : NULL;

    if (bytes == NULL ||
        rocks_sst_crc(sst->table, bytes, handle.size + 1) != little_u32(bytes + handle.size + 1))
        return NULL;
    return bytes;
}

static BlockHandle
read_handle(Reader *reader)
{
    uint64_t offset = reader_varint(reader);

    return (BlockHandle){offset, reader_varint(reader)};
}

/* A block ends with its restart points, which are no entries: their number is the last word. */
static RocksSstResult
copy_entries(RocksSst *sst, BlockHandle handle, Buffer *entries)
{
    const uint8_t *bytes = read_block(sst, handle);
    uint64_t restarts;

    if (bytes == NULL)
        return ROCKS_SST_DAMAGED;
    restarts = handle.size >= 4 ? little_u32(bytes + handle.size - 4) : UINT32_MAX;
    if (handle.size < 4 + restarts * 4)
        return ROCKS_SST_UNKNOWN;
    buffer_put(entries, bytes, (size_t)(handle.size - 4 - restarts * 4));
    return ROCKS_SST_SOUND;
}

/* ---- what the footer names ---- */

/* The blocks that it names. */
static RocksSstResult
check_named(RocksSst *sst, Slice entries)
{
    Reader reader = reader_begin(entries);

    while (reader_left(&reader) > 0)
    {
        uint64_t shared = reader_varint(&reader);
        uint64_t own = reader_varint(&reader);
        uint64_t length = reader_varint(&reader);
        BlockHandle handle;
        Reader value;

        (void)reader_take(&reader, own);
        value = reader_begin(reader_take(&reader, length));
        handle = read_handle(&value);
        if (reader.failed || value.failed || shared != 0)
            return ROCKS_SST_UNKNOWN;
        if (read_block(sst, handle) == NULL)
            return ROCKS_SST_DAMAGED;
    }
    return ROCKS_SST_SOUND;
}

static RocksSstResult
check_metaindex(RocksSst *sst, BlockHandle handle)
{
    RocksSstResult result;
    Buffer entries;

    buffer_init(&entries, &MEMORY_HEAP);
    result = copy_entries(sst, handle, &entries);
    if (result == ROCKS_SST_SOUND)
        result = check_named(sst, buffer_slice(&entries));
    buffer_free(&entries);
    return result;
}

/* A footer has no checksum: another kind of file is told from a damaged one by what there can be.
 */
static RocksSstResult
check_footer(RocksSst *sst)
{
    const uint8_t *footer =
        sst->size > FOOTER_BYTES ? file_bytes(sst, sst->size - FOOTER_BYTES, FOOTER_BYTES) : NULL;
    RocksSstResult result;
    Reader reader;
    BlockHandle metaindex;
    BlockHandle index;
    uint32_t version;

    if (footer == NULL || memcmp(footer + FOOTER_BYTES - sizeof(MAGIC), MAGIC, sizeof(MAGIC)) != 0)
        return ROCKS_SST_DAMAGED;
    version = little_u32(footer + FOOTER_VERSION);
    if (footer[0] > CHECKSUM_LAST || version > FORMAT_LAST)
        return ROCKS_SST_DAMAGED;
    if (footer[0] != CHECKSUM_CRC32C || version != FORMAT_VERSION)
        return ROCKS_SST_UNKNOWN;
    reader = reader_begin(slice_make(footer + 1, FOOTER_VERSION - 1));
    metaindex = read_handle(&reader);
    index = read_handle(&reader);
    result = reader.failed ? ROCKS_SST_DAMAGED : check_metaindex(sst, metaindex);
    return result == ROCKS_SST_SOUND ? copy_entries(sst, index, &sst->index) : result;
}

/* ---- */

RocksSstResult
rocks_sst_open(RocksSst *sst, const char *path)
{
    struct stat status;

    *sst = (RocksSst){.fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC)};
    if (sst->fd < 0 && errno == EINVAL)
        sst->fd = open(path, O_RDONLY | O_CLOEXEC);
    rocks_sst_crc_table(sst->table);
    buffer_init(&sst->index, &MEMORY_HEAP);
    if (sst->fd < 0 || fstat(sst->fd, &status) != 0)
        return ROCKS_SST_DAMAGED;
    sst->size = (uint64_t)status.st_size;
    return check_footer(sst);
}

void
rocks_sst_close(RocksSst *sst)
{
    if (sst->fd >= 0)
        close(sst->fd);
    free(sst->piece);
    buffer_free(&sst->index);
    *sst = (RocksSst){.fd = -1};
}

RocksSstResult
rocks_sst_check_next(RocksSst *sst, Slice *first_key)
{
    Slice left = slice_make(sst->index.data + sst->next, sst->index.length - sst->next);
    Reader reader = reader_begin(left);
    uint64_t shared;
    uint64_t own;
    BlockHandle handle;
    Slice internal;

    if (left.length == 0)
        return ROCKS_SST_END;
    shared = reader_varint(&reader);
    own = reader_varint(&reader);
    (void)reader_take(&reader, own);
    handle = read_handle(&reader);
    internal = reader_take(&reader, reader_varint(&reader));
    if (reader.failed || shared != 0 || internal.length < SEQUENCE_BYTES)
        return ROCKS_SST_UNKNOWN;
    sst->next += left.length - reader_left(&reader);
    *first_key = slice_make(internal.data, internal.length - SEQUENCE_BYTES);
    return read_block(sst, handle) != NULL ? ROCKS_SST_SOUND : ROCKS_SST_DAMAGED;
}
