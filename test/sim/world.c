#include "test/sim/world.h"

#include <stdlib.h>
#include <string.h>

enum
{
    SECOND_US = 1000000,
    FORM_WITH_FAULTS_US = 3 * SECOND_US,
    FORM_DEADLINE_US = 40 * SECOND_US,
    RUN_DEADLINE_US = 30 * SECOND_US,
    SETTLE_US = 5 * SECOND_US, /* at least: old connections are given up within that time */
    SETTLE_DEADLINE_US = 40 * SECOND_US,
    HEAL_DEADLINE_US = 10 * SECOND_US, /* and two intervals of repairs */
    CALM_DEADLINE_US = 120 * SECOND_US,
    REPAIR_DEADLINE_US = 3 * SECOND_US,
    EVENTS_MAX = 2000000,
    CALM_OPERATIONS = 4 /* by client */
};

/* ---- what parts of the world ask ---- */

void
world_mix(World *world, uint64_t word)
{
    world->hash = random_hash(world->hash ^ word);
}

void
world_trouble(World *world)
{
    world->trouble_us = world->now_us;
}

bool
world_is_calm(const World *world)
{
    return world->phase == WORLD_CALM || world->phase == WORLD_ONE_DOWN ||
           (world->phase == WORLD_RUNS && mix_is_calm(&world->mix));
}

void
world_schedule(World *world, uint64_t delay_us, Event event)
{
    event.at_us = world->now_us + delay_us;
    event_queue_push(&world->events, event);
}

/* ---- what the checker asks ---- */

static const Client *
knowing_client(const World *world)
{
    for (uint32_t i = 0; i < world->mix.clients + 1; i++)
    {
        if (client_is_ready(world->clients[i]))
            return world->clients[i];
    }
    return NULL;
}

static uint32_t
hook_owner(void *context, uint32_t key, uint32_t place)
{
    World *world = context;
    const Client *client = knowing_client(world);

    return client == NULL ? CHECKER_NONE
                          : client_owner(client, checker_key(world->checker, key), place);
}

/* Who is to own it, since its partition moves, keeps what it has as an owner does. */
static bool
is_entering(const World *world, uint32_t host, uint32_t key)
{
    const Client *client = knowing_client(world);

    return client != NULL && client_is_entering(client, checker_key(world->checker, key), host);
}

bool
world_owns(World *world, uint32_t host, uint32_t key)
{
    if (is_entering(world, host, key))
        return true;
    for (uint32_t place = 0; place < world->mix.n; place++)
    {
        if (hook_owner(world, key, place) == host)
            return true;
    }
    return false;
}

static Slice
hook_durable(void *context, uint32_t host, uint32_t key)
{
    World *world = context;
    const Client *client = knowing_client(world);

    return sim_store_durable(world->hosts[host].store, client_bucket_id(client),
                             checker_key(world->checker, key));
}

static uint32_t
member_of(const Host *host, const Host *other)
{
    const Topology *topology = engine_topology(host->engine);

    return topology_member(topology, &other->config.host.id);
}

/* A node that has just come back needs a while to know whom it can reach; and so do frames behind
 * what a partition has held up. */
static bool
hook_in_reach(void *context, uint32_t index, uint32_t other_index, uint64_t since_us)
{
    World *world = context;
    const Host *host = &world->hosts[index];
    const Host *other = &world->hosts[other_index];
    const NetworkLink *link = network_link(world, index, other_index);
    uint64_t recovery_us = world->mix.peer_timeout_ms * UINT64_C(1000);

    return host_runs(host) && host_runs(other) && host->troubled_us + recovery_us < since_us &&
           other->troubled_us < since_us && link->state == LINK_UP &&
           link->troubled_us + recovery_us < since_us &&
           world->trouble_us + recovery_us < since_us && host->up_since_us[other_index] != 0 &&
           host->up_since_us[other_index] < since_us &&
           engine_member_is_up(host->engine, member_of(host, other));
}

