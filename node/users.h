/*
 * Users: who may log in, with which role, and what the node keeps instead of passwords.
 *
 * Read from DIR/users (mode 0600 or refused), one line a user:
 *     name role SCRAM-SHA-256$4096:salt$StoredKey:ServerKey
 * with the verifier as PostgreSQL writes it. The user "_peer" is not in the file: other nodes log
 * in with a password derived from the cluster key, so whoever holds the key is a peer.
 */
#ifndef NODE_USERS_H
#define NODE_USERS_H

#include <stddef.h>
#include <stdint.h>

#include "node/scram.h"
#include "node/outcome.h"

#define USERS_CLUSTER_KEY_BYTES 32
#define USERS_NAME_MAX 63       /* bytes */
#define USERS_PEER_NAME "_peer" /* names that start with '_' are the node's own */
#define USERS_PEER_PASSWORD_SIZE 65

/* What a role may do is decided in one place each: streams in query.c, commands in console.c. */
typedef enum UserRole
{
    USER_ROLE_STATS, /* SHOW only */
    USER_ROLE_DATA,  /* data frames and SHOW */
    USER_ROLE_ADMIN, /* everything */
    USER_ROLE_PEER   /* another node of the cluster */
} UserRole;

typedef struct User
{
    char name[USERS_NAME_MAX + 1];
    UserRole role;
    ScramVerifier verifier;
} User;

typedef struct Users Users;

/* An empty list plus _peer, and the secret for mock exchanges, both from the cluster key. */
Users *users_new(const uint8_t cluster_key[USERS_CLUSTER_KEY_BYTES]);
void users_free(Users *users);

/* Replaces the list by the text of a users file. On failure the list stays as it was. */
Outcome users_parse(Users *users, const char *text, size_t length,
                    const char *file_name) MUST_CHECK;

/* Replaces the list by the file's, which must not be open to group or others. */
Outcome users_load(Users *users, const char *file_name) MUST_CHECK;

/* The user of this name, or NULL. Valid until the next parse, load or free. */
const User *users_find(const Users *users, const char *name);

size_t users_count(const Users *users); /* without _peer */

/*
 * The verifier for a login of this name: the user's, or for a name that does not exist a mock one
 * that is the same on every node and after every restart, and that no password fits.
 */
ScramVerifier users_login_verifier(const Users *users, const char *name);

/* The password with which a node logs in to the others as _peer (64 hex digits and NUL). */
void users_peer_password(const uint8_t cluster_key[USERS_CLUSTER_KEY_BYTES],
                         char password[USERS_PEER_PASSWORD_SIZE]);

const char *users_role_name(UserRole role);

/* Fails on a name that is not a role; "peer" is none that a person can be given. */
Outcome users_role_parse(const char *name, UserRole *role) MUST_CHECK;

/* Fails on a name that may not be given to a user. */
Outcome users_name_check(const char *name) MUST_CHECK;

/*
 * Adds a user to the file (created with mode 0600), or fails if the name is taken. verifier is text
 * in PostgreSQL's form. The file is replaced atomically and synced.
 */
Outcome users_file_add(const char *file_name, const char *name, UserRole role,
                       const char *verifier) MUST_CHECK;

#endif
