/*
 * The console's commands about buckets: SHOW BUCKETS, DROP BUCKET. Rows of the table in console.c
 * point here.
 */
#ifndef NODE_CONSOLE_CONSOLE_BUCKETS_H
#define NODE_CONSOLE_CONSOLE_BUCKETS_H

#include "node/console/console.h"

extern const Column console_buckets_columns[7];

void console_run_buckets(Console *console, Session *session, const ConsoleCommand *command,
                         const ConsoleWords *words);
void console_run_drop_bucket(Console *console, Session *session, const ConsoleCommand *command,
                             const ConsoleWords *words);

#endif
