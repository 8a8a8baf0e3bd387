/*
 * Finding out who is there: a probe each period, pings on behalf of others, calls to those who are
 * not there in case they have come back, and how far the node trusts its own findings.
 *
 * A probe: ping; without an ack in time a second one, and ping requests to a few others; an ack by
 * any road ends it well. At its end the member is accused. Who was asked and sent not even a nack
 * tells that the trouble is here: doubt, which stretches every later probe.
 */
#include "node/engine/cluster/gossip_private.h"

enum
{
    GREET_MS = 100,
    GREETED_AT_ONCE = 32, /* members not heard of yet, pinged in one go */
    GREETINGS = 8,        /* after which an unknown member is called now and then only */
    GREET_AGAIN_MS = 300
};

/* Stretched by the doubt of the node in itself. */
static uint64_t
stretched(const Gossip *gossip, uint32_t ms)
{
    return (uint64_t)ms * (gossip->doubt + 1);
}

void
gossip_raise_doubt(Gossip *gossip, uint32_t by)
{
    gossip->doubt += by;
    if (gossip->doubt > GOSSIP_DOUBT_MAX)
        gossip->doubt = GOSSIP_DOUBT_MAX;
}

static void
lower_doubt(Gossip *gossip)
{
    if (gossip->doubt > 0)
        gossip->doubt--;
}

/* ---- own probes ---- */

void
gossip_probe(Gossip *gossip, uint32_t member)
{
    for (uint32_t i = 0; i < gossip->probe_count; i++)
    {
        if (gossip->probes[i].member == member)
            return;
    }
    if (gossip->probe_count == GOSSIP_PROBES)
        return;
    gossip->counters.probes++;
    gossip->probes[gossip->probe_count++] = (GossipProbe){.member = member,
                                                          .ping_due_ms = gossip->now_ms,
                                                          .helpers_due_ms = GOSSIP_NEVER,
                                                          .over_ms = GOSSIP_NEVER};
}

static bool
is_helper(const Gossip *gossip, uint32_t member, uint32_t subject, const uint32_t *chosen,
          uint32_t count)
{
    if (member == gossip->self || member == subject ||
        gossip->members[member].state != GOSSIP_ALIVE)
        return false;
    for (uint32_t i = 0; i < count; i++)
    {
        if (chosen[i] == member)
            return false;
    }
    return true;
}

static void
ask_helpers(Gossip *gossip, GossipProbe *probe, GossipActions *actions)
{
    uint32_t chosen[8];
    uint32_t wanted = gossip->config.fanout < 8 ? gossip->config.fanout : 8;

    probe->request = gossip_draw(gossip) | 1;
    for (uint32_t tries = 0; tries < 16 * wanted && probe->helpers < wanted; tries++)
    {
        uint32_t member = gossip_draw_below(gossip, gossip->member_count);

        if (!is_helper(gossip, member, probe->member, chosen, probe->helpers))
            continue;
        chosen[probe->helpers++] = member;
        gossip_send_request(gossip, member, probe->request, probe->member, actions);
    }
}

static void
drop_probe(Gossip *gossip, GossipProbe *probe)
{
    *probe = gossip->probes[--gossip->probe_count];
}

static void
fail_probe(Gossip *gossip, GossipProbe *probe, GossipActions *actions)
{
    uint32_t member = probe->member;

    gossip->counters.probes_failed++;
    gossip_raise_doubt(gossip, probe->helpers > 0 ? probe->helpers - probe->nacks : 1);
    drop_probe(gossip, probe);
    gossip_accuse(gossip, member, actions);
}

static void
begin_probe(Gossip *gossip, GossipProbe *probe, GossipActions *actions)
{
    probe->number = gossip_ask(gossip, probe->member);
    probe->ping_due_ms = GOSSIP_NEVER;
    probe->helpers_due_ms = gossip->now_ms + stretched(gossip, gossip->config.probe_timeout_ms);
    probe->over_ms = gossip->now_ms + stretched(gossip, gossip->config.probe_patience_ms);
    gossip_send_ping(gossip, probe->member, probe->number, actions);
}

