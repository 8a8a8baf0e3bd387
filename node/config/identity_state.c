/*
 * Small binary files with a checksum behind their bytes. A missing file is the empty state of a new
 * node; a file whose checksum does not fit is neither empty nor believed, and the caller says what
 * becomes of the node.
 */
#include "node/config/identity_state.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node/config/identity.h"

enum
{
    SUM_BYTES = 16,
    PATH_SIZE = 4096
};

static void
checksum_of(Slice bytes, uint8_t sum[SUM_BYTES])
{
    crypto_generichash(sum, SUM_BYTES, bytes.data, bytes.length, NULL, 0);
}

static Outcome
read_all(const char *path, Buffer *bytes)
{
    uint8_t piece[4096];
    size_t count;
    bool failed;
    FILE *file = fopen(path, "rbe");

    if (file == NULL)
        return outcome_error("could not read \"%.200s\": %s", path, strerror(errno));
    while ((count = fread(piece, 1, sizeof(piece), file)) > 0)
        buffer_put(bytes, piece, count);
    failed = ferror(file) != 0;
    fclose(file);
    return failed ? outcome_error("could not read \"%.200s\"", path) : outcome_ok();
}

Outcome
identity_state_read(const char *path, Buffer *bytes, bool *damaged)
{
    uint8_t sum[SUM_BYTES];
    Outcome outcome;
    Buffer file;
    Slice kept;

    *damaged = false;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return outcome_ok();
    buffer_init(&file, &MEMORY_HEAP);
    outcome = read_all(path, &file);
    if (!outcome.failed)
    {
        kept = slice_make(file.data, file.length > SUM_BYTES ? file.length - SUM_BYTES : 0);
        checksum_of(kept, sum);
        *damaged = file.length < SUM_BYTES || memcmp(sum, file.data + kept.length, SUM_BYTES) != 0;
        if (!*damaged)
            buffer_put(bytes, kept.data, kept.length);
    }
    buffer_free(&file);
    return outcome;
}

Outcome
identity_state_replace(const char *path, Slice bytes)
{
    uint8_t sum[SUM_BYTES];
    Outcome outcome;
    Buffer file;

    buffer_init(&file, &MEMORY_HEAP);
    buffer_put(&file, bytes.data, bytes.length);
    checksum_of(bytes, sum);
    buffer_put(&file, sum, sizeof(sum));
    outcome = identity_replace_file(path, buffer_slice(&file));
    buffer_free(&file);
    return outcome;
}

/* A person may want to look at the damaged file, so it is renamed and never removed. */
Outcome
identity_state_set_aside(const char *path, char *kept, size_t size)
{
    char folder[PATH_SIZE];
    unsigned number = 0;

    do
        snprintf(kept, size, "%s.%u", path, ++number);
    while (access(kept, F_OK) == 0);
    if (rename(path, kept) != 0)
        return outcome_error("could not rename \"%.200s\": %s", path, strerror(errno));
    snprintf(folder, sizeof(folder), "%s", path);
    *strrchr(folder, '/') = '\0';
    return identity_sync_dir(folder);
}
