/*
 * What comes in: topologies, datagrams, time. gossip_probe.c finds out who is there, gossip_rumor.c
 * holds what is said of whom, gossip_send.c puts packets together.
 */
#include "node/engine/cluster/gossip_private.h"

#include <stdlib.h>
#include <string.h>

enum
{
    LATE_MS = 100,         /* beyond this a late tick means that the node stood still */
    DOUBTFUL_LATE_MS = 250 /* and beyond this it doubts itself */
};

GossipConfig
gossip_config(const MemberId *self)
{
    return (GossipConfig){.self = *self,
                          .probe_interval_ms = 500,
                          .probe_timeout_ms = 250,
                          .probe_patience_ms = 750,
                          .suspicion_ms = 1200,
                          .suspicion_factor = 4,
                          .news_interval_ms = 200,
                          .fanout = 3};
}

Gossip *
gossip_new(const GossipConfig *config, uint64_t run, uint64_t seed)
{
    Gossip *gossip = memory_resize(&MEMORY_HEAP, NULL, sizeof(Gossip));

    *gossip = (Gossip){.config = *config,
                       .run = run,
                       .chance = seed,
                       .self = TOPOLOGY_NO_MEMBER,
                       .disputed = TOPOLOGY_NO_MEMBER};
    return gossip;
}

void
gossip_free(Gossip *gossip)
{
    memory_resize(&MEMORY_HEAP, gossip->members, 0);
    memory_resize(&MEMORY_HEAP, gossip->by_id, 0);
    memory_resize(&MEMORY_HEAP, gossip->order, 0);
    memory_resize(&MEMORY_HEAP, gossip->suspects, 0);
    memory_resize(&MEMORY_HEAP, gossip->news, 0);
    memory_resize(&MEMORY_HEAP, gossip, 0);
}

/* splitmix64: chance enough for whom to ask and for numbers that do not come twice. */
uint64_t
gossip_draw(Gossip *gossip)
{
    uint64_t word = gossip->chance += 0x9e3779b97f4a7c15u;

    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9u;
    word = (word ^ (word >> 27)) * 0x94d049bb133111ebu;
    return word ^ (word >> 31);
}

uint32_t
gossip_draw_below(Gossip *gossip, uint32_t bound)
{
    return (uint32_t)(((gossip_draw(gossip) >> 32) * bound) >> 32);
}

static int
compare_ids(const void *a, const void *b, void *members)
{
    return memcmp(&((const GossipMember *)members)[*(const uint32_t *)a].id,
                  &((const GossipMember *)members)[*(const uint32_t *)b].id, sizeof(MemberId));
}

uint32_t
gossip_find(const Gossip *gossip, const MemberId *id)
{
    uint32_t low = 0;
    uint32_t high = gossip->present;

    while (low < high)
    {
        uint32_t middle = low + (high - low) / 2;
        uint32_t member = gossip->by_id[middle];
        int order = memcmp(&gossip->members[member].id, id, sizeof(MemberId));

        if (order == 0)
            return member;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return TOPOLOGY_NO_MEMBER;
}

/* ---- members ---- */

/* Who left accuses nobody any more. */
static void
drop_accusers(const Gossip *gossip, GossipMember *member)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < member->accuser_count; i++)
    {
        if (gossip->members[member->accusers[i]].state != GOSSIP_LEFT)
            member->accusers[count++] = member->accusers[i];
    }
    member->accuser_count = count;
}

static void
rebuild_lists(Gossip *gossip)
{
    size_t bytes = (gossip->present + 1) * sizeof(uint32_t);

    gossip->order = memory_resize(&MEMORY_HEAP, gossip->order, bytes);
    gossip->suspects = memory_resize(&MEMORY_HEAP, gossip->suspects, bytes);
    gossip->news = memory_resize(&MEMORY_HEAP, gossip->news, bytes);
    gossip->suspect_count = 0;
    gossip->news_count = 0;
    gossip->there = 0;
    for (uint32_t k = 0; k < gossip->present; k++)
    {
        uint32_t i = gossip->by_id[k];
        const GossipMember *member = &gossip->members[i];

        gossip->order[k] = i;
        if (member->state == GOSSIP_SUSPECT)
            gossip->suspects[gossip->suspect_count++] = i;
        if (member->state == GOSSIP_SUSPECT || member->state == GOSSIP_ALIVE)
            gossip->there++;
        if (member->tellings > 0)
            gossip->news[gossip->news_count++] = i;
    }
    gossip->order_next = gossip->present;
}

