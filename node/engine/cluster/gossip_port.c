/*
 * Passes on what gossip wants done: packets to be sealed and sent, verdicts to membership, news to
 * the log.
 */
#include "node/engine/cluster/gossip_port.h"

void
gossip_port_init(GossipPort *port, const MemberId *self, const ClusterKeys *keys,
                 const HostQuestions *host, Membership *membership)
{
    GossipConfig config = gossip_config(self);
    uint64_t run = host->random(host->context);

    *port = (GossipPort){.host = host, .membership = membership};
    port->gossip = gossip_new(&config, run, host->random(host->context));
    gossip_actions_init(&port->actions);
    gossip_port_set_keys(port, keys);
}

void
gossip_port_free(GossipPort *port)
{
    if (port->gossip != NULL)
        gossip_free(port->gossip);
    gossip_actions_free(&port->actions);
}

void
gossip_port_set_keys(GossipPort *port, const ClusterKeys *keys)
{
    port->keys = gossip_keys(keys->keys, keys->count);
}

static void
judge(GossipPort *port, uint32_t member)
{
    membership_judge(port->membership, member, gossip_state(port->gossip, member) == GOSSIP_DEAD);
}

void
gossip_port_follow(GossipPort *port, uint64_t now_ms)
{
    const Topology *topology = membership_topology(port->membership);

    if (topology->epoch == port->epoch)
        return;
    port->epoch = topology->epoch;
    gossip_set_topology(port->gossip, now_ms, topology);
    for (uint32_t i = 0; i < topology->member_count; i++)
        judge(port, i);
}

static void
send_packet(GossipPort *port, const GossipAction *action, Actions *actions)
{
    const HostQuestions *host = port->host;
    uint64_t nonce[GOSSIP_NONCE_BYTES / sizeof(uint64_t)];

    for (uint32_t i = 0; i < GOSSIP_NONCE_BYTES / sizeof(uint64_t); i++)
        nonce[i] = host->random(host->context);
    gossip_seal(
        actions_frame(actions), &port->keys, (const uint8_t *)nonce,
        slice_make(port->actions.packets.data + action->packet_offset, action->packet_length));
    actions_datagram(actions, action->member);
}

static const char *
name_of(const GossipPort *port, uint32_t member)
{
    return member == TOPOLOGY_NO_MEMBER
               ? ""
               : membership_topology(port->membership)->members[member].name;
}

/* Suspicions come and go; who dies, and who is back, is worth a line. */
static void
note_change(GossipPort *port, const GossipAction *action, Actions *actions)
{
    judge(port, action->member);
    if (action->state == GOSSIP_DEAD)
        actions_log(
            actions,
            "node %.200s is dead: it answered neither this node nor those that were asked to try",
            name_of(port, action->member));
    else if (action->before == GOSSIP_DEAD)
        actions_log(actions, "node %.200s is alive again", name_of(port, action->member));
}

static void
tell(const GossipPort *port, const GossipAction *action, Actions *actions)
{
    const char *name = name_of(port, action->member);

    actions_log(actions, "%s%s%.200s%s%s%s", gossip_notice_text(action->notice),
                *name != '\0' ? "; member " : "", name, *action->from != '\0' ? " (from " : "",
                action->from, *action->from != '\0' ? ")" : "");
}

static void
run(GossipPort *port, uint64_t now_ms, Actions *actions)
{
    for (uint32_t i = 0; i < port->actions.count; i++)
    {
        const GossipAction *action = &port->actions.list[i];

        if (action->kind == GOSSIP_SEND)
            send_packet(port, action, actions);
        else if (action->kind == GOSSIP_CHANGE)
            note_change(port, action, actions);
        else if (action->kind == GOSSIP_BEHIND)
            membership_fetch(port->membership, port->epoch + 1, now_ms, actions);
        else
            tell(port, action, actions);
    }
    gossip_actions_reset(&port->actions);
}

void
gossip_port_vouch(GossipPort *port, uint32_t member)
{
    if (member != TOPOLOGY_NO_MEMBER && membership_link_answers(port->membership, member))
        gossip_vouch(port->gossip, member);
}

void
gossip_port_receive(GossipPort *port, uint64_t now_ms, Slice datagram, const char *from,
                    Actions *actions)
{
    gossip_receive(port->gossip, now_ms, &port->keys, datagram, from, &port->actions);
    run(port, now_ms, actions);
}

void
gossip_port_tick(GossipPort *port, uint64_t now_ms, const GossipLoad *load, Actions *actions)
{
    gossip_set_load(port->gossip, load);
    gossip_tick(port->gossip, now_ms, &port->actions);
    run(port, now_ms, actions);
}