/* ---- birth and death ---- */

static void
make_hosts(World *world)
{
    size_t length = 0;

    for (uint32_t i = 0; i < world->mix.hosts; i++)
        length += (size_t)snprintf(world->seeds + length, sizeof(world->seeds) - length,
                                   "%s10.0.0.%u:%u", i > 0 ? "," : "", i + 1, 7100 + i);
    for (uint32_t i = 0; i < world->mix.hosts; i++)
    {
        host_init(world, i);
        world_schedule(world, random_below(&world->random, 200000),
                       (Event){.kind = EVENT_HOST_BOOT, .target = i});
    }
}

static World *
new_world(uint64_t seed, const WorldOptions *options)
{
    World *world = memory_resize(&MEMORY_HEAP, NULL, sizeof(World));
    CheckerHooks hooks = {.owner = hook_owner,
                          .durable_object = hook_durable,
                          .in_reach = hook_in_reach,
                          .context = world};

    memset(world, 0, sizeof(*world));
    world->seed = seed;
    world->tracing = options->tracing;
    world->black_box = options->black_box;
    world->true_clocks = options->true_clocks;
    random_seed(&world->random, seed);
    world->mix =
        options->scenario != NULL
            ? mix_draw_quiet(&world->random, options->scenario->hosts, options->scenario->n)
            : mix_draw(&world->random);
    random_fill(&world->random, world->cluster_key, sizeof(world->cluster_key));
    world->context_keys = context_keys(&world->cluster_key, 1);
    world->checker = checker_new(seed, &world->context_keys, options->black_box ? NULL : &hooks);
    world->scenario = options->scenario;
    if (world->mix.amnesia_weight > 0 || (options->scenario != NULL && options->scenario->amnesia))
        checker_allow_amnesia(world->checker);
    world->faults.amnesiac = (uint32_t)random_below(&world->random, world->mix.hosts);
    if (world->mix.restore_weight > 0 || world->mix.damage_weight > 0)
        checker_allow_restore(world->checker, world->faults.amnesiac);
    network_init(world);
    make_hosts(world);
    for (uint32_t i = 0; i <= world->mix.clients; i++)
        world->clients[i] = client_new(world, i);
    return world;
}

static void
free_world(World *world)
{
    event_queue_free(&world->events);
    network_free(world);
    for (uint32_t i = 0; i < world->mix.hosts; i++)
        host_free(world, i);
    for (uint32_t i = 0; i <= world->mix.clients; i++)
        client_free(world->clients[i]);
    checker_free(world->checker);
    free(world);
}

/* ---- phases ---- */

static void
enter(World *world, WorldPhase phase)
{
    static const char *NAMES[] = {"the cluster forms",
                                  "clients at work",
                                  "everything settles",
                                  "calm: all must succeed",
                                  "one down: all must succeed",
                                  "everything settles again",
                                  "the final reads"};

    world->phase = phase;
    world->phase_since_us = world->now_us;
    world->settled_us = 0;
    trace(world, "---- %s", NAMES[phase]);
}

static void
start_clients(World *world, uint32_t operations)
{
    world->operations_left = operations;
    for (uint32_t i = 0; i < world->mix.clients; i++)
    {
        if (client_is_idle(world->clients[i]))
            client_start(world->clients[i]);
    }
}

/* Nothing is left of connections that broke while nobody used them. */
static void
reconnect_clients(World *world)
{
    for (uint32_t i = 0; i <= world->mix.clients; i++)
        client_hang_up(world->clients[i]);
}

static bool
clients_are_idle(const World *world)
{
    for (uint32_t i = 0; i < world->mix.clients; i++)
    {
        if (!client_is_idle(world->clients[i]))
            return false;
    }
    return world->operations_left == 0;
}

static bool
all_are_ready(const World *world)
{
    for (uint32_t i = 0; i <= world->mix.clients; i++)
    {
        if (!client_is_ready(world->clients[i]))
            return false;
    }
    return true;
}

