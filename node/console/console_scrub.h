/*
 * The console's commands about reading all that the node keeps: SCRUB, SCRUB STOP, SHOW SCRUB
 * (node/engine/repair/scrub.h). Rows of the table in console.c point here.
 */
#ifndef NODE_CONSOLE_CONSOLE_SCRUB_H
#define NODE_CONSOLE_CONSOLE_SCRUB_H

#include "node/console/console.h"

extern const Column console_scrub_columns[13];

void console_run_show_scrub(Console *console, Session *session, const ConsoleCommand *command,
                            const ConsoleWords *words);
void console_run_scrub(Console *console, Session *session, const ConsoleCommand *command,
                       const ConsoleWords *words);
void console_run_scrub_stop(Console *console, Session *session, const ConsoleCommand *command,
                            const ConsoleWords *words);

#endif
