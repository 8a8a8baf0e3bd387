/* Links against a scripted server, honest or not, in clear and over TLS: logins, frames, floods,
 * altered bytes, and lost connections. */
#include "shared/wire/link.h"

#include "shared/wire/chunk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "test/unit/node/server/far_end.h"

static void
say_error(FarEnd *server)
{
    static const char fields[] = "SFATAL\0VFATAL\0C57P01\0Mgoing away.\nnow\0";

    far_end_say(server, 'E', fields, sizeof(fields));
}

static void
a_link_streams_once_the_server_copies_both_ways(void **state)
{
    FarEnd server;

    far_end_start(&server, false);
    far_end_begin_stream(&server);
    assert_string_equal(link_error(server.link), "");
    assert_int_equal(link_wants(server.link), LINK_READ);
    far_end_stop(&server);
}

static void
frames_travel_whole_in_both_directions(void **state)
{
    FarEnd server;
    Buffer body;
    Slice frame;

    buffer_init(&body, &MEMORY_HEAP);
    far_end_start(&server, false);
    far_end_begin_stream(&server);
    assert_true(link_send(server.link, slice_from_string("to the node")));
    assert_int_equal(link_flush(server.link), LINK_STREAMING);
    far_end_await_message(&server, 'd', &body);
    assert_true(slice_equal(buffer_slice(&body), slice_from_string("to the node")));
    far_end_say(&server, 'd', "one", 3);
    far_end_say(&server, 'd', "three", 5);

    uint64_t deadline = far_end_now_ms() + FAR_END_DEADLINE_MS;

    while (!link_receive(server.link, &frame) && far_end_now_ms() < deadline)
        far_end_turn(&server);
    assert_true(slice_equal(frame, slice_from_string("one")));
    while (!link_receive(server.link, &frame) && far_end_now_ms() < deadline)
        far_end_turn(&server);
    assert_true(slice_equal(frame, slice_from_string("three")));
    assert_false(link_receive(server.link, &frame));
    assert_int_equal(link_state(server.link), LINK_STREAMING);
    far_end_stop(&server);
    buffer_free(&body);
}

static void
a_full_socket_is_waited_for_by_the_owner_not_by_the_link(void **state)
{
    enum
    {
        COUNT = 64,
        BYTES = 1 << 20
    };
    FarEnd server;
    Buffer body;
    uint8_t *big = calloc(1, BYTES);

    buffer_init(&body, &MEMORY_HEAP);
    far_end_start(&server, false);
    far_end_begin_stream(&server);
    for (int i = 0; i < COUNT; i++)
    {
        memset(big, i, BYTES);
        assert_true(link_send(server.link, slice_make(big, BYTES)));
    }
    assert_int_equal(link_flush(server.link), LINK_STREAMING);
    assert_int_equal(link_wants(server.link), LINK_READ | LINK_WRITE);
    for (int i = 0; i < COUNT; i++)
    {
        far_end_await_message(&server, 'd', &body);
        assert_int_equal(body.length, BYTES);
        assert_int_equal(body.data[BYTES - 1], i);
    }
    assert_int_equal(link_step(server.link), LINK_STREAMING);
    assert_int_equal(link_wants(server.link), LINK_READ);
    far_end_stop(&server);
    buffer_free(&body);
    free(big);
}

/* Small frames of growing numbers, until the socket is full and as many more have been queued. */
static uint32_t
fill(FarEnd *server, size_t queued)
{
    uint32_t count = 0;
    static uint8_t frame[10000];

    while (link_queued_bytes(server->link) < queued)
    {
        memcpy(frame, &count, sizeof(count));
        assert_true(link_send(server->link, slice_make(frame, sizeof(frame))));
        assert_int_equal(link_flush(server->link), LINK_STREAMING);
        count++;
    }
    return count;
}

static void
what_the_other_end_does_not_read_is_counted_and_leaves_in_order(void **state)
{
    enum
    {
        QUEUED = 5000000
    };
    FarEnd server;
    Buffer body;
    uint32_t first;
    uint32_t more;

    buffer_init(&body, &MEMORY_HEAP);
    far_end_start(&server, false);
    far_end_begin_stream(&server);
    first = fill(&server, QUEUED);
    for (uint32_t i = 0; i < first / 2; i++)
        far_end_await_message(&server, 'd', &body);
    assert_true(link_queued_bytes(server.link) < QUEUED);
    more = fill(&server, QUEUED);
    for (uint32_t i = first / 2; i < first + more; i++)
    {
        uint32_t expected = i < first ? i : i - first;

        far_end_await_message(&server, 'd', &body);
        assert_int_equal(body.length, 10000);
        assert_memory_equal(body.data, &expected, sizeof(expected));
    }
    assert_int_equal(link_step(server.link), LINK_STREAMING);
    assert_int_equal(link_queued_bytes(server.link), 0);
    assert_false(link_wants(server.link) & LINK_WRITE);
    far_end_stop(&server);
    buffer_free(&body);
}