const char *
world_missing(const World *world, char text[128])
{
    for (uint32_t i = 0; i < world->mix.hosts; i++)
    {
        const Host *host = &world->hosts[i];

        snprintf(text, 128, "n%u is not in the cluster", i);
        if (!host_runs(host) || engine_topology(host->engine)->epoch == 0)
            return text;
        snprintf(text, 128, "n%u's disk is not filled", i);
        if (engine_is_refilling(host->engine))
            return text;
        for (uint32_t j = 0; j < world->mix.hosts; j++)
        {
            snprintf(text, 128, "n%u holds n%u for down", i, j);
            if (!engine_member_is_up(host->engine, member_of(host, &world->hosts[j])))
                return text;
        }
        snprintf(text, 128, "n%u has not handed off what it owes", i);
        if (engine_hints(host->engine)->target_count > 0)
            return text;
    }
    return NULL;
}

static uint64_t
phase_age(const World *world)
{
    return world->now_us - world->phase_since_us;
}

static void
end_forming(World *world)
{
    if (world->faults.active && phase_age(world) > FORM_WITH_FAULTS_US)
        faults_heal(world);
    if (phase_age(world) > FORM_DEADLINE_US)
        checker_violation(world->checker, "L2", "the cluster did not form, or has no bucket");
    if (!all_are_ready(world))
        return;
    enter(world, WORLD_RUNS);
    reconnect_clients(world);
    if (!mix_is_calm(&world->mix) && !world->faults.active)
        faults_begin(world);
    start_clients(world, world->mix.operations);
}

/* No disk is being filled any more, which takes long where there are many buckets; nor a tree
 * built.
 */
static const char *
unfilled(const World *world, char text[128])
{
    for (uint32_t i = 0; i < world->mix.hosts; i++)
    {
        snprintf(text, 128, "n%u is being filled", i);
        if (engine_is_refilling(world->hosts[i].engine))
            return text;
        snprintf(text, 128, "n%u withholds what it could not read", i);
        if (engine_counters(world->hosts[i].engine).ranges_withheld > 0)
            return text;
        snprintf(text, 128, "n%u has trees in doubt", i);
        if (!sim_store_trees_are_built(world->hosts[i].store))
            return text;
        snprintf(text, 128, "n%u has records that cannot be read", i);
        if (!sim_store_scrub(world->hosts[i].store))
            return text;
    }
    return NULL;
}

/* Two owners whose disks differ. */
static bool
owners_differ(World *world, uint32_t key, uint32_t *one, uint32_t *other)
{
    *one = hook_owner(world, key, 0);
    for (uint32_t place = 1; place < world->mix.n; place++)
    {
        *other = hook_owner(world, key, place);
        if (!slice_equal(hook_durable(world, *one, key), hook_durable(world, *other, key)))
            return true;
    }
    return false;
}

/* Owners that differ are made equal by themselves, nobody reads anything, within bounds. */
static bool
await_healing(World *world)
{
    uint64_t bound_us = HEAL_DEADLINE_US + 2 * world->mix.repair_interval_ms * UINT64_C(1000);
    uint32_t one;
    uint32_t other;

    if (!mix_heals(&world->mix))
        return true;
    if (world->settled_us == 0)
        world->settled_us = world->now_us;
    for (uint32_t key = 0; key < checker_key_count(world->checker); key++)
    {
        if (!owners_differ(world, key, &one, &other))
            continue;
        if (world->now_us > world->settled_us + bound_us)
            checker_violation(world->checker, "L5",
                              "k%u differs between n%u and n%u long after the last fault", key, one,
                              other);
        return false;
    }
    return true;
}

