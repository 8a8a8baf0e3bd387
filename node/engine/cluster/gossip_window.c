/*
 * A bitmap of the counters behind the highest that has come.
 */
#include "node/engine/cluster/gossip_window.h"

#include <string.h>

static uint64_t *
word_of(GossipWindow *window, uint64_t counter)
{
    return &window->seen[counter % GOSSIP_WINDOW_BITS / 64];
}

static uint64_t
bit_of(uint64_t counter)
{
    return (uint64_t)1 << (counter % 64);
}

GossipWindow
gossip_window(uint64_t first)
{
    GossipWindow window = {.highest = first};

    memset(window.seen, 0xff, sizeof(window.seen));
    return window;
}

/* Room for the counters up to this one, none of which has come. */
static void
advance(GossipWindow *window, uint64_t counter)
{
    if (counter - window->highest >= GOSSIP_WINDOW_BITS)
        memset(window->seen, 0, sizeof(window->seen));
    else
        for (uint64_t next = window->highest; next != counter; next++)
            *word_of(window, next + 1) &= ~bit_of(next + 1);
    window->highest = counter;
}

bool
gossip_window_accept(GossipWindow *window, uint64_t counter)
{
    if (counter > window->highest)
        advance(window, counter);
    else if (window->highest - counter >= GOSSIP_WINDOW_BITS)
        return false;

    uint64_t *word = word_of(window, counter);

    if ((*word & bit_of(counter)) != 0)
        return false;
    *word |= bit_of(counter);
    return true;
}
