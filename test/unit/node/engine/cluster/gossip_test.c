#include "node/engine/cluster/gossip_private.h"
#include "test/lib/gossip_field.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum
{
    NODES = 5,
    OTHERS = NODES - 1
};

/* What the watcher has seen, and what the tap has done. */
typedef struct Record
{
    uint32_t deaths;
    uint32_t suspicions;
    uint32_t cut[2]; /* one end: node cut[0]; other end: node cut[1], or all */
    bool is_cut;
    uint32_t side_count; /* nodes below are apart from the others; 0: none */
    bool recording;
    Buffer tape; /* target, length, datagram */
    uint32_t sent_to[NODES];
    size_t longest;
} Record;

static void
watch(GossipField *field, uint32_t observer, const GossipAction *change)
{
    Record *record = field->context;

    record->deaths += change->state == GOSSIP_DEAD;
    record->suspicions += change->state == GOSSIP_SUSPECT;
}

static bool
is_between(const Record *record, uint32_t from, uint32_t to)
{
    return (record->cut[0] == from && (record->cut[1] == to || record->cut[1] == UINT32_MAX)) ||
           (record->cut[0] == to && (record->cut[1] == from || record->cut[1] == UINT32_MAX));
}

static bool
tap(GossipField *field, uint32_t from, uint32_t to, Slice datagram)
{
    Record *record = field->context;

    if (to < NODES)
        record->sent_to[to]++;
    if (datagram.length > record->longest)
        record->longest = datagram.length;
    if (record->recording)
    {
        buffer_put_varint(&record->tape, to);
        buffer_put_slice(&record->tape, datagram);
    }
    if (record->is_cut && is_between(record, from, to))
        return false;
    return (from < record->side_count) == (to < record->side_count);
}

static GossipField *
make_field(Record *record, uint32_t count, uint64_t seed)
{
    GossipField *field = gossip_field_new(count, seed);

    *record = (Record){0};
    buffer_init(&record->tape, &MEMORY_HEAP);
    assert_true(gossip_field_settle(field));
    field->context = record;
    field->watcher = watch;
    field->tap = tap;
    return field;
}

static void
end_field(GossipField *field)
{
    Record *record = field->context;

    buffer_free(&record->tape);
    gossip_field_free(field);
}

static void
make_it_hard(GossipField *field)
{
    field->loss_percent = 10;
    field->jitter_us = 100000;
}

/* Until that many hold the member for state; the milliseconds it took, at most limit_ms. */
static uint64_t
await(GossipField *field, uint32_t member, GossipState state, uint32_t count, uint64_t limit_ms)
{
    uint64_t since_ms = gossip_field_now_ms(field);

    while (gossip_field_count(field, member, state) < count &&
           gossip_field_now_ms(field) < since_ms + limit_ms)
        gossip_field_run(field, 10);
    return gossip_field_now_ms(field) - since_ms;
}

static GossipCounters
counters_of(const GossipField *field, uint32_t node)
{
    return gossip_counters(field->nodes[node].gossip);
}

/* Gives what was recorded to who it was for, or all of it to one node. */
static void
replay(GossipField *field, Slice tape, uint32_t only)
{
    Reader reader = reader_begin(tape);

    while (reader_left(&reader) > 0)
    {
        uint32_t to = reader_varint32(&reader);
        Slice datagram = reader_slice(&reader);

        gossip_field_inject(field, only != UINT32_MAX ? only : to, datagram, "192.0.2.99:9");
    }
}

/* ---- failure detection ---- */

static void
a_killed_member_is_dead_everywhere_within_five_seconds(void **state)
{
    enum
    {
        SEEDS = 200
    };
    uint64_t sum_ms = 0;

    for (uint64_t seed = 1; seed <= SEEDS; seed++)
    {
        Record record;
        GossipField *field = make_field(&record, NODES, seed);
        uint64_t took_ms;

        if (seed % 2 == 0)
            make_it_hard(field);
        gossip_field_run(field, 1000 + seed * 37);
        gossip_field_kill(field, 3);
        took_ms = await(field, 3, GOSSIP_DEAD, OTHERS, 10000);
        assert_in_range(took_ms, 1500, 5000);
        assert_int_equal(record.deaths, OTHERS);
        sum_ms += took_ms;
        end_field(field);
    }
    assert_in_range(sum_ms / SEEDS, 1500, 2700);
}

