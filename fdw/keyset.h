/*
 * keyset: encoded keys collected for a multiget, each once.
 *
 * The keys' bytes live in the context given at the start.
 */
#ifndef FDW_KEYSET_H
#define FDW_KEYSET_H

#include "fdw/pg.h"

#include "fdw/relation.h"

typedef struct Keyset
{
    MemoryContext context; /* borrowed */
    Slice *keys;
    uint32 count;
    uint32 capacity;
} Keyset;

/* What a key column is compared with, evaluated. */
typedef struct KeysetColumn
{
    Datum value; /* a scalar, or an array of them when is_array */
    bool is_null;
    bool is_array;
    Oid value_type; /* of the scalar or of the elements, as key_part takes it */
} KeysetColumn;

void keyset_init(Keyset *set, MemoryContext context);

/* Adds the key that parts, one for each key column, make; gives its bytes. */
Slice keyset_add(Keyset *set, const RelationInfo *info, const KeyValue *parts);

/*
 * Adds every combination of the columns' values. NULL equals nothing, so a NULL, and a value that
 * no key can have, adds none.
 */
void keyset_add_product(Keyset *set, const RelationInfo *info, const KeysetColumn *columns);

/* Sorts the keys and keeps each once. */
void keyset_sort(Keyset *set);

/* The place of key in a sorted set; it must be there. */
uint32 keyset_place(const Keyset *set, Slice key);

#endif
