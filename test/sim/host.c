#include "test/sim/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/sim/trace.h"
#include "test/sim/world.h"

enum
{
    PORT_FIRST = 7100,
    BOOT_WALL_MS_2023 = 1672531200 /* seconds; the simulated clocks start there */
};

/* ---- what the engine wants done ---- */

static void
out_send(void *context, uint32_t peer, Slice frame)
{
    Host *host = context;

    if (host->doomed)
        return;
    network_send(host->world, network_link(host->world, host->index, peer), frame);
}

static void
out_reply(void *context, uint64_t session, Slice frame)
{
    Host *host = context;

    if (host->doomed)
        return;
    network_reply(host->world, host->index, session, frame);
}

static void
out_datagram(void *context, uint32_t peer, Slice datagram)
{
    Host *host = context;

    if (!host->doomed)
        network_datagram(host->world, host->index, peer, datagram);
}

/* The process may die here, before or after the disk has it; nothing that it says later is heard.
 */
static bool
out_persist(void *context, Slice state)
{
    Host *host = context;
    World *world = host->world;

    if (!world->network.clean && !host->doomed &&
        random_percent(&world->random, world->mix.persist_crash_percent))
    {
        trace(world, "%s dies while it persists its state", host->name);
        host->doomed = true;
        if (random_percent(&world->random, 50))
            return false;
    }
    else if (host->doomed)
        return false;
    buffer_reset(&host->state);
    buffer_put(&host->state, state.data, state.length);
    return true;
}

static uint32_t
out_peer(void *context, const char *address, uint16_t port)
{
    Host *host = context;
    uint32_t peer = (uint32_t)port - PORT_FIRST;

    (void)address;
    if (peer != host->index && !host->knows[peer])
    {
        host->knows[peer] = true;
        network_dial(host->world, network_link(host->world, host->index, peer), true);
    }
    return peer;
}

static void
out_note(void *context, Slice notes)
{
    Host *host = context;

    if (host->doomed)
        return;
    buffer_reset(&host->notes);
    buffer_put(&host->notes, notes.data, notes.length);
}

static void
out_log(void *context, const char *event)
{
    Host *host = context;

    trace(host->world, "%s says: %s", host->name, event);
}

static uint64_t
out_random(void *context)
{
    Host *host = context;

    return random_next(&host->world->random);
}

/* ---- life ---- */

void
host_init(World *world, uint32_t index)
{
    Host *host = &world->hosts[index];
    uint8_t id[sizeof(MemberId)];

    *host = (Host){.world = world, .index = index};
    snprintf(host->name, sizeof(host->name), "n%u", index);
    snprintf(host->address, sizeof(host->address), "10.0.0.%u", index + 1);
    if (random_percent(&world->random, 30))
        snprintf(host->zone, sizeof(host->zone), "z%u", index % 2);
    random_fill(&world->random, id, sizeof(id));
    memcpy(&host->config.host.id, id, sizeof(id));
    host->config.host.name = host->name;
    host->config.host.address = host->address;
    host->config.host.port = (uint16_t)(PORT_FIRST + index);
    host->config.host.zone = host->zone;
    host->config.host.weight = 1;
    host->config.host.seeds = world->seeds;
    host->config.host.partitions = world->mix.partitions;
    host->config.host.leaves_plans = world->scenario != NULL; /* a script says when */
    host->config.request_timeout_ms = world->mix.node_timeout_ms;
    host->config.host.peer_timeout_ms = world->mix.peer_timeout_ms;
    host->config.max_key_bytes = 64;
    host->config.max_value_bytes = 256;
    host->config.siblings_max = world->mix.siblings_max;
    host->config.admission = (AdmissionLimits){.target_ms = world->mix.delay_max_ms,
                                               .frames_max = world->mix.requests_max};
    memcpy(host->config.keys.keys[0], world->cluster_key, sizeof(world->cluster_key));
    host->config.keys.count = 1;
    host->config.hints_max_bytes = world->mix.hints_max_bytes;
    host->config.repair_interval_ms = world->mix.repair_interval_ms;
    /* Who sees only what clients see cannot tell what was reaped from what was lost. */
    host->config.reap_interval_ms = world->black_box ? 0 : world->mix.reap_interval_ms;
    host->config.background_bytes = 64 * 1024 * 1024;
    if (world->mix.clocks_off)
        host->wall_offset_ms = (int64_t)random_below(&world->random, 630720000000) - 315360000000;
    buffer_init(&host->state, &MEMORY_HEAP);
    buffer_init(&host->notes, &MEMORY_HEAP);
    buffer_init(&host->backup_notes, &MEMORY_HEAP);
    buffer_init(&host->backup_state, &MEMORY_HEAP);
    host->store = sim_store_new(world, index);
}

