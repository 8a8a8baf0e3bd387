/*
 * Operation: one client frame that the coordinator is carrying out, its keys and who has answered
 * what.
 *
 * Shared by coordinator_write.c and coordinator_read.c, by nobody else. A ref names the ticket of
 * the operation and an item, so an answer that comes after the operation has ended finds nothing.
 */
#ifndef NODE_ENGINE_REQUEST_OPERATION_H
#define NODE_ENGINE_REQUEST_OPERATION_H

#include "node/engine/request/coordinator.h"
#include "node/engine/step/outbox.h"

enum
{
    OPERATIONS_MAX = 65535,
    OPERATION_ITEMS_MAX = TICKET_ITEMS
};

typedef enum ItemPhase
{
    ITEM_GATHERING, /* members are being asked what they hold */
    ITEM_SPREADING, /* the new or merged object is on its way */
    ITEM_DONE       /* the client's answer is settled */
} ItemPhase;

/* What only the items of a write have. */
typedef struct ItemWrite
{
    bool stamped;                      /* storage has settled the object, and it is on its way */
    bool settled;                      /* every owner has the object, or a hint for it is kept */
    bool known;                        /* what was gathered holds the put's request id */
    uint8_t stand_ins[TOPOLOGY_N_MAX]; /* by owner, the place of its fallback; its own: none */
    uint32_t hinted;                   /* owners that this node keeps a hint for */
    uint32_t siblings;                 /* as in WriteResult */
    Update update;
    Put put;
    Slice object; /* as it was stamped, encoded, where a fallback may need it later */
} ItemWrite;

/* What only the items of a read have. */
typedef struct ItemRead
{
    Slice merged; /* Item.merge, encoded */
} ItemRead;

/* How far one key of an operation has got. Masks have one bit for each member of the preference
 * list, by place: the owners' come first. */
typedef struct Item
{
    ItemPhase phase;
    Slice key;
    uint64_t position;
    uint64_t placed; /* the epoch by which its members were chosen */
    uint64_t round;  /* the label of what this item sends: the least of its sources' */
    uint64_t floor;  /* the highest of its sources': what is labelled less may have been reaped */
    uint16_t members[TOPOLOGY_N_MAX];
    uint8_t member_count;
    uint8_t owner_count;
    uint8_t self; /* own place */
    uint32_t to_ask;
    uint32_t asked;
    uint32_t answered;
    uint32_t asking_failed;
    uint32_t unreadable; /* of them, whose record is damaged */
    Slice *objects;      /* by place, what answered owners hold; NULL until one is asked */
    uint32_t sent;
    uint32_t acked;
    uint32_t failed; /* will not acknowledge */
    uint32_t moved;  /* have said that the owners were changed since it was placed */
    StatusCode status;
    Object merge; /* what was gathered */
    union
    {
        ItemWrite write;
        ItemRead read;
    };
} Item;

typedef struct Operation
{
    RefOwner kind;
    uint32_t slot;
    uint32_t ticket;
    bool live;
    Arena arena;
    Origin origin;
    uint32_t bucket_id;
    uint32_t quorum;       /* w or r */
    uint32_t owner_quorum; /* pw or pr */
    uint32_t zone_quorum;  /* writes: confirms */
    bool answered;         /* the client has its answer; what is left is done without it */
    bool repair_later;     /* reads */
    uint64_t linger_ms;    /* when owners that have not acknowledged get their hints */
    bool seal;
    uint64_t started_ms;
    uint64_t deadline_ms;
    size_t frame_bytes; /* of the client's frame */
    Item *items;
    uint32_t item_count;
    uint32_t items_open;      /* not done */
    uint32_t items_unsettled; /* writes */
} Operation;

/* Of writes that left more siblings than the node warns of: the worst since the last event. */
typedef struct SiblingWarning
{
    uint32_t siblings; /* 0: there was none */
    uint32_t bucket_id;
    Buffer key;
    uint64_t quiet_until_ms;
} SiblingWarning;

