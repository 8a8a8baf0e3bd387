/*
 * What is held of the members: SWIM's order of updates (section 4.2), suspicions that run out the
 * sooner the more members share them (Lifeguard, section IV-B), and what is still to be told.
 *
 *     alive i    replaces alive j, suspect j and dead j with j < i
 *     suspect i  replaces alive j with j <= i, suspect j and dead j with j < i
 *     dead i     replaces alive j and suspect j with j <= i, dead j with j < i
 */
#include "node/engine/cluster/gossip_private.h"

#include <string.h>

enum
{
    CHECKERS = 8,      /* members that look for themselves when they hear of a suspicion */
    CONFIRMATIONS = 3, /* beyond the first accuser, that make a suspicion run out soonest */
    TELLINGS_MORE = 5  /* than the bits of the number of members */
};

/* No member refutes this often between two packets: a number that wants to end all refuting. */
static const uint64_t INCARNATION_LEAP_MAX = (uint64_t)1 << 32;

/* 1000 * log(c + 1) / log(k + 1) for c of k confirmations. */
static const uint32_t CONFIRMED[CONFIRMATIONS + 1][CONFIRMATIONS + 1] = {
    {1000, 1000, 1000, 1000},
    {0,    1000, 1000, 1000},
    {0,    631,  1000, 1000},
    {0,    500,  792,  1000},
};

/* The number of bits, which is the binary logarithm rounded up. */
static uint32_t
bits_of(uint32_t number)
{
    return number > 1 ? 32 - (uint32_t)__builtin_clz(number - 1) : 1;
}

/* ---- news ---- */

static void
sort_news(Gossip *gossip)
{
    uint32_t *news = gossip->news;

    for (uint32_t i = 1; i < gossip->news_count; i++)
    {
        uint32_t member = news[i];
        uint32_t at = i;

        while (at > 0 && gossip->members[news[at - 1]].tellings < gossip->members[member].tellings)
        {
            news[at] = news[at - 1];
            at--;
        }
        news[at] = member;
    }
}

static void
add_news(Gossip *gossip, uint32_t member)
{
    uint32_t *tellings = &gossip->members[member].tellings;

    if (*tellings == 0)
        gossip->news[gossip->news_count++] = member;
    *tellings = TELLINGS_MORE + bits_of(gossip->there);
    sort_news(gossip);
    if (gossip->news_due_ms < gossip->now_ms)
        gossip->news_due_ms = gossip->now_ms;
}

void
gossip_told(Gossip *gossip, uint32_t count)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < gossip->news_count; i++)
    {
        uint32_t member = gossip->news[i];

        if (i < count)
            gossip->members[member].tellings--;
        if (gossip->members[member].tellings > 0)
            gossip->news[kept++] = member;
    }
    gossip->news_count = kept;
    if (count > 0)
        sort_news(gossip);
}

GossipUpdate
gossip_update_of(const Gossip *gossip, uint32_t number)
{
    const GossipMember *member = &gossip->members[number];
    GossipUpdate update = {
        .id = member->id, .state = member->state, .incarnation = member->incarnation};

    if (member->state != GOSSIP_SUSPECT)
        return update;
    update.accuser_count = member->accuser_count;
    for (uint32_t i = 0; i < member->accuser_count; i++)
        update.accusers[i] = gossip->members[member->accusers[i]].id;
    return update;
}

/* ---- states ---- */

static bool
is_there(GossipState state)
{
    return state == GOSSIP_ALIVE || state == GOSSIP_SUSPECT;
}

static void
remove_suspect(Gossip *gossip, uint32_t member)
{
    for (uint32_t i = 0; i < gossip->suspect_count; i++)
    {
        if (gossip->suspects[i] == member)
        {
            gossip->suspects[i] = gossip->suspects[--gossip->suspect_count];
            return;
        }
    }
}

