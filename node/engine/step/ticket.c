/*
 * The table of tickets in use, by number.
 */
#include "node/engine/step/ticket.h"

#include "shared/base/memory.h"

#include <assert.h>

enum
{
    CAPACITY_LEAST = 16,
    ITEM_BITS = 24,
    NUMBER_BITS = 28, /* of a tag */
    OWNER_SHIFT = 56  /* of a ref */
};

static_assert(REF_OWNERS_END <= 16, "a tag has four bits for its owner");
static_assert(TICKET_NUMBERS == 1 << NUMBER_BITS, "a tag holds any number");

void
tickets_free(Tickets *tickets)
{
    memory_resize(&MEMORY_HEAP, tickets->entries, 0);
    *tickets = (Tickets){0};
}

static struct TicketEntry *
entry_at(const Tickets *tickets, uint32_t number)
{
    return &tickets->entries[number & (tickets->capacity - 1)];
}

/* Numbers that stand apart modulo the old capacity do so modulo twice that. */
static void
grow(Tickets *tickets)
{
    Tickets old = *tickets;

    tickets->capacity = old.capacity > 0 ? old.capacity * 2 : CAPACITY_LEAST;
    tickets->entries =
        memory_resize(&MEMORY_HEAP, NULL, tickets->capacity * sizeof(struct TicketEntry));
    for (uint32_t i = 0; i < tickets->capacity; i++)
        tickets->entries[i] = (struct TicketEntry){0};
    for (uint32_t i = 0; i < old.capacity; i++)
    {
        if (old.entries[i].number != 0)
            *entry_at(tickets, old.entries[i].number) = old.entries[i];
    }
    memory_resize(&MEMORY_HEAP, old.entries, 0);
}

uint32_t
tickets_draw(Tickets *tickets, uint32_t slot)
{
    if (tickets->count >= tickets->capacity / 2)
        grow(tickets);
    do
        tickets->last = (tickets->last + 1) % TICKET_NUMBERS;
    while (tickets->last == 0 || entry_at(tickets, tickets->last)->number != 0);
    *entry_at(tickets, tickets->last) = (struct TicketEntry){.number = tickets->last, .slot = slot};
    tickets->count++;
    return tickets->last;
}

void
tickets_end(Tickets *tickets, uint32_t number)
{
    if (tickets_find(tickets, number) == TICKET_NO_SLOT)
        return;
    entry_at(tickets, number)->number = 0;
    tickets->count--;
}

uint32_t
tickets_find(const Tickets *tickets, uint32_t number)
{
    const struct TicketEntry *entry = tickets->capacity > 0 ? entry_at(tickets, number) : NULL;

    return entry != NULL && number != 0 && entry->number == number ? entry->slot : TICKET_NO_SLOT;
}

uint64_t
ticket_ref(RefOwner owner, uint32_t number, uint32_t item)
{
    assert(item < TICKET_ITEMS);
    return (uint64_t)owner << OWNER_SHIFT | (uint64_t)number << ITEM_BITS | item;
}

RefOwner
ticket_ref_owner(uint64_t ref)
{
    return (RefOwner)(ref >> OWNER_SHIFT);
}

uint32_t
ticket_ref_number(uint64_t ref)
{
    return (uint32_t)(ref >> ITEM_BITS);
}

uint32_t
ticket_ref_item(uint64_t ref)
{
    return ref & (TICKET_ITEMS - 1);
}

uint32_t
ticket_tag(RefOwner owner, uint32_t number)
{
    return (uint32_t)owner << NUMBER_BITS | number;
}

RefOwner
ticket_tag_owner(uint32_t tag)
{
    return (RefOwner)(tag >> NUMBER_BITS);
}

uint32_t
ticket_tag_number(uint32_t tag)
{
    return tag & (TICKET_NUMBERS - 1);
}