static void
nobody_is_declared_dead_under_loss_and_jitter(void **state)
{
    for (uint64_t seed = 1; seed <= 5; seed++)
    {
        Record record;
        GossipField *field = make_field(&record, NODES, seed);

        make_it_hard(field);
        gossip_field_run(field, 1800 * 1000);
        assert_int_equal(record.deaths, 0);
        assert_true(record.suspicions > 0);
        for (uint32_t i = 0; i < NODES; i++)
            assert_int_equal(gossip_field_count(field, i, GOSSIP_ALIVE), OTHERS);
        end_field(field);
    }
}

static void
a_restarted_member_is_back_within_two_seconds(void **state)
{
    for (uint64_t seed = 1; seed <= 50; seed++)
    {
        Record record;
        GossipField *field = make_field(&record, NODES, seed);

        if (seed % 2 == 0)
            make_it_hard(field);
        gossip_field_kill(field, 1);
        (void)await(field, 1, GOSSIP_DEAD, OTHERS, 10000);
        gossip_field_start(field, 1);
        assert_in_range(await(field, 1, GOSSIP_ALIVE, OTHERS, 10000), 1, 2000);
        for (uint32_t i = 0; i < NODES; i++)
            assert_true(i == 1 || gossip_incarnation(field->nodes[i].gossip, 1) > 0);
        end_field(field);
    }
}

static void
a_member_that_restarts_at_once_is_never_dead(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++)
    {
        Record record;
        GossipField *field = make_field(&record, NODES, seed);

        gossip_field_kill(field, 1);
        gossip_field_run(field, 500);
        gossip_field_start(field, 1);
        gossip_field_run(field, 20000);
        assert_int_equal(record.deaths, 0);
        assert_int_equal(gossip_field_count(field, 1, GOSSIP_ALIVE), OTHERS);
        end_field(field);
    }
}

static void
a_stopped_observer_evicts_nobody_and_is_back_within_two_seconds(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++)
    {
        Record record;
        GossipField *field = make_field(&record, NODES, seed);

        field->jitter_us = 100000;
        gossip_field_run(field, seed * 77);
        gossip_field_stop(field, 0);
        gossip_field_run(field, seed % 2 ? 5000 : 120000);
        assert_int_equal(gossip_field_count(field, 0, GOSSIP_DEAD), OTHERS);
        gossip_field_continue(field, 0);
        assert_in_range(await(field, 0, GOSSIP_ALIVE, OTHERS, 10000), 0, 2000);
        gossip_field_run(field, 20000);
        assert_int_equal(record.deaths, OTHERS);
        assert_int_equal(counters_of(field, 0).suspicions, 0);
        assert_int_equal(gossip_doubt(field->nodes[0].gossip), 0);
        assert_true(field->nodes[0].notices[GOSSIP_NOTICE_PAUSED] > 0);
        end_field(field);
    }
}

static void
a_short_stop_evicts_nobody_at_all(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++)
    {
        Record record;
        GossipField *field = make_field(&record, NODES, seed);

        for (uint32_t i = 0; i < 20; i++)
        {
            gossip_field_stop(field, 0);
            gossip_field_run(field, 1000);
            gossip_field_continue(field, 0);
            gossip_field_run(field, 300);
        }
        gossip_field_run(field, 10000);
        assert_int_equal(record.deaths, 0);
        end_field(field);
    }
}

static void
a_node_with_a_fifth_of_its_time_holds_nobody_for_silent(void **state)
{
    Record record;
    GossipField *field = make_field(&record, NODES, 1);

    field->jitter_us = 100000;
    for (uint32_t i = 0; i < 600; i++)
    {
        gossip_field_run(field, 200);
        gossip_field_stop(field, 0);
        gossip_field_run(field, 800);
        gossip_field_continue(field, 0);
    }
    assert_int_equal(counters_of(field, 0).suspicions, 0);
    assert_int_equal(record.deaths, 0);
    end_field(field);
}

