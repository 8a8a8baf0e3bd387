/*
 * encoding: text is stored as UTF-8, whatever the encodings of database and client.
 *
 * The types' send and receive functions convert text to and from the client's encoding: left alone,
 * what a session stores would depend on its client_encoding.
 */
#ifndef FDW_ROW_ENCODING_H
#define FDW_ROW_ENCODING_H

#include "fdw/base/pg.h"

#include "shared/base/bytes.h"

/* Runs body(argument) as if the client's encoding were UTF-8. An ERROR in it passes through. */
void encoding_run(void (*body)(void *argument), void *argument);

/* Text of the database as it is stored; the same bytes, or a palloc'd copy. */
Slice encoding_to_stored(Slice text);

/* The way back; 22021, 22P05 for bytes that are no text of the database's encoding. */
Slice encoding_from_stored(Slice text);

#endif
