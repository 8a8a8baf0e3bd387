#include "node/config/scram.h"

#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* RFC 7677 section 3 */
#define RFC_PASSWORD "pencil"
#define RFC_SALT "W22ZaJ0SNY7soEsUEjb6gQ=="
#define RFC_CLIENT_NONCE "rOprNGfwEbeRWgbNEkqO"
#define RFC_NONCE RFC_CLIENT_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define RFC_SERVER_FIRST "r=" RFC_NONCE ",s=" RFC_SALT ",i=4096"
#define RFC_PROOF "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define RFC_SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static const uint8_t nonce[SCRAM_NONCE_BYTES] = "eighteen bytes now";

static void
rfc_verifier(ScramVerifier *verifier)
{
    uint8_t salt[SCRAM_SALT_BYTES];

    assert_int_equal(sodium_base642bin(salt, sizeof(salt), RFC_SALT, strlen(RFC_SALT), NULL, NULL,
                                       NULL, sodium_base64_VARIANT_ORIGINAL),
                     0);
    scram_verifier_make(verifier, RFC_PASSWORD, salt);
}

static ScramResult
first(ScramExchange *exchange, const char *message, Buffer *reply)
{
    buffer_reset(reply);
    return scram_client_first(exchange, *message == 'p', slice_from_string(message), reply);
}

static ScramResult
final(ScramExchange *exchange, const char *message, Buffer *reply)
{
    buffer_reset(reply);
    return scram_client_final(exchange, slice_from_string(message), reply);
}

/* An exchange that stands where RFC 7677's example does after its server-first-message. */
static void
rfc_exchange(ScramExchange *exchange, Buffer *reply)
{
    ScramVerifier verifier;

    rfc_verifier(&verifier);
    scram_begin(exchange, &verifier, nonce, SLICE_EMPTY);
    assert_int_equal(first(exchange, "n,,n=user,r=" RFC_CLIENT_NONCE, reply), SCRAM_CONTINUE);
    strcpy(exchange->nonce, RFC_NONCE);
    strcpy(exchange->server_first, RFC_SERVER_FIRST);
    exchange->server_first_length = strlen(RFC_SERVER_FIRST);
}

static void
the_example_of_rfc_7677_is_accepted(void **state)
{
    ScramExchange exchange;
    Buffer reply;

    buffer_init(&reply, &MEMORY_HEAP);
    rfc_exchange(&exchange, &reply);
    assert_int_equal(final(&exchange, "c=biws,r=" RFC_NONCE ",p=" RFC_PROOF, &reply), SCRAM_DONE);
    assert_int_equal(reply.length, strlen(RFC_SERVER_FINAL));
    assert_memory_equal(reply.data, RFC_SERVER_FINAL, reply.length);
    buffer_free(&reply);
}

static void
a_proof_with_a_flipped_bit_is_denied(void **state)
{
    ScramExchange exchange;
    uint8_t proof[SCRAM_KEY_BYTES];
    char message[256];
    char text[64];
    Buffer reply;

    buffer_init(&reply, &MEMORY_HEAP);
    for (int bit = 0; bit < 8 * SCRAM_KEY_BYTES; bit += 3)
    {
        rfc_exchange(&exchange, &reply);
        sodium_base642bin(proof, sizeof(proof), RFC_PROOF, strlen(RFC_PROOF), NULL, NULL, NULL,
                          sodium_base64_VARIANT_ORIGINAL);
        proof[bit / 8] ^= (uint8_t)(1 << bit % 8);
        sodium_bin2base64(text, sizeof(text), proof, sizeof(proof), sodium_base64_VARIANT_ORIGINAL);
        snprintf(message, sizeof(message), "c=biws,r=%s,p=%s", RFC_NONCE, text);
        assert_int_equal(final(&exchange, message, &reply), SCRAM_DENIED);
        assert_int_equal(reply.length, 0);
    }
    buffer_free(&reply);
}

static void
a_mock_denies_even_a_proof_that_fits(void **state)
{
    ScramExchange exchange;
    Buffer reply;

    buffer_init(&reply, &MEMORY_HEAP);
    rfc_exchange(&exchange, &reply);
    exchange.verifier.never_matches = true;
    assert_int_equal(final(&exchange, "c=biws,r=" RFC_NONCE ",p=" RFC_PROOF, &reply), SCRAM_DENIED);
    buffer_free(&reply);
}

static void
server_first_extends_the_clients_nonce(void **state)
{
    ScramVerifier verifier;
    ScramExchange exchange;
    Buffer reply;

    buffer_init(&reply, &MEMORY_HEAP);
    rfc_verifier(&verifier);
    scram_begin(&exchange, &verifier, nonce, SLICE_EMPTY);
    assert_int_equal(first(&exchange, "y,,n=,r=abc", &reply), SCRAM_CONTINUE);
    buffer_put_u8(&reply, 0);
    assert_string_equal((char *)reply.data, "r=abcZWlnaHRlZW4gYnl0ZXMgbm93,s=" RFC_SALT ",i=4096");
    buffer_free(&reply);
}

