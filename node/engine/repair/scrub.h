/*
 * Scrub: reads everything that the storage keeps, as a step module: first the files, block by block
 * and past every cache, then the rows, each of which must decode, and leaf by leaf the trees, which
 * must say what the rows do.
 *
 * What it finds is mended by others: what cannot be read by the other owners (StorageEvents
 * unreadable, node/engine/repair/antientropy.h), damaged files at the next start, a wrong tree by
 * being built anew. It begins when asked to, and draws its bytes from the background's pool.
 */
#ifndef NODE_ENGINE_REPAIR_SCRUB_H
#define NODE_ENGINE_REPAIR_SCRUB_H

#include "node/engine/step/pacer.h"
#include "node/engine/step/step.h"

typedef struct Scrub Scrub;

typedef enum ScrubState
{
    SCRUB_NEVER,
    SCRUB_FILES,
    SCRUB_ROWS,
    SCRUB_STOPPED, /* before its end */
    SCRUB_DONE,
    SCRUB_STATES
} ScrubState;

/* Of the pass under way, or the last one. */
typedef struct ScrubStatus
{
    ScrubState state;
    uint64_t files; /* read through */
    uint64_t files_total;
    uint64_t blocks_damaged;
    uint64_t partitions; /* of all buckets: their rows were read */
    uint64_t partitions_total;
    uint64_t rows;
    uint64_t bytes;             /* of files and rows */
    uint64_t places_unreadable; /* leaves, or rows, that have what cannot be read */
    uint64_t trees_wrong;
    uint64_t started_ms; /* wall clock; 0: not yet */
    uint64_t ended_ms;
} ScrubStatus;

/* pacer is borrowed. */
Scrub *scrub_new(Pacer *pacer);
void scrub_free(Scrub *scrub);

/* From the beginning. */
void scrub_begin(Scrub *scrub, const View *view);
void scrub_stop(Scrub *scrub, const View *view);
bool scrub_is_under_way(const Scrub *scrub);
ScrubStatus scrub_status(const Scrub *scrub);

/* "files", "rows": for people. */
const char *scrub_state_name(ScrubState state);

/* Goes on as far as tokens allow; when that is wanted next, at the latest. */
void scrub_step(Scrub *scrub, const View *view);
uint64_t scrub_wake_ms(const Scrub *scrub, const View *view);

/* Storage's answers to refs of REF_SCRUB. */
void scrub_checked(Scrub *scrub, const View *view, uint64_t ref, StatusCode status,
                   const StorageCheck *check);
void scrub_scanned(Scrub *scrub, const View *view, uint64_t ref, StatusCode status,
                   const StoragePage *page);

#endif