static void
two_members_that_do_not_reach_each_other_ask_others(void **state)
{
    Record record;
    GossipField *field = make_field(&record, NODES, 1);

    record.is_cut = true;
    record.cut[0] = 0;
    record.cut[1] = 1;
    gossip_field_run(field, 120000);
    assert_int_equal(record.suspicions, 0);
    assert_int_equal(record.deaths, 0);
    assert_true(counters_of(field, 0).probes > 100);
    end_field(field);
}

static void
a_suspect_that_is_heard_in_time_refutes(void **state)
{
    for (uint64_t seed = 1; seed <= 10; seed++)
    {
        Record record;
        GossipField *field = make_field(&record, NODES, seed);

        record.is_cut = true;
        record.cut[0] = 2;
        record.cut[1] = UINT32_MAX;
        (void)await(field, 2, GOSSIP_SUSPECT, OTHERS, 10000);
        record.is_cut = false;
        (void)await(field, 2, GOSSIP_ALIVE, OTHERS, 10000);
        assert_int_equal(gossip_field_count(field, 2, GOSSIP_ALIVE), OTHERS);
        assert_int_equal(record.deaths, 0);
        assert_true(counters_of(field, 2).refutations > 0);
        end_field(field);
    }
}

static void
one_accuser_alone_waits_longer(void **state)
{
    Record record;
    GossipField *field = make_field(&record, NODES, 1);
    uint64_t silent_ms = gossip_field_now_ms(field);

    /* Nodes 1 to 3 cannot share what node 0 finds out about node 4, and are silent themselves. */
    for (uint32_t i = 1; i < NODES; i++)
        gossip_field_stop(field, i);
    while (gossip_state(field->nodes[0].gossip, 4) != GOSSIP_DEAD)
        gossip_field_run(field, 10);
    assert_in_range(gossip_field_now_ms(field) - silent_ms, 6000, 30000);
    assert_true(gossip_doubt(field->nodes[0].gossip) > 2);
    end_field(field);
}

static void
a_hundred_members_know_of_a_death_within_eight_seconds(void **state)
{
    for (uint64_t seed = 1; seed <= 3; seed++)
    {
        Record record;
        GossipField *field = make_field(&record, 100, seed);

        gossip_field_kill(field, 60);
        assert_in_range(await(field, 60, GOSSIP_DEAD, 99, 20000), 3000, 8000);
        end_field(field);
    }
}

/* Node 0 hears a rumor that is all but ripe, and misses the refutation. */
static void
who_has_only_heard_of_it_looks_before_it_buries(void **state)
{
    Record record;
    GossipField *field = make_field(&record, 100, 3);
    GossipUpdate rumor = {
        .id = field->topology.members[4].id,
        .state = GOSSIP_SUSPECT,
        .accusers = {field->topology.members[1].id, field->topology.members[2].id,
                     field->topology.members[3].id, field->topology.members[5].id},
        .accuser_count = 4
    };

    record.is_cut = true;
    record.cut[0] = 0;
    record.cut[1] = UINT32_MAX;
    gossip_take_update(field->nodes[0].gossip, &rumor, &field->actions);
    gossip_field_act(field, 0);
    gossip_field_run(field, 3100);
    assert_int_equal(gossip_state(field->nodes[0].gossip, 4), GOSSIP_SUSPECT);
    record.is_cut = false;
    gossip_field_run(field, 5000);
    assert_int_equal(gossip_field_count(field, 4, GOSSIP_ALIVE), 99);
    assert_int_equal(record.deaths, 0);
    end_field(field);
}

