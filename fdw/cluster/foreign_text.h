/*
 * foreign_text: what a node says in words, made fit for PostgreSQL's own messages.
 */
#ifndef FDW_CLUSTER_FOREIGN_TEXT_H
#define FDW_CLUSTER_FOREIGN_TEXT_H

#include "fdw/base/pg.h"

/*
 * Replaces, in place, control characters by question marks; and, unless the text is UTF-8 and the
 * database's encoding is too, everything that is not ASCII.
 */
void foreign_text_clean(char *text);

#endif
