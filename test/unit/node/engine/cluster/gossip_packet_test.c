#include "node/engine/cluster/gossip_packet.h"
#include "test/unit/stages/hostile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static GossipPacket
make_packet(GossipKind kind)
{
    GossipPacket packet = {.run = 0x0123456789abcdef,
                           .counter = 300,
                           .incarnation = 7,
                           .epoch = 12,
                           .kind = kind,
                           .update_count = 3};
    GossipUpdate *suspect = &packet.updates[1];

    packet.cluster[0] = 1;
    packet.sender.bytes[0] = 2;
    packet.target.bytes[0] = 3;
    packet.load = (GossipLoad){.operations = 5, .hints = 200, .refuses_reads = true};
    packet.number = kind == GOSSIP_NACK || kind == GOSSIP_NEWS ? 0 : 77;
    packet.echo = kind == GOSSIP_ACK || kind == GOSSIP_NACK ? 88 : 0;
    if (kind == GOSSIP_PING_REQUEST)
        packet.subject.bytes[0] = 9;
    packet.updates[0] = (GossipUpdate){.id = {{4}}, .state = GOSSIP_ALIVE, .incarnation = 1};
    *suspect = (GossipUpdate){.id = {{5}}, .state = GOSSIP_SUSPECT, .incarnation = 2};
    suspect->accusers[0].bytes[0] = 6;
    suspect->accusers[1].bytes[0] = 7;
    suspect->accuser_count = 2;
    packet.updates[2] = (GossipUpdate){.id = {{8}}, .state = GOSSIP_DEAD, .incarnation = 1000};
    return packet;
}

static void
every_kind_comes_back_as_it_was(void **state)
{
    for (GossipKind kind = GOSSIP_PING; kind < GOSSIP_KIND_END; kind++)
    {
        GossipPacket packet = make_packet(kind);
        GossipPacket again = {0};
        Buffer buffer;

        buffer_init(&buffer, &MEMORY_HEAP);
        assert_int_equal(gossip_packet_encode(&buffer, &packet), 3);
        assert_true(gossip_packet_decode(buffer_slice(&buffer), &again));
        assert_memory_equal(&again.sender, &packet.sender, sizeof(MemberId));
        assert_memory_equal(&again.target, &packet.target, sizeof(MemberId));
        assert_memory_equal(&again.subject, &packet.subject, sizeof(MemberId));
        assert_int_equal(again.run, packet.run);
        assert_int_equal(again.counter, 300);
        assert_int_equal(again.incarnation, 7);
        assert_int_equal(again.epoch, 12);
        assert_int_equal(again.load.hints, 200);
        assert_true(again.load.refuses_reads && !again.load.refuses_writes);
        assert_int_equal(again.number, packet.number);
        assert_int_equal(again.echo, packet.echo);
        assert_int_equal(again.updates[1].accuser_count, 2);
        assert_int_equal(again.updates[1].accusers[1].bytes[0], 7);
        assert_int_equal(again.updates[2].incarnation, 1000);
        buffer_free(&buffer);
    }
}

static void
hostile_bytes_are_refused(void **state)
{
    for (GossipKind kind = GOSSIP_PING; kind < GOSSIP_KIND_END; kind++)
    {
        GossipPacket packet = make_packet(kind);
        Buffer buffer;

        buffer_init(&buffer, &MEMORY_HEAP);
        (void)gossip_packet_encode(&buffer, &packet);
        assert_hostile_bytes_are_refused(buffer_slice(&buffer), round_trip_gossip);
        buffer_free(&buffer);
    }
}

static void
as_many_updates_travel_as_fit(void **state)
{
    GossipPacket packet = make_packet(GOSSIP_NEWS);
    GossipPacket again;
    Buffer buffer;
    uint32_t fitting;

    packet.update_count = GOSSIP_UPDATES_MAX;
    for (uint32_t i = 0; i < GOSSIP_UPDATES_MAX; i++)
        packet.updates[i] = (GossipUpdate){.id = {{(uint8_t)i}},
                                           .state = GOSSIP_SUSPECT,
                                           .incarnation = UINT64_MAX,
                                           .accuser_count = GOSSIP_ACCUSERS_MAX};
    buffer_init(&buffer, &MEMORY_HEAP);
    fitting = gossip_packet_encode(&buffer, &packet);
    assert_in_range(fitting, 10, GOSSIP_UPDATES_MAX - 1);
    assert_in_range(buffer.length, GOSSIP_PACKET_MAX - 100, GOSSIP_PACKET_MAX);
    assert_true(gossip_packet_decode(buffer_slice(&buffer), &again));
    assert_int_equal(again.update_count, fitting);
    assert_int_equal(again.updates[fitting - 1].id.bytes[0], fitting - 1);
    buffer_free(&buffer);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_comes_back_as_it_was),
        cmocka_unit_test(hostile_bytes_are_refused),
        cmocka_unit_test(as_many_updates_travel_as_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