static void
both_sides_of_a_mended_network_find_each_other(void **state)
{
    for (uint64_t seed = 1; seed <= 10; seed++)
    {
        Record record;
        GossipField *field = make_field(&record, NODES, seed);

        record.side_count = 2;
        gossip_field_run(field, 60000);
        assert_int_equal(record.deaths, 12);
        record.side_count = 0;
        for (uint32_t i = 0; i < NODES; i++)
            (void)await(field, i, GOSSIP_ALIVE, OTHERS, 10000);
        for (uint32_t i = 0; i < NODES; i++)
            assert_int_equal(gossip_field_count(field, i, GOSSIP_ALIVE), OTHERS);
        end_field(field);
    }
}

static void
a_doubted_member_is_found_out_sooner(void **state)
{
    uint64_t sum_ms = 0;

    for (uint64_t seed = 1; seed <= 20; seed++)
    {
        Record record;
        GossipField *field = make_field(&record, NODES, seed);

        gossip_field_kill(field, 4);
        for (uint32_t i = 0; i < OTHERS; i++)
        {
            gossip_doubt_member(field->nodes[i].gossip, gossip_field_now_ms(field), 4);
            gossip_field_act(field, i);
        }
        sum_ms += await(field, 4, GOSSIP_DEAD, OTHERS, 10000);
        end_field(field);
    }
    assert_in_range(sum_ms / 20, 1500, 2400);
}

/* As hellos over connections do it, where no datagram comes through. */
static void
who_is_vouched_for_needs_no_datagrams(void **state)
{
    Record record;
    GossipField *field = make_field(&record, NODES, 1);

    record.is_cut = true;
    record.cut[0] = 2;
    record.cut[1] = UINT32_MAX;
    for (uint32_t round = 0; round < 200; round++)
    {
        for (uint32_t i = 0; i < NODES; i++)
        {
            gossip_vouch(field->nodes[2].gossip, i);
            gossip_vouch(field->nodes[i].gossip, 2);
        }
        gossip_field_run(field, 200);
    }
    assert_int_equal(record.suspicions, 0);
    assert_int_equal(gossip_field_count(field, 2, GOSSIP_ALIVE), OTHERS);
    end_field(field);
}

static void
who_starts_later_learns_who_is_dead(void **state)
{
    Record record;
    GossipField *field = make_field(&record, NODES, 1);

    gossip_field_kill(field, 4);
    (void)await(field, 4, GOSSIP_DEAD, OTHERS, 10000);
    gossip_field_run(field, 60000);
    gossip_field_kill(field, 0);
    gossip_field_start(field, 0);
    assert_int_equal(gossip_state(field->nodes[0].gossip, 4), GOSSIP_UNKNOWN);
    gossip_field_run(field, 1000);
    assert_int_equal(gossip_state(field->nodes[0].gossip, 4), GOSSIP_DEAD);
    end_field(field);
}

/* ---- what is refused ---- */

/* Everything that node 0 holds. */
static void
assert_holds_all_alive(const GossipField *field)
{
    for (uint32_t i = 0; i < NODES; i++)
    {
        assert_int_equal(gossip_state(field->nodes[0].gossip, i), GOSSIP_ALIVE);
        assert_int_equal(gossip_incarnation(field->nodes[0].gossip, i), 0);
    }
}

static void
recorded_packets_count_once(void **state)
{
    Record record;
    GossipField *field = make_field(&record, NODES, 1);
    uint64_t received;
    uint64_t sent;
    Buffer tape;

    record.recording = true;
    gossip_field_run(field, 30000);
    record.recording = false;
    tape = record.tape;
    received = counters_of(field, 0).received;
    sent = counters_of(field, 0).sent;
    replay(field, buffer_slice(&tape), UINT32_MAX);
    replay(field, buffer_slice(&tape), 0);
    assert_int_equal(counters_of(field, 0).received, received);
    assert_int_equal(counters_of(field, 0).sent, sent);
    assert_true(counters_of(field, 0).replayed > 100);
    assert_true(counters_of(field, 0).misdirected > 100);
    assert_holds_all_alive(field);
    end_field(field);
}

