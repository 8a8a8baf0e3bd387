/*
 * node_config: the engine's configuration, from the node's options and its identity.
 */
#ifndef NODE_HOST_NODE_CONFIG_H
#define NODE_HOST_NODE_CONFIG_H

#include "node/config/config.h"
#include "node/config/identity.h"
#include "node/engine/engine.h"

enum
{
    NODE_CONFIG_ADDRESS_SIZE = 64
};

/*
 * Names become numeric addresses here, once, and wait for the system to know them. address: as the
 * others reach this node. seeds: a canonical list, sorted and each once, so that nodes can compare
 * theirs as sets; the caller frees it with memory_resize, also when this fails. Refused: what is
 * unknown, and an address that leads others elsewhere.
 */
Outcome node_config_resolve(const Config *config, char address[NODE_CONFIG_ADDRESS_SIZE],
                            char **seeds) MUST_CHECK;

/* Borrows strings from config, and the last two. */
EngineConfig node_config_of(const Config *config, const Identity *identity, const char *address,
                            const char *seeds);

/* What a reload may change. */
void node_config_limits(const Config *config, EngineConfig *engine);

#endif