static void
clear_inbox(Host *host)
{
    for (uint32_t i = 0; i < host->inbox_count; i++)
        free(host->inbox[i].payload);
    host->inbox_count = 0;
}

void
host_free(World *world, uint32_t index)
{
    Host *host = &world->hosts[index];

    if (host->engine != NULL)
        engine_free(host->engine);
    clear_inbox(host);
    free(host->inbox);
    sim_store_free(host->store);
    buffer_free(&host->state);
    buffer_free(&host->notes);
    buffer_free(&host->backup_notes);
    buffer_free(&host->backup_state);
    if (host->backup != NULL)
        sim_store_free(host->backup);
}

/* Asks for a turn: soon, or at the engine's own time. */
static void
want_turn(World *world, Host *host, uint64_t delay_us)
{
    if (host->turn_due)
        return;
    host->turn_due = true;
    world_schedule(
        world, delay_us,
        (Event){.kind = EVENT_HOST_TURN, .target = host->index, .token = host->incarnation});
}

/* A wake at the engine's time, unless an earlier one is due. */
static void
want_wake(World *world, Host *host)
{
    uint64_t wake_ms = engine_wake_ms(host->engine);
    uint64_t wake_us;

    if (wake_ms == UINT64_MAX)
        return;
    wake_us = wake_ms * 1000;
    if (wake_us < world->now_us + 1000)
        wake_us = world->now_us + 1000;
    if (host->wake_at_us > world->now_us && host->wake_at_us <= wake_us)
        return;
    host->wake_at_us = wake_us;
    world_schedule(
        world, wake_us - world->now_us,
        (Event){.kind = EVENT_HOST_WAKE, .target = host->index, .token = host->incarnation});
}

void
host_boot(World *world, uint32_t index)
{
    Host *host = &world->hosts[index];
    HostCalls output = {
        .send = out_send,
        .reply = out_reply,
        .datagram = out_datagram,
        .persist = out_persist,
        .note = out_note,
        .log = out_log,
        .questions = {.peer = out_peer, .random = out_random, .context = host},
        .context = host
    };

    host->booting = false;
    if (host->engine != NULL)
        return;
    world->counters.restarts += host->incarnation > 0;
    host->incarnation++;
    host->turn_due = false;
    host->wake_at_us = 0;
    host->epoch_seen = 0;
    memset(host->knows, 0, sizeof(host->knows));
    memset(host->up_since_us, 0, sizeof(host->up_since_us));
    trace(world, "%s starts", host->name);
    network_host_up(world, index);
    host->engine = engine_new(&host->config, &output, buffer_slice(&host->state));
    if (host->engine == NULL)
    {
        checker_violation(world->checker, "state", "n%u cannot start from what it persisted",
                          index);
        return;
    }

    StorageEvents events = engine_storage_events(host->engine);

    host->storage = sim_store_boot(host->store, &events);
    engine_set_storage(host->engine, host->storage, buffer_slice(&host->notes));
    want_turn(world, host, 1);
}

void
host_note_mended(World *world, uint32_t index)
{
    const Host *host = &world->hosts[index];
    AntientropyCounters counters;

    if (host->engine == NULL)
        return;
    counters = engine_counters(host->engine).antientropy;
    world->counters.mended += counters.mended_here + counters.mended_there;
}

void
host_crash(World *world, uint32_t index)
{
    Host *host = &world->hosts[index];

    if (host->engine == NULL)
        return;
    trace(world, "%s crashes", host->name);
    world_trouble(world);
    checker_crashed(world->checker);
    host_note_mended(world, index);
    engine_free(host->engine);
    host->engine = NULL;
    host->incarnation++;
    host->paused = false;
    host->doomed = false;
    host->troubled_us = world->now_us;
    clear_inbox(host);
    sim_store_crash(host->store);
    network_host_down(world, index, random_percent(&world->random, 30));
}

static void
copy_bytes(Buffer *target, const Buffer *source)
{
    buffer_reset(target);
    buffer_put(target, source->data, source->length);
}

void
host_back_up(World *world, uint32_t index)
{
    Host *host = &world->hosts[index];

    trace(world, "%s's disk is backed up", host->name);
    if (host->backup == NULL)
        host->backup = sim_store_new(world, index);
    sim_store_copy(host->backup, host->store);
    copy_bytes(&host->backup_notes, &host->notes);
    copy_bytes(&host->backup_state, &host->state);
}

