/*
 * fdw: what PostgreSQL calls, and in which file it is.
 */
#include "fdw/base/pg.h"

#include "fmgr.h"
#include "foreign/fdwapi.h"

#include "fdw/base/settings.h"
#include "fdw/plan/batchjoin.h"
#include "fdw/plan/plan.h"
#include "fdw/run/batchrun.h"
#include "fdw/run/explain.h"
#include "fdw/run/modify.h"
#include "fdw/run/scan.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
    settings_define();
    batchrun_register();
    batchjoin_install();
}

PG_FUNCTION_INFO_V1(dynamo_fdw_handler);
PGDLLEXPORT Datum
dynamo_fdw_handler(PG_FUNCTION_ARGS)
{
    FdwRoutine *routine = makeNode(FdwRoutine);

    routine->GetForeignRelSize = dynamoGetForeignRelSize;
    routine->GetForeignPaths = dynamoGetForeignPaths;
    routine->GetForeignPlan = dynamoGetForeignPlan;

    routine->BeginForeignScan = dynamoBeginForeignScan;
    routine->IterateForeignScan = dynamoIterateForeignScan;
    routine->ReScanForeignScan = dynamoReScanForeignScan;
    routine->EndForeignScan = dynamoEndForeignScan;
    routine->ExplainForeignScan = dynamoExplainForeignScan;

    routine->IsForeignRelUpdatable = dynamoIsForeignRelUpdatable;
    routine->AddForeignUpdateTargets = dynamoAddForeignUpdateTargets;
    routine->PlanForeignModify = dynamoPlanForeignModify;
    routine->BeginForeignModify = dynamoBeginForeignModify;
    routine->ExecForeignInsert = dynamoExecForeignInsert;
    routine->ExecForeignUpdate = dynamoExecForeignUpdate;
    routine->ExecForeignDelete = dynamoExecForeignDelete;
    routine->BeginForeignInsert = dynamoBeginForeignInsert;
    routine->ExplainForeignModify = dynamoExplainForeignModify;

    PG_RETURN_POINTER(routine);
}
