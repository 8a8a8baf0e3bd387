#include "test/unit/node/server/far_end.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

uint64_t
far_end_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void
far_end_start(FarEnd *end, bool over_tls)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);

    *end = (FarEnd){.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0),
                    .client = -1,
                    .memory = &MEMORY_HEAP};
    buffer_init(&end->in, &MEMORY_HEAP);
    assert_int_equal(bind(end->listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(end->listener, 4), 0);
    assert_int_equal(getsockname(end->listener, (struct sockaddr *)&address, &length), 0);
    snprintf(end->port, sizeof(end->port), "%d", ntohs(address.sin_port));
    if (over_tls)
        assert_false(tls_context_make(&end->tls_context).failed);
}

void
far_end_stop(FarEnd *end)
{
    link_close(end->link);
    close(end->listener);
    if (end->client >= 0)
        close(end->client);
    tls_free(end->tls);
    tls_context_free(end->tls_context);
    buffer_free(&end->in);
}

void
far_end_hang_up(FarEnd *end)
{
    close(end->client);
    end->client = -1;
}

void
far_end_open_link(FarEnd *end)
{
    const char *keywords[] = {"hostaddr",   "port",     "user", "dbname",
                              "gssencmode", "password", NULL,   NULL};
    const char *values[] = {"127.0.0.1", end->port, "u", "dynamo", "disable", "secret", NULL, NULL};

    if (end->tls_context != NULL)
    {
        keywords[6] = "sslmode";
        values[6] = "require";
    }
    end->link = link_open(end->memory, keywords, values);
}

static void
put_wire(FarEnd *end, Slice bytes)
{
    if (bytes.length > 0)
        assert_int_equal(send(end->client, bytes.data, bytes.length, MSG_NOSIGNAL), bytes.length);
}

static void
put_cipher(FarEnd *end)
{
    Buffer cipher;

    buffer_init(&cipher, &MEMORY_HEAP);
    tls_take_output(end->tls, &cipher);
    put_wire(end, buffer_slice(&cipher));
    buffer_free(&cipher);
}

static void
put(FarEnd *end, Slice bytes)
{
    if (end->tls == NULL)
        put_wire(end, bytes);
    else
    {
        assert_true(tls_send(end->tls, bytes));
        put_cipher(end);
    }
}

static void
take(FarEnd *end)
{
    static uint8_t bytes[65536];
    ssize_t got;

    if (end->client < 0)
    {
        end->client = accept4(end->listener, NULL, NULL, SOCK_NONBLOCK);
        return;
    }
    got = recv(end->client, bytes, sizeof(bytes), 0);
    if (got > 0 && end->tls == NULL)
        buffer_put(&end->in, bytes, (size_t)got);
    else if (got > 0)
    {
        (void)tls_receive(end->tls, slice_make(bytes, (size_t)got), &end->in);
        put_cipher(end);
    }
}

void
far_end_turn(FarEnd *end)
{
    int wants = link_wants(end->link);
    struct pollfd ends[2] = {
        {.fd = end->client >= 0 ? end->client : end->listener, .events = POLLIN                  },
        {.fd = link_socket(end->link),
         .events = (short)((wants & LINK_READ ? POLLIN : 0) | (wants & LINK_WRITE ? POLLOUT : 0))},
    };

    poll(ends, 2, 10);
    if (ends[0].revents != 0)
        take(end);
    if (ends[1].revents != 0)
        link_step(end->link);
}

void
far_end_await_bytes(FarEnd *end, size_t count)
{
    uint64_t deadline = far_end_now_ms() + FAR_END_DEADLINE_MS;

    while (end->in.length < count && far_end_now_ms() < deadline)
        far_end_turn(end);
    if (end->in.length < count)
        fail_msg("the link sent too little: %s", link_error(end->link));
}

LinkState
far_end_await_state(FarEnd *end, LinkState state)
{
    uint64_t deadline = far_end_now_ms() + FAR_END_DEADLINE_MS;

    while (link_state(end->link) != state && far_end_now_ms() < deadline)
        far_end_turn(end);
    return link_state(end->link);
}

