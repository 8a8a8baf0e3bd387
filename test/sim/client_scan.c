/* Full scans: every key is read once, as if by a read that began when the scan did. */
#include <string.h>

#include "test/sim/client_private.h"
#include "test/sim/trace.h"
#include "test/sim/world.h"

static void
draw_scan_options(Client *client)
{
    World *world = client->world;
    const Mix *mix = &world->mix;
    uint32_t n = client->bucket->n;

    client->options = (RequestOptions){
        .quorum = mix->weak_quorums && !client->must_succeed
                      ? (uint32_t)random_between(&world->random, 1, n)
                      : n / 2 + 1,
        .timeout_ms = client->must_succeed ? CLIENT_PATIENCE_MS : mix->request_timeout_ms,
        .hedge_after_ms = mix->hedge_after_ms,
        .seal = true};
    if (mix->avoids_silent)
    {
        memcpy(client->avoid, client->silent, sizeof(client->avoid));
        client->options.avoid = client->avoid;
    }
}

void
client_scan_begin(Client *client)
{
    World *world = client->world;

    client->state = CLIENT_SCANS;
    draw_scan_options(client);
    world->counters.scans++;
    trace(world, "c%u scans, r %u", client->index, client->options.quorum);
    for (uint32_t key = 0; key < world->mix.keys; key++)
    {
        client->scanned[key] = false;
        client->scan_marks[key] = checker_read_begin(world->checker, key, client->options.quorum);
    }
    client->pager =
        pager_new(&MEMORY_HEAP, &client->asker, &client->topology, client->bucket, &client->options,
                  (uint32_t)random_between(&world->random, 50, 3000),
                  (uint32_t)random_between(&world->random, 1, 8), client_now_ms(client));
    client_scan_pump(client);
}

static void
read_key(Client *client, uint32_t key, const PagerRow *row)
{
    const ReadMark *mark = &client->scan_marks[key];
    ReadShown shown = {.object = row->object,
                       .context = row->context,
                       .answered = row->answered != 0 ? row->answered : (1u << mark->r) - 1,
                       .anywhere = row->answered == 0};
    Seen seen;
    VClock clock;

    arena_reset(&client->arena);
    client->scanned[key] = true;
    checker_read_end(client->world->checker, mark, &shown, &client->arena, &seen, &clock);
}

static void
take_row(Client *client, const PagerRow *row)
{
    World *world = client->world;
    uint32_t key = checker_find_key(world->checker, client->bucket->id, row->key);

    trace(world, "c%u's scan gives k%u: %s", client->index, key, trace_object(world, row->object));
    if (key == CHECKER_NONE)
        checker_violation(world->checker, "S4", "a scan gave a key that nobody wrote");
    else if (client->scanned[key])
        checker_violation(world->checker, "S4", "a scan gave k%u twice", key);
    else
        read_key(client, key, row);
}

static void
end_scan(Client *client, bool complete)
{
    World *world = client->world;
    uint32_t partition;

    if (complete)
    {
        for (uint32_t key = 0; key < world->mix.keys; key++)
        {
            if (!client->scanned[key] && checker_verdict(world->checker) == NULL)
                read_key(client, key, &(PagerRow){0});
        }
    }
    else
    {
        StatusCode status = pager_failure(client->pager, &partition);

        world->counters.failed_operations++;
        trace(world, "c%u's scan fails at partition %u: %s", client->index, partition,
              status_name(status));
        if (client->must_succeed)
            checker_violation(world->checker, "L3", "a scan failed in calm: %s",
                              status_name(status));
    }
    for (uint32_t member = 0; member < client->topology.member_count; member++)
        client->silent[member] = pager_was_silent(client->pager, member);
    pager_free(client->pager);
    client->pager = NULL;
    client->must_succeed = false;
    client_rest(client);
}

static void
send_all(Client *client)
{
    uint32_t member;
    Slice frame;

    while (pager_next_send(client->pager, &member, &frame))
    {
        trace(client->world, "c%u asks n%u: %s", client->index, client_host_of(client, member),
              trace_frame(client->world, frame));
        client_send(client, client_host_of(client, member), frame);
    }
}

void
client_scan_pump(Client *client)
{
    PagerState state;

    send_all(client);
    while ((state = pager_state(client->pager)) == PAGER_ROWS)
    {
        uint32_t count;
        const PagerRow *rows = pager_next_page(client->pager, &count);

        for (uint32_t i = 0; i < count; i++)
            take_row(client, &rows[i]);
        send_all(client);
    }
    if (state != PAGER_WAITING)
        end_scan(client, state == PAGER_END);
    else
        client_wake_at(client, pager_wake_ms(client->pager) * 1000);
}
