#include "node/server/pgwire.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define FRAME_MAX 100000
#define SSL_CODE 80877103u
#define GSS_CODE 80877104u
#define CANCEL_CODE 80877102u

static PgwireResult
next(PgwireState state, Slice input, PgwireMessage *message)
{
    const char *error = NULL;
    PgwireResult result = pgwire_next(state, input, FRAME_MAX, message, &error);

    assert_true((result == PGWIRE_INVALID) == (error != NULL));
    return result;
}

/* A message header that promises length bytes, with nothing behind it. */
static PgwireResult
announce(PgwireState state, char type, uint32_t length)
{
    uint8_t bytes[5] = {(uint8_t)type, (uint8_t)(length >> 24), (uint8_t)(length >> 16),
                        (uint8_t)(length >> 8), (uint8_t)length};
    PgwireMessage message;

    if (state == PGWIRE_AWAIT_STARTUP)
        return next(state, slice_make(bytes + 1, 4), &message);
    return next(state, slice_make(bytes, 5), &message);
}

static void
a_message_is_complete_at_its_last_byte(void **state)
{
    static const uint8_t input[] = "Q\0\0\0\x0eSHOW HELP\0next";
    PgwireMessage message;

    for (size_t length = 0; length < 15; length++)
        assert_int_equal(next(PGWIRE_READY, slice_make(input, length), &message),
                         PGWIRE_INCOMPLETE);
    assert_int_equal(message.size, 15);
    assert_int_equal(next(PGWIRE_READY, slice_make(input, sizeof(input)), &message),
                     PGWIRE_COMPLETE);
    assert_int_equal(message.action, PGWIRE_QUERY);
    assert_int_equal(message.size, 15);
    assert_string_equal(pgwire_parse_string(message.payload), "SHOW HELP");
}

/* The only messages that each state takes; all other types of the 256 must be refused. */
static void
every_state_takes_its_own_messages_only(void **state)
{
    static const char *const taken[PGWIRE_STATE_COUNT] = {
        [PGWIRE_AWAIT_STARTUP] = "",
        [PGWIRE_AWAIT_SASL_INITIAL] = "pX",
        [PGWIRE_AWAIT_SASL_RESPONSE] = "pX",
        [PGWIRE_READY] = "QPBDECHSFXdcf",
        [PGWIRE_SKIP_TO_SYNC] = "QPBDECHSFXdcf",
        [PGWIRE_STREAM] = "dcfHSX",
    };

    for (PgwireState s = PGWIRE_AWAIT_SASL_INITIAL; s < PGWIRE_STATE_COUNT; s++)
    {
        for (int type = 0; type < 256; type++)
        {
            bool is_taken = type != 0 && strchr(taken[s], type) != NULL;

            assert_int_equal(announce(s, (char)type, 4),
                             is_taken ? PGWIRE_COMPLETE : PGWIRE_INVALID);
        }
    }
}

static void
lengths_are_bounded_in_every_state(void **state)
{
    static const uint32_t hostile[] = {0, 1, 2, 3, 0x7fffffff, 0x80000000, 0xfffffffb, 0xffffffff};
    static const struct
    {
        PgwireState state;
        char type;
        uint32_t max;
    } limits[] = {
        {PGWIRE_AWAIT_STARTUP,       0,   PGWIRE_STARTUP_MAX    },
        {PGWIRE_AWAIT_SASL_INITIAL,  'p', PGWIRE_SASL_MAX       },
        {PGWIRE_AWAIT_SASL_RESPONSE, 'p', PGWIRE_SASL_MAX       },
        {PGWIRE_READY,               'Q', PGWIRE_QUERY_MAX      },
        {PGWIRE_READY,               'P', PGWIRE_QUERY_MAX + 512},
        {PGWIRE_READY,               'B', PGWIRE_SMALL_MAX      },
        {PGWIRE_READY,               'S', 4                     },
        {PGWIRE_SKIP_TO_SYNC,        'Q', PGWIRE_QUERY_MAX      },
        {PGWIRE_STREAM,              'd', FRAME_MAX + 4         },
        {PGWIRE_STREAM,              'c', 4                     },
    };

    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
    {
        for (size_t h = 0; h < sizeof(hostile) / sizeof(hostile[0]); h++)
            assert_int_equal(announce(limits[i].state, limits[i].type, hostile[h]), PGWIRE_INVALID);
        assert_int_equal(announce(limits[i].state, limits[i].type, limits[i].max + 1),
                         PGWIRE_INVALID);
        assert_int_not_equal(announce(limits[i].state, limits[i].type, limits[i].max),
                             PGWIRE_INVALID);
    }
    for (uint32_t length = 4; length < 8; length++)
        assert_int_equal(announce(PGWIRE_AWAIT_STARTUP, 0, length), PGWIRE_INVALID);
}

/* A startup payload: the code and, unless text is NULL, pairs as "name\0value\0...". */
static Buffer
startup_payload(uint32_t code, const char *text, size_t length)
{
    Buffer payload;

    buffer_init(&payload, &MEMORY_HEAP);
    buffer_put_u32(&payload, code);
    buffer_put(&payload, text, length);
    return payload;
}