static void
say_chunk(FarEnd *server, bool last, const char *piece)
{
    ChunkFrame chunk = {.last = last, .piece = slice_from_string(piece)};
    Buffer bytes;

    buffer_init(&bytes, &MEMORY_HEAP);
    chunk_encode(&bytes, 3, &chunk);
    far_end_say(server, 'd', bytes.data, bytes.length);
    buffer_free(&bytes);
}

static void
a_frame_that_comes_in_parts_is_handed_out_whole(void **state)
{
    uint64_t deadline = far_end_now_ms() + FAR_END_DEADLINE_MS;
    FarEnd server;
    Slice frame;

    far_end_start(&server, false);
    far_end_begin_stream(&server);
    assert_false(link_heard_chunk(server.link));
    say_chunk(&server, false, "in ");
    far_end_say(&server, 'd', "between", 7);
    while (!link_receive(server.link, &frame) && far_end_now_ms() < deadline)
        far_end_turn(&server);
    assert_true(slice_equal(frame, slice_from_string("between")));
    assert_true(link_heard_chunk(server.link));
    assert_false(link_heard_chunk(server.link));
    say_chunk(&server, true, "parts");
    while (!link_receive(server.link, &frame) && far_end_now_ms() < deadline)
        far_end_turn(&server);
    assert_true(slice_equal(frame, slice_from_string("in parts")));
    far_end_hang_up(&server);
    assert_false(link_receive(server.link, &frame));
    far_end_stop(&server);
}

static void
a_frame_in_parts_that_came_before_the_loss_is_handed_out(void **state)
{
    uint64_t deadline = far_end_now_ms() + FAR_END_DEADLINE_MS;
    FarEnd server;
    Slice frame;

    far_end_start(&server, false);
    far_end_begin_stream(&server);
    say_chunk(&server, false, "in ");
    say_chunk(&server, true, "parts");
    say_chunk(&server, false, "never whole");
    far_end_hang_up(&server);
    while (link_wants(server.link) != 0 && far_end_now_ms() < deadline)
        far_end_turn(&server);
    assert_true(link_receive(server.link, &frame));
    assert_true(slice_equal(frame, slice_from_string("in parts")));
    assert_false(link_receive(server.link, &frame));
    assert_int_equal(link_state(server.link), LINK_BROKEN);
    far_end_stop(&server);
}

static void
a_part_that_no_node_sends_breaks_the_link(void **state)
{
    uint64_t deadline = far_end_now_ms() + FAR_END_DEADLINE_MS;
    FarEnd server;
    Slice frame;

    far_end_start(&server, false);
    far_end_begin_stream(&server);
    say_chunk(&server, false, "");
    while (link_state(server.link) == LINK_STREAMING && far_end_now_ms() < deadline)
    {
        far_end_turn(&server);
        assert_false(link_receive(server.link, &frame));
    }
    assert_string_equal(link_error(server.link),
                        "the node sent the part of a frame that fits no other");
    far_end_stop(&server);
}

/* A frame as it travels, with one byte of it changed, or sent again; the link must break. */
static void
expect_altered(FarEnd *server, const Buffer *wire)
{
    uint64_t deadline = far_end_now_ms() + FAR_END_DEADLINE_MS;
    Slice frame;

    far_end_say_bare(server, 'd', wire->data, wire->length);
    while (link_state(server->link) == LINK_STREAMING && far_end_now_ms() < deadline)
    {
        far_end_turn(server);
        assert_false(link_receive(server->link, &frame));
    }
    assert_string_equal(link_error(server->link), LINK_ALTERED);
}

static void
a_frame_that_was_altered_is_not_handed_out(void **state)
{
    for (size_t byte = 0; byte < 5 + SEAL_TAG_BYTES; byte++)
    {
        FarEnd server;
        Buffer wire;

        buffer_init(&wire, &MEMORY_HEAP);
        far_end_start(&server, false);
        far_end_begin_stream(&server);
        buffer_put(&wire, "frame", 5);
        seal_put(&server.from_node, &wire, 0);
        wire.data[byte] ^= 1;
        expect_altered(&server, &wire);
        far_end_stop(&server);
        buffer_free(&wire);
    }
}

