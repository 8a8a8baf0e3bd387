#include "test/sim/faults.h"

#include "test/sim/trace.h"
#include "test/sim/world.h"

enum
{
    DAMAGED_PERCENT = 20 /* of records */
};

static void
schedule_next(World *world)
{
    const Mix *mix = &world->mix;

    if (mix->fault_gap_us > 0)
        world_schedule(world, random_between(&world->random, 1, 2 * (uint64_t)mix->fault_gap_us),
                       (Event){.kind = EVENT_FAULT, .token = world->faults.generation});
}

void
faults_begin(World *world)
{
    world->faults.active = true;
    world->faults.generation++;
    world->network.clean = false;
    schedule_next(world);
}

static FaultKind
draw_kind(World *world)
{
    const Mix *mix = &world->mix;
    uint32_t weights[FAULT_KINDS] = {
        [FAULT_CRASH] = mix->crash_weight,         [FAULT_BLACKOUT] = mix->blackout_weight,
        [FAULT_PAUSE] = mix->pause_weight,         [FAULT_PARTITION] = mix->partition_weight,
        [FAULT_SLOW_DISK] = mix->slow_disk_weight, [FAULT_FAILED_SYNC] = mix->failed_sync_weight,
        [FAULT_CLOCK] = mix->clock_weight,         [FAULT_AMNESIA] = mix->amnesia_weight,
        [FAULT_RESTORE] = mix->restore_weight,     [FAULT_TREE_ROW] = mix->tree_row_weight,
        [FAULT_DAMAGE] = mix->damage_weight,       [FAULT_FULL_DISK] = mix->full_disk_weight,
    };
    uint32_t total = 0;

    for (uint32_t i = 0; i < FAULT_KINDS; i++)
        total += weights[i];
    if (total == 0)
        return FAULT_KINDS;

    uint64_t drawn = random_below(&world->random, total);
    uint32_t kind = 0;

    while (drawn >= weights[kind])
        drawn -= weights[kind++];
    return (FaultKind)kind;
}

/* ---- partitions ---- */

static void
cut(World *world, Strike *strike, uint32_t from, uint32_t to)
{
    if (from == to || (strike->cut[from] >> to & 1) != 0)
        return;
    strike->cut[from] |= 1u << to;
    network_block(world, from, to);
}

static void
mend(World *world, Strike *strike)
{
    for (uint32_t from = 0; from < NETWORK_ENDPOINTS_MAX; from++)
    {
        for (uint32_t to = 0; to < NETWORK_ENDPOINTS_MAX; to++)
        {
            if ((strike->cut[from] >> to & 1) != 0)
                network_unblock(world, from, to);
        }
        strike->cut[from] = 0;
    }
}

/* Endpoints of the one side cannot reach those of the other, or not be reached by them, or neither.
 */
static void
cut_sides(World *world, Strike *strike, uint32_t side, bool one_way)
{
    bool forth = !one_way || random_percent(&world->random, 50);
    bool back = !one_way || !forth;

    trace(world, "the network parts {%s} from the rest%s", trace_endpoints(world, side),
          one_way ? ", one way" : "");
    for (uint32_t a = 0; a < NETWORK_ENDPOINTS_MAX; a++)
    {
        for (uint32_t b = 0; b < NETWORK_ENDPOINTS_MAX; b++)
        {
            if ((side >> a & 1) == 0 || (side >> b & 1) != 0)
                continue;
            if (forth)
                cut(world, strike, a, b);
            if (back)
                cut(world, strike, b, a);
        }
    }
}

/* Two halves that only one host can reach both of. */
static void
cut_bridge(World *world, Strike *strike)
{
    uint32_t bridge = (uint32_t)random_below(&world->random, world->mix.hosts);
    uint32_t half = (uint32_t)random_below(&world->random, 1u << NETWORK_ENDPOINTS_MAX);

    trace(world, "the network parts {%s} from the rest, but for n%u", trace_endpoints(world, half),
          bridge);
    for (uint32_t a = 0; a < NETWORK_ENDPOINTS_MAX; a++)
    {
        for (uint32_t b = 0; b < NETWORK_ENDPOINTS_MAX; b++)
        {
            if (a != bridge && b != bridge && (half >> a & 1) != (half >> b & 1))
                cut(world, strike, a, b);
        }
    }
}

/* Each host reaches the two beside it and no other; clients reach all. */
static void
cut_ring(World *world, Strike *strike)
{
    uint32_t hosts = world->mix.hosts;

    trace(world, "the network is a ring");
    for (uint32_t a = 0; a < hosts; a++)
    {
        for (uint32_t b = 0; b < hosts; b++)
        {
            if (b != (a + 1) % hosts && a != (b + 1) % hosts)
                cut(world, strike, a, b);
        }
    }
}

