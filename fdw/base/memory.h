/*
 * memory: lets the pure code of shared/ allocate in a MemoryContext.
 *
 * What it allocated goes away with the context, so an ERROR may pass through that code at any
 * allocation; what fails there is an ERROR too (53200, XX000), never the end of the process.
 */
#ifndef FDW_BASE_MEMORY_H
#define FDW_BASE_MEMORY_H

#include "fdw/base/pg.h"

#include "shared/base/memory.h"

/* By value, for an arena whose Memory lives at least as long as it does. */
Memory memory_in_context(MemoryContext context);

/* Allocated in the context itself, for what lives as long as the context. */
const Memory *memory_of_context(MemoryContext context);

#endif
