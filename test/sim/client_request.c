/* Reads and writes of keys, and what the checker is told about them. */
#include "test/sim/client_private.h"

#include <stdio.h>
#include <string.h>

#include "test/sim/trace.h"
#include "test/sim/world.h"

static void
draw_options(Client *client)
{
    World *world = client->world;
    const Mix *mix = &world->mix;
    uint32_t n = client->bucket->n;
    uint32_t majority = n / 2 + 1;

    client->options = (RequestOptions){
        .quorum = mix->weak_quorums && !client->must_succeed
                      ? (uint32_t)random_between(&world->random, 1, n)
                      : majority,
        .timeout_ms = client->must_succeed ? CLIENT_PATIENCE_MS : mix->request_timeout_ms,
        .hedge_after_ms = mix->hedge_after_ms,
        .seal = true};
    if (mix->owner_quorums && !client->must_succeed)
    {
        client->options.owners = (uint32_t)random_between(&world->random, 0, n);
        client->options.confirms = (uint32_t)random_between(&world->random, 0, n);
        client->options.repair_later = random_percent(&world->random, 50);
    }
    if (mix->avoids_silent)
    {
        memcpy(client->avoid, client->silent, sizeof(client->avoid));
        client->options.avoid = client->avoid;
    }
    client->cancel_us = UINT64_MAX;
    if (!client->must_succeed && random_percent(&world->random, mix->cancel_percent))
        client->cancel_us =
            world->now_us + random_below(&world->random, mix->request_timeout_ms * UINT64_C(500));
}

/* Distinct keys. */
static void
draw_keys(Client *client)
{
    World *world = client->world;
    uint32_t keys = world->mix.keys;
    uint32_t count = (uint32_t)random_between(&world->random, 1, world->mix.batch_max);
    uint32_t first = (uint32_t)random_below(&world->random, keys);

    client->item_count = count < keys ? count : keys;
    for (uint32_t i = 0; i < client->item_count; i++)
        client->items[i] = (ClientItem){.key = (first + i) % keys, .put = CHECKER_NONE};
}

static Slice
key_bytes(const Client *client, uint32_t key)
{
    return checker_key(client->world->checker, key);
}

/* ---- reads ---- */

/* So many answers are of owners, where no fallback counts. */
static uint32_t
owners_read(const Client *client)
{
    const RequestOptions *options = &client->options;

    return options->owners > options->quorum ? options->owners : options->quorum;
}

static void
begin_read(Client *client)
{
    Slice *keys = ARENA_ARRAY(&client->arena, Slice, client->item_count);

    for (uint32_t i = 0; i < client->item_count; i++)
    {
        ClientItem *item = &client->items[i];

        keys[i] = key_bytes(client, item->key);
        item->mark = checker_read_begin(client->world->checker, item->key, owners_read(client));
        trace(client->world, "c%u reads k%u, r %u", client->index, item->key,
              client->options.quorum);
    }
    client->request =
        request_read(&client->arena, &client->asker, &client->topology, client->bucket,
                     &client->options, keys, client->item_count, client_now_ms(client));
}

static void
remember(Client *client, uint32_t number, const RequestReadResult *result, const Seen *seen,
         const VClock *clock)
{
    ClientKey *key = &client->keys[number];

    key->has_context = result->context.length > 0;
    key->past = seen->past;
    buffer_reset(&key->sealed);
    buffer_put(&key->sealed, result->context.data, result->context.length);
    arena_reset(&key->arena);
    key->clock.count = clock->count;
    key->clock.entries = arena_copy(&key->arena, clock->entries, sizeof(Dot) * clock->count);
}

