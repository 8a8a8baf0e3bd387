/*
 * keyset: encoded keys collected for a multiget, each once.
 *
 * The keys stand in the order in which they first came. Everything lives in the context given at
 * the start; the set itself must not move.
 */
#ifndef FDW_ROW_KEYSET_H
#define FDW_ROW_KEYSET_H

#include "fdw/base/pg.h"

#include "fdw/row/relation.h"

typedef struct Keyset
{
    MemoryContext context; /* borrowed */
    Memory memory;
    Buffer scratch; /* the key being added */
    Slice *keys;
    uint32 count;
    uint32 capacity; /* a power of two, or 0 */
    uint32 *slots;   /* hash table of 2 * capacity: index into keys + 1, or 0 */
} Keyset;

enum
{
    /* What the values of several columns may combine to; a list for one column has no bound but its
     * own length. */
    KEYSET_PRODUCT_MAX = 1000000
};

/* What a key column is compared with, evaluated. */
typedef struct KeysetColumn
{
    Datum value; /* a scalar, or an array of them when is_array */
    bool is_null;
    bool is_array;
    Oid value_type; /* of the scalar or of the elements, as key_part takes it */
} KeysetColumn;

void keyset_init(Keyset *set, MemoryContext context);

/* Adds the key that parts, one for each key column, make, unless it is there; gives its place. */
uint32 keyset_add(Keyset *set, const RelationInfo *info, const KeyValue *parts);

/*
 * Adds every combination of the columns' values. NULL equals nothing, so a NULL, and a value that
 * no key can have, adds none. 54000: more than KEYSET_PRODUCT_MAX combinations.
 */
void keyset_add_product(Keyset *set, const RelationInfo *info, const KeysetColumn *columns);

#endif