/* The one place where what is held of another member changes. */
static void
hold(Gossip *gossip, uint32_t number, GossipState state, uint64_t incarnation,
     GossipActions *actions)
{
    GossipMember *member = &gossip->members[number];
    GossipState before = member->state;

    member->state = state;
    member->incarnation = incarnation;
    if (before == GOSSIP_SUSPECT)
        remove_suspect(gossip, number);
    member->accuser_count = 0;
    if (state == GOSSIP_SUSPECT)
    {
        gossip->suspects[gossip->suspect_count++] = number;
        member->suspect_since_ms = gossip->now_ms;
        member->check_due_ms = 0;
    }
    gossip->there = gossip->there + is_there(state) - is_there(before);
    if (before == state)
        return;

    GossipAction *action = gossip_act(actions, GOSSIP_CHANGE, number);

    action->before = before;
    action->state = state;
    action->incarnation = incarnation;
}

static bool
is_accuser(const GossipMember *member, uint32_t accuser)
{
    for (uint32_t i = 0; i < member->accuser_count; i++)
    {
        if (member->accusers[i] == accuser)
            return true;
    }
    return false;
}

static bool
add_accuser(GossipMember *member, uint32_t accuser)
{
    if (is_accuser(member, accuser))
        return false;
    if (member->accuser_count == GOSSIP_ACCUSERS_MAX)
        return false;
    member->accusers[member->accuser_count++] = accuser;
    return true;
}

/* What is said of this node: it knows better. */
static void
refute(Gossip *gossip, const GossipUpdate *update)
{
    GossipMember *self = &gossip->members[gossip->self];

    if (update->incarnation < self->incarnation)
        return;
    self->incarnation = update->incarnation;
    if (update->state == GOSSIP_ALIVE)
        return;
    self->incarnation++;
    gossip->counters.refutations++;
    gossip_raise_doubt(gossip, 1);
    add_news(gossip, gossip->self);
}

static void
take_alive(Gossip *gossip, uint32_t number, const GossipUpdate *update, GossipActions *actions)
{
    const GossipMember *member = &gossip->members[number];
    bool is_news = update->incarnation > member->incarnation;

    if (!is_news && member->state != GOSSIP_UNKNOWN)
        return;
    hold(gossip, number, GOSSIP_ALIVE, is_news ? update->incarnation : member->incarnation,
         actions);
    if (is_news)
        add_news(gossip, number);
}

/* A few of those that hear of it look for themselves. */
static void
check_suspect(Gossip *gossip, uint32_t member)
{
    if (gossip_draw_below(gossip, gossip->there) < CHECKERS)
        gossip_probe(gossip, member);
}

static void
take_suspicion(Gossip *gossip, uint32_t number, const GossipUpdate *update, GossipActions *actions)
{
    GossipMember *member = &gossip->members[number];
    bool same = member->state == GOSSIP_SUSPECT && update->incarnation == member->incarnation;
    bool is_news = !same;

    if (update->incarnation < member->incarnation ||
        (member->state == GOSSIP_DEAD && update->incarnation == member->incarnation))
        return;
    if (!same)
        hold(gossip, number, GOSSIP_SUSPECT, update->incarnation, actions);
    for (uint32_t i = 0; i < update->accuser_count; i++)
    {
        uint32_t accuser = gossip_find(gossip, &update->accusers[i]);

        if (accuser != TOPOLOGY_NO_MEMBER && add_accuser(member, accuser))
            is_news = true;
    }
    if (is_news)
        add_news(gossip, number);
    if (!same)
        check_suspect(gossip, number);
}

static void
take_death(Gossip *gossip, uint32_t number, const GossipUpdate *update, GossipActions *actions)
{
    const GossipMember *member = &gossip->members[number];

    if (update->incarnation < member->incarnation ||
        (member->state == GOSSIP_DEAD && update->incarnation == member->incarnation))
        return;
    hold(gossip, number, GOSSIP_DEAD, update->incarnation, actions);
    add_news(gossip, number);
}