static void
a_frame_that_comes_again_or_out_of_order_is_not_handed_out(void **state)
{
    uint64_t deadline = far_end_now_ms() + FAR_END_DEADLINE_MS;
    FarEnd server;
    Buffer wire;
    Slice frame;

    buffer_init(&wire, &MEMORY_HEAP);
    far_end_start(&server, false);
    far_end_begin_stream(&server);
    buffer_put(&wire, "frame", 5);
    seal_put(&server.from_node, &wire, 0);
    far_end_say_bare(&server, 'd', wire.data, wire.length);
    while (!link_receive(server.link, &frame) && far_end_now_ms() < deadline)
        far_end_turn(&server);
    assert_true(slice_equal(frame, slice_from_string("frame")));
    expect_altered(&server, &wire);
    far_end_stop(&server);
    buffer_free(&wire);
}

static void
a_frame_without_a_seal_is_not_handed_out(void **state)
{
    FarEnd server;
    Buffer wire;

    buffer_init(&wire, &MEMORY_HEAP);
    far_end_start(&server, false);
    far_end_begin_stream(&server);
    buffer_put(&wire, "bare", 4);
    expect_altered(&server, &wire);
    far_end_stop(&server);
    buffer_free(&wire);
}

/* ---- memory ---- */

/* Gives what it is asked for that often, and then nothing. */
typedef struct Scarcity
{
    int gives;
    bool ran_out;
} Scarcity;

static void *
scarce_try_resize(void *context, void *ptr, size_t size)
{
    Scarcity *scarcity = context;

    if (scarcity->gives-- > 0)
        return realloc(ptr, size);
    scarcity->ran_out = true;
    return NULL;
}

/* Only memory given back may come here: a backend would be in the middle of a frame. */
static void *
scarce_resize(void *context, void *ptr, size_t size)
{
    assert_int_equal(size, 0);
    free(ptr);
    return NULL;
}

/* A frame is received in chunks, and frames are sent until they wait for the socket. */
static void
use_link(FarEnd *server)
{
    static uint8_t bytes[CHUNK_BYTES];
    uint64_t deadline = far_end_now_ms() + FAR_END_DEADLINE_MS;
    Slice frame;
    bool came = false;

    say_chunk(server, false, "in ");
    say_chunk(server, true, "parts");
    while (!came && link_state(server->link) == LINK_STREAMING && far_end_now_ms() < deadline)
    {
        far_end_turn(server);
        came = link_receive(server->link, &frame);
    }
    for (int i = 0; i < 16 && link_send(server->link, slice_make(bytes, CHUNK_BYTES)); i++)
        link_flush(server->link);
}

static void
a_link_for_which_there_is_no_memory_breaks_and_ends_nothing_else(void **state)
{
    Scarcity scarcity = {.ran_out = true};
    Memory memory = {
        .resize = scarce_resize, .try_resize = scarce_try_resize, .context = &scarcity};

    for (int gives = 0; scarcity.ran_out; gives++)
    {
        FarEnd server;

        far_end_start(&server, false);
        server.memory = &memory;
        scarcity = (Scarcity){.gives = gives};
        if (gives == 0)
        {
            far_end_open_link(&server);
            assert_null(server.link);
        }
        else
        {
            far_end_begin_stream(&server);
            use_link(&server);
            assert_int_equal(link_state(server.link) == LINK_BROKEN, scarcity.ran_out);
            assert_string_equal(link_error(server.link), scarcity.ran_out ? "out of memory" : "");
            assert_string_equal(link_sqlstate(server.link), scarcity.ran_out ? "53200" : "");
        }
        far_end_stop(&server);
        assert_true(gives < 20);
    }
}

/* Sends bytes until the link has had enough of them; returns how many. */
static size_t
flood(FarEnd *server, const void *bytes, size_t length, size_t most)
{
    size_t sent = 0;
    Slice frame;

    while (link_state(server->link) == LINK_STREAMING && sent < most)
    {
        ssize_t count = send(server->client, (const char *)bytes + sent % length,
                             length - sent % length, MSG_NOSIGNAL);

        sent += count > 0 ? (size_t)count : 0;
        far_end_turn(server);
        (void)link_receive(server->link, &frame);
    }
    return sent;
}