void
gossip_set_load(Gossip *gossip, const GossipLoad *load)
{
    gossip->load = *load;
}

/* ---- time ---- */

static uint64_t
earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* On gossip's own clock. */
static uint64_t
due_ms(const Gossip *gossip)
{
    uint64_t due = earlier(gossip_probe_wake_ms(gossip), gossip_burial_ms(gossip));

    return gossip->news_count > 0 ? earlier(due, gossip->news_due_ms) : due;
}

uint64_t
gossip_wake_ms(const Gossip *gossip)
{
    if (gossip->self == TOPOLOGY_NO_MEMBER)
        return UINT64_MAX;
    return gossip->ticked ? due_ms(gossip) + gossip->stood_still_ms : 0;
}

static void
begin(Gossip *gossip, uint64_t now_ms)
{
    gossip->ticked = true;
    gossip->stood_still_ms = 0;
    gossip->now_ms = now_ms;
    gossip->probe_due_ms = now_ms + gossip_draw_below(gossip, gossip->config.probe_interval_ms) + 1;
    gossip->greet_due_ms = now_ms;
}

/* Time in which the node should have been called and was not is no time for anyone. */
static void
stand_still(Gossip *gossip, uint64_t by_ms, GossipActions *actions)
{
    gossip->stood_still_ms += by_ms;
    gossip->now_ms -= by_ms;
    gossip->counters.pauses++;
    if (by_ms < DOUBTFUL_LATE_MS)
        return;
    gossip_raise_doubt(gossip, 1);
    gossip_notice(gossip, GOSSIP_NOTICE_PAUSED, gossip->self, "", actions);
}

static void
advance(Gossip *gossip, uint64_t now_ms, GossipActions *actions)
{
    if (!gossip->ticked)
    {
        begin(gossip, now_ms);
        return;
    }
    if (now_ms < gossip->now_ms + gossip->stood_still_ms)
        return;
    gossip->now_ms = now_ms - gossip->stood_still_ms;

    uint64_t due = due_ms(gossip);

    if (gossip->now_ms > due + LATE_MS)
        stand_still(gossip, gossip->now_ms - due, actions);
}

/* The clock moves, but not past what is due: whether that is late is for advance() to say. */
static void
look_at_clock(Gossip *gossip, uint64_t now_ms)
{
    uint64_t now = now_ms - gossip->stood_still_ms;
    uint64_t due;

    if (!gossip->ticked || gossip->self == TOPOLOGY_NO_MEMBER)
        return;
    due = due_ms(gossip);
    now = earlier(now, due);
    if (now > gossip->now_ms)
        gossip->now_ms = now;
}

/* Members keep their slots, so what is held of one is held of the same one after it. */
static void
follow_members(Gossip *gossip, const Topology *topology)
{
    uint32_t had = gossip->member_count;

    gossip->member_count = topology->member_count;
    gossip->members = memory_resize(&MEMORY_HEAP, gossip->members,
                                    (gossip->member_count + 1) * sizeof(GossipMember));
    gossip->by_id =
        memory_resize(&MEMORY_HEAP, gossip->by_id, (gossip->member_count + 1) * sizeof(uint32_t));
    gossip->present = 0;
    for (uint32_t i = 0; i < gossip->member_count; i++)
    {
        const Member *member = &topology->members[i];

        if (i >= had || memcmp(&gossip->members[i].id, &member->id, sizeof(MemberId)) != 0)
            gossip->members[i] = (GossipMember){.id = member->id};
        if (member->state == MEMBER_LEFT)
            gossip->members[i] = (GossipMember){.id = member->id, .state = GOSSIP_LEFT};
        else
            gossip->by_id[gossip->present++] = i;
    }
    qsort_r(gossip->by_id, gossip->present, sizeof(uint32_t), compare_ids, gossip->members);
    for (uint32_t i = 0; i < gossip->member_count; i++)
        drop_accusers(gossip, &gossip->members[i]);
}