/* Most failures in the field come from one node cut off; any shape is possible. */
static void
partition(World *world, Strike *strike)
{
    Random *random = &world->random;
    uint32_t hosts = world->mix.hosts;

    if (random_percent(random, 20))
    {
        if (random_percent(random, 50))
            cut_bridge(world, strike);
        else
            cut_ring(world, strike);
        return;
    }

    uint32_t side = 1u << random_below(random, hosts);
    bool one_way = world->mix.one_way && random_percent(random, 50);

    if (random_percent(random, 60))
    {
        for (uint32_t client = 0; client < world->mix.clients; client++)
            side |= (uint32_t)random_percent(random, 30) << (NETWORK_HOSTS_MAX + client);
    }
    else
        side = (uint32_t)random_below(random, 1u << NETWORK_ENDPOINTS_MAX);
    cut_sides(world, strike, side, one_way);
}

/* ---- strikes ---- */

/* Some keys vanish under the running process; or all of them while it is down, until the strike
 * ends. */
static void
forget(World *world, Strike *strike)
{
    Host *host = &world->hosts[world->faults.amnesiac];
    bool wiped = random_percent(&world->random, 25);
    uint32_t forgotten;

    strike->host = host->index;
    if (wiped)
        host_crash(world, host->index);
    forgotten = wiped ? sim_store_wipe(host->store) : sim_store_forget(host->store, false);
    trace(world, "%s's disk forgets %u keys", host->name, forgotten);
}

/* Is it known that the backup lacks something? Of runs the node's own notes tell; where they are
 * set back too, somebody must have heard of it. */
static bool
backup_is_known_to_lack(const World *world, const Host *host)
{
    if (host->backup == NULL)
        return false;
    return world->mix.whole_restores ? !sim_store_holds(host->backup, &host->told)
                                     : !sim_store_same_run(host->backup, host->store);
}

/* A backup is made; or the host comes back with the one there is, with nothing, or with what it
 * had.
 */
static void
set_back(World *world, Host *host)
{
    bool known = backup_is_known_to_lack(world, host);

    host_crash(world, host->index);
    if (random_percent(&world->random, 25))
        host_wipe(world, host->index);
    else if (known)
        host_restore(world, host->index,
                     world->mix.whole_restores && random_percent(&world->random, 50));
}

static void
restore(World *world, Strike *strike)
{
    Host *host = &world->hosts[world->faults.amnesiac];

    strike->host = host->index;
    if (random_percent(&world->random, 20))
        host_back_up(world, host->index);
    else
        set_back(world, host);
}

/* One host's records, as what is forgotten: two owners may have lost the same one otherwise. */
static void
damage(World *world, Strike *strike)
{
    Host *host = &world->hosts[world->faults.amnesiac];
    uint32_t damaged = sim_store_damage(host->store, DAMAGED_PERCENT);

    strike->host = host->index;
    if (damaged > 0)
        checker_disk_lost(world->checker);
    world->counters.damaged += damaged;
    trace(world, "%s's disk cannot read %u records any more", host->name, damaged);
}

static void
strike_host(World *world, Strike *strike)
{
    Host *host = &world->hosts[strike->host];

    switch (strike->kind)
    {
    case FAULT_CRASH:
        host_crash(world, strike->host);
        break;
    case FAULT_PAUSE:
        host_pause(world, strike->host);
        break;
    case FAULT_SLOW_DISK:
        trace(world, "%s's disk becomes slow", host->name);
        sim_store_set_slow(host->store, true);
        break;
    case FAULT_FAILED_SYNC:
        sim_store_fail_next_sync(host->store);
        break;
    case FAULT_FULL_DISK:
        sim_store_set_full(host->store, true);
        break;
    case FAULT_CLOCK:
        host->wall_offset_ms = (int64_t)random_below(&world->random, 630720000000) - 315360000000;
        trace(world, "%s's clock jumps", host->name);
        break;
    case FAULT_AMNESIA:
        forget(world, strike);
        break;
    case FAULT_RESTORE:
        restore(world, strike);
        break;
    case FAULT_DAMAGE:
        damage(world, strike);
        break;
    case FAULT_TREE_ROW:
        if (sim_store_damage_tree(host->store))
            trace(world, "%s's disk loses a row of a tree", host->name);
        break;
    default:
        break;
    }
}

static void
begin_strike(World *world, Strike *strike, FaultKind kind)
{
    *strike = (Strike){.live = true,
                       .kind = kind,
                       .host = (uint32_t)random_below(&world->random, world->mix.hosts)};
    world->counters.faults++;
    world_trouble(world);
    if (kind == FAULT_PARTITION)
        partition(world, strike);
    else if (kind != FAULT_BLACKOUT)
        strike_host(world, strike);
    else
    {
        for (uint32_t host = 0; host < world->mix.hosts; host++)
            host_crash(world, host);
    }
}

