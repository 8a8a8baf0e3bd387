#include "test/sim/client_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/data/keycodec.h"
#include "test/sim/trace.h"
#include "test/sim/world.h"

enum
{
    ANSWER_TIMEOUT_US = 400000,
    CREATE_TIMEOUT_US = 1500000,
    CREATE_PATIENCE_US = 5000000,
    EXTRA_BUCKETS = 40
};

static const char BUCKET_NAME[] = "cart";

Client *
client_new(World *world, uint32_t index)
{
    Client *client = memory_resize(&MEMORY_HEAP, NULL, sizeof(Client));

    memset(client, 0, sizeof(*client));
    client->world = world;
    client->index = index;
    client->asker.seed = index;
    client->endpoint = NETWORK_HOSTS_MAX + index;
    client->state = CLIENT_IDLE;
    arena_init(&client->topology_arena, &MEMORY_HEAP);
    arena_init(&client->arena, &MEMORY_HEAP);
    for (uint32_t i = 0; i < CLIENT_KEYS_MAX; i++)
    {
        buffer_init(&client->keys[i].sealed, &MEMORY_HEAP);
        arena_init(&client->keys[i].arena, &MEMORY_HEAP);
    }
    return client;
}

static void
drop_waiting(Client *client, uint32_t host)
{
    for (uint32_t i = 0; i < client->waiting_count[host]; i++)
        free(client->waiting[host][i]);
    client->waiting_count[host] = 0;
}

void
client_hang_up(Client *client)
{
    for (uint32_t host = 0; host < NETWORK_HOSTS_MAX; host++)
    {
        network_hang_up(client->world, network_link(client->world, client->endpoint, host));
        drop_waiting(client, host);
    }
}

void
client_free(Client *client)
{
    if (client->request != NULL)
        request_end(client->request);
    if (client->pager != NULL)
        pager_free(client->pager);
    for (uint32_t host = 0; host < NETWORK_HOSTS_MAX; host++)
        drop_waiting(client, host);
    for (uint32_t i = 0; i < CLIENT_KEYS_MAX; i++)
    {
        buffer_free(&client->keys[i].sealed);
        arena_free(&client->keys[i].arena);
    }
    arena_free(&client->topology_arena);
    arena_free(&client->arena);
    free(client);
}

uint64_t
client_now_ms(const Client *client)
{
    return client->world->now_us / 1000;
}

bool
client_is_idle(const Client *client)
{
    return client->state == CLIENT_IDLE;
}

bool
client_is_ready(const Client *client)
{
    return client->bucket != NULL;
}

uint32_t
client_owner(const Client *client, Slice key, uint32_t place)
{
    uint16_t owners[TOPOLOGY_N_MAX];
    uint64_t position;

    (void)topology_position(client->bucket, key, &position);
    (void)topology_preference(&client->topology, position, owners, client->bucket->n);
    return client_host_of(client, owners[place]);
}

bool
client_is_entering(const Client *client, Slice key, uint32_t host)
{
    uint16_t entering[TOPOLOGY_N_MAX];
    uint64_t position;
    uint32_t count;
    bool found = false;

    (void)topology_position(client->bucket, key, &position);
    count = topology_entering(&client->topology, position, client->bucket->n, entering);
    for (uint32_t i = 0; i < count; i++)
        found = found || client_host_of(client, entering[i]) == host;
    return found;
}

uint32_t
client_bucket_id(const Client *client)
{
    return client->bucket->id;
}

void
client_wake_at(Client *client, uint64_t at_us)
{
    World *world = client->world;

    if (at_us <= world->now_us)
        at_us = world->now_us + 1;
    if (client->wake_us == at_us)
        return;
    client->wake_us = at_us;
    world_schedule(
        world, at_us - world->now_us,
        (Event){.kind = EVENT_CLIENT_WAKE, .target = client->index, .token = ++client->wake_token});
}

/* ---- links ---- */

uint32_t
client_host_of(const Client *client, uint32_t member)
{
    uint32_t host = 0;

    while (client->world->hosts[host].config.host.port != client->topology.members[member].port)
        host++;
    return host;
}

void
client_send(Client *client, uint32_t host, Slice frame)
{
    World *world = client->world;
    NetworkLink *link = network_link(world, client->endpoint, host);

    if (link->state == LINK_UP)
    {
        network_send(world, link, frame);
        return;
    }
    if (client->waiting_count[host] < CLIENT_WAITING_MAX)
    {
        Packet *packet = memory_resize(&MEMORY_HEAP, NULL, sizeof(Packet) + frame.length);

        packet->length = frame.length;
        memcpy(packet->bytes, frame.data, frame.length);
        client->waiting[host][client->waiting_count[host]++] = packet;
    }
    network_dial(world, link, false);
}

