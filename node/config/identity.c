/*
 * Reads and writes the files of a node's folder that say who it is, and holds the folder's lock.
 *
 * A file is written beside the old one, synced, renamed over it, and the folder synced: after a
 * power loss there is the old file or the new one, whole. Whatever held a key is wiped before it is
 * given back.
 */
#include "node/config/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE 4096
#define SMALL_FILE 4096
#define MEMBER_SUM_BYTES 8
#define MEMBER_TEXT_SIZE 256

const char *
identity_path(const char *dir, const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/%s", dir, name);
    return path;
}

static Outcome
file_error(const char *what, const char *path)
{
    return outcome_error("could not %s \"%.200s\": %s", what, path, strerror(errno));
}

/* Reads a file of a few lines and ends its text with a NUL. A secret file that others than its
 * owner can read is refused before it is used, since it may be known already. */
static Outcome
read_small(const char *path, bool is_secret, char text[SMALL_FILE])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    Outcome outcome = outcome_ok();
    struct stat info;
    ssize_t length;

    text[0] = '\0';
    if (fd < 0)
        return file_error("open", path);
    if (fstat(fd, &info) != 0)
        outcome = file_error("open", path);
    else if (is_secret && (info.st_mode & 077) != 0)
        outcome = outcome_error(
            "\"%.200s\" can be read by others than its owner; set its mode to 0600 (chmod 600)",
            path);
    else if ((length = read(fd, text, SMALL_FILE - 1)) < 0)
        outcome = file_error("read", path);
    else if (length == SMALL_FILE - 1)
        outcome = outcome_error("\"%.200s\" is too large%s", path,
                                is_secret ? ": it holds something else than keys" : "");
    else if (memchr(text, '\0', (size_t)length) != NULL)
        outcome = outcome_error("\"%.200s\" is not a text file", path);
    else
        text[length] = '\0';
    close(fd);
    return outcome;
}

/* Reads exactly length bytes as hex at the start of text; end then points behind them. */
static bool
read_hex(const char *text, uint8_t *bytes, size_t length, const char **end)
{
    size_t got;

    return strlen(text) >= 2 * length &&
           sodium_hex2bin(bytes, length, text, 2 * length, NULL, &got, end) == 0 && got == length;
}

void
identity_draw(Identity *identity)
{
    memset(identity, 0, sizeof(*identity));
    randombytes_buf(identity->member_id, sizeof(identity->member_id));
    randombytes_buf(identity->node_key, sizeof(identity->node_key));
    randombytes_buf(identity->keys.keys[0], sizeof(identity->keys.keys[0]));
    identity->keys.count = 1;
}

Outcome
identity_read_keys(const char *file_name, ClusterKeys *keys)
{
    char text[SMALL_FILE];
    Outcome outcome = read_small(file_name, true, text);

    if (outcome.failed)
        sodium_memzero(keys, sizeof(*keys));
    else
        outcome = keyring_parse(keys, text, strlen(text), file_name);
    sodium_memzero(text, sizeof(text));
    return outcome;
}

Outcome
identity_write_keys(const char *file_name, const ClusterKeys *keys)
{
    char text[KEYRING_TEXT_SIZE];
    Outcome outcome;

    keyring_format(keys, text);
    outcome = identity_replace_file(file_name, slice_from_string(text));
    sodium_memzero(text, sizeof(text));
    return outcome;
}

/* A write may be cut short by a signal or take only a part; what follows relies on all of it being
 * on the disk. */
static Outcome
write_all(int fd, Slice bytes, const char *path)
{
    while (bytes.length > 0)
    {
        ssize_t written = write(fd, bytes.data, bytes.length);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return file_error("write", path);
        bytes = slice_make(bytes.data + written, bytes.length - (size_t)written);
    }
    return fsync(fd) == 0 ? outcome_ok() : file_error("sync", path);
}

Outcome
identity_create_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    Outcome outcome;

    if (fd < 0)
        return file_error("create", path);
    outcome = write_all(fd, slice_from_string(text), path);
    close(fd);
    return outcome;
}

Outcome
identity_sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result;

    if (fd < 0)
        return file_error("open", dir);
    result = fsync(fd);
    close(fd);
    return result == 0 ? outcome_ok() : file_error("sync", dir);
}

