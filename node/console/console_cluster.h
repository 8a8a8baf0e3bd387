/*
 * The console's commands about the cluster: SHOW NODES, SHOW RING, SHOW STATS, GET. Rows of the
 * table in console.c point here.
 */
#ifndef NODE_CONSOLE_CONSOLE_CLUSTER_H
#define NODE_CONSOLE_CONSOLE_CLUSTER_H

#include "node/console/console.h"

extern const Column console_nodes_columns[11];
extern const Column console_ring_columns[4];
extern const Column console_hints_columns[8];
extern const Column console_stats_columns[3];
extern const Column console_get_columns[6];

void console_run_nodes(Console *console, Session *session, const ConsoleCommand *command,
                       const ConsoleWords *words);
void console_run_ring(Console *console, Session *session, const ConsoleCommand *command,
                      const ConsoleWords *words);
void console_run_hints(Console *console, Session *session, const ConsoleCommand *command,
                       const ConsoleWords *words);
void console_run_stats(Console *console, Session *session, const ConsoleCommand *command,
                       const ConsoleWords *words);
void console_run_get(Console *console, Session *session, const ConsoleCommand *command,
                     const ConsoleWords *words);

#endif
