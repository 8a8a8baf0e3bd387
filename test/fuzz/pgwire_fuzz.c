/*
 * Plays bytes to the protocol parser: the first byte chooses the state, the rest is what the client
 * sent. Every complete message is taken apart as the session would do it.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "node/server/pgwire.h"

#define FRAME_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
take_startup(Slice payload)
{
    PgwireStartup startup;
    const char *error = NULL;
    Buffer out;

    if (!pgwire_parse_startup(payload, &startup, &error))
    {
        assert(error != NULL);
        return;
    }
    if (startup.kind != PGWIRE_STARTUP_LOGIN || startup.user == NULL)
        return;
    assert(strlen(startup.user) > 0 && strlen(startup.database) < payload.length);
    buffer_init(&out, &MEMORY_HEAP);
    pgwire_put_negotiate(&out, &startup);
    buffer_free(&out);
}

static void
take_message(const PgwireMessage *message)
{
    const char *name;
    Slice slice;
    char kind;
    PgwireParse parse;
    PgwireBind bind;

    switch (message->action)
    {
    case PGWIRE_STARTUP:
        take_startup(message->payload);
        break;
    case PGWIRE_SASL_INITIAL:
        if (pgwire_parse_sasl_initial(message->payload, &name, &slice))
            assert(strlen(name) + 5 + slice.length == message->payload.length);
        break;
    case PGWIRE_QUERY:
        name = pgwire_parse_string(message->payload);
        assert(name == NULL || strlen(name) + 1 == message->payload.length);
        break;
    case PGWIRE_PARSE:
        if (pgwire_parse_parse(message->payload, &parse))
            assert(strlen(parse.statement) + strlen(parse.sql) < message->payload.length);
        break;
    case PGWIRE_BIND:
        if (pgwire_parse_bind(message->payload, &bind))
        {
            for (size_t i = 0; i < 70000; i += 997)
                assert(pgwire_bind_format(&bind, i) <= 1);
        }
        break;
    case PGWIRE_DESCRIBE:
    case PGWIRE_CLOSE:
        if (pgwire_parse_target(message->payload, &kind, &name))
            assert(strlen(name) + 2 == message->payload.length);
        break;
    case PGWIRE_EXECUTE:
        if (pgwire_parse_execute(message->payload, &name))
            assert(strlen(name) + 5 == message->payload.length);
        break;
    default:
        break;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    PgwireState state;
    Slice input;

    if (size == 0)
        return 0;
    state = (PgwireState)(data[0] % PGWIRE_STATE_COUNT);
    input = slice_make(data + 1, size - 1);
    for (;;)
    {
        PgwireMessage message;
        const char *error = NULL;

        if (pgwire_next(state, input, FRAME_MAX, &message, &error) != PGWIRE_COMPLETE)
            return 0;
        assert(message.size <= input.length && message.size >= 5);
        assert(message.payload.data >= input.data &&
               message.payload.data + message.payload.length == input.data + message.size);
        take_message(&message);
        input = slice_make(input.data + message.size, input.length - message.size);
    }
}
