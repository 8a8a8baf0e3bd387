/* Runs nodes that gossip, in virtual time: carries their datagrams with delay and loss, and wakes
 * them when they ask for it. */
#include "test/lib/gossip_field.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum
{
    SETTLING_MS = 60000
};

/* What an arrival carries. */
typedef struct GossipFieldLetter
{
    uint32_t from;
    uint32_t length;
    uint8_t bytes[];
} GossipFieldLetter;

static void
make_topology(GossipField *field)
{
    Topology *topology = &field->topology;

    *topology = (Topology){.epoch = 1, .partitions = 1, .member_count = field->count};
    memset(topology->cluster, 7, sizeof(topology->cluster));
    topology->members = ARENA_ARRAY(&field->arena, Member, field->count);
    for (uint32_t i = 0; i < field->count; i++)
    {
        Member *member = &topology->members[i];

        *member = (Member){.name = "node", .address = "192.0.2.1", .zone = "", .weight = 1};
        member->id.bytes[0] = (uint8_t)(i >> 8);
        member->id.bytes[1] = (uint8_t)i;
        random_fill(&field->random, member->id.bytes + 2, sizeof(MemberId) - 2);
    }
}

GossipField *
gossip_field_new(uint32_t count, uint64_t seed)
{
    static const uint8_t KEY[1][32] = {
        {1, 2, 3}
    };
    GossipField *field = memory_resize(&MEMORY_HEAP, NULL, sizeof(GossipField));

    *field = (GossipField){.count = count, .delay_us = 200, .jitter_us = 800};
    arena_init(&field->arena, &MEMORY_HEAP);
    random_seed(&field->random, seed);
    gossip_actions_init(&field->actions);
    field->now_us = 1000000;
    field->keys = gossip_keys(KEY, 1);
    field->config = gossip_config(&(MemberId){0});
    field->nodes = memory_resize(&MEMORY_HEAP, NULL, count * sizeof(GossipFieldNode));
    memset(field->nodes, 0, count * sizeof(GossipFieldNode));
    make_topology(field);
    return field;
}

static void
drop_waiting(GossipFieldNode *node)
{
    for (uint32_t i = 0; i < node->waiting_count; i++)
        free(node->waiting[i].payload);
    node->waiting_count = 0;
}

void
gossip_field_free(GossipField *field)
{
    for (uint32_t i = 0; i < field->count; i++)
    {
        gossip_field_kill(field, i);
        free(field->nodes[i].waiting);
    }
    memory_resize(&MEMORY_HEAP, field->nodes, 0);
    event_queue_free(&field->events);
    gossip_actions_free(&field->actions);
    arena_free(&field->arena);
    memory_resize(&MEMORY_HEAP, field, 0);
}

uint64_t
gossip_field_now_ms(const GossipField *field)
{
    return field->now_us / 1000;
}

/* ---- the network ---- */

static void
post(GossipField *field, uint32_t from, uint32_t to, Slice datagram)
{
    Event event = {.kind = EVENT_ARRIVAL,
                   .target = to,
                   .at_us = field->now_us + field->delay_us +
                            random_below(&field->random, field->jitter_us + 1)};
    GossipFieldLetter *letter;

    field->datagrams++;
    field->bytes += datagram.length + GOSSIP_FIELD_WIRE;
    if (random_percent(&field->random, field->loss_percent))
        return;
    letter = memory_resize(&MEMORY_HEAP, NULL, sizeof(GossipFieldLetter) + datagram.length);
    letter->from = from;
    letter->length = (uint32_t)datagram.length;
    memcpy(letter->bytes, datagram.data, datagram.length);
    event.payload = letter;
    event_queue_push(&field->events, event);
}

static void
send_packet(GossipField *field, uint32_t from, const GossipAction *action)
{
    uint8_t nonce[GOSSIP_NONCE_BYTES];
    Buffer datagram;

    random_fill(&field->random, nonce, sizeof(nonce));
    buffer_init(&datagram, &MEMORY_HEAP);
    gossip_seal(
        &datagram, &field->keys, nonce,
        slice_make(field->actions.packets.data + action->packet_offset, action->packet_length));
    if (field->tap == NULL || field->tap(field, from, action->member, buffer_slice(&datagram)))
        post(field, from, action->member, buffer_slice(&datagram));
    buffer_free(&datagram);
}

static void
plan_wake(GossipField *field, uint32_t number)
{
    GossipFieldNode *node = &field->nodes[number];
    uint64_t wake_us = gossip_wake_ms(node->gossip) * 1000;

    if (wake_us < field->now_us)
        wake_us = field->now_us;
    if (node->wake_us != 0 && node->wake_us <= wake_us)
        return;
    node->wake_us = wake_us;
    event_queue_push(
        &field->events,
        (Event){.kind = EVENT_HOST_WAKE, .target = number, .at_us = wake_us, .token = node->life});
}