#define V3 (3u << 16)
#define PAIRS(text) (text), sizeof(text) /* the literal's own NUL is the terminator */

static bool
parse_startup(uint32_t code, const char *text, size_t length, PgwireStartup *startup)
{
    static Buffer payload; /* what startup points into, until the next call */
    const char *error = NULL;
    bool result;

    if (payload.data != NULL)
        buffer_free(&payload);
    payload = startup_payload(code, text, length);
    result = pgwire_parse_startup(buffer_slice(&payload), startup, &error);
    assert_non_null(error);
    return result;
}

static void
a_login_gives_its_options(void **state)
{
    PgwireStartup startup;

    assert_true(parse_startup(V3,
                              PAIRS("user\0shop\0database\0dynamo\0extra_float_digits\0"
                                    "2\0application_name\0psql\0"),
                              &startup));
    assert_int_equal(startup.kind, PGWIRE_STARTUP_LOGIN);
    assert_string_equal(startup.user, "shop");
    assert_string_equal(startup.database, "dynamo");
    assert_string_equal(startup.application_name, "psql");
    assert_int_equal(startup.pq_option_count, 0);
    assert_true(parse_startup(V3 | 9, PAIRS("user\0shop\0_pq_.x\0y\0"), &startup));
    assert_int_equal(startup.minor, 9);
    assert_int_equal(startup.pq_option_count, 1);
    assert_string_equal(startup.pq_options[0], "_pq_.x");
    assert_string_equal(startup.database, "shop");
}

static void
malformed_startup_packets_are_refused(void **state)
{
    PgwireStartup startup;
    char many[(PGWIRE_OPTIONS_MAX + 1) * 4 + 1] = "";

    assert_false(parse_startup(V3, PAIRS(""), &startup));
    assert_false(parse_startup(V3, PAIRS("user\0"), &startup));
    assert_false(parse_startup(V3, PAIRS("user\0\0"), &startup));
    assert_false(parse_startup(V3, PAIRS("database\0dynamo\0"), &startup));
    assert_false(parse_startup(V3, PAIRS("user\0a\0user\0b\0"), &startup));
    assert_false(parse_startup(V3, PAIRS("user\0a\0\0trailing"), &startup));
    assert_false(parse_startup(V3, "user\0a", 6, &startup));
    assert_false(parse_startup(V3, "user\0a\0", 7, &startup));
    for (size_t i = 0; i <= PGWIRE_OPTIONS_MAX; i++)
        memcpy(many + 4 * i, "x\0y\0", 4);
    assert_false(parse_startup(V3, many, sizeof(many), &startup));
}

static void
other_startup_packets_are_told_apart(void **state)
{
    PgwireStartup startup;

    assert_true(parse_startup(SSL_CODE, "", 0, &startup));
    assert_int_equal(startup.kind, PGWIRE_STARTUP_SSL);
    assert_true(parse_startup(GSS_CODE, "", 0, &startup));
    assert_int_equal(startup.kind, PGWIRE_STARTUP_GSS);
    assert_false(parse_startup(SSL_CODE, "x", 1, &startup));
    assert_true(parse_startup(CANCEL_CODE, "\0\0\0\x07\0\0\0\x09", 8, &startup));
    assert_int_equal(startup.kind, PGWIRE_STARTUP_CANCEL);
    assert_int_equal(startup.cancel_id, 7);
    assert_int_equal(startup.cancel_key, 9);
    assert_false(parse_startup(CANCEL_CODE, "\0\0\0\x07\0\0\0", 7, &startup));
    assert_true(parse_startup(2u << 16, "whatever", 8, &startup));
    assert_int_equal(startup.major, 2);
    assert_null(startup.user);
}

static void
sasl_initial_responses_are_checked(void **state)
{
    const char *mechanism;
    Slice response;

    assert_true(
        pgwire_parse_sasl_initial(slice_make("SCRAM\0\0\0\0\x03n,,", 13), &mechanism, &response));
    assert_string_equal(mechanism, "SCRAM");
    assert_true(slice_equal(response, slice_from_string("n,,")));
    assert_false(pgwire_parse_sasl_initial(slice_make("SCRAM\0\xff\xff\xff\xff", 10), &mechanism,
                                           &response));
    assert_false(
        pgwire_parse_sasl_initial(slice_make("SCRAM\0\0\0\0\x04n,,", 13), &mechanism, &response));
    assert_false(
        pgwire_parse_sasl_initial(slice_make("SCRAM\0\0\0\0\x02n,,", 13), &mechanism, &response));
    assert_false(pgwire_parse_sasl_initial(slice_make("SCRAM", 5), &mechanism, &response));
}

static void
strings_need_one_nul_at_their_end(void **state)
{
    assert_string_equal(pgwire_parse_string(slice_make("abc", 4)), "abc");
    assert_null(pgwire_parse_string(slice_make("abc", 3)));
    assert_null(pgwire_parse_string(slice_make("a\0c", 4)));
    assert_null(pgwire_parse_string(SLICE_EMPTY));
}