static void
a_recorded_run_is_not_believed_again(void **state)
{
    Record record;
    GossipField *field = make_field(&record, NODES, 1);
    uint32_t sent_to_dead;

    record.recording = true;
    for (uint32_t run = 0; run < 3; run++)
    {
        gossip_field_run(field, 3000);
        gossip_field_kill(field, 1);
        gossip_field_start(field, 1);
    }
    gossip_field_run(field, 3000);
    record.recording = false;
    gossip_field_kill(field, 1);
    (void)await(field, 1, GOSSIP_DEAD, OTHERS, 10000);
    gossip_field_run(field, 10000);
    sent_to_dead = record.sent_to[1];
    replay(field, buffer_slice(&record.tape), UINT32_MAX);
    gossip_field_run(field, 1000);
    assert_int_equal(gossip_field_count(field, 1, GOSSIP_DEAD), OTHERS);
    assert_in_range(record.sent_to[1] - sent_to_dead, 0, OTHERS * 13);

    /* It has news of its own to tell, now as ever. */
    gossip_field_start(field, 1);
    assert_in_range(await(field, 1, GOSSIP_ALIVE, OTHERS, 10000), 1, 2000);
    replay(field, buffer_slice(&record.tape), UINT32_MAX);
    gossip_field_run(field, 1000);
    assert_int_equal(gossip_field_count(field, 1, GOSSIP_ALIVE), OTHERS);
    assert_true(counters_of(field, 0).twins > 0);
    assert_int_equal(field->nodes[0].notices[GOSSIP_NOTICE_TWIN], 1);
    end_field(field);
}

/* Somebody keeps back the answers of a run until it is over. */
static void
an_answer_kept_back_does_not_bring_its_run_back(void **state)
{
    Record record;
    GossipField *field = make_field(&record, NODES, 1);
    uint64_t received;

    record.recording = true;
    record.is_cut = true;
    record.cut[0] = 0;
    record.cut[1] = 1;
    gossip_field_run(field, 5000);
    record.recording = false;
    gossip_field_kill(field, 1);
    gossip_field_start(field, 1);
    record.is_cut = false;
    gossip_field_run(field, 3000);
    received = counters_of(field, 0).received;
    replay(field, buffer_slice(&record.tape), UINT32_MAX);
    assert_int_equal(counters_of(field, 0).received, received);
    assert_int_equal(counters_of(field, 0).twins, 0);
    end_field(field);
}

static void
a_restart_is_no_twin(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++)
    {
        Record record;
        GossipField *field = make_field(&record, NODES, seed);

        make_it_hard(field);
        for (uint32_t i = 0; i < 5; i++)
        {
            gossip_field_kill(field, 1);
            gossip_field_start(field, 1);
            gossip_field_run(field, 2000 + 100 * seed);
        }
        for (uint32_t i = 0; i < NODES; i++)
            assert_int_equal(counters_of(field, i).twins, 0);
        end_field(field);
    }
}

/* Seals a packet of another making and gives it to node 0. */
static void
inject_packet(GossipField *field, const GossipKeys *keys, const GossipPacket *packet)
{
    static const uint8_t NONCE[GOSSIP_NONCE_BYTES] = {5};
    Buffer plain;
    Buffer datagram;

    buffer_init(&plain, &MEMORY_HEAP);
    buffer_init(&datagram, &MEMORY_HEAP);
    (void)gossip_packet_encode(&plain, packet);
    gossip_seal(&datagram, keys, NONCE, buffer_slice(&plain));
    gossip_field_inject(field, 0, buffer_slice(&datagram), "192.0.2.99:9");
    buffer_free(&plain);
    buffer_free(&datagram);
}

static GossipPacket
packet_of(const GossipField *field, uint32_t sender)
{
    GossipPacket packet = {.sender = field->topology.members[sender].id,
                           .target = field->topology.members[0].id,
                           .run = 4711,
                           .counter = 1,
                           .epoch = 1,
                           .kind = GOSSIP_PING,
                           .number = 9};

    memcpy(packet.cluster, field->topology.cluster, sizeof(packet.cluster));
    return packet;
}