static void
tend_probes(Gossip *gossip, GossipActions *actions)
{
    uint32_t i = 0;

    while (i < gossip->probe_count)
    {
        GossipProbe *probe = &gossip->probes[i];

        if (gossip->now_ms >= probe->over_ms)
        {
            fail_probe(gossip, probe, actions);
            continue;
        }
        if (gossip->now_ms >= probe->ping_due_ms)
            begin_probe(gossip, probe, actions);
        else if (gossip->now_ms >= probe->helpers_due_ms)
        {
            probe->helpers_due_ms = GOSSIP_NEVER;
            gossip_send_ping(gossip, probe->member, probe->number, actions);
            ask_helpers(gossip, probe, actions);
        }
        i++;
    }
}

/* ---- for others ---- */

void
gossip_take_request(Gossip *gossip, uint32_t sender, const GossipPacket *packet,
                    GossipActions *actions)
{
    uint32_t subject = gossip_find(gossip, &packet->subject);
    const GossipConfig *config = &gossip->config;
    GossipRelay *relay = &gossip->relays[gossip->relay_count];

    if (subject == TOPOLOGY_NO_MEMBER || subject == gossip->self ||
        gossip->relay_count == GOSSIP_RELAYS)
        return;
    gossip->relay_count++;
    *relay = (GossipRelay){.asker = sender,
                           .subject = subject,
                           .request = packet->number,
                           .number = gossip_ask(gossip, subject),
                           .nack_due_ms = gossip->now_ms + config->probe_timeout_ms,
                           .over_ms = gossip->now_ms + config->probe_patience_ms};
    gossip_send_ping(gossip, subject, relay->number, actions);
}

static void
tend_relays(Gossip *gossip, GossipActions *actions)
{
    uint32_t i = 0;

    while (i < gossip->relay_count)
    {
        GossipRelay *relay = &gossip->relays[i];

        if (gossip->now_ms >= relay->nack_due_ms)
        {
            relay->nack_due_ms = GOSSIP_NEVER;
            gossip_send_nack(gossip, relay->asker, relay->request, actions);
        }
        if (gossip->now_ms >= relay->over_ms)
            *relay = gossip->relays[--gossip->relay_count];
        else
            i++;
    }
}

/* ---- answers ---- */

void
gossip_take_ack(Gossip *gossip, uint32_t sender, uint64_t echo, GossipActions *actions)
{
    for (uint32_t i = 0; i < gossip->probe_count; i++)
    {
        GossipProbe *probe = &gossip->probes[i];

        if (echo == 0 || (probe->number != echo && probe->request != echo))
            continue;
        lower_doubt(gossip);
        drop_probe(gossip, probe);
        return;
    }
    for (uint32_t i = 0; i < gossip->relay_count; i++)
    {
        GossipRelay *relay = &gossip->relays[i];

        if (relay->number != echo || relay->subject != sender)
            continue;
        gossip_send_ack(gossip, relay->asker, relay->request, 0, actions);
        *relay = gossip->relays[--gossip->relay_count];
        return;
    }
}

void
gossip_vouch(Gossip *gossip, uint32_t member)
{
    for (uint32_t i = 0; i < gossip->probe_count; i++)
    {
        GossipProbe *probe = &gossip->probes[i];

        if (probe->member != member || probe->ping_due_ms != GOSSIP_NEVER)
            continue;
        lower_doubt(gossip);
        drop_probe(gossip, probe);
        return;
    }
}

void
gossip_take_nack(Gossip *gossip, uint64_t echo)
{
    for (uint32_t i = 0; i < gossip->probe_count; i++)
    {
        GossipProbe *probe = &gossip->probes[i];

        if (echo != 0 && probe->request == echo && probe->nacks < probe->helpers)
            probe->nacks++;
    }
}

