#include "test/sim/network.h"

#include <stdlib.h>
#include <string.h>

#include "shared/wire/message.h"
#include "test/sim/trace.h"
#include "test/sim/world.h"

enum
{
    CONNECT_TIMEOUT_US = 1000000,
    REDIAL_MIN_US = 10000,
    REDIAL_MAX_US = 200000,
    DATAGRAM_LOSS_PERCENT = 5, /* while there are faults at all; doubled and late ones likewise */
    DATAGRAM_LATE_US = 100000,
    KEEPALIVE_MAX_US = 3000000 /* a blocked connection may be given up within that time */
};

static bool
is_host(uint32_t endpoint)
{
    return endpoint < NETWORK_HOSTS_MAX;
}

static uint32_t
link_number(const World *world, const NetworkLink *link)
{
    return (uint32_t)(link - world->network.links);
}

NetworkLink *
network_link(World *world, uint32_t from, uint32_t to)
{
    return &world->network.links[from * NETWORK_HOSTS_MAX + to];
}

void
network_init(World *world)
{
    for (uint32_t from = 0; from < NETWORK_ENDPOINTS_MAX; from++)
    {
        for (uint32_t to = 0; to < NETWORK_HOSTS_MAX; to++)
            *network_link(world, from, to) = (NetworkLink){.from = from, .to = to};
    }
}

void
network_free(World *world)
{
    for (uint32_t i = 0; i < world->network.held_count; i++)
        free(world->network.held[i].payload);
    free(world->network.held);
}

static uint64_t
latency(World *world)
{
    return random_between(&world->random, world->mix.latency_min_us, world->mix.latency_max_us);
}

static void
note_fault(World *world, NetworkLink *link)
{
    world->counters.faults++;
    link->troubled_us = world->now_us;
    world_trouble(world);
}

/* ---- dialing ---- */

void
network_dial(World *world, NetworkLink *link, bool wanted)
{
    link->wanted = link->wanted || wanted;
    if (link->state != LINK_DOWN)
        return;
    link->state = LINK_DIALING;
    link->dial = ++world->network.dials;
    world_schedule(
        world, random_below(&world->random, 2000),
        (Event){.kind = EVENT_DIAL, .target = link_number(world, link), .token = link->dial});
}

static bool
is_blocked(const World *world, uint32_t a, uint32_t b)
{
    return world->network.blocked[a][b] > 0 || world->network.blocked[b][a] > 0;
}

void
network_dial_due(World *world, const Event *event)
{
    NetworkLink *link = &world->network.links[event->target];
    uint64_t length = latency(world) * 4;
    bool works = host_runs(&world->hosts[link->to]) && !is_blocked(world, link->from, link->to);

    if (link->dial != event->token || link->state != LINK_DIALING)
        return;
    if (!works && (world->hosts[link->to].engine != NULL || random_percent(&world->random, 30)))
        length = CONNECT_TIMEOUT_US;
    world_schedule(
        world, length,
        (Event){
            .kind = EVENT_DIAL_DONE, .target = event->target, .token = link->dial, .flag = works});
}

static void
redial(World *world, NetworkLink *link)
{
    link->state = LINK_DIALING;
    link->dial = ++world->network.dials;
    world_schedule(
        world, random_between(&world->random, REDIAL_MIN_US, REDIAL_MAX_US),
        (Event){.kind = EVENT_DIAL, .target = link_number(world, link), .token = link->dial});
}

/* The dialer has no connection any more, or got none. */
static void
dialer_lost(World *world, NetworkLink *link, bool had_one)
{
    link->state = LINK_DOWN;
    link->connection = 0;
    if (!is_host(link->from))
        client_link_lost(world, link->from - NETWORK_HOSTS_MAX, link->to);
    else if (had_one)
        host_inbox(world, link->from, (InboxItem){.kind = INBOX_PEER_DOWN, .peer = link->to});
    if (link->wanted && link->state == LINK_DOWN)
        redial(world, link);
}

void
network_dial_done(World *world, const Event *event)
{
    NetworkLink *link = &world->network.links[event->target];

    if (link->dial != event->token || link->state != LINK_DIALING)
        return;
    if (!event->flag || !host_runs(&world->hosts[link->to]) ||
        is_blocked(world, link->from, link->to))
    {
        dialer_lost(world, link, false);
        return;
    }
    link->state = LINK_UP;
    link->connection = link->session = ++world->network.connections;
    link->last_us[LINK_TO_SERVER] = link->last_us[LINK_TO_DIALER] = world->now_us;
    if (is_host(link->from))
        host_inbox(world, link->from, (InboxItem){.kind = INBOX_PEER_UP, .peer = link->to});
    else
        client_link_up(world, link->from - NETWORK_HOSTS_MAX, link->to);
}