static bool
has_members_of(const Gossip *gossip, const Topology *topology)
{
    if (gossip->member_count != topology->member_count ||
        memcmp(gossip->cluster, topology->cluster, sizeof(gossip->cluster)) != 0)
        return false;
    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        const Member *member = &topology->members[i];

        if (memcmp(&gossip->members[i].id, &member->id, sizeof(MemberId)) != 0 ||
            (gossip->members[i].state == GOSSIP_LEFT) != (member->state == MEMBER_LEFT))
            return false;
    }
    return true;
}

/* Most epochs change no member. Nothing begins anew for them: where partitions move there are more
 * of them than probes. */
void
gossip_set_topology(Gossip *gossip, uint64_t now_ms, const Topology *topology)
{
    bool was_at_rest = gossip->self == TOPOLOGY_NO_MEMBER;

    look_at_clock(gossip, now_ms);
    if (has_members_of(gossip, topology))
    {
        gossip->epoch = topology->epoch;
        return;
    }
    follow_members(gossip, topology);
    gossip->self = gossip_find(gossip, &gossip->config.self);
    if (gossip->self != TOPOLOGY_NO_MEMBER)
        gossip->members[gossip->self].state = GOSSIP_ALIVE;
    gossip->epoch = topology->epoch;
    memcpy(gossip->cluster, topology->cluster, sizeof(gossip->cluster));
    rebuild_lists(gossip);
    gossip->disputed = TOPOLOGY_NO_MEMBER;
    gossip->probe_count = 0;
    gossip->relay_count = 0;
    gossip->greet_due_ms = gossip->now_ms;
    gossip->ticked = gossip->ticked && !was_at_rest;
}

static void
tell_news(Gossip *gossip, GossipActions *actions)
{
    const GossipConfig *config = &gossip->config;
    uint32_t told = 0;

    if (gossip->news_count == 0 || gossip->now_ms < gossip->news_due_ms)
        return;
    gossip->news_due_ms = gossip->now_ms + config->news_interval_ms;
    for (uint32_t tries = 0; tries < 8 * config->fanout && told < config->fanout; tries++)
    {
        uint32_t member = gossip_draw_below(gossip, gossip->member_count);
        GossipState state = gossip->members[member].state;

        if (member == gossip->self || (state != GOSSIP_ALIVE && state != GOSSIP_SUSPECT))
            continue;
        gossip_send_news(gossip, member, actions);
        told++;
    }
    if (told == 0)
        gossip_told(gossip, gossip->news_count);
}

void
gossip_tick(Gossip *gossip, uint64_t now_ms, GossipActions *actions)
{
    if (gossip->self == TOPOLOGY_NO_MEMBER)
        return;
    advance(gossip, now_ms, actions);
    gossip_probe_tick(gossip, actions);
    gossip_bury_due(gossip, actions);
    tell_news(gossip, actions);
}

void
gossip_doubt_member(Gossip *gossip, uint64_t now_ms, uint32_t member)
{
    look_at_clock(gossip, now_ms);
    if (gossip->self == TOPOLOGY_NO_MEMBER || member == gossip->self || !gossip->ticked ||
        gossip->members[member].state != GOSSIP_ALIVE)
        return;
    gossip_probe(gossip, member);
}

/* ---- packets ---- */

static void
refuse_datagram(Gossip *gossip, GossipOpened why, const char *from, GossipActions *actions)
{
    if (why == GOSSIP_MALFORMED)
        gossip->counters.malformed++;
    else if (why == GOSSIP_UNKNOWN_KEY)
    {
        gossip->counters.unknown_key++;
        gossip_notice(gossip, GOSSIP_NOTICE_UNKNOWN_KEY, TOPOLOGY_NO_MEMBER, from, actions);
    }
    else
    {
        gossip->counters.forged++;
        gossip_notice(gossip, GOSSIP_NOTICE_FORGED, TOPOLOGY_NO_MEMBER, from, actions);
    }
}

