/* A binary heap of events, ordered by time and then by when they were pushed: so equal seeds give
 * equal runs. */
#include "test/lib/event_queue.h"

#include <stdlib.h>

static bool
is_before(const Event *a, const Event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->sequence < b->sequence;
}

void
event_queue_push(EventQueue *queue, Event event)
{
    if (queue->count == queue->capacity)
    {
        queue->capacity = queue->capacity ? queue->capacity * 2 : 1024;
        queue->heap = realloc(queue->heap, queue->capacity * sizeof(Event));
        if (queue->heap == NULL)
            abort();
    }
    event.sequence = queue->sequence++;

    size_t index = queue->count++;

    while (index > 0 && is_before(&event, &queue->heap[(index - 1) / 2]))
    {
        queue->heap[index] = queue->heap[(index - 1) / 2];
        index = (index - 1) / 2;
    }
    queue->heap[index] = event;
}

bool
event_queue_pop(EventQueue *queue, Event *event)
{
    if (queue->count == 0)
        return false;
    *event = queue->heap[0];

    Event last = queue->heap[--queue->count];
    size_t index = 0;

    for (;;)
    {
        size_t child = index * 2 + 1;

        if (child >= queue->count)
            break;
        if (child + 1 < queue->count && is_before(&queue->heap[child + 1], &queue->heap[child]))
            child++;
        if (!is_before(&queue->heap[child], &last))
            break;
        queue->heap[index] = queue->heap[child];
        index = child;
    }
    queue->heap[index] = last;
    return true;
}

void
event_queue_free(EventQueue *queue)
{
    for (size_t i = 0; i < queue->count; i++)
        free(queue->heap[i].payload);
    free(queue->heap);
    *queue = (EventQueue){0};
}
