/*
 * Setup: what dynamo_node does besides running: init makes a node's folder, user add a user.
 */
#ifndef NODE_SETUP_H
#define NODE_SETUP_H

#include <stddef.h>

#include "node/outcome.h"
#include "node/users.h"

typedef struct SetupInit
{
    const char *dir;
    const char *cluster_key_file; /* NULL: a new key is drawn, this is the first node */
    const char *const *settings;  /* name=value */
    size_t setting_count;
} SetupInit;

/* Makes the folder (0700; an existing one must be empty) and its files (0600), all synced. */
Outcome setup_init(const SetupInit *init) MUST_CHECK;

/* Adds a user, whose password is the first line of standard input. */
Outcome setup_user_add(const char *dir, const char *name, UserRole role) MUST_CHECK;

#endif
