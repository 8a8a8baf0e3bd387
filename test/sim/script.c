#include <stdio.h>
#include <string.h>

#include "test/sim/script_private.h"
#include "test/sim/trace.h"

enum
{
    STEP_DEADLINE_US = 20000000,
    ASK_TIMEOUT_MS = 4000,
    SENT_WITHIN_MS = 100,
    ALONE_MS = 100 /* that a write is given before it is sent again */
};

void
script_fail(Script *script, const char *what)
{
    checker_violation(script->world->checker, "scenario", "%s: %s", script->scenario->name, what);
}

Host *
script_host(const Script *script, uint32_t place)
{
    return &script->world->hosts[script->nodes[place]];
}

bool
script_is_over(const Script *script)
{
    return checker_verdict(script->world->checker) != NULL;
}

/* ---- time ---- */

void
script_await(Script *script, Awaited awaited, uint32_t host, const char *what)
{
    uint64_t deadline_us = script->world->now_us + STEP_DEADLINE_US;

    while (!script_is_over(script) && !awaited(script, host))
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

    while (!script_is_over(script) && script->world->now_us < until_us && world_step(script->world))
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
    script_await(script, disks_are_settled, CHECKER_NONE, "the disks do not come to rest");
}

void
script_settle_others(Script *script, uint32_t host)
{
    script_await(script, disks_are_settled, script_host(script, host)->index,
                 "the disks do not come to rest");
}

Slice
script_durable(const Script *script, uint32_t host)
{
    return sim_store_durable(script_host(script, host)->store, client_bucket_id(script->client),
                             checker_key(script->world->checker, KEY));
}

static bool
disks_are_same(const Script *script, uint32_t host)
{
    (void)host;
    for (uint32_t i = 1; i < script->world->mix.n; i++)
    {
        if (!slice_equal(script_durable(script, 0), script_durable(script, i)))
            return false;
    }
    return disks_are_settled(script, CHECKER_NONE);
}

void
script_await_same(Script *script)
{
    script_await(script, disks_are_same, 0, "the disks do not become the same");
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

void
script_send(Script *script, uint32_t host, const Buffer *frame)
{
    script->asked = script_host(script, host)->index;
    script->answered = false;
    trace(script->world, "the script asks n%u: %s", script->asked,
          trace_frame(script->world, buffer_slice(frame)));
    client_send(script->client, script->asked, buffer_slice(frame));
}

void
script_ask(Script *script, uint32_t host, const Buffer *frame)
{
    script_send(script, host, frame);
    script_await(script, is_answered, host, "a node does not answer");
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
                        .clock_ms = script->world->now_us / 1000 - script->frame_age_ms,
                        .alone_ms = ALONE_MS,
                        .items = &item,
                        .item_count = 1};

    if (context != NULL)
        item.context = context->sealed;
    checker_write_sent(checker, &value.request);
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
    script_ask(script, host, &frame);
    buffer_free(&frame);
    if (script_is_over(script))
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
    uint32_t put = script_begin_put(script, host, w, context);

    script_wait_ms(script, SENT_WITHIN_MS);
    return put;
}

uint32_t
script_begin_put(Script *script, uint32_t host, uint32_t w, const Shown *context)
{
    uint32_t put = begin_version(script, context, false);
    Buffer frame;

    encode_write(script, &frame, w, put, context, false);
    script_send(script, host, &frame);
    buffer_free(&frame);
    return put;
}

static StatusCode
write_version(Script *script, uint32_t host, uint32_t w, const Shown *context, bool tombstone,
              uint32_t *put)
{
    Checker *checker = script->world->checker;

    *put = begin_version(script, context, tombstone);

    WriteResult result = send_write(script, host, w, *put, context, false);

    if (!script_is_over(script))
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

    if (result.status == STATUS_OK && !script_is_over(script))
        checker_write_end(script->world->checker, put, w, result.status, result.acked);
    return result.status;
}

