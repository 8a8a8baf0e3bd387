/* The final reads: a coordinated read of every owner, asked of each owner in turn, so that all are
 * repaired. */
#include "test/sim/client_private.h"

#include "test/sim/trace.h"
#include "test/sim/world.h"

enum
{
    AUDIT_TIMEOUT_US = 6000000,
    AUDIT_TRIES_MAX = 4
};

static void
ask(Client *client)
{
    World *world = client->world;
    Slice key = checker_key(world->checker, client->audit_key);
    ReadFrame read = {.epoch = client->topology.epoch,
                      .bucket_id = client->bucket->id,
                      .mode = READ_COORDINATED,
                      .r = client->bucket->n,
                      .timeout_ms = AUDIT_TIMEOUT_US / 1000,
                      .seal = true,
                      .keys = &key,
                      .key_count = 1};
    Buffer frame;

    client->audit_host = client_owner(client, key, client->audit_place);
    client->audit_mark = checker_read_begin(world->checker, client->audit_key, client->bucket->n);
    client->tag = ++client->asker.last_tag;
    buffer_init(&frame, &MEMORY_HEAP);
    read_encode(&frame, client->tag, &read);
    client_send(client, client->audit_host, buffer_slice(&frame));
    buffer_free(&frame);
    client_wake_at(client, world->now_us + AUDIT_TIMEOUT_US);
}

void
audit_next(Client *client)
{
    World *world = client->world;

    client->audit_tries = 0;
    if (client->audit_key == checker_key_count(world->checker))
    {
        client->audit_done = true;
        client->audit_done_us = world->now_us;
        return;
    }
    ask(client);
}

void
audit_again(Client *client)
{
    if (client->audit_done)
        return;
    if (++client->audit_tries == AUDIT_TRIES_MAX)
        checker_violation(client->world->checker, "L1",
                          "the final read of k%u at n%u does not come", client->audit_key,
                          client->audit_host);
    else
        ask(client);
}

void
audit_frame(Client *client, uint32_t host, const Frame *frame)
{
    World *world = client->world;
    ReadReply reply;
    ReadShown shown;
    Seen seen;
    VClock clock;

    if (frame->tag != client->tag || host != client->audit_host)
        return;
    arena_reset(&client->arena);
    if (frame->type != FRAME_READ_REPLY || !read_reply_decode(frame, &client->arena, &reply) ||
        reply.item_count != 1 || reply.items[0].status != STATUS_OK)
    {
        audit_again(client);
        return;
    }
    trace(world, "n%u has k%u: %s", host, client->audit_key,
          trace_object(world, reply.items[0].object));
    shown = (ReadShown){.object = reply.items[0].object,
                        .context = reply.items[0].context,
                        .answered = reply.items[0].held};
    checker_read_end(world->checker, &client->audit_mark, &shown, &client->arena, &seen, &clock);
    if (++client->audit_place == client->bucket->n)
    {
        client->audit_place = 0;
        client->audit_key++;
    }
    audit_next(client);
}

void
client_begin_audit(Client *client)
{
    client->state = CLIENT_AUDITS;
    audit_next(client);
}

bool
client_audit_is_done(const Client *client)
{
    return client->audit_done;
}

uint64_t
client_audit_age_us(const Client *client)
{
    return client->world->now_us - client->audit_done_us;
}
