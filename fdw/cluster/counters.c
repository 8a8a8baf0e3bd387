/*
 * Adds up what requests and scans of one plan node have counted, and the frames that went to each
 * node.
 */
#include "fdw/cluster/counters.h"

void
counters_add_request(Counters *counters, const Request *request, uint32 key_count)
{
    RequestCounters counted = request_counters(request);

    if (counters == NULL)
        return;
    counters->requests++;
    counters->keys += key_count;
    counters->frames += counted.frames;
    counters->mismatches += counted.mismatches;
    counters->hedges += counted.hedges;
    counters->failovers += counted.failovers;
    counters->fallbacks += counted.fallbacks;
    counters->backoffs += counted.backoffs;
}

void
counters_add_scan(Counters *counters, const PagerCounters *before, const PagerCounters *now)
{
    if (counters == NULL)
        return;
    counters->pages += now->pages - before->pages;
    counters->frames += now->frames - before->frames;
    counters->mismatches += now->mismatches - before->mismatches;
    counters->failovers += now->failovers - before->failovers;
    counters->backoffs += now->backoffs - before->backoffs;
}

static CountersNode *
counters_new_node(Counters *counters)
{
    if (counters->node_count == counters->node_capacity)
    {
        int capacity = Max(4, counters->node_capacity * 2);
        Size bytes = sizeof(CountersNode) * (Size)capacity;

        counters->nodes = counters->nodes == NULL ? MemoryContextAlloc(counters->context, bytes)
                                                  : repalloc(counters->nodes, bytes);
        counters->node_capacity = capacity;
    }
    return &counters->nodes[counters->node_count++];
}

void
counters_add_frame(Counters *counters, const struct LinksNode *node)
{
    if (counters == NULL || counters->context == NULL)
        return;
    for (int i = 0; i < counters->node_count; i++)
    {
        if (counters->nodes[i].node == node)
        {
            counters->nodes[i].frames++;
            return;
        }
    }
    *counters_new_node(counters) = (CountersNode){.node = node, .frames = 1};
}