/* A rename is durable once the folder that holds the name is. */
static Outcome
sync_parent(const char *path)
{
    char folder[PATH_SIZE];
    char *slash;

    snprintf(folder, sizeof(folder), "%s", path);
    slash = strrchr(folder, '/');
    if (slash != NULL)
        slash[slash == folder ? 1 : 0] = '\0';
    return identity_sync_dir(slash == NULL ? "." : folder);
}

Outcome
identity_replace_file(const char *path, Slice bytes)
{
    char fresh[PATH_SIZE];
    struct stat old;
    Outcome outcome = outcome_ok();
    int fd;

    if (snprintf(fresh, sizeof(fresh), "%s.new", path) >= (int)sizeof(fresh))
        return outcome_error("the file name is too long");
    fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return file_error("create", fresh);
    /* When root changes a file, it stays the node's. */
    if (stat(path, &old) == 0 && old.st_uid != geteuid() && fchown(fd, old.st_uid, old.st_gid) != 0)
        outcome = file_error("give away", fresh);
    if (!outcome.failed)
        outcome = write_all(fd, bytes, fresh);
    close(fd);
    if (!outcome.failed && rename(fresh, path) != 0)
        outcome = file_error("replace", path);
    if (outcome.failed)
        unlink(fresh);
    return outcome.failed ? outcome : sync_parent(path);
}

/* An id with one altered digit is the id of another node, and no text tells: the sum does. */
static void
member_sum(const Identity *identity, uint8_t sum[MEMBER_SUM_BYTES])
{
    uint8_t both[IDENTITY_MEMBER_BYTES + IDENTITY_KEY_BYTES];
    uint8_t whole[crypto_generichash_BYTES];

    memcpy(both, identity->member_id, IDENTITY_MEMBER_BYTES);
    memcpy(both + IDENTITY_MEMBER_BYTES, identity->node_key, IDENTITY_KEY_BYTES);
    crypto_generichash(whole, sizeof(whole), both, sizeof(both), NULL, 0);
    memcpy(sum, whole, MEMBER_SUM_BYTES);
    sodium_memzero(both, sizeof(both));
}

static bool
has_sum(const Identity *identity, const uint8_t written[MEMBER_SUM_BYTES])
{
    uint8_t sum[MEMBER_SUM_BYTES];

    member_sum(identity, sum);
    return memcmp(sum, written, MEMBER_SUM_BYTES) == 0;
}

static void
member_text(const Identity *identity, char text[MEMBER_TEXT_SIZE])
{
    char id[2 * IDENTITY_MEMBER_BYTES + 1];
    char key[2 * IDENTITY_KEY_BYTES + 1];
    char sum_text[2 * MEMBER_SUM_BYTES + 1];
    uint8_t sum[MEMBER_SUM_BYTES];

    member_sum(identity, sum);
    sodium_bin2hex(id, sizeof(id), identity->member_id, IDENTITY_MEMBER_BYTES);
    sodium_bin2hex(key, sizeof(key), identity->node_key, IDENTITY_KEY_BYTES);
    sodium_bin2hex(sum_text, sizeof(sum_text), sum, sizeof(sum));
    snprintf(text, MEMBER_TEXT_SIZE, "%s\n%s\n%s\n", id, key, sum_text);
    sodium_memzero(key, sizeof(key));
}

Outcome
identity_write_member(const char *dir, const Identity *identity)
{
    char path[PATH_SIZE];
    char text[MEMBER_TEXT_SIZE];
    Outcome outcome;

    member_text(identity, text);
    outcome = identity_replace_file(identity_path(dir, "member", path, sizeof(path)),
                                    slice_from_string(text));
    sodium_memzero(text, sizeof(text));
    return outcome;
}

Outcome
identity_write(const char *dir, const Identity *identity)
{
    char path[PATH_SIZE];
    char text[SMALL_FILE];
    Outcome outcome;

    member_text(identity, text);
    outcome = identity_create_file(identity_path(dir, "member", path, sizeof(path)), text);
    if (outcome.failed)
        return outcome;
    keyring_format(&identity->keys, text);
    outcome = identity_create_file(identity_path(dir, "cluster.key", path, sizeof(path)), text);
    sodium_memzero(text, sizeof(text));
    if (outcome.failed)
        return outcome;
    /* Last, because a folder without it is not a node's. */
    snprintf(text, sizeof(text), "%d\n", IDENTITY_LAYOUT_VERSION);
    return identity_create_file(identity_path(dir, "VERSION", path, sizeof(path)), text);
}

