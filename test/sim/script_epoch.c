/* What nodes decide of the cluster, and who hears whom while they do. */
#include "test/sim/script_private.h"
#include "test/sim/trace.h"

StatusCode
script_try_bucket(Script *script, uint32_t host, const char *name, uint32_t n)
{
    BucketColumn column = {.name = "items", .type = "text"};
    Bucket bucket = {.name = name,
                     .n = n,
                     .key_types = {KEY_TEXT},
                     .key_names = {"id"},
                     .key_count = 1,
                     .columns = &column,
                     .column_count = 1};
    ErrorFrame error;
    Buffer frame;

    if (script_is_over(script))
        return STATUS_UNKNOWN;
    buffer_init(&frame, &MEMORY_HEAP);
    script->client->tag = ++script->client->asker.last_tag;
    bucket_create_encode(&frame, script->client->tag, &bucket);
    script_ask(script, host, &frame);
    buffer_free(&frame);
    if (script_is_over(script) || script->answer.type == FRAME_TOPOLOGY)
        return STATUS_OK;
    return error_decode(&script->answer, &error) ? error.status : STATUS_BAD_FRAME;
}

void
script_make_bucket(Script *script, uint32_t host, const char *name, uint32_t n)
{
    if (script_try_bucket(script, host, name, n) != STATUS_OK)
        script_fail(script, "the nodes that are up do not make a bucket");
}

bool
script_is_filling(const Script *script, uint32_t host)
{
    return engine_is_refilling(script_host(script, host)->engine);
}

void
script_part(Script *script, uint32_t a, uint32_t b, bool parted)
{
    uint32_t one = script_host(script, a)->index;
    uint32_t other = script_host(script, b)->index;

    if (script_is_over(script))
        return;
    trace(script->world, "n%u and n%u %s", one, other,
          parted ? "do not hear each other" : "hear each other again");
    (parted ? network_block : network_unblock)(script->world, one, other);
    (parted ? network_block : network_unblock)(script->world, other, one);
}

/* ---- partitions that move ---- */

/* The document of the next epoch, by which the two are exchanged in the target. */
static void
encode_move(Script *script, Buffer *document, uint32_t leaves, uint32_t enters, TopologyStep step)
{
    const Topology *topology = engine_topology(script_host(script, 0)->engine);
    uint16_t leaver =
        (uint16_t)topology_member(topology, &script_host(script, leaves)->config.host.id);
    uint16_t comer =
        (uint16_t)topology_member(topology, &script_host(script, enters)->config.host.id);
    Topology next = *topology;

    next.epoch++;
    next.target = ARENA_ARRAY(&script->arena, uint16_t, topology->partitions);
    next.steps = ARENA_ARRAY(&script->arena, uint8_t, topology->partitions);
    next.changed = ARENA_ARRAY(&script->arena, uint64_t, topology->partitions);
    for (uint32_t i = 0; i < topology->partitions; i++)
    {
        uint16_t claimed = topology->claim[i];

        next.target[i] = claimed;
        if (claimed == leaver || claimed == comer)
            next.target[i] = claimed == leaver ? comer : leaver;
        next.steps[i] = (uint8_t)step;
        next.changed[i] = next.epoch;
    }
    topology_encode(document, &next);
}

static uint64_t
epoch_of(const Script *script, uint32_t host)
{
    return engine_topology(script_host(script, host)->engine)->epoch;
}

static bool
all_use_one(const Script *script, uint32_t host)
{
    for (uint32_t i = 0; i < script->world->mix.hosts; i++)
    {
        if (epoch_of(script, i) != epoch_of(script, host))
            return false;
    }
    return true;
}

/* Said by the host that enters to one of the others, as if it were chosen: that one's word brings
 * it to all. */
void
script_move(Script *script, uint32_t leaves, uint32_t enters, TopologyStep step)
{
    World *world = script->world;
    PaxosFrame chosen = {.ballot = {.round = 1}};
    uint64_t epoch;
    Buffer document;
    Buffer frame;

    if (script_is_over(script))
        return;
    buffer_init(&document, &MEMORY_HEAP);
    buffer_init(&frame, &MEMORY_HEAP);
    epoch = epoch_of(script, 0) + 1;
    encode_move(script, &document, leaves, enters, step);
    chosen.epoch = epoch;
    chosen.document = buffer_slice(&document);
    paxos_frame_encode(&frame, FRAME_CHOSEN, 0, &chosen);
    for (uint32_t i = 1; i < world->mix.hosts; i++)
        network_send(
            world,
            network_link(world, script_host(script, 0)->index, script_host(script, i)->index),
            buffer_slice(&frame));
    network_send(world,
                 network_link(world, script_host(script, 1)->index, script_host(script, 0)->index),
                 buffer_slice(&frame));
    buffer_free(&frame);
    buffer_free(&document);
    script_wait_ms(script, 100);
    script_await(script, all_use_one, 0, "a topology does not come to all");
    if (!script_is_over(script) && epoch_of(script, 0) != epoch)
        script_fail(script, "a topology is not taken");
}

void
script_learn(Script *script, uint32_t host)
{
    TopologyFetch fetch = {.have_epoch = script->client->topology.epoch};
    World *world = script->world;
    Buffer frame;

    if (script_is_over(script))
        return;
    buffer_init(&frame, &MEMORY_HEAP);
    script->client->tag = ++script->client->asker.last_tag;
    topology_fetch_encode(&frame, script->client->tag, &fetch);
    script_ask(script, host, &frame);
    buffer_free(&frame);
    for (uint32_t i = 0; i <= world->mix.clients && !script_is_over(script); i++)
        client_learn(world->clients[i], &script->answer);
}

bool
script_holds(const Script *script, uint32_t host)
{
    return script_durable(script, host).length > 0;
}

void
script_await_held(Script *script, uint32_t host)
{
    script_await(script, script_holds, host, "an object does not come to a disk");
}