void
host_restore(World *world, uint32_t index, bool whole)
{
    Host *host = &world->hosts[index];

    trace(world, "%s's disk is set back to its backup%s", host->name,
          whole ? ", and all beside it is" : "");
    world->counters.restores++;
    checker_disk_lost(world->checker);
    sim_store_copy(host->store, host->backup);
    if (!whole)
        return;
    copy_bytes(&host->notes, &host->backup_notes);
    copy_bytes(&host->state, &host->backup_state);
}

void
host_wipe(World *world, uint32_t index)
{
    Host *host = &world->hosts[index];

    trace(world, "%s's disk is wiped", host->name);
    world->counters.restores++;
    checker_disk_lost(world->checker);
    (void)sim_store_wipe(host->store);
}

void
host_pause(World *world, uint32_t index)
{
    Host *host = &world->hosts[index];

    if (!host_runs(host))
        return;
    trace(world, "%s is stopped", host->name);
    world_trouble(world);
    host->troubled_us = world->now_us;
    host->paused = true;
}

void
host_resume(World *world, uint32_t index)
{
    Host *host = &world->hosts[index];

    if (!host->paused)
        return;
    trace(world, "%s goes on", host->name);
    world_trouble(world);
    host->troubled_us = world->now_us;
    host->paused = false;
    host->turn_due = false;
    want_turn(world, host, 1);
}

bool
host_runs(const Host *host)
{
    return host->engine != NULL && !host->paused;
}

void
host_admit_all(World *world, uint32_t index)
{
    Host *host = &world->hosts[index];

    host->config.admission = (AdmissionLimits){0};
    if (host->engine != NULL)
        engine_set_limits(host->engine, &host->config);
}

void
host_reap_no_more(World *world, uint32_t index)
{
    Host *host = &world->hosts[index];

    host->config.reap_interval_ms = 0;
    if (host->engine != NULL)
        engine_set_limits(host->engine, &host->config);
}

/* ---- turns ---- */

void
host_inbox(World *world, uint32_t index, InboxItem item)
{
    Host *host = &world->hosts[index];

    if (host->engine == NULL)
    {
        free(item.payload);
        return;
    }
    if (host->inbox_count == host->inbox_capacity)
    {
        host->inbox_capacity = host->inbox_capacity ? host->inbox_capacity * 2 : 32;
        host->inbox =
            memory_resize(&MEMORY_HEAP, host->inbox, host->inbox_capacity * sizeof(InboxItem));
    }
    item.arrived_us = world->now_us;
    host->inbox[host->inbox_count++] = item;
    want_turn(world, host, random_below(&world->random, world->mix.turn_max_us) + 1);
}

/* So old that its client may have sent another: to be treated like one. */
static bool
is_late(const World *world, const WriteFrame *write)
{
    return world->now_us / 1000 > write->clock_ms + write->alone_ms;
}

/* The checker is told which retries came to which node, to judge what the node makes of them. */
static void
note_retry(World *world, const Host *host, Slice bytes)
{
    Arena arena;
    Frame frame;
    WriteFrame write;

    if (bytes.length == 0 || bytes.data[0] != FRAME_WRITE || !frame_decode(bytes, &frame))
        return;
    arena_init(&arena, &MEMORY_HEAP);
    if (write_decode(&frame, &arena, &write) && (write.retry || is_late(world, &write)))
    {
        for (uint32_t i = 0; i < write.item_count; i++)
        {
            for (uint32_t v = 0; v < write.items[i].value_count; v++)
                checker_retry_arrived(world->checker, &write.items[i].values[v].request,
                                      host->index, world->now_us);
        }
    }
    arena_free(&arena);
}

/* So many that a trace would be full of them. */
static bool
is_greeting(Slice frame)
{
    return frame.length > 0 && (frame.data[0] == FRAME_HELLO || frame.data[0] == FRAME_HELLO_REPLY);
}

/* What others hear of a host's disk. */
static void
note_told(World *world, Slice bytes)
{
    Frame frame;
    HelloFrame hello;

    if (!is_greeting(bytes) || !frame_decode(bytes, &frame) || !hello_decode(&frame, &hello) ||
        hello.data_state != DATA_WHOLE)
        return;
    for (uint32_t i = 0; i < world->mix.hosts; i++)
    {
        Host *host = &world->hosts[i];

        if (memcmp(&host->config.host.id, &hello.id, sizeof(MemberId)) == 0 &&
            (hello.data.commits > host->told.commits ||
             memcmp(&hello.data.run, &host->told.run, sizeof(RunId)) != 0))
            host->told = hello.data;
    }
}

