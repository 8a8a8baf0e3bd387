/*
 * settings: the parameters that a session may SET, dynamo_fdw.*. Written by PostgreSQL alone.
 */
#ifndef FDW_BASE_SETTINGS_H
#define FDW_BASE_SETTINGS_H

#include <stdbool.h>

typedef enum SettingsRepair
{
    SETTINGS_REPAIR_TABLE, /* as the table says */
    SETTINGS_REPAIR_WAIT,
    SETTINGS_REPAIR_BACKGROUND
} SettingsRepair;

typedef struct Settings
{
    int r;  /* 0: the table's */
    int w;  /* 0: the table's */
    int pr; /* -1: the table's; likewise below */
    int pw;
    int node_confirms;
    int hedge_after_ms;     /* -1: the table's; 0: adaptive */
    int read_repair;        /* a SettingsRepair */
    int request_timeout_ms; /* of one request: connecting, waiting, retrying; at least 1 */
    int max_pending_kb;     /* of a transaction's unsent writes */
    bool enable_batch_join;
    int join_batch_size; /* outer rows looked up at once, at least 1 */
} Settings;

extern Settings settings;

/* Defines them all; once, from _PG_init. */
void settings_define(void);

#endif
