#include "node/engine/cluster/gossip_seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t OLD_AND_NEW[2][32] = {{1}, {2}};
static const uint8_t NEW_AND_OLD[2][32] = {{2}, {1}};
static const uint8_t NONCE[GOSSIP_NONCE_BYTES] = {9, 8, 7};

typedef struct Fixture
{
    Buffer datagram;
    Buffer packet;
} Fixture;

static int
set_up(void **state)
{
    static Fixture fixture;

    buffer_init(&fixture.datagram, &MEMORY_HEAP);
    buffer_init(&fixture.packet, &MEMORY_HEAP);
    *state = &fixture;
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;

    buffer_free(&fixture->datagram);
    buffer_free(&fixture->packet);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void
seal_hello(Fixture *fixture, const GossipKeys *keys)
{
    gossip_seal(&fixture->datagram, keys, NONCE, slice_from_string("hello"));
}

static void
what_was_sealed_opens_to_what_it_was(void **state)
{
    Fixture *fixture = *state;
    GossipKeys keys = gossip_keys(OLD_AND_NEW, 1);

    seal_hello(fixture, &keys);
    assert_int_equal(fixture->datagram.length, 5 + GOSSIP_SEAL_BYTES);
    assert_int_equal(gossip_open(&fixture->packet, &keys, buffer_slice(&fixture->datagram)),
                     GOSSIP_OPENED);
    assert_true(slice_equal(buffer_slice(&fixture->packet), slice_from_string("hello")));
}

static void
any_key_of_the_ring_opens_while_keys_change(void **state)
{
    Fixture *fixture = *state;
    GossipKeys sealing = gossip_keys(OLD_AND_NEW, 1);
    GossipKeys opening = gossip_keys(NEW_AND_OLD, 2);
    GossipKeys later = gossip_keys(NEW_AND_OLD, 1);
    Slice datagram;

    seal_hello(fixture, &sealing);
    datagram = buffer_slice(&fixture->datagram);
    assert_int_equal(gossip_open(&fixture->packet, &opening, datagram), GOSSIP_OPENED);
    assert_int_equal(gossip_open(&fixture->packet, &later, datagram), GOSSIP_UNKNOWN_KEY);
}

static void
no_byte_can_be_changed(void **state)
{
    Fixture *fixture = *state;
    GossipKeys keys = gossip_keys(OLD_AND_NEW, 2);

    seal_hello(fixture, &keys);
    for (size_t at = 0; at < fixture->datagram.length; at++)
    {
        fixture->datagram.data[at] ^= 0x10;
        assert_int_not_equal(gossip_open(&fixture->packet, &keys, buffer_slice(&fixture->datagram)),
                             GOSSIP_OPENED);
        fixture->datagram.data[at] ^= 0x10;
    }
    assert_int_equal(fixture->packet.length, 0);
}

static void
lengths_out_of_bounds_are_malformed(void **state)
{
    Fixture *fixture = *state;
    GossipKeys keys = gossip_keys(OLD_AND_NEW, 1);
    uint8_t longest[GOSSIP_DATAGRAM_MAX + 1] = {1};

    seal_hello(fixture, &keys);
    for (size_t length = 0; length < fixture->datagram.length; length++)
        assert_int_equal(
            gossip_open(&fixture->packet, &keys, slice_make(fixture->datagram.data, length)),
            length < GOSSIP_SEAL_BYTES ? GOSSIP_MALFORMED : GOSSIP_FORGED);
    assert_int_equal(gossip_open(&fixture->packet, &keys, slice_make(longest, sizeof(longest))),
                     GOSSIP_MALFORMED);
    assert_int_equal(gossip_open(&fixture->packet, &keys, SLICE_EMPTY), GOSSIP_MALFORMED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_sealed_opens_to_what_it_was),
        TEST(any_key_of_the_ring_opens_while_keys_change),
        TEST(no_byte_can_be_changed),
        TEST(lengths_out_of_bounds_are_malformed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
