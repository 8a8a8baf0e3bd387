/*
 * Writes the log: builds each line on the stack and hands it to the kernel in one write, so that
 * lines of different threads do not mix and no lock is needed.
 */
#include "node/config/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct Log
{
    char *node_name;
    _Atomic int level;
    int fd;
};

static const char *const level_names[] = {"debug", "info", "warning", "error"};

static Outcome
open_target(const char *file_name, int *fd)
{
    *fd = STDERR_FILENO;
    if (*file_name == '\0')
        return outcome_ok();
    *fd = open(file_name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0)
        return outcome_error("could not open log file \"%s\": %s", file_name, strerror(errno));
    return outcome_ok();
}

Outcome
log_new(const char *node_name, LogLevel level, const char *file_name, Log **log)
{
    int fd;
    Outcome outcome = open_target(file_name, &fd);

    *log = NULL;
    if (outcome.failed)
        return outcome;
    *log = calloc(1, sizeof(Log));
    if (*log == NULL)
        abort();
    (*log)->node_name = strdup(node_name);
    (*log)->level = (int)level;
    (*log)->fd = fd;
    return outcome_ok();
}

void
log_free(Log *log)
{
    if (log == NULL)
        return;
    if (log->fd != STDERR_FILENO)
        close(log->fd);
    free(log->node_name);
    free(log);
}

Outcome
log_reopen(Log *log, LogLevel level, const char *file_name)
{
    int fd;
    Outcome outcome = open_target(file_name, &fd);

    log->level = (int)level;
    if (outcome.failed)
        return outcome;
    /* dup2 keeps the descriptor's number, so a thread that writes at this moment is safe. */
    if (fd != STDERR_FILENO && log->fd != STDERR_FILENO)
    {
        dup3(fd, log->fd, O_CLOEXEC);
        close(fd);
    }
    else if (fd != log->fd)
        log->fd = fd;
    return outcome;
}

static size_t
put_time(char *line, size_t size)
{
    struct timespec now;
    struct tm parts;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    return (size_t)snprintf(line, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ",
                            parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                            parts.tm_min, parts.tm_sec, now.tv_nsec / 1000000);
}

/* Copies text, with control characters shown as \xHH, and ends it with a newline. */
static size_t
put_event(char *line, size_t size, const char *text)
{
    size_t length = 0;

    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++)
    {
        if (length + 6 > size)
            break;
        if (*at < 0x20 || *at == 0x7f)
            length += (size_t)snprintf(line + length, 5, "\\x%02x", *at);
        else
            line[length++] = (char)*at;
    }
    line[length++] = '\n';
    return length;
}

/* The event is cut to LOG_LINE_SIZE before it is escaped, and the line has room to spare: a long
 * text of a client costs one short line. */
void
log_event(Log *log, LogLevel level, const char *format, ...)
{
    char event[LOG_LINE_SIZE];
    char line[LOG_LINE_SIZE + 128];
    size_t length;
    va_list arguments;

    if ((int)level < log->level)
        return;
    va_start(arguments, format);
    vsnprintf(event, sizeof(event), format, arguments);
    va_end(arguments);
    length = put_time(line, sizeof(line));
    length += (size_t)snprintf(line + length, 96, " %s %.64s ", level_names[level], log->node_name);
    length += put_event(line + length, sizeof(line) - length, event);
    if (write(log->fd, line, length) < 0)
        return;
}
