/*
 * counters: what the reads of a plan node cost the cluster, for EXPLAIN ANALYZE.
 */
#ifndef FDW_CLUSTER_COUNTERS_H
#define FDW_CLUSTER_COUNTERS_H

#include "fdw/base/pg.h"

#include "shared/ask/pager.h"

typedef struct CountersNode
{
    const struct LinksNode *node; /* valid until the end of the transaction */
    uint64 frames;                /* sent to it */
} CountersNode;

typedef struct Counters
{
    uint64 requests; /* multigets, and scans */
    uint64 keys;     /* asked for by multigets */
    uint64 pages;    /* received by scans */
    uint64 frames;
    uint64 mismatches; /* keys or pages whose digests differed */
    uint64 hedges;
    uint64 failovers;
    uint64 fallbacks;  /* asks of members for keys that they do not own */
    uint64 backoffs;   /* pauses for overloaded nodes */
    uint64 own_writes; /* rows of keys that the transaction had written */
    CountersNode *nodes;
    int node_count;
    int node_capacity;
    MemoryContext context; /* of nodes; NULL: they are not told apart */
} Counters;

/* A multiget is over. counters may be NULL, here and below. */
void counters_add_request(Counters *counters, const Request *request, uint32 key_count);

/* A scan has got from one count to another. */
void counters_add_scan(Counters *counters, const PagerCounters *before, const PagerCounters *now);

/* A frame was sent to the node. */
void counters_add_frame(Counters *counters, const struct LinksNode *node);

#endif
