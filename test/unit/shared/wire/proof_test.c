/* What a server may say before it has proved that it knows the secret, message by message and cut
 * anywhere. */
#include "shared/wire/proof.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SASL "R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"
#define CONTINUE "R\0\0\0\x16\0\0\0\x0br=a,s=b,i=4096"
#define FINAL "R\0\0\0\x0c\0\0\0\x0cv=ab"
#define OK "R\0\0\0\x08\0\0\0\0"
#define STATUS                                                                                     \
    "S\0\0\0\x08"                                                                                  \
    "a\0b\0"
#define READY "Z\0\0\0\5I"
#define LOGIN SASL CONTINUE FINAL OK STATUS READY
#define BYTES(text)                                                                                \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }

static void
a_whole_login_goes_through_and_what_follows_is_not_looked_at(void **state)
{
    static const char bytes[] = LOGIN "R\0\0\0\x08\0\0\0\3";
    Proof proof = {0};

    assert_int_equal(proof_take(&proof, (Slice)BYTES(bytes)), sizeof(LOGIN) - 1);
    assert_null(proof.error);
    assert_int_equal(proof.stage, PROOF_READY);
    assert_int_equal(proof_take(&proof, (Slice)BYTES(OK)), 0);
    assert_null(proof.error);
}

static void
only_whole_messages_are_taken_wherever_the_bytes_are_cut(void **state)
{
    static const char login[] = LOGIN;

    for (size_t cut = 0; cut < sizeof(login); cut++)
    {
        Proof proof = {0};
        size_t first = proof_take(&proof, slice_make(login, cut));
        size_t rest = proof_take(&proof, slice_make(login + first, sizeof(login) - 1 - first));

        assert_true(first <= cut);
        assert_int_equal(first + rest, sizeof(login) - 1);
        assert_null(proof.error);
        assert_int_equal(proof.stage, PROOF_READY);
    }
}

static void
no_message_may_be_left_out_or_come_twice(void **state)
{
    static const Slice wrong[] = {BYTES(OK),
                                  BYTES(CONTINUE),
                                  BYTES(FINAL),
                                  BYTES(SASL SASL),
                                  BYTES(SASL FINAL),
                                  BYTES(SASL OK),
                                  BYTES(SASL CONTINUE CONTINUE),
                                  BYTES(SASL CONTINUE OK),
                                  BYTES(SASL CONTINUE FINAL FINAL),
                                  BYTES(SASL CONTINUE FINAL OK OK),
                                  BYTES(SASL CONTINUE FINAL OK SASL),
                                  BYTES(STATUS OK),
                                  BYTES("R\0\0\0\4")};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
    {
        Proof proof = {0};

        (void)proof_take(&proof, wrong[i]);
        assert_non_null(proof.error);
    }
}

/* Before it has all come, so that nobody makes us keep much. */
static void
a_length_that_no_login_has_is_refused_at_once(void **state)
{
    static const Slice wrong[] = {BYTES("R\0\0\0\3"), BYTES("R\0\0\x07\xd1"),
                                  BYTES("E\0\0\x75\x31"), BYTES("E\xff\xff\xff\xff"),
                                  BYTES("HTTP/1.1 400")};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
    {
        Proof proof = {0};

        assert_int_equal(proof_take(&proof, wrong[i]), 0);
        assert_string_equal(proof.error, "the server does not speak the PostgreSQL protocol");
    }
}

static void
an_error_message_goes_through_at_any_point(void **state)
{
    static const Slice whole[] = {BYTES("E\0\0\0\5\0"), BYTES(SASL "E\0\0\0\5\0"),
                                  BYTES(SASL CONTINUE "E\0\0\0\5\0")};

    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
    {
        Proof proof = {0};

        assert_int_equal(proof_take(&proof, whole[i]), whole[i].length);
        assert_null(proof.error);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_login_goes_through_and_what_follows_is_not_looked_at),
        cmocka_unit_test(only_whole_messages_are_taken_wherever_the_bytes_are_cut),
        cmocka_unit_test(no_message_may_be_left_out_or_come_twice),
        cmocka_unit_test(a_length_that_no_login_has_is_refused_at_once),
        cmocka_unit_test(an_error_message_goes_through_at_any_point),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