static void
what_is_not_authentic_gets_no_answer(void **state)
{
    static const uint8_t OTHER_KEY[1][32] = {{99}};
    Record record;
    GossipField *field = make_field(&record, NODES, 1);
    GossipKeys other = gossip_keys(OTHER_KEY, 1);
    GossipPacket packet = packet_of(field, 1);
    uint64_t sent = counters_of(field, 0).sent;
    uint8_t noise[GOSSIP_DATAGRAM_MAX + 10];
    Slice first;

    record.recording = true;
    gossip_field_run(field, 600);
    record.recording = false;
    sent = counters_of(field, 0).sent;
    for (uint32_t i = 0; i < 100; i++)
        inject_packet(field, &other, &packet);

    Reader reader = reader_begin(buffer_slice(&record.tape));

    (void)reader_varint(&reader);
    first = reader_slice(&reader);
    for (size_t at = 0; at < first.length; at++)
    {
        memcpy(noise, first.data, first.length);
        noise[at] ^= 1;
        gossip_field_inject(field, 0, slice_make(noise, first.length), "192.0.2.99:9");
        gossip_field_inject(field, 0, slice_make(first.data, at), "192.0.2.99:9");
    }
    for (size_t length = 0; length <= sizeof(noise); length++)
        gossip_field_inject(field, 0, slice_make(noise, length), "192.0.2.99:9");
    assert_int_equal(counters_of(field, 0).sent, sent);
    assert_int_equal(counters_of(field, 0).unknown_key, 100 + 4);
    assert_true(counters_of(field, 0).forged > 100 && counters_of(field, 0).malformed > 40);
    assert_int_equal(field->nodes[0].notices[GOSSIP_NOTICE_UNKNOWN_KEY], 1);
    assert_int_equal(field->nodes[0].notices[GOSSIP_NOTICE_FORGED], 1);
    assert_holds_all_alive(field);
    end_field(field);
}

static void
another_cluster_under_the_same_key_is_refused(void **state)
{
    Record record;
    GossipField *field = make_field(&record, NODES, 1);
    GossipPacket packet = packet_of(field, 1);
    uint64_t sent = counters_of(field, 0).sent;

    packet.cluster[3] ^= 1;
    inject_packet(field, &field->keys, &packet);
    assert_int_equal(counters_of(field, 0).other_cluster, 1);
    assert_int_equal(field->nodes[0].notices[GOSSIP_NOTICE_OTHER_CLUSTER], 1);
    assert_int_equal(counters_of(field, 0).sent, sent);
    end_field(field);
}

static void
a_process_with_a_copied_id_is_refused_and_told_of(void **state)
{
    Record record;
    GossipField *field = make_field(&record, NODES, 1);
    GossipPacket twin = packet_of(field, 1);
    GossipPacket own = packet_of(field, 0);

    /* It says that it is member 1 and that member 2 is dead, from another address. */
    twin.update_count = 1;
    twin.updates[0] =
        (GossipUpdate){.id = field->topology.members[2].id, .state = GOSSIP_DEAD, .incarnation = 5};
    for (uint32_t i = 0; i < 20; i++)
    {
        twin.counter++;
        inject_packet(field, &field->keys, &twin);
        gossip_field_run(field, 250);
    }
    assert_holds_all_alive(field);
    assert_true(counters_of(field, 0).twins >= 10);
    assert_int_equal(field->nodes[0].notices[GOSSIP_NOTICE_TWIN], 1);
    inject_packet(field, &field->keys, &own);
    assert_int_equal(field->nodes[0].notices[GOSSIP_NOTICE_OWN_ID], 1);

    uint64_t sent = counters_of(field, 0).sent;

    for (uint32_t i = 0; i < 1000; i++)
    {
        twin.counter++;
        inject_packet(field, &field->keys, &twin);
    }
    assert_int_equal(counters_of(field, 0).sent, sent + 1);
    end_field(field);
}

