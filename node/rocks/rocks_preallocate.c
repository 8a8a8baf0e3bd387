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
#include "node/rocks/rocks_private.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

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

void
rocks_preallocate_link(void)
{
}

int
fallocate(int fd, int mode, off_t offset, off_t length)
{
    if (mode == FALLOC_FL_KEEP_SIZE && is_log(fd))
        mode = 0;
    return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}
