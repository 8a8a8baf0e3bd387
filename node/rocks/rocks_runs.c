/*
 * RUNS, the lineage of a store beside its VERSION: a line a run, oldest first, of identifier and
 * the commit number at its end. A number is RocksDB's sequence number, which counts records.
 */
#include "node/rocks/rocks_private.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char RUNS_NAME[] = "RUNS";

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

Outcome
rocks_runs_read(const char *directory, Lineage *lineage)
{
    char path[4096];
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
    return damaged ? outcome_error("\"%s\" is damaged; without it the node has its disk filled "
                                   "from the other owners" ROCKS_HINT,
                                   path)
                   : outcome_ok();
}

Outcome
rocks_runs_write(const char *directory, const Lineage *lineage)
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
rocks_runs_forget(const char *directory)
{
    errno = 0;
    if (!rocks_folder_remove(directory, RUNS_NAME))
        return outcome_error("cannot remove \"%s/%s\": %s", directory, RUNS_NAME, strerror(errno));
    return outcome_ok();
}

Outcome
rocks_runs_begin(Rocks *rocks)
{
    RunId run;
    Outcome outcome = rocks_runs_read(rocks->directory, &rocks->lineage);

    if (outcome.failed)
        return outcome;
    rocks->storage.commits = rocksdb_get_latest_sequence_number(rocks->db);
    randombytes_buf(&run, sizeof(run));
    lineage_begin(&rocks->lineage, &run, rocks->storage.commits);
    return rocks_runs_write(rocks->directory, &rocks->lineage);
}

bool
rocks_settle(Storage *storage, const RunId *lost, uint32_t count)
{
    Rocks *rocks = rocks_of(storage);

    for (uint32_t i = 0; i < count; i++)
        lineage_settle(&rocks->lineage, &lost[i]);
    return !rocks_runs_write(rocks->directory, &rocks->lineage).failed;
}
