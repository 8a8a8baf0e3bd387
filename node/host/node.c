/*
 * The engine joined to the world: what happens outside becomes its events, and its actions become
 * calls of links, sessions, storage and disk.
 *
 * Happy path of a turn: events of libuv enter the engine, each with its time (node_enter); at the
 * end of the turn the engine sends what it gathered (node_turn_end), links and sessions flush, and
 * one timer is set for whatever the engine waits for next.
 *
 * Failure modes: a state that Paxos relies on and that cannot be written ends the process, since a
 * promise that may be forgotten must not be made. Notes that cannot be written cost a needless
 * refill. Storage that fails is the engine's to tell the others.
 */
#include "node/config/identity_state.h"
#include "node/config/users.h"
#include "node/host/node_private.h"
#include "node/rocks/rocks.h"

#include <netdb.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum
{
    PATH_SIZE = 4096,
    PEER_TIMEOUT_MS = 1000
};

static uint64_t
monotonic_ms(void)
{
    return uv_hrtime() / 1000000;
}

static uint64_t
wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Every event begins here, so that the engine sees the time it happened. */
Engine *
node_enter(Node *node)
{
    node->now_ms = monotonic_ms();
    engine_time(node->engine, node->now_ms, wall_ms());
    return node->engine;
}

/* ---- what the engine asks for ---- */

/* A node that is closing sends nothing: its peers are being taken apart. */
static void
output_send(void *context, uint32_t peer, Slice frame)
{
    Node *node = context;

    if (!node->closing)
        peers_send(node->peers, peer, frame);
}

/* A datagram that cannot leave is dropped, as the network might have dropped it. */
static void
output_datagram(void *context, uint32_t peer, Slice datagram)
{
    Node *node = context;
    uint16_t port;
    const char *address;

    if (node->closing || node->datagrams == NULL)
        return;
    address = peers_address(node->peers, peer, &port);
    node_datagrams_send(node->datagrams, address, port, datagram);
}

/* A node that cannot keep a promise must not have made it: it ends rather than answer. */
static bool
output_persist(void *context, Slice state)
{
    Node *node = context;
    char path[PATH_SIZE];
    Outcome outcome = identity_state_replace(
        identity_path(node->start.dir, "topology", path, sizeof(path)), state);

    if (outcome.failed)
    {
        log_error(node->start.log, "%s: this node stops, since it cannot keep what it promises",
                  outcome.message);
        _exit(EXIT_FAILURE);
    }
    return true;
}

static uint32_t
answer_peer(void *context, const char *address, uint16_t port)
{
    Node *node = context;

    return node->closing ? 0 : peers_number(node->peers, address, port);
}

/* The first notes, which the engine makes when it is given its storage, must be on the disk before
 * any write is; later ones are left to the pool. */
static void
output_note(void *context, Slice notes)
{
    Node *node = context;

    if (node->opened)
        node_notes_write(node->notes, notes);
    else
        node_notes_write_now(node->notes, notes);
}

static void
output_log(void *context, const char *event)
{
    Node *node = context;

    log_info(node->start.log, "%s", event);
}

static void
output_warn(void *context, const char *event)
{
    Node *node = context;

    log_warning(node->start.log, "%s", event);
}

static void
output_end(void *context, const char *why)
{
    Node *node = context;

    log_error(node->start.log, "%s: this node stops", why);
    _exit(EXIT_FAILURE);
}

static uint64_t
answer_random(void *context)
{
    uint64_t value;

    (void)context;
    randombytes_buf(&value, sizeof(value));
    return value;
}

static uint64_t
answer_resident_bytes(void *context)
{
    (void)context;
    return node_resident_bytes();
}

/* ---- events of links and time ---- */

static void
on_peer_up(void *ctx, uint32_t peer)
{
    engine_peer_up(node_enter(ctx), peer);
}

static void
on_peer_down(void *ctx, uint32_t peer)
{
    engine_peer_down(node_enter(ctx), peer);
}

static void
on_peer_frame(void *ctx, uint32_t peer, Slice frame)
{
    engine_peer_frame(node_enter(ctx), peer, frame);
}

static void
on_datagram(void *ctx, Slice datagram, const char *from)
{
    engine_datagram(node_enter(ctx), datagram, from);
}

static void
on_node_timer(uv_timer_t *timer)
{
    Node *node = timer->data;

    node->timer_due_ms = 0;
    engine_tick(node_enter(node));
}

/* One timer for whatever comes first. It is set again only when it would ring too late, since each
 * setting costs and most wakes are later than the one that is due. */
