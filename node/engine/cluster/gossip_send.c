/* What goes out: actions, and the packets in them with the news that ride along. */
#include "node/engine/cluster/gossip_private.h"

#include <string.h>

enum
{
    NOTICE_MS = 10000
};

void
gossip_actions_init(GossipActions *actions)
{
    *actions = (GossipActions){0};
    buffer_init(&actions->packets, &MEMORY_HEAP);
}

void
gossip_actions_free(GossipActions *actions)
{
    memory_resize(&MEMORY_HEAP, actions->list, 0);
    buffer_free(&actions->packets);
}

void
gossip_actions_reset(GossipActions *actions)
{
    actions->count = 0;
    buffer_reset(&actions->packets);
}

GossipAction *
gossip_act(GossipActions *actions, GossipActionKind kind, uint32_t member)
{
    GossipAction *action;

    if (actions->count == actions->capacity)
    {
        actions->capacity = actions->capacity ? actions->capacity * 2 : 16;
        actions->list =
            memory_resize(&MEMORY_HEAP, actions->list, actions->capacity * sizeof(GossipAction));
    }
    action = &actions->list[actions->count++];
    *action = (GossipAction){.kind = kind, .member = member};
    return action;
}

const char *
gossip_notice_text(GossipNotice notice)
{
    static const char *const TEXTS[GOSSIP_NOTICE_END] = {
        [GOSSIP_NOTICE_UNKNOWN_KEY] =
            "refused gossip that is sealed under a cluster key which this node does not have: "
            "compare dynamo_node key list on both",
        [GOSSIP_NOTICE_FORGED] = "refused gossip that was not sealed with the cluster key it "
                                 "names: it was forged or damaged on its way",
        [GOSSIP_NOTICE_OTHER_CLUSTER] = "refused gossip of another cluster that uses the same "
                                        "cluster key: give each cluster a key of its own",
        [GOSSIP_NOTICE_OWN_ID] =
            "refused gossip that bears this node's own member id: a second process runs on a copy "
            "of this node's folder, or somebody sends old packets again",
        [GOSSIP_NOTICE_TWIN] = "refused gossip that its sender denies: a second process runs with "
                               "the member id of that node, or somebody sends old packets again",
        [GOSSIP_NOTICE_PAUSED] =
            "this process stood still for a moment; it suspects no node that was silent meanwhile"};

    return TEXTS[notice];
}

void
gossip_notice(Gossip *gossip, GossipNotice notice, uint32_t member, const char *from,
              GossipActions *actions)
{
    GossipAction *action;

    if (gossip->now_ms < gossip->notice_ms[notice])
        return;
    gossip->notice_ms[notice] = gossip->now_ms + NOTICE_MS;
    action = gossip_act(actions, GOSSIP_TELL, member);
    action->notice = notice;
    strncpy(action->from, from, sizeof(action->from) - 1);
}

uint64_t
gossip_ask(Gossip *gossip, uint32_t number)
{
    GossipMember *member = &gossip->members[number];
    uint64_t asked = gossip_draw(gossip) | 1;

    member->asked[member->asked_next++ % GOSSIP_ASKED] = asked;
    return asked;
}

static bool
is_accused(const GossipMember *member)
{
    return member->state == GOSSIP_SUSPECT || member->state == GOSSIP_DEAD;
}

static void
add_update(const Gossip *gossip, GossipPacket *packet, uint32_t member)
{
    if (packet->update_count < GOSSIP_UPDATES_MAX)
        packet->updates[packet->update_count++] = gossip_update_of(gossip, member);
}

static void
add_header(Gossip *gossip, GossipPacket *packet, uint32_t target)
{
    memcpy(packet->cluster, gossip->cluster, sizeof(packet->cluster));
    packet->sender = gossip->config.self;
    packet->target = gossip->members[target].id;
    packet->run = gossip->run;
    packet->counter = ++gossip->counter;
    packet->incarnation = gossip->members[gossip->self].incarnation;
    packet->epoch = gossip->epoch;
    packet->load = gossip->load;
    packet->update_count = 0;
}

/*
 * The packet's message is filled in; the rest is added here: what is said of the target itself,
 * first, then the news, then, to who has just started, everybody who is not well.
 */
static void
send_packet(Gossip *gossip, uint32_t target, GossipPacket *packet, bool catch_up,
            GossipActions *actions)
{
    GossipAction *action = gossip_act(actions, GOSSIP_SEND, target);
    uint32_t of_target = is_accused(&gossip->members[target]) ? 1 : 0;
    uint32_t news = gossip->news_count;
    uint32_t fitting;

    add_header(gossip, packet, target);
    if (of_target)
        add_update(gossip, packet, target);
    for (uint32_t i = 0; i < news; i++)
        add_update(gossip, packet, gossip->news[i]);
    for (uint32_t i = 0; i < gossip->member_count && catch_up; i++)
    {
        if (is_accused(&gossip->members[i]) && i != target)
            add_update(gossip, packet, i);
    }
    action->packet_offset = actions->packets.length;
    fitting = gossip_packet_encode(&actions->packets, packet) - of_target;
    action->packet_length = actions->packets.length - action->packet_offset;
    gossip_told(gossip, fitting < news ? fitting : news);
    gossip->counters.sent++;
}

void
gossip_send_ping(Gossip *gossip, uint32_t member, uint64_t number, GossipActions *actions)
{
    GossipPacket packet = {.kind = GOSSIP_PING, .number = number};

    gossip->members[member].asked_ms = gossip->now_ms;
    send_packet(gossip, member, &packet, false, actions);
}

void
gossip_send_request(Gossip *gossip, uint32_t helper, uint64_t number, uint32_t subject,
                    GossipActions *actions)
{
    GossipPacket packet = {
        .kind = GOSSIP_PING_REQUEST, .number = number, .subject = gossip->members[subject].id};

    send_packet(gossip, helper, &packet, false, actions);
}

void
gossip_send_ack(Gossip *gossip, uint32_t member, uint64_t echo, uint64_t number,
                GossipActions *actions)
{
    GossipPacket packet = {.kind = GOSSIP_ACK, .echo = echo, .number = number};

    if (number != 0)
        gossip->members[member].asked_ms = gossip->now_ms;
    send_packet(gossip, member, &packet, number != 0, actions);
}

void
gossip_send_nack(Gossip *gossip, uint32_t member, uint64_t echo, GossipActions *actions)
{
    GossipPacket packet = {.kind = GOSSIP_NACK, .echo = echo};

    send_packet(gossip, member, &packet, false, actions);
}

void
gossip_send_news(Gossip *gossip, uint32_t member, GossipActions *actions)
{
    GossipPacket packet = {.kind = GOSSIP_NEWS};

    send_packet(gossip, member, &packet, false, actions);
}