void
gossip_field_act(GossipField *field, uint32_t number)
{
    GossipFieldNode *node = &field->nodes[number];

    for (uint32_t i = 0; i < field->actions.count; i++)
    {
        const GossipAction *action = &field->actions.list[i];

        if (action->kind == GOSSIP_SEND)
            send_packet(field, number, action);
        else if (action->kind == GOSSIP_CHANGE && field->watcher != NULL)
            field->watcher(field, number, action);
        else if (action->kind == GOSSIP_BEHIND)
            node->behind_of = action->member;
        else if (action->kind == GOSSIP_TELL)
            node->notices[action->notice]++;
    }
    gossip_actions_reset(&field->actions);
    plan_wake(field, number);
}

static void
give(GossipField *field, uint32_t number, Slice datagram, const char *from)
{
    gossip_receive(field->nodes[number].gossip, gossip_field_now_ms(field), &field->keys, datagram,
                   from, &field->actions);
    gossip_field_act(field, number);
}

void
gossip_field_inject(GossipField *field, uint32_t to, Slice datagram, const char *from)
{
    if (field->nodes[to].gossip != NULL && !field->nodes[to].stopped)
        give(field, to, datagram, from);
}

static void
arrive(GossipField *field, const Event *event)
{
    GossipFieldNode *node = &field->nodes[event->target];
    GossipFieldLetter *letter = event->payload;
    char from[16];

    if (node->gossip != NULL && node->stopped && node->waiting_count < GOSSIP_FIELD_SOCKET)
    {
        node->waiting[node->waiting_count++] = *event;
        return;
    }
    if (node->gossip != NULL && !node->stopped)
    {
        snprintf(from, sizeof(from), "node %u", letter->from);
        give(field, event->target, slice_make(letter->bytes, letter->length), from);
    }
    free(letter);
}

static void
wake(GossipField *field, const Event *event)
{
    GossipFieldNode *node = &field->nodes[event->target];

    if (event->token != node->life || event->at_us != node->wake_us)
        return;
    node->wake_us = 0;
    if (node->gossip == NULL || node->stopped)
        return;
    gossip_tick(node->gossip, gossip_field_now_ms(field), &field->actions);
    gossip_field_act(field, event->target);
}

/* ---- the nodes ---- */

void
gossip_field_start(GossipField *field, uint32_t number)
{
    GossipFieldNode *node = &field->nodes[number];
    GossipConfig config = field->config;

    config.self = field->topology.members[number].id;
    node->gossip = gossip_new(&config, random_next(&field->random), random_next(&field->random));
    gossip_set_topology(node->gossip, gossip_field_now_ms(field), &field->topology);
    node->life++;
    node->stopped = false;
    node->wake_us = 0;
    node->behind_of = TOPOLOGY_NO_MEMBER;
    plan_wake(field, number);
}

void
gossip_field_kill(GossipField *field, uint32_t number)
{
    GossipFieldNode *node = &field->nodes[number];

    if (node->gossip == NULL)
        return;
    gossip_free(node->gossip);
    node->gossip = NULL;
    drop_waiting(node);
}

void
gossip_field_stop(GossipField *field, uint32_t number)
{
    GossipFieldNode *node = &field->nodes[number];

    node->stopped = true;
    if (node->waiting == NULL)
        node->waiting = calloc(GOSSIP_FIELD_SOCKET, sizeof(Event));
}

/* As a loop does it: first the timers that are overdue, then what lies in the socket. */
void
gossip_field_continue(GossipField *field, uint32_t number)
{
    GossipFieldNode *node = &field->nodes[number];
    uint32_t count = node->waiting_count;

    node->stopped = false;
    node->waiting_count = 0;
    node->wake_us = 0;
    gossip_tick(node->gossip, gossip_field_now_ms(field), &field->actions);
    gossip_field_act(field, number);
    for (uint32_t i = 0; i < count; i++)
        arrive(field, &node->waiting[i]);
}

void
gossip_field_run(GossipField *field, uint64_t for_ms)
{
    uint64_t until_us = field->now_us + for_ms * 1000;
    Event event;

    while (field->events.count > 0 && field->events.heap[0].at_us <= until_us)
    {
        (void)event_queue_pop(&field->events, &event);
        field->now_us = event.at_us;
        if (event.kind == EVENT_ARRIVAL)
            arrive(field, &event);
        else
            wake(field, &event);
    }
    field->now_us = until_us;
}

uint32_t
gossip_field_count(const GossipField *field, uint32_t member, GossipState state)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < field->count; i++)
    {
        if (i != member && field->nodes[i].gossip != NULL &&
            gossip_state(field->nodes[i].gossip, member) == state)
            count++;
    }
    return count;
}

static bool
is_settled(const GossipField *field)
{
    for (uint32_t i = 0; i < field->count; i++)
    {
        if (gossip_field_count(field, i, GOSSIP_ALIVE) != field->count - 1)
            return false;
    }
    return true;
}

bool
gossip_field_settle(GossipField *field)
{
    uint64_t until_ms = gossip_field_now_ms(field) + SETTLING_MS;

    for (uint32_t i = 0; i < field->count; i++)
        gossip_field_start(field, i);
    while (!is_settled(field))
    {
        if (gossip_field_now_ms(field) >= until_ms)
            return false;
        gossip_field_run(field, 100);
    }
    return true;
}
