/*
 * The directory of a store: VERSION says what it is, RUNS what it has been through, rocksdb/ holds
 * the data.
 *
 * VERSION is written when all else is there, so a directory without one has never acknowledged a
 * write. A directory with one must hold its data: an empty database is never made in its place.
 */
#include "node/rocks/rocks_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char FORMAT_LINE[] = "dynamo_fdw data 1\n";
static const char VERSION_NAME[] = "VERSION";
static const char VERSION_DRAFT[] = "VERSION.new";
static const char RUNS_NAME[] = "RUNS";
static const char DATA_NAME[] = ROCKS_DATA_NAME;

enum
{
    FILE_MAX = 256
};

/* The first line, for a person: no control characters, cut. */
static void
first_line(const char *text, char line[64])
{
    size_t length = 0;

    while (length < 63 && text[length] >= ' ' && text[length] <= '~')
    {
        line[length] = text[length];
        length++;
    }
    line[length] = '\0';
}

static Outcome
check_version(const char *directory, const char *text)
{
    char line[64];

    first_line(text, line);
    if (strcmp(text, FORMAT_LINE) != 0)
        return outcome_error("data directory \"%s\" is of another format: its VERSION says \"%s\", "
                             "this program reads \"%.*s\"",
                             directory, line, (int)strlen(FORMAT_LINE) - 1, FORMAT_LINE);
    return outcome_ok();
}

/* Only what laying out leaves when it is interrupted may be in a directory without VERSION. */
static Outcome
check_unversioned(const char *directory)
{
    DIR *entries = opendir(directory);
    struct dirent *entry;
    Outcome outcome = outcome_ok();

    if (entries == NULL)
        return outcome_error("cannot read data directory \"%s\": %s", directory, strerror(errno));
    while (!outcome.failed && (entry = readdir(entries)) != NULL)
    {
        const char *name = entry->d_name;

        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, DATA_NAME) != 0 &&
            strcmp(name, VERSION_DRAFT) != 0 && strcmp(name, "lost+found") != 0)
            outcome = outcome_error("\"%s\" is no data directory: it has no file VERSION, but it "
                                    "is not empty (it holds \"%s\")",
                                    directory, name);
    }
    closedir(entries);
    return outcome;
}

static int
open_in(const char *directory, const char *name, int flags)
{
    char path[4096];

    if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path))
    {
        errno = ENAMETOOLONG;
        return -1;
    }
    return open(path, flags | O_CLOEXEC, 0600);
}

/* A directory with VERSION and without its data has lost them: to lay out an empty database in
 * their place would make the node forget what it has acknowledged. */
Outcome
rocks_folder_check_data(const char *directory)
{
    char name[64];
    int fd;

    snprintf(name, sizeof(name), "%s/CURRENT", DATA_NAME);
    fd = open_in(directory, name, O_RDONLY);
    if (fd < 0)
        return outcome_error(
            "data directory \"%s\" has lost its data: cannot open \"%s/%s\": %s" ROCKS_HINT,
            directory, directory, name, strerror(errno));
    close(fd);
    return outcome_ok();
}

Outcome
rocks_folder_check(const char *directory, bool *found)
{
    char text[FILE_MAX + 1] = {0};
    int fd;

    *found = false;
    if (mkdir(directory, 0700) != 0 && errno != EEXIST)
        return outcome_error("cannot make data directory \"%s\": %s", directory, strerror(errno));
    fd = open_in(directory, VERSION_NAME, O_RDONLY);
    if (fd < 0 && errno == ENOENT)
        return check_unversioned(directory);
    if (fd < 0 || read(fd, text, FILE_MAX) < 0)
    {
        Outcome outcome =
            outcome_error("cannot read \"%s/%s\": %s", directory, VERSION_NAME, strerror(errno));

        if (fd >= 0)
            close(fd);
        return outcome;
    }
    close(fd);
    *found = true;
    return check_version(directory, text);
}

static bool
sync_path(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        close(fd);
    return synced;
}

/* The directory's own name must survive power loss as well as what is in it. */
static bool
sync_with_parent(const char *directory)
{
    char parent[4096 + 4];

    snprintf(parent, sizeof(parent), "%s/..", directory);
    return sync_path(directory) && sync_path(parent);
}

/* The draft is synced before it is renamed, and the directory behind it: after a power loss the
 * file is the old one or the new one. */
bool
rocks_folder_replace(const char *directory, const char *name, Slice bytes)
{
    char draft_name[64];
    char draft[4096];
    char final[4096];
    int fd;

    snprintf(draft_name, sizeof(draft_name), "%s.new", name);
    fd = open_in(directory, draft_name, O_WRONLY | O_CREAT | O_TRUNC);
    if (fd < 0)
        return false;

    bool written = write(fd, bytes.data, bytes.length) == (ssize_t)bytes.length && fsync(fd) == 0;

    if (close(fd) != 0 || !written)
        return false;
    snprintf(draft, sizeof(draft), "%s/%s", directory, draft_name);
    snprintf(final, sizeof(final), "%s/%s", directory, name);
    return rename(draft, final) == 0 && sync_with_parent(directory);
}