Outcome
identity_check_version(const char *dir)
{
    char path[PATH_SIZE];
    char text[SMALL_FILE];
    char *end;
    long version;
    Outcome outcome = read_small(identity_path(dir, "VERSION", path, sizeof(path)), false, text);

    if (outcome.failed)
        return outcome_error("\"%.200s\" is not a node's folder (use dynamo_node init -D DIR)",
                             dir);
    version = strtol(text, &end, 10);
    if (end == text || version != IDENTITY_LAYOUT_VERSION)
        return outcome_error("\"%.120s\" has layout version %.20s, this program needs version %d",
                             dir, strtok(text, "\r\n") != NULL ? text : "(none)",
                             IDENTITY_LAYOUT_VERSION);
    return outcome;
}

static Outcome
read_member(const char *dir, Identity *identity)
{
    char path[PATH_SIZE];
    char text[SMALL_FILE];
    const char *at = text;
    uint8_t written[MEMBER_SUM_BYTES];
    Outcome outcome = read_small(identity_path(dir, "member", path, sizeof(path)), true, text);

    if (outcome.failed)
        return outcome;
    if (!read_hex(at, identity->member_id, IDENTITY_MEMBER_BYTES, &at) || *at++ != '\n' ||
        !read_hex(at, identity->node_key, IDENTITY_KEY_BYTES, &at) || *at++ != '\n' ||
        !read_hex(at, written, sizeof(written), &at) || strspn(at, " \r\n") != strlen(at) ||
        !has_sum(identity, written))
        outcome = outcome_error("\"%.200s\" is damaged (HINT: \"dynamo_node salvage -D DIR\" takes "
                                "the member id from the topology)",
                                path);
    sodium_memzero(text, sizeof(text));
    return outcome;
}

bool
identity_member_is_damaged(const char *dir)
{
    char path[PATH_SIZE];
    Identity identity;
    bool damaged = access(identity_path(dir, "member", path, sizeof(path)), F_OK) == 0 &&
                   read_member(dir, &identity).failed;

    sodium_memzero(&identity, sizeof(identity));
    return damaged;
}

Outcome
identity_load(const char *dir, Identity **identity)
{
    char path[PATH_SIZE];
    Outcome outcome = identity_check_version(dir);

    *identity = NULL;
    if (outcome.failed)
        return outcome;
    *identity = sodium_malloc(sizeof(Identity));
    if (*identity == NULL)
        return outcome_error("could not lock memory for keys: %s", strerror(errno));
    outcome = read_member(dir, *identity);
    if (!outcome.failed)
        outcome = identity_read_keys(identity_path(dir, "cluster.key", path, sizeof(path)),
                                     &(*identity)->keys);
    if (outcome.failed)
    {
        sodium_free(*identity);
        *identity = NULL;
    }
    return outcome;
}

void
identity_free(Identity *identity)
{
    sodium_free(identity);
}

/* The lock belongs to the open descriptor, which is never closed: the kernel frees it with the
 * process, also after a crash, so there are no stale locks to remove. */
Outcome
identity_lock(const char *dir)
{
    char path[PATH_SIZE];
    char text[32] = "";
    int fd =
        open(identity_path(dir, "lock", path, sizeof(path)), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int length;

    if (fd < 0)
        return file_error("open", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
    {
        Outcome outcome;

        if (read(fd, text, sizeof(text) - 1) < 0)
            text[0] = '\0';
        text[strcspn(text, "\n")] = '\0';
        outcome = outcome_error("another node (process %s) runs on \"%.200s\"",
                                *text != '\0' ? text : "unknown", dir);
        close(fd);
        return outcome;
    }
    /* The process id is for people; the lock is what counts. The descriptor stays open. */
    length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)length, 0) != length)
        return file_error("write", path);
    return outcome_ok();
}
