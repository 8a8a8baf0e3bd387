#include "node/config/keyring.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static Outcome
parse(ClusterKeys *ring, const char *text)
{
    return keyring_parse(ring, text, strlen(text), "cluster.key");
}

static ClusterKeys
parsed(const char *text)
{
    ClusterKeys ring;
    Outcome outcome = parse(&ring, text);

    assert_string_equal(outcome.message, "");
    return ring;
}

static void
assert_text(const ClusterKeys *ring, const char *expected)
{
    char text[KEYRING_TEXT_SIZE];

    keyring_format(ring, text);
    assert_string_equal(text, expected);
}

static const char *
id_of(const char *key_text)
{
    static char id[KEYRING_ID_SIZE];
    ClusterKeys ring = parsed(key_text);

    keyring_id(ring.keys[0], id);
    return id;
}

static void
keys_are_read_in_their_order(void **state)
{
    ClusterKeys ring = parsed(B "\n" A "\n");

    assert_int_equal(ring.count, 2);
    assert_int_equal(ring.keys[0][0], 0xbb);
    assert_int_equal(ring.keys[1][31], 0xaa);
    assert_text(&ring, B "\n" A "\n");
}

static void
blanks_and_the_last_line_end_do_not_count(void **state)
{
    ClusterKeys ring = parsed("\n  " A "\t\r\n\r\n" C);

    assert_text(&ring, A "\n" C "\n");
}

static void
a_text_that_is_no_keyring_is_refused_with_its_line(void **state)
{
    static const struct
    {
        const char *text;
        const char *says;
    } bad[] = {
        {"",                     "no cluster key" },
        {"\n \n",                "no cluster key" },
        {"nonsense\n",           "line 1"         },
        {A "\nbbbb\n",           "line 2"         },
        {A "\n" B "bb\n",        "line 2"         },
        {A " " B "\n",           "line 1"         },
        {A "\n\n" A "\n",        "line 3"         },
        {A "\n" A "\n",          "installed alrea"},
        {"g" A "\n",             "64 hex digits"  },
        {"# a key\n" A "\n",     "line 1"         },
        {"port = 7101\n" A "\n", "64 hex digits"  },
        {A "\n:" B "\n",         "line 2"         },
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    {
        ClusterKeys ring = {.count = 77};
        Outcome outcome = parse(&ring, bad[i].text);

        assert_true(outcome.failed);
        assert_non_null(strstr(outcome.message, bad[i].says));
        assert_non_null(strstr(outcome.message, "cluster.key"));
        assert_null(strstr(outcome.message, "aaaa"));
        assert_int_equal(ring.count, 0);
        assert_true(sodium_is_zero(ring.keys[0], sizeof(ring.keys)));
    }
}

static void
every_truncation_within_a_line_is_noticed(void **state)
{
    static const char text[] = A "\n" B "\n";

    for (size_t length = 0; length < sizeof(text) - 1; length++)
    {
        ClusterKeys ring;
        Outcome outcome = keyring_parse(&ring, text, length, "cluster.key");
        bool whole = length == 64 || length == 65 || length == 129;

        assert_int_equal(outcome.failed, !whole);
    }
}

static void
a_zero_byte_is_refused(void **state)
{
    static const char text[] = A "\0\n" B "\n";
    ClusterKeys ring;

    assert_true(keyring_parse(&ring, text, sizeof(text) - 1, "cluster.key").failed);
}

static void
eight_keys_fit_and_no_more(void **state)
{
    char text[1024] = "";
    ClusterKeys ring;
    Outcome outcome;

    for (unsigned i = 0; i <= CLUSTER_KEYS_MAX; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%064x\n", i);
    outcome = parse(&ring, text);
    assert_true(outcome.failed);
    assert_non_null(strstr(outcome.message, "can have 8"));
    text[CLUSTER_KEYS_MAX * 65] = '\0';
    ring = parsed(text);
    assert_int_equal(ring.count, CLUSTER_KEYS_MAX);
    assert_text(&ring, text);
}

static void
an_installed_key_stands_behind_and_is_not_installed_twice(void **state)
{
    ClusterKeys ring = parsed(A);
    uint8_t key[CLUSTER_KEY_BYTES];

    assert_false(keyring_parse_key(key, " " B "\r\n").failed);
    assert_false(keyring_install(&ring, key).failed);
    assert_text(&ring, A "\n" B "\n");
    assert_true(keyring_install(&ring, key).failed);
    assert_text(&ring, A "\n" B "\n");
    assert_true(keyring_parse_key(key, "").failed);
    assert_true(keyring_parse_key(key, "bbbb").failed);
    assert_true(keyring_parse_key(key, A "a").failed);
}

static void
the_key_that_is_used_comes_first(void **state)
{
    ClusterKeys ring = parsed(A "\n" B "\n" C);

    assert_false(keyring_use(&ring, id_of(C)).failed);
    assert_text(&ring, C "\n" A "\n" B "\n");
    assert_false(keyring_use(&ring, id_of(C)).failed);
    assert_text(&ring, C "\n" A "\n" B "\n");
    assert_false(keyring_use(&ring, id_of(A)).failed);
    assert_text(&ring, A "\n" C "\n" B "\n");
    assert_true(keyring_use(&ring, "00000000").failed);
    assert_true(keyring_use(&ring, "").failed);
    assert_text(&ring, A "\n" C "\n" B "\n");
}

static void
any_key_but_the_one_in_use_is_removed(void **state)
{
    ClusterKeys ring = parsed(A "\n" B "\n" C);
    Outcome outcome = keyring_remove(&ring, id_of(A));

    assert_true(outcome.failed);
    assert_non_null(strstr(outcome.message, "in use"));
    assert_true(keyring_remove(&ring, "00000000").failed);
    assert_text(&ring, A "\n" B "\n" C "\n");
    assert_false(keyring_remove(&ring, id_of(B)).failed);
    assert_text(&ring, A "\n" C "\n");
    assert_false(keyring_remove(&ring, id_of(C)).failed);
    assert_text(&ring, A "\n");
    assert_true(sodium_is_zero(ring.keys[1], sizeof(ring.keys[1])));
    assert_true(keyring_remove(&ring, id_of(A)).failed);
}

static void
contexts_name_the_key_by_the_same_id(void **state)
{
    ClusterKeys ring = parsed(A "\n" B "\n");
    ContextKeys keys = context_keys(ring.keys, ring.count);
    char hex[KEYRING_ID_SIZE];

    sodium_bin2hex(hex, sizeof(hex), keys.keys[1].id, CONTEXT_KEY_ID_BYTES);
    assert_string_equal(hex, id_of(B));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_read_in_their_order),
        cmocka_unit_test(blanks_and_the_last_line_end_do_not_count),
        cmocka_unit_test(a_text_that_is_no_keyring_is_refused_with_its_line),
        cmocka_unit_test(every_truncation_within_a_line_is_noticed),
        cmocka_unit_test(a_zero_byte_is_refused),
        cmocka_unit_test(eight_keys_fit_and_no_more),
        cmocka_unit_test(an_installed_key_stands_behind_and_is_not_installed_twice),
        cmocka_unit_test(the_key_that_is_used_comes_first),
        cmocka_unit_test(any_key_but_the_one_in_use_is_removed),
        cmocka_unit_test(contexts_name_the_key_by_the_same_id),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
