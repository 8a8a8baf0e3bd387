/*
 * State files: the small binary files that a node writes for itself (DIR/topology, DIR/seen), each
 * with a checksum behind it, so that an altered file is never believed.
 */
#ifndef NODE_CONFIG_IDENTITY_STATE_H
#define NODE_CONFIG_IDENTITY_STATE_H

#include <stdbool.h>

#include "node/config/outcome.h"
#include "shared/base/bytes.h"

/* Appends the bytes that were written last, none when there is no file. damaged is set when the
 * checksum does not fit the file; nothing is appended then. */
Outcome identity_state_read(const char *path, Buffer *bytes, bool *damaged) MUST_CHECK;

/* Durable when it returns. */
Outcome identity_state_replace(const char *path, Slice bytes) MUST_CHECK;

/* Renames it to path.1, or the next number that is free; kept is the new path. Durable. */
Outcome identity_state_set_aside(const char *path, char *kept, size_t size) MUST_CHECK;

#endif