static void
end_settling(World *world, WorldPhase next)
{
    char text[128];
    const char *missing;

    if (phase_age(world) < SETTLE_US || !clients_are_idle(world))
        return;
    missing = world_missing(world, text);
    if (missing == NULL)
        missing = unfilled(world, text);
    if (missing != NULL)
    {
        if (phase_age(world) > SETTLE_DEADLINE_US)
            checker_violation(world->checker, "L2", "long after all faults ended %s", missing);
        return;
    }
    if (!await_healing(world))
        return;
    enter(world, next);
    reconnect_clients(world);
    if (next == WORLD_CALM)
        faults_in_calm(world);
    if (next == WORLD_CALM)
        start_clients(world, CALM_OPERATIONS * world->mix.clients);
    else
        client_begin_audit(world->clients[world->mix.clients]);
}

static void
end_calm(World *world)
{
    if (phase_age(world) > CALM_DEADLINE_US)
        checker_violation(world->checker, "L3", "clients did not come to an end in calm");
    if (!clients_are_idle(world))
        return;
    if (world->phase == WORLD_CALM && world->mix.n >= 3)
    {
        enter(world, WORLD_ONE_DOWN);
        faults_take_down(world, (uint32_t)random_below(&world->random, world->mix.hosts));
        start_clients(world, CALM_OPERATIONS * world->mix.clients);
        return;
    }
    if (world->phase == WORLD_ONE_DOWN)
        faults_heal(world);
    enter(world, WORLD_SETTLES_AGAIN);
    for (uint32_t i = 0; i < world->mix.hosts; i++)
        host_reap_no_more(world, i);
}

/* Nobody keeps what he does not own once it was handed off. */
static void
check_fallbacks(World *world, uint32_t key)
{
    for (uint32_t host = 0; host < world->mix.hosts; host++)
    {
        if (!world_owns(world, host, key) && hook_durable(world, host, key).length > 0)
            checker_violation(world->checker, "L4", "n%u keeps k%u, which it does not own", host,
                              key);
    }
}

/* Returns true when the run is over: repairs of the last reads may still be under way. */
static bool
end_audit(World *world)
{
    const Client *auditor = world->clients[world->mix.clients];
    uint32_t one;
    uint32_t other;

    if (!client_audit_is_done(auditor))
        return false;
    for (uint32_t key = 0; key < checker_key_count(world->checker); key++)
    {
        if (!owners_differ(world, key, &one, &other))
            continue;
        if (client_audit_age_us(auditor) > REPAIR_DEADLINE_US)
            checker_violation(world->checker, "L1",
                              "k%u differs between n%u and n%u after reads at every owner", key,
                              one, other);
        return false;
    }
    for (uint32_t key = 0; key < checker_key_count(world->checker); key++)
        check_fallbacks(world, key);
    for (uint32_t host = 0; host < world->mix.hosts; host++)
        sim_store_trees_check(world->hosts[host].store);
    for (uint32_t key = 0; key < checker_key_count(world->checker); key++)
        checker_final(world->checker, key, hook_durable(world, hook_owner(world, key, 0), key));
    return true;
}

/* Goes on to the next phase when the present one is done. True when the run is over. */
static bool
next_phase(World *world)
{
    switch (world->phase)
    {
    case WORLD_FORMS:
        end_forming(world);
        break;
    case WORLD_RUNS:
        if (clients_are_idle(world) || phase_age(world) > RUN_DEADLINE_US)
        {
            world->operations_left = 0;
            faults_heal(world);
            enter(world, WORLD_SETTLES);
            for (uint32_t i = 0; i < world->mix.hosts; i++)
                host_admit_all(world, i);
        }
        break;
    case WORLD_SETTLES:
        end_settling(world, WORLD_CALM);
        break;
    case WORLD_CALM:
    case WORLD_ONE_DOWN:
        end_calm(world);
        break;
    case WORLD_SETTLES_AGAIN:
        end_settling(world, WORLD_AUDITS);
        break;
    case WORLD_AUDITS:
        return end_audit(world);
    }
    return false;
}

/* ---- events ---- */

static bool
is_of_this_life(const World *world, const Event *event)
{
    return event->token == world->hosts[event->target].incarnation;
}