struct Coordinator
{
    Tickets tickets;
    Operation **slots;
    uint32_t slot_count;
    uint32_t *free_slots;
    uint32_t free_count;
    uint32_t live_count;
    uint32_t answered_count; /* of them, those whose client has its answer */
    uint64_t live_bytes;     /* of their frames */
    Outbox *outboxes;        /* by member */
    uint32_t outbox_count;
    CoordinatorCounters counters;
    SiblingWarning warning;
    bool missed[RING_SLOTS_MAX]; /* by member: see coordinator_take_missed() */
    uint64_t next_tick_ms;
};

/* NULL when OPERATIONS_MAX are under way. */
Operation *operation_begin(Coordinator *coordinator, const View *view, RefOwner kind, Origin origin,
                           const Frame *frame);

/* The client has its answer. */
void operation_answer(Coordinator *coordinator, Operation *operation);

/* Ends it sooner than the node's own limit, when the client asks for that (timeout_ms not 0). */
void operation_limit(Operation *operation, const View *view, uint32_t timeout_ms);

/* Answers the whole frame with an error and ends the operation. */
void operation_refuse(Coordinator *coordinator, Operation *operation, StatusCode status,
                      Actions *actions);

/* What a client asked for, between least and the bucket's n. */
uint32_t operation_quorum(const Bucket *bucket, uint32_t asked, uint32_t least);

/* How many places a mask has. */
uint32_t operation_count(uint32_t places);
void operation_end(Coordinator *coordinator, Operation *operation);
uint64_t operation_ref(const Operation *operation, const Item *item);

/* The operation and item a ref names, or NULL when it has ended. */
Operation *operation_of(Coordinator *coordinator, uint64_t ref, Item **item);
Operation *operation_of_tag(Coordinator *coordinator, uint32_t tag);

/* Finds the preference list of the item's key, which a client that knows that epoch has sent; what
 * is wrong with it otherwise. */
StatusCode operation_place(const View *view, const Bucket *bucket, uint64_t epoch, Item *item);

/* The member's place in the item's preference list, or -1. */
int operation_member_place(const Item *item, uint32_t member);
uint32_t operation_owners(const Item *item);
uint32_t operation_reachable(const View *view, const Item *item);

/* Whom to ask what it holds: the reachable owners, and a reachable fallback for each that is not.
 */
uint32_t operation_holders(const View *view, const Item *item);

/* Asks the members named by item->to_ask, but this node, for the full objects of the gathering
 * items: one frame a member. */
void operation_gather(const View *view, Operation *operation);

/* Asks this node's own storage likewise. */
void operation_ask_self(Operation *operation, Actions *actions);
bool operation_gathered(const Item *item);

/* Acknowledgements of the item still matter. */
bool operation_is_spreading(const Operation *operation, const Item *item);

/* Takes a member's answer, or its failure to answer. */
void operation_take_object(Operation *operation, Item *item, uint32_t place,
                           const ReadItem *answer);

/* Some of what was gathered is older than a round of reaping that another source, or this node, has
 * come to since: it is not to be merged with the rest. */
bool operation_is_stale(const View *view, const Operation *operation, const Item *item);

/* Merges what was gathered into item->merge and, for a write, sets write.known; what cannot be
 * decoded counts as a failure to answer. */
void operation_merge(Operation *operation, Item *item);

/* Puts the object into the outbox of the member at place, when that is up; hint_for: the owner's
 * place that it is to keep it for, or its own. */
void operation_send(Coordinator *coordinator, const View *view, Operation *operation, Item *item,
                    uint32_t place, uint32_t hint_for, Slice object);

/* The item's members are those of today, if under another epoch: it is placed anew under that. */
bool operation_place_again(const View *view, Item *item);

/* Puts a copy into the outbox of a member that is to be an owner: it is not waited for, and what it
 * answers counts for nothing. */
void operation_send_copy(Coordinator *coordinator, const View *view, const Operation *operation,
                         const Item *item, uint32_t member, Slice object);

/* A write has made the object of the item: remembers how many siblings it has, when the node warns
 * of so many. */
void operation_note_siblings(Coordinator *coordinator, const View *view, const Operation *operation,
                             Item *item, Slice object);

/* What coordinator_write.c and coordinator_read.c do when an item may have got further. */
void coordinator_write_progress(Coordinator *coordinator, const View *view, Operation *operation,
                                Item *item);
void coordinator_read_progress(Coordinator *coordinator, const View *view, Operation *operation,
                               Item *item);

#endif
