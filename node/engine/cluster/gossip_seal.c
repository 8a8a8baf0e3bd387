/*
 * Seals and opens datagrams with libsodium. Everything about a packet is secret but its length.
 */
#include "node/engine/cluster/gossip_seal.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

enum
{
    VERSION = 1,
    TAG_BYTES = 4,
    LABEL_BYTES = 1 + TAG_BYTES, /* in the open, authenticated */
    MAC_BYTES = crypto_aead_xchacha20poly1305_ietf_ABYTES
};

_Static_assert(LABEL_BYTES + GOSSIP_NONCE_BYTES + MAC_BYTES == GOSSIP_SEAL_BYTES, "sealing adds");
_Static_assert(GOSSIP_NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "the nonce");

static void
derive(uint8_t *target, size_t length, const char *purpose, const uint8_t cluster_key[32])
{
    crypto_generichash(target, length, (const uint8_t *)purpose, strlen(purpose), cluster_key, 32);
}

GossipKeys
gossip_keys(const uint8_t (*cluster_keys)[32], uint32_t count)
{
    GossipKeys keys = {.count = count};

    assert(count >= 1 && count <= GOSSIP_KEYS_MAX);
    for (uint32_t i = 0; i < count; i++)
    {
        uint8_t tag[crypto_generichash_BYTES_MIN];

        derive(keys.keys[i].bytes, sizeof(keys.keys[i].bytes), "dynamo gossip", cluster_keys[i]);
        derive(tag, sizeof(tag), "dynamo gossip tag", cluster_keys[i]);
        memcpy(keys.keys[i].tag, tag, TAG_BYTES);
    }
    return keys;
}

void
gossip_seal(Buffer *datagram, const GossipKeys *keys, const uint8_t nonce[GOSSIP_NONCE_BYTES],
            Slice packet)
{
    const GossipKey *key = &keys->keys[0];
    uint8_t *label = buffer_reserve(datagram, GOSSIP_SEAL_BYTES + packet.length);

    assert(packet.length <= GOSSIP_PACKET_MAX);
    label[0] = VERSION;
    memcpy(label + 1, key->tag, TAG_BYTES);
    memcpy(label + LABEL_BYTES, nonce, GOSSIP_NONCE_BYTES);
    crypto_aead_xchacha20poly1305_ietf_encrypt(label + LABEL_BYTES + GOSSIP_NONCE_BYTES, NULL,
                                               packet.data, packet.length, label, LABEL_BYTES, NULL,
                                               nonce, key->bytes);
    datagram->length += GOSSIP_SEAL_BYTES + packet.length;
}

static const GossipKey *
find_key(const GossipKeys *keys, const uint8_t *tag)
{
    for (uint32_t i = 0; i < keys->count; i++)
    {
        if (memcmp(keys->keys[i].tag, tag, TAG_BYTES) == 0)
            return &keys->keys[i];
    }
    return NULL;
}

GossipOpened
gossip_open(Buffer *packet, const GossipKeys *keys, Slice datagram)
{
    const GossipKey *key;
    const uint8_t *nonce;
    size_t length;

    if (datagram.length < GOSSIP_SEAL_BYTES || datagram.length > GOSSIP_DATAGRAM_MAX ||
        datagram.data[0] != VERSION)
        return GOSSIP_MALFORMED;
    key = find_key(keys, datagram.data + 1);
    if (key == NULL)
        return GOSSIP_UNKNOWN_KEY;
    nonce = datagram.data + LABEL_BYTES;
    length = datagram.length - GOSSIP_SEAL_BYTES;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(
            buffer_reserve(packet, length), NULL, NULL, nonce + GOSSIP_NONCE_BYTES,
            length + MAC_BYTES, datagram.data, LABEL_BYTES, nonce, key->bytes) != 0)
        return GOSSIP_FORGED;
    packet->length += length;
    return GOSSIP_OPENED;
}