/* ---- frames ---- */

static void
hold(World *world, Event *event)
{
    Network *network = &world->network;

    if (network->held_count == network->held_capacity)
    {
        network->held_capacity = network->held_capacity ? network->held_capacity * 2 : 32;
        network->held =
            memory_resize(&MEMORY_HEAP, network->held, network->held_capacity * sizeof(Event));
    }
    network->held[network->held_count++] = *event;
    event->payload = NULL;
}

static uint32_t
sender_of(const NetworkLink *link, uint8_t side)
{
    return side == LINK_TO_SERVER ? link->from : link->to;
}

static bool
is_held_up(const World *world, const NetworkLink *link, uint8_t side)
{
    uint32_t from = sender_of(link, side);
    uint32_t to = sender_of(link, !side);

    return world->network.blocked[from][to] > 0;
}

/* A hello opens a link and stays first. */
static bool
may_overtake(const NetworkLink *link, Slice frame)
{
    return is_host(link->from) && frame.data[0] != FRAME_HELLO &&
           frame.data[0] != FRAME_HELLO_REPLY;
}

/* Of what clients send, whatever may be done twice: not a write, which could be refused the first
 * time and taken the second. */
static bool
may_come_twice(const NetworkLink *link, Slice frame)
{
    return is_host(link->from) ? may_overtake(link, frame) : frame.data[0] != FRAME_WRITE;
}

static Packet *
make_packet(Slice bytes)
{
    Packet *packet = memory_resize(&MEMORY_HEAP, NULL, sizeof(Packet) + bytes.length);

    packet->length = bytes.length;
    memcpy(packet->bytes, bytes.data, bytes.length);
    return packet;
}

static void
post(World *world, NetworkLink *link, uint8_t side, uint64_t connection, uint64_t delay_us,
     Slice frame)
{
    world_schedule(world, delay_us,
                   (Event){.kind = EVENT_ARRIVAL,
                           .target = link_number(world, link),
                           .side = side,
                           .token = connection,
                           .payload = make_packet(frame)});
}

/* The delay of the next frame to that side, after those before it. */
static uint64_t
queue_up(World *world, NetworkLink *link, uint8_t side, uint64_t delay_us)
{
    uint64_t at_us = world->now_us + delay_us;

    if (at_us <= link->last_us[side])
        at_us = link->last_us[side] + 1;
    link->last_us[side] = at_us;
    return at_us - world->now_us;
}

/* Crashes that follow what was just said find more than those at any time; rare frames get their
 * share. */
static void
maybe_crash_sender(World *world, const NetworkLink *link, uint8_t side, Slice frame)
{
    uint32_t sender = sender_of(link, side);
    bool rare = frame.data[0] >= FRAME_PREPARE && frame.data[0] <= FRAME_CHOSEN;

    if (is_host(sender) &&
        random_per_million(&world->random, world->mix.crash_ppm * (rare ? 20 : 1)))
        faults_crash_soon(world, sender);
}

/* What befalls a frame on its way. False: it does not go its usual way any more. */
static bool
suffer(World *world, NetworkLink *link, uint8_t side, uint64_t connection, Slice frame,
       uint64_t *delay_us)
{
    const Mix *mix = &world->mix;
    Random *random = &world->random;

    maybe_crash_sender(world, link, side, frame);
    if (random_per_million(random, mix->loss_ppm))
    {
        trace(world, "a frame is lost, and its connection: %s", trace_frame(world, frame));
        network_break(world, link);
        return false;
    }
    if (random_per_million(random, mix->spike_ppm))
    {
        note_fault(world, link);
        *delay_us += random_below(random, mix->spike_max_us);
        link->troubled_us = world->now_us + *delay_us;
    }
    if (random_per_million(random, mix->duplicate_ppm) && may_come_twice(link, frame))
    {
        note_fault(world, link);
        post(world, link, side, connection, *delay_us + random_below(random, 50000), frame);
    }
    if (random_per_million(random, mix->reorder_ppm) && may_overtake(link, frame))
    {
        note_fault(world, link);
        post(world, link, side, connection, *delay_us + random_below(random, 30000), frame);
        return false;
    }
    return true;
}