static void
a_message_of_any_length_breaks_the_link_before_it_fills_the_memory(void **state)
{
    static const uint8_t long_message[] = {'d', 0x20, 0, 0, 0};
    static uint8_t zeros[65536];
    FarEnd server;

    far_end_start(&server, false);
    far_end_begin_stream(&server);
    assert_int_equal(send(server.client, long_message, sizeof(long_message), MSG_NOSIGNAL), 5);
    assert_true(flood(&server, zeros, sizeof(zeros), 256 * 1024 * 1024) < 64 * 1024 * 1024);
    assert_string_equal(link_error(server.link),
                        "the node sends a message longer than there may be");
    far_end_stop(&server);
}

static void
a_client_takes_no_more_in_parts_than_it_has_to_spare(void **state)
{
    static uint8_t zeros[CHUNK_BYTES - 64];
    ChunkFrame chunk = {.piece = slice_make(zeros, sizeof(zeros))};
    FarEnd server;
    Buffer message;

    size_t sent = 0;

    far_end_start(&server, false);
    far_end_begin_stream(&server);
    buffer_init(&message, &MEMORY_HEAP);
    while (link_state(server.link) == LINK_STREAMING && sent < 2 * (size_t)CHUNK_CLIENT_MAX)
    {
        buffer_reset(&message);
        buffer_put_u8(&message, 'd');
        buffer_put_u32(&message, 0);
        chunk_encode(&message, 1, &chunk);
        seal_put(&server.from_node, &message, 5);
        buffer_set_u32(&message, 1, (uint32_t)message.length - 1);
        sent += flood(&server, message.data, message.length, message.length);
    }
    assert_true(sent < CHUNK_CLIENT_MAX + 64 * 1024 * 1024);
    assert_string_equal(link_error(server.link),
                        "the node sent the part of a frame that fits no other");
    buffer_free(&message);
    far_end_stop(&server);
}

/* ---- large frames ---- */

/* Takes messages until a whole frame has come out of them; false when it was a small one. */
static bool
await_frame(FarEnd *server, ChunkJoin *join, Slice *frame, Buffer *body)
{
    for (;;)
    {
        far_end_await_message(server, 'd', body);
        if (!chunk_is_one(buffer_slice(body)))
            return false;
        assert_true(body->length <= CHUNK_BYTES + 10);
        if (chunk_join_add(join, buffer_slice(body), frame) == CHUNK_WHOLE)
            return true;
    }
}

static void
a_large_frame_of_a_node_leaves_in_parts_and_a_small_one_between(void **state)
{
    enum
    {
        BYTES = 48 << 20
    };
    uint8_t *big = calloc(1, BYTES);
    FarEnd server;
    ChunkJoin join;
    Buffer body;
    Slice frame;

    buffer_init(&body, &MEMORY_HEAP);
    chunk_join_init(&join, &MEMORY_HEAP, CHUNK_FRAME_MAX);
    far_end_start(&server, false);
    far_end_begin_stream(&server);
    link_send_in_chunks(server.link);
    big[BYTES - 1] = 7;
    assert_true(link_send(server.link, slice_make(big, BYTES)));
    assert_int_equal(link_flush(server.link), LINK_STREAMING);
    assert_true(link_wants(server.link) & LINK_WRITE);
    assert_true(link_send(server.link, slice_from_string("small")));
    assert_int_equal(link_flush(server.link), LINK_STREAMING);
    assert_false(await_frame(&server, &join, &frame, &body));
    assert_true(slice_equal(buffer_slice(&body), slice_from_string("small")));
    assert_true(await_frame(&server, &join, &frame, &body));
    assert_true(slice_equal(frame, slice_make(big, BYTES)));
    assert_int_equal(link_step(server.link), LINK_STREAMING);
    assert_false(link_wants(server.link) & LINK_WRITE);
    far_end_stop(&server);
    chunk_join_free(&join);
    buffer_free(&body);
    free(big);
}