static void
note_epoch(Gossip *gossip, const GossipPacket *packet, uint32_t sender, GossipActions *actions)
{
    if (packet->epoch <= gossip->epoch || gossip->now_ms < gossip->behind_ms)
        return;
    gossip->behind_ms = gossip->now_ms + GOSSIP_CHALLENGE_MS;
    (void)gossip_act(actions, GOSSIP_BEHIND, sender);
}

/* An authentic packet whose sender or target is not who it should be. */
static bool
is_out_of_place(Gossip *gossip, const GossipPacket *packet, const char *from,
                GossipActions *actions)
{
    if (memcmp(packet->cluster, gossip->cluster, sizeof(packet->cluster)) != 0)
    {
        gossip->counters.other_cluster++;
        gossip_notice(gossip, GOSSIP_NOTICE_OTHER_CLUSTER, TOPOLOGY_NO_MEMBER, from, actions);
        return true;
    }
    if (memcmp(&packet->sender, &gossip->config.self, sizeof(MemberId)) == 0)
    {
        if (packet->run == gossip->run)
        {
            gossip->counters.replayed++;
            return true;
        }
        gossip->counters.twins++;
        gossip_notice(gossip, GOSSIP_NOTICE_OWN_ID, gossip->self, from, actions);
        return true;
    }
    if (memcmp(&packet->target, &gossip->config.self, sizeof(MemberId)) != 0)
    {
        gossip->counters.misdirected++;
        return true;
    }
    return false;
}

static bool
takes_number(GossipMember *member, uint64_t echo)
{
    for (uint32_t i = 0; i < GOSSIP_ASKED; i++)
    {
        if (echo != 0 && member->asked[i] == echo)
        {
            member->asked[i] = 0;
            return true;
        }
    }
    return false;
}

static void
note_twin(Gossip *gossip, uint32_t sender, const char *from, GossipActions *actions)
{
    gossip->counters.twins++;
    gossip_notice(gossip, GOSSIP_NOTICE_TWIN, sender, from, actions);
}

/* The run is the one that answers at the member's address now. */
static void
adopt_run(Gossip *gossip, uint32_t sender, const GossipPacket *packet, const char *from,
          GossipActions *actions)
{
    GossipMember *member = &gossip->members[sender];

    if (member->has_run && packet->run == member->previous_run)
        note_twin(gossip, sender, from, actions);
    member->previous_run = member->has_run ? member->run : packet->run;
    member->run = packet->run;
    member->has_run = true;
    member->disputed = false;
    member->window = gossip_window(packet->counter);
    memset(member->asked, 0, sizeof(member->asked));
}

/* Another run than the known one: nothing is taken from it, and the member is asked whose it is. */
static void
dispute_run(Gossip *gossip, uint32_t sender, const GossipPacket *packet, const char *from,
            GossipActions *actions)
{
    GossipMember *member = &gossip->members[sender];
    bool was_asked_lately =
        member->disputed && gossip->now_ms < member->asked_ms + GOSSIP_CHALLENGE_MS;
    uint64_t number;

    gossip->counters.unproven++;
    if (was_asked_lately || (member->has_run && packet->run == member->previous_run))
        return;
    member->disputed = true;
    gossip->disputed = sender;
    strncpy(gossip->disputed_from, from, sizeof(gossip->disputed_from) - 1);
    /* Only an answer to what is asked from now on tells which of two runs is the present one. */
    if (member->has_run)
        memset(member->asked, 0, sizeof(member->asked));
    number = gossip_ask(gossip, sender);
    if (packet->kind == GOSSIP_PING)
        gossip_send_ack(gossip, sender, packet->number, number, actions);
    else
        gossip_send_ping(gossip, sender, number, actions);
}

