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
    DefineCustomIntVariable("dynamo_fdw.pr", "Owners among the replicas that a read waits for.",
                            "-1 leaves it to option \"pr\" of the foreign table or server.",
                            &settings.pr, -1, -1, TOPOLOGY_N_MAX, PGC_USERSET, 0, NULL, NULL, NULL);
    DefineCustomIntVariable("dynamo_fdw.pw", "Owners among the replicas that a write waits for.",
                            "-1 leaves it to option \"pw\" of the foreign table or server.",
                            &settings.pw, -1, -1, TOPOLOGY_N_MAX, PGC_USERSET, 0, NULL, NULL, NULL);
    DefineCustomIntVariable(
        "dynamo_fdw.node_confirms",
        "Zones from which the replicas that a write waits for must be; a node without a zone is "
        "one of its own.",
        "-1 leaves it to option \"node_confirms\" of the foreign table or server.",
        &settings.node_confirms, -1, -1, TOPOLOGY_N_MAX, PGC_USERSET, 0, NULL, NULL, NULL);
}

static void
settings_define_reading(void)
{
    DefineCustomIntVariable("dynamo_fdw.hedge_after",
                            "Time after which a read that has no answer asks another replica too.",
                            "0 takes as long as nearly all answers of the node took; -1 leaves it "
                            "to option \"hedge_after\" of the foreign table or server.",
                            &settings.hedge_after_ms, -1, -1, OPTIONS_HEDGE_MAX_MS, PGC_USERSET,
                            GUC_UNIT_MS, NULL, NULL, NULL);
    DefineCustomEnumVariable("dynamo_fdw.read_repair",
                             "Whether a read that finds replicas behind waits until they are "
                             "mended.",
                             "\"table\" leaves it to option \"read_repair\" of the foreign table "
                             "or server.",
                             &settings.read_repair, SETTINGS_REPAIR_TABLE, repair_modes,
                             PGC_USERSET, 0, NULL, NULL, NULL);
}

static void
settings_define_requests(void)
{
    DefineCustomIntVariable("dynamo_fdw.r", "Replicas that a read waits for.",
                            "0 leaves it to option \"r\" of the foreign table or server.",
                            &settings.r, 0, 0, TOPOLOGY_N_MAX, PGC_USERSET, 0, NULL, NULL, NULL);
    DefineCustomIntVariable("dynamo_fdw.w", "Replicas that a write waits for.",
                            "0 leaves it to option \"w\" of the foreign table or server.",
                            &settings.w, 0, 0, TOPOLOGY_N_MAX, PGC_USERSET, 0, NULL, NULL, NULL);
    DefineCustomIntVariable("dynamo_fdw.request_timeout",
                            "Time that one request to the cluster may take, connecting included.",
                            NULL, &settings.request_timeout_ms, 5000, 1, INT_MAX, PGC_USERSET,
                            GUC_UNIT_MS, NULL, NULL, NULL);
    DefineCustomIntVariable("dynamo_fdw.max_pending",
                            "Memory that the writes of one transaction may take until it commits.",
                            NULL, &settings.max_pending_kb, 256 * 1024, 64, MAX_KILOBYTES,
                            PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
}

static void
settings_define_planner(void)
{
    DefineCustomBoolVariable("dynamo_fdw.enable_batch_join",
                             "Lets the planner join by looking up the keys of many rows at once.",
                             NULL, &settings.enable_batch_join, true, PGC_USERSET, GUC_EXPLAIN,
                             NULL, NULL, NULL);
    DefineCustomIntVariable(
        "dynamo_fdw.join_batch_size", "Outer rows whose keys a join looks up at once.", NULL,
        &settings.join_batch_size, 1024, 1, 65536, PGC_USERSET, GUC_EXPLAIN, NULL, NULL, NULL);
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