static void
a_frame_too_large_is_not_queued_and_the_link_goes_on(void **state)
{
    FarEnd server;
    Buffer body;
    uint8_t *big = malloc(MESSAGE_FRAME_MAX + 1);

    buffer_init(&body, &MEMORY_HEAP);
    far_end_start(&server, false);
    far_end_begin_stream(&server);
    assert_false(link_send(server.link, slice_make(big, MESSAGE_FRAME_MAX + 1)));
    link_send_in_chunks(server.link);
    assert_false(link_send(server.link, slice_make(big, (size_t)CHUNK_FRAME_MAX + 1)));
    assert_int_equal(link_state(server.link), LINK_STREAMING);
    assert_true(link_send(server.link, slice_from_string("small")));
    assert_int_equal(link_flush(server.link), LINK_STREAMING);
    far_end_await_message(&server, 'd', &body);
    assert_true(slice_equal(buffer_slice(&body), slice_from_string("small")));
    far_end_stop(&server);
    buffer_free(&body);
    free(big);
}

static void
frames_that_came_before_the_connection_was_lost_are_handed_out(void **state)
{
    FarEnd server;
    Slice frame;

    far_end_start(&server, false);
    far_end_begin_stream(&server);
    far_end_say(&server, 'd', "last but one", 12);
    far_end_say(&server, 'd', "last", 4);
    far_end_hang_up(&server);

    uint64_t deadline = far_end_now_ms() + FAR_END_DEADLINE_MS;

    /* Stepped until the loss is seen, before anything is received. */
    while (link_wants(server.link) != 0 && far_end_now_ms() < deadline)
        far_end_turn(&server);
    assert_int_equal(link_wants(server.link), 0);
    assert_true(link_receive(server.link, &frame));
    assert_true(slice_equal(frame, slice_from_string("last but one")));
    assert_true(link_receive(server.link, &frame));
    assert_true(slice_equal(frame, slice_from_string("last")));
    assert_false(link_receive(server.link, &frame));
    assert_int_equal(link_state(server.link), LINK_BROKEN);
    assert_string_equal(link_error(server.link), "server closed the connection unexpectedly");
    assert_false(link_send(server.link, slice_from_string("x")));
    far_end_stop(&server);
}

static void
the_servers_reason_for_ending_a_stream_is_kept_with_its_sqlstate(void **state)
{
    FarEnd server;
    Slice frame;

    far_end_start(&server, false);
    far_end_begin_stream(&server);
    far_end_say(&server, 'd', "frame", 5);
    say_error(&server);
    far_end_hang_up(&server);

    uint64_t deadline = far_end_now_ms() + FAR_END_DEADLINE_MS;

    while (!link_receive(server.link, &frame) && far_end_now_ms() < deadline)
        far_end_turn(&server);
    assert_true(slice_equal(frame, slice_from_string("frame")));
    while (link_state(server.link) != LINK_BROKEN && far_end_now_ms() < deadline)
    {
        far_end_turn(&server);
        assert_false(link_receive(server.link, &frame));
    }
    assert_string_equal(link_error(server.link), "going away");
    assert_string_equal(link_sqlstate(server.link), "57P01");
    far_end_stop(&server);
}

static void
a_refused_login_gives_the_sqlstate_apart_from_the_words(void **state)
{
    static const char fields[] = "SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed\0";
    FarEnd server;

    far_end_start(&server, false);
    far_end_open_link(&server);
    far_end_await_startup(&server);
    far_end_say(&server, 'E', fields, sizeof(fields));
    assert_int_equal(far_end_await_state(&server, LINK_BROKEN), LINK_BROKEN);
    assert_string_equal(link_sqlstate(server.link), "28P01");
    assert_non_null(strstr(link_error(server.link), "FATAL:  password authentication failed"));
    assert_null(strstr(link_error(server.link), "28P01"));
    assert_null(strchr(link_error(server.link), '\n'));
    far_end_stop(&server);
}

static void
a_server_that_does_not_stream_breaks_the_link(void **state)
{
    static const char fields[] = "SERROR\0VERROR\0C42601\0Msyntax error at or near \"STREAM\"\0";
    FarEnd server;

    far_end_start(&server, false);
    far_end_log_in(&server);
    far_end_await_bytes(&server, 5);
    far_end_say(&server, 'E', fields, sizeof(fields));
    far_end_say(&server, 'Z', "I", 1);
    assert_int_equal(far_end_await_state(&server, LINK_BROKEN), LINK_BROKEN);
    assert_string_equal(link_sqlstate(server.link), "42601");
    assert_string_equal(link_error(server.link), "syntax error at or near \"STREAM\"");
    far_end_stop(&server);
}

