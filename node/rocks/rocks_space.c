/*
 * Room on the disk.
 *
 * RocksDB that meets a full disk writes no more until it is opened anew, so it is not let there:
 * before the last RocksOptions.reserve_bytes are touched no write is taken on. What is merged by
 * then is written; flushes, compactions and what the node notes live on the reserve. The writer
 * looks before it writes; once no write is taken the loop has the pool look once a second.
 *
 * Where the disk is full all the same, since somebody else has filled it or a quota says so, the
 * store is done for as after any failed write. Once there is room the node is asked to start anew:
 * what was not acknowledged may be there or not, as after a crash.
 */
#include "node/rocks/rocks_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

enum
{
    LOOK_MS = 100,   /* between two looks of the writer */
    RETRY_MS = 1000, /* between two looks of the loop */
    BEGIN_MB = 64,   /* or the share below, of room for a store that is opened anew */
    BEGIN_SHARE_OF_DISK = 20,
    SHARE_OF_DISK = 10 /* a small disk need not have more than this share of it left */
};

static const uint64_t MB = 1024 * 1024;

typedef struct RocksLook
{
    RocksJob job; /* first: a uv_work_t * is a RocksLook * */
    RocksSpace space;
} RocksLook;

static RocksSpace
measure_space(const Rocks *rocks)
{
    struct statvfs disk;
    RocksSpace space = {.known = statvfs(rocks->directory, &disk) == 0};

    if (!space.known)
        return space;
    space.free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    space.total_bytes = (uint64_t)disk.f_blocks * disk.f_frsize;
    space.reserve_bytes = space.total_bytes / SHARE_OF_DISK;
    if (space.reserve_bytes > rocks->reserve_bytes)
        space.reserve_bytes = rocks->reserve_bytes;
    return space;
}

static bool
is_low(const RocksSpace *space)
{
    return space->known && space->free_bytes < space->reserve_bytes;
}

/* Half as much more, lest it goes to and fro; without a reserve, enough to begin with. */
static bool
is_roomy(const RocksSpace *space)
{
    uint64_t reserve = space->reserve_bytes + space->reserve_bytes / 2;
    uint64_t least = space->total_bytes / BEGIN_SHARE_OF_DISK;

    least = least < BEGIN_MB * MB ? least : BEGIN_MB * MB;
    return space->known && space->free_bytes >= (reserve > least ? reserve : least);
}

/* Called by the writer before each write: statvfs costs little, but not nothing, so it looks ten
 * times a second. */
void
rocks_space_look(Rocks *rocks)
{
    RocksWriter *writer = &rocks->writer;
    uint64_t now_ms = uv_hrtime() / 1000000;
    RocksSpace space;

    if (now_ms < writer->looked_ms + LOOK_MS)
        return;
    writer->looked_ms = now_ms;
    space = measure_space(rocks);
    atomic_store(&writer->low, is_low(&space));
}

bool
rocks_error_is_no_room(const char *error)
{
    return strstr(error, strerror(ENOSPC)) != NULL || strstr(error, strerror(EDQUOT)) != NULL;
}

static void
tell_state(Rocks *rocks)
{
    if (rocks->events.disk_changed != NULL)
        rocks->events.disk_changed(rocks->events.context);
}

static void
be_full(Rocks *rocks, const RocksSpace *space)
{
    snprintf(rocks->failure, sizeof(rocks->failure),
             "its disk is full: %" PRIu64 " MB are free in \"%.200s\", and %" PRIu64
             " MB must be left (disk_reserve_mb)",
             space->free_bytes / MB, rocks->directory, space->reserve_bytes / MB);
    rocks->storage.disk = DISK_FULL;
    rocks_space_wait(rocks);
    tell_state(rocks);
}

/* The loop measures again before it believes the writer: room may have come back since. */
void
rocks_space_check(Rocks *rocks)
{
    RocksSpace space;

    if (rocks->storage.disk != DISK_WELL || !atomic_load(&rocks->writer.low))
        return;
    space = measure_space(rocks);
    if (is_low(&space))
        be_full(rocks, &space);
}

/* ---- waiting for room ---- */

static void
measure_on_pool(uv_work_t *work)
{
    RocksLook *asked = (RocksLook *)work;

    asked->space = measure_space(asked->job.rocks);
}

/* A store that only stopped taking writes goes on. One whose write failed has to be opened anew,
 * which is for the node to do. */
static void
have_room(Rocks *rocks)
{
    if (!rocks->broken)
    {
        atomic_store(&rocks->writer.low, false);
        rocks->storage.disk = DISK_WELL;
        rocks->failure[0] = '\0';
        tell_state(rocks);
        return;
    }
    rocks_tell(rocks,
               "there is room on the disk again: the node closes its storage and opens it anew");
    rocks->restart(rocks->restart_context);
}

static void
on_space_measured(uv_work_t *work, int status)
{
    RocksLook *asked = (RocksLook *)work;
    Rocks *rocks = asked->job.rocks;

    if (!rocks->closing && is_roomy(&asked->space))
        have_room(rocks);
    else if (!rocks->closing)
        rocks_space_wait(rocks);
    memory_resize(&MEMORY_HEAP, asked, 0);
}

static void
on_space_timer(uv_timer_t *timer)
{
    Rocks *rocks = timer->data;
    RocksLook *asked;

    if (rocks->closing)
        return;
    asked = memory_resize(&MEMORY_HEAP, NULL, sizeof(RocksLook));
    *asked = (RocksLook){
        .job = {.run = measure_on_pool, .done = on_space_measured}
    };
    rocks_pool_begin(rocks, &asked->job, ROCKS_LANE_SCANS);
}

void
rocks_space_wait(Rocks *rocks)
{
    uv_timer_start(&rocks->space_timer, on_space_timer, RETRY_MS, 0);
}

void
rocks_space_open(Rocks *rocks, const RocksOptions *options)
{
    RocksSpace space;

    rocks->reserve_bytes = options->reserve_bytes;
    rocks->restart = options->restart;
    rocks->restart_context = options->warn_context;
    if (uv_timer_init(rocks->loop, &rocks->space_timer) != 0)
        abort();
    rocks->space_timer.data = rocks;
    space = measure_space(rocks);
    if (rocks->storage.disk == DISK_WELL && is_low(&space))
        be_full(rocks, &space);
}
