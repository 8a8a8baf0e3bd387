/*
 * Declares the settings to PostgreSQL, with their defaults, bounds and descriptions.
 */
#include "fdw/base/pg.h"

#include "fdw/base/settings.h"

#include <limits.h>

#include "fdw/base/compat.h"
#include "fdw/base/options.h"
#include "shared/ring/topology.h"

Settings settings;

static const struct config_enum_entry repair_modes[] = {
    {"table",      SETTINGS_REPAIR_TABLE,      false},
    {"wait",       SETTINGS_REPAIR_WAIT,       false},
    {"background", SETTINGS_REPAIR_BACKGROUND, false},
    {NULL,         0,                          false}
};

/* The quorums that may be 0. */
static void
settings_define_owners(void)
{
    DefineCustomIntVariable("dynamo_fdw.pr",
                            "Sets the number of owners among the replicas that a read "
                            "waits for.",
                            "-1 uses option \"pr\" of the foreign table or server.", &settings.pr,
                            -1, -1, TOPOLOGY_N_MAX, PGC_USERSET, 0, NULL, NULL, NULL);
    DefineCustomIntVariable("dynamo_fdw.pw",
                            "Sets the number of owners among the replicas that a write "
                            "waits for.",
                            "-1 uses option \"pw\" of the foreign table or server.", &settings.pw,
                            -1, -1, TOPOLOGY_N_MAX, PGC_USERSET, 0, NULL, NULL, NULL);
    DefineCustomIntVariable("dynamo_fdw.node_confirms",
                            "Sets the number of different zones that must acknowledge a "
                            "write.",
                            "A node without a zone counts as a zone of its own. -1 uses "
                            "option \"node_confirms\" of the foreign table or server.",
                            &settings.node_confirms, -1, -1, TOPOLOGY_N_MAX, PGC_USERSET, 0, NULL,
                            NULL, NULL);
}

static void
settings_define_reading(void)
{
    DefineCustomIntVariable("dynamo_fdw.hedge_after",
                            "Sets the time after which a read without an answer also asks "
                            "another replica.",
                            "0 derives the time from recent answers of the node. -1 uses "
                            "option \"hedge_after\" of the foreign table or server.",
                            &settings.hedge_after_ms, -1, -1, OPTIONS_HEDGE_MAX_MS, PGC_USERSET,
                            GUC_UNIT_MS, NULL, NULL, NULL);
    DefineCustomEnumVariable("dynamo_fdw.read_repair",
                             "Sets whether a read waits for the repair of outdated replicas "
                             "that it finds.",
                             "\"table\" uses option \"read_repair\" of the foreign table or "
                             "server.",
                             &settings.read_repair, SETTINGS_REPAIR_TABLE, repair_modes,
                             PGC_USERSET, 0, NULL, NULL, NULL);
}

static void
settings_define_requests(void)
{
    DefineCustomIntVariable("dynamo_fdw.r", "Sets the number of replicas that a read waits for.",
                            "0 uses option \"r\" of the foreign table or server.", &settings.r, 0,
                            0, TOPOLOGY_N_MAX, PGC_USERSET, 0, NULL, NULL, NULL);
    DefineCustomIntVariable("dynamo_fdw.w", "Sets the number of replicas that a write waits for.",
                            "0 uses option \"w\" of the foreign table or server.", &settings.w, 0,
                            0, TOPOLOGY_N_MAX, PGC_USERSET, 0, NULL, NULL, NULL);
    DefineCustomIntVariable("dynamo_fdw.request_timeout",
                            "Sets the maximum time of one request to the cluster, "
                            "including the time to connect.",
                            NULL, &settings.request_timeout_ms, 5000, 1, INT_MAX, PGC_USERSET,
                            GUC_UNIT_MS, NULL, NULL, NULL);
    DefineCustomIntVariable("dynamo_fdw.max_pending",
                            "Sets the maximum memory for the unsent writes of one "
                            "transaction.",
                            NULL, &settings.max_pending_kb, 256 * 1024, 64, MAX_KILOBYTES,
                            PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
}

static void
settings_define_planner(void)
{
    DefineCustomBoolVariable("dynamo_fdw.enable_batch_join",
                             "Enables the planner's use of joins that look up the keys of "
                             "many rows at once.",
                             NULL, &settings.enable_batch_join, true, PGC_USERSET, GUC_EXPLAIN,
                             NULL, NULL, NULL);
    DefineCustomIntVariable("dynamo_fdw.join_batch_size",
                            "Sets the number of outer rows whose keys a join looks up at "
                            "once.",
                            NULL, &settings.join_batch_size, 1024, 1, 65536, PGC_USERSET,
                            GUC_EXPLAIN, NULL, NULL, NULL);
}

void
settings_define(void)
{
    settings_define_requests();
    settings_define_owners();
    settings_define_reading();
    settings_define_planner();
    MarkGUCPrefixReserved("dynamo_fdw");
}