static void
set_timer(Node *node)
{
    uint64_t wake = engine_wake_ms(node->engine);
    uint64_t now = monotonic_ms();

    if (node->timer_due_ms != 0 && node->timer_due_ms <= wake)
        return;
    node->timer_due_ms = wake > now ? wake : now + 1;
    uv_timer_start(&node->timer, on_node_timer, node->timer_due_ms - now, 0);
}

void
node_turn_end(Node *node)
{
    if (node->closing)
        return;
    engine_turn_end(node_enter(node));
    node_streams_hold_peers(node);
    peers_flush(node->peers);
    set_timer(node);
}

/* ---- the engine's configuration, from options and identity ---- */

/* By value, so that seeds given in any order make the same list. */
static int
compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The first numeric address of a host. Every node must write it in the same form, because members
 * are found by it. */
static Outcome
resolve_host(const char *option, const char *host, char address[NODE_ADDRESS_SIZE])
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int result = getaddrinfo(host, NULL, &hints, &found);

    if (result == 0)
        result = getnameinfo(found->ai_addr, found->ai_addrlen, address, NODE_ADDRESS_SIZE, NULL, 0,
                             NI_NUMERICHOST);
    if (found != NULL)
        freeaddrinfo(found);
    return result == 0
               ? outcome_ok()
               : outcome_error("option \"%s\": \"%.128s\" is no address and cannot be resolved: %s",
                               option, host, gai_strerror(result));
}

static bool
is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

/* Puts each seed as host:port on the heap. A node that others cannot reach is refused here: they
 * would connect to themselves. */
static Outcome
resolve_seeds(const Config *config, const char *own, char *items[RING_NODES_MAX], size_t *count)
{
    char host[256];
    int port;

    *count = 0;
    while (*count < RING_NODES_MAX && config_seed(config, *count, host, sizeof(host), &port))
    {
        char address[NODE_ADDRESS_SIZE];
        Outcome outcome = resolve_host("seeds", host, address);

        if (!outcome.failed && is_loopback(own) && !is_loopback(address))
            outcome = outcome_error(
                "option \"advertise_address\": seed %.64s:%d is on another machine and cannot "
                "reach this node at %s; set the address under which others reach this machine",
                host, port, own);
        if (outcome.failed)
            return outcome;
        items[*count] = memory_resize(&MEMORY_HEAP, NULL, NODE_ADDRESS_SIZE + 8);
        snprintf(items[(*count)++], NODE_ADDRESS_SIZE + 8, "%s:%d", address, port);
    }
    return outcome_ok();
}

static char *
join_seeds(char *items[RING_NODES_MAX], size_t count)
{
    Buffer list;

    qsort(items, count, sizeof(char *), compare_texts);
    buffer_init(&list, &MEMORY_HEAP);
    for (size_t i = 0; i < count; i++)
    {
        if (i > 0 && strcmp(items[i], items[i - 1]) == 0)
            continue;
        if (list.length > 0)
            buffer_put(&list, ",", 1);
        buffer_put(&list, items[i], strlen(items[i]));
    }
    for (size_t i = 0; i < count; i++)
        memory_resize(&MEMORY_HEAP, items[i], 0);
    buffer_put_u8(&list, '\0');
    return (char *)list.data;
}

Outcome
node_resolve(const Config *config, char address[NODE_ADDRESS_SIZE], char **seeds)
{
    char *items[RING_NODES_MAX];
    size_t count = 0;
    Outcome outcome = resolve_host("advertise_address", config->advertise_address, address);

    if (!outcome.failed)
        outcome = resolve_seeds(config, address, items, &count);
    *seeds = join_seeds(items, count);
    return outcome;
}

/* The options that a reload may change. */
static void
take_limits(const Config *config, EngineConfig *engine)
{
    engine->request_timeout_ms = (uint32_t)config->request_timeout_ms;
    engine->max_key_bytes = (uint32_t)config->max_key_bytes;
    engine->max_value_bytes = (uint32_t)config->max_value_bytes;
    engine->siblings_warn = (uint32_t)config->siblings_warn;
    engine->siblings_max = (uint32_t)config->siblings_max;
    engine->host.buckets_per_user_max = (uint32_t)config->max_buckets_per_user;
    engine->repair_interval_ms = (uint64_t)config->repair_interval_s * 1000;
    engine->reap_interval_ms = (uint64_t)config->reap_interval_s * 1000;
    engine->hints_max_bytes = (uint64_t)config->hints_max_mb * 1024 * 1024;
    engine->admission =
        (AdmissionLimits){.target_ms = (uint32_t)config->max_delay_ms,
                          .frames_max = (uint32_t)config->max_requests,
                          .bytes_max = (uint64_t)config->max_requests_mb * 1024 * 1024};
}

