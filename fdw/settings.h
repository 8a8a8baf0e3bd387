/*
 * settings: the parameters that a session may SET, dynamo_fdw.*. Written by PostgreSQL alone.
 */
#ifndef FDW_SETTINGS_H
#define FDW_SETTINGS_H

#include <stdbool.h>

typedef struct Settings
{
    int r;                  /* 0: the table's */
    int w;                  /* 0: the table's */
    int request_timeout_ms; /* of one request: connecting, waiting, retrying; at least 1 */
    int max_pending_kb;     /* of a transaction's unsent writes */
    bool enable_batch_join;
    int join_batch_size; /* outer rows looked up at once, at least 1 */
} Settings;

extern Settings settings;

/* Defines them all; once, from _PG_init. */
void settings_define(void);

#endif