static void
give(World *world, Host *host, const InboxItem *item)
{
    const Packet *packet = item->payload;
    Slice frame = SLICE_EMPTY;

    if (item->kind == INBOX_SESSION_FRAME || item->kind == INBOX_PEER_FRAME ||
        item->kind == INBOX_DATAGRAM)
        frame = slice_make(packet->bytes, packet->length);
    note_told(world, frame);
    switch (item->kind)
    {
    case INBOX_SESSION_FRAME:
        note_retry(world, host, frame);
        if (!is_greeting(frame))
            trace(world, "%s takes from %s: %s", host->name,
                  network_session_name(world, host->index, item->session),
                  trace_frame(world, frame));
        engine_session_frame(host->engine, item->session,
                             item->is_peer             ? ENGINE_PEER
                             : world->scenario != NULL ? ENGINE_ADMIN
                                                       : ENGINE_CLIENT,
                             (world->now_us - item->arrived_us) / 1000, frame);
        break;
    case INBOX_PEER_UP:
        trace(world, "%s has a link to n%u", host->name, item->peer);
        engine_peer_up(host->engine, item->peer);
        break;
    case INBOX_PEER_DOWN:
        trace(world, "%s has lost its link to n%u", host->name, item->peer);
        engine_peer_down(host->engine, item->peer);
        break;
    case INBOX_PEER_FRAME:
        if (!is_greeting(frame))
            trace(world, "%s is answered by n%u: %s", host->name, item->peer,
                  trace_frame(world, frame));
        engine_peer_frame(host->engine, item->peer, frame);
        break;
    case INBOX_DATAGRAM:
        engine_datagram(host->engine, frame, world->hosts[item->peer].name);
        break;
    case INBOX_STORE:
        sim_store_work(host->store, item->payload);
        break;
    case INBOX_TICK:
        engine_tick(host->engine);
        break;
    }
}

/* Any document in use goes to the checker once. */
static void
watch_topology(World *world, Host *host)
{
    const Topology *topology = engine_topology(host->engine);
    Buffer document;

    if (topology == NULL || topology->epoch == host->epoch_seen)
        return;
    if (topology->epoch < host->epoch_seen)
        checker_violation(world->checker, "T1", "n%u went back from epoch %llu to %llu",
                          host->index, (unsigned long long)host->epoch_seen,
                          (unsigned long long)topology->epoch);
    host->epoch_seen = topology->epoch;
    buffer_init(&document, &MEMORY_HEAP);
    topology_encode(&document, topology);

    Digest digest = digest_of(buffer_slice(&document));

    trace(world, "%s uses the topology of epoch %llu", host->name,
          (unsigned long long)topology->epoch);
    checker_topology(world->checker, topology->epoch, &digest);
    buffer_free(&document);
}

/* Whom the engine holds for up, and since when. */
static void
watch_peers(World *world, Host *host)
{
    const Topology *topology = engine_topology(host->engine);

    for (uint32_t i = 0; topology->epoch > 0 && i < world->mix.hosts; i++)
    {
        uint32_t member = topology_member(topology, &world->hosts[i].config.host.id);

        bool up = engine_member_is_up(host->engine, member);

        if (up != (host->up_since_us[i] != 0))
            trace(world, "%s holds n%u for %s", host->name, i, up ? "up" : "down");
        if (!up)
            host->up_since_us[i] = 0;
        else if (host->up_since_us[i] == 0)
            host->up_since_us[i] = world->now_us;
    }
}

void
host_turn(World *world, uint32_t index)
{
    Host *host = &world->hosts[index];
    int64_t wall_ms = BOOT_WALL_MS_2023 * INT64_C(1000) + (int64_t)(world->now_us / 1000) +
                      (world->true_clocks ? 0 : host->wall_offset_ms);

    host->turn_due = false;
    if (!host_runs(host))
        return;
    engine_time(host->engine, world->now_us / 1000, (uint64_t)wall_ms);
    host->turn_due = true; /* what comes in meanwhile is of this turn */
    for (uint32_t i = 0; i < host->inbox_count; i++)
    {
        InboxItem item = host->inbox[i];

        give(world, host, &item);
        free(item.payload);
    }
    host->inbox_count = 0;
    host->turn_due = false;
    engine_turn_end(host->engine);
    if (host->doomed)
    {
        faults_crash_now(world, index);
        return;
    }
    watch_topology(world, host);
    watch_peers(world, host);
    want_wake(world, host);
    if (host->inbox_count > 0)
        want_turn(world, host, 1);
}

void
host_wake(World *world, uint32_t index)
{
    Host *host = &world->hosts[index];

    if (host->engine != NULL && host->wake_at_us == world->now_us)
        host_inbox(world, index, (InboxItem){.kind = INBOX_TICK});
}
