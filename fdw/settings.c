#include "fdw/pg.h"

#include "fdw/settings.h"

#include <limits.h>

#include "fdw/compat.h"
#include "shared/topology.h"

Settings settings;

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
    settings_define_planner();
    MarkGUCPrefixReserved("dynamo_fdw");
}