static void
end_read(Client *client, const ClientItem *item, const RequestReadResult *result)
{
    World *world = client->world;
    ReadShown shown = {
        .object = result->object, .context = result->context, .answered = result->answered};
    Seen seen;
    VClock clock;

    trace(world, "c%u has read k%u: %s %s", client->index, item->key, status_name(result->status),
          trace_object(world, result->object));
    if (result->status != STATUS_OK)
    {
        world->counters.failed_operations++;
        if (client->must_succeed)
            checker_violation(world->checker, "L3", "a read of k%u failed in calm: %s", item->key,
                              status_name(result->status));
        return;
    }
    if (result->object.length > 0 && result->context.length == 0)
        checker_violation(world->checker, "S2", "a read of k%u came without a context", item->key);
    checker_read_end(world->checker, &item->mark, &shown, &client->arena, &seen, &clock);
    if (checker_verdict(world->checker) == NULL)
        remember(client, item->key, result, &seen, &clock);
}

/* ---- writes ---- */

/* The versions of one key's put and the context under which they are written. */
static bool
fill_write_item(Client *client, ClientItem *item, WriteItem *write)
{
    World *world = client->world;
    Random *random = &world->random;
    const ClientKey *known = &client->keys[item->key];
    const ClientKey *other = &client->keys[(item->key + 1) % world->mix.keys];
    bool blind = !known->has_context || random_percent(random, world->mix.blind_percent);
    uint32_t count = random_percent(random, 85) ? 1 : (uint32_t)random_between(random, 2, 3);
    uint32_t tombstones = random_percent(random, world->mix.delete_percent) ? 1 : 0;

    item->foreign = random_percent(random, 2) && other != known && other->has_context;
    if (item->foreign)
        blind = true;
    item->put = checker_write_begin(world->checker, item->key, blind ? NULL : &known->past,
                                    blind ? NULL : &known->clock, count, tombstones);
    if (item->put == CHECKER_NONE)
        return false;
    *write = (WriteItem){.key = key_bytes(client, item->key),
                         .values = ARENA_ARRAY(&client->arena, PutValue, count),
                         .value_count = count};
    if (!blind)
        write->context = slice_copy(&client->arena, buffer_slice(&known->sealed));
    if (item->foreign)
        write->context = slice_copy(&client->arena, buffer_slice(&other->sealed));
    for (uint32_t i = 0; i < count; i++)
        write->values[i] = checker_put_value(world->checker, item->put, i, &client->arena);
    trace(world, "c%u writes %s to k%u, %u values, w %u, %s", client->index,
          trace_version(world, &write->values[0].request), item->key, count, client->options.quorum,
          item->foreign ? "with another key's context"
          : blind       ? "blind"
                        : "with a context");
    return true;
}

static void
begin_write(Client *client)
{
    WriteItem *writes = ARENA_ARRAY(&client->arena, WriteItem, client->item_count);
    uint32_t count = 0;

    for (uint32_t i = 0; i < client->item_count; i++)
    {
        ClientItem item = client->items[i];

        if (!fill_write_item(client, &item, &writes[count]))
            continue;
        client->items[count++] = item;
    }
    client->item_count = count;
    client->request =
        request_write(&client->arena, &client->asker, &client->topology, client->bucket,
                      &client->options, writes, count, client_now_ms(client));
}

/* The members that have a write, bits by place, are what it asked for. None is in a zone, so each
 * is one of its own. */
static void
check_acked(Client *client, const ClientItem *item, uint32_t acked)
{
    const RequestOptions *options = &client->options;
    uint32_t zones = (uint32_t)__builtin_popcount(acked);
    uint32_t owners =
        (uint32_t)__builtin_popcount(acked & ((UINT32_C(1) << client->bucket->n) - 1));

    if (owners < options->owners)
        checker_violation(client->world->checker, "S12", "a write of k%u reached %u owners of %u",
                          item->key, owners, options->owners);
    if (zones < options->confirms)
        checker_violation(client->world->checker, "S12", "a write of k%u reached %u zones of %u",
                          item->key, zones, options->confirms);
}

