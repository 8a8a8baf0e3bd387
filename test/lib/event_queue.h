/*
 * event_queue: the events of a simulated run that are still to come, ordered by virtual time, and
 * at one time by when they were pushed.
 */
#ifndef TEST_LIB_EVENT_QUEUE_H
#define TEST_LIB_EVENT_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum EventKind
{
    EVENT_HOST_TURN,   /* target: host. What lies in its inbox is given to the engine */
    EVENT_HOST_WAKE,   /* target: host */
    EVENT_HOST_BOOT,   /* target: host */
    EVENT_STORE_WORK,  /* target: host. Answers one thing that the store has put off; payload */
    EVENT_STORE_SYNC,  /* target: host. The sync under way ends */
    EVENT_DIAL,        /* target: link */
    EVENT_DIAL_DONE,   /* target: link */
    EVENT_ARRIVAL,     /* target: link, side; payload: Packet */
    EVENT_DATAGRAM,    /* target: host, side: the host it is from; payload: Packet */
    EVENT_CLOSED,      /* target: link, side: this side learns that the connection is gone */
    EVENT_CLIENT_WAKE, /* target: client */
    EVENT_FAULT,       /* a fault of the mix strikes */
    EVENT_FAULT_ENDS,  /* target: fault number */
    EVENT_KINDS
} EventKind;

typedef struct Event
{
    uint64_t at_us;
    uint64_t sequence; /* set by event_queue_push */
    uint64_t token; /* incarnation, connection, ...: an event whose token is not the present one is
                       void */
    void *payload;  /* owned by the event; heap memory */
    EventKind kind;
    uint32_t target;
    uint8_t side;
    uint8_t flag;
} Event;

typedef struct EventQueue
{
    Event *heap;
    size_t count;
    size_t capacity;
    uint64_t sequence;
} EventQueue;

void event_queue_push(EventQueue *queue, Event event);

/* False when there is none. */
bool event_queue_pop(EventQueue *queue, Event *event);

/* Releases every payload too. */
void event_queue_free(EventQueue *queue);

#endif
