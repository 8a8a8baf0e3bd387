#include "node/status.h"

#include <stdarg.h>
#include <stdio.h>

Status
status_error(const char *format, ...)
{
    Status status = {.failed = true};
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(status.message, sizeof(status.message), format, arguments);
    va_end(arguments);
    return status;
}
