/*
 * Log: one line an event, "time level node event", to stderr or to a file.
 *
 * A line is built on the caller's stack and leaves in one write, so any thread may log. Control
 * characters in an event are shown as \xHH: text from a client cannot forge a second line. Lines
 * longer than LOG_LINE_SIZE are cut. A failed write is dropped: the log never stops the node.
 */
#ifndef NODE_CONFIG_LOG_H
#define NODE_CONFIG_LOG_H

#include "node/config/outcome.h"

#define LOG_LINE_SIZE 2048

typedef enum LogLevel
{
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_ERROR
} LogLevel;

typedef struct Log Log;

/*
 * Starts a log for the node of this name. An empty file_name means stderr; a file is created with
 * mode 0600 and appended to. The strings are copied. On failure *log is NULL.
 */
Outcome log_new(const char *node_name, LogLevel level, const char *file_name, Log **log) MUST_CHECK;

void log_free(Log *log);

/*
 * Takes a new level and opens the file again (after a rotation). If that fails the log goes on
 * as it was. Call it from the loop thread only.
 */
Outcome log_reopen(Log *log, LogLevel level, const char *file_name) MUST_CHECK;

/* Writes one event, if its level is at least that of the log. */
void log_event(Log *log, LogLevel level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_debug(log, ...) log_event((log), LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(log, ...) log_event((log), LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(log, ...) log_event((log), LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(log, ...) log_event((log), LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