/* A first message on a connection that may be bound, with the mechanism that was chosen. */
static ScramResult
first_bound(const char *binding, bool plus, const char *message)
{
    ScramVerifier verifier;
    ScramExchange exchange;
    ScramResult result;
    Buffer reply;

    buffer_init(&reply, &MEMORY_HEAP);
    rfc_verifier(&verifier);
    scram_begin(&exchange, &verifier, nonce, slice_from_string(binding));
    result = scram_client_first(&exchange, plus, slice_from_string(message), &reply);
    buffer_free(&reply);
    return result;
}

static void
channel_binding_is_taken_where_it_is_offered_and_no_downgrade(void **state)
{
    static const char bound[] = "p=tls-server-end-point,,n=,r=abc";

    assert_int_equal(first_bound("hash", true, bound), SCRAM_CONTINUE);
    assert_int_equal(first_bound("hash", false, "n,,n=,r=abc"), SCRAM_CONTINUE);
    assert_int_equal(first_bound("", false, "y,,n=,r=abc"), SCRAM_CONTINUE);
    assert_int_equal(first_bound("hash", false, "y,,n=,r=abc"), SCRAM_MALFORMED);
    assert_int_equal(first_bound("", true, bound), SCRAM_MALFORMED);
    assert_int_equal(first_bound("hash", false, bound), SCRAM_MALFORMED);
    assert_int_equal(first_bound("hash", true, "n,,n=,r=abc"), SCRAM_MALFORMED);
    assert_int_equal(first_bound("hash", true, "p=tls-unique,,n=,r=abc"), SCRAM_MALFORMED);
    assert_int_equal(first_bound("hash", true, "p=,,n=,r=abc"), SCRAM_MALFORMED);
}

static void
a_proof_for_another_certificate_is_refused(void **state)
{
    ScramVerifier verifier;
    ScramExchange exchange;
    char message[512];
    Buffer reply;

    buffer_init(&reply, &MEMORY_HEAP);
    rfc_verifier(&verifier);
    scram_begin(&exchange, &verifier, nonce, slice_from_string("hash"));
    assert_int_equal(first(&exchange, "p=tls-server-end-point,,n=,r=abc", &reply), SCRAM_CONTINUE);
    /* "p=tls-server-end-point,,hasH" */
    snprintf(message, sizeof(message), "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsaGFzSA==,r=%s,p=%s",
             exchange.nonce, RFC_PROOF);
    assert_int_equal(final(&exchange, message, &reply), SCRAM_MALFORMED);
    assert_string_equal(exchange.error, "channel binding data does not match the first message");
    buffer_free(&reply);
}

static void
malformed_first_messages_are_refused(void **state)
{
    static const char *const messages[] = {
        "",
        "n",
        "n,",
        "n,,",
        "x,,n=,r=abc",
        "p=tls-server-end-point,,n=,r=abc",
        "p",
        "n,a=admin,n=,r=abc",
        "n,,m=ext,n=,r=abc",
        "n,,n=,m=ext,r=abc",
        "n,,r=abc",
        "n,,n=",
        "n,,n=,r=",
        "n,,n=,r=abc,",
        "n,,n=,r=abc,x=y",
        "n,,n=,r=a b",
        "n,,n=,r=a\x7f",
        "n,,n=,r=a\xc3\xa9",
    };
    ScramVerifier verifier;
    Buffer reply;

    buffer_init(&reply, &MEMORY_HEAP);
    rfc_verifier(&verifier);
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
    {
        ScramExchange exchange;

        scram_begin(&exchange, &verifier, nonce, SLICE_EMPTY);
        assert_int_equal(first(&exchange, messages[i], &reply), SCRAM_MALFORMED);
        assert_non_null(exchange.error);
        assert_int_equal(reply.length, 0);
    }
    buffer_free(&reply);
}

static void
malformed_final_messages_are_refused(void **state)
{
    static const char *const messages[] = {
        "",
        "c=",
        "c=biws",
        "c=eSws,r=" RFC_NONCE ",p=" RFC_PROOF,
        "c=biwsbiws,r=" RFC_NONCE ",p=" RFC_PROOF,
        "c=biws,r=" RFC_CLIENT_NONCE ",p=" RFC_PROOF,
        "c=biws,r=" RFC_NONCE "x,p=" RFC_PROOF,
        "c=biws,r=" RFC_NONCE,
        "c=biws,r=" RFC_NONCE ",m=x,p=" RFC_PROOF,
        "c=biws,r=" RFC_NONCE ",p=",
        "c=biws,r=" RFC_NONCE ",p=" RFC_PROOF "A",
        "c=biws,r=" RFC_NONCE ",p=" RFC_PROOF ",x=y",
        "c=biws,r=" RFC_NONCE ",p= HzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=biws,r=" RFC_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndV==",
    };
    Buffer reply;

    buffer_init(&reply, &MEMORY_HEAP);
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
    {
        ScramExchange exchange;

        rfc_exchange(&exchange, &reply);
        assert_int_equal(final(&exchange, messages[i], &reply), SCRAM_MALFORMED);
        assert_int_equal(reply.length, 0);
    }
    buffer_free(&reply);
}

