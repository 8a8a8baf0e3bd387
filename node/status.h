/*
 * Status: the result of a node operation that can fail for reasons outside of the program.
 *
 * Passed by value and owned by whoever holds it. The message is one lower-case line without a
 * final period, fit for the log and for the person who started the node. Not for hot paths.
 */
#ifndef NODE_STATUS_H
#define NODE_STATUS_H

#include <stdbool.h>

#define STATUS_MESSAGE_SIZE 320

typedef struct Status
{
    bool failed;
    char message[STATUS_MESSAGE_SIZE]; /* "" unless failed */
} Status;

#define MUST_CHECK __attribute__((warn_unused_result))

/* A result that says that all went well. */
static inline Status
status_ok(void)
{
    return (Status){.failed = false, .message = ""};
}

/* A failure; a message longer than STATUS_MESSAGE_SIZE is cut. */
Status status_error(const char *format, ...) __attribute__((format(printf, 1, 2))) MUST_CHECK;

#endif