static void
transmit(World *world, NetworkLink *link, uint8_t side, uint64_t connection, Slice frame)
{
    uint64_t delay_us = latency(world);

    world->counters.frames++;
    if (world->network.clean || suffer(world, link, side, connection, frame, &delay_us))
        post(world, link, side, connection, queue_up(world, link, side, delay_us), frame);
}

void
network_send(World *world, NetworkLink *link, Slice frame)
{
    if (link->state == LINK_UP)
        transmit(world, link, LINK_TO_SERVER, link->connection, frame);
}

void
network_reply(World *world, uint32_t host, uint64_t session, Slice frame)
{
    for (uint32_t from = 0; from < NETWORK_ENDPOINTS_MAX; from++)
    {
        NetworkLink *link = network_link(world, from, host);

        if (session != 0 && link->session == session)
        {
            transmit(world, link, LINK_TO_DIALER, session, frame);
            return;
        }
    }
}

const char *
network_session_name(World *world, uint32_t host, uint64_t session)
{
    for (uint32_t from = 0; from < NETWORK_ENDPOINTS_MAX; from++)
    {
        if (network_link(world, from, host)->session == session)
            return trace_endpoint(world, from);
    }
    return "somebody who is gone";
}

static void
post_datagram(World *world, uint32_t from, uint32_t to, uint64_t delay_us, Slice datagram)
{
    world_schedule(world, delay_us,
                   (Event){.kind = EVENT_DATAGRAM,
                           .target = to,
                           .side = (uint8_t)from,
                           .payload = make_packet(datagram)});
}

void
network_datagram(World *world, uint32_t from, uint32_t to, Slice datagram)
{
    uint64_t delay_us = latency(world);
    bool bad = !world->network.clean && world->mix.loss_ppm > 0;

    if (bad && random_percent(&world->random, DATAGRAM_LOSS_PERCENT))
        return;
    if (bad && random_percent(&world->random, DATAGRAM_LOSS_PERCENT))
        delay_us += random_below(&world->random, DATAGRAM_LATE_US);
    if (bad && random_percent(&world->random, DATAGRAM_LOSS_PERCENT))
        post_datagram(world, from, to, delay_us + random_below(&world->random, DATAGRAM_LATE_US),
                      datagram);
    post_datagram(world, from, to, delay_us, datagram);
}

void
network_datagram_due(World *world, Event *event)
{
    InboxItem item = {.kind = INBOX_DATAGRAM, .peer = event->side, .payload = event->payload};

    event->payload = NULL;
    if (world->network.blocked[event->side][event->target] > 0)
        free(item.payload);
    else
        host_inbox(world, event->target, item);
}

/* Tells one side, after what is still on its way to it or at once. */
static void
tell_closed(World *world, NetworkLink *link, uint8_t side, uint64_t connection, uint64_t delay_us)
{
    world_schedule(world, delay_us,
                   (Event){.kind = EVENT_CLOSED,
                           .target = link_number(world, link),
                           .side = side,
                           .token = connection});
}

static void
deliver_to_server(World *world, NetworkLink *link, Event *event)
{
    if (link->session != event->token)
    {
        /* Nobody there knows this connection: reset. */
        tell_closed(world, link, LINK_TO_DIALER, event->token, latency(world));
        return;
    }
    host_inbox(world, link->to,
               (InboxItem){.kind = INBOX_SESSION_FRAME,
                           .is_peer = is_host(link->from),
                           .session = event->token,
                           .payload = event->payload});
    event->payload = NULL;
}

static void
deliver_to_dialer(World *world, NetworkLink *link, Event *event)
{
    const Packet *packet = event->payload;

    if (link->connection != event->token || link->state != LINK_UP)
    {
        tell_closed(world, link, LINK_TO_SERVER, event->token, latency(world));
        return;
    }
    if (!is_host(link->from))
    {
        client_frame(world, link->from - NETWORK_HOSTS_MAX, link->to,
                     slice_make(packet->bytes, packet->length));
        return;
    }
    host_inbox(world, link->from,
               (InboxItem){.kind = INBOX_PEER_FRAME, .peer = link->to, .payload = event->payload});
    event->payload = NULL;
}

