/*
 * Runs one fuzz target over files instead of under libFuzzer: `make check` replays every corpus
 * through this driver in the ordinary build, so that an input that once crashed stays covered on
 * machines without clang.
 *
 *     replay/NAME FILE-OR-FOLDER...
 *
 * Prints the number of inputs run. An input that cannot be read is an error; a crash is a crash.
 * So is an input that no decoder of today takes: it would be replayed for ever and show nothing.
 * One that is there to be refused is named refused_NAME.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t refused_count;

/* See test/fuzz/fuzz.h; a target that does not say has no such variable. */
extern bool fuzz_is_taken __attribute__((weak));

static void
replay_die(const char *path)
{
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    exit(2);
}

static bool
is_to_be_refused(const char *path)
{
    const char *name = strrchr(path, '/');

    return strncmp(name != NULL ? name + 1 : path, "refused_", strlen("refused_")) == 0;
}

/* A block of exactly the input's size: a sanitizer then sees a read past its end. */
static void
replay_file(const char *path, size_t size)
{
    uint8_t *data = malloc(size > 0 ? size : 1);
    FILE *file = fopen(path, "rb");

    if (data == NULL || file == NULL)
        replay_die(path);
    if (fread(data, 1, size, file) != size)
        replay_die(path);
    fclose(file);
    if (&fuzz_is_taken != NULL)
        fuzz_is_taken = false;
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    if (&fuzz_is_taken != NULL && !fuzz_is_taken && !is_to_be_refused(path))
    {
        fprintf(stderr,
                "%s: no decoder takes this input any more; make fuzz-seeds writes the corpora anew "
                "that come from encoders, any other input is mended by hand\n",
                path);
        refused_count++;
    }
}

static size_t replay_path(const char *path);

static size_t
replay_folder(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    size_t count = 0;

    if (folder == NULL)
        replay_die(path);
    while ((entry = readdir(folder)) != NULL)
    {
        char child[4096];

        if (entry->d_name[0] == '.')
            continue;
        if (snprintf(child, sizeof(child), "%s/%s", path, entry->d_name) >= (int)sizeof(child))
        {
            errno = ENAMETOOLONG;
            replay_die(path);
        }
        count += replay_path(child);
    }
    closedir(folder);
    return count;
}

static size_t
replay_path(const char *path)
{
    struct stat status;

    if (stat(path, &status) != 0)
        replay_die(path);
    if (S_ISDIR(status.st_mode))
        return replay_folder(path);
    replay_file(path, (size_t)status.st_size);
    return 1;
}

int
main(int argc, char **argv)
{
    size_t count = 0;

    for (int i = 1; i < argc; i++)
        count += replay_path(argv[i]);
    printf("%zu inputs\n", count);
    return refused_count > 0;
}
