/*
 * Keyring: the cluster keys that a node holds, and their text in DIR/cluster.key.
 *
 * The first key is in use: this node seals contexts under it and logs in to the others with it. The
 * others are installed: contexts sealed under them open, and nodes that log in with them are let
 * in. So a cluster changes its key in three rounds, each finished on every node before the next:
 * install, use, remove. The text has a key a line, as 64 hex digits, the one in use first.
 *
 * Pure. Keys are secrets: whoever copies one wipes the copy.
 */
#ifndef NODE_CONFIG_KEYRING_H
#define NODE_CONFIG_KEYRING_H

#include <stddef.h>
#include <stdint.h>

#include "node/config/outcome.h"
#include "shared/base/cluster_keys.h"
#include "shared/data/context.h"

enum
{
    KEYRING_ID_SIZE = 2 * CONTEXT_KEY_ID_BYTES + 1,
    KEYRING_TEXT_SIZE = CLUSTER_KEYS_MAX * (2 * CLUSTER_KEY_BYTES + 1) + 1
};

/* The id of a key, in hex digits, as the pieces of a context have it. It is no secret. */
void keyring_id(const uint8_t key[CLUSTER_KEY_BYTES], char id[KEYRING_ID_SIZE]);

/* Reads a text of at most CLUSTER_KEYS_MAX distinct keys; blank lines do not count. Errors name
 * file_name and line, and no secret. On failure *ring is wiped. */
Outcome keyring_parse(ClusterKeys *ring, const char *text, size_t length,
                      const char *file_name) MUST_CHECK;

void keyring_format(const ClusterKeys *ring, char text[KEYRING_TEXT_SIZE]);

/* Reads one key, blanks around it allowed. */
Outcome keyring_parse_key(uint8_t key[CLUSTER_KEY_BYTES], const char *text) MUST_CHECK;

/* Adds a key behind the others; fails when it is there, or has the id of another, or none fits. */
Outcome keyring_install(ClusterKeys *ring, const uint8_t key[CLUSTER_KEY_BYTES]) MUST_CHECK;

/* Makes the key of this id the first. Fails when there is none. */
Outcome keyring_use(ClusterKeys *ring, const char *id) MUST_CHECK;

/* Takes the key of this id out. Fails when there is none, and on the one in use. */
Outcome keyring_remove(ClusterKeys *ring, const char *id) MUST_CHECK;

#endif
