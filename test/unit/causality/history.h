/*
 * History: one key on a few replicas through random puts, retries, merges, restarts and losses,
 * beside a naive model.
 *
 * The model knows nothing of version vectors: it keeps, for each replica, the set of events seen
 * and the set of events alive as bits, and follows the definition. history_step checks the replica
 * it changed, and now and then what a read of two replicas gives, against the model.
 */
#ifndef TEST_UNIT_CAUSALITY_HISTORY_H
#define TEST_UNIT_CAUSALITY_HISTORY_H

#include "shared/data/update.h"

enum
{
    HISTORY_REPLICAS = 3,
    HISTORY_EVENTS_MAX = 64,
    HISTORY_VALUES_MAX = 3,
    HISTORY_SNAPSHOTS_MAX = 64
};

typedef struct HistoryEvent
{
    Dot dot;
    RequestId request;
    uint64_t time_ms;
} HistoryEvent;

/* What a replica held at some time: its record, and the same as sets of events. */
typedef struct HistorySnapshot
{
    Slice record;
    uint64_t seen;
    uint64_t alive;
} HistorySnapshot;

typedef struct History
{
    uint64_t random;
    Arena arena;
    Run runs[HISTORY_REPLICAS];
    HistorySnapshot replicas[HISTORY_REPLICAS];
    HistoryEvent events[HISTORY_EVENTS_MAX];
    uint32_t event_count;
    HistorySnapshot snapshots[HISTORY_SNAPSHOTS_MAX];
    uint32_t snapshot_count;
    uint32_t request_count;
} History;

/* A number below bound; the state is the only memory. */
uint64_t history_random_below(uint64_t *state, uint64_t bound);
void history_random_fill(uint64_t *state, void *target, size_t length);

void history_init(History *history);
void history_free(History *history);

/* Forgets what was before. */
void history_begin(History *history, uint64_t seed);

/* One random thing happens to one replica. */
void history_step(History *history);

/* The object of any snapshot taken so far. */
Object history_object(History *history, const HistorySnapshot *snapshot);
const HistorySnapshot *history_any_snapshot(History *history);

#endif