/* ---- whom to ask when ---- */

static void
shuffle(Gossip *gossip)
{
    for (uint32_t i = gossip->present; i > 1; i--)
    {
        uint32_t at = gossip_draw_below(gossip, i);
        uint32_t member = gossip->order[i - 1];

        gossip->order[i - 1] = gossip->order[at];
        gossip->order[at] = member;
    }
    gossip->order_next = 0;
}

/* The next of those that are there, in an order shuffled for each round: a dead member is found
 * within two rounds at the latest (SWIM, section 4.3). */
static void
probe_next(Gossip *gossip)
{
    for (uint32_t i = 0; i < gossip->present; i++)
    {
        uint32_t member;

        if (gossip->order_next >= gossip->present)
            shuffle(gossip);
        member = gossip->order[gossip->order_next++];
        if (member != gossip->self && (gossip->members[member].state == GOSSIP_ALIVE ||
                                       gossip->members[member].state == GOSSIP_SUSPECT))
        {
            gossip_probe(gossip, member);
            return;
        }
    }
}

/* One of those that are not there is called, so that both sides of a mended network, and a member
 * that comes back unseen, hear what is said of them. */
static void
call_absent(Gossip *gossip, GossipActions *actions)
{
    for (uint32_t i = 0; i < gossip->member_count && gossip->there < gossip->present; i++)
    {
        uint32_t member = gossip->call_next++ % gossip->member_count;
        GossipState state = gossip->members[member].state;

        if (state == GOSSIP_DEAD || state == GOSSIP_UNKNOWN)
        {
            gossip_send_ping(gossip, member, gossip_ask(gossip, member), actions);
            return;
        }
    }
}

/* True when the member is to be told that this node has started. */
static bool
is_to_greet(const Gossip *gossip, const GossipMember *member)
{
    return member->state == GOSSIP_UNKNOWN && member->attempts < GREETINGS &&
           (member->attempts == 0 || gossip->now_ms >= member->asked_ms + GREET_AGAIN_MS);
}

static void
greet(Gossip *gossip, GossipActions *actions)
{
    uint32_t greeted = 0;
    bool more = false;

    for (uint32_t i = 0; i < gossip->member_count; i++)
    {
        GossipMember *member = &gossip->members[i];

        more = more || (member->state == GOSSIP_UNKNOWN && member->attempts < GREETINGS);
        if (!is_to_greet(gossip, member) || greeted == GREETED_AT_ONCE)
            continue;
        greeted++;
        member->attempts++;
        gossip_send_ping(gossip, i, gossip_ask(gossip, i), actions);
    }
    gossip->greet_due_ms = more ? gossip->now_ms + GREET_MS : GOSSIP_NEVER;
}

void
gossip_probe_tick(Gossip *gossip, GossipActions *actions)
{
    if (gossip->now_ms >= gossip->greet_due_ms)
        greet(gossip, actions);
    if (gossip->now_ms >= gossip->probe_due_ms)
    {
        gossip->probe_due_ms = gossip->now_ms + stretched(gossip, gossip->config.probe_interval_ms);
        probe_next(gossip);
        call_absent(gossip, actions);
    }
    tend_probes(gossip, actions);
    tend_relays(gossip, actions);
}

static uint64_t
earliest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t
gossip_probe_wake_ms(const Gossip *gossip)
{
    uint64_t wake = earliest(gossip->probe_due_ms, gossip->greet_due_ms);

    for (uint32_t i = 0; i < gossip->probe_count; i++)
    {
        const GossipProbe *probe = &gossip->probes[i];

        wake = earliest(wake, earliest(probe->ping_due_ms, probe->helpers_due_ms));
        wake = earliest(wake, probe->over_ms);
    }
    for (uint32_t i = 0; i < gossip->relay_count; i++)
        wake = earliest(wake, earliest(gossip->relays[i].nack_due_ms, gossip->relays[i].over_ms));
    return wake;
}