/* Strings of config, and address and seeds, are borrowed for the life of the engine. */
static EngineConfig
engine_config_of(const Config *config, const Identity *identity, const char *address,
                 const char *seeds)
{
    EngineConfig engine = {.host.name = config->node_name,
                           .host.address = address,
                           .host.port = (uint16_t)config->port,
                           .host.zone = config->zone,
                           .host.weight = 1,
                           .host.seeds = seeds,
                           .host.partitions = (uint32_t)config->partitions,
                           .background_bytes = (uint64_t)config->background_mb * 1024 * 1024,
                           .host.peer_timeout_ms = PEER_TIMEOUT_MS,
                           .keys = identity->keys};

    take_limits(config, &engine);
    memcpy(engine.host.id.bytes, identity->member_id, sizeof(MemberId));
    return engine;
}

/* ---- opening and closing ---- */

void
node_reload(Node *node)
{
    take_limits(node->start.config, &node->config);
    engine_set_limits(node->engine, &node->config);
}

static void
open_peers(Node *node)
{
    UsersPeerLogin login;

    users_peer_login(node->start.identity->keys.keys[0], &login);

    PeersStart start = {.loop = node->start.loop,
                        .log = node->start.log,
                        .name = node->start.config->node_name,
                        .login = &login,
                        .ssl = (ConfigSsl)node->start.config->ssl,
                        .connect_timeout_ms = (uint64_t)node->start.config->connect_timeout_ms,
                        .up = on_peer_up,
                        .down = on_peer_down,
                        .frame = on_peer_frame,
                        .ctx = node};

    node->peers = peers_new(&start);
    sodium_memzero(&login, sizeof(login));
}

void
node_keys_changed(Node *node)
{
    const ClusterKeys *keys = &node->start.identity->keys;
    UsersPeerLogin login;

    engine_set_keys(node->engine, keys);
    users_peer_login(keys->keys[0], &login);
    peers_set_login(node->peers, &login);
    sodium_memzero(&login, sizeof(login));
}

static Outcome
open_engine(Node *node)
{
    HostCalls output = {
        .send = output_send,
        .reply = node_streams_reply,
        .datagram = output_datagram,
        .persist = output_persist,
        .note = output_note,
        .log = output_log,
        .warn = output_warn,
        .end = output_end,
        .questions = {.user = node_streams_user,
                      .peer = answer_peer,
                      .random = answer_random,
                      .resident_bytes = answer_resident_bytes,
                      .context = node},
        .context = node
    };
    char path[PATH_SIZE];
    Buffer state;
    Outcome outcome;
    bool damaged;

    buffer_init(&state, &MEMORY_HEAP);
    outcome = identity_state_read(identity_path(node->start.dir, "topology", path, sizeof(path)),
                                  &state, &damaged);
    if (!outcome.failed && !damaged)
    {
        node->engine = engine_new(&node->config, &output, buffer_slice(&state));
        damaged = node->engine == NULL;
    }
    if (damaged)
        outcome = outcome_error(
            "\"%.200s\" is damaged (HINT: \"dynamo_node salvage -D DIR\" puts it aside; the node "
            "then gets it from the other nodes, and compares its data with theirs)",
            path);
    buffer_free(&state);
    return outcome;
}

/* Without its notes the node takes its disk for one that has lost something. */
static Outcome
give_storage(Node *node)
{
    char path[PATH_SIZE];
    Buffer notes;
    Outcome outcome;
    bool damaged;

    buffer_init(&notes, &MEMORY_HEAP);
    outcome = identity_state_read(identity_path(node->start.dir, "seen", path, sizeof(path)),
                                  &notes, &damaged);
    if (damaged)
        log_warning(node->start.log, "\"%s\" is damaged", path);
    if (!outcome.failed)
        engine_set_storage(node->engine, node->storage, buffer_slice(&notes));
    buffer_free(&notes);
    return outcome;
}

static void
on_damage(void *context, const char *text)
{
    log_warning(((Node *)context)->start.log, "%s", text);
}

static void
on_restart(void *context)
{
    const NodeStart *start = &((Node *)context)->start;

    start->restart(start->ctx);
}

/* The actor of this run is drawn before storage opens and is kept nowhere: no other run can ever
 * stamp under it (N8). */