static void
end_write(Client *client, const ClientItem *item, const RequestWriteResult *result)
{
    World *world = client->world;

    trace(world, "c%u's write of k%u ends: %s, acked by %x", client->index, item->key,
          status_name(result->status), result->acked);
    checker_write_end(world->checker, item->put, client->options.quorum, result->status,
                      result->acked);
    if (result->status != STATUS_OK)
        world->counters.failed_operations++;
    else
        check_acked(client, item, result->acked);
    if (item->foreign && result->status == STATUS_OK)
        checker_violation(world->checker, "S10",
                          "a write of k%u was taken with another key's context", item->key);
    /* A cap may refuse it, and leave it unknown when an owner that is silent was asked before. */
    if (client->must_succeed && world->mix.siblings_max == 0 && !item->foreign &&
        result->status != STATUS_OK)
        checker_violation(world->checker, "L3", "a write of k%u failed in calm: %s", item->key,
                          status_name(result->status));
    if (random_percent(&world->random, 50))
        client->keys[item->key].has_context = false;
}

/* ---- both ---- */

void
client_request_begin(Client *client)
{
    World *world = client->world;

    client->state = CLIENT_ASKS;
    client->begun_us = world->now_us;
    arena_reset(&client->arena);
    draw_options(client);
    draw_keys(client);
    client->is_write = random_percent(&world->random, world->mix.write_percent);
    if (client->is_write)
        begin_write(client);
    else
        begin_read(client);
    client_request_pump(client);
}

/* The checker counts how often a write was sent. */
static void
note_sent(Client *client, Slice bytes)
{
    World *world = client->world;
    Arena arena;
    Frame frame;
    WriteFrame write;

    if (!client->is_write)
        return;
    arena_init(&arena, &MEMORY_HEAP);
    if (frame_decode(bytes, &frame) && write_decode(&frame, &arena, &write))
    {
        world->counters.retries += write.retry;
        for (uint32_t i = 0; i < write.item_count; i++)
        {
            for (uint32_t v = 0; v < write.items[i].value_count; v++)
                checker_write_sent(world->checker, &write.items[i].values[v].request);
        }
    }
    arena_free(&arena);
}

static void
finish(Client *client)
{
    bool failed = false;

    for (uint32_t i = 0; i < client->item_count; i++)
    {
        if (client->is_write)
        {
            const RequestWriteResult *result = &request_write_results(client->request)[i];

            failed = failed || result->status != STATUS_OK;
            end_write(client, &client->items[i], result);
        }
        else
        {
            const RequestReadResult *result = &request_read_results(client->request)[i];

            failed = failed || result->status != STATUS_OK;
            end_read(client, &client->items[i], result);
        }
    }
    for (uint32_t member = 0; member < client->topology.member_count; member++)
        client->silent[member] = request_was_silent(client->request, member);
    request_end(client->request);
    client->request = NULL;
    client->must_succeed = false;
    client_rest(client);
    if (failed && random_percent(&client->world->random, 30))
        client_refetch(client);
}

void
client_request_pump(Client *client)
{
    uint32_t member;
    Slice frame;
    uint64_t wake_us;

    while (request_next_send(client->request, &member, &frame))
    {
        trace(client->world, "c%u asks n%u: %s", client->index, client_host_of(client, member),
              trace_frame(client->world, frame));
        note_sent(client, frame);
        client_send(client, client_host_of(client, member), frame);
    }
    if (request_done(client->request))
    {
        finish(client);
        return;
    }
    wake_us = request_wake_ms(client->request) * 1000;
    if (client->cancel_us < wake_us)
        wake_us = client->cancel_us;
    client_wake_at(client, wake_us);
}

void
client_request_cancel(Client *client)
{
    World *world = client->world;

    trace(world, "c%u goes away", client->index);
    for (uint32_t i = 0; client->is_write && i < client->item_count; i++)
        checker_write_end(world->checker, client->items[i].put, client->options.quorum,
                          STATUS_UNKNOWN, 0);
    client_hang_up(client);
    request_end(client->request);
    client->request = NULL;
    client_rest(client);
}
