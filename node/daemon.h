/*
 * Daemon: a node's process from start to stop; ties folder, options, log, loop, server and console.
 *
 * SIGTERM, SIGINT and SHUTDOWN drain and stop; SIGHUP reads options, users, cluster keys and
 * certificate again and opens the log anew.
 */
#ifndef NODE_DAEMON_H
#define NODE_DAEMON_H

#include <stddef.h>

#include "node/config/outcome.h"

typedef struct DaemonStart
{
    const char *dir;
    const char *const *settings; /* name=value, stronger than the file */
    size_t setting_count;
} DaemonStart;

/* Runs until it is told to stop. Fails if it could not start. */
Outcome daemon_run(const DaemonStart *start) MUST_CHECK;

#endif
