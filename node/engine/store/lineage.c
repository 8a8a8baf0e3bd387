/*
 * The list of runs, its encoding, and whether a mark lies in it.
 */
#include "node/engine/store/lineage.h"

#include <assert.h>
#include <string.h>

static bool
same_run(const RunId *a, const RunId *b)
{
    return memcmp(a, b, sizeof(RunId)) == 0;
}

static void
insert(Lineage *lineage, uint32_t index, LineageRun run)
{
    if (lineage->count == LINEAGE_RUNS_MAX)
    {
        lineage->count--;
        memmove(&lineage->runs[0], &lineage->runs[1], lineage->count * sizeof(LineageRun));
        index -= index > 0;
    }
    memmove(&lineage->runs[index + 1], &lineage->runs[index],
            (lineage->count - index) * sizeof(LineageRun));
    lineage->runs[index] = run;
    lineage->count++;
}

void
lineage_begin(Lineage *lineage, const RunId *run, uint64_t commits)
{
    for (uint32_t i = 0; i + 1 < lineage->count; i++)
    {
        if (lineage->runs[i].end != LINEAGE_SETTLED && lineage->runs[i].end > commits)
            lineage->count = i + 1;
    }
    if (lineage->count > 0)
        lineage->runs[lineage->count - 1].end = commits;
    insert(lineage, lineage->count, (LineageRun){.id = *run});
}

bool
lineage_holds(const Lineage *lineage, uint64_t commits, const DataMark *mark)
{
    for (uint32_t i = lineage->count; i-- > 0;)
    {
        if (same_run(&lineage->runs[i].id, &mark->run))
            return mark->commits <= (i + 1 < lineage->count ? lineage->runs[i].end : commits);
    }
    return false;
}

void
lineage_settle(Lineage *lineage, const RunId *lost)
{
    assert(lineage->count > 0);
    for (uint32_t i = 0; i + 1 < lineage->count; i++)
    {
        if (same_run(&lineage->runs[i].id, lost))
        {
            lineage->runs[i].end = LINEAGE_SETTLED;
            return;
        }
    }
    insert(lineage, lineage->count - 1, (LineageRun){.id = *lost, .end = LINEAGE_SETTLED});
}

bool
lineage_has_past(const Lineage *lineage)
{
    return lineage->count > 1;
}

DataMark
lineage_mark(const Lineage *lineage, uint64_t commits)
{
    assert(lineage->count > 0);
    return (DataMark){.run = lineage->runs[lineage->count - 1].id, .commits = commits};
}