void
gossip_take_update(Gossip *gossip, const GossipUpdate *update, GossipActions *actions)
{
    uint32_t number = gossip_find(gossip, &update->id);

    if (number == TOPOLOGY_NO_MEMBER)
        return;
    if (update->incarnation > gossip->members[number].incarnation + INCARNATION_LEAP_MAX)
        return;
    if (number == gossip->self)
        refute(gossip, update);
    else if (update->state == GOSSIP_ALIVE)
        take_alive(gossip, number, update, actions);
    else if (update->state == GOSSIP_SUSPECT)
        take_suspicion(gossip, number, update, actions);
    else
        take_death(gossip, number, update, actions);
}

/* ---- suspicion ---- */

void
gossip_accuse(Gossip *gossip, uint32_t number, GossipActions *actions)
{
    GossipMember *member = &gossip->members[number];

    if (!is_there(member->state))
        return;
    if (member->state == GOSSIP_ALIVE)
    {
        gossip->counters.suspicions++;
        hold(gossip, number, GOSSIP_SUSPECT, member->incarnation, actions);
    }
    if (is_accuser(member, gossip->self))
        return;
    if (!add_accuser(member, gossip->self))
        member->accusers[0] = gossip->self;
    gossip_send_ping(gossip, number, gossip_ask(gossip, number), actions);
    add_news(gossip, number);
}

/* When the suspect's time is up, as far as is known now. */
static uint64_t
time_up(const Gossip *gossip, const GossipMember *member)
{
    const GossipConfig *config = &gossip->config;
    uint32_t expected = gossip->there > 2 ? gossip->there - 2 : 0;
    uint32_t confirmed = member->accuser_count > 0 ? member->accuser_count - 1 : 0;
    uint32_t size = 301 * bits_of(gossip->there); /* thousandths of the decimal logarithm */
    uint64_t least = config->suspicion_ms * (uint64_t)(size > 1000 ? size : 1000) / 1000;
    uint64_t most = least * config->suspicion_factor;

    if (expected > CONFIRMATIONS)
        expected = CONFIRMATIONS;
    if (confirmed > CONFIRMATIONS)
        confirmed = CONFIRMATIONS;
    return member->suspect_since_ms + most - (most - least) * CONFIRMED[expected][confirmed] / 1000;
}

/* Who has only heard of the suspicion may have missed the refutation, and looks for itself once the
 * time is up; what that finds makes it an accuser, or ends the suspicion. */
static uint64_t
burial_of(const Gossip *gossip, const GossipMember *member)
{
    uint64_t up = time_up(gossip, member);

    return up > member->check_due_ms || is_accuser(member, gossip->self) ? up
                                                                         : member->check_due_ms;
}

uint64_t
gossip_burial_ms(const Gossip *gossip)
{
    uint64_t first = GOSSIP_NEVER;

    for (uint32_t i = 0; i < gossip->suspect_count; i++)
    {
        uint64_t burial = burial_of(gossip, &gossip->members[gossip->suspects[i]]);

        if (burial < first)
            first = burial;
    }
    return first;
}

void
gossip_bury_due(Gossip *gossip, GossipActions *actions)
{
    uint32_t i = 0;

    while (i < gossip->suspect_count)
    {
        uint32_t number = gossip->suspects[i];
        GossipMember *member = &gossip->members[number];

        if (gossip->now_ms < burial_of(gossip, member))
        {
            i++;
            continue;
        }
        if (!is_accuser(member, gossip->self))
        {
            member->check_due_ms = gossip->now_ms + gossip->config.probe_interval_ms;
            gossip_probe(gossip, number);
            i++;
            continue;
        }
        gossip->counters.deaths++;
        hold(gossip, number, GOSSIP_DEAD, member->incarnation, actions);
        add_news(gossip, number);
    }
}
