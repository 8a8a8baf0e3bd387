/* What befalls disks, and what owners compare of what is on them. */
#include "test/sim/script_private.h"
#include "test/sim/trace.h"

enum
{
    HOUR_MS = 3600000,
    TOLD_MS = 1000,
    REAP_MS = 100,
    ROUND_MS = 2000 /* longer than a round of reaping takes */
};

void
script_stop_disk(Script *script, uint32_t host)
{
    sim_store_set_stuck(script_host(script, host)->store);
}

void
script_fill_disk(Script *script, uint32_t host, bool full)
{
    sim_store_set_full(script_host(script, host)->store, full);
    script_wait_ms(script, TOLD_MS);
}

void
script_forget(Script *script, uint32_t host)
{
    script_settle(script);
    trace(script->world, "%s's record is gone", script_host(script, host)->name);
    (void)sim_store_forget(script_host(script, host)->store, true);
}

void
script_wipe(Script *script, uint32_t host)
{
    trace(script->world, "%s's disk is wiped", script_host(script, host)->name);
    (void)sim_store_wipe(script_host(script, host)->store);
}

static bool
is_filled(const Script *script, uint32_t host)
{
    return !engine_is_refilling(script_host(script, host)->engine);
}

void
script_await_filled(Script *script, uint32_t host)
{
    script_await(script, is_filled, host, "a wiped disk is not filled");
}

SimStore *
script_copy_disk(Script *script, uint32_t host)
{
    SimStore *copy = sim_store_new(script->world, script_host(script, host)->index);

    script_settle(script);
    sim_store_copy(copy, script_host(script, host)->store);
    script->copies[script->copy_count++] = copy;
    return copy;
}

void
script_put_disk(Script *script, uint32_t host, const SimStore *copy)
{
    script_settle(script);
    trace(script->world, "%s's disk becomes a copy", script_host(script, host)->name);
    if (script_host(script, host)->engine == NULL)
        sim_store_copy(script_host(script, host)->store, copy);
    else
        sim_store_copy_records(script_host(script, host)->store, copy);
}

void
script_back_up(Script *script, uint32_t host)
{
    script_settle(script);
    host_back_up(script->world, script_host(script, host)->index);
}

void
script_restore(Script *script, uint32_t host)
{
    if (!script_is_over(script))
        host_restore(script->world, script_host(script, host)->index, true);
}

void
script_damage(Script *script, uint32_t host)
{
    script_settle(script);
    trace(script->world, "%s's record cannot be read any more", script_host(script, host)->name);
    (void)sim_store_damage(script_host(script, host)->store, 100);
}

StatusCode
script_try_scan(Script *script, uint32_t host, bool digest_only)
{
    const Client *client = script->client;
    ScanFrame scan = {.epoch = client->topology.epoch,
                      .bucket_id = client->bucket->id,
                      .digest_only = digest_only};
    uint64_t position;
    ErrorFrame error;
    ScanReply reply;
    Buffer frame;

    (void)topology_position(client->bucket, checker_key(script->world->checker, KEY), &position);
    scan.partition = ring_partition(position, client->topology.partitions);
    buffer_init(&frame, &MEMORY_HEAP);
    script->client->tag = ++script->client->asker.last_tag;
    scan_encode(&frame, script->client->tag, &scan);
    script_ask(script, host, &frame);
    buffer_free(&frame);
    if (script_is_over(script))
        return STATUS_UNKNOWN;
    if (script->answer.type == FRAME_SCAN_REPLY &&
        scan_reply_decode(&script->answer, &script->arena, &reply))
        return reply.status;
    return error_decode(&script->answer, &error) ? error.status : STATUS_BAD_FRAME;
}

/* ---- compares ---- */

static bool
is_answered(const Script *script, uint32_t host)
{
    (void)host;
    return script->answered;
}

static void
send_repair(Script *script, uint32_t host, uint32_t other)
{
    RepairFrame repair = {.epoch = script->client->topology.epoch,
                          .is_of_member = true,
                          .member = script_host(script, other)->config.host.id};
    Buffer frame;

    buffer_init(&frame, &MEMORY_HEAP);
    script->client->tag = ++script->client->asker.last_tag;
    repair_encode(&frame, script->client->tag, &repair);
    script_send(script, host, &frame);
    buffer_free(&frame);
}

void
script_begin_compare(Script *script, uint32_t host, uint32_t other)
{
    if (!script_is_over(script))
        send_repair(script, host, other);
}

void
script_compare(Script *script, uint32_t host, uint32_t other)
{
    RepairReply reply;

    if (script_is_over(script))
        return;
    send_repair(script, host, other);
    script_await(script, is_answered, host, "a node does not answer");
    if (!script_is_over(script) &&
        (!repair_reply_decode(&script->answer, &reply) || reply.queued == 0))
        script_fail(script, "nothing is to be compared");
}

static bool
first_two_are_same(const Script *script, uint32_t host)
{
    (void)host;
    return slice_equal(script_durable(script, 0), script_durable(script, 1));
}

void
script_await_two_same(Script *script)
{
    script_await(script, first_two_are_same, 0, "two owners do not become the same");
}

void
script_expect_two_differ(Script *script)
{
    script_settle(script);
    if (!script_is_over(script) && first_two_are_same(script, 0))
        script_fail(script, "two owners do not differ");
}

uint64_t
script_differences(const Script *script)
{
    const World *world = script->world;
    uint64_t count = 0;

    for (uint32_t i = 0; i < world->mix.hosts; i++)
    {
        if (world->hosts[i].engine != NULL)
            count += engine_counters(world->hosts[i].engine).antientropy.differences;
    }
    return count;
}

void
script_refuse_hints(Script *script)
{
    World *world = script->world;

    for (uint32_t i = 0; i < world->mix.hosts; i++)
    {
        world->hosts[i].config.hints_max_bytes = 0;
        engine_set_limits(world->hosts[i].engine, &world->hosts[i].config);
    }
}

void
script_compare_hourly(Script *script)
{
    World *world = script->world;

    for (uint32_t i = 0; i < world->mix.hosts; i++)
    {
        world->hosts[i].config.repair_interval_ms = HOUR_MS;
        engine_set_limits(world->hosts[i].engine, &world->hosts[i].config);
    }
}

/* ---- reaping ---- */

void
script_reap_often(Script *script)
{
    World *world = script->world;

    for (uint32_t i = 0; i < world->mix.hosts; i++)
    {
        world->hosts[i].config.reap_interval_ms = REAP_MS;
        if (world->hosts[i].engine != NULL)
            engine_set_limits(world->hosts[i].engine, &world->hosts[i].config);
    }
}

void
script_reap_no_more(Script *script)
{
    for (uint32_t i = 0; i < script->world->mix.hosts; i++)
        host_reap_no_more(script->world, i);
    script_wait_ms(script, ROUND_MS);
}

static bool
owners_have_nothing(const Script *script, uint32_t host)
{
    (void)host;
    for (uint32_t i = 0; i < script->world->mix.n; i++)
    {
        if (script_durable(script, i).length > 0)
            return false;
    }
    return true;
}

void
script_await_reaped(Script *script)
{
    script_await(script, owners_have_nothing, 0, "a tombstone is not reaped");
}

void
script_expect_kept(Script *script, uint32_t host)
{
    if (!script_is_over(script) && script_durable(script, host).length == 0)
        script_fail(script, "a tombstone is gone that somebody has not seen");
}

void
script_lose_tree(Script *script, uint32_t host)
{
    trace(script->world, "%s's disk loses a row of a tree", script_host(script, host)->name);
    (void)sim_store_damage_tree(script_host(script, host)->store);
}