bool
rocks_folder_remove(const char *directory, const char *name)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return (unlink(path) == 0 || errno == ENOENT) && sync_path(directory);
}

bool
rocks_folder_set_aside(const char *directory, const char *name, char kept[64])
{
    char from[4096];
    char to[4096];
    unsigned number = 0;

    snprintf(from, sizeof(from), "%s/%s", directory, name);
    do
    {
        snprintf(kept, 64, "%s.%u", name, ++number);
        snprintf(to, sizeof(to), "%s/%s", directory, kept);
    } while (access(to, F_OK) == 0);
    return rename(from, to) == 0 && sync_path(directory);
}

Outcome
rocks_folder_seal(const char *directory)
{
    errno = 0;
    if (!rocks_folder_replace(directory, VERSION_NAME, slice_from_string(FORMAT_LINE)))
        return outcome_error("cannot write \"%s/%s\": %s", directory, VERSION_NAME,
                             strerror(errno));
    return outcome_ok();
}

/* ---- RUNS ---- */

/* A line a run, oldest first, of its identifier and the commit number at its end. A commit number
 * is RocksDB's sequence number, which counts records. */
static bool
parse_run(const char *line, LineageRun *run)
{
    const char *end = NULL;
    char *rest = NULL;
    size_t length = 0;

    if (sodium_hex2bin(run->id.bytes, sizeof(run->id.bytes), line, strcspn(line, " "), NULL,
                       &length, &end) != 0 ||
        length != sizeof(run->id.bytes) || *end != ' ')
        return false;
    errno = 0;
    run->end = strtoull(end + 1, &rest, 10);
    return errno == 0 && rest != end + 1 && *rest == '\n';
}

static Outcome
read_runs(const char *directory, Lineage *lineage)
{
    char path[4096 + 8];
    char line[128];
    FILE *file;
    bool damaged = false;

    snprintf(path, sizeof(path), "%s/%s", directory, RUNS_NAME);
    lineage->count = 0;
    file = fopen(path, "re");
    if (file == NULL)
        return errno == ENOENT ? outcome_ok()
                               : outcome_error("cannot read \"%s\": %s", path, strerror(errno));
    while (!damaged && fgets(line, sizeof(line), file) != NULL)
        damaged = lineage->count == LINEAGE_RUNS_MAX ||
                  !parse_run(line, &lineage->runs[lineage->count++]);
    damaged |= ferror(file) != 0;
    fclose(file);
    return damaged ? outcome_error("\"%s\" is damaged: nobody can tell which writes the data "
                                   "directory holds" ROCKS_HINT,
                                   path)
                   : outcome_ok();
}

static Outcome
write_runs(const char *directory, const Lineage *lineage)
{
    Buffer text;
    char id[2 * sizeof(RunId) + 1];
    char line[128];
    bool written;

    buffer_init(&text, &MEMORY_HEAP);
    for (uint32_t i = 0; i < lineage->count; i++)
    {
        const LineageRun *run = &lineage->runs[i];

        sodium_bin2hex(id, sizeof(id), run->id.bytes, sizeof(run->id.bytes));
        snprintf(line, sizeof(line), "%s %" PRIu64 "\n", id, run->end);
        buffer_put(&text, line, strlen(line));
    }
    errno = 0;
    written = rocks_folder_replace(directory, RUNS_NAME, buffer_slice(&text));
    buffer_free(&text);
    return written
               ? outcome_ok()
               : outcome_error("cannot write \"%s/%s\": %s", directory, RUNS_NAME, strerror(errno));
}

Outcome
rocks_folder_forget_runs(const char *directory)
{
    errno = 0;
    if (!rocks_folder_remove(directory, RUNS_NAME))
        return outcome_error("cannot remove \"%s/%s\": %s", directory, RUNS_NAME, strerror(errno));
    return outcome_ok();
}

/* A run is noted before it writes anything: a copy of the directory can then be told from the
 * original, by the run that one has and the other lacks (node/engine/cluster/witness.h). */
Outcome
rocks_folder_begin_run(Rocks *rocks)
{
    RunId run;
    Outcome outcome = read_runs(rocks->directory, &rocks->lineage);

    if (outcome.failed)
        return outcome;
    rocks->storage.commits = rocksdb_get_latest_sequence_number(rocks->db);
    randombytes_buf(&run, sizeof(run));
    lineage_begin(&rocks->lineage, &run, rocks->storage.commits);
    return write_runs(rocks->directory, &rocks->lineage);
}

bool
rocks_folder_settle(Storage *storage, const RunId *lost, uint32_t count)
{
    Rocks *rocks = rocks_of(storage);

    for (uint32_t i = 0; i < count; i++)
        lineage_settle(&rocks->lineage, &lost[i]);
    return !write_runs(rocks->directory, &rocks->lineage).failed;
}
