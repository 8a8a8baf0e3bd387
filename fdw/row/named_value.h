/*
 * named_value: values of enums and composite types, stored so that the type may change under them.
 *
 * The send form of an enum is its label, and that of a composite type counts on the attributes of
 * today. A heap table reads what it has after ALTER TYPE: a renamed label under its new name, a row
 * without the attribute that was added, or with one that was dropped since. So here:
 *
 *   enum       OID of the value, label
 *   composite  number of attributes; of each: number, name, built-in type or 0, length (-1: NULL),
 *              value, in this form again where the attribute's type is of these two kinds
 *
 * A label is found by its name, and else by the OID, which is of use in the database that wrote it.
 * An attribute is found by its name, and else by its number, if no other has that name now.
 */
#ifndef FDW_ROW_NAMED_VALUE_H
#define FDW_ROW_NAMED_VALUE_H

#include "fdw/base/pg.h"

#include "lib/stringinfo.h"

/* The type, no domain, is an enum or a composite type. */
bool named_value_is_of(Oid type);

/* Appends a value that is not NULL. */
void named_value_send(Oid type, Datum value, StringInfo out);

/* Reads one, from the cursor on. 22P02: a label that there is not any more; 42804: an attribute has
 * another built-in type; 22P03, 08P01: bytes that are no such value. */
Datum named_value_receive(Oid type, StringInfo in);

#endif
