/*
 * What storage does on libuv's pool: cold records, scans and the building of
 * trees, each in a lane of its own.
 *
 * A lane gives the pool only some of its jobs and keeps the others in their order. So scans leave
 * threads to the reads, and a lane knows how long its next job has waited.
 */
#include "node/rocks/rocks_private.h"

#include <stdlib.h>

enum
{
    READS_AT_ONCE = 16, /* more than there are threads: none is idle while the loop is busy */
    SCANS_AT_ONCE = 2,  /* of the pool's four threads */
    TREES_AT_ONCE = 1
};

void
rocks_pool_init(Rocks *rocks)
{
    rocks->lanes[ROCKS_LANE_READS].at_once = READS_AT_ONCE;
    rocks->lanes[ROCKS_LANE_SCANS].at_once = SCANS_AT_ONCE;
    rocks->lanes[ROCKS_LANE_TREES].at_once = TREES_AT_ONCE;
    for (int i = 0; i < ROCKS_LANES; i++)
        STAILQ_INIT(&rocks->lanes[i].waiting);
}

static void on_done(uv_work_t *work, int status);

static void
begin_next(Rocks *rocks, RocksLane *lane)
{
    RocksJob *job = STAILQ_FIRST(&lane->waiting);

    if (job == NULL || lane->begun >= lane->at_once)
        return;
    STAILQ_REMOVE_HEAD(&lane->waiting, next);
    lane->begun++;
    if (uv_queue_work(rocks->loop, &job->work, job->run, on_done) != 0)
        abort();
}

/* The job frees itself. */
static void
on_done(uv_work_t *work, int status)
{
    RocksJob *job = (RocksJob *)work;
    Rocks *rocks = job->rocks;
    RocksLane *lane = job->lane;

    job->done(work, status);
    lane->begun--;
    begin_next(rocks, lane);
    rocks_job_done(rocks);
}

void
rocks_pool_begin(Rocks *rocks, RocksJob *job, RocksLaneName name)
{
    job->rocks = rocks;
    job->lane = &rocks->lanes[name];
    job->queued_ms = uv_now(rocks->loop);
    rocks->jobs++;
    STAILQ_INSERT_TAIL(&job->lane->waiting, job, next);
    begin_next(rocks, job->lane);
}

uint64_t
rocks_pool_wait_ms(const Rocks *rocks, RocksLaneName name)
{
    const RocksJob *job = STAILQ_FIRST(&rocks->lanes[name].waiting);

    return job != NULL ? uv_now(rocks->loop) - job->queued_ms : 0;
}