/* As somebody might say who has the key. */
static void
an_incarnation_that_ends_all_refuting_is_not_believed(void **state)
{
    Record record;
    GossipField *field = make_field(&record, NODES, 1);
    GossipUpdate last = {
        .id = field->topology.members[2].id, .state = GOSSIP_DEAD, .incarnation = UINT64_MAX};

    for (uint32_t i = 0; i < NODES; i++)
    {
        gossip_take_update(field->nodes[i].gossip, &last, &field->actions);
        gossip_field_act(field, i);
    }
    assert_int_equal(gossip_field_count(field, 2, GOSSIP_ALIVE), OTHERS);
    last.incarnation = 1000;
    for (uint32_t i = 0; i < NODES; i++)
    {
        gossip_take_update(field->nodes[i].gossip, &last, &field->actions);
        gossip_field_act(field, i);
    }
    gossip_field_run(field, 1000);
    assert_int_equal(gossip_field_count(field, 2, GOSSIP_ALIVE), OTHERS);
    assert_int_equal(gossip_incarnation(field->nodes[0].gossip, 2), 1001);
    end_field(field);
}

/* ---- the rest ---- */

static void
who_has_a_newer_topology_is_told(void **state)
{
    Record record;
    GossipField *field = make_field(&record, NODES, 1);

    field->topology.epoch = 2;
    gossip_set_topology(field->nodes[3].gossip, gossip_field_now_ms(field), &field->topology);
    gossip_field_run(field, 5000);
    assert_int_equal(field->nodes[0].behind_of, 3);
    assert_int_equal(field->nodes[3].behind_of, TOPOLOGY_NO_MEMBER);
    end_field(field);
}

static void
a_new_topology_keeps_what_is_known_of_who_stays(void **state)
{
    Record record;
    GossipField *field = make_field(&record, NODES, 1);
    Topology fewer = field->topology;
    Member members[NODES];
    const Gossip *observer = field->nodes[2].gossip;

    gossip_field_kill(field, 3);
    (void)await(field, 3, GOSSIP_DEAD, OTHERS, 10000);
    memcpy(members, fewer.members, sizeof(members));
    fewer.members = members;
    fewer.epoch = 2;
    members[4].state = MEMBER_LEFT;
    for (uint32_t i = 0; i < NODES; i++)
    {
        if (i != 3)
            gossip_set_topology(field->nodes[i].gossip, gossip_field_now_ms(field), &fewer);
    }
    gossip_field_run(field, 10000);
    assert_int_equal(gossip_field_count(field, 3, GOSSIP_DEAD), OTHERS);
    assert_int_equal(gossip_state(observer, 0), GOSSIP_ALIVE);

    /* Who is no member any more does nothing and wants nothing. */
    assert_int_equal(gossip_wake_ms(field->nodes[4].gossip), UINT64_MAX);

    GossipUpdate rumor = {
        .id = fewer.members[1].id,
        .state = GOSSIP_SUSPECT,
        .accusers = {fewer.members[0].id, fewer.members[3].id},
        .accuser_count = 2
    };

    gossip_take_update(field->nodes[2].gossip, &rumor, &field->actions);
    fewer.epoch = 3;
    members[0].state = MEMBER_LEFT;
    gossip_set_topology(field->nodes[2].gossip, gossip_field_now_ms(field), &fewer);
    assert_int_equal(gossip_state(observer, 0), GOSSIP_LEFT);
    assert_int_equal(gossip_state(observer, 3), GOSSIP_DEAD);
    rumor = gossip_update_of(observer, 1);
    assert_int_equal(rumor.state, GOSSIP_SUSPECT);
    assert_int_equal(rumor.accuser_count, 1);
    assert_memory_equal(&rumor.accusers[0], &members[3].id, sizeof(MemberId));
    end_field(field);
}

/* While partitions move there are more epochs than a probe takes. */
static void
epochs_that_change_no_member_keep_nobody_from_being_found_dead(void **state)
{
    Record record;
    GossipField *field = make_field(&record, NODES, 1);

    gossip_field_kill(field, 3);
    for (uint64_t ms = 0; ms < 5000; ms += 200)
    {
        field->topology.epoch++;
        for (uint32_t i = 0; i < NODES; i++)
        {
            if (i != 3)
                gossip_set_topology(field->nodes[i].gossip, gossip_field_now_ms(field),
                                    &field->topology);
        }
        gossip_field_run(field, 200);
    }
    assert_int_equal(gossip_field_count(field, 3, GOSSIP_DEAD), OTHERS);
    end_field(field);
}

