#include "test/sim/script.h"

#include <stdio.h>
#include <string.h>

#include "test/sim/client_private.h"
#include "test/sim/trace.h"
#include "test/sim/world.h"

enum
{
    STEP_DEADLINE_US = 20000000,
    ASK_TIMEOUT_MS = 4000,
    SENT_WITHIN_MS = 100,
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
};

void
script_fail(Script *script, const char *what)
{
    checker_violation(script->world->checker, "scenario", "%s: %s", script->scenario->name, what);
}

/* The host that a scenario means. */
static Host *
host_of(const Script *script, uint32_t place)
{
    return &script->world->hosts[script->nodes[place]];
}

static bool
is_over(const Script *script)
{
    return checker_verdict(script->world->checker) != NULL;
}

/* ---- time ---- */

typedef bool (*Awaited)(const Script *script, uint32_t host);

/* Lives on until what is awaited is so. */
static void
await(Script *script, Awaited awaited, uint32_t host, const char *what)
{
    uint64_t deadline_us = script->world->now_us + STEP_DEADLINE_US;

    while (!is_over(script) && !awaited(script, host))
    {
        if (script->world->now_us > deadline_us || !world_step(script->world))
        {
            char text[128];
            const char *missing = world_missing(script->world, text);

            trace(script->world, "awaited in vain; %s", missing != NULL ? missing : "all are up");
            script_fail(script, what);
        }
    }
}

void
script_wait_ms(Script *script, uint32_t ms)
{
    uint64_t until_us = script->world->now_us + ms * UINT64_C(1000);

    while (!is_over(script) && script->world->now_us < until_us && world_step(script->world))
        ;
}

static bool
disks_are_settled(const Script *script, uint32_t but)
{
    for (uint32_t i = 0; i < script->world->mix.hosts; i++)
    {
        if (i != but && !sim_store_is_settled(script->world->hosts[i].store))
            return false;
    }
    return true;
}

void
script_settle(Script *script)
{
    await(script, disks_are_settled, CHECKER_NONE, "the disks do not come to rest");
}

void
script_settle_others(Script *script, uint32_t host)
{
    await(script, disks_are_settled, host_of(script, host)->index, "the disks do not come to rest");
}

static Slice
durable_of(const Script *script, uint32_t host)
{
    return sim_store_durable(host_of(script, host)->store, client_bucket_id(script->client),
                             checker_key(script->world->checker, KEY));
}

static bool
disks_are_same(const Script *script, uint32_t host)
{
    (void)host;
    for (uint32_t i = 1; i < script->world->mix.n; i++)
    {
        if (!slice_equal(durable_of(script, 0), durable_of(script, i)))
            return false;
    }
    return disks_are_settled(script, CHECKER_NONE);
}

void
script_await_same(Script *script)
{
    await(script, disks_are_same, 0, "the disks do not become the same");
}

static bool
all_are_up(const Script *script, uint32_t host)
{
    char text[128];

    (void)host;
    return world_missing(script->world, text) == NULL;
}

static bool
others_know(const Script *script, uint32_t gone)
{
    const World *world = script->world;

    for (uint32_t i = 0; i < world->mix.hosts; i++)
    {
        if (i != gone && host_runs(&world->hosts[i]) && world->hosts[i].up_since_us[gone] != 0)
            return false;
    }
    return true;
}

/* ---- the client ---- */

static bool
is_answered(const Script *script, uint32_t host)
{
    (void)host;
    return script->answered;
}

static void
take_frame(void *context, uint32_t host, const Frame *frame)
{
    Script *script = context;

    if (script->answered || host != script->asked || frame->tag != script->client->tag)
        return;
    script->answer = frame_copy(&script->arena, frame);
    script->answered = true;
}

static void
send_frame(Script *script, uint32_t host, const Buffer *frame)
{
    script->asked = host_of(script, host)->index;
    script->answered = false;
    trace(script->world, "the script asks n%u: %s", script->asked,
          trace_frame(script->world, buffer_slice(frame)));
    client_send(script->client, script->asked, buffer_slice(frame));
}

static void
ask(Script *script, uint32_t host, const Buffer *frame)
{
    send_frame(script, host, frame);
    await(script, is_answered, host, "a node does not answer");
}

static StatusCode
status_of_error(const Script *script)
{
    ErrorFrame error;

    return error_decode(&script->answer, &error) ? error.status : STATUS_BAD_FRAME;
}

