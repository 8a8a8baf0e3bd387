/*
 * The judge of a damaged write-ahead log: was the damage done by a crash, or to synced records?
 *
 * The writer syncs each write before it begins the next, so a crash can only tear the very last
 * one. Power loss may tear it anywhere, because the pages of an unsynced write reach the disk in
 * any order: it can have a hole and a sound end. Damage with a later write behind it is damage to
 * records that were acknowledged. A log that was not closed ends in zeros
 * (below).
 *
 * Source: RocksDB's db/log_format.h. Blocks of 32 KiB; a record in a block is a masked CRC-32C of
 * type and payload (4 bytes, little endian), a length (2), a type (1), the payload; a write is one
 * FULL record, or FIRST, MIDDLE.., LAST.
 */
#include "node/rocks/rocks_private.h"

#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum
{
    BLOCK_BYTES = 32768,
    HEADER_BYTES = 7,
    TYPE_FULL = 1,
    TYPE_FIRST = 2,
    TYPE_LAST = 4
};

typedef struct RocksLog
{
    const uint8_t *data;
    size_t length;
    uint32_t table[256]; /* of the CRC */
} RocksLog;

/* The type of the sound record at offset; 0 when there is none. *size is set to its bytes. */
static unsigned
record_at(const RocksLog *log, size_t offset, size_t *size)
{
    const uint8_t *header = log->data + offset;
    size_t left = BLOCK_BYTES - offset % BLOCK_BYTES;
    size_t length;
    uint32_t crc;

    if (left > log->length - offset)
        left = log->length - offset;
    if (left < HEADER_BYTES || header[6] < TYPE_FULL || header[6] > TYPE_LAST)
        return 0;
    length = header[4] | (size_t)header[5] << 8;
    if (length > left - HEADER_BYTES)
        return 0;
    crc = header[0] | (uint32_t)header[1] << 8 | (uint32_t)header[2] << 16 |
          (uint32_t)header[3] << 24;
    *size = HEADER_BYTES + length;
    return rocks_sst_crc(log->table, header + 6, length + 1) == crc ? header[6] : 0;
}

/* Where the sound records from the start end. */
static size_t
sound_length(const RocksLog *log)
{
    size_t offset = 0;
    size_t size;

    while (offset < log->length)
    {
        size_t left = BLOCK_BYTES - offset % BLOCK_BYTES;

        if (left < HEADER_BYTES)
            offset += left < log->length - offset ? left : log->length - offset;
        else if (record_at(log, offset, &size) != 0)
            offset += size;
        else
            break;
    }
    return offset;
}

/* The damage may have taken the length that leads to the next record, so every byte behind it is
 * tried as the start of one: a checksum of 32 bits makes a false find rare, and it errs on the side
 * of asking a person. */
static bool
write_begins_behind(const RocksLog *log, size_t offset)
{
    size_t size;

    while (++offset < log->length)
    {
        unsigned type = record_at(log, offset, &size);

        if (type == TYPE_FULL || type == TYPE_FIRST)
            return true;
    }
    return false;
}

static bool
log_map(RocksLog *log, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) != 0)
    {
        if (fd >= 0)
            close(fd);
        return false;
    }
    log->data = NULL;
    log->length = (size_t)status.st_size;
    if (log->length > 0)
        log->data = mmap(NULL, log->length, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    return log->data != MAP_FAILED;
}

/* The space set aside for a log that was not closed reads as zeros. */
static bool
nothing_follows(const RocksLog *log, size_t offset)
{
    while (offset < log->length && log->data[offset] == 0)
        offset++;
    return offset == log->length;
}

/* Is the log sound, or, if it is the newest, damaged in its last write alone? */
static bool
log_kept_its_word(RocksLog *log, const char *path, bool newest)
{
    size_t sound;
    bool kept;

    if (!log_map(log, path))
        return false;
    sound = sound_length(log);
    kept = nothing_follows(log, sound) || (newest && !write_begins_behind(log, sound));
    if (log->data != NULL)
        munmap((void *)log->data, log->length);
    return kept;
}