StatusCode
script_try_old_retry(Script *script, uint32_t host, uint32_t w, uint32_t put, uint32_t age_ms)
{
    StatusCode status;

    script->frame_age_ms = age_ms;
    status = script_try_retry(script, host, w, put, NULL);
    script->frame_age_ms = 0;
    return status;
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
    script_ask(script, host, &frame);
    buffer_free(&frame);
    if (script_is_over(script))
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

    if (script_is_over(script))
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
script_expect_one_dot(Script *script)
{
    Object object;

    if (!object_decode(script_durable(script, 0), &script->arena, &object) ||
        object.sibling_count != 1 || object.siblings[0].dot_count != 1)
        script_fail(script, "a write was stamped twice");
}

/* ---- nodes and disks ---- */

void
script_crash(Script *script, uint32_t host)
{
    uint32_t node = script_host(script, host)->index;

    if (script_is_over(script))
        return;
    host_crash(script->world, node);
    sim_store_calm(script_host(script, host)->store);
    network_hang_up(script->world, network_link(script->world, script->client->endpoint, node));
    script_await(script, others_know, node, "a node that is gone is held for up");
}

void
script_boot(Script *script, uint32_t host)
{
    if (script_is_over(script))
        return;
    host_boot(script->world, script_host(script, host)->index);
    script_await(script, all_are_up, host, "a node that is back is held for down");
}

void
script_pause(Script *script, uint32_t host)
{
    host_pause(script->world, script_host(script, host)->index);
}

void
script_resume(Script *script, uint32_t host)
{
    host_resume(script->world, script_host(script, host)->index);
    script_await(script, all_are_up, host, "a node that goes on is held for down");
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
    if (script_is_over(script))
        return;
    host_boot(script->world, script_host(script, host)->index);
    script_await(script, running_are_up, host, "a node that is back is held for down");
}

void
script_boot_unawaited(Script *script, uint32_t host)
{
    if (!script_is_over(script))
        host_boot(script->world, script_host(script, host)->index);
}

void
script_restart_all(Script *script)
{
    if (script_is_over(script))
        return;
    for (uint32_t i = 0; i < script->world->mix.hosts; i++)
        host_crash(script->world, i);
    client_hang_up(script->client);
    for (uint32_t i = 0; i < script->world->mix.hosts; i++)
        host_boot(script->world, i);
    script_await(script, all_are_up, 0, "nodes that are back are held for down");
}

Slice
script_object(Script *script, uint32_t host)
{
    script_settle(script);
    return slice_copy(&script->arena, script_durable(script, host));
}

void
script_late_frame(Script *script, Slice object, uint32_t from, uint32_t to)
{
    World *world = script->world;
    ReplicateItem item = {.placed = script->client->topology.epoch,
                          .bucket_id = script->client->bucket->id,
                          .key = checker_key(world->checker, KEY),
                          .object = object};
    ReplicateFrame replicate = {
        .epoch = script->client->topology.epoch, .items = &item, .item_count = 1};
    Buffer frame;

    if (script_is_over(script))
        return;
    buffer_init(&frame, &MEMORY_HEAP);
    replicate_encode(&frame, 0, &replicate);
    network_send(
        world,
        network_link(world, script_host(script, from)->index, script_host(script, to)->index),
        buffer_slice(&frame));
    buffer_free(&frame);
    script_wait_ms(script, 100);
    script_settle(script);
}

static bool
is_handed_off(const Script *script, uint32_t host)
{
    return script_durable(script, host).length == 0;
}

void
script_await_handed_off(Script *script, uint32_t host)
{
    script_await(script, is_handed_off, host, "what a fallback holds is not handed off");
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
    script_await(&script, all_are_up, 0, "the nodes do not find each other");
    scenario->play(&script);
    for (uint32_t i = 0; i < world->mix.hosts; i++)
        host_boot(world, i);
    client_end_script(script.client);
    for (uint32_t i = 0; i < script.copy_count; i++)
        sim_store_free(script.copies[i]);
    arena_free(&script.arena);
}
