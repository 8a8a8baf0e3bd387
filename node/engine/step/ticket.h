/*
 * Tickets: the numbers under which a step module asks, and by which it knows what an answer is an
 * answer to; pure.
 *
 * A module has slots (lanes, tasks, operations) and asks from each of them one question after the
 * other. Each question draws a ticket for its slot and gives it up when it is over, so an answer
 * that comes later finds no slot, whatever the slot has come to by then. Numbers grow and begin
 * again after TICKET_NUMBERS, which is more than are drawn while any answer can be on its way.
 *
 *   ref, for storage and in frames that repeat one:  owner 8 bits | number 32 | item 24
 *   tag, of a frame to another node:                 owner 4 bits | number 28
 */
#ifndef NODE_ENGINE_STEP_TICKET_H
#define NODE_ENGINE_STEP_TICKET_H

#include <stdbool.h>
#include <stdint.h>

/* The module that a ticket belongs to. */
typedef enum RefOwner
{
    REF_COORDINATOR_WRITE = 1,
    REF_COORDINATOR_READ,
    REF_REPLICA,
    REF_REFILL,
    REF_HANDOFF,
    REF_ANTIENTROPY,
    REF_TREE_ANSWERS,
    REF_REAPING,
    REF_ORPHANS,
    REF_SCRUB,
    REF_UNREADABLE,
    REF_PURGE,
    REF_JOINING,
    REF_OWNERS_END
} RefOwner;

enum
{
    TICKET_ITEMS = 1 << 24,  /* of one ticket */
    TICKET_NUMBERS = 1 << 28 /* 0 is none */
};

/* Of what waits for no answer. */
#define REF_NOBODY UINT64_C(0)

#define TICKET_NO_SLOT UINT32_MAX

/* Which slot has which number. All zero: none has. */
typedef struct Tickets
{
    struct TicketEntry
    {
        uint32_t number; /* 0: free */
        uint32_t slot;
    } * entries; /* at number modulo capacity, at most half of them in use */
    uint32_t capacity;
    uint32_t count;
    uint32_t last; /* that was drawn */
} Tickets;

void tickets_free(Tickets *tickets);

/* A number for the slot, which no other question has. */
uint32_t tickets_draw(Tickets *tickets, uint32_t slot);

/* The question is over; 0, or a number that is over: nothing is done. */
void tickets_end(Tickets *tickets, uint32_t number);

/* Whose question has the number; TICKET_NO_SLOT: nobody's, it is over. */
uint32_t tickets_find(const Tickets *tickets, uint32_t number);

uint64_t ticket_ref(RefOwner owner, uint32_t number, uint32_t item);
RefOwner ticket_ref_owner(uint64_t ref);
uint32_t ticket_ref_number(uint64_t ref);
uint32_t ticket_ref_item(uint64_t ref);

uint32_t ticket_tag(RefOwner owner, uint32_t number);
RefOwner ticket_tag_owner(uint32_t tag);
uint32_t ticket_tag_number(uint32_t tag);

#endif
