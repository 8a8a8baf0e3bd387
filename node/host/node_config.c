#include "node/host/node_config.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum
{
    PEER_TIMEOUT_MS = 1000
};

static int
compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The first numeric address of a host, as everybody writes it. */
static Outcome
resolve(const char *option, const char *host, char address[NODE_CONFIG_ADDRESS_SIZE])
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int result = getaddrinfo(host, NULL, &hints, &found);

    if (result == 0)
        result = getnameinfo(found->ai_addr, found->ai_addrlen, address, NODE_CONFIG_ADDRESS_SIZE,
                             NULL, 0, NI_NUMERICHOST);
    if (found != NULL)
        freeaddrinfo(found);
    return result == 0
               ? outcome_ok()
               : outcome_error("option \"%s\": \"%.128s\" is no address, and a name that is "
                               "not known here: %s",
                               option, host, gai_strerror(result));
}

static bool
is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

/* Each as host:port on the heap. */
static Outcome
resolve_seeds(const Config *config, const char *own, char *items[RING_NODES_MAX], size_t *count)
{
    char host[256];
    int port;

    *count = 0;
    while (*count < RING_NODES_MAX && config_seed(config, *count, host, sizeof(host), &port))
    {
        char address[NODE_CONFIG_ADDRESS_SIZE];
        Outcome outcome = resolve("seeds", host, address);

        if (!outcome.failed && is_loopback(own) && !is_loopback(address))
            outcome =
                outcome_error("option \"advertise_address\": others, as seed %.64s:%d, cannot "
                              "reach this node at %s; give the address of this machine",
                              host, port, own);
        if (outcome.failed)
            return outcome;
        items[*count] = memory_resize(&MEMORY_HEAP, NULL, NODE_CONFIG_ADDRESS_SIZE + 8);
        snprintf(items[(*count)++], NODE_CONFIG_ADDRESS_SIZE + 8, "%s:%d", address, port);
    }
    return outcome_ok();
}

static char *
join_seeds(char *items[RING_NODES_MAX], size_t count)
{
    Buffer list;

    qsort(items, count, sizeof(char *), compare_texts);
    buffer_init(&list, &MEMORY_HEAP);
    for (size_t i = 0; i < count; i++)
    {
        if (i > 0 && strcmp(items[i], items[i - 1]) == 0)
            continue;
        if (list.length > 0)
            buffer_put(&list, ",", 1);
        buffer_put(&list, items[i], strlen(items[i]));
    }
    for (size_t i = 0; i < count; i++)
        memory_resize(&MEMORY_HEAP, items[i], 0);
    buffer_put_u8(&list, '\0');
    return (char *)list.data;
}

Outcome
node_config_resolve(const Config *config, char address[NODE_CONFIG_ADDRESS_SIZE], char **seeds)
{
    char *items[RING_NODES_MAX];
    size_t count = 0;
    Outcome outcome = resolve("advertise_address", config->advertise_address, address);

    if (!outcome.failed)
        outcome = resolve_seeds(config, address, items, &count);
    *seeds = join_seeds(items, count);
    return outcome;
}

void
node_config_limits(const Config *config, EngineConfig *engine)
{
    engine->request_timeout_ms = (uint32_t)config->request_timeout_ms;
    engine->max_key_bytes = (uint32_t)config->max_key_bytes;
    engine->max_value_bytes = (uint32_t)config->max_value_bytes;
    engine->siblings_warn = (uint32_t)config->siblings_warn;
    engine->siblings_max = (uint32_t)config->siblings_max;
    engine->host.buckets_per_user_max = (uint32_t)config->max_buckets_per_user;
    engine->repair_interval_ms = (uint64_t)config->repair_interval_s * 1000;
    engine->reap_interval_ms = (uint64_t)config->reap_interval_s * 1000;
    engine->hints_max_bytes = (uint64_t)config->hints_max_mb * 1024 * 1024;
    engine->admission =
        (AdmissionLimits){.target_ms = (uint32_t)config->max_delay_ms,
                          .frames_max = (uint32_t)config->max_requests,
                          .bytes_max = (uint64_t)config->max_requests_mb * 1024 * 1024};
}

EngineConfig
node_config_of(const Config *config, const Identity *identity, const char *address,
               const char *seeds)
{
    EngineConfig engine = {.host.name = config->node_name,
                           .host.address = address,
                           .host.port = (uint16_t)config->port,
                           .host.zone = config->zone,
                           .host.weight = 1,
                           .host.seeds = seeds,
                           .host.partitions = (uint32_t)config->partitions,
                           .background_bytes = (uint64_t)config->background_mb * 1024 * 1024,
                           .host.peer_timeout_ms = PEER_TIMEOUT_MS,
                           .keys = identity->keys};

    node_config_limits(config, &engine);
    memcpy(engine.host.id.bytes, identity->member_id, sizeof(MemberId));
    return engine;
}