/* Something has changed for what is under way. */
static void
pump(Client *client)
{
    if (client->state == CLIENT_ASKS)
        client_request_pump(client);
    else
        client_scan_pump(client);
}

void
client_link_up(World *world, uint32_t index, uint32_t host)
{
    Client *client = world->clients[index];
    NetworkLink *link = network_link(world, client->endpoint, host);

    for (uint32_t i = 0; i < client->waiting_count[host]; i++)
        network_send(world, link,
                     slice_make(client->waiting[host][i]->bytes, client->waiting[host][i]->length));
    drop_waiting(client, host);
}

void
client_link_lost(World *world, uint32_t index, uint32_t host)
{
    Client *client = world->clients[index];

    drop_waiting(client, host);
    if (client->state == CLIENT_AUDITS && client->audit_host == host)
        audit_again(client);
    if (client->state != CLIENT_ASKS && client->state != CLIENT_SCANS)
        return;
    for (uint32_t member = 0; member < client->topology.member_count; member++)
    {
        if (client_host_of(client, member) != host)
            continue;
        if (client->state == CLIENT_ASKS)
            request_lost(client->request, member, client_now_ms(client));
        else
            pager_lost(client->pager, member, client_now_ms(client));
    }
    pump(client);
}

/* ---- topology and buckets ---- */

static void
send_to_any(Client *client, const Buffer *frame, uint64_t timeout_us)
{
    World *world = client->world;
    uint32_t host = (uint32_t)random_below(&world->random, world->mix.hosts);

    client->deadline_us = world->now_us + timeout_us;
    client_send(client, host, buffer_slice(frame));
    client_wake_at(client, client->deadline_us);
}

static void
fetch_topology(Client *client)
{
    TopologyFetch fetch = {.have_epoch = client->topology.epoch};
    Buffer frame;

    client->state = CLIENT_FETCHES;
    client->tag = ++client->asker.last_tag;
    buffer_init(&frame, &MEMORY_HEAP);
    topology_fetch_encode(&frame, client->tag, &fetch);
    send_to_any(client, &frame, ANSWER_TIMEOUT_US);
    buffer_free(&frame);
}

void
client_refetch(Client *client)
{
    fetch_topology(client);
}

static void
create_bucket(Client *client, const char *name, uint32_t n)
{
    BucketColumn column = {.name = "items", .type = "text"};
    Bucket bucket = {.name = name,
                     .n = n,
                     .key_types = {KEY_TEXT},
                     .key_names = {"id"},
                     .key_count = 1,
                     .columns = &column,
                     .column_count = 1};
    Buffer frame;

    client->state = CLIENT_CREATES;
    client->tag = ++client->asker.last_tag;
    trace(client->world, "c%u asks for bucket \"%s\" of n %u", client->index, name, n);
    buffer_init(&frame, &MEMORY_HEAP);
    bucket_create_encode(&frame, client->tag, &bucket);
    send_to_any(client, &frame, client->must_succeed ? CREATE_PATIENCE_US : CREATE_TIMEOUT_US);
    buffer_free(&frame);
}

static void
create_extra_bucket(Client *client)
{
    World *world = client->world;
    char name[16];

    snprintf(name, sizeof(name), "extra%u", (unsigned)random_below(&world->random, EXTRA_BUCKETS));
    create_bucket(client, name, (uint32_t)random_between(&world->random, 1, world->mix.hosts));
}

/* The keys of the run, known once the bucket has an id. */
static void
add_keys(World *world, const Bucket *bucket)
{
    for (uint32_t i = 0; checker_key_count(world->checker) < world->mix.keys; i++)
    {
        char text[16];
        KeyValue value = {.type = KEY_TEXT};
        Buffer key;

        snprintf(text, sizeof(text), "customer %u", i);
        value.bytes = slice_from_string(text);
        buffer_init(&key, &MEMORY_HEAP);
        keycodec_put(&key, &value);
        checker_add_key(world->checker, bucket->id, buffer_slice(&key), bucket->n);
        buffer_free(&key);
    }
}

void
client_learn(Client *client, const Frame *frame)
{
    TopologyFrame topology;
    Arena arena;
    Topology decoded;

    if (!topology_frame_decode(frame, &topology))
    {
        checker_violation(client->world->checker, "frame",
                          "c%u got a topology frame it cannot read", client->index);
        return;
    }
    if (topology.document.length == 0 || topology.epoch <= client->topology.epoch)
        return;
    arena_init(&arena, &MEMORY_HEAP);
    if (!topology_decode(slice_copy(&arena, topology.document), &arena, &decoded))
    {
        checker_violation(client->world->checker, "frame", "c%u got a topology it cannot read",
                          client->index);
        arena_free(&arena);
        return;
    }
    arena_free(&client->topology_arena);
    client->topology_arena = arena;
    client->topology = decoded;
    client->bucket = topology_bucket_by_name(&client->topology, BUCKET_NAME);
    if (client->bucket != NULL)
        add_keys(client->world, client->bucket);
}

