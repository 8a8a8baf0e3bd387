/*
 * Outcome: the result of a node operation that can fail for reasons outside of the program.
 *
 * Passed by value and owned by whoever holds it. The message is one lower-case line without a
 * final period, fit for the log and for the person who started the node. Not for hot paths.
 */
#ifndef NODE_CONFIG_OUTCOME_H
#define NODE_CONFIG_OUTCOME_H

#include <stdbool.h>

#define OUTCOME_MESSAGE_SIZE 640

typedef struct Outcome
{
    bool failed;
    char message[OUTCOME_MESSAGE_SIZE]; /* "" unless failed */
} Outcome;

#define MUST_CHECK __attribute__((warn_unused_result))

/* A result that says that all went well. */
static inline Outcome
outcome_ok(void)
{
    return (Outcome){.failed = false, .message = ""};
}

/* A failure; a message longer than OUTCOME_MESSAGE_SIZE is cut. */
Outcome outcome_error(const char *format, ...) __attribute__((format(printf, 1, 2))) MUST_CHECK;

#endif
