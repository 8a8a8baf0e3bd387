/*
 * Instantiates simplehash.h once, for whoever needs a table of byte strings.
 */
#include "fdw/base/slicetable.h"

#include "common/hashfn.h"

#define SH_PREFIX slicetable
#define SH_ELEMENT_TYPE SliceTableEntry
#define SH_KEY_TYPE const Slice *
#define SH_KEY key
#define SH_HASH_KEY(table, slice) hash_bytes((slice)->data, (int)(slice)->length)
#define SH_EQUAL(table, a, b) slice_equal(*(a), *(b))
#define SH_STORE_HASH
#define SH_GET_HASH(table, entry) ((entry)->hash)
#define SH_SCOPE extern
#define SH_DEFINE
#include "lib/simplehash.h"
