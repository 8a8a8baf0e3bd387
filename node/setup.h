/*
 * Setup: the jobs of dynamo_node besides running. init makes a node's folder, user add adds a user,
 * key changes the cluster keys in DIR/cluster.key (a running node reads them at SIGHUP), salvage
 * repairs a damaged folder.
 */
#ifndef NODE_SETUP_H
#define NODE_SETUP_H

#include <stdbool.h>
#include <stddef.h>

#include "node/config/outcome.h"
#include "node/config/users.h"

typedef struct SetupInit
{
    const char *dir;
    const char *cluster_key_file; /* all of its keys; NULL: one is drawn, this is the first node */
    const char *const *settings;  /* name=value */
    size_t setting_count;
} SetupInit;

/* Makes the folder (0700; an existing one must be empty) and its files (0600), all synced. */
Outcome setup_init(const SetupInit *init) MUST_CHECK;

/* Adds a user, whose password is the first line of standard input. */
Outcome setup_user_add(const char *dir, const char *name, UserRole role) MUST_CHECK;

/* Prints id and state of each key. */
Outcome setup_key_list(const char *dir) MUST_CHECK;

/* Installs a key, drawn here or read as hex from the first line of standard input; prints its id.
 */
Outcome setup_key_install(const char *dir, bool generate) MUST_CHECK;

/* As keyring_use and keyring_remove. */
Outcome setup_key_use(const char *dir, const char *id) MUST_CHECK;
Outcome setup_key_remove(const char *dir, const char *id) MUST_CHECK;

/* Repairs the folder of a node that is not running: the data directory (rocks_salvage in
 * node/rocks/rocks.h), a damaged topology, a damaged member id. Prints what has become of each. */
Outcome setup_salvage(const char *dir) MUST_CHECK;

#endif