static uint32_t
big_endian(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void
take_packet(FarEnd *end)
{
    uint32_t length;

    far_end_await_bytes(end, 4);
    length = big_endian(end->in.data);
    far_end_await_bytes(end, length);
    buffer_consume(&end->in, length);
}

void
far_end_await_startup(FarEnd *end)
{
    take_packet(end);
    if (end->tls_context == NULL)
        return;
    put_wire(end, slice_from_string("S"));
    end->tls = tls_new(end->tls_context);
    take_packet(end);
}

void
far_end_await_message(FarEnd *end, char type, Buffer *body)
{
    uint32_t length;

    far_end_await_bytes(end, 5);
    length = big_endian(end->in.data + 1);
    far_end_await_bytes(end, (size_t)length + 1);
    assert_int_equal(end->in.data[0], type);
    buffer_reset(body);
    buffer_put(body, end->in.data + 5, length - 4);
    buffer_consume(&end->in, (size_t)length + 1);
    if (type == 'd' && end->tls == NULL)
    {
        assert_true(seal_open(&end->to_node, body->data, body->length));
        body->length -= SEAL_TAG_BYTES;
    }
}

void
far_end_say(FarEnd *end, char type, const void *body, size_t length)
{
    Buffer sealed;

    buffer_init(&sealed, &MEMORY_HEAP);
    buffer_put(&sealed, body, length);
    if (type == 'd' && end->tls == NULL)
        seal_put(&end->from_node, &sealed, 0);
    far_end_say_bare(end, type, sealed.data, sealed.length);
    buffer_free(&sealed);
}

void
far_end_say_bare(FarEnd *end, char type, const void *body, size_t length)
{
    Buffer message;

    buffer_init(&message, &MEMORY_HEAP);
    buffer_put_u8(&message, (uint8_t)type);
    buffer_put_u32(&message, (uint32_t)length + 4);
    buffer_put(&message, body, length);
    put(end, buffer_slice(&message));
    buffer_free(&message);
}

void
far_end_request(FarEnd *end, uint32_t code, const void *body, size_t length)
{
    Buffer request;

    buffer_init(&request, &MEMORY_HEAP);
    buffer_put_u32(&request, code);
    buffer_put(&request, body, length);
    far_end_say(end, 'R', request.data, request.length);
    buffer_free(&request);
}

void
far_end_begin_scram(FarEnd *end)
{
    static const char plus[] = SCRAM_MECHANISM_PLUS "\0" SCRAM_MECHANISM "\0";
    static const char plain[] = SCRAM_MECHANISM "\0";
    static const uint8_t salt[SCRAM_SALT_BYTES] = "sixteen of salt";
    static const uint8_t nonce[SCRAM_NONCE_BYTES] = "eighteen bytes now";
    ScramVerifier verifier;
    Buffer body;
    Buffer reply;
    size_t name;

    buffer_init(&body, &MEMORY_HEAP);
    buffer_init(&reply, &MEMORY_HEAP);
    scram_verifier_make(&verifier, "secret", salt);
    scram_begin(&end->scram, &verifier, nonce,
                end->tls != NULL ? tls_end_point(end->tls) : SLICE_EMPTY);
    if (end->tls != NULL)
        far_end_request(end, 10, plus, sizeof(plus));
    else
        far_end_request(end, 10, plain, sizeof(plain));
    far_end_await_message(end, 'p', &body);
    name = strlen((char *)body.data) + 1;
    assert_string_equal((char *)body.data,
                        end->tls != NULL ? SCRAM_MECHANISM_PLUS : SCRAM_MECHANISM);
    assert_int_equal(scram_client_first(&end->scram, end->tls != NULL,
                                        slice_make(body.data + name + 4, body.length - name - 4),
                                        &reply),
                     SCRAM_CONTINUE);
    far_end_request(end, 11, reply.data, reply.length);
    buffer_free(&body);
    buffer_free(&reply);
}

void
far_end_prove(FarEnd *end, Buffer *final)
{
    Buffer body;

    buffer_init(&body, &MEMORY_HEAP);
    far_end_await_message(end, 'p', &body);
    assert_int_equal(scram_client_final(&end->scram, buffer_slice(&body), final), SCRAM_DONE);
    seal_begin(&end->to_node, &end->from_node, end->scram.verifier.server_key,
               slice_make(end->scram.server_first, end->scram.server_first_length));
    buffer_free(&body);
}

void
far_end_log_in(FarEnd *end)
{
    Buffer final;

    buffer_init(&final, &MEMORY_HEAP);
    far_end_open_link(end);
    far_end_await_startup(end);
    far_end_begin_scram(end);
    far_end_prove(end, &final);
    far_end_request(end, 12, final.data, final.length);
    far_end_request(end, 0, "", 0);
    far_end_say(end, 'Z', "I", 1);
    buffer_free(&final);
}

void
far_end_begin_stream(FarEnd *end)
{
    Buffer query;

    buffer_init(&query, &MEMORY_HEAP);
    far_end_log_in(end);
    far_end_await_message(end, 'Q', &query);
    assert_string_equal((char *)query.data, "STREAM 1");
    buffer_free(&query);
    far_end_say(end, 'W', "\1\0\0", 3);
    assert_int_equal(far_end_await_state(end, LINK_STREAMING), LINK_STREAMING);
}
