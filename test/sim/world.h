/*
 * world: one simulated run, everything that has a seed, a clock and a fate.
 *
 * Virtual time is in microseconds. All chance comes from world->random, all order from
 * world->events, so that a seed gives one run and no other.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdio.h>

#include "test/lib/event_queue.h"
#include "test/sim/checker.h"
#include "test/sim/client.h"
#include "test/sim/faults.h"
#include "test/sim/host.h"
#include "test/sim/mix.h"
#include "test/sim/network.h"
#include "test/sim/script.h"
#include "test/sim/trace.h"

typedef struct WorldCounters
{
    uint64_t events;
    uint32_t frames;
    uint32_t faults; /* strikes, breaks, lost, doubled and overtaking frames */
    uint32_t operations;
    uint32_t failed_operations;
    uint32_t retries; /* frames of writes that may have been written before */
    uint32_t scans;
    uint32_t restarts;
    uint32_t restores; /* of a disk, to a backup */
    uint32_t damaged;  /* records that could not be read any more */
    uint64_t mended;   /* objects that compares of replicas brought somewhere */
} WorldCounters;

typedef enum WorldPhase
{
    WORLD_FORMS,    /* until every node is in the cluster, or the time for that is over */
    WORLD_RUNS,     /* clients at work, faults about */
    WORLD_SETTLES,  /* healed: links come up, requests end */
    WORLD_CALM,     /* every operation must succeed */
    WORLD_ONE_DOWN, /* one node is out of reach: every operation of a majority must succeed all the
                       same */
    WORLD_SETTLES_AGAIN,
    WORLD_AUDITS /* coordinated reads everywhere, then a look at every disk */
} WorldPhase;

struct World
{
    uint64_t seed;
    Random random;
    uint64_t now_us;
    EventQueue events;
    Mix mix;
    WorldPhase phase;
    uint64_t phase_since_us;
    uint64_t settled_us; /* when nothing was missing any more in this phase; 0: it is */
    uint32_t operations_left;
    Host hosts[NETWORK_HOSTS_MAX];
    Network network;
    Client *clients[NETWORK_CLIENTS_MAX];
    Faults faults;
    Checker *checker;
    uint8_t cluster_key[32];
    ContextKeys context_keys;
    char seeds[128];
    uint64_t trouble_us; /* the last time something went wrong */
    FILE *tracing;       /* NULL: no */
    bool black_box;
    bool true_clocks;
    const Scenario *scenario; /* to be played, or NULL */
    TraceText texts[TRACE_TEXTS];
    uint32_t text_next;
    uint64_t hash; /* of all that happened */
    WorldCounters counters;
};

typedef struct WorldResult
{
    bool failed;
    char verdict[600];
    uint64_t hash;
    uint64_t course; /* hash of the events alone, whatever they left on disks */
    uint64_t virtual_us;
    Mix mix;
    WorldCounters counters;
    CheckerCounters checks;
} WorldResult;

typedef struct WorldOptions
{
    FILE *tracing;    /* where to tell the run, or NULL; telling it changes nothing */
    bool true_clocks; /* wall clocks are right, whatever the mix says: nothing must come of it */
    bool black_box;   /* the checker is told only what clients see, nothing of disks and stamps */
    const Scenario *scenario; /* instead of clients and faults of the mix, or NULL */
} WorldOptions;

WorldResult world_run(uint64_t seed, const WorldOptions *options);

/* Adds to the hash of the run. */
void world_mix(World *world, uint64_t word);

/* Something goes wrong now. */
void world_trouble(World *world);

/* Nothing is wrong, or no more than a quorum system must bear: every operation must succeed. */
bool world_is_calm(const World *world);

/* The host is an owner of the key, by the checker's number. */
bool world_owns(World *world, uint32_t host, uint32_t key);

void world_schedule(World *world, uint64_t delay_us, Event event);

/* The next thing happens; false when there is none or the run is over. */
bool world_step(World *world);

/* NULL when every node runs, is in the cluster, has every link and holds every other one for up;
 * else what is missing, in text. */
const char *world_missing(const World *world, char text[128]);

#endif