static void
end_strike(World *world, Strike *strike)
{
    strike->live = false;
    world_trouble(world);
    switch (strike->kind)
    {
    case FAULT_CRASH:
    case FAULT_AMNESIA:
    case FAULT_RESTORE:
        host_boot(world, strike->host);
        break;
    case FAULT_BLACKOUT:
        for (uint32_t host = 0; host < world->mix.hosts; host++)
            host_boot(world, host);
        break;
    case FAULT_PAUSE:
        host_resume(world, strike->host);
        break;
    case FAULT_PARTITION:
        trace(world, "the network joins again");
        mend(world, strike);
        break;
    case FAULT_SLOW_DISK:
        sim_store_set_slow(world->hosts[strike->host].store, false);
        break;
    case FAULT_FULL_DISK:
        sim_store_set_full(world->hosts[strike->host].store, false);
        break;
    case FAULT_FAILED_SYNC:
        if (sim_store_failed(world->hosts[strike->host].store))
        {
            host_crash(world, strike->host);
            host_boot(world, strike->host);
        }
        break;
    default:
        break;
    }
}

void
faults_crash_soon(World *world, uint32_t host)
{
    world_schedule(
        world, random_below(&world->random, 2 * (uint64_t)world->mix.latency_max_us),
        (Event){.kind = EVENT_FAULT, .token = world->faults.generation, .target = host, .flag = 1});
}

void
faults_crash_now(World *world, uint32_t host)
{
    world->counters.faults++;
    host_crash(world, host);
    world_schedule(world, random_between(&world->random, 1000, 2000 + world->mix.fault_length_us),
                   (Event){.kind = EVENT_HOST_BOOT, .target = host});
}

void
faults_strike(World *world, const Event *event)
{
    FaultKind kind = draw_kind(world);

    if (event->token != world->faults.generation)
        return;
    if (event->flag != 0)
    {
        faults_crash_now(world, event->target);
        return;
    }
    if (kind == FAULT_KINDS)
        return;
    for (uint32_t i = 0; i < FAULTS_AT_ONCE; i++)
    {
        if (world->faults.strikes[i].live)
            continue;
        begin_strike(world, &world->faults.strikes[i], kind);
        world_schedule(
            world, random_between(&world->random, 1000, 2000 + world->mix.fault_length_us),
            (Event){.kind = EVENT_FAULT_ENDS, .target = i, .token = world->faults.generation});
        break;
    }
    schedule_next(world);
}

void
faults_end_strike(World *world, const Event *event)
{
    if (event->token == world->faults.generation && world->faults.strikes[event->target].live)
        end_strike(world, &world->faults.strikes[event->target]);
}

void
faults_heal(World *world)
{
    trace(world, "all faults end");
    world->faults.active = false;
    world->faults.generation++;
    world->network.clean = true;
    for (uint32_t i = 0; i < FAULTS_AT_ONCE; i++)
    {
        if (world->faults.strikes[i].live)
            end_strike(world, &world->faults.strikes[i]);
    }
    for (uint32_t host = 0; host < world->mix.hosts; host++)
    {
        sim_store_calm(world->hosts[host].store);
        if (sim_store_failed(world->hosts[host].store))
            host_crash(world, host);
        host_resume(world, host);
        host_boot(world, host);
    }
}

/* The node is back at once, and is filled while clients go on. */
static void
take_down_a_disk(World *world)
{
    Host *host = &world->hosts[world->faults.amnesiac];

    set_back(world, host);
    host_boot(world, host->index);
}

void
faults_in_calm(World *world)
{
    Strike strike = {.kind = FAULT_DAMAGE};

    if (world->mix.damage_weight > 0 && world->mix.n >= 3)
        damage(world, &strike);
}

void
faults_take_down(World *world, uint32_t host)
{
    Strike *strike = &world->faults.strikes[0];
    FaultKind kinds[] = {FAULT_CRASH, FAULT_PAUSE, FAULT_PARTITION};

    /* Whose records are damaged is one that is down, in part. */
    if (world->mix.damage_weight > 0)
        host = world->faults.amnesiac;
    if (world->mix.restore_weight > 0 && random_percent(&world->random, 60))
    {
        take_down_a_disk(world);
        return;
    }
    *strike = (Strike){.live = true, .kind = kinds[random_below(&world->random, 3)], .host = host};
    if (strike->kind == FAULT_PARTITION)
        cut_sides(world, strike, 1u << host, false);
    else
        strike_host(world, strike);
}
