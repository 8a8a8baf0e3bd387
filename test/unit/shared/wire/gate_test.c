/* Servers that lie. None of them may get a password, an open link, or a computation without end, in
 * clear or under TLS. */
#include "shared/wire/gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "test/unit/node/server/far_end.h"

/* The link is broken for this reason, in much less time than a computation takes. */
static void
expect_refusal(FarEnd *end, const char *why)
{
    assert_int_equal(far_end_await_state(end, LINK_BROKEN), LINK_BROKEN);
    if (strstr(link_error(end->link), why) == NULL)
        fail_msg("\"%s\" instead of \"%s\"", link_error(end->link), why);
    assert_int_equal(end->in.length, 0);
}

static void
lie_at_once(bool over_tls, uint32_t code, const char *body, size_t length, const char *why)
{
    FarEnd end;

    far_end_start(&end, over_tls);
    far_end_open_link(&end);
    far_end_await_startup(&end);
    far_end_request(&end, code, body, length);
    expect_refusal(&end, why);
    far_end_stop(&end);
}

static void
no_login_at_all_is_refused(void **state)
{
    for (int tls = 0; tls <= 1; tls++)
        lie_at_once(tls, 0, "", 0, "lets us in without a proof");
}

static void
the_password_is_given_to_nobody(void **state)
{
    for (int tls = 0; tls <= 1; tls++)
    {
        lie_at_once(tls, 3, "", 0, "another login than SCRAM-SHA-256");
        lie_at_once(tls, 5, "salt", 4, "another login than SCRAM-SHA-256");
        lie_at_once(tls, 7, "", 0, "another login than SCRAM-SHA-256");
        lie_at_once(tls, 10, "PLAIN\0", 7, "another mechanism");
    }
}

/* SCRAM up to the client's first message, then a server-first of our own making. */
static void
answer_first(bool over_tls, const char *format, const char *why)
{
    static const char plus[] = SCRAM_MECHANISM_PLUS "\0";
    static const char plain[] = SCRAM_MECHANISM "\0";
    char first[256];
    FarEnd end;
    Buffer body;
    const char *nonce;

    buffer_init(&body, &MEMORY_HEAP);
    far_end_start(&end, over_tls);
    far_end_open_link(&end);
    far_end_await_startup(&end);
    if (over_tls)
        far_end_request(&end, 10, plus, sizeof(plus));
    else
        far_end_request(&end, 10, plain, sizeof(plain));
    far_end_await_message(&end, 'p', &body);
    buffer_put_u8(&body, 0);
    nonce = strstr((char *)body.data + strlen((char *)body.data) + 5, "r=") + 2;
    snprintf(first, sizeof(first), format, nonce);
    far_end_request(&end, 11, first, strlen(first));
    expect_refusal(&end, why);
    far_end_stop(&end);
    buffer_free(&body);
}

static void
nobody_makes_us_compute_for_long(void **state)
{
    static const char *const counts[] = {
        "2147483647",           "100001", "4095", "1", "", "-1", "+99999", " 4096",
        "99999999999999999999", "4096x"};
    char format[128];

    for (int tls = 0; tls <= 1; tls++)
        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        {
            snprintf(format, sizeof(format), "r=%%sx,s=c2l4dGVlbiBvZiBzYWx0AA==,i=%s", counts[i]);
            answer_first(tls, format, counts[i][0] != '\0' ? "iterations" : "malformed");
        }
}

static void
what_is_no_server_first_never_comes_to_libpq(void **state)
{
    static const char *const formats[] = {"", "r=%s", "i=4096,r=%sx,s=c2l4dGVlbiBvZiBzYWx0AA==",
                                          "r=%sx,s=c2l4dGVlbiBvZiBzYWx0AA==,i=4096,i=2147483647",
                                          "r=%sx,s=c2l4dGVlbiBvZiBzYWx0AA==,i=4096,m=x"};

    for (int tls = 0; tls <= 1; tls++)
        for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
            answer_first(tls, formats[i], "malformed");
}

static void
a_wrong_signature_is_refused(void **state)
{
    for (int tls = 0; tls <= 1; tls++)
    {
        FarEnd end;
        Buffer final;

        buffer_init(&final, &MEMORY_HEAP);
        far_end_start(&end, tls);
        far_end_open_link(&end);
        far_end_await_startup(&end);
        far_end_begin_scram(&end);
        far_end_prove(&end, &final);
        final.data[5] = final.data[5] == 'A' ? 'B' : 'A';
        far_end_request(&end, 12, final.data, final.length);
        far_end_request(&end, 0, "", 0);
        far_end_say(&end, 'Z', "I", 1);
        expect_refusal(&end, "incorrect server signature");
        far_end_stop(&end);
        buffer_free(&final);
    }
}