static void
encode_write(Script *script, Buffer *frame, uint32_t w, uint32_t put, const Shown *context,
             bool retry)
{
    const Client *client = script->client;
    Checker *checker = script->world->checker;
    PutValue value = checker_put_value(checker, put, 0, &script->arena);
    WriteItem item = {.key = checker_key(checker, KEY), .values = &value, .value_count = 1};
    WriteFrame write = {.epoch = client->topology.epoch,
                        .bucket_id = client->bucket->id,
                        .w = w,
                        .timeout_ms = ASK_TIMEOUT_MS,
                        .retry = retry,
                        .items = &item,
                        .item_count = 1};

    if (context != NULL)
        item.context = context->sealed;
    checker_write_sent(checker, &value.request, retry);
    buffer_init(frame, &MEMORY_HEAP);
    write_encode(frame, ++script->client->asker.last_tag, &write);
    script->client->tag = script->client->asker.last_tag;
}

static WriteResult
send_write(Script *script, uint32_t host, uint32_t w, uint32_t put, const Shown *context,
           bool retry)
{
    WriteReply reply;
    Buffer frame;

    encode_write(script, &frame, w, put, context, retry);
    ask(script, host, &frame);
    buffer_free(&frame);
    if (is_over(script))
        return (WriteResult){.status = STATUS_UNKNOWN};
    if (script->answer.type != FRAME_WRITE_REPLY ||
        !write_reply_decode(&script->answer, &script->arena, &reply) || reply.item_count != 1)
        return (WriteResult){.status = status_of_error(script)};
    return reply.items[0];
}

static uint32_t
begin_version(Script *script, const Shown *context, bool tombstone)
{
    return checker_write_begin(script->world->checker, KEY,
                               context != NULL ? &context->seen.past : NULL,
                               context != NULL ? &context->clock : NULL, 1, tombstone);
}

uint32_t
script_send_put(Script *script, uint32_t host, uint32_t w, const Shown *context)
{
    uint32_t put = begin_version(script, context, false);
    Buffer frame;

    encode_write(script, &frame, w, put, context, false);
    send_frame(script, host, &frame);
    buffer_free(&frame);
    script_wait_ms(script, SENT_WITHIN_MS);
    return put;
}

static StatusCode
write_version(Script *script, uint32_t host, uint32_t w, const Shown *context, bool tombstone,
              uint32_t *put)
{
    Checker *checker = script->world->checker;

    *put = begin_version(script, context, tombstone);

    WriteResult result = send_write(script, host, w, *put, context, false);

    if (!is_over(script))
        checker_write_end(checker, *put, w, result.status, result.acked);
    return result.status;
}

StatusCode
script_try_put(Script *script, uint32_t host, uint32_t w, const Shown *context, uint32_t *put)
{
    return write_version(script, host, w, context, false, put);
}

static void
must_be_ok(Script *script, StatusCode status, const char *what)
{
    char text[96];

    if (status == STATUS_OK)
        return;
    snprintf(text, sizeof(text), "%s failed: %s", what, status_name(status));
    script_fail(script, text);
}

uint32_t
script_put(Script *script, uint32_t host, uint32_t w, const Shown *context)
{
    uint32_t put;

    must_be_ok(script, write_version(script, host, w, context, false, &put), "a put");
    return put;
}

uint32_t
script_delete(Script *script, uint32_t host, uint32_t w, const Shown *context)
{
    uint32_t put;

    must_be_ok(script, write_version(script, host, w, context, true, &put), "a delete");
    return put;
}

StatusCode
script_try_retry(Script *script, uint32_t host, uint32_t w, uint32_t put, const Shown *context)
{
    WriteResult result = send_write(script, host, w, put, context, true);

    if (result.status == STATUS_OK && !is_over(script))
        checker_write_end(script->world->checker, put, w, result.status, result.acked);
    return result.status;
}

void
script_retry(Script *script, uint32_t host, uint32_t w, uint32_t put, const Shown *context)
{
    must_be_ok(script, script_try_retry(script, host, w, put, context), "a retry");
}

/* Asks for the key in that mode; *item is the answer's. */
static StatusCode
send_read(Script *script, uint32_t host, ReadMode mode, uint32_t r, ReadItem *item)
{
    const Client *client = script->client;
    Slice key = checker_key(script->world->checker, KEY);
    ReadFrame read = {.epoch = client->topology.epoch,
                      .bucket_id = client->bucket->id,
                      .mode = mode,
                      .r = r,
                      .timeout_ms = ASK_TIMEOUT_MS,
                      .seal = true,
                      .keys = &key,
                      .key_count = 1};
    ReadReply reply;
    Buffer frame;

    *item = (ReadItem){0};
    buffer_init(&frame, &MEMORY_HEAP);
    read_encode(&frame, ++script->client->asker.last_tag, &read);
    script->client->tag = script->client->asker.last_tag;
    ask(script, host, &frame);
    buffer_free(&frame);
    if (is_over(script))
        return STATUS_UNKNOWN;
    if (script->answer.type != FRAME_READ_REPLY ||
        !read_reply_decode(&script->answer, &script->arena, &reply) || reply.item_count != 1)
        return status_of_error(script);
    *item = reply.items[0];
    return item->status;
}