static void
bind_messages_are_checked(void **state)
{
    PgwireBind bind;

    assert_true(pgwire_parse_bind(slice_make("p\0s\0\0\0\0\0\0\x01\0\x01", 12), &bind));
    assert_string_equal(bind.portal, "p");
    assert_string_equal(bind.statement, "s");
    assert_int_equal(bind.parameter_count, 0);
    assert_int_equal(pgwire_bind_format(&bind, 5), 1);
    assert_true(pgwire_parse_bind(slice_make("\0\0\0\0\0\0\0\x02\0\0\0\x01", 12), &bind));
    assert_int_equal(pgwire_bind_format(&bind, 0), 0);
    assert_int_equal(pgwire_bind_format(&bind, 1), 1);
    assert_true(
        pgwire_parse_bind(slice_make("\0\0\0\0\0\x02\xff\xff\xff\xff\0\0\0\x01x\0\0", 17), &bind));
    assert_int_equal(bind.parameter_count, 2);
    assert_int_equal(pgwire_bind_format(&bind, 0), 0);
    /* a format that is neither text nor binary; counts and lengths that promise too much */
    assert_false(pgwire_parse_bind(slice_make("\0\0\0\0\0\0\0\x01\0\x02", 10), &bind));
    assert_false(pgwire_parse_bind(slice_make("\0\0\0\0\0\0\xff\xff", 8), &bind));
    assert_false(pgwire_parse_bind(slice_make("\0\0\xff\xff\0\0\0\0", 8), &bind));
    assert_false(pgwire_parse_bind(slice_make("\0\0\0\0\xff\xff\0\0", 8), &bind));
    assert_false(pgwire_parse_bind(slice_make("\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0", 12), &bind));
}

static void
other_extended_messages_are_checked(void **state)
{
    PgwireParse parse;
    const char *name;
    char kind;

    assert_true(pgwire_parse_parse(slice_make("s\0SHOW\0\0\x01\0\0\0\x17", 13), &parse));
    assert_string_equal(parse.sql, "SHOW");
    assert_int_equal(parse.parameter_count, 1);
    assert_false(pgwire_parse_parse(slice_make("s\0SHOW\0\0\x02\0\0\0\x17", 13), &parse));
    assert_true(pgwire_parse_target(slice_make("Sabc", 5), &kind, &name));
    assert_false(pgwire_parse_target(slice_make("Xabc", 5), &kind, &name));
    assert_false(pgwire_parse_target(slice_make("S", 1), &kind, &name));
    assert_true(pgwire_parse_execute(slice_make("\0\0\0\0\0", 5), &name));
    assert_false(pgwire_parse_execute(slice_make("\0\0\0\0", 4), &name));
}

static void
written_messages_have_the_right_length(void **state)
{
    static const uint8_t expected[] = "Z\0\0\0\x05IC\0\0\0\x09SHOW\0d\0\0\0\x06hi";
    Buffer out;
    size_t mark;

    buffer_init(&out, &MEMORY_HEAP);
    pgwire_put_ready(&out, 'I');
    pgwire_put_command_complete(&out, "SHOW");
    mark = pgwire_begin(&out, 'd');
    buffer_put(&out, "hi", 2);
    pgwire_end(&out, mark);
    assert_int_equal(out.length, sizeof(expected) - 1);
    assert_memory_equal(out.data, expected, out.length);
    buffer_free(&out);
}

static void
errors_carry_valid_utf8_only(void **state)
{
    PgwireError error = {"ERROR", "42601", "a\xff\xc3\xa9\xed\xa0\x80\xc0\x80\xf0\x9f\x98\x80\xe2",
                         NULL, "hint"};
    static const uint8_t expected[] = "SERROR\0VERROR\0C42601\0Ma?\xc3\xa9?????\xf0\x9f\x98\x80?\0"
                                      "Hhint\0";
    Buffer out;

    buffer_init(&out, &MEMORY_HEAP);
    pgwire_put_error(&out, &error);
    assert_int_equal(out.length, 5 + sizeof(expected));
    assert_int_equal(out.data[0], 'E');
    assert_memory_equal(out.data + 5, expected, sizeof(expected));
    buffer_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_complete_at_its_last_byte),
        cmocka_unit_test(every_state_takes_its_own_messages_only),
        cmocka_unit_test(lengths_are_bounded_in_every_state),
        cmocka_unit_test(a_login_gives_its_options),
        cmocka_unit_test(malformed_startup_packets_are_refused),
        cmocka_unit_test(other_startup_packets_are_told_apart),
        cmocka_unit_test(sasl_initial_responses_are_checked),
        cmocka_unit_test(strings_need_one_nul_at_their_end),
        cmocka_unit_test(bind_messages_are_checked),
        cmocka_unit_test(other_extended_messages_are_checked),
        cmocka_unit_test(written_messages_have_the_right_length),
        cmocka_unit_test(errors_carry_valid_utf8_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