static Outcome
open_storage(Node *node)
{
    const Config *config = node->start.config;
    StorageEvents events = engine_storage_events(node->engine);
    char path[PATH_SIZE];
    RocksOptions options = {.directory = identity_path(node->start.dir, "data", path, sizeof(path)),
                            .block_cache_bytes = (uint64_t)config->block_cache_mb * 1024 * 1024,
                            .write_buffer_bytes = (uint64_t)config->write_buffer_mb * 1024 * 1024,
                            .record_cache_bytes = (uint64_t)config->record_cache_mb * 1024 * 1024,
                            .reserve_bytes = (uint64_t)config->disk_reserve_mb * 1024 * 1024,
                            .warn = on_damage,
                            .restart = on_restart,
                            .warn_context = node};

    randombytes_buf(&node->run.actor, sizeof(Actor));

    Outcome outcome = rocks_open(node->start.loop, &options, &node->run, &events, &node->storage);

    if (outcome.failed)
        return outcome;
    if (rocks_dropped_torn_write(node->storage))
        log_warning(
            node->start.log,
            "the log ends in an incomplete write, as a crash leaves one; that write was dropped");
    return give_storage(node);
}

/* Called once for each part that was closed. The engine goes last, because parts answer it until
 * they are gone. */
static void
finish_node_close(Node *node)
{
    void (*closed)(void *ctx) = node->closed;
    void *ctx = node->closed_ctx;

    if (--node->parts_open > 0)
        return;
    if (node->engine != NULL)
        engine_free(node->engine);
    memory_resize(&MEMORY_HEAP, node->seeds, 0);
    memory_resize(&MEMORY_HEAP, node->streams, 0);
    memory_resize(&MEMORY_HEAP, node->questions, 0);
    sodium_memzero(&node->config, sizeof(node->config));
    memory_resize(&MEMORY_HEAP, node, 0);
    if (closed != NULL)
        closed(ctx);
}

static void
on_part_closed(void *ctx)
{
    finish_node_close(ctx);
}

static void
on_node_timer_closed(uv_handle_t *handle)
{
    finish_node_close(handle->data);
}

void
node_close(Node *node, void (*closed)(void *ctx), void *ctx)
{
    node->closing = true;
    node->closed = closed;
    node->closed_ctx = ctx;
    node->parts_open = 3 + (node->storage != NULL) + (node->datagrams != NULL);
    if (node->opened)
        engine_note(node->engine);
    uv_close((uv_handle_t *)&node->timer, on_node_timer_closed);
    peers_close(node->peers, on_part_closed, node);
    node_notes_close(node->notes, on_part_closed, node);
    if (node->datagrams != NULL)
        node_datagrams_close(node->datagrams, on_part_closed, node);
    if (node->storage != NULL)
        rocks_close(node->storage, on_part_closed, node);
}

Outcome
node_open(const NodeStart *start, Node **opened)
{
    Node *node = memory_resize(&MEMORY_HEAP, NULL, sizeof(Node));
    Outcome outcome;

    *node = (Node){.start = *start, .started_ms = monotonic_ms()};
    uv_timer_init(start->loop, &node->timer);
    node->timer.data = node;
    node->notes = node_notes_new(start->loop, start->dir, "seen", start->log);
    open_peers(node);
    outcome = node_resolve(start->config, node->address, &node->seeds);
    node->config = engine_config_of(start->config, start->identity, node->address, node->seeds);
    if (!outcome.failed)
        outcome = open_engine(node);
    if (!outcome.failed)
        outcome = open_storage(node);
    if (outcome.failed)
    {
        node_close(node, NULL, NULL);
        *opened = NULL;
        return outcome;
    }
    node->opened = true;
    set_timer(node);
    *opened = node;
    return outcome;
}

Outcome
node_listen(Node *node, const struct sockaddr *address)
{
    return node_datagrams_open(node->start.loop, address, on_datagram, node, &node->datagrams);
}

/* ---- for the console ---- */

const Engine *
node_engine(const Node *node)
{
    return node->engine;
}

void
node_scrub(Node *node, bool begin)
{
    engine_scrub(node_enter(node), begin);
}

StorageCounters
node_storage_counters(const Node *node)
{
    return node->storage->counters(node->storage);
}

const char *
node_storage_failure(const Node *node)
{
    return rocks_failure(node->storage);
}

uint64_t
node_uptime_ms(const Node *node)
{
    return monotonic_ms() - node->started_ms;
}

uint64_t
node_resident_bytes(void)
{
    unsigned long pages = 0;
    unsigned long resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    if (file == NULL)
        return 0;
    if (fscanf(file, "%lu %lu", &pages, &resident) != 2)
        resident = 0;
    fclose(file);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

const char *
node_member_error(const Node *node, uint32_t member)
{
    const Topology *topology = engine_topology(node->engine);

    if (member == engine_self(node->engine))
        return "";
    return peers_error(node->peers, peers_number(node->peers, topology->members[member].address,
                                                 topology->members[member].port));
}
