/*
 * written: the keys of one bucket that a statement has updated or deleted. A second match of a key
 * in one statement is skipped, as it is for a table's row: two puts under one context would be
 * siblings.
 */
#ifndef FDW_RUN_WRITTEN_H
#define FDW_RUN_WRITTEN_H

#include "fdw/base/pg.h"

#include "shared/base/bytes.h"

typedef struct Written Written;

/* In context. */
Written *written_new(MemoryContext context);

/* False: the key is there already. key is borrowed for as long as the set lives. */
bool written_add(Written *written, Slice key);

#endif