static void
take_bucket_error(Client *client, const Frame *frame)
{
    ErrorFrame error;

    if (!error_decode(frame, &error))
        return;
    trace(client->world, "c%u is refused a bucket: %s", client->index, status_name(error.status));
    if (client->must_succeed && error.status != STATUS_BUCKET_CONFLICT)
        checker_violation(client->world->checker, "L3", "a bucket was refused in calm: %s",
                          status_name(error.status));
}

/* ---- the course of things ---- */

/* The next thing to do. */
static void
go_on(Client *client)
{
    World *world = client->world;

    if (client->topology.epoch == 0)
        fetch_topology(client);
    else if (client->bucket == NULL)
        create_bucket(client, BUCKET_NAME, world->mix.n);
    else if (world->operations_left == 0)
        client->state = CLIENT_IDLE;
    else
    {
        world->operations_left--;
        world->counters.operations++;
        client->must_succeed = world_is_calm(world);
        if (world->phase != WORLD_ONE_DOWN &&
            random_percent(&world->random, world->mix.bucket_percent))
            create_extra_bucket(client);
        else if (random_percent(&world->random, world->mix.scan_percent))
            client_scan_begin(client);
        else
            client_request_begin(client);
    }
}

void
client_rest(Client *client)
{
    World *world = client->world;

    client->state = CLIENT_IDLE;
    client_wake_at(client,
                   world->now_us + 1 + random_below(&world->random, world->mix.think_max_us));
}

void
client_begin_script(Client *client, ClientTaker taker, void *context)
{
    client->state = CLIENT_PLAYS;
    client->taker = taker;
    client->taker_context = context;
}

void
client_end_script(Client *client)
{
    client->state = CLIENT_IDLE;
}

void
client_start(Client *client)
{
    client_rest(client);
}

void
client_wake(World *world, const Event *event)
{
    Client *client = world->clients[event->target];

    if (event->token != client->wake_token)
        return;
    client->wake_us = 0;
    switch (client->state)
    {
    case CLIENT_IDLE:
        go_on(client);
        break;
    case CLIENT_ASKS:
        if (world->now_us >= client->cancel_us)
            client_request_cancel(client);
        else
        {
            request_tick(client->request, client_now_ms(client));
            client_request_pump(client);
        }
        break;
    case CLIENT_CREATES:
        if (client->must_succeed)
            checker_violation(world->checker, "L3", "c%u was not answered about a bucket in calm",
                              client->index);
        fetch_topology(client);
        break;
    case CLIENT_FETCHES:
        fetch_topology(client);
        break;
    case CLIENT_SCANS:
        pager_tick(client->pager, client_now_ms(client));
        client_scan_pump(client);
        break;
    case CLIENT_AUDITS:
        audit_again(client);
        break;
    case CLIENT_PLAYS:
        break;
    }
}

static void
take_answer(Client *client, const Frame *frame)
{
    bool creates = client->state == CLIENT_CREATES;

    if (frame->tag != client->tag)
        return;
    if (frame->type == FRAME_TOPOLOGY)
        client_learn(client, frame);
    else if (creates)
        take_bucket_error(client, frame);
    client->must_succeed = false;
    if (frame->type == FRAME_TOPOLOGY && creates && client->bucket == NULL)
        fetch_topology(client);
    else if (frame->type == FRAME_TOPOLOGY || creates)
        client_rest(client);
}

void
client_frame(World *world, uint32_t index, uint32_t host, Slice bytes)
{
    Client *client = world->clients[index];
    Frame frame;

    trace(world, "c%u is answered by n%u: %s", index, host, trace_frame(world, bytes));
    if (!frame_decode(bytes, &frame))
        checker_violation(world->checker, "frame", "c%u got a frame it cannot read", index);
    else if (client->state == CLIENT_FETCHES || client->state == CLIENT_CREATES)
        take_answer(client, &frame);
    else if (client->state == CLIENT_AUDITS)
        audit_frame(client, host, &frame);
    else if (client->state == CLIENT_PLAYS)
        client->taker(client->taker_context, host, &frame);
    else if (client->state == CLIENT_ASKS || client->state == CLIENT_SCANS)
    {
        for (uint32_t member = 0; member < client->topology.member_count; member++)
        {
            if (client_host_of(client, member) != host)
                continue;
            if (client->state == CLIENT_ASKS)
                (void)request_answer(client->request, member, &frame, client_now_ms(client));
            else
                (void)pager_answer(client->pager, member, &frame, client_now_ms(client));
        }
        pump(client);
    }
}
