/*
 * Console values: what GET shows of a stored row. For people; nothing reads it back.
 */
#ifndef NODE_CONSOLE_CONSOLE_VALUE_H
#define NODE_CONSOLE_CONSOLE_VALUE_H

#include "shared/base/bytes.h"
#include "shared/data/vclock.h"

/* Appends the row as a JSON object, column by column: numbers and booleans as such, text as text,
 * JSON as it is, every other type as a string of hex digits behind \x. A value that cannot be
 * decoded becomes one such string. */
void console_value_json(Buffer *out, Slice value);

/* Appends \x and hex digits. */
void console_value_hex(Buffer *out, Slice bytes);

/* Appends "actor:epoch:counter", with the first eight hex digits of the actor. */
void console_value_dot(Buffer *out, const Dot *dot);

/* Appends the time as 2026-11-23 04:12:24.123+00. */
void console_value_time(Buffer *out, uint64_t wall_ms);

#endif
