/*
 * Users: who may log in, with which role, and what the node keeps instead of passwords.
 *
 * Read from DIR/users (mode 0600 or refused), one line a user:
 *     name role SCRAM-SHA-256$4096:salt$StoredKey:ServerKey
 * with the verifier as PostgreSQL writes it, and a line "!mock" with a secret, from which the
 * salts of names that do not exist are made. These salts look like those of users and last as long:
 * through restarts and other cluster keys, and on every node that has a copy of the file.
 *
 * Other nodes are not in the file. They log in as "_peer_" and the id of a cluster key, with a
 * password derived from that key, so whoever holds a cluster key is a peer.
 */
#ifndef NODE_CONFIG_USERS_H
#define NODE_CONFIG_USERS_H

#include <stddef.h>
#include <stdint.h>

#include "node/config/keyring.h"
#include "node/config/outcome.h"
#include "node/config/scram.h"

#define USERS_NAME_MAX 63 /* bytes */
#define USERS_SECRET_PREFIX "!mock "
#define USERS_SECRET_TEXT_SIZE (sizeof(USERS_SECRET_PREFIX) + 2 * SCRAM_KEY_BYTES + 1)
#define USERS_PEER_PREFIX "_peer_" /* names that start with '_' are the node's own */

/* Two places decide what a role may do: query.c for streams, console.c for commands. */
typedef enum UserRole
{
    USER_ROLE_STATS, /* SHOW only */
    USER_ROLE_DATA,  /* data frames and SHOW */
    USER_ROLE_ADMIN, /* everything */
    USER_ROLE_PEER,  /* another node of the cluster */
    USER_ROLES
} UserRole;

typedef struct User
{
    char name[USERS_NAME_MAX + 1];
    UserRole role;
    ScramVerifier verifier;
} User;

typedef struct Users Users;

/* Makes an empty list and a peer for each key. The secret for logins of names that do not exist is
 * made from the key in use until a users file brings its own. */
Users *users_new(const ClusterKeys *keys);

/* Replaces the peers by those of other cluster keys; the list of users stays. */
void users_set_keys(Users *users, const ClusterKeys *keys);
void users_free(Users *users);

/* Replaces the list by the text of a users file. On failure the list stays as it was. */
Outcome users_parse(Users *users, const char *text, size_t length,
                    const char *file_name) MUST_CHECK;

/* Replaces the list by that of the file, which is refused when others than its owner can read it.
 */
Outcome users_load(Users *users, const char *file_name) MUST_CHECK;

/* The user of this name, or NULL. Valid until the next parse, load, set_keys
 * or free. */
const User *users_find(const Users *users, const char *name);

/*
 * The verifier for a login of this name: the user's, or for a name that does not exist a mock one
 * that stays the same as a user's does, and that no password fits.
 */
ScramVerifier users_login_verifier(const Users *users, const char *name);

/* How a node logs in to the others by a cluster key. */
typedef struct UsersPeerLogin
{
    char name[sizeof(USERS_PEER_PREFIX) + KEYRING_ID_SIZE];
    char password[2 * SCRAM_KEY_BYTES + 1];
} UsersPeerLogin;

void users_peer_login(const uint8_t cluster_key[CLUSTER_KEY_BYTES], UsersPeerLogin *login);

const char *users_role_name(UserRole role);

/* Fails on a name that is not a role. "peer" fails too, since no person can have that role. */
Outcome users_role_parse(const char *name, UserRole *role) MUST_CHECK;

/* Fails on a name that may not be given to a user. */
Outcome users_name_check(const char *name) MUST_CHECK;

/* Writes the text of a new users file: a secret of its own, and no users. */
void users_file_begin(char text[USERS_SECRET_TEXT_SIZE]);

/*
 * Adds a user to the file (created with mode 0600), or fails if the name is taken. verifier is text
 * in PostgreSQL's form. The file is replaced atomically and synced.
 */
Outcome users_file_add(const char *file_name, const char *name, UserRole role,
                       const char *verifier) MUST_CHECK;

#endif