/* The number that is the file's name. */
static unsigned long long
log_number(const char *path)
{
    return strtoull(strrchr(path, '/') + 1, NULL, 10);
}

static size_t
newest_of(const glob_t *logs)
{
    size_t newest = 0;

    for (size_t i = 1; i < logs->gl_pathc; i++)
    {
        if (log_number(logs->gl_pathv[i]) > log_number(logs->gl_pathv[newest]))
            newest = i;
    }
    return newest;
}

bool
rocks_log_torn_by_crash(const char *database)
{
    char pattern[4096];
    glob_t logs;
    RocksLog log;
    bool kept = true;

    rocks_sst_crc_table(log.table);
    snprintf(pattern, sizeof(pattern), "%s/*.log", database);
    if (glob(pattern, 0, NULL, &logs) != 0)
        return false;
    for (size_t i = 0; i < logs.gl_pathc && kept; i++)
        kept = log_kept_its_word(&log, logs.gl_pathv[i], i == newest_of(&logs));
    globfree(&logs);
    return kept;
}

/* A manifest has the format of a log. A torn end counts as damage here: RocksDB syncs a manifest
 * before it relies on it. */
static bool
manifest_is_sound(RocksLog *log, const char *database)
{
    char path[4096];
    char name[64] = "";
    FILE *file;
    bool sound = false;

    snprintf(path, sizeof(path), "%s/CURRENT", database);
    file = fopen(path, "re");
    if (file == NULL)
        return false;
    if (fgets(name, sizeof(name), file) != NULL)
    {
        name[strcspn(name, "\n")] = '\0';
        snprintf(path, sizeof(path), "%s/%s", database, name);
        sound = log_kept_its_word(log, path, false);
    }
    fclose(file);
    return sound;
}

static bool
has_logs(const char *database)
{
    char pattern[4096];
    glob_t logs;
    int found;

    snprintf(pattern, sizeof(pattern), "%s/*.log", database);
    found = glob(pattern, 0, NULL, &logs);
    if (found == 0)
        globfree(&logs);
    return found != GLOB_NOMATCH;
}

bool
rocks_log_blames_tables(const char *database)
{
    RocksLog log;

    rocks_sst_crc_table(log.table);
    return manifest_is_sound(&log, database) &&
           (!has_logs(database) || rocks_log_torn_by_crash(database));
}

/* ---- the length of a log ---- */

/*
 * Makes RocksDB's log files as long as the space that is set aside for them.
 *
 * RocksDB sets space aside for a log with FALLOC_FL_KEEP_SIZE, so every append lengthens the file
 * and every fdatasync has an inode to write beside the data: two writes that wait for each other.
 * Without that flag the length changes once, and the syncs of appends within a block that has been
 * written before cost one write. RocksDB has no option for it. It calls fallocate(), and a function
 * of that name in the program comes before the one in libc.
 *
 * Why the zeros behind the last write do no harm. RocksDB's reader takes a zero header for nothing
 * (logs written through mmap end like that); a write cut off in front of zeros is damage to it, of
 * which rocks_log.c then finds that it is the last write's alone; the manifest holds the least
 * length of a closed log, and a longer one is no complaint; and a log that is closed is cut to what
 * was written. The space was unwritten before and reads as zeros, never as what the disk held.
 */
/* Is it NUMBER.log in a folder of ours? */
static bool
is_log(int fd)
{
    char link[64];
    char path[4096];
    ssize_t length;
    size_t digits;
    const char *name;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof(path) - 1);
    if (length <= 0)
        return false;
    path[length] = '\0';
    name = strrchr(path, '/');
    if (name == NULL)
        return false;
    digits = strspn(name + 1, "0123456789");
    return digits > 0 && strcmp(name + 1 + digits, ".log") == 0;
}

int
fallocate(int fd, int mode, off_t offset, off_t length)
{
    if (mode == FALLOC_FL_KEEP_SIZE && is_log(fd))
        mode = 0;
    return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}
