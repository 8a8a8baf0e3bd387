/*
 * Makes the message of a failure; an Outcome is a value, so nothing is allocated or freed.
 */
#include "node/config/outcome.h"

#include <stdarg.h>
#include <stdio.h>

Outcome
outcome_error(const char *format, ...)
{
    Outcome outcome = {.failed = true};
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(outcome.message, sizeof(outcome.message), format, arguments);
    va_end(arguments);
    return outcome;
}
