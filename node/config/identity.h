/*
 * Identity: the files of a node's folder that say who it is, and the lock that keeps a second
 * process away from it.
 *
 *     VERSION      version of the folder's layout
 *     member       member id and node key, drawn by init, and a checksum; kept when data/ is lost
 *     cluster.key  the secrets that all nodes of the cluster share (node/config/keyring.h)
 *     lock         held while a node runs
 *     topology     promises and choices of Paxos, kept by node/host/node.c
 *     seen         notes about data directories (node/engine/cluster/witness.h)
 *     dynamo.conf, users, data/
 */
#ifndef NODE_CONFIG_IDENTITY_H
#define NODE_CONFIG_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/config/keyring.h"
#include "node/config/outcome.h"
#include "shared/base/bytes.h"

#define IDENTITY_LAYOUT_VERSION 1
#define IDENTITY_MEMBER_BYTES 16
#define IDENTITY_KEY_BYTES 32

typedef struct Identity
{
    uint8_t member_id[IDENTITY_MEMBER_BYTES];
    uint8_t node_key[IDENTITY_KEY_BYTES];
    ClusterKeys keys; /* of the cluster; read again at SIGHUP */
} Identity;

/* Draws a member id and a node key, and a cluster key too. */
void identity_draw(Identity *identity);

/* Reads cluster keys. A file that others than its owner can read is refused. On failure *keys is
 * wiped. */
Outcome identity_read_keys(const char *file_name, ClusterKeys *keys) MUST_CHECK;

/* Replaces the file of cluster keys, as identity_replace_file does. */
Outcome identity_write_keys(const char *file_name, const ClusterKeys *keys) MUST_CHECK;

/* Writes VERSION, member and cluster.key into a folder; synced, mode 0600. */
Outcome identity_write(const char *dir, const Identity *identity) MUST_CHECK;

/* Writes member anew. */
Outcome identity_write_member(const char *dir, const Identity *identity) MUST_CHECK;

/* True when there is a member file whose checksum does not fit its contents. */
bool identity_member_is_damaged(const char *dir);

/* Fails unless dir is the folder of a node, in the layout that this program reads. */
Outcome identity_check_version(const char *dir) MUST_CHECK;

/* Checks VERSION and reads the rest. The Identity is in locked memory that core dumps leave out;
 * free it with identity_free. On failure *identity is NULL. */
Outcome identity_load(const char *dir, Identity **identity) MUST_CHECK;
void identity_free(Identity *identity);

/* Locks the folder for this process until the process ends. Fails when another one holds it. */
Outcome identity_lock(const char *dir) MUST_CHECK;

/* "DIR/name", cut to size. Returns path. */
const char *identity_path(const char *dir, const char *name, char *path, size_t size);

/* Creates a file with this text, mode 0600, synced; fails if it exists. */
Outcome identity_create_file(const char *path, const char *text) MUST_CHECK;

/* Replaces a file: atomically, synced, mode 0600, its owner kept. */
Outcome identity_replace_file(const char *path, Slice bytes) MUST_CHECK;

/* Makes the names in a folder durable. */
Outcome identity_sync_dir(const char *dir) MUST_CHECK;

#endif
