/*
 * Any bytes as packets under the right key: a list of slices, each the inside of a datagram for a
 * node in a cluster of four. What is taken comes back as it was; whatever is said, the node answers
 * one packet with at most one of its own, and everything it sends can be read.
 */
#include "node/engine/cluster/gossip.h"
#include "test/fuzz/fuzz.h"

enum
{
    MEMBERS = 4,
    PACKETS = 64,
    RUN = 5,
    SENDER_AT = 16, /* the cluster's id is before it, the target's behind */
    TARGET_AT = 32,
    RUN_END = 56 /* the run's number stands last of what is put right */
};

typedef struct Scene
{
    Member members[MEMBERS];
    Topology topology;
    GossipKeys keys;
    Gossip *gossip;
    GossipActions actions;
    uint64_t now_ms;
} Scene;

static void
begin_scene(Scene *scene)
{
    static const uint8_t KEY[1][32] = {{1}};
    GossipConfig config = gossip_config(&(MemberId){{1}});

    *scene = (Scene){.keys = gossip_keys(KEY, 1), .now_ms = 1000};
    for (uint8_t i = 0; i < MEMBERS; i++)
        scene->members[i] = (Member){.id = {{(uint8_t)(i + 1)}}};
    scene->topology = (Topology){.epoch = 1, .members = scene->members, .member_count = MEMBERS};
    scene->gossip = gossip_new(&config, 1, 1);
    gossip_actions_init(&scene->actions);
    gossip_set_topology(scene->gossip, scene->now_ms, &scene->topology);
}

/* The packets sent, each of which must be readable. */
static uint32_t
take_actions(Scene *scene)
{
    GossipPacket packet;
    uint32_t sent = 0;

    for (uint32_t i = 0; i < scene->actions.count; i++)
    {
        const GossipAction *action = &scene->actions.list[i];
        Slice bytes =
            slice_make(scene->actions.packets.data + action->packet_offset, action->packet_length);

        if (action->kind != GOSSIP_SEND)
            continue;
        fuzz_require(action->member < MEMBERS && gossip_packet_decode(bytes, &packet));
        sent++;
    }
    gossip_actions_reset(&scene->actions);
    return sent;
}

static void
give_datagram(Scene *scene, Slice packet)
{
    static const uint8_t NONCE[GOSSIP_NONCE_BYTES] = {1};
    Buffer datagram;

    buffer_init(&datagram, &MEMORY_HEAP);
    gossip_seal(&datagram, &scene->keys, NONCE, packet);
    gossip_receive(scene->gossip, scene->now_ms, &scene->keys, buffer_slice(&datagram), "fuzz",
                   &scene->actions);
    buffer_free(&datagram);
}

/* Ids and run are put right, so that what stands behind them is looked at. */
static void
give_packet(Scene *scene, Slice bytes, uint8_t sender)
{
    uint8_t packet[GOSSIP_PACKET_MAX];

    if (bytes.length < RUN_END || bytes.length > sizeof(packet))
        return;
    memcpy(packet, bytes.data, bytes.length);
    memset(packet, 0, RUN_END);
    packet[SENDER_AT] = (uint8_t)(sender % MEMBERS + 1);
    packet[TARGET_AT] = 1;
    packet[RUN_END - 1] = RUN;
    give_datagram(scene, slice_make(packet, bytes.length));
    fuzz_require(take_actions(scene) <= 1);
}

/* Each greeting is answered, which proves the run that everything else comes from. */
static void
answer_greetings(Scene *scene)
{
    gossip_tick(scene->gossip, scene->now_ms, &scene->actions);
    for (uint32_t i = 0; i < scene->actions.count; i++)
    {
        const GossipAction *action = &scene->actions.list[i];
        uint32_t member = action->member;
        GossipPacket ping;
        GossipPacket ack = {.sender = scene->members[member].id,
                            .target = scene->members[0].id,
                            .run = RUN,
                            .kind = GOSSIP_ACK};
        Buffer packet;

        fuzz_require(gossip_packet_decode(
            slice_make(scene->actions.packets.data + action->packet_offset, action->packet_length),
            &ping));
        ack.echo = ping.number;
        buffer_init(&packet, &MEMORY_HEAP);
        (void)gossip_packet_encode(&packet, &ack);
        give_datagram(scene, buffer_slice(&packet));
        buffer_free(&packet);
        fuzz_require(gossip_state(scene->gossip, member) == GOSSIP_ALIVE);
        if (i + 1 == MEMBERS - 1)
            break;
    }
    gossip_actions_reset(&scene->actions);
}

static void
pass_time(Scene *scene, uint64_t ms)
{
    scene->now_ms += ms;
    gossip_tick(scene->gossip, scene->now_ms, &scene->actions);
    fuzz_require(gossip_wake_ms(scene->gossip) > 0);
    (void)take_actions(scene);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Reader reader = reader_begin(slice_make(data, size));
    Scene scene;

    begin_scene(&scene);
    answer_greetings(&scene);
    for (uint32_t i = 0; i < PACKETS && reader_left(&reader) > 0; i++)
    {
        uint8_t sender = reader_u8(&reader);
        Slice bytes = reader_slice(&reader);

        (void)fuzz_round_trip(bytes, round_trip_gossip);
        give_packet(&scene, bytes, sender);
        pass_time(&scene, sender);
    }
    for (uint32_t i = 0; i < MEMBERS; i++)
        fuzz_require(gossip_state(scene.gossip, i) < GOSSIP_STATE_END);
    fuzz_require(gossip_state(scene.gossip, 0) == GOSSIP_ALIVE);
    gossip_actions_free(&scene.actions);
    gossip_free(scene.gossip);
    return 0;
}
