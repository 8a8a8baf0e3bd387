#include "node/node_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum
{
    PEER_TIMEOUT_MS = 1000
};

static int
compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *
node_config_seeds(const Config *config)
{
    char *items[RING_NODES_MAX];
    char host[256];
    int port;
    size_t count = 0;
    Buffer list;

    while (count < RING_NODES_MAX && config_seed(config, count, host, sizeof(host), &port))
    {
        items[count] = memory_resize(&MEMORY_HEAP, NULL, sizeof(host) + 8);
        snprintf(items[count++], sizeof(host) + 8, "%s:%d", host, port);
    }
    qsort(items, count, sizeof(char *), compare_texts);
    buffer_init(&list, &MEMORY_HEAP);
    for (size_t i = 0; i < count; i++)
    {
        if (i == 0 || strcmp(items[i], items[i - 1]) != 0)
        {
            if (list.length > 0)
                buffer_put(&list, ",", 1);
            buffer_put(&list, items[i], strlen(items[i]));
        }
    }
    for (size_t i = 0; i < count; i++)
        memory_resize(&MEMORY_HEAP, items[i], 0);
    buffer_put_u8(&list, '\0');
    return (char *)list.data;
}

void
node_config_limits(const Config *config, EngineConfig *engine)
{
    engine->request_timeout_ms = (uint32_t)config->request_timeout_ms;
    engine->max_key_bytes = (uint32_t)config->max_key_bytes;
    engine->max_value_bytes = (uint32_t)config->max_value_bytes;
    engine->siblings_warn = (uint32_t)config->siblings_warn;
    engine->siblings_max = (uint32_t)config->siblings_max;
    engine->buckets_per_user_max = (uint32_t)config->max_buckets_per_user;
    engine->repair_interval_ms = (uint64_t)config->repair_interval_s * 1000;
    engine->reap_interval_ms = (uint64_t)config->reap_interval_s * 1000;
    engine->hints_max_bytes = (uint64_t)config->hints_max_mb * 1024 * 1024;
    engine->admission =
        (AdmissionLimits){.target_ms = (uint32_t)config->max_delay_ms,
                          .frames_max = (uint32_t)config->max_requests,
                          .bytes_max = (uint64_t)config->max_requests_mb * 1024 * 1024};
}

EngineConfig
node_config_of(const Config *config, const Identity *identity, const char *seeds)
{
    EngineConfig engine = {.name = config->node_name,
                           .address = config->advertise_address,
                           .port = (uint16_t)config->port,
                           .zone = config->zone,
                           .weight = 1,
                           .seeds = seeds,
                           .partitions = (uint32_t)config->partitions,
                           .background_bytes = (uint64_t)config->background_mb * 1024 * 1024,
                           .peer_timeout_ms = PEER_TIMEOUT_MS,
                           .keys = identity->keys};

    node_config_limits(config, &engine);
    memcpy(engine.id.bytes, identity->member_id, sizeof(MemberId));
    return engine;
}
