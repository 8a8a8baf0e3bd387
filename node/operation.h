/*
 * Operation: one client frame that the coordinator is carrying out, its keys and who has answered
 * what.
 *
 * Shared by coordinator_write.c and coordinator_read.c, by nobody else. A ref names owner, slot,
 * generation and item, so an answer that comes after the operation has ended finds nothing.
 */
#ifndef NODE_OPERATION_H
#define NODE_OPERATION_H

#include "node/coordinator.h"

enum
{
    OPERATIONS_MAX = 65535, /* so that no slot is 0xffff: see node/refill.c */
    OPERATION_ITEMS_MAX = 1 << 24
};

typedef enum ItemPhase
{
    ITEM_GATHERING, /* owners are being asked what they hold */
    ITEM_SPREADING, /* the new or merged object is on its way to owners */
    ITEM_DONE
} ItemPhase;

/* Masks have one bit for each owner, by place in preference order. */
typedef struct Item
{
    ItemPhase phase;
    Slice key;
    uint64_t position;
    uint16_t owners[TOPOLOGY_N_MAX];
    uint8_t owner_count;
    uint8_t self; /* own place */
    uint32_t asked;
    uint32_t answered;
    uint32_t asking_failed;
    Slice *objects; /* by place, what answered owners hold; NULL until one is asked */
    uint32_t sent;
    uint32_t acked;
    uint32_t sending_failed;
    StatusCode status;
    Update update;
    Put put;           /* writes */
    Object merge;      /* what was gathered */
    bool known;        /* writes: what was gathered holds the put's request id */
    Slice merged;      /* reads: encoded */
    uint32_t siblings; /* writes: as in WriteResult */
} Item;

typedef struct Operation
{
    RefOwner kind;
    uint32_t slot;
    uint16_t generation;
    bool live;
    Arena arena;
    Origin origin;
    uint32_t bucket_id;
    uint32_t quorum; /* w or r */
    bool seal;
    uint64_t started_ms;
    uint64_t deadline_ms;
    Item *items;
    uint32_t item_count;
    uint32_t items_open;
} Operation;

/* Replicates gathered for one member. */
typedef struct Outbox
{
    Buffer items;
    uint32_t count;
} Outbox;

/* Of writes that left more siblings than the node warns of: the worst since the last event. */
typedef struct Crowd
{
    uint32_t siblings; /* 0: there was none */
    uint32_t bucket_id;
    Buffer key;
    uint64_t quiet_until_ms;
} Crowd;

struct Coordinator
{
    Operation **slots;
    uint32_t slot_count;
    uint32_t *free_slots;
    uint32_t free_count;
    uint32_t live_count;
    Outbox *outboxes; /* by member */
    uint32_t outbox_count;
    CoordinatorCounters counters;
    Crowd crowd;
    uint64_t next_tick_ms;
};

/* NULL when OPERATIONS_MAX are under way. */
Operation *operation_begin(Coordinator *coordinator, const View *view, RefOwner kind,
                           Origin origin);

/* Ends it sooner than the node's own limit, when the client asks for that (timeout_ms not 0). */
void operation_limit(Operation *operation, const View *view, uint32_t timeout_ms);

/* Answers the whole frame with an error and ends the operation. */
void operation_refuse(Coordinator *coordinator, Operation *operation, StatusCode status,
                      Actions *actions);

/* What a client asked for, between 1 and the bucket's n. */
uint32_t operation_quorum(const Bucket *bucket, uint32_t asked);

/* How many places a mask has. */
uint32_t operation_count(uint32_t places);
void operation_end(Coordinator *coordinator, Operation *operation);
uint64_t operation_ref(const Operation *operation, const Item *item);

/* The operation and item a ref names, or NULL when it has ended. */
Operation *operation_of(Coordinator *coordinator, uint64_t ref, Item **item);
Operation *operation_of_tag(Coordinator *coordinator, uint32_t tag);

/* Finds the owners of the item's key; what is wrong with it otherwise. */
StatusCode operation_place(const View *view, const Bucket *bucket, Item *item);

/* The member's place among the item's owners, or -1. */
int operation_member_place(const Item *item, uint32_t member);
uint32_t operation_reachable(const View *view, const Item *item);

/* Asks reachable owners but this node for the full objects of the gathering items: one frame a
 * member. */
void operation_gather(const View *view, Operation *operation, Actions *actions);

/* Asks this node's own storage likewise. */
void operation_ask_self(Operation *operation, Actions *actions);
bool operation_gathered(const Item *item);

/* Takes a member's answer (object empty: absent) or failure to answer. */
void operation_take_object(Operation *operation, Item *item, uint32_t place, StatusCode status,
                           Slice object);

/* Merges what was gathered into item->merge and sets item->known; what cannot be decoded counts as
 * a failure to answer. */
void operation_merge(Operation *operation, Item *item);

/* Puts the object into the outboxes of the owners named by places. */
void operation_spread(Coordinator *coordinator, const View *view, Operation *operation, Item *item,
                      uint32_t places, Slice object);

/* A write has made the object of the item: remembers how many siblings it has, when the node warns
 * of so many. */
void operation_note_siblings(Coordinator *coordinator, const View *view, const Operation *operation,
                             Item *item, Slice object, Actions *actions);

/* What coordinator_write.c and coordinator_read.c do when an item may have got further. */
void coordinator_write_progress(Coordinator *coordinator, const View *view, Operation *operation,
                                Item *item, Actions *actions);
void coordinator_read_progress(Coordinator *coordinator, const View *view, Operation *operation,
                               Item *item, Actions *actions);

#endif
