/*
 * slicetable: PostgreSQL's simplehash, of Slices by their bytes.
 *
 * An entry points to a Slice that its owner keeps in place, mostly as the first member of what is
 * to be found: both Slice and bytes are borrowed for as long as the entry is there.
 */
#ifndef FDW_BASE_SLICETABLE_H
#define FDW_BASE_SLICETABLE_H

#include "fdw/base/pg.h"

#include "shared/base/bytes.h"

typedef struct SliceTableEntry
{
    const Slice *key;
    uint32 hash;
    char status;
} SliceTableEntry;

#define SH_PREFIX slicetable
#define SH_ELEMENT_TYPE SliceTableEntry
#define SH_KEY_TYPE const Slice *
#define SH_SCOPE extern
#define SH_DECLARE
#include "lib/simplehash.h"

#endif