static void
store_work(World *world, Event *event)
{
    if (!is_of_this_life(world, event))
        return;
    host_inbox(world, event->target, (InboxItem){.kind = INBOX_STORE, .payload = event->payload});
    event->payload = NULL;
}

static void
happen(World *world, Event *event)
{
    switch (event->kind)
    {
    case EVENT_HOST_TURN:
        if (is_of_this_life(world, event))
            host_turn(world, event->target);
        break;
    case EVENT_HOST_WAKE:
        if (is_of_this_life(world, event))
            host_wake(world, event->target);
        break;
    case EVENT_HOST_BOOT:
        host_boot(world, event->target);
        break;
    case EVENT_STORE_WORK:
        store_work(world, event);
        break;
    case EVENT_STORE_SYNC:
        if (is_of_this_life(world, event))
            sim_store_sync_ends(world->hosts[event->target].store);
        break;
    case EVENT_DIAL:
        network_dial_due(world, event);
        break;
    case EVENT_DIAL_DONE:
        network_dial_done(world, event);
        break;
    case EVENT_ARRIVAL:
        network_arrival(world, event);
        break;
    case EVENT_DATAGRAM:
        network_datagram_due(world, event);
        break;
    case EVENT_CLOSED:
        network_closed(world, event);
        break;
    case EVENT_CLIENT_WAKE:
        client_wake(world, event);
        break;
    case EVENT_FAULT:
        faults_strike(world, event);
        break;
    case EVENT_FAULT_ENDS:
        faults_end_strike(world, event);
        break;
    case EVENT_KINDS:
        abort();
    }
}

bool
world_step(World *world)
{
    Event event;

    if (checker_verdict(world->checker) != NULL || !event_queue_pop(&world->events, &event))
        return false;
    world->now_us = event.at_us;
    world_mix(world, event.at_us * 16 + event.kind);
    happen(world, &event);
    free(event.payload);
    if (++world->counters.events > EVENTS_MAX)
        checker_violation(world->checker, "L2", "the run does not come to an end");
    return true;
}

/* In place of clients at work, calm, and one down: those are for the mix's runs. */
static void
play_scenario(World *world)
{
    script_play(world, world->scenario);
    enter(world, WORLD_SETTLES_AGAIN);
}

static void
live(World *world)
{
    trace(world, "seed %llu: %u nodes, %u clients, %u keys of n %u%s",
          (unsigned long long)world->seed, world->mix.hosts, world->mix.clients, world->mix.keys,
          world->mix.n, mix_is_calm(&world->mix) ? ", no faults" : "");
    enter(world, WORLD_FORMS);
    world->network.clean = true;
    if (world->mix.faults_while_forming)
        faults_begin(world);
    for (uint32_t i = 0; i <= world->mix.clients; i++)
        client_start(world->clients[i]);
    while (world_step(world))
    {
        if (world->scenario != NULL && world->phase == WORLD_RUNS)
            play_scenario(world);
        if (next_phase(world))
            break;
    }
}

WorldResult
world_run(uint64_t seed, const WorldOptions *options)
{
    World *world = new_world(seed, options);
    WorldResult result = {0};

    live(world);
    result.course = world->hash;
    for (uint32_t i = 0; i < world->mix.hosts; i++)
    {
        Digest digest = sim_store_digest(world->hosts[i].store);

        for (uint32_t b = 0; b < sizeof(digest.bytes); b++)
            world_mix(world, digest.bytes[b]);
    }
    if (checker_verdict(world->checker) != NULL)
    {
        result.failed = true;
        snprintf(result.verdict, sizeof(result.verdict), "%s", checker_verdict(world->checker));
        trace(world, "%s", result.verdict);
    }
    result.hash = world->hash;
    result.virtual_us = world->now_us;
    result.mix = world->mix;
    for (uint32_t i = 0; i < world->mix.hosts; i++)
        host_note_mended(world, i);
    result.counters = world->counters;
    result.checks = checker_counters(world->checker);
    free_world(world);
    return result;
}