/* True when the packet is of the sender's present run and has not come before. */
static bool
is_timely(Gossip *gossip, uint32_t sender, const GossipPacket *packet, const char *from,
          GossipActions *actions)
{
    GossipMember *member = &gossip->members[sender];
    bool answers = packet->kind == GOSSIP_ACK && takes_number(member, packet->echo);

    if (!member->has_run || packet->run != member->run)
    {
        if (answers)
            adopt_run(gossip, sender, packet, from, actions);
        else
            dispute_run(gossip, sender, packet, from, actions);
        return answers;
    }
    if (!gossip_window_accept(&member->window, packet->counter))
    {
        gossip->counters.replayed++;
        return false;
    }
    if (answers && member->disputed)
    {
        member->disputed = false;
        note_twin(gossip, sender, gossip->disputed == sender ? gossip->disputed_from : "", actions);
    }
    return true;
}

static void
take_message(Gossip *gossip, uint32_t sender, const GossipPacket *packet, GossipActions *actions)
{
    switch (packet->kind)
    {
    case GOSSIP_PING:
        gossip_send_ack(gossip, sender, packet->number, 0, actions);
        break;
    case GOSSIP_ACK:
        gossip_take_ack(gossip, sender, packet->echo, actions);
        if (packet->number != 0)
            gossip_send_ack(gossip, sender, packet->number, 0, actions);
        break;
    case GOSSIP_NACK:
        gossip_take_nack(gossip, packet->echo);
        break;
    case GOSSIP_PING_REQUEST:
        gossip_take_request(gossip, sender, packet, actions);
        break;
    case GOSSIP_NEWS:
    case GOSSIP_KIND_END:
        break;
    }
}

static void
take_packet(Gossip *gossip, const GossipPacket *packet, const char *from, GossipActions *actions)
{
    GossipUpdate alive = {
        .id = packet->sender, .state = GOSSIP_ALIVE, .incarnation = packet->incarnation};
    uint32_t sender;

    if (is_out_of_place(gossip, packet, from, actions))
        return;
    sender = gossip_find(gossip, &packet->sender);
    if (sender == TOPOLOGY_NO_MEMBER)
    {
        gossip->counters.strangers++;
        note_epoch(gossip, packet, sender, actions);
        return;
    }
    if (!is_timely(gossip, sender, packet, from, actions))
        return;
    gossip->counters.received++;
    gossip->members[sender].load = packet->load;
    gossip->members[sender].epoch = packet->epoch;
    note_epoch(gossip, packet, sender, actions);
    gossip_take_update(gossip, &alive, actions);
    for (uint32_t i = 0; i < packet->update_count; i++)
        gossip_take_update(gossip, &packet->updates[i], actions);
    take_message(gossip, sender, packet, actions);
}

void
gossip_receive(Gossip *gossip, uint64_t now_ms, const GossipKeys *keys, Slice datagram,
               const char *from, GossipActions *actions)
{
    GossipPacket packet;
    GossipOpened opened;
    Buffer plain;

    if (gossip->self == TOPOLOGY_NO_MEMBER)
        return;
    advance(gossip, now_ms, actions);
    buffer_init(&plain, &MEMORY_HEAP);
    opened = gossip_open(&plain, keys, datagram);
    if (opened == GOSSIP_OPENED && !gossip_packet_decode(buffer_slice(&plain), &packet))
        opened = GOSSIP_MALFORMED;
    buffer_free(&plain);
    if (opened == GOSSIP_OPENED)
        take_packet(gossip, &packet, from, actions);
    else
        refuse_datagram(gossip, opened, from, actions);
}

/* ---- what is known ---- */

GossipState
gossip_state(const Gossip *gossip, uint32_t member)
{
    return gossip->members[member].state;
}

const char *
gossip_state_name(GossipState state)
{
    static const char *const NAMES[GOSSIP_STATE_END] = {[GOSSIP_UNKNOWN] = "unknown",
                                                        [GOSSIP_ALIVE] = "alive",
                                                        [GOSSIP_SUSPECT] = "suspect",
                                                        [GOSSIP_DEAD] = "dead",
                                                        [GOSSIP_LEFT] = "left"};

    return NAMES[state];
}

uint64_t
gossip_incarnation(const Gossip *gossip, uint32_t member)
{
    return gossip->members[member].incarnation;
}

uint32_t
gossip_doubt(const Gossip *gossip)
{
    return gossip->doubt;
}

GossipCounters
gossip_counters(const Gossip *gossip)
{
    return gossip->counters;
}