static void
ok_without_a_signature_is_refused(void **state)
{
    for (int tls = 0; tls <= 1; tls++)
    {
        FarEnd end;
        Buffer final;

        buffer_init(&final, &MEMORY_HEAP);
        far_end_start(&end, tls);
        far_end_open_link(&end);
        far_end_await_startup(&end);
        far_end_begin_scram(&end);
        far_end_prove(&end, &final);
        far_end_request(&end, 0, "", 0);
        far_end_say(&end, 'Z', "I", 1);
        expect_refusal(&end, "lets us in without a proof");
        far_end_stop(&end);
        buffer_free(&final);
    }
}

static void
a_scram_begun_is_not_left_for_a_password_in_clear(void **state)
{
    for (int tls = 0; tls <= 1; tls++)
    {
        FarEnd end;

        far_end_start(&end, tls);
        far_end_open_link(&end);
        far_end_await_startup(&end);
        far_end_request(&end, 10, "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0", 34);
        far_end_request(&end, 3, "", 0);
        assert_int_equal(far_end_await_state(&end, LINK_BROKEN), LINK_BROKEN);
        assert_null(memmem(end.in.data, end.in.length, "secret", strlen("secret")));
        far_end_stop(&end);
    }
}

/* What comes in one segment with an honest message is looked at as well. */
static void
a_lie_behind_an_honest_message_is_seen(void **state)
{
    static const uint8_t both[] = "R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0R\0\0\0\x08\0\0\0\3";
    FarEnd end;

    far_end_start(&end, false);
    far_end_open_link(&end);
    far_end_await_startup(&end);
    assert_int_equal(send(end.client, both, sizeof(both) - 1, MSG_NOSIGNAL), sizeof(both) - 1);
    expect_refusal(&end, "left the order");
    far_end_stop(&end);
}

/* Somebody in between who has a certificate of his own: the proof is bound to another one. */
static void
a_login_that_is_not_bound_to_the_connection_is_refused(void **state)
{
    FarEnd end;

    far_end_start(&end, true);
    far_end_open_link(&end);
    far_end_await_startup(&end);
    far_end_request(&end, 10, SCRAM_MECHANISM "\0", sizeof(SCRAM_MECHANISM) + 1);
    expect_refusal(&end, "channel binding");
    far_end_stop(&end);
}

static void
a_server_without_tls_is_refused_unless_the_link_is_to_be_clear(void **state)
{
    FarEnd end;

    far_end_start(&end, true);
    far_end_open_link(&end);
    far_end_await_bytes(&end, 8);
    assert_int_equal(send(end.client, "N", 1, MSG_NOSIGNAL), 1);
    buffer_reset(&end.in);
    expect_refusal(&end, "server does not support SSL");
    far_end_stop(&end);
}

static void
a_mode_that_promises_nothing_is_refused(void **state)
{
    static const char *const modes[] = {"prefer", "allow", "", "requires"};

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
    {
        const char *keywords[] = {"hostaddr", "sslmode", NULL};
        const char *values[] = {"127.0.0.1", modes[i], NULL};
        Link *link = link_open(&MEMORY_HEAP, keywords, values);

        assert_int_equal(link_state(link), LINK_BROKEN);
        assert_int_equal(link_socket(link), -1);
        assert_non_null(strstr(link_error(link), "sslmode must be"));
        link_close(link);
    }
}

static void
an_honest_server_is_linked_to(void **state)
{
    for (int tls = 0; tls <= 1; tls++)
    {
        FarEnd end;
        Slice frame;
        Buffer body;
        uint64_t deadline = far_end_now_ms() + FAR_END_DEADLINE_MS;

        buffer_init(&body, &MEMORY_HEAP);
        far_end_start(&end, tls);
        far_end_begin_stream(&end);
        assert_true(link_send(end.link, slice_from_string("to")));
        assert_int_equal(link_flush(end.link), LINK_STREAMING);
        far_end_await_message(&end, 'd', &body);
        assert_true(slice_equal(buffer_slice(&body), slice_from_string("to")));
        far_end_say(&end, 'd', "fro", 3);
        while (!link_receive(end.link, &frame) && far_end_now_ms() < deadline)
            far_end_turn(&end);
        assert_true(slice_equal(frame, slice_from_string("fro")));
        far_end_stop(&end);
        buffer_free(&body);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_honest_server_is_linked_to),
        cmocka_unit_test(no_login_at_all_is_refused),
        cmocka_unit_test(the_password_is_given_to_nobody),
        cmocka_unit_test(nobody_makes_us_compute_for_long),
        cmocka_unit_test(what_is_no_server_first_never_comes_to_libpq),
        cmocka_unit_test(a_wrong_signature_is_refused),
        cmocka_unit_test(ok_without_a_signature_is_refused),
        cmocka_unit_test(a_scram_begun_is_not_left_for_a_password_in_clear),
        cmocka_unit_test(a_lie_behind_an_honest_message_is_seen),
        cmocka_unit_test(a_login_that_is_not_bound_to_the_connection_is_refused),
        cmocka_unit_test(a_server_without_tls_is_refused_unless_the_link_is_to_be_clear),
        cmocka_unit_test(a_mode_that_promises_nothing_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