void
network_arrival(World *world, Event *event)
{
    NetworkLink *link = &world->network.links[event->target];

    if (link->cut == event->token)
        return;
    if (is_held_up(world, link, event->side))
        hold(world, event);
    else if (event->side == LINK_TO_SERVER)
        deliver_to_server(world, link, event);
    else
        deliver_to_dialer(world, link, event);
}

void
network_closed(World *world, Event *event)
{
    NetworkLink *link = &world->network.links[event->target];

    if (event->flag != 0)
        note_fault(world, link);
    else if (is_held_up(world, link, event->side))
    {
        hold(world, event);
        return;
    }
    if (event->side == LINK_TO_DIALER)
    {
        if (link->connection == event->token && link->state == LINK_UP)
            dialer_lost(world, link, true);
    }
    else if (link->session == event->token)
        link->session = 0;
}

/* ---- what goes wrong ---- */

void
network_break(World *world, NetworkLink *link)
{
    uint64_t connection = link->connection != 0 ? link->connection : link->session;

    if (connection == 0)
        return;
    note_fault(world, link);
    trace(world, "the link of %s to n%u breaks", trace_endpoint(world, link->from), link->to);
    link->cut = connection;
    tell_closed(world, link, LINK_TO_DIALER, connection, random_below(&world->random, 50000));
    tell_closed(world, link, LINK_TO_SERVER, connection, random_below(&world->random, 500000));
}

void
network_hang_up(World *world, NetworkLink *link)
{
    uint64_t connection = link->connection;

    link->dial = 0;
    link->state = LINK_DOWN;
    link->connection = 0;
    if (connection != 0)
        tell_closed(world, link, LINK_TO_SERVER, connection,
                    queue_up(world, link, LINK_TO_SERVER, latency(world)));
}

void
network_host_down(World *world, uint32_t host, bool silent)
{
    for (uint32_t to = 0; to < NETWORK_HOSTS_MAX; to++)
    {
        NetworkLink *own = network_link(world, host, to);

        own->wanted = false;
        own->troubled_us = world->now_us;
        if (silent)
        {
            own->cut = own->connection;
            own->dial = 0;
            own->state = LINK_DOWN;
            own->connection = 0;
        }
        else
            network_hang_up(world, own);
    }
    for (uint32_t from = 0; from < NETWORK_ENDPOINTS_MAX; from++)
    {
        NetworkLink *link = network_link(world, from, host);

        link->troubled_us = world->now_us;
        if (silent)
            link->cut = link->session;
        if (link->session != 0)
            tell_closed(world, link, LINK_TO_DIALER, link->session,
                        silent ? random_below(&world->random, KEEPALIVE_MAX_US)
                               : queue_up(world, link, LINK_TO_DIALER, latency(world)));
        link->session = 0;
    }
}

void
network_host_up(World *world, uint32_t host)
{
    for (uint32_t to = 0; to < NETWORK_HOSTS_MAX; to++)
        network_link(world, host, to)->state = LINK_DOWN;
}

/* Connections over a cut may be given up by either side while it lasts. */
static void
maybe_give_up(World *world, NetworkLink *link)
{
    uint64_t connection = link->connection;

    link->troubled_us = world->now_us;
    if (connection == 0 || random_percent(&world->random, 50))
        return;
    world_schedule(world, random_below(&world->random, KEEPALIVE_MAX_US),
                   (Event){.kind = EVENT_CLOSED,
                           .target = link_number(world, link),
                           .side = (uint8_t)random_below(&world->random, 2),
                           .token = connection,
                           .flag = 1});
}

void
network_block(World *world, uint32_t from, uint32_t to)
{
    world->network.blocked[from][to]++;
    world_trouble(world);
    if (is_host(to))
        maybe_give_up(world, network_link(world, from, to));
    if (is_host(from))
        maybe_give_up(world, network_link(world, to, from));
}

/* What was held up goes on its way, in its order. */
void
network_unblock(World *world, uint32_t from, uint32_t to)
{
    Network *network = &world->network;
    uint32_t kept = 0;

    world_trouble(world);
    network->blocked[from][to]--;
    for (uint32_t i = 0; i < network->held_count; i++)
    {
        Event *event = &network->held[i];
        NetworkLink *link = &network->links[event->target];

        if (is_held_up(world, link, event->side))
            network->held[kept++] = *event;
        else
        {
            link->troubled_us = world->now_us;
            world_schedule(world, queue_up(world, link, event->side, latency(world)), *event);
        }
    }
    network->held_count = kept;
}
