/*
 * console_commands: the commands of the console, each with its columns. Rows of the table in
 * console.c point here; the file of a command is that of its section.
 */
#ifndef NODE_CONSOLE_CONSOLE_COMMANDS_H
#define NODE_CONSOLE_CONSOLE_COMMANDS_H

#include "node/console/console.h"

/* ---- console_buckets.c ---- */

extern const Column console_buckets_columns[7];

void console_run_buckets(Console *console, Session *session, const ConsoleCommand *command,
                         const ConsoleWords *words);
void console_run_drop_bucket(Console *console, Session *session, const ConsoleCommand *command,
                             const ConsoleWords *words);

/* ---- console_cluster.c; of SHOW STATS console_stats.c ---- */

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

/* ---- console_plan.c: changes of members ---- */

extern const Column console_plan_columns[7];

/* SHOW PLAN: a row for each node, one for the plan, and one for each bucket that loses data. */
void console_run_plan(Console *console, Session *session, const ConsoleCommand *command,
                      const ConsoleWords *words);

/* SHOW TRANSFERS: a row for each partition that moves and each node that enters or leaves it. */
extern const Column console_transfers_columns[5];

void console_run_transfers(Console *console, Session *session, const ConsoleCommand *command,
                           const ConsoleWords *words);

/* Each stages one change. */
void console_run_join(Console *console, Session *session, const ConsoleCommand *command,
                      const ConsoleWords *words);
void console_run_leave(Console *console, Session *session, const ConsoleCommand *command,
                       const ConsoleWords *words);
void console_run_replace(Console *console, Session *session, const ConsoleCommand *command,
                         const ConsoleWords *words);
void console_run_remove(Console *console, Session *session, const ConsoleCommand *command,
                        const ConsoleWords *words);
void console_run_set_weight(Console *console, Session *session, const ConsoleCommand *command,
                            const ConsoleWords *words);
void console_run_set_zone(Console *console, Session *session, const ConsoleCommand *command,
                          const ConsoleWords *words);
void console_run_set_address(Console *console, Session *session, const ConsoleCommand *command,
                             const ConsoleWords *words);
void console_run_commit_plan(Console *console, Session *session, const ConsoleCommand *command,
                             const ConsoleWords *words);
void console_run_clear_plan(Console *console, Session *session, const ConsoleCommand *command,
                            const ConsoleWords *words);

/* ---- console_repair.c: replicas that are compared and repaired; reading through all that is kept
 * ---- */

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

extern const Column console_scrub_columns[13];

void console_run_show_scrub(Console *console, Session *session, const ConsoleCommand *command,
                            const ConsoleWords *words);
void console_run_scrub(Console *console, Session *session, const ConsoleCommand *command,
                       const ConsoleWords *words);
void console_run_scrub_stop(Console *console, Session *session, const ConsoleCommand *command,
                            const ConsoleWords *words);

/* ---- console_reaping.c: tombstones that are forgotten; rows that may have been deleted since ----
 */

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
