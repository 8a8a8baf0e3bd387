/* What nodes decide of the cluster, and who hears whom while they do. */
#include "test/sim/script_private.h"
#include "test/sim/trace.h"

StatusCode
script_try_bucket(Script *script, uint32_t host, const char *name, uint32_t n)
{
    BucketColumn column = {.name = "items", .type = "text"};
    Bucket bucket = {.name = name,
                     .n = n,
                     .key_types = {KEY_TEXT},
                     .key_names = {"id"},
                     .key_count = 1,
                     .columns = &column,
                     .column_count = 1};
    ErrorFrame error;
    Buffer frame;

    if (script_is_over(script))
        return STATUS_UNKNOWN;
    buffer_init(&frame, &MEMORY_HEAP);
    script->client->tag = ++script->client->asker.last_tag;
    bucket_create_encode(&frame, script->client->tag, &bucket);
    script_ask(script, host, &frame);
    buffer_free(&frame);
    if (script_is_over(script) || script->answer.type == FRAME_TOPOLOGY)
        return STATUS_OK;
    return error_decode(&script->answer, &error) ? error.status : STATUS_BAD_FRAME;
}

void
script_make_bucket(Script *script, uint32_t host, const char *name, uint32_t n)
{
    if (script_try_bucket(script, host, name, n) != STATUS_OK)
        script_fail(script, "the nodes that are up do not make a bucket");
}

bool
script_is_filling(const Script *script, uint32_t host)
{
    return engine_is_refilling(script_host(script, host)->engine);
}

void
script_part(Script *script, uint32_t a, uint32_t b, bool parted)
{
    uint32_t one = script_host(script, a)->index;
    uint32_t other = script_host(script, b)->index;

    if (script_is_over(script))
        return;
    trace(script->world, "n%u and n%u %s", one, other,
          parted ? "do not hear each other" : "hear each other again");
    (parted ? network_block : network_unblock)(script->world, one, other);
    (parted ? network_block : network_unblock)(script->world, other, one);
}