static void
load_travels_with_every_packet(void **state)
{
    Record record;
    GossipField *field = make_field(&record, NODES, 1);

    gossip_set_load(field->nodes[2].gossip,
                    &(GossipLoad){.operations = 40, .hints = 5, .refuses_writes = true});
    gossip_field_run(field, 5000);
    assert_int_equal(field->nodes[0].gossip->members[2].load.operations, 40);
    assert_int_equal(field->nodes[0].gossip->members[2].load.hints, 5);
    assert_true(field->nodes[0].gossip->members[2].load.refuses_writes);
    end_field(field);
}

static void
no_datagram_is_too_long_when_half_the_cluster_dies(void **state)
{
    Record record;
    GossipField *field = make_field(&record, 100, 1);

    for (uint32_t i = 0; i < 50; i++)
        gossip_field_kill(field, 2 * i);
    gossip_field_run(field, 30000);
    for (uint32_t i = 0; i < 50; i++)
        assert_int_equal(gossip_field_count(field, 2 * i, GOSSIP_DEAD), 50);
    for (uint32_t i = 0; i < 50; i++)
        assert_int_equal(gossip_field_count(field, 2 * i + 1, GOSSIP_ALIVE), 49);
    assert_in_range(record.longest, 700, GOSSIP_DATAGRAM_MAX);
    end_field(field);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_member_is_dead_everywhere_within_five_seconds),
        cmocka_unit_test(nobody_is_declared_dead_under_loss_and_jitter),
        cmocka_unit_test(a_restarted_member_is_back_within_two_seconds),
        cmocka_unit_test(a_member_that_restarts_at_once_is_never_dead),
        cmocka_unit_test(a_stopped_observer_evicts_nobody_and_is_back_within_two_seconds),
        cmocka_unit_test(a_short_stop_evicts_nobody_at_all),
        cmocka_unit_test(a_node_with_a_fifth_of_its_time_holds_nobody_for_silent),
        cmocka_unit_test(two_members_that_do_not_reach_each_other_ask_others),
        cmocka_unit_test(a_suspect_that_is_heard_in_time_refutes),
        cmocka_unit_test(one_accuser_alone_waits_longer),
        cmocka_unit_test(a_hundred_members_know_of_a_death_within_eight_seconds),
        cmocka_unit_test(who_has_only_heard_of_it_looks_before_it_buries),
        cmocka_unit_test(both_sides_of_a_mended_network_find_each_other),
        cmocka_unit_test(a_doubted_member_is_found_out_sooner),
        cmocka_unit_test(who_is_vouched_for_needs_no_datagrams),
        cmocka_unit_test(who_starts_later_learns_who_is_dead),
        cmocka_unit_test(recorded_packets_count_once),
        cmocka_unit_test(a_recorded_run_is_not_believed_again),
        cmocka_unit_test(an_answer_kept_back_does_not_bring_its_run_back),
        cmocka_unit_test(a_restart_is_no_twin),
        cmocka_unit_test(what_is_not_authentic_gets_no_answer),
        cmocka_unit_test(another_cluster_under_the_same_key_is_refused),
        cmocka_unit_test(a_process_with_a_copied_id_is_refused_and_told_of),
        cmocka_unit_test(an_incarnation_that_ends_all_refuting_is_not_believed),
        cmocka_unit_test(who_has_a_newer_topology_is_told),
        cmocka_unit_test(a_new_topology_keeps_what_is_known_of_who_stays),
        cmocka_unit_test(epochs_that_change_no_member_keep_nobody_from_being_found_dead),
        cmocka_unit_test(load_travels_with_every_packet),
        cmocka_unit_test(no_datagram_is_too_long_when_half_the_cluster_dies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
