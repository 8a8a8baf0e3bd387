/*
 * The console's commands about replicas that are compared and mended: SHOW REPAIR, REPAIR. Rows of
 * the table in console.c point here.
 */
#ifndef NODE_CONSOLE_CONSOLE_REPAIR_H
#define NODE_CONSOLE_CONSOLE_REPAIR_H

#include "node/console/console.h"

extern const Column console_repairs_columns[18];
extern const Column console_repair_bucket_columns[15];
extern const Column console_repair_columns[1];

/* SHOW REPAIR: a row for each other node and bucket that this node shares with it. */
void console_run_repairs(Console *console, Session *session, const ConsoleCommand *command,
                         const ConsoleWords *words);

/* SHOW REPAIR bucket [node]: a row for each partition and other node. */
void console_run_repair_bucket(Console *console, Session *session, const ConsoleCommand *command,
                               const ConsoleWords *words);

/* REPAIR [bucket] [node]: answers at once with how many compares were queued. One word is a bucket,
 * unless there is none of that name and a node of it. */
void console_run_repair(Console *console, Session *session, const ConsoleCommand *command,
                        const ConsoleWords *words);

#endif