const Shown *
script_read(Script *script, uint32_t host, uint32_t r)
{
    Checker *checker = script->world->checker;
    ReadMark mark = checker_read_begin(checker, KEY, r);
    Shown *shown = ARENA_NEW(&script->arena, Shown);
    ReadShown given;
    ReadItem item;
    StatusCode status = send_read(script, host, READ_COORDINATED, r, &item);

    if (is_over(script))
        return shown;
    must_be_ok(script, status, "a read");
    given = (ReadShown){.object = item.object, .context = item.context, .answered = item.held};
    checker_read_end(checker, &mark, &given, &script->arena, &shown->seen, &shown->clock);
    shown->sealed = item.context;
    return shown;
}

StatusCode
script_try_read(Script *script, uint32_t host)
{
    ReadItem item;

    return send_read(script, host, READ_FULL, 1, &item);
}

StatusCode
script_try_quorum(Script *script, uint32_t host, uint32_t r)
{
    ReadItem item;

    return send_read(script, host, READ_COORDINATED, r, &item);
}

void
script_expect(Script *script, const Shown *shown, uint32_t count, const uint32_t *puts)
{
    VersionSet wanted = {0};

    /* Each put has one version and there is one key, so that numbers of puts are those of versions.
     */
    for (uint32_t i = 0; i < count; i++)
        version_set_add(&wanted, puts[i]);
    if (version_set_first_outside(&wanted, &shown->seen.siblings) != VERSION_SET_MAX)
        script_fail(script, "a sibling is missing");
    else if (version_set_first_outside(&shown->seen.siblings, &wanted) != VERSION_SET_MAX)
        script_fail(script, "a sibling is there that should not be");
}

void
script_expect_extras(Script *script, uint32_t retried, uint32_t late)
{
    CheckerCounters counters = checker_counters(script->world->checker);

    if (counters.retry_extras != retried || counters.late_extras != late)
        script_fail(script, "extra siblings were not counted as they are");
}

/* ---- nodes and disks ---- */

void
script_crash(Script *script, uint32_t host)
{
    uint32_t node = host_of(script, host)->index;

    if (is_over(script))
        return;
    host_crash(script->world, node);
    sim_store_calm(host_of(script, host)->store);
    network_hang_up(script->world, network_link(script->world, script->client->endpoint, node));
    await(script, others_know, node, "a node that is gone is held for up");
}

void
script_boot(Script *script, uint32_t host)
{
    if (is_over(script))
        return;
    host_boot(script->world, host_of(script, host)->index);
    await(script, all_are_up, host, "a node that is back is held for down");
}

void
script_pause(Script *script, uint32_t host)
{
    host_pause(script->world, host_of(script, host)->index);
}

void
script_resume(Script *script, uint32_t host)
{
    host_resume(script->world, host_of(script, host)->index);
    await(script, all_are_up, host, "a node that goes on is held for down");
}

static bool
running_are_up(const Script *script, uint32_t host)
{
    const World *world = script->world;

    (void)host;
    for (uint32_t i = 0; i < world->mix.hosts; i++)
    {
        for (uint32_t j = 0; j < world->mix.hosts; j++)
        {
            if (host_runs(&world->hosts[i]) && host_runs(&world->hosts[j]) &&
                world->hosts[i].up_since_us[j] == 0)
                return false;
        }
    }
    return true;
}

void
script_boot_alone(Script *script, uint32_t host)
{
    if (is_over(script))
        return;
    host_boot(script->world, host_of(script, host)->index);
    await(script, running_are_up, host, "a node that is back is held for down");
}

void
script_boot_unawaited(Script *script, uint32_t host)
{
    if (!is_over(script))
        host_boot(script->world, host_of(script, host)->index);
}

void
script_restart_all(Script *script)
{
    if (is_over(script))
        return;
    for (uint32_t i = 0; i < script->world->mix.hosts; i++)
        host_crash(script->world, i);
    client_hang_up(script->client);
    for (uint32_t i = 0; i < script->world->mix.hosts; i++)
        host_boot(script->world, i);
    await(script, all_are_up, 0, "nodes that are back are held for down");
}