static void
nonces_up_to_the_limit_are_taken(void **state)
{
    ScramVerifier verifier;
    char message[SCRAM_CLIENT_NONCE_MAX + 32];
    Buffer reply;

    buffer_init(&reply, &MEMORY_HEAP);
    rfc_verifier(&verifier);
    for (int excess = 0; excess <= 1; excess++)
    {
        ScramExchange exchange;

        scram_begin(&exchange, &verifier, nonce, SLICE_EMPTY);
        snprintf(message, sizeof(message), "n,,n=,r=%.*s", SCRAM_CLIENT_NONCE_MAX + excess, "");
        memset(message + 8, 'z', (size_t)SCRAM_CLIENT_NONCE_MAX + (size_t)excess);
        message[8 + SCRAM_CLIENT_NONCE_MAX + excess] = '\0';
        assert_int_equal(first(&exchange, message, &reply),
                         excess == 0 ? SCRAM_CONTINUE : SCRAM_MALFORMED);
    }
    buffer_free(&reply);
}

static void
messages_out_of_order_are_refused(void **state)
{
    ScramVerifier verifier;
    ScramExchange exchange;
    Buffer reply;

    buffer_init(&reply, &MEMORY_HEAP);
    rfc_verifier(&verifier);
    scram_begin(&exchange, &verifier, nonce, SLICE_EMPTY);
    assert_int_equal(final(&exchange, "c=biws,r=,p=" RFC_PROOF, &reply), SCRAM_MALFORMED);
    assert_int_equal(first(&exchange, "n,,n=,r=abc", &reply), SCRAM_CONTINUE);
    assert_int_equal(first(&exchange, "n,,n=,r=abc", &reply), SCRAM_MALFORMED);
    buffer_free(&reply);
}

static void
verifiers_survive_their_text(void **state)
{
    ScramVerifier verifier;
    ScramVerifier again;
    char text[SCRAM_VERIFIER_TEXT_SIZE];

    rfc_verifier(&verifier);
    scram_verifier_format(&verifier, text);
    assert_true(scram_verifier_parse(&again, text));
    assert_memory_equal(&verifier, &again, sizeof(verifier));
}

static void
verifiers_of_another_form_are_refused(void **state)
{
    ScramVerifier verifier;
    char text[SCRAM_VERIFIER_TEXT_SIZE];
    char changed[SCRAM_VERIFIER_TEXT_SIZE + 1];

    rfc_verifier(&verifier);
    scram_verifier_format(&verifier, text);
    for (size_t length = 0; length < strlen(text); length++)
    {
        snprintf(changed, sizeof(changed), "%.*s", (int)length, text);
        assert_false(scram_verifier_parse(&verifier, changed));
    }
    snprintf(changed, sizeof(changed), "%sA", text);
    assert_false(scram_verifier_parse(&verifier, changed));
    snprintf(changed, sizeof(changed), "%s", text);
    memcpy(strstr(changed, "4096"), "4097", 4);
    assert_false(scram_verifier_parse(&verifier, changed));
    for (size_t i = 0; i < strlen(text); i++)
    {
        snprintf(changed, sizeof(changed), "%s", text);
        changed[i] = (char)(changed[i] ^ 0x80);
        assert_false(scram_verifier_parse(&verifier, changed));
    }
}

static void
mocks_depend_on_name_and_secret_alone(void **state)
{
    static const uint8_t secret[] = "secret";
    static const uint8_t other[] = "other";
    ScramVerifier one;
    ScramVerifier two;

    scram_verifier_mock(&one, secret, sizeof(secret), "nobody");
    scram_verifier_mock(&two, secret, sizeof(secret), "nobody");
    assert_memory_equal(&one, &two, sizeof(one));
    assert_true(one.never_matches);
    scram_verifier_mock(&two, secret, sizeof(secret), "somebody");
    assert_memory_not_equal(one.salt, two.salt, sizeof(one.salt));
    scram_verifier_mock(&two, other, sizeof(other), "nobody");
    assert_memory_not_equal(one.salt, two.salt, sizeof(one.salt));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_rfc_7677_is_accepted),
        cmocka_unit_test(a_proof_with_a_flipped_bit_is_denied),
        cmocka_unit_test(a_mock_denies_even_a_proof_that_fits),
        cmocka_unit_test(server_first_extends_the_clients_nonce),
        cmocka_unit_test(channel_binding_is_taken_where_it_is_offered_and_no_downgrade),
        cmocka_unit_test(a_proof_for_another_certificate_is_refused),
        cmocka_unit_test(malformed_first_messages_are_refused),
        cmocka_unit_test(malformed_final_messages_are_refused),
        cmocka_unit_test(nonces_up_to_the_limit_are_taken),
        cmocka_unit_test(messages_out_of_order_are_refused),
        cmocka_unit_test(verifiers_survive_their_text),
        cmocka_unit_test(verifiers_of_another_form_are_refused),
        cmocka_unit_test(mocks_depend_on_name_and_secret_alone),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
