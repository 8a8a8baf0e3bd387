/*
 * gossip_seal: datagrams that only who has a key of the cluster can make or read.
 *
 *     version 1 | tag of the key 4 | nonce 24 | packet, encrypted | its MAC 16
 *
 * XChaCha20-Poly1305 (libsodium, draft-irtf-cfrg-xchacha) under a key made of the cluster's; the
 * version and the tag are authenticated too. The tag tells which key of the ring is meant, so that
 * a datagram under no key of ours costs no decryption. Whether a packet comes a second time is not
 * seen here: see gossip_window.h.
 */
#ifndef NODE_ENGINE_CLUSTER_GOSSIP_SEAL_H
#define NODE_ENGINE_CLUSTER_GOSSIP_SEAL_H

#include "node/engine/cluster/gossip_packet.h"

enum
{
    GOSSIP_KEYS_MAX = 8,
    GOSSIP_NONCE_BYTES = 24
};

typedef struct GossipKey
{
    uint8_t tag[4];
    uint8_t bytes[32];
} GossipKey;

/* The first seals, any opens. */
typedef struct GossipKeys
{
    GossipKey keys[GOSSIP_KEYS_MAX];
    uint32_t count;
} GossipKeys;

typedef enum GossipOpened
{
    GOSSIP_OPENED,
    GOSSIP_MALFORMED,   /* no datagram of ours: too short or long, another version */
    GOSSIP_UNKNOWN_KEY, /* under no key of the ring */
    GOSSIP_FORGED       /* names a key of the ring, but was not made with it */
} GossipOpened;

/* The keys for a cluster's keys, of which there are 1 to GOSSIP_KEYS_MAX, the sealing one first. */
GossipKeys gossip_keys(const uint8_t (*cluster_keys)[32], uint32_t count);

/* Appends the datagram. The nonce must be drawn at random for each one. */
void gossip_seal(Buffer *datagram, const GossipKeys *keys, const uint8_t nonce[GOSSIP_NONCE_BYTES],
                 Slice packet);

/* Appends the packet's bytes when the datagram is authentic, else nothing. */
GossipOpened gossip_open(Buffer *packet, const GossipKeys *keys, Slice datagram);

#endif
