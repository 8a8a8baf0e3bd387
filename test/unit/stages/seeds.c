/* Writes the seeds of fuzz targets; see seeds.h. */
#include "test/unit/stages/seeds.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The first seed_NAME_N that is no file yet. Names of frames have blanks, which files should not.
 */
static FILE *
create_file(const char *folder, const char *target, const char *name)
{
    char path[512];
    FILE *file = NULL;

    for (unsigned number = 1; file == NULL; number++)
    {
        int start = snprintf(path, sizeof(path), "%s/%s/", folder, target);

        snprintf(path + start, sizeof(path) - (size_t)start, "seed_%s_%u", name, number);
        for (char *at = strchr(path + start, ' '); at != NULL; at = strchr(at, ' '))
            *at = '_';
        file = fopen(path, "wbx");
        if (file == NULL && errno != EEXIST)
            fail_msg("%s: %s", path, strerror(errno));
    }
    return file;
}

void
seeds_keep(const char *target, const char *name, Slice bytes)
{
    const char *folder = getenv("FUZZ_SEEDS");

    if (folder == NULL)
        return;

    FILE *file = create_file(folder, target, name);

    assert_int_equal(fwrite(bytes.data, 1, bytes.length, file), bytes.length);
    assert_int_equal(fclose(file), 0);
}
