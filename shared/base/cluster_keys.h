/*
 * ClusterKeys: the secrets that all nodes of a cluster share, in the form that the sealing of
 * contexts and datagrams takes.
 *
 * The first is in use: contexts and datagrams are sealed under it. The others are installed: what
 * was sealed under them opens. They are secrets: whoever copies them wipes the copy.
 */
#ifndef SHARED_BASE_CLUSTER_KEYS_H
#define SHARED_BASE_CLUSTER_KEYS_H

#include <stdint.h>

enum
{
    CLUSTER_KEYS_MAX = 8,
    CLUSTER_KEY_BYTES = 32
};

typedef struct ClusterKeys
{
    uint8_t keys[CLUSTER_KEYS_MAX][CLUSTER_KEY_BYTES];
    uint32_t count; /* at least 1, once there are any */
} ClusterKeys;

#endif