static void
a_server_that_answers_something_else_breaks_the_link(void **state)
{
    FarEnd server;

    far_end_start(&server, false);
    far_end_log_in(&server);
    far_end_await_bytes(&server, 5);
    far_end_say(&server, 'C', "SELECT 0", 9);
    far_end_say(&server, 'Z', "I", 1);
    assert_int_equal(far_end_await_state(&server, LINK_BROKEN), LINK_BROKEN);
    assert_string_equal(link_error(server.link), "the server did not begin a stream of frames");
    far_end_stop(&server);
}

static void
a_refused_connection_breaks_the_link(void **state)
{
    FarEnd server;

    far_end_start(&server, false);
    close(server.listener);
    server.listener = -1;
    far_end_open_link(&server);
    assert_int_equal(far_end_await_state(&server, LINK_BROKEN), LINK_BROKEN);
    assert_non_null(strstr(link_error(server.link), "Connection refused"));
    far_end_stop(&server);
}

static void
a_server_that_says_nothing_keeps_the_link_connecting(void **state)
{
    FarEnd server;

    far_end_start(&server, false);
    far_end_open_link(&server);
    far_end_await_startup(&server);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(link_step(server.link), LINK_CONNECTING);
    assert_int_equal(link_wants(server.link), LINK_READ);
    far_end_stop(&server);
}

static void
garbage_instead_of_the_protocol_breaks_the_link(void **state)
{
    FarEnd server;

    far_end_start(&server, false);
    far_end_open_link(&server);
    far_end_await_startup(&server);
    assert_int_equal(send(server.client, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, MSG_NOSIGNAL), 28);
    far_end_hang_up(&server);
    assert_int_equal(far_end_await_state(&server, LINK_BROKEN), LINK_BROKEN);
    assert_string_not_equal(link_error(server.link), "");
    far_end_stop(&server);
}

static void
an_unknown_parameter_breaks_the_link_at_once(void **state)
{
    const char *keywords[] = {"no_such_option", NULL};
    const char *values[] = {"1", NULL};
    Link *link = link_open(&MEMORY_HEAP, keywords, values);

    assert_int_equal(link_state(link), LINK_BROKEN);
    assert_int_equal(link_step(link), LINK_BROKEN);
    assert_int_equal(link_wants(link), 0);
    assert_string_equal(link_error(link), "invalid connection option \"no_such_option\"");
    link_close(link);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_streams_once_the_server_copies_both_ways),
        cmocka_unit_test(frames_travel_whole_in_both_directions),
        cmocka_unit_test(what_the_other_end_does_not_read_is_counted_and_leaves_in_order),
        cmocka_unit_test(a_full_socket_is_waited_for_by_the_owner_not_by_the_link),
        cmocka_unit_test(a_frame_that_comes_in_parts_is_handed_out_whole),
        cmocka_unit_test(a_frame_in_parts_that_came_before_the_loss_is_handed_out),
        cmocka_unit_test(a_part_that_no_node_sends_breaks_the_link),
        cmocka_unit_test(a_frame_that_was_altered_is_not_handed_out),
        cmocka_unit_test(a_frame_that_comes_again_or_out_of_order_is_not_handed_out),
        cmocka_unit_test(a_frame_without_a_seal_is_not_handed_out),
        cmocka_unit_test(a_link_for_which_there_is_no_memory_breaks_and_ends_nothing_else),
        cmocka_unit_test(a_message_of_any_length_breaks_the_link_before_it_fills_the_memory),
        cmocka_unit_test(a_client_takes_no_more_in_parts_than_it_has_to_spare),
        cmocka_unit_test(a_large_frame_of_a_node_leaves_in_parts_and_a_small_one_between),
        cmocka_unit_test(a_frame_too_large_is_not_queued_and_the_link_goes_on),
        cmocka_unit_test(frames_that_came_before_the_connection_was_lost_are_handed_out),
        cmocka_unit_test(the_servers_reason_for_ending_a_stream_is_kept_with_its_sqlstate),
        cmocka_unit_test(a_refused_login_gives_the_sqlstate_apart_from_the_words),
        cmocka_unit_test(a_server_that_does_not_stream_breaks_the_link),
        cmocka_unit_test(a_server_that_answers_something_else_breaks_the_link),
        cmocka_unit_test(a_refused_connection_breaks_the_link),
        cmocka_unit_test(a_server_that_says_nothing_keeps_the_link_connecting),
        cmocka_unit_test(garbage_instead_of_the_protocol_breaks_the_link),
        cmocka_unit_test(an_unknown_parameter_breaks_the_link_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
