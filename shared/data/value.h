/*
 * value: what a sibling holds, the named, typed columns of a row as the extension writes them.
 *
 * A column is its name, its type (the OID of a built-in type, else 0 and the qualified name) and
 * the type's binary send form, or NULL. Nodes never look inside but to show it on the console.
 */
#ifndef SHARED_DATA_VALUE_H
#define SHARED_DATA_VALUE_H

#include "shared/base/bytes.h"

typedef struct ValueColumn
{
    Slice name;
    uint32_t type_oid; /* 0: not built in, type_name says */
    Slice type_name;   /* schema-qualified; empty when type_oid is set */
    bool is_null;
    Slice data; /* the type's send form */
} ValueColumn;

void value_encode(Buffer *buffer, const ValueColumn *columns, uint32_t count);

/* Borrows from bytes. False on bytes that value_encode never makes. */
bool value_decode(Slice bytes, Arena *arena, ValueColumn **columns, uint32_t *count);

#endif