void
script_stop_disk(Script *script, uint32_t host)
{
    sim_store_set_stuck(host_of(script, host)->store);
}

void
script_forget(Script *script, uint32_t host)
{
    script_settle(script);
    trace(script->world, "%s's record is gone", host_of(script, host)->name);
    (void)sim_store_forget(host_of(script, host)->store, true);
}

void
script_wipe(Script *script, uint32_t host)
{
    trace(script->world, "%s's disk is wiped", host_of(script, host)->name);
    (void)sim_store_wipe(host_of(script, host)->store);
}

static bool
is_filled(const Script *script, uint32_t host)
{
    return !engine_is_refilling(host_of(script, host)->engine);
}

void
script_await_filled(Script *script, uint32_t host)
{
    await(script, is_filled, host, "a wiped disk is not filled");
}

SimStore *
script_copy_disk(Script *script, uint32_t host)
{
    SimStore *copy = sim_store_new(script->world, host_of(script, host)->index);

    script_settle(script);
    sim_store_copy(copy, host_of(script, host)->store);
    script->copies[script->copy_count++] = copy;
    return copy;
}

void
script_put_disk(Script *script, uint32_t host, const SimStore *copy)
{
    script_settle(script);
    trace(script->world, "%s's disk becomes a copy", host_of(script, host)->name);
    if (host_of(script, host)->engine == NULL)
        sim_store_copy(host_of(script, host)->store, copy);
    else
        sim_store_copy_records(host_of(script, host)->store, copy);
}

void
script_back_up(Script *script, uint32_t host)
{
    script_settle(script);
    host_back_up(script->world, host_of(script, host)->index);
}

void
script_restore(Script *script, uint32_t host)
{
    if (!is_over(script))
        host_restore(script->world, host_of(script, host)->index, true);
}

void
script_damage(Script *script, uint32_t host)
{
    script_settle(script);
    trace(script->world, "%s's record cannot be read any more", host_of(script, host)->name);
    (void)sim_store_damage(host_of(script, host)->store, 100);
}

Slice
script_object(Script *script, uint32_t host)
{
    script_settle(script);
    return slice_copy(&script->arena, durable_of(script, host));
}

void
script_late_frame(Script *script, Slice object, uint32_t from, uint32_t to)
{
    World *world = script->world;
    ReplicateItem item = {.bucket_id = script->client->bucket->id,
                          .key = checker_key(world->checker, KEY),
                          .object = object};
    ReplicateFrame replicate = {
        .epoch = script->client->topology.epoch, .items = &item, .item_count = 1};
    Buffer frame;

    if (is_over(script))
        return;
    buffer_init(&frame, &MEMORY_HEAP);
    replicate_encode(&frame, 0, &replicate);
    network_send(world,
                 network_link(world, host_of(script, from)->index, host_of(script, to)->index),
                 buffer_slice(&frame));
    buffer_free(&frame);
    script_wait_ms(script, 100);
    script_settle(script);
}

static bool
is_handed_off(const Script *script, uint32_t host)
{
    return durable_of(script, host).length == 0;
}

void
script_await_handed_off(Script *script, uint32_t host)
{
    await(script, is_handed_off, host, "what a fallback holds is not handed off");
}

/* ---- the play ---- */

/* Owners first, in order. */
static void
place_nodes(Script *script)
{
    const World *world = script->world;
    Slice key = checker_key(world->checker, KEY);
    uint32_t count = 0;

    while (count < world->mix.n)
    {
        script->nodes[count] = client_owner(script->client, key, count);
        count++;
    }
    for (uint32_t host = 0; host < world->mix.hosts; host++)
    {
        bool is_owner = false;

        for (uint32_t i = 0; i < world->mix.n; i++)
            is_owner = is_owner || script->nodes[i] == host;
        if (!is_owner)
            script->nodes[count++] = host;
    }
}

void
script_play(World *world, const Scenario *scenario)
{
    Script script = {.world = world, .scenario = scenario, .client = world->clients[0]};

    arena_init(&script.arena, &MEMORY_HEAP);
    client_begin_script(script.client, take_frame, &script);
    place_nodes(&script);
    await(&script, all_are_up, 0, "the nodes do not find each other");
    scenario->play(&script);
    for (uint32_t i = 0; i < world->mix.hosts; i++)
        host_boot(world, i);
    client_end_script(script.client);
    for (uint32_t i = 0; i < script.copy_count; i++)
        sim_store_free(script.copies[i]);
    arena_free(&script.arena);
}
