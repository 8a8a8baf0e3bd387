/*
 * node_config: the engine's configuration, from the node's options and its identity.
 */
#ifndef NODE_NODE_CONFIG_H
#define NODE_NODE_CONFIG_H

#include "node/config.h"
#include "node/engine.h"
#include "node/identity.h"

/* The seeds as a canonical list, sorted and each once, so that nodes can compare theirs as sets.
 * The caller frees it with memory_resize. */
char *node_config_seeds(const Config *config);

/* Borrows strings from config, and seeds. */
EngineConfig node_config_of(const Config *config, const Identity *identity, const char *seeds);

/* What a reload may change. */
void node_config_limits(const Config *config, EngineConfig *engine);

#endif
