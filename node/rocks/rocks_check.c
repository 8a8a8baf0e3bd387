/*
 * Checking the table files of the database, piece by piece on the pool: each that there was when
 * the pass began and that still belongs to the database when its turn comes.
 */
#include "node/rocks/rocks_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum
{
    NAME_BYTES = 32,
    FOUND_MAX = 16 /* damaged blocks of one piece */
};

typedef struct RocksCheckFound
{
    Slice first_key; /* of the block; empty: it is not a block of data */
    char name[NAME_BYTES];
} RocksCheckFound;

typedef struct RocksCheckPiece
{
    RocksJob job;
    Rocks *rocks;
    uint64_t ref;
    size_t max_bytes;
    uint64_t bytes;
    Arena arena;
    RocksCheckFound found[FOUND_MAX];
    uint32_t found_count;
} RocksCheckPiece;

/* ---- the pass ---- */

static void
unreadable_pass(RocksCheck *check)
{
    if (check->open)
        rocks_sst_close(&check->sst);
    memory_resize(&MEMORY_HEAP, check->names, 0);
    *check = (RocksCheck){.names = NULL};
}

void
rocks_check_free(Rocks *rocks)
{
    unreadable_pass(&rocks->check);
}

static void
begin_check_pass(Rocks *rocks)
{
    const rocksdb_livefiles_t *files = rocksdb_livefiles(rocks->db);
    RocksCheck *check = &rocks->check;
    int count = rocksdb_livefiles_count(files);

    unreadable_pass(check);
    check->count = (uint32_t)count;
    check->names = memory_resize(&MEMORY_HEAP, NULL, (size_t)count * NAME_BYTES + 1);
    for (int i = 0; i < count; i++)
        snprintf(check->names + (size_t)i * NAME_BYTES, NAME_BYTES, "%s",
                 rocksdb_livefiles_name(files, i));
    rocksdb_livefiles_destroy(files);
}

static const char *
present_name(const RocksCheck *check)
{
    return check->names + (size_t)check->next * NAME_BYTES;
}

/* ---- on the pool ---- */

/* A compaction may have removed the file meanwhile. Its blocks are then nobody's, damaged or not.
 */
static bool
is_live(const Rocks *rocks, const char *name)
{
    const rocksdb_livefiles_t *files = rocksdb_livefiles(rocks->db);
    bool live = false;

    for (int i = 0; i < rocksdb_livefiles_count(files) && !live; i++)
        live = strcmp(rocksdb_livefiles_name(files, i), name) == 0;
    rocksdb_livefiles_destroy(files);
    return live;
}

static void
note_found(RocksCheckPiece *piece, const char *name, Slice first_key)
{
    if (piece->found_count == FOUND_MAX || !is_live(piece->rocks, name))
        return;

    RocksCheckFound *found = &piece->found[piece->found_count++];

    found->first_key = slice_copy(&piece->arena, first_key);
    snprintf(found->name, sizeof(found->name), "%s", name);
}

static void
end_file(RocksCheck *check)
{
    rocks_sst_close(&check->sst);
    check->open = false;
    check->next++;
}

static void
open_file(RocksCheckPiece *piece)
{
    RocksCheck *check = &piece->rocks->check;
    RocksSstResult result;
    char path[4096 + 64];

    snprintf(path, sizeof(path), "%s/" ROCKS_DATA_NAME "%s", piece->rocks->directory,
             present_name(check));
    check->open = true;
    result = rocks_sst_open(&check->sst, path);
    piece->bytes += check->sst.bytes_read;
    if (result == ROCKS_SST_DAMAGED)
        note_found(piece, present_name(check), SLICE_EMPTY);
    if (result != ROCKS_SST_SOUND)
        end_file(check);
}

static void
check_block(RocksCheckPiece *piece)
{
    RocksCheck *check = &piece->rocks->check;
    uint64_t before = check->sst.bytes_read;
    Slice first_key = SLICE_EMPTY;
    RocksSstResult result = rocks_sst_check_next(&check->sst, &first_key);

    piece->bytes += check->sst.bytes_read - before;
    if (result == ROCKS_SST_DAMAGED)
        note_found(piece, present_name(check), first_key);
    if (result == ROCKS_SST_END || result == ROCKS_SST_UNKNOWN)
        end_file(check);
}

/* Reads files until the piece has its bytes: the pass yields to reads and scans between two pieces.
 */
static void
check_on_pool(uv_work_t *work)
{
    RocksCheckPiece *piece = work->data;
    const RocksCheck *check = &piece->rocks->check;

    while (check->next < check->count && piece->bytes < piece->max_bytes)
    {
        if (check->open)
            check_block(piece);
        else
            open_file(piece);
    }
}

/* ---- on the loop ---- */

/* Worded as RocksDB words it, so that one place (rocks_damage.c) takes both for damage and finds
 * the file's name. */
static void
report_found(Rocks *rocks, const RocksCheckFound *found)
{
    char text[128];

    snprintf(text, sizeof(text), "Corruption: a block of %s has another checksum", found->name);
    if (found->first_key.length > 0)
        rocks_damage_met(rocks, found->first_key, text);
    else
        rocks_damage_note_file(rocks, text);
}

static void
check_done(uv_work_t *work, int status)
{
    RocksCheckPiece *piece = work->data;
    Rocks *rocks = piece->rocks;
    const RocksCheck *check = &rocks->check;
    StorageCheck answer = {.bytes = piece->bytes,
                           .blocks_damaged = piece->found_count,
                           .files_done = check->next,
                           .files_total = check->count,
                           .done = check->next == check->count};

    for (uint32_t i = 0; i < piece->found_count; i++)
        report_found(rocks, &piece->found[i]);
    rocks->check.busy = false;
    rocks->events.checked(rocks->events.context, piece->ref, STATUS_OK, &answer);
    arena_free(&piece->arena);
    memory_resize(&MEMORY_HEAP, piece, 0);
}

void
rocks_check(Storage *storage, bool anew, uint32_t max_bytes, uint64_t ref)
{
    Rocks *rocks = rocks_of(storage);
    StatusCode status = rocks->check.busy ? STATUS_OVERLOADED : rocks_admits(rocks);
    RocksCheckPiece *piece;

    if (status != STATUS_OK)
    {
        rocks->events.checked(rocks->events.context, ref, status, &(StorageCheck){.bytes = 0});
        return;
    }
    if (anew)
        begin_check_pass(rocks);
    rocks->check.busy = true;
    piece = memory_resize(&MEMORY_HEAP, NULL, sizeof(RocksCheckPiece));
    *piece = (RocksCheckPiece){.rocks = rocks, .ref = ref, .max_bytes = max_bytes};
    arena_init(&piece->arena, &MEMORY_HEAP);
    piece->job.work.data = piece;
    piece->job.run = check_on_pool;
    piece->job.done = check_done;
    rocks_pool_begin(rocks, &piece->job, ROCKS_LANE_SCANS);
}
