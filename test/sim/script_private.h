/*
 * What the script*.c files share. script.c has the client and the nodes, script_disk.c what befalls
 * disks, and what owners compare, script_epoch.c what is decided.
 */
#ifndef SIM_SCRIPT_PRIVATE_H
#define SIM_SCRIPT_PRIVATE_H

#include "test/sim/client_private.h"
#include "test/sim/script.h"
#include "test/sim/world.h"

enum
{
    COPIES_MAX = 8,
    KEY = 0 /* the one that scenarios have */
};

struct Script
{
    World *world;
    const Scenario *scenario;
    Client *client;
    Arena arena;
    uint32_t nodes[NETWORK_HOSTS_MAX]; /* hosts by their place in the key's preference list */
    uint32_t asked;                    /* the host that was asked last */
    bool answered;
    Frame answer;
    SimStore *copies[COPIES_MAX];
    uint32_t copy_count;
    uint32_t frame_age_ms; /* that the frames of writes say they have been on their way */
};

/* The host that a scenario means. */
Host *script_host(const Script *script, uint32_t place);
bool script_is_over(const Script *script);

typedef bool (*Awaited)(const Script *script, uint32_t host);

/* Lives on until what is awaited is so; what: said when it takes too long. */
void script_await(Script *script, Awaited awaited, uint32_t host, const char *what);

/* What the host's disk has. */
Slice script_durable(const Script *script, uint32_t host);

/* Sends a frame under the client's last tag; and waits for the answer. */
void script_send(Script *script, uint32_t host, const Buffer *frame);
void script_ask(Script *script, uint32_t host, const Buffer *frame);

#endif
