/*
 * The console's commands about what is forgotten: SHOW REAPING, REAP; and about rows that may have
 * been deleted since: SHOW ORPHANS, ADOPT ORPHANS, DROP ORPHANS. Rows of the table in console.c
 * point here.
 */
#ifndef NODE_CONSOLE_CONSOLE_REAPING_H
#define NODE_CONSOLE_CONSOLE_REAPING_H

#include "node/console/console.h"

extern const Column console_reapings_columns[10];
extern const Column console_reaping_bucket_columns[11];
extern const Column console_orphans_columns[3];

/* SHOW REAPING: the partitions of a bucket that stand alike are one row. */
void console_run_reapings(Console *console, Session *session, const ConsoleCommand *command,
                          const ConsoleWords *words);

/* SHOW REAPING bucket: a row for each partition. */
void console_run_reaping_bucket(Console *console, Session *session, const ConsoleCommand *command,
                                const ConsoleWords *words);
void console_run_reap(Console *console, Session *session, const ConsoleCommand *command,
                      const ConsoleWords *words);

void console_run_orphans(Console *console, Session *session, const ConsoleCommand *command,
                         const ConsoleWords *words);

/* ADOPT ORPHANS [bucket], DROP ORPHANS [bucket]: answer at once; SHOW ORPHANS tells what is left.
 */
void console_run_adopt_orphans(Console *console, Session *session, const ConsoleCommand *command,
                               const ConsoleWords *words);
void console_run_drop_orphans(Console *console, Session *session, const ConsoleCommand *command,
                              const ConsoleWords *words);

#endif
